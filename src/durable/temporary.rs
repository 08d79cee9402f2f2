//! Temporary files and folders, and the removal of those whose process has ended.
//!
//! Names are `.kqlake-` and 32 hexadecimal digits, then `.partial` for a file and `.staging` for a folder. A file that is
//! complete and just being copied over another one ends with `.complete`; nothing but that copy's success removes it. A file is locked by
//! its process, a folder by a file `.lock` in it. The system drops a lock with its process, so that a lock which can be taken
//! is that of a process that has ended; process ids could have been given again, or belong to another machine.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

const PREFIX: &str = ".kqlake-";
const PARTIAL: &str = ".partial";
const STAGING: &str = ".staging";
const COMPLETE: &str = ".complete";
/// The file in a temporary folder that its process has locked.
const LOCK: &str = ".lock";
/// Times that a name is tried whose file was removed between its making and its locking.
const TRIES: usize = 8;

/// What this process has not completed, for an exit that drops nothing.
static INCOMPLETE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Complete files that are being copied over others.
static COPIED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn copied() -> MutexGuard<'static, Vec<PathBuf>> {
    COPIED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn incomplete() -> MutexGuard<'static, Vec<PathBuf>> {
    INCOMPLETE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes all temporary files and folders of this process. Is called when the process ends at once; what is written then is
/// lost, except complete files that are just being copied over others: they stay, and their paths are given.
#[must_use]
pub fn abandon_all() -> Vec<PathBuf> {
    abandon(|_| true);
    copied().clone()
}

pub(super) fn abandon(of: impl Fn(&Path) -> bool) {
    incomplete().iter().filter(|path| of(path)).for_each(|path| remove(path));
}

fn remove(path: &Path) {
    drop(if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) });
}

/// A temporary file or folder of this process, removed when dropped.
#[derive(Debug)]
pub(super) struct TemporaryPath {
    /// The file itself, or the folder's lock.
    file: File,
    path: PathBuf,
    released: bool,
}

impl TemporaryPath {
    /// Makes a temporary file. A `private` one may be read by its owner only; others have the mode of any new file.
    pub(super) fn file(folder: &Path, private: bool) -> io::Result<TemporaryPath> {
        TemporaryPath::tried(folder, PARTIAL, |path| {
            let file = created(path, private)?;
            locked(file)
        })
    }

    /// Makes a temporary folder that only its owner may enter.
    pub(super) fn folder(folder: &Path) -> io::Result<TemporaryPath> {
        TemporaryPath::tried(folder, STAGING, |path| {
            make_private_folder(path)?;
            match created(&path.join(LOCK), true) {
                Ok(file) => locked(file),
                // Swept before it had its lock.
                Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(err) => {
                    drop(fs::remove_dir(path));
                    Err(err)
                }
            }
        })
    }

    fn tried(folder: &Path, ending: &str, make: impl Fn(&Path) -> io::Result<Option<File>>) -> io::Result<TemporaryPath> {
        for _ in 0..TRIES {
            let path = folder.join(format!("{PREFIX}{}{ending}", Uuid::new_v4().simple()));
            if let Some(file) = make(&path)? {
                incomplete().push(path.clone());
                return Ok(TemporaryPath { file, path, released: false });
            }
        }
        Err(io::Error::other("temporary files are removed as soon as they are made"))
    }

    /// The file, or the folder's lock.
    pub(super) fn handle(&self) -> &File {
        &self.file
    }

    /// The temporary name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file has another name now: nothing is to be removed.
    pub(super) fn released(&mut self) {
        self.released = true;
    }
}

impl Drop for TemporaryPath {
    fn drop(&mut self) {
        incomplete().retain(|path| *path != self.path);
        if !self.released {
            remove(&self.path);
        }
    }
}

/// A complete file that is about to be copied over another one. It stays whatever happens, until it is removed.
#[derive(Debug)]
pub(super) struct Complete {
    path: PathBuf,
}

impl Complete {
    /// Gives a temporary file a name in `folder` under which nothing removes it. Only its owner may read it.
    pub(super) fn of(from: &Path, folder: &Path) -> io::Result<Complete> {
        #[cfg(unix)]
        fs::set_permissions(from, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let path = folder.join(format!("{PREFIX}{}{COMPLETE}", Uuid::new_v4().simple()));
        fs::rename(from, &path)?;
        copied().push(path.clone());
        Ok(Complete { path })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it where it is.
    pub(super) fn keep(self) -> PathBuf {
        self.path.clone()
    }

    /// Removes it: its content has its place.
    pub(super) fn remove(self) {
        drop(fs::remove_file(&self.path));
    }
}

impl Drop for Complete {
    fn drop(&mut self) {
        copied().retain(|path| *path != self.path);
    }
}

fn created(path: &Path, private: bool) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    if private {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = private;
    options.open(path)
}

fn make_private_folder(path: &Path) -> io::Result<()> {
    #[allow(unused_mut, reason = "changed on Unix only")]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Locks a new file; `None` when another process has removed it before it was locked.
fn locked(file: File) -> io::Result<Option<File>> {
    // Where files cannot be locked they cannot be swept either, by the same test.
    if file.lock().is_err() {
        return Ok(Some(file));
    }
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::nlink(&file.metadata()?) == 0 {
        return Ok(None);
    }
    Ok(Some(file))
}

/// True for the name of a temporary file or folder, whether its process lives or not.
pub fn is_temporary(name: &OsStr) -> bool {
    ending_of(name).is_some()
}

/// The ending of a temporary name of ours.
fn ending_of(name: &OsStr) -> Option<&'static str> {
    let rest = name.to_str()?.strip_prefix(PREFIX)?;
    let (digits, ending) = rest.split_at_checked(32)?;
    if !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    [PARTIAL, STAGING].into_iter().find(|known| *known == ending)
}

/// The temporary files in a folder, whether their process lives or not.
pub(super) fn partial_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if ending_of(&entry.file_name()) == Some(PARTIAL) && entry.file_type()?.is_file() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Removes the temporary files and folders in `folder` whose process has ended. What cannot be removed stays, and so do folders
/// of other users: temporary folders may be where all users have theirs.
pub fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Some(ending) = ending_of(&entry.file_name()) else { continue };
        let Ok(kind) = entry.file_type() else { continue };
        if ending == PARTIAL && kind.is_file() {
            sweep_file(&entry.path());
        } else if ending == STAGING && kind.is_dir() {
            sweep_folder(&entry.path());
        }
    }
}

fn sweep_file(path: &Path) {
    if let Ok(file) = File::options().write(true).open(path)
        && file.try_lock().is_ok()
    {
        drop(fs::remove_file(path));
    }
}

fn sweep_folder(path: &Path) {
    match File::options().write(true).open(path.join(LOCK)) {
        Ok(file) if file.try_lock().is_ok() && is_own(path) => drop(fs::remove_dir_all(path)),
        Ok(_) => {}
        // Its process died between making the folder and locking it, or is just there: an empty folder may go.
        Err(err) if err.kind() == io::ErrorKind::NotFound && is_own(path) => drop(fs::remove_dir(path)),
        Err(_) => {}
    }
}

/// True for a folder of the user that this process runs as: of the one who owns what it makes beside it.
#[cfg(unix)]
fn is_own(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(beside) = TemporaryPath::file(super::folder_of(path), true) else { return false };
    matches!((fs::symlink_metadata(path), beside.handle().metadata()), (Ok(found), Ok(own)) if found.uid() == own.uid())
}

#[cfg(not(unix))]
fn is_own(_path: &Path) -> bool {
    true
}
