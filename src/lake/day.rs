//! Days of rows, as numbers and as the partition column has them.

use kqlake_value::US_PER_DAY;
use kqlake_value::calendar::day_of_text;
use kqlake_value::format::InstantText;

/// Days from 1970-01-01 to the day of an instant.
pub(crate) fn day_of(us: i64) -> i32 {
    i32::try_from(us.div_euclid(US_PER_DAY)).unwrap_or(if us < 0 { i32::MIN } else { i32::MAX })
}

/// True for the days that have a text: those of the years 1 to 9999.
pub(crate) fn has_text(day: i32) -> bool {
    (-719_162..=2_932_896).contains(&day)
}

/// The text of a day as the partition column has it, such as `2026-01-05`; `None` outside the years 1 to 9999.
pub(crate) fn day_text(day: i32) -> Option<String> {
    has_text(day).then(|| InstantText::of_us(i64::from(day) * US_PER_DAY).day().to_owned())
}

/// The day that a partition's text names.
pub(crate) fn day_from_text(text: &str) -> Option<i32> {
    i32::try_from(day_of_text(text)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(day_of(-1), -1);
        assert_eq!(day_text(0).as_deref(), Some("1970-01-01"));
        assert_eq!(day_text(-719_162).as_deref(), Some("0001-01-01"));
        assert_eq!(day_text(-719_163), None);
        assert_eq!(day_text(2_932_897), None);
        for day in [i32::MIN, -719_163, -719_162, 0, 2_932_896, 2_932_897, i32::MAX] {
            assert_eq!(has_text(day), day_text(day).is_some(), "{day}");
        }
        for day in [-719_162, -1, 0, 20_000, 2_932_896] {
            assert_eq!(day_text(day).as_deref().and_then(day_from_text), Some(day));
        }
    }
}
