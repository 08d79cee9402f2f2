//! Reading CSV as portals, PowerShell and report services write it: RFC 4180, streamed, with bounds on a record's size.

use super::bytes::Bytes;

/// How often an opening quote without an end is taken for a plain character before the rest of the file is given up.
const MAX_RESCUES: u32 = 50;

/// One record, its fields as bytes.
#[derive(Debug, Default)]
pub struct CsvRecord {
    /// The record as it stands in the file, without its line end.
    pub raw: Vec<u8>,
    fields: Vec<u8>,
    ends: Vec<usize>,
    /// The line that the record begins on, from 1.
    pub line: u64,
}

impl CsvRecord {
    /// The number of fields.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True for a blank line.
    pub fn is_blank(&self) -> bool {
        self.ends.len() <= 1 && self.fields.iter().all(u8::is_ascii_whitespace)
    }

    /// The bytes of a field.
    pub fn field(&self, index: usize) -> Option<&[u8]> {
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
pub enum CsvRead {
    /// A record.
    Record,
    /// A record that cannot be used, and why; the record's raw text holds its beginning.
    Bad(String),
    /// The end of the file.
    End,
}

/// A reader of CSV records.
#[derive(Debug)]
pub struct CsvReader {
    delimiter: u8,
    limit: usize,
    line: u64,
    rescues: u32,
}

impl CsvReader {
    /// A reader for one file; a record longer than `limit` bytes is refused.
    pub fn new(delimiter: u8, limit: usize) -> Self {
        Self { delimiter, limit, line: 1, rescues: 0 }
    }

    /// Reads the next record.
    pub fn read(&mut self, source: &mut Bytes<'_>, record: &mut CsvRecord) -> CsvRead {
        record.clear();
        record.line = self.line;
        let begin = source.offset();
        let (mut quoted, mut after_quote, mut field_start, mut kept_return) = (false, false, true, false);
        loop {
            let chunk = source.chunk();
            if chunk.is_empty() {
                if quoted {
                    return self.rescue(source, record, "the file ends inside a quoted field");
                }
                if record.raw.is_empty() && source.offset() == begin {
                    return CsvRead::End;
                }
                record.ends.push(record.fields.len());
                return CsvRead::Record;
            }
            let byte = chunk[0];
            if quoted {
                // The long way: up to the next quote in one step.
                let run = memchr::memchr(b'"', chunk).unwrap_or(chunk.len());
                if run > 0 {
                    self.line += memchr::memchr_iter(b'\n', &chunk[..run]).count() as u64;
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
                field_start = true;
                after_quote = false;
                kept_return = false;
            } else if byte == b'\n' {
                source.consume(1);
                self.line += 1;
                if record.raw.last() == Some(&b'\r') {
                    record.raw.pop();
                    if kept_return {
                        record.fields.pop();
                    }
                }
                record.ends.push(record.fields.len());
                return CsvRead::Record;
            } else if byte == b'"' && field_start {
                record.raw.push(byte);
                source.consume(1);
                quoted = true;
                field_start = false;
            } else {
                let delimiter = self.delimiter;
                let run = chunk.iter().skip(1).position(|b| *b == delimiter || *b == b'\n').map_or(chunk.len(), |n| n + 1);
                let piece = &chunk[..run];
                record.raw.extend_from_slice(piece);
                // Blanks between a closing quote and the delimiter are no part of the value.
                let kept = !(after_quote && piece.iter().all(u8::is_ascii_whitespace));
                if kept {
                    record.fields.extend_from_slice(piece);
                }
                kept_return = kept && piece.ends_with(b"\r");
                source.consume(run);
                field_start = false;
            }
            if record.raw.len() > self.limit {
                return if quoted {
                    self.rescue(source, record, "a quoted field does not end within the size limit")
                } else {
                    self.skip_line(source, record)
                };
            }
        }
    }

    /// Gives the first line of the record up, and goes on behind it.
    fn rescue(&mut self, source: &mut Bytes<'_>, record: &mut CsvRecord, reason: &str) -> CsvRead {
        if !self.split_off_first_line(source, record, b"") {
            // Nothing is left to rescue, or trying again and again would take forever.
            while !source.chunk().is_empty() {
                let length = source.chunk().len();
                source.consume(length);
            }
        }
        CsvRead::Bad(reason.to_owned())
    }

    /// Takes a record of several lines apart that turned out to be none, because a quote stood open: its first line stays
    /// in the record, the others are read again. False when it has one line only, or this was done too often.
    pub fn read_again_behind_first_line(&mut self, source: &mut Bytes<'_>, record: &mut CsvRecord) -> bool {
        self.split_off_first_line(source, record, b"\n")
    }

    fn split_off_first_line(&mut self, source: &mut Bytes<'_>, record: &mut CsvRecord, end: &[u8]) -> bool {
        let Some(at) = memchr::memchr(b'\n', &record.raw).filter(|_| self.rescues < MAX_RESCUES) else { return false };
        self.rescues += 1;
        let mut rest = record.raw.split_off(at + 1);
        rest.extend_from_slice(end);
        source.put_back(&rest);
        self.line = record.line + 1;
        true
    }

    fn skip_line(&mut self, source: &mut Bytes<'_>, record: &mut CsvRecord) -> CsvRead {
        let length = source.line(&mut record.raw, 0).unwrap_or(0) + record.raw.len() as u64;
        self.line += 1;
        CsvRead::Bad(format!("the record has {length} bytes or more, over the limit of {}", self.limit))
    }
}

/// The delimiter of a heading: the one that stands most often outside quotes among comma, semicolon and tab.
pub fn delimiter_of(heading: &[u8]) -> u8 {
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
    use super::*;

    fn all(text: &str, limit: usize) -> Vec<Result<Vec<String>, String>> {
        let mut source = Bytes::new(text.as_bytes());
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
    fn an_open_quote_costs_one_line() {
        let found = all("a,b\n1,\"open\n2,x\n3,y\n", 1000);
        assert!(found[1].is_err());
        assert_eq!(found[2..], [row(&["2", "x"]), row(&["3", "y"])]);
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
