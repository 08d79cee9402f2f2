//! SQL over the sample lake and over files: what reaches the scan, what SQL says of the lake, tables of files.

use super::support::{csv_rows, run_in, sample_lake};

fn one(run: &str) -> String {
    csv_rows(run)[1][0].clone()
}

#[test]
fn keys_of_bags_are_read_from_their_promoted_columns() {
    let dir = sample_lake();
    let run = |args: &[&str]| run_in(dir.path(), &[&["--lake", "lake"], args].concat()).exits(0).out;
    let kql = run(&["query", "traces | where customDimensions.eventId == 'RT0005' | count"]);
    assert_ne!(one(&kql), "0");
    for bag in [
        "customDimensions->>'eventId'",
        "customDimensions->>'$.eventId'",
        "json_extract_string(customDimensions, '$.eventId')",
        "CUSTOMDIMENSIONS->>'eventId'",
    ] {
        let sql = format!("SELECT count(*) FROM traces WHERE {bag} = 'RT0005'");
        assert_eq!(one(&run(&["sql", &sql])), one(&kql), "{sql}");
        let plan = run(&["sql", "--explain", &sql]);
        assert!(plan.contains("predicate=customDimensions_eventId") && !plan.contains("dynamic_text"), "{plan}");
    }
    // Through names, subqueries and joins, each bag with its own column.
    let own = "WITH t AS (SELECT * FROM traces)
        SELECT count(*) FROM t AS a JOIN t AS b ON a.\"itemId\" = b.\"itemId\"
        WHERE a.customDimensions->>'eventId' = b.customDimensions->>'eventId' AND b.customDimensions->>'eventId' = 'RT0005'";
    let plan = run(&["sql", "--explain", own]);
    assert!(!plan.contains("dynamic_text") && plan.contains("predicate=customDimensions_eventId"), "{plan}");
    // What only looks like it is read from the bag.
    let mixed = "SELECT count(*) FROM (SELECT a.customDimensions, b.customDimensions_eventId FROM traces a CROSS JOIN
        (SELECT 'x' AS customDimensions_eventId) b) t WHERE customDimensions->>'eventId' = 'RT0005'";
    assert_eq!(one(&run(&["sql", mixed])), one(&kql));
    // A typed column gives the text that the bag has.
    let texts = "SELECT count(*) FROM traces WHERE customDimensions->>'totalTime' IS NOT NULL";
    let expected = run(&["query", "traces | where isnotempty(tostring(customDimensions.totalTime)) | count"]);
    assert_eq!(one(&run(&["sql", texts])), one(&expected));
}

#[test]
fn the_lake_says_what_it_holds() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let rows = csv_rows(&run_in(dir.path(), &["sql", "SHOW TABLES"]).exits(0).out);
    assert!(rows.contains(&vec!["traces".to_owned(), "BASE TABLE".to_owned()]));
    assert!(rows.contains(&vec!["AppTraces".to_owned(), "VIEW".to_owned()]));
    for statement in ["DESCRIBE Traces", "SHOW COLUMNS FROM traces", "describe traces"] {
        let rows = csv_rows(&run_in(dir.path(), &["sql", statement]).exits(0).out);
        assert_eq!(rows[1], ["timestamp", "datetime", "NO"], "{statement}");
        assert!(rows.contains(&vec!["customDimensions_totalTime".to_owned(), "timespan".to_owned(), "YES".to_owned()]));
    }
    for refused in
        ["DROP TABLE traces", "CREATE TABLE x AS SELECT 1", "INSERT INTO traces SELECT * FROM traces", "SHOW VARIABLES"]
    {
        assert_ne!(run_in(dir.path(), &["sql", refused]).status, 0, "{refused}");
    }
}

#[test]
fn local_files_are_tables_in_both_languages() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("users.csv"), "id,name,born\n1,Al,2001-02-03\n2,Bo,\n").expect("a file");
    std::fs::write(dir.path().join("a.json"), "[{\"id\":1,\"tags\":[\"x\",\"y\"]},{\"id\":2,\"tags\":[]}]").expect("a file");
    std::fs::write(dir.path().join("b.ndjson"), "{\"id\":1,\"n\":1.5}\n{\"id\":3}\n").expect("a file");
    run_in(dir.path(), &["query", "print id = 1, d = 2s, t = datetime(2026-01-05)", "-f", "parquet", "-o", "c.parquet"]).exits(0);
    let tables = ["--table", "Users=users.csv", "--table", "a=a.json", "--table", "b=b.ndjson", "--table", "c=c.parquet"];
    let run = |language: &str, query: &str| run_in(dir.path(), &[&[language], tables.as_slice(), &[query]].concat()).exits(0).out;
    assert_eq!(run("query", "Users | where name == 'Al' | project id, getyear(born)"), "id,Column1\n1,2001\n");
    assert_eq!(run("query", "a | mv-expand tags to typeof(string) | where tags != '' | count"), "Count\n2\n");
    assert_eq!(
        run("query", "Users | join kind=inner a on id | summarize n = count(), m = max(array_length(tags))"),
        "n,m\n2,2\n"
    );
    assert_eq!(run("query", "union withsource=T b, c | summarize count() by T | order by T asc"), "T,count_\nb,2\nc,1\n");
    assert_eq!(run("query", "c | project d, t"), "d,t\n00:00:02,2026-01-05T00:00:00.0000000Z\n");
    assert_eq!(run("sql", "SELECT u.Name, n FROM users u LEFT JOIN b ON u.id = b.id ORDER BY u.id"), "name,n\nAl,1.5\nBo,\n");
    assert_eq!(run("sql", "SELECT d > INTERVAL '1 second' AS longer FROM c"), "longer\ntrue\n");
    assert_eq!(csv_rows(&run("sql", "DESCRIBE c"))[2], ["d", "timespan", "NO"]);
    for (table, said) in
        [("x", "NAME=FILE was expected"), ("x=none.csv", "none.csv"), ("x=a.xml", "a.xml"), ("Users=a.json", "given twice")]
    {
        std::fs::write(dir.path().join("a.xml"), "<a/>").expect("a file");
        let run = run_in(dir.path(), &["sql", "--table", "Users=users.csv", "--table", table, "SELECT 1"]);
        run.exits(2).says(said);
    }
    // A file hides a table of the same name.
    let hidden = run_in(dir.path(), &["query", "--table", "traces=users.csv", "traces | count"]).exits(0);
    assert_eq!(hidden.out, "Count\n2\n");
}

#[test]
fn what_comes_late_in_a_file_is_no_less_there() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).expect("a file");
    let query = |file: &str, query: &str| {
        let table = format!("X={file}");
        run_in(dir.path(), &["query", "--table", &table, query]).exits(0).out
    };
    write("late.ndjson", format!("{}{{\"a\":7.5,\"b\":\"x\"}}\n", "{\"a\":1}\n".repeat(10_000)));
    assert_eq!(query("late.ndjson", "X | where b == 'x' | project a, b"), "a,b\n7.5,x\n");
    assert_eq!(query("late.ndjson", "X | summarize count(), sum(a)"), "count_,sum_a\n10001,10007.5\n");
    write("late.csv", format!("id,v\n{}7.5,x\n", "1,\n".repeat(10_000)));
    assert_eq!(query("late.csv", "X | where v == 'x' | project id, v"), "id,v\n7.5,x\n");
    assert_eq!(query("late.csv", "X | summarize sum(id)"), "sum_id\n10007.5\n");
    for (header, said) in [("a,dup,dup", "two columns of the name 'dup'"), ("a,,", "two columns without a name")] {
        write("twice.csv", format!("{header}\n1,7,8\n"));
        run_in(dir.path(), &["query", "--table", "X=twice.csv", "X"]).exits(2).says("twice.csv").says(said);
    }
    let column = |n: i64| std::sync::Arc::new(arrow::array::Int64Array::from(vec![n])) as arrow::array::ArrayRef;
    super::foreign_columns::write(
        &dir.path().join("twice.parquet"),
        vec![("a", column(1)), ("dup", column(7)), ("dup", column(8))],
    );
    let twice = run_in(dir.path(), &["query", "--table", "X=twice.parquet", "X"]);
    twice.exits(2).says("twice.parquet").says("two columns of the name 'dup'");
    // Whatever year a time is in, and however many digits its seconds have.
    write("times.csv", "t,s\n2020-01-01T10:11:12.123456Z,\"a\nb\"\n9999-12-31T00:00:00Z,\n0001-01-01T00:00:00.5Z,c\n".to_owned());
    let times = csv_rows(&query("times.csv", "X | project gettype(t), year = getyear(t), s"));
    assert_eq!(times[1..], [["datetime", "2020", "a\nb"], ["datetime", "9999", ""], ["datetime", "1", "c"]]);
}

#[test]
fn values_of_json_are_those_that_the_file_has() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("a file");
    let run = |file: &str, query: &str| run_in(dir.path(), &["query", "--table", &format!("X={file}"), query]);
    let query = |file: &str, query: &str| run(file, query).exits(0).out;
    // Each bag has its own keys, its own numbers and its own order.
    let bags = "{\"a\":1,\"d\":{\"x\":1}}\n{\"a\":2,\"d\":{\"y\":2.5,\"a b\":\"\u{e9}\"}}\n{\"a\":3,\"d\":{}}{\"a\":4}";
    write("bags.ndjson", bags);
    write("bags.json", &format!("\u{feff} [{}]", bags.replace('\n', ",\n").replace("}{", "},{")));
    for file in ["bags.ndjson", "bags.json"] {
        let rows = csv_rows(&query(file, "X | project bag_keys(d), tostring(d), d has 'y', isnull(d)"));
        assert_eq!(rows[1], ["[\"x\"]", "{\"x\":1}", "false", "false"], "{file}");
        assert_eq!(rows[2], ["[\"y\",\"a b\"]", "{\"y\":2.5,\"a b\":\"\u{e9}\"}", "true", "false"], "{file}");
        assert_eq!(rows[3], ["[]", "{}", "false", "false"], "{file}");
        assert_eq!(rows[4], ["", "", "false", "true"], "{file}");
        assert_eq!(query(file, "X | where a > 2 | count"), "Count\n2\n");
        assert_eq!(query(file, "X | take 1 | project a"), "a\n1\n");
    }
    // Kinds that differ are dynamic, and what a query writes can be read again.
    let mixed = "{\"m\":{\"a\":[1,\"x\"]},\"n\":1,\"b\":true,\"s\":\"q\",\"w\":9007199254740993,\"u\":18446744073709551615}\n\
        {\"m\":\"text\",\"n\":2.5,\"b\":null,\"s\":null,\"w\":0.5,\"z\":null}\n{\"m\":5,\"s\":\"1\",\"s\":\"\\u00e9\\n\"}\n";
    write("mixed.ndjson", mixed);
    let types = "X | getschema | summarize make_list(strcat(ColumnName, ':', ColumnType))";
    let expected = "[\"m:dynamic\",\"n:real\",\"b:bool\",\"s:string\",\"w:dynamic\",\"u:dynamic\",\"z:string\"]";
    assert_eq!(csv_rows(&query("mixed.ndjson", types))[1], [expected]);
    let values = "X | project gettype(m), tostring(m), n, b, s, tostring(w), tostring(u), isempty(z)";
    let found = query("mixed.ndjson", values);
    let rows = csv_rows(&found);
    assert_eq!(
        rows[1],
        ["dictionary", "{\"a\":[1,\"x\"]}", "1.0", "true", "q", "9007199254740993", "18446744073709551615", "true"]
    );
    assert_eq!(rows[2], ["string", "text", "2.5", "", "", "0.5", "", "true"]);
    assert_eq!(rows[3], ["long", "5", "", "", "\u{e9}\n", "", "", "true"]);
    run_in(dir.path(), &["query", "--table", "X=mixed.ndjson", "X", "-f", "ndjson", "-o", "again.ndjson"]).exits(0);
    assert_eq!(query("again.ndjson", values), found);
    for (text, said) in
        [("[1]", "record 1"), ("{\"a\":1}\n{\"a\":", "EOF"), ("[{\"a\":1},{\"a\":]", "column"), ("[]", "no columns")]
    {
        write("bad.json", text);
        run("bad.json", "X").exits(2).says("bad.json").says(said);
    }
}

#[test]
fn texts_of_parquet_files_meet_with_computed_ones() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    run_in(dir.path(), &["query", "print k = 1", "-f", "parquet", "-o", "a.parquet"]).exits(0);
    let texts = "print s = 'abc', y = dynamic([1]), g = guid(74be27de-1e4e-49d9-b579-fe0b331d3642), k = 2, b = true";
    run_in(dir.path(), &["query", texts, "-f", "parquet", "-o", "b.parquet"]).exits(0);
    for query in [
        "A | union B | mv-expand y",
        "print k = 1 | union B | mv-expand y",
        "A | union B | sort by k asc | extend r = row_number(), p = prev(s)",
        "A | union B | mv-apply y on (take 1)",
        "A | union B | evaluate bag_unpack(y)",
        "B | extend c = coalesce(tostring(k), s) | mv-expand y",
        "B | extend c = case(b, tolower(s), k > 1, s, 'q') | sort by k asc | extend row_number()",
        "B | extend c = coalesce(toguid(s), g), d = coalesce(todynamic(s), y), e = iff(b, toguid(s), g) | mv-expand y",
    ] {
        let run = |a: &str, b: &str| run_in(dir.path(), &["query", "--table", a, "--table", b, query]).exits(0).out;
        let found = run("A=a.parquet", "B=b.parquet");
        // The same rows as datatables.
        let columns = format!("let A = print k = 1; let B = {texts}; {query}");
        let computed = run_in(dir.path(), &["query", &columns]).exits(0).out;
        // Branches of a union come in any order.
        let sorted = |rows: &str| {
            let mut rows = csv_rows(rows);
            rows.sort();
            rows
        };
        assert_eq!(sorted(&found), sorted(&computed), "{query}");
    }
}

#[test]
fn times_of_any_year_meet_with_constants() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let rows = "datatable(n:long, t:datetime) [1, datetime(2026-01-01), 2, datetime(9999-12-31), 3, datetime(0001-01-01)]";
    run_in(dir.path(), &["query", rows, "-f", "parquet", "-o", "t.parquet"]).exits(0);
    let found = |filter: &str| {
        let sql = format!("SELECT n FROM t WHERE {filter} ORDER BY n");
        let rows = csv_rows(&run_in(dir.path(), &["sql", "--table", "t=t.parquet", &sql]).exits(0).out);
        rows[1..].iter().map(|row| row[0].as_str()).collect::<String>()
    };
    for (filter, expected) in [
        ("t BETWEEN '2026-01-01' AND '9999-12-31'", "12"),
        ("t NOT BETWEEN TIMESTAMP '2026-01-01' AND '9999-12-30'", "23"),
        ("t < '9999-12-31'", "13"),
        ("'0001-01-01' < t", "12"),
        ("t < TIMESTAMP '2500-01-01'", "13"),
        ("t < DATE '9999-12-31' AND t >= DATE '2026-01-01'", "1"),
        ("t IN ('9999-12-31', '2026-01-01T00:00:00Z')", "12"),
        ("t NOT IN (TIMESTAMP '9999-12-31', DATE '2026-01-01')", "3"),
        ("t = '2026-01-01 00:00:00' OR t <> '9999-12-31'", "13"),
        ("t < now() + INTERVAL '1 day'", "13"),
        ("t - TIMESTAMP '0001-01-01' > INTERVAL '365 days'", "12"),
        ("cast(t AS date) = '9999-12-31'", "2"),
        ("t > cast('9999-12-30' AS timestamp)", "2"),
    ] {
        assert_eq!(found(filter), expected, "{filter}");
    }
    // What is compared so is looked for in the files.
    let lake = sample_lake();
    let sql = "SELECT count(*) FROM traces WHERE timestamp BETWEEN '2026-01-01' AND '9999-12-31'";
    let plan = run_in(lake.path(), &["--lake", "lake", "sql", "--explain", sql]).exits(0).out;
    assert!(plan.contains("predicate=timestamp@0 >= "), "{plan}");
}

/// Ticks as their text.
fn span(ticks: i64) -> String {
    let mut text = String::new();
    kqlake_value::format::write_timespan(&mut text, ticks);
    text
}

#[test]
fn timespans_are_timespans_in_every_expression_and_aggregate() {
    const S: i64 = 10_000_000;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let rows = "datatable(n:long, a:datetime, d:timespan) [1, datetime(2026-01-01), 2s, 2, datetime(2026-01-01), 70s, 3, \
        datetime(2026-01-01), 1d] | extend b = a + d";
    run_in(dir.path(), &["query", rows, "-f", "parquet", "-o", "c.parquet"]).exits(0);
    // Each is the timespan `d`.
    let forms = [
        "d",
        "b - a",
        "d + (b - b)",
        "-(-d)",
        "d * 2 / 2",
        "CASE WHEN n > 0 THEN d ELSE INTERVAL '9 seconds' END",
        "CASE n WHEN 9 THEN INTERVAL '9 seconds' ELSE b - a END",
        "coalesce(b - a, INTERVAL '9 seconds')",
        "greatest(nullif(d, INTERVAL '9 seconds'), INTERVAL '1 second')",
        "d + INTERVAL '1 second' - INTERVAL '1 second'",
        "(SELECT max(x.d) FROM c x WHERE x.n = t.n)",
        "kql.bin(d, INTERVAL '1 second')",
    ];
    let (two, seventy, day) = (2 * S, 70 * S, 86_400 * S);
    let aggregates = [
        ("min(X)", two),
        ("max(X)", day),
        ("sum(X)", two + seventy + day),
        ("sum(DISTINCT X)", two + seventy + day),
        ("avg(X)", (two + seventy + day) / 3),
        ("median(X)", seventy),
        ("approx_percentile_cont(X, 0.5)", seventy),
        ("percentile_cont(0.5) WITHIN GROUP (ORDER BY X)", seventy),
        ("first_value(X ORDER BY n)", two),
        ("last_value(X ORDER BY n)", day),
        ("max(X) FILTER (WHERE n < 3)", seventy),
        ("max(X) - min(X)", day - two),
        ("sum(X - INTERVAL '1 second')", two + seventy + day - 3 * S),
    ];
    let bool = |value: bool| value.to_string();
    // What is made of a timespan, with its text.
    type Made = (&'static str, Box<dyn Fn(i64) -> String>);
    let made: Vec<Made> = vec![
        ("Y", Box::new(span)),
        ("Y + INTERVAL '1 second'", Box::new(|y| span(y + S))),
        ("INTERVAL '2 days' - Y", Box::new(|y| span(2 * 86_400 * S - y))),
        ("Y * 2", Box::new(|y| span(y * 2))),
        ("3 * Y", Box::new(|y| span(y * 3))),
        ("Y / 2", Box::new(|y| span(y / 2))),
        ("-Y", Box::new(|y| span(-y))),
        ("abs(-Y)", Box::new(span)),
        ("Y > INTERVAL '1 minute'", Box::new(move |y| bool(y > 60 * S))),
        ("Y BETWEEN INTERVAL '1 minute' AND INTERVAL '1 hour'", Box::new(move |y| bool((60 * S..=3600 * S).contains(&y)))),
        ("Y IN (INTERVAL '70 seconds', INTERVAL '1 hour')", Box::new(move |y| bool(y == 70 * S))),
        ("Y IS DISTINCT FROM INTERVAL '70 seconds'", Box::new(move |y| bool(y != 70 * S))),
        ("Y / INTERVAL '1 second' > 60", Box::new(move |y| bool(y > 60 * S))),
        ("extract(epoch FROM Y) > 60", Box::new(move |y| bool(y > 60 * S))),
        ("cast(Y AS bigint)", Box::new(|y| y.to_string())),
        ("cast(Y AS varchar)", Box::new(span)),
        ("CASE WHEN Y > INTERVAL '1 hour' THEN Y ELSE INTERVAL '1 hour' END", Box::new(|y| span(y.max(3600 * S)))),
        ("TIMESTAMP '2026-01-01' + Y - TIMESTAMP '2026-01-01'", Box::new(span)),
    ];
    for (turn, form) in forms.into_iter().enumerate() {
        let mut select = Vec::new();
        let mut expected = Vec::new();
        for (place, (aggregate, value)) in aggregates.into_iter().enumerate() {
            let aggregate = aggregate.replace('X', if form.starts_with("(SELECT") { "f" } else { form });
            // A third of them each time, another one for each form, so that all meet.
            for (text, answer) in made.iter().skip((turn + place) % 3).step_by(3) {
                select.push(format!("{} AS c{}", text.replace('Y', &format!("({aggregate})")), select.len()));
                expected.push(answer(value));
            }
        }
        // A subquery is no argument of an aggregate.
        let from = if form.starts_with("(SELECT") { format!("(SELECT n, {form} AS f FROM c t)") } else { "c".to_owned() };
        let sql = format!("SELECT {} FROM {from} t HAVING max(n) > 2 AND {} > INTERVAL '1 second'", select.join(", "), {
            aggregates[4].0.replace('X', if form.starts_with("(SELECT") { "f" } else { form })
        });
        let found = csv_rows(&run_in(dir.path(), &["sql", "--table", "c=c.parquet", &sql]).exits(0).out);
        for ((column, found), expected) in select.iter().zip(&found[1]).zip(&expected) {
            assert_eq!(found, expected, "{form}: {column}");
        }
        // Of each row, in a subquery, and by a window function.
        let rows = format!(
            "WITH s AS (SELECT n, {form} AS x FROM c t) SELECT x, x > INTERVAL '1 minute', x - lag(x, 1) OVER (ORDER BY n), \
             max(x) OVER () - x FROM s WHERE x < INTERVAL '2 days' ORDER BY x - INTERVAL '1 second'"
        );
        let found = csv_rows(&run_in(dir.path(), &["sql", "--table", "c=c.parquet", &rows]).exits(0).out);
        let line = |x: i64, before: Option<i64>| {
            vec![span(x), bool(x > 60 * S), before.map(|before| span(x - before)).unwrap_or_default(), span(day - x)]
        };
        assert_eq!(found[1..], [line(two, None), line(seventy, Some(two)), line(day, Some(seventy))], "{form}");
    }
}

#[test]
fn what_is_no_timespan_is_shown_as_what_it_is() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    run_in(dir.path(), &["query", "print n = 1, d = 2s", "-f", "parquet", "-o", "c.parquet"]).exits(0);
    let run = |sql: &str| run_in(dir.path(), &["sql", "--table", "c=c.parquet", sql]);
    for (e, expected) in [
        ("x + 1", "20000001"),
        ("avg(x)", "20000000.0"),
        ("count(d)", "1"),
        ("count(DISTINCT d)", "1"),
        ("CASE WHEN true THEN x END", "20000000"),
        ("coalesce(x, 1)", "20000000"),
        ("avg(y)", "20000000.0"),
    ] {
        let sql = format!("SELECT {e} AS v FROM (SELECT d, cast(d AS bigint) AS x, d::double AS y FROM c) t GROUP BY x");
        assert_eq!(run(&sql).exits(0).out, format!("v\n{expected}\n"), "{e}");
    }
    assert_eq!(run("SELECT DISTINCT ON (n) n, d FROM c ORDER BY n, d").exits(0).out, "n,d\n1,00:00:02\n");
    for refused in ["d + INTERVAL '1 month'", "coalesce(d, INTERVAL '1 month')", "d IN (INTERVAL '1 month')"] {
        run(&format!("SELECT {refused} FROM c")).exits(3).says("days or less");
    }
}

#[test]
fn paths_may_have_keys_in_quotes() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let bag = r#"print b = dynamic({"a]b": {"c.d": [1, {"e": "x"}]}, "\"": 2, "*": 3})"#;
    run_in(dir.path(), &["query", bag, "-f", "parquet", "-o", "c.parquet"]).exits(0);
    let run = |e: &str| run_in(dir.path(), &["sql", "--table", "c=c.parquet", &format!("SELECT {e} AS v FROM c")]);
    for e in [
        r#"b->>'$."a]b"."c.d"[1].e'"#,
        r#"b->>'$["a]b"]."c.d"[1]."e"'"#,
        r#"json_extract_string(b, '$."a]b"["c.d"][1].e')"#,
        r#"b -> '$."a]b"' ->> '$."c.d"[1].e'"#,
    ] {
        assert_eq!(run(e).exits(0).out, "v\nx\n", "{e}");
    }
    assert_eq!(run(r#"b->>'*'"#).exits(0).out, "v\n3\n");
    for e in [r#"b->>'$.*'"#, r#"b->>'$."a]b'"#, r#"b->>'$."a]b"c'"#, r#"b->>'$.a"]b"'"#] {
        run(e).exits(3).says("cannot be read");
    }
}

#[test]
fn all_functions_of_kql_can_be_called() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let run = |sql: &str| run_in(dir.path(), &["sql", "-f", "csv", sql]);
    // Names that are words of SQL need no quotes, and some functions take no argument.
    let run_rows = |sql: &str| csv_rows(&run(sql).exits(0).out)[1..].to_vec();
    assert_eq!(run_rows("SELECT kql.not(true), kql.substring('abc', 1), kql.trim('a', 'abca')"), [["false", "bc", "bc"]]);
    assert_eq!(run_rows("SELECT kql.pi() AS p, kql.current_database() AS d"), [["3.141592653589793", "kqlake"]]);
    let ids = run_rows("SELECT kql.new_guid() AS g FROM (VALUES (1), (2)) AS t(a)");
    assert_ne!(ids[0], ids[1]);
    let year = run_rows("SELECT kql.getyear(kql.now()) AS y")[0][0].parse::<i64>().expect("a year");
    assert!(year >= 2026, "{year}");
    for name in ["pack_all", "ingestion_time"] {
        run(&format!("SELECT kql.{name}()")).exits(3).says("not supported in SQL");
    }
}

#[test]
fn what_is_not_supported_is_told_in_words() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let run = |sql: &str| run_in(dir.path(), &["sql", sql]).exits(3);
    for sql in ["SELECT ['a']", "SELECT unnest([1,2,3])"] {
        run(sql).says("arrays that are written out");
    }
    run("SELECT count(*) FROM (VALUES (1)) AS t(a), LATERAL (SELECT t.a + 1 AS s) AS l WHERE l.s = 3").says("LATERAL");
    // A number that has no room is no null.
    run("SELECT 9223372036854775808 AS x").says("9223372036854775808");
    run("SELECT CAST('123456789012345678901234567890' AS decimal(38,0)) AS x").says("123456789012345678901234567890");
    let most = run_in(dir.path(), &["sql", "-f", "csv", "SELECT 9223372036854775807 AS x"]).exits(0);
    assert_eq!(most.out, "x\n9223372036854775807\n");
}

#[test]
fn columns_of_one_name_are_kept_apart_in_every_format() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let run = |args: &[&str]| run_in(dir.path(), args).exits(0).out;
    let both = "SELECT * FROM (SELECT 1 AS a, 2 AS b) x JOIN (SELECT 1 AS a, 3 AS b) y ON x.a = y.a";
    assert_eq!(run(&["sql", "-f", "ndjson", both]), "{\"a\":1,\"b\":2,\"a:1\":1,\"b:1\":3}\n");
    for format in ["csv", "tsv", "markdown", "table", "kusto"] {
        assert!(run(&["sql", "-f", format, both]).contains("b:1"), "{format}");
    }
    run(&["sql", "-o", "both.parquet", both]);
    run(&["sql", "-o", "both.ndjson", both]);
    for file in ["both.parquet", "both.ndjson"] {
        assert_eq!(run(&["query", "--table", &format!("T={file}"), "T | project b, ['b:1']"]), "b,b:1\n2,3\n", "{file}");
    }
}

#[test]
fn strings_of_kql_are_never_null_in_parquet_and_those_of_sql_may_be() {
    let dir = sample_lake();
    let run = |args: &[&str]| run_in(dir.path(), &[&["--lake", "lake"], args].concat()).exits(0).out;
    let text =
        "traces | where isempty(operation_Name) | take 3 | project a = operation_Name, b = strcat('', operation_Name), c = ''";
    run(&["query", "-o", "k.parquet", text]);
    run(&["sql", "-o", "s.parquet", "SELECT a FROM (VALUES (''), (NULL)) t(a)"]);
    let nulls = "SELECT count(*) AS n, count(a) AS a FROM T";
    assert_eq!(run(&["sql", "--table", "T=k.parquet", nulls]), "n,a\n3,3\n");
    assert_eq!(run(&["sql", "--table", "T=s.parquet", nulls]), "n,a\n2,1\n");
}

#[test]
fn times_of_any_year_meet_in_conditions_and_choices() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let from = "FROM (SELECT TIMESTAMP '2020-01-01 00:00:00' AS t, DATE '2020-01-01' AS d)";
    let value = |e: &str| {
        let rows = csv_rows(&run_in(dir.path(), &["sql", "-f", "csv", &format!("SELECT {e} AS v {from}")]).exits(0).out);
        rows[1][0].clone()
    };
    let (first, day, last) = ("0001-01-01T00:00:00.0000000Z", "2020-01-01T00:00:00.0000000Z", "9999-12-31T00:00:00.0000000Z");
    for (e, expected) in [
        ("coalesce(t, '9999-12-31')", day),
        ("coalesce(NULL, t, d)", day),
        ("nvl(NULL, t)", day),
        ("greatest(t, '9999-12-31')", last),
        ("greatest(t, TIMESTAMP '9999-12-31 00:00:00', d)", last),
        ("least(t, '0001-01-01', d)", first),
        ("nullif(t, '2020-01-01')", ""),
        ("nullif(t, '9999-12-31')", day),
        ("CASE t WHEN '2020-01-01' THEN 'same' ELSE 'other' END", "same"),
        ("CASE t WHEN '2020-01-01T00:00:00Z' THEN 'same' ELSE 'other' END", "same"),
        ("CASE t WHEN '9999-12-31' THEN 'last' WHEN d THEN 'same' END", "same"),
        ("CASE d WHEN t THEN 'same' ELSE 'other' END", "same"),
        ("CASE WHEN t < '9999-12-31' THEN '9999-12-31' ELSE t END", last),
        ("CASE WHEN t > '9999-12-31' THEN d ELSE t END", day),
    ] {
        assert_eq!(value(e), expected, "{e}");
    }
}

#[test]
fn decimals_with_more_digits_than_kql_has_keep_them_as_text() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let fine = "CAST('0.12345678901234567891' AS decimal(38,20))";
    let run = |format: &str, sql: &str| run_in(dir.path(), &["sql", "-f", format, sql]).exits(0).out;
    assert_eq!(
        run("csv", &format!("SELECT {fine} AS v, {fine} + 1 AS w")),
        "v,w\n0.12345678901234567891,1.12345678901234567891\n"
    );
    assert_eq!(run("ndjson", &format!("SELECT {fine} AS v")), "{\"v\":\"0.12345678901234567891\"}\n");
    assert_eq!(run("csv", "SELECT CAST('0.5' AS decimal(20,18)) AS v"), "v\n0.5\n");
}

#[test]
fn subqueries_are_conditions_whatever_their_columns_are_called() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("u.csv"), "uid,dept\n1,a\n2,b\n3,a\n4,b\n").expect("a file");
    let run = |sql: &str| run_in(dir.path(), &["sql", "-f", "csv", "--table", "U=u.csv", sql]);
    let found = |condition: &str| run(&format!("SELECT uid FROM U WHERE {condition} ORDER BY uid")).exits(0).out;
    let of_a = "(SELECT uid FROM U WHERE dept = 'a')";
    for (condition, expected) in [
        (format!("uid > ANY {of_a}"), "uid\n2\n3\n4\n"),
        (format!("uid = ANY {of_a}"), "uid\n1\n3\n"),
        (format!("uid = SOME {of_a}"), "uid\n1\n3\n"),
        (format!("uid <> ALL {of_a}"), "uid\n2\n4\n"),
        (format!("uid > ALL {of_a}"), "uid\n4\n"),
        (format!("uid IN {of_a}"), "uid\n1\n3\n"),
        (format!("uid + 1 > ALL {of_a} AND uid = ANY (SELECT uid FROM U WHERE uid >= ALL (SELECT uid FROM U))"), "uid\n4\n"),
        // A missing answer is none, wherever the condition stands.
        ("uid > 3 OR nullif(uid, 2) NOT IN (SELECT 1)".to_owned(), "uid\n3\n4\n"),
        ("uid > 3 OR uid NOT IN (SELECT nullif(uid, 2) FROM U WHERE uid < 3)".to_owned(), "uid\n4\n"),
        ("NOT (uid IN (SELECT nullif(uid, 2) FROM U WHERE uid < 3) AND uid < 9)".to_owned(), "uid\n"),
        ("uid > 3 OR (uid IN (SELECT nullif(uid, 2) FROM U WHERE uid < 3)) IS NULL".to_owned(), "uid\n2\n3\n4\n"),
        ("NOT (uid IN (SELECT 1)) AND NOT uid IN (SELECT 2)".to_owned(), "uid\n3\n4\n"),
        ("uid IS DISTINCT FROM 1 AND dept = 'a' OR uid = 2".to_owned(), "uid\n2\n3\n"),
        ("dept = 'b' AND uid IS DISTINCT FROM 2 OR uid IS NOT DISTINCT FROM 1 OR uid = 3".to_owned(), "uid\n1\n3\n4\n"),
        ("NOT uid IS DISTINCT FROM 1 OR uid = 4".to_owned(), "uid\n1\n4\n"),
        ("uid = ANY (SELECT max(uid) FROM U GROUP BY dept)".to_owned(), "uid\n3\n4\n"),
        ("uid >= ALL (SELECT y.uid FROM U y WHERE y.dept = U.dept)".to_owned(), "uid\n3\n4\n"),
    ] {
        assert_eq!(found(&condition), expected, "{condition}");
    }
    for sql in [
        "SELECT uid, uid > ANY (SELECT 2) FROM U",
        "SELECT EXISTS (SELECT 1 FROM U WHERE uid > 1000)",
        "SELECT uid IN (SELECT 2) FROM U",
        "SELECT a.uid FROM U a JOIN U b ON EXISTS (SELECT 1 FROM U c WHERE c.uid = a.uid)",
    ] {
        run(sql).exits(3).says("conditions of WHERE and HAVING");
    }
}

#[test]
fn filters_above_joins_are_of_the_columns_that_they_name() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let run = |args: &[&str]| run_in(dir.path(), args).exits(0).out;
    let tables = [("a", "datatable(id: long, v: long)[1, 5, 2, 6]"), ("b", "datatable(id: long, w: long)[2, 7, 3, 8]")];
    for (name, rows) in tables.into_iter().chain([("c", "datatable(id: long, z: long)[2, 70, 9, 90]")]) {
        run(&["query", "-o", &format!("{name}.parquet"), rows]);
    }
    let files = ["--table", "a=a.parquet", "--table", "b=b.parquet", "--table", "c=c.parquet"];
    let of_files = |sql: &str| run(&[&["sql", "-f", "csv"][..], &files, &[sql]].concat());
    for join in ["JOIN", "LEFT JOIN"] {
        let sql = format!("SELECT c.id AS y FROM a {join} b ON a.id = b.id RIGHT JOIN c ON b.id = c.id WHERE");
        assert_eq!(of_files(&format!("{sql} a.id IS NULL")), "y\n9\n", "{join}");
        assert_eq!(of_files(&format!("{sql} a.id = 2 OR a.id IS NULL AND c.z > 80 ORDER BY 1")), "y\n2\n9\n", "{join}");
    }
    let of_values =
        "WITH a(id, v) AS (VALUES (6, 2)), b(id, v, k) AS (VALUES (4, 5, 2)) SELECT a.id FROM a FULL JOIN b ON a.v = b.k WHERE";
    for (condition, expected) in [
        ("(a.id <= b.v OR b.id <= 1) AND b.v <> b.k", "id\n"),
        ("(a.id <= b.v OR b.id <= 1) AND coalesce(b.v, 0) = 5", "id\n"),
        ("(a.id <= b.v OR b.id <= 4) AND b.v <> b.k", "id\n6\n"),
        ("(a.id > b.v OR b.id <= 1) AND b.v <> b.k", "id\n6\n"),
    ] {
        assert_eq!(run(&["sql", "-f", "csv", &format!("{of_values} {condition}")]), expected, "{condition}");
    }
}

#[test]
fn what_fails_for_a_row_is_no_damage_of_the_lake_wherever_it_is_evaluated() {
    let dir = sample_lake();
    for (sql, says) in [
        ("customDimensions->'sqlExecutes' > 9", "is not a whole number"),
        ("message > 9", "is not a whole number"),
        ("1/(severityLevel-1) > 0", "divided by zero"),
        ("message::timestamp > now()", "is not a time"),
        ("decode(message, 'base64') = 'a'", "Failed to decode from base64"),
        ("regexp_like(message, message || '(')", "unclosed group"),
        // While the plan is simplified.
        ("regexp_like(message, '(')", "unclosed group"),
    ] {
        let sql = format!("SELECT count(*) FROM traces WHERE {sql}");
        let err = run_in(dir.path(), &["--lake", "lake", "sql", &sql]).exits(3).err;
        assert!(err.contains(says) && !err.contains("lake") && !err.contains("damaged"), "{sql}: {err}");
    }
    let kql = "traces | where array_length(range(1, severityLevel*1000000000, 1)) > 5 | count";
    let err = run_in(dir.path(), &["--lake", "lake", "query", kql]).exits(3).err;
    assert!(!err.contains("damaged"), "{err}");
}

#[test]
fn a_similar_text_matches_the_whole_pattern() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let run = |sql: &str| run_in(dir.path(), &["sql", sql]);
    for (text, pattern, expected) in [
        ("an Error here", "'%(Error|warning)%'", "true"),
        ("an error here", "'%(Error|warning)%'", "false"),
        ("Error", "'Err'", "false"),
        ("a.c", "'a.c'", "true"),
        ("abc", "'a.c'", "false"),
        ("abc", "'a_c'", "true"),
        ("50%", r"'50\%'", "true"),
        ("500", r"'50\%'", "false"),
        ("50%", "'50!%' ESCAPE '!'", "true"),
        ("aab", "'[a-b]{3}'", "true"),
        ("7", "'[[:digit:]]'", "true"),
        ("x", "'[[:digit:]]'", "false"),
    ] {
        for (not, expected) in [("", expected), ("NOT ", if expected == "true" { "false" } else { "true" })] {
            let sql = format!("SELECT x {not}SIMILAR TO {pattern} FROM (VALUES ('{text}')) AS t(x)");
            assert_eq!(one(&run(&sql).exits(0).out), expected, "{sql}");
        }
    }
    run("SELECT x SIMILAR TO x FROM (VALUES ('a')) AS t(x)").exits(3).says("written out");
    // Behind an arrow, whose operands the parser takes otherwise; and in a condition.
    assert_eq!(one(&run("SELECT '{\"k\":\"RT1\"}'->>'k' SIMILAR TO 'RT_' AND true").exits(0).out), "true");
    let both = "SELECT count(*) FROM (VALUES ('ab'), ('b')) AS t(x) WHERE x SIMILAR TO 'a%' OR x NOT SIMILAR TO '%b'";
    assert_eq!(one(&run(both).exits(0).out), "1");
    for wrong in ["(", "a{2", "[a"] {
        let err = run(&format!("SELECT x SIMILAR TO '{wrong}' FROM (VALUES ('a')) AS t(x)")).exits(3).err;
        assert!(!err.contains("lake"), "{wrong}: {err}");
    }
}

#[test]
fn columns_of_one_name_in_a_list_are_numbered() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("t.csv"), "a,b\n1,x\n").expect("a file");
    for (sql, header, values) in [
        ("SELECT a, a FROM t", "a,a:1", "1,1"),
        ("SELECT A, a::varchar, b FROM t", "a,a:1,b", "1,1,x"),
        ("SELECT a, cast(a AS varchar) || 'x', a + 1 AS a FROM t", "a,", "1,1x,2"),
        ("SELECT *, a FROM t", "a,b,a:1", "1,x,1"),
        ("SELECT a, * FROM t", "a:1,a,b", "1,1,x"),
        ("SELECT t.a, t.a FROM t", "a,a:1", "1,1"),
        ("SELECT *, t.a, a FROM t", "a,b,a:1,a:2", "1,x,1,1"),
        ("SELECT t.*, t.a FROM t", "a,b,a:1", "1,x,1"),
        ("SELECT t.a, 2 AS a FROM t", "a,a:1", "1,2"),
        ("SELECT u.a, v.a, v.a FROM t u, t v", "a,a:1,a:2", "1,1,1"),
        ("SELECT u.*, v.a FROM t u, t v", "a,b,a:1", "1,x,1"),
        ("SELECT count(*), count(*) FROM t", "count(", "1,1"),
        ("SELECT 1 AS x, 2 AS x, 3 AS x", "x,x:1,x:2", "1,2,3"),
        ("SELECT u.a, v.a, w.a FROM t u, t v, t w ORDER BY v.a", "a,a:1,a:2", "1,1,1"),
        ("WITH w AS (SELECT a, a FROM t) SELECT a, \"a:1\" FROM w", "a,a:1", "1,1"),
        ("SELECT a, a FROM t GROUP BY a ORDER BY a", "a,a:1", "1,1"),
        ("SELECT DISTINCT a, a FROM t ORDER BY a", "a,a:1", "1,1"),
    ] {
        let out = run_in(dir.path(), &["sql", "--table", "t=t.csv", sql]).exits(0).out;
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines[0].starts_with(header), "{sql}: {out}");
        assert_eq!(lines[1], values, "{sql}");
    }
    let wide = "SELECT timestamp, timestamp::date, severityLevel, cast(severityLevel AS varchar) FROM traces";
    let out = run_in(sample_lake().path(), &["--lake", "lake", "sql", wide]).exits(0).out;
    assert_eq!(out.lines().next(), Some("timestamp,timestamp:1,severityLevel,severityLevel:1"));
}
