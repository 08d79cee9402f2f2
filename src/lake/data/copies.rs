//! Files that become one as they are: their row groups are copied, one file's behind the other's, and nothing is decoded. That takes a
//! small part of the time of a merge, and the file has the statistics, page indexes and bloom filters of its parts. Its rows are in
//! the order of files within a row group alone, which its tags say; compaction brings them into one order.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use parquet::bloom_filter::Sbbf;
use parquet::column::writer::{ColumnCloseResult, ColumnWriter};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::reader::ChunkReader;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::ColumnDescriptor;

use super::layout::{Layout, PromotedTag, TAG_PROMOTED, times_of};
use super::writer::{Effort, FileWriter, KnownRows};
use crate::error::LakeError;
use crate::log::entry::{FileEntry, NewFile, rows_of};
use crate::partition::Partition;

/// Bytes of a file that is read at once. Of a larger one a column of a row group is read at a time.
const READ_AT_ONCE: u64 = 4 << 20;

/// Writes the row groups of live files of one partition into one file. Gives it with its rows; `None` for files that do not fit together
/// as they are, since their tags do not say what a file's must, or others wrote them. That the files are whole is for the caller to
/// look at ([`check_bytes`](super::file::check_bytes)): nothing is decoded here.
///
/// # Errors
/// A file cannot be read or has other rows than the log says, or the disk refuses; no new file stays.
pub(crate) fn merge_by_copying(
    layout: &Arc<Layout>,
    dir: &Path,
    partition: Partition,
    files: &[FileEntry],
) -> Result<Option<(NewFile, u64)>, LakeError> {
    let Some((known, rows)) = known(layout, files) else { return Ok(None) };
    let columns = layout.columns_of_files(files);
    let first = RecordBatch::new_empty(layout.file_schema(&columns));
    let expected = usize::try_from(rows).unwrap_or(usize::MAX);
    let mut file = FileWriter::create(layout, dir, partition, &columns, Effort::Copy)?.expecting(expected);
    let copied = file.encode_by(&first, &mut |to| {
        for from in files {
            if !copy(layout.def.name, &dir.join(&from.path), from, to)? {
                return Ok(None);
            }
        }
        Ok(Some(()))
    });
    let failed = match copied {
        Ok(Some((encoded, ()))) => {
            // What was written says it, and not the log.
            let rows = encoded.metadata.file_metadata().num_rows().cast_unsigned();
            return file.finish_known(&encoded, rows, known).map(|file| Some((file, rows)));
        }
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    file.abandon();
    failed
}

/// Copies the row groups of a file; false, with nothing written, when they do not fit as they are.
fn copy<W: Write + Send>(
    table: &'static str,
    path: &Path,
    entry: &FileEntry,
    to: &mut SerializedFileWriter<W>,
) -> Result<bool, LakeError> {
    let failed = |e: &(dyn std::error::Error + 'static)| LakeError::of_file(table, path, e);
    let rows = entry.stats.as_deref().and_then(rows_of);
    let copied = if entry.size > READ_AT_ONCE {
        Part::read(File::open(path).map_err(|e| failed(&e))?).and_then(|part| part.copy(rows, to))
    } else {
        Part::read(Bytes::from(fs::read(path).map_err(|e| failed(&e))?)).and_then(|part| part.copy(rows, to))
    };
    copied.map_err(|e| failed(&e))
}

/// What the log says of the rows of files, and how many they are; `None` where it does not say all.
fn known(layout: &Layout, files: &[FileEntry]) -> Option<(KnownRows, u64)> {
    let def = layout.def;
    let (mut times, mut rows, mut tags) = ((i64::MAX, i64::MIN), 0, Vec::new());
    for file in files {
        let tag = |name: &str| file.tags.get(name).and_then(|tag| tag.as_deref());
        let promoted = PromotedTag::parse(tag(TAG_PROMOTED));
        if promoted.set != def.promoted_set() || layout.columns_of(file).is_none() || file.has_deletion_vector {
            return None;
        }
        let (first, last) = times_of(file)?;
        times = (times.0.min(first), times.1.max(last));
        rows += rows_of(file.stats.as_deref()?)?;
        tags.push(promoted);
    }
    // Rows without their content's hash get it where they are written anew.
    if let Some(content) = def.content.and_then(|name| layout.file.index_of(name).ok())
        && !files.iter().all(|file| layout.columns_of(file).is_some_and(|columns| columns[content]))
    {
        return None;
    }
    let promoted = def.columns.iter().filter(|column| column.promoted.is_some());
    let complete = promoted.map(|column| tags.iter().all(|tag| tag.complete(def, column.name))).collect();
    Some((KnownRows { times, is_by_time: false, is_in_order: false, complete }, rows))
}

/// A file whose row groups are copied.
struct Part<R> {
    reader: R,
    metadata: ParquetMetaData,
}

impl<R: ChunkReader> Part<R> {
    fn read(reader: R) -> Result<Self, ParquetError> {
        let footer = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = footer.parse_and_finish(&reader)?;
        Ok(Part { reader, metadata })
    }

    /// The position of a column among the file's own.
    fn column(&self, column: &ColumnDescriptor) -> Option<usize> {
        self.metadata.file_metadata().schema_descr().columns().iter().position(|own| own.as_ref() == column)
    }

    /// True when the other file has a column for each of this one's, those that this one lacks may be null, and pages can be found.
    fn fits<W: Write + Send>(&self, to: &SerializedFileWriter<W>) -> bool {
        let columns = to.schema_descr().columns();
        let there = columns.iter().filter(|column| self.column(column).is_some()).count();
        let own = self.metadata.file_metadata().schema_descr().num_columns();
        let lacking = || columns.iter().filter(|column| self.column(column).is_none());
        // A column that must have values, or lists of them, can not be made up.
        let is_simple = |column: &ColumnDescriptor| column.max_def_level() == 1 && column.max_rep_level() == 0;
        there == own && lacking().all(|column| is_simple(column)) && self.metadata.offset_index().is_some()
    }

    /// Copies the row groups, which must have so many rows; false, with nothing written, when they do not fit as they are.
    fn copy<W: Write + Send>(&self, rows: Option<u64>, to: &mut SerializedFileWriter<W>) -> Result<bool, ParquetError> {
        let found = self.metadata.row_groups().iter().map(|group| group.num_rows().cast_unsigned()).sum::<u64>();
        if let Some(rows) = rows.filter(|rows| *rows != found) {
            return Err(ParquetError::General(format!("it has {found} rows, and the log says {rows}")));
        }
        if !self.fits(to) {
            return Ok(false);
        }
        let columns = to.schema_descr().columns().to_vec();
        for group in 0..self.metadata.num_row_groups() {
            let mut out = to.next_row_group()?;
            let rows = usize::try_from(self.metadata.row_group(group).num_rows())?;
            for column in &columns {
                match self.column(column) {
                    Some(at) => out.append_column(&self.reader, self.chunk(group, at)?)?,
                    None => without_values(&mut out, rows)?,
                }
            }
            out.close()?;
        }
        Ok(true)
    }

    /// What the file says of a column's values in a row group.
    fn chunk(&self, group: usize, column: usize) -> Result<ColumnCloseResult, ParquetError> {
        let of_group = self.metadata.row_group(group);
        let metadata = of_group.column(column).clone();
        let column_index = self.metadata.column_index().and_then(|index| index.get(group)?.get(column)).cloned();
        Ok(ColumnCloseResult {
            bytes_written: u64::try_from(metadata.compressed_size())?,
            rows_written: u64::try_from(of_group.num_rows())?,
            bloom_filter: Sbbf::read_from_column_chunk(&metadata, &self.reader)?,
            column_index: column_index.filter(|index| !matches!(index, ColumnIndexMetaData::NONE)),
            offset_index: self.metadata.offset_index().and_then(|index| index.get(group)?.get(column)).cloned(),
            metadata,
        })
    }
}

/// Writes the next column of a row group: one without values.
fn without_values<W: Write + Send>(group: &mut SerializedRowGroupWriter<'_, W>, rows: usize) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("a row group has no more columns".to_owned()));
    };
    let levels = vec![0_i16; rows];
    match column.untyped() {
        ColumnWriter::BoolColumnWriter(writer) => writer.write_batch(&[], Some(&levels), None),
        ColumnWriter::Int32ColumnWriter(writer) => writer.write_batch(&[], Some(&levels), None),
        ColumnWriter::Int64ColumnWriter(writer) => writer.write_batch(&[], Some(&levels), None),
        ColumnWriter::Int96ColumnWriter(writer) => writer.write_batch(&[], Some(&levels), None),
        ColumnWriter::FloatColumnWriter(writer) => writer.write_batch(&[], Some(&levels), None),
        ColumnWriter::DoubleColumnWriter(writer) => writer.write_batch(&[], Some(&levels), None),
        ColumnWriter::ByteArrayColumnWriter(writer) => writer.write_batch(&[], Some(&levels), None),
        ColumnWriter::FixedLenByteArrayColumnWriter(writer) => writer.write_batch(&[], Some(&levels), None),
    }?;
    column.close()
}

#[cfg(test)]
mod tests {
    use arrow::compute::concat_batches;
    use parquet::arrow::arrow_reader::{
        ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector, statistics::StatisticsConverter,
    };
    use serde_json::Value;

    use super::super::file::open_file;
    use super::super::layout::{TAG_CLUSTERED_BY, TAG_LAYOUT, TAG_SORTED_BY, TAG_TIME};
    use super::super::promote::Promoter;
    use super::super::rows::{FileRows, Prepared};
    use super::*;
    use crate::partition::Partitioning;
    use crate::tables::find;
    use crate::write::keys::Keyer;
    use crate::write::rows::RowBuilder;

    const ROWS: i64 = 300;

    /// A file of rows of which only some files have some columns.
    fn written(layout: &Arc<Layout>, dir: &Path, drops: &[i64]) -> FileEntry {
        let def = layout.def;
        let at = |name: &str| def.index_of(name).expect("a column");
        let mut rows = RowBuilder::new(def);
        for (drop, n) in drops.iter().flat_map(|drop| (0..ROWS).map(move |n| (*drop, n))) {
            rows.set_datetime_us(at("timestamp"), drop * 1_000 + n);
            rows.set_str(at("itemId"), &format!("{drop}-{n}"));
            match drop {
                0 => rows.set_str(at("message"), &format!("message {n}")),
                1 => rows.set_dynamic_valid(at("customDimensions"), &format!(r#"{{"eventId":"RT{n:04}"}}"#)),
                // No text: the column alone cannot answer for this bag.
                _ => rows.set_dynamic_valid(at("customDimensions"), r#"{"eventId":{"a":1}}"#),
            }
            rows.end_row();
        }
        let core = layout.core_of_landed(&rows.finish().expect("rows")).expect("core rows");
        let core = Keyer::new(def).with_contents(core).expect("contents");
        let prepared = [Prepared::of_core(layout, &mut Promoter::new(def), core).expect("prepared")];
        let picks: Vec<(usize, usize)> = (0..prepared[0].core.num_rows()).map(|row| (0, row)).collect();
        let rows = FileRows::new(layout, &prepared).expect("rows of files");
        let (partition, picks) = rows.sorted(&picks).expect("sorted").pop_first().expect("a partition");
        entry(rows.write(dir, partition, &picks, 1).expect("a file"))
    }

    fn entry(file: NewFile) -> FileEntry {
        FileEntry {
            path: file.path,
            size: file.size,
            modified: file.modified,
            partition: Some(file.partition),
            stats: Some(file.stats),
            tags: file.tags.into_iter().map(|(name, tag)| (name, Some(tag))).collect(),
            has_deletion_vector: false,
        }
    }

    fn rows_at(layout: &Layout, dir: &Path, file: &FileEntry) -> RecordBatch {
        let batches: Vec<RecordBatch> = open_file("traces", &dir.join(&file.path), None)
            .expect("opened")
            .map(|batch| layout.core_of_file(&batch.expect("rows")).expect("core rows"))
            .collect();
        concat_batches(&layout.core, &batches).expect("rows")
    }

    #[test]
    fn a_copy_has_the_rows_of_its_parts_and_says_of_them_what_they_say() {
        let def = find("traces").expect("traces");
        let layout = Arc::new(Layout::new(def, &def.arrow_schema(), Partitioning::Month).expect("a layout"));
        let dir = tempfile::tempdir().expect("a folder");
        let parts: Vec<FileEntry> = (0..3).map(|drop| written(&layout, dir.path(), &[drop])).collect();
        let partition = parts[0].partition.expect("a partition");
        let copied = |files: &[FileEntry]| merge_by_copying(&layout, dir.path(), partition, files);
        let (copy, rows) = copied(&parts).expect("copied").expect("they fit");
        let copy = entry(copy);
        assert_eq!(rows, 3 * ROWS as u64);

        let of_parts: Vec<RecordBatch> = parts.iter().map(|part| rows_at(&layout, dir.path(), part)).collect();
        assert_eq!(rows_at(&layout, dir.path(), &copy), concat_batches(&layout.core, &of_parts).expect("rows"));

        // A copy of it has its row groups, and those of another file.
        let (twice, rows) = copied(&[copy.clone(), parts[0].clone()]).expect("copied").expect("fits");
        let all = concat_batches(&layout.core, of_parts.iter().chain(&of_parts[..1])).expect("rows");
        assert_eq!((rows_at(&layout, dir.path(), &entry(twice)), rows), (all, 4 * ROWS as u64));

        // What the log says is what it says of a file that was written of all the rows, but for their order.
        let whole = written(&layout, dir.path(), &[0, 1, 2]);
        let stats = |file: &FileEntry| serde_json::from_str::<Value>(file.stats.as_deref().expect("statistics")).expect("JSON");
        assert_eq!(stats(&copy), stats(&whole));
        for tag in [TAG_LAYOUT, TAG_TIME, TAG_PROMOTED] {
            assert_eq!(copy.tags.get(tag), whole.tags.get(tag), "{tag}");
        }
        assert!(copy.tags[TAG_PROMOTED].as_deref().is_some_and(|tag| tag.contains("customDimensions_eventId")));
        assert!(whole.tags.contains_key(TAG_CLUSTERED_BY));
        assert!(!copy.tags.contains_key(TAG_CLUSTERED_BY) && !copy.tags.contains_key(TAG_SORTED_BY));

        // Each part is a row group, with its bloom filters, its pages and its bounds.
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let file = File::open(dir.path().join(&copy.path)).expect("the file");
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).expect("its footer");
        assert_eq!(builder.metadata().num_row_groups(), 3);
        let leaf = |name: &str| builder.parquet_schema().columns().iter().position(|c| c.name() == name).expect("a column");
        for drop in 0..3 {
            let filter = builder.get_row_group_column_bloom_filter(drop, leaf("itemId")).expect("read").expect("a bloom filter");
            assert!((0..ROWS).all(|n| filter.check(format!("{drop}-{n}").as_str())));
            assert!((0..ROWS).filter(|n| filter.check(format!("other {n}").as_str())).count() < 30);
        }
        let bounds = StatisticsConverter::try_new("timestamp", builder.schema(), builder.parquet_schema()).expect("bounds");
        let least = bounds.row_group_mins(builder.metadata().row_groups()).expect("bounds");
        let times = least.as_any().downcast_ref::<arrow::array::TimestampMicrosecondArray>().expect("times");
        assert_eq!(times.values().to_vec(), [0, 1_000, 2_000]);
        let nulls = bounds_of_pages(builder.metadata(), leaf("message"));
        assert_eq!(nulls, [Some(0), Some(ROWS), Some(ROWS)]);
        let some = RowSelection::from(vec![RowSelector::skip(2 * ROWS as usize + 7), RowSelector::select(2)]);
        let found: Vec<RecordBatch> =
            builder.with_row_selection(some).build().expect("a reader").collect::<Result<_, _>>().expect("rows");
        let found = concat_batches(&found[0].schema(), &found).expect("rows");
        assert_eq!(layout.core_of_file(&found).expect("core rows"), of_parts[2].slice(7, 2));
    }

    #[test]
    fn a_file_that_has_other_rows_than_the_log_says_is_not_copied_and_named() {
        let def = find("traces").expect("traces");
        let layout = Arc::new(Layout::new(def, &def.arrow_schema(), Partitioning::Month).expect("a layout"));
        let dir = tempfile::tempdir().expect("a folder");
        let [first, second] = [0, 1].map(|drop| written(&layout, dir.path(), &[drop]));
        let partition = first.partition.expect("a partition");
        for said in [ROWS - 1, ROWS + 1] {
            let mut stats: Value = serde_json::from_str(second.stats.as_deref().expect("statistics")).expect("JSON");
            stats["numRecords"] = said.into();
            let other = FileEntry { stats: Some(stats.to_string()), ..second.clone() };
            let error = merge_by_copying(&layout, dir.path(), partition, &[first.clone(), other]).expect_err("other rows");
            assert_eq!(error.broken_file(), Some(dir.path().join(&second.path).as_path()), "{error}");
            assert!(error.to_string().contains(&format!("it has 300 rows, and the log says {said}")), "{error}");
        }
        // Nothing of what was given up stays.
        assert_eq!(fs::read_dir(dir.path().join(&first.path).parent().expect("a folder")).expect("listed").count(), 2);
    }

    /// The nulls of the first page of each row group.
    fn bounds_of_pages(metadata: &ParquetMetaData, column: usize) -> Vec<Option<i64>> {
        let index = metadata.column_index().expect("page indexes");
        index.iter().map(|group| group[column].null_count(0)).collect()
    }

    #[test]
    fn files_of_which_the_log_does_not_say_all_are_not_copied() {
        let def = find("traces").expect("traces");
        let layout = Arc::new(Layout::new(def, &def.arrow_schema(), Partitioning::Month).expect("a layout"));
        let dir = tempfile::tempdir().expect("a folder");
        let part = written(&layout, dir.path(), &[0]);
        let partition = part.partition.expect("a partition");
        let copied =
            |other: FileEntry| merge_by_copying(&layout, dir.path(), partition, &[part.clone(), other]).expect("looked at");
        assert!(copied(part.clone()).is_some());
        for tag in [TAG_LAYOUT, TAG_TIME, TAG_PROMOTED] {
            let mut other = part.clone();
            other.tags.remove(tag);
            assert!(copied(other).is_none(), "{tag}");
        }
        assert!(copied(FileEntry { stats: None, ..part.clone() }).is_none());
        assert!(copied(FileEntry { has_deletion_vector: true, ..part.clone() }).is_none());
        // Rows without their content's hash would have to get it.
        let columns = layout.columns_of(&part).expect("columns");
        let content = layout.file.index_of("_contentHash").expect("a column");
        let without: Vec<bool> = columns.iter().enumerate().map(|(at, there)| *there && at != content).collect();
        let mut other = part.clone();
        other.tags.insert(TAG_LAYOUT.to_owned(), Some(layout.tag(&without)));
        assert!(copied(other).is_none());
        // Nothing of what was given up stays.
        let folder = std::fs::read_dir(dir.path().join(&part.path).parent().expect("a folder")).expect("listed");
        assert_eq!(folder.count(), 2);
    }
}
