//! Calls of functions that `let` defines: their parameters bound to arguments, and their bodies.

use std::rc::Rc;

use super::expr::ExprContext;
use super::scope::Function;
use super::{Bind, Binder, Binding, RowInfo, Scope};
use crate::bound::*;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::code;
use kqlake_value::Type;

impl Binder<'_> {
    /// A scalar call of a function that `let` defined.
    pub(super) fn scalar_function_call(
        &mut self,
        function: &Rc<Function>,
        name: &Name,
        args: &[Arg],
        ctx: &mut ExprContext<'_>,
        span: Span,
    ) -> Bind<BoundExpr> {
        let (scope, unlisted) = self.function_scope(function, name, args, Some(ctx), &[])?;
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
            let mut inner = ExprContext::new(&row, &scope);
            let mut e = b.scalar(last, &mut inner)?;
            e.span = span;
            Ok(e)
        };
        self.with_depth(span, |b| b.called(Some(span), unlisted, |b| b.counting_from(0, body)))
    }

    /// Binds the body of a function, at the place of its call where that counts. It may not name the `unlisted` columns.
    pub(super) fn called<T>(&mut self, place: Option<Span>, unlisted: Vec<ColId>, body: impl FnOnce(&mut Self) -> T) -> T {
        self.calls.extend(place);
        let result = self.hiding_columns(unlisted, body);
        self.calls.truncate(self.calls.len() - place.iter().len());
        result
    }

    fn hiding_columns<T>(&mut self, unlisted: Vec<ColId>, body: impl FnOnce(&mut Self) -> T) -> T {
        if unlisted.is_empty() {
            return body(self);
        }
        // The table gets new ids at each use, which are unlisted as long as the body is bound.
        let outer = self.unlisted.clone();
        self.unlisted.extend(unlisted);
        let result = body(self);
        self.unlisted = outer;
        result
    }

    /// The column of a name, unless the current function may not name it.
    pub(super) fn named_column<'c>(&self, columns: &'c [BoundColumn], name: &str) -> Option<&'c BoundColumn> {
        columns.iter().find(|c| c.name == name).filter(|c| !self.unlisted.contains(&c.id))
    }

    /// The scope of a function's body, its parameters bound to arguments, and the columns that it may not name. `leading` are
    /// tabular arguments that come first (`invoke`).
    pub(super) fn function_scope(
        &mut self,
        function: &Rc<Function>,
        name: &Name,
        args: &[Arg],
        mut ctx: Option<&mut ExprContext<'_>>,
        leading: &[Rc<Rel>],
    ) -> Bind<(Scope, Vec<ColId>)> {
        let unknown =
            args.iter().filter_map(|a| a.name.as_ref()).find(|n| !function.params.iter().any(|p| p.name.text == n.text));
        if let Some(unknown) = unknown {
            let candidates = function.params.iter().map(|p| p.name.text.clone()).collect();
            return self.unknown("parameter", unknown, candidates);
        }
        let scope = function.scope.nested(true);
        let mut unlisted = Vec::new();
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
                        Rc::new(self.with_depth(arg.expr.span, |b| b.table(&arg.expr, &outer))?)
                    }
                };
                let rel = self.check_shape(rel, columns, name)?;
                // Microsoft's language service lets the body name the other columns too.
                if !*open && !columns.is_empty() && !self.checking {
                    let listed = |c: &&BoundColumn| columns.iter().any(|d| d.name.text == c.name);
                    unlisted.extend(rel.columns.iter().filter(|c| !listed(c)).map(|c| c.id));
                }
                scope.define(&param.name.text, Binding::Bound(rel));
                continue;
            }
            let ParamType::Scalar(ty) = param.ty else { continue };
            let value = match named.or_else(|| positional.next()) {
                Some(arg) => match ctx.as_deref_mut() {
                    Some(ctx) => self.scalar(&arg.expr, ctx)?,
                    None => {
                        let mut inner = ExprContext::new(&row, &function.scope);
                        self.scalar(&arg.expr, &mut inner)?
                    }
                },
                None => match &param.default {
                    Some(default) => {
                        let mut inner = ExprContext::new(&row, &function.scope);
                        let value = self.scalar(default, &mut inner)?;
                        self.fitting_default(&param.name, &value, ty)?;
                        value
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
                || value.as_literal().is_some()
                || self.is_untyped(&value);
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
        Ok((scope, unlisted))
    }

    /// Checks that a tabular argument has the columns that the parameter lists.
    fn check_shape(&mut self, mut rel: Rc<Rel>, columns: &[ColumnDecl], name: &Name) -> Bind<Rc<Rel>> {
        for column in columns {
            match self.named_column(&rel.columns, &column.name.text).cloned() {
                Some(found) if self.untyped.contains(found.id) => {
                    let _: BoundExpr = self.as_other(BoundExpr::column(&found, name.span), column.ty);
                }
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
                None if self.checking && Self::is_open(&rel) => {
                    let id = self.id();
                    Rc::make_mut(&mut rel).columns.push(BoundColumn { id, name: column.name.text.clone(), ty: column.ty });
                }
                None if self.infer(&column.name, &rel.hidden).is_some() => {}
                None => {
                    return self.error(
                        code::UNKNOWN,
                        name.span,
                        format!("'{}' wants a table with the column '{}'", name.text, column.name.text),
                    );
                }
            }
        }
        Ok(rel)
    }
}
