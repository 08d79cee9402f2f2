//! Unions of many tables that have few columns in common.
//!
//! In a union of DataFusion each branch has every column, most of them as a constant, and each of its rules goes over all of them:
//! dozens of tables with hundreds of columns take seconds to plan. Here a branch has its own columns only, and what it lacks is put
//! beside its rows when they are read. Filters, limits and the columns that are asked for go down into the branches, each of which
//! is planned by itself: a filter sees the constants in place of the columns that are not there.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Column, DataFusionError, Result as DfResult, ScalarValue, Statistics};
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::expr::Alias;
use datafusion::logical_expr::utils::{conjunction, disjunction, split_binary_owned};
use datafusion::logical_expr::{
    Expr, ExprSchemable as _, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Projection, TableProviderFilterPushDown,
    TableType, lit,
};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::execution_plan::{Boundedness, CardinalityEffect, EmissionType};
use datafusion::physical_plan::filter_pushdown::{FilterDescription, FilterPushdownPhase};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildStats, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties as _, Partitioning, PlanProperties,
    StatisticsArgs,
};
use futures::TryStreamExt as _;

use super::Lower;
use super::sources::{inner_name, scan_of};

/// So many columns that are not there make a union worth it. Of fewer DataFusion's own knows more: it merges rows that are in order.
const LEAST_MISSING: usize = 1000;

/// A column of no table, so that rows without columns still count.
const NOTHING: &str = "__none";

/// A branch before it is one: a plan and the union's columns over it.
pub(super) type Input = (LogicalPlan, Vec<Expr>);

/// Whether the inputs lack so many columns that their union is better made here.
pub(super) fn is_worth_it(inputs: &[Input]) -> bool {
    let missing = |(_, columns): &Input| columns.iter().filter(|e| constant(e).is_some()).count();
    inputs.iter().map(missing).sum::<usize>() >= LEAST_MISSING
}

/// The constant that stands for a column.
fn constant(column: &Expr) -> Option<&ScalarValue> {
    match column {
        Expr::Alias(alias) => constant(&alias.expr),
        Expr::Literal(value, _) => Some(value),
        _ => None,
    }
}

/// The union of inputs, whose columns have these names and types.
pub(super) fn plan_of(inputs: Vec<Input>, columns: &[(String, DataType)]) -> Lower<LogicalPlan> {
    let fields: Vec<Field> = columns.iter().map(|(name, ty)| Field::new(inner_name(name), ty.clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let branches = inputs.into_iter().map(|input| Branch::new(input, &schema)).collect::<DfResult<_>>()?;
    Ok(scan_of(Arc::new(FilledUnion { schema, branches }))?.build()?)
}

/// A union as a table, since its columns, filters and limit then come to it.
#[derive(Debug)]
struct FilledUnion {
    schema: SchemaRef,
    branches: Vec<Branch>,
}

/// One input: a plan with the columns that it has under the union's names, and the constants of all others.
#[derive(Debug)]
struct Branch {
    plan: LogicalPlan,
    constants: HashMap<String, ScalarValue>,
}

impl Branch {
    fn new((plan, columns): Input, schema: &Schema) -> DfResult<Branch> {
        let mut constants = HashMap::new();
        let mut own = Vec::new();
        for (column, field) in columns.into_iter().zip(schema.fields()) {
            if let Some(value) = constant(&column) {
                constants.insert(field.name().clone(), value.cast_to(field.data_type())?);
                continue;
            }
            let e = match column {
                Expr::Alias(Alias { expr, .. }) => *expr,
                e => e,
            };
            // Tables may hold other forms of a text.
            own.push(e.cast_to(field.data_type(), plan.schema())?.alias(field.name()));
        }
        own.push(lit(0i64).alias(NOTHING));
        Ok(Branch { plan: LogicalPlan::Projection(Projection::try_new(own, Arc::new(plan))?), constants })
    }

    /// The rows that pass the filters, with those of the columns that are there.
    fn asked(&self, columns: &Schema, filters: &[Expr], limit: Option<usize>) -> DfResult<LogicalPlan> {
        let here = |e: &Expr| -> DfResult<Expr> {
            let seen = e.clone().transform(|e| {
                let Expr::Column(column) = e else { return Ok(Transformed::no(e)) };
                Ok(Transformed::yes(match self.constants.get(&column.name) {
                    Some(value) => Expr::Literal(value.clone(), None),
                    None => Expr::Column(Column::new_unqualified(column.name)),
                }))
            });
            // What is asked of any column is now asked of the same constant again and again.
            let mut asked = HashSet::new();
            let once = split_binary_owned(seen?.data, Operator::Or).into_iter().filter(|e| asked.insert(e.clone()));
            Ok(disjunction(once).unwrap_or_else(|| lit(false)))
        };
        let mut plan = self.plan.clone();
        if let Some(predicate) = conjunction(filters.iter().map(here).collect::<DfResult<Vec<_>>>()?) {
            plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?);
        }
        if limit.is_some() {
            plan = LogicalPlanBuilder::from(plan).limit(0, limit)?.build()?;
        }
        let own = columns.fields().iter().filter(|field| !self.constants.contains_key(field.name()));
        let mut own: Vec<Expr> = own.map(|field| Expr::Column(Column::new_unqualified(field.name()))).collect();
        if own.is_empty() {
            own.push(Expr::Column(Column::new_unqualified(NOTHING)));
        }
        Ok(LogicalPlan::Projection(Projection::try_new(own, Arc::new(plan))?))
    }

    /// Where the columns of the branch's rows come from.
    fn cells(&self, columns: &Schema, rows: &Schema) -> DfResult<Cells> {
        let mut cells = Cells { constants: Vec::new(), of: Vec::with_capacity(columns.fields().len()) };
        let mut places: HashMap<&ScalarValue, usize> = HashMap::new();
        for field in columns.fields() {
            cells.of.push(match self.constants.get(field.name()) {
                Some(value) => Cell::Constant(*places.entry(value).or_insert_with(|| {
                    cells.constants.push(value.clone());
                    cells.constants.len() - 1
                })),
                None => Cell::Column(rows.index_of(field.name())?),
            });
        }
        Ok(cells)
    }
}

#[async_trait]
impl TableProvider for FilledUnion {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DfResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Exact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(projection) => Arc::new(self.schema.project(projection)?),
            None => Arc::clone(&self.schema),
        };
        let unruled = without_physical_rules(state);
        let mut inputs: Vec<(Arc<dyn ExecutionPlan>, Arc<Cells>)> = Vec::with_capacity(self.branches.len());
        for branch in &self.branches {
            let asked = branch.asked(&schema, filters, limit)?;
            let plan = match &unruled {
                Some(state) => state.create_physical_plan(&asked).await?,
                None => state.create_physical_plan(&asked).await?,
            };
            // No row passes a filter over columns that the branch has not.
            if !plan.is::<EmptyExec>() {
                let cells = branch.cells(&schema, &plan.schema())?;
                inputs.push((plan, Arc::new(cells)));
            }
        }
        if inputs.is_empty() {
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        Ok(Arc::new(FilledUnionExec::new(schema, inputs)))
    }
}

/// The state for the planning of branches: the rules for physical plans run over all of them when the union's plan is made.
fn without_physical_rules(state: &dyn Session) -> Option<SessionState> {
    let state = state.as_any().downcast_ref::<SessionState>()?.clone();
    Some(SessionStateBuilder::new_from_existing(state).with_physical_optimizer_rules(Vec::new()).build())
}

/// What a column of a branch is.
#[derive(Debug)]
enum Cell {
    /// A column of its rows.
    Column(usize),
    /// One of its constants.
    Constant(usize),
}

/// The columns of a branch.
#[derive(Debug)]
struct Cells {
    /// Each once.
    constants: Vec<ScalarValue>,
    of: Vec<Cell>,
}

impl Cells {
    /// A batch with what is not there. Columns of one constant share their values.
    fn fill(&self, batch: &RecordBatch, schema: &SchemaRef) -> DfResult<RecordBatch> {
        let rows = batch.num_rows();
        let constants = self.constants.iter().map(|value| value.to_array_of_size(rows)).collect::<DfResult<Vec<_>>>()?;
        let column = |cell: &Cell| match cell {
            Cell::Column(at) => Arc::clone(batch.column(*at)),
            Cell::Constant(at) => Arc::clone(&constants[*at]),
        };
        let columns = self.of.iter().map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
    }
}

/// The rows of all branches, partition by partition. It holds none of them.
#[derive(Debug)]
struct FilledUnionExec {
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    cells: Vec<Arc<Cells>>,
    properties: Arc<PlanProperties>,
}

impl FilledUnionExec {
    fn new(schema: SchemaRef, inputs: Vec<(Arc<dyn ExecutionPlan>, Arc<Cells>)>) -> FilledUnionExec {
        let (inputs, cells): (Vec<_>, Vec<_>) = inputs.into_iter().unzip();
        let partitions = inputs.iter().map(|input| input.output_partitioning().partition_count()).sum();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        FilledUnionExec { inputs, cells, properties: Arc::new(properties) }
    }
}

impl DisplayAs for FilledUnionExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FilledUnionExec: columns={}", self.schema().fields().len())
    }
}

impl ExecutionPlan for FilledUnionExec {
    fn name(&self) -> &str {
        "FilledUnionExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.inputs.len()]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        let inputs = children.into_iter().zip(self.cells.iter().cloned()).collect();
        Ok(Arc::new(FilledUnionExec::new(self.schema(), inputs)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let mut within = partition;
        for (input, cells) in self.inputs.iter().zip(&self.cells) {
            let partitions = input.output_partitioning().partition_count();
            if within >= partitions {
                within -= partitions;
                continue;
            }
            let (schema, cells) = (self.schema(), Arc::clone(cells));
            let rows = input.execute(within, context)?.and_then(move |batch| {
                let filled = cells.fill(&batch, &schema);
                async move { filled }
            });
            return Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)));
        }
        Err(DataFusionError::Internal(format!("a union has no partition {partition}")))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        let request = if partition.is_none() { ChildStats::At(None) } else { ChildStats::Skip };
        vec![request; self.inputs.len()]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> DfResult<Arc<Statistics>> {
        let mut all = Statistics::new_unknown(&self.schema());
        if args.partition().is_none() {
            let rows = inputs.iter().map(|input| input.num_rows);
            all.num_rows = rows.reduce(|all, rows| all.add(&rows)).unwrap_or(Precision::Absent);
        }
        Ok(Arc::new(all))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::GreaterEqual
    }

    /// Those over columns that a branch has; the others stay above.
    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> DfResult<FilterDescription> {
        FilterDescription::from_children(filters, &self.children())
    }
}
