//! `mv-apply` and `partition`: a pipe of operators for each row's elements, or for each value of a column.
//!
//! No sub-query is run a row at a time. The rows of all sub-queries go through the operators together, distinguished by key
//! columns that every operator in the body minds: `summarize` groups by them too, `top` takes rows of each, windows start
//! again. What of the outer row the body drops is carried beside it.

use std::sync::Arc;

use crate::binder::{Bind, Binder, Placeholder, Scope};
use crate::bound::*;
use crate::computation::Compute;
use crate::functions::per_key::PerKey;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::Type;

use super::expand::Expansion;
use super::placeholder::needed_throughout;
use super::shape::property_text;

impl Binder<'_> {
    pub(super) fn mv_apply(
        &mut self,
        input: Rel,
        operator: &Operator,
        items: &[ExpandItem],
        limit: Option<&Expr>,
        id: Option<&Expr>,
        body: &Expr,
        scope: &Scope,
    ) -> Bind<Rel> {
        if let Some(id) = id {
            return self.unsupported(id.span, "the id of mv-apply");
        }
        let limit = match limit {
            Some(limit) => self.constant_long(limit, scope, "the limit of mv-apply")?,
            None => None,
        };
        let index = operator.property("with_itemindex").map(|p| property_text(&p.value));
        let (outer, marks) = (input.columns.clone(), input.hidden.clone());
        // Number the rows, and carry copies of the outer columns.
        let key = HiddenColumn { id: self.id(), ty: Type::Long, role: HiddenRole::Key };
        let mut hidden = input.hidden.clone();
        hidden.push(key.clone());
        let numbered = Rel {
            columns: input.columns.clone(),
            hidden,
            serialized: input.serialized,
            table_name: None,
            kind: RelKind::RowIndex { input: Box::new(input), id: key.id },
        };
        let mut carried = Vec::with_capacity(outer.len());
        let mut exprs: Vec<(ColId, BoundExpr)> = Vec::new();
        for column in &outer {
            exprs.push((column.id, BoundExpr::column(column, Span::default())));
            let copy = HiddenColumn { id: self.id(), ty: column.ty, role: HiddenRole::Carried };
            self.untyped.pass_on(column.id, copy.id);
            exprs.push((copy.id, BoundExpr::column(column, Span::default())));
            carried.push(copy);
        }
        for h in numbered.hidden.iter().filter(|h| h.is_column()) {
            exprs.push((h.id, BoundExpr::new(BoundKind::Column(h.id), h.ty, Span::default())));
        }
        let mut hidden = numbered.hidden.clone();
        hidden.extend(carried.iter().cloned());
        let with_copies = Rel {
            columns: outer.clone(),
            hidden,
            serialized: numbered.serialized,
            table_name: None,
            kind: RelKind::Project { input: Box::new(numbered), exprs },
        };
        let operators = body_operators(body);
        let placeholder = self.placeholder_for(&operators);
        let form = Expansion { limit, bag_as_array: false, index, placeholder: placeholder.as_ref() };
        let expanded = self.expanded(with_copies, items, form, scope)?;
        let added: Vec<HiddenColumn> = std::iter::once(key.clone()).chain(carried.iter().cloned()).collect();
        let mut result = self.sub_query(expanded, &added, placeholder, (body, &operators), scope)?;
        if may_reorder(&operators) {
            // Results are in the order of the rows that they were made for.
            let serialized = result.serialized;
            let of_row = BoundExpr::new(BoundKind::Column(key.id), key.ty, Span::default());
            result = Self::sorted(result, vec![BoundSortKey { expr: of_row, ascending: true, nulls_first: true }]);
            result.serialized = serialized;
        }
        // Outer columns from their copies, without those that were expanded under their own names; then the body's columns, each
        // in the place of an outer one of its name, or behind them.
        let applied: Vec<&str> = items
            .iter()
            .filter(|item| item.expr.names.is_empty())
            .filter_map(|item| crate::binder::bare_name(&item.expr.expr))
            .map(|name| name.text.as_str())
            .collect();
        let mut columns: Vec<(BoundColumn, BoundExpr)> = Vec::new();
        for (column, copy) in outer.iter().zip(&carried) {
            if !applied.contains(&column.name.as_str()) {
                let e = BoundExpr::new(BoundKind::Column(copy.id), copy.ty, Span::default());
                columns.push((BoundColumn { id: copy.id, name: column.name.clone(), ty: column.ty }, e));
            }
        }
        for column in &result.columns {
            let e = BoundExpr::column(column, Span::default());
            match columns.iter_mut().find(|(c, _)| c.name == column.name) {
                // An outer column that went through the body is its copy.
                Some(_) if outer.iter().any(|o| o.id == column.id && o.name == column.name) => {}
                Some(place) => *place = (column.clone(), e),
                None => columns.push((column.clone(), e)),
            }
        }
        let mut rel = Self::projected(result, columns);
        rel.hidden.retain(|h| h.is_column() && h.id != key.id && !carried.iter().any(|c| c.id == h.id));
        Ok(Self::open_as(rel, &marks))
    }

    pub(super) fn partition(&mut self, input: Rel, by: &Name, body: &Expr, scope: &Scope) -> Bind<Rel> {
        let Some(column) = self.named_column(&input.columns, &by.text).cloned() else {
            if self.infer(by, &input.hidden).is_some() {
                // Bound again with the column.
                return Ok(input);
            }
            let candidates = input.columns.iter().map(|c| c.name.clone()).collect();
            return self.unknown("column", by, candidates);
        };
        if column.ty == Type::Dynamic && !self.untyped.contains(column.id) {
            return self.error(code::TYPE, by.span, "a dynamic column cannot part the rows; extend a tostring(…) of it first");
        }
        let key = HiddenColumn { id: self.id(), ty: column.ty, role: HiddenRole::Key };
        let mut exprs: Vec<(ColId, BoundExpr)> =
            input.columns.iter().map(|c| (c.id, BoundExpr::column(c, Span::default()))).collect();
        exprs.extend(
            input
                .hidden
                .iter()
                .filter(|h| h.is_column())
                .map(|h| (h.id, BoundExpr::new(BoundKind::Column(h.id), h.ty, Span::default()))),
        );
        exprs.push((key.id, BoundExpr::column(&column, Span::default())));
        let mut hidden = input.hidden.clone();
        hidden.push(key.clone());
        let keyed = Rel {
            columns: input.columns.clone(),
            hidden,
            serialized: input.serialized,
            table_name: None,
            kind: RelKind::Project { input: Box::new(input), exprs },
        };
        if self.checking
            && let ExprKind::Pipe { source, .. } = &body.kind
            && !matches!(source.kind, ExprKind::Source(_))
        {
            // A sub-query with a source of its own, which knows the key as a value.
            let message = "a sub-query with a source of its own is not supported";
            self.not_run(Diagnostic::error(code::UNSUPPORTED, body.span, message))?;
            let inner = scope.nested(false);
            let key = BoundExpr::new(BoundKind::Unknown, column.ty, by.span);
            inner.define(&by.text, crate::binder::Binding::Scalar(key));
            return self.table(body, &inner);
        }
        let operators = body_operators(body);
        let placeholder = self.placeholder_for(&operators);
        let rows = match &placeholder {
            Some(placeholder) => Self::with_placeholders(keyed, placeholder),
            None => keyed,
        };
        let mut rel = self.sub_query(rows, std::slice::from_ref(&key), placeholder, (body, &operators), scope)?;
        if rel.serialized {
            // Rows that the body put in an order keep it, one sub-query behind the other.
            let of_key = BoundExpr::new(BoundKind::Column(key.id), key.ty, Span::default());
            rel = Self::sorted(rel, vec![BoundSortKey { expr: of_key, ascending: true, nulls_first: true }]);
            rel.serialized = true;
        }
        rel.hidden.retain(|h| h.id != key.id);
        Ok(rel)
    }

    /// Binds the operators of a body over an input whose sub-queries the keys tell apart.
    fn sub_query(
        &mut self,
        input: Rel,
        added: &[HiddenColumn],
        placeholder: Option<HiddenColumn>,
        (body, operators): (&Expr, &[&Operator]),
        scope: &Scope,
    ) -> Bind<Rel> {
        if operators.is_empty() {
            return match &body.kind {
                ExprKind::Pipe { .. } => self.unsupported(body.span, "a sub-query with a source of its own"),
                _ => self.error(code::SYNTAX, body.span, "operators are expected here, for example: where …, summarize …"),
            };
        }
        let depth = self.partition.len();
        self.partition.extend(added.iter().chain(&placeholder).cloned());
        let whole = needed_throughout(operators);
        let outer = self.placeholder.take();
        let mut rel = Ok(input);
        for (at, operator) in operators.iter().enumerate() {
            self.placeholder = placeholder.as_ref().map(|column| Placeholder {
                column: column.clone(),
                again: whole || matches!(operator.kind, OperatorKind::Invoke(_)),
            });
            rel = rel.and_then(|rel| self.operator(Some(rel), operator, scope, false)).map(|rel| match &placeholder {
                Some(placeholder) => Self::placeholders_as_needed(rel, placeholder, &operators[at + 1..], whole),
                None => rel,
            });
        }
        self.placeholder = outer;
        self.partition.truncate(depth);
        rel
    }

    /// An operator over all rows, over those of each sub-query where there are any. What distinguishes them passes it by.
    pub(in crate::binder) fn computed(
        &self,
        input: Rel,
        inputs: Vec<ColId>,
        op: Arc<dyn Compute>,
        columns: Vec<BoundColumn>,
        serialized: bool,
    ) -> Rel {
        let hidden = self.sub_query_keys(&input.hidden);
        let types = columns.iter().map(|c| c.ty).collect();
        let of = |input: Rel, inputs, op, hidden| Rel {
            columns,
            hidden,
            serialized,
            table_name: None,
            kind: RelKind::Compute { input: Some(Box::new(input)), inputs, op },
        };
        if hidden.is_empty() {
            return of(input, inputs, op, hidden);
        }
        let is_key = |h: &HiddenColumn| matches!(h.role, HiddenRole::Key | HiddenRole::Placeholder);
        let together = hidden
            .iter()
            .filter(|h| is_key(h))
            .map(|h| BoundSortKey {
                expr: BoundExpr::new(BoundKind::Column(h.id), h.ty, Span::default()),
                ascending: true,
                nulls_first: true,
            })
            .collect();
        let width = inputs.len();
        let own = self.placeholder_among(&hidden);
        let places = |test: &dyn Fn(&HiddenColumn) -> bool| {
            hidden.iter().enumerate().filter(|(_, h)| test(h)).map(|(i, _)| width + i).collect::<Vec<_>>()
        };
        let keys = places(&|h| is_key(h) && Some(h.id) != own);
        let placeholder = places(&|h| Some(h.id) == own).first().copied();
        let outer = places(&|h| matches!(h.role, HiddenRole::Placeholder) && Some(h.id) != own);
        let all = inputs.into_iter().chain(hidden.iter().map(|h| h.id)).collect();
        let rel = of(Self::sorted(input, together), all, Arc::new(PerKey { op, width, types, keys, placeholder, outer }), hidden);
        // What distinguishes the sub-queries is taken off their result, but the operator outputs it.
        let columns = rel.columns.iter().map(|c| (c.clone(), BoundExpr::column(c, Span::default()))).collect();
        Self::projected(rel, columns)
    }

    /// Refuses an operator that cannot work on many sub-queries at once.
    pub(in crate::binder) fn not_in_sub_query(&mut self, operator: &Operator, what: &str) -> Bind<()> {
        if self.partition.is_empty() {
            Ok(())
        } else {
            self.unsupported(operator.keyword, &format!("{what} inside of mv-apply or partition"))
        }
    }
}

/// The operators of a body; none where it has a source of its own, or is none at all.
fn body_operators(body: &Expr) -> Vec<&Operator> {
    match &body.kind {
        ExprKind::Operators(operators) => operators.iter().collect(),
        ExprKind::Pipe { source, operators } => match &source.kind {
            // A body may begin with an operator that could appear first as well.
            ExprKind::Source(first) => std::iter::once(&**first).chain(operators).collect(),
            _ => Vec::new(),
        },
        ExprKind::Source(first) => vec![first],
        _ => Vec::new(),
    }
}

/// True for a body after which the rows of one sub-query may be mixed with those of others.
fn may_reorder(operators: &[&Operator]) -> bool {
    operators.iter().any(|operator| {
        use OperatorKind as O;
        matches!(
            operator.kind,
            O::Summarize { .. }
                | O::Sort(_)
                | O::Top { .. }
                | O::Distinct(_)
                | O::Count(_)
                | O::TopHitters { .. }
                | O::Sample(_)
                | O::SampleDistinct { .. }
                | O::Join { .. }
                | O::Lookup { .. }
                | O::Union(_)
                | O::Partition { .. }
        )
    })
}
