//! The checksum of a data file, of all its bytes: written into the log, it shows damage wherever rows of the file are written again.
//! Pages have none of their own, and a changed byte in a column that is not compressed is but another value.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::Path;

use xxhash_rust::xxh64::Xxh64;

/// The tag of a file with its checksum: XXH64 with the seed 0, as 16 hexadecimal digits.
pub(crate) const TAG_CHECKSUM: &str = "kqlake.xxh64";

/// Bytes that are read at a time.
const READ_BYTES: usize = 256 << 10;

/// A file that is written from its beginning to its end, with the checksum of what was written.
pub(crate) struct Summed {
    file: File,
    sum: Xxh64,
}

impl Summed {
    /// A file that is empty.
    pub(crate) fn new(file: File) -> Self {
        Summed { file, sum: Xxh64::new(0) }
    }

    /// The checksum, as the tag has it.
    pub(crate) fn checksum(&self) -> String {
        text(&self.sum)
    }
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The checksum of a file on the disk.
///
/// # Errors
/// It cannot be read.
pub(crate) fn checksum_of(path: &Path) -> io::Result<String> {
    let (mut file, mut sum) = (File::open(path)?, Xxh64::new(0));
    let mut some = vec![0; READ_BYTES.min(usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX)).max(1)];
    loop {
        match file.read(&mut some) {
            Ok(0) => return Ok(text(&sum)),
            Ok(read) => sum.update(&some[..read]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn text(sum: &Xxh64) -> String {
    format!("{:016x}", sum.digest())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_of_all_bytes_however_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let bytes: Vec<u8> = (0..3 * READ_BYTES + 7).map(|n| (n % 251) as u8).collect();
        let mut file = Summed::new(File::create(&path).unwrap());
        for part in bytes.chunks(1_001) {
            file.write_all(part).unwrap();
        }
        file.flush().unwrap();
        assert_eq!(file.checksum(), checksum_of(&path).unwrap());
        assert_eq!(file.checksum(), format!("{:016x}", xxhash_rust::xxh64::xxh64(&bytes, 0)));
        let mut changed = bytes.clone();
        changed[2 * READ_BYTES] ^= 1;
        std::fs::write(&path, changed).unwrap();
        assert_ne!(file.checksum(), checksum_of(&path).unwrap());
        // The value of nothing is part of the function's description.
        std::fs::write(&path, "").unwrap();
        assert_eq!(checksum_of(&path).unwrap(), "ef46db3751d8e999");
    }
}
