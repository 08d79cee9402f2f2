//! What is written to a log: the beginning of a table, commits, columns, checkpoints.
//!
//! A commit is a file that is made by the number of the version after the one that it is based on. Of tables that need nothing of
//! their writers, which are all that are made here, it is written without the library's state of the table, which would be read
//! from the log for each commit. Commits never use the library's own conflict resolution: it lets two writers replace the same file when one of them
//! only compacts, which would double rows. A commit here succeeds only right after the version that it is based on;
//! otherwise [`CommitError::Behind`] tells the caller to read again and to decide again.

use std::collections::{BTreeSet, HashMap};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow::datatypes::{Field, Schema};
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel as _;
use deltalake::kernel::transaction::{CommitBuilder, CommitData, CommitProperties, TransactionError};
use deltalake::kernel::{Action, Add, Metadata, Remove, StructType, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaTable, DeltaTableError, TableProperty};
use serde_json::Value;

use super::{Log, Source, View, delta_error, open_store};
use crate::blocking::run_blocking;
use crate::error::LakeError;
use crate::log::checkpoint::{self, NotWritten};
use crate::log::commit::{self, ACTIONS, ATTEMPT, DIGEST, DIVIDED, Digest, VERSION};
use crate::log::entry::{FileEntry, NewFile, is_flushed_by_commit};
use crate::log::files::{self, LOG};
use crate::log::old_commits::delete_oldest;
use crate::log::replay::{Base, Replayed, replay};
use crate::partition::Partitioning;
use crate::tables::{EVENT_DATE, EVENT_MONTH, TableDef};
use kqlake_durable::{self as durable, Draft, Unsynced};

/// Commits between two checkpoints of a log.
pub(crate) const CHECKPOINT_EVERY: u64 = 20;
/// Versions without a checkpoint after which a commit that is due writes one though it leaves them to upkeep.
pub(super) const MOST_WITHOUT: u64 = 3 * CHECKPOINT_EVERY;

/// How long a log's files are kept, as tables have it that do not say it (`delta.logRetentionDuration`).
const RETENTION_MILLIS: i64 = 30 * 24 * 60 * 60 * 1000;

/// Tries to add columns; each lost one means that another writer got through.
const COLUMN_TRIES: usize = 64;

/// What a commit does to a table.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// Files to add.
    pub add: Vec<NewFile>,
    /// Live files to remove, as the base version lists them.
    pub remove: Vec<FileEntry>,
    /// False when the rows stay the same (compaction).
    pub data_change: bool,
    /// The table's definition when the table is divided by month from here on; all live files are removed then.
    pub months: Option<&'static TableDef>,
    /// Application transactions.
    pub transactions: Vec<(String, i64)>,
    /// Facts for the commit's own record; nothing reads them back.
    pub info: Vec<(String, serde_json::Value)>,
}

/// What a commit's file is made of.
struct Commit {
    actions: Vec<Action>,
    operation: DeltaOperation,
    /// Facts for the commit's own record.
    info: HashMap<String, Value>,
    transactions: Vec<Transaction>,
}

/// Why it is not known that a commit was made.
enum Uncommitted {
    /// What it means is known.
    Known(CommitError),
    /// The log's files must say what it means.
    Delta(DeltaTableError),
    /// The same.
    Io(LakeError),
}

/// Why a commit did not happen, or may not have happened.
#[derive(Debug)]
pub(crate) enum CommitError {
    /// Another commit came first: nothing was written.
    Behind,
    /// The commit failed: it is not in the log.
    Failed(LakeError),
    /// It is unknown whether the commit is in the log, and whether it stays there.
    Unknown(LakeError),
}

impl Log {
    /// Creates the table with a definition's columns, or opens what another process created meanwhile.
    ///
    /// # Errors
    /// The folder or the log cannot be written.
    pub(crate) async fn create(def: &'static TableDef, dir: &Path) -> Result<Self, LakeError> {
        let missing: Vec<PathBuf> = dir.ancestors().take_while(|path| !path.exists()).map(Path::to_owned).collect();
        let created = Self::create_in(def, dir).await;
        if created.is_err() {
            // A folder without a log would look like a table without rows. Only empty folders can be removed like this.
            let _ = std::fs::remove_dir(dir.join(LOG));
            for path in missing {
                let _ = std::fs::remove_dir(path);
            }
        }
        created
    }

    async fn create_in(def: &'static TableDef, dir: &Path) -> Result<Self, LakeError> {
        // Both at once: their names reach the disk together.
        let folder = dir.join(LOG);
        run_blocking(def.name, move || durable::create_folders(&folder)).await?.map_err(|source| LakeError::Io {
            table: def.name,
            path: dir.to_owned(),
            source,
        })?;
        let store = open_store(def.name, dir, &BTreeSet::new())?;
        let columns = kernel_fields(def.name, &def.arrow_schema())?;
        let created = DeltaTable::new(store)
            .create()
            .with_table_name(def.name)
            .with_comment(def.about)
            .with_columns(columns.fields().cloned())
            .with_partition_columns([EVENT_MONTH])
            .with_configuration_property(TableProperty::CheckpointInterval, Some(CHECKPOINT_EVERY.to_string()))
            .with_configuration_property(
                TableProperty::DataSkippingStatsColumns,
                Some(def.statistics_columns().collect::<Vec<_>>().join(",")),
            )
            .with_save_mode(SaveMode::Ignore)
            .await;
        match (created, Self::open(def.name, dir).await?) {
            (_, Some(log)) => Ok(log),
            (Err(e), None) => Err(delta_error(def.name, dir, e)),
            (Ok(_), None) => {
                Err(LakeError::Log { table: def.name, source: "the table is not there after it was created".into() })
            }
        }
    }

    /// What the log says of the table once it is divided by month, with its columns as they are then.
    fn by_month(&self, state: &DeltaTableState, def: &TableDef) -> Result<(Metadata, String), LakeError> {
        let failed = |e: serde_json::Error| LakeError::Log { table: self.table, source: Box::new(e) };
        let month: Vec<Field> = def.columns.iter().filter(|c| c.name == EVENT_MONTH).map(|c| def.field(c)).collect();
        let month = kernel_fields(self.table, &Schema::new(month))?;
        let mut metadata = serde_json::to_value(state.metadata()).map_err(failed)?;
        let mut schema: Value = serde_json::from_str(metadata["schemaString"].as_str().unwrap_or_default()).map_err(failed)?;
        if let Some(fields) = schema["fields"].as_array_mut() {
            fields.retain(|field| field["name"] != EVENT_DATE && field["name"] != EVENT_MONTH);
            for field in month.fields() {
                fields.push(serde_json::to_value(field).map_err(failed)?);
            }
        }
        let schema = schema.to_string();
        metadata["schemaString"] = schema.clone().into();
        metadata["partitionColumns"] = vec![EVENT_MONTH].into();
        Ok((serde_json::from_value(metadata).map_err(failed)?, schema))
    }

    /// Commits a change right after this version, at an instant in milliseconds since 1970, and gives the log at the new version
    /// or a later one. What the commit names is on the disk before it, and the commit is when this returns: a power cut takes
    /// back nothing that was reported to the caller.
    ///
    /// # Errors
    /// [`CommitError::Behind`] when another commit came first.
    pub(crate) async fn commit(&self, change: Change, dir: &Path, now: i64) -> Result<Self, CommitError> {
        let (extent, log) = (self.extent.clone(), dir.join(LOG));
        run_blocking(self.table, move || extent.sweep(&log)).await.map_err(CommitError::Failed)?;
        let named = named(dir, &change.add);
        let data_change = change.data_change;
        let operation = if data_change {
            let column = self.partitioning().unwrap_or(Partitioning::Month).column().to_owned();
            DeltaOperation::Write { mode: SaveMode::Append, partition_by: Some(vec![column]), predicate: None }
        } else {
            DeltaOperation::Optimize { predicate: None, target_size: 0 }
        };
        let mut digest = Digest::default();
        change.remove.iter().for_each(|file| digest.removed(file));
        change.add.iter().for_each(|file| digest.added(file));
        change.transactions.iter().for_each(|(app, version)| digest.transaction(app, *version));
        let mut actions: Vec<Action> = Vec::with_capacity(change.add.len() + change.remove.len());
        let mut divided = None;
        if let Some(def) = change.months {
            let state = self.state(dir).await.map_err(CommitError::Failed)?;
            let (metadata, schema) = self.by_month(state, def).map_err(CommitError::Failed)?;
            digest.divided(EVENT_MONTH, &schema);
            actions.push(Action::Metadata(metadata));
            divided = Some((DIVIDED.to_owned(), EVENT_MONTH.into()));
        }
        actions.extend(change.remove.into_iter().map(|file| {
            Action::Remove(Remove {
                path: file.path,
                data_change,
                deletion_timestamp: Some(now),
                extended_file_metadata: Some(true),
                partition_values: file.partition.map(|of| HashMap::from([(of.by.column().to_owned(), Some(of.text()))])),
                size: i64::try_from(file.size).ok(),
                ..Remove::default()
            })
        }));
        actions.extend(change.add.into_iter().map(|file| {
            Action::Add(Add {
                path: file.path,
                partition_values: HashMap::from([(file.partition.by.column().to_owned(), Some(file.partition.text()))]),
                size: i64::try_from(file.size).unwrap_or(i64::MAX),
                modification_time: file.modified,
                data_change,
                stats: Some(file.stats),
                tags: Some(file.tags.into_iter().map(|(k, v)| (k, Some(v))).collect()),
                ..Add::default()
            })
        }));
        // A commit that says how much it holds cannot be cut between two of its actions without notice, nor can a copy of
        // another commit or of an action take the place of one that says what it is.
        let count = actions.len() + change.transactions.len();
        let next = self.view.version + 1;
        let attempt = uuid::Uuid::new_v4().to_string();
        let facts =
            [(ACTIONS, count.into()), (VERSION, next.into()), (DIGEST, digest.text().into()), (ATTEMPT, attempt.clone().into())];
        let info = change.info.into_iter().chain(facts.map(|(name, fact)| (name.to_owned(), fact))).chain(divided);
        let transactions = change.transactions.into_iter();
        let transactions = transactions.map(|(app, version)| Transaction::new_with_last_update(app, version, Some(now)));
        let commit = Commit { actions, operation, info: info.collect(), transactions: transactions.collect() };
        let committed = match &self.view.source {
            Source::Replay(base) if change.months.is_none() && self.view.takes_plain_commits() => {
                self.put(commit, base, dir, named).await
            }
            _ => {
                let flushed = run_blocking(self.table, move || durable::sync_together(&named)).await;
                let failed = |source| LakeError::Io { table: self.table, path: dir.to_owned(), source };
                flushed.and_then(|flushed| flushed.map_err(failed)).map_err(CommitError::Failed)?;
                self.commit_by_library(commit, dir).await
            }
        };
        let log = match committed {
            Ok(view) => self.at(dir, view),
            Err(Uncommitted::Known(error)) => return Err(error),
            Err(Uncommitted::Delta(error)) => {
                let otherwise = match error {
                    DeltaTableError::Transaction {
                        source: TransactionError::MaxCommitAttempts(_) | TransactionError::CommitConflict(_),
                    }
                    | DeltaTableError::VersionAlreadyExists(_) => CommitError::Behind,
                    error => CommitError::Failed(delta_error(self.table, dir, error)),
                };
                return self.resolved(otherwise, next, attempt, dir).await;
            }
            Err(Uncommitted::Io(error)) => return self.resolved(CommitError::Failed(error), next, attempt, dir).await,
        };
        let is_due = log.view.version % CHECKPOINT_EVERY == CHECKPOINT_EVERY - 1;
        if !is_due || (self.leaves_checkpoints && log.since_checkpoint(dir) < MOST_WITHOUT) {
            return Ok(log);
        }
        if let Err(error) = log.checkpoint(dir, now).await {
            // The log is whole without it; the next one will be tried again.
            tracing::warn!(table = self.table, %error, "checkpoint not written");
        }
        Ok(log.with_hint_of_its_own(dir))
    }

    /// Writes a commit's file, without asking the library what there is: what it would read again is known. The file is made right
    /// after this version or not at all, and once what it names is on the disk.
    async fn put(&self, commit: Commit, base: &Replayed, dir: &Path, named: Vec<Unsynced<'static>>) -> Result<View, Uncommitted> {
        let Commit { actions, operation, info, transactions } = commit;
        let (version, table) = (self.view.version + 1, self.table);
        let failed = |error| Uncommitted::Known(CommitError::Failed(error));
        let odd = |why: String| failed(LakeError::Log { table, source: why.into() });
        let text =
            CommitData::new(actions, operation, info, transactions).get_bytes().map_err(|e| Uncommitted::Delta(e.into()))?;
        // What its readers will see, before they do.
        let actions = commit::check(&text, version).map_err(|why| odd(format!("a commit {why}")))?;
        let now = replay(&Base::Version(base), &[actions]).ok().and_then(|now| View::replayed(version, now, Some(&self.view)));
        let view = now.ok_or_else(|| odd("a commit could not be read back".to_owned()))?;
        let path = dir.join(LOG).join(files::commit_name(version));
        let at = path.clone();
        let put = move || {
            let draft = Draft::create_unswept(&at)?;
            draft.file().write_all(&text)?;
            draft.publish_new_after(named)
        };
        let put = run_blocking(table, put).await.map_err(|e| Uncommitted::Known(CommitError::Unknown(e)))?;
        put.map(|()| view).map_err(|source| match source.kind() {
            ErrorKind::AlreadyExists => Uncommitted::Delta(DeltaTableError::VersionAlreadyExists(version)),
            _ => Uncommitted::Io(LakeError::Io { table, path, source }),
        })
    }

    /// Commits by the library, which looks at what the table needs of its writers.
    async fn commit_by_library(&self, commit: Commit, dir: &Path) -> Result<View, Uncommitted> {
        let state = self.state(dir).await.map_err(|e| Uncommitted::Known(CommitError::Failed(e)))?;
        // No retries, no checkpoint and no clean-up inside the commit: an error then says something about the commit itself.
        let properties = CommitProperties::default()
            .with_max_retries(0)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false))
            .with_metadata(commit.info)
            .with_application_transactions(commit.transactions);
        let done = CommitBuilder::from(properties)
            .with_actions(commit.actions)
            .build(Some(state.as_ref()), self.store.clone(), commit.operation)
            .await
            .map_err(Uncommitted::Delta)?;
        Self::of_library(self.table, done.snapshot()).map_err(|e| Uncommitted::Known(CommitError::Unknown(e)))
    }

    /// What an error of a commit means. It does not prove that nothing was written: the commit's file does. Where that is ours,
    /// it is flushed, and the log is given as if nothing had happened; what it means `otherwise` is given where it is not.
    async fn resolved(&self, otherwise: CommitError, version: u64, attempt: String, dir: &Path) -> Result<Self, CommitError> {
        let log = dir.join(LOG);
        let path = log.join(files::commit_name(version));
        let failed = |source| LakeError::Io { table: self.table, path: path.clone(), source };
        let look = move || -> std::io::Result<bool> {
            let ours = files::commit_facts(&log, version).is_some_and(|facts| facts.get(ATTEMPT) == Some(&attempt.into()));
            if ours {
                durable::sync_path(&log.join(files::commit_name(version)))?;
                durable::sync_folder(&log)?;
            }
            Ok(ours)
        };
        let looked = run_blocking(self.table, look).await.and_then(|looked| looked.map_err(failed));
        if !looked.map_err(CommitError::Unknown)? {
            return Err(otherwise);
        }
        match self.refreshed(dir).await {
            Ok(Some(log)) => Ok(log),
            Ok(None) => Err(CommitError::Unknown(LakeError::Log { table: self.table, source: "the table is gone".into() })),
            Err(error) => Err(CommitError::Unknown(error)),
        }
    }

    /// Adds columns. Another process may do the same at the same time; look at the schema of a refreshed log afterwards.
    ///
    /// # Errors
    /// The log cannot be written, or a column of that name has another type.
    pub(crate) async fn add_columns(&self, fields: &[Arc<Field>], dir: &Path) -> Result<Self, LakeError> {
        // Columns that arrive later may be null in the files that are there.
        let nullable = Schema::new(fields.iter().map(|f| f.as_ref().clone().with_nullable(true)).collect::<Vec<_>>());
        let columns = kernel_fields(self.table, &nullable)?;
        let gone = || LakeError::Log { table: self.table, source: "the table is gone".into() };
        let mut tries = 0;
        loop {
            let mut table = DeltaTable::new(self.store.clone());
            table.load().await.map_err(|e| delta_error(self.table, dir, e))?;
            // The commit says its number, so it is made right after the version that was loaded or not at all.
            let next = table.version().map_or(0, |version| version + 1);
            let properties = CommitProperties::default()
                .with_max_retries(0)
                .with_create_checkpoint(false)
                .with_cleanup_expired_logs(Some(false))
                .with_metadata([(VERSION.to_owned(), next.into())]);
            let added = table
                .add_columns()
                .with_fields(columns.fields().cloned().collect::<Vec<_>>())
                .with_commit_properties(properties)
                .await;
            let now = self.refreshed(dir).await?.ok_or_else(gone)?;
            let missing = fields.iter().any(|f| now.schema().field_with_name(f.name()).is_err());
            tries += 1;
            match added {
                Err(DeltaTableError::Transaction { .. } | DeltaTableError::VersionAlreadyExists(_))
                    if missing && tries < COLUMN_TRIES => {}
                Err(e) if missing => return Err(delta_error(self.table, dir, e)),
                _ => return Ok(now),
            }
        }
    }

    /// Writes a checkpoint of this version, at an instant in milliseconds since 1970, unless a later one is there. Gives how many files
    /// were removed since the one before, where that is known.
    ///
    /// # Errors
    /// It cannot be written; the log is whole without it.
    pub(crate) async fn checkpoint(&self, dir: &Path, now: i64) -> Result<Option<usize>, LakeError> {
        let (view, folder) = (self.view.clone(), dir.to_owned());
        let write = move || match &view.source {
            // The name of the newest one would be set back.
            Source::Replay(_) | Source::Library(..) if checkpoint::is_there_after(&folder, view.version) => Ok(None),
            Source::Replay(known) if view.takes_plain_commits() => checkpoint::write(&folder, view.version, known, now).map(Some),
            _ => Err(NotWritten("the library reads this log".to_owned())),
        };
        let why = match run_blocking(self.table, write).await? {
            Ok(removed) => return Ok(removed),
            Err(NotWritten(why)) => why,
        };
        tracing::debug!(table = self.table, why, "the library writes the checkpoint");
        let failed = |e| delta_error(self.table, dir, e);
        let mut table = DeltaTable::new(self.store.clone());
        table.load_version(self.view.version).await.map_err(failed)?;
        deltalake::checkpoints::create_checkpoint(&table, None).await.map_err(failed)?;
        Ok(None)
    }

    /// How many versions there are since the newest checkpoint, this one counted.
    pub(crate) fn since_checkpoint(&self, dir: &Path) -> u64 {
        match files::named_checkpoint(dir) {
            Some(checkpoint) => self.view.version.saturating_sub(checkpoint),
            None => self.view.version + 1,
        }
    }

    /// The same log, once this version has a checkpoint, at an instant in milliseconds since 1970, with what [`Log::checkpoint`] gives.
    ///
    /// # Errors
    /// As for [`Log::checkpoint`].
    pub(crate) async fn checkpointed(self, dir: &Path, now: i64) -> Result<(Self, Option<usize>), LakeError> {
        let removed = self.checkpoint(dir, now).await?;
        Ok((self.with_hint_of_its_own(dir), removed))
    }

    /// Files that the newest checkpoint names as removed, so many at most, with the milliseconds since 1970 when they were; the oldest
    /// first, where the checkpoint was written here. None where there is no checkpoint of one file.
    ///
    /// # Errors
    /// A thread ended before its work did.
    pub(crate) async fn first_removed(&self, dir: &Path, most: usize) -> Result<Vec<(String, i64)>, LakeError> {
        let dir = dir.to_owned();
        let read = move || checkpoint::first_removed(&dir, files::named_checkpoint(&dir)?, most).ok();
        Ok(run_blocking(self.table, read).await?.unwrap_or_default())
    }

    /// Deletes some of the oldest of the log's files that are not needed any more: commits and checkpoints before a checkpoint that is older than
    /// the log is kept (30 days) at an instant in milliseconds since 1970.
    ///
    /// # Errors
    /// A thread ended before its work did, or a file cannot be deleted.
    pub(crate) async fn delete_oldest_commits(&self, dir: &Path, now: i64) -> Result<usize, LakeError> {
        let (log, extent) = (dir.join(LOG), self.extent.clone());
        let before = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now - RETENTION_MILLIS).unwrap_or(0));
        let failed = |source| LakeError::Io { table: self.table, path: dir.to_owned(), source };
        run_blocking(self.table, move || delete_oldest(&log, &extent, before)).await?.map_err(failed)
    }

    /// Deletes log files before the newest checkpoint that are older than the table's log retention (30 days) at an instant in
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// The log cannot be listed or written.
    pub(crate) async fn delete_old_commits(&self, dir: &Path, now: i64) -> Result<usize, LakeError> {
        deltalake::checkpoints::cleanup_expired_logs_for(self.view.version, self.store.as_ref(), now - RETENTION_MILLIS, None)
            .await
            .map_err(|e| delta_error(self.table, dir, e))
    }
}

/// Arrow fields as Delta fields.
pub(super) fn kernel_fields(table: &'static str, schema: &Schema) -> Result<StructType, LakeError> {
    schema.try_into_kernel().map_err(|e| LakeError::Log { table, source: Box::new(e) })
}

/// What must be on the disk before a commit that adds files: those that are not flushed yet, and their names. The folders above were
/// flushed when they were made.
fn named(dir: &Path, files: &[NewFile]) -> Vec<Unsynced<'static>> {
    let folders: BTreeSet<PathBuf> = files.iter().filter_map(|file| Some(dir.join(&file.path).parent()?.to_owned())).collect();
    let small = files.iter().filter(|file| is_flushed_by_commit(file.size));
    small.map(|file| Unsynced::Path(dir.join(&file.path))).chain(folders.into_iter().map(Unsynced::Folder)).collect()
}
