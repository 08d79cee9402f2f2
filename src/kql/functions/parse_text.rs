//! Text to values: what `tolong`, `toreal`, `totimespan`, `todatetime` and their kin accept.
//!
//! All functions give `None` where the text is no value of the type; none of them fails. White space around a value is
//! ignored, except around the words of a bool. The forms are those of the Kusto documentation ("The datetime data type", "The timespan data type", the
//! conversion functions' pages) and of measured answers.

use crate::kql::format::days_from_civil;
use crate::kql::value::{self, TICKS_PER_DAY, TICKS_PER_SECOND, UNIX_EPOCH_DAYS};

/// A long: decimal digits with an optional sign, or hexadecimal digits behind `0x`, which wrap to 64 bits.
pub fn long(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return hex.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u64::from_str_radix(hex, 16).ok())?.map(|v| v as i64);
    }
    text.parse().ok()
}

/// An int: as [`long`], within 32 bits; hexadecimal digits wrap.
pub fn int(text: &str) -> Option<i32> {
    let value = long(text)?;
    match i32::try_from(value) {
        Ok(v) => Some(v),
        Err(_) if text.trim_start().get(..2).is_some_and(|p| p.eq_ignore_ascii_case("0x")) => {
            u32::try_from(value).ok().map(|v| v as i32)
        }
        Err(_) => None,
    }
}

/// A real: decimal with an optional exponent, or `nan` or `inf` in lower case, with an optional sign.
pub fn real(text: &str) -> Option<f64> {
    let text = text.trim();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    // Rust also reads `INF` and `infinity`, which are no numbers here.
    let number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') || matches!(unsigned, "inf" | "nan");
    number.then(|| text.parse().ok()).flatten()
}

/// A real in a file: as [`real`], or one of the words that answers and exports have for NaN and the infinities.
pub fn real_in_file(text: &str) -> Option<f64> {
    real(text).or_else(|| match text.trim() {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    })
}

/// A decimal scaled by 10^18: decimal digits with an optional exponent. Digits beyond the 18th of the fraction are rounded.
pub fn decimal(text: &str) -> Option<i128> {
    let text = text.trim();
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((m, e)) => (m, e.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    // The value is `digits * 10^shift` when scaled by 10^18.
    let mut shift = exponent.checked_add(18)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let mut value: i128 = 0;
    let mut round_up = false;
    let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).skip_while(|b| *b == b'0').collect();
    let mut kept = all.as_slice();
    if shift < 0 {
        let drop = usize::try_from(-i64::from(shift)).ok()?;
        if drop > kept.len() {
            return Some(0);
        }
        let cut = kept.len() - drop;
        round_up = kept[cut] >= b'5';
        kept = &kept[..cut];
        shift = 0;
    }
    for digit in kept {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    if value != 0 {
        value = value.checked_mul(10i128.checked_pow(u32::try_from(shift).ok()?)?)?;
    }
    value += i128::from(round_up);
    crate::kql::value::decimal(if negative { -value } else { value })
}

/// A bool: `true`, `false` in any case without white space around, or integer text (not zero is true).
pub fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        return Some(true);
    }
    if text.eq_ignore_ascii_case("false") {
        return Some(false);
    }
    long(text).map(|v| v != 0)
}

/// A guid, lower case with dashes: 32 hexadecimal digits with dashes between any of them, maybe in braces.
pub fn guid(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text
        .strip_prefix('{')
        .and_then(|t| t.strip_suffix('}'))
        .or_else(|| text.strip_prefix('(').and_then(|t| t.strip_suffix(')')))
        .unwrap_or(text);
    let mut out = String::with_capacity(36);
    let mut digits = 0;
    for byte in text.bytes() {
        if byte == b'-' {
            continue;
        }
        if !byte.is_ascii_hexdigit() || digits == 32 {
            return None;
        }
        if matches!(digits, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(char::from(byte.to_ascii_lowercase()));
        digits += 1;
    }
    (digits == 32).then_some(out)
}

/// A timespan in ticks: `[-][d.]hh:mm[:ss[.fffffff]]`, or a number with a unit (`1.5h`, `15 seconds`). Digits of the
/// fraction beyond the seventh are dropped; a bare number is none.
pub fn timespan(text: &str) -> Option<i64> {
    let text = text.trim().as_bytes();
    // `hh:mm:ss.fffffff` and `hh:mm:ss`, which nearly all telemetry writes.
    if let [h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = text
        && [h1, h2, m1, m2, s1, s2].iter().all(|b| b.is_ascii_digit())
    {
        let two = |a: &u8, b: &u8| i64::from(a - b'0') * 10 + i64::from(b - b'0');
        let (h, m, s) = (two(h1, h2), two(m1, m2), two(s1, s2));
        if h > 23 || m > 59 || s > 59 {
            return None;
        }
        return Some((h * 3600 + m * 60 + s) * TICKS_PER_SECOND + fraction(rest)?);
    }
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let magnitude = if memchr::memchr(b':', text).is_some() { clock_span(text)? } else { unit_span(text)? };
    Some(if negative { -magnitude } else { magnitude })
}

/// Ticks of `.fffffff`, or of nothing.
fn fraction(text: &[u8]) -> Option<i64> {
    let digits = match text {
        [] => return Some(0),
        [b'.', digits @ ..] if !digits.is_empty() => digits,
        _ => return None,
    };
    let mut ticks = 0;
    let mut unit = TICKS_PER_SECOND / 10;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        ticks += i64::from(digit - b'0') * unit;
        unit /= 10;
    }
    Some(ticks)
}

/// `[d.]hh:mm[:ss[.f]]`
fn clock_span(text: &[u8]) -> Option<i64> {
    let mut parts = text.split(|b| *b == b':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next().unwrap_or(b"0"));
    if parts.next().is_some() {
        return None;
    }
    let (days, hours) = match memchr::memchr(b'.', hours) {
        Some(dot) => (number(&hours[..dot])?, &hours[dot + 1..]),
        None => (0, hours),
    };
    let dot = memchr::memchr(b'.', seconds).unwrap_or(seconds.len());
    let (h, m, s) = (number(hours)?, number(minutes)?, number(&seconds[..dot])?);
    if h > 23 || m > 59 || s > 59 {
        return None;
    }
    let clock = (h * 3600 + m * 60 + s) * TICKS_PER_SECOND + fraction(&seconds[dot..])?;
    days.checked_mul(TICKS_PER_DAY)?.checked_add(clock)
}

/// A number and a unit.
fn unit_span(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let split = text.find(|c: char| c != '.' && !c.is_ascii_digit())?;
    let (amount, unit) = text.split_at(split);
    let ticks = unit_ticks(unit.trim_start())?;
    if let Ok(whole) = amount.parse::<i64>() {
        return whole.checked_mul(ticks);
    }
    let exact = amount.parse::<f64>().ok()? * ticks as f64;
    (exact.abs() < 9.2e18).then_some(exact.round() as i64)
}

/// Ticks of a unit of time, by any of its names in timespan literals.
pub fn unit_ticks(name: &str) -> Option<i64> {
    Some(match name {
        "d" | "day" | "days" => TICKS_PER_DAY,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600 * TICKS_PER_SECOND,
        "m" | "min" | "minute" | "minutes" => 60 * TICKS_PER_SECOND,
        "s" | "sec" | "second" | "seconds" => TICKS_PER_SECOND,
        "ms" | "milli" | "millis" | "millisec" | "millisecond" | "milliseconds" => 10_000,
        "micro" | "micros" | "microsec" | "microsecond" | "microseconds" => 10,
        "tick" | "ticks" => 1,
        _ => return None,
    })
}

/// Digits as a number; none or too many give `None`.
fn number(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.iter().try_fold(0, |value, d| d.is_ascii_digit().then(|| value * 10 + i64::from(d - b'0')))
}

/// A datetime, UTC. Digits of the fraction beyond the seventh are dropped, an offset is applied.
///
/// Forms: ISO 8601 (`2020-01-02`, `2020-01-02T03:04:05.678Z`, `2020-01-02 03:04+01:00`, and partial `2020-01`),
/// month-day-year with `/` or `-` (`01/02/2020 03:04:05 PM`), and those of RFC 822 and RFC 850 (`Thu, 02 Jan 2020 03:04:05
/// GMT`, `2 Jan 20 03:04`).
pub fn datetime(text: &str) -> Option<i64> {
    let bytes = text.trim().as_bytes();
    iso_datetime(bytes).or_else(|| loose_datetime(bytes)).and_then(value::datetime)
}

/// The start of a day; `None` for one that the calendar does not have.
pub fn date(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    Some((days_from_civil(year, month as u32, day as u32) + UNIX_EPOCH_DAYS) * TICKS_PER_DAY)
}

/// Days of a month (1 to 12).
pub fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// `yyyy-MM[-dd[{T| }time]]`
fn iso_datetime(text: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', rest @ ..] = text else { return None };
    let year = number(&[*y1, *y2, *y3, *y4])?;
    let (month, rest) = short(rest)?;
    let Some((b'-', rest)) = rest.split_first() else {
        return if rest.is_empty() { date(year, month, 1) } else { None };
    };
    let (day, rest) = short(rest)?;
    let day = date(year, month, day)?;
    match rest {
        [] => Some(day),
        [b'Z' | b'z'] => Some(day),
        [b'T' | b't' | b' ', time @ ..] => Some(day + time_ticks(time.trim_ascii_start())?),
        _ => None,
    }
}

/// One or two digits, and what follows.
fn short(text: &[u8]) -> Option<(i64, &[u8])> {
    let length = text.iter().take(2).take_while(|b| b.is_ascii_digit()).count();
    Some((number(&text[..length])?, &text[length..]))
}

/// `HH:mm[:ss[.f]][ AM|PM][zone]` as ticks to add to the date.
fn time_ticks(text: &[u8]) -> Option<i64> {
    let (mut hours, rest) = short(text)?;
    let [b':', rest @ ..] = rest else { return None };
    let (minutes, mut rest) = short(rest)?;
    let (mut seconds, mut fraction) = (0, 0);
    if let [b':', tail @ ..] = rest {
        (seconds, rest) = short(tail)?;
        if let [b'.', tail @ ..] = rest {
            let length = tail.iter().take_while(|b| b.is_ascii_digit()).count();
            if length == 0 {
                return None;
            }
            for place in 0..7 {
                fraction = fraction * 10 + tail[..length].get(place).map_or(0, |d| i64::from(d - b'0'));
            }
            rest = &tail[length..];
        }
    }
    rest = rest.trim_ascii_start();
    if let [half @ (b'A' | b'a' | b'P' | b'p'), b'M' | b'm', tail @ ..] = rest {
        if !(1..=12).contains(&hours) {
            return None;
        }
        hours = hours % 12 + if matches!(half, b'P' | b'p') { 12 } else { 0 };
        rest = tail.trim_ascii_start();
    }
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let offset = zone_seconds(rest)?;
    Some((hours * 3600 + minutes * 60 + seconds - offset) * TICKS_PER_SECOND + fraction)
}

/// Seconds east of UTC of a zone: nothing, `Z`, `GMT`, `UTC`, or `±hh[[:]mm]`.
fn zone_seconds(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text {
        [] | [b'Z' | b'z'] => return Some(0),
        _ if text.eq_ignore_ascii_case(b"GMT") || text.eq_ignore_ascii_case(b"UTC") => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = short(rest)?;
    let minutes = match rest {
        [] => 0,
        [b':', m @ ..] | m => match m.len() {
            2 => number(m)?,
            _ => return None,
        },
    };
    (hours <= 14 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

const MONTHS: [&[u8]; 12] = [
    b"january",
    b"february",
    b"march",
    b"april",
    b"may",
    b"june",
    b"july",
    b"august",
    b"september",
    b"october",
    b"november",
    b"december",
];
const DAYS: [&[u8]; 7] = [b"sunday", b"monday", b"tuesday", b"wednesday", b"thursday", b"friday", b"saturday"];

/// A name's place in a list, whole or by its first three letters.
fn named(list: &[&[u8]], word: &[u8]) -> Option<usize> {
    list.iter().position(|name| word.eq_ignore_ascii_case(name) || (word.len() == 3 && word.eq_ignore_ascii_case(&name[..3])))
}

/// The other forms.
fn loose_datetime(text: &[u8]) -> Option<i64> {
    let mut rest = text;
    // A day of the week says nothing that the date does not.
    let letters = rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    if letters > 0 && named(&DAYS, &rest[..letters]).is_some() {
        rest = rest[letters..].trim_ascii_start();
        rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
    }
    let (date, rest) = loose_date(rest)?;
    let rest = rest.strip_prefix(b",").unwrap_or(rest);
    match rest {
        [] => Some(date),
        [b' ' | b'T', time @ ..] => Some(date + time_ticks(time.trim_ascii_start())?),
        _ => None,
    }
}

/// `MM/dd/yyyy`, `MM-dd-yyyy`, `yyyy/MM/dd`, `d MMM yy`, `d-MMM-yyyy` or `MMM d, yyyy`.
fn loose_date(text: &[u8]) -> Option<(i64, &[u8])> {
    let is_gap = |b: &u8| matches!(b, b'/' | b'-' | b' ' | b'.');
    let word = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
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
    let year = |text: &[u8]| -> Option<i64> {
        let value = number(text)?;
        match text.len() {
            4 => Some(value),
            // Two digits, as .NET reads them.
            2 => Some(if value < 50 { 2000 + value } else { 1900 + value }),
            _ => None,
        }
    };
    let date = if let Some(month) = named(&MONTHS, b) {
        date(year(c)?, month as i64 + 1, number(a)?)?
    } else if let Some(month) = named(&MONTHS, a) {
        date(year(c)?, month as i64 + 1, number(b)?)?
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
    use crate::kql::format;
    use crate::kql::value::ValueRef;

    #[test]
    fn integers_take_hex_and_signs_and_nothing_else() {
        for (text, want) in [
            (" 12 ", Some(12)),
            ("\t456\t", Some(456)),
            ("+0", Some(0)),
            ("-7", Some(-7)),
            ("00789", Some(789)),
            ("0x10", Some(16)),
            ("0xFFFFFFFFFFFFFFFF", Some(-1)),
            ("9223372036854775808", None),
            ("5.7", None),
            ("1e3", None),
            ("1,000", None),
            ("0x", None),
            ("0x+1", None),
            ("0b101", None),
            ("", None),
        ] {
            assert_eq!(long(text), want, "{text}");
        }
        assert_eq!([int("2147483648"), int("0xFFFFFFFF"), int("-2147483648")], [None, Some(-1), Some(i32::MIN)]);
        assert_eq!(
            [boolean("TRUE"), boolean(" 2 "), boolean("0"), boolean("1.0"), boolean("yes")],
            [Some(true), Some(true), Some(false), None, None]
        );
    }

    #[test]
    fn decimals_keep_every_digit() {
        const ONE: i128 = 1_000_000_000_000_000_000;
        assert_eq!(decimal("123.45678"), Some(123_456_780_000_000_000_000));
        assert_eq!(decimal("-1e3"), Some(-1000 * ONE));
        assert_eq!(decimal("0.0000000000000000005"), Some(1));
        assert_eq!(decimal("0.00000000000000000004"), Some(0));
        assert_eq!(decimal(".5"), Some(ONE / 2));
        assert_eq!([decimal("1e40"), decimal("."), decimal(""), decimal("1x"), decimal("--1")], [None; 5]);
    }

    #[test]
    fn timespans() {
        for (text, want) in [
            ("00:00:01.1234567", Some("00:00:01.1234567")),
            ("1.02:03:04.5", Some("1.02:03:04.5000000")),
            ("-1.02:03:04.5", Some("-1.02:03:04.5000000")),
            ("0:0:0.001", Some("00:00:00.0010000")),
            (" 23:59:59.99999999 ", Some("23:59:59.9999999")),
            ("10:20", Some("10:20:00")),
            ("1d", Some("1.00:00:00")),
            ("1.5 hours", Some("01:30:00")),
            ("10", None),
            ("24:00:00", None),
            ("00:60:00", None),
            ("00:00:01x", None),
            ("00:00:01.", None),
            ("1:2:3:4", None),
            ("", None),
            ("99999999999.00:00:00", None),
        ] {
            assert_eq!(timespan(text).map(|t| format::to_string(ValueRef::TimeSpan(t))).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn datetimes() {
        for (text, want) in [
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
            ("not a date", None),
            ("12", None),
            ("", None),
        ] {
            assert_eq!(datetime(text).map(|t| format::to_string(ValueRef::DateTime(t))).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn guids() {
        let canonical = Some("01234567-89ab-cdef-0123-456789abcdef".to_owned());
        for text in
            ["0123456789ABCDEF0123456789abcdef", "0123456789ab-cdef-0123-456789abcdef", "{01234567-89ab-cdef-0123-456789abcdef}"]
        {
            assert_eq!(guid(text), canonical);
        }
        assert_eq!([guid("xyz"), guid(""), guid("0123456789abcdef0123456789abcdef0")], [None, None, None]);
    }
}
