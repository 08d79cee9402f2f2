//! Strings within strings: places, parts between delimiters, replacement and comparison.
//!
//! Places count characters from 0. Texts are found as they are, with their case (Kusto documentation, "String functions").

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::Int64Array;
use memchr::memmem;

use super::strings::{byte_of, characters, text_rows};
use crate::functions::kernels::{TextArg, ValueArg, text_of_ref};
use crate::functions::{ArgInfo, ArgType, ColumnFn, Naming, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::format::write_json_string;
use kqlake_value::text_column::append;
use kqlake_value::{Type, ValueRef, json};

const STRING: Returns = Returns::Type(Type::String);
const LONG: Returns = Returns::Type(Type::Long);
const DYNAMIC: Returns = Returns::Type(Type::Dynamic);

/// The functions of this family.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "strcmp",
        &[Param::req("string1", ArgType::Any), Param::req("string2", ArgType::Any)],
        LONG,
        ScalarImpl::Kernel(strcmp),
        "-1, 0 or 1: the order of two texts by their characters.",
    ),
    ScalarFn::new(
        "indexof",
        &[
            Param::req("string", ArgType::Any),
            Param::req("match", ArgType::Any),
            Param::opt("start", ArgType::Integer),
            Param::opt("length", ArgType::Integer),
            Param::opt("occurrence", ArgType::Integer).constant(),
        ],
        LONG,
        ScalarImpl::Kernel(indexof),
        "The place of a text within another; -1 if it is not there, null if it is empty.",
    ),
    ScalarFn::new(
        "split",
        &[
            Param::req("source", ArgType::Any),
            Param::req("delimiter", ArgType::StringOrDynamic),
            Param::opt("requestedIndex", ArgType::Integer),
        ],
        DYNAMIC,
        ScalarImpl::Kernel(split),
        "The parts between a delimiter as an array, or one of them as an array of one.",
    )
    .naming(Naming::FirstArg),
    ScalarFn::new(
        "replace_string",
        &[Param::req("text", ArgType::String), Param::req("lookup", ArgType::String), Param::req("rewrite", ArgType::String)],
        STRING,
        ScalarImpl::Kernel(replace_string),
        "The text with every occurrence of another replaced.",
    ),
    ScalarFn::new(
        "replace_strings",
        &[Param::req("text", ArgType::String), Param::req("lookups", ArgType::Dynamic), Param::req("rewrites", ArgType::Dynamic)],
        STRING,
        ScalarImpl::Row(replace_strings),
        "The text with every occurrence of one of several texts replaced; an earlier lookup comes before a later one.",
    ),
    ScalarFn::new(
        "translate",
        &[
            Param::req("searchList", ArgType::String),
            Param::req("replacementList", ArgType::String),
            Param::req("source", ArgType::String),
        ],
        STRING,
        ScalarImpl::Kernel(translate),
        "The text with single characters replaced by others.",
    ),
    ScalarFn::new(
        "has_any_index",
        &[Param::req("source", ArgType::StringOrDynamic), Param::req("values", ArgType::Dynamic)],
        LONG,
        ScalarImpl::Kernel(has_any_index),
        "The place in an array of the first term that the text has; -1 if it has none.",
    ),
];

fn strcmp(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    let (a, b) = (TextArg::new(&args[0]), TextArg::new(&args[1]));
    Ok(Box::new(move |arrays, rows| {
        let (a, b) = (a.open(&arrays[0])?, b.open(&arrays[1])?);
        Ok(Arc::new((0..rows).map(|row| a.get(row).cmp(b.get(row)) as i64).collect::<Int64Array>()))
    }))
}

fn indexof(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    let (text, needle) = (TextArg::new(&args[0]), TextArg::new(&args[1]));
    let numbers: Vec<ValueArg> = args[2..].iter().map(ValueArg::new).collect();
    Ok(Box::new(move |arrays, rows| {
        let (texts, needles) = (text.open(&arrays[0])?, needle.open(&arrays[1])?);
        let numbers = numbers.iter().zip(&arrays[2..]).map(|(n, a)| n.open(a)).collect::<Result<Vec<_>, _>>()?;
        let number = |i: usize, row: usize, default: i64| numbers.get(i).map_or(Some(default), |n| n.get(row).as_i64());
        let finder = needle.constant().map(|n| memmem::Finder::new(n.as_bytes()));
        let find = |row: usize| {
            let needle = needles.get(row);
            if needle.is_empty() {
                return None;
            }
            let window = Window { start: number(0, row, 0)?, length: number(1, row, -1)?, occurrence: number(2, row, 1)? };
            let search = |text: &str| match &finder {
                Some(finder) => finder.find(text.as_bytes()).map(|at| (at, at + needle.len())),
                None => memmem::find(text.as_bytes(), needle.as_bytes()).map(|at| (at, at + needle.len())),
            };
            place(texts.get(row), window, true, search)
        };
        Ok(Arc::new((0..rows).map(find).collect::<Int64Array>()))
    }))
}

/// Where `indexof` and `indexof_regex` look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// The first character; from the end if negative.
    pub start: i64,
    /// The number of characters among which an occurrence may start; all of them if -1.
    pub length: i64,
    /// Which occurrence, from 1.
    pub occurrence: i64,
}

/// The character place of an occurrence: -1 if there is none, null if the window makes no sense. `search` gives the byte
/// range of the first occurrence in a text. Occurrences may share characters if they are said to overlap.
pub(super) fn place(
    text: &str,
    window: Window,
    overlapping: bool,
    search: impl Fn(&str) -> Option<(usize, usize)>,
) -> Option<i64> {
    if window.length < -1 || window.occurrence < 1 {
        return None;
    }
    let start = if window.start < 0 { window.start.saturating_add(characters(text) as i64).max(0) } else { window.start };
    let from = byte_of(text, usize::try_from(start).unwrap_or(usize::MAX));
    let rest = &text[from..];
    // An occurrence must start within the window; it may end behind it.
    let limit =
        if window.length < 0 { rest.len() + 1 } else { byte_of(rest, usize::try_from(window.length).unwrap_or(usize::MAX)) };
    let mut skipped = 0;
    let mut left = window.occurrence;
    loop {
        let Some((at, end)) = search(&rest[skipped..]).filter(|(at, _)| skipped + at < limit) else { return Some(-1) };
        left -= 1;
        if left == 0 {
            return Some((characters(&text[..from]) + characters(&rest[..skipped + at])) as i64);
        }
        // An empty occurrence must not be found again, nor an overlapping one missed: a character further on at least.
        let step = rest[skipped + at..].chars().next().map_or(1, char::len_utf8);
        skipped += if overlapping || end == at { at + step } else { end };
        if skipped > rest.len() {
            return Some(-1);
        }
    }
}

fn split(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    let (text, delimiter, index) = (TextArg::new(&args[0]), TextArg::new(&args[1]), args.get(2).map(ValueArg::new));
    Ok(Box::new(move |arrays, rows| {
        let (texts, delimiters) = (text.open(&arrays[0])?, delimiter.open(&arrays[1])?);
        let indexes = index.as_ref().map(|i| i.open(&arrays[2])).transpose()?;
        text_rows(rows, |row, out| {
            let (text, delimiter) = (texts.get(row), delimiters.get(row));
            let one = match &indexes {
                None => None,
                Some(i) => match i.get(row).as_i64().and_then(|i| usize::try_from(i).ok()) {
                    Some(place) => Some(place),
                    None => return false,
                },
            };
            let mut parts = TextParts { rest: Some(text), delimiter };
            if let Some(place) = one {
                let Some(found) = parts.nth(place) else { return false };
                out.push('[');
                write_json_string(out, found);
            } else {
                out.push('[');
                for (i, found) in parts.enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_json_string(out, found);
                }
            }
            out.push(']');
            true
        })
    }))
}

/// The parts of a text between a delimiter; an empty delimiter leaves the text whole.
struct TextParts<'a> {
    rest: Option<&'a str>,
    delimiter: &'a str,
}

impl<'a> Iterator for TextParts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest?;
        if !self.delimiter.is_empty()
            && let Some(at) = text.find(self.delimiter)
        {
            self.rest = Some(&text[at + self.delimiter.len()..]);
            return Some(&text[..at]);
        }
        self.rest = None;
        Some(text)
    }
}

fn replace_string(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    let (text, lookup, rewrite) = (TextArg::new(&args[0]), TextArg::new(&args[1]), TextArg::new(&args[2]));
    Ok(Box::new(move |arrays, rows| {
        let (texts, lookups, rewrites) = (text.open(&arrays[0])?, lookup.open(&arrays[1])?, rewrite.open(&arrays[2])?);
        text_rows(rows, |row, out| {
            let (text, lookup, rewrite) = (texts.get(row), lookups.get(row), rewrites.get(row));
            if lookup.is_empty() {
                out.push_str(text);
                return true;
            }
            let mut from = 0;
            for at in memmem::find_iter(text.as_bytes(), lookup.as_bytes()) {
                append(out, &text[from..at]);
                append(out, rewrite);
                from = at + lookup.len();
            }
            append(out, &text[from..]);
            true
        })
    }))
}

fn replace_strings(args: &[ValueRef<'_>]) -> kqlake_value::Value {
    use kqlake_value::Value;
    let [text, ValueRef::Dynamic(lookups), ValueRef::Dynamic(rewrites)] = args else {
        return Value::String(args.first().map(|t| text_of_ref(*t).into_owned()).unwrap_or_default());
    };
    let text = text_of_ref(*text);
    // What is no text takes its place, but is neither searched for nor inserted.
    let list = |text: &str| -> Vec<Option<String>> {
        let texts = |e: &str| e.starts_with('"').then(|| text_of_ref(ValueRef::Dynamic(e)).into_owned());
        json::elements(text).into_iter().flatten().map(texts).collect()
    };
    let (lookups, rewrites) = (list(lookups), list(rewrites));
    if lookups.len() != rewrites.len() {
        return Value::String(text.into_owned());
    }
    // All places of a lookup come before those of the next one, wherever they are; places do not overlap.
    let mut found: BTreeMap<usize, (usize, Option<&str>)> = BTreeMap::new();
    for (lookup, rewrite) in lookups.iter().zip(&rewrites) {
        let Some(lookup) = lookup.as_ref().filter(|l| !l.is_empty()) else { continue };
        let mut from = 0;
        while let Some(at) = memmem::find(&text.as_bytes()[from..], lookup.as_bytes()).map(|at| from + at) {
            let end = at + lookup.len();
            if found.range(..end).next_back().is_some_and(|(_, (taken, _))| *taken > at) {
                from = at + 1;
            } else {
                found.insert(at, (end, rewrite.as_deref()));
                from = end;
            }
        }
    }
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (at, (end, rewrite)) in found {
        append(&mut out, &text[from..at]);
        append(&mut out, rewrite.unwrap_or(&text[at..end]));
        from = end;
    }
    out.push_str(&text[from..]);
    Value::String(out)
}

fn translate(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    let (search, replacement, source) = (TextArg::new(&args[0]), TextArg::new(&args[1]), TextArg::new(&args[2]));
    Ok(Box::new(move |arrays, rows| {
        let (searches, replacements, sources) =
            (search.open(&arrays[0])?, replacement.open(&arrays[1])?, source.open(&arrays[2])?);
        text_rows(rows, |row, out| {
            let (search, replacement) = (searches.get(row), replacements.get(row));
            for c in sources.get(row).chars() {
                match search.chars().position(|s| s == c) {
                    None => out.push(c),
                    // A shorter replacement list continues with its last character; an empty one deletes.
                    Some(place) => out.extend(replacement.chars().nth(place).or_else(|| replacement.chars().next_back())),
                }
            }
            true
        })
    }))
}

fn has_any_index(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    use crate::functions::text::{Matcher, matcher};
    use kqlake_syntax::ast::TextOp;
    let (text, values) = (TextArg::new(&args[0]), ValueArg::new(&args[1]));
    let matchers = |list: &str| -> Vec<Matcher> {
        let terms = json::elements(list).into_iter().flatten();
        terms.map(|e| matcher(TextOp::Has, &[text_of_ref(ValueRef::Dynamic(e)).into_owned()], false)).collect()
    };
    let constant = match &args[1].constant {
        Some(value) => match value.as_ref(&mut String::new()) {
            ValueRef::Dynamic(list) => Some(matchers(list)),
            _ => Some(Vec::new()),
        },
        None => None,
    };
    Ok(Box::new(move |arrays, rows| {
        let texts = text.open(&arrays[0])?;
        let find =
            |matchers: &[Matcher], row: usize| matchers.iter().position(|m| m.is_match(texts.get(row))).map_or(-1, |i| i as i64);
        if let Some(matchers) = &constant {
            return Ok(Arc::new((0..rows).map(|row| find(matchers, row)).collect::<Int64Array>()));
        }
        let values = values.open(&arrays[1])?;
        let find = |row: usize| match values.get(row) {
            ValueRef::Dynamic(list) => find(&matchers(list), row),
            _ => -1,
        };
        Ok(Arc::new((0..rows).map(find).collect::<Int64Array>()))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::kernels::testing::{long, s, text};
    use kqlake_value::{Json, Value};

    #[test]
    fn places() {
        for (args, want) in [
            (vec![s("abcdefg"), s("cde")], Some(2)),
            (vec![s("abcdefg"), s("cde"), Value::Long(1), Value::Long(2)], Some(2)),
            (vec![s("abcdefg"), s("cde"), Value::Long(1), Value::Long(1)], Some(-1)),
            (vec![s("abcdefg"), s("cde"), Value::Long(3)], Some(-1)),
            (vec![s("abcdefg"), s("cde"), Value::Long(-5)], Some(2)),
            (vec![Value::Long(1_234_567), Value::Long(5), Value::Long(1), Value::Long(4)], Some(4)),
            (vec![s("abcdefgabcdefg"), s("cde"), Value::Long(1), Value::Long(10), Value::Long(2)], Some(9)),
            (vec![s("abcdefgabcdefg"), s("cde"), Value::Long(1), Value::Long(-1), Value::Long(3)], Some(-1)),
            (vec![s("\u{e9}\u{e9}x"), s("x")], Some(2)),
            (vec![s("abc"), s("")], None),
            (vec![s("a"), s("a"), Value::Long(0), Value::Long(-2)], None),
        ] {
            assert_eq!(long(indexof, &args), want, "{args:?}");
        }
    }

    #[test]
    fn taken_apart() {
        assert_eq!(text(split, &[s("a,,b"), s(",")]).unwrap(), r#"["a","","b"]"#);
        assert_eq!(text(split, &[s("a=b=c"), s("="), Value::Long(1)]).unwrap(), r#"["b"]"#);
        assert_eq!(text(split, &[s("a"), s("="), Value::Long(1)]), None);
        assert_eq!(text(split, &[s("ab"), s("")]).unwrap(), r#"["ab"]"#);
        assert_eq!(text(split, &[s(""), s(",")]).unwrap(), r#"[""]"#);
    }

    #[test]
    fn rewritten() {
        assert_eq!(text(replace_string, &[s("aXbXX"), s("X"), s("--")]).unwrap(), "a--b----");
        assert_eq!(text(replace_string, &[s("abc"), s(""), s("_")]).unwrap(), "abc");
        assert_eq!(text(translate, &[s("abc"), s("x"), s("aabbcd")]).unwrap(), "xxxxxd");
        assert_eq!(long(strcmp, &[s("B"), s("a")]), Some(-1));
        assert_eq!(
            long(has_any_index, &[s("this is an example"), Value::Dynamic(serde_json::json!(["not", "example"]))]),
            Some(1)
        );
        assert_eq!(long(has_any_index, &[s("Example number 2"), Value::Dynamic(serde_json::json!([1, 2, 3]))]), Some(1));
        let list = |items: &[&str]| serde_json::json!(items).to_string();
        let replaced = replace_strings(&[
            ValueRef::String("cat dog"),
            ValueRef::Dynamic(&list(&["cat", "dog"])),
            ValueRef::Dynamic(&list(&["dog", "cat"])),
        ]);
        assert_eq!(replaced, s("dog cat"));
        let replaced = |lookups: Json, rewrites: Json| {
            let (lookups, rewrites) = (lookups.to_string(), rewrites.to_string());
            let text = ValueRef::String("Then the other");
            replace_strings(&[text, ValueRef::Dynamic(&lookups), ValueRef::Dynamic(&rewrites)])
        };
        assert_eq!(replaced(serde_json::json!(["he", "the"]), serde_json::json!(["--", "x"])), s("T--n t-- ot--r"));
        assert_eq!(replaced(serde_json::json!(["the", "he", 1]), serde_json::json!([7, "-", "x"])), s("T-n the other"));
    }
}
