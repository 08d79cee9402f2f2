//! What a table needs from time to time, in steps that each take a part of the time of an import of a few rows: small files are merged,
//! or a checkpoint is written and what no reader needs any more is deleted. Each step says how overdue it is, so that whoever wrote into
//! several tables does the one that waited longest, and leaves the others for the next time.

use super::removed::delete_removed;
use super::small::{merge_small, merging};
use super::{CompactOptions, UpkeepReport};
use crate::Lake;
use crate::error::LakeError;
use crate::log::delta::CHECKPOINT_EVERY;
use crate::tables::TableDef;

/// A step of a table's upkeep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Upkeep {
    /// The log gets a checkpoint, and what was removed long ago is deleted, with commits that nobody needs.
    Checkpoint,
    /// Small files become one.
    Merge,
}

/// How overdue a step is, in percent of what makes it worth doing.
pub type Overdue = (u64, Upkeep);

/// The steps that are worth doing for a table that has just got some rows.
///
/// # Errors
/// The log cannot be read, or the table uses what is not implemented here.
pub(crate) async fn overdue(lake: &Lake, def: &'static TableDef, landed: u64) -> Result<Vec<Overdue>, LakeError> {
    let Some(log) = lake.log(def).await? else { return Ok(Vec::new()) };
    let Some(snapshot) = lake.snapshot(def).await? else { return Ok(Vec::new()) };
    let checkpoint = log.since_checkpoint(&lake.table_dir(def)) * 100 / CHECKPOINT_EVERY;
    let steps = [(checkpoint, Upkeep::Checkpoint), (merging(lake, &snapshot, landed), Upkeep::Merge)];
    Ok(steps.into_iter().filter(|(overdue, _)| *overdue >= 100).collect())
}

/// Does a step for a table that has just got some rows.
///
/// # Errors
/// As for [`Lake::compact`]; the table has its rows in either case.
pub(crate) async fn keep_up(
    lake: &Lake,
    def: &'static TableDef,
    landed: u64,
    step: Upkeep,
    options: &CompactOptions,
) -> Result<UpkeepReport, LakeError> {
    match step {
        Upkeep::Merge => merge_small(lake, def, landed, options).await,
        Upkeep::Checkpoint => checkpoint(lake, def, options).await,
    }
}

async fn checkpoint(lake: &Lake, def: &'static TableDef, options: &CompactOptions) -> Result<UpkeepReport, LakeError> {
    let mut report = UpkeepReport::default();
    let removed = {
        let turn = lake.turn(def);
        let _turn = turn.lock().await;
        let Some(log) = lake.log(def).await? else { return Ok(report) };
        let (log, removed) = log.checkpointed(&lake.table_dir(def), lake.now_millis()).await?;
        lake.keep_log(def, log);
        removed.unwrap_or(0)
    };
    report.is_done = true;
    // The log has its checkpoint, whatever becomes of this.
    match delete_removed_of_whole(lake, def, removed, options).await {
        Ok(deleted) => report.deleted = deleted,
        Err(error) => report.left.push(error),
    }
    Ok(report)
}

/// Deletes removed files of a table that has all its live ones: of another one they may be needed to repair it.
async fn delete_removed_of_whole(
    lake: &Lake,
    def: &'static TableDef,
    removed: usize,
    options: &CompactOptions,
) -> Result<usize, LakeError> {
    let Some(now) = lake.snapshot(def).await? else { return Ok(0) };
    now.check_files()?;
    delete_removed(lake, def, removed, options.grace).await
}
