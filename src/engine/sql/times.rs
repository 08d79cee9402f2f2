//! Times in SQL meet in the form that the lake has, microseconds. DataFusion would have them meet in nanoseconds, which end in the
//! year 2262: open bounds such as `'9999-12-31'` would stop a query.

use std::sync::Arc;

use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use chrono::Utc;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable as _, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility, cast,
};
use datafusion::sql::sqlparser::ast::{DataType as SqlType, ObjectName, TimezoneInfo};

use crate::engine::library_texts::{UNKNOWN_TYPE, named_type};
use kqlake_value::Type;
use kqlake_value::columns::{noted_type, stored_type};
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
            SqlType::Nvarchar(_) => return of(DataType::Utf8),
            // Floating-point numbers have two lengths in some dialects, of which the short one would lose digits of a real.
            SqlType::Float(_) | SqlType::Real | SqlType::Float4 => return of(DataType::Float64),
            SqlType::Bit(None | Some(1)) => return of(DataType::Boolean),
            SqlType::Custom(name, _) => match name.to_string().to_lowercase().as_str() {
                "money" => return of(DataType::Decimal128(19, 4)),
                "smallmoney" => return of(DataType::Decimal128(10, 4)),
                "ntext" | "sysname" => return of(DataType::Utf8),
                other => return plan_err!("{UNKNOWN_TYPE}{other}"),
            },
            _ => return Ok(None),
        };
        of(DataType::Timestamp(TimeUnit::Microsecond, zone))
    }
}

fn of(ty: DataType) -> Result<Option<FieldRef>> {
    Ok(Some(Arc::new(Field::new("", ty, true))))
}

/// The name of [`TimeOf`], which nobody writes.
pub(super) const TIME_OF: &str = "time of";

/// A time, or the text of one, as a time: what `DATEADD` and its kin take.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct TimeOf(Signature);

impl TimeOf {
    pub(super) fn new() -> TimeOf {
        TimeOf(Signature::any(1, Volatility::Immutable))
    }
}

impl ScalarUDFImpl for TimeOf {
    fn name(&self) -> &str {
        TIME_OF
    }

    /// As its argument, of which nobody knows that it is made a time.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(|e| e.schema_name().to_string()).collect())
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(stored_type(Type::DateTime))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let [field] = args.arg_fields else {
            return Err(DataFusionError::Internal("a time is made of one value".to_owned()));
        };
        if !(is_time(field.data_type()) || is_text(field.data_type()) || *field.data_type() == DataType::Null) {
            return plan_err!("a time is taken here, and not {}", named_type(&field.data_type().to_string()));
        }
        if noted_type(field) == Some(Type::Dynamic) {
            return plan_err!("a time is taken here, and not JSON: (bag->>'key')::timestamp");
        }
        Ok(Arc::new(Field::new(field.name(), stored_type(Type::DateTime), field.is_nullable())))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let form = stored_type(Type::DateTime);
        match <[Expr; 1]>::try_from(args) {
            Ok([e]) if info.get_data_type(&e)? == form => Ok(ExprSimplifyResult::Simplified(e)),
            Ok([e]) => Ok(ExprSimplifyResult::Simplified(cast(e, form))),
            Err(args) => Ok(ExprSimplifyResult::Original(args)),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [time] => time.cast_to(&stored_type(Type::DateTime), None),
            _ => Err(DataFusionError::Internal("a time is made of one value".to_owned())),
        }
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
    let e = match e {
        Expr::Literal(ScalarValue::Utf8(Some(text)), metadata) => {
            Expr::Literal(ScalarValue::Utf8(Some(iso(&text).unwrap_or(text))), metadata)
        }
        e => e,
    };
    Ok(if *e.to_field(schema)?.1.data_type() == form { e } else { cast(e, form) })
}

/// True where a time is compared with a time of another form, or with a text.
pub(super) fn differ(left: &DataType, right: &DataType) -> bool {
    let meets = |one: &DataType, other: &DataType| {
        matches!(one, DataType::Timestamp(..)) && one != other && (is_time(other) || is_text(other))
    };
    meets(left, right) || meets(right, left)
}

/// A text of a time in the form that is read everywhere; none where it is no time. T-SQL leaves signs and seconds out.
pub(super) fn iso(written: &str) -> Option<String> {
    let written = written.trim();
    let digits = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (date, time) = written.split_once(['T', ' ']).unwrap_or((written, ""));
    let date = if digits(date) { format!("{}-{}-{}", &date[..4], &date[4..6], &date[6..]) } else { date.to_owned() };
    let time = if time.len() == 5 { format!("{time}:00") } else { time.to_owned() };
    let iso = if time.is_empty() { date } else { format!("{date}T{time}") };
    string_to_datetime(&Utc, &iso).is_ok().then_some(iso)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_times_are_those_of_iso() {
        for (written, expected) in [
            ("2026-01-05", Some("2026-01-05")),
            ("20260105", Some("2026-01-05")),
            ("20260105 10:30", Some("2026-01-05T10:30:00")),
            ("2026-01-05T10:30:00.5Z", Some("2026-01-05T10:30:00.5Z")),
            ("05.01.2026", None),
            ("2026-02-30", None),
            ("x", None),
        ] {
            assert_eq!(iso(written).as_deref(), expected, "{written}");
        }
    }
}
