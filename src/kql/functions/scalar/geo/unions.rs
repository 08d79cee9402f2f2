//! Unions and intersections: `geo_union_polygons_array`, `geo_intersection_2lines`, `geo_intersects_2polygons` and their kin.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::DYNAMIC;
use super::edges::{Edge, close_pairs};
use super::geojson::{Shape, ShapeArg};
use super::lines;
use super::overlay::{Arrangement, Piece};
use super::polygon::{ORIGIN, Polygon, read};
use super::sphere::{Crossing, Point, crossing};
use crate::functions::{ArgInfo, ArgType, Param, Returns, RowFn, ScalarFn, ScalarImpl};
use kqlake_value::{Type, Value, json};

const BOOL: Returns = Returns::Type(Type::Bool);
const LINE: Param = Param::req("lineString", ArgType::Dynamic);
const POLYGON: Param = Param::req("polygon", ArgType::Dynamic);
const TWO_LINES: &[Param] = &[Param::req("lineString1", ArgType::Dynamic), Param::req("lineString2", ArgType::Dynamic)];
const TWO_POLYGONS: &[Param] = &[Param::req("polygon1", ArgType::Dynamic), Param::req("polygon2", ArgType::Dynamic)];

/// The functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "geo_intersection_2lines",
        TWO_LINES,
        DYNAMIC,
        ScalarImpl::Prepared(|args, _| Ok(both(args, lines::read, lines::read, |a, b| intersection_of_lines(a, b).value()))),
        "What two lines or multilines have in common, as GeoJSON.",
    ),
    ScalarFn::new(
        "geo_intersection_2polygons",
        TWO_POLYGONS,
        DYNAMIC,
        ScalarImpl::Prepared(|args, _| Ok(both(args, one, one, |a, b| intersection_of_polygons(a, b).value()))),
        "What two polygons or multipolygons have in common, as GeoJSON.",
    ),
    ScalarFn::new(
        "geo_intersection_line_with_polygon",
        &[LINE, POLYGON],
        DYNAMIC,
        ScalarImpl::Prepared(|args, _| Ok(both(args, lines::read, one, |a, b| intersection_with_polygon(a, b).value()))),
        "What a line and a polygon have in common, as GeoJSON.",
    ),
    ScalarFn::new(
        "geo_intersects_2lines",
        TWO_LINES,
        BOOL,
        ScalarImpl::Prepared(|args, _| {
            Ok(both(args, lines::read, lines::read, |a, b| {
                Value::Bool(meet(&lines::edges(a).collect::<Vec<_>>(), &lines::edges(b).collect::<Vec<_>>()))
            }))
        }),
        "True where two lines or multilines meet.",
    ),
    ScalarFn::new(
        "geo_intersects_2polygons",
        TWO_POLYGONS,
        BOOL,
        ScalarImpl::Prepared(|args, _| {
            Ok(both(args, one, one, |a, b| Value::Bool(meet(&a.edges(), &b.edges()) || holds(a, b) || holds(b, a))))
        }),
        "True where two polygons or multipolygons meet.",
    ),
    ScalarFn::new(
        "geo_intersects_line_with_polygon",
        &[LINE, POLYGON],
        BOOL,
        ScalarImpl::Prepared(|args, _| {
            Ok(both(args, lines::read, one, |a, b| {
                let inside = a.iter().any(|line| line.first().is_some_and(|p| b.contains(*p)));
                Value::Bool(inside || meet(&lines::edges(a).collect::<Vec<_>>(), &b.edges()))
            }))
        }),
        "True where a line and a polygon meet.",
    ),
    ScalarFn::new(
        "geo_union_lines_array",
        &[Param::req("lineStrings", ArgType::Dynamic)],
        DYNAMIC,
        ScalarImpl::Prepared(union_of_lines),
        "The union of an array of lines or multilines, as GeoJSON.",
    ),
    ScalarFn::new(
        "geo_union_polygons_array",
        &[Param::req("polygons", ArgType::Dynamic)],
        DYNAMIC,
        ScalarImpl::Prepared(union_of_polygons),
        "The union of an array of polygons or multipolygons, as GeoJSON.",
    ),
];

/// A function of two shapes.
fn both<A: Send + Sync + 'static, B: Send + Sync + 'static>(
    args: &[ArgInfo],
    read_a: fn(&str) -> Option<A>,
    read_b: fn(&str) -> Option<B>,
    of: fn(&A, &B) -> Value,
) -> RowFn {
    let (a, b) = (ShapeArg::new(args, 0, read_a), ShapeArg::new(args, 1, read_b));
    Box::new(move |args| match (a.get(args[0]), b.get(args[1])) {
        (Some(a), Some(b)) => of(&a, &b),
        _ => Value::Null,
    })
}

/// Reads a polygon, or the union of a multipolygon.
pub(super) fn one(text: &str) -> Option<Polygon> {
    union(read(text)?)
}

/// The union of polygons; `None` of none.
///
/// As S2 does, the two with the fewest vertices are joined first, which decides where the rings begin.
pub(super) fn union(polygons: Vec<Polygon>) -> Option<Polygon> {
    let mut queue: BTreeMap<(usize, usize), Polygon> = BTreeMap::new();
    let mut number = 0;
    for polygon in polygons {
        queue.insert((polygon.len(), number), polygon);
        number += 1;
    }
    loop {
        let ((a_size, _), a) = queue.pop_first()?;
        let Some(((b_size, _), b)) = queue.pop_first() else { return Some(a) };
        queue.insert((a_size + b_size, number), wound_around(&a, &b, 1));
        number += 1;
    }
}

/// What at least so many of two polygons contain.
fn wound_around(a: &Polygon, b: &Polygon, least: i32) -> Polygon {
    let mut edges = a.edges();
    edges.extend(b.edges());
    let around = i32::from(a.contains(ORIGIN)) + i32::from(b.contains(ORIGIN));
    Polygon::new(Arrangement::new(&edges, |_, _| true).boundary(ORIGIN, around, least))
}

/// Whether two sets of edges meet, in a common end or between.
fn meet(a: &[Edge], b: &[Edge]) -> bool {
    let edges: Vec<Edge> = a.iter().chain(b).copied().collect();
    let mut found = false;
    close_pairs(&edges, |first, second| {
        if !found && first < a.len() && second >= a.len() {
            let ((p, q), (r, s)) = (edges[first], edges[second]);
            found = crossing(p, q, r, s) != Crossing::Apart;
        }
    });
    found
}

/// Whether a polygon contains a vertex of another whose boundary does not meet its own.
fn holds(outer: &Polygon, inner: &Polygon) -> bool {
    inner.rings.iter().any(|ring| ring.vertices.first().is_some_and(|p| outer.contains(*p)))
}

/// Places of pieces without regard to direction.
fn places<'a>(pieces: impl IntoIterator<Item = &'a Piece>) -> HashSet<(usize, usize)> {
    pieces.into_iter().map(|piece| (piece.from.min(piece.to), piece.from.max(piece.to))).collect()
}

/// The vertices of pieces.
fn ends<'a>(pieces: impl IntoIterator<Item = &'a Piece>) -> HashSet<usize> {
    pieces.into_iter().flat_map(|piece| [piece.from, piece.to]).collect()
}

/// Joins pieces that follow one another into lines.
fn joined(arrangement: &Arrangement, pieces: &[Piece]) -> Vec<Vec<Point>> {
    let mut lines: Vec<Vec<usize>> = Vec::new();
    for piece in pieces {
        match lines.last_mut() {
            Some(line) if line.last() == Some(&piece.from) => line.push(piece.to),
            _ => lines.push(vec![piece.from, piece.to]),
        }
    }
    lines.into_iter().map(|line| line.into_iter().map(|at| arrangement.points[at]).collect()).collect()
}

/// Vertices that both sets have, without those of what they have in common already.
fn touching(arrangement: &Arrangement, a: &[Piece], b: &[Piece], common: &HashSet<usize>) -> Vec<Point> {
    let others = ends(b);
    let mut seen = HashSet::new();
    let vertices = a.iter().flat_map(|piece| [piece.from, piece.to]);
    let touched = vertices.filter(|at| others.contains(at) && !common.contains(at) && seen.insert(*at));
    touched.map(|at| arrangement.points[at]).collect()
}

fn intersection_of_lines(a: &[Vec<Point>], b: &[Vec<Point>]) -> Shape {
    let mut edges = lines::distinct_edges(a);
    let split = edges.len();
    edges.extend(lines::distinct_edges(b));
    let arrangement = Arrangement::new(&edges, |first, second| first < split && second >= split);
    let (a, b): (Vec<Piece>, Vec<Piece>) = arrangement.pieces.iter().partition(|piece| piece.source < split);
    let others = places(&b);
    let shared: Vec<Piece> = a.iter().filter(|p| others.contains(&(p.from.min(p.to), p.from.max(p.to)))).copied().collect();
    let points = touching(&arrangement, &a, &b, &ends(&shared));
    Shape::of_parts(points, joined(&arrangement, &shared), Vec::new())
}

fn intersection_with_polygon(line: &[Vec<Point>], polygon: &Polygon) -> Shape {
    let mut edges = lines::distinct_edges(line);
    let split = edges.len();
    edges.extend(polygon.edges());
    let arrangement = Arrangement::new(&edges, |first, second| first < split && second >= split);
    let (own, boundary): (Vec<Piece>, Vec<Piece>) = arrangement.pieces.iter().partition(|piece| piece.source < split);
    let others = places(&boundary);
    let inside = |p: &&Piece| {
        others.contains(&(p.from.min(p.to), p.from.max(p.to)))
            || polygon.contains(arrangement.points[p.from].plus(arrangement.points[p.to]).unit())
    };
    let kept: Vec<Piece> = own.iter().filter(inside).copied().collect();
    let points = touching(&arrangement, &own, &boundary, &ends(&kept));
    Shape::of_parts(points, joined(&arrangement, &kept), Vec::new())
}

fn intersection_of_polygons(a: &Polygon, b: &Polygon) -> Shape {
    let mut edges = a.edges();
    let split = edges.len();
    edges.extend(b.edges());
    let around = i32::from(a.contains(ORIGIN)) + i32::from(b.contains(ORIGIN));
    let arrangement = Arrangement::new(&edges, |_, _| true);
    let common = arrangement.boundary(ORIGIN, around, 2);
    let key = |p: &Point| [p.x, p.y, p.z].map(f64::to_bits);
    let in_area: HashSet<[u64; 3]> = common.iter().flatten().map(key).collect();
    let (of_a, of_b): (Vec<Piece>, Vec<Piece>) = arrangement.pieces.iter().partition(|piece| piece.source < split);
    // Edges along which they touch from different sides.
    let others: HashSet<(usize, usize)> = of_b.iter().map(|piece| (piece.to, piece.from)).collect();
    let shared: Vec<Piece> = of_a.iter().filter(|piece| others.contains(&(piece.from, piece.to))).copied().collect();
    let points = touching(&arrangement, &of_a, &of_b, &ends(&shared));
    let points = points.into_iter().filter(|p| !in_area.contains(&key(p))).collect();
    Shape::of_parts(points, joined(&arrangement, &shared), Polygon::new(common).parts())
}

/// Reads an array of shapes; one that is invalid makes all invalid.
fn all<T>(text: &str, read: fn(&str) -> Option<Vec<T>>) -> Option<Vec<T>> {
    let mut found = Vec::new();
    for element in json::elements(text)? {
        found.extend(read(element)?);
    }
    (!found.is_empty()).then_some(found)
}

fn union_of_polygons(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let polygons = ShapeArg::new(args, 0, |text| Some(Shape::of_polygons(union(all(text, read)?)?.parts())));
    Ok(Box::new(move |args| polygons.get(args[0]).map_or(Value::Null, |shape| shape.value())))
}

fn union_of_lines(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let lines = ShapeArg::new(args, 0, |text| Some(Shape::of_lines(chained(&lines::distinct_edges(&all(text, lines::read)?)))));
    Ok(Box::new(move |args| lines.get(args[0]).map_or(Value::Null, |shape| shape.value())))
}

/// Joins edges into lines as long as no other begins or ends between; rings that are left come last.
pub(super) fn chained(edges: &[Edge]) -> Vec<Vec<Point>> {
    let key = |p: Point| [p.x, p.y, p.z].map(|v| (v + 0.0).to_bits());
    let mut begin: HashMap<[u64; 3], Vec<usize>> = HashMap::new();
    let mut end: HashMap<[u64; 3], usize> = HashMap::new();
    for (at, (a, b)) in edges.iter().enumerate() {
        begin.entry(key(*a)).or_default().push(at);
        *end.entry(key(*b)).or_default() += 1;
    }
    let outgoing = |p: Point| begin.get(&key(p)).map_or(&[] as &[usize], Vec::as_slice);
    let passed = |p: Point| outgoing(p).len() == 1 && end.get(&key(p)) == Some(&1);
    let mut used = vec![false; edges.len()];
    let mut lines = Vec::new();
    let starts = (0..edges.len()).filter(|at| !passed(edges[*at].0)).chain(0..edges.len());
    for start in starts {
        if used[start] {
            continue;
        }
        let mut line = vec![edges[start].0];
        let mut at = start;
        while !used[at] {
            used[at] = true;
            let to = edges[at].1;
            line.push(to);
            match outgoing(to).first() {
                Some(next) if passed(to) => at = *next,
                _ => break,
            }
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polygon(corners: &str) -> Polygon {
        one(&format!(r#"{{"type":"Polygon","coordinates":[{corners}]}}"#)).unwrap()
    }

    #[test]
    fn polygons_meet_in_areas_edges_and_points() {
        let a = polygon("[[0,0],[2,0],[2,2],[0,2],[0,0]]");
        let inner = polygon("[[0.5,0.5],[1,0.5],[1,1],[0.5,0.5]]");
        let Shape::Polygon(rings) = intersection_of_polygons(&a, &inner) else { panic!() };
        assert_eq!(rings[0], inner.rings[0].vertices);
        let beside = polygon("[[2,0],[4,0],[4,2],[2,2],[2,0]]");
        assert!(matches!(intersection_of_polygons(&a, &beside), Shape::Line(line) if line.len() == 2));
        let corner = polygon("[[2,2],[4,2],[4,4],[2,2]]");
        assert!(matches!(intersection_of_polygons(&a, &corner), Shape::Point(_)));
        let far = polygon("[[50,2],[54,2],[54,4],[50,2]]");
        assert_eq!(intersection_of_polygons(&a, &far), Shape::Collection(Vec::new()));
        assert!(meet(&a.edges(), &corner.edges()) && !meet(&a.edges(), &far.edges()) && holds(&a, &inner) && !holds(&inner, &a));
    }

    #[test]
    fn a_union_has_the_area_of_its_parts_without_what_they_share() {
        let (a, b) = (polygon("[[0,0],[2,0],[2,2],[0,2],[0,0]]"), polygon("[[1,1],[3,1],[3,3],[1,3],[1,1]]"));
        let common = wound_around(&a, &b, 2);
        let areas = a.area() + b.area() - common.area();
        let joined = union(vec![a, b]).unwrap();
        assert!((joined.area() / areas - 1.0).abs() < 1e-12);
        // Around the north pole, and with the origin of containment inside.
        let caps = ["[[0,80],[120,80],[240,80],[0,80]]", "[[60,80],[180,80],[300,80],[60,80]]"];
        let caps: Vec<Polygon> = caps.iter().map(|c| polygon(&c.replace("240", "-120").replace("300", "-60"))).collect();
        let common = wound_around(&caps[0], &caps[1], 2);
        let areas = caps[0].area() + caps[1].area() - common.area();
        assert!((union(caps).unwrap().area() / areas - 1.0).abs() < 1e-12);
    }

    #[test]
    fn lines_are_chained_through_vertices_of_two() {
        let p = |x: f64, y: f64| Point::from_degrees(x, y).unwrap();
        let (a, b, c, d) = (p(0.0, 0.0), p(1.0, 0.0), p(2.0, 1.0), p(2.0, -1.0));
        assert_eq!(chained(&[(b, c), (a, b)]), [vec![a, b, c]]);
        assert_eq!(chained(&[(a, b), (b, c), (b, d)]), [vec![a, b], vec![b, c], vec![b, d]]);
        assert_eq!(chained(&[(a, b), (b, c), (c, a)]), [vec![a, b, c, a]]);
    }
}
