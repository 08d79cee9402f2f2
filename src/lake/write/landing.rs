//! Rows on their way into one table, of one unit of import or of many: they are buffered, sorted, written as files, and committed
//! at once. A unit that is too large for one landing takes several.
//!
//! Every try to commit looks at the newest version of the table first: of two rows of one identity the greater one stays, so
//! rows that are there already are left out, and landed rows that are less are taken out of their files in the same commit. The
//! commit holds only if nothing else was committed since that look. `docs/identity.md` says what the identity of a row is.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use tokio::task::JoinHandle;

use super::held::HeldRows;
use super::intake::{Buffered, Intake, Reconciled};
use super::keys::Keyer;
use super::origin::{ByOrigin, Origin, OriginCounts, counts};
use super::position;
use super::probe::Looked;
use crate::blocking::run_blocking;
use crate::data::file::{check_size, delete};
use crate::data::layout::Layout;
use crate::data::promote::Promoter;
use crate::data::rows::{Prepared, bytes_of_rows};
use crate::error::LakeError;
use crate::fault::Step;
use crate::log::delta::{Change, CommitError, Log};
use crate::log::entry::NewFile;
use crate::retry::TRIES;
use crate::tables::TableDef;
use crate::{Lake, Position};
use kqlake_durable::Lease;

/// Bytes of rows that are buffered, with their promoted columns, before they are written, where nothing else was said.
const BUFFER_BYTES: usize = 32 << 20;
/// Rows that are buffered at most, so that positions and sort keys stay small beside them.
const BUFFER_ROWS: usize = 1 << 20;

/// What a landing did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Landed {
    /// The table version of the commit; `None` when there was nothing to commit.
    pub version: Option<i64>,
    /// Rows of records that the table did not have.
    pub new: u64,
    /// Rows that were left out because their record is there.
    pub duplicates: u64,
    /// Rows that took the place of a lesser row of their record.
    pub replaced: u64,
    /// Rows that were held back, by day.
    pub held: Vec<HeldRows>,
    /// What of this is whose, where rows were given with their origin.
    pub origins: BTreeMap<Origin, OriginCounts>,
}

/// The writing of rows into one table, up to one commit: those of one unit of import, of many, or of a part of a large one.
///
/// Dropping it without [`Landing::commit`] or [`Landing::abort`] leaves files behind that no one reads; compaction deletes
/// them later.
#[derive(Debug)]
pub struct Landing {
    lake: Lake,
    /// Keeps compaction from the files that are not committed yet.
    _lease: Lease,
    def: &'static TableDef,
    dir: PathBuf,
    log: Log,
    layout: Arc<Layout>,
    promoter: Option<Promoter>,
    buffer: Buffered,
    /// Bytes that are buffered before they are written.
    most_buffered: usize,
    /// Threads that encode rows, at most.
    threads: usize,
    buffered_bytes: usize,
    buffered_rows: usize,
    /// Rows that are being written: the task that does it has the intake meanwhile.
    writing: Option<JoinHandle<(Intake, Result<(), LakeError>)>>,
    intake: Intake,
    /// True after a write failed: rows are lost, so nothing of this landing may become visible.
    failed: bool,
    /// True while it is not known whether a commit is in the log.
    uncertain: bool,
}

impl Landing {
    pub(crate) fn new(lake: Lake, def: &'static TableDef, log: Log) -> Result<Self, LakeError> {
        let layout = Arc::new(Layout::of(def, &log)?);
        Ok(Landing {
            dir: lake.table_dir(def),
            _lease: lake.lease(def)?,
            lake,
            def,
            log,
            layout,
            promoter: None,
            buffer: Buffered::default(),
            most_buffered: BUFFER_BYTES,
            threads: 1,
            buffered_bytes: 0,
            buffered_rows: 0,
            writing: None,
            intake: Intake::default(),
            failed: false,
            uncertain: false,
        })
    }

    /// The same, of which so many bytes of rows are buffered, with their promoted columns, before they are written. As many are
    /// in memory while they are. The fewer, the more files there are to merge at the commit.
    #[must_use]
    pub fn with_buffer(self, bytes: usize) -> Self {
        Landing { most_buffered: bytes, ..self }
    }

    /// The same, whose files are encoded by so many threads at most.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Landing { threads, ..self }
    }

    /// True when a batch may fill the buffer.
    pub fn is_filled_by(&self, batch: &RecordBatch) -> bool {
        // Promoted columns are mostly not larger than the others, among which they may be.
        self.buffered_bytes + 2 * bytes_of_rows(batch) >= self.most_buffered
    }

    /// Takes rows: a batch in [`TableDef`] column order without the partition column, as
    /// [`crate::RowBuilder`] builds it.
    ///
    /// # Errors
    /// The batch does not fit the table, a row lacks its time or key, or the disk refuses: also rows that were taken before.
    pub async fn write(&mut self, batch: RecordBatch) -> Result<(), LakeError> {
        let rows = batch.num_rows();
        self.write_of(batch, &[(0, rows)]).await
    }

    /// The same of rows with their origins: so many rows of each, one behind the other.
    ///
    /// # Errors
    /// As for [`Landing::write`]; there are more or fewer rows than origins are given of.
    pub async fn write_of(&mut self, batch: RecordBatch, origins: &[(Origin, usize)]) -> Result<(), LakeError> {
        let rows: usize = origins.iter().map(|(_, rows)| rows).sum();
        if rows != batch.num_rows() {
            let reason = format!("origins are given of {rows} rows, and {} come", batch.num_rows());
            return Err(LakeError::Shape { table: self.def.name, reason });
        }
        if rows == 0 {
            return Ok(());
        }
        self.check_whole()?;
        let core = Keyer::new(self.def).with_contents(self.layout.core_of_landed(&batch)?)?;
        let prepared = match self.layout.promotion_of_landed(&batch) {
            Some(promotion) => Prepared::of_promotion(&self.layout, core, promotion)?,
            None => self.promoted(core).await?,
        };
        self.buffered_bytes += prepared.bytes;
        self.buffered_rows += prepared.core.num_rows();
        self.buffer.batches.push(prepared);
        let origins = origins.iter().flat_map(|(origin, rows)| std::iter::repeat_n(*origin, *rows));
        self.buffer.origins.extend(origins);
        if self.buffered_bytes >= self.most_buffered || self.buffered_rows >= BUFFER_ROWS {
            self.flush(false).await?;
        }
        Ok(())
    }

    /// Fills the promoted columns of core rows.
    async fn promoted(&mut self, core: RecordBatch) -> Result<Prepared, LakeError> {
        let (layout, mut promoter) = (self.layout.clone(), self.promoter.take().unwrap_or_else(|| Promoter::new(self.def)));
        let prepare = move || {
            let prepared = Prepared::of_core(&layout, &mut promoter, core);
            (promoter, prepared)
        };
        let (promoter, prepared) = run_blocking(self.def.name, prepare).await?;
        self.promoter = Some(promoter);
        prepared
    }

    /// Bytes of rows that wait in memory until they are sorted and written. As many may be in the middle of it.
    pub fn buffered_bytes(&self) -> usize {
        self.buffered_bytes
    }

    /// Begins to sort and write what is buffered: as a run for as long as it is not the last that there is. More rows may come
    /// meanwhile; what was begun before is waited for.
    async fn flush(&mut self, last: bool) -> Result<(), LakeError> {
        self.settle().await?;
        if self.buffer.batches.is_empty() && !(last && self.intake.has_runs()) {
            return Ok(());
        }
        let buffered = std::mem::take(&mut self.buffer);
        (self.buffered_bytes, self.buffered_rows) = (0, 0);
        let mut intake = std::mem::take(&mut self.intake);
        let (layout, dir, lake, log) = (self.layout.clone(), self.dir.clone(), self.lake.clone(), self.log.clone());
        let threads = self.threads;
        let work = move || {
            let done = intake.write(&layout, &dir, &lake, &log, &buffered, last, threads);
            (intake, done)
        };
        self.writing = Some(tokio::task::spawn_blocking(work));
        Ok(())
    }

    /// Waits for rows that are being written.
    ///
    /// # Errors
    /// They could not be written.
    pub async fn settle(&mut self) -> Result<(), LakeError> {
        let Some(writing) = &mut self.writing else { return Ok(()) };
        let written = writing.await;
        self.writing = None;
        // Until it is known to have gone well.
        self.failed = true;
        let (intake, done) = written.map_err(|source| LakeError::Worker { table: self.def.name, source })?;
        self.intake = intake;
        done?;
        self.failed = false;
        Ok(())
    }

    fn check_whole(&self) -> Result<(), LakeError> {
        if self.failed {
            let reason = "an earlier write of this landing failed".to_owned();
            return Err(LakeError::Shape { table: self.def.name, reason });
        }
        Ok(())
    }

    /// Makes the rows visible, all at once, together with the stream's position. Without new rows nothing is written.
    ///
    /// # Errors
    /// The disk refuses, or other writers were faster every time; the table is then as before, and the unit can be
    /// imported again.
    pub async fn commit(mut self, position: Position) -> Result<Landed, LakeError> {
        self.check_whole()?;
        let written = match self.flush(true).await {
            Ok(()) => self.settle().await,
            failed => failed,
        };
        if let Err(e) = written {
            if !matches!(e, LakeError::Stopped(_)) {
                self.delete_files();
            }
            return Err(e);
        }
        if self.intake.files.is_empty() {
            self.tell_looked();
            return Ok(self.landed_nothing());
        }
        let turn = self.lake.turn(self.def);
        // One at a time within this process: waiting is cheaper than losing against oneself.
        let _turn = turn.lock().await;
        let result = self.commit_in_turn(&position).await;
        self.tell_looked();
        if let Err(e) = &result
            && !self.uncertain
            && !matches!(e, LakeError::Stopped(_))
        {
            self.delete_files();
        }
        result
    }

    async fn commit_in_turn(&mut self, position: &Position) -> Result<Landed, LakeError> {
        for _ in 0..TRIES {
            let log = self
                .lake
                .log(self.def)
                .await?
                .ok_or_else(|| LakeError::Log { table: self.def.name, source: "the table is gone".into() })?;
            let Some(log) = self.prepare(log).await? else { continue };
            let Reconciled { rewritten, removed, replaced, displaced, replaced_by } = self.reconcile(&log).await?;
            let mut add: Vec<NewFile> = self.intake.files.iter().map(|w| w.file.clone()).collect();
            if add.is_empty() {
                return Ok(self.landed_nothing());
            }
            // A clean-up that took them for left behind would leave the table without rows that its log lists.
            add.iter().try_for_each(|file| check_size(self.def.name, self.dir.join(&file.path), file.size))?;
            let rows = self.intake.files.iter().map(|w| w.rows).sum::<u64>();
            add.extend(rewritten.iter().cloned());
            position::make_folder(self.lake.root(), self.def)?;
            let change = Change {
                add,
                remove: removed,
                data_change: true,
                months: None,
                transactions: position::transactions(position, &log),
                info: position::facts(position),
            };
            self.lake.fault().pass(Step::BeforeCommit)?;
            let log = match log.commit(change, &self.dir, self.lake.now_millis()).await {
                Ok(log) => log,
                Err(CommitError::Behind) => {
                    delete(&self.dir, &rewritten);
                    continue;
                }
                Err(CommitError::Failed(error)) => {
                    delete(&self.dir, &rewritten);
                    return Err(error);
                }
                Err(CommitError::Unknown(error)) => {
                    self.uncertain = true;
                    return Err(error);
                }
            };
            // Its files are the table's from now on.
            self.uncertain = true;
            let version = log.version();
            self.lake.keep_log(self.def, log.clone());
            self.lake.fault().pass(Step::AfterCommit)?;
            position::note_after_commit(&self.lake, self.def, &log).await;
            self.lake.fault().pass(Step::PositionWritten)?;
            return Ok(Landed {
                version: Some(version),
                new: (rows + displaced).saturating_sub(replaced),
                duplicates: self.intake.duplicates.sum(),
                replaced,
                held: self.intake.held(),
                origins: counts(&self.intake.duplicates, &replaced_by),
            });
        }
        Err(LakeError::Busy { table: self.def.name, attempts: TRIES })
    }

    /// Says how much was read to know what is there already.
    fn tell_looked(&self) {
        let Looked { files, groups, rows, whole, bytes } = self.intake.looked;
        if files > 0 {
            let table = self.def.name;
            tracing::info!(table, files, groups, rows, whole, bytes, "looked for landed rows of the same records");
        }
    }

    fn landed_nothing(&self) -> Landed {
        let duplicates = &self.intake.duplicates;
        let origins = counts(duplicates, &ByOrigin::default());
        Landed { duplicates: duplicates.sum(), held: self.intake.held(), origins, ..Landed::default() }
    }

    /// Takes up the table's newest version: its columns may have grown. `None` when the look must be repeated.
    async fn prepare(&mut self, log: Log) -> Result<Option<Log>, LakeError> {
        log.check_readable()?;
        let missing = Layout::missing(self.def, &log.schema());
        if !missing.is_empty() {
            let grown = log.add_columns(&missing, &self.dir).await?;
            self.lake.keep_log(self.def, grown);
            return Ok(None);
        }
        // Columns that others added meanwhile are not in our files and read as null: the files stay good.
        let layout = Layout::of(self.def, &log)?;
        if layout.hash != self.layout.hash || layout.partitioning != self.layout.partitioning {
            self.layout = Arc::new(layout);
        }
        self.log = log.clone();
        Ok(Some(log))
    }

    /// Brings this landing in line with a version of the table: own rows that are there already leave their files, landed
    /// rows that are older than own ones are taken out of theirs.
    async fn reconcile(&mut self, log: &Log) -> Result<Reconciled, LakeError> {
        let mut intake = std::mem::take(&mut self.intake);
        let (layout, dir, log) = (self.layout.clone(), self.dir.clone(), log.clone());
        let work = move || {
            let done = intake.reconcile(&layout, &dir, log.files());
            (intake, done)
        };
        let (intake, done) = run_blocking(self.def.name, work).await?;
        self.intake = intake;
        done
    }

    /// Gives up: deletes what was written.
    pub async fn abort(mut self) {
        // What failed is given up like all the rest.
        let _ = self.settle().await;
        self.delete_files();
    }

    fn delete_files(&self) {
        delete(&self.dir, self.intake.files.iter().map(|w| &w.file));
    }
}
