//! Quantiles of many numbers: a merging t-digest (T. Dunning, "The t-digest: Efficient estimates of distributions", 2021).
//!
//! While a digest holds no more distinct values than its limit, every value is a centroid of its own and all answers are
//! exact, by the nearest-rank rule: the percentile `p` of n weighted values is the least value whose cumulated weight
//! reaches p % of the total. Beyond that the tails stay sharp and the middle is interpolated.
//!
//! As a dynamic value: `{"sketch":"tdigest","of":"real","exact":true,"centroids":[[mean,weight],…]}`; `of` is the KQL
//! type of the values, so that a percentile of datetimes is a datetime; `exact` says that no two values were joined.

use crate::functions::codec::{Decoder, write_f64, write_u64};
use kqlake_value::{self as value, Json, Type, UNIX_EPOCH_TICKS, Value, ValueRef};

/// How many centroids a digest may hold.
const LIMIT: usize = 2048;

/// A digest of weighted numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct TDigest {
    /// `(mean, weight)`: sorted, then what came since the last compression.
    centroids: Vec<(f64, f64)>,
    sorted: usize,
    /// Different values were joined into one centroid.
    joined: bool,
}

impl TDigest {
    /// Takes a number with a weight; NaN and weights that are not positive are left out.
    pub(crate) fn insert(&mut self, value: f64, weight: f64) {
        if value.is_nan() || weight.is_nan() || weight <= 0.0 {
            return;
        }
        self.centroids.push((value, weight));
        if self.centroids.len() > 2 * LIMIT {
            self.compress();
        }
    }

    /// Takes another digest.
    pub(crate) fn merge(&mut self, other: &TDigest) {
        self.joined |= other.joined;
        for (value, weight) in &other.centroids {
            self.insert(*value, *weight);
        }
    }

    /// True when nothing was taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.centroids.is_empty()
    }

    /// Sorts, joins equal values, and joins neighbours until the limit holds. Answers are quick afterwards.
    pub(crate) fn compress(&mut self) {
        if self.sorted == self.centroids.len() {
            return;
        }
        self.centroids.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut distinct: Vec<(f64, f64)> = Vec::with_capacity(self.centroids.len());
        for (value, weight) in self.centroids.drain(..) {
            match distinct.last_mut() {
                Some(last) if last.0 == value => last.1 += weight,
                _ => distinct.push((value, weight)),
            }
        }
        if distinct.len() > LIMIT {
            distinct = join_neighbours(distinct);
            self.joined = true;
        }
        self.sorted = distinct.len();
        self.centroids = distinct;
    }

    /// The same digest, compressed.
    pub(crate) fn compressed(&self) -> TDigest {
        let mut copy = self.clone();
        copy.compress();
        copy
    }

    /// The percentile (0 to 100) of a compressed digest; `None` when it is empty.
    pub(crate) fn percentile(&self, p: f64) -> Option<f64> {
        let total: f64 = self.centroids.iter().map(|c| c.1).sum();
        // What the sum of many weights lost is forgiven.
        let target = total * p.clamp(0.0, 100.0) / 100.0 - total * 1e-12;
        let mut below = 0.0;
        for (i, (mean, weight)) in self.centroids.iter().enumerate() {
            if below + weight < target && i + 1 < self.centroids.len() {
                below += weight;
                continue;
            }
            if !self.joined || *weight <= 1.0 {
                return Some(*mean);
            }
            // A joined centroid's values are around its mean, half way to each neighbour.
            let inside = ((target - below) / weight).clamp(0.0, 1.0);
            let neighbour = if inside < 0.5 { i.checked_sub(1) } else { Some(i + 1) };
            let towards = neighbour.and_then(|n| self.centroids.get(n)).map_or(*mean, |n| n.0);
            return Some(mean + (towards - mean) * (inside - 0.5).abs());
        }
        None
    }

    /// The total weight, and the weight of the values not greater than a number; for a compressed digest.
    pub(crate) fn rank(&self, value: f64) -> (f64, f64) {
        let total = self.centroids.iter().map(|c| c.1).sum();
        (total, self.centroids.iter().take_while(|c| c.0 <= value).map(|c| c.1).sum())
    }

    /// Appends the digest's bytes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.joined.into());
        write_u64(out, self.centroids.len() as u64);
        for (value, weight) in &self.centroids {
            write_f64(out, *value);
            write_f64(out, *weight);
        }
    }

    /// Reads what [`TDigest::write`] wrote.
    pub(crate) fn read(decoder: &mut Decoder<'_>) -> Option<TDigest> {
        let mut digest = TDigest { joined: decoder.u8()? != 0, ..TDigest::default() };
        for _ in 0..decoder.u64()? {
            digest.insert(decoder.f64()?, decoder.f64()?);
        }
        Some(digest)
    }

    /// The digest as a dynamic value; empty digests are null.
    pub(crate) fn to_json(&self, of: Type) -> Json {
        if self.is_empty() {
            return Json::Null;
        }
        let digest = self.compressed();
        let centroids: Vec<Json> = digest.centroids.iter().map(|(v, w)| serde_json::json!([v, w])).collect();
        serde_json::json!({"sketch": "tdigest", "of": of.name(), "exact": !digest.joined, "centroids": centroids})
    }

    /// Reads a dynamic value that is a digest, compressed, with the type of its values; `None` for anything else.
    pub(crate) fn from_json(json: &Json) -> Option<(TDigest, Type)> {
        if json.get("sketch")?.as_str()? != "tdigest" {
            return None;
        }
        let of = Type::parse(json.get("of")?.as_str()?)?;
        let mut digest = TDigest { joined: !json.get("exact")?.as_bool()?, ..TDigest::default() };
        for centroid in json.get("centroids")?.as_array()? {
            digest.insert(centroid.get(0)?.as_f64()?, centroid.get(1)?.as_f64()?);
        }
        digest.compress();
        Some((digest, of))
    }

    /// Bytes held.
    pub(crate) fn size(&self) -> usize {
        size_of::<TDigest>() + self.centroids.capacity() * size_of::<(f64, f64)>()
    }
}

/// Joins sorted neighbours by the arcsine scale, which keeps centroids small at both ends.
fn join_neighbours(values: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let total: f64 = values.iter().map(|v| v.1).sum();
    let delta = LIMIT as f64;
    let scale = |q: f64| delta / (2.0 * std::f64::consts::PI) * (2.0 * q.clamp(0.0, 1.0) - 1.0).asin();
    let mut out: Vec<(f64, f64)> = Vec::with_capacity(LIMIT);
    let mut before = 0.0;
    let mut low = scale(0.0);
    for (value, weight) in values {
        match out.last_mut() {
            Some(last) if scale((before + last.1 + weight) / total) - low <= 1.0 => {
                let joined = last.1 + weight;
                last.0 += (value - last.0) * (weight / joined);
                last.1 = joined;
            }
            last => {
                before += last.map_or(0.0, |l| l.1);
                low = scale(before / total);
                out.push((value, weight));
            }
        }
    }
    out
}

/// The number that stands for a summable value: a timespan's ticks, a datetime's ticks since 1970, which a real holds exactly
/// where those since year 1 are too great.
pub(crate) fn number(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::TimeSpan(v) => Some(v as f64),
        ValueRef::DateTime(v) => Some((v - UNIX_EPOCH_TICKS) as f64),
        other => other.as_f64(),
    }
}

/// The value of a type that such a number stands for.
pub(crate) fn value_of(number: f64, ty: Type) -> Value {
    match ty {
        Type::Int | Type::Long => Value::Long(number.round() as i64),
        Type::TimeSpan => Value::TimeSpan(number.round() as i64),
        Type::DateTime => {
            value::datetime((number.round() as i64).saturating_add(UNIX_EPOCH_TICKS)).map_or(Value::Null, Value::DateTime)
        }
        _ => Value::Real(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_are_exact_and_many_are_near() {
        let mut digest = TDigest::default();
        for (v, w) in [(1.0, 1.0), (2.0, 2.0)] {
            digest.insert(v, w);
        }
        let at = |d: &TDigest, p| d.compressed().percentile(p).unwrap();
        assert_eq!((at(&digest, 0.0), at(&digest, 33.0), at(&digest, 50.0)), (1.0, 1.0, 2.0));

        let mut many = TDigest::default();
        for v in 0..1_000_000u64 {
            // A permutation of the numbers below a million.
            many.insert((v * 999_983 % 1_000_000) as f64, 1.0);
        }
        assert!(many.compressed().centroids.len() <= LIMIT);
        for p in [0.1, 1.0, 25.0, 50.0, 99.0, 99.9] {
            assert!((at(&many, p) - p * 10_000.0).abs() < 2_000.0, "{p}: {}", at(&many, p));
        }
        let (back, of) = TDigest::from_json(&many.to_json(Type::Long)).unwrap();
        assert_eq!((at(&back, 50.0), of), (at(&many, 50.0), Type::Long));
    }
}
