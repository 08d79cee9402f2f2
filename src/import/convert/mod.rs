//! Text of the services to typed values: datetimes in the forms seen, numbers and booleans as they are sent.
//!
//! All functions give `None` for what they cannot read; they never guess a value.

mod local_datetime;
mod parts;

pub use self::local_datetime::DateOrder;
use self::local_datetime::loose_datetime;
pub use self::parts::days_from_civil;
use self::parts::{digits, fraction, micros, zone_minutes};

/// Ticks of 100 ns in a second.
const TICKS: i64 = 10_000_000;

/// Microseconds since 1970-01-01 UTC of a datetime text.
///
/// Read are ISO 8601 with 0 to 9 fraction digits with or without a zone (without one it is UTC, as the services mean it),
/// dates alone, the OData form `/Date(ms)/`, and the local forms of portals (`1/5/2026, 7:23:07.123 AM`).
/// Fractions finer than a microsecond are cut.
pub fn datetime(text: &str, order: DateOrder) -> Option<i64> {
    let text = text.trim();
    let read = iso_datetime(text.as_bytes()).or_else(|| odata_date(text)).or_else(|| loose_datetime(text, order));
    read.filter(|micros| TIMES.contains(micros))
}

/// The instants that a datetime column takes: the years 1 to 9999, in microseconds since 1970.
pub const TIMES: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

fn literal(text: &[u8], byte: u8) -> Option<&[u8]> {
    match text.split_first() {
        Some((first, rest)) if *first == byte => Some(rest),
        _ => None,
    }
}

/// ISO 8601, the form of nearly every record: kept apart from the loose forms because it runs for each row.
fn iso_datetime(text: &[u8]) -> Option<i64> {
    let (year, rest) = digits(text, 4)?;
    let rest = literal(rest, b'-')?;
    let (month, rest) = digits(rest, 2)?;
    let rest = literal(rest, b'-')?;
    let (day, rest) = digits(rest, 2)?;
    if rest.is_empty() {
        return micros((year, month, day), (0, 0, 0), 0, 0);
    }
    let rest = match rest[0] {
        b'T' | b't' | b' ' => &rest[1..],
        _ => return None,
    };
    let (hour, rest) = digits(rest, 2)?;
    let rest = literal(rest, b':')?;
    let (minute, rest) = digits(rest, 2)?;
    let (second, rest) = match literal(rest, b':') {
        Some(rest) => digits(rest, 2)?,
        None => (0, rest),
    };
    let (micro, rest) = match rest.first() {
        Some(b'.' | b',') => fraction(&rest[1..])?,
        _ => (0, rest),
    };
    let offset = zone_minutes(rest)?;
    micros((year, month, day), (hour, minute, second), micro, offset)
}

/// `/Date(1767571813135)/`, with an optional offset that does not change the instant (OData version 2, verbose JSON).
fn odata_date(text: &str) -> Option<i64> {
    let inner = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let end = inner.char_indices().skip(1).find(|(_, c)| matches!(c, '+' | '-')).map_or(inner.len(), |(i, _)| i);
    inner[..end].parse::<i64>().ok()?.checked_mul(1_000)
}

/// A boolean as the services write it: JSON words, `True`/`False`, `Yes`/`No`, `1`/`0`.
pub fn boolean(text: &str) -> Option<bool> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("yes") || text == "1" {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") || text.eq_ignore_ascii_case("no") || text == "0" {
        Some(false)
    } else {
        None
    }
}

/// A whole number; a real form without a fraction (`5.0`, `1e3`) is one too.
pub fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(value) = text.parse::<i64>() {
        return Some(value);
    }
    let value = real(text)?;
    // Beyond 2^53 a double no longer tells neighbouring whole numbers apart.
    (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0).then_some(value as i64)
}

/// A double; the words `NaN`, `Infinity` and `-Infinity` included. A number beyond the largest double is none.
pub fn real(text: &str) -> Option<f64> {
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
pub fn timespan(text: &str) -> Option<i64> {
    let text = text.trim();
    let (sign, body) = match text.strip_prefix('-') {
        Some(body) => (-1_i64, body),
        None => (1, text),
    };
    let ticks = if body.starts_with(['P', 'p']) { iso_duration(&body[1..])? } else { clock_duration(body)? };
    ticks.checked_mul(sign)
}

fn ticks_of_fraction(digits: &str) -> Option<i64> {
    let mut ticks = 0;
    for place in 0..7 {
        let digit = digits.as_bytes().get(place).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        ticks = ticks * 10 + i64::from(digit - b'0');
    }
    digits.bytes().all(|b| b.is_ascii_digit()).then_some(ticks)
}

fn seconds_text(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    whole.parse::<u32>().ok().map(i64::from)?.checked_mul(TICKS)?.checked_add(ticks_of_fraction(part)?)
}

fn clock_duration(text: &str) -> Option<i64> {
    let (first, rest) = text.split_once(':')?;
    let (days, hours) = match first.split_once('.') {
        Some((days, hours)) => (days.parse::<u32>().ok()?, hours),
        None => (0, first),
    };
    let hours = hours.parse::<u32>().ok()?;
    let (minutes, seconds) = match rest.split_once(':') {
        Some((minutes, seconds)) => (minutes, seconds_text(seconds)?),
        None => (rest, 0),
    };
    let minutes = minutes.parse::<u32>().ok()?;
    let whole = i64::from(days) * 86_400 + i64::from(hours) * 3_600 + i64::from(minutes) * 60;
    whole.checked_mul(TICKS)?.checked_add(seconds)
}

fn iso_duration(text: &str) -> Option<i64> {
    let (mut ticks, mut in_time, mut start, mut any) = (0_i64, false, 0, false);
    for (at, c) in text.char_indices() {
        let unit = match (c.to_ascii_uppercase(), in_time) {
            ('T', false) if at == start => {
                in_time = true;
                start = at + 1;
                continue;
            }
            ('0'..='9' | '.', _) => continue,
            ('W', false) => 604_800,
            ('D', false) => 86_400,
            ('H', true) => 3_600,
            ('M', true) => 60,
            ('S', true) => 1,
            _ => return None,
        };
        ticks = seconds_text(&text[start..at])?.checked_mul(unit)?.checked_add(ticks)?;
        start = at + c.len_utf8();
        any = true;
    }
    (any && start == text.len()).then_some(ticks)
}

/// A GUID in the form the lake keeps: lower case, dashes, no braces.
pub fn guid(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
    let bytes = text.as_bytes();
    let dashes = [8, 13, 18, 23];
    match bytes.len() {
        36 if bytes.iter().enumerate().all(|(i, b)| if dashes.contains(&i) { *b == b'-' } else { b.is_ascii_hexdigit() }) => {
            Some(text.to_ascii_lowercase())
        }
        32 if bytes.iter().all(u8::is_ascii_hexdigit) => {
            let t = text.to_ascii_lowercase();
            Some(format!("{}-{}-{}-{}-{}", &t[..8], &t[8..12], &t[12..16], &t[16..20], &t[20..]))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Option<i64> {
        datetime(text, DateOrder::Unknown)
    }

    #[test]
    fn iso_forms_read_alike() {
        let expected = Some(1_767_597_787_123_456);
        assert_eq!(time("2026-01-05T07:23:07.1234567Z"), expected);
        assert_eq!(time("2026-01-05 07:23:07.123456"), expected);
        assert_eq!(time("2026-01-05T08:23:07.123456789+01:00"), expected);
        assert_eq!(time("2026-01-05T07:23:07"), Some(1_767_597_787_000_000));
        assert_eq!(time("2026-01-05T07:23Z"), Some(1_767_597_780_000_000));
        assert_eq!(time("2026-01-05"), Some(1_767_571_200_000_000));
        assert_eq!(time("0001-01-01T00:00:00Z"), Some(-62_135_596_800_000_000));
        assert_eq!(time("/Date(1767571813135)/"), Some(1_767_571_813_135_000));
        assert_eq!(time("9999-12-31T23:59:59.9999999Z"), Some(*TIMES.end()));
        for outside in ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00", "/Date(999999999999999)/"] {
            assert_eq!(time(outside), None, "{outside}");
        }
        for bad in ["2026-02-30", "2026-13-01T00:00:00Z", "2026-01-05T25:00:00Z", "yesterday", "", "20260105"] {
            assert_eq!(time(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(timespan("00:00:01.2530000"), Some(12_530_000));
        assert_eq!(timespan("1.02:03:04.5"), Some(937_845_000_000));
        assert_eq!(timespan("-00:00:01"), Some(-10_000_000));
        assert_eq!(timespan("PT0.005S"), Some(50_000));
        assert_eq!(timespan("P1DT2H3M4.5S"), Some(937_845_000_000));
        assert_eq!(timespan("PT1M30S"), Some(900_000_000));
        for bad in ["", "5", "P", "PT", "PTS", "P1H", "aa:bb", "1:2:3:4"] {
            assert_eq!(timespan(bad), None, "{bad}");
        }
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
