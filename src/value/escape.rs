//! Text from files, names and data, made harmless for a terminal.

use std::borrow::Cow;

/// True for what moves the cursor, begins a terminal's escape sequence, ends a line, or turns the order of characters round
/// (Unicode Standard Annex 9: embeddings, overrides, isolates).
pub fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text on one line: what a terminal would obey instead of show is written as Rust writes it, `\n`, `\u{1b}`.
pub fn escaped(text: &str) -> Cow<'_, str> {
    escaped_but(text, &[])
}

/// A text of several lines: the same, but line feeds and tabs stay.
pub fn escaped_lines(text: &str) -> Cow<'_, str> {
    escaped_but(text, &['\n', '\t'])
}

fn escaped_but<'t>(text: &'t str, stay: &[char]) -> Cow<'t, str> {
    let harmful = |c: char| is_harmful(c) && !stay.contains(&c);
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if harmful(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown_instead() {
        assert_eq!(escaped("a\u{1b}[2J\r\n\u{9b}1m\u{7f}\u{202e}ö"), r"a\u{1b}[2J\r\n\u{9b}1m\u{7f}\u{202e}ö");
        assert_eq!(escaped_lines("a\n\tb\r\u{7}"), "a\n\tb\\r\\u{7}");
        assert!(matches!(escaped("plain — text 漢字 👩‍👩‍👧"), Cow::Borrowed(_)));
    }
}
