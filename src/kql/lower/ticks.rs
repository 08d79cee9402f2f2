//! The two forms of a datetime column in a plan.
//!
//! At rest it is `Timestamp(µs, "UTC")`: that is what files hold, what their statistics are about, and what their sort order is
//! declared over. An answer needs ticks of 100 ns in an `Int64`. So a column that is only passed on, grouped or ordered by stays
//! as it came, and is decoded where its value is asked for. Which form a column has, its type in the plan's schema says.
//!
//! Lowering writes [`decode`] around every datetime column whose value is used; [`resolve`] then looks at the plan below: a
//! column of ticks needs no decoding, and a comparison of a column at rest with constants is made one of microseconds, so that
//! it reaches the files.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, ExprSchema, Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    binary_expr, lit,
};

use super::column;
use super::{Lower, named};
use crate::bound::{BoundExpr, BoundKind};
use kqlake_value::columns::{in_form, stored_type};
use kqlake_value::{TICKS_PER_US, Type, UNIX_EPOCH_TICKS, Value};

/// Ticks of a datetime in either form.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Decode {
    signature: Signature,
}

impl ScalarUDFImpl for Decode {
    fn name(&self) -> &str {
        "ticks"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let Some(arg) = args.args.first() else {
            return Err(DataFusionError::Internal("ticks of nothing".to_owned()));
        };
        let decoded = |array| in_form(&array, Type::DateTime).map_err(DataFusionError::Execution);
        Ok(match arg {
            ColumnarValue::Array(array) => ColumnarValue::Array(decoded(array.clone())?),
            ColumnarValue::Scalar(scalar) => {
                ColumnarValue::Scalar(ScalarValue::try_from_array(&decoded(scalar.to_array()?)?, 0)?)
            }
        })
    }

    /// A comparison that the optimizer has moved down to a column at rest (through a union of both forms) becomes one of
    /// microseconds there.
    fn preimage(&self, args: &[Expr], constant: &Expr, info: &SimplifyContext) -> DfResult<PreimageResult> {
        let (Some(arg), Some(ticks)) = (args.first(), literal(constant)) else { return Ok(PreimageResult::None) };
        let (us, 0) = whole_us(ticks) else { return Ok(PreimageResult::None) };
        if info.get_data_type(arg)? != stored_type(Type::DateTime) {
            return Ok(PreimageResult::None);
        }
        let interval = Interval::try_new(instant(us), instant(us + 1))?;
        Ok(PreimageResult::Range { expr: arg.clone(), interval: Box::new(interval) })
    }
}

/// The ticks of a datetime column in whatever form.
pub(super) fn decode(e: Expr) -> Expr {
    ScalarUDF::from(Decode { signature: Signature::any(1, Volatility::Immutable) }).call(vec![e])
}

/// A column of a plan, a datetime as ticks.
pub(super) fn decoded(name: String, plan: &LogicalPlan) -> Expr {
    let e = named(&name);
    if is_at_rest(&e, plan.schema()) { decode(e).alias(name) } else { e }
}

/// Whether an expression is a datetime column at rest, or a null of no particular form, so that [`at_rest`] may take it.
pub(super) fn may_be_at_rest(e: &BoundExpr, plan: &LogicalPlan) -> bool {
    e.ty == Type::DateTime
        && match &e.kind {
            BoundKind::Column(id) => is_at_rest(&column(*id), plan.schema()),
            BoundKind::Literal(Value::Null) => true,
            _ => false,
        }
}

/// A datetime column, or a null, at rest.
pub(super) fn at_rest(e: &BoundExpr) -> Expr {
    match e.kind {
        BoundKind::Column(id) => column(id),
        _ => lit(ScalarValue::TimestampMicrosecond(None, Some("UTC".into()))),
    }
}

/// Takes back the decoding that an expression over a plan does not need.
pub(super) fn resolve(e: Expr, plan: &LogicalPlan) -> Lower<Expr> {
    resolve_over(e, plan.schema())
}

/// The same over a schema.
pub(super) fn resolve_over(e: Expr, schema: &DFSchema) -> Lower<Expr> {
    Ok(e.transform_down(|e| Ok(simplify(&e, schema).map_or_else(|| Transformed::no(e), Transformed::yes)))?.data)
}

fn is_at_rest(e: &Expr, schema: &DFSchema) -> bool {
    let Expr::Column(column) = e else { return false };
    schema.field_from_column(column).is_ok_and(|field| *field.data_type() == stored_type(Type::DateTime))
}

/// The column at rest that an expression decodes.
fn source<'e>(e: &'e Expr, schema: &DFSchema) -> Option<&'e Expr> {
    inner(e).filter(|inner| is_at_rest(inner, schema))
}

/// What an expression decodes.
fn inner(e: &Expr) -> Option<&Expr> {
    match e {
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.inner().is::<Decode>() => args.first(),
        _ => None,
    }
}

/// The same with less decoding, if there is such.
fn simplify(e: &Expr, schema: &DFSchema) -> Option<Expr> {
    match e {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (source(left, schema), source(right, schema)) {
            (Some(l), Some(r)) if is_comparison(*op) => Some(binary_expr(l.clone(), *op, r.clone())),
            (Some(l), None) => compare(l, *op, literal(right)?),
            (None, Some(r)) => compare(r, op.swap()?, literal(left)?),
            _ => None,
        },
        Expr::IsNull(e) => Some(Expr::IsNull(Box::new(source(e, schema)?.clone()))),
        Expr::IsNotNull(e) => Some(Expr::IsNotNull(Box::new(source(e, schema)?.clone()))),
        Expr::InList(InList { expr, list, negated }) => {
            let column = source(expr, schema)?;
            let ticks = list.iter().map(literal).collect::<Option<Vec<i64>>>()?;
            // A column of microseconds is never equal to what is between two of them.
            let whole: Vec<Expr> =
                ticks.into_iter().map(whole_us).filter(|(_, rest)| *rest == 0).map(|(us, _)| lit(instant(us))).collect();
            (!whole.is_empty()).then(|| Expr::InList(InList::new(Box::new(column.clone()), whole, *negated)))
        }
        _ => match inner(e)? {
            column @ Expr::Column(c) => {
                let field = schema.field_from_column(c).ok()?;
                (*field.data_type() == DataType::Int64).then(|| column.clone())
            }
            _ => None,
        },
    }
}

fn is_comparison(op: Operator) -> bool {
    use Operator as O;
    matches!(op, O::Eq | O::NotEq | O::Lt | O::LtEq | O::Gt | O::GtEq | O::IsDistinctFrom | O::IsNotDistinctFrom)
}

/// A column at rest compared with a constant.
fn compare(column: &Expr, op: Operator, ticks: i64) -> Option<Expr> {
    use Operator as O;
    let (us, rest) = whole_us(ticks);
    let us = match op {
        _ if rest == 0 && is_comparison(op) => us,
        // Between two microseconds: those from the next one on are greater, those up to this one less.
        O::Lt | O::GtEq => us + 1,
        O::LtEq | O::Gt => us,
        _ => return None,
    };
    Some(binary_expr(column.clone(), op, lit(instant(us))))
}

/// Microseconds since 1970 and the ticks above them.
fn whole_us(ticks: i64) -> (i64, i64) {
    let since_1970 = ticks.saturating_sub(UNIX_EPOCH_TICKS);
    (since_1970.div_euclid(TICKS_PER_US), since_1970.rem_euclid(TICKS_PER_US))
}

fn instant(us: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into()))
}

/// The ticks of a constant that is not null.
fn literal(e: &Expr) -> Option<i64> {
    match e {
        Expr::Literal(ScalarValue::Int64(ticks), _) => *ticks,
        _ => None,
    }
}
