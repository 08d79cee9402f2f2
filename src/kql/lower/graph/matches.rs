//! Finding the matches of a pattern, depth first.

use super::{Graph, holds};
use crate::bound::graph::{GraphPattern, Matches, PatternEdge};

/// The most matches that are kept: what a mistake in a pattern makes has no end that anyone waits for.
const MAX_MATCHES: usize = 10_000_000;

/// A place that has no node yet.
const NONE: u32 = u32::MAX;

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
    pub(super) fn push<'p>(
        &mut self,
        nodes: &[u32],
        paths: impl IntoIterator<Item = (&'p [u32], &'p [u32])>,
    ) -> Result<(), String> {
        if self.count == MAX_MATCHES {
            return Err(format!("the pattern has more than {MAX_MATCHES} matches; narrow it with where"));
        }
        self.count += 1;
        for (all, node) in self.nodes.iter_mut().zip(nodes) {
            all.push(*node);
        }
        for (all, (edges, inner)) in self.paths.iter_mut().zip(paths) {
            all.edges.extend_from_slice(edges);
            all.inner.extend_from_slice(inner);
            all.ends.push(all.edges.len());
        }
        Ok(())
    }
}

/// What an edge of the pattern may be, in the order in which the search takes them.
pub(super) struct Step<'p> {
    /// Its place in the pattern.
    pub edge: usize,
    pub pattern: &'p PatternEdge,
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
pub(super) struct Matcher<'g> {
    pub(super) graph: &'g Graph,
    pub(super) pattern: &'g GraphPattern,
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
    /// The step's last edge.
    Edge(u32),
    /// The pattern's node that got its place.
    Node(usize),
}

impl<'g> Matcher<'g> {
    pub(super) fn new(graph: &'g Graph, pattern: &'g GraphPattern) -> Result<Matcher<'g>, String> {
        let of = |condition: &Option<_>| condition.as_ref().map(|c| holds(c, &graph.nodes)).transpose();
        let allowed = pattern.nodes.iter().map(of).collect::<Result<_, String>>()?;
        Ok(Matcher { graph, pattern, allowed })
    }

    /// True if a node may stand in a place of the pattern.
    pub(super) fn may_be(&self, place: usize, node: u32) -> bool {
        is_allowed(&self.allowed[place], node)
    }

    /// The nodes that may stand in a place of the pattern.
    pub(super) fn candidates(&self, place: usize) -> impl Iterator<Item = u32> + '_ {
        (0..self.graph.nodes.num_rows() as u32).filter(move |node| self.may_be(place, *node))
    }

    /// The edge of a place in the pattern as a step from one of its ends.
    pub(super) fn step(&self, edge: usize, rightward: bool) -> Result<Step<'g>, String> {
        let pattern = &self.pattern.edges[edge];
        let (from, to) = if rightward { (pattern.left, pattern.right) } else { (pattern.right, pattern.left) };
        let allowed = pattern.filter.as_ref().map(|c| holds(c, &self.graph.edges)).transpose()?;
        let allowed_inner = pattern.inner_filter.as_ref().map(|c| holds(c, &self.graph.nodes)).transpose()?;
        Ok(Step { edge, pattern, from, to, rightward, allowed, allowed_inner })
    }

    /// The next edge of a step from a node, from the `cursor`th of its edges on, and the node that it leads to.
    pub(super) fn next(&self, step: &Step<'_>, at: u32, cursor: &mut usize) -> Option<(u32, u32)> {
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
    pub(super) fn may_be_inner(&self, step: &Step<'_>, node: u32) -> bool {
        is_allowed(&step.allowed_inner, node)
    }

    /// The edges in an order in which each begins where the search has been, from the place with the fewest candidates on.
    fn order(&self) -> Result<(usize, Vec<Step<'g>>), String> {
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

    /// All matches.
    pub(super) fn all(&self) -> Result<Found, String> {
        let (start, steps) = self.order()?;
        let mut search = DepthFirst {
            matcher: self,
            steps: &steps,
            nodes: vec![NONE; self.allowed.len()],
            edges: steps.iter().map(|_| Vec::new()).collect(),
            visited: steps.iter().map(|_| Vec::new()).collect(),
            used_edges: vec![0; self.graph.sources.len()],
            used_nodes: vec![0; self.graph.nodes.num_rows()],
            found: Found::new(self.pattern),
        };
        for node in self.candidates(start) {
            search.from(start, node)?;
        }
        Ok(search.found)
    }
}

/// A depth-first search, one choice after the other. Its stack is its own: patterns may have long paths.
struct DepthFirst<'s, 'g> {
    matcher: &'s Matcher<'g>,
    steps: &'s [Step<'g>],
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

impl DepthFirst<'_, '_> {
    fn from(&mut self, start: usize, node: u32) -> Result<(), String> {
        self.nodes[start] = node;
        self.used_nodes[node as usize] += 1;
        let mut stack = vec![Frame { step: 0, at: node, hops: 0, cursor: 0, ended: false, undo: Undo::Nothing }];
        while let Some(frame) = stack.last_mut() {
            if let Some(next) = self.advance(frame)? {
                stack.push(next);
                continue;
            }
            if let Some(Frame { step, undo, .. }) = stack.pop() {
                match undo {
                    Undo::Nothing => {}
                    Undo::Node(place) => self.nodes[place] = NONE,
                    Undo::Edge(edge) => {
                        self.used_edges[edge as usize] -= 1;
                        self.edges[step].pop();
                        if let Some(node) = self.visited[step].pop() {
                            self.used_nodes[node as usize] -= 1;
                        }
                    }
                }
            }
        }
        self.used_nodes[node as usize] -= 1;
        self.nodes[start] = NONE;
        Ok(())
    }

    /// The next choice in a state; `None` when there is none left.
    fn advance(&mut self, frame: &mut Frame) -> Result<Option<Frame>, String> {
        let Some(step) = self.steps.get(frame.step) else {
            if !std::mem::replace(&mut frame.ended, true) {
                self.push()?;
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
    fn push(&mut self) -> Result<(), String> {
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
        self.found.push(&self.nodes, paths.iter().map(|(edges, inner)| (edges.as_slice(), inner.as_slice())))
    }
}
