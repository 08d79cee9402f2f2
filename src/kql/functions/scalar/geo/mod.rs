//! Geospatial functions, one file a family, and those that are known by name and not computed.
//!
//! Source: the Kusto documentation's page of each function. Distances are those of a sphere, edges are geodesics on it; what is
//! invalid gives null (an empty text for cells).

pub(crate) mod buffer;
pub(crate) mod covering;
pub(crate) mod densify;
mod edges;
pub(crate) mod geohash;
mod geojson;
pub(crate) mod h3;
mod h3fill;
pub(crate) mod lines;
pub(crate) mod matching;
mod overlay;
pub(crate) mod points;
mod polygon;
pub(crate) mod polygons;
pub(crate) mod s2;
mod s2cell;
pub(crate) mod simplify;
mod sphere;
pub(crate) mod unions;
pub(crate) mod wkt;

use crate::functions::{ArgType, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::{Type, ValueRef};

const DYNAMIC: Returns = Returns::Type(Type::Dynamic);
const LONGITUDE: Param = Param::req("longitude", ArgType::Number);
const LATITUDE: Param = Param::req("latitude", ArgType::Number);

/// Longitude and latitude of a point; `None` out of their range.
fn coordinates(args: &[ValueRef<'_>], place: usize) -> Option<(f64, f64)> {
    let (longitude, latitude) = (args.get(place)?.as_f64()?, args.get(place + 1)?.as_f64()?);
    ((-180.0..=180.0).contains(&longitude) && (-90.0..=90.0).contains(&latitude)).then_some((longitude, latitude))
}

/// An optional whole number; `None` where null is given.
fn whole(args: &[ValueRef<'_>], place: usize, default: i64) -> Option<i64> {
    args.get(place).map_or(Some(default), |value| value.as_i64())
}

/// Functions that other parts of the program compute, and those that are refused by name.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "geo_info_from_ip_address",
        &[Param::req("ip", ArgType::String)],
        Returns::Type(Type::Dynamic),
        ScalarImpl::Special,
        "Where an IP address is, from the file in MaxMind's format that `ip_locations` of the configuration names.",
    ),
    ScalarFn::new(
        "geo_simplify_polygons_array",
        &[Param::req("polygons", ArgType::Dynamic), Param::opt("tolerance", ArgType::Number)],
        DYNAMIC,
        ScalarImpl::Unsupported("it has to keep the borders that polygons share; geo_polygon_simplify takes them one by one"),
        "Polygons with fewer vertices and common borders.",
    ),
];
