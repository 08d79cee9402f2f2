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
        ("SELECT CONVERT(varchar(10), a), CONVERT(int, '12'), TRY_CONVERT(int, b) IS NULL FROM t WHERE a = 1", "1,12,true"),
        (
            "SELECT CONVERT(date, t), CONVERT(varchar(10), t, 120), CONVERT(varchar, t, 104) FROM t WHERE a = 1",
            "2026-01-05T00:00:00.0000000Z,2026-01-05,05.01.2026",
        ),
        ("SELECT CAST('abc' AS varchar(2)), CAST(12345 AS nvarchar(3)), CAST('abc' AS nvarchar(max))", "ab,123,abc"),
        ("SELECT CAST(0.1 AS float), CAST(1 AS bit), CAST(1.5 AS money)", "0.1,true,1.5"),
        ("SELECT b + ', ' + user + '!' FROM t WHERE a = 1", "x, u!"),
        ("SELECT N'x', N'y' + N'z'", "x,yz"),
        (
            "SELECT DATEADD(day, a, t), DATEADD('month', 1, t) FROM t WHERE a = 1",
            "2026-01-06T10:00:00.0000000Z,2026-02-05T10:00:00.0000000Z",
        ),
        (
            "SELECT DATEADD(month, 1, '2026-01-31'), DATEADD(hour, 1, '20260131 10:30')",
            "2026-02-28T00:00:00.0000000Z,2026-01-31T11:30:00.0000000Z",
        ),
        ("SELECT DATEDIFF(day, '2026-01-01', '2026-01-05'), DATEDIFF('hour', '2026-01-01', t) FROM t WHERE a = 1", "4,106"),
        (
            "SELECT DATEDIFF(day, x, '2026-01-05'), DATEADD(day, 1, x), YEAR('2026-01-05') FROM (VALUES ('2026-01-01')) v(x)",
            "4,2026-01-02T00:00:00.0000000Z,2026",
        ),
        (
            "SELECT DATE_TRUNC(MONTH, t), DATE_TRUNC(t, MONTH), TIMESTAMP_TRUNC(t, HOUR) FROM t WHERE a = 1",
            "2026-01-01T00:00:00.0000000Z,2026-01-01T00:00:00.0000000Z,2026-01-05T10:00:00.0000000Z",
        ),
        (
            "SELECT DATEPART(iso_week, t), DATEPART(dayofyear, t), DATENAME(month, t), DATENAME(weekday, t) FROM t WHERE a = 1",
            "2,5,January,Monday",
        ),
        (
            "SELECT EOMONTH('2026-02-10'), EOMONTH(t, 1), LAST_DAY(t) FROM t WHERE a = 1",
            "2026-02-28T00:00:00.0000000Z,2026-02-28T00:00:00.0000000Z,2026-01-31T00:00:00.0000000Z",
        ),
        (
            "SELECT FORMAT(t, 'yyyy-MM-dd HH:mm'), strftime('%Y', t), strftime(t, '%m') FROM t WHERE a = 1",
            "2026-01-05 10:00,2026,01",
        ),
        (
            "SELECT t AT TIME ZONE 'Europe/Berlin', t AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Berlin', t AT TIME ZONE 'UTC' FROM t WHERE a = 1",
            "2026-01-05T11:00:00.0000000Z,2026-01-05T11:00:00.0000000Z,2026-01-05T10:00:00.0000000Z",
        ),
        (
            "SELECT CAST('2026-01-05 10:30' AS timestamp), TIMESTAMP '2026-01-05 10:30', count(*) FROM t WHERE t > '20260206'",
            "2026-01-05T10:30:00.0000000Z,2026-01-05T10:30:00.0000000Z,2",
        ),
        ("SELECT DATEADD(day, DATEDIFF(day, 0, t), 0) FROM t WHERE a = 1", "2026-01-05T00:00:00.0000000Z"),
        ("SELECT DECODE(b, 'x', 'one', 'y', 'two', 'many') FROM t ORDER BY a", "one two many"),
        (
            "SELECT DECODE(NULL, NULL, 'none', 'some'), DECODE('z', 'x', 1) IS NULL, CHOOSE(2, 'a', 'b'), CHOOSE(3, 'a', 'b') IS NULL",
            "none,true,b,true",
        ),
        (
            "SELECT STUFF('abcdef', 2, 3, 'XY'), STUFF('abc', 4, 1, 'x') IS NULL, STUFF('abc', 1, 1, NULL), STUFF(NULL, 1, 1, 'x') IS NULL",
            "aXYef,true,bc,true",
        ),
        (
            "SELECT CHARINDEX('b', 'abcb', 3), CHARINDEX('b', 'abcb', -1), CHARINDEX('z', 'abcb', 2), CHARINDEX('b', NULL, 2) IS NULL",
            "4,2,0,true",
        ),
        ("SELECT PATINDEX('%[0-9]%', 'abc123'), PATINDEX('b%', 'abc'), PATINDEX('%_c', 'abc')", "4,0,2"),
        ("SELECT CEILING(1.2), SIGN(-2), MOD(7, 3), SQUARE(3), UNICODE('A'), CHAR(66), ~5", "2.0,-1.0,1,9.0,65,B,-6"),
        ("SELECT STRING_AGG(b, ',') WITHIN GROUP (ORDER BY a DESC) FROM t", "z,y,x"),
        ("SELECT GROUP_CONCAT(b ORDER BY a SEPARATOR '-'), LISTAGG(b) FROM t WHERE a < 3", "x-y,xy"),
        ("SELECT COUNT_IF(a > 1), COUNTIF(a > 2), SAFE_DIVIDE(1, 2), SAFE_DIVIDE(1, 0) IS NULL FROM t", "2,1,0.5,true"),
        ("SELECT x.a, s.b FROM t x CROSS APPLY (SELECT b FROM t y WHERE y.a = x.a) s WHERE x.a = 2", "2,y"),
        ("SELECT x.a, s.b FROM t x OUTER APPLY (SELECT b FROM t y WHERE y.a = x.a + 2) s ORDER BY 1", "1,z 2, 3,"),
        ("SELECT b, count(*) FROM t WHERE a < 3 GROUP BY b WITH ROLLUP ORDER BY 1 NULLS LAST", "x,1 y,1 ,2"),
        ("SELECT count(*) FROM t WITH (NOLOCK) JOIN t u (NOLOCK) ON t.a = u.a", "3"),
        ("SELECT DISTINCT upper(b) FROM t ORDER BY upper(b) DESC", "Z Y X"),
        ("SELECT DISTINCT a + 1 AS n FROM t ORDER BY a + 1 DESC", "4 3 2"),
        ("SELECT lower(b) FROM t UNION SELECT 'a' ORDER BY lower(b)", "a x y z"),
        (
            "SELECT NVL(a, 0), IFNULL(a, 0), DATE '2026-01-05' = CAST('2026-01-05' AS date), CAST('2026-01-05' AS date) FROM t WHERE a = 1",
            "1,1,true,2026-01-05T00:00:00.0000000Z",
        ),
        ("SELECT '50%' LIKE '50!%' ESCAPE '!', 'a_b' LIKE 'a!_b' ESCAPE '!', '[x]' LIKE '\\[x]'", "true,true,true"),
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
        ("SELECT DATEPART(weekday, t) FROM t", "weekday", "'dow'"),
        ("SELECT to_char(t, 'YYYY-MM') FROM t", "'YYYY-MM' has none", "%Y-%m-%d"),
        ("SELECT TIMESTAMPDIFF(month, t, t) FROM t", "timestampdiff", "DATEDIFF(day, earlier, later)"),
        ("SELECT b + user FROM t", "not added with +", "||"),
        ("SELECT b + 1 FROM t", "`+` does not take a text and a whole number", "a || b"),
        ("SELECT t + 1 FROM t", "`+` does not take a time and a whole number", "INTERVAL '1 day'"),
        ("SELECT FORMAT(a, 'N2') FROM t", "'N2' is none", "round(x, 2)"),
        ("SELECT CONVERT(date, b, 104) FROM t", "by a style", "to_date(text, '%d.%m.%Y')"),
        ("SELECT CAST(b AS char(5)) FROM t", "filled with blanks", "varchar(5)"),
        ("SELECT CAST(b AS uniqueidentifier) FROM t", "no type uniqueidentifier", "CAST(x AS varchar)"),
        ("SELECT DATEADD(day, 1, b) FROM t", "'x' is not a time", "TRY_CAST(x AS timestamp)"),
        ("SELECT DATEADD(day, 1, a) FROM t", "a time is taken here", "a whole number"),
        ("WITH d AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM d WHERE n < 3) SELECT n FROM d", "no table `d`", "WITH RECURSIVE"),
        ("SELECT CAST('05/01/2026' AS date)", "is not a date", "to_date"),
        ("SELECT DATEDIFF(day, 'x', t) FROM t", "'x' is no time", "2026-01-05"),
        ("SELECT DATEADD(bogus, 1, t) FROM t", "bogus is no unit", "millisecond"),
        ("SELECT DATE_FORMAT(t, '%M %Y') FROM t", "`%M` means one thing", "%B for the name of a month"),
        ("SELECT TIMESTAMP '2026-01-05 10:00:00' AT TIME ZONE 'Europe/Berlin'", "written out", "datetime_local_to_utc"),
        ("SELECT t AT TIME ZONE 'W. Europe Standard Time' FROM t", "a zone of Windows", "Europe/Berlin"),
        ("SELECT LEFT(b, -1) FROM t", "LEFT takes no length below zero", "substr"),
        ("SELECT LEFT(b, CHARINDEX('q', b) - 1) FROM t", "LEFT takes no length below zero", "greatest(n, 0)"),
        ("SELECT RIGHT(b, a - 2) FROM t", "RIGHT takes no length below zero", "CASE WHEN"),
        ("SELECT SUBSTR(b, -2) FROM t", "counts from the end", "right(x, 2)"),
        ("SELECT LOG(a) FROM t", "natural logarithm", "log10"),
        ("SELECT a ^ 2 FROM t", "exclusive or", "power(a, b)"),
        ("SELECT a FROM t WHERE b LIKE '[ab]%'", "brackets in a pattern", "SIMILAR TO"),
        ("SELECT a FROM t WHERE b LIKE ANY ('a%')", "LIKE ANY", "OR x LIKE"),
        ("SELECT b FROM t INTERSECT ALL SELECT b FROM t", "INTERSECT ALL", "row_number()"),
        ("SELECT b FROM t EXCEPT ALL SELECT b FROM t", "EXCEPT ALL", "row_number()"),
        ("SELECT b, count(*) FROM t GROUP BY b WITH TOTALS", "WITH TOTALS", "GROUPING SETS"),
        ("SELECT a FROM t PREWHERE a > 1", "PREWHERE", "WHERE"),
        ("SELECT a FROM t CONNECT BY PRIOR a = a", "CONNECT BY", "WITH RECURSIVE"),
        ("SELECT * ILIKE 'a%' FROM t", "* ILIKE", "EXCEPT"),
        ("SELECT a FROM t PARTITION (p)", "part of a table", "WHERE"),
        ("SELECT a FROM t LIMIT 1 BY b", "LIMIT BY", "QUALIFY"),
        ("SELECT a FROM t FORMAT JSON", "FORMAT", "-f json"),
        ("SELECT value FROM STRING_SPLIT('a,b', ',')", "gives rows", "mv-expand"),
        ("SELECT b COLLATE NOCASE FROM t", "COLLATE is not supported", "lower(a)"),
        ("SELECT bogus(a) FROM t", "no function `bogus`", "kqlake functions"),
        ("SELECT strcat(b, b) FROM t", "no function `strcat`", "kql.strcat"),
        ("SELECT regexp_extract(b, 'x') FROM t", "regexp_extract", "kql.extract"),
        ("SELECT sum(b) FROM t", "does not take (a text)", "CAST(x AS double)"),
        ("SELECT round(a, 1, 1) FROM t", "does not take 3 arguments", "it takes"),
        ("SELECT b, a FROM t GROUP BY b", "neither in GROUP BY nor in an aggregate", "any_value"),
        ("SELECT a FROM t WHERE row_number() OVER () = 1", "window function", "QUALIFY"),
        ("SELECT a AS n FROM t WHERE n > 1", "No field named n", "name of the result"),
        ("SELECT 1 / 0", "divided by zero", "nullif"),
        ("SELECT a FROM t WHERE b = 7", "the text 'x' is not a whole number", "TRY_CAST"),
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
fn an_error_shows_its_place() {
    let dir = with_table();
    for (sql, place) in [
        ("SELECT a,\n  bogus(b) FROM t", "query:2:3"),
        ("SELECT [a], [b], nope FROM t", "query:1:18"),
        ("SELECT kql.not(a = 1), kql.nope(a) FROM t", "query:1:24"),
        ("SELECT a FROM t WHERE", "query:1:22"),
        ("SELECT (1", "query:1:10"),
        ("SELECT a FROM nope", "query:1:15"),
        ("SELECT x.a FROM t x JOIN t y ON x.a = y.a WHERE a = 1", "query:1:49"),
        ("SELECT DATEADD(day, 1, 'x') FROM t", "query:1:8"),
        ("SELECT a FROM t WHERE b LIKE '[ab]'", "query:1:23"),
        ("SELECT kql.bin(a) FROM t", "query:1:8"),
    ] {
        run_in(dir.path(), &["sql", "--table", "t=t.csv", sql]).exits(3).says(place);
    }
    std::fs::create_dir(dir.path().join("sql")).expect("a folder");
    std::fs::write(dir.path().join("sql/wrong.sql"), "SELECT\n nope(1)").expect("a file");
    run_in(dir.path(), &["run", "wrong"]).exits(3).says("wrong.sql:2:2").says("no function `nope`");
}

#[test]
fn json_has_no_order_and_is_no_text() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let values = "FROM (VALUES ('{\"x\":9,\"t\":\"a\"}'), ('{\"x\":10,\"t\":\"b\"}')) v(j)";
    for sql in [
        "SELECT max(j->'x') {}",
        "SELECT min(json_extract(j, '$.x')) {}",
        "SELECT j->'x' {} ORDER BY j->'x'",
        "SELECT j->'x' AS n {} ORDER BY n",
        "SELECT j->'x' {} ORDER BY 1 DESC",
        "SELECT rank() OVER (ORDER BY j->'x') {}",
        "SELECT max(j->'x') OVER () {}",
        "SELECT first_value(j->'x' ORDER BY j->'x') {}",
        "SELECT greatest(j->'x', j->'t') {}",
        "SELECT j->'t' = 'a' {}",
        "SELECT j->'x' = j->'t' {}",
        "SELECT count(*) {} WHERE j->'t' <> 'a'",
        "SELECT count(*) {} WHERE j->'t' IN ('a', 'b')",
        "SELECT count(*) {} WHERE j->'t' IN (SELECT 'a')",
        "SELECT count(*) {} WHERE j->'t' LIKE 'a%'",
        "SELECT count(*) {} WHERE j['t'] IS DISTINCT FROM 'a'",
        "SELECT CASE j->'t' WHEN 'a' THEN 1 END {}",
        "SELECT v.j {} JOIN (VALUES ('a')) w(t) ON v.j->'t' = w.t",
    ] {
        run_in(dir.path(), &["sql", &sql.replace("{}", values)]).exits(3).says("is JSON").says("bag->>'key'");
    }
    for (sql, expected) in [
        ("SELECT max((j->>'x')::double), min(j->>'t') {}", "10.0,a"),
        ("SELECT count(*) {} WHERE j->>'t' = 'a' AND j->'x' = 9 AND j->'x' IS NOT NULL", "1"),
        ("SELECT count(*) {} WHERE j->'t' LIKE '%a%' AND CAST(j->'x' AS varchar) = '9'", "1"),
        ("SELECT count(DISTINCT j->'t') {}", "2"),
    ] {
        let rows = csv_rows(&run_in(dir.path(), &["sql", &sql.replace("{}", values)]).exits(0).out);
        assert_eq!(rows[1].join(","), expected, "{sql}");
    }
}

#[test]
fn a_view_that_a_file_cannot_make_is_named() {
    let dir = with_table();
    let files = ["--table", "traces=t.csv"];
    run_in(dir.path(), &[&["query"], &files[..], &["AppTraces | count"]].concat())
        .exits(3)
        .says("the view 'AppTraces' cannot be made")
        .says("query:1:1")
        .says("or another name");
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
