//! `join` and `lookup`: equality where null equals null, and one left row a key for `innerunique`.

use datafusion::common::{JoinType, NullEquality};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::expr::text;
use super::{Lower, Lowering, Node, named, steps, ticks, with_columns};
use crate::bound::{BoundExpr, JoinKind, Rel};
use kqlake_value::Type;

impl Lowering<'_> {
    pub(super) fn join(&self, left: &Rel, right: &Rel, kind: JoinKind, on: &[(BoundExpr, BoundExpr)]) -> Lower<Node> {
        let (left_node, right_node) = (self.rel(left)?, self.rel(right)?);
        let order = left_node.order.clone();
        let (mut left_keys, mut right_keys) = (Vec::new(), Vec::new());
        let (mut left_more, mut right_more) = (Vec::new(), Vec::new());
        for (l, r) in on {
            // Datetimes at rest on both sides are compared as they are, else as ticks.
            let at_rest = ticks::may_be_at_rest(l, &left_node.plan) && ticks::may_be_at_rest(r, &right_node.plan);
            left_keys.push(self.key(l, &left_node.plan, at_rest, &mut left_more)?);
            right_keys.push(self.key(r, &right_node.plan, at_rest, &mut right_more)?);
        }
        // The right side's order has no meaning in the result.
        let mut left_plan = with_columns(left_node.plan, left_more)?;
        let right_plan = with_columns(right_node.plan, right_more)?;
        if kind == JoinKind::InnerUnique {
            left_plan = self.first_of_each(left_plan, &left_keys, &order)?;
        }
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
        let name = self.fresh("__join");
        more.push(lowered.alias(name.clone()));
        Ok(name)
    }

    /// The first row of each combination of keys, in the order of the rows.
    fn first_of_each(&self, plan: LogicalPlan, keys: &[String], order: &[super::OrderKey]) -> Lower<LogicalPlan> {
        let by = keys.iter().map(|k| named(k)).collect();
        steps::first_of_each(plan, by, order.iter().map(super::OrderKey::sort_expr).collect(), 1)
    }
}
