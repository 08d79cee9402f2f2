//! Golden queries: `tests/kqlt/*.kqlt` and, in SQL, `tests/kqlt/*.sqlt`, each answered under every setting, with one answer.
//!
//! A file is blocks with a line `====` between them:
//!
//! ```text
//! # what is shown here
//! query:
//! print x = 1
//! ordered: true                 (optional: the order of the rows counts)
//! columns: x:long
//! rows:
//! [1]                           (a JSON array a row, values as the Kusto v1 answer writes them)
//! ```
//!
//! Instead of columns and rows `error: TEXT` expects a refusal whose message holds the text; `no room: TEXT` the same, but not with
//! batches of a few rows, for which there is room; `plan: TEXT` expects the text in the physical plan.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use kqlake::engine::{Engine, EngineOptions, Explain, QueryAnswer};
use kqlake::error::Error;
use kqlake::output::{Format, TableStyle, sink};
use kqlake_lake::Lake;
use kqlake_value::Column;
use kqlake_value::clock::FixedClock;
use serde_json::Value as Json;

use super::support::{project, run_with};

#[derive(Debug, Default)]
struct Block {
    title: String,
    query: String,
    columns: Option<String>,
    rows: Vec<Json>,
    ordered: bool,
    error: Option<String>,
    is_of_full_batches: bool,
    plan: Vec<String>,
    is_sql: bool,
}

fn parse(text: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    for part in text.split("\n====") {
        let mut block = Block::default();
        let mut section = "";
        for line in part.trim_start_matches('=').lines() {
            let trimmed = line.trim();
            let keyed = |key: &str| trimmed.strip_prefix(key).map(|rest| rest.trim().to_owned());
            if section != "query" || is_key(trimmed) {
                if let Some(value) = keyed("columns:") {
                    (block.columns, section) = (Some(value), "");
                    continue;
                } else if trimmed == "rows:" || trimmed == "query:" {
                    section = if trimmed == "rows:" { "rows" } else { "query" };
                    continue;
                } else if let Some(value) = keyed("ordered:") {
                    (block.ordered, section) = (value == "true", "");
                    continue;
                } else if let Some(value) = keyed("error:") {
                    (block.error, section) = (Some(value), "");
                    continue;
                } else if let Some(value) = keyed("no room:") {
                    (block.error, block.is_of_full_batches, section) = (Some(value), true, "");
                    continue;
                } else if let Some(value) = keyed("plan:") {
                    block.plan.push(value);
                    section = "";
                    continue;
                }
            }
            match section {
                "query" => block.query.push_str(&format!("{line}\n")),
                "rows" if !trimmed.is_empty() => {
                    block.rows.push(serde_json::from_str(trimmed).map_err(|err| format!("{}: {trimmed}: {err}", block.title))?);
                }
                _ if trimmed.starts_with('#') => block.title.push_str(trimmed.trim_start_matches(['#', ' '])),
                _ if trimmed.is_empty() => {}
                _ => return Err(format!("{}: unexpected line `{trimmed}`", block.title)),
            }
        }
        if !block.query.trim().is_empty() {
            if block.columns.is_none() && block.error.is_none() && block.plan.is_empty() {
                return Err(format!("{}: nothing is expected of `{}`", block.title, block.query.trim()));
            }
            blocks.push(block);
        }
    }
    Ok(blocks)
}

/// Lines that end a query. A query has no line that begins like them.
fn is_key(line: &str) -> bool {
    ["columns:", "ordered:", "error:", "no room:", "plan:"].iter().any(|key| line.starts_with(key)) || line == "rows:"
}

/// Every setting under which an answer must be the same.
fn settings() -> Vec<(&'static str, EngineOptions)> {
    let base = EngineOptions::default;
    vec![
        ("default", base()),
        ("1 partition", EngineOptions { partitions: Some(1), ..base() }),
        ("8 partitions", EngineOptions { partitions: Some(8), ..base() }),
        ("batches of 3 rows", EngineOptions { batch_size: 3, partitions: Some(2), ..base() }),
        ("pruning off", EngineOptions { pruning: false, ..base() }),
        ("little memory", EngineOptions { memory_limit: 24 << 20, partitions: Some(2), ..base() }),
    ]
}

pub struct Table {
    pub columns: String,
    pub schema: Vec<Column>,
    pub rows: Vec<Json>,
}

pub async fn answer(engine: &Engine, query: &str) -> Result<Table, Error> {
    rows_of(engine.kql("query", query, &BTreeMap::new()).await?).await
}

async fn rows_of(answer: QueryAnswer) -> Result<Table, Error> {
    let mut bytes = Vec::new();
    {
        let mut sink = sink(Format::Kusto, &mut bytes, answer.tables.len(), TableStyle::default());
        for table in &answer.tables {
            let mut rows = table.run().await?;
            sink.start(&table.name, &table.columns)?;
            while let Some(batch) = rows.next().await? {
                sink.rows(&batch)?;
            }
            sink.end()?;
        }
        sink.finish()?;
    }
    let document: Json = serde_json::from_slice(&bytes).expect("a Kusto answer is JSON");
    let table = &document["Tables"][0];
    let text = |c: &Json, key: &str| c[key].as_str().unwrap_or_default().to_owned();
    let columns: Vec<String> = table["Columns"]
        .as_array()
        .expect("columns")
        .iter()
        .map(|c| format!("{}:{}", text(c, "ColumnName"), text(c, "ColumnType")))
        .collect();
    let schema = answer.tables[0].columns.clone();
    Ok(Table { columns: columns.join(", "), schema, rows: table["Rows"].as_array().expect("rows").clone() })
}

fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(x), Json::Number(y)) => {
            x == y
                || match (x.as_f64(), y.as_f64()) {
                    (Some(x), Some(y)) => (x - y).abs() <= 1e-9 * x.abs().max(y.abs()),
                    _ => false,
                }
        }
        (Json::Array(x), Json::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Json::Object(x), Json::Object(y)) => x.len() == y.len() && x.iter().all(|(k, v)| y.get(k).is_some_and(|w| same(v, w))),
        _ => a == b,
    }
}

/// Columns without the white space in between.
fn as_written(columns: &str) -> String {
    columns.split(',').map(|c| c.split_whitespace().collect::<String>()).collect::<Vec<_>>().join(", ")
}

fn difference(block: &Block, found: &Table) -> Option<String> {
    if let Some(expected) = &block.columns
        && as_written(expected) != as_written(&found.columns)
    {
        return Some(format!("columns {expected} expected, {} found", found.columns));
    }
    block.columns.as_ref()?;
    let equal = if block.ordered {
        block.rows.len() == found.rows.len() && block.rows.iter().zip(&found.rows).all(|(a, b)| same(a, b))
    } else {
        let mut left: Vec<&Json> = found.rows.iter().collect();
        block.rows.len() == found.rows.len()
            && block
                .rows
                .iter()
                .all(|row| left.iter().position(|other| same(row, other)).map(|at| left.swap_remove(at)).is_some())
    };
    (!equal).then(|| {
        let show = |rows: &[Json]| rows.iter().map(|r| format!("    {r}")).collect::<Vec<_>>().join("\n");
        format!("rows expected\n{}\n  found\n{}", show(&block.rows), show(&found.rows))
    })
}

/// Plans a golden query in its language.
async fn planned(block: &Block, engine: &Engine) -> Result<QueryAnswer, Error> {
    if block.is_sql { engine.sql(&block.query).await } else { engine.kql("query", &block.query, &BTreeMap::new()).await }
}

async fn failure(block: &Block, engine: &Engine) -> Option<String> {
    let answer = match planned(block, engine).await {
        Ok(answer) => rows_of(answer).await,
        Err(err) => Err(err),
    };
    match (answer, &block.error) {
        (Ok(_), Some(text)) => Some(format!("the error `{text}` expected, the query ran")),
        (Err(err), Some(text)) => {
            let said = match &err {
                Error::Refused(refused) => refused
                    .diagnostics
                    .iter()
                    .map(|d| format!("{} {} {}\n", d.code, d.message, d.suggestion.as_deref().unwrap_or("")))
                    .collect(),
                other => other.chain(),
            };
            (!said.contains(text.as_str()) || err.status() != 3)
                .then(|| format!("the error `{text}` expected, status {}: {said}", err.status()))
        }
        (Err(err), None) => Some(err.chain()),
        (Ok(found), None) => difference(block, &found),
    }
}

/// Answers one file's queries: how many there are, and what failed.
fn run_file(file: &Path, lake: &Path, runtime: &tokio::runtime::Handle) -> (usize, Vec<String>) {
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let text = std::fs::read_to_string(file).expect("a readable file");
    let mut blocks = parse(&text).unwrap_or_else(|err| panic!("{name}: {err}"));
    blocks.iter_mut().for_each(|block| block.is_sql = name.ends_with(".sqlt"));
    let clock = Arc::new(FixedClock::at_micros(1_768_219_200_000_000));
    let mut failures = Vec::new();
    for block in &blocks {
        for (setting, options) in settings() {
            if block.is_of_full_batches && options.batch_size < EngineOptions::default().batch_size {
                continue;
            }
            let engine = Engine::new(Lake::new(lake), options, Arc::clone(&clock) as _);
            if let Some(why) = runtime.block_on(failure(block, &engine)) {
                failures.push(format!("{name}: {} ({setting})\n{}  {why}", block.title, block.query));
                break;
            }
        }
        if block.plan.is_empty() {
            continue;
        }
        let engine = Engine::new(
            Lake::new(lake),
            EngineOptions { partitions: Some(2), ..EngineOptions::default() },
            Arc::clone(&clock) as _,
        );
        let plan = runtime.block_on(async {
            let answer = planned(block, &engine).await?;
            answer.tables[0].explain(Explain::Plan).await
        });
        match plan {
            Ok(plan) => {
                let missing = block.plan.iter().filter(|part| !plan.contains(part.as_str()));
                failures.extend(missing.map(|part| format!("{name}: {}: `{part}` expected in\n{plan}", block.title)));
            }
            Err(err) => failures.push(format!("{name}: {}: {}", block.title, err.chain())),
        }
    }
    (blocks.len(), failures)
}

#[test]
fn golden_queries_have_one_answer_under_every_setting() {
    const STACK: usize = 16 << 20;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build().expect("a runtime");
    let entries = std::fs::read_dir(project().join("tests/kqlt")).expect("tests/kqlt").map(|e| e.expect("an entry").path());
    let mut files: Vec<_> = entries.filter(|f| f.extension().is_some_and(|e| e == "kqlt" || e == "sqlt")).collect();
    files.sort();
    let (handle, lake) = (runtime.handle(), dir.path());
    let results: Vec<(usize, Vec<String>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = files
            .iter()
            .map(|file| {
                let work = move || run_file(file, lake, handle);
                std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).expect("a thread")
            })
            .collect();
        threads.into_iter().map(|t| t.join().expect("a file's queries run to their end")).collect()
    });
    let count: usize = results.iter().map(|(n, _)| n).sum();
    let failures: Vec<String> = results.into_iter().flat_map(|(_, f)| f).collect();
    assert!(failures.is_empty(), "{} of {count} golden queries failed:\n\n{}", failures.len(), failures.join("\n\n"));
    assert!(count > 0, "no golden queries were found");
}

/// A check lists the columns of the answer, by name, order and type.
#[test]
fn a_check_lists_the_columns_of_golden_queries() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut queries: Vec<(String, String)> = Vec::new();
    for entry in std::fs::read_dir(project().join("tests/kqlt")).expect("tests/kqlt") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "kqlt") {
            let text = std::fs::read_to_string(&path).expect("a readable file");
            let blocks = parse(&text).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
            queries.extend(blocks.into_iter().filter_map(|block| Some((block.query, block.columns?))));
        }
    }
    let names: Vec<String> = (0..queries.len()).map(|number| format!("{number:04}.kql")).collect();
    for (name, (query, _)) in names.iter().zip(&queries) {
        std::fs::write(dir.path().join(name), query).expect("a file");
    }
    let args: Vec<&str> = ["check", "-f", "json"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let reports: Json = serde_json::from_str(&run_with(dir.path(), &args, b"").out).expect("JSON");
    let reports = reports.as_array().expect("a report a file");
    assert_eq!(reports.len(), queries.len());
    let mut failures = Vec::new();
    for ((query, expected), report) in queries.iter().zip(reports) {
        let text = |c: &Json, key: &str| c[key].as_str().unwrap_or_default().to_owned();
        let columns = report["columns"].as_array().expect("columns").iter();
        let columns: Vec<String> = columns.map(|c| format!("{}:{}", text(c, "name"), text(c, "type"))).collect();
        let found = columns.join(", ");
        if as_written(expected) != as_written(&found) {
            failures.push(format!("{}\n  query: {expected}\n  check: {found}\n  {}", query.trim(), report["diagnostics"]));
        }
    }
    assert!(failures.is_empty(), "{} of {} checks failed:\n\n{}", failures.len(), queries.len(), failures.join("\n\n"));
}
