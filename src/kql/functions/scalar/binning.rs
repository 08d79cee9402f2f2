//! Rounding down to multiples: `bin`, `floor` and `bin_at`.
//!
//! Datetimes are binned from 0001-01-01, which is a Monday, so that bins of seven days start on Mondays (Kusto documentation,
//! "bin()"). A bin size that is negative or null gives null; of a size of zero the result is null, for reals NaN. A bin that would
//! begin below the type's range is null.

use std::cell::Cell;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::error::ArrowError;

use crate::functions::kernels::ValueArg;
use crate::functions::{ArgInfo, ArgType, ColumnFn, Naming, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::columns::{ColumnBuilder, in_form};
use kqlake_value::{self as value, Type, Value, ValueRef};

/// The functions of this family.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "bin",
        &[Param::req("value", ArgType::Summable), Param::req("roundTo", ArgType::Summable)],
        Returns::With(|args| bin_type(args[0].ty, args[1].ty)),
        ScalarImpl::Kernel(bin),
        "The value rounded down to a multiple of a size.",
    )
    .aliases(&["floor"])
    .naming(Naming::FirstArg),
    ScalarFn::new(
        "bin_at",
        &[
            Param::req("value", ArgType::Summable),
            Param::req("bin_size", ArgType::Summable),
            Param::req("fixed_point", ArgType::Summable),
        ],
        Returns::With(|args| {
            let (value, size, fixed) = (args[0].ty, args[1].ty, args[2].ty);
            let same = value == fixed || (value.is_numeric() && fixed.is_numeric());
            let ty = bin_type(value, size)?;
            match same {
                true if value.is_numeric() && fixed == Type::Real && ty == Type::Long => Ok(Type::Real),
                true => Ok(ty),
                false => Err(format!("the fixed point of a {value} cannot be a {fixed}")),
            }
        }),
        ScalarImpl::Kernel(bin_at),
        "The value rounded down to a multiple of a size away from a fixed point.",
    )
    .naming(Naming::FirstArg),
];

/// The type of a binned value.
fn bin_type(value: Type, size: Type) -> Result<Type, String> {
    Ok(match (value, size) {
        (Type::DateTime | Type::TimeSpan, Type::TimeSpan) => value,
        (Type::DateTime, Type::DateTime) => value,
        _ if value.is_integer() && size.is_integer() => Type::Long,
        _ if value.is_numeric() && size.is_numeric() => value.widest(size).unwrap_or(Type::Real),
        _ => return Err(format!("a {value} cannot be rounded to a multiple of a {size}")),
    })
}

/// A value as ticks, for datetimes since 0001-01-01.
fn ticks(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::DateTime(v) | ValueRef::TimeSpan(v) => Some(v),
        other => other.as_i64(),
    }
}

/// A number as a decimal.
fn decimal(value: ValueRef<'_>) -> Option<i128> {
    super::conversion::decimal_of(value)
}

fn bin_real(value: f64, size: f64) -> Option<f64> {
    if size < 0.0 {
        return None;
    }
    Some((value / size).floor() * size)
}

/// One value, of any type.
fn bin_value(value: ValueRef<'_>, size: ValueRef<'_>, fixed: ValueRef<'_>, to: Type) -> Value {
    let binned = || -> Option<Value> {
        Some(match to {
            Type::Real => {
                let (value, size, fixed) = (value.as_f64()?, size.as_f64()?, fixed.as_f64()?);
                Value::Real(fixed + bin_real(value - fixed, size)?)
            }
            Type::Decimal => {
                let (value, size, fixed) = (decimal(value)?, decimal(size)?, decimal(fixed)?);
                let away = value.checked_sub(fixed)?;
                if size <= 0 {
                    return None;
                }
                Value::Decimal(value::decimal(value.checked_sub(away.rem_euclid(size))?)?)
            }
            _ => {
                let (value, size, fixed) = (ticks(value)?, i128::from(ticks(size)?), ticks(fixed)?);
                if size <= 0 {
                    return None;
                }
                let away = i128::from(value) - i128::from(fixed);
                let binned = i64::try_from(i128::from(value) - away.rem_euclid(size)).ok()?;
                match to {
                    Type::DateTime => Value::DateTime(value::datetime(binned)?),
                    Type::TimeSpan => Value::TimeSpan(binned),
                    _ => Value::Long(binned),
                }
            }
        })
    };
    binned().unwrap_or(Value::Null)
}

/// The point that bins are counted from where none is given.
fn origin(to: Type) -> Value {
    match to {
        Type::DateTime => Value::DateTime(0),
        Type::TimeSpan => Value::TimeSpan(0),
        Type::Real => Value::Real(0.0),
        Type::Decimal => Value::Decimal(0),
        _ => Value::Long(0),
    }
}

fn bin(args: &[ArgInfo], to: Type) -> Result<ColumnFn, String> {
    if let Some(fast) = bin_constant(&args[0], &args[1], to) {
        return Ok(fast);
    }
    let origin = ArgInfo { ty: to, constant: Some(origin(to)) };
    by_row([&args[0], &args[1], &origin], to)
}

fn bin_at(args: &[ArgInfo], to: Type) -> Result<ColumnFn, String> {
    by_row([&args[0], &args[1], &args[2]], to)
}

fn by_row(args: [&ArgInfo; 3], to: Type) -> Result<ColumnFn, String> {
    let [value, size, fixed] = args.map(ValueArg::new);
    Ok(Box::new(move |arrays, rows| {
        let values = value.open(&arrays[0])?;
        let sizes = size.open(&arrays[1])?;
        // The fixed point of `bin` is no argument; as a constant its array is not read.
        let fixed = fixed.open(arrays.get(2).unwrap_or(&arrays[0]))?;
        let mut out = ColumnBuilder::new(to, rows);
        for row in 0..rows {
            out.push(&bin_value(values.get(row), sizes.get(row), fixed.get(row), to));
        }
        out.finish()
    }))
}

/// A column rounded to a positive constant, without looking at the type in each row.
fn bin_constant(value: &ArgInfo, size: &ArgInfo, to: Type) -> Option<ColumnFn> {
    if value.constant.is_some() {
        return None;
    }
    let mut buffer = String::new();
    let size = size.constant.as_ref()?.as_ref(&mut buffer);
    let from = value.ty;
    let unary = |f: Box<dyn Fn(&ArrayRef) -> Result<ArrayRef, String> + Send + Sync>| -> Option<ColumnFn> {
        Some(Box::new(move |arrays, _| f(&arrays[0])))
    };
    match to {
        Type::Real if from == Type::Real => {
            let size = size.as_f64().filter(|s| *s > 0.0)?;
            unary(Box::new(move |array| {
                let values = in_form(array, Type::Real)?;
                Ok(Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(|v| (v / size).floor() * size)))
            }))
        }
        Type::Long | Type::TimeSpan | Type::DateTime => {
            let size = ticks(size).filter(|s| *s > 0)?;
            unary(Box::new(move |array| {
                let values = in_form(array, if from == Type::Int { Type::Long } else { from })?;
                let values = values.as_primitive::<Int64Type>();
                // Times that follow one another are mostly of one bin, which a division takes longer to find.
                let last = Cell::new(0);
                let down = |v: i64| {
                    let of_last = last.get();
                    if v.checked_sub(of_last).is_some_and(|rest| (0..size).contains(&rest)) {
                        return Some(of_last);
                    }
                    let found = v.checked_sub(v.rem_euclid(size));
                    found.inspect(|found| last.set(*found))
                };
                // Next to no column has values so low that their bin has none: compute without a null mask first.
                let quick = values.try_unary::<_, Int64Type, _>(|v| down(v).ok_or(ArrowError::DivideByZero));
                Ok(Arc::new(quick.unwrap_or_else(|_| values.unary_opt(down))))
            }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use kqlake_value::format;
    use kqlake_value::parse::datetime;

    const DECIMAL_ONE: i128 = 1_000_000_000_000_000_000;
    const HOUR: i64 = 36_000_000_000;

    #[test]
    fn numbers_and_timespans() {
        use ValueRef as R;
        let zero = R::Long(0);
        for (value, size, to, want) in [
            (R::Long(-7), R::Long(5), Type::Long, Value::Long(-10)),
            (R::Long(7), R::Long(0), Type::Long, Value::Null),
            (R::Long(7), R::Long(-1), Type::Long, Value::Null),
            (R::Long(7), R::Null, Type::Long, Value::Null),
            (R::Real(4.5), R::Long(1), Type::Real, Value::Real(4.0)),
            (R::Real(-5.5), R::Real(2.0), Type::Real, Value::Real(-6.0)),
            (R::Real(1.0), R::Real(-2.0), Type::Real, Value::Null),
            (R::TimeSpan(-HOUR), R::TimeSpan(24 * HOUR), Type::TimeSpan, Value::TimeSpan(-24 * HOUR)),
        ] {
            let fixed = if to == Type::TimeSpan { R::TimeSpan(0) } else { zero };
            assert_eq!(bin_value(value, size, fixed, to), want, "{value:?} {size:?}");
        }
        let at = |v, s, f| bin_value(R::Real(v), R::Real(s), R::Real(f), Type::Real);
        assert_eq!(at(6.5, 2.5, 7.0), Value::Real(4.5));
        assert_eq!(
            bin_value(R::TimeSpan(HOUR), R::TimeSpan(24 * HOUR), R::TimeSpan(12 * HOUR), Type::TimeSpan),
            Value::TimeSpan(-12 * HOUR)
        );
        assert_eq!(
            bin_value(R::Decimal(7 * DECIMAL_ONE / 2), R::Long(1), R::Long(0), Type::Decimal),
            Value::Decimal(3 * DECIMAL_ONE)
        );
    }

    #[test]
    fn weeks_start_on_mondays_and_fast_and_slow_agree() {
        let times = ["2007-03-08T12:00:00.5", "0001-01-01", "9999-12-31T23:59:59.9999999", "1969-07-20T20:17:40"]
            .map(|t| datetime(t).unwrap());
        let array: ArrayRef = Arc::new(Int64Array::from(times.to_vec()));
        for size in [7 * 24 * HOUR, 90 * 60 * 10_000_000, 333 * 10_000, 10, 3] {
            let info = [
                ArgInfo { ty: Type::DateTime, constant: None },
                ArgInfo { ty: Type::TimeSpan, constant: Some(Value::TimeSpan(size)) },
            ];
            let binned = bin(&info, Type::DateTime).unwrap()(&[array.clone(), array.clone()], times.len()).unwrap();
            let binned = binned.as_primitive::<Int64Type>();
            for (i, time) in times.iter().enumerate() {
                let slow = bin_value(ValueRef::DateTime(*time), ValueRef::TimeSpan(size), ValueRef::DateTime(0), Type::DateTime);
                assert_eq!(Value::DateTime(binned.value(i)), slow, "{size}");
            }
        }
        let week =
            bin_value(ValueRef::DateTime(times[0]), ValueRef::TimeSpan(7 * 24 * HOUR), ValueRef::DateTime(0), Type::DateTime);
        assert_eq!(format::to_string(week.as_ref(&mut String::new())), "2007-03-05T00:00:00.0000000Z");
        let longs: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(i64::MIN)]));
        let info = [ArgInfo { ty: Type::Long, constant: None }, ArgInfo { ty: Type::Long, constant: Some(Value::Long(5)) }];
        let binned = bin(&info, Type::Long).unwrap()(&[longs.clone(), longs], 3).unwrap();
        assert_eq!(binned.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(5), None, None]);
    }

    #[test]
    fn a_column_has_the_bins_of_its_rows() {
        for (size, values) in [
            (5, vec![0, 4, 5, -1, -5, -6, 4, 9, 10, i64::MAX, i64::MIN + 8, i64::MAX, -1, 3]),
            (1, vec![0, 1, 1, -1, i64::MIN, i64::MAX, 0]),
            (i64::MAX, vec![i64::MAX, -1, -i64::MAX, i64::MAX - 1, 0, i64::MIN + 1]),
            (4, vec![i64::MAX, i64::MIN, i64::MAX]),
            (7, vec![1, i64::MIN, 8, i64::MIN + 1, i64::MAX]),
        ] {
            let constant = |value| ArgInfo { ty: Type::Long, constant: value };
            let kernel = bin_constant(&constant(None), &constant(Some(Value::Long(size))), Type::Long).unwrap();
            let found = kernel(&[Arc::new(Int64Array::from(values.clone())) as ArrayRef], values.len()).unwrap();
            let wanted = values.iter().map(|v| v.checked_sub(v.rem_euclid(size)));
            assert_eq!(found.as_primitive::<Int64Type>(), &wanted.collect::<Int64Array>(), "{size} {values:?}");
        }
    }
}
