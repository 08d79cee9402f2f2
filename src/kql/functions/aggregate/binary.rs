//! binary_all_and, binary_all_or and binary_all_xor over integers.

use crate::functions::codec::{Decoder, write_i64};
use crate::functions::{Accumulate, AggregateFn, AggregateImpl, ArgType, Naming, Param, Returns};
use kqlake_value::{Value, ValueRef};

const PARAMS: &[Param] = &[Param::req("expr", ArgType::Integer)];

/// The functions.
pub(crate) const AGGREGATES: &[AggregateFn] = &[
    AggregateFn::new(
        "binary_all_and",
        PARAMS,
        Returns::Arg(0),
        Naming::FirstArg,
        AggregateImpl::Rows(|_, _| Ok(Box::new(Bits::new(|a, b| a & b)))),
        "Bitwise and of all values; null of nothing.",
    ),
    AggregateFn::new(
        "binary_all_or",
        PARAMS,
        Returns::Arg(0),
        Naming::FirstArg,
        AggregateImpl::Rows(|_, _| Ok(Box::new(Bits::new(|a, b| a | b)))),
        "Bitwise or of all values; null of nothing.",
    ),
    AggregateFn::new(
        "binary_all_xor",
        PARAMS,
        Returns::Arg(0),
        Naming::FirstArg,
        AggregateImpl::Rows(|_, _| Ok(Box::new(Bits::new(|a, b| a ^ b)))),
        "Bitwise exclusive or of all values; null of nothing.",
    ),
];

#[derive(Debug)]
struct Bits {
    join: fn(i64, i64) -> i64,
    value: Option<i64>,
}

impl Bits {
    fn new(join: fn(i64, i64) -> i64) -> Bits {
        Bits { join, value: None }
    }

    fn add(&mut self, v: i64) {
        self.value = Some(self.value.map_or(v, |before| (self.join)(before, v)));
    }
}

impl Accumulate for Bits {
    fn update(&mut self, args: &[ValueRef<'_>]) {
        if let Some(v) = args[0].as_i64() {
            self.add(v);
        }
    }

    fn state(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(v) = self.value {
            write_i64(&mut out, v);
        }
        out
    }

    fn merge(&mut self, state: &[u8]) {
        if let Some(v) = Decoder::new(state).i64() {
            self.add(v);
        }
    }

    fn finish(&self) -> Value {
        self.value.map_or(Value::Null, Value::Long)
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}
