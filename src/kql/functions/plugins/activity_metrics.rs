//! activity_metrics: distinct and new ids, retention and churn of each period against the period before.

use std::collections::HashSet;

use super::table::{PluginInput, RowTable, RowTableBuilder};
use super::timeline::{Events, schema};
use super::{KEY, ParamKind, Plugin, PluginArg, PluginParam};
use crate::functions::ArgType;
use kqlake_value::{Column, Type, ValueRef};

const ID: PluginParam = PluginParam::req("IdColumn", ParamKind::Column(KEY));
const TIMELINE: PluginParam = PluginParam::req("TimelineColumn", ParamKind::Column(ArgType::Summable));
const WINDOW: PluginParam = PluginParam::req("Window", ParamKind::Constant(ArgType::Any));
const DIMENSION: PluginParam = PluginParam::opt("Dimension", ParamKind::Column(ArgType::Any));

/// The form over all events.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "activity_metrics",
    params: &[ID, TIMELINE, WINDOW, DIMENSION],
    repeats: true,
    schema: |columns, args| columns_of(columns, args, 3).map(Some),
    run: |input, args| run(input, args, None),
    doc: "Distinct and new ids, retention rate and churn rate of each period against the period before.",
};

/// The form between a start and an end. Periods are counted from the start.
///
/// Retention is the share of the ids of the period before that are seen again, churn the rest; both are NaN where the
/// period before has no ids. New ids are those that the period before does not have.
pub(super) const PLUGIN_BETWEEN: Plugin = Plugin {
    params: &[
        ID,
        TIMELINE,
        PluginParam::req("Start", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("End", ParamKind::Constant(ArgType::Summable)),
        WINDOW,
        DIMENSION,
    ],
    schema: |columns, args| columns_of(columns, args, 5).map(Some),
    run: |input, args| run(input, args, Some((2, 3))),
    ..PLUGIN
};

fn columns_of(columns: &[Column], args: &[PluginArg], dimensions: usize) -> Result<Vec<Column>, String> {
    let computed = [
        ("dcount_values", Type::Long),
        ("dcount_newvalues", Type::Long),
        ("retention_rate", Type::Real),
        ("churn_rate", Type::Real),
    ];
    schema(columns, args, dimensions, &computed)
}

fn run(input: &PluginInput, args: &[PluginArg], between: Option<(usize, usize)>) -> Result<RowTable, String> {
    let dimensions = if between.is_some() { 5 } else { 3 };
    let events = Events::read(input, args, dimensions)?;
    let axis = events.axis;
    let (start, end, origin) = match between {
        Some((from, to)) => {
            let start = axis.constant(args, from, "the start")?;
            (start, axis.constant(args, to, "the end")?, start)
        }
        None => (i64::MIN, i64::MAX, 0),
    };
    let bins = axis.bins(args, dimensions - 1, "the window", origin)?;
    let mut output = RowTableBuilder::new(columns_of(&input.columns, args, dimensions)?);
    let nobody = HashSet::new();
    for group in &events.groups {
        let periods = group.ids_by_bin(bins, start, end);
        for (bin, ids) in &periods {
            let before = periods.get(&bins.previous(*bin)).unwrap_or(&nobody);
            let back = ids.intersection(before).count();
            let retention = back as f64 / before.len() as f64;
            let computed = [
                ValueRef::Long(ids.len() as i64),
                ValueRef::Long((ids.len() - back) as i64),
                ValueRef::Real(retention),
                ValueRef::Real(1.0 - retention),
            ];
            output.push(std::iter::once(axis.value(*bin)).chain(events.dimension_values(group)).chain(computed));
        }
    }
    output.finish()
}
