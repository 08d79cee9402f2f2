//! The Delta log of one table: the only file that names `deltalake`.
//!
//! Commits never use the library's own conflict resolution: it lets two writers replace the same file when one of them
//! only compacts, which would double rows. A commit here succeeds only right after the version that it is based on;
//! otherwise [`CommitError::Behind`] tells the caller to read again and to decide again.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{Field, Schema, SchemaRef};
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel as _;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake::kernel::{Action, Add, Metadata, Remove, StructType, Transaction};
use deltalake::logstore::{LogStoreRef, StorageConfig, logstore_with};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaTable, DeltaTableError, TableProperty};
use futures::TryStreamExt as _;
use serde_json::Value;
use url::Url;

use super::commit::{ACTIONS, ATTEMPT, DIGEST, DIVIDED, Digest, VERSION};
use super::entry::{FileEntry, NewFile, rows_of};
use super::files::{self, LOG, LogFiles, PassedFiles, Stamp, Unreadable};
use super::store::LakeStore;
use crate::blocking::run_blocking;
use crate::damage::Damage;
use crate::error::{LakeError, io_cause};
use crate::partition::{Partition, Partitioning};
use crate::tables::{EVENT_DATE, EVENT_MONTH, TableDef};
use kqlake_durable as durable;

/// Commits between two checkpoints of a log.
const CHECKPOINT_EVERY: u64 = 20;

/// Tries to add columns; each lost one means that another writer got through.
const COLUMN_TRIES: usize = 64;

/// Reader features that change nothing about how files are read here.
const HARMLESS_FEATURES: [&str; 3] = ["v2Checkpoint", "vacuumProtocolCheck", "timestampNtz"];

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

/// A table's log at one version. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Log {
    table: &'static str,
    store: LogStoreRef,
    state: Arc<DeltaTableState>,
    files: Arc<OnceLock<Vec<FileEntry>>>,
    /// Of the newest version's file: another one means that the folder was replaced.
    stamp: Option<Stamp>,
    passed: Arc<PassedFiles>,
    unreadable: Arc<Unreadable>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Log({} v{})", self.table, self.version())
    }
}

fn delta_error(table: &'static str, dir: &Path, source: DeltaTableError) -> LakeError {
    if let Some(kind) = io_cause(&source) {
        return LakeError::Io { table, path: dir.to_owned(), source: kind };
    }
    // Only what happened: the library adds a trace of its own calls.
    let text = source.to_string();
    let text = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason was given");
    LakeError::Log { table, source: text.into() }
}

/// What an error of opening a log means: a broken checkpoint where there is one, else what the library says.
async fn diagnosed(table: &'static str, dir: &Path, files: LogFiles, source: DeltaTableError) -> LakeError {
    match run_blocking(table, move || files.broken_checkpoint()).await {
        Ok(Some(damage)) => LakeError::Damaged { table, damage },
        Ok(None) => delta_error(table, dir, source),
        Err(error) => error,
    }
}

async fn look(
    table: &'static str,
    dir: &Path,
    seen: Option<u64>,
    unreadable: &Unreadable,
) -> Result<Option<LogFiles>, LakeError> {
    let (dir, unreadable) = (dir.to_owned(), unreadable.clone());
    run_blocking(table, move || LogFiles::look(table, &dir, seen, &unreadable)).await?
}

/// The store of a table's log without some of its files. The lake is a store of its own, with an address that has nothing to
/// decode: the library decodes addresses once too often.
fn open_store(table: &'static str, dir: &Path, without: &BTreeSet<String>) -> Result<LogStoreRef, LakeError> {
    let lake = dir.parent().ok_or_else(|| LakeError::NotAFolder { path: dir.to_owned() })?;
    let hidden = without.iter().map(|name| object_store::path::Path::from_iter([table, LOG, name])).collect();
    let store = LakeStore::new(lake, hidden).map_err(|e| delta_error(table, dir, e.into()))?;
    let address = Url::parse(&format!("memory:///{table}/")).map_err(|e| DeltaTableError::Generic(e.to_string()));
    address.and_then(|url| logstore_with(Arc::new(store), &url, StorageConfig::default())).map_err(|e| delta_error(table, dir, e))
}

impl Log {
    fn new(table: &'static str, dir: &Path, store: LogStoreRef, state: DeltaTableState) -> Self {
        let stamp = files::stamp(dir, state.version());
        let (files, passed, unreadable) = Default::default();
        Log { table, store, state: Arc::new(state), files, stamp, passed, unreadable }
    }

    /// The same log at another version.
    fn at(&self, dir: &Path, state: DeltaTableState) -> Self {
        let (passed, unreadable) = (self.passed.clone(), self.unreadable.clone());
        Log { passed, unreadable, ..Self::new(self.table, dir, self.store.clone(), state) }
    }

    /// The newest version of the table in a folder; `None` when there is no table.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] when the log is not whole, or data files have none; or the log cannot be read.
    pub(crate) async fn open(table: &'static str, dir: &Path) -> Result<Option<Self>, LakeError> {
        let mut unreadable = Unreadable::new();
        loop {
            let Some(files) = look(table, dir, None, &unreadable).await? else { return Ok(None) };
            let store = open_store(table, dir, &files.passed.names)?;
            let error = match DeltaTableState::try_new(&store, None).await {
                Ok(state) => {
                    for damage in &files.passed.damage {
                        tracing::warn!(table, "{damage}: it is passed over; {}", damage.advice());
                    }
                    let (passed, unreadable) = (Arc::new(files.passed), Arc::new(unreadable));
                    let log = Log { passed, unreadable, ..Self::new(table, dir, store, state) };
                    return log.seen_until(files.last, dir).await.map(Some);
                }
                Err(e) => diagnosed(table, dir, files, e).await,
            };
            // What the log says everything without is left out the next time.
            let LakeError::Damaged { damage: Damage::Checkpoint { file, why, spare: true }, .. } = &error else {
                return Err(error);
            };
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if unreadable.insert(name, why.clone()).is_some() {
                return Err(error);
            }
        }
    }

    /// What of the log is passed over, since it cannot be read and the rest says everything.
    pub(crate) fn passed(&self) -> &PassedFiles {
        &self.passed
    }

    /// The log, once all of its commits have been examined, of which those until a version were before.
    async fn seen_until(self, seen: u64, dir: &Path) -> Result<Self, LakeError> {
        let read = self.state.version();
        if read < seen {
            let reason = format!("the log could only be read to version {read} of {seen}");
            return Err(LakeError::Log { table: self.table, source: reason.into() });
        }
        if read > seen {
            // Committed by somebody else in between.
            look(self.table, dir, Some(seen), &self.unreadable).await?;
        }
        Ok(self)
    }

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

    /// The newest version, read incrementally; `None` when the table has been removed.
    ///
    /// # Errors
    /// As for [`Log::open`].
    pub(crate) async fn refreshed(&self, dir: &Path) -> Result<Option<Self>, LakeError> {
        let version = self.state.version();
        // The folder may have been replaced by an older or other table: then nothing of what is known counts.
        if self.stamp.is_none() || files::stamp(dir, version) != self.stamp {
            return Self::open(self.table, dir).await;
        }
        let Some(files) = look(self.table, dir, Some(version), &self.unreadable).await? else { return Ok(None) };
        if files.passed != *self.passed {
            return Self::open(self.table, dir).await;
        }
        if files.last == version {
            return Ok(Some(self.clone()));
        }
        let mut state = self.state.as_ref().clone();
        match state.update(&self.store, None).await {
            Ok(()) => self.at(dir, state).seen_until(files.last, dir).await.map(Some),
            Err(_) => Self::open(self.table, dir).await,
        }
    }

    /// The id that the table got when it was created.
    pub(crate) fn id(&self) -> &str {
        self.state.metadata().id()
    }

    /// Refuses a table that is not the one of its folder.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] naming what the folder holds.
    pub(crate) fn check_identity(&self, def: &TableDef, dir: &Path) -> Result<(), LakeError> {
        let schema = self.schema();
        let lacks = |column: &&&'static str| schema.field_with_name(column).is_err();
        // Other writers need not name their tables; such a table is known by what makes a row.
        let found = match self.state.metadata().name() {
            Some(name) if name != def.name => Some(format!("the table {name}")),
            Some(_) => [def.time].iter().find(lacks).map(|column| format!("a table without the column {column}")),
            None => def.key.iter().chain([&def.time]).find(lacks).map(|column| format!("a table without the column {column}")),
        };
        match found {
            Some(found) => {
                Err(LakeError::Damaged { table: self.table, damage: Damage::OtherTable { dir: dir.to_owned(), found } })
            }
            None => Ok(()),
        }
    }

    /// True for the same version of the same table, read at the same time.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }

    /// The version.
    pub(crate) fn version(&self) -> i64 {
        i64::try_from(self.state.version()).unwrap_or(i64::MAX)
    }

    /// The columns as the log lists them, partition column included.
    pub(crate) fn schema(&self) -> SchemaRef {
        self.state.snapshot().arrow_schema()
    }

    /// Refuses tables that need something of a reader that is not implemented here: wrong rows would be the result.
    ///
    /// # Errors
    /// [`LakeError::Unsupported`] naming the feature.
    pub(crate) fn check_readable(&self) -> Result<(), LakeError> {
        let refuse = |feature: String| LakeError::Unsupported { table: self.table, feature };
        let protocol = self.state.protocol();
        let config = self.state.metadata().configuration();
        if config.get("delta.columnMapping.mode").is_some_and(|mode| mode != "none") {
            return Err(refuse("columnMapping".into()));
        }
        if let Some(features) = protocol.reader_features() {
            for feature in features {
                let name = feature.to_string();
                if !HARMLESS_FEATURES.contains(&name.as_str()) {
                    return Err(refuse(name));
                }
            }
        } else if protocol.min_reader_version() > 2 {
            return Err(refuse(format!("reader version {}", protocol.min_reader_version())));
        }
        if self.partitioning().is_none() {
            return Err(refuse(format!("partitioning other than by {EVENT_MONTH} or {EVENT_DATE}")));
        }
        Ok(())
    }

    /// How the table is divided; `None` for a way that is not ours.
    pub(crate) fn partitioning(&self) -> Option<Partitioning> {
        Partitioning::of_columns(self.state.metadata().partition_columns())
    }

    /// What the log says of the table once it is divided by month, with its columns as they are then.
    fn by_month(&self, def: &TableDef) -> Result<(Metadata, String), LakeError> {
        let failed = |e: serde_json::Error| LakeError::Log { table: self.table, source: Box::new(e) };
        let month: Vec<Field> = def.columns.iter().filter(|c| c.name == EVENT_MONTH).map(|c| def.field(c)).collect();
        let month = kernel_fields(self.table, &Schema::new(month))?;
        let mut metadata = serde_json::to_value(self.state.metadata()).map_err(failed)?;
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

    /// The live files, in the order of the log.
    pub(crate) fn files(&self) -> &[FileEntry] {
        let by = self.partitioning();
        self.files.get_or_init(|| {
            self.state
                .log_data()
                .iter()
                .map(|view| {
                    // The only way to a file's tags; the deprecation note points to Arrow arrays that are not public.
                    #[allow(deprecated)]
                    let add = view.add_action();
                    FileEntry {
                        path: add.path,
                        size: u64::try_from(add.size).unwrap_or(0),
                        modified: add.modification_time,
                        partition: by.and_then(|by| {
                            let text = add.partition_values.get(by.column())?.as_deref()?;
                            Partition::parse(by, text)
                        }),
                        stats: add.stats,
                        tags: add.tags.unwrap_or_default(),
                        has_deletion_vector: add.deletion_vector.is_some(),
                    }
                })
                .collect()
        })
    }

    /// The rows of the live files that say how many they have.
    pub(crate) fn rows(&self) -> u64 {
        self.files().iter().filter_map(|file| rows_of(file.stats.as_deref()?)).sum()
    }

    /// The version of an application transaction.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) async fn transaction(&self, app_id: &str, dir: &Path) -> Result<Option<i64>, LakeError> {
        self.state.transaction_version(&self.store, app_id).await.map_err(|e| delta_error(self.table, dir, e))
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
            let (metadata, schema) = self.by_month(def).map_err(CommitError::Failed)?;
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
        let next = self.state.version() + 1;
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
            .build(Some(self.state.as_ref()), self.store.clone(), operation)
            .await;
        match committed {
            Ok(done) => {
                let log = self.at(dir, done.snapshot());
                if done.version() % CHECKPOINT_EVERY == CHECKPOINT_EVERY - 1
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

    /// Removed files with the milliseconds since 1970 when they were removed.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) async fn tombstones(&self, dir: &Path) -> Result<HashMap<String, i64>, LakeError> {
        self.state
            .all_tombstones(&self.store)
            .map_ok(|t| (t.path().into_owned(), t.deletion_timestamp().unwrap_or(0)))
            .try_collect()
            .await
            .map_err(|e| delta_error(self.table, dir, e))
    }

    /// Writes a checkpoint of this version.
    ///
    /// # Errors
    /// It cannot be written; the log is whole without it.
    pub(crate) async fn checkpoint(&self, dir: &Path) -> Result<(), LakeError> {
        let failed = |e| delta_error(self.table, dir, e);
        let mut table = DeltaTable::new(self.store.clone());
        table.load_version(self.state.version()).await.map_err(failed)?;
        deltalake::checkpoints::create_checkpoint(&table, None).await.map_err(failed)
    }

    /// Deletes log files before the newest checkpoint that are older than the table's log retention (30 days) at an instant in
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// The log cannot be listed or written.
    pub(crate) async fn clean_log(&self, dir: &Path, now: i64) -> Result<usize, LakeError> {
        const RETENTION_MILLIS: i64 = 30 * 24 * 60 * 60 * 1000;
        deltalake::checkpoints::cleanup_expired_logs_for(self.state.version(), self.store.as_ref(), now - RETENTION_MILLIS, None)
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
