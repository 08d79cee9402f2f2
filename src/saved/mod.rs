//! Saved queries: KQL or SQL files whose header comment says what they answer, which parameters they take and how they
//! are shown.
//!
//! ```text
//! // title: How long opening a company takes
//! // question: How long does opening a company take, by company and client type?
//! // param: since datetime = datetime(1900-01-01) — first moment looked at
//! // chart: table
//! // export: true
//! ```
//!
//! The queries of `sql/` are part of the program; those in a folder `sql` where it runs come on top and may replace them.

mod header;

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::kql::suggest::nearest;

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
    /// Default, as it is written.
    pub default: String,
    /// What it means.
    pub about: String,
}

/// A saved query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
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

/// All saved queries by name: the program's own, and those of `folder` where it exists.
///
/// # Errors
/// When a file of the folder cannot be read, its header cannot be understood, or two files have one name.
pub fn all(folder: &Path) -> Result<Vec<Saved>> {
    let mut found: BTreeMap<String, Saved> = BTreeMap::new();
    for (file, text) in BUILT_IN {
        let Some((name, language)) = name_and_language(Path::new(file)) else { continue };
        found.insert(name.clone(), header::read(name, format!("{FOLDER}/{file}"), language, text)?);
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
            if let Some(first) = own.insert(name.clone(), file.clone()) {
                return Err(Error::usage(format!("{first} and {file} are both the saved query `{name}`"))
                    .hint("rename or remove one of them"));
            }
            let text = std::fs::read_to_string(&path).map_err(|err| Error::usage(format!("cannot read {file}: {err}")))?;
            found.insert(name.clone(), header::read(name, file, language, &text)?);
        }
    }
    Ok(found.into_values().collect())
}

/// One saved query by its name.
///
/// # Errors
/// For an unknown name (with the nearest one), or as [`all`].
pub fn find(name: &str, folder: &Path) -> Result<Saved> {
    let mut queries = all(folder)?;
    if let Some(at) = queries.iter().position(|q| q.name == name) {
        return Ok(queries.swap_remove(at));
    }
    let error = Error::usage(format!("there is no saved query `{name}`"));
    Err(match nearest(name, queries.iter().map(|q| q.name.as_str())) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("`kqlake queries` lists them"),
    })
}

fn name_and_language(path: &Path) -> Option<(String, Language)> {
    let language = match path.extension()?.to_str()? {
        "kql" => Language::Kql,
        "sql" => Language::Sql,
        _ => return None,
    };
    Some((path.file_stem()?.to_str()?.to_owned(), language))
}

impl Saved {
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
    fn every_header_is_complete_and_declares_what_the_query_declares() {
        for saved in all(Path::new("nowhere")).unwrap() {
            assert!(saved.title != saved.name && saved.question.ends_with('?') && saved.chart.is_some(), "{}", saved.name);
            let declared =
                saved.text.split("declare query_parameters(").nth(1).map_or("", |rest| rest.split(");").next().unwrap_or(""));
            for param in &saved.params {
                assert!(declared.contains(&format!("{}:{}", param.name, param.ty)), "{}: {}", saved.name, param.name);
                assert!(!param.about.is_empty() && !param.default.is_empty(), "{}: {}", saved.name, param.name);
            }
        }
    }

    #[test]
    fn a_folder_adds_and_replaces_queries() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("mine.kql"), "// title: Mine\n// param: n long = 3 — how many\nprint n").unwrap();
        std::fs::write(dir.path().join("call-overview.sql"), "-- title: Other\nSELECT 1").unwrap();
        let mine = find("mine", dir.path()).unwrap();
        assert_eq!((mine.title.as_str(), mine.params[0].default.as_str()), ("Mine", "3"));
        assert_eq!(find("call-overview", dir.path()).unwrap().language, Language::Sql);
        let err = find("call-overvew", dir.path()).unwrap_err();
        assert_eq!(err.advice(), Some("did you mean `call-overview`?"));
        std::fs::write(dir.path().join("mine.sql"), "SELECT 2").unwrap();
        assert!(all(dir.path()).unwrap_err().to_string().contains("are both the saved query `mine`"));
        let given = BTreeMap::from([("m".to_owned(), "4".to_owned())]);
        assert_eq!(mine.values(&given, &BTreeMap::new()).unwrap_err().advice(), Some("did you mean `n`?"));
    }
}
