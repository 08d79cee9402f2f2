//! autocluster: a few patterns that describe many rows by many values.

use super::patterns::{ItemSet, Items, Wildcards, columns, percent, push, weight_column, weights};
use super::table::{PluginInput, RowTable, RowTableBuilder};
use super::{ParamKind, Plugin, PluginArg, PluginParam, number};
use crate::functions::ArgType;
use kqlake_value::{Column, Type, ValueRef};

/// The plugin.
///
/// A pattern's score is the weighted geometric mean of its share of the rows and its share of the columns, with weights
/// *SizeWeight* (0.5) and 1 − *SizeWeight*. Patterns are chosen by score over the rows that no chosen pattern has, until
/// the next would cover less than a twentieth of the rows.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "autocluster",
    params: &[
        PluginParam::opt("SizeWeight", ParamKind::ConstantOrTilde(ArgType::Number)),
        PluginParam::opt("WeightColumn", ParamKind::ColumnOrTilde(ArgType::Number)),
        PluginParam::opt("NumSeeds", ParamKind::ConstantOrTilde(ArgType::Number)),
        PluginParam::opt("CustomWildcard", ParamKind::Constant(ArgType::Any)),
    ],
    repeats: true,
    schema: |columns, args| Ok(Some(columns_of(columns, args))),
    run,
    doc: "A few patterns of column values that describe many rows.",
};

/// The share of rows that a pattern must have.
const LEAST: f64 = 0.05;

fn columns_of(input: &[Column], args: &[PluginArg]) -> Vec<Column> {
    let left_out: Vec<usize> = weight_column(args, 1).into_iter().collect();
    columns(input, &left_out, &[("SegmentId", Type::Long), ("Count", Type::Long), ("Percent", Type::Real)])
}

fn run(input: &PluginInput, args: &[PluginArg]) -> Result<RowTable, String> {
    let size_weight = number(args, 0).unwrap_or(0.5);
    if !(0.0..=1.0).contains(&size_weight) {
        return Err(format!("the size weight must be from 0 to 1, not {size_weight}"));
    }
    let seeds = number(args, 2).unwrap_or(25.0).max(1.0) as usize;
    let left_out: Vec<usize> = weight_column(args, 1).into_iter().collect();
    let weights = weights(input, left_out.first().copied());
    let total: f64 = weights.iter().sum();
    let least = total * LEAST;
    let items = Items::read(input, &left_out, weights, least)?;
    let all_columns = items.columns.len().max(1) as f64;
    let mut candidates = items.closed(items.columns.len(), &|rows| items.weight(rows) >= least);
    let mut covered = vec![false; input.rows];
    let mut chosen: Vec<ItemSet> = Vec::new();
    while chosen.len() < seeds {
        let score = |p: &ItemSet| {
            let fresh: f64 = p.rows.iter().filter(|r| !covered[**r as usize]).map(|r| items.weights[*r as usize]).sum();
            if fresh < least {
                return 0.0;
            }
            (fresh / total).powf(size_weight) * (p.items.len() as f64 / all_columns).powf(1.0 - size_weight)
        };
        let best = candidates.iter().enumerate().map(|(i, p)| (i, score(p))).max_by(|a, b| a.1.total_cmp(&b.1));
        match best {
            Some((at, score)) if score > 0.0 => {
                let pattern = candidates.swap_remove(at);
                pattern.rows.iter().for_each(|r| covered[*r as usize] = true);
                chosen.push(pattern);
            }
            _ => break,
        }
    }
    let wildcards = Wildcards::read(args, 3);
    let mut output = RowTableBuilder::new(columns_of(input.table_columns(), args));
    for (segment, pattern) in chosen.iter().enumerate() {
        let weight = items.weight(&pattern.rows);
        let counted =
            [ValueRef::Long(segment as i64), ValueRef::Long(weight.round() as i64), ValueRef::Real(percent(weight, total, 1))];
        push(&mut output, input, &items, pattern, &counted, &wildcards);
    }
    output.finish()
}
