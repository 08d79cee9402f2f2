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
pub struct Members<'a>(pub Vec<(Cow<'a, str>, Raw<'a>)>, Marks, Vec<(usize, Members<'a>)>);

/// The untouched text of a value that was checked.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    text: &'a str,
    /// True for what is known to be a string without escapes.
    is_plain_string: bool,
}

impl<'a> Raw<'a> {
    fn of(text: &'a str) -> Self {
        Raw { text, is_plain_string: false }
    }

    fn found(text: &'a str, found: &scan::Found) -> Self {
        Raw { text: &text[found.value.clone()], is_plain_string: found.is_plain_string }
    }

    /// The text.
    pub fn get(self) -> &'a str {
        self.text
    }

    /// The text that a string means, where it is known to have no escapes.
    pub fn plain_string(self) -> Option<&'a str> {
        if self.is_plain_string { self.text.get(1..self.text.len() - 1) } else { None }
    }
}

/// What else is known of an object's text.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    repeats: bool,
    is_plain: bool,
    is_shallow: bool,
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

    /// The same, where the members of values that are objects are found on the way ([`Members::take_inner`]).
    ///
    /// # Errors
    /// As [`each_member`].
    pub fn parse_with_inner(text: &'a str) -> Result<Self, serde_json::Error> {
        Self::scanned_with_inner(text).map_or_else(|| Self::parse(text), Ok)
    }

    fn with_room() -> Self {
        Members(Vec::with_capacity(32), Marks::default(), Vec::new())
    }

    /// The members of an object as services write it, in a text that is known to be plain ([`Members::is_plain`]).
    pub fn plain(text: &'a str) -> Option<Self> {
        Self::scanned(text).filter(Members::is_plain)
    }

    /// The members of a text in which everything is as services write it.
    fn scanned(text: &'a str) -> Option<Self> {
        let mut growing = Growing::new(text);
        let is_plain = scan::object(text, |found| growing.push(&found))?;
        growing.end(is_plain)
    }

    fn scanned_with_inner(text: &'a str) -> Option<Self> {
        let (mut growing, mut inner) = (Growing::new(text), None);
        let mut inners: Vec<(usize, Growing<'a>)> = Vec::new();
        let is_plain = scan::object_with_inner(text, |is_inner, found| {
            if is_inner {
                return inner.get_or_insert_with(|| Growing::new(text)).push(&found);
            }
            inners.extend(inner.take().map(|inner| (growing.members.0.len(), inner)));
            growing.push(&found);
        })?;
        let mut members = growing.end(is_plain)?;
        // Places are those of members of which none was there before.
        if is_plain && !members.repeats() {
            members.2 = inners.into_iter().filter_map(|(at, inner)| Some((at, inner.end(is_plain)?))).collect();
        }
        Some(members)
    }

    /// The members of the value in a place, where it is an object, they were found on the way, and its text is plain
    /// ([`Members::is_plain`]).
    pub fn take_inner(&mut self, at: usize) -> Option<Self> {
        let (_, inner) = self.2.iter_mut().find(|(place, _)| *place == at)?;
        Some(std::mem::take(inner)).filter(Members::is_plain)
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

    /// True for a text that is known not to be nested too deep ([`super::too_deep`]).
    pub fn is_shallow(&self) -> bool {
        self.1.is_shallow
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
            Some(inner) => unescape_with(inner, BadEscapes::Repaired),
            None => Cow::Borrowed(value),
        })
    }

    /// True when there is a member of this name, in any letter case, that is not null.
    pub fn has(&self, name: &str) -> bool {
        self.get_any_case(name).is_some()
    }
}

/// Members in the making, as they are found in a text.
struct Growing<'a> {
    text: &'a str,
    members: Members<'a>,
    seen: SeenNames<'a>,
    /// False when there was a name that cannot be read.
    is_known: bool,
}

impl<'a> Growing<'a> {
    fn new(text: &'a str) -> Self {
        Growing { text, members: Members::with_room(), seen: SeenNames::default(), is_known: true }
    }

    fn push(&mut self, found: &scan::Found) {
        let value = Raw::found(self.text, found);
        let name = match found.is_escaped {
            false => Cow::Borrowed(&self.text[found.name.clone()]),
            true => match serde_json::from_str(&self.text[found.name.start - 1..found.name.end + 1]) {
                Ok(name) => Cow::Owned(name),
                Err(_) => {
                    self.is_known = false;
                    return;
                }
            },
        };
        self.members.push(&mut self.seen, name, value);
    }

    fn end(mut self, is_plain: bool) -> Option<Members<'a>> {
        self.members.1.is_plain = is_plain;
        self.members.1.is_shallow = true;
        self.is_known.then_some(self.members)
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
        if let Some(known) = key(Cow::Borrowed(&text[found.name.clone()])) {
            value(known, Raw::found(text, &found));
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
                Some(known) => (self.value)(known, Raw::of(map.next_value::<&'de RawValue>()?.get())),
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
    Ok(elements.into_iter().map(|element| Raw::of(element.get())).collect())
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
    fn members_of_values_are_found_on_the_way() {
        let names = |members: &Members<'_>| members.0.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>().join(" ");
        let text = r#"{"a":1,"b":{"x":"1","y":{"z":2},"x":3},"c":[{"d":1}],"e":{}}"#;
        let mut members = Members::parse_with_inner(text).unwrap();
        assert_eq!(names(&members), "a b c e");
        let inner = members.take_inner(1).unwrap();
        assert_eq!((names(&inner).as_str(), inner.get("x"), inner.repeats()), ("x y", Some("3"), true));
        assert!(members.take_inner(1).is_none() && members.take_inner(0).is_none() && members.take_inner(2).is_none());
        assert!(members.is_shallow() && members.is_plain());
        // Where a member is another one's, or the text is not plain, they are looked for again.
        for text in
            [r#"{"a":{"x":1},"a":{"y":1}}"#, r#"{"a":{"x": 1}}"#, r#"{"a":{"x":"\u00e9"}}"#, r#"{"b":{"\u00e9":1},"a":{"x":1}}"#]
        {
            assert!((0..2).all(|at| Members::parse_with_inner(text).unwrap().take_inner(at).is_none()), "{text}");
        }
    }

    #[test]
    fn strings_without_escapes_are_known() {
        let members = Members::parse(r#"{"a":"é","b":"\n","c":"","d":1,"e":["x"],"f":"\""}"#).unwrap();
        let plain: Vec<Option<&str>> = members.0.iter().map(|(_, value)| value.plain_string()).collect();
        assert_eq!(plain, [Some("é"), None, Some(""), None, None, None]);
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
