//! Listings of our own (tables, queries, the ledger) as batches, so that they come in every format that results do.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use kqlake_value::columns::arrow_type;
use kqlake_value::format::json_text;
use kqlake_value::{Column, Type, Value};

/// Rows of values under their columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing {
    /// Names and types.
    pub columns: Vec<Column>,
    /// One value a column in each row.
    pub rows: Vec<Vec<Value>>,
}

impl Listing {
    /// A listing without rows.
    pub(crate) fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Type)>) -> Self {
        Listing { columns: columns.into_iter().map(|(name, ty)| Column::new(name, ty)).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: impl IntoIterator<Item = Value>) {
        self.rows.push(row.into_iter().collect());
    }

    /// The listing as one batch. A value of another type than its column's is null.
    ///
    /// # Errors
    /// When the columns do not make a schema.
    pub(crate) fn batch(&self) -> Result<RecordBatch, ArrowError> {
        let fields: Vec<Field> = self.columns.iter().map(|c| Field::new(&c.name, arrow_type(c.ty), true)).collect();
        let arrays: Vec<ArrayRef> = self.columns.iter().enumerate().map(|(at, column)| self.array(at, column.ty)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
    }

    fn array(&self, at: usize, ty: Type) -> ArrayRef {
        let cells = self.rows.iter().map(|row| row.get(at).unwrap_or(&Value::Null));
        macro_rules! collect {
            ($array:ty, $($variant:ident)|+) => {
                cells.map(|v| match v { $(Value::$variant(v) => Some(*v),)+ _ => None }).collect::<$array>()
            };
        }
        match ty {
            Type::Bool => Arc::new(collect!(BooleanArray, Bool)),
            Type::Int => Arc::new(collect!(Int32Array, Int)),
            Type::Long | Type::TimeSpan | Type::DateTime => Arc::new(collect!(Int64Array, Long | TimeSpan | DateTime)),
            Type::Real => Arc::new(collect!(Float64Array, Real)),
            Type::Decimal => Arc::new(collect!(Decimal128Array, Decimal).with_data_type(arrow_type(Type::Decimal))),
            Type::String | Type::Guid | Type::Dynamic => {
                let texts = cells.map(|v| match v {
                    Value::String(v) | Value::Guid(v) => Some(v.clone()),
                    Value::Dynamic(v) => Some(json_text(v)),
                    _ => None,
                });
                Arc::new(texts.collect::<StringArray>())
            }
        }
    }
}

/// A text value.
pub(crate) fn text(value: impl Into<String>) -> Value {
    Value::String(value.into())
}

/// A count; one too great for `long` is the greatest `long`.
pub(crate) fn count(value: u64) -> Value {
    Value::Long(i64::try_from(value).unwrap_or(i64::MAX))
}
