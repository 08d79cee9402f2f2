//! What can go wrong with the lake.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use parquet::errors::ParquetError;

use super::fault::Step;

/// Any cause of a kind that callers do not tell apart.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// An error of the lake. Each names the table or path that it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LakeError {
    /// The lake's folder, or a table's, is something else than a folder.
    #[error("{} is not a folder", path.display())]
    NotAFolder {
        /// What is in the way.
        path: PathBuf,
    },
    /// The operating system refused a read or write: no space, no permission, a broken disk.
    #[error("table {table}: cannot read or write {}", path.display())]
    Io {
        /// The table, or `_` for the lake itself.
        table: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The table's Delta log cannot be read or written.
    #[error("table {table}: the Delta log failed")]
    Log {
        /// The table.
        table: &'static str,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The table needs a Delta feature that is not implemented here; reading it anyway would give wrong rows.
    #[error("table {table} uses the Delta feature {feature}, which kqlake does not read")]
    Unsupported {
        /// The table.
        table: &'static str,
        /// The feature's name in the Delta protocol.
        feature: String,
    },
    /// A column at rest has another type than this version of the program expects.
    #[error("table {table}: column {column} is {found} in the lake, expected {expected}")]
    ColumnType {
        /// The table.
        table: &'static str,
        /// The column.
        column: String,
        /// The Arrow type at rest.
        found: String,
        /// The Arrow type of the definition.
        expected: String,
    },
    /// Rows that were handed in do not have the table's shape.
    #[error("table {table}: {reason}")]
    Shape {
        /// The table.
        table: &'static str,
        /// What was expected and found.
        reason: String,
    },
    /// A row has no value in its time or in a part of its key.
    #[error("table {table}: a row has no value in {column}")]
    Missing {
        /// The table.
        table: &'static str,
        /// The time or key column.
        column: &'static str,
    },
    /// Other writers were faster every time.
    #[error("table {table}: other writers committed first {attempts} times in a row; try again")]
    Busy {
        /// The table.
        table: &'static str,
        /// Tries.
        attempts: usize,
    },
    /// A Parquet file cannot be read or written.
    #[error("table {table}: Parquet file {} failed", path.display())]
    Parquet {
        /// The table.
        table: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ParquetError,
    },
    /// A computation on columns failed.
    #[error("table {table}: a computation on columns failed")]
    Arrow {
        /// The table.
        table: &'static str,
        /// Why.
        #[source]
        source: ArrowError,
    },
    /// Reading the table to compact it failed.
    #[error("table {table}: reading failed")]
    Read {
        /// The table.
        table: &'static str,
        /// Why.
        #[source]
        source: DataFusionError,
    },
    /// A test stopped the work here, as a crash would.
    #[error("stopped by a test: {0:?}")]
    Stopped(Step),
    /// A worker thread ended early: a defect, or the program is shutting down.
    #[error("table {table}: a worker thread ended early")]
    Worker {
        /// The table.
        table: &'static str,
        /// Why.
        #[source]
        source: tokio::task::JoinError,
    },
}

impl LakeError {
    /// An input or output error, out of a Parquet error where it hides in one.
    pub(super) fn from_parquet(table: &'static str, path: PathBuf, source: ParquetError) -> Self {
        match io_cause(&source) {
            Some(source) => LakeError::Io { table, path, source },
            None => LakeError::Parquet { table, path, source },
        }
    }
}

/// The operating system's error among an error's causes, copied.
pub(super) fn io_cause(error: &(dyn StdError + 'static)) -> Option<io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(match io.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(io.kind(), io.to_string()),
            });
        }
        // Parquet keeps foreign errors in a variant that is not a source for every kind.
        if let Some(ParquetError::External(inner)) = error.downcast_ref::<ParquetError>()
            && let Some(found) = io_cause(inner.as_ref())
        {
            return Some(found);
        }
        next = error.source();
    }
    None
}
