//! One row of the ledger: one try at one unit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::state::LedgerState;
use crate::row::{Cell, Row};
use crate::source::ListedUnit;
use crate::{DateOrder, ReadExtent, Section, UnitReport, UnitState};
use kqlake_lake::TableVersion;
use kqlake_lake::tables::TableDef;

/// What the ledger's section column says of units whose records belong to no section.
pub const NO_SECTION: &str = "Files";
/// The version of what `details` holds. Rows of earlier programs have none.
const FORMAT: u32 = 2;

/// A try at a unit, as its row keeps it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Entry {
    /// When the try began and ended (microseconds since 1970).
    pub started: i64,
    /// See `started`.
    pub finished: i64,
    /// The unit's section.
    pub section: Option<Section>,
    /// The unit's name.
    pub unit: String,
    /// How the try ended.
    pub state: LedgerState,
    /// Why it did not end well.
    pub reason: Option<String>,
    /// Rows by table, that were there already or not.
    pub rows: BTreeMap<String, u64>,
    /// Rows that were in the lake already; `None` where rows of several units were committed at once and it was not counted
    /// whose.
    pub duplicates: Option<u64>,
    /// Rows that took the place of others; `None` as above.
    pub replaced: Option<u64>,
    /// Records that were quarantined.
    pub refused: u64,
    /// Bytes at the source.
    pub bytes: u64,
    /// The hash of the content; `None` when it was not read to its end.
    pub content_hash: Option<String>,
    /// The instants between which its records lie, as the source says (microseconds since 1970).
    pub window: Option<(i64, i64)>,
    /// When the source listed it.
    pub listed: Option<i64>,
    /// When the source has it no longer.
    pub expires: Option<i64>,
    /// The number of the try, from 1.
    pub attempt: i64,
    /// The status that a service answered with.
    pub status: Option<u16>,
    /// The source's cursor behind it.
    pub cursor: Option<Value>,
    /// The rest.
    pub details: Details,
}

/// What the `details` column holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Details {
    /// The version of this form.
    pub format: u32,
    /// The run.
    pub import_id: String,
    /// Records that were found.
    pub records: u64,
    /// The state of the tables when the unit's rows were in them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub landed: BTreeMap<String, TableVersion>,
    /// Where refused records were quarantined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
    /// Rows that a filter left out.
    #[serde(rename = "passedOver", skip_serializing_if = "is_zero")]
    pub filtered: u64,
    /// Rows of sites that are not wanted.
    #[serde(skip_serializing_if = "is_zero")]
    pub out_of_scope: u64,
    /// What distinguishes the list of wanted sites from others; only where rows are out of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// True when the windows of the source's units leave no time out between them.
    #[serde(skip_serializing_if = "is_false")]
    pub tiles: bool,
    /// True when the unit is all of its kind that its source has of its window.
    #[serde(skip_serializing_if = "is_false")]
    pub stretch: bool,
    /// The stream of the source that listed the unit, where listings are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What shows that the unit has not changed without reading it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamp: Option<String>,
    /// The order of dates that was given, where records were refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date_order: Option<String>,
    /// True when it is no unit but a listing that failed.
    #[serde(skip_serializing_if = "is_false")]
    pub listing: bool,
    /// True when the unit breaks off: records may be missing without a trace.
    #[serde(skip_serializing_if = "is_false")]
    pub cut: bool,
    /// True when the unit's text was damaged, or ended too early.
    #[serde(skip_serializing_if = "is_false")]
    pub damaged: bool,
    /// True when the unit must be read again, though it was: not all of its rows landed, or its service has it better.
    #[serde(skip_serializing_if = "is_false")]
    pub held: bool,
}

/// The word for an order of dates that was given.
pub(super) fn order_name(order: DateOrder) -> Option<&'static str> {
    match order {
        DateOrder::Unknown => None,
        DateOrder::MonthFirst => Some("month-first"),
        DateOrder::DayFirst => Some("day-first"),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Details {
    /// The same, with the order of dates that was given where records were refused.
    #[must_use]
    pub(crate) fn under(self, order: DateOrder, refused: u64) -> Self {
        Details { date_order: order_name(order).filter(|_| refused > 0).map(str::to_owned), ..self }
    }

    /// Details of this form of a run.
    pub(crate) fn of_run(import_id: &str) -> Self {
        Details { format: FORMAT, import_id: import_id.to_owned(), ..Details::default() }
    }

    /// True for a row that says all that a unit with refused records must say to be skipped.
    pub(crate) fn is_current(&self) -> bool {
        self.format >= FORMAT
    }
}

impl Entry {
    /// The try that a report is about.
    pub(crate) fn of(report: &UnitReport, listed: &ListedUnit, import_id: &str) -> Self {
        let path = |path: &std::path::PathBuf| path.display().to_string();
        Entry {
            started: report.started,
            finished: report.finished,
            section: report.section,
            unit: report.name.clone(),
            state: report.state.into(),
            reason: report.reason.clone(),
            rows: report.counts.rows.iter().map(|(table, rows)| ((*table).to_owned(), *rows)).collect(),
            duplicates: report.duplicates,
            replaced: report.replaced,
            refused: report.counts.refused,
            bytes: report.bytes,
            content_hash: report.content_hash.clone(),
            window: listed.window,
            listed: listed.listed.or(Some(report.started)),
            expires: listed.expires,
            attempt: 1,
            status: report.status,
            cursor: listed.cursor.clone(),
            details: Details {
                records: report.counts.records,
                quarantine: report.quarantine.as_ref().map(path),
                filtered: report.counts.filtered,
                out_of_scope: report.counts.out_of_scope,
                stamp: report.stamp.clone(),
                held: report.held,
                damaged: report.is_damaged,
                cut: report.extent == ReadExtent::Cut,
                stretch: listed.is_stretch,
                // Whatever is listed as a unit was listed at some time.
                listing: report.state == UnitState::Failed && listed.listed.is_none(),
                ..Details::of_run(import_id)
            },
        }
    }

    /// The values of the row by the names of their columns.
    fn cells(&self) -> [(&'static str, Cell<'static>); 23] {
        fn text(text: Option<&str>) -> Cell<'static> {
            text.map_or(Cell::Null, |text| Cell::text(text.to_owned()))
        }
        fn count(number: u64) -> Cell<'static> {
            Cell::Int(i64::try_from(number).unwrap_or(i64::MAX))
        }
        let time = |time: Option<i64>| time.map_or(Cell::Null, Cell::Time);
        let json = |value: Value| Cell::Json(value.to_string().into());
        let mut tables = self.rows.keys();
        let table = tables.next().filter(|_| tables.next().is_none());
        [
            ("startedAt", Cell::Time(self.started)),
            ("finishedAt", Cell::Time(self.finished)),
            ("section", text(Some(self.section.map_or(NO_SECTION, Section::name)))),
            ("unit", text(Some(&self.unit))),
            ("state", text(Some(self.state.name()))),
            ("reason", text(self.reason.as_deref())),
            ("rows", count(self.rows.values().sum())),
            ("duplicates", self.duplicates.map_or(Cell::Null, count)),
            ("replaced", self.replaced.map_or(Cell::Null, count)),
            ("quarantined", count(self.refused)),
            ("bytes", count(self.bytes)),
            ("contentHash", text(self.content_hash.as_deref())),
            ("windowStart", time(self.window.map(|window| window.0))),
            ("windowEnd", time(self.window.map(|window| window.1))),
            ("listedAt", time(self.listed)),
            ("expiresAt", time(self.expires)),
            ("attempt", Cell::Int(self.attempt)),
            ("httpStatus", self.status.map_or(Cell::Null, |status| Cell::Int(status.into()))),
            ("tableName", text(table.map(String::as_str))),
            ("tables", if self.rows.is_empty() { Cell::Null } else { json(json!(self.rows)) }),
            ("cursor", self.cursor.clone().map_or(Cell::Null, json)),
            ("details", json(json!(self.details))),
            ("kqlakeVersion", text(Some(env!("CARGO_PKG_VERSION")))),
        ]
    }

    /// The row of the ledger.
    pub(crate) fn to_row(&self, ledger: &'static TableDef) -> Row<'static> {
        let mut row = Row::new(ledger);
        for (column, cell) in self.cells() {
            row.set(column, cell);
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kqlake_lake::tables::find;

    #[test]
    fn every_column_of_the_ledger_is_filled_and_no_other_is_named() {
        let ledger = find(super::super::TABLE).unwrap();
        let named: Vec<&str> = Entry::default().cells().iter().map(|(column, _)| *column).collect();
        let own = |name: &&str| !name.starts_with('_') && !name.starts_with("event_");
        let columns: Vec<&str> = ledger.columns.iter().map(|column| column.name).filter(own).collect();
        assert_eq!(named, columns);
        let entry = Entry {
            unit: "u".into(),
            state: crate::UnitState::Done.into(),
            reason: Some("r".into()),
            rows: BTreeMap::from([("traces".into(), 3)]),
            duplicates: Some(1),
            replaced: Some(0),
            content_hash: Some("h".into()),
            window: Some((1, 2)),
            listed: Some(3),
            expires: Some(4),
            status: Some(429),
            cursor: Some(json!(5)),
            ..Entry::default()
        };
        let row = entry.to_row(ledger);
        let empty: Vec<&str> = columns.iter().copied().filter(|column| row.get(column).is_null()).collect();
        assert!(empty.is_empty(), "{empty:?}");
        assert_eq!(row.get("tableName"), &Cell::text("traces"));
        let two = Entry { rows: BTreeMap::from([("traces".into(), 3), ("requests".into(), 1)]), ..Entry::default() };
        assert_eq!((two.to_row(ledger).get("tableName"), two.to_row(ledger).get("rows")), (&Cell::Null, &Cell::Int(4)));
    }

    #[test]
    fn a_try_is_noted_as_its_report_and_its_listing_say_it() {
        let counts = crate::Counts {
            records: 9,
            rows: BTreeMap::from([("traces", 4), ("requests", 2)]),
            refused: 3,
            unknown: 1,
            filtered: 2,
            out_of_scope: 5,
        };
        let report = UnitReport {
            section: Some(Section::Calls),
            reason: Some("r".into()),
            extent: ReadExtent::Cut,
            counts,
            bytes: 7,
            content_hash: Some("h".into()),
            quarantine: Some("q/x".into()),
            stamp: Some("s".into()),
            status: Some(429),
            is_damaged: true,
            held: true,
            duplicates: Some(8),
            replaced: Some(6),
            finished: 11,
            ..crate::reader::report("u", UnitState::Incomplete, 10)
        };
        let listed = ListedUnit {
            window: Some((1, 2)),
            listed: Some(3),
            expires: Some(4),
            cursor: Some(json!(5)),
            is_stretch: true,
            ..ListedUnit::default()
        };
        let details = Details {
            format: FORMAT,
            import_id: "run".into(),
            records: 9,
            quarantine: Some("q/x".into()),
            filtered: 2,
            out_of_scope: 5,
            stretch: true,
            stamp: Some("s".into()),
            cut: true,
            damaged: true,
            held: true,
            ..Details::default()
        };
        let expected = Entry {
            started: 10,
            finished: 11,
            section: Some(Section::Calls),
            unit: "u".into(),
            state: UnitState::Incomplete.into(),
            reason: Some("r".into()),
            rows: BTreeMap::from([("traces".into(), 4), ("requests".into(), 2)]),
            duplicates: Some(8),
            replaced: Some(6),
            refused: 3,
            bytes: 7,
            content_hash: Some("h".into()),
            window: Some((1, 2)),
            listed: Some(3),
            expires: Some(4),
            attempt: 1,
            status: Some(429),
            cursor: Some(json!(5)),
            details,
        };
        assert_eq!(Entry::of(&report, &listed, "run"), expected);
        // What nobody listed and failed was a listing.
        for (state, listed, is_listing) in
            [(UnitState::Failed, None, true), (UnitState::Failed, Some(3), false), (UnitState::Done, None, false)]
        {
            let unit = ListedUnit { listed, ..ListedUnit::default() };
            let entry = Entry::of(&crate::reader::report("u", state, 10), &unit, "run");
            assert_eq!((entry.listed, entry.details.listing, entry.details.cut), (listed.or(Some(10)), is_listing, false));
        }
    }

    #[test]
    fn details_name_what_is_not_zero_or_false_and_are_read_back() {
        let none = Details::of_run("r");
        assert_eq!(json!(none), json!({ "format": FORMAT, "importId": "r", "records": 0 }));
        let some = Details { filtered: 1, out_of_scope: 2, tiles: true, held: true, ..none.clone() };
        let text = json!(some);
        assert_eq!((&text["passedOver"], &text["outOfScope"], &text["tiles"]), (&json!(1), &json!(2), &json!(true)));
        for details in [none, some] {
            assert_eq!(serde_json::from_value::<Details>(json!(details)).unwrap(), details);
        }
    }
}
