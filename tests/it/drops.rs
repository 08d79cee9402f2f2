//! Drops every few minutes: tables that nobody compacts stay a few files, and what lands, changes or breaks off meanwhile is as
//! it would be without.

use std::collections::BTreeSet;
use std::sync::Arc;

use kqlake_lake::fault::{Fault, Step};
use kqlake_lake::{CompactOptions, Lake, LakeError, Landed, RowBuilder, Upkeep, UpkeepReport};
use kqlake_value::clock::FixedClock;
use serde_json::{Value, json};

use super::lake::{DAY, HOUR, call_records, def, land, live_files, number, texts, traces};
use super::support::run_in;

/// Merges small files, where that is due.
async fn merge(lake: &Lake, table: &str, landed: u64) -> Result<UpkeepReport, LakeError> {
    lake.keep_up(def(table), landed, Upkeep::Merge, &CompactOptions::default()).await
}

/// What an import does behind a landing: the step that is most overdue.
async fn keep_up(lake: &Lake, table: &str, landed: u64) -> Option<(Upkeep, UpkeepReport)> {
    let (_, step) = lake.overdue(def(table), landed).await.expect("looked").into_iter().max()?;
    Some((step, lake.keep_up(def(table), landed, step, &CompactOptions::default()).await.expect("done")))
}

async fn drop_traces(lake: &Lake, drop: i64) -> Landed {
    let rows: Vec<(String, i64)> = (0..3).map(|n| (format!("{drop}-{n}"), DAY + drop * HOUR / 12 + n)).collect();
    let rows: Vec<(&str, i64)> = rows.iter().map(|(id, us)| (id.as_str(), *us)).collect();
    land(lake, def("traces"), traces(&rows), drop).await.expect("land")
}

#[tokio::test(flavor = "multi_thread")]
async fn drops_stay_few_files_without_compaction_and_each_row_moves_a_few_times() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    let (mut most, mut merged) = (0, 0);
    for drop in 0..120 {
        assert_eq!(drop_traces(&lake, drop).await.new, 3);
        merged += merge(&lake, "traces", 3).await.expect("merged").merged;
        most = most.max(live_files(&lake, "traces").await.len());
    }
    assert!(most <= 22, "{most} files");
    // Each drop moves once alone, and then in files of several.
    assert!((112..=160).contains(&merged), "{merged} files were merged");
    assert_eq!(number(&lake, "traces", r#"select count(distinct "itemId") from traces"#).await, 360);
    assert_eq!(number(&lake, "traces", "select count(*) from traces").await, 360);
    // What comes again is there already, wherever its row lies now.
    for drop in [0, 60, 119] {
        let landed = drop_traces(&lake, drop).await;
        assert_eq!((landed.new, landed.duplicates, landed.version), (0, 3, None));
    }
    lake.compact(def("traces"), &CompactOptions::default()).await.expect("compact");
    assert_eq!(live_files(&lake, "traces").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_landing_is_no_drop_and_its_rows_are_not_written_again() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    for drop in 0..8 {
        drop_traces(&lake, drop).await;
    }
    assert_eq!(merge(&lake, "traces", 100_000).await.expect("merged").merged, 0);
    assert_eq!(merge(&lake, "traces", 3).await.expect("merged").merged, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_breaks_off_changes_nothing_and_the_next_one_does_it() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    for drop in 0..8 {
        drop_traces(&lake, drop).await;
    }
    let before = live_files(&lake, "traces").await;
    let broken = Lake::with_fault(dir.path(), Fault::new(|step| step == Step::BeforeCompactCommit));
    assert!(matches!(merge(&broken, "traces", 3).await, Err(LakeError::Stopped(_))));
    assert_eq!(live_files(&Lake::new(dir.path()), "traces").await, before);
    // A reader that has begun keeps the files that it began with.
    let held = lake.holding(def("traces")).await.expect("held");
    let report = merge(&lake, "traces", 3).await.expect("merged");
    assert_eq!((report.merged, report.written, report.deleted), (8, 1, 0));
    assert_eq!(number(&held, "traces", "select count(*) from traces").await, 24);
    assert_eq!(live_files(&lake, "traces").await.len(), 1);
    assert_eq!(number(&lake, "traces", "select count(*) from traces").await, 24);
}

#[tokio::test(flavor = "multi_thread")]
async fn drops_take_one_step_of_upkeep_a_time_and_no_table_or_log_gets_long() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut steps, mut most, mut without) = ([0, 0], 0, 0);
    let lake = Lake::new(dir.path());
    lake.leave_checkpoints_to_upkeep();
    for drop in 0..96 {
        drop_traces(&lake, drop).await;
        let before = lake.table_version(def("traces")).await.expect("a version").expect("a table").version;
        let step = keep_up(&lake, "traces", 3).await.map(|(step, _)| step);
        let after = lake.table_version(def("traces")).await.expect("a version").expect("a table").version;
        // A merge makes a version, and no checkpoint.
        assert_eq!(after - before, i64::from(step == Some(Upkeep::Merge)));
        steps[0] += usize::from(step == Some(Upkeep::Merge));
        steps[1] += usize::from(step == Some(Upkeep::Checkpoint));
        without = if step == Some(Upkeep::Checkpoint) { 0 } else { without + 1 };
        assert!(without <= 24, "drop {drop}");
        most = most.max(live_files(&lake, "traces").await.len());
    }
    assert!((10..16).contains(&steps[0]) && (4..7).contains(&steps[1]), "{steps:?}");
    assert!(most <= 24, "{most} files");
    let log = std::fs::read_dir(dir.path().join("traces/_delta_log")).expect("the log").flatten();
    let names = log.map(|entry| entry.file_name().to_string_lossy().into_owned());
    assert_eq!(names.filter(|name| name.ends_with(".checkpoint.parquet")).count(), steps[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_keeps_up_a_log_gets_checkpoints_all_the_same() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    lake.leave_checkpoints_to_upkeep();
    let is_there = |version: u64| dir.path().join(format!("traces/_delta_log/{version:020}.checkpoint.parquet")).exists();
    for drop in 0..79 {
        drop_traces(&lake, drop).await;
    }
    assert_eq!([19, 39, 59, 79].map(is_there), [false, false, true, false]);
    let (overdue, step) = lake.overdue(def("traces"), 3).await.expect("looked").into_iter().min().expect("a step");
    assert_eq!((overdue, step), (100, Upkeep::Checkpoint));
    assert!(keep_up(&lake, "traces", 3).await.is_some_and(|(step, _)| step == Upkeep::Merge), "79 files are more overdue");
}

/// Drops of so many rows that a merge of them copies their row groups.
async fn large_drops(lake: &Lake, drops: std::ops::Range<i64>, rows: i64) {
    for drop in drops {
        let rows: Vec<(String, i64)> = (0..rows).map(|n| (format!("{drop}-{n}"), DAY + drop * HOUR / 12 + n)).collect();
        let rows: Vec<(&str, i64)> = rows.iter().map(|(id, us)| (id.as_str(), *us)).collect();
        land(lake, def("traces"), traces(&rows), drop).await.expect("land");
    }
}

fn row_groups(dir: &std::path::Path, file: &str) -> usize {
    let file = std::fs::File::open(dir.join("traces").join(file)).expect("a file");
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).expect("a footer");
    reader.metadata().num_row_groups()
}

#[tokio::test(flavor = "multi_thread")]
async fn more_rows_than_a_drop_has_time_to_sort_are_copied_and_sorted_by_compaction() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    large_drops(&lake, 0..8, 130).await;
    let asked = [
        "select count(*) from traces",
        r#"select count(distinct "itemId") from traces"#,
        r#"select count(*) from traces where "itemId" = '5-77' and message = 'message 77'"#,
        "select count(*) from traces where timestamp >= '2026-01-05T00:20:00Z' and timestamp < '2026-01-05T00:30:00Z'",
        r#"select count(*) from traces where "customDimensions_eventId" = 'RT0003'"#,
        "select cast(max(n) as bigint) from (select row_number() over (order by timestamp desc) as n from traces)",
        "select max(cast(timestamp as bigint)) from traces",
    ];
    let answers = async |lake: &Lake| {
        let mut answers = Vec::new();
        for sql in asked {
            answers.push(number(lake, "traces", sql).await);
        }
        answers
    };
    let before = answers(&lake).await;
    assert_eq!(before[..4], [1_040, 1_040, 1, 260]);
    // One that breaks off changes nothing; a reader that has begun keeps the files that it began with.
    let files = live_files(&lake, "traces").await;
    let broken = Lake::with_fault(dir.path(), Fault::new(|step| step == Step::BeforeCompactCommit));
    assert!(matches!(merge(&broken, "traces", 130).await, Err(LakeError::Stopped(_))));
    assert_eq!(live_files(&Lake::new(dir.path()), "traces").await, files);
    let held = lake.holding(def("traces")).await.expect("held");
    assert_eq!(merge(&lake, "traces", 130).await.expect("merged").merged, 8);
    let [copy] = &live_files(&lake, "traces").await[..] else { panic!("one file") };
    assert_eq!(row_groups(dir.path(), copy), 8);
    assert_eq!(answers(&Lake::new(dir.path())).await, before);
    assert_eq!(answers(&held).await, before);
    // Rows of it are known when they come again.
    let again = land(&lake, def("traces"), traces(&[("3-100", DAY + 3 * HOUR / 12 + 100), ("new", DAY)]), 20).await;
    let again = again.expect("land");
    assert_eq!((again.new, again.duplicates), (1, 1));
    lake.compact(def("traces"), &CompactOptions::default()).await.expect("compact");
    let [sorted] = &live_files(&lake, "traces").await[..] else { panic!("one file") };
    assert_eq!(row_groups(dir.path(), sorted), 1);
    assert_eq!(number(&lake, "traces", "select count(*) from traces").await, 8 * 130 + 1);
    assert_eq!(lake.compact(def("traces"), &CompactOptions::default()).await.expect("compact").merged, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_groups_that_were_copied_stay_when_one_of_their_rows_is_replaced() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    large_drops(&lake, 0..8, 1_100).await;
    assert_eq!(merge(&lake, "traces", 1_100).await.expect("merged").merged, 8);
    let mut fuller = RowBuilder::new(def("traces"));
    let at = |name: &str| def("traces").index_of(name).expect("a column");
    fuller.set_datetime_us(at("timestamp"), DAY + 3 * HOUR / 12 + 100);
    for (column, text) in [("itemId", "3-100"), ("message", "message 100"), ("client_City", "Lyngby"), ("client_OS", "x")] {
        fuller.set_str(at(column), text);
    }
    fuller.set_dynamic_valid(at("customDimensions"), r#"{"eventId":"RT0002","executionTime":"00:00:00.0000101","unknown":100}"#);
    fuller.end_row();
    let landed = land(&lake, def("traces"), fuller.finish().expect("a row"), 9).await.expect("land");
    assert_eq!((landed.new, landed.replaced), (0, 1));
    let mut groups: Vec<usize> = live_files(&lake, "traces").await.iter().map(|file| row_groups(dir.path(), file)).collect();
    groups.sort_unstable();
    assert_eq!(groups, [1, 8]);
    assert_eq!(number(&lake, "traces", "select count(*) from traces").await, 8 * 1_100);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_were_merged_away_go_a_day_later_without_compaction() {
    let dir = tempfile::tempdir().expect("dir");
    let at = |hours: i64| Lake::new(dir.path()).with_clock(Arc::new(FixedClock::at_micros(40 * DAY + hours * HOUR)));
    let unused = async |lake: &Lake| {
        let live = live_files(lake, "traces").await;
        let mut found = BTreeSet::new();
        for folder in std::fs::read_dir(dir.path().join("traces")).expect("a folder").flatten() {
            for file in std::fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                let name = file.file_name().to_string_lossy().into_owned();
                let is_live = live.iter().any(|live| live.ends_with(&name));
                found.extend((name.ends_with(".parquet") && name.starts_with("part-") && !is_live).then_some(name));
            }
        }
        found
    };
    let drops = async |hours, drops: std::ops::Range<i64>| {
        for drop in drops {
            // Each is a process of its own.
            let lake = at(hours);
            lake.leave_checkpoints_to_upkeep();
            drop_traces(&lake, drop).await;
            keep_up(&lake, "traces", 3).await;
        }
    };
    drops(0, 0..100).await;
    let first = unused(&at(0)).await;
    assert!(first.len() >= 90, "{} files", first.len());
    // Within a day readers may need them.
    drops(20, 100..240).await;
    assert!(unused(&at(20)).await.is_superset(&first));
    drops(30, 240..380).await;
    let left = unused(&at(30)).await;
    assert!(left.is_disjoint(&first) && left.len() >= 200, "{} files", left.len());
    assert_eq!(number(&at(30), "traces", "select count(*) from traces").await, 3 * 380);
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_files_go_as_fast_as_files_are_removed() {
    let dir = tempfile::tempdir().expect("dir");
    let at = |hours: i64| Lake::new(dir.path()).with_clock(Arc::new(FixedClock::at_micros(40 * DAY + hours * HOUR)));
    let lake = at(0);
    for drop in 0..160 {
        drop_traces(&lake, drop).await;
    }
    let report = lake.compact(def("traces"), &CompactOptions::default()).await.expect("compact");
    // More than are merged at a time: what that made in between is not counted.
    assert_eq!((report.merged, report.written), (160, 1));
    let done = at(48).keep_up(def("traces"), 3, Upkeep::Checkpoint, &CompactOptions::default()).await.expect("done");
    assert!(done.is_done && done.left.is_empty(), "{:?}", done.left);
    assert!(done.deleted > 160, "{}", done.deleted);
    assert_eq!(number(&at(48), "traces", "select count(*) from traces").await, 3 * 160);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_between_merges_is_there_once_with_its_newest_version() {
    let dir = tempfile::tempdir().expect("dir");
    let table = "CallRecords";
    let lake = Lake::new(dir.path()).with_clock(Arc::new(FixedClock::at_micros(DAY + HOUR)));
    let id = |drop: i64| format!("c{drop:03}");
    let mut most = 0;
    for drop in 0..60_i64 {
        // A call comes, and those of some drops before have a newer version.
        let ids: Vec<String> = [drop, drop - 1, drop - 9, drop - 30].map(id).to_vec();
        let rows: Vec<_> = [(drop, 1, "a"), (drop - 1, 2, "b"), (drop - 9, 3, "c"), (drop - 30, 4, "d")]
            .iter()
            .zip(&ids)
            .filter(|((of, ..), _)| *of >= 0)
            .map(|((of, version, kind), id)| (id.as_str(), DAY + of * HOUR / 12, Some(*version), *kind))
            .collect();
        land(&lake, def(table), call_records(&rows), drop).await.expect("land");
        merge(&lake, table, rows.len() as u64).await.expect("merged");
        most = most.max(live_files(&lake, table).await.len());
    }
    assert!(most <= 16, "{most} files");
    let told = texts(&lake, table, r#"select id || ' ' || "type" from "CallRecords" order by id"#).await;
    let newest = |drop: i64| match 59 - drop {
        0 => "a",
        1..9 => "b",
        9..30 => "c",
        _ => "d",
    };
    assert_eq!(told, (0..60).map(|drop| format!("{} {}", id(drop), newest(drop))).collect::<Vec<_>>());
}

#[test]
fn imports_of_drops_leave_few_files_and_say_what_they_did() {
    let dir = tempfile::tempdir().expect("dir");
    let import = |drop: usize| {
        let record = |n: usize| {
            let (time, id) = (format!("2026-01-05T{drop:02}:00:0{n}Z"), format!("{drop}-{n}"));
            json!({ "timestamp": time, "itemType": "trace", "itemId": id, "message": "m" }).to_string() + "\n"
        };
        std::fs::write(dir.path().join("drop.ndjson"), record(0) + &record(1)).expect("a file");
        let now = format!("2026-02-05T{drop:02}:05:00Z");
        run_in(dir.path(), &["--now", &now, "--lake", "lake", "-v", "import", "--from", "drop.ndjson"]).exits(0)
    };
    let files = || {
        let told = run_in(dir.path(), &["--lake", "lake", "tables", "-f", "json"]).exits(0).out;
        let tables: Vec<Value> = serde_json::from_str(&told).expect("JSON");
        let of = |table: &Value| (table["table"].as_str().map(str::to_owned), table["files"].as_u64());
        tables.iter().map(of).collect::<BTreeSet<_>>()
    };
    for drop in 0..11 {
        let run = import(drop);
        // The files of three tables, of one of them in two months, are due at the eighth, and merged one after the other.
        assert_eq!(run.err.contains("small files merged"), drop >= 7, "{}", run.err);
        assert!(drop == 0 || run.err.contains("bytes="), "{}", run.err);
    }
    let table = |name: &str, files| (Some(name.to_owned()), Some(files));
    assert_eq!(files(), BTreeSet::from([table("ImportLedger", 4), table("customEvents", 3), table("traces", 3)]));
    import(0);
    let told = run_in(dir.path(), &["--lake", "lake", "query", "traces | where message == 'm' | count", "-f", "csv"]).exits(0);
    assert_eq!(told.out.lines().last(), Some("22"));
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_whose_rows_change_become_one() {
    let dir = tempfile::tempdir().expect("dir");
    let (lake, table) = (Lake::new(dir.path()), "CallRecords");
    for (cursor, [first, second]) in [["a", "b"], ["c", "d"], ["e", "f"]].into_iter().enumerate() {
        let rows = call_records(&[(first, DAY, Some(1), "old"), (second, DAY, Some(1), "old")]);
        land(&lake, def(table), rows, cursor as i64).await.expect("land");
    }
    assert_eq!(live_files(&lake, table).await.len(), 3);
    let changed = call_records(&[("a", DAY, Some(2), "new"), ("d", DAY, Some(2), "new"), ("e", DAY, Some(2), "new")]);
    let landed = land(&lake, def(table), changed, 9).await.expect("land");
    assert_eq!((landed.new, landed.replaced), (0, 3));
    assert_eq!(live_files(&lake, table).await.len(), 2, "one with the rows that stay, and one with the new ones");
    let told = texts(&lake, table, r#"select id || ' ' || "type" from "CallRecords" order by id"#).await;
    assert_eq!(told, ["a new", "b old", "c old", "d new", "e new", "f old"]);
}
