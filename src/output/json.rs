//! JSON: an array of objects, or one object a line.

use std::io::Write;

use arrow::record_batch::RecordBatch;

use super::cell::{readers, write_json, write_json_of};
use super::{OutputError, Sink};
use kqlake_value::{Column, ValueRef};

/// Writes rows as objects. Several tables: an array of arrays, or the lines of one table after those of the other.
#[derive(Debug)]
pub(super) struct JsonSink<W> {
    out: W,
    /// `"name":` of each column, escaped once.
    keys: Vec<Vec<u8>>,
    columns: Vec<Column>,
    lines: bool,
    several: bool,
    tables: usize,
    rows: u64,
}

impl<W: Write> JsonSink<W> {
    pub(super) fn array(out: W, tables: usize) -> Self {
        JsonSink { out, keys: Vec::new(), columns: Vec::new(), lines: false, several: tables > 1, tables: 0, rows: 0 }
    }

    pub(super) fn lines(out: W) -> Self {
        JsonSink { lines: true, ..JsonSink::array(out, 1) }
    }
}

impl<W: Write + Send> Sink for JsonSink<W> {
    fn start(&mut self, _name: &str, columns: &[Column]) -> Result<(), OutputError> {
        self.columns = columns.to_vec();
        self.keys = columns
            .iter()
            .map(|c| {
                let mut key = Vec::new();
                write_json_of(&mut key, &c.name);
                key.push(b':');
                key
            })
            .collect();
        self.rows = 0;
        if !self.lines {
            match (self.several, self.tables) {
                (true, 0) => self.out.write_all(b"[[")?,
                (true, _) => self.out.write_all(b",\n[")?,
                (false, _) => self.out.write_all(b"[")?,
            }
        }
        self.tables += 1;
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        let cells = readers(&self.columns, batch)?;
        let mut line = Vec::new();
        for row in 0..batch.num_rows() {
            line.clear();
            if !self.lines {
                line.extend_from_slice(if self.rows == 0 { b"\n" } else { b",\n" });
            }
            line.push(b'{');
            for (i, (key, column)) in self.keys.iter().zip(&cells).enumerate() {
                if i > 0 {
                    line.push(b',');
                }
                line.extend_from_slice(key);
                // Strings of KQL are never missing here, those of SQL may be.
                let value = if column.is_missing(row) { ValueRef::Null } else { column.get(row) };
                write_json(&mut line, value);
            }
            line.push(b'}');
            if self.lines {
                line.push(b'\n');
            }
            self.rows += 1;
            self.out.write_all(&line)?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), OutputError> {
        if !self.lines {
            self.out.write_all(if self.rows == 0 { b"]" } else { b"\n]" })?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        if !self.lines {
            let end: &[u8] = match (self.several, self.tables) {
                (true, _) => b"]\n",
                // An answer without a table is still a document.
                (false, 0) => b"[]\n",
                (false, _) => b"\n",
            };
            self.out.write_all(end)?;
        }
        Ok(self.out.flush()?)
    }
}
