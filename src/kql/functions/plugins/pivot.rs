//! pivot: the values of one column as columns.

use std::collections::btree_map::{BTreeMap, Entry};

use arrow::array::Array as _;

use super::table::{PluginInput, RowTable, free_column_name};
use super::{KEY, ParamKind, Plugin, PluginArg, PluginParam, column, constant};
use crate::functions::ArgType;
use crate::functions::interner::Interner;
use crate::room::Held;
use kqlake_value::columns::ColumnBuilder;
use kqlake_value::{Column, Value, ValueRef, format};

/// The plugin, over rows that are aggregated already.
///
/// Its caller summarizes by the columns that stay and the pivoted one, and passes the result: the columns that stay
/// first, then the pivoted column (argument 0) and the aggregate's (argument 1). Argument 2 is the aggregate's answer over
/// no rows, for the cells that no row fills. The columns that stay are those that the call names, else all but the pivoted
/// one and those in the aggregate's arguments; the aggregate is `count()` where the call names none.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "pivot",
    params: &[
        PluginParam::req("pivotColumn", ParamKind::Column(KEY)),
        PluginParam::opt("aggregateFunction", ParamKind::Aggregate),
        PluginParam::opt("columnName", ParamKind::Column(ArgType::Any)),
    ],
    repeats: true,
    schema: |_, _| Ok(None),
    run,
    doc: "The values of one column as columns, each with an aggregate.",
};

/// Bytes of a new column beside its name and its cells, and of one of its cells.
const COLUMN: usize = 400;
const CELL: usize = 24;

fn run(input: &PluginInput, args: &[PluginArg]) -> Result<RowTable, String> {
    let (pivoted, aggregate) = (column(args, 0)?, column(args, 1)?);
    let empty = constant(args, 2).cloned().unwrap_or(Value::Null);
    let stay: Vec<usize> = (0..input.visible).filter(|c| *c != pivoted && *c != aggregate).collect();
    let mut keys = Interner::default();
    let mut first: Vec<Option<u32>> = Vec::new();
    // Cells by pivoted value, ordered by its text: from the number of the row to the row of the input.
    let mut cells: BTreeMap<String, BTreeMap<u32, usize>> = BTreeMap::new();
    let mut memory = Held::default();
    for row in 0..input.rows {
        let key = keys.number(stay.iter().map(|c| input.get(*c, row)))?;
        if key as usize == first.len() {
            first.push(Some(row as u32));
        }
        let cells = match cells.entry(format::to_string(input.get(pivoted, row))) {
            Entry::Occupied(cells) => cells.into_mut(),
            Entry::Vacant(cells) => {
                memory.grow(COLUMN + cells.key().len())?;
                cells.insert(BTreeMap::new())
            }
        };
        memory.grow(CELL)?;
        cells.insert(key, row);
    }
    let mut columns: Vec<Column> = stay.iter().map(|c| input.columns[*c].clone()).collect();
    let mut arrays = stay.iter().map(|c| input.take(*c, &first)).collect::<Result<Vec<_>, _>>()?;
    let ty = input.columns[aggregate].ty;
    let mut text = String::new();
    let empty: ValueRef<'_> = empty.as_ref(&mut text);
    for (name, rows) in cells {
        columns.push(Column::new(free_column_name(&name, &columns), ty));
        let mut builder = ColumnBuilder::new(ty, first.len());
        for key in 0..first.len() as u32 {
            builder.push_ref(rows.get(&key).map_or(empty, |row| input.get(aggregate, *row)));
        }
        let array = builder.finish()?;
        memory.grow(array.get_array_memory_size())?;
        arrays.push(array);
    }
    RowTable::from_arrays(columns, arrays, first.len())
}
