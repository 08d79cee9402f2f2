//! Asking the engine, and what makes two answers the same.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kqlake::engine::{Engine, EngineOptions};
use kqlake::error::Error;
use kqlake_lake::Lake;
use kqlake_value::Column;
use kqlake_value::clock::FixedClock;
use serde_json::Value as Json;
use tokio::runtime::Handle;

use super::tree::Table;

/// What became of a query.
#[derive(Debug, Clone)]
pub enum Outcome {
    Rows(Table),
    /// The text was refused.
    Refused(String),
    /// The query failed while it ran: its values do not suit it.
    Failed(String),
    /// A defect of the program.
    Broken(String),
}

/// How two queries disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Broken,
    Columns,
    Rows,
    OneFails,
    OneIsRefused,
}

/// Two queries that should have one answer and have not.
#[derive(Debug, Clone)]
pub struct Difference {
    pub kind: Kind,
    pub first: (String, Rc<Outcome>),
    pub second: (String, Rc<Outcome>),
}

/// Runs queries under several settings; each query once.
pub struct Asker {
    engines: Vec<(&'static str, Engine)>,
    handle: Handle,
    known: HashMap<(usize, String), Rc<Outcome>>,
    /// Queries that ran.
    pub asked: usize,
}

/// Longer than any of these small queries takes, even on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

impl Asker {
    pub fn new(lake: &Path, handle: Handle) -> Asker {
        let clock = Arc::new(FixedClock::at_micros(1_768_219_200_000_000));
        let base = || EngineOptions { timeout: Some(TIMEOUT), ..EngineOptions::default() };
        let settings = [
            ("default settings", base()),
            ("1 partition", EngineOptions { partitions: Some(1), ..base() }),
            ("8 partitions", EngineOptions { partitions: Some(8), ..base() }),
            ("batches of 3 rows", EngineOptions { batch_size: 3, partitions: Some(2), ..base() }),
            ("little memory", EngineOptions { memory_limit: 24 << 20, partitions: Some(2), ..base() }),
            ("pruning off", EngineOptions { pruning: false, ..base() }),
        ];
        let engine = |options| Engine::new(Lake::new(lake), options, Arc::clone(&clock) as _);
        let engines = settings.into_iter().map(|(name, options)| (name, engine(options))).collect();
        Asker { engines, handle, known: HashMap::new(), asked: 0 }
    }

    /// How many settings there are; 0 are the default ones.
    pub fn settings(&self) -> usize {
        self.engines.len()
    }

    pub fn setting(&self, setting: usize) -> &'static str {
        self.engines[setting].0
    }

    pub fn ask(&mut self, setting: usize, query: &str) -> Rc<Outcome> {
        let key = (setting, query.to_owned());
        if let Some(known) = self.known.get(&key) {
            return Rc::clone(known);
        }
        self.asked += 1;
        let engine = &self.engines[setting].1;
        let outcome = match catch_unwind(AssertUnwindSafe(|| self.handle.block_on(answer(engine, query)))) {
            Ok(Ok(table)) => Outcome::Rows(table),
            Ok(Err(Error::Refused(refused))) => {
                Outcome::Refused(refused.diagnostics.first().map_or_else(String::new, |d| d.message.clone()))
            }
            Ok(Err(Error::Query { message, .. })) if !message.contains("ran longer") => Outcome::Failed(message),
            Ok(Err(other)) => Outcome::Broken(other.chain()),
            Err(panic) => Outcome::Broken(format!("panicked: {}", panicked(&*panic))),
        };
        let outcome = Rc::new(outcome);
        self.known.insert(key, Rc::clone(&outcome));
        outcome
    }

    /// The columns of a tabular expression.
    pub fn columns(&mut self, table: &str) -> Vec<Column> {
        match &*self.ask(0, &format!("{table} | where false")) {
            Outcome::Rows(table) => table.columns.clone(),
            _ => Vec::new(),
        }
    }

    /// Forgets the answers: they are those of one case.
    pub fn forget(&mut self) {
        self.known.clear();
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => String::new(),
    }
}

async fn answer(engine: &Engine, query: &str) -> Result<Table, Error> {
    let found = crate::kqlt::answer(engine, query).await?;
    let rows = found.rows.into_iter().map(|row| match row {
        Json::Array(cells) => cells,
        other => vec![other],
    });
    Ok(Table { columns: found.schema, rows: rows.collect() })
}

/// Compares what became of two queries. `None` when they agree.
pub fn compare(first: &Outcome, second: &Outcome, ordered: bool, exact: bool) -> Option<Kind> {
    Some(match (first, second) {
        (Outcome::Broken(_), _) | (_, Outcome::Broken(_)) => Kind::Broken,
        (Outcome::Rows(a), Outcome::Rows(b)) if a.columns != b.columns => Kind::Columns,
        (Outcome::Rows(a), Outcome::Rows(b)) => return (!same_rows(a, b, ordered, exact)).then_some(Kind::Rows),
        (Outcome::Refused(_), Outcome::Rows(_)) | (Outcome::Rows(_), Outcome::Refused(_)) => Kind::OneIsRefused,
        (Outcome::Failed(_), Outcome::Rows(_)) | (Outcome::Rows(_), Outcome::Failed(_)) => Kind::OneFails,
        _ => return None,
    })
}

fn same_rows(a: &Table, b: &Table, ordered: bool, exact: bool) -> bool {
    let same_row = |x: &Vec<Json>, y: &Vec<Json>| x.iter().zip(y).all(|(x, y)| same(x, y, exact));
    if a.rows.len() != b.rows.len() {
        return false;
    }
    if ordered {
        return a.rows.iter().zip(&b.rows).all(|(x, y)| same_row(x, y));
    }
    let mut left: Vec<&Vec<Json>> = b.rows.iter().collect();
    a.rows.iter().all(|row| left.iter().position(|other| same_row(row, other)).map(|at| left.swap_remove(at)).is_some())
}

/// Reals may differ in their last digits, because sums are taken in any order.
pub fn same(a: &Json, b: &Json, exact: bool) -> bool {
    match (a, b) {
        (Json::Number(x), Json::Number(y)) if x.is_f64() && y.is_f64() => {
            let (x, y) = (x.as_f64().unwrap_or_default(), y.as_f64().unwrap_or_default());
            x == y || !exact && (x - y).abs() <= 1e-9 * x.abs().max(y.abs()).max(1e-3)
        }
        (Json::Array(x), Json::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y, exact)),
        (Json::Object(x), Json::Object(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|((k, v), (l, w))| k == l && same(v, w, exact))
        }
        _ => a == b,
    }
}

/// What is counted in a run.
#[derive(Debug, Default, Clone)]
pub struct Counts {
    pub queries: usize,
    pub refused: usize,
    pub failed: usize,
    /// Reasons of refusals, for whoever makes the generator better.
    pub reasons: BTreeMap<String, usize>,
}

impl Counts {
    pub fn add(&mut self, other: Counts) {
        self.queries += other.queries;
        self.refused += other.refused;
        self.failed += other.failed;
        for (reason, count) in other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Rows(table) => {
                let columns: Vec<String> = table.columns.iter().map(column_text).collect();
                write!(f, "    {}", columns.join(", "))?;
                table.rows.iter().try_for_each(|row| write!(f, "\n    {}", Json::Array(row.clone())))
            }
            Outcome::Refused(why) => write!(f, "    refused: {why}"),
            Outcome::Failed(why) => write!(f, "    fails: {why}"),
            Outcome::Broken(why) => write!(f, "    DEFECT: {why}"),
        }
    }
}

fn column_text(column: &Column) -> String {
    format!("{}:{}", column.name, column.ty)
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, second) = (&self.first, &self.second);
        write!(f, "{:?}\n  {}\n{}\n  {}\n{}", self.kind, first.0, first.1, second.0, second.1)
    }
}

#[cfg(test)]
mod tests {
    use kqlake_value::Type;
    use serde_json::json;

    use super::*;

    fn rows(rows: &[Json]) -> Outcome {
        let rows = rows.iter().map(|cell| vec![cell.clone()]).collect();
        Outcome::Rows(Table { columns: vec![Column::new("x", Type::Real)], rows })
    }

    #[test]
    fn answers_that_differ_are_told_apart() {
        let first = rows(&[json!(1.0), json!("NaN"), json!(null)]);
        let turned = rows(&[json!(null), json!(1.0 + 1e-15), json!("NaN")]);
        assert_eq!(compare(&first, &turned, false, false), None);
        assert_eq!(compare(&first, &turned, false, true), Some(Kind::Rows));
        assert_eq!(compare(&first, &turned, true, false), Some(Kind::Rows));
        assert_eq!(compare(&first, &rows(&[json!(1.0), json!("NaN")]), false, false), Some(Kind::Rows));
        assert_eq!(compare(&first, &rows(&[json!(1.0), json!("NaN"), json!(0.0)]), false, false), Some(Kind::Rows));
        assert_eq!(compare(&rows(&[json!([1])]), &rows(&[json!([1.0])]), false, false), Some(Kind::Rows));
        assert_eq!(compare(&rows(&[json!({"a": 1, "b": 2})]), &rows(&[json!({"b": 2, "a": 1})]), false, false), Some(Kind::Rows));
        let (refused, failed) = (Outcome::Refused(String::new()), Outcome::Failed(String::new()));
        assert_eq!(compare(&first, &refused, false, false), Some(Kind::OneIsRefused));
        assert_eq!(compare(&failed, &first, false, false), Some(Kind::OneFails));
        assert_eq!(compare(&refused, &refused, false, false), None);
        assert_eq!(compare(&refused, &Outcome::Broken(String::new()), false, false), Some(Kind::Broken));
    }
}
