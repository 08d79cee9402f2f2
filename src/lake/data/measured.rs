//! A file that counts the bytes that are read of it.

use std::fs::File;
use std::io::{BufReader, Read, Result};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parquet::file::reader::{ChunkReader, Length};

/// An open file. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    file: Arc<File>,
    read: Arc<AtomicU64>,
}

impl Measured {
    /// Opens a file.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Measured { file: Arc::new(File::open(path)?), read: Arc::default() })
    }

    /// The bytes that were read so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

impl Length for Measured {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for Measured {
    type T = Counting;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Counting> {
        Ok(Counting { reader: self.file.get_read(start)?, read: Arc::clone(&self.read) })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        self.file.get_bytes(start, length)
    }
}

/// A reader that counts what is taken of it.
#[derive(Debug)]
pub(crate) struct Counting {
    reader: BufReader<File>,
    read: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        let bytes = self.reader.read(to)?;
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}
