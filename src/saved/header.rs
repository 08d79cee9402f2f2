//! The comment at the top of a saved query.

use super::{Language, Parameter, SavedQuery};
use crate::error::Error;
use kqlake_value::Type;

/// The kinds of chart that KQL's `render` knows (Kusto documentation, "render operator").
const CHARTS: [&str; 15] = [
    "table",
    "anomalychart",
    "areachart",
    "barchart",
    "card",
    "columnchart",
    "ladderchart",
    "linechart",
    "piechart",
    "pivotchart",
    "scatterchart",
    "stackedareachart",
    "timechart",
    "timepivot",
    "treemap",
];

/// A line of a header that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct HeaderError {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What was found and what was expected.
    pub message: String,
}

impl From<HeaderError> for Error {
    fn from(error: HeaderError) -> Self {
        Error::usage(error.to_string()).hint("mend the comment at the top of the file")
    }
}

/// A query out of its file's name and text. Comment lines that are no `key: value` of a known key are the author's own words.
///
/// # Errors
/// For a known key with a value that it cannot have.
pub(super) fn read(name: String, file: String, language: Language, text: &str) -> Result<SavedQuery, HeaderError> {
    let mark = match language {
        Language::Kql => "//",
        Language::Sql => "--",
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut saved = SavedQuery {
        title: name.clone(),
        name,
        file,
        language,
        question: String::new(),
        params: Vec::new(),
        chart: None,
        export: false,
        note: None,
        text: text.to_owned(),
    };
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let Some(comment) = line.strip_prefix(mark) else {
            if line.is_empty() {
                continue;
            }
            break;
        };
        let Some((key, value)) = comment.split_once(':') else { continue };
        let value = value.trim();
        let file = saved.file.clone();
        let wrong = |message: String| HeaderError { file, line: index + 1, message };
        match key.trim() {
            "title" if !value.is_empty() => saved.title = value.to_owned(),
            "question" => saved.question = value.to_owned(),
            "param" => match parameter(value) {
                Ok(param) if saved.params.iter().any(|known| known.name == param.name) => {
                    return Err(wrong(format!("the parameter `{}` is described twice", param.name)));
                }
                Ok(param) => saved.params.push(param),
                Err(message) => return Err(wrong(message)),
            },
            "chart" if value == "none" => saved.chart = None,
            "chart" if CHARTS.contains(&value) => saved.chart = Some(value.to_owned()),
            "chart" => return Err(wrong(format!("`{value}` is no kind of chart; known are {}", CHARTS.join(", ")))),
            "export" => match value {
                "true" => saved.export = true,
                "false" => saved.export = false,
                _ => return Err(wrong(format!("`export` is `{value}`, true or false was expected"))),
            },
            // Several notes are one text.
            "note" => saved.note = Some(saved.note.take().map_or_else(|| value.to_owned(), |note| format!("{note} {value}"))),
            _ => {}
        }
    }
    Ok(saved)
}

/// `name type = default — meaning`; the default and the meaning may be absent. The default is a KQL literal and may hold
/// the dash between quotes.
fn parameter(text: &str) -> Result<Parameter, String> {
    let expected = || format!("`{text}` is no parameter; expected `name type = default — meaning`");
    let (declaration, about) = split_outside_quotes(text);
    let (head, default) = match declaration.split_once('=') {
        Some((head, default)) if default.trim().is_empty() => return Err(format!("the default of `{}` is missing", head.trim())),
        Some((head, default)) => (head, default.trim()),
        None => (declaration, ""),
    };
    let mut words = head.split_whitespace();
    let (Some(name), Some(ty), None) = (words.next(), words.next(), words.next()) else {
        return Err(expected());
    };
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(expected());
    }
    if Type::parse(ty).is_none() {
        let known: Vec<_> = Type::ALL.iter().map(|ty| ty.name()).collect();
        return Err(format!("`{ty}` is no type; known are {}", known.join(", ")));
    }
    Ok(Parameter { name: name.to_owned(), ty: ty.to_owned(), default: default.to_owned(), about: about.trim().to_owned() })
}

/// What stands before and after the first ` — ` or ` -- ` that is not between quotes.
fn split_outside_quotes(text: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if open == c => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None => {
                for dash in [" — ", " -- "] {
                    if let Some(rest) = text[at..].strip_prefix(dash) {
                        return (&text[..at], rest);
                    }
                }
            }
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kql(text: &str) -> Result<SavedQuery, HeaderError> {
        read("q".into(), "q.kql".into(), Language::Kql, text)
    }

    #[test]
    fn a_header_is_read_whole() {
        let text = "// title: T\n// question: Q?\n// param: s string = \"a — b=c\" — the list\n// param: n long\n//chart: barchart\n\
                    // export: true\n// note: one\n// note: two\n// just words: here\n\nprint 1 // title: not this\n// title: nor this\n";
        let saved = kql(text).unwrap();
        assert_eq!((saved.title.as_str(), saved.question.as_str()), ("T", "Q?"));
        assert_eq!(saved.params.len(), 2);
        assert_eq!((saved.params[0].default.as_str(), saved.params[0].about.as_str()), ("\"a — b=c\"", "the list"));
        assert_eq!(
            saved.params[1],
            Parameter { name: "n".into(), ty: "long".into(), default: String::new(), about: String::new() }
        );
        assert_eq!(saved.chart.as_deref(), Some("barchart"));
        assert!(saved.export);
        assert_eq!(saved.note.as_deref(), Some("one two"));
        assert_eq!(saved.text, text);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line, part) in [
            ("// param: only\n", 1, "expected `name type = default"),
            ("// title: T\n// param: a text\n", 2, "`text` is no type"),
            ("// param: a long =\n", 1, "default of `a long` is missing"),
            ("// param: a long\n// param: a int\n", 2, "described twice"),
            ("// chart: pizza\n", 1, "no kind of chart"),
            ("// export: yes\n", 1, "true or false"),
        ] {
            let error = kql(text).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.message.contains(part), "{error}");
        }
    }
}
