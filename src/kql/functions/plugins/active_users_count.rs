//! active_users_count: how many ids are "fans", seen in enough different periods of the window before one of their events.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::table::{PluginInput, RowTable, RowTableBuilder};
use super::timeline::{Events, schema};
use super::{KEY, ParamKind, Plugin, PluginArg, PluginParam};
use crate::functions::ArgType;
use kqlake_value::{Column, Type, ValueRef};

/// The plugin.
///
/// An event makes its id active in the event's bin when the id has events in at least *ActivePeriods* different periods
/// of (event − *LookbackWindow*, event]. Periods and bins are counted from *Start*; events before it count for the window
/// only.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "active_users_count",
    params: &[
        PluginParam::req("IdColumn", ParamKind::Column(KEY)),
        PluginParam::req("TimelineColumn", ParamKind::Column(ArgType::Summable)),
        PluginParam::req("Start", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("End", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("LookbackWindow", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("Period", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("ActivePeriods", ParamKind::Constant(ArgType::Integer)),
        PluginParam::req("Step", ParamKind::Constant(ArgType::Any)),
        PluginParam::opt("Dimension", ParamKind::Column(ArgType::Any)),
    ],
    repeats: true,
    schema: |columns, args| columns_of(columns, args).map(Some),
    run,
    doc: "Distinct ids seen in a least number of periods of a look-back window.",
};

fn columns_of(columns: &[Column], args: &[PluginArg]) -> Result<Vec<Column>, String> {
    schema(columns, args, 8, &[("dcount", Type::Long)])
}

fn run(input: &PluginInput, args: &[PluginArg]) -> Result<RowTable, String> {
    let events = Events::read(input, args, 8)?;
    let axis = events.axis;
    let (start, end) = (axis.constant(args, 2, "the start")?, axis.constant(args, 3, "the end")?);
    let window = axis.distance(args, 4, "the look-back window")?;
    let periods = axis.bins(args, 5, "the period", start)?;
    let least = super::number(args, 6).ok_or("the number of active periods must be a constant number")? as usize;
    let bins = axis.bins(args, 7, "the step", start)?;
    let mut output = RowTableBuilder::new(columns_of(&input.columns, args)?);
    for group in &events.groups {
        let mut by_id: HashMap<u32, VecDeque<i64>> = HashMap::new();
        let mut active: BTreeMap<i64, HashSet<u32>> = BTreeMap::new();
        for (t, id) in group.events.iter().filter(|e| e.0 <= end) {
            let seen = by_id.entry(*id).or_default();
            seen.push_back(*t);
            while seen.front().is_some_and(|first| *first <= t.saturating_sub(window)) {
                seen.pop_front();
            }
            if *t >= start && seen.iter().map(|s| periods.start(*s)).collect::<HashSet<_>>().len() >= least {
                active.entry(bins.start(*t)).or_default().insert(*id);
            }
        }
        for (bin, ids) in active {
            let count = ValueRef::Long(ids.len() as i64);
            output.push(std::iter::once(axis.value(bin)).chain(events.dimension_values(group)).chain([count]));
        }
    }
    output.finish()
}
