//! What shows that a file has not changed, without reading it: its size, its times and its inode.
//!
//! Two writes within one tick of the file system's clock leave the same times. So a file whose times lie within a few seconds of
//! the listing, or after it, has no stamp: its content alone says whether it has changed. What is trusted is that a write that
//! keeps the size changes one of the times, and that the file system's clock does not lag behind by more than it ticks.

use std::fs::Metadata;
use std::time::UNIX_EPOCH;

/// The coarsest tick of a file system that is reckoned with (FAT has two seconds), and a little more; in microseconds.
const TICK: i128 = 3_000_000;

/// The stamp of a regular file whose metadata was read not before `now` (microseconds since 1970).
pub(crate) fn stamp(meta: &Metadata, now: i64) -> Option<String> {
    if meta.is_file() { times(meta)?.stamp(meta.len(), now) } else { None }
}

/// What the file system says of a file's changes.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// Nanoseconds since 1970 of the last write.
    written: i128,
    /// The same of the last change of its entry; elsewhere than on Unix, of its making.
    changed: i128,
    /// The inode; 0 where there is none.
    inode: u64,
}

impl Times {
    /// The stamp, unless the file may have been written again within the same tick.
    fn stamp(self, size: u64, now: i64) -> Option<String> {
        let Times { written, changed, inode } = self;
        let at_rest = |nanoseconds: i128| nanoseconds / 1_000 + TICK < i128::from(now);
        (at_rest(written) && at_rest(changed)).then(|| format!("{size} {written} {changed} {inode}"))
    }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere a file system may not say")]
fn times(meta: &Metadata) -> Option<Times> {
    use std::os::unix::fs::MetadataExt as _;
    let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    let (written, changed) = (nanoseconds(meta.mtime(), meta.mtime_nsec()), nanoseconds(meta.ctime(), meta.ctime_nsec()));
    Some(Times { written, changed, inode: meta.ino() })
}

#[cfg(not(unix))]
fn times(meta: &Metadata) -> Option<Times> {
    let since = |time: std::io::Result<std::time::SystemTime>| time.ok()?.duration_since(UNIX_EPOCH).ok();
    let nanoseconds = |time| i128::try_from(since(time)?.as_nanos()).ok();
    Some(Times { written: nanoseconds(meta.modified())?, changed: nanoseconds(meta.created())?, inode: 0 })
}

/// When a file was written, in microseconds since 1970.
pub(crate) fn written(meta: &Metadata) -> Option<i64> {
    let since = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_micros()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_has_come_to_rest_has_a_stamp() {
        let times = Times { written: 10_000_000_000, changed: 20_000_000_000, inode: 7 };
        assert_eq!(times.stamp(5, 20_000_000), None);
        // A second write may still come within the same tick.
        assert_eq!(times.stamp(5, 23_000_000), None);
        let at_rest = times.stamp(5, 23_000_001);
        assert!(at_rest.is_some());
        // A clock that was put back: the times lie ahead.
        assert_eq!(times.stamp(5, 15_000_000), None);
        let other = |times: Times, size| times.stamp(size, 60_000_000);
        assert_eq!(other(times, 5), at_rest);
        for other in [
            other(times, 6),
            other(Times { written: 10_000_000_001, ..times }, 5),
            // Other content of the same size whose time was put back.
            other(Times { changed: 20_000_000_001, ..times }, 5),
            other(Times { inode: 8, ..times }, 5),
        ] {
            assert!(other.is_some() && other != at_rest);
        }
    }

    #[test]
    fn a_file_has_a_stamp_and_a_folder_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "one").unwrap();
        let meta = std::fs::metadata(&path).unwrap();
        assert_eq!(stamp(&meta, 0), None);
        assert!(stamp(&meta, i64::MAX).is_some_and(|stamp| stamp.starts_with("3 ")));
        assert_eq!(stamp(&std::fs::metadata(folder.path()).unwrap(), i64::MAX), None);
    }
}
