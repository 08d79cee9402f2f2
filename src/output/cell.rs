//! One cell at a time: the columns of a batch opened for reading, and the text and JSON of a value.

use std::io::Write;

use arrow::array::ArrayRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use kqlake_value::columns::ColumnReader;
use kqlake_value::{Column, Type, ValueRef, format};

/// The columns of a batch, opened for reading.
///
/// # Errors
/// A column cannot be read as its type.
pub(crate) fn readers(columns: &[Column], batch: &RecordBatch) -> Result<Vec<ColumnReader>, ArrowError> {
    let open = |(column, array): (&Column, &ArrayRef)| ColumnReader::new(array, column.ty).map_err(ArrowError::CastError);
    columns.iter().zip(batch.columns()).map(open).collect()
}

/// Appends a value's text as tables and CSV show it: as `tostring` gives it, but `true` and `false` in lower case, and
/// `NaN` and `Infinity` spelled as in JSON answers.
pub(crate) fn write_text(out: &mut String, value: ValueRef<'_>) {
    match value {
        ValueRef::Bool(v) => out.push_str(if v { "true" } else { "false" }),
        ValueRef::Real(v) => format::write_real(out, v),
        other => format::write_value(out, other),
    }
}

/// Appends a value as JSON: numbers and bools as such; datetime, timespan, guid and decimal as text; dynamic as the JSON
/// value it holds; NaN and the infinities as text, since JSON has no numbers for them.
pub(crate) fn write_json(out: &mut Vec<u8>, value: ValueRef<'_>) {
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
pub(crate) fn write_json_of<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
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
pub(crate) fn is_right_aligned(ty: Type) -> bool {
    ty.is_numeric() || ty == Type::TimeSpan
}
