//! How rows lie in files: a file a month and landing, sorted by what is asked for and then by time, merged in tiers; and what
//! scans make of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::physical_plan::metrics::MetricValue;
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use datafusion::prelude::SessionContext;
use kqlake_lake::fault::{Fault, Step};
use kqlake_lake::{CompactOptions, Lake, LakeError, RowBuilder};
use kqlake_value::clock::FixedClock;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use serde_json::Value;

use super::lake::{DAY, HOUR, call_records, def, land, live_files, number, plan, position, texts};
use super::support::{copy, csv_rows, project, run_in};

const A_DAY: i64 = 24 * HOUR;
const COUNT: &str = "select count(*) from traces";

/// A batch of traces: (item id, time, event).
fn events(rows: &[(String, i64, &str)]) -> RecordBatch {
    let def = def("traces");
    let at = |name: &str| def.index_of(name).expect("a column");
    let mut out = RowBuilder::new(def);
    for (id, us, event) in rows {
        out.set_datetime_us(at("timestamp"), *us);
        out.set_str(at("itemId"), id);
        out.set_str(at("message"), &format!("{event} of {id}"));
        out.set_dynamic_valid(at("customDimensions"), &format!(r#"{{"eventId":"{event}"}}"#));
        out.end_row();
    }
    out.finish().expect("a batch")
}

/// The actions of one kind in a commit of a table.
fn actions(table: &Path, version: i64, kind: &str) -> Vec<Value> {
    let text = fs::read_to_string(table.join(format!("_delta_log/{version:020}.json"))).expect("a commit");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter_map(|mut line| line.get_mut(kind).map(Value::take)).collect()
}

/// All files and folders below a folder.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().map(|e| e.expect("an entry").path()) {
        out.extend(if entry.is_dir() { entries(&entry) } else { Vec::new() });
        out.push(entry);
    }
    out
}

/// The rows that a plan's scans skipped by the bounds of pages.
fn skipped(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let of = |value: &MetricValue| match value {
        MetricValue::PruningMetrics { name, pruning_metrics } if name == "page_index_rows_pruned" => pruning_metrics.pruned(),
        _ => 0,
    };
    let own = plan.metrics().map_or(0, |metrics| metrics.iter().map(|metric| of(metric.value())).sum::<usize>());
    own + plan.children().into_iter().map(skipped).sum::<usize>()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_landing_writes_a_file_a_month_by_event_and_time() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    let rows: Vec<_> = (0..2_400_i64)
        .map(|n| (format!("i{n}"), DAY + (n * 7_919 % 90) * A_DAY + n, ["RT0003", "RT0005", "LC0023"][(n % 3) as usize]))
        .collect();
    let landed = land(&lake, def("traces"), events(&rows), 1).await.expect("land");
    assert_eq!(landed.new, 2_400);
    let added = actions(&dir.path().join("traces"), 1, "add");
    let months: BTreeSet<&str> = added.iter().filter_map(|add| add["partitionValues"]["event_month"].as_str()).collect();
    assert_eq!(months, BTreeSet::from(["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"]));
    assert_eq!(added.len(), months.len());
    let mut compressed = BTreeSet::new();
    for add in &added {
        assert_eq!(add["tags"]["kqlake.clusteredBy"], "customDimensions_eventId,timestamp");
        assert!(add["tags"].get("kqlake.sortedBy").is_none(), "a file that is not sorted by time must not say so");
        let path = dir.path().join("traces").join(add["path"].as_str().expect("a path"));
        let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).expect("a file")).expect("Parquet");
        let group = reader.metadata().row_group(0);
        // Columns of few bytes are not compressed: of the first column, which is the time, each row has eight.
        let is_compressed = matches!(group.column(0).compression(), Compression::ZSTD(_));
        assert_eq!(is_compressed, group.num_rows() * 8 >= 4 << 10, "{} rows", group.num_rows());
        compressed.insert(is_compressed);
        assert!(group.column(0).column_index_offset().is_some(), "a page index");
        let names = |at: i32| group.column(at as usize).column_path().string();
        let order = group.sorting_columns().expect("an order").iter().map(|c| names(c.column_idx)).collect::<Vec<_>>();
        assert_eq!(order, ["\"customDimensions_eventId\"", "\"timestamp\""].map(|name| name.trim_matches('"')));
        let mut last = (String::new(), i64::MIN);
        for batch in reader.build().expect("a reader") {
            let batch = batch.expect("rows");
            let column = |name: &str| batch.column_by_name(name).expect("a column").clone();
            let events = column("customDimensions_eventId");
            let times = column("timestamp");
            let events = events.as_any().downcast_ref::<arrow::array::StringArray>().expect("texts");
            let times = times.as_any().downcast_ref::<arrow::array::TimestampMicrosecondArray>().expect("times");
            for row in 0..batch.num_rows() {
                let next = (events.value(row).to_owned(), times.value(row));
                assert!(last <= next, "{last:?} {next:?}");
                last = next;
            }
        }
    }
    assert_eq!(compressed, BTreeSet::from([false, true]));
}

#[tokio::test(flavor = "multi_thread")]
async fn time_prunes_files_of_one_month_and_order_is_declared_only_where_it_holds() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    for day in 0..5_i64 {
        let rows: Vec<_> = (0..40_i64)
            .map(|n| (format!("{day}-{n}"), DAY + day * A_DAY + n * 1_000_003 % 977, ["RT0005", "RT0003"][(n % 2) as usize]))
            .collect();
        land(&lake, def("traces"), events(&rows), day).await.expect("land");
    }
    let one = plan(&lake, "traces", r#"select "itemId" from traces where timestamp >= timestamp '2026-01-07T00:00:00Z' and timestamp < timestamp '2026-01-08T00:00:00Z'"#).await;
    assert_eq!(one.matches(".parquet").count(), 1, "{one}");
    let none = plan(&lake, "traces", r#"select "itemId" from traces where timestamp >= timestamp '2026-01-20T00:00:00Z'"#).await;
    assert!(!none.contains(".parquet"), "{none}");
    // A file by event and time is not sorted by time, and nobody may think so.
    let by_time = r#"select "itemId" from traces order by timestamp, "itemId" limit 7"#;
    let first = texts(&lake, "traces", by_time).await;
    let newest = texts(&lake, "traces", r#"select "itemId" from traces order by timestamp desc limit 1"#).await;
    let least = number(&lake, "traces", "select cast(min(timestamp) as bigint) from traces").await;
    let greatest = number(&lake, "traces", "select cast(max(timestamp) as bigint) from traces").await;
    assert!(plan(&lake, "traces", r#"select "itemId" from traces order by timestamp"#).await.contains("SortExec"));
    let days = "select count(*) from traces where timestamp < timestamp '2026-01-06T00:00:00Z'";
    assert_eq!(number(&lake, "traces", days).await, 40);
    lake.compact(def("traces"), &CompactOptions::default()).await.expect("compact");
    assert_eq!(live_files(&lake, "traces").await.len(), 1);
    assert_eq!(texts(&lake, "traces", by_time).await, first);
    assert_eq!(texts(&lake, "traces", r#"select "itemId" from traces order by timestamp desc limit 1"#).await, newest);
    assert_eq!(number(&lake, "traces", "select cast(min(timestamp) as bigint) from traces").await, least);
    assert_eq!(number(&lake, "traces", "select cast(max(timestamp) as bigint) from traces").await, greatest);
    assert_eq!((least, greatest / A_DAY), (DAY, DAY / A_DAY + 4));
    assert_eq!(number(&lake, "traces", days).await, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_read_without_the_pages_of_others() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    let names = ["RT0001", "RT0003", "RT0005"];
    let rows: Vec<_> = (0..80_000_i64).map(|n| (format!("i{n}"), DAY + n * 20_000_000, names[(n % 3) as usize])).collect();
    land(&lake, def("traces"), events(&rows), 1).await.expect("land");
    let context = SessionContext::new();
    context.register_table("traces", lake.provider(def("traces")).await.expect("a table")).expect("registered");
    let read = async |sql: &str| {
        let plan = context.sql(sql).await.expect(sql).create_physical_plan().await.expect(sql);
        let rows = collect(plan.clone(), context.task_ctx()).await.expect(sql).iter().map(RecordBatch::num_rows).sum::<usize>();
        (rows, skipped(&plan), displayable(plan.as_ref()).indent(true).to_string())
    };
    let (rows, of_others, shown) = read(r#"select "itemId" from traces where "customDimensions_eventId" = 'RT0003'"#).await;
    assert_eq!(rows, 26_667);
    assert!(of_others >= 40_000, "{of_others} rows skipped: {shown}");
    // Within an event the rows lie by time.
    let (rows, skipped, shown) = read(
        r#"select "itemId" from traces where "customDimensions_eventId" = 'RT0003' and timestamp < timestamp '2026-01-06T00:00:00Z'"#,
    )
    .await;
    assert_eq!(rows, 1_440);
    assert!(skipped >= of_others + 10_000, "{skipped} rows skipped, {of_others} of other events: {shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_landing_larger_than_its_buffer_adds_a_file_a_month_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    let traces = def("traces");
    let at = |name: &str| traces.index_of(name).expect("a column");
    let filler = "x".repeat(150_000);
    let mut landing = lake.land(traces).await.expect("a landing");
    for part in 0..10_i64 {
        let mut rows = RowBuilder::new(traces);
        for n in 0..120_i64 {
            // The last row of a part comes again in the next one.
            let n = part * 119 + n;
            rows.set_datetime_us(at("timestamp"), DAY + (n * 7_919 % 365) * A_DAY + n);
            rows.set_str(at("itemId"), &format!("i{n}"));
            rows.set_str(at("message"), &filler);
            rows.set_dynamic_valid(at("customDimensions"), &format!(r#"{{"eventId":"RT{:04}"}}"#, n % 3));
            rows.end_row();
        }
        landing.write(rows.finish().expect("rows")).await.expect("written");
    }
    let visible = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "parquet");
    assert_eq!(entries(dir.path()).iter().filter(|path| visible(path)).count(), 0, "nothing is visible before the commit");
    let landed = landing.commit(position(1)).await.expect("landed");
    assert_eq!((landed.new, landed.duplicates), (1_191, 9));
    assert_eq!(number(&lake, "traces", COUNT).await, 1_191);
    assert_eq!(number(&lake, "traces", r#"select count(distinct "itemId") from traces"#).await, 1_191);
    let added = actions(&dir.path().join("traces"), landed.version.expect("a commit"), "add");
    assert!(added.len() <= 13, "{} files", added.len());
    assert!(added.iter().all(|add| add["tags"]["kqlake.clusteredBy"] == "customDimensions_eventId,timestamp"));
    let left: Vec<_> = entries(dir.path()).into_iter().filter(|path| path.to_string_lossy().contains("/.kqlake-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The lake that version 0.1.0 wrote.
fn by_day() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("dir");
    copy(&project().join("tests/data/lake-format-1"), &dir.path().join("lake"));
    dir
}

const TRACES: &str = "select id from MessageTrace order by id, \"recipientAddress\"";

#[tokio::test(flavor = "multi_thread")]
async fn a_table_divided_by_day_is_written_as_it_is_and_brought_to_months_in_one_commit() {
    let dir = by_day();
    let root = dir.path().join("lake");
    let lake = Lake::new(&root);
    let calls = def("CallRecords");
    let before = texts(&lake, "MessageTrace", TRACES).await;
    assert_eq!(
        number(&lake, "CallRecords", "select count(*) from \"CallRecords\" where event_month = date '2026-01-01'").await,
        1
    );
    // A landing goes on in the form of the table.
    let landed = land(&lake, calls, call_records(&[("new", DAY, Some(1), "x"), ("later", DAY + 40 * A_DAY, Some(1), "y")]), 1);
    let version = landed.await.expect("land").version.expect("a commit");
    let added = actions(&root.join("CallRecords"), version, "add");
    let days: BTreeSet<&str> = added.iter().filter_map(|add| add["partitionValues"]["event_date"].as_str()).collect();
    assert_eq!(days, BTreeSet::from(["2026-01-05", "2026-02-14"]));
    // Who reads the version before goes on.
    let snapshot = lake.snapshot(calls).await.expect("a snapshot").expect("a table");
    for (name, months) in [("CallRecords", 2), ("MessageTrace", 1)] {
        let before = lake.snapshot(def(name)).await.expect("a snapshot").expect("a table").stats();
        let report = lake.compact(def(name), &CompactOptions::default()).await.expect("compact");
        assert_eq!(report.version, Some(before.version + 1), "{name}: one commit");
        assert_eq!((report.merged, report.written), (before.files, months), "{name}");
        let table = root.join(name);
        let meta = actions(&table, before.version + 1, "metaData");
        assert_eq!(meta[0]["partitionColumns"], serde_json::json!(["event_month"]));
        for kind in ["add", "remove"] {
            assert!(actions(&table, before.version + 1, kind).iter().all(|action| action["dataChange"] == false), "{name}");
        }
        let after = Lake::new(&root).snapshot(def(name)).await.expect("a snapshot").expect("a table").stats();
        assert_eq!(
            (after.rows, after.files, after.first_time, after.last_time),
            (before.rows, months, before.first_time, before.last_time)
        );
        assert_eq!(lake.compact(def(name), &CompactOptions::default()).await.expect("again").written, 0, "{name}");
    }
    let context = SessionContext::new();
    let old = context.read_table(snapshot.provider()).expect("a frame").count().await.expect("the old version");
    assert_eq!(old, 3);
    assert_eq!(texts(&Lake::new(&root), "MessageTrace", TRACES).await, before);
    // Rows that are there are known, and others land in months.
    let landed =
        land(&lake, calls, call_records(&[("new", DAY, Some(1), "x"), ("newer", DAY, Some(1), "z")]), 2).await.expect("land");
    assert_eq!((landed.new, landed.duplicates), (1, 1));
    let added = actions(&root.join("CallRecords"), landed.version.expect("a commit"), "add");
    assert_eq!(added[0]["partitionValues"]["event_month"], "2026-01-01");
    // The same for the command line, and for a checkpoint of it.
    for n in 0..25 {
        land(&lake, calls, call_records(&[(&format!("c{n}"), DAY, Some(1), "x")]), 3 + n).await.expect("land");
    }
    let out = run_in(dir.path(), &["--lake", "lake", "query", "CallRecords | count"]).exits(0).out;
    assert_eq!(csv_rows(&out)[1], ["29"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_division_that_is_cut_off_changes_nothing_and_is_done_by_the_next() {
    let dir = by_day();
    let root = dir.path().join("lake");
    let before = texts(&Lake::new(&root), "MessageTrace", TRACES).await;
    let stopping = Lake::with_fault(&root, Fault::new(|step| step == Step::BeforeCompactCommit));
    let error = stopping.compact(def("MessageTrace"), &CompactOptions::default()).await.expect_err("stopped");
    assert!(matches!(error, LakeError::Stopped(_)), "{error}");
    let lake = Lake::new(&root);
    assert_eq!(lake.snapshot(def("MessageTrace")).await.expect("a snapshot").expect("a table").stats().files, 4);
    assert_eq!(texts(&lake, "MessageTrace", TRACES).await, before);
    assert_eq!(lake.compact(def("MessageTrace"), &CompactOptions::default()).await.expect("compact").written, 1);
    assert_eq!(texts(&lake, "MessageTrace", TRACES).await, before);
    // What lands between the look and the commit comes with it.
    let dir = by_day();
    let root = dir.path().join("lake");
    let (other, landed) = (Lake::new(&root), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let handle = tokio::runtime::Handle::current();
    let fault = Fault::new(move |step| {
        if step == Step::BeforeCompactCommit && !landed.swap(true, std::sync::atomic::Ordering::SeqCst) {
            let (other, handle) = (other.clone(), handle.clone());
            let rows = call_records(&[("meanwhile", DAY, Some(1), "x")]);
            std::thread::spawn(move || handle.block_on(land(&other, def("CallRecords"), rows, 1)).expect("land"))
                .join()
                .expect("landed");
        }
        false
    });
    let lake = Lake::with_fault(&root, fault);
    lake.compact(def("CallRecords"), &CompactOptions::default()).await.expect("compact");
    let count = number(&Lake::new(&root), "CallRecords", "select count(*) from \"CallRecords\"").await;
    assert_eq!(count, 2);
    assert!(live_files(&Lake::new(&root), "CallRecords").await.iter().all(|file| file.starts_with("event_month=")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_landing_that_began_before_its_table_was_brought_to_months_lands_in_months() {
    let dir = by_day();
    let root = dir.path().join("lake");
    let lake = Lake::new(&root);
    let calls = def("CallRecords");
    let mut landing = lake.land(calls).await.expect("a landing").with_buffer(1);
    let rows = call_records(&[("early", DAY, Some(1), "x"), ("late", DAY + 3 * A_DAY, Some(1), "y")]);
    landing.write(rows).await.expect("written");
    landing.settle().await.expect("written");
    Lake::new(&root).compact(calls, &CompactOptions::default()).await.expect("compacted");
    let landed = landing.commit(crate::lake::position(1)).await.expect("committed");
    assert_eq!(landed.new, 2);
    let added = actions(&root.join("CallRecords"), landed.version.expect("a commit"), "add");
    assert!(added.iter().all(|add| add["partitionValues"]["event_month"] == "2026-01-01"), "{added:?}");
    assert!(live_files(&lake, "CallRecords").await.iter().all(|file| file.starts_with("event_month=")));
    assert_eq!(number(&lake, "CallRecords", "select count(*) from \"CallRecords\"").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn drops_of_many_nights_stay_few_files_and_move_seldom() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    let options = CompactOptions { grace: Duration::ZERO, ..CompactOptions::default() };
    let mut most = 0;
    for night in 0..12_i64 {
        for drop in 0..6_i64 {
            let rows: Vec<_> =
                (0..3).map(|n| (format!("{night}-{drop}-{n}"), DAY + night * A_DAY + drop * HOUR + n, "RT0005")).collect();
            land(&lake, def("traces"), events(&rows), night * 10 + drop).await.expect("land");
        }
        lake.compact(def("traces"), &options).await.expect("compact");
        most = most.max(live_files(&lake, "traces").await.len());
    }
    assert!(most <= 3, "{most} files");
    assert_eq!(number(&lake, "traces", COUNT).await, 12 * 18);
}

#[tokio::test(flavor = "multi_thread")]
async fn days_whose_records_change_keep_files_of_their_own_for_a_while() {
    let dir = tempfile::tempdir().expect("dir");
    let at = |day: i64| Lake::new(dir.path()).with_clock(Arc::new(FixedClock::at_micros(DAY + day * A_DAY)));
    let calls = def("CallRecords");
    for day in 0..6_i64 {
        for drop in 0..3_i64 {
            let id = format!("{day}-{drop}");
            land(&at(day), calls, call_records(&[(&id, DAY + day * A_DAY + drop, Some(1), "x")]), day * 3 + drop)
                .await
                .expect("land");
        }
    }
    let days = async || {
        let snapshot = at(0).snapshot(calls).await.expect("a snapshot").expect("a table");
        let mut out: BTreeMap<i32, usize> = BTreeMap::new();
        for file in snapshot.files() {
            assert!(file.days.start() == file.days.end() || *file.days.end() < (DAY / A_DAY) as i32 + 2, "{:?}", file.days);
            *out.entry(*file.days.end() - (DAY / A_DAY) as i32).or_default() += 1;
        }
        out
    };
    at(5).compact(calls, &CompactOptions::default()).await.expect("compact");
    assert_eq!(days().await, BTreeMap::from([(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]));
    at(30).compact(calls, &CompactOptions::default()).await.expect("compact");
    assert_eq!(live_files(&at(30), "CallRecords").await.len(), 1);
}
