//! What kqlake writes about its own importing: the events `FinishedSectionImport` and `FinishedImportCycle` as rows of
//! `customEvents`, and its log lines as rows of `traces`.
//!
//! Queries that watch the importers of an Office 365 analytics engine watch kqlake's nights with the same text: names,
//! `operation_Name` and the sentence in `customDimensions.context` are those.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::{Cell, Importer, Row, SectionReport};
use kqlake_lake::tables::find;
use kqlake_value::{ValueRef, format};

/// How grave a log line is, as the `severityLevel` of `traces` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// What goes as it should.
    Information = 1,
    /// Something was left out.
    Warning = 2,
    /// Something failed.
    Error = 3,
}

/// Collects the rows of one run.
#[derive(Debug)]
pub(crate) struct EventLog {
    import_id: String,
    rows: Vec<Row<'static>>,
}

impl EventLog {
    /// The log of a run.
    pub(crate) fn new(import_id: &str) -> Self {
        Self { import_id: import_id.to_owned(), rows: Vec::new() }
    }

    /// The rows of a table, in the order in which they were written.
    pub(crate) fn rows_of(&self, table: &str) -> impl Iterator<Item = &Row<'static>> {
        self.rows.iter().filter(move |row| row.table.name == table)
    }

    /// A log line at an instant (microseconds since 1970).
    pub(crate) fn line(&mut self, importer: Importer, severity: Severity, at: i64, message: &str) {
        // Whoever runs the import tells of it in their own words; this is for those who want to follow it.
        tracing::info!(importer = importer.name(), ?severity, "{message}");
        let mut row = self.begin("traces", "trace", importer, at);
        if let Some(row) = &mut row {
            row.set("message", Cell::text(message.to_owned()));
            row.set("severityLevel", Cell::Int(severity as i64));
            row.set("customDimensions", json_cell(json!({ "importId": self.import_id })));
        }
        self.rows.extend(row);
    }

    /// A section was read to its end.
    pub(crate) fn section_finished(&mut self, report: &SectionReport, at: i64) {
        let dimensions = self.dimensions(report.section.name(), report.micros);
        let measurements = json!({
            "durationMs": report.micros as f64 / 1000.0,
            "units": report.units,
            "unchanged": report.unchanged,
            "known": report.known,
            "records": report.records,
            "rows": report.new,
            "duplicates": report.duplicates,
            "replaced": report.replaced,
            "quarantined": report.refused,
        });
        let mut dimensions = dimensions;
        dimensions.insert("section".to_owned(), report.section.name().into());
        self.event("FinishedSectionImport", report.section.importer(), at, dimensions, measurements);
    }

    /// An importer's sections were all read to their ends.
    pub(crate) fn cycle_finished(&mut self, importer: Importer, micros: i64, sections: usize, at: i64) {
        let dimensions = self.dimensions(importer.name(), micros);
        let measurements = json!({ "durationMs": micros as f64 / 1000.0, "sections": sections });
        self.event("FinishedImportCycle", importer, at, dimensions, measurements);
    }

    fn dimensions(&self, what: &str, micros: i64) -> Map<String, Value> {
        let mut dimensions = Map::new();
        dimensions.insert("context".to_owned(), spoken(what, micros).into());
        dimensions.insert("timeTaken".to_owned(), format::to_string(ValueRef::TimeSpan(micros.saturating_mul(10))).into());
        dimensions.insert("importId".to_owned(), self.import_id.clone().into());
        dimensions
    }

    fn event(&mut self, name: &str, importer: Importer, at: i64, dimensions: Map<String, Value>, measurements: Value) {
        let mut row = self.begin("customEvents", "customEvent", importer, at);
        if let Some(row) = &mut row {
            row.set("name", Cell::text(name.to_owned()));
            row.set("customDimensions", json_cell(Value::Object(dimensions)));
            row.set("customMeasurements", json_cell(measurements));
        }
        self.rows.extend(row);
    }

    /// What all rows of the run share.
    fn begin(&self, table: &str, item_type: &'static str, importer: Importer, at: i64) -> Option<Row<'static>> {
        let mut row = Row::new(find(table)?);
        let number = self.rows.len();
        row.set("timestamp", Cell::Time(at));
        row.set("operation_Name", Cell::text(importer.name()));
        row.set("operation_Id", Cell::text(self.import_id.clone()));
        row.set("cloud_RoleName", Cell::text("kqlake"));
        row.set("appName", Cell::text("kqlake"));
        row.set("sdkVersion", Cell::text(concat!("kqlake:", env!("CARGO_PKG_VERSION"))));
        row.set("itemId", Cell::text(format!("{}-{number}", self.import_id)));
        row.set("itemType", Cell::text(item_type));
        row.set("itemCount", Cell::Int(1));
        Some(row)
    }
}

fn json_cell(value: Value) -> Cell<'static> {
    Cell::Json(value.to_string().into())
}

/// The sentence that the importers write: `Usage reports: 0 hours, 7 mins, and 45 seconds.`
fn spoken(what: &str, micros: i64) -> String {
    let seconds = micros.max(0) / 1_000_000;
    let mut out = format!("{what}: ");
    if seconds >= 86_400 {
        let _ = write!(out, "{} days, ", seconds / 86_400);
    }
    let _ = write!(out, "{} hours, {} mins, and {} seconds.", seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Section;

    #[test]
    fn events_read_like_those_of_the_engine() {
        assert_eq!(spoken("Usage reports", 465_900_000), "Usage reports: 0 hours, 7 mins, and 45 seconds.");
        assert_eq!(spoken("Audit events", 90_061_000_000), "Audit events: 1 days, 1 hours, 1 mins, and 1 seconds.");
        let mut log = EventLog::new("run");
        let report = SectionReport {
            section: Section::Audit,
            units: 1,
            unchanged: 0,
            known: 0,
            records: 3,
            new: 2,
            duplicates: 1,
            replaced: 0,
            refused: 0,
            finished: true,
            micros: 1_500_000,
        };
        log.section_finished(&report, 5);
        log.cycle_finished(Importer::Office365Activity, 2_000_000, 1, 6);
        log.line(Importer::Office365Activity, Severity::Information, 7, "done");
        let events: Vec<_> = log.rows_of("customEvents").collect();
        assert_eq!(events[0].get("name"), &Cell::text("FinishedSectionImport"));
        assert_eq!(events[0].get("operation_Name"), &Cell::text("Office365ActivityImporter"));
        let Cell::Json(dimensions) = events[0].get("customDimensions") else { panic!("no dimensions") };
        assert!(
            dimensions.contains(r#""section":"Audit events""#) && dimensions.contains(r#""timeTaken":"00:00:01.5000000""#),
            "{dimensions}"
        );
        assert_ne!(events[0].get("itemId"), events[1].get("itemId"));
        assert_eq!(log.rows_of("traces").count(), 1);
    }
}
