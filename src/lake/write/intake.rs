//! What a landing knows of keys and files while it is under way: which rows are new, and which files hold them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;

use super::keys::{KeyCache, KeyMap, KeySet, RowKeys};
use crate::Lake;
use crate::data::file::{check_file, delete, open_file};
use crate::data::layout::{Layout, TAG_LAYOUT, days_of};
use crate::data::writer::{FileWriter, sort_by_partition, write_picks};
use crate::day::{day_of, day_text};
use crate::error::{LakeError, lake_cause};
use crate::fault::Step;
use crate::log::delta::Log;
use crate::log::entry::{FileEntry, NewFile};
use crate::partition::Partition;
use crate::tables::OnSameKey;

/// Rows that were not landed because the landed rows of their day cannot be read: nobody knows which of them are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The day.
    pub day: String,
    /// How many rows.
    pub rows: u64,
    /// Which file cannot be read, and why.
    pub reason: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// A file of this landing.
#[derive(Debug)]
pub(crate) struct Written {
    /// What the log will say of it.
    pub file: NewFile,
    /// Its rows.
    pub rows: u64,
    /// Keys of rows that must go before the commit.
    dead: KeySet,
}

/// What a commit has to do beside adding the landing's own files.
#[derive(Debug)]
pub(crate) struct Reconciled {
    /// Landed files without the rows that were replaced.
    pub rewritten: Vec<NewFile>,
    /// The files that these take the place of.
    pub removed: Vec<FileEntry>,
    /// Rows that were replaced.
    pub replaced: u64,
}

/// What is known of keys and files. It goes to a worker thread and back.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    /// The files that were written, without empty ones.
    pub files: Vec<Written>,
    days: BTreeSet<i32>,
    /// The days of rows that were written.
    written: BTreeSet<i32>,
    /// Days whose files were looked at before any of their rows were taken.
    admitted: BTreeSet<i32>,
    /// Keys at rest in the days that rows came for.
    landed: AtRest,
    /// Keys of this landing's rows, in tables whose landed rows stay.
    own_keys: KeySet,
    /// This landing's rows by key, in tables where the newest wins.
    own: KeyMap<Own>,
    /// Rows that were left out.
    pub duplicates: u64,
    /// Days whose landed rows cannot be read, so that nobody knows which of them are there.
    closed: BTreeMap<i32, Closed>,
}

/// A day that nothing can be landed in.
#[derive(Debug)]
struct Closed {
    why: LakeError,
    rows: u64,
}

/// Keys at rest; with their order in tables where the newest wins.
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
    /// Its file's place in [`Intake::files`]; with [`IN_BUFFER`] set, its own among the rows that are being written.
    place: u64,
}

/// The bit of [`Own::place`] that is set while a row is being written: the other bits are then its place among those rows, else
/// its file's in [`Intake::files`]. No row keeps it once its file is written. An enum would take half as much memory again, for
/// every row of a landing.
const IN_BUFFER: u64 = 1 << 63;

impl Intake {
    fn newest_wins(layout: &Layout) -> bool {
        matches!(layout.def.on_same_key, OnSameKey::NewestBy(_))
    }

    /// True for files whose rows can share a key with rows of this landing.
    fn concerns(&self, file: &FileEntry, newest: bool) -> bool {
        days_near(file, newest).is_none_or(|near| self.days.range(near).next().is_some())
    }

    /// Closes the days that a file concerns, when the file is what an error is about.
    fn close(&mut self, layout: &Layout, file: &FileEntry, why: LakeError) -> Result<(), LakeError> {
        let Some(days) = days_near(file, Self::newest_wins(layout)).filter(|_| why.broken_file().is_some()) else {
            return Err(why);
        };
        // Rows that are written already would go unlooked at.
        if self.written.range(days.clone()).next().is_some() {
            return Err(why);
        }
        for day in days {
            self.days.remove(&day);
            if let Entry::Vacant(entry) = self.closed.entry(day)
                && let Some(why) = lake_cause(&why)
            {
                entry.insert(Closed { why, rows: 0 });
            }
        }
        Ok(())
    }

    /// Closes the days of the live file that an error is about.
    ///
    /// # Errors
    /// The same error, when it is about something else.
    pub(crate) fn close_for(&mut self, layout: &Layout, dir: &Path, live: &[FileEntry], why: LakeError) -> Result<(), LakeError> {
        match live.iter().find(|file| why.broken_file() == Some(&dir.join(&file.path))) {
            Some(file) => self.close(layout, file, why),
            None => Err(why),
        }
    }

    /// Looks at the files of the days of a batch's times that were not looked at yet; gives which rows are of days that can
    /// take them. The others are counted as held back.
    ///
    /// # Errors
    /// A file cannot be looked at for a reason that says nothing of its day alone.
    pub(crate) fn admit(
        &mut self,
        layout: &Layout,
        dir: &Path,
        live: &[FileEntry],
        times: &[i64],
    ) -> Result<BooleanArray, LakeError> {
        let days: BTreeSet<i32> = times.iter().map(|us| day_of(*us)).filter(|day| !self.admitted.contains(day)).collect();
        if !days.is_empty() {
            let newest = Self::newest_wins(layout);
            let near = |f: &&FileEntry| days_near(f, newest).is_some_and(|near| days.range(near).next().is_some());
            for file in live.iter().filter(near) {
                let looked =
                    check_file(layout.def.name, dir, file).and_then(|()| open_file(layout.def.name, &dir.join(&file.path), None));
                if let Err(why) = looked {
                    self.close(layout, file, why)?;
                }
            }
            self.admitted.extend(days);
        }
        Ok(times.iter().map(|us| Some(self.takes(day_of(*us)))).collect())
    }

    /// Whether rows of a day can land; counts one that cannot.
    fn takes(&mut self, day: i32) -> bool {
        match self.closed.get_mut(&day) {
            Some(closed) => {
                closed.rows += 1;
                false
            }
            None => true,
        }
    }

    /// The rows that were held back, by day.
    pub(crate) fn held(&self) -> Vec<Held> {
        let held = |(day, closed): (&i32, &Closed)| Held {
            day: day_text(*day).unwrap_or_default(),
            rows: closed.rows,
            reason: closed.why.to_string(),
            advice: closed.why.advice(),
        };
        self.closed.iter().filter(|(_, closed)| closed.rows > 0).map(held).collect()
    }

    /// Loads the keys of files that concern this landing and were not looked at yet.
    fn load(&mut self, layout: &Layout, dir: &Path, cache: &KeyCache, files: &[FileEntry]) -> Result<(), LakeError> {
        let newest = Self::newest_wins(layout);
        for file in files {
            if self.landed.loaded.contains(&file.path) || !self.concerns(file, newest) {
                continue;
            }
            let keys = match check_file(layout.def.name, dir, file).and_then(|()| cache.load(layout.def, dir, &file.path)) {
                Ok(keys) => keys,
                Err(why) => {
                    self.close(layout, file, why)?;
                    continue;
                }
            };
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

    /// Sorts core rows, leaves out those that are there already, and writes one file a partition.
    ///
    /// # Errors
    /// A row has no key, or the disk refuses.
    pub(crate) fn write(
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
        let mut days: Vec<i32> = Vec::new();
        for (at, batch) in batches.iter().enumerate() {
            keys.extend(def, batch, true)?;
            rows.extend((0..batch.num_rows()).map(|row| (at, row)));
            let times = batch.column(layout.time).as_primitive::<TimestampMicrosecondType>();
            days.extend(times.values().iter().map(|us| day_of(*us)));
        }
        self.days.extend(days.iter().filter(|day| !self.closed.contains_key(day)));
        self.load(layout, dir, lake.keys(), log.files())?;

        let mut keep = vec![true; rows.len()];
        for row in 0..rows.len() {
            let (key, order) = (keys.keys[row], keys.order(row));
            if !self.takes(days[row]) {
                keep[row] = false;
                continue;
            }
            let before = self.own.get(&key).copied();
            let there = if newest {
                self.landed.orders.get(&key).is_some_and(|landed| *landed >= order)
                    || before.is_some_and(|own| own.order >= order)
            } else {
                self.landed.keys.contains(&key) || !self.own_keys.insert(key)
            };
            if there {
                keep[row] = false;
                self.duplicates += 1;
                continue;
            }
            if !newest {
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
        let columns = layout.columns_of(batches);
        self.written.extend(picks.iter().map(|pick| days[first[pick.0] + pick.1]));
        for (partition, picks) in sort_by_partition(layout, batches, &picks)? {
            let file = write_picks(layout, dir, partition, &columns, batches, &picks)?;
            let place = self.files.len() as u64;
            let mut file_keys = RowKeys::default();
            for pick in &picks {
                let row = first[pick.0] + pick.1;
                file_keys.keys.push(keys.keys[row]);
                if newest {
                    file_keys.orders.push(keys.order(row));
                    if let Some(own) = self.own.get_mut(&keys.keys[row]) {
                        own.place = place;
                    }
                }
            }
            lake.keys().put(def, &file.path, file_keys);
            self.files.push(Written { file, rows: picks.len() as u64, dead: KeySet::default() });
            lake.fault().pass(Step::FileWritten)?;
        }
        Ok(())
    }

    /// Brings the landing in line with the live files of a version: own rows that are there already leave their files,
    /// landed rows that are older than own ones are taken out of theirs.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub(crate) fn reconcile(
        &mut self,
        layout: &Arc<Layout>,
        dir: &Path,
        cache: &KeyCache,
        live: &[FileEntry],
    ) -> Result<Reconciled, LakeError> {
        let newest = Self::newest_wins(layout);
        let mut killed: Vec<(FileEntry, KeySet)> = Vec::new();
        let mut dead = KeySet::default();
        for file in live {
            if !self.concerns(file, newest) || (!newest && self.landed.loaded.contains(&file.path)) {
                continue;
            }
            let keys = cache.load(layout.def, dir, &file.path)?;
            self.landed.loaded.insert(file.path.clone());
            if !newest {
                dead.extend(keys.keys.iter().filter(|key| self.own_keys.remove(*key)));
                self.landed.keys.extend(&keys.keys);
                continue;
            }
            let mut kill = KeySet::default();
            for (row, &key) in keys.keys.iter().enumerate() {
                let Some(own) = self.own.get(&key).copied() else { continue };
                if own.order > keys.order(row) {
                    kill.insert(key);
                } else {
                    self.files[own.place as usize].dead.insert(key);
                    self.own.remove(&key);
                    self.duplicates += 1;
                }
            }
            if !kill.is_empty() {
                killed.push((file.clone(), kill));
            }
        }
        if !dead.is_empty() {
            self.duplicates += dead.len() as u64;
            for written in &mut self.files {
                let keys = cache.load(layout.def, dir, &written.file.path)?;
                written.dead.extend(keys.keys.iter().filter(|key| dead.contains(*key)));
            }
        }
        self.purge(layout, dir)?;
        // A row that lost against one file does not take rows out of another.
        for (_, kill) in &mut killed {
            kill.retain(|key| self.own.contains_key(key));
        }
        killed.retain(|(_, kill)| !kill.is_empty());
        let replaced = killed.iter().map(|(_, kill)| kill.len() as u64).sum();
        let mut rewritten = Vec::new();
        if !self.files.is_empty() {
            for (file, kill) in &killed {
                let columns = layout.columns_of_files([file]);
                let copied = rewrite(layout, dir, &file.path, file.partition, &columns, kill);
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
        let removed = killed.into_iter().map(|(file, _)| file).collect();
        Ok(Reconciled { rewritten, removed, replaced })
    }

    /// Writes own files anew without their dead rows. Places of rows stay: a file keeps its position in the list, an
    /// empty one leaves it only when all are empty.
    fn purge(&mut self, layout: &Arc<Layout>, dir: &Path) -> Result<(), LakeError> {
        for written in &mut self.files {
            // Another process may have divided the table anew meanwhile.
            let partition = Partition::of(layout.partitioning, written.file.partition.first);
            if (written.dead.is_empty() && partition == Some(written.file.partition)) || written.rows == 0 {
                continue;
            }
            let dead = std::mem::take(&mut written.dead);
            let old = dir.join(&written.file.path);
            let columns = layout.columns_by_tag(written.file.tags.get(TAG_LAYOUT).map(String::as_str));
            let columns = columns.unwrap_or_else(|| layout.all_columns());
            match rewrite(layout, dir, &written.file.path, partition, &columns, &dead)? {
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

/// The days that a file's rows can share a key with rows of. An event's time can shift a little between its versions, so in
/// tables where the newest wins these are the neighbouring days, too.
fn days_near(file: &FileEntry, newest: bool) -> Option<RangeInclusive<i32>> {
    let days = days_of(file)?;
    let around = i32::from(newest);
    Some(days.start().saturating_sub(around)..=days.end().saturating_add(around))
}

/// Writes a file anew without some rows and with some columns; `None` when no row is left. Gives the new file and its rows.
fn rewrite(
    layout: &Arc<Layout>,
    dir: &Path,
    file: &str,
    partition: Option<Partition>,
    columns: &[bool],
    without: &KeySet,
) -> Result<Option<(NewFile, u64)>, LakeError> {
    let def = layout.def;
    let arrow = |source| LakeError::Arrow { table: def.name, source };
    let Some(partition) = partition else {
        return Err(LakeError::Shape { table: def.name, reason: format!("file {file} has no partition") });
    };
    let mut out: Option<FileWriter> = None;
    let mut copy = || -> Result<(), LakeError> {
        let path = dir.join(file);
        for batch in open_file(def.name, &path, None)? {
            let core = layout.core_of_file(&batch.map_err(|e| LakeError::of_file(def.name, &path, &e))?)?;
            let mut keys = RowKeys::default();
            keys.extend(def, &core, false)?;
            let keep: BooleanArray = keys.keys.iter().map(|key| Some(!without.contains(key))).collect();
            let core = filter_record_batch(&core, &keep).map_err(arrow)?;
            if core.num_rows() > 0 {
                if out.is_none() {
                    out = Some(FileWriter::create(layout, dir, partition, columns)?);
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
