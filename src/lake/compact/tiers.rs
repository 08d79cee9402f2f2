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
    // Two at least, or nothing is ever merged.
    sizes.map(fits).take(MOST_INPUTS).take_while(|fits| *fits).count().max(2)
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
    use super::*;

    const MB: u64 = 1 << 20;

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
