//! Datetimes in data: what `todatetime` takes.

use super::iso::Iso;
use super::parts::{Clock, Digits, is_weekday, month, year};
use crate::calendar::date;
use crate::parse::timespans;

const ISO: Iso = Iso {
    month_alone: true,
    spaced: true,
    clock: Clock {
        digits: Digits::new(1, 2),
        bare_hour: false,
        half_days: true,
        loose_fraction: false,
        rounded: false,
        leap_second: false,
        ut: false,
        named_offset: false,
        offset_minutes: Digits::new(2, 2),
        unsaid: 0,
        space: <[u8]>::trim_ascii_start,
    },
};

/// A datetime, UTC. Digits of the fraction beyond the seventh are dropped, an offset is applied.
///
/// Forms: ISO 8601 (`2020-01-02`, `2020-01-02T03:04:05.678Z`, `2020-01-02 03:04+01:00`, and partial `2020-01`),
/// month-day-year with `/` or `-` (`01/02/2020 03:04:05 PM`), and those of RFC 822 and RFC 850 (`Thu, 02 Jan 2020 03:04:05
/// GMT`, `2 Jan 20 03:04`).
pub fn text(text: &str) -> Option<i64> {
    let bytes = text.trim().as_bytes();
    ISO.ticks(bytes).or_else(|| loose_datetime(bytes)).and_then(crate::datetime)
}

/// The other forms.
fn loose_datetime(text: &[u8]) -> Option<i64> {
    let mut rest = text;
    // A day of the week says nothing that the date does not.
    let letters = rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    if is_weekday(&rest[..letters]) {
        rest = rest[letters..].trim_ascii_start();
        rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
    }
    let (date, rest) = loose_date(rest)?;
    let rest = rest.strip_prefix(b",").unwrap_or(rest);
    match rest {
        [] => Some(date),
        [b' ' | b'T', time @ ..] => Some(date + ISO.clock.time_and_zone(time.trim_ascii_start())?),
        _ => None,
    }
}

/// `MM/dd/yyyy`, `MM-dd-yyyy`, `yyyy/MM/dd`, `d MMM yy`, `d-MMM-yyyy` or `MMM d, yyyy`.
fn loose_date(text: &[u8]) -> Option<(i64, &[u8])> {
    let is_gap = |b: &u8| matches!(b, b'/' | b'-' | b' ' | b'.');
    let word = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    let number = |text: &[u8]| timespans::digits(text, 18);
    let first = word(text);
    let rest = &text[first..];
    let gap = *rest.first().filter(|b| is_gap(b))?;
    let rest = rest[1..].trim_ascii_start();
    let second = word(rest);
    let (a, b) = (&text[..first], &rest[..second]);
    let mut rest = &rest[second..];
    rest = match rest {
        [b',', b' ', tail @ ..] if gap == b' ' => tail.trim_ascii_start(),
        [c, tail @ ..] if *c == gap => tail.trim_ascii_start(),
        _ => return None,
    };
    let third = word(rest);
    // A time may follow a year without white space only behind a `T`.
    let third = rest[..third].iter().position(|b| *b == b'T').unwrap_or(third);
    let c = &rest[..third];
    let rest = &rest[third..];
    // Years of two digits are those of .NET: 1950 to 2049.
    let year = |text: &[u8]| year(number(text)?, text.len(), 50);
    let date = if let Some(month) = month(b) {
        date(year(c)?, month, number(a)?)?
    } else if let Some(month) = month(a) {
        date(year(c)?, month, number(b)?)?
    } else if gap == b' ' {
        return None;
    } else if a.len() == 4 {
        date(number(a)?, number(b)?, number(c)?)?
    } else if c.len() == 4 {
        date(number(c)?, number(a)?, number(b)?)?
    } else {
        return None;
    };
    Some((date, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ValueRef, format};

    #[test]
    fn datetimes() {
        for (given, want) in [
            ("2020-01-02", Some("2020-01-02T00:00:00.0000000Z")),
            ("2020-1-2", Some("2020-01-02T00:00:00.0000000Z")),
            ("2020-01", Some("2020-01-01T00:00:00.0000000Z")),
            ("2020-01-02T03:04:05.67890128Z", Some("2020-01-02T03:04:05.6789012Z")),
            ("2020-01-02 03:04", Some("2020-01-02T03:04:00.0000000Z")),
            ("2020-01-02T03:04:05+01:30", Some("2020-01-02T01:34:05.0000000Z")),
            ("2020-01-02T03:04:05 -0500", Some("2020-01-02T08:04:05.0000000Z")),
            ("12-02-2022", Some("2022-12-02T00:00:00.0000000Z")),
            ("1/2/2020 3:04:05 PM", Some("2020-01-02T15:04:05.0000000Z")),
            ("2014/11/08 15:05", Some("2014-11-08T15:05:00.0000000Z")),
            ("Sat, 8 Nov 14 15:05:02 GMT", Some("2014-11-08T15:05:02.0000000Z")),
            ("Saturday, 08-Nov-14 15:05:02 GMT", Some("2014-11-08T15:05:02.0000000Z")),
            ("8 Nov 2014", Some("2014-11-08T00:00:00.0000000Z")),
            ("November 8, 2014 15:05", Some("2014-11-08T15:05:00.0000000Z")),
            ("9999-12-31T23:59:59.9999999Z", Some("9999-12-31T23:59:59.9999999Z")),
            ("0001-01-01T00:00:00+01:00", None),
            ("2020-13-01", None),
            ("2020-02-30", None),
            ("2020-01-02T25:00", None),
            ("2020-01-02T12 AM", None),
            ("2020-01-02T03:04:60", None),
            ("2020-01-02T03:04.5", None),
            ("2020-01-02T03:04 UTC+1", None),
            ("not a date", None),
            ("12", None),
            ("", None),
        ] {
            assert_eq!(text(given).map(|t| format::to_string(ValueRef::DateTime(t))).as_deref(), want, "{given}");
        }
    }
}
