//! Calls of functions that `let` defines: their parameters bound to arguments, and their bodies.

use std::rc::Rc;

use super::expr::Ctx;
use super::scope::Function;
use super::{Bind, Binder, Binding, RowInfo, Scope};
use crate::kql::ast::*;
use crate::kql::bound::*;
use crate::kql::diagnostics::code;
use crate::kql::types::Type;

impl Binder<'_> {
    /// A scalar call of a function that `let` defined.
    pub(super) fn scalar_function_call(
        &mut self,
        function: &Rc<Function>,
        name: &Name,
        args: &[Arg],
        ctx: &mut Ctx<'_>,
        span: Span,
    ) -> Bind<BoundExpr> {
        let scope = self.function_scope(function, name, args, Some(ctx), &[])?;
        let function = function.clone();
        let body = |b: &mut Self| {
            let Some(last) = b.body_statements(&function.body, &scope)? else {
                return b.error(code::TYPE, span, format!("the function '{}' has no result", name.text));
            };
            // The body sees the function's own names only; columns reach it through its arguments.
            let row = RowInfo::default();
            if b.is_tabular(last, &scope, &row) {
                return b.error(
                    code::TYPE,
                    span,
                    format!("the function '{}' gives a table; a scalar is expected here (toscalar makes one)", name.text),
                );
            }
            let mut inner = Ctx::new(&row, &scope);
            let mut e = b.scalar(last, &mut inner)?;
            e.span = span;
            Ok(e)
        };
        self.deeper(span, |b| b.counting_from(0, body))
    }

    /// The scope of a function's body: its parameters bound to arguments. `leading` are tabular arguments that come first
    /// (`invoke`).
    pub(super) fn function_scope(
        &mut self,
        function: &Rc<Function>,
        name: &Name,
        args: &[Arg],
        mut ctx: Option<&mut Ctx<'_>>,
        leading: &[Rc<Rel>],
    ) -> Bind<Scope> {
        let scope = function.scope.nested(true);
        let mut positional = args.iter().filter(|a| a.name.is_none());
        let mut leading = leading.iter();
        let row = RowInfo::default();
        for param in &function.params {
            let named = args.iter().find(|a| a.name.as_ref().is_some_and(|n| n.text == param.name.text));
            if let ParamType::Table { columns, open } = &param.ty {
                let rel = match leading.next() {
                    Some(rel) => rel.clone(),
                    None => {
                        let Some(arg) = named.or_else(|| positional.next()) else {
                            return self.error(
                                code::ARITY,
                                name.span,
                                format!("'{}' needs the table '{}'", name.text, param.name.text),
                            );
                        };
                        let outer = ctx.as_ref().map_or_else(|| function.scope.clone(), |c| c.scope.clone());
                        Rc::new(self.deeper(arg.expr.span, |b| b.table(&arg.expr, &outer))?)
                    }
                };
                let rel = self.shaped(rel, columns, *open, name)?;
                scope.define(&param.name.text, Binding::Bound(rel));
                continue;
            }
            let ParamType::Scalar(ty) = param.ty else { continue };
            let value = match named.or_else(|| positional.next()) {
                Some(arg) => match ctx.as_deref_mut() {
                    Some(ctx) => self.scalar(&arg.expr, ctx)?,
                    None => {
                        let mut inner = Ctx::new(&row, &function.scope);
                        self.scalar(&arg.expr, &mut inner)?
                    }
                },
                None => match &param.default {
                    Some(default) => {
                        let mut inner = Ctx::new(&row, &function.scope);
                        self.scalar(default, &mut inner)?
                    }
                    None => {
                        return self.error(
                            code::ARITY,
                            name.span,
                            format!("'{}' needs the argument '{}'", name.text, param.name.text),
                        );
                    }
                },
            };
            let convertible = value.ty == ty
                || (value.ty.is_numeric() && ty.is_numeric())
                || value.ty == Type::Dynamic
                || ty == Type::Dynamic
                || value.as_literal().is_some();
            if !convertible {
                return self.error(
                    code::TYPE,
                    value.span,
                    format!("'{}' of '{}' is {ty}, not {}", param.name.text, name.text, value.ty),
                );
            }
            let value = self.coerce(value, ty)?;
            scope.define(&param.name.text, Binding::Scalar(value));
        }
        if positional.next().is_some() {
            return self.error(
                code::ARITY,
                name.span,
                format!("'{}' takes {} arguments, {} given", name.text, function.params.len(), args.len()),
            );
        }
        Ok(scope)
    }

    /// A tabular argument in the shape that the parameter declares.
    fn shaped(&mut self, rel: Rc<Rel>, columns: &[ColumnDecl], open: bool, name: &Name) -> Bind<Rc<Rel>> {
        for column in columns {
            match rel.columns.iter().find(|c| c.name == column.name.text) {
                Some(found) if found.ty == column.ty => {}
                Some(found) => {
                    return self.error(
                        code::TYPE,
                        name.span,
                        format!(
                            "'{}' wants column '{}' as {}, the table has {}",
                            name.text, column.name.text, column.ty, found.ty
                        ),
                    );
                }
                None => {
                    return self.error(
                        code::UNKNOWN,
                        name.span,
                        format!("'{}' wants a table with the column '{}'", name.text, column.name.text),
                    );
                }
            }
        }
        // Microsoft's language service lets the body see the other columns too.
        if open || columns.is_empty() || columns.len() == rel.columns.len() || self.checking {
            return Ok(rel);
        }
        let kept = columns.iter().filter_map(|d| rel.columns.iter().find(|c| c.name == d.name.text).cloned()).collect();
        Ok(Rc::new(Self::renamed((*rel).clone(), kept)))
    }
}
