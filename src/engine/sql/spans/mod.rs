//! Timespans in SQL. They are a long of ticks to DataFusion, and what is one says so in its field. Every function that gives a
//! value of its arguments' kind is planned as one of [`shells`] that says so as well, so that one rule decides everywhere, in
//! subqueries too; [`settled`] then puts the function itself in the shell's place.

mod shells;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, DataFusionError, Result, ScalarValue, TableReference};
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan, Projection, cast, lit};

use super::calls::ticks_of;
use super::times;
use kqlake_value::Type;
use kqlake_value::columns::{TYPE_KEY, noted_type};

pub(super) use shells::{compares_operand, is_of_cast, is_shell, opened, register};
pub(super) use text::turn;

/// True for a field that says that it is a timespan.
pub(super) fn is_span(field: &Field) -> bool {
    noted_type(field) == Some(Type::TimeSpan)
}

/// An expression of a timespan's ticks that says so, with the name that it has.
fn noted(e: Expr, field: &Field) -> Expr {
    let name = e.schema_name().to_string();
    let ticks = if *field.data_type() == DataType::Int64 { e } else { cast(e, DataType::Int64) };
    ticks.alias_with_metadata(name, Some(said(Type::TimeSpan)))
}

fn said(ty: Type) -> FieldMetadata {
    FieldMetadata::from(BTreeMap::from([(TYPE_KEY.to_owned(), ty.name().to_owned())]))
}

/// A value beside timespans: an interval becomes one.
///
/// # Errors
/// It is an interval that is no fixed time.
fn beside(e: Expr) -> Result<Expr> {
    let Expr::Literal(value, _) = &e else { return Ok(e) };
    if !matches!(value.data_type(), DataType::Interval(_)) {
        return Ok(e);
    }
    let ticks = ticks_of(value).ok_or_else(|| {
        DataFusionError::Plan("an interval must be in days or less beside a timespan: INTERVAL '1 day'".to_owned())
    })?;
    Ok(Expr::Literal(ScalarValue::Int64(Some(ticks)), Some(said(Type::TimeSpan))))
}

/// What stands for a list in which a timespan or a time is looked for.
///
/// # Errors
/// Those of [`beside`].
pub(super) fn listed(e: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match e {
        Expr::InList(mut list) if is_span(&list.expr.to_field(schema)?.1) => {
            list.list = list.list.into_iter().map(beside).collect::<Result<_>>()?;
            Ok(Transformed::yes(Expr::InList(list)))
        }
        Expr::InList(mut list) => {
            let ty = list.expr.to_field(schema)?.1.data_type().clone();
            let other = |e: &Expr| Ok::<_, DataFusionError>(times::differ(&ty, e.to_field(schema)?.1.data_type()));
            if !list.list.iter().map(other).collect::<Result<Vec<bool>>>()?.contains(&true) {
                return Ok(Transformed::no(Expr::InList(list)));
            }
            *list.expr = times::in_form(*list.expr, schema)?;
            list.list = list.list.into_iter().map(|e| times::in_form(e, schema)).collect::<Result<_>>()?;
            Ok(Transformed::yes(Expr::InList(list)))
        }
        e => Ok(Transformed::no(e)),
    }
}

/// The node below a projection that notes those columns that were planned as timespans, and are no longer: those of aggregates and
/// window functions. `planned` is the schema that the node was planned with.
///
/// # Errors
/// Those of DataFusion's schemas.
pub(super) fn kept(node: LogicalPlan, planned: &DFSchema) -> Result<LogicalPlan> {
    let is_lost = |(was, is): (&FieldRef, &FieldRef)| is_span(was) && !(is_span(is) && *is.data_type() == DataType::Int64);
    let lost: Vec<bool> = planned.fields().iter().zip(node.schema().fields()).map(is_lost).collect();
    if !lost.contains(&true) {
        return Ok(node);
    }
    let column = |((relation, field), lost): ((Option<&TableReference>, &FieldRef), bool)| {
        let column = Expr::Column(Column::new(relation.cloned(), field.name()));
        if !lost {
            return column;
        }
        let ticks = if *field.data_type() == DataType::Int64 { column } else { cast(column, DataType::Int64) };
        ticks.alias_qualified_with_metadata(relation.cloned(), field.name().clone(), Some(said(Type::TimeSpan)))
    };
    let exprs = node.schema().iter().zip(lost).map(column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(node))?))
}

/// Ticks of a second.
fn second() -> Expr {
    lit(10_000_000.0_f64)
}
