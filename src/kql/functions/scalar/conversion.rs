//! Conversions between types: `tostring`, `tolong`, `todatetime`, `parse_json` and their kin.
//!
//! A conversion that is not possible gives null, never an error ("Conversion functions" of the Kusto documentation). Numbers
//! made from a timespan or a datetime are ticks of 100 ns (a datetime's since 0001-01-01), and the other way round.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array};
use arrow::datatypes::{Decimal128Type, Float64Type, Int32Type, Int64Type};

use crate::functions::kernels::{ValueArg, display, from_text};
use crate::functions::{ArgInfo, ArgType, ColumnFn, Meaning, Naming, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::columns::{ColumnReader, in_form};
use kqlake_value::format::write_json_string;
use kqlake_value::json::display;
use kqlake_value::text_column::TextBuilder;
use kqlake_value::texts::Texts;
use kqlake_value::{self as value, Type, Value, ValueRef, json, parse};

/// One in a decimal's scale.
const DECIMAL_ONE: i128 = 1_000_000_000_000_000_000;

const ANY: &[Param] = &[Param::req("value", ArgType::Any)];
const TEXT: &[Param] = &[Param::req("value", ArgType::StringOrDynamic)];

/// A conversion's entry: it names its result after its argument.
const fn conversion(name: &'static str, params: &'static [Param], to: Type, imp: ScalarImpl, doc: &'static str) -> ScalarFn {
    ScalarFn::new(name, params, Returns::Type(to), imp, doc).naming(Naming::FirstArg).meaning(Meaning::Conversion)
}

/// The functions of this family.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    conversion("tostring", ANY, Type::String, ScalarImpl::Kernel(to_string), "The value's text; the empty string for null."),
    conversion("tolong", ANY, Type::Long, ScalarImpl::Kernel(to_long), "The value as a long; null if it is none."),
    conversion("toint", ANY, Type::Int, ScalarImpl::Kernel(to_int), "The value as an int; null if it is none."),
    conversion("toreal", ANY, Type::Real, ScalarImpl::Kernel(to_real), "The value as a real; null if it is none.")
        .aliases(&["todouble"]),
    conversion("todecimal", ANY, Type::Decimal, ScalarImpl::Kernel(to_decimal), "The value as a decimal; null if it is none."),
    conversion("tobool", ANY, Type::Bool, ScalarImpl::Kernel(to_bool), "The value as a bool; null if it is none.")
        .aliases(&["toboolean"]),
    conversion(
        "todatetime",
        ANY,
        Type::DateTime,
        ScalarImpl::Kernel(to_datetime),
        "The value as a datetime; null if it is none.",
    ),
    conversion(
        "totimespan",
        ANY,
        Type::TimeSpan,
        ScalarImpl::Kernel(to_timespan),
        "The value as a timespan; null if it is none.",
    )
    .aliases(&["totime"]),
    conversion(
        "toguid",
        &[Param::req("value", ArgType::OneOf(&[Type::String, Type::Dynamic, Type::Guid]))],
        Type::Guid,
        ScalarImpl::Kernel(to_guid),
        "The text as a guid; null if it is none.",
    ),
    ScalarFn::new(
        "parse_json",
        TEXT,
        Returns::Type(Type::Dynamic),
        ScalarImpl::Kernel(parse_json),
        "JSON text as a dynamic value; other text as a dynamic string.",
    )
    .naming(Naming::FirstArg)
    .aliases(&["parsejson", "todynamic", "toobject"]),
    ScalarFn::new(
        "gettype",
        ANY,
        Returns::Type(Type::String),
        ScalarImpl::Kernel(get_type),
        "The name of the value's type; for a dynamic, of what it holds.",
    )
    .naming(Naming::Prefix("type_")),
    ScalarFn::new(
        "tohex",
        &[Param::req("value", ArgType::Integer), Param::opt("minLength", ArgType::Integer)],
        Returns::Type(Type::String),
        ScalarImpl::Kernel(to_hex),
        "The hexadecimal digits of an integer, in two's complement if it is negative.",
    )
    .naming(Naming::FirstArg),
];

/// A value converted to a type, by the rules of the type's conversion function.
pub(crate) fn convert(value: ValueRef<'_>, to: Type) -> Value {
    fn some<T>(value: Option<T>, make: fn(T) -> Value) -> Value {
        value.map_or(Value::Null, make)
    }
    match to {
        Type::Bool => some(bool_of(value), Value::Bool),
        Type::Int => some(int_of(value), Value::Int),
        Type::Long => some(long_of(value), Value::Long),
        Type::Real => some(real_of(value), Value::Real),
        Type::Decimal => some(decimal_of(value), Value::Decimal),
        Type::DateTime => some(datetime_of(value), Value::DateTime),
        Type::TimeSpan => some(timespan_of(value), Value::TimeSpan),
        Type::Guid => some(guid_of(value), Value::Guid),
        Type::String => Value::String(crate::functions::kernels::text_of_ref(value).into_owned()),
        Type::Dynamic => match value {
            ValueRef::String(text) => {
                let mut out = String::new();
                if push_parsed(&mut out, text) { Value::Dynamic(ValueRef::Dynamic(&out).to_json()) } else { Value::Null }
            }
            other => Value::Dynamic(other.to_json()),
        },
    }
}

/// What a dynamic holds, as a value; arrays, bags and null give null.
fn held<T>(text: &str, from_text: impl Fn(&str) -> Option<T>, from_value: impl Fn(ValueRef<'_>) -> Option<T>) -> Option<T> {
    match display::json_ref(text) {
        display::JsonRef::String(quoted) => from_text(&json::unquote(quoted)),
        display::JsonRef::Long(v) => from_value(ValueRef::Long(v)),
        display::JsonRef::Real(v) => from_value(ValueRef::Real(v)),
        display::JsonRef::Bool(v) => from_value(ValueRef::Bool(v)),
        display::JsonRef::Null | display::JsonRef::Array(_) | display::JsonRef::Object(_) => None,
    }
}

/// A text as a value of a type, as the `to…` functions read it: elements of dynamics and parsed pieces. Null where it is none.
/// As a dynamic it is what its JSON says, or the text itself where it is no JSON.
pub(crate) fn text_as(text: &str, ty: Type) -> Value {
    let value = ValueRef::String(text);
    match ty {
        Type::String => Some(Value::String(text.to_owned())),
        Type::Long => long_of(value).map(Value::Long),
        Type::Int => int_of(value).map(Value::Int),
        Type::Real => real_of(value).map(Value::Real),
        Type::Decimal => decimal_of(value).map(Value::Decimal),
        Type::Bool => bool_of(value).map(Value::Bool),
        Type::DateTime => datetime_of(value).map(Value::DateTime),
        Type::TimeSpan => timespan_of(value).map(Value::TimeSpan),
        Type::Guid => guid_of(value).map(Value::Guid),
        Type::Dynamic => Some(Value::Dynamic(serde_json::from_str(text).unwrap_or_else(|_| text.into()))),
    }
    .unwrap_or(Value::Null)
}

/// As `tolong`.
pub(crate) fn long_of(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Null | ValueRef::Guid(_) => None,
        ValueRef::Bool(v) => Some(v.into()),
        ValueRef::Int(v) => Some(v.into()),
        ValueRef::Long(v) | ValueRef::TimeSpan(v) | ValueRef::DateTime(v) => Some(v),
        // Truncated toward zero; what is too great stays at the end of the range. Infinity has no integer.
        ValueRef::Real(v) => v.is_finite().then_some(v as i64),
        ValueRef::Decimal(v) => i64::try_from(v / DECIMAL_ONE).ok(),
        ValueRef::String(v) => parse::long(v),
        ValueRef::Dynamic(v) => held(v, parse::long, long_of),
    }
}

/// As `toint`: a long keeps its low 32 bits, a real that is too great stays at the end of the range, such a decimal is null.
pub(crate) fn int_of(value: ValueRef<'_>) -> Option<i32> {
    match value {
        ValueRef::Real(v) => v.is_finite().then_some(v as i32),
        ValueRef::Decimal(v) => i32::try_from(v / DECIMAL_ONE).ok(),
        ValueRef::String(v) => parse::int(v),
        ValueRef::Dynamic(v) => held(v, parse::int, int_of),
        other => long_of(other).map(|v| v as i32),
    }
}

/// As `toreal`.
pub(crate) fn real_of(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::Real(v) => Some(v),
        ValueRef::Decimal(v) => kqlake_value::format::to_string(ValueRef::Decimal(v)).parse().ok(),
        ValueRef::String(v) => parse::real(v),
        // A dynamic holds NaN and the infinities as texts.
        ValueRef::Dynamic(v) => held(v, parse::real, real_of).or_else(|| json::number(v)),
        other => long_of(other).map(|v| v as f64),
    }
}

/// As `todecimal`.
pub(crate) fn decimal_of(value: ValueRef<'_>) -> Option<i128> {
    match value {
        ValueRef::Decimal(v) => Some(v),
        ValueRef::Real(v) => value::decimal_of_real(v),
        ValueRef::String(v) => parse::decimal(v),
        ValueRef::Dynamic(v) => held(v, parse::decimal, decimal_of),
        other => long_of(other).map(|v| i128::from(v) * DECIMAL_ONE),
    }
}

/// As `tobool`.
pub(crate) fn bool_of(value: ValueRef<'_>) -> Option<bool> {
    match value {
        ValueRef::Bool(v) => Some(v),
        ValueRef::Real(v) => (!v.is_nan()).then_some(v != 0.0),
        ValueRef::Decimal(v) => Some(v != 0),
        ValueRef::String(v) => parse::boolean(v),
        ValueRef::Dynamic(v) => held(v, parse::boolean, bool_of),
        other => long_of(other).map(|v| v != 0),
    }
}

/// As `todatetime`.
pub(crate) fn datetime_of(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::DateTime(v) => Some(v),
        ValueRef::String(v) => parse::datetime(v),
        ValueRef::Dynamic(v) => held(v, parse::datetime, datetime_of),
        other => long_of(other).and_then(value::datetime),
    }
}

/// As `totimespan`: null beyond the range, as everywhere that timespans are computed.
pub(crate) fn timespan_of(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Real(v) => value::ticks_of_real(v),
        ValueRef::String(v) => parse::timespan(v),
        ValueRef::Dynamic(v) => held(v, parse::timespan, timespan_of),
        other => long_of(other),
    }
}

/// As `toguid`.
pub(crate) fn guid_of(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Guid(v) => Some(v.to_owned()),
        ValueRef::String(v) => parse::guid(v),
        ValueRef::Dynamic(v) => held(v, parse::guid, |_| None),
        _ => None,
    }
}

/// Appends what `parse_json` makes of a text, as JSON text; false for null.
pub(crate) fn push_parsed(out: &mut String, text: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    let start = out.len();
    if !display::push_canonical(out, text) {
        write_json_string(out, text);
    }
    if &out[start..] == "null" {
        out.truncate(start);
        return false;
    }
    true
}

/// A kernel of one argument.
type Unary = fn(&ArrayRef, Type) -> Result<ArrayRef, String>;

/// Runs a kernel over the first argument's column; a constant is converted once.
fn unary(args: &[ArgInfo], kernel: Unary) -> Result<ColumnFn, String> {
    let ty = args[0].ty;
    if let Some(value) = &args[0].constant {
        let one = kqlake_value::columns::single(value, ty)?;
        let converted = kernel(&one, ty)?;
        return Ok(Box::new(move |_, rows| {
            let index = Int64Array::from(vec![0; rows]);
            arrow::compute::take(&converted, &index, None).map_err(|e| e.to_string())
        }));
    }
    Ok(Box::new(move |arrays, _| kernel(&arrays[0], ty)))
}

fn to_string(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    unary(args, display)
}

/// A constant real as a long. Microsoft's engine computes constants by other rules than rows: what is too great or too small
/// becomes the least long, where a row's value stays at the end of the range (measured:
/// `tolong(todouble(9223372036854775807))`).
fn constant_long(v: f64) -> Option<i64> {
    v.is_finite().then(|| value::ticks_of_real(v).unwrap_or(i64::MIN))
}

fn to_long(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    if matches!(args[0].constant, Some(Value::Real(_))) {
        return unary(args, |array, _| {
            let reals = array.as_primitive::<Float64Type>();
            Ok(Arc::new(reals.iter().map(|v| constant_long(v?)).collect::<Int64Array>()))
        });
    }
    unary(args, |array, ty| {
        Ok(match ty {
            Type::Long | Type::TimeSpan | Type::Int => in_form(array, Type::Long)?,
            Type::DateTime => in_form(array, ty)?,
            Type::String => Arc::new(from_text::<Int64Type>(array, parse::long)?),
            Type::Dynamic => Arc::new(from_text::<Int64Type>(array, |v| long_of(ValueRef::Dynamic(v)))?),
            _ => {
                let reader = ColumnReader::new(array, ty)?;
                Arc::new((0..array.len()).map(|row| long_of(reader.get(row))).collect::<Int64Array>())
            }
        })
    })
}

fn to_int(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    unary(args, |array, ty| {
        Ok(match ty {
            Type::Int => in_form(array, Type::Int)?,
            Type::Long | Type::TimeSpan | Type::DateTime => {
                Arc::new(in_form(array, ty)?.as_primitive::<Int64Type>().unary::<_, Int32Type>(|v| v as i32))
            }
            Type::String => Arc::new(from_text::<Int32Type>(array, parse::int)?),
            Type::Dynamic => Arc::new(from_text::<Int32Type>(array, |v| int_of(ValueRef::Dynamic(v)))?),
            _ => {
                let reader = ColumnReader::new(array, ty)?;
                Arc::new((0..array.len()).map(|row| int_of(reader.get(row))).collect::<Int32Array>())
            }
        })
    })
}

fn to_real(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    unary(args, |array, ty| {
        Ok(match ty {
            Type::Real | Type::Int => in_form(array, Type::Real)?,
            Type::Long | Type::TimeSpan | Type::DateTime => {
                Arc::new(in_form(array, ty)?.as_primitive::<Int64Type>().unary::<_, Float64Type>(|v| v as f64))
            }
            Type::String => Arc::new(from_text::<Float64Type>(array, parse::real)?),
            Type::Dynamic => Arc::new(from_text::<Float64Type>(array, |v| real_of(ValueRef::Dynamic(v)))?),
            _ => {
                let reader = ColumnReader::new(array, ty)?;
                Arc::new((0..array.len()).map(|row| real_of(reader.get(row))).collect::<Float64Array>())
            }
        })
    })
}

fn to_decimal(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    unary(args, |array, ty| {
        let plain: Decimal128Array = match ty {
            Type::Decimal => return in_form(array, ty),
            Type::String => from_text::<Decimal128Type>(array, parse::decimal)?,
            _ => {
                let reader = ColumnReader::new(array, ty)?;
                (0..array.len()).map(|row| decimal_of(reader.get(row))).collect()
            }
        };
        Ok(Arc::new(plain.with_precision_and_scale(38, 18).map_err(|e| e.to_string())?))
    })
}

fn to_bool(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    unary(args, |array, ty| {
        if ty == Type::Bool {
            return in_form(array, ty);
        }
        let reader = ColumnReader::new(array, ty)?;
        Ok(Arc::new((0..array.len()).map(|row| bool_of(reader.get(row))).collect::<BooleanArray>()))
    })
}

fn to_datetime(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    unary(args, |array, ty| {
        Ok(match ty {
            Type::DateTime => in_form(array, ty)?,
            Type::String => Arc::new(from_text::<Int64Type>(array, parse::datetime)?),
            Type::Dynamic => Arc::new(from_text::<Int64Type>(array, |v| datetime_of(ValueRef::Dynamic(v)))?),
            _ => {
                let reader = ColumnReader::new(array, ty)?;
                Arc::new((0..array.len()).map(|row| datetime_of(reader.get(row))).collect::<Int64Array>())
            }
        })
    })
}

fn to_timespan(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    unary(args, |array, ty| {
        Ok(match ty {
            Type::Long | Type::TimeSpan | Type::Int => in_form(array, Type::TimeSpan)?,
            Type::DateTime => in_form(array, ty)?,
            Type::String => Arc::new(from_text::<Int64Type>(array, parse::timespan)?),
            Type::Dynamic => Arc::new(from_text::<Int64Type>(array, |v| timespan_of(ValueRef::Dynamic(v)))?),
            _ => {
                let reader = ColumnReader::new(array, ty)?;
                Arc::new((0..array.len()).map(|row| timespan_of(reader.get(row))).collect::<Int64Array>())
            }
        })
    })
}

fn to_guid(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    unary(args, |array, ty| {
        if ty == Type::Guid {
            return in_form(array, ty);
        }
        let reader = ColumnReader::new(array, ty)?;
        let mut out = TextBuilder::new(array.len());
        for row in 0..array.len() {
            out.push_option(guid_of(reader.get(row)).as_deref());
        }
        out.finish()
    })
}

fn parse_json(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    unary(args, |array, ty| {
        if ty == Type::Dynamic {
            return in_form(array, ty);
        }
        let texts = Texts::new(array)?;
        let mut out = TextBuilder::new(array.len());
        let mut buffer = String::new();
        for row in 0..array.len() {
            buffer.clear();
            out.push_option(push_parsed(&mut buffer, texts.text(row)).then_some(&buffer));
        }
        out.finish()
    })
}

fn get_type(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    let ty = args[0].ty;
    let value = ValueArg::new(&args[0]);
    Ok(Box::new(move |arrays, rows| {
        let mut out = TextBuilder::new(rows);
        if ty != Type::Dynamic {
            (0..rows).for_each(|_| out.push(ty.name()));
            return out.finish();
        }
        let values = value.open(&arrays[0])?;
        for row in 0..rows {
            out.push(match values.get(row) {
                ValueRef::Dynamic(text) => match display::json_ref(text) {
                    display::JsonRef::Null => "null",
                    display::JsonRef::Bool(_) => "bool",
                    display::JsonRef::Long(_) => "long",
                    display::JsonRef::Real(_) => "double",
                    display::JsonRef::String(_) => "string",
                    display::JsonRef::Array(_) => "array",
                    display::JsonRef::Object(_) => "dictionary",
                },
                _ => "null",
            });
        }
        out.finish()
    }))
}

fn to_hex(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    let value = ValueArg::new(&args[0]);
    let length = args.get(1).map(ValueArg::new);
    Ok(Box::new(move |arrays, rows| {
        let values = value.open(&arrays[0])?;
        let lengths = length.as_ref().map(|l| l.open(&arrays[1])).transpose()?;
        let mut out = TextBuilder::new(rows);
        for row in 0..rows {
            // A greater length counts as 16 (Kusto documentation, "tohex()").
            let width = lengths.as_ref().and_then(|l| l.get(row).as_i64()).unwrap_or(0).clamp(0, 16) as usize;
            match values.get(row) {
                ValueRef::Int(v) => out.push(&format!("{v:0width$x}")),
                ValueRef::Long(v) => out.push(&format!("{v:0width$x}")),
                _ => out.push(""),
            }
        }
        out.finish()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ValueRef as R;

    #[test]
    fn integers_from_everything() {
        const DAY: i64 = 864_000_000_000;
        for (value, long, int) in [
            (R::String(" 12 "), Some(12), Some(12)),
            (R::String("5.7"), None, None),
            (R::Long(9_999_999_999), Some(9_999_999_999), Some(1_410_065_407)),
            (R::Real(-5.9), Some(-5), Some(-5)),
            (R::Real(1e10), Some(10_000_000_000), Some(i32::MAX)),
            (R::Real(f64::NAN), None, None),
            (R::Real(f64::INFINITY), None, None),
            (R::Real(f64::NEG_INFINITY), None, None),
            (R::Bool(true), Some(1), Some(1)),
            (R::TimeSpan(DAY), Some(DAY), Some(DAY as i32)),
            (R::DateTime(637_134_336_000_000_000), Some(637_134_336_000_000_000), Some(637_134_336_000_000_000i64 as i32)),
            (R::Dynamic("\"5.7\""), None, None),
            (R::Dynamic("\"57\""), Some(57), Some(57)),
            (R::Dynamic("1.5"), Some(1), Some(1)),
            (R::Dynamic("true"), Some(1), Some(1)),
            (R::Dynamic("[1]"), None, None),
            (R::Null, None, None),
        ] {
            assert_eq!((long_of(value), int_of(value)), (long, int), "{value:?}");
        }
    }

    #[test]
    fn times_and_bools() {
        assert_eq!(timespan_of(R::Dynamic("\"00:00:01.5\"")), Some(15_000_000));
        assert_eq!(real_of(R::TimeSpan(36_000_000_000)), Some(3.6e10));
        assert_eq!(datetime_of(R::Long(0)), Some(0));
        assert_eq!(datetime_of(R::Long(-1)), None);
        assert_eq!([bool_of(R::Real(0.5)), bool_of(R::Dynamic("\"0\"")), bool_of(R::Guid("x"))], [Some(true), Some(false), None]);
        assert_eq!(decimal_of(R::Real(0.1)), Some(DECIMAL_ONE / 10));
    }

    #[test]
    fn kernels_read_every_form_of_text() {
        let view: ArrayRef =
            Arc::new(arrow::array::StringViewArray::from(vec![Some("[1, 2]"), Some("abc"), Some(""), None, Some("null")]));
        let info = |ty| [ArgInfo { ty, constant: None }];
        let parsed = parse_json(&info(Type::String), Type::Dynamic).unwrap()(&[view], 5).unwrap();
        let texts = parsed.as_string::<i32>();
        assert_eq!(texts.iter().collect::<Vec<_>>(), [Some("[1,2]"), Some("\"abc\""), None, None, None]);
        let text = to_string(&info(Type::Dynamic), Type::String).unwrap()(std::slice::from_ref(&parsed), 5).unwrap();
        assert_eq!(
            text.as_string::<i32>().iter().collect::<Vec<_>>(),
            [Some("[1,2]"), Some("abc"), Some(""), Some(""), Some("")]
        );
        let types = get_type(&info(Type::Dynamic), Type::String).unwrap()(&[parsed], 5).unwrap();
        assert_eq!(types.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["array", "string", "null", "null", "null"]);
    }
}
