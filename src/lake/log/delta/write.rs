//! What is written to a log: the beginning of a table, commits, columns, checkpoints.
//!
//! Commits never use the library's own conflict resolution: it lets two writers replace the same file when one of them
//! only compacts, which would double rows. A commit here succeeds only right after the version that it is based on;
//! otherwise [`CommitError::Behind`] tells the caller to read again and to decide again.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel as _;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake::kernel::{Action, Add, Metadata, Remove, StructType, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaTable, DeltaTableError, TableProperty};
use serde_json::Value;

use super::{Log, delta_error, open_store};
use crate::blocking::run_blocking;
use crate::error::LakeError;
use crate::log::commit::{ACTIONS, ATTEMPT, DIGEST, DIVIDED, Digest, VERSION};
use crate::log::entry::{FileEntry, NewFile};
use crate::log::files::{self, LOG};
use crate::partition::Partitioning;
use crate::tables::{EVENT_DATE, EVENT_MONTH, TableDef};
use kqlake_durable as durable;

/// Commits between two checkpoints of a log.
const CHECKPOINT_EVERY: u64 = 20;

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
        let folders = folders_of(dir, change.add.iter().map(|file| file.path.as_str()));
        let flushed = run_blocking(self.table, move || folders.iter().try_for_each(|folder| durable::sync_folder(folder))).await;
        let failed = |source| LakeError::Io { table: self.table, path: dir.to_owned(), source };
        flushed.and_then(|flushed| flushed.map_err(failed)).map_err(CommitError::Failed)?;
        let state = self.state(dir).await.map_err(CommitError::Failed)?;
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
        // No retries, no checkpoint and no clean-up inside the commit: an error then says something about the commit itself.
        let properties = CommitProperties::default()
            .with_max_retries(0)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false))
            .with_metadata(info)
            .with_application_transactions(
                change
                    .transactions
                    .into_iter()
                    .map(|(app, version)| Transaction::new_with_last_update(app, version, Some(now)))
                    .collect(),
            );
        let committed = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(state.as_ref()), self.store.clone(), operation)
            .await;
        match committed {
            Ok(done) => {
                let version = done.version();
                let view = Self::of_library(self.table, done.snapshot()).map_err(CommitError::Unknown)?;
                let log = self.at(dir, view);
                if version % CHECKPOINT_EVERY == CHECKPOINT_EVERY - 1
                    && let Err(error) = log.checkpoint(dir).await
                {
                    // The log is whole without it; the next one will be tried again.
                    tracing::warn!(table = self.table, %error, "checkpoint not written");
                }
                Ok(log)
            }
            Err(error) => self.resolved(error, next, attempt, dir).await,
        }
    }

    /// What an error of a commit means. It does not prove that nothing was written: the commit's file does. Where that is ours,
    /// it is flushed, and the log is given as if nothing had happened.
    async fn resolved(&self, error: DeltaTableError, version: u64, attempt: String, dir: &Path) -> Result<Self, CommitError> {
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
        match (looked.map_err(CommitError::Unknown)?, error) {
            (true, _) => match self.refreshed(dir).await {
                Ok(Some(log)) => Ok(log),
                Ok(None) => Err(CommitError::Unknown(LakeError::Log { table: self.table, source: "the table is gone".into() })),
                Err(error) => Err(CommitError::Unknown(error)),
            },
            (
                false,
                DeltaTableError::Transaction {
                    source: TransactionError::MaxCommitAttempts(_) | TransactionError::CommitConflict(_),
                }
                | DeltaTableError::VersionAlreadyExists(_),
            ) => Err(CommitError::Behind),
            (false, error) => Err(CommitError::Failed(delta_error(self.table, dir, error))),
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

    /// Writes a checkpoint of this version.
    ///
    /// # Errors
    /// It cannot be written; the log is whole without it.
    pub(crate) async fn checkpoint(&self, dir: &Path) -> Result<(), LakeError> {
        let failed = |e| delta_error(self.table, dir, e);
        let mut table = DeltaTable::new(self.store.clone());
        table.load_version(self.view.version).await.map_err(failed)?;
        deltalake::checkpoints::create_checkpoint(&table, None).await.map_err(failed)
    }

    /// Deletes log files before the newest checkpoint that are older than the table's log retention (30 days) at an instant in
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// The log cannot be listed or written.
    pub(crate) async fn clean_log(&self, dir: &Path, now: i64) -> Result<usize, LakeError> {
        const RETENTION_MILLIS: i64 = 30 * 24 * 60 * 60 * 1000;
        deltalake::checkpoints::cleanup_expired_logs_for(self.view.version, self.store.as_ref(), now - RETENTION_MILLIS, None)
            .await
            .map_err(|e| delta_error(self.table, dir, e))
    }
}

/// Arrow fields as Delta fields.
fn kernel_fields(table: &'static str, schema: &Schema) -> Result<StructType, LakeError> {
    schema.try_into_kernel().map_err(|e| LakeError::Log { table, source: Box::new(e) })
}

/// The folders that files are in. Those above were flushed when they were made.
fn folders_of<'p>(dir: &Path, files: impl Iterator<Item = &'p str>) -> BTreeSet<PathBuf> {
    files.filter_map(|file| Some(dir.join(file).parent()?.to_owned())).collect()
}
