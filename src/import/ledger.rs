//! The ledger of units: what earlier imports did with each, and what this one did.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use arrow::array::{Array, AsArray as _, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use datafusion::logical_expr::ident;
use datafusion::prelude::SessionContext;
use serde::Deserialize;
use serde_json::json;

use super::row::{Cell, Row};
use super::{ImportError, ImportSummary, Section, UnitReport, UnitState};
use kqlake_lake::tables::{TableDef, find};
use kqlake_lake::{Lake, Standing};

/// The ledger's table.
pub(crate) const TABLE: &str = "ImportLedger";
/// The state of a unit that was done, and whose rows are not in the lake any more.
const GONE: &str = "gone";
/// What the ledger's section column says of units whose records belong to no section.
pub const NO_SECTION: &str = "Files";

/// What is known of a unit from the newest of earlier tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// SHA-256 of the file on disk.
    pub hash: String,
    /// Its state then.
    pub state: String,
    /// Its section.
    pub section: Option<Section>,
    /// Its size on disk.
    pub bytes: u64,
    /// How often it was tried.
    pub attempts: i64,
    /// When it was tried last.
    started: i64,
    /// The tables that its rows are in, as they stood then where that is known.
    tables: Vec<(String, Option<Standing>)>,
}

/// Units of earlier imports by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownUnits {
    units: HashMap<String, Known>,
    /// Units that were done, and whose rows are gone since.
    gone: BTreeSet<String>,
}

impl KnownUnits {
    /// The unit, if an earlier import finished it and its size is the same.
    pub(crate) fn complete(&self, name: &str, size: u64) -> Option<&Known> {
        self.units.get(name).filter(|known| is_complete(known) && known.bytes == size)
    }

    /// The entries of an archive, if all of them were finished when the archive had this hash.
    pub(crate) fn archive(&self, name: &str, hash: &str) -> Vec<(String, Known)> {
        let prefix = format!("{name}!");
        let mut entries: Vec<(String, Known)> = self
            .units
            .iter()
            .filter(|(unit, known)| unit.starts_with(&prefix) && known.hash == hash)
            .map(|(unit, known)| (unit.clone(), known.clone()))
            .collect();
        if entries.iter().any(|(_, known)| !is_complete(known)) {
            entries.clear();
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries
    }

    /// How often a unit was tried before.
    pub(crate) fn attempts(&self, name: &str) -> i64 {
        self.units.get(name).map_or(0, |known| known.attempts)
    }

    /// Forgets that units were finished whose rows are not there any more: a table is gone, it is another one, or it was put
    /// back to a version before theirs. They must be read again.
    fn forget_gone(&mut self, now: &HashMap<&'static str, Standing>) {
        let there = |(table, then): &(String, Option<Standing>)| {
            let same = |now: &Standing, then: &Standing| now.id == then.id && now.version >= then.version;
            now.get(table.as_str()).is_some_and(|now| then.as_ref().is_none_or(|then| same(now, then)))
        };
        for (name, known) in &mut self.units {
            if is_complete(known) && !known.tables.iter().all(there) {
                known.state = GONE.to_owned();
                self.gone.insert(name.clone());
            }
        }
    }

    /// Forgets that units were finished whose tables lack data files: nobody knows which rows lay in them. The ledger does not
    /// note it, since the files may be put back.
    fn forget_damaged(&mut self, tables: &HashSet<&'static str>) {
        for known in self.units.values_mut() {
            if known.tables.iter().any(|(table, _)| tables.contains(table.as_str())) {
                known.state.clear();
            }
        }
    }

    /// Forgets that units were finished.
    pub(crate) fn forget_states(&mut self) {
        for known in self.units.values_mut() {
            known.state.clear();
        }
    }
}

fn is_complete(known: &Known) -> bool {
    known.state == UnitState::Done.name() || known.state == UnitState::Empty.name()
}

/// Reads what earlier imports did.
pub(crate) async fn read(lake: &Lake) -> Result<KnownUnits, ImportError> {
    let mut known = KnownUnits::default();
    let Some(def) = find(TABLE) else { return Ok(known) };
    let Some(snapshot) = lake.snapshot(def).await? else { return Ok(known) };
    let columns = ["section", "unit", "state", "startedAt", "bytes", "contentHash", "attempt", "tables", "details"];
    let frame = SessionContext::new().read_table(snapshot.provider()).and_then(|table| table.select(columns.map(ident).to_vec()));
    let batches = match frame {
        Ok(frame) => frame.collect().await,
        Err(error) => Err(error),
    };
    for batch in batches.map_err(|error| ImportError::Lake(snapshot.failure(error, snapshot.files())))? {
        add(&mut known, &batch);
    }
    let mut standings = HashMap::new();
    let mut damaged = HashSet::new();
    for def in kqlake_lake::tables::all() {
        if known.units.values().any(|k| k.tables.iter().any(|(table, _)| table == def.name)) {
            match lake.standing(def).await {
                Ok(Some(standing)) => {
                    standings.insert(def.name, standing);
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
    known.forget_gone(&standings);
    known.forget_damaged(&damaged);
    Ok(known)
}

/// The text of a column, whichever string type a reader gave it.
fn text<'b>(batch: &'b RecordBatch, column: &str, row: usize) -> Option<&'b str> {
    let array = batch.column_by_name(column)?;
    if array.is_null(row) {
        return None;
    }
    match array.as_string_view_opt() {
        Some(view) => Some(view.value(row)),
        None => array.as_string_opt::<i32>().map(|strings| strings.value(row)),
    }
}

/// What of a row's details is read back.
#[derive(Default, Deserialize)]
struct Details {
    /// How the tables stood when the unit's rows were in them. Earlier programs did not write it.
    #[serde(default)]
    landed: BTreeMap<String, Standing>,
}

/// A table with how it stood when it took a unit's rows.
fn then(details: &Details, table: String) -> (String, Option<Standing>) {
    let standing = details.landed.get(&table).cloned();
    (table, standing)
}

fn add(known: &mut KnownUnits, batch: &RecordBatch) {
    let number = |column: &str, row: usize| {
        let array = batch.column_by_name(column).filter(|a| a.is_valid(row))?;
        let long = array.as_primitive_opt::<Int64Type>().map(|a| a.value(row));
        let time = array.as_primitive_opt::<TimestampMicrosecondType>().map(|a| a.value(row));
        long.or(time).or_else(|| array.as_primitive_opt::<arrow::datatypes::Int32Type>().map(|a| a.value(row).into()))
    };
    for row in 0..batch.num_rows() {
        let (Some(unit), Some(hash), Some(state)) =
            (text(batch, "unit", row), text(batch, "contentHash", row), text(batch, "state", row))
        else {
            continue;
        };
        let started = number("startedAt", row).unwrap_or(i64::MIN);
        if known.units.get(unit).is_some_and(|newer| newer.started >= started) {
            continue;
        }
        let tables: BTreeMap<String, u64> =
            text(batch, "tables", row).and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default();
        let details: Details = text(batch, "details", row).and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default();
        let this = Known {
            hash: hash.to_owned(),
            state: state.to_owned(),
            section: text(batch, "section", row).and_then(|s| Section::ALL.into_iter().find(|section| section.name() == s)),
            bytes: number("bytes", row).and_then(|b| u64::try_from(b).ok()).unwrap_or(0),
            attempts: number("attempt", row).unwrap_or(1),
            started,
            tables: tables.into_keys().map(|table| then(&details, table)).collect(),
        };
        known.units.insert(unit.to_owned(), this);
    }
}

/// The ledger's rows of a run: its units, except those that had not changed, and units that other runs had done and whose
/// rows are gone, so that they stay known as such.
pub(crate) async fn rows_of(lake: &Lake, summary: &ImportSummary, known: &KnownUnits, now: i64) -> Vec<Row<'static>> {
    let mut standings = BTreeMap::new();
    for table in summary.tables.keys() {
        // A table that cannot be looked at took no rows.
        if let Some(def) = find(table)
            && let Ok(Some(standing)) = lake.standing(def).await
        {
            standings.insert(*table, standing);
        }
    }
    let units = summary.units.iter().filter_map(|unit| row_of(unit, known, summary, &standings));
    let read: HashSet<&str> = summary.units.iter().map(|unit| unit.name.as_str()).collect();
    let gone = known.gone.iter().filter(|name| !read.contains(name.as_str()));
    units.chain(gone.filter_map(|name| gone_row(name, known.units.get(name)?, now))).collect()
}

/// The row of a unit whose rows are gone.
fn gone_row(name: &str, known: &Known, now: i64) -> Option<Row<'static>> {
    let mut row = Row::new(table()?);
    let tables: Vec<&str> = known.tables.iter().map(|(table, _)| table.as_str()).collect();
    let reason = format!("its rows are not in the lake any more (tables: {}); import it again", tables.join(", "));
    let text = |text: &str| Cell::text(text.to_owned());
    row.set("startedAt", Cell::Time(now));
    row.set("finishedAt", Cell::Time(now));
    row.set("section", text(known.section.map_or(NO_SECTION, Section::name)));
    row.set("unit", text(name));
    row.set("state", text(GONE));
    row.set("reason", text(&reason));
    row.set("bytes", Cell::Int(i64::try_from(known.bytes).unwrap_or(i64::MAX)));
    row.set("contentHash", text(&known.hash));
    row.set("attempt", Cell::Int(known.attempts));
    row.set("kqlakeVersion", text(env!("CARGO_PKG_VERSION")));
    Some(row)
}

/// The ledger's row of a unit of this run; `None` for one that had not changed.
fn row_of(
    report: &UnitReport,
    known: &KnownUnits,
    summary: &ImportSummary,
    standings: &BTreeMap<&'static str, Standing>,
) -> Option<Row<'static>> {
    if report.state == UnitState::Unchanged {
        return None;
    }
    let mut row = Row::new(table()?);
    let text = |text: &str| Cell::text(text.to_owned());
    row.set("startedAt", Cell::Time(report.started));
    row.set("finishedAt", Cell::Time(report.finished));
    row.set("section", text(report.section.map_or(NO_SECTION, Section::name)));
    row.set("unit", text(&report.name));
    row.set("state", text(report.state.name()));
    row.set("reason", report.reason.as_deref().map_or(Cell::Null, text));
    row.set("rows", Cell::Int(report.counts.rows.values().sum::<u64>() as i64));
    row.set("quarantined", Cell::Int(report.counts.refused as i64));
    row.set("bytes", Cell::Int(report.bytes as i64));
    row.set("contentHash", report.content_hash.as_deref().map_or(Cell::Null, text));
    row.set("attempt", Cell::Int(known.attempts(&report.name) + 1));
    let json = |value: serde_json::Value| Cell::Json(value.to_string().into());
    if let [table] = report.counts.rows.keys().collect::<Vec<_>>()[..] {
        row.set("table", text(table));
    }
    if !report.counts.rows.is_empty() {
        row.set("tables", json(json!(report.counts.rows)));
    }
    let mut details = json!({ "importId": summary.import_id, "records": report.counts.records });
    let landed: BTreeMap<&str, &Standing> =
        standings.iter().filter(|(table, _)| report.counts.rows.contains_key(*table)).map(|(t, s)| (*t, s)).collect();
    if !landed.is_empty() {
        details["landed"] = json!(landed);
    }
    if let Some(path) = &report.quarantine {
        details["quarantine"] = path.display().to_string().into();
    }
    if report.counts.filtered > 0 {
        details["passedOver"] = report.counts.filtered.into();
    }
    row.set("details", json(details));
    row.set("kqlakeVersion", text(env!("CARGO_PKG_VERSION")));
    Some(row)
}

/// The ledger's table definition.
fn table() -> Option<&'static TableDef> {
    find(TABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(id: &str, version: i64) -> Standing {
        Standing { id: id.into(), version }
    }

    fn known(state: &str, hash: &str) -> Known {
        Known {
            hash: hash.into(),
            state: state.into(),
            section: None,
            bytes: 7,
            attempts: 1,
            started: 0,
            tables: vec![("traces".into(), Some(standing("a", 3)))],
        }
    }

    #[test]
    fn only_finished_and_unchanged_units_are_passed_over() {
        let mut units = KnownUnits::default();
        units.units.insert("a".into(), known("done", "h"));
        units.units.insert("b".into(), known("incomplete", "h"));
        units.units.insert("z.zip!1".into(), known("done", "h"));
        units.units.insert("z.zip!2".into(), known("empty", "h"));
        units.units.insert("y.zip!1".into(), known("done", "h"));
        units.units.insert("y.zip!2".into(), known("failed", "h"));
        assert!(units.complete("a", 7).is_some());
        assert!(units.complete("a", 8).is_none());
        assert!(units.complete("b", 7).is_none());
        assert_eq!(units.archive("z.zip", "h").len(), 2);
        assert!(units.archive("z.zip", "other").is_empty());
        assert!(units.archive("y.zip", "h").is_empty());
    }

    #[test]
    fn a_unit_is_known_only_while_its_rows_are_there() {
        for (now, there) in [
            (Some(standing("a", 3)), true),
            (Some(standing("a", 9)), true),
            (Some(standing("a", 2)), false),
            (Some(standing("b", 3)), false),
            (None, false),
        ] {
            let mut units = KnownUnits::default();
            units.units.insert("a".into(), known("done", "h"));
            units.forget_gone(&now.clone().map(|now| ("traces", now)).into_iter().collect());
            assert_eq!(units.complete("a", 7).is_some(), there, "{now:?}");
            assert_eq!(units.gone.contains("a"), !there, "{now:?}");
        }
    }
}
