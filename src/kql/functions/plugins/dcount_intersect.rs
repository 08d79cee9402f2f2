//! dcount_intersect: how many values the first, the first two, the first three, … of several hll sketches share.

use arrow::array::ArrayRef;

use super::table::{PluginInput, RowTable, free_column_name};
use super::{ParamKind, Plugin, PluginArg, PluginParam, columns_from};
use crate::functions::ArgType;
use crate::functions::sketch::hll::Hll;
use kqlake_value::columns::ColumnBuilder;
use kqlake_value::{Column, Type, ValueRef};

/// The plugin: a column `s0`, `s1`, … behind the table's own for each sketch.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "dcount_intersect",
    params: &[
        PluginParam::req("hll_1", ParamKind::Column(ArgType::Dynamic)),
        PluginParam::req("hll_2", ParamKind::Column(ArgType::Dynamic)),
        PluginParam::opt("hll_3", ParamKind::Column(ArgType::Dynamic)),
    ],
    repeats: true,
    schema: |columns, args| Ok(Some(columns_of(columns, args))),
    run,
    doc: "Distinct counts of the intersections of hll sketches.",
};

/// Sketches that may be intersected: the work grows with the number of their subsets.
const MOST: usize = 10;

fn columns_of(columns: &[Column], args: &[PluginArg]) -> Vec<Column> {
    let mut out = columns.to_vec();
    for i in 0..columns_from(args, 0).len() {
        let name = free_column_name(&format!("s{i}"), &out);
        out.push(Column::new(name, Type::Long));
    }
    out
}

fn run(input: &PluginInput, args: &[PluginArg]) -> Result<RowTable, String> {
    let sketches = columns_from(args, 0);
    if sketches.len() > MOST {
        return Err(format!("at most {MOST} sketches can be intersected"));
    }
    let mut builders: Vec<ColumnBuilder> = sketches.iter().map(|_| ColumnBuilder::new(Type::Long, input.rows)).collect();
    for row in 0..input.rows {
        let mut seen: Vec<Hll> = Vec::with_capacity(sketches.len());
        let mut broken = false;
        for (column, builder) in sketches.iter().zip(&mut builders) {
            let hll = match input.get(*column, row) {
                ValueRef::Dynamic(text) => serde_json::from_str(text).ok().and_then(|json| Hll::from_json(&json)),
                _ => None,
            };
            match hll {
                Some(hll) if !broken => {
                    seen.push(hll);
                    builder.push_ref(ValueRef::Long(Hll::intersection(&seen) as i64));
                }
                _ => {
                    broken = true;
                    builder.push_ref(ValueRef::Null);
                }
            }
        }
    }
    let mut arrays: Vec<ArrayRef> = (0..input.visible).map(|c| ArrayRef::clone(input.array(c))).collect();
    for builder in &mut builders {
        arrays.push(builder.finish()?);
    }
    RowTable::from_arrays(columns_of(input.table_columns(), args), arrays, input.rows)
}
