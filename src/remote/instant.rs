//! Instants, in microseconds since 1970, as services write and read them.

use chrono::{DateTime, NaiveDateTime};

use kqlake_value::calendar::civil_from_days;
use kqlake_value::parse::datetimes::{DateOrder, record};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// `2026-01-05`: the day of an instant.
pub(crate) fn day(micros: i64) -> String {
    let (year, month, day) = civil_from_days(micros.div_euclid(DAY));
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2026-01-05T07:23:07Z`, with the digits of the second that it has.
pub(crate) fn text(micros: i64) -> String {
    let within = micros.rem_euclid(DAY);
    let (seconds, part) = (within / SECOND, within % SECOND);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let mut text = format!("{}T{hour:02}:{minute:02}:{second:02}", day(micros));
    if part > 0 {
        text.push_str(format!(".{part:06}").trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// An instant that a service wrote; without a zone it is UTC.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(zoned) = DateTime::parse_from_rfc3339(text) {
        return Some(zoned.timestamp_micros());
    }
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|time| time.and_utc().timestamp_micros())
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
            assert_eq!(parse(same), Some(micros), "{same}");
        }
        assert_eq!(parse("soon"), None);
    }
}
