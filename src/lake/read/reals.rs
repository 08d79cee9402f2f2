//! Bounds of reals, which no scan knows.
//!
//! The bounds of a row group and of a page leave NaN out (Parquet format, `ColumnOrder`: "NaNs should not be written to min or max
//! statistics fields"), and DataFusion takes them for bounds of all values: it skips rows of NaN where all others are 5 and `x != 5` is
//! asked for, or none is greater than 6 and `x > 6` is, since NaN is greater than all numbers in SQL; a filter that a join or a sort
//! makes while it runs does the same. A Bloom filter distinguishes zeros by their signs, and NaN by its bits. Which expressions NaN
//! passes need not be known where no filter sees a bound; rows are told apart by the filter itself.

use parquet::basic::{LogicalType, Type};
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

/// A footer without bounds and Bloom filters of its columns of reals, those inside of others included.
///
/// # Errors
/// A row group has not the columns of the file.
pub(super) fn without_bounds_of_reals(metadata: ParquetMetaData) -> Result<ParquetMetaData> {
    if !has_reals(metadata.file_metadata().schema_descr()) {
        return Ok(metadata);
    }
    let mut builder = metadata.into_builder();
    let groups = builder.take_row_groups().into_iter().map(without_bounds).collect::<Result<Vec<_>>>()?;
    let index = builder.take_column_index().map(|mut index| {
        for (pages, group) in index.iter_mut().zip(&groups) {
            for (pages, column) in pages.iter_mut().zip(group.columns()) {
                if is_of_reals(column.column_descr()) {
                    *pages = ColumnIndexMetaData::NONE;
                }
            }
        }
        index
    });
    Ok(builder.set_row_groups(groups).set_column_index(index).build())
}

/// True for a file with a column of reals.
fn has_reals(schema: &SchemaDescriptor) -> bool {
    schema.columns().iter().any(|column| is_of_reals(column))
}

fn is_of_reals(column: &ColumnDescriptor) -> bool {
    matches!(column.physical_type(), Type::FLOAT | Type::DOUBLE)
        || matches!(column.logical_type_ref(), Some(LogicalType::Float16))
}

fn without_bounds(group: RowGroupMetaData) -> Result<RowGroupMetaData> {
    let mut builder = group.into_builder();
    let columns = builder.take_columns().into_iter().map(|column| match is_of_reals(column.column_descr()) {
        true => without_bounds_of(column),
        false => Ok(column),
    });
    builder = builder.set_column_metadata(columns.collect::<Result<_>>()?);
    builder.build()
}

fn without_bounds_of(column: ColumnChunkMetaData) -> Result<ColumnChunkMetaData> {
    let builder = column.into_builder().clear_statistics();
    let builder = builder.set_column_index_offset(None).set_column_index_length(None);
    builder.set_bloom_filter_offset(None).set_bloom_filter_length(None).build()
}
