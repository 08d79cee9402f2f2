//! Settings: a flag wins over the environment (`KQLAKE_*`), that over the file `kqlake.toml`, that over the default.
//!
//! This is the only place that reads the environment. Secrets are no settings of this file.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::error::{Error, Result};
use kqlake_durable::Apart;
use kqlake_durable::pipe;
use kqlake_import::DateOrder;
use kqlake_kql::catalog::FileRoot;
use kqlake_syntax::suggest::nearest;

/// The configuration file that is read when none is named and it exists in the working folder.
pub const FILE: &str = "kqlake.toml";
/// Where the lake is when nothing says otherwise.
const DEFAULT_LAKE: &str = "data/lake";
/// Where exports go when nothing says otherwise.
const DEFAULT_EXPORT: &str = "data/export";
/// What `nightly` imports when nothing is configured.
const DEFAULT_FIXTURES: &str = "fixtures";
/// Longest time a query may run when nothing says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
/// Memory that queries, imports and compaction may hold when nothing says otherwise.
pub const DEFAULT_MEMORY: usize = 2 << 30;

/// How long refused records are kept when nothing says otherwise.
const DEFAULT_QUARANTINE_KEEP: Duration = Duration::from_secs(90 * 86_400);
/// Bytes of refused records that are kept when nothing says otherwise.
const DEFAULT_QUARANTINE_SIZE: usize = 1 << 30;

/// The most threads that may be asked for: more than any one machine has processors.
const MAX_THREADS: usize = 1024;
/// The least memory that may be asked for: with less no query that reads a table can run.
const MIN_MEMORY: usize = 1 << 20;
/// Bytes that a configuration file may have.
const MAX_FILE: u64 = 1 << 20;

/// Variables of the environment that are read.
const VARIABLES: &[&str] = &[
    "KQLAKE_CONFIG",
    "KQLAKE_LAKE",
    "KQLAKE_EXPORT",
    "KQLAKE_MEMORY_LIMIT",
    "KQLAKE_TIMEOUT",
    "KQLAKE_THREADS",
    "KQLAKE_SPILL_DIR",
    "KQLAKE_IMPORT_JOB_SETTINGS",
    "KQLAKE_LOG",
    "KQLAKE_NOW",
];

/// Keys of the file, for suggestions.
const KEYS: &[&str] = &[
    "lake",
    "export",
    "from",
    "import_job_settings",
    "memory_limit",
    "spill_dir",
    "timeout",
    "threads",
    "quarantine_keep",
    "quarantine_size",
    "date_order",
    "params",
    "external_data",
    "external_locations",
    "same_lake",
];

/// What a name below `[same_lake]` may be of.
const SAME_LAKE: &[&str] = &["cluster", "database", "workspace", "app", "adx", "arg"];

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    lake: Option<PathBuf>,
    export: Option<PathBuf>,
    from: Option<Vec<PathBuf>>,
    import_job_settings: Option<String>,
    memory_limit: Option<String>,
    spill_dir: Option<PathBuf>,
    timeout: Option<String>,
    threads: Option<usize>,
    quarantine_keep: Option<String>,
    quarantine_size: Option<String>,
    date_order: Option<String>,
    params: Option<BTreeMap<String, String>>,
    external_data: Option<Vec<PathBuf>>,
    external_locations: Option<BTreeMap<String, PathBuf>>,
    same_lake: Option<BTreeMap<String, Vec<String>>>,
}

impl Document {
    /// A key whose value is an empty text where that means nothing; an empty path would mean the file's own folder.
    fn empty_value(&self) -> Option<&'static str> {
        let paths = [("lake", &self.lake), ("export", &self.export), ("spill_dir", &self.spill_dir)]
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
        let lists = [("from", &self.from), ("external_data", &self.external_data)]
            .into_iter()
            .flat_map(|(key, list)| list.iter().flatten().map(move |path| (key, path.as_path())));
        let locations = self.external_locations.iter().flatten();
        let locations =
            locations.flat_map(|(address, path)| [Path::new(address), path.as_path()]).map(|path| ("external_locations", path));
        let mut all = paths.chain(texts).chain(lists).chain(locations);
        all.find(|(_, value)| value.as_os_str().is_empty()).map(|(key, _)| key)
    }
}

/// What the command line says about settings.
#[derive(Debug, Default, Clone)]
pub struct Flags {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--lake`
    pub lake: Option<PathBuf>,
    /// `--memory-limit`
    pub memory_limit: Option<String>,
    /// `--timeout`
    pub timeout: Option<String>,
    /// `--threads`
    pub threads: Option<usize>,
}

/// Everything that is configured, with its defaults filled in.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// The lake's folder.
    pub lake: PathBuf,
    /// Where exports go.
    pub export: PathBuf,
    /// Files and folders that `nightly` imports; `None` when nothing is configured.
    pub from: Option<Vec<PathBuf>>,
    /// Which sections the importer is set to run, `Calls=True;GraphUsersMetadata=True;…`: the default of the saved
    /// queries' parameter of the same meaning.
    pub import_job_settings: Option<String>,
    /// Bytes that the engine may hold.
    pub memory_limit: usize,
    /// Where sorts and joins spill; the system's folder for temporary files when not set.
    pub spill_dir: Option<PathBuf>,
    /// Longest time a query may run; `None` is no limit.
    pub timeout: Option<Duration>,
    /// Threads and partitions; the number of processors when not set.
    pub threads: Option<usize>,
    /// How long refused records are kept; `None` is for ever.
    pub quarantine_keep: Option<Duration>,
    /// Bytes of refused records that are kept.
    pub quarantine_size: usize,
    /// What stands first in dates such as `02/03/2026` of imported files that do not show it.
    pub date_order: DateOrder,
    /// Values of saved queries' parameters by name, in place of the defaults in their headers.
    pub params: BTreeMap<String, String>,
    /// Folders whose files `externaldata` may read, and addresses that stand for one.
    pub external_data: Vec<FileRoot>,
    /// Names that stand for this lake in `cluster('…')`, `database('…')`, `workspace('…')` and the like, by kind.
    pub same_lake: BTreeMap<String, Vec<String>>,
}

impl Config {
    /// Reads the file and the environment and lays the flags over them.
    ///
    /// # Errors
    /// A named file that does not exist, an unknown key, a value that cannot be read, a variable or key that is set and empty, a
    /// folder to spill to that is missing or lies in the lake: always [`Error::Usage`].
    pub fn load(flags: &Flags, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Config> {
        // Also where a flag wins: a variable without a value is a mistake somewhere.
        VARIABLES.iter().try_for_each(|name| filled(name, env(name)).map(drop))?;
        let text = |name: &str| env(name).map(|value| text_of(name, value)).transpose();
        let named = flags.config.clone().or_else(|| env("KQLAKE_CONFIG").map(PathBuf::from));
        let file = match named {
            Some(path) => Some(path),
            // Whatever has the name is meant to be the file, also when it is a folder or a link that leads nowhere.
            None => Some(PathBuf::from(FILE)).filter(|p| p.symlink_metadata().is_ok()),
        };
        let document = file.as_deref().map(read).transpose()?.unwrap_or_default();
        if let Some(key) = document.empty_value() {
            let error = Error::usage(format!("`{key}` in {} is empty", file.as_deref().unwrap_or(Path::new(FILE)).display()));
            return Err(error.hint("give it a value, or leave it out"));
        }
        // Paths in the file are meant from the file's folder, so that it works from anywhere.
        let base = file.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_path_buf();
        let based = |path: PathBuf| if base.as_os_str().is_empty() { path } else { base.join(path) };
        let path = |flag: Option<PathBuf>, name: &str, written: Option<PathBuf>| {
            flag.or_else(|| env(name).map(PathBuf::from)).or(written.map(based))
        };

        // With the place where it was written; a flag is before everybody's eyes.
        let written = |name: &str, key: &str, value: Option<String>| -> Result<Option<(String, String)>> {
            let variable = text(name)?.map(|value| (format!("{name}: "), value));
            let shown = file.as_deref().unwrap_or(Path::new(FILE)).display();
            Ok(variable.or(value.map(|value| (format!("`{key}` in {shown}: "), value))))
        };
        let flag = |value: &Option<String>| value.clone().map(|value| (String::new(), value));
        let memory = flag(&flags.memory_limit).or(written("KQLAKE_MEMORY_LIMIT", "memory_limit", document.memory_limit)?);
        let timeout = flag(&flags.timeout).or(written("KQLAKE_TIMEOUT", "timeout", document.timeout)?);
        let threads = match (flags.threads, text("KQLAKE_THREADS")?) {
            (Some(n), _) => Some(n),
            (None, Some(text)) => {
                Some(text.parse().map_err(|_| Error::usage(format!("KQLAKE_THREADS is `{text}`, a whole number was expected")))?)
            }
            (None, None) => document.threads,
        };
        if let Some(n) = threads.filter(|n| !(1..=MAX_THREADS).contains(n)) {
            return Err(Error::usage(format!("the number of threads is {n}, a number from 1 to {MAX_THREADS} was expected"))
                .hint("leave it out to use one thread for each processor"));
        }
        let (place, memory_limit) = match memory {
            Some((place, text)) => parse_bytes(&text).map_err(|err| err.at(&place)).map(|bytes| (place, bytes))?,
            None => (String::new(), DEFAULT_MEMORY),
        };
        if memory_limit < MIN_MEMORY {
            return Err(Error::usage(format!("{place}the memory limit is {memory_limit} bytes, at least 1MB was expected"))
                .hint("write it as 512MB or 2GB"));
        }
        let shown = file.as_deref().unwrap_or(Path::new(FILE)).display().to_string();
        let quarantine_keep = match &document.quarantine_keep {
            Some(text) => parse_duration(text).map_err(|err| err.at(&format!("`quarantine_keep` in {shown}: ")))?,
            None => Some(DEFAULT_QUARANTINE_KEEP),
        };
        let quarantine_size = match &document.quarantine_size {
            Some(text) => parse_bytes(text).map_err(|err| err.at(&format!("`quarantine_size` in {shown}: ")))?,
            None => DEFAULT_QUARANTINE_SIZE,
        };
        let date_order = match &document.date_order {
            Some(text) => parse_date_order(text).map_err(|err| err.at(&format!("`date_order` in {shown}: ")))?,
            None => DateOrder::Unknown,
        };
        let same_lake = document.same_lake.unwrap_or_default();
        if let Some(kind) = same_lake.keys().find(|kind| !SAME_LAKE.contains(&kind.as_str())) {
            let error = Error::usage(format!("[same_lake] in {FILE} has `{kind}`, which names no lake"));
            return Err(error.hint(format!("it takes {}", SAME_LAKE.join(", "))));
        }
        let folders = document.external_data.into_iter().flatten().map(|folder| (folder, None));
        let locations = document.external_locations.into_iter().flatten().map(|(address, folder)| (folder, Some(address)));
        let external_data =
            folders.chain(locations).map(|(folder, address)| FileRoot { folder: based(folder), address }).collect();
        let lake = path(flags.lake.clone(), "KQLAKE_LAKE", document.lake).unwrap_or_else(|| DEFAULT_LAKE.into());
        let spill_dir = path(None, "KQLAKE_SPILL_DIR", document.spill_dir);
        spill_dir.as_deref().map_or(Ok(()), |folder| check_spill_dir(folder, &lake))?;
        Ok(Config {
            external_data,
            same_lake,
            lake,
            export: path(None, "KQLAKE_EXPORT", document.export).unwrap_or_else(|| DEFAULT_EXPORT.into()),
            from: document.from.map(|paths| paths.into_iter().map(&based).collect()),
            import_job_settings: text("KQLAKE_IMPORT_JOB_SETTINGS")?.or(document.import_job_settings),
            memory_limit,
            spill_dir,
            timeout: match timeout {
                Some((place, text)) => parse_duration(&text).map_err(|err| err.at(&place))?,
                None => Some(DEFAULT_TIMEOUT),
            },
            threads,
            quarantine_keep,
            quarantine_size,
            date_order,
            params: document.params.unwrap_or_default(),
            file,
        })
    }

    /// What `nightly` and `import` read when no path is given: what is configured, else `fixtures/` where it exists.
    ///
    /// # Errors
    /// When there is neither.
    pub fn import_paths(&self) -> Result<Vec<PathBuf>> {
        if let Some(paths) = &self.from {
            return Ok(paths.clone());
        }
        let fixtures = PathBuf::from(DEFAULT_FIXTURES);
        if fixtures.is_dir() {
            return Ok(vec![fixtures]);
        }
        Err(Error::usage("nothing to import: no `from` is configured and there is no folder `fixtures` here")
            .hint(format!("name files with `kqlake import --from PATH`, or write `from = [\"PATH\"]` into {FILE}")))
    }
}

/// A variable of the process's environment that is not ours; empty counts as not set, as others have it.
#[expect(clippy::disallowed_methods, reason = "here the environment comes in")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// One of our variables of the process's environment, as it is.
#[expect(clippy::disallowed_methods, reason = "here the environment comes in")]
pub fn variable_as_it_is(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The text of one of our variables of the process's environment.
///
/// # Errors
/// It is set and empty, or no text.
pub fn variable(name: &str) -> Result<Option<String>> {
    filled(name, variable_as_it_is(name))?.map(|value| text_of(name, value)).transpose()
}

/// Refuses variables of the process's environment that are most likely meant to be one of ours.
///
/// # Errors
/// There is one whose name is nearly, but not quite, one that is read.
#[expect(clippy::disallowed_methods, reason = "here the environment comes in")]
pub fn check_names() -> Result<()> {
    std::env::vars_os().try_for_each(|(name, _)| check_name(&name))
}

fn check_name(name: &OsStr) -> Result<()> {
    let Some(name) = name.to_str().filter(|name| name.starts_with("KQLAKE_") && !VARIABLES.contains(name)) else {
        return Ok(());
    };
    match nearest(name, VARIABLES.iter().copied()) {
        Some(known) => Err(Error::usage(format!("the environment has {name}, which is not read"))
            .hint(format!("did you mean {known}? If not, unset it"))),
        None => Ok(()),
    }
}

/// Refuses a folder to spill to that is no folder, or lies in the lake. A missing one is not made: it may be a disk that is not
/// mounted, whose place would fill another one.
fn check_spill_dir(folder: &Path, lake: &Path) -> Result<()> {
    let refused = |what: String, advice: &str| {
        Err(Error::usage(format!("the folder to spill to, {}, {what}", folder.display())).hint(advice))
    };
    if !folder.is_dir() {
        let what = if folder.exists() { "is not a folder" } else { "does not exist" };
        return refused(what.to_owned(), "make it, or name another one with KQLAKE_SPILL_DIR or `spill_dir`");
    }
    if Apart::new(lake).contains(folder) {
        let what = format!("lies in the lake {}", lake.display());
        return refused(what, "the lake is written by imports alone; name a folder elsewhere");
    }
    Ok(())
}

fn filled(name: &str, value: Option<OsString>) -> Result<Option<OsString>> {
    if value.as_ref().is_some_and(|value| value.is_empty()) {
        return Err(Error::usage(format!("{name} is set in the environment, but empty")).hint("give it a value, or unset it"));
    }
    Ok(value)
}

fn text_of(name: &str, value: OsString) -> Result<String> {
    value.into_string().map_err(|value| Error::usage(format!("{name} is `{}`, which is not UTF-8", value.display())))
}

fn read(path: &Path) -> Result<Document> {
    let failed = |reason: String| Error::usage(format!("cannot read the configuration {}: {reason}", path.display()));
    if path.is_dir() {
        return Err(failed("it is a folder".to_owned()).hint(format!("a file was expected, such as {FILE}")));
    }
    let mut text = String::new();
    let file = pipe::read(path).map_err(|err| failed(err.to_string()))?;
    // A device may have no end.
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|err| failed(err.to_string()))?;
    if text.len() as u64 > MAX_FILE {
        return Err(failed(format!("it has more than {MAX_FILE} bytes")));
    }
    toml::from_str(&text).map_err(|err| {
        let line = err.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        let error = Error::usage(format!("{}:{line}: {}", path.display(), err.message()));
        let unknown = err.message().strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
        match unknown.and_then(|word| nearest(word, KEYS.iter().copied())) {
            Some(name) => error.hint(format!("did you mean `{name}`?")),
            None => error,
        }
    })
}

/// `month-first` or `day-first`: what stands first in dates.
pub(crate) fn parse_date_order(text: &str) -> Result<DateOrder> {
    match text.trim().to_ascii_lowercase().as_str() {
        "month-first" => Ok(DateOrder::MonthFirst),
        "day-first" => Ok(DateOrder::DayFirst),
        _ => Err(Error::usage(format!("`{text}` is no order of dates; write it as month-first or day-first"))),
    }
}

/// `512MB`, `2GiB`, `1000000`: bytes. Units count in 1024.
fn parse_bytes(text: &str) -> Result<usize> {
    let wrong = || Error::usage(format!("`{text}` is no amount of memory; write it as 512MB or 2GB"));
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = number * f64::from(1u32 << 10).powi(shift / 10);
    if !(1.0..=9e15).contains(&bytes) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie in a range that fits")]
    Ok(bytes as usize)
}

/// `90s`, `10m`, `2h`, `90d`, `250ms`, plain seconds; `0` and `none` are no limit.
fn parse_duration(text: &str) -> Result<Option<Duration>> {
    let wrong = || Error::usage(format!("`{text}` is no length of time; write it as 30s, 10m or 2h (0 for no limit)"));
    let trimmed = text.trim();
    if trimmed.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit.trim() {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        "d" => number * 86_400.0,
        _ => return Err(wrong()),
    };
    if seconds == 0.0 {
        return Ok(None);
    }
    Duration::try_from_secs_f64(seconds).map(Some).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &str) -> Option<OsString> {
        None
    }

    #[test]
    fn empty_and_mistyped_variables_are_refused() {
        for name in VARIABLES {
            let env = |asked: &str| (asked == *name).then(OsString::new);
            let err = Config::load(&Flags { lake: Some("x".into()), ..Flags::default() }, &env).unwrap_err();
            assert_eq!(err.status(), 2);
            assert!(err.to_string().contains(name), "{err}");
        }
        assert!(check_name("KQLAKE_LAEK".as_ref()).is_err_and(|err| err.advice().is_some_and(|a| a.contains("KQLAKE_LAKE"))));
        for other in ["KQLAKE_LAKE", "KQLAKE_SOMETHING_OF_SOMEBODY", "LAKE"] {
            assert!(check_name(other.as_ref()).is_ok(), "{other}");
        }
    }

    #[test]
    fn numbers_have_bounds() {
        for threads in [0, MAX_THREADS + 1] {
            let err = Config::load(&Flags { threads: Some(threads), ..Flags::default() }, &none).unwrap_err();
            assert!(err.status() == 2 && err.to_string().contains(&threads.to_string()), "{err}");
        }
        let err = Config::load(&Flags { memory_limit: Some("1".into()), ..Flags::default() }, &none).unwrap_err();
        assert!(err.status() == 2 && err.to_string().contains("1 bytes"), "{err}");
        for wrong in ["-1s", "NaN", "1e300", "inf", "", "99999999999999999999h"] {
            assert!(parse_duration(wrong).is_err_and(|err| err.status() == 2), "{wrong}");
        }
        for wrong in ["", "-1", "NaN", "1e3", "99999999999TB", "0"] {
            assert!(parse_bytes(wrong).is_err_and(|err| err.status() == 2), "{wrong}");
        }
    }

    #[test]
    fn only_a_file_of_reasonable_size_is_a_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let err = Config::load(&Flags { config: Some(dir.path().into()), ..Flags::default() }, &none).unwrap_err();
        assert!(err.status() == 2 && err.to_string().contains("folder"), "{err}");
        let file = dir.path().join("x.toml");
        std::fs::write(&file, "#".repeat((1 << 20) + 1)).unwrap();
        let err = Config::load(&Flags { config: Some(file), ..Flags::default() }, &none).unwrap_err();
        assert!(err.status() == 2 && err.to_string().contains("more than"), "{err}");
    }

    #[test]
    fn flag_beats_environment_beats_file_beats_default() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("my.toml");
        std::fs::write(&file, "lake = \"lake-of-file\"\ntimeout = \"5s\"\nthreads = 3\nquarantine_keep = \"0\"\n").unwrap();
        let flags = Flags { config: Some(file), threads: Some(7), ..Flags::default() };
        let env = |name: &str| (name == "KQLAKE_TIMEOUT").then(|| "2m".into());
        let config = Config::load(&flags, &env).unwrap();
        assert_eq!(config.lake, dir.path().join("lake-of-file"));
        assert_eq!(config.timeout, Some(Duration::from_secs(120)));
        assert_eq!(config.threads, Some(7));
        assert_eq!(config.memory_limit, DEFAULT_MEMORY);
        assert_eq!((config.quarantine_keep, config.quarantine_size), (None, DEFAULT_QUARANTINE_SIZE));
    }

    #[test]
    fn empty_values_of_the_file_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("kqlake.toml");
        let load = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Config::load(&Flags { config: Some(file.clone()), lake: Some("x".into()), ..Flags::default() }, &none)
        };
        for (key, value) in [
            ("lake", "\"\""),
            ("export", "\"\""),
            ("spill_dir", "\"\""),
            ("import_job_settings", "\"\""),
            ("memory_limit", "\"\""),
            ("timeout", "\"\""),
            ("quarantine_keep", "\"\""),
            ("quarantine_size", "\"\""),
            ("date_order", "\"\""),
            ("from", "[\"a\", \"\"]"),
            ("external_data", "[\"\"]"),
            ("external_locations", "{ \"https://x\" = \"\" }"),
            ("external_locations", "{ \"\" = \"x\" }"),
        ] {
            let err = load(&format!("{key} = {value}\n")).unwrap_err();
            assert_eq!(err.status(), 2, "{key}");
            assert!(err.to_string().contains(key) && err.to_string().contains("is empty"), "{err}");
        }
        // A parameter may be an empty text, and a list may have no entries.
        assert!(load("from = []\n[params]\nname = \"\"\n").is_ok());
    }

    #[test]
    fn a_mistyped_key_names_its_line_and_the_nearest_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("kqlake.toml");
        std::fs::write(&file, "\nmemory_limits = \"1GB\"\n").unwrap();
        let err = Config::load(&Flags { config: Some(file), ..Flags::default() }, &none).unwrap_err();
        assert_eq!(err.status(), 2);
        assert!(err.to_string().contains(":2: unknown field"), "{err}");
        assert_eq!(err.advice(), Some("did you mean `memory_limit`?"));
    }

    #[test]
    fn amounts_and_lengths_are_read_with_their_units() {
        assert_eq!(parse_bytes("512MB").unwrap(), 512 << 20);
        assert_eq!(parse_bytes("1.5 GiB").unwrap(), 3 << 29);
        assert!(parse_bytes("many").is_err());
        assert_eq!(parse_duration("250ms").unwrap(), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("0").unwrap(), None);
        assert_eq!(parse_duration("90d").unwrap(), Some(DEFAULT_QUARANTINE_KEEP));
        assert!(parse_duration("soon").is_err());
    }
}
