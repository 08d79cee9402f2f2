//! What came of units and sections, and how an import reports its progress.

use std::path::PathBuf;

use super::section::Section;
use super::unit::Counts;

/// How a unit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnitState {
    /// All its records are in the lake.
    Done,
    /// An earlier import finished it, and it has not changed since.
    Unchanged,
    /// An earlier import quarantined some of its records, and it has not changed since.
    Known,
    /// There is nothing in it.
    Empty,
    /// Its records were read, but only some were taken because of a filter.
    Filtered,
    /// Some of its records could not be read.
    Incomplete,
    /// It is of no known shape.
    Unknown,
    /// It could not be opened.
    Failed,
    /// Its source has it no longer.
    Expired,
}

impl UnitState {
    /// All states.
    pub(crate) const ALL: [UnitState; 9] = [
        UnitState::Done,
        UnitState::Unchanged,
        UnitState::Known,
        UnitState::Empty,
        UnitState::Filtered,
        UnitState::Incomplete,
        UnitState::Unknown,
        UnitState::Failed,
        UnitState::Expired,
    ];

    /// The word that the ledger has for it.
    pub fn name(self) -> &'static str {
        match self {
            UnitState::Done => "done",
            UnitState::Unchanged => "unchanged",
            UnitState::Known => "known",
            UnitState::Empty => "empty",
            UnitState::Filtered => "filtered",
            UnitState::Incomplete => "incomplete",
            UnitState::Unknown => "unknown",
            UnitState::Failed => "failed",
            UnitState::Expired => "expired",
        }
    }

    /// True when something is missing, and not known from an earlier import without reading the unit.
    pub(crate) fn is_new_failure(self) -> bool {
        !self.is_complete() && self != UnitState::Known
    }

    /// True when nothing of the unit is missing from the lake that was asked for.
    pub fn is_complete(self) -> bool {
        matches!(self, UnitState::Done | UnitState::Unchanged | UnitState::Empty | UnitState::Filtered)
    }
}

/// How far a unit was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadExtent {
    /// To its end.
    Whole,
    /// To where it breaks off: records may be missing without a trace.
    Cut,
}

/// A record that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRefusal {
    /// Where it is, such as `line 12, byte 3456`.
    pub place: String,
    /// Why it could not be read.
    pub reason: String,
}

/// What came of one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitReport {
    /// Its name: a path, with `!` before the name of an archive's entry.
    pub name: String,
    /// The section that its records belong to (the greater part, when there are several).
    pub section: Option<Section>,
    /// How it ended.
    pub state: UnitState,
    /// Why it did not end well.
    pub reason: Option<String>,
    /// How far it was read.
    pub extent: ReadExtent,
    /// Records and rows.
    pub counts: Counts,
    /// The first refused records.
    pub refusals: Vec<RecordRefusal>,
    /// Bytes on disk.
    pub bytes: u64,
    /// The hash of the content as it is at the source; `None` when it was not read to its end.
    pub content_hash: Option<String>,
    /// Where those of its refused records were quarantined that no earlier import did.
    pub quarantine: Option<PathBuf>,
    /// Refused records that an earlier import reported: they are in quarantine since then.
    pub known: u64,
    /// Refused records that are in no quarantine, but only counted, being too many.
    pub not_kept: u64,
    /// What shows that it has not changed without reading it.
    pub stamp: Option<String>,
    /// The status that a service answered with.
    pub status: Option<u16>,
    /// True when its text is damaged, or ends too early: what was there before may be read of it the next time.
    pub is_damaged: bool,
    /// True when its source said before that it has it no longer, and says so again.
    pub was_gone: bool,
    /// True when not all rows that were read of it are in the lake: it is read again.
    pub held: bool,
    /// Rows that were left out, since their records were in the lake already or came in greater rows; `None` when it was not read.
    pub duplicates: Option<u64>,
    /// Rows that took the place of lesser ones; `None` when it was not read.
    pub replaced: Option<u64>,
    /// When reading began and ended, in microseconds since 1970.
    pub started: i64,
    /// See `started`.
    pub finished: i64,
}

impl UnitReport {
    /// Has a unit be read again whose service gave what it never means: something of no known kind, or a text that is damaged or ends
    /// too early.
    pub(crate) fn ask_again(&mut self) {
        if self.state == UnitState::Unknown {
            (self.state, self.held) = (UnitState::Failed, true);
        }
        self.held |= self.is_damaged && self.state == UnitState::Incomplete;
    }

    /// True when something of it is missing that no earlier import reported.
    pub fn is_new_failure(&self) -> bool {
        let was_read = matches!(self.state, UnitState::Incomplete | UnitState::Unknown) && !self.held;
        let is_known = was_read && self.counts.refused > 0 && self.known >= self.counts.refused;
        self.state.is_new_failure() && !is_known
    }

    /// True when something of it is missing, all of which an earlier import reported.
    pub fn is_known_failure(&self) -> bool {
        !self.state.is_complete() && !self.is_new_failure()
    }
}

/// What came of one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionReport {
    /// The section.
    pub section: Section,
    /// Units that belong to it.
    pub units: u64,
    /// Those among them that had not changed.
    pub unchanged: u64,
    /// Those with refused records all of which an earlier import quarantined.
    pub known: u64,
    /// Those that their source lists, and of which it said before that it has them no longer.
    pub gone: u64,
    /// Records that were found.
    pub records: u64,
    /// Rows that were not in the lake before.
    pub new: u64,
    /// Rows that were there already.
    pub duplicates: u64,
    /// Rows that took the place of older ones.
    pub replaced: u64,
    /// Records that could not be read.
    pub refused: u64,
    /// Rows of sites that are not wanted.
    pub out_of_scope: u64,
    /// Units that could not be fetched, or not be read to their ends.
    pub failed: u64,
    /// Units that their source has no longer.
    pub expired: u64,
    /// True when all its units were read to their ends, or are gone for good.
    pub finished: bool,
    /// Time taken, in microseconds.
    pub micros: i64,
}

/// Receives the progress of an import.
pub trait Progress: Send + Sync {
    /// The bytes that all units have together, as far as it is known beforehand.
    fn total(&self, _units: u64, _bytes: u64) {}
    /// So many units were listed so far.
    fn listed(&self, _units: u64) {}
    /// A unit is begun.
    fn unit_started(&self, _name: &str) {}
    /// A pipe has given nothing for a while; it is still waited for.
    fn waiting(&self, _name: &str) {}
    /// Bytes of the sources were read, as they are on disk.
    fn advanced(&self, _bytes: u64) {}
    /// A unit was read to its end.
    fn unit_finished(&self, _report: &UnitReport) {}
}

/// Progress that is dropped.
impl Progress for () {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::report;

    #[test]
    fn a_failure_is_known_when_an_earlier_import_reported_all_of_it() {
        let unit = |state, refused, known, held| {
            let mut unit = UnitReport { known, held, ..report("u", state, 0) };
            unit.counts.refused = refused;
            (unit.is_new_failure(), unit.is_known_failure())
        };
        let (good, new, known) = ((false, false), (true, false), (false, true));
        for state in [UnitState::Done, UnitState::Unchanged, UnitState::Empty, UnitState::Filtered] {
            assert_eq!(unit(state, 0, 0, false), good, "{state:?}");
        }
        assert_eq!(unit(UnitState::Known, 1, 0, false), known);
        for state in [UnitState::Incomplete, UnitState::Unknown] {
            assert_eq!(unit(state, 2, 2, false), known, "{state:?}");
            assert_eq!(unit(state, 2, 1, false), new, "{state:?}");
            assert_eq!(unit(state, 0, 0, false), new, "{state:?}");
            // Its rows are not all in the lake, which is news.
            assert_eq!(unit(state, 2, 2, true), new, "{state:?}");
        }
        for state in [UnitState::Failed, UnitState::Expired] {
            assert_eq!(unit(state, 2, 2, false), new, "{state:?}");
        }
    }

    #[test]
    fn a_service_is_asked_again_for_what_is_of_no_known_kind_or_damaged() {
        let asked = |state, is_damaged| {
            let mut unit = UnitReport { is_damaged, ..report("u", state, 0) };
            unit.ask_again();
            (unit.state, unit.held)
        };
        assert_eq!(asked(UnitState::Unknown, false), (UnitState::Failed, true));
        assert_eq!(asked(UnitState::Incomplete, true), (UnitState::Incomplete, true));
        for state in [UnitState::Done, UnitState::Incomplete, UnitState::Failed, UnitState::Empty] {
            assert_eq!(asked(state, false), (state, false), "{state:?}");
        }
        assert_eq!(asked(UnitState::Done, true), (UnitState::Done, false));
    }
}
