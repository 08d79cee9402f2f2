//! What SQL makes of timespans and what is one again: aggregates, window functions and choices say so in their columns' fields,
//! since ticks are a long to DataFusion.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Projection, cast};

use kqlake_value::Type;
use kqlake_value::columns::{TYPE_KEY, noted_type};

/// Aggregates and window functions that give a value of their argument's kind.
const OF_ARGUMENT: [&str; 13] = [
    "sum",
    "avg",
    "min",
    "max",
    "median",
    "approx_median",
    "approx_percentile_cont",
    "percentile_cont",
    "first_value",
    "last_value",
    "nth_value",
    "lag",
    "lead",
];
/// Functions that give one of their arguments.
const CHOICES: [&str; 6] = ["coalesce", "nullif", "nvl", "ifnull", "greatest", "least"];

/// The plan with what is a timespan noted as one.
///
/// # Errors
/// Those of DataFusion's schemas.
pub(super) fn noted(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut changed = false;
    let done = plan.transform_up_with_subqueries(|node| {
        // What is noted below shows above.
        let node = if changed { node.recompute_schema()? } else { node };
        let schema = merge_schema(&node.inputs());
        let new = match &node {
            LogicalPlan::Aggregate(aggregate) => beside(&node, &aggregate.aggr_expr, &schema)?,
            LogicalPlan::Window(window) => beside(&node, &window.window_expr, &schema)?,
            LogicalPlan::Projection(projection) => {
                let note = |e: &Expr| -> Result<Expr> {
                    Ok(if is_unnoted(e, &schema)? { note(e.clone(), e.qualified_name()) } else { e.clone() })
                };
                let exprs = projection.expr.iter().map(note).collect::<Result<Vec<_>>>()?;
                let same = exprs == projection.expr;
                if same { None } else { Some(projected(exprs, Arc::clone(&projection.input))?) }
            }
            _ => None,
        };
        Ok(match new {
            Some(new) => {
                changed = true;
                Transformed::yes(new)
            }
            None => Transformed::no(node),
        })
    })?;
    Ok(done.data)
}

/// The node below a projection that notes those of its last columns, `exprs`, that are timespans.
fn beside(node: &LogicalPlan, exprs: &[Expr], schema: &DFSchema) -> Result<Option<LogicalPlan>> {
    let spans = exprs.iter().map(|e| is_unnoted(e, schema)).collect::<Result<Vec<bool>>>()?;
    if !spans.contains(&true) {
        return Ok(None);
    }
    let first = node.schema().fields().len() - exprs.len();
    let column = |(place, (relation, field)): (usize, (Option<&_>, &Arc<arrow::datatypes::Field>))| {
        let column = Expr::Column(Column::new(relation.cloned(), field.name()));
        if place < first || !spans[place - first] {
            return column;
        }
        let ticks = if *field.data_type() == DataType::Int64 { column } else { cast(column, DataType::Int64) };
        note(ticks, (relation.cloned(), field.name().clone()))
    };
    let exprs = node.schema().iter().enumerate().map(column).collect();
    projected(exprs, Arc::new(node.clone())).map(Some)
}

fn projected(exprs: Vec<Expr>, input: Arc<LogicalPlan>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, input)?))
}

fn note(e: Expr, (relation, name): (Option<datafusion::common::TableReference>, String)) -> Expr {
    let metadata = FieldMetadata::from(BTreeMap::from([(TYPE_KEY.to_owned(), Type::TimeSpan.name().to_owned())]));
    e.alias_qualified_with_metadata(relation, name, Some(metadata))
}

/// True for a timespan whose field does not say so.
fn is_unnoted(e: &Expr, schema: &DFSchema) -> Result<bool> {
    Ok(is_span(e, schema)? && noted_type(&e.to_field(schema)?.1) != Some(Type::TimeSpan))
}

fn is_span(e: &Expr, schema: &DFSchema) -> Result<bool> {
    let all = |values: Vec<&Expr>| -> Result<bool> {
        let mut any = false;
        for value in values {
            match value {
                Expr::Literal(value, _) if value.is_null() => {}
                value if is_span(value, schema)? => any = true,
                _ => return Ok(false),
            }
        }
        Ok(any)
    };
    let first = |e: Option<&Expr>| e.map_or(Ok(false), |e| is_span(e, schema));
    match e {
        Expr::Alias(alias) => is_span(&alias.expr, schema),
        Expr::Negative(e) => is_span(e, schema),
        Expr::AggregateFunction(call) if OF_ARGUMENT.contains(&call.func.name()) => {
            Ok(first(call.params.args.first())? || first(call.params.order_by.first().map(|key| &key.expr))?)
        }
        Expr::WindowFunction(call) if OF_ARGUMENT.contains(&call.fun.name()) => first(call.params.args.first()),
        Expr::ScalarFunction(call) if CHOICES.contains(&call.func.name()) => all(call.args.iter().collect()),
        Expr::Case(case) => {
            let values = case.when_then_expr.iter().map(|(_, value)| &**value);
            all(values.chain(case.else_expr.as_deref()).collect())
        }
        Expr::Column(_) | Expr::ScalarFunction(_) | Expr::ScalarSubquery(_) => {
            Ok(noted_type(&e.to_field(schema)?.1) == Some(Type::TimeSpan))
        }
        _ => Ok(false),
    }
}
