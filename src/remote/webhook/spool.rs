//! Hints that wait on disk: one file an accepted notification, complete and on the disk before the notification is acknowledged.
//!
//! A file is written in `tmp` and renamed into `new`, as mailboxes do: whoever reads sees no half file, and what a crash leaves in
//! `tmp` was never acknowledged.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use kqlake_durable::{create_folders, sync_file, sync_folder};

/// Files that may wait; more are refused, and sent again by the service for hours.
const MOST: u64 = 100_000;
/// Bytes of a file that is read.
const MAX_FILE: u64 = 4 << 20;

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
        let (tmp, new) = (self.folder.join("tmp"), self.folder.join("new"));
        create_folders(&tmp)?;
        create_folders(&new)?;
        let name = format!("{:020}-{}.json", hint.received.max(0), uuid::Uuid::new_v4());
        let written = tmp.join(&name);
        let mut file = File::create_new(&written)?;
        let put = file
            .write_all(serde_json::to_string(hint)?.as_bytes())
            .and_then(|()| sync_file(&file))
            .and_then(|()| fs::rename(&written, new.join(&name)))
            .and_then(|()| sync_folder(&new));
        match put {
            Ok(()) => {
                self.waiting.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                // What is not acknowledged need not stay.
                drop(fs::remove_file(&written));
                Err(error)
            }
        }
    }

    /// The hints that wait for a tenant, oldest first, each with its file. A file that cannot be read is passed over and stays.
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
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The files of a folder by their names, which begin with the time.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn read(path: &Path) -> io::Result<Hint> {
    use io::Read as _;
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut text)?;
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
        assert_eq!(fs::read_dir(folder.join("tmp")).unwrap().count(), 0);
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
        fs::write(dir.path().join("tmp/1.json"), "half").unwrap();
        // Another process finds the same.
        let spool = Spool::new(dir.path());
        let waiting = spool.waiting("a").unwrap();
        assert_eq!(waiting.iter().map(|(_, hint)| hint.received).collect::<Vec<_>>(), [3, 20]);
        spool.done(&waiting[0].0).unwrap();
        spool.done(&waiting[0].0).unwrap();
        assert_eq!(spool.waiting("a").unwrap().len(), 1);
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
