//! narrow: a row for each cell of the table.

use super::Plugin;
use super::table::{PluginInput, RowTable, RowTableBuilder};
use kqlake_value::{Column, Type, ValueRef, format};

/// The plugin: the row's number from 0, the column's name, and the cell's text.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "narrow",
    params: &[],
    repeats: false,
    schema: |_, _| Ok(Some(columns())),
    run: |input, _| run(input),
    doc: "A row for each cell: row number, column name and value as text.",
};

fn columns() -> Vec<Column> {
    vec![Column::new("Row", Type::Long), Column::new("Column", Type::String), Column::new("Value", Type::String)]
}

fn run(input: &PluginInput) -> Result<RowTable, String> {
    let mut output = RowTableBuilder::new(columns());
    for row in 0..input.rows {
        for (i, column) in input.table_columns().iter().enumerate() {
            let text = format::to_string(input.get(i, row));
            output.push([ValueRef::Long(row as i64), ValueRef::String(&column.name), ValueRef::String(&text)]);
        }
    }
    output.finish()
}
