//! Instants, in microseconds since 1970, as services write and read them.

use kqlake_value::format::InstantText;
use kqlake_value::parse::datetimes::{DateOrder, record};

/// `2026-01-05`: the day of an instant.
pub(crate) fn day(micros: i64) -> String {
    InstantText::of_us(micros).day().to_owned()
}

/// `2026-01-05T07:23:07Z`, with the digits of the second that it has.
pub(crate) fn text(micros: i64) -> String {
    format!("{}Z", InstantText::of_us(micros).shortest())
}

/// The instant of a text as services write it; without a zone it is UTC.
pub(crate) fn read(text: &str) -> Option<i64> {
    record(text, DateOrder::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_have_the_digits_that_they_need() {
        assert_eq!(text(1_767_597_787_000_000), "2026-01-05T07:23:07Z");
        assert_eq!(text(1_767_597_787_120_000), "2026-01-05T07:23:07.12Z");
        assert_eq!(text(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(read("2026-01-05T07:23:07.1200000Z"), Some(1_767_597_787_120_000));
        assert_eq!(read("2026-01-05T07:23:07.12"), Some(1_767_597_787_120_000));
        assert_eq!(day(1_767_597_787_120_000), "2026-01-05");
    }

    #[test]
    fn instants_are_read_with_a_zone_and_without() {
        let micros = 1_767_952_204_511_000;
        for same in ["2026-01-09T09:50:04.511Z", "2026-01-09T09:50:04.511", "2026-01-09T10:50:04.5110000+01:00"] {
            assert_eq!(read(same), Some(micros), "{same}");
        }
        assert_eq!(read("soon"), None);
    }
}
