//! JSON text handled without a tree: unescaping, repair, compact form, and hashes that do not depend on key order.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

/// Levels of objects and arrays that a record may have: those of a dynamic value, so that whatever is landed is read as one.
pub use kqlake_value::json::MAX_DEPTH as MAX_LEVELS;
use kqlake_value::json::unicode_escape;

/// Nesting beyond which values are hashed as their text instead of by their structure.
const MAX_DEPTH: usize = 64;

/// What stands for `\u` without four digits behind it.
const NO_ESCAPE: (char, usize) = ('\u{fffd}', 2);

/// The text of a JSON string literal (with its quotes).
///
/// A lone half of a surrogate pair becomes U+FFFD: services cut long texts without regard to pairs, and such a text must
/// not cost the record.
pub fn unescape(literal: &str) -> Cow<'_, str> {
    let inner = literal.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(literal);
    let Some(first) = memchr::memchr(b'\\', inner.as_bytes()) else {
        return Cow::Borrowed(inner);
    };
    let mut out = String::with_capacity(inner.len());
    out.push_str(&inner[..first]);
    let mut rest = &inner[first..];
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let bytes = rest.as_bytes();
        let mut used = at + 2;
        match bytes.get(at + 1) {
            Some(b'n') => out.push('\n'),
            Some(b't') => out.push('\t'),
            Some(b'r') => out.push('\r'),
            Some(b'b') => out.push('\u{8}'),
            Some(b'f') => out.push('\u{c}'),
            Some(b'u') => {
                let (c, length) = unicode_escape(&rest[at..]).unwrap_or(NO_ESCAPE);
                out.push(c);
                used = at + length;
            }
            Some(&c) if c.is_ascii() => out.push(c as char),
            _ => used = at + 1,
        }
        rest = rest.get(used..).unwrap_or("");
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Puts U+FFFD for lone surrogate escapes, which readers of JSON refuse; other text is given back untouched.
pub fn mend_surrogates(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let suspicious = memchr::memmem::find_iter(bytes, b"\\u").any(|at| matches!(bytes.get(at + 2), Some(b'd' | b'D')));
    if !suspicious {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
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

/// The same JSON without white space between tokens. The text must be valid JSON.
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
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'"' {
            let end = string_end(bytes, at);
            out.push_str(&text[at..end]);
            at = end;
        } else if bytes[at].is_ascii_whitespace() {
            at += 1;
        } else {
            let end = bytes[at..].iter().position(|b| *b == b'"' || b.is_ascii_whitespace()).map_or(bytes.len(), |n| at + n);
            out.push_str(&text[at..end]);
            at = end;
        }
    }
    Cow::Owned(out)
}

/// True for JSON that is nested deeper than [`MAX_LEVELS`].
pub fn too_deep(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Hardly any text has so many brackets at all.
    if bytes.iter().filter(|b| matches!(b, b'{' | b'[')).count() <= MAX_LEVELS {
        return false;
    }
    let (mut at, mut level) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'{' | b'[' => level += 1,
            b'}' | b']' => level = level.saturating_sub(1),
            _ => {}
        }
        if level > MAX_LEVELS {
            return true;
        }
        at += 1;
    }
    false
}

/// The place behind the closing quote of a string that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &bytes[at.min(bytes.len())..]) {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

/// The top-level members of a JSON object, each with its untouched value text.
///
/// Each name stands there once: of a name that is repeated the last value counts, as JSON readers have it.
#[derive(Debug, Default)]
pub struct Members<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>, bool);

impl<'a> Members<'a> {
    /// Reads an object's members in one pass, checking the whole text.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    fn add(&mut self, name: Cow<'a, str>, value: &'a RawValue, seen: &mut Seen<'a>) {
        match seen.place(&name, &self.0) {
            Some(place) => {
                self.0[place].1 = value;
                self.1 = true;
            }
            None => self.0.push((name, value)),
        }
    }

    /// The value text of a member by its exact name; JSON null counts as missing.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.get()).filter(|text| *text != "null")
    }

    /// The value text of a member by its name in any letter case; JSON null counts as missing.
    pub fn get_any_case(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.get()).filter(|text| *text != "null")
    }

    /// The unescaped text of a string member, by its name in any letter case.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        let value = self.get_any_case(name)?;
        Some(if value.starts_with('"') { unescape(value) } else { Cow::Borrowed(value) })
    }

    /// True when there is a member of this name, in any letter case, that is not null.
    pub fn has(&self, name: &str) -> bool {
        self.get_any_case(name).is_some()
    }
}

/// Names that an object has had so far.
#[derive(Default)]
struct Seen<'a> {
    /// One bit a hash of a name: a clear one says for certain that the name is new.
    bits: [u64; 4],
    /// Places by name, once an object has so many members that looking at each would take long.
    places: HashMap<Cow<'a, str>, usize>,
}

/// Members up to which names are compared one by one.
const FEW: usize = 64;

impl<'a> Seen<'a> {
    /// The place of a name among the members that came before.
    fn place(&mut self, name: &str, members: &[(Cow<'a, str>, &RawValue)]) -> Option<usize> {
        if members.len() < FEW {
            let bytes = name.as_bytes();
            let end = |at: usize| bytes.get(at).map_or(0, |b| usize::from(*b));
            let hash = bytes.len() * 37 + end(0) * 11 + end(bytes.len() / 2) * 5 + end(bytes.len().saturating_sub(1));
            let (word, bit) = ((hash >> 6) % 4, 1 << (hash % 64));
            let known = self.bits[word] & bit != 0;
            self.bits[word] |= bit;
            return if known { members.iter().position(|(other, _)| *other == *name) } else { None };
        }
        if self.places.is_empty() {
            self.places = members.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect();
        }
        match self.places.get(name) {
            Some(place) => Some(*place),
            None => {
                self.places.insert(Cow::Owned(name.to_owned()), members.len());
                None
            }
        }
    }
}

/// An object's key: borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a member name")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(v.to_owned())))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members(Vec::with_capacity(32), false);
                let mut seen = Seen::default();
                while let Some(Key(key)) = map.next_key()? {
                    members.add(key, map.next_value::<&'de RawValue>()?, &mut seen);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// The elements of a JSON array, each as its untouched text.
pub fn elements(text: &str) -> Result<Vec<&RawValue>, serde_json::Error> {
    serde_json::from_str(text)
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
            out.push_str(&serde_json::Value::from(name.as_ref()).to_string());
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
            *repeats |= members.1;
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
    fn unescapes_and_mends() {
        assert_eq!(unescape(r#""a\"b\\c\/d\n\u00e9\ud83d\ude00\ud83dx""#), "a\"b\\c/d\né😀\u{fffd}x");
        assert!(matches!(unescape(r#""plain""#), Cow::Borrowed("plain")));
        assert_eq!(
            mend_surrogates(r#"{"a":"x\ud83d","b":"\\ud83d","c":"\ud83d\ude00"}"#),
            r#"{"a":"x\ufffd","b":"\\ud83d","c":"\ud83d\ude00"}"#
        );
        assert!(serde_json::from_str::<serde_json::Value>(&mend_surrogates(r#"["\udc00","\ud800\ud800"]"#)).is_ok());
    }

    #[test]
    fn compacts_only_between_tokens() {
        assert_eq!(compact("{ \"a b\" : [1, 2 ,\n 3], \"c\": \"x \\\" , y\" }"), "{\"a b\":[1,2,3],\"c\":\"x \\\" , y\"}");
        assert!(matches!(compact("{\"a\":\"x: y\"}"), Cow::Borrowed(_)));
    }

    #[test]
    fn of_a_name_that_stands_twice_the_last_value_counts() {
        let members = Members::parse(r#"{"a":1,"b":2,"\u0061":3,"A":4}"#).unwrap();
        assert_eq!((members.get("a"), members.get("A"), members.0.len()), (Some("3"), Some("4"), 3));
        assert_eq!(hash(r#"{"a":1,"a":2}"#), hash(r#"{"a":2}"#));
        let mut repeats = false;
        canonical_hash(r#"[{"a":1,"b":{"a":2}},{"a":3}]"#, &mut repeats);
        assert!(!repeats);
        let text = r#"[{"a":1,"b":{"c":1.50,"d":2,"c":1e400},"a":[{"e":"\ud83d","e":"x\"y"}]}]"#;
        canonical_hash(text, &mut repeats);
        assert!(repeats);
        assert_eq!(without_repeats(text), r#"[{"a":[{"e":"x\"y"}],"b":{"c":1e400,"d":2}}]"#);
        for count in [FEW - 1, FEW, FEW + 1, 1000] {
            let each = |value: usize| (0..count).map(|i| format!("\"k{i}\":{}", i + value)).collect::<Vec<_>>().join(",");
            let text = format!("{{{},{}}}", each(0), each(1000));
            let members = Members::parse(&text).unwrap();
            assert_eq!(members.0.len(), count);
            assert!(
                members.0.iter().enumerate().all(|(i, (name, v))| *name == format!("k{i}") && v.get() == (i + 1000).to_string())
            );
        }
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
