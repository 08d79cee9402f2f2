//! Rows that wait: those of which it is unknown whether they are there, because a landed file cannot be read.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

use crate::day::day_text;
use crate::error::LakeError;

/// Rows that were not landed because landed rows that they may be the same as cannot be read: it is unknown which of them are
/// there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRows {
    /// The day of the rows.
    pub day: String,
    /// How many rows.
    pub rows: u64,
    /// Which file cannot be read, and why.
    pub reason: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// The files that cannot be read, and the rows that wait for them.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    files: HashSet<String>,
    reasons: Vec<(RangeInclusive<i32>, LakeError)>,
    /// By day: which of the reasons, and how many rows.
    rows: BTreeMap<i32, (usize, u64)>,
}

impl Closed {
    /// True when nothing is.
    pub(crate) fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// True when a file is one of those that cannot be read.
    pub(crate) fn has(&self, file: &str) -> bool {
        self.files.contains(file)
    }

    /// Closes days to new rows because of a file.
    pub(crate) fn close(&mut self, file: &str, days: RangeInclusive<i32>, why: LakeError) {
        self.files.insert(file.to_owned());
        self.reasons.push((days, why));
    }

    /// Whether rows of a day wait; counts one that does.
    pub(crate) fn holds(&mut self, day: i32) -> bool {
        let Some(reason) = self.reasons.iter().position(|(days, _)| days.contains(&day)) else { return false };
        self.rows.entry(day).or_insert((reason, 0)).1 += 1;
        true
    }

    /// The rows that wait, by day.
    pub(crate) fn held(&self) -> Vec<HeldRows> {
        let held = |(day, (reason, rows)): (&i32, &(usize, u64))| {
            let (_, why) = self.reasons.get(*reason)?;
            let (day, reason, advice) = (day_text(*day).unwrap_or_default(), why.to_string(), why.advice());
            Some(HeldRows { day, rows: *rows, reason, advice })
        };
        self.rows.iter().filter_map(held).collect()
    }
}
