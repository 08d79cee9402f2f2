//! A buffered byte stream that can look ahead and take bytes back, with the place of each byte known.

use std::io::{self, Read, Seek as _, Write as _};

use kqlake_durable::ScratchFolder;

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;

/// A reader with a window on what comes next.
pub(crate) struct ByteStream<'r> {
    reader: Box<dyn Read + 'r>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    line_end: u8,
    ended: bool,
    error: Option<io::Error>,
    scratch: ScratchFolder,
}

impl<'r> ByteStream<'r> {
    /// A stream over a reader.
    pub(crate) fn new(reader: impl Read + 'r) -> Self {
        let buffer = vec![0; CHUNK];
        let (reader, scratch) = (Box::new(reader), ScratchFolder::default());
        Self { reader, buffer, start: 0, end: 0, offset: 0, line_end: b'\n', ended: false, error: None, scratch }
    }

    /// The same, whose temporary file is in a folder.
    #[must_use]
    pub(crate) fn with_scratch(self, scratch: ScratchFolder) -> Self {
        Self { scratch, ..self }
    }

    /// The place of the next byte, counted from the beginning of the (decompressed) text.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Says which byte lines end with: a line feed when nothing is said.
    pub(crate) fn set_line_end(&mut self, byte: u8) {
        self.line_end = byte;
    }

    /// The byte that lines end with.
    pub(crate) fn line_end(&self) -> u8 {
        self.line_end
    }

    /// Why the stream ended before its time, when it did: a broken compressed stream, a disk that cannot be read.
    ///
    /// What came before the fault is good and is given out as if the stream ended there.
    pub(crate) fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }

    /// What is buffered, at least one byte unless the stream has ended.
    pub(crate) fn chunk(&mut self) -> &[u8] {
        if self.start == self.end {
            self.fill();
        }
        &self.buffer[self.start..self.end]
    }

    /// At least `count` bytes of what comes next, or all there is.
    pub(crate) fn peek(&mut self, count: usize) -> &[u8] {
        while self.end - self.start < count && !self.ended {
            self.fill();
        }
        &self.buffer[self.start..self.end]
    }

    /// Skips bytes that were seen.
    pub(crate) fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.offset += count as u64;
    }

    /// Puts bytes back in front of what comes next.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        if bytes.len() <= self.start {
            self.start -= bytes.len();
            self.buffer[self.start..self.start + bytes.len()].copy_from_slice(bytes);
        } else {
            let mut buffer = Vec::with_capacity(bytes.len() + (self.end - self.start) + CHUNK);
            buffer.extend_from_slice(bytes);
            buffer.extend_from_slice(&self.buffer[self.start..self.end]);
            self.start = 0;
            self.end = buffer.len();
            buffer.resize(self.end + CHUNK, 0);
            self.buffer = buffer;
        }
        self.offset -= (bytes.len() as u64).min(self.offset);
    }

    /// Shows all that follows before it is read. What does not fit into the buffer is in a temporary file meanwhile, and is read
    /// from there later: the reader may be a pipe.
    ///
    /// # Errors
    /// The temporary file cannot be written or read; the stream cannot be used any more.
    pub(crate) fn look_ahead(&mut self, look: impl FnOnce(&mut ByteStream<'_>)) -> io::Result<()> {
        self.peek(4 * CHUNK);
        let buffered = &self.buffer[self.start..self.end];
        if self.ended {
            let mut ahead = ByteStream::new(buffered);
            ahead.line_end = self.line_end;
            look(&mut ahead);
            return Ok(());
        }
        let mut spool = self.scratch.file()?;
        let mut chunk = vec![0; CHUNK];
        // What comes before a fault of the reader is good, here as everywhere.
        let fault = loop {
            match self.reader.read(&mut chunk) {
                Ok(0) => break None,
                Ok(read) => spool.write_all(&chunk[..read])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
        };
        spool.rewind()?;
        let mut ahead = ByteStream::new(buffered.chain(&spool));
        ahead.line_end = self.line_end;
        look(&mut ahead);
        if let Some(error) = ahead.error.take() {
            return Err(error);
        }
        drop(ahead);
        spool.rewind()?;
        self.reader = Box::new(spool);
        self.error = fault;
        Ok(())
    }

    /// Reads more behind what is buffered.
    fn fill(&mut self) {
        if self.ended {
            return;
        }
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if self.buffer.len() > 8 * CHUNK {
                // A great record was put back once; its room is not needed any more.
                self.buffer = vec![0; CHUNK];
            }
        } else if self.buffer.len() - self.end < CHUNK / 4 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.buffer.len() - self.end < CHUNK {
                self.buffer.resize(self.end + CHUNK, 0);
            }
        }
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.ended = true;
                    return;
                }
                Ok(read) => {
                    self.end += read;
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    self.error = Some(error);
                    return;
                }
            }
        }
    }

    /// Appends a line without its end to `out`; `None` at the end of the stream, else the line's whole length.
    ///
    /// A line longer than `limit` is read to its end, but only its first `limit` bytes are kept.
    pub(crate) fn line(&mut self, out: &mut Vec<u8>, limit: usize) -> Option<u64> {
        let line_end = self.line_end;
        let mut length = 0_u64;
        let mut any = false;
        loop {
            let chunk = self.chunk();
            if chunk.is_empty() {
                break;
            }
            any = true;
            let (piece, whole) = match memchr::memchr(line_end, chunk) {
                Some(at) => (&chunk[..at], true),
                None => (chunk, false),
            };
            let room = limit.saturating_sub(out.len()).min(piece.len());
            out.extend_from_slice(&piece[..room]);
            length += piece.len() as u64;
            let used = piece.len() + usize::from(whole);
            self.consume(used);
            if whole {
                break;
            }
        }
        if out.last() == Some(&b'\r') && length == out.len() as u64 {
            out.pop();
            length -= 1;
        }
        any.then_some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_places_and_putting_back() {
        let mut bytes = ByteStream::new(&b"one\r\ntwo\n\nlast"[..]);
        let mut line = Vec::new();
        assert_eq!(bytes.line(&mut line, 100), Some(3));
        assert_eq!((line.as_slice(), bytes.offset()), (&b"one"[..], 5));
        bytes.put_back(b"one\r\n");
        assert_eq!(bytes.offset(), 0);
        assert_eq!(bytes.peek(8).get(..8), Some(&b"one\r\ntwo"[..]));
        let mut all = Vec::new();
        loop {
            line.clear();
            match bytes.line(&mut line, 2) {
                Some(length) => all.push((String::from_utf8(line.clone()).unwrap(), length)),
                None => break,
            }
        }
        assert_eq!(all, [("on".into(), 4), ("tw".into(), 3), (String::new(), 0), ("la".into(), 4)]);
    }

    #[test]
    fn puts_back_more_than_was_read_last() {
        let mut bytes = ByteStream::new(&b"tail"[..]);
        let great = vec![b'x'; 3 * CHUNK];
        bytes.put_back(&great);
        bytes.put_back(b"head");
        let mut out = Vec::new();
        assert_eq!(bytes.line(&mut out, usize::MAX), Some((great.len() + 8) as u64));
        assert!(out.starts_with(b"headx") && out.ends_with(b"xtail"));
    }

    #[test]
    fn what_follows_is_shown_before_it_is_read() {
        for length in [10, 20 * CHUNK] {
            let text: Vec<u8> = (0..length).map(|at| b'a' + (at % 23) as u8).collect();
            let place = tempfile::tempdir().unwrap();
            let mut bytes = ByteStream::new(text.as_slice()).with_scratch(ScratchFolder::new(Some(place.path())));
            bytes.peek(3);
            bytes.consume(3);
            let mut seen = Vec::new();
            bytes.look_ahead(|ahead| while ahead.line(&mut seen, usize::MAX).is_some() {}).unwrap();
            assert!(seen == text[3..], "{length}");
            assert_eq!(bytes.offset(), 3);
            let mut read = Vec::new();
            bytes.line(&mut read, usize::MAX);
            assert!(read == text[3..] && bytes.error().is_none(), "{length}");
        }
    }

    #[test]
    fn what_does_not_fit_into_the_buffer_is_in_the_given_folder() {
        let place = tempfile::tempdir().unwrap();
        let scratch = ScratchFolder::new(Some(&place.path().join("missing")));
        let few = &b"a few"[..];
        assert!(ByteStream::new(few).with_scratch(scratch.clone()).look_ahead(|_| ()).is_ok());
        let many = vec![b'x'; 20 * CHUNK];
        let error = ByteStream::new(many.as_slice()).with_scratch(scratch).look_ahead(|_| ()).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }

    #[test]
    fn a_fault_behind_what_was_shown_is_still_told() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let text = vec![b'x'; 20 * CHUNK];
        let mut bytes = ByteStream::new(text.as_slice().chain(Broken));
        let mut seen = Vec::new();
        bytes
            .look_ahead(|ahead| {
                ahead.line(&mut seen, usize::MAX);
            })
            .unwrap();
        let mut read = Vec::new();
        bytes.line(&mut read, usize::MAX);
        assert!(seen == text && read == text);
        assert!(bytes.error().is_some_and(|error| error.to_string() == "broken"));
    }
}
