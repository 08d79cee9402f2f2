//! One pass over JSON text that finds the members of an object and checks all of it, where the text is as services write it.
//!
//! What is accepted here is what `serde_json` accepts as a raw value; what is not may still be, and is for `serde_json` to judge
//! and to put into words.

use std::ops::Range;

/// Levels of brackets that are looked into: no text in which a member is found is nested too deep.
const MAX_DEPTH: usize = super::MAX_DEPTH;

/// A member of an object, as places in its text.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// The name between its quotes.
    pub name: Range<usize>,
    /// True for a name with escapes.
    pub is_escaped: bool,
    /// The value.
    pub value: Range<usize>,
    /// True for a string without escapes.
    pub is_plain_string: bool,
}

/// Gives the members of the object that is all of a text, also those whose names are there more than once; true when the text has
/// no white space between its tokens and no escapes by code. `None` where the text is no such thing, or has something uncommon:
/// what was given is then nothing.
pub(super) fn object(text: &str, mut member: impl FnMut(Found)) -> Option<bool> {
    whole(text, |scan, name| scan.found(name, 1).map(&mut member))
}

/// The same where the members of an object that is a member's value come before that member, each with true.
pub(super) fn object_with_inner(text: &str, mut member: impl FnMut(bool, Found)) -> Option<bool> {
    whole(text, |scan, name| {
        let value = scan.at;
        let found = if scan.peek()? == b'{' {
            scan.pairs(|scan, name| scan.found(name, 2).map(|found| member(true, found)))?;
            Found { name: name.place, is_escaped: name.is_escaped, value: value..scan.at, is_plain_string: false }
        } else {
            scan.found(name, 1)?
        };
        member(false, found);
        Some(())
    })
}

/// Passes the object that is all of a text; `value` passes the value of each name.
fn whole<'a>(text: &'a str, value: impl FnMut(&mut Scan<'a>, Name) -> Option<()>) -> Option<bool> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0, is_spaced: false, is_coded: false };
    scan.space();
    scan.pairs(value)?;
    scan.space();
    (scan.at == scan.bytes.len()).then_some(!scan.is_spaced && !scan.is_coded)
}

/// The name of a member.
struct Name {
    place: Range<usize>,
    is_escaped: bool,
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    is_spaced: bool,
    is_coded: bool,
}

impl Scan<'_> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn mark(&mut self, mark: u8) -> Option<()> {
        (self.next()? == mark).then_some(())
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
            self.is_spaced = true;
        }
    }

    /// Passes a string; true when it has escapes.
    #[inline]
    fn string(&mut self) -> Option<bool> {
        self.mark(b'"')?;
        let mut is_escaped = false;
        loop {
            self.at += plain_length(&self.bytes[self.at..]);
            match self.next()? {
                b'"' => return Some(is_escaped),
                b'\\' => {
                    is_escaped = true;
                    match self.next()? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            self.is_coded = true;
                            let digits = self.bytes.get(self.at..self.at + 4)?;
                            if !digits.iter().all(u8::is_ascii_hexdigit) {
                                return None;
                            }
                            self.at += 4;
                        }
                        _ => return None,
                    }
                }
                // A control character must be escaped.
                _ => return None,
            }
        }
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' if depth < MAX_DEPTH => self.members(depth),
            b'[' if depth < MAX_DEPTH => self.elements(depth),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            b'-' | b'0'..=b'9' => self.number(),
            _ => None,
        }
    }

    fn members(&mut self, depth: usize) -> Option<()> {
        self.pairs(|scan, _| scan.value(depth + 1))
    }

    /// Passes an object; `value` passes the value of each name.
    #[inline]
    fn pairs(&mut self, mut value: impl FnMut(&mut Self, Name) -> Option<()>) -> Option<()> {
        self.mark(b'{')?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Some(());
        }
        loop {
            let start = self.at + 1;
            let is_escaped = self.string()?;
            let name = Name { place: start..self.at - 1, is_escaped };
            self.space();
            self.mark(b':')?;
            self.space();
            value(self, name)?;
            self.space();
            match self.next()? {
                b',' => self.space(),
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Passes the value of a member of an object at a depth.
    #[inline]
    fn found(&mut self, Name { place, is_escaped }: Name, depth: usize) -> Option<Found> {
        let value = self.at;
        let is_plain_string = match self.peek()? {
            b'"' => !self.string()?,
            _ => {
                self.value(depth)?;
                false
            }
        };
        Some(Found { name: place, is_escaped, value: value..self.at, is_plain_string })
    }

    fn elements(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Some(());
        }
        loop {
            self.value(depth + 1)?;
            self.space();
            match self.next()? {
                b',' => self.space(),
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        let end = self.at + word.len();
        (self.bytes.get(self.at..end)? == word).then(|| self.at = end)
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn number(&mut self) -> Option<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }
}

/// How many bytes come before the first quote, backslash or control character.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let mut at = 0;
    while let Some(eight) = bytes.get(at..at + 8).and_then(|eight| <[u8; 8]>::try_from(eight).ok()) {
        let word = u64::from_le_bytes(eight);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        // The high bit of each byte that is zero after the exclusive or, or below a blank; the lowest one that is set is right.
        let found = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let found = found & HIGH;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = &bytes[at..];
    at + rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{compact, replace_lone_surrogates, too_deep};
    use serde_json::value::RawValue;

    fn found(text: &str) -> Option<(Vec<Found>, bool)> {
        let mut members = Vec::new();
        let is_plain = object(text, |member| members.push(member))?;
        Some((members, is_plain))
    }

    /// What a text is made of in the test below.
    const PIECES: [&str; 34] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\\n\"",
        "\"\\u00e9\"",
        "\"\\ud83d\"",
        "\"",
        "\\",
        "\\u12",
        "1",
        "-",
        "0",
        "01",
        "1.5",
        "1.",
        ".5",
        "1e5",
        "1E+",
        "-0",
        "true",
        "false",
        "null",
        "nul",
        " ",
        "\n",
        "\t",
        "\u{b}",
        "\"\u{1}\"",
        "é",
        "\"long enough \u{7f} é\"",
    ];

    #[test]
    fn what_is_accepted_is_what_serde_accepts() {
        let mut seed = 7_u64;
        let mut draw = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        let mut accepted = 0;
        for _ in 0..200_000 {
            // Something whole, then a piece of it exchanged.
            let mut pieces = vec!["{", "\"a\"", ":"];
            for _ in 0..draw(3) {
                pieces.extend(["[", "1", ",", "{", "\"b\\n\"", ":", "\"a\"", "}", "]", ",", "\"c\"", ":"]);
            }
            pieces.extend(["null", "}"]);
            for _ in 0..draw(3) {
                let at = draw(pieces.len());
                pieces[at] = PIECES[draw(PIECES.len())];
            }
            let text = pieces.concat();
            let mut all = Vec::new();
            let with_inner = object_with_inner(&text, |is_inner, member| all.push((is_inner, member.name, member.value)));
            let found = found(&text);
            assert_eq!(with_inner, found.as_ref().map(|(_, is_plain)| *is_plain), "{text:?}");
            let Some((members, is_plain)) = found else { continue };
            let outer = all.iter().filter(|(is_inner, ..)| !is_inner).map(|(_, name, value)| (name, value));
            assert!(outer.eq(members.iter().map(|member| (&member.name, &member.value))), "{text:?}");
            accepted += 1;
            assert!(serde_json::from_str::<&RawValue>(&text).is_ok(), "{text:?}");
            for value in members.iter().map(|member| &text[member.value.clone()]) {
                assert!(serde_json::from_str::<&RawValue>(value).is_ok_and(|raw| raw.get() == value), "{text:?}");
            }
            if is_plain {
                assert_eq!((compact(&text), replace_lone_surrogates(&text)), (text.as_str().into(), text.as_str().into()));
            }
        }
        assert!(accepted > 20_000, "{accepted}");
    }

    #[test]
    fn members_lie_where_they_are_found() {
        let text = r#"{"a":[1,{"x":"}"}],"b\"":-1.5e+3,"long name of a member":"é \\","d":{}}"#;
        let (members, is_plain) = found(text).unwrap();
        let shown: Vec<_> = members.iter().map(|m| (&text[m.name.clone()], &text[m.value.clone()], m.is_escaped)).collect();
        assert_eq!(
            shown,
            [
                ("a", r#"[1,{"x":"}"}]"#, false),
                (r#"b\""#, "-1.5e+3", true),
                ("long name of a member", r#""é \\""#, false),
                ("d", "{}", false)
            ]
        );
        assert!(is_plain);
        assert!(!found(r#"{"a": 1}"#).unwrap().1 && !found(r#"{"a":"\u00e9"}"#).unwrap().1);
        assert!(found("{}").unwrap().0.is_empty());
        let refused =
            ["", "[]", "{\"a\":1", "{\"a\":1}x", "{\"a\":01}", "{\"a\":1,}", "{a:1}", "{\"a\":\"\u{1}\"}", r#"{"a":"\x"}"#];
        for refused in refused {
            assert!(found(refused).is_none(), "{refused}");
        }
        let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        for levels in [MAX_DEPTH - 1, MAX_DEPTH, 100_000] {
            assert_eq!(found(&deep(levels)).is_none(), too_deep(&deep(levels)), "{levels}");
        }
    }

    #[test]
    fn strings_end_at_the_first_byte_that_is_not_plain() {
        for length in 0..40 {
            for end in ['"', '\\', '\u{0}', '\u{1f}', '\n'] {
                let text = format!("{}{end}é\u{7f}", "é ~z!".chars().cycle().take(length).collect::<String>());
                assert_eq!(plain_length(text.as_bytes()), text.find(end).unwrap(), "{text:?}");
            }
            let all = "~\u{80}#]".chars().cycle().take(length).collect::<String>();
            assert_eq!(plain_length(all.as_bytes()), all.len());
        }
    }
}
