//! Scalar expressions: names, paths, operators.

use super::{Bind, Binder, Binding, RowInfo, Scope, names};
use crate::bound::*;
use crate::functions::Registry;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::parse::decimal;
use kqlake_value::text_column::charge_text;
use kqlake_value::{Type, Value};

/// Where a scalar expression is.
pub(crate) struct ExprContext<'r> {
    /// The columns in reach.
    pub row: &'r RowInfo,
    /// The right side's columns, in a join's condition.
    pub right: Option<&'r RowInfo>,
    /// Names in scope.
    pub scope: Scope,
    /// Where aggregates are allowed: those found so far.
    pub aggregates: Option<Vec<(ColId, BoundAggregate)>>,
    /// Inside an aggregate's argument, where columns may appear.
    pub in_aggregate: bool,
    /// Where window functions are allowed (ordered rows): those found so far.
    pub windows: Option<Vec<(ColId, BoundWindow)>>,
    /// Window functions could appear here if the rows were ordered.
    pub could_window: bool,
}

impl<'r> ExprContext<'r> {
    /// A context over a row.
    pub(crate) fn new(row: &'r RowInfo, scope: &Scope) -> ExprContext<'r> {
        ExprContext {
            row,
            right: None,
            scope: scope.clone(),
            aggregates: None,
            in_aggregate: false,
            windows: None,
            could_window: false,
        }
    }
}

impl Binder<'_> {
    /// Binds a scalar expression and computes what is constant in it.
    pub(crate) fn scalar(&mut self, expr: &Expr, ctx: &mut ExprContext<'_>) -> Bind<BoundExpr> {
        let bound = self.scalar_inner(expr, ctx)?;
        self.fold(bound)
    }

    fn scalar_inner(&mut self, expr: &Expr, ctx: &mut ExprContext<'_>) -> Bind<BoundExpr> {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Literal(literal) => self.literal(literal, span),
            ExprKind::Name(name) => self.name(name, ctx),
            ExprKind::Path { base, field } => self.path(base, field, ctx, span),
            ExprKind::Index { base, index } => self.index(base, index, ctx, span),
            ExprKind::Call { function, args } => self.call(function, args, ctx, span),
            ExprKind::Unary { op, expr } => {
                let inner = self.scalar(expr, ctx)?;
                self.unary(*op, inner, span)
            }
            ExprKind::Binary { op, left, right } => {
                if let (
                    ExprKind::Star,
                    BinaryOp::Text { .. }
                    | BinaryOp::Equal
                    | BinaryOp::NotEqual
                    | BinaryOp::EqualIgnoreCase { .. }
                    | BinaryOp::MatchesRegex
                    | BinaryOp::SearchColon,
                ) = (&left.kind, op)
                {
                    return self.any_column(*op, right, ctx, span);
                }
                let left = self.scalar(left, ctx);
                let right = self.scalar(right, ctx);
                let (left, right) = (left?, right?);
                self.binary(*op, left, right, span)
            }
            ExprKind::Logical { and, terms } => {
                let bound: Vec<Bind<BoundExpr>> = terms.iter().map(|t| self.scalar(t, ctx)).collect();
                let mut terms = Vec::with_capacity(bound.len());
                for term in bound {
                    let term = term?;
                    terms.push(self.condition(term, if *and { "and" } else { "or" }, true)?);
                }
                Ok(BoundExpr::new(BoundKind::Logical { and: *and, terms }, Type::Bool, span))
            }
            ExprKind::List { op, left, items } => self.list(*op, left, items, ctx, span),
            ExprKind::Between { negated, expr, low, high } => {
                let (e, low, high) = (self.scalar(expr, ctx)?, self.scalar(low, ctx)?, self.scalar(high, ctx)?);
                self.between(*negated, e, low, high, span)
            }
            ExprKind::Named { expr, .. } => self.scalar(expr, ctx),
            ExprKind::TypeOf(TypeOf::Scalar(ty)) => Ok(BoundExpr::literal(Value::String(ty.name().into()), Type::String, span)),
            ExprKind::TypeOf(_) | ExprKind::Star | ExprKind::Wildcard(_) => {
                self.error(code::SYNTAX, span, "a scalar expression is expected here")
            }
            ExprKind::MethodCall { function, .. } => {
                self.unsupported(function.span, &format!("'{}' in a scalar expression", function.text))
            }
            ExprKind::Pipe { .. } | ExprKind::Source(_) | ExprKind::Operators(_) => {
                self.error(code::TYPE, span, "a tabular expression stands where a scalar is expected; wrap it in toscalar(…)")
            }
            ExprKind::Lambda { .. } => self.error(code::TYPE, span, "a function stands where a scalar is expected"),
            ExprKind::Unread { ty, content } => {
                // Microsoft's language service does not look into the parentheses.
                let message = format!("`{}` is no {ty} literal", kqlake_syntax::literals::shown(content));
                let remedy = format!("`{ty}(…)` encloses a literal; to{ty}(…) converts a value");
                self.not_run(Diagnostic::error(code::SYNTAX, span, message).suggest(remedy))?;
                Ok(BoundExpr::new(BoundKind::Unknown, *ty, span))
            }
            ExprKind::Error => Err(super::BindError::Reported),
        }
    }

    /// Replaces a constant expression by its value.
    pub(crate) fn fold(&mut self, e: BoundExpr) -> Bind<BoundExpr> {
        if matches!(e.kind, BoundKind::Literal(_)) {
            return Ok(e);
        }
        let mut ready = true;
        e.for_each_part(&mut |part| ready = ready && matches!(part.kind, BoundKind::Literal(_)));
        // A function of several columns stays a call, so that its columns can be named; one that is refused has no value.
        if matches!(&e.kind, BoundKind::Call { function, .. } if function.gives_several() || function.refusal().is_some()) {
            return Ok(e);
        }
        if !ready || !e.is_constant() {
            return Ok(e);
        }
        match (self.fold)(&e) {
            Ok(Some(value)) => {
                if let Value::String(text) = &value {
                    charge_text(text.len());
                }
                Ok(BoundExpr::literal(value, e.ty, e.span))
            }
            Ok(None) => Ok(e),
            Err(diagnostic) => self.report(*diagnostic),
        }
    }

    /// A name: a parameter or local, a column, then what `let` has defined.
    fn name(&mut self, name: &Name, ctx: &mut ExprContext<'_>) -> Bind<BoundExpr> {
        let found = ctx.scope.find(&name.text);
        if let Some((binding, true)) = &found
            && let Some(result) = self.scalar_binding(binding, name, ctx)
        {
            return result;
        }
        if let Some(column) = self.named_column(&ctx.row.columns, &name.text) {
            if ctx.aggregates.is_some() && !ctx.in_aggregate {
                return self.error(
                    code::UNKNOWN,
                    name.span,
                    format!("column '{}' stands outside of an aggregate; use it in one, or group by it", name.text),
                );
            }
            return Ok(BoundExpr::column(column, name.span));
        }
        if let Some((binding, _)) = &found
            && let Some(result) = self.scalar_binding(binding, name, ctx)
        {
            return result;
        }
        if let Some((Binding::Function(_), _)) = &found {
            return self.call(name, &[], ctx, name.span);
        }
        if found.is_none()
            && let Some(column) = self.infer(name, &ctx.row.hidden)
        {
            return Ok(column);
        }
        let mut candidates: Vec<String> = ctx.row.columns.iter().map(|c| c.name.clone()).collect();
        candidates.extend(ctx.scope.names());
        if found.is_some() || self.catalog.table(&name.text).is_some() {
            return self.error(code::TYPE, name.span, format!("'{}' is a table; a scalar is expected here", name.text));
        }
        self.unknown("column", name, candidates)
    }

    fn scalar_binding(&mut self, binding: &Binding, name: &Name, ctx: &mut ExprContext<'_>) -> Option<Bind<BoundExpr>> {
        match binding {
            Binding::Scalar(value) if value.any(&|part| self.is_outside(part)) => {
                let message = format!("'{}' differs from row to row and cannot be used inside of toscalar", name.text);
                let wrong = Diagnostic::error(code::TYPE, name.span, message);
                let ty = value.ty;
                Some(self.not_run(wrong).map(|()| BoundExpr::new(BoundKind::Unknown, ty, name.span)))
            }
            Binding::Scalar(value) => {
                let mut value = value.clone();
                value.span = name.span;
                Some(Ok(value))
            }
            Binding::Macro(expr, scope) => {
                let empty = RowInfo::default();
                let mut inner = ExprContext::new(&empty, scope);
                let expr = expr.clone();
                let _ = ctx;
                Some(self.with_depth(name.span, |b| b.scalar(&expr, &mut inner)))
            }
            _ => None,
        }
    }

    /// True for a column of the row that calls a query which is answered once.
    fn is_outside(&self, part: &BoundExpr) -> bool {
        matches!(part.kind, BoundKind::Column(id) if id <= self.outside && !self.untyped.contains(id))
    }

    /// `base.field`
    fn path(&mut self, base: &Expr, field: &Name, ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        if let ExprKind::Name(side) = &base.kind
            && matches!(side.text.as_str(), "$left" | "$right")
        {
            let row = if side.text == "$left" { Some(ctx.row) } else { ctx.right };
            let Some(row) = row else {
                return self.error(code::UNKNOWN, side.span, format!("'{}' stands outside of a join's condition", side.text));
            };
            if let Some(column) = self.named_column(&row.columns, &field.text) {
                return Ok(BoundExpr::column(column, span));
            }
            if let Some(column) = self.infer(field, &row.hidden) {
                return Ok(column);
            }
            let names: Vec<String> = row.columns.iter().map(|c| c.name.clone()).collect();
            return self.unknown("column", field, names);
        }
        let base = self.scalar(base, ctx)?;
        self.step(base, BoundPathStep::Key(field.text.clone()), ctx.row, field.span, span)
    }

    /// `base[index]`
    fn index(&mut self, base: &Expr, index: &Expr, ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        let base = self.scalar(base, ctx)?;
        let index = self.scalar(index, ctx)?;
        let step = match (index.as_literal(), index.ty) {
            (Some(Value::Long(i)), _) => BoundPathStep::Index(*i),
            (Some(Value::Int(i)), _) => BoundPathStep::Index((*i).into()),
            (Some(Value::String(key)), _) => BoundPathStep::Key(key.clone()),
            (_, Type::String | Type::Int | Type::Long | Type::Dynamic) => BoundPathStep::Computed(Box::new(index.clone())),
            (_, other) => return self.error(code::TYPE, index.span, format!("an index is a string or an integer, not {other}")),
        };
        self.step(base, step, ctx.row, index.span, span)
    }

    /// One step into a dynamic value; a promoted key is recognised here.
    fn step(&mut self, base: BoundExpr, step: BoundPathStep, row: &RowInfo, at: Span, span: Span) -> Bind<BoundExpr> {
        if self.is_untyped(&base) {
            return Ok(self.untyped_value(span));
        }
        if base.ty != Type::Dynamic {
            return self.report(
                Diagnostic::error(code::TYPE, at, format!("a value of type {} has no members", base.ty)).suggest(
                    if base.ty == Type::String {
                        "parse the text first: parse_json(…)"
                    } else {
                        "only dynamic values have members"
                    },
                ),
            );
        }
        if let (BoundKind::Column(parent), BoundPathStep::Key(key)) = (&base.kind, &step) {
            for hidden in &row.hidden {
                if let HiddenRole::Promoted { parent: of, key: mirrored, complete } = &hidden.role
                    && of == parent
                    && mirrored == key
                {
                    let kind = BoundKind::Promoted {
                        column: hidden.id,
                        column_ty: hidden.ty,
                        complete: *complete,
                        base: Box::new(base.clone()),
                        key: key.clone(),
                    };
                    return Ok(BoundExpr::new(kind, Type::Dynamic, span));
                }
            }
        }
        let kind = match base.kind {
            BoundKind::Path { base, mut steps } => {
                steps.push(step);
                BoundKind::Path { base, steps }
            }
            _ => BoundKind::Path { base: Box::new(base), steps: vec![step] },
        };
        Ok(BoundExpr::new(kind, Type::Dynamic, span))
    }

    /// `* op x`: any column fulfils it, by its text; for `==` by its value, where that is of a type that compares.
    fn any_column(&mut self, op: BinaryOp, right: &Expr, ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        let needle = self.scalar(right, ctx)?;
        let columns: Vec<BoundColumn> = ctx.row.columns.clone();
        let mut terms = Vec::new();
        for column in &columns {
            let mut left = BoundExpr::column(column, span);
            match op {
                BinaryOp::Equal | BinaryOp::NotEqual => {
                    if column.ty != needle.ty && !(column.ty.is_numeric() && needle.ty.is_numeric()) {
                        continue;
                    }
                }
                // Any column has a text to search.
                _ => left = self.coerce(left, Type::String)?,
            }
            terms.push(self.binary(op, left, needle.clone(), span)?);
        }
        Ok(match terms.len() {
            0 => BoundExpr::literal(Value::Bool(false), Type::Bool, span),
            1 => terms.remove(0),
            _ => BoundExpr::new(BoundKind::Logical { and: false, terms }, Type::Bool, span),
        })
    }

    /// A predicate: a bool. As an operand of `and` or `or` (`part`) a dynamic value counts as what it holds.
    pub(crate) fn condition(&mut self, e: BoundExpr, what: &str, part: bool) -> Bind<BoundExpr> {
        match e.ty {
            Type::Bool => Ok(e),
            _ if self.is_untyped(&e) => Ok(self.as_wanted(e, Type::Bool)),
            Type::Dynamic if part => self.convert(e, "tobool", Type::Bool),
            other => {
                let mut diagnostic = Diagnostic::error(code::TYPE, e.span, format!("{what} takes a bool, not {other}"));
                if other.is_numeric() {
                    diagnostic = diagnostic.suggest("compare it, for example with != 0");
                } else if matches!(other, Type::Dynamic | Type::String) {
                    diagnostic = diagnostic.suggest("wrap it in tobool(…)");
                }
                self.report(diagnostic)
            }
        }
    }

    /// Calls a one-argument conversion function.
    pub(crate) fn convert(&mut self, e: BoundExpr, function: &str, ty: Type) -> Bind<BoundExpr> {
        let span = e.span;
        let Some(function) = Registry::get().scalar(function) else {
            return self.unsupported(span, &format!("the function {function}"));
        };
        let call = BoundExpr::new(BoundKind::Call { function, args: vec![e] }, ty, span);
        self.fold(call)
    }

    /// Widens to a type that the value's type converts to without loss; other types are converted as the `to…` functions do.
    pub(crate) fn coerce(&mut self, e: BoundExpr, ty: Type) -> Bind<BoundExpr> {
        if self.is_untyped(&e) {
            return Ok(self.as_wanted(e, ty));
        }
        if e.ty == ty {
            return Ok(e);
        }
        if e.as_literal().is_some_and(Value::is_null) {
            let null = if ty == Type::String { Value::String(String::new()) } else { Value::Null };
            return Ok(BoundExpr::literal(null, ty, e.span));
        }
        let widening = matches!(
            (e.ty, ty),
            (Type::Int, Type::Long | Type::Real | Type::Decimal)
                | (Type::Long, Type::Real | Type::Decimal)
                | (Type::Real, Type::Decimal)
                | (Type::Dynamic | Type::Guid, Type::String)
        );
        if widening {
            let span = e.span;
            let cast = BoundExpr::new(BoundKind::Cast(Box::new(e)), ty, span);
            return self.fold(cast);
        }
        let function = match ty {
            Type::Bool => "tobool",
            Type::Int => "toint",
            Type::Long => "tolong",
            Type::Real => "toreal",
            Type::Decimal => "todecimal",
            Type::String => "tostring",
            Type::DateTime => "todatetime",
            Type::TimeSpan => "totimespan",
            Type::Guid => "toguid",
            Type::Dynamic => "todynamic",
        };
        if ty == Type::Dynamic {
            return self.to_dynamic(e);
        }
        self.convert(e, function, ty)
    }

    /// A literal as a bound constant.
    fn literal(&mut self, literal: &Literal, span: Span) -> Bind<BoundExpr> {
        let constant = literal_expr(literal, span);
        if matches!((literal, constant.as_literal()), (Literal::Decimal(Some(_)), Some(Value::Null))) {
            // Microsoft's decimals reach further.
            let message = "decimals beyond 20 digits before the point are not supported";
            self.not_run(Diagnostic::error(code::UNSUPPORTED, span, message).suggest("use real(…) where its 15 digits do"))?;
        }
        Ok(constant)
    }

    /// A scalar as a dynamic value: numbers, bools and strings keep their kind.
    #[expect(clippy::wrong_self_convention, reason = "`self` binds, the argument is converted")]
    pub(crate) fn to_dynamic(&mut self, e: BoundExpr) -> Bind<BoundExpr> {
        if e.ty == Type::Dynamic {
            return Ok(e);
        }
        let span = e.span;
        let cast = BoundExpr::new(BoundKind::Cast(Box::new(e)), Type::Dynamic, span);
        self.fold(cast)
    }

    /// The value of an expression that must be known before the query runs; `None` while binding without data.
    pub(crate) fn constant(&mut self, e: &BoundExpr, what: &str) -> Bind<Option<Value>> {
        if e.any(&|part| matches!(part.kind, BoundKind::Unknown | BoundKind::Untyped)) {
            return Ok(None);
        }
        match (self.fold)(e) {
            Ok(Some(value)) => Ok(Some(value)),
            Ok(None) => self.error(code::CONSTANT, e.span, format!("{what} must be a constant")),
            Err(diagnostic) => self.report(*diagnostic),
        }
    }

    /// Refuses a value that must be known before the query runs and is not; one that is unknown only while checking is accepted.
    pub(crate) fn require_constant(&mut self, e: &BoundExpr, what: &str) -> Bind<()> {
        if e.any(&|part| matches!(part.kind, BoundKind::Unknown | BoundKind::Untyped)) {
            return Ok(());
        }
        match (self.fold)(e) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => self.not_run(Diagnostic::error(code::CONSTANT, e.span, format!("{what} must be a constant"))),
            Err(diagnostic) => self.report(*diagnostic),
        }
    }

    /// A constant integer, for counts.
    pub(crate) fn constant_long(&mut self, expr: &Expr, scope: &Scope, what: &str) -> Bind<Option<i64>> {
        let row = RowInfo::default();
        let e = self.scalar(expr, &mut ExprContext::new(&row, scope))?;
        let span = e.span;
        match self.constant(&e, what)? {
            Some(Value::Long(n)) => Ok(Some(n)),
            Some(Value::Int(n)) => Ok(Some(n.into())),
            Some(_) => self.error(code::TYPE, span, format!("{what} must be an integer")),
            None => Ok(None),
        }
    }

    /// Names a derived expression and settles a list of names for an operator.
    pub(crate) fn target_name(item: &NamedExpr) -> names::TargetName {
        match item.names.first() {
            Some(name) => names::TargetName::Explicit(name.text.clone()),
            None => match names::derived(&item.expr) {
                Some(name) => names::TargetName::Derived(name),
                None => names::TargetName::Generated,
            },
        }
    }
}

/// A literal as a bound constant.
pub(super) fn literal_expr(literal: &Literal, span: Span) -> BoundExpr {
    BoundExpr::literal(literal_value(literal), literal.ty(), span)
}

/// A literal's value.
pub(super) fn literal_value(literal: &Literal) -> Value {
    match literal {
        Literal::Bool(v) => v.map_or(Value::Null, Value::Bool),
        Literal::Int(v) => v.map_or(Value::Null, Value::Int),
        Literal::Long(v) => v.map_or(Value::Null, Value::Long),
        Literal::Real(v) => v.map_or(Value::Null, Value::Real),
        Literal::Decimal(v) => v.as_deref().and_then(decimal).map_or(Value::Null, Value::Decimal),
        Literal::String(v) => Value::String(v.clone()),
        Literal::DateTime(v) => v.map_or(Value::Null, Value::DateTime),
        Literal::TimeSpan(v) => v.map_or(Value::Null, Value::TimeSpan),
        Literal::Guid(v) => v.clone().map_or(Value::Null, Value::Guid),
        Literal::Dynamic(v) => Value::Dynamic(v.as_ref().clone()),
    }
}
