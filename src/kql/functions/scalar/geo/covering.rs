//! Cells that cover shapes: `geo_polygon_to_s2cells`, `geo_line_to_s2cells` and `geo_polygon_to_h3cells`.

use std::collections::BTreeSet;

use super::buffer::{self, DEFAULT_TOLERANCE};
use super::edges::Edge;
use super::geojson::{self, Position, ShapeArg};
use super::h3::{DEFAULT_RESOLUTION, resolution};
use super::h3fill::fill;
use super::polygon::Polygon;
use super::s2::level;
use super::s2cell::Cell;
use super::sphere::{EARTH_RADIUS, distance_of_edges, distance_to_edge};
use super::unions::one;
use super::{DYNAMIC, lines};
use crate::functions::{ArgInfo, ArgType, Param, RowFn, ScalarFn, ScalarImpl};
use kqlake_value::{Type, Value, ValueRef};
use serde_json::Value as Json;

const LEVEL: Param = Param::opt("level", ArgType::Integer);
const RADIUS: Param = Param::opt("radius", ArgType::Number);
/// The documented limits of tokens for a shape.
const MOST_S2: usize = 65_536;
const MOST_H3: usize = 61_680;
/// How near an edge is to a cell that it touches, in radians, after rounding.
const SLACK: f64 = 4e-15;

/// The functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "geo_line_to_s2cells",
        &[Param::req("lineString", ArgType::Dynamic), LEVEL, RADIUS],
        DYNAMIC,
        ScalarImpl::Prepared(line_to_s2),
        "The tokens of the S2 cells of a level that a line meets, or is within a number of metres of.",
    ),
    ScalarFn::new(
        "geo_polygon_to_h3cells",
        &[Param::req("polygon", ArgType::Dynamic), Param::opt("resolution", ArgType::Integer), RADIUS],
        DYNAMIC,
        ScalarImpl::Prepared(polygon_to_h3),
        "The H3 cells of a resolution whose middles are in a polygon.",
    ),
    ScalarFn::new(
        "geo_polygon_to_s2cells",
        &[Param::req("polygon", ArgType::Dynamic), LEVEL, RADIUS],
        DYNAMIC,
        ScalarImpl::Prepared(polygon_to_s2),
        "The tokens of the S2 cells of a level that a polygon meets, or is within a number of metres of.",
    ),
];

/// A radius around a shape in radians; 0 where none is given, `None` for what is none.
fn radius(args: &[ValueRef<'_>], place: usize) -> Option<f64> {
    let metres = args.get(place).map_or(Some(0.0), |v| v.as_f64())?;
    (metres >= 0.0 && metres.is_finite()).then_some(metres / EARTH_RADIUS)
}

fn tokens(cells: Option<Vec<Cell>>) -> Value {
    let Some(cells) = cells else { return Value::Null };
    let mut ids: Vec<(u64, Cell)> = cells.into_iter().map(|cell| (cell.id(), cell)).collect();
    ids.sort_by_key(|(id, _)| *id);
    Value::Dynamic(ids.into_iter().map(|(_, cell)| Json::from(cell.token())).collect())
}

fn line_to_s2(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let line = ShapeArg::new(args, 0, lines::read);
    Ok(Box::new(move |args| {
        let found = || {
            let edges: Vec<Edge> = lines::edges(&line.get(args[0])?).collect();
            Covering { polygon: None, edges: &edges, radius: radius(args, 2)?, level: level(args, 1)? }.cells()
        };
        tokens(found())
    }))
}

fn polygon_to_s2(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let polygon = ShapeArg::new(args, 0, one);
    Ok(Box::new(move |args| {
        let found = || {
            let polygon = polygon.get(args[0])?;
            let edges = polygon.edges();
            Covering { polygon: Some(&polygon), edges: &edges, radius: radius(args, 2)?, level: level(args, 1)? }.cells()
        };
        tokens(found())
    }))
}

/// What is to be covered.
struct Covering<'a> {
    /// The area, if there is one.
    polygon: Option<&'a Polygon>,
    edges: &'a [Edge],
    radius: f64,
    level: u8,
}

impl Covering<'_> {
    /// The cells; `None` where they are too many.
    fn cells(&self) -> Option<Vec<Cell>> {
        let all: Vec<usize> = (0..self.edges.len()).collect();
        let mut found = Vec::new();
        for face in 0..6 {
            self.descend(Cell::face(face), &all, &mut found)?;
        }
        Some(found)
    }

    /// Adds the cells within one, of whose edges only some can be near.
    fn descend(&self, cell: Cell, edges: &[usize], found: &mut Vec<Cell>) -> Option<()> {
        let (center, corners) = (cell.center(), cell.corners());
        let reach = corners.iter().map(|corner| corner.angle(center)).fold(0.0, f64::max) + self.radius + 2.0 * SLACK;
        let edges: Vec<usize> = edges
            .iter()
            .copied()
            .filter(|at| {
                let (a, b) = self.edges[*at];
                distance_to_edge(center, a, b) <= reach
            })
            .collect();
        let inside = || self.polygon.is_some_and(|polygon| polygon.contains(center));
        if edges.is_empty() {
            return if inside() { self.add_all(cell, found) } else { Some(()) };
        }
        if cell.level < self.level {
            return cell.children().into_iter().try_for_each(|child| self.descend(child, &edges, found));
        }
        if edges.iter().any(|at| self.meets(cell, self.edges[*at])) || inside() {
            self.push(cell, found)?;
        }
        Some(())
    }

    fn meets(&self, cell: Cell, (a, b): Edge) -> bool {
        let corners = cell.corners();
        let near = |at: usize| distance_of_edges(a, b, corners[at], corners[(at + 1) % 4]) <= self.radius + SLACK;
        cell.contains(a) || cell.contains(b) || (0..4).any(near)
    }

    fn push(&self, cell: Cell, found: &mut Vec<Cell>) -> Option<()> {
        found.push(cell);
        (found.len() <= MOST_S2).then_some(())
    }

    /// Adds all cells of the level within one.
    fn add_all(&self, cell: Cell, found: &mut Vec<Cell>) -> Option<()> {
        if cell.level == self.level {
            return self.push(cell, found);
        }
        cell.children().into_iter().try_for_each(|child| self.add_all(child, found))
    }
}

/// The rings of a shape's polygons as they are written.
struct Rings {
    polygons: Vec<Vec<Vec<Position>>>,
    area: Polygon,
}

fn polygon_to_h3(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let polygon = ShapeArg::new(args, 0, |text| Some(Rings { area: one(text)?, polygons: geojson::polygons(text)? }));
    Ok(Box::new(move |args| {
        let found = || {
            let rings = polygon.get(args[0])?;
            let resolution = resolution(args, 1, DEFAULT_RESOLUTION)?;
            let around = radius(args, 2)?;
            let wider;
            let polygons = if around > 0.0 {
                let parts = buffer::around_polygon(&rings.area, around * EARTH_RADIUS, DEFAULT_TOLERANCE)?.parts();
                wider = parts.iter().map(|part| part.iter().map(|r| r.iter().map(|p| p.degrees()).collect()).collect()).collect();
                &wider
            } else {
                &rings.polygons
            };
            let mut cells = BTreeSet::new();
            for polygon in polygons {
                cells.extend(fill(polygon, resolution, MOST_H3)?);
            }
            (cells.len() <= MOST_H3).then_some(cells)
        };
        found().map_or(Value::Null, |cells| Value::Dynamic(cells.into_iter().map(|cell| Json::from(cell.to_string())).collect()))
    }))
}
