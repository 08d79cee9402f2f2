//! What a landing knows of keys and files while it is in progress: which rows are new, and which files hold them.

mod files;
mod groups;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use arrow::array::AsArray as _;

use super::held::{Closed, HeldRows};
use super::keys::{ContentMap, KeyMap, KeySet, Keyer, Rank, Ranker, RowKey, derived_key};
use super::origin::{ByOrigin, Origin};
use super::pairs::Pairs;
use super::probe::{Hit, Looked, ProbeRequest, Wanted, most_asked, probe};
use super::rewrite::rewrite_all;
use super::standing::{OwnGroups, Standing, Whole, standings};
use crate::Lake;
use crate::data::file::{check_bytes, check_file};
use crate::data::layout::{Layout, days_of};
use crate::data::rows::Prepared;
use crate::error::LakeError;
use crate::log::delta::Log;
use crate::log::entry::{FileEntry, NewFile};
use crate::partition::Partition;
use crate::tables::KeySpan;
use groups::Displaced;
use kqlake_durable::Staging;

/// A file of this landing.
#[derive(Debug)]
pub(crate) struct Written {
    /// What the log will say of it.
    pub file: NewFile,
    /// Its rows.
    pub rows: u64,
    /// Keys of rows that must go before the commit.
    dead: KeySet,
    /// True for a run.
    run: bool,
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
    /// How many of these no row of the landing is the same record as.
    pub displaced: u64,
    /// Whose rows took the place of them.
    pub replaced_by: ByOrigin,
}

/// Rows that wait to be written.
#[derive(Debug, Default)]
pub(crate) struct Buffered {
    /// The rows.
    pub batches: Vec<Prepared>,
    /// The origin of each row.
    pub origins: Vec<Origin>,
}

/// A row that a landing wrote.
#[derive(Debug, Clone, Copy)]
struct OwnRow {
    /// Its file's place in [`Intake::files`].
    file: u32,
    origin: Origin,
}

/// What is known of keys and files. It goes to a worker thread and back.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    /// The files that were written, without empty ones.
    pub files: Vec<Written>,
    /// Rows that were left out.
    pub duplicates: ByOrigin,
    /// How much of the landed files was read.
    pub looked: Looked,
    /// The days of the rows that were written.
    days: BTreeSet<i32>,
    /// The rows that were written.
    own: KeyMap<OwnRow>,
    pairs: Pairs,
    /// True when one of the rows that were written has no id of its own.
    has_derived: bool,
    /// Landed files that all rows so far were searched for in.
    known: HashSet<String>,
    /// By landed file: keys of rows that a row of this landing takes the place of.
    outranked: HashMap<String, KeySet>,
    /// By landed file: rows without an id whose record this landing has with one, by key, and their contents.
    paired: HashMap<String, KeyMap<i64>>,
    /// The groups of the rows that were written, in tables with groups.
    own_groups: OwnGroups,
    /// Landed rows that are below a version of their group which came whole with this landing.
    displaced: Displaced,
    closed: Closed,
    /// The folder of runs, while some of [`Intake::files`] are runs.
    runs: Option<Staging>,
    /// How many files a partition has got that are no runs.
    direct: BTreeMap<Partition, u32>,
    /// Bytes that a row takes in memory, about.
    row_bytes: u64,
}

/// What was found of a landing's rows among the landed ones.
#[derive(Default)]
struct Found {
    /// Keys of landed rows that stay.
    there: KeySet,
    /// Keys of landed rows that a row of the landing takes the place of.
    lesser: KeySet,
    /// Landed rows that say something of a content: those of other keys, and those without an id; each with its file.
    alike: Vec<(String, RowKey)>,
    /// Landed rows that a version outdates which came whole with the landing's rows.
    displaced: KeyMap<Standing>,
    /// The versions of groups that landed whole.
    whole: Whole,
}

/// Rows that are about to be written.
struct Fresh<'b> {
    batches: &'b [Prepared],
    /// The origin of each row.
    origins: &'b [Origin],
    /// The number of a batch's first row.
    first: Vec<usize>,
    /// Batch and row.
    rows: Vec<(usize, usize)>,
    keys: Vec<RowKey>,
    /// In tables with groups, where each row stands in its own.
    standings: Vec<Standing>,
    /// The versions of groups that came whole with these rows.
    whole: Whole,
    rankers: Vec<Ranker>,
    /// Whether a row is to be written.
    keep: Vec<bool>,
    /// The rows that are to be written, by key.
    by_key: KeyMap<u32>,
}

impl<'b> Fresh<'b> {
    fn new(layout: &Layout, buffered: &'b Buffered) -> Result<Self, LakeError> {
        let Buffered { batches, origins } = buffered;
        let keyer = Keyer::new(layout.def);
        let (mut first, mut rows, mut keys, mut rankers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut standing, mut whole) = (Vec::new(), Whole::default());
        for (at, Prepared { core: batch, .. }) in batches.iter().enumerate() {
            first.push(rows.len());
            keys.extend(keyer.keys(batch, true)?);
            rows.extend((0..batch.num_rows()).map(|row| (at, row)));
            rankers.push(Ranker::new(layout.def, batch));
            standing.extend(standings(layout.def, batch)?.into_iter().flatten());
        }
        standing.iter().for_each(|row| whole.note(row));
        let (keep, by_key) = (vec![true; rows.len()], KeyMap::default());
        Ok(Fresh { batches, origins, first, keep, rows, keys, standings: standing, whole, rankers, by_key })
    }

    /// The rows that are to be written.
    fn picks(&self) -> Vec<(usize, usize)> {
        self.rows.iter().zip(&self.keep).filter(|(_, keep)| **keep).map(|(row, _)| *row).collect()
    }

    fn rank(&self, row: u32, scratch: &mut Vec<u8>) -> Rank {
        let (batch, row) = self.rows[row as usize];
        self.rankers[batch].rank(row, scratch)
    }

    fn origin(&self, row: u32) -> Origin {
        self.origins.get(row as usize).copied().unwrap_or_default()
    }

    /// Leaves out a row of a key; gives whose it was.
    fn drop(&mut self, key: u128) -> Option<Origin> {
        let row = self.by_key.remove(&key)?;
        self.keep[row as usize] = false;
        Some(self.origin(row))
    }

    /// Leaves out all but the first of the greatest rows of each key, and counts them.
    fn deduplicate(&mut self, left_out: &mut ByOrigin) {
        let mut scratch = Vec::new();
        for row in 0..self.rows.len() as u32 {
            let key = self.keys[row as usize].key;
            let Some(before) = self.by_key.insert(key, row) else { continue };
            let lesser = if self.rank(row, &mut scratch) > self.rank(before, &mut scratch) {
                before
            } else {
                self.by_key.insert(key, before);
                row
            };
            self.keep[lesser as usize] = false;
            left_out.count(Some(self.origin(lesser)));
        }
    }

    /// The rows as bloom filters are asked for them, where they are few. In tables with groups one row of each.
    fn asked(&self, layout: &Layout) -> Option<Vec<ProbeRequest>> {
        let mut groups = KeySet::default();
        let mut is_first = |row: &&u32| self.standings.get(**row as usize).is_none_or(|row| groups.insert(row.group));
        let rows: Vec<u32> = self.by_key.values().filter(&mut is_first).copied().collect();
        if rows.len() > most_asked(layout.def) {
            return None;
        }
        let asked = |row: u32| {
            let (batch, at) = self.rows[row as usize];
            let text = |name: &&'static str| {
                if layout.def.group.is_some_and(|group| group != *name) {
                    return None;
                }
                let column = self.batches[batch].core.column_by_name(name)?.as_string_opt::<i32>()?;
                Some(column.value(at).to_owned())
            };
            let RowKey { day, content, .. } = self.keys[row as usize];
            ProbeRequest { day, content, key: layout.def.key.iter().map(text).collect() }
        };
        Some(rows.into_iter().map(asked).collect())
    }
}

impl Intake {
    /// The rows that wait, by day.
    pub(crate) fn held(&self) -> Vec<HeldRows> {
        self.closed.held()
    }

    /// Sorts core rows, leaves out those that are there already, and writes one file a partition, or a run where more rows may
    /// come; the `last` rows are followed by the merging of runs. Files are encoded by so many threads at most.
    ///
    /// # Errors
    /// A row has no key, or the disk refuses.
    pub(crate) fn write(
        &mut self,
        layout: &Arc<Layout>,
        dir: &Path,
        lake: &Lake,
        log: &Log,
        buffered: &Buffered,
        last: bool,
        threads: usize,
    ) -> Result<(), LakeError> {
        let mut fresh = Fresh::new(layout, buffered)?;
        fresh.deduplicate(&mut self.duplicates);
        self.leave_out_outdated(&mut fresh);
        self.meet_own(layout, dir, &mut fresh)?;
        let alike = self.meet_landed(layout, dir, log.files(), &mut fresh)?;
        if layout.def.content.is_some() {
            self.pair(&mut fresh, &alike);
        }
        self.write_rows(layout, dir, lake, &fresh, last, threads)?;
        if !last {
            return Ok(());
        }
        self.bury_outdated(layout, dir, &Whole::default())?;
        self.merge_runs(layout, dir, lake)
    }

    /// True while rows are in runs.
    pub(crate) fn has_runs(&self) -> bool {
        self.runs.is_some()
    }

    /// Rows of one key in this landing: the greatest stays.
    fn meet_own(&mut self, layout: &Layout, dir: &Path, fresh: &mut Fresh<'_>) -> Result<(), LakeError> {
        let again: KeySet = fresh.by_key.keys().filter(|key| self.own.contains_key(*key)).copied().collect();
        if again.is_empty() {
            return Ok(());
        }
        let mut scratch = Vec::new();
        for (key, before) in self.own_ranks(layout, dir, &again)? {
            let newer = fresh.by_key.get(&key).is_some_and(|row| fresh.rank(*row, &mut scratch) > before);
            let lesser = if newer { self.bury(key) } else { fresh.drop(key) };
            self.duplicates.count(lesser);
        }
        Ok(())
    }

    /// Takes a row out of the file that this landing wrote it to; gives whose it was.
    fn bury(&mut self, key: u128) -> Option<Origin> {
        let own = self.own.remove(&key)?;
        if let Some(file) = self.files.get_mut(own.file as usize) {
            file.dead.insert(key);
        }
        Some(own.origin)
    }

    /// The ranks of rows that this landing has written.
    fn own_ranks(&self, layout: &Layout, dir: &Path, keys: &KeySet) -> Result<KeyMap<Rank>, LakeError> {
        let mut by_file: HashMap<u32, KeySet> = HashMap::new();
        for key in keys {
            if let Some(own) = self.own.get(key) {
                by_file.entry(own.file).or_default().insert(*key);
            }
        }
        let mut ranks = KeyMap::default();
        for (place, keys) in by_file {
            let Some(written) = self.files.get(place as usize) else { continue };
            let wanted =
                Wanted { key: &|key| keys.contains(&key), content: &|_| false, group: &|_| false, days: &self.days, rows: None };
            probe(layout, &dir.join(&written.file.path), &wanted, &mut |hit: Hit| {
                ranks.extend(hit.rank.map(|rank| (hit.row.key, rank)));
            })?;
        }
        Ok(ranks)
    }

    /// Searches for rows among the landed ones: those that are not greater are left out. Rows that may be in a file that cannot
    /// be read wait. Gives landed rows of the same contents that have other keys or no id, each with its file.
    fn meet_landed(
        &mut self,
        layout: &Layout,
        dir: &Path,
        live: &[FileEntry],
        fresh: &mut Fresh<'_>,
    ) -> Result<Vec<(String, RowKey)>, LakeError> {
        let def = layout.def;
        if self.known.is_empty() {
            self.known.extend(live.iter().map(|file| file.path.clone()));
        }
        let row_of = |row: &u32| &fresh.keys[*row as usize];
        let days: BTreeSet<i32> = fresh.by_key.values().map(|row| row_of(row).day).collect();
        let concerned: Vec<&FileEntry> = live.iter().filter(|file| concerns(layout, file, &days)).collect();
        let mut contents: ContentMap<()> = ContentMap::default();
        if def.content.is_some() && !concerned.is_empty() {
            contents.extend(fresh.by_key.values().map(|row| (row_of(row).content, ())));
        }
        let groups = fresh.groups();
        let asked = fresh.asked(layout);
        let wanted = Wanted {
            key: &|key| fresh.by_key.contains_key(&key),
            content: &|content| contents.contains_key(&content),
            group: &|group| groups.contains(&group),
            days: &days,
            rows: asked.as_deref(),
        };
        let mut found = Found::default();
        let mut scratch = Vec::new();
        for file in concerned {
            if self.closed.has(&file.path) {
                continue;
            }
            let mut here = Found::default();
            let mut hit = |hit: Hit| {
                if let Some(standing) = &hit.standing {
                    found.whole.note(standing);
                    if fresh.whole.outdates(standing) {
                        here.displaced.insert(hit.row.key, *standing);
                    }
                }
                let own = fresh.by_key.get(&hit.row.key).copied();
                let stays = match (own, hit.rank) {
                    (Some(own), Some(rank)) if fresh.rank(own, &mut scratch).replaces(&rank, def) => {
                        here.lesser.insert(hit.row.key);
                        false
                    }
                    (Some(own), Some(_)) => {
                        here.there.insert(hit.row.key);
                        fresh.keys[own as usize].content != hit.row.content
                    }
                    _ => true,
                };
                if def.content.is_some() && (stays || hit.row.ordinal.is_some()) {
                    here.alike.push((file.path.clone(), hit.row));
                }
            };
            let looked = check_file(def.name, dir, file).and_then(|()| probe(layout, &dir.join(&file.path), &wanted, &mut hit));
            // A file whose rows are to be written again without these is read as a whole: damage that keys do not show is seen before.
            let is_rewritten = !here.lesser.is_empty() || !here.displaced.is_empty();
            let looked = looked.and_then(|looked| match is_rewritten {
                true => check_bytes(def.name, dir, file).map(|()| looked),
                false => Ok(looked),
            });
            match looked {
                Ok(looked) => self.looked.add(looked),
                Err(why) if why.broken_file().is_some() => {
                    self.closed.close(&file.path, near(layout, file), why);
                    continue;
                }
                Err(why) => return Err(why),
            }
            if !here.lesser.is_empty() {
                self.outranked.entry(file.path.clone()).or_default().extend(&here.lesser);
            }
            if !here.displaced.is_empty() {
                self.displaced.entry(file.path.clone()).or_default().extend(here.displaced);
            }
            found.lesser.extend(here.lesser);
            found.there.extend(here.there);
            found.alike.extend(here.alike);
        }
        fresh.drop_outdated(|row| found.whole.outdates(row), &mut self.duplicates);
        if !self.closed.is_empty() {
            // A key that was found is in no other file; other rows of its group may be.
            let is_lesser = |key: &u128| def.group.is_none() && found.lesser.contains(key);
            let is_known = |key: &u128| def.span == KeySpan::Table && (found.there.contains(key) || is_lesser(key));
            let row_of = |row: &u32| &fresh.keys[*row as usize];
            let unknown: Vec<(u128, i32)> =
                fresh.by_key.iter().filter(|(key, _)| !is_known(key)).map(|(key, row)| (*key, row_of(row).day)).collect();
            for (key, day) in unknown {
                if self.closed.holds(day) {
                    fresh.drop(key);
                }
            }
        }
        if def.content.is_some() {
            // A landed row of another content stays what it is.
            let elsewhere: KeySet = found.alike.iter().map(|(_, row)| row.key).filter(|key| found.there.contains(key)).collect();
            let rows = fresh.by_key.iter().filter(|(key, _)| !elsewhere.contains(*key));
            rows.for_each(|(_, row)| self.pairs.note(&fresh.keys[*row as usize]));
        }
        found.there.into_iter().for_each(|key| self.duplicates.count(fresh.drop(key)));
        Ok(found.alike)
    }

    /// Matches rows without an id with those of the same content that have one.
    fn pair(&mut self, fresh: &mut Fresh<'_>, alike: &[(String, RowKey)]) {
        alike.iter().for_each(|(_, row)| self.pairs.count(row));
        self.pair_landed(alike);
        let covered: Vec<u128> =
            fresh.by_key.iter().filter(|(_, row)| self.pairs.covers(&fresh.keys[**row as usize])).map(|(key, _)| *key).collect();
        covered.into_iter().for_each(|key| self.duplicates.count(fresh.drop(key)));
        if !self.has_derived {
            return;
        }
        let owners: BTreeSet<(i64, i32)> = fresh
            .by_key
            .values()
            .map(|row| &fresh.keys[*row as usize])
            .filter(|row| row.ordinal.is_none())
            .map(|row| (row.content, row.day))
            .collect();
        owners.into_iter().for_each(|(content, day)| self.bury_paired(content, day));
    }

    /// Marks landed rows without an id whose record is there with one.
    fn pair_landed(&mut self, alike: &[(String, RowKey)]) {
        for (file, row) in alike.iter().filter(|(_, row)| self.pairs.covers(row)) {
            self.paired.entry(file.clone()).or_default().insert(row.key, row.content);
        }
    }

    /// Takes rows without an id out of this landing's files whose record is there with one.
    fn bury_paired(&mut self, content: i64, day: i32) {
        for ordinal in 0..self.pairs.owned(content) {
            let buried = self.bury(derived_key(content, ordinal, day));
            self.duplicates.count(buried);
        }
    }

    /// Brings the landing in line with the live files of a version: own rows that are there already leave their files,
    /// landed rows that are less than own ones are taken out of theirs.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub(crate) fn reconcile(&mut self, layout: &Arc<Layout>, dir: &Path, live: &[FileEntry]) -> Result<Reconciled, LakeError> {
        self.meet_new(layout, dir, live)?;
        self.known = live.iter().map(|file| file.path.clone()).collect();
        self.purge(layout, dir)?;
        // A row that lost against one file does not take rows out of another.
        for keys in self.outranked.values_mut() {
            keys.retain(|key| self.own.contains_key(key));
        }
        self.keep_undisplaced();
        if self.files.is_empty() {
            let replaced_by = ByOrigin::default();
            return Ok(Reconciled { rewritten: Vec::new(), removed: Vec::new(), replaced: 0, displaced: 0, replaced_by });
        }
        let without = |file: &FileEntry| -> KeySet {
            let outranked = self.outranked.get(&file.path).into_iter().flatten();
            let paired = self.paired.get(&file.path).into_iter().flat_map(|rows| rows.keys());
            outranked.chain(paired).chain(self.displaced_of(file).map(|(key, _)| key)).copied().collect()
        };
        let lesser: Vec<(&FileEntry, KeySet)> =
            live.iter().map(|file| (file, without(file))).filter(|(_, without)| !without.is_empty()).collect();
        let is_alone = |file: &FileEntry, key: &u128| {
            let is_outranked = self.outranked.get(&file.path).is_some_and(|keys| keys.contains(key));
            !is_outranked && self.displaced.get(&file.path).is_some_and(|rows| rows.contains_key(key))
        };
        let alone = |(file, without): &(&FileEntry, KeySet)| without.iter().filter(|key| is_alone(file, key)).count() as u64;
        Ok(Reconciled {
            rewritten: rewrite_all(layout, dir, &lesser)?,
            removed: lesser.iter().map(|(file, _)| (*file).clone()).collect(),
            replaced: lesser.iter().map(|(_, without)| without.len() as u64).sum(),
            displaced: lesser.iter().map(alone).sum(),
            replaced_by: self.replaced_by(layout, dir, &lesser)?,
        })
    }

    /// Whose rows take the place of landed ones: rows of the same keys, and for rows without an id those of the same contents that
    /// have one.
    fn replaced_by(&self, layout: &Layout, dir: &Path, lesser: &[(&FileEntry, KeySet)]) -> Result<ByOrigin, LakeError> {
        let mut replaced = ByOrigin::default();
        let mut contents: ContentMap<u64> = ContentMap::default();
        for (file, keys) in lesser {
            let (paired, displaced) = (self.paired.get(&file.path), self.displaced.get(&file.path));
            for key in keys {
                match (self.own.get(key), paired.and_then(|rows| rows.get(key))) {
                    (Some(own), _) => replaced.count(Some(own.origin)),
                    (None, Some(content)) => *contents.entry(*content).or_default() += 1,
                    (None, None) => {
                        let row = displaced.and_then(|rows| rows.get(key));
                        replaced.count(row.map(|row| self.own_groups.whole(row.group).1));
                    }
                }
            }
        }
        if contents.is_empty() {
            return Ok(replaced);
        }
        let (mut with_ids, none) = (Vec::new(), |_| false);
        for written in &self.files {
            let content = |content| contents.contains_key(&content);
            let wanted = Wanted { key: &none, content: &content, group: &none, days: &self.days, rows: None };
            probe(layout, &dir.join(&written.file.path), &wanted, &mut |hit: Hit| {
                with_ids.extend(hit.row.ordinal.is_none().then_some((hit.row.content, hit.row.key)));
            })?;
        }
        for (content, key) in with_ids {
            if let Some(left) = contents.get_mut(&content).filter(|left| **left > 0) {
                *left -= 1;
                replaced.count(self.own.get(&key).map(|own| own.origin));
            }
        }
        Ok(replaced)
    }

    /// Searches for own rows in live files that were committed since they were searched for.
    fn meet_new(&mut self, layout: &Layout, dir: &Path, live: &[FileEntry]) -> Result<(), LakeError> {
        let def = layout.def;
        let (mut same, mut alike, mut outdated, mut whole) = (Vec::new(), Vec::new(), Vec::new(), Whole::default());
        for file in live.iter().filter(|file| !self.known.contains(&file.path) && concerns(layout, file, &self.days)) {
            check_file(def.name, dir, file)?;
            let wanted = Wanted {
                key: &|key| self.own.contains_key(&key),
                content: &|content| self.pairs.knows(content),
                group: &|group| self.own_groups.has(group),
                days: &self.days,
                rows: None,
            };
            let looked = probe(layout, &dir.join(&file.path), &wanted, &mut |hit: Hit| {
                if def.content.is_some() && (hit.rank.is_none() || hit.row.ordinal.is_some()) {
                    alike.push((file.path.clone(), hit.row));
                }
                same.extend(hit.rank.map(|rank| (hit.row.key, rank, &file.path)));
                hit.standing.iter().for_each(|standing| whole.note(standing));
                let gone = hit.standing.filter(|standing| self.own_groups.outdates(standing));
                outdated.extend(gone.map(|standing| (&file.path, hit.row.key, standing)));
            })?;
            self.looked.add(looked);
        }
        for (file, key, standing) in outdated {
            self.displaced.entry(file.clone()).or_default().insert(key, standing);
        }
        let keys: KeySet = same.iter().map(|(key, ..)| *key).collect();
        let ranks = self.own_ranks(layout, dir, &keys)?;
        for (key, landed, file) in same {
            if ranks.get(&key).is_some_and(|own| own.replaces(&landed, def)) {
                self.outranked.entry(file.clone()).or_default().insert(key);
            } else {
                let buried = self.bury(key);
                self.duplicates.count(buried);
            }
        }
        alike.iter().for_each(|(_, row)| self.pairs.count(row));
        self.pair_landed(&alike);
        if self.has_derived {
            let owners: BTreeSet<(i64, i32)> = alike.iter().map(|(_, row)| (row.content, row.day)).collect();
            owners.into_iter().for_each(|(content, day)| self.bury_paired(content, day));
        }
        self.bury_outdated(layout, dir, &whole)
    }
}

/// True for files whose rows can be of the identity of rows of some days.
fn concerns(layout: &Layout, file: &FileEntry, days: &BTreeSet<i32>) -> bool {
    match (layout.def.span, days_of(file)) {
        (KeySpan::Day, Some(of_file)) => days.range(of_file).next().is_some(),
        _ => !days.is_empty(),
    }
}

/// The days of the rows that can be of the identity of a file's rows.
fn near(layout: &Layout, file: &FileEntry) -> RangeInclusive<i32> {
    match (layout.def.span, days_of(file)) {
        (KeySpan::Day, Some(of_file)) => of_file,
        _ => i32::MIN..=i32::MAX,
    }
}
