//! funnel_sequence: what came before and after a sequence of states.

use std::collections::{BTreeMap, HashSet};

use super::table::{PluginInput, RowTable, RowTableBuilder};
use super::timeline::Axis;
use super::{KEY, ParamKind, Plugin, PluginArg, PluginParam, column, constant};
use crate::functions::ArgType;
use crate::functions::interner::Interner;
use crate::room::CountedVec;
use kqlake_value::format::json_text;
use kqlake_value::{Column, Json, Type, Value, ValueRef};

/// The plugin: its first table, the transitions from the state before to the state behind the sequence.
///
/// An id's events from *Start* to *End* are ordered by time, and repetitions of a state count as one. The sequence occurs
/// where its states follow each other with no more than *MaxWindowSizeBetweenSteps* between two; the states before and
/// behind must be as near, else they are empty. Ids are counted in the bin of the sequence's first state.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "funnel_sequence",
    params: &[
        PluginParam::req("IdColumn", ParamKind::Column(KEY)),
        PluginParam::req("TimelineColumn", ParamKind::Column(ArgType::Summable)),
        PluginParam::req("Start", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("End", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("MaxWindowSizeBetweenSteps", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("Step", ParamKind::Constant(ArgType::Any)),
        PluginParam::req("StateColumn", ParamKind::Column(ArgType::Any)),
        PluginParam::req("Sequence", ParamKind::Constant(ArgType::Dynamic)),
    ],
    repeats: false,
    schema: |columns, args| columns_of(columns, args).map(Some),
    run,
    doc: "Distinct ids that took a sequence of states, by the states before and behind it.",
};

/// Ids that a row's sample holds at most.
const SAMPLES: usize = 128;

fn columns_of(columns: &[Column], args: &[PluginArg]) -> Result<Vec<Column>, String> {
    let state = columns[column(args, 6)?].ty;
    Ok(vec![
        columns[column(args, 1)?].clone(),
        Column::new("prev", state),
        Column::new("next", state),
        Column::new("dcount", Type::Long),
        Column::new("samples", Type::Dynamic),
    ])
}

/// The states of a sequence given as a constant array.
pub(super) fn sequence(args: &[PluginArg], place: usize) -> Result<Vec<Json>, String> {
    match constant(args, place) {
        Some(Value::Dynamic(Json::Array(items))) if !items.is_empty() => Ok(items.clone()),
        _ => Err("the sequence must be a constant array of states".to_owned()),
    }
}

/// True where a value is the state that a constant array names.
pub(super) fn is_state(value: ValueRef<'_>, state: &Json) -> bool {
    let found = value.to_json();
    found == *state || matches!((found.as_f64(), state.as_f64()), (Some(a), Some(b)) if a == b)
}

/// A run of one state: its number, first and last time.
#[derive(Clone, Copy)]
struct Run {
    state: u32,
    first: i64,
    last: i64,
}

fn run(input: &PluginInput, args: &[PluginArg]) -> Result<RowTable, String> {
    let (id, time, state) = (column(args, 0)?, column(args, 1)?, column(args, 6)?);
    let axis = Axis::of(&input.columns[time])?;
    let (start, end) = (axis.constant(args, 2, "the start")?, axis.constant(args, 3, "the end")?);
    let most = axis.distance(args, 4, "the greatest distance between steps")?;
    let bins = axis.bins(args, 5, "the step", start)?;
    let sequence = sequence(args, 7)?;

    let (mut ids, mut states) = (Interner::default(), Interner::default());
    let mut events: CountedVec<(u32, i64, u32)> = CountedVec::default();
    for row in 0..input.rows {
        if let Some(t) = axis.point(input.get(time, row)).filter(|t| (start..=end).contains(t)) {
            events.push((ids.number([input.get(id, row)])?, t, states.number([input.get(state, row)])?))?;
        }
    }
    events.sort_by_key(|e| (e.0, e.1));
    let wanted: Vec<Option<u32>> = sequence
        .iter()
        .map(|s| (0..states.len() as u32).find(|n| states.tuple(*n).next().is_some_and(|v| is_state(v, s))))
        .collect();

    let mut found: BTreeMap<(i64, Option<u32>, Option<u32>), Vec<u32>> = BTreeMap::new();
    for chunk in events.chunk_by(|a, b| a.0 == b.0) {
        let mut runs: Vec<Run> = Vec::new();
        for (_, t, state) in chunk {
            match runs.last_mut() {
                Some(run) if run.state == *state => run.last = *t,
                _ => runs.push(Run { state: *state, first: *t, last: *t }),
            }
        }
        let near = |a: &Run, b: &Run| b.first.saturating_sub(a.last) <= most;
        let mut counted = HashSet::new();
        for (i, steps) in runs.windows(wanted.len()).enumerate() {
            let occurs = steps.iter().zip(&wanted).all(|(run, want)| Some(run.state) == *want)
                && steps.windows(2).all(|pair| near(&pair[0], &pair[1]));
            if !occurs {
                continue;
            }
            let (first, last) = (&runs[i], &runs[i + wanted.len() - 1]);
            let before = i.checked_sub(1).map(|b| &runs[b]).filter(|b| near(b, first)).map(|b| b.state);
            let behind = runs.get(i + wanted.len()).filter(|b| near(last, b)).map(|b| b.state);
            let key = (bins.start(first.first), before, behind);
            if counted.insert(key) {
                found.entry(key).or_default().push(chunk[0].0);
            }
        }
    }

    let mut rows: Vec<_> = found.into_iter().collect();
    rows.sort_by_key(|((bin, ..), ids)| (*bin, std::cmp::Reverse(ids.len())));
    let mut output = RowTableBuilder::new(columns_of(&input.columns, args)?);
    let missing = if input.columns[state].ty == Type::String { ValueRef::String("") } else { ValueRef::Null };
    let name = |n: Option<u32>| n.and_then(|n| states.tuple(n).next()).unwrap_or(missing);
    for ((bin, before, behind), who) in rows {
        let samples: Vec<Json> = who.iter().take(SAMPLES).filter_map(|n| ids.tuple(*n).next()).map(ValueRef::to_json).collect();
        let samples = json_text(&Json::Array(samples));
        output.push([axis.value(bin), name(before), name(behind), ValueRef::Long(who.len() as i64), ValueRef::Dynamic(&samples)]);
    }
    output.finish()
}
