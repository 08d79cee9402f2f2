//! Texts of timespans.
//!
//! All readers know `[-][d.]hh:mm[:ss[.fffffff]]`. What else each takes, and where it is stricter, is its [`Rules`]: a literal in
//! a query, the text that `totimespan` is given, a field of a record, and a value that is to be kept as a column of timespans
//! are read differently, and files hold what was read.

use std::ops::RangeInclusive;

use memchr::memchr;

use crate::{TICKS_PER_DAY, TICKS_PER_SECOND};

/// What a reader of timespans takes.
#[derive(Debug, Clone)]
pub struct Rules {
    /// A `+` may appear in front.
    plus: bool,
    /// How the number of days is written.
    days: Numeral,
    /// How hours, minutes and seconds are written.
    parts: Numeral,
    /// A text that begins with two digits each of hours, minutes and seconds has no third digit of seconds (`00:00:007`), though
    /// others may (`0:00:007`).
    two_digits: bool,
    /// Hours up to 23, minutes and seconds up to 59; else they are added up, however many they are.
    bounded: bool,
    /// Seconds must be there.
    seconds: bool,
    /// Digits behind the point of a second. Those beyond the seventh are dropped.
    fraction: RangeInclusive<usize>,
    /// What a text without a colon is.
    quantity: Quantity,
    /// The least long is a timespan, too.
    least: bool,
}

/// How a whole number is written.
#[derive(Debug, Clone, Copy)]
enum Numeral {
    /// One digit to so many.
    Digits(usize),
    /// Any number of 32 bits, also with a `+`.
    Bits32,
}

/// How a text without a colon is read.
#[derive(Debug, Clone, Copy)]
enum Quantity {
    /// A number and a unit; without unit, days. Exact, parts smaller than a tick are rounded.
    Exact,
    /// A number and a unit. Calculated as a real where it has a point, and rounded.
    Real,
    /// A duration of ISO 8601 (`PT0.005S`, `P1DT2H`).
    Iso,
    /// It is none.
    None,
}

/// A literal in a query (Kusto documentation, "The timespan data type").
pub const LITERAL: Rules = Rules {
    plus: true,
    days: Numeral::Digits(18),
    parts: Numeral::Digits(2),
    two_digits: true,
    bounded: true,
    seconds: false,
    fraction: 1..=7,
    quantity: Quantity::Exact,
    least: true,
};

/// What `totimespan` takes.
pub const TEXT: Rules = Rules {
    plus: false,
    days: Numeral::Digits(18),
    parts: Numeral::Digits(18),
    two_digits: true,
    bounded: true,
    seconds: false,
    fraction: 1..=usize::MAX,
    quantity: Quantity::Real,
    least: false,
};

/// A field of a record, as services write it.
pub const RECORD: Rules = Rules {
    plus: false,
    days: Numeral::Bits32,
    parts: Numeral::Bits32,
    two_digits: false,
    bounded: false,
    seconds: false,
    fraction: 0..=usize::MAX,
    quantity: Quantity::Iso,
    least: false,
};

/// A value of a bag that is kept as a column of timespans, as .NET writes it.
pub const PROMOTED: Rules = Rules {
    plus: false,
    days: Numeral::Digits(8),
    parts: Numeral::Digits(2),
    two_digits: true,
    bounded: true,
    seconds: true,
    fraction: 0..=7,
    quantity: Quantity::None,
    least: false,
};

/// The ticks of a timespan's text. The caller removes white space around it.
pub fn read(text: &str, rules: &Rules) -> Option<i64> {
    if let Some((clock, rest)) = plain_clock(text.as_bytes()) {
        match fraction(rest, &rules.fraction) {
            Some(fraction) => return Some(clock + fraction),
            None if rules.two_digits => return None,
            None => {}
        }
    }
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' if rules.plus => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = if memchr(b':', unsigned.as_bytes()).is_some() {
        clock(unsigned.as_bytes(), rules)?
    } else {
        match rules.quantity {
            Quantity::Exact => exact_quantity(unsigned)?,
            Quantity::Real => real_quantity(unsigned)?.into(),
            Quantity::Iso => iso_duration(unsigned, rules)?.into(),
            Quantity::None => return None,
        }
    };
    let ticks = i64::try_from(if negative { -magnitude } else { magnitude }).ok()?;
    (rules.least || ticks != i64::MIN).then_some(ticks)
}

/// Ticks of `hh:mm:ss`, which nearly all telemetry writes and all readers take, and what follows.
fn plain_clock(text: &[u8]) -> Option<(i64, &[u8])> {
    let [h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = text else { return None };
    if ![h1, h2, m1, m2, s1, s2].iter().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let two = |a: &u8, b: &u8| i64::from(a - b'0') * 10 + i64::from(b - b'0');
    let (h, m, s) = (two(h1, h2), two(m1, m2), two(s1, s2));
    (h <= 23 && m <= 59 && s <= 59).then_some(((h * 3600 + m * 60 + s) * TICKS_PER_SECOND, rest))
}

/// `[d.]hh:mm[:ss[.f]]`
fn clock(text: &[u8], rules: &Rules) -> Option<i128> {
    let mut parts = text.split(|b| *b == b':');
    let (hours, minutes) = (parts.next()?, parts.next()?);
    let seconds = match parts.next() {
        None if rules.seconds => return None,
        seconds => seconds.unwrap_or(b"0"),
    };
    if parts.next().is_some() {
        return None;
    }
    let (days, hours) = match memchr(b'.', hours) {
        Some(dot) => (rules.days.read(&hours[..dot])?, &hours[dot + 1..]),
        None => (0, hours),
    };
    let (hours, minutes) = (rules.parts.read(hours)?, rules.parts.read(minutes)?);
    let (seconds, fraction) = seconds_and_fraction(seconds, rules)?;
    if rules.bounded && (hours > 23 || minutes > 59 || seconds > 59) {
        return None;
    }
    let whole = i128::from(days) * 86_400 + i128::from(hours) * 3600 + i128::from(minutes) * 60 + i128::from(seconds);
    Some(whole * i128::from(TICKS_PER_SECOND) + i128::from(fraction))
}

/// `ss[.f]`: seconds, and the ticks of the fraction.
fn seconds_and_fraction(text: &[u8], rules: &Rules) -> Option<(i64, i64)> {
    let dot = memchr(b'.', text).unwrap_or(text.len());
    Some((rules.parts.read(&text[..dot])?, fraction(&text[dot..], &rules.fraction)?))
}

/// Ticks of a point and so many digits, or of nothing.
fn fraction(text: &[u8], lengths: &RangeInclusive<usize>) -> Option<i64> {
    let digits = match text {
        [] => return Some(0),
        [b'.', digits @ ..] if lengths.contains(&digits.len()) => digits,
        _ => return None,
    };
    digits.iter().all(u8::is_ascii_digit).then(|| fraction_ticks(digits))
}

/// Ticks of the digits behind a second's point; those beyond the seventh are dropped.
pub(crate) fn fraction_ticks(digits: &[u8]) -> i64 {
    (0..7).fold(0, |ticks, place| ticks * 10 + digits.get(place).map_or(0, |digit| i64::from(digit - b'0')))
}

impl Numeral {
    fn read(self, text: &[u8]) -> Option<i64> {
        match self {
            Numeral::Digits(most) => digits(text, most),
            Numeral::Bits32 => std::str::from_utf8(text).ok()?.parse::<u32>().ok().map(i64::from),
        }
    }
}

/// A number of one digit to so many, 18 at most.
pub(crate) fn digits(text: &[u8], most: usize) -> Option<i64> {
    if text.is_empty() || text.len() > most {
        return None;
    }
    text.iter().try_fold(0, |value, d| d.is_ascii_digit().then(|| value * 10 + i64::from(d - b'0')))
}

/// A number's digits with any points among them, and the unit behind it.
fn amount_and_unit(text: &str) -> (&str, &str) {
    let split = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let (amount, unit) = text.split_at(split);
    (amount, unit.trim_start())
}

fn exact_quantity(text: &str) -> Option<i128> {
    let (amount, unit) = amount_and_unit(text);
    // Ticks of the unit as a fraction, because a nanosecond is a hundredth of a tick.
    let (numerator, denominator) = match unit {
        "" => (TICKS_PER_DAY, 1),
        "nano" | "nanos" | "nanosec" | "nanosecond" | "nanoseconds" => (1, 100),
        unit => (unit_ticks(unit)?, 1),
    };
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    let fraction = fraction.get(..fraction.len().min(15))?;
    let scale = 10_i128.pow(fraction.len() as u32);
    let fraction = if fraction.is_empty() { 0 } else { digits(fraction.as_bytes(), 18)? };
    let value = i128::from(digits(whole.as_bytes(), 18)?).checked_mul(scale)? + i128::from(fraction);
    let divisor = denominator * scale;
    Some((value.checked_mul(numerator.into())? + divisor / 2) / divisor)
}

fn real_quantity(text: &str) -> Option<i64> {
    let (amount, unit) = amount_and_unit(text);
    let ticks = unit_ticks(unit)?;
    if let Ok(whole) = amount.parse::<i64>() {
        return whole.checked_mul(ticks);
    }
    let exact = amount.parse::<f64>().ok()? * ticks as f64;
    (exact.abs() < 9.2e18).then_some(exact.round() as i64)
}

/// Ticks of a unit of time, by any of its names.
fn unit_ticks(name: &str) -> Option<i64> {
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

/// The ticks of a duration of ISO 8601 alone: `P[nW][nD][T[nH][nM][nS]]`, without a sign.
pub fn iso(text: &str) -> Option<i64> {
    iso_duration(text, &RECORD)
}

/// `P[nW][nD][T[nH][nM][nS]]`
fn iso_duration(text: &str, rules: &Rules) -> Option<i64> {
    let text = text.strip_prefix(['P', 'p'])?;
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
        let (whole, fraction) = seconds_and_fraction(&text.as_bytes()[start..at], rules)?;
        ticks = (whole * TICKS_PER_SECOND + fraction).checked_mul(unit)?.checked_add(ticks)?;
        start = at + c.len_utf8();
        any = true;
    }
    (any && start == text.len()).then_some(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ValueRef, format};

    const SECOND: i64 = TICKS_PER_SECOND;

    #[test]
    fn literals_have_units_and_clocks() {
        for (text, ticks) in [
            ("1d", TICKS_PER_DAY),
            ("1.5h", 5400 * SECOND),
            ("2m", 120 * SECOND),
            ("10ms", 100_000),
            ("3micros", 30),
            ("250nanos", 3),
            ("1tick", 1),
            ("0.0000001s", 1),
            ("15 seconds", 15 * SECOND),
            ("25min", 1500 * SECOND),
            ("7", 7 * TICKS_PER_DAY),
            ("-1d", -TICKS_PER_DAY),
            ("+1d", TICKS_PER_DAY),
            ("01:30", 5400 * SECOND),
            ("1.02:03:04.5", TICKS_PER_DAY + 7384 * SECOND + 5_000_000),
            ("-00:00:00.0000001", -1),
            ("10675199.02:48:05.4775807", i64::MAX),
            ("-10675199.02:48:05.4775808", i64::MIN),
        ] {
            assert_eq!(read(text, &LITERAL), Some(ticks), "{text}");
        }
        for bad in
            ["", "-", "1w", "1us", "24:00", "00:60", "1:2:3:4", "1.5.3d", "10675200d", "x", "1d2h", "00:00:00.12345678", ".5h"]
        {
            assert_eq!(read(bad, &LITERAL), None, "{bad}");
        }
    }

    #[test]
    fn texts_of_data() {
        for (text, want) in [
            ("00:00:01.1234567", Some("00:00:01.1234567")),
            ("1.02:03:04.5", Some("1.02:03:04.5000000")),
            ("-1.02:03:04.5", Some("-1.02:03:04.5000000")),
            ("0:0:0.001", Some("00:00:00.0010000")),
            ("23:59:59.99999999", Some("23:59:59.9999999")),
            ("10:20", Some("10:20:00")),
            ("1d", Some("1.00:00:00")),
            ("1.5 hours", Some("01:30:00")),
            (".5h", Some("00:30:00")),
            ("10", None),
            ("+1d", None),
            ("1nanos", None),
            ("24:00:00", None),
            ("00:60:00", None),
            ("00:00:01x", None),
            ("00:00:01.", None),
            ("00:00:007", None),
            ("0:00:007", Some("00:00:07")),
            ("1:2:3:4", None),
            ("", None),
            ("99999999999.00:00:00", None),
            ("-10675199.02:48:05.4775808", None),
        ] {
            assert_eq!(read(text, &TEXT).map(|t| format::to_string(ValueRef::TimeSpan(t))).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn fields_of_records() {
        for (text, ticks) in [
            ("00:00:01.2530000", 12_530_000),
            ("1.02:03:04.5", 937_845_000_000),
            ("-00:00:01", -10_000_000),
            ("PT0.005S", 50_000),
            ("P1DT2H3M4.5S", 937_845_000_000),
            ("-P1W", -7 * TICKS_PER_DAY),
            ("PT1M30S", 900_000_000),
            ("25:00:61.", 90_061 * SECOND),
            ("00:00:01.00000019", 10_000_001),
        ] {
            assert_eq!(read(text, &RECORD), Some(ticks), "{text}");
        }
        for bad in ["", "5", "P", "PT", "PTS", "P1H", "aa:bb", "1:2:3:4", "1d", "4294967296.00:00"] {
            assert_eq!(read(bad, &RECORD), None, "{bad}");
        }
    }

    #[test]
    fn columns_read_what_dotnet_writes() {
        assert_eq!(read("1.02:03:04.5000000", &PROMOTED), Some(((26 * 3600 + 184) * 10 + 5) * 1_000_000));
        assert_eq!(read("-00:00:01", &PROMOTED), Some(-10_000_000));
        assert_eq!(read("1:2:3.", &PROMOTED), Some(3723 * SECOND));
        for wrong in ["", "5", "24:00:00", "00:60:00", "00:00:01.12345678", "a.00:00:00", "00:00", " 00:00:01", "1d", "PT1S"] {
            assert_eq!(read(wrong, &PROMOTED), None, "{wrong}");
        }
    }
}
