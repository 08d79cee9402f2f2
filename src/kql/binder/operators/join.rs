//! `join` and `lookup`.

use std::collections::HashSet;

use crate::binder::expr::ExprContext;
use crate::binder::{Bind, BindError, Binder, RowInfo, Scope};
use crate::bound::*;
use crate::free_name::numbered_name;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::Type;

use super::shape::property_text;

impl Binder<'_> {
    pub(super) fn join(&mut self, left: Rel, operator: &Operator, right: &Expr, on: &[Expr], scope: &Scope) -> Bind<Rel> {
        let kind = match operator.property("kind") {
            None => JoinKind::InnerUnique,
            Some(property) => match property_text(&property.value).to_lowercase().as_str() {
                "innerunique" => JoinKind::InnerUnique,
                "inner" => JoinKind::Inner,
                "leftouter" => JoinKind::LeftOuter,
                "rightouter" => JoinKind::RightOuter,
                "fullouter" => JoinKind::FullOuter,
                "leftsemi" => JoinKind::LeftSemi,
                "rightsemi" => JoinKind::RightSemi,
                "leftanti" | "anti" | "leftantisemi" => JoinKind::LeftAnti,
                "rightanti" | "rightantisemi" => JoinKind::RightAnti,
                other => {
                    return self.report(
                        Diagnostic::error(code::SYNTAX, property.value.span, format!("'{other}' is no kind of join")).suggest(
                            "innerunique, inner, leftouter, rightouter, fullouter, leftsemi, rightsemi, leftanti or rightanti",
                        ),
                    );
                }
            },
        };
        let right = self.table(right, scope)?;
        self.joins_within_sub_queries(kind, &left, &right, operator.keyword)?;
        let right = if self.shares_ids(&left, &right) { self.with_fresh_ids(right) } else { right };
        let (left, right) = self.infer_join_columns(left, right, on);
        let (pairs, _) = self.join_conditions(&left, &right, on, scope, operator.keyword)?;
        let (columns, hidden): (Vec<BoundColumn>, Vec<HiddenColumn>) = match kind {
            JoinKind::LeftSemi | JoinKind::LeftAnti => (left.columns.clone(), left.hidden.clone()),
            JoinKind::RightSemi | JoinKind::RightAnti => (right.columns.clone(), right.hidden.clone()),
            _ => {
                let columns = merged_columns(&left.columns, &right.columns, &HashSet::new());
                (columns, left.hidden.iter().chain(&right.hidden).cloned().collect())
            }
        };
        Ok(self.joined(left, right, kind, pairs, columns, hidden))
    }

    pub(super) fn lookup(&mut self, left: Rel, operator: &Operator, right: &Expr, on: &[Expr], scope: &Scope) -> Bind<Rel> {
        let kind = match operator.property("kind").map(|p| (property_text(&p.value), p.value.span)) {
            None => JoinKind::LeftOuter,
            Some((kind, _)) if kind == "leftouter" => JoinKind::LeftOuter,
            Some((kind, _)) if kind == "inner" => JoinKind::Inner,
            Some((kind, span)) => return self.error(code::SYNTAX, span, format!("lookup is leftouter or inner, not '{kind}'")),
        };
        let right = self.table(right, scope)?;
        self.joins_within_sub_queries(kind, &left, &right, operator.keyword)?;
        let right = if self.shares_ids(&left, &right) { self.with_fresh_ids(right) } else { right };
        let (left, right) = self.infer_join_columns(left, right, on);
        let (pairs, right_keys) = self.join_conditions(&left, &right, on, scope, operator.keyword)?;
        let columns = merged_columns(&left.columns, &right.columns, &right_keys);
        let hidden = left.hidden.iter().chain(&right.hidden).cloned().collect();
        Ok(self.joined(left, right, kind, pairs, columns, hidden))
    }

    /// Refuses a join that would have to be run again for each sub-query of `mv-apply` or `partition`: one join of all their
    /// rows gives the same only where no row is kept, or left out, for want of a partner in another sub-query.
    fn joins_within_sub_queries(&mut self, kind: JoinKind, left: &Rel, right: &Rel, keyword: Span) -> Bind<()> {
        let many = |rel: &Rel| !self.partition_keys(&rel.hidden).is_empty();
        let fits = match (kind, many(left), many(right)) {
            (_, false, false) => true,
            (_, true, true) => false,
            (JoinKind::Inner, ..) => true,
            (JoinKind::LeftOuter | JoinKind::LeftSemi | JoinKind::LeftAnti, of_left, _) => of_left,
            (JoinKind::RightOuter | JoinKind::RightSemi | JoinKind::RightAnti | JoinKind::InnerUnique, _, of_right) => of_right,
            (JoinKind::FullOuter, ..) => false,
        };
        if !fits {
            let message = "this join inside of mv-apply or partition is not supported";
            self.not_run(
                Diagnostic::error(code::UNSUPPORTED, keyword, message)
                    .suggest("join other rows with kind=inner, leftouter, leftsemi or leftanti, or join outside"),
            )?;
        }
        Ok(())
    }

    /// The sides with the columns that the conditions ask of one whose columns follow from rows.
    fn infer_join_columns(&mut self, mut left: Rel, mut right: Rel, on: &[Expr]) -> (Rel, Rel) {
        if !Self::is_open(&left) && !Self::is_open(&right) {
            return (left, right);
        }
        let (mut of_left, mut of_right) = (Vec::new(), Vec::new());
        on.iter().for_each(|condition| key_names(condition, &mut of_left, &mut of_right));
        for (side, mut names) in [(&mut left, of_left), (&mut right, of_right)] {
            names.retain(|name| side.columns.iter().all(|c| c.name != name.text));
            if self.checking && Self::is_open(side) {
                self.add_unread(side, &names);
                continue;
            }
            for name in &names {
                // The text is bound again, with the column in its place.
                if self.infer(name, &side.hidden).is_some() {
                    let id = self.id();
                    self.untyped.insert(id);
                    side.columns.push(BoundColumn { id, name: name.text.clone(), ty: Type::Dynamic });
                }
            }
        }
        (left, right)
    }

    /// True if a tree was used on both sides, so that ids would collide.
    fn shares_ids(&self, left: &Rel, right: &Rel) -> bool {
        let ids: HashSet<ColId> = left.columns.iter().map(|c| c.id).chain(left.hidden.iter().map(|h| h.id)).collect();
        right.columns.iter().any(|c| ids.contains(&c.id)) || right.hidden.iter().any(|h| h.is_column() && ids.contains(&h.id))
    }

    /// A join of two trees.
    fn joined(
        &mut self,
        left: Rel,
        right: Rel,
        kind: JoinKind,
        on: Vec<(BoundExpr, BoundExpr)>,
        columns: Vec<BoundColumn>,
        hidden: Vec<HiddenColumn>,
    ) -> Rel {
        if let Some(rel) = self.joined_beside_placeholders((&left, &right), kind, &on) {
            return Rel { columns, hidden, ..rel };
        }
        let kind = RelKind::Join { left: Box::new(left), right: Box::new(right), kind, on };
        Rel { columns, hidden, serialized: false, table_name: None, kind }
    }

    /// Conditions: a column of both sides by name, or equalities between the sides. Gives pairs of keys and the ids of right
    /// key columns.
    fn join_conditions(
        &mut self,
        left: &Rel,
        right: &Rel,
        on: &[Expr],
        scope: &Scope,
        keyword: Span,
    ) -> Bind<(Vec<(BoundExpr, BoundExpr)>, HashSet<ColId>)> {
        if on.is_empty() {
            return self.error(code::SYNTAX, keyword, "a condition is missing: write 'on' and the common columns");
        }
        let (left_row, right_row) = (RowInfo::of(left), RowInfo::of(right));
        let mut pairs = Vec::new();
        let mut right_keys = HashSet::new();
        let mut failed = false;
        for condition in on {
            match self.join_condition(condition, &left_row, &right_row, scope, &mut pairs) {
                Ok(()) => {}
                Err(BindError::Reported) => failed = true,
                Err(stop) => return Err(stop),
            }
        }
        if failed {
            return Err(BindError::Reported);
        }
        for (_, r) in &pairs {
            if let BoundKind::Column(id) = &r.kind {
                right_keys.insert(*id);
            } else if let BoundKind::Cast(inner) = &r.kind
                && let BoundKind::Column(id) = &inner.kind
            {
                right_keys.insert(*id);
            }
        }
        Ok((pairs, right_keys))
    }

    fn join_condition(
        &mut self,
        condition: &Expr,
        left: &RowInfo,
        right: &RowInfo,
        scope: &Scope,
        pairs: &mut Vec<(BoundExpr, BoundExpr)>,
    ) -> Bind<()> {
        match &condition.kind {
            ExprKind::Name(name) => {
                let (l, r) = (self.named_column(&left.columns, &name.text), self.named_column(&right.columns, &name.text));
                let (Some(l), Some(r)) = (l, r) else {
                    let (side, row) = if l.is_none() { ("left", left) } else { ("right", right) };
                    let candidates: Vec<String> = row.columns.iter().map(|c| c.name.clone()).collect();
                    return self.unknown(&format!("column on the {side} side:"), name, candidates);
                };
                let untyped = self.untyped.contains(l.id) || self.untyped.contains(r.id);
                if l.ty != r.ty && l.ty.is_integer() && r.ty.is_integer() && !untyped {
                    let message = format!("'{}' is {} on the left and {} on the right", name.text, l.ty, r.ty);
                    return self.report(
                        Diagnostic::error(code::TYPE, name.span, message)
                            .suggest("a common column has one type; convert one of them, or name both in an equality"),
                    );
                }
                let (l, r) = (BoundExpr::column(l, name.span), BoundExpr::column(r, name.span));
                self.join_pair(l, r, condition.span, pairs)
            }
            ExprKind::Logical { and: true, terms } => {
                for term in terms {
                    self.join_condition(term, left, right, scope, pairs)?;
                }
                Ok(())
            }
            ExprKind::Binary { op: BinaryOp::Equal, left: a, right: b } => {
                if let Some(operand) = [a, b].into_iter().find(|e| !is_side_column(e)) {
                    return self.report(
                        Diagnostic::error(code::TYPE, operand.span, "an equality of a join compares two columns")
                            .suggest("for example $left.a == $right.b; extend other values as columns first"),
                    );
                }
                let mut ctx = ExprContext::new(left, scope);
                ctx.right = Some(right);
                let (a, b) = (self.scalar(a, &mut ctx)?, self.scalar(b, &mut ctx)?);
                let on_right = |e: &BoundExpr| {
                    e.any(&|p| matches!(p.kind, BoundKind::Column(id) if right.columns.iter().any(|c| c.id == id)))
                };
                let (l, r) = match (on_right(&a), on_right(&b)) {
                    (false, true) => (a, b),
                    (true, false) => (b, a),
                    _ => {
                        return self.report(
                            Diagnostic::error(
                                code::TYPE,
                                condition.span,
                                "an equality of a join compares the left with the right side",
                            )
                            .suggest("for example $left.a == $right.b"),
                        );
                    }
                };
                self.join_pair(l, r, condition.span, pairs)
            }
            _ => self.report(
                Diagnostic::error(code::TYPE, condition.span, "a join's condition is a common column or an equality")
                    .suggest("for example: on a, b or on $left.a == $right.b"),
            ),
        }
    }

    fn join_pair(&mut self, l: BoundExpr, r: BoundExpr, span: Span, pairs: &mut Vec<(BoundExpr, BoundExpr)>) -> Bind<()> {
        let (l, r) = match (self.is_untyped(&l), self.is_untyped(&r)) {
            (false, false) => (l, r),
            (of_left, of_right) if of_left == of_right || self.checking => {
                let ty = if l.ty == Type::Dynamic { r.ty } else { l.ty };
                pairs.push(if self.checking { (l, r) } else { (self.as_wanted(l, ty), self.as_wanted(r, ty)) });
                return Ok(());
            }
            // The key of the other side says which type it is.
            (true, _) => {
                let ty = r.ty;
                (self.as_other(l, ty), r)
            }
            (_, _) => {
                let ty = l.ty;
                (l, self.as_other(r, ty))
            }
        };
        if l.ty == Type::Dynamic || r.ty == Type::Dynamic {
            let diagnostic = Diagnostic::error(code::TYPE, span, "a dynamic value cannot be a join's key")
                .suggest("extend a tostring(…) of it first");
            if l.ty != r.ty {
                return self.report(diagnostic);
            }
            self.not_run(diagnostic)?;
        }
        let ty = match (l.ty, r.ty) {
            (a, b) if a == b => a,
            (a, b) if a.is_integer() && b.is_integer() => Type::Long,
            (a, b) => {
                return self.error(
                    code::TYPE,
                    span,
                    format!("the join's keys have different types: {a} and {b}; convert one of them"),
                );
            }
        };
        let (l, r) = (self.coerce(l, ty)?, self.coerce(r, ty)?);
        pairs.push((l, r));
        Ok(())
    }
}

/// The names of columns that a join's condition uses of its sides.
fn key_names(condition: &Expr, left: &mut Vec<Name>, right: &mut Vec<Name>) {
    match &condition.kind {
        ExprKind::Name(name) => {
            left.push(name.clone());
            right.push(name.clone());
        }
        ExprKind::Logical { terms, .. } => terms.iter().for_each(|t| key_names(t, left, right)),
        ExprKind::Binary { left: a, right: b, .. } => {
            key_names(a, left, right);
            key_names(b, left, right);
        }
        ExprKind::Path { base, field } => match &base.kind {
            ExprKind::Name(side) if side.text == "$left" => left.push(field.clone()),
            ExprKind::Name(side) if side.text == "$right" => right.push(field.clone()),
            _ => {}
        },
        _ => {}
    }
}

/// Left columns, then right ones under names that are free: a taken name gets the next number.
fn merged_columns(left: &[BoundColumn], right: &[BoundColumn], dropped: &HashSet<ColId>) -> Vec<BoundColumn> {
    let mut columns = left.to_vec();
    let mut taken: HashSet<String> = left.iter().map(|c| c.name.clone()).collect();
    let spelled: HashSet<&str> = right.iter().map(|c| c.name.as_str()).collect();
    for column in right {
        if dropped.contains(&column.id) {
            continue;
        }
        let mut column = column.clone();
        if taken.contains(&column.name) {
            column.name = numbered_name(&column.name, |n| taken.contains(n) || spelled.contains(n));
        }
        taken.insert(column.name.clone());
        columns.push(column);
    }
    columns
}

/// True for `$left.column` and `$right.column`, and for a bare name, of which more is said when it is bound.
fn is_side_column(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Name(_) => true,
        ExprKind::Path { base, .. } => matches!(&base.kind, ExprKind::Name(n) if n.text == "$left" || n.text == "$right"),
        _ => false,
    }
}
