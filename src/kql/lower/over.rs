//! Scalar expressions over the columns of a plan that was not made here.

use std::collections::HashMap;

use arrow::array::Array as _;
use arrow::compute::cast as convert;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, ExprSchemable, cast, lit};

use super::{Lower, LowerError, column_name, expr, kernel, ticks};
use crate::bound::{BoundExpr, ColId};
use kqlake_value::Type;
use kqlake_value::columns::{in_stored_form, stored_type};
use kqlake_value::texts::is_text;

/// An expression whose columns are expressions over a schema; its value is in the form that its type has at rest. Where missing texts
/// are null, they are not made the empty text.
pub(crate) fn over(
    e: &BoundExpr,
    columns: &HashMap<ColId, (Expr, Type)>,
    schema: &DFSchema,
    missing_is_null: bool,
) -> Lower<Expr> {
    let mut named = HashMap::new();
    for (id, (e, ty)) in columns {
        named.insert(column_name(*id), in_form(e.clone(), *ty, schema)?);
    }
    let lowered = if missing_is_null { expr::bare_text(e) } else { expr::value(e) };
    let lowered = lowered.map_err(LowerError::Refused)?;
    let replaced = lowered.transform_up(|e| {
        let known = match &e {
            Expr::Column(column) if column.relation.is_none() => named.get(&column.name).cloned(),
            _ => None,
        };
        Ok(known.map_or_else(|| Transformed::no(e), Transformed::yes))
    })?;
    let lowered = ticks::resolve_over(replaced.data, schema)?;
    if e.ty != Type::DateTime {
        return Ok(lowered);
    }
    let at_rest = stored_type(Type::DateTime);
    Ok(kernel::call("at_rest", "", at_rest, vec![lowered], |a, _| in_stored_form(&a[0], Type::DateTime)))
}

/// An expression in the form that its type has at rest.
fn in_form(e: Expr, ty: Type, schema: &DFSchema) -> Lower<Expr> {
    let found = e.get_type(schema)?;
    Ok(match found {
        ref text if is_text(text) && stored_type(ty) == DataType::Utf8 => e,
        // Nanoseconds are a hundredth of a tick.
        DataType::Duration(_) => cast(cast(e, DataType::Duration(TimeUnit::Nanosecond)), DataType::Int64) / lit(100i64),
        _ if found == stored_type(ty) => e,
        _ => at_rest(e, &found, ty),
    })
}

/// An expression of another Arrow form of a type in the form that the type has at rest. A number that the type has no room for ends
/// the query when it comes: null would be another answer.
pub(super) fn at_rest(e: Expr, found: &DataType, ty: Type) -> Expr {
    match found {
        // The library's cast ends the query at the first value that does not fit, and compares a predicate with what the file has,
        // which may have more digits.
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..)
        | DataType::UInt64 => kernel::call("at_rest", ty.name(), stored_type(ty), vec![e], move |a, _| {
            let numbers = convert(&a[0], &stored_type(ty)).map_err(|err| err.to_string())?;
            if numbers.null_count() > a[0].null_count() {
                return Err(format!("a file has a number of type {} that no {ty} has room for: use SQL", a[0].data_type()));
            }
            Ok(numbers)
        }),
        _ => cast(e, stored_type(ty)),
    }
}
