//! Rows of the ledger at listing time: what a source has that is not in the lake yet, and what it had and nobody fetched.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::json;

use super::{Entry, KnownUnits, LedgerState, TABLE};
use crate::own_rows;
use crate::row::Row;
use crate::source::{ListedUnit, Source, UnitPage, stream_of};
use crate::{ImportError, Section};
use kqlake_lake::tables::find;
use kqlake_lake::{Lake, Position};
use kqlake_value::clock::Clock;
use kqlake_value::format::datetime_text;

/// Notes in the ledger what sources list.
#[derive(Debug, Clone)]
pub(crate) struct Registrar {
    /// The lake; `None` where nothing is written.
    pub lake: Option<Lake>,
    /// What earlier imports did.
    pub known: Arc<KnownUnits>,
    /// The section that all units are of.
    pub section: Option<Section>,
    /// The run's name.
    pub import_id: String,
    /// True where sources are listed from their beginning though cursors may be kept.
    pub again: bool,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A unit that its source had for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Overdue {
    /// When it was listed first.
    pub listed: Option<i64>,
    /// The instants between which its records lie.
    pub window: Option<(i64, i64)>,
    /// True when it is all of its kind that its source had of its window.
    pub is_stretch: bool,
    /// Until when its source had it.
    pub expires: i64,
    /// How often it was tried.
    pub attempts: i64,
}

impl Overdue {
    /// What became of it, as a sentence.
    pub(crate) fn reason(&self) -> String {
        let listed = self.listed.map_or_else(String::new, |listed| format!("listed {}, ", datetime_text(listed)));
        let tried = match self.attempts {
            0 => "never fetched".to_owned(),
            1 => "tried once".to_owned(),
            count => format!("tried {count} times"),
        };
        format!("{listed}{tried}, and expired {}", datetime_text(self.expires))
    }
}

impl Registrar {
    /// Units of a source that are not in the lake, and whose time is over. Those that are listed again are not lost yet.
    pub(crate) fn overdue(&self, source: &dyn Source) -> HashMap<String, Overdue> {
        if source.keeps_listings() { self.known.overdue(source.stream(), self.clock.now_micros()) } else { HashMap::new() }
    }

    /// Notes the units of a page that are news, in one commit, with where the listing began; a page without news writes nothing.
    /// Each unit gets the time at which it was listed first.
    ///
    /// # Errors
    /// The lake cannot be written.
    pub(crate) async fn note(&self, source: &dyn Source, listing: &mut UnitPage) -> Result<(), ImportError> {
        let now = self.clock.now_micros();
        let mut rows: Vec<Row<'static>> = Vec::new();
        for unit in &mut listing.units {
            let before = self.known.get(&unit.name).filter(|known| known.is_open());
            unit.listed = before.and_then(|known| known.listed).or(Some(now));
            if let (true, Some(def)) = (source.keeps_listings() && self.known.is_news(unit), find(TABLE)) {
                rows.push(self.entry(source, unit, now).to_row(def));
            }
        }
        let Some(lake) = self.lake.as_ref().filter(|_| !rows.is_empty()) else { return Ok(()) };
        let (stream, cursor) = match listing.begin.clone().filter(|_| !self.again) {
            Some(begin) => (stream_of(source), begin),
            None => ("import/ImportLedger".to_owned(), json!({})),
        };
        let position = Position { stream, cursor, import_id: self.import_id.clone() };
        match own_rows::land(lake, TABLE, rows.iter(), position).await {
            // The runner finds it out as well, and says so.
            Err(ImportError::Lake(error)) if error.is_of_one_table() => Ok(()),
            done => done,
        }
    }

    fn entry(&self, source: &dyn Source, unit: &ListedUnit, now: i64) -> Entry {
        // Before any try of the same instant, as it would be on a clock that is fine enough: the newest row is what holds.
        let just_before = now - 1;
        let mut entry = Entry {
            started: just_before,
            finished: just_before,
            section: self.section,
            unit: unit.name.clone(),
            state: LedgerState::Listed,
            bytes: unit.bytes,
            window: unit.window,
            listed: unit.listed,
            expires: unit.expires,
            attempt: self.known.attempts(&unit.name),
            rows: BTreeMap::new(),
            cursor: unit.cursor.clone(),
            ..Entry::default()
        };
        entry.details = super::Details {
            source: Some(source.stream().to_owned()),
            tiles: source.tiles(),
            stretch: unit.is_stretch,
            ..super::Details::of_run(&self.import_id)
        };
        entry
    }
}
