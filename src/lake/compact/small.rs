//! Merging behind a landing: of drops that come every few minutes a table would get a file each. They are merged as they come, so
//! that a table that is never compacted stays a few files, and none of the imports takes much longer than the others.
//!
//! Files of a month are counted by the power of [`FAN`] that their rows reach. When [`FAN`] files of one power have come together
//! they become one of the next, along with all that are smaller. So a row moves once a power, and a month has less than [`FAN`]
//! files of each. What is larger than a landing may merge, and what a large landing
//! leaves, is left to compaction.

use std::collections::BTreeMap;

use super::expire::expire;
use super::tiers::{MOST_INPUTS, is_changing, is_outdated};
use super::{CompactOptions, CompactReport, Replacement, commit, delete, merge};
use crate::Lake;
use crate::blocking::run_blocking;
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
const MERGED_ROWS: u64 = 16_384;
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
/// Some of what is no longer needed is deleted once in so many versions, about.
const CLEAN_EVERY: i64 = 64;

/// Merges small files of a table that has just got some rows, in a commit of its own.
///
/// # Errors
/// As for [`Lake::compact`]; the table has its rows in either case.
pub(crate) async fn merge_small(
    lake: &Lake,
    def: &'static TableDef,
    landed: u64,
    options: &CompactOptions,
) -> Result<CompactReport, LakeError> {
    let mut report = CompactReport::default();
    if landed > DROP_ROWS {
        return Ok(report);
    }
    let Some(snapshot) = lake.snapshot(def).await? else { return Ok(report) };
    if snapshot.layout().partitioning == Partitioning::Day {
        return Ok(report);
    }
    let today = day_of(lake.now_millis().saturating_mul(1_000));
    let work = plan(&snapshot, today, MERGED_ROWS.max(landed.saturating_mul(LANDED_TIMES)));
    if work.is_empty() {
        return Ok(report);
    }
    let _lease = lake.lease(def)?;
    let mut replacements = Vec::new();
    for (partition, inputs) in &work {
        match join(&snapshot, inputs, *partition, options).await {
            Ok(replacement) => replacements.push(replacement),
            Err(error) => {
                delete(snapshot.dir(), &replacements);
                return Err(error);
            }
        }
    }
    commit(lake, def, replacements, &mut report).await?;
    let Some(now) = lake.snapshot(def).await? else { return Ok(report) };
    report.version = Some(now.version());
    if now.version() % CLEAN_EVERY < FAN as i64 {
        now.check_files()?;
        report.deleted = expire(lake, def, options.grace).await?;
    }
    Ok(report)
}

/// Merges files: a few rows in memory, since planning a query over their files would take longer than all the rest.
async fn join(
    snapshot: &TableSnapshot,
    inputs: &[usize],
    partition: Partition,
    options: &CompactOptions,
) -> Result<Replacement, LakeError> {
    let def = snapshot.def();
    let files: Vec<&LiveFile> = inputs.iter().map(|at| &snapshot.files()[*at]).collect();
    let (layout, dir) = (snapshot.layout().clone(), snapshot.dir().to_owned());
    let entries: Vec<FileEntry> = files.iter().map(|file| file.entry.clone()).collect();
    let work = move || join_small(&layout, &dir, &entries).map(|joined| (joined, entries));
    let (joined, entries) = run_blocking(def.name, work).await??;
    let Some((outputs, written)) = joined else {
        return merge(snapshot, inputs, snapshot.layout(), partition, Effort::Landing, options).await;
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

/// The files to merge, by their positions in the snapshot, a list for each partition that has enough of them. `today` is in days
/// since 1970, and `budget` in rows for all of them together.
fn plan(snapshot: &TableSnapshot, today: i32, mut budget: u64) -> Vec<(Partition, Vec<usize>)> {
    let (def, files) = (snapshot.def(), snapshot.files());
    let mut groups: BTreeMap<(Partition, bool), Vec<(u64, usize)>> = BTreeMap::new();
    for (at, file) in files.iter().enumerate().filter(|(_, file)| !is_outdated(def, file)) {
        groups.entry((file.partition, is_changing(def, file, today))).or_default().push((weight(file), at));
    }
    let most = 1 + groups.len() / GROUPS_PART;
    let mut out = Vec::new();
    for ((partition, changing), mut group) in groups {
        if out.len() == most {
            break;
        }
        group.sort_unstable();
        let weights: Vec<u64> = group.iter().map(|(weight, _)| *weight).collect();
        let merged = pick(&weights, if changing { budget.min(CHANGING_ROWS) } else { budget });
        if merged > 0 {
            budget = budget.saturating_sub(weights[..merged].iter().sum());
            out.push((partition, group[..merged].iter().map(|(_, at)| *at).collect()));
        }
    }
    out
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
