//! The scanner itself: one pass over the bytes.

use super::{Lexed, Token, TokenKind, strings};
use crate::ast::Span;
use crate::diagnostics::{Diagnostic, code};

/// Reports of one kind of slip (typographic quotes, escaped pipes, …) stop after this many: the first ones suffice.
const MAX_REPORTS: usize = 50;

/// Keywords with dashes: one token each, as long as nothing is between their parts.
const DASHED: [&str; 27] = [
    "assert-schema",
    "granny-asc",
    "granny-desc",
    "graph-mark-components",
    "graph-match",
    "graph-shortest-paths",
    "graph-to-table",
    "graph-where-edges",
    "graph-where-nodes",
    "macro-expand",
    "make-graph",
    "make-series",
    "materialized-view-combine",
    "mv-apply",
    "mv-expand",
    "parse-kv",
    "parse-where",
    "partitioned-by",
    "project-away",
    "project-by-names",
    "project-keep",
    "project-rename",
    "project-reorder",
    "project-smart",
    "sample-distinct",
    "top-hitters",
    "top-nested",
];

/// Units of timespan literals.
const TIMESPAN_UNITS: [&str; 34] = [
    "d",
    "day",
    "days",
    "h",
    "hr",
    "hrs",
    "hour",
    "hours",
    "m",
    "min",
    "minute",
    "minutes",
    "s",
    "sec",
    "second",
    "seconds",
    "ms",
    "milli",
    "millis",
    "millisec",
    "millisecond",
    "milliseconds",
    "micro",
    "micros",
    "microsec",
    "microsecond",
    "microseconds",
    "nano",
    "nanos",
    "nanosec",
    "nanosecond",
    "nanoseconds",
    "tick",
    "ticks",
];

pub(super) struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    pos: usize,
    /// Up to here no typographic quote has a partner.
    unclosed_until: usize,
    tokens: Vec<Token>,
    diagnostics: Vec<Diagnostic>,
}

/// Letters, digits and the underscore: what continues a word.
pub(super) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Kusto's white space beyond ASCII; portals and mail programs put it into copied text.
fn is_wide_space(c: char) -> bool {
    matches!(c, '\u{A0}' | '\u{1680}' | '\u{180E}' | '\u{2000}'..='\u{200B}' | '\u{202F}' | '\u{205F}' | '\u{3000}' | '\u{FEFF}')
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Scanner {
            text,
            bytes: text.as_bytes(),
            pos: 0,
            unclosed_until: 0,
            // Queries have about one token in five bytes.
            tokens: Vec::with_capacity(text.len() / 5 + 8),
            diagnostics: Vec::new(),
        }
    }

    pub(super) fn run(mut self) -> Lexed {
        while self.skip_space() {
            let start = self.pos;
            let kind = self.token();
            debug_assert!(self.pos > start, "every token takes at least one byte");
            if let Some(kind) = kind {
                self.tokens.push(Token { kind, start: start as u32, end: self.pos as u32 });
            }
        }
        let end = self.bytes.len() as u32;
        self.tokens.push(Token { kind: TokenKind::End, start: end, end });
        Lexed { tokens: self.tokens, diagnostics: self.diagnostics }
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.pos + ahead).copied().unwrap_or(0)
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < MAX_REPORTS {
            self.diagnostics.push(diagnostic);
        }
    }

    fn error(&mut self, start: usize, end: usize, message: impl Into<String>) {
        self.report(Diagnostic::error(code::SYNTAX, Span::new(start, end), message));
    }

    fn error_with(&mut self, start: usize, end: usize, message: impl Into<String>, suggestion: impl Into<String>) {
        self.report(Diagnostic::error(code::SYNTAX, Span::new(start, end), message).suggest(suggestion));
    }

    /// Passes white space and comments; false at the end of the text.
    fn skip_space(&mut self) -> bool {
        while let Some(&byte) = self.bytes.get(self.pos) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0C => self.pos += 1,
                b'/' if self.peek(1) == b'/' => {
                    self.pos =
                        memchr::memchr2(b'\n', b'\r', &self.bytes[self.pos..]).map_or(self.bytes.len(), |found| self.pos + found);
                }
                0x80.. => match self.text[self.pos..].chars().next() {
                    Some(c) if is_wide_space(c) => self.pos += c.len_utf8(),
                    _ => return true,
                },
                _ => return true,
            }
        }
        false
    }

    fn one(&mut self, kind: TokenKind) -> Option<TokenKind> {
        self.pos += 1;
        Some(kind)
    }

    fn two(&mut self, kind: TokenKind) -> Option<TokenKind> {
        self.pos += 2;
        Some(kind)
    }

    /// Reads one token; `None` where the text was skipped (and reported).
    fn token(&mut self) -> Option<TokenKind> {
        use TokenKind as T;
        match (self.bytes[self.pos], self.peek(1)) {
            (b'h' | b'H' | b'@' | b'"' | b'\'' | b'`' | b'~', _) if strings::starts_string(&self.bytes[self.pos..]) => {
                self.string()
            }
            (b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$', _) => self.word(),
            (b'0'..=b'9', _) => self.number(),
            (b'(', _) => self.one(T::LeftParen),
            (b')', _) => self.one(T::RightParen),
            (b'[', _) => self.one(T::LeftBracket),
            (b']', _) => self.one(T::RightBracket),
            (b'{', _) => self.one(T::LeftBrace),
            (b'}', _) => self.one(T::RightBrace),
            (b',', _) => self.one(T::Comma),
            (b';', _) => self.one(T::Semicolon),
            (b':', _) => self.one(T::Colon),
            (b'+', _) => self.one(T::Plus),
            (b'-', _) => self.one(T::Minus),
            (b'*', _) => self.one(T::Star),
            (b'%', _) => self.one(T::Percent),
            (b'.', b'.') => self.two(T::DotDot),
            (b'.', _) => self.one(T::Dot),
            (b'=', b'=') => self.equals(),
            (b'=', b'>') => self.two(T::Arrow),
            (b'=', b'~') => self.two(T::EqualTilde),
            (b'=', _) => self.one(T::Assign),
            (b'<', b'=') => self.two(T::LessEqual),
            (b'<', b'>') => self.two(T::NotEqual),
            (b'<', _) => self.one(T::Less),
            (b'>', b'=') => self.two(T::GreaterEqual),
            (b'>', _) => self.one(T::Greater),
            (b'!', b'=') => self.two(T::NotEqual),
            (b'!', b'~') => self.two(T::BangTilde),
            (b'!', next) if next.is_ascii_alphabetic() => {
                self.pos += 1;
                self.word().map(|_| T::Keyword)
            }
            (b'|', b'|') => {
                self.error_with(self.pos, self.pos + 2, "KQL has no operator `||`", "write `or`");
                self.two(T::OrOr)
            }
            (b'|', _) => self.one(T::Bar),
            (b'&', b'&') => {
                self.error_with(self.pos, self.pos + 2, "KQL has no operator `&&`", "write `and`");
                self.two(T::AndAnd)
            }
            (b'/', b'*') => self.block_comment(),
            (b'/', _) => self.one(T::Slash),
            (b'\\', b'|') => {
                self.error_with(self.pos, self.pos + 2, "`\\|` is how Markdown writes a pipe", "write `|` without the backslash");
                self.pos += 2;
                Some(T::Bar)
            }
            _ => self.strange(),
        }
    }

    fn equals(&mut self) -> Option<TokenKind> {
        if self.peek(2) == b'=' {
            self.error_with(self.pos, self.pos + 3, "KQL has no operator `===`", "write `==`");
            self.pos += 1;
        }
        self.two(TokenKind::EqualEqual)
    }

    fn string(&mut self) -> Option<TokenKind> {
        let start = self.pos;
        let scanned = strings::scan(&self.bytes[start..]);
        self.pos = start + scanned.len;
        if let Some(at) = scanned.bad_escape {
            let at = start + at;
            let width = self.text[at + 1..].chars().next().map_or(0, char::len_utf8);
            let escape = &self.text[at..at + 1 + width];
            let message = format!("`{escape}` is no escape sequence");
            self.error_with(at, at + 1 + width, message, "write the backslash twice, or put @ before the string: @\"…\"");
        }
        if let Some(quote) = scanned.missing_end {
            self.error(start, self.pos, format!("the string has no end: {quote} is missing"));
        }
        Some(TokenKind::String)
    }

    /// A word, from its first letter (a `!` before it was passed).
    fn word(&mut self) -> Option<TokenKind> {
        let start = self.pos;
        if is_guid(&self.bytes[start..]) {
            self.pos += 36;
            return Some(TokenKind::Guid);
        }
        self.pos += 1;
        self.word_rest();
        match self.peek(0) {
            b'-' if self.peek(1).is_ascii_lowercase() => {
                let rest = &self.text[start..];
                let keyword = DASHED
                    .iter()
                    .filter(|k| rest.starts_with(**k) && !rest.as_bytes().get(k.len()).is_some_and(|b| is_word_byte(*b)))
                    .map(|k| k.len())
                    .max();
                if let Some(len) = keyword {
                    self.pos = start + len;
                    return Some(TokenKind::Keyword);
                }
            }
            b'~' if &self.bytes[start..self.pos] == b"in" => {
                self.pos += 1;
                return Some(TokenKind::Keyword);
            }
            0x80.. => return self.foreign_word(start),
            _ => {}
        }
        Some(TokenKind::Word)
    }

    fn word_rest(&mut self) {
        while self.bytes.get(self.pos).is_some_and(|b| is_word_byte(*b)) {
            self.pos += 1;
        }
    }

    /// A word that continues with a letter beyond ASCII; `start` is its first byte.
    fn foreign_word(&mut self, start: usize) -> Option<TokenKind> {
        let rest = &self.text[start..];
        let len = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        if start + len <= self.pos {
            return Some(TokenKind::Word);
        }
        self.pos = start + len;
        let word = &self.text[start..self.pos];
        let suggestion = format!("write ['{word}']");
        self.error_with(start, self.pos, format!("the name `{word}` has letters that need brackets"), suggestion);
        Some(TokenKind::Bad)
    }

    /// A number, a timespan, a guid, or a word that begins with digits.
    fn number(&mut self) -> Option<TokenKind> {
        let start = self.pos;
        let bytes = &self.bytes[start..];
        if is_guid(bytes) {
            self.pos += 36;
            return Some(TokenKind::Guid);
        }
        let ends_word = |len: usize| !bytes.get(len).is_some_and(|b| is_word_byte(*b));
        let digits = digits(bytes);
        if let Some(len) = real_len(bytes, digits)
            && ends_word(len)
        {
            self.pos += len;
            return Some(TokenKind::Real);
        }
        if let Some(len) = timespan_len(bytes, digits) {
            self.pos += len;
            return Some(TokenKind::TimeSpan);
        }
        if bytes[0] == b'0' && matches!(bytes.get(1), Some(b'x' | b'X')) {
            let hex = bytes[2..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
            if hex > 0 && ends_word(2 + hex) {
                self.pos += 2 + hex;
                return Some(TokenKind::Long);
            }
        }
        self.pos += digits;
        if ends_word(digits) {
            return Some(TokenKind::Long);
        }
        self.word_rest();
        Some(TokenKind::Word)
    }

    fn block_comment(&mut self) -> Option<TokenKind> {
        let start = self.pos;
        let end = memchr::memmem::find(&self.bytes[start + 2..], b"*/").map_or(self.bytes.len(), |found| start + 2 + found + 2);
        self.pos = end;
        let message = "KQL has no comments in `/* */`";
        self.error_with(start, (start + 2).min(end), message, "begin every line of the comment with `//`");
        None
    }

    /// Anything that no token begins with.
    fn strange(&mut self) -> Option<TokenKind> {
        let start = self.pos;
        let rest = &self.text[start..];
        let Some(c) = rest.chars().next() else {
            self.pos += 1;
            return None;
        };
        self.pos += c.len_utf8();
        let close = match c {
            '“' | '”' | '„' | '‟' => ['“', '”', '‟', '"'],
            '‘' | '’' | '‚' | '‛' => ['‘', '’', '‛', '\''],
            _ => return self.strange_character(start, c),
        };
        let message = "typographic quotes cannot enclose a string";
        self.error_with(start, self.pos, message, "write straight quotes: \"…\" or '…'");
        if self.pos < self.unclosed_until {
            return Some(TokenKind::Bad);
        }
        let body = &self.text[self.pos..];
        let end = body.char_indices().find(|(_, c)| close.contains(c) || matches!(c, '\n' | '\r'));
        match end {
            Some((at, c)) if close.contains(&c) => {
                self.pos += at + c.len_utf8();
                Some(TokenKind::String)
            }
            _ => {
                // Nothing on this line closes a quote of this kind; one look is enough for the whole line.
                self.unclosed_until = self.pos + end.map_or(body.len(), |(at, _)| at);
                Some(TokenKind::Bad)
            }
        }
    }

    fn strange_character(&mut self, start: usize, c: char) -> Option<TokenKind> {
        let end = self.pos;
        match c {
            '–' | '—' | '−' | '‐' | '‑' => {
                self.error_with(start, end, format!("`{c}` is a typographic dash"), "write `-`");
                return Some(TokenKind::Minus);
            }
            '≠' => {
                self.error_with(start, end, "`≠` is no operator", "write `!=`");
                return Some(TokenKind::NotEqual);
            }
            '≤' => {
                self.error_with(start, end, "`≤` is no operator", "write `<=`");
                return Some(TokenKind::LessEqual);
            }
            '≥' => {
                self.error_with(start, end, "`≥` is no operator", "write `>=`");
                return Some(TokenKind::GreaterEqual);
            }
            '!' => {
                let message = "`!` stands only in front of operators, as in `!=`, `!in` or `!has`";
                self.error_with(start, end, message, "negate an expression with not(…)");
            }
            '`' => self.error(start, end, "a single ` means nothing; ``` begins a string of several lines"),
            '#' => {
                let line = self.text[start..].find(['\n', '\r']).map_or(self.text.len(), |found| start + found);
                self.pos = line;
                self.error(start, line, "lines that begin with # are commands to an editor, not KQL");
                return None;
            }
            c if c.is_alphanumeric() => {
                self.pos = start;
                return self.foreign_word(start);
            }
            c => self.error(start, end, format!("the character `{}` means nothing here", c.escape_debug())),
        }
        Some(TokenKind::Bad)
    }
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| b.is_ascii_digit()).count()
}

/// The length of a real at the start of `bytes`, which begins with `whole` digits: it needs a point or an exponent.
/// A point before another point belongs to a range (`1..5`), unless three follow one another.
fn real_len(bytes: &[u8], whole: usize) -> Option<usize> {
    let at = |i: usize| bytes.get(i).copied().unwrap_or(0);
    let exponent = |i: usize| {
        if !matches!(at(i), b'e' | b'E') {
            return 0;
        }
        let sign = usize::from(matches!(at(i + 1), b'+' | b'-'));
        let digits = bytes.get(i + 1 + sign..).map_or(0, digits);
        if digits == 0 { 0 } else { 1 + sign + digits }
    };
    if at(whole) == b'.' && (at(whole + 1) != b'.' || at(whole + 2) == b'.') {
        let fraction = digits(&bytes[whole + 1..]);
        let len = whole + 1 + fraction;
        return Some(len + exponent(len));
    }
    match exponent(whole) {
        0 => None,
        len => Some(whole + len),
    }
}

/// The length of a timespan literal such as `1d` or `1.5h`.
fn timespan_len(bytes: &[u8], whole: usize) -> Option<usize> {
    let mut number = whole;
    if bytes.get(whole) == Some(&b'.') {
        let fraction = digits(&bytes[whole + 1..]);
        if fraction > 0 {
            number += 1 + fraction;
        }
    }
    let unit = bytes[number..].iter().take_while(|b| is_word_byte(**b)).count();
    let text = std::str::from_utf8(&bytes[number..number + unit]).ok()?;
    is_timespan_unit(text).then_some(number + unit)
}

/// True for the units that may follow a number: `d`, `hours`, `ms`, `ticks`, …
pub(super) fn is_timespan_unit(text: &str) -> bool {
    TIMESPAN_UNITS.contains(&text)
}

/// True where there are 36 bytes of a guid, dashes included.
fn is_guid(bytes: &[u8]) -> bool {
    bytes.len() >= 36
        && bytes[8] == b'-'
        && bytes[..36].iter().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
        && !bytes.get(36).is_some_and(|b| is_word_byte(*b))
}
