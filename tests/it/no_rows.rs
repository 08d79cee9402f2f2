//! Queries over tables whose columns follow from rows: over rows, over none of them and in a check they are answered alike, with
//! the same columns as far as the query names them, or refused alike.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use kqlake::engine::{Engine, EngineOptions};
use kqlake_lake::Lake;
use kqlake_value::clock::FixedClock;
use kqlake_value::{Column, Type};

use super::support::{project, run_with};

const ROW: &str = r#"1, "s", dynamic({"a": 1, "b": "x", "c": true, "k": "k", "n": 1.5, "t": "2024-01-01", "l": [1, 2]})"#;

/// The query with the tables and functions that it uses, D of these rows.
fn text(rows: &str, query: &str) -> String {
    format!(
        "let Count = (T:(*)) {{ T | count }}; let SeenIn = (T:(*), v:string) {{ T | where b == v | project a }};
        let D = datatable(i:long, s:string, d:dynamic)[{rows}] | evaluate bag_unpack(d);
        {query}"
    )
}

/// The columns of all result tables, or why there are none. The rows are read.
async fn answer(engine: &Engine, text: &str) -> Result<Vec<Vec<Column>>, String> {
    let answer = engine.kql("query", text, &BTreeMap::new()).await.map_err(|err| format!("{} {}", err.status(), err.chain()))?;
    for table in &answer.tables {
        let mut rows = table.run().await.map_err(|err| format!("{} {}", err.status(), err.chain()))?;
        while rows.next().await.map_err(|err| format!("{} {}", err.status(), err.chain()))?.is_some() {}
    }
    Ok(answer.tables.into_iter().map(|table| table.columns).collect())
}

/// What a check finds wrong with each of the texts.
fn mistakes(dir: &Path, texts: &[String]) -> Vec<Result<(), String>> {
    let names: Vec<String> = (0..texts.len()).map(|number| format!("{number:03}.kql")).collect();
    for (name, text) in names.iter().zip(texts) {
        std::fs::write(dir.join(name), text).unwrap();
    }
    let args: Vec<&str> = ["check", "-f", "json"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let reports: serde_json::Value = serde_json::from_str(&run_with(dir, &args, b"").out).unwrap();
    let errors = |report: &serde_json::Value| {
        let errors = report["diagnostics"].as_array().unwrap().iter().filter(|d| d["severity"] == "error");
        let errors: Vec<String> = errors.map(|d| d["message"].to_string()).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
    };
    reports.as_array().unwrap().iter().map(errors).collect()
}

/// What is wrong with the columns over no rows, beside those over rows (`more`: that have further ones).
fn difference(none: &[Column], some: &[Column], more: bool) -> Option<String> {
    let names = |columns: &[Column]| columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    let mut rest = some.iter();
    let in_order = none.iter().all(|c| rest.any(|other| other.name == c.name));
    if !in_order || (!more && none.len() != some.len()) {
        return Some(format!("{:?} over none, {:?} over rows", names(none), names(some)));
    }
    // A type that nothing tells is dynamic, and a number may be of several.
    let fits = |c: &Column, ty: Type| c.ty == ty || c.ty == Type::Dynamic || (c.ty.is_numeric() && ty.is_numeric());
    let wrong = none.iter().find(|c| some.iter().any(|other| other.name == c.name && !fits(c, other.ty)));
    wrong.map(|c| format!("{} is {} over none", c.name, c.ty))
}

#[test]
fn queries_over_no_rows_are_answered_as_over_rows() {
    const STACK: usize = 16 << 20;
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build().unwrap();
    let clock = Arc::new(FixedClock::at_micros(1_768_219_200_000_000));
    let engine = Engine::new(Lake::new(dir.path()), EngineOptions { partitions: Some(1), ..EngineOptions::default() }, clock);
    let mut failures = Vec::new();
    // A character in front says what is expected of a query.
    let lines = std::fs::read_to_string(project().join("tests/it/no_rows/queries.txt")).unwrap();
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let queries: Vec<(&str, &str)> = lines
        .map(|line| match line.split_at_checked(2) {
            Some((mark @ ("+ " | "! "), query)) => (mark, query),
            _ => ("", line),
        })
        .collect();
    let checked = mistakes(dir.path(), &queries.iter().map(|(_, query)| text("", query)).collect::<Vec<_>>());
    for ((expected, query), checked) in queries.iter().zip(checked) {
        let (none, some) =
            runtime.block_on(async { (answer(&engine, &text("", query)).await, answer(&engine, &text(ROW, query)).await) });
        let why = match (*expected, checked, none, some) {
            ("! ", Err(_), Err(none), Err(some)) if none.starts_with("3 ") && some.starts_with("3 ") => continue,
            ("! ", checked, none, some) => format!("must be refused: check {checked:?}, none {none:?}, rows {some:?}"),
            (mark, Ok(()), Ok(none), Ok(some)) => {
                let wrong: Vec<String> =
                    none.iter().zip(&some).filter_map(|(none, some)| difference(none, some, mark == "+ ")).collect();
                match wrong.first() {
                    None if none.len() == some.len() => continue,
                    None => format!("{} tables over none, {} over rows", none.len(), some.len()),
                    Some(wrong) => wrong.clone(),
                }
            }
            (_, checked, none, some) => {
                let ok = |r: Result<_, String>| r.map(|_: Vec<Vec<Column>>| ());
                format!("check {checked:?}, none {:?}, rows {:?}", ok(none), ok(some))
            }
        };
        failures.push(format!("{query}\n    {why}"));
    }
    assert!(failures.is_empty(), "{} of {} queries failed:\n{}", failures.len(), queries.len(), failures.join("\n"));
}
