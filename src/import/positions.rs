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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reader::report;
    use crate::{Opened, Reply, SourceError, UnitPage};

    #[derive(Debug)]
    struct Nothing;

    impl Source for Nothing {
        fn stream(&self) -> &'static str {
            "nothing"
        }

        fn list(&self, _after: Option<Value>) -> Reply<'_, UnitPage> {
            Box::pin(async { Ok(UnitPage::default()) })
        }

        fn open<'s>(&'s self, _unit: &'s ListedUnit) -> Reply<'s, Opened> {
            Box::pin(async { Err(SourceError::later()) })
        }
    }

    /// A report of a unit with a hash, with so many refused and filtered records.
    fn of(state: UnitState, refused: u64, filtered: u64) -> UnitReport {
        let mut unit = report("u", state, 0);
        (unit.counts.refused, unit.counts.filtered, unit.content_hash) = (refused, filtered, Some("h".into()));
        unit
    }

    #[test]
    fn a_unit_is_settled_when_its_records_are_in_the_lake_or_quarantined_or_never_come() {
        use UnitState::{Done, Empty, Expired, Failed, Filtered, Incomplete, Known, Unchanged, Unknown};
        for state in [Done, Unchanged, Empty, Known, Expired] {
            assert!(is_settled(&of(state, 0, 1)), "{state:?}");
        }
        for (state, refused, filtered, settled) in [
            (Filtered, 0, 0, true),
            (Filtered, 0, 1, false),
            (Incomplete, 1, 0, true),
            (Incomplete, 1, 1, false),
            (Incomplete, 0, 0, false),
            (Unknown, 0, 0, true),
            (Unknown, 0, 1, false),
            (Failed, 1, 0, true),
            (Failed, 0, 0, false),
        ] {
            assert_eq!(is_settled(&of(state, refused, filtered)), settled, "{state:?} {refused} {filtered}");
        }
        for state in [Incomplete, Unknown, Failed] {
            assert!(!is_settled(&UnitReport { held: true, ..of(state, 1, 0) }), "{state:?}");
            assert!(!is_settled(&UnitReport { content_hash: None, ..of(state, 1, 0) }), "{state:?}");
        }
    }

    #[test]
    fn a_cursor_is_kept_as_far_as_nothing_is_missing_before_it() {
        let listed = |cursor: Option<i64>| ListedUnit { cursor: cursor.map(|at| json!(at)), ..ListedUnit::default() };
        let mut reached = Reached::default();
        reached.pass(Some(json!(1)));
        reached.pass(None);
        assert_eq!(reached.cursor, Some(json!(1)));
        reached.unit(&Nothing, &listed(Some(2)), &[of(UnitState::Done, 0, 0), of(UnitState::Known, 1, 0)]);
        assert_eq!((&reached.cursor, reached.is_clear()), (&Some(json!(2)), true));
        reached.unit(&Nothing, &listed(Some(3)), &[of(UnitState::Done, 0, 0), of(UnitState::Failed, 0, 0)]);
        assert_eq!((&reached.cursor, reached.is_clear()), (&Some(json!(2)), false));
        // What comes behind it may be in the lake, and is listed again all the same.
        reached.unit(&Nothing, &listed(Some(4)), &[of(UnitState::Done, 0, 0)]);
        reached.pass(Some(json!(5)));
        assert_eq!((&reached.cursor, reached.is_clear()), (&Some(json!(2)), false));
    }
}
