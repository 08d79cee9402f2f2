//! Group-wise accumulators over plain vectors, for the aggregates that telemetry queries run most over many groups.
//!
//! `summarize arg_max(Timestamp, *) by Id` over a table of many columns is one accumulator for each column, with as many
//! groups as the table has ids. Here a group costs a key and a value, and a batch copies only the values that stay.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::{passes_filter, state_column};
use crate::functions::codec::{Decoder, write_value};
use crate::functions::{AggregateFn, ArgInfo, Gives};
use kqlake_value::columns::{ColumnBuilder, ColumnReader};
use kqlake_value::{Type, ValueRef};

/// The accumulator for a call's types; `None` where the row-wise one must do.
pub(super) fn groups(function: &AggregateFn, args: &[ArgInfo], returns: Type) -> Option<Box<dyn GroupsAccumulator>> {
    let Gives::RowOfExtreme { greatest, .. } = function.gives else { return None };
    let [by, .., value] = args else { return None };
    if !matches!(by.ty, Type::Int | Type::Long | Type::DateTime | Type::TimeSpan) {
        return None;
    }
    let values = match returns {
        Type::Bool | Type::Int | Type::Long | Type::Real | Type::DateTime | Type::TimeSpan => BestValues::Fixed(Vec::new()),
        Type::String | Type::Guid | Type::Dynamic => BestValues::Text(Vec::new()),
        Type::Decimal => return None,
    };
    Some(Box::new(ArgExtreme {
        greatest,
        by: by.ty,
        ty: value.ty,
        groups: Vec::new(),
        values,
        heap: 0,
        best: Vec::new(),
        touched: Vec::new(),
    }))
}

/// The best key among the rows of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum BestKey {
    /// No row.
    #[default]
    Nothing,
    /// Rows without a key.
    NoKey,
    /// A best key.
    Key(i64),
}

/// The values of the best rows.
#[derive(Debug)]
enum BestValues {
    /// Anything of up to 64 bits.
    Fixed(Vec<Option<i64>>),
    /// Texts.
    Text(Vec<Option<Box<str>>>),
}

/// arg_max and arg_min by a whole number.
#[derive(Debug)]
struct ArgExtreme {
    greatest: bool,
    by: Type,
    ty: Type,
    groups: Vec<BestKey>,
    values: BestValues,
    /// Bytes of the texts.
    heap: usize,
    /// For each group the batch's best row so far, `u32::MAX` between batches.
    best: Vec<u32>,
    /// Groups with a best row in this batch.
    touched: Vec<usize>,
}

fn key(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::DateTime(v) | ValueRef::TimeSpan(v) => Some(v),
        other => other.as_i64(),
    }
}

/// A value of up to 64 bits.
fn bits(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Bool(v) => Some(v.into()),
        ValueRef::Real(v) => Some(v.to_bits() as i64),
        other => key(other),
    }
}

fn of_bits(bits: Option<i64>, ty: Type) -> ValueRef<'static> {
    let Some(bits) = bits else { return ValueRef::Null };
    match ty {
        Type::Bool => ValueRef::Bool(bits != 0),
        Type::Int => ValueRef::Int(bits as i32),
        Type::Real => ValueRef::Real(f64::from_bits(bits as u64)),
        Type::DateTime => ValueRef::DateTime(bits),
        Type::TimeSpan => ValueRef::TimeSpan(bits),
        _ => ValueRef::Long(bits),
    }
}

fn text_of(text: Option<&str>, ty: Type) -> ValueRef<'_> {
    match (text, ty) {
        (None, _) => ValueRef::Null,
        (Some(text), Type::String) => ValueRef::String(text),
        (Some(text), Type::Guid) => ValueRef::Guid(text),
        (Some(text), _) => ValueRef::Dynamic(text),
    }
}

impl ArgExtreme {
    fn grow(&mut self, groups: usize) {
        self.groups.resize(groups, BestKey::Nothing);
        self.best.resize(groups, u32::MAX);
        match &mut self.values {
            BestValues::Fixed(values) => values.resize(groups, None),
            BestValues::Text(values) => values.resize(groups, None),
        }
    }

    /// Makes a row the group's best if it is; the value is copied later.
    #[inline]
    fn update_best(&mut self, group: usize, key: Option<i64>, row: usize) {
        let better = match (self.groups[group], key) {
            (BestKey::Nothing, _) | (BestKey::NoKey, Some(_)) => true,
            (BestKey::NoKey | BestKey::Key(_), None) => false,
            (BestKey::Key(known), Some(new)) => {
                if self.greatest {
                    new > known
                } else {
                    new < known
                }
            }
        };
        if better {
            self.groups[group] = key.map_or(BestKey::NoKey, BestKey::Key);
            if self.best[group] == u32::MAX {
                self.touched.push(group);
            }
            self.best[group] = row as u32;
        }
    }

    /// Copies the values of the batch's best rows.
    fn settle<'a>(&mut self, value: impl Fn(usize) -> ValueRef<'a>) {
        for group in self.touched.drain(..) {
            let found = value(self.best[group] as usize);
            self.best[group] = u32::MAX;
            match &mut self.values {
                BestValues::Fixed(values) => values[group] = bits(found),
                BestValues::Text(values) => {
                    let text = match found {
                        ValueRef::String(t) | ValueRef::Guid(t) | ValueRef::Dynamic(t) => Some(t),
                        _ => None,
                    };
                    let before = values[group].as_ref().map_or(0, |t| t.len());
                    self.heap = self.heap - before + text.map_or(0, str::len);
                    values[group] = text.map(Into::into);
                }
            }
        }
    }

    fn open(&self, values: &[ArrayRef]) -> Result<(ColumnReader, ColumnReader)> {
        let column = |array: Option<&ArrayRef>, ty| {
            let array = array.ok_or_else(|| "an argument is missing".to_owned());
            array.and_then(|a| ColumnReader::new(a, ty)).map_err(DataFusionError::Execution)
        };
        Ok((column(values.first(), self.by)?, column(values.last(), self.ty)?))
    }

    /// Takes groups out: what they saw, and their values one after the other.
    fn emit(&mut self, emit_to: EmitTo, mut each: impl FnMut(BestKey, ValueRef<'_>)) {
        let groups = emit_to.take_needed(&mut self.groups);
        let _ = emit_to.take_needed(&mut self.best);
        match &mut self.values {
            BestValues::Fixed(values) => {
                for (seen, value) in groups.into_iter().zip(emit_to.take_needed(values)) {
                    each(seen, of_bits(value, self.ty));
                }
            }
            BestValues::Text(values) => {
                for (seen, value) in groups.into_iter().zip(emit_to.take_needed(values)) {
                    self.heap -= value.as_ref().map_or(0, |t| t.len());
                    each(seen, text_of(value.as_deref(), self.ty));
                }
            }
        }
    }
}

/// Appends the state of one group: as the row-wise accumulator writes it.
fn write_state(out: &mut Vec<u8>, seen: BestKey, value: ValueRef<'_>) {
    match seen {
        BestKey::Nothing => return,
        BestKey::NoKey => write_value(out, ValueRef::Null),
        BestKey::Key(key) => write_value(out, ValueRef::Long(key)),
    }
    write_value(out, value);
}

impl GroupsAccumulator for ArgExtreme {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.grow(groups);
        let (by, value) = self.open(values)?;
        for (row, group) in group_indices.iter().enumerate() {
            if passes_filter(filter, row) {
                self.update_best(*group, key(by.get(row)), row);
            }
        }
        self.settle(|row| value.get(row));
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let mut out = ColumnBuilder::new(self.ty, self.groups.len());
        self.emit(emit_to, |_, value| out.push_ref(value));
        out.finish().map_err(DataFusionError::Execution)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let mut out = BinaryBuilder::with_capacity(self.groups.len(), self.groups.len() * 16);
        let mut bytes = Vec::new();
        self.emit(emit_to, |seen, value| {
            bytes.clear();
            write_state(&mut bytes, seen, value);
            out.append_value(&bytes);
        });
        Ok(vec![Arc::new(out.finish())])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], groups: usize) -> Result<()> {
        self.grow(groups);
        let column = state_column(values)?;
        let states = column.as_binary::<i32>();
        for (row, group) in group_indices.iter().enumerate() {
            let state = if states.is_valid(row) { states.value(row) } else { &[] };
            if let Some(by) = Decoder::new(state).value() {
                self.update_best(*group, key(by), row);
            }
        }
        self.settle(|row| {
            let mut decoder = Decoder::new(states.value(row));
            decoder.value().and_then(|_| decoder.value()).unwrap_or(ValueRef::Null)
        });
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let (by, value) = self.open(values)?;
        let rows = values.first().map_or(0, |v| v.len());
        let mut out = BinaryBuilder::with_capacity(rows, rows * 16);
        let mut bytes = Vec::new();
        for row in 0..rows {
            bytes.clear();
            if passes_filter(filter, row) {
                write_state(&mut bytes, key(by.get(row)).map_or(BestKey::NoKey, BestKey::Key), value.get(row));
            }
            out.append_value(&bytes);
        }
        Ok(vec![Arc::new(out.finish())])
    }

    fn size(&self) -> usize {
        let values = match &self.values {
            BestValues::Fixed(values) => values.capacity() * size_of::<Option<i64>>(),
            BestValues::Text(values) => values.capacity() * size_of::<Option<Box<str>>>(),
        };
        size_of_val(self)
            + values
            + self.heap
            + self.groups.capacity() * size_of::<BestKey>()
            + self.best.capacity() * size_of::<u32>()
            + self.touched.capacity() * size_of::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Registry;
    use arrow::array::{Int64Array, StringViewArray};

    #[test]
    fn the_first_best_row_stays_through_batches_states_and_emits() {
        let info = |ty| ArgInfo { ty, constant: None };
        let make = || {
            let function = Registry::get().aggregate("arg_max").unwrap();
            groups(function, &[info(Type::Long), info(Type::String)], Type::String).unwrap()
        };
        let by: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(3), None]));
        let value: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "none", "b", "c", "other"]));
        let mut partial = make();
        partial.update_batch(&[Arc::clone(&by), Arc::clone(&value)], &[0, 1, 0, 0, 1], None, 3).unwrap();
        let states = partial.state(EmitTo::All).unwrap();
        let mut last = make();
        last.merge_batch(&states, &[0, 1, 2], 3).unwrap();
        let single = last.convert_to_state(&[by, value], None).unwrap();
        last.merge_batch(&single, &[2, 2, 2, 2, 2], 3).unwrap();
        let first = last.evaluate(EmitTo::First(1)).unwrap();
        assert_eq!(first.as_string::<i32>().value(0), "b");
        let rest = last.evaluate(EmitTo::All).unwrap();
        assert_eq!((rest.as_string::<i32>().value(0), rest.as_string::<i32>().value(1)), ("none", "b"));
    }
}
