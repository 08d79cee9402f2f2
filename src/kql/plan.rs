//! From KQL text to DataFusion plans: parse, bind, fetch what binding needs, lower.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;

use super::binder::{Binder, BoundQuery, FetchRequest};
use super::bound::Rel;
use super::catalog::{Catalog, FileRoot};
use super::lower::expr::evaluate;
use super::lower::{LowerError, Lowering};
use super::scans::{ScanCatalog, ScanTable};
use kqlake_syntax::diagnostics::{Diagnostic, Severity};
use kqlake_value::text_column::with_text_budget;
use kqlake_value::{Column, Type, columns};

/// What a query is planned in.
pub struct PlanEnv<'a> {
    /// The tables.
    pub catalog: &'a dyn ScanCatalog,
    /// Plans and runs what binding needs to know (`toscalar`, `evaluate pivot`).
    pub session: &'a SessionContext,
    /// `now()`, one instant a query: microseconds since 1970-01-01 UTC.
    pub now_us: i64,
    /// Values of declared query parameters, as text.
    pub params: &'a BTreeMap<String, String>,
    /// Folders that `externaldata` may read files from.
    pub file_roots: &'a [FileRoot],
    /// Bytes of text that a column of a batch may have where it is computed.
    pub text_budget: usize,
}

/// A planned query.
#[derive(Debug)]
pub struct Planned {
    /// One plan a result table.
    pub tables: Vec<PlannedTable>,
    /// The `render` annotation.
    pub render: Option<Render>,
    /// What is doubtful or was ignored.
    pub warnings: Vec<Diagnostic>,
}

/// One result table.
#[derive(Debug)]
pub struct PlannedTable {
    /// `Table_0`, … or the name that `fork` and `facet` give.
    pub name: String,
    /// Columns, in order.
    pub columns: Vec<Column>,
    /// The plan; its columns are those above, in their Arrow forms. A null string stands for the empty string.
    pub plan: LogicalPlan,
}

/// How a result is to be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Render {
    /// `timechart`, `piechart`, …
    pub kind: String,
    /// Properties as written.
    pub properties: Vec<(String, String)>,
}

/// Why a query has no plan.
#[derive(Debug)]
pub enum PlanError {
    /// The query is wrong; at least one of these is an error.
    Refused(Vec<Diagnostic>),
    /// A table could not be read, or a part that had to run first failed.
    Execution(DataFusionError),
}

impl From<DataFusionError> for PlanError {
    fn from(value: DataFusionError) -> Self {
        PlanError::Execution(value)
    }
}

/// What binding alone finds.
#[derive(Debug)]
pub struct Bound {
    /// The columns of the last result table, where the text binds.
    pub columns: Option<Vec<Column>>,
    /// Errors and warnings, in the order of their places.
    pub diagnostics: Vec<Diagnostic>,
}

/// Bytes of text that the constants of a query may have that are computed when it is planned.
const MAX_CONSTANTS: usize = 64 << 20;

/// Rounds of fetching that a query may need: a bound against queries that feed on themselves.
const MAX_ROUNDS: usize = 256;

/// Plans a query.
///
/// # Errors
/// [`PlanError::Refused`] with all diagnostics where the text is wrong; [`PlanError::Execution`] where a table cannot be read.
pub async fn plan(text: &str, env: &PlanEnv<'_>) -> Result<Planned, PlanError> {
    let parsed = kqlake_syntax::parser::parse(text);
    if parsed.has_errors() {
        return Err(PlanError::Refused(parsed.diagnostics));
    }
    let mut scans: HashMap<String, ScanTable> = HashMap::new();
    let mut answers = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let round = {
            let complete = |table: &str, column: &str| scans.get(table).is_some_and(|s| s.complete.contains(column));
            let mut binder = Binder::new(env.catalog, evaluate, env.params, env.now_us, &complete, Some(&answers))
                .with_file_roots(env.file_roots);
            let bound = with_text_budget(env.text_budget.min(MAX_CONSTANTS), || binder.bind(&parsed.script));
            let missing: Vec<String> = binder.scanned.iter().filter(|t| !scans.contains_key(*t)).cloned().collect();
            let mut diagnostics = parsed.diagnostics.clone();
            diagnostics.append(&mut binder.diagnostics);
            match (bound, binder.request.take()) {
                (_, Some(request)) => Round::Fetch(request, missing),
                (Some(query), None) => Round::Lower(query, missing, diagnostics),
                (None, None) => Round::Refuse(missing, diagnostics),
            }
        };
        let (request, query, missing) = match round {
            Round::Refuse(missing, mut diagnostics) => {
                // What was not found may be a column that only the table at rest has: bind again knowing it. A table that
                // cannot be read is no reason to withhold what is wrong with the text.
                let known = scans.len();
                for table in missing {
                    if let Ok(scan) = env.catalog.scan(&table).await {
                        scans.insert(table, scan);
                    }
                }
                if scans.len() > known {
                    continue;
                }
                diagnostics.sort_by_key(|d| (d.severity == Severity::Warning, d.span.start));
                return Err(PlanError::Refused(diagnostics));
            }
            Round::Fetch(request, missing) => (Some(request), None, missing),
            Round::Lower(query, missing, diagnostics) => (None, Some((query, diagnostics)), missing),
        };
        if !missing.is_empty() {
            // What is promoted in a table is known only once it is open: bind again with that knowledge.
            for table in missing {
                let scan = env.catalog.scan(&table).await?;
                scans.insert(table, scan);
            }
            continue;
        }
        let lowering = Lowering::new(&scans);
        if let Some(request) = request {
            answers.push(fetch(&lowering, &request, env).await?);
            continue;
        }
        let Some((query, diagnostics)) = query else { continue };
        let mut tables = Vec::with_capacity(query.tables.len());
        for (name, rel) in &query.tables {
            let plan = with_text_budget(env.text_budget, || lowering.query(rel)).map_err(refuse)?;
            tables.push(PlannedTable { name: name.clone(), columns: Binder::columns_of(rel), plan });
        }
        let render = query.render.map(|(kind, properties)| Render { kind, properties });
        return Ok(Planned { tables, render, warnings: diagnostics });
    }
    Err(PlanError::Execution(DataFusionError::Execution(format!("the query needs more than {MAX_ROUNDS} queries inside of it"))))
}

/// How a round of binding ended, with the tables that it read and that are not open yet.
enum Round {
    /// The rows of a request are needed first.
    Fetch(FetchRequest, Vec<String>),
    /// The query is bound.
    Lower(BoundQuery, Vec<String>, Vec<Diagnostic>),
    /// The text is wrong.
    Refuse(Vec<String>, Vec<Diagnostic>),
}

fn refuse(error: LowerError) -> PlanError {
    match error {
        LowerError::Refused(diagnostic) => PlanError::Refused(vec![*diagnostic]),
        LowerError::Plan(error) => PlanError::Execution(error),
    }
}

/// Runs a request's tree.
async fn fetch(lowering: &Lowering<'_>, request: &FetchRequest, env: &PlanEnv<'_>) -> Result<Vec<RecordBatch>, PlanError> {
    let plan = with_text_budget(env.text_budget, || lowering.query(&request.rel)).map_err(refuse)?;
    let plan = match request.limit {
        Some(limit) => datafusion::logical_expr::LogicalPlanBuilder::from(plan)
            .limit(0, Some(usize::try_from(limit).unwrap_or(usize::MAX)))?
            .build()?,
        None => plan,
    };
    let frame = env.session.execute_logical_plan(plan).await?;
    frame.collect().await?.iter().map(|batch| in_ticks(batch, &request.rel)).collect()
}

/// Rows with their datetimes as ticks, whatever form the plan gave them.
fn in_ticks(batch: &RecordBatch, rel: &Rel) -> Result<RecordBatch, PlanError> {
    let mut fields: Vec<Field> = batch.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let mut arrays = batch.columns().to_vec();
    for ((field, array), column) in fields.iter_mut().zip(&mut arrays).zip(&rel.columns) {
        if column.ty == Type::DateTime {
            *array = columns::in_form(array, column.ty).map_err(DataFusionError::Execution)?;
            field.set_data_type(array.data_type().clone());
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let schema = Arc::new(Schema::new(fields));
    Ok(RecordBatch::try_new_with_options(schema, arrays, &options).map_err(DataFusionError::from)?)
}

/// Parses and binds a text without running anything, with the columns that its tables have at rest: what another writer added
/// to a table is known once it is open. A table that cannot be opened has the columns of its definition.
pub async fn check(text: &str, catalog: &dyn ScanCatalog, params: &BTreeMap<String, String>, now_us: i64) -> Bound {
    let mut opened = HashSet::new();
    loop {
        let (bound, scanned) = bind(text, catalog, params, now_us);
        let mut learned = false;
        for table in scanned {
            if !opened.contains(&table) {
                learned |= catalog.scan(&table).await.is_ok();
                opened.insert(table);
            }
        }
        if !learned {
            return bound;
        }
    }
}

/// Parses and binds a text without running anything or opening tables. What depends on rows stays unknown.
pub fn bind_only(text: &str, catalog: &dyn Catalog, params: &BTreeMap<String, String>, now_us: i64) -> Bound {
    bind(text, catalog, params, now_us).0
}

/// What binding finds, and the tables that the text reads.
fn bind(text: &str, catalog: &dyn Catalog, params: &BTreeMap<String, String>, now_us: i64) -> (Bound, Vec<String>) {
    let parsed = kqlake_syntax::parser::parse(text);
    let mut diagnostics = parsed.diagnostics.clone();
    let (mut columns, mut scanned) = (None, Vec::new());
    if !parsed.has_errors() {
        let complete = |_: &str, _: &str| false;
        let mut binder = Binder::new(catalog, evaluate, params, now_us, &complete, None);
        // A text of definitions alone has no columns.
        let last = |q: &BoundQuery| q.tables.last().map(|(_, rel)| Binder::columns_of(rel)).unwrap_or_default();
        columns = with_text_budget(MAX_CONSTANTS, || binder.bind(&parsed.script)).as_ref().map(last);
        diagnostics.append(&mut binder.diagnostics);
        scanned.extend(binder.scanned.iter().cloned());
    }
    diagnostics.sort_by_key(|d| d.span.start);
    (Bound { columns, diagnostics }, scanned)
}
