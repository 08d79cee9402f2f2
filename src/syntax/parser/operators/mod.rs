//! The tabular operators: one reading function each, which begins behind the operator's name.

mod columns;
mod combine;
mod expand;
mod graph;
mod patterns;
mod rows;
mod series;
pub(super) mod sources;
mod unsupported;

use super::{Parser, Read};
use crate::ast::{OperatorKind, Property};

/// Reads an operator behind its name; its options go to the vector.
pub(super) type Reader = fn(&mut Parser<'_>, &mut Vec<Property>) -> Read<OperatorKind>;

/// All operators by name, in the order of the names.
const OPERATORS: [(&str, Reader); 60] = [
    ("__executeAndCache", unsupported::execute_and_cache),
    ("__partitionby", unsupported::partition_by),
    ("as", rows::as_name),
    ("assert-schema", unsupported::assert_schema),
    ("consume", rows::consume),
    ("count", rows::count),
    ("distinct", columns::distinct),
    ("evaluate", sources::evaluate),
    ("extend", columns::extend),
    ("facet", expand::facet),
    ("filter", rows::filter),
    ("find", sources::find),
    ("fork", expand::fork),
    ("getschema", rows::getschema),
    ("graph-mark-components", graph::graph_mark_components),
    ("graph-match", graph::graph_match),
    ("graph-shortest-paths", graph::graph_shortest_paths),
    ("graph-to-table", graph::graph_to_table),
    ("graph-where-edges", graph::graph_where_edges),
    ("graph-where-nodes", graph::graph_where_nodes),
    ("inline_external_table", unsupported::inline_external_table),
    ("invoke", sources::invoke),
    ("join", combine::join),
    ("limit", rows::take),
    ("lookup", combine::lookup),
    ("macro-expand", unsupported::macro_expand),
    ("make-graph", graph::make_graph),
    ("make-series", series::make_series),
    ("mv-apply", expand::mv_apply),
    ("mv-expand", expand::mv_expand),
    ("mvapply", expand::mv_apply),
    ("mvexpand", expand::mvexpand),
    ("order", rows::sort),
    ("parse", patterns::parse),
    ("parse-kv", patterns::parse_kv),
    ("parse-where", patterns::parse_where),
    ("partition", expand::partition),
    ("print", sources::print),
    ("project", columns::project),
    ("project-away", columns::project_away),
    ("project-by-names", columns::project_by_names),
    ("project-keep", columns::project_keep),
    ("project-rename", columns::project_rename),
    ("project-reorder", columns::project_reorder),
    ("range", sources::range),
    ("reduce", rows::reduce),
    ("render", rows::render),
    ("sample", rows::sample),
    ("sample-distinct", rows::sample_distinct),
    ("scan", series::scan),
    ("search", sources::search),
    ("serialize", columns::serialize),
    ("sort", rows::sort),
    ("summarize", columns::summarize),
    ("take", rows::take),
    ("top", rows::top),
    ("top-hitters", rows::top_hitters),
    ("top-nested", series::top_nested),
    ("union", combine::union),
    ("where", rows::filter),
];

/// The function that reads an operator; `None` for a word that names none.
pub(super) fn reader(word: &str) -> Option<Reader> {
    let found = OPERATORS.binary_search_by(|(name, _)| (*name).cmp(word)).ok()?;
    Some(OPERATORS[found].1)
}

/// True for the name of an operator.
pub(super) fn is_operator(word: &str) -> bool {
    reader(word).is_some()
}

/// The names of all tabular operators that may appear behind a pipe.
pub fn operator_names() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|(name, _)| *name).filter(|name| !name.starts_with("__"))
}
