//! Landings that cannot do what they are asked to: what is in the way is named, nothing is committed that is not there, and rows
//! that may replace others that cannot be read wait.

use std::fs;

use kqlake_lake::fault::{Fault, Step};
use kqlake_lake::{Damage, Lake, LakeError, RowBuilder};

use crate::lake::{DAY, call_records, def, land, number, traces};

#[tokio::test(flavor = "multi_thread")]
async fn a_landing_whose_files_are_gone_commits_nothing() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let month = dir.path().join("traces/event_month=2026-01-01");
    let fault = Fault::new(move |step| {
        if step == Step::FileWritten {
            fs::remove_dir_all(&month).expect("removed");
        }
        false
    });
    let lake = Lake::with_fault(dir.path(), fault);
    let error = land(&lake, def("traces"), traces(&[("a", DAY)]), 1).await.expect_err("the file is gone");
    assert!(matches!(error, LakeError::Damaged { damage: Damage::MissingFile { .. }, .. }), "{error}");
    assert_eq!(lake.snapshot(def("traces")).await.expect("a snapshot").map(|table| table.stats().files), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_landing_whose_files_were_cut_says_so_and_commits_nothing() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let month = dir.path().join("traces/event_month=2026-01-01");
    let fault = Fault::new(move |step| {
        if step == Step::FileWritten {
            for entry in fs::read_dir(&month).expect("the month") {
                let file = fs::File::options().write(true).open(entry.expect("a file").path()).expect("opened");
                file.set_len(5).expect("cut");
            }
        }
        false
    });
    let lake = Lake::with_fault(dir.path(), fault);
    let error = land(&lake, def("traces"), traces(&[("a", DAY)]), 1).await.expect_err("the file is cut");
    assert!(matches!(error, LakeError::Damaged { damage: Damage::FileSize { found: 5, .. }, .. }), "{error}");
    assert!(error.to_string().contains("5 bytes"), "{error}");
    assert_eq!(lake.snapshot(def("traces")).await.expect("a snapshot").map(|table| table.stats().files), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_may_replace_rows_of_a_broken_day_wait() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lake = Lake::new(dir.path());
    let calls = def("CallRecords");
    let batch = |rows: &[(&str, i64, i64)]| {
        let mut out = RowBuilder::new(calls);
        let at = |name: &str| calls.index_of(name).expect("a column");
        for (id, time, version) in rows {
            out.set_datetime_us(at("startDateTime"), *time);
            out.set_str(at("id"), id);
            out.set_i64(at("version"), *version);
            out.end_row();
        }
        out.finish().expect("rows")
    };
    let day = 86_400_000_000;
    land(&lake, calls, batch(&[("a", DAY, 1), ("far", DAY + 35 * day, 1)]), 1).await.expect("landed");
    let folder = dir.path().join("CallRecords/event_month=2026-01-01");
    let file = fs::read_dir(folder).expect("the day").next().expect("a file").expect("a file").path();
    let whole = fs::read(&file).expect("a file");
    fs::write(&file, "").expect("emptied");
    let newer = [("a", DAY + day, 2), ("far", DAY + 35 * day, 2), ("new", DAY + 39 * day, 1)];
    let landed = land(&lake, calls, batch(&newer), 2).await.expect("landed");
    // A version of a call may have any time; the one that was found elsewhere is not in the broken file.
    assert_eq!((landed.new, landed.replaced), (0, 1));
    let held: Vec<_> = landed.held.iter().map(|held| (held.day.as_str(), held.rows)).collect();
    assert_eq!(held, [("2026-01-06", 1), ("2026-02-13", 1)]);
    fs::write(&file, whole).expect("restored");
    let landed = land(&lake, calls, batch(&newer), 3).await.expect("landed");
    assert_eq!((landed.new, landed.replaced, landed.duplicates, landed.held.len()), (1, 1, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_other_days_than_a_broken_file_has_do_not_wait() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lake = Lake::new(dir.path());
    let day = 86_400_000_000;
    land(&lake, def("traces"), traces(&[("a", DAY), ("b", DAY + day)]), 1).await.expect("landed");
    let folder = dir.path().join("traces/event_month=2026-01-01");
    let file = fs::read_dir(folder).expect("the month").next().expect("a file").expect("a file").path();
    let whole = fs::read(&file).expect("a file");
    fs::write(&file, "").expect("emptied");
    let rows = || traces(&[("a", DAY), ("c", DAY + day), ("before", DAY - day), ("behind", DAY + 2 * day)]);
    let landed = land(&lake, def("traces"), rows(), 2).await.expect("landed");
    let held: Vec<_> = landed.held.iter().map(|held| (held.day.as_str(), held.rows)).collect();
    assert_eq!((landed.new, held), (2, vec![("2026-01-05", 1), ("2026-01-06", 1)]));
    assert!(landed.held.iter().all(|held| held.reason.contains(".parquet")), "{:?}", landed.held);
    fs::write(&file, whole).expect("restored");
    let landed = land(&lake, def("traces"), rows(), 3).await.expect("landed");
    assert_eq!((landed.new, landed.duplicates, landed.held.len()), (1, 3, 0));
    assert_eq!(number(&lake, "traces", "select count(*) from traces").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_what_is_in_the_way() {
    let dir = tempfile::tempdir().expect("dir");
    let file = dir.path().join("file");
    std::fs::write(&file, "x").expect("file");
    for root in [file.clone(), file.join("below")] {
        let lake = Lake::new(&root);
        assert!(matches!(lake.check().await, Err(LakeError::NotAFolder { .. })), "{}", root.display());
        assert!(matches!(lake.land(def("traces")).await, Err(LakeError::NotAFolder { .. })), "{}", root.display());
    }
    assert!(Lake::new(&dir.path().join("absent")).check().await.is_ok());

    let lake = Lake::new(&dir.path().join("lake"));
    let mut rows = RowBuilder::new(def("traces"));
    rows.set_datetime_us(0, DAY);
    rows.end_row();
    let error = land(&lake, def("traces"), rows.finish().expect("batch"), 1).await.expect_err("no key");
    assert!(matches!(error, LakeError::Missing { column: "itemId", .. }), "{error}");
    let mut rows = RowBuilder::new(def("traces"));
    rows.set_str(def("traces").index_of("itemId").expect("itemId"), "a");
    rows.end_row();
    assert!(rows.finish().is_err());
    let error = land(&lake, def("traces"), call_records(&[("a", DAY, None, "x")]), 1).await.expect_err("another table's rows");
    assert!(matches!(error, LakeError::Shape { .. }), "{error}");
    // A folder that files cannot be made in.
    let month = dir.path().join("lake").join("traces").join("event_month=2026-01-01");
    std::fs::write(&month, "in the way").expect("file");
    let error = land(&lake, def("traces"), traces(&[("a", DAY)]), 1).await.expect_err("in the way");
    assert!(matches!(error, LakeError::Io { table: "traces", .. }), "{error}");
    assert_eq!(number(&lake, "traces", "select count(*) from traces").await, 0);
}
