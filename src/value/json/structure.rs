//! Whether JSON that comes piece by piece is whole: its structure only, so that what was damaged on the way is seen before
//! anybody reads it.
//!
//! [`Extent`](super::extent::Extent) says where one value ends and looks at its brackets alone; here each token must stand where
//! one of its kind may, to the end of the text. Neither looks into numbers, and neither keeps what it has seen.

use memchr::memchr2;

use crate::parse::BYTE_ORDER_MARK as MARK;

/// Depth beyond which nothing is said any more. It is not [`super::MAX_DEPTH`]: a page around values may be deeper than they are.
const MAX_DEPTH: usize = 1_000;

/// The first byte of a text that comes in pieces which is no blank and not of the byte-order mark.
pub fn first_byte(pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Option<u8> {
    let is_first = |byte: &u8| !byte.is_ascii_whitespace() && !MARK.contains(byte);
    pieces.into_iter().find_map(|piece| piece.as_ref().iter().copied().find(is_first))
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A value; true where the array may end instead.
    Value(bool),
    /// The name of a field; true where the object may end instead.
    Name(bool),
    Colon,
    /// A comma, or the end of what encloses it.
    Next,
    /// The rest of a text; true in a name.
    Text(bool),
    /// What is escaped in it.
    Escaped(bool),
    Number,
    /// The rest of `true`, `false` or `null`.
    Word(&'static [u8]),
    /// Blanks only.
    End,
}

/// Follows the structure of one JSON text.
#[derive(Debug, Clone)]
pub struct StructureCheck {
    state: State,
    /// What encloses the place: true for objects.
    open: Vec<bool>,
    /// Bytes of the mark that were before everything else.
    mark: usize,
}

impl Default for StructureCheck {
    fn default() -> Self {
        Self::new()
    }
}

impl StructureCheck {
    /// Before the first byte.
    pub fn new() -> Self {
        StructureCheck { state: State::Value(false), open: Vec::new(), mark: 0 }
    }

    /// True when the text may end here.
    pub fn is_whole(&self) -> bool {
        self.state == State::End
    }

    /// How many arrays and objects enclose the place.
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    /// True inside of a text or a name.
    pub fn is_in_text(&self) -> bool {
        matches!(self.state, State::Text(_) | State::Escaped(_))
    }

    /// Goes on over a piece.
    ///
    /// # Errors
    /// The place of the byte that cannot be there.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), usize> {
        let mut at = 0;
        while let Some(&byte) = piece.get(at) {
            match self.state {
                State::Text(is_name) => match memchr2(b'"', b'\\', &piece[at..]) {
                    Some(length) => {
                        at += length;
                        self.state = match (piece[at], is_name) {
                            (b'\\', _) => State::Escaped(is_name),
                            (_, true) => State::Colon,
                            (_, false) => self.after(),
                        };
                    }
                    None => return Ok(()),
                },
                State::Escaped(is_name) => {
                    if !matches!(byte, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'u') {
                        return Err(at);
                    }
                    self.state = State::Text(is_name);
                }
                State::Word(rest) => {
                    let (first, rest) = rest.split_first().ok_or(at)?;
                    if *first != byte {
                        return Err(at);
                    }
                    self.state = if rest.is_empty() { self.after() } else { State::Word(rest) };
                }
                State::Number if matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-') => {}
                State::Number => {
                    // The byte behind it belongs to what encloses it.
                    self.state = self.after();
                    continue;
                }
                _ if byte.is_ascii_whitespace() => {}
                State::Value(_) if self.open.is_empty() && MARK.get(self.mark) == Some(&byte) => self.mark += 1,
                state => self.state = self.token(state, byte).ok_or(at)?,
            }
            at += 1;
        }
        Ok(())
    }

    /// What may come behind a byte that is no blank; `None` when it cannot be there.
    fn token(&mut self, state: State, byte: u8) -> Option<State> {
        Some(match (state, byte) {
            (State::Value(_), b'"') => State::Text(false),
            (State::Value(_), b'-' | b'0'..=b'9') => State::Number,
            (State::Value(_), b't') => State::Word(b"rue"),
            (State::Value(_), b'f') => State::Word(b"alse"),
            (State::Value(_), b'n') => State::Word(b"ull"),
            (State::Value(_), b'[' | b'{') if self.open.len() < MAX_DEPTH => {
                self.open.push(byte == b'{');
                if byte == b'{' { State::Name(true) } else { State::Value(true) }
            }
            (State::Name(_), b'"') => State::Text(true),
            (State::Colon, b':') => State::Value(false),
            (State::Next, b',') => {
                if *self.open.last()? {
                    State::Name(false)
                } else {
                    State::Value(false)
                }
            }
            (State::Value(true) | State::Next, b']') if self.open.last() == Some(&false) => self.close(),
            (State::Name(true) | State::Next, b'}') if self.open.last() == Some(&true) => self.close(),
            _ => return None,
        })
    }

    fn close(&mut self) -> State {
        self.open.pop();
        self.after()
    }

    /// What may come behind a value.
    fn after(&self) -> State {
        if self.open.is_empty() { State::End } else { State::Next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a text is whole, in pieces of so many bytes; the place where it is damaged otherwise.
    fn check(text: &str, size: usize) -> Result<bool, usize> {
        let mut check = StructureCheck::new();
        for (number, piece) in text.as_bytes().chunks(size).enumerate() {
            check.feed(piece).map_err(|at| number * size + at)?;
        }
        Ok(check.is_whole())
    }

    const GOOD: &str =
        "\u{feff}[ {\"a\\\"b\":\"c\\\\\",\"d\":[-1.5e+3, true,false ,null,{}],\"e\":{\"f\":[]}},\n\"ü\\u00e4\", 12 ]\r\n";

    #[test]
    fn structure_is_followed_whatever_the_pieces_are() {
        for size in 1..GOOD.len() {
            assert_eq!(check(GOOD, size), Ok(true), "{size}");
        }
        for (text, at) in [
            ("[1,]", 3),
            ("{\"a\" 1}", 5),
            ("[1 2]", 3),
            ("[}", 1),
            ("{]", 1),
            ("[tru]", 4),
            ("[]]", 2),
            ("[\"\\x\"]", 3),
            ("{,}", 1),
            ("x", 0),
            ("{\"a\":1,}", 7),
        ] {
            for size in 1..=text.len() {
                assert_eq!(check(text, size), Err(at), "{text}");
            }
        }
    }

    #[test]
    fn the_place_of_a_cut_is_known() {
        for (text, depth, is_in_text) in [
            ("", 0, false),
            ("{\"a", 1, true),
            ("{\"a\":[\"\\", 2, true),
            ("{\"a\":[\"x\"", 2, false),
            ("{\"a\":[]", 1, false),
            ("[{}]", 0, false),
        ] {
            let mut check = StructureCheck::new();
            check.feed(text.as_bytes()).unwrap();
            assert_eq!((check.depth(), check.is_in_text()), (depth, is_in_text), "{text}");
        }
    }

    #[test]
    fn no_cut_text_is_whole() {
        let end = GOOD.trim_end().len();
        for length in (0..end).filter(|length| GOOD.is_char_boundary(*length)) {
            assert_eq!(check(&GOOD[..length], 7), Ok(false), "{length}");
        }
        assert_eq!(check(&GOOD[..end], 7), Ok(true));
    }

    /// What the parser takes is whole here, too; what it refuses may pass only where it looks closer.
    #[test]
    fn what_a_parser_takes_is_whole() {
        for at in 0..GOOD.len() {
            for byte in *b"\"\\{}[],:1tx " {
                let mut text = GOOD.as_bytes().to_vec();
                text[at] = byte;
                let plain = text.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(&text);
                if serde_json::from_slice::<serde_json::Value>(plain).is_ok() {
                    let mut check = StructureCheck::new();
                    assert!(check.feed(&text).is_ok() && check.is_whole(), "{}", String::from_utf8_lossy(&text));
                }
            }
        }
    }
}
