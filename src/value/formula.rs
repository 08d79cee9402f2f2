//! Texts that a spreadsheet would take for formulas, in files that are made for one: a guard before them, which whoever reads the
//! file takes away again.

/// What a spreadsheet takes for the beginning of a formula (OWASP ASVS 5.0, 1.2.10), also behind blanks. Where East Asian
/// input is usual, it takes the full-width forms too.
pub const FORMULA_STARTS: &[char] = &['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
/// What no text may begin with: a spreadsheet drops it and takes what follows as a new cell or a formula.
pub const CELL_BREAKS: &[char] = &['\t', '\r', '\n', '\0'];
/// What is put before it.
pub const FORMULA_GUARD: char = '\'';

/// Puts the guard before a text that a spreadsheet would take for a formula, and before one that looks as if it had a guard
/// already: so it is certain which guards are to be taken away.
pub fn guard(text: &mut String) {
    if needs_guard(text.trim_start_matches(FORMULA_GUARD)) {
        text.insert(0, FORMULA_GUARD);
    }
}

/// The text that [`guard`] had.
pub fn unguarded(text: &str) -> &str {
    text.strip_prefix(FORMULA_GUARD).filter(|rest| needs_guard(rest.trim_start_matches(FORMULA_GUARD))).unwrap_or(text)
}

fn needs_guard(text: &str) -> bool {
    let blank = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    text.starts_with(CELL_BREAKS) || text.trim_start_matches(blank).starts_with(FORMULA_STARTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gets_a_guard_loses_it_again() {
        for (text, expected) in [
            ("=1", "'=1"),
            (" -1", "' -1"),
            ("\tx", "'\tx"),
            ("'=1", "''=1"),
            ("''\u{ff20}", "'''\u{ff20}"),
            ("", ""),
            ("'", "'"),
            ("'a=1", "'a=1"),
            ("1-1", "1-1"),
        ] {
            let mut guarded = text.to_owned();
            guard(&mut guarded);
            assert_eq!((guarded.as_str(), unguarded(&guarded)), (expected, text));
        }
    }
}
