//! Tables of the first form are divided by day: their rows come into files of months, all in one commit.
//!
//! A table has one way of being divided, which its metadata says for all of its files. So the commit that changes it removes every
//! file and adds others with the same rows; readers see the table before it or after it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::merge::{Replacement, merge_by_query};
use super::{CompactOptions, CompactReport, delete};
use crate::Lake;
use crate::data::writer::Effort;
use crate::error::LakeError;
use crate::fault::Step;
use crate::log::delta::{Change, CommitError};
use crate::partition::{Partition, Partitioning};
use crate::read::snapshot::TableSnapshot;
use crate::retry::TRIES;
use crate::tables::TableDef;

/// Brings a table that is divided by day to months; gives its new version. What lands meanwhile comes with it.
///
/// # Errors
/// A file cannot be read, the disk refuses, or others committed every time; with the partition that was being read. The table is as
/// it was then.
pub(super) async fn divide(
    lake: &Lake,
    def: &'static TableDef,
    options: &CompactOptions,
    report: &mut CompactReport,
) -> Result<TableSnapshot, (Partition, LakeError)> {
    let nowhere = |e: LakeError| (Partition { by: Partitioning::Day, first: 0 }, e);
    let mut made: BTreeMap<Partition, (BTreeSet<String>, Replacement)> = BTreeMap::new();
    for _ in 0..TRIES {
        let gone = || LakeError::Log { table: def.name, source: "the table is gone".into() };
        let snapshot = lake.snapshot(def).await.map_err(nowhere)?.ok_or_else(gone).map_err(nowhere)?;
        if snapshot.layout().partitioning == Partitioning::Month {
            made.values().for_each(|(_, unused)| delete(snapshot.dir(), std::slice::from_ref(unused)));
            return Ok(snapshot);
        }
        if let Err(e) = write_months(&snapshot, &mut made, options).await {
            made.values().for_each(|(_, unused)| delete(snapshot.dir(), std::slice::from_ref(unused)));
            return Err(e);
        }
        let turn = lake.turn(def);
        let _turn = turn.lock().await;
        lake.fault().pass(Step::BeforeCompactCommit).map_err(|stopped| nowhere(stopped.into()))?;
        let log = lake.log(def).await.map_err(nowhere)?.ok_or_else(gone).map_err(nowhere)?;
        if log.version() != snapshot.version() {
            continue;
        }
        let replacements = || made.values().map(|(_, replacement)| replacement);
        let change = Change {
            add: replacements().flat_map(|r| r.outputs.iter().cloned()).collect(),
            remove: replacements().flat_map(|r| r.inputs.iter().cloned()).collect(),
            data_change: false,
            months: Some(def),
            ..Change::default()
        };
        let (written, merged) = (change.add.len(), change.remove.len());
        match log.commit(change, snapshot.dir(), lake.now_millis()).await {
            Ok(log) => lake.keep_log(def, log),
            Err(CommitError::Behind) => continue,
            Err(CommitError::Failed(e)) => {
                replacements().for_each(|unused| delete(snapshot.dir(), std::slice::from_ref(unused)));
                return Err(nowhere(e));
            }
            Err(CommitError::Unknown(e)) => return Err(nowhere(e)),
        }
        report.written += written;
        report.merged += merged;
        return lake.snapshot(def).await.map_err(nowhere)?.ok_or_else(gone).map_err(nowhere);
    }
    let dir = lake.table_dir(def);
    made.values().for_each(|(_, unused)| delete(&dir, std::slice::from_ref(unused)));
    Err(nowhere(LakeError::Busy { table: def.name, attempts: TRIES }))
}

/// Writes the files of the months whose files are not those that they were made of.
async fn write_months(
    snapshot: &TableSnapshot,
    made: &mut BTreeMap<Partition, (BTreeSet<String>, Replacement)>,
    options: &CompactOptions,
) -> Result<(), (Partition, LakeError)> {
    let layout = Arc::new(snapshot.layout().by_month());
    let mut months: BTreeMap<Partition, Vec<usize>> = BTreeMap::new();
    for (at, file) in snapshot.files().iter().enumerate() {
        let month = Partition { by: Partitioning::Month, first: file.partition.month() };
        months.entry(month).or_default().push(at);
    }
    made.retain(|month, (_, unused)| {
        let stays = months.contains_key(month);
        if !stays {
            delete(snapshot.dir(), std::slice::from_ref(unused));
        }
        stays
    });
    for (month, inputs) in months {
        let names: BTreeSet<String> = inputs.iter().map(|at| snapshot.files()[*at].path().to_owned()).collect();
        if made.get(&month).is_some_and(|(of, _)| *of == names) {
            continue;
        }
        if let Some((_, unused)) = made.remove(&month) {
            delete(snapshot.dir(), &[unused]);
        }
        let first = inputs.first().map_or(month, |at| snapshot.files()[*at].partition);
        let replacement = merge_by_query(snapshot, &inputs, &layout, month, Effort::Compaction, options).await.map_err(|e| {
            let of = e.broken_file().and_then(|broken| {
                let broken = |at: &&usize| snapshot.dir().join(snapshot.files()[**at].path()) == *broken;
                inputs.iter().find(broken).map(|at| snapshot.files()[*at].partition)
            });
            (of.unwrap_or(first), e)
        })?;
        made.insert(month, (names, replacement));
    }
    Ok(())
}
