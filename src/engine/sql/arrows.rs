//! `->` and `->>` bind tighter than every other operator, as people write them: `bag->>'key' = 'x'`. The parser binds them looser
//! than comparisons, so that its tree is turned.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Ident};

/// Turns one node, whose parts have been turned before.
pub(super) fn turn(e: &mut Expr) {
    if !is_access(e) {
        return;
    }
    // `a = b -> 'k'` was read as `(a = b) -> 'k'`.
    if let Expr::BinaryOp { left, .. } = e
        && last(left).is_some()
    {
        let mut around = std::mem::replace(left.as_mut(), nothing());
        exchange(e, &mut around, last, |access, operand| {
            if let Expr::BinaryOp { left, .. } = access {
                **left = operand;
            }
        });
        *e = around;
        return;
    }
    // `a -> 'k' = b` was read as `a -> ('k' = b)`.
    if let Expr::BinaryOp { right, .. } = e
        && first(right).is_some()
    {
        let mut around = std::mem::replace(right.as_mut(), nothing());
        exchange(e, &mut around, first, |access, operand| {
            if let Expr::BinaryOp { right, .. } = access {
                **right = operand;
            }
        });
        *e = around;
    }
}

/// Puts an access in the place of the outermost operand that `side` leads to, which becomes an operand of the access.
fn exchange(access: &mut Expr, around: &mut Expr, side: fn(&mut Expr) -> Option<&mut Expr>, put: impl Fn(&mut Expr, Expr)) {
    let mut at = around;
    while side(at).is_some() {
        match side(at) {
            Some(next) => at = next,
            None => return,
        }
    }
    put(access, std::mem::replace(at, nothing()));
    *at = std::mem::replace(access, nothing());
    // What it leads into may be one itself by now.
    turn(at);
}

fn nothing() -> Expr {
    Expr::Identifier(Ident::new(""))
}

fn is_access(e: &Expr) -> bool {
    use BinaryOperator as O;
    matches!(e, Expr::BinaryOp { op: O::Arrow | O::LongArrow | O::HashArrow | O::HashLongArrow, .. })
}

/// The first operand of an operator that is not in parentheses and no access.
fn first(e: &mut Expr) -> Option<&mut Expr> {
    if is_access(e) {
        return None;
    }
    match e {
        Expr::BinaryOp { left: operand, .. }
        | Expr::IsNull(operand)
        | Expr::IsNotNull(operand)
        | Expr::IsTrue(operand)
        | Expr::IsNotTrue(operand)
        | Expr::IsFalse(operand)
        | Expr::IsNotFalse(operand)
        | Expr::IsDistinctFrom(operand, _)
        | Expr::IsNotDistinctFrom(operand, _)
        | Expr::InList { expr: operand, .. }
        | Expr::InSubquery { expr: operand, .. }
        | Expr::Between { expr: operand, .. }
        | Expr::Like { expr: operand, .. }
        | Expr::ILike { expr: operand, .. }
        | Expr::SimilarTo { expr: operand, .. } => Some(operand),
        _ => None,
    }
}

/// The last operand of such an operator.
fn last(e: &mut Expr) -> Option<&mut Expr> {
    if is_access(e) {
        return None;
    }
    match e {
        Expr::BinaryOp { right: operand, .. }
        | Expr::IsDistinctFrom(_, operand)
        | Expr::IsNotDistinctFrom(_, operand)
        | Expr::Between { high: operand, .. }
        | Expr::Like { pattern: operand, .. }
        | Expr::ILike { pattern: operand, .. }
        | Expr::UnaryOp { expr: operand, .. } => Some(operand),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use datafusion::sql::sqlparser::ast::{VisitMut as _, VisitorMut};
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    struct All;
    impl VisitorMut for All {
        type Break = ();
        fn post_visit_expr(&mut self, e: &mut Expr) -> ControlFlow<()> {
            turn(e);
            ControlFlow::Continue(())
        }
    }

    /// The tree with all of its parentheses.
    fn shown(e: &Expr) -> String {
        match e {
            Expr::BinaryOp { left, op, right } => format!("({} {op} {})", shown(left), shown(right)),
            Expr::IsNull(inner) => format!("({} is null)", shown(inner)),
            Expr::InList { expr, .. } => format!("({} in)", shown(expr)),
            Expr::Like { expr, .. } => format!("({} like)", shown(expr)),
            Expr::Nested(inner) => format!("[{}]", shown(inner)),
            other => other.to_string(),
        }
    }

    #[test]
    fn accesses_bind_tighter_than_other_operators() {
        for (text, expected) in [
            ("a ->> 'k' = 'x'", "((a ->> 'k') = 'x')"),
            ("'x' = a ->> 'k'", "('x' = (a ->> 'k'))"),
            ("a ->> 'k' = b ->> 'l'", "((a ->> 'k') = (b ->> 'l'))"),
            ("a -> 'k' ->> 'l' <> 'x' AND c", "((((a -> 'k') ->> 'l') <> 'x') AND c)"),
            ("a = b -> 'k' ->> 'l'", "(a = ((b -> 'k') ->> 'l'))"),
            ("a ->> 'k' IS NULL", "((a ->> 'k') is null)"),
            ("a ->> 'k' IN ('x')", "((a ->> 'k') in)"),
            ("a ->> 'k' LIKE 'x'", "((a ->> 'k') like)"),
            ("a -> 1 + 1", "((a -> 1) + 1)"),
            ("'x' || a ->> 'k'", "('x' || (a ->> 'k'))"),
            ("a ->> ('k' || 'l') = 'x'", "((a ->> ['k' || 'l']) = 'x')"),
            ("a ->> 'k' = 'x' OR b ->> 'l' = 'y'", "(((a ->> 'k') = 'x') OR ((b ->> 'l') = 'y'))"),
        ] {
            let mut e = Parser::new(&GenericDialect {}).try_with_sql(text).unwrap().parse_expr().unwrap();
            let _ = e.visit(&mut All);
            let found = shown(&e).replace("[('k' || 'l')]", "['k' || 'l']");
            assert_eq!(found, expected, "{text}");
        }
    }
}
