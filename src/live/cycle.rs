//! One run of sections: each is an import of its own, several go side by side, and one that fails does not keep the others.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::board::Board;
use super::lock::Lock;
use super::owner::keep_report_owner;
use super::{SectionOutcome, Task, Work};
use crate::error::{Error, Result};
use kqlake_import::{EventLog, Filter, ImportError, ImportOptions, Importer, Section, StopSignal, import_from};
use kqlake_lake::Lake;

/// Sections that run side by side.
const SIDE_BY_SIDE: usize = 8;
/// Bytes of memory that a section has at least, however many run.
const LEAST_MEMORY: usize = 64 << 20;
/// Bytes of memory that a section has at most: a service gives its content no faster for more.
const MOST_MEMORY: usize = 256 << 20;

/// Receives how a run goes on.
pub trait Watcher: Send + Sync {
    /// A section waits for another program that runs it.
    fn waiting(&self, _tenant: &str, _section: Section, _who: &str) {}
    /// A section has ended.
    fn ended(&self, _outcome: &SectionOutcome) {}
}

/// A watcher that looks away.
impl Watcher for () {}

/// How sections are run.
#[derive(Clone)]
pub struct Runner {
    /// Where rows go.
    pub lake: Lake,
    /// What holds for all imports: memory, threads, clock, a filter by time.
    pub options: ImportOptions,
    /// The command, as others see who holds a section.
    pub command: &'static str,
    /// Where it is written what goes on.
    pub board: Board,
    /// Receives reports.
    pub watcher: Arc<dyn Watcher>,
}

impl Runner {
    /// Runs sections, and gives what came of each in their order. Tells the end of each importer's cycle when all its sections
    /// were read to their ends.
    pub async fn cycle(&self, tasks: Vec<Task>) -> Vec<SectionOutcome> {
        let started = self.options.clock.now_micros();
        let side_by_side = tasks.len().clamp(1, SIDE_BY_SIDE);
        let places = Arc::new(Semaphore::new(side_by_side));
        let mut running = JoinSet::new();
        let mut names = Vec::new();
        for (at, task) in tasks.into_iter().enumerate() {
            names.push((task.tenant.clone(), task.section));
            let (runner, places) = (self.clone(), Arc::clone(&places));
            running.spawn(async move {
                // Nobody closes it.
                let _place = places.acquire().await;
                (at, runner.one(task, side_by_side).await)
            });
        }
        let mut outcomes: Vec<Option<SectionOutcome>> = names.iter().map(|_| None).collect();
        let mut defect = None;
        while let Some(done) = running.join_next().await {
            match done {
                Ok((at, outcome)) => outcomes[at] = Some(outcome),
                Err(error) => defect = Some(error.to_string()),
            }
        }
        let missing = |(tenant, section): (String, Section)| SectionOutcome {
            tenant,
            section,
            result: Err(Error::Defect(defect.clone().unwrap_or_else(|| "the section ended without a result".to_owned()))),
        };
        let outcomes: Vec<SectionOutcome> =
            outcomes.into_iter().zip(names).map(|(outcome, name)| outcome.unwrap_or_else(|| missing(name))).collect();
        self.tell_cycles(&outcomes, started).await;
        outcomes
    }

    /// Runs one section, of so many that run side by side.
    pub async fn one(&self, task: Task, side_by_side: usize) -> SectionOutcome {
        let Task { tenant, section, work } = task;
        let result = match work {
            Ok(work) => self.import(&tenant, section, work, side_by_side).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            self.tell_failure(&tenant, section, error).await;
        }
        let outcome = SectionOutcome { tenant, section, result };
        self.watcher.ended(&outcome);
        outcome
    }

    async fn import(
        &self,
        tenant: &str,
        section: Section,
        work: Work,
        side_by_side: usize,
    ) -> Result<kqlake_import::ImportSummary> {
        let stop: &StopSignal = &self.options.stop;
        let now = self.options.clock.now_micros();
        let _lock = if self.options.dry_run {
            None
        } else {
            let name = format!("{tenant}-{}", section.setting());
            let waiting = |who: &str| self.watcher.waiting(tenant, section, who);
            match Lock::take(self.lake.root(), &name, self.command, now, stop, waiting).await? {
                Some(lock) => Some(lock),
                None => return Err(Error::Source(format!("{section} was asked to end before it began"))),
            }
        };
        if let Some(owner) = work.report_owner.as_ref().filter(|_| !self.options.dry_run) {
            keep_report_owner(self.lake.root(), owner)?;
        }
        let options = ImportOptions {
            section: Some(section),
            tenant: Some(tenant.to_owned()),
            other_tenant: work.other_tenant,
            filter: Filter { org_urls: work.org_urls, ..self.options.filter.clone() },
            memory: (self.options.memory / side_by_side.max(1)).clamp(LEAST_MEMORY.min(self.options.memory), MOST_MEMORY),
            ..self.options.clone()
        };
        let line = self.board.begin(tenant, section, now);
        let imported = import_from(&self.lake, &work.sources, &options, line.as_ref()).await;
        self.board.end(tenant, section);
        imported.map_err(failed)
    }

    /// What ended a section before its import could say so itself.
    async fn tell_failure(&self, tenant: &str, section: Section, error: &Error) {
        if self.options.dry_run || matches!(error, Error::Storage { .. }) {
            return;
        }
        let mut log = EventLog::of_its_own().of_tenant(Some(tenant));
        let now = self.options.clock.now_micros();
        let message = format!("{section} did not begin: {}", error.chain());
        log.line(section.importer().name(), kqlake_import::EventLevel::Error, now, &message);
        self.land(&log).await;
    }

    async fn tell_cycles(&self, outcomes: &[SectionOutcome], started: i64) {
        if self.options.dry_run {
            return;
        }
        let now = self.options.clock.now_micros();
        let mut log = EventLog::of_its_own();
        for importer in [Importer::AppInsights, Importer::Office365Activity] {
            let mine: Vec<&SectionOutcome> = outcomes.iter().filter(|outcome| outcome.section.importer() == importer).collect();
            if !mine.is_empty() && mine.iter().all(|outcome| outcome.is_finished()) {
                log.cycle_finished(importer, now - started, mine.len(), now);
            }
        }
        self.land(&log).await;
    }

    async fn land(&self, log: &EventLog) {
        // Telemetry about an import is no reason for it to fail.
        if let Err(error) = log.land(&self.lake).await {
            tracing::warn!(%error, "own events are not in the lake");
        }
    }
}

/// The program's error for what stopped an import as a whole.
pub fn failed(error: ImportError) -> Error {
    match error {
        ImportError::Lake(error) => error.into(),
        ImportError::Quarantine { path, source } => Error::io("quarantine refused records in", &path, source),
        ImportError::Scratch { .. } => Error::Storage {
            message: error.to_string(),
            hint: Some("make room there, or name another folder with KQLAKE_SPILL_DIR or `spill_dir`".to_owned()),
            source: None,
        },
        ImportError::Reader(_) => Error::Defect(error.to_string()),
        other => Error::Source(other.to_string()),
    }
}
