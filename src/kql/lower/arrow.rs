//! KQL types and values in their Arrow forms, as lowering needs them; the forms themselves are those of [`kqlake_value::columns`].

use arrow::array::ArrayRef;

use kqlake_value::columns::ColumnBuilder;
use kqlake_value::{Type, Value};

pub(crate) use crate::functions::constants::{scalar, value_at};

/// An array of values in the type's Arrow form.
///
/// # Errors
/// The values' text is too long for a column.
pub(crate) fn array(values: impl IntoIterator<Item = Value>, ty: Type) -> Result<ArrayRef, String> {
    let mut builder = ColumnBuilder::new(ty, 0);
    for value in values {
        builder.push(&value);
    }
    builder.finish()
}
