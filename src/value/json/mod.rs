//! Access to parts of JSON text without building a tree.
//!
//! A dynamic value is JSON text at run time, and most questions about it concern one key of a bag of a kilobyte or two
//! (`customDimensions.eventId`). The functions here find that part in place and give a slice of the text. Text that is not
//! well-formed JSON never panics; parts of it are simply not found.
//!
//! Keys are compared by their meaning, so an escaped spelling (`"caf\u00e9"`) is found too. Of several equal keys the last
//! counts, as for all readers of JSON; it has the place of the first.
//!
//! Values are at most [`MAX_DEPTH`] levels deep: text that is deeper is no dynamic value but a string, and a value that is built
//! deeper is not examined below that level. So no walk overflows the stack, and none reads a text more often than that.

pub mod checked;
pub mod display;
pub mod extent;
pub mod path_text;
mod scan;
mod strings;
pub mod structure;

use std::borrow::Cow;
use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};

use memchr::memmem::Finder;
use memchr::{memchr, memchr2};

use self::extent::Extent;
use self::strings::string_end;
pub use self::strings::{BadEscapes, replace_lone_surrogates, unescape, unescape_with, unquote};
use crate::{ValueRef, format};

/// One step of a path into a dynamic value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathStep {
    /// `d.name` or `d["name"]`: the value of a bag's key.
    Key(String),
    /// `d[0]`: an array's element; negative numbers count from the end.
    Index(i64),
}

/// Levels of arrays and bags that a dynamic value may have; `serde_json` reads no more either. What Microsoft's engine does
/// with deeper ones is not published.
pub const MAX_DEPTH: usize = 127;

/// The type of a JSON value, by its first characters. Its value is read by [`display::json_ref`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonType {
    /// `null`, or nothing at all.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number without fraction and exponent.
    Integer,
    /// Any other number.
    Real,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object: a property bag.
    Object,
}

/// The type of the value that a text holds.
pub fn json_type(text: &str) -> JsonType {
    let text = text.trim_start_matches(WHITE);
    match text.as_bytes().first() {
        Some(b'{') => JsonType::Object,
        Some(b'[') => JsonType::Array,
        Some(b'"') => JsonType::String,
        Some(b't' | b'f') => JsonType::Bool,
        Some(b'-' | b'0'..=b'9') => {
            if text.bytes().any(|b| matches!(b, b'.' | b'e' | b'E')) {
                JsonType::Real
            } else {
                JsonType::Integer
            }
        }
        _ => JsonType::Null,
    }
}

const WHITE: [char; 4] = [' ', '\t', '\n', '\r'];

fn skip_white(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The place behind the value that starts at `at` (white space already skipped).
fn value_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string_end(bytes, at),
        b'{' | b'[' => Extent::counted().feed(&bytes[at..]).ok()?.map(|length| at + length),
        b',' | b'}' | b']' | b':' => None,
        _ => {
            while let Some(b) = bytes.get(at) {
                if matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r') {
                    break;
                }
                at += 1;
            }
            Some(at)
        }
    }
}

/// True for JSON that is nested deeper than [`MAX_DEPTH`].
pub fn too_deep(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Hardly any text has so many brackets at all.
    if memchr::memchr2_iter(b'{', b'[', bytes).nth(MAX_DEPTH).is_none() {
        return false;
    }
    let (mut at, mut level) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at).unwrap_or(bytes.len());
                continue;
            }
            b'{' | b'[' => level += 1,
            b'}' | b']' => level = level.saturating_sub(1),
            _ => {}
        }
        if level > MAX_DEPTH {
            return true;
        }
        at += 1;
    }
    false
}

/// The entries of an object in their order: the raw key between its quotes, and the raw value.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        let mut at = skip_white(bytes, self.at);
        if bytes.get(at) == Some(&b',') {
            at = skip_white(bytes, at + 1);
        }
        if bytes.get(at) != Some(&b'"') {
            return None;
        }
        let key_end = string_end(bytes, at)?;
        let colon = skip_white(bytes, key_end);
        if bytes.get(colon) != Some(&b':') {
            return None;
        }
        let start = skip_white(bytes, colon + 1);
        let end = value_end(bytes, start)?;
        self.at = end;
        Some((self.text.get(at + 1..key_end - 1)?, self.text.get(start..end)?))
    }
}

/// The entries of an object; `None` for any other value.
pub fn entries(text: &str) -> Option<Entries<'_>> {
    let at = skip_white(text.as_bytes(), 0);
    (text.as_bytes().get(at) == Some(&b'{')).then_some(Entries { text, at: at + 1 })
}

/// The entries of an object, each key once: the raw key between its quotes, and the raw value. `None` for any other value.
pub fn members(text: &str) -> Option<Vec<(&str, &str)>> {
    let all: Vec<_> = entries(text)?.collect();
    if !repeats(&all, |(key, _)| key) {
        return Some(all);
    }
    let mut places: HashMap<Cow<'_, str>, usize> = HashMap::new();
    let mut once: Vec<(&str, &str)> = Vec::new();
    for (key, value) in all {
        match places.entry(unescape(key)) {
            Entry::Occupied(place) => once[*place.get()].1 = value,
            Entry::Vacant(place) => {
                place.insert(once.len());
                once.push((key, value));
            }
        }
    }
    Some(once)
}

/// True when two raw keys mean the same.
pub fn repeats<'a, T: Copy>(items: &[T], key: impl Fn(T) -> &'a str) -> bool {
    // Bags are small as a rule, and most of their keys differ in length.
    const FEW: usize = 16;
    if items.len() > FEW || items.iter().any(|item| memchr(b'\\', key(*item).as_bytes()).is_some()) {
        let mut seen = HashSet::with_capacity(items.len());
        return !items.iter().all(|item| seen.insert(unescape(key(*item))));
    }
    items.iter().enumerate().any(|(i, item)| items[..i].iter().any(|before| key(*before) == key(*item)))
}

/// The elements of an array in their order, as raw text.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        let mut start = skip_white(bytes, self.at);
        if bytes.get(start) == Some(&b',') {
            start = skip_white(bytes, start + 1);
        }
        if bytes.get(start) == Some(&b']') {
            return None;
        }
        let end = value_end(bytes, start)?;
        self.at = end;
        self.text.get(start..end)
    }
}

/// The elements of an array; `None` for any other value.
pub fn elements(text: &str) -> Option<Elements<'_>> {
    let at = skip_white(text.as_bytes(), 0);
    (text.as_bytes().get(at) == Some(&b'[')).then_some(Elements { text, at: at + 1 })
}

/// True when a raw key (without quotes, escapes as written) means this name.
pub fn key_is(raw: &str, name: &str) -> bool {
    let escaped = || memchr(b'\\', raw.as_bytes()).is_some();
    if raw == name {
        !escaped() || unescape(raw) == name
    } else {
        // A spelling with escapes is longer than what it means.
        raw.len() > name.len() && escaped() && unescape(raw) == name
    }
}

/// The value of a key of an object, as raw text. `None` when the value is no object or has no such key.
pub fn get_key<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    entries(text)?.filter(|(raw, _)| key_is(raw, key)).last().map(|(_, value)| value)
}

/// An element of an array, as raw text; negative places count from the end. `None` outside and for any other value.
pub fn get_index(text: &str, index: i64) -> Option<&str> {
    let mut all = elements(text)?;
    let place =
        if index < 0 { usize::try_from(all.clone().count() as i64 + index).ok()? } else { usize::try_from(index).ok()? };
    all.nth(place)
}

/// The part of a value that a path leads to, as raw text. `None` where a step leads nowhere and where there is JSON `null`.
pub fn path<'a>(text: &'a str, steps: &[PathStep]) -> Option<&'a str> {
    let mut part = text.trim_matches(WHITE);
    for step in steps {
        part = match step {
            PathStep::Key(key) => get_key(part, key)?,
            PathStep::Index(index) => get_index(part, *index)?,
        };
    }
    (json_type(part) != JsonType::Null).then_some(part)
}

/// A path made ready for many texts.
#[derive(Debug)]
pub struct Path {
    steps: Vec<PreparedStep>,
}

#[derive(Debug)]
enum PreparedStep {
    /// The key, and a search for its plain spelling in quotes (absent where it has to be escaped).
    Key(String, Option<Finder<'static>>),
    Index(i64),
}

impl Path {
    /// Prepares a path.
    pub fn new(steps: &[PathStep]) -> Path {
        let steps = steps
            .iter()
            .map(|step| match step {
                PathStep::Key(key) => {
                    let plain = !key.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\');
                    PreparedStep::Key(key.clone(), plain.then(|| Finder::new(&format!("\"{key}\"")).into_owned()))
                }
                PathStep::Index(index) => PreparedStep::Index(*index),
            })
            .collect();
        Path { steps }
    }

    /// As [`path`].
    pub fn get<'a>(&self, text: &'a str) -> Option<&'a str> {
        let mut part = text;
        for step in &self.steps {
            part = match step {
                PreparedStep::Key(key, None) => get_key(part, key)?,
                PreparedStep::Key(key, Some(finder)) => find_key(part, key, finder)?,
                PreparedStep::Index(index) => get_index(part, *index)?,
            };
        }
        let part = part.trim_matches(WHITE);
        (json_type(part) != JsonType::Null).then_some(part)
    }
}

/// Searches for `"key"` with a substring search before anything is walked.
///
/// A quoted text that no backslash precedes and a colon follows is a key; it certainly belongs to the outermost object
/// when no bracket is between the object's own and the key. It counts when the text behind it cannot have the key again.
/// In all other cases the entries are walked.
fn find_key<'a>(text: &'a str, key: &str, finder: &Finder<'_>) -> Option<&'a str> {
    let bytes = text.as_bytes();
    let open = skip_white(bytes, 0);
    if bytes.get(open) != Some(&b'{') {
        return None;
    }
    match finder.find(&bytes[open + 1..]) {
        None if respells(&bytes[open..]) => {}
        None => return None,
        Some(offset) => {
            let at = open + 1 + offset;
            let colon = skip_white(bytes, at + key.len() + 2);
            if bytes.get(colon) == Some(&b':') && bytes[at - 1] != b'\\' && memchr2(b'{', b'[', &bytes[open + 1..at]).is_none() {
                let start = skip_white(bytes, colon + 1);
                let end = value_end(bytes, start)?;
                let behind = &bytes[end..];
                if finder.find(behind).is_none() && !respells(behind) {
                    return text.get(start..end);
                }
            }
        }
    }
    get_key(text, key)
}

/// True when an escape may stand for a character that needs none, so that a key may be written otherwise than as it is.
fn respells(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = memchr(b'\\', rest) {
        if let Some(b'u' | b'/') = rest.get(at + 1) {
            return true;
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    false
}

/// Appends a real as JSON. JSON has no NaN and no infinities: they are written as the strings that Kusto's answers give.
pub fn write_real(out: &mut String, value: f64) {
    if value.is_finite() {
        format::write_real(out, value);
    } else {
        out.push('"');
        format::write_real(out, value);
        out.push('"');
    }
}

/// Appends the JSON form of a value: numbers and bools as such, a dynamic as it is, every other type as its `tostring` text.
pub fn write_value(out: &mut String, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => out.push_str("null"),
        ValueRef::Bool(v) => out.push_str(if v { "true" } else { "false" }),
        ValueRef::Int(_) | ValueRef::Long(_) => format::write_value(out, value),
        ValueRef::Real(v) => write_real(out, v),
        ValueRef::String(v) => format::write_json_string(out, v),
        ValueRef::Dynamic(v) => out.push_str(v),
        ValueRef::Decimal(_) | ValueRef::DateTime(_) | ValueRef::TimeSpan(_) | ValueRef::Guid(_) => {
            out.push('"');
            format::write_value(out, value);
            out.push('"');
        }
    }
}

/// The text without the white space between its tokens.
pub fn compact(text: &str) -> Cow<'_, str> {
    if memchr2(b' ', b'\n', text.as_bytes()).is_none() && memchr2(b'\t', b'\r', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    write_compact(&mut out, text);
    Cow::Owned(out)
}

fn write_compact(out: &mut String, text: &str) {
    let bytes = text.as_bytes();
    let mut at = skip_white(bytes, 0);
    let mut from = at;
    while let Some(b) = bytes.get(at) {
        match b {
            b'"' => at = string_end(bytes, at).unwrap_or(bytes.len()),
            b' ' | b'\t' | b'\n' | b'\r' => {
                out.push_str(&text[from..at]);
                at = skip_white(bytes, at);
                from = at;
            }
            _ => at += 1,
        }
    }
    out.push_str(&text[from..]);
}

/// A number's value; the strings that stand for NaN and the infinities count as numbers. `None` for anything else.
pub fn number(text: &str) -> Option<f64> {
    match text.as_bytes().first()? {
        b'-' | b'0'..=b'9' => text.parse().ok(),
        b'"' => match text {
            "\"NaN\"" => Some(f64::NAN),
            "\"Infinity\"" => Some(f64::INFINITY),
            "\"-Infinity\"" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// A text that is the same for equal values: `1` and `1.0`, a string in any spelling, an array or bag with any spacing.
pub fn identity(text: &str) -> Cow<'_, str> {
    match json_type(text) {
        JsonType::Integer if text.len() < 19 && text != "-0" => Cow::Borrowed(text),
        JsonType::Integer | JsonType::Real => match text.parse::<i64>() {
            Ok(v) => Cow::Owned(v.to_string()),
            Err(_) => match text.parse::<f64>() {
                // Below 2^63 a whole real names the same number as a long.
                Ok(v) if v.fract() == 0.0 && v.abs() < 9.223_372_036_854_775e18 => Cow::Owned((v as i64).to_string()),
                Ok(v) => Cow::Owned(v.to_string()),
                Err(_) => Cow::Borrowed(text),
            },
        },
        JsonType::String if memchr(b'\\', text.as_bytes()).is_some() => {
            let mut out = String::with_capacity(text.len());
            format::write_json_string(&mut out, &unquote(text));
            Cow::Owned(out)
        }
        JsonType::Array | JsonType::Object => compact(text),
        _ => Cow::Borrowed(text),
    }
}

/// Elements that are compared by [`identity`].
#[derive(Debug, Default)]
pub struct ValueSet<'a> {
    seen: HashSet<Cow<'a, str>>,
}

impl<'a> ValueSet<'a> {
    /// The set of an array's elements.
    pub fn of(elements: impl Iterator<Item = &'a str>) -> Self {
        ValueSet { seen: elements.map(identity).collect() }
    }
    /// Adds a value; false when an equal one is there.
    pub fn insert(&mut self, text: &'a str) -> bool {
        self.seen.insert(identity(text))
    }
    /// True when an equal value is there.
    pub fn contains(&self, text: &str) -> bool {
        self.seen.contains(&identity(text))
    }
    /// How many different values.
    pub fn len(&self) -> usize {
        self.seen.len()
    }
    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(path: &str) -> Vec<PathStep> {
        path.split('.').map(|s| s.parse().map_or_else(|_| PathStep::Key(s.to_owned()), PathStep::Index)).collect()
    }

    #[test]
    fn paths_lead_to_the_same_part_with_and_without_preparation() {
        let bag = r#"{ "a" : "x" ,"b":{"a":1,"c":[10,{"d":null},"}"]},"say \"a":2,"n":null,"caf\u00e9":3,"s":"{\"t\":1}","t":4,"a":"later","\u0062":{"a":8,"c":9},"b":{"a":1,"c":[10,{"d":null},"}"]}}"#;
        for (path_text, expected) in [
            ("a", Some("\"later\"")),
            ("b.a", Some("1")),
            ("b.c.0", Some("10")),
            ("b.c.-1", Some("\"}\"")),
            ("b.c.-4", None),
            ("b.c.1.d", None),
            ("b.c.3", None),
            ("b.0", None),
            ("say \"a", Some("2")),
            ("n", None),
            ("café", Some("3")),
            ("t", Some("4")),
            ("c", None),
            ("d", None),
            ("a.b", None),
        ] {
            let steps = steps(path_text);
            assert_eq!(path(bag, &steps), expected, "{path_text}");
            assert_eq!(Path::new(&steps).get(bag), expected, "{path_text} prepared");
        }
    }

    #[test]
    fn broken_text_is_never_found_and_never_panics() {
        let whole = r#"{"a":{"b":["x\"",1,{"c":"\u12"}]},"d":[[["#;
        for end in 0..whole.len() {
            let text = &whole[..end];
            for key in ["a", "d", "zz"] {
                let _ = get_key(text, key);
                let _ = Path::new(&[PathStep::Key(key.to_owned()), PathStep::Key("b".to_owned())]).get(text);
            }
            let _ = (get_index(text, 0), compact(text).len(), unquote(text).len(), identity(text).len());
        }
        assert_eq!(get_key("", "a"), None);
        assert_eq!(get_index("[1,", -1), Some("1"));
    }

    #[test]
    fn depth_is_measured_outside_of_texts() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(!too_deep(&nested(MAX_DEPTH)) && too_deep(&nested(MAX_DEPTH + 1)));
        assert!(!too_deep(&serde_json::Value::from(nested(1000)).to_string()));
        assert!(!too_deep(&format!("[{}]", vec!["{}"; 1000].join(","))));
        assert!(too_deep(&"[".repeat(100_000)));
        // What is let through is read by everyone.
        assert!(serde_json::from_str::<serde_json::Value>(&nested(MAX_DEPTH)).is_ok());
    }

    #[test]
    fn strings_are_read_and_written() {
        assert_eq!(unquote(r#""a\n\"\u00e9\ud83d\ude00\q\ud800""#), "a\n\"é😀\\q\u{fffd}");
        let mut out = String::new();
        format::write_json_string(&mut out, "a\"b\\\n\u{1}é");
        assert_eq!(out, r#""a\"b\\\n\u0001é""#);
        assert_eq!(unquote(&out), "a\"b\\\n\u{1}é");
    }

    #[test]
    fn equal_values_have_one_identity() {
        for (a, b) in [("1", "1.0"), ("1e2", "100"), (r#""\u0061""#, r#""a""#), ("[1, 2]", "[1,2]"), ("-0.0", "0")] {
            assert_eq!(identity(a), identity(b), "{a} {b}");
        }
        assert_ne!(identity("1"), identity("\"1\""));
        assert_ne!(identity("9223372036854775807"), identity("9223372036854775806"));
    }
}
