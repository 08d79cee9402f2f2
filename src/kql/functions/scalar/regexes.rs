//! Functions with regular expressions: `extract`, `replace_regex`, `trim`, `countof` and their kin.
//!
//! Kusto's regular expressions are those of the `regex` crate (Kusto documentation, "Regex syntax"): no look-around and no
//! back-references in patterns, classes are Unicode-aware, `$` is the end of the text. A pattern is a constant (that of
//! `countof` need not be) and compiled once a query; one that cannot be compiled refuses the query. A rewrite refers to groups
//! as `\1`.

use std::sync::Arc;

use arrow::array::Int64Array;
use memchr::memmem;
use regex::{Captures, Regex};

use super::conversion::convert;
use super::substrings::{Window, place};
use crate::functions::kernels::{TextArg, ValueArg, text_of, text_of_ref};
use crate::functions::regex_syntax::compile;
use crate::functions::{ArgInfo, ArgType, ColumnFn, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::columns::ColumnBuilder;
use kqlake_value::format::{json_text, write_json_string};
use kqlake_value::text_column::{TextBuilder, append};
use kqlake_value::{Type, Value, ValueRef, json};

const STRING: Returns = Returns::Type(Type::String);
const LONG: Returns = Returns::Type(Type::Long);

const EXTRACT_ALL: &[Param] = &[
    Param::req("regex", ArgType::String).constant(),
    Param::req("source", ArgType::Any),
    Param::opt("source2", ArgType::String),
];
const TRIM: &[Param] = &[Param::req("regex", ArgType::String).constant(), Param::req("source", ArgType::String)];

/// The functions of this family.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "extract",
        &[
            Param::req("regex", ArgType::String).constant(),
            Param::req("captureGroup", ArgType::Integer),
            Param::req("source", ArgType::String),
            Param::opt("typeLiteral", ArgType::TypeLiteral),
        ],
        Returns::With(|args| typed(args, 3)),
        ScalarImpl::Kernel(extract),
        "What a capture group of a pattern matched (group 0: all of it), as text or converted to a type.",
    ),
    ScalarFn::new(
        "extract_all",
        EXTRACT_ALL,
        Returns::With(|args| match args {
            [_, source] if source.ty != Type::String => Err("a string is searched".into()),
            [_, groups, _] if groups.ty != Type::Dynamic => Err("the capture groups are given as a dynamic array".into()),
            _ => Ok(Type::Dynamic),
        }),
        ScalarImpl::Kernel(extract_all),
        "What the capture groups of a pattern matched at every place where it matches; null where it does not.",
    )
    .aliases(&["extractall"]),
    ScalarFn::new(
        "replace_regex",
        &[
            Param::req("source", ArgType::String),
            Param::req("lookup_regex", ArgType::String).constant(),
            Param::req("rewrite_pattern", ArgType::String).constant(),
        ],
        STRING,
        ScalarImpl::Kernel(|args, _| replace(&args[1], &args[2], &args[0], 0)),
        "The text with every match of a pattern replaced; `\\1` stands for a group.",
    ),
    ScalarFn::new(
        "replace",
        &[
            Param::req("regex", ArgType::String).constant(),
            Param::req("rewrite", ArgType::String).constant(),
            Param::req("source", ArgType::String),
        ],
        STRING,
        ScalarImpl::Kernel(|args, _| replace(&args[0], &args[1], &args[2], 2)),
        "The older name of replace_regex(), with the text last.",
    ),
    ScalarFn::new(
        "trim",
        TRIM,
        STRING,
        ScalarImpl::Kernel(|args, _| trim(args, true, true)),
        "The text without a match of a pattern at its start and one at its end.",
    ),
    ScalarFn::new(
        "trim_start",
        TRIM,
        STRING,
        ScalarImpl::Kernel(|args, _| trim(args, true, false)),
        "The text without a match of a pattern at its start.",
    ),
    ScalarFn::new(
        "trim_end",
        TRIM,
        STRING,
        ScalarImpl::Kernel(|args, _| trim(args, false, true)),
        "The text without a match of a pattern at its end.",
    ),
    ScalarFn::new(
        "countof",
        &[
            Param::req("source", ArgType::String),
            Param::req("search", ArgType::String),
            Param::opt("kind", ArgType::String).constant(),
        ],
        LONG,
        ScalarImpl::Kernel(count_of),
        "How often a text occurs (overlapping), or a pattern matches (not overlapping).",
    ),
    ScalarFn::new(
        "indexof_regex",
        &[
            Param::req("string", ArgType::Any),
            Param::req("match", ArgType::String).constant(),
            Param::opt("start", ArgType::Integer),
            Param::opt("length", ArgType::Integer),
            Param::opt("occurrence", ArgType::Integer),
        ],
        LONG,
        ScalarImpl::Kernel(indexof_regex),
        "The place of a pattern's match; -1 if there is none.",
    ),
    ScalarFn::new(
        "regex_quote",
        &[Param::req("string", ArgType::Any)],
        STRING,
        ScalarImpl::Row(regex_quote),
        "The text as a pattern that matches just it.",
    ),
];

/// A constant argument's text.
fn constant_text(arg: &ArgInfo) -> Result<String, String> {
    arg.constant.as_ref().map(text_of).ok_or_else(|| "the pattern must be a constant".into())
}

/// The type that an optional `typeof()` argument asks for.
pub(super) fn typed(args: &[ArgInfo], place: usize) -> Result<Type, String> {
    match args.get(place).map(|a| &a.constant) {
        None => Ok(Type::String),
        Some(Some(Value::String(name))) => Type::parse(name).ok_or_else(|| format!("there is no type {name}")),
        Some(_) => Err("a type is written as typeof(type)".into()),
    }
}

fn extract(args: &[ArgInfo], returns: Type) -> Result<ColumnFn, String> {
    let regex = compile(&constant_text(&args[0])?)?;
    let (group, source) = (ValueArg::new(&args[1]), TextArg::new(&args[2]));
    Ok(Box::new(move |arrays, rows| {
        let (groups, sources) = (group.open(&arrays[1])?, source.open(&arrays[2])?);
        let mut locations = regex.capture_locations();
        let mut find = |row: usize| {
            let text = sources.get(row);
            let group = groups.get(row).as_i64().and_then(|g| usize::try_from(g).ok())?;
            let (start, end) = if group == 0 {
                let found = regex.find(text)?;
                (found.start(), found.end())
            } else {
                regex.captures_read(&mut locations, text)?;
                locations.get(group)?
            };
            Some(&text[start..end])
        };
        if returns == Type::String {
            let mut out = TextBuilder::new(rows);
            (0..rows).for_each(|row| out.push(find(row).unwrap_or("")));
            return out.finish();
        }
        let mut out = ColumnBuilder::new(returns, rows);
        for row in 0..rows {
            out.push(&find(row).map_or(Value::Null, |text| convert(ValueRef::String(text), returns)));
        }
        out.finish()
    }))
}

/// The places of the groups that an array names by number or name; all of them without an array.
fn capture_groups(regex: &Regex, list: Option<&str>) -> Result<Vec<usize>, String> {
    let Some(list) = list else { return Ok((1..regex.captures_len()).collect()) };
    let elements = json::elements(list).ok_or("the capture groups are given as a dynamic array")?;
    elements
        .map(|element| {
            let name = json::unquote(element);
            match name.parse::<usize>() {
                Ok(number) if (1..regex.captures_len()).contains(&number) => Ok(number),
                Ok(number) => Err(format!("the pattern has no capture group {number}")),
                Err(_) => regex
                    .capture_names()
                    .position(|n| n == Some(&name))
                    .ok_or_else(|| format!("the pattern has no capture group '{name}'")),
            }
        })
        .collect()
}

fn extract_all(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    let regex = compile(&constant_text(&args[0])?)?;
    if regex.captures_len() < 2 {
        return Err("the pattern of extract_all() needs at least one capture group".into());
    }
    let (list, at) = match args {
        [_, source] => (None, (TextArg::new(source), 1)),
        [_, groups, source] => (Some(groups), (TextArg::new(source), 2)),
        _ => return Err("extract_all() takes two or three arguments".into()),
    };
    let constant = match list {
        None => Some(capture_groups(&regex, None)?),
        Some(ArgInfo { constant: Some(value), .. }) => Some(capture_groups(&regex, Some(&json_of(value)))?),
        Some(_) => None,
    };
    let varying = list.map(ValueArg::new);
    let (source, place) = at;
    Ok(Box::new(move |arrays, rows| {
        let sources = source.open(&arrays[place])?;
        let lists = varying.as_ref().map(|l| l.open(&arrays[1])).transpose()?;
        let mut out = TextBuilder::new(rows);
        let mut buffer = String::new();
        for row in 0..rows {
            let groups = match (&constant, &lists) {
                (Some(groups), _) => std::borrow::Cow::Borrowed(groups),
                (None, Some(lists)) => match lists.get(row) {
                    ValueRef::Dynamic(text) => std::borrow::Cow::Owned(capture_groups(&regex, Some(text))?),
                    _ => std::borrow::Cow::Owned(capture_groups(&regex, None)?),
                },
                (None, None) => return Err("the capture groups are missing".into()),
            };
            buffer.clear();
            for found in regex.captures_iter(sources.get(row)) {
                buffer.push(if buffer.is_empty() { '[' } else { ',' });
                write_groups(&mut buffer, &found, &groups);
            }
            if buffer.is_empty() {
                out.push_null();
            } else {
                buffer.push(']');
                out.push(&buffer);
            }
        }
        out.finish()
    }))
}

/// One group as a text, several as an array.
fn write_groups(out: &mut String, found: &Captures<'_>, groups: &[usize]) {
    let text = |group: &usize| found.get(*group).map_or("", |m| m.as_str());
    if let [group] = groups {
        return write_json_string(out, text(group));
    }
    out.push('[');
    for (i, group) in groups.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_json_string(out, text(group));
    }
    out.push(']');
}

fn json_of(value: &Value) -> String {
    match value {
        Value::Dynamic(json) => json_text(json),
        other => text_of(other),
    }
}

/// A piece of a rewrite: text, or a group's match.
#[derive(Debug, Clone, PartialEq)]
enum RewritePiece {
    Text(String),
    Group(usize),
}

/// Reads `\0` to `\9` as groups and `\\` as a backslash; any other backslash stands for itself.
fn rewrite_pieces(rewrite: &str) -> Vec<RewritePiece> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut chars = rewrite.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(digit)) if digit.is_ascii_digit() => {
                let group = digit.to_digit(10).unwrap_or(0) as usize;
                chars.next();
                if !text.is_empty() {
                    pieces.push(RewritePiece::Text(std::mem::take(&mut text)));
                }
                pieces.push(RewritePiece::Group(group));
            }
            ('\\', Some('\\')) => {
                chars.next();
                text.push('\\');
            }
            _ => text.push(c),
        }
    }
    if !text.is_empty() {
        pieces.push(RewritePiece::Text(text));
    }
    pieces
}

/// `at` is the place of the source among the arguments.
fn replace(pattern: &ArgInfo, rewrite: &ArgInfo, source: &ArgInfo, at: usize) -> Result<ColumnFn, String> {
    let regex = compile(&constant_text(pattern)?)?;
    let pieces = rewrite_pieces(&constant_text(rewrite)?);
    if let Some(RewritePiece::Group(group)) =
        pieces.iter().find(|p| matches!(p, RewritePiece::Group(g) if *g >= regex.captures_len()))
    {
        return Err(format!("the rewrite refers to group {group}, and the pattern has {}", regex.captures_len() - 1));
    }
    let plain = !pieces.iter().any(|p| matches!(p, RewritePiece::Group(_)));
    let source = TextArg::new(source);
    Ok(Box::new(move |arrays, rows| {
        let sources = source.open(&arrays[at])?;
        let mut out = TextBuilder::new(rows);
        let mut buffer = String::new();
        let mut locations = regex.capture_locations();
        for row in 0..rows {
            let text = sources.get(row);
            buffer.clear();
            let (mut copied, mut from, mut last_end) = (0, 0, None);
            while from <= text.len() {
                let found = if plain { regex.find_at(text, from) } else { regex.captures_read_at(&mut locations, text, from) };
                let Some(found) = found else { break };
                let next_char = || text[found.end()..].chars().next().map_or(1, char::len_utf8);
                if found.is_empty() && last_end == Some(found.end()) {
                    // An empty match right behind another match is none.
                    from = found.end() + next_char();
                    continue;
                }
                append(&mut buffer, &text[copied..found.start()]);
                for piece in &pieces {
                    match piece {
                        RewritePiece::Text(text) => append(&mut buffer, text),
                        RewritePiece::Group(0) => append(&mut buffer, found.as_str()),
                        RewritePiece::Group(g) => {
                            if let Some((start, end)) = locations.get(*g) {
                                append(&mut buffer, &text[start..end]);
                            }
                        }
                    }
                }
                copied = found.end();
                last_end = Some(copied);
                // Behind an empty match the search continues with the next character.
                from = if found.is_empty() { copied + next_char() } else { copied };
            }
            if copied == 0 && buffer.is_empty() {
                out.push(text);
            } else {
                append(&mut buffer, &text[copied..]);
                out.push(&buffer);
            }
        }
        out.finish()
    }))
}

fn trim(args: &[ArgInfo], start: bool, end: bool) -> Result<ColumnFn, String> {
    let pattern = constant_text(&args[0])?;
    // The pattern alone is compiled first, so that a message about it does not show what is put around it.
    compile(&pattern)?;
    let at_start = start.then(|| compile(&format!(r"\A(?:{pattern})"))).transpose()?;
    let at_end = end.then(|| compile(&format!(r"(?:{pattern})\z"))).transpose()?;
    let source = TextArg::new(&args[1]);
    Ok(Box::new(move |arrays, rows| {
        let sources = source.open(&arrays[1])?;
        let mut out = TextBuilder::new(rows);
        for row in 0..rows {
            let mut text = sources.get(row);
            if let Some(found) = at_start.as_ref().and_then(|re| re.find(text)) {
                text = &text[found.end()..];
            }
            if let Some(found) = at_end.as_ref().and_then(|re| re.find(text)) {
                text = &text[..found.start()];
            }
            out.push(text);
        }
        out.finish()
    }))
}

fn count_of(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    let (source, search) = (TextArg::new(&args[0]), TextArg::new(&args[1]));
    let by_regex = match args.get(2) {
        None => false,
        Some(kind) => match constant_text(kind)?.as_str() {
            "normal" => false,
            "regex" => true,
            other => return Err(format!("countof() counts by 'normal' or 'regex', not by '{other}'")),
        },
    };
    if by_regex {
        let constant = search.constant().map(compile).transpose()?;
        return Ok(Box::new(move |arrays, rows| {
            let sources = source.open(&arrays[0])?;
            let count = |regex: &Regex, row: usize| regex.find_iter(sources.get(row)).count() as i64;
            if let Some(regex) = &constant {
                return Ok(Arc::new((0..rows).map(|row| count(regex, row)).collect::<Int64Array>()));
            }
            let searches = search.open(&arrays[1])?;
            // Rows that follow each other often share their pattern.
            let mut last: Option<(&str, Regex)> = None;
            let mut out = Vec::with_capacity(rows);
            for row in 0..rows {
                let pattern = searches.get(row);
                let regex = match last.take() {
                    Some((known, regex)) if known == pattern => regex,
                    _ => compile(pattern)?,
                };
                out.push(count(&regex, row));
                last = Some((pattern, regex));
            }
            Ok(Arc::new(Int64Array::from(out)))
        }));
    }
    Ok(Box::new(move |arrays, rows| {
        let (sources, searches) = (source.open(&arrays[0])?, search.open(&arrays[1])?);
        let constant = search.constant().map(|s| memmem::Finder::new(s.as_bytes()));
        let count = |row: usize| {
            let (text, needle) = (sources.get(row).as_bytes(), searches.get(row));
            if needle.is_empty() {
                return 0;
            }
            let find = |from: usize| match &constant {
                Some(finder) => finder.find(&text[from..]),
                None => memmem::find(&text[from..], needle.as_bytes()),
            };
            let (mut from, mut count) = (0, 0);
            while let Some(at) = find(from) {
                count += 1;
                from += at + 1;
            }
            count
        };
        Ok(Arc::new((0..rows).map(count).collect::<Int64Array>()))
    }))
}

fn indexof_regex(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    let regex = compile(&constant_text(&args[1])?)?;
    let source = TextArg::new(&args[0]);
    let numbers: Vec<ValueArg> = args[2..].iter().map(ValueArg::new).collect();
    Ok(Box::new(move |arrays, rows| {
        let sources = source.open(&arrays[0])?;
        let numbers = numbers.iter().zip(&arrays[2..]).map(|(n, a)| n.open(a)).collect::<Result<Vec<_>, _>>()?;
        let number = |i: usize, row: usize, default: i64| numbers.get(i).map_or(Some(default), |n| n.get(row).as_i64());
        let find = |row: usize| {
            let window = Window { start: number(0, row, 0)?, length: number(1, row, -1)?, occurrence: number(2, row, 1)? };
            // Unlike indexof's, a start before the text has no meaning ("indexof_regex()": null).
            if window.start < 0 {
                return None;
            }
            place(sources.get(row), window, false, |text| regex.find(text).map(|m| (m.start(), m.end())))
        };
        Ok(Arc::new((0..rows).map(find).collect::<Int64Array>()))
    }))
}

fn regex_quote(args: &[ValueRef<'_>]) -> Value {
    Value::String(args.first().map(|text| regex::escape(&text_of_ref(*text))).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, AsArray, StringArray};
    use arrow::datatypes::{Int32Type, Int64Type};

    /// A call: `None` is the column of sources.
    fn run(
        kernel: impl Fn(&[ArgInfo]) -> Result<ColumnFn, String>,
        args: &[Option<Value>],
        rows: &[&str],
    ) -> Result<ArrayRef, String> {
        let column: ArrayRef = Arc::new(StringArray::from_iter_values(rows));
        let infos: Vec<ArgInfo> = args
            .iter()
            .map(|a| ArgInfo { ty: a.as_ref().and_then(Value::ty).unwrap_or(Type::String), constant: a.clone() })
            .collect();
        let arrays: Vec<ArrayRef> = args.iter().map(|_| column.clone()).collect();
        kernel(&infos)?(&arrays, rows.len())
    }

    fn texts(array: ArrayRef) -> Vec<Option<String>> {
        array.as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect()
    }

    fn some(texts: &[&str]) -> Vec<Option<String>> {
        texts.iter().map(|t| Some((*t).to_owned())).collect()
    }

    fn s(text: &str) -> Option<Value> {
        Some(Value::String(text.into()))
    }

    #[test]
    fn groups_are_taken_out() {
        let group = |n| Some(Value::Long(n));
        let rows = ["42-and-7", "none"];
        let kernel = |ty| move |a: &[ArgInfo]| extract(a, ty);
        assert_eq!(texts(run(kernel(Type::String), &[s(r"(\d+)"), group(0), None], &rows).unwrap()), some(&["42", ""]));
        assert_eq!(texts(run(kernel(Type::String), &[s(r"(\d+)-and-(\d+)"), group(2), None], &rows).unwrap()), some(&["7", ""]));
        assert_eq!(texts(run(kernel(Type::String), &[s(r"(\d+)"), group(9), None], &rows).unwrap()), some(&["", ""]));
        let typed = run(kernel(Type::Int), &[s(r"(\d+)"), group(1), None, s("int")], &rows).unwrap();
        assert_eq!(typed.as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(42), None]);
        assert!(run(kernel(Type::String), &[s("(a"), group(1), None], &rows).unwrap_err().contains("unclosed group"));
    }

    #[test]
    fn all_matches() {
        let all = |a: &[ArgInfo]| extract_all(a, Type::Dynamic);
        let rows = ["a1b", "x"];
        assert_eq!(
            texts(run(all, &[s(r"([a-z])(\d)?"), None], &rows).unwrap()),
            some(&[r#"[["a","1"],["b",""]]"#, r#"[["x",""]]"#])
        );
        assert_eq!(texts(run(all, &[s(r"(\d)"), None], &rows).unwrap()), [Some(r#"["1"]"#.to_owned()), None]);
        let named = Some(Value::Dynamic(serde_json::json!(["d", 1])));
        assert_eq!(texts(run(all, &[s(r"([a-z])(?P<d>\d)"), named, None], &["a1"]).unwrap()), some(&[r#"[["1","a"]]"#]));
        assert!(run(all, &[s("a"), None], &rows).is_err());
    }

    #[test]
    fn rewriting_and_trimming() {
        let re = |a: &[ArgInfo]| replace(&a[1], &a[2], &a[0], 0);
        assert_eq!(texts(run(re, &[None, s(r"(\w)(\w)"), s(r"\2\1")], &["one two", ""]).unwrap()), some(&["noe wto", ""]));
        assert_eq!(texts(run(re, &[None, s("x*"), s("-")], &["a\u{e9}x"]).unwrap()), some(&["-a-\u{e9}-"]));
        assert_eq!(texts(run(re, &[None, s("a"), s("$0")], &["aa"]).unwrap()), some(&["$0$0"]));
        assert!(run(re, &[None, s("a"), s(r"\1")], &["aa"]).is_err());
        let both = |a: &[ArgInfo]| trim(a, true, true);
        assert_eq!(texts(run(both, &[s("x"), None], &["xxabcxx", "xxx", ""]).unwrap()), some(&["xabcx", "x", ""]));
        assert_eq!(texts(run(|a| trim(a, false, true), &[s(" +|a"), None], &["a  ", "ba"]).unwrap()), some(&["a", "b"]));
    }

    #[test]
    fn counts() {
        let count = |a: &[ArgInfo]| count_of(a, Type::Long);
        let longs = |array: ArrayRef| array.as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(longs(run(count, &[None, s("aa")], &["aaaa", "b", ""]).unwrap()), [3, 0, 0]);
        assert_eq!(longs(run(count, &[None, s("aa"), s("regex")], &["aaaa", "b", ""]).unwrap()), [2, 0, 0]);
        assert_eq!(
            longs(run(|a| indexof_regex(a, Type::Long), &[None, s("[b-d]"), Some(Value::Long(2))], &["abcd", "ab"]).unwrap()),
            [2, -1]
        );
        let second = [None, s("o.o"), Some(Value::Long(0)), Some(Value::Long(-1)), Some(Value::Long(2))];
        assert_eq!(longs(run(|a| indexof_regex(a, Type::Long), &second, &["ohoho", "oho oho"]).unwrap()), [-1, 4]);
        let before = [None, s("o"), Some(Value::Long(-1))];
        assert_eq!(run(|a| indexof_regex(a, Type::Long), &before, &["oo"]).unwrap().null_count(), 1);
        assert!(run(count, &[None, s("a"), s("foo")], &["a"]).is_err());
    }
}
