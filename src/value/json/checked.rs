//! Access to JSON text that checks all of it: for what is to be kept, and for readers that must know whether it is whole.
//!
//! The sister of [`super::entries`] and [`super::elements`], which look for parts in text that was checked before.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{BadEscapes, unescape_with};

/// The top-level members of a JSON object, each with its untouched value text.
///
/// Each name stands there once: of a name that is repeated the last value counts, as JSON readers have it.
#[derive(Debug, Default)]
pub struct Members<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>, bool);

impl<'a> Members<'a> {
    /// Reads an object's members in one pass, checking the whole text.
    ///
    /// # Errors
    /// As [`each_member`].
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        let mut members = Members(Vec::with_capacity(32), false);
        let mut seen = SeenNames::default();
        each_member(text, Some, |name: Cow<'a, str>, value| match seen.place(&name, &members.0) {
            Some(place) => {
                members.0[place].1 = value;
                members.1 = true;
            }
            None => members.0.push((name, value)),
        })?;
        Ok(members)
    }

    /// True when a name stood there more than once.
    pub fn repeats(&self) -> bool {
        self.1
    }

    /// The value text of a member by its exact name; JSON null counts as missing.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.get()).filter(|text| *text != "null")
    }

    /// The value text of a member by its name in any letter case; JSON null counts as missing.
    pub fn get_any_case(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.get()).filter(|text| *text != "null")
    }

    /// The unescaped text of a string member, mended where its escapes are none, by its name in any letter case.
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

/// Reads an object's members in one pass, checking the whole text, however often a name stands there.
///
/// `key` is given each name and says what its value is known by, or `None` for a value that is not wanted; `value` is given those
/// that are wanted as their untouched text.
///
/// # Errors
/// The text is no JSON, or no object. What came before the fault was handed out.
pub fn each_member<'a, K>(
    text: &'a str,
    key: impl FnMut(Cow<'a, str>) -> Option<K>,
    value: impl FnMut(K, &'a RawValue),
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
    G: FnMut(K, &'de RawValue),
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(known) = map.next_key_seed(Name(&mut self.key))? {
            match known {
                Some(known) => (self.value)(known, map.next_value()?),
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
pub fn elements(text: &str) -> Result<Vec<&RawValue>, serde_json::Error> {
    serde_json::from_str(text)
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
