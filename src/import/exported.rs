//! Rows that were written out of a lake: an export, or what a query gave. Each is the row that it was, column by column; its `Raw`
//! is the record as its source gave it, never the row around it.
//!
//! Rows of Application Insights are not among them: their mapping takes the lake's columns for what they are.

use std::collections::HashMap;

use super::convert::DateOrder;
use super::fields::{FieldMap, plain_name};
use super::own_rows::LEDGER;
use super::row::{Cell, Row, SourceValue};
use kqlake_lake::tables::{IMPORT_ID, IS_WHOLE, TAKEN_AT, TableDef, all};
use kqlake_value::Type;
use kqlake_value::json::checked::Members;

/// The column that keeps a record as it came.
const RAW: &str = "Raw";
/// Columns that no source has, beside [`IMPORT_ID`] and [`RAW`].
const DERIVED: [&str; 6] = ["rowKey", "snapshotDate", "RecordTypeName", "UserTypeName", "statusRank", "callId"];

/// Which table rows with these columns were written out of; `None` when they are no such rows. `file` is the name of their file,
/// which decides between tables whose rows look alike.
///
/// # Errors
/// The rows may be of several tables.
pub(crate) fn table_of<'n>(
    names: impl Iterator<Item = &'n str> + Clone,
    file: &str,
) -> Result<Option<&'static TableDef>, String> {
    let has = |wanted: &str| names.clone().any(|name| name == wanted);
    // What these columns stand in is of the lake, whatever a query put beside them.
    let is_ours = has(IMPORT_ID) || has(RAW);
    if !is_ours && !DERIVED.iter().any(|name| has(name)) {
        return Ok(None);
    }
    let keyed = all().filter(|table| takes(table) && has(table.time) && table.key.iter().all(|key| has(key)));
    let fitting: Vec<(usize, &'static TableDef)> = keyed
        .map(|table| (names.clone().filter(|name| table.index_of(name).is_none()).count(), table))
        .filter(|(others, _)| is_ours || *others == 0)
        .collect();
    let least = fitting.iter().map(|(others, _)| *others).min().unwrap_or_default();
    let mut nearest: Vec<&'static TableDef> =
        fitting.into_iter().filter(|(others, _)| *others == least).map(|(_, table)| table).collect();
    if nearest.len() > 1 {
        let file = plain_name(file);
        let is_named = |table: &&TableDef| file.contains(&plain_name(table.name));
        if let Some(named) = nearest.iter().copied().filter(is_named).max_by_key(|table| table.name.len()) {
            return Ok(Some(named));
        }
        let shown: Vec<&str> = nearest.iter().map(|table| table.name).take(8).collect();
        return Err(format!(
            "its columns are those of {} tables of a lake ({}{}); name the file after the one it is",
            nearest.len(),
            shown.join(", "),
            if nearest.len() > shown.len() { ", …" } else { "" }
        ));
    }
    Ok(nearest.pop())
}

/// True for tables whose rows are read back here: not those whose content is their key, and not the lake's account of itself,
/// which says nothing of another one.
fn takes(table: &TableDef) -> bool {
    table.content.is_none() && table.name != LEDGER
}

/// The places of the columns that hold times.
pub(crate) fn times(table: &TableDef, columns: &[String]) -> Vec<usize> {
    let is_time = |name: &String| table.index_of(name).is_some_and(|at| table.columns[at].ty == Type::DateTime);
    columns.iter().enumerate().filter(|(_, name)| is_time(name)).map(|(place, _)| place).collect()
}

/// Makes rows of what was written out.
#[derive(Default)]
pub(crate) struct Exported {
    fields: HashMap<&'static str, FieldMap>,
}

impl Exported {
    /// The row of a table, by the names and values of its columns. Others are nothing that its record has.
    ///
    /// # Errors
    /// A value is none of its column's type, or it is not said which record this is.
    pub(crate) fn row<'v>(
        &mut self,
        table: &'static TableDef,
        values: impl Iterator<Item = (&'v str, SourceValue<'v>)>,
        order: DateOrder,
    ) -> Result<Row<'static>, String> {
        let fields = self.fields.entry(table.name).or_insert_with(|| FieldMap::new(table, &[]));
        let mut row: Row<'static> = Row::with_columns(table, fields.columns);
        for (name, value) in values {
            // Columns of the lake's own that decide which rows of a record stay: without them a restored lake would have others.
            let is_kept = [TAKEN_AT, IS_WHOLE].contains(&name) || table.tenant == Some(name);
            let own = || table.index_of(name).filter(|_| is_kept);
            let Some(column) = fields.column(name).filter(|column| table.columns[*column].name == name).or_else(own) else {
                continue;
            };
            let cell = if name == RAW { raw(value) } else { value.read(fields.ty(column), order) };
            row.cells[column] = cell
                .ok_or_else(|| {
                    format!("the value of `{name}` is none of the type {} of this column of {}", fields.ty(column), table.name)
                })?
                .into_owned();
        }
        if row.get(table.time).is_null() {
            return Err(format!("the row of {} has no `{}` that can be read", table.name, table.time));
        }
        for key in &table.key {
            let Some(column) = table.index_of(key) else { continue };
            let is_text = table.columns[column].ty == Type::String;
            match row.cells.get(column) {
                // A part of a key that its page did not say is empty at rest, too.
                Some(Cell::Null) if is_text && !["id", "Id", "rowKey"].contains(key) => {
                    row.cells[column] = Cell::Text("".into());
                }
                Some(Cell::Null) => return Err(format!("the row of {} has no `{key}`", table.name)),
                _ => {}
            }
        }
        Ok(row)
    }
}

/// The record in `Raw`, also where it is written as a text.
fn raw<'v>(value: SourceValue<'v>) -> Option<Cell<'v>> {
    let text = value.text();
    if text.trim_start().starts_with('{') && Members::parse(text.trim()).is_ok() {
        return Some(Cell::raw_json(text.trim()));
    }
    value.read(Type::Dynamic, DateOrder::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &str, file: &str) -> Result<Option<&'static str>, String> {
        table_of(names.split(' '), file).map(|table| table.map(|table| table.name))
    }

    #[test]
    fn rows_of_a_lake_are_known_by_its_columns() {
        for (names, expected) in [
            ("CreationTime Id RecordType Operation Workload Raw", Some("AuditRecords")),
            ("CreationTime Id RecordType RecordTypeName UserId", Some("AuditRecords")),
            ("CreationTime Id RecordTypeName day", None),
            ("CreationTime Id day _importId", Some("AuditRecords")),
            // As sources write them.
            ("CreationTime Id RecordType Operation Workload UserId", None),
            ("receivedDateTime id recipientAddress status", None),
            ("receivedDateTime id recipientAddress status statusRank", Some("MessageTrace")),
            ("startDateTime id version Raw", Some("CallRecords")),
            ("startDateTime callId id caller Raw", Some("CallSessions")),
            ("startDateTime callId sessionId id media Raw", Some("CallSegments")),
            ("snapshotDate teamId id roles isOwner", Some("TeamMembers")),
            ("timestamp itemId message _importId", None),
            ("startedAt section unit _importId", None),
        ] {
            assert_eq!(table(names, "x.csv"), Ok(expected), "{names}");
        }
        let twins = "reportRefreshDate reportDate send receive read rowKey Raw _importId";
        assert!(table(twins, "x.csv").unwrap_err().contains("EmailActivityCounts, EmailActivityUserCounts"));
        assert_eq!(table(twins, "EmailActivityUserCounts_2026-01-05.csv"), Ok(Some("EmailActivityUserCounts")));
    }

    #[test]
    fn a_row_has_what_decides_whether_it_stays() {
        for (name, values) in [
            (
                "CallSessions",
                &[("startDateTime", "2026-01-05T00:00:00Z"), ("callId", "c"), ("id", "s"), ("_isWhole", "true")][..],
            ),
            ("Users", &[("snapshotDate", "2026-01-05"), ("id", "u"), ("_takenAt", "2026-01-05T01:02:03.456789Z")]),
            (
                "TeamsUserActivityUserDetail",
                &[("reportRefreshDate", "2026-01-05"), ("rowKey", "k"), ("_takenAt", "2026-01-06T01:02:03Z"), ("_tenantId", "t")],
            ),
        ] {
            let table = kqlake_lake::tables::find(name).unwrap();
            let fields = values.iter().map(|(name, value)| (*name, SourceValue::Field(value)));
            let row = Exported::default().row(table, fields, DateOrder::Unknown).unwrap();
            assert!(values.iter().all(|(column, _)| !row.get(column).is_null()), "{name}: {:?}", row.cells);
        }
    }

    #[test]
    fn a_row_is_what_it_was() {
        let table = table_of(["CreationTime", "Id", "Raw"].into_iter(), "").unwrap().unwrap();
        let record = r#"{"Id":"a","RecordType":50}"#;
        let row = |values: &[(&str, &str)]| {
            let values = values.iter().map(|(name, value)| (*name, SourceValue::Field(value)));
            Exported::default().row(table, values, DateOrder::Unknown)
        };
        let time = ("CreationTime", "2026-01-05T00:00:00.0000000Z");
        let found = row(&[time, ("Id", "a"), ("RecordType", "50"), ("Raw", record), ("Scope", ""), ("day", "5")]).unwrap();
        assert_eq!((found.get("RecordType"), found.get("Raw")), (&Cell::Int(50), &Cell::Json(record.into())));
        // Which import landed it, and what follows from others, is nothing of the row.
        let found = row(&[time, ("Id", "a"), ("_importId", "run"), ("event_month", "2026-01-01")]).unwrap();
        assert!(found.cells.iter().filter(|cell| !cell.is_null()).count() == 2);
        assert!(row(&[time, ("Id", "")]).unwrap_err().contains("`Id`"));
        assert!(row(&[("Id", "a")]).unwrap_err().contains("`CreationTime`"));
        assert!(row(&[time, ("Id", "a"), ("RecordType", "fifty")]).unwrap_err().contains("`RecordType`"));
    }
}
