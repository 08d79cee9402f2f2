//! Scalar kernels of the lowering itself: closures as DataFusion functions.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::Result as DfResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::functions::constants::{compute_within, expanded};
use crate::functions::scalar::udf::short_name;
use kqlake_value::text_column::text_budget;

type KernelFn = dyn Fn(&[ArrayRef], usize) -> Result<ArrayRef, String> + Send + Sync;

/// A closure over arrays as a DataFusion function. Two kernels are the same if name and key are.
struct Kernel {
    name: &'static str,
    /// Everything that the closure depends on beside its arguments.
    key: String,
    returns: DataType,
    signature: Signature,
    /// Bytes of text that a result may have.
    text_budget: usize,
    run: Arc<KernelFn>,
    /// Name and key of the kernel whose argument this one gives back from its result.
    undoes: Option<(&'static str, &'static str)>,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({} {})", self.name, self.key)
    }
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.key == other.key && self.returns == other.returns
    }
}

impl Eq for Kernel {}

impl Hash for Kernel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.name, &self.key).hash(state);
    }
}

impl ScalarUDFImpl for Kernel {
    fn name(&self) -> &str {
        self.name
    }

    fn schema_name(&self, args: &[Expr]) -> DfResult<String> {
        Ok(short_name(self.name, self, args))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(self.returns.clone())
    }

    fn simplify(&self, mut args: Vec<Expr>, _: &SimplifyContext) -> DfResult<ExprSimplifyResult> {
        let undone = |call: &ScalarFunction| {
            let kernel = call.func.inner().downcast_ref::<Kernel>();
            kernel.is_some_and(|kernel| self.undoes.is_some_and(|(name, key)| kernel.name == name && kernel.key == key))
        };
        if let Some(Expr::ScalarFunction(call)) = args.first_mut()
            && undone(call)
            && let Some(arg) = call.args.pop()
        {
            return Ok(ExprSimplifyResult::Simplified(arg));
        }
        Ok(ExprSimplifyResult::Original(args))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let scalars = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if scalars { 1 } else { args.number_rows };
        let result = compute_within(self.name, self.text_budget, || {
            let array = |arg: &ColumnarValue| match arg {
                ColumnarValue::Array(array) => Ok(ArrayRef::clone(array)),
                ColumnarValue::Scalar(constant) => expanded(constant, rows),
            };
            let arrays = args.args.iter().map(array).collect::<Result<Vec<_>, _>>()?;
            (self.run)(&arrays, rows)
        })?;
        if scalars && !args.args.is_empty() {
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

/// A call of a closure. `key` must distinguish closures of one name.
pub(super) fn call(
    name: &'static str,
    key: impl Into<String>,
    returns: DataType,
    args: Vec<Expr>,
    run: impl Fn(&[ArrayRef], usize) -> Result<ArrayRef, String> + Send + Sync + 'static,
) -> Expr {
    inverse(name, key, returns, args, None, run)
}

/// As [`call`], for a closure that gives back the argument of the kernel of the name and key `undoes` from its result.
pub(super) fn inverse(
    name: &'static str,
    key: impl Into<String>,
    returns: DataType,
    args: Vec<Expr>,
    undoes: Option<(&'static str, &'static str)>,
    run: impl Fn(&[ArrayRef], usize) -> Result<ArrayRef, String> + Send + Sync + 'static,
) -> Expr {
    let volatility = Volatility::Immutable;
    let signature = if args.is_empty() { Signature::nullary(volatility) } else { Signature::any(args.len(), volatility) };
    let kernel = Kernel { name, key: key.into(), returns, signature, text_budget: text_budget(), run: Arc::new(run), undoes };
    ScalarUDF::from(kernel).call(args)
}
