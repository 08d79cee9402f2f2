//! Everything else: conditionals and other forms that the binder builds, comparisons of several values, random values, and
//! what is known of the session.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::BooleanArray;

use crate::functions::kernels::{ValueArg, text_of};
use crate::functions::sketch::hll::Hll;
use crate::functions::{ArgInfo, ArgType, ColumnFn, Meaning, Naming, Param, Returns, RowFn, ScalarFn, ScalarImpl};
use kqlake_value::{Type, Value, ValueRef};

const BOOL: Returns = Returns::Type(Type::Bool);
const STRING: Returns = Returns::Type(Type::String);
const ANY: ArgType = ArgType::Any;
const SAME: &[Param] = &[Param::req("value1", ArgType::Same), Param::req("value2", ArgType::Same)];
const NAME: &[Param] = &[Param::req("name", ArgType::String).constant()];
const VALUE: &[Param] = &[Param::req("value", ANY)];

/// A form that the binder or the parser builds.
const fn special(name: &'static str, params: &'static [Param], returns: Returns, doc: &'static str) -> ScalarFn {
    ScalarFn::new(name, params, returns, ScalarImpl::Special, doc)
}

/// A function that has no meaning here.
const fn refused(name: &'static str, params: &'static [Param], returns: Type, why: &'static str) -> ScalarFn {
    ScalarFn::new(name, params, Returns::Type(returns), ScalarImpl::Unsupported(why), "Not supported.")
}

const NO_CURSORS: &str = "there are no database cursors in a local lake";
const NO_EXTENTS: &str = "a local lake has no extents";
const NO_SIGN_IN: &str = "nobody signs in to a local lake";

/// The functions of this family.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    special(
        "iff",
        &[Param::req("if", ArgType::Bool), Param::req("then", ArgType::Same), Param::req("else", ArgType::Same)],
        Returns::Same,
        "One of two values; a null condition counts as false.",
    )
    .aliases(&["iif"]),
    special(
        "case",
        &[Param::req("predicate", ArgType::Bool), Param::req("then", ArgType::Same), Param::req("else", ArgType::Same)],
        Returns::Same,
        "The value behind the first predicate that is true, or the last one.",
    )
    .variadic(),
    special(
        "bin_auto",
        &[Param::req("value", ArgType::Summable)],
        Returns::Arg(0),
        "The value rounded down to the size, and away from the fixed point, that query_bin_auto_size and query_bin_auto_at set.",
    )
    .naming(Naming::FirstArg),
    // What `coalesce` of a value that differs from call to call is bound to.
    ScalarFn::new(
        "__coalesce",
        SAME,
        Returns::Same,
        ScalarImpl::Row(|args| {
            let empty = |v: &ValueRef<'_>| matches!(v, ValueRef::String("") | ValueRef::Dynamic("\"\"" | "null"));
            let found = args.iter().find(|v| !v.is_null() && !empty(v)).or(args.last());
            found.map_or(Value::Null, |found| kqlake_value::columns::to_value(*found))
        }),
        "The first value that is neither null nor the empty string.",
    )
    .variadic(),
    // What `between` of such a value is bound to.
    ScalarFn::new(
        "__between",
        &[Param::req("value", ArgType::Summable), Param::req("low", ArgType::Summable), Param::req("high", ArgType::Summable)],
        BOOL,
        ScalarImpl::Row(between),
        "Whether a value is in a range; null if one of the three is.",
    ),
    special("not", &[Param::req("expression", ArgType::Bool)], BOOL, "True for false, false for true, null for null."),
    special(
        "now",
        &[Param::opt("offset", ArgType::TimeSpan)],
        Returns::Type(Type::DateTime),
        "The time of the query, the same in all its places.",
    ),
    special(
        "ago",
        &[Param::req("timespan", ArgType::TimeSpan)],
        Returns::Type(Type::DateTime),
        "The time of the query less a timespan.",
    ),
    special("coalesce", SAME, Returns::Same, "The first value that is neither null nor the empty string.").variadic(),
    special(
        "column_ifexists",
        &[Param::req("columnName", ArgType::String).constant(), Param::req("defaultValue", ANY)],
        Returns::Arg(1),
        "A column if there is one of this name, else another value.",
    )
    .aliases(&["columnifexists"]),
    special(
        "iscolumnexists",
        &[Param::req("columnName", ArgType::String).constant()],
        Returns::Type(Type::Bool),
        "Whether there is a column of this name.",
    ),
    special(
        "toscalar",
        &[Param::req("expression", ANY)],
        Returns::Arg(0),
        "The first column of the first row of a table, computed once.",
    ),
    special("ingestion_time", &[], Returns::Type(Type::DateTime), "When a row was landed; null where that is not kept.")
        .naming(Naming::Fixed("$IngestionTime")),
    special("materialize", &[Param::req("expression", ANY)], Returns::Arg(0), "A table that is computed once for all its uses."),
    special("table", NAME, Returns::Type(Type::Dynamic), "A table by name."),
    special("database", NAME, Returns::Type(Type::Dynamic), "A database by name."),
    special("cluster", NAME, Returns::Type(Type::Dynamic), "A cluster by name."),
    special("column_names_of", &[Param::req("table", ANY)], Returns::Type(Type::Dynamic), "The names of a table's columns."),
    ScalarFn::new(
        "max_of",
        SAME,
        Returns::With(orderable),
        ScalarImpl::Row(|args| extreme(args, Ordering::Greater)),
        "The greatest of several values; nulls do not count.",
    )
    .variadic(),
    ScalarFn::new(
        "min_of",
        SAME,
        Returns::With(orderable),
        ScalarImpl::Row(|args| extreme(args, Ordering::Less)),
        "The least of several values; nulls do not count.",
    )
    .variadic(),
    ScalarFn::new(
        "isnull",
        VALUE,
        BOOL,
        ScalarImpl::Kernel(|args, _| nullness(args, true)),
        "Whether the value is null; a string never is.",
    )
    .meaning(Meaning::Null(true)),
    ScalarFn::new(
        "isnotnull",
        VALUE,
        BOOL,
        ScalarImpl::Kernel(|args, _| nullness(args, false)),
        "Whether the value is not null.",
    )
    .meaning(Meaning::Null(false))
    .aliases(&["notnull"]),
    ScalarFn::new(
        "around",
        &[
            Param::req("value", ArgType::Summable),
            Param::req("center", ArgType::Summable),
            Param::req("delta", ArgType::Summable),
        ],
        Returns::With(|args| match (args[0].ty, args[1].ty, args[2].ty) {
            (Type::DateTime, Type::DateTime, Type::TimeSpan) | (Type::TimeSpan, Type::TimeSpan, Type::TimeSpan) => Ok(Type::Bool),
            (a, b, c) if a.is_numeric() && b.is_numeric() && c.is_numeric() => Ok(Type::Bool),
            (a, b, c) => Err(format!("a {a} cannot be compared with a {b} and a distance of {c}")),
        }),
        ScalarImpl::Row(around),
        "Whether a value is no further from a centre than a distance.",
    ),
    ScalarFn::new(
        "assert",
        &[Param::req("condition", ArgType::Bool), Param::req("message", ArgType::String).constant()],
        BOOL,
        ScalarImpl::Kernel(assert),
        "True, or the end of the query with a message.",
    ),
    ScalarFn::new(
        "new_guid",
        &[],
        Returns::Type(Type::Guid),
        ScalarImpl::Row(|_| Value::Guid(uuid::Uuid::new_v4().to_string())),
        "A random guid.",
    )
    .volatile(),
    ScalarFn::new(
        "rand",
        &[Param::opt("N", ArgType::Integer)],
        Returns::Type(Type::Real),
        ScalarImpl::Row(rand),
        "A random number from 0 to below 1, or a whole one below N.",
    )
    .naming(Naming::FirstArg)
    .volatile(),
    ScalarFn::new(
        "current_cluster_endpoint",
        &[],
        STRING,
        ScalarImpl::Row(|_| Value::String("localhost".into())),
        "Where the query runs: here.",
    ),
    ScalarFn::new(
        "current_database",
        &[],
        STRING,
        ScalarImpl::Row(|_| Value::String("kqlake".into())),
        "The name of the lake as a database.",
    ),
    refused("current_principal", &[], Type::String, NO_SIGN_IN),
    refused("current_principal_details", &[], Type::Dynamic, NO_SIGN_IN),
    refused("current_principal_is_member_of", &[Param::req("group", ANY)], Type::Bool, NO_SIGN_IN).variadic(),
    refused("cursor_after", &[Param::req("cursor", ANY)], Type::Bool, NO_CURSORS),
    refused("cursor_before_or_at", &[Param::req("cursor", ANY)], Type::Bool, NO_CURSORS),
    refused("cursor_current", &[], Type::String, NO_CURSORS).aliases(&["current_cursor"]),
    refused("extent_id", &[], Type::Guid, NO_EXTENTS).aliases(&["extentid"]),
    refused("extent_tags", &[], Type::Dynamic, NO_EXTENTS),
    ScalarFn::new(
        "estimate_data_size",
        &[Param::req("column", ANY)],
        Returns::Type(Type::Long),
        ScalarImpl::Prepared(estimate_data_size),
        "The bytes that the columns' values take: a text's length in UTF-8, the width of any other type.",
    )
    .takes_all_columns()
    .variadic(),
    refused("external_table", NAME, Type::Dynamic, "there are no external tables in a local lake"),
    refused("materialized_view", NAME, Type::Dynamic, "there are no materialized views in a local lake"),
    refused("stored_query_result", NAME, Type::Dynamic, "results are not stored in a local lake"),
    refused("entity_group", NAME, Type::Dynamic, "there are no entity groups in a local lake"),
];

fn orderable(args: &[ArgInfo]) -> Result<Type, String> {
    match args[0].ty {
        ty @ (Type::Dynamic | Type::Guid) => Err(format!("values of type {ty} have no order")),
        ty => Ok(ty),
    }
}

/// The order of two values of one type. NaN has none and stays where it is.
fn compare(a: ValueRef<'_>, b: ValueRef<'_>) -> Option<Ordering> {
    use ValueRef as R;
    match (a, b) {
        (R::Bool(a), R::Bool(b)) => Some(a.cmp(&b)),
        (R::String(a), R::String(b)) => Some(a.cmp(b)),
        (R::DateTime(a), R::DateTime(b)) | (R::TimeSpan(a), R::TimeSpan(b)) => Some(a.cmp(&b)),
        (R::Decimal(a), R::Decimal(b)) => Some(a.cmp(&b)),
        _ => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
    }
}

fn extreme(args: &[ValueRef<'_>], wanted: Ordering) -> Value {
    let mut best = ValueRef::Null;
    for value in args.iter().copied().filter(|v| !v.is_null()) {
        if best.is_null() || compare(value, best) == Some(wanted) {
            best = value;
        }
    }
    kqlake_value::columns::to_value(best)
}

fn between(args: &[ValueRef<'_>]) -> Value {
    let [value, low, high] = args else { return Value::Null };
    if args.iter().any(|v| v.is_null()) {
        return Value::Null;
    }
    let above = matches!(compare(*value, *low), Some(Ordering::Greater | Ordering::Equal));
    let below = matches!(compare(*value, *high), Some(Ordering::Less | Ordering::Equal));
    Value::Bool(above && below)
}

fn nullness(args: &[ArgInfo], wanted: bool) -> Result<ColumnFn, String> {
    let (value, string) = (ValueArg::new(&args[0]), args[0].ty == Type::String);
    Ok(Box::new(move |arrays, rows| {
        let values = value.open(&arrays[0])?;
        let is_null = |row: usize| !string && values.get(row).is_null();
        Ok(Arc::new((0..rows).map(|row| Some(is_null(row) == wanted)).collect::<BooleanArray>()))
    }))
}

fn around(args: &[ValueRef<'_>]) -> Value {
    let near = match args {
        [ValueRef::DateTime(value), ValueRef::DateTime(center), ValueRef::TimeSpan(delta)]
        | [ValueRef::TimeSpan(value), ValueRef::TimeSpan(center), ValueRef::TimeSpan(delta)] => {
            (i128::from(*value) - i128::from(*center)).abs() <= i128::from(*delta)
        }
        [value, center, delta] => match (value.as_f64(), center.as_f64(), delta.as_f64()) {
            (Some(value), Some(center), Some(delta)) => (center - delta..=center + delta).contains(&value),
            _ => return Value::Null,
        },
        _ => return Value::Null,
    };
    Value::Bool(near)
}

/// The condition must be known before the query runs; one that is not true refuses it.
fn assert(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    match &args[0].constant {
        Some(Value::Bool(true)) => Ok(Box::new(|_, rows| Ok(Arc::new(BooleanArray::from(vec![true; rows]))))),
        Some(_) => Err(format!("assert() failed with message: {}", args[1].constant.as_ref().map(text_of).unwrap_or_default())),
        None => Err("the condition of assert() must be a constant".into()),
    }
}

/// Kusto documentation, "estimate_data_size()" (a long 8 bytes, a text one for each ASCII character) and the widths in
/// "Scalar data types". Microsoft's form of dynamic values is not published: they count as their JSON text, and a full
/// hyper-log-log sketch as its registers and the head that its documentation's example shows ("Using hll() and tdigest()").
fn estimate_data_size(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let mut fixed = 0;
    for arg in args {
        fixed += match arg.ty {
            Type::Bool => 1,
            Type::Int => 4,
            Type::Long | Type::Real | Type::DateTime | Type::TimeSpan => 8,
            Type::Decimal | Type::Guid => 16,
            Type::String | Type::Dynamic => 0,
        };
    }
    Ok(Box::new(move |values| {
        let texts: usize = values
            .iter()
            .map(|v| match v {
                ValueRef::String(text) => text.len(),
                ValueRef::Dynamic(text) => dynamic_size(text),
                _ => 0,
            })
            .sum();
        Value::Long(fixed + i64::try_from(texts).unwrap_or(i64::MAX - fixed))
    }))
}

fn dynamic_size(text: &str) -> usize {
    const SKETCH_HEAD: usize = 46;
    let registers = if text.starts_with(r#"{"sketch":"hll""#) {
        serde_json::from_str(text).ok().and_then(|json| Hll::from_json(&json)).and_then(|hll| hll.registers())
    } else {
        None
    };
    registers.map_or(text.len(), |registers| registers + SKETCH_HEAD)
}

fn rand(args: &[ValueRef<'_>]) -> Value {
    match args.first().map(|n| n.as_i64()) {
        None | Some(Some(0 | 1)) => Value::Real(rand::random::<f64>()),
        Some(Some(n)) if n > 1 => Value::Real(rand::random_range(0..n) as f64),
        Some(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ValueRef as R;

    #[test]
    fn extremes_leave_nulls_out() {
        assert_eq!(extreme(&[R::Long(1), R::Null, R::Long(3)], Ordering::Greater), Value::Long(3));
        assert_eq!(extreme(&[R::Null, R::Int(5)], Ordering::Less), Value::Int(5));
        assert_eq!(extreme(&[R::Null, R::Null], Ordering::Less), Value::Null);
        assert_eq!(extreme(&[R::String("b"), R::String("a")], Ordering::Less), Value::String("a".into()));
        assert!(matches!(extreme(&[R::Null, R::Real(f64::NAN)], Ordering::Greater), Value::Real(v) if v.is_nan()));
    }

    #[test]
    fn nearness() {
        let minute = 600_000_000;
        let near = |a, b, c| around(&[a, b, c]);
        assert_eq!(near(R::DateTime(minute), R::DateTime(0), R::TimeSpan(minute)), Value::Bool(true));
        assert_eq!(near(R::DateTime(minute + 1), R::DateTime(0), R::TimeSpan(minute)), Value::Bool(false));
        assert_eq!(near(R::Long(1), R::Real(2.5), R::Long(2)), Value::Bool(true));
        assert_eq!(near(R::Null, R::Real(2.5), R::Long(2)), Value::Null);
    }

    #[test]
    fn data_sizes() {
        let of = |ty| ArgInfo { ty, constant: None };
        let size = estimate_data_size(&[of(Type::Long), of(Type::String), of(Type::Guid)], Type::Long).unwrap();
        assert_eq!(size(&[R::Null, R::String("größe"), R::Null]), Value::Long(8 + 7 + 16));
        let size = estimate_data_size(&[of(Type::Dynamic)], Type::Long).unwrap();
        assert_eq!(size(&[R::Dynamic(r#"{"a":1}"#)]), Value::Long(7));
    }

    #[test]
    fn random_numbers_stay_within_bounds() {
        for _ in 0..100 {
            assert!(matches!(rand(&[]), Value::Real(v) if (0.0..1.0).contains(&v)));
            assert!(matches!(rand(&[R::Long(3)]), Value::Real(v) if [0.0, 1.0, 2.0].contains(&v)));
        }
    }
}
