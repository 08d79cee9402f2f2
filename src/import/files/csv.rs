//! Reading CSV as portals, PowerShell and report services write it: RFC 4180, streamed, with bounds on a record's size.
//!
//! A line ends with LF, or with CR LF. A CR alone ends a line only where the file's first line ends with one; elsewhere it is
//! part of the value ([`super::sniff::line_end`] decides, and the source carries what it found). Inside quotes a line end is
//! part of the value.
//!
//! Quoting is never guessed. Behind a closing quote only blanks may appear before the delimiter or the line end; anything else,
//! or a quote that is open at the end, makes the record malformed. It is unknown then how many lines belong to it, so it is
//! refused up to the end of the line that the malformed field begins on, and the lines behind it are read again as records of
//! their own. Lines inside of the fields before it, whose quotes are sound, are never read as records.
//!
//! A record over the size limit is skipped to its end, however many lines its fields have. Only a single field in quotes
//! that is longer than the limit counts as malformed: whether its quote is closed at all would take reading all that follows.
//!
//! `csv-core` cannot do this, since it always finds a parse: `"in"ner"` is the value `inner"`, a quote that is open makes one
//! record of the rest of the file, and neither is said. It ends records at every CR or keeps the CR of CR LF in the last value, and
//! blanks behind a closing quote become part of the value.

use super::bytes::ByteStream;
use kqlake_value::parse::BYTE_ORDER_MARK;

/// How often, on average, a byte may be read again because a quote before it was none. A file that is made to be read again
/// and again loses more than a line to each of its faults, and is still read in linear time.
const READINGS: u64 = 4;
/// Bytes of the longest line end, CR CR LF.
const LONGEST_LINE_END: usize = 3;
/// A byte order mark before a field in quotes.
const QUOTED_MARK: &[u8] = "\u{feff}\"".as_bytes();

/// One record, its fields as bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct CsvRecord {
    /// The record as it is in the file, without its line end.
    pub raw: Vec<u8>,
    fields: Vec<u8>,
    ends: Vec<usize>,
    /// The line that the record begins on, from 1.
    pub line: u64,
}

impl CsvRecord {
    /// The number of fields.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// True for a blank line.
    pub(crate) fn is_blank(&self) -> bool {
        self.ends.len() <= 1 && self.fields.iter().all(u8::is_ascii_whitespace)
    }

    /// The bytes of a field.
    pub(crate) fn field(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        self.fields.get(start..end)
    }

    fn clear(&mut self) {
        self.raw.clear();
        self.fields.clear();
        self.ends.clear();
    }
}

/// What reading a record came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CsvRead {
    /// A record.
    Record,
    /// A record that cannot be used, and why; the record's raw text holds its beginning.
    Bad(String),
    /// The end of the file.
    End,
}

/// A reader of CSV records.
#[derive(Debug)]
pub(crate) struct CsvReader {
    delimiter: u8,
    limit: usize,
    line: u64,
    /// Bytes that were put back to be read again.
    put_back: u64,
}

impl CsvReader {
    /// A reader for one file; a record longer than `limit` bytes is refused.
    pub(crate) fn new(delimiter: u8, limit: usize) -> Self {
        Self { delimiter, limit, line: 1, put_back: 0 }
    }

    /// The line that the next record begins on, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Reads the next record.
    pub(crate) fn read(&mut self, source: &mut ByteStream<'_>, record: &mut CsvRecord) -> CsvRead {
        record.clear();
        record.line = self.line;
        // The next one of files that were put one behind the other. In a field that has a quote it would be behind that.
        if source.chunk().first() == BYTE_ORDER_MARK.first() && source.peek(BYTE_ORDER_MARK.len() + 1).starts_with(QUOTED_MARK) {
            source.consume(BYTE_ORDER_MARK.len());
        }
        let begin = source.offset();
        let (mut quoted, mut after_quote, mut field_start) = (false, false, true);
        let mut passed = Passed::default();
        // Where the field begins in `record.raw`: all before it is sound.
        let mut field = 0;
        loop {
            let chunk = source.chunk();
            if chunk.is_empty() {
                if quoted {
                    let reason = "a quoted field is not closed before the end of the file";
                    return self.refuse(source, record, field, passed, reason);
                }
                if record.raw.is_empty() && source.offset() == begin {
                    return CsvRead::End;
                }
                return self.end(source, record, passed);
            }
            let byte = chunk[0];
            if quoted {
                // The long way: up to the next quote in one step.
                let run = memchr::memchr(b'"', chunk).unwrap_or(chunk.len());
                if run > 0 {
                    record.fields.extend_from_slice(&chunk[..run]);
                    record.raw.extend_from_slice(&chunk[..run]);
                    source.consume(run);
                } else {
                    record.raw.push(b'"');
                    source.consume(1);
                    if source.chunk().first() == Some(&b'"') {
                        record.fields.push(b'"');
                        record.raw.push(b'"');
                        source.consume(1);
                    } else {
                        quoted = false;
                        after_quote = true;
                    }
                }
            } else if byte == self.delimiter {
                record.ends.push(record.fields.len());
                record.raw.push(byte);
                source.consume(1);
                field = record.raw.len();
                field_start = true;
                after_quote = false;
            } else if pass_line_end(source) {
                return self.end(source, record, passed);
            } else if byte == b'"' && field_start {
                record.raw.push(byte);
                source.consume(1);
                quoted = true;
                field_start = false;
            } else {
                let (delimiter, chunk) = (self.delimiter, source.chunk());
                let run = memchr::memchr3(delimiter, b'\n', b'\r', &chunk[1..]).map_or(chunk.len(), |n| n + 1);
                let piece = &chunk[..run];
                record.raw.extend_from_slice(piece);
                // Blanks between a closing quote and the delimiter are no part of the value.
                let malformed = after_quote && !piece.iter().all(u8::is_ascii_whitespace);
                if !after_quote {
                    record.fields.extend_from_slice(piece);
                }
                source.consume(run);
                field_start = false;
                if malformed {
                    let reason = "a closing quote is followed by something other than a delimiter or the end of the line";
                    return self.refuse(source, record, field, passed, reason);
                }
            }
            if record.raw.len() > self.limit {
                // No record any more, but its end must be found. A field in quotes is kept for as long as it may be malformed.
                let in_quotes = quoted || after_quote;
                let sound = if in_quotes { field } else { record.raw.len() };
                passed.take(record, sound, self.limit, source.line_end());
                field = 0;
                if record.raw.len() > self.limit {
                    return self.refuse(source, record, field, passed, "a quoted field does not end within the size limit");
                }
            }
        }
    }

    /// Ends a record whose line end was passed.
    fn end(&mut self, source: &ByteStream<'_>, record: &mut CsvRecord, passed: Passed) -> CsvRead {
        self.line = record.line + 1 + passed.lines + lines_within(&record.raw, source.line_end());
        if passed.bytes == 0 {
            record.ends.push(record.fields.len());
            return CsvRead::Record;
        }
        let length = passed.bytes + record.raw.len() as u64;
        passed.give_back(record, self.limit);
        CsvRead::Bad(format!("the record has {length} bytes or more, over the limit of {}", self.limit))
    }

    /// Refuses a record whose field at a place has malformed quotes, up to the end of the line that the field begins on, and
    /// continues behind it. The fields before it are sound: their lines are no records.
    fn refuse(
        &mut self,
        source: &mut ByteStream<'_>,
        record: &mut CsvRecord,
        field: usize,
        passed: Passed,
        reason: &str,
    ) -> CsvRead {
        if !self.split_off_line(source, record, field, b"") {
            // One line only, or the others were read often enough: what was read is refused up to the end of its last line.
            self.pass_line(source, record);
        }
        self.line += passed.lines;
        passed.give_back(record, self.limit);
        CsvRead::Bad(reason.to_owned())
    }

    /// Takes a record of several lines apart that turned out to be none, because a quote was open: its first line stays
    /// in the record, the others are read again. False when it has one line only, or the others were read often enough.
    pub(crate) fn read_again_behind_first_line(&mut self, source: &mut ByteStream<'_>, record: &mut CsvRecord) -> bool {
        self.split_off_line(source, record, 0, b"\n")
    }

    /// Puts back what is behind the line that the byte at a place of the record is on, and `end` behind that.
    fn split_off_line(&mut self, source: &mut ByteStream<'_>, record: &mut CsvRecord, place: usize, end: &[u8]) -> bool {
        let line_end = source.line_end();
        let Some((at, length)) = first_line_end(&record.raw[place..], line_end) else { return false };
        let at = place + at;
        let bytes = (record.raw.len() - at - length) as u64;
        if self.put_back + bytes > (READINGS - 1) * (source.offset() + self.limit as u64) {
            return false;
        }
        self.put_back += bytes;
        let mut rest = record.raw.split_off(at + length);
        record.raw.truncate(at);
        rest.extend_from_slice(end);
        source.put_back(&rest);
        self.line = record.line + 1 + lines_within(&record.raw, line_end);
        true
    }

    /// Skips the rest of the line, of which the record keeps what its size allows.
    fn pass_line(&mut self, source: &mut ByteStream<'_>, record: &mut CsvRecord) {
        self.line = record.line + 1 + lines_within(&record.raw, source.line_end());
        let (line_end, room) = (source.line_end(), self.limit.saturating_sub(record.raw.len()));
        let next = source.chunk();
        let line = first_line_end(next, line_end).map_or(next.len(), |(at, _)| at);
        record.raw.extend_from_slice(&next[..line.min(room)]);
        pass_line(source);
    }
}

/// The sound beginning of a record that is longer than the limit.
#[derive(Debug, Default)]
struct Passed {
    bytes: u64,
    /// Line ends in it.
    lines: u64,
    /// As much of it as the limit allows.
    text: Vec<u8>,
}

impl Passed {
    /// Takes so many bytes off the record's beginning, and the fields, which will not be used.
    fn take(&mut self, record: &mut CsvRecord, bytes: usize, limit: usize, line_end: u8) {
        let mut sound = &record.raw[..bytes];
        self.bytes += bytes as u64;
        self.text.extend_from_slice(&sound[..bytes.min(limit.saturating_sub(self.text.len()))]);
        // The next byte is known to be no line feed, so a return at the cut is none of a line end.
        while let [before @ .., b'\r'] = sound {
            sound = before;
        }
        self.lines += lines_within(sound, line_end);
        record.raw.drain(..bytes);
        record.fields.clear();
        record.ends.clear();
    }

    /// Puts the text back at the record's beginning, to report it.
    fn give_back(mut self, record: &mut CsvRecord, limit: usize) {
        if self.bytes > 0 {
            let room = limit.saturating_sub(self.text.len()).min(record.raw.len());
            self.text.extend_from_slice(&record.raw[..room]);
            record.raw = self.text;
        }
    }
}

/// Skips one line end; false when what comes next is none.
fn pass_line_end(source: &mut ByteStream<'_>) -> bool {
    let length = match source.chunk().first() {
        Some(b'\n') => 1,
        Some(b'\r') => {
            let line_end = source.line_end();
            line_end_length(source.peek(LONGEST_LINE_END), line_end)
        }
        _ => 0,
    };
    source.consume(length);
    length > 0
}

/// The length of the line end that a text begins with, 0 when it begins with none. `line_end` is the byte that ends lines: a
/// CR alone does where it is `\r`, and as the last byte, where a file of CR LF was cut.
pub(crate) fn line_end_length(text: &[u8], line_end: u8) -> usize {
    match text {
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        // What a writer of CR LF makes whose system puts a CR before each LF once more.
        [b'\r', b'\r', b'\n', ..] => LONGEST_LINE_END,
        [b'\r'] => 1,
        [b'\r', ..] if line_end == b'\r' => 1,
        _ => 0,
    }
}

/// Skips the rest of a line and its end; gives the number of bytes without the end.
pub(crate) fn pass_line(source: &mut ByteStream<'_>) -> u64 {
    let mut length = 0;
    loop {
        let chunk = source.chunk();
        if chunk.is_empty() {
            return length;
        }
        let passed = memchr::memchr2(b'\n', b'\r', chunk).unwrap_or(chunk.len());
        length += passed as u64;
        source.consume(passed);
        if pass_line_end(source) {
            return length;
        }
        if source.chunk().first() == Some(&b'\r') {
            length += 1;
            source.consume(1);
        }
    }
}

/// Where a text's first line ends, and how many bytes its end has. `line_end` is the byte that ends lines.
pub(crate) fn first_line_end(text: &[u8], line_end: u8) -> Option<(usize, usize)> {
    memchr::memchr2_iter(b'\n', b'\r', text)
        .map(|at| (at, line_end_length(&text[at..], line_end)))
        .find(|(_, length)| *length > 0)
}

/// Line ends inside a record.
fn lines_within(mut raw: &[u8], line_end: u8) -> u64 {
    let mut lines = 0;
    while let Some((at, length)) = first_line_end(raw, line_end) {
        raw = &raw[at + length..];
        lines += 1;
    }
    lines
}

/// The delimiter of a heading: the one that is most often outside quotes among comma, semicolon and tab.
pub(crate) fn delimiter_of(heading: &[u8]) -> u8 {
    let mut counts = [0_u32; 3];
    let mut quoted = false;
    for byte in heading {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => counts[0] += 1,
            b';' if !quoted => counts[1] += 1,
            b'\t' if !quoted => counts[2] += 1,
            _ => {}
        }
    }
    if counts[1] > counts[0] && counts[1] >= counts[2] {
        b';'
    } else if counts[2] > counts[0] {
        b'\t'
    } else {
        b','
    }
}

#[cfg(test)]
mod tests {
    use super::super::sniff::line_end;
    use super::*;

    fn all(text: &str, limit: usize) -> Vec<Result<Vec<String>, String>> {
        let mut source = ByteStream::new(text.as_bytes());
        source.set_line_end(line_end(text.as_bytes()));
        let mut reader = CsvReader::new(b',', limit);
        let mut record = CsvRecord::default();
        let mut out = Vec::new();
        loop {
            match reader.read(&mut source, &mut record) {
                CsvRead::End => return out,
                CsvRead::Record => out
                    .push(Ok((0..record.len()).map(|i| String::from_utf8(record.field(i).unwrap().to_vec()).unwrap()).collect())),
                CsvRead::Bad(reason) => out.push(Err(reason)),
            }
        }
    }

    fn row(fields: &[&str]) -> Result<Vec<String>, String> {
        Ok(fields.iter().map(|f| (*f).to_owned()).collect())
    }

    #[test]
    fn quotes_lines_and_ends() {
        let text = "a,b,c\r\n\"x,1\",\"two\r\nlines\",\"say \"\"hi\"\"\"\r\n,,\nlast,\"q\" ,un\"quoted";
        assert_eq!(
            all(text, 1000),
            [
                row(&["a", "b", "c"]),
                row(&["x,1", "two\r\nlines", "say \"hi\""]),
                row(&["", "", ""]),
                row(&["last", "q", "un\"quoted"])
            ]
        );
        assert_eq!(all("a\n\nb\n", 10), [row(&["a"]), row(&[""]), row(&["b"])]);
        assert_eq!(all("", 10), []);
    }

    #[test]
    fn every_kind_of_line_end_ends_a_record() {
        let expected = [row(&["a", "b"]), row(&["1", "x\ry"]), row(&["2", "z"])];
        for end in ["\r", "\n", "\r\n"] {
            assert_eq!(all(&["a,b", "1,\"x\ry\"", "2,z", ""].join(end), 100), expected, "{end:?}");
        }
        assert_eq!(all("a,b\r1,\"x\ry\"\r\n2,z\n", 100), expected);
        let mut source = ByteStream::new(&b"a,b\r1,\"x\r\ny\rz\"\r\n2,z"[..]);
        source.set_line_end(b'\r');
        let (mut reader, mut record) = (CsvReader::new(b',', 100), CsvRecord::default());
        let mut lines = Vec::new();
        while reader.read(&mut source, &mut record) == CsvRead::Record {
            lines.push(record.line);
        }
        assert_eq!(lines, [1, 2, 5]);
        let found = all("a,b\r1,\"open\r2,x\r", 100);
        assert!(found[1].is_err());
        assert_eq!(found[2], row(&["2", "x"]));
        let found = all(&format!("a,b\r{},1\r2,x\r", "z".repeat(100)), 50);
        assert!(found[1].is_err());
        assert_eq!(found[2], row(&["2", "x"]));
    }

    #[test]
    fn a_return_alone_is_part_of_a_value_where_lines_end_with_line_feeds() {
        let expected = [row(&["a", "b"]), row(&["Nor\rmal", "x\ry"]), row(&["\r2", "\rz"]), row(&["3", "w"])];
        for end in ["\n", "\r\n", "\r\r\n"] {
            assert_eq!(all(&["a,b", "Nor\rmal,\"x\ry\"", "\r2,\rz", "3,w", ""].join(end), 100), expected, "{end:?}");
        }
        // A return in quotes does not decide; the first line end outside of them does, also in a mixed file.
        assert_eq!(all("\"a\rb\",c\n1\r2,3\n", 100), [row(&["a\rb", "c"]), row(&["1\r2", "3"])]);
        assert_eq!(all("\"a\nb\",c\r1,2\r", 100), [row(&["a\nb", "c"]), row(&["1", "2"])]);
        assert_eq!(all("a,b\r\n1\r2,3\n4,5\r\n", 100), [row(&["a", "b"]), row(&["1\r2", "3"]), row(&["4", "5"])]);
        // Cut behind the return of its last line end.
        assert_eq!(all("a,b\r\n1,2\r", 100), [row(&["a", "b"]), row(&["1", "2"])]);
        // Lines are counted by the same rule, and a record that is skipped ends by it.
        let found = all(&format!("a,b\n{}\r{},1\n2,x\n", "z".repeat(60), "z".repeat(60)), 50);
        assert!(found[1].is_err());
        assert_eq!(found[2..], [row(&["2", "x"])]);
        let found = all("a,b\n1\r,\"open\r2,x\n3,y\n", 100);
        assert!(found[1].is_err());
        assert_eq!(found[2..], [row(&["3", "y"])]);
    }

    #[test]
    fn an_open_quote_costs_one_line() {
        let found = all("a,b\n1,\"open\n2,x\n3,y\n", 1000);
        assert!(found[1].is_err());
        assert_eq!(found[2..], [row(&["2", "x"]), row(&["3", "y"])]);
    }

    #[test]
    fn what_follows_a_closing_quote_is_never_guessed() {
        for (bad, end) in [
            (r#"1,"in"ner""#, "\n"),
            (r#"1,"x"y"#, "\n"),
            (r#"1,"x" "y""#, "\r\n"),
            ("1,\"\"\"", "\n"),
            (r#""1"1,x"#, "\r"),
            (r#"1,"open"#, "\r\n"),
        ] {
            // Whatever follows the row, quoted or not, and also as the last row.
            let text = ["a,b", "0,x", bad, "2,\"z\"", "3,\"two", "lines\"", bad].join(end);
            let found = all(&text, 1000);
            let lines = format!("two{end}lines");
            let rows: Vec<_> = found.iter().filter(|r| r.is_ok()).cloned().collect();
            assert_eq!(rows, [row(&["a", "b"]), row(&["0", "x"]), row(&["2", "z"]), row(&["3", &lines])], "{bad:?} {end:?}");
            assert_eq!(found.len(), rows.len() + 2, "{bad:?} {end:?}: {found:?}");
        }
    }

    #[test]
    fn every_malformed_row_is_told_with_its_line_and_text() {
        let bad = (0..500).map(|n| format!("{n},\"open\n{n},\"in\"ner\"\n{n},ok\n")).collect::<String>();
        let mut source = ByteStream::new(bad.as_bytes());
        let (mut reader, mut record) = (CsvReader::new(b',', 1000), CsvRecord::default());
        for n in 0..500 {
            for (at, text) in ["\"open", "\"in\"ner\""].into_iter().enumerate() {
                assert!(matches!(reader.read(&mut source, &mut record), CsvRead::Bad(_)), "{n}");
                let found = (record.line, String::from_utf8(record.raw.clone()).unwrap());
                assert_eq!(found, (3 * n + at as u64 + 1, format!("{n},{text}")));
            }
            assert_eq!((reader.read(&mut source, &mut record), record.line), (CsvRead::Record, 3 * n + 3));
        }
        assert_eq!(reader.read(&mut source, &mut record), CsvRead::End);
    }

    #[test]
    fn a_file_made_to_be_read_again_is_read_in_linear_time() {
        // Each line closes the quote of the one before and opens one itself, read from whichever line; never is it a row.
        let text = ("a\",\"x\n".repeat(1000) + "a\"\n").repeat(100);
        let mut source = ByteStream::new(text.as_bytes());
        let (mut reader, mut record) = (CsvReader::new(b',', 20_000), CsvRecord::default());
        let mut read = 0;
        while reader.read(&mut source, &mut record) != CsvRead::End {
            reader.read_again_behind_first_line(&mut source, &mut record);
            read += record.raw.len();
        }
        assert!(read <= text.len() && reader.put_back <= (READINGS - 1) * (text.len() as u64 + 20_000), "{read}");
    }

    #[test]
    fn lines_of_sound_fields_are_no_rows() {
        let (long, field) = ("z".repeat(100), "z".repeat(30));
        for (bad, lines, reason) in [
            // Over the limit outside of quotes, in a later field in quotes, at once behind a quote, and more than once.
            (format!("\"x\n1,inside\ny\",{long}"), 3, "over the limit of 50"),
            (format!("{long},\"x\n1,inside\ny\""), 3, "over the limit of 50"),
            (format!("\"x\n1,inside\n{field}\",\"{field}\n1,inside\ny\""), 5, "over the limit of 50"),
            (format!("\"x\n1,inside\n{field}\" ,\"\n1,inside\"  ,{long}\"\",\"\n1,inside\n\""), 6, "over the limit of 50"),
            // Malformed behind sound fields: before the limit and behind it.
            ("1,\"x\n1,inside\ny\",\"in\"ner".to_owned(), 3, "a closing quote is followed"),
            (format!("\"x\n1,inside\ny\",{long},\"in\"ner"), 3, "a closing quote is followed"),
            (format!("\"x\n1,inside\ny\",{long},\"open"), 3, "a closing quote is followed"),
            (format!("\"x\n1,inside\ny\",\"{long}"), 3, "a quoted field does not end within the size limit"),
        ] {
            let text = format!("a,b\n{bad}\n2,\"x\"\n3,y\n");
            let mut source = ByteStream::new(text.as_bytes());
            let (mut reader, mut record) = (CsvReader::new(b',', 50), CsvRecord::default());
            let mut told = Vec::new();
            loop {
                let read = reader.read(&mut source, &mut record);
                if read == CsvRead::End {
                    break;
                }
                assert!(bad.starts_with(str::from_utf8(&record.raw).unwrap()) || record.line != 2, "{bad}: {record:?}");
                told.push((record.line, read));
            }
            assert!(matches!(&told[1], (2, CsvRead::Bad(why)) if why.contains(reason)), "{bad}: {told:?}");
            let rows = [1, 2 + lines, 3 + lines].map(|line| (line, CsvRead::Record));
            assert_eq!((&told[0], &told[2..]), (&rows[0], &rows[1..]), "{bad}");
        }
    }

    #[test]
    fn long_records_are_refused_and_passed() {
        let text = format!("a,b\n{},1\n2,x\n", "z".repeat(100));
        let found = all(&text, 50);
        assert!(found[1].is_err());
        assert_eq!(found[2], row(&["2", "x"]));
    }

    #[test]
    fn delimiters() {
        assert_eq!(delimiter_of(b"a,b,\"c;d;e;f\""), b',');
        assert_eq!(delimiter_of(b"a;b;c,d"), b';');
        assert_eq!(delimiter_of(b"a\tb\tc"), b'\t');
    }
}
