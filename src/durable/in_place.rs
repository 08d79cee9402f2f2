//! Putting new content into an existing file that cannot be replaced as a whole.
//!
//! The content is copied, so that for a moment the file holds neither the old nor the new one. What can fail is done before
//! that moment: a longer content first gets its room behind the old one's end, as real bytes. From the first change on the
//! complete content is kept beside it under a name of its own, and stays there when the copy does not succeed.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use super::temporary::Complete;

/// A file that is written over.
pub(super) trait InPlace: Write + Seek {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Cuts it.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Brings it to the disk.
    fn sync(&self) -> io::Result<()>;
}

impl InPlace for File {
    fn length(&self) -> io::Result<u64> {
        self.metadata().map(|found| found.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        super::sync_file(self)
    }
}

/// Copies a complete content into a file.
///
/// # Errors
/// When there is no room for the content: the file is then as it was, and the content is removed. When the copy fails after
/// that: the file holds a part of the content, all of which is kept at the path that the error names.
pub(super) fn overwrite(file: &mut impl InPlace, complete: Complete) -> io::Result<()> {
    let prepared = File::open(complete.path()).and_then(|from| Ok((file.length()?, from)));
    let (old, mut from) = match prepared {
        Ok(prepared) => prepared,
        Err(err) => {
            complete.remove();
            return Err(err);
        }
    };
    if let Err(err) = reserve(file, &mut from, old) {
        if file.set_length(old).is_ok() {
            complete.remove();
            return Err(err);
        }
        return Err(incomplete(&err, complete));
    }
    match copy(file, &mut from) {
        Ok(()) => {
            complete.remove();
            Ok(())
        }
        Err(err) => Err(incomplete(&err, complete)),
    }
}

/// Writes what the new content has beyond the old length, so that nothing has to find room later.
fn reserve(file: &mut impl InPlace, from: &mut File, old: u64) -> io::Result<()> {
    if from.metadata()?.len() <= old {
        return Ok(());
    }
    from.seek(SeekFrom::Start(old))?;
    file.seek(SeekFrom::Start(old))?;
    io::copy(from, file)?;
    // Some file systems find out only now.
    file.sync()
}

fn copy(file: &mut impl InPlace, from: &mut File) -> io::Result<()> {
    from.rewind()?;
    file.rewind()?;
    let length = io::copy(from, file)?;
    file.set_length(length)?;
    file.sync()
}

fn incomplete(err: &io::Error, complete: Complete) -> io::Error {
    let kept = complete.keep();
    let text = format!("{err}; it holds a part of the new content only, all of which is kept in {}", kept.display());
    io::Error::new(err.kind(), text)
}
