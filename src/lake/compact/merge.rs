//! Merging files of one month into new ones: their rows in the order of files, none more and none less.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ident;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt as _;

use super::CompactOptions;
use super::tiers::MOST_INPUTS;
use crate::blocking::run_blocking;
use crate::data::file::{self, check_bytes};
use crate::data::layout::Layout;
use crate::data::writer::{Effort, FileWriter};
use crate::error::LakeError;
use crate::log::entry::{FileEntry, NewFile};
use crate::memory::{SORT_RESERVATION, SharedPool};
use crate::partition::Partition;
use crate::read::provider::LakeTable;
use crate::read::snapshot::{LiveFile, TableSnapshot};
use crate::spill::SpillFolder;
use crate::write::keys::Keyer;

/// Rows of a batch while merging, at most.
const BATCH_ROWS: u64 = 4096;
/// Bytes that the batches of all inputs may take while merging.
const BATCH_BYTES: u64 = 24 << 20;
/// How much larger rows are in memory than in their files, about.
const EXPANSION: u64 = 12;

/// Files of one partition with the files that are to replace them.
#[derive(Debug)]
pub(super) struct Replacement {
    pub inputs: Vec<FileEntry>,
    pub outputs: Vec<NewFile>,
}

/// Merges files, given by their positions in a snapshot, into new ones of a layout and partition: by a query that sorts their rows.
///
/// # Errors
/// A file cannot be read, or the disk refuses; no new file stays then.
pub(super) async fn merge_by_query(
    snapshot: &TableSnapshot,
    inputs: &[usize],
    layout: &Arc<Layout>,
    partition: Partition,
    effort: Effort,
    options: &CompactOptions,
) -> Result<Replacement, LakeError> {
    let def = snapshot.def();
    let files: Vec<&LiveFile> = inputs.iter().map(|at| &snapshot.files()[*at]).collect();
    let (dir, entries) = (snapshot.dir().to_owned(), files.iter().map(|file| file.entry.clone()).collect::<Vec<_>>());
    run_blocking(def.name, move || entries.iter().try_for_each(|entry| check_bytes(def.name, &dir, entry))).await??;
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
    let table = LakeTable::merging(snapshot.clone(), inputs.iter().copied().collect::<HashSet<_>>());
    // Promoted columns that order rows are read as they are at rest; all of them are rebuilt from their bags.
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
    let (layout, dir, target) = (layout.clone(), snapshot.dir().to_owned(), options.target_bytes);
    let needed = layout.columns_of_files(files.iter().map(|f| &f.entry));
    let writer = tokio::spawn(run_blocking(def.name, move || write(&layout, &dir, partition, &needed, effort, target, receive)));
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
            file::delete(snapshot.dir(), &replacement.outputs);
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
    effort: Effort,
    target: u64,
    mut rows: tokio::sync::mpsc::Receiver<RecordBatch>,
) -> Result<(Vec<NewFile>, u64), LakeError> {
    let keyer = Keyer::new(layout.def);
    let mut done: Vec<NewFile> = Vec::new();
    let mut current: Option<FileWriter> = None;
    let mut written = 0;
    let mut step = |batch: Option<RecordBatch>| -> Result<(), LakeError> {
        if let Some(batch) = &batch {
            let core = keyer.with_contents(layout.core_of_file(batch)?)?;
            if current.is_none() {
                current = Some(FileWriter::create(layout, dir, partition, columns, effort)?);
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
