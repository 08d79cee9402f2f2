//! Files that appear complete or not at all, and outputs that a user named.
//!
//! A new file is written under a temporary name, flushed to the disk, and renamed; then its folder is flushed. A reader sees
//! the old content or the new one, also after a power cut. What a killed process left behind is removed by the next one
//! that writes into the same folder: a temporary file is locked as long as its process lives, whatever its process id.
//!
//! An existing file keeps its mode, owner and group, and a symbolic link stays: its target is replaced. Pipes, devices and
//! descriptors (`/dev/fd/3`) are written to and never replaced.
//!
//! One case is no replacement: where the folder takes no further file, or a new file cannot get the old one's owner, the
//! complete content is copied into the existing file. Its room is taken before the old content is touched; a reader, or a
//! power cut during the copy, may find a mixture. A copy that fails halfway or is cut off by the end of the process leaves the
//! complete content in a file of its own (`.kqlake-….complete`).
//!
//! May use: `kqlake-value`, to show names in messages. Must never know: what is in a file and who wants it; no Arrow, DataFusion,
//! Delta or Parquet.

mod in_place;
mod lease;
pub mod pipe;
mod place;
mod scratch;
mod sync;
mod target;
mod temporary;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

pub use lease::Lease;
pub use place::{ReservedFolder, obstacle};
pub use scratch::ScratchFolder;
pub use sync::{Observing, Synced, Unsynced, create_folders, observe, sync_file, sync_folder, sync_path, sync_together};
use target::{Existing, Target};
pub use target::{TargetKind, is_standard_output, kind, resolved};
use temporary::TemporaryPath;
pub use temporary::{abandon_all, is_temporary, sweep};

/// The entries of a folder; of one that is not there, none.
///
/// # Errors
/// It is there and cannot be listed, or is no folder.
pub fn entries(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>> + use<>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok(entries.into_iter().flatten())
}

/// Removes a file; one that is gone already is no error.
///
/// # Errors
/// It cannot be removed.
pub fn remove_if_there(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// An output that a user named: a file that is replaced when it is complete, or a pipe or device that is written to.
#[derive(Debug)]
pub enum Output {
    /// A regular file.
    File(Draft),
    /// A pipe, a device, or an open descriptor.
    Direct(File),
}

impl Output {
    /// Opens what a path names. Opening a named pipe waits until it has a reader, and says so in the log.
    ///
    /// # Errors
    /// When it cannot be opened, or neither the file nor its folder may be written.
    pub fn open(path: &Path) -> io::Result<Output> {
        match Target::of(path)? {
            Target::Direct(file) => Ok(Output::Direct(file)),
            Target::File { path, existing } => Draft::for_target(path, existing, sweep).map(Output::File),
        }
    }

    /// A handle to write to.
    ///
    /// # Errors
    /// When the system has no more handles.
    pub fn writer(&self) -> io::Result<File> {
        match self {
            Output::File(draft) => draft.held.handle().try_clone(),
            Output::Direct(file) => file.try_clone(),
        }
    }

    /// Completes the output after everything has been written and flushed: a file takes its name.
    ///
    /// # Errors
    /// As [`Draft::publish`].
    pub fn finish(self) -> io::Result<()> {
        match self {
            Output::File(draft) => draft.publish(),
            Output::Direct(_) => Ok(()),
        }
    }
}

/// A file under a temporary name beside its target; dropped without being published, it is removed.
#[derive(Debug)]
pub struct Draft {
    held: TemporaryPath,
    path: PathBuf,
    existing: Option<Existing>,
    /// The folder cannot take another file, or the owner cannot be kept by a new one: the content is copied into the file.
    copies: bool,
}

impl Draft {
    /// Begins a file that takes the name `path` when it is complete. Removes what killed processes left in its folder.
    ///
    /// # Errors
    /// When the folder cannot be written, or `path` is something else than a regular file.
    pub fn create(path: &Path) -> io::Result<Draft> {
        Draft::at(path, sweep)
    }

    /// The same, which leaves what killed processes left where it is: for folders of thousands of files, which are not listed for each
    /// new one. Who lists such a folder sees them ([`is_temporary`]), and may [`sweep`] it then.
    ///
    /// # Errors
    /// As for [`Draft::create`].
    pub fn create_unswept(path: &Path) -> io::Result<Draft> {
        Draft::at(path, |_| ())
    }

    fn at(path: &Path, prepare: impl Fn(&Path)) -> io::Result<Draft> {
        let irregular = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
        // Opening a pipe would wait for its reader.
        if !matches!(kind(path), TargetKind::File | TargetKind::Folder) {
            return Err(irregular());
        }
        match Target::of(path)? {
            Target::File { path, existing } => Draft::for_target(path, existing, prepare),
            Target::Direct(_) => Err(irregular()),
        }
    }

    fn for_target(path: PathBuf, existing: Option<Existing>, prepare: impl Fn(&Path)) -> io::Result<Draft> {
        let folder = folder_of(&path);
        prepare(folder);
        let (held, copies) = match (TemporaryPath::file(folder, existing.is_some()), &existing) {
            (Ok(held), Some(existing)) => {
                let copies = !existing.gives_owner(held.handle())?;
                (held, copies)
            }
            (Ok(held), None) => (held, false),
            // The folder takes no further file, but the file itself may be written: it was opened for that.
            (Err(err), Some(_)) if refuses(&err) => (TemporaryPath::file(&std::env::temp_dir(), true)?, true),
            (Err(err), _) => return Err(err),
        };
        Ok(Draft { held, path, existing, copies })
    }

    /// The file to write to.
    pub fn file(&self) -> &File {
        self.held.handle()
    }

    /// Flushes the file and its folder to the disk and gives it its name, or copies it into the existing file where that
    /// cannot be replaced.
    ///
    /// # Errors
    /// When the disk refuses. The target is then as it was, save where a copy failed after its room was taken: the error then
    /// names the file that the complete content is kept in. When only the folder could not be flushed, the new content is in
    /// place, and a power cut may bring the old one back.
    pub fn publish(mut self) -> io::Result<()> {
        match self.existing.take() {
            Some(existing) if self.copies => {
                let from = self.held.path();
                existing.overwrite(from, folder_of(from))
            }
            existing => {
                if let Some(existing) = existing {
                    existing.gives_mode(self.held.handle())?;
                }
                sync_file(self.held.handle())?;
                fs::rename(self.held.path(), &self.path)?;
                self.held.released();
                sync_folder(folder_of(&self.path))
            }
        }
    }

    /// The same for a name that must be free: the second writer gets an error, and the first one's file stays.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when the name is taken, and as [`Draft::publish`].
    pub fn publish_new(self) -> io::Result<()> {
        self.publish_new_after(Vec::new())
    }

    /// The same, once other things are on the disk as well: what the file speaks of, which is flushed together with its content.
    ///
    /// # Errors
    /// As for [`Draft::publish_new`]; when the disk refuses one of the others, the name is not given.
    pub fn publish_new_after(self, others: Vec<Unsynced<'_>>) -> io::Result<()> {
        let mut all = others;
        all.push(Unsynced::File(self.held.handle()));
        sync_together(&all)?;
        drop(all);
        fs::hard_link(self.held.path(), &self.path)?;
        // The temporary name goes before the folder is flushed, so that a power cut leaves none.
        drop(self.held);
        sync_folder(folder_of(&self.path))
    }

    /// The same as [`Draft::publish`] for what can be made again: nothing waits for the disk. After a power cut the file may be
    /// the old one, the new one, empty or missing.
    ///
    /// # Errors
    /// When the file cannot be renamed.
    pub fn publish_unflushed(mut self) -> io::Result<()> {
        fs::rename(self.held.path(), &self.path)?;
        self.held.released();
        Ok(())
    }
}

fn refuses(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// A temporary folder, which only its owner may enter, for files that are published one by one. It is removed when dropped.
#[derive(Debug)]
pub struct Staging(TemporaryPath);

impl Staging {
    /// Makes a temporary folder in `folder`. Removes what killed processes left there.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn create(folder: &Path) -> io::Result<Staging> {
        sweep(folder);
        TemporaryPath::folder(folder).map(Staging)
    }

    /// The temporary folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Flushes a complete file of this folder to the disk and gives it the name `to`. The folder of `to` is flushed by
    /// [`sync_folder`], once after several files. Is copied into the existing file where that cannot be replaced.
    ///
    /// # Errors
    /// As [`Draft::publish`]; content that is kept is beside this folder.
    pub fn publish(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (to, existing) = match Target::of(to)? {
            Target::Direct(mut file) => return io::copy(&mut File::open(from)?, &mut file).and_then(|_| fs::remove_file(from)),
            Target::File { path, existing } => (path, existing),
        };
        let file = File::options().write(true).open(from)?;
        if let Some(existing) = existing {
            if !existing.gives_owner(&file)? {
                return existing.overwrite(from, folder_of(self.path()));
            }
            existing.gives_mode(&file)?;
        }
        sync_file(&file)?;
        match fs::rename(from, &to) {
            // A folder or file of the export may be a link to another file system.
            Err(err) if err.kind() == io::ErrorKind::CrossesDevices => {
                let draft = Draft::create(&to)?;
                io::copy(&mut File::open(from)?, &mut draft.file())?;
                draft.publish()?;
                fs::remove_file(from)
            }
            done => done,
        }
    }
}

/// The folder that a path's last name is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests;
