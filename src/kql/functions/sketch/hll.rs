//! Distinct counts: an exact set of 64-bit hashes, and HyperLogLog registers once the set outgrows them.
//!
//! The estimate is O. Ertl's ("New cardinality estimation algorithms for HyperLogLog sketches", 2017), which needs no
//! tables. Accuracy levels are those of Kusto's `dcount`: 0 to 4 for 2^12, 2^14, 2^16, 2^17 and 2^18 registers.
//!
//! As a dynamic value: `{"sketch":"hll","bits":14,"hashes":"…"}` (base64 of the sorted hashes, 8 bytes each, little
//! endian) or `{"sketch":"hll","bits":14,"registers":"…"}` (one character of the base64 alphabet for each register).

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::functions::codec::{Decoder, write_bytes, write_u64};
use kqlake_value::Json;
use kqlake_value::hashed::BuildKeyHasher;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[derive(Debug, Clone)]
enum Content {
    Exact(HashSet<u64, BuildKeyHasher>),
    Registers(Box<[u8]>),
}

/// A counter of distinct hashes.
#[derive(Debug, Clone)]
pub(crate) struct Hll {
    bits: u8,
    content: Content,
}

impl Hll {
    /// An empty counter of an accuracy level (0 to 4); `None` for another level.
    pub(crate) fn new(accuracy: i64) -> Option<Hll> {
        let bits = *[12u8, 14, 16, 17, 18].get(usize::try_from(accuracy).ok()?)?;
        Some(Hll { bits, content: Content::Exact(HashSet::default()) })
    }

    /// Takes a hash.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64) {
        match &mut self.content {
            Content::Exact(set) => {
                if set.insert(hash) && set.len() > 1 << self.bits {
                    self.condense();
                }
            }
            Content::Registers(registers) => register(registers, self.bits, hash),
        }
    }

    /// Turns the exact set into registers.
    fn condense(&mut self) {
        if let Content::Exact(set) = &self.content {
            let mut registers = vec![0u8; 1 << self.bits].into_boxed_slice();
            for hash in set {
                register(&mut registers, self.bits, *hash);
            }
            self.content = Content::Registers(registers);
        }
    }

    /// Takes everything that another counter has seen. The result has the coarser of the two accuracies.
    pub(crate) fn merge(&mut self, other: &Hll) {
        if other.bits < self.bits {
            self.coarsen(other.bits);
        }
        match &other.content {
            Content::Exact(set) => {
                if let Content::Exact(ours) = &mut self.content {
                    // Hashes come in the order of another table's buckets; without capacity they would collide in a few.
                    ours.reserve(set.len().min(1 << self.bits));
                }
                for hash in set {
                    self.insert(*hash);
                }
            }
            Content::Registers(theirs) => {
                self.condense();
                let shift = other.bits - self.bits;
                if let Content::Registers(ours) = &mut self.content {
                    for (index, rank) in theirs.iter().enumerate() {
                        let (index, rank) = fold(index, *rank, shift);
                        ours[index] = ours[index].max(rank);
                    }
                }
            }
        }
    }

    fn coarsen(&mut self, bits: u8) {
        let shift = self.bits - bits;
        self.bits = bits;
        match &mut self.content {
            Content::Exact(set) => {
                if set.len() > 1 << bits {
                    self.condense();
                }
            }
            Content::Registers(old) => {
                let mut new = vec![0u8; 1 << bits].into_boxed_slice();
                for (index, rank) in old.iter().enumerate() {
                    let (index, rank) = fold(index, *rank, shift);
                    new[index] = new[index].max(rank);
                }
                *old = new;
            }
        }
    }

    /// The number of distinct hashes: exact for small sets, else an estimate.
    pub(crate) fn count(&self) -> u64 {
        match &self.content {
            Content::Exact(set) => set.len() as u64,
            Content::Registers(registers) => estimate(registers, self.bits).round() as u64,
        }
    }

    /// How many registers there are; `None` while the hashes themselves are kept.
    pub(crate) fn registers(&self) -> Option<usize> {
        match &self.content {
            Content::Exact(_) => None,
            Content::Registers(registers) => Some(registers.len()),
        }
    }

    /// The number of hashes that all counters have seen: exact while all are sets, else by inclusion and exclusion.
    pub(crate) fn intersection(all: &[Hll]) -> u64 {
        let sets: Vec<_> = all
            .iter()
            .filter_map(|h| match &h.content {
                Content::Exact(set) => Some(set),
                Content::Registers(_) => None,
            })
            .collect();
        if let (Some((first, rest)), true) = (sets.split_first(), sets.len() == all.len()) {
            return first.iter().filter(|hash| rest.iter().all(|s| s.contains(hash))).count() as u64;
        }
        // |A ∩ B ∩ …| = Σ (−1)^(k+1) |union of each k|, over the non-empty subsets.
        let mut sum = 0.0;
        for subset in 1u32..(1 << all.len().min(16)) {
            let mut union: Option<Hll> = None;
            for (i, hll) in all.iter().enumerate().filter(|(i, _)| subset >> i & 1 == 1) {
                debug_assert!(i < 16);
                match &mut union {
                    None => union = Some(hll.clone()),
                    Some(u) => u.merge(hll),
                }
            }
            let count = union.map_or(0, |u| u.count()) as f64;
            sum += if subset.count_ones() % 2 == 1 { count } else { -count };
        }
        sum.max(0.0).round() as u64
    }

    /// Appends the counter's bytes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.bits);
        match &self.content {
            Content::Exact(set) => {
                out.push(0);
                write_u64(out, set.len() as u64);
                for hash in set {
                    out.extend_from_slice(&hash.to_le_bytes());
                }
            }
            Content::Registers(registers) => {
                out.push(1);
                write_bytes(out, registers);
            }
        }
    }

    /// Reads what [`Hll::write`] wrote.
    pub(crate) fn read(decoder: &mut Decoder<'_>) -> Option<Hll> {
        let bits = decoder.u8().filter(|b| (4..=18).contains(b))?;
        let content = match decoder.u8()? {
            0 => {
                let count = decoder.u64()?;
                let mut set = HashSet::with_capacity_and_hasher((count as usize).min(1 << bits), BuildKeyHasher::default());
                for _ in 0..count {
                    set.insert(decoder.fixed_u64()?);
                }
                Content::Exact(set)
            }
            _ => Content::Registers(decoder.bytes().filter(|b| b.len() == 1 << bits)?.into()),
        };
        Some(Hll { bits, content })
    }

    /// The counter as a dynamic value.
    pub(crate) fn to_json(&self) -> Json {
        match &self.content {
            Content::Exact(set) => {
                let mut hashes: Vec<u64> = set.iter().copied().collect();
                hashes.sort_unstable();
                let bytes: Vec<u8> = hashes.iter().flat_map(|h| h.to_le_bytes()).collect();
                serde_json::json!({"sketch": "hll", "bits": self.bits, "hashes": STANDARD.encode(bytes)})
            }
            Content::Registers(registers) => {
                let text: String = registers.iter().map(|r| char::from(ALPHABET[usize::from(*r & 63)])).collect();
                serde_json::json!({"sketch": "hll", "bits": self.bits, "registers": text})
            }
        }
    }

    /// Reads a dynamic value that is a counter; `None` for anything else.
    pub(crate) fn from_json(json: &Json) -> Option<Hll> {
        if json.get("sketch")?.as_str()? != "hll" {
            return None;
        }
        let bits = u8::try_from(json.get("bits")?.as_u64()?).ok().filter(|b| (4..=18).contains(b))?;
        if let Some(text) = json.get("hashes").and_then(Json::as_str) {
            let bytes = STANDARD.decode(text).ok()?;
            let hashes = bytes.chunks_exact(8).map(|c| c.iter().rev().fold(0u64, |v, b| v << 8 | u64::from(*b)));
            return Some(Hll { bits, content: Content::Exact(hashes.collect()) });
        }
        let text = json.get("registers")?.as_str()?;
        let registers: Option<Vec<u8>> = text.bytes().map(|c| ALPHABET.iter().position(|a| *a == c).map(|i| i as u8)).collect();
        let registers = registers.filter(|r| r.len() == 1 << bits)?;
        Some(Hll { bits, content: Content::Registers(registers.into()) })
    }

    /// Bytes held.
    pub(crate) fn size(&self) -> usize {
        size_of::<Hll>()
            + match &self.content {
                // A hash table keeps one control byte an entry.
                Content::Exact(set) => set.capacity() * 9,
                Content::Registers(registers) => registers.len(),
            }
    }
}

/// Counts a hash in: the top bits choose the register, the leading zeros of the rest are its rank.
fn register(registers: &mut [u8], bits: u8, hash: u64) {
    let index = (hash >> (64 - bits)) as usize;
    let rank = ((hash << bits) | 1 << (bits - 1)).leading_zeros() as u8 + 1;
    registers[index] = registers[index].max(rank);
}

/// Where a register of a finer counter goes in one with `shift` bits fewer, and with which rank.
fn fold(index: usize, rank: u8, shift: u8) -> (usize, u8) {
    if rank == 0 || shift == 0 {
        return (index >> shift, rank);
    }
    let low = index & ((1 << shift) - 1);
    let rank = if low == 0 { rank + shift } else { shift - (usize::BITS - low.leading_zeros()) as u8 + 1 };
    (index >> shift, rank)
}

fn estimate(registers: &[u8], bits: u8) -> f64 {
    let m = registers.len() as f64;
    let top = usize::from(64 - bits) + 1;
    let mut counts = vec![0u32; top + 1];
    for rank in registers {
        counts[usize::from(*rank).min(top)] += 1;
    }
    let mut z = m * tau(1.0 - f64::from(counts[top]) / m);
    for count in counts[1..top].iter().rev() {
        z = 0.5 * (z + f64::from(*count));
    }
    z += m * sigma(f64::from(counts[0]) / m);
    // m² α∞ / z with α∞ = 1 / (2 ln 2).
    m * m / (2.0 * std::f64::consts::LN_2 * z)
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::sketch::hash64;
    use kqlake_value::ValueRef;

    fn of(range: std::ops::Range<i64>, accuracy: i64) -> Hll {
        let mut hll = Hll::new(accuracy).unwrap();
        for v in range {
            hll.insert(hash64(ValueRef::Long(v)));
        }
        hll
    }

    #[test]
    fn small_sets_are_exact_and_great_ones_near() {
        assert_eq!(of(0..16_000, 1).count(), 16_000);
        for (n, accuracy, error) in [(100_000, 1, 0.03), (1_000_000, 0, 0.06), (300_000, 4, 0.01)] {
            let count = of(0..n, accuracy).count() as f64;
            assert!((count / n as f64 - 1.0).abs() < error, "{count} for {n}");
        }
    }

    #[test]
    fn merging_equals_counting_at_once_even_between_accuracies() {
        let mut coarse = of(0..30_000, 0);
        coarse.merge(&of(20_000..300_000, 2));
        assert_eq!(coarse.count(), of(0..300_000, 0).count());
        let mut fine = of(20_000..300_000, 2);
        fine.merge(&of(0..30_000, 0));
        assert_eq!(fine.count(), coarse.count());
        for hll in [coarse, of(0..10, 3)] {
            assert_eq!(Hll::from_json(&hll.to_json()).unwrap().count(), hll.count());
            let mut bytes = Vec::new();
            hll.write(&mut bytes);
            assert_eq!(Hll::read(&mut Decoder::new(&bytes)).unwrap().count(), hll.count());
        }
    }

    #[test]
    fn estimates_are_those_of_the_paper() {
        // Algorithm 6 of the paper, its sums added up by themselves: of 16 registers so many have each rank, 61 being the greatest.
        for (ranks, expected) in [
            (vec![(1, 8), (2, 8)], 30.777_494_205_631_22),
            (vec![(0, 1), (1, 15)], 21.565_481_447_264_08),
            (vec![(0, 8), (1, 4), (2, 4)], 10.704_003_381_981_078),
            (vec![(60, 8), (61, 8)], 2.047_377_935_994_915e19),
            (vec![(59, 8), (60, 4), (61, 4)], 1.000_579_276_176_604_2e19),
        ] {
            let registers: Vec<u8> = ranks.iter().flat_map(|(rank, count)| vec![*rank; *count]).collect();
            let found = estimate(&registers, 4);
            assert!((found / expected - 1.0).abs() < 1e-9, "{found} of {ranks:?}");
        }
    }
}
