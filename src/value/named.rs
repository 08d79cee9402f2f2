//! Columns of a batch by their names, for what reads a few rows of columns that it knows.

use arrow::array::{ArrayRef, RecordBatch};

use crate::columns::{ColumnReader, field_type};
use crate::{Column, Type, ValueRef, us_of_datetime};

/// The columns of a batch, opened for reading once. They are few, and asked for by name for each row: comparing names takes less time
/// than hashing them.
#[derive(Debug)]
pub struct NamedColumns(Vec<(String, ColumnReader)>);

impl NamedColumns {
    /// Opens the columns of a batch of a query's rows, which are in this order.
    ///
    /// # Errors
    /// A column cannot be read as its type.
    pub fn of_columns(columns: &[Column], batch: &RecordBatch) -> Result<Self, String> {
        let columns = columns.iter().map(|column| (column.name.as_str(), column.ty));
        NamedColumns::opened(columns.zip(batch.columns()))
    }

    /// Opens the columns of a batch of rows at rest, each as the type that its field has.
    ///
    /// # Errors
    /// A column cannot be read as its type.
    pub fn of_schema(batch: &RecordBatch) -> Result<Self, String> {
        let schema = batch.schema();
        let fields = schema.fields().iter().map(|field| (field.name().as_str(), field_type(field)));
        NamedColumns::opened(fields.zip(batch.columns()))
    }

    fn opened<'b>(columns: impl Iterator<Item = ((&'b str, Type), &'b ArrayRef)>) -> Result<Self, String> {
        let opened = columns.map(|((name, ty), array)| Ok((name.to_owned(), ColumnReader::new(array, ty)?)));
        Ok(NamedColumns(opened.collect::<Result<_, String>>()?))
    }

    fn get(&self, name: &str, row: usize) -> ValueRef<'_> {
        // Of columns of one name the last one counts.
        self.0.iter().rev().find(|(own, _)| own == name).map_or(ValueRef::Null, |(_, column)| column.get(row))
    }

    /// A text, the JSON text of a dynamic; `None` for an empty one, which stands for none at rest.
    pub fn text(&self, name: &str, row: usize) -> Option<&str> {
        match self.get(name, row) {
            ValueRef::String(text) | ValueRef::Guid(text) | ValueRef::Dynamic(text) => Some(text).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// A whole number.
    pub fn long(&self, name: &str, row: usize) -> Option<i64> {
        match self.get(name, row) {
            ValueRef::Long(number) => Some(number),
            ValueRef::Int(number) => Some(number.into()),
            _ => None,
        }
    }

    /// An instant, in microseconds since 1970.
    pub fn micros(&self, name: &str, row: usize) -> Option<i64> {
        match self.get(name, row) {
            ValueRef::DateTime(ticks) => Some(us_of_datetime(ticks)),
            _ => None,
        }
    }

    /// True where a bool is.
    pub fn is_true(&self, name: &str, row: usize) -> bool {
        matches!(self.get(name, row), ValueRef::Bool(true))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        Array, BooleanArray, DictionaryArray, Int32Array, Int64Array, LargeStringArray, StringViewArray,
        TimestampMicrosecondArray,
    };
    use arrow::datatypes::{Field, Int32Type, Schema};

    use super::*;
    use crate::datetime_of_us;

    #[test]
    fn columns_are_read_whatever_form_they_have() {
        let at_rest: [(&str, ArrayRef); 7] = [
            ("large", Arc::new(LargeStringArray::from(vec![Some("a"), None]))),
            ("dictionary", Arc::new(DictionaryArray::<Int32Type>::from_iter([Some("b"), Some("")]))),
            ("view", Arc::new(StringViewArray::from(vec![Some("c"), None]))),
            ("int", Arc::new(Int32Array::from(vec![Some(1), None]))),
            ("long", Arc::new(Int64Array::from(vec![Some(2), None]))),
            ("time", Arc::new(TimestampMicrosecondArray::from(vec![Some(3), None]).with_timezone("UTC"))),
            ("bool", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ];
        let fields: Vec<Field> = at_rest.iter().map(|(name, a)| Field::new(*name, a.data_type().clone(), true)).collect();
        let columns = at_rest.iter().map(|(_, array)| Arc::clone(array)).collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let read = NamedColumns::of_schema(&batch).unwrap();
        assert_eq!(
            ["large", "dictionary", "view", "none"].map(|name| read.text(name, 0)),
            [Some("a"), Some("b"), Some("c"), None]
        );
        assert_eq!(["large", "dictionary", "view", "int"].map(|name| read.text(name, 1)), [None; 4]);
        assert_eq!(["int", "long", "time"].map(|name| read.long(name, 0)), [Some(1), Some(2), None]);
        assert_eq!([0, 1].map(|row| read.micros("time", row)), [Some(3), None]);
        assert_eq!([0, 1].map(|row| read.is_true("bool", row)), [true, false]);
    }

    #[test]
    fn columns_of_a_query_have_its_types() {
        let ticks: ArrayRef = Arc::new(Int64Array::from(vec![datetime_of_us(7)]));
        let batch = RecordBatch::try_from_iter([("a", Arc::clone(&ticks)), ("b", ticks)]).unwrap();
        let columns = [Column::new("a", Type::DateTime), Column::new("b", Type::Long)];
        let read = NamedColumns::of_columns(&columns, &batch).unwrap();
        assert_eq!((read.micros("a", 0), read.long("b", 0)), (Some(7), Some(datetime_of_us(7))));
    }
}
