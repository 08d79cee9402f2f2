//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): small, fast, the same numbers on every
//! machine and in every version, and good enough for invented values and for spreading bits. Not for secrets.

/// What the states of a sequence are apart.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads the bits of a number over all 64 (the finalizer, a bijection: distinct numbers stay distinct).
pub fn spread(v: u64) -> u64 {
    let v = (v ^ (v >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let v = (v ^ (v >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    v ^ (v >> 31)
}

/// A sequence of numbers that is a function of its seed.
#[derive(Debug, Clone)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> SplitMix64 {
        SplitMix64(seed)
    }

    /// Makes what follows depend on a word as well.
    pub fn stir(&mut self, word: u64) {
        self.0 = first(self.0) ^ word.wrapping_mul(0xff51_afd7_ed55_8ccd);
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        let bits = first(self.0);
        self.0 = self.0.wrapping_add(STEP);
        bits
    }

    /// A number below `end`; 0 where there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        // Multiply and shift: no division, and a bias far below what invented data could show.
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }
}

/// The first number of the sequence of a seed.
pub fn first(seed: u64) -> u64 {
    spread(seed.wrapping_add(STEP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_reference_implementation() {
        let mut numbers = SplitMix64::new(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| numbers.bits()).collect();
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
        assert_eq!(first(1_234_567), drawn[0]);
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_it() {
        let mut numbers = SplitMix64::new(1);
        let drawn: Vec<u64> = (0..400).map(|_| numbers.below(4)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&0), Some(&3)));
        assert_eq!(numbers.below(0), 0);
    }
}
