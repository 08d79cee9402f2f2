//! `declare pattern`: queries that constant arguments choose from.

use std::rc::Rc;

use super::expr::ExprContext;
use super::scope::DeclaredPattern;
use super::{Bind, Binder, Binding, RowInfo, Scope};
use crate::bound::*;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::{Type, Value};

impl Binder<'_> {
    pub(super) fn declare_pattern(&mut self, declared: &PatternDecl, scope: &Scope) -> Bind<()> {
        for param in declared.params.iter().chain(&declared.path) {
            if !matches!(param.ty, ParamType::Scalar(_)) {
                return self.error(code::TYPE, param.name.span, "a pattern's parameters are scalars");
            }
        }
        for arm in &declared.arms {
            if arm.args.len() != declared.params.len() {
                let message = format!(
                    "the pattern '{}' has {} parameters, and {} are given here",
                    declared.name.text,
                    declared.params.len(),
                    arm.args.len()
                );
                return self.error(code::ARITY, arm.span, message);
            }
            if arm.path.is_some() && declared.path.is_none() {
                return self.error(code::SYNTAX, arm.span, "the pattern is declared without a path");
            }
        }
        let pattern = DeclaredPattern { declared: declared.clone(), scope: scope.nested(false) };
        scope.define(&declared.name.text, Binding::Pattern(Rc::new(pattern)));
        Ok(())
    }

    /// The pattern that an expression calls.
    pub(super) fn pattern_of<'e>(&self, base: &'e Expr, scope: &Scope) -> Option<(Rc<DeclaredPattern>, &'e [Arg])> {
        let ExprKind::Call { function, args } = &base.kind else { return None };
        match scope.find(&function.text) {
            Some((Binding::Pattern(pattern), _)) => Some((pattern, args.as_slice())),
            _ => None,
        }
    }

    /// `name("a").b`: the query behind the arguments.
    pub(super) fn pattern_table(
        &mut self,
        pattern: &Rc<DeclaredPattern>,
        args: &[Arg],
        path: Option<&Name>,
        scope: &Scope,
        span: Span,
    ) -> Bind<Rel> {
        let declared = &pattern.declared;
        let name = &declared.name.text;
        if args.len() != declared.params.len() {
            let message = format!("the pattern '{name}' takes {} arguments, {} given", declared.params.len(), args.len());
            return self.error(code::ARITY, span, message);
        }
        let row = RowInfo::default();
        let mut given = Vec::with_capacity(args.len() + 1);
        for (arg, param) in args.iter().zip(&declared.params) {
            let value = self.scalar(&arg.expr, &mut ExprContext::new(&row, scope))?;
            given.push(self.pattern_value(value, param)?);
        }
        match (path, &declared.path) {
            (Some(path), Some(param)) => {
                let value = BoundExpr::literal(Value::String(path.text.clone()), Type::String, path.span);
                given.push(self.pattern_value(value, param)?);
            }
            (Some(path), None) => return self.error(code::UNKNOWN, path.span, format!("the pattern '{name}' has no paths")),
            // Queries without a path may appear beside those with one.
            (None, _) => {}
        }
        let params: Vec<&ParamDecl> = declared.params.iter().chain(&declared.path).collect();
        let mut chosen = None;
        for arm in declared.arms.iter().filter(|arm| arm.path.is_some() == path.is_some()) {
            let mut fits = true;
            for ((literal, param), value) in arm.args.iter().chain(&arm.path).zip(&params).zip(&given) {
                let e = self.scalar(literal, &mut ExprContext::new(&row, &pattern.scope))?;
                fits &= self.pattern_value(e, param)?.0 == value.0;
            }
            if fits {
                chosen = Some(arm);
                break;
            }
        }
        let Some(arm) = chosen else {
            let known: Vec<String> = declared.arms.iter().map(|arm| shown(&arm.args, arm.path.as_ref())).collect();
            let diagnostic =
                Diagnostic::error(code::UNKNOWN, span, format!("the pattern '{name}' has no query for these arguments"));
            return self.report(if known.is_empty() {
                diagnostic
            } else {
                diagnostic.suggest(format!("it has {}", known.join(", ")))
            });
        };
        let inner = pattern.scope.nested(true);
        for (param, value) in params.iter().zip(given) {
            inner.define(&param.name.text, Binding::Scalar(value.1));
        }
        let body = Rc::new(arm.body.clone());
        self.with_depth(span, |b| match b.body_statements(&body, &inner)? {
            Some(last) => b.table(last, &inner),
            None => b.error(code::TYPE, arm.span, "the pattern has no query here"),
        })
    }

    /// An argument in its parameter's type; it must be known before the query runs.
    fn pattern_value(&mut self, value: BoundExpr, param: &ParamDecl) -> Bind<(Value, BoundExpr)> {
        let ty = match &param.ty {
            ParamType::Scalar(ty) => *ty,
            ParamType::Table { .. } => Type::Dynamic,
        };
        let span = value.span;
        let value = self.coerce(value, ty)?;
        match self.constant(&value, "an argument of a pattern")? {
            Some(constant) => Ok((constant, value)),
            None => self.error(code::TYPE, span, format!("the argument '{}' of a pattern must be a constant", param.name.text)),
        }
    }
}

/// `("a").["b"]`, for messages.
fn shown(args: &[Expr], path: Option<&Expr>) -> String {
    let text = |e: &Expr| match &e.kind {
        ExprKind::Literal(Literal::String(text)) => format!("\"{text}\""),
        ExprKind::Literal(Literal::Long(Some(number))) => number.to_string(),
        _ => "…".to_owned(),
    };
    let args = args.iter().map(text).collect::<Vec<_>>().join(", ");
    match path {
        Some(path) => format!("({args}).[{}]", text(path)),
        None => format!("({args})"),
    }
}
