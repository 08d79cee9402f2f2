//! Strings: length, parts, joining and case.
//!
//! Characters are Unicode code points, places count from 0. Most of these functions take a value of any type and use its
//! `tostring` text (Kusto documentation, "String functions").

use std::sync::Arc;

use arrow::array::{BooleanArray, Int64Array};

use crate::functions::kernels::{TextArg, ValueArg};
use crate::functions::{ArgInfo, ArgType, ColumnFn, Meaning, Naming, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::text_column::{TextBuilder, append, within_budget};
use kqlake_value::{Type, ValueRef, json};

const STRING: Returns = Returns::Type(Type::String);
const LONG: Returns = Returns::Type(Type::Long);

/// The functions of this family.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "strlen",
        &[Param::req("source", ArgType::StringOrDynamic)],
        LONG,
        ScalarImpl::Kernel(strlen),
        "The number of characters.",
    )
    .naming(Naming::Prefix("strlen_")),
    ScalarFn::new(
        "string_size",
        &[Param::req("source", ArgType::StringOrDynamic)],
        LONG,
        ScalarImpl::Kernel(string_size),
        "The number of bytes in UTF-8.",
    )
    .naming(Naming::Prefix("string_size_")),
    ScalarFn::new(
        "substring",
        &[
            Param::req("source", ArgType::Any),
            Param::req("startingIndex", ArgType::Integer),
            Param::opt("length", ArgType::Integer),
        ],
        STRING,
        ScalarImpl::Kernel(substring),
        "A part of the text; a negative start counts from the end.",
    ),
    ScalarFn::new(
        "toupper",
        &[Param::req("value", ArgType::Any)],
        STRING,
        ScalarImpl::Kernel(to_upper),
        "The text in upper case.",
    ),
    ScalarFn::new(
        "tolower",
        &[Param::req("value", ArgType::Any)],
        STRING,
        ScalarImpl::Kernel(to_lower),
        "The text in lower case.",
    ),
    ScalarFn::new(
        "reverse",
        &[Param::req("value", ArgType::Any)],
        STRING,
        ScalarImpl::Kernel(reverse),
        "The text with its characters in reverse order.",
    ),
    ScalarFn::new(
        "strcat",
        &[Param::req("argument", ArgType::Any)],
        STRING,
        ScalarImpl::Kernel(strcat),
        "The texts of all arguments, one behind the other.",
    )
    .variadic(),
    ScalarFn::new(
        "strcat_delim",
        &[Param::req("delimiter", ArgType::Any), Param::req("argument1", ArgType::Any), Param::req("argument", ArgType::Any)],
        STRING,
        ScalarImpl::Kernel(strcat_delim),
        "The texts of all arguments with a delimiter between them.",
    )
    .variadic(),
    ScalarFn::new(
        "strcat_array",
        &[Param::req("array", ArgType::Dynamic), Param::req("delimiter", ArgType::Any)],
        STRING,
        ScalarImpl::Kernel(strcat_array),
        "The texts of an array's elements with a delimiter between them.",
    )
    .aliases(&["array_strcat"]),
    ScalarFn::new(
        "strrep",
        &[Param::req("value", ArgType::Any), Param::req("multiplier", ArgType::Integer), Param::opt("delimiter", ArgType::Any)],
        STRING,
        ScalarImpl::Kernel(strrep),
        "The text repeated, at most 1,024 times.",
    ),
    ScalarFn::new(
        "isempty",
        &[Param::req("value", ArgType::Any)],
        Returns::Type(Type::Bool),
        ScalarImpl::Kernel(is_empty),
        "Whether the value is null or the empty text.",
    )
    .meaning(Meaning::Empty(true)),
    ScalarFn::new(
        "isnotempty",
        &[Param::req("value", ArgType::Any)],
        Returns::Type(Type::Bool),
        ScalarImpl::Kernel(is_not_empty),
        "Whether the value is neither null nor the empty text.",
    )
    .meaning(Meaning::Empty(false))
    .aliases(&["notempty"]),
];

/// A function of texts and a row's index that appends to the result; false makes the row null.
pub(super) fn text_rows(rows: usize, mut row: impl FnMut(usize, &mut String) -> bool) -> Result<arrow::array::ArrayRef, String> {
    let mut out = TextBuilder::new(rows);
    let mut buffer = String::new();
    for i in 0..rows {
        buffer.clear();
        if row(i, &mut buffer) {
            out.push(&buffer);
        } else {
            out.push_null();
        }
    }
    out.finish()
}

fn strlen(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    long_of_text(&args[0], |text| if text.is_ascii() { text.len() } else { text.chars().count() } as i64)
}

fn string_size(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    long_of_text(&args[0], |text| text.len() as i64)
}

fn long_of_text(arg: &ArgInfo, f: fn(&str) -> i64) -> Result<ColumnFn, String> {
    let text = TextArg::new(arg);
    Ok(Box::new(move |arrays, rows| {
        let texts = text.open(&arrays[0])?;
        Ok(Arc::new((0..rows).map(|row| f(texts.get(row))).collect::<Int64Array>()))
    }))
}

/// The byte place of a character, or the text's end.
pub(super) fn byte_of(text: &str, character: usize) -> usize {
    if text.is_ascii() {
        return character.min(text.len());
    }
    text.char_indices().nth(character).map_or(text.len(), |(at, _)| at)
}

/// The number of characters.
pub(super) fn characters(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

fn substring(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    let (text, start, length) = (TextArg::new(&args[0]), ValueArg::new(&args[1]), args.get(2).map(ValueArg::new));
    Ok(Box::new(move |arrays, rows| {
        let (texts, starts) = (text.open(&arrays[0])?, start.open(&arrays[1])?);
        let lengths = length.as_ref().map(|l| l.open(&arrays[2])).transpose()?;
        let mut out = TextBuilder::new(rows);
        for row in 0..rows {
            let length = lengths.as_ref().map_or(Some(i64::MAX), |l| l.get(row).as_i64());
            out.push(match (starts.get(row).as_i64(), length) {
                (Some(start), Some(length)) => part(texts.get(row), start, length),
                _ => "",
            });
        }
        out.finish()
    }))
}

/// `length` characters from `start`. A negative start counts from the end; one that is before the text leaves nothing.
fn part(text: &str, start: i64, length: i64) -> &str {
    let start = if start < 0 { start.saturating_add(characters(text) as i64) } else { start };
    let (Ok(start), Ok(length)) = (usize::try_from(start), usize::try_from(length)) else { return "" };
    let rest = &text[byte_of(text, start)..];
    &rest[..byte_of(rest, length)]
}

fn to_upper(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    mapped(&args[0], |text, out| {
        if text.is_ascii() {
            out.push_str(text);
            out.make_ascii_uppercase();
        } else {
            out.extend(text.chars().map(|c| single(c.to_uppercase(), c)));
        }
    })
}

fn to_lower(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    mapped(&args[0], |text, out| {
        if text.is_ascii() {
            out.push_str(text);
            out.make_ascii_lowercase();
        } else {
            out.extend(text.chars().map(|c| single(c.to_lowercase(), c)));
        }
    })
}

/// The other case where it is one character; the character itself where it is not (`ß`).
fn single(mut mapped: impl Iterator<Item = char>, c: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn reverse(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    mapped(&args[0], |text, out| out.extend(text.chars().rev()))
}

/// One text to another.
fn mapped(arg: &ArgInfo, f: fn(&str, &mut String)) -> Result<ColumnFn, String> {
    let text = TextArg::new(arg);
    Ok(Box::new(move |arrays, rows| {
        let texts = text.open(&arrays[0])?;
        text_rows(rows, |row, out| {
            f(texts.get(row), out);
            true
        })
    }))
}

fn strcat(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    let texts: Vec<TextArg> = args.iter().map(TextArg::new).collect();
    Ok(Box::new(move |arrays, rows| {
        let open = texts.iter().zip(arrays).map(|(t, a)| t.open(a)).collect::<Result<Vec<_>, _>>()?;
        text_rows(rows, |row, out| {
            open.iter().for_each(|t| append(out, t.get(row)));
            true
        })
    }))
}

fn strcat_delim(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    let texts: Vec<TextArg> = args.iter().map(TextArg::new).collect();
    Ok(Box::new(move |arrays, rows| {
        let open = texts.iter().zip(arrays).map(|(t, a)| t.open(a)).collect::<Result<Vec<_>, _>>()?;
        let (delimiter, parts) = open.split_first().ok_or("a delimiter is needed")?;
        text_rows(rows, |row, out| {
            for (i, text) in parts.iter().enumerate() {
                if i > 0 {
                    append(out, delimiter.get(row));
                }
                append(out, text.get(row));
            }
            true
        })
    }))
}

fn strcat_array(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    let (array, delimiter) = (ValueArg::new(&args[0]), TextArg::new(&args[1]));
    Ok(Box::new(move |arrays, rows| {
        let (values, delimiters) = (array.open(&arrays[0])?, delimiter.open(&arrays[1])?);
        text_rows(rows, |row, out| {
            let ValueRef::Dynamic(text) = values.get(row) else { return true };
            for (i, element) in json::elements(text).into_iter().flatten().enumerate() {
                if i > 0 {
                    append(out, delimiters.get(row));
                }
                if within_budget(out.len().saturating_add(element.len())) {
                    kqlake_value::json::display::push_display(out, element);
                }
            }
            true
        })
    }))
}

fn strrep(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    /// The documented limit.
    const MOST: i64 = 1024;
    let (text, times, delimiter) = (TextArg::new(&args[0]), ValueArg::new(&args[1]), args.get(2).map(TextArg::new));
    Ok(Box::new(move |arrays, rows| {
        let (texts, times) = (text.open(&arrays[0])?, times.open(&arrays[1])?);
        let delimiters = delimiter.as_ref().map(|d| d.open(&arrays[2])).transpose()?;
        text_rows(rows, |row, out| {
            for i in 0..times.get(row).as_i64().unwrap_or(0).min(MOST) {
                if let (true, Some(d)) = (i > 0, &delimiters) {
                    append(out, d.get(row));
                }
                append(out, texts.get(row));
            }
            true
        })
    }))
}

fn is_empty(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    emptiness(&args[0], true)
}

fn is_not_empty(args: &[ArgInfo], _: Type) -> Result<ColumnFn, String> {
    emptiness(&args[0], false)
}

fn emptiness(arg: &ArgInfo, wanted: bool) -> Result<ColumnFn, String> {
    let value = ValueArg::new(arg);
    Ok(Box::new(move |arrays, rows| {
        let values = value.open(&arrays[0])?;
        let empty = |row: usize| matches!(values.get(row), ValueRef::Null | ValueRef::String("") | ValueRef::Dynamic("\"\""));
        Ok(Arc::new((0..rows).map(|row| Some(empty(row) == wanted)).collect::<BooleanArray>()))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::kernels::testing::{s, text};
    use kqlake_value::Value;

    #[test]
    fn parts_of_text() {
        for (args, want) in [
            (vec![s("hello"), Value::Long(1), Value::Long(3)], "ell"),
            (vec![s("hello"), Value::Long(-3), Value::Long(2)], "ll"),
            (vec![s("hello"), Value::Long(-100), Value::Long(3)], ""),
            (vec![s("hello"), Value::Long(2), Value::Long(100)], "llo"),
            (vec![s("hello"), Value::Long(1), Value::Long(-1)], ""),
            (vec![s("h\u{e9}llo"), Value::Long(1)], "\u{e9}llo"),
            (vec![Value::Long(12345), Value::Long(1), Value::Long(2)], "23"),
            (vec![s("ab"), Value::Long(i64::MAX), Value::Long(i64::MAX)], ""),
            (vec![s("ab"), Value::Long(i64::MIN), Value::Long(i64::MAX)], ""),
        ] {
            assert_eq!(text(substring, &args).as_deref(), Some(want), "{args:?}");
        }
    }

    #[test]
    fn joined() {
        assert_eq!(text(strcat, &[s("a"), Value::Long(1), Value::Bool(true)]).unwrap(), "a1True");
        assert_eq!(text(strcat_delim, &[s("-"), s("a"), s(""), Value::TimeSpan(10_000_000)]).unwrap(), "a--00:00:01");
        assert_eq!(text(strcat_array, &[Value::Dynamic(serde_json::json!(["a", null, 2])), s("|")]).unwrap(), "a||2");
        assert_eq!(text(strrep, &[s("ab"), Value::Long(3), s(",")]).unwrap(), "ab,ab,ab");
        assert_eq!(text(to_upper, &[s("stra\u{df}e \u{e9}")]).unwrap(), "STRA\u{df}E \u{c9}");
    }
}
