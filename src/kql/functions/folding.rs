//! Characters of terms, and simple case folding: one character for one.

use std::sync::LazyLock;

use regex::Regex;

/// A letter or digit of any script: what terms are made of.
pub(crate) fn is_term_char(c: char) -> bool {
    // `char::is_alphanumeric` also holds for marks and symbols with the Alphabetic property, which are neither; below U+0345
    // there are none.
    static LETTER_OR_NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\p{L}\p{N}]$").ok());
    if c < '\u{345}' {
        return c.is_alphanumeric();
    }
    c.is_alphanumeric() && LETTER_OR_NUMBER.as_ref().is_none_or(|re| re.is_match(c.encode_utf8(&mut [0; 4])))
}

/// Whether the character that ends before a byte position belongs to a term.
pub(super) fn term_before(text: &[u8], at: usize) -> bool {
    let Some(&last) = at.checked_sub(1).and_then(|i| text.get(i)) else { return false };
    if last < 0x80 {
        return last.is_ascii_alphanumeric();
    }
    let mut start = at - 1;
    while start > 0 && text[start] & 0xC0 == 0x80 {
        start -= 1;
    }
    std::str::from_utf8(&text[start..at]).ok().and_then(|s| s.chars().next()).is_some_and(is_term_char)
}

/// Whether the character that starts at a byte position belongs to a term.
pub(super) fn term_after(text: &[u8], at: usize) -> bool {
    let Some(&first) = text.get(at) else { return false };
    if first < 0x80 {
        return first.is_ascii_alphanumeric();
    }
    let mut end = at + 1;
    while end < text.len() && text[end] & 0xC0 == 0x80 {
        end += 1;
    }
    std::str::from_utf8(&text[at..end]).ok().and_then(|s| s.chars().next()).is_some_and(is_term_char)
}

/// Simple case folding of a character: to upper case and then to lower case, where each is one character. ASCII folds to
/// ASCII only, and nothing else does.
pub(crate) fn fold_char(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    let upper = only(c.to_uppercase()).unwrap_or(c);
    let folded = only(upper.to_lowercase()).unwrap_or(upper);
    if folded.is_ascii() { c } else { folded }
}

/// The only character of an iterator that gives one.
fn only(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

/// Appends the folded text.
pub(super) fn fold_into(text: &[u8], out: &mut Vec<u8>) {
    let mut buffer = [0; 4];
    // Arrow strings are UTF-8, so that nothing is lost here.
    for c in String::from_utf8_lossy(text).chars() {
        if c.is_ascii() {
            out.push(c.to_ascii_lowercase() as u8);
        } else {
            out.extend_from_slice(fold_char(c).encode_utf8(&mut buffer).as_bytes());
        }
    }
}

/// Equality without regard to case (`=~`).
pub(crate) fn equal_ignoring_case(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() {
        return a.eq_ignore_ascii_case(b);
    }
    a.chars().map(fold_char).eq(b.chars().map(fold_char))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_simple_and_keeps_ascii_apart() {
        assert!(equal_ignoring_case("\u{3a3}\u{e9}", "\u{3c2}\u{c9}"));
        assert!(!equal_ignoring_case("\u{212a}", "k"));
        assert!(!equal_ignoring_case("\u{df}", "ss"));
        assert_eq!(['\u{130}', '\u{131}', '\u{17f}'].map(fold_char), ['\u{130}', '\u{131}', '\u{17f}']);
    }

    #[test]
    fn terms_hold_letters_and_digits_of_any_script() {
        assert!(['a', '9', '\u{e9}', '\u{5d0}', '\u{4e2d}', '\u{663}', '\u{b2}'].into_iter().all(is_term_char));
        assert!(!['_', '-', '\u{200b}', '\u{301}', '\u{345}', '\u{24d0}', '\u{1f600}'].into_iter().any(is_term_char));
        assert!(term_before("x\u{e9}y".as_bytes(), 3) && !term_before(b"x", 0));
        assert!(term_after("-\u{e9}".as_bytes(), 1) && !term_after(b"x", 1));
    }
}
