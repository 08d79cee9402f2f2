//! Views: KQL texts under the table names that others' queries use.
//!
//! The `App…` views give the classic Application Insights tables the names and columns of a Log Analytics workspace
//! (Azure Monitor documentation, "Workspace-based Application Insights" and the tables reference); `OfficeActivity` gives
//! the audit records the shape that Microsoft Sentinel has.

/// A view.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Name, case-sensitive.
    pub name: &'static str,
    /// KQL text, one tabular expression.
    pub text: &'static str,
}

macro_rules! views {
    ($($name:literal),+ $(,)?) => {
        const VIEWS: &[View] = &[$(View { name: $name, text: include_str!(concat!("views/", $name, ".kql")) }),+];
    };
}

views!(
    "AppAvailabilityResults",
    "AppBrowserTimings",
    "AppDependencies",
    "AppEvents",
    "AppExceptions",
    "AppMetrics",
    "AppPageViews",
    "AppPerformanceCounters",
    "AppRequests",
    "AppTraces",
    "OfficeActivity",
);

/// All views, by name.
pub fn all() -> &'static [View] {
    VIEWS
}

/// The text of a view by its exact name.
pub fn find(name: &str) -> Option<&'static str> {
    VIEWS.iter().find(|view| view.name == name).map(|view| view.text)
}
