//! One NaN and one zero in SQL.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, Case, Exists, InList, InSubquery, ScalarFunction, Sort, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Aggregate, Between, BinaryExpr, ColumnarValue, Distinct, Expr, ExprSchemable as _, Filter, JoinConstraint, LogicalPlan,
    Operator, Projection, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use kqlake_value::real_key;

/// Aggregates whose answer depends on the order or the equality of their values.
const ORDERING: [&str; 8] =
    ["min", "max", "median", "mode", "approx_distinct", "approx_median", "percentile_cont", "approx_percentile_cont"];

/// Has reals compared, ordered, grouped and joined in one form.
///
/// NaN is greater than all numbers and equal to itself, and there is one zero, as in DuckDB and Postgres. DataFusion 55 compares reals by
/// their signs and bits: a NaN with a sign, which the processor makes, is less than all numbers and a group of its own, and a zero is not
/// found in a list, or by the filter that a join makes, that has the other one.
#[derive(Debug)]
pub(super) struct OneReal;

impl AnalyzerRule for OneReal {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| in_one_form(plan).map(Transformed::yes)).data()
    }

    fn name(&self) -> &str {
        "one_real"
    }
}

/// A node over inputs that were rewritten before.
fn in_one_form(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = with_correlated_columns(plan)?;
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    let plan = plan.map_expressions(|e| {
        let name = names.save(&e);
        let rewritten = e.transform_up(|e| within(e, &schema))?;
        Ok(rewritten.update_data(|e| name.restore(e)))
    })?;
    let plan = if plan.transformed { plan.data.recompute_schema()? } else { plan.data };
    Ok(match plan {
        LogicalPlan::Sort(mut sort) => {
            sort.expr = sort.expr.into_iter().map(|key| by(key, &schema)).collect();
            LogicalPlan::Sort(sort)
        }
        LogicalPlan::Join(mut join) => {
            let mut changed = false;
            for (left, right) in &mut join.on {
                for side in [left, right] {
                    changed |= is_real(side, &schema);
                    *side = one(std::mem::take(side), &schema);
                }
            }
            if changed {
                join.join_constraint = JoinConstraint::On;
            }
            LogicalPlan::Join(join)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            LogicalPlan::Distinct(Distinct::All(columns_in_one_form(input, &|_| true)?))
        }
        LogicalPlan::Distinct(Distinct::On(mut distinct)) => {
            let keys: HashSet<Column> = distinct.on_expr.iter().flat_map(Expr::column_refs).cloned().collect();
            distinct.input = columns_in_one_form(distinct.input, &|column| keys.contains(column))?;
            LogicalPlan::Distinct(Distinct::On(distinct))
        }
        LogicalPlan::Aggregate(aggregate) => {
            let keys: HashSet<Column> = aggregate.group_expr.iter().flat_map(Expr::column_refs).cloned().collect();
            let input = columns_in_one_form(aggregate.input, &|column| keys.contains(column))?;
            LogicalPlan::Aggregate(Aggregate::try_new(input, aggregate.group_expr, aggregate.aggr_expr)?)
        }
        plan => plan,
    })
}

/// A node over columns in one form where they are compared with those of the query around a subquery, on either side: these
/// comparisons must stay such of columns to become joins.
fn with_correlated_columns(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut columns = HashSet::new();
    plan.apply_expressions(|e| {
        e.apply(|e| {
            match e {
                Expr::BinaryExpr(BinaryExpr { op, .. }) if is_comparison(*op) && e.contains_outer() => {
                    columns.extend(e.column_refs().into_iter().cloned());
                }
                Expr::Exists(Exists { subquery, .. })
                | Expr::InSubquery(InSubquery { subquery, .. })
                | Expr::ScalarSubquery(subquery) => {
                    columns.extend(subquery.outer_ref_columns.iter().filter_map(|e| match e {
                        Expr::OuterReferenceColumn(_, column) => Some(column.clone()),
                        _ => None,
                    }));
                }
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    let wanted = |column: &Column| columns.contains(column);
    Ok(match plan {
        LogicalPlan::Filter(filter) => {
            LogicalPlan::Filter(Filter::try_new(filter.predicate, columns_in_one_form(filter.input, &wanted)?)?)
        }
        LogicalPlan::Projection(projection) => {
            LogicalPlan::Projection(Projection::try_new(projection.expr, columns_in_one_form(projection.input, &wanted)?)?)
        }
        plan => plan,
    })
}

/// A node's expression whose parts were rewritten before.
fn within(e: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let part = |e: Box<Expr>| Box::new(one(*e, schema));
    Ok(Transformed::yes(match e {
        // The others are of columns in one form: see [`with_correlated_columns`].
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if is_comparison(op) && !left.contains_outer() && !right.contains_outer() =>
        {
            Expr::BinaryExpr(BinaryExpr { left: part(left), op, right: part(right) })
        }
        Expr::InList(InList { expr, list, negated }) => {
            let list = list.into_iter().map(|e| one(e, schema)).collect();
            Expr::InList(InList { expr: part(expr), list, negated })
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            Expr::Between(Between { expr: part(expr), negated, low: part(low), high: part(high) })
        }
        Expr::Case(Case { expr: Some(expr), when_then_expr, else_expr }) => {
            let when_then_expr = when_then_expr.into_iter().map(|(when, then)| (part(when), then)).collect();
            Expr::Case(Case { expr: Some(part(expr)), when_then_expr, else_expr })
        }
        Expr::InSubquery(InSubquery { expr, mut subquery, negated }) if is_real(&expr, schema) => {
            subquery.subquery = columns_in_one_form(subquery.subquery, &|_| true)?;
            Expr::InSubquery(InSubquery { expr: part(expr), subquery, negated })
        }
        Expr::AggregateFunction(AggregateFunction { func, mut params }) => {
            if params.distinct || ORDERING.contains(&func.name()) {
                params.args = params.args.into_iter().map(|e| one(e, schema)).collect();
            }
            params.order_by = params.order_by.into_iter().map(|key| by(key, schema)).collect();
            Expr::AggregateFunction(AggregateFunction { func, params })
        }
        Expr::WindowFunction(window) => {
            let WindowFunction { fun, mut params } = *window;
            if params.distinct || ORDERING.contains(&fun.name()) {
                params.args = params.args.into_iter().map(|e| one(e, schema)).collect();
            }
            params.partition_by = params.partition_by.into_iter().map(|e| one(e, schema)).collect();
            params.order_by = params.order_by.into_iter().map(|key| by(key, schema)).collect();
            Expr::WindowFunction(Box::new(WindowFunction { fun, params }))
        }
        e => return Ok(Transformed::no(e)),
    }))
}

fn is_comparison(op: Operator) -> bool {
    use Operator as O;
    matches!(op, O::Eq | O::NotEq | O::Lt | O::LtEq | O::Gt | O::GtEq | O::IsDistinctFrom | O::IsNotDistinctFrom)
}

fn is_real(e: &Expr, schema: &DFSchema) -> bool {
    e.get_type(schema).is_ok_and(|ty| ty.is_floating())
}

fn by(key: Sort, schema: &DFSchema) -> Sort {
    Sort { expr: one(key.expr, schema), ..key }
}

/// An expression in the form that all equal reals have; what is no real stays.
fn one(e: Expr, schema: &DFSchema) -> Expr {
    match &e {
        Expr::Literal(ScalarValue::Float64(Some(v)), _) if !v.is_nan() && *v != 0.0 => e,
        // What was a whole number is no NaN.
        Expr::Cast(cast) if cast.expr.get_type(schema).is_ok_and(|ty| ty.is_integer()) => e,
        Expr::ScalarFunction(ScalarFunction { func, .. }) if func.inner().is::<OneRealFunction>() => e,
        _ if is_real(&e, schema) => ScalarUDF::from(OneRealFunction::new()).call(vec![e]),
        _ => e,
    }
}

/// A plan with those of its columns of reals that are wanted in one form, under their names.
fn columns_in_one_form(input: Arc<LogicalPlan>, wanted: &dyn Fn(&Column) -> bool) -> Result<Arc<LogicalPlan>> {
    let schema = Arc::clone(input.schema());
    let mut changed = false;
    let columns = schema.iter().map(|(relation, field)| {
        let column = Column::new(relation.cloned(), field.name());
        if !field.data_type().is_floating() || !wanted(&column) {
            return Expr::Column(column);
        }
        changed = true;
        one(Expr::Column(column), &schema).alias_qualified(relation.cloned(), field.name())
    });
    let columns: Vec<Expr> = columns.collect();
    Ok(if changed { Arc::new(LogicalPlan::Projection(Projection::try_new(columns, input)?)) } else { input })
}

/// Its argument, every NaN and every zero in one form: see [`real_key`].
#[derive(Debug, PartialEq, Eq, Hash)]
struct OneRealFunction {
    signature: Signature,
}

impl OneRealFunction {
    fn new() -> Self {
        OneRealFunction { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for OneRealFunction {
    fn name(&self) -> &str {
        "one_real"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        args.first().cloned().ok_or_else(of_nothing)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        args.arg_fields.first().cloned().ok_or_else(of_nothing)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(match args.args.into_iter().next().ok_or_else(of_nothing)? {
            ColumnarValue::Array(reals) => ColumnarValue::Array(keys(&reals)?),
            ColumnarValue::Scalar(real) => ColumnarValue::Scalar(ScalarValue::try_from_array(&keys(&real.to_array()?)?, 0)?),
        })
    }
}

fn of_nothing() -> DataFusionError {
    DataFusionError::Internal("one_real of nothing".to_owned())
}

fn keys(reals: &ArrayRef) -> Result<ArrayRef> {
    Ok(match reals.data_type() {
        DataType::Float64 => Arc::new(reals.as_primitive::<Float64Type>().unary::<_, Float64Type>(real_key)),
        // A zero is added to make a negative one positive.
        DataType::Float32 => {
            Arc::new(reals.as_primitive::<Float32Type>().unary::<_, Float32Type>(|v| if v.is_nan() { f32::NAN } else { v + 0.0 }))
        }
        DataType::Float16 => cast(&keys(&cast(reals, &DataType::Float32)?)?, &DataType::Float16)?,
        _ => Arc::clone(reals),
    })
}
