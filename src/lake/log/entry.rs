//! Data files as the log lists them.

use std::collections::HashMap;

use serde::Deserialize;

use crate::partition::Partition;

/// A live data file as the log describes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FileEntry {
    /// Path below the table's folder, decoded.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Milliseconds since 1970 when the file was written.
    pub modified: i64,
    /// The part of the table that it belongs to; `None` when the log does not say.
    pub partition: Option<Partition>,
    /// Statistics as JSON text.
    pub stats: Option<String>,
    /// Tags of the file.
    pub tags: HashMap<String, Option<String>>,
    /// True when rows of the file are deleted by a vector beside it.
    pub has_deletion_vector: bool,
}

/// A file to add in a commit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewFile {
    /// Path below the table's folder.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Milliseconds since 1970 when the file was written.
    pub modified: i64,
    /// The part of the table that it belongs to.
    pub partition: Partition,
    /// Statistics as JSON text.
    pub stats: String,
    /// Tags of the file.
    pub tags: HashMap<String, String>,
}

/// Bytes of files that their commit flushes, side by side with all else that it flushes. Larger ones are flushed when they are
/// complete, while other work goes on.
const FLUSHED_BY_COMMIT: u64 = 4 << 20;

/// True for a file of such a size that its commit flushes it.
pub(crate) fn is_flushed_by_commit(bytes: u64) -> bool {
    bytes <= FLUSHED_BY_COMMIT
}

/// The rows of a file by its statistics.
pub(crate) fn rows_of(stats: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Stats {
        #[serde(rename = "numRecords")]
        rows: Option<u64>,
    }
    serde_json::from_str::<Stats>(stats).ok()?.rows
}
