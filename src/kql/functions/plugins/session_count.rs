//! session_count: how many sessions started in each bin of the timeline.

use std::collections::{BTreeMap, HashMap};

use super::table::{PluginInput, RowTable, RowTableBuilder};
use super::timeline::{Events, schema};
use super::{KEY, ParamKind, Plugin, PluginArg, PluginParam};
use crate::functions::ArgType;
use kqlake_value::{Column, Type, ValueRef};

/// The plugin.
///
/// An event starts a session when its id has no event within the *LookBackWindow* before it. Sessions are counted in bins
/// that start at multiples of *Bin*, for events from *Start* to *End*; events before *Start* count for the look-back only.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "session_count",
    params: &[
        PluginParam::req("IdColumn", ParamKind::Column(KEY)),
        PluginParam::req("TimelineColumn", ParamKind::Column(ArgType::Summable)),
        PluginParam::req("Start", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("End", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("Bin", ParamKind::Constant(ArgType::Any)),
        PluginParam::req("LookBackWindow", ParamKind::Constant(ArgType::Summable)),
        PluginParam::opt("Dimension", ParamKind::Column(ArgType::Any)),
    ],
    repeats: true,
    schema: |columns, args| columns_of(columns, args).map(Some),
    run,
    doc: "Sessions started in each bin of the timeline.",
};

fn columns_of(columns: &[Column], args: &[PluginArg]) -> Result<Vec<Column>, String> {
    schema(columns, args, 6, &[("count_sessions", Type::Long)])
}

fn run(input: &PluginInput, args: &[PluginArg]) -> Result<RowTable, String> {
    let events = Events::read(input, args, 6)?;
    let axis = events.axis;
    let (start, end) = (axis.constant(args, 2, "the start")?, axis.constant(args, 3, "the end")?);
    let bins = axis.bins(args, 4, "the bin", 0)?;
    let window = axis.distance(args, 5, "the look-back window")?;
    let mut output = RowTableBuilder::new(columns_of(&input.columns, args)?);
    for group in &events.groups {
        let mut last: HashMap<u32, i64> = HashMap::new();
        let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
        for (t, id) in group.events.iter().filter(|e| e.0 <= end) {
            let before = last.insert(*id, *t);
            if *t >= start && before.is_none_or(|b| t.saturating_sub(b) >= window) {
                *counts.entry(bins.start(*t)).or_default() += 1;
            }
        }
        for (bin, count) in counts {
            output.push(std::iter::once(axis.value(bin)).chain(events.dimension_values(group)).chain([ValueRef::Long(count)]));
        }
    }
    output.finish()
}
