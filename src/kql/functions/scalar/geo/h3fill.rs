//! The H3 cells whose middles are in a polygon with straight edges on a flat map.
//!
//! As the H3 library does, the search begins along the edges and goes on from neighbour to neighbour.

use std::collections::HashSet;

use h3o::{CellIndex, EARTH_RADIUS_KM, LatLng, Resolution};

use super::geojson::Position;

/// The cells of a polygon's rings, the first of which is the shell, in the order of their numbers; `None` where they are more
/// than a limit.
pub(super) fn fill(rings: &[Vec<Position>], resolution: Resolution, most: usize) -> Option<Vec<CellIndex>> {
    let area = Area::new(rings)?;
    let mut search: Vec<CellIndex> = Vec::new();
    for ring in &area.rings {
        for (at, from) in ring.iter().enumerate() {
            search.extend(along(*from, ring[(at + 1) % ring.len()], area.wraps, resolution, most)?);
        }
    }
    search.sort_unstable();
    search.dedup();
    let mut found = HashSet::new();
    while !search.is_empty() {
        let mut next = Vec::new();
        for near in search.into_iter().flat_map(|cell| cell.grid_disk::<Vec<_>>(1)) {
            if !found.contains(&near) && area.contains(near) {
                found.insert(near);
                next.push(near);
                if found.len() > most {
                    return None;
                }
            }
        }
        search = next;
    }
    let mut found: Vec<CellIndex> = found.into_iter().collect();
    found.sort_unstable();
    Some(found)
}

/// A polygon on a flat map, in radians.
struct Area {
    rings: Vec<Vec<Position>>,
    /// It crosses the antimeridian: western longitudes count on from 180 degrees.
    wraps: bool,
    west: f64,
    east: f64,
    south: f64,
    north: f64,
}

/// A longitude that counts on from 180 degrees.
fn unwrapped(longitude: f64, wraps: bool) -> f64 {
    if wraps && longitude < 0.0 { longitude + std::f64::consts::TAU } else { longitude }
}

impl Area {
    fn new(rings: &[Vec<Position>]) -> Option<Area> {
        let rings: Vec<Vec<Position>> = rings
            .iter()
            .map(|ring| ring.iter().map(|(longitude, latitude)| (longitude.to_radians(), latitude.to_radians())).collect())
            .collect();
        let shell = rings.first()?;
        let next = |at: usize| shell[(at + 1) % shell.len()];
        let wraps = shell.iter().enumerate().any(|(at, p)| (p.0 - next(at).0).abs() > std::f64::consts::PI);
        let least = |of: &dyn Fn(&Position) -> f64| shell.iter().map(of).fold(f64::INFINITY, f64::min);
        let most = |of: &dyn Fn(&Position) -> f64| shell.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
        let (west, east) = (least(&|p| unwrapped(p.0, wraps)), most(&|p| unwrapped(p.0, wraps)));
        let (south, north) = (least(&|p| p.1), most(&|p| p.1));
        Some(Area { rings, wraps, west, east, south, north })
    }

    fn contains(&self, cell: CellIndex) -> bool {
        let middle = LatLng::from(cell);
        let p = (unwrapped(middle.lng_radians(), self.wraps), middle.lat_radians());
        let in_box = (self.west..=self.east).contains(&p.0) && (self.south..=self.north).contains(&p.1);
        in_box && self.rings.iter().filter(|ring| self.ring_contains(ring, p)).count() % 2 == 1
    }

    fn ring_contains(&self, ring: &[Position], (longitude, latitude): Position) -> bool {
        let mut inside = false;
        for (at, a) in ring.iter().enumerate() {
            let b = &ring[(at + 1) % ring.len()];
            let (low, high) = if a.1 > b.1 { (b, a) } else { (a, b) };
            // A vertex at the same height counts as below.
            if latitude < low.1 || latitude >= high.1 {
                continue;
            }
            let (from, to) = (unwrapped(low.0, self.wraps), unwrapped(high.0, self.wraps));
            let there = from + (to - from) * (latitude - low.1) / (high.1 - low.1);
            inside ^= there > longitude;
        }
        inside
    }
}

/// The cells of points along a straight edge, a cell's width from each other.
fn along(
    from: Position,
    to: Position,
    wraps: bool,
    resolution: Resolution,
    most: usize,
) -> Option<impl Iterator<Item = CellIndex>> {
    let (from, to) = ((unwrapped(from.0, wraps), from.1), (unwrapped(to.0, wraps), to.1));
    let end =
        |p: Position| LatLng::from_radians(p.1, if p.0 > std::f64::consts::PI { p.0 - std::f64::consts::TAU } else { p.0 }).ok();
    // The H3 library counts by the geodesic, which is much shorter than the straight edge only near the poles.
    let geodesic = end(from)?.distance_km(end(to)?);
    let flat = ((to.0 - from.0) * from.1.abs().min(to.1.abs()).cos()).hypot(to.1 - from.1) * EARTH_RADIUS_KM;
    let steps = (geodesic.max(flat / 1.5) / (2.0 * small_radius(resolution)?)).ceil().max(1.0);
    if steps > 4.0 * most as f64 {
        return None;
    }
    let steps = steps as usize;
    Some((0..steps).filter_map(move |at| {
        let fraction = at as f64 / steps as f64;
        let (x, y) = (from.0 + (to.0 - from.0) * fraction, from.1 + (to.1 - from.1) * fraction);
        let x = if x > std::f64::consts::PI { x - std::f64::consts::TAU } else { x };
        LatLng::from_radians(y, x).ok().map(|point| point.to_cell(resolution))
    }))
}

/// The radius in kilometres of a pentagon, which has the shortest edges of a resolution.
fn small_radius(resolution: Resolution) -> Option<f64> {
    let pentagon = resolution.pentagons().next()?;
    Some(LatLng::from(pentagon).distance_km(*pentagon.boundary().first()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_those_whose_middles_are_inside() {
        let ring = vec![(-3.659, 40.553), (-3.913, 40.409), (-3.729, 40.273), (-3.524, 40.440)];
        let found = fill(std::slice::from_ref(&ring), Resolution::Six, 1000).unwrap();
        assert_eq!(found.len(), 13);
        assert!(fill(std::slice::from_ref(&ring), Resolution::Eight, 100).is_none());
        // Seven times as many of the next resolution, about; all with their middles in the polygon.
        let finer = fill(&[ring], Resolution::Seven, 1000).unwrap();
        assert!((80..100).contains(&finer.len()), "{}", finer.len());
        // Over the antimeridian, and with a hole.
        let shell = vec![(179.0, 0.0), (-179.0, 0.0), (-179.0, 2.0), (179.0, 2.0)];
        let hole = vec![(179.5, 0.5), (-179.5, 0.5), (-179.5, 1.5), (179.5, 1.5)];
        let whole = fill(std::slice::from_ref(&shell), Resolution::Six, 10_000).unwrap().len();
        let ring = fill(&[shell, hole.clone()], Resolution::Six, 10_000).unwrap().len();
        let inner = fill(&[hole], Resolution::Six, 10_000).unwrap().len();
        assert_eq!(whole, ring + inner);
        assert!((1300..2200).contains(&whole), "{whole}");
    }

    #[test]
    fn narrow_areas_lose_no_cell() {
        // Too narrow for the search to go on from cell to cell, so each has to be near a point of the edges.
        for (west, middle) in [(10.0, 11.0), (179.0, 180.0), (-180.0, -179.0)] {
            let east = if west > 178.0 { west - 358.0 } else { west + 2.0 };
            let ring = vec![(west, 50.0), (east, 50.8), (east, 50.83), (west, 50.03)];
            let center = LatLng::new(50.4, middle).unwrap().to_cell(Resolution::Six);
            let area = Area::new(std::slice::from_ref(&ring)).unwrap();
            let mut expected: Vec<CellIndex> =
                center.grid_disk::<Vec<_>>(30).into_iter().filter(|cell| area.contains(*cell)).collect();
            expected.sort_unstable();
            assert!(expected.len() > 10, "{}", expected.len());
            assert_eq!(fill(&[ring], Resolution::Six, 1000).unwrap(), expected);
        }
    }
}
