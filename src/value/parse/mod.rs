//! Text to values: what `tolong`, `toreal`, `totimespan`, `todatetime` and their kin accept.
//!
//! All functions give `None` where the text is no value of the type; none of them fails. White space around a value is
//! ignored, except around the words of a bool. The forms are those of the Kusto documentation ("The datetime data type", "The timespan data type", the
//! conversion functions' pages) and of measured answers.

pub mod datetimes;
pub mod guids;
pub mod timespans;

pub use self::datetimes::text as datetime;

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
    crate::decimal(if negative { -value } else { value })
}

/// How a bool may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoolForm {
    /// A literal in a query: `true`, `True`, `TRUE` and `1`, and so for false.
    Literal,
    /// What `tobool` takes: `true`, `false` in any case without white space around, or integer text (not zero is true).
    Text,
    /// A field of a record: `true`, `yes`, `1`, `false`, `no`, `0` in any case, with white space around.
    Record,
}

/// A bool, as `tobool` takes it ([`BoolForm::Text`]).
pub fn boolean(text: &str) -> Option<bool> {
    boolean_of(text, BoolForm::Text)
}

/// A bool as a reader of this form takes it.
pub fn boolean_of(text: &str, form: BoolForm) -> Option<bool> {
    let text = if form == BoolForm::Record { text.trim() } else { text };
    if let Some(word) = bool_word(text) {
        return Some(word);
    }
    match form {
        BoolForm::Literal => digit_bool(text),
        BoolForm::Text if text.eq_ignore_ascii_case("true") => Some(true),
        BoolForm::Text if text.eq_ignore_ascii_case("false") => Some(false),
        BoolForm::Text => long(text).map(|v| v != 0),
        BoolForm::Record if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("yes") => Some(true),
        BoolForm::Record if text.eq_ignore_ascii_case("false") || text.eq_ignore_ascii_case("no") => Some(false),
        BoolForm::Record => digit_bool(text),
    }
}

/// The bool of a word of the language; other capitals make it a name.
pub fn bool_word(word: &str) -> Option<bool> {
    match word {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

fn digit_bool(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

/// A guid, lower case with dashes, as `toguid` takes it ([`guids::Form::Loose`]).
pub fn guid(text: &str) -> Option<String> {
    guids::read(text, guids::Form::Loose)
}

/// A timespan in ticks: `[-][d.]hh:mm[:ss[.fffffff]]`, or a number with a unit (`1.5h`, `15 seconds`). Digits of the
/// fraction beyond the seventh are dropped; a bare number is none ([`timespans::TEXT`]).
pub fn timespan(text: &str) -> Option<i64> {
    timespans::read(text.trim(), &timespans::TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let read = |form| ["TRUE", "tRue", " true", "1", "2", "No"].map(|text| boolean_of(text, form));
        assert_eq!(read(BoolForm::Literal), [Some(true), None, None, Some(true), None, None]);
        assert_eq!(read(BoolForm::Text), [Some(true), Some(true), None, Some(true), Some(true), None]);
        assert_eq!(read(BoolForm::Record), [Some(true), Some(true), Some(true), Some(true), None, Some(false)]);
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
