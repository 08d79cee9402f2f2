//! Tables where the newest row of a key wins: only a greater version takes a landed row's place, whenever and wherever the
//! other row comes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use kqlake_lake::fault::{Fault, Step};
use kqlake_lake::{Lake, Landed, RowBuilder};

use super::lake::{DAY, HOUR, call_records, def, land, live_files, number, position, texts};

const TABLE: &str = "CallRecords";

async fn kinds(root: &Path) -> Vec<String> {
    texts(&Lake::new(root), TABLE, r#"select id || ' ' || "type" from "CallRecords" order by id"#).await
}

/// A lake that counts the data files that landings write.
fn counting(root: &Path) -> (Lake, Arc<AtomicUsize>) {
    let files = Arc::new(AtomicUsize::new(0));
    let seen = files.clone();
    let count = move |step| {
        seen.fetch_add(usize::from(step == Step::FileWritten), Ordering::SeqCst);
        false
    };
    (Lake::with_fault(root, Fault::new(count)), files)
}

/// A lake in which another process lands a row right before the first commit.
fn raced(root: &Path, row: (&'static str, i64, Option<i64>, &'static str)) -> Lake {
    let (calls, other, handle) = (AtomicUsize::new(0), root.to_owned(), tokio::runtime::Handle::current());
    let hook = move |step| {
        if step == Step::BeforeCommit && calls.fetch_add(1, Ordering::SeqCst) == 0 {
            let other = Lake::new(&other);
            let work = async move { land(&other, def(TABLE), call_records(&[row]), 9).await };
            tokio::task::block_in_place(|| handle.block_on(work)).expect("the other one");
        }
        false
    };
    Lake::with_fault(root, Fault::new(hook))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equal_version_that_another_process_landed_first_stays() {
    for (theirs, ours, stays, duplicates, replaced) in [
        (Some(2), Some(2), "theirs", 1, 0),
        (Some(3), Some(2), "theirs", 1, 0),
        (Some(1), Some(2), "ours", 0, 1),
        (None, None, "theirs", 1, 0),
    ] {
        let dir = tempfile::tempdir().expect("dir");
        land(&Lake::new(dir.path()), def(TABLE), call_records(&[("seed", DAY, Some(1), "seed")]), 0).await.expect("seed");
        let lake = raced(dir.path(), ("a", DAY, theirs, "theirs"));
        let rows = call_records(&[("a", DAY + 1, ours, "ours"), ("z", DAY, Some(1), "z")]);
        let landed = land(&lake, def(TABLE), rows, 1).await.expect("land");
        assert_eq!((landed.new, landed.duplicates, landed.replaced), (1, duplicates, replaced), "{theirs:?} {ours:?}");
        assert_eq!(kinds(dir.path()).await, [&format!("a {stays}"), "seed seed", "z z"], "{theirs:?} {ours:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equal_version_of_a_landed_row_writes_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let landed = [("a", DAY, Some(2), "a2"), ("b", DAY, None, "b0")];
    land(&Lake::new(dir.path()), def(TABLE), call_records(&landed), 1).await.expect("first");
    let (lake, files) = counting(dir.path());
    for again in [
        [("a", DAY, Some(2), "again"), ("b", DAY, None, "again")],
        [("a", DAY + 24 * HOUR, Some(2), "again"), ("b", DAY + 24 * HOUR, None, "again")],
        [("a", DAY - HOUR, Some(1), "again"), ("b", DAY - HOUR, None, "again")],
    ] {
        let again = land(&lake, def(TABLE), call_records(&again), 2).await.expect("again");
        assert_eq!(again, Landed { duplicates: 2, ..Landed::default() });
    }
    assert_eq!(files.load(Ordering::SeqCst), 0, "a file was written for rows that are there");
    assert_eq!(kinds(dir.path()).await, ["a a2", "b b0"]);
    assert_eq!(live_files(&lake, TABLE).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_is_found_on_the_day_before_and_the_day_after() {
    for shift in [-24 * HOUR, 24 * HOUR] {
        let dir = tempfile::tempdir().expect("dir");
        land(&Lake::new(dir.path()), def(TABLE), call_records(&[("a", DAY, Some(1), "a1")]), 1).await.expect("first");
        let lake = Lake::new(dir.path());
        let newer = land(&lake, def(TABLE), call_records(&[("a", DAY + shift, Some(2), "a2")]), 2).await.expect("newer");
        assert_eq!((newer.new, newer.duplicates, newer.replaced), (0, 0, 1), "{shift}");
        let older = land(&lake, def(TABLE), call_records(&[("a", DAY, Some(1), "a1")]), 3).await.expect("older");
        assert_eq!((older.new, older.duplicates, older.replaced), (0, 1, 0), "{shift}");
        assert_eq!(kinds(dir.path()).await, ["a a2"], "{shift}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_of_equal_versions_stays_within_one_landing() {
    let dir = tempfile::tempdir().expect("dir");
    let rows = [
        ("a", DAY, Some(2), "first"),
        ("a", DAY, Some(2), "second"),
        ("b", DAY, None, "first"),
        ("b", DAY + 1, None, "second"),
        ("c", DAY, Some(1), "older"),
        ("c", DAY, Some(2), "newer"),
        ("c", DAY, Some(2), "again"),
    ];
    let landed = land(&Lake::new(dir.path()), def(TABLE), call_records(&rows), 1).await.expect("land");
    assert_eq!((landed.new, landed.duplicates, landed.replaced), (3, 4, 0));
    assert_eq!(kinds(dir.path()).await, ["a first", "b first", "c newer"]);
}

/// One row so large that a landing writes what it holds to a file.
fn filling() -> RecordBatch {
    let def = def(TABLE);
    let mut out = RowBuilder::new(def);
    let at = |name: &str| def.index_of(name).expect("column");
    out.set_datetime_us(at("startDateTime"), DAY);
    out.set_str(at("id"), "filling");
    out.set_str(at("type"), "filling");
    out.set_dynamic_valid(at("Raw"), &format!("\"{}\"", "x".repeat(49 << 20)));
    out.end_row();
    out.finish().expect("batch")
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_landing_meet_those_it_wrote_to_a_file_before() {
    let dir = tempfile::tempdir().expect("dir");
    land(&Lake::new(dir.path()), def(TABLE), call_records(&[("a", DAY, Some(2), "landed")]), 1).await.expect("first");
    let (lake, files) = counting(dir.path());
    let mut landing = lake.land(def(TABLE)).await.expect("landing");
    let early = [("a", DAY, Some(2), "early"), ("d", DAY, Some(1), "early"), ("e", DAY, Some(1), "early")];
    landing.write(call_records(&early)).await.expect("write");
    landing.write(filling()).await.expect("write");
    assert_eq!(files.load(Ordering::SeqCst), 1, "the rows so far lie in a file");
    let late = [("d", DAY, Some(2), "late"), ("e", DAY, Some(1), "late"), ("e", DAY, None, "late"), ("f", DAY, Some(1), "late")];
    landing.write(call_records(&late)).await.expect("write");
    let landed = landing.commit(position(2)).await.expect("commit");
    assert_eq!((landed.new, landed.duplicates, landed.replaced), (4, 4, 0));
    assert_eq!(kinds(dir.path()).await, ["a landed", "d late", "e early", "f late", "filling filling"]);
    assert_eq!(number(&lake, TABLE, r#"select count(*) from "CallRecords""#).await, 5);
}
