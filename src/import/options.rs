//! What an import is asked to do.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::files::input::FileLimits;
use super::quarantine::store::Retention;
use super::section::Section;
use super::stop::StopSignal;
use super::unit::{Filter, ImportOverrides};
use kqlake_value::clock::{Clock, SystemClock};

/// What an import is to do.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The name of this run, which its rows carry; made up when not given.
    pub import_id: Option<String>,
    /// Which rows are taken.
    pub filter: Filter,
    /// What the caller knows and files may not say.
    pub given: ImportOverrides,
    /// Recognises and counts, and writes nothing.
    pub dry_run: bool,
    /// Reads units again that an earlier import finished and that have not changed, and lists sources from their beginning.
    pub again: bool,
    /// Units to read again whatever an earlier import said of them; an archive's name stands for its entries.
    pub retry: BTreeSet<String>,
    /// The section that all units are of, where that is known before they are read; it is reported also without any unit. The
    /// end of the whole cycle is then reported by the caller that runs the sections.
    pub section: Option<Section>,
    /// The tenant whose section it is, by its name in the configuration.
    pub tenant: Option<String>,
    /// The id of that tenant, where it is not the lake's own: rows that do not say whose they are get keys of its own, since another
    /// tenant has the like of them.
    pub other_tenant: Option<Arc<str>>,
    /// Events and log lines are written only where something came, or went wrong.
    pub only_news: bool,
    /// Asks the import to end at its next commit.
    pub stop: StopSignal,
    /// Bounds on what is read.
    pub limits: FileLimits,
    /// How long refused records are kept.
    pub retention: Retention,
    /// Bytes that rows may take on their way.
    pub memory: usize,
    /// Where temporary files go; the system's folder for them when not set.
    pub spill_dir: Option<PathBuf>,
    /// Threads that read, and threads that encode what is written, at most.
    pub threads: usize,
    /// After so long without anything new what came is committed: it may be minutes until a service takes the next request.
    pub idle: Duration,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            import_id: None,
            filter: Filter::default(),
            given: ImportOverrides::default(),
            dry_run: false,
            again: false,
            retry: BTreeSet::new(),
            section: None,
            tenant: None,
            other_tenant: None,
            only_news: false,
            stop: StopSignal::default(),
            limits: FileLimits::default(),
            retention: Retention::default(),
            memory: 2 << 30,
            spill_dir: None,
            threads: 2,
            idle: Duration::from_secs(10),
            clock: Arc::new(SystemClock),
        }
    }
}
