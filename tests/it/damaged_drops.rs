//! Drops over a table with a damaged file: it stays where it is and is named, all the rest is merged, and damage is not copied.

use std::fs;
use std::path::{Path, PathBuf};

use kqlake_lake::{CompactOptions, Damage, Lake, LakeError, Upkeep};
use serde_json::{Value, json};

use super::lake::{DAY, HOUR, call_records, def, land, live_files, number, traces};
use super::support::run_in;

async fn land_traces(lake: &Lake, drop: i64, rows: i64) {
    let rows: Vec<(String, i64)> = (0..rows).map(|n| (format!("{drop}-{n}"), DAY + drop * HOUR / 12 + n)).collect();
    let rows: Vec<(&str, i64)> = rows.iter().map(|(id, us)| (id.as_str(), *us)).collect();
    land(lake, def("traces"), traces(&rows), drop).await.expect("land");
}

/// Changes a bit in the middle of the only live file that others do not have. Gives its path below the table's folder.
async fn damage_new(dir: &Path, table: &str, known: &[String]) -> String {
    let live = live_files(&Lake::new(dir), table).await;
    let [new] = &live.iter().filter(|file| !known.contains(file)).collect::<Vec<_>>()[..] else { panic!("one file") };
    let path = dir.join(table).join(new);
    let mut bytes = fs::read(&path).expect("a file");
    let place = message_in(&bytes);
    bytes[place] ^= 1;
    fs::write(path, bytes).expect("changed");
    (*new).clone()
}

/// Where a value of a column lies that is not compressed: a changed byte of it is but another text.
fn message_in(bytes: &[u8]) -> usize {
    let place = bytes.windows(8).position(|window| window == b"message ");
    place.map_or(bytes.len() / 2, |place| place + 2)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_left_out_of_a_merge_and_named() {
    // Rows that are sorted, and such that are copied.
    for rows in [3, 130] {
        let dir = tempfile::tempdir().expect("dir");
        for drop in 0..7 {
            land_traces(&Lake::new(dir.path()), drop, rows).await;
        }
        let known = live_files(&Lake::new(dir.path()), "traces").await;
        land_traces(&Lake::new(dir.path()), 7, rows).await;
        let damaged = damage_new(dir.path(), "traces", &known).await;
        let lake = Lake::new(dir.path());
        let merged = lake.keep_up(def("traces"), rows.cast_unsigned(), Upkeep::Merge, &CompactOptions::default()).await;
        let merged = merged.expect("merged");
        assert_eq!((merged.is_done, merged.merged, merged.written), (true, 7, 1), "{rows} rows");
        let [LakeError::Damaged { damage: Damage::File { file, .. }, .. }] = &merged.left[..] else {
            panic!("{:?}", merged.left)
        };
        assert_eq!(file, &dir.path().join("traces").join(&damaged));
        let live = live_files(&Lake::new(dir.path()), "traces").await;
        assert!(live.len() == 2 && live.contains(&damaged), "{live:?}");
        assert_eq!(number(&lake, "traces", "select count(*) from traces").await, 8 * rows);
        // Nor does a compaction write it again.
        let report = lake.compact(def("traces"), &CompactOptions::default()).await.expect("a report");
        assert!(matches!(&report.left[..], [error] if error.to_string().contains(&damaged)), "{report:?}");
        assert!(live_files(&Lake::new(dir.path()), "traces").await.contains(&damaged));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_all_that_is_left_of_a_group_is_no_merge_and_others_are_done() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    let month = 35 * 24 * 12;
    for drop in (0..8).chain(month..month + 8) {
        land_traces(&lake, drop, 3).await;
    }
    // Of January all are damaged.
    let january: Vec<PathBuf> = fs::read_dir(dir.path().join("traces/event_month=2026-01-01"))
        .expect("a month")
        .map(|file| file.expect("a file").path())
        .collect();
    assert_eq!(january.len(), 8);
    for file in &january {
        fs::write(file, vec![0; fs::metadata(file).expect("a file").len() as usize]).expect("zeros");
    }
    let lake = Lake::new(dir.path());
    let merged = lake.keep_up(def("traces"), 3, Upkeep::Merge, &CompactOptions::default()).await.expect("merged");
    assert_eq!((merged.is_done, merged.merged, merged.left.len()), (true, 8, 8));
    let merged = lake.keep_up(def("traces"), 3, Upkeep::Merge, &CompactOptions::default()).await.expect("looked");
    assert_eq!((merged.is_done, merged.merged, merged.left.len()), (false, 0, 8));
    assert_eq!(live_files(&lake, "traces").await.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_damaged_file_are_not_written_again_when_one_of_them_is_replaced() {
    let dir = tempfile::tempdir().expect("dir");
    let rows = call_records(&[("a", DAY, Some(1), "message of a"), ("b", DAY, Some(1), "message of b")]);
    land(&Lake::new(dir.path()), def("CallRecords"), rows, 1).await.expect("land");
    let damaged = damage_new(dir.path(), "CallRecords", &[]).await;
    let newer = || call_records(&[("a", DAY, Some(2), "new"), ("c", DAY + 40 * 24 * HOUR, Some(1), "new")]);
    let landed = land(&Lake::new(dir.path()), def("CallRecords"), newer(), 2).await.expect("land");
    assert_eq!((landed.new, landed.replaced), (0, 0));
    assert!(landed.held.iter().map(|held| held.rows).sum::<u64>() == 2, "{:?}", landed.held);
    assert!(landed.held.iter().all(|held| held.reason.contains(&damaged)), "{:?}", landed.held);
    assert_eq!(live_files(&Lake::new(dir.path()), "CallRecords").await, [damaged]);
}

#[test]
fn a_damaged_file_of_one_table_keeps_no_other_from_being_merged() {
    let dir = tempfile::tempdir().expect("dir");
    let import = |day: usize, hour: usize| {
        let record = |n: usize| {
            let (time, id) = (format!("2026-01-{day:02}T{hour:02}:00:0{n}Z"), format!("{day}-{hour}-{n}"));
            json!({ "timestamp": time, "itemType": "trace", "itemId": id, "message": "m" }).to_string() + "\n"
        };
        fs::write(dir.path().join("drop.ndjson"), record(0) + &record(1)).expect("a file");
        let now = format!("2026-02-05T{hour:02}:05:00Z");
        run_in(dir.path(), &["--now", &now, "--lake", "lake", "import", "--from", "drop.ndjson"]).exits(0)
    };
    let data = || -> Vec<PathBuf> {
        let folder = fs::read_dir(dir.path().join("lake/traces/event_month=2026-01-01")).expect("a month");
        folder.map(|file| file.expect("a file").path()).filter(|path| path.is_file()).collect()
    };
    // Damage on the day before those of the others, which may land all the same.
    import(5, 0);
    let before = data();
    import(4, 0);
    let damaged = data().into_iter().find(|file| !before.contains(file)).expect("a file");
    let zeros = vec![0; fs::metadata(&damaged).expect("a file").len() as usize];
    fs::write(&damaged, &zeros).expect("damaged");
    let mut named = 0;
    for hour in 1..20 {
        let told = import(5, hour).err;
        named += usize::from(told.contains(&*damaged.file_name().expect("a name").to_string_lossy()));
    }
    assert!(named > 0, "nobody says what is damaged");
    let told = run_in(dir.path(), &["--lake", "lake", "tables", "-f", "json"]).exits(0).out;
    let tables: Vec<Value> = serde_json::from_str(&told).expect("JSON");
    let files = |name: &str| tables.iter().find(|table| table["table"] == name).and_then(|table| table["files"].as_u64());
    // Each of them has got a file with each of 21 imports.
    for table in ["ImportLedger", "customEvents", "traces"] {
        assert!(files(table).is_some_and(|files| files < 14), "{told}");
    }
    assert_eq!(fs::read(&damaged).expect("there still"), zeros);
    let kql = "traces | where timestamp >= datetime(2026-01-05) | where message == 'm' | count";
    let asked = ["--lake", "lake", "query", kql, "-f", "csv"];
    assert_eq!(run_in(dir.path(), &asked).exits(0).out.lines().last(), Some("40"));
}

#[test]
fn a_missing_file_is_no_reason_to_say_that_a_log_has_no_checkpoint() {
    let dir = tempfile::tempdir().expect("dir");
    let import = |day: usize, hour: usize| {
        let time = format!("2026-0{}-05T{hour:02}:00:00Z", day);
        let record = json!({ "timestamp": time, "itemType": "trace", "itemId": format!("{day}-{hour}"), "message": "m" });
        fs::write(dir.path().join("drop.ndjson"), record.to_string() + "\n").expect("a file");
        let now = format!("2026-03-06T{hour:02}:05:00Z");
        run_in(dir.path(), &["--now", &now, "--lake", "lake", "-v", "import", "--from", "drop.ndjson"]).exits(0)
    };
    import(3, 0);
    let march = fs::read_dir(dir.path().join("lake/traces/event_month=2026-03-01")).expect("a month").next();
    let missing = march.expect("a file").expect("a file").path();
    fs::remove_file(&missing).expect("removed");
    let told: String = (0..24).map(|hour| import(1, hour).err).collect();
    let name = missing.file_name().expect("a name").to_string_lossy().into_owned();
    let said = |words: &str| told.lines().any(|line| line.contains(words) && line.contains(&name));
    assert!(said("removed files are not deleted"), "{told}");
    assert!(!told.contains("the log got no checkpoint"), "{told}");
    let last = fs::read_to_string(dir.path().join("lake/traces/_delta_log/_last_checkpoint")).expect("a checkpoint");
    assert!(serde_json::from_str::<Value>(&last).expect("JSON")["version"].as_u64().is_some(), "{last}");
}
