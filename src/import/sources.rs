//! Files as a source of units: those that are named, and those in folders that are named.
//!
//! The lake's own files are never taken for sources, and nothing without an end is read. What is skipped in a folder is
//! reported, with the reason; what is named itself and cannot be a source is an error.

use std::collections::HashSet;
use std::fs::{self, File, FileType, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::names::{unit_name, unit_path};
use super::source::{Body, ListedUnit, Opened, Reply, Source, SourceError, UnitPage};
use super::stamp::stamp;
use super::{ImportError, SkippedPath};
use kqlake_durable::ReservedFolder;

/// The path that means standard input.
const STANDARD_INPUT: &str = "-";
/// The file that describes the others of a folder (Frictionless Data Package), as an export writes it.
const DATA_PACKAGE: &str = "datapackage.json";
/// The folder that makes its parent a Delta table.
const DELTA_LOG: &str = "_delta_log";

/// What the named paths come to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Files and pipes in the order in which they are read, each with its unit.
    pub files: Vec<(PathBuf, ListedUnit)>,
    /// What is in folders and is not read.
    pub skipped: Vec<SkippedPath>,
    /// Folders that were listed.
    pub folders: HashSet<String>,
    /// Folders inside named ones that cannot be listed, and why.
    pub closed: Vec<(PathBuf, io::Error)>,
    /// Bytes of the files together.
    pub bytes: u64,
}

/// Finds files in a fixed order: the named paths as they were named, what is in folders by name. A file that is named
/// twice is read once. `now` is a time before the search (microseconds since 1970).
///
/// # Errors
/// A named path does not exist, cannot be read, or cannot be a source.
pub(crate) fn find(lake: &Path, paths: &[PathBuf], now: i64) -> Result<Found, ImportError> {
    // Links, `..` and mounts must not lead into the lake. A lake that does not exist yet has no files.
    let lake = lake.exists().then(|| ReservedFolder::new(lake));
    let mut search = Search { lake, now, seen: HashSet::new(), found: Found::default() };
    for path in paths {
        search.named(path)?;
    }
    Ok(search.found)
}

/// Files that were found. It has no cursor: every listing gives all of them, and the ledger knows which have not changed.
#[derive(Debug)]
pub(crate) struct Files {
    folders: HashSet<String>,
    listing: Mutex<UnitPage>,
}

impl Files {
    /// The files that a search found.
    pub(crate) fn new(found: Found) -> Self {
        let units = found.files.into_iter().map(|(_, unit)| unit).collect();
        let closed = |(path, error): (PathBuf, io::Error)| (unit_name(&path), format!("the folder cannot be read: {error}"));
        let failures = found.closed.into_iter().map(closed).collect();
        Files { folders: found.folders, listing: Mutex::new(UnitPage { units, failures, ..UnitPage::default() }) }
    }
}

impl Source for Files {
    fn stream(&self) -> &str {
        "files"
    }

    fn keeps_listings(&self) -> bool {
        false
    }

    fn has_listed(&self, folder: &str) -> bool {
        self.folders.contains(folder)
    }

    fn list(&self, _after: Option<Value>) -> Reply<'_, UnitPage> {
        let listing = std::mem::take(&mut *self.listing.lock().unwrap_or_else(PoisonError::into_inner));
        Box::pin(async { Ok(listing) })
    }

    fn open<'s>(&'s self, unit: &'s ListedUnit) -> Reply<'s, Opened> {
        let path = unit_path(&unit.name);
        Box::pin(async {
            // A pipe is waited for.
            let opened = tokio::task::spawn_blocking(|| File::open(path)).await.map_err(io::Error::from).flatten();
            let failed = |error: io::Error| SourceError::for_now(format!("the file cannot be read: {error}"));
            opened.map(|file| Opened { body: Body::File(file), taken_at: None }).map_err(failed)
        })
    }
}

struct Search {
    /// The lake's folder.
    lake: Option<ReservedFolder>,
    /// A time before the search.
    now: i64,
    seen: HashSet<PathBuf>,
    found: Found,
}

impl Search {
    fn named(&mut self, path: &Path) -> Result<(), ImportError> {
        let path = if path.as_os_str() == STANDARD_INPUT {
            standard_input()?
        } else {
            std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
        };
        let unsuitable = |reason: &str| Err(ImportError::Unsuitable { path: path.clone(), reason: reason.to_owned() });
        let meta = match fs::metadata(&path) {
            Ok(meta) => meta,
            Err(_) if fs::symlink_metadata(&path).is_ok_and(|link| link.is_symlink()) => {
                return unsuitable("is a link that leads to nothing that can be read");
            }
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound => return Err(ImportError::NotFound { path }),
                io::ErrorKind::NotADirectory => return unsuitable("goes on behind a file as if that were a folder"),
                io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput => return unsuitable("is no name of a file"),
                _ => return Err(ImportError::Unreadable { path, source: error }),
            },
        };
        if self.is_in_lake(&path) {
            return unsuitable("lies in the lake itself, whose own files are no sources");
        }
        if meta.is_dir() {
            if path.join(DELTA_LOG).is_dir() {
                return unsuitable("is a Delta table, which is no source");
            }
            return self.folder(&path).map_err(|source| ImportError::Unreadable { path, source });
        }
        if let Some(what) = endless(meta.file_type()) {
            return unsuitable(what);
        }
        self.file(path, &meta);
        Ok(())
    }

    fn file(&mut self, path: PathBuf, meta: &Metadata) {
        if self.seen.insert(path.clone()) {
            self.found.bytes += meta.len();
            let unit = ListedUnit {
                name: unit_name(&path),
                stamp: stamp(meta, self.now),
                bytes: meta.len(),
                waits: !meta.is_file(),
                ..ListedUnit::default()
            };
            self.found.files.push((path, unit));
        }
    }

    fn is_in_lake(&self, path: &Path) -> bool {
        self.lake.as_ref().is_some_and(|lake| lake.contains(path))
    }

    fn folder(&mut self, path: &Path) -> io::Result<()> {
        let mut entries = fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
        self.found.folders.insert(unit_name(path));
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            let looked_at = entry.file_type().and_then(|kind| self.entry(path.clone(), kind, hidden));
            if let Err(error) = looked_at {
                self.found.closed.push((path, error));
            }
        }
        Ok(())
    }

    /// One entry of a folder; an error when it cannot be listed.
    fn entry(&mut self, path: PathBuf, kind: FileType, hidden: bool) -> io::Result<()> {
        if kind.is_dir() {
            if hidden {
                self.skip(path, "it is a hidden folder; name it to have it read", false);
                return Ok(());
            }
            if self.is_in_lake(&path) {
                self.skip(path, "it is the lake itself", true);
                return Ok(());
            }
            if path.join(DELTA_LOG).is_dir() {
                self.skip(path, "it is a Delta table", true);
                return Ok(());
            }
            return self.folder(&path);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if hidden {
            self.skip(path, "its name begins with a dot; name it to have it read", is_named_as_data(&name));
            return Ok(());
        }
        if is_no_data(&name) {
            self.skip(path, "its name is that of a note or of a system's own file; name it to have it read", false);
            return Ok(());
        }
        // Links to files are as good as files. Links to folders could lead anywhere, and round in a circle.
        let meta = if kind.is_symlink() { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
        let reason = match &meta {
            Err(_) if kind.is_symlink() => "it is a link that leads to nothing that can be read",
            Err(_) => return meta.map(drop),
            Ok(meta) if meta.is_dir() => "it is a link to a folder; name that folder to have it read",
            Ok(_) if kind.is_symlink() && self.is_in_lake(&path) => "it is a link into the lake itself",
            Ok(meta) if meta.is_file() && name.eq_ignore_ascii_case(DATA_PACKAGE) && describes_data(&path) => {
                self.skip(path, "it describes the files beside it, as a data package; name it to have it read", false);
                return Ok(());
            }
            Ok(meta) if meta.is_file() => {
                self.file(path, meta);
                return Ok(());
            }
            Ok(_) => "it is a pipe, a socket or a device; only pipes are read, and only when they are named",
        };
        self.skip(path, reason, true);
        Ok(())
    }

    fn skip(&mut self, path: PathBuf, reason: &'static str, reported: bool) {
        self.found.skipped.push(SkippedPath { path, reason, reported });
    }
}

/// The path of standard input.
fn standard_input() -> Result<PathBuf, ImportError> {
    if cfg!(unix) {
        Ok(PathBuf::from("/dev/stdin"))
    } else {
        let reason = "means standard input, which has no path on this system; write it to a file first".to_owned();
        Err(ImportError::Unsuitable { path: PathBuf::from(STANDARD_INPUT), reason })
    }
}

/// Why something that is no file and no folder is not read: only pipes are known to end.
#[cfg(unix)]
fn endless(kind: FileType) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt as _;
    if kind.is_char_device() {
        Some("is a device or a terminal, which may have no end; pipes and files are read")
    } else if kind.is_block_device() {
        Some("is a disk or another block device, which is no source; mount it and name its files")
    } else if kind.is_socket() {
        Some("is a socket, which is no source")
    } else {
        None
    }
}

#[cfg(not(unix))]
fn endless(kind: FileType) -> Option<&'static str> {
    (!kind.is_file()).then_some("is no file and no folder")
}

/// True for a hidden file that looks as if it held data; programs that copy files leave others.
fn is_named_as_data(name: &str) -> bool {
    let extension = name.rsplit('.').next().unwrap_or_default().to_lowercase();
    !name.starts_with("._")
        && ["json", "ndjson", "jsonl", "csv", "tsv", "txt", "log", "blob", "gz", "zip"].contains(&extension.as_str())
}

/// True for files that are beside data and are none: notes, and what systems put there. A file that is named itself is always read.
fn is_no_data(name: &str) -> bool {
    let lower = name.to_lowercase();
    lower.ends_with(".md") || matches!(lower.as_str(), "thumbs.db" | "desktop.ini" | "license" | "readme" | "readme.txt")
}

/// True for the description of a data package: an object with its list of resources. What is anything else is read, and refused as
/// what it is.
fn describes_data(path: &Path) -> bool {
    let document = fs::read(path).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    document.is_some_and(|document| document.get("resources").is_some_and(Value::is_array))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(found: &Found) -> Vec<PathBuf> {
        found.files.iter().map(|(path, _)| path.clone()).collect()
    }

    #[test]
    fn files_are_found_in_order_and_once() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("b/.git")).unwrap();
        fs::create_dir_all(at("b/lake/traces")).unwrap();
        for name in [
            "b/2.json",
            "b/10.json",
            "b/README.md",
            "b/.hidden",
            "b/.day.JSON",
            "b/._2.json",
            "b/.git/x",
            "b/lake/traces/x",
            "a.csv",
        ] {
            fs::write(at(name), "x").unwrap();
        }
        // What describes data is none; what only has its name is read.
        fs::create_dir_all(at("b/c")).unwrap();
        fs::write(at("b/c/datapackage.json"), r#"{"resources": []}"#).unwrap();
        fs::write(at("b/datapackage.json"), r#"{"name": "a record"}"#).unwrap();
        let found = find(&at("b/lake"), &[at("b"), at("a.csv"), at("b/2.json")], 0).unwrap();
        assert_eq!(paths(&found), [at("b/10.json"), at("b/2.json"), at("b/datapackage.json"), at("a.csv")]);
        let passed: Vec<_> = found.skipped.iter().map(|p| (p.path.clone(), p.reported)).collect();
        let expected = [
            ("b/._2.json", false),
            ("b/.day.JSON", true),
            ("b/.git", false),
            ("b/.hidden", false),
            ("b/README.md", false),
            ("b/c/datapackage.json", false),
            ("b/lake", true),
        ];
        assert_eq!(passed, expected.map(|(path, reported)| (at(path), reported)));
        assert!(matches!(find(&at("b/lake"), &[at("none")], 0), Err(ImportError::NotFound { .. })));
        assert!(matches!(find(&at("b/lake"), &[at("a.csv/")], 0), Err(ImportError::Unsuitable { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn nothing_of_a_lake_is_found_whichever_way_leads_there() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("lake/traces/_delta_log")).unwrap();
        fs::create_dir_all(at("other/traces/_delta_log")).unwrap();
        fs::create_dir_all(at("in/deep")).unwrap();
        for name in ["lake/traces/_delta_log/0.json", "lake/x.json", "other/traces/y.json", "in/z.json"] {
            fs::write(at(name), "x").unwrap();
        }
        symlink(at("lake"), at("link")).unwrap();
        symlink(at("lake/x.json"), at("in/deep/x.json")).unwrap();
        symlink(at("in"), at("in/deep/round")).unwrap();
        symlink(at("gone"), at("in/gone.json")).unwrap();
        symlink(at("circle"), at("circle")).unwrap();
        for named in ["lake", "lake/traces", "link", "link/traces", "in/../lake/x.json", "other/traces", "circle"] {
            let found = find(&at("lake"), &[at(named)], 0);
            assert!(matches!(found, Err(ImportError::Unsuitable { .. })), "{named}: {found:?}");
        }
        let found = find(&at("lake"), &[root.path().to_owned()], 0).unwrap();
        assert_eq!(paths(&found), [at("in/z.json")]);
        assert!(found.closed.is_empty());
        let reported: Vec<PathBuf> = found.skipped.iter().filter(|p| p.reported).map(|p| p.path.clone()).collect();
        let expected = ["circle", "in/deep/round", "in/deep/x.json", "in/gone.json", "lake", "link", "other/traces"];
        assert_eq!(reported, expected.map(at));
    }
}
