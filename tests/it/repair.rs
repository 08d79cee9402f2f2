//! Logs with files that a power cut or another program broke: what the rest of the log does without is passed over, and
//! `compact --repair` sets it aside; what is lost is said, and lands again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kqlake_lake::{CompactOptions, Lake};
use kqlake_value::clock::{Clock as _, FixedClock, SystemClock};

use crate::damaged_lake::{damaged, data_file, import, kqlake, log, refused_everywhere, rows, source};
use crate::lake::{DAY, def, land, number, traces};
use crate::support::csv_rows;

const COMMIT_ZERO: &str = "00000000000000000000.json";
const COMMIT_ONE: &str = "00000000000000000001.json";
const CHECKPOINT: &str = "00000000000000000002.checkpoint.parquet";

/// The files that were set aside of a table, but for the text that says why, with that text.
fn set_aside(lake: &Path, table: &str) -> (Vec<PathBuf>, String) {
    fn below(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).into_iter().flatten().map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() { below(&entry, out) } else { out.push(entry) }
        }
    }
    let mut files = Vec::new();
    below(&lake.join("_set_aside").join(table), &mut files);
    let (reasons, files): (Vec<PathBuf>, Vec<PathBuf>) = files.into_iter().partition(|path| path.ends_with("reason.txt"));
    (files, reasons.iter().map(|path| fs::read_to_string(path).expect("text")).collect())
}

fn all(dir: &Path) -> i64 {
    rows(dir, "traces | where operation_Name !endswith 'Importer' | count")
}

fn doubled(dir: &Path) -> i64 {
    rows(dir, "traces | summarize n = count() by itemId | where n > 1 | count")
}

#[test]
fn a_broken_checkpoint_is_passed_over_and_set_aside() {
    let whole = damaged(|_| {});
    let expected = all(whole.path());
    let parquet = fs::read(data_file(&whole.path().join("lake"), "2026-01-05")).expect("a data file");
    for text in [&b""[..], b"PAR1", b"nothing that is Parquet, but long enough for its footer", &parquet] {
        let dir = damaged(|lake| {
            fs::write(log(lake, CHECKPOINT), text).expect("written");
            fs::write(log(lake, "_last_checkpoint"), "{\"version\":2,\"size\":9}").expect("written");
        });
        let lake = dir.path().join("lake");
        assert_eq!(all(dir.path()), expected);
        kqlake(dir.path(), &["query", "traces | count"]).exits(0).says(CHECKPOINT).says("kqlake compact --repair");
        import(dir.path(), &["--again"]).exits(0);
        assert_eq!((all(dir.path()), doubled(dir.path())), (expected, 0));
        let run = kqlake(dir.path(), &["compact", "--repair", "traces"]).exits(0);
        assert!(run.out.contains(&format!("{CHECKPOINT} was moved to")), "{}", run.out);
        let (files, reason) = set_aside(&lake, "traces");
        assert_eq!(files.len(), 2, "{files:?}");
        let moved = files.iter().find(|path| path.ends_with(Path::new("_delta_log").join(CHECKPOINT))).expect("the checkpoint");
        assert_eq!(fs::read(moved).expect("the checkpoint"), text);
        assert!(reason.contains(CHECKPOINT) && reason.contains("_last_checkpoint"), "{reason}");
        assert!(!log(&lake, CHECKPOINT).exists() && !log(&lake, "_last_checkpoint").exists());
        let run = kqlake(dir.path(), &["query", "traces | count"]).exits(0);
        assert!(!run.err.contains("passed over"), "{}", run.err);
        assert!(kqlake(dir.path(), &["compact", "--repair"]).exits(0).out.contains("nothing to repair"));
        assert_eq!(all(dir.path()), expected);
    }
    // A file that names no checkpoint says nothing.
    let dir = damaged(|lake| fs::write(log(lake, "_last_checkpoint"), "").expect("written"));
    assert_eq!(all(dir.path()), expected);
    kqlake(dir.path(), &["compact", "--repair"]).exits(0);
    assert!(!log(&dir.path().join("lake"), "_last_checkpoint").exists());
}

#[test]
fn a_checkpoint_that_is_named_and_not_there_is_passed_over_when_the_positions_know_of_no_later_commit() {
    let named = |lake: &Path| fs::write(log(lake, "_last_checkpoint"), "{\"version\":999,\"size\":3}").expect("written");
    let dir = damaged(named);
    let (lake, expected) = (dir.path().join("lake"), all(damaged(|_| {}).path()));
    kqlake(dir.path(), &["query", "traces | count"]).exits(0).says("version 999").says("kqlake compact --repair");
    import(dir.path(), &["--again"]).exits(0);
    assert_eq!((all(dir.path()), doubled(dir.path())), (expected, 0));
    let run = kqlake(dir.path(), &["compact", "--repair"]).exits(0);
    assert!(run.out.contains("_last_checkpoint was moved to") && !run.out.contains("are missing"), "{}", run.out);
    assert_eq!(set_aside(&lake, "traces").0.len(), 1);
    assert_eq!(all(dir.path()), expected);

    // With commits lost, and the positions that knew of them as well, it is all that tells; and a repair goes on without it.
    for positions in [true, false] {
        let dir = damaged(|lake| {
            named(lake);
            for lost in [COMMIT_ONE, "00000000000000000002.json"] {
                fs::remove_file(log(lake, lost)).expect("removed");
            }
            if !positions {
                fs::remove_dir_all(lake.join("_intents/traces")).expect("removed");
            }
        });
        let witness = if positions { "positions.json" } else { "_last_checkpoint" };
        refused_everywhere(&dir, &format!("{witness} says that it happened"));
        let run = kqlake(dir.path(), &["compact", "--repair"]).exits(0);
        assert!(run.out.contains("_last_checkpoint was moved to") && run.out.contains("are missing"), "{}", run.out);
        assert!(all(dir.path()) < expected);
        import(dir.path(), &[]).exits(0);
        assert_eq!((all(dir.path()), doubled(dir.path())), (expected, 0));
        assert!(kqlake(dir.path(), &["compact", "--repair"]).exits(0).out.contains("nothing to repair"));
    }
}

#[test]
fn a_checkpoint_that_cannot_be_done_without_is_refused_and_stays() {
    for text in ["", "PAR1", "nothing that is Parquet, but long enough for its footer"] {
        let dir = damaged(|lake| {
            fs::write(log(lake, CHECKPOINT), text).expect("written");
            fs::remove_file(log(lake, COMMIT_ZERO)).expect("removed");
        });
        refused_everywhere(&dir, CHECKPOINT);
        kqlake(dir.path(), &["query", "traces | count"]).exits(6).says("from a backup");
        kqlake(dir.path(), &["compact", "--repair"]).exits(6).says(CHECKPOINT).says("from a backup");
        assert_eq!(set_aside(&dir.path().join("lake"), "traces").0, Vec::<PathBuf>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_checkpoint_and_the_commits_after_it_are_enough() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    let ids: Vec<String> = (0..22).map(|n| format!("i{n:02}")).collect();
    for (n, id) in ids.iter().enumerate() {
        land(&lake, def("traces"), traces(&[(id, DAY + n as i64)]), n as i64).await.expect("landed");
    }
    let at = |name: &str| dir.path().join("traces/_delta_log").join(name);
    assert!(at("00000000000000000019.checkpoint.parquet").exists());
    for version in 0..=19 {
        fs::remove_file(at(&format!("{version:020}.json"))).expect("removed");
    }
    fs::write(at("00000000000000000021.checkpoint.parquet"), "").expect("written");
    fs::write(at("_last_checkpoint"), "{\"version\":21,\"size\":40}").expect("written");
    let rows = async |lake: &Lake| number(lake, "traces", "select count(*) from traces").await;
    assert_eq!(rows(&Lake::new(dir.path())).await, 22);
    // A program that knew the table before goes on as well, and nothing that is needed is cleaned away.
    assert_eq!(rows(&lake).await, 22);
    land(&lake, def("traces"), traces(&[("more", DAY)]), 30).await.expect("landed");
    let far = SystemClock.now_micros() + 90 * 86_400_000_000;
    let later = lake.with_clock(Arc::new(FixedClock::at_micros(far)));
    later.compact(def("traces"), &CompactOptions::default()).await.expect("compacted");
    assert_eq!(rows(&Lake::new(dir.path())).await, 23);
    let (report, done) = Lake::new(dir.path()).repair(def("traces")).await;
    done.expect("repaired");
    assert_eq!((report.set_aside.len(), report.lost_commits), (2, false));
    assert_eq!(rows(&Lake::new(dir.path())).await, 23);
}

#[test]
fn a_broken_newest_commit_is_set_aside_and_its_rows_land_again() {
    let count = |dir: &Path| rows(dir, "requests | count");
    let expected = count(damaged(|_| {}).path());
    for (text, compacts) in [("", false), ("{\"add\":{\"pa", true)] {
        let commit = |lake: &Path| lake.join("requests/_delta_log").join(COMMIT_ONE);
        let dir = damaged(|lake| fs::write(commit(lake), text).expect("written"));
        let lake = dir.path().join("lake");
        for command in [&["query", "requests | count"][..], &["compact", "requests"], &["import", "--from", &source(), "--again"]]
        {
            kqlake(dir.path(), command).exits(6).says(COMMIT_ONE).says("kqlake compact --repair");
        }
        let run = kqlake(dir.path(), &["compact", "--repair"]).exits(0);
        assert!(run.out.contains(&format!("{COMMIT_ONE} was moved to")) && run.out.contains("are missing"), "{}", run.out);
        let (files, reason) = set_aside(&lake, "requests");
        let broken = files.iter().find(|path| path.ends_with(COMMIT_ONE)).expect("the commit");
        assert_eq!(fs::read_to_string(broken).expect("the commit"), text);
        // With what knew of it, and the data files that only it named.
        assert!(files.iter().any(|path| path.ends_with("positions.json")), "{files:?}");
        assert!(files.iter().any(|path| path.extension().is_some_and(|kind| kind == "parquet")), "{files:?}");
        assert!(reason.contains("is empty") || reason.contains("no JSON"), "{reason}");
        assert_eq!(count(dir.path()), 0);
        // The number of the lost version is given again: that does not make its rows known.
        if compacts {
            kqlake(dir.path(), &["compact"]).exits(0);
        }
        import(dir.path(), &[]).exits(0);
        assert_eq!((count(dir.path()), rows(dir.path(), "requests | summarize dcount(itemId, 4)")), (expected, expected));
        let run = import(dir.path(), &[]).exits(0);
        assert!(run.out.contains("unchanged"), "{}", run.out);
        assert!(kqlake(dir.path(), &["compact", "--repair"]).exits(0).out.contains("nothing to repair"));
    }
}

#[test]
fn an_empty_checkpoint_and_an_empty_newest_commit_of_any_table_are_repaired() {
    let expected = all(damaged(|_| {}).path());
    for table in ["traces", "ImportLedger", "customEvents"] {
        for (checkpoint, commit) in [(true, false), (false, true), (true, true)] {
            let dir = damaged(|lake| {
                let log = lake.join(table).join("_delta_log");
                let names = fs::read_dir(&log).expect("the log").map(|entry| entry.expect("an entry").path());
                let newest = names.filter(|path| path.extension().is_some_and(|kind| kind == "json")).max().expect("a commit");
                if checkpoint {
                    fs::write(log.join("00000000000000000001.checkpoint.parquet"), "").expect("written");
                    fs::write(log.join("_last_checkpoint"), "{\"version\":1,\"size\":9}").expect("written");
                }
                if commit {
                    fs::write(newest, "").expect("written");
                }
            });
            let query = kqlake(dir.path(), &["query", &format!("{table} | count")]);
            query.exits(if commit { 6 } else { 0 }).says("kqlake compact --repair");
            let run = kqlake(dir.path(), &["compact", "--repair"]).exits(0);
            assert!(run.out.contains("was moved to"), "{table}: {}", run.out);
            assert!(kqlake(dir.path(), &["compact", "--repair"]).exits(0).out.contains("nothing to repair"), "{table}");
            let quiet = kqlake(dir.path(), &["query", &format!("{table} | count")]).exits(0);
            assert!(!quiet.err.contains("passed over"), "{table}: {}", quiet.err);
            import(dir.path(), &[]).exits(0);
            assert_eq!((all(dir.path()), doubled(dir.path())), (expected, 0), "{table} {checkpoint} {commit}");
        }
    }
}

#[test]
fn a_log_whose_newest_checkpoint_and_newest_commit_are_empty_is_repaired_once() {
    let before = damaged(|_| {});
    let expected = all(before.path());
    let newest = |lake: &Path| {
        let names = fs::read_dir(lake.join("traces/_delta_log")).expect("the log").map(|entry| entry.expect("an entry").path());
        names.filter(|path| path.extension().is_some_and(|kind| kind == "json")).max().expect("a commit")
    };
    let dir = damaged(|lake| {
        fs::write(newest(lake), "").expect("written");
        // Of the commit before it.
        fs::write(log(lake, "00000000000000000001.checkpoint.parquet"), "").expect("written");
    });
    kqlake(dir.path(), &["query", "traces | count"]).exits(6).says("kqlake compact --repair");
    let run = kqlake(dir.path(), &["compact", "--repair"]).exits(0);
    assert!(run.out.contains("was moved to"), "{}", run.out);
    let left = all(dir.path());
    // No import comes in between.
    for _ in 0..2 {
        assert!(kqlake(dir.path(), &["compact", "--repair"]).exits(0).out.contains("nothing to repair"));
        assert_eq!(all(dir.path()), left);
    }
    import(dir.path(), &[]).exits(0);
    assert_eq!((all(dir.path()), doubled(dir.path())), (expected, 0));
    assert!(kqlake(dir.path(), &["compact", "--repair"]).exits(0).out.contains("nothing to repair"));
}

#[test]
fn what_cannot_be_repaired_is_said_and_the_others_are_done() {
    let dir = damaged(|lake| {
        fs::remove_file(log(lake, COMMIT_ONE)).expect("removed");
        let other = lake.join("customEvents/_delta_log");
        fs::write(other.join("_last_checkpoint"), "{\"version\":1,\"size\":1}").expect("written");
        // As the library's store leaves it when it is cut off.
        fs::write(other.join(format!("{COMMIT_ZERO}#1")), "{").expect("written");
    });
    kqlake(dir.path(), &["compact", "--repair"]).exits(6).says(&format!("{COMMIT_ONE} is missing")).says("from a backup");
    let other = dir.path().join("lake/customEvents/_delta_log");
    assert!(!other.join("_last_checkpoint").exists() && !other.join(format!("{COMMIT_ZERO}#1")).exists());
    assert!(rows(dir.path(), "customEvents | count") > 0);
    let listed = kqlake(dir.path(), &["tables"]);
    assert!(csv_rows(&listed.out).iter().any(|row| row[0] == "customEvents"), "{}", listed.out);
}

#[test]
fn a_data_file_that_is_not_whole_cannot_be_repaired_and_the_log_is() {
    let cut = |path: &Path, bytes| fs::File::options().write(true).open(path).and_then(|file| file.set_len(bytes)).expect("cut");
    let half = |path: &Path| cut(path, fs::metadata(path).expect("a file").len() / 2);
    let cases: [(&dyn Fn(&Path), &str); 3] = [
        (&half, "were written"),
        (&|path| cut(path, 0), "has 0 bytes"),
        (&|path| fs::remove_file(path).expect("removed"), "is missing"),
    ];
    for (damage, reason) in cases {
        let dir = damaged(|lake| {
            damage(&data_file(lake, "2026-01-05"));
            fs::write(log(lake, "_last_checkpoint"), "{").expect("written");
        });
        for _ in 0..2 {
            let run = kqlake(dir.path(), &["compact", "--repair"]).exits(6);
            let run = run.says("cannot be repaired: table traces: the data file ").says(reason).says("help: restore the file");
            assert!(!run.out.contains("nothing to repair"), "{}", run.out);
        }
        assert_eq!(set_aside(&dir.path().join("lake"), "traces").0.len(), 1);
        kqlake(dir.path(), &["compact", "--repair", "requests"]).exits(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_deletes_no_file_of_a_landing_that_is_open() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    land(&lake, def("traces"), traces(&[("a", DAY)]), 1).await.expect("landed");
    let folders = fs::read_dir(dir.path().join("traces")).expect("the table").map(|entry| entry.expect("an entry").path());
    let folder = folders.into_iter().find(|path| path.to_string_lossy().contains('=')).expect("a partition");
    let at = |digit: char| folder.join(format!("part-3f0a6c1e-6a61-4c8e-9d0c-0c8f3f1b2a5{digit}.parquet"));
    let old = SystemTime::now() - Duration::from_secs(3_600);
    fs::write(at('0'), "given up").expect("written");
    fs::File::options().write(true).open(at('0')).and_then(|file| file.set_modified(old)).expect("aged");
    let open = lake.land(def("traces")).await.expect("a landing");
    fs::write(at('1'), "of the open landing").expect("written");
    // Two days later, by the clock that the lake is given.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time") + Duration::from_secs(2 * 86_400);
    let later = Lake::new(dir.path()).with_clock(Arc::new(FixedClock::at_micros(now.as_micros() as i64)));
    let compact = async || later.compact(def("traces"), &CompactOptions::default()).await.expect("compacted").deleted;
    assert_eq!((compact().await, at('0').exists(), at('1').exists()), (1, false, true));
    drop(open);
    assert_eq!((compact().await, at('1').exists()), (1, false));
    assert_eq!(number(&lake, "traces", "select count(*) from traces").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_leaves_the_files_of_a_landing_that_is_open() {
    let dir = damaged(|_| {});
    let lake = dir.path().join("lake");
    let folders = fs::read_dir(lake.join("requests")).expect("the table").map(|entry| entry.expect("an entry").path());
    let folder = folders.into_iter().find(|path| path.to_string_lossy().contains('=')).expect("a partition");
    let open = Lake::new(&lake).land(def("requests")).await.expect("a landing");
    let own = "part-3f0a6c1e-6a61-4c8e-9d0c-0c8f3f1b2a51.parquet";
    fs::write(folder.join(own), "of the open landing").expect("written");
    fs::write(lake.join("requests/_delta_log").join(COMMIT_ONE), "").expect("broken");
    kqlake(dir.path(), &["compact", "--repair"]).exits(0);
    let (files, _) = set_aside(&lake, "requests");
    assert!(files.iter().any(|path| path.extension().is_some_and(|kind| kind == "parquet")), "{files:?}");
    assert!(folder.join(own).exists() && !files.iter().any(|path| path.ends_with(own)), "{files:?}");
    drop(open);
}
