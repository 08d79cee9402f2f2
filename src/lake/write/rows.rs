//! Builds record batches of a table row by row, with values converted to the columns' types.

use std::sync::Arc;

use arrow::array::{
    ArrayBuilder as _, ArrayRef, BooleanBuilder, Decimal128Builder, Float64Builder, Int32Builder, Int64Builder, PrimitiveArray,
    StringArray, StringBuilder,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{ArrowPrimitiveType, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde_json::Value;

use crate::tables::{EVENT_DATE, TableDef, arrow_type};
use kqlake_value::Type;

/// 10^18: decimals keep eighteen digits behind the point.
const DECIMAL_SCALE: i128 = 1_000_000_000_000_000_000;

/// One column in the making.
#[derive(Debug)]
enum Column {
    Bool(BooleanBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Real(Float64Builder),
    Decimal(Decimal128Builder),
    Text(StringBuilder),
    Time(Int64Builder),
    /// Filled when the file is written, out of its bag.
    Promoted,
}

impl Column {
    fn new(ty: Type) -> Self {
        match ty {
            Type::Bool => Column::Bool(BooleanBuilder::new()),
            Type::Int => Column::Int(Int32Builder::new()),
            Type::Long | Type::TimeSpan => Column::Long(Int64Builder::new()),
            Type::Real => Column::Real(Float64Builder::new()),
            Type::Decimal => Column::Decimal(Decimal128Builder::new().with_data_type(arrow_type(Type::Decimal))),
            Type::String | Type::Guid | Type::Dynamic => Column::Text(StringBuilder::new()),
            Type::DateTime => Column::Time(Int64Builder::new()),
        }
    }

    fn len(&self) -> Option<usize> {
        Some(match self {
            Column::Bool(b) => b.len(),
            Column::Int(b) => b.len(),
            Column::Long(b) | Column::Time(b) => b.len(),
            Column::Real(b) => b.len(),
            Column::Decimal(b) => b.len(),
            Column::Text(b) => b.len(),
            Column::Promoted => return None,
        })
    }

    fn append_null(&mut self) {
        match self {
            Column::Bool(b) => b.append_null(),
            Column::Int(b) => b.append_null(),
            Column::Long(b) | Column::Time(b) => b.append_null(),
            Column::Real(b) => b.append_null(),
            Column::Decimal(b) => b.append_null(),
            Column::Text(b) => b.append_null(),
            Column::Promoted => {}
        }
    }
}

/// Collects rows of one table.
///
/// Values are set by column position ([`TableDef::index_of`]); what is not set is null, and of two values for one column
/// the first stays. A value of the wrong kind is converted where that loses nothing; otherwise the column is null for the
/// row and [`RowBuilder::unconverted`] counts it. Promoted columns cannot be set: the file writer fills them.
#[derive(Debug)]
pub struct RowBuilder {
    def: &'static TableDef,
    schema: SchemaRef,
    types: Vec<Type>,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
    unconverted: u64,
    scratch: Vec<u8>,
}

impl RowBuilder {
    /// An empty builder.
    pub fn new(def: &'static TableDef) -> Self {
        let columns: Vec<_> = def.columns.iter().filter(|c| c.name != EVENT_DATE).collect();
        RowBuilder {
            def,
            schema: Arc::new(Schema::new(columns.iter().map(|c| def.field(c)).collect::<Vec<_>>())),
            types: columns.iter().map(|c| c.ty).collect(),
            columns: columns.iter().map(|c| if c.promoted.is_some() { Column::Promoted } else { Column::new(c.ty) }).collect(),
            rows: 0,
            bytes: 0,
            unconverted: 0,
            scratch: Vec::new(),
        }
    }

    /// The table.
    pub fn def(&self) -> &'static TableDef {
        self.def
    }

    /// Rows that are complete.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// About how many bytes the rows take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Values that did not fit their column, since the builder was made.
    pub fn unconverted(&self) -> u64 {
        self.unconverted
    }

    /// The column, when it is there and has no value in this row yet.
    fn open(&mut self, column: usize) -> Option<&mut Column> {
        let rows = self.rows;
        self.columns.get_mut(column).filter(|c| c.len() == Some(rows))
    }

    fn mismatch(&mut self) {
        self.unconverted += 1;
    }

    /// Sets a text; it is read where the column is no text column. Dynamic columns take it as a JSON string.
    pub fn set_str(&mut self, column: usize, text: &str) {
        let Some(ty) = self.types.get(column).copied() else { return };
        match ty {
            Type::String => self.push_text(column, text),
            Type::Guid => {
                if text.bytes().any(|b| b.is_ascii_uppercase()) {
                    self.push_text(column, &text.to_ascii_lowercase());
                } else {
                    self.push_text(column, text);
                }
            }
            Type::Dynamic => self.set_json(column, &Value::from(text)),
            _ => self.set_text_typed(column, ty, text.trim()),
        }
    }

    fn push_text(&mut self, column: usize, text: &str) {
        if let Some(Column::Text(b)) = self.open(column) {
            b.append_value(text);
            self.bytes += text.len() + 4;
        }
    }

    /// Reads a text as a value of a type that is no text.
    fn set_text_typed(&mut self, column: usize, ty: Type, text: &str) {
        if text.is_empty() {
            return;
        }
        match ty {
            Type::Bool => match text {
                "true" | "True" | "TRUE" | "1" | "Yes" | "yes" => self.set_bool(column, true),
                "false" | "False" | "FALSE" | "0" | "No" | "no" => self.set_bool(column, false),
                _ => self.mismatch(),
            },
            Type::Int | Type::Long => match text.parse::<i64>() {
                Ok(v) => self.set_i64(column, v),
                Err(_) => match text.parse::<f64>() {
                    Ok(v) => self.set_f64(column, v),
                    Err(_) => self.mismatch(),
                },
            },
            Type::Real => match text.parse::<f64>() {
                Ok(v) => self.set_f64(column, v),
                Err(_) => self.mismatch(),
            },
            Type::Decimal => match parse_decimal(text) {
                Some(v) => {
                    if let Some(Column::Decimal(b)) = self.open(column) {
                        b.append_value(v);
                        self.bytes += 16;
                    }
                }
                None => self.mismatch(),
            },
            Type::DateTime => match parse_datetime(text) {
                Some(us) => self.set_datetime_us(column, us),
                None => self.mismatch(),
            },
            Type::TimeSpan => match crate::data::promote::parse_timespan(text) {
                Some(ticks) => self.set_ticks(column, ticks),
                None => self.mismatch(),
            },
            Type::String | Type::Guid | Type::Dynamic => {}
        }
    }

    /// Sets an instant in microseconds since 1970-01-01 UTC.
    pub fn set_datetime_us(&mut self, column: usize, us: i64) {
        match self.open(column) {
            Some(Column::Time(b)) => {
                b.append_value(us);
                self.bytes += 8;
            }
            Some(_) => self.mismatch(),
            None => {}
        }
    }

    /// Sets a timespan in ticks of 100 ns.
    pub fn set_ticks(&mut self, column: usize, ticks: i64) {
        self.set_i64(column, ticks);
    }

    /// Sets a whole number; it is converted where the column is real, decimal, bool (0 and 1) or text.
    pub fn set_i64(&mut self, column: usize, v: i64) {
        let dynamic_or_text = matches!(self.types.get(column), Some(Type::String | Type::Dynamic));
        let size = match self.open(column) {
            Some(Column::Long(b)) => {
                b.append_value(v);
                8
            }
            Some(Column::Int(b)) => match i32::try_from(v) {
                Ok(v) => {
                    b.append_value(v);
                    4
                }
                Err(_) => return self.mismatch(),
            },
            Some(Column::Real(b)) => {
                b.append_value(v as f64);
                8
            }
            Some(Column::Decimal(b)) => {
                b.append_value(i128::from(v) * DECIMAL_SCALE);
                16
            }
            Some(Column::Bool(b)) if v == 0 || v == 1 => {
                b.append_value(v == 1);
                1
            }
            Some(Column::Text(_)) if dynamic_or_text => return self.push_text(column, &v.to_string()),
            Some(_) => return self.mismatch(),
            None => return,
        };
        self.bytes += size;
    }

    /// Sets a number; whole ones also go into int and long columns.
    pub fn set_f64(&mut self, column: usize, v: f64) {
        let is_text = self.types.get(column) == Some(&Type::String);
        let is_dynamic = self.types.get(column) == Some(&Type::Dynamic);
        match self.open(column) {
            Some(Column::Real(b)) => {
                b.append_value(v);
                self.bytes += 8;
            }
            // 2^53: beyond it a double does not say which whole number is meant.
            Some(Column::Int(_) | Column::Long(_)) if v.fract() == 0.0 && v.abs() <= 9_007_199_254_740_992.0 => {
                self.set_i64(column, v as i64);
            }
            Some(Column::Decimal(_)) => self.set_text_typed(column, Type::Decimal, &v.to_string()),
            Some(Column::Text(_)) if is_text => self.push_text(column, &v.to_string()),
            Some(Column::Text(_)) if is_dynamic && v.is_finite() => self.push_text(column, &v.to_string()),
            Some(_) => self.mismatch(),
            None => {}
        }
    }

    /// Sets a truth value; text columns get `True` or `False`, numbers 1 or 0.
    pub fn set_bool(&mut self, column: usize, v: bool) {
        let ty = self.types.get(column).copied();
        match self.open(column) {
            Some(Column::Bool(b)) => {
                b.append_value(v);
                self.bytes += 1;
            }
            Some(Column::Text(_)) if ty == Some(Type::String) => self.push_text(column, if v { "True" } else { "False" }),
            Some(Column::Text(_)) if ty == Some(Type::Dynamic) => self.push_text(column, if v { "true" } else { "false" }),
            Some(Column::Int(_) | Column::Long(_)) => self.set_i64(column, i64::from(v)),
            Some(_) => self.mismatch(),
            None => {}
        }
    }

    /// Sets a dynamic value from JSON text, which is kept as it is; `null` is no value, and text that is no JSON becomes a
    /// JSON string, as ingestion into Kusto does it.
    pub fn set_dynamic_text(&mut self, column: usize, json: &str) {
        let json = json.trim();
        if json.is_empty() || json == "null" {
            return;
        }
        if serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok() {
            self.push_text(column, json);
        } else {
            self.set_json(column, &Value::from(json));
        }
    }

    /// Sets a dynamic value from text that the caller knows to be valid JSON.
    pub fn set_dynamic_valid(&mut self, column: usize, json: &str) {
        if json != "null" {
            self.push_text(column, json);
        }
    }

    /// Sets a column from a JSON value of any kind.
    pub fn set_json(&mut self, column: usize, value: &Value) {
        let Some(ty) = self.types.get(column).copied() else { return };
        match (ty, value) {
            (_, Value::Null) => {}
            (Type::Dynamic, value) => {
                let mut text = std::mem::take(&mut self.scratch);
                text.clear();
                // Writing JSON into memory cannot fail, and gives valid UTF-8.
                if serde_json::to_writer(&mut text, value).is_ok()
                    && let Ok(json) = std::str::from_utf8(&text)
                {
                    self.push_text(column, json);
                }
                self.scratch = text;
            }
            (_, Value::String(text)) => self.set_str(column, text),
            (_, Value::Bool(v)) => self.set_bool(column, *v),
            (Type::String | Type::Guid, other) => self.push_text(column, &other.to_string()),
            (_, Value::Number(n)) => match (n.as_i64(), n.as_f64()) {
                (Some(v), _) => self.set_i64(column, v),
                (None, Some(v)) => self.set_f64(column, v),
                (None, None) => self.mismatch(),
            },
            (_, Value::Array(_) | Value::Object(_)) => self.mismatch(),
        }
    }

    /// Ends the row.
    pub fn end_row(&mut self) {
        self.rows += 1;
        let rows = self.rows;
        for column in &mut self.columns {
            if column.len().is_some_and(|len| len < rows) {
                column.append_null();
            }
        }
        // Validity bits, offsets and the like of the columns without a value.
        self.bytes += self.columns.len();
    }

    /// The rows as a batch in [`TableDef`] column order without the partition column; the builder is empty afterwards.
    ///
    /// # Errors
    /// A row has no time.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let nulls = NullArrays::new(rows);
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (column, ty) in self.columns.iter_mut().zip(&self.types) {
            arrays.push(match column {
                Column::Bool(b) => Arc::new(b.finish()),
                Column::Int(b) => Arc::new(b.finish()),
                Column::Long(b) => Arc::new(b.finish()),
                Column::Real(b) => Arc::new(b.finish()),
                Column::Decimal(b) => Arc::new(b.finish()),
                Column::Text(b) => Arc::new(b.finish()),
                Column::Time(b) => Arc::new(b.finish().reinterpret_cast::<TimestampMicrosecondType>().with_timezone("UTC")),
                Column::Promoted => nulls.of(*ty),
            });
        }
        RecordBatch::try_new(self.schema.clone(), arrays)
    }
}

/// Columns without values that share their buffers.
struct NullArrays {
    text: ArrayRef,
    long: ArrayRef,
}

impl NullArrays {
    fn new(rows: usize) -> Self {
        let nulls = NullBuffer::new_null(rows);
        NullArrays {
            text: Arc::new(StringArray::new(OffsetBuffer::new_zeroed(rows), Vec::<u8>::new().into(), Some(nulls.clone()))),
            long: Arc::new(null_primitive::<Int64Type>(rows, nulls)),
        }
    }

    fn of(&self, ty: Type) -> ArrayRef {
        match ty {
            Type::Long | Type::TimeSpan => self.long.clone(),
            _ => self.text.clone(),
        }
    }
}

fn null_primitive<T: ArrowPrimitiveType>(rows: usize, nulls: NullBuffer) -> PrimitiveArray<T> {
    PrimitiveArray::new(vec![T::default_value(); rows].into(), Some(nulls))
}

/// Microseconds since 1970 of an ISO 8601 instant, which is UTC where it names no zone; finer fractions are cut.
fn parse_datetime(text: &str) -> Option<i64> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.timestamp_micros());
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|d| d.and_hms_opt(0, 0, 0)))
        .map(|instant| instant.and_utc().timestamp_micros())
}

/// A decimal text as a number scaled by 10^18; digits beyond the eighteenth are cut. `None` when it does not fit.
fn parse_decimal(text: &str) -> Option<i128> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut value: i128 = 0;
    // Digits up to 10^-18 of the value, whatever the exponent.
    let places = 18i64.checked_add(i64::from(exponent))?;
    for (at, digit) in whole.bytes().chain(fraction.bytes()).enumerate() {
        let place = places + (whole.len() as i64 - 1 - at as i64);
        if place < 0 {
            break;
        }
        let digit = i128::from(digit - b'0');
        if digit != 0 {
            value = value.checked_add(digit.checked_mul(10i128.checked_pow(u32::try_from(place).ok()?)?)?)?;
        }
    }
    // 38 digits is what the column holds.
    (value < 10i128.pow(38)).then_some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array as _, AsArray as _};
    use arrow::datatypes::{Float64Type, Int32Type};
    use serde_json::json;

    use super::*;
    use crate::tables;

    #[test]
    fn values_are_converted_where_nothing_is_lost() {
        let def = tables::find("requests").expect("requests");
        let at = |name: &str| def.index_of(name).expect("column");
        let mut rows = RowBuilder::new(def);
        rows.set_str(at("timestamp"), "2026-01-05T07:23:07.1234567Z");
        rows.set_json(at("name"), &json!(7));
        rows.set_json(at("duration"), &json!("12.5"));
        rows.set_json(at("itemCount"), &json!("x"));
        rows.set_json(at("success"), &json!(true));
        rows.set_dynamic_text(at("customDimensions"), " {\"b\":1.50, \"a\":2} ");
        rows.end_row();
        rows.set_str(at("timestamp"), "2026-01-05");
        rows.set_json(at("itemCount"), &json!(3.0));
        rows.set_json(at("itemCount"), &json!(4));
        rows.set_dynamic_text(at("customDimensions"), "no json");
        rows.end_row();
        assert_eq!((rows.rows(), rows.unconverted()), (2, 1));
        let batch = rows.finish().expect("batch");
        assert_eq!(batch.num_columns() + 1, def.columns.len());
        let times = batch.column(at("timestamp")).as_primitive::<TimestampMicrosecondType>();
        assert_eq!(times.value(0) % 1_000_000, 123_456);
        assert_eq!(batch.column(at("name")).as_string::<i32>().value(0), "7");
        assert_eq!(batch.column(at("duration")).as_primitive::<Float64Type>().value(0), 12.5);
        let counts = batch.column(at("itemCount")).as_primitive::<Int32Type>();
        assert!(counts.is_null(0) && counts.value(1) == 3);
        assert_eq!(batch.column(at("success")).as_string::<i32>().value(0), "True");
        let bags = batch.column(at("customDimensions")).as_string::<i32>();
        assert_eq!((bags.value(0), bags.value(1)), (r#"{"b":1.50, "a":2}"#, r#""no json""#));
    }

    #[test]
    fn decimals_keep_eighteen_digits() {
        assert_eq!(parse_decimal("-1.5"), Some(-1_500_000_000_000_000_000));
        assert_eq!(parse_decimal("1e-18"), Some(1));
        assert_eq!(parse_decimal("1.5e3"), Some(1500 * DECIMAL_SCALE));
        assert_eq!(parse_decimal("0.0000000000000000019"), Some(1));
        for wrong in ["", "-", "1.2.3", "x", "1e30", "99999999999999999999999"] {
            assert_eq!(parse_decimal(wrong), None, "{wrong}");
        }
    }
}
