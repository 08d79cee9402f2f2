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
