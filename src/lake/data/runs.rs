//! Sorted runs: what a landing that is larger than its buffer writes before its commit, and how runs become files.
//!
//! A run is a temporary file with rows of any partition, sorted by partition and within it in the order of files. At the commit
//! all runs are read side by side, each a batch at a time, and their rows written into a file a partition.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, interleave_record_batch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::row::Rows;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::file::{self, CHUNK_ROWS};
use super::layout::{Layout, PromotedTag, Source, TAG_LAYOUT, TAG_PROMOTED};
use super::nulls::{Nulls, some};
use super::order::RowOrder;
use super::rows::bytes_of_rows;
use super::writer::{Effort, FileWriter};
use crate::day::day_of;
use crate::error::LakeError;
use crate::log::entry::NewFile;
use crate::partition::Partition;

/// Bytes that the batches of all runs take while they are merged, about; and so many of rows at most wait to be written together.
const BATCH_BYTES: u64 = 32 << 20;

/// Which rows of a batch of a run, given by its number, are wanted.
pub(crate) type RowChoice<'w> = dyn FnMut(usize, &RecordBatch) -> Result<BooleanArray, LakeError> + 'w;
/// What is reported of each batch of rows of a file, given by its number.
pub(crate) type Placed<'p> = dyn FnMut(usize, &RecordBatch) -> Result<(), LakeError> + 'p;

/// Merges the wanted rows of runs into a file a partition. Rows that are equal in the order of files come in the order of runs.
/// `bytes` is what a row takes in memory, about. Gives the files with their rows.
///
/// # Errors
/// A run cannot be read, or the disk refuses; no new file stays then.
pub(crate) fn merge(
    layout: &Arc<Layout>,
    dir: &Path,
    runs: &[&NewFile],
    bytes: u64,
    wanted: &mut RowChoice<'_>,
    placed: &mut Placed<'_>,
) -> Result<Vec<(NewFile, u64)>, LakeError> {
    let mut merge = Merge::new(layout, dir, runs, bytes, wanted)?;
    match merge.run(wanted, placed) {
        Ok(()) => Ok(merge.done),
        Err(e) => {
            if let Some(file) = merge.file.take() {
                file.abandon();
            }
            file::delete(dir, merge.done.iter().map(|(file, _)| file));
            Err(e)
        }
    }
}

struct Merge<'m> {
    layout: &'m Arc<Layout>,
    dir: &'m Path,
    cursors: Vec<Cursor>,
    columns: Vec<bool>,
    nulls: Nulls,
    /// The batches that the picked rows are of, with the columns that some run has.
    pool: Vec<RecordBatch>,
    /// Bytes of the batches that came into the pool since rows were written.
    pooled: u64,
    picks: Vec<(usize, usize)>,
    file: Option<FileWriter>,
    partition: Option<Partition>,
    done: Vec<(NewFile, u64)>,
}

/// The place of a run's next row in the order of all.
type Next = Reverse<(Partition, Box<[u8]>, usize)>;

impl<'m> Merge<'m> {
    fn new(
        layout: &'m Arc<Layout>,
        dir: &'m Path,
        runs: &[&NewFile],
        bytes: u64,
        wanted: &mut RowChoice<'_>,
    ) -> Result<Self, LakeError> {
        let rows = BATCH_BYTES / (runs.len().max(1) as u64 * bytes.max(64));
        let rows = usize::try_from(rows).unwrap_or(CHUNK_ROWS).clamp(1, CHUNK_ROWS);
        let mut columns = vec![false; layout.sources.len()];
        let mut cursors = Vec::new();
        for run in runs {
            let has = layout.columns_by_tag(run.tags.get(TAG_LAYOUT).map(String::as_str));
            columns.iter_mut().zip(has.unwrap_or_else(|| layout.all_columns())).for_each(|(any, this)| *any |= this);
            cursors.push(Cursor::open(layout, dir, run, rows)?);
        }
        let mut merge = Merge {
            layout,
            dir,
            cursors,
            columns,
            nulls: Nulls::default(),
            pool: Vec::new(),
            pooled: 0,
            picks: Vec::new(),
            file: None,
            partition: None,
            done: Vec::new(),
        };
        for at in 0..merge.cursors.len() {
            merge.advance(at, wanted)?;
        }
        Ok(merge)
    }

    /// Reads a run's next batch that has wanted rows.
    fn advance(&mut self, at: usize, wanted: &mut RowChoice<'_>) -> Result<(), LakeError> {
        let cursor = &mut self.cursors[at];
        if let Some(batch) = cursor.next(self.layout, &mut self.nulls, &mut |batch| wanted(at, batch))? {
            let table = self.layout.def.name;
            cursor.pooled = self.pool.len();
            self.pooled += bytes_of_rows(&batch) as u64;
            self.pool.push(some(&batch, &self.columns).map_err(|source| LakeError::Arrow { table, source })?);
        }
        Ok(())
    }

    fn run(&mut self, wanted: &mut RowChoice<'_>, placed: &mut Placed<'_>) -> Result<(), LakeError> {
        let mut heap: BinaryHeap<Next> = BinaryHeap::new();
        heap.extend(self.cursors.iter().enumerate().filter_map(|(at, cursor)| cursor.place(at)));
        while let Some(Reverse((partition, _, at))) = heap.pop() {
            if self.partition != Some(partition) {
                self.end_file(placed)?;
                self.partition = Some(partition);
            }
            let cursor = &mut self.cursors[at];
            self.picks.push((cursor.pooled, cursor.row));
            cursor.row += 1;
            if cursor.row == cursor.partitions.len() {
                self.advance(at, wanted)?;
            }
            heap.extend(self.cursors[at].place(at));
            if self.picks.len() == CHUNK_ROWS || self.pooled >= BATCH_BYTES {
                self.write(placed)?;
            }
        }
        self.end_file(placed)
    }

    /// Writes the picked rows, and forgets the batches that no further row is of.
    fn write(&mut self, placed: &mut Placed<'_>) -> Result<(), LakeError> {
        let (Some(partition), false) = (self.partition, self.picks.is_empty()) else { return Ok(()) };
        let table = self.layout.def.name;
        let pool: Vec<&RecordBatch> = self.pool.iter().collect();
        let rows = interleave_record_batch(&pool, &self.picks);
        let rows = rows.and_then(|rows| self.nulls.fill(&self.layout.file, &self.columns, &rows));
        let rows = rows.map_err(|source| LakeError::Arrow { table, source })?;
        placed(self.done.len(), &rows)?;
        let complete = self.complete();
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(FileWriter::create(self.layout, self.dir, partition, &self.columns, Effort::Landing)?),
        };
        file.write_promoted(&rows, &complete)?;
        self.picks.clear();
        self.pooled = 0;
        let mut kept = Vec::new();
        for cursor in self.cursors.iter_mut().filter(|cursor| cursor.row < cursor.partitions.len()) {
            kept.push(self.pool[cursor.pooled].clone());
            cursor.pooled = kept.len() - 1;
        }
        self.pool = kept;
        Ok(())
    }

    /// Whether each promoted column alone can answer for the rows of all runs.
    fn complete(&self) -> Vec<bool> {
        let mut complete = self.cursors.iter().map(|cursor| cursor.complete.clone());
        let mut all = complete.next().unwrap_or_default();
        complete.for_each(|this| all.iter_mut().zip(this).for_each(|(all, this)| *all &= this));
        all
    }

    fn end_file(&mut self, placed: &mut Placed<'_>) -> Result<(), LakeError> {
        self.write(placed)?;
        if let Some(file) = self.file.take() {
            let rows = file.rows();
            self.done.push((file.finish()?, rows));
        }
        Ok(())
    }
}

/// A run that is being read.
struct Cursor {
    reader: ParquetRecordBatchReader,
    path: std::path::PathBuf,
    order: RowOrder,
    complete: Vec<bool>,
    /// Of the rows of the batch that is read: their partitions and keys.
    partitions: Vec<Partition>,
    keys: Option<Rows>,
    /// The next row of the batch.
    row: usize,
    /// The batch's place in the pool.
    pooled: usize,
}

impl Cursor {
    fn open(layout: &Layout, dir: &Path, run: &NewFile, rows: usize) -> Result<Self, LakeError> {
        let table = layout.def.name;
        let path = dir.join(&run.path);
        let file = std::fs::File::open(&path).map_err(|source| LakeError::Io { table, path: path.clone(), source })?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|builder| builder.with_batch_size(rows).build())
            .map_err(|e| LakeError::of_file(table, &path, &e))?;
        let tag = PromotedTag::parse(run.tags.get(TAG_PROMOTED).map(String::as_str));
        let promoted =
            layout.sources.iter().zip(layout.file.fields()).filter(|(source, _)| matches!(source, Source::Promoted(_)));
        Ok(Cursor {
            reader,
            path,
            order: RowOrder::new(layout)?,
            complete: promoted.map(|(_, field)| tag.complete(layout.def, field.name())).collect(),
            partitions: Vec::new(),
            keys: None,
            row: 0,
            pooled: 0,
        })
    }

    /// The next batch with wanted rows, of all file columns and these rows alone; `None` at the end.
    fn next(
        &mut self,
        layout: &Layout,
        nulls: &mut Nulls,
        wanted: &mut dyn FnMut(&RecordBatch) -> Result<BooleanArray, LakeError>,
    ) -> Result<Option<RecordBatch>, LakeError> {
        let table = layout.def.name;
        let arrow = |source| LakeError::Arrow { table, source };
        (self.row, self.keys) = (0, None);
        self.partitions.clear();
        for batch in self.reader.by_ref() {
            let batch = batch.map_err(|e| LakeError::of_file(table, &self.path, &e))?;
            let columns = layout.file.fields().iter().map(|field| match batch.column_by_name(field.name()) {
                Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
                Some(column) => arrow::compute::cast(column, field.data_type()),
                None => Ok(nulls.of(field.data_type(), batch.num_rows())),
            });
            let columns = columns.collect::<Result<Vec<_>, _>>().map_err(arrow)?;
            let batch = RecordBatch::try_new(layout.file.clone(), columns).map_err(arrow)?;
            let wanted = wanted(&batch)?;
            let batch = match wanted.true_count() {
                0 => continue,
                all if all == batch.num_rows() => batch,
                _ => filter_record_batch(&batch, &wanted).map_err(arrow)?,
            };
            let times = batch.column(layout.time).as_primitive::<TimestampMicrosecondType>();
            // A run was divided by partition when it was written, so its times have one.
            self.partitions.extend(times.values().iter().filter_map(|us| Partition::of(layout.partitioning, day_of(*us))));
            self.keys = Some(self.order.keys(&batch)?);
            return Ok(Some(batch));
        }
        Ok(None)
    }

    /// The place of the next row; `None` at the end.
    fn place(&self, run: usize) -> Option<Next> {
        let partition = self.partitions.get(self.row)?;
        let key = self.keys.as_ref()?.row(self.row);
        Some(Reverse((*partition, key.as_ref().into(), run)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::promote::Promoter;
    use crate::data::rows::{FileRows, Prepared};
    use crate::partition::Partitioning;
    use crate::tables::find;
    use crate::write::rows::RowBuilder;

    #[test]
    fn however_large_rows_are_few_bytes_of_them_wait_to_be_written() {
        let def = find("traces").expect("traces");
        let at = |name: &str| def.index_of(name).expect("a column");
        let layout = Arc::new(Layout::new(def, &def.arrow_schema(), Partitioning::Month).expect("layout"));
        let (dir, staging) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let large = "m".repeat(1 << 20);
        let run = |first: i64| {
            let mut rows = RowBuilder::new(def);
            for number in first..first + 40 {
                rows.set_datetime_us(at(def.time), number);
                rows.set_str(at("itemId"), &number.to_string());
                rows.set_str(at("message"), &large);
                rows.end_row();
            }
            let core = layout.core_of_landed(&rows.finish().expect("rows")).expect("rows");
            let prepared = [Prepared::of_core(&layout, &mut Promoter::new(def), core).expect("prepared")];
            let picks: Vec<_> = (0..40).map(|row| (0, row)).collect();
            let rows = FileRows::new(&layout, &prepared).expect("rows");
            rows.write_run(dir.path(), staging.path(), &rows.sorted(&picks).expect("sorted")).expect("written")
        };
        let runs = [run(0), run(20), run(100)];
        let files: Vec<&NewFile> = runs.iter().collect();
        let mut bytes = Vec::new();
        let all = &mut |_: usize, rows: &RecordBatch| Ok(BooleanArray::from(vec![true; rows.num_rows()]));
        let note = &mut |_: usize, rows: &RecordBatch| {
            bytes.push(bytes_of_rows(rows) as u64);
            Ok(())
        };
        let merged = merge(&layout, dir.path(), &files, 1 << 20, all, note).expect("merged");
        assert_eq!(merged.iter().map(|(_, rows)| *rows).collect::<Vec<_>>(), [120]);
        assert!(bytes.iter().all(|bytes| *bytes <= 2 * BATCH_BYTES), "{bytes:?}");
    }
}
