//! Times in SQL meet in the form that the lake has, microseconds. DataFusion would have them meet in nanoseconds, which end in the
//! year 2262: open bounds such as `'9999-12-31'` would stop a query.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::logical_expr::{Expr, ExprSchemable as _, cast};
use datafusion::sql::sqlparser::ast::{DataType as SqlType, ObjectName, TimezoneInfo};

use kqlake_value::Type;
use kqlake_value::columns::stored_type;
use kqlake_value::texts::is_text;

/// The types of `CAST` and of typed constants.
#[derive(Debug)]
pub(in crate::engine) struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, ty: &SqlType) -> Result<Option<FieldRef>> {
        let zone = match ty {
            SqlType::Timestamp(None | Some(6..), TimezoneInfo::None | TimezoneInfo::WithoutTimeZone)
            | SqlType::Datetime(None | Some(6..)) => None,
            SqlType::Timestamp(None | Some(6..), _) => Some("UTC".into()),
            SqlType::Custom(name, _) if is_of_t_sql(name) => None,
            SqlType::Nvarchar(_) => return Ok(Some(Arc::new(Field::new("", DataType::Utf8, true)))),
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(Field::new("", DataType::Timestamp(TimeUnit::Microsecond, zone), true))))
    }
}

/// True for T-SQL's names of the type of a time.
fn is_of_t_sql(name: &ObjectName) -> bool {
    let name = name.to_string();
    ["datetime2", "smalldatetime", "datetimeoffset"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn is_time(ty: &DataType) -> bool {
    matches!(ty, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
}

/// True where one value is chosen among times of several forms, or among times and texts of times.
pub(super) fn meet<'a>(types: impl Iterator<Item = &'a DataType>) -> bool {
    let types: Vec<&DataType> = types.filter(|ty| **ty != DataType::Null).collect();
    let any = types.iter().any(|ty| matches!(ty, DataType::Timestamp(..)));
    any && types.iter().all(|ty| is_time(ty) || is_text(ty)) && types.iter().any(|ty| *ty != types[0])
}

/// An expression of a time, or of its text, in the lake's form.
///
/// # Errors
/// Those of its type.
pub(super) fn in_form(e: Expr, schema: &DFSchema) -> Result<Expr> {
    let form = stored_type(Type::DateTime);
    Ok(if *e.to_field(schema)?.1.data_type() == form { e } else { cast(e, form) })
}

/// True where a time is compared with a time of another form, or with a text.
pub(super) fn differ(left: &DataType, right: &DataType) -> bool {
    let meets = |one: &DataType, other: &DataType| {
        matches!(one, DataType::Timestamp(..)) && one != other && (is_time(other) || is_text(other))
    };
    meets(left, right) || meets(right, left)
}
