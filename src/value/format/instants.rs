//! Texts of datetimes with fewer digits than `tostring` gives, as services and files have them.

use crate::calendar::{civil_from_days, day_of};
use crate::{TICKS_PER_DAY, TICKS_PER_SECOND, datetime_of_us};

/// The text of a datetime of the years 0 to 9999, `2026-01-08T16:44:07.1234567` without a zone, of which parts are taken.
#[derive(Debug, Clone, Copy)]
pub struct InstantText {
    text: [u8; 27],
    /// The year, which is not in the text where it has other than four digits.
    pub(super) year: i64,
}

impl InstantText {
    /// The text of a datetime in ticks of 100 ns since 0001-01-01.
    pub fn of_ticks(ticks: i64) -> Self {
        let (year, month, day) = civil_from_days(day_of(ticks));
        let rest = ticks.rem_euclid(TICKS_PER_DAY);
        let (seconds, fraction) = (rest / TICKS_PER_SECOND, rest % TICKS_PER_SECOND);
        // Written digit by digit: results and exports hold millions of them.
        let mut text = *b"0000-00-00T00:00:00.0000000";
        let fields = [
            (0, 4, year as u64),
            (5, 2, month.into()),
            (8, 2, day.into()),
            (11, 2, (seconds / 3600) as u64),
            (14, 2, (seconds / 60 % 60) as u64),
            (17, 2, (seconds % 60) as u64),
            (20, 7, fraction as u64),
        ];
        for (at, width, mut number) in fields {
            for digit in text[at..at + width].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        InstantText { text, year }
    }

    /// The text of an instant at rest, in microseconds since 1970.
    pub fn of_us(us: i64) -> Self {
        InstantText::of_ticks(datetime_of_us(us))
    }

    /// `2026-01-08T16:44:07`, with so many digits of the second (0 to 7) behind a point.
    pub fn with_digits(&self, digits: usize) -> &str {
        let end = if digits == 0 { 19 } else { 20 + digits.min(7) };
        std::str::from_utf8(&self.text[..end]).unwrap_or_default()
    }

    /// The same with the digits of the second that it needs, none where it is whole.
    pub fn shortest(&self) -> &str {
        self.with_digits(7).trim_end_matches('0').trim_end_matches('.')
    }

    /// The same with no digit of the second, three or six: as many of these as it needs.
    pub fn with_thousandths(&self) -> &str {
        let needed = self.shortest().len().saturating_sub(20);
        self.with_digits(needed.next_multiple_of(3).min(6))
    }

    /// `2026-01-08`
    pub fn day(&self) -> &str {
        &self.with_digits(0)[..10]
    }

    /// `16:44:07`
    pub fn time(&self) -> &str {
        &self.with_digits(0)[11..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_text_are_taken() {
        let text = InstantText::of_us(1_767_597_787_120_000);
        assert_eq!([0, 1, 3, 7, 9].map(|digits| text.with_digits(digits).len()), [19, 21, 23, 27, 27]);
        assert_eq!((text.with_digits(3), text.shortest()), ("2026-01-05T07:23:07.120", "2026-01-05T07:23:07.12"));
        assert_eq!(text.with_thousandths(), "2026-01-05T07:23:07.120");
        assert_eq!(InstantText::of_us(1_000_000).with_thousandths(), "1970-01-01T00:00:01");
        assert_eq!(InstantText::of_us(1).with_thousandths(), "1970-01-01T00:00:00.000001");
        assert_eq!((text.day(), text.time()), ("2026-01-05", "07:23:07"));
        assert_eq!(InstantText::of_us(1_767_571_200_000_000).shortest(), "2026-01-05T00:00:00");
        assert_eq!(InstantText::of_us(-1).shortest(), "1969-12-31T23:59:59.999999");
        assert_eq!(InstantText::of_ticks(0).with_digits(7), "0001-01-01T00:00:00.0000000");
    }
}
