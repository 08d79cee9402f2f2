//! Deleting behind an import what no reader needs any more: a bounded part, of what the log says alone. Looking through the folders of
//! a table, which finds what was left behind as well, is for compaction.

use std::collections::HashSet;
use std::time::Duration;

use crate::Lake;
use crate::data::writer::is_own_name;
use crate::error::LakeError;
use crate::log::actions::is_inside;
use crate::tables::TableDef;
use crate::write::position;

/// Files of a table that are deleted at a time, at least: in the order of a thousandth of a second.
const SOME_FILES: usize = 128;
/// How many times as many files are deleted as were removed since the checkpoint before, so that they become fewer however fast they are
/// replaced.
const REMOVED_TIMES: usize = 2;
/// Removed files that are looked at for each that is deleted: some are gone already, and those of others are not deleted here.
const LOOKED_TIMES: usize = 4;

/// Deletes some files of ours that the log removed longer ago than readers may need them, and some of the log's own files, when so many
/// were `removed` since the checkpoint before. Gives how many data files.
pub(super) async fn delete_removed(
    lake: &Lake,
    def: &'static TableDef,
    removed: usize,
    grace: Duration,
) -> Result<usize, LakeError> {
    let dir = lake.table_dir(def);
    let Some(log) = lake.log(def).await? else { return Ok(0) };
    if position::witnessed_rows(lake.root(), def, &log)? > log.rows() {
        // As for a clean-up: the files that it does not name may be all that is left of the rows.
        tracing::warn!(table = def.name, "the log names fewer rows than were landed; nothing is deleted");
        return Ok(0);
    }
    let limit = lake.now_millis().saturating_sub(i64::try_from(grace.as_millis()).unwrap_or(i64::MAX));
    let live: HashSet<&str> = log.files().iter().map(|file| file.path.as_str()).collect();
    let most = SOME_FILES.max(removed.saturating_mul(REMOVED_TIMES));
    let removed = log.first_removed(&dir, most.saturating_mul(LOOKED_TIMES)).await?.into_iter().filter(|(_, at)| *at < limit);
    let unused = removed.filter(|(path, _)| {
        let is_ours = path.rsplit('/').next().is_some_and(is_own_name);
        is_ours && is_inside(path) && !live.contains(path.as_str())
    });
    // Those that are gone already count for nothing: the next checkpoint names them no more.
    let deleted = unused.filter(|(path, _)| std::fs::remove_file(dir.join(path)).is_ok()).take(most).count();
    log.delete_oldest_commits(&dir, lake.now_millis()).await?;
    Ok(deleted)
}
