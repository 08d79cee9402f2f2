//! A sign in a folder that somebody is at work there.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::temporary::{TemporaryPath, partial_files};

/// A sign that work in a folder is in progress: an empty temporary file, locked as long as its process lives and removed when
/// dropped.
///
/// Files that no log names yet may belong to work in progress. Those that are older than the oldest lease of their folder
/// do not: what works there began after them.
#[derive(Debug)]
pub struct Lease {
    _held: TemporaryPath,
}

impl Lease {
    /// Puts up a sign in a folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn take(folder: &Path) -> io::Result<Lease> {
        TemporaryPath::file(folder, false).map(|held| Lease { _held: held })
    }

    /// When the oldest work in a folder began that is still in progress, by the time of its file; `None` when there is none.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn oldest(folder: &Path) -> io::Result<Option<SystemTime>> {
        let mut oldest = None;
        for path in partial_files(folder)? {
            let Ok(file) = File::options().write(true).open(&path) else { continue };
            // A lock that can be taken is that of a process that has ended.
            if file.try_lock().is_err() {
                let began = file.metadata()?.modified()?;
                oldest = Some(oldest.map_or(began, |oldest: SystemTime| oldest.min(began)));
            }
        }
        Ok(oldest)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_oldest_work_under_way_is_known_and_what_has_ended_is_not() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Lease::oldest(dir.path()).unwrap(), None);
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let leases: Vec<Lease> = (0..2).map(|_| Lease::take(dir.path()).unwrap()).collect();
        for (at, lease) in leases.iter().enumerate() {
            lease._held.handle().set_modified(began + Duration::from_secs(at as u64)).unwrap();
        }
        // What a killed process left does not count.
        let left = dir.path().join(format!(".kqlake-{}.partial", "0".repeat(32)));
        std::fs::write(&left, "").unwrap();
        File::options().write(true).open(&left).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(Lease::oldest(dir.path()).unwrap(), Some(began));
        super::super::sweep(dir.path());
        assert!(!left.exists());
        drop(leases);
        assert_eq!(Lease::oldest(dir.path()).unwrap(), None);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
