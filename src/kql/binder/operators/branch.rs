//! `fork`, `facet` and `invoke`.

use std::rc::Rc;

use crate::binder::{Bind, Binder, Binding, Scope};
use crate::bound::*;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::code;

use super::super::source::empty_rel;

impl Binder<'_> {
    /// Each branch is a result table of its own.
    pub(super) fn fork(
        &mut self,
        input: Rel,
        operator: &Operator,
        branches: &[(Option<Name>, Expr)],
        scope: &Scope,
    ) -> Bind<Rel> {
        self.not_in_sub_query(operator, "fork")?;
        for (number, (name, body)) in branches.iter().enumerate() {
            let source = self.with_fresh_ids(input.clone());
            let rel = self.body_over(source, body, scope)?;
            let name = name.as_ref().map_or_else(|| format!("GenericResult_{number}"), |n| n.text.clone());
            self.extra_tables.push((name, rel));
        }
        Ok(empty_rel())
    }

    /// The rows of the `with` body, then a table of values and counts for each column.
    pub(super) fn facet(
        &mut self,
        input: Rel,
        operator: &Operator,
        by: &[Expr],
        with: Option<&Expr>,
        scope: &Scope,
    ) -> Bind<Rel> {
        self.not_in_sub_query(operator, "facet")?;
        if let Some(with) = with {
            let source = self.with_fresh_ids(input.clone());
            let rel = self.body_over(source, with, scope)?;
            self.extra_tables.push(("Facet_with".to_owned(), rel));
        }
        for column in by {
            let Some(name) = crate::binder::bare_name(column) else {
                return self.error(code::TYPE, column.span, "facet takes columns by their names");
            };
            let name = name.text.clone();
            let source = self.with_fresh_ids(input.clone());
            let item = NamedExpr { names: Vec::new(), tuple: false, expr: column.clone() };
            let count = NamedExpr {
                names: vec![Name { text: format!("count_{name}"), span: column.span }],
                tuple: false,
                expr: Expr {
                    kind: ExprKind::Call { function: Name { text: "count".to_owned(), span: column.span }, args: Vec::new() },
                    span: column.span,
                },
            };
            let rel = self.summarize(source, &[count], &[item], scope, column.span)?;
            self.extra_tables.push((format!("Facet_{name}"), rel));
        }
        Ok(empty_rel())
    }

    /// A body of operators over an input.
    fn body_over(&mut self, input: Rel, body: &Expr, scope: &Scope) -> Bind<Rel> {
        let operators: Vec<&Operator> = match &body.kind {
            ExprKind::Operators(operators) => operators.iter().collect(),
            ExprKind::Source(first) => vec![first],
            ExprKind::Pipe { source, operators } => match &source.kind {
                ExprKind::Source(first) => std::iter::once(&**first).chain(operators).collect(),
                _ => return self.error(code::SYNTAX, body.span, "operators are expected here"),
            },
            _ => return self.error(code::SYNTAX, body.span, "operators are expected here, for example: (where … | summarize …)"),
        };
        let mut rel = input;
        for operator in operators {
            rel = self.operator(Some(rel), operator, scope, false)?;
        }
        Ok(rel)
    }

    /// `T | invoke f(args)`: the table is the function's first tabular parameter.
    pub(super) fn invoke(&mut self, input: Rel, call: &Expr, scope: &Scope) -> Bind<Rel> {
        let (name, args): (&Name, &[Arg]) = match &call.kind {
            ExprKind::Call { function, args } => (function, args),
            ExprKind::Name(name) => (name, &[]),
            _ => return self.error(code::SYNTAX, call.span, "invoke takes a function"),
        };
        match scope.find(&name.text) {
            Some((Binding::Function(function), _)) => self.table_function(&function, name, args, Some(Rc::new(input)), scope),
            _ => {
                if let Some(table) = self.service(name, args, Some(&input), scope) {
                    return table;
                }
                let candidates: Vec<String> = scope.names();
                self.unknown("function", name, candidates)
            }
        }
    }
}
