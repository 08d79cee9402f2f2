//! The command line as scripts see it: standard output, messages, exit statuses.

use std::io::Read as _;
use std::process::Stdio;

use serde_json::Value as Json;

use super::support::{csv_rows, kqlake, project, run_in, run_with};

fn empty() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn a_query_without_tables_needs_no_lake_and_makes_none() {
    let dir = empty();
    let run = run_in(dir.path(), &["query", "print 1", "-f", "kusto"]).exits(0);
    let answer: Json = serde_json::from_str(&run.out).expect("JSON");
    assert_eq!(answer["Tables"][0]["Columns"][0]["ColumnName"], "print_0");
    assert_eq!(answer["Tables"][0]["Rows"], serde_json::json!([[1]]));
    assert_eq!(run.err, "");
    assert_eq!(std::fs::read_dir(dir.path()).expect("the folder").count(), 0);
}

#[test]
fn commands_that_only_read_say_that_no_lake_is_there_and_make_none() {
    let dir = empty();
    for args in [
        ["query", "traces | count"].as_slice(),
        &["query", "union App* | count"],
        &["sql", "SELECT count(*) FROM traces"],
        &["sql", "SELECT count(*) FROM AppTraces"],
        &["run", "section-completion-gaps"],
        &["ledger"],
        &["ledger", "--failed"],
        &["tables"],
        &["quarantine"],
        &["compact"],
        &["export", "audit-activity"],
        &["webhook"],
    ] {
        run_in(dir.path(), &[&["--lake", "lak"], args].concat()).exits(2).says("there is no lake at").says("check --lake");
    }
    // Nobody said where it is: it may be yet to come.
    for (args, says) in
        [(["query", "traces | count"], true), (["sql", "SELECT count(*) FROM traces"], true), (["query", "print 1"], false)]
    {
        let run = run_in(dir.path(), &args).exits(0);
        assert_eq!(run.err.contains("there is no lake at data/lake here yet"), says, "{}", run.err);
    }
    run_in(dir.path(), &["ledger"]).exits(0).says("there is no lake at data/lake here yet");
    // These need none.
    std::fs::write(dir.path().join("t.csv"), "a\n1\n").expect("a file");
    for args in [
        ["query", "print 1"].as_slice(),
        &["query", "--table", "t=t.csv", "t | count"],
        &["sql", "--table", "t=t.csv", "SELECT a FROM t"],
        &["check", "t.csv"],
        &["tables", "--all"],
        &["tables", "traces"],
    ] {
        let run = run_in(dir.path(), &[&["--lake", "lak"], args].concat());
        assert!(!run.err.contains("there is no lake"), "{}: {}", run.args, run.err);
    }
    assert!(!dir.path().join("lak").exists() && !dir.path().join("data/lake").exists());
}

#[test]
fn every_format_holds_the_same_rows() {
    let dir = empty();
    let query = "print s = 'a,b', n = 2, t = datetime(2026-01-02 03:04:05.6), d = 1h";
    let out = |format: &str| run_in(dir.path(), &["query", query, "-f", format]).exits(0).out;
    let row = ["a,b", "2", "2026-01-02T03:04:05.6000000Z", "01:00:00"];
    assert_eq!(csv_rows(&out("csv"))[1], row);
    assert_eq!(out("tsv").lines().nth(1).expect("a row"), row.join("\t"));
    let object = serde_json::json!({ "s": row[0], "n": 2, "t": row[2], "d": row[3] });
    assert_eq!(serde_json::from_str::<Json>(&out("json")).expect("JSON"), serde_json::json!([object]));
    assert_eq!(serde_json::from_str::<Json>(&out("ndjson")).expect("JSON"), object);
    assert!(out("markdown").contains("| a,b | 2 | 2026-01-02T03:04:05.6000000Z | 01:00:00 |"));
    assert!(out("table").contains("│ a,b ┆ 2 ┆ 2026-01-02T03:04:05.6Z ┆ 01:00:00 │"));
    // Off a terminal the default is CSV.
    assert_eq!(run_in(dir.path(), &["query", query]).exits(0).out, out("csv"));
}

#[test]
fn parquet_goes_to_a_file_that_sql_tools_read() {
    let dir = empty();
    run_in(dir.path(), &["query", "range x from 1 to 3 step 1", "-o", "x.parquet"]).exits(0);
    let file = std::fs::File::open(dir.path().join("x.parquet")).expect("the file");
    let mut reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("a reader");
    assert_eq!(reader.next().expect("a batch").expect("rows").num_rows(), 3);
    run_in(dir.path(), &["query", "print 1", "-f", "parquet"]).exits(2).says("-o");
    run_in(dir.path(), &["query", "print 1 | invalid", "-o", "y.csv"]).exits(3);
    assert!(!dir.path().join("y.csv").exists());
}

#[test]
fn queries_come_from_files_and_standard_input_with_parameters() {
    let dir = empty();
    std::fs::write(dir.path().join("q.kql"), "\u{feff}declare query_parameters(n:long = 1);\r\nprint x = n + 1").expect("a file");
    assert_eq!(run_in(dir.path(), &["query", "@q.kql", "--param", "n=41"]).exits(0).out, "x\n42\n");
    assert_eq!(run_with(dir.path(), &["query", "-"], b"print x = 1").exits(0).out, "x\n1\n");
    run_in(dir.path(), &["query", "@nowhere.kql"]).exits(2).says("nowhere.kql");
    run_with(dir.path(), &["query", "-"], b"print '\xff'").exits(3).says("UTF-8");
}

#[test]
fn a_wrong_command_line_exits_2_and_suggests_the_right_word() {
    let dir = empty();
    let wrong: &[(&[&str], &str)] = &[
        (&["qeury", "print 1"], "query"),
        (&["query", "print 1", "-f", "cvs"], "csv"),
        (&["query", "print 1", "--fromat", "csv"], "--format"),
        (&["run", "audit-actvity"], "audit-activity"),
        (&["run", "audit-activity", "--param", "snce=2026-01-01"], "since"),
        (&["tables", "Traces"], "traces"),
        (&["export", "trace"], "traces"),
        (&["functions", "strcta"], "strcat"),
        (&["import", "--from", "nowhere.json"], "nowhere.json"),
        (&["check", "nowhere.kql"], "nowhere.kql"),
        (&["--config", "nowhere.toml", "tables"], "nowhere.toml"),
        (&["--timeout", "soon", "query", "print 1"], "soon"),
        (&["import", "Calls"], "no tenant is configured"),
        (&["webhook"], "notification_url"),
        (&["watch"], "no tenant is configured"),
        (&[], "Usage"),
    ];
    for (args, text) in wrong {
        run_in(dir.path(), args).exits(2).says(text);
    }
    std::fs::write(dir.path().join("file"), "").expect("a file");
    for command in [&["query", "print 1"][..], &["tables"], &["nightly"]] {
        let mut args = vec!["--lake", "file"];
        args.extend(command);
        run_in(dir.path(), &args).exits(2).says("is a file");
    }
}

#[test]
fn a_wrong_query_exits_3_and_shows_its_place() {
    let dir = empty();
    let nested = format!("print {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    let wrong: &[(&str, &str)] = &[
        ("Traces | count", "traces"),
        ("traces | where mesage == ''", "message"),
        ("print strle('x')", "strlen"),
        ("print 'abc", "query:1:7"),
        ("traces |", "query:1:9"),
        ("traces | wher x == 1", "where"),
        (&nested, "deep"),
    ];
    for (query, text) in wrong {
        let run = run_with(dir.path(), &["query", "-"], query.as_bytes()).exits(3);
        let said = run.err.replace("<stdin>", "query");
        assert!(said.contains(text), "{}: `{text}` expected in {said}", &query[..query.len().min(40)]);
        assert_eq!(run.out, "");
    }
    run_in(dir.path(), &["sql", "SELECT * FROM Tracez"]).exits(3).says("traces");
    run_in(dir.path(), &["sql", "SELEC 1"]).exits(3);
    run_in(dir.path(), &["sql", "CREATE TABLE x (y int)"]).exits(3).says("only queries");
}

#[test]
fn sql_reads_the_same_tables() {
    let dir = empty();
    assert_eq!(run_in(dir.path(), &["sql", "SELECT count(*) AS n FROM traces"]).exits(0).out, "n\n0\n");
    assert_eq!(run_in(dir.path(), &["sql", "SELECT count(*) AS n FROM AppTraces"]).exits(0).out, "n\n0\n");
    let run = run_in(
        dir.path(),
        &[
            "sql",
            "SELECT array_agg(x) AS l, max(TIMESTAMP '2026-01-02 03:04:05') AS t FROM (VALUES (1), (2)) AS v(x)",
            "-f",
            "json",
        ],
    )
    .exits(0);
    let rows: Json = serde_json::from_str(&run.out).expect("JSON");
    assert_eq!(rows[0]["l"], serde_json::json!([1, 2]));
    assert_eq!(rows[0]["t"], "2026-01-02T03:04:05.0000000Z");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = kqlake(["query", "range x from 1 to 30000000 step 1", "-f", "ndjson"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut first = [0; 100];
    child.stdout.take().expect("standard output is piped").read_exact(&mut first).expect("some output");
    // Dropping the reader closes the pipe under the writer.
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_exits_6() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("the device that is always full");
    let output =
        kqlake(["query", "range x from 1 to 100000 step 1", "-f", "csv"]).stdout(full).output().expect("the program runs");
    assert_eq!(output.status.code(), Some(6), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn time_and_memory_have_limits_that_say_how_to_raise_them() {
    let dir = empty();
    let slow = "range x from 1 to 4000000000 step 1 | summarize dcount(x * x)";
    run_in(dir.path(), &["--timeout", "300ms", "query", slow]).exits(3).says("--timeout");
    let wide = "range x from 1 to 3000000 step 1 | summarize make_list(strcat('a long enough text to fill the memory ', x))";
    run_in(dir.path(), &["--memory-limit", "16MB", "query", wide]).exits(3).says("--memory-limit");
}

#[test]
fn check_reports_for_people_and_for_editors() {
    let dir = empty();
    std::fs::write(dir.path().join("good.kql"), "traces | summarize n = count() by bin(timestamp, 1d)").expect("a file");
    std::fs::write(dir.path().join("bad.kql"), "traces\n| where mesage == 'x'").expect("a file");
    run_in(dir.path(), &["check", "good.kql"]).exits(0);
    run_in(dir.path(), &["check", "good.kql", "bad.kql"]).exits(3).says("bad.kql:2:9");
    let run = run_in(dir.path(), &["check", "-f", "json", "good.kql", "bad.kql"]).exits(3);
    let reports: Json = serde_json::from_str(&run.out).expect("JSON");
    assert_eq!(reports[0]["ok"], true);
    assert_eq!(
        reports[0]["columns"],
        serde_json::json!([{ "name": "timestamp", "type": "datetime" }, { "name": "n", "type": "long" }])
    );
    let finding = &reports[1]["diagnostics"][0];
    assert_eq!((&finding["line"], &finding["column"], &finding["length"]), (&2.into(), &9.into(), &6.into()));
    assert_eq!(finding["severity"], "error");
    assert!(finding["suggestion"].as_str().expect("a suggestion").contains("message"));

    std::fs::write(dir.path().join("schema.json"), r#"{"SigninLogs":{"TimeGenerated":"datetime","UserPrincipalName":"string"}}"#)
        .expect("a file");
    std::fs::write(dir.path().join("signin.kql"), "SigninLogs | distinct UserPrincipalName").expect("a file");
    run_in(dir.path(), &["check", "signin.kql"]).exits(3);
    run_in(dir.path(), &["check", "--syntax-only", "signin.kql"]).exits(0);
    run_in(dir.path(), &["check", "--schema", "schema.json", "signin.kql"]).exits(0);
    assert_eq!(run_with(dir.path(), &["check", "--syntax-only", "-"], b"T | where").status, 3);
}

#[test]
fn help_version_lists_and_completions_go_to_standard_output() {
    let dir = empty();
    assert!(run_in(dir.path(), &["--help"]).exits(0).out.contains("Exit status"));
    assert!(run_in(dir.path(), &["query", "--help"]).exits(0).out.contains("Examples"));
    assert!(run_in(dir.path(), &["--version"]).exits(0).out.starts_with("kqlake "));
    assert!(run_in(dir.path(), &["completions", "bash"]).exits(0).out.contains("kqlake"));
    let queries: Json = serde_json::from_str(&run_in(dir.path(), &["queries", "-f", "json"]).exits(0).out).expect("JSON");
    assert!(queries.as_array().expect("an array").len() >= 19);
    let tables = run_in(dir.path(), &["tables", "--all", "-f", "csv"]).exits(0).out;
    assert!(["traces,", "AuditRecords,", "AppTraces,"].iter().all(|name| tables.contains(name)));
    assert!(run_in(dir.path(), &["tables", "traces"]).exits(0).out.contains("customDimensions,dynamic"));
}

#[test]
fn a_configuration_file_sets_what_flags_do_not() {
    let dir = empty();
    std::fs::write(dir.path().join("kqlake.toml"), "timeout = \"5s\"\nlake = \"my-lake\"\n").expect("a file");
    run_in(dir.path(), &["tables"]).exits(2).says("my-lake");
    std::fs::write(dir.path().join("kqlake.toml"), "laek = \"x\"\n").expect("a file");
    run_in(dir.path(), &["tables"]).exits(2).says("did you mean `lake`?");
}

#[test]
fn damaged_files_are_quarantined_and_the_lake_stays_readable() {
    let dir = empty();
    let dirty = project().join("tests/data/dirty");
    let readme = std::fs::read_to_string(dirty.join("README.md")).expect("the list of damaged files");
    let mut seen = 0;
    for line in readme.lines().filter(|l| l.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let (file, status) = (cells[0].trim_matches('`'), cells[cells.len() - 1].parse().expect("a status"));
        let path = dirty.join(file);
        let run = run_in(dir.path(), &["import", "--from", path.to_str().expect("a path of characters")]).exits(status);
        assert!(run.err.contains(file), "{file} is not named in: {}", run.err);
        run_in(dir.path(), &["query", "union withsource = t traces, AuditRecords, CallRecords | count"]).exits(0);
        seen += 1;
    }
    assert!(seen > 10);
    let names: Vec<String> = std::fs::read_dir(dir.path())
        .expect("the folder")
        .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, ["data"], "an import writes into the lake only");
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_written_exits_6() {
    let dir = empty();
    // Nobody, not even the administrator, makes folders there.
    run_in(
        dir.path(),
        &[
            "--lake",
            "/proc/kqlake-lake",
            "import",
            "--from",
            project().join("fixtures/audit").to_str().expect("a path of characters"),
        ],
    )
    .exits(6);
}

#[test]
fn configured_names_and_folders_are_the_lakes_own() {
    let dir = empty();
    let refused = "database('telemetry').traces | count";
    run_in(dir.path(), &["query", refused]).exits(3).says("[same_lake]");
    run_in(dir.path(), &["query", "externaldata(a:string)['list.csv']"]).exits(3).says("external_data");
    std::fs::create_dir(dir.path().join("lookups")).expect("a folder");
    std::fs::write(dir.path().join("lookups/list.csv"), "a,n\nx,1\ny,2\n").expect("a file");
    std::fs::write(
        dir.path().join("kqlake.toml"),
        "external_data = [\"lookups\"]\n[external_locations]\n\"https://example.com/lists/\" = \"lookups\"\n\
         [same_lake]\ncluster = [\"contoso.westeurope\"]\ndatabase = [\"telemetry\"]\nworkspace = [\"*\"]\n",
    )
    .expect("a configuration");
    for query in [
        refused,
        "cluster('https://contoso.westeurope.kusto.windows.net').database('telemetry').traces | count",
        "database('kqlake').traces | count",
        "workspace('any').AppTraces | count",
    ] {
        assert_eq!(run_in(dir.path(), &["query", query]).exits(0).out, "Count\n0\n", "{query}");
    }
    run_in(dir.path(), &["query", "database('other').traces | count"]).exits(3).says("database('other') is not mapped");
    for address in ["list.csv", "https://example.com/lists/list.csv?sig=x"] {
        let query = format!("externaldata(a:string, n:long)['{address}'] with (ignoreFirstRecord=true) | summarize sum(n)");
        assert_eq!(run_in(dir.path(), &["query", &query]).exits(0).out, "sum_n\n3\n", "{address}");
    }
    run_in(dir.path(), &["query", "externaldata(a:string)['https://example.org/list.csv']"])
        .exits(3)
        .says("[external_locations]");
    std::fs::write(dir.path().join("kqlake.toml"), "[same_lake]\nserver = [\"x\"]\n").expect("a configuration");
    run_in(dir.path(), &["query", "print 1"]).exits(2).says("server");
}

#[test]
fn wrong_amounts_say_where_they_are_written() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (key, value) in [("timeout", "-1s"), ("memory_limit", "lots"), ("memory_limit", "1KB")] {
        std::fs::write(dir.path().join("kqlake.toml"), format!("{key} = \"{value}\"\n")).unwrap();
        run_in(dir.path(), &["query", "print 1"]).exits(2).says(&format!("`{key}` in kqlake.toml: "));
    }
}

#[test]
fn relative_names_of_externaldata_are_looked_for_in_the_allowed_folder() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(dir.path().join("ext")).unwrap();
    std::fs::write(dir.path().join("ext/x.csv"), "a\n").unwrap();
    let config = "external_data = [\"ext\"]\n[external_locations]\n\"https://example.com/\" = \"ext\"\n";
    std::fs::write(dir.path().join("kqlake.toml"), config).unwrap();
    run_in(dir.path(), &["query", "externaldata(a: string)['x.csv']"]).exits(0);
    run_in(dir.path(), &["query", "externaldata(a: string)['ext/x.csv']"])
        .exits(3)
        .says("allowed are files below ext; a name that does not begin with / is looked for in that folder");
}

#[test]
fn what_is_no_text_is_no_saved_query() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(dir.path().join("sql")).unwrap();
    std::fs::write(dir.path().join("sql/big.kql"), vec![b' '; (4 << 20) + 1]).unwrap();
    std::fs::write(dir.path().join("sql/zeros.kql"), "print 1\n\0").unwrap();
    let run = run_in(dir.path(), &["queries"]);
    assert_ne!(run.status, 0);
    run.says("sql/big.kql: it has more than 4 MB").says("sql/zeros.kql: line 2 has a zero byte");
}

#[cfg(unix)]
#[test]
fn what_cannot_be_written_is_named_with_advice() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::os::unix::fs::symlink("b", dir.path().join("a")).unwrap();
    std::os::unix::fs::symlink("a", dir.path().join("b")).unwrap();
    run_in(dir.path(), &["query", "print 1", "-o", "a"]).exits(6).says("cannot write a: too many symbolic links").says("help:");
    #[cfg(target_os = "linux")]
    run_in(dir.path(), &["query", "range x from 1 to 100000 step 1", "-o", "/dev/full"])
        .exits(6)
        .says("cannot write /dev/full")
        .says("free some space");
}

#[cfg(unix)]
#[test]
fn values_of_parameters_are_of_their_types() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let run = |ty: &str, given: &str| {
        let query = format!("declare query_parameters(p:{ty}); print p = p, t = gettype(p), n = isnull(p)");
        run_in(dir.path(), &["query", "-f", "ndjson", "--param", &format!("p={given}"), &query])
    };
    for (ty, given, expected) in [
        ("dynamic", "{\"a\":1}", "{\"p\":{\"a\":1},\"t\":\"dictionary\",\"n\":false}"),
        ("dynamic", "[1, 2]", "{\"p\":[1,2],\"t\":\"array\",\"n\":false}"),
        ("dynamic", "5", "{\"p\":5,\"t\":\"long\",\"n\":false}"),
        ("dynamic", "some text", "{\"p\":\"some text\",\"t\":\"string\",\"n\":false}"),
        ("dynamic", "dynamic({\"a\":1})", "{\"p\":{\"a\":1},\"t\":\"dictionary\",\"n\":false}"),
    ] {
        assert_eq!(run(ty, given).exits(0).out.trim(), expected, "{ty} {given}");
    }
    for ty in ["int", "long", "real", "bool", "datetime", "timespan", "guid", "decimal", "dynamic"] {
        assert!(run(ty, &format!("{ty}(null)")).exits(0).out.contains("\"n\":true"), "{ty}");
        // One error, with what was given and how it is written, and none for what is made of it.
        let wrong = run_in(
            dir.path(),
            &["query", "--param", "p={bad", &format!("declare query_parameters(p:{ty}); print x = p, y = isnull(p)")],
        );
        let wrong = wrong.exits(3).says("`{bad`").says("write ");
        assert_eq!(wrong.err.matches("error[").count(), 1, "{}", wrong.err);
    }
}

#[test]
fn a_pipe_without_a_reader_is_waited_for_as_long_as_the_query_may_take() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let made = std::process::Command::new("mkfifo").arg(dir.path().join("pipe")).status().expect("mkfifo starts");
    assert!(made.success());
    run_in(dir.path(), &["query", "print 1", "-o", "pipe", "--timeout", "1s"]).exits(3).says("the query ran longer than");
}

#[test]
fn help_is_a_command_as_well_as_an_option() {
    let dir = empty();
    for command in ["", "import", "query", "sql", "run", "nightly"] {
        let args: Vec<&str> = command.split_whitespace().collect();
        let [by_command, by_option] = [[&["help"], &args[..]].concat(), [&args[..], &["--help"]].concat()]
            .map(|args| run_in(dir.path(), &args).exits(0).out);
        assert!(by_command == by_option && by_command.contains("Usage: kqlake"), "{command}: {by_command}");
    }
    run_in(dir.path(), &["help", "nope"]).exits(2).says("unrecognized subcommand 'nope'");
}

#[test]
fn a_parameter_whose_date_may_be_read_in_two_ways_says_how_it_is_read() {
    let dir = empty();
    let text = "declare query_parameters(d: datetime, s: string = ''); print d, same = todatetime('02/03/2026')";
    let run = |param: &str| run_in(dir.path(), &["query", "--param", param, text]).exits(0);
    let found = run("d=02/03/2026")
        .says("d=02/03/2026 has the month first, as `todatetime` reads it: it is 2026-02-03")
        .says("2026-03-02");
    let day = "2026-02-03T00:00:00.0000000Z";
    assert_eq!(csv_rows(&found.out)[1], [day, day]);
    for param in ["d=2026-02-03", "d=02/02/2026"] {
        assert_eq!(run(param).err, "", "{param}");
    }
    // Of a value that is refused nothing is read.
    let refused = run_in(dir.path(), &["query", "--param", "d=02/03/2026 99:00", text]).exits(3).says("is no datetime");
    assert!(!refused.err.contains("the month first"), "{}", refused.err);
    let other = "declare query_parameters(d: datetime = datetime(2026-01-01), s: string = ''); print s";
    assert_eq!(run_in(dir.path(), &["query", "--param", "s=02/03/2026", other]).exits(0).err, "");
    std::fs::create_dir(dir.path().join("sql")).expect("a folder");
    std::fs::write(dir.path().join("sql/q.kql"), text).expect("a file");
    run_in(dir.path(), &["run", "q", "--param", "d=02/03/2026"]).exits(0).says("the month first");
    std::fs::write(dir.path().join("kqlake.toml"), "[params]\nd = \"02/03/2026\"\n").expect("a file");
    run_in(dir.path(), &["run", "q"]).exits(0).says("the month first");
}
