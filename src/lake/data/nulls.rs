//! Columns without values. A table can have hundreds of columns that most rows have no use for; their arrays are made once.

use std::collections::HashMap;

use arrow::array::{Array as _, ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;

use super::file::CHUNK_ROWS;

/// Arrays without values that have been made, by their type.
#[derive(Debug, Default)]
pub(crate) struct Nulls(HashMap<DataType, ArrayRef>);

impl Nulls {
    /// An array of so many rows without a value.
    pub(crate) fn of(&mut self, ty: &DataType, rows: usize) -> ArrayRef {
        if let Some(known) = self.0.get(ty).filter(|known| known.len() >= rows) {
            return known.slice(0, rows);
        }
        let made = new_null_array(ty, rows.max(CHUNK_ROWS));
        let out = made.slice(0, rows);
        self.0.insert(ty.clone(), made);
        out
    }

    /// A batch of all columns of a schema out of one of some of them, which say for each column whether it is there.
    ///
    /// # Errors
    /// A column has another type, or one that may not be null is not there.
    pub(crate) fn fill(&mut self, schema: &SchemaRef, there: &[bool], some: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let mut columns = some.columns().iter();
        let column = |(field, there): (&arrow::datatypes::FieldRef, &bool)| {
            match there {
                true => columns.next().cloned(),
                false => None,
            }
            .unwrap_or_else(|| self.of(field.data_type(), some.num_rows()))
        };
        let columns = schema.fields().iter().zip(there).map(column).collect();
        RecordBatch::try_new(schema.clone(), columns)
    }
}

/// The columns of a batch that are there.
///
/// # Errors
/// Never, as far as the batch has so many columns.
pub(crate) fn some(batch: &RecordBatch, there: &[bool]) -> Result<RecordBatch, ArrowError> {
    let positions: Vec<usize> = there.iter().enumerate().filter(|(_, there)| **there).map(|(at, _)| at).collect();
    batch.project(&positions)
}
