//! Saved queries: KQL or SQL files whose header comment says what they answer, which parameters they take and how they
//! are shown.
//!
//! ```text
//! // title: How long opening a company takes
//! // question: How long does opening a company take, by company and client type?
//! // param: since — first moment looked at
//! // chart: table
//! // export: true
//! declare query_parameters(since: datetime = datetime(1900-01-01));
//! ```
//!
//! Parameters are those that the text declares; a line of the header says what one means, and may say its type and default again.
//!
//! The queries of `sql/` are part of the program; those in a folder `sql` where it runs come on top and may replace them.

mod header;
pub(crate) mod names;
mod params;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read as _;
use std::path::Path;

pub use self::header::HeaderError;
use crate::error::{Error, Result};
use kqlake_syntax::suggest::nearest;
use kqlake_value::encoding::decoded;

/// The folder where further saved queries are looked for.
pub const FOLDER: &str = "sql";

/// Language of a saved query, by its file's ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `.kql`
    Kql,
    /// `.sql`
    Sql,
}

/// A parameter of a saved query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Name.
    pub name: String,
    /// KQL type.
    pub ty: String,
    /// Default, as it is written; a query without one asks for a value.
    pub default: Option<String>,
    /// What it means, where the header says it.
    pub about: String,
}

/// A saved query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedQuery {
    /// Name: the file's name without its ending.
    pub name: String,
    /// Where it comes from, for messages.
    pub file: String,
    /// Language.
    pub language: Language,
    /// Title.
    pub title: String,
    /// The question that it answers.
    pub question: String,
    /// Parameters.
    pub params: Vec<Parameter>,
    /// How the result is best drawn.
    pub chart: Option<String>,
    /// True when `nightly` and `export` write its result.
    pub export: bool,
    /// What else a reader should know.
    pub note: Option<String>,
    /// The whole text.
    pub text: String,
}

macro_rules! built_in {
    ($($file:literal),+ $(,)?) => {
        &[$(($file, include_str!(concat!("../../sql/", $file)))),+]
    };
}

/// The files of `sql/`. A test compares this list with the folder.
const BUILT_IN: &[(&str, &str)] = built_in!(
    "audit-activity.kql",
    "authorization-outcomes.kql",
    "call-overview.kql",
    "call-webhook-failures.kql",
    "call-webhook-notifications.kql",
    "call-webhook-subscriptions.kql",
    "company-open-duration.kql",
    "company-open-external-calls-by-extension.kql",
    "company-open-latency-by-extension.kql",
    "company-open-sql-by-extension.kql",
    "failure-reason-breakdown.kql",
    "import-cycles.kql",
    "import-freshness.kql",
    "import-sections.kql",
    "message-trace-problems.kql",
    "message-trace-status.kql",
    "section-completion-gaps.kql",
    "service-bus-messages.kql",
    "sign-in-by-user-and-client-type.kql",
);

/// The saved queries that there are.
#[derive(Debug, Default)]
pub struct Collection {
    /// Those that can be used, by name.
    pub queries: Vec<SavedQuery>,
    /// Files that are none that can be used: a folder, text that is not UTF-8, a header with a mistake, a name of two files.
    pub broken: Vec<BrokenQuery>,
}

/// A file that should be a saved query.
#[derive(Debug)]
pub struct BrokenQuery {
    /// Name of the query that it should be.
    pub name: String,
    /// What is wrong, with the file's name.
    pub error: Error,
}

/// All saved queries by name: the program's own, and those of `folder` where it exists. A broken file of the folder takes
/// the place of the program's own query as a sound one does.
///
/// # Errors
/// When the folder cannot be listed.
pub fn all(folder: &Path) -> Result<Collection> {
    let mut found: BTreeMap<String, Result<SavedQuery>> = BTreeMap::new();
    for (file, text) in BUILT_IN {
        let Some((name, language)) = name_and_language(Path::new(file)) else { continue };
        found.insert(name.clone(), header::read(name, format!("{FOLDER}/{file}"), language, text).map_err(Error::from));
    }
    if folder.is_dir() {
        let failed = |err| Error::usage(format!("cannot read the folder {}: {err}", folder.display()));
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            files.push(entry.map_err(failed)?.path());
        }
        // The same file is named in each run, whatever order the system lists files in.
        files.sort();
        let mut own: BTreeMap<String, String> = BTreeMap::new();
        for path in files {
            let Some((name, language)) = name_and_language(&path) else { continue };
            let file = path.display().to_string();
            let query = match own.insert(name.clone(), file.clone()) {
                Some(first) => Err(Error::usage(format!("{first} and {file} are both the saved query `{name}`"))
                    .hint("rename or remove one of them")),
                None => read(&path, name.clone(), language),
            };
            found.insert(name, query);
        }
    }
    let mut all = Collection::default();
    for (name, query) in found {
        match query {
            Ok(query) => all.queries.push(query),
            Err(error) => all.broken.push(BrokenQuery { name, error }),
        }
    }
    Ok(all)
}

/// Bytes of a saved query, at most.
const MAX_FILE: u64 = 4 << 20;

fn read(path: &Path, name: String, language: Language) -> Result<SavedQuery> {
    let file = path.display().to_string();
    if let Some(why) = names::refusal(&name) {
        return Err(
            Error::usage(format!("{file} cannot be a saved query: its name is `{name}`, and {why}")).hint("rename the file")
        );
    }
    if path.file_stem().and_then(OsStr::to_str).is_none() {
        return Err(Error::usage(format!("{file} cannot be a saved query: its name is not UTF-8")).hint("rename the file"));
    }
    // A pipe or a device could be read without end.
    let failed = |err| Error::usage(format!("cannot read the saved query {file}: {err}"));
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::usage(format!("cannot read the saved query {file}: it is not a file")).hint("rename or remove it"));
    }
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path).map_err(failed)?;
    opened.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        let message = format!("cannot read the saved query {file}: it has more than {} MB, which is no query", MAX_FILE >> 20);
        return Err(Error::usage(message).hint("rename or remove it"));
    }
    let text = decoded(bytes)
        .map_err(|err| Error::usage(format!("cannot read the saved query {file}: {err}")).hint("save it as UTF-8"))?;
    Ok(header::read(name, file, language, &text)?)
}

/// One saved query by its name. Other files that are broken do not matter.
///
/// # Errors
/// For an unknown name (with the nearest one), when its file is broken, or as [`all`].
pub fn find(name: &str, folder: &Path) -> Result<SavedQuery> {
    all(folder)?.take(name)
}

impl Collection {
    /// Takes one query by its name.
    ///
    /// # Errors
    /// For an unknown name (with the nearest one), or when its file is broken.
    pub fn take(&mut self, name: &str) -> Result<SavedQuery> {
        if let Some(at) = self.queries.iter().position(|q| q.name == name) {
            return Ok(self.queries.swap_remove(at));
        }
        if let Some(at) = self.broken.iter().position(|b| b.name == name) {
            return Err(self.broken.swap_remove(at).error);
        }
        let error = Error::usage(format!("there is no saved query `{name}`"));
        Err(match nearest(name, self.queries.iter().map(|q| q.name.as_str())) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("`kqlake queries` lists them"),
        })
    }
}

/// What is wrong with the header of a file, where it lies among saved queries; the comments of other files are their own.
pub fn header_mistake(path: &Path, text: &str) -> Option<HeaderError> {
    let (name, language) = name_and_language(path)?;
    let folder = path.canonicalize().ok()?;
    if folder.parent()?.file_name()? != FOLDER {
        return None;
    }
    header::read(name, path.display().to_string(), language, text).err()
}

/// Name and language by a file's name, whose ending may be in capitals; a name that is not UTF-8 has marks in place of what is not.
fn name_and_language(path: &Path) -> Option<(String, Language)> {
    let language = match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "kql" => Language::Kql,
        "sql" => Language::Sql,
        _ => return None,
    };
    Some((path.file_stem()?.to_string_lossy().into_owned(), language))
}

impl SavedQuery {
    /// The values to run with: `given` ones, and for those left out the `configured` ones that the query knows.
    ///
    /// # Errors
    /// For a given name that the query does not declare.
    pub fn values(
        &self,
        given: &BTreeMap<String, String>,
        configured: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>> {
        let known = || self.params.iter().map(|p| p.name.as_str());
        if let Some(name) = given.keys().find(|name| !known().any(|k| k == *name)) {
            let error = Error::usage(format!("the saved query {} has no parameter `{name}`", self.name));
            return Err(match nearest(name, known()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None if self.params.is_empty() => error.hint("it takes none"),
                None => error.hint(format!("it takes {}", known().collect::<Vec<_>>().join(", "))),
            });
        }
        let mut values: BTreeMap<String, String> =
            configured.iter().filter(|(name, _)| known().any(|k| k == *name)).map(|(k, v)| (k.clone(), v.clone())).collect();
        values.extend(given.iter().map(|(k, v)| (k.clone(), v.clone())));
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
        let mut files: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        assert_eq!(files, BUILT_IN.iter().map(|(file, _)| *file).collect::<Vec<_>>());
    }

    #[test]
    fn every_header_is_complete() {
        for saved in all(Path::new("nowhere")).unwrap().queries {
            assert!(saved.title != saved.name && saved.question.ends_with('?') && saved.chart.is_some(), "{}", saved.name);
            for param in &saved.params {
                assert!(!param.about.is_empty() && param.default.is_some(), "{}: {}", saved.name, param.name);
            }
        }
    }

    #[test]
    fn a_folder_adds_and_replaces_queries() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("mine.kql"),
            "// title: Mine\n// param: n — how many\ndeclare query_parameters(n: long = 3); print n",
        )
        .unwrap();
        std::fs::write(dir.path().join("call-overview.sql"), "-- title: Other\nSELECT 1").unwrap();
        let mine = find("mine", dir.path()).unwrap();
        assert_eq!((mine.title.as_str(), mine.params[0].default.as_deref()), ("Mine", Some("3")));
        assert_eq!(find("call-overview", dir.path()).unwrap().language, Language::Sql);
        let err = find("call-overvew", dir.path()).unwrap_err();
        assert_eq!(err.advice(), Some("did you mean `call-overview`?"));
        std::fs::write(dir.path().join("mine.sql"), "SELECT 2").unwrap();
        assert!(find("mine", dir.path()).unwrap_err().to_string().contains("are both the saved query `mine`"));
        let given = BTreeMap::from([("m".to_owned(), "4".to_owned())]);
        assert_eq!(mine.values(&given, &BTreeMap::new()).unwrap_err().advice(), Some("did you mean `n`?"));
    }
    #[test]
    fn a_broken_file_is_named_and_keeps_no_other_query() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("folder.kql")).unwrap();
        std::fs::write(dir.path().join("latin.kql"), b"print 1\n| extend x = '\xe4'").unwrap();
        std::fs::write(dir.path().join("header.kql"), "// export: perhaps\nprint 1").unwrap();
        // Broken, it is not the program's own query of that name either.
        std::fs::write(dir.path().join("call-overview.kql"), b"\xff").unwrap();
        let hidden = [".hidden.kql", "..kql", "...kql"];
        for name in hidden {
            std::fs::write(dir.path().join(name), "print 1").unwrap();
        }
        std::fs::write(dir.path().join("good.kql"), "print 1").unwrap();
        let found = all(dir.path()).unwrap();
        assert_eq!(found.queries.len(), BUILT_IN.len());
        let said: Vec<String> = found.broken.iter().map(|b| b.error.to_string()).collect();
        for part in
            ["folder.kql: it is not a file", "latin.kql: line 2 is not UTF-8", "header.kql:1", "call-overview.kql: line 1"]
        {
            assert!(said.iter().any(|text| text.contains(part)), "{part}: {said:?}");
        }
        assert_eq!(said.iter().filter(|text| text.contains("its name is `.")).count(), hidden.len(), "{said:?}");
        assert!(find("good", dir.path()).is_ok() && find("latin", dir.path()).is_err() && find("..", dir.path()).is_err());
    }
}
