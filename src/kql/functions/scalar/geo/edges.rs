//! Finding the few edges that matter: those near each other, and those that a line from a fixed point meets.

use super::sphere::Point;

/// An edge between two points.
pub(super) type Edge = (Point, Point);

/// Calls a function with each pair of edges whose boxes meet, the lower place first. The boxes are wider than the edges by some
/// [`MARGIN`].
pub(super) fn close_pairs(edges: &[Edge], mut meet: impl FnMut(usize, usize)) {
    let boxes: Vec<[[f64; 2]; 3]> = edges.iter().map(bounds).collect();
    // Along the axis on which the edges are spread most, few boxes overlap.
    let spread = |axis: usize| {
        let low = boxes.iter().map(|b| b[axis][0]).fold(f64::INFINITY, f64::min);
        let high = boxes.iter().map(|b| b[axis][1]).fold(f64::NEG_INFINITY, f64::max);
        high - low
    };
    let axis = (0..3).max_by(|a, b| spread(*a).total_cmp(&spread(*b))).unwrap_or(0);
    let mut order: Vec<usize> = (0..edges.len()).collect();
    order.sort_by(|a, b| boxes[*a][axis][0].total_cmp(&boxes[*b][axis][0]));
    let mut open: Vec<usize> = Vec::new();
    for edge in order {
        open.retain(|other| boxes[*other][axis][1] >= boxes[edge][axis][0]);
        for other in &open {
            let meets = (0..3).all(|axis| {
                let (a, b) = (&boxes[edge][axis], &boxes[*other][axis]);
                a[0] <= b[1] && b[0] <= a[1]
            });
            if meets {
                meet(edge.min(*other), edge.max(*other));
            }
        }
        open.push(edge);
    }
}

/// How much wider than the edges the boxes are: more than any rounding.
const MARGIN: f64 = 1e-13;

/// The least and the greatest coordinate of an edge on each axis.
fn bounds(edge: &Edge) -> [[f64; 2]; 3] {
    let (a, b) = edge;
    // The edge bulges out of the chord by this much at most.
    let half = b.minus(*a).norm() / 2.0;
    let bulge = 1.0 - (1.0 - half * half).max(0.0).sqrt() + MARGIN;
    [(a.x, b.x), (a.y, b.y), (a.z, b.z)].map(|(p, q)| [p.min(q) - bulge, p.max(q) + bulge])
}

/// Edges by the directions in which they lie from an origin: lines from there meet only those of their direction.
#[derive(Debug)]
pub(super) struct Fan {
    east: Point,
    north: Point,
    bins: Vec<Vec<u32>>,
    /// Edges that pass too near to the origin, or its opposite, to say.
    everywhere: Vec<u32>,
}

impl Fan {
    /// Sorts edges.
    pub(super) fn new(origin: Point, edges: impl ExactSizeIterator<Item = Edge>) -> Fan {
        let east = origin.orthogonal();
        let north = origin.cross(east).unit();
        let bins = vec![Vec::new(); (edges.len() / 4).clamp(1, 1 << 16)];
        let mut fan = Fan { east, north, bins, everywhere: Vec::new() };
        let size = std::f64::consts::TAU / fan.bins.len() as f64;
        for (at, (a, b)) in edges.enumerate() {
            let (from, to) = (fan.azimuth(a), fan.azimuth(b));
            let turn = (to - from + 3.0 * std::f64::consts::PI).rem_euclid(std::f64::consts::TAU) - std::f64::consts::PI;
            let near = |p: Point| p.cross(origin).norm() < 1e-6;
            if near(a) || near(b) || turn.abs() > std::f64::consts::PI - 1e-3 {
                fan.everywhere.push(at as u32);
                continue;
            }
            let least = from.min(from + turn) - 1e-9;
            let most = from.max(from + turn) + 1e-9;
            let (first, last) = ((least / size).floor() as i64, (most / size).floor() as i64);
            let count = fan.bins.len() as i64;
            for bin in first..=last.min(first + count - 1) {
                fan.bins[bin.rem_euclid(count) as usize].push(at as u32);
            }
        }
        fan
    }

    fn azimuth(&self, p: Point) -> f64 {
        p.dot(self.north).atan2(p.dot(self.east))
    }

    /// The places of the edges that the line from the origin to a point can meet.
    pub(super) fn towards(&self, p: Point) -> impl Iterator<Item = usize> {
        let size = std::f64::consts::TAU / self.bins.len() as f64;
        let bin = (self.azimuth(p) / size).floor() as i64;
        let bin = &self.bins[bin.rem_euclid(self.bins.len() as i64) as usize];
        bin.iter().chain(&self.everywhere).map(|at| *at as usize)
    }
}
