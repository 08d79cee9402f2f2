//! funnel_sequence_completion: how far ids get along a sequence of states within given times.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::funnel_sequence::{is_state, sequence};
use super::table::{PluginInput, RowTable, RowTableBuilder};
use super::timeline::Axis;
use super::{KEY, ParamKind, Plugin, PluginArg, PluginParam, column, constant};
use crate::functions::ArgType;
use crate::functions::interner::Interner;
use crate::room::{CountedVec, Held};
use kqlake_value::format::json_text;
use kqlake_value::{Column, Json, Type, Value, ValueRef, parse};

/// The plugin.
///
/// For each of the given periods, and each state of the sequence: how many ids came from the first state to this one,
/// through those between, within the period. Ids are counted in the bin of the first state.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "funnel_sequence_completion",
    params: &[
        PluginParam::req("IdColumn", ParamKind::Column(KEY)),
        PluginParam::req("TimelineColumn", ParamKind::Column(ArgType::Summable)),
        PluginParam::req("Start", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("End", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("BinSize", ParamKind::Constant(ArgType::Any)),
        PluginParam::req("StateColumn", ParamKind::Column(ArgType::Any)),
        PluginParam::req("Sequence", ParamKind::Constant(ArgType::Dynamic)),
        PluginParam::req("MaxSequencePeriods", ParamKind::Constant(ArgType::Dynamic)),
    ],
    repeats: false,
    schema: |columns, args| columns_of(columns, args).map(Some),
    run,
    doc: "Distinct ids that reach each state of a sequence within given periods.",
};

fn columns_of(columns: &[Column], args: &[PluginArg]) -> Result<Vec<Column>, String> {
    let time = &columns[column(args, 1)?];
    let period = if time.ty == Type::DateTime { Type::TimeSpan } else { time.ty };
    Ok(vec![time.clone(), columns[column(args, 5)?].clone(), Column::new("Period", period), Column::new("dcount", Type::Long)])
}

/// The periods of a constant array: numbers (ticks, for timespans) or timespan texts.
fn periods(args: &[PluginArg], place: usize, axis: Axis, ty: Type) -> Result<Vec<(Value, i64)>, String> {
    let Some(Value::Dynamic(Json::Array(items))) = constant(args, place) else {
        return Err("the periods must be a constant array".to_owned());
    };
    let mut out = Vec::with_capacity(items.len());
    for item in items {
        let value = match (ty, item) {
            (Type::TimeSpan, Json::String(text)) => {
                Value::TimeSpan(parse::timespan(text).ok_or_else(|| format!("{text} is no timespan"))?)
            }
            (Type::TimeSpan, item) => Value::TimeSpan(item.as_i64().ok_or("a period must be a timespan")?),
            (_, item) => Value::Long(item.as_i64().ok_or("a period must be an integer like the timeline")?),
        };
        let distance = axis.distance_of(&value, "a period")?;
        out.push((value, distance));
    }
    Ok(out)
}

fn run(input: &PluginInput, args: &[PluginArg]) -> Result<RowTable, String> {
    let (id, time, state) = (column(args, 0)?, column(args, 1)?, column(args, 5)?);
    let axis = Axis::of(&input.columns[time])?;
    let (start, end) = (axis.constant(args, 2, "the start")?, axis.constant(args, 3, "the end")?);
    let bins = axis.bins(args, 4, "the step", start)?;
    let sequence = sequence(args, 6)?;
    let columns = columns_of(&input.columns, args)?;
    let periods = periods(args, 7, axis, columns[2].ty)?;

    let mut ids = Interner::default();
    // Which states of the sequence an event has; one state may appear in it twice.
    let mut events: CountedVec<(u32, i64, Vec<bool>)> = CountedVec::default();
    let mut memory = Held::default();
    for row in 0..input.rows {
        if let Some(t) = axis.point(input.get(time, row)).filter(|t| (start..=end).contains(t)) {
            let states: Vec<bool> = sequence.iter().map(|s| is_state(input.get(state, row), s)).collect();
            if states.contains(&true) {
                // An allocation has sixteen bytes at least.
                memory.grow(states.capacity().max(16))?;
                events.push((ids.number([input.get(id, row)])?, t, states))?;
            }
        }
    }
    events.sort_by_key(|e| (e.0, e.1));

    let mut output = RowTableBuilder::new(columns);
    let mut reached: BTreeMap<(usize, i64, usize), HashSet<u32>> = BTreeMap::new();
    let mut all_bins: BTreeSet<i64> = BTreeSet::new();
    for chunk in events.chunk_by(|a, b| a.0 == b.0) {
        for (at, (id, first, _)) in chunk.iter().enumerate().filter(|(_, e)| e.2[0]) {
            let bin = bins.start(*first);
            all_bins.insert(bin);
            for (p, (_, most)) in periods.iter().enumerate() {
                reached.entry((p, bin, 0)).or_default().insert(*id);
                let mut step = 1;
                for (_, _, states) in chunk[at + 1..].iter().take_while(|e| e.1 - first <= *most) {
                    if step < sequence.len() && states[step] {
                        reached.entry((p, bin, step)).or_default().insert(*id);
                        step += 1;
                    }
                }
            }
        }
    }
    let names: Vec<String> = sequence.iter().map(|s| s.as_str().map_or_else(|| json_text(s), str::to_owned)).collect();
    for (p, (period, _)) in periods.iter().enumerate() {
        for bin in &all_bins {
            for (step, name) in names.iter().enumerate() {
                let count = reached.get(&(p, *bin, step)).map_or(0, HashSet::len);
                let mut text = String::new();
                let state = match input.columns[state].ty {
                    Type::Int | Type::Long => sequence[step].as_i64().map_or(ValueRef::Null, ValueRef::Long),
                    Type::Real => sequence[step].as_f64().map_or(ValueRef::Null, ValueRef::Real),
                    Type::Guid => ValueRef::Guid(name),
                    _ => ValueRef::String(name),
                };
                output.push([axis.value(*bin), state, period.as_ref(&mut text), ValueRef::Long(count as i64)]);
            }
        }
    }
    output.finish()
}
