//! Long chains of projections, each of which uses what the one below computes, as one operator.
//!
//! DataFusion's rules put such projections into one another where a column is used once, and write the names of what is in them
//! out at every turn, so that planning takes the cube of their number, and the square where they are left as they are. Here their
//! expressions are computed one after the other over each batch, which plans in the time that the expressions take. So are those
//! of short chains whose expressions, written out in one another, would grow without bound.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::optimizer::simplify_expressions::{ExprSimplifier, SimplifyContext};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use super::compute::{ComputeFn, Passing, Pieces, plan_of};
use super::expr::{chains, text};
use super::union::{columns_of, narrowed};
use super::{Lower, Lowering, Node, column_name, named, steps, ticks};
use crate::bound::{BoundExpr, BoundKind, ColId, Rel, RelKind};

/// Projections of a chain that is one operator. Shorter ones are left to DataFusion, whose rules reach through them.
const LONG: usize = 32;

/// Places of columns that an expression may have once those that it uses are written out in it, beyond those that the chain's
/// texts have. DataFusion's rules write them out where a filter goes below projections: `x*x` twelve times over is 4,096 of them.
const WRITTEN_OUT: u64 = 256;

/// The expressions of a projection and of those right below it, from the last one to the first.
fn levels<'r>(mut below: &'r Rel, top: &'r [(ColId, BoundExpr)]) -> Vec<&'r [(ColId, BoundExpr)]> {
    let mut levels = vec![top];
    while let RelKind::Project { input, exprs } = &below.kind {
        levels.push(exprs);
        below = input;
    }
    levels
}

/// True where some expression would be far longer, written out, than all that the chain's text says.
fn grows(levels: &[&[(ColId, BoundExpr)]]) -> bool {
    let (mut sizes, mut written) = (HashMap::<ColId, u64>::new(), 0_u64);
    for level in levels.iter().rev() {
        let mut of_level = Vec::with_capacity(level.len());
        for (id, e) in *level {
            let (mut places, mut size) = (0, 0_u64);
            each_place(e, &mut |column| {
                places += 1;
                size = size.saturating_add(sizes.get(&column).copied().unwrap_or(1));
            });
            written += places;
            of_level.push((*id, size));
        }
        sizes.extend(of_level);
    }
    sizes.values().max().is_some_and(|most| *most > written.saturating_add(WRITTEN_OUT))
}

/// Calls a function for each place of a column in an expression.
fn each_place(e: &BoundExpr, found: &mut dyn FnMut(ColId)) {
    match &e.kind {
        BoundKind::Column(id) => found(*id),
        BoundKind::Promoted { column, base, .. } => {
            found(*column);
            each_place(base, found);
        }
        _ => e.for_each_part(&mut |part| each_place(part, found)),
    }
}

impl Lowering<'_> {
    /// A projection over others, all of them as one operator where they are a long chain.
    pub(super) fn long_chain(&self, input: &Rel, top: &[(ColId, BoundExpr)]) -> Lower<Option<Node>> {
        let written = levels(input, top);
        let grows = written.len() > 1 && grows(&written);
        if !grows && written.len() < LONG {
            return Ok(None);
        }
        let (mut levels, mut below) = (Vec::new(), input);
        while let RelKind::Project { input, exprs } = &below.kind {
            let (input, exprs) = chains::merge_projections(input, exprs);
            levels.push(exprs);
            below = input;
        }
        let Some(last) = levels.last().filter(|_| grows || levels.len() + 1 >= LONG) else { return Ok(None) };

        // From the last projection to the first: what is asked for of each.
        let mut asked: HashSet<ColId> = top.iter().map(|(id, _)| *id).collect();
        let mut computed: Vec<(ColId, &BoundExpr)> = Vec::new();
        for level in std::iter::once(top).chain(levels.iter().map(AsRef::as_ref)) {
            let mut of_below = HashSet::new();
            for (id, e) in level.iter().filter(|(id, _)| asked.contains(id)) {
                match e.kind {
                    BoundKind::Column(from) if from == *id => {
                        of_below.insert(from);
                    }
                    _ => {
                        computed.push((*id, e));
                        of_below.extend(columns_of([e]));
                    }
                }
            }
            asked = of_below;
        }
        computed.reverse();
        let mut once = asked.clone();
        if asked.is_empty() || !computed.iter().all(|(id, _)| once.insert(*id)) {
            return Ok(None);
        }

        let narrow = narrowed(below, last.iter().map(|(_, e)| e));
        let node = self.rel(narrow.as_ref().unwrap_or(below))?;
        let mut passed: Vec<String> = top.iter().filter(|(id, _)| asked.contains(id)).map(|(id, _)| column_name(*id)).collect();
        for key in &node.order {
            if !passed.contains(&key.column) {
                passed.push(key.column.clone());
            }
        }
        let mut needed: Vec<ColId> = asked.into_iter().filter(|id| !passed.contains(&column_name(*id))).collect();
        needed.sort_unstable();
        let names: Vec<String> = passed.iter().cloned().chain(needed.into_iter().map(column_name)).collect();
        let plan = steps::project(node.plan, names.iter().map(|name| named(name)).collect())?;

        let mut known: HashMap<String, FieldRef> =
            plan.schema().fields().iter().map(|field| (field.name().clone(), Arc::clone(field))).collect();
        let config = Arc::new(ConfigOptions::default());
        let mut chain = Vec::with_capacity(computed.len());
        for (id, e) in computed {
            // What is wrong with an expression is said by the plan of projections.
            let Ok(step) = Step::new(id, e, &known, &config) else { return Ok(None) };
            known.insert(step.gives.name().clone(), Arc::clone(&step.gives));
            chain.push(step);
        }
        let outputs: Vec<FieldRef> = top
            .iter()
            .map(|(id, _)| column_name(*id))
            .filter(|name| !passed.contains(name))
            .filter_map(|name| known.get(&name).cloned())
            .collect();
        let given = passed.iter().filter_map(|name| known.get(name).cloned());
        let fields: Vec<FieldRef> = given.chain(outputs.iter().cloned()).collect();
        let used: HashSet<&String> = chain.iter().flat_map(|step| step.takes.fields().iter().map(|field| field.name())).collect();
        let used = (0..passed.len()).filter(|at| used.contains(&passed[*at])).collect();
        let kept = passed.iter().cloned().chain(outputs.iter().map(|field| field.name().clone())).collect();
        let work = Chain { columns: passed.len(), names, outputs, steps: forgetting(chain, kept).into() };
        let over = {
            let work = work.clone();
            move |kept: &[usize]| work.over(kept).compute()
        };
        let passing = Passing { columns: passed.len(), needed: used, over: Box::new(over) };
        let plan = plan_of("extend", Some(plan), Arc::new(Schema::new(fields)), work.compute(), Some(passing))?;
        Ok(Some(Node { plan, order: node.order }))
    }
}

/// One column that is computed.
struct Step {
    /// The columns that it is computed from.
    takes: SchemaRef,
    expr: Arc<dyn PhysicalExpr>,
    gives: FieldRef,
    /// Columns that no later step takes.
    over: Vec<String>,
}

impl Step {
    fn new(id: ColId, e: &BoundExpr, known: &HashMap<String, FieldRef>, config: &Arc<ConfigOptions>) -> Lower<Step> {
        let mut takes: Vec<ColId> = columns_of([e]).into_iter().collect();
        takes.sort_unstable();
        let takes: Vec<FieldRef> = takes.into_iter().filter_map(|id| known.get(&column_name(id)).cloned()).collect();
        let takes = Arc::new(Schema::new(takes));
        let schema = Arc::new(DFSchema::try_from(Arc::clone(&takes))?);
        // What DataFusion's analyzer and simplifier do to the expressions of a plan.
        let context = SimplifyContext::builder().with_schema(Arc::clone(&schema)).with_config_options(Arc::clone(config)).build();
        let simplifier = ExprSimplifier::new(context);
        let expr = simplifier.coerce(ticks::resolve_over(text(e)?, &schema)?, &schema)?;
        let expr = create_physical_expr(&simplifier.simplify(expr)?, &schema, &ExecutionProps::new(), &Default::default())?;
        let ty: DataType = expr.data_type(&takes)?;
        Ok(Step { gives: Arc::new(Field::new(column_name(id), ty, true)), takes, expr, over: Vec::new() })
    }
}

/// The steps, with the columns that each is the last to take, but those that are kept.
fn forgetting(mut steps: Vec<Step>, kept: HashSet<String>) -> Vec<Step> {
    let mut seen = kept;
    for step in steps.iter_mut().rev() {
        let names = step.takes.fields().iter().map(|field| field.name().clone());
        step.over = names.filter(|name| seen.insert(name.clone())).collect();
    }
    steps
}

/// The operator.
#[derive(Clone)]
struct Chain {
    /// How many of a batch's columns, the first ones, are passed on.
    columns: usize,
    /// The names of a batch's columns.
    names: Vec<String>,
    /// The computed columns of the result, in order.
    outputs: Vec<FieldRef>,
    steps: Arc<[Step]>,
}

impl Chain {
    /// The same over some of the columns that are passed on.
    fn over(&self, kept: &[usize]) -> Chain {
        let names = kept.iter().copied().chain(self.columns..self.names.len()).map(|at| self.names[at].clone()).collect();
        Chain { columns: kept.len(), names, ..self.clone() }
    }

    fn compute(self) -> ComputeFn {
        ComputeFn::ExpandRows(Arc::new(move |batch: RecordBatch| -> Pieces { Box::new(std::iter::once(self.batch(&batch))) }))
    }

    fn batch(&self, batch: &RecordBatch) -> Result<RecordBatch, String> {
        let failed = |e: datafusion::error::DataFusionError| e.strip_backtrace();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let made = |schema: &SchemaRef, columns| {
            RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(|e| e.to_string())
        };
        let mut values: HashMap<&str, ArrayRef> =
            self.names.iter().map(String::as_str).zip(batch.columns().iter().cloned()).collect();
        let of = |values: &HashMap<&str, ArrayRef>, name: &str| {
            values.get(name).cloned().ok_or_else(|| format!("the column {name} is missing"))
        };
        for step in self.steps.iter() {
            let takes = step.takes.fields().iter().map(|field| of(&values, field.name())).collect::<Result<_, _>>()?;
            let rows = made(&step.takes, takes)?;
            let value = step.expr.evaluate(&rows).and_then(|value| value.into_array(batch.num_rows())).map_err(failed)?;
            for name in &step.over {
                values.remove(name.as_str());
            }
            values.insert(step.gives.name(), value);
        }
        let schema = batch.schema();
        let fields: Vec<FieldRef> = schema.fields()[..self.columns].iter().chain(&self.outputs).cloned().collect();
        let outputs = self.outputs.iter().map(|field| of(&values, field.name()));
        let columns = batch.columns()[..self.columns].iter().cloned().map(Ok).chain(outputs).collect::<Result<_, _>>()?;
        made(&Arc::new(Schema::new(fields)), columns)
    }
}
