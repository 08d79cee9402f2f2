//! activity_counts_metrics: events, distinct ids, new ids and all ids so far, for each period.

use std::collections::{BTreeMap, HashSet};

use super::table::{PluginInput, RowTable, RowTableBuilder};
use super::timeline::{Events, schema};
use super::{KEY, ParamKind, Plugin, PluginArg, PluginParam};
use crate::functions::ArgType;
use kqlake_value::{Column, Type, ValueRef};

/// The plugin. Periods are counted from *Start*; *End* belongs to the analysis. A period without events has no row.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "activity_counts_metrics",
    params: &[
        PluginParam::req("IdColumn", ParamKind::Column(KEY)),
        PluginParam::req("TimelineColumn", ParamKind::Column(ArgType::Summable)),
        PluginParam::req("Start", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("End", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("Step", ParamKind::Constant(ArgType::Any)),
        PluginParam::opt("Dimension", ParamKind::Column(ArgType::Any)),
    ],
    repeats: true,
    schema: |columns, args| columns_of(columns, args).map(Some),
    run,
    doc: "Counts of events and of distinct, new and accumulated ids for each period.",
};

fn columns_of(columns: &[Column], args: &[PluginArg]) -> Result<Vec<Column>, String> {
    let computed = [("count", Type::Long), ("dcount", Type::Long), ("new_dcount", Type::Long), ("aggregated_dcount", Type::Long)];
    schema(columns, args, 5, &computed)
}

fn run(input: &PluginInput, args: &[PluginArg]) -> Result<RowTable, String> {
    let events = Events::read(input, args, 5)?;
    let axis = events.axis;
    let (start, end) = (axis.constant(args, 2, "the start")?, axis.constant(args, 3, "the end")?);
    let bins = axis.bins(args, 4, "the step", start)?;
    let mut output = RowTableBuilder::new(columns_of(&input.columns, args)?);
    for group in &events.groups {
        let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
        for (t, _) in group.events.iter().filter(|(t, _)| (start..=end).contains(t)) {
            *counts.entry(bins.start(*t)).or_default() += 1;
        }
        let mut all: HashSet<u32> = HashSet::new();
        for (bin, ids) in group.ids_by_bin(bins, start, end) {
            let before = all.len();
            all.extend(&ids);
            let count = counts.get(&bin).copied().unwrap_or(0);
            let computed = [count, ids.len() as i64, (all.len() - before) as i64, all.len() as i64].map(ValueRef::Long);
            output.push(std::iter::once(axis.value(bin)).chain(events.dimension_values(group)).chain(computed));
        }
    }
    output.finish()
}
