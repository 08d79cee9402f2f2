//! Lines and polygons with fewer vertices: `geo_line_simplify` and `geo_polygon_simplify`.
//!
//! Vertices that are closer than the tolerance become one. Then edges are joined, from the first on, as long as the joined edge
//! passes every vertex that it replaces within the tolerance. Microsoft's engine does so with S2's builder, which moves edges
//! apart where a polygon would come to cross itself; here the tolerance is halved until it does not.

use std::collections::HashMap;

use super::DYNAMIC;
use super::geojson::{Shape, ShapeArg};
use super::lines;
use super::polygon::{Polygon, valid};
use super::s2cell::{Cell, MAX_LEVEL};
use super::sphere::{EARTH_RADIUS, Point};
use super::unions::{chained, one};
use crate::functions::{ArgInfo, ArgType, Param, RowFn, ScalarFn, ScalarImpl};
use kqlake_value::{Type, Value, ValueRef};

const TOLERANCE: Param = Param::opt("tolerance", ArgType::Number);
const DEFAULT_TOLERANCE: f64 = 10.0;
/// The documented limit in metres, some 70 degrees.
const GREATEST_TOLERANCE: f64 = 7_800_000.0;

/// The functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "geo_line_simplify",
        &[Param::req("lineString", ArgType::Dynamic), TOLERANCE],
        DYNAMIC,
        ScalarImpl::Prepared(line_simplify),
        "A line, or the union of a multiline, with fewer vertices, to within a number of metres (10 by default).",
    ),
    ScalarFn::new(
        "geo_polygon_simplify",
        &[Param::req("polygon", ArgType::Dynamic), TOLERANCE],
        DYNAMIC,
        ScalarImpl::Prepared(polygon_simplify),
        "A polygon, or the union of a multipolygon, with fewer vertices, to within a number of metres (10 by default).",
    ),
];

/// The tolerance of a call in radians.
fn tolerance(args: &[ValueRef<'_>]) -> Option<f64> {
    let metres = args.get(1).map_or(Some(DEFAULT_TOLERANCE), |v| v.as_f64())?;
    (0.0..=GREATEST_TOLERANCE).contains(&metres).then_some(metres / EARTH_RADIUS)
}

fn line_simplify(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let lines = ShapeArg::new(args, 0, |text| {
        let lines = lines::read(text)?;
        Some(if lines.len() > 1 { chained(&lines::distinct_edges(&lines)) } else { lines })
    });
    Ok(Box::new(move |args| {
        let found = || {
            let tolerance = tolerance(args)?;
            let simple: Vec<Vec<Point>> =
                lines.get(args[0])?.iter().map(|line| simple_line(line, tolerance)).filter(|line| line.len() > 1).collect();
            (!simple.is_empty()).then(|| Shape::of_lines(simple))
        };
        found().map_or(Value::Null, |shape| shape.value())
    }))
}

fn polygon_simplify(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let polygon = ShapeArg::new(args, 0, one);
    Ok(Box::new(move |args| {
        let found = || {
            let polygon = polygon.get(args[0])?;
            simple_polygon(&polygon, tolerance(args)?)
        };
        found().map_or(Value::Null, |polygon| Shape::of_polygons(polygon.parts()).value())
    }))
}

/// A polygon with fewer vertices; `None` where nothing is left of it.
fn simple_polygon(polygon: &Polygon, tolerance: f64) -> Option<Polygon> {
    let parts = polygon.parts();
    let mut tolerance = tolerance;
    for _ in 0..24 {
        let mut rings = Vec::new();
        for part in &parts {
            let mut simple = part.iter().map(|ring| simple_ring(ring, tolerance));
            // Without its shell a hole is nothing.
            if let Some(shell) = simple.next().filter(|shell| shell.len() > 2) {
                rings.push(shell);
                rings.extend(simple.filter(|hole| hole.len() > 2));
            }
        }
        if rings.is_empty() {
            return None;
        }
        if let Some(polygon) = valid(rings) {
            return Some(polygon);
        }
        tolerance /= 2.0;
    }
    Some(Polygon::new(parts.into_iter().flatten().collect()))
}

/// A vertex that stays, and the input vertices that it stands for.
struct Site {
    point: Point,
    first: usize,
    /// The place behind the last.
    end: usize,
}

/// The vertices that stay when those within the tolerance of each other are merged: of each group the first by its S2 cell.
fn sites(points: &[Point], tolerance: f64) -> Vec<Site> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by_key(|at| Cell::containing(points[*at], MAX_LEVEL).id());
    // The chord of the tolerance, and a grid with cells of that size.
    let chord = 2.0 * (tolerance / 2.0).sin();
    let size = chord.max(1e-15);
    let cell = |p: Point| [p.x, p.y, p.z].map(|v| (v / size).floor() as i64);
    let mut grid: HashMap<[i64; 3], Vec<Point>> = HashMap::new();
    let nearest = |grid: &HashMap<[i64; 3], Vec<Point>>, p: Point| {
        let [x, y, z] = cell(p);
        let mut best: Option<(f64, Point)> = None;
        for dx in -1..=1 {
            for dy in -1..=1 {
                for dz in -1..=1 {
                    for site in grid.get(&[x + dx, y + dy, z + dz]).into_iter().flatten() {
                        let distance = site.minus(p).norm();
                        if best.is_none_or(|(least, _)| distance < least) {
                            best = Some((distance, *site));
                        }
                    }
                }
            }
        }
        best
    };
    for at in order {
        let p = points[at];
        if nearest(&grid, p).is_none_or(|(distance, site)| distance >= chord && site != p) {
            grid.entry(cell(p)).or_default().push(p);
        }
    }
    let mut sites: Vec<Site> = Vec::new();
    for (at, p) in points.iter().enumerate() {
        let point = nearest(&grid, *p).map_or(*p, |(_, site)| site);
        match sites.last_mut() {
            Some(last) if last.point == point => last.end = at + 1,
            _ => sites.push(Site { point, first: at, end: at + 1 }),
        }
    }
    sites
}

/// A line with fewer vertices; less than two where it lies in one place.
fn simple_line(line: &[Point], tolerance: f64) -> Vec<Point> {
    let sites = sites(line, tolerance);
    joined(&sites, line, tolerance).into_iter().map(|at| sites[at].point).collect()
}

/// A ring with fewer vertices; less than three where it has no area.
fn simple_ring(ring: &[Point], tolerance: f64) -> Vec<Point> {
    // It is opened at the vertex that comes first by its S2 cell, which stays.
    let first = (0..ring.len()).min_by_key(|at| Cell::containing(ring[*at], MAX_LEVEL).id()).unwrap_or(0);
    let opened: Vec<Point> = ring[first..].iter().chain(&ring[..=first.min(ring.len() - 1)]).copied().collect();
    let sites = sites(&opened, tolerance);
    let mut kept = joined(&sites, &opened, tolerance);
    kept.pop();
    // It begins with the input's first vertex that stays.
    let place = |at: &usize| (sites[*at].first + first) % ring.len();
    let begin = kept.iter().enumerate().min_by_key(|(_, at)| place(at)).map_or(0, |(begin, _)| begin);
    kept.rotate_left(begin);
    kept.into_iter().map(|at| sites[at].point).collect()
}

/// The places of the sites between which edges are joined.
fn joined(sites: &[Site], points: &[Point], tolerance: f64) -> Vec<usize> {
    let mut kept = vec![0];
    let mut start = 0;
    while start + 1 < sites.len() {
        let mut window = Window::new(sites[start].point, sites[start + 1].point, tolerance);
        let mut end = start + 1;
        while end + 1 < sites.len() {
            points[sites[end].first..sites[end].end].iter().for_each(|p| window.pass(*p));
            window.pass(sites[end].point);
            if !window.reaches(sites[end + 1].point) {
                break;
            }
            end += 1;
        }
        kept.push(end);
        start = end;
    }
    kept
}

/// The directions from a point in which an edge passes others within a distance.
struct Window {
    from: Point,
    /// The first direction, and the one at right angles to it.
    ahead: Point,
    left: Point,
    low: f64,
    high: f64,
    /// How long an edge must be so that it does not end before one of them.
    least: f64,
    tolerance: f64,
}

impl Window {
    fn new(from: Point, towards: Point, tolerance: f64) -> Window {
        let left = from.cross(towards).unit();
        Window { from, ahead: left.cross(from), left, low: f64::NEG_INFINITY, high: f64::INFINITY, least: 0.0, tolerance }
    }

    fn direction(&self, p: Point) -> f64 {
        p.dot(self.left).atan2(p.dot(self.ahead))
    }

    /// Narrows it to the edges that pass a point.
    fn pass(&mut self, p: Point) {
        let distance = self.from.angle(p);
        if distance <= self.tolerance {
            return;
        }
        let half = (self.tolerance.sin() / distance.sin()).min(1.0).asin();
        let direction = self.direction(p);
        self.low = self.low.max(direction - half);
        self.high = self.high.min(direction + half);
        self.least = self.least.max(distance);
    }

    /// Whether the edge to a point passes all.
    fn reaches(&self, p: Point) -> bool {
        let (direction, length) = (self.direction(p), self.from.angle(p));
        // What is exactly on a line is so after rounding as well.
        const SLACK: f64 = 1e-12;
        (self.low - SLACK..=self.high + SLACK).contains(&direction)
            && length >= self.least
            && (1e-15..std::f64::consts::FRAC_PI_2).contains(&length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::scalar::geo::sphere::distance_to_edge;

    fn p(longitude: f64, latitude: f64) -> Point {
        Point::from_degrees(longitude, latitude).unwrap()
    }

    #[test]
    fn what_is_left_passes_all_vertices_within_the_tolerance() {
        let wave: Vec<Point> = (0..200).map(|i| p(f64::from(i) * 1e-3, (f64::from(i) * 0.3).sin() * 1e-3)).collect();
        for metres in [1.0, 20.0, 90.0, 150.0, 1000.0] {
            let tolerance = metres / EARTH_RADIUS;
            let simple = simple_line(&wave, tolerance);
            assert!((2..=wave.len()).contains(&simple.len()));
            for point in &wave {
                let nearest = simple.windows(2).map(|e| distance_to_edge(*point, e[0], e[1])).fold(1.0, f64::min);
                assert!(nearest <= tolerance * 1.0001, "{metres}: {}", nearest * EARTH_RADIUS);
            }
            for (at, a) in simple.iter().enumerate() {
                assert!(simple[at + 1..].iter().all(|b| a.angle(*b) >= tolerance * 0.9999), "{metres}");
            }
        }
        assert_eq!(simple_line(&wave, 1000.0 / EARTH_RADIUS).len(), 2);
        assert_eq!(simple_line(&wave, 0.0), wave);
        assert_eq!(simple_line(&[p(1.1, 1.1), p(1.2, 1.2)], 100_000.0 / EARTH_RADIUS).len(), 1);
        // What is on the way goes even without a tolerance.
        assert_eq!(simple_line(&[p(0.0, 0.0), p(0.0, 1.0), p(0.0, 2.0)], 0.0), [p(0.0, 0.0), p(0.0, 2.0)]);
    }

    #[test]
    fn polygons_stay_valid_or_vanish() {
        let circle = |x: f64, y: f64, radius: f64, count: u32| -> Vec<Point> {
            let at = |i: u32| std::f64::consts::TAU * f64::from(i) / f64::from(count);
            (0..count).map(|i| p(x + radius * at(i).cos(), y + radius * at(i).sin())).collect()
        };
        let ring = valid(vec![circle(0.0, 0.0, 1.0, 100), circle(0.0, 0.0, 0.9, 100)]).unwrap();
        let simple = simple_polygon(&ring, 2000.0 / EARTH_RADIUS).unwrap();
        assert_eq!(simple.holes, [false, true]);
        assert!(simple.len() < 60);
        // As coarse as this the hole would leave the shell.
        assert!(simple_polygon(&ring, 30_000.0 / EARTH_RADIUS).is_some());
        assert!(simple_polygon(&ring, 1_000_000.0 / EARTH_RADIUS).is_none());
    }
}
