//! Every saved query on the sample data's lake, against its reviewed answer in `tests/saved/`.

use super::support::{csv_rows, project, run_in, same_text, sample_lake};

#[test]
fn saved_queries_give_their_reviewed_answers() {
    let dir = sample_lake();
    let folder = project().join("tests/saved");
    let mut failures = Vec::new();
    let mut names: Vec<String> = std::fs::read_dir(project().join("sql"))
        .expect("sql")
        .map(|e| e.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    for name in names {
        let Ok(expected) = std::fs::read_to_string(folder.join(format!("{name}.csv"))) else {
            failures.push(format!("{name}: no reviewed answer"));
            continue;
        };
        let params = std::fs::read_to_string(folder.join(format!("{name}.params"))).unwrap_or_default();
        let mut args = vec!["--now", "2026-01-12T03:00:00Z", "--lake", "lake", "run", &name, "-f", "csv"];
        for param in params.lines().filter(|l| !l.trim().is_empty()) {
            args.extend(["--param", param]);
        }
        let run = run_in(dir.path(), &args);
        if run.status != 0 {
            failures.push(format!("{name}: status {}\n{}", run.status, run.err));
            continue;
        }
        failures.extend(difference(&csv_rows(&expected), &csv_rows(&run.out)).map(|why| format!("{name}: {why}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn difference(expected: &[Vec<String>], found: &[Vec<String>]) -> Option<String> {
    let same = |a: &[String], b: &[String]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_text(a, b));
    let lines = expected.len().max(found.len());
    let empty = Vec::new();
    for line in 0..lines {
        let (a, b) = (expected.get(line).unwrap_or(&empty), found.get(line).unwrap_or(&empty));
        if !same(a, b) {
            return Some(format!(
                "{} rows expected, {} found; line {}:\n  expected {a:?}\n  found    {b:?}",
                expected.len(),
                found.len(),
                line + 1
            ));
        }
    }
    None
}

#[test]
fn a_pattern_takes_each_row_once() {
    let dir = sample_lake();
    let tables = |pattern: &str| {
        let query = format!("union withsource=T {pattern} | summarize n=count() by T | order by T asc");
        run_in(dir.path(), &["--lake", "lake", "query", &query]).exits(0).out
    };
    // AppTraces shows the rows of traces, and both end alike.
    let traces = tables("traces");
    assert!(traces.lines().count() == 2, "{traces}");
    assert_eq!(tables("*races"), traces);
    // A pattern that only the view fits, and the view's name, take the view.
    assert_eq!(tables("AppTr*"), traces.replace("traces", "AppTraces"));
    assert_eq!(tables("AppTraces, traces").lines().count(), 3);
}

fn write(dir: &std::path::Path, name: &str, text: &str) {
    std::fs::create_dir_all(dir.join("sql")).expect("a folder");
    std::fs::write(dir.join("sql").join(name), text).expect("a file");
}

#[test]
fn the_text_of_a_saved_query_declares_its_parameters() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write(
        dir.path(),
        "months.kql",
        "// title: M\n// export: true\ndeclare query_parameters(n: long = 3, s: string);\nrange i from 1 to n step 1\n| extend s",
    );
    let run = |args: &[&str]| run_in(dir.path(), &[&["run", "months"], args].concat());
    assert_eq!(run(&["--param", "n=1", "--param", "s=x"]).exits(0).out, "i,s\n1,x\n");
    run(&["--param", "m=1"]).exits(2).says("did you mean `n`?");
    let listed = run_in(dir.path(), &["queries"]).exits(0).out;
    assert!(csv_rows(&listed).iter().any(|row| row[0] == "months" && row[2] == "n=3 s="), "{listed}");
    let shown = run_in(dir.path(), &["queries", "months"]).exits(0).out;
    assert!(
        shown.contains("--param n=…  long (default 3)\n") && shown.contains("--param s=…  string (must be given)\n"),
        "{shown}"
    );
    // Configured values count, and those that no query has are named.
    std::fs::write(dir.path().join("kqlake.toml"), "from = []\n[params]\nn = \"2\"\ns = \"y\"\n").expect("a file");
    assert_eq!(run(&[]).exits(0).out, "i,s\n1,y\n2,y\n");
    run_in(dir.path(), &["nightly", "-q"]).exits(0);
    let exported = std::fs::read_to_string(dir.path().join("data/export/months/months.csv")).expect("an export");
    assert_eq!(exported, "\u{feff}i,s\r\n1,y\r\n2,y\r\n");
    std::fs::write(dir.path().join("kqlake.toml"), "from = []\n[params]\nn = \"x\"\nsettigs = \"y\"\n").expect("a file");
    let said = "no saved query has the parameter `settigs` of [params]; did you mean `settings`?";
    run(&["--param", "s=z"]).exits(3).says("the value given for 'n' is no long: `x`").says(said);
    run_in(dir.path(), &["nightly"]).exits(5).says("the value given for 'n' is no long: `x`").says(said);
    run_in(dir.path(), &["export"]).exits(5).says(said);
}

#[test]
fn a_header_that_contradicts_its_text_is_named_with_its_line() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let declared = "declare query_parameters(n: long = 4);\nprint n\n";
    for (header, said) in [
        ("// title: M\n// param: n long = 3 — how many\n", "the default of the parameter `n` is 3 here, and 4 in the text"),
        ("// title: M\n// param: n string — how many\n", "the parameter `n` is string here, the text declares it as long"),
        ("// title: M\n// param: m — how many\n", "the text declares no parameter `m`"),
        ("// title: M\n// exprot: true\n", "`exprot` is no key; write `export: …`"),
        ("// title: M\n// export: yes\n", "`export` is `yes`, true or false was expected"),
    ] {
        write(dir.path(), "q.kql", &format!("{header}{declared}"));
        let place = format!("sql/q.kql:2: {said}");
        run_in(dir.path(), &["queries"]).exits(5).says(&place);
        run_in(dir.path(), &["run", "q"]).exits(2).says(&place);
        run_in(dir.path(), &["export", "--to", "out"]).exits(5).says(&place);
        let check = run_in(dir.path(), &["check", "sql/q.kql"]).exits(3).says(said);
        assert!(check.err.contains("sql/q.kql:2:1"), "{}", check.err);
        let json = run_in(dir.path(), &["check", "-f", "json", "sql/q.kql"]).exits(3).out;
        assert!(json.contains("\"line\": 2") && json.contains("KQL0003"), "{json}");
        // Comments of a file that is no saved query are its own.
        std::fs::write(dir.path().join("elsewhere.kql"), format!("{header}{declared}")).expect("a file");
        run_in(dir.path(), &["check", "elsewhere.kql"]).exits(0);
    }
    std::fs::write(dir.path().join("kqlake.toml"), "from = []\n").expect("a file");
    run_in(dir.path(), &["nightly"]).exits(5).says("sql/q.kql:2: `export` is `yes`");
    write(dir.path(), "q.kql", &format!("// param: n: long = 4 — how many\n{declared}"));
    run_in(dir.path(), &["check", "sql/q.kql"]).exits(0);
}

#[test]
fn a_wrong_value_for_one_parameter_is_the_only_error() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write(
        dir.path(),
        "two.kql",
        "declare query_parameters(a: datetime = datetime(2026-01-01), b: long = 2, c: long = 3);\n\
         let d = a + 1d;\nprint x = d, y = b + 1, z = c",
    );
    let run = run_in(dir.path(), &["run", "two", "--param", "a=yesterday", "--param", "c=abc"]).exits(3);
    let run = run.says("the value given for 'a' is no datetime").says("the value given for 'c' is no long");
    assert_eq!(run.err.matches("error[").count(), 2, "{}", run.err);
    let run = run_in(dir.path(), &["run", "audit-activity", "--param", "since=yesterday"]).exits(3);
    assert_eq!(run.err.matches("error[").count(), 1, "{}", run.err);
}

#[test]
fn an_export_has_no_two_columns_of_one_name() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write(dir.path(), "hdr.kql", "print t = 1h, tSeconds = 3, ['tSeconds:1'] = 4, u = 2s");
    run_in(dir.path(), &["export", "hdr", "--to", "x"]).exits(0);
    let written = std::fs::read_to_string(dir.path().join("x/hdr/hdr.csv")).expect("an export");
    let expected = "t,tSeconds:2,tSeconds,tSeconds:1,u,uSeconds\r\n01:00:00,3600,3,4,00:00:02,2\r\n";
    assert_eq!(written.trim_start_matches('\u{feff}'), expected);
    let manifest = std::fs::read_to_string(dir.path().join("x/datapackage.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    let fields = manifest["resources"][0]["schema"]["fields"].as_array().expect("fields");
    let names: Vec<&str> = fields.iter().filter_map(|field| field["name"].as_str()).collect();
    assert_eq!(names, ["t", "tSeconds:2", "tSeconds", "tSeconds:1", "u", "uSeconds"]);
}

#[test]
fn one_saved_query_comes_in_every_format() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write(
        dir.path(),
        "q.kql",
        "// title: T\n// question: Q?\n// export: true\ndeclare query_parameters(n: long = 3);\nprint n\n",
    );
    let json = run_in(dir.path(), &["queries", "q", "-f", "json"]).exits(0).out;
    let row = &serde_json::from_str::<serde_json::Value>(&json).expect("JSON")[0];
    assert_eq!((&row["title"], &row["parameters"], &row["export"]), (&"T".into(), &"n=3".into(), &true.into()), "{json}");
    assert!(row["text"].as_str().is_some_and(|text| text.ends_with("print n\n")), "{json}");
    run_in(dir.path(), &["queries", "q", "-o", "q.ndjson"]).exits(0);
    let written = std::fs::read_to_string(dir.path().join("q.ndjson")).expect("a file");
    assert!(written.starts_with('{') && written.lines().count() == 1, "{written}");
    assert!(run_in(dir.path(), &["queries", "q"]).exits(0).out.starts_with("q: T\nQ?\n"));
}

#[test]
fn endings_that_stand_for_no_format_are_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (file, advice) in [
        ("x.xlsx", "say with -f"),
        ("x.csv.gz", "say with -f"),
        ("x.ZIP", "say with -f"),
        ("x.xml", ".json, .ndjson, .jsonl, .md, .markdown, .txt or .parquet"),
        ("x.log", "say with -f"),
        ("x.Kusto", "add -f kusto"),
    ] {
        for command in [["query", "print 1"], ["sql", "SELECT 1"], ["queries", "-q"]] {
            let run = run_in(dir.path(), &[&command[..], &["-o", file]].concat());
            run.exits(2).says(&format!("-o {file}: the ending")).says(advice);
        }
        assert!(!dir.path().join(file).exists(), "{file}");
    }
    run_in(dir.path(), &["query", "print 1", "-o", "x.html", "-f", "csv"]).exits(0);
    for file in ["x", "x."] {
        run_in(dir.path(), &["query", "print x = 1", "-o", file]).exits(0);
        assert_eq!(std::fs::read_to_string(dir.path().join(file)).expect("a file"), "x\n1\n", "{file}");
    }
}

#[test]
fn endings_in_capitals_are_those_of_saved_queries_too() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write(dir.path(), "one.KQL", "print x = 1");
    write(dir.path(), "two.Sql", "SELECT 2 AS x");
    assert_eq!(run_in(dir.path(), &["run", "one"]).exits(0).out, "x\n1\n");
    assert_eq!(run_in(dir.path(), &["run", "two"]).exits(0).out, "x\n2\n");
    // Where both can lie side by side.
    write(dir.path(), "one.kql", "print x = 3");
    if std::fs::read_dir(dir.path().join("sql")).expect("the folder").count() == 3 {
        let both = "one.KQL and sql/one.kql are both the saved query `one`";
        run_in(dir.path(), &["run", "one"]).exits(2).says(both);
        run_in(dir.path(), &["queries"]).exits(5).says(both);
    }
}

#[test]
fn what_is_not_there_is_said_once() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let run = run_in(dir.path(), &["--lake", "nolake", "export"]).exits(2).says("nolake");
    assert_eq!(run.err.matches("error").count(), 1, "{}", run.err);
    // What needs no lake is exported, and what all others lack is said once.
    write(dir.path(), "own.kql", "// export: true\nprint 1");
    let run = run_in(dir.path(), &["--lake", "nolake", "export"]).exits(5).says("exports failed");
    assert_eq!(run.err.matches("there is no lake").count(), 1, "{}", run.err);
    assert!(dir.path().join("data/export/own/own.csv").exists());
    for text in ["DESCRIBE nope", "SHOW COLUMNS FROM nope", "DESCRIBE trace"] {
        run_in(dir.path(), &["sql", text]).exits(3).says("there is no table `");
    }
    run_in(dir.path(), &["sql", "DESCRIBE trace"]).exits(3).says("did you mean `traces`?");
    for text in ["DESCRIBE traces", "DESCRIBE TRACES", "DESCRIBE kqlake.public.traces", "SHOW COLUMNS FROM AppTraces"] {
        assert!(run_in(dir.path(), &["sql", text]).exits(0).out.lines().count() > 10, "{text}");
    }
}
