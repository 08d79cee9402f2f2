//! How shapes of one record with and without its id are matched: by content and ordinal.
//!
//! Of a content that `owned` rows with ids of their own have, the first `owned` rows without one are the same records. So a row
//! without an id is in the table exactly when its ordinal is not below that number, whichever came first.

use super::keys::{ContentMap, KeySet, RowKey};

/// The contents of a landing's rows, and how many rows of an id of their own each has in the table and in the landing.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    owned: ContentMap<u32>,
    /// Keys of the rows that were counted.
    counted: KeySet,
}

impl Pairs {
    /// Whether a row of the landing has this content.
    pub(crate) fn knows(&self, content: i64) -> bool {
        self.owned.contains_key(&content)
    }

    /// Notes a row of the landing.
    pub(crate) fn note(&mut self, row: &RowKey) {
        self.owned.entry(row.content).or_insert(0);
        self.count(row);
    }

    /// Counts a row of a content that is known, when it has an id of its own and was not counted before.
    pub(crate) fn count(&mut self, row: &RowKey) {
        if row.ordinal.is_none()
            && let Some(owned) = self.owned.get_mut(&row.content)
            && self.counted.insert(row.key)
        {
            *owned += 1;
        }
    }

    /// How many rows of a content have an id of their own.
    pub(crate) fn owned(&self, content: i64) -> u32 {
        self.owned.get(&content).copied().unwrap_or(0)
    }

    /// True for a row without an id whose record is there with one.
    pub(crate) fn covers(&self, row: &RowKey) -> bool {
        row.ordinal.is_some_and(|ordinal| ordinal < self.owned(row.content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: u128, ordinal: Option<u32>) -> RowKey {
        RowKey { key, day: 0, content: 7, ordinal }
    }

    #[test]
    fn as_many_rows_without_ids_are_covered_as_there_are_ids() {
        let mut pairs = Pairs::default();
        pairs.count(&row(1, None));
        assert!(!pairs.knows(7) && !pairs.covers(&row(9, Some(0))));
        pairs.note(&row(9, Some(0)));
        assert!(pairs.knows(7) && !pairs.covers(&row(9, Some(0))));
        for key in [1, 1, 2, 1] {
            pairs.note(&row(key, None));
        }
        assert!(pairs.covers(&row(9, Some(1))) && !pairs.covers(&row(9, Some(2))) && !pairs.covers(&row(1, None)));
    }
}
