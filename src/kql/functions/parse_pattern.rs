//! The patterns of `parse` and the key-value texts of `parse-kv`, compiled once a query.
//!
//! Rules: Kusto documentation, "parse operator" and "parse-kv operator". In the simple modes texts match as they are and captures
//! are as short as can be; in regex mode texts are regular expressions and string captures as long as can be.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use regex::Regex;

use super::regex_syntax;
use crate::computation::RowFields;
use kqlake_value::columns::{ColumnBuilder, ColumnReader};
use kqlake_value::{Type, Value};

/// How a pattern is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One failed conversion blanks the whole row.
    Simple,
    /// A failed conversion blanks its column.
    Relaxed,
    /// Texts are regular expressions.
    Regex,
}

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PatternPiece {
    /// Text to find.
    Text(String),
    /// `*`
    Skip,
    /// A capture of a type.
    Column(Type),
}

/// A compiled pattern of `parse`.
#[derive(Debug)]
pub(crate) struct ParsePattern {
    mode: Mode,
    regex: Regex,
    columns: Vec<(String, Type)>,
    key: String,
}

/// The shape of a typed capture.
fn shape(ty: Type) -> &'static str {
    match ty {
        Type::Int | Type::Long => r"\s*[-+]?\d+",
        Type::Real | Type::Decimal => r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?",
        Type::Bool => r"\s*(?i:true|false|\d+)",
        Type::Guid => r"\s*[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}",
        Type::TimeSpan => r"\s*-?(?:\d+\.)?\d+:\d+(?::\d+(?:\.\d+)?)?",
        _ => ".*",
    }
}

impl ParsePattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// A piece that is no regular expression, or an unknown flag.
    pub(crate) fn new(
        mode: Mode,
        flags: &str,
        pieces: Vec<PatternPiece>,
        columns: Vec<(String, Type)>,
    ) -> Result<ParsePattern, String> {
        let mut source = String::new();
        let simple = mode != Mode::Regex;
        let leading_skip = matches!(pieces.first(), Some(PatternPiece::Skip));
        if simple && !leading_skip {
            source.push('^');
        }
        for (i, piece) in pieces.iter().enumerate() {
            let last = i + 1 == pieces.len();
            match piece {
                PatternPiece::Text(text) if simple => source.push_str(&regex::escape(text)),
                PatternPiece::Text(text) => {
                    source.push_str("(?:");
                    source.push_str(text);
                    source.push(')');
                }
                PatternPiece::Skip if last && simple => source.push_str(".*"),
                PatternPiece::Skip => source.push_str(".*?"),
                PatternPiece::Column(ty) => {
                    let open_end = matches!(pieces.get(i + 1), Some(PatternPiece::Skip | PatternPiece::Column(_)));
                    let capture = match (simple, ty) {
                        (true, Type::String | Type::Dynamic | Type::DateTime) if last => ".*",
                        (true, Type::String | Type::Dynamic | Type::DateTime) => ".*?",
                        (true, ty) if open_end => shape(*ty),
                        (true, _) if last => ".*",
                        (true, _) => ".*?",
                        (false, Type::String | Type::Dynamic | Type::DateTime) => ".*",
                        (false, ty) => shape(*ty),
                    };
                    source.push_str(&format!("(?P<kqlcolumn{i}>{capture})"));
                }
            }
        }
        if simple {
            source.push('$');
        }
        if let Some(other) = flags.chars().find(|flag| !matches!(flag, 'i' | 'm' | 's' | 'U')) {
            return Err(format!("'{other}' is no flag of parse; flags are i, m, s and U"));
        }
        let regex = regex_syntax::compile_with(&source, |builder| {
            builder
                .case_insensitive(flags.contains('i'))
                .multi_line(flags.contains('m'))
                .dot_matches_new_line(simple || flags.contains('s'))
                .swap_greed(flags.contains('U'))
        })?;
        let key = format!("{mode:?} {flags} {source} {columns:?}");
        Ok(ParsePattern { mode, regex, columns, key })
    }

    /// A row's values; `None` where the text does not match.
    fn row(&self, text: &str) -> Option<Vec<Value>> {
        let captures = self.regex.captures(text)?;
        let mut values = Vec::with_capacity(self.columns.len());
        let named = self.regex.capture_names().enumerate().filter(|(_, n)| n.is_some_and(|n| n.starts_with("kqlcolumn")));
        for ((group, _), (_, ty)) in named.zip(&self.columns) {
            let part = captures.get(group).map_or("", |m| m.as_str());
            let value = convert(part, *ty);
            if value.is_null() && self.mode == Mode::Simple {
                return None;
            }
            values.push(value);
        }
        Some(values)
    }
}

/// Text as a value of a type, stricter than the `to…` functions: an integer must be one.
fn convert(text: &str, ty: Type) -> Value {
    let trimmed = text.trim();
    match ty {
        Type::String => Value::String(text.to_owned()),
        Type::Long => trimmed.parse().map_or(Value::Null, Value::Long),
        Type::Int => trimmed.parse().map_or(Value::Null, Value::Int),
        Type::Bool => match trimmed.to_ascii_lowercase().as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            other => other.parse::<i64>().map_or(Value::Null, |n| Value::Bool(n != 0)),
        },
        _ => super::scalar::conversion::text_as(trimmed, ty),
    }
}

impl RowFields for ParsePattern {
    fn key(&self) -> String {
        self.key.clone()
    }

    fn types(&self) -> Vec<Type> {
        // Behind the columns: whether the row matched, for parse-where.
        self.columns.iter().map(|(_, ty)| *ty).chain([Type::Bool]).collect()
    }

    fn run(&self, args: &[ArrayRef], rows: usize) -> Result<Vec<ArrayRef>, String> {
        let reader = ColumnReader::new(&args[0], Type::String)?;
        let mut builders: Vec<ColumnBuilder> = self.columns.iter().map(|(_, ty)| ColumnBuilder::new(*ty, rows)).collect();
        let mut matched = Vec::with_capacity(rows);
        for row in 0..rows {
            let values = self.row(reader.get(row).as_str().unwrap_or_default());
            matched.push(values.is_some());
            for (i, builder) in builders.iter_mut().enumerate() {
                builder.push(values.as_ref().and_then(|v| v.get(i)).unwrap_or(&Value::Null));
            }
        }
        let mut out: Vec<ArrayRef> = builders.iter_mut().map(ColumnBuilder::finish).collect::<Result<_, _>>()?;
        out.push(Arc::new(BooleanArray::from(matched)));
        Ok(out)
    }
}

/// How `parse-kv` takes a text apart.
#[derive(Debug)]
enum KeyValueForm {
    /// By delimiters.
    Delimited { pair: String, key_value: String, marks: Quotes, greedy: bool },
    /// By whatever is no letter or digit: the word behind a key is its value.
    Words(Quotes),
    /// By a regular expression with a group for the key and one for the value.
    Regex(Regex),
}

/// What protects delimiters.
#[derive(Debug)]
struct Quotes {
    /// Opening and closing quotes.
    quotes: Vec<(char, char)>,
    /// Inside of quotes the character behind one of these stands for itself.
    escapes: Vec<char>,
}

impl Quotes {
    /// The quoted text that begins here, without quotes and escapes, and its length in the text.
    fn quoted(&self, text: &str) -> Option<(String, usize)> {
        let first = text.chars().next()?;
        let (open, close) = self.quotes.iter().find(|(open, _)| *open == first)?;
        let mut out = String::new();
        let mut chars = text.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            if c == *close && !(c == *open && self.escapes.contains(&c) && text[at + c.len_utf8()..].starts_with(c)) {
                return Some((out, at + c.len_utf8()));
            }
            match chars.clone().next() {
                Some((_, next)) if self.escapes.contains(&c) => {
                    out.push(next);
                    chars.next();
                }
                _ => out.push(c),
            }
        }
        // A quote that is never closed is a character like others.
        None
    }
}

/// The options of `parse-kv`.
#[derive(Debug, Default, Clone)]
pub(crate) struct KeyValueOptions {
    /// Between pairs.
    pub pair: Option<String>,
    /// Between a key and its value.
    pub key_value: Option<String>,
    /// Quotes: one character, or an opening and a closing one.
    pub quotes: Vec<String>,
    /// Escape characters.
    pub escapes: Vec<String>,
    /// A value continues over pair delimiters until the next key.
    pub greedy: bool,
    /// A regular expression instead of delimiters.
    pub regex: Option<String>,
}

/// `parse-kv`.
#[derive(Debug)]
pub(crate) struct KeyValues {
    columns: Vec<(String, Type)>,
    split: KeyValueForm,
    key: String,
}

impl KeyValues {
    /// From the operator's options.
    ///
    /// # Errors
    /// A regular expression that is none or has not two groups, or a quote of more than two characters.
    pub(crate) fn new(columns: Vec<(String, Type)>, options: KeyValueOptions) -> Result<KeyValues, String> {
        let key = format!("{columns:?} {options:?}");
        let KeyValueOptions { pair, key_value, quotes, escapes, greedy, regex } = options;
        let given = |text: Option<String>| text.filter(|t| !t.is_empty());
        let marks = Quotes {
            quotes: quotes
                .iter()
                .map(|quote| match quote.chars().collect::<Vec<_>>().as_slice() {
                    [q] => Ok((*q, *q)),
                    [open, close] => Ok((*open, *close)),
                    _ => Err("a quote is one character, or an opening and a closing one".to_owned()),
                })
                .collect::<Result<_, String>>()?,
            escapes: escapes.iter().filter_map(|e| e.chars().next()).collect(),
        };
        let split = match (regex, given(pair), given(key_value)) {
            (Some(source), ..) => {
                let regex = regex_syntax::compile(&source)?;
                if regex.captures_len() != 3 {
                    return Err("the regular expression of parse-kv needs a group for the key and one for the value".to_owned());
                }
                KeyValueForm::Regex(regex)
            }
            (None, Some(pair), Some(key_value)) => KeyValueForm::Delimited { pair, key_value, marks, greedy },
            (None, None, None) => KeyValueForm::Words(marks),
            (None, ..) => return Err("parse-kv takes both a pair_delimiter and a kv_delimiter, or none".to_owned()),
        };
        Ok(KeyValues { columns, split, key })
    }

    /// The pairs of a text, first to last.
    fn pairs(&self, text: &str) -> Vec<(String, String)> {
        match &self.split {
            KeyValueForm::Regex(regex) => regex
                .captures_iter(text)
                .map(|c| {
                    let group = |place: usize| c.get(place).map_or("", |m| m.as_str()).trim().to_owned();
                    (group(1), group(2))
                })
                .collect(),
            KeyValueForm::Delimited { pair, key_value, marks, greedy } => delimited(text, pair, key_value, marks, *greedy),
            KeyValueForm::Words(marks) => self.words(text, marks),
        }
    }

    /// Each key among the words with the word behind it.
    fn words(&self, text: &str, marks: &Quotes) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let mut key: Option<String> = None;
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let (word, length) = match marks.quoted(rest) {
                Some(quoted) => quoted,
                None => {
                    let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                    (rest[..length].to_owned(), length)
                }
            };
            if length == 0 {
                rest = &rest[c.len_utf8()..];
                continue;
            }
            rest = &rest[length..];
            key = match key.take() {
                Some(key) => {
                    pairs.push((key, word));
                    None
                }
                None => self.columns.iter().any(|(name, _)| *name == word).then_some(word),
            };
        }
        pairs
    }
}

/// The pairs of a text with delimiters. White space around keys and values is no part of them, also where it is a delimiter: with
/// a blank between pairs, `a  =  1` is the pair of `a` and `1`.
fn delimited(text: &str, pair: &str, key_value: &str, marks: &Quotes, greedy: bool) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        // A pair delimiter before any key-value delimiter parts off what is no pair.
        rest = skip_blanks(rest, pair);
        let quoted = marks.quoted(rest);
        let from = quoted.as_ref().map_or(0, |(_, length)| *length);
        let Some(end) = rest[from..].find(key_value).map(|at| from + at) else { break };
        let key_end = rest[..end].trim_end().len().max(from);
        if let Some(cut) = rest[from..key_end].find(pair) {
            rest = &rest[from + cut + pair.len()..];
            continue;
        }
        let key = quoted.map_or_else(|| rest[..end].trim().to_owned(), |(key, _)| key);
        rest = &rest[end + key_value.len()..];
        let begin = rest.len() - rest.trim_start().len();
        let (value, end) = if let Some((value, length)) = marks.quoted(&rest[begin..]) {
            let from = begin + length;
            (value, rest[from..].find(pair).map(|at| from + at))
        } else {
            let end = if greedy { greedy_end(rest, pair, key_value) } else { plain_end(rest, begin, pair, key_value) };
            (rest[..end.unwrap_or(rest.len())].trim().to_owned(), end)
        };
        pairs.push((key, value));
        rest = end.map_or("", |end| &rest[end + pair.len()..]);
    }
    pairs
}

/// The text without white space in front, as far as that is no delimiter.
fn skip_blanks<'a>(text: &'a str, pair: &str) -> &'a str {
    let mut rest = text;
    while !rest.starts_with(pair)
        && let Some(c) = rest.chars().next().filter(|c| c.is_whitespace())
    {
        rest = &rest[c.len_utf8()..];
    }
    rest
}

/// Where a value ends: at the next pair delimiter. White space before the value (up to `begin`) that has pair delimiters in it is
/// skipped unless a pair follows it: then the value is empty.
fn plain_end(text: &str, begin: usize, pair: &str, key_value: &str) -> Option<usize> {
    let end = text[begin..].find(pair).map(|at| begin + at);
    match text[..begin].find(pair) {
        Some(blank) if text[begin..end.unwrap_or(text.len())].contains(key_value) => Some(blank),
        _ => end,
    }
}

/// Where a value ends that continues over pair delimiters: at the last of them before the next key-value delimiter.
fn greedy_end(text: &str, pair: &str, key_value: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].find(key_value) {
        let next = from + at;
        if let Some(end) = text[..next].trim_end().rfind(pair) {
            return Some(end);
        }
        from = next + key_value.len();
    }
    None
}

impl RowFields for KeyValues {
    fn key(&self) -> String {
        self.key.clone()
    }

    fn types(&self) -> Vec<Type> {
        self.columns.iter().map(|(_, ty)| *ty).collect()
    }

    fn run(&self, args: &[ArrayRef], rows: usize) -> Result<Vec<ArrayRef>, String> {
        let reader = ColumnReader::new(&args[0], Type::String)?;
        let mut builders: Vec<ColumnBuilder> = self.columns.iter().map(|(_, ty)| ColumnBuilder::new(*ty, rows)).collect();
        for row in 0..rows {
            let pairs = self.pairs(reader.get(row).as_str().unwrap_or_default());
            for (builder, (name, ty)) in builders.iter_mut().zip(&self.columns) {
                // The first pair of a key counts.
                let value = pairs.iter().find(|(key, _)| key == name).map_or(Value::Null, |(_, text)| convert(text, *ty));
                builder.push(&value);
            }
        }
        builders.iter_mut().map(ColumnBuilder::finish).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(mode: Mode, pieces: Vec<PatternPiece>, types: &[Type], text: &str) -> Option<Vec<Value>> {
        let columns = types.iter().map(|t| ("c".to_owned(), *t)).collect();
        ParsePattern::new(mode, "", pieces, columns).unwrap().row(text)
    }

    #[test]
    fn simple_blanks_the_row_where_relaxed_blanks_the_column() {
        let pieces = || {
            vec![
                PatternPiece::Text("a=".into()),
                PatternPiece::Column(Type::Long),
                PatternPiece::Text(";b=".into()),
                PatternPiece::Column(Type::String),
            ]
        };
        let types = [Type::Long, Type::String];
        assert_eq!(values(Mode::Simple, pieces(), &types, "a=x;b=y"), None);
        assert_eq!(values(Mode::Relaxed, pieces(), &types, "a=x;b=y"), Some(vec![Value::Null, Value::String("y".into())]));
        assert_eq!(values(Mode::Simple, pieces(), &types, "a=1;b=y"), Some(vec![Value::Long(1), Value::String("y".into())]));
        assert_eq!(values(Mode::Simple, pieces(), &types, "x a=1;b=y"), None);
    }

    #[test]
    fn key_values_take_quotes_and_escapes_off() {
        let columns = vec![("a".to_owned(), Type::String), ("b".to_owned(), Type::Long)];
        let options = KeyValueOptions {
            pair: Some(";".into()),
            key_value: Some("=".into()),
            quotes: vec!["\"".into(), "()".into()],
            escapes: vec!["\\".into()],
            ..KeyValueOptions::default()
        };
        let kv = KeyValues::new(columns.clone(), options).unwrap();
        assert_eq!(kv.pairs("x y; (b) = (1;2) ;a=\"z"), [("b".to_owned(), "1;2".to_owned()), ("a".to_owned(), "\"z".to_owned())]);
        assert_eq!(kv.pairs(r#"a="x;\"y";b=2"#), [("a".to_owned(), "x;\"y".to_owned()), ("b".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn blanks_around_keys_and_values_are_no_delimiters() {
        let pairs = |text: &str, greedy: bool| {
            let marks = Quotes { quotes: vec![('"', '"')], escapes: Vec::new() };
            let found = delimited(text, " ", "=", &marks, greedy);
            found.iter().map(|(key, value)| format!("{key}:{value}")).collect::<Vec<_>>().join(",")
        };
        for (text, plain, greedy) in [
            ("  key  =  value  ", "key:value", "key:value"),
            ("a = 1 b  =2  c=  3", "a:1,b:2,c:3", "a:1,b:2,c:3"),
            ("a= b=2", "a:,b:2", "a:,b:2"),
            ("a=1 x y b=2", "a:1,b:2", "a:1 x y,b:2"),
            ("a =  \"1 2\"  \"b c\" = 3", "a:1 2,b c:3", "a:1 2,b c:3"),
            ("a=", "a:", "a:"),
            ("   ", "", ""),
        ] {
            assert_eq!(pairs(text, false), plain, "{text}");
            assert_eq!(pairs(text, true), greedy, "{text}");
        }
    }
}
