//! Which table an Application Insights record belongs to, by what it says of itself or by the fields it has.

use crate::fields::plain_name;

/// The tables, each with the item type that its rows carry in the classic schema.
pub(super) const TABLES: [(&str, &str); 10] = [
    ("traces", "trace"),
    ("customEvents", "customEvent"),
    ("pageViews", "pageView"),
    ("requests", "request"),
    ("dependencies", "dependency"),
    ("exceptions", "exception"),
    ("availabilityResults", "availabilityResult"),
    ("browserTimings", "browserTiming"),
    ("customMetrics", "customMetric"),
    ("performanceCounters", "performanceCounter"),
];

/// Workspace table names in the order of [`TABLES`] (Azure Monitor documentation, "Workspace-based resource changes").
const WORKSPACE: [&str; 10] = [
    "AppTraces",
    "AppEvents",
    "AppPageViews",
    "AppRequests",
    "AppDependencies",
    "AppExceptions",
    "AppAvailabilityResults",
    "AppBrowserTimings",
    "AppMetrics",
    "AppPerformanceCounters",
];

/// The table, as its place in [`TABLES`], that a type name stands for: an item type, a classic or a workspace table name.
pub(super) fn by_type_name(name: &str) -> Option<usize> {
    let same = |other: &str| other.eq_ignore_ascii_case(name);
    TABLES.iter().position(|(table, item)| same(table) || same(item)).or_else(|| WORKSPACE.iter().position(|w| same(w)))
}

/// The table, as its place in [`TABLES`], that a set of field names fits; `None` when they are no Application Insights
/// fields.
///
/// Fields that only one table has decide; the fields that all tables share must be there too, else any record with a name
/// and a time would do.
pub(super) fn by_fields<'a>(names: impl Iterator<Item = &'a str>) -> Option<usize> {
    let names: Vec<String> = names.map(plain_name).collect();
    let has = |name: &str| names.iter().any(|n| n == name);
    let timed = has("timestamp") || has("timegenerated") || has("time");
    let common = [
        "operationid",
        "customdimensions",
        "properties",
        "ikey",
        "sdkversion",
        "itemtype",
        "itemid",
        "sessionid",
        "clienttype",
        "approlename",
        "cloudrolename",
        "itemcount",
    ];
    if !timed || !common.iter().any(|c| has(c)) {
        return None;
    }
    let index = |table: &str| TABLES.iter().position(|(name, _)| *name == table);
    if has("problemid") || has("outertype") || has("innermosttype") || has("exceptiontype") {
        index("exceptions")
    } else if has("networkduration") || has("networkdurationms") {
        index("browserTimings")
    } else if has("counter") && has("category") {
        index("performanceCounters")
    } else if has("valuesum") || has("valuecount") || (has("sum") && has("min") && has("max")) {
        index("customMetrics")
    } else if has("target") || has("dependencytype") {
        index("dependencies")
    } else if has("location") && has("success") {
        index("availabilityResults")
    } else if has("resultcode") {
        index("requests")
    } else if has("message") {
        index("traces")
    } else if has("name") && (has("url") || has("duration") || has("durationms")) {
        index("pageViews")
    } else if has("name") {
        index("customEvents")
    } else {
        None
    }
}

/// Severity of a trace as a number: the names are those of older exports.
pub(super) fn severity(name: &str) -> Option<i64> {
    ["verbose", "information", "warning", "error", "critical"]
        .iter()
        .position(|s| s.eq_ignore_ascii_case(name.trim()))
        .map(|i| i as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(fields: &[&str]) -> Option<&'static str> {
        by_fields(fields.iter().copied()).map(|i| TABLES[i].0)
    }

    #[test]
    fn tables_by_name_and_fields() {
        assert_eq!(by_type_name("AppTraces"), by_type_name("trace"));
        assert_eq!(by_type_name("customEvents"), Some(1));
        assert_eq!(by_type_name("OfficeActivity"), None);
        assert_eq!(table(&["timestamp", "message", "severityLevel", "customDimensions"]), Some("traces"));
        assert_eq!(table(&["TimeGenerated", "Name", "Properties"]), Some("customEvents"));
        assert_eq!(table(&["timestamp", "name", "url", "duration", "itemType"]), Some("pageViews"));
        assert_eq!(table(&["timestamp", "problemId", "message", "itemType"]), Some("exceptions"));
        assert_eq!(table(&["name", "url"]), None);
        assert_eq!(table(&["timestamp", "name", "url"]), None);
        for (table_name, own) in [
            ("exceptions", ["problemId", "outerType", "innermostType", "exceptionType"].map(|one| vec![one]).to_vec()),
            ("browserTimings", vec![vec!["networkDuration"], vec!["networkDurationMs"]]),
            ("performanceCounters", vec![vec!["counter", "category"]]),
            ("customMetrics", vec![vec!["valueSum"], vec!["valueCount"], vec!["sum", "min", "max"]]),
            ("dependencies", vec![vec!["target"], vec!["dependencyType"]]),
            ("availabilityResults", vec![vec!["location", "success"]]),
            ("requests", vec![vec!["resultCode"]]),
            ("pageViews", vec![vec!["url"], vec!["duration"], vec!["durationMs"]]),
            // One alone of what decides together.
            ("customEvents", ["counter", "category", "sum", "min", "max", "location", "success"].map(|one| vec![one]).to_vec()),
        ] {
            for own in own {
                for time in ["timestamp", "TimeGenerated", "time"] {
                    let fields: Vec<&str> = [time, "name", "itemType"].into_iter().chain(own.iter().copied()).collect();
                    assert_eq!(table(&fields), Some(table_name), "{fields:?}");
                }
            }
        }
        assert_eq!(severity("Warning"), Some(2));
    }
}
