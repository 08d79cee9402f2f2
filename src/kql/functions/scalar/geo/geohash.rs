//! Geohashes: `geo_point_to_geohash` and its kin.
//!
//! A geohash names a rectangle: bits of longitude and latitude in turn, from the greatest, five to a character.

use super::geojson::{point_json, ring_json, shape_json};
use super::{DYNAMIC, LATITUDE, LONGITUDE, coordinates, whole};
use crate::functions::{ArgType, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::{Type, Value, ValueRef};
use serde_json::Value as Json;

const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
const LONGEST: usize = 18;
const GEOHASH: &[Param] = &[Param::req("geohash", ArgType::String)];

/// The functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new("geo_geohash_neighbors", GEOHASH, DYNAMIC, ScalarImpl::Row(neighbors), "The geohashes around a geohash."),
    ScalarFn::new(
        "geo_geohash_to_central_point",
        GEOHASH,
        DYNAMIC,
        ScalarImpl::Row(center),
        "The middle of a geohash, as GeoJSON.",
    ),
    ScalarFn::new(
        "geo_geohash_to_polygon",
        GEOHASH,
        DYNAMIC,
        ScalarImpl::Row(polygon),
        "The rectangle of a geohash, as GeoJSON.",
    ),
    ScalarFn::new(
        "geo_point_to_geohash",
        &[LONGITUDE, LATITUDE, Param::opt("accuracy", ArgType::Integer)],
        Returns::Type(Type::String),
        ScalarImpl::Row(encode),
        "The geohash of a point, with 1 to 18 characters (5 by default).",
    ),
];

/// A geohash: its column and row among those of its length, and the bits that each has.
#[derive(Debug, Clone, Copy)]
struct Cell {
    column: u64,
    row: u64,
    column_bits: u32,
    row_bits: u32,
}

impl Cell {
    fn sized(column: u64, row: u64, length: usize) -> Cell {
        let bits = 5 * length as u32;
        Cell { column, row, column_bits: bits.div_ceil(2), row_bits: bits / 2 }
    }

    fn parse(text: &str) -> Option<Cell> {
        if text.is_empty() || text.len() > LONGEST {
            return None;
        }
        let (mut column, mut row, mut for_column) = (0, 0, true);
        for byte in text.bytes() {
            let value = ALPHABET.iter().position(|c| *c == byte.to_ascii_lowercase())?;
            for bit in (0..5).rev() {
                let axis = if for_column { &mut column } else { &mut row };
                *axis = *axis << 1 | (value >> bit & 1) as u64;
                for_column = !for_column;
            }
        }
        Some(Cell::sized(column, row, text.len()))
    }

    fn text(self) -> String {
        let bits = self.column_bits + self.row_bits;
        let mut text = String::new();
        let mut value = 0;
        for at in 0..bits {
            let (axis, width) = if at % 2 == 0 { (self.column, self.column_bits) } else { (self.row, self.row_bits) };
            value = value << 1 | (axis >> (width - 1 - at / 2) & 1) as usize;
            if at % 5 == 4 {
                text.push(char::from(ALPHABET[value]));
                value = 0;
            }
        }
        text
    }

    /// The longitude of a column's west edge, and the latitude of a row's south edge; half a step is the middle.
    fn degrees(self, columns: f64, rows: f64) -> (f64, f64) {
        let width = 360.0 / (1u64 << self.column_bits) as f64;
        let height = 180.0 / (1u64 << self.row_bits) as f64;
        ((self.column as f64 + columns) * width - 180.0, (self.row as f64 + rows) * height - 90.0)
    }
}

/// The step of a coordinate in a range that is divided into 2^bits; the upper end belongs to the last.
fn step(value: f64, least: f64, width: f64, bits: u32) -> u64 {
    let steps = (1u64 << bits) as f64;
    (((value - least) / width * steps) as u64).min((1u64 << bits) - 1)
}

fn encode(args: &[ValueRef<'_>]) -> Value {
    let encoded = || {
        let (longitude, latitude) = coordinates(args, 0)?;
        let length = usize::try_from(whole(args, 2, 5)?).ok().filter(|length| (1..=LONGEST).contains(length))?;
        let mut cell = Cell::sized(0, 0, length);
        cell.column = step(longitude, -180.0, 360.0, cell.column_bits);
        cell.row = step(latitude, -90.0, 180.0, cell.row_bits);
        Some(cell.text())
    };
    Value::String(encoded().unwrap_or_default())
}

/// The cell of a call's argument.
fn cell(args: &[ValueRef<'_>]) -> Option<Cell> {
    args[0].as_str().and_then(Cell::parse)
}

fn center(args: &[ValueRef<'_>]) -> Value {
    cell(args).map_or(Value::Null, |cell| Value::Dynamic(shape_json("Point", point_json(cell.degrees(0.5, 0.5)))))
}

fn polygon(args: &[ValueRef<'_>]) -> Value {
    let Some(cell) = cell(args) else { return Value::Null };
    let corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)];
    let ring = ring_json(corners.map(|(columns, rows)| cell.degrees(columns, rows)));
    Value::Dynamic(shape_json("Polygon", Json::Array(vec![ring])))
}

/// The neighbours in the order of the documentation's example: west, south-west, south, south-east, north-east, east, north,
/// north-west. At a pole there are none beyond it.
fn neighbors(args: &[ValueRef<'_>]) -> Value {
    let Some(cell) = cell(args) else { return Value::Null };
    let (columns, rows) = (1i64 << cell.column_bits, 1i64 << cell.row_bits);
    let steps = [(-1, 0), (-1, -1), (0, -1), (1, -1), (1, 1), (1, 0), (0, 1), (-1, 1)];
    let around = steps.into_iter().filter_map(|(across, up)| {
        let row = cell.row as i64 + up;
        let column = (cell.column as i64 + across).rem_euclid(columns);
        (0..rows).contains(&row).then(|| Cell { column: column as u64, row: row as u64, ..cell }.text())
    });
    Value::Dynamic(around.map(Json::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geohashes_are_made_and_read() {
        for (longitude, latitude, length, expected) in [
            (139.806115, 35.554128, 12, "xn76m27ty9g4"),
            (-80.195829, 25.802215, 8, "dhwfz15h"),
            (180.0, 90.0, 3, "zzz"),
            (-180.0, -90.0, 18, "000000000000000000"),
            (200.0, 1.0, 8, ""),
            (1.0, 1.0, 19, ""),
            (1.0, 1.0, 0, ""),
        ] {
            let found = encode(&[ValueRef::Real(longitude), ValueRef::Real(latitude), ValueRef::Long(length)]);
            assert_eq!(found, Value::String(expected.to_owned()));
        }
        for text in ["s", "xn76m27ty9g4", "zzzzzzzzzzzzzzzzzz"] {
            assert_eq!(Cell::parse(text).unwrap().text(), text);
        }
        assert!(Cell::parse("a").is_none() && Cell::parse("").is_none() && Cell::parse("0000000000000000000").is_none());
    }

    #[test]
    fn neighbours_wrap_at_the_antimeridian_and_end_at_the_poles() {
        let found = |text: &str| neighbors(&[ValueRef::String(text)]);
        assert_eq!(found("8"), Value::Dynamic(serde_json::json!(["x", "r", "2", "3", "c", "9", "b", "z"])));
        assert_eq!(found("p"), Value::Dynamic(serde_json::json!(["n", "2", "0", "r", "q"])));
    }
}
