//! `make-series`.

use std::collections::HashSet;
use std::sync::Arc;

use crate::binder::expr::ExprContext;
use crate::binder::names::TargetName;
use crate::binder::{Bind, BindError, Binder, RowInfo, Scope};
use crate::bound::*;
use crate::functions::Registry;
use crate::functions::make_series::{MakeSeries, SeriesColumn};
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::code;
use kqlake_value::{Type, Value};

use super::shape::property_text;

impl Binder<'_> {
    pub(super) fn make_series(
        &mut self,
        input: Rel,
        operator: &Operator,
        items: &[SeriesItem],
        axis: &NamedExpr,
        range: &SeriesRange,
        by: &[NamedExpr],
        scope: &Scope,
    ) -> Bind<Rel> {
        let row = RowInfo::of(&input);
        let nonempty = match operator.property("kind").map(|p| (property_text(&p.value), p.value.span)) {
            None => false,
            Some((kind, _)) if kind == "nonempty" => true,
            Some((kind, span)) => return self.error(code::SYNTAX, span, format!("make-series is nonempty, not '{kind}'")),
        };
        let mut axis_expr = self.scalar(&axis.expr, &mut ExprContext::new(&row, scope))?;
        if self.is_untyped(&axis_expr) {
            // The step says what an axis of unknown type is taken for.
            let (SeriesRange::Step { step, .. } | SeriesRange::InRange { step, .. }) = range;
            let step = self.scalar(step, &mut ExprContext::new(&RowInfo::default(), scope))?;
            let ty = if step.ty == Type::TimeSpan { Type::DateTime } else { Type::Long };
            axis_expr = BoundExpr::new(BoundKind::Unknown, ty, axis_expr.span);
        }
        if !axis_expr.ty.is_summable() {
            return self.error(
                code::TYPE,
                axis_expr.span,
                format!("the axis of make-series is a number, datetime or timespan, not {}", axis_expr.ty),
            );
        }
        let axis_ty = if axis_expr.ty == Type::Int { Type::Long } else { axis_expr.ty };
        let axis_expr = self.coerce(axis_expr, axis_ty)?;
        let empty = RowInfo::default();
        let bound_of = |b: &mut Self, e: Option<&Expr>, ty: Type| -> Bind<Option<BoundExpr>> {
            match e {
                Some(e) => {
                    let e = b.scalar(e, &mut ExprContext::new(&empty, scope))?;
                    let fits = e.ty == ty || (e.ty.is_numeric() && ty.is_numeric() && e.ty.widest(ty) == Some(ty));
                    if !fits && !b.is_untyped(&e) {
                        let message = format!("an axis of type {axis_ty} needs a {ty} here, not {}", e.ty);
                        return b.error(code::TYPE, e.span, message);
                    }
                    Ok(Some(b.coerce(e, ty)?))
                }
                None => Ok(None),
            }
        };
        let step_ty = if axis_ty == Type::DateTime { Type::TimeSpan } else { axis_ty };
        let (from, to, step, inclusive) = match range {
            SeriesRange::Step { from, to, step } => (
                bound_of(self, from.as_ref(), axis_ty)?,
                bound_of(self, to.as_ref(), axis_ty)?,
                bound_of(self, Some(step), step_ty)?,
                false,
            ),
            SeriesRange::InRange { start, stop, step } => (
                bound_of(self, Some(start), axis_ty)?,
                bound_of(self, Some(stop), axis_ty)?,
                bound_of(self, Some(step), step_ty)?,
                true,
            ),
        };
        let Some(step) = step else { return self.error(code::SYNTAX, operator.span, "make-series needs a step") };
        let step_value = self.constant(&step, "the step of make-series")?;
        let registry = Registry::get();
        let from_value = match &from {
            // The older form counts its buckets as bin() does: the first one may begin before the start.
            Some(e) if inclusive => {
                let first = self.call_of(registry.scalar("bin"), "bin", vec![e.clone(), step.clone()], operator.span)?;
                self.constant(&first, "the start of make-series")?
            }
            Some(e) => self.constant(e, "the start of make-series")?,
            None => None,
        };
        let to_value = match &to {
            Some(e) => self.constant(e, "the end of make-series")?,
            None => None,
        };
        // Rows inside of the range only.
        let mut input = input;
        if let Some(from) = &from {
            let inside = self.binary(BinaryOp::GreaterOrEqual, axis_expr.clone(), from.clone(), axis_expr.span)?;
            input = Self::filtered(input, inside);
        }
        if let Some(to) = &to {
            let op = if inclusive { BinaryOp::LessOrEqual } else { BinaryOp::Less };
            let inside = self.binary(op, axis_expr.clone(), to.clone(), axis_expr.span)?;
            input = Self::filtered(input, inside);
        }
        let bucket = match &from {
            Some(from) if !inclusive => {
                self.call_of(registry.scalar("bin_at"), "bin_at", vec![axis_expr.clone(), step, from.clone()], operator.span)?
            }
            _ => self.call_of(registry.scalar("bin"), "bin", vec![axis_expr.clone(), step], operator.span)?,
        };
        // Aggregates as in summarize, grouped by the keys and the bucket.
        let mut keys: Vec<(TargetName, BoundExpr)> = Vec::new();
        for item in by {
            keys.push(self.group_key(item, &row, scope)?);
        }
        let mut ctx = ExprContext::new(&row, scope);
        ctx.aggregates = Some(Vec::new());
        let mut results: Vec<(TargetName, BoundExpr, Value)> = Vec::new();
        let mut failed = false;
        for item in items {
            let found = match self.aggregate_item(&item.expr, &mut ctx, &HashSet::new()) {
                Ok(found) => found,
                Err(BindError::Reported) => {
                    failed = true;
                    continue;
                }
                Err(stop) => return Err(stop),
            };
            for (wanted, e) in found {
                let default = match &item.default {
                    Some(default) => {
                        let d = self.scalar(default, &mut ExprContext::new(&empty, scope))?;
                        self.constant(&d, "the default of make-series")?.unwrap_or(Value::Null)
                    }
                    None if e.ty == Type::Real => Value::Real(0.0),
                    None => Value::Long(0),
                };
                results.push((wanted, e, default));
            }
        }
        if failed {
            return Err(BindError::Reported);
        }
        let axis_wanted = Self::target_name(axis);
        let all: Vec<(TargetName, BoundExpr)> = keys
            .iter()
            .cloned()
            .chain(results.iter().map(|(w, e, _)| (w.clone(), e.clone())))
            .chain([(axis_wanted, bucket.clone())])
            .collect();
        let written: Vec<NamedExpr> = by.iter().chain(items.iter().map(|i| &i.expr)).chain([axis]).cloned().collect();
        let names = self.resolve_targets(&all, HashSet::new(), &written, false)?;
        // Microsoft's language service leaves the columns of a function that gives several as they are.
        let parts: Vec<bool> = results.iter().map(|(w, _, _)| self.checking && matches!(w, TargetName::Part(_))).collect();
        let mut group_keys: Vec<(String, BoundExpr)> = names.iter().cloned().zip(keys.iter().map(|(_, e)| e.clone())).collect();
        let key_count = group_keys.len();
        group_keys.push(("__bucket".to_owned(), bucket));
        let aggregates = ctx.aggregates.take().unwrap_or_default();
        let grouped = self.grouped(input, group_keys, aggregates);
        // One column a result, as it is wanted.
        let mut columns: Vec<(BoundColumn, BoundExpr)> =
            grouped.columns.iter().map(|c| (c.clone(), BoundExpr::column(c, Span::default()))).collect();
        for (_, e, _) in &results {
            let id = self.id();
            columns.push((BoundColumn { id, name: format!("r{id}"), ty: e.ty }, e.clone()));
        }
        let inputs: Vec<ColId> = columns.iter().map(|(c, _)| c.id).collect();
        let projected = Self::projected(grouped, columns);
        let op = MakeSeries {
            keys: keys.iter().map(|(_, e)| e.ty).collect(),
            axis: axis_ty,
            from: from_value,
            to: to_value,
            step: step_value.unwrap_or(Value::Null),
            inclusive,
            series: results.iter().map(|(_, e, d)| SeriesColumn { ty: e.ty, default: d.clone() }).collect(),
            nonempty,
        };
        let mut out = Vec::with_capacity(names.len());
        for (i, name) in names.into_iter().enumerate() {
            let ty = match i.checked_sub(key_count) {
                None => keys[i].1.ty,
                Some(at) if parts.get(at) == Some(&true) => results[at].1.ty,
                Some(_) => Type::Dynamic,
            };
            out.push(BoundColumn { id: self.id(), name, ty });
        }
        Ok(self.computed(projected, inputs, Arc::new(op), out, false))
    }

    /// A registry function that an operator builds on.
    pub(in crate::binder) fn call_of(
        &mut self,
        function: Option<&'static crate::functions::ScalarFn>,
        name: &str,
        args: Vec<BoundExpr>,
        span: Span,
    ) -> Bind<BoundExpr> {
        match function {
            Some(function) => self.function_of(function, args, span),
            None => self.unsupported(span, &format!("the function {name}")),
        }
    }
}
