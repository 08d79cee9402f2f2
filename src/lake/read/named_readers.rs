//! Readers of data files that name the file in every error.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use crate::error::LakeError;

/// Makes readers whose errors are [`LakeError`]s that name the file.
#[derive(Debug)]
pub(super) struct NamedReaders {
    /// The table.
    pub table: &'static str,
    /// Makes the readers.
    pub inner: Arc<dyn ParquetFileReaderFactory>,
}

impl ParquetFileReaderFactory for NamedReaders {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> datafusion::error::Result<Box<dyn AsyncFileReader + Send>> {
        // Locations of the local store are paths without the slash in front.
        let path = Path::new("/").join(file.object_meta.location.as_ref());
        let size = file.object_meta.size;
        let inner = self.inner.create_reader(partition_index, file, metadata_size_hint, metrics)?;
        Ok(Box::new(NamedReader { table: self.table, path, size, inner }))
    }
}

struct NamedReader {
    table: &'static str,
    path: PathBuf,
    /// Bytes of the file.
    size: u64,
    inner: Box<dyn AsyncFileReader + Send>,
}

/// Bytes behind the footer: its length, and what every Parquet file ends with.
const TAIL: u64 = 8;

/// Whether the length of a footer, which a file's last bytes say, leaves room for the footer in the file. The readers rely on it.
fn check_tail(tail: &[u8], size: u64) -> parquet::errors::Result<()> {
    match tail.first_chunk::<4>().map(|length| u64::from(u32::from_le_bytes(*length))) {
        Some(length) if length.saturating_add(TAIL) <= size => Ok(()),
        Some(length) => Err(ParquetError::General(format!("the footer is said to have {length} bytes, of {size} of the file"))),
        None => Err(ParquetError::General(format!("{size} bytes are no Parquet file"))),
    }
}

fn named(table: &'static str, path: &Path, error: &ParquetError) -> ParquetError {
    ParquetError::External(Box::new(LakeError::of_file(table, path, error)))
}

impl AsyncFileReader for NamedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        let NamedReader { table, path, inner, .. } = self;
        async move { inner.get_bytes(range).await.map_err(|e| named(table, path, &e)) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        let NamedReader { table, path, inner, .. } = self;
        async move { inner.get_byte_ranges(ranges).await.map_err(|e| named(table, path, &e)) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        let NamedReader { table, path, size, inner } = self;
        async move {
            let known = async {
                let tail = inner.get_bytes(size.saturating_sub(TAIL)..*size).await?;
                check_tail(&tail, *size)?;
                inner.get_metadata(options).await
            };
            known.await.map_err(|e| named(table, path, &e))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_has_room_in_its_file() {
        let tail = |length: u32| [length.to_le_bytes(), *b"PAR1"].concat();
        assert!(check_tail(&tail(92), 100).is_ok());
        assert!(check_tail(&tail(93), 100).is_err());
        assert!(check_tail(&tail(u32::MAX), u64::from(u32::MAX)).is_err());
        assert!(check_tail(b"PAR", 3).is_err());
    }
}
