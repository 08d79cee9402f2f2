//! From KQL text to DataFusion plans: parse, bind, fetch what binding needs, lower.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::DataFusionError;
use datafusion::common::utils::memory::get_record_batch_memory_size;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt as _;

use super::binder::{Binder, BoundQuery, FetchRequest, Gathered, NamedColumns};
use super::bound::Rel;
use super::catalog::Answers;
use super::external::{External, ExternalAnswer, ExternalRefusal, ExternalRequest, IpLocation, IpLocations, Unavailable};
use super::lower::expr::evaluate;
use super::lower::{LowerError, Lowering};
use super::room::{MAX_CONSTANTS, with_room};
use super::scans::{ScanCatalog, ScanTable};
use kqlake_syntax::diagnostics::{Diagnostic, Severity};
use kqlake_syntax::parser::{Parsed, parse};
use kqlake_syntax::tables::find;
use kqlake_value::text_column::{MAX_TEXT, with_text_budget};
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
    /// Gives what is read beside tables.
    pub external: &'a dyn External,
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
    /// The memory of the rows in the plans: to be held until the last of them has run.
    pub memory: Vec<MemoryReservation>,
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
    /// What is read beside tables could not be fetched.
    Unavailable(String),
    /// What the configuration says of it is wrong.
    Misconfigured(ExternalRefusal),
}

impl From<DataFusionError> for PlanError {
    fn from(value: DataFusionError) -> Self {
        PlanError::Execution(value)
    }
}

/// Tables that are opened before the text is bound.
const AHEAD: usize = 8;

/// Rounds of fetching that a query may need: a bound against queries that feed on themselves.
const MAX_ROUNDS: usize = 256;

/// Plans a query.
///
/// # Errors
/// [`PlanError::Refused`] with all diagnostics where the text is wrong; [`PlanError::Execution`] where a table cannot be read,
/// [`PlanError::Unavailable`] and [`PlanError::Misconfigured`] where something else cannot.
pub async fn plan(text: &str, env: &PlanEnv<'_>) -> Result<Planned, PlanError> {
    let planned = planned(&parse(text), env, Run::Whole).await?;
    planned.ok_or_else(|| DataFusionError::Internal("the columns of a query are not known".to_owned()).into())
}

/// What a query is planned for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    /// To be run: what the plan needs to know is read and computed.
    Whole,
    /// To see what is wrong with it: the catalog's tables have no rows, and nothing is read beside them.
    WithoutRows,
}

/// Plans a query. None where that takes what a check does not read.
pub(crate) async fn planned(script: &Parsed, env: &PlanEnv<'_>, run: Run) -> Result<Option<Planned>, PlanError> {
    if script.has_errors() {
        return Err(PlanError::Refused(script.diagnostics.clone()));
    }
    let memory =
        MemoryConsumer::new("the rows that the query's columns follow from").register(&env.session.runtime_env().memory_pool);
    let mut planning = Planning {
        env,
        run,
        script,
        scans: HashMap::new(),
        answers: Vec::new(),
        given: Gathered::new(),
        named: NamedColumns::default(),
        memory,
    };
    planning.open_named().await;
    for _ in 0..MAX_ROUNDS {
        let (round, made) = planning.bind()?;
        match round {
            Round::Refuse(missing, mut diagnostics) => {
                // What was not found may be a column that only the table at rest has: bind again knowing it.
                if planning.open_readable(missing).await {
                    continue;
                }
                if diagnostics.iter().all(|d| d.severity == Severity::Warning) && run == Run::WithoutRows {
                    return Ok(None);
                }
                diagnostics.sort_by_key(|d| (d.severity == Severity::Warning, d.span.start));
                return Err(PlanError::Refused(diagnostics));
            }
            Round::Ask(wanted) => planning.ask(wanted).await?,
            // What is promoted in a table is known only once it is open: bind again with that knowledge.
            Round::Fetch(_, missing) | Round::Lower { missing, .. } if !missing.is_empty() => planning.open(missing).await?,
            Round::Fetch(request, _) => planning.fetch(&request).await?,
            Round::Lower { query, diagnostics, .. } => return planning.lowered(query, diagnostics, made).map(Some),
        }
    }
    Err(PlanError::Execution(DataFusionError::Execution(format!("the query needs more than {MAX_ROUNDS} queries inside of it"))))
}

/// A query while it is planned: what has been gathered for binding it.
struct Planning<'p, 'e> {
    env: &'p PlanEnv<'e>,
    run: Run,
    script: &'p Parsed,
    /// The tables that are open.
    scans: HashMap<String, ScanTable>,
    /// The rows that binding has asked for, in order.
    answers: Vec<Vec<RecordBatch>>,
    /// What is read beside tables.
    given: Gathered,
    /// What the text says of tables whose columns follow from rows that are not there.
    named: NamedColumns,
    /// The memory of the answers.
    memory: MemoryReservation,
}

impl Planning<'_, '_> {
    /// Binds the text, with the memory of what that makes; again as long as the text says more of its tables without rows.
    fn bind(&mut self) -> Result<(Round, MemoryReservation), PlanError> {
        loop {
            let bound = self.bind_once()?;
            if !self.named.settle() {
                return Ok(bound);
            }
        }
    }

    fn bind_once(&mut self) -> Result<(Round, MemoryReservation), PlanError> {
        let (env, scans, script) = (self.env, &self.scans, self.script);
        let complete = |table: &str, column: &str| scans.get(table).map_or(Answers::Nowhere, |scan| scan.answers(column));
        let mut binder = Binder::new(env.catalog, evaluate, env.params, env.now_us, &complete, Some(&self.answers))
            .with_external(env.external, Some(&self.given))
            .with_named(std::mem::take(&mut self.named))
            .without_rows(self.run == Run::WithoutRows);
        let bind = || with_text_budget(env.text_budget.min(MAX_CONSTANTS), || binder.bind(&script.script));
        let (bound, made) = with_room(&self.memory, bind)?;
        self.named = binder.take_named();
        let missing: Vec<String> = binder.scanned.iter().filter(|t| !scans.contains_key(*t)).cloned().collect();
        let mut diagnostics = script.diagnostics.clone();
        diagnostics.append(&mut binder.diagnostics);
        let mut wanted = binder.take_wanted();
        if self.run == Run::WithoutRows {
            wanted.retain(|request| env.external.permits(request).is_err() || *request == ExternalRequest::IpLocations);
        }
        let is_wrong = diagnostics.iter().any(|d| d.severity == Severity::Error);
        let round = match (bound, binder.request.take()) {
            // Nothing is asked for a text that is wrong.
            _ if !wanted.is_empty() && !is_wrong => Round::Ask(wanted),
            (_, Some(request)) => Round::Fetch(request, missing),
            (Some(query), None) => Round::Lower { query, missing, diagnostics },
            (None, None) => Round::Refuse(missing, diagnostics),
        };
        Ok((round, made))
    }

    /// Opens the tables that the text names, so that it need not be bound again for what is promoted in them. One that cannot be read
    /// is opened again if it is scanned, and then says why.
    async fn open_named(&mut self) {
        let mut named: Vec<String> = Vec::new();
        for table in find(&self.script.script).into_iter().filter(|table| table.qualifier.is_none()) {
            let Some(schema) = self.env.catalog.table(&table.name) else { continue };
            let name = if schema.view.is_some() { schema.rows_of.clone() } else { Some(table.name) };
            named.extend(name.filter(|name| !named.contains(name)));
        }
        named.truncate(AHEAD);
        self.open_readable(named).await;
    }

    /// Opens tables of a text that is wrong. One that cannot be read is no reason to withhold what is wrong with the text. Whether
    /// there is more to know.
    async fn open_readable(&mut self, tables: Vec<String>) -> bool {
        let known = self.scans.len();
        for table in tables {
            if let Ok(scan) = self.env.catalog.scan(&table).await {
                self.scans.insert(table, scan);
            }
        }
        self.scans.len() > known
    }

    async fn open(&mut self, tables: Vec<String>) -> Result<(), PlanError> {
        for table in tables {
            let scan = self.env.catalog.scan(&table).await?;
            self.scans.insert(table, scan);
        }
        Ok(())
    }

    /// Gets what is read beside tables.
    async fn ask(&mut self, wanted: Vec<ExternalRequest>) -> Result<(), PlanError> {
        let (external, run) = (self.env.external, self.run);
        for request in wanted {
            let answer = match external.permits(&request) {
                Ok(()) if run == Run::WithoutRows => Ok(ExternalAnswer::IpLocations(Arc::new(Unknown))),
                Err(refusal) if run == Run::WithoutRows => Err(Unavailable::Refused(refusal)),
                _ => external.give(&request).await,
            };
            let answer = match answer {
                Ok(answer) => Ok(answer),
                Err(Unavailable::Refused(refusal)) => Err(refusal),
                Err(Unavailable::Failed(why)) => return Err(PlanError::Unavailable(why)),
                Err(Unavailable::Misconfigured(refusal)) => return Err(PlanError::Misconfigured(refusal)),
            };
            self.given.insert(request, answer);
        }
        Ok(())
    }

    /// Gets the rows that binding asks for.
    async fn fetch(&mut self, request: &FetchRequest) -> Result<(), PlanError> {
        let lowering = Lowering::new(&self.scans, self.run == Run::Whole);
        self.answers.push(fetch(&lowering, request, self.env, &self.memory).await?);
        Ok(())
    }

    /// The plans of the query's tables.
    fn lowered(self, query: BoundQuery, warnings: Vec<Diagnostic>, made: MemoryReservation) -> Result<Planned, PlanError> {
        let lowering = Lowering::new(&self.scans, self.run == Run::Whole);
        let mut tables = Vec::with_capacity(query.tables.len());
        for (name, rel) in &query.tables {
            let plan = with_text_budget(self.env.text_budget, || lowering.query(rel)).map_err(refuse)?;
            tables.push(PlannedTable { name: name.clone(), columns: Binder::columns_of(rel), plan });
        }
        let render = query.render.map(|(kind, properties)| Render { kind, properties });
        Ok(Planned { tables, render, warnings, memory: vec![self.memory, made] })
    }
}

/// How a round of binding ended, with the tables that it read and that are not open yet.
enum Round {
    /// What is read beside tables is needed first.
    Ask(Vec<ExternalRequest>),
    /// The rows of a request are needed first.
    Fetch(FetchRequest, Vec<String>),
    /// The query is bound.
    Lower { query: BoundQuery, missing: Vec<String>, diagnostics: Vec<Diagnostic> },
    /// The text is wrong.
    Refuse(Vec<String>, Vec<Diagnostic>),
}

/// Where no IP address is found.
#[derive(Debug)]
struct Unknown;

impl IpLocations for Unknown {
    fn find(&self, _: IpAddr) -> Result<Option<IpLocation>, String> {
        Ok(None)
    }

    fn identity(&self) -> String {
        "unknown".to_owned()
    }
}

fn refuse(error: LowerError) -> PlanError {
    match error {
        LowerError::Refused(diagnostic) => PlanError::Refused(vec![*diagnostic]),
        LowerError::Plan(error) => PlanError::Execution(error),
    }
}

/// Runs a request's tree. Its rows count as `memory`.
async fn fetch(
    lowering: &Lowering<'_>,
    request: &FetchRequest,
    env: &PlanEnv<'_>,
    memory: &MemoryReservation,
) -> Result<Vec<RecordBatch>, PlanError> {
    let plan = with_text_budget(env.text_budget, || lowering.query(&request.rel)).map_err(refuse)?;
    let plan = match request.limit {
        Some(limit) => datafusion::logical_expr::LogicalPlanBuilder::from(plan)
            .limit(0, Some(usize::try_from(limit).unwrap_or(usize::MAX)))?
            .build()?,
        None => plan,
    };
    let mut rows = env.session.execute_logical_plan(plan).await?.execute_stream().await?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.try_next().await? {
        memory.try_grow(get_record_batch_memory_size(&batch))?;
        batches.push(in_ticks(&batch, &request.rel)?);
    }
    in_one_piece(batches, memory)
}

/// The same rows as one batch, which is what plugins take: they would copy several, and both would be there until they end.
fn in_one_piece(batches: Vec<RecordBatch>, memory: &MemoryReservation) -> Result<Vec<RecordBatch>, PlanError> {
    let [first, _, ..] = batches.as_slice() else { return Ok(batches) };
    let bytes: usize = batches.iter().map(get_record_batch_memory_size).sum();
    // Where there is no room for both, or for the text in one column, who wants one piece says so.
    if bytes > MAX_TEXT || memory.try_grow(bytes).is_err() {
        return Ok(batches);
    }
    let all = concat_batches(&first.schema(), &batches).map_err(DataFusionError::from)?;
    drop(batches);
    memory.try_shrink(2 * bytes - get_record_batch_memory_size(&all).min(2 * bytes))?;
    Ok(vec![all])
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
