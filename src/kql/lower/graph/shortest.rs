//! Shortest paths, breadth first.
//!
//! Rules: Kusto documentation, "graph-shortest-paths operator". A path is as long as it has edges, and no node stands twice in one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use arrow::record_batch::RecordBatch;

use super::found::Found;
use super::matches::{BATCH, Matcher, Step};
use super::outputs::Outputs;
use crate::bound::graph::Matches;
use crate::room::{CountedVec, Held};

/// How far a path is: in which step of the pattern, after how many of its edges, and where.
type State = (usize, u32, u32);

/// Bytes of a state that is reached beside the piece of its path: a slot of a table that grows, and its place in a layer.
const REACHED: usize = 96;

/// A path of the search, as its last piece.
struct Piece {
    /// The piece before it, in the list of all.
    before: usize,
    /// The edge that leads here; `None` where a step ends.
    edge: Option<u32>,
    state: State,
}

/// A search for shortest paths, from one node after the other.
pub(super) struct Shortest {
    matcher: Matcher,
    outputs: Outputs,
    steps: Vec<Step>,
    /// The next node to search from.
    source: u32,
}

impl Shortest {
    pub(super) fn new(matcher: Matcher) -> Result<Shortest, String> {
        let steps = (0..matcher.pattern.edges.len()).map(|edge| matcher.step(edge, true)).collect::<Result<_, String>>()?;
        Ok(Shortest { outputs: matcher.outputs()?, steps, source: 0, matcher })
    }

    /// Bytes beside the graph's.
    pub(super) fn bytes(&self) -> usize {
        self.outputs.bytes()
    }

    /// The next shortest paths, from some of the nodes that may be first to each that may be last: one, or all of them; `None` when
    /// there are no more.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, String> {
        let mut found = Found::new(&self.matcher.pattern);
        let first = self.steps.first().map_or(0, |step| step.from);
        while found.count < BATCH && (self.source as usize) < self.matcher.graph.nodes.num_rows() {
            if self.matcher.may_be(first, self.source) {
                self.matcher.search_from(self.source, &self.steps, &mut found)?;
            }
            self.source += 1;
        }
        if found.count == 0 { Ok(None) } else { self.outputs.batch(&found).map(Some) }
    }
}

impl Matcher {
    fn search_from(&self, source: u32, steps: &[Step], found: &mut Found) -> Result<(), String> {
        let all = self.pattern.matches == Matches::AllShortest;
        let mut memory = Held::default();
        let mut pieces = CountedVec::default();
        pieces.push(Piece { before: usize::MAX, edge: None, state: (0, 0, source) })?;
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
                        memory.grow(length as usize * 2 * size_of::<u32>())?;
                        self.push_path(piece, &pieces, steps, found);
                    }
                    continue;
                };
                if hops >= current.pattern.min && self.may_be(current.to, node) {
                    let state = (step + 1, 0, node);
                    if reach(&mut reached, state, length, all) {
                        memory.grow(REACHED)?;
                        layer.push(pieces.len());
                        pieces.push(Piece { before: piece, edge: None, state })?;
                    }
                }
                if hops >= current.pattern.max || (hops > 0 && !self.may_be_inner(current, node)) {
                    continue;
                }
                let mut cursor = 0;
                while let Some((edge, other)) = self.next(current, node, &mut cursor) {
                    let state = (step, hops + 1, other);
                    if !on_path(piece, other, &pieces) && reach(&mut reached, state, length + 1, all) {
                        memory.grow(REACHED)?;
                        next.push(pieces.len());
                        pieces.push(Piece { before: piece, edge: Some(edge), state })?;
                    }
                }
            }
            layer = next;
            length += 1;
        }
        Ok(())
    }

    /// Keeps a path that is complete.
    fn push_path(&self, last: usize, pieces: &[Piece], steps: &[Step], found: &mut Found) {
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
        found.push(&nodes, paths.iter().map(|(edges, inner)| (edges.as_slice(), inner.as_slice())));
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
