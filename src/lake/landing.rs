//! One unit of import on its way into one table: rows are buffered, sorted, written as files, and committed at once.
//!
//! Every try to commit looks at the newest version of the table first: rows whose key is there already are left out, and
//! in tables where the newest row wins, landed rows that are older are taken out of their files in the same commit. The
//! commit holds only if nothing else was committed since that look.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;

use super::delta::{Change, CommitError, FileEntry, Log, NewFile, ROWS_TRANSACTION};
use super::error::LakeError;
use super::fault::Step;
use super::intent::Pending;
use super::keys::{KeyCache, KeyMap, KeySet, RowKeys, open_file};
use super::layout::Layout;
use super::tables::{OnSameKey, TableDef};
use super::writer::{FileWriter, day_from_text, day_of, sort_by_day, write_picks};
use super::{Lake, Position};

/// Bytes of rows that are buffered before they are written.
const BUFFER_BYTES: usize = 64 << 20;
/// Rows that are buffered at most, so that positions and sort keys stay small beside them.
const BUFFER_ROWS: usize = 1 << 20;
/// Tries to commit before giving up; each lost one means that another writer got through.
const TRIES: usize = 64;

/// What a landing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Landed {
    /// The table version of the commit; `None` when there was nothing to commit.
    pub version: Option<i64>,
    /// Rows whose key the table did not have.
    pub new: u64,
    /// Rows that were left out because a row of their key is there.
    pub duplicates: u64,
    /// Rows that took the place of an older row of their key.
    pub replaced: u64,
}

/// A write session of one unit of import into one table.
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
    session: Session,
    /// True after a write failed: rows are lost, so nothing of this landing may become visible.
    failed: bool,
    /// True while it is not known whether a commit is in the log.
    uncertain: bool,
}

/// A file of this landing.
#[derive(Debug)]
struct Written {
    file: NewFile,
    rows: u64,
    /// Keys of rows that must go before the commit.
    dead: KeySet,
}

/// What is known of keys and files. It goes to a worker thread and back.
#[derive(Debug, Default)]
struct Session {
    files: Vec<Written>,
    days: BTreeSet<i32>,
    /// Keys at rest in the days that rows came for; in tables where the newest wins with their order.
    landed: AtRest,
    /// Keys of this landing's rows.
    own: KeyMap<Own>,
    duplicates: u64,
}

/// Keys at rest.
#[derive(Debug, Default)]
struct AtRest {
    loaded: HashSet<String>,
    keys: KeySet,
    orders: KeyMap<i64>,
}

/// A row of this landing.
#[derive(Debug, Clone, Copy)]
struct Own {
    order: i64,
    /// Its file, or [`IN_BUFFER`] plus its place among the rows being written.
    place: u64,
}

const IN_BUFFER: u64 = 1 << 63;

impl Landing {
    pub(super) fn new(lake: Lake, def: &'static TableDef, log: Log) -> Result<Self, LakeError> {
        let layout = Arc::new(Layout::new(def, &log.schema())?);
        Ok(Landing {
            dir: lake.table_dir(def),
            lake,
            def,
            log,
            layout,
            buffer: Vec::new(),
            buffered_bytes: 0,
            buffered_rows: 0,
            session: Session::default(),
            failed: false,
            uncertain: false,
        })
    }

    /// The table.
    pub fn def(&self) -> &'static TableDef {
        self.def
    }

    /// Takes rows: a batch in [`TableDef`] column order without the partition column, as
    /// [`super::writer::RowBuilder`] builds it.
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

    /// Sorts and writes what is buffered.
    async fn flush(&mut self) -> Result<(), LakeError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let batches = std::mem::take(&mut self.buffer);
        (self.buffered_bytes, self.buffered_rows) = (0, 0);
        let mut session = std::mem::take(&mut self.session);
        let (layout, dir, lake, log) = (self.layout.clone(), self.dir.clone(), self.lake.clone(), self.log.clone());
        let work = move || {
            let done = session.write(&layout, &dir, &lake, &log, &batches);
            (session, done)
        };
        self.failed = true;
        let (session, done) = run_blocking(self.def.name, work).await?;
        self.session = session;
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
        if self.session.files.is_empty() {
            return Ok(Landed { duplicates: self.session.duplicates, ..Landed::default() });
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
            let log = self.lake.log(self.def).await?.ok_or_else(|| LakeError::Log {
                table: self.def.name,
                source: "the table is gone".into(),
            })?;
            let Some(log) = self.prepare(log).await? else { continue };
            let (rewritten, killed) = self.reconcile(&log).await?;
            let mut add: Vec<NewFile> = self.session.files.iter().map(|w| w.file.clone()).collect();
            if add.is_empty() {
                return Ok(Landed { duplicates: self.session.duplicates, ..Landed::default() });
            }
            let replaced = killed.iter().map(|(_, keys)| keys.len() as u64).sum::<u64>();
            let rows = self.session.files.iter().map(|w| w.rows).sum::<u64>();
            add.extend(rewritten.iter().cloned());
            let pending = Pending::write(self.lake.root(), self.def, position)?;
            self.lake.fault().pass(Step::IntentWritten)?;
            let change = Change {
                add,
                remove: killed.into_iter().map(|(file, _)| file).collect(),
                data_change: true,
                transactions: vec![
                    (position.stream.clone(), pending.intent.number),
                    (ROWS_TRANSACTION.to_owned(), log.version() + 1),
                ],
                info: vec![
                    ("kqlakeStream".to_owned(), position.stream.clone().into()),
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
                duplicates: self.session.duplicates,
                replaced,
            });
        }
        Err(LakeError::Busy { table: self.def.name, attempts: TRIES })
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
        let layout = Layout::new(self.def, &log.schema())?;
        if layout.hash != self.layout.hash {
            self.layout = Arc::new(layout);
        }
        self.log = log.clone();
        Ok(Some(log))
    }

    /// Brings this landing in line with a version of the table: own rows that are there already leave their files, landed
    /// rows that are older than own ones are taken out of theirs. Gives the rewritten files and the files to remove.
    #[allow(clippy::type_complexity, reason = "a private pair of lists")]
    async fn reconcile(&mut self, log: &Log) -> Result<(Vec<NewFile>, Vec<(FileEntry, KeySet)>), LakeError> {
        let mut session = std::mem::take(&mut self.session);
        let (layout, dir, lake, log) = (self.layout.clone(), self.dir.clone(), self.lake.clone(), log.clone());
        let work = move || {
            let done = session.reconcile(&layout, &dir, lake.keys(), &log.files());
            (session, done)
        };
        let (session, done) = run_blocking(self.def.name, work).await?;
        self.session = session;
        done
    }

    /// Gives up: deletes what was written.
    pub async fn abort(self) {
        self.delete_files();
    }

    fn delete_files(&self) {
        delete(&self.dir, self.session.files.iter().map(|w| &w.file));
    }
}

fn delete<'a>(dir: &Path, files: impl IntoIterator<Item = &'a NewFile>) {
    for file in files {
        // No log names the file; compaction deletes it later should this fail.
        let _ = std::fs::remove_file(dir.join(&file.path));
    }
}

/// Runs work that computes and blocks away from the threads that wait for the network.
pub(super) async fn run_blocking<T: Send + 'static>(
    table: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LakeError> {
    tokio::task::spawn_blocking(work).await.map_err(|source| LakeError::Worker { table, source })
}

impl Session {
    fn newest_wins(layout: &Layout) -> bool {
        matches!(layout.def.on_same_key, OnSameKey::NewestBy(_))
    }

    /// True for files whose rows can share a key with rows of this landing. An event's time can shift a little between
    /// its versions, so tables where the newest wins look at the neighbouring days, too.
    fn concerns(&self, file: &FileEntry, newest: bool) -> bool {
        let Some(day) = file.event_date.as_deref().and_then(day_from_text) else { return true };
        let around = if newest { 1 } else { 0 };
        self.days.range(day.saturating_sub(around)..=day.saturating_add(around)).next().is_some()
    }

    /// Loads the keys of files that concern this landing and were not looked at yet.
    fn load(&mut self, layout: &Layout, dir: &Path, cache: &KeyCache, files: &[FileEntry]) -> Result<(), LakeError> {
        let newest = Self::newest_wins(layout);
        for file in files {
            if self.landed.loaded.contains(&file.path) || !self.concerns(file, newest) {
                continue;
            }
            let keys = cache.load(layout.def, dir, &file.path)?;
            for (row, &key) in keys.keys.iter().enumerate() {
                if newest {
                    let order = keys.order(row);
                    self.landed.orders.entry(key).and_modify(|o| *o = order.max(*o)).or_insert(order);
                } else {
                    self.landed.keys.insert(key);
                }
            }
            self.landed.loaded.insert(file.path.clone());
        }
        Ok(())
    }

    /// Sorts rows, leaves out those that are there already, and writes one file a day.
    fn write(
        &mut self,
        layout: &Arc<Layout>,
        dir: &Path,
        lake: &Lake,
        log: &Log,
        batches: &[RecordBatch],
    ) -> Result<(), LakeError> {
        let def = layout.def;
        let newest = Self::newest_wins(layout);
        let mut keys = RowKeys::default();
        let mut rows: Vec<(usize, usize)> = Vec::new();
        for (at, batch) in batches.iter().enumerate() {
            keys.extend(def, batch, true)?;
            rows.extend((0..batch.num_rows()).map(|row| (at, row)));
            let times = batch.column(layout.time).as_primitive::<TimestampMicrosecondType>();
            self.days.extend(times.values().iter().map(|us| day_of(*us)));
        }
        self.load(layout, dir, lake.keys(), &log.files())?;

        let mut keep = vec![true; rows.len()];
        for row in 0..rows.len() {
            let (key, order) = (keys.keys[row], keys.order(row));
            let there = if newest {
                self.landed.orders.get(&key).is_some_and(|landed| *landed >= order)
            } else {
                self.landed.keys.contains(&key)
            };
            let before = self.own.get(&key).copied();
            if there || before.is_some_and(|own| !newest || own.order >= order) {
                keep[row] = false;
                self.duplicates += 1;
                continue;
            }
            if let Some(own) = before {
                self.duplicates += 1;
                match own.place & IN_BUFFER {
                    0 => {
                        self.files[own.place as usize].dead.insert(key);
                    }
                    _ => keep[(own.place & !IN_BUFFER) as usize] = false,
                }
            }
            self.own.insert(key, Own { order, place: IN_BUFFER | row as u64 });
        }
        // The row of a pick is its batch's first row plus its place there.
        let mut first = vec![0; batches.len()];
        for at in 1..batches.len() {
            first[at] = first[at - 1] + batches[at - 1].num_rows();
        }
        let mut kept = keep.into_iter();
        rows.retain(|_| kept.next().unwrap_or(false));
        let picks = rows;
        for (day, picks) in sort_by_day(layout, batches, &picks) {
            let file = write_picks(layout, dir, day, batches, &picks)?;
            let place = self.files.len() as u64;
            let mut file_keys = RowKeys::default();
            for pick in &picks {
                let row = first[pick.0] + pick.1;
                file_keys.keys.push(keys.keys[row]);
                if newest {
                    file_keys.orders.push(keys.order(row));
                }
                if let Some(own) = self.own.get_mut(&keys.keys[row]) {
                    own.place = place;
                }
            }
            lake.keys().put(def, &file.path, file_keys);
            self.files.push(Written { file, rows: picks.len() as u64, dead: KeySet::default() });
            lake.fault().pass(Step::FileWritten)?;
        }
        Ok(())
    }

    /// See [`Landing::reconcile`].
    #[allow(clippy::type_complexity, reason = "a private pair of lists")]
    fn reconcile(
        &mut self,
        layout: &Arc<Layout>,
        dir: &Path,
        cache: &KeyCache,
        live: &[FileEntry],
    ) -> Result<(Vec<NewFile>, Vec<(FileEntry, KeySet)>), LakeError> {
        let newest = Self::newest_wins(layout);
        let mut killed: Vec<(FileEntry, KeySet)> = Vec::new();
        for file in live {
            if !self.concerns(file, newest) || (!newest && self.landed.loaded.contains(&file.path)) {
                continue;
            }
            let keys = cache.load(layout.def, dir, &file.path)?;
            let mut kill = KeySet::default();
            for (row, &key) in keys.keys.iter().enumerate() {
                let Some(own) = self.own.get(&key).copied() else { continue };
                if newest && own.order > keys.order(row) {
                    kill.insert(key);
                } else {
                    self.files[own.place as usize].dead.insert(key);
                    self.own.remove(&key);
                    self.duplicates += 1;
                }
            }
            if !newest {
                self.landed.keys.extend(&keys.keys);
            }
            self.landed.loaded.insert(file.path.clone());
            if !kill.is_empty() {
                killed.push((file.clone(), kill));
            }
        }
        self.purge(layout, dir)?;
        // A row that lost against one file does not take rows out of another.
        for (_, kill) in &mut killed {
            kill.retain(|key| self.own.contains_key(key));
        }
        killed.retain(|(_, kill)| !kill.is_empty());
        let mut rewritten = Vec::new();
        if !self.files.is_empty() {
            for (file, kill) in &killed {
                let copied = rewrite(layout, dir, &file.path, file.event_date.as_deref(), kill);
                match copied {
                    Ok(Some((file, _))) => rewritten.push(file),
                    Ok(None) => {}
                    Err(e) => {
                        delete(dir, &rewritten);
                        return Err(e);
                    }
                }
            }
        }
        Ok((rewritten, killed))
    }

    /// Writes own files anew without their dead rows. Places of rows stay: a file keeps its position in the list, an
    /// empty one leaves it only when all are empty.
    fn purge(&mut self, layout: &Arc<Layout>, dir: &Path) -> Result<(), LakeError> {
        for written in &mut self.files {
            if written.dead.is_empty() || written.rows == 0 {
                continue;
            }
            let dead = std::mem::take(&mut written.dead);
            let old = dir.join(&written.file.path);
            match rewrite(layout, dir, &written.file.path, Some(&written.file.event_date), &dead)? {
                Some((file, rows)) => {
                    written.file = file;
                    written.rows = rows;
                }
                None => written.rows = 0,
            }
            // Ours alone: nothing refers to it.
            let _ = std::fs::remove_file(old);
        }
        if self.files.iter().any(|w| w.rows == 0) {
            let mut moved: Vec<u64> = Vec::with_capacity(self.files.len());
            let mut next = 0;
            for written in &self.files {
                moved.push(next);
                next += u64::from(written.rows > 0);
            }
            self.files.retain(|w| w.rows > 0);
            for own in self.own.values_mut() {
                own.place = moved.get(own.place as usize).copied().unwrap_or(0);
            }
        }
        Ok(())
    }
}

/// Writes a file anew without some rows; `None` when no row is left. Gives the new file and its rows.
fn rewrite(
    layout: &Arc<Layout>,
    dir: &Path,
    file: &str,
    day: Option<&str>,
    without: &KeySet,
) -> Result<Option<(NewFile, u64)>, LakeError> {
    let def = layout.def;
    let arrow = |source| LakeError::Arrow { table: def.name, source };
    let Some(day) = day.and_then(day_from_text) else {
        return Err(LakeError::Shape { table: def.name, reason: format!("file {file} has no day") });
    };
    let mut out: Option<FileWriter> = None;
    let mut copy = || -> Result<(), LakeError> {
        for batch in open_file(def.name, &dir.join(file), None)? {
            let core = layout.core_of_file(&batch.map_err(arrow)?)?;
            let mut keys = RowKeys::default();
            keys.extend(def, &core, false)?;
            let keep: BooleanArray = keys.keys.iter().map(|key| Some(!without.contains(key))).collect();
            let core = filter_record_batch(&core, &keep).map_err(arrow)?;
            if core.num_rows() > 0 {
                if out.is_none() {
                    out = Some(FileWriter::create(layout, dir, day)?);
                }
                if let Some(out) = &mut out {
                    out.write(&core)?;
                }
            }
        }
        Ok(())
    };
    let copied = copy();
    match (copied, out) {
        (Ok(()), Some(out)) => {
            let rows = out.rows();
            Ok(Some((out.finish()?, rows)))
        }
        (Ok(()), None) => Ok(None),
        (Err(e), out) => {
            if let Some(out) = out {
                out.abandon();
            }
            Err(e)
        }
    }
}
