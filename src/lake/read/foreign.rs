//! Columns that other writers added to a table: their KQL types, and the forms in which KQL takes them.
//!
//! What has a KQL type of its own is read as that type's Arrow form. Structures, lists and maps become dynamic values, as
//! JSON text; binary values become text of hexadecimal digits.

use std::sync::Arc;

use arrow::array::{Array as _, new_null_array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;

use kqlake_value::Type;
use kqlake_value::columns::{field_type, stored_type};
use kqlake_value::texts::{displayed, is_text, json_texts};

/// True for a column whose values become text only after they were read: the scan cannot compare them.
pub(crate) fn becomes_text(field: &Field) -> bool {
    matches!(field_type(field), Type::Dynamic | Type::String | Type::Guid) && !is_text(field.data_type())
}

/// A column as KQL takes it.
pub(crate) fn kql_field(field: &FieldRef) -> FieldRef {
    let wanted = stored_type(field_type(field));
    if *field.data_type() == wanted { field.clone() } else { Arc::new(Field::new(field.name(), wanted, field.is_nullable())) }
}

/// A column as the scan gives it, before texts are made of what has no form of its own.
pub(crate) fn scan_field(field: &FieldRef) -> FieldRef {
    if becomes_text(field) { field.clone() } else { kql_field(field) }
}

/// The plan with texts in place of values that have no form of their own.
///
/// # Errors
/// Never, unless the plan's columns are not those of its schema.
pub(crate) fn with_texts(plan: Arc<dyn ExecutionPlan>, config: &Arc<ConfigOptions>) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = plan.schema();
    if !schema.fields().iter().any(|field| becomes_text(field)) {
        return Ok(plan);
    }
    let function = Arc::new(ScalarUDF::from(ForeignText::new()));
    let columns = schema.fields().iter().enumerate().map(|(at, field)| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), at));
        let text = Arc::new(Field::new(field.name(), DataType::Utf8, true));
        let expr: Arc<dyn PhysicalExpr> = if becomes_text(field) {
            Arc::new(ScalarFunctionExpr::new(NAME, function.clone(), vec![column], text, config.clone()))
        } else {
            column
        };
        (expr, field.name().clone())
    });
    Ok(Arc::new(ProjectionExec::try_new(columns.collect::<Vec<_>>(), plan)?))
}

const NAME: &str = "kqlake_foreign_text";

/// The function behind [`with_texts`].
#[derive(Debug, PartialEq, Eq, Hash)]
struct ForeignText {
    signature: Signature,
}

impl ForeignText {
    fn new() -> Self {
        ForeignText { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ForeignText {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let array = match args.args.into_iter().next() {
            Some(value) => value.into_array(rows)?,
            None => new_null_array(&DataType::Utf8, rows),
        };
        let texts = if array.data_type().is_nested() { json_texts(&array) } else { displayed(&array) };
        Ok(ColumnarValue::Array(texts?))
    }
}
