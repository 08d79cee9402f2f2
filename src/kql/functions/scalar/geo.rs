//! Geospatial functions: known by name, not computed.
//!
//! A query that uses one is refused with the function's name, instead of with an unknown name.

use crate::functions::{ArgType, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::Type;

const ANY: &[Param] = &[Param::req("argument", ArgType::Any)];

const fn unsupported(name: &'static str, returns: Type) -> ScalarFn {
    ScalarFn::new(
        name,
        ANY,
        Returns::Type(returns),
        ScalarImpl::Unsupported("geospatial functions are not part of kqlake"),
        "Geospatial function.",
    )
    .variadic()
}

/// The geospatial functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    unsupported("geo_angle", Type::Real),
    unsupported("geo_azimuth", Type::Real),
    unsupported("geo_closest_point_on_line", Type::Dynamic),
    unsupported("geo_closest_point_on_polygon", Type::Dynamic),
    unsupported("geo_distance_2points", Type::Real),
    unsupported("geo_distance_point_to_line", Type::Real),
    unsupported("geo_distance_point_to_polygon", Type::Real),
    unsupported("geo_from_wkt", Type::Dynamic),
    unsupported("geo_geohash_neighbors", Type::Dynamic),
    unsupported("geo_geohash_to_central_point", Type::Dynamic),
    unsupported("geo_geohash_to_polygon", Type::Dynamic),
    unsupported("geo_h3cell_children", Type::Dynamic),
    unsupported("geo_h3cell_level", Type::Int),
    unsupported("geo_h3cell_neighbors", Type::Dynamic),
    unsupported("geo_h3cell_parent", Type::String),
    unsupported("geo_h3cell_rings", Type::Dynamic),
    unsupported("geo_h3cell_to_central_point", Type::Dynamic),
    unsupported("geo_h3cell_to_polygon", Type::Dynamic),
    ScalarFn::new(
        "geo_info_from_ip_address",
        &[Param::req("ip", ArgType::String)],
        Returns::Type(Type::Dynamic),
        ScalarImpl::Unsupported("it needs a licensed database of addresses and places, which kqlake does not ship"),
        "Where an IP address is.",
    ),
    unsupported("geo_intersection_2lines", Type::Dynamic),
    unsupported("geo_intersection_2polygons", Type::Dynamic),
    unsupported("geo_intersection_line_with_polygon", Type::Dynamic),
    unsupported("geo_intersects_2lines", Type::Bool),
    unsupported("geo_intersects_2polygons", Type::Bool),
    unsupported("geo_intersects_line_with_polygon", Type::Bool),
    unsupported("geo_line_buffer", Type::Dynamic),
    unsupported("geo_line_centroid", Type::Dynamic),
    unsupported("geo_line_densify", Type::Dynamic),
    unsupported("geo_line_interpolate_point", Type::Dynamic),
    unsupported("geo_line_length", Type::Real),
    unsupported("geo_line_locate_point", Type::Real),
    unsupported("geo_line_simplify", Type::Dynamic),
    unsupported("geo_line_to_s2cells", Type::Dynamic),
    unsupported("geo_point_buffer", Type::Dynamic),
    unsupported("geo_point_in_circle", Type::Bool),
    unsupported("geo_point_in_polygon", Type::Bool),
    unsupported("geo_point_to_geohash", Type::String),
    unsupported("geo_point_to_h3cell", Type::String),
    unsupported("geo_point_to_s2cell", Type::String),
    unsupported("geo_polygon_area", Type::Real),
    unsupported("geo_polygon_buffer", Type::Dynamic),
    unsupported("geo_polygon_centroid", Type::Dynamic),
    unsupported("geo_polygon_densify", Type::Dynamic),
    unsupported("geo_polygon_perimeter", Type::Real),
    unsupported("geo_polygon_simplify", Type::Dynamic),
    unsupported("geo_polygon_to_h3cells", Type::Dynamic),
    unsupported("geo_polygon_to_s2cells", Type::Dynamic),
    unsupported("geo_s2cell_neighbors", Type::Dynamic),
    unsupported("geo_s2cell_to_central_point", Type::Dynamic),
    unsupported("geo_s2cell_to_polygon", Type::Dynamic),
    unsupported("geo_simplify_polygons_array", Type::Dynamic),
    unsupported("geo_union_lines_array", Type::Dynamic),
    unsupported("geo_union_polygons_array", Type::Dynamic),
];
