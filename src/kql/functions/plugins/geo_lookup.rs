//! geo_line_lookup and geo_polygon_lookup: rows joined to a table of lines or polygons by where they are.

use super::table::{PluginInput, RowTable, free_column_name};
use super::{ParamKind, Plugin, PluginArg, PluginParam, column, constant, number};
use crate::functions::ArgType;
use crate::functions::scalar::geo::matching::Target;
use kqlake_value::{Column, Value, ValueRef};

const TABLE: PluginParam = PluginParam::req("LookupTable", ParamKind::Table);
const LONGITUDE: PluginParam = PluginParam::req("SourceLongitude", ParamKind::Column(ArgType::Number));
const LATITUDE: PluginParam = PluginParam::req("SourceLatitude", ParamKind::Column(ArgType::Number));
const LINE: PluginParam = PluginParam::req("LookupLineKey", ParamKind::LookupColumn(ArgType::Dynamic));
const POLYGON: PluginParam = PluginParam::req("LookupPolygonKey", ParamKind::LookupColumn(ArgType::Dynamic));
const NEAR: PluginParam = PluginParam::req("radius", ParamKind::Constant(ArgType::Number));
const RADIUS: PluginParam = PluginParam::opt("radius", ParamKind::Constant(ArgType::Number));
const UNMATCHED: PluginParam = PluginParam::opt("return_unmatched", ParamKind::Constant(ArgType::Bool));
const HINT: PluginParam = PluginParam::opt("lookup_area_radius", ParamKind::Constant(ArgType::Number));
const OLD_HINT: PluginParam = PluginParam::opt("join_hint", ParamKind::Constant(ArgType::Number));
const WITH_KEY: PluginParam = PluginParam::opt("return_lookup_key", ParamKind::Constant(ArgType::Bool));

/// The places of the key and of the longitude among the arguments; the latitude and the radius follow.
type Places = (usize, usize);
const KEY_FIRST: Places = (1, 2);
const KEY_LAST: Places = (3, 1);

/// geo_polygon_lookup: the table's columns, then those of the lookup table, with the polygon where that is asked for.
pub(super) const POLYGONS: Plugin = Plugin {
    name: "geo_polygon_lookup",
    params: &[TABLE, POLYGON, LONGITUDE, LATITUDE, RADIUS, UNMATCHED, HINT, WITH_KEY],
    repeats: false,
    schema: |columns, args| schema(columns, args, KEY_FIRST).map(Some),
    run: |input, args| run(input, args, KEY_FIRST, Target::polygon),
    doc: "Rows joined to a table of polygons that contain their points, or are near them.",
};

/// The form of the documentation before 2025, with the key behind the coordinates; the polygon is always shown.
pub(super) const POLYGONS_KEY_LAST: Plugin = Plugin {
    params: &[TABLE, LONGITUDE, LATITUDE, POLYGON, RADIUS, UNMATCHED, OLD_HINT],
    schema: |columns, args| schema(columns, args, KEY_LAST).map(Some),
    run: |input, args| run(input, args, KEY_LAST, Target::polygon),
    ..POLYGONS
};

/// geo_line_lookup: the table's columns, then those of the lookup table, with the line where that is asked for.
pub(super) const LINES: Plugin = Plugin {
    name: "geo_line_lookup",
    params: &[TABLE, LINE, LONGITUDE, LATITUDE, NEAR, UNMATCHED, HINT, WITH_KEY],
    repeats: false,
    schema: |columns, args| schema(columns, args, KEY_FIRST).map(Some),
    run: |input, args| run(input, args, KEY_FIRST, Target::line),
    doc: "Rows joined to a table of lines that are near their points.",
};

/// The form of the documentation before 2025, with the key behind the coordinates; the line is always shown.
pub(super) const LINES_KEY_LAST: Plugin = Plugin {
    params: &[TABLE, LONGITUDE, LATITUDE, LINE, NEAR, UNMATCHED, OLD_HINT],
    schema: |columns, args| schema(columns, args, KEY_LAST).map(Some),
    run: |input, args| run(input, args, KEY_LAST, Target::line),
    ..LINES
};

fn lookup(args: &[PluginArg]) -> Result<&RowTable, String> {
    match args.first() {
        Some(PluginArg::Table(lookup)) => Ok(lookup),
        _ => Err("the first argument must be a table".to_owned()),
    }
}

/// The columns of the lookup table that go into the result.
fn shown(lookup: &RowTable, args: &[PluginArg], places: Places) -> Result<Vec<usize>, String> {
    let key = column(args, places.0)?;
    let with_key = places == KEY_LAST || constant(args, 7) == Some(&Value::Bool(true));
    Ok((0..lookup.columns.len()).filter(|at| with_key || *at != key).collect())
}

fn schema(columns: &[Column], args: &[PluginArg], places: Places) -> Result<Vec<Column>, String> {
    let lookup = lookup(args)?;
    let mut out: Vec<Column> = columns.to_vec();
    for at in shown(lookup, args, places)? {
        let column = &lookup.columns[at];
        out.push(Column::new(free_column_name(&column.name, &out), column.ty));
    }
    Ok(out)
}

fn run(input: &PluginInput, args: &[PluginArg], places: Places, read: fn(&str) -> Option<Target>) -> Result<RowTable, String> {
    let table = lookup(args)?;
    let lookup = PluginInput::new(table, table.columns.len())?;
    let (key, longitude, latitude) = (column(args, places.0)?, column(args, places.1)?, column(args, places.1 + 1)?);
    let radius = number(args, 4);
    if radius.is_some_and(|radius| radius.is_nan() || radius < 0.0) {
        return Err("the radius must not be negative".to_owned());
    }
    let unmatched = constant(args, 5) == Some(&Value::Bool(true));
    let targets: Vec<(u32, Target)> = (0..lookup.rows)
        .filter_map(|row| match lookup.get(key, row) {
            ValueRef::Dynamic(text) => Some((row as u32, read(text)?)),
            _ => None,
        })
        .collect();
    let (mut own_rows, mut there_rows): (Vec<Option<u32>>, Vec<Option<u32>>) = (Vec::new(), Vec::new());
    for row in 0..input.rows {
        let before = own_rows.len();
        if let (Some(longitude), Some(latitude)) = (input.get(longitude, row).as_f64(), input.get(latitude, row).as_f64()) {
            for (there, _) in targets.iter().filter(|(_, target)| target.matches(longitude, latitude, radius)) {
                own_rows.push(Some(row as u32));
                there_rows.push(Some(*there));
            }
        }
        if before == own_rows.len() && unmatched {
            own_rows.push(Some(row as u32));
            there_rows.push(None);
        }
    }
    let own = (0..input.visible).map(|c| input.take(c, &own_rows)).collect::<Result<Vec<_>, _>>()?;
    let there = shown(table, args, places)?.into_iter().map(|c| lookup.take(c, &there_rows)).collect::<Result<Vec<_>, _>>()?;
    let arrays = own.into_iter().chain(there).collect();
    RowTable::from_arrays(schema(input.table_columns(), args, places)?, arrays, own_rows.len())
}
