//! The answer of Kusto's v1 query endpoint (Kusto documentation, "Query V1 HTTP response").
//!
//! `{"Tables":[{"TableName":"Table_0","Columns":[{"ColumnName","DataType","ColumnType"}],"Rows":[[…]]}]}`; numbers are
//! JSON numbers, NaN and the infinities and decimals are text, datetimes have seven digits and a `Z`, a dynamic is the
//! JSON value itself, and a string is never null.

use std::io::Write;

use arrow::record_batch::RecordBatch;

use super::cell::{readers, write_json, write_json_of};
use super::{OutputError, Sink};
use kqlake_value::{Column, Type};

/// Writes a Kusto v1 answer.
#[derive(Debug)]
pub(super) struct KustoSink<W> {
    out: W,
    columns: Vec<Column>,
    tables: usize,
    rows: u64,
}

impl<W: Write> KustoSink<W> {
    pub(super) fn new(out: W) -> Self {
        KustoSink { out, columns: Vec::new(), tables: 0, rows: 0 }
    }
}

/// The .NET name without its name space, as v1 answers write it in `DataType`.
fn data_type(ty: Type) -> &'static str {
    let name = ty.dotnet_name();
    name.rsplit('.').next().unwrap_or(name)
}

impl<W: Write + Send> Sink for KustoSink<W> {
    fn start(&mut self, _name: &str, columns: &[Column]) -> Result<(), OutputError> {
        let mut head = Vec::new();
        head.extend_from_slice(if self.tables == 0 { b"{\"Tables\":[" } else { b",\n" });
        write!(head, "{{\"TableName\":\"Table_{}\",\"Columns\":[", self.tables)?;
        for (i, column) in columns.iter().enumerate() {
            if i > 0 {
                head.push(b',');
            }
            head.extend_from_slice(b"{\"ColumnName\":");
            write_json_of(&mut head, &column.name);
            write!(head, ",\"DataType\":\"{}\",\"ColumnType\":\"{}\"}}", data_type(column.ty), column.ty)?;
        }
        head.extend_from_slice(b"],\"Rows\":[");
        self.columns = columns.to_vec();
        self.tables += 1;
        self.rows = 0;
        Ok(self.out.write_all(&head)?)
    }

    fn rows(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        let cells = readers(&self.columns, batch)?;
        let mut line = Vec::new();
        for row in 0..batch.num_rows() {
            line.clear();
            line.extend_from_slice(if self.rows == 0 { b"\n[" } else { b",\n[" });
            for (i, column) in cells.iter().enumerate() {
                if i > 0 {
                    line.push(b',');
                }
                write_json(&mut line, column.get(row));
            }
            line.push(b']');
            self.rows += 1;
            self.out.write_all(&line)?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), OutputError> {
        Ok(self.out.write_all(b"]}")?)
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        self.out.write_all(if self.tables == 0 { b"{\"Tables\":[]}\n" } else { b"]}\n" })?;
        Ok(self.out.flush()?)
    }
}
