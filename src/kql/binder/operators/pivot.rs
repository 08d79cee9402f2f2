//! The plugin `pivot`: it aggregates first, and then turns the values of a column into columns.

use crate::binder::expr::ExprContext;
use crate::binder::{Bind, Binder, RowInfo, Scope};
use crate::bound::*;
use crate::functions::plugins::{self, PluginArg, PluginInput, RowTable};
use crate::functions::{OfNoRows, Registry};
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_syntax::visit::{self, Visitor};
use kqlake_value::{Column, Json, Type, Value};

use super::evaluate::{ColumnsOfRows, PluginCall};

/// What `pivot` turns.
struct Pivot {
    /// The column whose values become columns.
    pivoted: BoundColumn,
    /// What their rows hold.
    aggregate: (ColId, BoundAggregate),
    /// The columns that stay.
    stay: Vec<BoundColumn>,
}

impl Binder<'_> {
    /// `pivot(column[, aggregate[, columns that stay…]])`: summarize first, then turn.
    pub(super) fn pivot(
        &mut self,
        input: Rel,
        name: &Name,
        args: &[Arg],
        declared: Option<Vec<Column>>,
        scope: &Scope,
    ) -> Bind<Rel> {
        let marks = if args.len() > 2 { Vec::new() } else { input.hidden.clone() };
        let Pivot { pivoted, aggregate: (id, aggregate), stay } = self.pivot_args(&input, name, args, scope)?;
        let empty = match (aggregate.function.of_no_rows, aggregate.ty) {
            (OfNoRows::Null, _) => Value::Null,
            (OfNoRows::Zero, Type::Real) => Value::Real(0.0),
            (OfNoRows::Zero, _) => Value::Long(0),
            (OfNoRows::EmptyArray, _) => Value::Dynamic(Json::Array(Vec::new())),
        };
        let ty = aggregate.ty;
        let mut keys = Vec::with_capacity(stay.len() + 1);
        for column in stay.iter().chain([&pivoted]) {
            let mut key = BoundExpr::column(column, name.span);
            // Dynamic values are compared by their text.
            if key.ty == Type::Dynamic && !self.is_untyped(&key) {
                key = self.coerce(key, Type::String)?;
            }
            keys.push((column.name.clone(), key));
        }
        let places = keys.len();
        let mut rel = self.grouped(input, keys, vec![(id, aggregate)]);
        rel.columns.push(BoundColumn { id, name: "__aggregate".to_owned(), ty });
        let columns = Self::columns_of(&rel);
        let Some(plugin) = plugins::find("pivot").next() else { return self.unsupported(name.span, "pivot") };
        let call = PluginCall {
            plugin,
            args: vec![PluginArg::Column(places - 1), PluginArg::Column(places), PluginArg::Constant(empty, ty)],
            appended: Vec::new(),
            unknown: false,
            looked_up: RowInfo::default(),
        };
        let left = stay.iter().map(|c| Column::new(c.name.clone(), c.ty)).collect();
        let follows = ColumnsOfRows { left, ty: Some(ty).filter(|_| !self.untyped.contains(id)) };
        let rows = self.rows_of(rel, None)?;
        let known = declared.is_some();
        let rel = match (rows, declared) {
            (None, Some(declared)) => return Ok(self.rows(declared, Vec::new())),
            (None, None) => None,
            (Some(batches), declared) => {
                let visible = columns.len();
                let table = RowTable { columns, batches };
                let result = PluginInput::new(&table, visible).and_then(|input| (plugin.run)(&input, &call.args));
                Some(self.plugin_result(result, declared, "pivot", name.span)?)
            }
        };
        match rel {
            Some(rel) if known => Ok(rel),
            rel => {
                let rel = self.columns_of_rows(rel, &follows, &call, name.span);
                for (column, stays) in rel.columns.iter().zip(&stay) {
                    self.untyped.pass_on(stays.id, column.id);
                }
                let rel = Self::open_as(rel, &marks);
                self.dynamic_again(rel, &stay, name.span)
            }
        }
    }

    /// Binds the arguments of `pivot`. Without an aggregate it counts; without columns that stay, all do that are not used.
    fn pivot_args(&mut self, input: &Rel, name: &Name, args: &[Arg], scope: &Scope) -> Bind<Pivot> {
        let row = RowInfo::of(input);
        let Some(first) = args.first() else {
            return self.error(code::ARITY, name.span, "pivot takes a column, and an aggregate");
        };
        let pivoted = self.scalar(&first.expr, &mut ExprContext::new(&row, scope))?;
        let BoundKind::Column(pivot_id) = pivoted.kind else {
            return self.error(code::TYPE, first.expr.span, "pivot takes a column");
        };
        if pivoted.ty == Type::Dynamic && !self.is_untyped(&pivoted) {
            let wrong = Diagnostic::error(code::TYPE, pivoted.span, "a dynamic value cannot name columns");
            return self.report(wrong.suggest("extend a tostring(…) of it first"));
        }
        let pivoted = BoundColumn { id: pivot_id, name: "__pivot".to_owned(), ty: pivoted.ty };
        let mut ctx = ExprContext::new(&row, scope);
        ctx.aggregates = Some(Vec::new());
        match args.get(1) {
            Some(aggregate) => {
                self.scalar(&aggregate.expr, &mut ctx)?;
            }
            None => {
                let Some(function) = Registry::get().aggregate("count") else { return self.unsupported(name.span, "pivot") };
                let aggregate = BoundAggregate { function, args: Vec::new(), filter: None, ty: Type::Long };
                self.add_aggregate(aggregate, &mut ctx, name.span);
            }
        }
        let aggregates = ctx.aggregates.take().unwrap_or_default();
        let [aggregate] = aggregates.as_slice() else {
            return self.error(code::TYPE, name.span, "the second argument of pivot is one aggregate, such as sum(x)");
        };
        let mut stay: Vec<BoundColumn> = Vec::new();
        let written = args.get(1);
        if args.len() > 2 {
            for arg in &args[2..] {
                let e = self.scalar(&arg.expr, &mut ExprContext::new(&row, scope))?;
                match row.columns.iter().find(|c| matches!(e.kind, BoundKind::Column(id) if id == c.id)) {
                    Some(column) => stay.push(column.clone()),
                    None => return self.error(code::TYPE, arg.expr.span, "a column is expected here"),
                }
            }
        } else {
            let (_, BoundAggregate { args, filter, .. }) = aggregate;
            // A value of no rows is null, and no column, where its use wants another type: the text has its name.
            let mut named = Names::default();
            written.iter().for_each(|arg| named.expr(&arg.expr));
            let used = |c: &BoundColumn| {
                let is_column = |p: &BoundExpr| matches!(p.kind, BoundKind::Column(id) if id == c.id);
                named.0.contains(&c.name.as_str()) || args.iter().chain(filter).any(|e| e.any(&is_column))
            };
            stay.extend(row.columns.iter().filter(|c| c.id != pivot_id && !used(c)).cloned());
        }
        Ok(Pivot { pivoted, aggregate: aggregate.clone(), stay })
    }

    /// Columns that stayed and were compared by their text are dynamic again.
    fn dynamic_again(&mut self, rel: Rel, stay: &[BoundColumn], span: Span) -> Bind<Rel> {
        let has_text = |(column, stays): (&BoundColumn, &BoundColumn)| stays.ty == Type::Dynamic && column.ty != stays.ty;
        if !rel.columns.iter().zip(stay).any(has_text) {
            return Ok(rel);
        }
        let mut columns = Vec::with_capacity(rel.columns.len());
        for (i, column) in rel.columns.clone().into_iter().enumerate() {
            let e = BoundExpr::column(&column, span);
            if stay.get(i).is_some_and(|stays| has_text((&column, stays))) {
                let e = self.convert(e, "todynamic", Type::Dynamic)?;
                columns.push((BoundColumn { id: self.id(), name: column.name, ty: Type::Dynamic }, e));
            } else {
                columns.push((column, e));
            }
        }
        Ok(Self::projected(rel, columns))
    }
}

/// The names that an expression reads.
#[derive(Default)]
struct Names<'t>(Vec<&'t str>);

impl<'t> Visitor<'t> for Names<'t> {
    fn expr(&mut self, expr: &'t Expr) {
        if let ExprKind::Name(name) = &expr.kind {
            self.0.push(&name.text);
        }
        visit::walk_expr(self, expr);
    }
}
