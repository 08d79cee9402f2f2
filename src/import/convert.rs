//! Text of the services to typed values: datetimes in the forms seen, numbers and booleans as they are sent.
//!
//! All functions give `None` for what they cannot read; they never guess a value.

use std::ops::RangeInclusive;

use kqlake_value::escape::escaped;
use kqlake_value::parse::{BoolForm, RealForm, boolean_of, guids, real_of, timespans};
use kqlake_value::{MAX_DATETIME, us_of_datetime};

pub(crate) use kqlake_value::parse::datetimes::{DateOrder, Evidence, record as datetime, record_in as datetime_in};

/// Characters of a value that a message shows.
const SHOWN: usize = 60;

/// The instants that a datetime column takes: the years 1 to 9999, in microseconds since 1970.
pub(crate) const TIMES: RangeInclusive<i64> = us_of_datetime(0)..=us_of_datetime(MAX_DATETIME);

/// Why a text is no datetime, as the rest of a sentence: empty unless it could have the month or the day first.
pub(crate) fn open_order(text: &str) -> String {
    match DateOrder::evidence(text) {
        Some(Evidence::Open) => format!(
            ": '{}' could have the month or the day first; say it with --date-order month-first or --date-order day-first",
            text.trim()
        ),
        _ => String::new(),
    }
}

/// A value as a message shows it: its beginning, on one line.
pub(crate) fn shown(text: &str) -> String {
    let text = text.trim();
    let (front, more) = text.char_indices().nth(SHOWN).map_or((text, ""), |(end, _)| (&text[..end], "…"));
    format!("{}{more}", escaped(front))
}

/// A boolean as the services write it: JSON words, `True`/`False`, `Yes`/`No`, `1`/`0`.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    boolean_of(text, BoolForm::Record)
}

/// A whole number; a real form without a fraction (`5.0`, `1e3`) is one too.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(value) = text.parse::<i64>() {
        return Some(value);
    }
    let value = real(text)?;
    // Beyond 2^53 a double no longer distinguishes neighbouring whole numbers.
    (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0).then_some(value as i64)
}

/// A double ([`RealForm::Record`]).
pub(crate) fn real(text: &str) -> Option<f64> {
    real_of(text, RealForm::Record)
}

/// Ticks of 100 ns of a duration: `[-][d.]hh:mm[:ss[.fffffff]]`, or ISO 8601 (`PT0.005S`, `P1DT2H`).
pub(crate) fn timespan(text: &str) -> Option<i64> {
    timespans::read(text.trim(), &timespans::RECORD)
}

/// A GUID in the form the lake keeps: lower case, dashes, no braces.
pub(crate) fn guid(text: &str) -> Option<String> {
    guids::read(text, guids::GuidForm::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(datetime("0001-01-01T00:00:00Z", DateOrder::Unknown), Some(*TIMES.start()));
        assert_eq!(datetime("9999-12-31T23:59:59.9999999Z", DateOrder::Unknown), Some(*TIMES.end()));
        assert_eq!(TIMES, -62_135_596_800_000_000..=253_402_300_799_999_999);
    }

    #[test]
    fn values_in_messages_are_short_and_harmless() {
        assert_eq!(shown(" soon\u{1b}[2J\n"), "soon\\u{1b}[2J");
        assert_eq!(shown(&"ä".repeat(60)), "ä".repeat(60));
        assert_eq!(shown(&"ä".repeat(61)), format!("{}…", "ä".repeat(60)));
    }

    #[test]
    fn numbers_and_words() {
        assert_eq!(integer(" 42 "), Some(42));
        assert_eq!(integer("5.0"), Some(5));
        assert_eq!(integer("5.5"), None);
        assert_eq!(boolean("True"), Some(true));
        assert_eq!(boolean("No"), Some(false));
        assert_eq!(boolean("maybe"), None);
        assert_eq!(real("1e3"), Some(1000.0));
        assert_eq!(real("infant"), None);
        assert_eq!((real("1e400"), real("-1e400"), real("-nan"), real("1e-400")), (None, None, None, Some(0.0)));
        assert_eq!((real("-Infinity"), real("inf")), (Some(f64::NEG_INFINITY), Some(f64::INFINITY)));
        assert_eq!((integer("9223372036854775808"), integer("-1e400")), (None, None));
        assert_eq!(guid("{0B5C4D3E-0000-4000-8000-00000000000A}").as_deref(), Some("0b5c4d3e-0000-4000-8000-00000000000a"));
        assert_eq!(guid("nope"), None);
    }
}
