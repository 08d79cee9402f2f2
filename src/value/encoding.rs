//! Bytes of files that people write, as text: UTF-8, and UTF-16, which Windows' programs write as well. Other encodings cannot be told
//! from one another, and are refused rather than guessed.

use std::fmt;
use std::io::{self, Read};

/// Where bytes are no text that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotText {
    /// The first line with such bytes, from 1.
    pub line: usize,
    /// What they seem to be.
    pub found: Found,
}

/// What bytes seem to be that are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Text with a byte a letter, as of Windows' code pages.
    SingleBytes,
    /// UTF-16 with half a character in it.
    BrokenUtf16,
    /// UTF-32, as its mark says.
    Utf32,
    /// The character NUL, which is in no text, and in each letter of ASCII in UTF-16 and UTF-32.
    Nul,
    /// Bytes that no text has.
    Binary,
}

impl fmt::Display for NotText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} ", self.line)?;
        f.write_str(match self.found {
            Found::SingleBytes => "is not UTF-8: it looks like Windows-1252 (Latin-1) or another code page",
            Found::BrokenUtf16 => "ends inside of a character of UTF-16",
            Found::Utf32 => "is in UTF-32, which is not read",
            Found::Nul => "has a zero byte: it is no text, or in UTF-16 or UTF-32 without a mark",
            Found::Binary => "is neither UTF-8 nor UTF-16",
        })
    }
}

impl std::error::Error for NotText {}

/// The order of the bytes of UTF-16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Utf16 {
    /// The lower byte of a unit first.
    LittleEndian,
    /// The higher one first.
    BigEndian,
}

impl Utf16 {
    /// How bytes are in UTF-16, by their mark of the order of bytes, or by two characters of ASCII at their beginning; `None` where they
    /// may be UTF-8. A beginning of a text is enough.
    ///
    /// # Errors
    /// They have the mark of UTF-32, of which the one of UTF-16 is a part, or a NUL character.
    pub fn of(bytes: &[u8]) -> Result<Option<Utf16>, NotText> {
        Ok(match bytes {
            [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => return Err(NotText { line: 1, found: Found::Utf32 }),
            [0xFF, 0xFE, ..] | [b' '..=b'~', 0, b' '..=b'~' | b'\r' | b'\n' | b'\t', 0, ..] => Some(Utf16::LittleEndian),
            [0xFE, 0xFF, ..] | [0, b' '..=b'~', 0, b' '..=b'~' | b'\r' | b'\n' | b'\t', ..] => Some(Utf16::BigEndian),
            _ => return without_nul(bytes, 1).map(|()| None),
        })
    }
}

/// Refuses bytes of UTF-8 with a NUL among them, which begin in a line.
fn without_nul(bytes: &[u8], line: usize) -> Result<(), NotText> {
    match bytes.iter().position(|byte| *byte == 0) {
        Some(nul) => Err(NotText { line: line + line_ends(&bytes[..nul]), found: Found::Nul }),
        None => Ok(()),
    }
}

fn line_ends(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// What bytes are that are no UTF-8 from a place on, and begin in a line.
fn not_utf8(bytes: &[u8], valid: usize, line: usize) -> NotText {
    let is_text = bytes.iter().all(|byte| !matches!(byte, 0..=8 | 11 | 14..=26 | 28..=31 | 127));
    NotText { line: line + line_ends(&bytes[..valid]), found: if is_text { Found::SingleBytes } else { Found::Binary } }
}

/// The text that bytes are, without a mark of the order of bytes.
///
/// # Errors
/// They are neither UTF-8 nor UTF-16.
pub fn decoded(bytes: Vec<u8>) -> Result<String, NotText> {
    if let Some(order) = Utf16::of(&bytes)? {
        return of_utf16(&bytes, order);
    }
    let text = String::from_utf8(bytes).map_err(|err| not_utf8(err.as_bytes(), err.utf8_error().valid_up_to(), 1))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// A reader of a text in UTF-8 of any length: where it is none, reading fails with a [`NotText`].
#[derive(Debug)]
pub struct Utf8Reader<R> {
    inner: R,
    /// The line of the next byte.
    line: usize,
    /// The bytes of a character whose others were not read yet.
    begun: Vec<u8>,
}

impl<R> Utf8Reader<R> {
    /// Reads from the beginning of a text.
    pub fn new(inner: R) -> Self {
        Utf8Reader { inner, line: 1, begun: Vec::new() }
    }

    fn check(&mut self, bytes: &[u8]) -> Result<(), NotText> {
        without_nul(bytes, self.line)?;
        let begun = std::mem::take(&mut self.begun);
        let joined;
        let whole = if begun.is_empty() {
            bytes
        } else {
            joined = [&begun, bytes].concat();
            &joined
        };
        if let Err(err) = std::str::from_utf8(whole) {
            let valid = err.valid_up_to();
            if err.error_len().is_some() || bytes.is_empty() {
                return Err(not_utf8(whole, valid, self.line));
            }
            self.begun = whole[valid..].to_vec();
        }
        self.line += line_ends(bytes);
        Ok(())
    }
}

impl<R: Read> Read for Utf8Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        // Nothing is the end, but where nothing was asked for.
        if read > 0 || !buffer.is_empty() {
            self.check(&buffer[..read]).map_err(io::Error::other)?;
        }
        Ok(read)
    }
}

fn of_utf16(bytes: &[u8], order: Utf16) -> Result<String, NotText> {
    let (units, rest) = bytes.as_chunks::<2>();
    let units = units.iter().map(|unit| match order {
        Utf16::LittleEndian => u16::from_le_bytes(*unit),
        Utf16::BigEndian => u16::from_be_bytes(*unit),
    });
    let mut text = String::with_capacity(bytes.len() / 2);
    let ends = |text: &str, found| NotText { line: line_ends(text.as_bytes()) + 1, found };
    for (at, character) in char::decode_utf16(units).enumerate() {
        match character {
            Ok('\u{feff}') if at == 0 => {}
            Ok('\0') => return Err(ends(&text, Found::Nul)),
            Ok(character) => text.push(character),
            Err(_) => return Err(ends(&text, Found::BrokenUtf16)),
        }
    }
    if rest.is_empty() { Ok(text) } else { Err(ends(&text, Found::BrokenUtf16)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_in_utf_8_and_utf_16_are_read_without_their_marks() {
        for text in ["a,é\r\n😀", "ab", "", "a"] {
            let units: Vec<u16> = text.encode_utf16().collect();
            let marked = [&[0xFEFF], &units[..]].concat();
            let little = |units: &[u16]| units.iter().copied().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
            let big = |units: &[u16]| units.iter().copied().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
            let mut forms =
                vec![text.as_bytes().to_vec(), [b"\xEF\xBB\xBF", text.as_bytes()].concat(), little(&marked), big(&marked)];
            // Without a mark two characters are needed.
            if text.len() > 1 {
                forms.extend([little(&units), big(&units)]);
            }
            for bytes in forms {
                assert_eq!(decoded(bytes.clone()).as_deref(), Ok(text), "{bytes:?}");
            }
        }
    }

    #[test]
    fn what_is_no_text_is_named_with_its_line() {
        for (bytes, line, found) in [
            (&b"a\nb\xE9c\n"[..], 2, Found::SingleBytes),
            (b"\xFF", 1, Found::SingleBytes),
            (b"a\n\x01\n\xFF", 3, Found::Binary),
            (b"a\n\x00\n\xFF", 2, Found::Nul),
            // A letter of ASCII and one of Chinese, and the other way round.
            (b"a\0\x2D\x4E", 1, Found::Nul),
            (b"\x4E\x2D\0\n\0a", 1, Found::Nul),
            (b"\xFF\xFEa\0\n\0\0\0", 2, Found::Nul),
            (b"\xFF\xFE\0\0a\0\0\0", 1, Found::Utf32),
            (b"\0\0\xFE\xFF\0\0\0a", 1, Found::Utf32),
            (b"a\0\0\0b\0\0\0", 1, Found::Nul),
            (b"\0\0\0a\0\0\0b", 1, Found::Nul),
            (b"\xFF\xFEa\0\n\0\x00\xD8", 2, Found::BrokenUtf16),
            (b"\xFF\xFEa\0b", 1, Found::BrokenUtf16),
        ] {
            assert_eq!(decoded(bytes.to_vec()), Err(NotText { line, found }), "{bytes:?}");
        }
    }

    #[test]
    fn a_reader_of_utf_8_fails_where_it_is_none() {
        /// Gives a byte at a time.
        struct Slow<'b>(&'b [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let most = buffer.len().min(1);
                self.0.read(&mut buffer[..most])
            }
        }
        let text = "a,é\r\n😀";
        let mut read = String::new();
        Utf8Reader::new(Slow(text.as_bytes())).read_to_string(&mut read).unwrap();
        assert_eq!(read, text);
        for (bytes, line, found) in
            [(&b"a\nb\xE9c\n"[..], 2, Found::SingleBytes), (b"a\n\n\xE9", 3, Found::SingleBytes), (b"a\n\0", 2, Found::Nul)]
        {
            for err in [
                Utf8Reader::new(Slow(bytes)).read_to_end(&mut Vec::new()).unwrap_err(),
                Utf8Reader::new(bytes).read_to_end(&mut Vec::new()).unwrap_err(),
            ] {
                assert_eq!(err.to_string(), NotText { line, found }.to_string(), "{bytes:?}");
            }
        }
    }
}
