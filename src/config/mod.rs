//! Settings: a flag wins over the environment (`KQLAKE_*`), that over the file `kqlake.toml`, that over the default.
//!
//! This is the only place that reads the environment. Secrets are no settings of the file: it says where they are, and they are
//! read when a service is about to be asked.

mod amounts;
mod arc;
mod environment;
mod external;
mod file;
mod jobs;
mod problem;
mod secrets;
mod table;
mod tenants;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use amounts::parse_date_order;
pub(crate) use environment::{check_names, environment, variable, variable_as_it_is};
pub(crate) use external::{ExternalSettings, FileRoot};
pub(crate) use problem::Problem;
pub(crate) use tenants::TenantConfig;

use amounts::{parse_bytes, parse_duration};
use environment::{VARIABLES, filled, text_of};
use file::{Contents, Document};

use crate::error::{Error, Result};
use kqlake_durable::ReservedFolder;
use kqlake_import::DateOrder;
use kqlake_remote::settings::Tenant;

/// The configuration file that is read when none is named and it exists in the working folder.
pub(crate) const FILE: &str = "kqlake.toml";
/// Where the lake is when nothing says otherwise.
const DEFAULT_LAKE: &str = "data/lake";
/// Where exports go when nothing says otherwise.
const DEFAULT_EXPORT: &str = "data/export";
/// What `nightly` imports when nothing is configured.
const DEFAULT_FIXTURES: &str = "fixtures";
/// Longest time a query may run when nothing says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
/// Memory that queries, imports and compaction may hold when nothing says otherwise.
pub(crate) const DEFAULT_MEMORY: usize = 2 << 30;

/// How long refused records are kept when nothing says otherwise.
const DEFAULT_QUARANTINE_KEEP: Duration = Duration::from_secs(90 * 86_400);
/// Bytes of refused records that are kept when nothing says otherwise.
const DEFAULT_QUARANTINE_SIZE: usize = 1 << 30;

/// The most threads that may be asked for: more than any one machine has processors.
const MAX_THREADS: usize = 1024;
/// The least memory that may be asked for: with less no query that reads a table can run.
const MIN_MEMORY: usize = 1 << 20;
/// What a name below `[same_lake]` may be of.
const SAME_LAKE: &[&str] = &["cluster", "database", "workspace", "app", "adx", "arg"];

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
    /// True when somebody said where it is: a folder that is missing there is a mistake, and not a lake that is yet to come.
    pub lake_is_named: bool,
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
    /// What queries may read beside tables.
    pub external: ExternalSettings,
    /// Tenants whose telemetry is fetched. Their secrets are not read yet: [`Config::live`] does.
    pub tenants: Vec<TenantConfig>,
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
        let file = named(flags, env);
        let contents = contents(file.as_deref(), env)?;
        if let [first, others @ ..] = contents.problems.as_slice() {
            return Err(first.error(others.len()));
        }
        let mut wrong = Vec::new();
        let config = Config::assemble(flags, env, file, contents.document, contents.tenants, &mut wrong);
        match wrong.into_iter().next() {
            None => Ok(config),
            Some(first) => Err(first),
        }
    }

    /// The same for whoever looks for mistakes: all of them, and what is configured as far as it can be read.
    pub fn survey(flags: &Flags, env: &dyn Fn(&str) -> Option<OsString>) -> (Config, Vec<Problem>) {
        let problem = |err: &Error| Problem {
            place: "configuration".to_owned(),
            key: String::new(),
            message: err.to_string(),
            solution: err.advice().unwrap_or_default().to_owned(),
            known_as: None,
        };
        let file = named(flags, env);
        let empty = |err: Error| Contents { problems: vec![problem(&err)], ..Contents::default() };
        let contents = contents(file.as_deref(), env).unwrap_or_else(empty);
        let Contents { document, tenants, mut problems } = contents;
        problems.extend(VARIABLES.iter().filter_map(|name| filled(name, env(name)).err()).map(|err| problem(&err)));
        let mut wrong = Vec::new();
        let config = Config::assemble(flags, env, file, document, tenants, &mut wrong);
        wrong.extend(config.external.missing());
        // What the environment has without a value is named already.
        wrong.iter().map(problem).for_each(|problem| {
            if !problems.iter().any(|known| known.message == problem.message) {
                problems.push(problem);
            }
        });
        (config, problems)
    }

    /// The settings; what is wrong in them is added to `wrong`, and is as if nothing was said.
    fn assemble(
        flags: &Flags,
        env: &dyn Fn(&str) -> Option<OsString>,
        file: Option<PathBuf>,
        mut document: Document,
        tenants: Vec<TenantConfig>,
        wrong: &mut Vec<Error>,
    ) -> Config {
        let text = |name: &str| env(name).map(|value| text_of(name, value)).transpose();
        // Paths in the file are meant from the file's folder, so that it works from anywhere.
        let base = file.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_path_buf();
        let based = |path: PathBuf| if base.as_os_str().is_empty() { path } else { base.join(path) };
        let path = |flag: Option<PathBuf>, name: &str, written: Option<PathBuf>| {
            flag.or_else(|| env(name).map(PathBuf::from)).or(written.map(based))
        };
        let shown = file.as_deref().unwrap_or(Path::new(FILE)).display().to_string();

        let external = ExternalSettings::of(&mut document, file.as_deref(), &based, wrong);
        // With the place where it was written; a flag is before everybody's eyes.
        let written = |flag: &Option<String>, name: &str, key: &str, value: Option<String>, wrong: &mut Vec<Error>| {
            let variable = noted(text(name), wrong).flatten().map(|value| (format!("{name}: "), value));
            let flag = flag.clone().map(|value| (String::new(), value));
            flag.or(variable).or(value.map(|value| (format!("`{key}` in {shown}: "), value)))
        };
        let memory = written(&flags.memory_limit, "KQLAKE_MEMORY_LIMIT", "memory_limit", document.memory_limit, wrong);
        let timeout = written(&flags.timeout, "KQLAKE_TIMEOUT", "timeout", document.timeout, wrong);
        let threads = noted(threads(flags.threads, noted(text("KQLAKE_THREADS"), wrong).flatten(), document.threads), wrong);
        let memory_limit = memory.and_then(|(place, text)| noted(memory_limit(&place, &text), wrong));
        let timeout = timeout.and_then(|(place, text)| noted(parse_duration(&text).map_err(|err| err.at(&place)), wrong));
        let in_file = |key: &str| format!("`{key}` in {shown}: ");
        let quarantine_keep = document.quarantine_keep.as_deref().map(parse_duration);
        let quarantine_keep = quarantine_keep.map(|kept| kept.map_err(|err| err.at(&in_file("quarantine_keep"))));
        let quarantine_size = document.quarantine_size.as_deref().map(parse_bytes);
        let quarantine_size = quarantine_size.map(|size| size.map_err(|err| err.at(&in_file("quarantine_size"))));
        let date_order = document.date_order.as_deref().map(parse_date_order);
        let date_order = date_order.map(|order| order.map_err(|err| err.at(&in_file("date_order"))));
        let same_lake = document.same_lake.unwrap_or_default();
        for kind in same_lake.keys().filter(|kind| !SAME_LAKE.contains(&kind.as_str())) {
            let error = Error::usage(format!("[same_lake] in {shown} has `{kind}`, which names no lake"));
            wrong.push(error.hint(format!("it takes {}", SAME_LAKE.join(", "))));
        }
        let named = path(flags.lake.clone(), "KQLAKE_LAKE", document.lake);
        let lake_is_named = named.is_some();
        let lake = named.unwrap_or_else(|| DEFAULT_LAKE.into());
        let import_job_settings = noted(text("KQLAKE_IMPORT_JOB_SETTINGS"), wrong).flatten();
        if let Some(Err((message, advice))) = import_job_settings.as_deref().map(jobs::parse) {
            wrong.push(Error::usage(format!("KQLAKE_IMPORT_JOB_SETTINGS {message}")).hint(advice));
        }
        // With tenants it is what runs for any of them.
        let import_job_settings = match tenants.is_empty() {
            true => import_job_settings.or(document.import_job_settings),
            false => Some(jobs::text(&tenants.iter().flat_map(|tenant| tenant.jobs.iter().copied()).collect::<BTreeSet<_>>())),
        };
        let spill_dir = path(None, "KQLAKE_SPILL_DIR", document.spill_dir);
        if let Some(folder) = spill_dir.as_deref() {
            noted(check_spill_dir(folder, &lake), wrong);
        }
        Config {
            external,
            same_lake,
            lake,
            lake_is_named,
            export: path(None, "KQLAKE_EXPORT", document.export).unwrap_or_else(|| DEFAULT_EXPORT.into()),
            from: document.from.map(|paths| paths.into_iter().map(&based).collect()),
            import_job_settings,
            memory_limit: memory_limit.unwrap_or(DEFAULT_MEMORY),
            spill_dir,
            timeout: timeout.unwrap_or(Some(DEFAULT_TIMEOUT)),
            threads: threads.flatten(),
            quarantine_keep: quarantine_keep.and_then(|kept| noted(kept, wrong)).unwrap_or(Some(DEFAULT_QUARANTINE_KEEP)),
            quarantine_size: quarantine_size.and_then(|size| noted(size, wrong)).unwrap_or(DEFAULT_QUARANTINE_SIZE),
            date_order: date_order.and_then(|order| noted(order, wrong)).unwrap_or(DateOrder::Unknown),
            params: document.params.unwrap_or_default(),
            tenants,
            file,
        }
    }

    /// The tenants with their secrets, which are read now: those of a service that stays may have changed since. A tenant whose
    /// secrets cannot be read does not keep the others.
    pub fn live(&self) -> Vec<(String, Result<Tenant>)> {
        self.tenants.iter().map(|tenant| (tenant.name.clone(), tenant.with_secrets(&variable_as_it_is))).collect()
    }

    /// What messages call the configuration file: the one that was read, or the one that would be.
    pub fn file_shown(&self) -> std::path::Display<'_> {
        self.external.file_shown()
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
        Err(Error::usage("nothing to import: no `from` is configured and there is no folder `fixtures` here").hint(format!(
            "name files with `kqlake import --from PATH`, or write `from = [\"PATH\"]` into {}",
            self.file_shown()
        )))
    }
}

/// What was read; what is wrong with it is added to `wrong`.
fn noted<T>(read: Result<T>, wrong: &mut Vec<Error>) -> Option<T> {
    read.map_err(|err| wrong.push(err)).ok()
}

/// The number of threads by flag, environment and file.
fn threads(flag: Option<usize>, variable: Option<String>, written: Option<usize>) -> Result<Option<usize>> {
    let threads = match (flag, variable) {
        (Some(n), _) => Some(n),
        (None, Some(text)) => {
            let wrong = || Error::usage(format!("KQLAKE_THREADS is `{text}`, a whole number was expected"));
            Some(text.parse().map_err(|_| wrong().hint("write it as 4, or leave it out to use one thread for each processor"))?)
        }
        (None, None) => written,
    };
    match threads.filter(|n| !(1..=MAX_THREADS).contains(n)) {
        Some(n) => Err(Error::usage(format!("the number of threads is {n}, a number from 1 to {MAX_THREADS} was expected"))
            .hint("leave it out to use one thread for each processor")),
        None => Ok(threads),
    }
}

/// The bytes that the engine may hold; `place` is where the text was written.
fn memory_limit(place: &str, text: &str) -> Result<usize> {
    let bytes = parse_bytes(text).map_err(|err| err.at(place))?;
    if bytes < MIN_MEMORY {
        return Err(Error::usage(format!("{place}the memory limit is {bytes} bytes, at least 1MB was expected"))
            .hint("write it as 512MB or 2GB"));
    }
    Ok(bytes)
}

/// What is wrong in a text that is to become a configuration file.
pub(crate) fn mistakes(path: &Path, text: &str) -> Vec<Problem> {
    file::parse(path, text, None).problems
}

/// The configuration file, when one is named or there.
fn named(flags: &Flags, env: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let named = flags.config.clone().or_else(|| env("KQLAKE_CONFIG").map(PathBuf::from));
    // Whatever has the name is meant to be the file, also when it is a folder or a link that leads nowhere.
    named.or_else(|| Some(PathBuf::from(FILE)).filter(|path| path.symlink_metadata().is_ok()))
}

fn contents(file: Option<&Path>, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Contents> {
    let jobs = env("KQLAKE_IMPORT_JOB_SETTINGS").and_then(|value| value.into_string().ok());
    Ok(file.map(|path| file::read(path, jobs.as_deref())).transpose()?.unwrap_or_default())
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
    if ReservedFolder::new(lake).contains(folder) {
        let what = format!("lies in the lake {}", lake.display());
        return refused(what, "the lake is written by imports alone; name a folder elsewhere");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
