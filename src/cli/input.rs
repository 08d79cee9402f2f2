//! What a command reads: query texts from an argument, a file or standard input, and parameters.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use super::Context;
use crate::engine::NamedFile;
use crate::error::{Error, Result};
use crate::saved::Collection;
use kqlake_durable::pipe;
use kqlake_syntax::ast::{ParamType, StatementKind};
use kqlake_syntax::parser::parse;
use kqlake_syntax::suggest::nearest;
use kqlake_value::Type;
use kqlake_value::encoding::decoded;

/// Bytes that a query text may have.
const MAX_TEXT: u64 = 64 << 20;

/// A query text and what messages call it.
#[derive(Debug, Clone)]
pub(super) struct Text {
    /// `query`, `<stdin>`, or the file's path.
    pub name: String,
    /// The text.
    pub text: String,
}

/// The text that an argument means: `-` standard input, `@FILE` a file, anything else itself.
///
/// # Errors
/// When the file or standard input cannot be read, or is neither UTF-8 nor UTF-16.
pub(super) fn text(argument: &str) -> Result<Text> {
    match argument.strip_prefix('@') {
        _ if argument == "-" => stdin(),
        Some(path) => file(Path::new(path)),
        None => Ok(Text { name: "query".to_owned(), text: argument.to_owned() }),
    }
}

/// The text of standard input.
///
/// # Errors
/// When it cannot be read, or is neither UTF-8 nor UTF-16.
pub(super) fn stdin() -> Result<Text> {
    read("<stdin>".to_owned(), std::io::stdin().lock())
}

/// The text of a file.
///
/// # Errors
/// When it cannot be read, or is neither UTF-8 nor UTF-16.
pub(super) fn file(path: &Path) -> Result<Text> {
    let name = path.display().to_string();
    let file = pipe::read(path).map_err(|err| Error::usage(format!("cannot read {name}: {err}")))?;
    read(name, file)
}

/// All of a text, of which there may not be an end: devices and pipes are read like files.
fn read(name: String, source: impl std::io::Read) -> Result<Text> {
    let mut bytes = Vec::new();
    source.take(MAX_TEXT + 1).read_to_end(&mut bytes).map_err(|err| Error::usage(format!("cannot read {name}: {err}")))?;
    if bytes.len() as u64 > MAX_TEXT {
        return Err(Error::usage(format!("{name} has more than {} MB, which is no query", MAX_TEXT >> 20)));
    }
    as_text(name, bytes)
}

fn as_text(name: String, bytes: Vec<u8>) -> Result<Text> {
    match decoded(bytes) {
        Ok(text) => Ok(Text { name, text }),
        Err(err) => Err(Error::query(format!("cannot read {name}: {err}")).hint("save it as UTF-8")),
    }
}

/// Refuses a parameter that a KQL text does not declare.
///
/// # Errors
/// For such a parameter.
pub(super) fn check_declared(text: &str, params: &BTreeMap<String, String>) -> Result<()> {
    if params.is_empty() {
        return Ok(());
    }
    let script = parse(text).script;
    let declared: Vec<&str> = script
        .statements
        .iter()
        .filter_map(|statement| match &statement.kind {
            StatementKind::DeclareParameters(params) => Some(params),
            _ => None,
        })
        .flatten()
        .map(|param| param.name.text.as_str())
        .collect();
    let Some(name) = params.keys().find(|name| !declared.contains(&name.as_str())) else { return Ok(()) };
    let error = Error::usage(format!("--param {name}: the query declares no parameter of this name"));
    Err(match nearest(name, declared.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None if declared.is_empty() => error.hint(format!("declare it: declare query_parameters({name}: string);")),
        None => error.hint(format!("it declares {}", declared.join(", "))),
    })
}

/// Says of the values of a text's datetime parameters how they are read, where their day and month might be exchanged.
pub(super) fn tell_date_orders(text: &str, params: &BTreeMap<String, String>, context: &Context) {
    if !params.values().any(|value| month_and_day(value).is_some()) {
        return;
    }
    for statement in parse(text).script.statements {
        let StatementKind::DeclareParameters(declared) = statement.kind else { continue };
        for param in declared.iter().filter(|param| param.ty == ParamType::Scalar(Type::DateTime)) {
            let name = &param.name.text;
            let Some((value, (month, day, year))) = params.get(name).and_then(|value| Some((value, month_and_day(value)?)))
            else {
                continue;
            };
            context.say(format_args!(
                "note: {name}={value} has the month first, as `todatetime` reads it: it is {year}-{month:02}-{day:02}; the other one is \
                 written {year}-{day:02}-{month:02}"
            ));
        }
    }
}

/// Month, day and year of a date such as `02/03/2026`, in which they might be exchanged.
fn month_and_day(value: &str) -> Option<(u32, u32, u32)> {
    let value = value.trim();
    let literal = value.strip_prefix("datetime(").map(|text| text.strip_suffix(')'));
    let value = literal.unwrap_or(Some(value))?.trim();
    // Of a value that is refused nothing is read.
    kqlake_value::parse::datetime(value)?;
    let separator = value.chars().find(|character| !character.is_ascii_digit()).filter(|c| "/-.".contains(*c))?;
    let mut parts = value.splitn(3, separator);
    let (month, day, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let year = &rest[..rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len())];
    let (month, day): (u32, u32) = (month.parse().ok()?, day.parse().ok()?);
    let may_be_exchanged = (1..=12).contains(&month) && (1..=12).contains(&day) && month != day && year.len() == 4;
    if may_be_exchanged { Some((month, day, year.parse().ok()?)) } else { None }
}

/// `name=value` pairs of `--param`, the last one of a name counts.
///
/// # Errors
/// For a pair without `=` or without a name.
pub(super) fn params(pairs: &[String]) -> Result<BTreeMap<String, String>> {
    pairs
        .iter()
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
            _ => Err(Error::usage(format!("--param {pair}: NAME=VALUE was expected"))),
        })
        .collect()
}

/// `name=file` pairs of `--table`.
///
/// # Errors
/// For a pair without `=` or without a name, and for a name that is given twice.
pub(super) fn files(pairs: &[String]) -> Result<Vec<NamedFile>> {
    let mut files: Vec<NamedFile> = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let Some((name, path)) = pair.split_once('=').filter(|(name, path)| !name.trim().is_empty() && !path.is_empty()) else {
            return Err(Error::usage(format!("--table {pair}: NAME=FILE was expected")));
        };
        if files.iter().any(|file| file.name == name.trim()) {
            return Err(Error::usage(format!("--table {pair}: the name is given twice")));
        }
        files.push(NamedFile { name: name.trim().to_owned(), path: path.into() });
    }
    Ok(files)
}

/// Says which configured parameters no saved query has: each of them is misspelt, or for a query that is not there.
pub(super) fn warn_of_params(saved: &Collection, context: &Context) {
    // What a broken file declares is not known.
    if !saved.broken.is_empty() {
        return;
    }
    let known = || saved.queries.iter().flat_map(|query| &query.params).map(|param| param.name.as_str());
    for name in context.config.params.keys().filter(|name| !known().any(|known| known == name.as_str())) {
        let near = nearest(name, known()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        context.say(format_args!("warning: no saved query has the parameter `{name}` of [params]{near}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_are_pairs() {
        assert_eq!(params(&["a = b=c".to_owned()]).unwrap()["a"], " b=c");
        assert_eq!(params(&["a".to_owned()]).unwrap_err().status(), 2);
    }

    #[test]
    fn dates_whose_order_is_open_are_known() {
        for (value, expected) in [
            ("02/03/2026", Some((2, 3, 2026))),
            ("datetime(2/3/2026 10:00)", Some((2, 3, 2026))),
            ("12-01-2026", Some((12, 1, 2026))),
            ("02.03.2026", Some((2, 3, 2026))),
            ("03/03/2026", None),
            ("13/03/2026", None),
            ("02/03/2026 99:00", None),
            ("datetime(02/03/2026", None),
            ("datetime(02/03/2026 99:00)", None),
            ("2026-02-03", None),
            ("2026/02/03", None),
            ("7d", None),
            ("", None),
        ] {
            assert_eq!(month_and_day(value), expected, "{value}");
        }
    }

    #[test]
    fn only_declared_params_are_taken() {
        let given = params(&["day=1".to_owned()]).unwrap();
        assert!(check_declared("declare query_parameters(day: long, n: string = 'x');\nprint day", &given).is_ok());
        let err = check_declared("declare query_parameters(days: long);\nprint days", &given).unwrap_err();
        assert_eq!((err.status(), err.advice()), (2, Some("did you mean `days`?")));
        assert_eq!(check_declared("print 1", &given).unwrap_err().status(), 2);
    }

    #[test]
    fn a_text_without_an_end_is_refused() {
        let err = super::read("x".to_owned(), std::io::repeat(b' ')).unwrap_err();
        assert!(err.status() == 2 && err.to_string().contains("more than"), "{err}");
    }
}
