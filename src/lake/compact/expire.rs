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

/// Files of a table that are deleted at a time: more than the commits between two checkpoints remove, in the order of a thousandth of a
/// second.
const MOST_FILES: usize = 128;
/// Removed files that are looked at for it.
const MOST_REMOVED: usize = 512;

/// Deletes some files of ours that the log removed longer ago than readers may need them, and some of the log's own files. Gives how
/// many data files.
pub(super) async fn expire(lake: &Lake, def: &'static TableDef, grace: Duration) -> Result<usize, LakeError> {
    let dir = lake.table_dir(def);
    let Some(log) = lake.log(def).await? else { return Ok(0) };
    if position::witnessed_rows(lake.root(), def, &log)? > log.rows() {
        // As for a clean-up: the files that it does not name may be all that is left of the rows.
        tracing::warn!(table = def.name, "the log names fewer rows than were landed; nothing is deleted");
        return Ok(0);
    }
    let limit = lake.now_millis().saturating_sub(i64::try_from(grace.as_millis()).unwrap_or(i64::MAX));
    let live: HashSet<&str> = log.files().iter().map(|file| file.path.as_str()).collect();
    let removed = log.first_removed(&dir, MOST_REMOVED).await?.into_iter().filter(|(_, at)| *at < limit);
    let unused = removed.filter(|(path, _)| {
        let is_ours = path.rsplit('/').next().is_some_and(is_own_name);
        is_ours && is_inside(path) && !live.contains(path.as_str())
    });
    // Those that are gone already count for nothing: the next checkpoint names them no more.
    let deleted = unused.filter(|(path, _)| std::fs::remove_file(dir.join(path)).is_ok()).take(MOST_FILES).count();
    log.expire(&dir, lake.now_millis()).await?;
    Ok(deleted)
}
