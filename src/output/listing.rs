//! Listings of our own (tables, queries, the ledger) as batches, so that they come in every format that results do.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use kqlake_value::columns::{ColumnBuilder, field};
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
    /// When the columns do not make a batch.
    pub(crate) fn batch(&self) -> Result<RecordBatch, ArrowError> {
        let fields: Vec<Field> = self.columns.iter().map(|column| field(&column.name, column.ty)).collect();
        let arrays = self.columns.iter().enumerate().map(|(at, column)| self.array(at, column.ty)).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
    }

    fn array(&self, at: usize, ty: Type) -> Result<ArrayRef, ArrowError> {
        let mut column = ColumnBuilder::new(ty, self.rows.len());
        self.rows.iter().for_each(|row| column.push(row.get(at).unwrap_or(&Value::Null)));
        column.finish().map_err(ArrowError::ComputeError)
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
