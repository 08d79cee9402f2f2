//! Text forms of KQL values: what `tostring` gives and what output writes.

mod hex;
mod instants;

use std::fmt::Write as _;

use serde_json::Map;

pub use self::hex::{hex, hex_digits, random_guid, write_hex};
pub use self::instants::InstantText;
use crate::{Json, TICKS_PER_DAY, TICKS_PER_SECOND, ValueRef, datetime_of_us};

/// The `tostring` text of a value; null is the empty text.
pub fn to_string(value: ValueRef<'_>) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

/// Appends the `tostring` text of a value.
pub fn write_value(out: &mut String, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => {}
        ValueRef::Bool(v) => out.push_str(if v { "True" } else { "False" }),
        ValueRef::Int(v) => {
            let _ = write!(out, "{v}");
        }
        ValueRef::Long(v) => {
            let _ = write!(out, "{v}");
        }
        // `tostring` has other words than answers have.
        ValueRef::Real(v) if v.is_nan() => out.push_str("nan"),
        ValueRef::Real(v) if v.is_infinite() => out.push_str(if v > 0.0 { "inf" } else { "-inf" }),
        ValueRef::Real(v) => write_real(out, v),
        ValueRef::Decimal(v) => write_decimal(out, v),
        ValueRef::String(v) | ValueRef::Guid(v) => out.push_str(v),
        ValueRef::DateTime(v) => write_datetime(out, v),
        ValueRef::TimeSpan(v) => write_timespan(out, v),
        ValueRef::Dynamic(text) => {
            // A dynamic string is unquoted, everything else is its compact JSON.
            if text.starts_with('"') {
                match serde_json::from_str::<String>(text) {
                    Ok(s) => out.push_str(&s),
                    Err(_) => out.push_str(text),
                }
            } else {
                out.push_str(text);
            }
        }
    }
}

/// Shortest text that reads back as the same number; whole values keep `.0`, great and small ones an exponent (`1e+20`).
/// What is no number is `NaN`, `Infinity` or `-Infinity`, as in answers.
pub fn write_real(out: &mut String, v: f64) {
    if v.is_nan() {
        out.push_str("NaN");
    } else if v.is_infinite() {
        out.push_str(if v > 0.0 { "Infinity" } else { "-Infinity" });
    } else if v == 0.0 {
        out.push_str(if v.is_sign_negative() { "-0.0" } else { "0.0" });
    } else {
        let magnitude = v.abs();
        if (1e-5..1e15).contains(&magnitude) {
            let start = out.len();
            let _ = write!(out, "{v}");
            if !out[start..].contains('.') {
                out.push_str(".0");
            }
        } else {
            // Rust writes 1e20; .NET writes 1E+20 and Kusto 1e+20, with two exponent digits at least.
            let text = format!("{v:e}");
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let exponent: i32 = exponent.parse().unwrap_or(0);
            let sign = if exponent < 0 { '-' } else { '+' };
            let _ = write!(out, "{mantissa}e{sign}{:02}", exponent.abs());
        }
    }
}

/// Appends a text as a JSON string, quotes included.
pub fn write_json_string(out: &mut String, text: &str) {
    out.push('"');
    let mut from = 0;
    for (at, b) in text.bytes().enumerate() {
        let escape = match b {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0c => "\\f",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[from..at]);
        if escape.is_empty() {
            let _ = write!(out, "\\u{b:04x}");
        } else {
            out.push_str(escape);
        }
        from = at + 1;
    }
    out.push_str(&text[from..]);
    out.push('"');
}

/// Appends a JSON value, compact. Reals are written as everywhere else ([`write_real`]), whether a constant or a column was
/// written.
pub fn write_json(out: &mut String, json: &Json) {
    match json {
        Json::Null => out.push_str("null"),
        Json::Bool(v) => out.push_str(if *v { "true" } else { "false" }),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (None, Some(v)) => write_real(out, v),
            _ => {
                let _ = write!(out, "{number}");
            }
        },
        Json::String(text) => write_json_string(out, text),
        Json::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_json(out, item);
            }
            out.push(']');
        }
        Json::Object(members) => write_members(out, members),
    }
}

/// Appends an object of JSON, as [`write_json`] does.
pub fn write_members(out: &mut String, members: &Map<String, Json>) {
    out.push('{');
    for (i, (key, value)) in members.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_json_string(out, key);
        out.push(':');
        write_json(out, value);
    }
    out.push('}');
}

/// The text of a JSON value, as [`write_json`] gives it.
pub fn json_text(json: &Json) -> String {
    let mut out = String::new();
    write_json(&mut out, json);
    out
}

/// Digits of a decimal scaled by 10^18, without trailing zeros.
fn write_decimal(out: &mut String, v: i128) {
    const SCALE: u128 = 1_000_000_000_000_000_000;
    if v < 0 {
        out.push('-');
    }
    let magnitude = v.unsigned_abs();
    let _ = write!(out, "{}", magnitude / SCALE);
    let fraction = magnitude % SCALE;
    if fraction != 0 {
        let digits = format!("{fraction:018}");
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
}

/// A number of bytes for people, in units of 1,024 as settings have them.
pub fn size(bytes: u64) -> String {
    let units = ["bytes", "KB", "MB", "GB", "TB"];
    let mut at = 0;
    let mut number = bytes as f64;
    while number >= 1024.0 && at + 1 < units.len() {
        number /= 1024.0;
        at += 1;
    }
    if at == 0 { format!("{bytes} bytes") } else { format!("{number:.1} {}", units[at]) }
}

/// The text of a datetime at rest (microseconds since 1970).
pub fn datetime_text(us: i64) -> String {
    let mut text = String::new();
    write_datetime(&mut text, datetime_of_us(us));
    text
}

/// `2020-01-02T03:04:05.6000000Z`: seven digits always, from ticks since 0001-01-01.
pub fn write_datetime(out: &mut String, ticks: i64) {
    let text = InstantText::of_ticks(ticks);
    match text.year {
        0..=9999 => out.push_str(text.with_digits(7)),
        // Outside of the calendar: no datetime of the language, but the text still shows what was held.
        year => {
            let _ = write!(out, "{year}{}", &text.with_digits(7)[4..]);
        }
    }
    out.push('Z');
}

/// `[-][d.]hh:mm:ss[.fffffff]`: days only when there are any, the fraction only when it is not zero.
pub fn write_timespan(out: &mut String, ticks: i64) {
    if ticks < 0 {
        out.push('-');
    }
    let magnitude = ticks.unsigned_abs();
    let day = TICKS_PER_DAY as u64;
    let second = TICKS_PER_SECOND as u64;
    let days = magnitude / day;
    if days > 0 {
        let _ = write!(out, "{days}.");
    }
    let rest = magnitude % day;
    let seconds = rest / second;
    push_digits::<2>(out, seconds / 3600);
    out.push(':');
    push_digits::<2>(out, seconds / 60 % 60);
    out.push(':');
    push_digits::<2>(out, seconds % 60);
    let fraction = rest % second;
    if fraction != 0 {
        out.push('.');
        push_digits::<7>(out, fraction);
    }
}

/// The last so many decimal digits of a number, without the machinery of formatting: an import writes some for every row.
fn push_digits<const COUNT: usize>(out: &mut String, mut number: u64) {
    let mut digits = ['0'; COUNT];
    for digit in digits.iter_mut().rev() {
        *digit = char::from(b'0' + (number % 10) as u8);
        number /= 10;
    }
    out.extend(digits);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        let sizes = [0, 1023, 1536, 5 << 30, u64::MAX].map(size);
        assert_eq!(sizes, ["0 bytes", "1023 bytes", "1.5 KB", "5.0 GB", "16777216.0 TB"]);
    }

    #[test]
    fn timespans_show_days_and_ticks_only_when_there_are_any() {
        let text = |t| to_string(ValueRef::TimeSpan(t));
        assert_eq!(text(TICKS_PER_DAY), "1.00:00:00");
        assert_eq!(text(-2 * 3600 * TICKS_PER_SECOND), "-02:00:00");
        assert_eq!(text(15_000_000), "00:00:01.5000000");
        assert_eq!(text(1), "00:00:00.0000001");
    }

    #[test]
    fn datetimes_cover_the_whole_calendar() {
        let text = |t| to_string(ValueRef::DateTime(t));
        assert_eq!(text(0), "0001-01-01T00:00:00.0000000Z");
        assert_eq!(text(crate::MAX_DATETIME), "9999-12-31T23:59:59.9999999Z");
        assert_eq!(text(crate::datetime_of_us(1_577_934_245_600_000) + 1), "2020-01-02T03:04:05.6000001Z");
    }

    #[test]
    fn reals_read_back_and_keep_a_fraction() {
        let text = |v| to_string(ValueRef::Real(v));
        assert_eq!(text(5.0), "5.0");
        assert_eq!(text(0.1 + 0.2), "0.30000000000000004");
        assert_eq!(text(1e20), "1e+20");
        assert_eq!([f64::NEG_INFINITY, f64::INFINITY, f64::NAN].map(text), ["-inf", "inf", "nan"]);
        let mut answer = String::new();
        write_real(&mut answer, f64::NEG_INFINITY);
        assert_eq!(answer, "-Infinity");
    }
}
