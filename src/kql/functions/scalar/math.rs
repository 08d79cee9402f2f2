//! Mathematical functions of single numbers.
//!
//! A null argument gives null. Source: the Kusto documentation's page of each function; where the engine is known to answer
//! otherwise than its page (the logarithm of a negative number is null, its square root NaN, `ceiling` and `sign` are real for
//! whole numbers too) the engine's answer holds.

use super::numeric;
use crate::functions::{ArgInfo, ArgType, Naming, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::{Type, Value, ValueRef, decimal};

const REAL: Returns = Returns::Type(Type::Real);
const NUMBER: &[Param] = &[Param::req("number", ArgType::Number)];
/// Only a real can be NaN or infinite.
const REAL_NUMBER: &[Param] = &[Param::req("number", ArgType::OneOf(&[Type::Int, Type::Long, Type::Real]))];

/// A function of one number that gives a real.
const fn real(name: &'static str, imp: fn(&[ValueRef<'_>]) -> Value, naming: Naming, doc: &'static str) -> ScalarFn {
    ScalarFn::new(name, NUMBER, REAL, ScalarImpl::Row(imp), doc).naming(naming)
}

/// A function of two whole numbers that works on their bits.
const fn bits(name: &'static str, params: &'static [Param], imp: fn(&[ValueRef<'_>]) -> Value, doc: &'static str) -> ScalarFn {
    ScalarFn::new(name, params, Returns::Type(Type::Long), ScalarImpl::Row(imp), doc).naming(Naming::FirstArg)
}

const TWO: &[Param] = &[Param::req("value1", ArgType::Integer), Param::req("value2", ArgType::Integer)];
const SHIFT: &[Param] = &[Param::req("value", ArgType::Integer), Param::req("shift", ArgType::Integer)];
const BETA: &[Param] =
    &[Param::req("x", ArgType::Number), Param::req("alpha", ArgType::Number), Param::req("beta", ArgType::Number)];

macro_rules! of_real {
    ($f:expr) => {
        |args| args[0].as_f64().map_or(Value::Null, |x| Value::Real($f(x)))
    };
}
macro_rules! of_bits {
    ($f:expr) => {
        |args| match (args[0].as_i64(), args[1].as_i64()) {
            (Some(a), Some(b)) => Value::Long($f(a, b)),
            _ => Value::Null,
        }
    };
}

use Naming::{FirstArg, Generated};

/// The mathematical functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "abs",
        &[Param::req("number", ArgType::OneOf(&[Type::Int, Type::Long, Type::Real, Type::Decimal, Type::TimeSpan]))],
        Returns::With(abs_type),
        ScalarImpl::Row(abs),
        "The absolute value of a number or timespan.",
    )
    .naming(FirstArg),
    real("acos", of_real!(f64::acos), FirstArg, "The angle whose cosine is this."),
    real("asin", of_real!(f64::asin), FirstArg, "The angle whose sine is this."),
    real("atan", of_real!(f64::atan), FirstArg, "The angle whose tangent is this."),
    ScalarFn::new(
        "atan2",
        &[Param::req("y", ArgType::Number), Param::req("x", ArgType::Number)],
        REAL,
        ScalarImpl::Row(|args| two(args, f64::atan2)),
        "The angle between the x axis and the ray to the point (x, y).",
    )
    .naming(FirstArg),
    ScalarFn::new(
        "beta_cdf",
        BETA,
        REAL,
        ScalarImpl::Row(|args| three(args, |x, a, b| Value::Real(numeric::beta_cdf(x, a, b)))),
        "The distribution function of the beta distribution.",
    ),
    ScalarFn::new(
        "beta_inv",
        &[Param::req("probability", ArgType::Number), Param::req("alpha", ArgType::Number), Param::req("beta", ArgType::Number)],
        REAL,
        ScalarImpl::Row(|args| {
            // A probability outside 0..1 gives null, a wrong shape NaN.
            three(args, |p, a, b| if (0.0..=1.0).contains(&p) { Value::Real(numeric::beta_inv(p, a, b)) } else { Value::Null })
        }),
        "The inverse of the beta distribution function.",
    ),
    ScalarFn::new(
        "beta_pdf",
        BETA,
        REAL,
        ScalarImpl::Row(|args| three(args, |x, a, b| Value::Real(numeric::beta_pdf(x, a, b)))),
        "The density of the beta distribution.",
    ),
    bits("binary_and", TWO, of_bits!(|a, b| a & b), "The bits that both numbers have."),
    bits(
        "binary_not",
        &[Param::req("value", ArgType::Integer)],
        |args| args[0].as_i64().map_or(Value::Null, |v| Value::Long(!v)),
        "The other bits.",
    ),
    bits("binary_or", TWO, of_bits!(|a, b| a | b), "The bits that any of two numbers has."),
    bits(
        "binary_shift_left",
        SHIFT,
        |args| shift(args, |v, n| v.wrapping_shl(n)),
        "Shifts bits to the left, by the number modulo 64.",
    ),
    bits(
        "binary_shift_right",
        SHIFT,
        |args| shift(args, |v, n| v.wrapping_shr(n)),
        "Shifts bits to the right, by the number modulo 64.",
    ),
    bits("binary_xor", TWO, of_bits!(|a, b| a ^ b), "The bits that one of two numbers has."),
    ScalarFn::new(
        "bitset_count_ones",
        &[Param::req("value", ArgType::Integer)],
        Returns::Type(Type::Long),
        ScalarImpl::Row(|args| args[0].as_i64().map_or(Value::Null, |v| Value::Long(v.count_ones().into()))),
        "The number of set bits.",
    )
    .naming(FirstArg),
    ScalarFn::new(
        "ceiling",
        NUMBER,
        Returns::With(real_or_decimal),
        ScalarImpl::Row(ceiling),
        "The least whole number that is not below this.",
    )
    .shown(|args| args.first().map(|value| value.ty).filter(|ty| ty.is_integer()))
    .naming(FirstArg),
    real("cos", of_real!(f64::cos), FirstArg, "The cosine of an angle in radians."),
    real("cot", of_real!(|x: f64| 1.0 / x.tan()), Generated, "The cotangent of an angle in radians."),
    real("degrees", of_real!(|x: f64| x * (180.0 / std::f64::consts::PI)), Generated, "Degrees of an angle in radians."),
    real("erf", of_real!(numeric::erf), FirstArg, "The error function."),
    real("erfc", of_real!(numeric::erfc), FirstArg, "The complementary error function."),
    real("exp", of_real!(f64::exp), FirstArg, "e to this power."),
    real("exp10", of_real!(|x: f64| 10f64.powf(x)), FirstArg, "10 to this power."),
    real("exp2", of_real!(f64::exp2), FirstArg, "2 to this power."),
    real("gamma", of_real!(numeric::gamma), FirstArg, "The gamma function."),
    ScalarFn::new(
        "isfinite",
        REAL_NUMBER,
        Returns::Type(Type::Bool),
        ScalarImpl::Row(|args| test(args, f64::is_finite)),
        "True for a number that is neither NaN nor infinite.",
    ),
    ScalarFn::new(
        "isinf",
        REAL_NUMBER,
        Returns::Type(Type::Bool),
        ScalarImpl::Row(|args| test(args, f64::is_infinite)),
        "True for an infinite number.",
    ),
    ScalarFn::new(
        "isnan",
        REAL_NUMBER,
        Returns::Type(Type::Bool),
        ScalarImpl::Row(|args| test(args, f64::is_nan)),
        "True for NaN.",
    ),
    real("log", |args| logarithm(args, f64::ln), FirstArg, "The natural logarithm; null for negative numbers."),
    real("log10", |args| logarithm(args, f64::log10), FirstArg, "The decimal logarithm; null for negative numbers."),
    real("log2", |args| logarithm(args, f64::log2), FirstArg, "The binary logarithm; null for negative numbers."),
    real("loggamma", of_real!(numeric::ln_gamma), FirstArg, "The logarithm of the gamma function's absolute value."),
    ScalarFn::new("pi", &[], REAL, ScalarImpl::Row(|_| Value::Real(std::f64::consts::PI)), "The number pi."),
    ScalarFn::new(
        "pow",
        &[Param::req("base", ArgType::Number), Param::req("exponent", ArgType::Number)],
        REAL,
        ScalarImpl::Row(|args| two(args, f64::powf)),
        "A base to the power of an exponent.",
    )
    .naming(FirstArg),
    real("radians", of_real!(|x: f64| x * (std::f64::consts::PI / 180.0)), Generated, "Radians of an angle in degrees."),
    ScalarFn::new(
        "round",
        &[Param::req("number", ArgType::Number), Param::opt("precision", ArgType::Integer).constant()],
        Returns::Arg(0),
        ScalarImpl::Row(round),
        "Rounds to a number of digits behind the point, or before it when negative; halves away from zero.",
    )
    .naming(FirstArg),
    real("sign", of_real!(sign), Generated, "-1, 0 or 1 for negative numbers, zero and positive numbers."),
    real("sin", of_real!(f64::sin), FirstArg, "The sine of an angle in radians."),
    real("sqrt", of_real!(f64::sqrt), FirstArg, "The square root."),
    real("tan", of_real!(f64::tan), FirstArg, "The tangent of an angle in radians."),
    ScalarFn::new(
        "welch_test",
        &[
            Param::req("mean1", ArgType::Number),
            Param::req("variance1", ArgType::Number),
            Param::req("count1", ArgType::Number),
            Param::req("mean2", ArgType::Number),
            Param::req("variance2", ArgType::Number),
            Param::req("count2", ArgType::Number),
        ],
        REAL,
        ScalarImpl::Row(welch_test),
        "The p-value of Welch's t-test.",
    ),
];

fn abs_type(args: &[ArgInfo]) -> Result<Type, String> {
    Ok(if args[0].ty == Type::Int { Type::Long } else { args[0].ty })
}

fn real_or_decimal(args: &[ArgInfo]) -> Result<Type, String> {
    Ok(if args[0].ty == Type::Decimal { Type::Decimal } else { Type::Real })
}

fn abs(args: &[ValueRef<'_>]) -> Value {
    match args[0] {
        ValueRef::Int(v) => Value::Long(i64::from(v).abs()),
        ValueRef::Long(v) => Value::Long(v.wrapping_abs()),
        ValueRef::Real(v) => Value::Real(v.abs()),
        ValueRef::Decimal(v) => Value::Decimal(v.wrapping_abs()),
        ValueRef::TimeSpan(v) => v.checked_abs().map_or(Value::Null, Value::TimeSpan),
        _ => Value::Null,
    }
}

fn two(args: &[ValueRef<'_>], f: fn(f64, f64) -> f64) -> Value {
    match (args[0].as_f64(), args[1].as_f64()) {
        (Some(a), Some(b)) => Value::Real(f(a, b)),
        _ => Value::Null,
    }
}

fn three(args: &[ValueRef<'_>], f: fn(f64, f64, f64) -> Value) -> Value {
    match (args[0].as_f64(), args[1].as_f64(), args[2].as_f64()) {
        (Some(a), Some(b), Some(c)) => f(a, b, c),
        _ => Value::Null,
    }
}

fn test(args: &[ValueRef<'_>], f: fn(f64) -> bool) -> Value {
    args[0].as_f64().map_or(Value::Null, |x| Value::Bool(f(x)))
}

fn shift(args: &[ValueRef<'_>], f: fn(i64, u32) -> i64) -> Value {
    match (args[0].as_i64(), args[1].as_i64()) {
        (Some(v), Some(n)) if n >= 0 => Value::Long(f(v, (n % 64) as u32)),
        _ => Value::Null,
    }
}

fn logarithm(args: &[ValueRef<'_>], f: fn(f64) -> f64) -> Value {
    match args[0].as_f64() {
        Some(x) if x < 0.0 => Value::Null,
        Some(x) => Value::Real(f(x)),
        None => Value::Null,
    }
}

/// NaN is neither below nor above zero: its sign is 0.
pub(super) fn sign(x: f64) -> f64 {
    f64::from(i8::from(x > 0.0) - i8::from(x < 0.0))
}

/// 10^18: a decimal's unit.
const UNIT: i128 = 1_000_000_000_000_000_000;

fn ceiling(args: &[ValueRef<'_>]) -> Value {
    match args[0] {
        ValueRef::Decimal(v) => v.checked_add((-v).rem_euclid(UNIT)).and_then(decimal).map_or(Value::Null, Value::Decimal),
        // A negative zero would print as such.
        other => other.as_f64().map_or(Value::Null, |x| Value::Real(x.ceil() + 0.0)),
    }
}

fn round(args: &[ValueRef<'_>]) -> Value {
    let digits = match args.get(1) {
        None => 0,
        Some(digits) => match digits.as_i64() {
            Some(digits) => digits.clamp(-400, 400) as i32,
            None => return Value::Null,
        },
    };
    if let ValueRef::Decimal(v) = args[0] {
        if digits >= 18 {
            return Value::Decimal(v);
        }
        // More than 38 digits leave nothing of any decimal.
        let Some(unit) = u32::try_from(18 - digits).ok().and_then(|d| 10i128.checked_pow(d)) else { return Value::Decimal(0) };
        let half = if v < 0 { -unit / 2 } else { unit / 2 };
        return v.checked_add(half).and_then(|v| decimal(v / unit * unit)).map_or(Value::Null, Value::Decimal);
    }
    if let ValueRef::Int(_) | ValueRef::Long(_) = args[0] {
        // A whole number stays one.
        let Some(v) = args[0].as_i64() else { return Value::Null };
        let unit = u32::try_from(-digits).ok().and_then(|places| 10i128.checked_pow(places));
        return match unit {
            _ if digits >= 0 => Value::Long(v),
            Some(unit) => {
                let half = if v < 0 { -unit / 2 } else { unit / 2 };
                i64::try_from((i128::from(v) + half) / unit * unit).map_or(Value::Null, Value::Long)
            }
            None => Value::Long(0),
        };
    }
    let Some(x) = args[0].as_f64() else { return Value::Null };
    Value::Real(round_real(x, digits))
}

/// Rounds halves away from zero at a decimal place. A number that has no such place stays as it is.
pub(crate) fn round_real(x: f64, digits: i32) -> f64 {
    if digits >= 0 {
        let scale = 10f64.powi(digits);
        let scaled = x * scale;
        if scaled.is_finite() && scaled.abs() < 9_007_199_254_740_992.0 { scaled.round() / scale } else { x }
    } else {
        let scale = 10f64.powi(-digits);
        if scale.is_finite() { (x / scale).round() * scale } else { 0.0 }
    }
}

fn welch_test(args: &[ValueRef<'_>]) -> Value {
    let mut numbers = [0.0; 6];
    for (number, arg) in numbers.iter_mut().zip(args) {
        match arg.as_f64() {
            Some(v) => *number = v,
            None => return Value::Null,
        }
    }
    let [m1, v1, c1, m2, v2, c2] = numbers;
    Value::Real(numeric::welch_test(m1, v1, c1, m2, v2, c2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, args: &[ValueRef<'_>]) -> Value {
        match FUNCTIONS.iter().find(|f| f.name == name).unwrap().imp {
            ScalarImpl::Row(f) => f(args),
            _ => Value::Null,
        }
    }

    #[test]
    fn edges_of_the_domains_are_as_the_engine_has_them() {
        use ValueRef::{Decimal, Int, Long, Null, Real, TimeSpan};
        for (name, args, expected) in [
            ("log", vec![Real(-1.0)], Value::Null),
            ("log", vec![Real(0.0)], Value::Real(f64::NEG_INFINITY)),
            ("sqrt", vec![Null], Value::Null),
            ("abs", vec![Int(-5)], Value::Long(5)),
            ("abs", vec![TimeSpan(-5)], Value::TimeSpan(5)),
            ("ceiling", vec![Real(-0.5)], Value::Real(0.0)),
            ("ceiling", vec![Decimal(UNIT / 2)], Value::Decimal(UNIT)),
            ("ceiling", vec![Decimal(-3 * UNIT / 2)], Value::Decimal(-UNIT)),
            ("round", vec![Real(2.5)], Value::Real(3.0)),
            ("round", vec![Real(-0.5)], Value::Real(-1.0)),
            ("round", vec![Real(2.15), Long(1)], Value::Real(2.2)),
            ("round", vec![Real(-50.55), Long(-2)], Value::Real(-100.0)),
            ("round", vec![Real(21.5), Long(-1)], Value::Real(20.0)),
            ("round", vec![Long(1250), Long(-2)], Value::Long(1300)),
            ("round", vec![Long(-7), Long(2)], Value::Long(-7)),
            ("round", vec![Real(1e300), Long(300)], Value::Real(1e300)),
            ("round", vec![Decimal(-UNIT * 5 / 2)], Value::Decimal(-3 * UNIT)),
            ("sign", vec![Long(-7)], Value::Real(-1.0)),
            ("sign", vec![Long(0)], Value::Real(0.0)),
            ("sign", vec![Real(f64::NAN)], Value::Real(0.0)),
            ("sign", vec![Real(f64::NEG_INFINITY)], Value::Real(-1.0)),
            ("pow", vec![Long(2), Long(10)], Value::Real(1024.0)),
            ("binary_shift_left", vec![Long(1), Long(65)], Value::Long(2)),
            ("binary_shift_left", vec![Long(1), Long(-1)], Value::Null),
            ("binary_shift_right", vec![Long(-8), Long(1)], Value::Long(-4)),
            ("binary_not", vec![Long(100)], Value::Long(-101)),
            ("bitset_count_ones", vec![Long(42)], Value::Long(3)),
            ("isnan", vec![Real(f64::NAN)], Value::Bool(true)),
            ("isfinite", vec![Long(1)], Value::Bool(true)),
        ] {
            assert_eq!(call(name, &args), expected, "{name} {args:?}");
        }
        assert!(matches!(call("sqrt", &[Real(-1.0)]), Value::Real(v) if v.is_nan()));
        assert!(matches!(call("pow", &[Long(-8), Real(1.0 / 3.0)]), Value::Real(v) if v.is_nan()));
    }
}
