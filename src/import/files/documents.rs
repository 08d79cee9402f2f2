//! From a text to its records: walks JSON documents element by element, JSON lines, and CSV, and hands each record to a
//! sink together with its place and its page's context.

use std::fmt;

use super::bytes::Bytes;
use super::csv::CsvRecord;
use super::csv_rows;
use super::input::Limits;
use super::json::{self, JsonError, Kind};
use super::sniff::{self, Form, WINDOW};
use crate::json_text::unescape;

/// Why a record is refused that the text ends in.
pub const ENDS_INSIDE: &str = "the file ends inside this record";
/// Why a document is refused that the text ends in, between two records.
pub const ENDS_OPEN: &str = "the document ends before its closing bracket";

/// Where a record stands in its file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Line of its first byte, from 1, in texts that have records on lines.
    pub line: Option<u64>,
    /// Its first byte, from 0, in the decompressed text.
    pub byte: u64,
    /// Its number among the file's records, from 1.
    pub record: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}, byte {}", self.byte),
            None => write!(f, "record {}, byte {}", self.record, self.byte),
        }
    }
}

/// What a page says beside its records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The text of `@odata.context` or `odata.metadata`.
    pub context: Option<String>,
}

/// The heading of one table of a query answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The table's name, such as `PrimaryResult`.
    pub name: String,
    /// Column names in order.
    pub columns: Vec<String>,
}

/// The heading of a CSV file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heading {
    /// Column names in order.
    pub columns: Vec<String>,
}

/// One thing found in a file.
#[derive(Debug)]
pub enum Item<'a> {
    /// A JSON object that should be a record.
    Object { text: &'a str, page: &'a Page },
    /// A row of a query answer: a JSON array of the columns' values.
    AnswerRow { answer: &'a Answer, text: &'a str },
    /// A row of a CSV file, with as many fields as its heading has.
    CsvRow { heading: &'a Heading, record: &'a CsvRecord },
    /// Something that cannot be read, and why.
    Bad { reason: String, text: &'a [u8] },
}

/// The sink asks to stop: nothing that follows would be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop;

/// Takes what a file holds.
pub trait Sink {
    /// Takes one thing.
    fn item(&mut self, item: Item<'_>, place: Place) -> Result<(), Stop>;

    /// Is told a CSV file's heading and sees some of what follows it, before the rows come; an error says why the heading
    /// is none of those known.
    fn heading(&mut self, heading: &Heading, sample: &[Vec<String>]) -> Result<(), String>;
}

/// What walking a text came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Walked {
    /// It was walked to its end (or to where it broke, which the sink was told).
    Done,
    /// There is nothing in it.
    Empty,
    /// It is of no known form; what was tried.
    Unknown(Vec<String>),
}

/// Walks a text of whatever form it has.
pub fn walk(source: &mut Bytes<'_>, sink: &mut dyn Sink, limits: Limits) -> Result<Walked, Stop> {
    let window = source.peek(WINDOW);
    let (form, line_end) = (sniff::form(window), sniff::line_end(window));
    source.set_line_end(line_end);
    match form {
        Form::Empty if drain_blank(source) => Ok(Walked::Empty),
        Form::Empty | Form::Json => {
            Walker { source, sink, limits, buffer: Vec::new(), records: 0, line: None }.json().map(|()| Walked::Done)
        }
        Form::Csv => csv_rows::walk(source, sink, limits),
        Form::Unknown(tried) => Ok(Walked::Unknown(tried)),
    }
}

/// Passes over white space; true when nothing else is left.
fn drain_blank(source: &mut Bytes<'_>) -> bool {
    json::next_kind(source) == Kind::End
}

struct Walker<'w, 'r> {
    source: &'w mut Bytes<'r>,
    sink: &'w mut dyn Sink,
    limits: Limits,
    buffer: Vec<u8>,
    records: u64,
    line: Option<u64>,
}

/// How a walk through a container ended.
enum Ended {
    /// At its closing bracket.
    Whole,
    /// Where it broke; the sink was told.
    Broken,
}

impl Walker<'_, '_> {
    fn place(&self, byte: u64) -> Place {
        Place { line: self.line, byte, record: self.records }
    }

    fn bad(&mut self, reason: impl Into<String>, byte: u64) -> Result<(), Stop> {
        let place = self.place(byte);
        let kept = self.buffer.len().min(self.limits.quarantine_text);
        self.sink.item(Item::Bad { reason: reason.into(), text: &self.buffer[..kept] }, place)
    }

    /// One document, several, or one value a line.
    fn json(&mut self) -> Result<(), Stop> {
        loop {
            let window = self.source.peek(WINDOW);
            let whole = window.len() < WINDOW;
            if sniff::is_lines(window, whole) {
                return self.lines();
            }
            let begin = self.source.offset();
            let ended = match json::next_kind(self.source) {
                Kind::End => return Ok(()),
                Kind::Object => self.object_document()?,
                Kind::Array => self.array_document(&Page::default())?,
                Kind::Mark(b',') => {
                    // Documents put one behind the other with commas between them.
                    self.source.consume(1);
                    Ended::Whole
                }
                _ => {
                    self.buffer.clear();
                    self.records += 1;
                    self.source.line(&mut self.buffer, self.limits.quarantine_text);
                    self.bad("no JSON value begins here", begin)?;
                    Ended::Broken
                }
            };
            if matches!(ended, Ended::Broken) && !self.resume() {
                return Ok(());
            }
        }
    }

    /// After a fault: passes to the next line that begins with a bracket in its first column. False at the end.
    fn resume(&mut self) -> bool {
        let mut line = Vec::new();
        loop {
            match self.source.chunk().first() {
                None => return false,
                Some(b'{' | b'[') => return true,
                Some(_) => {
                    line.clear();
                    self.source.line(&mut line, 0);
                }
            }
        }
    }

    /// One value a line, to the end.
    fn lines(&mut self) -> Result<(), Stop> {
        let page = Page::default();
        // Behind documents, lines are not counted: nobody knows how many the documents had.
        self.line = (self.source.offset() == 0).then_some(0);
        loop {
            self.buffer.clear();
            let begin = self.source.offset();
            self.line = self.line.map(|line| line + 1);
            let Some(length) = self.source.line(&mut self.buffer, self.limits.record) else {
                return Ok(());
            };
            if length > self.buffer.len() as u64 {
                self.records += 1;
                self.bad(format!("the record has {length} bytes, over the limit of {}", self.limits.record), begin)?;
                continue;
            }
            let trimmed = self.buffer.trim_ascii();
            // Arrays written one element a line leave their brackets and commas behind.
            let trimmed = trimmed.strip_suffix(b",").unwrap_or(trimmed);
            if trimmed.is_empty() || matches!(trimmed, b"[" | b"]") {
                continue;
            }
            self.records += 1;
            let place = self.place(begin);
            match std::str::from_utf8(trimmed) {
                Ok(text) if text.starts_with('{') => self.sink.item(Item::Object { text, page: &page }, place)?,
                Ok(text) if text.starts_with('[') => match crate::json_text::elements(text) {
                    Ok(items) => {
                        for item in items {
                            self.sink.item(Item::Object { text: item.get(), page: &page }, place)?;
                        }
                    }
                    Err(error) => self.bad(format!("no valid JSON: {error}"), begin)?,
                },
                Ok(_) => self.bad("the line is no JSON object", begin)?,
                Err(error) => {
                    let at = error.valid_up_to();
                    self.bad(format!("not valid UTF-8 at byte {} of the record", at), begin)?;
                }
            }
        }
    }

    /// The elements of an array, each a record.
    fn array_document(&mut self, page: &Page) -> Result<Ended, Stop> {
        self.source.consume(1);
        let mut first = true;
        loop {
            self.buffer.clear();
            let begin = self.source.offset();
            match json::next_element(self.source, b']', first) {
                Ok(true) => {}
                Ok(false) => return Ok(Ended::Whole),
                Err(error) => return self.broken(error, begin),
            }
            first = false;
            if let Some(ended) = self.element(page)? {
                return Ok(ended);
            }
        }
    }

    /// One element of an array of records; `Some` when the rest cannot be walked.
    fn element(&mut self, page: &Page) -> Result<Option<Ended>, Stop> {
        let kind = json::next_kind(self.source);
        let begin = self.source.offset();
        self.records += 1;
        self.buffer.clear();
        match json::value(self.source, &mut self.buffer, self.limits.record) {
            Ok(()) => {}
            Err(JsonError::TooLong(length)) => {
                self.bad(format!("the record has {length} bytes, over the limit of {}", self.limits.record), begin)?;
                return Ok(None);
            }
            Err(error) => return self.broken(error, begin).map(Some),
        }
        let place = self.place(begin);
        match std::str::from_utf8(&self.buffer) {
            Ok(text) if kind == Kind::Object => self.sink.item(Item::Object { text, page }, place)?,
            Ok(text) if kind == Kind::String => {
                // Some tools write an array of JSON texts.
                let inner = unescape(text).into_owned();
                if inner.trim_start().starts_with('{') {
                    self.sink.item(Item::Object { text: inner.trim(), page }, place)?;
                } else {
                    self.bad("the element is a text, no record", begin)?;
                }
            }
            Ok("null") => {}
            Ok(_) => self.bad("the element is no JSON object", begin)?,
            Err(error) => {
                let at = error.valid_up_to();
                self.bad(format!("not valid UTF-8 at byte {at} of the record"), begin)?;
            }
        }
        Ok(None)
    }

    fn broken(&mut self, error: JsonError, begin: u64) -> Result<Ended, Stop> {
        let reason = match error {
            JsonError::Ended if self.buffer.is_empty() => format!("{ENDS_OPEN}; what followed is missing"),
            JsonError::Ended => ENDS_INSIDE.to_owned(),
            JsonError::Syntax(what) => format!(
                "no valid JSON: {what}, at byte {}; reading goes on at the next line that begins with a bracket",
                self.source.offset()
            ),
            JsonError::TooLong(length) => format!("a value has {length} bytes, over the limit of {}", self.limits.record),
        };
        self.bad(reason, begin)?;
        Ok(Ended::Broken)
    }

    /// An object: a page of records, a query answer, or a record itself.
    fn object_document(&mut self) -> Result<Ended, Stop> {
        let begin = self.source.offset();
        self.source.consume(1);
        let mut page = Page::default();
        let mut streamed = false;
        let mut partial_error: Option<String> = None;
        // Members that are not containers: the record itself, if no container comes.
        let mut kept = vec![b'{'];
        let mut first = true;
        let mut scratch = Vec::new();
        loop {
            self.buffer.clear();
            let at = self.source.offset();
            match json::next_element(self.source, b'}', first) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return self.broken_object(error, kept, streamed, begin, at),
            }
            first = false;
            let key = match json::key(self.source, &mut scratch) {
                Ok(key) => key,
                Err(error) => return self.broken_object(error, kept, streamed, begin, at),
            };
            let kind = json::next_kind(self.source);
            let lower = key.to_ascii_lowercase();
            match (lower.as_str(), kind) {
                // An empty list may belong to a record; a page with one has no records either way.
                ("value" | "records" | "results", Kind::Array) if self.holds_objects() => {
                    streamed = true;
                    if let Ended::Broken = self.array_document(&page)? {
                        return Ok(Ended::Broken);
                    }
                }
                ("tables", Kind::Array) if self.holds_objects() => {
                    streamed = true;
                    if let Ended::Broken = self.tables()? {
                        return Ok(Ended::Broken);
                    }
                }
                ("d", Kind::Object) => {
                    streamed = true;
                    if let Ended::Broken = self.object_document()? {
                        return Ok(Ended::Broken);
                    }
                }
                ("d", Kind::Array) if self.holds_objects() => {
                    streamed = true;
                    if let Ended::Broken = self.array_document(&page)? {
                        return Ok(Ended::Broken);
                    }
                }
                _ => {
                    let name = serde_json::Value::String(key.clone()).to_string();
                    if kept.len() > 1 {
                        kept.push(b',');
                    }
                    kept.extend_from_slice(name.as_bytes());
                    kept.push(b':');
                    let start = kept.len();
                    let room = self.limits.record.saturating_sub(start);
                    match json::value(self.source, &mut kept, room) {
                        Ok(()) => {}
                        Err(JsonError::TooLong(length)) => {
                            // The text of the member is given up, and with it the record; the walk goes on behind it.
                            self.records += 1;
                            self.buffer.clear();
                            self.buffer.extend_from_slice(&kept[..kept.len().min(self.limits.quarantine_text)]);
                            kept.truncate(start);
                            kept.extend_from_slice(b"null");
                            if !streamed {
                                streamed = true;
                                self.bad(
                                    format!("the record has {length} bytes or more, over the limit of {}", self.limits.record),
                                    begin,
                                )?;
                            }
                        }
                        Err(error) => return self.broken_object(error, kept, streamed, begin, at),
                    }
                    let text = &kept[start..];
                    if matches!(lower.as_str(), "@odata.context" | "odata.metadata" | "odata.context") {
                        page.context = std::str::from_utf8(text).ok().map(|t| unescape(t).into_owned());
                    } else if lower == "error" && kind == Kind::Object {
                        partial_error = Some(String::from_utf8_lossy(text).into_owned());
                    }
                }
            }
        }
        if !streamed {
            kept.push(b'}');
            self.records += 1;
            let place = self.place(begin);
            match std::str::from_utf8(&kept) {
                Ok(text) => self.sink.item(Item::Object { text, page: &page }, place)?,
                Err(error) => {
                    let at = error.valid_up_to();
                    self.buffer = kept;
                    self.bad(format!("not valid UTF-8 at byte {at} of the record"), begin)?;
                }
            }
        } else if let Some(error) = partial_error {
            // The query services answer 200 with the rows so far and an error beside them.
            self.buffer.clear();
            self.buffer.extend_from_slice(error.as_bytes());
            self.bad("the answer carries an error: its rows were taken, but rows are missing from it", begin)?;
        }
        Ok(Ended::Whole)
    }

    fn broken_object(&mut self, error: JsonError, kept: Vec<u8>, streamed: bool, begin: u64, at: u64) -> Result<Ended, Stop> {
        if streamed {
            self.buffer.clear();
            return self.broken(error, at);
        }
        self.records += 1;
        self.buffer = kept;
        self.broken(error, begin)
    }

    /// True when the array that comes next holds objects.
    fn holds_objects(&mut self) -> bool {
        let window = self.source.peek(4096);
        let mut filled = window.iter().filter(|b| !b.is_ascii_whitespace());
        matches!((filled.next(), filled.next()), (Some(b'['), Some(b'{') | None))
    }

    /// The tables of a query answer; rows come one by one.
    fn tables(&mut self) -> Result<Ended, Stop> {
        self.source.consume(1);
        let mut first = true;
        loop {
            self.buffer.clear();
            let begin = self.source.offset();
            match json::next_element(self.source, b']', first) {
                Ok(true) => {}
                Ok(false) => return Ok(Ended::Whole),
                Err(error) => return self.broken(error, begin),
            }
            first = false;
            if let Ended::Broken = self.table()? {
                return Ok(Ended::Broken);
            }
        }
    }

    fn table(&mut self) -> Result<Ended, Stop> {
        let begin = self.source.offset();
        if let Err(error) = json::expect_mark(self.source, b'{') {
            return self.broken(error, begin);
        }
        let mut answer = Answer::default();
        let mut first = true;
        let mut scratch = Vec::new();
        loop {
            self.buffer.clear();
            let begin = self.source.offset();
            match json::next_element(self.source, b'}', first) {
                Ok(true) => {}
                Ok(false) => return Ok(Ended::Whole),
                Err(error) => return self.broken(error, begin),
            }
            first = false;
            let key = match json::key(self.source, &mut scratch) {
                Ok(key) => key.to_ascii_lowercase(),
                Err(error) => return self.broken(error, begin),
            };
            let kind = json::next_kind(self.source);
            if key == "rows" && kind == Kind::Array {
                if let Ended::Broken = self.rows(&answer)? {
                    return Ok(Ended::Broken);
                }
                continue;
            }
            let begin = self.source.offset();
            match json::value(self.source, &mut self.buffer, self.limits.record) {
                Ok(()) | Err(JsonError::TooLong(_)) => {}
                Err(error) => return self.broken(error, begin),
            }
            let text = String::from_utf8_lossy(&self.buffer).into_owned();
            match key.as_str() {
                "name" | "tablename" => answer.name = unescape(&text).into_owned(),
                "columns" => answer.columns = column_names(&text),
                "rows" if text != "null" => {
                    self.records += 1;
                    self.bad("the answer's rows are no array", begin)?;
                }
                _ => {}
            }
        }
    }

    fn rows(&mut self, answer: &Answer) -> Result<Ended, Stop> {
        self.source.consume(1);
        let mut first = true;
        loop {
            self.buffer.clear();
            let begin = self.source.offset();
            match json::next_element(self.source, b']', first) {
                Ok(true) => {}
                Ok(false) => return Ok(Ended::Whole),
                Err(error) => return self.broken(error, begin),
            }
            first = false;
            json::next_kind(self.source);
            let begin = self.source.offset();
            self.records += 1;
            match json::value(self.source, &mut self.buffer, self.limits.record) {
                Ok(()) => {}
                Err(JsonError::TooLong(length)) => {
                    self.bad(format!("the row has {length} bytes, over the limit of {}", self.limits.record), begin)?;
                    continue;
                }
                Err(error) => return self.broken(error, begin),
            }
            let place = self.place(begin);
            match std::str::from_utf8(&self.buffer) {
                Ok(_) if answer.columns.is_empty() => self.bad("the row stands before the names of its columns", begin)?,
                Ok(text) => self.sink.item(Item::AnswerRow { answer, text }, place)?,
                Err(error) => {
                    let at = error.valid_up_to();
                    self.bad(format!("not valid UTF-8 at byte {at} of the row"), begin)?;
                }
            }
        }
    }
}

/// The names in a query answer's column list: `name` in the newer answers, `ColumnName` in the older ones.
pub fn column_names(text: &str) -> Vec<String> {
    let Ok(columns) = serde_json::from_str::<Vec<serde_json::Value>>(text) else {
        return Vec::new();
    };
    columns
        .iter()
        .map(|column| {
            ["name", "ColumnName", "Name"].iter().find_map(|key| column.get(key)?.as_str()).unwrap_or_default().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Log(Vec<String>);

    impl Sink for Log {
        fn item(&mut self, item: Item<'_>, place: Place) -> Result<(), Stop> {
            let at = place.line.map_or(format!("#{}", place.record), |l| format!("line {l}"));
            self.0.push(match item {
                Item::Object { text, page } => {
                    format!("{at} {text}{}", page.context.as_ref().map(|c| format!(" in {c}")).unwrap_or_default())
                }
                Item::AnswerRow { answer, text } => format!("{at} {}({}) {text}", answer.name, answer.columns.join(",")),
                Item::CsvRow { record, .. } => format!("{at} {}", String::from_utf8_lossy(&record.raw)),
                Item::Bad { reason, text } => format!("{at} BAD {reason} [{}]", String::from_utf8_lossy(text)),
            });
            Ok(())
        }
        fn heading(&mut self, heading: &Heading, _: &[Vec<String>]) -> Result<(), String> {
            self.0.push(heading.columns.join("|"));
            Ok(())
        }
    }

    fn walked(text: &[u8], record: usize) -> Vec<String> {
        let mut log = Log::default();
        walk(&mut Bytes::new(text), &mut log, Limits { record, ..Limits::default() }).unwrap();
        log.0
    }

    #[test]
    fn documents_of_every_shape() {
        assert_eq!(
            walked(br#"{"@odata.context":"c","value":[{"a":1}, {"a":2}],"@odata.nextLink":"n"}"#, 1000),
            [r#"#1 {"a":1} in c"#, r#"#2 {"a":2} in c"#]
        );
        assert_eq!(walked(br#"{"d":{"results":[{"a":1}],"__next":"x"}}"#, 1000), [r#"#1 {"a":1}"#]);
        assert_eq!(walked(br#"[{"a":1},{"b":[2]}]"#, 1000), [r#"#1 {"a":1}"#, r#"#2 {"b":[2]}"#]);
        assert_eq!(walked(b"{ \"id\" : \"x\",\n \"value\": 3 }", 1000), [r#"#1 {"id":"x","value":3}"#]);
        assert_eq!(walked(b"{\"a\":1}\n{\"a\":2}\n", 1000), [r#"line 1 {"a":1}"#, r#"line 2 {"a":2}"#]);
        assert_eq!(walked(b"{\n\"a\":1}\n{\n\"a\":2}\n", 1000), [r#"#1 {"a":1}"#, r#"#2 {"a":2}"#]);
        assert_eq!(walked(br#"{"value":[]}"#, 1000), [r#"#1 {"value":[]}"#]);
        assert_eq!(walked(b"{\"a\":1}\r{\"a\":2}\r", 1000), [r#"line 1 {"a":1}"#, r#"line 2 {"a":2}"#]);
    }

    #[test]
    fn query_answers() {
        let text = br#"{"tables":[{"name":"P","columns":[{"name":"a","type":"int"},{"name":"b"}],"rows":[[1,"x"],[2,null]]},{"name":"Q","columns":[{"ColumnName":"c"}],"rows":[[3]]}],"error":{"code":"PartialError"}}"#;
        let found = walked(text, 1000);
        assert_eq!(found[..3], [r#"#1 P(a,b) [1,"x"]"#, "#2 P(a,b) [2,null]", "#3 Q(c) [3]"]);
        assert!(found[3].contains("BAD the answer carries an error"));
    }

    #[test]
    fn cut_documents_give_what_is_whole() {
        let text = br#"{"value":[{"a":1},{"a":2},{"a":3}]}"#;
        for cut in 0..text.len() {
            let found = walked(&text[..cut], 1000);
            let whole = found.iter().filter(|l| !l.contains("BAD")).count();
            let expected = [17, 25, 33].iter().filter(|end| cut >= **end).count();
            assert_eq!(whole, expected, "cut at {cut}: {found:?}");
            assert_eq!(found.iter().any(|l| l.contains("BAD")), cut > 0, "cut at {cut}: {found:?}");
        }
    }

    #[test]
    fn one_bad_record_does_not_cost_the_others() {
        let found = walked(b"{\"a\":1}\n{\"a\":\"\xff\"}\nnonsense\n{\"a\":4}\n", 1000);
        assert_eq!((found[0].as_str(), found[3].as_str()), (r#"line 1 {"a":1}"#, r#"line 4 {"a":4}"#));
        assert!(found[1].contains("UTF-8") && found[2].contains("no JSON object"));
        let found = walked(br#"[{"a":1},{"a":"12345678901234567890"},7,{"a":3}]"#, 15);
        assert!(found[1].contains("over the limit") && found[2].contains("no JSON object"), "{found:?}");
        assert_eq!(found[3], r#"#4 {"a":3}"#);
    }

    #[test]
    fn csv_rows_and_their_faults() {
        let found = walked(b"sep=,\r\na,b\r\n1,2\r\n\r\n3\r\n4,\"5\r\n6\"\r\n7,\xff\r\n", 1000);
        assert_eq!(found[0], "a|b");
        assert_eq!(found[1], "line 3 1,2");
        assert!(found[2].starts_with("line 5 BAD the row has 1 fields where the heading has 2"));
        assert_eq!(found[3], "line 6 4,\"5\r\n6\"");
        assert!(found[4].starts_with("line 8 BAD not valid UTF-8"));
    }

    #[test]
    fn returns_within_csv_values_by_the_line_end_of_the_file() {
        let rows = walked(b"a,b\r\nNor\rmal,2\r\n\"x\ry\",3\r\n4\r", 1000);
        assert_eq!(rows[..3], ["a|b", "line 2 Nor\rmal,2", "line 3 \"x\ry\",3"]);
        assert!(rows[3].starts_with("line 4 BAD the row has 1 fields"), "{rows:?}");
        assert_eq!(walked(b"sep=,\ra,b\r1,2\r3,\"x\ny\"\r", 1000), ["a|b", "line 3 1,2", "line 4 3,\"x\ny\""]);
        // UTF-16 is decoded before.
        let utf16 = |text: &str| {
            let units = std::iter::once('\u{feff}').chain(text.chars()).map(|c| (c as u16).to_le_bytes());
            units.flatten().collect::<Vec<u8>>()
        };
        for (text, expected) in
            [("a,b\r\nNor\rmal,2\r\n", ["a|b", "line 2 Nor\rmal,2"]), ("\"a\",b\r1,2\r", ["a|b", "line 2 1,2"])]
        {
            let bytes = utf16(text);
            let mut log = Log::default();
            let mut text = super::super::input::open_text(Box::new(bytes.as_slice()), || 0, Limits::default()).unwrap();
            walk(&mut text.bytes, &mut log, Limits::default()).unwrap();
            assert_eq!(log.0, expected);
        }
        // The first line is longer than what is looked at: refused, not cut somewhere else.
        let long = format!("{},b\nNor\rmal,2\n", "a".repeat(WINDOW));
        let found = walk(&mut Bytes::new(long.as_bytes()), &mut Log::default(), Limits::default());
        assert!(matches!(found, Ok(Walked::Unknown(_))), "{found:?}");
    }

    #[test]
    fn forms_without_records() {
        let mut log = Log::default();
        assert_eq!(walk(&mut Bytes::new(&b"  \n"[..]), &mut log, Limits::default()), Ok(Walked::Empty));
        assert!(matches!(walk(&mut Bytes::new(&b"\x01\x02"[..]), &mut log, Limits::default()), Ok(Walked::Unknown(_))));
    }
}
