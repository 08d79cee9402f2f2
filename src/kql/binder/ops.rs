//! Typing of operators: which types go together, and the type of the result.

use super::{Bind, Binder};
use crate::bound::*;
use crate::functions::scalar::dynamic_numbers;
use crate::functions::{Registry, regex_syntax};
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::{Type, Value};

impl Binder<'_> {
    /// `-x`, `+x`
    pub(super) fn unary(&mut self, op: UnaryOp, inner: BoundExpr, span: Span) -> Bind<BoundExpr> {
        if self.is_untyped(&inner) {
            return Ok(self.untyped_value(span));
        }
        let ty = match inner.ty {
            Type::Int if inner.as_literal().is_none() => Type::Long,
            Type::Int | Type::Long | Type::Real | Type::Decimal | Type::TimeSpan => inner.ty,
            Type::Dynamic if op == UnaryOp::Plus => {
                let number = self.convert(inner, "toreal", Type::Real)?;
                return self.to_dynamic(number);
            }
            Type::Dynamic => return self.of_dynamics("__dynamic_negate", vec![inner], span),
            other => return self.error(code::TYPE, span, format!("a value of type {other} has no sign")),
        };
        if op == UnaryOp::Plus {
            return self.coerce(inner, ty);
        }
        Ok(BoundExpr::new(BoundKind::Negate(Box::new(inner)), ty, span))
    }

    /// `left op right`
    pub(super) fn binary(&mut self, op: BinaryOp, mut left: BoundExpr, mut right: BoundExpr, span: Span) -> Bind<BoundExpr> {
        use BinaryOp as B;
        let side = |e: &BoundExpr| (!self.is_untyped(e)).then_some(e.ty);
        match (op, side(&left), side(&right)) {
            (_, Some(_), Some(_)) => {}
            (B::Add | B::Subtract | B::Multiply | B::Divide | B::Modulo, of_left, of_right) => {
                return Ok(match type_beside_unknown(op, of_left, of_right) {
                    Some(ty) => BoundExpr::new(BoundKind::Unknown, ty, span),
                    None => self.untyped_value(span),
                });
            }
            _ if self.checking => return Ok(BoundExpr::new(BoundKind::Unknown, Type::Bool, span)),
            (B::Text { .. } | B::SearchColon | B::MatchesRegex | B::EqualIgnoreCase { .. }, ..) => {
                (left, right) = (self.as_wanted(left, Type::String), self.as_wanted(right, Type::String));
            }
            (_, None, None) => return Ok(BoundExpr::new(BoundKind::Unknown, Type::Bool, span)),
            (_, of_left, of_right) => {
                let ty = of_left.or(of_right).map(|ty| match (ty, op) {
                    (Type::Dynamic, B::Equal | B::NotEqual) => Type::String,
                    (Type::Dynamic, _) => Type::Real,
                    (ty, _) => ty,
                });
                let ty = ty.unwrap_or(Type::Dynamic);
                (left, right) = (self.as_wanted(left, ty), self.as_wanted(right, ty));
            }
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
                if self.checking
                    && let Some(Value::String(pattern)) = right.as_literal()
                    && let Err(message) = regex_syntax::compile(pattern)
                {
                    self.not_run(Diagnostic::error(code::TYPE, right.span, message))?;
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
            right = self.coerce(right, Type::String)?;
        }
        let kind = BoundKind::Text { op, all: false, negated, case_sensitive, left: Box::new(left), needles: vec![right] };
        Ok(BoundExpr::new(kind, Type::Bool, span))
    }

    /// An operand of a string operator: a string, or a dynamic read as its text.
    pub(super) fn text_operand(&mut self, e: BoundExpr, what: &str) -> Bind<BoundExpr> {
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
        // A dynamic operand takes the other's type; two dynamics give a dynamic.
        match (left.ty, right.ty) {
            (T::Dynamic, T::Dynamic) => {
                let name = dynamic_numbers::name_of(op).unwrap_or_default();
                return self.of_dynamics(name, vec![left, right], span);
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

    /// A function without a name in the language over dynamics, which gives a dynamic.
    fn of_dynamics(&mut self, name: &str, args: Vec<BoundExpr>, span: Span) -> Bind<BoundExpr> {
        match Registry::get().scalar(name) {
            Some(function) => self.fold(BoundExpr::new(BoundKind::Call { function, args }, Type::Dynamic, span)),
            None => self.report(Diagnostic::error(code::UNSUPPORTED, span, "arithmetic of two dynamic values is not supported")),
        }
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
        let known = |end: &BoundExpr| end.as_literal().is_some_and(|v| !v.is_null());
        let known = known(&low) && known(&high);
        let within = if e.is_volatile() {
            self.between_once(e, low, high, span)?
        } else {
            let from = self.relation(BinaryOp::GreaterOrEqual, e.clone(), low, span)?;
            let to = self.relation(BinaryOp::LessOrEqual, e, high, span)?;
            let (from, to) = (self.fold(from)?, self.fold(to)?);
            let both = BoundKind::Logical { and: true, terms: vec![from.clone(), to.clone()] };
            let both = self.fold(BoundExpr::new(both, Type::Bool, span))?;
            // Null if any operand is null. A comparison alone is null where the value is, but one of them may be false where an
            // end is null: `x != x` is null for null, and false else.
            let null_of_null = |side: BoundExpr| {
                let (left, right) = (Box::new(side.clone()), Box::new(side));
                BoundExpr::new(BoundKind::Compare { op: BinaryOp::NotEqual, left, right }, Type::Bool, span)
            };
            if known {
                both
            } else {
                let terms = vec![both, self.fold(null_of_null(from))?, self.fold(null_of_null(to))?];
                self.fold(BoundExpr::new(BoundKind::Logical { and: false, terms }, Type::Bool, span))?
            }
        };
        Ok(if negated { BoundExpr::new(BoundKind::Not(Box::new(within)), Type::Bool, span) } else { within })
    }

    /// `between` of a value that differs from call to call: one call is compared with both ends.
    fn between_once(&mut self, e: BoundExpr, low: BoundExpr, high: BoundExpr, span: Span) -> Bind<BoundExpr> {
        let Some(function) = Registry::get().scalar("__between") else { return self.unsupported(span, "between") };
        let number = |x: &BoundExpr| match x.ty {
            Type::Dynamic => Some(Type::Real),
            ty => Some(ty).filter(|ty| ty.is_numeric()),
        };
        let ty = match (number(&e), number(&low), number(&high)) {
            (Some(a), Some(b), Some(c)) => a.widest(b).and_then(|ty| ty.widest(c)).unwrap_or(Type::Real),
            _ => e.ty,
        };
        let mut args = Vec::with_capacity(3);
        for arg in [e, low, high] {
            if arg.ty != ty && !(number(&arg).is_some() && ty.is_numeric()) {
                let message = format!("{} and {ty} have no order", arg.ty);
                return self.error(code::TYPE, arg.span, message);
            }
            args.push(if arg.ty == Type::Dynamic { self.convert(arg, "toreal", Type::Real)? } else { self.coerce(arg, ty)? });
        }
        Ok(BoundExpr::new(BoundKind::Call { function, args }, Type::Bool, span))
    }
}

/// A dynamic value that is compared with text. It is not folded: a null equals no text, while the text of a null is empty.
pub(super) fn dynamic_text(dynamic: BoundExpr) -> BoundExpr {
    let span = dynamic.span;
    BoundExpr::new(BoundKind::Cast(Box::new(dynamic)), Type::String, span)
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
