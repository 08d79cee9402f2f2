//! From JSON to its records: walks documents element by element, however many follow one another, and JSON lines.

use std::str::Utf8Error;

use super::bytes::ByteStream;
use super::input::FileLimits;
use super::json::{self, JsonError, JsonStart};
use super::record::{AnswerHeading, Item, Page, Place, Reason, Sink, Stop};
use super::sniff::{self, WINDOW};
use crate::json_text::{string_literal, unescape};
use kqlake_value::parse::{BYTE_ORDER_MARK, without_mark};

/// Walks documents to their end, or to where they break, which is reported to the sink.
/// What was reported to the sink already is in `passed` lines.
pub(super) fn walk(source: &mut ByteStream<'_>, sink: &mut dyn Sink, limits: FileLimits, passed: u64) -> Result<(), Stop> {
    let lines = (source.offset(), passed);
    Walker { source, sink, limits, buffer: Vec::new(), records: passed, lines, line: None, is_document: false }.json()
}

struct Walker<'w, 'r> {
    source: &'w mut ByteStream<'r>,
    sink: &'w mut dyn Sink,
    limits: FileLimits,
    buffer: Vec<u8>,
    records: u64,
    /// A place in the text, and how many lines lie before it.
    lines: (u64, u64),
    line: Option<u64>,
    /// What comes next was found to be a document.
    is_document: bool,
}

/// How a walk through a container ended.
enum Ended {
    /// At its closing bracket.
    Whole,
    /// Where it broke; it was reported to the sink.
    Broken,
}

/// An object that is being walked through.
struct ObjectDocument {
    /// The byte at which it begins.
    begin: u64,
    /// What it says of the records in it.
    page: Page,
    /// Records came out of it, so it is none itself.
    streamed: bool,
    /// Its members that are no containers of records: the record itself, if no container comes.
    kept: Vec<u8>,
    /// The error that an answer carries beside its rows.
    error: Option<String>,
}

impl ObjectDocument {
    fn begins_at(begin: u64) -> Self {
        Self { begin, page: Page::default(), streamed: false, kept: vec![b'{'], error: None }
    }
}

impl Walker<'_, '_> {
    fn place(&self, byte: u64) -> Place {
        Place { line: self.line, byte, record: self.records }
    }

    fn bad(&mut self, reason: impl Into<Reason>, byte: u64) -> Result<(), Stop> {
        let place = self.place(byte);
        let kept = self.buffer.len().min(self.limits.quarantine_text);
        self.sink.item(Item::Bad { reason: reason.into(), text: &self.buffer[..kept] }, place)
    }

    /// One document, several, or one value a line.
    fn json(&mut self) -> Result<(), Stop> {
        loop {
            let window = self.source.peek(WINDOW);
            let whole = window.len() < WINDOW;
            if !std::mem::take(&mut self.is_document) && sniff::is_lines(window, whole) {
                if self.lines()? {
                    return Ok(());
                }
                continue;
            }
            let begin = self.source.offset();
            let ended = match json::next_kind(self.source) {
                JsonStart::End => return Ok(()),
                JsonStart::Object => self.object_document()?,
                JsonStart::Array => self.array_document(&Page::default())?,
                JsonStart::Mark(b',') => {
                    // Documents put one behind the other with commas between them.
                    self.source.consume(1);
                    Ended::Whole
                }
                JsonStart::Other(_) if self.source.peek(BYTE_ORDER_MARK.len()).starts_with(&BYTE_ORDER_MARK) => {
                    self.source.consume(BYTE_ORDER_MARK.len());
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
        self.buffer.clear();
        self.pass_over();
        !self.source.chunk().is_empty()
    }

    /// After a fault: passes to the next line that begins with a bracket in its first column, and keeps what is passed over behind what
    /// is in the buffer, since nobody knows how many records it holds. Gives its bytes.
    fn pass_over(&mut self) -> u64 {
        let begin = self.source.offset();
        let (line_end, limit) = (self.source.line_end(), self.limits.quarantine_text);
        let mut line = Vec::new();
        while !matches!(self.source.chunk().first(), None | Some(b'{' | b'[')) {
            line.clear();
            self.source.line(&mut line, limit.saturating_sub(self.buffer.len()));
            if self.buffer.len() < limit {
                self.buffer.extend_from_slice(&line);
                self.buffer.push(line_end);
            }
        }
        self.source.offset() - begin
    }

    /// One value a line, to the end or to where a document begins that spans lines. True at the end.
    fn lines(&mut self) -> Result<bool, Stop> {
        let page = Page::default();
        // Behind documents, lines are not counted: it is unknown how many the documents had.
        let (place, lines) = self.lines;
        self.line = (self.source.offset() == place).then_some(lines);
        loop {
            self.buffer.clear();
            let begin = self.source.offset();
            self.line = self.line.map(|line| line + 1);
            let Some(length) = self.source.line(&mut self.buffer, self.limits.record) else {
                return Ok(true);
            };
            if length > self.buffer.len() as u64 {
                self.records += 1;
                self.bad(format!("the record has {length} bytes, over the limit of {}", self.limits.record), begin)?;
                continue;
            }
            let trimmed = self.buffer.trim_ascii();
            // Files were put one behind the other.
            let trimmed = without_mark(trimmed);
            let next = self.source.peek(WINDOW);
            // Of a page that holds bytes which are no UTF-8 each record stands for itself, as in a document.
            let is_odd_page = std::str::from_utf8(trimmed).is_err() && is_page(trimmed);
            if is_odd_page || sniff::begins_document(trimmed, next, next.len() < WINDOW) {
                // Documents that span lines may follow on lines, and lines on documents again.
                let line_end = self.source.line_end();
                self.buffer.push(line_end);
                self.source.put_back(&self.buffer);
                (self.line, self.is_document) = (None, true);
                return Ok(false);
            }
            // Arrays written one element a line leave their brackets and commas behind.
            let trimmed = trimmed.strip_suffix(b",").unwrap_or(trimmed);
            if trimmed.is_empty() || matches!(trimmed, b"[" | b"]") {
                continue;
            }
            self.records += 1;
            let place = self.place(begin);
            match std::str::from_utf8(trimmed) {
                Ok(text) if text.starts_with('{') => self.sink.item(Item::Object { text, page: &page }, place)?,
                Ok(text) if text.starts_with('[') => match kqlake_value::json::checked::elements(text) {
                    Ok(items) => {
                        for item in items {
                            self.sink.item(Item::Object { text: item.get(), page: &page }, place)?;
                        }
                    }
                    Err(error) => self.bad(format!("no valid JSON: {error}"), begin)?,
                },
                Ok(_) => self.bad("the line is no JSON object", begin)?,
                Err(error) => self.not_utf8(error, "record", begin)?,
            }
        }
    }

    /// Goes to the next element of the container whose opening bracket was passed, with an empty buffer; `Some` where there is
    /// none, or the container is broken.
    fn next(&mut self, close: u8, first: &mut bool) -> Result<Option<Ended>, Stop> {
        self.buffer.clear();
        let begin = self.source.offset();
        let more = json::next_element(self.source, close, *first);
        *first = false;
        match more {
            Ok(true) => Ok(None),
            Ok(false) => Ok(Some(Ended::Whole)),
            Err(error) => self.broken(error, begin).map(Some),
        }
    }

    /// What is in the buffer is no UTF-8 from this byte of it on.
    fn not_utf8(&mut self, error: Utf8Error, what: &str, begin: u64) -> Result<(), Stop> {
        self.bad(format!("not valid UTF-8 at byte {} of the {what}", error.valid_up_to()), begin)
    }

    /// The elements of an array, each a record.
    fn array_document(&mut self, page: &Page) -> Result<Ended, Stop> {
        self.source.consume(1);
        let mut first = true;
        loop {
            let ended = match self.next(b']', &mut first)? {
                Some(ended) => Some(ended),
                None => self.element(page)?,
            };
            match ended {
                None => {}
                // The page says something of the records behind the broken one as well.
                Some(Ended::Broken) if self.resume() && sniff::is_element(self.source.peek(WINDOW)) => first = true,
                Some(ended) => return Ok(ended),
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
            Ok(text) if kind == JsonStart::Object => self.sink.item(Item::Object { text, page }, place)?,
            Ok(text) if kind == JsonStart::String => {
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
            Err(error) => self.not_utf8(error, "record", begin)?,
        }
        Ok(None)
    }

    fn broken(&mut self, error: JsonError, begin: u64) -> Result<Ended, Stop> {
        let reason = match error {
            JsonError::Ended if self.buffer.is_empty() => Reason::EndsOpen,
            JsonError::Ended => Reason::EndsInside,
            JsonError::Syntax(what) => {
                let at = self.source.offset();
                let passed = self.pass_over();
                let over = if passed > 0 { format!("{passed} bytes from there on are passed over, and ") } else { String::new() };
                let goes_on = "reading goes on at the next line that begins with a bracket";
                Reason::NoJson(format!("no valid JSON: {what}, at byte {at}; {over}{goes_on}"))
            }
            JsonError::TooLong(length) => {
                Reason::Other(format!("a value has {length} bytes, over the limit of {}", self.limits.record))
            }
        };
        self.bad(reason, begin)?;
        Ok(Ended::Broken)
    }

    /// An object: a page of records, a query answer, or a record itself.
    fn object_document(&mut self) -> Result<Ended, Stop> {
        let mut document = ObjectDocument::begins_at(self.source.offset());
        self.source.consume(1);
        let mut first = true;
        let mut scratch = Vec::new();
        loop {
            self.buffer.clear();
            let at = self.source.offset();
            let key = match json::next_element(self.source, b'}', first) {
                Ok(true) => json::key(self.source, &mut scratch),
                Ok(false) => break,
                Err(error) => Err(error),
            };
            first = false;
            let key = match key {
                Ok(key) => key,
                Err(error) => return self.broken_object(error, document, at),
            };
            let kind = json::next_kind(self.source);
            let name = key.to_ascii_lowercase();
            let walked = match (name.as_str(), kind) {
                // An empty list may belong to a record; a page with one has no records either way.
                ("value" | "records" | "results" | "d", JsonStart::Array) if self.holds_objects() => {
                    self.array_document(&document.page)?
                }
                ("tables", JsonStart::Array) if self.holds_objects() => self.tables()?,
                ("d", JsonStart::Object) => self.object_document()?,
                _ => {
                    match self.member(&mut document, &key, kind)? {
                        Ok(()) => {}
                        Err(error) => return self.broken_object(error, document, at),
                    }
                    continue;
                }
            };
            document.streamed = true;
            if let Ended::Broken = walked {
                return Ok(Ended::Broken);
            }
        }
        self.object_end(document)?;
        Ok(Ended::Whole)
    }

    /// A member that is no container of records: it is kept, since the object may be a record itself.
    fn member(&mut self, document: &mut ObjectDocument, key: &str, kind: JsonStart) -> Result<Result<(), JsonError>, Stop> {
        let kept = &mut document.kept;
        if kept.len() > 1 {
            kept.push(b',');
        }
        kept.extend_from_slice(string_literal(key).as_bytes());
        kept.push(b':');
        let start = kept.len();
        let limit = self.limits.record.saturating_sub(start);
        match json::value(self.source, kept, limit) {
            Ok(()) => {}
            Err(JsonError::TooLong(length)) => {
                // The text of the member is given up, and with it the record; the walk continues behind it.
                self.records += 1;
                self.buffer.clear();
                self.buffer.extend_from_slice(&kept[..kept.len().min(self.limits.quarantine_text)]);
                kept.truncate(start);
                kept.extend_from_slice(b"null");
                if !document.streamed {
                    document.streamed = true;
                    let reason = format!("the record has {length} bytes or more, over the limit of {}", self.limits.record);
                    self.bad(reason, document.begin)?;
                }
            }
            Err(error) => return Ok(Err(error)),
        }
        let text = &document.kept[start..];
        match key.to_ascii_lowercase().as_str() {
            "@odata.context" | "odata.metadata" | "odata.context" => {
                document.page.context = std::str::from_utf8(text).ok().map(|t| unescape(t).into_owned());
            }
            "@kqlake.columns" => document.page.columns = std::str::from_utf8(text).ok().map(str::to_owned),
            "error" if kind == JsonStart::Object => document.error = Some(String::from_utf8_lossy(text).into_owned()),
            _ => {}
        }
        Ok(Ok(()))
    }

    /// The end of an object: it is a record itself, unless records came out of it.
    fn object_end(&mut self, document: ObjectDocument) -> Result<(), Stop> {
        let ObjectDocument { begin, page, streamed, mut kept, error } = document;
        if !streamed {
            kept.push(b'}');
            self.records += 1;
            let place = self.place(begin);
            match std::str::from_utf8(&kept) {
                Ok(text) => self.sink.item(Item::Object { text, page: &page }, place)?,
                Err(error) => {
                    self.buffer = kept;
                    self.not_utf8(error, "record", begin)?;
                }
            }
        } else if let Some(error) = error {
            // The query services answer 200 with the rows so far and an error beside them.
            self.buffer.clear();
            self.buffer.extend_from_slice(error.as_bytes());
            self.bad("the answer carries an error: its rows were taken, but rows are missing from it", begin)?;
        }
        Ok(())
    }

    /// An object that is broken at a byte. Where records came out of it, the fault is there; else it is the record's.
    fn broken_object(&mut self, error: JsonError, document: ObjectDocument, at: u64) -> Result<Ended, Stop> {
        if document.streamed {
            self.buffer.clear();
            return self.broken(error, at);
        }
        self.records += 1;
        self.buffer = document.kept;
        self.broken(error, document.begin)
    }

    /// True when the array that comes next holds objects, as far as its first element shows; null is none.
    fn holds_objects(&mut self) -> bool {
        let window = self.source.peek(4096);
        let mut filled = window.iter().filter(|b| !b.is_ascii_whitespace());
        matches!((filled.next(), filled.next()), (Some(b'['), Some(b'{' | b'n') | None))
    }

    /// The tables of a query answer; rows come one by one.
    fn tables(&mut self) -> Result<Ended, Stop> {
        self.source.consume(1);
        let mut first = true;
        loop {
            if let Some(ended) = self.next(b']', &mut first)? {
                return Ok(ended);
            }
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
        let mut answer = AnswerHeading::default();
        let mut first = true;
        let mut scratch = Vec::new();
        loop {
            let begin = self.source.offset();
            if let Some(ended) = self.next(b'}', &mut first)? {
                return Ok(ended);
            }
            let key = match json::key(self.source, &mut scratch) {
                Ok(key) => key.to_ascii_lowercase(),
                Err(error) => return self.broken(error, begin),
            };
            let kind = json::next_kind(self.source);
            if key == "rows" && kind == JsonStart::Array {
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

    fn rows(&mut self, answer: &AnswerHeading) -> Result<Ended, Stop> {
        self.source.consume(1);
        let mut first = true;
        loop {
            if let Some(ended) = self.next(b']', &mut first)? {
                return Ok(ended);
            }
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

/// True for a line that is an array, or an object that may be a page of records.
fn is_page(line: &[u8]) -> bool {
    const CONTAINERS: [&[u8]; 5] = [b"\"value\"", b"\"records\"", b"\"results\"", b"\"d\"", b"\"tables\""];
    let holds = |name: &&[u8]| line.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name));
    line.starts_with(b"[") || (line.starts_with(b"{") && CONTAINERS.iter().any(holds))
}

/// The names in a query answer's column list: `name` in the newer answers, `ColumnName` in the older ones.
pub(crate) fn column_names(text: &str) -> Vec<String> {
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
