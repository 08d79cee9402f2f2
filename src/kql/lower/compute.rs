//! Operators that DataFusion has no node for, as tables over an inner plan.
//!
//! The inner plan is planned when the outer one is, inside [`TableProvider::scan`]; so no planner extension is needed and the
//! optimizer prunes the columns on both sides.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, TableType};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, LexOrdering, OrderingRequirements};
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
use crate::bound::{ColId, Compute, Rel};
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
    settings.enable_aggregate_dynamic_filter_pushdown = false;
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
        let emission = match compute {
            ComputeFn::ExpandRows(_) => EmissionType::Incremental,
            ComputeFn::AllRows(_) => EmissionType::Final,
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
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
                let stream = async move {
                    let batches: Vec<RecordBatch> = match input {
                        Some(input) => input.try_collect().await?,
                        None => Vec::new(),
                    };
                    let out = op.run(batches).map_err(failed)?;
                    Ok::<_, DataFusionError>(futures::stream::iter(out.into_iter().map(Ok)))
                };
                let stream = futures::stream::once(stream).try_flatten();
                // Operators give their columns by place: names are those of the plan.
                let named_schema = schema.clone();
                let stream = stream.map(move |batch: DfResult<RecordBatch>| {
                    let batch = batch?;
                    Ok(RecordBatch::try_new(named_schema.clone(), batch.columns().to_vec())?)
                });
                Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
            }
        }
    }
}

/// A plan over an operator's output, its columns unqualified.
pub(crate) fn plan_of(name: &str, input: Option<LogicalPlan>, schema: SchemaRef, compute: ComputeFn) -> Lower<LogicalPlan> {
    let fields: Vec<arrow::datatypes::Field> =
        schema.fields().iter().map(|f| f.as_ref().clone().with_name(inner_name(f.name()))).collect();
    let table = ComputeTable { name: name.to_owned(), input, schema: Arc::new(arrow::datatypes::Schema::new(fields)), compute };
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
            .chain(rel.hidden.iter().map(|h| (h.id, h.ty)))
            .map(|(id, ty)| arrow::datatypes::Field::new(column_name(id), arrow_type(ty), true))
            .collect();
        // The rows of the result are numbered, so that their order outlives whatever DataFusion does next.
        let row = self.unique_name("__row");
        let mut with_row = fields.clone();
        with_row.push(arrow::datatypes::Field::new(&row, arrow::datatypes::DataType::Int64, false));
        let schema = Arc::new(arrow::datatypes::Schema::new(with_row));
        let numbered = Arc::new(Numbered { op: op.clone(), width: inputs.len(), schema });
        let plan = plan_of(op.name(), inner, numbered.schema.clone(), ComputeFn::AllRows(numbered.clone()))?;
        Ok(Node { plan, order: vec![OrderKey::row_numbers(row)] })
    }
}

/// Numbers the rows that another operator gives.
#[derive(Debug)]
struct Numbered {
    op: Arc<dyn Compute>,
    /// The columns that the operator takes; keys of the order follow them.
    width: usize,
    schema: SchemaRef,
}

impl Compute for Numbered {
    fn name(&self) -> &str {
        self.op.name()
    }

    fn run(&self, input: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, String> {
        let mut next = 0i64;
        let mut out = Vec::new();
        let own: Vec<usize> = (0..self.width).collect();
        let input = input.iter().map(|batch| batch.project(&own)).collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
        for batch in self.op.run(input)? {
            let rows = batch.num_rows() as i64;
            let mut columns = batch.columns().to_vec();
            columns.push(Arc::new(arrow::array::Int64Array::from_iter_values(next..next + rows)));
            next += rows;
            out.push(RecordBatch::try_new(self.schema.clone(), columns).map_err(|e| e.to_string())?);
        }
        Ok(out)
    }
}
