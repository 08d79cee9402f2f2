//! The rows of `externaldata`: files read as tables.
//!
//! Formats and options: the `externaldata` operator of the KQL reference, and "Data formats supported for ingestion" in the
//! documentation of Azure Data Explorer. A field that is missing or cannot be read as its column's type is null, for string empty.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use regex::Regex;
use serde_json::Value as Json;

use crate::computation::Compute;
use crate::external::ExternalFile;
use crate::functions::ingestion_mapping::{Origin, Source, instant, walk};
use kqlake_value::columns::{self, ColumnBuilder};
use kqlake_value::encoding::{NotText, Utf8Reader, Utf16, decoded};
use kqlake_value::parse::{BYTE_ORDER_MARK, RealForm};
use kqlake_value::{Type, Value, parse};

/// Rows of one batch.
const BATCH_ROWS: usize = 8192;
/// Bytes that a packed file may have when it is unpacked.
const MAX_UNPACKED: u64 = 1 << 30;
/// Bytes at the beginning of a file by which its encoding is told.
const MAX_HEAD: u64 = 1 << 16;
/// Bytes of a file in UTF-16, at most: all of them are held while its text is written in UTF-8.
const MAX_UTF_16: u64 = 256 << 20;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Fields behind each other, with this byte between them; a field may be quoted.
    Delimited(u8),
    /// A line is one field.
    Lines,
    /// The whole file is one field.
    Raw,
    /// One object a line, or one document: an object or an array of objects.
    Json,
}

impl Format {
    /// A format by the name that KQL gives it.
    pub(crate) fn by_name(name: &str) -> Option<Format> {
        Some(match name.to_ascii_lowercase().as_str() {
            "csv" => Format::Delimited(b','),
            "tsv" | "tsve" => Format::Delimited(b'\t'),
            "psv" => Format::Delimited(b'|'),
            "scsv" => Format::Delimited(b';'),
            "sohsv" => Format::Delimited(1),
            "txt" => Format::Lines,
            "raw" => Format::Raw,
            "json" | "multijson" | "jsonl" | "ndjson" => Format::Json,
            _ => return None,
        })
    }

    /// The format that the name in a path or an address implies; CSV where it implies none.
    pub(crate) fn of_path(path: &str) -> Format {
        let path = path.split(['?', '#', ';']).next().unwrap_or(path);
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zip")).unwrap_or(&name);
        name.rsplit_once('.').and_then(|(_, extension)| Format::by_name(extension)).unwrap_or(Format::Delimited(b','))
    }
}

/// Files as rows.
#[derive(Debug)]
pub(crate) struct ExternalData {
    /// The files, in the order of their rows.
    pub files: Vec<(ExternalFile, Format)>,
    /// The first record of a file names its fields and is no row.
    pub skip_first: bool,
    /// The declared columns.
    pub columns: Vec<(String, Type)>,
    /// Where each column's values come from, if that is said.
    pub mapping: Option<Vec<Source>>,
    /// Which files of an archive are read: all when not said.
    pub archived: Option<Regex>,
}

impl Compute for ExternalData {
    fn name(&self) -> &str {
        "externaldata"
    }

    fn run(&self, _: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, String> {
        let mut rows = Rows::new(&self.columns, self.mapping.as_deref());
        for (file, format) in &self.files {
            let wrong = |reason: String| format!("externaldata cannot read {}: {reason}", file.name);
            let reader = file.content.open().map_err(|err| wrong(err.to_string()))?;
            self.unpack(reader, *format, &mut rows).map_err(wrong)?;
        }
        rows.finish()
    }
}

impl ExternalData {
    /// Reads a file, or what is packed in it; its first bytes tell which.
    fn unpack(&self, mut reader: Box<dyn Read + Send>, format: Format, rows: &mut Rows) -> Result<(), String> {
        let head = beginning(&mut reader, 4).map_err(failed)?;
        let whole = Cursor::new(head.clone()).chain(reader);
        if head.starts_with(&[0x1f, 0x8b]) {
            let unpacked = flate2::read::MultiGzDecoder::new(BufReader::new(whole));
            return self.read(Box::new(Bounded { inner: unpacked, left: MAX_UNPACKED }), format, rows);
        }
        if !head.starts_with(b"PK\x03\x04") {
            return self.read(Box::new(whole), format, rows);
        }
        let mut bytes = Vec::new();
        Bounded { inner: whole, left: MAX_UNPACKED }.read_to_end(&mut bytes).map_err(failed)?;
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|err| err.to_string())?;
        let mut left = MAX_UNPACKED;
        for place in 0..archive.len() {
            let entry = archive.by_index(place).map_err(|err| err.to_string())?;
            let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
            let wanted = self.archived.as_ref().is_none_or(|pattern| pattern.is_match(&name));
            if entry.is_dir() || !wanted {
                continue;
            }
            let mut bytes = Vec::new();
            Bounded { inner: entry, left }.read_to_end(&mut bytes).map_err(failed)?;
            left -= bytes.len() as u64;
            self.read(Box::new(Cursor::new(bytes)), format, rows)?;
        }
        Ok(())
    }

    /// Reads a file in UTF-8, or in UTF-16, which programs on Windows write.
    fn read(&self, mut reader: Box<dyn Read + '_>, format: Format, rows: &mut Rows) -> Result<(), String> {
        let head = beginning(&mut reader, MAX_HEAD).map_err(failed)?;
        let is_utf16 = Utf16::of(&head).map_err(not_text)?.is_some();
        let whole = Cursor::new(head).chain(reader);
        if !is_utf16 {
            return self.read_utf8(Utf8Reader::new(whole), format, rows);
        }
        let bytes = beginning(&mut { whole }, MAX_UTF_16 + 1).map_err(failed)?;
        if bytes.len() as u64 > MAX_UTF_16 {
            return Err(format!("it is in UTF-16 and has more than {} MB; save it as UTF-8", MAX_UTF_16 >> 20));
        }
        self.read_utf8(Cursor::new(decoded(bytes).map_err(not_text)?), format, rows)
    }

    fn read_utf8(&self, mut reader: impl Read, format: Format, rows: &mut Rows) -> Result<(), String> {
        let mark = beginning(&mut reader, BYTE_ORDER_MARK.len() as u64).map_err(failed)?;
        let mark = if mark == BYTE_ORDER_MARK { Vec::new() } else { mark };
        let mut reader = Cursor::new(mark).chain(reader);
        match format {
            Format::Delimited(delimiter) => {
                let mut records = csv::ReaderBuilder::new()
                    .delimiter(delimiter)
                    .has_headers(self.skip_first)
                    .flexible(true)
                    .from_reader(reader);
                let mut record = csv::StringRecord::new();
                while records.read_record(&mut record).map_err(failed_record)? {
                    rows.push(|i| record.get(i).map(str::to_owned))?;
                }
            }
            Format::Lines => {
                let mut skip = self.skip_first;
                let mut lines = BufReader::new(reader);
                let mut line = String::new();
                loop {
                    line.clear();
                    if lines.read_line(&mut line).map_err(failed)? == 0 {
                        break;
                    }
                    let text = line.trim_end_matches(['\r', '\n']);
                    // Empty lines are no records.
                    if text.is_empty() || std::mem::take(&mut skip) {
                        continue;
                    }
                    rows.push(|i| (i == 0).then(|| text.to_owned()))?;
                }
            }
            Format::Raw => {
                let text = whole(&mut reader)?;
                rows.push(|i| (i == 0).then(|| text.clone()))?;
            }
            Format::Json => {
                let text = whole(&mut reader)?;
                for document in serde_json::Deserializer::from_str(&text).into_iter::<Json>() {
                    match document.map_err(|err| err.to_string())? {
                        Json::Array(records) => records.iter().try_for_each(|record| rows.push_json(record))?,
                        record => rows.push_json(&record)?,
                    }
                }
            }
        }
        Ok(())
    }
}

/// The first bytes of a reader, as many as it has.
fn beginning(reader: &mut impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A reader that fails where there are more bytes than may be unpacked.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other(format!("it has more than {} MB when it is unpacked", MAX_UNPACKED >> 20)))?;
        Ok(read)
    }
}

fn whole(reader: &mut impl Read) -> Result<String, String> {
    let mut text = String::new();
    reader.read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// Why a file is not read, and what to do where it is no text.
fn failed(err: io::Error) -> String {
    match err.get_ref().is_some_and(|inner| inner.is::<NotText>()) {
        true => format!("{err}; save it as UTF-8"),
        false => err.to_string(),
    }
}

fn failed_record(err: csv::Error) -> String {
    let shown = err.to_string();
    if let csv::ErrorKind::Io(err) = err.into_kind() { failed(err) } else { shown }
}

fn not_text(err: NotText) -> String {
    failed(io::Error::other(err))
}

/// Rows gathered into batches.
struct Rows<'c> {
    columns: &'c [(String, Type)],
    mapping: Option<&'c [Source]>,
    builders: Vec<ColumnBuilder>,
    rows: usize,
    batches: Vec<RecordBatch>,
}

impl<'c> Rows<'c> {
    fn new(columns: &'c [(String, Type)], mapping: Option<&'c [Source]>) -> Rows<'c> {
        let builders = columns.iter().map(|(_, ty)| ColumnBuilder::new(*ty, 0)).collect();
        Rows { columns, mapping, builders, rows: 0, batches: Vec::new() }
    }

    fn source(&self, column: usize) -> Option<&'c Source> {
        self.mapping.and_then(|mapping| mapping.get(column))
    }

    /// A row whose fields are texts by place.
    fn push(&mut self, field: impl Fn(usize) -> Option<String>) -> Result<(), String> {
        for (i, (_, ty)) in self.columns.iter().enumerate() {
            let source = self.source(i);
            let text = match source.map(|source| &source.origin) {
                None => field(i),
                Some(Origin::Ordinal(place)) => field(*place),
                Some(Origin::Constant(text)) => Some(text.clone()),
                Some(Origin::Path(_) | Origin::Nowhere) => None,
            };
            let value = text.map_or_else(|| missing(*ty), |text| read_as(text, *ty, source));
            self.builders[i].push(&value);
        }
        self.end_row()
    }

    /// A row whose fields are an object's properties by name, or where the mapping says. Nothing but an object has any.
    fn push_json(&mut self, record: &Json) -> Result<(), String> {
        for (i, (name, ty)) in self.columns.iter().enumerate() {
            let source = self.source(i);
            let constant;
            let found = match source.map(|source| &source.origin) {
                None => record.get(name),
                Some(Origin::Path(steps)) => walk(record, steps),
                Some(Origin::Constant(text)) => {
                    constant = Json::String(text.clone());
                    Some(&constant)
                }
                Some(Origin::Ordinal(_) | Origin::Nowhere) => None,
            };
            let value = match found {
                None | Some(Json::Null) => missing(*ty),
                Some(value) if *ty == Type::Dynamic => Value::Dynamic(value.clone()),
                Some(Json::String(text)) => read_as(text.clone(), *ty, source),
                Some(other) => read_as(other.to_string(), *ty, source),
            };
            self.builders[i].push(&value);
        }
        self.end_row()
    }

    fn end_row(&mut self) -> Result<(), String> {
        self.rows += 1;
        if self.rows == BATCH_ROWS { self.end_batch() } else { Ok(()) }
    }

    fn end_batch(&mut self) -> Result<(), String> {
        let arrays: Vec<ArrayRef> = self.builders.iter_mut().map(ColumnBuilder::finish).collect::<Result<_, _>>()?;
        let fields: Vec<_> = self.columns.iter().map(|(name, ty)| columns::field(name, *ty)).collect();
        let schema = std::sync::Arc::new(arrow::datatypes::Schema::new(fields));
        self.batches.push(RecordBatch::try_new(schema, arrays).map_err(|err| err.to_string())?);
        self.builders = self.columns.iter().map(|(_, ty)| ColumnBuilder::new(*ty, 0)).collect();
        self.rows = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<RecordBatch>, String> {
        self.end_batch()?;
        Ok(self.batches)
    }
}

fn missing(ty: Type) -> Value {
    if ty == Type::String { Value::String(String::new()) } else { Value::Null }
}

/// A field's text as a value of its column's type, in the way that a mapping says.
fn read_as(text: String, ty: Type, source: Option<&Source>) -> Value {
    match source.and_then(|source| source.unix_nanos) {
        Some(nanos) if ty == Type::DateTime => instant(&text, nanos),
        _ => typed(text, ty),
    }
}

/// A field's text as a value of its column's type.
fn typed(text: String, ty: Type) -> Value {
    let trimmed = text.trim();
    let found = match ty {
        Type::String => return Value::String(text),
        Type::Bool => parse::boolean(trimmed).map(Value::Bool),
        Type::Int => parse::int(trimmed).map(Value::Int),
        Type::Long => parse::long(trimmed).map(Value::Long),
        Type::Real => parse::real_of(trimmed, RealForm::File).map(Value::Real),
        Type::Decimal => parse::decimal(trimmed).map(Value::Decimal),
        Type::DateTime => parse::datetime(trimmed).map(Value::DateTime),
        Type::TimeSpan => parse::timespan(trimmed).map(Value::TimeSpan),
        Type::Guid => parse::guid(trimmed).map(Value::Guid),
        Type::Dynamic if trimmed.is_empty() => None,
        Type::Dynamic => {
            let json = serde_json::from_str(trimmed).unwrap_or_else(|_| Json::String(text.clone()));
            Some(Value::Dynamic(json))
        }
    };
    found.unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::constants::value_at;

    fn rows_of(text: &str, format: Format, skip_first: bool, columns: &[(&str, Type)]) -> Vec<Vec<Value>> {
        let columns: Vec<(String, Type)> = columns.iter().map(|(n, t)| ((*n).to_owned(), *t)).collect();
        rows_from(text.as_bytes(), format, skip_first, columns)
    }

    fn rows_from(bytes: &[u8], format: Format, skip_first: bool, columns: Vec<(String, Type)>) -> Vec<Vec<Value>> {
        let data = ExternalData { files: Vec::new(), skip_first, columns: columns.clone(), mapping: None, archived: None };
        let mut rows = Rows::new(&columns, None);
        data.unpack(Box::new(Cursor::new(bytes.to_vec())), format, &mut rows).unwrap();
        let batch = rows.finish().unwrap().remove(0);
        let value = |row: usize, i: usize| value_at(batch.column(i).as_ref(), columns[i].1, row);
        (0..batch.num_rows()).map(|row| (0..columns.len()).map(|i| value(row, i)).collect()).collect()
    }

    #[test]
    fn delimited_fields_are_read_as_their_columns_types() {
        let columns = [("name", Type::String), ("n", Type::Long), ("when", Type::DateTime)];
        let rows = rows_of("name,n,when\n\"a,b\",7,2026-01-01\nc,x\n", Format::Delimited(b','), true, &columns);
        assert_eq!(rows[0], [Value::String("a,b".into()), Value::Long(7), Value::DateTime(639_028_224_000_000_000)]);
        assert_eq!(rows[1], [Value::String("c".into()), Value::Null, Value::Null]);
    }

    #[test]
    fn lines_and_documents_become_rows() {
        let rows = rows_of("\u{feff}one\r\n\r\ntwo", Format::Lines, false, &[("line", Type::String), ("more", Type::String)]);
        assert_eq!(rows, [["one", ""], ["two", ""]].map(|r| r.map(|s| Value::String(s.into())).to_vec()));
        let columns = [("a", Type::Long), ("b", Type::String)];
        let rows = rows_of("[{\"a\":1,\"b\":\"x\"},{\"b\":2}]\n{\"a\":\"5\"}", Format::Json, false, &columns);
        assert_eq!(rows[1], [Value::Null, Value::String("2".into())]);
        assert_eq!(rows[2], [Value::Long(5), Value::String(String::new())]);
    }

    #[test]
    fn packed_files_are_told_by_their_first_bytes() {
        use std::io::Write as _;
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(b"a,1\n").unwrap();
        let mut zipped = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        for (name, text) in [("x/", ""), ("x/a.csv", "a,1\n"), ("b.csv", "b,2\n")] {
            if text.is_empty() {
                zipped.add_directory(name, options).unwrap();
            } else {
                zipped.start_file(name, options).unwrap();
                zipped.write_all(text.as_bytes()).unwrap();
            }
        }
        let zipped = zipped.finish().unwrap().into_inner();
        let columns = || vec![("name".to_owned(), Type::String), ("n".to_owned(), Type::Long)];
        let row = |name: &str, n: i64| vec![Value::String(name.into()), Value::Long(n)];
        assert_eq!(rows_from(&gz.finish().unwrap(), Format::Delimited(b','), false, columns()), [row("a", 1)]);
        assert_eq!(rows_from(&zipped, Format::Delimited(b','), false, columns()), [row("a", 1), row("b", 2)]);
        assert!(rows_from(b"", Format::Delimited(b','), false, columns()).is_empty());
    }

    #[test]
    fn what_swells_too_far_is_refused() {
        let mut read = Vec::new();
        let err = Bounded { inner: io::repeat(0).take(11), left: 10 }.read_to_end(&mut read).unwrap_err();
        assert!(err.to_string().contains("unpacked"), "{err}");
        assert_eq!(Bounded { inner: io::repeat(0).take(10), left: 10 }.read_to_end(&mut read).unwrap(), 10);
    }

    #[test]
    fn a_files_name_tells_its_format() {
        assert_eq!(Format::of_path("https://host/list.txt?sv=1/2.json"), Format::Lines);
        assert_eq!(Format::of_path("a/list.csv.zip"), Format::Delimited(b','));
        assert_eq!(Format::of_path("a/list.TSV.GZ"), Format::Delimited(b'\t'));
        assert_eq!(Format::of_path("a/list.tsv.gz"), Format::Delimited(b'\t'));
        assert_eq!(Format::of_path("a\\list.txt"), Format::Lines);
        assert_eq!(Format::of_path("list"), Format::Delimited(b','));
    }
}
