//! Tabular operators, one file an operator or a close family.

mod expand;
mod filter;
mod join;
mod project;
mod shape;
mod sort;
mod sources;
mod summarize;
mod union;

pub use sources::range_rows;

use super::{Bind, Binder, Scope};
use crate::kql::ast::*;
use crate::kql::bound::Rel;

impl Binder<'_> {
    /// One operator over its input (`None` where it stands first). `last` is true at the end of a pipe.
    pub(super) fn operator(&mut self, input: Option<Rel>, operator: &Operator, scope: &Scope, last: bool) -> Bind<Rel> {
        use OperatorKind as K;
        let input = match (&operator.kind, input) {
            (K::Print(items), _) => return self.print(items, scope),
            (K::Range { column, from, to, step }, _) => return self.range(column, from, to, step, scope),
            (K::Datatable { columns, values }, _) => return self.datatable(columns, values, scope, operator.span),
            (K::Union(tables), input) => return self.union(input, operator, tables, scope),
            (_, Some(input)) => input,
            (_, None) => return self.unsupported(operator.keyword, "this operator without an input"),
        };
        match &operator.kind {
            K::Where(predicate) => self.filter(input, predicate, scope),
            K::Project(items) => self.project(input, items, scope),
            K::Extend(items) => self.extend(input, items, scope),
            K::ProjectAway(patterns) => self.project_away(input, patterns, scope),
            K::ProjectKeep(patterns) => self.project_keep(input, patterns, scope),
            K::ProjectRename(pairs) => self.project_rename(input, pairs),
            K::ProjectReorder(items) => self.project_reorder(input, items),
            K::Summarize { aggregates, by } => self.summarize(input, aggregates, by, scope, operator.span),
            K::Sort(keys) => self.sort(input, keys, scope),
            K::Top { count, keys } => self.top(input, count, keys, scope),
            K::Take(count) => self.take(input, count, scope),
            K::Distinct(items) => self.distinct(input, items, scope),
            K::Count(name) => self.count(input, name.as_ref()),
            K::Join { right, on } => self.join(input, operator, right, on, scope),
            K::Lookup { right, on } => self.lookup(input, operator, right, on, scope),
            K::MvExpand { items, limit, legacy } => self.mv_expand(input, operator, items, limit.as_ref(), *legacy, scope),
            K::Serialize(items) => self.serialize(input, items, scope),
            K::GetSchema => self.getschema(&input, operator.span),
            K::As(name) => self.alias(input, name, scope),
            K::Consume => self.consume(input),
            K::Render(kind) => self.render(input, operator, kind, last),
            K::Unsupported(name) => self.unsupported(operator.keyword, &format!("the operator {name}")),
            _ => self.unsupported(operator.keyword, "this operator"),
        }
    }
}
