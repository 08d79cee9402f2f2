//! From bytes on disk to a stream of UTF-8 text: counting, hashing, decompressing with bounds, and decoding UTF-16.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::rc::Rc;

use super::bytes::ByteStream;
use super::compressed::{GzipMembers, Verified};
use crate::content_hash::{ContentHasher, HashForm};
use kqlake_durable::ScratchFolder;

/// Bounds that keep hostile or broken input from taking the machine.
#[derive(Debug, Clone, Copy)]
pub struct FileLimits {
    /// Bytes of one record; a longer one is refused.
    pub record: usize,
    /// How many times its compressed size a file may grow once it is larger than `expand_floor`.
    pub expand_ratio: u64,
    /// Bytes that a compressed file may always grow to.
    pub expand_floor: u64,
    /// Bytes of a refused record that are kept; longer ones are cut.
    pub quarantine_text: usize,
    /// Refused records of one file that are kept; more are only counted.
    pub quarantine_records: u64,
    /// Bytes of the refused records of one file that are kept, before compression; more records are only counted.
    pub quarantine_bytes: u64,
}

impl Default for FileLimits {
    fn default() -> Self {
        Self {
            record: 64 << 20,
            expand_ratio: 300,
            expand_floor: 256 << 20,
            quarantine_text: 64 << 20,
            quarantine_records: 10_000,
            quarantine_bytes: 256 << 20,
        }
    }
}

/// Layers of compression that are opened one inside the other.
const MAX_LAYERS: usize = 3;

/// Counts and hashes the bytes that pass, and reports progress.
pub(crate) struct Tap<'p, R> {
    inner: R,
    state: Rc<TapState<'p>>,
}

/// What a [`Tap`] has seen so far.
pub(crate) struct TapState<'p> {
    count: Cell<u64>,
    hasher: RefCell<Option<ContentHasher>>,
    failed: Cell<bool>,
    progress: &'p dyn Fn(u64),
}

impl<'p> TapState<'p> {
    /// A fresh state; bytes are hashed where the form of their hash is given.
    pub(crate) fn new(hashed: Option<HashForm>, progress: &'p dyn Fn(u64)) -> Rc<Self> {
        let hasher = RefCell::new(hashed.map(ContentHasher::new));
        Rc::new(Self { count: Cell::new(0), hasher, failed: Cell::new(false), progress })
    }

    /// Bytes that passed.
    pub(crate) fn count(&self) -> u64 {
        self.count.get()
    }

    /// True when the bytes could not be read to their end.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.get()
    }

    /// The hash of what passed, as the ledger has it.
    pub(crate) fn digest(&self) -> Option<String> {
        self.hasher.borrow_mut().take().map(ContentHasher::finish)
    }
}

impl<'p, R: Read> Tap<'p, R> {
    /// A tap on a reader.
    pub(crate) fn new(inner: R, state: Rc<TapState<'p>>) -> Self {
        Self { inner, state }
    }
}

impl<R: Read> Read for Tap<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer);
        self.state
            .failed
            .set(self.state.failed.get() || read.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted));
        let read = read?;
        self.state.count.set(self.state.count.get() + read as u64);
        if let Some(hasher) = self.state.hasher.borrow_mut().as_mut() {
            hasher.update(&buffer[..read]);
        }
        (self.state.progress)(read as u64);
        Ok(read)
    }
}

/// Refuses to expand a compressed stream beyond its bounds.
pub(crate) struct Expansion<R, F> {
    inner: R,
    produced: Rc<Cell<u64>>,
    consumed: F,
    limits: FileLimits,
}

impl<R, F: Fn() -> u64> Expansion<R, F> {
    /// Bounds a stream that was made from `consumed()` compressed bytes; streams may share what they `produced` so far.
    pub(crate) fn new(inner: R, produced: Rc<Cell<u64>>, consumed: F, limits: FileLimits) -> Self {
        Self { inner, produced, consumed, limits }
    }
}

impl<R: Read, F: Fn() -> u64> Read for Expansion<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let produced = self.produced.get() + read as u64;
        self.produced.set(produced);
        if produced > self.limits.expand_floor && produced / (self.consumed)().max(1) > self.limits.expand_ratio {
            return Err(io::Error::other(format!(
                "it expands to more than {} times its size (over {} MiB): taken for a decompression bomb and not read further",
                self.limits.expand_ratio,
                self.limits.expand_floor >> 20
            )));
        }
        Ok(read)
    }
}

/// A stream whose first bytes were peeked at.
type Headed<'r> = io::Chain<io::Cursor<Vec<u8>>, Box<dyn Read + 'r>>;

fn look_ahead(mut reader: Box<dyn Read + '_>, count: usize) -> io::Result<(Vec<u8>, Headed<'_>)> {
    let mut head = Vec::with_capacity(count);
    reader.by_ref().take(count as u64).read_to_end(&mut head)?;
    Ok((head.clone(), io::Cursor::new(head).chain(reader)))
}

/// What the beginning of a stream says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrapping {
    /// No compression that we know.
    Plain,
    /// gzip
    Gzip,
    /// A zip archive.
    Zip,
}

/// Recognises compression by its signature.
pub(crate) fn wrapping(head: &[u8]) -> Wrapping {
    match head {
        [0x1f, 0x8b, 8, ..] => Wrapping::Gzip,
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Wrapping::Zip,
        _ => Wrapping::Plain,
    }
}

/// Takes compression and encoding off a stream: gives UTF-8 as far as it is text. `consumed` says how many compressed bytes were
/// read so far; what must be looked at before it is read is meanwhile in `scratch`.
///
/// A zip archive inside is left as it is: archives need to seek, and are opened by name only at the top.
pub(crate) fn open_text<'r>(
    reader: Box<dyn Read + 'r>,
    consumed: impl Fn() -> u64 + Clone + 'r,
    limits: FileLimits,
    scratch: ScratchFolder,
) -> io::Result<ByteStream<'r>> {
    let mut layers = 0;
    let (mut head, mut stream) = look_ahead(reader, 4)?;
    while wrapping(&head) == Wrapping::Gzip {
        if layers == MAX_LAYERS {
            return Err(io::Error::other(format!("gzip inside gzip more than {MAX_LAYERS} times")));
        }
        layers += 1;
        let inner = Expansion::new(GzipMembers::new(stream), Rc::default(), consumed.clone(), limits);
        (head, stream) = look_ahead(Box::new(Verified::new(inner)), 4)?;
    }
    let text = match head.as_slice() {
        [0xEF, 0xBB, 0xBF, ..] => {
            let mut stream = stream;
            stream.read_exact(&mut [0; 3])?;
            ByteStream::new(stream)
        }
        [0xFF, 0xFE, ..] | [b' '..=b'~', 0, b' '..=b'~' | b'\r' | b'\n' | b'\t', 0] => ByteStream::new(Utf16::new(stream, false)),
        [0xFE, 0xFF, ..] | [0, b' '..=b'~', 0, b' '..=b'~' | b'\r' | b'\n' | b'\t'] => ByteStream::new(Utf16::new(stream, true)),
        _ => ByteStream::new(stream),
    };
    Ok(text.with_scratch(scratch))
}

/// Turns UTF-16 into UTF-8 as it passes; what is no character becomes U+FFFD. A text that ends inside of a character is an error:
/// the file is cut, which a decoder such as encoding_rs_io would hide behind one more U+FFFD.
struct Utf16<R> {
    inner: R,
    big_endian: bool,
    at_start: bool,
    /// Bytes not yet decoded: half a unit or half a pair.
    pending: Vec<u8>,
    decoded: Vec<u8>,
    given: usize,
}

impl<R: Read> Utf16<R> {
    fn new(inner: R, big_endian: bool) -> Self {
        Self { inner, big_endian, at_start: true, pending: Vec::new(), decoded: Vec::new(), given: 0 }
    }

    fn decode(&mut self, last: bool) {
        let order = self.big_endian;
        let units: Vec<u16> = self
            .pending
            .chunks_exact(2)
            .map(|b| if order { u16::from_be_bytes([b[0], b[1]]) } else { u16::from_le_bytes([b[0], b[1]]) })
            .collect();
        // The first half of a pair waits for the second.
        let waits = !last && units.last().is_some_and(|u| (0xD800..0xDC00).contains(u));
        let whole = units.len() - usize::from(waits);
        self.decoded.clear();
        self.given = 0;
        for c in char::decode_utf16(units[..whole].iter().copied()) {
            let c = c.unwrap_or('\u{fffd}');
            if std::mem::take(&mut self.at_start) && c == '\u{feff}' {
                continue;
            }
            self.decoded.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        self.pending.drain(..whole * 2);
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.decoded.len() {
            let kept = self.pending.len();
            self.pending.resize(kept + 16 * 1024, 0);
            let read = self.inner.read(&mut self.pending[kept..]);
            self.pending.truncate(kept + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                self.decode(true);
                if self.decoded.is_empty() {
                    let cut = !std::mem::take(&mut self.pending).is_empty();
                    return if cut { Err(io::Error::other("the UTF-16 text ends inside a character")) } else { Ok(0) };
                }
            } else {
                self.decode(false);
            }
        }
        let count = buffer.len().min(self.decoded.len() - self.given);
        buffer[..count].copy_from_slice(&self.decoded[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn text_of(bytes: &[u8], limits: FileLimits) -> (String, Option<String>) {
        let count = Rc::new(Cell::new(bytes.len() as u64));
        let mut text = open_text(Box::new(bytes), move || count.get(), limits, ScratchFolder::default()).unwrap();
        let mut out = Vec::new();
        loop {
            let chunk = text.chunk();
            if chunk.is_empty() {
                break;
            }
            out.extend_from_slice(chunk);
            let length = chunk.len();
            text.consume(length);
        }
        (String::from_utf8(out).unwrap(), text.error().map(ToString::to_string))
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Gives a piece, is interrupted, fails if it is to, and ends.
    struct Breaking {
        pieces: Vec<io::Result<&'static [u8]>>,
    }

    impl Read for Breaking {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.pieces.is_empty() {
                return Ok(0);
            }
            let piece = self.pieces.remove(0)?;
            buffer[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn a_tap_knows_what_passed_and_whether_it_was_all() {
        let interrupted = || Err(io::ErrorKind::Interrupted.into());
        let broken = || Err(io::ErrorKind::ConnectionReset.into());
        for (pieces, has_failed) in [
            (vec![Ok(&b"ab"[..]), interrupted(), Ok(&b"c"[..])], false),
            (vec![Ok(&b"ab"[..]), broken(), Ok(&b"c"[..])], true),
            (vec![broken(), Ok(&b"abc"[..]), interrupted()], true),
        ] {
            let passed = Cell::new(0);
            let progress = |bytes| passed.set(passed.get() + bytes);
            let state = TapState::new(Some(HashForm::Sha256), &progress);
            let mut tap = Tap::new(Breaking { pieces }, Rc::clone(&state));
            let mut buffer = [0; 8];
            // Who reads goes on behind an error, as draining does.
            let read: usize = (0..4).filter_map(|_| tap.read(&mut buffer).ok()).sum();
            assert_eq!((read, state.count(), passed.get(), state.has_failed()), (3, 3, 3, has_failed));
            assert_eq!(state.digest(), Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned()));
        }
        assert_eq!(TapState::new(None, &|_| ()).digest(), None);
    }

    #[test]
    fn layers_come_off() {
        let limits = FileLimits::default();
        let utf16: Vec<u8> = "\u{feff}é,😀\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(text_of(&utf16, limits), ("é,😀\r\n".into(), None));
        assert_eq!(text_of(b"\xEF\xBB\xBFa,b", limits), ("a,b".into(), None));
        assert_eq!(text_of(&gz(&gz(b"{}")), limits), ("{}".into(), None));
        assert_eq!(text_of(b"", limits), (String::new(), None));
        assert_eq!(text_of(b"ab", limits).0, "ab");
        let (text, error) = text_of(&utf16[..utf16.len() - 1], limits);
        assert!(text == "é,😀\r" && error.is_some_and(|e| e.contains("inside a character")));
    }

    #[test]
    fn bombs_and_cut_streams_end_with_a_reason() {
        let limits = FileLimits { expand_floor: 1000, expand_ratio: 50, ..FileLimits::default() };
        let (_, error) = text_of(&gz(&vec![b' '; 1 << 20]), limits);
        assert!(error.unwrap().contains("bomb"));
        let whole = gz("{\"a\":1}\n".repeat(10_000).as_bytes());
        let (text, error) = text_of(&whole[..whole.len() / 2], FileLimits::default());
        assert!(error.is_some() && text.starts_with("{\"a\":1}\n"));
    }
}
