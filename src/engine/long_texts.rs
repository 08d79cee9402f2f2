//! Functions of SQL whose texts may be far longer than those that they are given: what they are about to make is counted before
//! it is made, since the memory pool knows of batches only when they are there.
//!
//! The count is close to what would be made, and never more than the arguments' size above it. A function is looked at by
//! itself: several texts of one row may have the limit's size each.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, Int64Array};
use arrow::compute::kernels::concat_elements::concat_elements_dyn;
use arrow::compute::kernels::length::length;
use arrow::compute::{cast, max};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _};
use datafusion::common::{Result, ScalarValue, internal_err, resources_err};
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::SessionContext;

/// How long the text of a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Length {
    /// As long as all arguments together.
    Sum,
    /// As all but the first, which stands between them.
    Joined,
    /// The first argument as often as the second one says.
    Times,
    /// As many characters as the second argument says, if the third one is not empty.
    Padded,
    /// The first argument with the third one in place of the second one.
    Replaced,
}

/// The functions of DataFusion whose results grow.
const GROWING: [(&str, Length); 7] = [
    ("concat", Length::Sum),
    ("overlay", Length::Sum),
    ("concat_ws", Length::Joined),
    ("repeat", Length::Times),
    ("lpad", Length::Padded),
    ("rpad", Length::Padded),
    ("replace", Length::Replaced),
];

/// A session whose analyzer puts a guarded function in place of `||`. [`guard_functions`] does the rest.
pub(super) fn guard_concatenation(builder: SessionStateBuilder, limit: usize) -> SessionStateBuilder {
    let function = Arc::new(ScalarUDF::from(Guarded::new(Arc::new(ScalarUDF::from(Concatenation::new())), Length::Sum, limit)));
    builder.with_analyzer_rule(Arc::new(GuardConcatenation(function)))
}

/// Guards the functions of a session: none makes more than `limit` bytes of text for one batch.
pub(super) fn guard_functions(session: &SessionContext, limit: usize) {
    for (name, length) in GROWING {
        // Not in the condition: the state would stay locked.
        let inner = session.state_ref().read().scalar_functions().get(name).cloned();
        if let Some(inner) = inner {
            session.register_udf(ScalarUDF::from(Guarded::new(inner, length, limit)));
        }
    }
}

/// A function that refuses to make too much text.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Guarded {
    inner: Arc<ScalarUDF>,
    length: Length,
    limit: usize,
}

impl Guarded {
    fn new(inner: Arc<ScalarUDF>, length: Length, limit: usize) -> Guarded {
        Guarded { inner, length, limit }
    }

    /// Bytes that the function makes at least.
    fn bytes(&self, args: &ScalarFunctionArgs) -> Result<u64> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let of = |at: usize| args.args.get(at).map(Numbers::lengths).unwrap_or_default();
        let count = |at: usize| args.args.get(at).map(Numbers::integers).unwrap_or_default();
        Ok(match self.length {
            Length::Sum => (0..args.args.len()).map(|at| of(at).sum(rows)).fold(0, u64::saturating_add),
            Length::Joined => (1..args.args.len()).map(|at| of(at).sum(rows)).fold(0, u64::saturating_add),
            Length::Times => {
                let (texts, times) = (of(0), count(1));
                (0..rows).map(|row| texts.at(row).saturating_mul(times.at(row))).fold(0, u64::saturating_add)
            }
            Length::Padded => {
                // Without a third argument it is filled with blanks.
                let (texts, characters, fill) = (of(0), count(1), (args.args.len() > 2).then(|| of(2)));
                let row = |row: usize| match &fill {
                    Some(fill) if fill.at(row) == 0 => texts.at(row).min(characters.at(row)),
                    _ => characters.at(row),
                };
                (0..rows).map(row).fold(0, u64::saturating_add)
            }
            Length::Replaced => {
                let (texts, with) = (of(0), of(2));
                // No more places than bytes, and one: only where those would be too much they are counted.
                let most = (texts.most().saturating_add(1)).saturating_mul(with.most()).saturating_mul(rows as u64);
                if most <= self.limit as u64 { 0 } else { replaced(&args.args, rows)? }
            }
        })
    }
}

impl ScalarUDFImpl for Guarded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arguments)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.inner().coerce_types(arguments)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let bytes = self.bytes(&args)?;
        if bytes > self.limit as u64 {
            return resources_err!("{} would make {} MB of text", self.name(), bytes >> 20);
        }
        self.inner.invoke_with_args(args)
    }
}

/// Numbers by row; nulls and what is no number are 0.
#[derive(Default)]
struct Numbers {
    values: Option<Int64Array>,
    /// One number stands for all rows.
    constant: bool,
}

impl Numbers {
    fn of(value: &ColumnarValue, numbers: impl Fn(&ArrayRef) -> Option<ArrayRef>) -> Numbers {
        let (array, constant) = match value {
            ColumnarValue::Array(array) => (Some(Arc::clone(array)), false),
            ColumnarValue::Scalar(scalar) => (scalar.to_array().ok(), true),
        };
        let numbers = array.as_ref().and_then(numbers).and_then(|array| cast(&array, &DataType::Int64).ok());
        Numbers { values: numbers.map(|array| array.as_primitive::<Int64Type>().clone()), constant }
    }

    /// Lengths of texts in bytes.
    fn lengths(value: &ColumnarValue) -> Numbers {
        Numbers::of(value, |array| length(array).ok())
    }

    fn integers(value: &ColumnarValue) -> Numbers {
        Numbers::of(value, |array| array.data_type().is_integer().then(|| Arc::clone(array)))
    }

    fn at(&self, row: usize) -> u64 {
        let row = if self.constant { 0 } else { row };
        let values = self.values.as_ref().filter(|values| row < values.len() && values.is_valid(row));
        values.and_then(|values| u64::try_from(values.value(row)).ok()).unwrap_or(0)
    }

    fn most(&self) -> u64 {
        self.values.as_ref().and_then(max).and_then(|most| u64::try_from(most).ok()).unwrap_or(0)
    }

    fn sum(&self, rows: usize) -> u64 {
        (0..rows).map(|row| self.at(row)).fold(0, u64::saturating_add)
    }
}

/// Bytes of the results of `replace`.
fn replaced(args: &[ColumnarValue], rows: usize) -> Result<u64> {
    let texts = args.iter().map(|arg| cast(&arg.to_array(rows)?, &DataType::LargeUtf8).map_err(Into::into));
    let texts: Vec<ArrayRef> = texts.collect::<Result<_>>()?;
    let [text, from, to] = texts.as_slice() else { return Ok(0) };
    let (text, from, to) = (text.as_string::<i64>(), from.as_string::<i64>(), to.as_string::<i64>());
    let row = |((text, from), to): ((Option<&str>, Option<&str>), Option<&str>)| match (text, from, to) {
        (Some(text), Some(from), Some(to)) => {
            let places = text.matches(from).count();
            (text.len() - places * from.len()).saturating_add(places.saturating_mul(to.len())) as u64
        }
        _ => 0,
    };
    Ok(text.iter().zip(from).zip(to).map(row).fold(0, u64::saturating_add))
}

/// `||` as a function: null where either side is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Concatenation {
    signature: Signature,
}

impl Concatenation {
    fn new() -> Concatenation {
        Concatenation { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Concatenation {
    fn name(&self) -> &str {
        "||"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        // Both sides have been given the same type.
        Ok(arguments.first().cloned().unwrap_or(DataType::Utf8))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let sides = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let [left, right] = sides.as_slice() else { return internal_err!("|| has two sides") };
        let texts = concat_elements_dyn(left, right)?;
        Ok(if constant { ColumnarValue::Scalar(ScalarValue::try_from_array(&texts, 0)?) } else { ColumnarValue::Array(texts) })
    }
}

/// Puts [`Concatenation`] in place of `||`, after both sides have been given one type.
#[derive(Debug)]
struct GuardConcatenation(Arc<ScalarUDF>);

impl AnalyzerRule for GuardConcatenation {
    fn name(&self) -> &str {
        "GuardConcatenation"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let guarded = |expr: Expr| match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => {
                let call = ScalarFunction::new_udf(Arc::clone(&self.0), vec![*left, *right]);
                Ok(Transformed::yes(Expr::ScalarFunction(call)))
            }
            other => Ok(Transformed::no(other)),
        };
        let in_node = |plan: LogicalPlan| {
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                Ok(expr.transform_up(guarded)?.update_data(|expr| name.restore(expr)))
            })
        };
        plan.transform_up_with_subqueries(in_node).data()
    }
}
