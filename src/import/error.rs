//! What stops an import as a whole.

use std::io;
use std::path::PathBuf;

use kqlake_lake::LakeError;

/// What stops an import as a whole. Everything else is a state of a unit, and in the summary.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A path that was named does not exist.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// A path that was named cannot be a source.
    #[error("{} {reason}", path.display())]
    Unsuitable {
        /// The path.
        path: PathBuf,
        /// What it is, as the rest of a sentence that begins with the path.
        reason: String,
    },
    /// A path that was named cannot be examined.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The lake could not be read or written. What was committed before stays; the same import can be run again.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Refused records could not be written.
    #[error("records that cannot be read could not be quarantined in {}: {source}", path.display())]
    Quarantine {
        /// The file that was to be written.
        path: PathBuf,
        /// Why it could not.
        source: io::Error,
    },
    /// A temporary file could not be written or read.
    #[error("a temporary file that the import needs cannot be used: {reason}")]
    Scratch {
        /// Why not, with the folder where it could not be made.
        reason: String,
    },
    /// The thread that reads files ended without an answer.
    #[error("the reader of files failed: {0}")]
    Reader(String),
}
