//! Statements: `let`, `declare query_parameters`, `set`, and the queries themselves.

use std::rc::Rc;

use super::expr::ExprContext;
use super::scope::Function;
use super::{Bind, BindError, Binder, Binding, RowInfo, Scope};
use crate::bound::*;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, Severity, code};
use kqlake_value::{Type, Value, json_of};

/// Result tables that one text may have.
const MAX_TABLES: usize = 1_000;

/// Options of `set` that mean nothing to a local engine and are ignored.
const IGNORED_OPTIONS: [&str; 24] = [
    "notruncation",
    "truncationmaxsize",
    "truncationmaxrecords",
    "norequesttimeout",
    "servertimeout",
    "querytrace",
    "best_effort",
    "deferpartialqueryfailures",
    "maxmemoryconsumptionperiterator",
    "maxoutputcolumns",
    "max_memory_consumption_per_query_per_node",
    "query_results_cache_max_age",
    "query_results_progressive_enabled",
    "query_language",
    "query_datascope",
    "query_consistency",
    "query_weakconsistency_session_id",
    "query_take_max_records",
    "query_fanout_nodes_percent",
    "query_fanout_threads_percent",
    "query_force_row_level_security",
    "query_python_debug",
    "push_selection_through_aggregation",
    "materialized_view_shuffle",
];

impl Binder<'_> {
    /// Binds all statements; the queries' trees in order. Errors of one statement do not hide those of the next.
    pub(super) fn bind_script(&mut self, script: &Script, scope: &Scope) -> Bind<Vec<(String, Rel)>> {
        let mut tables = Vec::new();
        let mut failed = false;
        for statement in &script.statements {
            if self.depth == 0 {
                self.operators = 0;
            }
            let result = match &statement.kind {
                StatementKind::Query(expr) => self.query(expr, scope).map(|rel| {
                    let mut found = Vec::new();
                    std::mem::swap(&mut found, &mut self.extra_tables);
                    if let Some(rel) = rel {
                        found.push((String::new(), rel));
                    }
                    for (name, rel) in found {
                        let name = if name.is_empty() { format!("Table_{}", tables.len()) } else { name };
                        tables.push((name, rel));
                    }
                }),
                _ => self.statement(statement, scope),
            };
            if tables.len() > MAX_TABLES {
                return self.error(code::LIMIT, statement.span, format!("the text has more than {MAX_TABLES} queries"));
            }
            match result {
                Ok(()) => {}
                Err(BindError::Pending) => return Err(BindError::Pending),
                Err(BindError::Reported) => failed = true,
            }
        }
        if failed {
            return Err(BindError::Reported);
        }
        // A piece of a query may be checked: functions to use elsewhere.
        let piece = self.checking && !script.statements.is_empty();
        if tables.is_empty() && !piece && !self.diagnostics.iter().any(|d| d.severity == Severity::Error) {
            let end = script.statements.last().map_or(Span::default(), |s| s.span);
            return self.error(code::SYNTAX, end, "the text has no query; end it with a tabular expression");
        }
        Ok(tables)
    }

    fn query(&mut self, expr: &Expr, scope: &Scope) -> Bind<Option<Rel>> {
        let rel = self.table(expr, scope)?;
        // `fork` and `facet` leave their tables beside; the tree itself is then only a carrier.
        let only_extra = !self.extra_tables.is_empty() && matches!(rel.kind, RelKind::Values(_)) && rel.columns.is_empty();
        Ok((!only_extra).then_some(rel))
    }

    /// The statements of a function's body in its scope; gives the last, its result.
    pub(super) fn body_statements<'s>(&mut self, body: &'s Rc<Script>, scope: &Scope) -> Bind<Option<&'s Expr>> {
        let mut last = None;
        for statement in &body.statements {
            match &statement.kind {
                StatementKind::Query(expr) => last = Some(expr),
                _ => self.statement(statement, scope)?,
            }
        }
        Ok(last)
    }

    fn statement(&mut self, statement: &Statement, scope: &Scope) -> Bind<()> {
        match &statement.kind {
            StatementKind::Let { name, value } => self.bind_let(name, value, scope),
            StatementKind::DeclareParameters(params) => {
                // One that is wrong does not hide the others, nor make their uses wrong.
                let bound: Vec<Bind<()>> = params.iter().map(|param| self.query_parameter(param, scope)).collect();
                if bound.iter().any(|param| matches!(param, Err(BindError::Pending))) {
                    return Err(BindError::Pending);
                }
                bound.into_iter().collect()
            }
            StatementKind::Set { name, value } => self.set(name, value.as_ref(), scope),
            StatementKind::Alias { name, .. } => {
                scope.define(&name.text, Binding::Database);
                Ok(())
            }
            StatementKind::Restrict(_) => self.not_run(Diagnostic::error(
                code::UNSUPPORTED,
                statement.span,
                "restrict access (it narrows what a query may see, so it is not ignored) is not supported",
            )),
            StatementKind::DeclarePattern => self.not_run(Diagnostic::error(
                code::UNSUPPORTED,
                statement.span,
                "declare pattern without its queries is not supported",
            )),
            StatementKind::Pattern(declared) => self.declare_pattern(declared, scope),
            StatementKind::Query(_) => Ok(()),
        }
    }

    fn bind_let(&mut self, name: &Name, value: &Expr, scope: &Scope) -> Bind<()> {
        if scope.defines(&name.text) {
            return self.error(code::DUPLICATE, name.span, format!("'{}' is defined already", name.text));
        }
        let row = RowInfo::default();
        let binding = match &value.kind {
            ExprKind::Lambda { params, body, view } => {
                let is_table = |p: &&ParamDecl| matches!(p.ty, ParamType::Table { .. });
                if let Some(late) = params.iter().skip_while(is_table).find(is_table) {
                    return self.error(code::SYNTAX, late.name.span, "tabular parameters stand before all others");
                }
                let function = Rc::new(Function {
                    params: params.clone(),
                    body: Rc::new((**body).clone()),
                    scope: scope.clone(),
                    view: *view,
                });
                Binding::Function(function)
            }
            _ if self.is_tabular(value, scope, &row) => {
                // Each use binds again: a tabular let is a macro. Binding it once here shows its errors even if it is not used.
                let (before, generated) = (self.scanned.clone(), self.generated);
                let (answers, at) = (self.answers, self.next_answer);
                self.answers = None;
                let extra = self.extra_tables.len();
                let checked = self.with_depth(value.span, |b| b.table(value, scope));
                self.answers = answers;
                self.next_answer = at;
                self.extra_tables.truncate(extra);
                checked?;
                self.scanned = before;
                Binding::Table(Rc::new(value.clone()), scope.nested(false), generated)
            }
            _ => {
                let mut ctx = ExprContext::new(&row, scope);
                let e = self.scalar(value, &mut ctx)?;
                if e.is_volatile() { Binding::Macro(Rc::new(value.clone()), scope.nested(false)) } else { Binding::Scalar(e) }
            }
        };
        scope.define(&name.text, binding);
        Ok(())
    }

    /// A declared query parameter takes its value from the command line as a value, never as text of the query.
    fn query_parameter(&mut self, param: &ParamDecl, scope: &Scope) -> Bind<()> {
        let ParamType::Scalar(ty) = param.ty else {
            return self.unsupported(param.name.span, "a tabular query parameter");
        };
        let value = self.value_of_parameter(param, ty, scope);
        // Where its value is wrong, its uses are not wrong, too.
        let unknown = || BoundExpr::new(BoundKind::Unknown, ty, param.name.span);
        let (value, result) = match value {
            Ok(value) => (value, Ok(())),
            Err(stop) => (unknown(), Err(stop)),
        };
        scope.define(&param.name.text, Binding::Scalar(value));
        result
    }

    fn value_of_parameter(&mut self, param: &ParamDecl, ty: Type, scope: &Scope) -> Bind<BoundExpr> {
        if let Some(text) = self.params.get(&param.name.text) {
            if let Some(value) = self.given(text, ty, param.name.span)? {
                return Ok(value);
            }
            let shown = kqlake_syntax::literals::shown(text);
            let message = format!("the value given for '{}' is no {ty}: `{shown}`", param.name.text);
            return self.report(Diagnostic::error(code::TYPE, param.name.span, message).suggest(written(ty)));
        }
        match &param.default {
            Some(default) => {
                let e = self.scalar(default, &mut ExprContext::new(&RowInfo::default(), scope))?;
                self.fitting_default(&param.name, &e, ty)?;
                self.coerce(e, ty)
            }
            None if self.answers.is_none() => Ok(BoundExpr::new(BoundKind::Unknown, ty, param.name.span)),
            None => {
                let message = format!("the parameter '{0}' has no value; give one with --param {0}=…", param.name.text);
                self.error(code::ARITY, param.name.span, message)
            }
        }
    }

    /// The value that a parameter's text stands for: a literal of its type, that of null too, or the bare value. `None` for a text
    /// that is neither.
    fn given(&mut self, text: &str, ty: Type, span: Span) -> Bind<Option<BoundExpr>> {
        if let Some(value) = self.parameter_literal(text, ty) {
            return Ok(Some(BoundExpr::literal(value, ty, span)));
        }
        if ty == Type::Dynamic {
            // As parse_json reads a text. What begins as a bag or an array is meant to be one.
            let value = json_of(text);
            let is_broken = value.is_string() && text.trim_start().starts_with(['{', '[', '"']) && !is_json(text);
            return Ok((!is_broken).then(|| BoundExpr::literal(Value::Dynamic(value), ty, span)));
        }
        // A datetime is any text that todatetime reads, and so on.
        let value = self.coerce(BoundExpr::literal(Value::String(text.to_owned()), Type::String, span), ty)?;
        Ok((!value.as_literal().is_some_and(Value::is_null)).then_some(value))
    }

    /// Refuses a parameter's default of another type; a number may be of a narrower one.
    pub(super) fn fitting_default(&mut self, name: &Name, default: &BoundExpr, ty: Type) -> Bind<()> {
        let numbers = default.ty.is_numeric() && ty.is_numeric();
        if default.ty == ty || numbers || self.is_untyped(default) {
            return Ok(());
        }
        let message = format!("'{}' is {ty}, its default is {}", name.text, default.ty);
        self.error(code::TYPE, default.span, message)
    }

    /// A parameter's text read as a KQL literal of its type (`1d`, `datetime(2026-01-05)`, `dynamic([1])`).
    fn parameter_literal(&self, text: &str, ty: Type) -> Option<Value> {
        if ty == Type::String {
            return None;
        }
        let parsed = kqlake_syntax::parser::parse(&format!("print {text}"));
        if !parsed.diagnostics.is_empty() {
            return None;
        }
        let StatementKind::Query(Expr { kind: ExprKind::Source(operator), .. }) = &parsed.script.statements.first()?.kind else {
            return None;
        };
        let OperatorKind::Print(items) = &operator.kind else { return None };
        let [NamedExpr { expr: Expr { kind: ExprKind::Literal(literal), .. }, names, .. }] = items.as_slice() else {
            return None;
        };
        (names.is_empty() && literal.ty() == ty).then(|| super::expr::literal_value(literal))
    }

    fn set(&mut self, name: &Name, value: Option<&Expr>, scope: &Scope) -> Bind<()> {
        let option = name.text.to_lowercase();
        let row = RowInfo::default();
        let found = self.diagnostics.len();
        let value = match value {
            Some(e) => match self.scalar(e, &mut ExprContext::new(&row, scope)) {
                Ok(e) => Some(e),
                // Some options take bare words; only those that are honoured need a value.
                Err(BindError::Reported) if option != "query_now" => {
                    self.diagnostics.truncate(found);
                    None
                }
                Err(stop) => return Err(stop),
            },
            None => None,
        };
        match option.as_str() {
            "query_now" | "request_now" => match value.as_ref().and_then(BoundExpr::as_literal) {
                Some(Value::DateTime(now)) => {
                    self.now = *now;
                    Ok(())
                }
                _ => self.error(code::TYPE, name.span, "query_now takes a datetime"),
            },
            "query_bin_auto_size" | "query_bin_auto_at" if value.as_ref().is_some_and(|v| v.as_literal().is_some()) => {
                let place = if option.ends_with("size") { &mut self.auto_bin.0 } else { &mut self.auto_bin.1 };
                *place = value;
                Ok(())
            }
            _ if IGNORED_OPTIONS.contains(&option.as_str()) || option.starts_with("request_") || option.starts_with("query_") => {
                Ok(())
            }
            _ => {
                self.warn(name.span, format!("the option '{}' is not known and ignored", name.text));
                Ok(())
            }
        }
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok()
}

/// How a value of a type is written for a parameter.
fn written(ty: Type) -> String {
    let example = match ty {
        Type::Bool => "true or false",
        Type::Int | Type::Long => "a whole number such as 5",
        Type::Real | Type::Decimal => "a number such as 1.5",
        Type::DateTime => "2026-01-05 or 2026-01-05T10:00:00Z",
        Type::TimeSpan => "7d, 90m or 01:30:00",
        Type::Guid => "74be27de-1e4e-49d9-b579-fe0b331d3642",
        Type::Dynamic => "JSON such as {\"a\":1}",
        Type::String => "any text",
    };
    format!("write {example}; {ty}(null) is the null of this type")
}
