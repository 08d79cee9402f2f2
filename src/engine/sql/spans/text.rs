//! Forms of SQL's text that are no functions to its parser, and become calls of those in [`super::shells`].

use datafusion::sql::sqlparser::ast::{BinaryOperator, CaseWhen, DataType, Expr, Ident};

use super::super::made;
use super::shells::{CASES, PLAIN, TEXT};

/// Turns one node, whose parts have been turned before.
pub(in crate::engine::sql) fn turn(e: &mut Expr) {
    match e {
        Expr::Case { operand, conditions, else_result, .. } => {
            let name = CASES[usize::from(operand.is_some()) * 2 + usize::from(else_result.is_some())];
            let pairs = conditions.drain(..).flat_map(|CaseWhen { condition, result }| [condition, result]);
            let args = operand.take().map(|e| *e).into_iter().chain(pairs).collect::<Vec<_>>();
            let otherwise = else_result.take().map(|e| *e);
            *e = call(name, args.into_iter().chain(otherwise));
        }
        Expr::Cast { expr, data_type, .. } if !matches!(**expr, Expr::Value(_)) => {
            let is_text = matches!(
                data_type,
                DataType::Varchar(_)
                    | DataType::Nvarchar(_)
                    | DataType::Text
                    | DataType::String(_)
                    | DataType::CharVarying(_)
                    | DataType::CharacterVarying(_)
            );
            let inner = std::mem::replace(expr.as_mut(), nothing());
            **expr = call(if is_text { TEXT } else { PLAIN }, [inner]);
        }
        Expr::Extract { field, expr, .. } => {
            let part = made::text(&field.to_string());
            let from = std::mem::replace(expr.as_mut(), nothing());
            *e = call("date_part", [part, from]);
        }
        // An interval is not missing, so that these are comparisons whose missing answer is decided.
        Expr::IsDistinctFrom(left, right) if has_interval(left, right) => {
            let equal = equal(left, right);
            *e = Expr::IsNotTrue(equal);
        }
        Expr::IsNotDistinctFrom(left, right) if has_interval(left, right) => {
            let equal = equal(left, right);
            *e = Expr::IsTrue(equal);
        }
        _ => {}
    }
}

fn has_interval(left: &Expr, right: &Expr) -> bool {
    [left, right].iter().any(|e| matches!(e, Expr::Interval(_)))
}

fn equal(left: &mut Expr, right: &mut Expr) -> Box<Expr> {
    let take = |e: &mut Expr| std::mem::replace(e, nothing());
    Box::new(made::binary(take(left), BinaryOperator::Eq, take(right)))
}

fn nothing() -> Expr {
    Expr::Identifier(Ident::new(""))
}

fn call(name: &str, args: impl IntoIterator<Item = Expr>) -> Expr {
    made::call([Ident::with_quote('"', name)], args)
}
