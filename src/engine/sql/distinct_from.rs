//! `IS DISTINCT FROM` binds tighter than `AND` and `OR`, as SQL says. The parser takes all of what follows it for its right side, so
//! that its tree is turned.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Ident, UnaryOperator};

/// Turns one node, whose parts have been turned before.
pub(super) fn turn(e: &mut Expr) {
    match e {
        // `a IS DISTINCT FROM b OR c` was read as `a IS DISTINCT FROM (b OR c)`.
        Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) if is_connective(right) => exchange(e, right_of),
        // What was turned may be looser than what is around it.
        Expr::BinaryOp { op: BinaryOperator::And, right, .. } if is_or(right) => exchange(e, right_of),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } if is_connective(expr) => exchange(e, right_of),
        _ => {}
    }
}

/// True for `AND` and `OR` without parentheses.
fn is_connective(e: &Expr) -> bool {
    matches!(e, Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. })
}

fn is_or(e: &Expr) -> bool {
    matches!(e, Expr::BinaryOp { op: BinaryOperator::Or, .. })
}

/// The last operand of a node.
fn right_of(e: &mut Expr) -> Option<&mut Expr> {
    match e {
        Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) | Expr::BinaryOp { right, .. } => Some(right),
        Expr::UnaryOp { expr, .. } => Some(expr),
        _ => None,
    }
}

/// Puts a node in the place of the first operand of the connectives that are its last operand, and takes that operand for its own.
fn exchange(node: &mut Expr, last: fn(&mut Expr) -> Option<&mut Expr>) {
    let inside_and = matches!(node, Expr::BinaryOp { .. });
    let Some(operand) = last(node) else { return };
    let mut around = std::mem::replace(operand, nothing());
    let mut first = &mut around;
    // `AND` goes in front of the first operand of `OR`, everything else in front of that of `AND` as well.
    while if inside_and { is_or(first) } else { is_connective(first) } {
        match first {
            Expr::BinaryOp { left, .. } => first = left,
            _ => return,
        }
    }
    let operand = std::mem::replace(first, nothing());
    if let Some(place) = last(node) {
        *place = operand;
    }
    *first = std::mem::replace(node, nothing());
    *node = around;
}

fn nothing() -> Expr {
    Expr::Identifier(Ident::new(""))
}
