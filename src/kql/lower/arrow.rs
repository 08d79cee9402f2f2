//! KQL types and values in their Arrow forms, as lowering needs them; the forms themselves are [`columns`]'.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Schema, SchemaRef};

use kqlake_value::columns::{self, ColumnBuilder};
use kqlake_value::{Type, Value};

pub use crate::functions::constants::{scalar, value_at};
pub use columns::field;

/// The Arrow type of a KQL type.
pub fn data_type(ty: Type) -> DataType {
    columns::arrow_type(ty)
}

/// An array of values in the type's Arrow form.
///
/// # Errors
/// The values' text is too long for a column.
pub fn array(values: impl IntoIterator<Item = Value>, ty: Type) -> Result<ArrayRef, String> {
    let mut builder = ColumnBuilder::new(ty, 0);
    for value in values {
        builder.push(&value);
    }
    builder.finish()
}

/// The Arrow schema of columns.
pub fn schema(columns: impl IntoIterator<Item = (String, Type)>) -> SchemaRef {
    Arc::new(Schema::new(columns.into_iter().map(|(n, t)| field(&n, t)).collect::<Vec<_>>()))
}
