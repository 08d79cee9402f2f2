//! How far sources have come: which cursor may be kept once units are in the lake.

use serde_json::Value;

use super::ledger;
use super::source::{ListedUnit, Source, stream_of};
use super::{ImportError, UnitReport, UnitState};
use kqlake_lake::Lake;
use kqlake_lake::tables::find;

/// The cursor that a source had reached before; none when its units are listed from the beginning.
///
/// # Errors
/// The lake cannot be read.
pub(crate) async fn kept(lake: &Lake, source: &dyn Source) -> Result<Option<Value>, ImportError> {
    let Some(ledger) = find(ledger::TABLE) else { return Ok(None) };
    match lake.position(ledger, &stream_of(source)).await {
        Ok(position) => Ok(position.map(|position| position.cursor)),
        Err(error) if error.is_of_one_table() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// How far one source has come in a run.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    /// The newest cursor before which nothing is missing, unless it was kept already.
    pub cursor: Option<Value>,
    /// True after something that must be asked for again: cursors behind it are of no use.
    blocked: bool,
}

impl Reached {
    /// A unit was landed.
    pub(crate) fn unit(&mut self, source: &dyn Source, unit: &ListedUnit, reports: &[UnitReport]) {
        if reports.iter().all(is_settled) { self.pass(source.cursor_after(unit)) } else { self.block() }
    }

    /// A page ended.
    pub(crate) fn pass(&mut self, cursor: Option<Value>) {
        if !self.blocked && cursor.is_some() {
            self.cursor = cursor;
        }
    }

    /// True while everything could be listed and read.
    pub(crate) fn is_clear(&self) -> bool {
        !self.blocked
    }

    /// Something could not be listed or read.
    pub(crate) fn block(&mut self) {
        self.blocked = true;
    }
}

/// True when a unit need not be asked for again: its records are in the lake or quarantined, or it will never be there.
fn is_settled(report: &UnitReport) -> bool {
    let is_refused = report.state == UnitState::Unknown || report.counts.refused > 0;
    let is_quarantined = is_refused && report.content_hash.is_some() && !report.held;
    match report.state {
        UnitState::Done | UnitState::Unchanged | UnitState::Empty | UnitState::Known | UnitState::Expired => true,
        // A filter is not part of a cursor, but the sites that are wanted are as good as part of the source.
        UnitState::Filtered => report.counts.filtered == 0,
        UnitState::Incomplete | UnitState::Unknown | UnitState::Failed => is_quarantined && report.counts.filtered == 0,
    }
}
