//! Straight lines on a flat map as chains of geodesics: `geo_line_densify` and `geo_polygon_densify`.

use super::DYNAMIC;
use super::geojson::{self, Position, Shape, ShapeArg};
use super::lines;
use super::polygon::{Polygon, valid};
use super::sphere::{EARTH_RADIUS, Point, along};
use crate::functions::{ArgInfo, ArgType, Param, RowFn, ScalarFn, ScalarImpl};
use kqlake_value::{Value, ValueRef};

const TOLERANCE: Param = Param::opt("tolerance", ArgType::Number);
const PRESERVE: Param = Param::opt("preserve_crossing", ArgType::Bool);
const DEFAULT_TOLERANCE: f64 = 10.0;
/// The documented limit.
const MOST_POINTS: usize = 10_485_760;

/// The functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "geo_line_densify",
        &[Param::req("lineString", ArgType::Dynamic), TOLERANCE, PRESERVE],
        DYNAMIC,
        ScalarImpl::Prepared(|args, _| densify(args, lines_read, |lines, chain| dense_lines(lines, chain))),
        "A line or multiline whose edges follow the straight ones of a flat map to within a number of metres (10 by default).",
    ),
    ScalarFn::new(
        "geo_polygon_densify",
        &[Param::req("polygon", ArgType::Dynamic), TOLERANCE, PRESERVE],
        DYNAMIC,
        ScalarImpl::Prepared(|args, _| densify(args, polygons_read, |polygons, chain| dense_polygons(polygons, chain))),
        "A polygon or multipolygon whose edges follow the straight ones of a flat map to within metres (10 by default).",
    ),
];

type Lines = Vec<Vec<Position>>;

fn lines_read(text: &str) -> Option<Lines> {
    lines::read(text)?;
    geojson::lines(text)
}

fn polygons_read(text: &str) -> Option<Vec<Lines>> {
    let polygons = geojson::polygons(text)?;
    for rings in &polygons {
        valid(rings.iter().map(|ring| ring.iter().map(|(x, y)| Point::unproject(*x, *y)).collect()).collect())?;
    }
    Some(polygons)
}

fn densify<T: Send + Sync + 'static>(
    args: &[ArgInfo],
    read: fn(&str) -> Option<T>,
    dense: fn(&T, &mut Chain) -> Option<Shape>,
) -> Result<RowFn, String> {
    let shape = ShapeArg::new(args, 0, read);
    Ok(Box::new(move |args| {
        let found = || {
            let tolerance = args.get(1).map_or(Some(DEFAULT_TOLERANCE), |v| v.as_f64())?;
            let wraps = matches!(args.get(2), Some(ValueRef::Bool(true)));
            let mut chain = Chain::new(tolerance, wraps)?;
            let shape = shape.get(args[0])?;
            dense(&shape, &mut chain)
        };
        found().map_or(Value::Null, |shape| shape.value())
    }))
}

fn dense_lines(lines: &[Vec<Position>], chain: &mut Chain) -> Option<Shape> {
    Some(Shape::of_lines(lines.iter().map(|line| chain.line(line)).collect::<Option<_>>()?))
}

fn dense_polygons(polygons: &[Lines], chain: &mut Chain) -> Option<Shape> {
    let mut parts = Vec::new();
    for rings in polygons {
        let mut dense = Vec::new();
        for ring in rings {
            let closed: Vec<Position> = ring.iter().chain(ring.first()).copied().collect();
            let mut points = chain.line(&closed)?;
            points.pop();
            dense.push(points);
        }
        parts.extend(Polygon::new(dense).parts());
    }
    Some(Shape::of_polygons(parts))
}

/// How edges are divided. The rule and its constants are those of S2's edge tessellator: the distance between the straight edge
/// and the geodesic is measured where it is greatest for most edges, and scaled so that it holds for all.
struct Chain {
    /// The greatest square of a chord.
    most: f64,
    /// Edges take the short way over the antimeridian; without it they run across the whole map.
    wraps: bool,
    /// How many points may be made.
    left: usize,
}

impl Chain {
    fn new(tolerance: f64, wraps: bool) -> Option<Chain> {
        const SCALE: f64 = 0.838_299_925_698_885_1;
        let chord = 2.0 * (SCALE * tolerance / EARTH_RADIUS / 2.0).sin();
        (0.1..=10_000.0).contains(&tolerance).then_some(Chain { most: chord * chord, wraps, left: MOST_POINTS })
    }

    /// A chain for a line; `None` where it has too many points.
    fn line(&mut self, line: &[Position]) -> Option<Vec<Point>> {
        let mut points: Vec<Point> = line.first().map(|(x, y)| Point::unproject(*x, *y)).into_iter().collect();
        for pair in line.windows(2) {
            let mut to = pair[1];
            if self.wraps && (to.0 - pair[0].0).abs() > 180.0 {
                to.0 += if to.0 < pair[0].0 { 360.0 } else { -360.0 };
            }
            self.edge((pair[0], Point::unproject(pair[0].0, pair[0].1)), (to, Point::unproject(to.0, to.1)), &mut points)?;
        }
        points.dedup();
        Some(points)
    }

    /// Appends what follows the first end of an edge.
    fn edge(&mut self, from: (Position, Point), to: (Position, Point), points: &mut Vec<Point>) -> Option<()> {
        if self.error(from, to) <= self.most {
            self.left = self.left.checked_sub(1)?;
            points.push(to.1);
            return Some(());
        }
        let middle = between(from.0, to.0, 0.5);
        let middle = (middle, Point::unproject(middle.0, middle.1));
        self.edge(from, middle, points)?;
        self.edge(middle, to, points)
    }

    /// The square of the chord between the straight edge and the geodesic.
    fn error(&self, (flat_a, a): (Position, Point), (flat_b, b): (Position, Point)) -> f64 {
        const FRACTION: f64 = 0.312_156_910_822_483_1;
        if a.dot(b) < -1e-14 {
            return f64::INFINITY;
        }
        let apart = |fraction: f64| {
            let (longitude, latitude) = between(flat_a, flat_b, fraction);
            let gap = along(a, b, fraction * a.angle(b)).minus(Point::unproject(longitude, latitude));
            gap.dot(gap)
        };
        apart(FRACTION).max(apart(1.0 - FRACTION))
    }
}

fn between(a: Position, b: Position, fraction: f64) -> Position {
    let mix = |a: f64, b: f64| (1.0 - fraction) * a + fraction * b;
    (mix(a.0, b.0), mix(a.1, b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(line: &[Position], tolerance: f64, wraps: bool) -> usize {
        Chain::new(tolerance, wraps).unwrap().line(line).unwrap().len()
    }

    #[test]
    fn edges_are_divided_where_a_straight_line_is_none() {
        assert_eq!(count(&[(50.0, 50.0), (51.0, 51.0)], 10.0, false), 9);
        assert_eq!(count(&[(-73.949247, 40.796860), (-73.973017, 40.764323)], 10.0, false), 2);
        // Along a meridian and the equator they are the same.
        assert_eq!(count(&[(10.0, -40.0), (10.0, 40.0)], 0.1, false), 2);
        assert!(count(&[(50.0, 50.0), (51.0, 51.0)], 0.1, false) > 50);
        assert!(Chain::new(0.0, false).is_none() && Chain::new(10_001.0, false).is_none());
    }

    #[test]
    fn the_antimeridian_is_crossed_where_it_is_asked_for() {
        let line = [(179.0, 50.0), (-179.0, 50.0)];
        let farthest = |wraps| {
            let points = Chain::new(100.0, wraps).unwrap().line(&line).unwrap();
            points.into_iter().map(|p| p.degrees().0.abs()).fold(180.0, f64::min)
        };
        assert!(farthest(true) > 178.9 && farthest(false) < 2.0);
    }
}
