//! The hash that distinguishes records without an id of their own.
//!
//! Lakes hold these hashes: as the ids of such records, as content hashes, as ids of the rows of reports and message traces.
//! Another hash, or another order of its parts, would land all of those records a second time.

use super::pair::xxh64_pair;
use kqlake_value::json::checked::{Members, Raw, elements};
use kqlake_value::json::{BadEscapes, too_deep, unescape_with};

/// Nesting beyond which values are hashed as their text instead of by their structure.
const MAX_DEPTH: usize = 64;

/// A 128-bit hash under construction: two seeds of the 64-bit xxHash, wide enough to distinguish billions of records.
///
/// Lakes hold it (see above), so it stays what it is; what is hashed in memory alone takes xxh3.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecordHash(pub u64, pub u64);

impl RecordHash {
    /// The hash of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let [first, second] = xxh64_pair(bytes, [0, 0x9E37_79B9_7F4A_7C15]);
        Self(first, second)
    }

    /// The hash of an ordered pair.
    #[must_use]
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

/// A hash of a JSON value that is the same for every spelling of it: key order, white space, escapes and the forms of integral
/// numbers do not count, and null or empty members are as if absent. A number is one with the text of its digits, and a truth
/// value with .NET's text of it (`True`), since shapes of a record differ in that. Texts that differ are different values.
/// `repeats` becomes true when an object has a name twice.
pub(super) fn canonical_hash(text: &str, repeats: &mut bool) -> Option<RecordHash> {
    canonical(text.trim(), 0, repeats)
}

/// The hash of an object's members for which `takes` holds, as [`canonical_hash`] has it; of the whole text where it is no
/// object.
pub(super) fn canonical_members(text: &str, takes: impl Fn(&str) -> bool, repeats: &mut bool) -> Option<RecordHash> {
    let text = text.trim();
    if !text.starts_with('{') || too_deep(text) {
        return canonical(text, 0, repeats);
    }
    let Ok(members) = Members::parse(text) else { return Some(RecordHash::of(text.as_bytes())) };
    *repeats |= members.repeats();
    sum_of(members.0.iter().filter(|(name, _)| takes(name)).map(|(name, value)| (name.as_ref(), *value)), 0, repeats)
}

fn sum_of<'a>(members: impl Iterator<Item = (&'a str, Raw<'a>)>, depth: usize, repeats: &mut bool) -> Option<RecordHash> {
    let mut sum = RecordHash::default();
    let mut any = false;
    for (key, value) in members {
        let value = match value.plain_string().filter(|_| depth < MAX_DEPTH) {
            Some(text) => hash_of_text(text),
            None => canonical(value.get(), depth + 1, repeats),
        };
        if let Some(value) = value {
            sum = sum.plus(RecordHash::of(key.as_bytes()).then(value));
            any = true;
        }
    }
    any.then(|| RecordHash::of(b"{").then(sum))
}

/// The hash of an object, as [`canonical_hash`] has it of its text, which must not be nested too deep.
pub(super) fn members_hash(members: &Members<'_>, repeats: &mut bool) -> Option<RecordHash> {
    of_members(members, 0, repeats)
}

fn of_members(members: &Members<'_>, depth: usize, repeats: &mut bool) -> Option<RecordHash> {
    *repeats |= members.repeats();
    sum_of(members.0.iter().map(|(key, value)| (key.as_ref(), *value)), depth, repeats)
}

fn canonical(text: &str, depth: usize, repeats: &mut bool) -> Option<RecordHash> {
    match text.as_bytes().first()? {
        _ if depth > MAX_DEPTH || (depth == 0 && too_deep(text)) => Some(RecordHash::of(text.as_bytes())),
        b'{' => {
            let Ok(members) = Members::parse(text) else {
                return Some(RecordHash::of(text.as_bytes()));
            };
            of_members(&members, depth, repeats)
        }
        b'[' => {
            let Ok(items) = elements(text) else {
                return Some(RecordHash::of(text.as_bytes()));
            };
            let mut hash = RecordHash::of(b"[");
            for item in &items {
                hash = hash.then(canonical(item.get(), depth + 1, repeats).unwrap_or_default());
            }
            (!items.is_empty()).then_some(hash)
        }
        b'"' => {
            let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
            hash_of_text(&unescape_with(inner, BadEscapes::Repaired))
        }
        _ => match text {
            "null" => None,
            "true" => Some(truth(true)),
            "false" => Some(truth(false)),
            _ => Some(number(text)),
        },
    }
}

/// The hash of what a JSON string means.
fn hash_of_text(text: &str) -> Option<RecordHash> {
    (!text.is_empty()).then(|| RecordHash::of(text.as_bytes()))
}

/// The hash of a JSON number: 5, 5.0 and 5e0 are one value.
fn number(text: &str) -> RecordHash {
    if text.len() < 25
        && let Ok(value) = text.parse::<f64>()
        && value.fract() == 0.0
        && value.abs() < 9e15
    {
        return RecordHash::of((value as i64).to_string().as_bytes());
    }
    RecordHash::of(text.as_bytes())
}

/// The hash of a truth value.
pub(super) fn truth(value: bool) -> RecordHash {
    RecordHash::of(if value { b"True" } else { b"False" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kqlake_value::json;

    fn hash(text: &str) -> Option<RecordHash> {
        canonical_hash(text, &mut false)
    }

    #[test]
    fn hashes_are_those_that_lakes_hold() {
        assert_eq!(RecordHash::of(b"record").hex(), "e5c37ab8f29acc7155c24d1a46b76358");
        assert_eq!(
            hash(r#"{"a":[1,"x"],"b":{"c":true}}"#).map(RecordHash::hex).as_deref(),
            Some("fb534e419bd0acac171d5e63853a9f93")
        );
    }

    #[test]
    fn repeated_names_are_told() {
        assert_eq!(hash(r#"{"a":1,"a":2}"#), hash(r#"{"a":2}"#));
        let mut repeats = false;
        canonical_hash(r#"[{"a":1,"b":{"a":2}},{"a":3}]"#, &mut repeats);
        assert!(!repeats);
        canonical_hash(r#"[{"a":1,"b":{"c":1.50,"d":2,"c":1e400}}]"#, &mut repeats);
        assert!(repeats);
    }

    #[test]
    fn what_is_too_deep_is_hashed_as_text() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(hash(&nested(json::MAX_DEPTH)).is_some() && hash(&nested(100_000)).is_some());
    }

    #[test]
    fn canonical_hashes_ignore_spelling() {
        let same = [
            r#"{"a":"5","b":{"c":true}}"#,
            r#"{ "b" : {"c" : true, "d": null}, "a" : 5.0 }"#,
            r#"{"b":{"c":"True"},"\u0061":5,"e":""}"#,
            r#"{"b":{"c":"\u0054rue"},"a":0.5e1,"e":[]}"#,
        ];
        let hashes: Vec<_> = same.iter().map(|t| hash(t)).collect();
        assert!(hashes[0].is_some() && hashes.iter().all(|h| *h == hashes[0]), "{hashes:?}");
        assert_ne!(hash(r#"{"a":"5"}"#), hash(r#"{"a":"6"}"#));
        assert_ne!(hash(r#"["a","b"]"#), hash(r#"["b","a"]"#));
        assert_eq!(hash("-0"), hash("0"));
        assert_eq!(hash("{}"), None);
        assert_eq!(hash(""), None);
    }

    #[test]
    fn texts_that_differ_are_different_values() {
        let texts = ["26", "26.0", "26.00", "2.6e1", "-0", "0", "1e2", "100", "True", "true", "TRUE", "False", "false", " 26"];
        let hashes: std::collections::BTreeSet<_> =
            texts.iter().map(|text| hash(&format!("\"{text}\"")).map(RecordHash::hex)).collect();
        assert_eq!(hashes.len(), texts.len());
        assert_ne!(hash("12345678901234567890123"), hash("12345678901234567890124"));
    }

    #[test]
    fn members_that_are_not_taken_do_not_count() {
        let of = |text: &str| canonical_members(text, |name| name != "x", &mut false);
        assert_eq!(of(r#"{"a":1,"x":2}"#), hash(r#"{"a":1}"#));
        assert_eq!(of(r#"{"x":2}"#), None);
    }
}
