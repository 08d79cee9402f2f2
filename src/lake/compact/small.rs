//! Merging behind a landing: of drops that come every few minutes a table would get a file each. They are merged as they come, so
//! that a table that is never compacted stays a few files, and none of the imports takes much longer than the others.
//!
//! Files of a month are counted by the power of [`FAN`] that their rows reach. When [`FAN`] files of one power have come together
//! they become one of the next, along with all that are smaller. So a row moves once a power, and a month has less than [`FAN`]
//! files of each. What is larger than a landing may merge, and what a large landing
//! leaves, is left to compaction.

use std::collections::BTreeMap;

use super::tiers::{MOST_INPUTS, is_changing};
use super::{CompactOptions, CompactReport, Replacement, commit, delete, merge};
use crate::Lake;
use crate::blocking::run_blocking;
use crate::data::copies::copy_all;
use crate::data::layout::TAG_LAYOUT;
use crate::data::writer::Effort;
use crate::day::day_of;
use crate::error::LakeError;
use crate::log::entry::FileEntry;
use crate::partition::{Partition, Partitioning};
use crate::read::snapshot::{LiveFile, TableSnapshot};
use crate::tables::TableDef;
use crate::write::rewrite::join_small;

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
/// Bytes that a row has in its file at most; wider rows count as several.
const ROW_BYTES: u64 = 1_024;

/// How overdue merging small files is for a table that has just got some rows, in percent: 0 when there is nothing to merge.
pub(super) fn merging(lake: &Lake, snapshot: &TableSnapshot, landed: u64) -> u64 {
    let work = work(lake, snapshot, landed);
    work.iter().map(|group| (group.files.len() * 100 / FAN).max(100) as u64).max().unwrap_or(0)
}

/// Merges small files of a table that has just got some rows, in a commit of its own.
///
/// # Errors
/// As for [`Lake::compact`]; the table has its rows in either case.
pub(super) async fn merge_small(
    lake: &Lake,
    def: &'static TableDef,
    landed: u64,
    options: &CompactOptions,
) -> Result<CompactReport, LakeError> {
    let mut report = CompactReport::default();
    let Some(snapshot) = lake.snapshot(def).await? else { return Ok(report) };
    let work = work(lake, &snapshot, landed);
    if work.is_empty() {
        return Ok(report);
    }
    let _lease = lake.lease(def)?;
    let mut replacements = Vec::new();
    for group in &work {
        match join(&snapshot, group, SORTED_ROWS.max(landed), options).await {
            Ok(replacement) => replacements.push(replacement),
            Err(error) => {
                delete(snapshot.dir(), &replacements);
                return Err(error);
            }
        }
    }
    commit(lake, def, replacements, &mut report).await?;
    report.version = lake.snapshot(def).await?.map(|now| now.version());
    Ok(report)
}

/// Files of a partition that are merged, by their positions in the snapshot, and how many rows they cost.
struct Group {
    partition: Partition,
    files: Vec<usize>,
    cost: u64,
}

/// What is merged behind a landing of so many rows.
fn work(lake: &Lake, snapshot: &TableSnapshot, landed: u64) -> Vec<Group> {
    if landed > DROP_ROWS || snapshot.layout().partitioning == Partitioning::Day {
        return Vec::new();
    }
    let today = day_of(lake.now_millis().saturating_mul(1_000));
    plan(snapshot, today, MERGED_ROWS.max(landed.saturating_mul(LANDED_TIMES)))
}

/// Merges files: so many rows in memory, since planning a query over their files would take longer than all the rest, and more as they
/// are, where they fit together.
async fn join(snapshot: &TableSnapshot, group: &Group, sorted: u64, options: &CompactOptions) -> Result<Replacement, LakeError> {
    let (def, partition) = (snapshot.def(), group.partition);
    let files: Vec<&LiveFile> = group.files.iter().map(|at| &snapshot.files()[*at]).collect();
    let (layout, dir) = (snapshot.layout().clone(), snapshot.dir().to_owned());
    let entries: Vec<FileEntry> = files.iter().map(|file| file.entry.clone()).collect();
    let is_sorted = group.cost <= sorted;
    let work = move || {
        let joined = match is_sorted {
            true => join_small(&layout, &dir, &entries),
            false => copy_all(&layout, &dir, partition, &entries).map(|copied| copied.map(|(file, rows)| (vec![file], rows))),
        };
        joined.map(|joined| (joined, entries))
    };
    let (joined, entries) = run_blocking(def.name, work).await??;
    let Some((outputs, written)) = joined else {
        return merge(snapshot, &group.files, snapshot.layout(), partition, Effort::Landing, options).await;
    };
    let replacement = Replacement { inputs: entries, outputs };
    let known: Option<u64> = files.iter().map(|file| file.rows).sum();
    if known != Some(written) || replacement.outputs.iter().any(|file| file.partition != partition) {
        delete(snapshot.dir(), &[replacement]);
        let reason = format!("joining {} files gave {written} rows of {}", files.len(), known.unwrap_or(0));
        return Err(LakeError::Shape { table: def.name, reason });
    }
    Ok(replacement)
}

/// The files to merge, of each partition that has enough of them; where many have, of those that have the most. `today` is in days since
/// 1970, and `budget` in rows for all of them together.
fn plan(snapshot: &TableSnapshot, today: i32, mut budget: u64) -> Vec<Group> {
    let (def, files) = (snapshot.def(), snapshot.files());
    let mut groups: BTreeMap<(Partition, bool), Vec<(u64, usize)>> = BTreeMap::new();
    let has_layout = |file: &LiveFile| {
        let tag = file.entry.tags.get(TAG_LAYOUT).and_then(|tag| tag.as_deref());
        snapshot.layout().columns_by_tag(tag).is_some()
    };
    // What others wrote is for compaction.
    let is_known =
        |file: &LiveFile| file.rows.is_some() && file.promoted.set == def.promoted_set() && (file.clustered || has_layout(file));
    for (at, file) in files.iter().enumerate().filter(|(_, file)| is_known(file)) {
        groups.entry((file.partition, is_changing(def, file, today))).or_default().push((weight(file), at));
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
    let fits = |group: &Group| {
        let fits = group.cost <= budget;
        budget = budget.saturating_sub(group.cost);
        fits
    };
    found.into_iter().take(most).take_while(fits).collect()
}

/// What a file costs to merge, in rows.
fn weight(file: &LiveFile) -> u64 {
    file.rows.unwrap_or(0).max(file.size() / ROW_BYTES).max(1)
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
