//! What earlier versions wrote to disk is read, and goes on from where it stood.

use std::path::Path;

use super::support::{copy, csv_rows, project, run_in};

/// Tables of the first form and how many rows each holds. The folder is never written anew: a later form gets its own.
const FIRST: &[(&str, &str)] = &[
    ("MessageTrace", "14"),
    ("pageViews", "3"),
    ("CallRecords", "1"),
    ("traces", "25"),
    ("TeamsUserActivityUserDetail", "3"),
    ("performanceCounters", "2"),
];

/// The files that the tables came from.
const SOURCES: &[&str] = &[
    "fixtures/message-trace/graph-page-1.json",
    "fixtures/app-insights/insights-logs-apppageviews",
    "fixtures/calls/call-first-version.json",
    "fixtures/app-insights/insights-logs-apptraces",
    "fixtures/reports/TeamsUserActivityUserDetail 2026-01-11.csv",
    "tests/data/lake-format-1-counters.ndjson",
];

/// The rows of a table that came from files; an import adds what it says of itself.
fn of(table: &str) -> String {
    let rows = if table == "traces" { " | where operation_Name !endswith 'Importer'" } else { "" };
    format!("{table}{rows}")
}

fn rows(dir: &Path, query: &str) -> Vec<Vec<String>> {
    csv_rows(&run_in(dir, &["--lake", "lake", "query", query, "-f", "csv"]).exits(0).out).split_off(1)
}

#[test]
fn a_lake_of_the_first_form_reads_and_goes_on() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    copy(&project().join("tests/data/lake-format-1"), &dir.path().join("lake"));
    let whole = |table: &str| {
        rows(
            dir.path(),
            &format!("{} | project-away _importId | extend all = tostring(pack_all()) | project all | sort by all", of(table)),
        )
    };
    let before: Vec<_> = FIRST.iter().map(|(table, _)| whole(table)).collect();
    for (table, count) in FIRST {
        assert_eq!(rows(dir.path(), &format!("{} | count", of(table))), [[*count]], "{table}");
    }

    // Keys, positions and intents of that form still tell that these records are there.
    let mut import = vec!["--lake".to_owned(), "lake".to_owned(), "import".to_owned(), "--from".to_owned()];
    import.extend(SOURCES.iter().map(|s| project().join(s).display().to_string()));
    let import: Vec<&str> = import.iter().map(String::as_str).collect();
    run_in(dir.path(), &import).exits(0);
    run_in(dir.path(), &["--lake", "lake", "compact"]).exits(0);
    for ((table, _), before) in FIRST.iter().zip(&before) {
        assert_eq!(&whole(table), before, "{table}");
    }
}
