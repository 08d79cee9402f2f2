//! Distinct counts: dcount (exact for small sets, an estimate beyond) and count_distinct (exact).

use std::collections::HashSet;

use crate::functions::codec::{Decoder, write_u64};
use crate::functions::sketch::hll::Hll;
use crate::functions::sketch::{hash64, key128};
use crate::functions::{Accumulate, AggregateFn, AggregateImpl, ArgInfo, ArgType, Naming, OfNoRows, Param, Returns};
use kqlake_value::hashed::BuildKeyHasher;
use kqlake_value::{Type, Value, ValueRef};

/// The functions.
pub(crate) const AGGREGATES: &[AggregateFn] = &[
    AggregateFn::new(
        "dcount",
        APPROXIMATE,
        Returns::Type(Type::Long),
        Naming::Prefix("dcount"),
        AggregateImpl::Rows(dcount),
        "Number of distinct values; exact up to thousands, an estimate beyond.",
    )
    .of_no_rows(OfNoRows::Zero),
    AggregateFn::new(
        "dcountif",
        APPROXIMATE,
        Returns::Type(Type::Long),
        Naming::Prefix("dcountif"),
        AggregateImpl::Rows(dcount),
        "Number of distinct values over the rows for which the predicate is true.",
    )
    .predicate(1)
    .of_no_rows(OfNoRows::Zero),
    AggregateFn::new(
        "count_distinct",
        EXACT,
        Returns::Type(Type::Long),
        Naming::Prefix("count_distinct"),
        AggregateImpl::Rows(count_distinct),
        "Exact number of distinct values.",
    )
    .of_no_rows(OfNoRows::Zero),
    AggregateFn::new(
        "count_distinctif",
        EXACT,
        Returns::Type(Type::Long),
        Naming::Prefix("count_distinctif"),
        AggregateImpl::Rows(count_distinct),
        "Exact number of distinct values over the rows for which the predicate is true.",
    )
    .predicate(1)
    .of_no_rows(OfNoRows::Zero),
];

const APPROXIMATE: &[Param] = &[Param::req("expr", ArgType::Any), Param::opt("accuracy", ArgType::Integer).constant()];
const EXACT: &[Param] = &[Param::req("expr", ArgType::OneOf(NOT_DYNAMIC))];
const NOT_DYNAMIC: &[Type] =
    &[Type::Bool, Type::Int, Type::Long, Type::Real, Type::Decimal, Type::String, Type::DateTime, Type::TimeSpan, Type::Guid];

/// The accuracy level among the constant arguments (the default is 1).
fn accuracy(args: &[ArgInfo]) -> Result<i64, String> {
    match args.get(1).map(|a| &a.constant) {
        None => Ok(1),
        Some(Some(Value::Int(v))) => Ok((*v).into()),
        Some(Some(Value::Long(v))) => Ok(*v),
        Some(_) => Err("the accuracy must be a constant from 0 to 4".to_owned()),
    }
}

fn dcount(args: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    sketch_of_distinct(args, |hll| Value::Long(hll.count() as i64))
}

/// The state of an aggregate over a sketch of the distinct values of its first argument; the second may be its accuracy.
pub(super) fn sketch_of_distinct(args: &[ArgInfo], finish: fn(&Hll) -> Value) -> Result<Box<dyn Accumulate>, String> {
    let accuracy = accuracy(args)?;
    let hll = Hll::new(accuracy).ok_or_else(|| format!("the accuracy must be from 0 to 4, not {accuracy}"))?;
    Ok(Box::new(Approximate { hll, finish }))
}

fn count_distinct(_: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    Ok(Box::new(Exact::default()))
}

#[derive(Debug)]
struct Approximate {
    hll: Hll,
    finish: fn(&Hll) -> Value,
}

impl Accumulate for Approximate {
    fn update(&mut self, args: &[ValueRef<'_>]) {
        if !args[0].is_null() {
            self.hll.insert(hash64(args[0]));
        }
    }

    fn state(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.hll.write(&mut out);
        out
    }

    fn merge(&mut self, state: &[u8]) {
        if let Some(other) = Hll::read(&mut Decoder::new(state)) {
            self.hll.merge(&other);
        }
    }

    fn finish(&self) -> Value {
        (self.finish)(&self.hll)
    }

    fn size(&self) -> usize {
        self.hll.size()
    }
}

/// The keys of the distinct values: the values themselves up to 64 bits, 128-bit hashes of texts.
#[derive(Debug, Default)]
struct Exact {
    keys: HashSet<u128, BuildKeyHasher>,
}

impl Accumulate for Exact {
    fn update(&mut self, args: &[ValueRef<'_>]) {
        if !args[0].is_null() {
            self.keys.insert(key128(args[0]));
        }
    }

    fn state(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.keys.len() * 16 + 8);
        write_u64(&mut out, self.keys.len() as u64);
        for key in &self.keys {
            out.extend_from_slice(&key.to_le_bytes());
        }
        out
    }

    fn merge(&mut self, state: &[u8]) {
        let mut decoder = Decoder::new(state);
        let count = decoder.u64().unwrap_or(0);
        // Keys come in the order of another table's buckets; without capacity for all of them they would collide in a few.
        self.keys.reserve(usize::try_from(count).unwrap_or(0).min(state.len() / 16));
        for _ in 0..count {
            let (Some(low), Some(high)) = (decoder.fixed_u64(), decoder.fixed_u64()) else { return };
            self.keys.insert(u128::from(high) << 64 | u128::from(low));
        }
    }

    fn finish(&self) -> Value {
        Value::Long(self.keys.len() as i64)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.keys.capacity() * 17
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Made = Result<Box<dyn Accumulate>, String>;

    /// The counters with these constants, `dcount` and `count_distinct`.
    fn both(constants: &[Value]) -> [Made; 2] {
        let constant = |value: &Value| ArgInfo { ty: Type::Long, constant: Some(value.clone()) };
        let args: Vec<ArgInfo> =
            std::iter::once(ArgInfo { ty: Type::Long, constant: None }).chain(constants.iter().map(constant)).collect();
        [dcount(&args, Type::Long), count_distinct(&args, Type::Long)]
    }

    fn count(into: &mut dyn Accumulate, numbers: std::ops::Range<i64>) {
        numbers.for_each(|n| into.update(&[ValueRef::Long(n)]));
    }

    #[test]
    fn states_of_parts_merge_into_the_count_of_all() {
        for (mut one, mut other) in both(&[]).into_iter().map(Result::unwrap).zip(both(&[]).map(Result::unwrap)) {
            count(&mut *one, 0..100);
            count(&mut *other, 50..300);
            other.update(&[ValueRef::Null]);
            one.merge(&other.state());
            assert_eq!((one.finish(), other.finish()), (Value::Long(300), Value::Long(250)));
        }
    }

    #[test]
    fn what_is_held_grows_with_the_values() {
        for mut counter in both(&[]).map(Result::unwrap) {
            let empty = counter.size();
            count(&mut *counter, 0..10_000);
            assert!(empty > 0 && counter.size() >= empty + 10_000 * size_of::<u64>(), "{} {empty}", counter.size());
        }
    }

    #[test]
    fn the_accuracy_says_from_when_on_a_count_is_an_estimate() {
        let exact = |accuracy: &[Value], numbers: i64| {
            let [counter, _] = both(accuracy);
            let mut counter = counter.unwrap();
            count(&mut *counter, 0..numbers);
            counter.finish() == Value::Long(numbers)
        };
        for (accuracy, most) in [(0, 1 << 12), (1, 1 << 14), (2, 1 << 16), (3, 1 << 17), (4, 1 << 18)] {
            assert!(
                exact(&[Value::Long(accuracy)], most) && !exact(&[Value::Int(accuracy as i32)], most + most / 8),
                "{accuracy}"
            );
        }
        assert!(exact(&[], 1 << 14) && !exact(&[], 18_000));
        for bad in [Value::Long(5), Value::Long(-1), Value::Real(1.0)] {
            assert!(both(&[bad])[0].is_err());
        }
    }
}
