//! `where`, `take`, `distinct`, `count`.

use crate::binder::expr::ExprContext;
use crate::binder::{Bind, Binder, RowInfo, Scope, names};
use crate::bound::*;
use crate::functions::Registry;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::Type;

impl Binder<'_> {
    pub(super) fn filter(&mut self, input: Rel, predicate: &Expr, scope: &Scope) -> Bind<Rel> {
        let row = RowInfo::of(&input);
        let mut ctx = ExprContext::new(&row, scope);
        ctx.could_window = true;
        if input.serialized {
            ctx.windows = Some(Vec::new());
        }
        let e = self.scalar(predicate, &mut ctx)?;
        let e = self.condition(e, "where", false)?;
        let windows = ctx.windows.take().unwrap_or_default();
        if windows.is_empty() {
            return Ok(self.filtered_below_unique(input, e));
        }
        // The window columns are there for the predicate only.
        let columns = input.columns.clone();
        let filtered = self.filtered_in_sub_query(Self::with_windows(input, windows), e);
        Ok(Self::renamed(filtered, columns))
    }

    /// A filter; behind an `innerunique` join, those of its terms that are over left columns pick left rows before one of each
    /// key is kept, as the engine does.
    fn filtered_below_unique(&self, mut input: Rel, predicate: BoundExpr) -> Rel {
        let (span, ty) = (predicate.span, predicate.ty);
        let terms = match predicate.kind {
            BoundKind::Logical { and: true, terms } => terms,
            kind => vec![BoundExpr::new(kind, ty, span)],
        };
        let mut rest: Vec<BoundExpr> = terms.into_iter().filter_map(|term| Self::below_unique(&mut input, term)).collect();
        match rest.len() {
            0 => input,
            1 => self.filtered_in_sub_query(input, rest.remove(0)),
            _ => self.filtered_in_sub_query(input, BoundExpr::new(BoundKind::Logical { and: true, terms: rest }, ty, span)),
        }
    }

    /// Puts a condition below an `innerunique` join, also through other filters; gives it back where it cannot appear there.
    fn below_unique(rel: &mut Rel, condition: BoundExpr) -> Option<BoundExpr> {
        match &mut rel.kind {
            RelKind::Filter { input, .. } => Self::below_unique(input, condition),
            RelKind::Join { left, kind: JoinKind::InnerUnique, .. } => {
                let of_left = |id: ColId| left.columns.iter().any(|c| c.id == id) || left.hidden.iter().any(|h| h.id == id);
                let foreign = condition.any(&|e| match e.kind {
                    BoundKind::Column(id) | BoundKind::Promoted { column: id, .. } => !of_left(id),
                    _ => false,
                });
                if foreign {
                    return Some(condition);
                }
                let inner = std::mem::replace(&mut **left, crate::binder::source::empty_rel());
                **left = Self::filtered(inner, condition);
                None
            }
            _ => Some(condition),
        }
    }

    /// Adds window functions' columns, as hidden columns beside the input's.
    pub(in crate::binder) fn with_windows(input: Rel, windows: Vec<(ColId, BoundWindow)>) -> Rel {
        let mut rel = input;
        for window in windows {
            rel = Rel {
                columns: rel.columns.clone(),
                hidden: rel.hidden.clone(),
                serialized: true,
                table_name: None,
                kind: RelKind::Window { input: Box::new(rel), functions: vec![window] },
            };
        }
        rel
    }

    pub(super) fn take(&mut self, input: Rel, count: &Expr, scope: &Scope) -> Bind<Rel> {
        let count = self.constant_long(count, scope, "the count of take")?.unwrap_or(0);
        self.differs |= !input.serialized;
        Ok(self.limited(input, count))
    }

    /// The first rows; a negative count gives none.
    pub(super) fn limited(&mut self, input: Rel, count: i64) -> Rel {
        if count <= 0
            && let Some(stays) = self.is_placeholder(&input.hidden)
        {
            return Self::filtered(input, stays);
        }
        Rel {
            columns: input.columns.clone(),
            hidden: input.hidden.clone(),
            serialized: input.serialized,
            table_name: None,
            kind: RelKind::Limit {
                partition: self.partition_keys(&input.hidden),
                input: Box::new(input),
                count: count.max(0).unsigned_abs(),
            },
        }
    }

    pub(super) fn distinct(&mut self, input: Rel, items: &[NamedExpr], scope: &Scope) -> Bind<Rel> {
        let row = RowInfo::of(&input);
        let mut keys: Vec<(names::TargetName, BoundExpr)> = Vec::new();
        for item in items {
            if matches!(item.expr.kind, ExprKind::Star) {
                if let Some(column) = row.columns.iter().find(|c| c.ty == Type::Dynamic && !self.untyped.contains(c.id)) {
                    let message = format!("the dynamic column '{}' cannot be told apart", column.name);
                    return self.report(
                        Diagnostic::error(code::TYPE, item.expr.span, message)
                            .suggest("leave it out, or name the columns with a tostring(…) of it"),
                    );
                }
                keys.extend(
                    row.columns
                        .iter()
                        .map(|c| (names::TargetName::Derived(c.name.clone()), BoundExpr::column(c, item.expr.span))),
                );
                continue;
            }
            let e = self.scalar(&item.expr, &mut ExprContext::new(&row, scope))?;
            if e.ty == Type::Dynamic && !self.is_untyped(&e) {
                return self.report(
                    Diagnostic::error(code::TYPE, e.span, "a dynamic value cannot be told apart")
                        .suggest("wrap it in tostring(…)"),
                );
            }
            keys.push((Self::target_name(item), e));
        }
        self.refuse_repeated_names(items)?;
        let avoid = self.reserved_names(&row.columns);
        let settled = self.resolve_names(&keys.iter().map(|(w, _)| w.clone()).collect::<Vec<_>>(), avoid, false);
        let keys = settled.into_iter().zip(keys).map(|(name, (_, e))| (name, e)).collect();
        let grouped = self.grouped(input, keys, Vec::new());
        let all = items.iter().any(|item| matches!(item.expr.kind, ExprKind::Star));
        Ok(if all { Self::open_as(grouped, &row.hidden) } else { grouped })
    }

    /// What is carried for the sub-queries and distinguishes them, among these columns. Rows that a body takes from elsewhere
    /// belong to none of them and have nothing of it.
    pub(in crate::binder) fn sub_query_keys(&self, hidden: &[HiddenColumn]) -> Vec<HiddenColumn> {
        self.partition.iter().filter(|p| hidden.iter().any(|h| h.id == p.id)).cloned().collect()
    }

    /// The columns that distinguish sub-queries, among these.
    pub(in crate::binder) fn partition_keys(&self, hidden: &[HiddenColumn]) -> Vec<ColId> {
        self.sub_query_keys(hidden)
            .iter()
            .filter(|h| matches!(h.role, HiddenRole::Key | HiddenRole::Placeholder))
            .map(|h| h.id)
            .collect()
    }

    /// Groups by keys and gives keys, then aggregates. Inside of a sub-query its keys group too. Without keys, a placeholder row makes a
    /// group of a sub-query, and goes into no aggregate.
    pub(in crate::binder) fn grouped(
        &mut self,
        input: Rel,
        keys: Vec<(String, BoundExpr)>,
        aggregates: Vec<(ColId, BoundAggregate)>,
    ) -> Rel {
        let placeholder = self.placeholder_among(&input.hidden).filter(|_| keys.is_empty());
        let mut columns = Vec::with_capacity(keys.len());
        let mut bound = Vec::with_capacity(keys.len());
        for (name, e) in keys {
            let id = self.id();
            self.propagate_type(id, &e);
            columns.push(BoundColumn { id, name, ty: e.ty });
            bound.push((id, e));
        }
        let mut partition = self.sub_query_keys(&input.hidden);
        let mut aggregates = aggregates;
        if let Some(placeholder) = placeholder {
            partition.retain(|h| h.id != placeholder);
            for (_, aggregate) in &mut aggregates {
                let is_one = BoundExpr::new(BoundKind::Column(placeholder), Type::Bool, Span::default());
                let others = BoundExpr::new(BoundKind::Not(Box::new(is_one)), Type::Bool, Span::default());
                let terms: Vec<BoundExpr> = [others].into_iter().chain(aggregate.filter.take()).collect();
                aggregate.filter = Some(BoundExpr::new(BoundKind::Logical { and: true, terms }, Type::Bool, Span::default()));
            }
        }
        for h in &partition {
            let e = BoundExpr::new(BoundKind::Column(h.id), h.ty, Span::default());
            match (&h.role, Registry::get().aggregate("take_any")) {
                // One value in all rows of a group: any of them is it.
                (HiddenRole::Carried, Some(function)) => {
                    aggregates.push((h.id, BoundAggregate { function, args: vec![e], filter: None, ty: h.ty }));
                }
                _ => bound.push((h.id, e)),
            }
        }
        Rel {
            columns,
            hidden: partition,
            serialized: false,
            table_name: None,
            kind: RelKind::Aggregate { input: Box::new(input), keys: bound, aggregates },
        }
    }

    pub(super) fn count(&mut self, input: Rel, name: Option<&Name>) -> Bind<Rel> {
        let Some(function) = Registry::get().aggregate("count") else {
            return self.unsupported(Span::default(), "count");
        };
        let id = self.id();
        let aggregate = BoundAggregate { function, args: Vec::new(), filter: None, ty: Type::Long };
        let mut rel = self.grouped(input, Vec::new(), vec![(id, aggregate)]);
        rel.columns.push(BoundColumn { id, name: name.map_or("Count".to_owned(), |n| n.text.clone()), ty: Type::Long });
        Ok(self.with_placeholders_again(rel))
    }
}
