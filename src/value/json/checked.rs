//! Access to JSON text that checks all of it: for what is to be kept, and for readers that must know whether it is whole.
//!
//! The sister of [`super::entries`] and [`super::elements`], which look for parts in text that was checked before.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{BadEscapes, scan, unescape_with};

/// The top-level members of a JSON object, each with its untouched value text.
///
/// Each name is there once: of a name that is repeated the last value counts, as JSON readers have it.
#[derive(Debug, Clone, Default)]
pub struct Members<'a>(pub Vec<(Cow<'a, str>, Raw<'a>)>, Marks);

/// The untouched text of a value that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// The text.
    pub fn get(self) -> &'a str {
        self.0
    }
}

/// What else is known of an object's text.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    repeats: bool,
    is_plain: bool,
}

impl<'a> Members<'a> {
    /// Reads an object's members in one pass, checking the whole text.
    ///
    /// # Errors
    /// As [`each_member`].
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        if let Some(members) = Self::scanned(text) {
            return Ok(members);
        }
        let mut members = Members::with_room();
        let mut seen = SeenNames::default();
        each_checked(text, Some, |name, value| members.push(&mut seen, name, value))?;
        Ok(members)
    }

    fn with_room() -> Self {
        Members(Vec::with_capacity(32), Marks::default())
    }

    /// The members of an object as services write it, in a text that is known to be plain ([`Members::is_plain`]).
    pub fn plain(text: &'a str) -> Option<Self> {
        Self::scanned(text).filter(Members::is_plain)
    }

    /// The members of a text in which everything is as services write it.
    fn scanned(text: &'a str) -> Option<Self> {
        let mut members = Members::with_room();
        let mut seen = SeenNames::default();
        let mut is_known = true;
        let is_plain = scan::object(text, |found| {
            let name = match found.is_escaped {
                false => Cow::Borrowed(&text[found.name]),
                true => match serde_json::from_str(&text[found.name.start - 1..found.name.end + 1]) {
                    Ok(name) => Cow::Owned(name),
                    Err(_) => {
                        is_known = false;
                        return;
                    }
                },
            };
            members.push(&mut seen, name, Raw(&text[found.value]));
        })?;
        members.1.is_plain = is_plain;
        is_known.then_some(members)
    }

    fn push(&mut self, seen: &mut SeenNames<'a>, name: Cow<'a, str>, value: Raw<'a>) {
        match seen.place(&name, &self.0) {
            Some(place) => {
                self.0[place].1 = value;
                self.1.repeats = true;
            }
            None => self.0.push((name, value)),
        }
    }

    /// True for a text that is known to have no white space between its tokens, and no escapes by code in its strings.
    pub fn is_plain(&self) -> bool {
        self.1.is_plain
    }

    /// True when a name was there more than once.
    pub fn repeats(&self) -> bool {
        self.1.repeats
    }

    /// The value text of a member by its exact name; JSON null counts as missing.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.get()).filter(|text| *text != "null")
    }

    /// The value text of a member by its name in any letter case; JSON null counts as missing.
    pub fn get_any_case(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.get()).filter(|text| *text != "null")
    }

    /// The unescaped text of a string member, repaired where its escapes are invalid, by its name in any letter case.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        let value = self.get_any_case(name)?;
        Some(match value.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(inner) => unescape_with(inner, BadEscapes::Mended),
            None => Cow::Borrowed(value),
        })
    }

    /// True when there is a member of this name, in any letter case, that is not null.
    pub fn has(&self, name: &str) -> bool {
        self.get_any_case(name).is_some()
    }
}

/// Names that an object has had so far.
#[derive(Default)]
struct SeenNames<'a> {
    /// One bit a hash of a name: a clear bit proves that the name is new.
    bits: [u64; 4],
    /// Places by name, once an object has so many members that looking at each would take long.
    places: HashMap<Cow<'a, str>, usize>,
}

/// Members up to which names are compared one by one.
const FEW: usize = 64;

impl<'a> SeenNames<'a> {
    /// The place of a name among the members that came before.
    fn place(&mut self, name: &str, members: &[(Cow<'a, str>, Raw<'_>)]) -> Option<usize> {
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

/// Reads an object's members in one pass, checking the whole text, however often a name is there.
///
/// `key` is given each name and says what its value is known by, or `None` for a value that is not wanted; `value` is given those
/// that are wanted as their untouched text.
///
/// # Errors
/// The text is no JSON, or no object. What came before the fault was returned.
pub fn each_member<'a, K>(
    text: &'a str,
    mut key: impl FnMut(Cow<'a, str>) -> Option<K>,
    mut value: impl FnMut(K, Raw<'a>),
) -> Result<(), serde_json::Error> {
    let mut members = Vec::with_capacity(32);
    let whole = scan::object(text, |found| members.push(found));
    if whole.is_none() || members.iter().any(|found| found.is_escaped) {
        return each_checked(text, key, value);
    }
    for found in members {
        if let Some(known) = key(Cow::Borrowed(&text[found.name])) {
            value(known, Raw(&text[found.value]));
        }
    }
    Ok(())
}

/// The same by `serde_json`, which says what is wrong.
fn each_checked<'a, K>(
    text: &'a str,
    key: impl FnMut(Cow<'a, str>) -> Option<K>,
    value: impl FnMut(K, Raw<'a>),
) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.deserialize_map(Walk { key, value })?;
    reader.end()
}

struct Walk<F, G> {
    key: F,
    value: G,
}

impl<'de, K, F, G> Visitor<'de> for Walk<F, G>
where
    F: FnMut(Cow<'de, str>) -> Option<K>,
    G: FnMut(K, Raw<'de>),
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(known) = map.next_key_seed(Name(&mut self.key))? {
            match known {
                Some(known) => (self.value)(known, Raw(map.next_value::<&'de RawValue>()?.get())),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A member's name: borrowed where it has no escapes.
struct Name<'f, F>(&'f mut F);

impl<'de, K, F: FnMut(Cow<'de, str>) -> K> DeserializeSeed<'de> for Name<'_, F> {
    type Value = K;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<K, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, K, F: FnMut(Cow<'de, str>) -> K> Visitor<'de> for Name<'_, F> {
    type Value = K;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<K, E> {
        Ok((self.0)(Cow::Borrowed(name)))
    }

    fn visit_str<E>(self, name: &str) -> Result<K, E> {
        Ok((self.0)(Cow::Owned(name.to_owned())))
    }
}

/// The elements of a JSON array, each as its untouched text.
pub fn elements(text: &str) -> Result<Vec<Raw<'_>>, serde_json::Error> {
    let elements: Vec<&RawValue> = serde_json::from_str(text)?;
    Ok(elements.into_iter().map(|element| Raw(element.get())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_name_that_stands_twice_the_last_value_counts() {
        let members = Members::parse(r#"{"a":1,"b":2,"\u0061":3,"A":4}"#).unwrap();
        assert_eq!((members.get("a"), members.get("A"), members.0.len()), (Some("3"), Some("4"), 3));
        assert!(members.repeats());
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
    fn members_before_a_fault_are_handed_out() {
        let read = |text| {
            let mut seen = Vec::new();
            let wanted = |name: Cow<'_, str>| (name != "b").then(|| name.into_owned());
            let whole = each_member(text, wanted, |name, value| seen.push(format!("{name}={}", value.get()))).is_ok();
            (seen.join(" "), whole)
        };
        assert_eq!(read(r#"{"a":[1, 2],"b":{},"c\n":"x"}"#), ("a=[1, 2] c\n=\"x\"".to_owned(), true));
        assert_eq!(read(r#"{"a":1,"c":"#), ("a=1".to_owned(), false));
        assert_eq!(read(r#"{"a":1} x"#), ("a=1".to_owned(), false));
        assert_eq!(read("[1]"), (String::new(), false));
    }
}
