//! Constants as DataFusion scalars.

use datafusion::scalar::ScalarValue;
use kqlake_value::columns::repeat;
use kqlake_value::{Type, Value};

/// A constant as a DataFusion scalar in the type's Arrow form. A null string is the empty string.
pub fn scalar(value: &Value, ty: Type) -> ScalarValue {
    let array = repeat(value, ty, 1);
    // Every Arrow form of a KQL type has a scalar; a null of it is the harmless answer should that ever change.
    ScalarValue::try_from_array(&array, 0).unwrap_or(ScalarValue::Null)
}

#[cfg(test)]
mod tests {
    use kqlake_value::columns::{ColumnReader, arrow_type, to_value};

    use super::*;

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
