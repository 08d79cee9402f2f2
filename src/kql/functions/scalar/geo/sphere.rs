//! Points and edges on the unit sphere.
//!
//! Microsoft's engine measures on a sphere of [`EARTH_RADIUS`] and takes edges for geodesics, as the S2 library does. The
//! predicates here follow S2's published rules: the orientation of three points is exact, and points that lie on one great
//! circle are taken as if they were moved by an infinitely small amount, so that every crossing has one answer.

use robust::{Coord, Coord3D};

/// The Earth's mean radius, in metres.
pub(super) const EARTH_RADIUS: f64 = 6_371_010.0;

/// A point on the unit sphere, or a direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    /// Towards longitude 0 on the equator.
    pub x: f64,
    /// Towards longitude 90 on the equator.
    pub y: f64,
    /// Towards the north pole.
    pub z: f64,
}

impl Point {
    pub(super) const fn new(x: f64, y: f64, z: f64) -> Point {
        Point { x, y, z }
    }

    /// A point from degrees; `None` out of the range of coordinates.
    pub(super) fn from_degrees(longitude: f64, latitude: f64) -> Option<Point> {
        let valid = (-180.0..=180.0).contains(&longitude) && (-90.0..=90.0).contains(&latitude);
        valid.then(|| Point::unproject(longitude, latitude))
    }

    /// A point from degrees of which the longitude may lie beyond ±180.
    pub(super) fn unproject(longitude: f64, latitude: f64) -> Point {
        let (phi, theta) = (latitude * (std::f64::consts::PI / 180.0), longitude * (std::f64::consts::PI / 180.0));
        let cosine = phi.cos();
        Point::new(theta.cos() * cosine, theta.sin() * cosine, phi.sin())
    }

    /// Longitude and latitude in degrees.
    pub(super) fn degrees(self) -> (f64, f64) {
        // The sum makes -0 a zero, as the coordinates of Microsoft's answers have it.
        let latitude = (self.z + 0.0).atan2((self.x * self.x + self.y * self.y).sqrt());
        let longitude = (self.y + 0.0).atan2(self.x + 0.0);
        (longitude * (180.0 / std::f64::consts::PI), latitude * (180.0 / std::f64::consts::PI))
    }

    pub(super) fn dot(self, other: Point) -> f64 {
        self.x * other.x + self.y * other.y + self.z * other.z
    }

    pub(super) fn cross(self, other: Point) -> Point {
        Point::new(self.y * other.z - self.z * other.y, self.z * other.x - self.x * other.z, self.x * other.y - self.y * other.x)
    }

    pub(super) fn plus(self, other: Point) -> Point {
        Point::new(self.x + other.x, self.y + other.y, self.z + other.z)
    }

    pub(super) fn minus(self, other: Point) -> Point {
        Point::new(self.x - other.x, self.y - other.y, self.z - other.z)
    }

    pub(super) fn times(self, factor: f64) -> Point {
        Point::new(self.x * factor, self.y * factor, self.z * factor)
    }

    pub(super) fn opposite(self) -> Point {
        self.times(-1.0)
    }

    pub(super) fn norm(self) -> f64 {
        self.dot(self).sqrt()
    }

    /// The direction with length one; zero stays zero.
    pub(super) fn unit(self) -> Point {
        let norm = self.norm();
        if norm == 0.0 { self } else { self.times(1.0 / norm) }
    }

    /// The angle between two directions, in radians.
    pub(super) fn angle(self, other: Point) -> f64 {
        self.cross(other).norm().atan2(self.dot(other))
    }

    /// A direction at right angles to this one: S2's choice, since it decides which vertices belong to a polygon.
    pub(super) fn orthogonal(self) -> Point {
        let (x, y, z) = (self.x.abs(), self.y.abs(), self.z.abs());
        let largest = if x > y {
            if x > z { 0 } else { 2 }
        } else if y > z {
            1
        } else {
            2
        };
        let mut other = Point::new(0.012, 0.0053, 0.00457);
        match largest {
            0 => other.z = 1.0,
            1 => other.x = 1.0,
            _ => other.y = 1.0,
        }
        self.cross(other).unit()
    }

    fn coord(self) -> Coord3D<f64> {
        Coord3D { x: self.x, y: self.y, z: self.z }
    }
}

/// The normal of the plane of two points, exact in its direction for points that are close to each other.
pub(super) fn normal(a: Point, b: Point) -> Point {
    let cross = b.plus(a).cross(b.minus(a));
    if cross == Point::new(0.0, 0.0, 0.0) { a.orthogonal() } else { cross }
}

/// 1 where a, b and c are in counterclockwise order, -1 where they are in clockwise order, 0 where two are the same.
pub(super) fn sign(a: Point, b: Point, c: Point) -> i32 {
    // What is far from zero in doubles has the right sign; the bound is S2's.
    let det = a.cross(b).dot(c);
    if det > 3.6548e-15 {
        return 1;
    }
    if det < -3.6548e-15 {
        return -1;
    }
    if a == b || b == c || c == a {
        return 0;
    }
    match sgn(robust::orient3d(a.coord(), b.coord(), c.coord(), Coord3D { x: 0.0, y: 0.0, z: 0.0 })) {
        0 => perturbed(a, b, c),
        sign => sign,
    }
}

fn sgn(v: f64) -> i32 {
    if v > 0.0 {
        1
    } else if v < 0.0 {
        -1
    } else {
        0
    }
}

/// The order of three distinct points on one great circle, as if each were moved a little, the later ones in the order of their
/// coordinates by infinitely less.
fn perturbed(a: Point, b: Point, c: Point) -> i32 {
    let before = |p: Point, q: Point| (p.x, p.y, p.z) < (q.x, q.y, q.z);
    let (mut a, mut b, mut c, mut sign) = (a, b, c, 1);
    if before(b, a) {
        (a, b, sign) = (b, a, -sign);
    }
    if before(c, b) {
        (b, c, sign) = (c, b, -sign);
    }
    if before(b, a) {
        (a, b, sign) = (b, a, -sign);
    }
    // The sign of p·s - q·r, exact.
    let det = |p: f64, q: f64, r: f64, s: f64| {
        sgn(robust::orient2d(Coord { x: p, y: q }, Coord { x: r, y: s }, Coord { x: 0.0, y: 0.0 }))
    };
    // The coefficients of the perturbations, from the greatest to the least.
    let terms = [
        det(b.x, b.y, c.x, c.y),
        det(b.z, b.x, c.z, c.x),
        det(b.y, b.z, c.y, c.z),
        det(c.x, c.y, a.x, a.y),
        sgn(c.x),
        -sgn(c.y),
        det(c.z, c.x, a.z, a.x),
        sgn(c.z),
        det(a.x, a.y, b.x, b.y),
        -sgn(b.x),
        sgn(b.y),
        sgn(a.x),
    ];
    sign * terms.into_iter().find(|term| *term != 0).unwrap_or(1)
}

/// Whether a, b and c are met in this order when one turns counterclockwise around a point.
pub(super) fn ordered(a: Point, b: Point, c: Point, around: Point) -> bool {
    let sum = u8::from(sign(b, around, a) >= 0) + u8::from(sign(c, around, b) >= 0) + u8::from(sign(a, around, c) > 0);
    sum >= 2
}

/// How two edges meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crossing {
    /// Not at all.
    Apart,
    /// They share an end.
    SharedEnd,
    /// In their interiors.
    Interior,
}

/// How edge ab meets edge cd.
pub(super) fn crossing(a: Point, b: Point, c: Point, d: Point) -> Crossing {
    if a == c || a == d || b == c || b == d {
        return Crossing::SharedEnd;
    }
    let first = sign(a, c, b);
    let all = first != 0 && sign(b, d, a) == first && sign(c, b, d) == first && sign(d, a, c) == first;
    if all { Crossing::Interior } else { Crossing::Apart }
}

/// Whether edges that share an end count as crossing there, so that of all polygons around a vertex one contains it.
fn crossing_at_vertex(a: Point, b: Point, c: Point, d: Point) -> bool {
    if a == b || c == d {
        false
    } else if a == c {
        b == d || ordered(a.orthogonal(), d, b, a)
    } else if b == d {
        ordered(b.orthogonal(), c, a, b)
    } else if a == d {
        b == c || ordered(a.orthogonal(), c, b, a)
    } else {
        ordered(b.orthogonal(), d, a, b)
    }
}

/// Whether a walk along ab changes the side of a boundary that has the edge cd.
pub(super) fn changes_side(a: Point, b: Point, c: Point, d: Point) -> bool {
    match crossing(a, b, c, d) {
        Crossing::Apart => false,
        Crossing::Interior => true,
        Crossing::SharedEnd => crossing_at_vertex(a, b, c, d),
    }
}

/// Whether the angle abc, with the interior on its left, contains its vertex b.
pub(super) fn angle_contains_vertex(a: Point, b: Point, c: Point) -> bool {
    !ordered(b.orthogonal(), c, a, b)
}

/// Where two edges that cross in their interiors meet. The same for any order of the edges and of their ends.
pub(super) fn intersection(a: Point, b: Point, c: Point, d: Point) -> Point {
    let key = |p: Point| (p.x, p.y, p.z);
    let (a, b) = if key(b) < key(a) { (b, a) } else { (a, b) };
    let (c, d) = if key(d) < key(c) { (d, c) } else { (c, d) };
    let (a, b, c, d) = if (key(c), key(d)) < (key(a), key(b)) { (c, d, a, b) } else { (a, b, c, d) };
    // The point that divides ab as the distances of its ends from the plane of cd.
    let n = normal(c, d).unit();
    let (from_a, from_b) = (offset(a, c, d, n), offset(b, c, d, n));
    let whole = from_a - from_b;
    let point = if whole == 0.0 { a.plus(b) } else { a.times(-from_b / whole).plus(b.times(from_a / whole)) };
    let point = point.unit();
    if point.dot(a.plus(b)) < 0.0 { point.opposite() } else { point }
}

/// The distance of a point from the plane of cd, whose unit normal is given; from the nearer end, which is more exact.
fn offset(p: Point, c: Point, d: Point, n: Point) -> f64 {
    let (to_c, to_d) = (p.minus(c), p.minus(d));
    if to_c.dot(to_c) < to_d.dot(to_d) { to_c.dot(n) } else { to_d.dot(n) }
}

/// The point of edge ab that is nearest to a point.
pub(super) fn nearest_on_edge(p: Point, a: Point, b: Point) -> Point {
    if p == a || p == b || a == b {
        return if p == b { b } else { a };
    }
    let n = normal(a, b).unit();
    if n.cross(a).dot(p) > 0.0 && b.cross(n).dot(p) > 0.0 {
        // The sum of distances from the plane is taken from the nearer end, which keeps close points exact.
        return p.minus(n.times(offset(p, a, b, n))).unit();
    }
    let (to_a, to_b) = (p.minus(a), p.minus(b));
    if to_a.dot(to_a) <= to_b.dot(to_b) { a } else { b }
}

/// The distance of a point from edge ab, in radians.
pub(super) fn distance_to_edge(p: Point, a: Point, b: Point) -> f64 {
    let nearest = nearest_on_edge(p, a, b);
    p.angle(nearest)
}

/// The distance between two edges, in radians.
pub(super) fn distance_of_edges(a: Point, b: Point, c: Point, d: Point) -> f64 {
    if crossing(a, b, c, d) != Crossing::Apart {
        return 0.0;
    }
    let pairs = [distance_to_edge(a, c, d), distance_to_edge(b, c, d), distance_to_edge(c, a, b), distance_to_edge(d, a, b)];
    pairs.into_iter().fold(f64::INFINITY, f64::min)
}

/// The point on the way from a to b, so many radians from a.
pub(super) fn along(a: Point, b: Point, distance: f64) -> Point {
    let direction = normal(a, b).cross(a).unit();
    ray(a, direction, distance)
}

/// The point so many radians from an origin in a direction that is at right angles to it.
pub(super) fn ray(origin: Point, direction: Point, distance: f64) -> Point {
    origin.times(distance.cos()).plus(direction.times(distance.sin())).unit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(longitude: f64, latitude: f64) -> Point {
        Point::from_degrees(longitude, latitude).unwrap()
    }

    #[test]
    fn orientation_is_exact_and_never_undecided_for_distinct_points() {
        assert_eq!(sign(Point::new(1.0, 0.0, 0.0), Point::new(0.0, 1.0, 0.0), Point::new(0.0, 0.0, 1.0)), 1);
        // On the equator, and on a meridian.
        for points in [[p(0.0, 0.0), p(1.0, 0.0), p(2.0, 0.0)], [p(5.0, 1.0), p(5.0, 2.0), p(5.0, 3.0)]] {
            let [a, b, c] = points;
            let found = sign(a, b, c);
            assert!(found != 0);
            assert_eq!([sign(b, c, a), sign(c, b, a), sign(b, a, c)], [found, -found, -found]);
        }
        assert_eq!(sign(p(1.0, 1.0), p(1.0, 1.0), p(2.0, 2.0)), 0);
    }

    #[test]
    fn edges_cross_meet_or_stay_apart() {
        let (a, b, c, d) = (p(-1.0, 0.0), p(1.0, 0.5), p(0.0, -1.0), p(0.2, 1.0));
        assert_eq!(crossing(a, b, c, d), Crossing::Interior);
        assert_eq!(crossing(a, b, b, d), Crossing::SharedEnd);
        assert_eq!(crossing(a, b, p(0.2, 0.9), d), Crossing::Apart);
        let x = intersection(a, b, c, d);
        assert_eq!(x, intersection(d, c, b, a));
        assert!(distance_to_edge(x, a, b) < 1e-15 && distance_to_edge(x, c, d) < 1e-15);
    }

    #[test]
    fn the_nearest_point_is_in_the_interior_or_an_end() {
        let (a, b) = (p(0.0, 0.0), p(10.0, 0.0));
        assert!((distance_to_edge(p(5.0, 1.0), a, b).to_degrees() - 1.0).abs() < 1e-12);
        assert_eq!(nearest_on_edge(p(12.0, 1.0), a, b), b);
        assert_eq!(nearest_on_edge(p(-1.0, 1.0), a, b), a);
        let (longitude, latitude) = along(a, b, 4f64.to_radians()).degrees();
        assert!((longitude - 4.0).abs() < 1e-12 && latitude.abs() < 1e-12);
    }
}
