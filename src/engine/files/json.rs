//! Local files of JSON as tables. What a key holds in all of the file decides the type of its column: one kind of scalar gives its
//! type; bags, arrays and kinds that differ are dynamic, with the text that the file has.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;
use serde::Deserializer as _;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::written::has_room;
use kqlake_durable::pipe;
use kqlake_value::Type;
use kqlake_value::columns::field;
use kqlake_value::json::{compact, elements, members, too_deep, unescape, unquote};
use kqlake_value::parse::BYTE_ORDER_MARK;
use kqlake_value::text_column::TextBuilder;

/// Rows and bytes of text that a batch has at most, or one row more.
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: usize = 8 << 20;
/// Keys that the objects of a file may have together.
const MAX_KEYS: usize = 10_000;
/// Integers up to this size are reals as well.
const WIDEST: i64 = 1 << 53;

/// Opens a file of JSON: one object after the other, or arrays of objects.
pub(super) fn open(path: &Path) -> Result<Arc<dyn TableProvider>, String> {
    let mut keys = Keys::default();
    each_object(path, |members| keys.see(members))?;
    let columns: Vec<(String, Type)> = keys.seen.into_iter().map(|(name, kinds)| (name, kinds.ty())).collect();
    let schema: SchemaRef = Arc::new(Schema::new(columns.iter().map(|(name, ty)| field(name, *ty)).collect::<Vec<_>>()));
    let file = JsonFile { path: path.to_owned(), columns: columns.into(), schema: Arc::clone(&schema) };
    let table = StreamingTable::try_new(schema, vec![Arc::new(file)]).map_err(|err| err.strip_backtrace())?;
    Ok(Arc::new(table))
}

/// What is wrong with a text; its parser says where, and not that it is meant to be JSON.
fn in_words(error: serde_json::Error) -> String {
    if error.is_syntax() || error.is_eof() { format!("it is no JSON: {error}") } else { error.to_string() }
}

/// Calls `record` with the members of each object, the raw keys between their quotes and the raw values.
fn each_object(path: &Path, mut record: impl FnMut(&[(&str, &str)]) -> Result<(), String>) -> Result<(), String> {
    let mut reader = BufReader::with_capacity(1 << 16, pipe::read(path).map_err(|err| err.to_string())?);
    let is_array = begins_an_array(&mut reader).map_err(|err| err.to_string())?;
    let mut number = 0_u64;
    let mut object = |text: &str| {
        number += 1;
        let wrong = |why: &str| format!("record {number}: {why}");
        if too_deep(text) {
            return Err(wrong("it is nested too deeply"));
        }
        let members = members(text).ok_or_else(|| wrong("it is no object"))?;
        record(&members)
    };
    let mut documents = serde_json::Deserializer::from_reader(reader);
    if is_array {
        (&mut documents).deserialize_seq(Each(&mut object)).map_err(in_words)?;
    }
    for document in documents.into_iter::<Box<RawValue>>() {
        let document = document.map_err(in_words)?;
        match elements(document.get()) {
            Some(mut elements) => elements.try_for_each(&mut object)?,
            None => object(document.get())?,
        }
    }
    Ok(())
}

/// True where the first thing is an array. A mark of the order of bytes is skipped.
fn begins_an_array(reader: &mut BufReader<impl Read>) -> io::Result<bool> {
    if reader.fill_buf()?.starts_with(&BYTE_ORDER_MARK) {
        reader.consume(BYTE_ORDER_MARK.len());
    }
    loop {
        let buffer = reader.fill_buf()?;
        let white = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if white < buffer.len() || buffer.is_empty() {
            return Ok(buffer.get(white) == Some(&b'['));
        }
        reader.consume(white);
    }
}

/// Hands on the elements of an array, without holding it.
struct Each<F>(F);

impl<'de, F: FnMut(&str) -> Result<(), String>> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(element) = seq.next_element::<Box<RawValue>>()? {
            (self.0)(element.get()).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// The keys of a file in the order in which they come, with what they hold.
#[derive(Default)]
struct Keys {
    seen: Vec<(String, Kinds)>,
    places: HashMap<String, usize>,
}

impl Keys {
    fn see(&mut self, members: &[(&str, &str)]) -> Result<(), String> {
        for (raw, value) in members {
            let key = unescape(raw);
            let place = match self.places.get(key.as_ref()) {
                Some(place) => *place,
                None if self.seen.len() == MAX_KEYS => return Err(format!("its objects have more than {MAX_KEYS} keys")),
                None => {
                    self.places.insert(key.clone().into_owned(), self.seen.len());
                    self.seen.push((key.into_owned(), Kinds::default()));
                    self.seen.len() - 1
                }
            };
            self.seen[place].1.see(value);
        }
        Ok(())
    }
}

/// The kinds of values that a key holds. A null is of none.
#[derive(Debug, Default, Clone, Copy)]
struct Kinds {
    bool: bool,
    long: bool,
    /// An integer that a real does not hold exactly.
    wide: bool,
    real: bool,
    string: bool,
    other: bool,
}

impl Kinds {
    fn see(&mut self, value: &str) {
        match value.as_bytes().first() {
            Some(b'"') => self.string = true,
            Some(b't' | b'f') => self.bool = true,
            Some(b'n') => {}
            Some(b'{' | b'[') => self.other = true,
            _ => match value.parse::<i64>() {
                // No long has a sign of zero.
                Ok(0) if value != "0" => self.real = true,
                Ok(long) => {
                    self.long = true;
                    self.wide |= long.unsigned_abs() > WIDEST.unsigned_abs();
                }
                Err(_) if value.contains(['.', 'e', 'E']) && has_room(value) => self.real = true,
                // A number that has no room in a long or a real.
                Err(_) => self.other = true,
            },
        }
    }

    fn ty(self) -> Type {
        let number = self.long || self.real;
        match (self.bool, number, self.string, self.other) {
            (true, false, false, false) => Type::Bool,
            (false, true, false, false) if !self.real => Type::Long,
            (false, true, false, false) if !self.wide => Type::Real,
            (false, false, _, false) => Type::String,
            _ => Type::Dynamic,
        }
    }
}

#[derive(Debug)]
struct JsonFile {
    path: PathBuf,
    columns: Arc<[(String, Type)]>,
    schema: SchemaRef,
}

impl PartitionStream for JsonFile {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), 2);
        let sender = stream.tx();
        let (path, columns, schema) = (self.path.clone(), Arc::clone(&self.columns), Arc::clone(&self.schema));
        stream.spawn_blocking(move || {
            let failed = |why: String| DataFusionError::Execution(format!("cannot read {}: {why}", path.display()));
            let mut rows = Rows::new(&columns, &schema);
            // Nobody waits for more.
            let mut closed = false;
            let read = each_object(&path, |members| {
                if let Some(batch) = rows.push(members)? {
                    closed = sender.blocking_send(Ok(batch)).is_err();
                }
                if closed { Err(String::new()) } else { Ok(()) }
            });
            if closed {
                return Ok(());
            }
            read.map_err(failed)?;
            let last = rows.batch().map_err(failed)?;
            let _ = sender.blocking_send(Ok(last));
            Ok(())
        });
        stream.build()
    }
}

enum Builder {
    Bool(BooleanBuilder),
    Long(Int64Builder),
    Real(Float64Builder),
    String(TextBuilder),
    Dynamic(TextBuilder),
}

impl Builder {
    fn new(ty: Type) -> Builder {
        match ty {
            Type::Bool => Builder::Bool(BooleanBuilder::new()),
            Type::Long => Builder::Long(Int64Builder::new()),
            Type::Real => Builder::Real(Float64Builder::new()),
            Type::Dynamic => Builder::Dynamic(TextBuilder::new(0)),
            _ => Builder::String(TextBuilder::new(0)),
        }
    }

    /// Appends a raw value; `None` where it is not of the column's type.
    fn push(&mut self, value: &str) -> Option<()> {
        if value == "null" {
            self.push_null();
            return Some(());
        }
        match self {
            Builder::Bool(builder) => builder.append_value(value.parse().ok()?),
            Builder::Long(builder) => builder.append_value(value.parse().ok()?),
            Builder::Real(builder) => builder.append_value(value.parse().ok()?),
            Builder::String(builder) => builder.push(&value.starts_with('"').then(|| unquote(value))?),
            Builder::Dynamic(builder) => builder.push(&compact(value)),
        }
        Some(())
    }

    fn push_null(&mut self) {
        match self {
            Builder::Bool(builder) => builder.append_null(),
            Builder::Long(builder) => builder.append_null(),
            Builder::Real(builder) => builder.append_null(),
            Builder::String(builder) | Builder::Dynamic(builder) => builder.push_null(),
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, String> {
        Ok(match self {
            Builder::Bool(builder) => Arc::new(builder.finish()),
            Builder::Long(builder) => Arc::new(builder.finish()),
            Builder::Real(builder) => Arc::new(builder.finish()),
            Builder::String(builder) | Builder::Dynamic(builder) => builder.finish()?,
        })
    }
}

struct Rows<'c> {
    schema: &'c SchemaRef,
    places: HashMap<&'c str, usize>,
    builders: Vec<Builder>,
    /// The last row in which each column has a value.
    filled: Vec<usize>,
    rows: usize,
    bytes: usize,
}

impl<'c> Rows<'c> {
    fn new(columns: &'c [(String, Type)], schema: &'c SchemaRef) -> Rows<'c> {
        Rows {
            schema,
            places: columns.iter().enumerate().map(|(place, (name, _))| (name.as_str(), place)).collect(),
            builders: columns.iter().map(|(_, ty)| Builder::new(*ty)).collect(),
            filled: vec![0; columns.len()],
            rows: 0,
            bytes: 0,
        }
    }

    /// A batch where it is full.
    fn push(&mut self, members: &[(&str, &str)]) -> Result<Option<RecordBatch>, String> {
        self.rows += 1;
        for (raw, value) in members {
            let key = unescape(raw);
            let changed = || format!("its key '{key}' has become another since the file was opened");
            let place = *self.places.get(key.as_ref()).ok_or_else(changed)?;
            self.builders[place].push(value).ok_or_else(changed)?;
            self.filled[place] = self.rows;
            self.bytes += value.len();
        }
        for (builder, filled) in self.builders.iter_mut().zip(&mut self.filled) {
            if *filled < self.rows {
                builder.push_null();
                *filled = self.rows;
            }
        }
        if self.rows < BATCH_ROWS && self.bytes < BATCH_BYTES { Ok(None) } else { self.batch().map(Some) }
    }

    fn batch(&mut self) -> Result<RecordBatch, String> {
        let arrays = self.builders.iter_mut().map(Builder::finish).collect::<Result<_, _>>()?;
        (self.rows, self.bytes) = (0, 0);
        self.filled.fill(0);
        RecordBatch::try_new(Arc::clone(self.schema), arrays).map_err(|err| err.to_string())
    }
}
