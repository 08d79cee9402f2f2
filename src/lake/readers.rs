//! Data files as scans read them: looked at before, named in every error, and read through once one of them is broken.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use super::damage::{Damage, IRREGULAR};
use super::delta::FileEntry;
use super::error::LakeError;
use super::keys::open_file;
use super::provider::LakeTable;
use super::snapshot::LiveFile;

/// Looks at a data file without reading it: it must be there and have the size that the log says. Files never change after
/// they were written.
///
/// # Errors
/// [`LakeError::Damaged`] when it is not; [`LakeError::Io`] when it cannot be looked at.
pub fn check_file(table: &'static str, dir: &Path, entry: &FileEntry) -> Result<(), LakeError> {
    check_size(table, dir.join(&entry.path), entry.size)
}

/// Looks at a data file that a commit lists, or is about to list, as [`check_file`] does.
///
/// # Errors
/// As [`check_file`].
pub fn check_size(table: &'static str, file: PathBuf, expected: u64) -> Result<(), LakeError> {
    let damaged = |damage| Err(LakeError::Damaged { table, damage });
    match std::fs::metadata(&file) {
        Ok(meta) if !meta.is_file() => damaged(Damage::File { file, why: IRREGULAR.to_owned() }),
        Ok(meta) if meta.len() == expected => Ok(()),
        Ok(meta) => damaged(Damage::FileSize { file, found: meta.len(), expected }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => damaged(Damage::MissingFile { file }),
        Err(source) => Err(LakeError::Io { table, path: file, source }),
    }
}

/// Reads a data file through.
///
/// # Errors
/// [`LakeError::Damaged`] when it cannot be read to its end.
pub fn read_through(table: &'static str, dir: &Path, entry: &FileEntry) -> Result<(), LakeError> {
    check_file(table, dir, entry)?;
    let file = dir.join(&entry.path);
    open_file(table, &file, None)?.try_for_each(|batch| batch.map(drop)).map_err(|e| LakeError::of_file(table, &file, &e))
}

/// Looks whether a data file has the columns that its table knows of it: scans ask for those.
fn check_columns(table: &'static str, dir: &Path, file: &LiveFile) -> Result<(), LakeError> {
    let Some(schema) = &file.file_schema else { return Ok(()) };
    let path = dir.join(&file.entry.path);
    let opened = File::open(&path).map_err(|e| LakeError::of_file(table, &path, &e))?;
    let known = ArrowReaderOptions::new().with_schema(Arc::clone(schema));
    ArrowReaderMetadata::load(&opened, known).map(drop).map_err(|e| LakeError::of_file(table, &path, &e))
}

/// The first data file of a plan's tables that is broken: what to say when a query failed inside the decoder, which does
/// not know what it reads. Reads the files through, one after the other.
pub fn broken_file(plan: &LogicalPlan) -> Option<LakeError> {
    let mut found = None;
    let looked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(snapshot) = LakeTable::snapshot_of(provider.as_ref())
        {
            let table = snapshot.def().name;
            let look = |file: &LiveFile| {
                read_through(table, snapshot.dir(), &file.entry).and_then(|()| check_columns(table, snapshot.dir(), file))
            };
            found = snapshot.files().iter().find_map(|file| look(file).err());
        }
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    looked.ok().and(found)
}

/// Makes readers whose errors are [`LakeError`]s that name the file.
#[derive(Debug)]
pub struct NamedReaders {
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
        let inner = self.inner.create_reader(partition_index, file, metadata_size_hint, metrics)?;
        Ok(Box::new(NamedReader { table: self.table, path, inner }))
    }
}

struct NamedReader {
    table: &'static str,
    path: PathBuf,
    inner: Box<dyn AsyncFileReader + Send>,
}

fn named(table: &'static str, path: &Path, error: &ParquetError) -> ParquetError {
    ParquetError::External(Box::new(LakeError::of_file(table, path, error)))
}

impl AsyncFileReader for NamedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        let NamedReader { table, path, inner } = self;
        async move { inner.get_bytes(range).await.map_err(|e| named(table, path, &e)) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        let NamedReader { table, path, inner } = self;
        async move { inner.get_byte_ranges(ranges).await.map_err(|e| named(table, path, &e)) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        let NamedReader { table, path, inner } = self;
        async move { inner.get_metadata(options).await.map_err(|e| named(table, path, &e)) }.boxed()
    }
}
