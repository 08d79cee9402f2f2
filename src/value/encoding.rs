//! Bytes of files that people write, as text: UTF-8, and UTF-16, which Windows' programs write as well. Other encodings cannot be told
//! from one another, and are refused rather than guessed.

use std::fmt;

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
    /// Bytes that no text has.
    Binary,
}

impl fmt::Display for NotText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} ", self.line)?;
        f.write_str(match self.found {
            Found::SingleBytes => "is not UTF-8: it looks like Windows-1252 (Latin-1) or another code page",
            Found::BrokenUtf16 => "ends inside of a character of UTF-16",
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
    /// How bytes are in UTF-16, by their mark of the order of bytes, or by two characters of ASCII at their beginning.
    pub fn of(bytes: &[u8]) -> Option<Utf16> {
        match bytes {
            [0xFF, 0xFE, ..] | [b' '..=b'~', 0, b' '..=b'~' | b'\r' | b'\n' | b'\t', 0, ..] => Some(Utf16::LittleEndian),
            [0xFE, 0xFF, ..] | [0, b' '..=b'~', 0, b' '..=b'~' | b'\r' | b'\n' | b'\t', ..] => Some(Utf16::BigEndian),
            _ => None,
        }
    }
}

/// The text that bytes are, without a mark of the order of bytes.
///
/// # Errors
/// They are neither UTF-8 nor UTF-16.
pub fn decoded(bytes: Vec<u8>) -> Result<String, NotText> {
    if let Some(order) = Utf16::of(&bytes) {
        return of_utf16(&bytes, order);
    }
    let text = String::from_utf8(bytes).map_err(|err| {
        let (before, bytes) = (err.utf8_error().valid_up_to(), err.as_bytes());
        let is_text = bytes.iter().all(|byte| !matches!(byte, 0..=8 | 11 | 14..=26 | 28..=31 | 127));
        let found = if is_text { Found::SingleBytes } else { Found::Binary };
        NotText { line: bytes[..before].iter().filter(|byte| **byte == b'\n').count() + 1, found }
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn of_utf16(bytes: &[u8], order: Utf16) -> Result<String, NotText> {
    let (units, rest) = bytes.as_chunks::<2>();
    let units = units.iter().map(|unit| match order {
        Utf16::LittleEndian => u16::from_le_bytes(*unit),
        Utf16::BigEndian => u16::from_be_bytes(*unit),
    });
    let mut text = String::with_capacity(bytes.len() / 2);
    let broken = |text: &str| NotText { line: text.matches('\n').count() + 1, found: Found::BrokenUtf16 };
    for (at, character) in char::decode_utf16(units).enumerate() {
        match character {
            Ok('\u{feff}') if at == 0 => {}
            Ok(character) => text.push(character),
            Err(_) => return Err(broken(&text)),
        }
    }
    if rest.is_empty() { Ok(text) } else { Err(broken(&text)) }
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
            (b"a\n\x00\n\xFF", 3, Found::Binary),
            (b"\xFF\xFEa\0\n\0\x00\xD8", 2, Found::BrokenUtf16),
            (b"\xFF\xFEa\0b", 1, Found::BrokenUtf16),
        ] {
            assert_eq!(decoded(bytes.to_vec()), Err(NotText { line, found }), "{bytes:?}");
        }
    }
}
