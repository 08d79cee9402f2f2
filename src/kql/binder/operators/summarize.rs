//! `summarize`.

use std::collections::HashSet;

use crate::binder::expr::ExprContext;
use crate::binder::names::{self, TargetName};
use crate::binder::{Bind, BindError, Binder, RowInfo, Scope};
use crate::bound::*;
use crate::functions::{AggregateFn, Gives, Meaning, Registry};
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::{Type, Value};

impl Binder<'_> {
    pub(super) fn summarize(
        &mut self,
        input: Rel,
        aggregates: &[NamedExpr],
        by: &[NamedExpr],
        scope: &Scope,
        span: Span,
    ) -> Bind<Rel> {
        let row = RowInfo::of(&input);
        let mut failed = false;
        let mut keys: Vec<(TargetName, BoundExpr)> = Vec::new();
        for item in by {
            match self.group_key(item, &row, scope) {
                Ok(key) => keys.push(key),
                Err(BindError::Reported) => failed = true,
                Err(stop) => return Err(stop),
            }
        }
        let mut ctx = ExprContext::new(&row, scope);
        ctx.aggregates = Some(Vec::new());
        // A column that is a key is left out where an aggregate returns all columns.
        let key_names: HashSet<String> = keys
            .iter()
            .filter_map(|(_, e)| plain_column(e))
            .filter_map(|id| row.columns.iter().find(|c| c.id == id))
            .map(|c| c.name.clone())
            .collect();
        let mut results: Vec<(TargetName, BoundExpr)> = Vec::new();
        for item in aggregates {
            match self.aggregate_item(item, &mut ctx, &key_names) {
                Ok(found) => results.extend(found),
                Err(BindError::Reported) => failed = true,
                Err(stop) => return Err(stop),
            }
        }
        if failed {
            return Err(BindError::Reported);
        }
        if keys.is_empty() && results.is_empty() {
            if !aggregates.is_empty() && row.is_open() {
                // All columns of a table of which none is known.
                let kind = RelKind::Values(vec![Vec::new()]);
                let row_of_none = Rel { kind, ..crate::binder::source::empty_rel() };
                return Ok(Self::open_as(row_of_none, &row.hidden));
            }
            return self.error(code::SYNTAX, span, "summarize needs an aggregate or a key");
        }
        // Keys first in the order written, then aggregates; one scope of names.
        let all: Vec<(TargetName, BoundExpr)> = keys.iter().cloned().chain(results.iter().cloned()).collect();
        let items: Vec<NamedExpr> = by.iter().chain(aggregates).cloned().collect();
        let avoid = self.reserved_names(&row.columns);
        let settled = self.resolve_targets(&all, avoid, &items, false)?;
        let (key_names, result_names) = settled.split_at(keys.len());
        let bound = ctx.aggregates.take().unwrap_or_default();
        let named_keys = key_names.iter().cloned().zip(keys.into_iter().map(|(_, e)| e)).collect();
        let grouped = self.grouped(input, named_keys, bound);
        let mut columns: Vec<(BoundColumn, BoundExpr)> =
            grouped.columns.iter().map(|c| (c.clone(), BoundExpr::column(c, Span::default()))).collect();
        for (name, (_, e)) in result_names.iter().zip(results) {
            let id = match e.kind {
                BoundKind::Column(id) if !columns.iter().any(|(c, _)| c.id == id) => id,
                _ => self.id(),
            };
            self.propagate_type(id, &e);
            columns.push((BoundColumn { id, name: name.clone(), ty: e.ty }, e));
        }
        let rel = self.with_placeholders_again(Self::projected(grouped, columns));
        Ok(if aggregates.iter().any(returns_all_columns) { Self::open_as(rel, &row.hidden) } else { rel })
    }

    /// A key of `by`; dynamic values cannot be grouped.
    pub(in crate::binder) fn group_key(
        &mut self,
        item: &NamedExpr,
        row: &RowInfo,
        scope: &Scope,
    ) -> Bind<(TargetName, BoundExpr)> {
        let e = self.scalar(&item.expr, &mut ExprContext::new(row, scope))?;
        if e.ty == Type::Dynamic && !self.is_untyped(&e) {
            return self.report(
                Diagnostic::error(code::TYPE, e.span, "a dynamic value cannot be a group key").suggest("wrap it in tostring(…)"),
            );
        }
        Ok((Self::target_name(item), e))
    }

    /// One item of `summarize`: an expression over aggregates, or a call that gives several columns.
    pub(in crate::binder) fn aggregate_item(
        &mut self,
        item: &NamedExpr,
        ctx: &mut ExprContext<'_>,
        keys: &HashSet<String>,
    ) -> Bind<Vec<(TargetName, BoundExpr)>> {
        if let ExprKind::Call { function, args } = &item.expr.kind
            && !matches!(ctx.scope.find(&function.text), Some((super::super::Binding::Function(_), _)))
            && let Some(known) = Registry::get().aggregate(&function.text)
        {
            match known.gives {
                Gives::RowOfExtreme { greatest, older } => {
                    let form = ExtremeForm { known, greatest, older };
                    return self.arg_extreme(item, function, args, ctx, keys, form);
                }
                Gives::SomeRow { older } if !older || args.len() != 1 || matches!(args[0].expr.kind, ExprKind::Star) => {
                    return self.take_any(item, function, args, ctx, keys, older);
                }
                Gives::EachPercentage { of, weighted } => return self.percentiles(item, function, args, ctx, (of, weighted)),
                Gives::SomeRow { .. } | Gives::Value => {}
            }
        }
        let e = self.scalar(&item.expr, ctx)?;
        if let Some(found) = self.parts(item, &e)? {
            return Ok(found);
        }
        if item.tuple && item.names.len() > 1 {
            return self.error(code::TYPE, item.expr.span, format!("{} names stand before one value", item.names.len()));
        }
        Ok(vec![(Self::target_name(item), e)])
    }

    /// Binds an aggregate's argument, which sees columns.
    fn argument(&mut self, expr: &Expr, ctx: &mut ExprContext<'_>) -> Bind<BoundExpr> {
        ctx.in_aggregate = true;
        let e = self.scalar(expr, ctx);
        ctx.in_aggregate = false;
        e
    }

    /// `arg_max(v, a, b)` and `arg_max(v, *)`: the extreme first, then the columns of its row.
    fn arg_extreme(
        &mut self,
        item: &NamedExpr,
        function: &Name,
        args: &[Arg],
        ctx: &mut ExprContext<'_>,
        keys: &HashSet<String>,
        form: ExtremeForm,
    ) -> Bind<Vec<(TargetName, BoundExpr)>> {
        if args.is_empty() {
            return self.error(
                code::ARITY,
                function.span,
                format!("{} takes the value to look for and the columns to return", function.text),
            );
        }
        let ExtremeForm { known: arg_fn, greatest, older } = form;
        let by = self.argument(&args[0].expr, ctx)?;
        if matches!(by.ty, Type::Dynamic | Type::Guid) && !self.is_untyped(&by) {
            return self.report(
                Diagnostic::error(code::TYPE, by.span, format!("a {} has no order", by.ty))
                    .suggest("convert it, for example with tolong(…) or tostring(…)"),
            );
        }
        let by_name = names::argument_name(&args[0]);
        let mut returned: HashSet<ColId> = plain_column(&by).into_iter().collect();
        let mut by_star: HashSet<ColId> = HashSet::new();
        let mut values: Vec<(Option<String>, BoundExpr)> = Vec::new();
        for arg in &args[1..] {
            if matches!(arg.expr.kind, ExprKind::Star) {
                for column in ctx.row.columns.clone() {
                    if keys.contains(&column.name) || self.is_just_inferred(column.id) || !returned.insert(column.id) {
                        continue;
                    }
                    by_star.insert(column.id);
                    values.push((Some(column.name.clone()), BoundExpr::column(&column, arg.expr.span)));
                }
                continue;
            }
            let e = self.argument(&arg.expr, ctx)?;
            let name = names::argument_name(arg);
            if let Some(id) = plain_column(&e) {
                // Microsoft's language service does not repeat what `*` has added.
                if self.checking && by_star.contains(&id) {
                    continue;
                }
                returned.insert(id);
            }
            values.push((name, e));
        }
        if let Some(name) = item.names.get(values.len() + 1) {
            return self.error(
                code::ARITY,
                name.span,
                format!("'{}' has no value: there are {} columns", name.text, values.len() + 1),
            );
        }
        let mut out = Vec::with_capacity(values.len() + 1);
        let extreme = if greatest { "max" } else { "min" };
        let Some(extreme_fn) = Registry::get().aggregate(extreme) else {
            return self.unsupported(function.span, &function.text);
        };
        let first = BoundAggregate { function: extreme_fn, args: vec![by.clone()], filter: None, ty: by.ty };
        let first = self.add_aggregate(first, ctx, item.expr.span);
        let wanted = match (item.names.first(), &by_name) {
            (Some(name), _) => TargetName::Explicit(name.text.clone()),
            (None, Some(name)) if older => TargetName::Part(format!("{extreme}_{name}")),
            (None, Some(name)) => TargetName::Part(name.clone()),
            (None, None) => TargetName::Part(format!("{extreme}_")),
        };
        out.push((wanted, first));
        for (i, (name, e)) in values.into_iter().enumerate() {
            let ty = e.ty;
            let aggregate = BoundAggregate { function: arg_fn, args: vec![by.clone(), e], filter: None, ty };
            let column = self.add_aggregate(aggregate, ctx, item.expr.span);
            let wanted = match (item.tuple.then(|| item.names.get(i + 1)).flatten(), name) {
                (Some(name), _) => TargetName::Explicit(name.text.clone()),
                (None, Some(name)) if older => match &by_name {
                    Some(by) => TargetName::Part(format!("{extreme}_{by}_{name}")),
                    None => TargetName::Part(name),
                },
                (None, Some(name)) => TargetName::Part(name),
                (None, None) => TargetName::Part(format!("{extreme}_{}_arg{}", by_name.as_deref().unwrap_or_default(), i + 1)),
            };
            out.push((wanted, column));
        }
        Ok(out)
    }

    /// `take_any(*)` and `take_any(a, b)`.
    fn take_any(
        &mut self,
        item: &NamedExpr,
        function: &Name,
        args: &[Arg],
        ctx: &mut ExprContext<'_>,
        keys: &HashSet<String>,
        older: bool,
    ) -> Bind<Vec<(TargetName, BoundExpr)>> {
        let Some(any) = Registry::get().aggregate("take_any") else { return self.unsupported(function.span, &function.text) };
        let mut values: Vec<(Option<String>, BoundExpr)> = Vec::new();
        for arg in args {
            if matches!(arg.expr.kind, ExprKind::Star) {
                for column in ctx.row.columns.clone() {
                    if !keys.contains(&column.name) && !self.is_just_inferred(column.id) {
                        values.push((Some(column.name.clone()), BoundExpr::column(&column, arg.expr.span)));
                    }
                }
                continue;
            }
            let e = self.argument(&arg.expr, ctx)?;
            values.push((names::argument_name(arg), e));
        }
        if values.is_empty() && self.answers.is_some() && !ctx.row.is_open() {
            return self.error(code::ARITY, function.span, format!("{} takes at least one value", function.text));
        }
        // Several values are taken from one row; a single one from a row that has it ("take_any() (aggregation function)" in the
        // documentation). A tie for the least is won by the first row, whatever is returned.
        let together = Registry::get().aggregate("arg_min").filter(|_| values.len() > 1);
        let mut out = Vec::with_capacity(values.len());
        for (i, (name, e)) in values.into_iter().enumerate() {
            let ty = e.ty;
            let aggregate = match together {
                Some(function) => {
                    let tie = BoundExpr::literal(Value::Long(0), Type::Long, e.span);
                    BoundAggregate { function, args: vec![tie, e], filter: None, ty }
                }
                None => BoundAggregate { function: any, args: vec![e], filter: None, ty },
            };
            let column = self.add_aggregate(aggregate, ctx, item.expr.span);
            let wanted = match (item.names.get(i), name) {
                (Some(name), _) => TargetName::Explicit(name.text.clone()),
                (None, Some(name)) if older => TargetName::Part(format!("any_{name}")),
                (None, Some(name)) => TargetName::Part(name),
                (None, None) => TargetName::Part(format!("any_arg{i}")),
            };
            out.push((wanted, column));
        }
        Ok(out)
    }

    /// `percentile(x, p)` and `percentiles(x, p1, p2, …)`: one column a percentile, named after it.
    fn percentiles(
        &mut self,
        item: &NamedExpr,
        function: &Name,
        args: &[Arg],
        ctx: &mut ExprContext<'_>,
        (single, weighted): (&str, bool),
    ) -> Bind<Vec<(TargetName, BoundExpr)>> {
        let lead = if weighted { 2 } else { 1 };
        if args.len() <= lead {
            return self.error(
                code::ARITY,
                function.span,
                format!("{} takes a value and one or more percentages", function.text),
            );
        }
        let Some(percentile) = Registry::get().aggregate(single) else { return self.unsupported(function.span, &function.text) };
        let values = args[..lead].iter().map(|a| self.argument(&a.expr, ctx)).collect::<Bind<Vec<_>>>()?;
        let name = names::argument_name(&args[0]);
        let mut out = Vec::with_capacity(args.len() - lead);
        for (i, arg) in args[lead..].iter().enumerate() {
            let p = self.argument(&arg.expr, ctx)?;
            self.require_constant(&p, "the percentage")?;
            let shown = match p.as_literal().cloned() {
                Some(value) => {
                    let mut text = String::new();
                    kqlake_value::format::to_string(value.as_ref(&mut text)).replace('.', "_")
                }
                None => i.to_string(),
            };
            let shown = shown.strip_suffix("_0").map_or(shown.clone(), str::to_owned);
            let mut bound = values.clone();
            bound.push(p);
            let aggregate = self.aggregate_of(percentile, &mut bound, item.expr.span)?;
            let column = self.add_aggregate(aggregate, ctx, item.expr.span);
            let wanted = match item.names.get(i) {
                Some(name) => TargetName::Explicit(name.text.clone()),
                None => TargetName::Part(format!("percentile_{}_{shown}", name.as_deref().unwrap_or_default())),
            };
            out.push((wanted, column));
        }
        Ok(out)
    }
}

/// True for `arg_max(x, *)` and its kin.
fn returns_all_columns(item: &NamedExpr) -> bool {
    matches!(&item.expr.kind, ExprKind::Call { args, .. } if args.iter().any(|arg| matches!(arg.expr.kind, ExprKind::Star)))
}

/// How `arg_max` or its kin is called.
#[derive(Clone, Copy)]
struct ExtremeForm {
    known: &'static AggregateFn,
    greatest: bool,
    older: bool,
}

/// The column that an expression gives as it is: the column by name, or a conversion to the type that it has.
fn plain_column(e: &BoundExpr) -> Option<ColId> {
    match &e.kind {
        BoundKind::Column(id) => Some(*id),
        BoundKind::Call { function, args } if function.meaning == Some(Meaning::Conversion) => {
            let [arg] = args.as_slice() else { return None };
            if arg.ty == e.ty { plain_column(arg) } else { None }
        }
        _ => None,
    }
}
