//! `mv-expand`.

use std::collections::HashSet;

use crate::binder::expr::ExprContext;
use crate::binder::names::TargetName;
use crate::binder::{Bind, Binder, RowInfo, Scope};
use crate::bound::*;
use crate::free_name::free_name;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::Type;

use super::shape::property_text;

/// Elements that the legacy spelling `mvexpand` gives for one row.
const LEGACY_LIMIT: i64 = 128;

/// How arrays and bags become rows.
pub(super) struct Expansion<'a> {
    /// Elements of one row at most.
    pub limit: Option<i64>,
    /// Members of bags are arrays of two.
    pub bag_as_array: bool,
    /// The name of a column of places.
    pub index: Option<String>,
    /// The column of the placeholder rows that sub-queries get.
    pub placeholder: Option<&'a HiddenColumn>,
}

impl Binder<'_> {
    pub(super) fn mv_expand(
        &mut self,
        input: Rel,
        operator: &Operator,
        items: &[ExpandItem],
        limit: Option<&Expr>,
        legacy: bool,
        scope: &Scope,
    ) -> Bind<Rel> {
        let limit = match limit {
            Some(limit) => self.constant_long(limit, scope, "the limit of mv-expand")?,
            None => legacy.then_some(LEGACY_LIMIT),
        };
        let mut bag_as_array = false;
        for kind in ["kind", "bagexpansion"].iter().filter_map(|name| operator.property(name)) {
            match property_text(&kind.value).as_str() {
                "array" => bag_as_array = true,
                "bag" => {}
                other => return self.error(code::SYNTAX, kind.value.span, format!("bags become bag or array, not '{other}'")),
            }
        }
        let index = operator.property("with_itemindex").map(|p| property_text(&p.value));
        let form = Expansion { limit, bag_as_array, index, placeholder: None };
        self.expanded(input, items, form, scope)
    }

    /// Rows of expanded arrays and bags. Unnamed columns are replaced in place, others come last, then the index.
    pub(super) fn expanded(&mut self, mut input: Rel, items: &[ExpandItem], form: Expansion<'_>, scope: &Scope) -> Bind<Rel> {
        let Expansion { mut limit, bag_as_array, index, placeholder } = form;
        if limit.is_some_and(|limit| limit <= 0)
            && let Some(stays) = self.is_placeholder(&input.hidden)
        {
            (input, limit) = (Self::filtered(input, stays), None);
        }
        let row = RowInfo::of(&input);
        let mut targets: Vec<(TargetName, BoundExpr, Type)> = Vec::with_capacity(items.len());
        for item in items {
            let mut e = self.scalar(&item.expr.expr, &mut ExprContext::new(&row, scope))?;
            if self.is_untyped(&e) && e.ty != Type::Dynamic {
                e = self.as_wanted(e, Type::Dynamic);
            }
            if e.ty != Type::Dynamic {
                let mut diagnostic =
                    Diagnostic::error(code::EXPAND, e.span, format!("mv-expand takes a dynamic value, not {}", e.ty));
                if e.ty == Type::String {
                    diagnostic = diagnostic.suggest("parse the text first: mv-expand parse_json(…)");
                }
                return self.report(diagnostic);
            }
            targets.push((Self::target_name(&item.expr), e, item.to.unwrap_or(Type::Dynamic)));
        }
        self.refuse_repeated_names(items.iter().map(|item| &item.expr))?;
        let avoid: HashSet<&str> = row.columns.iter().map(|c| c.name.as_str()).collect();
        let settled = self.resolve_names(&targets.iter().map(|(w, _, _)| w.clone()).collect::<Vec<_>>(), avoid, true);
        let mut columns = input.columns.clone();
        let mut expand = Vec::with_capacity(targets.len());
        for (name, (_, expr, ty)) in settled.into_iter().zip(targets) {
            let column = BoundColumn { id: self.id(), name, ty };
            if ty == Type::Dynamic {
                self.propagate_type(column.id, &expr);
            }
            let expr = self.null_in_placeholders(expr, &input.hidden);
            expand.push(ExpandColumn { id: column.id, expr, ty });
            match columns.iter_mut().find(|c| c.name == column.name) {
                Some(place) => *place = column,
                None => columns.push(column),
            }
        }
        let index = index.map(|name| {
            let id = self.id();
            let name = free_name(&name, |n| columns.iter().any(|c| c.name == n));
            columns.push(BoundColumn { id, name, ty: Type::Long });
            id
        });
        let mut hidden: Vec<HiddenColumn> = input
            .hidden
            .iter()
            .filter(|h| match &h.role {
                HiddenRole::Promoted { parent, .. } => columns.iter().any(|c| c.id == *parent),
                HiddenRole::Key | HiddenRole::Carried | HiddenRole::Placeholder | HiddenRole::Open(_) => true,
            })
            .cloned()
            .collect();
        hidden.extend(placeholder.cloned());
        let placeholder = placeholder.map(|h| h.id);
        let keep_empty = false;
        Ok(Rel {
            columns,
            hidden,
            serialized: input.serialized,
            table_name: None,
            kind: RelKind::Expand { input: Box::new(input), items: expand, index, limit, bag_as_array, keep_empty, placeholder },
        })
    }
}
