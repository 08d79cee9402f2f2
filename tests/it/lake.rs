//! The lake as a whole: rows go in exactly once whatever happens, and come out as they went in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use datafusion::common::TableReference;
use datafusion::physical_plan::displayable;
use datafusion::prelude::{SessionConfig, SessionContext};
use kqlake_lake::fault::{Fault, Step};
use kqlake_lake::tables::{self, TableDef};
use kqlake_lake::{CompactOptions, Lake, LakeError, Landed, Position, RowBuilder};
use serde_json::json;

/// 2026-01-05T00:00:00Z in microseconds.
pub const DAY: i64 = 1_767_571_200_000_000;
pub const HOUR: i64 = 3_600_000_000;

pub fn def(name: &str) -> &'static TableDef {
    tables::find(name).expect("table")
}

pub fn position(cursor: i64) -> Position {
    Position { stream: "test/stream".into(), cursor: json!({ "offset": cursor }), import_id: format!("run-{cursor}") }
}

/// A batch of traces: (item id, time).
pub fn traces(rows: &[(&str, i64)]) -> RecordBatch {
    traces_of(def("traces"), rows)
}

pub fn traces_of(def: &'static TableDef, rows: &[(&str, i64)]) -> RecordBatch {
    let mut out = RowBuilder::new(def);
    let at = |name: &str| def.index_of(name).unwrap_or(usize::MAX);
    for (n, (id, us)) in rows.iter().enumerate() {
        out.set_datetime_us(at("timestamp"), *us);
        out.set_str(at("itemId"), id);
        out.set_str(at("message"), &format!("message {n}"));
        out.set_dynamic_valid(
            at("customDimensions"),
            &format!(r#"{{"eventId":"RT{:04}","executionTime":"00:00:00.{:07}","unknown":{n}}}"#, n % 7, n % 9_999_999 + 1),
        );
        out.set_str(at("_importId"), "run");
        out.end_row();
    }
    out.finish().expect("batch")
}

pub async fn land(lake: &Lake, def: &'static TableDef, batch: RecordBatch, cursor: i64) -> Result<Landed, LakeError> {
    let mut landing = lake.land(def).await?;
    landing.write(batch).await?;
    landing.commit(position(cursor)).await
}

async fn context(lake: &Lake, names: &[&str], partitions: usize) -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(partitions);
    config.options_mut().sql_parser.enable_ident_normalization = false;
    let context = SessionContext::new_with_config(config);
    for name in names {
        let provider = lake.provider(def(name)).await.expect("provider");
        context.register_table(TableReference::bare(*name), provider).expect("register");
    }
    context
}

async fn query(lake: &Lake, table: &str, sql: &str) -> Vec<RecordBatch> {
    context(lake, &[table], 4).await.sql(sql).await.expect(sql).collect().await.expect(sql)
}

pub async fn number(lake: &Lake, table: &str, sql: &str) -> i64 {
    let batches = query(lake, table, sql).await;
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

pub async fn texts(lake: &Lake, table: &str, sql: &str) -> Vec<String> {
    let mut out = Vec::new();
    for batch in query(lake, table, sql).await {
        let column = batch.column(0).as_string::<i32>();
        out.extend((0..column.len()).map(|row| if column.is_null(row) { "(null)".into() } else { column.value(row).to_owned() }));
    }
    out
}

pub async fn plan(lake: &Lake, table: &str, sql: &str) -> String {
    let frame = context(lake, &[table], 2).await.sql(sql).await.expect(sql);
    displayable(frame.create_physical_plan().await.expect(sql).as_ref()).indent(false).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_back_as_they_went_in() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    assert!(lake.snapshot(def("traces")).await.expect("snapshot").is_none());
    assert_eq!(number(&lake, "traces", "select count(*) from traces").await, 0);

    let landed =
        land(&lake, def("traces"), traces(&[("b", DAY + 5), ("a", DAY + 1), ("c", DAY + 30 * HOUR)]), 1).await.expect("land");
    assert_eq!((landed.new, landed.duplicates, landed.replaced), (3, 0, 0));
    assert_eq!(texts(&lake, "traces", r#"select "itemId" from traces order by timestamp"#).await, ["a", "b", "c"]);
    assert_eq!(
        texts(&lake, "traces", r#"select "customDimensions" from traces where "itemId" = 'b'"#).await,
        [r#"{"eventId":"RT0000","executionTime":"00:00:00.0000001","unknown":0}"#]
    );
    let stats = lake.snapshot(def("traces")).await.expect("snapshot").expect("table").stats();
    assert_eq!((stats.rows, stats.files), (3, 1));
    assert_eq!(stats.first_date.map(|d| d.to_string()).as_deref(), Some("2026-01-05"));
    assert_eq!(stats.last_date.map(|d| d.to_string()).as_deref(), Some("2026-01-06"));
    assert_eq!((stats.first_time, stats.last_time), (Some(DAY + 1), Some(DAY + 30 * HOUR)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_rows_land_once() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    let rows = traces(&[("a", DAY), ("b", DAY + 1), ("a", DAY)]);
    let first = land(&lake, def("traces"), rows.clone(), 1).await.expect("first");
    assert_eq!((first.new, first.duplicates), (2, 1));
    let again = land(&lake, def("traces"), rows, 2).await.expect("again");
    assert_eq!(again, Landed { duplicates: 3, ..Landed::default() });
    // A lake that knows nothing yet reads the keys from the files.
    let other = Lake::new(dir.path());
    let part = land(&other, def("traces"), traces(&[("a", DAY), ("b", DAY + 1), ("c", DAY + 2)]), 3).await.expect("part");
    assert_eq!((part.new, part.duplicates), (1, 2));
    assert_eq!(number(&lake, "traces", "select count(*) from traces").await, 3);
    assert_eq!(lake.position(def("traces"), "test/stream").await.expect("position"), Some(position(3)));
    assert_eq!(lake.position(def("traces"), "other").await.expect("position"), None);

    // Within one landing, too, whose first rows are in a file already.
    let mut landing = lake.land(def("traces")).await.expect("a landing").with_buffer(1);
    for rows in [&[("x", DAY), ("y", DAY)][..], &[("x", DAY)]] {
        landing.write(traces(rows)).await.expect("written");
    }
    let landed = landing.commit(position(9)).await.expect("landed");
    assert_eq!((landed.new, landed.duplicates), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_step_leaves_all_or_nothing() {
    for step in [Step::FileWritten, Step::BeforeCommit, Step::AfterCommit, Step::PositionWritten] {
        let dir = tempfile::tempdir().expect("dir");
        land(&Lake::new(dir.path()), def("traces"), traces(&[("a", DAY)]), 1).await.expect("before");

        let crashing = Lake::with_fault(dir.path(), Fault::new(move |s| s == step));
        let rows = traces(&[("a", DAY), ("b", DAY + 1), ("c", DAY + 30 * HOUR)]);
        let error = land(&crashing, def("traces"), rows.clone(), 2).await.expect_err("stopped");
        assert!(matches!(error, LakeError::Stopped(s) if s == step), "{step:?}: {error}");

        let lake = Lake::new(dir.path());
        let committed = matches!(step, Step::AfterCommit | Step::PositionWritten);
        let seen = number(&lake, "traces", "select count(*) from traces").await;
        assert_eq!(seen, if committed { 3 } else { 1 }, "{step:?}");
        let cursor = if committed { 2 } else { 1 };
        assert_eq!(lake.position(def("traces"), "test/stream").await.expect("position"), Some(position(cursor)), "{step:?}");

        let replay = land(&lake, def("traces"), rows, 2).await.expect("replay");
        assert_eq!(replay.new, if committed { 0 } else { 2 }, "{step:?}");
        assert_eq!(number(&lake, "traces", "select count(*) from traces").await, 3, "{step:?}");

        // What the crash left behind goes away, and nothing else does.
        let options = CompactOptions { grace: Duration::ZERO, ..CompactOptions::default() };
        lake.compact(def("traces"), &options).await.expect("compact");
        assert_eq!(number(&lake, "traces", "select count(*) from traces").await, 3, "{step:?}");
        assert_eq!(files_on_disk(dir.path(), "traces").len(), live_files(&lake, "traces").await.len(), "{step:?}");
        assert_eq!(lake.position(def("traces"), "test/stream").await.expect("position"), Some(position(2)), "{step:?}");
    }
}

fn files_on_disk(root: &Path, table: &str) -> Vec<String> {
    let mut out = Vec::new();
    for day in std::fs::read_dir(root.join(table)).expect("table").flatten() {
        if day.file_name().to_string_lossy().starts_with("event_month=") {
            for file in std::fs::read_dir(day.path()).expect("day").flatten() {
                out.push(format!("{}/{}", day.file_name().to_string_lossy(), file.file_name().to_string_lossy()));
            }
        }
    }
    out.sort();
    out
}

pub async fn live_files(lake: &Lake, table: &str) -> Vec<String> {
    let snapshot = lake.snapshot(def(table)).await.expect("snapshot").expect("table");
    let mut out: Vec<String> = snapshot.files().iter().map(|f| f.path().to_owned()).collect();
    out.sort();
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn importers_at_once_do_not_double_rows() {
    let dir = tempfile::tempdir().expect("dir");
    let mut tasks = tokio::task::JoinSet::new();
    for importer in 0..4usize {
        let lake = Lake::new(dir.path());
        tasks.spawn(async move {
            let mut new = 0;
            for part in 0..5usize {
                // Neighbouring importers share half of their rows.
                let ids: Vec<String> = (0..20).map(|n| format!("{part}-{}", importer * 10 + n)).collect();
                let rows: Vec<(&str, i64)> = ids.iter().map(|id| (id.as_str(), DAY + part as i64)).collect();
                new += land(&lake, def("traces"), traces(&rows), part as i64).await.expect("land").new;
            }
            new
        });
    }
    let new: u64 = tasks.join_all().await.into_iter().sum();
    let lake = Lake::new(dir.path());
    assert_eq!(new, 5 * 50);
    assert_eq!(number(&lake, "traces", "select count(*) from traces").await, 250);
    assert_eq!(number(&lake, "traces", r#"select count(distinct "itemId") from traces"#).await, 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_loses_the_race_looks_again() {
    let dir = tempfile::tempdir().expect("dir");
    land(&Lake::new(dir.path()), def("traces"), traces(&[("z", DAY)]), 0).await.expect("first");
    // Another process lands right before the commit of this one: the same row, and one of its own.
    let root = dir.path().to_owned();
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let handle = tokio::runtime::Handle::current();
    let lake = Lake::with_fault(
        dir.path(),
        Fault::new(move |step| {
            if step == Step::BeforeCommit && seen.fetch_add(1, Ordering::SeqCst) == 0 {
                let other = Lake::new(&root);
                let work = async move { land(&other, def("traces"), traces(&[("a", DAY + 1), ("x", DAY + 2)]), 7).await };
                tokio::task::block_in_place(|| handle.block_on(work)).expect("the other one");
            }
            false
        }),
    );
    let landed = land(&lake, def("traces"), traces(&[("a", DAY + 1), ("b", DAY + 3)]), 1).await.expect("land");
    assert_eq!((landed.new, landed.duplicates), (1, 1));
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(texts(&lake, "traces", r#"select "itemId" from traces order by timestamp"#).await, ["z", "a", "x", "b"]);
}

pub fn call_records(rows: &[(&str, i64, Option<i64>, &str)]) -> RecordBatch {
    let def = def("CallRecords");
    let mut out = RowBuilder::new(def);
    let at = |name: &str| def.index_of(name).expect("column");
    for (id, us, version, kind) in rows {
        out.set_datetime_us(at("startDateTime"), *us);
        out.set_str(at("id"), id);
        if let Some(version) = version {
            out.set_i64(at("version"), *version);
        }
        out.set_str(at("type"), kind);
        out.end_row();
    }
    out.finish().expect("batch")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_version_wins() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    let calls = def("CallRecords");
    let kinds = || async { texts(&lake, "CallRecords", r#"select "type" from "CallRecords" order by id"#).await };
    let first =
        land(&lake, calls, call_records(&[("a", DAY, Some(1), "a1"), ("b", DAY, Some(1), "b1"), ("b", DAY, Some(2), "b2")]), 1)
            .await
            .expect("first");
    assert_eq!((first.new, first.duplicates, first.replaced), (2, 1, 0));
    assert_eq!(kinds().await, ["a1", "b2"]);
    // A newer version whose start moved over midnight, the same version again, and an older one.
    let rows = call_records(&[
        ("a", DAY - 1, Some(3), "a3"),
        ("b", DAY, Some(2), "b2"),
        ("b", DAY, None, "old"),
        ("c", DAY, None, "c0"),
    ]);
    let second = land(&lake, calls, rows.clone(), 2).await.expect("second");
    assert_eq!((second.new, second.duplicates, second.replaced), (1, 2, 1));
    assert_eq!(kinds().await, ["a3", "b2", "c0"]);
    let third = land(&lake, calls, rows, 3).await.expect("third");
    assert_eq!((third.version, third.new, third.replaced), (None, 0, 0));
    // Newer rows arrive after older ones of the same landing were written to a file already.
    let mut landing = lake.land(calls).await.expect("landing");
    landing.write(call_records(&[("d", DAY, Some(1), "d1")])).await.expect("write");
    landing.write(call_records(&[("d", DAY, Some(5), "d5"), ("a", DAY, Some(2), "a2")])).await.expect("write");
    let fourth = landing.commit(position(4)).await.expect("fourth");
    assert_eq!((fourth.new, fourth.replaced), (1, 0));
    assert_eq!(kinds().await, ["a3", "b2", "c0", "d5"]);
}

/// A small generator of pseudo-random numbers (Marsaglia's xorshift): every run does the same.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_and_any_cut_give_the_same_table() {
    let steps = [Step::FileWritten, Step::BeforeCommit, Step::AfterCommit, Step::PositionWritten];
    let sql = r#"select id || ' ' || version || ' ' || "type" from "CallRecords" order by id"#;
    for seed in 1..4u64 {
        let dir = tempfile::tempdir().expect("dir");
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (seed << 32));
        let mut model: BTreeMap<String, (i64, String)> = BTreeMap::new();
        for turn in 0..25i64 {
            let stop = (dice.throw(3) == 0).then(|| steps[dice.throw(steps.len() as u64) as usize]);
            let lake = Lake::with_fault(dir.path(), Fault::new(move |step| Some(step) == stop));
            if dice.throw(5) == 0 {
                let options = CompactOptions { grace: Duration::ZERO, ..CompactOptions::default() };
                lake.compact(def("CallRecords"), &options).await.expect("compact");
                continue;
            }
            let mut landing = lake.land(def("CallRecords")).await.expect("landing");
            let mut after = model.clone();
            let mut written = Ok(());
            for _ in 0..1 + dice.throw(3) {
                let rows: Vec<(String, i64, i64, String)> = (0..1 + dice.throw(6))
                    .map(|_| {
                        // Rows of one call and version are the same.
                        let (call, version) = (dice.throw(8) as i64, dice.throw(6) as i64);
                        let time = DAY + (call + 13 * version) % 30 * HOUR / 10;
                        (format!("call-{call}"), time, version, format!("{call}.{version}"))
                    })
                    .collect();
                let batch: Vec<(&str, i64, Option<i64>, &str)> =
                    rows.iter().map(|(id, us, version, kind)| (id.as_str(), *us, Some(*version), kind.as_str())).collect();
                for (id, _, version, kind) in &rows {
                    if after.get(id).is_none_or(|(landed, _)| landed < version) {
                        after.insert(id.clone(), (*version, kind.clone()));
                    }
                }
                written = landing.write(call_records(&batch)).await;
                if written.is_err() {
                    break;
                }
            }
            let done = match written {
                Ok(()) => landing.commit(position(turn)).await.map(|_| ()),
                Err(e) => Err(e),
            };
            let visible = match done {
                Ok(()) => true,
                Err(LakeError::Stopped(step)) => matches!(step, Step::AfterCommit | Step::PositionWritten),
                Err(other) => panic!("{other}"),
            };
            if visible {
                model = after;
            }
            let expected: Vec<String> = model.iter().map(|(id, (version, kind))| format!("{id} {version} {kind}")).collect();
            assert_eq!(texts(&Lake::new(dir.path()), "CallRecords", sql).await, expected, "seed {seed}, turn {turn}, {stop:?}");
        }
    }
}

/// A definition of traces as an earlier version of the program may have had it.
fn earlier_traces() -> &'static TableDef {
    let mut old = def("traces").clone();
    old.columns.retain(|c| c.name != "appName" && c.name != "customDimensions_eventId");
    Box::leak(Box::new(old))
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_may_be_added() {
    let dir = tempfile::tempdir().expect("dir");
    let old = earlier_traces();
    land(&Lake::new(dir.path()), old, traces_of(old, &[("a", DAY)]), 1).await.expect("old");
    let running = Lake::new(dir.path());
    let mut landing = running.land(old).await.expect("landing of the old version");
    landing.write(traces_of(old, &[("late", DAY + 2)])).await.expect("write");

    let lake = Lake::new(dir.path());
    land(&lake, def("traces"), traces(&[("b", DAY + 1)]), 2).await.expect("new");
    // The old version commits into the grown table: its rows have no value in the new columns.
    assert_eq!(landing.commit(position(3)).await.expect("late").new, 1);
    let sql = r#"select "customDimensions_eventId" from traces order by timestamp"#;
    assert_eq!(texts(&lake, "traces", sql).await, ["(null)", "RT0000", "(null)"]);
    // Compaction fills what the files lacked.
    let complete = |lake: &Lake| {
        let lake = lake.clone();
        async move {
            lake.snapshot(def("traces")).await.expect("snapshot").expect("table").promoted_complete("customDimensions_eventId")
        }
    };
    lake.compact(def("traces"), &CompactOptions::default()).await.expect("compact");
    assert_eq!(texts(&lake, "traces", sql).await, ["RT0000", "RT0000", "RT0000"]);
    assert!(complete(&lake).await);
    // The old version still reads, and keeps the columns that it does not know.
    let before = Lake::new(dir.path());
    land(&before, old, traces_of(old, &[("c", DAY + 3)]), 4).await.expect("old again");
    before.compact(old, &CompactOptions::default()).await.expect("compact by the old version");
    assert_eq!(texts(&lake, "traces", sql).await, ["RT0000", "RT0000", "RT0000", "(null)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_hold_to_the_microsecond() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    for (n, base) in [0i64, 1_500, 2_999].into_iter().enumerate() {
        let ids: Vec<String> = (0..3).map(|i| format!("{n}-{i}")).collect();
        let rows: Vec<(&str, i64)> = ids.iter().enumerate().map(|(i, id)| (id.as_str(), DAY + base + 333 * i as i64)).collect();
        land(&lake, def("traces"), traces(&rows), n as i64).await.expect("land");
    }
    let all: Vec<i64> = query(&lake, "traces", "select timestamp from traces order by timestamp")
        .await
        .iter()
        .flat_map(|b| b.column(0).as_primitive::<TimestampMicrosecondType>().values().to_vec())
        .collect();
    assert_eq!(all.len(), 9);
    for edge in &all {
        for (op, expected) in [
            (">=", all.iter().filter(|t| *t >= edge).count()),
            (">", all.iter().filter(|t| *t > edge).count()),
            ("<=", all.iter().filter(|t| *t <= edge).count()),
            ("=", all.iter().filter(|t| *t == edge).count()),
        ] {
            let sql = format!(
                "select count(*) from traces where timestamp {op} arrow_cast({edge}, 'Timestamp(Microsecond, Some(\"UTC\"))')"
            );
            assert_eq!(number(&lake, "traces", &sql).await, expected as i64, "{op} {edge}");
        }
    }
    // Without the rows of the scan: the log knows least and greatest.
    let text = plan(&lake, "traces", "select max(timestamp), count(*) from traces").await;
    assert!(!text.contains("DataSourceExec"), "{text}");
    assert_eq!(
        query(&lake, "traces", "select max(timestamp) from traces").await[0]
            .column(0)
            .as_primitive::<TimestampMicrosecondType>()
            .value(0),
        all[8]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn scans_leave_out_files_and_keep_order() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    for month in 0..6i64 {
        let ids: Vec<String> = (0..50).map(|n| format!("{month}-{n}")).collect();
        let rows: Vec<(&str, i64)> =
            ids.iter().enumerate().map(|(n, id)| (id.as_str(), DAY + month * 31 * 24 * HOUR + (50 - n as i64))).collect();
        land(&lake, def("traces"), traces(&rows), month).await.expect("land");
    }
    // Calls are sorted by time alone, traces by event before it.
    let calls = [("c2", DAY + 2, Some(1), "x"), ("c1", DAY + 1, Some(1), "x"), ("c3", DAY + 40 * 24 * HOUR, Some(1), "x")];
    land(&lake, def("CallRecords"), call_records(&calls), 9).await.expect("land");
    let by_time = r#"select id from "CallRecords" order by "startDateTime" limit 10"#;
    let sorted = plan(&lake, "CallRecords", by_time).await;
    assert!(!sorted.contains("SortExec: "), "{sorted}");
    assert_eq!(texts(&lake, "CallRecords", by_time).await, ["c1", "c2", "c3"]);
    let sorted = plan(&lake, "traces", r#"select "itemId" from traces order by timestamp limit 10"#).await;
    assert!(sorted.contains("SortExec: "), "{sorted}");
    let one_month = plan(&lake, "traces", r#"select "itemId" from traces where event_month = date '2026-02-01'"#).await;
    assert_eq!(one_month.matches(".parquet").count(), 1, "{one_month}");
    assert!(!one_month.contains("FilterExec"), "{one_month}");
    let by_time =
        plan(&lake, "traces", r#"select "itemId" from traces where timestamp < timestamp '2026-01-06T00:00:00Z'"#).await;
    assert_eq!(by_time.matches(".parquet").count(), 1, "{by_time}");
    let limited = plan(&lake, "traces", r#"select "itemId" from traces limit 10"#).await;
    assert_eq!(limited.matches(".parquet").count(), 1, "{limited}");
    // No column at all.
    let ones = query(&lake, "traces", r#"select 1 from traces where "itemId" <> '0-0'"#).await;
    assert_eq!(ones.iter().map(RecordBatch::num_rows).sum::<usize>(), 299);
    let crossed = number(&lake, "traces", "select count(*) from traces a, (select 1 from traces limit 2) b").await;
    assert_eq!(crossed, 600);
    let none = number(&lake, "traces", "select count(*) from traces where event_month = date '2020-01-01'").await;
    assert_eq!(none, 0);
    let by_event = plan(&lake, "traces", r#"select count(*) from traces where "customDimensions_eventId" = 'RT9999'"#).await;
    assert!(!by_event.contains(".parquet"), "{by_event}");
    // The same answer whatever the parallelism.
    let sql = r#"select "itemId" from traces where "customDimensions_eventId" = 'RT0003' order by "itemId""#;
    let mut answers = BTreeSet::new();
    for partitions in [1, 3, 16] {
        let batches = context(&lake, &["traces"], partitions).await.sql(sql).await.expect(sql).collect().await.expect(sql);
        answers.insert(
            batches
                .iter()
                .flat_map(|b| b.column(0).as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect::<Vec<_>>())
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(answers.len(), 1);
    assert_eq!(answers.first().map(Vec::len), Some(42));
    // Long columns are read late, and right.
    let late = texts(&lake, "traces", r#"select "customDimensions" from traces where "itemId" = '3-7'"#).await;
    assert_eq!(late, [r#"{"eventId":"RT0000","executionTime":"00:00:00.0000008","unknown":7}"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_column_answers_only_when_it_can() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    let complete = |column: &'static str| {
        let lake = lake.clone();
        async move { lake.snapshot(def("traces")).await.expect("snapshot").expect("table").promoted_complete(column) }
    };
    land(&lake, def("traces"), traces(&[("a", DAY)]), 1).await.expect("land");
    assert!(complete("customDimensions_eventId").await);
    assert!(complete("customDimensions_executionTime").await);
    assert!(complete("customDimensions_clientType").await);
    assert!(!complete("customDimensions").await);
    assert!(!complete("nonsense").await);
    let def_ = def("traces");
    let mut rows = RowBuilder::new(def_);
    rows.set_datetime_us(0, DAY + 1);
    rows.set_str(def_.index_of("itemId").expect("itemId"), "b");
    rows.set_dynamic_valid(def_.index_of("customDimensions").expect("bag"), r#"{"eventId":5,"executionTime":"1 s"}"#);
    rows.end_row();
    land(&lake, def_, rows.finish().expect("batch"), 2).await.expect("land");
    assert!(!complete("customDimensions_eventId").await);
    assert!(!complete("customDimensions_executionTime").await);
    assert!(complete("customDimensions_clientType").await);
    lake.compact(def_, &CompactOptions::default()).await.expect("compact");
    assert!(!complete("customDimensions_eventId").await);
    assert!(complete("customDimensions_clientType").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_keeps_rows_and_order() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    let mut expected = BTreeMap::new();
    // Overlapping files, more than are merged at a time.
    for n in 0..40i64 {
        let ids: Vec<String> = (0..25).map(|i| format!("{n:02}-{i:02}")).collect();
        let rows: Vec<(&str, i64)> = ids.iter().enumerate().map(|(i, id)| (id.as_str(), DAY + 1000 * i as i64 + n)).collect();
        for (id, us) in &rows {
            expected.insert(*us, (*id).to_owned());
        }
        land(&lake, def("traces"), traces(&rows), n).await.expect("land");
    }
    let expected: Vec<String> = expected.into_values().collect();
    let sql = r#"select "itemId" from traces order by timestamp"#;
    assert_eq!(texts(&lake, "traces", sql).await, expected);
    let options = CompactOptions::default();
    let report = lake.compact(def("traces"), &options).await.expect("compact");
    assert!(report.merged >= 40 && report.skipped == 0, "{report:?}");
    assert_eq!(live_files(&lake, "traces").await.len(), 1);
    assert_eq!(texts(&lake, "traces", sql).await, expected);
    // In the file itself by event, and by time within an event.
    let by_event = r#"select "itemId" from traces order by "customDimensions_eventId" nulls first, timestamp"#;
    assert_eq!(texts(&lake, "traces", r#"select "itemId" from traces"#).await, texts(&lake, "traces", by_event).await);
    let again = lake.compact(def("traces"), &options).await.expect("again");
    assert_eq!((again.merged, again.written, again.deleted, again.version), (0, 0, 0, report.version));
    // Files that are no longer live stay for a while, then they go; a small target makes several files in order.
    assert_eq!(files_on_disk(dir.path(), "traces").len(), 40 + report.written);
    let now = CompactOptions { grace: Duration::ZERO, ..CompactOptions::default() };
    assert!(lake.compact(def("traces"), &now).await.expect("clean").deleted >= 40);
    assert_eq!(files_on_disk(dir.path(), "traces"), live_files(&lake, "traces").await);
    assert_eq!(texts(&lake, "traces", sql).await, expected);
    // Rows that land afterwards are still told from those that were merged.
    let late = land(&Lake::new(dir.path()), def("traces"), traces(&[("00-00", DAY), ("new", DAY)]), 50).await.expect("late");
    assert_eq!((late.new, late.duplicates), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_and_landing_at_once_lose_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    for n in 0..4i64 {
        land(&Lake::new(dir.path()), def("CallRecords"), call_records(&[(&format!("c{n}"), DAY + n, Some(1), "v1")]), n)
            .await
            .expect("land");
    }
    // While a compaction has its files ready, a newer version takes a row out of one of its inputs.
    let root = dir.path().to_owned();
    let handle = tokio::runtime::Handle::current();
    let lake = Lake::with_fault(
        dir.path(),
        Fault::new(move |step| {
            if step == Step::BeforeCompactCommit {
                let other = Lake::new(&root);
                let work =
                    async move { land(&other, def("CallRecords"), call_records(&[("c2", DAY + 2, Some(2), "v2")]), 9).await };
                tokio::task::block_in_place(|| handle.block_on(work)).expect("the other one");
            }
            false
        }),
    );
    let report = lake.compact(def("CallRecords"), &CompactOptions::default()).await.expect("compact");
    assert_eq!((report.merged, report.skipped), (0, 1));
    let sql = r#"select id || ' ' || "type" from "CallRecords" order by id"#;
    assert_eq!(texts(&lake, "CallRecords", sql).await, ["c0 v1", "c1 v1", "c2 v2", "c3 v1"]);
    let calm = Lake::new(dir.path());
    assert!(calm.compact(def("CallRecords"), &CompactOptions::default()).await.expect("compact").merged >= 4);
    assert_eq!(texts(&calm, "CallRecords", sql).await, ["c0 v1", "c1 v1", "c2 v2", "c3 v1"]);
}
