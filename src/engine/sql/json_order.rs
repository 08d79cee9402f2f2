//! JSON beside JSON or texts. The plan has the texts of both, by which 10 comes before 9, 1 is not 1.0, and `"a"` is not `a`: what
//! compares or orders by them is refused.

use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::{InList, InSubquery, Like, Sort, WindowFunctionDefinition};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable as _, LogicalPlan, Operator};

use super::spans;
use kqlake_value::Type;
use kqlake_value::columns::noted_type;
use kqlake_value::texts::is_text;

/// Refuses a plan, before it is lowered, in which JSON is put into an order or compared with JSON or texts.
///
/// # Errors
/// Such an expression, with what to write instead.
pub(super) fn check(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        if matches!(node, LogicalPlan::TableScan(_)) {
            return Ok(TreeNodeRecursion::Continue);
        }
        let schema = merge_schema(&node.inputs());
        if let LogicalPlan::Sort(sort) = node {
            refuse_sorts(&sort.expr, &schema)?;
        }
        if let LogicalPlan::Join(join) = node {
            join.on.iter().try_for_each(|(left, right)| refuse_equal(left, right, &schema))?;
        }
        node.apply_expressions(|e| {
            e.apply(|e| {
                check_one(e, &schema)?;
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

fn check_one(e: &Expr, schema: &DFSchema) -> Result<()> {
    match e {
        Expr::AggregateFunction(call) => {
            refuse_sorts(&call.params.order_by, schema)?;
            refuse_extremes(call.func.name(), &call.params.args, schema)
        }
        Expr::WindowFunction(call) => {
            refuse_sorts(&call.params.order_by, schema)?;
            match &call.fun {
                WindowFunctionDefinition::AggregateUDF(function) => refuse_extremes(function.name(), &call.params.args, schema),
                WindowFunctionDefinition::WindowUDF(_) => Ok(()),
            }
        }
        Expr::ScalarFunction(call) if matches!(call.name(), "greatest" | "least") => {
            call.args.iter().try_for_each(|e| refuse_order(e, schema))
        }
        Expr::ScalarFunction(call) if spans::compares_operand(call.name()) => match call.args.as_slice() {
            [operand, compared, ..] => refuse_equal(operand, compared, schema),
            _ => Ok(()),
        },
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom,
            right,
        }) => refuse_equal(left, right, schema),
        Expr::InList(InList { expr, list, .. }) => list.iter().try_for_each(|e| refuse_equal(expr, e, schema)),
        Expr::InSubquery(InSubquery { expr, .. }) => {
            if is_json(expr, schema)? {
                refuse(expr)
            } else {
                Ok(())
            }
        }
        // What a pattern finds anywhere in a JSON's text is there; where it begins or ends, there are quotes.
        Expr::Like(Like { expr, pattern, .. }) if is_json(expr, schema)? => match pattern.as_ref() {
            Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _)
                if text.starts_with('%') && text.ends_with('%') =>
            {
                Ok(())
            }
            _ => refuse(expr),
        },
        _ => Ok(()),
    }
}

fn is_json(e: &Expr, schema: &DFSchema) -> Result<bool> {
    let field = e.to_field(schema)?.1;
    Ok(is_text(field.data_type()) && noted_type(&field) == Some(Type::Dynamic))
}

fn shown(e: &Expr) -> String {
    if let Expr::Alias(alias) = e { alias.name.clone() } else { e.schema_name().to_string() }
}

fn refuse_equal(left: &Expr, right: &Expr, schema: &DFSchema) -> Result<()> {
    let are_texts = is_text(&left.get_type(schema)?) && is_text(&right.get_type(schema)?);
    if are_texts && is_json(left, schema)? {
        return refuse(left);
    }
    if are_texts && is_json(right, schema)? { refuse(right) } else { Ok(()) }
}

fn refuse(e: &Expr) -> Result<()> {
    plan_err!(
        "`{}` is JSON, in which a text has quotes and 1.0 is not 1: compare texts, as bag->>'key' or CAST(x AS varchar), or numbers, \
         as (bag->>'key')::double",
        shown(e)
    )
}

fn refuse_sorts(sorts: &[Sort], schema: &DFSchema) -> Result<()> {
    sorts.iter().try_for_each(|sort| refuse_order(&sort.expr, schema))
}

fn refuse_extremes(function: &str, args: &[Expr], schema: &DFSchema) -> Result<()> {
    match args.first() {
        Some(e) if matches!(function, "min" | "max") => refuse_order(e, schema),
        _ => Ok(()),
    }
}

fn refuse_order(e: &Expr, schema: &DFSchema) -> Result<()> {
    if !is_json(e, schema)? {
        return Ok(());
    }
    plan_err!(
        "`{}` is JSON, of which numbers and texts have no common order: order numbers, as (bag->>'key')::double, or texts, as \
         bag->>'key'",
        shown(e)
    )
}
