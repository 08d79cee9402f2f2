//! sliding_window_counts: events and distinct ids of the window that ends with each bin.

use std::collections::{BTreeMap, HashSet};

use super::table::{PluginInput, RowTable, RowTableBuilder};
use super::timeline::{Events, schema};
use super::{KEY, ParamKind, Plugin, PluginArg, PluginParam};
use crate::functions::ArgType;
use kqlake_value::{Column, Type, ValueRef};

/// The plugin. Bins are counted from *Start*; a bin's window is *LookbackWindow* long and ends with the bin. A window
/// without events has no row.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "sliding_window_counts",
    params: &[
        PluginParam::req("IdColumn", ParamKind::Column(KEY)),
        PluginParam::req("TimelineColumn", ParamKind::Column(ArgType::Summable)),
        PluginParam::req("Start", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("End", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("LookBackWindow", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("Step", ParamKind::Constant(ArgType::Any)),
        PluginParam::opt("Dimension", ParamKind::Column(ArgType::Any)),
    ],
    repeats: true,
    schema: |columns, args| columns_of(columns, args).map(Some),
    run,
    doc: "Counts of events and of distinct ids over a window that slides along the timeline.",
};

fn columns_of(columns: &[Column], args: &[PluginArg]) -> Result<Vec<Column>, String> {
    schema(columns, args, 6, &[("Count", Type::Long), ("Dcount", Type::Long)])
}

fn run(input: &PluginInput, args: &[PluginArg]) -> Result<RowTable, String> {
    let events = Events::read(input, args, 6)?;
    let axis = events.axis;
    let (start, end) = (axis.constant(args, 2, "the start")?, axis.constant(args, 3, "the end")?);
    let window = axis.distance(args, 4, "the look-back window")?;
    let bins = axis.bins(args, 5, "the step", start)?;
    let mut output = RowTableBuilder::new(columns_of(&input.columns, args)?);
    for group in &events.groups {
        let mut by_bin: BTreeMap<i64, (i64, HashSet<u32>)> = BTreeMap::new();
        for (t, id) in group.events.iter().filter(|e| e.0 <= end) {
            let bin = by_bin.entry(bins.start(*t)).or_default();
            bin.0 += 1;
            bin.1.insert(*id);
        }
        for bin in bins.all(start, end)? {
            let from = bins.next(bin).saturating_sub(window).min(bin);
            let (mut count, mut ids): (i64, HashSet<u32>) = (0, HashSet::new());
            for (n, seen) in by_bin.range(from..=bin).map(|(_, b)| b) {
                count += n;
                ids.extend(seen);
            }
            if count > 0 {
                let computed = [ValueRef::Long(count), ValueRef::Long(ids.len() as i64)];
                output.push(std::iter::once(axis.value(bin)).chain(events.dimension_values(group)).chain(computed));
            }
        }
    }
    output.finish()
}
