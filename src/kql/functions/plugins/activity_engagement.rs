//! activity_engagement: distinct ids of an inner window against those of an outer one, such as daily against weekly users.

use std::collections::HashSet;

use super::table::{PluginInput, RowTable, RowTableBuilder};
use super::timeline::{Events, schema};
use super::{KEY, ParamKind, Plugin, PluginArg, PluginParam};
use crate::functions::ArgType;
use kqlake_value::{Column, Type, ValueRef};

const ID: PluginParam = PluginParam::req("IdColumn", ParamKind::Column(KEY));
const TIMELINE: PluginParam = PluginParam::req("TimelineColumn", ParamKind::Column(ArgType::Summable));
const INNER: PluginParam = PluginParam::req("InnerActivityWindow", ParamKind::Constant(ArgType::Any));
const OUTER: PluginParam = PluginParam::req("OuterActivityWindow", ParamKind::Constant(ArgType::Summable));
const DIMENSION: PluginParam = PluginParam::opt("Dimension", ParamKind::Column(ArgType::Any));
const DOC: &str = "Ratio of the distinct ids of an inner window to those of an outer window, for each inner window.";

/// The form over all events.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "activity_engagement",
    params: &[ID, TIMELINE, INNER, OUTER],
    repeats: false,
    schema: |columns, args| columns_of(columns, args, 4).map(Some),
    run: |input, args| run(input, args, None),
    doc: DOC,
};

/// The form between a start and an end.
///
/// Inner windows are counted from the start. The outer window of an inner one ends with it and is *OuterActivityWindow*
/// long, so it also takes events before the start. An inner window whose outer window has no events has no row.
pub(super) const PLUGIN_BETWEEN: Plugin = Plugin {
    params: &[
        ID,
        TIMELINE,
        PluginParam::req("Start", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("End", ParamKind::Constant(ArgType::Summable)),
        INNER,
        OUTER,
        DIMENSION,
    ],
    repeats: true,
    schema: |columns, args| columns_of(columns, args, 6).map(Some),
    run: |input, args| run(input, args, Some((2, 3))),
    ..PLUGIN
};

fn columns_of(columns: &[Column], args: &[PluginArg], dimensions: usize) -> Result<Vec<Column>, String> {
    let computed =
        [("dcount_activities_inner", Type::Long), ("dcount_activities_outer", Type::Long), ("activity_ratio", Type::Real)];
    schema(columns, args, dimensions, &computed)
}

fn run(input: &PluginInput, args: &[PluginArg], between: Option<(usize, usize)>) -> Result<RowTable, String> {
    let dimensions = if between.is_some() { 6 } else { 4 };
    let events = Events::read(input, args, dimensions)?;
    let axis = events.axis;
    let mut output = RowTableBuilder::new(columns_of(&input.columns, args, dimensions)?);
    let times = || events.groups.iter().flat_map(|g| g.events.iter().map(|e| e.0));
    let (start, end, origin) = match between {
        Some((from, to)) => {
            let start = axis.constant(args, from, "the start")?;
            (start, axis.constant(args, to, "the end")?, start)
        }
        None => match (times().min(), times().max()) {
            (Some(first), Some(last)) => (first, last, 0),
            _ => return output.finish(),
        },
    };
    let inner = axis.bins(args, dimensions - 2, "the inner window", origin)?;
    let outer = axis.distance(args, dimensions - 1, "the outer window")?;
    for group in &events.groups {
        let bins = group.ids_by_bin(inner, start.saturating_sub(outer), end);
        for bin in inner.all(start, end)? {
            let from = inner.next(bin).saturating_sub(outer);
            let seen: HashSet<u32> = bins.range(from.min(bin)..=bin).flat_map(|(_, ids)| ids).copied().collect();
            if seen.is_empty() {
                continue;
            }
            let count = bins.get(&bin).map_or(0, HashSet::len);
            let computed = [
                ValueRef::Long(count as i64),
                ValueRef::Long(seen.len() as i64),
                ValueRef::Real(count as f64 / seen.len() as f64),
            ];
            output.push(std::iter::once(axis.value(bin)).chain(events.dimension_values(group)).chain(computed));
        }
    }
    output.finish()
}
