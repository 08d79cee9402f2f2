//! new_activity_metrics: how the ids first seen in one period return in later ones.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::table::{PluginInput, RowTable, RowTableBuilder};
use super::timeline::Events;
use super::{KEY, ParamKind, Plugin, PluginArg, PluginParam, column, columns_from};
use crate::functions::ArgType;
use kqlake_value::{Column, Type, ValueRef};

const ID: PluginParam = PluginParam::req("IdColumn", ParamKind::Column(KEY));
const TIMELINE: PluginParam = PluginParam::req("TimelineColumn", ParamKind::Column(ArgType::Summable));
const START: PluginParam = PluginParam::req("Start", ParamKind::Constant(ArgType::Summable));
const END: PluginParam = PluginParam::req("End", ParamKind::Constant(ArgType::Summable));
const WINDOW: PluginParam = PluginParam::req("Window", ParamKind::Constant(ArgType::Any));
const COHORT: PluginParam = PluginParam::opt("Cohort", ParamKind::Constant(ArgType::Any));

/// The plugin.
///
/// For every period with ids that were not seen in any period before (its cohort), and every period from there to the
/// end: the cohort's ids seen there and not seen there, and the ids seen there that were unknown up to the cohort's period.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "new_activity_metrics",
    params: &[ID, TIMELINE, START, END, WINDOW, COHORT, PluginParam::opt("Dimension", ParamKind::Column(ArgType::Any))],
    repeats: true,
    schema: |columns, args| columns_of(columns, args).map(Some),
    run,
    doc: "Retention and churn of the ids that were first seen in each period.",
};

/// The form whose last argument is a table of ids that are not new: its column of the id column's name, else its last.
pub(super) const PLUGIN_LOOKBACK: Plugin = Plugin {
    params: &[
        ID,
        TIMELINE,
        START,
        END,
        WINDOW,
        PluginParam::req("Cohort", ParamKind::Constant(ArgType::Any)),
        PluginParam::req("Lookback", ParamKind::Table),
    ],
    repeats: false,
    ..PLUGIN
};

fn columns_of(columns: &[Column], args: &[PluginArg]) -> Result<Vec<Column>, String> {
    let time = &columns[column(args, 1)?];
    let mut out = vec![Column::new(format!("from_{}", time.name), time.ty), Column::new(format!("to_{}", time.name), time.ty)];
    out.extend(columns_from(args, 5).into_iter().map(|c| columns[c].clone()));
    for name in ["dcount_new_values", "dcount_retained_values", "dcount_churn_values"] {
        out.push(Column::new(name, Type::Long));
    }
    out.push(Column::new("retention_rate", Type::Real));
    out.push(Column::new("churn_rate", Type::Real));
    Ok(out)
}

/// The numbers of the ids in the look-back table.
fn known(input: &PluginInput, args: &[PluginArg], events: &mut Events) -> Result<HashSet<u32>, String> {
    let mut out = HashSet::new();
    for arg in args {
        if let PluginArg::Table(table) = arg {
            let name = &input.columns[column(args, 0)?].name;
            let known = PluginInput::new(table, table.columns.len())?;
            let id = known.find(name).or(known.columns.len().checked_sub(1)).ok_or("the look-back table has no columns")?;
            for row in 0..known.rows {
                out.insert(events.ids.number([known.get(id, row)])?);
            }
        }
    }
    Ok(out)
}

fn run(input: &PluginInput, args: &[PluginArg]) -> Result<RowTable, String> {
    let mut events = Events::read(input, args, 5)?;
    let axis = events.axis;
    let (start, end) = (axis.constant(args, 2, "the start")?, axis.constant(args, 3, "the end")?);
    let bins = axis.bins(args, 4, "the window", start)?;
    let only = match super::constant(args, 5) {
        Some(_) => Some(bins.start(axis.constant(args, 5, "the cohort")?)),
        None => None,
    };
    let known = known(input, args, &mut events)?;
    let all = bins.all(start, end)?;
    let mut output = RowTableBuilder::new(columns_of(&input.columns, args)?);
    for group in &events.groups {
        let periods = group.ids_by_bin(bins, start, end);
        let mut first: HashMap<u32, i64> = known.iter().map(|id| (*id, i64::MIN)).collect();
        let mut cohorts: BTreeMap<i64, HashSet<u32>> = BTreeMap::new();
        for (bin, ids) in &periods {
            for id in ids {
                if *first.entry(*id).or_insert(*bin) == *bin {
                    cohorts.entry(*bin).or_default().insert(*id);
                }
            }
        }
        let nobody = HashSet::new();
        for (from, cohort) in cohorts.iter().filter(|(from, _)| only.is_none_or(|only| **from == only)) {
            for to in all.iter().filter(|to| *to >= from) {
                let seen = periods.get(to).unwrap_or(&nobody);
                let retained = cohort.intersection(seen).count();
                let churned = cohort.len() - retained;
                let unknown = if to == from {
                    cohort.len()
                } else {
                    seen.iter().filter(|id| first.get(id).is_none_or(|f| f > from)).count()
                };
                let rate = |n: usize| ValueRef::Real(n as f64 / cohort.len() as f64);
                let computed = [
                    ValueRef::Long(unknown as i64),
                    ValueRef::Long(retained as i64),
                    ValueRef::Long(churned as i64),
                    rate(retained),
                    rate(churned),
                ];
                let times = [axis.value(*from), axis.value(*to)];
                output.push(times.into_iter().chain(events.dimension_values(group)).chain(computed));
            }
        }
    }
    output.finish()
}
