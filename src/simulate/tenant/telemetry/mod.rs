//! Rows of Application Insights and of a Log Analytics workspace: telemetry of Business Central, of a web tracker, and of an
//! application.

mod business_central;
mod tables;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;

use super::instant::{DAY, HOUR, MINUTE, SECOND};
use super::rng::Seeded;
use super::slots::{self, Slot};

/// A column: its classic name and type, and those in a workspace, which has not all.
#[derive(Debug, Deserialize)]
pub(crate) struct Column(pub(crate) String, pub(crate) String, pub(crate) Option<String>, pub(crate) Option<String>);

/// A table.
#[derive(Debug, Deserialize)]
pub(crate) struct Definition {
    #[serde(rename = "workspaceTable")]
    pub(crate) workspace: String,
    pub(crate) columns: Vec<Column>,
    /// Columns that only a workspace has, with their types.
    #[serde(rename = "workspaceExtra")]
    pub(crate) extra: Option<Vec<(String, String)>>,
}

/// The tables by their classic names.
pub(crate) fn tables() -> &'static BTreeMap<String, Definition> {
    static TABLES: OnceLock<BTreeMap<String, Definition>> = OnceLock::new();
    TABLES.get_or_init(|| serde_json::from_str(include_str!("../../data/telemetry.json")).unwrap_or_default())
}

/// How long rows can arrive after their time.
pub(crate) const LATEST: i64 = 48 * HOUR;
/// How long rows are kept.
pub(crate) const RETENTION: i64 = 90 * DAY;

/// Rows of a working day at the scale 1.
fn a_day(table: &str) -> f64 {
    match table {
        "traces" => 800.0,
        "pageViews" => 200.0,
        "customEvents" => 120.0,
        "exceptions" => 10.0,
        _ => 50.0,
    }
}

/// One row: which it is, and when it came to be seen. Its values are made when they are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    slot: Slot,
    /// When it can be seen.
    pub(crate) ingested: i64,
}

impl Row {
    /// Its time.
    pub(crate) fn at(&self) -> i64 {
        self.slot.at
    }

    /// Its values by the classic names of columns.
    pub(crate) fn values(&self, seeded: Seeded, (source, table): (&str, &str)) -> BTreeMap<&'static str, Value> {
        tables::values(seeded, source, table, self.slot)
    }
}

/// The rows of a table in a time that can be seen at an instant, in the order of their times. One in two hundred is there twice.
///
/// `source` tells apart what has rows of its own: an application, a workspace.
pub(crate) fn visible(seeded: Seeded, (source, table): (&str, &str), time: Range<i64>, now: i64) -> Vec<Row> {
    let kind = format!("{source} {table}");
    let mut rows = Vec::new();
    for slot in slots::between(seeded, &kind, a_day(table), time.start.max(now - RETENTION)..time.end.min(now)) {
        let mut rng = seeded.rng(&format!("{kind} arrival"), &slot.name());
        let late = match rng.below(100) {
            0..2 => rng.between(HOUR, LATEST - HOUR),
            _ => rng.between(10 * SECOND, 5 * MINUTE),
        };
        let row = Row { slot, ingested: slot.at + late };
        if row.ingested <= now {
            rows.push(row);
            if rng.below(200) == 0 {
                rows.push(row);
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tenant::instant::parse;

    const SEEDED: Seeded = Seeded { seed: 12, scale: 1.0 };

    #[test]
    fn all_columns_of_all_tables_have_values_of_their_types() {
        let now = parse("2026-01-16T18:00:00Z").unwrap();
        assert_eq!(tables().len(), 10);
        for (name, definition) in tables() {
            let rows = visible(SEEDED, ("app", name), now - DAY..now, now);
            assert!(!rows.is_empty(), "{name}");
            for row in rows {
                let values = row.values(SEEDED, ("app", name));
                for Column(column, kind, ..) in &definition.columns {
                    let value = values.get(column.as_str()).unwrap_or(&Value::Null);
                    let fits = match kind.as_str() {
                        "int" => value.is_i64() || value.is_u64() || value.is_null(),
                        "real" => value.is_number() || value.is_null(),
                        "dynamic" => value.is_object() || value.is_array() || value.is_null(),
                        _ => value.is_string(),
                    };
                    assert!(fits, "{name}.{column}: {value}");
                }
                assert!(values.keys().all(|key| definition.columns.iter().any(|column| column.0 == *key)), "{name} {values:?}");
            }
        }
    }

    #[test]
    fn rows_come_late_and_twice_and_are_told_apart_by_their_ids() {
        let now = parse("2026-01-16T18:00:00Z").unwrap();
        let of = |now: i64| visible(SEEDED, ("app", "traces"), parse("2026-01-14").unwrap()..parse("2026-01-15").unwrap(), now);
        let (soon, later) = (of(parse("2026-01-15T00:06:00Z").unwrap()), of(now + 2 * DAY));
        assert!(soon.len() < later.len());
        let ids: BTreeSet<String> = later.iter().map(|row| row.values(SEEDED, ("app", "traces"))["itemId"].to_string()).collect();
        assert!(ids.len() < later.len() && ids.len() > later.len() * 9 / 10, "{} {}", ids.len(), later.len());
    }
}
