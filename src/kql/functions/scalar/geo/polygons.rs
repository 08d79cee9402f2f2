//! Polygons: `geo_point_in_polygon`, `geo_polygon_area` and their kin.

use super::DYNAMIC;
use super::geojson::{Shape, ShapeArg};
use super::points::point;
use super::polygon::Polygon;
use super::sphere::{EARTH_RADIUS, Point};
use super::unions::one;
use crate::functions::{ArgInfo, ArgType, Param, Returns, RowFn, ScalarFn, ScalarImpl};
use kqlake_value::{Type, Value};

const POLYGON: Param = Param::req("polygon", ArgType::Dynamic);
const REAL: Returns = Returns::Type(Type::Real);

/// The functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "geo_closest_point_on_polygon",
        &[super::LONGITUDE, super::LATITUDE, POLYGON],
        DYNAMIC,
        ScalarImpl::Prepared(closest),
        "The point of a polygon or multipolygon that is nearest to a point, as GeoJSON.",
    ),
    ScalarFn::new(
        "geo_distance_point_to_polygon",
        &[super::LONGITUDE, super::LATITUDE, POLYGON],
        REAL,
        ScalarImpl::Prepared(distance),
        "The distance of a point from a polygon or multipolygon, in metres; 0 inside.",
    ),
    ScalarFn::new(
        "geo_point_in_polygon",
        &[super::LONGITUDE, super::LATITUDE, POLYGON],
        Returns::Type(Type::Bool),
        ScalarImpl::Prepared(in_polygon),
        "True where a point is inside a polygon or multipolygon.",
    ),
    ScalarFn::new(
        "geo_polygon_area",
        &[POLYGON],
        REAL,
        ScalarImpl::Prepared(|args, _| measure(args, Polygon::area)),
        "The area of a polygon, or of the union of a multipolygon, in square metres.",
    ),
    ScalarFn::new(
        "geo_polygon_centroid",
        &[POLYGON],
        DYNAMIC,
        ScalarImpl::Prepared(centroid),
        "The center of mass of a polygon or multipolygon, as GeoJSON.",
    ),
    ScalarFn::new(
        "geo_polygon_perimeter",
        &[POLYGON],
        REAL,
        ScalarImpl::Prepared(|args, _| measure(args, Polygon::perimeter)),
        "The length of the boundary of a polygon, or of the union of a multipolygon, in metres.",
    ),
];

fn measure(args: &[ArgInfo], of: fn(&Polygon) -> f64) -> Result<RowFn, String> {
    let polygon = ShapeArg::new(args, 0, one);
    Ok(Box::new(move |args| polygon.get(args[0]).map_or(Value::Null, |polygon| Value::Real(of(&polygon)))))
}

fn centroid(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let polygon = ShapeArg::new(args, 0, one);
    Ok(Box::new(move |args| polygon.get(args[0]).map_or(Value::Null, |polygon| Shape::Point(polygon.centroid()).value())))
}

fn in_polygon(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let polygon = ShapeArg::new(args, 2, one);
    Ok(Box::new(move |args| {
        let found = || Some(polygon.get(args[2])?.contains(point(args, 0)?));
        found().map_or(Value::Null, Value::Bool)
    }))
}

fn distance(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let polygon = ShapeArg::new(args, 2, one);
    Ok(Box::new(move |args| {
        let found = || {
            let p: Point = point(args, 0)?;
            Some(polygon.get(args[2])?.nearest(p).angle(p) * EARTH_RADIUS)
        };
        found().map_or(Value::Null, Value::Real)
    }))
}

fn closest(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let polygon = ShapeArg::new(args, 2, one);
    Ok(Box::new(move |args| {
        let found = || Some(polygon.get(args[2])?.nearest(point(args, 0)?));
        found().map_or(Value::Null, |point| Shape::Point(point).value())
    }))
}
