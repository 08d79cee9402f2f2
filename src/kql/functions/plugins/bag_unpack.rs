//! bag_unpack: the properties of a bag as columns.

use std::collections::{BTreeMap, HashSet};

use arrow::array::ArrayRef;

use super::table::{PluginInput, RowTable, cell_bytes};
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

/// The properties of the bags by their columns' names: the type of each, none where all of its values are null.
type Properties = BTreeMap<String, Option<Type>>;

/// Bytes of a property beside its name and its values.
const PROPERTY: usize = 512;

/// The bags of a column, with the properties that are wanted under the names of their columns.
struct Bags<'i> {
    input: &'i PluginInput,
    bag: usize,
    prefix: &'i str,
    ignored: HashSet<&'i str>,
}

impl<'i> Bags<'i> {
    /// Calls `take` with the row, the column's name and the JSON text of each property, row by row.
    fn each(&self, mut take: impl FnMut(usize, &str, &'i str) -> Result<(), String>) -> Result<(), String> {
        let mut name = self.prefix.to_owned();
        for row in 0..self.input.rows {
            let ValueRef::Dynamic(text) = self.input.get(self.bag, row) else { continue };
            for (key, part) in json::members(text).unwrap_or_default() {
                let key = json::unescape(key);
                if !self.ignored.contains(key.as_ref()) {
                    name.truncate(self.prefix.len());
                    name.push_str(&key);
                    take(row, &name, part)?;
                }
            }
        }
        Ok(())
    }

    /// All properties with their types.
    fn properties(&self, memory: &mut Held) -> Result<Properties, String> {
        let mut properties = Properties::new();
        self.each(|_, name, part| {
            let ty = type_of(part);
            match properties.get_mut(name) {
                Some(known) => {
                    *known = match (*known, ty) {
                        (None, ty) | (ty, None) => ty,
                        (Some(a), Some(b)) if a == b => Some(a),
                        _ => Some(Type::Dynamic),
                    };
                }
                None => {
                    memory.grow(PROPERTY + name.len())?;
                    properties.insert(name.to_owned(), ty);
                }
            }
            Ok(())
        })?;
        Ok(properties)
    }

    /// The columns of these properties, all of them filled in one walk over the bags.
    fn columns(&self, properties: &Properties, memory: &mut Held) -> Result<BTreeMap<String, (Type, ArrayRef)>, String> {
        // A cell of what is no text is null until its value comes.
        memory.grow(properties.len() * self.input.rows * cell_bytes(ValueRef::Null))?;
        let builder = |(name, ty): (&String, &Option<Type>)| {
            let ty = ty.unwrap_or(Type::Dynamic);
            (name.clone(), (ty, ColumnBuilder::new(ty, self.input.rows)))
        };
        let mut builders: BTreeMap<String, (Type, ColumnBuilder)> = properties.iter().map(builder).collect();
        self.each(|row, name, part| {
            let Some((ty, builder)) = builders.get_mut(name) else { return Ok(()) };
            // A key that a bag has twice counts once.
            if row < builder.len() {
                return Ok(());
            }
            nulls_until(builder, row);
            if matches!(ty, Type::String | Type::Dynamic) {
                memory.grow(2 * part.len())?;
            }
            push(builder, *ty, part);
            Ok(())
        })?;
        let finished = builders.into_iter().map(|(name, (ty, mut builder))| {
            nulls_until(&mut builder, self.input.rows);
            Ok((name, (ty, builder.finish()?)))
        });
        finished.collect()
    }
}

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
    let bags = Bags { input, bag, prefix, ignored };
    let mut properties = bags.properties(&mut memory)?;
    for (i, own) in input.table_columns().iter().enumerate() {
        if i == bag || !properties.contains_key(&own.name) {
            continue;
        }
        match conflict {
            Conflict::Error => {
                return Err(format!("the bag has a property {0}, but there is a column {0} already", own.name));
            }
            Conflict::Keep => {
                properties.remove(&own.name);
            }
            Conflict::Replace => {}
        }
    }
    let mut unpacked = bags.columns(&properties, &mut memory)?;
    let mut columns: Vec<Column> = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (i, own) in input.table_columns().iter().enumerate() {
        match unpacked.remove(&own.name) {
            Some((ty, array)) => {
                columns.push(Column::new(own.name.clone(), ty));
                arrays.push(array);
            }
            None if i == bag => {}
            None => {
                columns.push(own.clone());
                arrays.push(ArrayRef::clone(input.array(i)));
            }
        }
    }
    for (name, (ty, array)) in unpacked {
        columns.push(Column::new(name, ty));
        arrays.push(array);
    }
    RowTable::from_arrays(columns, arrays, input.rows)
}

fn nulls_until(builder: &mut ColumnBuilder, row: usize) {
    while builder.len() < row {
        builder.push_ref(ValueRef::Null);
    }
}

/// Appends a property's value to a column of its type.
fn push(builder: &mut ColumnBuilder, ty: Type, part: &str) {
    match ty {
        _ if part == "null" => builder.push_ref(ValueRef::Null),
        Type::Bool => builder.push_ref(ValueRef::Bool(part == "true")),
        Type::Long => builder.push_ref(part.parse().map_or(ValueRef::Null, ValueRef::Long)),
        Type::Real => builder.push_ref(part.parse().map_or(ValueRef::Null, ValueRef::Real)),
        Type::String => builder.push_ref(ValueRef::String(&json::unquote(part))),
        _ => builder.push_ref(ValueRef::Dynamic(part)),
    }
}
