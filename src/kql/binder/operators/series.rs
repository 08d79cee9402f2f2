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

/// What a make-series runs along.
struct SeriesAxis {
    expr: BoundExpr,
    /// Where the first bucket begins; the least value of the rows where it is not given.
    from: Option<BoundExpr>,
    /// Where the last bucket ends; the greatest value of the rows where it is not given.
    to: Option<BoundExpr>,
    step: BoundExpr,
    /// `in range(…)`, the older form: the end is part of the range.
    inclusive: bool,
}

/// One wanted series.
struct Series {
    name: TargetName,
    value: BoundExpr,
    /// The value of a bucket without rows.
    default: Value,
}

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
        let axis_name = Self::target_name(axis);
        let along = self.series_axis(axis, range, &row, scope)?;
        let op = self.series_range(&along, nonempty, operator.span)?;
        let input = self.inside_of_axis(input, &along)?;
        let bucket = self.series_bucket(&along, operator.span)?;
        // Aggregates as in summarize, grouped by the keys and the bucket.
        let mut keys: Vec<(TargetName, BoundExpr)> = Vec::new();
        for item in by {
            keys.push(self.group_key(item, &row, scope)?);
        }
        let (series, aggregates) = self.series_items(items, &row, scope)?;
        let all: Vec<(TargetName, BoundExpr)> = keys
            .iter()
            .cloned()
            .chain(series.iter().map(|s| (s.name.clone(), s.value.clone())))
            .chain([(axis_name, bucket.clone())])
            .collect();
        let written: Vec<NamedExpr> = by.iter().chain(items.iter().map(|i| &i.expr)).chain([axis]).cloned().collect();
        let names = self.resolve_targets(&all, HashSet::new(), &written, false)?;
        let mut group_keys: Vec<(String, BoundExpr)> = names.iter().cloned().zip(keys.iter().map(|(_, e)| e.clone())).collect();
        group_keys.push(("__bucket".to_owned(), bucket));
        let grouped = self.grouped(input, group_keys, aggregates);
        // One column a series, as it is wanted.
        let mut columns: Vec<(BoundColumn, BoundExpr)> =
            grouped.columns.iter().map(|c| (c.clone(), BoundExpr::column(c, Span::default()))).collect();
        for Series { value, .. } in &series {
            let id = self.id();
            columns.push((BoundColumn { id, name: format!("r{id}"), ty: value.ty }, value.clone()));
        }
        let inputs: Vec<ColId> = columns.iter().map(|(c, _)| c.id).collect();
        let projected = Self::projected(grouped, columns);
        let op = MakeSeries {
            keys: keys.iter().map(|(_, e)| e.ty).collect(),
            series: series.iter().map(|s| SeriesColumn { ty: s.value.ty, default: s.default.clone() }).collect(),
            ..op
        };
        let mut types: Vec<Type> = op.keys.clone();
        // Microsoft's language service leaves the columns of a function that gives several as they are.
        types.extend(series.iter().map(|s| match s.name {
            TargetName::Part(_) if self.checking => s.value.ty,
            _ => Type::Dynamic,
        }));
        types.push(Type::Dynamic);
        let out = names.into_iter().zip(types).map(|(name, ty)| BoundColumn { id: self.id(), name, ty }).collect();
        Ok(self.computed(projected, inputs, Arc::new(op), out, false))
    }

    /// Binds the axis, and the bounds and the step that have to fit it.
    fn series_axis(&mut self, axis: &NamedExpr, range: &SeriesRange, row: &RowInfo, scope: &Scope) -> Bind<SeriesAxis> {
        let mut expr = self.scalar(&axis.expr, &mut ExprContext::new(row, scope))?;
        if self.is_untyped(&expr) {
            // The step says what an axis of unknown type is taken for.
            let (SeriesRange::Step { step, .. } | SeriesRange::InRange { step, .. }) = range;
            let step = self.scalar(step, &mut ExprContext::new(&RowInfo::default(), scope))?;
            let ty = if step.ty == Type::TimeSpan { Type::DateTime } else { Type::Long };
            expr = self.as_wanted(expr, ty);
        }
        if !expr.ty.is_summable() {
            let message = format!("the axis of make-series is a number, datetime or timespan, not {}", expr.ty);
            return self.error(code::TYPE, expr.span, message);
        }
        let ty = if expr.ty == Type::Int { Type::Long } else { expr.ty };
        let expr = self.coerce(expr, ty)?;
        let (from, to, step, inclusive) = match range {
            SeriesRange::Step { from, to, step } => (from.as_ref(), to.as_ref(), step, false),
            SeriesRange::InRange { start, stop, step } => (Some(start), Some(stop), step, true),
        };
        let from = from.map(|e| self.of_axis(e, ty, ty, scope)).transpose()?;
        let to = to.map(|e| self.of_axis(e, ty, ty, scope)).transpose()?;
        let step = self.of_axis(step, ty, if ty == Type::DateTime { Type::TimeSpan } else { ty }, scope)?;
        Ok(SeriesAxis { expr, from, to, step, inclusive })
    }

    /// A bound or the step of an axis of type `axis`, as a `ty`.
    fn of_axis(&mut self, e: &Expr, axis: Type, ty: Type, scope: &Scope) -> Bind<BoundExpr> {
        let e = self.scalar(e, &mut ExprContext::new(&RowInfo::default(), scope))?;
        let fits = e.ty == ty || (e.ty.is_numeric() && ty.is_numeric() && e.ty.widest(ty) == Some(ty));
        if !fits && !self.is_untyped(&e) {
            let message = format!("an axis of type {axis} needs a {ty} here, not {}", e.ty);
            return self.error(code::TYPE, e.span, message);
        }
        self.coerce(e, ty)
    }

    /// The axis with its constants, still without keys and series.
    fn series_range(&mut self, axis: &SeriesAxis, nonempty: bool, span: Span) -> Bind<MakeSeries> {
        let step = self.constant(&axis.step, "the step of make-series")?.unwrap_or(Value::Null);
        let from = match &axis.from {
            // The older form counts its buckets as bin() does: the first one may begin before the start.
            Some(e) if axis.inclusive => {
                let args = vec![e.clone(), axis.step.clone()];
                let first = self.call_of(Registry::get().scalar("bin"), "bin", args, span)?;
                self.constant(&first, "the start of make-series")?
            }
            Some(e) => self.constant(e, "the start of make-series")?,
            None => None,
        };
        let to = match &axis.to {
            Some(e) => self.constant(e, "the end of make-series")?,
            None => None,
        };
        let (keys, series) = (Vec::new(), Vec::new());
        Ok(MakeSeries { keys, axis: axis.expr.ty, from, to, step, inclusive: axis.inclusive, series, nonempty })
    }

    /// The rows inside of the range.
    fn inside_of_axis(&mut self, mut input: Rel, axis: &SeriesAxis) -> Bind<Rel> {
        let to = if axis.inclusive { BinaryOp::LessOrEqual } else { BinaryOp::Less };
        for (op, bound) in [(BinaryOp::GreaterOrEqual, &axis.from), (to, &axis.to)] {
            if let Some(bound) = bound {
                let inside = self.binary(op, axis.expr.clone(), bound.clone(), axis.expr.span)?;
                input = self.filtered_in_sub_query(input, inside);
            }
        }
        Ok(input)
    }

    /// The bucket of a row.
    fn series_bucket(&mut self, axis: &SeriesAxis, span: Span) -> Bind<BoundExpr> {
        let registry = Registry::get();
        let mut args = vec![axis.expr.clone(), axis.step.clone()];
        match &axis.from {
            Some(from) if !axis.inclusive => {
                args.push(from.clone());
                self.call_of(registry.scalar("bin_at"), "bin_at", args, span)
            }
            _ => self.call_of(registry.scalar("bin"), "bin", args, span),
        }
    }

    /// The wanted series, and the aggregates that they are made of.
    fn series_items(
        &mut self,
        items: &[SeriesItem],
        row: &RowInfo,
        scope: &Scope,
    ) -> Bind<(Vec<Series>, Vec<(ColId, BoundAggregate)>)> {
        let mut ctx = ExprContext::new(row, scope);
        ctx.aggregates = Some(Vec::new());
        let mut series = Vec::new();
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
            for (name, value) in found {
                let default = match &item.default {
                    Some(default) => {
                        let d = self.scalar(default, &mut ExprContext::new(&RowInfo::default(), scope))?;
                        self.constant(&d, "the default of make-series")?.unwrap_or(Value::Null)
                    }
                    None if value.ty == Type::Real => Value::Real(0.0),
                    None => Value::Long(0),
                };
                series.push(Series { name, value, default });
            }
        }
        if failed {
            return Err(BindError::Reported);
        }
        Ok((series, ctx.aggregates.take().unwrap_or_default()))
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
