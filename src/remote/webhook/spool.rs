//! Hints that wait on disk: one file an accepted notification, complete and on the disk before the notification is acknowledged.
//!
//! A file is written aside and renamed into `new`: whoever reads sees no half file, and what a crash leaves aside was never
//! acknowledged, and is removed with the next notification.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use kqlake_durable::{self as durable, Staging, create_folders, sync_folder};

/// Files that may wait; more are refused, and sent again by the service for hours.
const MOST: u64 = 100_000;
/// Bytes of a file that is read.
const MAX_FILE: u64 = 4 << 20;
/// The version of a file's form. Files that name none have the first one.
const FORMAT: u32 = 1;
/// The age at which what earlier receivers left half-written in `tmp` goes: one may still run.
const LEFT_OVER: Duration = Duration::from_secs(3600);

/// The spool of a lake's notifications. Clones are the same spool.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: PathBuf,
    /// Files that wait, as far as this process knows.
    waiting: Arc<AtomicU64>,
}

/// Calls of one tenant that a notification told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// The tenant's id.
    pub tenant: String,
    /// When it came (microseconds since 1970).
    pub received: i64,
    /// The ids of the calls.
    pub calls: Vec<String>,
}

/// A hint as its file has it.
#[derive(Serialize)]
struct Filed<'h> {
    format: u32,
    #[serde(flatten)]
    hint: &'h Hint,
}

/// What of a file says its form.
#[derive(Deserialize)]
struct Form {
    #[serde(default = "first_format")]
    format: u32,
}

fn first_format() -> u32 {
    1
}

impl Spool {
    /// The spool in a folder, which need not exist.
    pub fn new(folder: &Path) -> Spool {
        let waiting = files(&folder.join("new")).map_or(0, |files| files.len() as u64);
        Spool { folder: folder.to_owned(), waiting: Arc::new(AtomicU64::new(waiting)) }
    }

    /// Brings a hint to the disk. It is there, whatever happens, when this returns.
    ///
    /// # Errors
    /// It cannot be written, or too many wait already.
    pub fn put(&self, hint: &Hint) -> io::Result<()> {
        if self.waiting.load(Ordering::Relaxed) >= MOST {
            return Err(io::Error::new(io::ErrorKind::StorageFull, format!("{MOST} notifications wait to be read already")));
        }
        let new = self.folder.join("new");
        create_folders(&new)?;
        let staging = Staging::create(&self.folder)?;
        sweep_tmp(&self.folder.join("tmp"), &staging);
        let name = format!("{:020}-{}.json", hint.received.max(0), uuid::Uuid::new_v4());
        let written = staging.path().join(&name);
        File::create_new(&written)?.write_all(&serde_json::to_vec(&Filed { format: FORMAT, hint })?)?;
        staging.publish(&written, &new.join(&name))?;
        sync_folder(&new)?;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// The hints that wait for a tenant, oldest first, each with its file. A file that cannot be read, as one of a
    /// newer version, is skipped and stays.
    ///
    /// # Errors
    /// The folder cannot be listed; one that is not there is empty.
    pub fn waiting(&self, tenant: &str) -> io::Result<Vec<(PathBuf, Hint)>> {
        let mut found = Vec::new();
        let files = files(&self.folder.join("new"))?;
        self.waiting.store(files.len() as u64, Ordering::Relaxed);
        for path in files {
            match read(&path) {
                Ok(hint) if hint.tenant.eq_ignore_ascii_case(tenant) => found.push((path, hint)),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the notification in {} cannot be read", path.display()),
            }
        }
        Ok(found)
    }

    /// Removes the file of a hint whose calls are in the lake.
    ///
    /// # Errors
    /// It cannot be removed; one that is gone already is no error.
    pub fn done(&self, file: &Path) -> io::Result<()> {
        durable::remove_if_there(file)
    }
}

/// The files of a folder by their names, which begin with the time.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in durable::entries(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Removes what earlier receivers left in the folder that they had for half-written files.
fn sweep_tmp(tmp: &Path, now: &Staging) {
    let Ok(left) = files(tmp) else { return };
    if left.is_empty() {
        return;
    }
    // By the time of the file system that both are on.
    let time = |path: &Path| fs::metadata(path)?.modified();
    let Ok(now) = time(now.path()) else { return };
    for path in left {
        if time(&path).is_ok_and(|then| now.duration_since(then).is_ok_and(|age| age > LEFT_OVER)) {
            drop(fs::remove_file(path));
        }
    }
    // It goes when it is empty.
    drop(fs::remove_dir(tmp));
}

fn read(path: &Path) -> io::Result<Hint> {
    use io::Read as _;
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut text)?;
    let Form { format } = serde_json::from_slice(&text)?;
    if format > FORMAT {
        let why = format!("it is of format {format}, which a newer version of kqlake wrote: use that one");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn hint(tenant: &str, received: i64) -> Hint {
        Hint { tenant: tenant.into(), received, calls: vec![format!("call-{received}")] }
    }

    #[test]
    fn a_hint_is_on_the_disk_with_its_name_before_it_is_put() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/calls");
        let synced: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&synced);
        let of = folder.clone();
        let _observing = kqlake_durable::observe(move |what| {
            let name = match what {
                kqlake_durable::Synced::File(_) => "file".to_owned(),
                kqlake_durable::Synced::Folder(folder) if folder.starts_with(&of) => folder.display().to_string(),
                kqlake_durable::Synced::Folder(_) => return,
            };
            told.lock().unwrap().push(name);
        });
        let spool = Spool::new(&folder);
        spool.put(&hint("a", 5)).unwrap();
        let synced = synced.lock().unwrap().clone();
        let place = |what: &str| synced.iter().rposition(|name| name == what);
        assert!(place("file") < place(&folder.join("new").display().to_string()), "{synced:?}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn hints_come_oldest_first_for_their_tenant_until_they_are_done() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path());
        assert_eq!(spool.waiting("a").unwrap(), []);
        for (tenant, received) in [("A", 20), ("a", 3), ("b", 4)] {
            spool.put(&hint(tenant, received)).unwrap();
        }
        fs::write(dir.path().join("new/00.json"), "{").unwrap();
        fs::create_dir(dir.path().join(format!(".kqlake-{}.staging", "0".repeat(32)))).unwrap();
        // Another process finds the same.
        let spool = Spool::new(dir.path());
        let waiting = spool.waiting("a").unwrap();
        assert_eq!(waiting.iter().map(|(_, hint)| hint.received).collect::<Vec<_>>(), [3, 20]);
        spool.done(&waiting[0].0).unwrap();
        spool.done(&waiting[0].0).unwrap();
        assert_eq!(spool.waiting("a").unwrap().len(), 1);
    }

    #[test]
    fn what_crashed_receivers_left_goes_with_the_next_notification() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("tmp")).unwrap();
        let died = at(&format!(".kqlake-{}.staging", "0".repeat(32)));
        fs::create_dir(&died).unwrap();
        for name in [".lock", "1.json"] {
            fs::write(died.join(name), "half").unwrap();
        }
        // Of earlier versions: one that died, and one that may be writing.
        let now = fs::metadata(&died).unwrap().modified().unwrap();
        for (name, age) in [("tmp/1.json", LEFT_OVER * 2), ("tmp/2.json", LEFT_OVER / 2)] {
            fs::write(at(name), "half").unwrap();
            File::options().write(true).open(at(name)).unwrap().set_modified(now - age).unwrap();
        }
        let spool = Spool::new(dir.path());
        spool.put(&hint("a", 1)).unwrap();
        assert!(!died.exists() && !at("tmp/1.json").exists() && at("tmp/2.json").exists());
        File::options().write(true).open(at("tmp/2.json")).unwrap().set_modified(now - LEFT_OVER * 2).unwrap();
        spool.put(&hint("a", 2)).unwrap();
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["new"]);
        assert_eq!(spool.waiting("a").unwrap().len(), 2);
    }

    #[test]
    fn a_file_says_its_version_and_one_of_a_newer_version_stays() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path());
        spool.put(&hint("a", 3)).unwrap();
        let (file, _) = spool.waiting("a").unwrap().remove(0);
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text, r#"{"format":1,"tenant":"a","received":3,"calls":["call-3"]}"#);
        // Earlier versions wrote none; a newer one may call a call by more than its id.
        let newer = dir.path().join("new/2.json");
        fs::write(dir.path().join("new/00.json"), text.replace(r#""format":1,"#, "").replace('3', "1")).unwrap();
        fs::write(&newer, text.replace(r#""format":1"#, r#""format":2"#)).unwrap();
        let waiting = spool.waiting("a").unwrap();
        assert_eq!(waiting.into_iter().map(|(_, hint)| hint).collect::<Vec<_>>(), [hint("a", 1), hint("a", 3)]);
        assert!(newer.exists() && read(&newer).unwrap_err().to_string().contains("format 2"));
    }

    #[test]
    fn a_full_spool_takes_nothing_more() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path());
        spool.waiting.store(MOST, Ordering::Relaxed);
        assert!(spool.put(&hint("a", 1)).is_err());
        spool.waiting("a").unwrap();
        spool.put(&hint("a", 1)).unwrap();
    }
}
