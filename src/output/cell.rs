//! One cell at a time: a typed view of a result column, and the text and JSON of a value.

use std::io::Write;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray, StringViewArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int32Type, Int64Type};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use kqlake_value::columns::in_form;
use kqlake_value::{Column, Type, ValueRef, format};

#[derive(Debug)]
enum Text {
    Plain(StringArray),
    View(StringViewArray),
}

impl Text {
    fn of(array: &ArrayRef) -> Result<Text, ArrowError> {
        Ok(match array.data_type() {
            DataType::Utf8 => Text::Plain(array.as_string::<i32>().clone()),
            DataType::Utf8View => Text::View(array.as_string_view().clone()),
            _ => Text::Plain(cast(array, &DataType::Utf8)?.as_string::<i32>().clone()),
        })
    }

    fn get(&self, row: usize) -> Option<&str> {
        match self {
            Text::Plain(array) => array.is_valid(row).then(|| array.value(row)),
            Text::View(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}

#[derive(Debug)]
enum Values {
    Bool(BooleanArray),
    Int(Int32Array),
    Long(Int64Array),
    Real(Float64Array),
    Decimal(Decimal128Array),
    DateTime(Int64Array),
    TimeSpan(Int64Array),
    String(Text),
    Guid(Text),
    Dynamic(Text),
}

/// A result column whose values are read one by one.
#[derive(Debug)]
pub struct Cells(Values);

impl Cells {
    /// A column of a batch, cast to the Arrow form of its KQL type where it comes in another.
    ///
    /// # Errors
    /// When there is no such cast.
    pub fn new(ty: Type, array: &ArrayRef) -> Result<Cells, ArrowError> {
        if matches!(ty, Type::String | Type::Guid | Type::Dynamic) {
            let text = Text::of(array)?;
            return Ok(Cells(match ty {
                Type::Guid => Values::Guid(text),
                Type::Dynamic => Values::Dynamic(text),
                _ => Values::String(text),
            }));
        }
        let array = in_form(array, ty).map_err(ArrowError::CastError)?;
        Ok(Cells(match ty {
            Type::Bool => Values::Bool(array.as_boolean().clone()),
            Type::Int => Values::Int(array.as_primitive::<Int32Type>().clone()),
            Type::Long => Values::Long(array.as_primitive::<Int64Type>().clone()),
            Type::Real => Values::Real(array.as_primitive::<Float64Type>().clone()),
            Type::Decimal => Values::Decimal(array.as_primitive::<Decimal128Type>().clone()),
            Type::DateTime => Values::DateTime(array.as_primitive::<Int64Type>().clone()),
            _ => Values::TimeSpan(array.as_primitive::<Int64Type>().clone()),
        }))
    }

    /// All columns of a batch.
    ///
    /// # Errors
    /// As [`Cells::new`].
    pub fn of_batch(columns: &[Column], batch: &RecordBatch) -> Result<Vec<Cells>, ArrowError> {
        columns.iter().zip(batch.columns()).map(|(column, array)| Cells::new(column.ty, array)).collect()
    }

    /// The value of a row. A string is never null: a missing one is empty.
    pub fn get(&self, row: usize) -> ValueRef<'_> {
        fn known<'a, A: Array, V>(
            array: &'a A,
            row: usize,
            value: impl Fn(&'a A, usize) -> V,
            wrap: impl Fn(V) -> ValueRef<'a>,
        ) -> ValueRef<'a> {
            if array.is_null(row) { ValueRef::Null } else { wrap(value(array, row)) }
        }
        match &self.0 {
            Values::Bool(a) => known(a, row, BooleanArray::value, ValueRef::Bool),
            Values::Int(a) => known(a, row, Int32Array::value, ValueRef::Int),
            Values::Long(a) => known(a, row, Int64Array::value, ValueRef::Long),
            Values::Real(a) => known(a, row, Float64Array::value, ValueRef::Real),
            Values::Decimal(a) => known(a, row, Decimal128Array::value, ValueRef::Decimal),
            Values::DateTime(a) => known(a, row, Int64Array::value, ValueRef::DateTime),
            Values::TimeSpan(a) => known(a, row, Int64Array::value, ValueRef::TimeSpan),
            Values::String(a) => ValueRef::String(a.get(row).unwrap_or_default()),
            Values::Guid(a) => a.get(row).map_or(ValueRef::Null, ValueRef::Guid),
            Values::Dynamic(a) => a.get(row).filter(|text| *text != "null").map_or(ValueRef::Null, ValueRef::Dynamic),
        }
    }
}

/// Appends a value's text as tables and CSV show it: as `tostring` gives it, but `true` and `false` in lower case, and
/// `NaN` and `Infinity` spelled as in JSON answers.
pub fn write_text(out: &mut String, value: ValueRef<'_>) {
    match value {
        ValueRef::Bool(v) => out.push_str(if v { "true" } else { "false" }),
        ValueRef::Real(v) => format::write_real(out, v),
        other => format::write_value(out, other),
    }
}

/// Appends a value as JSON: numbers and bools as such; datetime, timespan, guid and decimal as text; dynamic as the JSON
/// value it holds; NaN and the infinities as text, since JSON has no numbers for them.
pub fn write_json(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Bool(v) => out.extend_from_slice(if v { b"true" } else { b"false" }),
        ValueRef::Int(v) => drop(write!(out, "{v}")),
        ValueRef::Long(v) => drop(write!(out, "{v}")),
        ValueRef::Real(v) if v.is_finite() => {
            let mut text = String::new();
            format::write_real(&mut text, v);
            out.extend_from_slice(text.as_bytes());
        }
        ValueRef::String(v) => write_json_of(out, &v),
        ValueRef::Dynamic(text) => write_dynamic(out, text),
        ValueRef::Real(_) | ValueRef::Decimal(_) | ValueRef::DateTime(_) | ValueRef::TimeSpan(_) | ValueRef::Guid(_) => {
            let mut text = String::new();
            write_text(&mut text, value);
            write_json_of(out, &text);
        }
    }
}

/// Appends a string or number in JSON's form; writing into memory cannot fail.
pub fn write_json_of<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    drop(serde_json::to_writer(out, value));
}

/// The JSON value of a dynamic, on one line. Text that is no JSON is written as a JSON string rather than breaking the document.
fn write_dynamic(out: &mut Vec<u8>, text: &str) {
    let sound = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
    if !sound {
        return write_json_of(out, text);
    }
    if !text.contains(['\n', '\r']) {
        return out.extend_from_slice(text.as_bytes());
    }
    // Line breaks in JSON text are white space outside of strings: they may go.
    out.extend(text.bytes().map(|b| if b == b'\n' || b == b'\r' { b' ' } else { b }));
}

/// True for numbers and timespans, which stand at the right edge of drawn tables.
pub fn is_right_aligned(ty: Type) -> bool {
    ty.is_numeric() || ty == Type::TimeSpan
}
