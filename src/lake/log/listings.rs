//! How often the folder of a log was listed, for tests: a log has thousands of files, and an import may look through them once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

static LISTED: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());

/// Counts a listing of a folder.
pub(crate) fn count(folder: &Path) {
    *LISTED.lock().unwrap_or_else(PoisonError::into_inner).entry(folder.to_owned()).or_default() += 1;
}

/// The listings of a folder since this was asked last.
pub(crate) fn taken(folder: &Path) -> usize {
    LISTED.lock().unwrap_or_else(PoisonError::into_inner).remove(folder).unwrap_or_default()
}
