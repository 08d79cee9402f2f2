//! Arithmetic, comparisons and elementary functions, element by element.
//!
//! What is no number, and a place that only one of two series has, gives null.

use super::{Number, Series, write_numbers};
use crate::functions::{ArgInfo, ArgType, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::{Type, ValueRef};

const OPERAND: ArgType = ArgType::OneOf(&[Type::Dynamic, Type::Int, Type::Long, Type::Real, Type::Decimal]);
const TWO: &[Param] = &[Param::req("series1", OPERAND), Param::req("series2", OPERAND)];
const ONE: &[Param] = &[Param::req("series", ArgType::Dynamic)];

type TextFn = fn(&[ValueRef<'_>], &mut String) -> bool;

const fn binary(name: &'static str, imp: TextFn, doc: &'static str) -> ScalarFn {
    ScalarFn::new(name, TWO, Returns::With(one_is_series), ScalarImpl::Text(imp), doc)
}

const fn unary(name: &'static str, imp: TextFn, doc: &'static str) -> ScalarFn {
    ScalarFn::new(name, ONE, Returns::Type(Type::Dynamic), ScalarImpl::Text(imp), doc)
}

/// The elementwise functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    unary("series_abs", |a, o| map_number(a, o, abs), "The absolute values."),
    unary("series_acos", |a, o| map(a, o, f64::acos), "The angles with these cosines."),
    binary("series_add", |a, o| combine(a, o, Some(i64::wrapping_add), |x, y| x + y), "The sums."),
    unary("series_asin", |a, o| map(a, o, f64::asin), "The angles with these sines."),
    unary("series_atan", |a, o| map(a, o, f64::atan), "The angles with these tangents."),
    unary("series_ceiling", |a, o| map(a, o, |x| x.ceil() + 0.0), "The least whole numbers that are not below."),
    unary("series_cos", |a, o| map(a, o, f64::cos), "The cosines."),
    binary("series_divide", |a, o| combine(a, o, None, |x, y| x / y), "The quotients."),
    binary("series_equals", |a, o| compare(a, o, |x, y| x == y), "True where two series are equal."),
    unary("series_exp", |a, o| map(a, o, f64::exp), "e to the power of each."),
    unary("series_floor", |a, o| map(a, o, |x| x.floor() + 0.0), "The greatest whole numbers that are not above."),
    binary("series_greater", |a, o| compare(a, o, |x, y| x > y), "True where the first is greater."),
    binary("series_greater_equals", |a, o| compare(a, o, |x, y| x >= y), "True where the first is greater or equal."),
    binary("series_less", |a, o| compare(a, o, |x, y| x < y), "True where the first is less."),
    binary("series_less_equals", |a, o| compare(a, o, |x, y| x <= y), "True where the first is less or equal."),
    unary("series_log", |a, o| map(a, o, f64::ln), "The natural logarithms."),
    binary("series_multiply", |a, o| combine(a, o, Some(i64::wrapping_mul), |x, y| x * y), "The products."),
    binary("series_not_equals", |a, o| compare(a, o, |x, y| x != y), "True where two series are not equal."),
    binary("series_pow", |a, o| combine(a, o, None, f64::powf), "The first to the power of the second."),
    unary("series_sign", |a, o| map_number(a, o, sign), "-1, 0 or 1 for negative numbers, zero and positive numbers."),
    unary("series_sin", |a, o| map(a, o, f64::sin), "The sines."),
    binary("series_subtract", |a, o| combine(a, o, Some(i64::wrapping_sub), |x, y| x - y), "The differences."),
    unary("series_tan", |a, o| map(a, o, f64::tan), "The tangents."),
];

fn one_is_series(args: &[ArgInfo]) -> Result<Type, String> {
    if args.iter().any(|arg| arg.ty == Type::Dynamic) {
        Ok(Type::Dynamic)
    } else {
        Err("at least one of the two must be a series (a dynamic array)".to_owned())
    }
}

/// One side of an operation: a series, or one number for every place.
enum Operand {
    Series(Series),
    One(Option<Number>),
}

impl Operand {
    fn read(value: ValueRef<'_>) -> Option<Operand> {
        match Series::read(value) {
            Some(series) => Some(Operand::Series(series)),
            None => match value {
                ValueRef::Dynamic(text) => Number::read(text).map(|number| Operand::One(Some(number))),
                ValueRef::Null => None,
                other => Number::of(other).map(|number| Operand::One(Some(number))),
            },
        }
    }

    fn get(&self, place: usize) -> Option<Number> {
        match self {
            Operand::Series(series) => series.items.get(place).copied().flatten(),
            Operand::One(number) => *number,
        }
    }

    fn len(&self) -> usize {
        match self {
            Operand::Series(series) => series.items.len(),
            Operand::One(_) => 0,
        }
    }

    fn is_whole(&self) -> bool {
        match self {
            Operand::Series(series) => series.is_whole(),
            Operand::One(number) => !matches!(number, Some(Number::Real(_))),
        }
    }
}

fn operands(args: &[ValueRef<'_>]) -> Option<(Operand, Operand)> {
    let (a, b) = (Operand::read(args[0])?, Operand::read(args[1])?);
    let scalars = matches!((&a, &b), (Operand::One(_), Operand::One(_)));
    (!scalars).then_some((a, b))
}

/// Combines two series; in whole numbers where both are whole and the operation has such a form.
fn combine(args: &[ValueRef<'_>], out: &mut String, whole: Option<fn(i64, i64) -> i64>, real: fn(f64, f64) -> f64) -> bool {
    let Some((a, b)) = operands(args) else { return false };
    let whole = whole.filter(|_| a.is_whole() && b.is_whole());
    write_numbers(
        out,
        (0..a.len().max(b.len())).map(|i| {
            let (x, y) = (a.get(i)?, b.get(i)?);
            Some(match (whole, x, y) {
                (Some(f), Number::Whole(x), Number::Whole(y)) => Number::Whole(f(x, y)),
                _ => Number::Real(real(x.real(), y.real())),
            })
        }),
    );
    true
}

fn compare(args: &[ValueRef<'_>], out: &mut String, test: fn(f64, f64) -> bool) -> bool {
    let Some((a, b)) = operands(args) else { return false };
    out.push('[');
    for i in 0..a.len().max(b.len()) {
        if i > 0 {
            out.push(',');
        }
        out.push_str(match (a.get(i), b.get(i)) {
            (Some(x), Some(y)) if test(x.real(), y.real()) => "true",
            (Some(_), Some(_)) => "false",
            _ => "null",
        });
    }
    out.push(']');
    true
}

fn map(args: &[ValueRef<'_>], out: &mut String, f: fn(f64) -> f64) -> bool {
    map_number(args, out, |number, _| Number::Real(f(number.real())))
}

/// Maps numbers; the function's second argument says whether all numbers of the series are integers.
fn map_number(args: &[ValueRef<'_>], out: &mut String, f: impl Fn(Number, bool) -> Number) -> bool {
    let Some(series) = Series::read(args[0]) else { return false };
    let whole = series.is_whole();
    write_numbers(out, series.items.iter().map(|item| item.map(|number| f(number, whole))));
    true
}

fn abs(number: Number, whole: bool) -> Number {
    match number {
        Number::Whole(v) if whole => Number::Whole(v.wrapping_abs()),
        other => Number::Real(other.real().abs()),
    }
}

fn sign(number: Number, whole: bool) -> Number {
    let v = number.real();
    let sign = super::super::math::sign(v);
    if whole { Number::Whole(sign as i64) } else { Number::Real(sign) }
}

#[cfg(test)]
mod tests {
    use super::super::call;
    use ValueRef::{Dynamic as D, Long, Null};

    use super::*;

    #[test]
    fn elements_are_combined_place_by_place() {
        for (name, args, expected) in [
            ("series_add", vec![D("[1,2,4]"), D("[4,2,1,7]")], "[5,4,5,null]"),
            ("series_multiply", vec![Long(10), D("[1,0.5,null]")], "[10.0,5.0,null]"),
            ("series_divide", vec![D("[1,2,4]"), D("[4,2,0]")], "[0.25,1.0,\"Infinity\"]"),
            ("series_pow", vec![D("[1,2,3,4]"), D("[1,2,3,0.5]")], "[1.0,4.0,27.0,2.0]"),
            ("series_greater_equals", vec![D("[1,2,4]"), D("[4,2,1]")], "[false,true,true]"),
            ("series_not_equals", vec![D("[1,\"x\"]"), Long(1)], "[false,null]"),
            (
                "series_subtract",
                vec![D(r#"["2020-01-01T00:00:10.0000000Z","2020-01-01"]"#), D(r#"["2020-01-01T00:00:00.0000000Z",1]"#)],
                "[100000000,null]",
            ),
            ("series_abs", vec![D("[-6.5,0,8.2]")], "[6.5,0.0,8.2]"),
            ("series_abs", vec![D("[-6,0]")], "[6,0]"),
            ("series_sign", vec![D("[-6,0,8]")], "[-1,0,1]"),
            ("series_ceiling", vec![D("[-1.5,1,2.5]")], "[-1.0,1.0,3.0]"),
            ("series_floor", vec![D("[-1.5,1,2.5]")], "[-2.0,1.0,2.0]"),
            ("series_log", vec![Null], "null"),
        ] {
            assert_eq!(call(name, &args), expected, "{name} {args:?}");
        }
    }
}
