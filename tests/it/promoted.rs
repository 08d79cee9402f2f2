//! Keys of bags that files of one month hold as columns and those of another do not: files that were written before the key was
//! promoted, or with a value that the column cannot say.

use kqlake_lake::tables::TableDef;
use kqlake_lake::{CompactOptions, Lake};

use super::lake::{DAY, def, land, traces, traces_of};
use super::support::{csv_rows, run_in};

/// About a month, in microseconds.
const MONTH: i64 = 31 * 86_400_000_000;

/// The definition of before any key was promoted.
fn earlier_traces() -> &'static TableDef {
    let mut old = def("traces").clone();
    old.columns.retain(|column| column.promoted.is_none());
    Box::leak(Box::new(old))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_read_from_its_column_where_files_have_it_and_from_the_bag_where_they_do_not() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(&dir.path().join("lake"));
    let earlier = earlier_traces();
    land(&lake, earlier, traces_of(earlier, &[("a", DAY), ("b", DAY + 1)]), 1).await.expect("before the key was promoted");
    let lake = Lake::new(&dir.path().join("lake"));
    land(&lake, def("traces"), traces(&[("c", DAY + MONTH), ("d", DAY + MONTH + 1), ("e", DAY + MONTH + 2)]), 2)
        .await
        .expect("after it was");

    let run = |args: &[&str]| run_in(dir.path(), &[&["--lake", "lake"], args].concat()).exits(0).out;
    let count = |text: &str| csv_rows(&run(&["query", "-f", "csv", text]))[1].join(",");
    let of_event = "traces | where customDimensions.eventId == 'RT0000'";
    let texts = "traces | summarize count(), countif(isempty(tostring(customDimensions.eventId)))";
    let answers = || (count(&format!("{of_event} | count")), count(texts));
    let plan = || run(&["query", "--explain", &format!("{of_event} | summarize count() by tostring(customDimensions.eventId)")]);
    let scans = |plan: &str, month: &str| {
        let of_month = |line: &&str| line.contains("DataSourceExec") && line.contains(&format!("event_month={month}"));
        let found: Vec<String> = plan.lines().filter(of_month).map(str::to_owned).collect();
        assert_eq!(found.len(), 1, "{month}: {plan}");
        found.concat()
    };
    let column = "predicate=customDimensions_eventId";
    let expected = ("2".to_owned(), "5,0".to_owned());

    assert_eq!(answers(), expected);
    let mixed = plan();
    let (old, new) = (scans(&mixed, "2026-01-01"), scans(&mixed, "2026-02-01"));
    assert!(new.contains(column) && !new.contains("dynamic_"), "{new}");
    assert!(old.contains("dynamic_text") && !old.contains(column), "{old}");

    // One month alone needs no other way than its own.
    let of_new = format!("{of_event} and timestamp >= datetime(2026-02-01) | count");
    let alone = run(&["query", "--explain=analyze", &of_new]);
    assert!(alone.contains("customDimensions_eventId@1 = RT0000") && !alone.contains("event_month=2026-01-01"), "{alone}");

    // Compaction writes the column where it lacks.
    let report = lake.compact(def("traces"), &CompactOptions::default()).await.expect("compact");
    assert_eq!((report.merged, report.skipped), (1, 0));
    assert_eq!(answers(), expected);
    let whole = plan();
    assert!(!whole.contains("dynamic_text") && whole.contains(column), "{whole}");

    // A value that the column cannot say keeps the files of its month, and no others, on the bag.
    let other =
        "{\"timestamp\":\"2026-03-05T00:00:00Z\",\"itemType\":\"trace\",\"itemId\":\"f\",\"customDimensions\":{\"eventId\":5}}\n";
    std::fs::write(dir.path().join("other.ndjson"), other).expect("a file");
    run(&["import", "--from", "other.ndjson"]);
    run(&["compact"]);
    assert_eq!(count("traces | where tostring(customDimensions.eventId) == '5' | count"), "1");
    assert_eq!(count(&format!("{of_event} | count")), "2");
    let mixed = plan();
    for month in ["2026-01-01", "2026-02-01"] {
        assert!(mixed.lines().any(|line| line.contains(month) && line.contains(column)), "{mixed}");
    }
    assert!(scans(&mixed, "2026-03-01").contains("dynamic_text"), "{mixed}");
}
