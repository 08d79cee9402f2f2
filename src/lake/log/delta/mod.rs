//! The Delta log of one table: the only module that names `deltalake`.
//!
//! What a reader needs is replayed from the log's files (`replay`); the library's own state of the table is made where it is
//! needed: to commit, and where a log has what only the library reads.

#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{Schema, SchemaRef};
use deltalake::DeltaTableError;
use deltalake::kernel::StructType;
use deltalake::kernel::engine::arrow_conversion::TryIntoArrow as _;
use deltalake::logstore::{LogStoreRef, StorageConfig, logstore_with};
use deltalake::table::state::DeltaTableState;
use futures::TryStreamExt as _;
use serde::Deserialize as _;
use tokio::sync::OnceCell;
use url::Url;

pub(crate) use self::write::{CHECKPOINT_EVERY, Change, CommitError};
use super::entry::{FileEntry, rows_of};
use super::files::{self, Extent, LOG, LogFiles, PassedFiles, Stamp, Unreadable};
use super::replay::{Metadata, Protocol, Replayed};
use super::schema::plain_columns;
use super::store::LakeStore;
use crate::blocking::run_blocking;
use crate::damage::Damage;
use crate::error::{LakeError, io_cause};
use crate::partition::{Partition, Partitioning};
use crate::tables::{EVENT_DATE, EVENT_MONTH, TableDef};

/// Reader features that change nothing about how files are read here.
const HARMLESS_FEATURES: [&str; 3] = ["v2Checkpoint", "vacuumProtocolCheck", "timestampNtz"];

/// A table's log at one version. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Log {
    table: &'static str,
    store: LogStoreRef,
    view: Arc<View>,
    /// What the library knows of this version, once it was asked.
    state: Arc<OnceCell<Arc<DeltaTableState>>>,
    /// Of the newest version's file: another one means that the folder was replaced.
    stamp: Option<Stamp>,
    /// Of the file that names the newest checkpoint.
    hint: Option<Stamp>,
    /// What there was of earlier versions when the folder was listed.
    extent: Arc<Extent>,
    passed: Arc<PassedFiles>,
    unreadable: Arc<Unreadable>,
    /// True where commits leave checkpoints to upkeep, which asks for them ([`Log::checkpointed`]).
    leaves_checkpoints: bool,
}

/// What a reader needs of a version.
struct View {
    version: u64,
    protocol: Protocol,
    metadata: Metadata,
    /// The columns as the log lists them.
    schema: SchemaRef,
    source: Source,
}

/// Where files and transactions are from.
enum Source {
    Replay(Replayed),
    Library(Arc<DeltaTableState>, OnceLock<Vec<FileEntry>>),
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Log({} v{})", self.table, self.view.version)
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

/// A log's files, and their replay where they were all read.
async fn look(
    table: &'static str,
    dir: &Path,
    seen: Option<u64>,
    unreadable: &Unreadable,
) -> Result<Option<(LogFiles, Option<Replayed>)>, LakeError> {
    let (dir, unreadable) = (dir.to_owned(), unreadable.clone());
    run_blocking(table, move || {
        let files = LogFiles::look(table, &dir, seen, &unreadable)?;
        Ok(files.map(|files| {
            let replayed = if seen.is_none() { files.replayed() } else { None };
            (files, replayed)
        }))
    })
    .await?
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

impl View {
    /// What was replayed of a version that may follow another one; `None` when its columns are such as only the library
    /// understands.
    fn replayed(version: u64, replayed: Replayed, before: Option<&View>) -> Option<Self> {
        let same = before.filter(|before| before.metadata.schema_string == replayed.metadata.schema_string);
        let schema = match same {
            Some(before) => before.schema.clone(),
            None => arrow_schema(&replayed.metadata)?,
        };
        let Replayed { protocol, metadata, .. } = &replayed;
        let (protocol, metadata) = (protocol.clone(), metadata.clone());
        Some(View { version, protocol, metadata, schema, source: Source::Replay(replayed) })
    }

    /// What the library knows of a version.
    fn of_library(state: Arc<DeltaTableState>) -> Result<Self, serde_json::Error> {
        Ok(View {
            version: state.version(),
            protocol: Protocol::deserialize(serde_json::to_value(state.protocol())?)?,
            metadata: Metadata::deserialize(serde_json::to_value(state.metadata())?)?,
            schema: state.snapshot().arrow_schema(),
            source: Source::Library(state, OnceLock::new()),
        })
    }

    /// True for a table whose writers need to know nothing but the rules of a log. Tables of the writer version 2 may forbid that
    /// rows are removed; later versions and lists of features may ask for anything.
    fn takes_plain_commits(&self) -> bool {
        const APPEND_ONLY: &str = "delta.appendOnly";
        let Protocol { min_reader_version, min_writer_version, reader_features } = &self.protocol;
        let is_early = *min_reader_version <= 1 && min_writer_version.is_some_and(|version| version <= 2);
        is_early && reader_features.is_none() && !self.metadata.configuration.contains_key(APPEND_ONLY)
    }
}

/// The columns of a table as Arrow has them.
fn arrow_schema(metadata: &Metadata) -> Option<SchemaRef> {
    plain_columns(&metadata.schema_string).or_else(|| library_columns(&metadata.schema_string)).map(Arc::new)
}

fn library_columns(schema: &str) -> Option<Schema> {
    let schema: StructType = serde_json::from_str(schema).ok()?;
    (&schema).try_into_arrow().ok()
}

impl Log {
    fn new(table: &'static str, dir: &Path, store: LogStoreRef, view: View) -> Self {
        let stamp = files::stamp(dir, view.version);
        let state = match &view.source {
            Source::Library(state, _) => OnceCell::new_with(Some(state.clone())),
            Source::Replay(_) => OnceCell::new(),
        };
        let (extent, passed, unreadable) = Default::default();
        let (view, state) = (Arc::new(view), Arc::new(state));
        Log { table, store, view, state, stamp, hint: None, extent, passed, unreadable, leaves_checkpoints: false }
    }

    /// The same log at another version.
    fn at(&self, dir: &Path, view: View) -> Self {
        let (extent, passed, unreadable) = (self.extent.clone(), self.passed.clone(), self.unreadable.clone());
        Log {
            extent,
            passed,
            unreadable,
            hint: self.hint,
            leaves_checkpoints: self.leaves_checkpoints,
            ..Self::new(self.table, dir, self.store.clone(), view)
        }
    }

    /// The same log, whose commits leave checkpoints to upkeep, or not. A commit writes one all the same when there was none for
    /// [`MOST_WITHOUT`](write::MOST_WITHOUT) versions; it looks every [`CHECKPOINT_EVERY`] versions, so that up to 79 are without.
    pub(crate) fn leaving_checkpoints(self, leaves_checkpoints: bool) -> Self {
        Log { leaves_checkpoints, ..self }
    }

    /// The log, after a checkpoint of this version was written.
    fn with_hint_of_its_own(self, dir: &Path) -> Self {
        // Looked at first: what is named by another one that takes its place later is looked for then.
        let hint = files::hint(dir);
        if files::named_checkpoint(dir) == Some(self.view.version) { Log { hint, ..self } } else { self }
    }

    fn of_library(table: &'static str, state: DeltaTableState) -> Result<View, LakeError> {
        View::of_library(Arc::new(state)).map_err(|source| LakeError::Log { table, source: Box::new(source) })
    }

    /// What the library knows of this version.
    async fn state(&self, dir: &Path) -> Result<&Arc<DeltaTableState>, LakeError> {
        let load = || async { DeltaTableState::try_new(&self.store, Some(self.view.version)).await.map(Arc::new) };
        self.state.get_or_try_init(load).await.map_err(|e| delta_error(self.table, dir, e))
    }

    /// The newest version of the table in a folder; `None` when there is no table.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] when the log is not whole, or data files have none; or the log cannot be read.
    pub(crate) async fn open(table: &'static str, dir: &Path) -> Result<Option<Self>, LakeError> {
        let mut unreadable = Unreadable::new();
        // Looked at before the folder: a later one is news the next time.
        let hint = files::hint(dir);
        loop {
            let Some((files, replayed)) = look(table, dir, None, &unreadable).await? else { return Ok(None) };
            let store = open_store(table, dir, &files.passed.names)?;
            let opened = match replayed.and_then(|replayed| View::replayed(files.last, replayed, None)) {
                Some(view) => Ok(view),
                None => match DeltaTableState::try_new(&store, None).await {
                    Ok(state) => Ok(Self::of_library(table, state)?),
                    Err(e) => Err(e),
                },
            };
            let error = match opened {
                Ok(view) => {
                    for damage in &files.passed.damage {
                        tracing::warn!(table, "{damage}: it is passed over; {}", damage.advice());
                    }
                    let extent = Arc::new(files.extent());
                    let (passed, unreadable) = (Arc::new(files.passed), Arc::new(unreadable));
                    let log = Log { extent, passed, unreadable, hint, ..Self::new(table, dir, store, view) };
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
        let read = self.view.version;
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

    /// The newest version, read incrementally; `None` when the table has been removed. The log's folder, which may have thousands of
    /// files, is listed only where something is new.
    ///
    /// # Errors
    /// As for [`Log::open`].
    pub(crate) async fn refreshed(&self, dir: &Path) -> Result<Option<Self>, LakeError> {
        let version = self.view.version;
        // The folder may have been replaced by an older or other table: then nothing of what is known counts.
        if self.stamp.is_none() || files::stamp(dir, version) != self.stamp {
            return Self::open(self.table, dir).await;
        }
        let hint = files::hint(dir);
        if hint == self.hint && files::ends_at(dir, version) {
            return Ok(Some(self.clone()));
        }
        let Some((files, _)) = look(self.table, dir, Some(version), &self.unreadable).await? else { return Ok(None) };
        if files.passed != *self.passed {
            return Self::open(self.table, dir).await;
        }
        let known = Log { hint, ..self.clone() };
        if files.last == version {
            return Ok(Some(known));
        }
        let newer = match &self.view.source {
            Source::Replay(base) => {
                let now = files.replayed_after(version, base);
                now.and_then(|now| View::replayed(files.last, now, Some(&self.view)))
            }
            Source::Library(state, _) => {
                let mut state = state.as_ref().clone();
                state.update(&self.store, None).await.ok().map(|()| Self::of_library(self.table, state)).transpose()?
            }
        };
        match newer {
            Some(view) => known.at(dir, view).seen_until(files.last, dir).await.map(Some),
            None => Self::open(self.table, dir).await,
        }
    }

    /// The id that the table got when it was created.
    pub(crate) fn id(&self) -> &str {
        &self.view.metadata.id
    }

    /// Refuses a table that is not the one of its folder.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] naming what the folder holds.
    pub(crate) fn check_identity(&self, def: &TableDef, dir: &Path) -> Result<(), LakeError> {
        let schema = self.schema();
        let lacks = |column: &&&'static str| schema.field_with_name(column).is_err();
        // Other writers need not name their tables; such a table is known by what makes a row.
        let found = match self.view.metadata.name.as_deref() {
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
        Arc::ptr_eq(&self.view, &other.view)
    }

    /// The version.
    pub(crate) fn version(&self) -> i64 {
        i64::try_from(self.view.version).unwrap_or(i64::MAX)
    }

    /// The columns as the log lists them, partition column included.
    pub(crate) fn schema(&self) -> SchemaRef {
        self.view.schema.clone()
    }

    /// Refuses tables that need something of a reader that is not implemented here: wrong rows would be the result.
    ///
    /// # Errors
    /// [`LakeError::Unsupported`] naming the feature.
    pub(crate) fn check_readable(&self) -> Result<(), LakeError> {
        let refuse = |feature: String| LakeError::Unsupported { table: self.table, feature };
        let View { protocol, metadata, .. } = &*self.view;
        if metadata.configuration.get("delta.columnMapping.mode").is_some_and(|mode| mode != "none") {
            return Err(refuse("columnMapping".into()));
        }
        if let Some(features) = &protocol.reader_features {
            if let Some(feature) = features.iter().find(|feature| !HARMLESS_FEATURES.contains(&feature.as_str())) {
                return Err(refuse(feature.clone()));
            }
        } else if protocol.min_reader_version > 2 {
            return Err(refuse(format!("reader version {}", protocol.min_reader_version)));
        }
        if self.partitioning().is_none() {
            return Err(refuse(format!("partitioning other than by {EVENT_MONTH} or {EVENT_DATE}")));
        }
        Ok(())
    }

    /// How the table is divided; `None` for a way that is not ours.
    pub(crate) fn partitioning(&self) -> Option<Partitioning> {
        Partitioning::of_columns(&self.view.metadata.partition_columns)
    }

    /// The live files, in the order of the log: those of newer commits first.
    pub(crate) fn files(&self) -> &[FileEntry] {
        match &self.view.source {
            Source::Replay(replayed) => &replayed.files,
            Source::Library(state, files) => files.get_or_init(|| entries(state, self.partitioning())),
        }
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
        match &self.view.source {
            Source::Replay(replayed) => Ok(replayed.transactions.get(app_id).copied()),
            Source::Library(state, _) => {
                state.transaction_version(&self.store, app_id).await.map_err(|e| delta_error(self.table, dir, e))
            }
        }
    }

    /// Removed files with the milliseconds since 1970 when they were removed.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) async fn tombstones(&self, dir: &Path) -> Result<HashMap<String, i64>, LakeError> {
        self.state(dir)
            .await?
            .all_tombstones(&self.store)
            .map_ok(|t| (t.path().into_owned(), t.deletion_timestamp().unwrap_or(0)))
            .try_collect()
            .await
            .map_err(|e| delta_error(self.table, dir, e))
    }
}

/// The live files as the library knows them.
fn entries(state: &DeltaTableState, by: Option<Partitioning>) -> Vec<FileEntry> {
    let entry = |add: deltalake::kernel::Add| FileEntry {
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
    };
    let files = state.log_data();
    // The only way to a file's tags; the deprecation note points to Arrow arrays that are not public.
    #[allow(deprecated)]
    files.iter().map(|view| entry(view.add_action())).collect()
}
