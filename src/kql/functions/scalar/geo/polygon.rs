//! Polygons on the sphere: what is valid, what they contain, and their measures.
//!
//! The rules are S2's. A ring divides the sphere in two, and the smaller part is meant, whatever its direction. Of polygons that
//! divide the sphere exactly one contains each point, their vertices included.

use std::collections::HashSet;

use super::edges::{Edge, Fan, close_pairs};
use super::geojson::{self, Position};
use super::sphere::{
    Crossing, EARTH_RADIUS, Point, angle_contains_vertex, changes_side, crossing, distance_to_edge, nearest_on_edge, normal,
};

/// The point from which containment is counted; S2's, near the north pole and on no edge that people draw.
pub(super) const ORIGIN: Point = Point::new(-0.009_999_466_435_025_02, 0.002_592_454_260_932_412, 0.999_946_643_502_502);

/// A ring that encloses at most half of the sphere, on the left of its edges.
#[derive(Debug)]
pub(super) struct Ring {
    /// Its vertices; the last is joined to the first.
    pub vertices: Vec<Point>,
    contains_origin: bool,
    /// What is farther than this from the center is outside.
    center: Point,
    least_cosine: f64,
    fan: Fan,
}

impl Ring {
    /// A ring, turned around where it is clockwise.
    pub(super) fn new(mut vertices: Vec<Point>) -> Ring {
        if signed_area(&vertices) < 0.0 {
            vertices.reverse();
        }
        let center = vertices.iter().fold(Point::new(0.0, 0.0, 0.0), |sum, v| sum.plus(*v)).unit();
        let least_cosine = vertices.iter().map(|v| v.dot(center)).fold(1.0, f64::min) - 1e-14;
        // From 90 degrees on, a cap says nothing.
        let least_cosine = if least_cosine > 0.0 { least_cosine } else { -2.0 };
        let fan = Fan::new(ORIGIN, Edges { vertices: &vertices, at: 0 });
        let mut ring = Ring { vertices, contains_origin: false, center, least_cosine, fan };
        // The wrong start gives the wrong answer for a vertex whose right answer its angle says.
        let [a, b, c] = [ring.vertices[0], ring.vertices[1], ring.vertices[2]];
        ring.contains_origin = ring.crossed(b) != (a != c && angle_contains_vertex(a, b, c));
        ring
    }

    /// The edges.
    pub(super) fn edges(&self) -> impl ExactSizeIterator<Item = Edge> + '_ {
        Edges { vertices: &self.vertices, at: 0 }
    }

    fn edge(&self, at: usize) -> Edge {
        (self.vertices[at], self.vertices[if at + 1 == self.vertices.len() { 0 } else { at + 1 }])
    }

    /// Whether the line from the origin changes sides an odd number of times.
    fn crossed(&self, p: Point) -> bool {
        let mut odd = false;
        for at in self.fan.towards(p) {
            let (c, d) = self.edge(at);
            odd ^= changes_side(ORIGIN, p, c, d);
        }
        odd
    }

    /// Whether the ring's area contains a point.
    pub(super) fn contains(&self, p: Point) -> bool {
        p.dot(self.center) >= self.least_cosine && self.crossed(p) != self.contains_origin
    }
}

/// The edges of a ring.
struct Edges<'a> {
    vertices: &'a [Point],
    at: usize,
}

impl Iterator for Edges<'_> {
    type Item = Edge;

    fn next(&mut self) -> Option<Edge> {
        let a = *self.vertices.get(self.at)?;
        self.at += 1;
        Some((a, *self.vertices.get(self.at).or(self.vertices.first())?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.vertices.len() - self.at;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Edges<'_> {}

/// The area on the left of a ring minus that on its right, as far as it is on the sphere: from -2π to 2π steradians.
fn signed_area(vertices: &[Point]) -> f64 {
    let Some((first, rest)) = vertices.split_first() else { return 0.0 };
    let area: f64 = rest.windows(2).map(|pair| triangle_area(*first, pair[0], pair[1])).sum();
    // What is in the range already stays as exact as it is.
    let sphere = 4.0 * std::f64::consts::PI;
    if area.abs() <= sphere / 2.0 { area } else { (area + sphere / 2.0).rem_euclid(sphere) - sphere / 2.0 }
}

/// The signed area of a triangle (F. Eriksson, On the measure of solid angles, 1990), by differences, which keeps small ones
/// exact.
fn triangle_area(a: Point, b: Point, c: Point) -> f64 {
    let volume = b.minus(a).cross(c.minus(a)).dot(a);
    2.0 * volume.atan2(1.0 + a.dot(b) + b.dot(c) + c.dot(a))
}

/// The integral of the position over the area on the left of a ring.
fn moment(vertices: &[Point]) -> Point {
    let Some(first) = vertices.first() else { return Point::new(0.0, 0.0, 0.0) };
    let extent = vertices.iter().map(|v| v.minus(*first).norm()).fold(0.0, f64::max);
    let zero = Point::new(0.0, 0.0, 0.0);
    if extent < 1e-4 {
        // Small enough for flat triangles.
        return vertices[1..].windows(2).fold(zero, |sum, pair| {
            let middle = first.plus(pair[0]).plus(pair[1]).times(1.0 / 3.0);
            sum.plus(middle.times(triangle_area(*first, pair[0], pair[1])))
        });
    }
    // By Stokes' theorem: half the sum of the edges' lengths times their unit normals.
    Edges { vertices, at: 0 }.fold(zero, |sum, (a, b)| sum.plus(normal(a, b).unit().times(a.angle(b) / 2.0)))
}

/// A polygon or several that do not overlap.
#[derive(Debug)]
pub(super) struct Polygon {
    /// The rings.
    pub rings: Vec<Ring>,
    /// Which rings are holes.
    pub holes: Vec<bool>,
}

impl Polygon {
    /// The polygon of rings that neither cross nor share edges: what lies within an odd number of them.
    pub(super) fn new(rings: Vec<Vec<Point>>) -> Polygon {
        let rings: Vec<Ring> = rings.into_iter().map(Ring::new).collect();
        let mut holes = Vec::with_capacity(rings.len());
        for (at, ring) in rings.iter().enumerate() {
            let around = rings.iter().enumerate().filter(|(other, outer)| *other != at && within(ring, outer)).count();
            holes.push(around % 2 == 1);
        }
        Polygon { rings, holes }
    }

    /// Whether it contains a point.
    pub(super) fn contains(&self, p: Point) -> bool {
        self.rings.iter().filter(|ring| ring.contains(p)).count() % 2 == 1
    }

    /// The edges of all rings with the polygon on their left.
    pub(super) fn edges(&self) -> Vec<Edge> {
        let mut edges = Vec::new();
        for ring in self.oriented() {
            edges.extend(Edges { vertices: &ring, at: 0 });
        }
        edges
    }

    /// The rings with the polygon on their left: holes are clockwise.
    pub(super) fn oriented(&self) -> impl Iterator<Item = Vec<Point>> + '_ {
        self.rings.iter().zip(&self.holes).map(|(ring, hole)| {
            let mut vertices = ring.vertices.clone();
            if *hole {
                vertices.reverse();
            }
            vertices
        })
    }

    /// The number of vertices.
    pub(super) fn len(&self) -> usize {
        self.rings.iter().map(|ring| ring.vertices.len()).sum()
    }

    /// Each shell with its holes, as they are written.
    pub(super) fn parts(&self) -> Vec<Vec<Vec<Point>>> {
        let oriented: Vec<Vec<Point>> = self.oriented().collect();
        let mut parts: Vec<Vec<Vec<Point>>> = Vec::new();
        let mut shells = Vec::new();
        for (at, ring) in oriented.iter().enumerate() {
            if !self.holes[at] {
                parts.push(vec![ring.clone()]);
                shells.push(at);
            }
        }
        for (at, ring) in oriented.into_iter().enumerate().filter(|(at, _)| self.holes[*at]) {
            // The smallest shell around the hole is its own.
            let around = shells.iter().enumerate().filter(|(_, shell)| within(&self.rings[at], &self.rings[**shell]));
            let size = |shell: usize| signed_area(&self.rings[shell].vertices);
            let own = around.min_by(|(_, a), (_, b)| size(**a).total_cmp(&size(**b))).map(|(part, _)| part);
            if let Some(part) = own.and_then(|part| parts.get_mut(part)) {
                part.push(ring);
            }
        }
        parts
    }

    /// The area in square metres.
    pub(super) fn area(&self) -> f64 {
        let areas = self.rings.iter().zip(&self.holes).map(|(ring, hole)| {
            let area = signed_area(&ring.vertices);
            if *hole { -area } else { area }
        });
        areas.sum::<f64>() * EARTH_RADIUS * EARTH_RADIUS
    }

    /// The length of all rings in metres.
    pub(super) fn perimeter(&self) -> f64 {
        self.rings.iter().flat_map(Ring::edges).map(|(a, b)| a.angle(b)).sum::<f64>() * EARTH_RADIUS
    }

    /// The center of mass.
    pub(super) fn centroid(&self) -> Point {
        self.oriented().fold(Point::new(0.0, 0.0, 0.0), |sum, ring| sum.plus(moment(&ring))).unit()
    }

    /// The point of the polygon that is nearest to a point.
    pub(super) fn nearest(&self, p: Point) -> Point {
        if self.contains(p) { p } else { nearest_of(self.rings.iter().flat_map(Ring::edges), p).unwrap_or(p) }
    }
}

/// The nearest point of edges.
pub(super) fn nearest_of(edges: impl Iterator<Item = Edge>, p: Point) -> Option<Point> {
    let mut best: Option<(f64, Point)> = None;
    for (a, b) in edges {
        if let Some((distance, _)) = best
            && p.minus(a).norm() - b.minus(a).norm() > distance
        {
            continue;
        }
        let nearest = nearest_on_edge(p, a, b);
        let distance = nearest.minus(p).norm();
        if best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, nearest));
        }
    }
    best.map(|(_, point)| point)
}

/// Whether a ring lies within another. They do not cross, but may share vertices.
fn within(inner: &Ring, outer: &Ring) -> bool {
    if outer.vertices.len() > 8 || inner.vertices.len() > 8 {
        // A vertex that is not the other's decides, and most are not.
        if let Some(v) = inner.vertices.iter().take(4).find(|v| !outer.vertices.contains(v)) {
            return outer.contains(*v);
        }
    }
    let own = |v: &Point| outer.vertices.iter().any(|o| o == v);
    match inner.vertices.iter().find(|v| !own(v)) {
        Some(v) => outer.contains(*v),
        // All vertices are shared: the middle of an edge that is not.
        None => inner
            .edges()
            .map(|(a, b)| a.plus(b).unit())
            .find(|m| outer.edges().all(|(a, b)| distance_to_edge(*m, a, b) > 1e-15))
            .is_some_and(|m| outer.contains(m)),
    }
}

/// The polygons of a `Polygon` or `MultiPolygon`, each valid by itself; those of a `MultiPolygon` may overlap.
///
/// A ring's vertices must be distinct and its edges shorter than 180 degrees; rings must neither cross nor share edges.
pub(super) fn read(text: &str) -> Option<Vec<Polygon>> {
    geojson::polygons(text)?.into_iter().map(|rings| valid(rings.iter().map(|ring| ring_points(ring)).collect())).collect()
}

fn ring_points(ring: &[Position]) -> Vec<Point> {
    ring.iter().map(|(longitude, latitude)| Point::unproject(*longitude, *latitude)).collect()
}

/// A polygon of rings; `None` where they break the rules.
pub(super) fn valid(rings: Vec<Vec<Point>>) -> Option<Polygon> {
    let mut edges: Vec<Edge> = Vec::new();
    let mut seen = HashSet::new();
    for ring in &rings {
        let key = |p: &Point| [p.x, p.y, p.z].map(|v| (v + 0.0).to_bits());
        seen.clear();
        if ring.len() < 3 || !ring.iter().all(|p| seen.insert(key(p))) {
            return None;
        }
        edges.extend(Edges { vertices: ring, at: 0 });
    }
    if edges.iter().any(|(a, b)| *a == b.opposite()) {
        return None;
    }
    let mut fine = true;
    close_pairs(&edges, |first, second| {
        let ((a, b), (c, d)) = (edges[first], edges[second]);
        fine &= match crossing(a, b, c, d) {
            Crossing::Apart => true,
            Crossing::Interior => false,
            Crossing::SharedEnd => !((a == c && b == d) || (a == d && b == c)),
        };
    });
    fine.then(|| Polygon::new(rings))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(longitude: f64, latitude: f64) -> Point {
        Point::from_degrees(longitude, latitude).unwrap()
    }

    fn square(from: f64, to: f64) -> Vec<Point> {
        vec![p(from, from), p(to, from), p(to, to), p(from, to)]
    }

    #[test]
    fn the_smaller_part_is_meant_and_each_point_is_in_one_polygon() {
        for mut ring in [square(0.0, 10.0), square(-10.0, 10.0)] {
            for _ in 0..2 {
                let ring_of = Ring::new(ring.clone());
                assert!(ring_of.contains(p(5.0, 5.0)) && !ring_of.contains(p(50.0, 50.0)) && !ring_of.contains(p(180.0, -5.0)));
                ring.reverse();
            }
        }
        // Four squares around a point.
        let quarters = [(0.0, 0.0), (-5.0, 0.0), (0.0, -5.0), (-5.0, -5.0)]
            .map(|(x, y)| Ring::new(vec![p(x, y), p(x + 5.0, y), p(x + 5.0, y + 5.0), p(x, y + 5.0)]));
        for point in [p(0.0, 0.0), p(0.0, 2.0), p(-1.0, 0.0), p(1.0, 1.0), p(2.0, 0.0)] {
            assert_eq!(quarters.iter().filter(|q| q.contains(point)).count(), 1, "{:?}", point.degrees());
        }
    }

    #[test]
    fn holes_are_not_part_of_a_polygon() {
        let polygon = valid(vec![square(0.0, 10.0), square(4.0, 6.0)]).unwrap();
        assert_eq!(polygon.holes, [false, true]);
        assert!(polygon.contains(p(2.0, 2.0)) && !polygon.contains(p(5.0, 5.0)));
        let outer = valid(vec![square(0.0, 10.0)]).unwrap();
        let inner = valid(vec![square(4.0, 6.0)]).unwrap();
        assert!((polygon.area() - (outer.area() - inner.area())).abs() < 1.0);
        assert!((polygon.perimeter() - (outer.perimeter() + inner.perimeter())).abs() < 1e-3);
        assert_eq!(polygon.parts().len(), 1);
        assert_eq!(polygon.parts()[0].len(), 2);
    }

    #[test]
    fn what_crosses_itself_is_invalid() {
        assert!(valid(vec![vec![p(0.0, 0.0), p(1.0, 1.0), p(1.0, 0.0), p(0.0, 1.0)]]).is_none());
        assert!(valid(vec![vec![p(0.0, 0.0), p(1.0, 1.0), p(1.0, 1.0)]]).is_none());
        assert!(valid(vec![square(0.0, 10.0), square(5.0, 15.0)]).is_none());
        // An eighth of the sphere.
        let octant = valid(vec![vec![p(0.0, 0.0), p(90.0, 0.0), p(0.0, 90.0)]]).unwrap();
        let sphere = 4.0 * std::f64::consts::PI * EARTH_RADIUS * EARTH_RADIUS;
        assert!((octant.area() / sphere - 0.125).abs() < 1e-12);
        let (longitude, latitude) = octant.centroid().degrees();
        assert!((longitude - 45.0).abs() < 1e-9 && (latitude - 35.264389682754654).abs() < 1e-9);
    }

    #[test]
    fn small_and_large_rings_have_the_same_formula_for_the_centroid() {
        let ring = |size: f64| vec![p(10.0, 50.0), p(10.0 + size, 50.0), p(10.0 + size, 50.0 + size), p(10.0, 50.0 + size)];
        for size in [0.004, 0.006] {
            let found = valid(vec![ring(size)]).unwrap().centroid();
            let expected = p(10.0 + size / 2.0, 50.0 + size / 2.0);
            assert!(found.angle(expected) < 1e-8, "{size}");
        }
    }
}
