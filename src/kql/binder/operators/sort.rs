//! `sort`, `order`, `top`.

use crate::binder::expr::ExprContext;
use crate::binder::{Bind, Binder, RowInfo, Scope};
use crate::bound::*;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::Type;

impl Binder<'_> {
    pub(super) fn sort(&mut self, input: Rel, keys: &[SortKey], scope: &Scope) -> Bind<Rel> {
        let keys = self.sort_keys(&input, keys, scope, false)?;
        Ok(Self::sorted(input, keys))
    }

    /// The input in an order.
    pub(in crate::binder) fn sorted(input: Rel, keys: Vec<BoundSortKey>) -> Rel {
        Rel {
            columns: input.columns.clone(),
            hidden: input.hidden.clone(),
            serialized: true,
            table_name: None,
            kind: RelKind::Sort { input: Box::new(input), keys },
        }
    }

    pub(super) fn sort_keys(&mut self, input: &Rel, keys: &[SortKey], scope: &Scope, top: bool) -> Bind<Vec<BoundSortKey>> {
        let row = RowInfo::of(input);
        let mut bound = Vec::with_capacity(keys.len());
        for key in keys {
            let expr = self.scalar(&key.expr.expr, &mut ExprContext::new(&row, scope))?;
            if expr.ty == Type::Dynamic && !self.is_untyped(&expr) {
                let wrong = Diagnostic::error(code::TYPE, expr.span, "a dynamic value has no order")
                    .suggest("convert it, for example with tostring(…) or toreal(…)");
                // Microsoft's binder says nothing of it in `top`.
                if !top {
                    return self.report(wrong);
                }
                self.not_run(wrong)?;
            }
            let ascending = key.ascending.unwrap_or(false);
            // Null is the smallest value unless the query says otherwise.
            bound.push(BoundSortKey { expr, ascending, nulls_first: key.nulls_first.unwrap_or(ascending) });
        }
        Ok(bound)
    }

    pub(super) fn top(&mut self, input: Rel, count: &Expr, keys: &[SortKey], scope: &Scope) -> Bind<Rel> {
        let count = self.constant_long(count, scope, "the count of top")?.unwrap_or(0);
        let keys = self.sort_keys(&input, keys, scope, true)?;
        let sorted = Self::sorted(input, keys);
        Ok(self.limited(sorted, count))
    }
}
