//! The S2 grid: `geo_point_to_s2cell` and its kin.

use super::geojson::Shape;
use super::s2cell::{Cell, MAX_LEVEL};
use super::sphere::Point;
use super::{DYNAMIC, LATITUDE, LONGITUDE, coordinates, whole};
use crate::functions::{ArgType, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::{Type, Value, ValueRef};
use serde_json::Value as Json;

const TOKEN: &[Param] = &[Param::req("s2cell", ArgType::String)];
/// The level of cells where none is given.
pub(super) const DEFAULT_LEVEL: i64 = 11;

/// The functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "geo_point_to_s2cell",
        &[LONGITUDE, LATITUDE, Param::opt("level", ArgType::Integer)],
        Returns::Type(Type::String),
        ScalarImpl::Row(encode),
        "The token of the S2 cell of a point, of a level from 0 to 30 (11 by default).",
    ),
    ScalarFn::new(
        "geo_s2cell_neighbors",
        TOKEN,
        DYNAMIC,
        ScalarImpl::Row(neighbors),
        "The tokens of the S2 cells around a cell.",
    ),
    ScalarFn::new(
        "geo_s2cell_to_central_point",
        TOKEN,
        DYNAMIC,
        ScalarImpl::Row(center),
        "The middle of an S2 cell, as GeoJSON.",
    ),
    ScalarFn::new("geo_s2cell_to_polygon", TOKEN, DYNAMIC, ScalarImpl::Row(polygon), "The area of an S2 cell, as GeoJSON."),
];

/// A level of cells; `None` for what is none.
pub(super) fn level(args: &[ValueRef<'_>], place: usize) -> Option<u8> {
    u8::try_from(whole(args, place, DEFAULT_LEVEL)?).ok().filter(|level| *level <= MAX_LEVEL)
}

fn encode(args: &[ValueRef<'_>]) -> Value {
    let encoded = || {
        let (longitude, latitude) = coordinates(args, 0)?;
        Some(Cell::containing(Point::from_degrees(longitude, latitude)?, level(args, 2)?).token())
    };
    Value::String(encoded().unwrap_or_default())
}

fn cell(args: &[ValueRef<'_>]) -> Option<Cell> {
    args[0].as_str().and_then(Cell::from_token)
}

fn center(args: &[ValueRef<'_>]) -> Value {
    cell(args).map_or(Value::Null, |cell| Shape::Point(cell.center()).value())
}

fn polygon(args: &[ValueRef<'_>]) -> Value {
    cell(args).map_or(Value::Null, |cell| Shape::Polygon(vec![cell.corners().to_vec()]).value())
}

fn neighbors(args: &[ValueRef<'_>]) -> Value {
    cell(args).map_or(Value::Null, |cell| {
        Value::Dynamic(cell.neighbors().into_iter().map(|neighbor| Json::from(neighbor.token())).collect())
    })
}
