//! KQL types and values in their Arrow forms, as lowering needs them; the forms themselves are [`columns`]'.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, make_array};
use arrow::datatypes::{DataType, Schema, SchemaRef};

use kqlake_value::columns::{self, ColumnBuilder};
use kqlake_value::{Type, Value, json_of};

pub use crate::functions::constants::scalar;
pub use columns::field;

/// The Arrow type of a KQL type.
pub fn data_type(ty: Type) -> DataType {
    columns::arrow_type(ty)
}

/// The value at a row of an array in the type's Arrow form.
pub fn value_at(array: &dyn Array, ty: Type, row: usize) -> Value {
    let array = make_array(array.to_data());
    match columns::value_at(&array, ty, row) {
        kqlake_value::ValueRef::Dynamic(text) => Value::Dynamic(json_of(text)),
        other => columns::to_value(other),
    }
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
