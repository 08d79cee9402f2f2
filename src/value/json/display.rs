//! What a dynamic value's JSON text holds, its `tostring` form, and its canonical form. Parts of it are found by [`json`].

use crate::format::{write_json_string, write_real};
use crate::json::{self, JsonType};

/// A JSON text as the value it holds; strings, arrays and bags are slices of the text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum JsonRef<'a> {
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

/// The value that a text holds.
pub fn json_ref(text: &str) -> JsonRef<'_> {
    let text = text.trim_ascii();
    match json::json_type(text) {
        JsonType::Null => JsonRef::Null,
        JsonType::Bool => JsonRef::Bool(text.starts_with('t')),
        JsonType::Integer | JsonType::Real => match text.parse::<i64>() {
            Ok(v) => JsonRef::Long(v),
            Err(_) => text.parse().map_or(JsonRef::Null, JsonRef::Real),
        },
        JsonType::String => JsonRef::String(text),
        JsonType::Array => JsonRef::Array(text),
        JsonType::Object => JsonRef::Object(text),
    }
}

/// Appends the `tostring` text of a JSON text: a string's meaning, nothing for null, anything else compact.
pub fn push_display(out: &mut String, text: &str) {
    match json_ref(text) {
        JsonRef::Null => {}
        JsonRef::String(quoted) => out.push_str(&json::unquote(quoted)),
        JsonRef::Array(part) | JsonRef::Object(part) => out.push_str(&json::compact(part)),
        _ => out.push_str(text.trim_ascii()),
    }
}

/// Appends the canonical form of a JSON text: no white space between tokens, numbers and strings written in one way.
/// False, and nothing appended, where the text is not JSON (RFC 8259: no comments, no line breaks and other control characters
/// within strings, no byte order mark), deeper than [`json::MAX_DEPTH`], or has a number beyond the reals. Of several equal keys
/// the last counts.
pub fn push_canonical(out: &mut String, text: &str) -> bool {
    let start = out.len();
    let mut scanner = Scanner { text, bytes: text.as_bytes(), at: 0, copied: 0, keys: Vec::new(), repeats: false, out };
    if scanner.document().is_none() {
        out.truncate(start);
        return false;
    }
    if scanner.repeats {
        let all = out.split_off(start);
        push_members(out, &all);
    }
    true
}

/// Appends a canonical text, of several equal keys only the last.
fn push_members(out: &mut String, text: &str) {
    if let Some(members) = json::members(text) {
        out.push('{');
        for (i, (key, value)) in members.into_iter().enumerate() {
            out.push_str(if i == 0 { "\"" } else { ",\"" });
            out.push_str(key);
            out.push_str("\":");
            push_members(out, value);
        }
        out.push('}');
    } else if let Some(elements) = json::elements(text) {
        out.push('[');
        for (i, element) in elements.enumerate() {
            if i > 0 {
                out.push(',');
            }
            push_members(out, element);
        }
        out.push(']');
    } else {
        out.push_str(text);
    }
}

/// Copies a JSON text while it is checked, in runs between the places where something is to be written otherwise.
struct Scanner<'a, 'o> {
    /// The raw keys of the objects that the value being read is in, without quotes.
    keys: Vec<&'a str>,
    /// An object has a key more than once.
    repeats: bool,
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Text before this place has been written or left out.
    copied: usize,
    out: &'o mut String,
}

impl Scanner<'_, '_> {
    fn document(&mut self) -> Option<()> {
        // What the value being read is in: for an object the place of its first key. No recursion, whatever the depth.
        let mut open: Vec<Option<usize>> = Vec::new();
        self.space();
        loop {
            match *self.bytes.get(self.at)? {
                b'{' | b'[' if open.len() == json::MAX_DEPTH => return None,
                b'{' => {
                    self.at += 1;
                    self.space();
                    if self.bytes.get(self.at) == Some(&b'}') {
                        self.at += 1;
                    } else {
                        open.push(Some(self.keys.len()));
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
                        open.push(None);
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
                let Some(&object) = open.last() else {
                    self.flush(self.at);
                    return (self.at == self.bytes.len()).then_some(());
                };
                match (*self.bytes.get(self.at)?, object) {
                    (b',', _) => {
                        self.at += 1;
                        self.space();
                        if object.is_some() {
                            self.key()?;
                        }
                        break;
                    }
                    (b'}', Some(first)) => {
                        self.at += 1;
                        self.repeats |= json::repeats(&self.keys[first..], |key| key);
                        self.keys.truncate(first);
                        open.pop();
                    }
                    (b']', None) => {
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
        let begin = self.at + 1;
        self.string()?;
        self.keys.push(&self.text[begin..self.at - 1]);
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
                0..0x20 => return None,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        if rewrite {
            self.flush(begin);
            write_json_string(self.out, &json::unquote(&self.text[begin..self.at]));
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
        // Most numbers are in their shortest form already.
        let plain = !exponent
            && if fraction == 0 {
                whole < 19 || number.parse::<i64>().is_ok()
            } else {
                whole + fraction <= 15
                    && (fraction == 1 || !number.ends_with('0'))
                    && (first != b'0' || !number.contains("0.0000"))
            };
        if number == "-0" {
            // Whole numbers have one zero.
            self.flush(begin);
            self.out.push('0');
            self.copied = at;
        } else if !plain {
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
    use proptest::prelude::*;

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
            ("[-0,-0.0]", "[0,-0.0]"),
            ("118.0", "118.0"),
            ("-12345678901234567890", "-1.2345678901234567e+19"),
            ("0.00001", "0.00001"),
            ("0.0000010", "1e-06"),
            (r#""\ud83d\ude00""#, "\"\u{1f600}\""),
            ("true", "true"),
            ("null", "null"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(want), "{text}");
        }
        assert_eq!(canonical(&"[".repeat(100_000)), None);
    }

    #[test]
    fn what_is_no_json_is_told() {
        for text in [
            "",
            " ",
            "abc",
            "{",
            "[1,]",
            "{\"a\"}",
            "'a'",
            "[1] x",
            "nul",
            "[1}",
            "{\"a\":1,}",
            "{,}",
            "[,1]",
            "{a:1}",
            "{'a':1}",
            "{\"a\":1 \"b\":2}",
            "[1 2]",
            "{\"a\" 1}",
            "{\"a\"::1}",
            "{1:1}",
            "]",
            "[]]",
            "1 2",
            "true false",
            "True",
            "NULL",
            // Numbers.
            "01",
            "-01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "1e+",
            "0x1",
            "1_000",
            "NaN",
            "Infinity",
            "-Infinity",
            "1e999",
            "-1e400",
            "--1",
            // Strings.
            "\"\\x\"",
            "\"\\q\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\\"",
            "\"",
            "\"a\tb\"",
            "\"a\nb\"",
            "\"\u{0}\"",
            "{\"a\u{1f}\":1}",
            // Comments, marks, other white space.
            "/*x*/1",
            "1//x",
            "\u{feff}1",
            "\u{a0}1",
            "1\u{c}",
            "\u{b}1",
        ] {
            assert_eq!(canonical(text), None, "{text:?}");
        }
        for text in ["\"\u{7f}\u{2028}\u{feff}\"", " \t\r\n1 \t\r\n", "-0", "0", "0e0", "1E+2", r#""\ud800""#, r#"{"":1}"#] {
            assert!(canonical(text).is_some(), "{text:?}");
        }
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(canonical(&deep(json::MAX_DEPTH)).is_some());
        assert!(canonical(&deep(json::MAX_DEPTH + 1)).is_none());
    }

    proptest! {
        /// The scanner takes what the strict parser takes, and both read the same.
        #[test]
        fn the_scanner_agrees_with_the_strict_parser(text in soup()) {
            // A lone surrogate is read as U+FFFD here.
            let strict = serde_json::from_str::<serde_json::Value>(&text);
            match canonical(&text) {
                Some(canonical) => {
                    let read: serde_json::Value = serde_json::from_str(&canonical).expect("canonical text is JSON");
                    if let Ok(strict) = strict {
                        prop_assert_eq!(without_forms(&read), without_forms(&strict));
                    } else {
                        prop_assert!(text.contains("\\ud"), "{}", text);
                    }
                }
                None => prop_assert!(strict.is_err(), "{}", text),
            }
        }

        /// Parts that are found in place are those of the parsed value.
        #[test]
        fn parts_in_place_are_those_of_the_tree(text in soup(), key in "[ab/]") {
            if let Ok(tree) = serde_json::from_str::<serde_json::Value>(&text) {
                let step = [json::PathStep::Key(key.clone())];
                let want = tree.get(&key).filter(|v| !v.is_null());
                for found in [json::path(&text, &step), json::Path::new(&step).get(&text)] {
                    let found: Option<serde_json::Value> = found.map(|part| serde_json::from_str(part).expect("a part is JSON"));
                    prop_assert_eq!(found.as_ref(), want);
                }
                let keys = tree.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
                let members = json::members(&text);
                let found = members.map(|all| all.iter().map(|(key, _)| json::unescape(key).into_owned()).collect::<Vec<_>>());
                prop_assert_eq!(found, keys);
            }
        }
    }

    /// Pieces of JSON, more often well formed than not.
    fn soup() -> impl Strategy<Value = String> {
        let string = prop::sample::select(vec![
            r#""a""#,
            r#""b""#,
            r#""\u0061""#,
            r#""\/""#,
            r#""/""#,
            r#""""#,
            r#""\"a\":1""#,
            r#""\\""#,
            r#""x\n""#,
            "\"\t\"",
            r#""\ud83d\ude00""#,
            r#""\ud800""#,
            r#""{""#,
            r#""é""#,
        ]);
        let scalar = prop_oneof![
            8 => string.clone().prop_map(str::to_owned),
            4 => prop::sample::select(vec!["1", "-0", "1.50", "1e3", "12345678901234567890", "null", "true", "false"]).prop_map(str::to_owned),
            1 => prop::sample::select(vec!["01", "1.", "+1", "nul", "NaN", "", "1 2", "\u{feff}", "/*"]).prop_map(str::to_owned),
        ];
        scalar.prop_recursive(4, 24, 4, move |inner| {
            let entry = (string.clone(), prop::sample::select(vec![":", " : "]), inner.clone())
                .prop_map(|(k, c, v)| format!("{k}{c}{v}"));
            let comma = || prop::sample::select(vec![",", " ,", ",\n", ",", ",", ",,"]);
            prop_oneof![
                3 => (prop::collection::vec(entry, 0..5), comma()).prop_map(|(all, comma)| format!("{{{}}}", all.join(comma))),
                1 => (prop::collection::vec(inner, 0..4), comma()).prop_map(|(all, comma)| format!("[ {} ]", all.join(comma))),
            ]
        })
    }

    /// A value whose numbers are reals, however they are written.
    fn without_forms(value: &serde_json::Value) -> serde_json::Value {
        use serde_json::Value;
        match value {
            Value::Number(n) => n.as_f64().map_or(Value::Null, Value::from),
            Value::Array(items) => items.iter().map(without_forms).collect(),
            Value::Object(map) => Value::Object(map.iter().map(|(k, v)| (k.clone(), without_forms(v))).collect()),
            other => other.clone(),
        }
    }

    #[test]
    fn scalars_are_read_and_displayed() {
        assert_eq!(
            [json_ref(" 12 "), json_ref("-1.5e3"), json_ref(""), json_ref("?")],
            [JsonRef::Long(12), JsonRef::Real(-1500.0), JsonRef::Null, JsonRef::Null]
        );
        for (text, want) in [("\"a\\nb\"", "a\nb"), ("{ \"a b\" : [1, 2] }", "{\"a b\":[1,2]}"), ("null", ""), ("1.5", "1.5")] {
            let mut out = String::new();
            push_display(&mut out, text);
            assert_eq!(out, want);
        }
    }
}
