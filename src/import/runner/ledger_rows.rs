//! The rows of the ledger that a run writes.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::json;

use super::Run;
use crate::ledger::{self, Entry, Unlisted};
use crate::own_rows;
use crate::reader::report;
use crate::row::Row;
use crate::source::{ListedUnit, stream_of};
use crate::{ImportError, UnitReport, UnitState};
use kqlake_lake::Position;
use kqlake_lake::tables::find;

impl Run<'_> {
    /// The ledger's entry of a unit; `None` for one that had not changed and that the ledger says all of.
    pub(super) fn entry(&self, report: &UnitReport, source: usize, listed: &ListedUnit) -> Option<Entry> {
        if matches!(report.state, UnitState::Unchanged | UnitState::Known) {
            let (stamp, known) = (report.stamp.as_deref()?, self.known.get(&report.name)?);
            let news = known.lacks(stamp);
            return news.then(|| known.restamped(&report.name, stamp, self.now(), &self.summary.import_id));
        }
        let source = self.sources[source].as_ref();
        let mut entry = Entry::of(report, listed, &self.summary.import_id);
        // A unit that is not asked for any more is no further try.
        let is_try = report.state != UnitState::Expired || report.status.is_some();
        entry.attempt = self.known.attempts(&report.name) + i64::from(is_try);
        entry.section = self.options.section.or(report.section);
        if report.stamp.is_some() && report.name == listed.name {
            entry.details.stamp = source.stamp_after(listed);
        }
        entry.details.tiles = source.tiles();
        entry.details.source = source.keeps_listings().then(|| source.stream().to_owned());
        entry.details = entry.details.under(self.options.given.date_order, report.counts.refused);
        entry.details.scope = (report.counts.out_of_scope > 0).then(|| self.options.filter.org_urls.digest());
        Some(entry)
    }

    /// The entry of something that failed as a whole before, and whose parts are units now.
    pub(super) fn outlived(
        &self,
        source: usize,
        listed: &ListedUnit,
        started: i64,
        hash: Option<&String>,
        reason: &str,
    ) -> Option<Entry> {
        self.known.get(&listed.name).filter(|known| known.is_open())?;
        let mut whole = report(&listed.name, UnitState::Done, started);
        whole.finished = self.now();
        whole.content_hash = hash.cloned();
        whole.reason = Some(reason.to_owned());
        self.entry(&whole, source, listed)
    }

    /// The entries of units that must still be read and that their source, of which everything is in the lake, does not list any
    /// more. What is lost is reported.
    pub(super) fn unlisted_units(&mut self, at: usize, read: &HashSet<String>) -> Vec<Entry> {
        let source = &self.sources[at];
        let known = Arc::clone(&self.known);
        let unlisted = match source.keeps_listings() {
            true => known.unlisted(source.stream(), read, self.times[at].as_deref()),
            false => known.listed_again(source.stream(), |folder| source.has_listed(folder)),
        };
        let mut entries = Vec::new();
        for unit in unlisted {
            let mut report = report(&unit.name, unit.state(), self.now());
            (report.reason, report.section) = (Some(unit.reason().to_owned()), self.options.section);
            let is_listing = unit.is_listing();
            let Unlisted { name, listed, window, is_stretch, .. } = unit;
            let listed = ListedUnit { name, listed, window, is_stretch, ..ListedUnit::default() };
            entries.extend(self.entry(&report, at, &listed).map(|mut entry| {
                // It stays what it was: no unit.
                entry.details.listing = is_listing;
                entry
            }));
            if report.is_new_failure() {
                self.summary.units.push(report);
            }
        }
        entries
    }

    /// Writes entries into the ledger, those of each source in one commit that carries the source's cursor.
    pub(super) async fn write_ledger(&mut self, entries: Vec<(usize, Entry)>) -> Result<(), ImportError> {
        if self.options.dry_run || self.landings.failed.contains_key(ledger::TABLE) {
            return Ok(());
        }
        let Some(def) = find(ledger::TABLE) else { return Ok(()) };
        let mut versions = BTreeMap::new();
        for table in self.landings.landed.keys() {
            // A table that cannot be read took no rows.
            if let Some(def) = find(table)
                && let Ok(Some(table_version)) = self.lake.table_version(def).await
            {
                versions.insert(*table, table_version);
            }
        }
        for at in 0..self.sources.len() {
            let mine = entries.iter().filter(|(source, _)| *source == at).map(|(_, entry)| {
                let mut entry = entry.clone();
                let landed = versions.iter().filter(|(table, _)| entry.rows.contains_key(**table));
                let landed: Vec<_> = landed.map(|(table, table_version)| ((*table).to_owned(), table_version.clone())).collect();
                entry.details.landed.extend(landed);
                entry.to_row(def)
            });
            let rows: Vec<Row<'static>> = mine.collect();
            let cursor = self.reached[at].cursor.take();
            let stream =
                cursor.as_ref().map_or_else(|| "import/ImportLedger".to_owned(), |_| stream_of(self.sources[at].as_ref()));
            let is_moved = cursor.is_some();
            let position =
                Position { stream, cursor: cursor.unwrap_or_else(|| json!({})), import_id: self.summary.import_id.clone() };
            let written = if rows.is_empty() && is_moved {
                self.lake.advance(def, &position).await.map(drop).map_err(ImportError::Lake)
            } else {
                own_rows::land(self.lake, ledger::TABLE, rows.iter(), position).await
            };
            match written {
                Err(ImportError::Lake(error)) if error.is_of_one_table() => {
                    self.landings.failed.insert(ledger::TABLE, error);
                    return Ok(());
                }
                written => written?,
            }
        }
        Ok(())
    }
}
