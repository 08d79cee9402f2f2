//! Edges cut where they cross, and the boundaries of what they wind around: unions, intersections and buffers.
//!
//! A point is wound around once by each polygon that contains it, when edges have their polygon on the left. What is wound
//! around at least once is the union, what is wound around twice the intersection of two.

use std::collections::HashMap;

use super::edges::{Edge, Fan, close_pairs};
use super::sphere::{Crossing, Point, changes_side, crossing, distance_to_edge, intersection, sign};

/// Vertices nearer to each other than this, in radians, are one: some ten times the error of a computed vertex, and less than a
/// tenth of a micrometre.
const MERGE: f64 = 1e-14;

/// A part of an input edge between two vertices of the arrangement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// The places of its ends.
    pub from: usize,
    pub to: usize,
    /// The place of the input edge.
    pub source: usize,
}

/// Edges cut at all crossings, with one vertex for what is in one place.
#[derive(Debug)]
pub(super) struct Arrangement {
    pub points: Vec<Point>,
    /// The pieces of all edges, in their order.
    pub pieces: Vec<Piece>,
}

/// Points that are merged with those that are close.
#[derive(Default)]
struct Vertices {
    points: Vec<Point>,
    cells: HashMap<[i64; 3], Vec<usize>>,
}

impl Vertices {
    fn place(&mut self, p: Point) -> usize {
        const CELL: f64 = 1e-12;
        let cells = |v: f64| {
            let (low, high) = (((v - MERGE) / CELL).floor() as i64, ((v + MERGE) / CELL).floor() as i64);
            low..=high
        };
        for x in cells(p.x) {
            for y in cells(p.y) {
                for z in cells(p.z) {
                    let known = self.cells.get(&[x, y, z]).into_iter().flatten();
                    if let Some(at) = known.copied().find(|at| self.points[*at].minus(p).norm() <= MERGE) {
                        return at;
                    }
                }
            }
        }
        let cell = [p.x, p.y, p.z].map(|v| (v / CELL).floor() as i64);
        self.points.push(p);
        self.cells.entry(cell).or_default().push(self.points.len() - 1);
        self.points.len() - 1
    }
}

impl Arrangement {
    /// Cuts edges where they cross or touch; where `cuts` is false for a pair of input edges, their crossing is left as it is.
    pub(super) fn new(edges: &[Edge], cuts: impl Fn(usize, usize) -> bool) -> Arrangement {
        let mut vertices = Vertices::default();
        let ends: Vec<(usize, usize)> = edges.iter().map(|(a, b)| (vertices.place(*a), vertices.place(*b))).collect();
        let mut inner: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
        close_pairs(edges, |first, second| {
            if !cuts(first, second) {
                return;
            }
            let ((a, b), (c, d)) = (ends[first], ends[second]);
            // A vertex that lies on the other edge.
            for (edge, vertex) in [(first, c), (first, d), (second, a), (second, b)] {
                let (from, to) = ends[edge];
                if vertex != from && vertex != to && from != to {
                    let [p, q, v] = [from, to, vertex].map(|at| vertices.points[at]);
                    if distance_to_edge(v, p, q) <= MERGE {
                        inner[edge].push(vertex);
                    }
                }
            }
            if [a, b].iter().any(|v| *v == c || *v == d) {
                return;
            }
            let [a, b, c, d] = [a, b, c, d].map(|at| vertices.points[at]);
            if crossing(a, b, c, d) == Crossing::Interior {
                let at = vertices.place(intersection(a, b, c, d));
                inner[first].push(at);
                inner[second].push(at);
            }
        });
        let mut pieces = Vec::with_capacity(edges.len());
        for (source, ((from, to), mut inner)) in ends.iter().zip(inner).enumerate() {
            let start = vertices.points[*from];
            inner.sort_by(|a, b| vertices.points[*a].minus(start).norm().total_cmp(&vertices.points[*b].minus(start).norm()));
            inner.push(*to);
            let mut last = *from;
            for to in inner {
                if to != last {
                    pieces.push(Piece { from: last, to, source });
                    last = to;
                }
            }
        }
        Arrangement { points: vertices.points, pieces }
    }

    /// The boundary of what is wound around at least so often: closed rings with it on their left, in the order of their input
    /// edges. How often a reference point is wound around has to be known.
    pub(super) fn boundary(&self, reference: Point, around_reference: i32, least: i32) -> Vec<Vec<Point>> {
        // Pieces in one place count together.
        let mut places: HashMap<(usize, usize), usize> = HashMap::new();
        let mut merged: Vec<(Piece, i32)> = Vec::new();
        for piece in &self.pieces {
            let key = (piece.from.min(piece.to), piece.from.max(piece.to));
            let at = *places.entry(key).or_insert(merged.len());
            match merged.get_mut(at) {
                Some((first, net)) => *net += if first.from == piece.from { 1 } else { -1 },
                None => merged.push((*piece, 1)),
            }
        }
        let ends = |piece: &Piece| (self.points[piece.from], self.points[piece.to]);
        let fan = Fan::new(reference, merged.iter().map(|(piece, _)| ends(piece)));
        let mut kept: Vec<Piece> = Vec::new();
        for (at, (piece, net)) in merged.iter().enumerate().filter(|(_, (_, net))| *net != 0) {
            let (a, b) = ends(piece);
            let middle = a.plus(b).unit();
            let mut winding = around_reference;
            for other in fan.towards(middle).filter(|other| *other != at) {
                let (c, d) = ends(&merged[other].0);
                if changes_side(reference, middle, c, d) {
                    winding += if sign(c, d, reference) < 0 { merged[other].1 } else { -merged[other].1 };
                }
            }
            // The line from the reference ends on the side on which it began.
            let (left, right) = if sign(a, b, reference) < 0 { (winding + net, winding) } else { (winding, winding - net) };
            if (left >= least) != (right >= least) {
                let Piece { from, to, source } = *piece;
                kept.push(if left >= least { *piece } else { Piece { from: to, to: from, source } });
            }
        }
        self.rings(kept)
    }

    /// Joins pieces into rings. Where several meet, a ring takes the first turn that keeps the same area on its left.
    fn rings(&self, pieces: Vec<Piece>) -> Vec<Vec<Point>> {
        let mut out: HashMap<usize, Vec<usize>> = HashMap::new();
        for (at, piece) in pieces.iter().enumerate() {
            out.entry(piece.from).or_default().push(at);
        }
        let mut used = vec![false; pieces.len()];
        let mut rings = Vec::new();
        for start in 0..pieces.len() {
            if used[start] {
                continue;
            }
            let mut ring: Vec<usize> = Vec::new();
            let mut at = start;
            while !used[at] {
                used[at] = true;
                ring.push(at);
                let next = out.get(&pieces[at].to).map_or(&[] as &[usize], Vec::as_slice);
                let turn = |next: &usize| self.clockwise(pieces[at], pieces[*next]);
                let Some(next) = next.iter().filter(|n| !used[**n] || **n == start).min_by(|a, b| turn(a).total_cmp(&turn(b)))
                else {
                    break;
                };
                at = *next;
            }
            if ring.len() > 2 {
                rotate(&mut ring, |at| pieces[*at].source);
                rings.push((pieces[ring[0]].source, ring.iter().map(|at| self.points[pieces[*at].from]).collect()));
            }
        }
        rings.sort_by_key(|(source, _)| *source);
        rings.into_iter().map(|(_, ring)| ring).collect()
    }

    /// The clockwise angle at the end of a piece from the way back to another that begins there.
    fn clockwise(&self, piece: Piece, next: Piece) -> f64 {
        let at = self.points[piece.to];
        let flat = |p: Point| p.minus(at).minus(at.times(p.minus(at).dot(at)));
        let (back, on) = (flat(self.points[piece.from]), flat(self.points[next.to]));
        let turn = -back.cross(on).dot(at).atan2(back.dot(on));
        if turn <= 0.0 { turn + std::f64::consts::TAU } else { turn }
    }
}

/// Turns a ring so that its highest input edge is the last, as S2 does: a ring that is an input ring begins where that began.
fn rotate<T>(ring: &mut [T], source: impl Fn(&T) -> usize) {
    let (mut last, mut gap) = (0, false);
    for at in 1..ring.len() {
        match source(&ring[at]).cmp(&source(&ring[last])) {
            std::cmp::Ordering::Less => gap = true,
            std::cmp::Ordering::Equal if gap => {}
            _ => (last, gap) = (at, false),
        }
    }
    let first = (last + 1) % ring.len().max(1);
    ring.rotate_left(first);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(corners: &[(f64, f64)]) -> Vec<Edge> {
        let points: Vec<Point> = corners.iter().map(|(x, y)| Point::from_degrees(*x, *y).unwrap()).collect();
        (0..points.len()).map(|at| (points[at], points[(at + 1) % points.len()])).collect()
    }

    fn degrees(rings: Vec<Vec<Point>>) -> Vec<Vec<(f64, f64)>> {
        let round = |p: Point| {
            let (x, y) = p.degrees();
            ((x * 1e3).round() / 1e3, (y * 1e3).round() / 1e3)
        };
        rings.into_iter().map(|ring| ring.into_iter().map(round).collect()).collect()
    }

    #[test]
    fn squares_are_joined_and_cut() {
        let far = Point::from_degrees(180.0, 0.0).unwrap();
        let mut edges = ring(&[(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)]);
        edges.extend(ring(&[(1.0, 1.0), (3.0, 1.0), (3.0, 3.0), (1.0, 3.0)]));
        let arrangement = Arrangement::new(&edges, |_, _| true);
        assert_eq!(arrangement.boundary(far, 0, 1)[0].len(), 8);
        assert_eq!(degrees(arrangement.boundary(far, 0, 2))[0].len(), 4);
        assert_eq!(arrangement.boundary(far, 0, 3).len(), 0);
    }

    #[test]
    fn shared_edges_vanish_in_a_union_and_touching_corners_stay_apart() {
        let far = Point::from_degrees(180.0, 0.0).unwrap();
        let mut edges = ring(&[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]);
        edges.extend(ring(&[(1.0, 0.0), (2.0, 0.0), (2.0, 1.0), (1.0, 1.0)]));
        edges.extend(ring(&[(2.0, 1.0), (3.0, 1.0), (3.0, 2.0), (2.0, 2.0)]));
        let union = degrees(Arrangement::new(&edges, |_, _| true).boundary(far, 0, 1));
        assert_eq!(union.iter().map(Vec::len).collect::<Vec<_>>(), [6, 4]);
        assert_eq!(union[1], [(2.0, 1.0), (3.0, 1.0), (3.0, 2.0), (2.0, 2.0)]);
    }
}
