//! `join` and `lookup`: equality where null equals null, and one left row a key for `innerunique`.

use std::collections::HashSet;

use datafusion::common::{JoinType, NullEquality};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::column_name;
use super::expr::text;
use super::{Lower, Lowering, Node, OrderKey, named, steps, ticks, with_columns};
use crate::bound::{BoundExpr, JoinKind, Rel};
use kqlake_value::Type;

impl Lowering<'_> {
    pub(super) fn join(&self, left: &Rel, right: &Rel, kind: JoinKind, on: &[(BoundExpr, BoundExpr)]) -> Lower<Node> {
        let (left_node, right_node) = (self.rel(left)?, self.rel(right)?);
        let (left_order, right_order) = (left_node.order, right_node.order);
        let (mut left_keys, mut right_keys) = (Vec::new(), Vec::new());
        let (mut left_more, mut right_more) = (Vec::new(), Vec::new());
        for (l, r) in on {
            // Datetimes at rest on both sides are compared as they are, else as ticks.
            let at_rest = ticks::may_be_at_rest(l, &left_node.plan) && ticks::may_be_at_rest(r, &right_node.plan);
            left_keys.push(self.key(l, &left_node.plan, at_rest, &mut left_more)?);
            right_keys.push(self.key(r, &right_node.plan, at_rest, &mut right_more)?);
        }
        let mut left_plan = with_columns(left_node.plan, left_more)?;
        let right_plan = with_columns(right_node.plan, right_more)?;
        if kind == JoinKind::InnerUnique {
            left_plan = self.first_of_each(left_plan, &left_keys, &left_order)?;
        }
        // The orders have no meaning in the result.
        let left_plan = without_order(left_plan, &left_order, left, &left_keys)?;
        let right_plan = without_order(right_plan, &right_order, right, &right_keys)?;
        let join_type = match kind {
            JoinKind::InnerUnique | JoinKind::Inner => JoinType::Inner,
            JoinKind::LeftOuter => JoinType::Left,
            JoinKind::RightOuter => JoinType::Right,
            JoinKind::FullOuter => JoinType::Full,
            JoinKind::LeftSemi => JoinType::LeftSemi,
            JoinKind::RightSemi => JoinType::RightSemi,
            JoinKind::LeftAnti => JoinType::LeftAnti,
            JoinKind::RightAnti => JoinType::RightAnti,
        };
        let columns = |names: &[String]| names.iter().map(datafusion::common::Column::new_unqualified).collect::<Vec<_>>();
        let plan = LogicalPlanBuilder::from(left_plan)
            .join_detailed(
                right_plan,
                join_type,
                (columns(&left_keys), columns(&right_keys)),
                None,
                NullEquality::NullEqualsNull,
            )?
            .build()?;
        Ok(Node::unordered(plan))
    }

    /// A join key as a column of its side; computed ones, and strings that may be null for empty, are added.
    fn key(&self, e: &BoundExpr, plan: &LogicalPlan, at_rest: bool, more: &mut Vec<Expr>) -> Lower<String> {
        let lowered = match e.ty {
            _ if at_rest => ticks::at_rest(e),
            Type::Real => ticks::resolve(super::expr::key(e)?, plan)?,
            _ => ticks::resolve(text(e)?, plan)?,
        };
        if let Expr::Column(column) = &lowered {
            return Ok(column.name.clone());
        }
        let name = self.unique_name("__join");
        more.push(lowered.alias(name.clone()));
        Ok(name)
    }

    /// The first row of each combination of keys, in the order of the rows.
    fn first_of_each(&self, plan: LogicalPlan, keys: &[String], order: &[OrderKey]) -> Lower<LogicalPlan> {
        let by = keys.iter().map(|k| named(k)).collect();
        steps::first_of_each(plan, by, order.iter().map(OrderKey::sort_expr).collect(), 1)
    }
}

/// A side of a join without the columns that only its order needs. A relation that is on both sides has them twice, under the
/// same names: only what the tree shows of it gets new ids.
fn without_order(plan: LogicalPlan, order: &[OrderKey], rel: &Rel, keys: &[String]) -> Lower<LogicalPlan> {
    let ids = rel.columns.iter().map(|c| c.id).chain(rel.hidden.iter().map(|c| c.id));
    let mut used: HashSet<String> = ids.map(column_name).collect();
    used.extend(keys.iter().cloned());
    let dropped: HashSet<&str> = order.iter().map(|key| key.column.as_str()).filter(|name| !used.contains(*name)).collect();
    if dropped.is_empty() {
        return Ok(plan);
    }
    let kept = plan.schema().columns().into_iter().filter(|c| !dropped.contains(c.name.as_str())).map(Expr::Column).collect();
    steps::project(plan, kept)
}
