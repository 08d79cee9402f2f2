//! Areas around shapes: `geo_point_buffer`, `geo_line_buffer` and `geo_polygon_buffer`.
//!
//! The boundary is S2's: a path at the radius to the right of each edge, with arcs around convex vertices and the vertex itself
//! at concave ones. What the path winds around is the area. Arcs and curves have as few vertices as the tolerance allows.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use super::edges::Edge;
use super::geojson::{Shape, ShapeArg};
use super::overlay::Arrangement;
use super::points::point;
use super::polygon::Polygon;
use super::sphere::{EARTH_RADIUS, Point, normal, ray, sign};
use super::unions::one;
use super::{DYNAMIC, lines};
use crate::functions::{ArgInfo, ArgType, Param, RowFn, ScalarFn, ScalarImpl};
use kqlake_value::{Type, Value, ValueRef};

const RADIUS: Param = Param::req("radius", ArgType::Number);
const TOLERANCE: Param = Param::opt("tolerance", ArgType::Number);
/// Metres by which a boundary may be nearer than the radius, where nothing is given.
pub(super) const DEFAULT_TOLERANCE: f64 = 10.0;

/// The functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "geo_line_buffer",
        &[Param::req("lineString", ArgType::Dynamic), RADIUS, TOLERANCE],
        DYNAMIC,
        ScalarImpl::Prepared(line_buffer),
        "The area within a number of metres of a line or multiline, as GeoJSON; null where it does not fit into a hemisphere.",
    ),
    ScalarFn::new(
        "geo_point_buffer",
        &[super::LONGITUDE, super::LATITUDE, RADIUS, TOLERANCE],
        DYNAMIC,
        ScalarImpl::Row(point_buffer),
        "The area within a number of metres of a point, as GeoJSON; null where it does not fit into a hemisphere.",
    ),
    ScalarFn::new(
        "geo_polygon_buffer",
        &[Param::req("polygon", ArgType::Dynamic), RADIUS, TOLERANCE],
        DYNAMIC,
        ScalarImpl::Prepared(polygon_buffer),
        "The area within a number of metres of a polygon, as GeoJSON; null where it does not fit into a hemisphere.",
    ),
];

/// The radius and the tolerance of a call in metres.
fn sizes(args: &[ValueRef<'_>], place: usize) -> Option<(f64, f64)> {
    let radius = args.get(place)?.as_f64().filter(|radius| *radius > 0.0 && radius.is_finite())?;
    let tolerance = args.get(place + 1).map_or(Some(DEFAULT_TOLERANCE), |v| v.as_f64())?;
    (tolerance > 0.0).then_some((radius, tolerance))
}

fn value(polygon: Option<Polygon>) -> Value {
    polygon.map_or(Value::Null, |polygon| Shape::of_polygons(polygon.parts()).value())
}

fn point_buffer(args: &[ValueRef<'_>]) -> Value {
    let found = || {
        let p = point(args, 0)?;
        let (radius, tolerance) = sizes(args, 2)?;
        let mut path = Path::new(radius, tolerance)?;
        path.around_point(p);
        path.area()
    };
    value(found())
}

fn line_buffer(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let line = ShapeArg::new(args, 0, lines::read);
    Ok(Box::new(move |args| {
        let found = || {
            let (radius, tolerance) = sizes(args, 1)?;
            let mut path = Path::new(radius, tolerance)?;
            for line in line.get(args[0])?.iter() {
                path.around_line(line);
            }
            path.area()
        };
        value(found())
    }))
}

fn polygon_buffer(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let polygon = ShapeArg::new(args, 0, one);
    Ok(Box::new(move |args| {
        let found = || {
            let (radius, tolerance) = sizes(args, 1)?;
            let polygon = polygon.get(args[0])?;
            around_polygon(&polygon, radius, tolerance)
        };
        value(found())
    }))
}

/// The area within a radius of a polygon; `None` where it does not fit into a hemisphere.
pub(super) fn around_polygon(polygon: &Polygon, radius: f64, tolerance: f64) -> Option<Polygon> {
    let mut path = Path::new(radius, tolerance)?;
    for ring in polygon.oriented() {
        path.around_ring(&ring);
    }
    path.area()
}

/// Paths around shapes.
struct Path {
    radius: f64,
    /// The angles between vertices of arcs around vertices, of circles around points, and along edges.
    vertex_step: f64,
    point_step: f64,
    edge_step: f64,
    /// Edges of closed paths, and the vertices of the one that is being made.
    edges: Vec<Edge>,
    open: Vec<Point>,
}

/// How long an edge may be that approximates a circle from within, with so much error.
fn longest(radius: f64, error: f64) -> f64 {
    let least = radius - error;
    TAU.mul_add(1.0 / 3.0, 1e-15).min(2.0 * (least.tan() / radius.tan()).clamp(-1.0, 1.0).acos())
}

impl Path {
    /// Sizes are in metres; `None` where nothing fits into a hemisphere, or the radius is too small to count.
    fn new(radius: f64, tolerance: f64) -> Option<Path> {
        let radius = radius / EARTH_RADIUS;
        // The least error that S2 allows is a millionth of the radius.
        let error = (tolerance / EARTH_RADIUS).clamp(1e-6 * radius, radius);
        if !(1e-13..FRAC_PI_2 - 1e-9).contains(&radius) {
            return None;
        }
        let vertex_step = longest(radius, error);
        let point_step = TAU / (TAU / vertex_step).ceil() + 1e-15;
        // A curve beside an edge is a circle around the edge's pole.
        let edge_radius = FRAC_PI_2 - radius;
        let edge_step = longest(edge_radius, error.min(edge_radius));
        Some(Path { radius, vertex_step, point_step, edge_step, edges: Vec::new(), open: Vec::new() })
    }

    /// Adds the point at the radius from another in a direction.
    fn offset(&mut self, from: Point, direction: Point) {
        self.add(ray(from, direction, self.radius));
    }

    fn add(&mut self, p: Point) {
        if self.open.last() != Some(&p) {
            self.open.push(p);
        }
    }

    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        let next = open.iter().skip(1).chain(open.first());
        self.edges.extend(open.iter().zip(next).filter(|(a, b)| a != b).map(|(a, b)| (*a, *b)));
    }

    fn around_point(&mut self, p: Point) {
        let mut start = p.orthogonal();
        let mut angle = 0.0;
        // A quarter at a time, which keeps the directions at right angles.
        for _ in 0..4 {
            let turned = p.cross(start).unit();
            while angle < FRAC_PI_2 {
                self.offset(p, ray(start, turned, angle));
                angle += self.point_step;
            }
            angle -= FRAC_PI_2;
            start = turned;
        }
        self.close();
    }

    /// Both sides of a line, with round ends.
    fn around_line(&mut self, line: &[Point]) {
        let (Some([first, second]), Some([before, last])) = (line.first_chunk::<2>(), line.last_chunk::<2>()) else { return };
        let right = axis(*first, *second);
        self.arc(*first, right.opposite(), right);
        for corner in line.windows(3) {
            self.edge_and_vertex(corner[0], corner[1], corner[2]);
        }
        self.edge(*before, *last);
        let right = axis(*before, *last);
        self.arc(*last, right, right.opposite());
        for corner in line.windows(3).rev() {
            self.edge_and_vertex(corner[2], corner[1], corner[0]);
        }
        self.edge(*second, *first);
        self.close();
    }

    /// The right side of a ring.
    fn around_ring(&mut self, ring: &[Point]) {
        let at = |place: usize| ring[place % ring.len()];
        for place in 0..ring.len() {
            self.edge_and_vertex(at(place), at(place + 1), at(place + 2));
        }
        self.close();
    }

    fn edge_and_vertex(&mut self, a: Point, b: Point, c: Point) {
        self.edge(a, b);
        if sign(a, b, c) >= 0 {
            self.arc(b, axis(a, b), axis(b, c));
        } else {
            self.offset(b, axis(a, b));
            self.add(b);
        }
    }

    /// The curve beside an edge, without its end.
    fn edge(&mut self, a: Point, b: Point) {
        let right = axis(a, b);
        let (along, length) = (right.cross(a).unit(), a.angle(b));
        let mut angle = 0.0;
        while angle < length {
            self.offset(ray(a, along, angle), right);
            angle += self.edge_step;
        }
    }

    /// The arc around a vertex from one direction counterclockwise to another, without its end.
    fn arc(&mut self, vertex: Point, from: Point, to: Point) {
        let turned = vertex.cross(from).unit();
        let span = if from == to.opposite() { PI } else { from.angle(to) };
        let mut angle = 0.0;
        loop {
            self.offset(vertex, ray(from, turned, angle));
            angle += self.vertex_step;
            if angle >= span {
                break;
            }
        }
    }

    /// What the paths wind around.
    fn area(&self) -> Option<Polygon> {
        let center = self.edges.iter().fold(Point::new(0.0, 0.0, 0.0), |sum, (a, _)| sum.plus(*a)).unit();
        // Nothing winds around the other side of the Earth.
        if self.edges.iter().any(|(a, _)| a.dot(center) < 1e-9) {
            return None;
        }
        let rings = Arrangement::new(&self.edges, |_, _| true).boundary(center.opposite(), 0, 1);
        (!rings.is_empty()).then(|| Polygon::new(rings))
    }
}

/// The direction to the right of an edge.
fn axis(a: Point, b: Point) -> Point {
    normal(b, a).unit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::scalar::geo::polygon::valid;

    fn p(longitude: f64, latitude: f64) -> Point {
        Point::from_degrees(longitude, latitude).unwrap()
    }

    fn area(make: impl Fn(&mut Path)) -> Polygon {
        let mut path = Path::new(1000.0, 0.1).unwrap();
        make(&mut path);
        path.area().unwrap()
    }

    #[test]
    fn a_buffer_has_the_area_of_its_circles_and_strips() {
        let close = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 1e-3, "{found} {expected}");
        close(area(|path| path.around_point(p(10.0, 45.0))).area(), PI * 1e6);
        let line = [p(0.0, 0.0), p(0.0, 0.1)];
        let length = line[0].angle(line[1]) * EARTH_RADIUS;
        close(area(|path| path.around_line(&line)).area(), PI * 1e6 + length * 2000.0);
        // A line that bends at a right angle: the corner of the inner side counts once, the outer one is round.
        let bent = [p(0.0, 0.0), p(0.0, 0.1), p(0.1, 0.1)];
        let corner = 1e6 * (1.0 - PI / 4.0);
        close(area(|path| path.around_line(&bent)).area(), PI * 1e6 + 2.0 * length * 2000.0 - corner);
        // A ring with a hole that is too small to stay.
        let square = |size: f64| vec![p(-size, -size), p(size, -size), p(size, size), p(-size, size)];
        let polygon = valid(vec![square(0.05), square(0.005)]).unwrap();
        let found = around_polygon(&polygon, 1000.0, 0.1).unwrap();
        assert_eq!(found.rings.len(), 1);
        let outer = valid(vec![square(0.05)]).unwrap();
        close(found.area(), outer.area() + outer.perimeter() * 1000.0 + PI * 1e6);
        // A larger one shrinks.
        let polygon = valid(vec![square(0.05), square(0.02)]).unwrap();
        assert_eq!(around_polygon(&polygon, 1000.0, 0.1).unwrap().holes, [false, true]);
    }

    #[test]
    fn what_does_not_fit_into_a_hemisphere_has_no_buffer() {
        assert!(Path::new(10_100_000.0, 10.0).is_none());
        let mut path = Path::new(5_000_000.0, 10.0).unwrap();
        path.around_line(&[p(-80.0, 0.0), p(80.0, 0.0)]);
        assert!(path.area().is_none());
    }
}
