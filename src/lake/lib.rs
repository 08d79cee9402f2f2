//! The lake: a folder with one Delta table a kind of record.
//!
//! Rows go in through a [`Landing`], which takes those of one table and commits them once, none of them twice; they come out
//! through a [`TableSnapshot`], which is a `TableProvider`'s view of one version. [`Lake::compact`] keeps the number of files
//! small. What compactions and queries share is here as well: the pool of [`memory`], and the folder to [`spill`] to.
//!
//! Each part uses those above it: `tables` says what tables there are, `identity` what makes their rows records, `log` is a
//! table's Delta log, and `data` its Parquet files; `write` lands rows and `read` scans them, without knowing of one another;
//! `compact` does both.
//!
//! May use: `kqlake-value`, for KQL's types and the clock, and `kqlake-durable`, for the folder to spill to and for what is in
//! a path's way; Arrow, DataFusion, Delta and Parquet. Must never know: the language's queries, where rows come from and where
//! answers go.

mod blocking;
mod compact;
mod damage;
mod data;
mod day;
mod error;
pub mod fault;
pub mod folders;
pub mod identity;
mod log;
pub mod memory;
mod partition;
mod place;
mod read;
mod repair;
mod retry;
pub mod spill;
pub mod tables;
mod write;

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;

use self::blocking::run_blocking;
pub use self::compact::{CompactOptions, CompactReport, Overdue, Upkeep, UpkeepReport};
pub use self::damage::Damage;
use self::data::layout::Layout;
pub use self::data::rows::bytes_of_rows;
pub use self::error::{LakeError, is_of_decoder, lake_cause};
use self::fault::Fault;
use self::log::delta::Log;
use self::log::{actions, files};
pub use self::read::as_kql::as_kql_takes_it;
pub use self::read::broken::broken_file;
pub use self::read::parquet_format::Parquet;
pub use self::read::provider::{SCAN_BYTES, SCAN_FILES};
pub use self::read::snapshot::{TableSnapshot, TableStats};
pub use self::read::texts_once::TextsOnce;
pub use self::repair::{MovedFile, RepairReport};
use self::tables::TableDef;
pub use self::write::held::HeldRows;
pub use self::write::landing::{Landed, Landing};
pub use self::write::origin::{Origin, OriginCounts};
use self::write::position;
pub use self::write::rows::{RowBuilder, concat_rows};
use kqlake_durable::{Lease, resolved};
use kqlake_value::clock::{Clock, SystemClock};

/// Where a unit of import comes from and how far it advances its stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// The stream, such as `files/traces`: the application id of its transaction in the table's log.
    pub stream: String,
    /// Whatever the source needs to continue from here.
    pub cursor: serde_json::Value,
    /// The run that lands the rows.
    pub import_id: String,
}

/// Which table is in the lake, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TableVersion {
    /// The id that the table got when it was created: a table that took another's place has another one.
    pub id: String,
    /// Its version: a table that was put back from a backup has an earlier one.
    pub version: i64,
    /// The version that the newest repair made which lost commits: those of that number and later were others before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repaired: Option<i64>,
}

impl TableVersion {
    /// True when a table in this state has all that it had in the state `then`.
    pub fn holds(&self, then: &TableVersion) -> bool {
        let lost = self.repaired > then.repaired && self.repaired.is_some_and(|from| then.version >= from);
        self.id == then.id && self.version >= then.version && !lost
    }
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
    clock: Arc<dyn Clock>,
    /// Set once the path is known to be one that a lake can have.
    placed: OnceLock<()>,
    tables: Mutex<HashMap<&'static str, TableState>>,
    /// True once commits leave checkpoints to [`Lake::keep_up`].
    leaves_checkpoints: AtomicBool,
    /// A table that stays at a version.
    held: Option<TableSnapshot>,
}

/// What is known of a table.
#[derive(Debug, Default)]
struct TableState {
    log: Option<Log>,
    snapshot: Option<(Log, TableSnapshot)>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Lake {
    /// A lake in a folder, which need not exist. Touches nothing.
    pub fn new(root: &Path) -> Self {
        Self::with_fault(root, Fault::default())
    }

    /// The same with a hook that stops the work at a step, as a crash would.
    ///
    /// It is there for tests alone, and public since those of the program are outside of this crate. Behind a feature, which
    /// only tests turn on, this crate and all that use it would be built twice: for the program and for its tests.
    #[doc(hidden)]
    pub fn with_fault(root: &Path, fault: Fault) -> Self {
        Self::of(plain(root), fault, Arc::new(SystemClock))
    }

    fn of(root: PathBuf, fault: Fault, clock: Arc<dyn Clock>) -> Self {
        let (placed, tables, leaves_checkpoints) = Default::default();
        Lake { inner: Arc::new(Inner { root, fault, clock, placed, tables, leaves_checkpoints, held: None }) }
    }

    /// The same lake with another source of time; it shares nothing of what is known of the tables.
    #[must_use]
    pub fn with_clock(&self, clock: Arc<dyn Clock>) -> Self {
        Self::of(self.inner.root.clone(), self.inner.fault.clone(), clock)
    }

    /// The lake's folder, absolute.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// True where a table of it is there.
    pub fn is_there(&self) -> bool {
        place::is_lake(self.root())
    }

    /// The folder of a table.
    pub(crate) fn table_dir(&self, def: &TableDef) -> PathBuf {
        self.inner.root.join(def.name)
    }

    fn fault(&self) -> &Fault {
        &self.inner.fault
    }

    /// The present instant in microseconds since 1970.
    fn now_us(&self) -> i64 {
        self.inner.clock.now_micros()
    }

    /// The present instant in milliseconds since 1970.
    fn now_millis(&self) -> i64 {
        self.now_us().div_euclid(1_000)
    }

    /// A sign that files of a table are being written that no commit names yet: compaction leaves them alone.
    fn lease(&self, def: &'static TableDef) -> Result<Lease, LakeError> {
        let dir = self.table_dir(def);
        Lease::take(&dir).map_err(|source| LakeError::Io { table: def.name, path: dir, source })
    }

    fn known<T>(&self, def: &TableDef, act: impl FnOnce(&mut TableState) -> T) -> T {
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
    /// [`LakeError::NoLake`] when its path cannot be a lake's; [`LakeError::NotAFolder`] when something else has its name;
    /// [`LakeError::Io`] when it cannot be listed.
    pub async fn check(&self) -> Result<(), LakeError> {
        let lake = self.clone();
        // In one go: each change of threads takes as long as the look itself.
        run_blocking("_", move || lake.check_folder()).await?
    }

    fn check_folder(&self) -> Result<(), LakeError> {
        let path = self.inner.root.clone();
        if self.inner.placed.get().is_none() {
            place::check(&path)?;
            self.inner.placed.get_or_init(|| ());
        }
        match std::fs::metadata(&path) {
            // A folder that may not be listed would give the same error for every table.
            Ok(meta) if meta.is_dir() => match std::fs::symlink_metadata(path.join("_")) {
                Err(source) if source.kind() == std::io::ErrorKind::PermissionDenied => {
                    Err(LakeError::Io { table: "_", path, source })
                }
                _ => Ok(()),
            },
            Ok(_) => Err(LakeError::NotAFolder { path }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => Err(LakeError::NotAFolder { path }),
            Err(source) => Err(LakeError::Io { table: "_", path, source }),
        }
    }

    /// The newest version of a table's log.
    async fn log(&self, def: &'static TableDef) -> Result<Option<Log>, LakeError> {
        let dir = self.table_dir(def);
        // Read before the log: a position is written after its commit, so a whole log has what is found here.
        let witnesses = position::witnesses(self.root(), def)?;
        let log = match self.known(def, |k| k.log.clone()) {
            Some(log) => log.refreshed(&dir).await?,
            None => {
                self.check().await?;
                Log::open(def.name, &dir).await?
            }
        };
        if log.is_none() {
            position::check_unwitnessed(self.root(), def, &dir, &witnesses)?;
        }
        if let Some(log) = &log {
            log.check_identity(def, &dir)?;
            if let Some(outside) = log.files().iter().find(|file| !actions::is_inside(&file.path)) {
                let damage = Damage::Outside { log: dir.join(files::LOG), path: outside.path.clone() };
                return Err(LakeError::Damaged { table: def.name, damage });
            }
            let newest = u64::try_from(log.version()).unwrap_or(0);
            let mut of_this = witnesses.into_iter().filter(|witness| witness.table_id.as_deref() == Some(log.id())).peekable();
            // A checkpoint that is named and not there is a sign of lost commits only where no position contradicts it.
            let hint = of_this.peek().is_none() && log.passed().checkpoint_after(newest);
            let lost = |witness: &position::Witness| witness.version.is_some_and(|version| version > log.version());
            let hint = hint.then(|| dir.join(files::LOG).join(files::LAST_CHECKPOINT));
            if let Some(witness) = of_this.find(lost).map(|witness| witness.path).or(hint) {
                let file = dir.join(files::LOG).join(files::commit_name(newest + 1));
                return Err(LakeError::Damaged { table: def.name, damage: Damage::LostCommits { file, witness } });
            }
        }
        let log = log.map(|log| log.leaving_checkpoints(self.inner.leaves_checkpoints.load(Ordering::Relaxed)));
        self.known(def, |k| k.log = log.clone());
        Ok(log)
    }

    /// The newest version of a table's log; of a new table where there is none.
    async fn log_or_new(&self, def: &'static TableDef) -> Result<Log, LakeError> {
        match self.log(def).await? {
            Some(log) => Ok(log),
            None => Log::create(def, &self.table_dir(def)).await,
        }
    }

    /// Begins to write into a table, which is created when it is not there.
    ///
    /// # Errors
    /// The lake's folder cannot be made or written, the table is damaged, or the table at rest does not fit its definition.
    pub async fn land(&self, def: &'static TableDef) -> Result<Landing, LakeError> {
        let dir = self.table_dir(def);
        let mut log = self.log_or_new(def).await?;
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
        if let Some(held) = self.inner.held.as_ref().filter(|held| std::ptr::eq(held.def(), def)) {
            return Ok(Some(held.clone()));
        }
        let Some(log) = self.log(def).await? else { return Ok(None) };
        let same = |(of, snapshot): &(Log, TableSnapshot)| of.is(&log) && std::ptr::eq(snapshot.def(), def);
        if let Some((_, known)) = self.known(def, |k| k.snapshot.clone().filter(same)) {
            return Ok(Some(known));
        }
        let snapshot = TableSnapshot::new(def, &self.table_dir(def), &log)?;
        self.known(def, |k| k.snapshot = Some((log, snapshot.clone())));
        Ok(Some(snapshot))
    }

    /// The same lake, where a table stays at its newest version of now: for questions that belong together.
    ///
    /// # Errors
    /// As for [`Lake::snapshot`].
    pub async fn holding(&self, def: &'static TableDef) -> Result<Self, LakeError> {
        let held = self.snapshot(def).await?;
        let mut lake = Self::of(self.inner.root.clone(), self.inner.fault.clone(), self.inner.clock.clone());
        if let Some(inner) = Arc::get_mut(&mut lake.inner) {
            inner.held = held;
        }
        Ok(lake)
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

    /// Which table there is; `None` when there is none yet.
    ///
    /// # Errors
    /// The log cannot be read, or the table is damaged.
    pub async fn table_version(&self, def: &'static TableDef) -> Result<Option<TableVersion>, LakeError> {
        let Some(log) = self.log(def).await? else { return Ok(None) };
        let repaired = log.transaction(repair::REPAIRED, &self.table_dir(def)).await?;
        Ok(Some(TableVersion { id: log.id().to_owned(), version: log.version(), repaired }))
    }

    /// Whether every live data file of a table is there and has the size that the log says. Reads none of them.
    ///
    /// # Errors
    /// The table cannot be read for a reason that is not its own.
    pub async fn has_its_files(&self, def: &'static TableDef) -> Result<bool, LakeError> {
        let looked = match self.snapshot(def).await {
            Ok(Some(snapshot)) => run_blocking(def.name, move || snapshot.check_files()).await?,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        match looked {
            Ok(()) => Ok(true),
            Err(error) if error.is_of_one_table() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How far a stream's newest commit into a table advanced it; `None` when that is not known, and the source must be
    /// read from its start.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn position(&self, def: &'static TableDef, stream: &str) -> Result<Option<Position>, LakeError> {
        let Some(log) = self.log(def).await? else { return Ok(None) };
        position::find(self.root(), def, &log, &self.table_dir(def), stream).await
    }

    /// Commits how far a stream has come without any rows: what it read gave none. Gives the table's version.
    ///
    /// # Errors
    /// As for a landing.
    pub async fn advance(&self, def: &'static TableDef, position: &Position) -> Result<i64, LakeError> {
        position::advance(self, def, position).await
    }

    /// Makes a table with a damaged log readable again where that can be done, by moving what cannot be read to a folder beside.
    /// The report says what was moved, also when the rest fails.
    ///
    /// # Errors
    /// What is left of the damage, or the disk refuses.
    pub async fn repair(&self, def: &'static TableDef) -> (RepairReport, Result<(), LakeError>) {
        let mut report = RepairReport::default();
        let done = repair::repair(self, def, &mut report).await;
        (report, done)
    }

    /// Merges a table's small files into large sorted ones, fills promoted columns that older files lack, and deletes
    /// files that no reader can need any more.
    ///
    /// # Errors
    /// The disk refuses, the table uses what is not implemented here, or it is damaged, and no file was replaced until then. Else the
    /// report says it beside what was done, as it does of months with a file that cannot be read. Of a damaged table nothing is deleted.
    pub async fn compact(&self, def: &'static TableDef, options: &CompactOptions) -> Result<CompactReport, LakeError> {
        compact::compact(self, def, options).await
    }

    /// From now on commits leave checkpoints to [`Lake::keep_up`], as long as it comes now and then: what an import does at its end. That
    /// holds for all clones of this lake until the process ends, so for the compaction of a nightly run as well: its few commits get
    /// their checkpoint with the upkeep of the next import.
    pub fn leave_checkpoints_to_upkeep(&self) {
        self.inner.leaves_checkpoints.store(true, Ordering::Relaxed);
    }

    /// The steps of upkeep that are worth doing for a table that has just got `landed` rows, and how overdue each is. Each is short, so
    /// that an import of a few rows, which does one of those of all its tables, never takes much longer than others.
    ///
    /// # Errors
    /// The log cannot be read, or the table uses what is not implemented here.
    pub async fn overdue(&self, def: &'static TableDef, landed: u64) -> Result<Vec<Overdue>, LakeError> {
        compact::overdue(self, def, landed).await
    }

    /// Does a step of upkeep for a table that has just got `landed` rows. Small files are merged, as far as enough of them have come
    /// together and it takes little time, so that a table stays few files; or the log gets a checkpoint and files go that nobody needs.
    ///
    /// # Errors
    /// As for [`Lake::compact`]. The rows are in the table either way.
    pub async fn keep_up(
        &self,
        def: &'static TableDef,
        landed: u64,
        step: Upkeep,
        options: &CompactOptions,
    ) -> Result<UpkeepReport, LakeError> {
        compact::keep_up(self, def, landed, step, options).await
    }
}

/// A path that means the same folder whatever the working directory is, and has a URL: absolute and without `..`.
fn plain(path: &Path) -> PathBuf {
    // Behind a link, `..` is the parent of what the link leads to. Without `..` the links of a path stay as they were named.
    match path.components().any(|part| part == Component::ParentDir) {
        true => resolved(path),
        false => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}
