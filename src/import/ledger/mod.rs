//! The ledger of units: what earlier imports did with each, and what this one did.

mod entry;
mod listed;
mod state;
#[cfg(test)]
mod tests;
mod unlisted;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use arrow::array::RecordBatch;
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::SessionContext;

pub use self::entry::NO_SECTION;
pub(crate) use self::entry::{Details, Entry};
pub(crate) use self::listed::{Overdue, Registrar};
pub use self::state::{LedgerState, UnknownState};
pub(crate) use self::unlisted::Unlisted;
use super::content_hash::HashForm;
use super::names::listed_names;
use super::source::ListedUnit;
use super::{DateOrder, ImportError, ReadExtent, Section, UnitState};
use kqlake_lake::tables::find;
use kqlake_lake::{Lake, TableVersion};
use kqlake_value::named::NamedColumns;

/// The ledger's table.
pub(crate) const TABLE: &str = crate::own_rows::LEDGER;
/// The columns that are read back.
const COLUMNS: [&str; 15] = [
    "section",
    "unit",
    "state",
    "reason",
    "startedAt",
    "bytes",
    "contentHash",
    "windowStart",
    "windowEnd",
    "listedAt",
    "expiresAt",
    "attempt",
    "quarantined",
    "tables",
    "details",
];

/// What must be done with a unit that an earlier import tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standpoint {
    /// Nothing: all its records are in the lake.
    Complete,
    /// Nothing: what could be read is in the lake, and the rest was quarantined.
    Refused,
    /// It must be read again.
    Open,
    /// The same, since its rows are not in the lake any more.
    Gone,
}

/// What is known of a unit from the newest of earlier tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// The hash of the file on disk ([`HashForm`]); empty when it was not read to its end.
    hash: String,
    /// What showed that it had not changed without reading it.
    stamp: Option<String>,
    standpoint: Standpoint,
    /// Its state then.
    state: LedgerState,
    /// Why records were refused; kept for units with such records only.
    pub reason: Option<String>,
    /// Its section.
    pub section: Option<Section>,
    /// Its size on disk.
    pub bytes: u64,
    /// Its records that were quarantined.
    pub refused: u64,
    /// How far it was read.
    pub extent: ReadExtent,
    /// How often it was tried.
    attempts: i64,
    /// When it was tried last.
    started: i64,
    /// True when the row is of an earlier form, which has no stamp.
    is_old: bool,
    /// The tables that its rows are in, with their number, in their state then where that is known.
    tables: Vec<(String, u64, Option<TableVersion>)>,
    /// When it was listed first.
    listed: Option<i64>,
    /// When its source has it no longer.
    expires: Option<i64>,
    /// The stream of the source that listed it, where listings are kept.
    source: Option<String>,
    /// The list of wanted sites that rows of it were out of.
    scope: Option<String>,
    /// How many were.
    out_of_scope: u64,
    /// The order of dates that was given when records of it were refused.
    date_order: Option<String>,
    /// The instants between which its records lie.
    window: Option<(i64, i64)>,
    /// True when it is all of its kind that its source has of its window.
    is_stretch: bool,
    /// True when the windows of its source leave no time out between them.
    tiles: bool,
    /// True when it was never read to its end.
    is_missing: bool,
    /// True when its service gave it damaged, or ending too early.
    is_torn: bool,
    /// True when it is no unit but a listing that failed.
    is_listing: bool,
}

impl Known {
    /// True when nothing need be read.
    fn is_settled(&self) -> bool {
        matches!(self.standpoint, Standpoint::Complete | Standpoint::Refused)
    }

    /// The state of the unit in a run that finds it as it was.
    pub(crate) fn state_now(&self) -> UnitState {
        if self.standpoint == Standpoint::Refused { UnitState::Known } else { UnitState::Unchanged }
    }

    /// True when its source was asked for it, and said that it has it no longer.
    pub(crate) fn has_expired(&self) -> bool {
        self.state == UnitState::Expired.into()
    }

    /// True when it must be read again.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_settled()
    }

    /// The hash of the content.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// True when a stamp is news: the unit was recognised by its content, and could be without reading it the next time.
    pub(crate) fn lacks(&self, stamp: &str) -> bool {
        // A unit that was written just before its import had no stamp then, and is read each time: noting it now would make
        // every second import write.
        if self.stamp.is_some() { self.stamp.as_deref() != Some(stamp) } else { self.is_old }
    }

    /// The ledger's entry of a unit that was recognised by its content, with the stamp that it has now.
    pub(crate) fn restamped(&self, unit: &str, stamp: &str, now: i64, import_id: &str) -> Entry {
        let landed = self.tables.iter().filter_map(|(table, _, then)| Some((table.clone(), then.clone()?))).collect();
        let entry = self.entry(unit, self.state, now, import_id);
        Entry {
            details: Details {
                landed,
                stamp: Some(stamp.to_owned()),
                cut: self.extent == ReadExtent::Cut,
                scope: self.scope.clone(),
                out_of_scope: self.out_of_scope,
                date_order: self.date_order.clone(),
                ..entry.details
            },
            ..entry
        }
    }

    /// A row that takes the place of the one that is known: what the source said of the unit still holds.
    fn entry(&self, unit: &str, state: LedgerState, now: i64, import_id: &str) -> Entry {
        Entry {
            started: now,
            finished: now,
            section: self.section,
            unit: unit.to_owned(),
            state,
            reason: self.reason.clone(),
            rows: self.tables.iter().map(|(table, rows, _)| (table.clone(), *rows)).collect(),
            refused: self.refused,
            bytes: self.bytes,
            content_hash: Some(self.hash.clone()),
            window: self.window,
            listed: self.listed,
            expires: self.expires,
            attempt: self.attempts,
            details: Details {
                source: self.source.clone(),
                tiles: self.tiles,
                stretch: self.is_stretch,
                ..Details::of_run(import_id)
            },
            ..Entry::default()
        }
    }
}

/// Units of earlier imports by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownUnits {
    units: BTreeMap<String, Known>,
}

impl KnownUnits {
    /// A unit, or the entries of an archive, that earlier imports settled when it had this stamp; none when any part must be
    /// read again.
    pub(crate) fn by_stamp(&self, name: &str, stamp: &str) -> Vec<(String, Known)> {
        let same = |known: &Known| known.stamp.as_deref() == Some(stamp);
        match self.units.get(name) {
            Some(known) if same(known) && known.is_settled() => vec![(name.to_owned(), known.clone())],
            _ => self.entries(name, same),
        }
    }

    /// The unit, if an earlier import settled it and its size is the same: its content decides.
    pub(crate) fn by_size(&self, name: &str, size: u64) -> Option<&Known> {
        self.units.get(name).filter(|known| known.is_settled() && known.bytes == size)
    }

    /// The entries of an archive, if all of them were settled when the archive had this hash; or the archive itself, if it was
    /// refused as a whole then.
    pub(crate) fn archive(&self, name: &str, hash: &str) -> Vec<(String, Known)> {
        let same = |known: &Known| known.hash == hash;
        match self.units.get(name) {
            Some(whole) if same(whole) && whole.standpoint == Standpoint::Refused => vec![(name.to_owned(), whole.clone())],
            _ => self.entries(name, same),
        }
    }

    /// The form of the hash of a unit, or of the entries of an archive, that earlier imports tried.
    pub(crate) fn hash_form(&self, name: &str) -> HashForm {
        let noted = self.units.get(name).into_iter().chain(self.mine(name).map(|(_, known)| known));
        HashForm::of(noted.map(|known| known.hash.as_str()).find(|hash| !hash.is_empty()).unwrap_or_default())
    }

    /// The entries of an archive.
    fn mine(&self, name: &str) -> impl Iterator<Item = (&String, &Known)> {
        let prefix = format!("{name}!");
        self.units.range(prefix.clone()..).take_while(move |(unit, _)| unit.starts_with(&prefix))
    }

    fn entries(&self, name: &str, same: impl Fn(&Known) -> bool) -> Vec<(String, Known)> {
        let entries: Vec<_> = self.mine(name).filter(|(_, known)| same(known)).collect();
        if entries.iter().any(|(_, known)| !known.is_settled()) {
            return Vec::new();
        }
        entries.into_iter().map(|(unit, known)| (unit.clone(), known.clone())).collect()
    }

    /// What is known of a unit.
    pub(crate) fn get(&self, name: &str) -> Option<&Known> {
        self.units.get(name)
    }

    /// Units that their services gave damaged the last time: what is refused of them is quarantined anew.
    pub(crate) fn torn(&self) -> impl Iterator<Item = &str> {
        self.units.iter().filter(|(_, known)| known.is_torn).map(|(name, _)| name.as_str())
    }

    /// How often a unit was tried before.
    pub(crate) fn attempts(&self, name: &str) -> i64 {
        self.units.get(name).map_or(0, |known| known.attempts)
    }

    /// True when the ledger does not say of a unit that it is there to be fetched.
    fn is_news(&self, unit: &ListedUnit) -> bool {
        let changed = |known: &Known| known.is_settled() && unit.stamp.is_some() && unit.stamp != known.stamp;
        self.units.get(&unit.name).is_none_or(changed)
    }

    /// Units of a source that were never read, or whose rows are gone, and that it has no longer at an instant; those that were
    /// reported as such are not among them, nor those that are only to be read once more.
    fn overdue(&self, source: &str, now: i64) -> HashMap<String, Overdue> {
        let is_gone = |known: &Known| known.standpoint == Standpoint::Gone || known.state == LedgerState::Gone;
        let is_lost = |known: &Known| (known.is_missing || is_gone(known)) && !known.has_expired();
        let mine = self.units.iter().filter(|(_, known)| known.source.as_deref() == Some(source));
        mine.filter(|(_, known)| is_lost(known))
            .filter_map(|(name, known)| {
                let expires = known.expires.filter(|expires| *expires < now)?;
                let Known { listed, window, is_stretch, attempts, .. } = *known;
                Some((name.clone(), Overdue { listed, window, is_stretch, expires, attempts }))
            })
            .collect()
    }

    /// Forgets that units were settled of which rows were left out that may be wanted now: the list of sites is another one.
    pub(crate) fn forget_scope(&mut self, scope: &str) {
        for known in self.units.values_mut() {
            if known.is_settled() && known.scope.as_deref().is_some_and(|then| then != scope) {
                known.standpoint = Standpoint::Open;
            }
        }
    }

    /// Forgets that units were settled of which records were refused, when another order of dates is given than then: it may be what
    /// was missing.
    pub(crate) fn forget_date_order(&mut self, order: DateOrder) {
        let Some(order) = entry::order_name(order) else { return };
        for known in self.units.values_mut() {
            if known.standpoint == Standpoint::Refused && known.date_order.as_deref() != Some(order) {
                known.standpoint = Standpoint::Open;
            }
        }
    }

    /// Forgets that units were settled whose rows are not there any more: a table is gone, it is another one, or it was put
    /// back to a version before theirs. They must be read again.
    fn forget_gone(&mut self, now: &HashMap<&'static str, TableVersion>) {
        let there = |(table, _, then): &(String, u64, Option<TableVersion>)| {
            now.get(table.as_str()).is_some_and(|now| then.as_ref().is_none_or(|then| now.holds(then)))
        };
        for known in self.units.values_mut() {
            if known.is_settled() && !known.tables.iter().all(there) {
                known.standpoint = Standpoint::Gone;
            }
        }
    }

    /// Forgets that units were settled whose tables lack data files: it is unknown which rows were in them. The ledger does not
    /// note it, since the files may be put back.
    fn forget_damaged(&mut self, tables: &HashSet<&'static str>) {
        for known in self.units.values_mut() {
            if known.tables.iter().any(|(table, ..)| tables.contains(table.as_str())) {
                known.standpoint = Standpoint::Open;
            }
        }
    }

    /// Forgets that units were settled: all, or those that are named, an archive's entries under either name.
    pub(crate) fn forget(&mut self, names: Option<&BTreeSet<String>>) {
        for (unit, known) in &mut self.units {
            if names.is_none_or(|names| listed_names(unit).any(|name| names.contains(name))) {
                known.standpoint = Standpoint::Open;
            }
        }
    }

    /// The entries of units whose rows are gone and that a run did not read again, so that they stay known as such.
    pub(crate) fn gone(&self, read: &HashSet<String>, now: i64, import_id: &str) -> Vec<Entry> {
        let gone = self.units.iter().filter(|(name, known)| known.standpoint == Standpoint::Gone && !read.contains(*name));
        gone.map(|(name, known)| {
            let tables: Vec<&str> = known.tables.iter().map(|(table, ..)| table.as_str()).collect();
            let reason = format!("its rows are not in the lake any more (tables: {}); import it again", tables.join(", "));
            Entry { reason: Some(reason), rows: BTreeMap::new(), ..known.entry(name, LedgerState::Gone, now, import_id) }
        })
        .collect()
    }
}

/// The ledger's rows: those of a section, or all.
async fn rows(lake: &Lake, section: Option<Section>) -> Result<Vec<RecordBatch>, ImportError> {
    let Some(def) = find(TABLE) else { return Ok(Vec::new()) };
    let Some(snapshot) = lake.snapshot(def).await? else { return Ok(Vec::new()) };
    let frame = SessionContext::new()
        .read_table(snapshot.provider())
        .and_then(|table| match section {
            // The table is clustered by section: what is another's is not read.
            Some(section) => table.filter(ident("section").eq(lit(section.name()))),
            None => Ok(table),
        })
        .and_then(|table| table.select(COLUMNS.map(ident).to_vec()));
    let batches = match frame {
        Ok(frame) => frame.collect().await,
        Err(error) => Err(error),
    };
    batches.map_err(|error| ImportError::Lake(snapshot.failure(error, snapshot.files())))
}

/// What a try found of its unit's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TriedContent {
    /// Its hash; `None` for what was not read to its end.
    pub hash: Option<String>,
    /// True when a service gave the text damaged, or ending too early.
    pub is_torn: bool,
}

/// The contents that units had in tries of which the run and the unit are wanted.
pub(crate) async fn contents(
    lake: &Lake,
    wanted: &HashSet<(&str, &str)>,
) -> Result<HashMap<(String, String), TriedContent>, ImportError> {
    let mut contents = HashMap::new();
    for batch in rows(lake, None).await? {
        let columns = opened(&batch)?;
        for row in 0..batch.num_rows() {
            let Some(unit) = columns.text("unit", row) else { continue };
            let details: Option<Details> = columns.text("details", row).and_then(|t| serde_json::from_str(t).ok());
            let Some(details) = details.filter(|details| wanted.contains(&(details.import_id.as_str(), unit))) else { continue };
            let hash = columns.text("contentHash", row).map(str::to_owned);
            let is_torn = details.damaged && details.source.is_some();
            if hash.is_some() || is_torn {
                contents.insert((details.import_id, unit.to_owned()), TriedContent { hash, is_torn });
            }
        }
    }
    Ok(contents)
}

/// Reads what earlier imports did: all of them, or those of a section, whose units no other one lists.
pub(crate) async fn read(lake: &Lake, section: Option<Section>) -> Result<KnownUnits, ImportError> {
    let mut known = KnownUnits::default();
    let mut read = 0;
    for batch in rows(lake, section).await? {
        read += batch.num_rows();
        add(&mut known, &batch)?;
    }
    tracing::debug!(section = section.map(Section::name), rows = read, units = known.units.len(), "read the ledger");
    let mut versions = HashMap::new();
    let mut damaged = HashSet::new();
    let tables: HashSet<&str> = known.units.values().flat_map(|known| &known.tables).map(|(table, ..)| table.as_str()).collect();
    for def in kqlake_lake::tables::all() {
        if tables.contains(def.name) {
            match lake.table_version(def).await {
                Ok(Some(table_version)) => {
                    versions.insert(def.name, table_version);
                    if !lake.has_its_files(def).await? {
                        damaged.insert(def.name);
                    }
                }
                Ok(None) => {}
                // Its units are read again, and the landing says what is wrong with it.
                Err(error) if error.is_of_one_table() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    known.forget_gone(&versions);
    known.forget_damaged(&damaged);
    Ok(known)
}

/// The columns of a batch of the ledger's rows.
fn opened(batch: &RecordBatch) -> Result<NamedColumns, ImportError> {
    NamedColumns::of_schema(batch).map_err(|why| ImportError::Reader(format!("rows of {TABLE}: {why}")))
}

/// What a state of the ledger means for a unit that has not changed.
fn standpoint(state: LedgerState, refused: u64, details: &Details) -> Standpoint {
    let LedgerState::Tried(state) = state else { return Standpoint::Open };
    let out_of_scope = state == UnitState::Filtered && details.filtered == 0 && details.out_of_scope > 0;
    let is_in_part = matches!(state, UnitState::Incomplete | UnitState::Failed);
    let is_quarantined = state == UnitState::Unknown || (refused > 0 && is_in_part);
    if matches!(state, UnitState::Done | UnitState::Empty) || out_of_scope {
        Standpoint::Complete
    } else if is_quarantined && !details.held && details.filtered == 0 && details.is_current() {
        Standpoint::Refused
    } else {
        Standpoint::Open
    }
}

fn add(known: &mut KnownUnits, batch: &RecordBatch) -> Result<(), ImportError> {
    let columns = opened(batch)?;
    // Of a file that comes anew every few minutes there are thousands of rows, of which the newest one counts: only that is read
    // through.
    let mut newest: HashMap<&str, (i64, usize)> = HashMap::new();
    for row in 0..batch.num_rows() {
        let (Some(unit), Some(_)) = (columns.text("unit", row), columns.text("state", row)) else { continue };
        let started = columns.micros("startedAt", row).unwrap_or(i64::MIN);
        let newest = newest.entry(unit).or_insert((started, row));
        if started > newest.0 {
            *newest = (started, row);
        }
    }
    for (unit, (started, row)) in newest {
        let text = |column| columns.text(column, row);
        let Some(state) = text("state") else { continue };
        // A word of a newer version says nothing here: the unit is read again, as one that was only listed.
        let state = state.parse().unwrap_or(LedgerState::Listed);
        // What could not be read to its end has none, and must be read again.
        let hash = text("contentHash").unwrap_or_default();
        if known.units.get(unit).is_some_and(|newer| newer.started >= started) {
            continue;
        }
        let count = |column| columns.long(column, row).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let tables: BTreeMap<String, u64> = text("tables").and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default();
        let details: Details = text("details").and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default();
        let refused = count("quarantined");
        let standpoint = match standpoint(state, refused, &details) {
            // What a service gave cut off is asked for again; earlier programs left it at that.
            Standpoint::Refused if hash.is_empty() || (details.cut && details.source.is_some()) => Standpoint::Open,
            standpoint => standpoint,
        };
        let this = Known {
            hash: hash.to_owned(),
            standpoint,
            state,
            reason: text("reason").filter(|_| standpoint == Standpoint::Refused).map(str::to_owned),
            section: text("section").and_then(|s| Section::ALL.into_iter().find(|section| section.name() == s)),
            bytes: count("bytes"),
            refused,
            extent: if details.cut { ReadExtent::Cut } else { ReadExtent::Whole },
            attempts: columns.long("attempt", row).unwrap_or(1),
            started,
            is_old: !details.is_current(),
            tables: tables
                .into_iter()
                .map(|(table, rows)| {
                    let then = details.landed.get(&table).cloned();
                    (table, rows, then)
                })
                .collect(),
            stamp: details.stamp,
            listed: columns.micros("listedAt", row),
            expires: columns.micros("expiresAt", row),
            is_torn: details.damaged && details.source.is_some(),
            source: details.source,
            scope: details.scope,
            out_of_scope: details.out_of_scope,
            date_order: details.date_order,
            window: columns.micros("windowStart", row).zip(columns.micros("windowEnd", row)),
            is_stretch: details.stretch,
            tiles: details.tiles,
            is_missing: standpoint == Standpoint::Open && unlisted::is_missing(state, hash),
            is_listing: details.listing,
        };
        known.units.insert(unit.to_owned(), this);
    }
    Ok(())
}
