//! Tables of the configuration file whose keys are taken one by one. What nobody takes is unknown, and everything that is wrong
//! is noted with its place.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Mistake, Problem, known_as};
use super::secrets::SecretSource;
use kqlake_syntax::suggest::nearest;

/// Keys that other programs have for a setting, and ours.
const ELSEWHERE: &[(&str, &str)] = &[
    ("tenant_id", "id"),
    ("directory_id", "id"),
    ("app_id", "client_id"),
    ("application_id", "client_id"),
    ("credentials", "client_secret"),
    ("password", "client_secret"),
    ("secret", "client_secret"),
    ("base_auth_url", "hosts.login"),
    ("base_url", "hosts.reporting"),
    ("override_time_delay_in_hours", "override_time_delay_in_seconds"),
    ("ImportJobSettings", "import_job_settings"),
];

/// What must never be written into the file.
const INLINE: &str = "a secret is never written into the file: use { env = \"NAME\" }, { file = \"PATH\" } or \
                      { credential = \"NAME\" }; change the one that was there, since others may have read it";

/// A file that is read, and what is wrong in it.
#[derive(Debug)]
pub(super) struct Reader<'d> {
    file: &'d Path,
    text: &'d str,
    problems: RefCell<Vec<Problem>>,
    /// Keys that nobody knows: what is missing may stand under one of them.
    unknown: RefCell<Vec<Problem>>,
}

impl<'d> Reader<'d> {
    pub(super) fn new(file: &'d Path, text: &'d str) -> Self {
        Reader { file, text, problems: RefCell::default(), unknown: RefCell::default() }
    }

    /// The file with the line of a place in it.
    pub(super) fn place(&self, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or_default();
        format!("{}:{}", self.file.display(), before.matches('\n').count() + 1)
    }

    /// A path of the file: it is meant from the file's folder, so that it works from anywhere.
    pub(super) fn based(&self, path: &str) -> PathBuf {
        match self.file.parent() {
            Some(base) if !base.as_os_str().is_empty() => base.join(path),
            _ => PathBuf::from(path),
        }
    }

    pub(super) fn note(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    fn note_unknown(&self, problem: Problem) {
        self.unknown.borrow_mut().push(problem);
    }

    /// All that is wrong, unknown keys first: where one is misspelt, another one seems to be missing.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.unknown.into_inner();
        problems.append(&mut self.problems.into_inner());
        problems
    }
}

/// A table, whose keys are taken out.
#[derive(Debug)]
pub(super) struct Table<'d, 'r> {
    reader: &'r Reader<'d>,
    /// The tables that this one is in and its own name: `tenants.contoso.hosts`.
    path: String,
    /// The same below the tenant: `hosts`.
    below: String,
    /// Where it begins in the text.
    at: usize,
    entries: Option<&'r DeTable<'d>>,
    known: Vec<&'static str>,
}

impl<'d, 'r> Table<'d, 'r> {
    /// The table of a tenant or of the file; `below` is what its keys are called in messages of other programs.
    pub(super) fn new(reader: &'r Reader<'d>, path: String, at: usize, entries: &'r DeTable<'d>) -> Self {
        Table { reader, path, below: String::new(), at, entries: Some(entries), known: Vec::new() }
    }

    fn full(&self, key: &str) -> String {
        if key.is_empty() { self.path.clone() } else { format!("{}.{key}", self.path) }
    }

    fn known_as(&self, key: &str, mistake: Mistake, range: Option<(i64, i64)>) -> Option<String> {
        let name = if self.below.is_empty() { key.to_owned() } else { format!("{}.{key}", self.below) };
        known_as(&name, mistake, range)
    }

    /// The place in the text of a key's value, or of the table where the key is missing.
    fn at(&self, key: &str) -> usize {
        self.entry(key).map_or(self.at, |value| value.span().start)
    }

    fn entry(&self, key: &str) -> Option<&'r Spanned<DeValue<'d>>> {
        let entries = self.entries?;
        entries.iter().find(|(name, _)| name.get_ref().as_ref() == key).map(|(_, value)| value)
    }

    /// Notes that a key's value is wrong; `message` goes on after the key's name.
    pub(super) fn wrong(&self, key: &str, message: impl std::fmt::Display, solution: impl Into<String>) {
        self.note(key, message, solution, None);
    }

    fn note(&self, key: &str, message: impl std::fmt::Display, solution: impl Into<String>, known_as: Option<String>) {
        let full = self.full(key);
        self.reader.note(Problem {
            place: self.reader.place(self.at(key)),
            message: format!("{full} {message}"),
            key: full,
            solution: solution.into(),
            known_as,
        });
    }

    /// Notes that a key must be there.
    pub(super) fn missing(&self, key: &str, solution: impl Into<String>) {
        self.note(key, "is missing or empty", solution, self.known_as(key, Mistake::Missing, None));
    }

    fn wrong_type(&self, key: &str, value: &DeValue<'_>, expected: &str) {
        let found = match value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date without quotes",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let known = self.known_as(key, Mistake::Type, None);
        self.note(key, format_args!("is {found}, {expected} was expected"), format!("write it as {expected}"), known);
    }

    fn take(&mut self, key: &'static str) -> Option<&'r Spanned<DeValue<'d>>> {
        self.known.push(key);
        self.entry(key)
    }

    /// Makes a key known that is read elsewhere, or only where it is there.
    pub(super) fn known(&mut self, key: &'static str) {
        self.known.push(key);
    }

    /// Notes that something else stands where this table should.
    pub(super) fn no_table(&self) {
        self.note("", "is no table", format!("begin it with [{}]", self.path), known_as("", Mistake::Type, None));
    }

    /// A path of the file, meant from the file's folder.
    pub(super) fn based(&self, path: &str) -> PathBuf {
        self.reader.based(path)
    }

    /// True for a key whose value is true or false.
    pub(super) fn is_switch(&self, key: &str) -> bool {
        self.entry(key).is_some_and(|value| value.get_ref().is_bool())
    }

    /// True when the file has the key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// True when the file does not have the key, or an empty text for it.
    pub(super) fn is_missing(&self, key: &str) -> bool {
        self.entry(key).is_none_or(|value| value.get_ref().as_str().is_some_and(|text| text.trim().is_empty()))
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, key: &'static str) -> Option<&'r str> {
        let value = self.take(key)?.get_ref();
        match value.as_str() {
            Some(text) if text.trim().is_empty() => {
                self.missing(key, "give it a value, or leave it out");
                None
            }
            Some(text) => Some(text),
            None => {
                self.wrong_type(key, value, "a text in quotes");
                None
            }
        }
    }

    /// A list of texts, none of which is empty.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let value = self.take(key)?.get_ref();
        let Some(items) = value.as_array() else {
            self.wrong_type(key, value, "a list of texts in brackets");
            return None;
        };
        let mut texts = Vec::new();
        for item in items {
            match item.get_ref().as_str() {
                Some(text) if !text.trim().is_empty() => texts.push(text.to_owned()),
                Some(_) => self.wrong(key, "has an empty entry", "give it a value, or leave it out"),
                None => self.wrong_type(key, item.get_ref(), "a list of texts in brackets"),
            }
        }
        Some(texts)
    }

    /// True or false.
    pub(super) fn switch(&mut self, key: &'static str) -> Option<bool> {
        let value = self.take(key)?.get_ref();
        if value.as_bool().is_none() {
            self.wrong_type(key, value, "true or false");
        }
        value.as_bool()
    }

    /// A whole number in a range.
    pub(super) fn number<N: TryFrom<i64>>(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Option<N> {
        let value = self.take(key)?.get_ref();
        let Some(written) = value.as_integer() else {
            self.wrong_type(key, value, "a whole number");
            return None;
        };
        let number = i64::from_str_radix(&written.as_str().replace('_', ""), written.radix()).ok();
        let (least, most) = (*range.start(), *range.end());
        match number.filter(|number| range.contains(number)).and_then(|number| N::try_from(number).ok()) {
            Some(number) => Some(number),
            None => {
                let expected = match most {
                    i64::MAX => format!("a whole number from {least} on"),
                    _ => format!("a whole number from {least} to {most}"),
                };
                let known = self.known_as(key, Mistake::Range, Some((least, most)));
                self.note(key, format_args!("is {written}, {expected} was expected"), format!("write {expected}"), known);
                None
            }
        }
    }

    /// A table below this one; where the file has none, one without keys.
    pub(super) fn table(&mut self, key: &'static str) -> Table<'d, 'r> {
        let found = self.take(key);
        let entries = found.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (found, entries) {
            self.wrong_type(key, value.get_ref(), "a table");
        }
        let (at, below) = (self.at(key), key.to_owned());
        Table { reader: self.reader, path: self.full(key), below, at, entries, known: Vec::new() }
    }

    /// The tables of a list of tables.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Table<'d, 'r>> {
        let Some(value) = self.take(key).map(Spanned::get_ref) else { return Vec::new() };
        let Some(items) = value.as_array() else {
            self.wrong_type(key, value, &format!("a list of tables, each begun with [[{}]],", self.full(key)));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (number, item) in items.iter().enumerate() {
            match item.get_ref().as_table() {
                Some(entries) => tables.push(Table {
                    reader: self.reader,
                    path: format!("{}[{number}]", self.full(key)),
                    below: key.to_owned(),
                    at: item.span().start,
                    entries: Some(entries),
                    known: Vec::new(),
                }),
                None => self.wrong_type(key, item.get_ref(), "a list of tables"),
            }
        }
        tables
    }

    /// Where a secret is kept, with what else its table may say.
    pub(super) fn secret_with(&mut self, key: &'static str, other: impl FnOnce(&mut Table<'d, 'r>)) -> Option<SecretSource> {
        let value = self.take(key)?.get_ref();
        if value.as_table().is_none() {
            if value.as_str().is_some_and(|text| text.trim().is_empty()) {
                self.missing(key, INLINE);
            } else {
                self.note(
                    key,
                    "holds a secret as it is",
                    INLINE,
                    self.known_as(key, Mistake::Type, None).filter(|_| !value.is_str()),
                );
            }
            return None;
        }
        let mut table = self.table(key);
        other(&mut table);
        let found: Vec<SecretSource> = [
            table.text("env").and_then(|name| table.variable(name)),
            table.text("file").map(|path| SecretSource::File(self.reader.based(path))),
            table.text("credential").and_then(|name| table.credential(name)),
        ]
        .into_iter()
        .flatten()
        .collect();
        let named = ["env", "file", "credential"].into_iter().filter(|key| table.has(key)).count();
        match named {
            0 => table.note("", "does not say where the secret is", INLINE, self.known_as(key, Mistake::Missing, None)),
            1 => {}
            _ => table.wrong("", "names more than one place", "leave one of env, file and credential"),
        }
        table.finish_quietly();
        found.into_iter().next().filter(|_| named == 1)
    }

    /// Where a secret is kept.
    pub(super) fn secret(&mut self, key: &'static str) -> Option<SecretSource> {
        self.secret_with(key, |_| {})
    }

    /// A name that can be one of a variable: a secret that was written in its place is none, and is not shown.
    fn variable(&self, name: &str) -> Option<SecretSource> {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.len() <= 64 && name.chars().all(good) && !name.starts_with(|c: char| c.is_ascii_digit()) {
            return Some(SecretSource::Environment(name.to_owned()));
        }
        self.wrong(
            "env",
            "is no name of a variable",
            "name the variable that holds the secret, in letters, digits and underscores",
        );
        None
    }

    fn credential(&self, name: &str) -> Option<SecretSource> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.len() <= 64 && name.chars().all(good) && !name.starts_with('.') {
            return Some(SecretSource::Credential(name.to_owned()));
        }
        self.wrong("credential", "is no name of a credential", "it is the name before the colon in the unit's LoadCredential=");
        None
    }

    /// Notes what is left over: keys that nobody took.
    pub(super) fn finish(self) {
        self.finish_with(true);
    }

    /// The same without a list of keys that could be meant.
    fn finish_quietly(self) {
        self.finish_with(false);
    }

    fn finish_with(self, list: bool) {
        for (name, value) in self.entries.into_iter().flatten() {
            let key = name.get_ref().as_ref();
            if self.known.contains(&key) {
                continue;
            }
            let near = nearest(key, self.known.iter().copied());
            let elsewhere = ELSEWHERE.iter().find(|(other, ours)| {
                let first = ours.split('.').next().unwrap_or_default();
                other.eq_ignore_ascii_case(key) && self.known.contains(&first)
            });
            // What another program has for it is nearer than a name that only looks alike.
            let solution = match (elsewhere.map(|(_, ours)| *ours), near) {
                (Some(name), _) | (None, Some(name)) => format!("did you mean `{name}`?"),
                _ if list => format!("{} takes {}", self.path, self.known.join(", ")),
                _ => INLINE.to_owned(),
            };
            self.reader.note_unknown(Problem {
                place: self.reader.place(name.span().start.min(value.span().start)),
                key: self.full(key),
                message: format!("unknown key `{key}` in {}", self.path),
                solution,
                known_as: None,
            });
        }
    }
}
