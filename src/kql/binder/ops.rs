//! Typing of operators: which types go together, and the type of the result.

use super::expr::ExprContext;
use super::{Bind, Binder};
use crate::bound::*;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::{Json, Type, Value};

impl Binder<'_> {
    /// `-x`, `+x`
    pub(super) fn unary(&mut self, op: UnaryOp, inner: BoundExpr, span: Span) -> Bind<BoundExpr> {
        if self.is_untyped(&inner) {
            return Ok(inner);
        }
        let ty = match inner.ty {
            Type::Int if inner.as_literal().is_none() => Type::Long,
            Type::Int | Type::Long | Type::Real | Type::Decimal | Type::TimeSpan => inner.ty,
            Type::Dynamic => {
                let number = self.convert(inner, "toreal", Type::Real)?;
                let negated = self.unary(op, number, span)?;
                return self.to_dynamic(negated);
            }
            other => return self.error(code::TYPE, span, format!("a value of type {other} has no sign")),
        };
        if op == UnaryOp::Plus {
            return self.coerce(inner, ty);
        }
        Ok(BoundExpr::new(BoundKind::Negate(Box::new(inner)), ty, span))
    }

    /// `left op right`
    pub(super) fn binary(&mut self, op: BinaryOp, left: BoundExpr, right: BoundExpr, span: Span) -> Bind<BoundExpr> {
        use BinaryOp as B;
        if self.is_untyped(&left) || self.is_untyped(&right) {
            return Ok(match op {
                B::Add | B::Subtract | B::Multiply | B::Divide | B::Modulo => {
                    let side = |e: &BoundExpr| (!self.is_untyped(e)).then_some(e.ty);
                    match type_beside_unknown(op, side(&left), side(&right)) {
                        Some(ty) => BoundExpr::new(BoundKind::Unknown, ty, span),
                        None => self.untyped_value(span),
                    }
                }
                _ => BoundExpr::new(BoundKind::Unknown, Type::Bool, span),
            });
        }
        match op {
            B::Modulo if Type::Real == left.ty || Type::Real == right.ty => {
                // Microsoft's engine computes the remainder of constant reals, but not that of rows.
                if left.as_literal().is_none() || right.as_literal().is_none() {
                    self.not_run(
                        Diagnostic::error(code::TYPE, span, "the remainder of reals is not defined for rows")
                            .suggest("x - bin(x, y) is the same for a positive y; or convert both sides with tolong(…)"),
                    )?;
                }
                self.arithmetic(op, left, right, span)
            }
            B::Add | B::Subtract | B::Multiply | B::Divide | B::Modulo => self.arithmetic(op, left, right, span),
            B::Equal | B::NotEqual => self.equality(op, left, right, span),
            B::Less | B::LessOrEqual | B::Greater | B::GreaterOrEqual => self.relation(op, left, right, span),
            B::EqualIgnoreCase { .. } => {
                let (left, right) = (self.text_operand(left, "=~")?, self.text_operand(right, "=~")?);
                Ok(BoundExpr::new(BoundKind::Compare { op, left: Box::new(left), right: Box::new(right) }, Type::Bool, span))
            }
            B::Text { op, negated, case_sensitive } => self.text_search(op, negated, case_sensitive, left, right, span),
            B::SearchColon => self.text_search(TextOp::Has, false, false, left, right, span),
            B::MatchesRegex => {
                let left = self.text_operand(left, "matches regex")?;
                let mut right = right;
                if right.ty != Type::String {
                    let wrong =
                        Diagnostic::error(code::TYPE, right.span, format!("a regular expression is a string, not {}", right.ty));
                    if right.ty != Type::Dynamic {
                        return self.report(wrong);
                    }
                    self.not_run(wrong.suggest("wrap it in tostring(…)"))?;
                    right = self.coerce(right, Type::String)?;
                }
                Ok(BoundExpr::new(BoundKind::Regex { left: Box::new(left), pattern: Box::new(right) }, Type::Bool, span))
            }
        }
    }

    /// One string search.
    fn text_search(
        &mut self,
        op: TextOp,
        negated: bool,
        case_sensitive: bool,
        left: BoundExpr,
        mut right: BoundExpr,
        span: Span,
    ) -> Bind<BoundExpr> {
        let left = self.text_operand(left, "a string search")?;
        if right.ty != Type::String {
            if right.ty != Type::Dynamic {
                return self.error(code::TYPE, right.span, format!("the text to search for must be a string, not {}", right.ty));
            }
            self.not_run(
                Diagnostic::error(code::TYPE, right.span, "the text to search for must be a string, not dynamic")
                    .suggest("wrap it in tostring(…)"),
            )?;
            right = self.coerce(right, Type::String)?;
        }
        let kind = BoundKind::Text { op, all: false, negated, case_sensitive, left: Box::new(left), needles: vec![right] };
        Ok(BoundExpr::new(kind, Type::Bool, span))
    }

    /// An item of the list of `has_any` or `has_all`.
    fn needle(&mut self, e: BoundExpr) -> Bind<BoundExpr> {
        if !matches!(e.ty, Type::String | Type::Dynamic | Type::Guid) {
            let wrong = Diagnostic::error(code::TYPE, e.span, format!("has_any takes strings, not {}", e.ty));
            self.not_run(wrong.suggest("wrap it in tostring(…)"))?;
        }
        self.coerce(e, Type::String)
    }

    /// An operand of a string operator: a string, or a dynamic read as its text.
    fn text_operand(&mut self, e: BoundExpr, what: &str) -> Bind<BoundExpr> {
        match e.ty {
            Type::String => Ok(e),
            Type::Dynamic => self.coerce(e, Type::String),
            other => self.report(
                Diagnostic::error(code::TYPE, e.span, format!("{what} takes a string, not {other}"))
                    .suggest("wrap it in tostring(…)"),
            ),
        }
    }

    fn arithmetic(&mut self, op: BinaryOp, mut left: BoundExpr, mut right: BoundExpr, span: Span) -> Bind<BoundExpr> {
        use BinaryOp as B;
        use Type as T;
        // A dynamic operand takes the other's type; two dynamics are compared as reals and give a dynamic.
        match (left.ty, right.ty) {
            (T::Dynamic, T::Dynamic) => {
                let (l, r) = (self.convert(left, "toreal", T::Real)?, self.convert(right, "toreal", T::Real)?);
                let result = self.arithmetic(op, l, r, span)?;
                return self.to_dynamic(result);
            }
            (T::Dynamic, T::DateTime) if op == B::Subtract => left = self.coerce(left, T::DateTime)?,
            (T::DateTime, T::Dynamic) if op == B::Subtract => right = self.coerce(right, T::DateTime)?,
            (T::Dynamic, T::TimeSpan) | (T::TimeSpan, T::Dynamic) if !matches!(op, B::Add | B::Subtract) => {
                let message = format!("{} of {} and {} has no meaning", operator_name(op), left.ty, right.ty);
                return self.report(Diagnostic::error(code::TYPE, span, message).suggest("convert the dynamic value first"));
            }
            (T::Dynamic, T::TimeSpan | T::Long | T::Real | T::Decimal) => left = self.coerce(left, right.ty)?,
            (T::TimeSpan | T::Long | T::Real | T::Decimal, T::Dynamic) => right = self.coerce(right, left.ty)?,
            (T::Dynamic, T::Int) => left = self.coerce(left, T::Long)?,
            (T::Int, T::Dynamic) => right = self.coerce(right, T::Long)?,
            _ => {}
        }
        let ty = match (left.ty, right.ty, op) {
            (a, b, _) if a.is_numeric() && b.is_numeric() => {
                let ty = match a.widest(b) {
                    Some(T::Int) | None => T::Long,
                    Some(ty) => ty,
                };
                left = self.coerce(left, ty)?;
                right = self.coerce(right, ty)?;
                ty
            }
            (T::DateTime, T::DateTime, B::Subtract) => T::TimeSpan,
            (T::DateTime, T::TimeSpan, B::Add | B::Subtract) | (T::TimeSpan, T::DateTime, B::Add) => T::DateTime,
            (T::TimeSpan, T::TimeSpan, B::Add | B::Subtract | B::Modulo) | (T::DateTime, T::TimeSpan, B::Modulo) => T::TimeSpan,
            (T::TimeSpan, T::TimeSpan, B::Divide) => T::Real,
            (T::TimeSpan, n, B::Multiply | B::Divide) if n.is_numeric() => {
                right = self.coerce(right, if n.is_integer() && op == B::Multiply { T::Long } else { T::Real })?;
                T::TimeSpan
            }
            (n, T::TimeSpan, B::Multiply) if n.is_numeric() => {
                left = self.coerce(left, if n.is_integer() { T::Long } else { T::Real })?;
                T::TimeSpan
            }
            (a, b, _) => {
                let mut diagnostic =
                    Diagnostic::error(code::TYPE, span, format!("{} of {a} and {b} has no meaning", operator_name(op)));
                if op == B::Add && (a == T::String || b == T::String) {
                    diagnostic = diagnostic.suggest("join strings with strcat(…)");
                }
                let Some(ty) = lenient_type(op, a, b) else { return self.report(diagnostic) };
                self.not_run(diagnostic)?;
                return Ok(BoundExpr::new(BoundKind::Unknown, ty, span));
            }
        };
        Ok(BoundExpr::new(BoundKind::Arithmetic { op, left: Box::new(left), right: Box::new(right) }, ty, span))
    }

    /// `==`, `!=`
    pub(super) fn equality(&mut self, op: BinaryOp, mut left: BoundExpr, mut right: BoundExpr, span: Span) -> Bind<BoundExpr> {
        use Type as T;
        if left.ty != right.ty {
            match (left.ty, right.ty) {
                (a, b) if a.is_numeric() && b.is_numeric() => {
                    let ty = a.widest(b).unwrap_or(T::Real);
                    left = self.coerce(left, ty)?;
                    right = self.coerce(right, ty)?;
                }
                (T::Dynamic, _) => left = self.dynamic_operand(left, right.ty, &mut right)?,
                (_, T::Dynamic) => right = self.dynamic_operand(right, left.ty, &mut left)?,
                (T::Guid, T::String) => right = self.coerce(right, T::Guid)?,
                (T::String, T::Guid) => left = self.coerce(left, T::Guid)?,
                (T::DateTime | T::TimeSpan | T::Bool, T::String) => right = self.coerce(right, left.ty)?,
                (T::String, T::DateTime | T::TimeSpan | T::Bool) => left = self.coerce(left, right.ty)?,
                // A string against a number compares as numbers where the text is one.
                (T::String, n) if n.is_numeric() => {
                    left = self.coerce(left, T::Real)?;
                    right = self.coerce(right, T::Real)?;
                }
                (n, T::String) if n.is_numeric() => {
                    left = self.coerce(left, T::Real)?;
                    right = self.coerce(right, T::Real)?;
                }
                (T::Bool, n) if n.is_numeric() => left = self.coerce(left, n)?,
                (n, T::Bool) if n.is_numeric() => right = self.coerce(right, n)?,
                (T::TimeSpan, n) if n.is_integer() => right = self.coerce(right, T::TimeSpan)?,
                (n, T::TimeSpan) if n.is_integer() => left = self.coerce(left, T::TimeSpan)?,
                (a, b) => {
                    self.not_run(Diagnostic::error(code::TYPE, span, format!("{a} and {b} cannot be compared")))?;
                    return Ok(BoundExpr::new(BoundKind::Unknown, T::Bool, span));
                }
            }
        } else if left.ty == T::Dynamic {
            self.not_run(
                Diagnostic::error(code::OPERANDS, span, "two dynamic values cannot be compared")
                    .suggest("cast both first, for example tostring(a) == tostring(b)"),
            )?;
        }
        Ok(BoundExpr::new(BoundKind::Compare { op, left: Box::new(left), right: Box::new(right) }, T::Bool, span))
    }

    /// A dynamic operand of `==` in the form that is compared with a value of type `other`.
    fn dynamic_operand(&mut self, dynamic: BoundExpr, other: Type, value: &mut BoundExpr) -> Bind<BoundExpr> {
        match other {
            Type::Int | Type::Long => {
                // Text such as "5.5" must not become 5: numbers are compared as reals.
                *value = self.coerce(value.clone(), Type::Real)?;
                self.convert(dynamic, "toreal", Type::Real)
            }
            Type::String => Ok(dynamic_text(dynamic)),
            other => self.coerce(dynamic, other),
        }
    }

    /// `<`, `<=`, `>`, `>=`
    fn relation(&mut self, op: BinaryOp, mut left: BoundExpr, mut right: BoundExpr, span: Span) -> Bind<BoundExpr> {
        use Type as T;
        match (left.ty, right.ty) {
            (a, b) if a.is_numeric() && b.is_numeric() => {
                let ty = a.widest(b).unwrap_or(T::Real);
                left = self.coerce(left, ty)?;
                right = self.coerce(right, ty)?;
            }
            (T::DateTime, T::DateTime) | (T::TimeSpan, T::TimeSpan) => {}
            (T::Bool, n) if n.is_numeric() => left = self.coerce(left, n)?,
            (n, T::Bool) if n.is_numeric() => right = self.coerce(right, n)?,
            (T::Bool, T::Bool) => {
                left = self.coerce(left, T::Long)?;
                right = self.coerce(right, T::Long)?;
            }
            (T::Dynamic, T::Dynamic) => {
                left = self.convert(left, "toreal", T::Real)?;
                right = self.convert(right, "toreal", T::Real)?;
            }
            // An order is that of the other's type: a dynamic 0.5 is no more than 0, but more than 0.0. The printed answers of
            // pairwise_dist_fl in the documentation show it.
            (T::Dynamic, b) if b.is_numeric() => {
                right = self.coerce(right, if b == T::Int { T::Long } else { b })?;
                left = self.coerce(left, right.ty)?;
            }
            (a, T::Dynamic) if a.is_numeric() => {
                left = self.coerce(left, if a == T::Int { T::Long } else { a })?;
                right = self.coerce(right, left.ty)?;
            }
            (a, b) => {
                let mut diagnostic = Diagnostic::error(code::TYPE, span, format!("{a} and {b} have no order"));
                if let Some(time) = [a, b].into_iter().find(|ty| matches!(ty, T::DateTime | T::TimeSpan)) {
                    diagnostic = diagnostic.suggest(format!("wrap the other side in to{time}(…)"));
                } else if a == T::String || b == T::String {
                    diagnostic = diagnostic.suggest("compare strings with strcmp(a, b), or convert them first");
                }
                return self.report(diagnostic);
            }
        }
        Ok(BoundExpr::new(BoundKind::Compare { op, left: Box::new(left), right: Box::new(right) }, T::Bool, span))
    }

    /// `between`: both ends belong to the range; `datetime between (start .. timespan)` means start + span.
    pub(super) fn between(
        &mut self,
        negated: bool,
        e: BoundExpr,
        low: BoundExpr,
        high: BoundExpr,
        span: Span,
    ) -> Bind<BoundExpr> {
        if [&e, &low, &high].into_iter().any(|x| self.is_untyped(x)) {
            return Ok(BoundExpr::new(BoundKind::Unknown, Type::Bool, span));
        }
        if let Some(wrong) = [&e, &low, &high].into_iter().find(|x| matches!(x.ty, Type::String | Type::Bool)) {
            let message = format!("a {} is in no range; between takes numbers, datetimes or timespans", wrong.ty);
            return self.error(code::TYPE, wrong.span, message);
        }
        let high = if low.ty == Type::DateTime && high.ty == Type::TimeSpan {
            let at = high.span;
            let sum = self.arithmetic(BinaryOp::Add, low.clone(), high, at)?;
            self.fold(sum)?
        } else {
            high
        };
        let from = self.relation(BinaryOp::GreaterOrEqual, e.clone(), low, span)?;
        let to = self.relation(BinaryOp::LessOrEqual, e, high, span)?;
        let (from, to) = (self.fold(from)?, self.fold(to)?);
        if !negated {
            let both = BoundKind::Logical { and: true, terms: vec![from, to] };
            return Ok(BoundExpr::new(both, Type::Bool, span));
        }
        // Null if any operand is null: the negation of the whole keeps that.
        let both = BoundExpr::new(BoundKind::Logical { and: true, terms: vec![from, to] }, Type::Bool, span);
        Ok(BoundExpr::new(BoundKind::Not(Box::new(both)), Type::Bool, span))
    }

    /// `in`, `has_any`, `has_all`
    pub(super) fn list(
        &mut self,
        op: ListOp,
        left: &Expr,
        items: &[Expr],
        ctx: &mut ExprContext<'_>,
        span: Span,
    ) -> Bind<BoundExpr> {
        if items.is_empty() {
            return self.error(code::SYNTAX, span, "the list is empty; dynamic([]) stands for a list without elements");
        }
        if matches!(left.kind, ExprKind::Star) {
            let columns: Vec<BoundColumn> =
                ctx.row.columns.iter().filter(|c| matches!(c.ty, Type::String | Type::Dynamic)).cloned().collect();
            let mut terms = Vec::new();
            for column in columns {
                let left = BoundExpr::column(&column, span);
                terms.push(self.list_of(op, left, items, ctx, span)?);
            }
            return Ok(BoundExpr::new(BoundKind::Logical { and: false, terms }, Type::Bool, span));
        }
        let left = self.scalar(left, ctx)?;
        self.list_of(op, left, items, ctx, span)
    }

    fn list_of(&mut self, op: ListOp, left: BoundExpr, items: &[Expr], ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        let mut bound: Vec<BoundExpr> = Vec::with_capacity(items.len());
        let mut array: Option<BoundExpr> = None;
        for item in items {
            // A tabular item gives its first column; its names do not see the current row.
            if self.is_tabular(item, &ctx.scope, ctx.row) {
                let scope = ctx.scope.clone();
                let rel = self.with_depth(item.span, |b| b.table(item, &scope))?;
                bound.extend(self.first_column(rel, item.span)?);
                continue;
            }
            let e = self.scalar(item, ctx)?;
            match (&e.kind, e.ty) {
                (BoundKind::Literal(Value::Dynamic(Json::Array(elements))), _) => {
                    // An element of another kind is not equal to a text; that is no error.
                    let text = matches!(op, ListOp::In { .. }) && left.ty == Type::String;
                    for json in elements.iter().filter(|j| !text || j.is_string()) {
                        bound.extend(self.element(json, left.ty, e.span)?);
                    }
                }
                (BoundKind::Literal(Value::Dynamic(Json::Null) | Value::Null), Type::Dynamic) => {}
                (BoundKind::Literal(Value::Dynamic(other)), _) => bound.extend(self.element(other, left.ty, e.span)?),
                (_, Type::Dynamic) => array = Some(e),
                _ => bound.push(e),
            }
        }
        if self.is_untyped(&left) {
            return Ok(BoundExpr::new(BoundKind::Unknown, Type::Bool, span));
        }
        match op {
            ListOp::HasAny | ListOp::HasAll => {
                let left = self.text_operand(left, "has_any")?;
                let all = op == ListOp::HasAll;
                if let Some(array) = array {
                    let name = if all { "__has_all" } else { "__has_any" };
                    return self.row_array(name, left, array, span);
                }
                let mut needles = Vec::with_capacity(bound.len());
                for item in bound {
                    if item.as_literal().is_some_and(Value::is_null) {
                        // A null needle is found everywhere by has_any and left out by has_all.
                        if !all {
                            needles.push(BoundExpr::literal(Value::String(String::new()), Type::String, item.span));
                        }
                        continue;
                    }
                    needles.push(self.needle(item)?);
                }
                let kind = BoundKind::Text {
                    op: TextOp::Has,
                    all,
                    negated: false,
                    case_sensitive: false,
                    left: Box::new(left),
                    needles,
                };
                Ok(BoundExpr::new(kind, Type::Bool, span))
            }
            ListOp::In { negated, ignore_case } => {
                let left = if ignore_case { self.text_operand(left, "in~")? } else { left };
                if let Some(array) = array {
                    let kind = BoundKind::InArray { negated, ignore_case, left: Box::new(left), array: Box::new(array) };
                    return Ok(BoundExpr::new(kind, Type::Bool, span));
                }
                self.in_items(negated, ignore_case, left, bound, span)
            }
        }
    }

    /// An element of a dynamic literal as an item of a list; none where it is a text that is no value of the left side's type.
    fn element(&mut self, json: &Json, left: Type, span: Span) -> Bind<Option<BoundExpr>> {
        let item = json_element(json, span);
        if item.ty == Type::String && !matches!(left, Type::String | Type::Dynamic) {
            let typed = self.coerce(item.clone(), left)?;
            return Ok((!typed.as_literal().is_some_and(Value::is_null)).then_some(item));
        }
        Ok(Some(item))
    }

    /// `in` over typed items: left and items are converted to one type.
    fn in_items(
        &mut self,
        negated: bool,
        ignore_case: bool,
        left: BoundExpr,
        items: Vec<BoundExpr>,
        span: Span,
    ) -> Bind<BoundExpr> {
        let mut ty = left.ty;
        if ty == Type::Dynamic {
            // A dynamic is compared as what the list holds.
            ty = items.iter().map(|i| i.ty).find(|t| *t != Type::Dynamic).unwrap_or(Type::String);
            if ty.is_integer() {
                ty = Type::Real;
            }
        } else if ty.is_numeric() {
            for item in &items {
                ty = ty.widest(item.ty).unwrap_or(ty);
            }
        }
        let left = match (left.ty, ty) {
            (Type::Dynamic, Type::String) => dynamic_text(left),
            _ => self.coerce(left, ty)?,
        };
        let mut typed = Vec::with_capacity(items.len());
        for item in items {
            // No string is null.
            if ty == Type::String && item.as_literal().is_some_and(Value::is_null) {
                continue;
            }
            // An item that cannot be of the type cannot be equal.
            let compatible = item.ty == ty
                || (item.ty.is_numeric() && ty.is_numeric())
                || matches!(
                    (item.ty, ty),
                    (Type::String, _) | (Type::Guid, Type::String) | (Type::Dynamic, _) | (Type::Bool, Type::Long)
                );
            if !compatible {
                if item.ty != Type::Dynamic && ty == Type::String {
                    let message = format!("a string cannot be in a list of {}", item.ty);
                    self.not_run(Diagnostic::error(code::TYPE, item.span, message))?;
                }
                continue;
            }
            // Whether a null is in a list with a null, or with a text that is no value of the type, is not known, as with `==`;
            // an element of an array that is no such value is just not equal.
            let element = item.ty == Type::Dynamic && !item.as_literal().is_some_and(Value::is_null);
            let item = self.coerce(item, ty)?;
            if !(element && item.as_literal().is_some_and(Value::is_null)) {
                typed.push(item);
            }
        }
        Ok(BoundExpr::new(BoundKind::In { negated, ignore_case, left: Box::new(left), items: typed }, Type::Bool, span))
    }

    /// An internal registry function over a row's array.
    fn row_array(&mut self, function: &str, left: BoundExpr, array: BoundExpr, span: Span) -> Bind<BoundExpr> {
        match crate::functions::Registry::get().scalar(function) {
            Some(function) => Ok(BoundExpr::new(BoundKind::Call { function, args: vec![left, array] }, Type::Bool, span)),
            None => self.unsupported(span, "has_any or has_all over an array that differs from row to row"),
        }
    }
}

/// A dynamic value that is compared with text. It is not folded: a null equals no text, while the text of a null is empty.
fn dynamic_text(dynamic: BoundExpr) -> BoundExpr {
    let span = dynamic.span;
    BoundExpr::new(BoundKind::Cast(Box::new(dynamic)), Type::String, span)
}

/// An element of a dynamic literal list as a typed constant.
fn json_element(json: &Json, span: Span) -> BoundExpr {
    match json {
        Json::Bool(v) => BoundExpr::literal(Value::Bool(*v), Type::Bool, span),
        Json::Number(n) => match n.as_i64() {
            Some(i) => BoundExpr::literal(Value::Long(i), Type::Long, span),
            None => BoundExpr::literal(Value::Real(n.as_f64().unwrap_or(f64::NAN)), Type::Real, span),
        },
        Json::String(s) => BoundExpr::literal(Value::String(s.clone()), Type::String, span),
        other => BoundExpr::literal(Value::Dynamic(other.clone()), Type::Dynamic, span),
    }
}

/// What arithmetic gives where one side's type is not known (`None`), as Microsoft's language service has it.
fn type_beside_unknown(op: BinaryOp, left: Option<Type>, right: Option<Type>) -> Option<Type> {
    use BinaryOp as B;
    use Type as T;
    Some(match (left, op, right) {
        (Some(T::Int), B::Add | B::Subtract | B::Divide | B::Modulo, None) => T::Long,
        (Some(n @ (T::Long | T::Real | T::Decimal)), B::Add | B::Subtract | B::Divide | B::Modulo, None) => n,
        (Some(time @ (T::DateTime | T::TimeSpan)), B::Add, None) | (None, B::Add, Some(time @ (T::DateTime | T::TimeSpan))) => {
            time
        }
        (Some(T::TimeSpan), B::Multiply, None) | (None, B::Multiply, Some(T::TimeSpan)) => T::TimeSpan,
        (None, B::Divide, Some(T::TimeSpan)) => T::Real,
        _ => return None,
    })
}

/// The type of what has no meaning to the engine, where Microsoft's binder lets it pass.
fn lenient_type(op: BinaryOp, left: Type, right: Type) -> Option<Type> {
    use BinaryOp as B;
    use Type as T;
    let temporal = |ty: Type| matches!(ty, T::DateTime | T::TimeSpan);
    Some(match (op, left, right) {
        (B::Divide, a, b) if temporal(a) && temporal(b) => T::Real,
        (B::Modulo, a, b) if temporal(a) && temporal(b) => T::TimeSpan,
        (B::Multiply, T::TimeSpan, T::TimeSpan) => T::TimeSpan,
        (B::Add, T::DateTime, T::DateTime | T::Dynamic) | (B::Add, T::Dynamic, T::DateTime) => T::DateTime,
        (B::Subtract, T::TimeSpan, T::DateTime) => T::DateTime,
        (B::Multiply, n, b) if n.is_numeric() && temporal(b) => b,
        (B::Multiply | B::Divide | B::Modulo, a, n) if temporal(a) && n.is_numeric() => a,
        _ => return None,
    })
}

/// The sign of an operator, for messages.
fn operator_name(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "the sum",
        BinaryOp::Subtract => "the difference",
        BinaryOp::Multiply => "the product",
        BinaryOp::Divide => "the quotient",
        _ => "the remainder",
    }
}
