//! Well-known text: `geo_from_wkt`.

use super::DYNAMIC;
use super::geojson::{Position, collection_json, point_json, shape_json};
use crate::functions::{ArgType, Param, ScalarFn, ScalarImpl};
use kqlake_value::{Value, ValueRef};
use serde_json::Value as Json;

/// The functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[ScalarFn::new(
    "geo_from_wkt",
    &[Param::req("wkt", ArgType::String)],
    DYNAMIC,
    ScalarImpl::Row(from_wkt),
    "The shape of a well-known text, as GeoJSON.",
)];

fn from_wkt(args: &[ValueRef<'_>]) -> Value {
    let found = || {
        let mut reader = Reader { rest: args[0].as_str()?, depth: 0 };
        let shape = reader.shape()?;
        reader.rest.trim().is_empty().then_some(shape)
    };
    found().map_or(Value::Null, Value::Dynamic)
}

/// Collections within collections that are read.
const DEEPEST: usize = 32;

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn shape(&mut self) -> Option<Json> {
        let kind = self.word().to_ascii_uppercase();
        Some(match kind.as_str() {
            "POINT" => {
                self.token('(')?;
                let point = self.position()?;
                self.token(')')?;
                shape_json("Point", point_json(point))
            }
            "MULTIPOINT" => shape_json("MultiPoint", self.list(Self::bracketed_position)?),
            "LINESTRING" => shape_json("LineString", self.line()?),
            "MULTILINESTRING" => shape_json("MultiLineString", self.list(Self::line)?),
            "POLYGON" => shape_json("Polygon", self.list(Self::ring)?),
            "MULTIPOLYGON" => shape_json("MultiPolygon", self.list(|reader| reader.list(Self::ring))?),
            "GEOMETRYCOLLECTION" => {
                self.depth += 1;
                if self.depth > DEEPEST {
                    return None;
                }
                let Json::Array(shapes) = self.list(Self::shape)? else { return None };
                self.depth -= 1;
                collection_json(shapes)
            }
            _ => return None,
        })
    }

    fn word(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn token(&mut self, token: char) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(token)?;
        Some(())
    }

    /// A list in brackets, of at least one.
    fn list(&mut self, mut item: impl FnMut(&mut Self) -> Option<Json>) -> Option<Json> {
        self.token('(')?;
        let mut items = vec![item(self)?];
        while self.token(',').is_some() {
            items.push(item(self)?);
        }
        self.token(')')?;
        Some(Json::Array(items))
    }

    fn number(&mut self) -> Option<f64> {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        number.parse().ok()
    }

    fn position(&mut self) -> Option<Position> {
        let (longitude, latitude) = (self.number()?, self.number()?);
        ((-180.0..=180.0).contains(&longitude) && (-90.0..=90.0).contains(&latitude)).then_some((longitude, latitude))
    }

    /// A position of a multipoint, which may have brackets of its own.
    fn bracketed_position(&mut self) -> Option<Json> {
        let bracketed = self.token('(').is_some();
        let position = self.position()?;
        if bracketed {
            self.token(')')?;
        }
        Some(point_json(position))
    }

    fn positions(&mut self, least: usize) -> Option<Vec<Json>> {
        match self.list(|reader| reader.position().map(point_json))? {
            Json::Array(positions) if positions.len() >= least => Some(positions),
            _ => None,
        }
    }

    fn line(&mut self) -> Option<Json> {
        self.positions(2).map(Json::Array)
    }

    fn ring(&mut self) -> Option<Json> {
        self.positions(4).filter(|ring| ring.first() == ring.last()).map(Json::Array)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_read_as_a_whole() {
        for (text, expected) in [
            ("POINT (1 2)", json!({"type": "Point", "coordinates": [1.0, 2.0]})),
            ("point(-1.5e1 2)", json!({"type": "Point", "coordinates": [-15.0, 2.0]})),
            ("MULTIPOINT ((1 1), 2 2)", json!({"type": "MultiPoint", "coordinates": [[1.0, 1.0], [2.0, 2.0]]})),
            ("LINESTRING (1 2, 3 4)", json!({"type": "LineString", "coordinates": [[1.0, 2.0], [3.0, 4.0]]})),
            (
                "GEOMETRYCOLLECTION (POINT (1 1), POINT (2 2))",
                json!({"type": "GeometryCollection", "geometries": [
                    {"type": "Point", "coordinates": [1.0, 1.0]}, {"type": "Point", "coordinates": [2.0, 2.0]}]}),
            ),
        ] {
            assert_eq!(from_wkt(&[ValueRef::String(text)]), Value::Dynamic(expected), "{text}");
        }
        for bad in [
            "LINESTRING",
            "LINESTRING (1 2)",
            "POINT (1 2) x",
            "POINT (1)",
            "POINT (181 2)",
            "POINT EMPTY",
            "POLYGON ((0 0, 1 1, 0 0))",
            "POLYGON ((0 0, 1 1, 1 0, 0 1))",
            "",
        ] {
            assert_eq!(from_wkt(&[ValueRef::String(bad)]), Value::Null, "{bad}");
        }
        let deep = "GEOMETRYCOLLECTION (".repeat(100_000);
        assert_eq!(from_wkt(&[ValueRef::String(&deep)]), Value::Null);
    }
}
