//! Upkeep of a table: many small files of a partition become few large ones, still sorted; what no reader needs is deleted.
//!
//! The rows stay as they are: a compaction is one commit that removes files and adds others with the same rows, and it
//! takes back its work when one of its inputs has gone meanwhile.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ident;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt as _;

use crate::Lake;
use crate::blocking::run_blocking;
use crate::data::file;
use crate::data::layout::Layout;
use crate::data::writer::{Effort, FileWriter, is_own_name};
use crate::error::LakeError;
use crate::fault::Step;
use crate::log::delta::{Change, CommitError};
use crate::log::entry::{FileEntry, NewFile};
use crate::memory::{SORT_RESERVATION, SharedPool};
use crate::read::provider::LakeTable;
use crate::read::snapshot::{LiveFile, TableSnapshot};
use crate::spill::SpillFolder;
use crate::partition::{Partition, Partitioning};
use crate::tables::TableDef;
use crate::write::position;
use kqlake_durable::Lease;

/// Files that are merged at a time hold one batch each in memory; more are merged in several rounds.
const MOST_INPUTS: usize = 16;
/// Partitions that one commit replaces the files of.
const PARTITIONS_A_COMMIT: usize = 32;
/// Tries to commit one replacement.
const TRIES: usize = 16;
/// Rows of a batch while merging, at most.
const BATCH_ROWS: u64 = 4096;
/// Bytes that the batches of all inputs may take while merging.
const BATCH_BYTES: u64 = 24 << 20;
/// How much larger rows are in memory than in their files, about.
const EXPANSION: u64 = 12;

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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Files that were replaced.
    pub merged: usize,
    /// Files that replaced them.
    pub written: usize,
    /// Files that were deleted from the disk.
    pub deleted: usize,
    /// Replacements that were given up because another writer changed their inputs; the next compaction does them.
    pub skipped: usize,
    /// The table's version afterwards; `None` when there is no such table.
    pub version: Option<i64>,
}

/// Files of one partition with the files that are to replace them.
#[derive(Default)]
struct Replacement {
    inputs: Vec<FileEntry>,
    outputs: Vec<NewFile>,
}

pub(crate) async fn compact(lake: &Lake, def: &'static TableDef, options: &CompactOptions) -> Result<CompactReport, LakeError> {
    let mut report = CompactReport::default();
    let Some(mut snapshot) = lake.snapshot(def).await? else { return Ok(report) };
    let _lease = lake.lease(def)?;
    // Partitions with a file that cannot be read stay as they are; the others do not wait for them.
    let mut broken: BTreeMap<Partition, LakeError> = BTreeMap::new();
    // Each round merges what fits at a time, so many overlapping files take several; a round without work is the last.
    loop {
        let work = plan(&snapshot, options, &broken);
        if work.is_empty() {
            break;
        }
        let skipped = report.skipped;
        for some in work.chunks(PARTITIONS_A_COMMIT) {
            let mut replacements = Vec::new();
            for inputs in some {
                match merge(&snapshot, inputs, options).await {
                    Ok(replacement) => replacements.push(replacement),
                    Err(e) if e.broken_file().is_some() => {
                        broken.extend(inputs.first().map(|at| (snapshot.files()[*at].partition, e)));
                    }
                    Err(e) => {
                        delete(snapshot.dir(), &replacements);
                        return Err(e);
                    }
                }
            }
            commit(lake, def, replacements, &mut report).await?;
        }
        let Some(now) = lake.snapshot(def).await? else { break };
        let stuck = now.version() == snapshot.version() || report.skipped > skipped;
        snapshot = now;
        if stuck {
            break;
        }
    }
    // With a broken file nothing is deleted: what is left of older versions may be needed to mend it.
    if let Some((_, error)) = broken.pop_first() {
        return Err(error);
    }
    snapshot.check_files()?;
    report.version = Some(snapshot.version());
    report.deleted = clean(lake, def, options.grace).await?;
    Ok(report)
}

/// The files to merge, by their positions in the snapshot: one list a partition that has something to gain and can be read.
fn plan(snapshot: &TableSnapshot, options: &CompactOptions, without: &BTreeMap<Partition, LakeError>) -> Vec<Vec<usize>> {
    let def = snapshot.def();
    let set = def.promoted_set();
    let outdated = |f: &LiveFile| !f.clustered || f.rows.is_none() || f.promoted.set != set;
    let mut partitions: BTreeMap<Partition, Vec<usize>> = BTreeMap::new();
    for (at, file) in snapshot.files().iter().enumerate() {
        if !without.contains_key(&file.partition) && (file.size() < options.target_bytes / 2 || outdated(file)) {
            partitions.entry(file.partition).or_default().push(at);
        }
    }
    let files = snapshot.files();
    partitions
        .into_values()
        .filter(|some| some.len() > 1 || some.iter().any(|at| outdated(&files[*at])))
        .map(|mut some| {
            some.sort_by(|a, b| (files[*a].time, files[*a].path()).cmp(&(files[*b].time, files[*b].path())));
            first_chains(files, some)
        })
        .collect()
}

/// The files of at most [`MOST_INPUTS`] chains, where the files of a chain follow one another in time.
fn first_chains(files: &[LiveFile], partition: Vec<usize>) -> Vec<usize> {
    let mut ends: Vec<i64> = Vec::new();
    let mut out = Vec::new();
    for at in partition {
        let (first, last) = files[at].time.unwrap_or((i64::MIN, i64::MAX));
        if let Some(end) = ends.iter_mut().find(|end| **end <= first) {
            *end = last;
        } else if ends.len() < MOST_INPUTS {
            ends.push(last);
        } else {
            continue;
        }
        out.push(at);
    }
    out
}

/// Merges files of one partition into new ones.
async fn merge(snapshot: &TableSnapshot, inputs: &[usize], options: &CompactOptions) -> Result<Replacement, LakeError> {
    let def = snapshot.def();
    let files: Vec<&LiveFile> = inputs.iter().map(|at| &snapshot.files()[*at]).collect();
    let Some(partition) = files.first().map(|f| f.partition) else { return Ok(Replacement::default()) };
    let read = |source: DataFusionError| snapshot.failure(source, files.iter().copied());
    let spill = SpillFolder::new(options.spill_dir.as_deref());
    let runtime = spill.runtime(Arc::new(SharedPool::new(options.memory_bytes))).map_err(read)?;
    // Wide rows come in small batches: every input holds one in memory.
    let bytes = files.iter().map(|f| f.size()).sum::<u64>().saturating_mul(EXPANSION);
    let rows = files.iter().filter_map(|f| f.rows).sum::<u64>().max(1);
    let batch = (BATCH_BYTES / (files.len().min(MOST_INPUTS) as u64 * (bytes / rows).max(64))).clamp(64, BATCH_ROWS);
    let mut config = SessionConfig::new().with_target_partitions(1).with_batch_size(batch as usize);
    config.options_mut().execution.sort_spill_reservation_bytes = SORT_RESERVATION;
    let context = SessionContext::new_with_config_rt(config, runtime);
    let table = LakeTable::of_files(snapshot.clone(), inputs.iter().copied().collect::<HashSet<_>>());
    // Promoted columns that order rows are read as they are at rest; all of them are made anew of their bags.
    let promoted = |name: &&str| snapshot.layout().core.field_with_name(name).is_err();
    let core = snapshot.layout().core.fields().iter().map(|f| ident(f.name()));
    let columns: Vec<_> = core.chain(def.order().filter(promoted).map(ident)).collect();
    let order: Vec<_> = def.order().map(|name| ident(name).sort(true, true)).collect();
    let mut rows = context
        .read_table(Arc::new(table))
        .and_then(|rows| rows.select(columns))
        .and_then(|rows| rows.sort(order))
        .map_err(read)?
        .execute_stream()
        .await
        .map_err(read)?;

    let (send, receive) = tokio::sync::mpsc::channel::<RecordBatch>(2);
    let (layout, dir, target) = (snapshot.layout().clone(), snapshot.dir().to_owned(), options.target_bytes);
    let needed = layout.columns_of_files(files.iter().map(|f| &f.entry));
    let writer = tokio::spawn(run_blocking(def.name, move || write(&layout, &dir, partition, &needed, target, receive)));
    let mut failed = None;
    while let Some(batch) = rows.next().await {
        match batch {
            // A writer that has ended early says why below.
            Ok(batch) => {
                if send.send(batch).await.is_err() {
                    break;
                }
            }
            Err(e) => {
                failed = Some(read(e));
                break;
            }
        }
    }
    drop(send);
    let joined = writer.await.map_err(|source| LakeError::Worker { table: def.name, source })?;
    let (outputs, written) = joined??;
    let replacement = Replacement { inputs: files.iter().map(|f| f.entry.clone()).collect(), outputs };
    // The rows must all be there: a merge that loses rows would be the worst of defects.
    let known: Option<u64> = files.iter().map(|f| f.rows).sum();
    if failed.is_none() && known.is_some_and(|known| known != written) {
        let reason = format!("merging {} files gave {written} rows of {}", files.len(), known.unwrap_or(0));
        failed = Some(LakeError::Shape { table: def.name, reason });
    }
    match failed {
        Some(e) => {
            delete(snapshot.dir(), &[replacement]);
            Err(e)
        }
        None => Ok(replacement),
    }
}

/// Writes a stream of sorted rows of one partition into files of about a target size. Gives the files and their rows.
fn write(
    layout: &Arc<Layout>,
    dir: &Path,
    partition: Partition,
    columns: &[bool],
    target: u64,
    mut rows: tokio::sync::mpsc::Receiver<RecordBatch>,
) -> Result<(Vec<NewFile>, u64), LakeError> {
    let mut done: Vec<NewFile> = Vec::new();
    let mut current: Option<FileWriter> = None;
    let mut written = 0;
    let mut step = |batch: Option<RecordBatch>| -> Result<(), LakeError> {
        if let Some(batch) = &batch {
            let core = layout.core_of_file(batch)?;
            if current.is_none() {
                current = Some(FileWriter::create(layout, dir, partition, columns, Effort::Compaction)?);
            }
            if let Some(file) = &mut current {
                file.write(&core)?;
            }
            written += core.num_rows() as u64;
        }
        if let Some(file) = current.take_if(|file| batch.is_none() || file.size() as u64 >= target) {
            done.push(file.finish()?);
        }
        Ok(())
    };
    let result = loop {
        let batch = rows.blocking_recv();
        let last = batch.is_none();
        let result = step(batch);
        if last || result.is_err() {
            break result;
        }
    };
    match result {
        Ok(()) => Ok((done, written)),
        Err(e) => {
            if let Some(file) = current {
                file.abandon();
            }
            file::delete(dir, &done);
            Err(e)
        }
    }
}

/// Deletes the files of replacements that were not committed.
fn delete(dir: &Path, replacements: &[Replacement]) {
    file::delete(dir, replacements.iter().flat_map(|r| &r.outputs));
}

/// Commits replacements, as far as their inputs are still live.
async fn commit(
    lake: &Lake,
    def: &'static TableDef,
    mut replacements: Vec<Replacement>,
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
        let (written, merged) = (add.len(), remove.len());
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
        report.written += written;
        report.merged += merged;
        return Ok(());
    }
    report.skipped += replacements.len();
    delete(&dir, &replacements);
    Ok(())
}

/// Deletes files of ours and files that the log removed, as far as no version of the last while refers to them, and old log
/// entries.
async fn clean(lake: &Lake, def: &'static TableDef, grace: Duration) -> Result<usize, LakeError> {
    let dir = lake.table_dir(def);
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(lake.now_millis()).unwrap_or(0));
    let limit = now.checked_sub(grace).unwrap_or(SystemTime::UNIX_EPOCH);
    let list = {
        let dir = dir.clone();
        // Leases are looked at before the files: what a landing has committed since is live in the log that is read below.
        run_blocking(def.name, move || Ok::<_, std::io::Error>((Lease::oldest(&dir)?, data_files(&dir)?))).await?
    };
    let failed = |source| LakeError::Io { table: def.name, path: dir.clone(), source };
    let (began, list) = list.map_err(failed)?;
    let old: Vec<(String, SystemTime)> = list
        .into_iter()
        .filter(|(_, modified)| *modified < limit)
        .collect();
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
    log.clean_log(&dir, lake.now_millis()).await?;
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
