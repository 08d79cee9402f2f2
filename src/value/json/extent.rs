//! Where a JSON value in quotes or brackets ends, also one that comes piece by piece.

use memchr::memchr2;

use super::strings::string_end;

/// Searches for the end of a string, an array or an object. Nothing else of the value is checked.
#[derive(Debug)]
pub struct Extent<O> {
    open: O,
    state: State,
}

/// Keeps account of the brackets that are open.
pub trait OpenBrackets {
    /// Opens or closes a bracket and gives how many are open then.
    ///
    /// # Errors
    /// The bracket cannot appear there.
    fn take(&mut self, bracket: u8) -> Result<usize, BracketError>;

    /// How many are open.
    fn count(&self) -> usize;
}

/// Only their number: any bracket closes any other.
#[derive(Debug)]
pub struct Counted(usize);

/// What closes each of them, and how many there may be.
#[derive(Debug)]
pub struct Matched(Vec<u8>, usize);

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy)]
enum State {
    Outside,
    InString,
    /// Behind a backslash in a string.
    Escaped,
}

/// A bracket that cannot appear where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BracketError {
    /// It closes another one than was opened last.
    Unmatched(u8),
    /// More are open than may be.
    TooDeep,
}

impl Extent<Counted> {
    /// For text that was checked before: brackets are only counted.
    pub fn counted() -> Self {
        Extent { open: Counted(0), state: State::Outside }
    }
}

impl Extent<Matched> {
    /// For text that was not checked before: each bracket must close what was opened last, and at most `most` are open at once.
    pub fn matched(most: usize) -> Self {
        Extent { open: Matched(Vec::with_capacity(16), most), state: State::Outside }
    }
}

impl<O: OpenBrackets> Extent<O> {
    /// Takes the next bytes of the value, from its first bracket or quote on, and gives the place behind its end; `None` when it
    /// does not end in them.
    ///
    /// # Errors
    /// A bracket does not fit, with the place behind it.
    #[inline]
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<usize>, (usize, BracketError)> {
        let mut at = 0;
        loop {
            let rest @ [first, ..] = &bytes[at..] else { return Ok(None) };
            match self.state {
                State::Outside => {
                    at += 1;
                    match *first {
                        b'"' => match string_end(bytes, at - 1) {
                            Some(end) => {
                                at = end;
                                if self.open.count() == 0 {
                                    return Ok(Some(at));
                                }
                            }
                            // The string continues in the next bytes.
                            None => {
                                let backslashes = bytes[at..].iter().rev().take_while(|b| **b == b'\\').count();
                                self.state = if backslashes % 2 == 0 { State::InString } else { State::Escaped };
                                return Ok(None);
                            }
                        },
                        bracket @ (b'{' | b'}' | b'[' | b']') => {
                            let open = self.open.take(bracket).map_err(|error| (at, error))?;
                            if open == 0 {
                                return Ok(Some(at));
                            }
                        }
                        _ => {}
                    }
                }
                State::InString => {
                    let Some(found) = memchr2(b'"', b'\\', rest) else { return Ok(None) };
                    at += found + 1;
                    if rest[found] == b'\\' {
                        self.state = State::Escaped;
                        continue;
                    }
                    self.state = State::Outside;
                    if self.open.count() == 0 {
                        return Ok(Some(at));
                    }
                }
                State::Escaped => {
                    at += 1;
                    self.state = State::InString;
                }
            }
        }
    }
}

fn opens(bracket: u8) -> bool {
    matches!(bracket, b'{' | b'[')
}

impl OpenBrackets for Counted {
    #[inline]
    fn take(&mut self, bracket: u8) -> Result<usize, BracketError> {
        self.0 = if opens(bracket) { self.0 + 1 } else { self.0.saturating_sub(1) };
        Ok(self.0)
    }

    fn count(&self) -> usize {
        self.0
    }
}

impl OpenBrackets for Matched {
    fn take(&mut self, bracket: u8) -> Result<usize, BracketError> {
        let Matched(open, most) = self;
        if opens(bracket) {
            // Brackets that are open take memory, too.
            if open.len() >= *most {
                return Err(BracketError::TooDeep);
            }
            open.push(if bracket == b'{' { b'}' } else { b']' });
        } else if open.pop() != Some(bracket) {
            return Err(BracketError::Unmatched(bracket));
        }
        Ok(open.len())
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_of(mut extent: Extent<impl OpenBrackets>, text: &str, cut: usize) -> Option<usize> {
        let (first, second) = text.as_bytes().split_at(cut);
        match extent.feed(first).unwrap() {
            Some(end) => Some(end),
            None => extent.feed(second).unwrap().map(|end| cut + end),
        }
    }

    #[test]
    fn values_end_where_they_end_however_they_are_cut() {
        for (text, end) in [
            (r#"{"a":[1,"]}\""],"b":{}} , 5"#, Some(23)),
            (r#""x\"y" z"#, Some(6)),
            (r#""\\""#, Some(4)),
            ("[[]]]", Some(4)),
            (r#"{"a":"#, None),
            (r#"{"a":"\"#, None),
        ] {
            for cut in 0..=text.len() {
                assert_eq!(end_of(Extent::counted(), text, cut), end, "{text} cut at {cut}");
                assert_eq!(end_of(Extent::matched(8), text, cut), end, "{text} cut at {cut}");
            }
        }
    }

    #[test]
    fn brackets_that_do_not_fit() {
        assert_eq!(Extent::counted().feed(b"[1}"), Ok(Some(3)));
        assert_eq!(Extent::matched(8).feed(b"[1} "), Err((3, BracketError::Unmatched(b'}'))));
        assert_eq!(Extent::matched(2).feed(b"[[[1]]]"), Err((3, BracketError::TooDeep)));
    }
}
