//! Views: KQL texts under the table names that others' queries use.
//!
//! The `App…` views give the classic Application Insights tables the names and columns of a Log Analytics workspace
//! (Azure Monitor documentation, "Workspace-based Application Insights" and the tables reference); `OfficeActivity` gives
//! the audit records the shape that Microsoft Sentinel has.

/// A view.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    /// Name, case-sensitive.
    pub name: &'static str,
    /// The table whose rows it shows.
    pub table: &'static str,
    /// KQL text, one tabular expression.
    pub text: &'static str,
}

macro_rules! views {
    ($($name:literal of $table:literal),+ $(,)?) => {
        const VIEWS: &[View] =
            &[$(View { name: $name, table: $table, text: include_str!(concat!("views/", $name, ".kql")) }),+];
    };
}

views!(
    "AppAvailabilityResults" of "availabilityResults",
    "AppBrowserTimings" of "browserTimings",
    "AppDependencies" of "dependencies",
    "AppEvents" of "customEvents",
    "AppExceptions" of "exceptions",
    "AppMetrics" of "customMetrics",
    "AppPageViews" of "pageViews",
    "AppPerformanceCounters" of "performanceCounters",
    "AppRequests" of "requests",
    "AppTraces" of "traces",
    "OfficeActivity" of "AuditRecords",
);

/// All views, by name.
pub(crate) fn all() -> &'static [View] {
    VIEWS
}

/// The text of a view by its exact name.
pub(crate) fn find(name: &str) -> Option<&'static str> {
    VIEWS.iter().find(|view| view.name == name).map(|view| view.text)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_view_shows_the_rows_of_its_table() {
        for view in super::all() {
            let first = view.text.lines().find(|line| !line.starts_with("//")).unwrap_or_default();
            assert_eq!(first.trim(), view.table, "{}", view.name);
        }
    }
}
