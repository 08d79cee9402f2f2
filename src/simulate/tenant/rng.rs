//! Numbers that look random and are functions of the seed: what a tenant holds at an instant can be computed at any time, in
//! any order, without keeping it.

use std::fmt::Write as _;

use kqlake_value::format::random_guid;
use kqlake_value::splitmix64::SplitMix64;

/// What everything of a simulated tenant is a function of, besides the time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seeded {
    /// Two tenants of one seed are the same tenant.
    pub(crate) seed: u64,
    /// How busy the tenant is: 1 is a small company, 100 a hundred times as much of everything.
    pub(crate) scale: f64,
}

impl Seeded {
    /// The rng of one thing: of its kind, and of the numbers that name it among its kind.
    pub(crate) fn rng(self, kind: &str, numbers: &[i64]) -> SeededRng {
        SeededRng::of(self.seed, kind, numbers)
    }

    /// A count that grows with the scale, at least `least`.
    pub(crate) fn count(self, at_one: u64, least: u64) -> u64 {
        ((at_one as f64 * self.scale).round() as u64).max(least)
    }

    /// The id that a tenant gives one thing.
    pub(crate) fn guid(self, kind: &str, numbers: &[i64]) -> String {
        self.rng(kind, numbers).guid()
    }
}

/// A sequence of numbers, and what is made of them.
#[derive(Debug, Clone)]
pub(crate) struct SeededRng(SplitMix64);

impl SeededRng {
    /// The sequence of a seed, a kind and numbers. Different ones give sequences that have nothing to do with each other.
    pub(crate) fn of(seed: u64, kind: &str, numbers: &[i64]) -> SeededRng {
        let mut bits = SplitMix64::new(seed ^ 0x6a09_e667_f3bc_c909);
        for byte in kind.bytes() {
            bits.stir(u64::from(byte));
        }
        for number in numbers {
            bits.stir(*number as u64 ^ 0x9e37_79b9);
        }
        SeededRng(bits)
    }

    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.bits()
    }

    /// A number below `end`; 0 when there is none.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0.below(end)
    }

    /// A number of `first..=last`.
    pub(crate) fn between(&mut self, first: i64, last: i64) -> i64 {
        first + self.below((last - first + 1).max(0) as u64) as i64
    }

    /// A number from 0 to below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True in so many of 100 cases.
    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// One of the values.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// A random GUID (version 4), in lower case.
    pub(crate) fn guid(&mut self) -> String {
        let (high, low) = (self.bits(), self.bits());
        // The two highest bits are those behind the variant.
        let low = low & !(0b11 << 60) | low >> 62 << 60;
        random_guid(high, low).map(char::from).iter().collect()
    }

    /// Hexadecimal digits in lower case.
    pub(crate) fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            let _ = write!(text, "{:016x}", self.bits());
        }
        text.truncate(digits);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_are_functions_of_what_they_are_of() {
        let seeded = Seeded { seed: 7, scale: 1.0 };
        assert_eq!(seeded.guid("call", &[1, 2]), seeded.guid("call", &[1, 2]));
        assert_ne!(seeded.guid("call", &[1, 2]), seeded.guid("call", &[2, 1]));
        assert_ne!(seeded.guid("call", &[1]), seeded.guid("calls", &[1]));
        assert_ne!(seeded.guid("call", &[1]), Seeded { seed: 8, scale: 1.0 }.guid("call", &[1]));
        let guid = seeded.guid("call", &[1]);
        assert!(guid.len() == 36 && &guid[14..15] == "4" && "89ab".contains(&guid[19..20]), "{guid}");
    }

    #[test]
    fn numbers_stay_in_their_bounds_and_reach_them() {
        let mut rng = SeededRng::of(1, "bounds", &[]);
        let drawn: Vec<i64> = (0..400).map(|_| rng.between(3, 6)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&3), Some(&6)));
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.hex(5).len(), 5);
    }
}
