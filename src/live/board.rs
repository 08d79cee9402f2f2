//! What goes on: the sections that run, since when, and how far each is. Heartbeats and the terminal read it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kqlake_import::{Progress, Section, UnitReport};

/// What goes on. Clones are the same board.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<BTreeMap<(String, Section), Arc<Line>>>>);

/// One section that runs.
#[derive(Debug, Default)]
pub struct Line {
    /// Since when (microseconds since 1970).
    pub since: i64,
    listed: AtomicU64,
    done: AtomicU64,
    bytes: AtomicU64,
}

/// How far a section is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionProgress {
    /// Units that were listed so far.
    pub listed: u64,
    /// Units that were read, or known, so far.
    pub done: u64,
    /// Bytes that were read so far.
    pub bytes: u64,
}

impl Line {
    /// How far it is.
    pub fn progress(&self) -> SectionProgress {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SectionProgress { listed: of(&self.listed), done: of(&self.done), bytes: of(&self.bytes) }
    }
}

impl Progress for Line {
    fn listed(&self, units: u64) {
        self.listed.store(units, Ordering::Relaxed);
    }

    fn advanced(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn unit_finished(&self, _report: &UnitReport) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}

impl Board {
    fn lines(&self) -> MutexGuard<'_, BTreeMap<(String, Section), Arc<Line>>> {
        // The map is whole at every instant, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A section begins; what it does is reported to the line.
    pub fn begin(&self, tenant: &str, section: Section, now: i64) -> Arc<Line> {
        let line = Arc::new(Line { since: now, ..Line::default() });
        self.lines().insert((tenant.to_owned(), section), Arc::clone(&line));
        line
    }

    /// A section has ended.
    pub fn end(&self, tenant: &str, section: Section) {
        self.lines().remove(&(tenant.to_owned(), section));
    }

    /// The sections that run, with their tenants, and how far each is.
    pub fn running(&self) -> Vec<(String, Section, SectionProgress)> {
        self.lines().iter().map(|((tenant, section), line)| (tenant.clone(), *section, line.progress())).collect()
    }

    /// The same in a line for people.
    pub fn text(&self) -> String {
        let parts = self.running().into_iter().map(|(_, section, SectionProgress { listed, done, .. })| match listed {
            0 => section.name().to_owned(),
            listed => format!("{} {done} of {listed}", section.name()),
        });
        parts.collect::<Vec<_>>().join(" · ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_board_says_what_runs_and_how_far_it_is() {
        let board = Board::default();
        let line = board.begin("contoso", Section::Audit, 5);
        board.begin("contoso", Section::Calls, 6);
        line.listed(20);
        line.advanced(7);
        assert_eq!(board.text(), "Audit events 0 of 20 · Calls import");
        assert_eq!(board.running()[0].2, SectionProgress { listed: 20, done: 0, bytes: 7 });
        board.end("contoso", Section::Audit);
        assert_eq!(board.text(), "Calls import");
    }
}
