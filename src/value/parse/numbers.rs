//! Text to numbers.

/// A long: decimal digits with an optional sign, or hexadecimal digits behind `0x`, which wrap to 64 bits.
pub fn long(text: &str) -> Option<i64> {
    let text = text.trim();
    match hex_digits(text) {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(|v| v as i64),
        // `0x` before something else is no integer either.
        None => text.parse().ok(),
    }
}

/// An int: as [`long`], within 32 bits; hexadecimal digits wrap.
pub fn int(text: &str) -> Option<i32> {
    let value = long(text)?;
    match i32::try_from(value) {
        Ok(v) => Some(v),
        Err(_) => hex_digits(text.trim()).and_then(|_| u32::try_from(value).ok()).map(|v| v as i32),
    }
}

/// The hexadecimal digits behind `0x`; `None` where it does not stand, or something else follows.
pub fn hex_digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(digits)
}

/// What a reader of reals takes besides decimal digits with an optional sign, point and exponent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RealForm {
    /// A literal in a query: `nan`, `inf` and `infinity` in any case and with a sign. No number beyond the largest double.
    Literal,
    /// What `toreal` takes: `nan` and `inf` in lower case and with a sign. A number beyond the largest double is infinite.
    Text,
    /// A cell of a file: as [`RealForm::Text`], and the words `NaN`, `Infinity` and `-Infinity` of answers and exports.
    File,
    /// A field of a record: `inf` and `infinity` in any case and with a sign, `nan` in any case. No number beyond the largest
    /// double.
    Record,
}

/// A real, as `toreal` takes it ([`RealForm::Text`]).
pub fn real(text: &str) -> Option<f64> {
    real_of(text, RealForm::Text)
}

/// A real as a reader of this form takes it. White space around it is ignored.
pub fn real_of(text: &str, form: RealForm) -> Option<f64> {
    let text = text.trim();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if is_number(unsigned) {
        let value: f64 = text.parse().ok()?;
        let infinite = matches!(form, RealForm::Text | RealForm::File);
        return (infinite || value.is_finite()).then_some(value);
    }
    let infinity = if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY };
    let is = |word: &str| unsigned.eq_ignore_ascii_case(word);
    match form {
        RealForm::Text | RealForm::File if unsigned == "inf" => Some(infinity),
        RealForm::Text | RealForm::File if unsigned == "nan" => Some(f64::NAN),
        RealForm::File if matches!(text, "Infinity" | "-Infinity") => Some(infinity),
        RealForm::File if text == "NaN" => Some(f64::NAN),
        RealForm::Literal | RealForm::Record if is("inf") || is("infinity") => Some(infinity),
        RealForm::Literal if is("nan") => Some(f64::NAN),
        RealForm::Record if text.eq_ignore_ascii_case("nan") => Some(f64::NAN),
        _ => None,
    }
}

/// True for decimal digits without a sign: at most one point, with a digit before or behind it, and at most one exponent.
pub fn is_number(text: &str) -> bool {
    // What begins so is read by Rust as it is here; its words for NaN and infinity begin with letters.
    text.starts_with(|c: char| c.is_ascii_digit() || c == '.') && text.parse::<f64>().is_ok()
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

/// A real as a decimal: that of its shortest text, so that 0.1 becomes exactly 0.1. `None` for what is no number or is beyond the
/// range.
pub fn decimal_of_real(v: f64) -> Option<i128> {
    decimal(&format!("{v:e}"))
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
    }

    #[test]
    fn reals_in_every_form() {
        let read = |form| {
            move |text: &str| match real_of(text, form) {
                Some(v) if v.is_nan() => "NaN".to_owned(),
                Some(v) => v.to_string(),
                None => "-".to_owned(),
            }
        };
        for (text, literal, plain, file, record) in [
            (" 1.50 ", "1.5", "1.5", "1.5", "1.5"),
            ("+1.", "1", "1", "1", "1"),
            ("-.5e1", "-5", "-5", "-5", "-5"),
            ("-0", "-0", "-0", "-0", "-0"),
            ("1e400", "-", "inf", "inf", "-"),
            ("-1e400", "-", "-inf", "-inf", "-"),
            ("1e-400", "0", "0", "0", "0"),
            ("inf", "inf", "inf", "inf", "inf"),
            ("-inf", "-inf", "-inf", "-inf", "-inf"),
            ("+inf", "inf", "inf", "inf", "inf"),
            ("INF", "inf", "-", "-", "inf"),
            ("infinity", "inf", "-", "-", "inf"),
            ("Infinity", "inf", "-", "inf", "inf"),
            ("-Infinity", "-inf", "-", "-inf", "-inf"),
            ("+Infinity", "inf", "-", "-", "inf"),
            ("nan", "NaN", "NaN", "NaN", "NaN"),
            ("-nan", "NaN", "NaN", "NaN", "-"),
            ("NaN", "NaN", "-", "NaN", "NaN"),
            ("+NaN", "NaN", "-", "-", "-"),
        ] {
            let [a, b, c, d] = [RealForm::Literal, RealForm::Text, RealForm::File, RealForm::Record].map(|f| read(f)(text));
            assert_eq!([a.as_str(), &b, &c, &d], [literal, plain, file, record], "{text}");
        }
        for text in ["", ".", "-", "1e", "1e+", "0x1F", "1_0", "--1", "+-1", "infant", "1,5", "1 2", "e5"] {
            for form in [RealForm::Literal, RealForm::Text, RealForm::File, RealForm::Record] {
                assert_eq!(real_of(text, form), None, "{text}");
            }
        }
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
}
