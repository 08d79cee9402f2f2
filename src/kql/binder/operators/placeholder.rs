//! Placeholder rows: what stays of a sub-query of `mv-apply` or `partition` where none of its rows is left.
//!
//! The rows of all sub-queries go through a body's operators together, so a sub-query whose rows are all dropped would be gone,
//! although an aggregation without `by` has a row for it. Where a body needs it, each sub-query gets one row more, which a hidden
//! column marks. To most operators that row is a sub-query of its own; operators that drop rows leave it, and an aggregation
//! without `by` counts it in none of its aggregates.

use crate::binder::{Binder, Placeholder};
use crate::bound::*;
use kqlake_syntax::ast::*;
use kqlake_value::{Type, Value};

use super::shape::property_text;

impl Binder<'_> {
    /// The column that marks the placeholder rows of a body's sub-queries, where it needs them.
    pub(super) fn placeholder_for(&mut self, operators: &[&Operator]) -> Option<HiddenColumn> {
        let needed = needed_throughout(operators) || aggregates_what_is_dropped(operators, false);
        needed.then(|| HiddenColumn { id: self.id(), ty: Type::Bool, role: HiddenRole::Placeholder })
    }

    /// The rows, and behind each of them a placeholder.
    pub(super) fn with_placeholders(input: Rel, placeholder: &HiddenColumn) -> Rel {
        let mut hidden = input.hidden.clone();
        hidden.push(placeholder.clone());
        Rel {
            columns: input.columns.clone(),
            hidden,
            serialized: input.serialized,
            table_name: None,
            kind: RelKind::Expand {
                input: Box::new(input),
                items: Vec::new(),
                index: None,
                limit: None,
                bag_as_array: false,
                keep_empty: true,
                placeholder: Some(placeholder.id),
            },
        }
    }

    /// What an operator of a body gave, with or without placeholder rows as those behind it need them.
    pub(super) fn placeholders_as_needed(rel: Rel, placeholder: &HiddenColumn, operators: &[&Operator], whole: bool) -> Rel {
        let there = rel.hidden.iter().any(|h| h.id == placeholder.id);
        let needed = whole && !operators.is_empty() || aggregates_what_is_dropped(operators, there);
        match (there, needed) {
            (true, false) => {
                let own = BoundExpr::new(BoundKind::Column(placeholder.id), Type::Bool, Span::default());
                let others = BoundExpr::new(BoundKind::Not(Box::new(own)), Type::Bool, Span::default());
                let mut rel = Self::filtered(rel, others);
                rel.hidden.retain(|h| h.id != placeholder.id);
                rel
            }
            (false, true) => Self::with_placeholders(rel, placeholder),
            _ => rel,
        }
    }

    /// What an aggregation without `by` gave, with placeholder rows again where an operator of the body is made of several.
    pub(super) fn with_placeholders_again(&self, rel: Rel) -> Rel {
        match &self.placeholder {
            Some(Placeholder { column, again: true })
                if !self.sub_query_keys(&rel.hidden).is_empty() && rel.hidden.iter().all(|h| h.id != column.id) =>
            {
                Self::with_placeholders(rel, column)
            }
            _ => rel,
        }
    }

    /// The column that marks placeholder rows of the innermost sub-queries, where rows with these hidden columns have them.
    pub(in crate::binder) fn placeholder_among(&self, hidden: &[HiddenColumn]) -> Option<ColId> {
        let own = self.placeholder.as_ref()?.column.id;
        hidden.iter().any(|h| h.id == own).then_some(own)
    }

    /// Whether a row is a placeholder, of an inner or an outer sub-query; `None` where there are none.
    pub(in crate::binder) fn is_placeholder(&self, hidden: &[HiddenColumn]) -> Option<BoundExpr> {
        let keys = self.sub_query_keys(hidden);
        let mut terms: Vec<BoundExpr> = keys
            .iter()
            .filter(|h| matches!(h.role, HiddenRole::Placeholder))
            .map(|h| BoundExpr::new(BoundKind::Column(h.id), Type::Bool, Span::default()))
            .collect();
        match terms.len() {
            0 | 1 => terms.pop(),
            _ => Some(BoundExpr::new(BoundKind::Logical { and: false, terms }, Type::Bool, Span::default())),
        }
    }

    /// A filter that leaves placeholder rows.
    pub(in crate::binder) fn filtered_in_sub_query(&self, input: Rel, predicate: BoundExpr) -> Rel {
        let predicate = match self.is_placeholder(&input.hidden) {
            Some(stays) => either(predicate, stays),
            None => predicate,
        };
        Self::filtered(input, predicate)
    }

    /// A value that is null in placeholder rows.
    pub(super) fn null_in_placeholders(&self, e: BoundExpr, hidden: &[HiddenColumn]) -> BoundExpr {
        let Some(placeholder) = self.is_placeholder(hidden) else { return e };
        let (ty, span) = (e.ty, e.span);
        let null = BoundExpr::literal(Value::Null, ty, span);
        BoundExpr::new(BoundKind::Case { branches: vec![(placeholder, null)], otherwise: Box::new(e) }, ty, span)
    }

    /// A join of which placeholder rows are no part: they stay, and have no partner. `None` where there are none.
    pub(super) fn joined_beside_placeholders(
        &mut self,
        (left, right): (&Rel, &Rel),
        kind: JoinKind,
        on: &[(BoundExpr, BoundExpr)],
    ) -> Option<Rel> {
        let of_left = self.is_placeholder(&left.hidden);
        let (of_left, stays) = match of_left {
            Some(stays) => (true, stays),
            None => (false, self.is_placeholder(&right.hidden)?),
        };
        let (own, other) = if of_left { (left, right) } else { (right, left) };
        let mut pairs: Vec<(BoundExpr, BoundExpr)> =
            on.iter().map(|(l, r)| if of_left { (l.clone(), r.clone()) } else { (r.clone(), l.clone()) }).collect();
        let mut other = other.clone();
        let one_each = kind == JoinKind::InnerUnique;
        let semi = matches!(kind, JoinKind::LeftSemi | JoinKind::RightSemi);
        if one_each || semi {
            // One partner for each combination of keys, by the keys as columns.
            let mut columns: Vec<(BoundColumn, BoundExpr)> = Vec::new();
            if one_each {
                columns.extend(other.columns.iter().map(|c| (c.clone(), BoundExpr::column(c, Span::default()))));
            }
            let mut keys = Vec::with_capacity(pairs.len());
            for (_, key) in &mut pairs {
                let column = BoundColumn { id: self.id(), name: String::new(), ty: key.ty };
                let by = BoundExpr::column(&column, key.span);
                keys.push(column.id);
                columns.push((column, std::mem::replace(key, by)));
            }
            let keyed = Self::projected(other, columns);
            other = Rel {
                columns: keyed.columns.clone(),
                hidden: keyed.hidden.clone(),
                serialized: keyed.serialized,
                table_name: None,
                kind: RelKind::Limit { input: Box::new(keyed), count: 1, partition: keys },
            };
        }
        // A key that is true in placeholder rows and false in all rows of the other side.
        let (of_own, (own, of_other, other)) = {
            let (mark, own) = self.with_mark(own.clone(), stays);
            let none = BoundExpr::literal(Value::Bool(false), Type::Bool, Span::default());
            let (other_mark, other) = self.with_mark(other, none);
            (mark, (own, other_mark, other))
        };
        pairs.push((of_own.clone(), of_other.clone()));
        let inner = semi || matches!(kind, JoinKind::Inner | JoinKind::InnerUnique);
        let kind = match (inner, of_left) {
            (true, true) => JoinKind::LeftOuter,
            (true, false) => JoinKind::RightOuter,
            (false, _) => kind,
        };
        let (left, right) = if of_left { (own, other) } else { (other, own) };
        let on = if of_left { pairs } else { pairs.into_iter().map(|(own, other)| (other, own)).collect() };
        let one_side = matches!(kind, JoinKind::LeftAnti | JoinKind::RightAnti);
        let (columns, hidden) = match (one_side, of_left) {
            (true, true) => (left.columns.clone(), left.hidden.clone()),
            (true, false) => (right.columns.clone(), right.hidden.clone()),
            _ => (
                left.columns.iter().chain(&right.columns).cloned().collect(),
                left.hidden.iter().chain(&right.hidden).cloned().collect(),
            ),
        };
        let kind = RelKind::Join { left: Box::new(left), right: Box::new(right), kind, on };
        let rel = Rel { columns, hidden, serialized: false, table_name: None, kind };
        if !inner {
            return Some(rel);
        }
        let matched = BoundExpr::new(BoundKind::Not(Box::new(of_other)), Type::Bool, Span::default());
        Some(Self::filtered(rel, either(matched, of_own)))
    }

    /// The rows with a column of a condition behind the others, and that column.
    fn with_mark(&mut self, rel: Rel, of: BoundExpr) -> (BoundExpr, Rel) {
        let column = BoundColumn { id: self.id(), name: String::new(), ty: Type::Bool };
        let mark = BoundExpr::column(&column, Span::default());
        let mut columns: Vec<(BoundColumn, BoundExpr)> =
            rel.columns.iter().map(|c| (c.clone(), BoundExpr::column(c, Span::default()))).collect();
        columns.push((column, of));
        (mark, Self::projected(rel, columns))
    }
}

/// True if one of two conditions is.
fn either(a: BoundExpr, b: BoundExpr) -> BoundExpr {
    let span = a.span;
    BoundExpr::new(BoundKind::Logical { and: false, terms: vec![a, b] }, Type::Bool, span)
}

/// True for a body whose rows may be used again under a name.
pub(super) fn needed_throughout(operators: &[&Operator]) -> bool {
    operators.iter().any(|o| matches!(o.kind, OperatorKind::As(_)))
}

/// True if one of these operators has a row for a sub-query of which it may get none. `dropped`: there may be none before the first.
fn aggregates_what_is_dropped(operators: &[&Operator], mut dropped: bool) -> bool {
    use OperatorKind as K;
    for operator in operators {
        match &operator.kind {
            K::Count(_) if dropped => return true,
            K::Summarize { by, .. } if by.is_empty() && dropped => return true,
            K::MakeSeries { .. }
                if dropped && operator.property("kind").is_some_and(|p| property_text(&p.value) == "nonempty") =>
            {
                return true;
            }
            // What a function does with its rows is not looked into.
            K::Invoke(_) => return true,
            K::Count(_)
            | K::Summarize { .. }
            | K::Project(_)
            | K::Extend(_)
            | K::ProjectAway(_)
            | K::ProjectKeep(_)
            | K::ProjectByNames(_)
            | K::ProjectRename(_)
            | K::ProjectReorder(_)
            | K::Sort(_)
            | K::Serialize(_)
            | K::Distinct(_)
            | K::Parse { filter: false, .. }
            | K::ParseKv { .. }
            | K::As(_)
            | K::Render(_) => {}
            K::Take(count) | K::Top { count, .. } | K::Sample(count) => {
                dropped |= !matches!(count.kind, ExprKind::Literal(Literal::Long(Some(n))) if n > 0);
            }
            _ => dropped = true,
        }
    }
    false
}
