//! schema_merge: one schema out of several that `getschema` gave.

use super::table::{PluginInput, RowTable, RowTableBuilder};
use super::{ParamKind, Plugin, PluginArg, PluginParam, constant};
use crate::functions::ArgType;
use kqlake_value::{Column, Type, Value, ValueRef, format};

/// The plugin.
///
/// Columns are one if their names are. Numbers of different types become the widest of them; other types that differ, and
/// (unless `PreserveOrder` is false) places that differ, are reported as an error in the column's type.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "schema_merge",
    params: &[PluginParam::opt("PreserveOrder", ParamKind::Constant(ArgType::Bool))],
    repeats: false,
    schema: |_, _| Ok(Some(columns())),
    run,
    doc: "One schema out of several that getschema gave.",
};

fn columns() -> Vec<Column> {
    vec![
        Column::new("ColumnName", Type::String),
        Column::new("ColumnOrdinal", Type::Long),
        Column::new("DataType", Type::String),
        Column::new("ColumnType", Type::String),
    ]
}

/// A column being built.
struct Merged {
    name: String,
    ordinal: i64,
    ty: Result<Type, &'static str>,
}

fn run(input: &PluginInput, args: &[PluginArg]) -> Result<RowTable, String> {
    let place = |name: &str| input.find(name).ok_or_else(|| format!("the input has no column {name}, as getschema gives it"));
    let (name, ordinal, kind) = (place("ColumnName")?, place("ColumnOrdinal")?, place("ColumnType")?);
    let keep_order = constant(args, 0) != Some(&Value::Bool(false));
    let mut merged: Vec<Merged> = Vec::new();
    for row in 0..input.rows {
        let name = format::to_string(input.get(name, row));
        let ordinal = input.get(ordinal, row).as_i64().unwrap_or(0);
        let ty = Type::parse(&format::to_string(input.get(kind, row))).ok_or("unknown type");
        match merged.iter_mut().find(|m| m.name == name) {
            None => merged.push(Merged { name, ordinal, ty }),
            Some(known) => {
                known.ty = match (known.ty, ty) {
                    (Ok(a), Ok(b)) => a.widest(b).ok_or("types are different"),
                    (Err(why), _) | (_, Err(why)) => Err(why),
                };
                if keep_order && known.ordinal != ordinal {
                    known.ty = Err("columns are out of order");
                }
                known.ordinal = known.ordinal.max(ordinal);
            }
        }
    }
    merged.sort_by_key(|m| (m.ty.is_err(), m.ordinal));
    let mut output = RowTableBuilder::new(columns());
    for (i, column) in merged.iter().enumerate() {
        let (ordinal, data_type, kind) = match column.ty {
            Ok(ty) => (i as i64, ty.dotnet_name().to_owned(), ty.name().to_owned()),
            Err(why) => (-1, format!("ERROR(unknown CSL type:ERROR({why}))"), format!("ERROR({why})")),
        };
        output.push([
            ValueRef::String(&column.name),
            ValueRef::Long(ordinal),
            ValueRef::String(&data_type),
            ValueRef::String(&kind),
        ]);
    }
    output.finish()
}
