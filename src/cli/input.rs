//! What a command reads: query texts from an argument, a file or standard input, and parameters.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use crate::error::{Error, Result};

/// A query text and what messages call it.
#[derive(Debug, Clone)]
pub struct Text {
    /// `query`, `<stdin>`, or the file's path.
    pub name: String,
    /// The text.
    pub text: String,
}

/// The text that an argument means: `-` standard input, `@FILE` a file, anything else itself.
///
/// # Errors
/// When the file or standard input cannot be read, or holds something that is not UTF-8.
pub fn text(argument: &str) -> Result<Text> {
    match argument.strip_prefix('@') {
        _ if argument == "-" => stdin(),
        Some(path) => file(Path::new(path)),
        None => Ok(Text { name: "query".to_owned(), text: argument.to_owned() }),
    }
}

/// The text of standard input.
///
/// # Errors
/// When it cannot be read or is not UTF-8.
pub fn stdin() -> Result<Text> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).map_err(|err| Error::usage(format!("cannot read standard input: {err}")))?;
    decoded("<stdin>".to_owned(), bytes)
}

/// The text of a file.
///
/// # Errors
/// When it cannot be read or is not UTF-8.
pub fn file(path: &Path) -> Result<Text> {
    let bytes = std::fs::read(path).map_err(|err| Error::usage(format!("cannot read {}: {err}", path.display())))?;
    decoded(path.display().to_string(), bytes)
}

/// Editors on Windows put a byte-order mark first; it is no part of the query.
fn decoded(name: String, bytes: Vec<u8>) -> Result<Text> {
    let text = String::from_utf8(bytes).map_err(|err| {
        let at = err.utf8_error().valid_up_to();
        let line = err.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
        Error::query(format!("{name}:{line}: the text is not UTF-8")).hint("save it as UTF-8")
    })?;
    Ok(Text { name, text: text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text) })
}

/// `name=value` pairs of `--param`, the last one of a name counts.
///
/// # Errors
/// For a pair without `=` or without a name.
pub fn params(pairs: &[String]) -> Result<BTreeMap<String, String>> {
    pairs
        .iter()
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
            _ => Err(Error::usage(format!("--param {pair}: NAME=VALUE was expected"))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_are_pairs() {
        assert_eq!(params(&["a = b=c".to_owned()]).unwrap()["a"], " b=c");
        assert_eq!(params(&["a".to_owned()]).unwrap_err().status(), 2);
    }
}
