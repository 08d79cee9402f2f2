//! Merging behind a landing: of drops that come every few minutes a table would get a file each. They are merged as they come, so
//! that a table that is never compacted stays a few files, and none of the imports takes much longer than the others.
//!
//! Files of a month are counted by the power of [`FAN`] that their rows reach. When [`FAN`] files of one power have come together
//! they become one of the next, along with all that are smaller. So a row moves once a power, and a month has less than [`FAN`]
//! files of each. What is larger than a landing may merge, and what a large landing
//! leaves, is left to compaction.

use std::collections::{BTreeMap, HashSet};

use super::tiers::{MOST_INPUTS, is_changing};
use super::{CompactOptions, CompactReport, Replacement, UpkeepReport, commit, delete, merge_by_query};
use crate::Lake;
use crate::blocking::run_blocking;
use crate::data::copies::merge_by_copying;
use crate::data::file::{check_bytes, weight};
use crate::data::writer::Effort;
use crate::day::day_of;
use crate::error::LakeError;
use crate::log::entry::FileEntry;
use crate::partition::{Partition, Partitioning};
use crate::read::snapshot::{LiveFile, TableSnapshot};
use crate::tables::TableDef;
use crate::write::rewrite::{MOST_IN_MEMORY, merge_in_memory};

/// How many files of one power of it are merged.
const FAN: usize = 8;
/// Rows that may be merged behind any landing.
const MERGED_ROWS: u64 = 32_768;
/// Rows of them that are decoded, sorted and encoded behind any landing; of a larger one as many as it has.
const SORTED_ROWS: u64 = 1_024;
/// How many times the rows of a landing may be merged behind it.
const LANDED_TIMES: u64 = 8;
/// A landing of more rows is no drop: nothing is merged behind it, since its own files would be written twice.
const DROP_ROWS: u64 = 65_536;
/// Rows that files are merged to whose records still change: a row that is replaced has its file rewritten.
const CHANGING_ROWS: u64 = 4_096;
/// The part of a table's groups of files that are merged in one run, and one more: those that are due together are spread.
const GROUPS_PART: usize = 4;
/// How overdue merging small files is for a table that has just got some rows, in percent: 0 when there is nothing to merge.
pub(super) fn merging(lake: &Lake, snapshot: &TableSnapshot, landed: u64) -> u64 {
    work(lake, snapshot, landed).groups.iter().map(|group| (group.files.len() * 100 / FAN).max(100) as u64).max().unwrap_or(0)
}

/// Merges small files of a table that has just got some rows, in a commit of its own. What cannot be read is left out, and the report
/// says it; so is a group that cannot be merged, in whose place the next one is.
///
/// # Errors
/// As for [`Lake::compact`]; the table has its rows in either case.
pub(super) async fn merge_small(
    lake: &Lake,
    def: &'static TableDef,
    landed: u64,
    options: &CompactOptions,
) -> Result<UpkeepReport, LakeError> {
    let mut report = UpkeepReport::default();
    let Some(snapshot) = lake.snapshot(def).await? else { return Ok(report) };
    let work = work(lake, &snapshot, landed);
    if work.groups.is_empty() {
        return Ok(report);
    }
    let _lease = lake.lease(def)?;
    let (mut replacements, mut budget) = (Vec::new(), work.budget);
    for group in &work.groups {
        if replacements.len() == work.most || group.cost > budget {
            break;
        }
        match merge_group(&snapshot, group, SORTED_ROWS.max(landed), options, &mut report.left).await {
            Ok(Some(replacement)) => {
                replacements.push(replacement);
                budget -= group.cost;
            }
            Ok(None) => {}
            Err(error) => report.left.push(error),
        }
    }
    let mut committed = CompactReport::default();
    commit(lake, def, replacements, &mut HashSet::new(), &mut committed).await?;
    Ok(UpkeepReport { is_done: committed.merged > 0, merged: committed.merged, written: committed.written, ..report })
}

/// What there is to merge: groups of files, of which so many are merged at a time, of so many rows.
struct Work {
    groups: Vec<Group>,
    most: usize,
    budget: u64,
}

/// Files of a partition that are merged, by their positions in the snapshot, and how many rows they cost.
struct Group {
    partition: Partition,
    files: Vec<usize>,
    cost: u64,
}

/// What may be merged behind a landing of so many rows.
fn work(lake: &Lake, snapshot: &TableSnapshot, landed: u64) -> Work {
    if landed > DROP_ROWS || snapshot.layout().partitioning == Partitioning::Day {
        return Work { groups: Vec::new(), most: 0, budget: 0 };
    }
    let today = day_of(lake.now_millis().saturating_mul(1_000));
    plan(snapshot, today, MERGED_ROWS.max(landed.saturating_mul(LANDED_TIMES)))
}

/// Merges files of a group, without those that cannot be read: few rows in memory, since planning a query over their files would take
/// longer than all the rest, and more as they are, where they fit together. `None` where nothing is left to merge.
async fn merge_group(
    snapshot: &TableSnapshot,
    group: &Group,
    sorted: u64,
    options: &CompactOptions,
    left: &mut Vec<LakeError>,
) -> Result<Option<Replacement>, LakeError> {
    let (def, partition) = (snapshot.def(), group.partition);
    let (layout, dir) = (snapshot.layout().clone(), snapshot.dir().to_owned());
    let entries: Vec<(usize, FileEntry)> = group.files.iter().map(|at| (*at, snapshot.files()[*at].entry.clone())).collect();
    let is_sorted = group.cost <= sorted.min(MOST_IN_MEMORY);
    let work = move || {
        let (mut whole, mut entries_of_whole, mut broken) = (Vec::new(), Vec::new(), Vec::new());
        for (at, entry) in entries {
            match check_bytes(def.name, &dir, &entry) {
                Ok(()) => {
                    whole.push(at);
                    entries_of_whole.push(entry);
                }
                Err(error) => broken.push(error),
            }
        }
        let merged = match (entries_of_whole.len(), is_sorted) {
            (0 | 1, _) => Ok(None),
            (_, true) => merge_in_memory(&layout, &dir, &entries_of_whole).map(Some),
            (_, false) => {
                let copied = merge_by_copying(&layout, &dir, partition, &entries_of_whole);
                copied.map(|copied| copied.map(|(file, rows)| (vec![file], rows)))
            }
        };
        (merged, whole, entries_of_whole, broken)
    };
    let (merged, whole, inputs, broken) = run_blocking(def.name, work).await?;
    left.extend(broken);
    if whole.len() < 2 {
        return Ok(None);
    }
    let Some((outputs, written)) = merged? else {
        return merge_by_query(snapshot, &whole, snapshot.layout(), partition, Effort::Landing, options).await.map(Some);
    };
    let replacement = Replacement { inputs, outputs };
    let known: Option<u64> = whole.iter().map(|at| snapshot.files()[*at].rows).sum();
    if known != Some(written) || replacement.outputs.iter().any(|file| file.partition != partition) {
        delete(snapshot.dir(), &[replacement]);
        let reason = format!("merging {} files gave {written} rows of {}", whole.len(), known.unwrap_or(0));
        return Err(LakeError::Shape { table: def.name, reason });
    }
    Ok(Some(replacement))
}

/// The files to merge, of each partition that has enough of them, those that have the most first. `today` is in days since 1970, and
/// `budget` in rows for all of them together.
fn plan(snapshot: &TableSnapshot, today: i32, budget: u64) -> Work {
    let (def, files) = (snapshot.def(), snapshot.files());
    let mut groups: BTreeMap<(Partition, bool), Vec<(u64, usize)>> = BTreeMap::new();
    let has_layout = |file: &LiveFile| snapshot.layout().columns_of(&file.entry).is_some();
    // What others wrote is for compaction.
    let is_known =
        |file: &LiveFile| file.rows.is_some() && file.promoted.set == def.promoted_set() && (file.clustered || has_layout(file));
    for (at, file) in files.iter().enumerate().filter(|(_, file)| is_known(file)) {
        groups.entry((file.partition, is_changing(def, file, today))).or_default().push((weight(&file.entry), at));
    }
    let most = 1 + groups.len() / GROUPS_PART;
    let mut found = Vec::new();
    for ((partition, changing), mut group) in groups {
        group.sort_unstable();
        let weights: Vec<u64> = group.iter().map(|(weight, _)| *weight).collect();
        let merged = pick(&weights, if changing { budget.min(CHANGING_ROWS) } else { budget });
        if merged > 0 {
            let files = group[..merged].iter().map(|(_, at)| *at).collect();
            found.push(Group { partition, files, cost: weights[..merged].iter().sum() });
        }
    }
    found.sort_by_key(|group| std::cmp::Reverse(group.files.len()));
    Work { groups: found, most, budget }
}

/// How many of some files, by their ascending weights, are merged within a budget.
fn pick(weights: &[u64], budget: u64) -> usize {
    let small = weights.partition_point(|weight| *weight <= budget / 2);
    let (mut merged, mut at, mut from_below) = (0, 0, 0);
    while at < small {
        let power = weights[at].ilog(FAN as u64);
        let next = at + weights[at..small].partition_point(|weight| weight.ilog(FAN as u64) == power);
        from_below = usize::from(next - at + from_below >= FAN);
        if from_below == 1 {
            merged = next;
        }
        at = next;
    }
    let mut sum = 0u64;
    let fits = |weight: &&u64| {
        let fits = sum.saturating_add(**weight) <= budget;
        sum += if fits { **weight } else { 0 };
        fits
    };
    let merged = weights[..merged].iter().take_while(fits).take(MOST_INPUTS).count();
    // A few files are only worth it when they become one that is not merged here again.
    if merged >= FAN || (merged > 1 && sum > budget / 2) { merged } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_merged_when_enough_of_one_power_have_come_together() {
        for (weights, merged) in [
            (&[][..], 0),
            (&[5; 7], 0),
            (&[5; 8], 8),
            (&[1, 1, 9, 9, 9, 9, 9, 9, 9, 9], 10),
            // One that is about to come of those below counts.
            (&[1, 1, 1, 1, 1, 1, 1, 1, 9, 9, 9, 9, 9, 9, 9], 15),
            // As many as fit, when they are worth it; those that are half as large as it goes stay.
            (&[3_200; 8], 5),
            (&[16_000; 20], 0),
        ] {
            assert_eq!(pick(weights, 16_384), merged, "{weights:?}");
        }
    }

    #[test]
    fn drops_of_a_month_stay_few_files_and_move_a_few_times() {
        let (mut files, mut moved, mut most) = (Vec::new(), 0, 0);
        for _ in 0..288 * 30 {
            files.push(50);
            files.sort_unstable();
            let merged = pick(&files, MERGED_ROWS);
            let rows: u64 = files.drain(..merged).sum();
            assert!(rows <= MERGED_ROWS);
            moved += rows;
            files.extend((rows > 0).then_some(rows));
            most = most.max(files.len());
        }
        assert_eq!(files.iter().sum::<u64>(), 288 * 30 * 50);
        assert!(most <= 60, "{most} files");
        assert!(moved <= 4 * 288 * 30 * 50, "rows moved {} times", moved / (288 * 30 * 50));
    }
}
