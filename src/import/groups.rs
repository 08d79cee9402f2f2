//! What came of listed units, until a checkpoint has it in the lake.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::source::ListedUnit;
use super::{UnitReport, UnitState};
use kqlake_lake::{Origin, OriginCounts};

/// Something that waits for the next checkpoint.
pub(crate) enum Pending {
    /// A unit that was read to its end.
    Unit(Group),
    /// The end of a page of a source, with its cursor.
    Page(usize, Option<Value>),
    /// Something of a source could not be listed.
    Block(usize),
}

/// What came of a listed unit: one report, or one for each entry of an archive.
pub(crate) struct Group {
    /// Its number in the run.
    pub number: u64,
    /// The place of its source among those of the run.
    pub source: usize,
    /// What the source said of it.
    pub listed: ListedUnit,
    /// What came of it, and of its parts.
    pub reports: Vec<UnitReport>,
    /// Rows by table that came since the last checkpoint.
    pub sent: BTreeMap<&'static str, u64>,
    /// Tables that held rows of it back.
    pub short: BTreeSet<&'static str>,
    /// The origin that its rows have at present: that of the report that comes next.
    pub origin: Option<Origin>,
    /// The origin of the rows of each report.
    pub origins: Vec<Option<Origin>>,
}

impl Group {
    /// A unit of which nothing came yet.
    pub(crate) fn new(number: u64, source: usize, listed: ListedUnit) -> Self {
        Group {
            number,
            source,
            listed,
            reports: Vec::new(),
            sent: BTreeMap::new(),
            short: BTreeSet::new(),
            origin: None,
            origins: Vec::new(),
        }
    }

    /// True when its source had it.
    pub(crate) fn is_there(&self) -> bool {
        self.reports.iter().all(|report| report.state != UnitState::Expired)
    }

    /// Takes the report of a unit whose rows all came.
    pub(crate) fn take(&mut self, report: UnitReport) {
        self.origins.resize(self.reports.len(), None);
        self.origins.push(self.origin.take());
        self.reports.push(report);
    }

    /// Gives each report what came of its rows, which is known once all of them are committed.
    pub(crate) fn count(&mut self, known: &mut HashMap<Origin, OriginCounts>) {
        for (at, report) in self.reports.iter_mut().enumerate() {
            let origin = self.origins.get(at).copied().flatten();
            let counts = origin.and_then(|origin| known.remove(&origin)).unwrap_or_default();
            (report.duplicates, report.replaced) = (Some(counts.duplicates), Some(counts.replaced));
        }
    }
}

/// The units among what waits.
pub(crate) fn units_of(pending: &mut [Pending]) -> impl Iterator<Item = &mut Group> {
    pending.iter_mut().filter_map(|pending| match pending {
        Pending::Unit(group) => Some(group),
        Pending::Page(..) | Pending::Block(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::report;

    #[test]
    fn each_report_gets_the_counts_of_its_own_rows() {
        let mut group = Group::new(1, 0, ListedUnit::default());
        let unit = |state| report("u", state, 0);
        for origin in [Some(7), None, Some(9)] {
            group.origin = origin;
            group.take(unit(UnitState::Done));
            assert_eq!(group.origin, None, "the rows of the next one are others");
        }
        assert!(group.is_there());
        group.reports.push(unit(UnitState::Expired));
        assert!(!group.is_there());
        let counts = |duplicates, replaced| OriginCounts { duplicates, replaced };
        let mut known = HashMap::from([(7, counts(1, 2)), (9, counts(3, 4)), (11, counts(5, 6))]);
        group.count(&mut known);
        let told: Vec<_> = group.reports.iter().map(|report| (report.duplicates, report.replaced)).collect();
        let of = |duplicates, replaced| (Some(duplicates), Some(replaced));
        assert_eq!(told, [of(1, 2), of(0, 0), of(3, 4), of(0, 0)]);
        assert_eq!(known.into_keys().collect::<Vec<_>>(), [11]);
    }
}
