//! basket: the frequent combinations of column values.

use super::patterns::{Items, Wildcards, columns, percent, push, weight_column, weights};
use super::table::{PluginInput, RowTable, RowTableBuilder};
use super::{ParamKind, Plugin, PluginArg, PluginParam, number};
use crate::functions::ArgType;
use kqlake_value::{Column, Type, ValueRef};

/// The plugin: closed patterns of at least *Threshold* (0.05) of the rows' weight, grown by at most *MaxDimensions* (5)
/// choices of a value; the most frequent first.
pub(super) const PLUGIN: Plugin = Plugin {
    name: "basket",
    params: &[
        PluginParam::opt("Threshold", ParamKind::ConstantOrTilde(ArgType::Number)),
        PluginParam::opt("WeightColumn", ParamKind::ColumnOrTilde(ArgType::Number)),
        PluginParam::opt("MaxDimensions", ParamKind::ConstantOrTilde(ArgType::Number)),
        PluginParam::opt("CustomWildcard", ParamKind::Constant(ArgType::Any)),
    ],
    repeats: true,
    schema: |columns, args| Ok(Some(columns_of(columns, args))),
    run,
    doc: "Frequent combinations of column values.",
};

fn columns_of(input: &[Column], args: &[PluginArg]) -> Vec<Column> {
    let left_out: Vec<usize> = weight_column(args, 1).into_iter().collect();
    columns(input, &left_out, &[("SegmentId", Type::Long), ("Count", Type::Long), ("Percent", Type::Real)])
}

fn run(input: &PluginInput, args: &[PluginArg]) -> Result<RowTable, String> {
    let threshold = number(args, 0).unwrap_or(0.05);
    if !(0.0..=1.0).contains(&threshold) {
        return Err(format!("the threshold must be from 0.015 to 1, not {threshold}"));
    }
    let dimensions = number(args, 2).unwrap_or(5.0).max(1.0) as usize;
    let left_out: Vec<usize> = weight_column(args, 1).into_iter().collect();
    let weights = weights(input, left_out.first().copied());
    let total: f64 = weights.iter().sum();
    let least = total * threshold;
    let items = Items::read(input, &left_out, weights, least)?;
    let mut found = items.closed(dimensions, &|rows| items.weight(rows) >= least);
    found.sort_by(|a, b| items.weight(&b.rows).total_cmp(&items.weight(&a.rows)).then(b.items.len().cmp(&a.items.len())));
    let wildcards = Wildcards::read(args, 3);
    let mut output = RowTableBuilder::new(columns_of(input.table_columns(), args));
    for (segment, pattern) in found.iter().enumerate() {
        let weight = items.weight(&pattern.rows);
        let counted =
            [ValueRef::Long(segment as i64), ValueRef::Long(weight.round() as i64), ValueRef::Real(percent(weight, total, 1))];
        push(&mut output, input, &items, pattern, &counted, &wildcards);
    }
    output.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kqlake_value::columns::{ColumnBuilder, ColumnReader};

    #[test]
    fn values_that_always_come_together_are_one_pattern() {
        let table = {
            let (mut a, mut b) = (ColumnBuilder::new(Type::String, 4), ColumnBuilder::new(Type::Long, 4));
            for (s, n) in [("x", 1), ("x", 1), ("y", 2), ("z", 1)] {
                a.push_ref(ValueRef::String(s));
                b.push_ref(ValueRef::Long(n));
            }
            let columns = vec![Column::new("a", Type::String), Column::new("b", Type::Long)];
            RowTable::from_arrays(columns, vec![a.finish().unwrap(), b.finish().unwrap()], 4).unwrap()
        };
        let input = PluginInput::new(&table, 2).unwrap();
        let args = [PluginArg::Constant(kqlake_value::Value::Real(0.5), Type::Real)];
        let found = run(&input, &args).unwrap();
        let batch = &found.batches[0];
        // b=1 three times; a=x only ever with b=1, twice.
        assert_eq!(batch.num_rows(), 2);
        let counts = ColumnReader::new(batch.column(1), Type::Long).unwrap();
        let texts = ColumnReader::new(batch.column(3), Type::String).unwrap();
        assert_eq!([counts.get(0), texts.get(0)], [ValueRef::Long(3), ValueRef::String("")]);
        assert_eq!([counts.get(1), texts.get(1)], [ValueRef::Long(2), ValueRef::String("x")]);
    }
}
