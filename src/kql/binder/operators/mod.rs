//! Tabular operators, one file an operator or a close family.

mod apply;
mod branch;
mod evaluate;
mod expand;
mod externaldata;
mod filter;
mod find;
mod graph;
mod graph_search;
mod join;
mod parse;
mod pivot;
mod placeholder;
mod project;
mod reduce;
mod scan;
mod series;
mod shape;
mod sort;
mod sources;
mod summarize;
mod top;
mod union;

use super::{Bind, BindError, Binder, MAX_OPERATORS, Scope};
use crate::bound::{Rel, RelKind};
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};

impl Binder<'_> {
    /// One operator over its input (`None` where it comes first). `last` is true at the end of a pipe.
    pub(super) fn operator(&mut self, input: Option<Rel>, operator: &Operator, scope: &Scope, last: bool) -> Bind<Rel> {
        let input = match input {
            Some(rel) if self.repeated && renames_repeated_columns(&operator.kind) => Some(self.rename_repeated_columns(rel)),
            input => input,
        };
        match input {
            Some(rel) if self.checking && Self::is_open(&rel) => self.operator_over_unread(rel, operator, scope, last),
            input => {
                let rel = self.operator_over(input, operator, scope, last);
                // What stands behind would see a table without the columns that were named just now.
                if self.named.has_more_columns() { Err(BindError::Pending) } else { rel }
            }
        }
    }

    /// The same, of an input whose columns are those that it has.
    pub(in crate::binder) fn operator_over(
        &mut self,
        input: Option<Rel>,
        operator: &Operator,
        scope: &Scope,
        last: bool,
    ) -> Bind<Rel> {
        use OperatorKind as K;
        // Filters in a row become one and cost nothing.
        if !matches!(operator.kind, K::Where(_)) {
            self.operators += 1;
        }
        if self.operators > MAX_OPERATORS {
            return self.error(
                code::LIMIT,
                operator.keyword,
                format!("the query has more than {MAX_OPERATORS} operators, those of its functions and views included"),
            );
        }
        let input = match (&operator.kind, input) {
            (K::Print(_) | K::Range { .. } | K::Datatable { .. } | K::ExternalData { .. }, Some(_)) => {
                return self.error(code::SYNTAX, operator.keyword, "this operator begins a query; it takes no rows");
            }
            (K::Print(items), _) => return self.print(items, scope),
            (K::Range { column, from, to, step }, _) => return self.range(column, from, to, step, scope),
            (K::Datatable { columns, values }, _) => return self.datatable(columns, values, scope, operator.span),
            (K::ExternalData { columns, uris }, _) => return self.externaldata(operator, columns, uris, scope),
            (K::Union(tables), input) => return self.union(input, operator, tables, scope),
            (K::Search { tables, predicate }, input) => return self.search(input, operator, tables, predicate, scope),
            (K::Find { .. }, input) => return self.find(operator, input, &operator.kind, scope),
            (K::Evaluate { call, schema }, None) => return self.evaluate_first(operator, call, schema.as_ref()),
            (K::Unsupported(name), _) => return self.refused_operator(operator, name),
            (_, Some(input)) => input,
            (_, None) => {
                return self.error(code::SYNTAX, operator.keyword, "this operator needs rows: put a table and a pipe before it");
            }
        };
        if matches!(input.kind, RelKind::Graph(_)) && !takes_a_graph(&operator.kind) {
            return self.report(
                Diagnostic::error(code::TYPE, operator.keyword, "this operator takes rows, and a graph has none")
                    .suggest("ask the graph for some before: | graph-match …, or | graph-to-table nodes"),
            );
        }
        match &operator.kind {
            K::Where(predicate) => self.filter(input, predicate, scope),
            K::Project(items) => self.project(input, items, scope),
            K::Extend(items) => self.extend(input, items, scope),
            K::ProjectAway(patterns) => self.project_away(input, patterns, scope),
            K::ProjectKeep(patterns) => self.project_keep(input, patterns, scope),
            K::ProjectByNames(names) => self.project_by_names(input, names, scope),
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
            K::Parse { expr, pattern, filter } => self.parse(input, operator, expr, pattern, *filter, scope),
            K::ParseKv { expr, columns } => self.parse_kv(input, operator, expr, columns, scope),
            K::MvApply { items, limit, id, body } => {
                self.mv_apply(input, operator, items, limit.as_deref(), id.as_deref(), body, scope)
            }
            K::Partition { by, body, .. } => self.partition(input, by, body, scope),
            K::MakeSeries { items, axis, range, by } => self.make_series(input, operator, items, axis, range, by, scope),
            K::TopNested(levels) => self.top_nested(input, operator, levels, scope),
            K::TopHitters { count, of, by } => self.top_hitters(input, operator, count, of, by.as_deref(), scope),
            K::Sample(count) => self.sample(input, count, scope),
            K::SampleDistinct { count, of } => self.sample_distinct(input, count, of, scope),
            K::Fork(branches) => self.fork(input, operator, branches, scope),
            K::Facet { by, with } => self.facet(input, operator, by, with.as_ref(), scope),
            K::Invoke(call) => self.invoke(input, call, scope),
            K::Evaluate { call, schema } => self.evaluate(input, operator, call, schema.as_ref(), scope),
            K::Reduce { by } => self.reduce(input, operator, by, scope),
            K::Scan { .. } => self.scan(input, operator, &operator.kind, scope),
            K::Serialize(items) => self.serialize(input, items, scope),
            K::GetSchema => self.getschema(input, operator),
            K::As(name) => {
                let wanted = operator.property("hint.materialized").map(|p| shape::property_text(&p.value));
                let once = self.differs && wanted.is_some_and(|text| text.eq_ignore_ascii_case("true"));
                let input = if once { self.materialized(input)? } else { input };
                self.alias(input, name, scope)
            }
            K::Consume => self.consume(input),
            K::Render(kind) => self.render(input, operator, kind, last, scope),
            K::MakeGraph { source, target, nodes } => self.make_graph(input, operator, [source, target], nodes, scope),
            K::GraphSearch(search) => self.graph_search(input, operator, search, scope),
            K::GraphToTable(tables) => self.graph_to_table(input, operator, tables, scope),
            K::GraphMarkComponents => self.graph_mark_components(input, operator),
            K::GraphWhere { nodes, predicate } => self.graph_where(input, operator, *nodes, predicate, scope),
            K::Unsupported(name) => self.refused_operator(operator, name),
            _ => self.unsupported(operator.keyword, "this operator"),
        }
    }

    /// An operator that is read and does not run.
    fn refused_operator(&mut self, operator: &Operator, name: &str) -> Bind<Rel> {
        match crate::support::refusal(name) {
            Some(why) => self.error(code::UNSUPPORTED, operator.keyword, format!("the operator {name} is not supported: {why}")),
            None => self.unsupported(operator.keyword, &format!("the operator {name}")),
        }
    }
}

/// True for an operator that works on a graph.
fn takes_a_graph(kind: &OperatorKind) -> bool {
    use OperatorKind as K;
    matches!(kind, K::GraphSearch(_) | K::GraphToTable(_) | K::GraphMarkComponents | K::GraphWhere { .. } | K::As(_))
}

/// True for an operator that gives a second column of one name a number; others pass both on.
fn renames_repeated_columns(kind: &OperatorKind) -> bool {
    use OperatorKind as K;
    matches!(
        kind,
        K::Extend(_)
            | K::Serialize(_)
            | K::MvExpand { .. }
            | K::MvApply { .. }
            | K::Join { .. }
            | K::Lookup { .. }
            | K::ProjectRename(_)
            | K::ProjectReorder(_)
            | K::Evaluate { .. }
            | K::Scan { .. }
    )
}
