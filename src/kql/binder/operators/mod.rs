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
mod no_rows;
mod parse;
mod project;
mod scan;
mod series;
mod shape;
mod sort;
mod sources;
mod summarize;
mod top;
mod union;

use super::{Bind, Binder, MAX_OPERATORS, Scope};
use crate::bound::{Rel, RelKind};
use kqlake_syntax::ast::*;
use kqlake_syntax::diagnostics::{Diagnostic, code};

impl Binder<'_> {
    /// One operator over its input (`None` where it comes first). `last` is true at the end of a pipe.
    ///
    /// Where an input's columns follow from rows that are not read, any name that is not known otherwise is one of them: the
    /// operator is bound once to learn those names, and again with them.
    pub(super) fn operator(&mut self, input: Option<Rel>, operator: &Operator, scope: &Scope, last: bool) -> Bind<Rel> {
        let input = match input {
            Some(rel) if self.repeated && renames_repeated_columns(&operator.kind) => Some(self.rename_repeated_columns(rel)),
            input => input,
        };
        let Some(open) = input.as_ref().filter(|rel| Self::is_open(rel)).cloned() else {
            return self.operator_over(input, operator, scope, last);
        };
        if self.computes_of_no_rows(&operator.kind) {
            self.type_as_dynamic(&open);
        }
        let outer = std::mem::take(&mut self.inferred);
        let (found, extra, generated) = (self.diagnostics.len(), self.extra_tables.len(), self.generated);
        let (asked, answered) = (self.request.is_some(), self.next_answer);
        // While an operator around this one is learning, this one is not bound twice: that would double with each level.
        let learning = std::mem::replace(&mut self.learning, true);
        let result = self.operator_over(input, operator, scope, last);
        self.learning = learning;
        let names = std::mem::replace(&mut self.inferred, outer);
        if names.is_empty() || learning {
            return self.left_open(result, &operator.kind);
        }
        self.diagnostics.truncate(found);
        self.extra_tables.truncate(extra);
        self.generated = generated;
        self.next_answer = answered;
        if !asked {
            self.request = None;
        }
        let mut input = open;
        let outer = std::mem::take(&mut self.just_inferred);
        self.add_untyped(&mut input, &names);
        if !self.checking {
            for name in &names {
                let taken =
                    format!("'{}' is taken for a column: which there are follows from rows, and there are none", name.text);
                self.warn(name.span, taken);
            }
            if self.computes_of_no_rows(&operator.kind) {
                self.type_as_dynamic(&input);
            }
        }
        let result = self.operator_over(Some(input), operator, scope, last);
        self.just_inferred = outer;
        self.left_open(result, &operator.kind)
    }

    /// To Microsoft's language service, what an operator makes of a table of unknown columns may have unknown columns too, even
    /// where it says which there are.
    fn left_open(&mut self, result: Bind<Rel>, kind: &OperatorKind) -> Bind<Rel> {
        use OperatorKind as K;
        let mut rel = result?;
        if !self.checking {
            return Ok(self.of_no_rows(rel, kind));
        }
        let closes = matches!(
            kind,
            K::Count(_) | K::GetSchema | K::Reduce { .. } | K::Evaluate { .. } | K::Consume | K::Fork(_) | K::Facet { .. }
        );
        if !closes && !Self::is_open(&rel) {
            rel.hidden.push(self.open_marker());
        }
        Ok(rel)
    }

    fn operator_over(&mut self, input: Option<Rel>, operator: &Operator, scope: &Scope, last: bool) -> Bind<Rel> {
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
            K::GetSchema => self.getschema(&input, operator),
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
