//! Access into dynamic values, and the promoted columns that spare it.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::logical_expr::{Case, Expr, cast};

use super::{Lowered, coalesce, column, text, value};
use crate::bound::{BoundExpr, BoundKind, BoundPathStep, ColId};
use crate::computation::RowFields;
use crate::functions::scalar::paths;
use crate::lower::kernel;
use kqlake_value::columns::{ColumnReader, arrow_type};
use kqlake_value::format::{write_json_string, write_value};
use kqlake_value::json::{self, PathStep};
use kqlake_value::text_column::TextBuilder;
use kqlake_value::{Type, ValueRef};

/// The constant head of a path, and the computed steps behind it.
fn constant_steps(steps: &[BoundPathStep]) -> (Vec<PathStep>, &[BoundPathStep]) {
    let mut constant = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        match step {
            BoundPathStep::Key(key) => constant.push(PathStep::Key(key.clone())),
            BoundPathStep::Index(index) => constant.push(PathStep::Index(*index)),
            BoundPathStep::Computed(_) => return (constant, &steps[i..]),
        }
    }
    (constant, &[])
}

/// `base.a[0]…` as JSON text; null where it is missing.
pub(crate) fn path(base: &BoundExpr, steps: &[BoundPathStep]) -> Lowered<Expr> {
    let (constant, rest) = constant_steps(steps);
    let mut out = value(base)?;
    if !constant.is_empty() {
        out = path_kernel(out, constant, false);
    }
    let rest = rest.iter();
    for step in rest {
        out = match step {
            BoundPathStep::Key(key) => path_kernel(out, vec![PathStep::Key(key.clone())], false),
            BoundPathStep::Index(index) => path_kernel(out, vec![PathStep::Index(*index)], false),
            BoundPathStep::Computed(index) => {
                let is_dynamic = index.ty == Type::Dynamic;
                let key = if index.ty == Type::Int { cast(value(index)?, DataType::Int64) } else { text(index)? };
                kernel::call(
                    "dynamic_element",
                    if is_dynamic { "dynamic" } else { "" },
                    DataType::Utf8,
                    vec![out, key],
                    move |a, _| paths::get_element_column(&a[0], &a[1], is_dynamic),
                )
            }
        };
    }
    Ok(out)
}

fn path_kernel(base: Expr, steps: Vec<PathStep>, as_text: bool) -> Expr {
    let key = format!("{steps:?}");
    if as_text {
        // The text of a whole value is what was quoted to make JSON of it.
        let undoes = steps.is_empty().then(|| (QUOTED, Type::String.name()));
        kernel::inverse("dynamic_text", key, DataType::Utf8, vec![base], undoes, move |a, _| {
            paths::get_path_text_column(&a[0], &steps)
        })
    } else {
        kernel::call("dynamic_path", key, DataType::Utf8, vec![base], move |a, _| paths::get_path_column(&a[0], &steps))
    }
}

/// The value of a bag's key as JSON.
pub(crate) fn value_of_key(bag: Expr, key: &str) -> Expr {
    path_kernel(bag, vec![PathStep::Key(key.to_owned())], false)
}

/// A promoted key's value as JSON: from its column where that answers, else from the bag.
pub(crate) fn promoted_json(id: ColId, ty: Type, complete: bool, base: &BoundExpr, key: &str) -> Lowered<Expr> {
    Ok(match (complete, ty) {
        (true, Type::Dynamic) => column(id),
        (true, ty) => quoted(column(id), ty),
        (false, _) => value_of_key(value(base)?, key),
    })
}

/// The values of a promoted column that answers for its key as JSON: all of them are strings there.
pub(crate) fn quoted(e: Expr, ty: Type) -> Expr {
    kernel::call(QUOTED, ty.name(), DataType::Utf8, vec![e], move |a, rows| {
        let reader = ColumnReader::new(&a[0], ty)?;
        let mut out = TextBuilder::new(rows);
        let (mut text, mut json) = (String::new(), String::new());
        for row in 0..rows {
            if a[0].is_null(row) {
                out.push_null();
                continue;
            }
            text.clear();
            json.clear();
            write_value(&mut text, reader.get(row));
            write_json_string(&mut json, &text);
            out.push(&json);
        }
        out.finish()
    })
}

/// Name of the kernel that makes JSON of a promoted column.
const QUOTED: &str = "quoted";

/// The promoted column that is null exactly where the bag has no such key.
pub(crate) fn promoted_column(e: &BoundExpr) -> Option<Expr> {
    match e.kind {
        BoundKind::Promoted { column: id, complete: true, .. } => Some(column(id)),
        _ => None,
    }
}

/// The same for a column whose values have a text that is never empty.
pub(crate) fn never_empty(e: &BoundExpr) -> Option<Expr> {
    match e.kind {
        BoundKind::Promoted { column_ty: Type::TimeSpan | Type::Long, .. } => promoted_column(e),
        _ => None,
    }
}

/// Whether a choice gives a promoted key that its column answers for in one of its branches: what is made of the choice is then
/// made of each branch, so that it finds the column.
pub(crate) fn chooses_promoted(e: &BoundExpr) -> bool {
    let found = |e: &BoundExpr| matches!(e.kind, BoundKind::Promoted { complete: true, .. }) || chooses_promoted(e);
    match &e.kind {
        BoundKind::Case { branches, otherwise } => branches.iter().any(|(_, value)| found(value)) || found(otherwise),
        _ => false,
    }
}

/// A choice with something else made of its branches.
pub(crate) fn of_branches(e: &BoundExpr, ty: Type, of: &dyn Fn(&BoundExpr) -> BoundKind) -> BoundExpr {
    let of = |e: &BoundExpr| BoundExpr::new(of(e), ty, e.span);
    match &e.kind {
        BoundKind::Case { branches, otherwise } => {
            let branches = branches.iter().map(|(condition, value)| (condition.clone(), of(value))).collect();
            BoundExpr::new(BoundKind::Case { branches, otherwise: Box::new(of(otherwise)) }, ty, e.span)
        }
        _ => of(e),
    }
}

/// The text that a cast of a dynamic to string stands for; null where the value is missing. `None` if `e` is no such cast.
pub(crate) fn text_of(e: &BoundExpr) -> Lowered<Option<Expr>> {
    match &e.kind {
        BoundKind::Cast(inner) if inner.ty == Type::Dynamic && e.ty == Type::String => text_of_value(inner),
        _ => Ok(None),
    }
}

/// A dynamic value's text without its JSON in between: read from a promoted column where that answers, else straight from
/// the bag.
pub(crate) fn text_of_value(e: &BoundExpr) -> Lowered<Option<Expr>> {
    Ok(Some(match &e.kind {
        BoundKind::Promoted { column: id, column_ty, complete, base, key } => {
            let from_bag =
                |base: &BoundExpr| -> Lowered<Expr> { Ok(path_kernel(value(base)?, vec![PathStep::Key(key.clone())], true)) };
            match (column_ty, complete) {
                (Type::String, true) => column(*id),
                // A file that does not answer for the key leaves nulls, for which the bag is asked.
                (Type::String, false) => coalesce(vec![column(*id), from_bag(base)?]),
                (Type::Dynamic, true) => path_kernel(column(*id), Vec::new(), true),
                (ty, true) => typed_text(column(*id), *ty),
                _ => from_bag(base)?,
            }
        }
        BoundKind::Case { branches, otherwise } if chooses_promoted(e) => {
            let text = |e: &BoundExpr| -> Lowered<Expr> { Ok(text_of_value(e)?.unwrap_or_else(|| super::null(Type::String))) };
            let mut out = text(otherwise)?;
            for (condition, value) in branches.iter().rev() {
                out = chosen(super::filter(condition)?, text(value)?, out);
            }
            out
        }
        BoundKind::Path { base, steps } => {
            let (constant, rest) = constant_steps(steps);
            if rest.is_empty() { path_kernel(value(base)?, constant, true) } else { path_kernel(value(e)?, Vec::new(), true) }
        }
        _ => path_kernel(value(e)?, Vec::new(), true),
    }))
}

/// One of two values; a condition that is null counts as false.
fn chosen(condition: Expr, then: Expr, otherwise: Expr) -> Expr {
    Expr::Case(Case::new(None, vec![(Box::new(condition), Box::new(then))], Some(Box::new(otherwise))))
}

/// The `tostring` text of a typed column, null for null.
fn typed_text(e: Expr, ty: Type) -> Expr {
    written("typed_text", e, ty, kqlake_value::format::write_value)
}

/// A typed column as text, null for null; `write` appends the text of a value.
fn written(name: &'static str, e: Expr, ty: Type, write: fn(&mut String, ValueRef<'_>)) -> Expr {
    kernel::call(name, ty.name(), DataType::Utf8, vec![e], move |a, rows| {
        let reader = ColumnReader::new(&a[0], ty)?;
        let mut out = TextBuilder::new(rows);
        let mut text = String::new();
        for row in 0..rows {
            match reader.get(row) {
                ValueRef::Null => out.push_null(),
                value => {
                    text.clear();
                    write(&mut text, value);
                    out.push(&text);
                }
            }
        }
        out.finish()
    })
}

/// A conversion of a promoted key that its typed column answers by itself: `totimespan(customDimensions.executionTime)`.
pub(crate) fn converted_promoted(arg: &BoundExpr, ty: Type) -> Option<Expr> {
    let BoundKind::Promoted { column: id, column_ty, complete: true, .. } = &arg.kind else { return None };
    let fits = matches!(
        (ty, column_ty),
        (Type::TimeSpan, Type::TimeSpan) | (Type::Long | Type::Int | Type::Real, Type::Long) | (Type::Real, Type::Real)
    );
    if !fits {
        return None;
    }
    Some(if arrow_type(*column_ty) == arrow_type(ty) { column(*id) } else { cast(column(*id), arrow_type(ty)) })
}

/// A scalar as JSON text.
pub(crate) fn from_scalar(inner: &BoundExpr) -> Lowered<Expr> {
    Ok(written("to_dynamic", text(inner)?, inner.ty, json::write_value))
}

/// One of the values of a function of several: the function runs once, however many of them are asked for.
pub(crate) fn field(source: &Arc<dyn RowFields>, args: &[BoundExpr], index: usize) -> Lowered<Expr> {
    let fields: Fields =
        source.types().iter().enumerate().map(|(i, ty)| Field::new(format!("f{i}"), arrow_type(*ty), true)).collect();
    let run = source.clone();
    let shape = fields.clone();
    let args = args.iter().map(text).collect::<Lowered<Vec<_>>>()?;
    let all = kernel::call("row_fields", source.key(), DataType::Struct(fields), args, move |a, rows| {
        let columns = run.run(a, rows)?;
        Ok(Arc::new(StructArray::try_new(shape.clone(), columns, None).map_err(|e| e.to_string())?) as ArrayRef)
    });
    Ok(datafusion::functions::core::expr_fn::get_field(all, format!("f{index}")))
}

/// The element at a place of the array that a several-column function gives, in the column's type.
pub(crate) fn element(call: &BoundExpr, index: usize, ty: Type) -> Lowered<Expr> {
    let array = value(call)?;
    Ok(kernel::call("tuple_element", format!("{index} {ty}"), arrow_type(ty), vec![array], move |a, rows| {
        let elements = paths::get_path_column(&a[0], &[PathStep::Index(index as i64)])?;
        if ty == Type::Dynamic {
            return Ok(elements);
        }
        let reader = ColumnReader::new(&elements, Type::Dynamic)?;
        let mut values = Vec::with_capacity(rows);
        for row in 0..rows {
            values.push(typed_element(reader.get(row), ty));
        }
        crate::lower::arrow::array(values, ty)
    }))
}

/// An element of a dynamic array as a value of a type: numbers as they are, text by its own rules.
pub(crate) fn typed_element(v: ValueRef<'_>, ty: Type) -> kqlake_value::Value {
    use kqlake_value::{Json, Value};
    let json = v.to_json();
    match (ty, json) {
        (_, Json::Null) if ty != Type::String => Value::Null,
        (Type::Bool, Json::Bool(v)) => Value::Bool(v),
        (Type::Bool, Json::Number(n)) => n.as_i64().map_or(Value::Null, |n| Value::Bool(n != 0)),
        (Type::Int, Json::Number(n)) => n
            .as_i64()
            .or(n.as_f64().map(|v| v.trunc() as i64))
            .and_then(|v| i32::try_from(v).ok())
            .map_or(Value::Null, Value::Int),
        (Type::Long, Json::Number(n)) => n.as_i64().or(n.as_f64().map(|v| v.trunc() as i64)).map_or(Value::Null, Value::Long),
        (Type::Long | Type::Int, Json::Bool(v)) => {
            if ty == Type::Int {
                Value::Int(v.into())
            } else {
                Value::Long(v.into())
            }
        }
        (Type::Real, Json::Number(n)) => n.as_f64().map_or(Value::Null, Value::Real),
        (Type::Real, Json::String(s)) => match s.as_str() {
            "NaN" => Value::Real(f64::NAN),
            "Infinity" => Value::Real(f64::INFINITY),
            "-Infinity" => Value::Real(f64::NEG_INFINITY),
            _ => Value::Null,
        },
        // A dynamic holds a decimal as text.
        (Type::Decimal, Json::Number(_) | Json::String(_)) => {
            crate::functions::scalar::conversion::decimal_of(v).map_or(Value::Null, Value::Decimal)
        }
        (Type::String, json) => {
            let mut text = String::new();
            let value = Value::Dynamic(json);
            let shown = kqlake_value::format::to_string(value.as_ref(&mut text));
            Value::String(shown)
        }
        (Type::TimeSpan, Json::Number(n)) => n.as_i64().map_or(Value::Null, Value::TimeSpan),
        (Type::DateTime | Type::TimeSpan | Type::Guid, Json::String(s)) => crate::functions::scalar::conversion::text_as(&s, ty),
        (Type::Dynamic, json) => Value::Dynamic(json),
        _ => Value::Null,
    }
}
