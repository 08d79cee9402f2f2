//! Unions, which go over many tables of which most have no rows and few columns in common.
//!
//! DataFusion carries every column of every input through each of its rules. So inputs that can have no rows are left out,
//! columns that are one constant in all others are added above, and columns that nothing above asks for are left out below.

use std::borrow::Cow;
use std::collections::HashSet;

use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};
use kqlake_value::columns::{arrow_type, stored_type};

use super::expr::{null, value};
use super::filled_union;
use super::{Lower, Lowering, Node, column, column_name, dedup_by_name, steps, ticks};
use crate::bound::*;

impl Lowering<'_> {
    pub(super) fn union(&self, inputs: &[(Rel, Vec<BoundExpr>)], ids: &[ColId]) -> Lower<Node> {
        let mut kept: Vec<(Node, &[BoundExpr])> = Vec::new();
        for (rel, exprs) in inputs {
            // Lowered in any case: what is refused must not depend on which tables have rows.
            let node = self.rel(rel)?;
            if !self.has_no_rows(rel) {
                kept.push((node, exprs));
            }
        }
        let types: Vec<_> = inputs.first().map(|(_, exprs)| exprs.iter().map(|e| e.ty).collect()).unwrap_or_default();
        if kept.is_empty() {
            let nulls = ids.iter().zip(&types).map(|(id, ty)| null(*ty).alias(column_name(*id))).collect();
            return Ok(Node::unordered(steps::project(LogicalPlanBuilder::empty(false).build()?, nulls)?));
        }
        // What is the same constant in all inputs.
        let constant = |at: usize| {
            let (first, rest) = kept.split_first()?;
            let known = first.1.get(at)?;
            let value = known.as_literal()?;
            rest.iter().all(|(_, exprs)| exprs.get(at).and_then(BoundExpr::as_literal) == Some(value)).then_some(known)
        };
        let constants: Vec<Option<&BoundExpr>> = (0..ids.len()).map(constant).collect();
        // Datetimes stay in their form at rest where all inputs have them so: a filter above then still reaches the files.
        let mut at_rest = vec![true; ids.len()];
        for (node, exprs) in &kept {
            for (at_rest, e) in at_rest.iter_mut().zip(*exprs) {
                *at_rest = *at_rest && ticks::may_be_at_rest(e, &node.plan);
            }
        }
        let given = |at: usize, e: &BoundExpr, node: Option<&Node>| -> Lower<Expr> {
            let e = match node {
                _ if at_rest[at] => ticks::at_rest(e),
                Some(node) => ticks::resolve(value(e)?, &node.plan)?,
                None => value(e)?,
            };
            Ok(e.alias(column_name(ids[at])))
        };
        let one = kept.len() == 1;
        let below: Vec<usize> = (0..ids.len()).filter(|at| one || constants[*at].is_none()).collect();
        let nothing = self.unique_name("__none");
        let mut inputs: Vec<filled_union::Input> = Vec::with_capacity(kept.len());
        for (node, exprs) in &kept {
            let mut out = below.iter().map(|at| given(*at, &exprs[*at], Some(node))).collect::<Lower<Vec<_>>>()?;
            if out.is_empty() {
                // A row without columns still counts: carry something.
                out.push(lit(0i64).alias(&nothing));
            }
            inputs.push((node.plan.clone(), out));
        }
        let mut plan = if filled_union::is_worth_it(&inputs) {
            let form = |at: usize| if at_rest[at] { stored_type(types[at]) } else { arrow_type(types[at]) };
            let columns: Vec<_> = below.iter().map(|at| (column_name(ids[*at]), form(*at))).collect();
            filled_union::plan_of(inputs, &columns)?
        } else {
            union_of(inputs)?
        };
        if below.len() < ids.len() {
            let mut out = Vec::with_capacity(ids.len());
            for (at, id) in ids.iter().enumerate() {
                out.push(match constants[at] {
                    Some(e) => given(at, e, None)?,
                    None => column(*id),
                });
            }
            dedup_by_name(&mut out);
            plan = steps::project(plan, out)?;
        }
        Ok(Node::unordered(plan))
    }

    /// True for a tree that gives no rows, whatever its expressions are, since its tables have none.
    fn has_no_rows(&self, rel: &Rel) -> bool {
        match &rel.kind {
            RelKind::Scan { table, .. } => self.scans.get(table).is_some_and(|scan| scan.empty),
            RelKind::Values(rows) => rows.is_empty(),
            RelKind::Filter { input, .. }
            | RelKind::Project { input, .. }
            | RelKind::Sort { input, .. }
            | RelKind::Serialize { input }
            | RelKind::RowIndex { input, .. }
            | RelKind::Limit { input, .. }
            | RelKind::Expand { input, .. }
            | RelKind::Window { input, .. } => self.has_no_rows(input),
            RelKind::Aggregate { input, keys, .. } => !keys.is_empty() && self.has_no_rows(input),
            RelKind::Join { left, right, kind, .. } => match kind {
                JoinKind::InnerUnique | JoinKind::Inner | JoinKind::LeftSemi | JoinKind::RightSemi => {
                    self.has_no_rows(left) || self.has_no_rows(right)
                }
                JoinKind::LeftOuter | JoinKind::LeftAnti => self.has_no_rows(left),
                JoinKind::RightOuter | JoinKind::RightAnti => self.has_no_rows(right),
                JoinKind::FullOuter => self.has_no_rows(left) && self.has_no_rows(right),
            },
            RelKind::Union { inputs, .. } => inputs.iter().all(|(rel, _)| self.has_no_rows(rel)),
            RelKind::Rows(_) | RelKind::Graph(_) | RelKind::Print(_) | RelKind::Range { .. } | RelKind::Compute { .. } => false,
        }
    }
}

/// DataFusion's union.
fn union_of(inputs: Vec<filled_union::Input>) -> Lower<LogicalPlan> {
    let mut plans = inputs.into_iter().map(|(plan, columns)| steps::project(plan, columns));
    let Some(first) = plans.next() else { return Ok(LogicalPlanBuilder::empty(false).build()?) };
    let mut builder = LogicalPlanBuilder::from(first?);
    for plan in plans {
        builder = builder.union(plan?)?;
    }
    Ok(builder.build()?)
}

/// The same tree without the columns that nobody needs, where filters and projections lead down to a union or a table; else `None`.
pub(super) fn narrowed<'e>(rel: &Rel, used: impl IntoIterator<Item = &'e BoundExpr>) -> Option<Rel> {
    /// Whether it is a union that they lead to.
    fn over_union(rel: &Rel) -> Option<bool> {
        match &rel.kind {
            RelKind::Union { .. } => Some(true),
            RelKind::Scan { .. } => Some(false),
            RelKind::Filter { input, .. } | RelKind::Project { input, .. } => over_union(input),
            _ => None,
        }
    }
    over_union(rel).map(|union| narrow(rel, &columns_of(used), union))
}

/// The tree with the `needed` columns. What is computed may be refused when it is lowered, so it stays unless it is left out.
fn narrow(rel: &Rel, needed: &HashSet<ColId>, leave_out_computed: bool) -> Rel {
    let mut given = Cow::Borrowed(needed);
    let kind = match &rel.kind {
        RelKind::Filter { input, predicate } => {
            let mut below = columns_of([predicate]);
            below.extend(needed);
            RelKind::Filter { input: Box::new(narrow(input, &below, leave_out_computed)), predicate: predicate.clone() }
        }
        RelKind::Project { input, exprs } => {
            let stays = |e: &BoundExpr| !leave_out_computed && !matches!(e.kind, BoundKind::Column(_));
            let exprs: Vec<_> = exprs.iter().filter(|(id, e)| needed.contains(id) || stays(e)).cloned().collect();
            given.to_mut().extend(exprs.iter().map(|(id, _)| *id));
            let below = columns_of(exprs.iter().map(|(_, e)| e));
            RelKind::Project { input: Box::new(narrow(input, &below, leave_out_computed)), exprs }
        }
        RelKind::Union { inputs, ids } => {
            let places: Vec<usize> = (0..ids.len()).filter(|at| needed.contains(&ids[*at])).collect();
            let input = |(rel, exprs): &(Rel, Vec<BoundExpr>)| {
                let exprs: Vec<BoundExpr> = places.iter().filter_map(|at| exprs.get(*at).cloned()).collect();
                (narrow(rel, &columns_of(&exprs), leave_out_computed), exprs)
            };
            RelKind::Union { inputs: inputs.iter().map(input).collect(), ids: places.iter().map(|at| ids[*at]).collect() }
        }
        RelKind::Scan { table, columns, promoted } => RelKind::Scan {
            table: table.clone(),
            columns: columns.iter().filter(|(id, ..)| needed.contains(id)).cloned().collect(),
            promoted: promoted.iter().filter(|(id, _)| needed.contains(id)).cloned().collect(),
        },
        _ => return rel.clone(),
    };
    Rel {
        kind,
        columns: rel.columns.iter().filter(|c| given.contains(&c.id)).cloned().collect(),
        hidden: rel.hidden.iter().filter(|h| given.contains(&h.id)).cloned().collect(),
        serialized: rel.serialized,
        table_name: rel.table_name.clone(),
    }
}

/// The columns that expressions read.
pub(super) fn columns_of<'e>(exprs: impl IntoIterator<Item = &'e BoundExpr>) -> HashSet<ColId> {
    fn add(e: &BoundExpr, out: &mut HashSet<ColId>) {
        match &e.kind {
            BoundKind::Column(id) => {
                out.insert(*id);
            }
            // A column that answers for its key everywhere stands for the bag.
            BoundKind::Promoted { column, complete: true, .. } => {
                out.insert(*column);
            }
            BoundKind::Promoted { column, base, .. } => {
                out.insert(*column);
                add(base, out);
            }
            _ => e.for_each_part(&mut |part| add(part, out)),
        }
    }
    let mut out = HashSet::new();
    exprs.into_iter().for_each(|e| add(e, &mut out));
    out
}
