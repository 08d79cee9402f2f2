//! Opening files that may be named pipes.
//!
//! Opening a named pipe waits until another process opens its other end, which may never happen. So it is said after a
//! moment, as a warning in the log: all code that opens what a user named does so here.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use kqlake_value::escape::escaped;

/// A pipe whose other end comes later than this is said to be waited for.
const PATIENCE: Duration = Duration::from_millis(700);

/// Threads that wait for a pipe's other end.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// True while a pipe's other end is waited for, which may never come.
pub fn is_waiting() -> bool {
    WAITING.load(Ordering::Relaxed) > 0
}

/// Opens a file or a pipe to read it.
///
/// # Errors
/// As [`File::open`].
pub fn read(path: &Path) -> io::Result<File> {
    open(path, File::options().read(true), "writer")
}

/// Opens a pipe, a device or an existing file to write to it.
///
/// # Errors
/// As [`File::open`].
pub fn write(path: &Path) -> io::Result<File> {
    open(path, File::options().write(true), "reader")
}

/// True for a named pipe, links followed.
#[cfg(unix)]
pub fn is_pipe(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| std::os::unix::fs::FileTypeExt::is_fifo(&found.file_type()))
}

/// True for a named pipe, links followed.
#[cfg(not(unix))]
pub fn is_pipe(_path: &Path) -> bool {
    false
}

fn open(path: &Path, options: &OpenOptions, other_end: &str) -> io::Result<File> {
    if !is_pipe(path) {
        return options.open(path);
    }
    let (tell, told) = mpsc::channel();
    let (pipe, options) = (path.to_path_buf(), options.clone());
    // The thread ends with its pipe's other end, or with the process.
    std::thread::Builder::new().spawn(move || drop(tell.send(options.open(pipe))))?;
    WAITING.fetch_add(1, Ordering::Relaxed);
    let opened = told.recv_timeout(PATIENCE).or_else(|_| {
        tracing::warn!("{} is a pipe: waiting for its {other_end}", escaped(&path.display().to_string()));
        told.recv()
    });
    WAITING.fetch_sub(1, Ordering::Relaxed);
    opened.unwrap_or_else(|_| Err(io::Error::other("the pipe was not opened")))
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::process::Command;
    use std::thread;

    use super::*;

    #[test]
    fn a_pipe_is_opened_when_its_other_end_comes() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, file, link) = (dir.path().join("pipe"), dir.path().join("file"), dir.path().join("link"));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        std::fs::write(&file, "text").unwrap();
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        assert!(is_pipe(&pipe) && is_pipe(&link));
        assert!(!is_pipe(&file) && !is_pipe(dir.path()) && !is_pipe(&dir.path().join("none")));

        assert!(!is_waiting());
        let reader = thread::spawn({
            let pipe = pipe.clone();
            move || read(&pipe)
        });
        while !is_waiting() {
            thread::yield_now();
        }
        let mut writer = write(&pipe).unwrap();
        writer.write_all(b"through").unwrap();
        drop(writer);
        let mut text = String::new();
        reader.join().unwrap().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        assert!(!is_waiting());
    }

    #[test]
    fn what_is_no_pipe_is_opened_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        assert_eq!(read(&file).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(write(&file).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(&file, "text").unwrap();
        assert_eq!(io::read_to_string(read(&file).unwrap()).unwrap(), "text");
    }
}
