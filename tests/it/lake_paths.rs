//! Paths of lakes as a careless or hostile world gives them: folders that are no lake, names that no table can lie behind, and
//! other things than files and folders at the lake's own paths.

use std::fs;
use std::path::Path;

use crate::damaged_lake::{damaged, data_file, import, kqlake, log, refused_everywhere, rows, source};
use crate::support::{Run, project, run_in};

const TRACES: [&str; 2] = ["query", "traces | count"];

/// Every path below a folder.
fn names(dir: &Path) -> Vec<std::path::PathBuf> {
    let paths = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    let mut found: Vec<_> = paths.flat_map(|path| [vec![path.clone()], names(&path)].concat()).collect();
    found.sort();
    found
}

#[test]
fn a_part_of_a_lake_and_what_is_above_one_are_no_lakes() {
    let dir = damaged(|_| {});
    let before = names(dir.path());
    for (path, says) in [
        ("lake/traces", "a part of the lake"),
        ("lake/traces/_delta_log", "a part of the lake"),
        ("lake/traces/new", "a part of the lake"),
        ("lake/customEvents/../_intents", "a part of the lake"),
        ("lake/_intents/traces", "a part of the lake"),
        (".", "lies in it"),
    ] {
        for command in
            [&TRACES[..], &["sql", "SELECT 1 FROM traces"], &["tables"], &["compact"], &["import", "--from", &source()]]
        {
            let run = run_in(dir.path(), &[&["--lake", path], command].concat()).exits(2).says(says).says("help: ");
            assert!(run.err.contains("--lake ") && run.out.is_empty(), "{}: {}{}", run.args, run.out, run.err);
        }
    }
    assert_eq!(before, names(dir.path()));
    // Folders with anything else in them are lakes without tables.
    fs::create_dir_all(dir.path().join("files/traces")).expect("a folder");
    assert!(run_in(dir.path(), &[&["--lake", "files"], &TRACES[..]].concat()).exits(0).out.contains("\n0"));
}

#[cfg(unix)]
#[test]
fn control_characters_in_a_path_are_refused_once_and_named() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, says) in [
        ("a\tb", "tab (U+0009)"),
        ("a\nb", "line feed (U+000A)"),
        ("a\rb", "carriage return (U+000D)"),
        ("a\u{1b}[2Jb", "escape (U+001B)"),
    ] {
        let folder = dir.path().join(name);
        fs::create_dir(&folder).expect("a folder");
        for command in [&TRACES[..], &["tables"], &["import", "--from", &source()]] {
            let named = run_in(dir.path(), &[&["--lake", name], command].concat()).exits(2).says(says).says("rename the folder");
            assert_eq!(named.err.matches("U+").count(), 1, "{}", named.err);
            run_in(&folder, &[&["--lake", "lake"], command].concat()).exits(2).says(says);
        }
        assert!(names(&folder).is_empty());
    }
}

#[cfg(unix)]
fn pipe(path: &Path) {
    fs::remove_file(path).or_else(|_| fs::remove_dir_all(path)).unwrap_or_default();
    assert!(std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
}

#[cfg(unix)]
#[test]
fn what_is_in_the_way_of_the_lakes_own_folders_is_named() {
    let in_the_way: [fn(&Path); 3] = [
        |path| {
            fs::remove_dir_all(path).unwrap_or_default();
            fs::write(path, "mine").expect("a file");
        },
        |path| {
            fs::remove_dir_all(path).unwrap_or_default();
            std::os::unix::fs::symlink("gone", path).expect("a link");
        },
        pipe,
    ];
    let bad = "timestamp,message,itemType,itemId\n2026-01-06T10:00:00Z,\"x\"y,trace,a1\n2026-01-06T10:00:00Z,x,trace,a2\n";
    for put in in_the_way {
        for (path, command) in [
            ("_intents", ["import", "--from", "bad.csv"]),
            ("_intents/traces", ["import", "--from", "bad.csv"]),
            ("_quarantine", ["import", "--from", "bad.csv"]),
        ] {
            let dir = damaged(|lake| put(&lake.join(path)));
            fs::write(dir.path().join("bad.csv"), bad).expect("a file");
            let says = format!("lake/{path} is not a folder");
            let run = kqlake(dir.path(), &command).exits(6).says(&says).says("help: ");
            assert!(run.err.contains(&format!("lake/{path} away")), "{}", run.err);
            assert!(rows(dir.path(), "traces | count") > 0);
            if path == "_intents/traces" {
                assert_eq!(rows(dir.path(), "ImportLedger | where unit endswith 'bad.csv' | count"), 1, "other tables go on");
            }
            // The way out that the message names.
            fs::remove_file(dir.path().join("lake").join(path)).expect("moved away");
            kqlake(dir.path(), &command).exits(5);
            assert_eq!(rows(dir.path(), "traces | where itemId == 'a2' | count"), 1);
        }
    }
}

#[cfg(unix)]
#[test]
fn pipes_at_the_paths_of_a_lake_are_named_and_not_waited_for() {
    for (file, says) in [
        ("_last_checkpoint", "_delta_log/_last_checkpoint is no regular file"),
        ("00000000000000000001.json", "00000000000000000001.json is no regular file"),
        ("00000000000000000002.checkpoint.parquet", "00000000000000000002.checkpoint.parquet is no regular file"),
    ] {
        refused_everywhere(&damaged(|lake| pipe(&log(lake, file))), says);
    }
    let position = |lake: &Path| names(&lake.join("_intents/traces")).into_iter().next().expect("a position");
    refused_everywhere(&damaged(|lake| pipe(&position(lake))), "is no regular file");
    let dir = damaged(|lake| pipe(&data_file(lake, "2026-01-05")));
    kqlake(dir.path(), &["query", "traces | summarize max(message)"]).exits(6).says("it is no regular file").says("help: ");
    kqlake(dir.path(), &["compact"]).exits(6).says("it is no regular file");
    import(dir.path(), &["--again"]).exits(6).says("did not land");
    assert!(rows(dir.path(), "customEvents | count") > 0);
}

#[cfg(unix)]
#[test]
fn a_lake_is_known_whichever_way_leads_to_it() {
    let dir = damaged(|lake| {
        let root = lake.parent().expect("a folder");
        std::os::unix::fs::symlink(".", root.join("here")).expect("a link");
        std::os::unix::fs::symlink("../lake/traces", root.join("lake/elsewhere")).expect("a link");
    });
    let before = names(&dir.path().join("lake"));
    for to in ["here/lake", "here/here/lake/new", "here/lake/_intents", "here/lake/elsewhere/x"] {
        kqlake(dir.path(), &["export", "traces", "--to", to]).exits(2).says("the lake");
    }
    kqlake(dir.path(), &["import", "--from", "here/lake", "--dry-run"]).exits(2).says("lies in the lake itself");
    assert_eq!(before, names(&dir.path().join("lake")));
}

#[test]
fn any_path_holds_a_lake() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir_all(dir.path().join("here/below")).expect("made");
    let trace = project().join("fixtures/app-insights/query-api/traces-2026-01-05.json");
    let trace = trace.to_string_lossy();
    for lake in
        ["../lakes/b", "./below/../lake", "with blank", "per%cent", "per%20cent", "ha#sh", "que?ry", "ünï", "st*r[1]", "."]
    {
        let at = |args: &[&str]| run_in(&dir.path().join("here"), &[&["--lake", &format!("{lake}/x")], args].concat());
        at(&["import", "--from", &trace]).exits(0);
        assert_eq!(
            at(&["query", "traces | where itemId != '' | count"]).exits(0).out,
            "Count\n42\n".replace("42", &count_of(&at))
        );
        at(&["compact"]).exits(0);
        assert!(at(&["sql", "SELECT max(message) FROM traces"]).exits(0).out.lines().count() > 1);
    }
    // The same through the configuration.
    fs::write(dir.path().join("here/kqlake.toml"), "lake = \"../lakes/b/x\"\n").expect("written");
    assert!(!run_in(&dir.path().join("here"), &["query", "traces | take 1 | count"]).exits(0).out.contains("\n0"));
}

/// The rows of the one file, counted another way.
fn count_of(at: &dyn Fn(&[&str]) -> Run) -> String {
    let run = at(&["sql", "SELECT \"itemId\" FROM traces"]).exits(0);
    (run.out.lines().count() - 1).to_string()
}

#[cfg(unix)]
#[test]
fn a_path_that_is_no_text_is_refused_before_anything_is_made() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lake = dir.path().join(std::ffi::OsStr::from_bytes(b"l\xffke"));
    let from = source();
    let mut command =
        crate::support::kqlake(["--lake".as_ref(), lake.as_os_str(), "import".as_ref(), "--from".as_ref(), from.as_ref()]);
    let output = command.output().expect("the program runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(!lake.exists());
}
