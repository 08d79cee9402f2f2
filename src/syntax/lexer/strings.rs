//! String literals: where they end and what they hold.

/// What the scan of a string literal found.
pub(super) struct Scanned {
    /// Bytes of the literal.
    pub(super) len: usize,
    /// Offset of the first backslash that begins no known escape.
    pub(super) bad_escape: Option<usize>,
    /// The quote that is missing at the end.
    pub(super) missing_end: Option<&'static str>,
}

/// Prefix and opening quote of a literal.
struct Opening {
    /// Bytes before the content.
    len: usize,
    form: QuoteStyle,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum QuoteStyle {
    /// `"…"` and `'…'`, with escapes.
    Plain(u8),
    /// `@"…"`: the quote is doubled, nothing else is special.
    Verbatim(u8),
    /// Three back ticks or tildes: everything up to the same three.
    Fenced(u8),
}

fn opening(bytes: &[u8]) -> Option<Opening> {
    let at = |i: usize| bytes.get(i).copied().unwrap_or(0);
    // The prefix h hides a string from logs; its value is the same.
    let mut len = usize::from(matches!(at(0), b'h' | b'H'));
    let verbatim = at(len) == b'@';
    len += usize::from(verbatim);
    match at(len) {
        quote @ (b'"' | b'\'') => {
            let form = if verbatim { QuoteStyle::Verbatim(quote) } else { QuoteStyle::Plain(quote) };
            Some(Opening { len: len + 1, form })
        }
        fence @ (b'`' | b'~') if at(len + 1) == fence && at(len + 2) == fence => {
            Some(Opening { len: len + 3, form: QuoteStyle::Fenced(fence) })
        }
        _ => None,
    }
}

/// True where a string literal begins, its prefix included.
pub(super) fn starts_string(bytes: &[u8]) -> bool {
    opening(bytes).is_some()
}

/// Finds the end of the string literal that `bytes` begins with. A literal that is not fenced ends with its line at the latest.
pub(super) fn scan(bytes: &[u8]) -> Scanned {
    let mut bad_escape = None;
    let Some(Opening { len, form }) = opening(bytes) else {
        return Scanned { len: 1.min(bytes.len()), bad_escape, missing_end: None };
    };
    let (quote, missing) = match form {
        QuoteStyle::Fenced(fence) => {
            let found = memchr::memchr_iter(fence, &bytes[len..]).find(|at| bytes[len + at..].starts_with(&[fence; 3]));
            return match found {
                Some(found) => Scanned { len: len + found + 3, bad_escape, missing_end: None },
                None => Scanned { len: bytes.len(), bad_escape, missing_end: Some(if fence == b'`' { "```" } else { "~~~" }) },
            };
        }
        QuoteStyle::Plain(quote) | QuoteStyle::Verbatim(quote) => (quote, if quote == b'"' { "\"" } else { "'" }),
    };
    let verbatim = form == QuoteStyle::Verbatim(quote);
    let mut pos = len;
    while let Some(&byte) = bytes.get(pos) {
        match byte {
            _ if byte == quote => {
                if verbatim && bytes.get(pos + 1) == Some(&quote) {
                    pos += 2;
                    continue;
                }
                return Scanned { len: pos + 1, bad_escape, missing_end: None };
            }
            b'\\' if !verbatim => match escape(&bytes[pos..]) {
                Some((len, _)) => pos += len,
                None => {
                    // A backslash at the end of the line leaves the string unfinished, which is reported as such.
                    if !matches!(bytes.get(pos + 1), None | Some(b'\n' | b'\r')) {
                        bad_escape = bad_escape.or(Some(pos));
                    }
                    pos += 1;
                    // Passes the letter after the backslash, but not a line's end.
                    if bytes.get(pos).is_some_and(|b| b.is_ascii_alphanumeric()) {
                        pos += 1;
                    }
                }
            },
            b'\n' | b'\r' => break,
            _ => pos += 1,
        }
    }
    Scanned { len: pos, bad_escape, missing_end: Some(missing) }
}

/// Length and code of the escape sequence at the start of `bytes`; `None` when it is none.
fn escape(bytes: &[u8]) -> Option<(usize, u32)> {
    let hex = |count: usize| {
        let digits = bytes.get(2..2 + count)?;
        let text = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_hexdigit))?;
        Some((2 + count, u32::from_str_radix(text, 16).ok()?))
    };
    let octal = |i: usize| bytes.get(i).filter(|b| (b'0'..=b'7').contains(b)).map(|b| u32::from(b - b'0'));
    let simple = |code: u8| Some((2, u32::from(code)));
    match *bytes.get(1)? {
        c @ (b'\\' | b'\'' | b'"') => simple(c),
        b'a' => simple(0x07),
        b'b' => simple(0x08),
        b'f' => simple(0x0C),
        b'n' => simple(b'\n'),
        b'r' => simple(b'\r'),
        b't' => simple(b'\t'),
        b'v' => simple(0x0B),
        b'x' => hex(2),
        b'u' => hex(4),
        b'U' => hex(8),
        _ => {
            let first = octal(1)?;
            match (octal(2), octal(3)) {
                (Some(second), Some(third)) if first <= 3 => Some((4, first * 64 + second * 8 + third)),
                (Some(second), _) => Some((3, first * 8 + second)),
                (None, _) => Some((2, first)),
            }
        }
    }
}

/// The text that a string literal stands for: prefix and quotes removed, escapes resolved. Half a surrogate pair becomes U+FFFD.
pub fn string_value(literal: &str) -> String {
    let bytes = literal.as_bytes();
    let Some(Opening { len, form }) = opening(bytes) else {
        // A string in typographic quotes.
        let mut chars = literal.chars();
        chars.next();
        chars.next_back();
        return chars.as_str().to_owned();
    };
    let body = &literal[len..];
    match form {
        QuoteStyle::Fenced(fence) => {
            let fence = if fence == b'`' { "```" } else { "~~~" };
            body.strip_suffix(fence).unwrap_or(body).to_owned()
        }
        QuoteStyle::Verbatim(quote) => {
            let (quote, doubled) = if quote == b'"' { ("\"", "\"\"") } else { ("'", "''") };
            body.strip_suffix(quote).unwrap_or(body).replace(doubled, quote)
        }
        QuoteStyle::Plain(quote) => {
            let body = if ends_with_quote(body.as_bytes(), quote) { &body[..body.len() - 1] } else { body };
            unescape(body)
        }
    }
}

/// True when the literal's last byte is its closing quote and not an escaped one.
fn ends_with_quote(body: &[u8], quote: u8) -> bool {
    let Some((&last, rest)) = body.split_last() else { return false };
    let slashes = rest.iter().rev().take_while(|b| **b == b'\\').count();
    last == quote && slashes % 2 == 0
}

fn unescape(body: &str) -> String {
    if !body.contains('\\') {
        return body.to_owned();
    }
    let bytes = body.as_bytes();
    let mut out = String::with_capacity(body.len());
    let mut pos = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[pos..]) {
        out.push_str(&body[pos..pos + found]);
        pos += found;
        let Some((len, code)) = escape(&bytes[pos..]) else {
            out.push('\\');
            pos += 1;
            continue;
        };
        pos += len;
        // \uD83D\uDE00 are two halves of one character.
        if (0xD800..0xDC00).contains(&code)
            && let Some((low_len, low)) = escape(&bytes[pos..])
            && (0xDC00..0xE000).contains(&low)
        {
            pos += low_len;
            out.push(char::from_u32(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)).unwrap_or('\u{FFFD}'));
            continue;
        }
        out.push(char::from_u32(code).unwrap_or('\u{FFFD}'));
    }
    out.push_str(&body[pos..]);
    out
}
