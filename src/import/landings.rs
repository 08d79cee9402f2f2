//! The open landings of a run, one a table, and their checkpoints.
//!
//! A checkpoint commits all open tables. So what was read to its end before it is in the lake after it, in whichever tables its
//! rows are; the ledger is written right behind. Checkpoints are rare: they come with rows and bytes, not with units. While one
//! is in progress, rows go into new landings: those read its commits before they make their own.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use arrow::record_batch::RecordBatch;
use serde_json::json;
use tokio::task::JoinHandle;

use super::ImportError;
use kqlake_lake::tables::TableDef;
use kqlake_lake::{Lake, LakeError, Landed, Landing, Origin, OriginCounts, Position, bytes_of_rows, concat_rows};

/// Rows of a table after which everything is committed, be it inside a unit: what a landing remembers of its rows grows with
/// them. The least, and the most where the memory limit allows as many.
const COMMIT_ROWS: RangeInclusive<usize> = 80_000..=350_000;
/// Bytes of the memory limit that stand for each of them.
const COMMIT_ROW_BYTES: usize = 3_200;
/// Bytes that all open landings together may have buffered, where the memory limit allows as many.
const BUFFERED: usize = 128 << 20;
/// The part of the memory limit that landings may have buffered.
const BUFFERED_PART: usize = 4;
/// Bytes that may be buffered while a checkpoint is in progress: less than a landing sorts and writes at once, which takes
/// several times as much memory, as a commit does; the two together would take too much.
const BUFFERED_BESIDE: usize = 32 << 20;
/// Bytes that a landing buffers before it sorts and writes them: the least, and the most where the memory limit allows as many.
const BUFFER: RangeInclusive<usize> = 12 << 20..=48 << 20;
/// The part of the memory limit that one may buffer so.
const BUFFER_PART: usize = 32;
/// Threads that encode the rows of a table, at most: each has a page of a column, and what it is compressed with.
const MOST_THREADS: usize = 8;
/// Tables that are open at once.
const OPEN_TABLES: usize = 128;
/// Rows of batches that are put together before a landing takes them: files of a few records give batches of a few rows.
const GATHERED_ROWS: usize = 1_024;
/// Bytes of such batches, from which on they are put together: what a batch takes beside its values counts, too.
const GATHERED_BYTES: usize = 4 << 20;
/// Bytes that a column of a batch takes beside its values: what it is, and the ends of its buffers.
const COLUMN_BYTES: usize = 256;
/// A batch of at least so many rows is not copied to be put together with others.
const COPIED_BELOW: usize = GATHERED_ROWS / 4;

/// The open landings of a run.
pub(crate) struct Landings<'l> {
    lake: &'l Lake,
    import_id: &'l str,
    /// Bytes that may be buffered.
    buffered: usize,
    /// Bytes that a landing buffers before it sorts and writes them.
    buffer: usize,
    /// Threads that encode the rows of one, at most.
    threads: usize,
    /// Rows of a table after which everything is committed.
    commit_rows: u64,
    /// The table whose rows may be being sorted and written: one at a time, since that takes memory.
    writing: Option<&'static str>,
    open: HashMap<&'static str, Open>,
    /// What was committed, by table.
    pub landed: BTreeMap<&'static str, Landed>,
    /// What was committed of units that are not reported yet, by their origin.
    pub origins: HashMap<Origin, OriginCounts>,
    /// Tables that take no rows, and why not.
    pub failed: BTreeMap<&'static str, LakeError>,
    /// Listed units that were read to their ends.
    pub units: u64,
}

struct Open {
    landing: Landing,
    rows: u64,
    /// Small batches that wait to be put together, with their origins.
    small: Vec<(RecordBatch, Origin)>,
    small_rows: usize,
    small_bytes: usize,
}

impl Open {
    /// Bytes of rows that wait in memory.
    fn buffered_bytes(&self) -> usize {
        self.landing.buffered_bytes() + self.small_bytes
    }
}

impl<'l> Landings<'l> {
    /// No landing yet. `failed` are tables that are known to take no rows.
    pub(crate) fn new(
        lake: &'l Lake,
        import_id: &'l str,
        memory: usize,
        threads: usize,
        failed: BTreeMap<&'static str, LakeError>,
    ) -> Self {
        Landings {
            lake,
            import_id,
            threads: threads.min(MOST_THREADS),
            buffered: BUFFERED.min(memory / BUFFERED_PART),
            buffer: (memory / BUFFER_PART).clamp(*BUFFER.start(), *BUFFER.end()),
            commit_rows: (memory / COMMIT_ROW_BYTES).clamp(*COMMIT_ROWS.start(), *COMMIT_ROWS.end()) as u64,
            writing: None,
            open: HashMap::new(),
            landed: BTreeMap::new(),
            origins: HashMap::new(),
            failed,
            units: 0,
        }
    }

    /// Takes rows of a table, all of one origin.
    ///
    /// # Errors
    /// The lake cannot be written. A table whose own files are not as they should be is given up, and the others continue.
    pub(crate) async fn write(
        &mut self,
        table: &'static TableDef,
        batch: RecordBatch,
        origin: Origin,
    ) -> Result<(), ImportError> {
        if self.failed.contains_key(table.name) {
            return Ok(());
        }
        if self.open.get(table.name).is_some_and(|open| open.landing.is_filled_by(&batch)) {
            let other = self.writing.replace(table.name).filter(|other| *other != table.name);
            if let Some((other, open)) = other.and_then(|other| Some((other, self.open.get_mut(other)?))) {
                let settled = open.landing.settle().await.map_err(ImportError::Lake);
                self.go_on_without(other, settled).await?;
            }
        }
        let written = self.write_open(table, batch, origin).await;
        self.go_on_without(table.name, written).await
    }

    /// True when no rows came since the last checkpoint.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// True when enough rows have come together for a checkpoint.
    pub(crate) fn is_due(&self) -> bool {
        self.open.len() >= OPEN_TABLES
            || self.open.values().any(|open| open.rows >= self.commit_rows)
            || self.open.values().map(Open::buffered_bytes).sum::<usize>() > self.buffered
    }

    /// True when so much is buffered that a landing may soon write it.
    pub(crate) fn is_full_beside(&self) -> bool {
        self.open.values().map(Open::buffered_bytes).sum::<usize>() > BUFFERED_BESIDE.min(self.buffer / 4 * 3)
    }

    /// Gives a table up whose files are not as they should be; the others continue.
    async fn go_on_without(&mut self, table: &'static str, done: Result<(), ImportError>) -> Result<(), ImportError> {
        match done {
            Err(ImportError::Lake(error)) if error.is_of_one_table() => {
                if let Some(open) = self.open.remove(table) {
                    open.landing.abort().await;
                }
                self.failed.insert(table, error);
                Ok(())
            }
            done => done,
        }
    }

    async fn write_open(&mut self, table: &'static TableDef, batch: RecordBatch, origin: Origin) -> Result<(), ImportError> {
        if !self.open.contains_key(table.name) {
            let landing = self.lake.land(table).await?.with_buffer(self.buffer).with_threads(self.threads);
            let open = Open { landing, rows: 0, small: Vec::new(), small_rows: 0, small_bytes: 0 };
            self.open.insert(table.name, open);
        }
        let Some(open) = self.open.get_mut(table.name) else { return Ok(()) };
        if batch.num_rows() >= COPIED_BELOW {
            flush(table.name, open).await?;
        }
        open.small_rows += batch.num_rows();
        open.small_bytes += bytes_of_rows(&batch) + batch.num_columns() * COLUMN_BYTES;
        open.small.push((batch, origin));
        let is_enough = open.small_rows >= GATHERED_ROWS || open.small_bytes >= GATHERED_BYTES;
        if is_enough { Ok(flush(table.name, open).await?) } else { Ok(()) }
    }

    /// Begins to commit all open tables. What is written from now on belongs to the next checkpoint.
    pub(crate) fn begin_commit(&mut self) -> Commit {
        let mut open: Vec<(&'static str, Open)> = self.open.drain().collect();
        open.sort_unstable_by_key(|(table, _)| *table);
        let (units, import_id) = (self.units, self.import_id.to_owned());
        let work = async move {
            let mut done = Vec::new();
            for (table, open) in open {
                let position = Position {
                    stream: format!("files/{table}"),
                    cursor: json!({ "units": units }),
                    import_id: import_id.clone(),
                };
                let committed = commit(table, open, position).await;
                let goes_on = committed.as_ref().map_or_else(LakeError::is_of_one_table, |_| true);
                done.push((table, committed));
                if !goes_on {
                    break;
                }
            }
            done
        };
        Commit(tokio::spawn(work))
    }

    /// Waits for a commit, and notes what came of it.
    ///
    /// # Errors
    /// A table could not be committed; those before it, by name, are.
    pub(crate) async fn end_commit(&mut self, mut commit: Commit) -> Result<(), ImportError> {
        let done = (&mut commit.0).await.map_err(|error| ImportError::Reader(error.to_string()))?;
        for (table, committed) in done {
            match committed {
                Ok(mut landed) => {
                    for (origin, counts) in std::mem::take(&mut landed.origins) {
                        self.origins.entry(origin).or_default().add(counts);
                    }
                    let Landed { new, duplicates, replaced, .. } = landed;
                    tracing::debug!(table, new, duplicates, replaced, "committed");
                    add(self.landed.entry(table).or_default(), landed);
                }
                Err(error) => self.go_on_without(table, Err(ImportError::Lake(error))).await?,
            }
        }
        Ok(())
    }

    /// Gives up what is not committed.
    pub(crate) async fn abort(&mut self) {
        for (_, open) in self.open.drain() {
            open.landing.abort().await;
        }
    }
}

/// A commit of all tables that were open. When it is dropped, tables that are not committed yet are not.
pub(crate) struct Commit(JoinHandle<Vec<(&'static str, Result<Landed, LakeError>)>>);

impl Drop for Commit {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn commit(table: &'static str, mut open: Open, position: Position) -> Result<Landed, LakeError> {
    match flush(table, &mut open).await {
        Ok(()) => open.landing.commit(position).await,
        Err(error) => {
            open.landing.abort().await;
            Err(error)
        }
    }
}

/// Hands the small batches of a table to its landing.
async fn flush(table: &'static str, open: &mut Open) -> Result<(), LakeError> {
    let small = std::mem::take(&mut open.small).into_iter();
    (open.small_rows, open.small_bytes) = (0, 0);
    let (small, origins): (Vec<RecordBatch>, Vec<(Origin, usize)>) = small
        .map(|(batch, origin)| (origin, batch.num_rows(), batch))
        .map(|(origin, rows, batch)| (batch, (origin, rows)))
        .unzip();
    let Some(batch) = concat_rows(&small).map_err(|source| LakeError::Arrow { table, source })? else { return Ok(()) };
    open.rows += batch.num_rows() as u64;
    open.landing.write_of(batch, &origins).await
}

/// Adds what a landing did.
pub(crate) fn add(sum: &mut Landed, landed: Landed) {
    sum.version = landed.version.or(sum.version);
    sum.new += landed.new;
    sum.duplicates += landed.duplicates;
    sum.replaced += landed.replaced;
    sum.held.extend(landed.held);
}
