//! Functions of the language that are known by name only: those of graph queries, of Microsoft's storage, and internal ones.
//!
//! A query that uses one is refused with the function's name and the reason, instead of with an unknown name.

use crate::functions::{ArgType, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::Type;

const ANY: &[Param] = &[Param::opt("argument", ArgType::Any)];
const GRAPHS: &str = "it is for the names in a pattern of graph-match or graph-shortest-paths";
const STORED_GRAPHS: &str = "a lake has no stored graphs; make one: | make-graph source --> target";
const GRAPH_DOC: &str = "For the elements of a graph query.";
const STORAGE: &str = "it tells of the engine's own storage, which a local lake does not have";
const SKETCHES: &str = "Microsoft does not document it; dcount_hll and percentile_tdigest give null for what is no sketch";

const fn refused(name: &'static str, returns: Type, why: &'static str, doc: &'static str) -> ScalarFn {
    ScalarFn::new(name, ANY, Returns::Type(returns), ScalarImpl::Unsupported(why), doc).variadic()
}

/// The functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    refused("all", Type::Bool, GRAPHS, GRAPH_DOC),
    refused("graph", Type::Dynamic, STORED_GRAPHS, "A stored graph by name."),
    refused("inner_nodes", Type::Dynamic, GRAPHS, GRAPH_DOC),
    refused("labels", Type::Dynamic, GRAPHS, GRAPH_DOC),
    refused("map", Type::Dynamic, GRAPHS, GRAPH_DOC),
    refused("node_degree_in", Type::Long, GRAPHS, GRAPH_DOC),
    refused("node_degree_out", Type::Long, GRAPHS, GRAPH_DOC),
    refused("node_id", Type::String, GRAPHS, GRAPH_DOC),
    refused("current_node_id", Type::String, STORAGE, "The server that a query runs on."),
    refused("row_id", Type::String, STORAGE, "A row's place in storage."),
    refused("rowstore_ordinal_range", Type::Bool, STORAGE, "Rows by their place in storage."),
    refused("hll_isvalid", Type::Bool, SKETCHES, "Whether a value is a sketch made by hll."),
    refused("tdigest_isvalid", Type::Bool, SKETCHES, "Whether a value is a sketch made by tdigest."),
];
