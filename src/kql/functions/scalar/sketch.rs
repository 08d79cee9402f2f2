//! What sketches answer: dcount_hll, percentile_tdigest and the like, and merges of sketches of one row.

use crate::functions::aggregate::percentiles::{ONE_OR_MANY, asked};
use crate::functions::sketch::hll::Hll;
use crate::functions::sketch::tdigest::{TDigest, number, value_of};
use crate::functions::{ArgInfo, ArgType, Naming, Param, Returns, RowFn, ScalarFn, ScalarImpl};
use kqlake_value::{Json, Type, Value, ValueRef};

const HLL: Param = Param::req("hll", ArgType::Dynamic);
const DIGEST: Param = Param::req("tdigest", ArgType::Dynamic);

/// The functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "dcount_hll",
        &[HLL],
        Returns::Type(Type::Long),
        ScalarImpl::Row(dcount_hll),
        "The distinct count of a sketch made by hll or hll_merge.",
    )
    .naming(Naming::Prefix("dcount_hll_")),
    ScalarFn::new(
        "hll_merge",
        &[HLL, HLL],
        Returns::Type(Type::Dynamic),
        ScalarImpl::Row(hll_merge),
        "One sketch of the distinct values that several have seen.",
    )
    // Several sketches in one row are merged under a name that does not follow from theirs.
    .naming_of_several(Naming::Fixed("hll_merged_result"))
    .variadic(),
    ScalarFn::new(
        "percentile_tdigest",
        &[DIGEST, Param::req("percentile", ArgType::Number), Param::opt("type", ArgType::TypeLiteral)],
        Returns::With(asked_type),
        ScalarImpl::Row(percentile_tdigest),
        "The percentile of a sketch made by tdigest or tdigest_merge.",
    )
    .naming(Naming::Prefix("percentile_tdigest_")),
    ScalarFn::new(
        "percentiles_array_tdigest",
        &[DIGEST, Param::req("percentile", ONE_OR_MANY).constant()],
        Returns::Type(Type::Dynamic),
        ScalarImpl::Prepared(percentiles_array_tdigest),
        "Several percentiles of a sketch in an array.",
    )
    .naming(Naming::Prefix("percentile_tdigest_"))
    .variadic(),
    ScalarFn::new(
        "percentrank_tdigest",
        &[DIGEST, Param::req("value", ArgType::Summable)],
        Returns::Type(Type::Real),
        ScalarImpl::Row(percent_rank),
        "The percentage of the sketch's values that are not greater than a value.",
    ),
    ScalarFn::new(
        "rank_tdigest",
        &[DIGEST, Param::req("value", ArgType::Summable)],
        Returns::Type(Type::Real),
        ScalarImpl::Row(rank),
        "How many of the sketch's values are not greater than a value.",
    ),
    ScalarFn::new(
        "tdigest_merge",
        &[DIGEST, DIGEST],
        Returns::Type(Type::Dynamic),
        ScalarImpl::Row(tdigest_merge),
        "One sketch of the values that several have seen.",
    )
    .naming_of_several(Naming::Fixed("tdigests_merge_result"))
    .aliases(&["merge_tdigest"])
    .variadic(),
];

fn json(value: ValueRef<'_>) -> Option<Json> {
    match value {
        ValueRef::Dynamic(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

fn digest(value: ValueRef<'_>) -> Option<(TDigest, Type)> {
    TDigest::from_json(&json(value)?)
}

fn dcount_hll(args: &[ValueRef<'_>]) -> Value {
    json(args[0]).and_then(|j| Hll::from_json(&j)).map_or(Value::Null, |h| Value::Long(h.count() as i64))
}

fn hll_merge(args: &[ValueRef<'_>]) -> Value {
    let mut sketches = args.iter().filter_map(|a| json(*a)).filter_map(|j| Hll::from_json(&j));
    let Some(mut merged) = sketches.next() else { return Value::Null };
    for sketch in sketches {
        merged.merge(&sketch);
    }
    Value::Dynamic(merged.to_json())
}

fn tdigest_merge(args: &[ValueRef<'_>]) -> Value {
    let mut sketches = args.iter().filter_map(|a| digest(*a));
    let Some((mut merged, of)) = sketches.next() else { return Value::Null };
    for (sketch, _) in sketches {
        merged.merge(&sketch);
    }
    Value::Dynamic(merged.to_json(of))
}

fn asked_type(args: &[ArgInfo]) -> Result<Type, String> {
    match args.get(2).map(|a| &a.constant) {
        None => Ok(Type::Dynamic),
        Some(Some(Value::String(name))) => Type::parse(name).ok_or_else(|| format!("{name} is no type")),
        Some(_) => Err("the third argument must be typeof(type)".to_owned()),
    }
}

fn percentile_tdigest(args: &[ValueRef<'_>]) -> Value {
    let (Some((digest, of)), Some(p)) = (digest(args[0]), args[1].as_f64()) else { return Value::Null };
    let Some(found) = digest.percentile(p) else { return Value::Null };
    match args.get(2).and_then(|t| t.as_str()) {
        Some(name) => Type::parse(name).map_or(Value::Null, |ty| value_of(found, ty)),
        None => Value::Dynamic(json_of(found, of)),
    }
}

/// A number of a sketch as the JSON form of its type's value.
fn json_of(found: f64, of: Type) -> Json {
    let mut text = String::new();
    value_of(found, of).as_ref(&mut text).to_json()
}

fn percentiles_array_tdigest(args: &[ArgInfo], _: Type) -> Result<RowFn, String> {
    let asked = asked(&args[1..])?;
    Ok(Box::new(move |row| {
        let Some((digest, of)) = digest(row[0]) else { return Value::Null };
        Value::Dynamic(asked.iter().map(|p| digest.percentile(*p).map_or(Json::Null, |v| json_of(v, of))).collect())
    }))
}

fn rank(args: &[ValueRef<'_>]) -> Value {
    match (digest(args[0]), number(args[1])) {
        (Some((digest, _)), Some(value)) => Value::Real(digest.rank(value).1),
        _ => Value::Null,
    }
}

fn percent_rank(args: &[ValueRef<'_>]) -> Value {
    match (digest(args[0]), number(args[1])) {
        (Some((digest, _)), Some(value)) => {
            let (total, below) = digest.rank(value);
            if total > 0.0 { Value::Real(below / total * 100.0) } else { Value::Null }
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_answers_in_its_own_type() {
        let mut digest = TDigest::default();
        for v in [1.0, 2.0, 3.0, 4.0] {
            digest.insert(v, 1.0);
        }
        let text = digest.to_json(Type::Long).to_string();
        let sketch = ValueRef::Dynamic(&text);
        assert_eq!(percentile_tdigest(&[sketch, ValueRef::Long(50)]), Value::Dynamic(2.into()));
        assert_eq!(percentile_tdigest(&[sketch, ValueRef::Long(50), ValueRef::String("real")]), Value::Real(2.0));
        assert_eq!(rank(&[sketch, ValueRef::Real(3.5)]), Value::Real(3.0));
        assert_eq!(percent_rank(&[sketch, ValueRef::Long(1)]), Value::Real(25.0));
        let merged = tdigest_merge(&[sketch, ValueRef::Null, sketch]);
        let mut merged_text = String::new();
        assert_eq!(rank(&[merged.as_ref(&mut merged_text), ValueRef::Long(4)]), Value::Real(8.0));
    }
}
