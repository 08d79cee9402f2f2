//! Finding the matches of a pattern, depth first.

use arrow::record_batch::RecordBatch;

use super::found::Found;
use super::outputs::Outputs;
use super::{Graph, holds};
use crate::bound::graph::{GraphPattern, Matches, PatternEdge};
use crate::room::Held;

/// Matches of a batch.
pub(super) const BATCH: usize = 8192;

/// A place that has no node yet.
const NONE: u32 = u32::MAX;

/// What an edge of the pattern may be, in the order in which the search takes them.
pub(super) struct Step {
    /// Its place in the pattern.
    pub edge: usize,
    pub pattern: PatternEdge,
    /// The pattern's node that the search comes from.
    pub from: usize,
    /// The one that it goes to.
    pub to: usize,
    /// It goes from the pattern's left to its right.
    pub rightward: bool,
    /// Which edges may stand here.
    allowed: Option<Vec<bool>>,
    /// Which nodes may be between two of them.
    allowed_inner: Option<Vec<bool>>,
}

/// A search for the matches of a pattern.
pub(super) struct Matcher {
    pub(super) graph: Graph,
    pub(super) pattern: GraphPattern,
    /// Which nodes may stand in each place.
    allowed: Vec<Option<Vec<bool>>>,
}

fn is_allowed(allowed: &Option<Vec<bool>>, place: u32) -> bool {
    allowed.as_ref().is_none_or(|allowed| allowed[place as usize])
}

/// A state of the search: the next edge to choose.
struct Frame {
    step: usize,
    /// The node that is reached.
    at: u32,
    /// Edges of this step so far.
    hops: u32,
    /// The next edge of the node to try.
    cursor: usize,
    /// The step was tried to end here.
    ended: bool,
    /// What is undone when the state is left.
    undo: Undo,
}

enum Undo {
    Nothing,
    /// The node that the search began at.
    Begin(u32),
    /// The step's last edge.
    Edge(u32),
    /// The pattern's node that got its place.
    Node(usize),
}

impl Matcher {
    pub(super) fn new(graph: Graph, pattern: GraphPattern) -> Result<Matcher, String> {
        let of = |condition: &Option<_>| condition.as_ref().map(|c| holds(c, &graph.nodes)).transpose();
        let allowed = pattern.nodes.iter().map(of).collect::<Result<_, String>>()?;
        Ok(Matcher { graph, pattern, allowed })
    }

    /// The columns of the matches.
    pub(super) fn outputs(&self) -> Result<Outputs, String> {
        Outputs::new(&self.graph, &self.pattern)
    }

    /// True if a node may stand in a place of the pattern.
    pub(super) fn may_be(&self, place: usize, node: u32) -> bool {
        is_allowed(&self.allowed[place], node)
    }

    /// The edge of a place in the pattern as a step from one of its ends.
    pub(super) fn step(&self, edge: usize, rightward: bool) -> Result<Step, String> {
        let pattern = self.pattern.edges[edge].clone();
        let (from, to) = if rightward { (pattern.left, pattern.right) } else { (pattern.right, pattern.left) };
        let allowed = pattern.filter.as_ref().map(|c| holds(c, &self.graph.edges)).transpose()?;
        let allowed_inner = pattern.inner_filter.as_ref().map(|c| holds(c, &self.graph.nodes)).transpose()?;
        Ok(Step { edge, pattern, from, to, rightward, allowed, allowed_inner })
    }

    /// The next edge of a step from a node, from the `cursor`th of its edges on, and the node that it leads to.
    pub(super) fn next(&self, step: &Step, at: u32, cursor: &mut usize) -> Option<(u32, u32)> {
        let (along, against) = if step.rightward {
            (step.pattern.forward, step.pattern.backward)
        } else {
            (step.pattern.backward, step.pattern.forward)
        };
        let outgoing = if along { self.graph.outgoing.of(at) } else { &[] };
        let incoming = if against { self.graph.incoming.of(at) } else { &[] };
        loop {
            let place = *cursor;
            *cursor += 1;
            let (edge, other) = match outgoing.get(place) {
                Some(edge) => (*edge, self.graph.targets[*edge as usize]),
                None => {
                    let edge = *incoming.get(place - outgoing.len())?;
                    let other = self.graph.sources[edge as usize];
                    // An edge from a node to itself was met among the outgoing ones.
                    if along && other == at {
                        continue;
                    }
                    (edge, other)
                }
            };
            if is_allowed(&step.allowed, edge) {
                return Some((edge, other));
            }
        }
    }

    /// True if a node may be between two edges of a step.
    pub(super) fn may_be_inner(&self, step: &Step, node: u32) -> bool {
        is_allowed(&step.allowed_inner, node)
    }

    /// The edges in an order in which each begins where the search has been, from the place with the fewest candidates on.
    fn order(&self) -> Result<(usize, Vec<Step>), String> {
        let fewest = (0..self.allowed.len()).min_by_key(|place| match &self.allowed[*place] {
            None => self.graph.nodes.num_rows(),
            Some(allowed) => allowed.iter().filter(|a| **a).count(),
        });
        let start = fewest.unwrap_or_default();
        let mut reached = vec![false; self.allowed.len()];
        reached[start] = true;
        let mut left: Vec<usize> = (0..self.pattern.edges.len()).collect();
        let mut steps = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let begins = |edge: &usize| reached[self.pattern.edges[*edge].left] || reached[self.pattern.edges[*edge].right];
            let at = left.iter().position(begins).ok_or("the pattern is not connected")?;
            let edge = left.remove(at);
            let rightward = reached[self.pattern.edges[edge].left];
            let step = self.step(edge, rightward)?;
            reached[step.to] = true;
            steps.push(step);
        }
        Ok((start, steps))
    }
}

/// A depth-first search, one choice after the other, that can be left and gone on with. Its stack is its own: patterns may have
/// long paths.
pub(super) struct DepthFirst {
    matcher: Matcher,
    outputs: Outputs,
    /// The place where the search begins, and the next node to try there.
    start: usize,
    candidate: u32,
    steps: Vec<Step>,
    stack: Vec<Frame>,
    /// The nodes chosen for the places of the pattern.
    nodes: Vec<u32>,
    /// For each step the edges chosen.
    edges: Vec<Vec<u32>>,
    /// For each step the nodes that these led to.
    visited: Vec<Vec<u32>>,
    /// How often each edge is in the match.
    used_edges: Vec<u32>,
    /// How often each node is.
    used_nodes: Vec<u32>,
    found: Found,
}

impl DepthFirst {
    pub(super) fn new(matcher: Matcher) -> Result<DepthFirst, String> {
        let (start, steps) = matcher.order()?;
        let used = (matcher.graph.sources.len() + matcher.graph.nodes.num_rows()) * size_of::<u32>();
        let _used = Held::of(used)?;
        let of_steps = || steps.iter().map(|_| Vec::new()).collect();
        Ok(DepthFirst {
            outputs: matcher.outputs()?,
            start,
            candidate: 0,
            stack: Vec::new(),
            nodes: vec![NONE; matcher.allowed.len()],
            edges: of_steps(),
            visited: of_steps(),
            used_edges: vec![0; matcher.graph.sources.len()],
            used_nodes: vec![0; matcher.graph.nodes.num_rows()],
            found: Found::new(&matcher.pattern),
            steps,
            matcher,
        })
    }

    /// Bytes beside the graph's.
    pub(super) fn bytes(&self) -> usize {
        self.outputs.bytes() + size_of_val(self.used_edges.as_slice()) + size_of_val(self.used_nodes.as_slice())
    }

    /// The next matches; `None` when there are no more.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, String> {
        while self.found.count < BATCH {
            let Some(mut frame) = self.stack.pop() else {
                if !self.begin() {
                    break;
                }
                continue;
            };
            match self.advance(&mut frame)? {
                Some(next) => self.stack.extend([frame, next]),
                None => self.leave(&frame),
            }
        }
        if self.found.count == 0 {
            return Ok(None);
        }
        let found = std::mem::replace(&mut self.found, Found::new(&self.matcher.pattern));
        self.outputs.batch(&found).map(Some)
    }

    /// Begins at the next node that may be first; false when there is none.
    fn begin(&mut self) -> bool {
        while (self.candidate as usize) < self.used_nodes.len() {
            let node = self.candidate;
            self.candidate += 1;
            if self.matcher.may_be(self.start, node) {
                self.nodes[self.start] = node;
                self.used_nodes[node as usize] = 1;
                self.stack.push(Frame { step: 0, at: node, hops: 0, cursor: 0, ended: false, undo: Undo::Begin(node) });
                return true;
            }
        }
        false
    }

    /// Undoes the choice that led to a state.
    fn leave(&mut self, frame: &Frame) {
        match frame.undo {
            Undo::Nothing => {}
            Undo::Begin(node) => {
                self.nodes[self.start] = NONE;
                self.used_nodes[node as usize] = 0;
            }
            Undo::Node(place) => self.nodes[place] = NONE,
            Undo::Edge(edge) => {
                self.used_edges[edge as usize] -= 1;
                self.edges[frame.step].pop();
                if let Some(node) = self.visited[frame.step].pop() {
                    self.used_nodes[node as usize] -= 1;
                }
            }
        }
    }

    /// The next choice in a state; `None` when there is none left.
    fn advance(&mut self, frame: &mut Frame) -> Result<Option<Frame>, String> {
        let Some(step) = self.steps.get(frame.step) else {
            if !std::mem::replace(&mut frame.ended, true) {
                self.push();
            }
            return Ok(None);
        };
        if !std::mem::replace(&mut frame.ended, true) && frame.hops >= step.pattern.min {
            let chosen = self.nodes[step.to];
            let fits = if chosen == NONE { self.matcher.may_be(step.to, frame.at) } else { chosen == frame.at };
            if fits {
                let undo = if chosen == NONE { Undo::Node(step.to) } else { Undo::Nothing };
                self.nodes[step.to] = frame.at;
                let at = self.steps.get(frame.step + 1).map_or(frame.at, |next| self.nodes[next.from]);
                return Ok(Some(Frame { step: frame.step + 1, at, hops: 0, cursor: 0, ended: false, undo }));
            }
        }
        if frame.hops >= step.pattern.max || (frame.hops > 0 && !self.matcher.may_be_inner(step, frame.at)) {
            return Ok(None);
        }
        while let Some((edge, other)) = self.matcher.next(step, frame.at, &mut frame.cursor) {
            let again = match self.matcher.pattern.matches {
                Matches::All => false,
                Matches::NoCycles => self.used_nodes[other as usize] > 0,
                _ => self.used_edges[edge as usize] > 0,
            };
            if again {
                continue;
            }
            self.used_edges[edge as usize] += 1;
            self.used_nodes[other as usize] += 1;
            self.edges[frame.step].push(edge);
            self.visited[frame.step].push(other);
            let (step, hops) = (frame.step, frame.hops + 1);
            return Ok(Some(Frame { step, at: other, hops, cursor: 0, ended: false, undo: Undo::Edge(edge) }));
        }
        Ok(None)
    }

    /// Keeps the match that is complete.
    fn push(&mut self) {
        let mut paths: Vec<(Vec<u32>, Vec<u32>)> = self.steps.iter().map(|_| Default::default()).collect();
        for (at, step) in self.steps.iter().enumerate() {
            let mut edges = self.edges[at].clone();
            // The last node that a step led to is its end.
            let mut inner = self.visited[at].split_last().map_or_else(Vec::new, |(_, inner)| inner.to_vec());
            if !step.rightward {
                edges.reverse();
                inner.reverse();
            }
            paths[step.edge] = (edges, inner);
        }
        self.found.push(&self.nodes, paths.iter().map(|(edges, inner)| (edges.as_slice(), inner.as_slice())));
    }
}
