//! Cells of the S2 grid: their numbers, tokens and places.
//!
//! Each of the six faces of a cube around the sphere is divided into four again and again, up to level 30. A cell's number is its
//! face, its place on a Hilbert curve with two bits a level, and a one behind them
//! (<https://s2geometry.io/devguide/s2cell_hierarchy>).

use super::sphere::Point;

/// The level of the smallest cells.
pub(super) const MAX_LEVEL: u8 = 30;

/// Which of four sub-cells (i and j as two bits) a place on the curve is, by the curve's orientation.
const CELL_AT: [[u8; 4]; 4] = [[0, 1, 3, 2], [0, 2, 3, 1], [3, 2, 0, 1], [3, 1, 0, 2]];
/// The inverse of [`CELL_AT`].
const PLACE_OF: [[u8; 4]; 4] = [[0, 1, 3, 2], [0, 3, 1, 2], [2, 3, 1, 0], [2, 1, 3, 0]];
/// How the orientation changes within a sub-cell, by its place.
const TURN: [usize; 4] = [1, 0, 0, 3];

/// A cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    face: u8,
    /// 0 for a whole face.
    pub level: u8,
    /// The place on the face, in cells of this level.
    i: u32,
    j: u32,
}

impl Cell {
    /// A face of the cube.
    pub(super) fn face(face: u8) -> Cell {
        Cell { face, level: 0, i: 0, j: 0 }
    }

    /// The cell of a level that contains a point.
    pub(super) fn containing(point: Point, level: u8) -> Cell {
        let face = face_of(point);
        let (u, v) = on_face(face, point);
        Cell { face, level: MAX_LEVEL, i: step(s_of(u)), j: step(s_of(v)) }.ancestor(level)
    }

    /// The cell of a lower level that contains this one.
    fn ancestor(self, level: u8) -> Cell {
        let shift = self.level - level.min(self.level);
        Cell { level: level.min(self.level), i: self.i >> shift, j: self.j >> shift, ..self }
    }

    /// The four cells of the next level.
    pub(super) fn children(self) -> [Cell; 4] {
        [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(i, j)| Cell {
            level: self.level + 1,
            i: self.i << 1 | i,
            j: self.j << 1 | j,
            ..self
        })
    }

    /// The cell's number.
    pub(super) fn id(self) -> u64 {
        let (mut orientation, mut place) = (usize::from(self.face & 1), 0);
        for bit in (0..self.level).rev() {
            let cell = (self.i >> bit & 1) << 1 | (self.j >> bit & 1);
            let next = PLACE_OF[orientation][cell as usize];
            place = place << 2 | u64::from(next);
            orientation ^= TURN[usize::from(next)];
        }
        u64::from(self.face) << 61 | (place << 1 | 1) << (2 * (MAX_LEVEL - self.level))
    }

    /// The cell of a number; `None` for what is none.
    fn from_id(id: u64) -> Option<Cell> {
        let zeros = id.trailing_zeros();
        let face = (id >> 61) as u8;
        if face > 5 || !zeros.is_multiple_of(2) || zeros > 60 {
            return None;
        }
        let level = MAX_LEVEL - (zeros / 2) as u8;
        let (mut orientation, mut i, mut j) = (usize::from(face & 1), 0, 0);
        for step in 1..=level {
            let place = (id >> (61 - 2 * u32::from(step)) & 3) as usize;
            let cell = u32::from(CELL_AT[orientation][place]);
            (i, j) = (i << 1 | cell >> 1, j << 1 | cell & 1);
            orientation ^= TURN[place];
        }
        Some(Cell { face, level, i, j })
    }

    /// The cell's token: its number in hexadecimal without the zeros at the end.
    pub(super) fn token(self) -> String {
        format!("{:016x}", self.id()).trim_end_matches('0').to_owned()
    }

    /// The cell of a token; `None` for what is none.
    pub(super) fn from_token(token: &str) -> Option<Cell> {
        if token.is_empty() || token.len() > 16 || !token.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let id = u64::from_str_radix(token, 16).ok()?;
        Cell::from_id(id << (4 * (16 - token.len())))
    }

    /// A place in the cell, from (0, 0) to (1, 1).
    fn at(self, along_i: f64, along_j: f64) -> Point {
        let size = 1.0 / (1u64 << self.level) as f64;
        let (s, t) = ((f64::from(self.i) + along_i) * size, (f64::from(self.j) + along_j) * size);
        from_face(self.face, u_of(s), u_of(t)).unit()
    }

    /// The middle.
    pub(super) fn center(self) -> Point {
        self.at(0.5, 0.5)
    }

    /// The corners, counterclockwise.
    pub(super) fn corners(self) -> [Point; 4] {
        [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)].map(|(i, j)| self.at(i, j))
    }

    /// Whether a point is in the cell or on its edge.
    pub(super) fn contains(self, point: Point) -> bool {
        // For points that were rounded; the smallest cells are a million times as wide.
        const SLACK: f64 = 4.0 * f64::EPSILON;
        let axis = match self.face {
            0 => point.x,
            1 => point.y,
            2 => point.z,
            3 => -point.x,
            4 => -point.y,
            _ => -point.z,
        };
        if axis <= 0.0 {
            return false;
        }
        let size = 1.0 / (1u64 << self.level) as f64;
        let within = |value: f64, step: u32| {
            let (low, high) = (u_of(f64::from(step) * size), u_of(f64::from(step + 1) * size));
            (low - SLACK..=high + SLACK).contains(&value)
        };
        let (u, v) = on_face(self.face, point);
        within(u, self.i) && within(v, self.j)
    }

    /// The cells of the same level that share an edge or a corner, in the order of the documentation's example. There are seven
    /// at a corner of the cube, and fewer for a whole face.
    pub(super) fn neighbors(self) -> Vec<Cell> {
        let mut found: Vec<Cell> = Vec::with_capacity(8);
        for (di, dj) in [(1, 1), (-1, -1), (1, -1), (0, -1), (0, 1), (1, 0), (-1, 0), (-1, 1)] {
            let neighbor = self.moved(di, dj);
            if neighbor != self && !found.contains(&neighbor) {
                found.push(neighbor);
            }
        }
        found
    }

    /// The cell so many steps away, on another face where it lies beyond the edge of this one.
    fn moved(self, di: i64, dj: i64) -> Cell {
        let cells = 1i64 << self.level;
        let (i, j) = (i64::from(self.i) + di, i64::from(self.j) + dj);
        if (0..cells).contains(&i) && (0..cells).contains(&j) {
            return Cell { i: i as u32, j: j as u32, ..self };
        }
        // The middle of the place on the face's plane, just beyond the edge where it is outside.
        let limit = 1.0 + f64::EPSILON;
        let plane = |step: i64| ((2 * step + 1) as f64 / cells as f64 - 1.0).clamp(-limit, limit);
        let point = from_face(self.face, plane(i), plane(j));
        let face = face_of(point);
        let (u, v) = on_face(face, point);
        let cell = Cell { face, level: MAX_LEVEL, i: step(0.5 * (u + 1.0)), j: step(0.5 * (v + 1.0)) };
        cell.ancestor(self.level)
    }
}

/// The step of the smallest cells that a place from 0 to 1 is in.
fn step(s: f64) -> u32 {
    const CELLS: f64 = (1u64 << MAX_LEVEL) as f64;
    (CELLS * s).floor().clamp(0.0, CELLS - 1.0) as u32
}

/// A place on a face as 0 to 1, spread so that cells have similar areas.
fn s_of(u: f64) -> f64 {
    if u >= 0.0 { 0.5 * (1.0 + 3.0 * u).sqrt() } else { 1.0 - 0.5 * (1.0 - 3.0 * u).sqrt() }
}

/// The inverse of [`s_of`].
fn u_of(s: f64) -> f64 {
    if s >= 0.5 { (1.0 / 3.0) * (4.0 * s * s - 1.0) } else { (1.0 / 3.0) * (1.0 - 4.0 * (1.0 - s) * (1.0 - s)) }
}

/// The face that a direction meets.
fn face_of(p: Point) -> u8 {
    let (x, y, z) = (p.x.abs(), p.y.abs(), p.z.abs());
    let (axis, value) = if x > y {
        if x > z { (0, p.x) } else { (2, p.z) }
    } else if y > z {
        (1, p.y)
    } else {
        (2, p.z)
    };
    if value < 0.0 { axis + 3 } else { axis }
}

/// Where a direction meets the plane of a face.
fn on_face(face: u8, p: Point) -> (f64, f64) {
    match face {
        0 => (p.y / p.x, p.z / p.x),
        1 => (-p.x / p.y, p.z / p.y),
        2 => (-p.x / p.z, -p.y / p.z),
        3 => (p.z / p.x, p.y / p.x),
        4 => (p.z / p.y, -p.x / p.y),
        _ => (-p.y / p.z, -p.x / p.z),
    }
}

/// The direction of a place on the plane of a face.
fn from_face(face: u8, u: f64, v: f64) -> Point {
    match face {
        0 => Point::new(1.0, u, v),
        1 => Point::new(-u, 1.0, v),
        2 => Point::new(-u, -v, 1.0),
        3 => Point::new(-1.0, -v, -u),
        4 => Point::new(v, -1.0, -u),
        _ => Point::new(v, u, -1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(longitude: f64, latitude: f64) -> Point {
        Point::from_degrees(longitude, latitude).unwrap()
    }

    #[test]
    fn points_have_cells_at_every_level_and_cells_their_numbers() {
        for (longitude, latitude) in
            [(0.0, 0.0), (-80.195829, 25.802215), (180.0, -90.0), (99.0, 45.0), (-1e-9, 1e-9), (45.0, 89.9)]
        {
            let point = p(longitude, latitude);
            let mut before: Option<Cell> = None;
            for level in 0..=MAX_LEVEL {
                let cell = Cell::containing(point, level);
                assert!(cell.contains(point) && cell.contains(cell.center()));
                assert_eq!(Cell::from_token(&cell.token()), Some(cell));
                assert_eq!(Cell::from_id(cell.id()), Some(cell));
                assert_eq!(Cell::containing(cell.center(), level), cell);
                if let Some(before) = before {
                    assert!(before.children().contains(&cell));
                }
                before = Some(cell);
            }
        }
        assert_eq!(Cell::containing(p(-80.195829, 25.802215), 8).token(), "88d9b");
        for bad in ["", "a", "g", "00000000000000001", "2", "+1"] {
            assert_eq!(Cell::from_token(bad), None, "{bad}");
        }
    }

    #[test]
    fn neighbours_touch_the_cell_and_go_over_the_edges_of_faces() {
        for token in ["89c259", "88d9b", "1", "04", "0aaaaaaaaaaaaaab", "3"] {
            let cell = Cell::from_token(token).unwrap();
            let neighbors = cell.neighbors();
            assert!((4..=8).contains(&neighbors.len()), "{token}: {neighbors:?}");
            for neighbor in neighbors {
                assert_eq!(neighbor.level, cell.level);
                let touches = cell.corners().into_iter().any(|corner| neighbor.contains(corner));
                assert!(touches || cell.level == 0, "{token} {neighbor:?}");
                assert!(neighbor.neighbors().contains(&cell), "{token} {neighbor:?}");
            }
        }
    }
}
