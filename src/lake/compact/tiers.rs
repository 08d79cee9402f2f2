//! Which files are merged: in tiers, so that a row is rewritten a few times and not every night.
//!
//! Files of one group are merged when none of them is much larger than all that are smaller: what lands each night is merged with
//! what landed on the nights before only when that has become as much. A group then holds few files, each some times as large as
//! the one before, and each row has moved as often as there are such steps.

use std::collections::{BTreeMap, BTreeSet};

use crate::partition::Partition;
use crate::read::snapshot::{LiveFile, TableSnapshot};
use crate::tables::TableDef;

/// Files that are merged at a time: each has a batch in memory.
pub(super) const MOST_INPUTS: usize = 96;
/// Bytes of a file that are in memory while it is merged, and of all of them, about.
const INPUT_BYTES: u64 = 8 << 20;
const MOST_BYTES: u64 = 192 << 20;
/// How many times the size of all smaller files a file that is merged with them may have.
const SLACK: u64 = 2;
/// Files below this size count as if they had it: they are cheaper to rewrite than to keep.
const LEAST_BYTES: u64 = 1 << 20;
/// Days after which the records of a day no longer change, about. Until then their rows stay in files of their own, which are
/// small, since a row that is replaced has its file rewritten.
const CHANGING_DAYS: i32 = 4;

/// The files to merge, by their positions in the snapshot: lists of files of one partition that have something to gain and can be
/// read. `today` is in days since 1970.
pub(super) fn plan(snapshot: &TableSnapshot, target_bytes: u64, today: i32, without: &BTreeSet<Partition>) -> Vec<Vec<usize>> {
    let def = snapshot.def();
    let files = snapshot.files();
    let mut groups: BTreeMap<(Partition, Option<i32>, bool), Vec<usize>> = BTreeMap::new();
    for (at, file) in files.iter().enumerate().filter(|(_, file)| !without.contains(&file.partition)) {
        let outdated = is_outdated(def, file);
        let changing = is_changing(def, file, today).then_some(*file.days.end());
        if outdated || file.size() < target_bytes / 2 {
            groups.entry((file.partition, changing, outdated)).or_default().push(at);
        }
    }
    let mut out = Vec::new();
    for ((_, _, outdated), mut group) in groups {
        group.sort_by(|a, b| (files[*a].size(), files[*a].path()).cmp(&(files[*b].size(), files[*b].path())));
        if !outdated {
            let sizes: Vec<u64> = group.iter().map(|at| files[*at].size()).collect();
            group.truncate(tier(&sizes));
        }
        group.truncate(most(group.iter().map(|at| files[*at].size())));
        if !group.is_empty() {
            out.push(group);
        }
    }
    out
}

/// True for a file that a merge brings to the form that files have now.
fn is_outdated(def: &TableDef, file: &LiveFile) -> bool {
    !file.clustered || file.rows.is_none() || file.promoted.set != def.promoted_set()
}

/// True for a file whose records may still change.
pub(super) fn is_changing(def: &TableDef, file: &LiveFile, today: i32) -> bool {
    !def.versions.is_empty() && *file.days.end() > today.saturating_sub(CHANGING_DAYS)
}

/// How many of some files can be merged at a time.
fn most(sizes: impl Iterator<Item = u64>) -> usize {
    let mut bytes = 0;
    let fits = |size: u64| {
        bytes += size.min(INPUT_BYTES);
        bytes <= MOST_BYTES
    };
    sizes.map(fits).take(MOST_INPUTS).take_while(|fits| *fits).count()
}

/// How many of some files, by their ascending sizes, are merged into one.
fn tier(sizes: &[u64]) -> usize {
    let (mut smaller, mut merged) = (0u64, 0);
    for (at, size) in sizes.iter().map(|size| (*size).max(LEAST_BYTES)).enumerate() {
        if at > 0 && size <= smaller.saturating_mul(SLACK) {
            merged = at + 1;
        }
        smaller = smaller.saturating_add(size);
    }
    merged
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;
    use crate::tables::find;
    use crate::{Lake, Position, RowBuilder};
    use kqlake_value::US_PER_DAY;

    const MB: u64 = 1 << 20;

    /// A snapshot of a table with a row of each of these days since 1970, each in a file of its own.
    async fn files_of(def: &'static TableDef, days: &[i64]) -> (tempfile::TempDir, TableSnapshot) {
        let dir = tempfile::tempdir().expect("a folder");
        let lake = Lake::new(dir.path());
        for (number, day) in days.iter().enumerate() {
            let mut row = RowBuilder::new(def);
            row.set_datetime_us(def.index_of(def.time).expect("a time"), day * US_PER_DAY);
            row.set_str(def.index_of(def.key[0]).expect("a key"), &format!("row {number}"));
            row.end_row();
            let mut landing = lake.land(def).await.expect("a landing");
            landing.write(row.finish().expect("a row")).await.expect("written");
            let position = Position { stream: "s".into(), cursor: number.into(), import_id: "i".into() };
            landing.commit(position).await.expect("committed");
        }
        let snapshot = lake.snapshot(def).await.expect("a snapshot").expect("a table");
        (dir, snapshot)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn files_are_merged_with_those_of_their_month_and_days_that_still_change_by_themselves() {
        let planned = |snapshot: &TableSnapshot, target, today, without: &BTreeSet<Partition>| {
            let day = |at: &usize| *snapshot.files()[*at].days.end();
            let groups = plan(snapshot, target, today, without);
            groups
                .iter()
                .map(|group| {
                    let mut days: Vec<i32> = group.iter().map(day).collect();
                    days.sort_unstable();
                    days
                })
                .collect::<Vec<_>>()
        };
        let (none, days) = (BTreeSet::new(), [5, 6, 6, 7, 40, 41, 80]);
        let (_dir, traces) = files_of(find("traces").expect("a table"), &days).await;
        let (january, february) = (vec![5, 6, 6, 7], vec![40, 41]);
        // Records without versions do not change.
        assert_eq!(planned(&traces, 64 * MB, 8, &none), [january.clone(), february.clone()]);
        let broken = traces.files().iter().filter(|file| *file.days.end() < 31).map(|file| file.partition).collect();
        assert_eq!(planned(&traces, 64 * MB, 8, &broken), slice::from_ref(&february));
        // Files of half the size that files should have are left alone.
        assert!(planned(&traces, 2, 8, &none).is_empty());
        let (_dir, calls) = files_of(find("CallRecords").expect("a table"), &days).await;
        assert_eq!(planned(&calls, 64 * MB, 8, &none), [vec![6, 6]]);
        assert_eq!(planned(&calls, 64 * MB, 10, &none), [vec![5, 6, 6]]);
        assert_eq!(planned(&calls, 64 * MB, 11, &none), slice::from_ref(&january));
        assert_eq!(planned(&calls, 64 * MB, 100, &none), [january, february]);
    }

    #[test]
    fn files_are_merged_when_none_is_much_larger_than_the_smaller_ones_together() {
        for (sizes, merged) in [
            (&[][..], 0),
            (&[5], 0),
            (&[1, 2], 2),
            (&[MB, 3 * MB], 0),
            (&[MB, 2 * MB], 2),
            (&[MB, 3 * MB, 3 * MB], 3),
            (&[1, 2, 3, 100 * MB], 3),
        ] {
            assert_eq!(tier(sizes), merged, "{sizes:?}");
        }
    }

    #[test]
    fn as_many_files_are_merged_at_a_time_as_fit_into_memory() {
        for (sizes, fit) in [
            (vec![MOST_BYTES; 2], 2),
            (vec![INPUT_BYTES; 24], 24),
            // Of a large file a part is in memory.
            (vec![10 * INPUT_BYTES; 25], 24),
            (vec![INPUT_BYTES / 2; 47], 47),
            (vec![INPUT_BYTES / 2; 49], 48),
            (vec![1; 200], MOST_INPUTS),
        ] {
            assert_eq!(most(sizes.iter().copied()), fit, "{} of {}", sizes.len(), sizes[0]);
        }
    }

    #[test]
    fn nightly_files_of_a_year_move_a_few_times() {
        let (mut files, mut written, mut most) = (Vec::new(), 0, 0);
        for _ in 0..365 {
            files.push(10 * MB);
            loop {
                files.sort_unstable();
                let merged = tier(&files);
                if merged == 0 {
                    break;
                }
                let size: u64 = files.drain(..merged).sum();
                written += size;
                files.push(size);
            }
            most = most.max(files.len());
        }
        assert!(most <= 8, "{most} files");
        assert!(written <= 12 * 3650 * MB, "rows moved {} times", written / (3650 * MB));
    }
}
