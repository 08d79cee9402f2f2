//! Temporary files without a name: whatever happens to the process, nothing of them stays.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Where temporary files without a name go. Clones are the same place.
#[derive(Debug, Clone, Default)]
pub struct ScratchFolder(Option<Arc<Path>>);

impl ScratchFolder {
    /// A folder, which exists; the system's folder for temporary files when none is given. Nothing is made yet.
    pub fn new(folder: Option<&Path>) -> ScratchFolder {
        ScratchFolder(folder.map(Arc::from))
    }

    /// The folder that was given.
    pub fn path(&self) -> Option<&Path> {
        self.0.as_deref()
    }

    /// An empty file to write to and to read.
    ///
    /// # Errors
    /// The folder takes no file; the message names it.
    pub fn file(&self) -> io::Result<File> {
        let system = self.0.is_none().then(std::env::temp_dir);
        let folder = self.0.as_deref().or(system.as_deref()).unwrap_or(Path::new("."));
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
        tempfile::tempfile_in(folder).map_err(named)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _, Write as _};

    use super::*;

    #[test]
    fn files_have_no_name_and_a_folder_that_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = ScratchFolder::new(Some(dir.path())).file().unwrap();
        file.write_all(b"text").unwrap();
        file.rewind().unwrap();
        let mut read = String::new();
        file.read_to_string(&mut read).unwrap();
        assert_eq!((read.as_str(), std::fs::read_dir(dir.path()).unwrap().count()), ("text", 0));
        let missing = dir.path().join("missing");
        let error = ScratchFolder::new(Some(&missing)).file().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains(&missing.display().to_string()), "{error}");
        assert!(ScratchFolder::default().file().is_ok());
    }
}
