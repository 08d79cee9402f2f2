//! What can go wrong with the lake.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use parquet::errors::ParquetError;

use crate::damage::{Damage, IRREGULAR};
use crate::fault::Step;
use kqlake_durable as durable;

/// Any cause of a kind that callers do not tell apart.
pub(crate) type Cause = Box<dyn StdError + Send + Sync>;

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
    #[error("{}cannot read or write {}", of_table(table), path.display())]
    Io {
        /// The table, or `_` for the lake itself.
        table: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The path cannot be a lake's.
    #[error("{} cannot be the lake: {what}", path.display())]
    NoLake {
        /// The path.
        path: PathBuf,
        /// Why it cannot.
        what: String,
        /// What to do.
        advice: String,
    },
    /// The table's files are not what its log says, or there is no log.
    #[error("table {table}: {damage}")]
    Damaged {
        /// The table.
        table: &'static str,
        /// What is wrong, and with which file.
        damage: Damage,
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
    /// Rows that were passed in do not have the table's shape.
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
    /// Reading the table failed.
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
    pub(crate) fn from_parquet(table: &'static str, path: PathBuf, source: ParquetError) -> Self {
        match io_cause(&source) {
            Some(source) => LakeError::Io { table, path, source },
            None => LakeError::Parquet { table, path, source },
        }
    }

    /// A data file that cannot be read, and why.
    pub(crate) fn of_file(table: &'static str, path: &Path, source: &(dyn StdError + 'static)) -> Self {
        let file = path.to_owned();
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            // Opening a pipe would wait for its writer.
            return LakeError::Damaged { table, damage: Damage::File { file, why: IRREGULAR.to_owned() } };
        }
        // What the system gave no number to was said by a reader that came to an early end. Where a library has made text of
        // the system's answer, the system is asked again.
        let of_system = io_cause(source).filter(|e| e.raw_os_error().is_some()).or_else(|| std::fs::File::open(path).err());
        match of_system {
            Some(e) if e.kind() == io::ErrorKind::NotFound => LakeError::Damaged { table, damage: Damage::MissingFile { file } },
            Some(e) => LakeError::Io { table, path: file, source: e },
            _ => LakeError::Damaged { table, damage: Damage::File { file, why: reason_of(&source.to_string()) } },
        }
    }

    /// A folder of the lake that cannot be read or made: what has its name, where something has.
    pub(super) fn of_folder(table: &'static str, folder: &Path, source: io::Error) -> Self {
        match durable::obstacle(folder) {
            Some(path) => LakeError::Damaged { table, damage: Damage::NotAFolder { path: path.to_owned() } },
            None => LakeError::Io { table, path: folder.to_owned(), source },
        }
    }

    /// What to do about it, where there is more to say than what happened.
    pub fn advice(&self) -> Option<String> {
        match self {
            LakeError::Damaged { damage, .. } => Some(damage.advice()),
            LakeError::NoLake { advice, .. } => Some(advice.clone()),
            LakeError::Io { source, .. }
                if matches!(source.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) =>
            {
                Some("check the owner and permissions of the lake's folder".to_owned())
            }
            _ => None,
        }
    }

    /// The data file that cannot be read, when the error says nothing of others.
    pub(crate) fn broken_file(&self) -> Option<&Path> {
        match self {
            LakeError::Damaged { damage, .. } => damage.data_file(),
            LakeError::Io { path, source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Some(path),
            _ => None,
        }
    }

    /// True when other tables can be as good as ever: the error says something of one table, not of the disk.
    pub fn is_of_one_table(&self) -> bool {
        match self {
            LakeError::Damaged { .. }
            | LakeError::Unsupported { .. }
            | LakeError::ColumnType { .. }
            | LakeError::Log { .. }
            | LakeError::Parquet { .. }
            | LakeError::Read { .. } => true,
            LakeError::Io { source, path, .. } => {
                // What cannot be read, or not even be examined, says something of itself; what cannot be made says something
                // of the disk.
                matches!(source.kind(), io::ErrorKind::PermissionDenied) && !matches!(path.try_exists(), Ok(false))
            }
            _ => false,
        }
    }
}

impl From<Step> for LakeError {
    fn from(step: Step) -> Self {
        LakeError::Stopped(step)
    }
}

/// What of the lake's own errors is among an error's causes: which file or table could not be read, copied.
pub fn lake_cause(error: &(dyn StdError + 'static)) -> Option<LakeError> {
    let mut next = Some(error);
    while let Some(error) = next {
        match error.downcast_ref::<LakeError>() {
            Some(LakeError::Damaged { table, damage }) => {
                return Some(LakeError::Damaged { table, damage: damage.clone() });
            }
            Some(LakeError::Io { table, path, source }) => {
                return Some(LakeError::Io { table, path: path.clone(), source: copy(source) });
            }
            _ => {}
        }
        // These keep foreign errors where `source` does not lead to them.
        let inner = match (error.downcast_ref::<DataFusionError>(), error.downcast_ref::<ParquetError>()) {
            (Some(DataFusionError::ParquetError(inner)), _) => lake_cause(inner.as_ref()),
            (Some(DataFusionError::ArrowError(inner, _)), _) => lake_cause(inner.as_ref()),
            (_, Some(ParquetError::External(inner))) => lake_cause(inner.as_ref()),
            _ => None,
        };
        if inner.is_some() {
            return inner;
        }
        next = error.source();
    }
    None
}

/// True when a data file may be what could not be decoded, and the error does not name it. Other failures of reading data files
/// name the file, so that one of the operating system's without a name is of a temporary file.
pub fn is_of_decoder(error: &DataFusionError) -> bool {
    let early_end = |e: &io::Error| {
        e.raw_os_error().is_none() && matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData)
    };
    let decoder = match error.find_root() {
        DataFusionError::ParquetError(_) => true,
        DataFusionError::IoError(e) => early_end(e),
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            ArrowError::ParquetError(_) | ArrowError::ExternalError(_) | ArrowError::InvalidArgumentError(_) => true,
            ArrowError::IoError(_, e) => early_end(e),
            _ => false,
        },
        _ => false,
    };
    decoder && lake_cause(error).is_none()
}

/// What the readers of Parquet say in front of a reason, with what they were about to do before it. Where one of them passes an
/// error to the other only the text remains ([`ArrowError::ParquetError`]); this is that of parquet 59.3.
const PARQUET_ERROR: &str = "Parquet error: ";

/// The reason in a reader's message. A library may add a trace of its own calls in further lines.
fn reason_of(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    first.rsplit(PARQUET_ERROR).next().unwrap_or(first).to_owned()
}

/// The beginning of a message about a table; nothing for the lake itself.
fn of_table(table: &str) -> String {
    if table == "_" { String::new() } else { format!("table {table}: ") }
}

fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// The operating system's error among an error's causes, copied.
pub(crate) fn io_cause(error: &(dyn StdError + 'static)) -> Option<io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(copy(io));
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

#[cfg(test)]
mod tests {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    #[test]
    fn a_reason_is_without_what_the_reader_was_about_to_do() {
        let refused = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from_static(b"PAR1 and no footer")).unwrap_err();
        let (direct, handed_on) = (refused.to_string(), ArrowError::from(refused).to_string());
        let reason = "Invalid Parquet file. Corrupt footer";
        assert_eq!([reason_of(&direct), reason_of(&handed_on)], [reason, reason], "{direct}, {handed_on}");
        assert!(direct != reason && handed_on != direct, "{direct}, {handed_on}");
    }

    #[test]
    fn only_what_could_not_be_decoded_may_be_a_data_file() {
        let full = || io::Error::from_raw_os_error(28);
        assert!(!is_of_decoder(&DataFusionError::IoError(full())));
        assert!(!is_of_decoder(&DataFusionError::from(ArrowError::IoError("spill".into(), full()))));
        let memory = DataFusionError::ResourcesExhausted("no more".into());
        assert!(!is_of_decoder(&memory.context("while sorting")));
        assert!(is_of_decoder(&DataFusionError::from(ParquetError::EOF("page".into()))));
        assert!(is_of_decoder(&DataFusionError::from(ArrowError::ParquetError("page".into()))));
        assert!(is_of_decoder(&DataFusionError::IoError(io::ErrorKind::UnexpectedEof.into())));
        let early_end = ArrowError::IoError("page".into(), io::ErrorKind::UnexpectedEof.into());
        assert!(is_of_decoder(&DataFusionError::from(early_end)));
    }
}
