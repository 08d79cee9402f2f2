//! Rows that are all there become a file column by column: each is brought into order and encoded while no other is, by as many
//! threads as there may be. So little is in memory beside what is encoded already, and what one column needed of it the next one
//! finds. The file is the same with one thread and with many.

use std::io::Write;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use arrow::array::ArrayRef;
use arrow::datatypes::Schema;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;

/// Rows of a row group: what is read together, and skipped by its bounds alone.
pub(crate) const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Bytes of values that are worth a thread of their own.
const THREAD_BYTES: usize = 1 << 20;

/// Takes the next values of a column.
pub(crate) type TakePiece<'t> = dyn FnMut(&ArrayRef) -> Result<(), ParquetError> + 't;

/// Rows in the order of a file, by their columns.
pub(crate) trait FileColumns: Sync {
    /// How many rows there are.
    fn rows(&self) -> usize;

    /// How many bytes the values of each column take, about.
    fn bytes(&self) -> &[usize];

    /// Gives the values of a column in some of the rows, in their order, piece by piece.
    ///
    /// # Errors
    /// They cannot be brought into order, or not be taken.
    fn pieces(&self, column: usize, rows: Range<usize>, take: &mut TakePiece<'_>) -> Result<(), ParquetError>;
}

/// Encodes rows into a file, with so many threads at most.
///
/// # Errors
/// The rows have other columns than the schema, or the file cannot be written.
pub(crate) fn encode<W: Write + Send>(
    file: &mut SerializedFileWriter<W>,
    encoders: &ArrowRowGroupWriterFactory,
    schema: &Schema,
    rows: &dyn FileColumns,
    threads: usize,
) -> Result<(), ParquetError> {
    let mut first = 0;
    while first < rows.rows() {
        let end = rows.rows().min(first + ROW_GROUP_ROWS);
        let columns = encoders.create_column_writers(file.flushed_row_groups().len())?;
        let chunks = encode_group(columns, schema, rows, first..end, threads)?;
        let mut group = file.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut group)?;
        }
        group.close()?;
        first = end;
    }
    Ok(())
}

/// Encodes a row group. Gives its columns in their order.
fn encode_group(
    encoders: Vec<ArrowColumnWriter>,
    schema: &Schema,
    rows: &dyn FileColumns,
    group: Range<usize>,
    threads: usize,
) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
    let bytes = rows.bytes();
    // The largest first: those that are left for the end are short.
    let mut order: Vec<usize> = (0..encoders.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(bytes.get(*at).copied().unwrap_or(0)));
    let columns: Vec<Mutex<Column>> = encoders.into_iter().map(|encoder| Mutex::new(Column::Waits(encoder))).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(at) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut column = columns[*at].lock().unwrap_or_else(PoisonError::into_inner);
            if let Column::Waits(encoder) = std::mem::replace(&mut *column, Column::Lost) {
                *column = Column::Done(encode_column(encoder, schema, rows, *at, group.clone()));
            }
        }
    };
    let threads = threads.min(1 + bytes.iter().sum::<usize>() / THREAD_BYTES);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Where the system gives no more threads, this one does it all.
            drop(std::thread::Builder::new().spawn_scoped(scope, work));
        }
        work();
    });
    columns
        .into_iter()
        .map(|column| match column.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Column::Done(chunk) => chunk,
            Column::Waits(_) | Column::Lost => Err(ParquetError::General("a column was not encoded".to_owned())),
        })
        .collect()
}

/// A column on its way.
enum Column {
    Waits(ArrowColumnWriter),
    /// A thread has it.
    Lost,
    Done(Result<ArrowColumnChunk, ParquetError>),
}

fn encode_column(
    mut encoder: ArrowColumnWriter,
    schema: &Schema,
    rows: &dyn FileColumns,
    column: usize,
    group: Range<usize>,
) -> Result<ArrowColumnChunk, ParquetError> {
    let field = schema.field(column);
    rows.pieces(column, group, &mut |values| compute_leaves(field, values)?.iter().try_for_each(|leaf| encoder.write(leaf)))?;
    encoder.close()
}
