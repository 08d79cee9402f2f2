//! Text to values: what `tolong`, `toreal`, `totimespan`, `todatetime` and their kin accept.
//!
//! All functions give `None` where the text is no value of the type; none of them fails. White space around a value is
//! ignored, except around the words of a bool. The forms are those of the Kusto documentation ("The datetime data type", "The
//! timespan data type", the conversion functions' pages) and of measured answers.

pub mod datetimes;
pub mod guids;
mod numbers;
pub mod timespans;

pub use self::datetimes::text as datetime;
pub use self::numbers::{RealForm, decimal, decimal_of_real, hex_digits, int, is_number, long, real, real_of};

/// What some writers put before a text in UTF-8: U+FEFF.
pub const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// A text in UTF-8 without the byte-order mark.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(&BYTE_ORDER_MARK).unwrap_or(text)
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

/// A guid, lower case with dashes, as `toguid` takes it ([`guids::GuidForm::Loose`]).
pub fn guid(text: &str) -> Option<String> {
    guids::read(text, guids::GuidForm::Loose)
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
    fn bools_in_every_form() {
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
