//! Shapes as dynamic values in the GeoJSON format (RFC 7946), and arguments that hold them.

use std::ops::Deref;

use super::sphere::Point;
use crate::functions::ArgInfo;
use kqlake_value::{Value, ValueRef, json};
use serde_json::Value as Json;

/// Longitude and latitude in degrees, in the range of coordinates.
pub(super) type Position = (f64, f64);

/// The lines of a `LineString` or `MultiLineString`; `None` for anything else, and where a line has less than two positions or a
/// coordinate is out of its range.
pub(super) fn lines(text: &str) -> Option<Vec<Vec<Position>>> {
    let (kind, coordinates) = typed(text)?;
    let lines = match kind.as_str() {
        "LineString" => vec![positions(coordinates)?],
        "MultiLineString" => json::elements(coordinates)?.map(positions).collect::<Option<Vec<_>>>()?,
        _ => return None,
    };
    (!lines.is_empty() && lines.iter().all(|line| line.len() > 1)).then_some(lines)
}

/// The rings of each polygon of a `Polygon` or `MultiPolygon`, each without its last position, which repeats the first. `None`
/// for anything else, and for rings that have less than four positions or are not closed.
pub(super) fn polygons(text: &str) -> Option<Vec<Vec<Vec<Position>>>> {
    let (kind, coordinates) = typed(text)?;
    let polygons = match kind.as_str() {
        "Polygon" => vec![rings(coordinates)?],
        "MultiPolygon" => json::elements(coordinates)?.map(rings).collect::<Option<Vec<_>>>()?,
        _ => return None,
    };
    (!polygons.is_empty()).then_some(polygons)
}

/// The type and the coordinates of a shape.
fn typed(text: &str) -> Option<(String, &str)> {
    let kind = json::get_key(text, "type")?;
    let coordinates = json::get_key(text, "coordinates")?;
    kind.starts_with('"').then(|| (json::unquote(kind).into_owned(), coordinates))
}

fn rings(text: &str) -> Option<Vec<Vec<Position>>> {
    let rings = json::elements(text)?.map(ring).collect::<Option<Vec<_>>>()?;
    (!rings.is_empty()).then_some(rings)
}

fn ring(text: &str) -> Option<Vec<Position>> {
    let mut ring = positions(text)?;
    let last = ring.pop()?;
    (ring.len() >= 3 && ring.first() == Some(&last)).then_some(ring)
}

fn positions(text: &str) -> Option<Vec<Position>> {
    json::elements(text)?.map(position).collect()
}

/// A position; numbers behind the first two are heights, which count for nothing here.
fn position(text: &str) -> Option<Position> {
    let mut numbers = json::elements(text)?.map(|n| if n.starts_with('"') { None } else { json::number(n) });
    let (longitude, latitude) = (numbers.next()??, numbers.next()??);
    ((-180.0..=180.0).contains(&longitude) && (-90.0..=90.0).contains(&latitude)).then_some((longitude, latitude))
}

/// A shape to be written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Point(Point),
    MultiPoint(Vec<Point>),
    Line(Vec<Point>),
    MultiLine(Vec<Vec<Point>>),
    /// Rings without their last positions.
    Polygon(Vec<Vec<Point>>),
    MultiPolygon(Vec<Vec<Vec<Point>>>),
    Collection(Vec<Shape>),
}

impl Shape {
    /// Lines: one alone is a `LineString`.
    pub(super) fn of_lines(mut lines: Vec<Vec<Point>>) -> Shape {
        match lines.pop() {
            Some(line) if lines.is_empty() => Shape::Line(line),
            last => {
                lines.extend(last);
                Shape::MultiLine(lines)
            }
        }
    }

    /// Polygons: one alone is a `Polygon`.
    pub(super) fn of_polygons(mut polygons: Vec<Vec<Vec<Point>>>) -> Shape {
        match polygons.pop() {
            Some(polygon) if polygons.is_empty() => Shape::Polygon(polygon),
            last => {
                polygons.extend(last);
                Shape::MultiPolygon(polygons)
            }
        }
    }

    /// All that an intersection consists of: one kind stands for itself, several are a collection, nothing is an empty one.
    pub(super) fn of_parts(mut points: Vec<Point>, lines: Vec<Vec<Point>>, polygons: Vec<Vec<Vec<Point>>>) -> Shape {
        let mut parts = Vec::new();
        match points.pop() {
            Some(point) if points.is_empty() => parts.push(Shape::Point(point)),
            Some(point) => {
                points.push(point);
                parts.push(Shape::MultiPoint(points));
            }
            None => {}
        }
        if !lines.is_empty() {
            parts.push(Shape::of_lines(lines));
        }
        if !polygons.is_empty() {
            parts.push(Shape::of_polygons(polygons));
        }
        match parts.pop() {
            Some(part) if parts.is_empty() => part,
            last => {
                parts.extend(last);
                Shape::Collection(parts)
            }
        }
    }

    fn json(&self) -> Json {
        let (kind, coordinates) = match self {
            Shape::Point(point) => ("Point", point_json(point.degrees())),
            Shape::MultiPoint(points) => ("MultiPoint", line_json(points)),
            Shape::Line(points) => ("LineString", line_json(points)),
            Shape::MultiLine(lines) => ("MultiLineString", lines.iter().map(|line| line_json(line)).collect()),
            Shape::Polygon(rings) => ("Polygon", rings_json(rings)),
            Shape::MultiPolygon(polygons) => ("MultiPolygon", polygons.iter().map(|rings| rings_json(rings)).collect()),
            Shape::Collection(shapes) => return collection_json(shapes.iter().map(Shape::json).collect()),
        };
        shape_json(kind, coordinates)
    }

    /// The dynamic value.
    pub(super) fn value(&self) -> Value {
        Value::Dynamic(self.json())
    }
}

/// A shape of a type.
pub(super) fn shape_json(kind: &str, coordinates: Json) -> Json {
    Json::Object([("type".to_owned(), Json::from(kind)), ("coordinates".to_owned(), coordinates)].into_iter().collect())
}

/// A collection of shapes.
pub(super) fn collection_json(shapes: Vec<Json>) -> Json {
    let members = [("type".to_owned(), Json::from("GeometryCollection")), ("geometries".to_owned(), Json::Array(shapes))];
    Json::Object(members.into_iter().collect())
}

/// A position.
pub(super) fn point_json(position: Position) -> Json {
    Json::Array(vec![Json::from(position.0), Json::from(position.1)])
}

/// A ring of positions, closed.
pub(super) fn ring_json(positions: impl IntoIterator<Item = Position>) -> Json {
    let mut ring: Vec<Json> = positions.into_iter().map(point_json).collect();
    ring.extend(ring.first().cloned());
    Json::Array(ring)
}

fn line_json(points: &[Point]) -> Json {
    points.iter().map(|p| point_json(p.degrees())).collect()
}

fn rings_json(rings: &[Vec<Point>]) -> Json {
    rings.iter().map(|ring| ring_json(ring.iter().map(|p| p.degrees()))).collect()
}

/// An argument that holds a shape: a constant is read once a query, anything else row by row.
pub(super) struct ShapeArg<T> {
    read: fn(&str) -> Option<T>,
    constant: Option<Option<T>>,
}

/// The shape of a row.
pub(super) enum RowShape<'a, T> {
    Constant(&'a T),
    Row(T),
}

impl<T> Deref for RowShape<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            RowShape::Constant(shape) => shape,
            RowShape::Row(shape) => shape,
        }
    }
}

impl<T> ShapeArg<T> {
    /// Prepares the argument at a place.
    pub(super) fn new(args: &[ArgInfo], place: usize, read: fn(&str) -> Option<T>) -> ShapeArg<T> {
        let constant = args.get(place).and_then(|arg| arg.constant.as_ref()).map(|value| {
            let mut text = String::new();
            match value.as_ref(&mut text) {
                ValueRef::Dynamic(text) => read(text),
                _ => None,
            }
        });
        ShapeArg { read, constant }
    }

    /// The shape of a row; `None` where it is none.
    pub(super) fn get(&self, value: ValueRef<'_>) -> Option<RowShape<'_, T>> {
        match (&self.constant, value) {
            (Some(constant), _) => constant.as_ref().map(RowShape::Constant),
            (None, ValueRef::Dynamic(text)) => (self.read)(text).map(RowShape::Row),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_and_what_breaks_the_rules_is_none() {
        assert_eq!(lines(r#"{"type":"LineString","coordinates":[[1,2],[3,4,5]]}"#), Some(vec![vec![(1.0, 2.0), (3.0, 4.0)]]));
        for bad in [
            r#"{"type":"LineString"}"#,
            r#"{"type":"LineString","coordinates":[[1,2]]}"#,
            r#"{"type":"LineString","coordinates":[[1,2],[181,0]]}"#,
            r#"{"type":"LineString","coordinates":[[1,2],["3",0]]}"#,
            r#"{"type":"Polygon","coordinates":[[1,2],[3,4]]}"#,
            "[1]",
        ] {
            assert_eq!(lines(bad), None, "{bad}");
        }
        let square = r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,0]]]}"#;
        assert_eq!(polygons(square), Some(vec![vec![vec![(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]]]));
        for bad in [
            r#"{"type":"Polygon","coordinates":[]}"#,
            r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[0,0]]]}"#,
            r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1]]]}"#,
            r#"{"type":"p"}"#,
        ] {
            assert_eq!(polygons(bad), None, "{bad}");
        }
    }
}
