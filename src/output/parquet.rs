//! Parquet: the result as one file, with its KQL types in the fields' metadata. Datetimes have microseconds there.

use std::io::Write;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::{OutputError, Sink};
use kqlake_value::Column;
use kqlake_value::columns::{field_type, in_stored_form, stored_field};

/// Writes one table as a Parquet file.
pub(super) struct ParquetSink<W: Write + Send> {
    out: Option<W>,
    writer: Option<ArrowWriter<W>>,
    schema: SchemaRef,
}

impl<W: Write + Send> ParquetSink<W> {
    pub(super) fn new(out: W) -> Self {
        ParquetSink { out: Some(out), writer: None, schema: Arc::new(Schema::empty()) }
    }
}

impl<W: Write + Send> Sink for ParquetSink<W> {
    fn start(&mut self, _name: &str, columns: &[Column]) -> Result<(), OutputError> {
        let fields: Vec<Field> = columns.iter().map(|c| stored_field(&c.name, c.ty)).collect();
        self.schema = Arc::new(Schema::new(fields));
        let out = self.out.take().ok_or_else(|| std::io::Error::other("a Parquet file holds one table"))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_created_by(format!("kqlake {}", env!("CARGO_PKG_VERSION")))
            .build();
        self.writer = Some(ArrowWriter::try_new(out, Arc::clone(&self.schema), Some(properties))?);
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        let arrays: Vec<ArrayRef> = batch
            .columns()
            .iter()
            .zip(self.schema.fields())
            .map(|(array, field)| in_stored_form(array, field_type(field)).map_err(ArrowError::CastError))
            .collect::<Result<_, _>>()?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)?;
        if let Some(writer) = &mut self.writer {
            writer.write(&batch)?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        if let Some(writer) = self.writer.take() {
            writer.into_inner()?.flush()?;
        }
        Ok(())
    }
}
