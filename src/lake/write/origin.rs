//! Whose the rows of a landing are, where the rows of several units of import are committed together.

use std::collections::BTreeMap;

/// The number of what rows came from, such as a unit of import. Rows of which nobody asks have 0.
pub type Origin = u32;

/// What came of the rows of one origin, beside those that are new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OriginCounts {
    /// Rows that were left out because their record is there, or comes in another row of the landing.
    pub duplicates: u64,
    /// Rows that took the place of a lesser row of their record.
    pub replaced: u64,
}

impl OriginCounts {
    /// Adds what came of other rows of the same origin.
    pub fn add(&mut self, other: Self) {
        self.duplicates += other.duplicates;
        self.replaced += other.replaced;
    }
}

/// Numbers of rows by origin.
#[derive(Debug, Clone, Default)]
pub(crate) struct ByOrigin(BTreeMap<Origin, u64>);

impl ByOrigin {
    /// Counts a row, if there is one.
    pub(crate) fn count(&mut self, row: Option<Origin>) {
        if let Some(origin) = row {
            *self.0.entry(origin).or_default() += 1;
        }
    }

    /// The rows of all origins.
    pub(crate) fn sum(&self) -> u64 {
        self.0.values().sum()
    }
}

/// Rows that were left out and that took the place of others, together, but for those of which nobody asks.
pub(crate) fn counts(duplicates: &ByOrigin, replaced: &ByOrigin) -> BTreeMap<Origin, OriginCounts> {
    let mut counts: BTreeMap<Origin, OriginCounts> = BTreeMap::new();
    duplicates.0.iter().for_each(|(origin, rows)| counts.entry(*origin).or_default().duplicates += rows);
    replaced.0.iter().for_each(|(origin, rows)| counts.entry(*origin).or_default().replaced += rows);
    counts.remove(&0);
    counts
}
