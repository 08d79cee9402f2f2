//! arg_max, arg_min and take_any, one returned column at a time.
//!
//! The binder writes `arg_max(by, a, b)` as one call for each column, `arg_max(by, by)`, `arg_max(by, a)`, …: all of them
//! see the same rows in the same order and choose the same row. The first row wins a tie. Rows whose `by` is null count
//! only when there is no other; then the first of them is taken. NaN wins, as the extreme of NaN and numbers is NaN.

use std::cmp::Ordering;

use super::order::order;
use crate::functions::codec::{Decoder, OwnedValue, write_value};
use crate::functions::{Accumulate, AggregateFn, AggregateImpl, ArgInfo, ArgType, Gives, Naming, Param, Returns};
use kqlake_value::columns::{ColumnBuilder, to_value};
use kqlake_value::{Type, Value, ValueRef};

const BY: &[Param] = &[Param::req("by", ArgType::Orderable), Param::opt("returned", ArgType::Any)];
const ONE: &[Param] = &[Param::req("expr", ArgType::Any)];

/// The functions.
pub(crate) const AGGREGATES: &[AggregateFn] = &[
    AggregateFn::new(
        "arg_max",
        BY,
        Returns::With(last_type),
        Naming::Prefix("max"),
        AggregateImpl::Rows(arg_max),
        "Columns of the row with the greatest value.",
    )
    .gives(Gives::RowOfExtreme { greatest: true, older: false })
    .variadic(),
    AggregateFn::new(
        "arg_min",
        BY,
        Returns::With(last_type),
        Naming::Prefix("min"),
        AggregateImpl::Rows(arg_min),
        "Columns of the row with the least value.",
    )
    .gives(Gives::RowOfExtreme { greatest: false, older: false })
    .variadic(),
    AggregateFn::new(
        "argmax",
        BY,
        Returns::With(last_type),
        Naming::Prefix("max"),
        AggregateImpl::Rows(arg_max),
        "Columns of the row with the greatest value (older name of arg_max).",
    )
    .gives(Gives::RowOfExtreme { greatest: true, older: true })
    .variadic(),
    AggregateFn::new(
        "argmin",
        BY,
        Returns::With(last_type),
        Naming::Prefix("min"),
        AggregateImpl::Rows(arg_min),
        "Columns of the row with the least value (older name of arg_min).",
    )
    .gives(Gives::RowOfExtreme { greatest: false, older: true })
    .variadic(),
    AggregateFn::new(
        "take_any",
        ONE,
        Returns::Arg(0),
        Naming::FirstArg,
        AggregateImpl::Rows(take_any),
        "Some value that is neither null nor empty, if there is one.",
    )
    .gives(Gives::SomeRow { older: false })
    .variadic(),
    AggregateFn::new(
        "any",
        ONE,
        Returns::Arg(0),
        Naming::Prefix("any"),
        AggregateImpl::Rows(take_any),
        "Some value that is neither null nor empty, if there is one (older name of take_any).",
    )
    .gives(Gives::SomeRow { older: true })
    .variadic(),
    AggregateFn::new(
        "take_anyif",
        ONE,
        Returns::Arg(0),
        Naming::FirstArg,
        AggregateImpl::Rows(take_any),
        "Some value over the rows for which the predicate is true.",
    )
    .predicate(1),
    AggregateFn::new(
        "anyif",
        ONE,
        Returns::Arg(0),
        Naming::Prefix("anyif"),
        AggregateImpl::Rows(take_any),
        "Some value over the rows for which the predicate is true (older name of take_anyif).",
    )
    .predicate(1),
];

fn last_type(args: &[ArgInfo]) -> Result<Type, String> {
    args.last().map(|a| a.ty).ok_or_else(|| "an argument is missing".to_owned())
}

fn arg_max(_: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    Ok(Box::new(Extreme { wins: Ordering::Greater, best: None }))
}
fn arg_min(_: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    Ok(Box::new(Extreme { wins: Ordering::Less, best: None }))
}
fn take_any(_: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    Ok(Box::new(TakeAny::default()))
}

/// The best row so far: its `by` and the returned value.
#[derive(Debug)]
struct Extreme {
    wins: Ordering,
    best: Option<(OwnedValue, OwnedValue)>,
}

/// What goes before the order of values: nulls lose against everything, NaN wins.
fn class(value: ValueRef<'_>) -> u8 {
    match value {
        ValueRef::Null => 0,
        ValueRef::Real(v) if v.is_nan() => 2,
        _ => 1,
    }
}

impl Extreme {
    #[inline]
    fn update_best(&mut self, by: ValueRef<'_>, value: ValueRef<'_>) {
        let better = match &self.best {
            None => true,
            Some((best, _)) => match (class(best.as_ref()), class(by)) {
                (1, 1) => order(by, best.as_ref()) == self.wins,
                (before, now) => now > before,
            },
        };
        if better {
            self.best = Some((by.into(), value.into()));
        }
    }
}

impl Accumulate for Extreme {
    fn update(&mut self, args: &[ValueRef<'_>]) {
        self.update_best(args[0], args[args.len() - 1]);
    }

    fn state(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some((by, value)) = &self.best {
            write_value(&mut out, by.as_ref());
            write_value(&mut out, value.as_ref());
        }
        out
    }

    fn merge(&mut self, state: &[u8]) {
        let mut decoder = Decoder::new(state);
        if let (Some(by), Some(value)) = (decoder.value(), decoder.value()) {
            self.update_best(by, value);
        }
    }

    fn finish(&self) -> Value {
        self.best.as_ref().map_or(Value::Null, |b| to_value(b.1.as_ref()))
    }

    fn finish_into(&self, out: &mut ColumnBuilder) {
        out.push_ref(self.best.as_ref().map_or(ValueRef::Null, |b| b.1.as_ref()));
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.best.as_ref().map_or(0, |b| b.0.heap_size() + b.1.heap_size())
    }
}

/// The first value that is neither null nor an empty string, or the first of those (Kusto's page "take_any()").
#[derive(Debug, Default)]
struct TakeAny {
    value: OwnedValue,
}

/// True for what counts as no value.
fn is_missing(value: ValueRef<'_>) -> bool {
    matches!(value, ValueRef::Null | ValueRef::String(""))
}

impl Accumulate for TakeAny {
    fn update(&mut self, args: &[ValueRef<'_>]) {
        let held = self.value.as_ref();
        if matches!(held, ValueRef::Null) || is_missing(held) && !is_missing(args[0]) {
            self.value = args[0].into();
        }
    }

    fn state(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_value(&mut out, self.value.as_ref());
        out
    }

    fn merge(&mut self, state: &[u8]) {
        if let Some(value) = Decoder::new(state).value() {
            self.update(&[value]);
        }
    }

    fn finish(&self) -> Value {
        to_value(self.value.as_ref())
    }

    fn finish_into(&self, out: &mut ColumnBuilder) {
        out.push_ref(self.value.as_ref());
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.value.heap_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_wins_and_nulls_only_when_alone() {
        let feed = |rows: &[(Option<i64>, &'static str)]| {
            let mut best = arg_max(&[], Type::String).unwrap();
            for (by, value) in rows {
                best.update(&[by.map_or(ValueRef::Null, ValueRef::Long), ValueRef::String(value)]);
            }
            best
        };
        let text = |b: &dyn Accumulate| b.finish();
        assert_eq!(text(&*feed(&[(None, "n"), (Some(1), "a"), (Some(2), "b"), (Some(2), "c")])), Value::String("b".into()));
        assert_eq!(text(&*feed(&[(None, "n"), (None, "m")])), Value::String("n".into()));
        let mut merged = feed(&[(None, "n")]);
        merged.merge(&feed(&[]).state());
        merged.merge(&feed(&[(Some(-5), "z")]).state());
        assert_eq!(text(&*merged), Value::String("z".into()));
        let mut nan = arg_max(&[], Type::String).unwrap();
        for (by, value) in [(1.0, "a"), (f64::NAN, "b"), (2.0, "c")] {
            nan.update(&[ValueRef::Real(by), ValueRef::String(value)]);
        }
        assert_eq!(text(&*nan), Value::String("b".into()), "the row whose value the extreme shows");
        assert_eq!(feed(&[]).finish(), Value::Null);
    }
}
