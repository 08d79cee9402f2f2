//! The directory of a zip archive, read beside the zip library, which knows one entry a name only: each entry gets a name of
//! its own here, and what is outside of the directory's reach is found.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Seek, SeekFrom};

/// Signature of an entry in the directory (APPNOTE.TXT, section 4.3.12), of the archive's end (4.3.16), and of the two
/// records of large archives before it (4.3.14, 4.3.15).
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR_64: [u8; 4] = *b"PK\x06\x07";
/// Bytes of an entry before its name.
const ENTRY_HEAD: usize = 46;

/// What the directory says.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// Names of the entries in the directory's order, as bytes. A name may be there several times.
    pub names: Vec<Vec<u8>>,
    /// For entries whose name was there before: where the name is, and another one of the same length.
    renamed: Vec<(u64, Vec<u8>)>,
    /// The place behind the archive's last byte, when the directory is whole.
    pub end: Option<u64>,
}

impl Directory {
    /// Reads the directory that begins at `start`.
    ///
    /// # Errors
    /// The file cannot be read, or a name is there more often than names of its length can be distinguished.
    pub(super) fn read(file: &mut (impl Read + Seek), start: u64) -> io::Result<Self> {
        let mut directory = Self::default();
        let mut taken: HashSet<Vec<u8>> = HashSet::new();
        let mut repeated = Vec::new();
        let mut at = start;
        let mut reader = io::BufReader::new(file);
        reader.seek(SeekFrom::Start(start))?;
        let mut signature = [0; 4];
        loop {
            if !filled(&mut reader, &mut signature)? {
                return Ok(directory);
            }
            if signature != ENTRY {
                break;
            }
            let mut head = [0; ENTRY_HEAD];
            if !filled(&mut reader, &mut head[4..])? {
                return Ok(directory);
            }
            let length = |place: usize| usize::from(u16::from_le_bytes([head[place], head[place + 1]]));
            let mut name = vec![0; length(28)];
            let behind = length(30) + length(32);
            if !filled(&mut reader, &mut name)? {
                return Ok(directory);
            }
            reader.seek_relative(behind as i64)?;
            if !taken.insert(name.clone()) {
                repeated.push((at + ENTRY_HEAD as u64, name.clone()));
            }
            at += (ENTRY_HEAD + name.len() + behind) as u64;
            directory.names.push(name);
        }
        let mut tries: HashMap<usize, usize> = HashMap::new();
        for (place, name) in repeated {
            let next = tries.entry(name.len()).or_default();
            let other = another(&name, &taken, next).ok_or_else(|| io::Error::other("too many entries have the same name"))?;
            taken.insert(other.clone());
            directory.renamed.push((place, other));
        }
        directory.end = end_of(&mut reader, signature, at)?;
        Ok(directory)
    }

    /// The file as the zip library is to see it: with every entry under a name of its own.
    pub(super) fn with_own_names<R>(&self, file: R) -> Renamed<R> {
        Renamed { inner: file, at: 0, patches: self.renamed.clone() }
    }

    /// What an entry is called: its name, and from the second entry of a name on its number among them.
    pub(super) fn shown_names(&self) -> Vec<String> {
        let texts: Vec<_> = self.names.iter().map(|name| String::from_utf8_lossy(name)).collect();
        let all: HashSet<&str> = texts.iter().map(AsRef::as_ref).collect();
        let mut numbers: HashMap<&str, u64> = HashMap::new();
        texts
            .iter()
            .map(|text| {
                let number = numbers.entry(text).or_default();
                *number += 1;
                let mut name = text.to_string();
                // An entry may have the very name that another one is given.
                while *number > 1 && all.contains(name.as_str()) {
                    name = format!("{text} ({number})");
                    *number += u64::from(all.contains(name.as_str()));
                }
                name
            })
            .collect()
    }
}

/// Fills a buffer; false when the file ends before.
fn filled(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Skips the records at the end of the archive, the first of which has its signature read; the place behind them.
fn end_of(reader: &mut impl Read, mut signature: [u8; 4], start: u64) -> io::Result<Option<u64>> {
    let mut at = start;
    loop {
        let mut fixed = vec![
            0_u8;
            match signature {
                END => 18,
                END_64 => 8,
                LOCATOR_64 => 16,
                _ => return Ok(None),
            }
        ];
        if !filled(reader, &mut fixed)? {
            return Ok(None);
        }
        let rest = match (signature, fixed.as_slice()) {
            (END, [.., low, high]) => return Ok(Some(at + 22 + u64::from(u16::from_le_bytes([*low, *high])))),
            (END_64, [a, b, c, d, ..]) => u64::from(u32::from_le_bytes([*a, *b, *c, *d])),
            _ => 0,
        };
        if io::copy(&mut reader.by_ref().take(rest), &mut io::sink())? != rest || !filled(reader, &mut signature)? {
            return Ok(None);
        }
        at += 4 + fixed.len() as u64 + rest;
    }
}

/// A name of the same length that no entry has; `next` counts the tries for names of this length.
fn another(name: &[u8], taken: &HashSet<Vec<u8>>, next: &mut usize) -> Option<Vec<u8>> {
    const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    loop {
        let mut rest = *next;
        *next += 1;
        let mut other = name.to_vec();
        for byte in other.iter_mut().rev() {
            *byte = DIGITS[rest % DIGITS.len()];
            rest /= DIGITS.len();
        }
        if rest > 0 || name.is_empty() {
            return None;
        }
        if !taken.contains(&other) {
            return Some(other);
        }
    }
}

/// A file some of whose bytes are seen as others.
pub(super) struct Renamed<R> {
    inner: R,
    at: u64,
    patches: Vec<(u64, Vec<u8>)>,
}

impl<R: Read> Read for Renamed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let (from, to) = (self.at, self.at + read as u64);
        self.at = to;
        // Patches are in the order of the file.
        let first = self.patches.partition_point(|(place, name)| place + name.len() as u64 <= from);
        for (place, name) in self.patches[first..].iter().take_while(|(place, _)| *place < to) {
            for (offset, byte) in name.iter().enumerate() {
                let at = place + offset as u64;
                if (from..to).contains(&at) {
                    buffer[(at - from) as usize] = *byte;
                }
            }
        }
        Ok(read)
    }
}

impl<R: Seek> Seek for Renamed<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.inner.seek(to)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_names_are_of_the_same_length_and_new() {
        let taken: HashSet<Vec<u8>> = [b"a".to_vec(), b"0".to_vec()].into();
        let mut next = 0;
        assert_eq!(another(b"a", &taken, &mut next), Some(b"1".to_vec()));
        assert_eq!(another(b"bcd", &taken, &mut next), Some(b"002".to_vec()));
        assert_eq!(another(b"", &[Vec::new()].into(), &mut 0), None);
        let full: HashSet<Vec<u8>> = (0..=255_u8).map(|b| vec![b]).collect();
        assert_eq!(another(b"a", &full, &mut 0), None);
    }

    #[test]
    fn shown_names_are_distinct() {
        let names = ["a", "a", "a (2)", "a", "A"].map(|n| n.as_bytes().to_vec());
        let directory = Directory { names: names.to_vec(), ..Directory::default() };
        let shown = directory.shown_names();
        assert_eq!(shown, ["a", "a (3)", "a (2)", "a (4)", "A"]);
    }

    #[test]
    fn patched_bytes_are_seen_however_they_are_read() {
        let directory = Directory { renamed: vec![(2, b"XY".to_vec()), (6, b"Z".to_vec())], ..Directory::default() };
        for step in 1..9 {
            let mut file = directory.with_own_names(io::Cursor::new(b"01234567".to_vec()));
            let mut out = Vec::new();
            let mut buffer = vec![0; step];
            loop {
                let read = file.read(&mut buffer).unwrap();
                if read == 0 {
                    break;
                }
                out.extend_from_slice(&buffer[..read]);
            }
            assert_eq!(out, b"01XY45Z7");
            file.seek(SeekFrom::Start(3)).unwrap();
            file.read_exact(&mut buffer[..1]).unwrap();
            assert_eq!(buffer[0], b'Y');
        }
    }
}
