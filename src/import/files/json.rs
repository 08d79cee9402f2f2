//! Pulling values out of a JSON text that may be larger than memory: one element at a time, by bracket matching.
//!
//! Values are cut out here and checked later by the caller that parses them, so that one broken element does not cost the others.

use kqlake_value::json::extent::{BracketError, Extent};

use super::bytes::ByteStream;

/// Brackets that may be open at once.
const MAX_OPEN: usize = 16 << 20;

/// Why a value could not be cut out.
#[derive(Debug)]
pub(crate) enum JsonError {
    /// The text ended inside a value.
    Ended,
    /// Something else was found where a value or a punctuation mark is expected.
    Syntax(String),
    /// The value is longer than the limit; it was skipped.
    TooLong(u64),
}

/// How a value begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonStart {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// A number, `true`, `false` or `null`.
    Word,
    /// A closing bracket, comma or colon.
    Mark(u8),
    /// Nothing is left.
    End,
    /// No JSON.
    Other(u8),
}

/// Skips white space and says what comes next.
pub(crate) fn next_kind(source: &mut ByteStream<'_>) -> JsonStart {
    loop {
        let chunk = source.chunk();
        let Some(at) = chunk.iter().position(|b| !b.is_ascii_whitespace()) else {
            let length = chunk.len();
            if length == 0 {
                return JsonStart::End;
            }
            source.consume(length);
            continue;
        };
        let byte = chunk[at];
        source.consume(at);
        return match byte {
            b'{' => JsonStart::Object,
            b'[' => JsonStart::Array,
            b'"' => JsonStart::String,
            b'0'..=b'9' | b'-' | b't' | b'f' | b'n' | b'N' | b'I' => JsonStart::Word,
            b'}' | b']' | b',' | b':' => JsonStart::Mark(byte),
            other => JsonStart::Other(other),
        };
    }
}

/// Skips one mark of punctuation.
pub(crate) fn expect_mark(source: &mut ByteStream<'_>, mark: u8) -> Result<(), JsonError> {
    match next_kind(source) {
        JsonStart::Mark(found) if found == mark => {
            source.consume(1);
            Ok(())
        }
        JsonStart::Object if mark == b'{' => {
            source.consume(1);
            Ok(())
        }
        JsonStart::Array if mark == b'[' => {
            source.consume(1);
            Ok(())
        }
        JsonStart::End => Err(JsonError::Ended),
        other => Err(JsonError::Syntax(format!("found {} where '{}' must stand", shown(other), char::from(mark)))),
    }
}

fn shown(kind: JsonStart) -> String {
    match kind {
        JsonStart::Object => "'{'".into(),
        JsonStart::Array => "'['".into(),
        JsonStart::String => "a string".into(),
        JsonStart::Word => "a number or word".into(),
        JsonStart::Mark(byte) => format!("'{}'", char::from(byte)),
        JsonStart::End => "the end".into(),
        JsonStart::Other(byte) => format!("the byte 0x{byte:02x}"),
    }
}

/// Moves to the next element of the array or object whose opening bracket was passed: true when there is one.
/// `first` says that no element was read yet.
pub(crate) fn next_element(source: &mut ByteStream<'_>, close: u8, first: bool) -> Result<bool, JsonError> {
    match next_kind(source) {
        JsonStart::Mark(found) if found == close => {
            source.consume(1);
            Ok(false)
        }
        JsonStart::Mark(b',') => loop {
            source.consume(1);
            // A comma before the closing bracket or another comma is no JSON, but it is harmless.
            match next_kind(source) {
                JsonStart::Mark(b',') => {}
                JsonStart::Mark(found) if found == close => {
                    source.consume(1);
                    return Ok(false);
                }
                JsonStart::End => return Err(JsonError::Ended),
                _ => return Ok(true),
            }
        },
        JsonStart::End => Err(JsonError::Ended),
        _ if first => Ok(true),
        other => Err(JsonError::Syntax(format!("found {} where ',' or '{}' must stand", shown(other), char::from(close)))),
    }
}

/// Reads a member's name and the colon behind it.
pub(crate) fn key(source: &mut ByteStream<'_>, scratch: &mut Vec<u8>) -> Result<String, JsonError> {
    match next_kind(source) {
        JsonStart::String => {}
        JsonStart::End => return Err(JsonError::Ended),
        other => return Err(JsonError::Syntax(format!("found {} where a member name must stand", shown(other)))),
    }
    scratch.clear();
    value(source, scratch, 64 * 1024)?;
    expect_mark(source, b':')?;
    let text = String::from_utf8_lossy(scratch);
    Ok(crate::json_text::unescape(&text).into_owned())
}

/// Appends the text of the next value to `out`.
///
/// A value longer than `limit` is skipped to its end; its first `limit` bytes are in `out`.
pub(crate) fn value(source: &mut ByteStream<'_>, out: &mut Vec<u8>, limit: usize) -> Result<(), JsonError> {
    match next_kind(source) {
        JsonStart::Object | JsonStart::Array | JsonStart::String => delimited(source, out, limit),
        JsonStart::Word => word(source, out, limit),
        JsonStart::End => Err(JsonError::Ended),
        other => Err(JsonError::Syntax(format!("found {} where a value must stand", shown(other)))),
    }
}

struct Scan<'a> {
    out: &'a mut Vec<u8>,
    room: usize,
    length: u64,
    limit: usize,
}

impl<'a> Scan<'a> {
    fn new(out: &'a mut Vec<u8>, limit: usize) -> Self {
        Self { out, room: limit, length: 0, limit }
    }

    fn push(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(self.room);
        self.out.extend_from_slice(&bytes[..kept]);
        self.room -= kept;
        self.length += bytes.len() as u64;
    }

    fn finish(&self) -> Result<(), JsonError> {
        if self.length > self.limit as u64 { Err(JsonError::TooLong(self.length)) } else { Ok(()) }
    }
}

/// A value in quotes or brackets.
fn delimited(source: &mut ByteStream<'_>, out: &mut Vec<u8>, limit: usize) -> Result<(), JsonError> {
    let mut scan = Scan::new(out, limit);
    let mut extent = Extent::matched(MAX_OPEN);
    loop {
        let chunk = source.chunk();
        if chunk.is_empty() {
            return Err(JsonError::Ended);
        }
        let fed = extent.feed(chunk);
        let length = match fed {
            Ok(Some(end)) | Err((end, _)) => end,
            Ok(None) => chunk.len(),
        };
        scan.push(&chunk[..length]);
        source.consume(length);
        match fed {
            Ok(None) => {}
            Ok(Some(_)) => return scan.finish(),
            Err((_, BracketError::TooDeep)) => {
                return Err(JsonError::Syntax(format!("brackets are nested deeper than {MAX_OPEN} levels")));
            }
            Err((_, BracketError::Unmatched(close))) => {
                return Err(JsonError::Syntax(format!("'{}' closes nothing that is open", char::from(close))));
            }
        }
    }
}

fn word(source: &mut ByteStream<'_>, out: &mut Vec<u8>, limit: usize) -> Result<(), JsonError> {
    let mut scan = Scan::new(out, limit);
    loop {
        let chunk = source.chunk();
        let end = chunk.iter().position(|b| matches!(b, b',' | b'}' | b']' | b':') || b.is_ascii_whitespace());
        let length = end.unwrap_or(chunk.len());
        scan.push(&chunk[..length]);
        let over = end.is_some() || chunk.is_empty();
        source.consume(length);
        if over {
            return scan.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, limit: usize) -> Result<String, JsonError> {
        let mut out = Vec::new();
        value(&mut ByteStream::new(text.as_bytes()), &mut out, limit).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn values_are_cut_at_their_end() {
        assert_eq!(cut(r#" {"a":[1,"]}\""],"b":{}} , 5"#, 100).unwrap(), r#"{"a":[1,"]}\""],"b":{}}"#);
        assert_eq!(cut(r#""x\"y" z"#, 100).unwrap(), r#""x\"y""#);
        assert_eq!(cut("-1.5e3,", 100).unwrap(), "-1.5e3");
        assert!(matches!(cut(r#"{"a":"#, 100), Err(JsonError::Ended)));
        assert!(matches!(cut(r#"{"a":"\"#, 100), Err(JsonError::Ended)));
        assert!(matches!(cut("[1}", 100), Err(JsonError::Syntax(_))));
        assert!(matches!(cut("[1,2,3,4,5]", 4), Err(JsonError::TooLong(11))));
    }

    #[test]
    fn elements_one_by_one() {
        let mut source = ByteStream::new(&b"[ 1, {\"a\":2} ,,\n , 3,]"[..]);
        expect_mark(&mut source, b'[').unwrap();
        let (mut first, mut all) = (true, Vec::new());
        while next_element(&mut source, b']', first).unwrap() {
            first = false;
            let mut out = Vec::new();
            value(&mut source, &mut out, 100).unwrap();
            all.push(String::from_utf8(out).unwrap());
        }
        assert_eq!(all, ["1", "{\"a\":2}", "3"]);
    }

    #[test]
    fn what_was_opened_is_closed_by_its_own_bracket() {
        let next = |text: &str, first| next_element(&mut ByteStream::new(text.as_bytes()), b']', first);
        assert!(!next(" ]", false).unwrap() && !next(", ]", false).unwrap() && next(", }", false).unwrap());
        for text in [" }", ":", "1"] {
            assert!(matches!(next(text, false), Err(JsonError::Syntax(_))), "{text}");
        }
        for text in ["", ", "] {
            assert!(matches!(next(text, false), Err(JsonError::Ended)), "{text}");
        }
    }
}
