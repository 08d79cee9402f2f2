//! What the ledger says of a unit, and where the unit is by that.

use kqlake_import::{LedgerState, UnitState};

/// The newest row of a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct UnitRow {
    /// The section.
    pub section: String,
    /// The stream of the source that listed it; empty for files.
    pub source: String,
    /// Its name.
    pub unit: String,
    /// True when it is no unit but a listing that failed.
    pub is_listing: bool,
    /// Its state.
    pub state: LedgerState,
    /// Why it did not end well.
    pub reason: String,
    /// True when its content was read to its end, and what could be read of it is in the lake.
    pub is_settled: bool,
    /// When its last try ended (microseconds since 1970).
    pub finished: Option<i64>,
    /// When its source has it no longer.
    pub expires: Option<i64>,
    /// The instants between which its records lie, in any of its tries, where time that is not in the lake is a hole.
    pub window: Option<(i64, i64)>,
    /// True when the windows of its source leave no time out between them.
    pub tiles: bool,
    /// True when nobody can have it any more, and the only time that its source was asked for it was too late.
    pub never_was: bool,
    /// The end of the longest of these windows that is in the lake: a later try may have read a part of it again.
    pub covered: Option<i64>,
    /// Rows.
    pub rows: u64,
    /// Records that were quarantined.
    pub quarantined: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Where a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// In the lake, what cannot be read in quarantine.
    Committed,
    /// At its source, not fetched yet.
    Pending,
    /// Nowhere: its source has it no longer.
    Expired,
    /// It could not be fetched or read, and is tried again.
    Failed,
    /// Read, and left out because nobody wants it.
    Filtered,
}

/// Where a unit is at an instant.
pub(crate) fn place(unit: &UnitRow, now: i64) -> Place {
    let is_over = unit.expires.is_some_and(|expires| expires < now);
    match unit.state {
        LedgerState::Tried(state) => match state {
            UnitState::Done | UnitState::Empty | UnitState::Unchanged | UnitState::Known => Place::Committed,
            UnitState::Filtered => Place::Filtered,
            UnitState::Expired => Place::Expired,
            UnitState::Incomplete | UnitState::Unknown | UnitState::Failed if unit.is_settled => Place::Committed,
            UnitState::Incomplete | UnitState::Unknown | UnitState::Failed if is_over => Place::Expired,
            UnitState::Incomplete | UnitState::Unknown | UnitState::Failed => Place::Failed,
        },
        LedgerState::Listed | LedgerState::Gone if is_over => Place::Expired,
        LedgerState::Listed | LedgerState::Gone => Place::Pending,
    }
}

/// The tenant of a unit; empty for files.
pub(crate) fn tenant(unit: &UnitRow) -> &str {
    unit.source.split('/').next().unwrap_or_default()
}
