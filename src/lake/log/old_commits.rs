//! Deleting what of a log is not needed any more, a little at a time: right behind an import nobody waits for a folder of thousands of
//! files to be looked through.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::files::{Extent, checkpoint_name, commit_name};
use kqlake_durable as durable;

/// Versions whose files are deleted at a time, at most.
const MOST_VERSIONS: u64 = 256;
/// Versions that are enough at a time: more than come between two checkpoints.
const ENOUGH_VERSIONS: u64 = 32;

/// Deletes commits and checkpoints in a log's folder that are older than an instant and come before a checkpoint that is, the oldest
/// first; gives how many files. So every version since that instant can still be read, and what is left is an unbroken row
/// wherever this ends.
///
/// # Errors
/// A file cannot be deleted.
pub(crate) fn delete_oldest(log: &Path, extent: &Extent, before: SystemTime) -> io::Result<usize> {
    let is_old = |name: String| fs::metadata(log.join(name)).and_then(|found| found.modified()).is_ok_and(|time| time < before);
    let is_safe = |checkpoint: &&u64| is_old(checkpoint_name(**checkpoint)) && is_old(commit_name(**checkpoint));
    // The first that is far enough to be worth it, or the last one before it.
    let (enough, until) = (extent.oldest.saturating_add(ENOUGH_VERSIONS), extent.oldest.saturating_add(MOST_VERSIONS));
    let near = || extent.checkpoints.range(extent.oldest + 1..enough).rev().find(is_safe);
    let Some(safe) = extent.checkpoints.range(enough..=until).next().filter(is_safe).or_else(near) else { return Ok(0) };
    let mut deleted = 0;
    for version in extent.oldest..*safe {
        // The checkpoint first: without its commit it would look like the newest of a log that lost commits.
        for name in [checkpoint_name(version), commit_name(version)] {
            if is_old(name.clone()) {
                durable::remove_if_there(&log.join(name))?;
                deleted += 1;
            }
        }
        if fs::symlink_metadata(log.join(commit_name(version))).is_ok() {
            break;
        }
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_old_and_before_an_old_checkpoint_goes_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30);
        let write = |name: String, age: u64| {
            let file = fs::File::create(dir.path().join(name)).unwrap();
            file.set_modified(now - Duration::from_secs(age)).unwrap();
        };
        for version in 0..100 {
            write(commit_name(version), 1_000 - version);
        }
        let checkpoints = [19, 39, 59, 79];
        checkpoints.iter().for_each(|version| write(checkpoint_name(*version), 1_000 - version));
        let extent = |oldest| Extent { oldest, checkpoints: checkpoints.into(), ..Extent::default() };
        let left = || {
            let mut left: Vec<String> =
                fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            left.sort();
            left
        };
        // Of checkpoint 19 the commit is old and no later checkpoint is.
        assert_eq!(delete_oldest(dir.path(), &extent(0), now - Duration::from_secs(970)).unwrap(), 19);
        assert_eq!(left()[0], checkpoint_name(19));
        assert_eq!(left().len(), 104 - 19);
        assert_eq!(delete_oldest(dir.path(), &extent(19), now - Duration::from_secs(970)).unwrap(), 0);
        // All is old: what comes before the last checkpoint goes, checkpoints as well, some versions at a time.
        assert_eq!(delete_oldest(dir.path(), &extent(19), now).unwrap(), 40 + 2);
        assert_eq!(delete_oldest(dir.path(), &extent(59), now).unwrap(), 20 + 1);
        assert_eq!(left()[0], checkpoint_name(79));
        assert_eq!(left()[1], commit_name(79));
        assert_eq!(left().len(), 22);
    }

    #[test]
    fn no_more_than_some_versions_go_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        for version in 0..1_000 {
            fs::write(dir.path().join(commit_name(version)), "").unwrap();
        }
        let checkpoints: BTreeSet<u64> = (0..50).map(|n| n * 20 + 19).collect();
        checkpoints.iter().for_each(|version| fs::write(dir.path().join(checkpoint_name(*version)), "").unwrap());
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 35);
        assert_eq!(delete_oldest(dir.path(), &Extent { checkpoints, ..Extent::default() }, later).unwrap(), 39 + 1);
        assert!(!dir.path().join(commit_name(38)).exists() && dir.path().join(commit_name(39)).exists());
    }
}
