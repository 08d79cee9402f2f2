//! String search, `matches regex`, `in` and `=~`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, in_list as in_list_expr, lit, when};
use regex::Regex;

use super::{Lowered, coalesce, internal, null, text as text_value, value};
use crate::bound::{BoundExpr, BoundKind};
use crate::functions::regex_syntax;
use crate::functions::text::{equal_ignoring_case, equal_matcher, matcher, matcher_all, matches};
use crate::lower::arrow::scalar;
use crate::lower::kernel;
use kqlake_syntax::ast::TextOp;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::columns::ColumnReader;
use kqlake_value::{Type, Value, ValueRef, json};

/// The left side of a search: nullable text, where null is searched as the empty string.
fn haystack(e: &BoundExpr) -> Lowered<Expr> {
    super::bare_text(e)
}

/// `has`, `contains`, … with one or several needles, and `matches regex`.
pub(super) fn text(e: &BoundExpr, _filtering: bool) -> Lowered<Expr> {
    match &e.kind {
        BoundKind::Text { op, all, negated, case_sensitive, left, needles } => {
            let constants: Option<Vec<String>> = needles
                .iter()
                .map(|n| match n.as_literal() {
                    Some(Value::String(text)) => Some(text.clone()),
                    _ => None,
                })
                .collect();
            let (op, all, negated, case_sensitive) = (*op, *all, *negated, *case_sensitive);
            if let Some(constants) = constants {
                let key = format!("{op:?} {all} {negated} {case_sensitive} {constants:?}");
                let matcher =
                    if all { matcher_all(op, &constants, case_sensitive) } else { matcher(op, &constants, case_sensitive) };
                return Ok(kernel::call("text_search", key, DataType::Boolean, vec![haystack(left)?], move |a, _| {
                    let found = matcher.eval(&a[0])?;
                    Ok(if negated { Arc::new(not(&found)) as ArrayRef } else { Arc::new(found) })
                }));
            }
            let mut args = vec![haystack(left)?];
            for needle in needles {
                args.push(text_value(needle)?);
            }
            let key = format!("{op:?} {all} {negated} {case_sensitive} {}", needles.len());
            Ok(kernel::call("text_search_rows", key, DataType::Boolean, args, move |a, rows| {
                search_rows(a, rows, op, all, negated, case_sensitive)
            }))
        }
        BoundKind::Regex { left, pattern } => match pattern.as_literal() {
            Some(Value::String(source)) => {
                let wrong = |message| Box::new(Diagnostic::error(code::TYPE, pattern.span, message));
                let regex = regex_syntax::compile(source).map_err(wrong)?;
                Ok(kernel::call("matches_regex", source.clone(), DataType::Boolean, vec![haystack(left)?], move |a, rows| {
                    let reader = ColumnReader::new(&a[0], Type::String)?;
                    Ok(Arc::new((0..rows).map(|row| Some(regex.is_match(string(reader.get(row))))).collect::<BooleanArray>())
                        as ArrayRef)
                }))
            }
            _ => Ok(kernel::call(
                "matches_regex_rows",
                "",
                DataType::Boolean,
                vec![haystack(left)?, text_value(pattern)?],
                |a, rows| {
                    let (reader, patterns) = (ColumnReader::new(&a[0], Type::String)?, ColumnReader::new(&a[1], Type::String)?);
                    let mut compiled: Option<(String, Option<Regex>)> = None;
                    let mut out = Vec::with_capacity(rows);
                    for row in 0..rows {
                        let source = string(patterns.get(row));
                        if compiled.as_ref().is_none_or(|(known, _)| known != source) {
                            compiled = Some((source.to_owned(), regex_syntax::compile(source).ok()));
                        }
                        let regex = compiled.as_ref().and_then(|(_, r)| r.as_ref());
                        out.push(regex.map(|r| r.is_match(string(reader.get(row)))));
                    }
                    Ok(Arc::new(BooleanArray::from(out)) as ArrayRef)
                },
            )),
        },
        _ => Err(internal(e, "no text search")),
    }
}

fn string(v: ValueRef<'_>) -> &str {
    v.as_str().unwrap_or_default()
}

fn not(found: &BooleanArray) -> BooleanArray {
    BooleanArray::new(!found.values(), found.nulls().cloned())
}

/// Searches with needles that differ from row to row.
fn search_rows(
    a: &[ArrayRef],
    rows: usize,
    op: TextOp,
    all: bool,
    negated: bool,
    case_sensitive: bool,
) -> Result<ArrayRef, String> {
    let readers = a.iter().map(|a| ColumnReader::new(a, Type::String)).collect::<Result<Vec<_>, _>>()?;
    let mut out = Vec::with_capacity(rows);
    for row in 0..rows {
        let text = string(readers[0].get(row));
        let found = |reader: &ColumnReader| matches(op, text, string(reader.get(row)), case_sensitive);
        let found = if all { readers[1..].iter().all(found) } else { readers[1..].iter().any(found) };
        out.push(found != negated);
    }
    Ok(Arc::new(BooleanArray::from(out)))
}

/// `=~`, `!~`
pub(super) fn equal_ignore_case(left: &BoundExpr, right: &BoundExpr, negated: bool, _filtering: bool) -> Lowered<Expr> {
    let args = vec![haystack(left)?, haystack(right)?];
    Ok(kernel::call("equal_ignore_case", if negated { "not" } else { "" }, DataType::Boolean, args, move |a, rows| {
        let (l, r) = (ColumnReader::new(&a[0], Type::String)?, ColumnReader::new(&a[1], Type::String)?);
        let out = (0..rows).map(|row| Some(equal_ignoring_case(string(l.get(row)), string(r.get(row))) != negated));
        Ok(Arc::new(out.collect::<BooleanArray>()) as ArrayRef)
    }))
}

/// `in`, `!in`, `in~`, `!in~` over a list.
pub(super) fn in_list(e: &BoundExpr, filtering: bool) -> Lowered<Expr> {
    let BoundKind::In { negated, ignore_case, left, items } = &e.kind else { return Err(internal(e, "no list")) };
    let (negated, ignore_case) = (*negated, *ignore_case);
    if items.is_empty() {
        return Ok(lit(negated));
    }
    if ignore_case {
        let needles: Option<Vec<String>> = items
            .iter()
            .map(|item| match item.as_literal() {
                Some(Value::String(text)) => Some(text.clone()),
                _ => None,
            })
            .collect();
        let Some(needles) = needles else { return in_rows(left, items, negated, true) };
        let key = format!("{negated} {needles:?}");
        let matcher = equal_matcher(&needles, false);
        return Ok(kernel::call("in_ignore_case", key, DataType::Boolean, vec![haystack(left)?], move |a, _| {
            let found = matcher.eval(&a[0])?;
            Ok(if negated { Arc::new(not(&found)) as ArrayRef } else { Arc::new(found) })
        }));
    }
    let constants: Option<Vec<&Value>> = items.iter().map(BoundExpr::as_literal).collect();
    let Some(mut constants) = constants else { return in_rows(left, items, negated, false) };
    // A column's null is the empty text, that of a dynamic value is not.
    let empty_is_null = left.ty == Type::String && !super::is_dynamic_text(left);
    let has_empty = empty_is_null && constants.iter().any(|v| matches!(v, Value::String(s) if s.is_empty()));
    let has_null = constants.iter().any(|v| v.is_null());
    // Nothing equals NaN.
    constants.retain(|v| !v.is_null() && !matches!(v, Value::Real(x) if x.is_nan()));
    let l = haystack(left)?;
    if has_null || constants.is_empty() {
        // As with `==`, it is not known whether null is a null of the list.
        let found = match constants.as_slice() {
            [] => lit(false),
            _ => coalesce(vec![one_of(l.clone(), &constants, left.ty), lit(false)]),
        };
        let answer = if negated { Expr::Not(Box::new(found)) } else { found };
        if !has_null || (filtering && !negated) {
            return Ok(answer);
        }
        return when(l.is_null(), null(Type::Bool)).otherwise(answer).map_err(|error| internal(e, &error.to_string()));
    }
    // A column stays bare, so that the list can prune files and row groups.
    let found = one_of(l, &constants, left.ty);
    let null_is_found = has_empty;
    Ok(match (negated, filtering) {
        (false, true) if !null_is_found => found,
        (false, _) => coalesce(vec![found, lit(null_is_found)]),
        (true, _) => coalesce(vec![Expr::Not(Box::new(found)), lit(!null_is_found)]),
    })
}

/// Whether an expression is one of these constants, none of which is null or NaN. DataFusion looks constants up by their bits, in
/// lists, in equalities that it makes lists of, and in Bloom filters: a zero is there with both signs.
pub(super) fn one_of(e: Expr, constants: &[&Value], ty: Type) -> Expr {
    let mut list: Vec<Expr> = constants.iter().map(|v| lit(scalar(v, ty))).collect();
    for constant in constants {
        if let Value::Real(v) = constant
            && *v == 0.0
        {
            list.push(lit(-v));
        }
    }
    in_list_expr(e, list, false)
}

/// `in` with items that differ from row to row.
fn in_rows(left: &BoundExpr, items: &[BoundExpr], negated: bool, ignore_case: bool) -> Lowered<Expr> {
    let mut any: Vec<Expr> = Vec::with_capacity(items.len());
    for item in items {
        let equal = if ignore_case {
            equal_ignore_case(left, item, false, false)?
        } else {
            let (l, r) = (text_value(left)?, text_value(item)?);
            let mut same = l.clone().eq(r.clone());
            if left.ty == Type::Real {
                // Arrow takes NaN for equal to itself.
                same = same.and(Expr::Not(Box::new(datafusion::functions::math::expr_fn::isnan(l.clone()))));
            }
            let equal = coalesce(vec![same, lit(false)]);
            if left.ty == Type::String || item.as_literal().is_some_and(|v| !v.is_null()) {
                equal
            } else {
                let both_null = l.is_null().and(r.is_null());
                when(both_null, null(Type::Bool)).otherwise(equal).map_err(|error| internal(left, &error.to_string()))?
            }
        };
        any.push(equal);
    }
    let any = super::logical(false, any);
    Ok(if negated { Expr::Not(Box::new(any)) } else { any })
}

/// `in` over an array that differs from row to row: elements are compared by their text.
pub(super) fn in_array(e: &BoundExpr) -> Lowered<Expr> {
    let BoundKind::InArray { negated, ignore_case, left, array } = &e.kind else { return Err(internal(e, "no array")) };
    let (negated, ignore_case, ty) = (*negated, *ignore_case, left.ty);
    let args = vec![text_value(left)?, value(array)?];
    Ok(kernel::call("in_array", format!("{negated} {ignore_case} {ty}"), DataType::Boolean, args, move |a, rows| {
        let (l, arrays) = (ColumnReader::new(&a[0], ty)?, ColumnReader::new(&a[1], Type::Dynamic)?);
        let mut out = Vec::with_capacity(rows);
        for row in 0..rows {
            let v = l.get(row);
            let wanted = kqlake_value::format::to_string(v);
            let found = match arrays.get(row) {
                ValueRef::Dynamic(text) => match json::elements(text) {
                    // Whether null is in a list with a null is not known.
                    Some(mut elements) if v.is_null() => (!elements.any(|raw| raw == "null")).then_some(false),
                    Some(mut elements) => Some(elements.any(|raw| element_is(raw, v, &wanted, ignore_case))),
                    None => Some(!v.is_null() && element_is(text, v, &wanted, ignore_case)),
                },
                _ => Some(false),
            };
            out.push(found.map(|found| found != negated));
        }
        Ok(Arc::new(BooleanArray::from(out)) as ArrayRef)
    }))
}

fn element_is(raw: &str, v: ValueRef<'_>, wanted: &str, ignore_case: bool) -> bool {
    if let Some(number) = v.as_f64() {
        return json::number(raw) == Some(number);
    }
    let text = json::unquote(raw);
    if ignore_case { equal_ignoring_case(&text, wanted) } else { text == wanted }
}
