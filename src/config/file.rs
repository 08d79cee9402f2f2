//! The file `kqlake.toml`: its text, its keys, and what is wrong in it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::de::DeTable;

use super::jobs;
use super::problem::Problem;
use super::table::Reader;
use super::tenants::{self, TenantConfig};
use crate::error::{Error, Result};
use kqlake_durable::pipe;
use kqlake_syntax::suggest::nearest;
use kqlake_value::encoding::decoded;

/// Bytes that a configuration file may have.
const MAX_FILE: u64 = 1 << 20;

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) lake: Option<PathBuf>,
    pub(super) export: Option<PathBuf>,
    pub(super) from: Option<Vec<PathBuf>>,
    pub(super) import_job_settings: Option<String>,
    pub(super) memory_limit: Option<String>,
    pub(super) spill_dir: Option<PathBuf>,
    pub(super) timeout: Option<String>,
    pub(super) threads: Option<usize>,
    pub(super) quarantine_keep: Option<String>,
    pub(super) quarantine_size: Option<String>,
    pub(super) date_order: Option<String>,
    pub(super) params: Option<BTreeMap<String, String>>,
    pub(super) external_data: Option<Vec<String>>,
    pub(super) external_locations: Option<BTreeMap<String, PathBuf>>,
    pub(super) watchlists: Option<PathBuf>,
    pub(super) watchlist_keys: Option<BTreeMap<String, String>>,
    pub(super) ip_locations: Option<PathBuf>,
    pub(super) same_lake: Option<BTreeMap<String, Vec<String>>>,
    /// Read by itself, with everything that is wrong in it.
    #[serde(rename = "tenants")]
    _tenants: Option<IgnoredAny>,
}

impl Document {
    /// A key whose value is an empty text where that means nothing; an empty path would mean the file's own folder.
    fn empty_value(&self) -> Option<&'static str> {
        let paths = [
            ("lake", &self.lake),
            ("export", &self.export),
            ("spill_dir", &self.spill_dir),
            ("watchlists", &self.watchlists),
            ("ip_locations", &self.ip_locations),
        ]
        .into_iter()
        .flat_map(|(key, path)| path.iter().map(move |path| (key, path.as_path())));
        let texts = [
            ("import_job_settings", &self.import_job_settings),
            ("memory_limit", &self.memory_limit),
            ("timeout", &self.timeout),
            ("quarantine_keep", &self.quarantine_keep),
            ("quarantine_size", &self.quarantine_size),
            ("date_order", &self.date_order),
        ]
        .into_iter()
        .flat_map(|(key, text)| text.iter().map(move |text| (key, Path::new(text))));
        let from = self.from.iter().flatten().map(|path| ("from", path.as_path()));
        let lists = from.chain(self.external_data.iter().flatten().map(|entry| ("external_data", Path::new(entry))));
        let locations = self.external_locations.iter().flatten();
        let locations =
            locations.flat_map(|(address, path)| [Path::new(address), path.as_path()]).map(|path| ("external_locations", path));
        let mut all = paths.chain(texts).chain(lists).chain(locations);
        all.find(|(_, value)| value.as_os_str().is_empty()).map(|(key, _)| key)
    }
}

/// What a file says, as far as it can be read, and what is wrong in it.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Everything but the tenants; as if nothing was said where it cannot be read.
    pub(super) document: Document,
    /// Tenants that are complete.
    pub(super) tenants: Vec<TenantConfig>,
    /// All mistakes.
    pub(super) problems: Vec<Problem>,
}

/// Reads a configuration file. `jobs` is the text of the environment that switches sections on.
///
/// # Errors
/// The file cannot be read at all.
pub(super) fn read(path: &Path, jobs: Option<&str>) -> Result<Contents> {
    Ok(parse(path, &text(path)?, jobs))
}

/// The same of a text that is, or will be, the content of a file.
pub(super) fn parse(path: &Path, text: &str, jobs: Option<&str>) -> Contents {
    let reader = Reader::new(path, text);
    let parsed = match DeTable::parse(text) {
        Ok(parsed) => parsed,
        Err(err) => {
            let place = reader.place(err.span().map_or(0, |span| span.start));
            let solution = "correct the line; `kqlake init` writes an example".to_owned();
            let problem = Problem { place, key: String::new(), message: err.message().to_owned(), solution, known_as: None };
            return Contents { problems: vec![problem], ..Contents::default() };
        }
    };
    let document = document(&reader, text);
    if let Some(key) = document.empty_value() {
        reader.note(Problem {
            place: path.display().to_string(),
            key: key.to_owned(),
            message: format!("`{key}` in {} is empty", path.display()),
            solution: "give it a value, or leave it out".to_owned(),
            known_as: None,
        });
    }
    let own = document.import_job_settings.as_deref();
    let switched = jobs.or(own).map(jobs::parse);
    if let (None, Some(Err((message, solution)))) = (jobs, &switched) {
        reader.note(Problem {
            place: path.display().to_string(),
            key: "import_job_settings".to_owned(),
            message: format!("import_job_settings {message}"),
            solution: solution.clone(),
            known_as: None,
        });
    }
    let switched = switched.and_then(Result::ok);
    let mut tenants = tenants::read(&reader, parsed.get_ref(), switched.as_ref());
    // The environment wins over the file.
    if let (Some(_), Some(switched)) = (jobs, switched) {
        tenants.iter_mut().for_each(|tenant| tenant.jobs.clone_from(&switched));
    }
    Contents { document, tenants, problems: reader.into_problems() }
}

/// The keys at the top as far as they can be read: each that cannot is noted, and left out of the next try.
fn document(reader: &Reader<'_>, text: &str) -> Document {
    let Ok(mut left) = DeTable::parse(text) else { return Document::default() };
    loop {
        let err = match Document::deserialize(toml::de::Deserializer::from(left.clone())) {
            Ok(document) => return document,
            Err(err) => err,
        };
        note(reader, &err);
        let at = err.span().map_or(0, |span| span.start);
        // The last key that begins before what is wrong.
        let wrong = left.get_ref().iter().filter(|(key, _)| key.span().start <= at).max_by_key(|(key, _)| key.span().start);
        let Some(wrong) = wrong.map(|(key, _)| key.clone()) else { return Document::default() };
        left.get_mut().remove(&wrong);
    }
}

/// Notes what keeps the keys at the top from being read. A value may be in the message: those of tenants, where secrets are
/// near, are not read this way.
fn note(reader: &Reader<'_>, err: &toml::de::Error) {
    let mut candidates = err.message().split('`').skip(1).step_by(2);
    let unknown = err.message().strip_prefix("unknown field `").and(candidates.next());
    let solution = match unknown.and_then(|word| nearest(word, candidates)) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "correct the line; `kqlake init` writes an example".to_owned(),
    };
    reader.note(Problem {
        place: reader.place(err.span().map_or(0, |span| span.start)),
        key: unknown.unwrap_or_default().to_owned(),
        message: in_words(err.message()),
        solution,
        known_as: None,
    });
}

/// What the parser says of a value, without the names of types in its program.
fn in_words(message: &str) -> String {
    let words = [("expected usize", "expected a whole number"), ("expected path string", "expected a path in quotes")];
    words.iter().fold(message.to_owned(), |message, (type_name, word)| message.replace(type_name, word))
}

fn text(path: &Path) -> Result<String> {
    let failed = |reason: String| Error::usage(format!("cannot read the configuration {}: {reason}", path.display()));
    if path.is_dir() {
        return Err(failed("it is a folder".to_owned()).hint("a file was expected, such as kqlake.toml"));
    }
    let mut bytes = Vec::new();
    let file = pipe::read(path).map_err(|err| failed(err.to_string()))?;
    // A device may have no end.
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|err| failed(err.to_string()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(failed(format!("it has more than {MAX_FILE} bytes")));
    }
    decoded(bytes).map_err(|err| failed(err.to_string()).hint("save it as UTF-8"))
}
