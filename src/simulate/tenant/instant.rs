//! Instants as microseconds since 1970 UTC, and their texts.

use kqlake_value::format::InstantText;
use kqlake_value::parse::datetimes::{DateOrder, record};
pub(crate) use kqlake_value::{US_PER_DAY as DAY, US_PER_HOUR as HOUR, US_PER_MINUTE as MINUTE, US_PER_SECOND as SECOND};

/// `2026-01-06`.
pub(crate) fn date(micros: i64) -> String {
    InstantText::of_us(micros).day().to_owned()
}

/// `2026-01-06T12:52:54`, with so many digits of the second behind a dot (0 to 7), and without a zone.
///
/// The seventh digit, which microseconds do not have, is a function of the others: services count in 100 ns.
pub(crate) fn text(micros: i64, digits: usize) -> String {
    let mut text = InstantText::of_us(micros).with_digits(digits.min(6)).to_owned();
    if digits > 6 {
        let seventh = micros.rem_euclid(SECOND) / 7 % 10;
        text.push_str(&seventh.to_string());
    }
    text
}

/// As [`text`] with seven digits and a `Z`, as Graph writes times; whole seconds have no digits.
pub(crate) fn zulu(micros: i64) -> String {
    let digits = if micros.rem_euclid(SECOND) == 0 { 0 } else { 7 };
    text(micros, digits) + "Z"
}

/// The instant of a text: a date, or a date and a time to the minute or finer, with or without a zone (then UTC).
pub(crate) fn parse(text: &str) -> Option<i64> {
    // Not in the local forms that records have as well.
    let is_iso = text.trim().as_bytes().get(4) == Some(&b'-');
    is_iso.then(|| record(text, DateOrder::default()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_and_read() {
        let at = parse("2026-01-06T12:52:54.1122334Z").unwrap();
        assert_eq!(text(at, 0), "2026-01-06T12:52:54");
        assert_eq!(&text(at, 7)[..26], "2026-01-06T12:52:54.112233");
        assert_eq!(parse(&zulu(at)), Some(at));
        assert_eq!(parse("2026-01-06T13:52:54+01:00"), parse("2026-01-06 12:52:54"));
        assert_eq!(parse("2026-01-06"), parse("2026-01-06T00:00Z"));
        assert_eq!(parse("2026-01-06T00:00:00.5").unwrap() - parse("2026-01-06").unwrap(), SECOND / 2);
        assert_eq!(parse("1969-12-31T23:59:59Z"), Some(-SECOND));
        for wrong in [
            "",
            "2026",
            "2026-02-30",
            "2026-01-06T25:00:00Z",
            "2026-01-06T12:00:00.x",
            "2026-01-06T12",
            "2026-01-06-01",
            "2026-01-06T12:00:00+99999999:00",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
