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
    fs::write(dir.path().join("odd.ndjson"), "{\"odd\":1}\n").expect("a file");
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

/// What each unit's rows came to, by its name.
fn counts(summary: &ImportSummary) -> Vec<(u64, u64)> {
    summary.units.iter().map(|unit| (unit.duplicates.expect("it was read"), unit.replaced.expect("it was read"))).collect()
}

#[tokio::test]
async fn each_unit_of_one_commit_has_its_own_counts() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lake = Lake::new(&dir.path().join("lake"));
    let import = async |paths: &[PathBuf], seconds| import_paths(&lake, paths, &options(seconds), &()).await.expect("an import");
    // The last record of a file is the first of the next one.
    let paths = files(dir.path(), 60, |n| (2 * n..=2 * n + 2).map(|row| trace(row, "m")).collect());
    let summary = import(&paths, 0).await;
    let expected: Vec<(u64, u64)> = (0..60).map(|n| (u64::from(n > 0), 0)).collect();
    assert_eq!((counts(&summary), summary.duplicates()), (expected, 59));

    // A fuller row takes the place of a landed one, and of another that comes with it.
    let full = trace(5, "m").replace("\"itemType\"", "\"operation_Name\":\"o\",\"itemType\"");
    let fuller = full.replace("\"itemType\"", "\"user_Id\":\"u\",\"itemType\"");
    let texts = [trace(5, "m"), full, fuller + &trace(6, "m"), trace(1_000, "m")];
    let paths: Vec<PathBuf> = (0..4).map(|n| dir.path().join(format!("fuller{n}.ndjson"))).collect();
    paths.iter().zip(&texts).for_each(|(path, text)| fs::write(path, text).expect("a file"));
    assert_eq!(counts(&import(&paths, 1).await), [(1, 0), (1, 0), (1, 1), (0, 0)]);

    // A record whose id is known later: the row without one goes.
    let (named, nameless) = (trace(2_000, "n"), trace(2_000, "n"));
    let nameless = nameless.split(",\"itemId\"").next().expect("a beginning").to_owned() + "}\n";
    fs::write(&paths[0], &nameless).expect("a file");
    import(&paths[..1], 2).await;
    fs::write(&paths[0], trace(2_001, "other")).expect("a file");
    fs::write(&paths[1], nameless + &named).expect("a file");
    assert_eq!(counts(&import(&paths[..2], 3).await), [(0, 0), (1, 1)]);
    let ledger =
        "ImportLedger | where unit has 'fuller1' | summarize arg_max(startedAt, duplicates, replaced) | project-away startedAt";
    assert_eq!(query(dir.path(), ledger)[0], ["1", "1"]);
    assert_eq!(query(dir.path(), "traces | where message == 'n' | count")[0], ["1"]);
}

#[tokio::test]
async fn a_unit_of_several_commits_and_entries_of_an_archive_have_their_own_counts() {
    use std::io::Write as _;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lake = Lake::new(&dir.path().join("lake"));
    let message = "m".repeat(400);
    let rows = |from: usize, to: usize| (from..to).map(|row| trace(row, &message)).collect::<String>();
    let (first, large) = (dir.path().join("first.ndjson"), dir.path().join("large.ndjson"));
    // Of each ten thousand rows, a few are there.
    fs::write(&first, rows(100, 103) + &rows(20_000, 20_005) + &rows(39_000, 39_001)).expect("a file");
    fs::write(&large, rows(0, 40_000) + &rows(500, 502)).expect("a file");
    import_paths(&lake, &[first], &options(0), &()).await.expect("an import");
    let commits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&commits);
    let fault = Fault::new(move |step| {
        count.fetch_add(usize::from(step == Step::BeforeCommit), Ordering::Relaxed);
        false
    });
    let counted = Lake::with_fault(&dir.path().join("lake"), fault);
    let summary =
        import_paths(&counted, &[large], &ImportOptions { memory: 16 << 20, ..options(1) }, &()).await.expect("an import");
    assert!(commits.load(Ordering::Relaxed) > 3, "it has several commits");
    assert_eq!(counts(&summary), [(11, 0)]);

    let path = dir.path().join("a.zip");
    let mut writer = zip::ZipWriter::new(File::create(&path).expect("a file"));
    for (name, content) in [("0", rows(50_000, 50_003)), ("1", String::new()), ("2", rows(50_002, 50_004)), ("3", rows(1, 2))] {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).expect("an entry");
        writer.write_all(content.as_bytes()).expect("an entry");
    }
    writer.finish().expect("a zip");
    let summary = import_paths(&lake, &[path], &options(2), &()).await.expect("an import");
    assert_eq!(counts(&summary), [(0, 0), (0, 0), (1, 0), (1, 0)]);
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

#[test]
fn a_file_that_was_refused_for_its_dates_is_read_when_the_configuration_says_their_order() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::write(dir.path().join("a.csv"), "timestamp,message,itemId,itemType\n02/03/2026,x,1,trace\n").expect("a file");
    let import = |configuration: &str| {
        fs::write(dir.path().join("kqlake.toml"), format!("lake = \"lake\"\nfrom = [\"a.csv\"]\n{configuration}"))
            .expect("a file");
        run_in(dir.path(), &["import"])
    };
    import("").exits(5).says("could have the month or the day first");
    assert!(!import("").exits(0).err.contains("could have"));
    import("date_order = \"day-first\"\n").exits(0);
    let times = query(dir.path(), "traces | where message == 'x' | project timestamp");
    assert_eq!(times, [["2026-03-02T00:00:00.0000000Z"]]);
    assert!(import("date_order = \"month-first\"\n").exits(0).out.contains("unchanged"), "what is in the lake is not read again");
}

#[test]
fn a_tenant_that_nobody_knows_is_told() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::write(dir.path().join("odd.ndjson"), trace(1, "m")).expect("a file");
    run_in(dir.path(), &["--lake", "lake", "import", "--from", "odd.ndjson"]).exits(0);
    for args in [["ledger", "--tenant", "nope"].as_slice(), &["ledger", "--units", "--tenant", "nope"]] {
        run_in(dir.path(), &[&["--lake", "lake"], args].concat()).exits(2).says("there is no tenant `nope`");
    }
    let tenant = "[tenants.contoso]\nid = \"11111111-2222-3333-4444-555555555555\"\nclient_id = \"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee\"\nclient_secret = { env = \"A\" }\n";
    fs::write(dir.path().join("kqlake.toml"), format!("lake = \"lake\"\n{tenant}")).expect("a file");
    run_in(dir.path(), &["ledger", "--tenant", "contosso"]).exits(2).says("did you mean `contoso`?");
    run_in(dir.path(), &["ledger", "--tenant", "contoso"]).exits(0);
}
