//! The ledger follows each commit: what is in it is in the lake, whatever ended the run; what it knows is not read again.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use kqlake_import::{ImportOptions, ImportSummary, UnitState, import_paths};
use kqlake_lake::Lake;
use kqlake_lake::fault::{Fault, Step};
use kqlake_value::clock::FixedClock;

use super::support::{csv_rows, run_in};

/// A time after that of any file that a test writes: 2100-01-01.
const LATER: i64 = 4_102_444_800_000_000;

fn options(seconds: i64) -> ImportOptions {
    ImportOptions { clock: Arc::new(FixedClock::at_micros(LATER + seconds * 1_000_000)), ..ImportOptions::default() }
}

fn trace(id: usize, message: &str) -> String {
    format!(
        "{{\"timestamp\":\"2026-01-05T07:23:07Z\",\"message\":\"{message}\",\"itemType\":\"trace\",\"itemId\":\"{id:08}-0000-4000-8000-000000000000\"}}\n"
    )
}

fn audit(id: usize) -> String {
    format!(
        "{{\"CreationTime\":\"2026-01-08T16:44:07\",\"Id\":\"{id:08}-7b1d-4e55-9a10-08de4d00aa01\",\"Operation\":\"FileModified\",\"RecordType\":6,\"UserType\":0,\"Workload\":\"OneDrive\"}}\n"
    )
}

fn states(summary: &ImportSummary) -> Vec<UnitState> {
    summary.units.iter().map(|unit| unit.state).collect()
}

/// Rows of a query over the lake in a folder, without the heading.
fn query(dir: &Path, query: &str) -> Vec<Vec<String>> {
    let out = run_in(dir, &["--lake", "lake", "query", query, "-f", "csv"]).exits(0).out;
    csv_rows(&out).into_iter().skip(1).collect()
}

fn files(dir: &Path, count: usize, content: impl Fn(usize) -> String) -> Vec<PathBuf> {
    let paths = (0..count).map(|n| dir.join(format!("{n:03}.ndjson")));
    paths
        .enumerate()
        .map(|(n, path)| {
            fs::write(&path, content(n)).expect("a file");
            path
        })
        .collect()
}

#[tokio::test]
async fn after_a_fault_at_a_later_commit_the_finished_files_are_known_and_the_failure_has_its_row() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // With little memory every few files are committed.
    let message = "m".repeat(400);
    let paths = files(dir.path(), 20, |n| (0..2_000).map(|row| trace(n * 2_000 + row, &message)).collect());
    let memory = 8 << 20;
    let steps = Arc::new(AtomicUsize::new(0));
    let fault = {
        let steps = Arc::clone(&steps);
        Fault::new(move |step| step == Step::BeforeCommit && steps.fetch_add(1, Ordering::Relaxed) == 4)
    };
    let lake = Lake::with_fault(&dir.path().join("lake"), fault);
    let broken = import_paths(&lake, &paths, &ImportOptions { memory, ..options(0) }, &()).await;
    assert!(broken.is_err(), "{broken:?}");
    let tried = query(dir.path(), "ImportLedger | project unit, state, reason, rows | sort by unit asc");
    let done = tried.iter().filter(|row| row[1] == "done").count();
    let failed: Vec<_> = tried.iter().filter(|row| row[1] == "failed").collect();
    assert!(done >= 2 && !failed.is_empty() && done + failed.len() < 20, "{tried:?}");
    assert!(failed.iter().all(|row| row[2].contains("not all in the lake")), "{tried:?}");

    let lake = Lake::new(&dir.path().join("lake"));
    let again = import_paths(&lake, &paths, &ImportOptions { memory, ..options(60) }, &()).await.expect("an import");
    let unchanged = states(&again).iter().filter(|state| **state == UnitState::Unchanged).count();
    assert_eq!(unchanged, done, "what was finished is not read again");
    assert!(states(&again).iter().all(|state| matches!(state, UnitState::Unchanged | UnitState::Done)));
    let count = query(dir.path(), "traces | where operation_Name !endswith 'Importer' | summarize count(), dcount(itemId, 4)");
    assert_eq!(count[0], ["40000", "40000"]);
    assert!(query(dir.path(), "ImportLedger | summarize arg_max(startedAt, *) by unit | where state != 'done'").is_empty());
}

#[test]
fn a_file_without_content_is_no_failure() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::write(dir.path().join("none.ndjson"), "").expect("a file");
    fs::write(dir.path().join("odd.ndjson"), "{\"itemType\":\"trace\"}\n").expect("a file");
    run_in(dir.path(), &["--lake", "lake", "import", "--from", "none.ndjson", "odd.ndjson"]).exits(5);
    let states = query(dir.path(), "ImportLedger | project state, unit | sort by state asc");
    assert_eq!(states.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["empty", "unknown"], "{states:?}");
    let failed = csv_rows(&run_in(dir.path(), &["--lake", "lake", "ledger", "--failed", "-f", "csv"]).exits(0).out);
    let units: Vec<&str> = failed.iter().skip(1).map(|row| row[2].as_str()).collect();
    assert!(units.len() == 1 && units[0].ends_with("odd.ndjson"), "{failed:?}");
}

#[tokio::test]
async fn an_archive_that_was_cut_off_is_read_again_whole() {
    use std::io::Write as _;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("a.zip");
    let mut writer = zip::ZipWriter::new(File::create(&path).expect("a file"));
    let message = "m".repeat(400);
    for (name, content) in [
        ("0-empty.ndjson", String::new()),
        ("1-large.ndjson", (0..40_000).map(|row| trace(row, &message)).collect()),
        ("2-last.ndjson", trace(40_000, "last")),
    ] {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).expect("an entry");
        writer.write_all(content.as_bytes()).expect("an entry");
    }
    writer.finish().expect("a zip");
    for broken_at in [0, 2] {
        let lake = dir.path().join(format!("lake{broken_at}"));
        let steps = Arc::new(AtomicUsize::new(0));
        let fault = Fault::new(move |step| step == Step::BeforeCommit && steps.fetch_add(1, Ordering::Relaxed) == broken_at);
        let memory = 16 << 20;
        let paths = std::slice::from_ref(&path);
        let broken = import_paths(&Lake::with_fault(&lake, fault), paths, &ImportOptions { memory, ..options(0) }, &()).await;
        assert!(broken.is_err());
        let again = import_paths(&Lake::new(&lake), paths, &options(60), &()).await.expect("an import");
        assert_eq!(states(&again), [UnitState::Empty, UnitState::Done, UnitState::Done], "{broken_at}");
        let run =
            |text: &str| run_in(dir.path(), &["--lake", lake.to_str().expect("a path"), "query", text, "-f", "csv"]).exits(0);
        let count = run("traces | where operation_Name !endswith 'Importer' | summarize count(), dcount(itemId, 4)");
        assert_eq!(csv_rows(&count.out)[1], ["40001", "40001"], "{broken_at}");
        let failed = run("ImportLedger | summarize arg_max(startedAt, *) by unit | where state !in ('done', 'empty')");
        assert_eq!(csv_rows(&failed.out).len(), 1, "{}", failed.out);
    }
}

#[tokio::test]
async fn a_unit_is_finished_when_its_rows_of_all_tables_are_committed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let message = "m".repeat(400);
    // An audit record alone would wait for the end of the run.
    let paths = files(dir.path(), 6, |n| audit(n) + &(0..4_000).map(|row| trace(n * 4_000 + row, &message)).collect::<String>());
    let commits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&commits);
    let fault = Fault::new(move |step| {
        count.fetch_add(usize::from(step == Step::BeforeCommit), Ordering::Relaxed);
        false
    });
    let lake = Lake::with_fault(&dir.path().join("lake"), fault);
    let summary = import_paths(&lake, &paths, &ImportOptions { memory: 16 << 20, ..options(0) }, &()).await.expect("an import");
    assert!(summary.is_complete());
    assert!(commits.load(Ordering::Relaxed) > 6, "the run had several checkpoints");
    assert_eq!(query(dir.path(), "AuditRecords | count")[0], ["6"]);
    let rows =
        query(dir.path(), "ImportLedger | sort by unit asc | project state, rows, duplicates, replaced, tableName, tables");
    assert_eq!(rows.len(), 6);
    let tables = r#"{"AuditRecords":1,"traces":4000}"#;
    assert!(rows.iter().all(|row| row[..] == ["done", "4001", "0", "0", "", tables]), "{rows:?}");
}

#[tokio::test]
async fn many_small_files_are_few_commits() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let paths = files(dir.path(), 400, |n| trace(n, "m"));
    let lake = Lake::new(&dir.path().join("lake"));
    let summary = import_paths(&lake, &paths, &options(0), &()).await.expect("an import");
    assert_eq!((summary.units.len(), summary.tables["traces"].new), (400, 400));
    let names: Vec<&str> = summary.units.iter().map(|unit| unit.name.as_str()).collect();
    assert!(names.is_sorted(), "units come in the order in which they were listed");
    let commits = |table: &str| {
        let log = dir.path().join("lake").join(table).join("_delta_log");
        fs::read_dir(log)
            .expect("a log")
            .filter(|e| e.as_ref().is_ok_and(|e| e.path().extension().is_some_and(|x| x == "json")))
            .count()
    };
    // One makes the table; the run's own log lines are another one of traces.
    assert!(commits("traces") <= 3 && commits("ImportLedger") <= 2, "{} {}", commits("traces"), commits("ImportLedger"));
    assert_eq!(
        query(dir.path(), "ImportLedger | where state == 'done' and tableName == 'traces' and duplicates == 0 | count")[0],
        ["400"]
    );
}

#[tokio::test]
async fn the_ledger_says_what_was_there_already_and_what_was_replaced() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lake = Lake::new(&dir.path().join("lake"));
    let import = async |name: &str, content: &str, seconds| {
        let path = dir.path().join(name);
        fs::write(&path, content).expect("a file");
        import_paths(&lake, &[path], &options(seconds), &()).await.expect("an import")
    };
    let call = |version: u32| {
        format!(
            r#"{{"id":"c1","version":{version},"type":"groupCall","modalities":["audio"],"startDateTime":"2026-01-06T12:30:39Z","endDateTime":"2026-01-06T12:35:45Z","sessions":[]}}"#
        )
    };
    import("a.ndjson", &(trace(1, "a") + &trace(2, "b")), 0).await;
    import("b.ndjson", &(trace(2, "b") + &trace(3, "c")), 1).await;
    import("c.json", &call(1), 2).await;
    import("d.json", &call(2), 3).await;
    let rows = query(dir.path(), "ImportLedger | sort by startedAt asc | project tableName, rows, duplicates, replaced, attempt");
    let expected = [
        ["traces", "2", "0", "0", "1"],
        ["traces", "2", "1", "0", "1"],
        ["CallRecords", "1", "0", "0", "1"],
        ["CallRecords", "1", "0", "1", "1"],
    ];
    assert_eq!(rows, expected);
}

/// Sets the time of a file's last write.
fn touch(path: &Path, seconds: u64) {
    let file = File::options().write(true).open(path).expect("a file");
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).expect("a time");
}

#[cfg(unix)]
#[tokio::test]
async fn files_at_rest_are_recognised_without_reading_them() {
    use std::io::Write as _;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lake = Lake::new(&dir.path().join("lake"));
    let plain = dir.path().join("a.ndjson");
    fs::write(&plain, trace(1, "a")).expect("a file");
    let zip = dir.path().join("b.zip");
    let mut writer = zip::ZipWriter::new(File::create(&zip).expect("a file"));
    for name in ["x.ndjson", "y.ndjson"] {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).expect("an entry");
        writer.write_all(trace(2, name).as_bytes()).expect("an entry");
    }
    writer.finish().expect("a zip");
    let paths = [plain.clone(), zip];
    let import = async |options: ImportOptions| import_paths(&lake, &paths, &options, &()).await.expect("an import");
    let first = import(options(0)).await;
    assert!(first.bytes > 0 && first.is_complete());
    let second = import(options(1)).await;
    assert_eq!((second.bytes, states(&second)), (0, vec![UnitState::Unchanged; 3]));
    // `bytes` counts what units read; that nothing at all is opened shows when nothing could be.
    let away = dir.path().join("away");
    fs::rename(&plain, &away).expect("moved");
    fs::rename(&away, &plain).expect("moved back");
    let content = fs::read(&plain).expect("content");
    // A new inode with the same content: the content decides, and the new stamp is noted once.
    fs::remove_file(&plain).expect("removed");
    fs::write(&plain, &content).expect("a file");
    touch(&plain, 1_000);
    let versions = || fs::read_dir(dir.path().join("lake/ImportLedger/_delta_log")).expect("a log").count();
    let before = versions();
    assert_eq!(states(&import(options(2)).await), vec![UnitState::Unchanged; 3]);
    let noted = versions();
    assert!(noted > before);
    assert_eq!(states(&import(options(3)).await), vec![UnitState::Unchanged; 3]);
    assert_eq!(versions(), noted);
    // Other content of the same size is read, whatever time it is given.
    fs::write(&plain, trace(9, "b")).expect("a file");
    touch(&plain, 1_000);
    let changed = import(options(4)).await;
    assert_eq!((states(&changed)[0], changed.tables["traces"].new), (UnitState::Done, 1));
    let again = import(ImportOptions { again: true, ..options(5) }).await;
    assert_eq!(states(&again), [UnitState::Done; 3]);
    assert!(again.bytes > 0);
}

#[tokio::test]
async fn a_file_that_was_written_just_now_is_known_by_its_content_alone() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lake = Lake::new(&dir.path().join("lake"));
    let path = dir.path().join("a.ndjson");
    fs::write(&path, trace(1, "a")).expect("a file");
    // The clock stands before the file's time: another write may come within the same tick of the file system.
    let now =
        |seconds: i64| ImportOptions { clock: Arc::new(FixedClock::at_micros(seconds * 1_000_000)), ..ImportOptions::default() };
    let import = async |seconds| import_paths(&lake, std::slice::from_ref(&path), &now(seconds), &()).await.expect("an import");
    assert_eq!(states(&import(1_000).await), [UnitState::Done]);
    let meta = fs::metadata(&path).expect("a file");
    fs::write(&path, trace(2, "b")).expect("a file");
    let file = File::options().write(true).open(&path).expect("a file");
    file.set_modified(meta.modified().expect("a time")).expect("a time");
    let second = import(2_000).await;
    assert_eq!((states(&second), second.tables["traces"].new), (vec![UnitState::Done], 1));
    assert_eq!(states(&import(3_000).await), [UnitState::Unchanged]);
}

#[test]
fn a_unit_has_one_newest_try_whatever_section_it_was_of() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let run = |now: &str, args: &[&str]| run_in(dir.path(), &[&["--now", now, "--lake", "lake"], args].concat());
    fs::write(dir.path().join("a.ndjson"), "no data\n").expect("a file");
    run("2026-02-01T00:00:00Z", &["import", "--from", "a.ndjson"]).exits(5);
    let failed = run("2026-02-01T01:00:00Z", &["ledger", "--failed", "-f", "csv"]).exits(0);
    assert_eq!(csv_rows(&failed.out).len(), 2, "{}", failed.out);
    fs::write(dir.path().join("a.ndjson"), trace(1, "a")).expect("a file");
    run("2026-02-02T00:00:00Z", &["import", "--from", "a.ndjson"]).exits(0);
    let failed = run("2026-02-02T01:00:00Z", &["ledger", "--failed", "-f", "csv"]).exits(0);
    assert_eq!(csv_rows(&failed.out).len(), 1, "{}", failed.out);
    let all = run("2026-02-02T01:00:00Z", &["ledger", "--units", "-f", "csv"]).exits(0);
    let units: BTreeSet<String> = csv_rows(&all.out).into_iter().skip(1).map(|row| row[2].clone()).collect();
    assert_eq!((units.len(), csv_rows(&all.out).len()), (1, 2), "{}", all.out);
}
