//! Numbers that only look random: pure functions of a seed and of what they are for, so that nothing invented is ever stored.

use kqlake_value::format::random_guid;
use kqlake_value::splitmix64::first;

/// A well-mixed number of a seed and the words that say what it is for.
pub(crate) fn number(seed: u64, words: &[u64]) -> u64 {
    words.iter().fold(first(seed ^ 0x6a09_e667_f3bc_c908), |state, word| first(state ^ first(*word)))
}

/// True for the given share of all words, `0.0` to `1.0`.
pub(crate) fn chance(seed: u64, words: &[u64], share: f64) -> bool {
    ((number(seed, words) >> 11) as f64) < share * (1_u64 << 53) as f64
}

/// The text of a guid of version 4.
pub(crate) fn guid(seed: u64, words: &[u64]) -> String {
    let high = number(seed, words);
    let low = first(high ^ seed.rotate_left(17));
    random_guid(high, low).map(char::from).iter().collect()
}

/// A number for a text, as a word for the functions above. It is FNV-1a and no sum of [`first`], since the ids of the tenant that a
/// seed stands for, which configurations and manifests hold, follow from it.
pub(crate) fn word(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_depend_on_the_seed_and_on_every_word_and_on_nothing_else() {
        assert_eq!(number(1, &[2, 3]), number(1, &[2, 3]));
        let all = [number(1, &[2, 3]), number(2, &[2, 3]), number(1, &[3, 2]), number(1, &[2]), number(1, &[2, 3, 0])];
        let distinct: std::collections::BTreeSet<u64> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn chances_come_true_as_often_as_they_say() {
        let hits = (0..10_000).filter(|at| chance(7, &[*at], 0.25)).count();
        assert!((2300..2700).contains(&hits), "{hits}");
        assert_eq!((0..1000).filter(|at| chance(7, &[*at], 0.0)).count(), 0);
        assert_eq!((0..1000).filter(|at| chance(7, &[*at], 1.0)).count(), 1000);
    }

    #[test]
    fn guids_are_of_version_4() {
        assert_eq!(uuid::Uuid::parse_str(&guid(1, &[2])).unwrap().get_version_num(), 4);
    }
}
