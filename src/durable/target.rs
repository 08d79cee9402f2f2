//! What is at a path that is to be written.

use crate::folder_of;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::in_place;
use super::temporary::Complete;
use crate::pipe;

/// Symbolic links that are followed before a path counts as a circle, as Linux has it.
const LINKS: usize = 40;

/// What a path names, as far as writing to it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// Nothing yet, or a regular file.
    File,
    /// A named pipe: opening it waits for its reader.
    Pipe,
    /// A device, a socket, or an open descriptor of a process.
    Device,
    /// A folder.
    Folder,
}

/// What a path names, links followed.
pub fn kind(path: &Path) -> TargetKind {
    if descriptor(path) {
        return TargetKind::Device;
    }
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => TargetKind::Folder,
        Ok(found) if found.is_file() => TargetKind::File,
        Ok(_) if pipe::is_pipe(path) => TargetKind::Pipe,
        Ok(_) => TargetKind::Device,
        Err(_) => TargetKind::File,
    }
}

/// True for `/dev/stdout` and other names of this process's standard output.
pub fn is_standard_output(path: &Path) -> bool {
    let Ok(path) = follow(path) else { return false };
    if path.file_name() != Some("1".as_ref()) {
        return false;
    }
    let own = fs::canonicalize("/proc/self/fd").unwrap_or_else(|_| "/dev/fd".into());
    fs::canonicalize(folder_of(&path)).is_ok_and(|folder| folder == own)
}

/// True when a path leads, over any links, to an open descriptor: `/dev/stdout`, `/dev/fd/3`, `/proc/self/fd/3`.
fn descriptor(path: &Path) -> bool {
    follow(path).is_ok_and(|path| is_descriptor(&path))
}

fn is_descriptor(path: &Path) -> bool {
    // Most paths are elsewhere; only a number can be a descriptor.
    if !path.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit)) {
        return false;
    }
    fs::canonicalize(folder_of(path)).is_ok_and(|folder| {
        folder == Path::new("/dev/fd") || (folder.starts_with("/proc") && folder.file_name() == Some("fd".as_ref()))
    })
}

/// Follows links to the name that is to be written; it need not exist. Links to descriptors stand for themselves.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS {
        if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) || is_descriptor(&path) {
            return Ok(path);
        }
        path = folder_of(&path).join(fs::read_link(&path)?);
    }
    Err(io::Error::other("too many symbolic links"))
}

/// The absolute path that a path names, links followed and `..` resolved, whether it exists or not.
pub fn resolved(path: &Path) -> PathBuf {
    let mut real = if path.is_absolute() { PathBuf::new() } else { fs::canonicalize(".").unwrap_or_default() };
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                real.pop();
            }
            other => {
                real.push(other);
                let found = follow(&real).unwrap_or_else(|_| real.clone());
                real = fs::canonicalize(&found).unwrap_or(found);
            }
        }
    }
    real
}

/// An output that is about to be written.
pub(super) enum Target {
    /// A pipe, a device, or a descriptor, opened.
    Direct(File),
    /// A regular file, or a name that is free.
    File { path: PathBuf, existing: Option<Existing> },
}

impl Target {
    /// Opens what is at a path, without changing it.
    pub(super) fn of(path: &Path) -> io::Result<Target> {
        let path = follow(path)?;
        if is_descriptor(&path) {
            // Opened again, a descriptor's file would begin at its start, over what was written through the descriptor.
            return File::options().append(true).open(&path).map(Target::Direct);
        }
        match fs::metadata(&path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Target::File { path, existing: None }),
            Err(err) => Err(err),
            Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(found) if found.is_file() => {
                // A file that may not be written is not replaced either, though its folder would allow it.
                let file = File::options().write(true).open(&path)?;
                Ok(Target::File { path, existing: Some(Existing { file, found }) })
            }
            Ok(_) => pipe::write(&path).map(Target::Direct),
        }
    }
}

/// A regular file that is about to be replaced.
#[derive(Debug)]
pub(super) struct Existing {
    file: File,
    found: Metadata,
}

impl Existing {
    /// Gives a new file the owner and group of this one; false when the system does not allow that.
    #[cfg(unix)]
    pub(super) fn gives_owner(&self, new: &File) -> io::Result<bool> {
        use std::os::unix::fs::{MetadataExt as _, fchown};
        let own = new.metadata()?;
        if (own.uid(), own.gid()) == (self.found.uid(), self.found.gid()) {
            return Ok(true);
        }
        Ok(fchown(new, Some(self.found.uid()), Some(self.found.gid())).is_ok())
    }

    #[cfg(not(unix))]
    pub(super) fn gives_owner(&self, _new: &File) -> io::Result<bool> {
        Ok(true)
    }

    /// Gives a new file the permissions of this one.
    pub(super) fn gives_mode(&self, new: &File) -> io::Result<()> {
        if new.metadata()?.permissions() == self.found.permissions() {
            return Ok(());
        }
        new.set_permissions(self.found.permissions())
    }

    /// Puts the content of a temporary file in place of this one's, where it cannot be replaced as a whole. Meanwhile the
    /// content is in `folder`, and stays there when that fails halfway; the error names its path.
    pub(super) fn overwrite(mut self, from: &Path, folder: &Path) -> io::Result<()> {
        in_place::overwrite(&mut self.file, Complete::of(from, folder)?)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, chown, symlink};
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    #[test]
    fn what_stands_at_a_path_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("12"), "").unwrap();
        fs::create_dir(at("fd")).unwrap();
        fs::write(at("fd/3"), "").unwrap();
        assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        let _socket = UnixListener::bind(at("socket")).unwrap();
        symlink(at("pipe"), at("to-pipe")).unwrap();
        symlink(at("none"), at("to-none")).unwrap();
        symlink("/dev/fd/0", at("to-descriptor")).unwrap();
        for (path, expected) in [
            (at("12"), TargetKind::File),
            (at("fd/3"), TargetKind::File),
            (at("none"), TargetKind::File),
            (at("to-none"), TargetKind::File),
            (at("fd"), TargetKind::Folder),
            (at("pipe"), TargetKind::Pipe),
            (at("to-pipe"), TargetKind::Pipe),
            (at("socket"), TargetKind::Device),
            (at("to-descriptor"), TargetKind::Device),
            ("/dev/null".into(), TargetKind::Device),
            ("/dev/fd/0".into(), TargetKind::Device),
            ("/proc/self/fd/0".into(), TargetKind::Device),
            ("/proc/self/stat".into(), TargetKind::File),
        ] {
            assert_eq!(kind(&path), expected, "{path:?}");
        }
    }

    #[test]
    fn a_target_is_opened_as_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "old").unwrap();
        symlink("file", at("link")).unwrap();
        symlink("circle", at("circle")).unwrap();
        let free = at("free");
        assert!(matches!(Target::of(&free), Ok(Target::File { path, existing: None }) if path == free));
        let file = at("file");
        assert!(matches!(Target::of(&at("link")), Ok(Target::File { path, existing: Some(_) }) if path == file));
        assert!(matches!(Target::of(Path::new("/dev/null")), Ok(Target::Direct(_))));
        let refused = |path: &Path| Target::of(path).err().map(|err| err.kind());
        assert_eq!(refused(dir.path()), Some(io::ErrorKind::IsADirectory));
        assert_eq!(refused(&at("file/below")), Some(io::ErrorKind::NotADirectory));
        assert!(refused(&at("circle")).is_some());
        assert_eq!(fs::read_to_string(at("file")).unwrap(), "old");
    }

    #[test]
    fn a_new_file_gets_the_owner_of_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        fs::write(&old, "").unwrap();
        fs::write(&new, "").unwrap();
        let gives = |existing: &Path| match Target::of(existing).unwrap() {
            Target::File { existing: Some(existing), .. } => existing.gives_owner(&File::open(&new).unwrap()).unwrap(),
            _ => unreachable!("a regular file"),
        };
        assert!(gives(&old));
        // Only root can give files away.
        if chown(&old, Some(12_345), Some(12_345)).is_ok() {
            assert!(gives(&old));
            let found = fs::metadata(&new).unwrap();
            assert_eq!((found.uid(), found.gid()), (12_345, 12_345));
        }
    }
}
