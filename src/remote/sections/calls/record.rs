//! A call record whose sessions come in pages, put together from the texts as they came.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::sections::seen::Seen;

/// The members of a record, in their order, each as it came.
#[derive(Debug)]
pub(super) struct Record(Vec<(String, Vec<u8>)>);

/// The members of a text that is looked at.
struct Members<'t>(Vec<(String, &'t RawValue)>);

#[derive(Deserialize)]
struct Elements<'t> {
    #[serde(borrow, default)]
    value: Vec<&'t RawValue>,
}

impl Record {
    /// A record from its text. Bytes that are no UTF-8 stay as they are.
    ///
    /// # Errors
    /// The text is no JSON object.
    pub(super) fn read(text: &[u8]) -> Result<Self, serde_json::Error> {
        let seen = Seen::of(text);
        let members: Members<'_> = seen.parse()?;
        Ok(Record(members.0.into_iter().map(|(name, value)| (name, seen.came(value.get()).to_vec())).collect()))
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_slice())
    }

    /// True when it has a member with elements.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !matches!(value, b"[]" | b"null"))
    }

    /// How many elements a member has; none where it is no array.
    pub(super) fn count(&self, name: &str) -> usize {
        self.get(name).and_then(|value| Seen::of(value).parse::<Vec<IgnoredAny>>().ok()).map_or(0, |all| all.len())
    }

    /// The call's id.
    pub(super) fn id(&self) -> Option<String> {
        serde_json::from_slice(self.get("id")?).ok()
    }

    /// The version, as it is written.
    pub(super) fn version(&self) -> Option<&str> {
        std::str::from_utf8(self.get("version")?).ok()
    }

    /// Where a member goes on.
    pub(super) fn link(&self, member: &str) -> Option<String> {
        let link = self.get(&format!("{member}@odata.nextLink"))?;
        serde_json::from_slice::<Option<String>>(link).ok().flatten().filter(|link| !link.is_empty())
    }

    /// Adds the elements of a page to a member, whose link to more is then none of the record's.
    ///
    /// # Errors
    /// The page has no elements that can be read.
    pub(super) fn extend(&mut self, member: &str, page: &[u8]) -> Result<(), serde_json::Error> {
        let own = self.0.iter().position(|(name, _)| name == member);
        let before = own.map(|at| std::mem::take(&mut self.0[at].1)).unwrap_or_default();
        let (before, page) = (Seen::of(if before.is_empty() { b"null" } else { &before }), Seen::of(page));
        let elements = before.parse::<Option<Vec<&RawValue>>>()?.unwrap_or_default();
        let own_parts = elements.into_iter().map(|element| before.came(element.get()));
        let further = page.parse::<Elements<'_>>()?.value.into_iter().map(|element| page.came(element.get()));
        let parts: Vec<&[u8]> = own_parts.chain(further).collect();
        let all = [b"[", parts.join(&b","[..]).as_slice(), b"]"].concat();
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
        let mut text = Vec::new();
        for (name, value) in self.0 {
            text.push(if text.is_empty() { b'{' } else { b',' });
            text.extend_from_slice(Value::from(name).to_string().as_bytes());
            text.push(b':');
            text.extend_from_slice(&value);
        }
        if text.is_empty() {
            text.push(b'{');
        }
        text.push(b'}');
        text
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
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
        assert!(record.has("sessions") && !record.has("end") && !record.has("start"));
        let expected = r#"{"id":"a","version":2,"sessions":[{"id":"1","n":1.50},{"id":"2","n":1e3}],"end":null}"#;
        assert_eq!(String::from_utf8(record.into_text()).unwrap(), expected);
    }

    #[test]
    fn bytes_that_cannot_be_read_stay_as_they_are() {
        let mut record =
            Record::read(b"{\"id\":\"a\",\"version\":2,\"joinWebUrl\":\"\xe9\",\"sessions\":[{\"id\":\"\xe9\"}]}").unwrap();
        assert_eq!((record.id().as_deref(), record.version(), record.count("sessions")), (Some("a"), Some("2"), 1));
        record.extend("sessions", b"{\"value\":[{\"id\":\"\xff\"},{}]}").unwrap();
        let expected =
            b"{\"id\":\"a\",\"version\":2,\"joinWebUrl\":\"\xe9\",\"sessions\":[{\"id\":\"\xe9\"},{\"id\":\"\xff\"},{}]}";
        assert_eq!(record.into_text(), expected);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        assert!(Record::read(b"[1]").is_err());
        assert!(Record::read(br#"{"id":"a""#).is_err());
    }
}
