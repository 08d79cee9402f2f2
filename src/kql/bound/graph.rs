//! Graphs: `make-graph` and what asks a graph for rows.

use super::{BoundColumn, BoundExpr, HiddenColumn, Rel};
use kqlake_value::Type;

/// A graph. It has no rows of its own: operators over a graph ask it for some.
#[derive(Debug, Clone)]
pub(crate) struct BoundGraph {
    /// Rows of nodes and of edges in one: whether it is an edge, a node's id or an edge's source, an edge's target, the columns
    /// of nodes, those of edges.
    pub input: Box<Rel>,
    /// What its columns mean.
    pub shape: GraphShape,
}

/// What the rows of a graph's input are.
#[derive(Debug, Clone)]
pub(crate) struct GraphShape {
    /// The nodes' ids: the first column of nodes, which queries do not see.
    pub key: BoundColumn,
    /// Properties of nodes that the input has.
    pub nodes: Vec<BoundColumn>,
    /// Properties of edges.
    pub edges: Vec<BoundColumn>,
    /// The ids as a property of nodes: `with_node_id`.
    pub id: Option<BoundColumn>,
    /// What is done to the graph before it is asked, in order.
    pub steps: Vec<GraphStep>,
    /// What marks tables of nodes of which more columns may be named.
    pub of_nodes: Vec<HiddenColumn>,
    /// The same of edges.
    pub of_edges: Vec<HiddenColumn>,
}

impl GraphShape {
    /// All properties of nodes, in order.
    pub(crate) fn properties(&self) -> Vec<BoundColumn> {
        let marks = self.steps.iter().filter_map(|step| match step {
            GraphStep::Mark { column, .. } => Some(column),
            _ => None,
        });
        self.id.iter().chain(&self.nodes).chain(marks).cloned().collect()
    }
}

/// An operator that makes a graph of a graph.
#[derive(Debug, Clone)]
pub(crate) enum GraphStep {
    /// Keeps nodes, and edges between them.
    Nodes(BoundExpr),
    /// Keeps edges.
    Edges(BoundExpr),
    /// Gives each node the number of its component, from 0.
    Mark { column: BoundColumn, strong: bool },
}

/// What is asked of a graph.
#[derive(Debug, Clone)]
pub(crate) struct BoundGraphQuery {
    /// The graph.
    pub shape: GraphShape,
    /// The question.
    pub question: GraphQuestion,
}

/// What a graph gives.
#[derive(Debug, Clone)]
pub(crate) enum GraphQuestion {
    /// A row a node: its id and its properties.
    Nodes,
    /// A row an edge: its properties.
    Edges,
    /// A row for each match of a pattern.
    Matches(GraphPattern),
}

/// A pattern to look for.
#[derive(Debug, Clone)]
pub(crate) struct GraphPattern {
    /// The pattern's nodes: what must hold for each.
    pub nodes: Vec<Option<BoundExpr>>,
    /// Its edges.
    pub edges: Vec<PatternEdge>,
    /// Which matches count.
    pub matches: Matches,
    /// The columns of the result.
    pub outputs: Vec<MatchOutput>,
}

/// Which matches of a pattern count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matches {
    /// All of them.
    All,
    /// Those without an edge that stands twice.
    UniqueEdges,
    /// Those without a node that stands twice.
    NoCycles,
    /// One of the fewest edges for each pair of first and last node.
    AnyShortest,
    /// All of the fewest edges for each pair of first and last node.
    AllShortest,
}

/// An edge of a pattern.
#[derive(Debug, Clone)]
pub(crate) struct PatternEdge {
    /// The pattern's node before it.
    pub left: usize,
    /// The one behind it.
    pub right: usize,
    /// It may lead from left to right.
    pub forward: bool,
    /// It may lead from right to left.
    pub backward: bool,
    /// The fewest edges in its place.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// What must hold for each edge.
    pub filter: Option<BoundExpr>,
    /// What must hold for each node between two of its edges.
    pub inner_filter: Option<BoundExpr>,
}

/// A column of the matches.
#[derive(Debug, Clone)]
pub(crate) struct MatchOutput {
    /// Type.
    pub ty: Type,
    /// The value.
    pub value: MatchValue,
}

/// What a match tells.
#[derive(Debug, Clone)]
pub(crate) enum MatchValue {
    /// An expression over the properties of a node of the pattern.
    Node { node: usize, value: BoundExpr },
    /// How many edges lead to or from a node.
    Degree { node: usize, incoming: bool },
    /// An expression over the properties of an edge of the pattern.
    Edge { edge: usize, value: BoundExpr },
    /// An expression over each edge, or each inner node, in the place of an edge.
    Each { edge: usize, inner_nodes: bool, value: BoundExpr, fold: EachFold },
}

/// What becomes of the values of a row of edges or nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EachFold {
    /// `all`: whether all are true.
    All,
    /// `any`: whether one is true.
    Any,
    /// `map`: an array of them.
    Array,
}
