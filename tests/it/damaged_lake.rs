//! Lakes as a careless or hostile world leaves them: no command answers without rows that are there, begins something new over
//! what is left, or deletes it; whatever is not damaged goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionContext;
use kqlake_lake::{Damage, Lake, LakeError, lake_cause};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::lake::{DAY, def, land, traces};
use crate::support::{Run, copy, csv_rows, project, run_in};

/// Runs so far: each is a second after the one before, as the ledger tells them apart by their time.
static RUNS: AtomicU64 = AtomicU64::new(0);
const COMMIT_ONE: &str = "00000000000000000001.json";
const COMMIT_TWO: &str = "00000000000000000002.json";

/// A lake with traces of seven days and other tables, which every test damages in a copy.
static SAMPLE: LazyLock<TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a temporary folder");
    import(dir.path(), &[]).exits(0);
    dir
});

/// The same with a data file of its own for the first day.
static APART: LazyLock<TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let day = project().join("fixtures/app-insights/query-api/traces-2026-01-05.json");
    kqlake(dir.path(), &["import", "--from", &day.to_string_lossy()]).exits(0);
    import(dir.path(), &[]).exits(0);
    dir
});

pub fn source() -> String {
    project().join("fixtures/app-insights/query-api").to_string_lossy().into_owned()
}

pub fn kqlake(dir: &Path, args: &[&str]) -> Run {
    let second = RUNS.fetch_add(1, Ordering::Relaxed);
    let now = format!("2026-01-12T03:{:02}:{:02}Z", second / 60, second % 60);
    run_in(dir, &[&["--now", &now, "--lake", "lake"], args].concat())
}

pub fn import(dir: &Path, more: &[&str]) -> Run {
    kqlake(dir, &[&["import", "--from", &source()], more].concat())
}

pub fn damaged(damage: impl FnOnce(&Path)) -> TempDir {
    let dir = copied(&SAMPLE);
    damage(&dir.path().join("lake"));
    dir
}

fn copied(sample: &TempDir) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    copy(&sample.path().join("lake"), &dir.path().join("lake"));
    dir
}

pub fn log(lake: &Path, name: &str) -> PathBuf {
    lake.join("traces/_delta_log").join(name)
}

/// The data file of traces of a day: of those whose times reach into it the one that reaches least far.
pub fn data_file(lake: &Path, day: &str) -> PathBuf {
    let table = lake.join("traces");
    let at = |hour: &str| format!("{day}T{hour}Z").parse::<DateTime<Utc>>().expect("a day").timestamp_micros();
    let (first, last) = (at("00:00:00"), at("23:59:59"));
    let mut found = Vec::new();
    for commit in fs::read_dir(table.join("_delta_log")).expect("a log").map(|e| e.expect("an entry").path()) {
        for line in fs::read_to_string(&commit).unwrap_or_default().lines() {
            let action: Value = serde_json::from_str(line).expect("JSON");
            let add = &action["add"];
            let Some((from, to)) = add["tags"]["kqlake.time"].as_str().and_then(|times| times.split_once('/')) else { continue };
            let (from, to): (i64, i64) = (from.parse().expect("a time"), to.parse().expect("a time"));
            if from <= last && first <= to {
                found.push((to - from, table.join(add["path"].as_str().expect("a path"))));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, path)| path).find(|path| path.exists()).expect("a file of the day")
}

pub fn rows(dir: &Path, query: &str) -> i64 {
    let run = kqlake(dir, &["query", query]).exits(0);
    csv_rows(&run.out)[1][0].parse().expect("a number")
}

/// An answer of the query API with traces: (day, the beginning of an id).
fn answer(traces: &[(&str, &str)]) -> String {
    let column = |name: &str, ty: &str| json!({ "name": name, "type": ty });
    let columns =
        [column("timestamp", "datetime"), column("message", "string"), column("itemId", "string"), column("itemType", "string")];
    let row = |(day, id): &(&str, &str)| json!([format!("{day}T10:00:00Z"), "a message", format!("{id}-{day}"), "trace"]);
    let rows: Vec<Value> = traces.iter().map(row).collect();
    json!({ "tables": [{ "name": "PrimaryResult", "columns": columns, "rows": rows }] }).to_string()
}

/// Every file below a folder with its content, the positions of streams and log files aside.
fn content(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().map(|e| e.expect("an entry")) {
        let path = entry.path();
        if path.is_dir() {
            out.extend(content(&path));
        } else {
            // A pipe has nothing to read, and would be waited for.
            out.push((path.clone(), if path.is_file() { fs::read(&path).expect("a file") } else { Vec::new() }));
        }
    }
    out.sort();
    out
}

/// What every command must do with a table that is damaged as a whole: fail with status 6, name what is wrong and the way out,
/// leave the table as it is, and go on with the others.
pub fn refused_everywhere(dir: &TempDir, says: &str) {
    let table = dir.path().join("lake/traces");
    let before = content(&table);
    for command in [
        &["query", "traces | count"][..],
        &["sql", "SELECT count(*) FROM traces"],
        &["query", "AppTraces | count"],
        &["tables"],
        &["compact"],
        &["export", "traces", "--to", "out"],
        &["import", "--from", &source()],
        &["import", "--from", &source(), "--again"],
    ] {
        let run = kqlake(dir.path(), command).exits(6).says(says).says("help: ");
        for noise in ["backtrace", "Kernel error", "Error {", "stack", "object_store"] {
            assert!(!run.err.contains(noise), "{}: {}", run.args, run.err);
        }
    }
    assert!(before == content(&table), "a command changed the damaged table");
    assert!(rows(dir.path(), "customEvents | count") > 0);
    let listed = kqlake(dir.path(), &["tables"]);
    assert!(listed.out.contains("customEvents,") && !listed.out.contains("\ntraces,"), "{}", listed.out);
}

#[test]
fn rows_without_a_log_are_never_taken_for_an_empty_table() {
    for damage in [
        (|lake: &Path| fs::remove_dir_all(lake.join("traces/_delta_log")).expect("removed")) as fn(&Path),
        |lake| {
            fs::remove_dir_all(lake.join("traces/_delta_log")).expect("removed");
            fs::create_dir(lake.join("traces/_delta_log")).expect("made");
        },
        |lake| {
            fs::remove_dir_all(lake.join("traces/_delta_log")).expect("removed");
            fs::create_dir(lake.join("traces/_delta_log")).expect("made");
            fs::write(log(lake, "_last_checkpoint"), "{\"version\":2}").expect("written");
        },
    ] {
        refused_everywhere(&damaged(damage), "lake/traces holds Parquet files without a log");
    }
}

#[test]
fn a_log_that_is_not_whole_names_its_file() {
    let cut = |path: PathBuf, bytes: u64| {
        let len = fs::metadata(&path).expect("a commit").len();
        fs::File::options().write(true).open(path).and_then(|file| file.set_len(len - bytes)).expect("cut");
    };
    refused_everywhere(
        &damaged(|lake| fs::write(log(lake, COMMIT_TWO), "").expect("emptied")),
        &format!("{COMMIT_TWO} is empty"),
    );
    refused_everywhere(&damaged(|lake| cut(log(lake, COMMIT_ONE), 30)), &format!("{COMMIT_ONE} is cut off"));
    refused_everywhere(&damaged(|lake| fs::write(log(lake, COMMIT_ONE), "hello\n").expect("written")), COMMIT_ONE);
    refused_everywhere(&damaged(|lake| fs::write(log(lake, COMMIT_ONE), [0; 512]).expect("written")), COMMIT_ONE);
    refused_everywhere(
        &damaged(|lake| fs::remove_file(log(lake, COMMIT_ONE)).expect("removed")),
        &format!("{COMMIT_ONE} is missing"),
    );
    refused_everywhere(
        &damaged(|lake| fs::remove_file(log(lake, COMMIT_TWO)).expect("removed")),
        &format!("{COMMIT_TWO} is missing"),
    );
    let between_lines = damaged(|lake| {
        let text = fs::read_to_string(log(lake, COMMIT_ONE)).expect("a commit");
        let lines: Vec<&str> = text.lines().collect();
        fs::write(log(lake, COMMIT_ONE), lines[..lines.len() - 3].join("\n")).expect("written");
    });
    refused_everywhere(&between_lines, &format!("{COMMIT_ONE} is cut off"));
}

#[test]
fn a_table_knows_its_name() {
    let dir = damaged(|lake| {
        fs::remove_dir_all(lake.join("traces")).expect("removed");
        copy(&lake.join("customEvents"), &lake.join("traces"));
    });
    refused_everywhere(&dir, "lake/traces holds the table customEvents");
    // Without a name its columns tell: every event has a key that traces do not have.
    let unnamed = |of: &Path| {
        let first = of.join("_delta_log/00000000000000000000.json");
        let text = fs::read_to_string(&first).expect("the first commit");
        let lines = text.lines().map(|line| {
            let mut action: Value = serde_json::from_str(line).expect("JSON");
            if let Some(meta) = action.get_mut("metaData").and_then(Value::as_object_mut) {
                meta.remove("name");
            }
            action.to_string()
        });
        fs::write(first, lines.collect::<Vec<_>>().join("\n")).expect("written");
    };
    let dir = damaged(|lake| unnamed(&lake.join("traces")));
    assert_eq!(rows(dir.path(), "traces | count"), rows(SAMPLE.path(), "traces | count"));
    let dir = damaged(|lake| {
        fs::remove_dir_all(lake.join("traces")).expect("removed");
        copy(&lake.join("ImportLedger"), &lake.join("traces"));
        unnamed(&lake.join("traces"));
    });
    refused_everywhere(&dir, "lake/traces holds a table without the column itemId");
}

#[test]
fn a_file_in_the_place_of_a_table_is_no_table() {
    let dir = damaged(|lake| {
        fs::remove_dir_all(lake.join("traces")).expect("removed");
        fs::write(lake.join("traces"), "mine").expect("written");
    });
    for command in [&["query", "traces | count"][..], &["tables"], &["compact"], &["import", "--from", &source()]] {
        kqlake(dir.path(), command).exits(6).says("lake/traces is not a folder").says("help: ");
    }
    assert_eq!(fs::read(dir.path().join("lake/traces")).expect("the file"), b"mine");
}

#[test]
fn a_table_that_is_missing_is_no_empty_table() {
    let all = rows(SAMPLE.path(), "traces | count");
    let says = format!("the table is missing; {{}}_intents/traces says that it held {all} rows");
    for damage in [(|lake: &Path| fs::remove_dir_all(lake.join("traces")).expect("removed")) as fn(&Path), |lake| {
        fs::remove_dir_all(lake.join("traces")).expect("removed");
        fs::create_dir_all(lake.join("traces/_delta_log")).expect("made");
    }] {
        let dir = damaged(damage);
        let lake = fs::canonicalize(dir.path()).expect("the folder").join("lake/");
        refused_everywhere(&dir, &says.replace("{}", &lake.to_string_lossy()));
        // A program that knew the table sees it too.
        kqlake(dir.path(), &["import", "--from", &source()]).exits(6).says("move the folder").says("_intents/traces away");
        // The way out that the message names, for whoever removed the table on purpose.
        fs::rename(dir.path().join("lake/_intents/traces"), dir.path().join("away")).expect("moved away");
        assert_eq!(rows(dir.path(), "traces | count"), 0);
        import(dir.path(), &[]).exits(0);
        assert!(rows(dir.path(), "traces | count") >= all);
    }
}

#[test]
fn a_unit_is_imported_again_when_its_table_is_gone_or_was_put_back() {
    let all = rows(SAMPLE.path(), "traces | where operation_Name !endswith 'Importer' | count");
    let own = |dir: &Path| rows(dir, "traces | where operation_Name !endswith 'Importer' | count");
    let gone = |lake: &Path| {
        fs::remove_dir_all(lake.join("traces")).expect("removed");
        fs::remove_dir_all(lake.join("_intents/traces")).expect("removed");
    };
    let dir = damaged(gone);
    assert_eq!(rows(dir.path(), "traces | count"), 0);
    import(dir.path(), &[]).exits(0);
    assert_eq!(own(dir.path()), all);
    // Put back to before its rows, by the way out that the message names.
    let dir = damaged(|lake| {
        fs::remove_file(log(lake, COMMIT_TWO)).expect("removed");
        fs::remove_file(log(lake, COMMIT_ONE)).expect("removed");
    });
    kqlake(dir.path(), &["query", "traces | count"]).exits(6).says("kqlake compact --repair");
    let run = kqlake(dir.path(), &["compact", "--repair"]).exits(0);
    assert!(run.out.contains("positions.json was moved to") && run.out.contains("import` lands them again"), "{}", run.out);
    assert_eq!(rows(dir.path(), "traces | count"), 0);
    // An import of something else notes what is gone, so that a later one knows although the table has come further.
    let other = project().join("fixtures/app-insights/query-api/traces-2026-01-05.json");
    let once = kqlake(dir.path(), &["import", "--from", &other.to_string_lossy()]).exits(0);
    assert!(!once.err.contains("unchanged") && !once.out.contains("unchanged"), "{}{}", once.out, once.err);
    kqlake(dir.path(), &["import", "--from", &other.to_string_lossy(), "--again"]).exits(0);
    import(dir.path(), &[]).exits(0);
    assert_eq!(own(dir.path()), all);
    // Another table of the same name.
    let dir = damaged(gone);
    kqlake(dir.path(), &["import", "--from", &other.to_string_lossy(), "--again"]).exits(0);
    import(dir.path(), &[]).exits(0);
    assert_eq!(own(dir.path()), all);
}

#[test]
fn a_broken_data_file_fails_what_needs_it_and_nothing_else() {
    let garble = |path: &Path, from: usize| {
        let mut bytes = fs::read(path).expect("a file");
        bytes[from..].iter_mut().enumerate().for_each(|(at, byte)| *byte = (at * 31 % 251) as u8);
        fs::write(path, bytes).expect("written");
    };
    let damages: [fn(&Path, &dyn Fn(&Path, usize)); 4] = [
        |file, _| fs::remove_file(file).expect("removed"),
        |file, _| fs::write(file, "").expect("emptied"),
        |file, _| {
            let bytes = fs::read(file).expect("a file");
            fs::write(file, &bytes[..bytes.len() - 100]).expect("cut");
        },
        |file, garble| garble(file, 4),
    ];
    let all = rows(SAMPLE.path(), "traces | where operation_Name !endswith 'Importer' | summarize dcount(itemId, 4)");
    for damage in damages {
        let dir = copied(&APART);
        let file = data_file(&dir.path().join("lake"), "2026-01-05");
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let whole = fs::read(&file).expect("a file");
        damage(&file, &garble);
        for query in
            ["traces | summarize max(message)", "traces | where timestamp < datetime(2026-01-06) | project itemId", "AppTraces"]
        {
            kqlake(dir.path(), &["query", query]).exits(6).says(&name).says("help: ");
        }
        kqlake(dir.path(), &["sql", "SELECT max(message) FROM traces"]).exits(6).says(&name);
        kqlake(dir.path(), &["export", "traces", "--to", "out"]).exits(6).says(&name);
        assert!(rows(dir.path(), "traces | where timestamp >= datetime(2026-01-06) | summarize dcount(itemId)") > 0);
        // A new record of that day waits, one of another day lands.
        let fresh = [("2026-01-05", "fresh"), ("2026-01-06", "fresh")];
        fs::write(dir.path().join("new.json"), answer(&fresh)).expect("written");
        kqlake(dir.path(), &["import", "--from", "new.json"]).exits(6).says(&name).says("traces of 2026-01-05 did not land");
        assert_eq!(rows(dir.path(), "traces | where timestamp >= datetime(2026-01-06) and itemId startswith 'fresh' | count"), 1);
        let before = rows(dir.path(), "traces | where timestamp >= datetime(2026-01-06) | count");
        let run = import(dir.path(), &["--again"]).exits(6).says(&name).says("traces of 2026-01-05 did not land");
        assert_eq!(run.err.matches("did not land").count(), 1, "{}", run.err);
        let run = kqlake(dir.path(), &["ledger", "--failed"]).exits(0);
        assert!(run.out.contains("did not land"), "{}", run.out);
        let run = kqlake(dir.path(), &["tables"]);
        assert!(run.out.contains("customEvents,") && run.out.contains("\ntraces,"), "{}", run.out);
        assert!(rows(dir.path(), "traces | where timestamp >= datetime(2026-01-06) | count") >= before);
        // Mended, the next import lands what waited, and nothing twice.
        fs::write(&file, whole).expect("restored");
        import(dir.path(), &[]).exits(0);
        kqlake(dir.path(), &["import", "--from", "new.json"]).exits(0);
        assert_eq!(rows(dir.path(), "traces | where itemId startswith 'fresh' | count"), 2);
        let mine = "traces | where operation_Name !endswith 'Importer' and itemId !startswith 'fresh'";
        assert_eq!(rows(dir.path(), &format!("{mine} | summarize dcount(itemId, 4)")), all);
        assert_eq!(rows(dir.path(), "traces | summarize n = count() by itemId | where n > 1 | count"), 0);
    }
}

#[test]
fn compaction_leaves_a_broken_month_and_does_the_others() {
    let dir = damaged(|_| {});
    let lake = dir.path().join("lake");
    // Two files of another month, so that there is something to merge; this month has two.
    for day in ["2025-12-05", "2025-12-06"] {
        fs::write(dir.path().join(format!("{day}.json")), answer(&[(day, "more")])).expect("written");
        kqlake(dir.path(), &["import", "--from", &format!("{day}.json")]).exits(0);
    }
    let files = |month: &str| fs::read_dir(lake.join(format!("traces/event_month={month}"))).expect("a folder").count();
    let before_it = files("2026-01-01");
    assert!(before_it > 1 && files("2025-12-01") == 2);
    let version = |run: Run| -> i64 {
        let line = run.out.lines().find(|line| line.starts_with("traces,")).expect("the table");
        line.split(',').nth(6).and_then(|version| version.parse().ok()).expect("a version")
    };
    let before = version(kqlake(dir.path(), &["tables"]).exits(0));
    let file = data_file(&lake, "2026-01-05");
    let size = fs::metadata(&file).expect("a file").len();
    fs::write(&file, vec![7; usize::try_from(size).expect("small")]).expect("garbled");
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    let run = kqlake(dir.path(), &["compact"]).exits(6).says(&name);
    assert!(run.out.contains("traces") && run.out.contains("2 files merged into 1"), "{}", run.out);
    assert_eq!(files("2026-01-01"), before_it, "nothing of the broken month is gone, and nothing new is there");
    assert_eq!(
        rows(dir.path(), "traces | where timestamp between (datetime(2025-12-06) .. 1d) and itemId startswith 'more' | count"),
        1
    );
    assert_eq!(version(kqlake(dir.path(), &["tables"])), before + 1, "the other month was compacted");
}

#[cfg(unix)]
#[test]
fn a_failing_import_leaves_no_table_behind() {
    // A link to nothing: the table's folder cannot be made.
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(dir.path().join("lake")).expect("made");
    std::os::unix::fs::symlink("nowhere", dir.path().join("lake/traces")).expect("a link");
    import(dir.path(), &[]).exits(6).says("lake/traces is not a folder");
    kqlake(dir.path(), &["query", "traces | count"]).exits(6);
    assert!(rows(dir.path(), "customEvents | count") > 0, "the other tables land");
    // A link to a folder is as good as the folder.
    let dir = damaged(|lake| {
        fs::rename(lake.join("traces"), lake.with_file_name("elsewhere")).expect("moved");
        std::os::unix::fs::symlink("../elsewhere", lake.join("traces")).expect("a link");
    });
    import(dir.path(), &["--again"]).exits(0);
    assert_eq!(rows(dir.path(), "traces | summarize n = count() by itemId | where n > 1 | count"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_goes_while_a_query_runs_is_named() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lake = Lake::new(dir.path());
    land(&lake, def("traces"), traces(&[("a", DAY), ("b", DAY + 1)]), 1).await.expect("landed");
    let context = SessionContext::new();
    let frame = context.read_table(lake.provider(def("traces")).await.expect("a table")).expect("a frame");
    let plan = frame.select_columns(&["message"]).expect("a column").create_physical_plan().await.expect("a plan");
    let file = data_file(dir.path(), "2026-01-05");
    fs::remove_file(&file).expect("removed");
    let error = collect(plan, context.task_ctx()).await.expect_err("the file is gone");
    let cause = lake_cause(&error);
    assert!(
        matches!(&cause, Some(LakeError::Damaged { damage: Damage::MissingFile { file: named }, .. }) if *named == file),
        "{cause:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_replaced_is_read_anew() {
    let (one, two) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let lake = Lake::new(one.path());
    land(&lake, def("traces"), traces(&[("a", DAY)]), 1).await.expect("landed");
    land(&Lake::new(two.path()), def("traces"), traces(&[("b", DAY), ("c", DAY)]), 1).await.expect("landed");
    let rows = async || lake.snapshot(def("traces")).await.expect("a snapshot").map(|table| table.stats().rows);
    assert_eq!(rows().await, Some(1));
    fs::remove_dir_all(one.path().join("traces")).expect("removed");
    fs::rename(one.path().join("_intents/traces"), two.path().join("positions")).expect("moved away");
    assert_eq!(rows().await, None);
    // Another table of the same name and version; commits of one do not go on from the other.
    copy(&two.path().join("traces"), &one.path().join("traces"));
    assert_eq!(rows().await, Some(2));
    land(&lake, def("traces"), traces(&[("b", DAY), ("d", DAY)]), 2).await.expect("landed");
    assert_eq!(rows().await, Some(3));
}

#[test]
fn a_commit_that_is_a_copy_is_no_commit() {
    const COMMIT_ZERO: &str = "00000000000000000000.json";
    let put = |lake: &Path, from: &str, to: &str| {
        fs::copy(log(lake, from), log(lake, to)).expect("copied");
    };
    refused_everywhere(&damaged(|lake| put(lake, COMMIT_TWO, COMMIT_ONE)), &format!("{COMMIT_ONE} is a copy of another"));
    for (from, to) in [(COMMIT_ZERO, COMMIT_ONE), (COMMIT_ONE, COMMIT_TWO), (COMMIT_ZERO, COMMIT_TWO)] {
        let dir = damaged(|lake| put(lake, from, to));
        kqlake(dir.path(), &["query", "traces | count"]).exits(6).says(&format!("{to} is a copy of another"));
    }
    let exchanged = damaged(|lake| {
        fs::rename(log(lake, COMMIT_ONE), log(lake, "one")).expect("moved");
        fs::rename(log(lake, COMMIT_TWO), log(lake, COMMIT_ONE)).expect("moved");
        fs::rename(log(lake, "one"), log(lake, COMMIT_TWO)).expect("moved");
    });
    kqlake(exchanged.path(), &["compact"]).exits(6).says(&format!("{COMMIT_ONE} is a copy of another"));
    // One line in the place of its neighbour, or of a line of another commit.
    let line = |lake: &Path, name: &str, at: usize| {
        fs::read_to_string(log(lake, name)).expect("a commit").lines().nth(at).expect("a line").to_owned()
    };
    let replaced = |lake: &Path, with: &str| {
        let text = fs::read_to_string(log(lake, COMMIT_ONE)).expect("a commit");
        let lines: Vec<&str> = text.lines().enumerate().map(|(at, line)| if at == 1 { with } else { line }).collect();
        fs::write(log(lake, COMMIT_ONE), lines.join("\n")).expect("written");
    };
    let neighbour = damaged(|lake| replaced(lake, &line(lake, COMMIT_ONE, 2)));
    refused_everywhere(&neighbour, &format!("{COMMIT_ONE} was changed"));
    let other = damaged(|lake| replaced(lake, &line(lake, COMMIT_TWO, 1)));
    kqlake(other.path(), &["query", "traces | count"]).exits(6).says(&format!("{COMMIT_ONE} was changed"));
    let began = damaged(|lake| replaced(lake, &line(lake, COMMIT_ZERO, 1)));
    kqlake(began.path(), &["query", "traces | count"]).exits(6).says(&format!("{COMMIT_ONE} was changed"));
}

#[test]
fn compaction_deletes_no_files_of_others() {
    let dir = damaged(|_| {});
    let lake = dir.path().join("lake");
    let month = lake.join("traces/event_month=2026-01-01");
    let kept = [
        month.join("notes.txt"),
        month.join("my.parquet"),
        month.join("part-1.parquet"),
        month.join("part-00000-3f0a6c1e-6a61-4c8e-9d0c-0c8f3f1b2a5d.c000.snappy.parquet"),
        lake.join("_intents/traces/my.own.notes"),
    ];
    let ours = month.join("part-3f0a6c1e-6a61-4c8e-9d0c-0c8f3f1b2a5d.parquet");
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    for path in kept.iter().chain([&ours]) {
        fs::write(path, "mine").expect("written");
        fs::File::options().write(true).open(path).and_then(|file| file.set_modified(long_ago)).expect("aged");
    }
    kqlake(dir.path(), &["compact"]).exits(0);
    for path in &kept {
        assert!(path.exists(), "{} was deleted", path.display());
    }
    assert!(!ours.exists(), "a landing that was given up is cleaned up");
}

#[test]
fn compaction_deletes_nothing_where_rows_were_lost() {
    let dir = damaged(|_| {});
    let lake = dir.path().join("lake");
    let ours = lake.join("traces/event_month=2026-01-01/part-3f0a6c1e-6a61-4c8e-9d0c-0c8f3f1b2a5d.parquet");
    fs::write(&ours, "mine").expect("written");
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(&ours).and_then(|file| file.set_modified(long_ago)).expect("aged");
    for entry in fs::read_dir(lake.join("_intents/traces")).expect("positions") {
        let path = entry.expect("a position").path();
        let mut intent: Value = serde_json::from_slice(&fs::read(&path).expect("a position")).expect("JSON");
        let rows = intent["rows"].as_u64().expect("the rows after the landing");
        intent["rows"] = (rows + 1_000).into();
        fs::write(&path, intent.to_string()).expect("written");
    }
    kqlake(dir.path(), &["compact"]).exits(0);
    assert!(ours.exists(), "it may be all that is left of the rows");
}

#[test]
fn a_unit_is_not_unchanged_while_a_data_file_of_its_table_is_damaged() {
    for damage in [(|file: &Path| fs::remove_file(file).expect("removed")) as fn(&Path), |file| {
        fs::write(file, "short").expect("written");
    }] {
        let dir = damaged(|_| {});
        let file = data_file(&dir.path().join("lake"), "2026-01-05");
        let whole = fs::read(&file).expect("a file");
        damage(&file);
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        import(dir.path(), &[]).exits(6).says(&name);
        fs::write(&file, whole).expect("restored");
        import(dir.path(), &[]).exits(0);
        assert!(import(dir.path(), &[]).exits(0).out.contains("unchanged"));
    }
}

#[test]
fn a_data_file_whose_columns_have_other_names_is_named() {
    let dir = damaged(|_| {});
    let file = data_file(&dir.path().join("lake"), "2026-01-05");
    let whole = fs::read(&file).expect("a file");
    let name = b"customDimensions_eventId";
    let places: Vec<usize> = whole.windows(name.len()).enumerate().filter(|(_, found)| found == name).map(|(at, _)| at).collect();
    let shown = file.file_name().expect("a name").to_string_lossy().into_owned();
    let mut refused = 0;
    for at in places {
        let mut changed = whole.clone();
        changed[at] ^= 8;
        fs::write(&file, changed).expect("written");
        for query in [&["query", "traces | order by itemId asc"][..], &["sql", "SELECT * FROM traces ORDER BY \"itemId\""][..]] {
            let run = kqlake(dir.path(), query);
            if run.status != 0 {
                run.exits(6).says(&shown).says("restore the file from a backup");
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
}

#[test]
fn a_log_that_names_files_elsewhere_is_refused() {
    for path in ["../customEvents/x.parquet", "/etc/x.parquet", "file:///etc/x.parquet", "s3://bucket/x.parquet"] {
        let dir = damaged(|lake| {
            let add = json!({ "add": { "path": path, "partitionValues": { "event_month": "2026-01-01" }, "size": 1,
                "modificationTime": 0, "dataChange": true } });
            fs::write(log(lake, "00000000000000000003.json"), add.to_string()).expect("written");
        });
        refused_everywhere(&dir, "00000000000000000003.json names a file outside of the table's folder");
    }
}

#[cfg(unix)]
#[test]
fn a_table_that_may_not_be_looked_into_stops_no_other() {
    use std::os::unix::fs::PermissionsExt as _;
    for folder in ["traces", "_intents/traces"] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let closed = dir.path().join("lake").join(folder);
        fs::create_dir_all(&closed).expect("made");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).expect("closed");
        // Whoever may look into everything cannot be kept out.
        let may_all = fs::read_dir(&closed).is_ok();
        let run = import(dir.path(), &[]);
        if !may_all {
            let run = run.exits(6);
            assert!(run.err.contains("traces"), "{}", run.err);
        }
        assert!(rows(dir.path(), "customEvents | count") > 0);
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).expect("opened");
        import(dir.path(), &[]).exits(0);
        assert!(rows(dir.path(), "traces | count") > 0);
    }
}
