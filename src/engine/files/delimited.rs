//! Delimited files (CSV, TSV) as tables: the types of their columns.
//!
//! A column has the narrowest type that keeps all of its texts: 007 is no number, since it would be written as 7, nor is 1.10 beside 1.1,
//! and a date that no calendar has makes its column text.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, Expr, Volatility, cast, create_udf};
use datafusion::prelude::SessionContext;

use super::MAX_HEAD;
use super::written::{self, Bools, Instants, Reals};
use kqlake_value::Type;
use kqlake_value::columns::field;
use kqlake_value::encoding::decoded;

/// The columns of a delimited file.
#[derive(Debug)]
pub(super) struct Delimited {
    /// What stands between two fields.
    pub delimiter: u8,
    /// The columns as they are read: instants as texts.
    pub read: Schema,
    /// The instants among them.
    instants: Vec<String>,
    /// The instants that need the seventh digit of their seconds.
    ticks: Vec<String>,
}

/// What keeps the texts of a column.
enum Kept {
    Bool(Bools),
    Long,
    Real(Reals),
    Instant(Instants),
}

impl Kept {
    /// The way to keep the texts of a type; `None` where text is kept as it is.
    fn of(ty: &DataType) -> Option<Kept> {
        Some(match ty {
            DataType::Boolean => Kept::Bool(Bools::default()),
            DataType::Int64 => Kept::Long,
            DataType::Float64 => Kept::Real(Reals::default()),
            DataType::Date32 | DataType::Timestamp(..) => Kept::Instant(Instants::default()),
            _ => return None,
        })
    }

    fn keep(&mut self, text: &str) -> bool {
        match self {
            Kept::Bool(bools) => bools.keep(text),
            Kept::Long => written::is_long(text),
            Kept::Real(reals) => reals.keep(text),
            Kept::Instant(instants) => instants.keep(text),
        }
    }
}

/// The columns of a delimited file, with the types of all of their values. It is read as one text: DataFusion reads it in pieces, which
/// may end at a line break inside of quotes.
///
/// # Errors
/// The file cannot be read, it may be read with several delimiters, or it names a column twice: the library would number them.
pub(super) fn columns(path: &Path, usual: u8) -> Result<Delimited, String> {
    let file = || File::open(path).map_err(|err| err.to_string());
    let mut head = Vec::new();
    let size = file()?.metadata().map_err(|err| err.to_string())?.len();
    file()?.take(MAX_HEAD).read_to_end(&mut head).map_err(|err| err.to_string())?;
    let delimiter = delimiter(&head, size > head.len() as u64, usual)?;
    named_once(path, delimiter)?;
    let format = arrow::csv::reader::Format::default().with_header(true).with_delimiter(delimiter);
    let inferred = format.infer_schema(BufReader::new(file()?), None);
    let (schema, _) = inferred.map_err(|err| refused(path, delimiter).unwrap_or_else(|| err.to_string()))?;
    let mut fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    let (mut instants, mut ticks) = (Vec::new(), Vec::new());
    for (field, kept) in fields.iter_mut().zip(kept(path, delimiter, &schema)?) {
        let is_time = matches!(field.data_type(), DataType::Timestamp(..));
        match kept {
            // Of texts such as "nan" alone nobody knows that they are numbers.
            Some(Kept::Real(reals)) if reals.any() => {}
            Some(Kept::Instant(kept)) if is_time => {
                field.set_data_type(DataType::Utf8);
                (if kept.need_ticks() { &mut ticks } else { &mut instants }).push(field.name().clone());
            }
            Some(Kept::Bool(_) | Kept::Long | Kept::Instant(_)) => {}
            // Text, or a column without any.
            None if Kept::of(field.data_type()).is_none() => {}
            _ => field.set_data_type(DataType::Utf8),
        }
    }
    Ok(Delimited { delimiter, read: Schema::new(fields), instants, ticks })
}

impl Delimited {
    /// The table of a file that was read with [`Delimited::read`], as SQL takes it and as KQL does. Instants are in microseconds. Those that
    /// need more digits are texts in SQL, and ticks in KQL, noted as datetimes.
    ///
    /// # Errors
    /// Those of DataFusion's plans.
    pub(super) fn tables(
        &self,
        table: Arc<dyn TableProvider>,
        session: &SessionContext,
    ) -> Result<(Arc<dyn TableProvider>, Arc<dyn TableProvider>), DataFusionError> {
        let sql = match self.instants.is_empty() {
            true => table,
            false => {
                let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
                with(table, &self.instants, session, |column, name| cast(column, micros.clone()).alias(name))?
            }
        };
        if self.ticks.is_empty() {
            return Ok((Arc::clone(&sql), sql));
        }
        let read = create_udf(
            "ticks_of_text",
            vec![DataType::Utf8],
            DataType::Int64,
            Volatility::Immutable,
            Arc::new(|args: &[ColumnarValue]| {
                let texts = ColumnarValue::values_to_arrays(args)?;
                let ticks = texts[0].as_string::<i32>().iter().map(|text| written::ticks(text?)).collect::<Int64Array>();
                Ok(ColumnarValue::Array(Arc::new(ticks) as ArrayRef))
            }),
        );
        let noted = |name: &str| Some(field(name, Type::DateTime).metadata().into());
        let kql = with(Arc::clone(&sql), &self.ticks, session, |column, name| {
            read.call(vec![column]).alias_with_metadata(name, noted(name))
        })?;
        Ok((sql, kql))
    }
}

/// A table with other expressions for some of its columns.
fn with(
    table: Arc<dyn TableProvider>,
    names: &[String],
    session: &SessionContext,
    change: impl Fn(Expr, &str) -> Expr,
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let schema = table.schema();
    let columns = schema.fields().iter().map(|field| {
        let column = Expr::Column(datafusion::common::Column::from_name(field.name()));
        if names.contains(field.name()) { change(column, field.name()) } else { column }
    });
    Ok(session.read_table(table)?.select(columns.collect::<Vec<_>>())?.into_view())
}

/// What stands between the fields of a text, of which `head` is the beginning, or all of it.
///
/// A delimiter fits where the header and all records have as many fields, two or more, by it. A record that the end of the head
/// cuts does not count. Where a text is said to have commas, semicolons and tabs are tried as well: where a comma stands in numbers,
/// spreadsheets write a semicolon between fields. Where none fits it is the one by which three quarters are like the header, so that the
/// others are refused; else it is `usual`: the text has one column by it, or is refused for its records.
///
/// # Errors
/// Several fit, as in `price,EUR;qty` above `1,5;2`: each of them would give other columns.
pub(in crate::engine) fn delimiter(head: &[u8], is_cut: bool, usual: u8) -> Result<u8, String> {
    // How many records there are, and how many have as many fields as the header, of which there are two or more.
    let like_header = |delimiter: &u8| {
        let mut reader = csv::ReaderBuilder::new().delimiter(*delimiter).flexible(true).has_headers(false).from_reader(head);
        let (mut record, mut header) = (csv::ByteRecord::new(), None);
        let (mut all, mut fitting) = (0_usize, 0_usize);
        while reader.read_byte_record(&mut record).unwrap_or_default() {
            if is_cut && reader.position().byte() >= head.len() as u64 {
                break;
            }
            all += 1;
            fitting += usize::from(record.len() == *header.get_or_insert(record.len()));
        }
        header.filter(|fields| *fields > 1).map(|_| (all, fitting))
    };
    let candidates: &[u8] = if usual == b',' { b",;\t" } else { &[usual] };
    let found: Vec<(u8, usize, usize)> = candidates
        .iter()
        .filter_map(|candidate| like_header(candidate).map(|(all, fitting)| (*candidate, all, fitting)))
        .collect();
    let those = |fits: fn(usize, usize) -> bool| -> Vec<u8> {
        found.iter().filter(|(_, all, fitting)| fits(*all, *fitting)).map(|(candidate, ..)| *candidate).collect()
    };
    let fitting = those(|all, fitting| fitting == all);
    match fitting[..] {
        // A record that is not as the others is named by what separates the others.
        [] => Ok(match those(|all, fitting| fitting * 4 >= all * 3)[..] {
            [one] => one,
            _ => usual,
        }),
        [one] => Ok(one),
        [..] => Err(format!(
            "its fields may be separated by {}: quote the fields that hold another one than the separator, or save it with tabs as .tsv",
            fitting.into_iter().map(shown).collect::<Vec<_>>().join(" or ")
        )),
    }
}

/// A delimiter as messages show it.
fn shown(delimiter: u8) -> String {
    if delimiter == b'\t' { "a tab".to_owned() } else { format!("`{}`", char::from(delimiter)) }
}

/// Why a file cannot be read that the library refused: the first record with more or fewer fields than the header, or in no UTF-8.
fn refused(path: &Path, delimiter: u8) -> Option<String> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).has_headers(false).from_path(path).ok()?;
    let (mut record, mut header) = (csv::ByteRecord::new(), None);
    while reader.read_byte_record(&mut record).ok()? {
        let begin = record.position().map_or(0, csv::Position::byte);
        if let Err(mut wrong) = decoded(record.as_slice().to_vec()) {
            wrong.line = line(path, begin).ok()?;
            return Some(format!("{wrong}; save it as UTF-8"));
        }
        let (fields, of_header) = (record.len(), *header.get_or_insert(record.len()));
        if fields != of_header {
            let line = line(path, begin).ok()?;
            let separator = shown(delimiter);
            return Some(format!("line {line} has {fields} fields, and its header {of_header}, with {separator} between them"));
        }
    }
    None
}

/// The line of a record that begins at a byte; the crate's own begins with the second half of the line end before it.
fn line(path: &Path, begin: u64) -> io::Result<usize> {
    let mut file = BufReader::new(File::open(path)?);
    let mut lines = 1;
    for byte in (&mut file).take(begin).bytes() {
        lines += usize::from(byte? == b'\n');
    }
    Ok(lines + usize::from(file.fill_buf()?.first() == Some(&b'\n')))
}

/// Refuses delimited files that name a column twice.
fn named_once(path: &Path, delimiter: u8) -> Result<(), String> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_path(path).map_err(|err| err.to_string())?;
    let header = reader.byte_headers().map_err(|err| err.to_string())?;
    super::distinct(header.iter())
}

/// What keeps the texts of each column; `None` for those whose type does not keep them all.
fn kept(path: &Path, delimiter: u8, schema: &Schema) -> Result<Vec<Option<Kept>>, String> {
    let mut kept: Vec<Option<Kept>> = schema.fields().iter().map(|field| Kept::of(field.data_type())).collect();
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_path(path).map_err(|err| err.to_string())?;
    let mut record = csv::StringRecord::new();
    while kept.iter().any(Option::is_some) && reader.read_record(&mut record).map_err(|err| err.to_string())? {
        for (column, text) in kept.iter_mut().zip(&record) {
            if !text.is_empty() && column.as_mut().is_some_and(|kept| !kept.keep(text)) {
                *column = None;
            }
        }
    }
    Ok(kept)
}
