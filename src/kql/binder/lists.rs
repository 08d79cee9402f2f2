//! Lists: `in`, `!in`, `in~`, `!in~`, `has_any`, `has_all`.

use arrow::record_batch::RecordBatch;

use super::expr::ExprContext;
use super::ops::dynamic_text;
use super::{Bind, Binder};
use crate::bound::*;
use crate::functions::constants::value_at;
use crate::functions::interner::Interner;
use crate::room::Held;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::{Json, Type, Value};

/// Bytes that a value of a list takes in the query and its plans, beside its text.
const LISTED: usize = 1_000;

impl Binder<'_> {
    /// `in`, `has_any`, `has_all`
    pub(super) fn list(
        &mut self,
        op: ListOp,
        left: &Expr,
        items: &[Expr],
        ctx: &mut ExprContext<'_>,
        span: Span,
    ) -> Bind<BoundExpr> {
        if items.is_empty() {
            return self.error(code::SYNTAX, span, "the list is empty; dynamic([]) stands for a list without elements");
        }
        if matches!(left.kind, ExprKind::Star) {
            let columns: Vec<BoundColumn> =
                ctx.row.columns.iter().filter(|c| matches!(c.ty, Type::String | Type::Dynamic)).cloned().collect();
            let mut terms = Vec::new();
            for column in columns {
                let left = BoundExpr::column(&column, span);
                terms.push(self.list_of(op, left, items, ctx, span)?);
            }
            return Ok(BoundExpr::new(BoundKind::Logical { and: false, terms }, Type::Bool, span));
        }
        let left = self.scalar(left, ctx)?;
        self.list_of(op, left, items, ctx, span)
    }

    /// The different values of a tabular expression's first column.
    fn first_column(&mut self, rel: Rel, span: Span) -> Bind<Vec<BoundExpr>> {
        let Some(first) = rel.columns.first().cloned() else {
            if Self::is_open(&rel) {
                // Its columns follow from rows that are not there.
                return Ok(if self.checking { vec![self.untyped_value(span)] } else { Vec::new() });
            }
            return self.error(code::TYPE, span, "a table without columns cannot be a list");
        };
        self.answers_one_sub_query(&rel, span)?;
        let Some(batches) = self.rows_of(rel, None)? else {
            return Ok(vec![BoundExpr::new(BoundKind::Unknown, first.ty, span)]);
        };
        match self.listed(&batches, &first, span) {
            Ok(values) => Ok(values),
            Err(message) => self.error(code::LIMIT, span, message),
        }
    }

    /// The values of the first column of these rows, each once: a list with as many terms as values.
    fn listed(&self, batches: &[RecordBatch], first: &BoundColumn, span: Span) -> Result<Vec<BoundExpr>, String> {
        let mut seen = Interner::default();
        let mut memory = Held::default();
        let mut values = Vec::new();
        let mut add = |value: Value, ty: Type| {
            let (mut text, before) = (String::new(), seen.len());
            let value_ref = value.as_ref(&mut text);
            if seen.number([value_ref])? as usize == before {
                memory.grow(LISTED + value_ref.as_str().map_or(0, str::len))?;
                values.push(BoundExpr::literal(value, ty, span));
            }
            Ok::<_, String>(())
        };
        for batch in batches {
            for row in 0..batch.num_rows() {
                match value_at(batch.column(0).as_ref(), first.ty, row) {
                    Value::Dynamic(kqlake_value::Json::Array(items)) => {
                        items.into_iter().try_for_each(|item| add(Value::Dynamic(item), Type::Dynamic))?;
                    }
                    value => add(value, first.ty)?,
                }
            }
        }
        // The list is part of the query.
        memory.keep();
        Ok(values)
    }

    fn list_of(&mut self, op: ListOp, left: BoundExpr, items: &[Expr], ctx: &mut ExprContext<'_>, span: Span) -> Bind<BoundExpr> {
        let mut bound: Vec<BoundExpr> = Vec::with_capacity(items.len());
        // Arrays that differ from row to row.
        let mut arrays: Vec<BoundExpr> = Vec::new();
        for item in items {
            // A tabular item gives its first column; its names do not see the current row.
            if self.is_tabular(item, &ctx.scope, ctx.row) {
                let scope = ctx.scope.clone();
                let rel = self.with_depth(item.span, |b| b.table(item, &scope))?;
                bound.extend(self.first_column(rel, item.span)?);
                continue;
            }
            let e = self.scalar(item, ctx)?;
            match (&e.kind, e.ty) {
                (BoundKind::Literal(Value::Dynamic(Json::Array(elements))), _) => {
                    // An element of another kind is not equal to a text; that is no error.
                    let text = matches!(op, ListOp::In { .. }) && left.ty == Type::String;
                    for json in elements.iter().filter(|j| !text || j.is_string()) {
                        bound.extend(self.element(json, left.ty, e.span)?);
                    }
                }
                (BoundKind::Literal(Value::Dynamic(Json::Null) | Value::Null), Type::Dynamic) => {}
                (BoundKind::Literal(Value::Dynamic(other)), _) => bound.extend(self.element(other, left.ty, e.span)?),
                (_, Type::Dynamic) => arrays.push(e),
                _ => bound.push(e),
            }
        }
        let mut left = left;
        if self.is_untyped(&left) {
            if self.checking {
                return Ok(BoundExpr::new(BoundKind::Unknown, Type::Bool, span));
            }
            let of_items = bound.iter().find(|e| !self.is_untyped(e)).map(|e| e.ty);
            let ty = if matches!(op, ListOp::In { ignore_case: false, .. }) { of_items } else { None };
            left = self.as_wanted(left, ty.filter(|ty| *ty != Type::Dynamic).unwrap_or(Type::String));
        }
        let mut terms = Vec::with_capacity(arrays.len() + 1);
        let and = match op {
            ListOp::HasAny | ListOp::HasAll => {
                let all = op == ListOp::HasAll;
                let left = self.text_operand(left, if all { "has_all" } else { "has_any" })?;
                for array in arrays {
                    terms.push(self.row_array(if all { "__has_all" } else { "__has_any" }, left.clone(), array, span)?);
                }
                if terms.is_empty() || !bound.is_empty() {
                    terms.push(self.has_items(all, left, bound, span)?);
                }
                all
            }
            ListOp::In { negated, ignore_case } => {
                let left = if ignore_case { self.text_operand(left, "in~")? } else { left };
                for array in arrays {
                    let kind = BoundKind::InArray { negated, ignore_case, left: Box::new(left.clone()), array: Box::new(array) };
                    terms.push(BoundExpr::new(kind, Type::Bool, span));
                }
                if terms.is_empty() || !bound.is_empty() {
                    terms.extend(self.in_items(negated, ignore_case, left, bound, span)?);
                }
                negated
            }
        };
        Ok(match terms.len() {
            1 => terms.remove(0),
            _ => BoundExpr::new(BoundKind::Logical { and, terms }, Type::Bool, span),
        })
    }

    /// `has_any` and `has_all` over items. One that is no text is sought by its text.
    fn has_items(&mut self, all: bool, left: BoundExpr, items: Vec<BoundExpr>, span: Span) -> Bind<BoundExpr> {
        let mut needles = Vec::with_capacity(items.len());
        for item in items {
            if item.as_literal().is_some_and(Value::is_null) {
                // A null needle is found everywhere by has_any and left out by has_all.
                if !all {
                    needles.push(BoundExpr::literal(Value::String(String::new()), Type::String, item.span));
                }
                continue;
            }
            needles.push(self.coerce(item, Type::String)?);
        }
        let (op, left) = (TextOp::Has, Box::new(left));
        let kind = BoundKind::Text { op, all, negated: false, case_sensitive: false, left, needles };
        Ok(BoundExpr::new(kind, Type::Bool, span))
    }

    /// An element of a dynamic literal as an item of a list; none where it is a text that is no value of the left side's type.
    fn element(&mut self, json: &Json, left: Type, span: Span) -> Bind<Option<BoundExpr>> {
        let item = json_element(json, span);
        if item.ty == Type::String && !matches!(left, Type::String | Type::Dynamic) {
            let typed = self.coerce(item.clone(), left)?;
            return Ok((!typed.as_literal().is_some_and(Value::is_null)).then_some(item));
        }
        Ok(Some(item))
    }

    /// `in` over typed items, a term for each type of items: beside a text or a dynamic value, numbers are compared as numbers and
    /// texts as texts, as `==` does with each item alone.
    fn in_items(
        &mut self,
        negated: bool,
        ignore_case: bool,
        left: BoundExpr,
        items: Vec<BoundExpr>,
        span: Span,
    ) -> Bind<Vec<BoundExpr>> {
        let mut ty = left.ty;
        if left.ty.is_numeric() {
            for item in &items {
                ty = ty.widest(item.ty).unwrap_or(ty);
            }
        }
        let mixed = matches!(left.ty, Type::String | Type::Dynamic);
        let mut groups: Vec<(Type, Vec<BoundExpr>)> = Vec::new();
        for item in items {
            let compared = match item.ty {
                // As `==` converts them.
                _ if left.ty == Type::Bool && item.ty.is_numeric() => ty_of_bool(item.ty),
                Type::TimeSpan if left.ty.is_integer() => Type::TimeSpan,
                _ if !mixed => ty,
                Type::Int | Type::Long => Type::Real,
                // A null and what has no type of its own goes with the others.
                Type::Dynamic => left.ty,
                Type::Guid => Type::String,
                other => other,
            };
            match groups.iter_mut().find(|(ty, _)| *ty == compared) {
                Some((_, items)) => items.push(item),
                None => groups.push((compared, vec![item])),
            }
        }
        // Items without a type of their own are compared as the others are, or as texts.
        if left.ty == Type::Dynamic
            && let Some(at) = groups.iter().position(|(ty, _)| *ty == Type::Dynamic)
        {
            let (_, untyped) = groups.remove(at);
            match groups.first_mut() {
                Some((_, items)) => items.extend(untyped),
                None => groups.push((Type::String, untyped)),
            }
        }
        if groups.is_empty() {
            groups.push((if ty == Type::Dynamic { Type::String } else { ty }, Vec::new()));
        }
        groups.into_iter().map(|(ty, items)| self.in_one_type(negated, ignore_case, left.clone(), ty, items, span)).collect()
    }

    /// `in` over items that are compared as one type: left and items are converted to it.
    fn in_one_type(
        &mut self,
        negated: bool,
        ignore_case: bool,
        left: BoundExpr,
        ty: Type,
        items: Vec<BoundExpr>,
        span: Span,
    ) -> Bind<BoundExpr> {
        let left = match (left.ty, ty) {
            (Type::Dynamic, Type::String) => dynamic_text(left),
            _ => self.coerce(left, ty)?,
        };
        let mut typed = Vec::with_capacity(items.len());
        for item in items {
            // No string is null.
            if ty == Type::String && item.as_literal().is_some_and(Value::is_null) {
                continue;
            }
            // An item that cannot be of the type cannot be equal.
            let compatible = item.ty == ty
                || (item.ty.is_numeric() && ty.is_numeric())
                || matches!((item.ty, ty), (Type::String, _) | (Type::Guid, Type::String) | (Type::Dynamic, _))
                || (item.ty == Type::Bool && ty.is_numeric())
                || (item.ty.is_integer() && ty == Type::TimeSpan);
            if !compatible {
                continue;
            }
            // Whether a null is in a list with a null, or with a text that is no value of the type, is not known, as with `==`;
            // an element of an array that is no such value is just not equal.
            let element = item.ty == Type::Dynamic && !item.as_literal().is_some_and(Value::is_null);
            let item = self.coerce(item, ty)?;
            if !(element && item.as_literal().is_some_and(Value::is_null)) {
                typed.push(item);
            }
        }
        let ignore_case = ignore_case && ty == Type::String;
        Ok(BoundExpr::new(BoundKind::In { negated, ignore_case, left: Box::new(left), items: typed }, Type::Bool, span))
    }

    /// An internal registry function over a row's array.
    fn row_array(&mut self, function: &str, left: BoundExpr, array: BoundExpr, span: Span) -> Bind<BoundExpr> {
        match crate::functions::Registry::get().scalar(function) {
            Some(function) => Ok(BoundExpr::new(BoundKind::Call { function, args: vec![left, array] }, Type::Bool, span)),
            None => self.report(Diagnostic::error(
                code::UNSUPPORTED,
                span,
                "has_any or has_all over an array that differs from row to row is not supported",
            )),
        }
    }
}

/// The type that a bool and a number of a type are compared as.
fn ty_of_bool(number: Type) -> Type {
    if number == Type::Int { Type::Long } else { number }
}

/// An element of a dynamic literal list as a typed constant.
fn json_element(json: &Json, span: Span) -> BoundExpr {
    match json {
        Json::Bool(v) => BoundExpr::literal(Value::Bool(*v), Type::Bool, span),
        Json::Number(n) => match n.as_i64() {
            Some(i) => BoundExpr::literal(Value::Long(i), Type::Long, span),
            None => BoundExpr::literal(Value::Real(n.as_f64().unwrap_or(f64::NAN)), Type::Real, span),
        },
        Json::String(s) => BoundExpr::literal(Value::String(s.clone()), Type::String, span),
        other => BoundExpr::literal(Value::Dynamic(other.clone()), Type::Dynamic, span),
    }
}
