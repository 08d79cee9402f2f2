//! Lines: `geo_line_length` and its kin.

use std::collections::HashSet;

use geographiclib_rs::{DirectGeodesic, Geodesic, InverseGeodesic};

use super::DYNAMIC;
use super::edges::Edge;
use super::geojson::{self, Position, Shape, ShapeArg};
use super::points::point;
use super::polygon::nearest_of;
use super::sphere::{EARTH_RADIUS, Point, along, nearest_on_edge};
use crate::functions::{ArgInfo, ArgType, Param, Returns, RowFn, ScalarFn, ScalarImpl};
use kqlake_value::{Type, Value, ValueRef};

const LINE: Param = Param::req("lineString", ArgType::Dynamic);
const REAL: Returns = Returns::Type(Type::Real);
const SPHEROID: Param = Param::opt("use_spheroid", ArgType::Bool);

/// The functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "geo_closest_point_on_line",
        &[super::LONGITUDE, super::LATITUDE, LINE],
        DYNAMIC,
        ScalarImpl::Prepared(closest),
        "The point of a line or multiline that is nearest to a point, as GeoJSON.",
    ),
    ScalarFn::new(
        "geo_distance_point_to_line",
        &[super::LONGITUDE, super::LATITUDE, LINE],
        REAL,
        ScalarImpl::Prepared(distance),
        "The distance of a point from a line or multiline, in metres.",
    ),
    ScalarFn::new(
        "geo_line_centroid",
        &[LINE],
        DYNAMIC,
        ScalarImpl::Prepared(centroid),
        "The center of mass of a line or multiline, as GeoJSON.",
    ),
    ScalarFn::new(
        "geo_line_interpolate_point",
        &[LINE, Param::req("fraction", ArgType::Number), SPHEROID],
        DYNAMIC,
        ScalarImpl::Prepared(interpolate),
        "The point at a fraction of the way along a line, as GeoJSON.",
    ),
    ScalarFn::new(
        "geo_line_length",
        &[LINE],
        REAL,
        ScalarImpl::Prepared(length),
        "The length of a line, or of the union of a multiline, in metres.",
    ),
    ScalarFn::new(
        "geo_line_locate_point",
        &[LINE, super::LONGITUDE, super::LATITUDE, SPHEROID],
        REAL,
        ScalarImpl::Prepared(locate),
        "The fraction of the way along a line at which it is nearest to a point.",
    ),
];

/// Reads a line or multiline. Positions that repeat the one before are left out; two that are opposite, or a line in one place,
/// make it invalid.
pub(super) fn read(text: &str) -> Option<Vec<Vec<Point>>> {
    geojson::lines(text)?.into_iter().map(|line| chain(&line)).collect()
}

fn chain(line: &[Position]) -> Option<Vec<Point>> {
    let mut points: Vec<Point> = line.iter().map(|(longitude, latitude)| Point::unproject(*longitude, *latitude)).collect();
    points.dedup();
    let fine = points.len() > 1 && points.windows(2).all(|pair| pair[0] != pair[1].opposite());
    fine.then_some(points)
}

/// A single line.
fn single(text: &str) -> Option<Vec<Point>> {
    let mut lines = read(text)?;
    if lines.len() == 1 { lines.pop() } else { None }
}

/// The edges of lines.
pub(super) fn edges(lines: &[Vec<Point>]) -> impl Iterator<Item = Edge> + '_ {
    lines.iter().flat_map(|line| line.windows(2).map(|pair| (pair[0], pair[1])))
}

/// The edges of lines, each place once, whatever its direction: their union.
pub(super) fn distinct_edges(lines: &[Vec<Point>]) -> Vec<Edge> {
    let key = |p: Point| [p.x, p.y, p.z].map(|v| (v + 0.0).to_bits());
    let mut seen = HashSet::new();
    edges(lines)
        .filter(|(a, b)| {
            let (a, b) = (key(*a), key(*b));
            seen.insert((a.min(b), a.max(b)))
        })
        .collect()
}

fn closest(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let line = ShapeArg::new(args, 2, read);
    Ok(Box::new(move |args| {
        let found = || nearest_of(edges(&line.get(args[2])?), point(args, 0)?);
        found().map_or(Value::Null, |point| Shape::Point(point).value())
    }))
}

fn distance(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let line = ShapeArg::new(args, 2, read);
    Ok(Box::new(move |args| {
        let found = || {
            let p = point(args, 0)?;
            Some(nearest_of(edges(&line.get(args[2])?), p)?.angle(p) * EARTH_RADIUS)
        };
        found().map_or(Value::Null, Value::Real)
    }))
}

fn length(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let line = ShapeArg::new(args, 0, |text| {
        let lines = read(text)?;
        let edges = if lines.len() > 1 { distinct_edges(&lines) } else { edges(&lines).collect() };
        Some(edges.iter().map(|(a, b)| a.angle(*b)).sum::<f64>() * EARTH_RADIUS)
    });
    Ok(Box::new(move |args| line.get(args[0]).map_or(Value::Null, |length| Value::Real(*length))))
}

fn centroid(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let line = ShapeArg::new(args, 0, |text| {
        let lines = read(text)?;
        let edges = if lines.len() > 1 { distinct_edges(&lines) } else { edges(&lines).collect() };
        // The integral of the position over an edge is its chord's length in the direction of its middle.
        let sum = edges.iter().fold(Point::new(0.0, 0.0, 0.0), |sum, (a, b)| {
            let (along, across) = (a.plus(*b), b.minus(*a).norm());
            sum.plus(along.unit().times(across))
        });
        Some(sum.unit())
    });
    Ok(Box::new(move |args| line.get(args[0]).map_or(Value::Null, |center| Shape::Point(*center).value())))
}

/// A line and its length in radians.
fn measured(text: &str) -> Option<(Vec<Point>, f64)> {
    let line = single(text)?;
    let length = line.windows(2).map(|pair| pair[0].angle(pair[1])).sum();
    Some((line, length))
}

fn interpolate(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let line = ShapeArg::new(args, 0, measured);
    let spheroid = Geodesic::wgs84();
    Ok(Box::new(move |args| {
        let found = || {
            let line = line.get(args[0])?;
            let fraction = args[1].as_f64().filter(|fraction| (0.0..=1.0).contains(fraction))?;
            if matches!(args.get(2), Some(ValueRef::Bool(true))) {
                return on_spheroid(&spheroid, &line.0, fraction);
            }
            let mut left = fraction * line.1;
            for pair in line.0.windows(2) {
                let length = pair[0].angle(pair[1]);
                if left < length {
                    return Some(along(pair[0], pair[1], left));
                }
                left -= length;
            }
            line.0.last().copied()
        };
        found().map_or(Value::Null, |point| Shape::Point(point).value())
    }))
}

/// The point at a fraction of a line whose edges are geodesics of the spheroid.
fn on_spheroid(spheroid: &Geodesic, line: &[Point], fraction: f64) -> Option<Point> {
    let edges: Vec<(Position, f64, f64)> = line
        .windows(2)
        .map(|pair| {
            let ((from_x, from_y), (to_x, to_y)) = (pair[0].degrees(), pair[1].degrees());
            let (length, azimuth, _, _): (f64, f64, f64, f64) = spheroid.inverse(from_y, from_x, to_y, to_x);
            ((from_x, from_y), length, azimuth)
        })
        .collect();
    let mut left = fraction * edges.iter().map(|(_, length, _)| length).sum::<f64>();
    for ((longitude, latitude), length, azimuth) in edges {
        if left < length {
            let (latitude, longitude): (f64, f64) = spheroid.direct(latitude, longitude, azimuth, left);
            return Some(Point::unproject(longitude, latitude));
        }
        left -= length;
    }
    line.last().copied()
}

fn locate(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    if args.get(3).is_some_and(|arg| !matches!(arg.constant, Some(Value::Bool(false) | Value::Null))) {
        return Err("the nearest point on the spheroid is not supported; leave use_spheroid out".to_owned());
    }
    let line = ShapeArg::new(args, 0, measured);
    Ok(Box::new(move |args| {
        let found = || {
            let (line, p) = (line.get(args[0])?, point(args, 1)?);
            let (mut best, mut before) = ((f64::INFINITY, 0.0), 0.0);
            for pair in line.0.windows(2) {
                let nearest = nearest_on_edge(p, pair[0], pair[1]);
                let distance = nearest.minus(p).norm();
                if distance < best.0 {
                    best = (distance, before + pair[0].angle(nearest));
                }
                before += pair[0].angle(pair[1]);
            }
            Some((best.1 / line.1).min(1.0))
        };
        found().map_or(Value::Null, Value::Real)
    }))
}
