//! When things happen: every hour has a number of them, which follows the day and the scale.

use std::ops::Range;

use super::instant::{DAY, HOUR};
use super::rng::Seeded;
use kqlake_value::calendar::weekday;

/// The share of a day's work in each hour of the day, in thousandths.
const SHARES: [u64; 24] = [6, 5, 5, 5, 8, 12, 25, 50, 85, 95, 95, 85, 60, 75, 90, 85, 75, 55, 30, 20, 14, 10, 7, 3];

/// One thing of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    /// When, in microseconds since 1970.
    pub(crate) at: i64,
    /// Hours since 1970.
    pub(crate) hour: i64,
    /// The thing's number in its hour.
    pub(crate) number: i64,
}

impl Slot {
    /// What names the thing among its kind.
    pub(crate) fn name(self) -> [i64; 2] {
        [self.hour, self.number]
    }
}

/// The things of a kind in a time (the end excluded), in the order of their times.
///
/// `a_day` is how many there are on a working day at the scale 1; weekends have a fifth.
pub(crate) fn between(seeded: Seeded, kind: &str, a_day: f64, time: Range<i64>) -> Vec<Slot> {
    let mut slots = Vec::new();
    let mut hour = time.start.div_euclid(HOUR);
    while hour * HOUR < time.end {
        let of_hour = of_hour(seeded, kind, a_day, hour);
        slots.extend(of_hour.into_iter().filter(|slot| time.contains(&slot.at)));
        hour += 1;
    }
    slots
}

/// The things of one hour, in the order of their times.
pub(crate) fn of_hour(seeded: Seeded, kind: &str, a_day: f64, hour: i64) -> Vec<Slot> {
    let weekend = matches!(weekday((hour * HOUR).div_euclid(DAY)), 0 | 6);
    let share = SHARES[hour.rem_euclid(24) as usize] as f64 / 1000.0 * if weekend { 0.2 } else { 1.0 };
    let mut rng = seeded.rng(kind, &[hour]);
    let count = (a_day * seeded.scale * share + rng.unit()).floor() as i64;
    let mut slots: Vec<Slot> =
        (0..count).map(|number| Slot { at: hour * HOUR + rng.below(HOUR as u64) as i64, hour, number }).collect();
    slots.sort_unstable();
    slots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::instant::parse;

    #[test]
    fn a_time_holds_the_same_things_however_it_is_cut() {
        let seeded = Seeded { seed: 3, scale: 2.0 };
        let start = parse("2026-01-05T03:20:00Z").unwrap();
        let whole = between(seeded, "x", 200.0, start..start + 2 * DAY);
        assert!((600..1000).contains(&whole.len()), "{}", whole.len());
        let mut cut = Vec::new();
        for part in 0..96 {
            cut.extend(between(seeded, "x", 200.0, start + part * HOUR / 2..start + (part + 1) * HOUR / 2));
        }
        assert_eq!(whole, cut);
        assert!(whole.windows(2).all(|pair| pair[0].at <= pair[1].at));
    }

    #[test]
    fn weekends_are_quiet_and_the_shares_are_a_day() {
        assert_eq!(SHARES.iter().sum::<u64>(), 1000);
        let seeded = Seeded { seed: 3, scale: 1.0 };
        let of = |day: &str| {
            let start = parse(day).unwrap();
            between(seeded, "x", 500.0, start..start + DAY).len()
        };
        assert!(of("2026-01-10") < of("2026-01-09") / 3, "a Saturday and a Friday");
        assert!(of("2026-01-11") < of("2026-01-12") / 3, "a Sunday and a Monday");
    }
}
