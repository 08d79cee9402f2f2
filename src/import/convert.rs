//! Text of the services to typed values: datetimes in the forms seen, numbers and booleans as they are sent.
//!
//! All functions give `None` for what they cannot read; they never guess a value.

use std::ops::RangeInclusive;

use kqlake_value::parse::{BoolForm, boolean_of, guids, timespans};
use kqlake_value::{MAX_DATETIME, us_of_datetime};

pub(crate) use kqlake_value::parse::datetimes::{DateOrder, record as datetime};

/// The instants that a datetime column takes: the years 1 to 9999, in microseconds since 1970.
pub(crate) const TIMES: RangeInclusive<i64> = us_of_datetime(0)..=us_of_datetime(MAX_DATETIME);

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
    // Beyond 2^53 a double no longer tells neighbouring whole numbers apart.
    (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0).then_some(value as i64)
}

/// A double; the words `NaN`, `Infinity` and `-Infinity` included. A number beyond the largest double is none.
pub(crate) fn real(text: &str) -> Option<f64> {
    let text = text.trim();
    match text.as_bytes().first()? {
        b'-' | b'+' if text[1..].eq_ignore_ascii_case("infinity") || text[1..].eq_ignore_ascii_case("inf") => {
            Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY })
        }
        b'0'..=b'9' | b'-' | b'+' | b'.' => text.parse().ok().filter(|value: &f64| value.is_finite()),
        _ if text.eq_ignore_ascii_case("nan") => Some(f64::NAN),
        _ if text.eq_ignore_ascii_case("infinity") || text.eq_ignore_ascii_case("inf") => Some(f64::INFINITY),
        _ => None,
    }
}

/// Ticks of 100 ns of a duration: `[-][d.]hh:mm[:ss[.fffffff]]`, or ISO 8601 (`PT0.005S`, `P1DT2H`).
pub(crate) fn timespan(text: &str) -> Option<i64> {
    timespans::read(text.trim(), &timespans::RECORD)
}

/// A GUID in the form the lake keeps: lower case, dashes, no braces.
pub(crate) fn guid(text: &str) -> Option<String> {
    guids::read(text, guids::Form::Plain)
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
