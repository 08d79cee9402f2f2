//! A scalar function of the registry as a DataFusion function.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::functions::constants::{compute_within, expanded};
use crate::functions::{ArgInfo, ColumnFn, RowFn, ScalarFn, ScalarImpl};
use kqlake_value::columns::{ColumnBuilder, ColumnReader, arrow_type, in_form};
use kqlake_value::text_column::{text_budget, within_budget};
use kqlake_value::{Type, ValueRef};

/// The DataFusion function that computes one call of a scalar function.
///
/// `args` are the call's bound arguments in the order of the expressions that the call will be given; patterns and other
/// constants among them are prepared here, once. The error refuses the query, as do functions without a computation of
/// their own ([`ScalarImpl::Special`], [`ScalarImpl::Unsupported`]).
pub(crate) fn udf(function: &'static ScalarFn, args: Vec<ArgInfo>, returns: Type) -> std::result::Result<ScalarUDF, String> {
    let body = match function.imp {
        ScalarImpl::Row(row) => Computation::Row(Box::new(row)),
        ScalarImpl::Prepared(prepare) => Computation::Row(prepare(&args, returns)?),
        ScalarImpl::Text(text) => Computation::Text(text),
        ScalarImpl::Kernel(prepare) => {
            Computation::Columns(prepare(&args, returns)?, args.iter().map(|a| a.constant.is_some()).collect())
        }
        ScalarImpl::Special | ScalarImpl::Window(_) => return Err(format!("{} cannot be used here", function.name)),
        ScalarImpl::Unsupported(why) => return Err(format!("{} is not supported: {why}", function.name)),
    };
    // Two calls are the same function when name, argument types and constants are: the query's common parts are then
    // computed once.
    let identity = format!("{}/{returns}/{args:?}", function.name);
    let volatility = if function.volatile { Volatility::Volatile } else { Volatility::Immutable };
    let signature = Signature::user_defined(volatility);
    let types = args.into_iter().map(|a| a.ty).collect();
    let (text_budget, body) = (text_budget(), Arc::new(body));
    Ok(ScalarUDF::new_from_impl(KqlScalar { function, types, returns, identity, signature, text_budget, body }))
}

/// How the call is computed.
enum Computation {
    /// Row by row.
    Row(RowFn),
    /// Row by row, into a text buffer.
    Text(fn(&[ValueRef<'_>], &mut String) -> bool),
    /// Whole columns at once, and which of them are never read.
    Columns(ColumnFn, Vec<bool>),
}

/// One call of a scalar function, with its constants prepared.
#[derive(Clone)]
struct KqlScalar {
    function: &'static ScalarFn,
    types: Vec<Type>,
    returns: Type,
    identity: String,
    signature: Signature,
    /// Bytes of text that a result may have.
    text_budget: usize,
    body: Arc<Computation>,
}

impl fmt::Debug for KqlScalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KqlScalar({})", self.function.name)
    }
}

impl PartialEq for KqlScalar {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for KqlScalar {}

impl Hash for KqlScalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity.hash(state);
    }
}

/// A name of a call that other calls do not have, for plans' inner columns. DataFusion's own spells out the arguments with all their
/// arguments, which takes time in the square of the depth, and does not distinguish closures of one name.
pub(crate) fn short_name(name: &str, function: &impl Hash, args: &[Expr]) -> String {
    let mut hasher = DefaultHasher::new();
    (function, args).hash(&mut hasher);
    format!("{name}#{:016x}", hasher.finish())
}

/// A string has no null: kernels that pass their argument's nulls on give empty strings. What reads the result may rely on it.
fn never_null(array: ArrayRef, ty: Type) -> ArrayRef {
    match array.as_string_opt::<i32>() {
        Some(texts) if ty == Type::String && texts.null_count() > 0 => {
            Arc::new(texts.iter().map(|text| Some(text.unwrap_or_default())).collect::<StringArray>())
        }
        _ => array,
    }
}

impl KqlScalar {
    /// The results of so many rows.
    fn compute(&self, args: &[ColumnarValue], rows: usize) -> std::result::Result<ArrayRef, String> {
        match self.body.as_ref() {
            body @ (Computation::Row(_) | Computation::Text(_)) => {
                let mut columns = Vec::with_capacity(args.len());
                for (arg, ty) in args.iter().zip(&self.types) {
                    columns.push(match arg {
                        ColumnarValue::Array(array) => (ColumnReader::new(array, *ty)?, usize::MAX),
                        // A constant is kept as one row, and every row reads that.
                        ColumnarValue::Scalar(value) => {
                            (ColumnReader::new(&value.to_array().map_err(|e| e.strip_backtrace())?, *ty)?, 0)
                        }
                    });
                }
                let mut out = ColumnBuilder::new(self.returns, rows);
                let mut values: Vec<ValueRef<'_>> = Vec::with_capacity(columns.len());
                for row in 0..rows {
                    values.clear();
                    values.extend(columns.iter().map(|(column, last)| column.get(row.min(*last))));
                    // What concatenates its arguments makes no more text than they have together.
                    if values.len() > 1 && !within_budget(values.iter().map(text_bytes).fold(0, usize::saturating_add)) {
                        break;
                    }
                    match body {
                        Computation::Row(call) => out.push(&call(&values)),
                        Computation::Text(call) => out.push_text(|text| call(&values, text)),
                        Computation::Columns(..) => {}
                    }
                }
                out.finish()
            }
            Computation::Columns(call, unread) => {
                let mut arrays = Vec::with_capacity(args.len());
                for ((arg, ty), unread) in args.iter().zip(&self.types).zip(unread) {
                    let rows = if *unread { 1 } else { rows };
                    let array = match arg {
                        ColumnarValue::Array(array) => ArrayRef::clone(array),
                        ColumnarValue::Scalar(constant) => expanded(constant, rows)?,
                    };
                    arrays.push(in_form(&array, *ty)?);
                }
                Ok(never_null(call(&arrays, rows)?, self.returns))
            }
        }
    }
}

/// Bytes of a value that is text.
fn text_bytes(value: &ValueRef<'_>) -> usize {
    match value {
        ValueRef::String(text) | ValueRef::Dynamic(text) => text.len(),
        _ => 0,
    }
}

impl ScalarUDFImpl for KqlScalar {
    fn name(&self) -> &str {
        self.function.name
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(short_name(self.function.name, self, args))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        // The binder has made the arguments' types what the function takes.
        Ok(arg_types.to_vec())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(arrow_type(self.returns))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if args.args.len() < self.types.len() {
            return Err(DataFusionError::Internal(format!(
                "{} was bound with {} arguments and called with {}",
                self.function.name,
                self.types.len(),
                args.args.len()
            )));
        }
        // Constant arguments give a constant, unless every row must have its own.
        let constant = !self.function.volatile && args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let work = || self.compute(&args.args, rows).map_err(|why| format!("{}: {why}", self.function.name));
        let result = compute_within(self.function.name, self.text_budget, work)?;
        Ok(if constant { ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?) } else { ColumnarValue::Array(result) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::{ArgType, Param, Returns};
    use arrow::array::{Array, AsArray, StringViewArray};
    use arrow::datatypes::Field;
    use kqlake_value::Value;

    static JOIN: ScalarFn = ScalarFn::new(
        "join_two",
        &[Param::req("a", ArgType::String), Param::req("b", ArgType::String)],
        Returns::Type(Type::String),
        ScalarImpl::Prepared(|args, _| {
            let suffix = args[1].constant.clone();
            Ok(Box::new(move |row| match &suffix {
                Some(Value::String(s)) => Value::String(format!("{}{s}", row[0].as_str().unwrap_or("?"))),
                _ => Value::Null,
            }))
        }),
        "",
    );

    fn call(args: Vec<ColumnarValue>, rows: usize) -> ColumnarValue {
        let info = |constant| ArgInfo { ty: Type::String, constant };
        let udf = udf(&JOIN, vec![info(None), info(Some(Value::String("!".into())))], Type::String).unwrap();
        let return_field = Arc::new(Field::new("r", DataType::Utf8, true));
        let arg_fields = args.iter().map(|a| Arc::new(Field::new("a", a.data_type(), true))).collect();
        udf.invoke_with_args(ScalarFunctionArgs {
            args,
            arg_fields,
            number_rows: rows,
            return_field,
            config_options: Arc::default(),
        })
        .unwrap()
    }

    #[test]
    fn views_and_missing_strings_are_read_and_constants_stay_constant() {
        let bang = || ColumnarValue::Scalar(ScalarValue::Utf8(Some("!".into())));
        let ColumnarValue::Array(array) =
            call(vec![ColumnarValue::Array(Arc::new(StringViewArray::from(vec![Some("a"), None]))), bang()], 2)
        else {
            panic!("an array was expected");
        };
        let text = array.as_string::<i32>();
        assert_eq!((text.len(), text.value(0), text.value(1)), (2, "a!", "!"));
        assert!(matches!(call(vec![bang(), bang()], 5), ColumnarValue::Scalar(ScalarValue::Utf8(Some(s))) if s == "!!"));
    }
}
