//! Scalar expressions as DataFusion expressions.
//!
//! Two contexts: [`value`] gives KQL's exact answer; [`filter`] may give null where KQL gives false, because a filter
//! drops both, and so leaves columns bare for the Parquet scan's pruning. A null string stands for the empty string
//! throughout; [`text`] makes it one where DataFusion would distinguish the two.

mod arithmetic;
pub(super) mod chains;
pub(super) mod dynamic;
mod search;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array};
use arrow::datatypes::{DataType, Float64Type, Schema};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, binary_expr, cast, lit, when};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use super::arrow::{scalar, value_at};
use super::column;
use super::kernel;
use crate::bound::{BoundExpr, BoundKind, ColId};
use crate::functions::scalar::udf;
use crate::functions::{ArgInfo, Meaning, ScalarFn};
use kqlake_syntax::ast::BinaryOp;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::columns::arrow_type;
use kqlake_value::texts::is_text;
use kqlake_value::{Type, Value, decimal_of_real, real_key};

/// Bytes of a text of which every batch of rows has room for one a row.
const LONG_TEXT: usize = 4096;

/// Lowering's refusal: something that only shows here, such as a pattern that cannot be compiled.
pub(crate) type Lowered<T> = Result<T, Box<Diagnostic>>;

/// The first value that is not null. (DataFusion's own coalesce needs its simplifier; constants are computed without it.)
pub(crate) fn coalesce(values: Vec<Expr>) -> Expr {
    let mut values = values.into_iter().rev();
    let Some(mut out) = values.next() else { return lit(ScalarValue::Null) };
    for value in values {
        let present = Box::new(value.clone().is_not_null());
        out = Expr::Case(datafusion::logical_expr::Case::new(None, vec![(present, Box::new(value))], Some(Box::new(out))));
    }
    out
}

/// An expression over the rows of batches of a schema whose columns have the names of [`column_name`](super::column_name).
///
/// # Errors
/// Why it cannot be computed.
pub(super) fn physical(e: &BoundExpr, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>, String> {
    let schema = DFSchema::try_from(schema.clone()).map_err(|e| e.to_string())?;
    let lowered = text(e).map_err(|d| d.message)?;
    create_physical_expr(&lowered, &schema, &ExecutionProps::new(), &Default::default()).map_err(|e| e.to_string())
}

/// A typed null.
pub(crate) fn null(ty: Type) -> Expr {
    lit(ScalarValue::try_from(&arrow_type(ty)).unwrap_or(ScalarValue::Null))
}

/// Whether the expression's DataFusion form may be null where KQL's value is not: a null string column.
fn may_be_null_text(e: &BoundExpr) -> bool {
    match &e.kind {
        BoundKind::Literal(_) | BoundKind::Call { .. } => false,
        // A guid is cast by passing its text on.
        BoundKind::Cast(inner) => e.ty == Type::String && inner.ty == Type::Guid,
        _ => e.ty == Type::String,
    }
}

/// The value, with a null string made the empty string.
pub(crate) fn text(e: &BoundExpr) -> Lowered<Expr> {
    let lowered = value(e)?;
    Ok(if e.ty == Type::String && may_be_null_text(e) { coalesce(vec![lowered, lit("")]) } else { lowered })
}

/// As [`text`], for what does not look into a datetime: a column of those is taken in the form that it has.
pub(crate) fn text_in_any_form(e: &BoundExpr) -> Lowered<Expr> {
    match e.kind {
        BoundKind::Column(id) if e.ty == Type::DateTime => Ok(column(id)),
        _ => text(e),
    }
}

/// What rows are grouped, joined or ordered by. There is one NaN then and one zero, whatever their signs: the processor's NaN
/// has one, that of a literal has none, and Arrow distinguishes them.
pub(crate) fn key(e: &BoundExpr) -> Lowered<Expr> {
    match e.ty {
        Type::Real if e.as_literal().is_none() => Ok(one_real(value(e)?)),
        _ => text_in_any_form(e),
    }
}

/// A column of a plan as a key, as [`key`] has it where the expression is known.
pub(crate) fn key_column(plan: &LogicalPlan, id: ColId) -> Expr {
    let bare = column(id);
    match bare.get_type(plan.schema()) {
        Ok(DataType::Float64) => one_real(bare),
        Ok(ty) if is_text(&ty) => coalesce(vec![bare, lit("")]),
        _ => bare,
    }
}

/// A real in the form that all equal ones have: see [`real_key`].
pub(crate) fn one_real(real: Expr) -> Expr {
    kernel::call("real_key", "", DataType::Float64, vec![real], |a, _| {
        Ok(Arc::new(a[0].as_primitive::<Float64Type>().unary::<_, Float64Type>(real_key)) as ArrayRef)
    })
}

/// A constant. DataFusion makes a column of one where it meets columns, and panics where the text of that is too long: such texts
/// are expanded by a kernel, which says so. It is given a column of random numbers, or it would be computed beforehand.
fn constant(value: ScalarValue) -> Expr {
    match &value {
        ScalarValue::Utf8(Some(text)) if text.len() > LONG_TEXT => {
            let row = datafusion::functions::math::expr_fn::random();
            kernel::call("long_text", "", DataType::Utf8, vec![lit(value), row], |a, _| Ok(ArrayRef::clone(&a[0])))
        }
        _ => lit(value),
    }
}

/// An argument of a function, which takes constants as such.
fn argument(e: &BoundExpr) -> Lowered<Expr> {
    match &e.kind {
        BoundKind::Literal(v) => Ok(lit(scalar(v, e.ty))),
        _ => value(e),
    }
}

/// KQL's value of an expression; a string may be null for empty. A datetime column is decoded to ticks, which
/// [`super::ticks::resolve`] takes back where the plan has it so or the Parquet files must see it bare.
pub(crate) fn value(e: &BoundExpr) -> Lowered<Expr> {
    Ok(match &e.kind {
        BoundKind::Literal(v) => constant(scalar(v, e.ty)),
        BoundKind::Column(id) if e.ty == Type::DateTime => super::ticks::decode(column(*id)),
        BoundKind::Column(id) => column(*id),
        BoundKind::Unknown | BoundKind::Untyped => null(e.ty),
        BoundKind::Call { function, args } => call(function, args, e)?,
        BoundKind::Cast(inner) => widen(inner, e.ty)?,
        BoundKind::Path { base, steps } => dynamic::path(base, steps)?,
        BoundKind::Promoted { column, column_ty, complete, base, key } => {
            dynamic::promoted_json(*column, *column_ty, *complete, base, key)?
        }
        BoundKind::Arithmetic { op, left, right } => arithmetic::binary(*op, left, right, e.ty)?,
        BoundKind::Negate(inner) => arithmetic::negate(inner, e.ty)?,
        BoundKind::Compare { op, left, right } => compare(*op, left, right, false)?,
        BoundKind::Logical { and, terms } => chain(*and, terms, value)?,
        BoundKind::Not(inner) => Expr::Not(Box::new(value(inner)?)),
        BoundKind::Text { .. } | BoundKind::Regex { .. } => search::text(e, false)?,
        BoundKind::In { .. } => search::in_list(e, false)?,
        BoundKind::InArray { .. } => search::in_array(e)?,
        BoundKind::Case { branches, otherwise } => {
            let mut branches = branches.iter();
            let Some((condition, first)) = branches.next() else { return value(otherwise) };
            let mut builder = when(filter(condition)?, text(first)?);
            for (condition, result) in branches {
                builder = builder.when(filter(condition)?, text(result)?);
            }
            builder.otherwise(text(otherwise)?).map_err(|error| internal(e, &error.to_string()))?
        }
        BoundKind::Element { call, index } => dynamic::element(call, *index, e.ty)?,
        BoundKind::Field { source, args, index } => dynamic::field(source, args, *index)?,
    })
}

/// The predicate for a filter: null stands for false.
pub(crate) fn filter(e: &BoundExpr) -> Lowered<Expr> {
    match &e.kind {
        BoundKind::Compare { op, left, right } => compare(*op, left, right, true),
        BoundKind::Logical { and, terms } => chain(*and, terms, filter),
        BoundKind::Text { .. } | BoundKind::Regex { .. } => search::text(e, true),
        BoundKind::In { .. } => search::in_list(e, true),
        BoundKind::Not(inner) => match &inner.kind {
            // not(a and b) and not(a or b) have no shorter exact form; not of a text search does.
            BoundKind::Text { op, all, negated, case_sensitive, left, needles } => {
                let kind = BoundKind::Text {
                    op: *op,
                    all: *all,
                    negated: !negated,
                    case_sensitive: *case_sensitive,
                    left: left.clone(),
                    needles: needles.clone(),
                };
                search::text(&BoundExpr::new(kind, Type::Bool, e.span), false)
            }
            _ => value(e),
        },
        BoundKind::Call { function, args }
            if function.meaning == Some(Meaning::Empty(false)) && matches!(args[0].ty, Type::String | Type::Dynamic) =>
        {
            match dynamic::never_empty(&args[0]) {
                Some(column) => Ok(column.is_not_null()),
                None => Ok(bare_text(&args[0])?.not_eq(lit(""))),
            }
        }
        _ => value(e),
    }
}

fn chain(and: bool, terms: &[BoundExpr], lower: fn(&BoundExpr) -> Lowered<Expr>) -> Lowered<Expr> {
    let gathered = chains::merge_terms(and, terms)?;
    let terms = gathered.as_deref().unwrap_or(terms);
    Ok(logical(and, terms.iter().map(lower).collect::<Lowered<_>>()?))
}

/// A flat chain of `and` or `or` as a balanced tree: a chain of 100,000 terms must not become as deep a tree.
pub(crate) fn logical(and: bool, mut terms: Vec<Expr>) -> Expr {
    let op = if and { Operator::And } else { Operator::Or };
    while terms.len() > 1 {
        let mut next = Vec::with_capacity(terms.len().div_ceil(2));
        let mut iter = terms.into_iter();
        while let Some(left) = iter.next() {
            next.push(match iter.next() {
                Some(right) => binary_expr(left, op, right),
                None => left,
            });
        }
        terms = next;
    }
    terms.pop().unwrap_or_else(|| lit(and))
}

/// True for `tostring`.
fn is_to_string(function: &ScalarFn, returns: Type) -> bool {
    function.meaning == Some(Meaning::Conversion) && returns == Type::String
}

/// The text of a string or dynamic where null and the empty string mean the same, taken as directly as can be: a
/// `tostring` around it changes nothing.
pub(crate) fn bare_text(e: &BoundExpr) -> Lowered<Expr> {
    match &e.kind {
        BoundKind::Call { function, args }
            if is_to_string(function, e.ty) && matches!(args[0].ty, Type::String | Type::Dynamic) =>
        {
            bare_text(&args[0])
        }
        BoundKind::Cast(inner) if inner.ty == Type::Dynamic && e.ty == Type::String => bare_text(inner),
        _ if e.ty == Type::Dynamic => match dynamic::text_of_value(e)? {
            Some(text) => Ok(text),
            None => value(e),
        },
        _ => value(e),
    }
}

/// A string operand as it is: null stands for empty.
fn raw_text(e: &BoundExpr) -> Lowered<Expr> {
    match dynamic::text_of(e)? {
        Some(text) => Ok(text),
        None => value(e),
    }
}

/// True for text taken out of a dynamic value, where a missing one is null and not the empty string.
pub(super) fn is_dynamic_text(e: &BoundExpr) -> bool {
    matches!(&e.kind, BoundKind::Cast(inner) if inner.ty == Type::Dynamic) && e.ty == Type::String
}

/// False for numbers that are written out, and for those that were no reals before.
fn may_be_nan(e: &BoundExpr) -> bool {
    match &e.kind {
        BoundKind::Cast(inner) => matches!(inner.ty, Type::Real | Type::Dynamic),
        _ => e.as_literal().is_none_or(|v| matches!(v, Value::Real(v) if v.is_nan())),
    }
}

/// `== != < <= > >= =~ !~` with KQL's null rules.
fn compare(op: BinaryOp, left: &BoundExpr, right: &BoundExpr, filtering: bool) -> Lowered<Expr> {
    use BinaryOp as B;
    let string = left.ty == Type::String && right.ty == Type::String;
    match op {
        B::Less | B::LessOrEqual | B::Greater | B::GreaterOrEqual => {
            let (l, r) = (value(left)?, value(right)?);
            let operator = match op {
                B::Less => Operator::Lt,
                B::LessOrEqual => Operator::LtEq,
                B::Greater => Operator::Gt,
                _ => Operator::GtEq,
            };
            let mut out = binary_expr(l.clone(), operator, r.clone());
            // Arrow orders NaN above every number, and one with a sign, which arithmetic makes, below; in KQL no comparison with
            // NaN is true.
            if left.ty == Type::Real {
                let mut nan: Option<Expr> = None;
                for (side, e, other) in [(left, &l, &r), (right, &r, &l)] {
                    if !may_be_nan(side) {
                        continue;
                    }
                    let is_nan = datafusion::functions::math::expr_fn::isnan(e.clone());
                    if filtering {
                        out = out.and(Expr::Not(Box::new(is_nan)));
                        continue;
                    }
                    let is_nan = is_nan.and(other.clone().is_not_null());
                    nan = Some(nan.map_or(is_nan.clone(), |nan| nan.or(is_nan)));
                }
                if let Some(nan) = nan {
                    out = when(nan, lit(false)).otherwise(out).map_err(|error| internal(left, &error.to_string()))?;
                }
            }
            Ok(out)
        }
        B::EqualIgnoreCase { negated } => search::equal_ignore_case(left, right, negated, filtering),
        B::Equal | B::NotEqual => {
            let equal = op == B::Equal;
            if string && !is_dynamic_text(left) && !is_dynamic_text(right) {
                return compare_strings(equal, left, right, filtering);
            }
            let (l, r) = (operand(left)?, operand(right)?);
            let literal_right = right.as_literal().is_some_and(|v| !v.is_null());
            let literal_left = left.as_literal().is_some_and(|v| !v.is_null());
            let is_nan = |e: &BoundExpr| matches!(e.as_literal(), Some(Value::Real(v)) if v.is_nan());
            if is_nan(left) || is_nan(right) {
                // NaN equals nothing, itself included.
                return Ok(lit(!equal));
            }
            // Arrow takes NaN for equal to itself; where one side is a number, they cannot both be NaN.
            let may_be_nan = left.ty == Type::Real && !literal_left && !literal_right;
            let zero = |e: &BoundExpr| e.as_literal().filter(|v| matches!(v, Value::Real(v) if *v == 0.0)).cloned();
            let same = match (zero(left), zero(right)) {
                (_, Some(zero)) => search::one_of(l.clone(), &[&zero], Type::Real),
                (Some(zero), None) => search::one_of(r.clone(), &[&zero], Type::Real),
                (None, None) => l.clone().eq(r.clone()),
            };
            if filtering && !may_be_nan {
                return Ok(if equal {
                    same
                } else if literal_right {
                    l.clone().not_eq(r).or(l.is_null())
                } else {
                    binary_expr(l, Operator::IsDistinctFrom, r)
                });
            }
            let mut answer = if equal {
                coalesce(vec![same, lit(false)])
            } else {
                binary_expr(l.clone(), Operator::IsDistinctFrom, r.clone())
            };
            if may_be_nan {
                let nan = coalesce(vec![datafusion::functions::math::expr_fn::isnan(l.clone()), lit(false)]);
                answer = if equal { answer.and(Expr::Not(Box::new(nan))) } else { answer.or(nan) };
            }
            if literal_left || literal_right {
                return Ok(answer);
            }
            let both_null = l.is_null().and(r.is_null());
            when(both_null, null(Type::Bool)).otherwise(answer).map_err(|error| internal(left, &error.to_string()))
        }
        _ => Err(internal(left, "no comparison")),
    }
}

/// An operand of `==`: text of a dynamic stays nullable.
fn operand(e: &BoundExpr) -> Lowered<Expr> {
    if is_dynamic_text(e) { raw_text(e) } else { text(e) }
}

/// Equality of strings, which are never null, so that the answer is never null either.
fn compare_strings(equal: bool, left: &BoundExpr, right: &BoundExpr, filtering: bool) -> Lowered<Expr> {
    let (left, right) = if left.as_literal().is_some() { (right, left) } else { (left, right) };
    if let Some(Value::String(literal)) = right.as_literal() {
        let l = bare_text(left)?;
        let nullable =
            may_be_null_text(left) || matches!(&left.kind, BoundKind::Call { function, .. } if is_to_string(function, left.ty));
        return Ok(match (equal, literal.is_empty(), nullable) {
            (true, _, false) => l.eq(lit(literal.as_str())),
            (false, _, false) => l.not_eq(lit(literal.as_str())),
            (true, false, true) if filtering => l.eq(lit(literal.as_str())),
            (true, false, true) => coalesce(vec![l.eq(lit(literal.as_str())), lit(false)]),
            (true, true, true) => l.clone().is_null().or(l.eq(lit(""))),
            (false, false, true) => l.clone().is_null().or(l.not_eq(lit(literal.as_str()))),
            (false, true, true) if filtering => l.not_eq(lit("")),
            (false, true, true) => coalesce(vec![l.not_eq(lit("")), lit(false)]),
        });
    }
    let (l, r) = (text(left)?, text(right)?);
    Ok(if equal { l.eq(r) } else { l.not_eq(r) })
}

/// Numeric widening, and a dynamic's text or typed content.
fn widen(inner: &BoundExpr, ty: Type) -> Lowered<Expr> {
    if ty == Type::Dynamic && inner.ty != Type::Dynamic {
        return dynamic::from_scalar(inner);
    }
    if inner.ty == Type::Dynamic && ty == Type::String {
        return match dynamic::text_of_value(inner)? {
            Some(text) => Ok(text),
            None => value(inner),
        };
    }
    Ok(match (inner.ty, ty) {
        (from, to) if from == to => value(inner)?,
        // As `todecimal` does, not by way of a product of reals.
        (Type::Real, Type::Decimal) => kernel::call("decimal_of_real", "", arrow_type(ty), vec![value(inner)?], |a, _| {
            let reals = a[0].as_primitive_opt::<Float64Type>().ok_or("a column of reals was expected")?;
            let decimals: Decimal128Array = reals.iter().map(|v| v.and_then(decimal_of_real)).collect();
            Ok(Arc::new(decimals.with_data_type(arrow_type(Type::Decimal))))
        }),
        (_, Type::String) if inner.ty == Type::Guid => value(inner)?,
        // A bool's number is 0 or 1; every other widening is Arrow's own.
        _ => cast(value(inner)?, arrow_type(ty)),
    })
}

/// A registry function.
fn call(function: &'static ScalarFn, args: &[BoundExpr], e: &BoundExpr) -> Lowered<Expr> {
    match (function.meaning, args) {
        (Some(Meaning::Null(is_null)), [arg]) => {
            if arg.ty == Type::String {
                return Ok(lit(!is_null));
            }
            let v = match dynamic::promoted_column(arg) {
                Some(column) => column,
                None => value(arg)?,
            };
            return Ok(if is_null { v.is_null() } else { v.is_not_null() });
        }
        (Some(Meaning::Empty(empty)), [arg]) => {
            if let Some(column) = dynamic::never_empty(arg) {
                return Ok(if empty { column.is_null() } else { column.is_not_null() });
            }
            let v = match arg.ty {
                Type::String => text(arg)?,
                Type::Dynamic => coalesce(vec![
                    raw_text(&BoundExpr::new(BoundKind::Cast(Box::new(arg.clone())), Type::String, arg.span))?,
                    lit(""),
                ]),
                _ => {
                    let v = value(arg)?;
                    return Ok(if empty { v.is_null() } else { v.is_not_null() });
                }
            };
            return Ok(if empty { v.eq(lit("")) } else { v.not_eq(lit("")) });
        }
        (Some(Meaning::Conversion), [arg]) => {
            if arg.ty == Type::Dynamic && dynamic::chooses_promoted(arg) {
                let converted = |branch: &BoundExpr| BoundKind::Call { function, args: vec![branch.clone()] };
                return value(&dynamic::of_branches(arg, e.ty, &converted));
            }
            if e.ty == Type::String && arg.ty == Type::String {
                return text(arg);
            }
            if e.ty == Type::String
                && arg.ty == Type::Dynamic
                && let Some(t) = dynamic::text_of_value(arg)?
            {
                return Ok(coalesce(vec![t, lit("")]));
            }
            if let Some(direct) = dynamic::converted_promoted(arg, e.ty) {
                return Ok(direct);
            }
        }
        _ => {}
    }
    let infos: Vec<ArgInfo> = args.iter().map(|a| ArgInfo { ty: a.ty, constant: a.as_literal().cloned() }).collect();
    let udf = udf::udf(function, infos, e.ty).map_err(|message| Box::new(Diagnostic::error(code::TYPE, e.span, message)))?;
    let mut args: Vec<Expr> = args.iter().map(argument).collect::<Lowered<_>>()?;
    if function.volatile && !args.is_empty() {
        // DataFusion takes a call for constant when all its arguments are, random or not, and leaves out a sort by it. An
        // argument that has none itself is not; the function does not read it.
        args.push(datafusion::functions::math::expr_fn::random());
    }
    Ok(udf.call(args))
}

/// The constant value of an expression without columns; `None` if it cannot be computed.
pub(crate) fn evaluate(e: &BoundExpr) -> Lowered<Option<Value>> {
    if let BoundKind::Literal(value) = &e.kind {
        return Ok(Some(value.clone()));
    }
    if !e.is_constant() {
        return Ok(None);
    }
    let lowered = text(e)?;
    let schema = DFSchema::empty();
    // Coercions that the analyzer would add are not run here; the forms above need none, but literals of views and text may mix.
    let lowered = match lowered.get_type(&schema) {
        Ok(DataType::Null) => return Ok(Some(Value::Null)),
        _ => lowered,
    };
    let properties = datafusion::logical_expr::execution_props::ExecutionProps::new();
    let physical = datafusion::physical_expr::create_physical_expr(&lowered, &schema, &properties, &Default::default())
        .map_err(|error| internal(e, &error.to_string()))?;
    let row = arrow::record_batch::RecordBatch::try_new_with_options(
        arrow::datatypes::Schema::empty().into(),
        vec![],
        &arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(1)),
    )
    .map_err(|error| internal(e, &error.to_string()))?;
    let array = physical.evaluate(&row).and_then(|v| v.into_array(1)).map_err(|error| refused(e, &error))?;
    Ok(Some(value_at(array.as_ref(), e.ty, 0)))
}

/// A constant that cannot be computed.
fn refused(e: &BoundExpr, error: &DataFusionError) -> Box<Diagnostic> {
    let DataFusionError::ResourcesExhausted(why) = error.find_root() else {
        return Box::new(Diagnostic::error(code::TYPE, e.span, error.strip_backtrace()));
    };
    let message = format!("the query's constants need more memory than they may have: {why}");
    Box::new(Diagnostic::error(code::TYPE, e.span, message).suggest("make shorter texts"))
}

/// A refusal that stands for a defect of ours.
pub(crate) fn internal(e: &BoundExpr, message: &str) -> Box<Diagnostic> {
    Box::new(Diagnostic::error(code::UNSUPPORTED, e.span, format!("this expression cannot be planned: {message}")))
}
