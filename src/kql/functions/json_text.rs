//! What a dynamic value's JSON text holds, its `tostring` form, and its canonical form. Parts of it are found by [`json`].

use super::scalar::json;
use crate::kql::format::write_real;

/// What a JSON text holds; parts are slices of the text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind<'a> {
    /// `null`, or text that is no JSON value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without fraction and exponent that fits 64 bits.
    Long(i64),
    /// Any other number.
    Real(f64),
    /// A string, with its quotes and escapes.
    String(&'a str),
    /// An array, with its brackets.
    Array(&'a str),
    /// A bag, with its braces.
    Object(&'a str),
}

/// What the text holds.
pub fn kind(text: &str) -> Kind<'_> {
    let text = text.trim_ascii();
    match json::kind(text) {
        json::Kind::Null => Kind::Null,
        json::Kind::Bool => Kind::Bool(text.starts_with('t')),
        json::Kind::Integer | json::Kind::Real => match text.parse::<i64>() {
            Ok(v) => Kind::Long(v),
            Err(_) => text.parse().map_or(Kind::Null, Kind::Real),
        },
        json::Kind::String => Kind::String(text),
        json::Kind::Array => Kind::Array(text),
        json::Kind::Object => Kind::Object(text),
    }
}

/// Appends the `tostring` text of a JSON text: a string's meaning, nothing for null, anything else compact.
pub fn push_display(out: &mut String, text: &str) {
    match kind(text) {
        Kind::Null => {}
        Kind::String(quoted) => out.push_str(&json::unquote(quoted)),
        Kind::Array(part) | Kind::Object(part) => out.push_str(&json::compact(part)),
        _ => out.push_str(text.trim_ascii()),
    }
}

/// Appends the canonical form of a JSON text: no white space between tokens, numbers and strings written in one way.
/// False, and nothing appended, where the text is not JSON. Line breaks and other control characters within strings, which
/// JSON forbids, are let through.
pub fn push_canonical(out: &mut String, text: &str) -> bool {
    let start = out.len();
    let mut scanner = Scanner { text, bytes: text.as_bytes(), at: 0, copied: 0, out };
    if scanner.document().is_some() {
        return true;
    }
    out.truncate(start);
    false
}

/// Copies a JSON text while it is checked, in runs between the places where something is to be written otherwise.
struct Scanner<'a, 'o> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Text before this place has been written or left out.
    copied: usize,
    out: &'o mut String,
}

impl Scanner<'_, '_> {
    fn document(&mut self) -> Option<()> {
        // What the value being read lies in: true for an object. No recursion, whatever the depth.
        let mut open: Vec<bool> = Vec::new();
        self.space();
        loop {
            match *self.bytes.get(self.at)? {
                b'{' => {
                    self.at += 1;
                    self.space();
                    if self.bytes.get(self.at) == Some(&b'}') {
                        self.at += 1;
                    } else {
                        open.push(true);
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    self.space();
                    if self.bytes.get(self.at) == Some(&b']') {
                        self.at += 1;
                    } else {
                        open.push(false);
                        continue;
                    }
                }
                b'"' => self.string()?,
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'n' => self.word("null")?,
                _ => self.number()?,
            }
            // What follows a value.
            loop {
                self.space();
                let Some(&in_object) = open.last() else {
                    self.flush(self.at);
                    return (self.at == self.bytes.len()).then_some(());
                };
                match (*self.bytes.get(self.at)?, in_object) {
                    (b',', _) => {
                        self.at += 1;
                        self.space();
                        if in_object {
                            self.key()?;
                        }
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.at += 1;
                        open.pop();
                    }
                    _ => return None,
                }
            }
        }
    }

    /// Writes what was passed and not yet written.
    fn flush(&mut self, to: usize) {
        self.out.push_str(&self.text[self.copied..to]);
        self.copied = to;
    }

    fn is_space(&self) -> bool {
        self.bytes.get(self.at).is_some_and(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t'))
    }

    #[inline]
    fn space(&mut self) {
        if self.is_space() {
            self.flush(self.at);
            while self.is_space() {
                self.at += 1;
            }
            self.copied = self.at;
        }
    }

    /// A key, the colon and the space around it.
    fn key(&mut self) -> Option<()> {
        if self.bytes.get(self.at) != Some(&b'"') {
            return None;
        }
        self.string()?;
        self.space();
        if self.bytes.get(self.at) != Some(&b':') {
            return None;
        }
        self.at += 1;
        self.space();
        Some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.bytes[self.at..].starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    fn string(&mut self) -> Option<()> {
        let begin = self.at;
        let mut rewrite = false;
        self.at += 1;
        loop {
            match *self.bytes.get(self.at)? {
                b'"' => break,
                b'\\' => {
                    match *self.bytes.get(self.at + 1)? {
                        b'"' | b'\\' | b'n' | b'r' | b't' | b'b' | b'f' => {}
                        b'/' => rewrite = true,
                        b'u' => {
                            self.bytes.get(self.at + 2..self.at + 6).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
                            rewrite = true;
                        }
                        _ => return None,
                    }
                    self.at += 2;
                }
                0..0x20 => {
                    rewrite = true;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
        self.at += 1;
        if rewrite {
            self.flush(begin);
            json::write_string(self.out, &json::unquote(&self.text[begin..self.at]));
            self.copied = self.at;
        }
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let begin = self.at;
        let bytes = self.bytes;
        let digits = |at: &mut usize| {
            let from = *at;
            while bytes.get(*at).is_some_and(u8::is_ascii_digit) {
                *at += 1;
            }
            *at - from
        };
        let mut at = begin + usize::from(bytes[begin] == b'-');
        let first = *bytes.get(at)?;
        let whole = digits(&mut at);
        if whole == 0 || (first == b'0' && whole > 1) {
            return None;
        }
        let mut fraction = 0;
        if bytes.get(at) == Some(&b'.') {
            at += 1;
            fraction = digits(&mut at);
            if fraction == 0 {
                return None;
            }
        }
        let exponent = matches!(bytes.get(at), Some(b'e' | b'E'));
        if exponent {
            at += 1;
            if matches!(bytes.get(at), Some(b'+' | b'-')) {
                at += 1;
            }
            if digits(&mut at) == 0 {
                return None;
            }
        }
        self.at = at;
        let number = &self.text[begin..at];
        // Most numbers stand in their shortest form already.
        let plain = !exponent
            && if fraction == 0 {
                whole < 19 || number.parse::<i64>().is_ok()
            } else {
                whole + fraction <= 15
                    && (fraction == 1 || !number.ends_with('0'))
                    && (first != b'0' || !number.contains("0.0000"))
            };
        if !plain {
            let value: f64 = number.parse().ok().filter(|v: &f64| v.is_finite())?;
            self.flush(begin);
            write_real(self.out, value);
            self.copied = at;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Option<String> {
        let mut out = String::from("|");
        push_canonical(&mut out, text).then(|| out[1..].to_owned())
    }

    #[test]
    fn json_is_written_in_one_way() {
        for (text, want) in [
            (r#" { "a" : [ 1 , 2.50 , {} , [ ] ] , "b\/" : "\u00e9\n" } "#, r#"{"a":[1,2.5,{},[]],"b/":"é\n"}"#),
            ("1e3", "1000.0"),
            ("118.0", "118.0"),
            ("-12345678901234567890", "-1.2345678901234567e+19"),
            ("0.00001", "0.00001"),
            ("0.0000010", "1e-06"),
            ("\"a\tb\"", r#""a\tb""#),
            (r#""\ud83d\ude00""#, "\"\u{1f600}\""),
            ("true", "true"),
            ("null", "null"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(want), "{text}");
        }
        for text in
            ["", " ", "abc", "{", "[1,]", "{\"a\"}", "01", "1.", "'a'", "[1] x", "\"\\x\"", "nul", "1e999", "[1}", "{\"a\":1,}"]
        {
            assert_eq!(canonical(text), None, "{text}");
        }
        assert_eq!(canonical(&"[".repeat(100_000)), None);
    }

    #[test]
    fn scalars_are_read_and_displayed() {
        assert_eq!(
            [kind(" 12 "), kind("-1.5e3"), kind(""), kind("?")],
            [Kind::Long(12), Kind::Real(-1500.0), Kind::Null, Kind::Null]
        );
        for (text, want) in [("\"a\\nb\"", "a\nb"), ("{ \"a b\" : [1, 2] }", "{\"a b\":[1,2]}"), ("null", ""), ("1.5", "1.5")] {
            let mut out = String::new();
            push_display(&mut out, text);
            assert_eq!(out, want);
        }
    }
}
