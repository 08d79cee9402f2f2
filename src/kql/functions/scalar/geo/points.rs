//! Distances and directions between points, and circles: `geo_distance_2points`, `geo_azimuth`, `geo_angle`,
//! `geo_point_in_circle`.

use geographiclib_rs::{Geodesic, InverseGeodesic};
use std::f64::consts::TAU;

use super::sphere::{EARTH_RADIUS, Point, normal};
use super::{LATITUDE, LONGITUDE, coordinates};
use crate::functions::{ArgInfo, ArgType, Param, Returns, RowFn, ScalarFn, ScalarImpl};
use kqlake_value::{Type, Value, ValueRef};

const REAL: Returns = Returns::Type(Type::Real);
const LONGITUDE_1: Param = Param::req("p1_longitude", ArgType::Number);
const LATITUDE_1: Param = Param::req("p1_latitude", ArgType::Number);
const LONGITUDE_2: Param = Param::req("p2_longitude", ArgType::Number);
const LATITUDE_2: Param = Param::req("p2_latitude", ArgType::Number);

/// The functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "geo_angle",
        &[
            LONGITUDE_1,
            LATITUDE_1,
            LONGITUDE_2,
            LATITUDE_2,
            Param::req("p3_longitude", ArgType::Number),
            Param::req("p3_latitude", ArgType::Number),
        ],
        REAL,
        ScalarImpl::Row(angle),
        "The clockwise angle from line p1-p2 to line p2-p3, in radians.",
    ),
    ScalarFn::new(
        "geo_azimuth",
        &[LONGITUDE_1, LATITUDE_1, LONGITUDE_2, LATITUDE_2],
        REAL,
        ScalarImpl::Row(azimuth),
        "The clockwise angle from north to the line between two points, in radians.",
    ),
    ScalarFn::new(
        "geo_distance_2points",
        &[LONGITUDE_1, LATITUDE_1, LONGITUDE_2, LATITUDE_2, Param::opt("use_spheroid", ArgType::Bool)],
        REAL,
        ScalarImpl::Prepared(distance),
        "The distance between two points in metres, on a sphere or on the spheroid.",
    ),
    ScalarFn::new(
        "geo_point_in_circle",
        &[
            LONGITUDE,
            LATITUDE,
            Param::req("pc_longitude", ArgType::Number),
            Param::req("pc_latitude", ArgType::Number),
            Param::req("c_radius", ArgType::Number),
        ],
        Returns::Type(Type::Bool),
        ScalarImpl::Row(in_circle),
        "True where a point is within a number of metres of another.",
    ),
];

/// The point of a pair of arguments.
pub(super) fn point(args: &[ValueRef<'_>], place: usize) -> Option<Point> {
    let (longitude, latitude) = coordinates(args, place)?;
    Point::from_degrees(longitude, latitude)
}

/// A real, or null.
fn real(value: Option<f64>) -> Value {
    value.map_or(Value::Null, Value::Real)
}

fn distance(_: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let spheroid = Geodesic::wgs84();
    Ok(Box::new(move |args| {
        let metres = || {
            let (a, b) = (coordinates(args, 0)?, coordinates(args, 2)?);
            if matches!(args.get(4), Some(ValueRef::Bool(true))) {
                return Some(spheroid.inverse(a.1, a.0, b.1, b.0));
            }
            Some(point(args, 0)?.angle(point(args, 2)?) * EARTH_RADIUS)
        };
        real(metres())
    }))
}

/// The angle by which a direction at a point has to be turned clockwise to another, from 0 to 2π. Both are at right angles to the
/// point.
fn turn(at: Point, from: Point, to: Point) -> f64 {
    let angle = from.cross(to).dot(at).atan2(from.dot(to));
    // Counterclockwise is positive here.
    let clockwise = -angle;
    if clockwise < 0.0 { clockwise + TAU } else { clockwise.abs() }
}

/// The direction at `a` of the line to `b`; `None` where they are the same or opposite.
fn direction(a: Point, b: Point) -> Option<Point> {
    (a != b && a != b.opposite()).then(|| normal(a, b).cross(a).unit())
}

fn azimuth(args: &[ValueRef<'_>]) -> Value {
    let found = || {
        let (a, b) = (point(args, 0)?, point(args, 2)?);
        let to = direction(a, b)?;
        let (longitude, latitude) = coordinates(args, 0)?;
        let (longitude, latitude) = (longitude.to_radians(), latitude.to_radians());
        let north = Point::new(-latitude.sin() * longitude.cos(), -latitude.sin() * longitude.sin(), latitude.cos());
        Some(turn(a, north, to))
    };
    real(found())
}

fn angle(args: &[ValueRef<'_>]) -> Value {
    let found = || {
        let (a, b, c) = (point(args, 0)?, point(args, 2)?, point(args, 4)?);
        Some(turn(b, direction(b, a)?, direction(b, c)?))
    };
    real(found())
}

fn in_circle(args: &[ValueRef<'_>]) -> Value {
    let found = || {
        let (a, center) = (point(args, 0)?, point(args, 2)?);
        let radius = args[4].as_f64().filter(|radius| *radius > 0.0 && radius.is_finite())?;
        Some(a.angle(center) * EARTH_RADIUS <= radius)
    };
    found().map_or(Value::Null, Value::Bool)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(row: fn(&[ValueRef<'_>]) -> Value, args: &[f64]) -> Option<f64> {
        let args: Vec<ValueRef<'_>> = args.iter().map(|v| ValueRef::Real(*v)).collect();
        match row(&args) {
            Value::Real(v) => Some(v),
            _ => None,
        }
    }

    fn metres(args: &[f64], spheroid: bool) -> Value {
        let mut args: Vec<ValueRef<'_>> = args.iter().map(|v| ValueRef::Real(*v)).collect();
        args.push(ValueRef::Bool(spheroid));
        distance(&[], Type::Real).unwrap()(&args)
    }

    #[test]
    fn distances_are_on_the_sphere_or_the_spheroid() {
        let Value::Real(found) = metres(&[-122.407628, 47.578557, -118.275287, 34.019056], false) else { panic!() };
        assert!((found - 1546754.35197381).abs() < 1e-6, "{found}");
        // A quarter of the equator, whose radius is 6378137 m.
        let Value::Real(found) = metres(&[0.0, 0.0, 90.0, 0.0], true) else { panic!() };
        assert!((found - TAU / 4.0 * 6378137.0).abs() < 1e-6, "{found}");
        assert_eq!(metres(&[300.0, 1.0, 1.0, 1.0], false), Value::Null);
    }

    #[test]
    fn angles_are_clockwise_and_null_without_a_direction() {
        assert!((call(azimuth, &[0.0, 0.0, 1.0, 0.0]).unwrap() - TAU / 4.0).abs() < 1e-12);
        assert!((call(azimuth, &[0.0, 0.0, -1.0, 0.0]).unwrap() - 3.0 * TAU / 4.0).abs() < 1e-12);
        assert_eq!(call(azimuth, &[0.0, 0.0, 0.0, 1.0]).unwrap(), 0.0);
        assert_eq!(call(azimuth, &[5.0, 10.0, 5.0, 10.0]), None);
        assert_eq!(call(angle, &[0.0, 0.0, 1.0, 0.0, 1.0, 0.0]), None);
        // Towards west from p2 lies p1; north is a quarter clockwise of it.
        assert!((call(angle, &[0.0, 0.0, 1.0, 0.0, 1.0, 1.0]).unwrap() - TAU / 4.0).abs() < 1e-12);
    }
}
