//! rows_near: rows around those where a condition holds.

use super::table::{PluginInput, RowTable};
use super::{ParamKind, Plugin, PluginArg, PluginParam, column, number};
use crate::functions::ArgType;
use crate::room::CountedVec;
use kqlake_value::ValueRef;

/// The plugin: rows that are at most *NumRows* before or behind (*RowsAfter* behind) a row where the condition is true.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "rows_near",
    params: &[
        PluginParam::req("Condition", ParamKind::Expression(ArgType::Bool)),
        PluginParam::req("NumRows", ParamKind::Constant(ArgType::Integer)),
        PluginParam::opt("NumRowsAfter", ParamKind::Constant(ArgType::Integer)),
    ],
    repeats: false,
    // The condition's column comes behind the table's own, which pass unchanged.
    schema: |columns, args| {
        Ok(Some(columns.iter().enumerate().filter(|(i, _)| column(args, 0) != Ok(*i)).map(|(_, c)| c.clone()).collect()))
    },
    run,
    doc: "Rows around those where a condition holds.",
};

fn run(input: &PluginInput, args: &[PluginArg]) -> Result<RowTable, String> {
    let condition = column(args, 0)?;
    let before =
        number(args, 1).filter(|n| *n >= 0.0).ok_or("the number of rows must be a constant that is not negative")? as usize;
    let after = number(args, 2).map_or(before, |n| n.max(0.0) as usize);
    let mut rows: CountedVec<u32> = CountedVec::default();
    // The first row that is not taken yet.
    let mut next = 0;
    for row in (0..input.rows).filter(|row| input.get(condition, *row) == ValueRef::Bool(true)) {
        let until = row.saturating_add(after).min(input.rows - 1);
        for near in row.saturating_sub(before).max(next)..=until {
            rows.push(near as u32)?;
        }
        next = until + 1;
    }
    input.select(&rows)
}
