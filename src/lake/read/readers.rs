//! Readers of data files: what they read of a footer, and errors that name the file.
//!
//! Files are local, so bytes are read where they are wanted, by the thread that decodes them: handing each read to another thread
//! takes longer than the read, which the system's cache answers. Of a footer only the columns of the scan are kept: whatever is
//! done for each column of a file (its Arrow type, its statistics, its page indexes) is then done for those.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader,
    ParquetStatisticsPolicy, RowGroupMetaData,
};
use parquet::schema::types::{SchemaDescriptor, Type};

use super::reals::without_bounds_of_reals;
use crate::error::LakeError;

/// The columns that a scan reads of a file; goes with the file as an extension of its [`PartitionedFile`], whose Arrow schema has
/// these columns alone.
#[derive(Debug)]
pub(super) struct KeptColumns {
    /// The columns of the file, of which none has columns inside of it.
    file: SchemaRef,
    /// The positions in `file` of those that are kept, ascending. At least one: ranges of files are told by a column's place.
    kept: Vec<usize>,
    /// Those that are kept.
    schema: SchemaRef,
    /// True when a few rows of each are wanted: the places of pages are read with the footer, so that only their pages are.
    few_rows: bool,
}

impl KeptColumns {
    /// Those of a file with these columns that are among `wanted`; `None` when the footer must be kept as it is.
    pub(super) fn of(file: &SchemaRef, wanted: impl Fn(&str) -> bool, few_rows: bool) -> Option<Self> {
        if file.fields().is_empty() || file.fields().iter().any(|field| field.data_type().is_nested()) {
            return None;
        }
        let mut kept: Vec<usize> = (0..file.fields().len()).filter(|at| wanted(file.field(*at).name())).collect();
        if kept.is_empty() {
            kept.push(0);
        }
        let schema = Arc::new(file.project(&kept).ok()?);
        Some(KeptColumns { file: Arc::clone(file), kept, schema, few_rows })
    }

    /// The columns that are kept.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What is decoded of a footer.
    fn options(&self) -> ParquetMetaDataOptions {
        let kept = ParquetStatisticsPolicy::skip_except(&self.kept);
        ParquetMetaDataOptions::new()
            .with_column_stats_policy(kept)
            .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
    }

    /// True for a footer with the columns that the log says. Another one is left as it is, and whoever opens the file with these
    /// columns says that it has others.
    fn is_of(&self, metadata: &FileMetaData) -> bool {
        let found = metadata.schema().get_fields();
        let same =
            |(found, known): (&Arc<Type>, &Arc<arrow::datatypes::Field>)| found.is_primitive() && found.name() == known.name();
        found.len() == self.file.fields().len() && found.iter().zip(self.file.fields()).all(same)
    }

    /// A footer with these columns alone.
    fn project(&self, metadata: ParquetMetaData) -> parquet::errors::Result<ParquetMetaData> {
        let file = metadata.file_metadata();
        if !self.is_of(file) {
            return Ok(metadata);
        }
        let fields = self.kept.iter().map(|at| Arc::clone(&file.schema().get_fields()[*at])).collect();
        let root = Type::group_type_builder(file.schema().name()).with_fields(fields).build()?;
        let schema = Arc::new(SchemaDescriptor::new(Arc::new(root)));
        let orders = file.column_orders().and_then(|orders| self.kept.iter().map(|at| orders.get(*at).copied()).collect());
        let created_by = file.created_by().map(str::to_owned);
        let projected = FileMetaData::new(file.version(), file.num_rows(), created_by, None, Arc::clone(&schema), orders);
        let groups = metadata.into_builder().take_row_groups();
        let groups = groups.into_iter().map(|group| {
            let builder = RowGroupMetaData::builder(Arc::clone(&schema))
                .set_num_rows(group.num_rows())
                .set_total_byte_size(group.total_byte_size());
            let mut kept = self.kept.iter().copied().peekable();
            let columns = group.into_builder().take_columns().into_iter().enumerate();
            let columns = columns.filter(|(at, _)| kept.next_if_eq(at).is_some()).map(|(_, column)| column);
            builder.set_column_metadata(columns.collect::<Vec<ColumnChunkMetaData>>()).build()
        });
        Ok(ParquetMetaData::new(projected, groups.collect::<Result<_, _>>()?))
    }
}

/// Makes readers whose errors are [`LakeError`]s that name the file.
#[derive(Debug)]
pub(super) struct LakeReaders {
    /// The table.
    pub table: &'static str,
}

impl ParquetFileReaderFactory for LakeReaders {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> datafusion::error::Result<Box<dyn AsyncFileReader + Send>> {
        // Locations of the local store are paths without the slash in front.
        let path = Path::new("/").join(file.object_meta.location.as_ref());
        let kept = file.extensions.get_arc::<KeptColumns>();
        let bytes = MetricBuilder::new(metrics).counter("bytes_scanned", partition_index);
        Ok(Box::new(LakeReader { table: self.table, path, size: file.object_meta.size, kept, opened: None, bytes }))
    }
}

struct LakeReader {
    table: &'static str,
    path: PathBuf,
    /// Bytes of the file.
    size: u64,
    kept: Option<Arc<KeptColumns>>,
    opened: Option<File>,
    /// Bytes that were read, of all readers of the partition.
    bytes: Count,
}

/// Bytes behind the footer: its length, and what every Parquet file ends with.
const TAIL: u64 = 8;

/// Bytes that are read at the end of a file in the hope that the footer is among them.
const END: u64 = 16 << 10;

/// The length of a footer by a file's last bytes.
///
/// # Errors
/// There is no room for it in the file, or the file is no Parquet file.
fn footer_length(tail: &[u8], size: u64) -> parquet::errors::Result<u64> {
    match tail.last_chunk::<8>() {
        Some([length @ .., b'P', b'A', b'R', b'1']) => match u64::from(u32::from_le_bytes(*length)) {
            length if length.saturating_add(TAIL) <= size => Ok(length),
            length => Err(ParquetError::General(format!("the footer is said to have {length} bytes, of {size} of the file"))),
        },
        Some(_) => Err(ParquetError::General("the last bytes are not those of a Parquet file".to_owned())),
        None => Err(ParquetError::General(format!("{size} bytes are no Parquet file"))),
    }
}

impl LakeReader {
    /// Bytes of the file.
    fn read(&mut self, range: Range<u64>) -> parquet::errors::Result<Bytes> {
        let wanted = range.end.checked_sub(range.start).filter(|_| range.end <= self.size);
        let wanted = wanted.and_then(|bytes| usize::try_from(bytes).ok());
        let outside = || ParquetError::General(format!("bytes {range:?} are not in the file, which has {}", self.size));
        let mut buffer = vec![0; wanted.ok_or_else(outside)?];
        let file = match &mut self.opened {
            Some(file) => file,
            opened => opened.insert(File::open(&self.path)?),
        };
        file.seek(SeekFrom::Start(range.start))?;
        file.read_exact(&mut buffer)?;
        self.bytes.add(buffer.len());
        Ok(buffer.into())
    }

    fn named(&self, error: &ParquetError) -> ParquetError {
        ParquetError::External(Box::new(LakeError::of_file(self.table, &self.path, error)))
    }

    fn metadata(&mut self) -> parquet::errors::Result<ParquetMetaData> {
        let end = self.read(self.size.saturating_sub(END)..self.size)?;
        let length = footer_length(&end, self.size)?;
        let begin = self.size - TAIL - length;
        let footer = match (end.len() as u64).checked_sub(TAIL + length).and_then(|at| usize::try_from(at).ok()) {
            Some(at) => end.slice(at..end.len() - TAIL as usize),
            None => self.read(begin..begin + length)?,
        };
        let Some(kept) = self.kept.clone() else {
            return without_bounds_of_reals(ParquetMetaDataReader::decode_metadata(&footer)?);
        };
        let metadata = ParquetMetaDataReader::decode_metadata_with_options(&footer, Some(&kept.options()))?;
        let metadata = without_bounds_of_reals(kept.project(metadata)?)?;
        if kept.few_rows { self.with_pages(metadata) } else { Ok(metadata) }
    }

    /// A footer with the places of the pages.
    fn with_pages(&self, metadata: ParquetMetaData) -> parquet::errors::Result<ParquetMetaData> {
        let Some(file) = &self.opened else { return Ok(metadata) };
        let mut reader = ParquetMetaDataReader::new_with_metadata(metadata).with_offset_index_policy(PageIndexPolicy::Optional);
        reader.read_page_indexes(file)?;
        reader.finish()
    }
}

impl AsyncFileReader for LakeReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        let read = self.read(range);
        ready(read.map_err(|e| self.named(&e))).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        let read: parquet::errors::Result<Vec<Bytes>> = ranges.into_iter().map(|range| self.read(range)).collect();
        ready(read.map_err(|e| self.named(&e))).boxed()
    }

    /// The footer. The opener asks for the page index when it can use it; it then reads that of the columns which are kept.
    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        let read = self.metadata();
        ready(read.map(Arc::new).map_err(|e| self.named(&e))).boxed()
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use parquet::schema::parser::parse_message_type;

    use super::*;

    #[test]
    fn a_footer_is_cut_to_the_columns_of_a_scan_where_it_has_those_of_the_log() {
        let column = |name: &str| Field::new(name, DataType::Int64, true);
        let file = Arc::new(Schema::new(["a", "b", "c"].map(column).to_vec()));
        let kept = KeptColumns::of(&file, |name| name != "b", false).expect("plain columns");
        let left = |columns: &str| {
            let schema = Arc::new(parse_message_type(&format!("message m {{ {columns} }}")).expect("columns"));
            let footer = FileMetaData::new(2, 7, None, None, Arc::new(SchemaDescriptor::new(schema)), None);
            let footer = kept.project(ParquetMetaData::new(footer, Vec::new())).expect("a footer");
            let fields = footer.file_metadata().schema().get_fields();
            fields.iter().map(|field| field.name().to_owned()).collect::<Vec<_>>().join("")
        };
        let of = |names: &[&str]| left(&names.iter().map(|name| format!("optional int64 {name}; ")).collect::<String>());
        assert_eq!(of(&["a", "b", "c"]), "ac");
        // Other columns than the log says are for whoever opens the file.
        for others in [&["a", "b", "d"][..], &["x", "b", "c"], &["a", "c", "b"], &["a", "b"], &["a", "b", "c", "d"]] {
            assert_eq!(of(others), others.concat());
        }
        assert_eq!(left("optional int64 a; optional group b { optional int64 x; } optional int64 c;"), "abc");
        let none_wanted = KeptColumns::of(&file, |_| false, false).expect("plain columns");
        assert_eq!((none_wanted.kept.as_slice(), none_wanted.schema().fields().len()), (&[0][..], 1));
        let nested = Field::new("n", DataType::Struct(vec![column("x")].into()), true);
        for unfit in [Schema::empty(), Schema::new(vec![column("a"), nested])] {
            assert!(KeptColumns::of(&Arc::new(unfit), |_| true, false).is_none());
        }
    }

    #[test]
    fn a_footer_has_room_in_its_file() {
        let tail = |length: u32| [length.to_le_bytes(), *b"PAR1"].concat();
        assert_eq!(footer_length(&tail(92), 100).ok(), Some(92));
        assert!(footer_length(&tail(93), 100).is_err());
        assert!(footer_length(&tail(u32::MAX), u64::from(u32::MAX)).is_err());
        assert!(footer_length(b"PAR", 3).is_err());
        assert!(footer_length(b"\x01\0\0\0PARE", 100).is_err());
    }
}
