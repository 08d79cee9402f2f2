//! `top-nested`, `top-hitters`, `sample`, `sample-distinct`.

use std::collections::HashSet;

use crate::binder::expr::ExprContext;
use crate::binder::{Bind, Binder, RowInfo, Scope, names};
use crate::bound::*;
use crate::functions::Registry;
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};
use kqlake_value::{Type, Value};

/// A level of `top-nested`, bound over the input.
struct BoundLevel {
    count: Option<i64>,
    of: BoundExpr,
    name: String,
    aggregates: Vec<(ColId, BoundAggregate)>,
    /// The expression over the aggregates that orders the level.
    value: BoundExpr,
    shown: String,
    others: Option<BoundExpr>,
    ascending: bool,
}

/// The rows that the levels so far have kept, and the columns of the levels' values.
struct NestedRows {
    rel: Rel,
    keys: Vec<BoundColumn>,
}

/// A join of two trees with all their columns, or the left ones where the kind gives no others.
fn joined(left: Rel, right: Rel, kind: JoinKind, on: Vec<(BoundExpr, BoundExpr)>) -> Rel {
    let columns = match kind {
        JoinKind::LeftAnti => left.columns.clone(),
        _ => left.columns.iter().chain(&right.columns).cloned().collect(),
    };
    Rel {
        columns,
        hidden: Vec::new(),
        serialized: false,
        table_name: None,
        kind: RelKind::Join { left: Box::new(left), right: Box::new(right), kind, on },
    }
}

/// The equality of keys by their places; the shorter list counts.
fn pairs(left: &[BoundColumn], right: &[BoundColumn]) -> Vec<(BoundExpr, BoundExpr)> {
    let column = |c: &BoundColumn| BoundExpr::column(c, Span::default());
    left.iter().zip(right).map(|(l, r)| (column(l), column(r))).collect()
}

impl Binder<'_> {
    /// Each level groups by its column and those before it, keeps the first of its aggregate under each parent, and joins the
    /// parents' values. What a level with `others` does not keep is one more row under each parent.
    pub(super) fn top_nested(&mut self, input: Rel, operator: &Operator, written: &[NestedLevel], scope: &Scope) -> Bind<Rel> {
        self.not_in_sub_query(operator, "top-nested")?;
        let row = RowInfo::of(&input);
        let mut levels = Vec::with_capacity(written.len());
        for level in written {
            let level = self.nested_level(level, levels.len() + 1, &row, scope)?;
            levels.push(level);
        }
        let mut kept: Option<NestedRows> = None;
        let mut rests: Vec<Rel> = Vec::new();
        for at in 0..levels.len() {
            let parents = kept.take();
            let next = self.kept_rows(&input, parents.as_ref(), &levels[..=at]);
            if levels[at].others.is_some() {
                rests.push(self.other_rows(&input, parents.as_ref(), &next, &levels, at, operator.span)?);
            }
            kept = Some(next);
        }
        let Some(NestedRows { rel, .. }) = kept else {
            return self.error(code::SYNTAX, operator.span, "top-nested needs a level");
        };
        let rel = if rests.is_empty() { rel } else { self.nested_union(rel, rests) };
        // One scope of names: a second level of a name gets a number.
        let wanted: Vec<names::TargetName> = rel.columns.iter().map(|c| names::TargetName::Derived(c.name.clone())).collect();
        let settled = self.resolve_names(&wanted, HashSet::new(), false);
        let columns = rel.columns.iter().zip(settled).map(|(c, name)| BoundColumn { name, ..c.clone() }).collect();
        Ok(Self::closed(Self::renamed(rel, columns)))
    }

    fn nested_level(&mut self, level: &NestedLevel, number: usize, row: &RowInfo, scope: &Scope) -> Bind<BoundLevel> {
        let count = match &level.count {
            Some(count) => self.constant_long(count, scope, "the count of top-nested")?,
            None => None,
        };
        let of = self.scalar(&level.of.expr, &mut ExprContext::new(row, scope))?;
        if of.ty == Type::Dynamic && !self.is_untyped(&of) {
            let diagnostic =
                Diagnostic::error(code::TYPE, of.span, "a dynamic value cannot be grouped").suggest("wrap it in tostring(…)");
            self.not_run(diagnostic)?;
        }
        let name = match level.of.names.first() {
            Some(name) => name.text.clone(),
            None => names::derived(&level.of.expr).unwrap_or_else(|| format!("Column{number}")),
        };
        let mut ctx = ExprContext::new(row, scope);
        ctx.aggregates = Some(Vec::new());
        let value = self.aggregate_item(&level.by, &mut ctx, &HashSet::new())?;
        let Some((_, value)) = value.into_iter().next() else { return self.unsupported(level.by.expr.span, "this aggregate") };
        let shown = level.by.names.first().map_or_else(|| format!("aggregated_{name}"), |n| n.text.clone());
        let others = match &level.others {
            Some(others) => {
                let e = self.scalar(others, &mut ExprContext::new(&RowInfo::default(), scope))?;
                self.require_constant(&e, "the name of the others")?;
                Some(self.coerce(e, of.ty)?)
            }
            None => None,
        };
        Ok(BoundLevel {
            count,
            of,
            name,
            aggregates: ctx.aggregates.take().unwrap_or_default(),
            value,
            shown,
            others,
            ascending: level.ascending.unwrap_or(false),
        })
    }

    /// The rows of the last of these levels under the parents that were kept.
    fn kept_rows(&mut self, input: &Rel, parents: Option<&NestedRows>, levels: &[BoundLevel]) -> NestedRows {
        let source = if parents.is_some() { self.with_fresh_ids(input.clone()) } else { input.clone() };
        let remap = remapped(input, &source);
        let keys = levels.iter().map(|l| (l.name.clone(), remap_expr(&l.of, &remap))).collect();
        let level = &levels[levels.len() - 1];
        let (aggregates, value) = self.fresh_aggregates(level, &remap);
        let grouped = self.grouped(source, keys, aggregates);
        let mut columns: Vec<(BoundColumn, BoundExpr)> =
            grouped.columns.iter().map(|c| (c.clone(), BoundExpr::column(c, Span::default()))).collect();
        let result = BoundColumn { id: self.id(), name: level.shown.clone(), ty: value.ty };
        self.propagate_type(result.id, &value);
        columns.push((result.clone(), value));
        let key_columns = grouped.columns.clone();
        let mut rel = Self::projected(grouped, columns);
        let mut keys: Vec<BoundColumn> = key_columns.last().cloned().into_iter().collect();
        if let Some(above) = parents {
            // Under the parents that were kept: the keys of the levels before are equal.
            let on = pairs(&above.keys, &key_columns);
            let columns: Vec<BoundColumn> = above.rel.columns.iter().chain(&keys).chain([&result]).cloned().collect();
            rel = Self::renamed(joined(above.rel.clone(), rel, JoinKind::Inner, on), columns);
            keys.splice(0..0, above.keys.iter().cloned());
        }
        let key = BoundSortKey {
            expr: BoundExpr::column(&result, Span::default()),
            ascending: level.ascending,
            nulls_first: level.ascending,
        };
        let mut order = vec![key];
        if level.others.is_some()
            && let Some(own) = keys.last()
        {
            // The rows are computed twice, for themselves and for what they leave over: ties must fall the same way.
            order.push(BoundSortKey { expr: BoundExpr::column(own, Span::default()), ascending: true, nulls_first: true });
        }
        let sorted = Self::sorted(rel, order);
        let rel = match level.count {
            Some(count) => Rel {
                columns: sorted.columns.clone(),
                hidden: sorted.hidden.clone(),
                serialized: true,
                table_name: None,
                kind: RelKind::Limit {
                    input: Box::new(sorted),
                    count: count.max(0).unsigned_abs(),
                    partition: keys[..keys.len() - 1].iter().map(|c| c.id).collect(),
                },
            },
            None => sorted,
        };
        NestedRows { rel, keys }
    }

    /// The row of others under each parent of the level at `at`: the rows that no kept row of the level stands for. Deeper
    /// levels have no rows there; those with others of their own show that these rows are all others.
    fn other_rows(
        &mut self,
        input: &Rel,
        parents: Option<&NestedRows>,
        kept: &NestedRows,
        levels: &[BoundLevel],
        at: usize,
        span: Span,
    ) -> Bind<Rel> {
        let source = self.with_fresh_ids(input.clone());
        let remap = remapped(input, &source);
        let mut keys: Vec<BoundColumn> = Vec::new();
        let mut columns: Vec<(BoundColumn, BoundExpr)> =
            source.columns.iter().map(|c| (c.clone(), BoundExpr::column(c, span))).collect();
        for level in &levels[..=at] {
            let column = BoundColumn { id: self.id(), name: level.name.clone(), ty: level.of.ty };
            columns.push((column.clone(), remap_expr(&level.of, &remap)));
            keys.push(column);
        }
        let keyed = Self::projected(source, columns);
        let (found, found_keys) = self.nested_with_fresh_ids(kept);
        let rest = joined(keyed, found, JoinKind::LeftAnti, pairs(&keys, &found_keys));
        let Some(count) = Registry::get().aggregate("count") else { return self.unsupported(span, "top-nested") };
        let rows = self.id();
        let mut aggregates = vec![(rows, BoundAggregate { function: count, args: Vec::new(), filter: None, ty: Type::Long })];
        let mut values = Vec::new();
        for level in levels[at..].iter().filter(|l| l.others.is_some()) {
            let (own, value) = self.fresh_aggregates(level, &remap);
            aggregates.extend(own);
            values.push(value);
        }
        let group = keys[..at].iter().map(|c| (c.name.clone(), BoundExpr::column(c, span))).collect();
        let grouped = self.grouped(rest, group, aggregates);
        // Without parents there is a row even where nothing is left over.
        let any = BoundExpr::new(BoundKind::Column(rows), Type::Long, span);
        let none = BoundExpr::literal(Value::Long(0), Type::Long, span);
        let left_over = self.binary(BinaryOp::Greater, any, none, span)?;
        let group_keys = grouped.columns.clone();
        let mut rel = Self::filtered(grouped, left_over);
        let mut columns: Vec<(BoundColumn, BoundExpr)> = Vec::new();
        if let Some(above) = parents {
            let (above, above_keys) = self.nested_with_fresh_ids(above);
            columns.extend(above.columns.iter().map(|c| (c.clone(), BoundExpr::column(c, span))));
            rel = joined(above, rel, JoinKind::Inner, pairs(&above_keys, &group_keys));
        }
        let mut values = values.into_iter();
        for level in &levels[at..] {
            let (of, value) = match (&level.others, level.others.as_ref().and_then(|_| values.next())) {
                (Some(others), Some(value)) => (others.clone(), value),
                _ => (
                    BoundExpr::literal(missing(level.of.ty), level.of.ty, span),
                    BoundExpr::literal(missing(level.value.ty), level.value.ty, span),
                ),
            };
            columns.push((BoundColumn { id: self.id(), name: level.name.clone(), ty: of.ty }, of));
            columns.push((BoundColumn { id: self.id(), name: level.shown.clone(), ty: value.ty }, value));
        }
        Ok(Self::projected(rel, columns))
    }

    /// The kept rows and those of the others, whose columns are the same.
    fn nested_union(&mut self, kept: Rel, rests: Vec<Rel>) -> Rel {
        let columns: Vec<BoundColumn> = kept.columns.iter().map(|c| BoundColumn { id: self.id(), ..c.clone() }).collect();
        for (from, to) in kept.columns.iter().zip(&columns) {
            self.untyped.pass_on(from.id, to.id);
        }
        let inputs = std::iter::once(kept)
            .chain(rests)
            .map(|rel| {
                let exprs = rel.columns.iter().map(|c| BoundExpr::column(c, Span::default())).collect();
                (rel, exprs)
            })
            .collect();
        let ids = columns.iter().map(|c| c.id).collect();
        Rel { columns, hidden: Vec::new(), serialized: false, table_name: None, kind: RelKind::Union { inputs, ids } }
    }

    /// A level's aggregates over another copy of the input, under fresh ids.
    fn fresh_aggregates(&mut self, level: &BoundLevel, remap: &[(ColId, ColId)]) -> (Vec<(ColId, BoundAggregate)>, BoundExpr) {
        let mut ids = Vec::with_capacity(level.aggregates.len());
        let mut aggregates = Vec::with_capacity(level.aggregates.len());
        for (id, aggregate) in &level.aggregates {
            let fresh = self.id();
            self.untyped.pass_on(*id, fresh);
            ids.push((*id, fresh));
            aggregates.push((fresh, remap_aggregate(aggregate.clone(), remap)));
        }
        (aggregates, remap_expr(&level.value, &ids))
    }

    /// The same rows under fresh ids, and their keys.
    fn nested_with_fresh_ids(&mut self, nested: &NestedRows) -> (Rel, Vec<BoundColumn>) {
        let fresh = self.with_fresh_ids(nested.rel.clone());
        let keys = nested
            .keys
            .iter()
            .filter_map(|key| nested.rel.columns.iter().position(|c| c.id == key.id))
            .filter_map(|at| fresh.columns.get(at).cloned())
            .collect();
        (fresh, keys)
    }

    pub(super) fn top_hitters(
        &mut self,
        input: Rel,
        operator: &Operator,
        count: &Expr,
        of: &NamedExpr,
        by: Option<&NamedExpr>,
        scope: &Scope,
    ) -> Bind<Rel> {
        let row = RowInfo::of(&input);
        let n = self.constant_long(count, scope, "the count of top-hitters")?.unwrap_or(0);
        let (name, key) = self.key_column(of, &row, scope)?;
        let registry = Registry::get();
        let (function, args, shown) = match by {
            Some(by) => {
                let weight = self.scalar(&by.expr, &mut ExprContext::new(&row, scope))?;
                if !weight.ty.is_numeric() && !self.is_untyped(&weight) {
                    return self.error(code::TYPE, weight.span, format!("top-hitters weighs by a number, not by {}", weight.ty));
                }
                let weighed = names::derived(&by.expr).unwrap_or_default();
                (registry.aggregate("sum"), vec![weight], format!("approximate_sum_{weighed}"))
            }
            None => (registry.aggregate("count"), Vec::new(), format!("approximate_count_{name}")),
        };
        let Some(function) = function else { return self.unsupported(operator.keyword, "top-hitters") };
        let mut args = args;
        let aggregate = self.aggregate_of(function, &mut args, operator.span)?;
        let (id, ty) = (self.id(), aggregate.ty);
        let mut rel = self.grouped(input, vec![(name, key)], vec![(id, aggregate)]);
        let result = BoundColumn { id, name: shown, ty };
        rel.columns.push(result.clone());
        // Values of one weight: the greater one, so that the answer does not depend on the order of rows.
        let by_key = rel.columns.first().map(|c| BoundExpr::column(c, Span::default()));
        let keys = std::iter::once(BoundExpr::column(&result, Span::default()))
            .chain(by_key)
            .map(|expr| BoundSortKey { expr, ascending: false, nulls_first: false })
            .collect();
        let sorted = Self::sorted(rel, keys);
        Ok(self.limited(sorted, n))
    }

    /// Random rows of the first that come: it is meant to be fast, not fair.
    pub(super) fn sample(&mut self, input: Rel, count: &Expr, scope: &Scope) -> Bind<Rel> {
        const LOOKED_AT: i64 = 100_000;
        let n = self.constant_long(count, scope, "the count of sample")?.unwrap_or(0);
        let random = self.call_of(Registry::get().scalar("rand"), "rand", Vec::new(), count.span)?;
        let rows = if input.serialized || !self.partition.is_empty() { input } else { self.limited(input, n.max(LOOKED_AT)) };
        let shuffled = Self::sorted(rows, vec![BoundSortKey { expr: random, ascending: true, nulls_first: false }]);
        Ok(Rel { serialized: false, ..self.limited(shuffled, n) })
    }

    /// A column of the input to group by, and its name.
    fn key_column(&mut self, of: &NamedExpr, row: &RowInfo, scope: &Scope) -> Bind<(String, BoundExpr)> {
        let (_, key) = self.group_key(of, row, scope)?;
        match crate::binder::bare_name(&of.expr) {
            Some(name)
                if of.names.is_empty() && matches!(key.kind, BoundKind::Column(_) | BoundKind::Unknown | BoundKind::Untyped) =>
            {
                Ok((name.text.clone(), key))
            }
            _ => {
                let wrong = Diagnostic::error(code::TYPE, of.expr.span, "a column's name is expected here");
                self.report(wrong.suggest("extend the value as a column before it"))
            }
        }
    }

    pub(super) fn sample_distinct(&mut self, input: Rel, count: &Expr, of: &NamedExpr, scope: &Scope) -> Bind<Rel> {
        let n = self.constant_long(count, scope, "the count of sample-distinct")?.unwrap_or(0);
        let row = RowInfo::of(&input);
        let (name, key) = self.key_column(of, &row, scope)?;
        let rel = self.grouped(input, vec![(name, key)], Vec::new());
        Ok(self.limited(rel, n))
    }
}

/// Which id of a tree stands for which of the same tree under fresh ids.
fn remapped(from: &Rel, to: &Rel) -> Vec<(ColId, ColId)> {
    let promoted = |rel: &Rel, at: usize| rel.hidden.get(at).map(|h| h.id);
    let columns = from.columns.iter().zip(&to.columns).map(|(a, b)| (a.id, b.id));
    let hidden = (0..from.hidden.len()).filter_map(|i| Some((promoted(from, i)?, promoted(to, i)?)));
    columns.chain(hidden).collect()
}

fn remap_aggregate(a: BoundAggregate, map: &[(ColId, ColId)]) -> BoundAggregate {
    BoundAggregate {
        args: a.args.iter().map(|e| remap_expr(e, map)).collect(),
        filter: a.filter.as_ref().map(|e| remap_expr(e, map)),
        ..a
    }
}

/// The expression over the fresh ids.
pub(in crate::binder) fn remap_expr(e: &BoundExpr, map: &[(ColId, ColId)]) -> BoundExpr {
    let mut e = e.clone();
    e.replace_columns(&|id| map.iter().find(|(from, _)| *from == id).map_or(id, |(_, to)| *to));
    e
}

/// A typed missing value.
pub(in crate::binder) fn missing(ty: Type) -> Value {
    if ty == Type::String { Value::String(String::new()) } else { Value::Null }
}
