//! `+`, `-`, `*`, `/` and `%` of two dynamic values, and the minus before one.
//!
//! Where both hold whole numbers they are longs, and so is the result; else both count as `toreal` reads them. The result is dynamic
//! either way.

use super::conversion::real_of;
use crate::functions::{ArgType, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_syntax::ast::BinaryOp;
use kqlake_value::{Type, ValueRef, json};

const BOTH: &[Param] = &[Param::req("left", ArgType::Dynamic), Param::req("right", ArgType::Dynamic)];
const ONE: &[Param] = &[Param::req("value", ArgType::Dynamic)];

const fn operator(name: &'static str, imp: fn(&[ValueRef<'_>], &mut String) -> bool, doc: &'static str) -> ScalarFn {
    ScalarFn::new(name, BOTH, Returns::Type(Type::Dynamic), ScalarImpl::Text(imp), doc)
}

/// The functions; they have no names in the language.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    operator("__dynamic_add", |a, out| write(BinaryOp::Add, a[0], a[1], out), "The sum."),
    operator("__dynamic_subtract", |a, out| write(BinaryOp::Subtract, a[0], a[1], out), "The difference."),
    operator("__dynamic_multiply", |a, out| write(BinaryOp::Multiply, a[0], a[1], out), "The product."),
    operator("__dynamic_divide", |a, out| write(BinaryOp::Divide, a[0], a[1], out), "The quotient."),
    operator("__dynamic_modulo", |a, out| write(BinaryOp::Modulo, a[0], a[1], out), "The remainder."),
    ScalarFn::new("__dynamic_negate", ONE, Returns::Type(Type::Dynamic), ScalarImpl::Text(negate), "The negative."),
];

/// The name of an operator's function; none for what is no arithmetic.
pub(crate) fn name_of(op: BinaryOp) -> Option<&'static str> {
    Some(match op {
        BinaryOp::Add => "__dynamic_add",
        BinaryOp::Subtract => "__dynamic_subtract",
        BinaryOp::Multiply => "__dynamic_multiply",
        BinaryOp::Divide => "__dynamic_divide",
        BinaryOp::Modulo => "__dynamic_modulo",
        _ => return None,
    })
}

/// The whole number that a dynamic value is.
fn long_of(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Dynamic(text) if json::json_type(text) == json::JsonType::Integer => text.trim().parse().ok(),
        _ => None,
    }
}

fn write(op: BinaryOp, left: ValueRef<'_>, right: ValueRef<'_>, out: &mut String) -> bool {
    if let (Some(x), Some(y)) = (long_of(left), long_of(right)) {
        let result = match op {
            BinaryOp::Add => x.wrapping_add(y),
            BinaryOp::Subtract => x.wrapping_sub(y),
            BinaryOp::Multiply => x.wrapping_mul(y),
            _ if y == 0 => return false,
            BinaryOp::Divide => x.wrapping_div(y),
            _ => i128::from(x).rem_euclid(i128::from(y)) as i64,
        };
        json::write_value(out, ValueRef::Long(result));
        return true;
    }
    let (Some(x), Some(y)) = (real_of(left), real_of(right)) else { return false };
    json::write_real(
        out,
        match op {
            BinaryOp::Add => x + y,
            BinaryOp::Subtract => x - y,
            BinaryOp::Multiply => x * y,
            BinaryOp::Divide => x / y,
            _ => {
                let rest = x % y;
                if rest < 0.0 { rest + y.abs() } else { rest }
            }
        },
    );
    true
}

fn negate(args: &[ValueRef<'_>], out: &mut String) -> bool {
    match (long_of(args[0]), real_of(args[0])) {
        (Some(v), _) => json::write_value(out, ValueRef::Long(v.wrapping_neg())),
        (None, Some(v)) => json::write_real(out, -v),
        (None, None) => return false,
    }
    true
}
