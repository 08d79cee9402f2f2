//! What the log says of a file's values, and what is made of it: bounds may be wider than the values, counts may be missing,
//! and no answer shows it.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::prelude::{SessionContext, col, lit};
use kqlake_lake::{Lake, RowBuilder};
use kqlake_syntax::literals::write_ticks;
use kqlake_value::datetime_of_us;
use serde_json::{Value, json};

use super::foreign_columns::{commit, write};
use super::lake::{DAY, HOUR, def, land, plan, texts};
use super::support::{csv_rows, run_in};

/// A row of traces: item id, time, severity, operation.
type Trace<'t> = (&'t str, i64, Option<i32>, &'t str);

/// A text that is longer than what a file's statistics keep of it.
const LONG: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
/// A day of the month before that of [`DAY`].
const EARLIER: i64 = DAY - 5 * 24 * HOUR;

fn own(rows: &[Trace<'_>]) -> RecordBatch {
    let def = def("traces");
    let mut out = RowBuilder::new(def);
    let at = |name: &str| def.index_of(name).expect("column");
    for (id, us, severity, operation) in rows {
        out.set_datetime_us(at("timestamp"), *us);
        out.set_str(at("itemId"), id);
        if let Some(severity) = severity {
            out.set_i64(at("severityLevel"), i64::from(*severity));
        }
        out.set_str(at("operation_Name"), operation);
        out.end_row();
    }
    out.finish().expect("batch")
}

/// Adds a file as another writer would, with what that writer says of its values.
fn add(lake: &Path, month: &str, name: &str, rows: &[Trace<'_>], more: Vec<(&str, ArrayRef)>, says: Value) {
    let table = lake.join("traces");
    let path = format!("event_month={month}/{name}.parquet");
    std::fs::create_dir_all(table.join(&path).parent().expect("a folder")).expect("a folder");
    let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|r| r.1)).with_timezone("UTC");
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("timestamp", Arc::new(times)),
        ("itemId", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.0)))),
        ("severityLevel", Arc::new(rows.iter().map(|r| r.2).collect::<Int32Array>())),
        ("operation_Name", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.3)))),
    ];
    columns.extend(more);
    let size = write(&table.join(&path), columns);
    let mut add = json!({
        "path": path, "partitionValues": { "event_month": month }, "size": size,
        "modificationTime": 1_767_700_000_000_i64, "dataChange": true,
    });
    add.as_object_mut().expect("an object").extend(says.as_object().expect("an object").clone());
    commit(&table, |_| (), &[json!({ "add": add })]);
}

/// An instant as other writers state bounds: to the millisecond.
fn milliseconds(us: i64) -> String {
    format!("{}Z", &datetime_text(us)[..23])
}

fn datetime_text(us: i64) -> String {
    write_ticks(datetime_of_us(us))
}

/// Two rows, of which their writer says wider bounds, times to the millisecond, and no counts of nulls.
const WIDE: [Trace<'static>; 2] = [("w1", EARLIER + 1_234_567, Some(2), "kk"), ("w2", EARLIER + 2_000_500, None, "ll")];

fn add_wide(lake: &Path) {
    let stats = json!({
        "numRecords": 2,
        "minValues": { "timestamp": milliseconds(WIDE[0].1), "severityLevel": 0, "operation_Name": "a" },
        "maxValues": { "timestamp": milliseconds(WIDE[1].1), "severityLevel": 9, "operation_Name": "z" },
    });
    add(lake, "2025-12-01", "wide", &WIDE, Vec::new(), json!({ "stats": stats.to_string() }));
}

/// What the provider tells the optimizer of the rows of a month, given by a day of it.
async fn declared(lake: &Lake, day: i64, columns: &[&str]) -> (Statistics, Vec<ColumnStatistics>) {
    let provider = lake.provider(def("traces")).await.expect("a provider");
    let month = &datetime_text(day)[..7];
    let month = format!("{month}-01").parse::<chrono::NaiveDate>().expect("a month").to_epoch_days();
    let filter = col("event_month").eq(lit(ScalarValue::Date32(Some(month))));
    let scan = provider.scan(&SessionContext::new().state(), None, &[filter], None).await.expect("a scan");
    let all = StatisticsContext::new().compute(scan.as_ref(), &StatisticsArgs::new()).expect("statistics");
    let of = |name: &&str| all.column_statistics[provider.schema().index_of(name).expect("a column")].clone();
    (all.as_ref().clone(), columns.iter().map(of).collect())
}

fn instant(us: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into()))
}

fn text(text: impl Into<String>) -> ScalarValue {
    ScalarValue::Utf8(Some(text.into()))
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_are_declared_exact_only_where_they_are_values() {
    use Precision::{Absent, Exact, Inexact};
    let dir = tempfile::tempdir().expect("dir");
    let root = dir.path().join("lake");
    let lake = Lake::new(&root);
    let rows = [("o1", DAY + 1_500, Some(3), LONG), ("o2", DAY + 2_999, None, LONG)];
    land(&lake, def("traces"), own(&rows), 1).await.expect("land");
    add_wide(&root);
    let columns = ["timestamp", "severityLevel", "operation_Name"];
    // Of a file that was written here times and whole numbers are what the rows hold; long texts were cut.
    let (all, [time, severity, operation]) = taken(declared(&lake, DAY, &columns).await);
    assert_eq!(all.num_rows, Exact(2));
    assert_eq!((time.min_value, time.max_value), (Exact(instant(DAY + 1_500)), Exact(instant(DAY + 2_999))));
    let three = ScalarValue::Int32(Some(3));
    assert_eq!((severity.min_value, severity.max_value, severity.null_count), (Exact(three.clone()), Exact(three), Exact(1)));
    let (low, high) = ("b".repeat(64), "b".repeat(63) + "c");
    assert_eq!((operation.min_value, operation.max_value), (Inexact(text(low)), Inexact(text(high))));
    // Of another writer's file nothing but the number of rows is certain.
    let (all, [time, severity, operation]) = taken(declared(&Lake::new(&root), EARLIER, &columns).await);
    assert_eq!(all.num_rows, Exact(2));
    let (first, last) = (EARLIER + 1_234_000, EARLIER + 2_000_999);
    assert_eq!((time.min_value, time.max_value), (Inexact(instant(first)), Inexact(instant(last))));
    let whole = |n| Inexact(ScalarValue::Int32(Some(n)));
    assert_eq!((severity.min_value, severity.max_value, severity.null_count), (whole(0), whole(9), Absent));
    assert_eq!((operation.min_value, operation.max_value), (Inexact(text("a")), Inexact(text("z"))));
}

fn taken(of: (Statistics, Vec<ColumnStatistics>)) -> (Statistics, [ColumnStatistics; 3]) {
    (of.0, of.1.try_into().expect("three columns"))
}

/// Answers of a command: the first value of the first row.
fn answer(dir: &Path, command: &str, query: &str) -> String {
    let out = run_in(dir, &["--lake", "lake", command, query, "-f", "csv"]).exits(0).out;
    csv_rows(&out).get(1).and_then(|row| row.first()).cloned().unwrap_or_else(|| panic!("no answer to {query}: {out}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_that_are_no_values_answer_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let root = dir.path().join("lake");
    let rows = [("o1", DAY + 1_500, Some(3), LONG), ("o2", DAY + 2_999, None, LONG)];
    land(&Lake::new(&root), def("traces"), own(&rows), 1).await.expect("land");
    add_wide(&root);
    let at = |us| write_ticks(datetime_of_us(us));
    let (first, last) = (WIDE[0].1, WIDE[1].1);
    let cases = [
        ("min(timestamp)", at(first)),
        ("max(timestamp)", at(DAY + 2_999)),
        ("min(severityLevel)", "2".to_owned()),
        ("max(severityLevel)", "3".to_owned()),
        ("min(operation_Name)", LONG.to_owned()),
        ("max(operation_Name)", "ll".to_owned()),
    ];
    let whole = || {
        for (aggregate, expected) in &cases {
            assert_eq!(&answer(dir.path(), "query", &format!("traces | summarize {aggregate}")), expected, "{aggregate}");
            let sql = aggregate.replace('(', "(\"").replace(')', "\")");
            assert_eq!(&answer(dir.path(), "sql", &format!("select {sql} from traces")), expected, "{sql}");
        }
        for (query, expected) in [
            ("traces | count".to_owned(), "4"),
            ("traces | summarize countif(isnotnull(severityLevel))".into(), "2"),
            ("traces | where isnull(severityLevel) | count".into(), "2"),
            ("traces | where severityLevel == 2 | count".into(), "1"),
            (format!("traces | where operation_Name == '{LONG}' | count"), "2"),
            (format!("traces | where timestamp > datetime({}) and timestamp < datetime(2026-01-05) | count", at(last - 1)), "1"),
            (format!("traces | where timestamp <= datetime({}) | count", at(first)), "1"),
            (format!("traces | where timestamp == datetime({}) | count", at(last)), "1"),
        ] {
            assert_eq!(answer(dir.path(), "query", &query), expected, "{query}");
        }
        for (sql, expected) in [
            ("select max(timestamp) from traces where event_month = date '2025-12-01'", at(last)),
            ("select max(\"severityLevel\") from traces where event_month = date '2025-12-01'", "2".into()),
            ("select min(\"operation_Name\") from traces where event_month = date '2025-12-01'", "kk".into()),
            ("select max(\"operation_Name\") from traces where event_month = date '2026-01-01'", LONG.into()),
            (&format!("select count(*) from traces where \"operation_Name\" > '{}'", &LONG[..99]), "4".into()),
            ("select count(\"severityLevel\") from traces", "2".into()),
            ("select count(\"severityLevel\") from traces where event_month = date '2025-12-01'", "1".into()),
        ] {
            assert_eq!(answer(dir.path(), "sql", sql), expected, "{sql}");
        }
    };
    whole();
    run_in(dir.path(), &["--lake", "lake", "compact"]).exits(0);
    whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_of_reals_are_not_taken() {
    let dir = tempfile::tempdir().expect("dir");
    let root = dir.path().join("lake");
    land(&Lake::new(&root), def("traces"), own(&[("o1", DAY, Some(3), "x")]), 1).await.expect("land");
    let ratio = json!({ "name": "ratio", "type": "double", "nullable": true, "metadata": {} });
    commit(&root.join("traces"), |fields| fields.push(ratio), &[]);
    let rows = [("r1", EARLIER, None, "x"), ("r2", EARLIER + 1, None, "x"), ("r3", EARLIER + 2, None, "x")];
    let ratios: ArrayRef = Arc::new(Float64Array::from(vec![1.0, f64::NAN, 3.0]));
    let bounds = |n: f64| json!({ "ratio": n });
    let stats = json!({ "numRecords": 3, "minValues": bounds(1.0), "maxValues": bounds(3.0), "nullCount": { "ratio": 0 } });
    add(&root, "2025-12-01", "ratios", &rows, vec![("ratio", ratios)], json!({ "stats": stats.to_string() }));
    let (_, columns) = declared(&Lake::new(&root), EARLIER, &["ratio"]).await;
    // A bound that leaves NaN aside is no bound.
    assert_eq!((&columns[0].min_value, &columns[0].max_value), (&Precision::Absent, &Precision::Absent));
    assert_eq!(answer(dir.path(), "query", "traces | where isnan(ratio) | count"), "1");
    assert_eq!(answer(dir.path(), "query", "traces | where ratio == 3 | count"), "1");
    assert_eq!(answer(dir.path(), "query", "traces | where isnull(ratio) | count"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_statistics_counts_as_what_it_holds() {
    let dir = tempfile::tempdir().expect("dir");
    let root = dir.path().join("lake");
    land(&Lake::new(&root), def("traces"), own(&[("o1", DAY, Some(3), "x"), ("o2", DAY, Some(3), "x")]), 1).await.expect("land");
    let rows = [("n1", EARLIER, None, "n"), ("n2", EARLIER + 1, Some(7), "n"), ("n3", EARLIER + 2, None, "n")];
    add(&root, "2025-12-01", "none", &rows, Vec::new(), json!({}));
    add_wide(&root);
    let (all, columns) = declared(&Lake::new(&root), EARLIER, &["severityLevel"]).await;
    assert_eq!((all.num_rows, &columns[0].null_count), (Precision::Absent, &Precision::Absent));
    let counts = || {
        for (query, expected) in [
            ("traces | count", "7"),
            ("traces | summarize count()", "7"),
            ("traces | where isnull(severityLevel) | count", "3"),
            ("traces | where isnotnull(severityLevel) | count", "4"),
            ("traces | where severityLevel == 7 | count", "1"),
            ("traces | where operation_Name == 'n' | count", "3"),
            // Enough files for so many rows: one does not say how many it has.
            ("traces | take 6 | count", "6"),
            ("traces | take 7 | count", "7"),
            ("traces | take 8 | count", "7"),
        ] {
            assert_eq!(answer(dir.path(), "query", query), expected, "{query}");
        }
        assert_eq!(answer(dir.path(), "sql", "select count(*) from (select 1 from traces limit 6)"), "6");
        assert_eq!(answer(dir.path(), "sql", "select count(\"severityLevel\") from traces"), "4");
    };
    counts();
    run_in(dir.path(), &["--lake", "lake", "compact"]).exits(0);
    counts();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_files_that_are_sorted_by_their_time_declare_an_order() {
    let time = |first: i64, last: i64| format!("{}/{}", DAY + first, DAY + last);
    for tags in [
        json!({}),
        json!({ "kqlake.sortedBy": "itemId", "kqlake.time": time(100, 5_000) }),
        json!({ "kqlake.time": time(100, 5_000) }),
    ] {
        let dir = tempfile::tempdir().expect("dir");
        let root = dir.path().join("lake");
        let rows = [("o1", DAY + 50, Some(1), "x"), ("o2", DAY + 4_000, Some(1), "x")];
        land(&Lake::new(&root), def("traces"), own(&rows), 1).await.expect("land");
        let unsorted = [("u1", DAY + 5_000, None, "x"), ("u2", DAY + 100, None, "x"), ("u3", DAY + 3_000, None, "x")];
        let says = json!({ "stats": r#"{"numRecords":3}"#, "tags": tags });
        add(&root, "2026-01-01", "unsorted", &unsorted, Vec::new(), says);
        let ordered = ["o1", "u2", "u3", "o2", "u1"];
        let by_time = r#"select "itemId" from traces order by timestamp"#;
        let lake = Lake::new(&root);
        assert_eq!(texts(&lake, "traces", by_time).await, ordered, "{tags}");
        assert!(plan(&lake, "traces", by_time).await.contains("SortExec: "), "{tags}");
        let kql = |query: &str| {
            let out = run_in(dir.path(), &["--lake", "lake", "query", query, "-f", "csv"]).exits(0).out;
            csv_rows(&out)[1..].iter().map(|row| row.concat()).collect::<Vec<_>>()
        };
        assert_eq!(kql("traces | sort by timestamp asc | project itemId"), ordered, "{tags}");
        assert_eq!(kql("traces | top 3 by timestamp asc | project itemId"), ordered[..3], "{tags}");
        // A compaction sorts what was not.
        run_in(dir.path(), &["--lake", "lake", "compact"]).exits(0);
        let lake = Lake::new(&root);
        assert_eq!(texts(&lake, "traces", by_time).await, ordered, "{tags}");
        assert_eq!(texts(&lake, "traces", r#"select "itemId" from traces"#).await, ordered, "{tags}");
        assert!(!plan(&lake, "traces", by_time).await.contains("SortExec: "), "{tags}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instants_before_1970_are_of_the_day_and_the_bin_that_they_lie_in() {
    let dir = tempfile::tempdir().expect("dir");
    let root = dir.path().join("lake");
    let rows = [("before", -1, None, "x"), ("epoch", 0, None, "x"), ("long before", -24 * HOUR - 1, None, "x")];
    land(&Lake::new(&root), def("traces"), own(&rows), 1).await.expect("land");
    let out = run_in(
        dir.path(),
        &["--lake", "lake", "query", "traces | sort by timestamp asc | project itemId, h = bin(timestamp, 1h)", "-f", "csv"],
    );
    let rows = csv_rows(&out.exits(0).out);
    let hours: Vec<&str> = rows[1..].iter().map(|row| row[1].as_str()).collect();
    assert_eq!(hours, ["1969-12-30T23:00:00.0000000Z", "1969-12-31T23:00:00.0000000Z", "1970-01-01T00:00:00.0000000Z"]);
    for (query, expected) in [
        ("traces | where timestamp < datetime(1970-01-01) | count", "2"),
        ("traces | where timestamp between (datetime(1969-12-31) .. datetime(1969-12-31 23:59:59.999999)) | count", "1"),
        ("traces | where bin(timestamp, 1d) == datetime(1969-12-31) | count", "1"),
    ] {
        assert_eq!(answer(dir.path(), "query", query), expected, "{query}");
    }
    let sql = "select count(*) from traces where event_month = date '1969-12-01'";
    assert_eq!(answer(dir.path(), "sql", sql), "2");
}
