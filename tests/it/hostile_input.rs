//! Files, paths and settings as a careless or hostile world has them: read, quarantined with a reason, or refused, and never
//! lost without a word.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use super::support::{Run, csv_rows, kqlake, run_in, run_with};

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn import(dir: &Path, from: &[&str]) -> Run {
    run_in(dir, &[&["--lake", "lake", "import", "--from"], from].concat())
}

/// The rows of a query over what was imported, the import's own left out, without the heading.
fn rows(dir: &Path, table: &str, rest: &str) -> Vec<Vec<String>> {
    let query = format!("{table} | where isempty(column_ifexists('cloud_RoleName', '')) | {rest}");
    let out = run_in(dir, &["--lake", "lake", "query", &query, "-f", "csv"]).exits(0).out;
    csv_rows(&out).into_iter().skip(1).collect()
}

fn messages(dir: &Path) -> Vec<String> {
    rows(dir, "traces", "project message | sort by message asc").into_iter().map(|row| row.join("|")).collect()
}

fn ledger(dir: &Path, columns: &str) -> Vec<Vec<String>> {
    let query = format!("ImportLedger | project {columns} | sort by unit asc");
    let out = run_in(dir, &["--lake", "lake", "query", &query, "-f", "csv"]).exits(0).out;
    csv_rows(&out).into_iter().skip(1).collect()
}

fn record(message: &str) -> String {
    format!("{{\"timestamp\":\"2026-01-05T07:23:00Z\",\"message\":\"{message}\",\"itemType\":\"trace\"}}\n")
}

fn nested(levels: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels))
}

fn zipped(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).expect("an entry");
        writer.write_all(content).expect("content");
    }
    writer.finish().expect("an archive").into_inner()
}

/// The archive with a name put for another one of the same length.
fn renamed(mut archive: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    for at in 0..archive.len() - from.len() {
        if archive[at..].starts_with(from.as_bytes()) {
            archive[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
    }
    archive
}

#[test]
fn csv_is_read_with_every_line_end() {
    let lines = ["timestamp [UTC],message,itemType", "2026-01-05T07:00:00Z,a,trace", "2026-01-05T07:00:01Z,\"b\rc\",trace", ""];
    let utf16 = |text: &str| format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for (name, content) in [
        ("cr", lines.join("\r").into_bytes()),
        ("lf", lines.join("\n").into_bytes()),
        ("crlf", lines.join("\r\n").into_bytes()),
        ("utf16", utf16(&lines.join("\r"))),
        ("blank", format!("\r\rsep=,\r{}", lines.join("\r")).into_bytes()),
    ] {
        let dir = dir();
        fs::write(dir.path().join("x.csv"), content).expect("a file");
        import(dir.path(), &["x.csv"]).exits(0);
        assert_eq!(messages(dir.path()), ["a", "b\rc"], "{name}");
    }
    // One record that cannot be read costs no other one, whichever line end stands behind it.
    let dir = dir();
    fs::write(dir.path().join("x.csv"), "timestamp,message,itemType\r2026-01-05,a,trace\r2026-01-05,b\r2026-01-05,c,trace\r")
        .expect("a file");
    import(dir.path(), &["x.csv"]).exits(5).says("line 3");
    assert_eq!(messages(dir.path()), ["a", "c"]);
}

#[test]
fn malformed_quotes_cost_their_row_and_no_other() {
    let dir = dir();
    let row = |message: &str, id: &str| format!("2026-02-02T10:00:00Z,{message},trace,{id}");
    let lines = [
        "timestamp,message,itemType,itemId".to_owned(),
        row("\"open", "a1"),
        row("\"ok\"", "a2"),
        row("\"in\"ner\"", "a3"),
        row("\"x\"y", "a4"),
        row("\"two\nlines, \"\"quoted\"\"\"", "a5"),
        row("pl\"ain", "a6"),
        row("\"open at the end", "a7"),
    ];
    for (n, end) in ["\n", "\r\n", "\r"].into_iter().enumerate() {
        let text = format!("\u{feff}{}{end}", lines.join(end));
        let utf16 = text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        for (kind, bytes) in [("utf8", text.into_bytes()), ("utf16", utf16)] {
            let lake = format!("lake-{n}-{kind}");
            fs::write(dir.path().join("q.csv"), bytes).expect("a file");
            let run = |args: &[&str]| run_in(dir.path(), &[&["--now", "2026-02-03T00:00:00Z", "--lake", &lake], args].concat());
            let imported = run(&["import", "--from", "q.csv"]).exits(5).says("4 of 7 records refused").says("line 2, byte");
            assert!(imported.err.contains("a closing quote is followed by"), "{}", imported.err);
            let found = run(&[
                "query",
                "traces | where operation_Name !endswith 'Importer' | sort by itemId asc | project itemId, message",
            ]);
            let expected = [["a2", "ok"], ["a5", "two\nlines, \"quoted\""], ["a6", "pl\"ain"]];
            assert_eq!(csv_rows(&found.exits(0).out)[1..], expected, "{lake}");
            let aside = super::quarantine::run_folder(&dir.path().join(&lake));
            let packed = fs::read(aside.join("q.csv.ndjson.gz")).expect("records quarantined");
            let aside = io::read_to_string(flate2::read::GzDecoder::new(packed.as_slice())).expect("UTF-8");
            // The first line is about the file.
            let lines_aside = aside.lines().skip(1);
            let texts: Vec<serde_json::Value> = lines_aside.map(|line| serde_json::from_str(line).expect("JSON")).collect();
            let places: Vec<_> = texts.iter().map(|t| (t["place"]["line"].as_u64(), t["record"].as_str())).collect();
            let bad = |line: u64| lines[if line < 8 { line as usize - 1 } else { 7 }].as_str();
            // The legal record takes a line more.
            assert_eq!(places, [2, 4, 5, 9].map(|line| (Some(line), Some(bad(line)))), "{lake}");
        }
    }
}

#[test]
fn headings_inside_a_csv_file_are_no_rows_and_count_for_what_follows() {
    let dir = dir();
    let text = "timestamp,message,itemType\n2026-01-05,a,trace\ntimestamp,message,itemType\n2026-01-05,b,trace\n\
                \u{feff}message,timestamp,itemType\nc,2026-01-05,trace\n";
    fs::write(dir.path().join("x.csv"), text).expect("a file");
    import(dir.path(), &["x.csv"]).exits(0);
    assert_eq!(messages(dir.path()), ["a", "b", "c"]);
}

#[test]
fn a_heading_further_down_says_what_the_rows_below_it_are() {
    let dir = dir();
    // Three tables; the last date alone tells the order of all.
    let text = "timestamp [UTC],message,severityLevel,itemId\n\"1/5/2026, 6:00:00.000 AM\",m,1,a\n\
                timestamp [UTC],name,itemType,itemId\n\"1/5/2026, 7:00:00.000 AM\",ev,customEvent,b\n\
                timestamp [UTC],message,customDimensions,itemId,,\n\"1/6/2026, 8:00:00.000 AM\",n,\"{\"\"eventId\"\":\"\"X\"\"}\",c,,\n\
                name,timestamp [UTC],url,itemType,itemId\np,\"1/25/2026, 8:00:00.000 AM\",u,pageView,d\nmessage,\"1/25/2026, 9:00:00.000 AM\",u,pageView,e\n";
    fs::write(dir.path().join("x.csv"), text).expect("a file");
    import(dir.path(), &["x.csv"]).exits(0);
    let all = "traces | project itemId, timestamp, what = strcat(message, customDimensions.eventId) \
               | union (customEvents | project itemId, timestamp, what = name), (pageViews | project itemId, timestamp, what = name) \
               | where timestamp < datetime(2026-02-01) | order by itemId asc | project strcat(itemId, ' ', what, ' ', format_datetime(timestamp, 'MM-dd HH'))";
    let out = run_in(dir.path(), &["--lake", "lake", "query", all, "-f", "csv"]).exits(0).out;
    assert_eq!(
        out.lines().skip(1).collect::<Vec<_>>(),
        ["a m 01-05 06", "b ev 01-05 07", "c nX 01-06 08", "d p 01-25 08", "e message 01-25 09"]
    );
}

#[test]
fn a_file_that_gives_nothing_is_never_done_without_a_word() {
    let dir = dir();
    let files = [
        ("heading.csv", "timestamp,message,itemType\r\n"),
        ("nulls.json", "[null, null]"),
        ("page.json", "{\"@odata.context\":\"c\",\"value\":[]}"),
    ];
    for (name, text) in files {
        fs::write(dir.path().join(name), text).expect("a file");
        import(dir.path(), &[name]).exits(0).says(name).says("holds no records");
    }
    for row in ledger(dir.path(), "unit, state, reason") {
        assert_eq!(row[1..], ["empty", "it holds no records"], "{row:?}");
    }
    // Answers whose rows cannot be found are quarantined.
    for (name, text) in [
        ("a.json", "{\"tables\":[{\"name\":\"P\",\"columns\":[{\"name\":\"timestamp\"}],\"rows\":{\"a\":1}}]}"),
        ("b.json", "{\"tables\":[5]}\n{\"tables\":[{\"rows\":[[1]]}]}\n"),
    ] {
        fs::write(dir.path().join(name), text).expect("a file");
        import(dir.path(), &[name]).exits(5).says("refused");
    }
    // A record may have an empty list of a name that pages have.
    fs::write(dir.path().join("c.json"), record("m").replace('}', ",\"value\":[]}")).expect("a file");
    import(dir.path(), &["c.json"]).exits(0);
    assert_eq!(messages(dir.path()), ["m"]);
}

#[test]
fn entries_of_one_name_are_all_read_and_are_units_of_their_own() {
    let dir = dir();
    let texts = ["1", "2", "3", "4"].map(record);
    let entries: Vec<(&str, &[u8])> =
        ["x/a.json", "x/b.json", "x/A.json", "x/c.json"].into_iter().zip(texts.iter().map(|t| t.as_bytes())).collect();
    let archive = renamed(renamed(zipped(&entries), "x/b.json", "x/a.json"), "x/c.json", "x/a.json");
    fs::write(dir.path().join("x.zip"), archive).expect("a file");
    import(dir.path(), &["x.zip"]).exits(0);
    assert_eq!(messages(dir.path()), ["1", "2", "3", "4"]);
    let units: Vec<String> = ledger(dir.path(), "unit").into_iter().map(|row| row[0].clone()).collect();
    let ends = ["!x/A.json", "!x/a.json", "!x/a.json (2)", "!x/a.json (3)"];
    assert!(units.len() == 4 && units.iter().zip(ends).all(|(unit, end)| unit.ends_with(end)), "{units:?}");
    import(dir.path(), &["x.zip"]).exits(0);
    assert_eq!(ledger(dir.path(), "unit").len(), 4, "nothing has changed");
}

#[test]
fn what_a_zip_holds_outside_of_its_directory_is_told() {
    let (one, other) = (zipped(&[("1.json", record("1").as_bytes())]), zipped(&[("2.json", record("2").as_bytes())]));
    let inner = zipped(&[("in.zip", one.as_slice()), ("ok.json", record("3").as_bytes())]);
    let cases: [(&str, Vec<u8>, &str, &[&str]); 5] = [
        ("two.zip", [one.clone(), other].concat(), "stand before the archive", &["2"]),
        ("behind.zip", [one.as_slice(), b"more"].concat(), "4 bytes follow the archive's end", &["1"]),
        ("cut.zip", one[..one.len() - 30].to_vec(), "cannot be opened", &[]),
        ("inner.zip", inner, "a zip archive inside another archive", &["3"]),
        ("up.zip", renamed(zipped(&[("a/bb/c.json", record("4").as_bytes())]), "a/bb/", "a/../"), "outside the archive", &[]),
    ];
    for (name, content, words, found) in cases {
        let dir = dir();
        fs::write(dir.path().join(name), content).expect("a file");
        import(dir.path(), &[name]).exits(5).says(name).says(words);
        assert_eq!(messages(dir.path()), found, "{name}");
    }
}

#[test]
fn records_nested_too_deep_are_quarantined_with_their_place() {
    let deep = nested(100_000);
    let with = |value: &str| record("deep").replace('}', &format!(",\"customDimensions\":{value}}}"));
    let text = serde_json::Value::from(deep.as_str()).to_string();
    let cases = [
        ("object.json", format!("{}{}{}", record("1"), with(&deep), record("2"))),
        ("text.json", format!("{}{}{}", record("1"), with(&text), record("2"))),
        (
            "row.csv",
            format!(
                "timestamp,message,itemType,customDimensions\n2026-01-05,1,trace,\n2026-01-05,deep,trace,\"{}\"\n2026-01-05,2,trace,\n",
                deep.replace('"', "\"\"")
            ),
        ),
        (
            "answer.json",
            format!(
                "{{\"tables\":[{{\"name\":\"P\",\"columns\":[{}],\"rows\":[\n[\"2026-01-05\",\"1\",\"trace\",null],\
                 [\"2026-01-05\",\"deep\",\"trace\",{text}],[\"2026-01-05\",\"2\",\"trace\",null]]}}]}}",
                ["timestamp", "message", "itemType", "customDimensions"].map(|n| format!("{{\"name\":\"{n}\"}}")).join(",")
            ),
        ),
    ];
    for (name, content) in cases {
        let dir = dir();
        fs::write(dir.path().join(name), content).expect("a file");
        import(dir.path(), &[name]).exits(5).says("nested deeper than 127 levels").says("1 of 3 records");
        assert_eq!(messages(dir.path()), ["1", "2"], "{name}");
    }
    let dir = dir();
    let audit = |data: &str| serde_json::json!({ "AuditData": data }).to_string();
    let fields = "\"Id\":\"x\",\"RecordType\":6,\"Operation\":\"o\",\"CreationTime\":\"2026-01-05T00:00:00\"";
    let text = format!("{}\n{}\n", audit(&format!("{{{fields},\"X\":{deep}}}")), audit(&format!("{{{fields}}}")));
    fs::write(dir.path().join("audit.json"), text).expect("a file");
    import(dir.path(), &["audit.json"]).exits(5).says("record 1").says("nested deeper");
    assert_eq!(rows(dir.path(), "AuditRecords", "count"), [["1"]]);
    // As deep as it may be.
    fs::write(dir.path().join("ok.json"), with(&nested(126))).expect("a file");
    import(dir.path(), &["ok.json"]).exits(0);
    assert_eq!(messages(dir.path()), ["deep"]);
}

#[test]
fn of_a_name_that_stands_twice_the_last_value_counts() {
    let dir = dir();
    let text = "{\"timestamp\":\"2026-01-05T07:00:00Z\",\"message\":\"first\",\"message\":\"last\",\"itemType\":\"trace\",\
                \"customDimensions\":{\"eventId\":\"A\",\"eventId\":\"B\",\"other\":{\"n\":1,\"n\":2}}}\n";
    fs::write(dir.path().join("x.json"), text).expect("a file");
    import(dir.path(), &["x.json"]).exits(0);
    let found = rows(
        dir.path(),
        "traces",
        "project message, customDimensions.eventId, customDimensions.other.n, todynamic(tostring(customDimensions)).eventId",
    );
    assert_eq!(found, [["last", "B", "2", "B"]]);
    let sql = "SELECT \"customDimensions_eventId\" FROM traces WHERE message = 'last'";
    assert_eq!(run_in(dir.path(), &["--lake", "lake", "sql", sql, "-f", "csv"]).exits(0).out, "customDimensions_eventId\nB\n");
    // The same record with the name once is the same record.
    fs::write(dir.path().join("y.json"), text.replace("\"message\":\"first\",", "").replace("\"eventId\":\"A\",", ""))
        .expect("a file");
    import(dir.path(), &["y.json"]).exits(0);
    assert_eq!(messages(dir.path()), ["last"]);
    // Raw is the record as it came.
    let audit =
        "{\"Id\":\"a\",\"RecordType\":6,\"Operation\":\"x\",\"Operation\":\"y\",\"CreationTime\":\"2026-01-05T00:00:00\"}";
    fs::write(dir.path().join("audit.json"), audit).expect("a file");
    import(dir.path(), &["audit.json"]).exits(0);
    assert_eq!(rows(dir.path(), "AuditRecords", "project Operation, Raw"), [["y", audit]]);
}

#[test]
fn numbers_beyond_their_column_are_kept_beside_it() {
    let dir = dir();
    let text = "{\"timestamp\":\"2026-01-05T07:00:00Z\",\"name\":\"x\",\"value\":1e400,\"valueCount\":99999999999,\
                \"valueSum\":\"-1e999\",\"valueMin\":1e308,\"itemType\":\"customMetric\"}\n";
    fs::write(dir.path().join("x.json"), text).expect("a file");
    import(dir.path(), &["x.json"]).exits(0);
    let sql = "SELECT value, \"valueCount\", \"valueSum\", \"valueMin\", _extra FROM \"customMetrics\"";
    let out = run_in(dir.path(), &["--lake", "lake", "sql", sql, "-f", "csv"]).exits(0).out;
    let found = csv_rows(&out).remove(1);
    assert_eq!(found[..4], ["", "", "", "1e+308"], "{out}");
    assert_eq!(found[4], r#"{"value":"1e400","valueCount":99999999999,"valueSum":"-1e999"}"#);
    // A time that no column holds costs its record, not the import.
    let trace = |time: &str| {
        format!("{{\"MessageTraceId\":\"{time}\",\"Received\":\"{time}\",\"RecipientAddress\":\"a@b\",\"Status\":\"Failed\"}}\n")
    };
    let times = ["/Date(999999999999999)/", "0001-01-01T00:00:00+01:00", "2026-01-05T00:00:00Z"];
    fs::write(dir.path().join("y.json"), times.map(trace).concat()).expect("a file");
    import(dir.path(), &["y.json"]).exits(5).says("2 of 3 records refused");
    assert_eq!(rows(dir.path(), "MessageTrace", "count"), [["1"]]);
}

#[test]
fn two_values_for_one_column_are_both_kept() {
    let dir = dir();
    let text = "{\"time\":\"2026-01-05T07:00:00Z\",\"TimeGenerated\":\"2026-01-05T07:00:00.0000000Z\",\"Type\":\"AppTraces\",\
                \"Message\":\"m\",\"message\":\"n\"}\n";
    fs::write(dir.path().join("x.json"), text).expect("a file");
    import(dir.path(), &["x.json"]).exits(0);
    let sql = "SELECT message, _extra FROM traces WHERE message IN ('m', 'n')";
    let out = run_in(dir.path(), &["--lake", "lake", "sql", sql, "-f", "csv"]).exits(0).out;
    assert_eq!(csv_rows(&out)[1], ["m", r#"{"message":"n"}"#]);
}

#[test]
fn paths_that_are_no_sources_are_refused() {
    let dir = dir();
    fs::write(dir.path().join("good.ndjson"), record("m")).expect("a file");
    import(dir.path(), &["good.ndjson/"]).exits(2).says("good.ndjson");
    import(dir.path(), &["none"]).exits(2).says("does not exist");
    import(dir.path(), &[""]).exits(2);
    import(dir.path(), &["."]).exits(0);
    // The lake, which has files now: named outright it is refused, in a folder it is skipped.
    for named in ["lake", "lake/traces", "./x/../lake/traces/_delta_log"] {
        fs::create_dir_all(dir.path().join("x")).expect("a folder");
        import(dir.path(), &[named]).exits(2).says("the lake itself");
    }
    let files = |dir: &Path| fs::read_dir(dir.join("lake/ImportLedger/_delta_log")).expect("a log").count();
    let before = files(dir.path());
    import(dir.path(), &["."]).exits(0).says("lake was skipped: it is the lake itself");
    assert_eq!(files(dir.path()), before, "nothing but the one file, which has not changed");
    assert_eq!(ledger(dir.path(), "unit").len(), 1);
}

#[cfg(unix)]
#[test]
fn devices_and_sockets_are_refused_and_links_end() {
    let dir = dir();
    for device in ["/dev/null", "/dev/zero"] {
        import(dir.path(), &[device]).exits(2).says("device");
    }
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("s")).expect("a socket");
    import(dir.path(), &["s"]).exits(2).says("socket");
    fs::create_dir(dir.path().join("in")).expect("a folder");
    fs::write(dir.path().join("in/good.ndjson"), record("m")).expect("a file");
    for (target, link) in
        [("/dev/zero", "zero"), ("..", "up"), (".", "here"), ("../s", "s"), ("nothing", "nowhere"), ("me", "me")]
    {
        std::os::unix::fs::symlink(target, dir.path().join("in").join(link)).expect("a link");
    }
    let run = import(dir.path(), &["in"]).exits(0);
    for name in ["zero", "up", "here", "s", "nowhere", "me"] {
        assert!(run.err.contains(&format!("in/{name} was skipped")), "{name}: {}", run.err);
    }
    import(dir.path(), &["in/me"]).exits(2).says("link");
    assert_eq!(messages(dir.path()), ["m"]);
}

#[cfg(unix)]
#[test]
fn pipes_are_read_and_waited_for() {
    use std::io::BufRead as _;
    use std::process::{Command, Stdio};

    let dir = dir();
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    // The second text has the first one's length: nothing may be taken for known, or read away while looking.
    for message in ["1", "2"] {
        let mut child = kqlake(["--lake", "lake", "import", "--from", "pipe"])
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let mut err = std::io::BufReader::new(child.stderr.take().expect("standard error is piped"));
        err.read_line(&mut line).expect("a line");
        assert!(line.contains("waiting for data from") && line.contains("pipe"), "{line}");
        fs::write(&pipe, record(message)).expect("someone reads");
        assert!(child.wait().expect("the program ends").success());
    }
    run_with(dir.path(), &["--lake", "lake", "import", "--from", "-"], record("3").as_bytes()).exits(0);
    run_with(dir.path(), &["--lake", "lake", "import", "--from", "/dev/stdin"], record("4").as_bytes()).exits(0);
    assert_eq!(messages(dir.path()), ["1", "2", "3", "4"]);
    let archive = zipped(&[("1.json", record("5").as_bytes())]);
    run_with(dir.path(), &["--lake", "lake", "import", "--from", "-"], &archive).exits(5).says("must be a file");
}

#[test]
fn arguments_without_sense_are_refused_with_the_reason() {
    let dir = dir();
    fs::write(dir.path().join("x.json"), record("m")).expect("a file");
    let cases: [(&[&str], &str); 16] = [
        (&["--threads", "0", "query", "print 1"], "threads is 0"),
        (&["--threads", "100000", "query", "print 1"], "threads is 100000"),
        (&["--threads", "-1", "query", "print 1"], "-1"),
        (&["--memory-limit", "1", "query", "print 1"], "1 bytes"),
        (&["--memory-limit", "", "query", "print 1"], "no amount of memory"),
        (&["--timeout", "1e300", "query", "print 1"], "no length of time"),
        (&["--timeout", "NaN", "query", "print 1"], "no length of time"),
        (&["--timeout=-1s", "query", "print 1"], "no length of time"),
        (&["--now", "soon", "query", "print 1"], "soon"),
        (&["--lake", "", "query", "print 1"], "--lake"),
        (&["--config", "none.toml", "query", "print 1"], "none.toml"),
        (&["query", "print 1", "--param", "nope=1"], "nope"),
        (&["query", "declare query_parameters(days: long = 1); print days", "--param", "day=1"], "did you mean `days`?"),
        (&["query", "@."], "cannot read ."),
        (&["import", "--from", "x.json", "--since", "2026-02-01", "--until", "2026-01-01"], "--since is not before --until"),
        (&["ledger", "--section", "weather"], "unknown section `weather`"),
    ];
    for (args, words) in cases {
        run_in(dir.path(), args).exits(2).says(words);
    }
    run_in(dir.path(), &["--timeout", "99999999h", "query", "print 1"]).exits(0);
    assert!(!dir.path().join("data").exists(), "nothing was imported");
    run_in(dir.path(), &["ledger", "--section", "FILES"]).exits(0).says("there is no lake");
}

#[test]
fn settings_without_sense_are_refused_with_the_reason() {
    let dir = dir();
    let with = |name: &str, value: &std::ffi::OsStr| {
        let output = kqlake(["query", "print 1"]).current_dir(dir.path()).env(name, value).output().expect("the program starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for name in ["KQLAKE_LAKE", "KQLAKE_EXPORT", "KQLAKE_THREADS", "KQLAKE_NOW", "KQLAKE_LOG", "KQLAKE_CONFIG"] {
        let (status, err) = with(name, "".as_ref());
        assert!(status == Some(2) && err.contains(name) && err.contains("empty"), "{name}: {err}");
    }
    for (name, value) in [("KQLAKE_LAEK", "x"), ("KQLAKE_LOG", "kqlake=loud"), ("KQLAKE_TIMEOUT", "soon")] {
        let (status, err) = with(name, value.as_ref());
        assert!(status == Some(2) && (err.contains(name) || err.contains(value)), "{name}: {err}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let (status, err) = with("KQLAKE_TIMEOUT", std::ffi::OsStr::from_bytes(b"5\xff"));
        assert!(status == Some(2) && err.contains("KQLAKE_TIMEOUT") && err.contains("UTF-8"), "{err}");
    }
    fs::create_dir_all(dir.path().join("data/lake/deep")).expect("a folder");
    fs::write(dir.path().join("plain"), "").expect("a file");
    for (value, words) in [
        ("missing", "missing, does not exist"),
        ("plain", "plain, is not a folder"),
        ("data/lake", "lies in the lake"),
        ("data/../data/lake/deep", "lies in the lake"),
    ] {
        let (status, err) = with("KQLAKE_SPILL_DIR", value.as_ref());
        assert!(status == Some(2) && err.contains(words) && err.contains("help: "), "{value}: {err}");
    }
    assert!(!dir.path().join("missing").exists());
    assert_eq!(with("KQLAKE_SPILL_DIR", "data".as_ref()).0, Some(0));
    let file = dir.path().join("kqlake.toml");
    for (text, words) in [
        ("spill_dir = \"data/lake/deep\"\n", "lies in the lake"),
        ("lake = \"a\"\nlake = \"b\"\n", "duplicate key"),
        ("[lakes]\nx = 1\n", "did you mean `lake`?"),
        ("threads = -1\n", "kqlake.toml:1: invalid value"),
        ("threads = 100000\n", "threads is 100000"),
        ("timeout = \"-5s\"\n", "no length of time"),
    ] {
        fs::write(&file, text).expect("a file");
        run_in(dir.path(), &["query", "print 1"]).exits(2).says(words);
    }
    // Values for parameters that only some saved queries have are no mistake.
    fs::write(&file, "[params]\nlookback = \"7d\"\n").expect("a file");
    run_in(dir.path(), &["run", "company-open-outcomes"]);
    run_in(dir.path(), &["query", "print 1"]).exits(0);
    fs::remove_file(&file).expect("the file");
    fs::create_dir(&file).expect("a folder");
    run_in(dir.path(), &["query", "print 1"]).exits(2).says("it is a folder");
}
