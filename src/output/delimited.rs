//! CSV and TSV: a header, then one record a row; quoted as RFC 4180 says, lines end with a line feed.

use std::io::{self, Write};

use arrow::record_batch::RecordBatch;

use super::cell::{readers, write_text};
use super::{OutputError, Sink};
use kqlake_value::Column;

/// Writes delimiter-separated values. Several tables follow each other after an empty line.
#[derive(Debug)]
pub(super) struct DelimitedSink<W> {
    out: W,
    delimiter: u8,
    columns: Vec<Column>,
    tables: usize,
}

impl<W: Write> DelimitedSink<W> {
    pub(super) fn new(out: W, delimiter: u8) -> Self {
        DelimitedSink { out, delimiter, columns: Vec::new(), tables: 0 }
    }

    /// A writer into memory: its whole content is handed on at once, so that a batch is one write.
    fn buffer(&self) -> csv::Writer<Vec<u8>> {
        csv::WriterBuilder::new().delimiter(self.delimiter).flexible(true).from_writer(Vec::new())
    }

    fn write_buffer(&mut self, buffer: csv::Writer<Vec<u8>>) -> Result<(), OutputError> {
        let bytes = buffer.into_inner().map_err(|err| err.into_error())?;
        Ok(self.out.write_all(&bytes)?)
    }
}

fn in_memory(err: csv::Error) -> OutputError {
    io::Error::other(err).into()
}

impl<W: Write + Send> Sink for DelimitedSink<W> {
    fn start(&mut self, _name: &str, columns: &[Column]) -> Result<(), OutputError> {
        if self.tables > 0 {
            self.out.write_all(b"\n")?;
        }
        self.tables += 1;
        self.columns = columns.to_vec();
        let mut buffer = self.buffer();
        buffer.write_record(columns.iter().map(|c| &c.name)).map_err(in_memory)?;
        self.write_buffer(buffer)
    }

    fn rows(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        let cells = readers(&self.columns, batch)?;
        let mut buffer = self.buffer();
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            for column in &cells {
                text.clear();
                write_text(&mut text, column.get(row));
                buffer.write_field(&text).map_err(in_memory)?;
            }
            buffer.write_record(None::<&[u8]>).map_err(in_memory)?;
        }
        self.write_buffer(buffer)
    }

    fn end(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        Ok(self.out.flush()?)
    }
}
