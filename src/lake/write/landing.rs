//! Rows on their way into one table, of one unit of import or of many: they are buffered, sorted, written as files, and committed
//! at once. A unit that is too large for one landing takes several.
//!
//! Every try to commit looks at the newest version of the table first: rows whose key is there already are left out, and
//! in tables where the newest row wins, landed rows that are older are taken out of their files in the same commit. The
//! commit holds only if nothing else was committed since that look.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;

use super::intake::{Held, Intake, Reconciled};
use super::intent::Pending;
use crate::blocking::run_blocking;
use crate::data::file::{check_size, delete};
use crate::data::layout::Layout;
use crate::error::LakeError;
use crate::fault::Step;
use crate::log::commit::{ROWS_TRANSACTION, STREAM};
use crate::log::delta::{Change, CommitError, Log};
use crate::log::entry::{NewFile, rows_of};
use crate::tables::TableDef;
use crate::{Lake, Position};

/// Bytes of rows that are buffered before they are written.
const BUFFER_BYTES: usize = 48 << 20;
/// Rows that are buffered at most, so that positions and sort keys stay small beside them.
const BUFFER_ROWS: usize = 1 << 20;
/// Tries to commit before giving up; each lost one means that another writer got through.
const TRIES: usize = 64;

/// What a landing did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Landed {
    /// The table version of the commit; `None` when there was nothing to commit.
    pub version: Option<i64>,
    /// Rows whose key the table did not have.
    pub new: u64,
    /// Rows that were left out because a row of their key is there.
    pub duplicates: u64,
    /// Rows that took the place of an older row of their key.
    pub replaced: u64,
    /// Rows that were held back, by day.
    pub held: Vec<Held>,
}

/// The writing of rows into one table, up to one commit: those of one unit of import, of many, or of a part of a large one.
///
/// Dropping it without [`Landing::commit`] or [`Landing::abort`] leaves files behind that no one reads; compaction deletes
/// them later.
#[derive(Debug)]
pub struct Landing {
    lake: Lake,
    def: &'static TableDef,
    dir: PathBuf,
    log: Log,
    layout: Arc<Layout>,
    buffer: Vec<RecordBatch>,
    buffered_bytes: usize,
    buffered_rows: usize,
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
            lake,
            def,
            log,
            layout,
            buffer: Vec::new(),
            buffered_bytes: 0,
            buffered_rows: 0,
            intake: Intake::default(),
            failed: false,
            uncertain: false,
        })
    }

    /// The rows of a batch whose days can take them; the others are counted as held back. For callers who read landed rows
    /// themselves; [`Landing::write`] holds back what is left.
    ///
    /// # Errors
    /// The batch does not fit the table, or the files of its days cannot be looked at.
    pub async fn admit(&mut self, batch: RecordBatch) -> Result<RecordBatch, LakeError> {
        let times = batch.column_by_name(self.def.time).and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        let Some(times) = times.map(|times| times.values().clone()) else { return Ok(batch) };
        let mut intake = std::mem::take(&mut self.intake);
        let (layout, dir, log) = (self.layout.clone(), self.dir.clone(), self.log.clone());
        let work = move || {
            let taken = intake.admit(&layout, &dir, log.files(), &times);
            (intake, taken)
        };
        let (intake, taken) = run_blocking(self.def.name, work).await?;
        self.intake = intake;
        let taken = taken?;
        if taken.false_count() == 0 {
            return Ok(batch);
        }
        filter_record_batch(&batch, &taken).map_err(|source| LakeError::Arrow { table: self.def.name, source })
    }

    /// Holds back rows of the days of the data file that an error is about.
    ///
    /// # Errors
    /// The same error, when it is about something else.
    pub fn hold_back(&mut self, error: LakeError) -> Result<(), LakeError> {
        self.intake.close_for(&self.layout, &self.dir, self.log.files(), error)
    }

    /// Takes rows: a batch in [`TableDef`] column order without the partition column, as
    /// [`crate::RowBuilder`] builds it.
    ///
    /// # Errors
    /// The batch does not fit the table, a row lacks its time or key, or the disk refuses.
    pub async fn write(&mut self, batch: RecordBatch) -> Result<(), LakeError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.check_whole()?;
        let core = self.layout.core_of_landed(&batch)?;
        self.buffered_bytes += core.columns().iter().map(|c| c.get_array_memory_size()).sum::<usize>();
        self.buffered_rows += core.num_rows();
        self.buffer.push(core);
        if self.buffered_bytes >= BUFFER_BYTES || self.buffered_rows >= BUFFER_ROWS {
            self.flush().await?;
        }
        Ok(())
    }

    /// Bytes of rows that wait in memory until they are sorted and written.
    pub fn buffered_bytes(&self) -> usize {
        self.buffered_bytes
    }

    /// Sorts and writes what is buffered.
    async fn flush(&mut self) -> Result<(), LakeError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let batches = std::mem::take(&mut self.buffer);
        (self.buffered_bytes, self.buffered_rows) = (0, 0);
        let mut intake = std::mem::take(&mut self.intake);
        let (layout, dir, lake, log) = (self.layout.clone(), self.dir.clone(), self.lake.clone(), self.log.clone());
        let work = move || {
            let done = intake.write(&layout, &dir, &lake, &log, &batches);
            (intake, done)
        };
        self.failed = true;
        let (intake, done) = run_blocking(self.def.name, work).await?;
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
        if let Err(e) = self.flush().await {
            if !matches!(e, LakeError::Stopped(_)) {
                self.delete_files();
            }
            return Err(e);
        }
        if self.intake.files.is_empty() {
            return Ok(self.landed_nothing());
        }
        let turn = self.lake.turn(self.def);
        // One at a time within this process: waiting is cheaper than losing against oneself.
        let _turn = turn.lock().await;
        let result = self.commit_in_turn(&position).await;
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
            let Reconciled { rewritten, removed, replaced } = self.reconcile(&log).await?;
            let mut add: Vec<NewFile> = self.intake.files.iter().map(|w| w.file.clone()).collect();
            if add.is_empty() {
                return Ok(self.landed_nothing());
            }
            // A clean-up that took them for left behind would leave the table without rows that its log lists.
            add.iter().try_for_each(|file| check_size(self.def.name, self.dir.join(&file.path), file.size))?;
            let rows = self.intake.files.iter().map(|w| w.rows).sum::<u64>();
            add.extend(rewritten.iter().cloned());
            let counted = |stats: Option<&str>| stats.and_then(rows_of).unwrap_or(0);
            let after = log.rows() + add.iter().map(|file| counted(Some(&file.stats))).sum::<u64>();
            let after = after.saturating_sub(removed.iter().map(|file| counted(file.stats.as_deref())).sum());
            let pending = Pending::write(self.lake.root(), self.def, position, &log, after)?;
            self.lake.fault().pass(Step::IntentWritten)?;
            let change = Change {
                add,
                remove: removed,
                data_change: true,
                transactions: vec![
                    (position.stream.clone(), pending.intent.number),
                    (ROWS_TRANSACTION.to_owned(), log.version() + 1),
                ],
                info: vec![
                    (STREAM.to_owned(), position.stream.clone().into()),
                    ("kqlakeImportId".to_owned(), position.import_id.clone().into()),
                ],
            };
            self.lake.fault().pass(Step::BeforeCommit)?;
            self.uncertain = true;
            let committed = match log.commit(change, &self.dir).await {
                Ok(log) => Ok(log),
                Err(CommitError::Behind) => Err(None),
                Err(CommitError::Failed(error)) => Err(Some(error)),
            };
            let version = match committed {
                Ok(log) => {
                    let version = log.version();
                    self.lake.keep_log(self.def, log);
                    version
                }
                Err(failed) => {
                    // An error does not prove that nothing was written: the log does.
                    let now = self.lake.log(self.def).await?;
                    let number = match &now {
                        Some(log) => log.transaction(&position.stream, &self.dir).await?,
                        None => None,
                    };
                    match (now, failed) {
                        (Some(log), _) if number == Some(pending.intent.number) => log.version(),
                        (_, Some(error)) => {
                            self.uncertain = false;
                            pending.withdraw();
                            delete(&self.dir, &rewritten);
                            return Err(error);
                        }
                        (_, None) => {
                            self.uncertain = false;
                            pending.withdraw();
                            delete(&self.dir, &rewritten);
                            continue;
                        }
                    }
                }
            };
            self.lake.fault().pass(Step::AfterCommit)?;
            self.lake.fault().pass(Step::BeforeIntentRemoved)?;
            if let Err(error) = pending.settle(self.def) {
                // The rows are in; the position is found through the intent, too.
                tracing::warn!(table = self.def.name, %error, "position not written");
            }
            return Ok(Landed {
                version: Some(version),
                new: rows.saturating_sub(replaced),
                duplicates: self.intake.duplicates,
                replaced,
                held: self.intake.held(),
            });
        }
        Err(LakeError::Busy { table: self.def.name, attempts: TRIES })
    }

    fn landed_nothing(&self) -> Landed {
        Landed { duplicates: self.intake.duplicates, held: self.intake.held(), ..Landed::default() }
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
        let (layout, dir, lake, log) = (self.layout.clone(), self.dir.clone(), self.lake.clone(), log.clone());
        let work = move || {
            let done = intake.reconcile(&layout, &dir, lake.keys(), log.files());
            (intake, done)
        };
        let (intake, done) = run_blocking(self.def.name, work).await?;
        self.intake = intake;
        done
    }

    /// Gives up: deletes what was written.
    pub async fn abort(self) {
        self.delete_files();
    }

    fn delete_files(&self) {
        delete(&self.dir, self.intake.files.iter().map(|w| &w.file));
    }
}
