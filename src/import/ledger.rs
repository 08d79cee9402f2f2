//! The ledger of units: what earlier imports did with each, and what this one did.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{Array, AsArray as _, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use datafusion::logical_expr::ident;
use datafusion::prelude::SessionContext;
use serde_json::json;

use super::row::{Cell, Row};
use super::{ImportError, ImportSummary, Section, UnitReport, UnitState};
use crate::lake::tables::{TableDef, find};
use crate::lake::{Lake, LakeError};

/// The ledger's table.
const TABLE: &str = "ImportLedger";
/// What the ledger's section column says of units whose records belong to no section.
const NO_SECTION: &str = "Files";

/// What is known of a unit from the newest of earlier tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
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
    /// The tables that its rows are in.
    tables: Vec<String>,
}

/// Units of earlier imports by name.
#[derive(Debug, Clone, Default)]
pub struct KnownUnits {
    units: HashMap<String, Known>,
}

impl KnownUnits {
    /// The unit, if an earlier import finished it and its size is the same.
    pub fn complete(&self, name: &str, size: u64) -> Option<&Known> {
        self.units.get(name).filter(|known| is_complete(known) && known.bytes == size)
    }

    /// The entries of an archive, if all of them were finished when the archive had this hash.
    pub fn archive(&self, name: &str, hash: &str) -> Vec<(String, Known)> {
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
    pub fn attempts(&self, name: &str) -> i64 {
        self.units.get(name).map_or(0, |known| known.attempts)
    }

    /// Forgets units whose rows are in tables that are gone: they must be read again.
    fn forget_without(&mut self, present: &HashSet<&'static str>) {
        self.units.retain(|_, known| known.tables.iter().all(|table| present.contains(table.as_str())));
    }

    /// Forgets that units were finished.
    pub fn forget_states(&mut self) {
        for known in self.units.values_mut() {
            known.state.clear();
        }
    }
}

fn is_complete(known: &Known) -> bool {
    known.state == UnitState::Done.name() || known.state == UnitState::Empty.name()
}

/// Reads what earlier imports did.
pub async fn read(lake: &Lake) -> Result<KnownUnits, ImportError> {
    let mut known = KnownUnits::default();
    let Some(def) = find(TABLE) else { return Ok(known) };
    if lake.snapshot(def).await?.is_none() {
        return Ok(known);
    }
    let columns = ["section", "unit", "state", "startedAt", "bytes", "contentHash", "attempt", "tables"];
    let frame =
        SessionContext::new().read_table(lake.provider(def).await?).and_then(|table| table.select(columns.map(ident).to_vec()));
    let batches = match frame {
        Ok(frame) => frame.collect().await,
        Err(error) => Err(error),
    };
    let failed = |reason: String| ImportError::Lake(LakeError::Shape { table: TABLE, reason });
    for batch in batches.map_err(|error| failed(error.to_string()))? {
        add(&mut known, &batch);
    }
    let mut present = HashSet::new();
    for def in crate::lake::tables::all() {
        if known.units.values().any(|k| k.tables.iter().any(|t| t == def.name)) && lake.snapshot(def).await?.is_some() {
            present.insert(def.name);
        }
    }
    known.forget_without(&present);
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
        let this = Known {
            hash: hash.to_owned(),
            state: state.to_owned(),
            section: text(batch, "section", row).and_then(|s| Section::ALL.into_iter().find(|section| section.name() == s)),
            bytes: number("bytes", row).and_then(|b| u64::try_from(b).ok()).unwrap_or(0),
            attempts: number("attempt", row).unwrap_or(1),
            started,
            tables: tables.into_keys().collect(),
        };
        known.units.insert(unit.to_owned(), this);
    }
}

/// The ledger's row of a unit of this run; `None` for one that had not changed.
pub fn row_of(report: &UnitReport, known: &KnownUnits, summary: &ImportSummary) -> Option<Row<'static>> {
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
pub fn table() -> Option<&'static TableDef> {
    find(TABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(state: &str, hash: &str) -> Known {
        Known {
            hash: hash.into(),
            state: state.into(),
            section: None,
            bytes: 7,
            attempts: 1,
            started: 0,
            tables: vec!["traces".into()],
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
        units.forget_without(&HashSet::new());
        assert!(units.complete("a", 7).is_none());
    }
}
