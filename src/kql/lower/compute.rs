//! Operators that DataFusion has no node for, as tables over an inner plan.
//!
//! The inner plan is planned when the outer one is, inside [`TableProvider::scan`]; so no planner extension is needed and the
//! optimizer prunes the columns on both sides.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::utils::memory::get_record_batch_memory_size;
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, TableType};
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::{Distribution, EquivalenceProperties, LexOrdering, OrderingRequirements, PhysicalSortExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::{StreamExt, TryStreamExt};

use super::column_name;
use super::sources::{inner_name, scan_of};
use super::{Lower, Lowering, Node, OrderKey, named, steps, ticks};
use crate::bound::{ColId, Rel};
use crate::computation::{Compute, RowStream};
use crate::room::with_room;
use kqlake_value::columns::arrow_type;

/// What an operator makes of one batch, piece by piece.
pub(crate) type Pieces = Box<dyn Iterator<Item = Result<RecordBatch, String>> + Send>;

/// How an operator works on its input.
pub(crate) enum ComputeFn {
    /// On each batch by itself, in any partition: what a row becomes takes its place.
    ExpandRows(Arc<dyn Fn(RecordBatch) -> Pieces + Send + Sync>),
    /// On all rows at once, in their order.
    AllRows(Arc<dyn Compute>),
}

impl Clone for ComputeFn {
    fn clone(&self) -> Self {
        match self {
            ComputeFn::ExpandRows(f) => ComputeFn::ExpandRows(f.clone()),
            ComputeFn::AllRows(f) => ComputeFn::AllRows(f.clone()),
        }
    }
}

/// An operator over an inner plan as a table.
pub(crate) struct ComputeTable {
    name: String,
    input: Option<LogicalPlan>,
    schema: SchemaRef,
    compute: ComputeFn,
    passing: Option<Passing>,
}

/// What an operator passes on, so that columns which nobody asks for are not read for it.
pub(crate) struct Passing {
    /// How many columns, the first ones, are in the result as they came.
    pub columns: usize,
    /// Those of them that the operator needs itself.
    pub needed: Vec<usize>,
    /// The operator over some of them.
    pub over: Box<dyn Fn(&[usize]) -> ComputeFn + Send + Sync>,
}

impl ComputeTable {
    /// The operator over the columns that are asked for, with what it gives and where each of them is in the result.
    fn narrowed(&self, projection: &[usize]) -> DfResult<Option<(ComputeTable, Vec<usize>)>> {
        let (Some(passing), Some(input)) = (&self.passing, &self.input) else { return Ok(None) };
        let asked = |at: &usize| projection.contains(at) || passing.needed.contains(at);
        let kept: Vec<usize> = (0..passing.columns).filter(asked).collect();
        if kept.len() == passing.columns {
            return Ok(None);
        }
        let below = kept.iter().copied().chain(passing.columns..input.schema().fields().len());
        let columns = below.map(|at| Expr::Column(input.schema().columns()[at].clone())).collect();
        let input = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(input.clone()))?);
        let all: Vec<usize> = kept.iter().copied().chain(passing.columns..self.schema.fields().len()).collect();
        let places = projection.iter().filter_map(|at| all.iter().position(|kept| kept == at)).collect();
        let table = ComputeTable {
            name: self.name.clone(),
            input: Some(input),
            schema: Arc::new(self.schema.project(&all)?),
            compute: (passing.over)(&kept),
            passing: None,
        };
        Ok(Some((table, places)))
    }
}

impl fmt::Debug for ComputeTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ComputeTable({})", self.name)
    }
}

#[async_trait]
impl TableProvider for ComputeTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        if let Some(projection) = projection
            && let Some((table, places)) = self.narrowed(projection)?
        {
            return table.scan(state, Some(&places), &[], None).await;
        }
        let input = match &self.input {
            Some(plan) => {
                let plan = match without_dynamic_filters(state) {
                    Some(state) => state.create_physical_plan(plan).await?,
                    None => state.create_physical_plan(plan).await?,
                };
                Some(match &self.compute {
                    ComputeFn::ExpandRows(_) => plan,
                    ComputeFn::AllRows(_) => single_partition(plan),
                })
            }
            None => None,
        };
        let order = input.as_ref().and_then(|plan| plan.output_ordering().cloned());
        let exec: Arc<dyn ExecutionPlan> =
            Arc::new(ComputeExec::new(self.name.clone(), input, order, self.schema.clone(), self.compute.clone()));
        let Some(projection) = projection else { return Ok(exec) };
        let schema = self.schema.clone();
        let exprs = projection
            .iter()
            .map(|i| {
                let name = schema.field(*i).name().clone();
                let column: Arc<dyn datafusion::physical_expr::PhysicalExpr> =
                    Arc::new(datafusion::physical_expr::expressions::Column::new(&name, *i));
                (column, name)
            })
            .collect::<Vec<_>>();
        Ok(Arc::new(ProjectionExec::try_new(exprs, exec)?))
    }
}

/// The state for the planning of an inner plan. The rules run over the whole plan again when the outer one is planned, which
/// may then swap the sides of an inner join; that fails if its filters are there already. The outer planning adds them.
fn without_dynamic_filters(state: &dyn Session) -> Option<SessionState> {
    let mut state = state.as_any().downcast_ref::<SessionState>()?.clone();
    let settings = &mut state.config_mut().options_mut().optimizer;
    settings.enable_join_dynamic_filter_pushdown = false;
    settings.enable_topk_dynamic_filter_pushdown = false;
    Some(state)
}

/// All rows in one partition, in their order if the plan has one.
fn single_partition(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    if plan.output_partitioning().partition_count() <= 1 {
        return plan;
    }
    match plan.output_ordering() {
        Some(order) => Arc::new(SortPreservingMergeExec::new(order.clone(), plan)),
        None => Arc::new(CoalescePartitionsExec::new(plan)),
    }
}

/// True for an operator that may put a long value beside each of its rows.
pub fn makes_wide_rows(plan: &dyn ExecutionPlan) -> bool {
    plan.downcast_ref::<ComputeExec>().is_some_and(|operator| matches!(operator.compute, ComputeFn::ExpandRows(_)))
}

/// The order of an operator's rows, so that they are not sorted by it again.
fn result_order(compute: &ComputeFn, schema: &SchemaRef) -> Option<LexOrdering> {
    let ComputeFn::AllRows(op) = compute else { return None };
    let key = |(at, options): (usize, SortOptions)| {
        let column = PhysicalColumn::new(schema.fields().get(at)?.name(), at);
        Some(PhysicalSortExpr::new(Arc::new(column), options))
    };
    LexOrdering::new(op.order().into_iter().map_while(key))
}

/// An operator that takes its rows as they come.
struct Running {
    input: Option<SendableRecordBatchStream>,
    rows: Box<dyn RowStream>,
    ready: VecDeque<RecordBatch>,
    memory: MemoryReservation,
    name: String,
}

impl Running {
    /// The next batch of the result.
    async fn next(mut self) -> DfResult<Option<(RecordBatch, Running)>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some((batch, self)));
            }
            let failed = |message| DataFusionError::Execution(format!("{}: {message}", self.name));
            let Some(input) = &mut self.input else {
                let (more, made) = with_room(&self.memory, || self.rows.more())?;
                drop(made);
                let more = more.map_err(failed)?;
                self.memory.try_resize(self.rows.held())?;
                return Ok(more.map(|batch| (batch, self)));
            };
            // A batch on its way, and what is made of it, are nobody's: only rows that stay behind count.
            let mut passing = 0;
            // What the work itself takes and gives back counts while it runs.
            let (made, work) = match input.next().await {
                Some(batch) => {
                    let batch = batch?;
                    passing = 2 * get_record_batch_memory_size(&batch);
                    with_room(&self.memory, || self.rows.push(batch))?
                }
                None => {
                    self.input = None;
                    with_room(&self.memory, || self.rows.finish())?
                }
            };
            drop(work);
            self.ready.extend(made.map_err(failed)?);
            self.memory.try_resize(self.rows.held().saturating_sub(passing))?;
        }
    }
}

/// All rows of an input, with room for a copy of them, which is what operators make that take all rows at once.
async fn collected(input: Option<SendableRecordBatchStream>, memory: &MemoryReservation) -> DfResult<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    let Some(mut input) = input else { return Ok(batches) };
    while let Some(batch) = input.next().await {
        let batch = batch?;
        memory.try_grow(2 * get_record_batch_memory_size(&batch))?;
        batches.push(batch);
    }
    Ok(batches)
}

/// Runs a [`ComputeFn`].
struct ComputeExec {
    name: String,
    input: Option<Arc<dyn ExecutionPlan>>,
    /// The order that the input was planned with. The optimizer takes sorts away and puts back those that are asked for, so
    /// it must not be read from the input of the moment.
    order: Option<LexOrdering>,
    schema: SchemaRef,
    compute: ComputeFn,
    properties: Arc<PlanProperties>,
}

impl ComputeExec {
    fn new(
        name: String,
        input: Option<Arc<dyn ExecutionPlan>>,
        order: Option<LexOrdering>,
        schema: SchemaRef,
        compute: ComputeFn,
    ) -> Self {
        let partitions = match (&input, &compute) {
            (Some(input), ComputeFn::ExpandRows(_)) => input.output_partitioning().partition_count(),
            _ => 1,
        };
        let emission = match &compute {
            ComputeFn::ExpandRows(_) => EmissionType::Incremental,
            ComputeFn::AllRows(_) => EmissionType::Final,
        };
        let orderings = result_order(&compute, &schema);
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema.clone(), orderings),
            Partitioning::UnknownPartitioning(partitions),
            emission,
            Boundedness::Bounded,
        );
        ComputeExec { name, input, order, schema, compute, properties: Arc::new(properties) }
    }
}

impl fmt::Debug for ComputeExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ComputeExec({})", self.name)
    }
}

impl DisplayAs for ComputeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ComputeExec: {}", self.name)
    }
}

impl ExecutionPlan for ComputeExec {
    fn name(&self) -> &str {
        "ComputeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.input.iter().collect()
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        let input = children.pop().map(|c| match self.compute {
            ComputeFn::ExpandRows(_) => c,
            ComputeFn::AllRows(_) => single_partition(c),
        });
        let order = self.order.clone();
        Ok(Arc::new(ComputeExec::new(self.name.clone(), input, order, self.schema.clone(), self.compute.clone())))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn datafusion::physical_expr::PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        match &self.compute {
            ComputeFn::AllRows(_) => self.input.iter().map(|_| self.order.clone().map(OrderingRequirements::from)).collect(),
            ComputeFn::ExpandRows(_) => vec![None; self.children().len()],
        }
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        let one = matches!(self.compute, ComputeFn::AllRows(_));
        vec![if one { Distribution::SinglePartition } else { Distribution::UnspecifiedDistribution }; self.children().len()]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false; self.children().len()]
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let schema = self.schema.clone();
        let most = context.session_config().batch_size().max(1);
        let memory = MemoryConsumer::new(self.name.clone()).register(context.memory_pool());
        let input = self.input.as_ref().map(|i| i.execute(partition, context)).transpose()?;
        let name = self.name.clone();
        let failed = move |message: String| DataFusionError::Execution(format!("{name}: {message}"));
        match self.compute.clone() {
            ComputeFn::ExpandRows(compute) => {
                let Some(input) = input else {
                    return Err(DataFusionError::Internal("an operator over batches has no input".to_owned()));
                };
                let named_schema = schema.clone();
                let stream = input.map_ok(move |batch| {
                    let (schema, failed) = (named_schema.clone(), failed.clone());
                    futures::stream::iter(compute(batch)).map(move |piece| {
                        let piece = piece.map_err(&failed)?;
                        Ok(RecordBatch::try_new(schema.clone(), piece.columns().to_vec())?)
                    })
                });
                Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream.try_flatten())))
            }
            ComputeFn::AllRows(op) => {
                let stream = match (op.stream(), input) {
                    (Some(rows), Some(input)) => {
                        let (rows, ready) = (rows.map_err(&failed)?, VecDeque::new());
                        let running = Running { input: Some(input), rows, ready, memory, name: self.name.clone() };
                        futures::stream::try_unfold(running, Running::next).boxed()
                    }
                    (_, input) => {
                        let all = async move {
                            let batches = collected(input, &memory).await?;
                            let (out, work) = with_room(&memory, || op.run(batches))?;
                            let out = out.map_err(failed)?;
                            drop(work);
                            memory.try_resize(out.iter().map(get_record_batch_memory_size).sum())?;
                            // The memory is the result's until the last batch of it is out.
                            let held = out.into_iter().map(move |batch| {
                                let _ = &memory;
                                Ok(batch)
                            });
                            Ok::<_, DataFusionError>(futures::stream::iter(held))
                        };
                        futures::stream::once(all).try_flatten().boxed()
                    }
                };
                // Operators give their columns by place: names are those of the plan.
                let named_schema = schema.clone();
                let stream = stream.map_ok(move |batch| {
                    let named = RecordBatch::try_new(named_schema.clone(), batch.columns().to_vec());
                    futures::stream::iter(pieces(named, most))
                });
                let stream = stream.try_flatten();
                Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
            }
        }
    }
}

/// A batch in pieces of at most so many rows. Groups over ordered rows hand out a batch for each one that comes: of a larger one
/// some would stay.
fn pieces(batch: Result<RecordBatch, ArrowError>, most: usize) -> Vec<DfResult<RecordBatch>> {
    match batch {
        Ok(batch) if batch.num_rows() > most => {
            let piece = |from| batch.slice(from, most.min(batch.num_rows() - from));
            (0..batch.num_rows()).step_by(most).map(|from| Ok(piece(from))).collect()
        }
        other => vec![other.map_err(DataFusionError::from)],
    }
}

/// A plan over an operator's output, its columns unqualified.
pub(crate) fn plan_of(
    name: &str,
    input: Option<LogicalPlan>,
    schema: SchemaRef,
    compute: ComputeFn,
    passing: Option<Passing>,
) -> Lower<LogicalPlan> {
    let fields: Vec<arrow::datatypes::Field> =
        schema.fields().iter().map(|f| f.as_ref().clone().with_name(inner_name(f.name()))).collect();
    let schema = Arc::new(arrow::datatypes::Schema::new(fields));
    let table = ComputeTable { name: name.to_owned(), input, schema, compute, passing };
    Ok(scan_of(Arc::new(table))?.build()?)
}

impl Lowering<'_> {
    /// An operator over all rows; its output's order is the order of the rows.
    pub(super) fn compute(&self, rel: &Rel, input: Option<&Rel>, inputs: &[ColId], op: &Arc<dyn Compute>) -> Lower<Node> {
        let inner = match input {
            Some(input) => {
                let node = self.rel(input)?;
                // The keys of the order come along behind: DataFusion takes a sort away whose keys nothing above it knows.
                let keys: Vec<Expr> =
                    node.order.iter().enumerate().map(|(i, key)| named(&key.column).alias(format!("__order{i}"))).collect();
                let plan = node.ordered_plan()?;
                let columns: Vec<Expr> = inputs.iter().map(|id| ticks::decoded(column_name(*id), &plan)).collect();
                Some(steps::project(plan, columns.into_iter().chain(keys).collect())?)
            }
            None => None,
        };
        let fields: Vec<arrow::datatypes::Field> = rel
            .columns
            .iter()
            .map(|c| (c.id, c.ty))
            .chain(rel.hidden.iter().filter(|h| h.is_column()).map(|h| (h.id, h.ty)))
            .map(|(id, ty)| arrow::datatypes::Field::new(column_name(id), arrow_type(ty), true))
            .collect();
        // The rows of the result are numbered, so that their order outlives whatever DataFusion does next.
        let row = self.unique_name("__row");
        let mut with_row = fields.clone();
        with_row.push(arrow::datatypes::Field::new(&row, arrow::datatypes::DataType::Int64, false));
        let schema = Arc::new(arrow::datatypes::Schema::new(with_row));
        let numbered = Arc::new(Numbered { op: op.clone(), width: inputs.len(), schema });
        let plan = plan_of(op.name(), inner, numbered.schema.clone(), ComputeFn::AllRows(numbered.clone()), None)?;
        Ok(Node { plan, order: vec![OrderKey::row_numbers(row)] })
    }
}

/// Numbers the rows that another operator gives.
#[derive(Debug, Clone)]
struct Numbered {
    op: Arc<dyn Compute>,
    /// The columns that the operator takes; keys of the order follow them.
    width: usize,
    schema: SchemaRef,
}

impl Numbered {
    /// The operator's own columns of a batch.
    fn own(&self, batch: &RecordBatch) -> Result<RecordBatch, String> {
        let own: Vec<usize> = (0..self.width).collect();
        batch.project(&own).map_err(|e| e.to_string())
    }
}

/// Rows from `next` on with their numbers.
fn numbered(batches: Vec<RecordBatch>, next: &mut i64, schema: &SchemaRef) -> Result<Vec<RecordBatch>, String> {
    let mut out = Vec::with_capacity(batches.len());
    for batch in batches {
        let rows = batch.num_rows() as i64;
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(arrow::array::Int64Array::from_iter_values(*next..*next + rows)));
        *next += rows;
        out.push(RecordBatch::try_new(schema.clone(), columns).map_err(|e| e.to_string())?);
    }
    Ok(out)
}

/// [`Numbered`] over rows as they come.
struct NumberedRows {
    op: Numbered,
    rows: Box<dyn RowStream>,
    next: i64,
}

impl RowStream for NumberedRows {
    fn push(&mut self, batch: RecordBatch) -> Result<Vec<RecordBatch>, String> {
        let made = self.rows.push(self.op.own(&batch)?)?;
        numbered(made, &mut self.next, &self.op.schema)
    }

    fn finish(&mut self) -> Result<Vec<RecordBatch>, String> {
        let made = self.rows.finish()?;
        numbered(made, &mut self.next, &self.op.schema)
    }

    fn more(&mut self) -> Result<Option<RecordBatch>, String> {
        let made = self.rows.more()?.into_iter().collect();
        Ok(numbered(made, &mut self.next, &self.op.schema)?.pop())
    }

    fn held(&self) -> usize {
        self.rows.held()
    }
}

impl Compute for Numbered {
    fn name(&self) -> &str {
        self.op.name()
    }

    fn order(&self) -> Vec<(usize, SortOptions)> {
        vec![(self.schema.fields().len() - 1, SortOptions { descending: false, nulls_first: true })]
    }

    fn stream(&self) -> Option<Result<Box<dyn RowStream>, String>> {
        let rows = self.op.stream()?;
        Some(rows.map(|rows| Box::new(NumberedRows { op: self.clone(), rows, next: 0 }) as Box<dyn RowStream>))
    }

    fn run(&self, input: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, String> {
        let input = input.iter().map(|batch| self.own(batch)).collect::<Result<Vec<_>, _>>()?;
        numbered(self.op.run(input)?, &mut 0, &self.schema)
    }
}
