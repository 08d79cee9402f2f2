//! Delimited files (CSV, TSV) as tables: the types of their columns.
//!
//! A column has the narrowest type that keeps all of its texts: 007 is no number, since it would be written as 7, and a date that no
//! calendar has makes its column text.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use arrow::array::types::Date32Type;
use arrow::compute::kernels::cast_utils::{Parser as _, string_to_datetime};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use chrono::Utc;
use datafusion::catalog::TableProvider;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, cast};
use datafusion::prelude::SessionContext;

/// The columns of a delimited file.
#[derive(Debug)]
pub(super) struct Delimited {
    /// The columns as they are read: instants, whose digits may be finer than any type that reaches all years, as texts.
    pub read: Schema,
    /// The instants among them.
    instants: Vec<String>,
}

/// The columns of a delimited file, with the types of all of their values. It is read as one text: DataFusion reads it in pieces, which
/// may end at a line break inside of quotes.
///
/// # Errors
/// The file cannot be read, or names a column twice: the library would number them.
pub(super) fn columns(path: &Path, delimiter: u8) -> Result<Delimited, String> {
    named_once(path, delimiter)?;
    let file = File::open(path).map_err(|err| err.to_string())?;
    let format = arrow::csv::reader::Format::default().with_header(true).with_delimiter(delimiter);
    let (schema, _) = format.infer_schema(BufReader::new(file), None).map_err(|err| err.to_string())?;
    let mut fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    for column in texts_that_change(path, delimiter, &schema)? {
        fields[column].set_data_type(DataType::Utf8);
    }
    let mut instants = Vec::new();
    for field in &mut fields {
        if matches!(field.data_type(), DataType::Timestamp(..)) {
            field.set_data_type(DataType::Utf8);
            instants.push(field.name().clone());
        }
    }
    Ok(Delimited { read: Schema::new(fields), instants })
}

impl Delimited {
    /// The table of a file that was read with [`Delimited::read`]. Instants are in microseconds: further digits are dropped.
    ///
    /// # Errors
    /// Those of DataFusion's plans.
    pub(super) fn table(
        &self,
        table: Arc<dyn TableProvider>,
        session: &SessionContext,
    ) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        if self.instants.is_empty() {
            return Ok(table);
        }
        let columns: Vec<Expr> = self
            .read
            .fields()
            .iter()
            .map(|field| {
                let column = Expr::Column(datafusion::common::Column::from_name(field.name()));
                match self.instants.contains(field.name()) {
                    true => cast(column, DataType::Timestamp(TimeUnit::Microsecond, None)).alias(field.name()),
                    false => column,
                }
            })
            .collect();
        Ok(session.read_table(table)?.select(columns)?.into_view())
    }
}

/// Refuses delimited files that name a column twice.
fn named_once(path: &Path, delimiter: u8) -> Result<(), String> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_path(path).map_err(|err| err.to_string())?;
    let header = reader.byte_headers().map_err(|err| err.to_string())?;
    super::distinct(header.iter())
}

/// The places of columns with a text that their type does not keep.
fn texts_that_change(path: &Path, delimiter: u8, schema: &Schema) -> Result<Vec<usize>, String> {
    let mut checks: BTreeMap<usize, fn(&str) -> bool> = BTreeMap::new();
    for (place, field) in schema.fields().iter().enumerate() {
        let keeps: fn(&str) -> bool = match field.data_type() {
            DataType::Int64 => |text| is_written_as_number(text) && text.parse::<i64>().is_ok(),
            DataType::Float64 => is_written_as_number,
            DataType::Date32 => |text| Date32Type::parse(text).is_some(),
            DataType::Timestamp(..) => |text| string_to_datetime(&Utc, text).is_ok(),
            _ => continue,
        };
        checks.insert(place, keeps);
    }
    let mut changed = Vec::new();
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_path(path).map_err(|err| err.to_string())?;
    let mut record = csv::StringRecord::new();
    while !checks.is_empty() && reader.read_record(&mut record).map_err(|err| err.to_string())? {
        checks.retain(|place, keeps| {
            let kept = record.get(*place).is_none_or(|text| text.is_empty() || keeps(text));
            if !kept {
                changed.push(*place);
            }
            kept
        });
    }
    Ok(changed)
}

/// False for a number with leading zeros, which are no part of its value but of what it stands for: a postal code, an account.
fn is_written_as_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text).as_bytes();
    !matches!(digits, [b'0', b'0'..=b'9', ..])
}
