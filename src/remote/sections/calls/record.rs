//! A call record whose sessions come in pages, put together from the texts as they came.

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};
use serde_json::value::RawValue;

/// The members of a record, in their order.
#[derive(Debug)]
pub(super) struct Record(Vec<(String, Box<RawValue>)>);

#[derive(Deserialize)]
struct Elements {
    #[serde(default)]
    value: Vec<Box<RawValue>>,
}

impl Record {
    /// A record from its text.
    ///
    /// # Errors
    /// The text is no JSON object.
    pub(super) fn read(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| &**value)
    }

    /// True when it has a member with elements.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !matches!(value.get(), "[]" | "null"))
    }

    /// How many elements a member has; none where it is no array.
    pub(super) fn count(&self, name: &str) -> usize {
        self.get(name).and_then(|value| serde_json::from_str::<Vec<IgnoredAny>>(value.get()).ok()).map_or(0, |all| all.len())
    }

    /// True when it has a member, whatever is in it.
    pub(super) fn says(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The call's id.
    pub(super) fn id(&self) -> Option<String> {
        serde_json::from_str(self.get("id")?.get()).ok()
    }

    /// The version, as it is written.
    pub(super) fn version(&self) -> Option<&str> {
        self.get("version").map(RawValue::get)
    }

    /// Where a member goes on.
    pub(super) fn link(&self, member: &str) -> Option<String> {
        let link = self.get(&format!("{member}@odata.nextLink"))?;
        serde_json::from_str::<Option<String>>(link.get()).ok().flatten().filter(|link| !link.is_empty())
    }

    /// Adds the elements of a page to a member, whose link to more is then none of the record's.
    ///
    /// # Errors
    /// The page has no elements that can be read.
    pub(super) fn extend(&mut self, member: &str, page: &[u8]) -> Result<(), serde_json::Error> {
        let page: Elements = serde_json::from_slice(page)?;
        let own = self.0.iter().position(|(name, _)| name == member);
        let mut all: Vec<Box<RawValue>> = match own {
            Some(at) => serde_json::from_str::<Option<Vec<Box<RawValue>>>>(self.0[at].1.get())?.unwrap_or_default(),
            None => Vec::new(),
        };
        all.extend(page.value);
        let all = serde_json::value::to_raw_value(&all)?;
        match own {
            Some(at) => self.0[at].1 = all,
            None => self.0.push((member.to_owned(), all)),
        }
        let link = format!("{member}@odata.nextLink");
        self.0.retain(|(name, _)| *name != link);
        Ok(())
    }

    /// The text of the whole.
    pub(super) fn into_text(self) -> Vec<u8> {
        // A map of raw values can always be written.
        serde_json::to_vec(&self).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Record;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Record(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_sessions_become_one_record_with_the_texts_as_they_came() {
        let text =
            br#"{"id":"a","version":2,"sessions":[{"id":"1","n":1.50}],"sessions@odata.nextLink":"https://a/p?2","end":null}"#;
        let mut record = Record::read(text).unwrap();
        assert_eq!(record.link("sessions").as_deref(), Some("https://a/p?2"));
        record.extend("sessions", br#"{"value":[{"id":"2","n":1e3}]}"#).unwrap();
        record.extend("sessions", br#"{"value":[]}"#).unwrap();
        assert_eq!(record.version(), Some("2"));
        assert!(record.has("sessions") && !record.has("end") && record.says("end") && !record.says("start"));
        let expected = r#"{"id":"a","version":2,"sessions":[{"id":"1","n":1.50},{"id":"2","n":1e3}],"end":null}"#;
        assert_eq!(String::from_utf8(record.into_text()).unwrap(), expected);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        assert!(Record::read(b"[1]").is_err());
        assert!(Record::read(br#"{"id":"a""#).is_err());
    }
}
