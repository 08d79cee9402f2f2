//! `top-nested`, `top-hitters`, `sample`, `sample-distinct`.

use std::collections::HashSet;

use crate::kql::ast::*;
use crate::kql::binder::expr::Ctx;
use crate::kql::binder::names;
use crate::kql::binder::{Bind, Binder, RowInfo, Scope};
use crate::kql::bound::*;
use crate::kql::diagnostics::code;
use crate::kql::functions::Registry;
use crate::kql::types::Type;
use crate::kql::value::Value;

impl Binder<'_> {
    /// Each level groups by its column and those before it, keeps the first of its aggregate under each parent, and joins the
    /// parents' values.
    pub(super) fn top_nested(&mut self, input: Rel, operator: &Operator, levels: &[NestedLevel], scope: &Scope) -> Bind<Rel> {
        self.not_in_sub_query(operator, "top-nested")?;
        let row = RowInfo::of(&input);
        let mut parents: Option<Rel> = None;
        let mut key_exprs: Vec<(String, BoundExpr)> = Vec::new();
        // For each level so far: its value's and its aggregate's column in `parents`.
        let mut done: Vec<(BoundColumn, BoundColumn, bool)> = Vec::new();
        for level in levels {
            let count = match &level.count {
                Some(count) => self.constant_long(count, scope, "the count of top-nested")?,
                None => None,
            };
            let of = self.scalar(&level.of.expr, &mut Ctx::new(&row, scope))?;
            if of.ty == Type::Dynamic {
                return self.error(code::TYPE, of.span, "a dynamic value cannot be grouped; wrap it in tostring(…)");
            }
            let name = match level.of.names.first() {
                Some(name) => name.text.clone(),
                None => names::derived(&level.of.expr).unwrap_or_else(|| format!("Column{}", done.len() + 1)),
            };
            key_exprs.push((name.clone(), of));
            let mut ctx = Ctx::new(&row, scope);
            ctx.aggregates = Some(Vec::new());
            let value = self.aggregate_item(&level.by, &mut ctx, &HashSet::new())?;
            let Some((_, value)) = value.into_iter().next() else { return self.unsupported(operator.keyword, "this aggregate") };
            let shown = level.by.names.first().map_or_else(|| format!("aggregated_{name}"), |n| n.text.clone());
            let aggregates = ctx.aggregates.take().unwrap_or_default();
            let source = if parents.is_some() { self.fresh(input.clone()) } else { input.clone() };
            let remap = remapped(&input, &source);
            let keys = key_exprs.iter().map(|(n, e)| (n.clone(), remap_expr(e, &remap))).collect();
            let aggregates = aggregates.into_iter().map(|(id, a)| (id, remap_aggregate(a, &remap))).collect();
            let grouped = self.grouped(source, keys, aggregates);
            let mut columns: Vec<(BoundColumn, BoundExpr)> =
                grouped.columns.iter().map(|c| (c.clone(), BoundExpr::column(c, Span::default()))).collect();
            let result = BoundColumn { id: self.id(), name: shown, ty: value.ty };
            columns.push((result.clone(), value));
            let key_columns = grouped.columns.clone();
            let mut rel = Self::projected(grouped, columns);
            let Some(this) = key_columns.last().cloned() else { continue };
            if let Some(above) = parents.take() {
                // Under the parents that were kept: the keys of the levels before are equal.
                let on = done
                    .iter()
                    .zip(&key_columns)
                    .map(|((parent, _, _), key)| {
                        (BoundExpr::column(parent, Span::default()), BoundExpr::column(key, Span::default()))
                    })
                    .collect();
                let columns: Vec<BoundColumn> = above.columns.iter().chain([&this, &result]).cloned().collect();
                let joined = Rel {
                    columns: above.columns.iter().chain(&rel.columns).cloned().collect(),
                    hidden: Vec::new(),
                    serialized: false,
                    table_name: None,
                    kind: RelKind::Join { left: Box::new(above), right: Box::new(rel), kind: JoinKind::Inner, on },
                };
                rel = Self::renamed(joined, columns);
            }
            done.push((this, result.clone(), level.others.is_some()));
            if let Some(others) = &level.others {
                return self.unsupported(others.span, "'with others' of top-nested");
            }
            let ascending = level.ascending.unwrap_or(false);
            let key = BoundSortKey { expr: BoundExpr::column(&result, Span::default()), ascending, nulls_first: ascending };
            let sorted = Self::sorted(rel, vec![key]);
            let limited = match count {
                Some(count) => {
                    let partition = done[..done.len() - 1].iter().map(|(c, _, _)| c.id).collect();
                    Rel {
                        columns: sorted.columns.clone(),
                        hidden: sorted.hidden.clone(),
                        serialized: true,
                        table_name: None,
                        kind: RelKind::Limit { input: Box::new(sorted), count: count.max(0).unsigned_abs(), partition },
                    }
                }
                None => sorted,
            };
            parents = Some(limited);
        }
        match parents {
            Some(rel) => {
                // One scope of names: a second level of a name gets a number.
                let wanted: Vec<names::Wanted> = rel.columns.iter().map(|c| names::Wanted::Derived(c.name.clone())).collect();
                let settled = names::settle(&wanted, &HashSet::new());
                let columns = rel.columns.iter().zip(settled).map(|(c, name)| BoundColumn { name, ..c.clone() }).collect();
                Ok(Self::renamed(rel, columns))
            }
            None => self.error(code::SYNTAX, operator.span, "top-nested needs a level"),
        }
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
        self.not_in_sub_query(operator, "top-hitters")?;
        let row = RowInfo::of(&input);
        let n = self.constant_long(count, scope, "the count of top-hitters")?.unwrap_or(0);
        let (wanted, key) = self.group_key(of, &row, scope)?;
        let name = match wanted {
            names::Wanted::Explicit(name) | names::Wanted::Derived(name) => name,
            names::Wanted::Generated => "Column1".to_owned(),
        };
        let registry = Registry::get();
        let (function, args, shown) = match by {
            Some(by) => {
                let weight = self.scalar(&by.expr, &mut Ctx::new(&row, scope))?;
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

    /// Any rows: the first that come.
    pub(super) fn sample(&mut self, input: Rel, count: &Expr, scope: &Scope) -> Bind<Rel> {
        let n = self.constant_long(count, scope, "the count of sample")?.unwrap_or(0);
        Ok(self.limited(input, n))
    }

    pub(super) fn sample_distinct(&mut self, input: Rel, count: &Expr, of: &NamedExpr, scope: &Scope) -> Bind<Rel> {
        let n = self.constant_long(count, scope, "the count of sample-distinct")?.unwrap_or(0);
        let row = RowInfo::of(&input);
        let (wanted, key) = self.group_key(of, &row, scope)?;
        let name = match wanted {
            names::Wanted::Explicit(name) | names::Wanted::Derived(name) => name,
            names::Wanted::Generated => "Column1".to_owned(),
        };
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
pub(in crate::kql::binder) fn remap_expr(e: &BoundExpr, map: &[(ColId, ColId)]) -> BoundExpr {
    let mut e = e.clone();
    e.replace_columns(&|id| map.iter().find(|(from, _)| *from == id).map_or(id, |(_, to)| *to));
    e
}

/// A typed missing value.
pub(in crate::kql::binder) fn missing(ty: Type) -> Value {
    if ty == Type::String { Value::String(String::new()) } else { Value::Null }
}
