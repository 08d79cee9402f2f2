//! Hash tables whose keys are hashes already, or nearly so.

use std::hash::{BuildHasherDefault, Hasher};

use crate::splitmix64::spread;

/// A hasher that takes a key of 64 bits for its own hash.
#[derive(Debug, Default, Clone, Copy)]
pub struct KeyHasher(u64);

/// Builds [`KeyHasher`]s: `HashSet<u128, BuildKeyHasher>`.
pub type BuildKeyHasher = BuildHasherDefault<KeyHasher>;

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = spread(self.0 ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, v: u64) {
        self.0 = v;
    }

    fn write_i64(&mut self, v: i64) {
        self.0 = v.cast_unsigned();
    }

    fn write_u128(&mut self, v: u128) {
        // A key of 128 bits may be a small number, so its bits are spread.
        self.0 = spread(v as u64 ^ (v >> 64) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    #[test]
    fn small_keys_of_128_bits_differ_in_their_first_and_last_bits() {
        let build = BuildKeyHasher::default();
        // A hash table takes its place from the last bits and distinguishes entries of a group by the first ones.
        let hashes: Vec<u64> = (0..1000_u128).map(|key| build.hash_one(key << 20)).collect();
        for part in [|h: u64| h >> 57, |h: u64| h & 0x7f] {
            let distinct: std::collections::HashSet<u64> = hashes.iter().map(|hash| part(*hash)).collect();
            assert!(distinct.len() > 120, "{}", distinct.len());
        }
        assert_eq!((build.hash_one(7_u64), build.hash_one(-1_i64)), (7, u64::MAX));
    }
}
