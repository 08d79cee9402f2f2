//! What a command that writes must never do to files, folders and terminals, whatever a careless or hostile user gives it.

use std::fs;
use std::path::Path;

use super::support::run_in;

/// A query that gives rows for longer than any test takes.
const ENDLESS: &str = "range x from 1 to 4000000000 step 1";

fn empty() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).expect("a file")
}

/// Every command that writes a file which the user names.
const WRITERS: &[&[&str]] = &[
    &["query", "print x = 1"],
    &["query", "print x = 1", "--explain"],
    &["query", "print x = 1", "-f", "parquet"],
    &["sql", "SELECT 1 AS x"],
    &["run", "audit-activity"],
    &["queries"],
    &["queries", "audit-activity"],
    &["tables", "traces"],
    &["functions", "bin"],
    &["ledger"],
];

fn with<'a>(command: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [command, more].concat()
}

#[test]
fn a_folder_and_a_missing_folder_are_refused_with_advice() {
    let dir = empty();
    fs::create_dir(dir.path().join("folder")).expect("a folder");
    fs::write(dir.path().join("file"), "kept").expect("a file");
    for command in WRITERS {
        for path in ["folder", "folder/", "new/", "..", "."] {
            run_in(dir.path(), &with(command, &["-o", path])).exits(2).says("is a folder");
        }
        run_in(dir.path(), &with(command, &["-o", "missing/x"])).exits(6).says("make the folder first");
        run_in(dir.path(), &with(command, &["-o", "file/x"])).exits(6).says("is a file and no folder");
    }
    assert_eq!(
        (names(dir.path()), text(dir.path().join("file"))),
        (["file", "folder"].map(str::to_owned).to_vec(), "kept".into())
    );
}

#[test]
fn what_a_command_reads_and_the_lake_are_not_written_over() {
    let dir = empty();
    let root = dir.path();
    fs::create_dir_all(root.join("sql")).expect("a folder");
    fs::create_dir_all(root.join("data/lake/traces")).expect("a folder");
    for (file, content) in [("q.kql", "print 1"), ("q.sql", "SELECT 1"), ("sql/mine.kql", "print 1"), ("kqlake.toml", "")] {
        fs::write(root.join(file), content).expect("a file");
        let command: &[&str] = match file {
            "q.kql" => &["query", "@q.kql"],
            "q.sql" => &["sql", "@q.sql"],
            "sql/mine.kql" => &["run", "mine"],
            _ => &["query", "print 1"],
        };
        let round_about = format!("sql/../{file}");
        for output in [file, &round_about] {
            run_in(root, &with(command, &["-o", output, "-f", "csv"])).exits(2).says("would replace the file that is read");
            assert_eq!(text(root.join(file)), content);
        }
    }
    for output in ["data/lake/x.csv", "data/lake/traces/x.parquet", "sql/../data/lake/traces/new.csv"] {
        run_in(root, &["query", "print 1", "-o", output]).exits(2).says("lies in the lake");
    }
    assert!(names(&root.join("data/lake/traces")).is_empty());

    // An input of the query itself is read before it is replaced.
    fs::write(root.join("kqlake.toml"), "external_data = [\"look\"]").expect("a file");
    fs::create_dir(root.join("look")).expect("a folder");
    fs::write(root.join("look/in.csv"), "1\n2\n").expect("a file");
    run_in(root, &["query", "externaldata(a: long)['in.csv'] | extend a = a * 10", "-o", "look/in.csv"]).exits(0);
    assert_eq!(text(root.join("look/in.csv")), "a\n10\n20\n");
}

#[test]
fn a_query_that_fails_leaves_the_old_file_and_nothing_else() {
    let dir = empty();
    fs::write(dir.path().join("x.csv"), "old").expect("a file");
    // Rows are written when the time is over.
    run_in(dir.path(), &["--timeout", "700ms", "query", ENDLESS, "-o", "x.csv"]).exits(3).says("--timeout");
    run_in(dir.path(), &["query", "print 1; print 2", "-f", "parquet", "-o", "x.csv"]).exits(2).says("-f json");
    assert_eq!((names(dir.path()), text(dir.path().join("x.csv"))), (vec!["x.csv".to_owned()], "old".into()));
}

#[test]
fn an_export_does_not_touch_the_lake_nor_files_of_others() {
    let dir = empty();
    let root = dir.path();
    fs::create_dir_all(root.join("data/lake/traces")).expect("a folder");
    fs::create_dir_all(root.join("sql")).expect("a folder");
    fs::write(root.join("sql/lake.kql"), "print 1").expect("a file");
    for to in ["data/lake", "data/lake/", "data/lake/traces", "data/lake/new/deep", "sql/../data/lake", "./data/../data/lake/x"] {
        run_in(root, &["export", "audit-activity", "--to", to]).exits(2).says("the lake data/lake");
    }
    // Beside the lake only what mixes with it is refused.
    run_in(root, &["export", "lake", "--to", "data"]).exits(2).says("the lake is there");
    fs::create_dir_all(root.join("out/traces")).expect("a folder");
    run_in(root, &["--lake", "out/traces", "export", "traces", "--to", "out"]).exits(2).says("the lake is there");
    fs::write(root.join("kqlake.toml"), "export = \"data/lake\"\nfrom = [\"sql\"]").expect("a file");
    run_in(root, &["nightly"]).exits(2).says("is the lake");
    assert_eq!((names(&root.join("data/lake")), names(&root.join("data/lake/traces"))), (vec!["traces".to_owned()], Vec::new()));
    run_in(root, &["export", "audit-activity", "--to", "data"]).exits(0);

    let folder = root.join("data/audit-activity");
    for (name, told) in [
        ("notes.csv", false),
        ("audit-activity_old.csv", false),
        ("audit-activity_2026-01-1.csv", false),
        ("audit-activity_2026-01.csv", true),
        ("audit-activity_2026-01-05.csv", true),
    ] {
        fs::write(folder.join(name), "x").expect("a file");
        let run = run_in(root, &["export", "audit-activity", "--to", "data"]).exits(0);
        assert_eq!(run.err.contains(&format!("{name} stays")), told, "{name}: {}", run.err);
        assert_eq!(fs::read(folder.join(name)).expect("the file"), b"x");
    }
}

#[test]
fn a_saved_query_under_a_name_that_is_no_files_is_refused() {
    let dir = empty();
    fs::create_dir(dir.path().join("sql")).expect("a folder");
    for name in [".", "..", ".hidden", "datapackage.json"] {
        fs::write(dir.path().join(format!("sql/{name}.kql")), "// export: true\nprint 1").expect("a file");
    }
    for name in [".", "..", ".hidden", "datapackage.json"] {
        for command in ["export", "run", "queries"] {
            run_in(dir.path(), &[command, name]).exits(2).says("rename the file");
        }
    }
    let run = run_in(dir.path(), &["export", "--to", "out/deep"]).exits(5).says("sql/...kql").says("sql/.hidden.kql");
    assert!(run.out.contains("audit-activity"), "{}", run.out);
    assert_eq!(names(dir.path()), ["out", "sql"]);
    assert_eq!(names(&dir.path().join("out")), ["deep"]);
    assert!(names(&dir.path().join("out/deep")).iter().all(|name| !name.starts_with('.')));
}

#[test]
fn names_that_clash_on_other_systems_are_warned_of_and_exported() {
    let dir = empty();
    fs::create_dir(dir.path().join("sql")).expect("a folder");
    let names = ["NUL.x", "com1"];
    for name in names {
        fs::write(dir.path().join(format!("sql/{name}.kql")), "print 1").expect("a file");
    }
    let run = run_in(dir.path(), &["export", "NUL.x", "com1", "--to", "out"]).exits(0);
    for name in names {
        assert!(run.err.contains(&format!("warning: the name `{name}`")), "{}", run.err);
        assert!(dir.path().join(format!("out/{name}/{name}.csv")).is_file());
    }
    fs::write(dir.path().join("sql/traces.kql"), "print 1").expect("a file");
    fs::write(dir.path().join("sql/Traces.kql"), "print 1, 2").expect("a file");
    if fs::read_dir(dir.path().join("sql")).expect("a folder").count() == 4 {
        run_in(dir.path(), &["export", "traces", "Traces", "--to", "out"]).exits(0).says("differ only by case");
        run_in(dir.path(), &["queries"]).exits(0).says("differ only by case");
        let manifest: serde_json::Value = serde_json::from_str(&text(dir.path().join("out/datapackage.json"))).expect("JSON");
        let found: Vec<&str> =
            manifest["resources"].as_array().expect("an array").iter().filter_map(|r| r["name"].as_str()).collect();
        assert_eq!(found, ["Traces", "com1", "nul.x", "traces"]);
    }
}

#[test]
fn a_broken_file_among_the_saved_queries_is_named_and_the_rest_is_done() {
    let dir = empty();
    fs::create_dir_all(dir.path().join("sql/folder.kql")).expect("a folder");
    fs::write(dir.path().join("sql/latin.kql"), b"print 1\n| extend x = '\xe4'").expect("a file");
    fs::write(dir.path().join("sql/good.kql"), "// export: true\nprint x = 1").expect("a file");
    let run = run_in(dir.path(), &["queries"]).exits(5).says("sql/folder.kql").says("sql/latin.kql: line 2");
    assert!(run.out.contains("good,") && run.out.contains("audit-activity,"), "{}", run.out);
    run_in(dir.path(), &["export", "--to", "out"]).exits(5).says("sql/folder.kql").says("sql/latin.kql: line 2");
    assert_eq!(text(dir.path().join("out/good/good.csv")), "\u{feff}x\r\n1\r\n");
    for command in
        [&["run", "good"][..], &["queries", "good"], &["export", "good", "--to", "out"], &["query", "print 1"], &["tables"]]
    {
        let run = run_in(dir.path(), command).exits(0);
        assert!(!run.err.contains("latin"), "{}", run.err);
    }
    for command in ["run", "queries", "export"] {
        run_in(dir.path(), &[command, "latin"]).exits(2).says("sql/latin.kql: line 2");
    }
    run_in(dir.path(), &["check", "sql/latin.kql", "sql/good.kql"]).exits(5).says("sql/latin.kql");
    fs::write(dir.path().join("data.ndjson"), "").expect("a file");
    fs::write(dir.path().join("kqlake.toml"), "from = [\"data.ndjson\"]").expect("a file");
    run_in(dir.path(), &["nightly"]).exits(5).says("sql/folder.kql").says("sql/latin.kql: line 2");
    assert!(dir.path().join("data/export/good/good.csv").is_file());
}

#[test]
fn what_a_terminal_would_obey_is_shown_and_not_sent() {
    let dir = empty();
    let hostile = "a\u{1b}[31mb\nerror: forged\r\u{202e}";
    let query = format!("print ['x'] = 1 | project [{}]", serde_json::to_string(hostile).expect("a literal"));
    let commands: &[&[&str]] = &[
        &["query", &query],
        &["query", &format!("print 1 | project {hostile}")],
        &["query", &format!("@{hostile}")],
        &["query", "print 1", "-o", &format!("{hostile}/x")],
        &["run", hostile],
        &["queries", hostile],
        &["tables", hostile],
        &["functions", hostile],
        &["export", hostile],
        &["check", hostile],
        &["check", "--schema", hostile, "x"],
        &["import", "--from", hostile],
        &["--lake", hostile, "tables"],
        &["--config", hostile, "tables"],
        &["--timeout", hostile, "tables"],
        &["--now", hostile, "tables"],
        &["query", "print 1", "-f", hostile],
        &["query", "print 1", &format!("--{hostile}")],
        &["query", "print 1", &format!("--max-rows={hostile}")],
        &[hostile],
    ];
    for command in commands {
        let run = run_in(dir.path(), command);
        assert!(!run.err.is_empty(), "{}", run.args);
        assert!(!run.err.contains(['\u{1b}', '\r', '\u{202e}']), "{:?}", run.err);
        assert!(!run.err.lines().any(|line| line.starts_with("error: forged")), "{}", run.err);
    }
    let row = format!("print [{0}] = {0}, other = 1", serde_json::to_string(hostile).expect("a literal"));
    let run = run_in(dir.path(), &["query", &row, "-f", "table"]).exits(0);
    assert!(!run.out.contains(['\u{1b}', '\r', '\u{202e}']), "{:?}", run.out);
    assert_eq!(run.out.lines().count(), 5, "{}", run.out);
    assert_eq!(run.out.matches(r"a\u{1b}[31mb\nerror: forged\r\u{202e}").count(), 2, "{}", run.out);
    // Data for programs stays as it is.
    for format in ["csv", "json"] {
        let out = run_in(dir.path(), &["query", &row, "-f", format]).exits(0).out;
        let exact = if format == "csv" { hostile.to_owned() } else { serde_json::to_string(hostile).expect("JSON") };
        assert_eq!(out.matches(&exact).count(), 2, "{out:?}");
    }
}

/// Pipes, devices, links, modes and signals as Unix has them.
#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
    use std::process::{Child, Command, Stdio};

    use super::super::support::kqlake;
    use super::*;

    fn tool(name: &str, args: &[&str], dir: &Path) -> bool {
        let run = Command::new(name).args(args).current_dir(dir).stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    }

    /// A process that reads a pipe, and does not outlive a test that fails.
    struct PipeReader(Option<std::process::Child>);

    impl PipeReader {
        fn of(pipe: &str, dir: &Path) -> PipeReader {
            let reader = Command::new("cat").arg(pipe).current_dir(dir).stdout(Stdio::piped()).spawn();
            PipeReader(Some(reader.expect("cat")))
        }

        fn read(mut self) -> Vec<u8> {
            self.0.take().expect("a reader").wait_with_output().expect("cat ends").stdout
        }
    }

    impl Drop for PipeReader {
        fn drop(&mut self) {
            if let Some(reader) = &mut self.0 {
                let _ = reader.kill();
                let _ = reader.wait();
            }
        }
    }

    #[test]
    fn a_pipe_and_a_device_are_written_to_and_stay() {
        let dir = empty();
        let device = tool("mknod", &["null", "c", "1", "3"], dir.path());
        assert!(tool("mkfifo", &["pipe"], dir.path()));
        symlink("pipe", dir.path().join("link")).expect("a link");
        for command in WRITERS {
            for path in ["pipe", "link"] {
                let reader = PipeReader::of("pipe", dir.path());
                run_in(dir.path(), &with(command, &["-o", path])).exits(0);
                let read = reader.read();
                assert!(!read.is_empty(), "{command:?}");
                assert!(fs::symlink_metadata(dir.path().join("pipe")).expect("the pipe").file_type().is_fifo());
            }
            if device {
                run_in(dir.path(), &with(command, &["-o", "null"])).exits(0);
                assert!(fs::symlink_metadata(dir.path().join("null")).expect("the device").file_type().is_char_device());
            }
        }
        assert_eq!(names(dir.path()).len(), if device { 3 } else { 2 });
    }

    #[test]
    fn whatever_opens_a_pipe_says_that_it_waits() {
        use std::io::BufRead as _;

        let dir = empty();
        fs::create_dir_all(dir.path().join("out/traces")).expect("a folder");
        fs::write(dir.path().join("q.kql"), "print 1").expect("a file");
        assert!(tool("mkfifo", &["pipe", "out/traces/traces.csv"], dir.path()));
        let commands: [(&[&str], &str); 7] = [
            (&["query", "print 1", "-o", "pipe"], "pipe is a pipe: waiting for its reader"),
            (&["generate", "traces", "--rows", "1", "-o", "pipe"], "pipe is a pipe: waiting for its reader"),
            (&["export", "traces", "--to", "out"], "traces.csv is a pipe: waiting for its reader"),
            (&["query", "@pipe"], "pipe is a pipe: waiting for its writer"),
            (&["check", "pipe"], "pipe is a pipe: waiting for its writer"),
            (&["check", "--schema", "pipe", "q.kql"], "pipe is a pipe: waiting for its writer"),
            (&["--config", "pipe", "query", "print 1"], "pipe is a pipe: waiting for its writer"),
        ];
        for (command, says) in commands {
            let mut child = kqlake(command).current_dir(dir.path()).stderr(Stdio::piped()).spawn().expect("the program");
            let mut line = String::new();
            let mut err = std::io::BufReader::new(child.stderr.take().expect("standard error is piped"));
            err.read_line(&mut line).expect("a line");
            child.kill().expect("it waits");
            child.wait().expect("it ends");
            assert!(line.contains(says), "{command:?}: {line}");
        }
        // A manifest is read and written: it must be a file.
        fs::create_dir(dir.path().join("other")).expect("a folder");
        assert!(tool("mkfifo", &["other/datapackage.json"], dir.path()));
        run_in(dir.path(), &["export", "traces", "--to", "other"]).exits(2).says("datapackage.json is not a file");
    }

    #[test]
    fn descriptors_are_written_to() {
        let dir = empty();
        for path in ["/dev/stdout", "/dev/fd/1"] {
            assert_eq!(run_in(dir.path(), &["query", "print x = 1", "-o", path]).exits(0).out, "x\n1\n");
        }
        // What the shell's file holds already stays before the answer.
        let script = "{ echo before; \"$0\" query 'print x = 1' -o /dev/stdout; echo after; } > file; \
                      { echo before >&3; \"$0\" query 'print x = 1' -o /dev/fd/3; } 3> three";
        assert!(tool("sh", &["-c", script, env!("CARGO_BIN_EXE_kqlake")], dir.path()));
        assert_eq!(text(dir.path().join("file")), "before\nx\n1\nafter\n");
        assert_eq!(text(dir.path().join("three")), "before\nx\n1\n");
        assert_eq!(names(dir.path()), ["file", "three"]);
    }

    #[test]
    fn links_are_followed_and_stay() {
        let dir = empty();
        fs::create_dir(dir.path().join("far")).expect("a folder");
        symlink("far/target.csv", dir.path().join("link.csv")).expect("a link");
        symlink("link.csv", dir.path().join("second.csv")).expect("a link");
        for (command, path) in
            [(&["query", "print x = 1"][..], "link.csv"), (&["query", "print x = 1", "--explain"], "second.csv")]
        {
            run_in(dir.path(), &with(command, &["-o", path])).exits(0);
        }
        assert!(text(dir.path().join("far/target.csv")).lines().count() > 2);
        assert!(
            ["link.csv", "second.csv"]
                .iter()
                .all(|name| fs::symlink_metadata(dir.path().join(name)).expect("a link").is_symlink())
        );
        assert_eq!(names(&dir.path().join("far")), ["target.csv"]);
        symlink("gone/target.csv", dir.path().join("lost.csv")).expect("a link");
        run_in(dir.path(), &["query", "print 1", "-o", "lost.csv"]).exits(6).says("make the folder first");
        // Into the lake over a link, and an export whose files are links.
        symlink("data/lake", dir.path().join("way")).expect("a link");
        fs::create_dir_all(dir.path().join("data/lake")).expect("a folder");
        run_in(dir.path(), &["query", "print 1", "-o", "way/x.csv"]).exits(2).says("lies in the lake");
        run_in(dir.path(), &["export", "traces", "--to", "way"]).exits(2).says("is the lake");
        run_in(dir.path(), &["export", "traces", "--to", "way/../lake/x"]).exits(2).says("lies in the lake");
        run_in(dir.path(), &["export", "traces", "--to", "out"]).exits(0);
        fs::rename(dir.path().join("out/traces/traces.csv"), dir.path().join("far/traces.csv")).expect("a move");
        symlink("../../far/traces.csv", dir.path().join("out/traces/traces.csv")).expect("a link");
        // What no export wrote is not written over, wherever it is.
        let written = text(dir.path().join("far/traces.csv"));
        fs::write(dir.path().join("far/traces.csv"), "mine").expect("a file");
        run_in(dir.path(), &["export", "traces", "--to", "out"]).exits(2).says("traces.csv is in the way");
        fs::write(dir.path().join("far/traces.csv"), format!("{written}old")).expect("a file");
        run_in(dir.path(), &["export", "traces", "--to", "out"]).exits(0);
        assert!(fs::symlink_metadata(dir.path().join("out/traces/traces.csv")).expect("a link").is_symlink());
        assert_eq!(text(dir.path().join("far/traces.csv")), written);
    }

    #[test]
    fn mode_and_owner_of_an_existing_file_are_kept() {
        let dir = empty();
        let path = dir.path().join("private");
        let state = || fs::metadata(&path).map(|m| (m.permissions().mode() & 0o7777, m.uid(), m.gid())).expect("the file");
        fs::write(&path, "old").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
        // As an administrator only: the file is someone else's.
        tool("chown", &["12345:23456", "private"], dir.path());
        let before = state();
        for command in WRITERS {
            run_in(dir.path(), &with(command, &["-o", "private"])).exits(0);
            assert_eq!(state(), before, "{command:?}");
            assert_ne!(fs::read(&path).expect("the file"), b"old");
            fs::write(&path, "old").expect("a file");
        }
        run_in(dir.path(), &["export", "traces", "--to", "out"]).exits(0);
        // An empty file is nobody's loss.
        for (file, old) in [("out/traces/traces.csv", ""), ("out/datapackage.json", "{}")] {
            fs::write(dir.path().join(file), old).expect("a file");
            fs::set_permissions(dir.path().join(file), fs::Permissions::from_mode(0o640)).expect("a mode");
        }
        run_in(dir.path(), &["export", "traces", "--to", "out"]).exits(0);
        for file in ["out/traces/traces.csv", "out/datapackage.json"] {
            assert!(text(dir.path().join(file)).len() > 2);
            assert_eq!(fs::metadata(dir.path().join(file)).expect("a file").mode() & 0o777, 0o640, "{file}");
        }
    }

    /// Starts a command and waits until the condition holds.
    fn started(dir: &Path, args: &[&str], ready: impl Fn() -> bool) -> Child {
        let mut child = kqlake(args).current_dir(dir).stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("the program");
        while !ready() {
            assert!(child.try_wait().expect("a state").is_none(), "{args:?} ended");
            std::thread::yield_now();
        }
        child
    }

    fn temporary(folder: &Path) -> Vec<String> {
        if folder.is_dir() { names(folder).into_iter().filter(|name| name.starts_with(".kqlake-")).collect() } else { Vec::new() }
    }

    fn killed(mut child: Child, signal: &str, dir: &Path) -> Option<i32> {
        assert!(tool("kill", &[signal, &child.id().to_string()], dir));
        child.wait().expect("it ends").code()
    }

    /// Under `nohup` a child inherits that SIGHUP is ignored, and the program leaves it so.
    fn hang_up_is_ignored() -> bool {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
    }

    #[test]
    fn signals_remove_what_is_not_complete() {
        let dir = empty();
        fs::create_dir(dir.path().join("sql")).expect("a folder");
        fs::write(dir.path().join("sql/endless.kql"), ENDLESS).expect("a file");
        let signals = [("-INT", 130), ("-TERM", 143), ("-HUP", 129)];
        // Elsewhere it cannot be known whether SIGHUP is to be ignored, and it is not caught.
        let caught = if cfg!(target_os = "linux") && !hang_up_is_ignored() { &signals[..] } else { &signals[..2] };
        for (signal, status) in caught {
            let child = started(dir.path(), &["query", ENDLESS, "-o", "x.csv"], || !temporary(dir.path()).is_empty());
            assert_eq!(killed(child, signal, dir.path()), Some(*status));
            assert_eq!(names(dir.path()).iter().filter(|name| *name != "out").collect::<Vec<_>>(), ["sql"]);
            let out = dir.path().join("out");
            let begun = || temporary(&out).first().is_some_and(|staging| out.join(staging).join("endless").exists());
            let child = started(dir.path(), &["export", "endless", "--to", "out"], begun);
            assert_eq!(killed(child, signal, dir.path()), Some(*status));
            assert!(names(&out).is_empty());
        }
    }

    #[test]
    fn what_a_killed_run_left_is_swept_and_a_live_one_is_not_disturbed() {
        let dir = empty();
        fs::create_dir(dir.path().join("sql")).expect("a folder");
        fs::write(dir.path().join("sql/endless.kql"), ENDLESS).expect("a file");
        let out = dir.path().join("out");
        let output = ["query", ENDLESS, "-o", "out/x.csv"];
        let export = ["export", "endless", "--to", "out"];
        fs::create_dir(&out).expect("a folder");
        killed(started(dir.path(), &output, || temporary(&out).len() == 1), "-KILL", dir.path());
        killed(
            started(dir.path(), &export, || temporary(&out).iter().any(|name| name.ends_with(".staging"))),
            "-KILL",
            dir.path(),
        );
        // The export has swept what the query left.
        assert_eq!(temporary(&out).len(), 1);
        let user = out.join(".kqlake-notes.partial");
        fs::write(&user, "mine").expect("a file");
        let live = started(dir.path(), &output, || temporary(&out).iter().any(|n| n.len() > 30 && n.ends_with(".partial")));
        run_in(dir.path(), &["export", "audit-activity", "--to", "out"]).exits(0);
        run_in(dir.path(), &["query", "print 1", "-o", "out/y.csv"]).exits(0);
        assert_eq!(temporary(&out).len(), 2, "{:?}", names(&out));
        killed(live, "-TERM", dir.path());
        assert_eq!(names(&out), [".kqlake-notes.partial", "audit-activity", "datapackage.json", "y.csv"]);
    }
}

#[test]
fn a_mistyped_lake_empties_no_export() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    run_in(dir.path(), &["generate", "traces", "--rows", "20", "-o", "t.ndjson"]).exits(0);
    run_in(dir.path(), &["import", "--from", "t.ndjson"]).exits(0);
    run_in(dir.path(), &["export", "traces", "--to", "out"]).exits(0);
    let files = || {
        let mut files: Vec<_> = std::fs::read_dir(dir.path().join("out/traces")).unwrap().map(|f| f.unwrap().path()).collect();
        files.sort();
        files
    };
    let before = files();
    run_in(dir.path(), &["--lake", "data/lak", "export", "traces", "--to", "out"]).exits(2).says("there is no lake at");
    assert_eq!(files(), before);
}
