//! diffpatterns: combinations of column values that are more frequent in one part of the rows than in another.

use super::patterns::{ItemSet, Items, Wildcards, columns, percent, push, weight_column, weights};
use super::table::{PluginInput, RowTable, RowTableBuilder};
use super::{ParamKind, Plugin, PluginArg, PluginParam, column, constant, number};
use crate::functions::ArgType;
use kqlake_value::{Column, Type, ValueRef, format};

/// The plugin.
///
/// The parts are the rows whose *SplitColumn* has the text of *SplitValueA* and of *SplitValueB*. A pattern counts where its
/// shares of the parts differ by at least *Threshold* (0.05). The greatest differences come first; a pattern that only adds
/// to or takes from the values of one that is listed is left out.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "diffpatterns",
    params: &[
        PluginParam::req("SplitColumn", ParamKind::Column(ArgType::Any)),
        PluginParam::req("SplitValueA", ParamKind::Constant(ArgType::String)),
        PluginParam::req("SplitValueB", ParamKind::Constant(ArgType::String)),
        PluginParam::opt("WeightColumn", ParamKind::ColumnOrTilde(ArgType::Number)),
        PluginParam::opt("Threshold", ParamKind::ConstantOrTilde(ArgType::Number)),
        PluginParam::opt("MaxDimensions", ParamKind::ConstantOrTilde(ArgType::Number)),
        PluginParam::opt("CustomWildcard", ParamKind::Constant(ArgType::Any)),
    ],
    repeats: true,
    schema: |columns, args| columns_of(columns, args).map(Some),
    run,
    doc: "Combinations of column values that tell two parts of the rows apart.",
};

fn excluded_columns(args: &[PluginArg]) -> Result<Vec<usize>, String> {
    Ok(std::iter::once(column(args, 0)?).chain(weight_column(args, 3)).collect())
}

fn columns_of(input: &[Column], args: &[PluginArg]) -> Result<Vec<Column>, String> {
    let counted = [
        ("SegmentId", Type::Long),
        ("CountA", Type::Long),
        ("CountB", Type::Long),
        ("PercentA", Type::Real),
        ("PercentB", Type::Real),
        ("PercentDiffAB", Type::Real),
    ];
    Ok(columns(input, &excluded_columns(args)?, &counted))
}

fn run(input: &PluginInput, args: &[PluginArg]) -> Result<RowTable, String> {
    let split = column(args, 0)?;
    let value = |place| {
        let mut text = String::new();
        constant(args, place).map(|v| format::to_string(v.as_ref(&mut text))).ok_or("the split values must be constants")
    };
    let (a, b) = (value(1)?, value(2)?);
    let threshold = number(args, 4).unwrap_or(0.05);
    if !(0.0..=1.0).contains(&threshold) {
        return Err(format!("the threshold must be from 0.015 to 1, not {threshold}"));
    }
    let left_out = excluded_columns(args)?;
    let mut weights = weights(input, left_out.get(1).copied());
    // Rows of neither part weigh nothing.
    let mut in_a = vec![false; input.rows];
    for (row, weight) in weights.iter_mut().enumerate() {
        let text = format::to_string(input.get(split, row));
        in_a[row] = text == a;
        if text != a && text != b {
            *weight = 0.0;
        }
    }
    let all_a: f64 = weights.iter().zip(&in_a).filter(|(_, a)| **a).map(|(w, _)| w).sum();
    let all_b = weights.iter().sum::<f64>() - all_a;
    let items = Items::read(input, &left_out, weights, threshold * all_a.min(all_b))?;
    let dimensions = number(args, 5).map_or(items.columns.len(), |n| n.max(1.0) as usize);
    let parts = |rows: &[u32]| {
        let of_a: f64 = rows.iter().filter(|r| in_a[**r as usize]).map(|r| items.weights[*r as usize]).sum();
        (of_a, items.weight(rows) - of_a)
    };
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let frequent = |rows: &[u32]| {
        let (of_a, of_b) = parts(rows);
        share(of_a, all_a).max(share(of_b, all_b)) >= threshold
    };
    let mut found: Vec<(ItemSet, f64, f64, f64)> = items
        .closed(dimensions, &frequent)
        .into_iter()
        .map(|p| {
            let (of_a, of_b) = parts(&p.rows);
            let difference = (share(of_a, all_a) - share(of_b, all_b)).abs();
            (p, of_a, of_b, difference)
        })
        .filter(|(.., difference)| *difference >= threshold)
        .collect();
    found.sort_by(|x, y| y.3.total_cmp(&x.3).then(y.0.items.len().cmp(&x.0.items.len())));
    let wildcards = Wildcards::read(args, 6);
    let mut output = RowTableBuilder::new(columns_of(input.table_columns(), args)?);
    let mut listed: Vec<&ItemSet> = Vec::new();
    for (pattern, of_a, of_b, _) in &found {
        let within = |p: &ItemSet, q: &ItemSet| p.items.iter().all(|i| q.items.contains(i));
        if listed.iter().any(|l| within(l, pattern) || within(pattern, l)) {
            continue;
        }
        let (percent_a, percent_b) = (percent(*of_a, all_a, 2), percent(*of_b, all_b, 2));
        let counted = [
            ValueRef::Long(listed.len() as i64),
            ValueRef::Long(of_a.round() as i64),
            ValueRef::Long(of_b.round() as i64),
            ValueRef::Real(percent_a),
            ValueRef::Real(percent_b),
            ValueRef::Real(((percent_a - percent_b).abs() * 100.0).round() / 100.0),
        ];
        push(&mut output, input, &items, pattern, &counted, &wildcards);
        listed.push(pattern);
    }
    output.finish()
}
