//! Shortest paths, breadth first.
//!
//! Rules: Kusto documentation, "graph-shortest-paths operator". A path is as long as it has edges, and no node stands twice in one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::found::Found;
use super::matches::{Matcher, Step};
use crate::bound::graph::Matches;

/// How far a path is: in which step of the pattern, after how many of its edges, and where.
type State = (usize, u32, u32);

/// A path of the search, as its last piece.
struct Piece {
    /// The piece before it, in the list of all.
    before: usize,
    /// The edge that leads here; `None` where a step ends.
    edge: Option<u32>,
    state: State,
}

impl Matcher {
    /// The shortest paths from each node that may be first to each that may be last: one, or all of them.
    pub(super) fn shortest(&self) -> Result<Found, String> {
        let steps: Vec<Step> = (0..self.pattern.edges.len()).map(|edge| self.step(edge, true)).collect::<Result<_, String>>()?;
        let mut found = Found::new(&self.pattern);
        let first = steps.first().map_or(0, |step| step.from);
        for source in self.candidates(first) {
            self.search_from(source, &steps, &mut found)?;
        }
        Ok(found)
    }

    fn search_from(&self, source: u32, steps: &[Step], found: &mut Found) -> Result<(), String> {
        let all = self.pattern.matches == Matches::AllShortest;
        let mut pieces = vec![Piece { before: usize::MAX, edge: None, state: (0, 0, source) }];
        // At which length each state was reached, and each last node.
        let mut reached: HashMap<State, u32> = HashMap::from([((0, 0, source), 0)]);
        let mut targets: HashMap<u32, u32> = HashMap::new();
        let mut layer = vec![0];
        let mut length = 0;
        while !layer.is_empty() {
            let mut next = Vec::new();
            // Steps that end add no edge: they are taken within the layer.
            let mut at = 0;
            while at < layer.len() {
                let piece = layer[at];
                at += 1;
                let (step, hops, node) = pieces[piece].state;
                let Some(current) = steps.get(step) else {
                    let known = targets.get(&node).copied();
                    if node != source && (known.is_none() || (all && known == Some(length))) {
                        targets.insert(node, length);
                        self.push_path(piece, &pieces, steps, found)?;
                    }
                    continue;
                };
                if hops >= current.pattern.min && self.may_be(current.to, node) {
                    let state = (step + 1, 0, node);
                    if reach(&mut reached, state, length, all) {
                        layer.push(pieces.len());
                        pieces.push(Piece { before: piece, edge: None, state });
                    }
                }
                if hops >= current.pattern.max || (hops > 0 && !self.may_be_inner(current, node)) {
                    continue;
                }
                let mut cursor = 0;
                while let Some((edge, other)) = self.next(current, node, &mut cursor) {
                    let state = (step, hops + 1, other);
                    if !on_path(piece, other, &pieces) && reach(&mut reached, state, length + 1, all) {
                        next.push(pieces.len());
                        pieces.push(Piece { before: piece, edge: Some(edge), state });
                    }
                }
            }
            layer = next;
            length += 1;
        }
        Ok(())
    }

    /// Keeps a path that is complete.
    fn push_path(&self, last: usize, pieces: &[Piece], steps: &[Step], found: &mut Found) -> Result<(), String> {
        let mut paths: Vec<(Vec<u32>, Vec<u32>)> = steps.iter().map(|_| Default::default()).collect();
        let mut nodes = vec![0; self.pattern.nodes.len()];
        let mut at = last;
        while let Some(piece) = pieces.get(at) {
            let (step, _, node) = piece.state;
            match piece.edge {
                Some(edge) => {
                    let (edges, inner) = &mut paths[step];
                    // From the end to the start: the first that is met is where the step ends.
                    if !edges.is_empty() {
                        inner.push(node);
                    }
                    edges.push(edge);
                }
                None => {
                    let place = step.checked_sub(1).map_or_else(|| steps.first().map_or(0, |s| s.from), |ended| steps[ended].to);
                    nodes[place] = node;
                }
            }
            at = piece.before;
        }
        for (edges, inner) in &mut paths {
            edges.reverse();
            inner.reverse();
        }
        found.push(&nodes, paths.iter().map(|(edges, inner)| (edges.as_slice(), inner.as_slice())))
    }
}

/// Notes that a state is reached. True the first time, and with `all` for others of the same length.
fn reach(reached: &mut HashMap<State, u32>, state: State, length: u32, all: bool) -> bool {
    match reached.entry(state) {
        Entry::Vacant(entry) => {
            entry.insert(length);
            true
        }
        Entry::Occupied(entry) => all && *entry.get() == length,
    }
}

/// True if a path has a node already.
fn on_path(mut at: usize, node: u32, pieces: &[Piece]) -> bool {
    while let Some(piece) = pieces.get(at) {
        if piece.state.2 == node {
            return true;
        }
        at = piece.before;
    }
    false
}
