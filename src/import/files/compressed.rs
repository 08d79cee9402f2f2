//! What is compressed, with a checksum of its content behind it: the members of a gzip file, and what is read of a content before its
//! checksum is known.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

/// Bytes of a content that are read before any of them is given: when all of it is among them its checksum is known before.
const HELD: usize = 4 << 20;

/// What the reason begins with of a content of which what was read before may be altered.
pub const ALTERED: &str = "the content was altered";

/// The content of a gzip file: that of its members, one after the other. Zeros between them and behind them are padding, as on tapes, and
/// in files whose room was taken before they were written (gzip(1) and Python's `gzip` pass over them as well).
pub(crate) struct GzipMembers<R> {
    /// `None` at the end.
    member: Option<GzDecoder<BufReader<R>>>,
    /// True when members came before it.
    is_further: bool,
}

impl<R: Read> GzipMembers<R> {
    /// Those of a stream that begins with one.
    pub(crate) fn new(reader: R) -> Self {
        Self { member: Some(GzDecoder::new(BufReader::new(reader))), is_further: false }
    }
}

impl<R: Read> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = match member.read(buffer) {
                // Something else follows members whose checksums were right.
                Err(error) if self.is_further && member.header().is_none() && is_altered(&error) => {
                    return Err(io::Error::other(format!("what follows is no gzip: {error}")));
                }
                read => read?,
            };
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(ended) = self.member.take() else { break };
            let mut rest = ended.into_inner();
            if !skip_zeros(&mut rest)? {
                (self.member, self.is_further) = (Some(GzDecoder::new(rest)), true);
            }
        }
        Ok(0)
    }
}

/// Passes over zeros; true when nothing follows them.
fn skip_zeros(reader: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let some = match reader.fill_buf() {
            Ok(some) => some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let (zeros, all) = (some.iter().take_while(|byte| **byte == 0).count(), some.len());
        reader.consume(zeros);
        if all == 0 || zeros < all {
            return Ok(all == 0);
        }
    }
}

/// A content that is given once its checksum is known to be right, as far as that is known in time: a record that was altered on its way
/// would else take the place of the true one for good. What cannot be decompressed any further was altered somewhere before: that is seen
/// later than it begins. Of a content that is cut off the part before the cut is given, as is what is longer than [`HELD`].
pub(crate) struct Verified<R> {
    inner: R,
    /// True when nothing of the compressed bytes can be missing: what ends too early was altered.
    is_all_there: bool,
    /// What was read before any of it was given, and how much of it is given.
    held: Option<(Vec<u8>, usize)>,
    /// What is told behind it.
    fault: Option<io::Error>,
}

impl<R: Read> Verified<R> {
    /// A decompressed content, whose reader compares the checksum at the end.
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, is_all_there: false, held: None, fault: None }
    }

    /// The same of compressed bytes that are all there, as an archive's directory says.
    pub(crate) fn all_there(inner: R) -> Self {
        Self { is_all_there: true, ..Self::new(inner) }
    }

    /// A fault of the content, with what it means (which that of compression within compression says already).
    fn fault_of(is_all_there: bool, error: io::Error) -> io::Error {
        let is_short = is_all_there && error.kind() == io::ErrorKind::UnexpectedEof;
        match (is_short || is_altered(&error)) && !error.to_string().starts_with(ALTERED) {
            true => io::Error::new(io::ErrorKind::InvalidData, format!("{ALTERED}: {error}")),
            false => error,
        }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let (held, given) = match &mut self.held {
            Some(held) => held,
            None => {
                let mut held = Vec::new();
                if let Err(error) = self.inner.by_ref().take(HELD as u64).read_to_end(&mut held) {
                    let error = Self::fault_of(self.is_all_there, error);
                    if is_altered(&error) {
                        held.clear();
                    }
                    self.fault = Some(error);
                }
                self.held.insert((held, 0))
            }
        };
        if *given < held.len() {
            let some = buffer.len().min(held.len() - *given);
            buffer[..some].copy_from_slice(&held[*given..*given + some]);
            *given += some;
            if *given == held.len() {
                (*held, *given) = (Vec::new(), 0);
            }
            return Ok(some);
        }
        match self.fault.take() {
            Some(error) => Err(error),
            None => self.inner.read(buffer).map_err(|error| Self::fault_of(self.is_all_there, error)),
        }
    }
}

/// True when a content is another one than was compressed: its checksum or its length differ, or there is nothing that its bytes could
/// stand for. One that is cut off is not, nor is one that the system cannot read.
fn is_altered(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) && error.raw_os_error().is_none()
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use super::*;

    fn gz(bytes: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(mut reader: impl Read) -> (Vec<u8>, Option<io::Error>) {
        let mut out = Vec::new();
        let error = reader.read_to_end(&mut out).err();
        (out, error)
    }

    #[test]
    fn zeros_between_and_behind_members_are_padding_and_nothing_else_is() {
        let (first, second) = (gz(b"first ", 9), gz(b"second", 0));
        let zeros = vec![0; 9_000];
        for text in [[&first[..], &second].concat(), [&first[..], &zeros, &second, &zeros].concat()] {
            let (out, error) = read(GzipMembers::new(text.as_slice()));
            assert!(out == b"first second" && error.is_none(), "{error:?}");
        }
        for behind in [&b"more"[..], b"more than the header of a member takes"] {
            let (out, error) = read(Verified::new(GzipMembers::new([&first[..], &zeros, behind].concat().as_slice())));
            assert!(out == b"first " && error.as_ref().is_some_and(|error| !is_altered(error)), "{error:?}");
        }
    }

    #[test]
    fn nothing_is_given_of_a_content_whose_checksum_differs() {
        let text = b"{\"message\":\"number 3\"}\n".repeat(1_000);
        let altered = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let place = bytes.windows(8).position(|some| some == b"number 3").unwrap();
            bytes[place] ^= 1;
            bytes
        };
        let whole = gz(&text, 0);
        let (out, error) = read(Verified::new(GzipMembers::new(whole.as_slice())));
        assert!(out == text && error.is_none());
        let (out, error) = read(Verified::new(GzipMembers::new(altered(&whole).as_slice())));
        assert!(out.is_empty() && error.as_ref().is_some_and(is_altered), "{error:?}");
        // The part before a cut is what there is.
        let (out, error) = read(Verified::new(GzipMembers::new(&whole[..whole.len() / 2])));
        assert!(!out.is_empty() && text.starts_with(&out) && error.is_some_and(|error| !is_altered(&error)));

        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file("a.json", stored).unwrap();
        zip.write_all(&text).unwrap();
        let bytes = altered(&zip.finish().unwrap().into_inner());
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let (out, error) = read(Verified::new(archive.by_index(0).unwrap()));
        assert!(out.is_empty() && error.as_ref().is_some_and(is_altered), "{error:?}");
    }

    #[test]
    fn nothing_is_given_of_a_content_that_cannot_be_decompressed_further() {
        let lines: Vec<String> =
            (0..500_u64).map(|n| format!("{{\"message\":\"{}\"}}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
        let text = lines.join("\n").into_bytes();
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("a.json", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&text).unwrap();
        let zipped = zip.finish().unwrap().into_inner();
        let zipped_data = zipped.len() - 200;
        let gzipped = gz(&text, 6);
        let (mut given, mut reasons) = (0, std::collections::BTreeSet::new());
        for at in (100..zipped_data.min(gzipped.len() - 20)).step_by(37) {
            for bit in [0, 3] {
                let altered = |bytes: &[u8]| {
                    let mut bytes = bytes.to_vec();
                    bytes[at] ^= 1 << bit;
                    bytes
                };
                let mut archive = zip::ZipArchive::new(Cursor::new(altered(&zipped))).unwrap();
                let found = [
                    read(Verified::all_there(archive.by_index(0).unwrap())),
                    read(Verified::new(GzipMembers::new(altered(&gzipped).as_slice()))),
                ];
                for (out, error) in found {
                    // A content that only seems to end too early begins like the true one, or nobody can know.
                    given += usize::from(!out.is_empty() && !text.starts_with(&out));
                    reasons.insert(error.unwrap().to_string());
                }
            }
        }
        assert_eq!(given, 0, "{reasons:?}");
        assert!(reasons.len() > 2, "{reasons:?}");
    }

    #[test]
    fn what_is_longer_than_is_held_is_given_whole() {
        let text: Vec<u8> = (0..2 * HELD + 77).map(|at| (at % 251) as u8).collect();
        let (out, error) = read(Verified::new(GzipMembers::new(gz(&text, 1).as_slice())));
        assert!(out == text && error.is_none());
    }
}
