//! Shapes that points are looked up in: for the plugins `geo_line_lookup` and `geo_polygon_lookup`.

use super::lines;
use super::polygon::{Polygon, nearest_of};
use super::sphere::{EARTH_RADIUS, Point};
use super::unions::one;

/// A line or a polygon, with a cap around it that excludes most points at once.
pub(crate) struct Target {
    kind: Kind,
    center: Point,
    /// How far the shape reaches from the center, in radians.
    reach: f64,
}

enum Kind {
    Lines(Vec<Vec<Point>>),
    Polygon(Polygon),
}

impl Target {
    /// A line or multiline in GeoJSON.
    pub(crate) fn line(text: &str) -> Option<Target> {
        let lines = lines::read(text)?;
        let (center, reach) = cap(lines.iter().flatten());
        Some(Target { kind: Kind::Lines(lines), center, reach })
    }

    /// A polygon or multipolygon in GeoJSON.
    pub(crate) fn polygon(text: &str) -> Option<Target> {
        let polygon = one(text)?;
        let (center, reach) = cap(polygon.rings.iter().flat_map(|ring| &ring.vertices));
        Some(Target { kind: Kind::Polygon(polygon), center, reach })
    }

    /// Whether it contains a point, or is within a number of metres of it. A line contains nothing.
    pub(crate) fn matches(&self, longitude: f64, latitude: f64, radius: Option<f64>) -> bool {
        let Some(p) = Point::from_degrees(longitude, latitude) else { return false };
        let radius = radius.map(|metres| metres / EARTH_RADIUS);
        if self.center.angle(p) > self.reach + radius.unwrap_or(0.0) + 1e-12 {
            return false;
        }
        match (&self.kind, radius) {
            (Kind::Polygon(polygon), None) => polygon.contains(p),
            (Kind::Polygon(polygon), Some(radius)) => polygon.nearest(p).angle(p) <= radius,
            (Kind::Lines(lines), Some(radius)) => {
                nearest_of(lines::edges(lines), p).is_some_and(|nearest| nearest.angle(p) <= radius)
            }
            (Kind::Lines(_), None) => false,
        }
    }
}

/// A cap around vertices and the edges between them: half of the sphere or less contains geodesics between its points.
fn cap<'a>(vertices: impl Iterator<Item = &'a Point> + Clone) -> (Point, f64) {
    let center = vertices.clone().fold(Point::new(0.0, 0.0, 0.0), |sum, v| sum.plus(*v)).unit();
    let reach = vertices.map(|v| v.angle(center)).fold(0.0, f64::max);
    (center, if reach < std::f64::consts::FRAC_PI_2 { reach } else { std::f64::consts::PI })
}
