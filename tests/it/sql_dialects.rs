//! What people write in SQL who come from other dialects, and what their results are called.

use super::support::{csv_rows, run_in, sample_lake};

/// A folder with a small table.
fn with_table() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let rows = "a,b,t,user\n1,x,2026-01-05T10:00:00Z,u\n2,y,2026-02-06T11:00:00Z,v\n3,z,2026-03-07T12:00:00Z,w\n";
    std::fs::write(dir.path().join("t.csv"), rows).expect("a file");
    dir
}

#[test]
fn null_is_null_in_json_and_a_string_of_kql_never_is() {
    let dir = sample_lake();
    let run = |args: &[&str]| run_in(dir.path(), &[&["--lake", "lake"], args].concat()).exits(0).out;
    let sql = "SELECT CAST(NULL AS varchar) AS a, NULL AS b, '' AS c, CAST(NULL AS int) AS d";
    assert_eq!(run(&["sql", "-f", "ndjson", sql]), "{\"a\":null,\"b\":null,\"c\":\"\",\"d\":null}\n");
    assert_eq!(run(&["sql", "-f", "json", sql]), "[\n{\"a\":null,\"b\":null,\"c\":\"\",\"d\":null}\n]\n");
    assert_eq!(run(&["sql", "-f", "csv", sql]), "a,b,c,d\n,,,\n");
    // What is missing at rest is NULL to SQL, as its conditions say, and empty to KQL.
    let missing = "SELECT DISTINCT operation_Name AS o FROM traces WHERE operation_Name IS NULL";
    assert_eq!(run(&["sql", "-f", "ndjson", missing]), "{\"o\":null}\n");
    let empty = "traces | where isempty(operation_Name) | distinct o = operation_Name";
    assert_eq!(run(&["query", "-f", "ndjson", empty]), "{\"o\":\"\"}\n");
}

#[test]
fn what_means_one_thing_is_taken() {
    let dir = with_table();
    let one = |sql: &str| {
        let rows = csv_rows(&run_in(dir.path(), &["sql", "--table", "t=t.csv", sql]).exits(0).out);
        rows[1..].iter().map(|row| row.join(",")).collect::<Vec<_>>().join(" ")
    };
    for (sql, expected) in [
        ("SELECT TOP 2 a FROM t ORDER BY a DESC", "3 2"),
        ("SELECT TOP (1) a FROM t ORDER BY a", "1"),
        ("SELECT DISTINCT TOP 2 a FROM t ORDER BY a", "1 2"),
        ("SELECT a FROM (SELECT TOP 1 a FROM t ORDER BY a) s", "1"),
        ("SELECT a FROM t ORDER BY a OFFSET 1 ROWS FETCH NEXT 1 ROWS ONLY", "2"),
        ("SELECT a FROM t ORDER BY a FETCH FIRST ROW ONLY", "1"),
        ("SELECT [a], [user] FROM [t] WHERE [t].[a] = 1", "1,u"),
        ("SELECT `a` FROM `t` WHERE a = 2", "2"),
        ("SELECT ISNULL(NULL, 'x'), LEN('abc'), LCASE('A'), UCASE('b')", "x,3,a,B"),
        ("SELECT IIF(1 = 1, 'y', 'n'), IF(1 = 2, 'y', 'n')", "y,n"),
        ("SELECT CHARINDEX('b', 'abc'), LOCATE('c', 'abc'), REPLICATE('a', 3), SPACE(1) || 'x'", "2,3,aaa, x"),
        ("SELECT YEAR(t), MONTH(t), DAY(t), HOUR(t) FROM t WHERE a = 1", "2026,1,5,10"),
        ("SELECT DATEPART(yyyy, t), DATEPART(quarter, t) FROM t WHERE a = 2", "2026,1"),
        ("SELECT DATEADD(day, -1, t) FROM t WHERE a = 1", "2026-01-04T10:00:00.0000000Z"),
        ("SELECT DATEADD(quarter, 1, t) FROM t WHERE a = 1", "2026-04-05T10:00:00.0000000Z"),
        (
            "SELECT DATE_ADD(t, INTERVAL 1 DAY), DATE_SUB(t, INTERVAL '1 hour') FROM t WHERE a = 1",
            "2026-01-06T10:00:00.0000000Z,2026-01-05T09:00:00.0000000Z",
        ),
        ("SELECT DATEDIFF(month, x.t, y.t), DATEDIFF(day, x.t, y.t) FROM t x, t y WHERE x.a = 1 AND y.a = 2", "1,32"),
        ("SELECT DATEDIFF(y.t, x.t) FROM t x, t y WHERE x.a = 1 AND y.a = 2", "32"),
        (
            "SELECT DATEDIFF(week, TIMESTAMP '2026-01-03 23:59:59', TIMESTAMP '2026-01-04 00:00:00'), DATEDIFF(week, TIMESTAMP '2026-01-04 00:00:00', TIMESTAMP '2026-01-03 23:59:59'), DATEDIFF(wk, TIMESTAMP '2026-01-04 00:00:00', TIMESTAMP '2026-01-10 23:00:00')",
            "1,-1,0",
        ),
        (
            "SELECT arrow_typeof(DATEDIFF(week, TIMESTAMP '2026-01-03 23:59:59', TIMESTAMP '2026-01-04 00:00:00')), arrow_typeof(DATEDIFF(day, TIMESTAMP '2026-01-03 23:59:59', TIMESTAMP '2026-01-04 00:00:00'))",
            "Int64,Int64",
        ),
        (
            "SELECT DATEDIFF(year, TIMESTAMP '2025-12-31 23:59:59.999', TIMESTAMP '2026-01-01 00:00:00'), DATEDIFF(quarter, TIMESTAMP '2025-12-31 23:59:59.999', TIMESTAMP '2026-01-01 00:00:00'), DATEDIFF(month, TIMESTAMP '2025-12-31 23:59:59.999', TIMESTAMP '2026-01-01 00:00:00'), DATEDIFF(day, TIMESTAMP '2025-12-31 23:59:59.999', TIMESTAMP '2026-01-01 00:00:00'), DATEDIFF(hour, TIMESTAMP '2025-12-31 23:59:59.999', TIMESTAMP '2026-01-01 00:00:00'), DATEDIFF(minute, TIMESTAMP '2025-12-31 23:59:59.999', TIMESTAMP '2026-01-01 00:00:00'), DATEDIFF(second, TIMESTAMP '2025-12-31 23:59:59.999', TIMESTAMP '2026-01-01 00:00:00'), DATEDIFF(millisecond, TIMESTAMP '2025-12-31 23:59:59.999', TIMESTAMP '2026-01-01 00:00:00')",
            "1,1,1,1,1,1,1,1",
        ),
        (
            "SELECT DATEDIFF(year, TIMESTAMP '2026-01-01 00:00:00', TIMESTAMP '2025-12-31 23:59:59.999'), DATEDIFF(quarter, TIMESTAMP '2026-01-01 00:00:00', TIMESTAMP '2025-12-31 23:59:59.999'), DATEDIFF(month, TIMESTAMP '2026-01-01 00:00:00', TIMESTAMP '2025-12-31 23:59:59.999'), DATEDIFF(day, TIMESTAMP '2026-01-01 00:00:00', TIMESTAMP '2025-12-31 23:59:59.999'), DATEDIFF(hour, TIMESTAMP '2026-01-01 00:00:00', TIMESTAMP '2025-12-31 23:59:59.999'), DATEDIFF(minute, TIMESTAMP '2026-01-01 00:00:00', TIMESTAMP '2025-12-31 23:59:59.999'), DATEDIFF(second, TIMESTAMP '2026-01-01 00:00:00', TIMESTAMP '2025-12-31 23:59:59.999'), DATEDIFF(millisecond, TIMESTAMP '2026-01-01 00:00:00', TIMESTAMP '2025-12-31 23:59:59.999')",
            "-1,-1,-1,-1,-1,-1,-1,-1",
        ),
        (
            "SELECT DATEDIFF(second, NULL, TIMESTAMP '2026-01-01 00:00:00') IS NULL, DATEDIFF(week, TIMESTAMP '2026-01-01 00:00:00', NULL) IS NULL, DATEDIFF(TIMESTAMP '2026-01-01 00:00:00', NULL) IS NULL",
            "true,true,true",
        ),
        ("SELECT DATEADD(day, 1, NULL) IS NULL, DATEADD(day, NULL, TIMESTAMP '2026-01-01 00:00:00') IS NULL", "true,true"),
        (
            "SELECT DATEADD(day, 1.9, TIMESTAMP '2026-01-01 00:00:00'), DATEADD(day, -1.9, TIMESTAMP '2026-01-01 00:00:00')",
            "2026-01-02T00:00:00.0000000Z,2025-12-31T00:00:00.0000000Z",
        ),
        ("SELECT LEN('ab  '), LEN('  ab'), LEN(''), LEN('   '), LEN(NULL) IS NULL", "2,4,0,0,true"),
        ("SELECT LEN(123), LEN(x) FROM (VALUES (-45)) t(x)", "3,3"),
        ("SELECT YEAR(NULL) IS NULL, MONTH(NULL) IS NULL, DATE(NULL) IS NULL", "true,true,true"),
        (
            "SELECT CHARINDEX('', 'abc'), CHARINDEX('x', 'abc'), CHARINDEX('', NULL) IS NULL, CHARINDEX(NULL, 'a') IS NULL",
            "0,0,true,true",
        ),
        (
            "SELECT REPLICATE('a', 0) = '', REPLICATE('a', -1) IS NULL, SPACE(-1) IS NULL, REPLICATE('a', NULL) IS NULL, REPLICATE(NULL, 2) IS NULL",
            "true,true,true,true,true",
        ),
        ("SELECT DATE(NULL) IS NULL, LCASE(NULL) IS NULL, ISNULL(NULL, NULL) IS NULL, IIF(NULL, 1, 2)", "true,true,true,2"),
        ("SELECT DATE(t), DATETRUNC(month, t) FROM t WHERE a = 1", "2026-01-05T00:00:00.0000000Z,2026-01-01T00:00:00.0000000Z"),
        ("SELECT CONVERT(a, varchar(10)) FROM t WHERE a = 1", "1"),
        ("SELECT COUNT_BIG(*), COUNT_BIG(a) FROM t", "3,3"),
        ("SELECT round(STDEV(a), 3), round(STDEVP(a), 3) FROM t", "1.0,0.816"),
        ("SELECT CAST(1 AS NVARCHAR(10)), CAST('2026-01-05' AS DATETIME2)", "1,2026-01-05T00:00:00.0000000Z"),
        ("SELECT JSON_VALUE('{\"k\":\"v\"}', '$.k'), JSON_QUERY('{\"k\":[1]}', '$.k')", "v,[1]"),
        ("SELECT GETDATE() = now(), GETUTCDATE() = now(), length(NEWID())", "true,true,36"),
    ] {
        assert_eq!(one(sql), expected, "{sql}");
    }
}

#[test]
fn what_does_not_is_refused_with_what_to_write() {
    let dir = with_table();
    for (sql, what, advice) in [
        ("SELECT TOP 10 PERCENT a FROM t", "TOP with PERCENT", "percent_rank()"),
        ("SELECT TOP 1 WITH TIES a FROM t ORDER BY a", "WITH TIES", "rank()"),
        ("SELECT a FROM t UNION SELECT TOP 1 a FROM t", "part of UNION", "parentheses"),
        ("SELECT TOP 1 a FROM t LIMIT 2", "TOP stands beside LIMIT", "leave one"),
        ("SHOW FUNCTIONS", "SHOW FUNCTIONS", "kqlake functions"),
        ("SHOW DATABASES", "SHOW DATABASES", "SHOW TABLES"),
        ("SHOW CREATE TABLE t", "SHOW CREATE TABLE t", "DESCRIBE"),
        ("USE telemetry", "USE is not needed", "--lake"),
        ("SET x = 1", "SET", "--timeout"),
        ("INSERT INTO t VALUES (1)", "only queries are allowed", "SELECT or WITH"),
        ("UPDATE t SET a = 1", "only queries are allowed", "SELECT or WITH"),
        ("DELETE FROM t", "only queries are allowed", "SELECT or WITH"),
        ("CREATE TABLE x (a int)", "only queries are allowed", "SELECT or WITH"),
        ("CREATE VIEW x AS SELECT 1", "only queries are allowed", "SELECT or WITH"),
        ("ALTER TABLE t ADD COLUMN x int", "only queries are allowed", "SELECT or WITH"),
        ("MERGE INTO t USING u ON 1 = 1 WHEN MATCHED THEN DELETE", "only queries are allowed", "SELECT or WITH"),
        ("SELECT a INTO x FROM t", "only queries are allowed", "SELECT or WITH"),
        ("BEGIN TRANSACTION", "transactions", "one version"),
        ("SELECT 1; SELECT 2", "more than one statement", "one is run at a time"),
        ("DECLARE @x int = 1", "Expected", "in their place"),
        ("SELECT @x", "variables", "write the value"),
        ("SELECT * FROM t PIVOT (sum(a) FOR b IN ('x', 'y'))", "PIVOT is not supported", "CASE WHEN"),
        ("SELECT a FROM t FOR JSON AUTO", "FOR JSON", "-f json"),
        ("SELECT a FROM t TABLESAMPLE (10)", "TABLESAMPLE", "random()"),
        ("SELECT * FROM t CROSS APPLY OPENJSON(b)", "tables of JSON", "mv-expand"),
        ("SELECT a FROM t WHERE b REGEXP 'x'", "REGEXP", "~ 'pattern'"),
        ("SELECT a FROM t WHERE b GLOB 'x*'", "GLOB", "LIKE 'a%'"),
        ("SELECT a FROM t WHERE b = \"x\"", "No field named x", "single quotes"),
        ("SELECT b + 'x' FROM t", "not added with +", "||"),
        ("SELECT CONVERT(varchar, t, 120) FROM t", "convert", "CAST(x AS varchar)"),
        ("SELECT CONVERT(varchar(10), a) FROM t", "CONVERT", "CAST(x AS varchar)"),
        ("SELECT TRY_CONVERT(int, b) FROM t", "CONVERT", "TRY_CAST(x AS int)"),
        ("SELECT DATEPART(weekday, t) FROM t", "weekday", "'dow'"),
        ("SELECT GROUP_CONCAT(b SEPARATOR ',') FROM t", "group_concat", "string_agg"),
        ("SELECT FORMAT(t, 'yyyy-MM') FROM t", "format", "to_char(x, '%Y-%m-%d')"),
        ("SELECT to_char(t, 'YYYY-MM') FROM t", "'YYYY-MM' has none", "%Y-%m-%d"),
        ("SELECT DATEADD(day, a, t) FROM t", "dateadd", "INTERVAL '1 day'"),
        ("SELECT TIMESTAMPDIFF(month, t, t) FROM t", "timestampdiff", "DATEDIFF(day, earlier, later)"),
        ("SELECT a FROM dbo.t", "kqlake.public", "write `t` alone"),
        ("SELECT * FROM sys.tables", "tables", "SHOW TABLES"),
        ("SELECT * FROM sqlite_master", "sqlite_master", "information_schema.columns"),
        ("SELECT 1 FROM dual", "dual", "no FROM"),
        ("\\d t", "Expected", "DESCRIBE"),
        ("TABLE t", "Expected", "SELECT * FROM NAME"),
    ] {
        let run = run_in(dir.path(), &["sql", "--table", "t=t.csv", sql]).exits(3).says(what).says(advice);
        assert!(!run.err.contains("Ident {"), "{sql}: {}", run.err);
    }
}

#[test]
fn columns_without_a_name_have_their_text_as_it_was_written() {
    let dir = with_table();
    let header =
        |sql: &str| run_in(dir.path(), &["sql", "--table", "t=t.csv", sql]).exits(0).out.lines().next().map(str::to_owned);
    for (sql, expected) in [
        ("SELECT b SIMILAR TO 'x%' FROM t", "b SIMILAR TO 'x%'"),
        ("SELECT * FROM (SELECT b SIMILAR TO 'x%' FROM t)", "b SIMILAR TO 'x%'"),
        ("WITH w AS (SELECT b SIMILAR TO 'x%', a FROM t) SELECT * FROM w", "b SIMILAR TO 'x%',a"),
        ("SELECT '{}'->>'k', json_extract('{}', '$.k') FROM t", "'{}' ->> 'k',\"json_extract('{}', '$.k')\""),
        ("SELECT lower(b), nullif(b, 'x'), 1 FROM t", "lower(b),\"nullif(b, 'x')\",1"),
        ("SELECT count(*), max(a) FROM t", "count(*),max(a)"),
        ("SELECT t.a, (t.a), t.a + 1 FROM t", "a,a:1,t.a + 1"),
        ("SELECT t::date FROM t", "t"),
        ("SELECT x FROM (SELECT t::date AS x FROM t)", "x"),
        ("SELECT t FROM (SELECT t::date FROM t)", "t"),
        ("SELECT CASE WHEN a = 1 THEN 2 END FROM t", "CASE WHEN a = 1 THEN 2 END"),
        ("SELECT t BETWEEN '2026-01-01' AND '2027-01-01' FROM t", "t BETWEEN '2026-01-01' AND '2027-01-01'"),
        ("SELECT GETDATE(), IIF(a = 1, 2, 3) FROM t", "GETDATE(),\"IIF(a = 1, 2, 3)\""),
        ("SELECT *, lower(b) FROM t", "a,b,t,user,lower(b)"),
        ("SELECT lower(b), * FROM t", "lower(b),a,b,t,user"),
        ("SELECT a + 1, a + 1, a + 1 FROM t", "a + 1,a + 1:1,a + 1:2"),
        ("SELECT lower(b) FROM t UNION ALL SELECT upper(b) FROM t", "lower(b)"),
        ("SELECT DISTINCT lower(b) FROM t ORDER BY 1", "lower(b)"),
        ("SELECT lower(b) FROM t GROUP BY lower(b) HAVING count(*) > 0 ORDER BY lower(b)", "lower(b)"),
    ] {
        assert_eq!(header(sql).as_deref(), Some(expected), "{sql}");
    }
    let plan = run_in(dir.path(), &["sql", "--table", "t=t.csv", "EXPLAIN SELECT a + 1, a + 2 FROM t"]).exits(0).out;
    assert!(plan.starts_with("plan_type,plan\n"), "{plan}");
}

#[test]
fn a_column_is_known_beside_all_columns_of_its_table() {
    let dir = with_table();
    for (sql, header) in [
        ("SELECT t.*, a FROM t", "a,b,t,user,a:1"),
        ("SELECT a, t.* FROM t", "a:1,a,b,t,user"),
        ("SELECT u.*, a FROM t u", "a,b,t,user,a:1"),
        ("SELECT u.*, j FROM t u, (VALUES (1)) v(j)", "a,b,t,user,j"),
        ("SELECT v.*, a FROM t u, (VALUES (1)) v(j)", "j,a"),
        ("SELECT v.*, j FROM t u, (VALUES (1)) v(j)", "j,j:1"),
        ("SELECT v.*, column1 FROM (VALUES (1)) v", "column1,column1:1"),
        ("WITH w AS (SELECT a AS x FROM t) SELECT w.*, x FROM w", "x,x:1"),
        ("WITH w(y) AS (SELECT a AS x FROM t) SELECT w.*, y FROM w", "y,y:1"),
        ("SELECT s.*, x FROM (SELECT a AS x, * FROM t) s", "x,a,b,t,user,x:1"),
        ("SELECT *, 1 AS a FROM t", "a,b,t,user,a:1"),
        ("SELECT t.*, 1 AS a FROM t", "a,b,t,user,a:1"),
        ("SELECT * EXCEPT (a), a FROM t", "b,t,user,a"),
        ("SELECT \"a:1\" FROM (SELECT t.*, a FROM t)", "a:1"),
    ] {
        let out = run_in(dir.path(), &["sql", "--table", "t=t.csv", sql]).exits(0).out;
        assert_eq!(out.lines().next(), Some(header), "{sql}");
    }
}

#[test]
fn times_and_timespans_outside_of_what_a_result_has_are_refused() {
    let lake = sample_lake();
    let run = |sql: &str| run_in(lake.path(), &["--lake", "lake", "sql", sql]);
    for sql in [
        "SELECT TIMESTAMP '9999-12-31' + INTERVAL '1 day'",
        "SELECT TIMESTAMP '0001-01-01' - INTERVAL '1 day'",
        "SELECT max(timestamp + INTERVAL '9000 years') FROM traces",
        "SELECT make_date(100000, 1, 1)",
    ] {
        run(sql).exits(3).says("outside of the years 1 to 9999");
    }
    assert_eq!(run("SELECT TIMESTAMP '9999-12-31 23:59:59.999999' AS t").exits(0).out, "t\n9999-12-31T23:59:59.9999990Z\n");
    let spans = "(SELECT kql.totimespan(s) AS d FROM (VALUES ('00:00:01'), ('00:00:03')) v(s)) x";
    let found = run(&format!("SELECT stddev(d) AS a, stddev_samp(d) AS b, stddev_pop(d) AS c FROM {spans}")).exits(0).out;
    assert_eq!(found, "a,b,c\n00:00:01.4142135,00:00:01.4142135,00:00:01\n");
    let found = run(&format!("SELECT stddev_pop(d) OVER () AS a FROM {spans}")).exits(0).out;
    assert_eq!(found, "a\n00:00:01\n00:00:01\n");
    for aggregate in ["var_samp(d)", "var_pop(d)", "covar_samp(d, d)", "array_agg(d)"] {
        run(&format!("SELECT {aggregate} FROM {spans}")).exits(3).says("is not taken of timespans").says("epoch");
    }
    assert_eq!(run(&format!("SELECT var_pop(date_part('epoch', d)) AS v FROM {spans}")).exits(0).out, "v\n1.0\n");
}

#[test]
fn a_file_under_the_name_of_a_table_is_that_table_everywhere() {
    let dir = with_table();
    let run = |sql: &str| run_in(dir.path(), &["sql", "--table", "traces=t.csv", sql]);
    assert_eq!(
        run("DESCRIBE traces").exits(0).out,
        "column_name,data_type,is_hidden\na,long,NO\nb,string,NO\nt,datetime,NO\nuser,string,NO\n"
    );
    assert_eq!(run("SHOW COLUMNS FROM traces").exits(0).out.lines().count(), 5);
    assert!(run("SHOW TABLES").exits(0).out.contains("traces,FILE\n"));
    assert_eq!(run("SELECT count(*) AS n FROM traces").exits(0).out, "n\n3\n");
    for sql in ["SELECT * FROM AppTraces", "DESCRIBE AppTraces"] {
        run(sql)
            .exits(3)
            .says("the view AppTraces cannot be made of the file that is the table traces here")
            .says("another name");
    }
    run("SELECT count(*) FROM AppEvents").exits(0);
    run("DESCRIBE AppEvents").exits(0);
}
