//! Datetimes of ISO 8601, the form of nearly every record.

use super::parts::{Clock, Digits, behind, digits};
use crate::calendar::date;

/// What is around the time of day.
#[derive(Debug)]
pub(super) struct Iso {
    /// A month alone is its first day.
    pub month_alone: bool,
    /// White space may appear between the date and the time.
    pub spaced: bool,
    /// The time of day; its digits are those of month and day, too.
    pub clock: Clock,
}

impl Iso {
    /// Ticks of `yyyy-MM[-dd[{T| }time]]`, which may be a zone's offset outside of the calendar.
    pub(super) fn ticks(&self, text: &[u8]) -> Option<i64> {
        let (year, rest) = digits(text, Digits::new(4, 4))?;
        let (month, rest) = digits(behind(rest, b'-')?, self.clock.digits)?;
        let Some(rest) = behind(rest, b'-') else {
            return if rest.is_empty() && self.month_alone { date(year, month, 1) } else { None };
        };
        let (day, rest) = digits(rest, self.clock.digits)?;
        let day = date(year, month, day)?;
        match rest {
            [] => Some(day + self.clock.zone_ticks(rest)?),
            [b'Z' | b'z'] => Some(day),
            [b'T' | b't' | b' ', time @ ..] => {
                let time = if self.spaced { time.trim_ascii_start() } else { time };
                Some(day + self.clock.time_and_zone(time)?)
            }
            _ => None,
        }
    }
}
