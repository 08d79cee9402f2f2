//! Strings of JSON: where they end, what they mean, and what readers of JSON refuse in them.

use std::borrow::Cow;

use memchr::{memchr, memmem};

/// The place behind the string that starts at `at` (on its quote).
pub(super) fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let first = at + 1;
    let mut from = first;
    loop {
        let quote = memchr(b'"', bytes.get(from..)?)? + from;
        let mut backslashes = 0;
        while quote - backslashes > first && bytes[quote - backslashes - 1] == b'\\' {
            backslashes += 1;
        }
        if backslashes % 2 == 0 {
            return Some(quote + 1);
        }
        from = quote + 1;
    }
}

/// The text that a JSON string means; any other value's text as it is.
pub fn unquote(text: &str) -> Cow<'_, str> {
    match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(inner) => unescape(inner),
        None => Cow::Borrowed(text),
    }
}

/// What becomes of an escape that JSON does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadEscapes {
    /// It stays as it is written: what a query sees is what is there.
    Kept,
    /// The backslash goes, and `\u` without four digits is U+FFFD: a service's slip must not cost the record.
    Repaired,
}

/// Resolves the escapes of a JSON string's inside. What is no valid escape stays as it is written.
pub fn unescape(inner: &str) -> Cow<'_, str> {
    unescape_with(inner, BadEscapes::Kept)
}

/// Resolves the escapes of a JSON string's inside. Half of a surrogate pair is U+FFFD: services cut long texts without regard to
/// pairs.
pub fn unescape_with(inner: &str, bad: BadEscapes) -> Cow<'_, str> {
    let Some(first) = memchr(b'\\', inner.as_bytes()) else {
        return Cow::Borrowed(inner);
    };
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    let mut next = Some(first);
    while let Some(at) = next {
        out.push_str(&rest[..at]);
        let escape = &rest[at..];
        let (c, length) = match (escape.as_bytes().get(1), bad) {
            (Some(b'n'), _) => ('\n', 2),
            (Some(b't'), _) => ('\t', 2),
            (Some(b'r'), _) => ('\r', 2),
            (Some(b'b'), _) => ('\u{8}', 2),
            (Some(b'f'), _) => ('\u{c}', 2),
            (Some(b @ (b'"' | b'\\' | b'/')), _) => (char::from(*b), 2),
            (Some(b'u'), BadEscapes::Kept) => unicode_escape(escape).unwrap_or(('\\', 1)),
            (Some(b'u'), BadEscapes::Repaired) => unicode_escape(escape).unwrap_or(NO_ESCAPE),
            (_, BadEscapes::Kept) => ('\\', 1),
            (_, BadEscapes::Repaired) => {
                rest = &escape[1..];
                next = memchr(b'\\', rest.as_bytes());
                continue;
            }
        };
        out.push(c);
        rest = &escape[length..];
        next = memchr(b'\\', rest.as_bytes());
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character of an escape by code (`\u` and four digits, or a surrogate pair of them) and the escape's length. A lone surrogate
/// is U+FFFD; `None` where the digits are missing.
fn unicode_escape(text: &str) -> Option<(char, usize)> {
    let unit = |from: usize| u32::from_str_radix(text.get(from..from + 4)?, 16).ok();
    let high = unit(2)?;
    if (0xd800..0xdc00).contains(&high)
        && text.get(6..8) == Some("\\u")
        && let Some(low) = unit(8).filter(|low| (0xdc00..0xe000).contains(low))
    {
        return Some((char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 12));
    }
    Some((char::from_u32(high).unwrap_or('\u{fffd}'), 6))
}

/// Puts U+FFFD for lone surrogate escapes, which readers of JSON refuse; other text is given back untouched.
pub fn replace_lone_surrogates(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let suspicious = memmem::find_iter(bytes, b"\\u").any(|at| matches!(bytes.get(at + 2), Some(b'd' | b'D')));
    if !suspicious {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = memchr(b'\\', &bytes[at..]) {
        at += found;
        if bytes.get(at + 1) != Some(&b'u') {
            at += 2;
            if at > bytes.len() {
                break;
            }
            continue;
        }
        let (c, length) = unicode_escape(&text[at..]).unwrap_or(NO_ESCAPE);
        let end = (at + length).min(bytes.len());
        if c == '\u{fffd}' && !text[at..end].eq_ignore_ascii_case("\\ufffd") {
            out.push_str(&text[copied..at]);
            out.push_str("\\ufffd");
            copied = end;
        }
        at = end;
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// What stands for `\u` without four digits behind it.
const NO_ESCAPE: (char, usize) = ('\u{fffd}', 2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_escapes_are_kept_or_repaired() {
        let inner = r#"a\"b\\c\/d\n\u00e9\ud83d\ude00\ud83dx"#;
        for bad in [BadEscapes::Kept, BadEscapes::Repaired] {
            assert_eq!(unescape_with(inner, bad), "a\"b\\c/d\né😀\u{fffd}x");
            assert!(matches!(unescape_with("plain", bad), Cow::Borrowed("plain")));
        }
        for (inner, kept, repaired) in [
            (r"\q\\", r"\q\", r"q\"),
            (r"\é", r"\é", "é"),
            (r"\u12", r"\u12", "\u{fffd}12"),
            (r"\uzzzz\n", "\\uzzzz\n", "\u{fffd}zzzz\n"),
            ("end\\", "end\\", "end"),
        ] {
            assert_eq!((&*unescape(inner), &*unescape_with(inner, BadEscapes::Repaired)), (kept, repaired), "{inner}");
        }
    }

    #[test]
    fn lone_surrogates_are_replaced() {
        assert_eq!(
            replace_lone_surrogates(r#"{"a":"x\ud83d","b":"\\ud83d","c":"\ud83d\ude00"}"#),
            r#"{"a":"x\ufffd","b":"\\ud83d","c":"\ud83d\ude00"}"#
        );
        assert!(serde_json::from_str::<serde_json::Value>(&replace_lone_surrogates(r#"["\udc00","\ud800\ud800"]"#)).is_ok());
    }
}
