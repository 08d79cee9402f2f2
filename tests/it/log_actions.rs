//! What commits say of themselves to other readers: only a commit that changes rows says so.

use std::fs;
use std::path::Path;

use kqlake_lake::{CompactOptions, Lake};
use serde_json::Value;

use super::lake::{DAY, call_records, def, land};

/// The adds and removes of a commit: whether it is an add, and what it says under `dataChange`.
fn actions(table: &Path, version: i64) -> Vec<(bool, Value)> {
    let text = fs::read_to_string(table.join(format!("_delta_log/{version:020}.json"))).expect("a commit");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let of = |line: Value| {
        let kind = ["add", "remove"].into_iter().find(|kind| line.get(*kind).is_some())?;
        Some((kind == "add", line[kind]["dataChange"].clone()))
    };
    lines.filter_map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_commits_that_change_rows_say_that_they_do() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lake = Lake::new(dir.path());
    let table = dir.path().join("CallRecords");
    let calls = def("CallRecords");
    let (added, removed) = ((true, Value::Bool(true)), (false, Value::Bool(true)));
    let first = land(&lake, calls, call_records(&[("a", DAY, Some(1), "a1"), ("b", DAY, Some(1), "b1")]), 1).await.expect("land");
    assert_eq!(actions(&table, first.version.expect("a commit")), std::slice::from_ref(&added));
    // A newer version takes a row out of a file: that changes rows, too.
    let second = land(&lake, calls, call_records(&[("a", DAY, Some(2), "a2")]), 2).await.expect("land");
    assert_eq!(second.replaced, 1);
    let mut found = actions(&table, second.version.expect("a commit"));
    found.sort_by_key(|(add, _)| *add);
    assert_eq!(found, [removed, added.clone(), added]);
    // A reader of changes must not take merged rows for new ones, or for rows that are gone.
    let report = lake.compact(calls, &CompactOptions::default()).await.expect("compact");
    assert_eq!((report.merged, report.written), (2, 1));
    let mut found = actions(&table, report.version.expect("a commit"));
    found.sort_by_key(|(add, _)| *add);
    assert_eq!(found, [(false, Value::Bool(false)), (false, Value::Bool(false)), (true, Value::Bool(false))]);
}
