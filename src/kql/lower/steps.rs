//! Steps of a plan, built as they are.
//!
//! DataFusion's `LogicalPlanBuilder` looks every column's name up in all of the plan below, for SQL's sake, which makes a chain of
//! steps cost the square of its length. Lowered expressions name their columns exactly and without a qualifier: nothing is left to
//! look up. Only scans, whose columns are qualified, go through the builder.

use std::sync::Arc;

use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Aggregate, Expr, ExprFunctionExt, Filter, LogicalPlan, Projection, Sort, SortExpr, Window, lit};

use super::{Lower, named};

/// The plan with these columns and no others.
pub(super) fn project(plan: LogicalPlan, exprs: Vec<Expr>) -> Lower<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}

/// The plan's rows for which a condition is true.
pub(super) fn filter(plan: LogicalPlan, predicate: Expr) -> Lower<LogicalPlan> {
    Ok(LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?))
}

/// A row for each group.
pub(super) fn aggregate(plan: LogicalPlan, groups: Vec<Expr>, calls: Vec<Expr>) -> Lower<LogicalPlan> {
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(plan), groups, calls)?))
}

/// The plan's rows in order, or the first ones of that order.
pub(super) fn sort(plan: LogicalPlan, expr: Vec<SortExpr>, fetch: Option<usize>) -> LogicalPlan {
    LogicalPlan::Sort(Sort { expr, input: Arc::new(plan), fetch })
}

/// The plan with a number from 1 for each row, in an order, from 1 again for each combination of keys, and that column's name.
pub(super) fn numbered(plan: LogicalPlan, keys: Vec<Expr>, order: Vec<SortExpr>) -> Lower<(LogicalPlan, String)> {
    let number = Expr::from(WindowFunction::new(datafusion::functions_window::row_number::row_number_udwf(), vec![]));
    let number = match (keys.is_empty(), order.is_empty()) {
        (true, true) => number,
        (false, true) => number.partition_by(keys).build()?,
        (true, false) => number.order_by(order).build()?,
        (false, false) => number.partition_by(keys).order_by(order).build()?,
    };
    let name = number.schema_name().to_string();
    Ok((LogicalPlan::Window(Window::try_new(vec![number], Arc::new(plan))?), name))
}

/// The first rows of each combination of keys.
pub(super) fn first_of_each(plan: LogicalPlan, keys: Vec<Expr>, order: Vec<SortExpr>, count: u64) -> Lower<LogicalPlan> {
    let columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    let (plan, number) = numbered(plan, keys, order)?;
    project(filter(plan, named(&number).lt_eq(lit(count)))?, columns)
}
