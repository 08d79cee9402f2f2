//! The comment at the top of a saved query.

use super::params::{self, Described};
use super::{Language, SavedQuery};
use crate::error::Error;
use kqlake_syntax::suggest::is_one_slip;

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

/// The keys that a header may have.
const KEYS: [&str; 6] = ["title", "question", "param", "chart", "export", "note"];

/// A query out of its file's name and text. Keys are read in any case; comment lines that have no key, nor what looks like one, are
/// the author's own words.
///
/// # Errors
/// For a key with a value that it cannot have, one that comes twice or is misspelt, and for a parameter that the text does not
/// declare so.
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
    let mut described: Vec<Described> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let Some(comment) = line.strip_prefix(mark) else {
            if line.is_empty() {
                continue;
            }
            break;
        };
        let file = saved.file.clone();
        let wrong = |message: String| HeaderError { file, line: index + 1, message };
        let (key, value) = match key_and_value(comment) {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            Err(message) => return Err(wrong(message)),
        };
        if !matches!(key, "param" | "note") {
            if seen.contains(&key) {
                return Err(wrong(format!("`{key}` is given twice")));
            }
            seen.push(key);
        }
        match key {
            "title" if !value.is_empty() => saved.title = value.to_owned(),
            "question" => saved.question = value.to_owned(),
            "param" => match Described::read(index + 1, value) {
                Ok(param) if described.iter().any(|known| known.name == param.name) => {
                    return Err(wrong(format!("the parameter `{}` is described twice", param.name)));
                }
                Ok(param) => described.push(param),
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
    match params::declared(language, text, &described) {
        Ok(params) => saved.params = params,
        Err((line, message)) => return Err(HeaderError { file: saved.file, line, message }),
    }
    Ok(saved)
}

/// The key and the value of a comment; `None` for the author's own words.
///
/// # Errors
/// For a word in the place of a key that is nearly one, and for a key with `=` behind it.
fn key_and_value(comment: &str) -> Result<Option<(&'static str, &str)>, String> {
    let Some(at) = comment.find([':', '=']) else { return Ok(None) };
    let (word, value) = (comment[..at].trim(), comment[at + 1..].trim());
    let known = KEYS.into_iter().find(|key| key.eq_ignore_ascii_case(word));
    match known {
        Some(key) if comment.as_bytes()[at] == b':' => Ok(Some((key, value))),
        Some(key) => Err(format!("`{word} =` is no key; write `{key}: {value}`")),
        None => match misspelt(word) {
            Some(key) if comment.as_bytes()[at] == b':' => {
                Err(format!("`{word}` is no key; write `{key}: …`, or begin your own words with another one"))
            }
            _ => Ok(None),
        },
    }
}

/// The key that a word is meant for: one slip away from it, or its plural. What differs in its first letter alone is a word of its own.
fn misspelt(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    if matches!(word.as_str(), "params" | "parameter" | "parameters") {
        return Some("param");
    }
    let (first, len) = (word.bytes().next()?, word.len());
    KEYS.into_iter().find(|key| (key.len() != len || key.as_bytes()[0] == first) && is_one_slip(&word, key))
}

#[cfg(test)]
mod tests {
    use super::super::Parameter;
    use super::*;

    fn kql(text: &str) -> Result<SavedQuery, HeaderError> {
        read("q".into(), "q.kql".into(), Language::Kql, text)
    }

    #[test]
    fn a_header_is_read_whole() {
        let text = "// title: T\n// Question: Q?\n// param: s string = \"a — b=c\" — the list\n// param: n — how many\n//chart: barchart\n\
                    // export: true\n// note: one\n// note: two\n// just words: here\n// report: r\n// https://x\n\n\
                    declare query_parameters(n: int, s:string='a — b=c', t:timespan = 1h); print 1 // title: not this\n// title: nor this\n";
        let saved = kql(text).unwrap();
        assert_eq!((saved.title.as_str(), saved.question.as_str()), ("T", "Q?"));
        let param = |name: &str, ty: &str, default: Option<&str>, about: &str| Parameter {
            name: name.into(),
            ty: ty.into(),
            default: default.map(str::to_owned),
            about: about.into(),
        };
        let s = param("s", "string", Some("'a — b=c'"), "the list");
        assert_eq!(saved.params, [param("n", "int", None, "how many"), s, param("t", "timespan", Some("1h"), "")]);
        assert_eq!(saved.chart.as_deref(), Some("barchart"));
        assert!(saved.export);
        assert_eq!(saved.note.as_deref(), Some("one two"));
        assert_eq!(saved.text, text);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let declared = "declare query_parameters(a: long = 5, b: datetime, s: string = 'x');\nprint a";
        for (text, line, part) in [
            ("// param: a b c\n", 1, "expected `name — meaning`"),
            ("// title: T\n// param: a text\n", 2, "`text` is no type"),
            ("// param: a long =\n", 1, "default of `a long` is missing"),
            ("// param: a long\n// param: a int\n", 2, "described twice"),
            ("// chart: pizza\n", 1, "no kind of chart"),
            ("// export: yes\n", 1, "true or false"),
            ("// export: true\n// export: false\n", 2, "`export` is given twice"),
            ("// title: T\n// exprot: true\n", 2, "`exprot` is no key; write `export: …`"),
            ("// tittle: T\n", 1, "write `title: …`"),
            ("// parameters: a — how many\n", 1, "write `param: …`"),
            ("// Export = true\n", 1, "write `export: true`"),
            ("// param: c — another\n", 1, "declares no parameter `c`"),
            ("\n// param: a int\n", 2, "`a` is int here, the text declares it as long"),
            ("// param: a long = 4 — how many\n", 1, "the default of the parameter `a` is 4 here, and 5 in the text"),
            ("// param: b = now()\n", 1, "the default now() here, and none in the text"),
            ("// param: s string = \"y\"\n", 1, "is \"y\" here, and 'x' in the text"),
        ] {
            let error = kql(&format!("{text}{declared}")).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.message.contains(part), "{error}");
        }
        for text in
            ["// param: a\n", "// param: a: long = 5 -- how many\n", "// param: s = \"x\" – a text\n", "// param: b date\n"]
        {
            assert!(kql(&format!("{text}{declared}")).is_ok(), "{text}");
        }
    }

    #[test]
    fn defaults_of_one_value_are_one_however_they_are_spelled() {
        let one_value = [
            (
                "datetime",
                "datetime(2026-01-05)",
                &["2026-01-05", "datetime('2026-01-05')", "2026-01-05T00:00:00Z", "01/05/2026"][..],
            ),
            ("timespan", "1h", &["60m", "01:00:00", "time(1h)", "0.01:00"]),
            ("real", "5", &["5.0", "real(5)", "5e0", "long(5)"]),
            ("real", "real(nan)", &["nan", "double(nan)"]),
            ("decimal", "decimal(1.5)", &["1.5", "1.50", "decimal(1.500)"]),
            ("long", "-5", &["long(-5)", "- 5"]),
            ("int", "16", &["int(16)", "0x10", "long(16)"]),
            ("bool", "true", &["True", "bool(true)", "bool(1)"]),
            ("string", "'a b'", &["\"a b\"", "@'a b'", "a b", "'a' ' b'"]),
            ("string", "'5'", &["5", "\"5\""]),
            ("guid", "guid(6F9619FF-8B86-D011-B42D-00C04FC964FF)", &["6f9619ff-8b86-d011-b42d-00c04fc964ff"]),
            ("dynamic", "dynamic({\"a\": [1]})", &["dynamic({'a':[1]})", "{\"a\":[1]}"]),
        ];
        for (ty, own, spellings) in one_value {
            for said in spellings {
                let text = format!("// param: p {ty} = {said}\ndeclare query_parameters(p: {ty} = {own}); print p");
                assert!(kql(&text).is_ok(), "{text}: {:?}", kql(&text).err());
            }
        }
        let others = [
            ("datetime", "datetime(2026-01-05)", &["2026-01-06", "now()", "5"][..]),
            ("timespan", "1h", &["1d", "02:00"]),
            ("real", "5", &["5.5", "nan"]),
            ("bool", "true", &["false", "x"]),
            ("string", "'a b'", &["A B", "'a b '"]),
        ];
        for (ty, own, spellings) in others {
            for said in spellings {
                let text = format!("// param: p {ty} = {said}\ndeclare query_parameters(p: {ty} = {own}); print p");
                assert!(kql(&text).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn a_text_that_cannot_be_read_says_so_itself() {
        let saved = kql("// param: a long = 5 — how many\ndeclare query_parameters(a long);\nprint a").unwrap();
        assert_eq!(saved.params.len(), 1);
    }

    #[test]
    fn sql_has_no_parameters() {
        let error = read("q".into(), "q.sql".into(), Language::Sql, "-- title: T\n-- param: a long\nSELECT 1").unwrap_err();
        assert_eq!(error.to_string(), "q.sql:2: `a` is no parameter: SQL queries take none");
    }
}
