//! What a text is, by its content.

use super::bytes::ByteStream;
use super::csv::{first_line_end, line_end_length};
use super::json::{self, JsonStart};
use kqlake_value::json::structure::StructureCheck;

/// Bytes of a text that are examined to recognise it.
pub(crate) const WINDOW: usize = 256 * 1024;

/// The form of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TextForm {
    /// Nothing, or only white space.
    Empty,
    /// JSON: one document, several, or one a line.
    Json,
    /// Perhaps CSV; its heading decides.
    Csv,
    /// None of these; the reasons name what was tried.
    Unknown(Vec<String>),
}

/// Recognises the form of a text from its beginning.
pub(crate) fn form(window: &[u8]) -> TextForm {
    let Some(at) = window.iter().position(|b| !b.is_ascii_whitespace()) else {
        return TextForm::Empty;
    };
    let first = window[at];
    if matches!(first, b'{' | b'[') {
        return TextForm::Json;
    }
    let mut tried =
        vec!["gzip and zip: no such signature".to_owned(), format!("JSON: begins with {} instead of '{{' or '['", shown(first))];
    let refuse = |mut tried: Vec<String>, why: &str| {
        tried.push(format!("CSV: {why}"));
        TextForm::Unknown(tried)
    };
    if window.starts_with(b"PAR1") {
        tried.push("a Parquet file is not imported; query it with another tool or export it as CSV".to_owned());
        return TextForm::Unknown(tried);
    }
    if window.get(257..262) == Some(b"ustar") {
        tried.push("a tar archive is not opened; unpack it first".to_owned());
        return TextForm::Unknown(tried);
    }
    if window.starts_with(b"PK\x03\x04") {
        tried.push("a zip archive inside another archive is not opened; unpack it first".to_owned());
        return TextForm::Unknown(tried);
    }
    if first == b'<' {
        tried.push("XML and HTML are not read; ask the service for JSON".to_owned());
        return TextForm::Unknown(tried);
    }
    let heading = &window[at..];
    let end = first_line_end(heading, line_end(window)).map_or(heading.len(), |(at, _)| at);
    let line = &heading[..end];
    if line.iter().any(|b| *b < b' ' && !matches!(b, b'\t' | b'\r')) {
        return refuse(tried, "the first line has control characters, this is no text");
    }
    if std::str::from_utf8(line).is_err() {
        return refuse(tried, "the first line is not valid UTF-8");
    }
    // The one column that is a whole record on its own.
    let is_records = [&b"AuditData"[..], b"\"AuditData\""].iter().any(|name| line.trim_ascii().eq_ignore_ascii_case(name));
    if !is_records && !line.iter().any(|b| matches!(b, b',' | b';' | b'\t')) && !line.starts_with(b"#TYPE") {
        return refuse(tried, "the first line has no comma, semicolon or tab");
    }
    TextForm::Csv
}

fn shown(byte: u8) -> String {
    if byte.is_ascii_graphic() { format!("'{}'", char::from(byte)) } else { format!("the byte 0x{byte:02x}") }
}

/// The byte that ends lines, by a text's beginning of [`WINDOW`] bytes or more, or the whole text: that of the first line end
/// outside of double quotes, where CR LF counts as a line feed. Where there is none outside of quotes, it is the carriage
/// return in a text that has no line feeds. A text whose first line is longer than its beginning has lines of line feeds.
pub(crate) fn line_end(window: &[u8]) -> u8 {
    let (mut quoted, mut before) = (false, b'\n');
    for (at, byte) in window.iter().copied().enumerate() {
        match byte {
            b'"' if quoted => quoted = false,
            // A quote opens at a field's beginning only, after a byte order mark, or as the second one of `""`.
            b'"' => quoted = matches!(before, b',' | b';' | b'\t' | b'\n' | b'\r' | b'"' | 0xbf),
            b'\n' if !quoted => return b'\n',
            // Whether a line feed follows the last byte is not known.
            b'\r' if !quoted && at + 1 < window.len() => {
                return if line_end_length(&window[at..], b'\r') == 1 { b'\r' } else { b'\n' };
            }
            _ => {}
        }
        before = byte;
    }
    let only_returns = memchr::memchr(b'\n', window).is_none() && memchr::memchr(b'\r', window).is_some();
    if only_returns && window.len() < WINDOW { b'\r' } else { b'\n' }
}

/// True when the text is one JSON value a line (NDJSON) rather than documents that span lines.
///
/// It is when any of its first lines is a whole object that begins in the first column, and there is more than one line,
/// none of which looks like the inside of a document. Broken lines among them do not matter.
pub(crate) fn is_lines(window: &[u8], whole: bool) -> bool {
    let end = line_end(window);
    let text = window.trim_ascii_start();
    let Some(first) = memchr::memchr(end, text) else { return false };
    if spans_lines(&text[..first], &text[first..], whole) {
        return false;
    }
    // The last one may be cut.
    let kept = if whole { Some(window.len()) } else { memchr::memrchr(end, window) };
    let lines = window[..kept.unwrap_or_default()].split(|b| *b == end);
    let mut filled = lines.map(|l| l.trim_ascii_end()).filter(|l| !l.is_empty()).take(16).peekable();
    let mut count = 0;
    let mut complete = 0;
    while let Some(line) = filled.next() {
        count += 1;
        if line[0] == b'{' {
            if is_whole_object(line) {
                complete += 1;
                // The first object ends on its own line and another one follows: no document does that.
                if count == 1 && filled.peek().is_some_and(|next| next[0] == b'{') {
                    return true;
                }
            }
        } else if count == 1 || line[0].is_ascii_whitespace() || matches!(line[0], b']' | b'}' | b'"') {
            // The inside or the end of a document that spans lines.
            return false;
        }
    }
    count > 1 && complete > 0
}

/// True when a line among lines of records is none of them but the beginning of a document that spans lines; `next` is what
/// follows it, all of it where it is `whole`.
pub(crate) fn begins_document(line: &[u8], next: &[u8], whole: bool) -> bool {
    if !matches!(line.first(), Some(b'{' | b'[')) {
        return false;
    }
    // Nearly all lines end with their bracket before another one that begins with its own: none of these is looked into.
    let behind = next.iter().find(|b| !matches!(b, b'\r' | b'\n'));
    let is_record = matches!(line.last(), Some(b'}' | b']')) && matches!(behind, None | Some(b'{' | b'['));
    !is_record && spans_lines(line, next, whole)
}

/// True when the value that a line begins goes on behind it, so that both are of one document.
///
/// A record that is broken off leaves brackets open, too. But then the next line is a record of its own, with another one behind
/// it: in what the line left open there is never a comma or a closing bracket where JSON has one. A document has one behind the
/// first of its elements or members, however many of them stand on a line.
fn spans_lines(line: &[u8], next: &[u8], whole: bool) -> bool {
    let mut check = StructureCheck::new();
    if check.feed(line).is_err() || check.is_whole() || check.is_in_text() {
        return false;
    }
    let depth = check.depth();
    let mut fed = 0;
    for at in memchr::memchr3_iter(b',', b']', b'}', next) {
        if check.feed(&next[fed..=at]).is_err() {
            // The first element of an array may be broken itself.
            return line.trim_ascii_end().ends_with(b"[") && is_element_by_comma(next);
        }
        fed = at + 1;
        if check.depth() < depth || (next[at] == b',' && check.depth() == depth && !check.is_in_text()) {
            return true;
        }
    }
    // What follows is longer than what is seen of it, or was cut off: then the name of what the line opened decides.
    !whole || ends_as_container(line)
}

/// True when the first of these lines is an element of an array by the comma or bracket behind it.
fn is_element_by_comma(lines: &[u8]) -> bool {
    let mut filled = lines.split(|b| matches!(b, b'\r' | b'\n')).map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let first = filled.next().unwrap_or_default();
    first.starts_with(b"{") && (first.ends_with(b"},") || filled.next().is_some_and(|l| matches!(l[0], b',' | b']')))
}

/// True when a line ends where the records of a page begin, such as `"value":[`.
fn ends_as_container(line: &[u8]) -> bool {
    let written: Vec<u8> = line.iter().filter(|b| !b.is_ascii_whitespace()).map(u8::to_ascii_lowercase).collect();
    ["value", "records", "results", "d", "tables", "rows"]
        .iter()
        .any(|name| written.ends_with(format!("\"{name}\":[").as_bytes()))
}

/// True when a text begins with a value that is an element of an array: a comma or the array's bracket follows it.
pub(crate) fn is_element(window: &[u8]) -> bool {
    let mut source = ByteStream::new(window);
    let cut = json::value(&mut source, &mut Vec::new(), 0);
    matches!(cut, Ok(()) | Err(json::JsonError::TooLong(_)))
        && matches!(json::next_kind(&mut source), JsonStart::Mark(b',' | b']'))
}

/// True when the second line of a text is a whole record, whatever the first one is.
pub(crate) fn is_record_behind_first_line(window: &[u8]) -> bool {
    let end = line_end(window);
    let mut filled = window.split(|b| *b == end).map(<[u8]>::trim_ascii_end).filter(|line| !line.is_empty());
    filled.next().is_some_and(|first| std::str::from_utf8(first).is_ok() && !first.contains(&0))
        && filled.next().is_some_and(is_whole_object)
}

fn is_whole_object(line: &[u8]) -> bool {
    if !line.ends_with(b"}") && !line.ends_with(b"},") {
        return false;
    }
    let mut source = ByteStream::new(line);
    let mut out = Vec::new();
    // Nothing is kept of it: only its end is searched for.
    let cut = json::value(&mut source, &mut out, 0);
    matches!(cut, Ok(()) | Err(json::JsonError::TooLong(_)))
        && matches!(json::next_kind(&mut source), JsonStart::End | JsonStart::Mark(b','))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        assert_eq!(form(b" \r\n"), TextForm::Empty);
        assert_eq!(form(b"\n {\"a\":1}"), TextForm::Json);
        assert_eq!(form(b"a,b\r\n1,2"), TextForm::Csv);
        assert_eq!(form(b"\"AuditData\"\r\n\"{}\""), TextForm::Csv);
        for bad in [&b"\x00\x01\x02"[..], b"<html>", b"PAR1....", b"one word", b"\xff\xfe,\x80"] {
            assert!(matches!(form(bad), TextForm::Unknown(tried) if !tried.is_empty()));
        }
    }

    #[test]
    fn the_first_line_end_outside_of_quotes_decides() {
        for returns in ["a,b\r1,2\r", "a,b\r1,2\n", "\"a\nb\"\"\n\",c\r1,2\r", "a\r", "{\"a\":1}\r{\"b\":2}\r", "\"open,b\r1,2\r"]
        {
            assert_eq!(line_end(returns.as_bytes()), b'\r', "{returns:?}");
        }
        for feeds in ["a,b\n1\r,2\r", "a,b\r\n1\r2\r", "a\r\r\n1", "\"a\r\",5\"\n1\r", "a,b", "", "\"open,b\n1\r,2\r"] {
            assert_eq!(line_end(feeds.as_bytes()), b'\n', "{feeds:?}");
        }
        // The line feed of the first line's end is behind the window.
        assert_eq!(line_end(format!("{}\r", "a".repeat(WINDOW - 1)).as_bytes()), b'\n');
    }

    #[test]
    fn lines_and_documents() {
        let lines = |text: &str| is_lines(text.as_bytes(), true);
        assert!(lines("{\"a\":1}\n{\"b\":2}\n"));
        assert!(lines("{\"a\":1}\r\n\r\n{\"b\":\"broken\r\n{\"c\":3}"));
        assert!(lines("{\"broken\":\n{\"b\":2}\n{\"c\":3}\n"));
        assert!(!lines("{\"a\":1}"));
        assert!(!lines("{\n  \"a\": [\n{\"b\":1}\n]}"));
        assert!(!lines("[\n{\"a\":1},\n{\"b\":2}\n]"));
        assert!(!lines("{\"value\":[{\"a\":1},\n{\"b\":2}]}"));
        assert!(!lines(""));
    }

    #[test]
    fn a_document_of_one_record_a_line_is_none_of_lines() {
        // The lines that follow, more than are looked at one by one.
        let lines = |count: usize, begin: &str, end: &str| -> String {
            (0..count).map(|n| format!("{begin}{{\"n\":{n},\"x\":[{{}},{{\"s\":\"],}}\"}}]}}{end}")).collect()
        };
        for count in [2, 40, 20_000] {
            let mut last = lines(count, "", ",\n");
            last.truncate(last.len() - 2);
            for head in [
                "{\"@odata.context\":\"c\",\"value\":[\n",
                "{\"d\":{\"results\":[\n",
                "{\"records\" : [\r\n\r\n",
                "[\n",
                "{\"a\":[{\"n\":0},\n",
                "{\n\"a\":[\n",
                "{\"o\":\n{\"p\":1},\"value\":[\n",
            ] {
                let window = &format!("{head}{last}\n]}}")[..];
                let window = &window.as_bytes()[..window.len().min(WINDOW)];
                assert!(!is_lines(window, window.len() < WINDOW), "{count} lines behind {head:?}");
            }
            // The comma before the record, and none between a page's end and the next one's beginning.
            let before = lines(count, ",", "\n");
            assert!(!is_lines(format!("{{\"value\":[{{\"n\":0}}\n{before}]}}").as_bytes(), true));
            assert!(!is_lines(format!("{{\"value\":[{{\"n\":0,\"o\":\n{{\"n\":1}},\"p\":2}},\n{last}]}}").as_bytes(), true));
            // A record that is broken off in the first line, wherever.
            let others = lines(count, "", "\n");
            for broken in [
                "{\"a\":[",
                "{\"a\":",
                "{\"a\":{",
                "{\"a\":[1,",
                "{\"a\":1,",
                "{\"a\":\"te",
                "{\"a\":tr",
                "{\"a\":1",
                "{\"value\":[{\"a\":1}",
            ] {
                assert!(is_lines(format!("{broken}\n{others}").as_bytes(), true), "{count} lines behind {broken}");
            }
        }
        // The only record behind the line.
        assert!(!is_lines(b"{\"value\":[\n{\"a\":1}", true));
        assert!(is_lines(b"{\"a\":[\n{\"a\":1}", true));
        // The first record is broken itself.
        assert!(!is_lines(b"{\"value\":[\n{\"a\":tru},\n{\"b\":1},\n{\"b\":2}]}", true));
    }

    #[test]
    fn documents_among_lines() {
        for (line, next) in
            [("{", "  \"a\":1}"), ("{\"a\":[", "{\"b\":1}\n]}"), ("[", "\r\n  {\"a\":1}]"), ("{\"a\":[{\"b\":1}", "\n,{\"b\":2}")]
        {
            assert!(begins_document(line.as_bytes(), next.as_bytes(), true), "{line}");
        }
        for (line, next) in
            [("{\"a\":1,", "{\"b\":2}\n"), ("{\"a\":1}", "  {"), ("{\"a\":1},", "{\"b\":2},"), ("{\"a\":[", "{\"b\":1}\n{")]
        {
            assert!(!begins_document(line.as_bytes(), next.as_bytes(), true), "{line}");
        }
        assert!(
            is_element(b"{\"a\":1} ,") && is_element(b"{\"a\":1}\n]") && !is_element(b"{\"a\":1}\n{") && !is_element(b"{\"a\":1")
        );
        assert!(is_record_behind_first_line(b"# exported\r\n{\"a\":1}\r\n"));
        assert!(is_record_behind_first_line(b"ssage\":\"x\",\"b\":1}\n{\"a\":1}\n"));
        assert!(!is_record_behind_first_line(b"a,b\n{\"a\":1,\n"));
        assert!(!is_record_behind_first_line(b"\x00a\n{\"a\":1}\n"));
    }
}
