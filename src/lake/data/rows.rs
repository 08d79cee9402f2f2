//! Rows on their way into files: with their promoted columns, divided by partition and brought into the order of files.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::{cast, interleave, interleave_record_batch};
use arrow::datatypes::{DataType, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::row::Rows;
use parquet::errors::ParquetError;

use super::columns::{FileColumns, TakePiece};
use super::file::CHUNK_ROWS;
use super::layout::Layout;
use super::nulls::{Nulls, some};
use super::order::RowOrder;
use super::promote::{Promoter, Promotion};
use super::writer::{Effort, FileWriter, KnownRows};
use crate::day::day_of;
use crate::error::LakeError;
use crate::log::entry::NewFile;
use crate::partition::Partition;

/// Rows of which a column, or all, are brought into order and encoded at a time: few enough to stay near the processor.
const GATHERED_ROWS: usize = CHUNK_ROWS / 4;
/// Bytes of text a row from which on a column is brought into order without its texts being copied. A view of a text takes 16
/// bytes, in a row without a text as well.
const LONG_BYTES: usize = 30;

/// Rows by their position: (batch, row).
pub(crate) type Picks = Vec<(usize, usize)>;

/// A batch of core rows that is ready to be sorted and written.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The core rows.
    pub core: RecordBatch,
    /// All file columns.
    batch: RecordBatch,
    /// Whether each promoted column alone can answer for the rows.
    complete: Vec<bool>,
    /// Bytes of the values.
    pub bytes: usize,
}

impl Prepared {
    /// Fills the promoted columns of core rows.
    ///
    /// # Errors
    /// The batch is not of this layout.
    pub(crate) fn of_core(layout: &Layout, promoter: &mut Promoter, core: RecordBatch) -> Result<Self, LakeError> {
        let (batch, complete) = layout.with_promoted(promoter, &core)?;
        Ok(Self::of_parts(core, batch, complete))
    }

    /// Core rows whose promoted columns are filled, with whether each of these alone can answer for the rows.
    ///
    /// # Errors
    /// The columns are not of this layout.
    pub(crate) fn of_promotion(layout: &Layout, core: RecordBatch, promotion: Promotion) -> Result<Self, LakeError> {
        let batch = layout.with_columns(&core, &promotion.columns)?;
        Ok(Self::of_parts(core, batch, promotion.complete))
    }

    fn of_parts(core: RecordBatch, batch: RecordBatch, complete: Vec<bool>) -> Self {
        let bytes = bytes_of_rows(&batch);
        Prepared { core, batch, complete, bytes }
    }
}

/// Bytes of the values of rows. Columns without values have none: they share their buffers.
pub fn bytes_of_rows(rows: &RecordBatch) -> usize {
    rows.columns().iter().filter(|column| column.null_count() < column.len()).map(bytes_of).sum()
}

/// Bytes of an array's values.
pub(super) fn bytes_of(column: &ArrayRef) -> usize {
    let texts = column.as_string_view_opt().map_or(0, |views| views.lengths().map(|length| length as usize).sum());
    texts + column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
}

/// The schema of rows of which columns of long texts are views, but for those that rows are ordered by.
fn with_views(layout: &Layout, rows: &[Prepared]) -> SchemaRef {
    let all: usize = rows.iter().map(|rows| rows.batch.num_rows()).sum();
    let is_long = |at: usize| {
        let texts = rows.iter().filter_map(|rows| rows.batch.column(at).as_string_opt::<i32>());
        texts.map(|texts| texts.value_data().len()).sum::<usize>() > LONG_BYTES * all
    };
    let fields = layout.file.fields().iter().enumerate().map(|(at, field)| match !layout.order.contains(&at) && is_long(at) {
        true => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
        false => field.clone(),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Rows by position, as the columns of a file.
struct PickedColumns<'p> {
    rows: &'p FileRows,
    picks: &'p [(usize, usize)],
    /// The first of the rows.
    first: &'p RecordBatch,
}

impl FileColumns for PickedColumns<'_> {
    fn rows(&self) -> usize {
        self.picks.len()
    }

    fn bytes(&self) -> &[usize] {
        &self.rows.bytes
    }

    fn pieces(&self, column: usize, rows: Range<usize>, take: &mut TakePiece<'_>) -> Result<(), ParquetError> {
        let values: Vec<&dyn Array> = self.rows.some.iter().map(|batch| batch.column(column).as_ref()).collect();
        let mut rows = rows;
        if rows.start == 0 {
            take(self.first.column(column))?;
            rows.start = self.first.num_rows();
        }
        for picks in self.picks[rows].chunks(GATHERED_ROWS) {
            let (batch, first) = picks[0];
            // Neighbours in one batch are not copied.
            let are_neighbours = picks.iter().enumerate().all(|(n, pick)| *pick == (batch, first + n));
            take(&match are_neighbours {
                true => values[batch].slice(first, picks.len()),
                false => interleave(&values, picks)?,
            })?;
        }
        Ok(())
    }
}

/// Batches of all file columns, with what is known of them.
#[derive(Debug)]
pub(crate) struct FileRows {
    layout: Arc<Layout>,
    batches: Vec<RecordBatch>,
    /// Their schema: that of files, where columns of long texts are views of them.
    schema: SchemaRef,
    /// Their columns that have values.
    some: Vec<RecordBatch>,
    /// Whether each promoted column alone can answer for the rows of a batch.
    complete: Vec<Vec<bool>>,
    keys: Vec<Rows>,
    /// The columns that have a value in some row, and the time.
    columns: Vec<bool>,
    /// Bytes of the values of each of these.
    bytes: Vec<usize>,
}

impl FileRows {
    /// Rows that are ready to be sorted.
    ///
    /// # Errors
    /// The batches are not of this layout.
    pub(crate) fn new(layout: &Arc<Layout>, prepared: &[Prepared]) -> Result<Self, LakeError> {
        let order = RowOrder::new(layout)?;
        let mut columns = vec![false; layout.sources.len()];
        columns[layout.time] = true;
        let (mut complete, mut keys) = (Vec::new(), Vec::new());
        for Prepared { batch, complete: whole, .. } in prepared {
            for (any, column) in columns.iter_mut().zip(batch.columns()) {
                *any |= column.null_count() < column.len();
            }
            keys.push(order.keys(batch)?);
            complete.push(whole.clone());
        }
        let arrow = |source| LakeError::Arrow { table: layout.def.name, source };
        let bytes = |at: usize| prepared.iter().map(|rows| bytes_of(rows.batch.column(at))).sum();
        let bytes = (0..columns.len()).filter(|at| columns[*at]).map(bytes).collect();
        let schema = with_views(layout, prepared);
        let form = |rows: &Prepared| {
            let columns = rows.batch.columns().iter().zip(schema.fields());
            RecordBatch::try_new(
                schema.clone(),
                columns.map(|(column, field)| cast(column, field.data_type())).collect::<Result<_, _>>()?,
            )
        };
        let batches: Vec<RecordBatch> = prepared.iter().map(form).collect::<Result<_, _>>().map_err(arrow)?;
        let some = batches.iter().map(|batch| some(batch, &columns)).collect::<Result<_, _>>().map_err(arrow)?;
        Ok(FileRows { layout: layout.clone(), batches, schema, some, complete, keys, columns, bytes })
    }

    /// Divides picked rows by partition, those of each in the order of files; rows that are equal in it keep theirs.
    ///
    /// # Errors
    /// [`LakeError::Shape`] for a time outside the years 1 to 9999.
    pub(crate) fn sorted(&self, picks: &[(usize, usize)]) -> Result<BTreeMap<Partition, Picks>, LakeError> {
        let layout = &self.layout;
        let outside = || {
            let reason = format!("a {} lies outside the years 1 to 9999", layout.def.time);
            LakeError::Shape { table: layout.def.name, reason }
        };
        let times = self.times();
        let mut partitions: BTreeMap<Partition, Picks> = BTreeMap::new();
        // Rows of one day mostly follow one another.
        for some in picks.chunk_by(|a, b| day_of(times[a.0][a.1]) == day_of(times[b.0][b.1])) {
            let (batch, row) = some[0];
            let partition = Partition::of(layout.partitioning, day_of(times[batch][row])).ok_or_else(outside)?;
            partitions.entry(partition).or_default().extend_from_slice(some);
        }
        for rows in partitions.values_mut() {
            rows.sort_by(|a, b| self.keys[a.0].row(a.1).cmp(&self.keys[b.0].row(b.1)));
        }
        Ok(partitions)
    }

    /// Writes sorted rows of one partition into a new file, with so many threads at most.
    ///
    /// # Errors
    /// The disk refuses; no half file stays.
    pub(crate) fn write(
        &self,
        dir: &Path,
        partition: Partition,
        picks: &[(usize, usize)],
        threads: usize,
    ) -> Result<NewFile, LakeError> {
        let arrow = |source| LakeError::Arrow { table: self.layout.def.name, source };
        let some: Vec<&RecordBatch> = self.some.iter().collect();
        let first = interleave_record_batch(&some, &picks[..picks.len().min(GATHERED_ROWS)]).map_err(arrow)?;
        let file = FileWriter::create(&self.layout, dir, partition, &self.columns, Effort::Landing)?.expecting(picks.len());
        let columns = PickedColumns { rows: self, picks, first: &first };
        file.finish_with(&columns, &first, self.known(picks), threads)
    }

    /// What is known of picked rows.
    fn known(&self, picks: &[(usize, usize)]) -> KnownRows {
        let times = self.times();
        let time = |pick: &(usize, usize)| times[pick.0][pick.1];
        let key = |pick: &(usize, usize)| self.keys[pick.0].row(pick.1);
        let mut is_picked = vec![false; self.batches.len()];
        picks.iter().for_each(|(batch, _)| is_picked[*batch] = true);
        let mut picked = self.complete.iter().zip(is_picked).filter(|(_, is_picked)| *is_picked).map(|(complete, _)| complete);
        let mut complete = picked.next().cloned().unwrap_or_default();
        for batch in picked {
            complete.iter_mut().zip(batch).for_each(|(all, this)| *all &= this);
        }
        KnownRows {
            times: (picks.iter().map(time).min().unwrap_or(i64::MAX), picks.iter().map(time).max().unwrap_or(i64::MIN)),
            is_by_time: picks.is_sorted_by_key(time),
            is_in_order: picks.is_sorted_by(|a, b| key(a) <= key(b)),
            complete,
        }
    }

    /// The times of all rows, by batch.
    fn times(&self) -> Vec<&[i64]> {
        let times = self.batches.iter().map(|batch| batch.column(self.layout.time).as_primitive::<TimestampMicrosecondType>());
        times.map(|times| times.values().as_ref()).collect()
    }

    /// Writes sorted rows of all partitions into one temporary file.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn write_run(
        &self,
        dir: &Path,
        staging: &Path,
        partitions: &BTreeMap<Partition, Picks>,
    ) -> Result<NewFile, LakeError> {
        let first = partitions.keys().next().copied().unwrap_or(Partition { by: self.layout.partitioning, first: 0 });
        let mut file = FileWriter::run(&self.layout, dir, staging, first, &self.columns)?;
        let mut nulls = Nulls::default();
        for chunk in partitions.values().flat_map(|picks| picks.chunks(GATHERED_ROWS)) {
            let (rows, complete) = self.gather(chunk, &mut nulls)?;
            file.write_promoted(&rows, &complete)?;
        }
        file.finish()
    }

    /// Rows by position, with whether their promoted columns are complete; neighbours in one batch are not copied.
    fn gather(&self, picks: &[(usize, usize)], nulls: &mut Nulls) -> Result<(RecordBatch, Vec<bool>), LakeError> {
        let (batch, first) = picks[0];
        if picks.iter().enumerate().all(|(n, pick)| *pick == (batch, first + n)) {
            return Ok((self.batches[batch].slice(first, picks.len()), self.complete[batch].clone()));
        }
        let mut complete = vec![true; self.complete[batch].len()];
        for (batch, _) in picks {
            complete.iter_mut().zip(&self.complete[*batch]).for_each(|(all, this)| *all &= this);
        }
        let refs: Vec<&RecordBatch> = self.some.iter().collect();
        let rows = interleave_record_batch(&refs, picks).and_then(|rows| nulls.fill(&self.schema, &self.columns, &rows));
        Ok((rows.map_err(|source| LakeError::Arrow { table: self.layout.def.name, source })?, complete))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::columns::ROW_GROUP_ROWS;
    use crate::partition::Partitioning;
    use crate::tables::find;
    use crate::write::keys::Keyer;
    use crate::write::rows::RowBuilder;

    #[test]
    fn a_file_is_the_same_with_one_thread_and_with_many_and_when_it_is_written_row_by_row() {
        let def = find("traces").expect("traces");
        let layout = Arc::new(Layout::new(def, &def.arrow_schema(), Partitioning::Month).expect("layout"));
        let at = |name: &str| def.index_of(name).expect("a column");
        let (mut rows, mut promoter) = (RowBuilder::new(def), Promoter::new(def));
        // More rows than a row group has, of three events in turn.
        let batch = ROW_GROUP_ROWS / 2 - 1_000;
        let mut prepared = Vec::new();
        for n in 0..3 * batch {
            rows.set_datetime_us(at("timestamp"), n as i64);
            rows.set_str(at("itemId"), &format!("{n:036}"));
            let bag = format!(r#"{{"eventId":"RT000{}","totalTime":"00:00:0{}.0000000"}}"#, n % 3, n % 7);
            rows.set_dynamic_valid(at("customDimensions"), &bag);
            rows.end_row();
            if rows.rows() == batch {
                let core = layout.core_of_landed(&rows.finish().expect("rows")).expect("core");
                let core = Keyer::new(def).with_contents(core).expect("contents");
                prepared.push(Prepared::of_core(&layout, &mut promoter, core).expect("prepared"));
            }
        }
        let rows = FileRows::new(&layout, &prepared).expect("rows");
        let all: Picks = (0..3 * batch).map(|n| (n / batch, n % batch)).collect();
        let (partition, picks) = rows.sorted(&all).expect("sorted").pop_first().expect("a partition");
        let dir = tempfile::tempdir().expect("dir");
        let one = rows.write(dir.path(), partition, &picks, 1).expect("with one thread");
        let many = rows.write(dir.path(), partition, &picks, 4).expect("with many");
        let file = FileWriter::create(&layout, dir.path(), partition, &rows.columns, Effort::Landing).expect("file");
        let (mut file, mut nulls) = (file.expecting(picks.len()), Nulls::default());
        for chunk in picks.chunks(GATHERED_ROWS) {
            let (rows, complete) = rows.gather(chunk, &mut nulls).expect("gathered");
            file.write_promoted(&rows, &complete).expect("written");
        }
        let by_rows = file.finish().expect("finished");
        let bytes = |file: &NewFile| std::fs::read(dir.path().join(&file.path)).expect("the file");
        for other in [many, by_rows] {
            assert!(bytes(&other) == bytes(&one));
            assert_eq!((&other.tags, &other.stats, other.size), (&one.tags, &one.stats, one.size));
        }
        assert!(one.tags.contains_key(crate::data::layout::TAG_CLUSTERED_BY));
        // Of rows that do not lie so the file does not say it.
        let apart = rows.write(dir.path(), partition, &all, 2).expect("not sorted").tags;
        assert!(!apart.contains_key(crate::data::layout::TAG_CLUSTERED_BY));
        assert!(apart.contains_key(crate::data::layout::TAG_SORTED_BY));
    }
}
