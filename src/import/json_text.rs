//! JSON text of records as it is kept: unescaped and repaired leniently, compact, each name once.
//!
//! The scanning is that of [`kqlake_value::json`]; what differs for records is said there by options.

use std::borrow::Cow;

use kqlake_value::format::write_json_string;
use kqlake_value::json::checked::{Members, elements};
use kqlake_value::json::{self, BadEscapes, unescape_with};

/// The text of a JSON string literal (with its quotes), repaired where its escapes are invalid.
pub(crate) fn unescape(literal: &str) -> Cow<'_, str> {
    let inner = literal.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(literal);
    unescape_with(inner, BadEscapes::Repaired)
}

/// The JSON string literal of a text.
pub(crate) fn string_literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    write_json_string(&mut literal, text);
    literal
}

/// The same JSON without white space between tokens. The text must be valid JSON.
///
/// Text that looks compact is not scanned: numbers of an array may keep blanks between them, as they do in the lake.
pub(crate) fn compact(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    // Writers are consistent: compact text has no blank behind its first bracket, its first colon or any line end.
    let first_colon = memchr::memmem::find(bytes, b"\":").and_then(|at| bytes.get(at + 2));
    let spaced = bytes.get(1).is_some_and(u8::is_ascii_whitespace)
        || first_colon.is_some_and(u8::is_ascii_whitespace)
        || memchr::memchr(b'\n', bytes).is_some()
        || memchr::memmem::find(bytes, b"\" :").is_some()
        || memchr::memmem::find(bytes, b", \"").is_some();
    if !spaced {
        return Cow::Borrowed(text);
    }
    json::compact(text)
}

/// The text of a value whose objects have each name once; of the values of a name the last one stays.
pub(crate) fn without_repeats(text: &str) -> String {
    let each = |out: &mut String, text: &str| match text.as_bytes().first() {
        Some(b'{' | b'[') => out.push_str(&without_repeats(text)),
        _ => out.push_str(text),
    };
    let mut out = String::with_capacity(text.len());
    if let (true, Ok(members)) = (text.starts_with('{'), Members::parse(text)) {
        out.push('{');
        for (name, value) in &members.0 {
            if out.len() > 1 {
                out.push(',');
            }
            write_json_string(&mut out, name);
            out.push(':');
            each(&mut out, value.get());
        }
        out.push('}');
    } else if let (true, Ok(items)) = (text.starts_with('['), elements(text)) {
        out.push('[');
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            each(&mut out, item.get());
        }
        out.push(']');
    } else {
        out.push_str(text);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_unescaped_and_mended() {
        assert_eq!(unescape(r#""a\"b\\c\/d\n\u00e9\ud83d\ude00\ud83dx""#), "a\"b\\c/d\né😀\u{fffd}x");
        assert!(matches!(unescape(r#""plain""#), Cow::Borrowed("plain")));
        assert_eq!(unescape("\"\\q\\u12\""), "q\u{fffd}12");
        assert_eq!(string_literal("a\"\n\u{1}\u{7f}é"), serde_json::Value::from("a\"\n\u{1}\u{7f}é").to_string());
    }

    #[test]
    fn compacts_only_between_tokens() {
        assert_eq!(compact("{ \"a b\" : [1, 2 ,\n 3], \"c\": \"x \\\" , y\" }"), "{\"a b\":[1,2,3],\"c\":\"x \\\" , y\"}");
        assert!(matches!(compact("{\"a\":\"x: y\"}"), Cow::Borrowed(_)));
        assert_eq!(compact("[1, 2]"), "[1, 2]");
    }

    #[test]
    fn each_name_stays_once() {
        let text = r#"[{"a":1,"b":{"c":1.50,"d":2,"c":1e400},"a":[{"e":"\ud83d","e":"x\"y"}]}]"#;
        assert_eq!(without_repeats(text), r#"[{"a":[{"e":"x\"y"}],"b":{"c":1e400,"d":2}}]"#);
    }
}
