//! How a pattern is read.

use regex::{Regex, RegexBuilder};

/// Compiles a pattern; the error says what is wrong with it.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let error = match build(pattern) {
        Ok(regex) => return Ok(regex),
        Err(error) => error,
    };
    // Kusto's engine was RE2, which reads a brace that counts nothing as itself; published queries look for JSON that way.
    if let Some(Ok(regex)) = literal_braces(pattern).as_deref().map(build) {
        return Ok(regex);
    }
    Err(match error {
        regex::Error::CompiledTooBig(limit) => format!("the regular expression needs more than {limit} bytes"),
        // The crate's message repeats the pattern over several lines; its last line says what is wrong.
        other => {
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or("").trim_start_matches("error: ");
            format!("the regular expression '{pattern}' is not valid: {reason}")
        }
    })
}

fn build(pattern: &str) -> Result<Regex, regex::Error> {
    /// Compiled patterns and their lazy automata may not eat the query's memory.
    const LIMIT: usize = 64 << 20;
    RegexBuilder::new(pattern).size_limit(LIMIT).dfa_size_limit(LIMIT).build()
}

/// The pattern with a backslash before each `{` that begins no count; `None` where there is no such brace.
fn literal_braces(pattern: &str) -> Option<String> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let (mut in_class, mut found) = (false, false);
    let mut rest = pattern.char_indices();
    while let Some((at, c)) = rest.next() {
        match c {
            '\\' => {
                out.push(c);
                let Some((_, escaped)) = rest.next() else { continue };
                out.push(escaped);
                // What these take in braces is no count.
                if matches!(escaped, 'p' | 'P' | 'x' | 'u' | 'U' | 'b')
                    && let Some((_, brace)) = rest.clone().next().filter(|(_, c)| *c == '{')
                {
                    out.push(brace);
                    rest.next();
                }
                continue;
            }
            '[' => in_class = true,
            ']' => in_class = false,
            '{' if !in_class && !begins_repetition(&pattern[at + 1..]) => {
                out.push('\\');
                found = true;
            }
            _ => {}
        }
        out.push(c);
    }
    found.then_some(out)
}

/// `n}`, `n,}`, `n,m}`
fn begins_repetition(text: &str) -> bool {
    let Some((count, _)) = text.split_once('}') else { return false };
    let (least, most) = count.split_once(',').unwrap_or((count, "0"));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_that_count_nothing_are_themselves() {
        for (pattern, text) in [(r#"{"(.+)":.+}"#, r#"{"a":1}"#), (r"x{2}{y", "xx{y"), (r"\p{L}{z", "é{z"), (r"[{]{a", "{{a")] {
            let regex = compile(pattern).expect(pattern);
            assert_eq!(regex.find(text).map(|m| m.as_str()), Some(text), "{pattern}");
        }
        assert!(compile("(").is_err() && compile("a{2").is_ok_and(|r| r.is_match("a{2")));
    }
}
