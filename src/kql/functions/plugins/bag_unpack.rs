//! bag_unpack: the properties of a bag as columns.

use std::collections::HashSet;
use std::collections::btree_map::{BTreeMap, Entry};

use arrow::array::{Array as _, ArrayRef};

use super::table::{PluginInput, RowTable};
use super::{ParamKind, Plugin, PluginArg, PluginParam, column, constant};
use crate::functions::ArgType;
use crate::room::Held;
use kqlake_value::columns::ColumnBuilder;
use kqlake_value::{Column, Json, Type, Value, ValueRef, json};

/// The plugin.
///
/// The bag's column goes; each property becomes a column of its values' common type, or dynamic where they differ. A
/// property with the name of the bag's column takes that column's place; one with the name of another column is an error,
/// or takes its place (`replace_source`), or is left out (`keep_source`). New columns come last, by name.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "bag_unpack",
    params: &[
        PluginParam::req("Column", ParamKind::Column(ArgType::Dynamic)),
        PluginParam::opt("OutputColumnPrefix", ParamKind::Constant(ArgType::String)),
        PluginParam::opt("columnsConflict", ParamKind::Constant(ArgType::String)),
        PluginParam::opt("ignoredProperties", ParamKind::Constant(ArgType::Dynamic)),
    ],
    repeats: false,
    schema: |_, _| Ok(None),
    run,
    doc: "The properties of a bag as columns.",
};

/// What becomes of a property with another column's name.
#[derive(Clone, Copy, PartialEq)]
enum Conflict {
    Error,
    Replace,
    Keep,
}

fn text(args: &[PluginArg], place: usize) -> Option<&str> {
    match constant(args, place) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// The KQL type of a property's value, from its JSON text; `None` for null.
fn type_of(part: &str) -> Option<Type> {
    match json::json_type(part) {
        json::JsonType::Null => None,
        json::JsonType::Bool => Some(Type::Bool),
        json::JsonType::Integer if part.parse::<i64>().is_ok() => Some(Type::Long),
        json::JsonType::Integer | json::JsonType::Real => Some(Type::Real),
        json::JsonType::String => Some(Type::String),
        json::JsonType::Array | json::JsonType::Object => Some(Type::Dynamic),
    }
}

/// A property as it is found in the rows.
#[derive(Default)]
struct Slot<'a> {
    ty: Option<Type>,
    values: Vec<(usize, &'a str)>,
}

/// Bytes of a property beside its values.
const SLOT: usize = 256;

fn run(input: &PluginInput, args: &[PluginArg]) -> Result<RowTable, String> {
    let bag = column(args, 0)?;
    let prefix = text(args, 1).unwrap_or_default();
    let conflict = match text(args, 2) {
        None | Some("error") => Conflict::Error,
        Some("replace_source") => Conflict::Replace,
        Some("keep_source") => Conflict::Keep,
        Some(other) => return Err(format!("columnsConflict must be error, replace_source or keep_source, not {other}")),
    };
    let ignored: HashSet<&str> = match constant(args, 3) {
        Some(Value::Dynamic(Json::Array(names))) => names.iter().filter_map(Json::as_str).collect(),
        _ => HashSet::new(),
    };

    let mut memory = Held::default();
    let mut slots: BTreeMap<String, Slot<'_>> = BTreeMap::new();
    for row in 0..input.rows {
        let ValueRef::Dynamic(text) = input.get(bag, row) else { continue };
        for (key, part) in json::members(text).unwrap_or_default() {
            let key = json::unescape(key);
            if ignored.contains(key.as_ref()) {
                continue;
            }
            let name = format!("{prefix}{key}");
            let slot = match slots.entry(name) {
                Entry::Occupied(slot) => slot.into_mut(),
                Entry::Vacant(slot) => {
                    memory.grow(SLOT + slot.key().len())?;
                    slot.insert(Slot::default())
                }
            };
            slot.ty = match (slot.ty, type_of(part)) {
                (None, ty) | (ty, None) => ty,
                (Some(a), Some(b)) if a == b => Some(a),
                _ => Some(Type::Dynamic),
            };
            if slot.values.len() == slot.values.capacity() {
                let more = slot.values.len().max(4);
                memory.grow(more * size_of::<(usize, &str)>())?;
                slot.values.reserve_exact(more);
            }
            slot.values.push((row, part));
        }
    }

    let mut columns: Vec<Column> = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (i, own) in input.table_columns().iter().enumerate() {
        let slot = if i == bag || conflict != Conflict::Keep { slots.remove(&own.name) } else { None };
        match slot {
            Some(_) if i != bag && conflict == Conflict::Error => {
                return Err(format!("the bag has a property {0}, but there is a column {0} already", own.name));
            }
            Some(slot) => {
                columns.push(Column::new(own.name.clone(), slot.ty.unwrap_or(Type::Dynamic)));
                arrays.push(values(&slot, input.rows, &mut memory)?);
            }
            None if i == bag => {}
            None => {
                slots.remove(&own.name);
                columns.push(own.clone());
                arrays.push(ArrayRef::clone(input.array(i)));
            }
        }
    }
    for (name, slot) in slots {
        columns.push(Column::new(name, slot.ty.unwrap_or(Type::Dynamic)));
        arrays.push(values(&slot, input.rows, &mut memory)?);
    }
    RowTable::from_arrays(columns, arrays, input.rows)
}

/// A property's column.
fn values(slot: &Slot<'_>, rows: usize, memory: &mut Held) -> Result<ArrayRef, String> {
    let ty = slot.ty.unwrap_or(Type::Dynamic);
    let mut builder = ColumnBuilder::new(ty, rows);
    for (row, part) in &slot.values {
        // A key that a bag has twice counts once.
        if *row < builder.len() {
            continue;
        }
        while builder.len() < *row {
            builder.push_ref(ValueRef::Null);
        }
        match ty {
            Type::Bool => builder.push_ref(if *part == "null" { ValueRef::Null } else { ValueRef::Bool(*part == "true") }),
            Type::Long => builder.push_ref(part.parse().map_or(ValueRef::Null, ValueRef::Long)),
            Type::Real => builder.push_ref(part.parse().map_or(ValueRef::Null, ValueRef::Real)),
            Type::String if *part == "null" => builder.push_ref(ValueRef::Null),
            Type::String => builder.push_ref(ValueRef::String(&json::unquote(part))),
            _ => builder.push_ref(if *part == "null" { ValueRef::Null } else { ValueRef::Dynamic(part) }),
        }
    }
    while builder.len() < rows {
        builder.push_ref(ValueRef::Null);
    }
    let array = builder.finish()?;
    memory.grow(array.get_array_memory_size())?;
    Ok(array)
}
