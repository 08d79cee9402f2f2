//! The rows of `externaldata`: local files read as tables.
//!
//! Formats and options: the `externaldata` operator of the KQL reference. A field that is missing or cannot be read as its
//! column's type is null, for string empty.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use serde_json::Value as Json;

use crate::bound::Compute;
use kqlake_value::columns::{self, ColumnBuilder};
use kqlake_value::parse::RealForm;
use kqlake_value::{Type, Value, parse};

/// Rows of one batch.
const BATCH_ROWS: usize = 8192;

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

    /// The format that a file's name implies; CSV where it implies none.
    pub(crate) fn of_path(path: &str) -> Format {
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        name.rsplit_once('.').and_then(|(_, extension)| Format::by_name(extension)).unwrap_or(Format::Delimited(b','))
    }
}

/// Files as rows.
#[derive(Debug)]
pub(crate) struct ExternalData {
    /// The files, in the order of their rows.
    pub files: Vec<(PathBuf, Format)>,
    /// The first record of a file names its fields and is no row.
    pub skip_first: bool,
    /// The declared columns.
    pub columns: Vec<(String, Type)>,
}

impl Compute for ExternalData {
    fn name(&self) -> &str {
        "externaldata"
    }

    fn run(&self, _: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, String> {
        let mut rows = Rows::new(&self.columns);
        for (path, format) in &self.files {
            let wrong = |reason: String| format!("externaldata cannot read {}: {reason}", path.display());
            let reader = open(path).map_err(|err| wrong(err.to_string()))?;
            self.read(reader, *format, &mut rows).map_err(wrong)?;
        }
        rows.finish()
    }
}

impl ExternalData {
    fn read(&self, reader: Box<dyn Read>, format: Format, rows: &mut Rows) -> Result<(), String> {
        match format {
            Format::Delimited(delimiter) => {
                let mut records = csv::ReaderBuilder::new()
                    .delimiter(delimiter)
                    .has_headers(self.skip_first)
                    .flexible(true)
                    .from_reader(reader);
                let mut record = csv::ByteRecord::new();
                while records.read_byte_record(&mut record).map_err(|err| err.to_string())? {
                    rows.push(|i| record.get(i).map(String::from_utf8_lossy).map(std::borrow::Cow::into_owned))?;
                }
            }
            Format::Lines => {
                let mut skip = self.skip_first;
                let mut lines = BufReader::new(reader);
                let mut line = Vec::new();
                loop {
                    line.clear();
                    if lines.read_until(b'\n', &mut line).map_err(|err| err.to_string())? == 0 {
                        break;
                    }
                    if std::mem::take(&mut skip) {
                        continue;
                    }
                    let text = String::from_utf8_lossy(&line);
                    let text = text.trim_end_matches(['\r', '\n']);
                    rows.push(|i| (i == 0).then(|| text.to_owned()))?;
                }
            }
            Format::Raw => {
                let text = whole(reader)?;
                rows.push(|i| (i == 0).then(|| text.clone()))?;
            }
            Format::Json => {
                let text = whole(reader)?;
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

/// A file's bytes, unpacked if its name ends in `.gz`.
fn open(path: &Path) -> std::io::Result<Box<dyn Read>> {
    let file = BufReader::new(File::open(path)?);
    let packed = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"));
    Ok(if packed { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) })
}

fn whole(mut reader: Box<dyn Read>) -> Result<String, String> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(|err| err.to_string())?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

/// Rows gathered into batches.
struct Rows<'c> {
    columns: &'c [(String, Type)],
    builders: Vec<ColumnBuilder>,
    rows: usize,
    batches: Vec<RecordBatch>,
}

impl<'c> Rows<'c> {
    fn new(columns: &'c [(String, Type)]) -> Rows<'c> {
        let builders = columns.iter().map(|(_, ty)| ColumnBuilder::new(*ty, 0)).collect();
        Rows { columns, builders, rows: 0, batches: Vec::new() }
    }

    /// A row whose fields are texts by place.
    fn push(&mut self, field: impl Fn(usize) -> Option<String>) -> Result<(), String> {
        for (i, (_, ty)) in self.columns.iter().enumerate() {
            let value = field(i).map_or_else(|| missing(*ty), |text| typed(text, *ty));
            self.builders[i].push(&value);
        }
        self.end_row()
    }

    /// A row whose fields are an object's properties by name. Nothing but an object has any.
    fn push_json(&mut self, record: &Json) -> Result<(), String> {
        for ((name, ty), builder) in self.columns.iter().zip(&mut self.builders) {
            let value = match record.get(name) {
                None | Some(Json::Null) => missing(*ty),
                Some(value) if *ty == Type::Dynamic => Value::Dynamic(value.clone()),
                Some(Json::String(text)) => typed(text.clone(), *ty),
                Some(other) => typed(other.to_string(), *ty),
            };
            builder.push(&value);
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

    fn rows_of(text: &str, format: Format, skip_first: bool, columns: &[(&str, Type)]) -> Vec<Vec<Value>> {
        let columns: Vec<(String, Type)> = columns.iter().map(|(n, t)| ((*n).to_owned(), *t)).collect();
        let data = ExternalData { files: Vec::new(), skip_first, columns: columns.clone() };
        let mut rows = Rows::new(&columns);
        data.read(Box::new(std::io::Cursor::new(text.as_bytes().to_vec())), format, &mut rows).unwrap();
        let batch = rows.finish().unwrap().remove(0);
        let value = |row: usize, i: usize| columns::to_value(columns::value_at(batch.column(i), columns[i].1, row));
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
        let rows = rows_of("one\r\ntwo", Format::Lines, false, &[("line", Type::String), ("more", Type::String)]);
        assert_eq!(rows, [["one", ""], ["two", ""]].map(|r| r.map(|s| Value::String(s.into())).to_vec()));
        let columns = [("a", Type::Long), ("b", Type::String)];
        let rows = rows_of("[{\"a\":1,\"b\":\"x\"},{\"b\":2}]\n{\"a\":\"5\"}", Format::Json, false, &columns);
        assert_eq!(rows[1], [Value::Null, Value::String("2".into())]);
        assert_eq!(rows[2], [Value::Long(5), Value::String(String::new())]);
    }

    #[test]
    fn a_files_name_tells_its_format() {
        assert_eq!(Format::of_path("a/list.TSV.GZ"), Format::Delimited(b'\t'));
        assert_eq!(Format::of_path("a/list.tsv.gz"), Format::Delimited(b'\t'));
        assert_eq!(Format::of_path("a\\list.txt"), Format::Lines);
        assert_eq!(Format::of_path("list"), Format::Delimited(b','));
    }
}
