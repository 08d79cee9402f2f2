//! Running queries: a session over the lake with limits on memory and time, KQL and SQL into streams of batches.

pub(crate) mod catalog;
mod deadline;
mod explain;
mod external;
mod failure;
mod files;
mod library_texts;
mod long_texts;
mod reading;
mod results;
mod rules;
mod session;
mod spilling;
mod sql;
mod threads;
pub(crate) mod views;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::SessionContext;

pub use explain::Explain;
pub use files::NamedFile;
pub use results::Rows;
pub use threads::STACK;

use crate::config::{Config, DEFAULT_MEMORY, ExternalSettings};
use crate::error::{Error, RefusedQuery, Result};
use catalog::LakeCatalog;
use deadline::Deadline;
use files::{Files, WithFiles};
use kqlake_kql::scans::ScanCatalog;
use kqlake_kql::{self as kql, Bound, PlanEnv, PlanError, Render};
use kqlake_lake::Lake;
use kqlake_lake::spill::SpillFolder;
use kqlake_syntax::diagnostics::Diagnostic;
use kqlake_syntax::parser;
use kqlake_value::Column;
use kqlake_value::clock::Clock;
use kqlake_value::named::NamedColumns;

/// How queries may run. The answer is the same under every setting; only memory, time and disk differ.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Bytes that the operators of a query may hold together before they spill or fail.
    pub memory_limit: usize,
    /// Where they spill; the system's folder for temporary files when not set.
    pub spill_dir: Option<PathBuf>,
    /// Longest time a query may take, planning included.
    pub timeout: Option<Duration>,
    /// Partitions that work in parallel; the number of processors when not set.
    pub partitions: Option<usize>,
    /// Rows of a batch.
    pub batch_size: usize,
    /// Skip files, row groups and pages by their statistics.
    pub pruning: bool,
    /// What queries may read beside tables.
    pub external: ExternalSettings,
    /// Files that are tables.
    pub files: Vec<NamedFile>,
    /// Names of clusters, databases, workspaces and apps, by kind, that stand for this lake.
    pub same_lake: BTreeMap<String, Vec<String>>,
    /// A query that reads a table is refused where there is no lake; else the table is empty.
    pub lake_must_exist: bool,
    /// Tables show their hidden columns as well, as far as they say what a row is.
    pub record_columns: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            memory_limit: DEFAULT_MEMORY,
            spill_dir: None,
            timeout: None,
            partitions: None,
            batch_size: 8192,
            pruning: true,
            external: ExternalSettings::default(),
            files: Vec::new(),
            same_lake: BTreeMap::new(),
            lake_must_exist: false,
            record_columns: false,
        }
    }
}

impl EngineOptions {
    /// The options that a configuration asks for.
    pub fn of(config: &Config) -> EngineOptions {
        EngineOptions {
            memory_limit: config.memory_limit,
            spill_dir: config.spill_dir.clone(),
            timeout: config.timeout,
            partitions: config.threads,
            external: config.external.clone(),
            same_lake: config.same_lake.clone(),
            ..EngineOptions::default()
        }
    }
}

/// Answers queries over one lake.
#[derive(Clone)]
pub struct Engine {
    lake: Lake,
    options: EngineOptions,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("options", &self.options).finish_non_exhaustive()
    }
}

/// The answer to a query, ready to run: its tables in order, what is to be drawn, what was doubtful.
#[derive(Debug)]
pub struct QueryAnswer {
    /// Result tables, usually one.
    pub tables: Vec<ResultTable>,
    /// What `render` asked for.
    pub render: Option<Render>,
    /// Warnings of the query's text.
    pub warnings: Vec<Diagnostic>,
}

/// One result table, planned and not yet run.
pub struct ResultTable {
    /// Name.
    pub name: String,
    /// Columns, in order.
    pub columns: Vec<Column>,
    plan: LogicalPlan,
    session: SessionContext,
    deadline: Deadline,
    /// Operators of a query that was given up may not have ended yet: the folder is removed with the last of the query's
    /// tables and rows.
    spill: Arc<SpillFolder>,
    memory_limit: usize,
    /// SQL may give Arrow types that KQL does not know.
    foreign_types: bool,
    /// That of rows which are in the plan.
    memory: Arc<Vec<MemoryReservation>>,
}

impl std::fmt::Debug for ResultTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResultTable").field("name", &self.name).field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine over a lake, which may be missing or empty. Touches nothing.
    pub fn new(lake: Lake, options: EngineOptions, clock: Arc<dyn Clock>) -> Engine {
        Engine { lake, options, clock }
    }

    /// The same engine with another source of time.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Engine {
        Engine { clock, ..self }
    }

    /// The same engine with files as tables.
    #[must_use]
    pub fn with_files(self, files: Vec<NamedFile>) -> Engine {
        Engine { options: EngineOptions { files, ..self.options }, ..self }
    }

    /// The same engine, which refuses queries that read a table where there is no lake.
    #[must_use]
    pub fn with_lake_that_must_exist(self) -> Engine {
        Engine { options: EngineOptions { lake_must_exist: true, ..self.options }, ..self }
    }

    /// The same engine, whose tables show their hidden columns as well, as far as they say what a row is.
    #[must_use]
    pub fn with_record_columns(self) -> Engine {
        Engine { options: EngineOptions { record_columns: true, ..self.options }, ..self }
    }

    /// The same engine over another lake.
    #[must_use]
    pub fn with_lake(self, lake: Lake) -> Engine {
        Engine { lake, ..self }
    }

    /// The lake.
    pub fn lake(&self) -> &Lake {
        &self.lake
    }

    /// What queries may read beside tables.
    fn external(&self) -> external::AllowedSources {
        let temporary = self.options.spill_dir.as_deref();
        external::AllowedSources::new(&self.options.external, &self.lake, temporary, Arc::clone(&self.clock))
    }

    /// Plans a KQL query. `name` is what messages call the text.
    ///
    /// # Errors
    /// When the query is refused, or what it needs from the lake cannot be read.
    pub async fn kql(&self, name: &str, text: &str, params: &BTreeMap<String, String>) -> Result<QueryAnswer> {
        let deadline = Deadline::after(self.options.timeout)?;
        let catalog = LakeCatalog::new(self.lake.clone())
            .with_must_exist(self.options.lake_must_exist)
            .with_record_columns(self.options.record_columns)
            .with_pruning(self.options.pruning)
            .with_names(self.options.same_lake.clone());
        catalog.open_ahead(text, &self.options.files);
        let spill = Arc::new(SpillFolder::new(self.options.spill_dir.as_deref()));
        let session = session::for_kql(&self.options, &spill)?;
        let (engine, planner, owned, params) = (self.clone(), session.clone(), text.to_owned(), params.clone());
        let text_budget = session::text_budget(&self.options);
        let files = Files::open(&self.options.files, &session).await?;
        let plan = move || async move {
            let external = engine.external();
            let catalog = WithFiles::new(catalog, files);
            let env = PlanEnv {
                catalog: &catalog,
                session: &planner,
                now_us: engine.clock.now_micros(),
                params: &params,
                external: &external,
                text_budget,
            };
            kql::plan(&owned, &env).await
        };
        let planned = match deadline.on_own_thread(plan).await? {
            Ok(planned) => planned,
            Err(PlanError::Refused(diagnostics)) => {
                return Err(Error::Refused(Box::new(RefusedQuery { name: name.to_owned(), text: text.to_owned(), diagnostics })));
            }
            Err(PlanError::Execution(err)) => return Err(failure::of_kql(err, self.options.memory_limit)),
            Err(PlanError::Unavailable(why)) => return Err(Error::Source(why)),
            Err(PlanError::Misconfigured(refusal)) => return Err(Error::usage(refusal.message).hint(refusal.advice)),
        };
        let memory = Arc::new(planned.memory);
        let tables = planned
            .tables
            .into_iter()
            .map(|table| ResultTable {
                name: table.name,
                columns: table.columns,
                plan: table.plan,
                session: session.clone(),
                deadline: deadline.clone(),
                spill: Arc::clone(&spill),
                memory_limit: self.options.memory_limit,
                foreign_types: false,
                memory: Arc::clone(&memory),
            })
            .collect();
        Ok(QueryAnswer { tables, render: planned.render, warnings: planned.warnings })
    }

    /// What is wrong with a KQL text, and the columns that it gives, without reading a row; without a catalog only what is wrong
    /// with its syntax.
    ///
    /// # Errors
    /// When that takes longer than a query may, or there is no room for it.
    pub async fn check(
        &self,
        text: &str,
        params: &BTreeMap<String, String>,
        catalog: Option<Arc<dyn ScanCatalog>>,
    ) -> Result<Bound> {
        let deadline = Deadline::after(self.options.timeout)?;
        let spill = Arc::new(SpillFolder::new(self.options.spill_dir.as_deref()));
        let session = session::for_kql(&self.options, &spill)?;
        let text_budget = session::text_budget(&self.options);
        let (text, params, now_us) = (text.to_owned(), params.clone(), self.clock.now_micros());
        let external = self.external();
        let check = move || async move {
            match catalog {
                Some(catalog) => {
                    let (catalog, external) = (catalog.as_ref(), &external);
                    let env = PlanEnv { catalog, session: &session, now_us, params: &params, external, text_budget };
                    kql::check(&text, &env).await
                }
                None => Bound { columns: None, diagnostics: parser::parse(&text).diagnostics },
            }
        };
        deadline.on_own_thread(check).await
    }

    /// Plans a SQL query over the same tables, hidden columns included. Only queries: nothing is ever written.
    ///
    /// # Errors
    /// When the query is wrong, or what it needs from the lake cannot be read.
    pub async fn sql(&self, text: &str) -> Result<QueryAnswer> {
        let deadline = Deadline::after(self.options.timeout)?;
        let spill = Arc::new(SpillFolder::new(self.options.spill_dir.as_deref()));
        let files = Files::open(&self.options.files, &session::for_kql(&self.options, &spill)?).await?;
        let schema = Arc::new(sql::LakeSchema::new(self.clone(), files));
        let session = session::for_sql(&self.options, &spill, Arc::clone(&schema), self.clock.now_micros())?;
        let (planner, owned) = (session.clone(), text.to_owned());
        let (columns, plan) = deadline.on_own_thread(move || async move { sql::plan(&planner, &owned, &schema).await }).await??;
        let table = ResultTable {
            name: "Table_0".to_owned(),
            columns,
            plan,
            session,
            deadline,
            spill,
            memory_limit: self.options.memory_limit,
            foreign_types: true,
            memory: Arc::default(),
        };
        Ok(QueryAnswer { tables: vec![table], render: None, warnings: Vec::new() })
    }
}

impl QueryAnswer {
    /// Awaits what the query's rows wait for, not longer than the query may take.
    ///
    /// # Errors
    /// When its time is over first.
    pub async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        match self.tables.first() {
            Some(table) => table.deadline.bound(work).await,
            None => Ok(work.await),
        }
    }
}

/// True for a plan whose rows were sorted, by whatever they went through since.
fn is_ordered(plan: &LogicalPlan) -> bool {
    let mut at = plan;
    loop {
        match (at, at.inputs().as_slice()) {
            (LogicalPlan::Sort(_), _) => return true,
            (LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_), _) => return false,
            (_, [input]) => at = input,
            _ => return false,
        }
    }
}

impl ResultTable {
    /// The same table, its rows in the order of all of their columns where the query leaves their order open, so that the same rows are
    /// the same file.
    ///
    /// # Errors
    /// The rows cannot be sorted.
    pub fn in_some_order(self) -> Result<ResultTable> {
        if is_ordered(&self.plan) {
            return Ok(self);
        }
        let schema = Arc::clone(self.plan.schema());
        let sortable = schema.iter().filter(|(_, field)| !field.data_type().is_nested());
        let keys: Vec<_> = sortable.map(|column| Expr::from(column).sort(true, true)).collect();
        if keys.is_empty() {
            return Ok(self);
        }
        let sorted = LogicalPlanBuilder::from(self.plan).sort(keys).and_then(LogicalPlanBuilder::build);
        let plan = sorted.map_err(|err| failure::of_kql(err, self.memory_limit))?;
        Ok(ResultTable { plan, ..self })
    }

    /// The columns of a batch of its rows by their names.
    ///
    /// # Errors
    /// A column cannot be read as its type.
    pub fn named(&self, batch: &RecordBatch) -> Result<NamedColumns> {
        NamedColumns::of_columns(&self.columns, batch).map_err(|why| Error::query(format!("{}: {why}", self.name)))
    }

    /// Runs the query.
    ///
    /// # Errors
    /// When the system gives no thread. A query that cannot run fails with its first batch.
    pub async fn run(&self) -> Result<Rows> {
        Rows::start(self)
    }

    /// How the query would run, or did run.
    ///
    /// # Errors
    /// As [`ResultTable::run`].
    pub async fn explain(&self, how: Explain) -> Result<String> {
        explain::explain(self, how).await
    }
}
