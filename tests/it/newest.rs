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
async fn the_greater_version_stays_when_another_process_lands_first() {
    for (theirs, ours, duplicates, replaced) in [(Some(3), Some(2), 1, 0), (Some(1), Some(2), 0, 1), (None, Some(1), 0, 1)] {
        let dir = tempfile::tempdir().expect("dir");
        land(&Lake::new(dir.path()), def(TABLE), call_records(&[("seed", DAY, Some(1), "seed")]), 0).await.expect("seed");
        let lake = raced(dir.path(), ("a", DAY, theirs, "theirs"));
        let rows = call_records(&[("a", DAY + 1, ours, "ours"), ("z", DAY, Some(1), "z")]);
        let landed = land(&lake, def(TABLE), rows, 1).await.expect("land");
        assert_eq!((landed.new, landed.duplicates, landed.replaced), (1, duplicates, replaced), "{theirs:?} {ours:?}");
        let stays = if replaced == 1 { "a ours" } else { "a theirs" };
        assert_eq!(kinds(dir.path()).await, [stays, "seed seed", "z z"], "{theirs:?} {ours:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_equal_versions_the_same_one_stays_whoever_lands_first() {
    for version in [Some(2), None] {
        let rows = [("a", DAY, version, "one"), ("a", DAY, version, "other")];
        let mut stays = Vec::new();
        for order in [[0, 1], [1, 0]] {
            let (apart, together, beside) = (tempfile::tempdir(), tempfile::tempdir(), tempfile::tempdir());
            let [apart, together, beside] = [apart, together, beside].map(|dir| dir.expect("dir"));
            for (cursor, at) in order.into_iter().enumerate() {
                land(&Lake::new(apart.path()), def(TABLE), call_records(&[rows[at]]), cursor as i64).await.expect("land");
            }
            land(&Lake::new(together.path()), def(TABLE), call_records(&order.map(|at| rows[at])), 1).await.expect("land");
            land(&Lake::new(beside.path()), def(TABLE), call_records(&[("seed", DAY, Some(1), "seed")]), 0).await.expect("seed");
            let lake = raced(beside.path(), rows[order[0]]);
            land(&lake, def(TABLE), call_records(&[rows[order[1]]]), 1).await.expect("land");
            for dir in [&apart, &together, &beside] {
                let mut found = kinds(dir.path()).await;
                found.retain(|kind| kind != "seed seed");
                stays.push(found);
            }
        }
        assert!(stays.iter().all(|found| found.len() == 1 && *found == stays[0]), "{stays:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_row_again_and_older_ones_write_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let landed = [("a", DAY, Some(2), "a2"), ("b", DAY, None, "b0")];
    land(&Lake::new(dir.path()), def(TABLE), call_records(&landed), 1).await.expect("first");
    let (lake, files) = counting(dir.path());
    for again in [landed, [("a", DAY - HOUR, Some(1), "again"), ("a", DAY + 400 * HOUR, None, "again")]] {
        let again = land(&lake, def(TABLE), call_records(&again), 2).await.expect("again");
        assert_eq!(again, Landed { duplicates: 2, ..Landed::default() });
    }
    assert_eq!(files.load(Ordering::SeqCst), 0, "a file was written for rows that are there");
    assert_eq!(kinds(dir.path()).await, ["a a2", "b b0"]);
    assert_eq!(live_files(&lake, TABLE).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_is_found_whenever_it_was() {
    for shift in [-24 * HOUR, 24 * HOUR, -4_000 * HOUR, 90_000 * HOUR] {
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
async fn the_greatest_version_stays_within_one_landing() {
    let dir = tempfile::tempdir().expect("dir");
    let rows = [
        ("a", DAY, Some(2), "greater"),
        ("a", DAY, Some(1), "less"),
        ("b", DAY, None, "less"),
        ("b", DAY + 1, Some(0), "greater"),
        ("c", DAY, Some(1), "less"),
        ("c", DAY, Some(2), "greater"),
        ("c", DAY, Some(2), "greater"),
    ];
    let landed = land(&Lake::new(dir.path()), def(TABLE), call_records(&rows), 1).await.expect("land");
    assert_eq!((landed.new, landed.duplicates, landed.replaced), (3, 4, 0));
    assert_eq!(kinds(dir.path()).await, ["a greater", "b greater", "c greater"]);
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
    land(&Lake::new(dir.path()), def(TABLE), call_records(&[("a", DAY, Some(3), "landed")]), 1).await.expect("first");
    let (lake, files) = counting(dir.path());
    let mut landing = lake.land(def(TABLE)).await.expect("landing");
    let early = [("a", DAY, Some(2), "early"), ("d", DAY, Some(1), "early"), ("e", DAY, Some(2), "early")];
    landing.write(call_records(&early)).await.expect("write");
    landing.write(filling()).await.expect("write");
    landing.settle().await.expect("rows that are written");
    assert_eq!(files.load(Ordering::SeqCst), 1, "the rows so far lie in a file");
    let late = [("d", DAY, Some(2), "late"), ("e", DAY, Some(1), "late"), ("e", DAY, None, "late"), ("f", DAY, Some(1), "late")];
    landing.write(call_records(&late)).await.expect("write");
    let landed = landing.commit(position(2)).await.expect("commit");
    assert_eq!((landed.new, landed.duplicates, landed.replaced), (4, 4, 0));
    assert_eq!(kinds(dir.path()).await, ["a landed", "d late", "e early", "f late", "filling filling"]);
    assert_eq!(number(&lake, TABLE, r#"select count(*) from "CallRecords""#).await, 5);
}

/// Rows about a message, each taken at a minute; without one it is of a file.
fn messages(rows: &[(&str, Option<i64>)]) -> RecordBatch {
    let def = def("MessageTrace");
    let mut out = RowBuilder::new(def);
    let at = |name: &str| def.index_of(name).expect("column");
    for (status, taken) in rows {
        out.set_datetime_us(at("receivedDateTime"), DAY);
        out.set_str(at("id"), "m");
        out.set_str(at("recipientAddress"), "bob@contoso.com");
        out.set_str(at("status"), status);
        let ranks = ["", "gettingStatus", "pending", "quarantined", "expanded", "failed", "delivered"];
        out.set_i64(at("statusRank"), ranks.iter().position(|known| known == status).unwrap_or(0) as i64);
        taken.iter().for_each(|minute| out.set_datetime_us(at("_takenAt"), DAY + minute * 60_000_000));
        out.end_row();
    }
    out.finish().expect("batch")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_has_the_status_that_its_service_gave_last_and_of_files_the_most_final_one() {
    // What comes one after the other, the status that stays, and how many of them write a row.
    let cases: [(&[(&str, Option<i64>)], &str, usize); 8] = [
        (&[("delivered", Some(1)), ("quarantined", Some(2))], "quarantined", 2),
        (&[("pending", Some(1)), ("a new status", Some(2))], "a new status", 2),
        (&[("pending", Some(1)), ("pending", Some(2)), ("pending", Some(3))], "pending", 1),
        (&[("failed", Some(1)), ("pending", Some(2)), ("failed", Some(3))], "failed", 3),
        (&[("quarantined", Some(2)), ("delivered", Some(1))], "quarantined", 1),
        // Files say less than the service, and the more final one of them counts.
        (&[("pending", None), ("delivered", None), ("failed", None)], "delivered", 2),
        (&[("quarantined", Some(1)), ("delivered", None)], "quarantined", 1),
        (&[("quarantined", None), ("quarantined", Some(1)), ("quarantined", Some(2)), ("delivered", None)], "quarantined", 2),
    ];
    let statuses = |dir: &Path| {
        let lake = Lake::new(dir);
        async move { texts(&lake, "MessageTrace", r#"select status from "MessageTrace""#).await }
    };
    for (rows, stays, writes) in cases {
        let dir = tempfile::tempdir().expect("dir");
        let mut written = 0;
        for (cursor, row) in rows.iter().enumerate() {
            let landed = land(&Lake::new(dir.path()), def("MessageTrace"), messages(&[*row]), cursor as i64).await.expect("land");
            written += usize::from(landed.version.is_some());
        }
        assert_eq!((statuses(dir.path()).await, written), (vec![stays.to_owned()], writes), "{rows:?}");
        let together = tempfile::tempdir().expect("dir");
        land(&Lake::new(together.path()), def("MessageTrace"), messages(rows), 1).await.expect("land");
        assert_eq!(statuses(together.path()).await, [stays], "{rows:?}");
    }
}
