//! Compaction of a table: many small files of a month become few large ones in the order of files; what no reader needs is deleted.
//!
//! The rows stay as they are: a compaction is one commit that removes files and adds others with the same rows, and it
//! takes back its work when one of its inputs has gone meanwhile. `tiers` chooses what is merged, `merge` does it, and `divide`
//! changes a table that is partitioned by day to months. `upkeep` is what is done right behind a landing, as far as that takes little
//! time: merging (`small`), and deleting of removed files (`removed`).

mod divide;
mod merge;
mod removed;
mod small;
mod tiers;
mod upkeep;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use self::divide::divide;
use self::merge::{Replacement, merge_by_query};
use self::tiers::plan;
pub use self::upkeep::{Overdue, Upkeep};
pub(crate) use self::upkeep::{keep_up, overdue};
use crate::Lake;
use crate::blocking::run_blocking;
use crate::data::file;
use crate::data::writer::{Effort, is_own_name};
use crate::day::day_of;
use crate::error::LakeError;
use crate::fault::Step;
use crate::log::delta::{Change, CommitError};
use crate::log::entry::{FileEntry, NewFile};
use crate::partition::{Partition, Partitioning};
use crate::retry::TRIES;
use crate::tables::TableDef;
use crate::write::position;
use kqlake_durable::{self as durable, Lease};

/// Partitions that one commit replaces the files of.
const PARTITIONS_A_COMMIT: usize = 32;
/// Rounds of merging at most; what is left is done by the next compaction.
const MOST_ROUNDS: usize = 32;
/// How a table is kept.
#[derive(Debug, Clone)]
pub struct CompactOptions {
    /// Size in bytes that files should have. Files of at least half of it are left alone.
    pub target_bytes: u64,
    /// How long files stay that no version needs any more: running queries and slow readers may still read them.
    pub grace: Duration,
    /// Memory for sorting files of other writers, in bytes.
    pub memory_bytes: usize,
    /// Where that sorting spills; the system's folder for temporary files when not set.
    pub spill_dir: Option<PathBuf>,
}

impl Default for CompactOptions {
    /// 192 MiB files, a day's grace, 512 MiB of memory.
    fn default() -> Self {
        let grace = Duration::from_secs(24 * 60 * 60);
        CompactOptions { target_bytes: 192 << 20, grace, memory_bytes: 512 << 20, spill_dir: None }
    }
}

/// What a compaction did.
#[derive(Debug, Default)]
pub struct CompactReport {
    /// Files that were replaced.
    pub merged: usize,
    /// Files that replaced them.
    pub written: usize,
    /// Files that were deleted from the disk.
    pub deleted: usize,
    /// Replacements that were given up because another writer changed their inputs; the next compaction does them.
    pub skipped: usize,
    /// The table's version afterwards; `None` when there is no such table, or not all was done.
    pub version: Option<i64>,
    /// Why not all was done: months with a file that cannot be read, which stay as they are, and what ended a compaction that had
    /// replaced files before. Where there is any, nothing is deleted.
    pub left: Vec<LakeError>,
}

/// What a step of a table's upkeep did.
#[derive(Debug, Default)]
pub struct UpkeepReport {
    /// True when it did something. Else the next step may be done in its place.
    pub is_done: bool,
    /// Files that were replaced.
    pub merged: usize,
    /// Files that replaced them.
    pub written: usize,
    /// Files that were deleted from the disk.
    pub deleted: usize,
    /// What of the step was left undone, and why: small files that are not merged, since they cannot be read or the disk refuses; or
    /// that nothing is deleted behind a checkpoint.
    pub left: Vec<LakeError>,
}

pub(crate) async fn compact(lake: &Lake, def: &'static TableDef, options: &CompactOptions) -> Result<CompactReport, LakeError> {
    let mut report = CompactReport::default();
    match compact_all(lake, def, options, &mut report).await {
        Err(e) if report.merged == 0 && report.left.is_empty() => return Err(e),
        // What was replaced before stays, and is told.
        done => report.left.extend(done.err()),
    }
    Ok(report)
}

async fn compact_all(
    lake: &Lake,
    def: &'static TableDef,
    options: &CompactOptions,
    report: &mut CompactReport,
) -> Result<(), LakeError> {
    let Some(mut snapshot) = lake.snapshot(def).await? else { return Ok(()) };
    let _lease = lake.lease(def)?;
    // Partitions with a file that cannot be read stay as they are; the others do not wait for them.
    let mut broken: BTreeMap<Partition, LakeError> = BTreeMap::new();
    if snapshot.layout().partitioning == Partitioning::Day {
        match divide(lake, def, options, report).await {
            Ok(divided) => snapshot = divided,
            Err((partition, e)) if e.broken_file().is_some() => {
                broken.insert(partition, e);
            }
            Err((_, e)) => return Err(e),
        }
    }
    let (today, mut made) = (day_of(lake.now_millis().saturating_mul(1_000)), HashSet::new());
    // Each round merges what fits at a time; a round without work is the last.
    for _ in 0..MOST_ROUNDS {
        let work = plan(&snapshot, options.target_bytes, today, &broken.keys().copied().collect());
        if work.is_empty() {
            break;
        }
        let skipped = report.skipped;
        for some in work.chunks(PARTITIONS_A_COMMIT) {
            let mut replacements = Vec::new();
            for inputs in some {
                let Some(partition) = inputs.first().map(|at| snapshot.files()[*at].partition) else { continue };
                match merge_by_query(&snapshot, inputs, snapshot.layout(), partition, Effort::Compaction, options).await {
                    Ok(replacement) => replacements.push(replacement),
                    Err(e) if e.broken_file().is_some() => {
                        broken.insert(partition, e);
                    }
                    Err(e) => {
                        delete(snapshot.dir(), &replacements);
                        return Err(e);
                    }
                }
            }
            commit(lake, def, replacements, &mut made, report).await?;
        }
        let Some(now) = lake.snapshot(def).await? else { break };
        let stuck = now.version() == snapshot.version() || report.skipped > skipped;
        snapshot = now;
        if stuck {
            break;
        }
    }
    // With a broken file nothing is deleted: what is left of older versions may be needed to repair it.
    if !broken.is_empty() {
        report.left.extend(broken.into_values());
        return Ok(());
    }
    snapshot.check_files()?;
    report.deleted = delete_unused(lake, def, options.grace).await?;
    report.version = Some(snapshot.version());
    Ok(())
}

/// Deletes the files of replacements that were not committed.
fn delete(dir: &Path, replacements: &[Replacement]) {
    file::delete(dir, replacements.iter().flat_map(|r| &r.outputs));
}

/// Commits replacements, as far as their inputs are still live. Files that the same work has `made` before, and merges again, count for
/// nothing.
async fn commit(
    lake: &Lake,
    def: &'static TableDef,
    mut replacements: Vec<Replacement>,
    made: &mut HashSet<String>,
    report: &mut CompactReport,
) -> Result<(), LakeError> {
    let dir = lake.table_dir(def);
    let turn = lake.turn(def);
    let _turn = turn.lock().await;
    lake.fault().pass(Step::BeforeCompactCommit)?;
    for _ in 0..TRIES {
        let Some(log) = lake.log(def).await? else { return Ok(()) };
        let live: HashSet<&str> = log.files().iter().map(|f| f.path.as_str()).collect();
        let (good, gone): (Vec<_>, Vec<_>) =
            replacements.into_iter().partition(|r| r.inputs.iter().all(|file| live.contains(file.path.as_str())));
        report.skipped += gone.len();
        delete(&dir, &gone);
        replacements = good;
        if replacements.is_empty() {
            return Ok(());
        }
        let add: Vec<NewFile> = replacements.iter().flat_map(|r| r.outputs.iter().cloned()).collect();
        let remove: Vec<FileEntry> = replacements.iter().flat_map(|r| r.inputs.iter().cloned()).collect();
        let again = remove.iter().filter(|file| made.contains(&file.path)).count();
        let (written, merged) = (add.len(), remove.len() - again);
        let added: Vec<String> = add.iter().map(|file| file.path.clone()).collect();
        let change = Change { add, remove, data_change: false, ..Change::default() };
        match log.commit(change, &dir, lake.now_millis()).await {
            Ok(log) => lake.keep_log(def, log),
            Err(CommitError::Behind) => continue,
            Err(CommitError::Failed(error)) => {
                delete(&dir, &replacements);
                return Err(error);
            }
            Err(CommitError::Unknown(error)) => return Err(error),
        }
        made.extend(added);
        report.written = (report.written + written).saturating_sub(again);
        report.merged += merged;
        return Ok(());
    }
    report.skipped += replacements.len();
    delete(&dir, &replacements);
    Ok(())
}

/// Deletes files of ours and files that the log removed, as far as no version of the last while refers to them, and old log
/// entries.
async fn delete_unused(lake: &Lake, def: &'static TableDef, grace: Duration) -> Result<usize, LakeError> {
    let dir = lake.table_dir(def);
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(lake.now_millis()).unwrap_or(0));
    let limit = now.checked_sub(grace).unwrap_or(SystemTime::UNIX_EPOCH);
    let list = {
        let dir = dir.clone();
        // Leases are read before the files: what a landing has committed since is live in the log that is read below.
        // Runs of landings whose process has ended belong to none.
        let look = move || {
            durable::sweep(&dir);
            Ok::<_, std::io::Error>((Lease::oldest(&dir)?, data_files(&dir)?))
        };
        run_blocking(def.name, look).await?
    };
    let failed = |source| LakeError::Io { table: def.name, path: dir.clone(), source };
    let (began, list) = list.map_err(failed)?;
    let old: Vec<(String, SystemTime)> = list.into_iter().filter(|(_, modified)| *modified < limit).collect();
    // The log is read after the folder: a file that was committed in between is live now.
    let Some(log) = lake.log(def).await? else { return Ok(0) };
    if position::witnessed_rows(lake.root(), def, &log)? > log.rows() {
        // Whatever took its rows away: the files that it does not name may be all that is left of them.
        tracing::warn!(table = def.name, "the log names fewer rows than were landed; nothing is deleted");
        return Ok(0);
    }
    let mut deleted = 0;
    if !old.is_empty() {
        let live: HashSet<&str> = log.files().iter().map(|f| f.path.as_str()).collect();
        let mut unused = old.into_iter().filter(|(path, _)| !live.contains(path.as_str())).peekable();
        // The log's tombstones are only read when there is something to delete.
        let removed: HashMap<String, i64> = if unused.peek().is_some() { log.tombstones(&dir).await? } else { HashMap::new() };
        let oldest = limit.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
        for (path, modified) in unused {
            let unused = match removed.get(&path) {
                // Removed lately: a running query may still read it.
                Some(at) => *at < oldest,
                // What the log never named is of a landing that was given up, of one that is still open, or somebody else's.
                None => path.rsplit('/').next().is_some_and(is_own_name) && began.is_none_or(|began| modified < began),
            };
            if !unused {
                continue;
            }
            deleted += usize::from(std::fs::remove_file(dir.join(&path)).is_ok());
        }
    }
    log.delete_old_commits(&dir, lake.now_millis()).await?;
    Ok(deleted)
}

/// The data files in a table's folder with the time of their last change.
pub(crate) fn data_files(dir: &Path) -> std::io::Result<Vec<(String, SystemTime)>> {
    let mut out = Vec::new();
    for folder in std::fs::read_dir(dir)? {
        let folder = folder?;
        let name = folder.file_name().to_string_lossy().into_owned();
        let column = name.split_once('=').map(|(column, _)| [column]);
        if column.and_then(|column| Partitioning::of_columns(&column)).is_none() || !folder.file_type()?.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(folder.path())? {
            let file = file?;
            // A file whose age is not known is not old.
            let Ok(modified) = file.metadata().and_then(|m| m.modified()) else { continue };
            out.push((format!("{name}/{}", file.file_name().to_string_lossy()), modified));
        }
    }
    Ok(out)
}
