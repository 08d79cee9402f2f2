//! What a query does not touch: bags whose keys are columns, tables without rows, columns that nobody asks for, memory beyond the
//! limit. Plans show it, and answers are those of the slow way.

use std::fmt::Write as _;
use std::path::Path;

use super::support::run_in;

/// A lake with a file a month; in the one of March two keys have values that their columns cannot answer for.
fn lake(dir: &Path) {
    for month in 1..=4 {
        let mut text = String::new();
        for row in 0..4 {
            let odd = month == 3 && row == 1;
            let event = if odd { "5".to_owned() } else { format!("\"RT000{row}\"") };
            let time = if odd { "soon".to_owned() } else { format!("00:00:0{row}") };
            let key = if row == 3 { "other" } else { "executionTime" };
            let _ = writeln!(
                text,
                r#"{{"timestamp":"2026-0{month}-1{row}T00:00:00Z","message":"m{month}{row}","itemId":"i{month}{row}","itemType":"trace","customDimensions":{{"eventId":{event},"{key}":"{time}","totalTime":"00:00:0{month}","companyName":"C{row}"}}}}"#
            );
        }
        let file = format!("{month}.ndjson");
        std::fs::write(dir.join(&file), text).expect("a file");
        run_in(dir, &["--lake", "lake", "import", "--from", &file]).exits(0);
    }
}

fn ask(dir: &Path, kql: &str) -> String {
    run_in(dir, &["--lake", "lake", "query", kql, "-f", "csv"]).exits(0).out
}

fn plan(dir: &Path, kql: &str) -> String {
    run_in(dir, &["--lake", "lake", "query", kql, "--explain"]).exits(0).out
}

/// The lines of the physical plan that read files.
fn scans(plan: &str) -> Vec<&str> {
    plan.lines().filter(|line| line.contains("DataSourceExec")).collect()
}

#[test]
fn keys_with_a_column_are_never_read_from_the_bag() {
    let dir = tempfile::tempdir().expect("a folder");
    lake(dir.path());
    let d = "customDimensions";
    for (kql, answer) in [
        (
            format!(
                "traces | where strlen(itemId) == 3 \
                 | summarize max(toreal(totimespan(iff(isnotempty({d}.companyName), {d}.totalTime, {d}.companyName))))"
            ),
            "max_\n40000000.0\n",
        ),
        (
            format!(
                "traces | where isnotnull({d}.companyName) \
                 | summarize dcount(tostring(coalesce({d}.companyName, {d}.totalTime)))"
            ),
            "dcount_\n4\n",
        ),
        (format!("traces | where strlen(itemId) == 3 | distinct c = tostring({d}.companyName) | count"), "Count\n4\n"),
        (format!("traces | where strlen(itemId) == 3 | mv-expand c = {d}.companyName | where c == 'C1' | count"), "Count\n4\n"),
        (
            format!(
                "traces | where strlen(itemId) == 3 | extend k = bag_keys({d}.companyName), \
                 c = case(itemId == 'i11', {d}.companyName, {d}.totalTime) | where isnull(k) and c == 'C1' | count"
            ),
            "Count\n1\n",
        ),
        (
            format!("traces | where strlen(itemId) == 3 | summarize sum(tolong(totimespan({d}.totalTime)) + 1)"),
            "sum_\n400000016\n",
        ),
        (format!("traces | where isempty({d}.totalTime) and strlen(itemId) == 3 | count"), "Count\n0\n"),
        (
            format!(
                "traces | where strlen(itemId) == 3 \
                 | summarize n = count() by c = parse_json(tostring({d}.companyName)) == 'C1' | where c | project n"
            ),
            "n\n4\n",
        ),
    ] {
        let plan = plan(dir.path(), &kql);
        let scans = scans(&plan);
        assert!(!scans.is_empty(), "{plan}");
        for scan in scans {
            assert!(!scan.contains("customDimensions@") && !scan.contains("customDimensions,"), "{kql}\n{plan}");
        }
        let found = ask(dir.path(), &kql);
        assert_eq!(found.split_once('\n').map(|(_, rows)| rows), answer.split_once('\n').map(|(_, rows)| rows), "{kql}");
    }
}

#[test]
fn a_column_that_one_file_disqualifies_is_used_for_the_others() {
    let dir = tempfile::tempdir().expect("a folder");
    lake(dir.path());
    let d = "customDimensions";
    for (kql, answer) in [
        (format!("traces | where {d}.eventId == 'RT0001' | order by itemId asc | project itemId"), "i11\ni21\ni41\n"),
        (format!("traces | where {d}.eventId == 5 | project itemId"), "i31\n"),
        (format!("traces | where tostring({d}.executionTime) == 'soon' | project itemId"), "i31\n"),
        (
            format!(
                "traces | where strlen(itemId) == 3 | summarize s = sum(totimespan({d}.executionTime)) by x = gettype({d}.eventId) \
                 | order by x asc | project x, s = tostring(s)"
            ),
            "long,00:00:00\nstring,00:00:11\n",
        ),
        (format!("traces | where strlen(itemId) == 3 and isnull({d}.executionTime) | count"), "4\n"),
    ] {
        let found = ask(dir.path(), &kql);
        assert_eq!(found.split_once('\n').map(|(_, rows)| rows), Some(answer), "{kql}");
    }
    let plan = plan(dir.path(), &format!("traces | where {d}.eventId == 'RT0001' | project itemId"));
    let scans = scans(&plan);
    let (column, bag): (Vec<&str>, Vec<&str>) = scans.iter().partition(|scan| !scan.contains("event_month=2026-03-01"));
    assert!(!column.is_empty() && !bag.is_empty(), "{plan}");
    for scan in column {
        assert!(scan.contains("pruning_predicate=customDimensions_eventId"), "{plan}");
        assert!(!scan.contains("customDimensions@"), "{plan}");
    }
    assert!(bag.iter().all(|scan| scan.contains("dynamic_path(customDimensions@")), "{plan}");
}

#[test]
fn a_union_plans_only_tables_with_rows_and_columns_that_matter() {
    let dir = tempfile::tempdir().expect("a folder");
    lake(dir.path());
    let counted = "union withsource=T * | summarize n = count() by T | where T == 'traces' | project n > 15";
    assert_eq!(ask(dir.path(), counted), "Column1\ntrue\n");
    let plan = plan(dir.path(), "union withsource=T * | summarize count() by T");
    assert!(!plan.contains("message") && !plan.contains("customDimensions"), "{plan}");
    assert!(!plan.contains("AuditRecords") && !plan.contains("EmptyExec"), "{plan}");
    // All of its tables are empty: there is a result with their columns, and nothing in it.
    let none = ask(dir.path(), "union AuditRecords, MessageTrace, CallRecords | project Id, receivedDateTime, participants");
    assert_eq!(none, "Id,receivedDateTime,participants\n");
    assert_eq!(ask(dir.path(), "union AuditRecords, MessageTrace | count"), "Count\n0\n");
    assert_eq!(ask(dir.path(), "search 'm31' | project $table, itemId, Operation"), "$table,itemId,Operation\ntraces,i31,\n");
    // What is wrong is wrong whether a table has rows or not.
    run_in(dir.path(), &["--lake", "lake", "query", "union (AuditRecords | where Id matches regex '(' ), traces"]).exits(3);
}

#[test]
fn window_functions_hold_the_rows_that_they_look_at() {
    let dir = tempfile::tempdir().expect("a folder");
    // 400,000 rows of 100 bytes of text, in a tenth of the memory.
    let rows = "range i from 1 to 400000 step 1 | extend text = strcat(strrep('x', 100), i)";
    for (window, checked) in [
        ("p = prev(text)", "summarize n = countif(isempty(p)), m = max(strlen(p))"),
        ("p = next(text, 3)", "summarize n = countif(isempty(p)), m = max(strlen(p))"),
        ("p = row_cumsum(i)", "summarize n = countif(p != i * (i + 1) / 2), m = max(p)"),
        ("p = row_number()", "summarize n = countif(p != i), m = max(p)"),
    ] {
        let kql = format!("{rows} | order by i asc | extend {window} | {checked}");
        let out = run_in(dir.path(), &["query", &kql, "-f", "csv", "--memory-limit", "6MB", "--threads", "1"]).exits(0).out;
        let expected = match window {
            "p = prev(text)" => "n,m\n1,106\n",
            "p = next(text, 3)" => "n,m\n3,106\n",
            "p = row_cumsum(i)" => "n,m\n0,80000200000\n",
            _ => "n,m\n0,400000\n",
        };
        assert_eq!(out, expected, "{kql}");
    }
    // What has to hold more than it may says so before it does.
    let all = format!("{rows} | order by i asc | extend p = next(text, 300000) | summarize max(strlen(p))");
    run_in(dir.path(), &["query", &all, "--memory-limit", "6MB", "--threads", "1"]).exits(3).says("memory");
}

#[test]
fn an_analysis_begins_with_what_was_read() {
    let dir = tempfile::tempdir().expect("a folder");
    lake(dir.path());
    let kql = "traces | where timestamp < datetime(2026-02-01) and message has 'm11' | count";
    let said = run_in(dir.path(), &["--lake", "lake", "query", kql, "--explain=analyze"]).exits(0).out;
    let (words, _) = said.split_once("Logical plan").expect("a plan");
    for part in [
        "traces: 1 of ",
        "files were opened",
        "Left out: ",
        "by their months and bounds in the log",
        "Filter on the files: ",
        "Filter row by row: once_per_text(text_search(",
        "Time: ",
        "to plan",
    ] {
        assert!(words.contains(part), "{part} in {words}");
    }
    let said = run_in(dir.path(), &["query", "print 1", "--explain=analyze"]).exits(0).out;
    assert!(said.starts_with("No file was read.\nTime: "), "{said}");
}

/// `n` extends, each of which uses what the one before computes; `step` writes one, for its number and the one before.
fn chain(begin: &str, n: usize, step: impl Fn(usize, usize) -> String) -> String {
    (1..=n).fold(begin.to_owned(), |text, at| format!("{text}\n| extend {}", step(at, at - 1)))
}

#[test]
fn long_chains_of_extends_are_one_operator() {
    let dir = tempfile::tempdir().expect("a folder");
    lake(dir.path());
    let begin = "traces | where itemType == 'trace' and message startswith 'm' | extend a0 = strlen(message)";
    let kql = chain(begin, 400, |at, before| format!("a{at} = a{before} + 1"));
    let kql = format!("{kql}\n| summarize max(a400)");
    assert_eq!(ask(dir.path(), &kql), "max_a400\n403\n");
    let plan = plan(dir.path(), &kql);
    assert_eq!(plan.matches("ComputeExec: extend").count(), 1, "{plan}");
    assert!(plan.matches("ProjectionExec").count() < 8, "{plan}");
    assert!(scans(&plan).iter().all(|scan| !scan.contains("itemId") && !scan.contains("customDimensions")), "{plan}");
    // Columns of every kind, some of them passed on by all, some forgotten on the way, rows in an order.
    let begin = "range x from 1 to 3 step 1 | order by x desc \
                 | extend s0 = iff(x == 2, '', strcat('v', x)), t0 = datetime(2026-01-01) + x * 1d, \
                 n0 = iff(x == 3, long(null), x), d0 = todynamic(strcat('{\"k\":', x, '}')), r0 = real(nan)";
    let mixed = chain(begin, 40, |at, before| {
        format!(
            "s{at} = strcat(s{before}, iff(isempty(s{before}), '-', '')), t{at} = t{before} + 1h, n{at} = n{before} + 1, \
             d{at} = bag_merge(d{before}, bag_pack('i', d{before}.k + {at})), r{at} = coalesce(r{before}, {at}.5)"
        )
    });
    let answer = "x,s40,t40,n40,d40,r40,t0\n\
        3,v3,2026-01-05T16:00:00.0000000Z,,\"{\"\"k\"\":3,\"\"i\"\":4}\",NaN,2026-01-04T00:00:00.0000000Z\n\
        2,-,2026-01-04T16:00:00.0000000Z,42,\"{\"\"k\"\":2,\"\"i\"\":3}\",NaN,2026-01-03T00:00:00.0000000Z\n\
        1,v1,2026-01-03T16:00:00.0000000Z,41,\"{\"\"k\"\":1,\"\"i\"\":2}\",NaN,2026-01-02T00:00:00.0000000Z\n";
    assert_eq!(ask(dir.path(), &format!("{mixed} | project x, s40, t40, n40, d40, r40, t0")), answer);
    // Columns of files in the form that they have there.
    let times = chain("traces | extend t0 = timestamp, e0 = tostring(customDimensions.eventId)", 40, |at, before| {
        format!("t{at} = t{before} + 1s, e{at} = strcat(e{before}, iff(e{before} == 'RT0002', '!', ''))")
    });
    let ends = "where e40 startswith 'RT0002' and timestamp < t3 | summarize max(t40), max(timestamp) by e40, t40 - t0";
    let answer = ask(dir.path(), &format!("{times} | {ends}"));
    let newest = "RT0002!,00:00:40,2026-04-12T00:00:40.0000000Z,2026-04-12T00:00:00.0000000Z";
    assert_eq!(answer.lines().nth(1), Some(newest), "{answer}");
}

#[test]
fn short_chains_whose_expressions_multiply_are_planned_too() {
    let dir = tempfile::tempdir().expect("a folder");
    for (n, behind) in [(20, "where x > 5 | count"), (30, "where isnotnull(x) | top 2 by x | summarize take_any(1)")] {
        let kql = chain("datatable(x: long)[1, 2, 3]", n, |at, _| format!("x = x * x + {at}")) + "\n| " + behind;
        run_in(dir.path(), &["query", &kql, "--timeout", "60s"]).exits(0);
    }
    let kql = chain("datatable(s: string)['aaaab']", 12, |_, _| "s = iff(s startswith 'a', substring(s, 1), s)".to_owned());
    let run = run_in(dir.path(), &["query", &format!("{kql}\n| where s != ''"), "--timeout", "60s"]).exits(0);
    assert_eq!(run.out, "s\nb\n");
}

#[test]
fn greatest_values_of_columns_and_of_expressions_are_of_the_same_rows() {
    let dir = tempfile::tempdir().expect("a folder");
    lake(dir.path());
    for (command, text) in [
        ("query", "traces | summarize max(timestamp), max(tostring(message))"),
        ("sql", "SELECT max(timestamp), max(lower(message)) FROM traces"),
    ] {
        let plan = run_in(dir.path(), &[command, text, "--explain"]).exits(0).out;
        assert!(!plan.contains("DynamicFilter"), "{plan}");
    }
}

/// A lake with one file of 20,000 rows: texts that no other row has, texts that many rows have, and rows without one.
fn long_lake(dir: &Path) {
    let mut text = String::new();
    for row in 0..20_000 {
        let message = match row % 5 {
            0 => String::new(),
            4 => ",\"message\":\"\"".to_owned(),
            of => format!(",\"message\":\"{} number {of} of them\"", "a long word ".repeat(of)),
        };
        let (minute, second) = (row / 60 % 60, row % 60);
        let _ = writeln!(
            text,
            r#"{{"timestamp":"2026-01-10T0{}:{minute:02}:{second:02}Z"{message},"itemId":"{row:05}-{}","itemType":"trace","operation_Name":"{row:05} {}","customDimensions":{{"eventId":"E{}"}}}}"#,
            row / 3600,
            row.wrapping_mul(7_919) % 1_000_003,
            row.wrapping_mul(104_729) % 1_000_003,
            row % 3,
        );
    }
    std::fs::write(dir.join("rows.ndjson"), text).expect("a file");
    run_in(dir, &["--lake", "lake", "import", "--from", "rows.ndjson"]).exits(0);
}

/// Bytes that were read of the files, by the words of an analysis.
fn bytes_read(dir: &Path, kql: &str) -> f64 {
    let said = run_in(dir, &["--lake", "lake", "query", kql, "--explain=analyze"]).exits(0).out;
    let line = said.lines().find(|line| line.contains("were opened")).expect("a line of the scan");
    let (before, _) = line.split_once(" of ").and_then(|_| line.rsplit_once(" of ")).expect("bytes");
    let size = before.rsplit_once(", ").expect("bytes").1;
    let (number, unit) = size.split_once(' ').expect("a number and its unit");
    let unit = match unit {
        "B" | "bytes" => 1.0,
        "KB" => 1e3,
        "MB" => 1e6,
        other => panic!("{other} in {line}"),
    };
    number.parse::<f64>().expect("a number") * unit
}

#[test]
fn a_few_rows_are_read_from_the_pages_that_have_them() {
    let dir = tempfile::tempdir().expect("a folder");
    long_lake(dir.path());
    let of = |rows: &str| bytes_read(dir.path(), &format!("traces | project itemId, operation_Name {rows}"));
    // Three pages of 8,192 rows, of which one has the first ten.
    let (some, all) = (of("| take 10"), of("| where strlen(itemId) > strlen(operation_Name)"));
    assert!(some * 2.0 < all, "{some} of {all}");
    assert_eq!(ask(dir.path(), "traces | take 10 | count"), "Count\n10\n");
    assert_eq!(ask(dir.path(), "traces | take 9000 | summarize dcount(itemId) > 8500"), "Column1\ntrue\n");
}

#[test]
fn columns_that_are_not_asked_for_are_not_read() {
    let dir = tempfile::tempdir().expect("a folder");
    long_lake(dir.path());
    let one = bytes_read(dir.path(), "traces | summarize max(severityLevel)");
    let texts = bytes_read(dir.path(), "traces | summarize max(itemId), max(operation_Name)");
    assert!(one * 4.0 < texts, "{one} and {texts}");
}

#[test]
fn searches_are_computed_once_for_each_text() {
    let dir = tempfile::tempdir().expect("a folder");
    long_lake(dir.path());
    for (filter, once, rows) in [
        ("message has 'word'", true, 12_000),
        ("message !has 'word'", true, 8_000),
        ("message has 'number' and message has '2'", true, 4_000),
        ("message has '1' or message endswith '3 of them'", true, 8_000),
        ("not(message contains 'long word')", true, 8_000),
        ("message matches regex 'number [12]'", true, 8_000),
        ("strlen(message) == 0", true, 8_000),
        // Texts of which each row has its own.
        ("operation_Name has '00007'", true, 1),
        ("operation_Name !has '00007' and message has_any ('1', '2')", true, 7_999),
        // Bounds of files and pages know of these, or another column is needed.
        ("message == 'a long word  number 1 of them'", false, 4_000),
        ("message has '1' and message == 'a long word  number 1 of them'", false, 4_000),
        ("message has '1' or itemId == '00002-15838'", false, 4_001),
    ] {
        // The import itself says a line more.
        let kql = format!("traces | where timestamp < datetime(2026-01-11) | where {filter} | count");
        assert_eq!(ask(dir.path(), &kql), format!("Count\n{rows}\n"), "{kql}");
        let plan = plan(dir.path(), &kql);
        assert_eq!(scans(&plan).iter().any(|scan| scan.contains("once_per_text(")), once, "{kql}\n{plan}");
    }
    // A column of the answer is read as it is.
    let kql = "traces | where message has 'word' | summarize n = count() by message | order by message asc | project n";
    assert_eq!(ask(dir.path(), kql), "n\n4000\n4000\n4000\n");
    assert!(!plan(dir.path(), kql).contains("once_per_text("));
    let kql = "traces | where message has 'word' and operation_Name has '00007' | project strcat(message, '.')";
    assert_eq!(ask(dir.path(), kql), "Column1\na long word a long word  number 2 of them.\n");
}

#[test]
fn a_table_that_is_opened_ahead_and_not_read_is_no_reason_to_refuse() {
    let dir = tempfile::tempdir().expect("a folder");
    lake(dir.path());
    let log = dir.path().join("lake/AuditRecords/_delta_log");
    std::fs::create_dir_all(&log).expect("a folder");
    std::fs::write(log.join("00000000000000000000.json"), "{").expect("a file");
    let ask = |kql: &str| run_in(dir.path(), &["--lake", "lake", "query", kql, "-f", "csv"]);
    for kql in [
        "let unused = () { AuditRecords | count }; traces | where strlen(itemId) == 3 | count",
        "let AuditRecords = traces; AuditRecords | where strlen(itemId) == 3 | count",
        "let unused = AuditRecords | count; traces | where strlen(itemId) == 3 | join kind=leftanti (traces | where false) on itemId | count",
    ] {
        let answer = ask(kql).exits(0);
        assert_eq!((answer.out.as_str(), answer.err.as_str()), ("Count\n16\n", ""), "{kql}");
    }
    for kql in ["AuditRecords | count", "OfficeActivity | count", "traces | union AuditRecords | count"] {
        let refused = ask(kql).exits(6);
        assert!(refused.err.contains("AuditRecords") && refused.out.is_empty(), "{kql}: {}", refused.err);
    }
    // A text that is wrong is told as such, whatever is wrong with its table.
    assert!(ask("AuditRecords | where nothing > 1").exits(3).err.contains("nothing"));
}
