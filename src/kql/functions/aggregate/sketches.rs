//! hll, tdigest and their merges: sketches as values, to be kept, merged and asked later.

use super::distinct::sketch_of_distinct;
use crate::functions::codec::Decoder;
use crate::functions::sketch::hll::Hll;
use crate::functions::sketch::tdigest::{TDigest, number};
use crate::functions::{Accumulate, AggregateFn, AggregateImpl, ArgInfo, ArgType, Naming, Param, Returns};
use kqlake_value::{Json, Type, Value, ValueRef};

type Make = fn(&[ArgInfo], Type) -> Result<Box<dyn Accumulate>, String>;

const fn sketch(
    name: &'static str,
    params: &'static [Param],
    prefix: &'static str,
    make: Make,
    doc: &'static str,
) -> AggregateFn {
    AggregateFn::new(name, params, Returns::Type(Type::Dynamic), Naming::Prefix(prefix), AggregateImpl::Rows(make), doc)
}

const COUNTED: &[Type] =
    &[Type::Int, Type::Long, Type::Decimal, Type::String, Type::DateTime, Type::TimeSpan, Type::Guid, Type::Dynamic];
const HLL: &[Param] = &[Param::req("expr", ArgType::OneOf(COUNTED)), Param::opt("accuracy", ArgType::Integer).constant()];
const TDIGEST: &[Param] = &[Param::req("expr", ArgType::Summable), Param::opt("weight", ArgType::Integer)];
const MERGED: &[Param] = &[Param::req("sketch", ArgType::Dynamic)];

/// The functions.
pub(crate) const AGGREGATES: &[AggregateFn] = &[
    sketch("hll", HLL, "hll", hll, "A sketch of the distinct values, for hll_merge and dcount_hll."),
    sketch("hll_if", HLL, "hll_if", hll, "A sketch of the distinct values over the rows for which the predicate is true.")
        .predicate(1),
    sketch(
        "hll_merge",
        MERGED,
        "hll_merge",
        |_, _| Ok(Box::new(Distinct { hll: None })),
        "One sketch of the distinct values that several have seen.",
    ),
    sketch("tdigest", TDIGEST, "tdigest", tdigest, "A sketch of the distribution of the values, for percentile_tdigest."),
    sketch(
        "tdigest_merge",
        MERGED,
        "merge_tdigests",
        |_, _| Ok(Box::new(MergedQuantiles::default())),
        "One sketch of the values that several have seen.",
    )
    .aliases(&["merge_tdigest"]),
];

fn hll(args: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    // As of other aggregates of nothing: null.
    sketch_of_distinct(args, |hll| if hll.count() == 0 { Value::Null } else { Value::Dynamic(hll.to_json()) })
}

fn tdigest(args: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    let of = args.first().map_or(Type::Real, |a| a.ty);
    Ok(Box::new(Quantiles { of, digest: TDigest::default() }))
}

/// The merge of sketches of distinct values; null until there is one.
#[derive(Debug)]
struct Distinct {
    hll: Option<Hll>,
}

impl Distinct {
    fn add(&mut self, other: Hll) {
        match &mut self.hll {
            Some(hll) => hll.merge(&other),
            None => self.hll = Some(other),
        }
    }
}

impl Accumulate for Distinct {
    fn update(&mut self, args: &[ValueRef<'_>]) {
        if let ValueRef::Dynamic(text) = args[0]
            && let Some(other) = serde_json::from_str::<Json>(text).ok().and_then(|json| Hll::from_json(&json))
        {
            self.add(other);
        }
    }
    fn state(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(hll) = &self.hll {
            hll.write(&mut out);
        }
        out
    }
    fn merge(&mut self, state: &[u8]) {
        if let Some(other) = Hll::read(&mut Decoder::new(state)) {
            self.add(other);
        }
    }
    fn finish(&self) -> Value {
        self.hll.as_ref().map_or(Value::Null, |h| Value::Dynamic(h.to_json()))
    }
    fn size(&self) -> usize {
        size_of::<Self>() + self.hll.as_ref().map_or(0, Hll::size)
    }
}

/// A sketch of a distribution in the making.
#[derive(Debug)]
struct Quantiles {
    of: Type,
    digest: TDigest,
}

impl Accumulate for Quantiles {
    fn update(&mut self, args: &[ValueRef<'_>]) {
        let weight = args.get(1).map_or(Some(1), |w| w.as_i64());
        if let (Some(v), Some(weight)) = (number(args[0]), weight) {
            self.digest.insert(v, weight as f64);
        }
    }
    fn state(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.digest.write(&mut out);
        out
    }
    fn merge(&mut self, state: &[u8]) {
        if let Some(other) = TDigest::read(&mut Decoder::new(state)) {
            self.digest.merge(&other);
        }
    }
    fn finish(&self) -> Value {
        Value::Dynamic(self.digest.to_json(self.of))
    }
    fn size(&self) -> usize {
        size_of::<Self>() + self.digest.size()
    }
}

/// The merge of sketches of distributions.
#[derive(Debug, Default)]
struct MergedQuantiles {
    of: Option<Type>,
    digest: TDigest,
}

impl MergedQuantiles {
    fn add(&mut self, digest: &TDigest, of: Type) {
        self.of.get_or_insert(of);
        self.digest.merge(digest);
    }
}

impl Accumulate for MergedQuantiles {
    fn update(&mut self, args: &[ValueRef<'_>]) {
        if let ValueRef::Dynamic(text) = args[0]
            && let Some((digest, of)) = serde_json::from_str::<Json>(text).ok().and_then(|json| TDigest::from_json(&json))
        {
            self.add(&digest, of);
        }
    }
    fn state(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(of) = self.of {
            crate::functions::codec::write_bytes(&mut out, of.name().as_bytes());
            self.digest.write(&mut out);
        }
        out
    }
    fn merge(&mut self, state: &[u8]) {
        let mut decoder = Decoder::new(state);
        if let Some(of) = decoder.text().and_then(Type::parse)
            && let Some(digest) = TDigest::read(&mut decoder)
        {
            self.add(&digest, of);
        }
    }
    fn finish(&self) -> Value {
        self.of.map_or(Value::Null, |of| Value::Dynamic(self.digest.to_json(of)))
    }
    fn size(&self) -> usize {
        size_of::<Self>() + self.digest.size()
    }
}
