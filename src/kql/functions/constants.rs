//! Constants as DataFusion scalars and as columns, and columns that are computed within a budget of text.

use arrow::array::{Array, ArrayRef, make_array};
use datafusion::common::{DataFusionError, resources_datafusion_err};
use datafusion::scalar::ScalarValue;
use kqlake_value::columns::{self, ColumnReader, single};
use kqlake_value::text_column::{self, TOO_LONG, TextError, within_budget};
use kqlake_value::{Type, Value, ValueRef, json_of};

/// A constant as a DataFusion scalar in the type's Arrow form. A null string is the empty string.
pub(crate) fn scalar(value: &Value, ty: Type) -> ScalarValue {
    // Every Arrow form of a KQL type has a scalar, and no constant is as long as a column may be; a null is the harmless answer
    // should that ever change.
    let array = single(value, ty);
    array.ok().and_then(|array| ScalarValue::try_from_array(&array, 0).ok()).unwrap_or(ScalarValue::Null)
}

/// The value at a row of an array in the type's Arrow form.
pub(crate) fn value_at(array: &dyn Array, ty: Type, row: usize) -> Value {
    let array = make_array(array.to_data());
    // An array in another form is converted as a whole; one that cannot be is no array of the type.
    ColumnReader::new(&array, ty).map_or(Value::Null, |reader| match reader.get(row) {
        ValueRef::Dynamic(text) => Value::Dynamic(json_of(text)),
        other => columns::to_value(other),
    })
}

/// A constant as a column of so many rows.
///
/// # Errors
/// The text is too long for a column.
pub(crate) fn expanded(constant: &ScalarValue, rows: usize) -> Result<ArrayRef, String> {
    match constant {
        ScalarValue::Utf8(Some(text)) if !within_budget(text.len().saturating_mul(rows)) => Err(TOO_LONG.into()),
        _ => constant.to_array_of_size(rows).map_err(|e| e.strip_backtrace()),
    }
}

/// Computes a column whose text may have so many bytes; `name` is what messages call the function.
///
/// # Errors
/// `ResourcesExhausted` when its text exceeds the budget; any other refusal is an execution error.
pub(crate) fn compute_within<T>(
    name: &str,
    budget: usize,
    work: impl FnOnce() -> Result<T, String>,
) -> Result<T, DataFusionError> {
    text_column::compute_within(budget, work).map_err(|failure| match failure {
        TextError::TooLong => DataFusionError::Execution(TOO_LONG.to_owned()),
        TextError::OverBudget(budget) => {
            resources_datafusion_err!("{name} would make more than {:.1} MB of text", budget as f64 / 1_048_576.0)
        }
        TextError::Refused(message) => DataFusionError::Execution(message),
    })
}

#[cfg(test)]
mod tests {
    use kqlake_value::columns::{ColumnReader, arrow_type, to_value};

    use super::*;

    #[test]
    fn text_that_no_column_holds_is_an_error() {
        let long = ScalarValue::from("x".repeat(1 << 20));
        assert_eq!(expanded(&long, 3).map(|column| column.len()), Ok(3));
        assert_eq!(expanded(&long, 4096).map(|column| column.len()), Err(TOO_LONG.to_owned()));
    }

    #[test]
    fn a_constant_of_every_type_reads_back() {
        for ty in Type::ALL {
            let value = match ty {
                Type::Bool => Value::Bool(true),
                Type::Int => Value::Int(-3),
                Type::Long => Value::Long(i64::MIN),
                Type::Real => Value::Real(1.5),
                Type::Decimal => Value::Decimal(1_500_000_000_000_000_000),
                Type::String => Value::String("é".into()),
                Type::DateTime => Value::DateTime(1),
                Type::TimeSpan => Value::TimeSpan(-1),
                Type::Guid => Value::Guid("00000000-0000-0000-0000-000000000001".into()),
                Type::Dynamic => Value::Dynamic(serde_json::json!({"b": [1, 2.5], "a": null})),
            };
            let array = scalar(&value, ty).to_array().unwrap();
            assert_eq!(array.data_type(), &arrow_type(ty));
            assert_eq!(to_value(ColumnReader::new(&array, ty).unwrap().get(0)), value);
        }
    }
}
