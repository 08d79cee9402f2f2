//! Refused records: set aside as NDJSON, one file a unit, complete or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::ImportError;
use super::files::documents::Place;
use super::files::input::Limits;
use kqlake_durable::{self as durable, Draft};

/// The quarantine of one run: a folder that is made when the first record is refused.
#[derive(Debug)]
pub(crate) struct Quarantine {
    folder: Option<PathBuf>,
    limits: Limits,
    used: std::collections::HashMap<String, u32>,
}

impl Quarantine {
    /// The quarantine of a run; without a folder nothing is written.
    ///
    /// Removes what runs that were killed left beside it.
    pub(crate) fn new(folder: Option<PathBuf>, limits: Limits) -> Self {
        let runs = folder.as_deref().and_then(Path::parent).and_then(|runs| fs::read_dir(runs).ok());
        for run in runs.into_iter().flatten().flatten().filter(|run| run.file_type().is_ok_and(|kind| kind.is_dir())) {
            durable::sweep(&run.path());
        }
        Self { folder, limits, used: Default::default() }
    }

    /// Begins a unit.
    pub(crate) fn unit(&mut self, name: &str) -> UnitQuarantine<'_> {
        UnitQuarantine { quarantine: self, name: name.to_owned(), open: None, written: 0, omitted: 0, failed: None }
    }

    /// A file name for a unit that no other unit of the run has.
    fn file_for(&mut self, unit: &str) -> Option<PathBuf> {
        let last = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
        // Of an archive's entry both names are kept.
        let base = match unit.rsplit_once('!') {
            Some((archive, entry)) => format!("{}!{}", last(archive), last(entry)),
            None => last(unit),
        };
        let safe: String = base
            .chars()
            .map(|c| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '!' | ' ' | '(' | ')') { c } else { '_' })
            .take(120)
            .collect();
        let count = self.used.entry(safe.to_lowercase()).or_default();
        *count += 1;
        let name = if *count == 1 { format!("{safe}.ndjson") } else { format!("{safe}-{count}.ndjson") };
        self.folder.as_ref().map(|folder| folder.join(name))
    }
}

struct Open {
    path: PathBuf,
    draft: Draft,
    writer: BufWriter<File>,
}

/// The refused records of one unit.
pub(crate) struct UnitQuarantine<'q> {
    quarantine: &'q mut Quarantine,
    name: String,
    open: Option<Open>,
    written: u64,
    omitted: u64,
    failed: Option<ImportError>,
}

impl UnitQuarantine<'_> {
    /// Sets a record aside. A failure is kept and given back by [`UnitQuarantine::finish`].
    pub(crate) fn refuse(&mut self, place: Place, reason: &str, text: &[u8]) {
        if self.failed.is_some() || self.quarantine.folder.is_none() {
            return;
        }
        if self.written >= self.quarantine.limits.quarantine_records {
            self.omitted += 1;
            return;
        }
        let limit = self.quarantine.limits.quarantine_text;
        let (kept, cut) = if text.len() > limit { (&text[..limit], true) } else { (text, false) };
        let mut entry = json!({
            "file": self.name,
            "place": { "line": place.line, "byte": place.byte, "record": place.record },
            "reason": reason,
            "record": String::from_utf8_lossy(kept),
        });
        if cut {
            entry["cutAt"] = limit.into();
            entry["bytes"] = text.len().into();
        }
        self.line(&entry);
        self.written += 1;
    }

    fn line(&mut self, entry: &serde_json::Value) {
        if let Err((path, source)) = self.try_line(entry) {
            self.failed = Some(ImportError::Quarantine { path, source });
        }
    }

    fn try_line(&mut self, entry: &serde_json::Value) -> Result<(), (PathBuf, io::Error)> {
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let Some(path) = self.quarantine.file_for(&self.name) else { return Ok(()) };
                let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
                    let draft = Draft::create(&path)?;
                    Ok((draft.file().try_clone()?, draft))
                });
                let (file, draft) = made.map_err(|error| (path.clone(), error))?;
                self.open.insert(Open { path, draft, writer: BufWriter::new(file) })
            }
        };
        writeln!(open.writer, "{entry}").map_err(|error| (open.path.clone(), error))
    }

    /// Makes the file final; its path when there is one.
    pub(crate) fn finish(mut self) -> Result<Option<PathBuf>, ImportError> {
        if self.omitted > 0 {
            let entry = json!({ "file": self.name, "reason": format!("{} more records were refused; their texts are not kept", self.omitted) });
            self.line(&entry);
        }
        let open = self.open.take();
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        let Some(Open { path, draft, writer }) = open else { return Ok(None) };
        match writer.into_inner().map_err(io::IntoInnerError::into_error).and_then(|_| draft.publish()) {
            Ok(()) => Ok(Some(path)),
            Err(source) => Err(ImportError::Quarantine { path, source }),
        }
    }
}

/// The folder of a run's refused records.
pub(crate) fn folder_of(lake: &Path, import_id: &str) -> PathBuf {
    super::quarantine_folder(lake).join(import_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_set_aside_with_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { quarantine_text: 4, quarantine_records: 2, ..Limits::default() };
        let mut quarantine = Quarantine::new(Some(folder.path().join("run")), limits);
        let mut unit = quarantine.unit("a/b/x.json");
        for n in 1..=3 {
            unit.refuse(Place { line: Some(n), byte: 9, record: n }, "no valid JSON", b"{\"\xff rest");
        }
        let path = unit.finish().unwrap().unwrap();
        assert!(path.ends_with("run/x.json.ndjson"));
        let lines: Vec<serde_json::Value> =
            fs::read_to_string(&path).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!((lines[1]["place"]["line"].as_u64(), lines[1]["record"].as_str()), (Some(2), Some("{\"\u{fffd} ")));
        assert!(lines[2]["reason"].as_str().unwrap().starts_with("1 more"));
        assert_eq!(quarantine.unit("clean").finish().unwrap(), None);
        let mut twin = quarantine.unit("other/x.json");
        twin.refuse(Place::default(), "r", b"");
        assert!(twin.finish().unwrap().unwrap().ends_with("x.json-2.ndjson"));
        assert_eq!(fs::read_dir(folder.path().join("run")).unwrap().count(), 2);
    }

    #[test]
    fn what_a_killed_run_left_is_swept_by_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let killed = folder.path().join("killed");
        fs::create_dir(&killed).unwrap();
        fs::write(killed.join(format!(".kqlake-{}.partial", "0".repeat(32))), "{").unwrap();
        fs::write(killed.join("x.ndjson"), "{}\n").unwrap();
        drop(Quarantine::new(Some(folder.path().join("run")), Limits::default()));
        let left: Vec<_> = fs::read_dir(&killed).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["x.ndjson"]);
    }

    #[test]
    fn an_unwritable_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        let mut quarantine = Quarantine::new(Some(file.join("run")), Limits::default());
        let mut unit = quarantine.unit("x");
        unit.refuse(Place::default(), "r", b"");
        assert!(matches!(unit.finish(), Err(ImportError::Quarantine { .. })));
    }
}
