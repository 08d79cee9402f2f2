//! How a regular expression is read, wherever one is written: the regex crate's syntax first, which is what Kusto's documentation
//! describes ("Regex syntax"), else that of RE2, Kusto's engine before, which published queries were written for.

use regex::{Regex, RegexBuilder};

/// Compiles a pattern; the error says what is wrong with it.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    compile_with(pattern, |builder| builder)
}

/// Compiles a pattern with flags that are set from outside; the error says what is wrong with it.
pub(crate) fn compile_with(pattern: &str, flags: impl Fn(&mut RegexBuilder) -> &mut RegexBuilder) -> Result<Regex, String> {
    /// Compiled patterns and their lazy automata may not eat the query's memory.
    const LIMIT: usize = 64 << 20;
    let build = |pattern: &str| flags(RegexBuilder::new(pattern).size_limit(LIMIT).dfa_size_limit(LIMIT)).build();
    let error = match build(pattern) {
        Ok(regex) => return Ok(regex),
        Err(error) => error,
    };
    if let Ok(regex) = build(&from_re2(pattern)) {
        return Ok(regex);
    }
    Err(match error {
        regex::Error::CompiledTooBig(limit) => format!("the regular expression needs more than {limit} bytes"),
        // The crate's message repeats the pattern over several lines; its last line says what is wrong.
        other => {
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or("").trim_start_matches("error: ");
            format!("the regular expression '{pattern}' is not valid: {reason}")
        }
    })
}

/// A pattern of RE2's syntax in that of the regex crate. The differences (google/re2, "Syntax"): octal escapes, `\Q…\E`, a `{`
/// that begins no count, and within classes `[`, `&` and `~` that are themselves, and a `-` that stands beside a class.
fn from_re2(pattern: &str) -> String {
    let mut reader = Reader { chars: pattern.chars().collect(), at: 0, out: String::with_capacity(pattern.len() + 8) };
    while let Some(c) = reader.next() {
        match c {
            '\\' => {
                reader.escape();
            }
            '[' => reader.class(),
            '{' if !begins_repetition(&reader.chars[reader.at..]) => reader.out.push_str(r"\{"),
            c => reader.out.push(c),
        }
    }
    reader.out
}

/// Escapes that stand for a class of characters.
const CLASSES: &str = "dDsSwWpP";

/// Reads a pattern and writes it anew.
struct Reader {
    chars: Vec<char>,
    at: usize,
    out: String,
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        Some(c)
    }

    /// What follows a backslash. True where it is one character, which may be an end of a range.
    fn escape(&mut self) -> bool {
        let Some(c) = self.next() else {
            self.out.push('\\');
            return true;
        };
        let octal = |c: Option<char>| c.and_then(|c| c.to_digit(8));
        match c {
            '0'..='7' if c == '0' || octal(self.peek(0)).is_some() => {
                let mut code = octal(Some(c)).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = octal(self.peek(0)) else { break };
                    code = code * 8 + digit;
                    self.at += 1;
                }
                self.out.push_str(&format!(r"\x{{{code:X}}}"));
            }
            'Q' => {
                let mut quoted = String::new();
                while let Some(c) = self.next() {
                    if c == '\\' && self.peek(0) == Some('E') {
                        self.at += 1;
                        break;
                    }
                    quoted.push(c);
                }
                self.out.push_str(&regex::escape(&quoted));
            }
            'E' => {}
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
            c => {
                self.out.push('\\');
                self.out.push(c);
                // What these take in braces is no count.
                if matches!(c, 'p' | 'P' | 'x' | 'u' | 'U' | 'b') && self.peek(0) == Some('{') {
                    while let Some(c) = self.next() {
                        self.out.push(c);
                        if c == '}' {
                            break;
                        }
                    }
                }
                return !CLASSES.contains(c);
            }
        }
        true
    }

    /// What follows the `[` of a class, its `]` included.
    fn class(&mut self) {
        self.out.push('[');
        if self.peek(0) == Some('^') {
            self.at += 1;
            self.out.push('^');
        }
        let mut first = true;
        while let Some(c) = self.next() {
            if c == ']' && !first {
                self.out.push(']');
                return;
            }
            first = false;
            let single = self.item(c);
            // A range, unless one of its ends is a class.
            if self.peek(0) == Some('-') && self.peek(1).is_some_and(|end| end != ']') {
                self.at += 1;
                let is_class = self.peek(0) == Some('\\') && self.peek(1).is_some_and(|c| CLASSES.contains(c));
                let is_range = single && !is_class;
                self.out.push_str(if is_range { "-" } else { r"\-" });
                if is_range && let Some(end) = self.next() {
                    self.item(end);
                }
            }
        }
    }

    /// One item of a class that begins with `c`. True where it is one character.
    fn item(&mut self, c: char) -> bool {
        match c {
            '\\' => self.escape(),
            '[' if self.peek(0) == Some(':') => {
                let rest = self.chars[self.at + 1..].iter();
                let name: String = rest.take_while(|c| c.is_ascii_alphabetic() || **c == '^').collect();
                let end = self.at + 1 + name.chars().count();
                if self.chars.get(end) == Some(&':') && self.chars.get(end + 1) == Some(&']') {
                    self.at = end + 2;
                    self.out.push_str(&format!("[:{name}:]"));
                    return false;
                }
                self.out.push_str(r"\[");
                true
            }
            '[' | ']' | '&' | '~' | '-' => {
                self.out.push('\\');
                self.out.push(c);
                true
            }
            c => {
                self.out.push(c);
                true
            }
        }
    }
}

/// `n}`, `n,}`, `n,m}`
fn begins_repetition(rest: &[char]) -> bool {
    let Some(end) = rest.iter().position(|c| *c == '}') else { return false };
    let mut bounds = rest[..end].split(|c| *c == ',');
    let digits = |s: &[char]| s.iter().all(char::is_ascii_digit);
    let least = bounds.next().unwrap_or_default();
    !least.is_empty() && digits(least) && bounds.next().is_none_or(digits) && bounds.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_that_count_nothing_are_themselves() {
        for (pattern, text) in [(r#"{"(.+)":.+}"#, r#"{"a":1}"#), (r"x{2}{y", "xx{y"), (r"\p{L}{z", "é{z"), (r"[{]{a", "{{a")] {
            let regex = compile(pattern).expect(pattern);
            assert_eq!(regex.find(text).map(|m| m.as_str()), Some(text), "{pattern}");
        }
        assert!(compile("(").is_err() && compile("a{2").is_ok_and(|r| r.is_match("a{2")));
    }

    #[test]
    fn what_re2_accepts_is_read_as_re2_reads_it() {
        let cases = [
            (r"[[]x", "[x", true),
            (r"[^[]+", "[", false),
            (r"[[]]", "[]", true),
            (r"a[][]b", "a[b", true),
            (r"[\w-.]+@", "a-b.c@", true),
            (r"^[\w-\d]+$", "-", true),
            (r"^[a-c[]+$", "ab[c", true),
            (r"\101\060", "A0", true),
            (r"\0", "\0", true),
            (r"[\101-\103[]", "B", true),
            (r"\Qa.b[\E+", "a.b[[", true),
            (r"\Qa.b", "axb", false),
            (r"[[:digit:]-[]x", "-x", true),
            (r"[[:^alpha:][]x", "1x", true),
            (r"[[&~]x", "&x", true),
        ];
        for (pattern, text, found) in cases {
            let regex = compile(pattern).expect(pattern);
            assert_eq!(regex.is_match(text), found, "{pattern} in {text}, read as {}", regex.as_str());
        }
        for wrong in [r"(a)\1", r"[a", r"(?=a)", r"[z-a[]", r"\8"] {
            assert!(compile(wrong).is_err(), "{wrong}");
        }
    }
}
