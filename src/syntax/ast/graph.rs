//! The parts of graph operators.

use super::{Expr, Name, NamedExpr, Property, Span};

/// A table of nodes of `make-graph … with table on key`.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphNodes {
    /// The table.
    pub table: Expr,
    /// Its column with the nodes' ids.
    pub key: Name,
}

/// What `graph-match` and `graph-shortest-paths` look for.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphSearch {
    /// `graph-shortest-paths`.
    pub shortest: bool,
    /// The pattern: sequences that share nodes by their names.
    pub paths: Vec<GraphPath>,
    /// `where predicate`.
    pub predicate: Option<Expr>,
    /// `project columns`.
    pub project: Vec<NamedExpr>,
}

/// A sequence of nodes of a graph pattern, with edges between them.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphPath {
    /// The first node.
    pub first: GraphNode,
    /// What follows: an edge and the node that it leads to.
    pub rest: Vec<(GraphEdge, GraphNode)>,
}

/// `(name)` in a graph pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphNode {
    /// The name, when written.
    pub name: Option<Name>,
    /// Parentheses included.
    pub span: Span,
}

/// `-[name*min..max]->` and the like in a graph pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphEdge {
    /// The name, when written.
    pub name: Option<Name>,
    /// Which way it leads.
    pub direction: GraphDirection,
    /// `*min..max`: so many edges in a row.
    pub hops: Option<(Expr, Expr)>,
    /// All of it.
    pub span: Span,
}

/// Which way an edge of a graph pattern leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphDirection {
    /// `-->`
    Right,
    /// `<--`
    Left,
    /// `--`
    Any,
}

/// A table that `graph-to-table` makes.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphTable {
    /// `nodes`, not `edges`.
    pub nodes: bool,
    /// `as name`.
    pub name: Option<Name>,
    /// `with_node_id = name` and the like.
    pub ids: Vec<Property>,
    /// All of it.
    pub span: Span,
}
