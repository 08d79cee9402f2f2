//! Parquet files as the library reads them, but for what it must not believe of them.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::catalog::Session;
use datafusion::common::{ColumnStatistics, Result, Statistics};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{
    FileScanConfig, FileScanConfigBuilder, FileSource, ParquetFileReaderFactory, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::file::metadata::ParquetMetaData;

use super::reals::without_bounds_of_reals;

/// DataFusion's Parquet without bounds of reals, and without an order of files.
///
/// Bounds of reals leave NaN out: DataFusion would take a column with NaN beside one other number for that number in all rows, and leave
/// out rows of NaN (see [`without_bounds_of_reals`]). The order that a Parquet file tells (`RowGroup.sorting_columns`) is that of the
/// rows of a row group, and DataFusion 55 takes that of the first one for that of the file.
#[derive(Debug)]
pub struct Parquet(ParquetFormat);

impl Default for Parquet {
    fn default() -> Self {
        Parquet::new()
    }
}

impl Parquet {
    /// Files whose columns' metadata is kept, and whose texts are no views.
    pub fn new() -> Parquet {
        Parquet(ParquetFormat::default().with_skip_metadata(false).with_force_view_types(false))
    }
}

#[async_trait]
impl FileFormat for Parquet {
    fn get_ext(&self) -> String {
        self.0.get_ext()
    }

    fn get_ext_with_compression(&self, compression: &FileCompressionType) -> Result<String> {
        self.0.get_ext_with_compression(compression)
    }

    fn compression_type(&self) -> Option<FileCompressionType> {
        self.0.compression_type()
    }

    async fn infer_schema(&self, state: &dyn Session, store: &Arc<dyn ObjectStore>, objects: &[ObjectMeta]) -> Result<SchemaRef> {
        self.0.infer_schema(state, store, objects).await
    }

    async fn infer_stats(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        table_schema: SchemaRef,
        object: &ObjectMeta,
    ) -> Result<Statistics> {
        let mut all = self.0.infer_stats(state, store, Arc::clone(&table_schema), object).await?;
        for (column, field) in all.column_statistics.iter_mut().zip(table_schema.fields()) {
            if field.data_type().is_floating() {
                let (null_count, byte_size) = (column.null_count, column.byte_size);
                *column = ColumnStatistics { null_count, byte_size, ..ColumnStatistics::new_unknown() };
            }
        }
        Ok(all)
    }

    async fn create_physical_plan(&self, state: &dyn Session, conf: FileScanConfig) -> Result<Arc<dyn ExecutionPlan>> {
        let store = state.runtime_env().object_store(&conf.object_store_url)?;
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let plan = self.0.create_physical_plan(state, conf).await?;
        let scan = plan.downcast_ref::<DataSourceExec>().and_then(DataSourceExec::downcast_to_file_source::<ParquetSource>);
        let Some((config, source)) = scan else {
            return Err(DataFusionError::Internal("a scan of Parquet files is no scan of files".to_owned()));
        };
        let readers = Readers(CachedParquetFileReaderFactory::new(store, cache));
        let source = source.clone().with_parquet_file_reader_factory(Arc::new(readers));
        let config = FileScanConfigBuilder::from(config.clone()).with_source(Arc::new(source)).build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn file_source(&self, table_schema: TableSchema) -> Arc<dyn FileSource> {
        self.0.file_source(table_schema)
    }
}

/// Makes readers of footers without bounds of reals.
#[derive(Debug)]
struct Readers(CachedParquetFileReaderFactory);

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        Ok(Box::new(Reader(self.0.create_reader(partition_index, file, metadata_size_hint, metrics)?)))
    }
}

struct Reader(Box<dyn AsyncFileReader + Send>);

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        self.0.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        self.0.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        let read = self.0.get_metadata(options);
        async move { without_bounds_of_reals(Arc::unwrap_or_clone(read.await?)).map(Arc::new) }.boxed()
    }
}
