//! Search in text: the matchers behind `has`, `contains`, `startswith`, `has_any`, `=~` and their kin.
//!
//! A [`Matcher`] is compiled once a query from constant needles and then runs over Arrow string arrays. Rows are searched
//! many at a time: the text of a block of rows is one buffer, so that a rare needle costs one pass of a vectorised search
//! and not one call a row.
//!
//! Rules, from the Kusto documentation ("String operators") and measured answers: a *term* is a maximal run of Unicode letters
//! and digits, every other character (the underscore too) delimits. `h has n` is true if `n` occurs in `h` such that at each
//! edge of `n` whose own edge character belongs to a term, the neighbouring character in `h` does not. An empty needle
//! occurs everywhere. Case is ignored by simple folding, one character for one.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, Input, MatchKind};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, OffsetSizeTrait};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;
use memchr::memmem;

use super::folding::{fold_char, fold_into, is_term_char, term_after, term_before};
use kqlake_syntax::ast::TextOp;
use kqlake_value::texts::is_text;

pub(crate) use super::folding::equal_ignoring_case;

/// Bytes of text that are folded and searched at a time: they stay in the first-level cache.
const BLOCK: usize = 32 * 1024;

/// A needle list of an equality that is longer than this is looked up by hash.
const HASHED_FROM: usize = 4;

/// A matcher that is true where any of the needles is found.
pub(crate) fn matcher(op: TextOp, needles: &[String], case_sensitive: bool) -> Matcher {
    Matcher::build(MatchOp::from(op), needles, false, case_sensitive)
}

/// A matcher that is true where all of the needles are found (`has_all`).
pub(crate) fn matcher_all(op: TextOp, needles: &[String], case_sensitive: bool) -> Matcher {
    Matcher::build(MatchOp::from(op), needles, true, case_sensitive)
}

/// A matcher that is true where the text equals one of the needles (`=~`, `in~`, `in`).
pub(crate) fn equal_matcher(needles: &[String], case_sensitive: bool) -> Matcher {
    Matcher::build(MatchOp::Equals, needles, false, case_sensitive)
}

/// What a matcher searches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MatchOp {
    /// The needle anywhere; `lead` and `trail` say at which edges the term rule holds.
    Find { lead: bool, trail: bool },
    /// The needle at the start.
    Starts,
    /// The needle at the end.
    Ends,
    /// The needle and nothing else.
    Equals,
}

impl From<TextOp> for MatchOp {
    fn from(op: TextOp) -> MatchOp {
        match op {
            TextOp::Has => MatchOp::Find { lead: true, trail: true },
            TextOp::HasPrefix => MatchOp::Find { lead: true, trail: false },
            TextOp::HasSuffix => MatchOp::Find { lead: false, trail: true },
            TextOp::Contains => MatchOp::Find { lead: false, trail: false },
            TextOp::StartsWith => MatchOp::Starts,
            TextOp::EndsWith => MatchOp::Ends,
        }
    }
}

/// Needles of a text search, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Matcher {
    /// The answer, where it does not depend on the text.
    constant: Option<bool>,
    /// All groups must match; else one must.
    all: bool,
    groups: Vec<NeedleGroup>,
}

/// How the searched text is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CaseFold {
    /// Not at all.
    None,
    /// ASCII letters: enough where the needles are ASCII.
    Ascii,
    /// Every character.
    Unicode,
}

/// Needles that are searched in one pass; the group matches if one of them does.
#[derive(Debug, Clone)]
struct NeedleGroup {
    op: MatchOp,
    fold: CaseFold,
    needles: Vec<Needle>,
    search: SearchPlan,
    shortest: usize,
}

#[derive(Debug, Clone)]
struct Needle {
    /// The needle, folded.
    bytes: Vec<u8>,
    /// The character before an occurrence must not belong to a term.
    lead: bool,
    /// The character after an occurrence must not belong to a term.
    trail: bool,
}

#[derive(Debug, Clone)]
enum SearchPlan {
    /// One needle.
    One(Box<memmem::Finder<'static>>),
    /// Several: finds every place where one of them starts.
    Many(Box<AhoCorasick>),
    /// Compared in place, one by one.
    InPlace,
    /// Whole texts by hash.
    Hashed(HashSet<Vec<u8>>),
}

impl Matcher {
    fn build(op: MatchOp, needles: &[String], all: bool, case_sensitive: bool) -> Matcher {
        let constant = |value| Matcher { constant: Some(value), all, groups: Vec::new() };
        let mut wanted: Vec<&str> = needles.iter().map(String::as_str).collect();
        if op != MatchOp::Equals {
            // An empty needle is found everywhere.
            if !all && wanted.iter().any(|n| n.is_empty()) {
                return constant(true);
            }
            wanted.retain(|n| !n.is_empty());
        }
        if wanted.is_empty() {
            return constant(all);
        }
        let fold_of = |n: &str| {
            // Digits and signs have no case.
            if case_sensitive || n.bytes().all(|b| b.is_ascii() && !b.is_ascii_alphabetic()) {
                CaseFold::None
            } else if n.is_ascii() {
                CaseFold::Ascii
            } else {
                CaseFold::Unicode
            }
        };
        let groups = if all {
            wanted.iter().map(|n| NeedleGroup::new(op, fold_of(n), &[n])).collect()
        } else {
            [CaseFold::None, CaseFold::Ascii, CaseFold::Unicode]
                .into_iter()
                .filter_map(|fold| {
                    let group: Vec<&str> = wanted.iter().copied().filter(|n| fold_of(n) == fold).collect();
                    (!group.is_empty()).then(|| NeedleGroup::new(op, fold, &group))
                })
                .collect()
        };
        Matcher { constant: None, all, groups }
    }

    /// Whether one text matches.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        thread_local!(static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
        self.constant.unwrap_or_else(|| SCRATCH.with_borrow_mut(|scratch| self.row(text.as_bytes(), scratch)))
    }

    fn row(&self, text: &[u8], scratch: &mut Vec<u8>) -> bool {
        if self.all { self.groups.iter().all(|g| g.row(text, scratch)) } else { self.groups.iter().any(|g| g.row(text, scratch)) }
    }

    /// Matches every row of a string array (Utf8, Utf8View, LargeUtf8 or a dictionary of them). A null row is the empty
    /// text; the answer has no nulls.
    ///
    /// # Errors
    /// The array holds no text.
    pub(crate) fn eval(&self, array: &ArrayRef) -> Result<BooleanArray, String> {
        let rows = array.len();
        if let Some(value) = self.constant {
            return Ok(BooleanArray::new(
                if value { BooleanBuffer::new_set(rows) } else { BooleanBuffer::new_unset(rows) },
                None,
            ));
        }
        let hits = match array.data_type() {
            DataType::Utf8 => {
                let text = array.as_string::<i32>();
                self.combine(rows, |group, hits| group.offsets(text.value_offsets(), text.value_data(), hits))
            }
            DataType::LargeUtf8 => {
                let text = array.as_string::<i64>();
                self.combine(rows, |group, hits| group.offsets(text.value_offsets(), text.value_data(), hits))
            }
            DataType::Utf8View => {
                let text = array.as_string_view();
                self.combine(rows, |group, hits| group.views(rows, |row| text.value(row).as_bytes(), hits))
            }
            DataType::Dictionary(_, values) if is_text(values) => {
                let dictionary = array.as_any_dictionary();
                let answers: ArrayRef = Arc::new(self.eval(dictionary.values())?);
                let taken = take(&answers, dictionary.keys(), None).map_err(|e| e.to_string())?;
                let taken = taken.as_boolean();
                // A null key is the empty text, as a null value is.
                return Ok(self.with_missing(taken.values().clone(), taken.nulls()));
            }
            DataType::Null => BooleanBuffer::new_unset(rows),
            other => {
                let text = cast(array, &DataType::Utf8).map_err(|_| format!("text was expected and {other} found"))?;
                return self.eval(&text);
            }
        };
        let nulls = if *array.data_type() == DataType::Null { Some(NullBuffer::new_null(rows)) } else { array.nulls().cloned() };
        Ok(self.with_missing(hits, nulls.as_ref()))
    }

    /// Combines the groups' answers.
    fn combine(&self, rows: usize, run: impl Fn(&NeedleGroup, &mut BooleanBufferBuilder)) -> BooleanBuffer {
        let mut combined: Option<BooleanBuffer> = None;
        for group in &self.groups {
            let mut hits = BooleanBufferBuilder::new(rows);
            hits.append_n(rows, false);
            run(group, &mut hits);
            let hits = hits.finish();
            combined = Some(match combined {
                None => hits,
                Some(before) if self.all => &before & &hits,
                Some(before) => &before | &hits,
            });
        }
        combined.unwrap_or_else(|| BooleanBuffer::new_unset(rows))
    }

    /// Gives missing rows the empty text's answer.
    fn with_missing(&self, hits: BooleanBuffer, nulls: Option<&NullBuffer>) -> BooleanArray {
        let hits = match nulls {
            Some(nulls) if nulls.null_count() > 0 => {
                let present = nulls.inner();
                if self.is_match("") { &hits | &(!present) } else { &hits & present }
            }
            _ => hits,
        };
        BooleanArray::new(hits, None)
    }
}

impl NeedleGroup {
    fn new(op: MatchOp, fold: CaseFold, needles: &[&str]) -> NeedleGroup {
        let mut seen = HashSet::new();
        let needles: Vec<Needle> = needles
            .iter()
            .filter_map(|text| {
                let bytes = match fold {
                    CaseFold::None => text.as_bytes().to_vec(),
                    CaseFold::Ascii => text.as_bytes().to_ascii_lowercase(),
                    CaseFold::Unicode => text.chars().map(fold_char).collect::<String>().into_bytes(),
                };
                if !seen.insert(bytes.clone()) {
                    return None;
                }
                let (lead, trail) = match op {
                    MatchOp::Find { lead, trail } => (
                        lead && text.chars().next().is_some_and(is_term_char),
                        trail && text.chars().next_back().is_some_and(is_term_char),
                    ),
                    _ => (false, false),
                };
                Some(Needle { bytes, lead, trail })
            })
            .collect();
        let search = match op {
            MatchOp::Find { .. } if needles.len() == 1 => {
                SearchPlan::One(Box::new(memmem::Finder::new(&needles[0].bytes).into_owned()))
            }
            MatchOp::Find { .. } => {
                match AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(needles.iter().map(|n| &n.bytes)) {
                    Ok(automaton) => SearchPlan::Many(Box::new(automaton)),
                    // More needles than an automaton can hold: each is searched for by itself.
                    Err(_) => SearchPlan::InPlace,
                }
            }
            MatchOp::Equals if needles.len() > HASHED_FROM => {
                SearchPlan::Hashed(needles.iter().map(|n| n.bytes.clone()).collect())
            }
            _ => SearchPlan::InPlace,
        };
        let shortest = needles.iter().map(|n| n.bytes.len()).min().unwrap_or(0);
        NeedleGroup { op, fold, needles, search, shortest }
    }

    /// The next place at or after `from` where a needle may start.
    #[inline]
    fn next(&self, text: &[u8], from: usize) -> Option<usize> {
        match &self.search {
            SearchPlan::One(finder) => finder.find(&text[from..]).map(|at| at + from),
            SearchPlan::Many(automaton) => automaton.find(Input::new(text).span(from..text.len())).map(|m| m.start()),
            _ => self.needles.iter().filter_map(|n| memmem::find(&text[from..], &n.bytes)).min().map(|at| at + from),
        }
    }

    /// Whether a needle is at a place of a row, with the edges that it needs.
    #[inline]
    fn matches_at(&self, row: &[u8], at: usize) -> bool {
        let rest = &row[at..];
        self.needles.iter().any(|needle| {
            rest.starts_with(&needle.bytes)
                && !(needle.lead && term_before(row, at))
                && !(needle.trail && term_after(row, at + needle.bytes.len()))
        })
    }

    /// Whether one text matches.
    fn row(&self, text: &[u8], scratch: &mut Vec<u8>) -> bool {
        if text.len() < self.shortest && self.fold != CaseFold::Unicode {
            return false;
        }
        if !matches!(self.op, MatchOp::Find { .. }) {
            return self.in_place(text, scratch);
        }
        let text = match self.fold {
            CaseFold::None => text,
            CaseFold::Ascii => {
                scratch.clear();
                lower_into(text, scratch);
                scratch
            }
            CaseFold::Unicode => {
                if text.is_ascii() {
                    return false;
                }
                scratch.clear();
                fold_into(text, scratch);
                scratch
            }
        };
        let mut from = 0;
        while let Some(at) = self.next(text, from) {
            if self.matches_at(text, at) {
                return true;
            }
            from = at + 1;
        }
        false
    }

    /// Start, end and equality, which need no search.
    fn in_place(&self, bytes: &[u8], scratch: &mut Vec<u8>) -> bool {
        if self.fold == CaseFold::Unicode && bytes.is_ascii() {
            return false;
        }
        if let SearchPlan::Hashed(set) = &self.search {
            return match self.fold {
                CaseFold::None => set.contains(bytes),
                CaseFold::Ascii => {
                    scratch.clear();
                    lower_into(bytes, scratch);
                    set.contains(scratch.as_slice())
                }
                CaseFold::Unicode => {
                    scratch.clear();
                    fold_into(bytes, scratch);
                    set.contains(scratch.as_slice())
                }
            };
        }
        if self.fold == CaseFold::Unicode {
            scratch.clear();
            fold_into(bytes, scratch);
            let folded = scratch.as_slice();
            return self.needles.iter().any(|n| match self.op {
                MatchOp::Starts => folded.starts_with(&n.bytes),
                MatchOp::Ends => folded.ends_with(&n.bytes),
                _ => folded == n.bytes,
            });
        }
        self.needles.iter().any(|n| {
            let length = n.bytes.len();
            let part = match self.op {
                MatchOp::Starts if bytes.len() >= length => &bytes[..length],
                MatchOp::Ends if bytes.len() >= length => &bytes[bytes.len() - length..],
                MatchOp::Equals if bytes.len() == length => bytes,
                _ => return false,
            };
            if self.fold == CaseFold::None { part == n.bytes } else { part.eq_ignore_ascii_case(&n.bytes) }
        })
    }

    /// Rows that are contiguous in a buffer.
    fn offsets<O: OffsetSizeTrait>(&self, offsets: &[O], data: &[u8], hits: &mut BooleanBufferBuilder) {
        let rows = offsets.len() - 1;
        let text_of = |row: usize| &data[offsets[row].as_usize()..offsets[row + 1].as_usize()];
        if !matches!(self.op, MatchOp::Find { .. }) {
            let mut scratch = Vec::new();
            for row in 0..rows {
                let length = offsets[row + 1].as_usize() - offsets[row].as_usize();
                // The length decides most rows without a look at the text.
                if self.fold != CaseFold::Unicode
                    && (length < self.shortest
                        || (self.op == MatchOp::Equals && self.needles.len() == 1 && length != self.shortest))
                {
                    continue;
                }
                if self.in_place(text_of(row), &mut scratch) {
                    hits.set_bit(row, true);
                }
            }
            return;
        }
        let (first, last) = (offsets[0].as_usize(), offsets[rows].as_usize());
        match self.fold {
            CaseFold::None => self.scan(&data[first..last], |row| offsets[row].as_usize() - first, rows, 0, hits),
            CaseFold::Unicode if data[first..last].is_ascii() => {}
            CaseFold::Unicode => self.views(rows, text_of, hits),
            CaseFold::Ascii => {
                let mut block = Vec::new();
                let mut row = 0;
                while row < rows {
                    let start = offsets[row].as_usize();
                    let mut end = row + 1;
                    while end < rows && offsets[end + 1].as_usize() - start <= BLOCK {
                        end += 1;
                    }
                    block.clear();
                    lower_into(&data[start..offsets[end].as_usize()], &mut block);
                    self.scan(&block, |r| offsets[row + r].as_usize() - start, end - row, row, hits);
                    row = end;
                }
            }
        }
    }

    /// Rows that are not contiguous: they are gathered into blocks.
    fn views<'a>(&self, rows: usize, text_of: impl Fn(usize) -> &'a [u8], hits: &mut BooleanBufferBuilder) {
        if !matches!(self.op, MatchOp::Find { .. }) {
            let mut scratch = Vec::new();
            for row in 0..rows {
                if self.in_place(text_of(row), &mut scratch) {
                    hits.set_bit(row, true);
                }
            }
            return;
        }
        let mut block = Vec::with_capacity(BLOCK);
        let mut starts = vec![0];
        let mut first = 0;
        for row in 0..rows {
            let text = text_of(row);
            match self.fold {
                CaseFold::None => block.extend_from_slice(text),
                CaseFold::Ascii => lower_into(text, &mut block),
                // ASCII text holds no needle that is not ASCII.
                CaseFold::Unicode if text.is_ascii() => {}
                CaseFold::Unicode => fold_into(text, &mut block),
            }
            starts.push(block.len());
            if block.len() >= BLOCK || row + 1 == rows {
                self.scan(&block, |r| starts[r], row + 1 - first, first, hits);
                block.clear();
                starts.truncate(1);
                first = row + 1;
            }
        }
    }

    /// Searches a buffer of folded rows; `start(r)` is where row `r` starts, `start(rows)` the end.
    fn scan(&self, text: &[u8], start: impl Fn(usize) -> usize, rows: usize, first: usize, hits: &mut BooleanBufferBuilder) {
        let mut row = 0;
        let mut from = 0;
        while from < text.len() {
            let Some(at) = self.next(text, from) else { return };
            while row + 1 < rows && start(row + 1) <= at {
                row += 1;
            }
            let (begin, end) = (start(row), start(row + 1));
            if self.matches_at(&text[begin..end], at - begin) {
                hits.set_bit(first + row, true);
                from = end;
            } else {
                from = at + 1;
            }
        }
    }
}

/// Appends a text with its ASCII letters in lower case. Copied first and changed in place: both steps are vectorised.
fn lower_into(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(text);
    out[start..].make_ascii_lowercase();
}

/// One search whose needle is no constant.
pub(crate) fn matches(op: TextOp, text: &str, needle: &str, case_sensitive: bool) -> bool {
    if needle.is_empty() {
        return true;
    }
    if case_sensitive && op == TextOp::Contains {
        return memmem::find(text.as_bytes(), needle.as_bytes()).is_some();
    }
    if case_sensitive && op == TextOp::StartsWith {
        return text.starts_with(needle);
    }
    if case_sensitive && op == TextOp::EndsWith {
        return text.ends_with(needle);
    }
    matcher(op, &[needle.to_owned()], case_sensitive).is_match(text)
}

#[cfg(test)]
mod tests;
