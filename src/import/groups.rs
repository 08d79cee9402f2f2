//! What came of listed units, until a checkpoint has it in the lake, and which part of its commits was theirs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::UnitReport;
use super::source::ListedUnit;

/// Something that waits for the next checkpoint.
pub(crate) enum Pending {
    /// A unit that was read to its end.
    Unit(Group),
    /// The end of a page of a source, with its cursor.
    Page(usize, Option<Value>),
    /// Something of a source could not be had.
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
    /// Rows of it that were there already; `None` when it is unknown whose they were.
    pub duplicates: Option<u64>,
    /// The same of rows that took the place of others.
    pub replaced: Option<u64>,
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
            duplicates: Some(0),
            replaced: Some(0),
        }
    }

    /// Gives the reports their part of what is known of the unit.
    pub(crate) fn count(&mut self) {
        let rows = |report: &UnitReport| report.counts.rows.values().sum::<u64>();
        let all: u64 = self.reports.iter().map(rows).sum();
        let is_alone = self.reports.iter().filter(|report| rows(report) > 0).count() == 1;
        for report in &mut self.reports {
            let part = |of: Option<u64>| {
                let mut part = Some(0);
                of.map(|of| add_part(&mut part, of, rows(report), all, is_alone)).and(part)
            };
            (report.duplicates, report.replaced) = (part(self.duplicates), part(self.replaced));
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

/// Adds to a sum the part that one of several has in a count of all their rows: it is known when the count is none of them or all
/// of them, or there are no others.
pub(crate) fn add_part(sum: &mut Option<u64>, count: u64, mine: u64, all: u64, is_alone: bool) {
    let part = match count {
        _ if mine == 0 => Some(0),
        0 => Some(0),
        count if is_alone => Some(count),
        count if count == all => Some(mine),
        _ => None,
    };
    *sum = sum.zip(part).map(|(sum, part)| sum + part);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_known_when_it_is_none_or_all_or_nobody_elses() {
        let part = |count, mine, all, is_alone| {
            let mut sum = Some(5);
            add_part(&mut sum, count, mine, all, is_alone);
            sum
        };
        assert_eq!(part(0, 3, 10, false), Some(5));
        assert_eq!(part(10, 3, 10, false), Some(8));
        assert_eq!(part(2, 3, 3, true), Some(7));
        assert_eq!(part(2, 0, 3, false), Some(5));
        assert_eq!(part(2, 3, 10, false), None);
        let mut unknown = None;
        add_part(&mut unknown, 0, 3, 10, false);
        assert_eq!(unknown, None);
    }
}
