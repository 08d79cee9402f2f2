//! Little memory, little time, deep values: each query is answered, or refused with advice, and results are whole or not begun.
//!
//! Times are bounds against hanging on the slowest machine and in a debug build, not measurements.

use std::path::Path;
#[cfg(unix)]
use std::process::Stdio;
use std::time::{Duration, Instant};

#[cfg(unix)]
use super::support::{Run, kqlake, run_in};

/// Rows of a table without a lake, wide and in no order: `range` makes them, hashes mix them.
const WIDE: &str = "range n from 1 to 20000 step 1 \
    | extend id = hash_md5(tostring(n)), text = strcat_array(repeat(hash_sha256(tostring(n)), 8), ' ')";

#[track_caller]
fn query(dir: &Path, memory: &str, threads: &str, text: &str) -> Run {
    run_in(dir, &["query", text, "-f", "csv", "--memory-limit", memory, "--threads", threads])
}

#[test]
fn sorts_finish_however_little_memory_there_is() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // Some 13 MB of rows.
    let sorted = format!("{WIDE} | sort by id | extend rn = row_number(), before = prev(id) | project rn, id, text, before");
    let whole = query(dir.path(), "2GB", "2", &sorted).exits(0).out;
    assert_eq!(whole.lines().count(), 20_001);
    for (memory, threads) in [("3MB", "1"), ("3MB", "2"), ("3MB", "8"), ("1MB", "4")] {
        let little = query(dir.path(), memory, threads, &sorted).exits(0).out;
        assert!(little == whole, "{memory} and {threads} threads give another answer");
    }
}

/// A lake of three imports of some 1.5 MB each, whose files overlap in time.
fn overlapping_traces(dir: &Path) {
    for seed in ["2", "3", "4"] {
        let file = format!("t{seed}.ndjson");
        run_in(dir, &["generate", "traces", "--rows", "2000", "--days", "1", "--seed", seed, "-o", &file]).exits(0);
        run_in(dir, &["--lake", "lake", "import", "--from", &file]).exits(0);
    }
}

#[test]
fn sorts_of_a_lakes_table_finish_however_little_memory_there_is() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    overlapping_traces(dir.path());
    let sorted = |memory: &str, threads: &str, text: &str| {
        let args = ["--lake", "lake", "query", text, "-f", "csv", "--memory-limit", memory, "--threads", threads];
        run_in(dir.path(), &args).exits(0).out
    };
    for text in [
        "traces | sort by message asc | project message",
        // The key is a column beside the text here.
        "traces | sort by message desc, itemId asc | project message",
        "traces | sort by message asc, itemId desc",
    ] {
        let whole = sorted("2GB", "2", text);
        assert!(whole.lines().count() > 6_000);
        for (memory, threads) in [("1MB", "1"), ("1MB", "2"), ("1MB", "8"), ("2MB", "8"), ("4MB", "1"), ("8MB", "8")] {
            assert!(sorted(memory, threads, text) == whole, "{text}: {memory} and {threads} threads give another answer");
        }
    }
}

#[test]
fn compaction_finishes_however_little_memory_there_is() {
    for memory in ["1MB", "4MB", "16MB"] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        overlapping_traces(dir.path());
        let ids = || query_lake(dir.path(), "traces | sort by itemId asc | project itemId, message");
        let before = ids();
        let run = run_in(dir.path(), &["--lake", "lake", "compact", "traces", "--memory-limit", memory]).exits(0);
        assert!(run.out.contains("6 files merged into") || run.err.contains("6 files merged into"), "{} {}", run.out, run.err);
        assert!(ids() == before, "{memory}");
    }
}

#[track_caller]
fn query_lake(dir: &Path, text: &str) -> String {
    run_in(dir, &["--lake", "lake", "query", text, "-f", "csv"]).exits(0).out
}

#[test]
fn groups_and_joins_finish_with_little_memory() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for text in [
        format!("{WIDE} | summarize c = count(), take_any(text) by id | summarize sum(c), countif(isempty(text))"),
        format!("{WIDE} | distinct id, text | count"),
        format!("{WIDE} | join kind=inner ({WIDE} | project id, n2 = n) on id | summarize count(), sum(n2 - n)"),
        format!("{WIDE} | join kind=leftouter ({WIDE} | where n % 2 == 0 | project id, other = text) on id | count"),
        format!("{WIDE} | top 5000 by id | summarize count(), max(strlen(text))"),
        format!("{WIDE} | partition hint.strategy=native by n (summarize count())  | count"),
    ] {
        let whole = query(dir.path(), "2GB", "2", &text).exits(0).out;
        for threads in ["1", "2", "8"] {
            assert_eq!(query(dir.path(), "4MB", threads, &text).exits(0).out, whole, "{text} with {threads} threads");
        }
    }
}

#[test]
fn groups_over_ordered_rows_finish_with_little_memory() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (text, answer) in [
        ("range i from 1 to 300000 step 1 | distinct i | count", "Count\n300000\n"),
        ("range i from 300000 to 1 step -1 | summarize n = count() by i | summarize count(), max(n)", "count_,max_n\n300000,1\n"),
        ("range i from 1 to 300000 step 1 | summarize n = count() by i, k = i % 3 | count", "Count\n300000\n"),
        ("range i from 1 to 300000 step 1 | serialize r = row_number() | distinct r | count", "Count\n300000\n"),
        (
            "range i from 1 to 100000 step 1 | scan declare (s: long) with (step a: true => s = i;) | distinct i, s | count",
            "Count\n100000\n",
        ),
    ] {
        for (memory, threads) in [("1MB", "1"), ("1MB", "2"), ("4MB", "8"), ("10MB", "2")] {
            assert_eq!(query(dir.path(), memory, threads, text).exits(0).out, answer, "{text}: {memory}, {threads} threads");
        }
    }
}

#[test]
fn groups_whose_values_are_gathered_finish_with_little_memory() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // Some 60 MB of values, of which no group has a tenth of a percent.
    let rows = "range n from 1 to 100000 step 1 | extend text = strcat(n, strcat_array(repeat(hash_sha256(tostring(n)), 9), ''))";
    let lists = format!(
        "{rows} | summarize list = make_list(text), values = make_set(n % 7) by key = tostring(n % 2000), half = n % 2 == 0 \
        | summarize groups = count(), rows = sum(array_length(list)), distinct_ = sum(array_length(values)), chars = sum(strlen(strcat_array(list, '')))"
    );
    let ask = |memory: &str, threads: &str| query(dir.path(), memory, threads, &lists).exits(0).out;
    let whole = ask("2GB", "2");
    assert!(whole.contains("\n2000,100000,14000,"), "{whole}");
    for (memory, threads) in [("96MB", "1"), ("96MB", "2"), ("64MB", "4")] {
        assert_eq!(ask(memory, threads), whole, "{memory}, {threads} threads");
    }
}

#[test]
fn what_must_be_held_at_once_fails_with_advice_and_without_rows() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for text in [
        format!("{WIDE} | summarize make_list(text)"),
        format!("{WIDE} | summarize make_set(text) by n % 2"),
        format!("{WIDE} | summarize buildschema(bag_pack(id, 1))"),
        format!("{WIDE} | reduce by text"),
        format!("{WIDE} | project d = bag_pack('a', text) | evaluate bag_unpack(d) | count"),
        format!("{WIDE} | project id, k = 1 | evaluate pivot(id) | count"),
        format!("{WIDE} | evaluate session_count(id, n, 1, 20000, 100, 10)"),
        format!("{WIDE} | project text, n | evaluate narrow() | count"),
        format!("{WIDE} | extend ip = format_ipv4(n) | evaluate ipv4_lookup((datatable(k: string)['0.0.0.0/0']), ip, k) | count"),
        format!("{WIDE} | where id in (({WIDE} | project id)) | count"),
        format!("{WIDE} | make-graph id --> text | graph-match (a)-[e]->(b) project e.n | count"),
        format!("{WIDE} | make-graph id --> text | graph-mark-components | graph-to-table nodes | count"),
    ] {
        let run = query(dir.path(), "1MB", "2", &text).exits(3).says("memory").says("--memory-limit");
        assert_eq!(run.out, "");
    }
}

/// Runs a command that cannot be done in its time, and fails unless it ends soon after it.
#[track_caller]
fn out_of_time(dir: &Path, args: &[&str]) {
    out_of(dir, "1s", args);
}

/// [`out_of_time`] for what takes a few seconds only: a machine many times faster than those known still needs longer than
/// `timeout`.
#[track_caller]
fn out_of(dir: &Path, timeout: &str, args: &[&str]) {
    let start = Instant::now();
    let run = run_in(dir, &[args, &["--timeout", timeout]].concat())
        .exits(3)
        .says("the query ran longer than the ")
        .says("it may take");
    assert_eq!(run.out, "");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

fn joined(count: usize, separator: &str, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(separator)
}

#[test]
fn the_deadline_ends_planning() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let list = joined(200_000, ",", |i| i.to_string());
    std::fs::write(dir.path().join("list.sql"), format!("SELECT count(*) FROM traces WHERE \"itemCount\" IN ({list})")).unwrap();
    out_of(dir.path(), "100ms", &["sql", "@list.sql"]);
    let columns = joined(4_000, ",", |i| format!("\"itemCount\" + {i} AS c{i}"));
    std::fs::write(dir.path().join("columns.sql"), format!("SELECT {columns} FROM traces")).unwrap();
    out_of(dir.path(), "100ms", &["sql", "@columns.sql"]);
    let tables = joined(900, ",", |i| format!("(traces | extend x{i} = {i})"));
    std::fs::write(dir.path().join("union.kql"), format!("union {tables}")).unwrap();
    out_of(dir.path(), "100ms", &["query", "@union.kql"]);
    out_of(dir.path(), "100ms", &["query", "@union.kql", "--explain"]);
}

#[test]
fn the_deadline_ends_kernels_that_never_pause() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // One row of one call.
    let one_call = "print countof(strcat_array(repeat('ab', 1000000), ''), '(a|b)*?(a|ab)*c', 'regex')";
    for threads in ["1", "4"] {
        out_of_time(dir.path(), &["query", one_call, "--threads", threads]);
        out_of_time(dir.path(), &["query", "range x from 1 to 4000000000 step 1 | summarize sum(x)", "--threads", threads]);
    }
    out_of_time(dir.path(), &["query", "let n = toscalar(range x from 1 to 4000000000 step 1 | summarize sum(x)); print n"]);
    out_of_time(dir.path(), &["sql", "WITH RECURSIVE r AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM r) SELECT count(*) FROM r"]);
}

#[test]
fn a_query_that_is_given_up_leaves_no_temporary_files() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let spill = dir.path().join("spill");
    std::fs::create_dir(&spill).unwrap();
    std::fs::write(dir.path().join("kqlake.toml"), "spill_dir = \"spill\"\n").unwrap();
    let endless = "range n from 1 to 4000000000 step 1 | extend id = hash_md5(tostring(n)) | sort by id";
    run_in(dir.path(), &["query", endless, "--memory-limit", "4MB", "--timeout", "3s"]).exits(3).says("longer than");
    let left: Vec<_> = std::fs::read_dir(&spill).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[cfg(unix)]
#[test]
fn what_a_killed_query_spilled_is_removed_by_the_next_run_and_a_living_ones_is_not() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let spill = dir.path().join("spill");
    std::fs::create_dir_all(spill.join("mine.staging")).unwrap();
    let left = || std::fs::read_dir(&spill).unwrap().count();
    let endless = "range n from 1 to 4000000000 step 1 | extend id = hash_md5(tostring(n)) | sort by id";
    let run = |args: &[&str]| {
        let mut command = kqlake(args);
        command.current_dir(dir.path()).env("KQLAKE_SPILL_DIR", "spill").stdout(Stdio::null());
        command
    };
    let started = |folders| {
        let mut child = run(&["query", endless, "--memory-limit", "4MB"]).spawn().expect("the program starts");
        while left() < folders {
            assert!(child.try_wait().expect("a state").is_none(), "it spills");
            std::thread::yield_now();
        }
        child
    };
    let mut killed = started(2);
    killed.kill().expect("it runs");
    killed.wait().expect("it ends");
    assert_eq!(left(), 2);
    assert!(run(&["query", "print 1"]).status().expect("it starts").success());
    assert_eq!(left(), 1);
    let mut living = started(2);
    assert!(run(&["query", "print 1"]).status().expect("it starts").success());
    assert_eq!(left(), 2);
    living.kill().expect("it runs");
    living.wait().expect("it ends");
    assert!(run(&["sql", "SELECT 1"]).status().expect("it starts").success());
    assert_eq!(left(), 1);
}

#[test]
fn the_deadline_ends_a_check() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let sums = joined(30_000, ", ", |i| format!("x{i} = {}", joined(200, "+", |n| n.to_string())));
    std::fs::write(dir.path().join("long.kql"), format!("print {sums}")).unwrap();
    std::fs::write(dir.path().join("short.kql"), "print 1").unwrap();
    out_of_time(dir.path(), &["check", "long.kql"]);
    out_of_time(dir.path(), &["check", "long.kql", "short.kql"]);
}

#[test]
fn texts_of_sql_are_counted_before_they_are_made() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let sql = |text: &str| run_in(dir.path(), &["sql", text, "--memory-limit", "4MB", "-f", "tsv"]);
    let long = "repeat('x', 3000000)";
    let doubled = joined(24, ", ", |i| format!("t{} AS (SELECT x || x AS x FROM t{i})", i + 1));
    for text in [
        "repeat('x', 2000000000)".to_owned(),
        "lpad('x', 500000000)".to_owned(),
        "rpad('x', 500000000, 'ab')".to_owned(),
        format!("repeat({long}, 40000000)"),
        format!("concat({long}, {long})"),
        format!("concat_ws('-', {long}, {long})"),
        format!("{long} || {long}"),
        format!("replace({long}, 'x', 'yy')"),
    ] {
        let run = sql(&format!("SELECT {text}")).exits(3).says("of text").says("--memory-limit");
        assert_eq!(run.out, "", "{text}");
    }
    let values = "SELECT column1 AS x FROM (VALUES ('ab'), ('cd')) v";
    sql(&format!("WITH t0 AS ({values}), {doubled} SELECT length(x) FROM t24")).exits(3).says("|| would make");
    for (text, answer) in [
        (format!("SELECT length({long}) AS n"), "n\n3000000\n"),
        (format!("SELECT length(replace({long}, 'xxxx', 'yyyy')) AS n"), "n\n3000000\n"),
        ("SELECT length(lpad('x', 500000000, '')) AS n".to_owned(), "n\n1\n"),
        ("SELECT 'a' || 1 || 'b' AS t, lpad('x', 3, '-') AS l, repeat('ab', -1) AS r".to_owned(), "t\tl\tr\na1b\t--x\t\n"),
        ("SELECT a || b AS c FROM (VALUES ('x', 'y'), ('z', NULL)) t(a, b) WHERE a || b IS NOT NULL".to_owned(), "c\nxy\n"),
        ("SELECT a || b FROM (VALUES ('x', 'y')) t(a, b) GROUP BY a || b ORDER BY a || b".to_owned(), "a || b\nxy\n"),
        ("SELECT concat('a', NULL, 1) AS c, concat_ws('-', 'a', NULL, 'b') AS w".to_owned(), "c\tw\na1\ta-b\n"),
    ] {
        assert_eq!(sql(&text).exits(0).out, answer, "{text}");
    }
}

#[test]
fn texts_of_kql_are_counted_before_they_are_made() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let kql = |text: &str| run_in(dir.path(), &["query", text, "--memory-limit", "4MB", "--threads", "2", "-f", "tsv"]);
    let times = |n: usize, text: &str| joined(n, ",", |_| text.to_owned());
    for long in [
        "strrep(x, 1000, x)".to_owned(),
        format!("strcat({})", times(80, "x")),
        format!("strcat_delim(x, {})", times(50, "x")),
        "strcat_array(repeat('', 1000), x)".to_owned(),
        "repeat(x, 1000)".to_owned(),
        "replace_string(x, 'a', x)".to_owned(),
        "replace_regex(x, 'a', strrep('ab', 1000))".to_owned(),
        "replace_strings(x, dynamic(['a']), pack_array(x))".to_owned(),
        format!("pack_array({})", times(80, "x")),
        format!("bag_pack({})", joined(80, ",", |i| format!("'{i}', x"))),
    ] {
        // As a constant, and in rows.
        let constant = format!("let x = strrep(strrep('a', 1000), 1000); print strlen(tostring({long}))");
        kql(&constant).exits(3).says("memory").says("of text");
        let text = "strrep(strrep(substring('a', i * 0), 1000), 1000)";
        let run = kql(&format!("range i from 1 to 2 step 1 | extend x = {text} | project t = {long}"))
            .exits(3)
            .says("memory")
            .says("of text")
            .says("--memory-limit");
        assert_eq!(run.out, "", "{long}");
    }
    // Many constants are no more than one.
    let many = joined(80, ", ", |i| format!("x{i} = strcat(strrep(strrep('a', 1000), 1000), '{i}')"));
    kql(&format!("print {many}")).exits(3).says("constants").says("of text");
    assert_eq!(kql("print n = strlen(strrep(strrep('a', 1000), 1000))").exits(0).out, "n\n1000000\n");
}

#[test]
fn lists_beside_their_elements_are_not_gathered() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let text = "range i from 1 to 2000 step 1 | summarize l = make_list(i) | extend k = l \
        | mv-expand l to typeof(long) | where l % 500 == 0 | mv-expand k to typeof(long) | summarize n = count(), s = sum(k - l)";
    assert_eq!(query(dir.path(), "4MB", "4", text).exits(0).out, "n,s\n8000,-1996000\n");
    let plan = run_in(dir.path(), &["query", text, "--explain", "--threads", "4"]).exits(0).out;
    let (_, above) = plan.split_once("Physical plan").expect("the physical plan");
    let expands: Vec<usize> = above.match_indices("ComputeExec: mv-expand").map(|(at, _)| at).collect();
    assert!(!above[..*expands.last().expect("an operator")].contains("RoundRobin"), "{plan}");
}

#[test]
fn sql_has_the_limits_of_kql() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let sql = |text: String| {
        std::fs::write(dir.path().join("q.sql"), text).unwrap();
        run_in(dir.path(), &["sql", "@q.sql", "--timeout", "40s"])
    };
    let terms = |count, term: fn(usize) -> String| format!("SELECT 1 WHERE {}", joined(count, " OR ", term));
    sql(terms(20_000, |i| format!("1 = {i}"))).exits(3).says("too deep").says("IN (");
    sql(terms(20_000, |i| format!("(1 = {i} AND 2 <> {i})"))).exits(3).says("too deep");
    sql(terms(400, |i| format!("2 = {}", i + 2))).exits(0);
    sql(format!("EXPLAIN SELECT {}", joined(20_000, "+", |i| i.to_string()))).exits(3).says("too deep");
    sql(format!("SELECT 1{}", "::int".repeat(50_000))).exits(3).says("too deep");
    sql(format!("SELECT 1{}", " IS NULL".repeat(50_000))).exits(3).says("too deep");
    sql(format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000))).exits(3).says("too deep");
    sql(format!("SELECT {}1{}", "abs(".repeat(100_000), ")".repeat(100_000))).exits(3).says("too deep");
    sql(format!("SELECT * FROM {}traces{}", "(SELECT * FROM ".repeat(5_000), ") t".repeat(5_000))).exits(3).says("too deep");
    sql(format!("SELECT {}1", "- ".repeat(100_000))).exits(3).says("too deep");
    for levels in [60, 20_000] {
        sql(format!("SELECT {}true", "NOT ".repeat(levels))).exits(3).says("nested too deeply");
        sql(format!("SELECT {}", "- ".repeat(levels))).exits(3).says("nested too deeply");
    }
    for levels in [60, 3_000] {
        let (open, end) = ("case when true then ".repeat(levels), " end".repeat(levels));
        sql(format!("SELECT {open}1{end}")).exits(3).says("nested too deeply").says("WITH");
    }
    // What is short is wrong for another reason, and what texts and comments hold is not nested.
    sql(format!("SELECT '{}' +", "(".repeat(100))).exits(3).says("xpected");
    sql(format!("SELECT 1{}", "+1".repeat(2 << 20))).exits(3).says("too long");
    let twice = joined(39, ", ", |i| format!("t{} AS (SELECT x.a FROM t{i} x, t{i} y)", i + 1));
    sql(format!("WITH t0 AS (SELECT 1 AS a), {twice} SELECT * FROM t39")).exits(3).says("operators").says("WITH");
    let quoted = joined(39, ", ", |i| format!("\"t{}\" AS (SELECT x.a FROM \"t{i}\" x, \"t{i}\" y)", i + 1));
    sql(format!("WITH \"t0\" AS (SELECT 1 AS a), {quoted} SELECT * FROM \"t39\"")).exits(3).says("operators");
    let nested = |levels| {
        (1..levels).fold("WITH a0 AS (SELECT 1 AS x) SELECT x FROM a0".to_owned(), |inner, i| {
            format!("WITH a{i} AS ({inner}) SELECT x FROM a{i}")
        })
    };
    sql(nested(10)).exits(0);
    sql(nested(40)).exits(3).says("inside of WITH");
    sql(joined(5_000, " UNION ALL ", |i| format!("SELECT {i}"))).exits(3).says("operators");
}

#[test]
fn kql_that_explodes_is_answered_or_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (text, says) in [
        ("print strlen(strcat_array(repeat('0123456789', 100000000), ''))", ""),
        ("print array_length(range(1, 100000000000, 1))", ""),
        ("range x from 1 to 10 step 1 | make-series count() on x from 0 to 9000000000000 step 1", "points"),
        ("let f = (n: long) { f(n - 1) }; print f(1)", ""),
        ("print array_length(series_fir(range(1, 100000, 1), range(1, 100000, 1)))", ""),
        ("print 'x' matches regex '((((x{1,100}){1,100}){1,100}){1,100})'", ""),
    ] {
        let start = Instant::now();
        let run = run_in(dir.path(), &["query", text, "--timeout", "5s", "--memory-limit", "50MB"]);
        assert!(start.elapsed() < Duration::from_secs(30), "{text}");
        assert!([0, 3].contains(&run.status), "{text}: {} {}", run.status, run.err);
        if run.status == 3 {
            run.exits(3).says(says);
        }
    }
}

/// A dynamic value of many levels in a column, put together at run time.
const DEEP: &str = "print n = 100000 \
    | extend open = strcat_array(repeat('[', n), ''), close = strcat_array(repeat(']', n), '') \
    | extend deep = bag_pack('k', parse_json(strcat(open, close)), 'x', 1)";

#[test]
fn values_deeper_than_the_limit_are_text() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let ask = |what: &str| run_in(dir.path(), &["query", &format!("{DEEP} | project {what}"), "-f", "tsv"]).exits(0).out;
    assert_eq!(ask("v = strcat(gettype(deep), ' ', gettype(deep.k), ' ', strlen(deep.k))"), "v\ndictionary string 200000\n");
    assert_eq!(ask("v = strlen(dynamic_to_json(deep))"), "v\n200014\n");
    // As constants the same.
    let constant = format!("print v = gettype(parse_json('{}1{}'))", "[".repeat(128), "]".repeat(128));
    assert_eq!(run_in(dir.path(), &["query", &constant]).exits(0).out, "v\nstring\n");
    assert_eq!(
        run_in(dir.path(), &["query", &constant.replacen("[]", "", 1).replace("[[1]]", "[1]")]).exits(0).out,
        "v\narray\n"
    );
}
