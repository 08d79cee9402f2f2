//! Texts of services that may hold bytes which are no UTF-8. They are looked at all the same, and handed on as they came: the one
//! record that holds such bytes is refused where records are read, and those beside it land.

use std::borrow::Cow;

use serde::Deserialize;

/// What stands for a byte that is none of UTF-8 where a text is looked at. No name and no id has this character (delete).
const UNREADABLE: char = UNREADABLE_BYTE as char;
/// The same, as the byte that it is.
pub(super) const UNREADABLE_BYTE: u8 = 0x7f;

/// A text of JSON as it came, and as it is looked at: of the same length, with the same structure.
#[derive(Debug)]
pub(super) struct Seen<'t> {
    came: &'t [u8],
    text: Cow<'t, str>,
}

impl<'t> Seen<'t> {
    /// A text that came.
    pub(super) fn of(came: &'t [u8]) -> Self {
        if let Ok(text) = std::str::from_utf8(came) {
            return Seen { came, text: Cow::Borrowed(text) };
        }
        let mut text = String::with_capacity(came.len());
        for chunk in came.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|_| UNREADABLE));
        }
        Seen { came, text: Cow::Owned(text) }
    }

    /// The text that is looked at.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What the text says.
    ///
    /// # Errors
    /// It is no JSON of that form. Bytes that cannot be read are no JSON outside of strings.
    pub(super) fn parse<'s, T: Deserialize<'s>>(&'s self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.text)
    }

    /// A part of the text that is looked at, as it came. The part must be borrowed from that text.
    pub(super) fn came(&self, part: &str) -> &'t [u8] {
        let start = part.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        start.checked_add(part.len()).and_then(|end| self.came.get(start..end)).unwrap_or_default()
    }
}

/// A name or an id out of a text that was looked at; `None` where it holds bytes that cannot be read.
pub(super) fn readable<T: AsRef<str>>(value: T) -> Option<T> {
    Some(value).filter(|value| !value.as_ref().contains(UNREADABLE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    #[test]
    fn parts_are_handed_on_as_they_came() {
        #[derive(Deserialize)]
        struct Page<'p> {
            #[serde(borrow)]
            value: Vec<&'p RawValue>,
        }
        let came = b"{\"value\":[{\"id\":\"a\"},{\"id\":\"\xe9\xed\xa0\xbd\"},{\"id\":\"\xc3\xa9\"}]}";
        let seen = Seen::of(came);
        let parts: Vec<&[u8]> = seen.parse::<Page<'_>>().unwrap().value.iter().map(|part| seen.came(part.get())).collect();
        assert_eq!(parts, [&b"{\"id\":\"a\"}"[..], b"{\"id\":\"\xe9\xed\xa0\xbd\"}", b"{\"id\":\"\xc3\xa9\"}"]);
        assert_eq!(seen.text().len(), came.len());
        assert_eq!((readable("a".to_owned()), readable("a\u{7f}".to_owned())), (Some("a".to_owned()), None));
        // Of another text there is no part.
        assert_eq!(seen.came("elsewhere"), b"");
        assert!(Seen::of(b"{\xe9}").parse::<Page<'_>>().is_err());
    }
}
