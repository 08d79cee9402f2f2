//! sequence_detect: occurrences of a sequence of steps, each a predicate.

use super::table::{PluginInput, RowTable, RowTableBuilder};
use super::timeline::Axis;
use super::{ParamKind, Plugin, PluginArg, PluginParam, column, columns_from};
use crate::functions::ArgType;
use crate::functions::interner::Interner;
use crate::room::{CountedVec, Held};
use kqlake_value::{Column, Type, ValueRef};

/// The plugin.
///
/// Steps and dimensions are expression arguments: those of type bool are steps, the others dimensions. An occurrence is one
/// event for each step, in time order and of equal dimensions, with no more than *MaxSequenceStepWindow* between two steps
/// and *MaxSequenceSpan* in all. Every such combination of events is a row.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "sequence_detect",
    params: &[
        PluginParam::req("TimelineColumn", ParamKind::Column(ArgType::Summable)),
        PluginParam::req("MaxSequenceStepWindow", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("MaxSequenceSpan", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("Expr", ParamKind::Expression(ArgType::Any)),
    ],
    repeats: true,
    schema: |columns, args| columns_of(columns, args).map(Some),
    run,
    doc: "Occurrences of a sequence of steps within given times.",
};

/// Occurrences that one query may find.
const MOST: usize = 5_000_000;

/// The places of the steps and of the dimensions.
fn parts(columns: &[Column], args: &[PluginArg]) -> Result<(Vec<usize>, Vec<usize>), String> {
    let (steps, dimensions): (Vec<usize>, Vec<usize>) =
        columns_from(args, 3).into_iter().partition(|c| columns[*c].ty == Type::Bool);
    if steps.is_empty() { Err("at least one step, a predicate, is expected".to_owned()) } else { Ok((steps, dimensions)) }
}

fn columns_of(columns: &[Column], args: &[PluginArg]) -> Result<Vec<Column>, String> {
    let time = &columns[column(args, 0)?];
    let (steps, dimensions) = parts(columns, args)?;
    let mut out: Vec<Column> = dimensions.iter().map(|c| columns[*c].clone()).collect();
    out.extend(steps.iter().map(|c| Column::new(format!("{}_{}", columns[*c].name, time.name), time.ty)));
    out.push(Column::new("Duration", if time.ty == Type::DateTime { Type::TimeSpan } else { time.ty }));
    Ok(out)
}

/// The events of one combination of dimensions, and how far apart steps may be.
struct Search<'a> {
    /// Time, and which steps the event is.
    events: &'a [(i64, Vec<bool>)],
    steps: usize,
    step_window: i64,
    span: i64,
}

impl Search<'_> {
    /// Extends a started sequence by the steps that are left.
    fn extend(&self, taken: &mut Vec<i64>, from: usize, found: &mut Vec<Vec<i64>>) -> Result<(), String> {
        if taken.len() == self.steps {
            if found.len() == MOST {
                return Err(format!("more than {MOST} occurrences were found"));
            }
            found.push(taken.clone());
            return Ok(());
        }
        let (Some(first), Some(last)) = (taken.first().copied(), taken.last().copied()) else { return Ok(()) };
        for (i, (t, steps)) in self.events.iter().enumerate().skip(from) {
            if t - last > self.step_window || t - first > self.span {
                break;
            }
            if *t > last && steps[taken.len()] {
                taken.push(*t);
                self.extend(taken, i + 1, found)?;
                taken.pop();
            }
        }
        Ok(())
    }
}

fn run(input: &PluginInput, args: &[PluginArg]) -> Result<RowTable, String> {
    let time = column(args, 0)?;
    let axis = Axis::of(&input.columns[time])?;
    let step_window = axis.distance(args, 1, "the greatest distance between steps")?;
    let span = axis.distance(args, 2, "the greatest span of the sequence")?;
    let (steps, dimensions) = parts(&input.columns, args)?;
    let mut keys = Interner::default();
    let mut groups: Vec<CountedVec<(i64, Vec<bool>)>> = Vec::new();
    let mut memory = Held::default();
    for row in 0..input.rows {
        let Some(t) = axis.point(input.get(time, row)) else { continue };
        let is: Vec<bool> = steps.iter().map(|c| input.get(*c, row) == ValueRef::Bool(true)).collect();
        if !is.contains(&true) {
            continue;
        }
        let key = keys.number(dimensions.iter().map(|c| input.get(*c, row)))? as usize;
        groups.resize_with(groups.len().max(key + 1), CountedVec::default);
        // An allocation has sixteen bytes at least.
        memory.grow(is.capacity().max(16))?;
        groups[key].push((t, is))?;
    }
    let mut output = RowTableBuilder::new(columns_of(&input.columns, args)?);
    for (key, mut events) in groups.into_iter().enumerate() {
        events.sort_by_key(|e| e.0);
        let search = Search { events: &events, steps: steps.len(), step_window, span };
        let mut found = Vec::new();
        for (i, (t, _)) in events.iter().enumerate().filter(|(_, e)| e.1[0]) {
            search.extend(&mut vec![*t], i + 1, &mut found)?;
        }
        for times in found {
            let duration = times[times.len() - 1] - times[0];
            let duration = match input.columns[time].ty {
                Type::DateTime => ValueRef::TimeSpan(duration),
                _ => axis.value(duration),
            };
            let values = keys.tuple(key as u32);
            output.push(values.chain(times.iter().map(|t| axis.value(*t))).chain([duration]));
        }
    }
    output.finish()
}
