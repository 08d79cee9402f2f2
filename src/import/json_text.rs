//! JSON text handled without a tree: unescaping, repair, compact form, and hashes that do not depend on key order.

use std::borrow::Cow;

use kqlake_value::json::{self, BadEscapes, unescape_with};

/// Levels of objects and arrays that a record may have: those of a dynamic value, so that whatever is landed is read as one.
pub use kqlake_value::json::MAX_DEPTH as MAX_LEVELS;
pub use kqlake_value::json::checked::{Members, elements};
pub use kqlake_value::json::{mend_surrogates, too_deep};

/// Nesting beyond which values are hashed as their text instead of by their structure.
const MAX_DEPTH: usize = 64;

/// The text of a JSON string literal (with its quotes), mended where its escapes are none.
pub fn unescape(literal: &str) -> Cow<'_, str> {
    let inner = literal.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(literal);
    unescape_with(inner, BadEscapes::Mended)
}

/// The JSON string literal of a text.
pub fn string_literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    json::write_string(&mut literal, text);
    literal
}

/// The same JSON without white space between tokens. The text must be valid JSON.
///
/// Text that looks compact is not looked through: numbers of an array may keep blanks between them, as they do in the lake.
pub fn compact(text: &str) -> Cow<'_, str> {
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

/// A 128-bit hash under construction; two seeds of the 64-bit xxHash make it wide enough to tell billions of rows apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hash128(pub u64, pub u64);

impl Hash128 {
    /// The hash of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(xxhash_rust::xxh64::xxh64(bytes, 0), xxhash_rust::xxh64::xxh64(bytes, 0x9E37_79B9_7F4A_7C15))
    }

    /// The hash of an ordered pair.
    pub fn then(self, next: Self) -> Self {
        // Multiply and fold, as wyhash does it: one multiplication a half instead of hashing the hashes.
        let fold = |a: u64, b: u64, odd: u64| {
            let product = u128::from(a ^ odd) * u128::from(b.rotate_left(23) ^ 0xA076_1D64_78BD_642F);
            (product as u64) ^ ((product >> 64) as u64)
        };
        Self(fold(self.0, next.0, 0xE703_7ED1_A0B4_28DB), fold(self.1, next.1, 0x8EBC_6AF0_9C88_C6E3))
    }

    /// A sum that does not depend on the order of its parts.
    #[must_use]
    pub fn plus(self, next: Self) -> Self {
        Self(self.0.wrapping_add(next.0), self.1.wrapping_add(next.1))
    }

    /// 32 hexadecimal digits.
    pub fn hex(self) -> String {
        format!("{:016x}{:016x}", self.0, self.1)
    }
}

/// A hash of a JSON value that is the same for every spelling of it: key order, white space, escapes and number forms do
/// not count, a number and the text of the same number are one, and null or empty members are as if absent. `repeats`
/// becomes true when an object has a name twice.
pub fn canonical_hash(text: &str, repeats: &mut bool) -> Option<Hash128> {
    canonical(text.trim(), 0, repeats)
}

/// The text of a value whose objects have each name once; of the values of a name the last one stays.
pub fn without_repeats(text: &str) -> String {
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
            json::write_string(&mut out, name);
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

fn canonical(text: &str, depth: usize, repeats: &mut bool) -> Option<Hash128> {
    match text.as_bytes().first()? {
        _ if depth > MAX_DEPTH || (depth == 0 && too_deep(text)) => Some(Hash128::of(text.as_bytes())),
        b'{' => {
            let Ok(members) = Members::parse(text) else {
                return Some(Hash128::of(text.as_bytes()));
            };
            *repeats |= members.repeats();
            let mut sum = Hash128::default();
            let mut any = false;
            for (key, value) in &members.0 {
                if let Some(value) = canonical(value.get(), depth + 1, repeats) {
                    sum = sum.plus(Hash128::of(key.as_bytes()).then(value));
                    any = true;
                }
            }
            any.then(|| Hash128::of(b"{").then(sum))
        }
        b'[' => {
            let Ok(items) = elements(text) else {
                return Some(Hash128::of(text.as_bytes()));
            };
            let mut hash = Hash128::of(b"[");
            for item in &items {
                hash = hash.then(canonical(item.get(), depth + 1, repeats).unwrap_or_default());
            }
            (!items.is_empty()).then_some(hash)
        }
        b'"' => {
            let value = unescape(text);
            (!value.is_empty()).then(|| scalar(&value))
        }
        _ if text == "null" => None,
        _ => Some(scalar(text)),
    }
}

fn scalar(text: &str) -> Hash128 {
    // 5, 5.0, 5e0 and "5" are one value; texts that only look like numbers keep their own form.
    let numeric = match text.as_bytes() {
        [b'0', b'0'..=b'9', ..] => false,
        [b'0'..=b'9' | b'-', ..] => text.len() < 25,
        _ => false,
    };
    if numeric
        && let Ok(value) = text.parse::<f64>()
        && value.is_finite()
        && value.fract() == 0.0
        && value.abs() < 9e15
    {
        return Hash128::of((value as i64).to_string().as_bytes());
    }
    Hash128::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(text: &str) -> Option<Hash128> {
        canonical_hash(text, &mut false)
    }

    #[test]
    fn compacts_only_between_tokens() {
        assert_eq!(compact("{ \"a b\" : [1, 2 ,\n 3], \"c\": \"x \\\" , y\" }"), "{\"a b\":[1,2,3],\"c\":\"x \\\" , y\"}");
        assert!(matches!(compact("{\"a\":\"x: y\"}"), Cow::Borrowed(_)));
    }

    #[test]
    fn of_a_name_that_stands_twice_the_last_value_counts() {
        assert_eq!(hash(r#"{"a":1,"a":2}"#), hash(r#"{"a":2}"#));
        let mut repeats = false;
        canonical_hash(r#"[{"a":1,"b":{"a":2}},{"a":3}]"#, &mut repeats);
        assert!(!repeats);
        let text = r#"[{"a":1,"b":{"c":1.50,"d":2,"c":1e400},"a":[{"e":"\ud83d","e":"x\"y"}]}]"#;
        canonical_hash(text, &mut repeats);
        assert!(repeats);
        assert_eq!(without_repeats(text), r#"[{"a":[{"e":"x\"y"}],"b":{"c":1e400,"d":2}}]"#);
    }

    #[test]
    fn depth_is_measured_outside_of_texts() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(!too_deep(&nested(MAX_LEVELS)) && too_deep(&nested(MAX_LEVELS + 1)));
        assert!(!too_deep(&serde_json::Value::from(nested(1000)).to_string()));
        assert!(!too_deep(&format!("[{}]", vec!["{}"; 1000].join(","))));
        assert!(too_deep(&"[".repeat(100_000)));
        // What is let through is read by everyone.
        assert!(serde_json::from_str::<serde_json::Value>(&nested(MAX_LEVELS)).is_ok());
        assert!(hash(&nested(100_000)).is_some());
    }

    #[test]
    fn canonical_hashes_ignore_spelling() {
        let same = [
            r#"{"a":"5","b":{"c":true}}"#,
            r#"{ "b" : {"c" : true, "d": null}, "a" : 5.0 }"#,
            r#"{"b":{"c":true},"\u0061":5,"e":""}"#,
        ];
        let hashes: Vec<_> = same.iter().map(|t| hash(t)).collect();
        assert!(hashes[0].is_some() && hashes.iter().all(|h| *h == hashes[0]), "{hashes:?}");
        assert_ne!(hash(r#"{"a":"5"}"#), hash(r#"{"a":"6"}"#));
        assert_ne!(hash(r#"["a","b"]"#), hash(r#"["b","a"]"#));
        assert_eq!(hash("{}"), None);
        assert_eq!(hash(""), None);
    }
}
