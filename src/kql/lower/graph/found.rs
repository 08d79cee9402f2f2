//! Matches of a pattern as places of nodes and edges.

use crate::bound::graph::GraphPattern;

/// The matches of a pattern.
pub(super) struct Found {
    /// How many.
    pub count: usize,
    /// For each node of the pattern, the nodes of the matches.
    pub nodes: Vec<Vec<u32>>,
    /// For each edge of the pattern, the edges of the matches.
    pub paths: Vec<Paths>,
}

/// Rows of edges, one a match.
#[derive(Default)]
pub(super) struct Paths {
    /// Where each match's edges end.
    pub ends: Vec<usize>,
    /// The edges, from the pattern's left to its right.
    pub edges: Vec<u32>,
    /// The nodes between them: one fewer than edges, none for no edges.
    pub inner: Vec<u32>,
}

impl Found {
    pub(super) fn new(pattern: &GraphPattern) -> Found {
        Found {
            count: 0,
            nodes: pattern.nodes.iter().map(|_| Vec::new()).collect(),
            paths: pattern.edges.iter().map(|_| Paths::default()).collect(),
        }
    }

    /// Adds a match: its nodes, and for each edge of the pattern its edges from left to right and the nodes between them.
    pub(super) fn push<'p>(&mut self, nodes: &[u32], paths: impl IntoIterator<Item = (&'p [u32], &'p [u32])>) {
        self.count += 1;
        for (all, node) in self.nodes.iter_mut().zip(nodes) {
            all.push(*node);
        }
        for (all, (edges, inner)) in self.paths.iter_mut().zip(paths) {
            all.edges.extend_from_slice(edges);
            all.inner.extend_from_slice(inner);
            all.ends.push(all.edges.len());
        }
    }
}
