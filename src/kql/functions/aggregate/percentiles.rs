//! percentile and its forms, weighted ones too: the nearest-rank percentile, a value from the data.
//!
//! The percentile `p` of n values is the least value whose rank reaches p % of n. It is exact up to 131,072 values a group;
//! beyond that numbers, timespans and datetimes go into a t-digest. Values of other types stay exact.

use super::order::order;
use crate::functions::codec::{Decoder, OwnedValue, write_i64, write_u64, write_value};
use crate::functions::sketch::tdigest::{TDigest, number, value_of};
use crate::functions::{Accumulate, AggregateFn, AggregateImpl, ArgInfo, ArgType, Gives, Naming, Param, Returns};
use kqlake_value::{Json, Type, Value, ValueRef, columns};

/// Values that a group may hold before it becomes a digest.
const EXACT: usize = 1 << 17;

const VALUE: Param = Param::req("expr", ArgType::Any);
const WEIGHT: Param = Param::req("weight", ArgType::Integer);
const PERCENTILE: Param = Param::req("percentile", ArgType::Number).constant();
const PERCENTILES: Param = Param::req("percentile", ONE_OR_MANY).constant();

/// A percentile, or an array of them.
pub(crate) const ONE_OR_MANY: ArgType = ArgType::OneOf(&[Type::Int, Type::Long, Type::Real, Type::Decimal, Type::Dynamic]);

/// The functions.
pub(crate) const AGGREGATES: &[AggregateFn] = &[
    AggregateFn::new(
        "percentile",
        &[VALUE, PERCENTILE],
        Returns::With(one_type),
        Naming::Generated,
        AggregateImpl::Rows(percentile),
        "The percentile of the values.",
    )
    .gives(Gives::EachPercentage { of: "percentile", weighted: false }),
    AggregateFn::new(
        "percentiles",
        &[VALUE, PERCENTILE],
        Returns::With(one_type),
        Naming::Generated,
        AggregateImpl::Rows(percentile),
        "Several percentiles, a column each.",
    )
    .gives(Gives::EachPercentage { of: "percentile", weighted: false })
    .variadic(),
    AggregateFn::new(
        "percentiles_array",
        &[VALUE, PERCENTILES],
        Returns::Type(Type::Dynamic),
        Naming::Prefix("percentiles"),
        AggregateImpl::Rows(percentile_array),
        "Several percentiles in an array.",
    )
    .variadic(),
    AggregateFn::new(
        "percentilew",
        &[VALUE, WEIGHT, PERCENTILE],
        Returns::With(one_type),
        Naming::Generated,
        AggregateImpl::Rows(weighted),
        "The percentile of weighted values.",
    )
    .gives(Gives::EachPercentage { of: "percentilew", weighted: true }),
    AggregateFn::new(
        "percentilesw",
        &[VALUE, WEIGHT, PERCENTILE],
        Returns::With(one_type),
        Naming::Generated,
        AggregateImpl::Rows(weighted),
        "Several percentiles of weighted values, a column each.",
    )
    .gives(Gives::EachPercentage { of: "percentilew", weighted: true })
    .variadic(),
    AggregateFn::new(
        "percentilesw_array",
        &[VALUE, WEIGHT, PERCENTILES],
        Returns::Type(Type::Dynamic),
        Naming::Prefix("percentiles"),
        AggregateImpl::Rows(weighted_array),
        "Several percentiles of weighted values in an array.",
    )
    .variadic(),
];

fn one_type(args: &[ArgInfo]) -> Result<Type, String> {
    Ok(match args.first().map_or(Type::Real, |a| a.ty) {
        Type::Int => Type::Long,
        Type::Decimal => Type::Real,
        other => other,
    })
}

fn percentile(args: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    make(args, 1, false)
}
fn percentile_array(args: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    make(args, 1, true)
}
fn weighted(args: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    make(args, 2, false)
}
fn weighted_array(args: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    make(args, 2, true)
}

/// The percentiles that constant arguments ask for, numbers or arrays of numbers.
pub(crate) fn asked(args: &[ArgInfo]) -> Result<Vec<f64>, String> {
    let mut out = Vec::new();
    for arg in args {
        match &arg.constant {
            Some(Value::Dynamic(Json::Array(items))) => {
                for item in items {
                    out.push(item.as_f64().ok_or("a percentile must be a number from 0 to 100")?);
                }
            }
            Some(Value::Dynamic(json)) => out.push(json.as_f64().ok_or("a percentile must be a number from 0 to 100")?),
            Some(value) => {
                let mut text = String::new();
                out.push(value.as_ref(&mut text).as_f64().ok_or("a percentile must be a number from 0 to 100")?);
            }
            None => return Err("the percentiles must be constants".to_owned()),
        }
    }
    match out.iter().find(|p| !(0.0..=100.0).contains(*p)) {
        Some(p) => Err(format!("a percentile must be from 0 to 100, not {p}")),
        None => Ok(out),
    }
}

fn make(args: &[ArgInfo], first: usize, array: bool) -> Result<Box<dyn Accumulate>, String> {
    let asked = asked(&args[first.min(args.len())..])?;
    let ty = args.first().map_or(Type::Real, |a| a.ty);
    let out = PercentileOutput { asked, array };
    let weighted = first == 2;
    Ok(match ty {
        Type::Int | Type::Long | Type::Real | Type::Decimal | Type::DateTime | Type::TimeSpan => {
            Box::new(NumberCounts { out, ty, weighted, keys: Vec::new(), weights: Vec::new(), digest: None })
        }
        _ => Box::new(ValueCounts { out, weighted, values: Vec::new(), heap: 0 }),
    })
}

#[derive(Debug, Clone)]
struct PercentileOutput {
    asked: Vec<f64>,
    array: bool,
}

impl PercentileOutput {
    /// The first percentile, or all of them in an array.
    fn value(&self, mut at: impl FnMut(f64) -> Value) -> Value {
        if !self.array {
            return self.asked.first().map_or(Value::Null, |p| at(*p));
        }
        let mut text = String::new();
        let items = self.asked.iter().map(|p| at(*p).as_ref(&mut text).to_json()).collect();
        Value::Dynamic(Json::Array(items))
    }
}

/// The first place whose cumulated weight reaches p % of the total.
fn nearest_rank(total: u64, p: f64) -> u64 {
    // Products such as 29 % of 100 must not land a hair above the whole number they are.
    ((total as f64 * p / 100.0 - 1e-9).ceil() as u64).clamp(1, total.max(1))
}

/// NumberCounts by order-preserving 64-bit keys.
#[derive(Debug, Clone)]
struct NumberCounts {
    out: PercentileOutput,
    ty: Type,
    weighted: bool,
    keys: Vec<i64>,
    weights: Vec<u64>,
    digest: Option<Box<TDigest>>,
}

/// A real's bits in an order that integers have.
fn real_key(v: f64) -> i64 {
    let bits = v.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

fn key_real(key: i64) -> f64 {
    f64::from_bits((key ^ (((key >> 63) as u64) >> 1) as i64) as u64)
}

impl NumberCounts {
    fn key(&self, value: ValueRef<'_>) -> Option<i64> {
        Some(match value {
            ValueRef::Int(v) => v.into(),
            ValueRef::Long(v) | ValueRef::DateTime(v) | ValueRef::TimeSpan(v) => v,
            ValueRef::Real(v) if v.is_nan() => i64::MIN,
            other => real_key(other.as_f64()?),
        })
    }

    fn number(&self, key: i64) -> f64 {
        match self.ty {
            Type::Real | Type::Decimal => key_real(key),
            Type::DateTime => number(ValueRef::DateTime(key)).unwrap_or_default(),
            _ => key as f64,
        }
    }

    fn value(&self, key: i64) -> Value {
        match self.ty {
            Type::DateTime => Value::DateTime(key),
            Type::TimeSpan => Value::TimeSpan(key),
            Type::Real | Type::Decimal => Value::Real(if key == i64::MIN { f64::NAN } else { key_real(key) }),
            _ => Value::Long(key),
        }
    }

    fn add(&mut self, key: i64, weight: u64) {
        let number = self.number(key);
        if let Some(digest) = &mut self.digest {
            digest.insert(number, weight as f64);
            return;
        }
        self.keys.push(key);
        if self.weighted {
            self.weights.push(weight);
        }
        if self.keys.len() > EXACT {
            self.condense();
        }
    }

    /// Moves the values into a digest.
    fn condense(&mut self) {
        let mut digest = Box::<TDigest>::default();
        for (i, key) in self.keys.iter().enumerate() {
            digest.insert(self.number(*key), self.weights.get(i).map_or(1.0, |w| *w as f64));
        }
        digest.compress();
        self.digest = Some(digest);
        self.keys = Vec::new();
        self.weights = Vec::new();
    }
}

impl Accumulate for NumberCounts {
    fn update(&mut self, args: &[ValueRef<'_>]) {
        let Some(key) = self.key(args[0]) else { return };
        let weight = if self.weighted { args[1].as_i64().unwrap_or(0) } else { 1 };
        if weight > 0 {
            self.add(key, weight as u64);
        }
    }

    fn state(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.keys.len() * 5 + 16);
        match &self.digest {
            Some(digest) => {
                out.push(1);
                digest.write(&mut out);
            }
            None => {
                out.push(0);
                for (i, key) in self.keys.iter().enumerate() {
                    write_i64(&mut out, *key);
                    if self.weighted {
                        write_u64(&mut out, self.weights[i]);
                    }
                }
            }
        }
        out
    }

    fn merge(&mut self, state: &[u8]) {
        let mut decoder = Decoder::new(state);
        if decoder.u8() == Some(1) {
            if let Some(other) = TDigest::read(&mut decoder) {
                if self.digest.is_none() {
                    self.condense();
                }
                if let Some(digest) = &mut self.digest {
                    digest.merge(&other);
                }
            }
            return;
        }
        while let Some(key) = decoder.i64() {
            let weight = if self.weighted { decoder.u64().unwrap_or(0) } else { 1 };
            if weight > 0 {
                self.add(key, weight);
            }
        }
    }

    fn finish(&self) -> Value {
        if let Some(digest) = &self.digest {
            let digest = digest.compressed();
            let ty = if self.ty == Type::Decimal { Type::Real } else { self.ty };
            return self.out.value(|p| digest.percentile(p).map_or(Value::Null, |v| value_of(v, ty)));
        }
        if self.keys.is_empty() {
            return self.out.value(|_| Value::Null);
        }
        if self.weighted {
            let mut pairs: Vec<(i64, u64)> = self.keys.iter().copied().zip(self.weights.iter().copied()).collect();
            pairs.sort_unstable();
            let total = pairs.iter().map(|p| p.1).fold(0u64, u64::saturating_add);
            return self.out.value(|p| {
                let rank = nearest_rank(total, p);
                let mut seen = 0u64;
                let found = pairs.iter().find(|pair| {
                    seen = seen.saturating_add(pair.1);
                    seen >= rank
                });
                found.or(pairs.last()).map_or(Value::Null, |pair| self.value(pair.0))
            });
        }
        let mut keys = self.keys.clone();
        self.out.value(|p| {
            let place = nearest_rank(keys.len() as u64, p) as usize - 1;
            let (_, key, _) = keys.select_nth_unstable(place);
            self.value(*key)
        })
    }

    fn size(&self) -> usize {
        size_of::<Self>()
            + self.out.asked.capacity() * 8
            + self.keys.capacity() * 8
            + self.weights.capacity() * 8
            + self.digest.as_ref().map_or(0, |d| d.size())
    }
}

/// Values of the other types, all of them kept.
#[derive(Debug, Clone)]
struct ValueCounts {
    out: PercentileOutput,
    weighted: bool,
    values: Vec<(OwnedValue, u64)>,
    heap: usize,
}

impl Accumulate for ValueCounts {
    fn update(&mut self, args: &[ValueRef<'_>]) {
        let weight = if self.weighted { args[1].as_i64().unwrap_or(0) } else { 1 };
        if !args[0].is_null() && weight > 0 {
            let held = OwnedValue::from(args[0]);
            self.heap += held.heap_size();
            self.values.push((held, weight as u64));
        }
    }

    fn state(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (value, weight) in &self.values {
            write_value(&mut out, value.as_ref());
            write_u64(&mut out, *weight);
        }
        out
    }

    fn merge(&mut self, state: &[u8]) {
        let mut decoder = Decoder::new(state);
        while let (Some(value), Some(weight)) = (decoder.value(), decoder.u64()) {
            let held = OwnedValue::from(value);
            self.heap += held.heap_size();
            self.values.push((held, weight));
        }
    }

    fn finish(&self) -> Value {
        let mut sorted: Vec<(ValueRef<'_>, u64)> = self.values.iter().map(|(v, w)| (v.as_ref(), *w)).collect();
        sorted.sort_by(|a, b| order(a.0, b.0));
        let total = sorted.iter().map(|v| v.1).fold(0u64, u64::saturating_add);
        self.out.value(|p| {
            let rank = nearest_rank(total, p);
            let mut seen = 0u64;
            let found = sorted.iter().find(|v| {
                seen = seen.saturating_add(v.1);
                seen >= rank
            });
            found.map_or(Value::Null, |v| columns::to_value(v.0))
        })
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<(OwnedValue, u64)>() + self.heap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(ty: Type, constants: &[f64]) -> Vec<ArgInfo> {
        let constant = |v: &f64| ArgInfo { ty: Type::Real, constant: Some(Value::Real(*v)) };
        std::iter::once(ArgInfo { ty, constant: None }).chain(constants.iter().map(constant)).collect()
    }

    #[test]
    fn the_nearest_rank_is_a_value_of_the_data() {
        for (p, expected) in [(0.0, 10), (25.0, 10), (50.0, 10), (50.1, 20), (100.0, 20)] {
            let mut state = percentile(&info(Type::Long, &[p]), Type::Long).unwrap();
            for v in [20, 10] {
                state.update(&[ValueRef::Long(v)]);
            }
            state.update(&[ValueRef::Null]);
            assert_eq!(state.finish(), Value::Long(expected), "{p}");
        }
        assert!(percentile(&info(Type::Long, &[101.0]), Type::Long).is_err());
    }

    #[test]
    fn reals_keep_their_order_and_weights_count() {
        let mut args = info(Type::Real, &[]);
        args.push(ArgInfo { ty: Type::Long, constant: None });
        args.push(ArgInfo { ty: Type::Dynamic, constant: Some(Value::Dynamic(serde_json::json!([25, 50, 100]))) });
        let mut state = weighted_array(&args, Type::Dynamic).unwrap();
        for (v, w) in [(2.5, 1), (-1.5, 2), (-3.0, 0), (7.0, 1)] {
            state.update(&[ValueRef::Real(v), ValueRef::Long(w)]);
        }
        let mut other = weighted_array(&args, Type::Dynamic).unwrap();
        other.merge(&state.state());
        assert_eq!(other.finish(), Value::Dynamic(serde_json::json!([-1.5, -1.5, 7.0])));
    }

    #[test]
    fn many_values_become_an_estimate() {
        let mut state = percentile(&info(Type::Long, &[50.0]), Type::Long).unwrap();
        for v in 0..300_000i64 {
            state.update(&[ValueRef::Long(v * 7919 % 300_000)]);
        }
        assert!(state.size() < 200_000);
        let Value::Long(median) = state.finish() else { panic!("a long was expected") };
        assert!((median - 150_000).abs() < 1_500, "{median}");
    }
}
