//! Where operators spill what does not fit into their memory: queries and compactions alike.
//!
//! The folder is a temporary one of [`durable`], made when the first operator spills. It is locked while its process lives, so
//! that what a killed process left can be distinguished from what another one is using, and is removed by a later run.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use datafusion::execution::disk_manager::{DiskManager, DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SpillFile, TempFileFactory};

use kqlake_durable::{self as durable, Staging};

/// Folders that this process has swept: leftovers of others are searched for once.
static SWEPT: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);

/// A folder that takes no temporary folder.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a temporary folder in {}", folder.display())]
pub struct SpillError {
    /// Where operators were to spill.
    pub folder: PathBuf,
    /// Why not.
    pub source: std::io::Error,
}

/// The temporary files of one query or compaction. Dropped, it removes them, also where an operator that was given up still
/// holds some.
pub struct SpillFolder(Arc<Folder>);

impl SpillFolder {
    /// Temporary files in `place`, which exists; in the system's folder for temporary files when it is not given. Nothing is
    /// made yet; what killed processes of the same user left there is removed.
    pub fn new(place: Option<&Path>) -> SpillFolder {
        let place = place.map_or_else(std::env::temp_dir, Path::to_path_buf);
        if SWEPT.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(place.clone()) {
            durable::sweep(&place);
        }
        SpillFolder(Arc::new(Folder { place, state: Mutex::new(State::Unused) }))
    }

    /// What operators run in: a memory pool and this folder.
    ///
    /// # Errors
    /// Never, as far as DataFusion's builder goes.
    pub fn runtime(&self, pool: Arc<dyn MemoryPool>) -> Result<Arc<RuntimeEnv>> {
        let disk = DiskManagerBuilder::default().with_temp_file_factory(Arc::clone(&self.0) as _);
        RuntimeEnvBuilder::new().with_memory_pool(pool).with_disk_manager_builder(disk).build_arc()
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        *self.0.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Closed;
    }
}

/// A folder that is made when it is needed.
struct Folder {
    place: PathBuf,
    state: Mutex<State>,
}

enum State {
    Unused,
    /// The folder is removed when the staging is dropped.
    Open(Arc<DiskManager>, #[allow(dead_code, reason = "is held for its end")] Staging),
    Closed,
}

impl TempFileFactory for Folder {
    fn create_temp_file(&self, description: &str) -> Result<Arc<dyn SpillFile>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Unused = *state {
            let staging = Staging::create(&self.place)
                .map_err(|source| DataFusionError::External(Box::new(SpillError { folder: self.place.clone(), source })))?;
            let mode = DiskManagerMode::Directories(vec![staging.path().to_path_buf()]);
            let manager = DiskManagerBuilder::default().with_mode(mode).build()?;
            *state = State::Open(Arc::new(manager), staging);
        }
        match &*state {
            State::Open(manager, _) => manager.create_tmp_file(description),
            _ => Err(exec_datafusion_err!("the query has ended")),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::UnboundedMemoryPool;

    use super::*;

    fn names(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn the_folder_is_made_by_the_first_file_and_goes_with_its_query() {
        let place = tempfile::tempdir().unwrap();
        let folder = SpillFolder::new(Some(place.path()));
        let runtime = folder.runtime(Arc::new(UnboundedMemoryPool::default())).unwrap();
        assert_eq!(names(place.path()), 0);
        let file = runtime.disk_manager.create_tmp_file("a test").unwrap();
        assert!(file.path().unwrap().starts_with(place.path()));
        assert_eq!(names(place.path()), 1);
        // Another run sweeps the place meanwhile.
        durable::sweep(place.path());
        assert!(file.path().unwrap().exists());
        drop(folder);
        assert_eq!(names(place.path()), 0);
        assert!(runtime.disk_manager.create_tmp_file("an operator that was given up").is_err());
        assert_eq!(names(place.path()), 0);
    }
}
