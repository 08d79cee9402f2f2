//! What kqlake writes about its own importing: the events `FinishedSectionImport`, `FinishedImportCycle`, `ImporterHeartbeat` and
//! `HealthCheck` as rows of `customEvents`, and its log lines as rows of `traces`.
//!
//! Queries that watch the importers of an Office 365 analytics engine watch kqlake's nights with the same text: names,
//! `operation_Name` and the sentence in `customDimensions.context` are those.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::{Cell, ImportError, Importer, Row, SectionReport, own_rows};
use kqlake_lake::tables::find;
use kqlake_lake::{Lake, Position};
use kqlake_value::{ValueRef, format};

/// The `operation_Name` of log lines of the receiver of notifications.
pub const WEBHOOK: &str = "CallRecordWebhookController";
/// The tables that own rows go into.
const TABLES: [&str; 2] = ["traces", "customEvents"];

/// How grave a log line is, as the `severityLevel` of `traces` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventLevel {
    /// What goes as it should.
    Information = 1,
    /// Something was left out.
    Warning = 2,
    /// Something failed.
    Error = 3,
}

/// How something is that imports need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthStatus {
    /// As it should be.
    Healthy,
    /// It works, and needs attention.
    Degraded,
    /// It does not work.
    Unhealthy,
}

impl HealthStatus {
    /// The word that events have for it.
    pub fn name(self) -> &'static str {
        match self {
            HealthStatus::Healthy => "healthy",
            HealthStatus::Degraded => "degraded",
            HealthStatus::Unhealthy => "unhealthy",
        }
    }
}

/// What was found out about something that imports need.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// What it is, such as `certificate`; stays the same from check to check.
    pub component: String,
    /// The tenant that it belongs to.
    pub tenant: Option<String>,
    /// How it is.
    pub status: HealthStatus,
    /// What was seen, and what to do about it. It must hold no secret.
    pub detail: String,
    /// Days until its secret or certificate expires.
    pub days_to_expiry: Option<f64>,
}

/// Collects rows about own work.
#[derive(Debug)]
pub struct EventLog {
    import_id: String,
    tenant: Option<String>,
    rows: Vec<Row<'static>>,
}

impl EventLog {
    /// The log of a run, whose name no other log has.
    pub fn new(import_id: &str) -> Self {
        Self { import_id: import_id.to_owned(), tenant: None, rows: Vec::new() }
    }

    /// A log with a name of its own.
    pub fn of_its_own() -> Self {
        Self::new(&uuid::Uuid::new_v4().to_string())
    }

    /// The same log, whose rows from now on name a tenant.
    #[must_use]
    pub fn of_tenant(mut self, tenant: Option<&str>) -> Self {
        self.tenant = tenant.map(str::to_owned);
        self
    }

    /// Writes the rows, those of each table in one commit.
    ///
    /// # Errors
    /// The lake cannot be written.
    pub async fn land(&self, lake: &Lake) -> Result<(), ImportError> {
        for table in TABLES {
            self.land_table(lake, table).await?;
        }
        Ok(())
    }

    /// Writes the rows of one table in one commit.
    ///
    /// # Errors
    /// The lake cannot be written.
    pub(crate) async fn land_table(&self, lake: &Lake, table: &str) -> Result<(), ImportError> {
        let position = Position { stream: format!("import/{table}"), cursor: json!({}), import_id: self.import_id.clone() };
        own_rows::land(lake, table, self.rows_of(table), position).await
    }

    /// The tables that own rows go into.
    pub(crate) fn tables() -> [&'static str; 2] {
        TABLES
    }

    /// The rows of a table, in the order in which they were written.
    pub(crate) fn rows_of(&self, table: &str) -> impl Iterator<Item = &Row<'static>> {
        self.rows.iter().filter(move |row| row.table.name == table)
    }

    /// A log line at an instant (microseconds since 1970).
    pub fn line(&mut self, operation: &'static str, severity: EventLevel, at: i64, message: &str) {
        // The caller reports it in its own words; this is for debugging.
        tracing::info!(operation, ?severity, "{message}");
        let mut row = self.begin("traces", "trace", operation, at);
        if let Some(row) = &mut row {
            row.set("message", Cell::text(message.to_owned()));
            row.set("severityLevel", Cell::Int(severity as i64));
            row.set("customDimensions", json_cell(Value::Object(self.own_dimensions())));
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
            "gone": report.gone,
            "records": report.records,
            "rows": report.new,
            "duplicates": report.duplicates,
            "replaced": report.replaced,
            "quarantined": report.refused,
            "outOfScope": report.out_of_scope,
            "expired": report.expired,
        });
        let mut dimensions = dimensions;
        dimensions.insert("section".to_owned(), report.section.name().into());
        self.event("FinishedSectionImport", report.section.importer().name(), at, dimensions, measurements);
    }

    /// An importer's sections were all read to their ends.
    pub fn cycle_finished(&mut self, importer: Importer, micros: i64, sections: usize, at: i64) {
        let dimensions = self.dimensions(importer.name(), micros);
        let measurements = json!({ "durationMs": micros as f64 / 1000.0, "sections": sections });
        self.event("FinishedImportCycle", importer.name(), at, dimensions, measurements);
    }

    /// The importer is alive. `dimensions` say what is in progress, `measurements` how far it is.
    pub fn heartbeat(&mut self, at: i64, dimensions: &[(&str, String)], measurements: &[(&str, f64)]) {
        let mut all = self.own_dimensions();
        all.extend(dimensions.iter().map(|(name, text)| ((*name).to_owned(), text.clone().into())));
        let measured: Map<String, Value> =
            measurements.iter().map(|(name, number)| ((*name).to_owned(), json!(number))).collect();
        self.event("ImporterHeartbeat", Importer::Office365Activity.name(), at, all, Value::Object(measured));
    }

    /// What was found out about something that imports need.
    pub fn health(&mut self, at: i64, health: &Health) {
        let mut dimensions = self.own_dimensions();
        if let Some(tenant) = &health.tenant {
            dimensions.insert("tenant".to_owned(), tenant.clone().into());
        }
        dimensions.insert("component".to_owned(), health.component.clone().into());
        dimensions.insert("status".to_owned(), health.status.name().into());
        dimensions.insert("detail".to_owned(), health.detail.clone().into());
        let measurements = health.days_to_expiry.map_or_else(|| json!({}), |days| json!({ "daysToExpiry": days }));
        self.event("HealthCheck", Importer::Office365Activity.name(), at, dimensions, measurements);
    }

    fn dimensions(&self, what: &str, micros: i64) -> Map<String, Value> {
        let mut dimensions = Map::new();
        dimensions.insert("context".to_owned(), spoken(what, micros).into());
        dimensions.insert("timeTaken".to_owned(), format::to_string(ValueRef::TimeSpan(micros.saturating_mul(10))).into());
        dimensions.extend(self.own_dimensions());
        dimensions
    }

    fn own_dimensions(&self) -> Map<String, Value> {
        let tenant = self.tenant.iter().map(|tenant| ("tenant".to_owned(), tenant.clone().into()));
        [("importId".to_owned(), self.import_id.clone().into())].into_iter().chain(tenant).collect()
    }

    fn event(&mut self, name: &str, operation: &'static str, at: i64, dimensions: Map<String, Value>, measurements: Value) {
        let mut row = self.begin("customEvents", "customEvent", operation, at);
        if let Some(row) = &mut row {
            row.set("name", Cell::text(name.to_owned()));
            row.set("customDimensions", json_cell(Value::Object(dimensions)));
            row.set("customMeasurements", json_cell(measurements));
        }
        self.rows.extend(row);
    }

    /// What all rows of the run share.
    fn begin(&self, table: &str, item_type: &'static str, operation: &'static str, at: i64) -> Option<Row<'static>> {
        let mut row = Row::new(find(table)?);
        let number = self.rows.len();
        row.set("timestamp", Cell::Time(at));
        row.set("operation_Name", Cell::text(operation));
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
            gone: 0,
            records: 3,
            new: 2,
            duplicates: 1,
            replaced: 0,
            refused: 0,
            out_of_scope: 0,
            failed: 0,
            expired: 0,
            finished: true,
            micros: 1_500_000,
        };
        log.section_finished(&report, 5);
        log.cycle_finished(Importer::Office365Activity, 2_000_000, 1, 6);
        log.line(Importer::Office365Activity.name(), EventLevel::Information, 7, "done");
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
