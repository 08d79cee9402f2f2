//! Subqueries that are conditions: `EXISTS`, `IN`, and comparisons with `ANY`, `SOME` and `ALL`.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::expr::{InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator};

/// The name of the column of a quantified comparison. No text of a user calls one so by chance.
const COMPARED: &str = "compared with";

/// The plan with subqueries that DataFusion computes as they are meant.
///
/// - A comparison with `ANY` or `ALL` becomes a condition inside of its subquery; a column outside that has the name of one inside would
///   be taken for that, so that the subquery's column gets a name of its own.
/// - `IN` is a join where it is one of the conditions that a row must satisfy. Below `OR`, `NOT` or a comparison DataFusion would take a
///   missing answer for a false one; there it is a comparison with `ANY`, which may be missing.
///
/// # Errors
/// Such a condition stands where DataFusion has no rows to filter.
pub(super) fn settled(plan: LogicalPlan) -> Result<LogicalPlan> {
    let done = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Filter(filter) => {
            let conditions = split_conjunction_owned(filter.predicate).into_iter().map(condition).collect::<Result<Vec<_>>>()?;
            let predicate =
                conjunction(conditions).ok_or_else(|| DataFusionError::Internal("a filter has no condition".to_owned()))?;
            Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?)))
        }
        node => {
            node.apply_expressions(|e| {
                if e.exists(|e| Ok(is_condition(e)))? { Err(misplaced()) } else { Ok(TreeNodeRecursion::Continue) }
            })?;
            Ok(Transformed::no(node))
        }
    })?;
    Ok(done.data)
}

fn is_condition(e: &Expr) -> bool {
    matches!(e, Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_))
}

/// One of the conditions that a row must satisfy.
fn condition(e: Expr) -> Result<Expr> {
    match e {
        Expr::InSubquery(_) => Ok(e),
        Expr::Not(inner) if matches!(*inner, Expr::InSubquery(_)) => Ok(match *inner {
            Expr::InSubquery(list) => Expr::InSubquery(InSubquery { negated: !list.negated, ..list }),
            other => other,
        }),
        e => Ok(e.transform_up(compared)?.data),
    }
}

/// A comparison whose column has a name of its own; `IN` as one with `ANY`.
fn compared(e: Expr) -> Result<Transformed<Expr>> {
    let (mut comparison, negated) = match e {
        Expr::SetComparison(comparison) => (comparison, false),
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            (SetComparison::new(expr, subquery, Operator::Eq, SetQuantifier::Any), negated)
        }
        e => return Ok(Transformed::no(e)),
    };
    let rows = comparison.subquery.subquery.as_ref().clone();
    let columns: Vec<Expr> = rows.schema().columns().into_iter().map(|column| Expr::Column(column).alias(COMPARED)).collect();
    comparison.subquery.subquery = Arc::new(LogicalPlanBuilder::from(rows).project(columns)?.build()?);
    let comparison = Expr::SetComparison(comparison);
    Ok(Transformed::yes(if negated { Expr::Not(Box::new(comparison)) } else { comparison }))
}

fn misplaced() -> DataFusionError {
    let message = "EXISTS, and IN, ANY and ALL with a subquery, are conditions of WHERE and HAVING, not values or conditions of a join: \
                   write (SELECT count(*) FROM … WHERE …) > 0";
    DataFusionError::Plan(message.to_owned())
}
