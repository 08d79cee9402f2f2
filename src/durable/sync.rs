//! Bringing files and the names of a folder's files to the disk: the one place where that is done.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Threads that wait for the disk together.
const MOST_THREADS: usize = 8;

/// What has just been flushed.
#[derive(Debug, Clone, Copy)]
pub enum Synced<'s> {
    /// The content of an open file.
    File(&'s File),
    /// The names in a folder.
    Folder(&'s Path),
}

type Observer = Arc<dyn Fn(Synced<'_>) + Send + Sync>;

static OBSERVERS: RwLock<Vec<(usize, Observer)>> = RwLock::new(Vec::new());
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// While it lives, an observer receives everything that this process flushes.
#[derive(Debug)]
pub struct Observing(usize);

/// Reports everything that is flushed from now on to an observer.
///
/// It is there for tests of what a power cut would leave, and public since these are in other crates. Behind a feature, which only
/// tests turn on, this crate and all that use it would be built twice: for the program and for its tests.
#[doc(hidden)]
pub fn observe(observer: impl Fn(Synced<'_>) + Send + Sync + 'static) -> Observing {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    OBSERVERS.write().unwrap_or_else(PoisonError::into_inner).push((number, Arc::new(observer)));
    Observing(number)
}

impl Drop for Observing {
    fn drop(&mut self) {
        OBSERVERS.write().unwrap_or_else(PoisonError::into_inner).retain(|(number, _)| *number != self.0);
    }
}

fn tell(synced: Synced<'_>) {
    let observers = OBSERVERS.read().unwrap_or_else(PoisonError::into_inner).clone();
    observers.iter().for_each(|(_, observer)| observer(synced));
}

/// Brings a file's content to the disk.
///
/// # Errors
/// When the disk refuses; what was written since the last flush may be lost then, whatever a later call says.
pub fn sync_file(file: &File) -> io::Result<()> {
    file.sync_all()?;
    tell(Synced::File(file));
    Ok(())
}

/// Brings the content of the file at a path to the disk.
///
/// # Errors
/// When it cannot be opened, or the disk refuses.
pub fn sync_path(path: &Path) -> io::Result<()> {
    // Windows flushes only what may be written.
    sync_file(&File::options().read(true).write(cfg!(windows)).open(path)?)
}

/// Brings the names of a folder's files to the disk, where the file system can: one that cannot flush folders, or a folder that
/// may be written and not read, is no error.
///
/// # Errors
/// When the disk refuses.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let opened = match File::open(folder) {
            Err(err) if err.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            opened => opened?,
        };
        match opened.sync_all() {
            Err(err) if matches!(err.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {}
            synced => synced?,
        }
    }
    tell(Synced::Folder(folder));
    Ok(())
}

/// Something that is brought to the disk.
#[derive(Debug)]
pub enum Unsynced<'f> {
    /// The content of an open file.
    File(&'f File),
    /// The content of the file at a path.
    Path(PathBuf),
    /// The names in a folder.
    Folder(PathBuf),
}

impl Unsynced<'_> {
    fn sync(&self) -> io::Result<()> {
        match self {
            Unsynced::File(file) => sync_file(file),
            Unsynced::Path(path) => sync_path(path),
            Unsynced::Folder(folder) => sync_folder(folder),
        }
    }
}

/// Brings several things to the disk side by side: each waits for the disk, which takes them together.
///
/// # Errors
/// When the disk refuses one of them.
pub fn sync_together(all: &[Unsynced<'_>]) -> io::Result<()> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    let work = || {
        while let Some(this) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = this.sync() {
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        // Where the system gives no more threads, this one does the rest.
        for _ in 1..all.len().min(MOST_THREADS) {
            drop(std::thread::Builder::new().spawn_scoped(scope, work));
        }
        work();
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Makes a folder and those above it that are missing, and flushes their names.
///
/// # Errors
/// When a folder cannot be made, or the disk refuses.
pub fn create_folders(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    if missing.is_empty() && folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    // From below: the journals of most file systems then hold all of them at the first flush.
    missing.iter().try_for_each(|made| sync_folder(super::folder_of(made)))
}
