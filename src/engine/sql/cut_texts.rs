//! `left` and `right` take no length below zero. In PostgreSQL, and so to the library, it leaves characters out at the other end; in
//! T-SQL it is an error, and `LEFT(x, CHARINDEX('-', x) - 1)` of a text without the sign must not become one character shorter.

use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::compute::{cast, min};
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::execution::{FunctionRegistry as _, SessionState};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

/// Puts the functions that refuse such lengths in the place of those of a session.
///
/// # Errors
/// A function cannot be registered.
pub(super) fn register(state: &mut SessionState) -> Result<()> {
    for name in ["left", "right"] {
        if let Some(inner) = state.scalar_functions().get(name).cloned() {
            state.register_udf(Arc::new(ScalarUDF::from(Cut(inner))))?;
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Cut(Arc<ScalarUDF>);

impl ScalarUDFImpl for Cut {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.0.return_type(arguments)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.0.return_field_from_args(args)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.0.inner().coerce_types(arguments)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(length) = args.args.get(1) {
            let lengths = cast(&length.to_array(1)?, &DataType::Int64)?;
            if let Some(least) = min(lengths.as_primitive::<Int64Type>()).filter(|least| *least < 0) {
                return exec_err!(
                    "{} takes no length below zero, and one is {least}: greatest(n, 0) makes the text empty, \
                     CASE WHEN n >= 0 THEN … END makes it NULL",
                    self.name().to_uppercase()
                );
            }
        }
        self.0.invoke_with_args(args)
    }
}
