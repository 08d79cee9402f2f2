//! `reduce by`: texts grouped by the pattern of their frequent words.
//!
//! After R. Vaarandi, "A Data Clustering Algorithm for Mining Patterns From Event Logs" (2003): a word at a place in the text
//! is kept when enough texts have it there, and becomes `*` when not. Numbers always become `*`. Texts without a kept word,
//! and patterns of too few texts, are counted together as `others`.

use std::borrow::Cow;
use std::collections::hash_map::{Entry, HashMap};
use std::hash::{BuildHasher, RandomState};

use arrow::array::ArrayRef;

use crate::room::{CountedVec, Held};

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

/// Bytes of a pattern, or of a word, beside its text: a slot of a table that grows, and numbers.
const PATTERN: usize = 192;
/// How many counts of hashes there are: words that share one by chance are counted in vain, nothing else.
const SUMMARY: usize = 1 << 20;
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
        let text_of = |row| text_of(input, column, row);
        let least = self.threshold * input.rows as f64;
        let words = self.frequent(input, column, least)?;
        let mut memory = Held::default();
        let mut numbers: HashMap<String, u32> = HashMap::new();
        // Of each pattern how many rows have it, and the first of them.
        let mut counts: Vec<(usize, usize)> = Vec::new();
        memory.grow(input.rows * size_of::<Option<u32>>())?;
        let mut patterns: Vec<Option<u32>> = Vec::with_capacity(input.rows);
        for row in 0..input.rows {
            let Some(pattern) = self.pattern(&text_of(row), &words) else {
                patterns.push(None);
                continue;
            };
            let number = match numbers.entry(pattern) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    memory.grow(PATTERN + new.key().len())?;
                    counts.push((0, row));
                    *new.insert(counts.len() as u32 - 1)
                }
            };
            counts[number as usize].0 += 1;
            patterns.push(Some(number));
        }
        drop(words);
        let is_kept = |number: u32| counts[number as usize].0 as f64 > least;

        if self.source {
            let mut texts = vec![OTHERS; counts.len()];
            for (pattern, number) in numbers.iter().filter(|(_, number)| is_kept(**number)) {
                texts[*number as usize] = pattern;
            }
            let mut builder = ColumnBuilder::new(Type::String, input.rows);
            for pattern in patterns {
                builder.push_ref(ValueRef::String(pattern.map_or(OTHERS, |number| texts[number as usize])));
            }
            let mut arrays: Vec<ArrayRef> = (0..input.visible).map(|c| ArrayRef::clone(input.array(c))).collect();
            arrays.push(builder.finish()?);
            return RowTable::from_arrays(self.schema(input.table_columns()), arrays, input.rows);
        }
        let kept = numbers.iter().filter(|(_, number)| is_kept(**number));
        let mut groups: Vec<(&str, usize, Cow<'_, str>)> = kept
            .map(|(pattern, number)| {
                let (count, row) = counts[*number as usize];
                (pattern.as_str(), count, text_of(row))
            })
            .collect();
        groups.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let grouped: usize = groups.iter().map(|group| group.1).sum();
        if grouped < input.rows {
            groups.push((OTHERS, input.rows - grouped, Cow::default()));
        }
        let mut output = RowTableBuilder::new(self.schema(input.table_columns()));
        for (pattern, count, representative) in groups {
            output.push([ValueRef::String(pattern), ValueRef::Long(count as i64), ValueRef::String(&representative)]);
        }
        output.finish()
    }

    /// Calls `take` with the places and words of all texts. Numbers are left out: they become `*` however often they are there.
    fn each_word(
        &self,
        input: &PluginInput,
        column: usize,
        mut take: impl FnMut(usize, &str) -> Result<(), String>,
    ) -> Result<(), String> {
        for row in 0..input.rows {
            let text = text_of(input, column, row);
            for (place, (word, _)) in self.pieces(&text).into_iter().filter(|(_, separates)| !separates).enumerate() {
                if !is_number(word) {
                    take(place, word)?;
                }
            }
        }
        Ok(())
    }

    /// The words that more than `least` texts have at their place.
    ///
    /// Most words of many texts are rare, and to hold all of them takes as much memory as the texts. So words are first counted
    /// by their hashes alone, as the published algorithm does ("word summary vector"): where a hash is rare, all of its words are.
    /// Those that are left are counted in a second walk.
    fn frequent(&self, input: &PluginInput, column: usize, least: f64) -> Result<Frequent, String> {
        let hasher = RandomState::new();
        let mut summary = CountedVec::default();
        summary.append(&[0u32; SUMMARY])?;
        let slot = |place: usize, word: &str| hasher.hash_one((place, word)) as usize % SUMMARY;
        self.each_word(input, column, |place, word| {
            let count = &mut summary[slot(place, word)];
            *count = count.saturating_add(1);
            Ok(())
        })?;
        let mut words = Frequent::default();
        let mut memory = Held::default();
        self.each_word(input, column, |place, word| {
            if f64::from(summary[slot(place, word)]) <= least {
                return Ok(());
            }
            words.resize_with(words.len().max(place + 1), HashMap::new);
            match words[place].get_mut(word) {
                Some(count) => *count += 1,
                None => {
                    memory.grow(PATTERN + word.len())?;
                    words[place].insert(word.to_owned(), 1);
                }
            }
            Ok(())
        })?;
        for words in &mut words {
            words.retain(|_, count| *count as f64 > least);
            words.shrink_to_fit();
        }
        Ok(words)
    }

    /// The pattern of a text; `None` when no word of it is kept.
    fn pattern(&self, text: &str, words: &[HashMap<String, usize>]) -> Option<String> {
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
            let frequent = words.get(place).is_some_and(|words| words.contains_key(piece));
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

/// The frequent words of each place, with how many texts have them.
type Frequent = Vec<HashMap<String, usize>>;

/// A row's text.
fn text_of(input: &PluginInput, column: usize, row: usize) -> Cow<'_, str> {
    match input.get(column, row) {
        ValueRef::String(text) => Cow::Borrowed(text),
        value => Cow::Owned(format::to_string(value)),
    }
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_digit())
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
