//! The hexagonal H3 grid: `geo_point_to_h3cell` and its kin. The cells are those of the crate h3o.

use h3o::{CellIndex, LatLng, Resolution};

use super::geojson::{point_json, ring_json, shape_json};
use super::{DYNAMIC, LATITUDE, LONGITUDE, coordinates, whole};
use crate::functions::{ArgType, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::{Type, Value, ValueRef};
use serde_json::Value as Json;

const CELL: Param = Param::req("h3cell", ArgType::String);
const RESOLUTION: Param = Param::opt("resolution", ArgType::Integer);
const TEXT: Returns = Returns::Type(Type::String);
/// The resolution of cells where none is given.
pub(super) const DEFAULT_RESOLUTION: i64 = 6;
/// The documented limit of `geo_h3cell_rings`.
const MOST_RINGS: i64 = 142;

/// The functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "geo_h3cell_children",
        &[CELL, RESOLUTION],
        DYNAMIC,
        ScalarImpl::Row(children),
        "The H3 cells of a higher resolution in a cell, at most five steps higher.",
    ),
    ScalarFn::new(
        "geo_h3cell_level",
        &[CELL],
        Returns::Type(Type::Int),
        ScalarImpl::Row(|args| cell(args).map_or(Value::Null, |cell| Value::Int(u8::from(cell.resolution()).into()))),
        "The resolution of an H3 cell.",
    ),
    ScalarFn::new("geo_h3cell_neighbors", &[CELL], DYNAMIC, ScalarImpl::Row(neighbors), "The H3 cells around a cell."),
    ScalarFn::new(
        "geo_h3cell_parent",
        &[CELL, RESOLUTION],
        TEXT,
        ScalarImpl::Row(parent),
        "The H3 cell of a lower resolution around a cell.",
    ),
    ScalarFn::new(
        "geo_h3cell_rings",
        &[CELL, Param::req("distance", ArgType::Integer)],
        DYNAMIC,
        ScalarImpl::Row(rings),
        "The rings of H3 cells around a cell, up to a distance of 142.",
    ),
    ScalarFn::new(
        "geo_h3cell_to_central_point",
        &[CELL],
        DYNAMIC,
        ScalarImpl::Row(center),
        "The middle of an H3 cell, as GeoJSON.",
    ),
    ScalarFn::new("geo_h3cell_to_polygon", &[CELL], DYNAMIC, ScalarImpl::Row(polygon), "The area of an H3 cell, as GeoJSON."),
    ScalarFn::new(
        "geo_point_to_h3cell",
        &[LONGITUDE, LATITUDE, RESOLUTION],
        TEXT,
        ScalarImpl::Row(encode),
        "The H3 cell of a point, of a resolution from 0 to 15 (6 by default).",
    ),
];

/// A resolution; `None` for what is none.
pub(super) fn resolution(args: &[ValueRef<'_>], place: usize, default: i64) -> Option<Resolution> {
    u8::try_from(whole(args, place, default)?).ok().and_then(|r| Resolution::try_from(r).ok())
}

/// The cell of a call's first argument.
fn cell(args: &[ValueRef<'_>]) -> Option<CellIndex> {
    args[0].as_str().and_then(|text| text.parse().ok())
}

fn texts(cells: impl IntoIterator<Item = CellIndex>) -> Json {
    cells.into_iter().map(|cell| Json::from(cell.to_string())).collect()
}

fn encode(args: &[ValueRef<'_>]) -> Value {
    let encoded = || {
        let (longitude, latitude) = coordinates(args, 0)?;
        let resolution = resolution(args, 2, DEFAULT_RESOLUTION)?;
        Some(LatLng::new(latitude, longitude).ok()?.to_cell(resolution).to_string())
    };
    Value::String(encoded().unwrap_or_default())
}

fn center(args: &[ValueRef<'_>]) -> Value {
    let Some(cell) = cell(args) else { return Value::Null };
    let middle = LatLng::from(cell);
    Value::Dynamic(shape_json("Point", point_json((middle.lng(), middle.lat()))))
}

fn polygon(args: &[ValueRef<'_>]) -> Value {
    let Some(cell) = cell(args) else { return Value::Null };
    let ring = ring_json(cell.boundary().iter().map(|corner| (corner.lng(), corner.lat())));
    Value::Dynamic(shape_json("Polygon", Json::Array(vec![ring])))
}

fn neighbors(args: &[ValueRef<'_>]) -> Value {
    let Some(cell) = cell(args) else { return Value::Null };
    let near = cell.grid_disk_distances::<Vec<_>>(1).into_iter();
    Value::Dynamic(texts(near.filter(|(_, distance)| *distance == 1).map(|(near, _)| near)))
}

fn rings(args: &[ValueRef<'_>]) -> Value {
    let (Some(cell), Some(most)) = (cell(args), args[1].as_i64()) else { return Value::Null };
    if !(0..=MOST_RINGS).contains(&most) {
        return Value::Null;
    }
    let mut rings = vec![Vec::new(); most as usize + 1];
    for (cell, distance) in cell.grid_disk_distances::<Vec<_>>(most as u32) {
        if let Some(ring) = rings.get_mut(distance as usize) {
            ring.push(cell);
        }
    }
    Value::Dynamic(rings.into_iter().map(texts).collect())
}

fn children(args: &[ValueRef<'_>]) -> Value {
    let found = || {
        let cell = cell(args)?;
        let own = u8::from(cell.resolution());
        let resolution = resolution(args, 1, i64::from(own) + 1)?;
        let steps = u8::from(resolution).checked_sub(own)?;
        (1..=5).contains(&steps).then(|| texts(cell.children(resolution)))
    };
    found().map_or(Value::Null, Value::Dynamic)
}

fn parent(args: &[ValueRef<'_>]) -> Value {
    let found = || {
        let cell = cell(args)?;
        let own = i64::from(u8::from(cell.resolution()));
        let resolution = resolution(args, 1, own - 1)?;
        (i64::from(u8::from(resolution)) < own).then(|| cell.parent(resolution))?.map(|cell| cell.to_string())
    };
    Value::String(found().unwrap_or_default())
}
