//! rolling_percentile: a percentile over a window of bins that moves along a column.

use std::collections::BTreeMap;

use super::table::{PluginInput, RowTable, RowTableBuilder};
use super::timeline::Axis;
use super::{ParamKind, Plugin, PluginArg, PluginParam, column, columns_from, constant, number};
use crate::functions::ArgType;
use crate::functions::aggregate::order::order;
use crate::functions::codec::OwnedValue;
use crate::functions::interner::Interner;
use crate::room::{CountedVec, Held};
use kqlake_value::{Column, Type, ValueRef, format};

/// The plugin.
///
/// Bins start at multiples of *BinSize*. The window of a bin is the bin and those before it, *BinsPerWindow* in all. A bin
/// between the first and the last has a row where its window holds a value.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "rolling_percentile",
    params: &[
        PluginParam::req("ValueColumn", ParamKind::Column(ArgType::Summable)),
        PluginParam::req("Percentile", ParamKind::Constant(ArgType::Number)),
        PluginParam::req("IndexColumn", ParamKind::Column(ArgType::Summable)),
        PluginParam::req("BinSize", ParamKind::Constant(ArgType::Summable)),
        PluginParam::req("BinsPerWindow", ParamKind::Constant(ArgType::Integer)),
        PluginParam::opt("Dimension", ParamKind::Column(ArgType::Any)),
    ],
    repeats: true,
    schema: |columns, args| columns_of(columns, args).map(Some),
    run,
    doc: "A percentile over a window of bins that moves along a column.",
};

fn columns_of(columns: &[Column], args: &[PluginArg]) -> Result<Vec<Column>, String> {
    let (value, index) = (&columns[column(args, 0)?], &columns[column(args, 2)?]);
    let mut out = vec![index.clone()];
    out.extend(columns_from(args, 5).into_iter().map(|c| columns[c].clone()));
    let written = |place| {
        let mut text = String::new();
        let shown = constant(args, place).map(|v| format::to_string(v.as_ref(&mut text))).unwrap_or_default();
        shown.trim_end_matches(".0").replace('.', "_")
    };
    let ty = match value.ty {
        Type::Int => Type::Long,
        Type::Decimal => Type::Real,
        other => other,
    };
    out.push(Column::new(format!("rolling_{}_percentile_{}_{}", written(4), value.name, written(1)), ty));
    Ok(out)
}

fn run(input: &PluginInput, args: &[PluginArg]) -> Result<RowTable, String> {
    let (value, index) = (column(args, 0)?, column(args, 2)?);
    let percentile =
        number(args, 1).filter(|p| (0.0..=100.0).contains(p)).ok_or("the percentile must be a constant from 0 to 100")?;
    let axis = Axis::of(&input.columns[index])?;
    let bins = axis.bins(args, 3, "the bin size", 0)?;
    let per_window =
        number(args, 4).filter(|n| *n >= 1.0).ok_or("the bins of a window must be a constant of at least 1")? as usize;
    let dimensions = columns_from(args, 5);
    let mut keys = Interner::default();
    let mut groups: Vec<BTreeMap<i64, CountedVec<OwnedValue>>> = Vec::new();
    let mut memory = Held::default();
    for row in 0..input.rows {
        let (Some(at), found) = (axis.point(input.get(index, row)), input.get(value, row)) else { continue };
        if found.is_null() {
            continue;
        }
        let key = keys.number(dimensions.iter().map(|c| input.get(*c, row)))? as usize;
        groups.resize_with(groups.len().max(key + 1), BTreeMap::new);
        let found = OwnedValue::from(found);
        memory.grow(found.heap_size())?;
        groups[key].entry(bins.start(at)).or_default().push(found)?;
    }
    let mut output = RowTableBuilder::new(columns_of(&input.columns, args)?);
    for (key, group) in groups.iter().enumerate() {
        let (Some((first, _)), Some((last, _))) = (group.first_key_value(), group.last_key_value()) else { continue };
        let all = bins.all(*first, *last)?;
        for (i, bin) in all.iter().enumerate() {
            let from = all[(i + 1).saturating_sub(per_window)];
            let mut values: Vec<ValueRef<'_>> =
                group.range(from..=*bin).flat_map(|(_, v)| v.iter()).map(OwnedValue::as_ref).collect();
            if values.is_empty() {
                continue;
            }
            let rank = ((values.len() as f64 * percentile / 100.0 - 1e-9).ceil() as usize).clamp(1, values.len());
            let (_, found, _) = values.select_nth_unstable_by(rank - 1, |a, b| order(*a, *b));
            output.push(std::iter::once(axis.value(*bin)).chain(keys.tuple(key as u32)).chain([*found]));
        }
    }
    output.finish()
}
