//! The lake: a folder with one Delta table a kind of record.
//!
//! Rows go in through a [`Landing`], all of a unit at once and never twice; they come out through a [`TableSnapshot`],
//! which is a `TableProvider`'s view of one version. [`Lake::compact`] keeps the number of files small.

pub mod compact;
mod delta;
mod error;
pub mod fault;
mod intake;
mod intent;
mod keys;
mod landing;
mod layout;
mod promote;
pub mod provider;
mod rows;
pub mod snapshot;
pub mod tables;
pub mod writer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;

pub use self::compact::{CompactOptions, CompactReport};
use self::delta::Log;
pub use self::error::LakeError;
use self::fault::Fault;
use self::keys::KeyCache;
pub use self::landing::{Landed, Landing};
use self::layout::Layout;
pub use self::snapshot::{TableSnapshot, TableStats};
use self::tables::TableDef;

/// Where a unit of import comes from and how far it brings its stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// The stream, such as `files/traces`: the application id of its transaction in the table's log.
    pub stream: String,
    /// Whatever the source needs to go on from here.
    pub cursor: serde_json::Value,
    /// The run that lands the rows.
    pub import_id: String,
}

/// A lake. Cloning is cheap; clones share what they know of the tables.
#[derive(Debug, Clone)]
pub struct Lake {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    fault: Fault,
    keys: KeyCache,
    tables: Mutex<HashMap<&'static str, Known>>,
}

/// What is known of a table.
#[derive(Debug, Default)]
struct Known {
    log: Option<Log>,
    snapshot: Option<TableSnapshot>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Lake {
    /// A lake in a folder, which need not exist. Touches nothing.
    pub fn new(root: &Path) -> Self {
        Self::with_fault(root, Fault::default())
    }

    /// The same with a hook that tests stop the work with.
    pub fn with_fault(root: &Path, fault: Fault) -> Self {
        // Relative paths would mean another folder after a change of the working directory, and have no URL.
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        Lake { inner: Arc::new(Inner { root, fault, keys: KeyCache::default(), tables: Mutex::default() }) }
    }

    /// The lake's folder, absolute.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// The folder of a table.
    pub fn table_dir(&self, def: &TableDef) -> PathBuf {
        self.inner.root.join(def.name)
    }

    fn fault(&self) -> &Fault {
        &self.inner.fault
    }

    fn keys(&self) -> &KeyCache {
        &self.inner.keys
    }

    fn known<T>(&self, def: &TableDef, act: impl FnOnce(&mut Known) -> T) -> T {
        let mut tables = self.inner.tables.lock().unwrap_or_else(PoisonError::into_inner);
        act(tables.entry(def.name).or_default())
    }

    /// What commits to a table within this process wait for.
    fn turn(&self, def: &TableDef) -> Arc<tokio::sync::Mutex<()>> {
        self.known(def, |k| k.turn.clone())
    }

    /// Remembers a newer version of a table's log.
    fn keep_log(&self, def: &TableDef, log: Log) {
        self.known(def, |k| k.log = Some(log));
    }

    /// Whether the lake can be there.
    ///
    /// # Errors
    /// [`LakeError::NotAFolder`] when something else has its name; [`LakeError::Io`] when it cannot be looked at.
    pub async fn check(&self) -> Result<(), LakeError> {
        let path = self.inner.root.clone();
        match tokio::fs::metadata(&path).await {
            Ok(meta) if meta.is_dir() => Ok(()),
            Ok(_) => Err(LakeError::NotAFolder { path }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => Err(LakeError::NotAFolder { path }),
            Err(source) => Err(LakeError::Io { table: "_", path, source }),
        }
    }

    /// The newest version of a table's log.
    async fn log(&self, def: &'static TableDef) -> Result<Option<Log>, LakeError> {
        let dir = self.table_dir(def);
        let log = match self.known(def, |k| k.log.clone()) {
            Some(log) if dir.join("_delta_log").is_dir() => Some(log.refreshed(&dir).await?),
            _ => {
                self.check().await?;
                Log::open(def.name, &dir).await?
            }
        };
        self.known(def, |k| k.log = log.clone());
        Ok(log)
    }

    /// Begins to write into a table, which is created when it is not there.
    ///
    /// # Errors
    /// The lake's folder cannot be made or written, or the table at rest does not fit its definition.
    pub async fn land(&self, def: &'static TableDef) -> Result<Landing, LakeError> {
        let dir = self.table_dir(def);
        let mut log = match self.log(def).await? {
            Some(log) => log,
            None => Log::create(def, &dir).await?,
        };
        log.check_readable()?;
        let missing = Layout::missing(def, &log.schema());
        if !missing.is_empty() {
            log = log.add_columns(&missing, &dir).await?;
        }
        self.keep_log(def, log.clone());
        Landing::new(self.clone(), def, log)
    }

    /// A view of a table's newest version; `None` when there is no such table yet.
    ///
    /// # Errors
    /// The log cannot be read, or the table uses what is not implemented here.
    pub async fn snapshot(&self, def: &'static TableDef) -> Result<Option<TableSnapshot>, LakeError> {
        let Some(log) = self.log(def).await? else { return Ok(None) };
        let version = log.version();
        let same = |s: &TableSnapshot| s.version() == version && std::ptr::eq(s.def(), def);
        if let Some(known) = self.known(def, |k| k.snapshot.clone().filter(same)) {
            return Ok(Some(known));
        }
        let snapshot = TableSnapshot::new(def, &self.table_dir(def), &log)?;
        self.known(def, |k| k.snapshot = Some(snapshot.clone()));
        Ok(Some(snapshot))
    }

    /// A provider of a table's newest version; an empty one when there is no such table yet.
    ///
    /// # Errors
    /// The log cannot be read, or the table uses what is not implemented here.
    pub async fn provider(&self, def: &'static TableDef) -> Result<Arc<dyn TableProvider>, LakeError> {
        Ok(match self.snapshot(def).await? {
            Some(snapshot) => snapshot.provider(),
            None => Arc::new(EmptyTable::new(def.arrow_schema())),
        })
    }

    /// Numbers of a table from its log alone; `None` when there is no such table yet.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn table_stats(&self, def: &'static TableDef) -> Result<Option<TableStats>, LakeError> {
        Ok(self.snapshot(def).await?.map(|s| s.stats()))
    }

    /// How far a stream's newest commit into a table brought it; `None` when that is not known, and the source must be
    /// read from its start.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn position(&self, def: &'static TableDef, stream: &str) -> Result<Option<Position>, LakeError> {
        let Some(log) = self.log(def).await? else { return Ok(None) };
        let found = intent::position(self.root(), def, &log, &self.table_dir(def), stream).await?;
        Ok(found.map(|i| Position { stream: i.stream, cursor: i.cursor, import_id: i.import_id }))
    }

    /// Merges a table's small files into large sorted ones, fills promoted columns that older files lack, and deletes
    /// files that no reader can need any more.
    ///
    /// # Errors
    /// The disk refuses, or the table uses what is not implemented here. What was done until then stays.
    pub async fn compact(&self, def: &'static TableDef, options: &CompactOptions) -> Result<CompactReport, LakeError> {
        compact::compact(self, def, options).await
    }
}
