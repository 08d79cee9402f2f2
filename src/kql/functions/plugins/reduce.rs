//! `reduce by`: texts grouped by the pattern of their frequent words.
//!
//! After R. Vaarandi, "A Data Clustering Algorithm for Mining Patterns From Event Logs" (2003): a word at a place in the text
//! is kept when enough texts have it there, and becomes `*` when not. Numbers always become `*`. Texts without a kept word,
//! and patterns of too few texts, are counted together as `others`.

use std::collections::HashMap;

use arrow::array::ArrayRef;

use super::table::{PluginInput, RowTable, RowTableBuilder, free_column_name};
use kqlake_value::columns::ColumnBuilder;
use kqlake_value::{Column, Type, ValueRef, format};

/// The options of `reduce`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reduce {
    /// `threshold`: the share of the texts that a word or pattern must exceed.
    pub threshold: f64,
    /// `characters`: what separates words; everything but ASCII letters and digits where it is not given.
    pub characters: Option<String>,
    /// `kind=source`: the input's rows with a column `Pattern`, instead of the groups.
    pub source: bool,
}

impl Default for Reduce {
    fn default() -> Self {
        Reduce { threshold: 0.1, characters: None, source: false }
    }
}

/// The pattern of what fits no other.
const OTHERS: &str = "others";

impl Reduce {
    /// The result's columns.
    pub(crate) fn schema(&self, input: &[Column]) -> Vec<Column> {
        if !self.source {
            return ["Pattern", "Count", "Representative"]
                .iter()
                .map(|n| Column::new(*n, if *n == "Count" { Type::Long } else { Type::String }))
                .collect();
        }
        let mut out = input.to_vec();
        out.push(Column::new(free_column_name("Pattern", &out), Type::String));
        out
    }

    fn separates(&self, c: char) -> bool {
        match &self.characters {
            Some(characters) => characters.contains(c),
            None => !c.is_ascii_alphanumeric(),
        }
    }

    /// The words and the separators between them, in turn; both may be empty at the ends.
    fn pieces<'t>(&self, text: &'t str) -> Vec<(&'t str, bool)> {
        let mut out = Vec::new();
        let mut start = 0;
        let mut before = None;
        for (i, c) in text.char_indices() {
            let separates = self.separates(c);
            if before.is_some_and(|b| b != separates) {
                out.push((&text[start..i], before == Some(true)));
                start = i;
            }
            before = Some(separates);
        }
        if let Some(separates) = before {
            out.push((&text[start..], separates));
        }
        out
    }

    /// Groups the texts of a column of the input (the value to reduce by; it may be an appended one).
    pub(crate) fn run(&self, input: &PluginInput, column: usize) -> Result<RowTable, String> {
        if !(0.0..=1.0).contains(&self.threshold) {
            return Err(format!("the threshold must be from 0 to 1, not {}", self.threshold));
        }
        let texts: Vec<String> = (0..input.rows).map(|row| format::to_string(input.get(column, row))).collect();
        let least = self.threshold * texts.len() as f64;
        let mut words: HashMap<(usize, &str), usize> = HashMap::new();
        for text in &texts {
            for (place, (word, _)) in self.pieces(text).into_iter().filter(|(_, s)| !s).enumerate() {
                *words.entry((place, word)).or_default() += 1;
            }
        }
        let patterns: Vec<Option<String>> = texts.iter().map(|text| self.pattern(text, &words, least)).collect();
        let mut counts: HashMap<&str, (usize, usize)> = HashMap::new();
        for (row, pattern) in patterns.iter().enumerate() {
            if let Some(pattern) = pattern {
                counts.entry(pattern).or_insert((0, row)).0 += 1;
            }
        }
        counts.retain(|_, (count, _)| *count as f64 > least);

        if self.source {
            let mut builder = ColumnBuilder::new(Type::String, input.rows);
            for pattern in &patterns {
                let known = pattern.as_deref().filter(|p| counts.contains_key(p));
                builder.push_ref(ValueRef::String(known.unwrap_or(OTHERS)));
            }
            let mut arrays: Vec<ArrayRef> = (0..input.visible).map(|c| ArrayRef::clone(input.array(c))).collect();
            arrays.push(builder.finish()?);
            return RowTable::from_arrays(self.schema(input.table_columns()), arrays, input.rows);
        }
        let grouped: usize = counts.values().map(|c| c.0).sum();
        let mut groups: Vec<(&str, usize, &str)> = counts.iter().map(|(p, (n, row))| (*p, *n, texts[*row].as_str())).collect();
        groups.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        if grouped < texts.len() {
            groups.push((OTHERS, texts.len() - grouped, ""));
        }
        let mut output = RowTableBuilder::new(self.schema(input.table_columns()));
        for (pattern, count, representative) in groups {
            output.push([ValueRef::String(pattern), ValueRef::Long(count as i64), ValueRef::String(representative)]);
        }
        output.finish()
    }

    /// The pattern of a text; `None` when no word of it is kept.
    fn pattern(&self, text: &str, words: &HashMap<(usize, &str), usize>, least: f64) -> Option<String> {
        let mut out = String::new();
        let (mut place, mut kept, mut starred) = (0, false, false);
        for (piece, separates) in self.pieces(text) {
            if separates {
                // Separators that were asked for are part of the wildcard beside them.
                if self.characters.is_none() || !starred {
                    out.push_str(piece);
                }
                continue;
            }
            let number = piece.bytes().all(|b| b.is_ascii_digit());
            let frequent = !number && words.get(&(place, piece)).is_some_and(|n| *n as f64 > least);
            place += 1;
            if frequent {
                kept = true;
                out.push_str(piece);
            } else {
                if self.characters.is_some() {
                    let end = out.trim_end_matches(|c| self.separates(c)).len();
                    out.truncate(end);
                }
                if !out.ends_with('*') {
                    out.push('*');
                }
            }
            starred = !frequent;
        }
        kept.then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kqlake_value::columns::ColumnReader;

    fn reduce(options: Reduce, texts: &[String]) -> Vec<(String, i64)> {
        let mut builder = ColumnBuilder::new(Type::String, texts.len());
        texts.iter().for_each(|t| builder.push_ref(ValueRef::String(t)));
        let column = builder.finish().unwrap();
        let table = RowTable::from_arrays(vec![Column::new("t", Type::String)], vec![column], texts.len()).unwrap();
        let found = options.run(&PluginInput::new(&table, 1).unwrap(), 0).unwrap();
        let batch = &found.batches[0];
        let patterns = ColumnReader::new(batch.column(0), Type::String).unwrap();
        let counts = ColumnReader::new(batch.column(1), Type::Long).unwrap();
        (0..batch.num_rows()).map(|r| (format::to_string(patterns.get(r)), counts.get(r).as_i64().unwrap())).collect()
    }

    #[test]
    fn rare_words_become_wildcards_and_texts_without_frequent_words_others() {
        let texts: Vec<String> = (1..=10).map(|i| format!("fooZ{i}")).collect();
        assert_eq!(reduce(Reduce::default(), &texts), [("others".to_owned(), 10)]);
        let options = Reduce { characters: Some("Z".into()), ..Reduce::default() };
        assert_eq!(reduce(options, &texts), [("foo*".to_owned(), 10)]);
        let cities: Vec<String> = ["San A", "San B", "San C", "San D"].map(str::to_owned).into();
        assert_eq!(reduce(Reduce { threshold: 0.3, ..Reduce::default() }, &cities), [("San *".to_owned(), 4)]);
    }
}
