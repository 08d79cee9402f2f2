//! The patterns of `parse` and the key-value texts of `parse-kv`, compiled once a query.
//!
//! Rules: Kusto documentation, "parse operator" and "parse-kv operator". In the simple modes texts match as they are and captures
//! are as short as can be; in regex mode texts are regular expressions and string captures as long as can be.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use regex::{Regex, RegexBuilder};

use super::columns::{ColumnBuilder, ColumnReader};
use crate::kql::bound::RowFields;
use crate::kql::types::Type;
use crate::kql::value::Value;

/// How a pattern is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One failed conversion blanks the whole row.
    Simple,
    /// A failed conversion blanks its column.
    Relaxed,
    /// Texts are regular expressions.
    Regex,
}

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text to find.
    Text(String),
    /// `*`
    Skip,
    /// A capture of a type.
    Column(Type),
}

/// A compiled pattern of `parse`.
#[derive(Debug)]
pub struct Pattern {
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

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// A piece that is no regular expression, or an unknown flag.
    pub fn new(mode: Mode, flags: &str, pieces: Vec<Piece>, columns: Vec<(String, Type)>) -> Result<Pattern, String> {
        let mut source = String::new();
        let simple = mode != Mode::Regex;
        let leading_skip = matches!(pieces.first(), Some(Piece::Skip));
        if simple && !leading_skip {
            source.push('^');
        }
        for (i, piece) in pieces.iter().enumerate() {
            let last = i + 1 == pieces.len();
            match piece {
                Piece::Text(text) if simple => source.push_str(&regex::escape(text)),
                Piece::Text(text) => {
                    source.push_str("(?:");
                    source.push_str(text);
                    source.push(')');
                }
                Piece::Skip if last && simple => source.push_str(".*"),
                Piece::Skip => source.push_str(".*?"),
                Piece::Column(ty) => {
                    let open_end = matches!(pieces.get(i + 1), Some(Piece::Skip | Piece::Column(_)));
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
        let mut builder = RegexBuilder::new(&source);
        builder.dot_matches_new_line(simple).size_limit(1 << 24);
        for flag in flags.chars() {
            match flag {
                'i' => builder.case_insensitive(true),
                'm' => builder.multi_line(true),
                's' => builder.dot_matches_new_line(true),
                'U' => builder.swap_greed(true),
                other => return Err(format!("'{other}' is no flag of parse; flags are i, m, s and U")),
            };
        }
        let regex = builder.build().map_err(|e| format!("the pattern is no regular expression: {e}"))?;
        let key = format!("{mode:?} {flags} {source} {columns:?}");
        Ok(Pattern { mode, regex, columns, key })
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
        _ => crate::kql::lower::convert_text(trimmed, ty),
    }
}

impl RowFields for Pattern {
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
        let mut out: Vec<ArrayRef> = builders.iter_mut().map(ColumnBuilder::finish).collect();
        out.push(Arc::new(BooleanArray::from(matched)));
        Ok(out)
    }
}

/// How `parse-kv` takes a text apart.
#[derive(Debug)]
enum Split {
    /// By delimiters.
    Delimited { pair: Vec<String>, key_value: Vec<String>, quotes: Vec<(char, char)>, escape: Option<char>, greedy: bool },
    /// By a regular expression with a group for the key and one for the value.
    Regex(Regex),
}

/// `parse-kv`.
#[derive(Debug)]
pub struct KeyValues {
    columns: Vec<(String, Type)>,
    split: Split,
    key: String,
}

impl KeyValues {
    /// From the operator's options.
    ///
    /// # Errors
    /// A regular expression that is none or has not two groups, or a quote of more than two characters.
    pub fn new(
        columns: Vec<(String, Type)>,
        pair: Option<String>,
        key_value: Option<String>,
        quote: Option<String>,
        escape: Option<String>,
        greedy: bool,
        regex: Option<String>,
    ) -> Result<KeyValues, String> {
        let key = format!("{columns:?} {pair:?} {key_value:?} {quote:?} {escape:?} {greedy} {regex:?}");
        let split = match regex {
            Some(source) => {
                let regex = Regex::new(&source).map_err(|e| format!("the pattern is no regular expression: {e}"))?;
                if regex.captures_len() < 3 {
                    return Err("the regular expression of parse-kv needs a group for the key and one for the value".to_owned());
                }
                Split::Regex(regex)
            }
            None => {
                let quotes: Vec<char> = quote.unwrap_or_default().chars().collect();
                let quotes = match quotes.as_slice() {
                    [] => Vec::new(),
                    [q] => vec![(*q, *q)],
                    [open, close] => vec![(*open, *close)],
                    _ => return Err("a quote is one character, or an opening and a closing one".to_owned()),
                };
                // Without a delimiter any character that is no letter, digit or underscore separates.
                let one = |text: Option<String>| text.filter(|t| !t.is_empty()).map(|t| vec![t]).unwrap_or_default();
                Split::Delimited {
                    pair: one(pair),
                    key_value: one(key_value),
                    quotes,
                    escape: escape.and_then(|e| e.chars().next()),
                    greedy,
                }
            }
        };
        Ok(KeyValues { columns, split, key })
    }

    /// The pairs of a text, first to last.
    fn pairs(&self, text: &str) -> Vec<(String, String)> {
        match &self.split {
            Split::Regex(regex) => regex
                .captures_iter(text)
                .map(|c| {
                    let group = |name: &str, place: usize| {
                        c.name(name).or_else(|| c.get(place)).map_or(String::new(), |m| m.as_str().to_owned())
                    };
                    (group("key", 1), group("value", 2))
                })
                .collect(),
            Split::Delimited { pair, key_value, quotes, escape, greedy } => {
                delimited(text, pair, key_value, quotes, *escape, *greedy)
            }
        }
    }
}

/// True if the text at `at` begins with a delimiter (any separating character where none is given); its length.
fn delimiter(text: &str, at: usize, delimiters: &[String]) -> Option<usize> {
    let rest = &text[at..];
    if delimiters.is_empty() {
        let c = rest.chars().next()?;
        return (!c.is_alphanumeric() && c != '_').then_some(c.len_utf8());
    }
    delimiters.iter().find(|d| rest.starts_with(d.as_str())).map(String::len)
}

fn delimited(
    text: &str,
    pair: &[String],
    key_value: &[String],
    quotes: &[(char, char)],
    escape: Option<char>,
    greedy: bool,
) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut at = 0;
    // A piece up to a delimiter, with quotes and escapes taken off.
    let piece = |start: usize, ends: &[String]| -> (String, usize, usize) {
        let mut out = String::new();
        let mut at = start;
        let mut closing = None;
        while at < text.len() {
            let Some(c) = text[at..].chars().next() else { break };
            if escape == Some(c) && at + c.len_utf8() < text.len() {
                let next = text[at + c.len_utf8()..].chars().next().unwrap_or(c);
                out.push(next);
                at += c.len_utf8() + next.len_utf8();
                continue;
            }
            match closing {
                Some(close) if c == close => {
                    closing = None;
                    at += c.len_utf8();
                    continue;
                }
                Some(_) => {}
                None => {
                    if let Some((_, close)) = quotes.iter().find(|(open, _)| *open == c) {
                        closing = Some(*close);
                        at += c.len_utf8();
                        continue;
                    }
                    if let Some(length) = delimiter(text, at, ends) {
                        return (out, at, at + length);
                    }
                }
            }
            out.push(c);
            at += c.len_utf8();
        }
        (out, text.len(), text.len())
    };
    while at < text.len() {
        let (key, key_end, value_start) = piece(at, key_value);
        if key_end >= text.len() {
            break;
        }
        let (value, value_end, next) =
            if greedy { greedy_value(text, value_start, pair, key_value) } else { piece(value_start, pair) };
        let key = key.trim().to_owned();
        // What stands between a pair delimiter and the key is no part of it.
        let key = match pair.iter().filter_map(|d| key.rfind(d.as_str()).map(|i| i + d.len())).max() {
            Some(cut) => key[cut..].trim().to_owned(),
            None if pair.is_empty() => {
                key.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned()
            }
            None => key,
        };
        pairs.push((key, value));
        at = if value_end >= text.len() { text.len() } else { next };
    }
    pairs
}

/// A value that goes on over pair delimiters until the next key.
fn greedy_value(text: &str, start: usize, pair: &[String], key_value: &[String]) -> (String, usize, usize) {
    // The last pair delimiter before the next key-value delimiter ends the value.
    let mut last_pair: Option<(usize, usize)> = None;
    let mut at = start;
    while at < text.len() {
        if delimiter(text, at, key_value).is_some()
            && let Some((from, to)) = last_pair
        {
            return (text[start..from].to_owned(), from, to);
        }
        if let Some(length) = delimiter(text, at, pair) {
            last_pair = Some((at, at + length));
        }
        at += text[at..].chars().next().map_or(1, char::len_utf8);
    }
    (text[start..].to_owned(), text.len(), text.len())
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
        Ok(builders.iter_mut().map(ColumnBuilder::finish).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(mode: Mode, pieces: Vec<Piece>, types: &[Type], text: &str) -> Option<Vec<Value>> {
        let columns = types.iter().map(|t| ("c".to_owned(), *t)).collect();
        Pattern::new(mode, "", pieces, columns).unwrap().row(text)
    }

    #[test]
    fn simple_blanks_the_row_where_relaxed_blanks_the_column() {
        let pieces =
            || vec![Piece::Text("a=".into()), Piece::Column(Type::Long), Piece::Text(";b=".into()), Piece::Column(Type::String)];
        let types = [Type::Long, Type::String];
        assert_eq!(values(Mode::Simple, pieces(), &types, "a=x;b=y"), None);
        assert_eq!(values(Mode::Relaxed, pieces(), &types, "a=x;b=y"), Some(vec![Value::Null, Value::String("y".into())]));
        assert_eq!(values(Mode::Simple, pieces(), &types, "a=1;b=y"), Some(vec![Value::Long(1), Value::String("y".into())]));
        assert_eq!(values(Mode::Simple, pieces(), &types, "x a=1;b=y"), None);
    }

    #[test]
    fn key_values_take_quotes_and_escapes_off() {
        let columns = vec![("a".to_owned(), Type::String), ("b".to_owned(), Type::Long)];
        let kv = KeyValues::new(columns, Some(";".into()), Some("=".into()), Some("\"".into()), Some("\\".into()), false, None)
            .unwrap();
        assert_eq!(kv.pairs(r#"a="x;\"y";b=2"#), [("a".to_owned(), "x;\"y".to_owned()), ("b".to_owned(), "2".to_owned())]);
    }
}
