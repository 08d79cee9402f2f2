//! Results into bytes: one writer for each format, fed batch by batch, knowing nothing but columns and batches.

pub(crate) mod cell;
mod delimited;
mod json;
mod kusto;
pub(crate) mod listing;
mod markdown;
mod parquet;
mod table;
pub(crate) mod terminal;

use std::io::{self, Write};
use std::path::Path;

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use crate::error::Error;
use kqlake_value::Column;

/// A way to write results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Drawn table, for people.
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// Tab-separated values with a header.
    Tsv,
    /// One JSON array of objects.
    Json,
    /// One JSON object a line.
    #[value(alias = "jsonl")]
    Ndjson,
    /// Markdown table.
    #[value(alias = "md")]
    Markdown,
    /// Parquet file (with -o).
    Parquet,
    /// Kusto v1 answer.
    Kusto,
}

/// The endings of [`Format::of_path`], in words.
pub(crate) const ENDINGS: &str = ".csv, .tsv, .tab, .json, .ndjson, .jsonl, .md, .markdown, .txt or .parquet";

impl Format {
    /// The format that a file's ending stands for.
    pub fn of_path(path: &Path) -> Option<Format> {
        Some(match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "txt" => Format::Table,
            "csv" => Format::Csv,
            "tsv" | "tab" => Format::Tsv,
            "json" => Format::Json,
            "ndjson" | "jsonl" => Format::Ndjson,
            "md" | "markdown" => Format::Markdown,
            "parquet" => Format::Parquet,
            _ => return None,
        })
    }
}

/// What went wrong while writing.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The bytes could not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A column has no form that this format can write.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// The Parquet writer failed.
    #[error(transparent)]
    Parquet(#[from] ::parquet::errors::ParquetError),
}

impl From<OutputError> for Error {
    fn from(err: OutputError) -> Self {
        let kind = match &err {
            OutputError::Io(io) => Some(io.kind()),
            OutputError::Arrow(ArrowError::IoError(_, io)) => Some(io.kind()),
            OutputError::Parquet(::parquet::errors::ParquetError::External(source)) => {
                source.downcast_ref::<io::Error>().map(io::Error::kind)
            }
            _ => None,
        };
        match kind {
            Some(io::ErrorKind::BrokenPipe) => Error::ClosedPipe,
            Some(io::ErrorKind::StorageFull) => {
                Error::storage("cannot write the result", err).hint("free some space on the disk and run the same command again")
            }
            _ => Error::storage("cannot write the result", err),
        }
    }
}

/// Writes the tables of one answer, one after the other: `start`, any number of `rows`, `end`; at last `finish`.
pub trait Sink: Send {
    /// Begins a table.
    ///
    /// # Errors
    /// When the bytes cannot be written.
    fn start(&mut self, name: &str, columns: &[Column]) -> Result<(), OutputError>;
    /// Writes rows of the table that was begun.
    ///
    /// # Errors
    /// When the bytes cannot be written, or a column is of an unexpected Arrow type.
    fn rows(&mut self, batch: &RecordBatch) -> Result<(), OutputError>;
    /// Ends the table.
    ///
    /// # Errors
    /// When the bytes cannot be written.
    fn end(&mut self) -> Result<(), OutputError>;
    /// Ends the answer and flushes.
    ///
    /// # Errors
    /// When the bytes cannot be written.
    fn finish(&mut self) -> Result<(), OutputError>;
    /// Rows of the tables that were left out of the output, and shown ones, when the format shows only some.
    fn truncation(&self) -> Option<Truncation> {
        None
    }
}

/// How much of a table was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Truncation {
    /// Rows drawn.
    pub shown: usize,
    /// Rows there were.
    pub total: usize,
    /// Columns that did not fit into the width.
    pub columns_hidden: usize,
}

/// How a table is drawn.
#[derive(Debug, Clone, Copy)]
pub struct TableStyle {
    /// Most rows drawn of each table; `None` draws all.
    pub max_rows: Option<usize>,
    /// Width to fit into; `None` lets columns be as wide as their content.
    pub width: Option<u16>,
}

impl Default for TableStyle {
    fn default() -> Self {
        TableStyle { max_rows: Some(40), width: None }
    }
}

/// The writer of a format for an answer of `tables` tables.
pub fn sink<'w>(format: Format, out: impl Write + Send + 'w, tables: usize, style: TableStyle) -> Box<dyn Sink + 'w> {
    match format {
        Format::Table => Box::new(table::TableSink::new(out, style, tables > 1)),
        Format::Csv => Box::new(delimited::DelimitedSink::new(out, b',')),
        Format::Tsv => Box::new(delimited::DelimitedSink::new(out, b'\t')),
        Format::Json => Box::new(json::JsonSink::array(out, tables)),
        Format::Ndjson => Box::new(json::JsonSink::lines(out)),
        Format::Markdown => Box::new(markdown::MarkdownSink::new(out)),
        Format::Parquet => Box::new(parquet::ParquetSink::new(out)),
        Format::Kusto => Box::new(kusto::KustoSink::new(out)),
    }
}

#[cfg(test)]
mod tests;
