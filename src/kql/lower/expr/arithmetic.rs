//! `+ - * / %` and unary minus: wrapping integers, null for a division by zero, datetimes and timespans in ticks.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::compute::kernels::arity::{binary as binary_kernel, try_binary};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float64Type, Int32Type, Int64Type, i256};
use datafusion::logical_expr::{Expr, Operator, binary_expr, cast};

use super::{Lowered, internal, value};
use crate::bound::BoundExpr;
use crate::lower::kernel;
use kqlake_syntax::ast::BinaryOp;
use kqlake_value::columns::arrow_type;
use kqlake_value::{self as value, Type, datetime, ticks_of_real};

/// `left op right`; the binder has converted the operands to types that go together.
pub(super) fn binary(op: BinaryOp, left: &BoundExpr, right: &BoundExpr, ty: Type) -> Lowered<Expr> {
    let (l, r) = (value(left)?, value(right)?);
    Ok(match (left.ty, right.ty, op) {
        (Type::DateTime, Type::DateTime, BinaryOp::Subtract) => {
            kernel::call("datetime_difference", "", DataType::Int64, vec![l, r], |a, _| {
                ok(binary_kernel::<_, _, _, Int64Type>(longs(&a[0])?, longs(&a[1])?, i64::wrapping_sub))
            })
        }
        (Type::DateTime, Type::TimeSpan, BinaryOp::Add | BinaryOp::Subtract) => shift(l, r, op == BinaryOp::Subtract),
        (Type::TimeSpan, Type::DateTime, BinaryOp::Add) => shift(r, l, false),
        (Type::DateTime, Type::TimeSpan, BinaryOp::Modulo) => {
            kernel::call("datetime_modulo", "", DataType::Int64, vec![l, r], |a, _| {
                nullable_binary(longs(&a[0])?, longs(&a[1])?, modulo)
            })
        }
        (Type::TimeSpan, Type::TimeSpan, BinaryOp::Divide) => {
            binary_expr(cast(l, DataType::Float64), Operator::Divide, cast(r, DataType::Float64))
        }
        (Type::TimeSpan, Type::Real, BinaryOp::Multiply) => scale(l, r, false),
        (Type::Real, Type::TimeSpan, BinaryOp::Multiply) => scale(r, l, false),
        (Type::TimeSpan, Type::Real, BinaryOp::Divide) => scale(l, r, true),
        (a, b, BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide)
            if ty == Type::TimeSpan && [a, b].iter().all(|ty| *ty == Type::TimeSpan || ty.is_integer()) =>
        {
            timespan(op, long(l, a), long(r, b))
        }
        (_, _, BinaryOp::Divide) if ty == Type::Real => binary_expr(l, Operator::Divide, r),
        (_, _, BinaryOp::Modulo) if ty == Type::Real => kernel::call("real_modulo", "", DataType::Float64, vec![l, r], |a, _| {
            let (x, y) = (a[0].as_primitive::<Float64Type>(), a[1].as_primitive::<Float64Type>());
            ok(binary_kernel::<_, _, _, Float64Type>(x, y, |x, y| {
                let rest = x % y;
                if rest < 0.0 { rest + y.abs() } else { rest }
            }))
        }),
        (_, _, BinaryOp::Divide) if ty == Type::Long => {
            kernel::call("integer_division", "", DataType::Int64, vec![long(l, left.ty), long(r, right.ty)], |a, _| {
                nullable_binary(longs(&a[0])?, longs(&a[1])?, |x: i64, y: i64| (y != 0).then(|| x.wrapping_div(y)))
            })
        }
        (_, _, BinaryOp::Modulo) if matches!(ty, Type::Long | Type::TimeSpan) => {
            kernel::call("integer_modulo", "", DataType::Int64, vec![long(l, left.ty), long(r, right.ty)], |a, _| {
                nullable_binary(longs(&a[0])?, longs(&a[1])?, modulo)
            })
        }
        (_, _, BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo) => {
            let operator = match op {
                BinaryOp::Add => Operator::Plus,
                BinaryOp::Subtract => Operator::Minus,
                BinaryOp::Multiply => Operator::Multiply,
                BinaryOp::Divide => Operator::Divide,
                _ => Operator::Modulo,
            };
            if ty == Type::Decimal {
                return Ok(decimal(op, l, r));
            }
            binary_expr(l, operator, r)
        }
        _ => return Err(internal(left, "no arithmetic")),
    })
}

/// `-x`
pub(super) fn negate(inner: &BoundExpr, ty: Type) -> Lowered<Expr> {
    let v = value(inner)?;
    Ok(match ty {
        Type::Long => kernel::call("negate", "", DataType::Int64, vec![long(v, inner.ty)], |a, _| {
            ok(longs(&a[0])?.unary::<_, Int64Type>(i64::wrapping_neg))
        }),
        Type::TimeSpan => kernel::call("negate_timespan", "", DataType::Int64, vec![v], |a, _| {
            ok(longs(&a[0])?.unary_opt::<_, Int64Type>(i64::checked_neg))
        }),
        // The least int has no positive counterpart; Arrow's own kernel would end the query.
        Type::Int => kernel::call("negate_int", "", DataType::Int32, vec![v], |a, _| {
            ok(a[0].as_primitive::<Int32Type>().unary::<_, Int32Type>(i32::wrapping_neg))
        }),
        _ => Expr::Negative(Box::new(v)),
    })
}

/// A datetime moved by ticks; null outside of the calendar.
fn shift(from: Expr, ticks: Expr, back: bool) -> Expr {
    kernel::call("datetime_shift", if back { "back" } else { "" }, arrow_type(Type::DateTime), vec![from, ticks], move |a, _| {
        nullable_binary(longs(&a[0])?, longs(&a[1])?, |x: i64, y: i64| {
            datetime(if back { x.checked_sub(y)? } else { x.checked_add(y)? })
        })
    })
}

/// Timespans, and integers that they are multiplied or divided by; null beyond the range and for a division by zero.
fn timespan(op: BinaryOp, l: Expr, r: Expr) -> Expr {
    kernel::call("timespan", format!("{op:?}"), DataType::Int64, vec![l, r], move |a, _| {
        nullable_binary(longs(&a[0])?, longs(&a[1])?, |x: i64, y: i64| match op {
            BinaryOp::Add => x.checked_add(y),
            BinaryOp::Subtract => x.checked_sub(y),
            BinaryOp::Multiply => x.checked_mul(y),
            _ => x.checked_div(y),
        })
    })
}

/// A timespan times or by a real, truncated to whole ticks; null beyond the range.
fn scale(ticks: Expr, factor: Expr, divide: bool) -> Expr {
    kernel::call("timespan_scale", if divide { "divide" } else { "" }, DataType::Int64, vec![ticks, factor], move |a, _| {
        let (x, y) = (longs(&a[0])?, a[1].as_primitive::<Float64Type>());
        nullable_binary(x, y, |x: i64, y: f64| ticks_of_real(if divide { x as f64 / y } else { x as f64 * y }))
    })
}

/// Decimal arithmetic at the fixed scale; null on overflow and for a division by zero.
fn decimal(op: BinaryOp, l: Expr, r: Expr) -> Expr {
    use arrow::datatypes::Decimal128Type;
    // A predicate that DataFusion moves into a branch without the column meets a null of no type there.
    let args = [l, r].map(|e| cast(e, arrow_type(Type::Decimal))).to_vec();
    kernel::call("decimal", format!("{op:?}"), arrow_type(Type::Decimal), args, move |a, _| {
        let (x, y) = (a[0].as_primitive::<Decimal128Type>(), a[1].as_primitive::<Decimal128Type>());
        let out: PrimitiveArray<Decimal128Type> = nullable(x, y, |x: i128, y: i128| {
            match op {
                BinaryOp::Add => x.checked_add(y),
                BinaryOp::Subtract => x.checked_sub(y),
                BinaryOp::Multiply => mul_div(x, y, SCALE),
                BinaryOp::Divide => (y != 0).then(|| mul_div(x, SCALE, y)).flatten(),
                _ => (y != 0).then(|| x.rem_euclid(y)),
            }
            .and_then(value::decimal)
        })?;
        ok(out.with_data_type(arrow_type(Type::Decimal)))
    })
}

const SCALE: i128 = 1_000_000_000_000_000_000;

/// `x * y / z`, rounded to the nearest whole number and halves away from zero; `None` beyond the range. `z` is not zero.
fn mul_div(x: i128, y: i128, z: i128) -> Option<i128> {
    let (product, z) = (i256::from_i128(x).checked_mul(i256::from_i128(y))?, i256::from_i128(z));
    let (quotient, rest) = (product.checked_div(z)?, product.checked_rem(z)?);
    let is_half = rest.wrapping_abs().checked_mul(i256::from_i128(2))? >= z.wrapping_abs();
    let away = match (is_half, (product < i256::ZERO) == (z < i256::ZERO)) {
        (false, _) => i256::ZERO,
        (true, true) => i256::ONE,
        (true, false) => i256::MINUS_ONE,
    };
    quotient.checked_add(away)?.to_i128()
}

/// The mathematical remainder, never negative; null for zero.
fn modulo(x: i64, y: i64) -> Option<i64> {
    (y != 0).then(|| {
        let rest = x.wrapping_rem(y);
        if rest < 0 { rest.wrapping_add(y.wrapping_abs()) } else { rest }
    })
}

/// An int operand widened to the kernels' long.
fn long(e: Expr, ty: Type) -> Expr {
    if ty == Type::Int { cast(e, DataType::Int64) } else { e }
}

fn longs(array: &ArrayRef) -> Result<&PrimitiveArray<Int64Type>, String> {
    array.as_primitive_opt::<Int64Type>().ok_or_else(|| format!("long expected, {} found", array.data_type()))
}

fn ok<A: Array + 'static>(result: impl IntoArray<A>) -> Result<ArrayRef, String> {
    Ok(Arc::new(result.into_array()?))
}

/// What the kernels of this file return, with or without an Arrow error.
trait IntoArray<A> {
    fn into_array(self) -> Result<A, String>;
}

impl<T: ArrowPrimitiveType> IntoArray<PrimitiveArray<T>> for PrimitiveArray<T> {
    fn into_array(self) -> Result<PrimitiveArray<T>, String> {
        Ok(self)
    }
}

impl<T: ArrowPrimitiveType> IntoArray<PrimitiveArray<T>> for Result<PrimitiveArray<T>, arrow::error::ArrowError> {
    fn into_array(self) -> Result<PrimitiveArray<T>, String> {
        self.map_err(|e| e.to_string())
    }
}

/// Row by row with null for null and for `None`.
fn nullable<A: ArrowPrimitiveType, B: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    x: &PrimitiveArray<A>,
    y: &PrimitiveArray<B>,
    f: impl Fn(A::Native, B::Native) -> Option<O::Native>,
) -> Result<PrimitiveArray<O>, String> {
    // The common case has no row without a result: compute it without building a new null mask.
    let quick = try_binary::<_, _, _, O>(x, y, |x, y| f(x, y).ok_or(arrow::error::ArrowError::DivideByZero));
    if let Ok(array) = quick {
        return Ok(array);
    }
    Ok((0..x.len()).map(|i| if x.is_null(i) || y.is_null(i) { None } else { f(x.value(i), y.value(i)) }).collect())
}

fn nullable_binary<A: ArrowPrimitiveType, B: ArrowPrimitiveType>(
    x: &PrimitiveArray<A>,
    y: &PrimitiveArray<B>,
    f: impl Fn(A::Native, B::Native) -> Option<i64>,
) -> Result<ArrayRef, String> {
    let out: PrimitiveArray<Int64Type> = nullable(x, y, f)?;
    Ok(Arc::new(out))
}
