//! Other programs read the same rows: the library of Delta tables, and the examples of README, as they stand there, where what they
//! need is installed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use kqlake_lake::{CompactOptions, Lake, Upkeep};
use serde_json::Value;

use super::lake::{DAY, HOUR, call_records, def, land, number, texts, traces};
use super::support::project;

/// Runs the statements of an example, and prints the values of those that are expressions as lists of rows. What is not
/// installed is said by the status 77.
const HARNESS: &str = r"
import ast, json, sys
scope = {}
def rows(value):
    for read in ('rows', 'fetchall', 'collect'):
        if hasattr(type(value), read):
            return [list(row) for row in getattr(value, read)()]
    return [[value]]
try:
    if 'spark' in sys.argv[1]:
        from pysail.spark import SparkConnectServer
        from pyspark.sql import SparkSession
        server = SparkConnectServer(ip='127.0.0.1', port=0)
        server.start(background=True)
        scope['spark'] = SparkSession.builder.remote('sc://%s:%s' % server.listening_address).getOrCreate()
    for node in ast.parse(sys.argv[1]).body:
        if isinstance(node, ast.Expr):
            print(json.dumps(rows(eval(compile(ast.Expression(node.value), 'README', 'eval'), scope)), default=str))
        else:
            exec(compile(ast.Module([node], []), 'README', 'exec'), scope)
except ImportError as error:
    print(error)
    sys.exit(77)
";

/// The code of README's section on other programs, of one language, in parts that are separated by empty lines.
fn examples(language: &str) -> Vec<String> {
    let readme = fs::read_to_string(project().join("README.md")).expect("README.md");
    let (_, section) = readme.split_once("## The same rows elsewhere").expect("the section");
    let section = section.split("\n## ").next().expect("a section");
    let fence = format!("```{language}\n");
    let blocks = section.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(|block| block.split("\n\n")).map(str::to_owned).collect()
}

/// Runs code in Python. The rows of each expression; nothing when something is not installed.
fn python(code: &str) -> Option<Vec<Vec<Vec<Value>>>> {
    // In a file of its own: Spark's client looks for itself beside the program.
    let dir = tempfile::tempdir().expect("dir");
    let harness = dir.path().join("harness.py");
    fs::write(&harness, HARNESS).expect("a file");
    let run = match Command::new("python3").arg(&harness).arg(code).output() {
        Ok(run) => run,
        Err(error) => {
            println!("not tried, since there is no python3: {error}");
            return None;
        }
    };
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    if run.status.code() == Some(77) {
        println!("not tried: {out}");
        return None;
    }
    assert!(run.status.success(), "{code}\n{out}\n{err}");
    Some(out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect())
}

/// The sum of the last column of some rows.
fn total(rows: &[Vec<Value>]) -> i64 {
    rows.iter().map(|row| row.last().and_then(Value::as_i64).expect("a number")).sum()
}

/// Tries the examples on the traces of a lake. How many were tried.
async fn try_examples(lake: &Path) -> usize {
    let expected = number(&Lake::new(lake), "traces", "select count(*) from traces").await;
    assert!(expected > 0);
    let here = |code: &str| {
        assert!(code.contains("data/lake"), "{code}");
        code.replace("data/lake", lake.to_str().expect("a path of characters"))
    };
    let mut tried = 0;
    for code in examples("python") {
        for rows in python(&here(&code)).unwrap_or_default() {
            assert_eq!(total(&rows), expected, "{code}");
            tried += 1;
        }
    }
    for code in examples("sql") {
        let query = code.lines().find(|line| line.starts_with("SELECT")).expect("a query");
        // Installing takes the network; what is there already need only be loaded.
        let load = r"
import duckdb
try:
    duckdb.sql('SET autoinstall_known_extensions = false')
    duckdb.sql('LOAD delta')
except duckdb.Error as error:
    raise ImportError(str(error).splitlines()[0])
";
        for rows in python(&format!("{load}duckdb.sql(\"\"\"{}\"\"\")", here(query))).unwrap_or_default() {
            assert_eq!(total(&rows), expected, "{code}");
            tried += 1;
        }
    }
    tried
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_readme_give_the_rows_that_are_there() {
    assert!(examples("python").len() >= 3 && !examples("sql").is_empty());
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    for drop in 0..10_i64 {
        // Two months, rows that come twice, files that are merged and files that wait for their deletion.
        let row = |n: i64| (format!("{}-{n}", drop - n % 2), DAY + drop * HOUR + n % 2 * 700 * HOUR);
        let rows: Vec<(String, i64)> = (0..6).map(row).collect();
        let rows: Vec<(&str, i64)> = rows.iter().map(|(id, us)| (id.as_str(), *us)).collect();
        land(&lake, def("traces"), traces(&rows), drop).await.expect("land");
        lake.keep_up(def("traces"), 6, Upkeep::Merge, &CompactOptions::default()).await.expect("merged");
    }
    let tried = try_examples(dir.path()).await;
    lake.compact(def("traces"), &CompactOptions::default()).await.expect("compact");
    assert_eq!(try_examples(dir.path()).await, tried);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_reader_of_the_log_sees_the_same_rows() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    for n in 0..25i64 {
        let rows = call_records(&[("same", DAY, Some(n), "x"), (&format!("c{n}"), DAY + n * HOUR, Some(1), "y")]);
        land(&lake, def("CallRecords"), rows, n).await.expect("land");
    }
    lake.compact(def("CallRecords"), &CompactOptions::default()).await.expect("compact");
    let ours: BTreeSet<String> =
        texts(&lake, "CallRecords", r#"select id || ' ' || version from "CallRecords""#).await.into_iter().collect();

    let url = url::Url::from_directory_path(dir.path().join("CallRecords")).expect("url");
    let table = deltalake::open_table(url).await.expect("open");
    let snapshot = table.snapshot().expect("snapshot");
    assert_eq!((snapshot.protocol().min_reader_version(), snapshot.protocol().min_writer_version()), (1, 2));
    let mut theirs = BTreeSet::new();
    let mut rows = 0;
    for uri in table.get_file_uris().expect("files") {
        let path = url::Url::parse(&uri).ok().and_then(|u| u.to_file_path().ok()).unwrap_or_else(|| uri.clone().into());
        let file = std::fs::File::open(path).expect("file");
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file)
            .expect("parquet")
            .build()
            .expect("reader");
        for batch in reader {
            let batch = batch.expect("batch");
            let ids = batch.column_by_name("id").expect("id").as_string::<i32>();
            let versions = batch.column_by_name("version").expect("version").as_primitive::<Int64Type>();
            rows += batch.num_rows();
            theirs.extend((0..batch.num_rows()).map(|row| format!("{} {}", ids.value(row), versions.value(row))));
        }
    }
    assert_eq!(ours, theirs);
    assert_eq!(rows, 26);
}

/// Reads the lake with whatever other engine Python has here.
#[tokio::test(flavor = "multi_thread")]
async fn other_engines_read_the_lake() {
    let dir = tempfile::tempdir().expect("dir");
    let lake = Lake::new(dir.path());
    land(&lake, def("traces"), traces(&[("a", DAY), ("b", DAY + 1), ("c", DAY + 30 * HOUR)]), 1).await.expect("land");
    let script = r#"
import sys
path = sys.argv[1]
def polars():
    import polars, deltalake
    return polars.read_delta(path).height
def delta():
    import deltalake
    return deltalake.DeltaTable(path).to_pyarrow_table().num_rows
def duckdb():
    import duckdb
    return duckdb.sql(f"select count(*) from delta_scan('{path}')").fetchone()[0]
for name, read in (("polars", polars), ("deltalake", delta), ("duckdb", duckdb)):
    try:
        print(name, read())
    except ImportError:
        pass
"#;
    let output = std::process::Command::new("python3").arg("-c").arg(script).arg(dir.path().join("traces")).output();
    let Ok(output) = output else { return };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if text.is_empty() {
        eprintln!("skipped: python3 has neither polars, deltalake nor duckdb here");
    }
    for line in text.lines() {
        assert!(line.ends_with(" 3"), "{line}");
    }
}
