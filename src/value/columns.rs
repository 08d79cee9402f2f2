//! Between Arrow arrays and KQL values: typed readers and a builder of result columns.
//!
//! The Arrow form of each KQL type is fixed: bool `Boolean`, int `Int32`, long `Int64`, real `Float64`, decimal
//! `Decimal128(38, 18)`, string and guid `Utf8`, datetime `Int64` ticks of 100 ns since 0001-01-01, timespan `Int64` ticks
//! of 100 ns, and dynamic `Utf8` holding JSON text. Readers also take what scans and other operators return for the same
//! meaning (`Utf8View`, dictionaries, dates and timestamps); results always have the fixed form.
//!
//! A datetime column at rest is `Timestamp(µs, "UTC")` and stays that while a plan only passes it on: [`stored_type`].

use std::sync::Arc;

use crate::format::{json_text, write_json};
use crate::text_column::TextBuilder;
use crate::texts::Texts;
use crate::{
    Json, TICKS_PER_DAY, Type, UNIX_EPOCH_TICKS, Value, ValueRef, datetime_of_us, decimal_of_real, json_of, us_of_datetime,
};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, Date32Array, Decimal128Array, Decimal128Builder, Float64Array,
    Float64Builder, Int32Array, Int32Builder, Int64Array, Int64Builder, TimestampMicrosecondArray,
};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};

/// The key in an Arrow field's metadata that holds the column's KQL type.
pub const TYPE_KEY: &str = "kql.type";

/// The Arrow form of a KQL type.
pub fn arrow_type(ty: Type) -> DataType {
    match ty {
        Type::Bool => DataType::Boolean,
        Type::Int => DataType::Int32,
        Type::Long | Type::TimeSpan | Type::DateTime => DataType::Int64,
        Type::Real => DataType::Float64,
        Type::Decimal => DataType::Decimal128(38, 18),
        Type::String | Type::Guid | Type::Dynamic => DataType::Utf8,
    }
}

/// The Arrow form of a KQL type at rest: a datetime's is `Timestamp(µs, "UTC")`.
pub fn stored_type(ty: Type) -> DataType {
    match ty {
        Type::DateTime => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => arrow_type(ty),
    }
}

/// An array that holds values of a KQL type in the type's own Arrow form.
///
/// # Errors
/// There is no such conversion.
pub fn in_form(array: &ArrayRef, ty: Type) -> Result<ArrayRef, String> {
    let form = arrow_type(ty);
    if *array.data_type() == form {
        return Ok(ArrayRef::clone(array));
    }
    let failed = |e: arrow::error::ArrowError| {
        format!(
            "a column of type {} cannot be read as {ty}: {}",
            array.data_type(),
            e.to_string().trim_start_matches("Cast error: ")
        )
    };
    if ty != Type::DateTime {
        // A number that has no room is no null.
        return cast_with_options(array, &form, &CastOptions { safe: false, ..CastOptions::default() }).map_err(failed);
    }
    let instants = cast(array, &stored_type(ty)).map_err(failed)?;
    Ok(Arc::new(instants.as_primitive::<TimestampMicrosecondType>().unary::<_, Int64Type>(datetime_of_us)))
}

/// An array that holds values of a KQL type in the type's form at rest; a datetime's seventh digit is dropped.
///
/// # Errors
/// There is no such conversion.
pub fn in_stored_form(array: &ArrayRef, ty: Type) -> Result<ArrayRef, String> {
    if *array.data_type() == stored_type(ty) {
        return Ok(ArrayRef::clone(array));
    }
    let array = in_form(array, ty)?;
    Ok(match ty {
        Type::DateTime => {
            let instants = array.as_primitive::<Int64Type>().unary::<_, TimestampMicrosecondType>(us_of_datetime);
            Arc::new(instants.with_timezone("UTC"))
        }
        _ => array,
    })
}

/// A nullable Arrow field for a KQL column, with the KQL type in its metadata.
pub fn field(name: &str, ty: Type) -> Field {
    Field::new(name, arrow_type(ty), true).with_metadata([(TYPE_KEY.to_owned(), ty.name().to_owned())].into())
}

/// The same field at rest: in the form that the type has there.
pub fn stored_field(name: &str, ty: Type) -> Field {
    field(name, ty).with_data_type(stored_type(ty))
}

/// The KQL type that a field's metadata says.
pub fn noted_type(field: &Field) -> Option<Type> {
    field.metadata().get(TYPE_KEY).and_then(|name| Type::parse(name))
}

/// True for a field whose metadata says that its numbers are the ticks of datetimes. At rest there are none of that kind: it is the form
/// of a table that is made for one query.
pub fn is_in_ticks(field: &Field) -> bool {
    *field.data_type() == arrow_type(Type::DateTime) && noted_type(field) == Some(Type::DateTime)
}

/// The KQL type of an Arrow field: what its metadata says, where that has this Arrow form, else the natural one of its Arrow type.
pub fn field_type(field: &Field) -> Type {
    let natural = natural_type(field.data_type());
    let fits = |noted: &Type| match field.data_type() {
        DataType::Int64 => *noted == Type::TimeSpan,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => matches!(noted, Type::Dynamic | Type::Guid),
        _ => false,
    };
    noted_type(field).filter(fits).unwrap_or(natural)
}

/// The KQL type that an Arrow type stands for when nothing else is known; text for what has no KQL form.
pub fn natural_type(data_type: &DataType) -> Type {
    match data_type {
        DataType::Boolean => Type::Bool,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => Type::Int,
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => Type::Long,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Type::Real,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => Type::Decimal,
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Type::DateTime,
        DataType::Duration(_) | DataType::Time32(_) | DataType::Time64(_) => Type::TimeSpan,
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::ListView(_)
        | DataType::Struct(_)
        | DataType::Map(..) => Type::Dynamic,
        _ => Type::String,
    }
}

/// A column opened for reading: downcast once, then one cheap call a row.
#[derive(Debug, Clone)]
pub enum ColumnReader {
    /// Every row is null (or the empty string, for a string column).
    Null(Type),
    /// bool
    Bool(BooleanArray),
    /// int
    Int(Int32Array),
    /// long
    Long(Int64Array),
    /// timespan
    TimeSpan(Int64Array),
    /// real
    Real(Float64Array),
    /// decimal
    Decimal(Decimal128Array),
    /// datetime
    DateTime(Int64Array),
    /// datetime at rest
    Instant(TimestampMicrosecondArray),
    /// datetime kept as a day number
    Date(Date32Array),
    /// string, guid or dynamic
    Text(Texts, Type),
}

impl ColumnReader {
    /// Opens an array that holds values of a KQL type; converts it where its Arrow form is another one.
    pub fn new(array: &ArrayRef, ty: Type) -> Result<ColumnReader, String> {
        use ColumnReader as R;
        Ok(match (array.data_type(), ty) {
            (DataType::Null, _) => R::Null(ty),
            (DataType::Boolean, Type::Bool) => R::Bool(array.as_boolean().clone()),
            (DataType::Int32, Type::Int) => R::Int(array.as_primitive::<Int32Type>().clone()),
            (DataType::Int64, Type::Long) => R::Long(array.as_primitive::<Int64Type>().clone()),
            (DataType::Int64, Type::TimeSpan) => R::TimeSpan(array.as_primitive::<Int64Type>().clone()),
            (DataType::Float64, Type::Real) => R::Real(array.as_primitive::<Float64Type>().clone()),
            (DataType::Decimal128(38, 18), Type::Decimal) => R::Decimal(array.as_primitive::<Decimal128Type>().clone()),
            (DataType::Int64, Type::DateTime) => R::DateTime(array.as_primitive::<Int64Type>().clone()),
            (DataType::Timestamp(TimeUnit::Microsecond, _), Type::DateTime) => {
                R::Instant(array.as_primitive::<TimestampMicrosecondType>().clone())
            }
            (DataType::Date32, Type::DateTime) => R::Date(array.as_primitive::<Date32Type>().clone()),
            (_, Type::String | Type::Guid | Type::Dynamic) => R::Text(Texts::new(array)?, ty),
            _ => return ColumnReader::new(&in_form(array, ty)?, ty),
        })
    }

    /// The value of a row. A missing string is empty; a dynamic whose text is empty or `null` is null.
    #[inline]
    pub fn get(&self, row: usize) -> ValueRef<'_> {
        macro_rules! primitive {
            ($array:expr, $make:expr) => {
                if $array.is_null(row) { ValueRef::Null } else { $make($array.value(row)) }
            };
        }
        match self {
            ColumnReader::Null(ty) => missing(*ty),
            ColumnReader::Bool(a) => primitive!(a, ValueRef::Bool),
            ColumnReader::Int(a) => primitive!(a, ValueRef::Int),
            ColumnReader::Long(a) => primitive!(a, ValueRef::Long),
            ColumnReader::TimeSpan(a) => primitive!(a, ValueRef::TimeSpan),
            ColumnReader::Real(a) => primitive!(a, ValueRef::Real),
            ColumnReader::Decimal(a) => primitive!(a, ValueRef::Decimal),
            ColumnReader::DateTime(a) => primitive!(a, ValueRef::DateTime),
            ColumnReader::Instant(a) => primitive!(a, |us| ValueRef::DateTime(datetime_of_us(us))),
            ColumnReader::Date(a) => primitive!(a, datetime_of_day),
            ColumnReader::Text(texts, ty) => texts.get(row).map_or(missing(*ty), |text| text_value(text, *ty)),
        }
    }

    /// True where the row has no value; a string that is missing is an empty one to KQL, and NULL to SQL.
    pub fn is_missing(&self, row: usize) -> bool {
        match self {
            ColumnReader::Null(_) => true,
            ColumnReader::Text(texts, Type::String) => texts.get(row).is_none(),
            _ => matches!(self.get(row), ValueRef::Null),
        }
    }

    /// The KQL type of the column's values.
    pub fn ty(&self) -> Type {
        match self {
            ColumnReader::Null(ty) | ColumnReader::Text(_, ty) => *ty,
            ColumnReader::Bool(_) => Type::Bool,
            ColumnReader::Int(_) => Type::Int,
            ColumnReader::Long(_) => Type::Long,
            ColumnReader::TimeSpan(_) => Type::TimeSpan,
            ColumnReader::Real(_) => Type::Real,
            ColumnReader::Decimal(_) => Type::Decimal,
            ColumnReader::DateTime(_) | ColumnReader::Instant(_) | ColumnReader::Date(_) => Type::DateTime,
        }
    }
}

/// The start of a day that is counted from 1970-01-01.
fn datetime_of_day(day: i32) -> ValueRef<'static> {
    ValueRef::DateTime(i64::from(day) * TICKS_PER_DAY + UNIX_EPOCH_TICKS)
}

/// What a missing value of a type is.
fn missing(ty: Type) -> ValueRef<'static> {
    if ty == Type::String { ValueRef::String("") } else { ValueRef::Null }
}

#[inline]
fn text_value(text: &str, ty: Type) -> ValueRef<'_> {
    match ty {
        Type::String => ValueRef::String(text),
        // A guid column never holds empty text; where an outer side was filled with '', it is null.
        Type::Guid if text.is_empty() => ValueRef::Null,
        Type::Guid => ValueRef::Guid(text),
        _ if text.is_empty() || text == "null" => ValueRef::Null,
        _ => ValueRef::Dynamic(text),
    }
}

/// An owned copy of a borrowed value. A dynamic's text is parsed; text that is no JSON becomes null.
pub fn to_value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Bool(v) => Value::Bool(v),
        ValueRef::Int(v) => Value::Int(v),
        ValueRef::Long(v) => Value::Long(v),
        ValueRef::Real(v) => Value::Real(v),
        ValueRef::Decimal(v) => Value::Decimal(v),
        ValueRef::String(v) => Value::String(v.to_owned()),
        ValueRef::DateTime(v) => Value::DateTime(v),
        ValueRef::TimeSpan(v) => Value::TimeSpan(v),
        ValueRef::Guid(v) => Value::Guid(v.to_owned()),
        ValueRef::Dynamic(v) => match json_of(v) {
            Json::Null => Value::Null,
            json => Value::Dynamic(json),
        },
    }
}

enum Inner {
    Bool(BooleanBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Real(Float64Builder),
    Decimal(Decimal128Builder),
    DateTime(Int64Builder),
    Text(TextBuilder),
}

/// Collects KQL values into an array of the type's Arrow form.
///
/// A number of another type is converted (a long result given as int, say); a value of a type that cannot be the
/// column's becomes null, for a dynamic column its JSON form.
pub struct ColumnBuilder {
    ty: Type,
    inner: Inner,
    scratch: String,
}

impl std::fmt::Debug for ColumnBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ColumnBuilder({})", self.ty)
    }
}

impl ColumnBuilder {
    /// A builder for about `rows` values.
    pub fn new(ty: Type, rows: usize) -> ColumnBuilder {
        let inner = match ty {
            Type::Bool => Inner::Bool(BooleanBuilder::with_capacity(rows)),
            Type::Int => Inner::Int(Int32Builder::with_capacity(rows)),
            Type::Long | Type::TimeSpan => Inner::Long(Int64Builder::with_capacity(rows)),
            Type::Real => Inner::Real(Float64Builder::with_capacity(rows)),
            Type::Decimal => Inner::Decimal(Decimal128Builder::with_capacity(rows).with_data_type(DataType::Decimal128(38, 18))),
            Type::DateTime => Inner::DateTime(Int64Builder::with_capacity(rows)),
            Type::String | Type::Guid | Type::Dynamic => Inner::Text(TextBuilder::new(rows)),
        };
        ColumnBuilder { ty, inner, scratch: String::new() }
    }

    /// Values so far.
    pub fn len(&self) -> usize {
        use arrow::array::ArrayBuilder;
        match &self.inner {
            Inner::Bool(b) => b.len(),
            Inner::Int(b) => b.len(),
            Inner::Long(b) => b.len(),
            Inner::Real(b) => b.len(),
            Inner::Decimal(b) => b.len(),
            Inner::DateTime(b) => b.len(),
            Inner::Text(b) => b.len(),
        }
    }

    /// True before the first value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a value.
    pub fn push(&mut self, value: &Value) {
        if self.ty == Type::Dynamic
            && let (Inner::Text(b), Value::Dynamic(json)) = (&mut self.inner, value)
        {
            if json.is_null() {
                b.push_null();
                return;
            }
            self.scratch.clear();
            write_json(&mut self.scratch, json);
            b.push(&self.scratch);
            return;
        }
        let mut text = std::mem::take(&mut self.scratch);
        self.push_ref(value.as_ref(&mut text));
        self.scratch = text;
    }

    /// Appends a borrowed value.
    pub fn push_ref(&mut self, value: ValueRef<'_>) {
        match &mut self.inner {
            Inner::Bool(b) => b.append_option(match value {
                ValueRef::Bool(v) => Some(v),
                other => other.as_i64().map(|v| v != 0),
            }),
            Inner::Int(b) => b.append_option(as_i64(value).and_then(|v| i32::try_from(v).ok())),
            Inner::Long(b) => b.append_option(as_i64(value)),
            Inner::Real(b) => b.append_option(value.as_f64()),
            Inner::Decimal(b) => b.append_option(match value {
                ValueRef::Decimal(v) => Some(v),
                ValueRef::Real(v) => decimal_of_real(v),
                other => other.as_i64().map(|v| i128::from(v) * 1_000_000_000_000_000_000),
            }),
            Inner::DateTime(b) => b.append_option(match value {
                ValueRef::DateTime(v) => Some(v),
                _ => None,
            }),
            Inner::Text(b) => match (self.ty, value) {
                (Type::String, ValueRef::String(v) | ValueRef::Guid(v)) => b.push(v),
                (Type::String, other) => b.push(&crate::format::to_string(other)),
                (_, ValueRef::Null) => b.push_null(),
                (Type::Guid, ValueRef::Guid(v) | ValueRef::String(v)) => b.push(v),
                (Type::Guid, _) => b.push_null(),
                (_, ValueRef::Dynamic(v)) => b.push(v),
                (_, other) => b.push(&json_text(&other.to_json())),
            },
        }
    }

    /// Appends the text that `write` appends to an empty buffer: a string's characters, a dynamic's JSON. Where it answers
    /// false, or the column holds no text, the value is missing.
    pub fn push_text(&mut self, write: impl FnOnce(&mut String) -> bool) {
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        let written = write(&mut text);
        match &mut self.inner {
            Inner::Text(b) if written && !(self.ty == Type::Dynamic && text == "null") => b.push(&text),
            _ => self.push_ref(ValueRef::Null),
        }
        self.scratch = text;
    }

    /// The array; the builder starts again.
    ///
    /// # Errors
    /// The text is too long for a column.
    pub fn finish(&mut self) -> Result<ArrayRef, String> {
        Ok(match &mut self.inner {
            Inner::Bool(b) => Arc::new(b.finish()),
            Inner::Int(b) => Arc::new(b.finish()),
            Inner::Long(b) => Arc::new(b.finish()),
            Inner::Real(b) => Arc::new(b.finish()),
            Inner::Decimal(b) => Arc::new(b.finish()),
            Inner::DateTime(b) => Arc::new(b.finish()),
            Inner::Text(b) => b.finish()?,
        })
    }
}

fn as_i64(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::TimeSpan(v) => Some(v),
        ValueRef::Bool(v) => Some(v.into()),
        // A real given for an integer column is truncated, as tolong does; what does not fit is null.
        ValueRef::Real(v) if v.is_finite() && v.abs() < 9.3e18 => Some(v as i64),
        other => other.as_i64(),
    }
}

/// An array of one value.
///
/// # Errors
/// The value's text is too long for a column.
pub fn single(value: &Value, ty: Type) -> Result<ArrayRef, String> {
    let mut builder = ColumnBuilder::new(ty, 1);
    builder.push(value);
    builder.finish()
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;

    use super::*;

    #[test]
    fn a_noted_type_counts_where_the_column_has_its_form() {
        for (form, noted, want) in [
            (DataType::Int64, Type::TimeSpan, Type::TimeSpan),
            (DataType::Int64, Type::Guid, Type::Long),
            (DataType::Utf8View, Type::Guid, Type::Guid),
            (DataType::Utf8, Type::Dynamic, Type::Dynamic),
            (DataType::Utf8, Type::Long, Type::String),
            (DataType::Float32, Type::TimeSpan, Type::Real),
            (stored_type(Type::DateTime), Type::String, Type::DateTime),
        ] {
            assert_eq!(field_type(&field("c", noted).with_data_type(form)), want);
        }
        for ty in Type::ALL {
            assert_eq!(field_type(&stored_field("c", ty)), ty, "every type is known again at rest");
        }
        let item = Arc::new(Field::new("item", DataType::Int32, true));
        assert_eq!(field_type(&Field::new("c", DataType::List(item), true)), Type::Dynamic);
        assert_eq!(field_type(&Field::new("c", DataType::Binary, true)), Type::String);
    }

    #[test]
    fn every_type_survives_the_way_through_arrow() {
        let values = [
            (Type::Bool, Value::Bool(true)),
            (Type::Int, Value::Int(-3)),
            (Type::Long, Value::Long(i64::MIN)),
            (Type::Real, Value::Real(1.5)),
            (Type::Decimal, Value::Decimal(1_500_000_000_000_000_000)),
            (Type::String, Value::String("é".into())),
            (Type::DateTime, Value::DateTime(1)),
            (Type::TimeSpan, Value::TimeSpan(-1)),
            (Type::Guid, Value::Guid("00000000-0000-0000-0000-000000000001".into())),
            (Type::Dynamic, Value::Dynamic(serde_json::json!({"b": [1, 2.5], "a": null}))),
        ];
        for (ty, value) in values {
            let mut builder = ColumnBuilder::new(ty, 2);
            builder.push(&value);
            builder.push(&Value::Null);
            let array = builder.finish().unwrap();
            assert_eq!(array.data_type(), &arrow_type(ty));
            let reader = ColumnReader::new(&array, ty).unwrap();
            assert_eq!(to_value(reader.get(0)), value);
            let null = if ty == Type::String { ValueRef::String("") } else { ValueRef::Null };
            assert_eq!(reader.get(1), null);
        }
    }

    #[test]
    fn a_number_without_room_is_refused() {
        use arrow::array::UInt64Array;
        let wide: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX / 2 + 1]));
        assert!(ColumnReader::new(&wide, Type::Long).unwrap_err().contains("9223372036854775808"));
        let least: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX / 2]));
        assert_eq!(ColumnReader::new(&least, Type::Long).unwrap().get(0), ValueRef::Long(i64::MAX));
        let great: ArrayRef = Arc::new(Decimal128Array::from(vec![10_i128.pow(29)]).with_precision_and_scale(38, 0).unwrap());
        assert!(ColumnReader::new(&great, Type::Decimal).is_err());
    }

    #[test]
    fn instants_at_rest_read_as_datetimes() {
        let us = [1_577_934_245_600_000, -1];
        let stored: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(us).with_timezone("UTC"));
        let ticks = in_form(&stored, Type::DateTime).unwrap();
        let reader = ColumnReader::new(&stored, Type::DateTime).unwrap();
        for row in 0..2 {
            let want = ValueRef::DateTime(us[row] * 10 + UNIX_EPOCH_TICKS);
            assert_eq!([reader.get(row), ColumnReader::new(&ticks, Type::DateTime).unwrap().get(row)], [want; 2]);
        }
        assert_eq!(&in_stored_form(&ticks, Type::DateTime).unwrap(), &stored);
        let finer: ArrayRef = Arc::new(Int64Array::from(vec![UNIX_EPOCH_TICKS - 1]));
        let cut = in_stored_form(&finer, Type::DateTime).unwrap();
        assert_eq!(cut.as_primitive::<TimestampMicrosecondType>().value(0), -1);
    }

    #[test]
    fn views_and_the_text_null_read_as_their_meaning() {
        let views: ArrayRef = Arc::new(StringViewArray::from(vec![Some("null"), None, Some("[1]")]));
        let dynamic = ColumnReader::new(&views, Type::Dynamic).unwrap();
        assert_eq!([dynamic.get(0), dynamic.get(1), dynamic.get(2)], [ValueRef::Null, ValueRef::Null, ValueRef::Dynamic("[1]")]);
        let string = ColumnReader::new(&views, Type::String).unwrap();
        assert_eq!([string.get(0), string.get(1)], [ValueRef::String("null"), ValueRef::String("")]);
        assert_eq!([0, 1, 2].map(|row| string.is_missing(row)), [false, true, false]);
    }
}
