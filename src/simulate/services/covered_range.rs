//! The time that a client has asked for, from its earliest begin to its latest end: what of it was never asked for is lost.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// The time, and the instant as of which some of it was told last.
#[derive(Debug, Default)]
pub(crate) struct CoveredRange(Mutex<Option<(Range<i64>, i64)>>);

impl CoveredRange {
    /// Notes that a time was told as of an instant.
    pub(crate) fn add(&self, time: Range<i64>, now: i64) {
        let mut covered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, last) = covered.take().unwrap_or((time.clone(), now));
        *covered = Some((before.start.min(time.start)..before.end.max(time.end), last.max(now)));
    }

    /// What was noted, if anything was.
    pub(crate) fn get(&self) -> Option<(Range<i64>, i64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_belong_to_it() {
        let covered = CoveredRange::default();
        assert_eq!(covered.get(), None);
        covered.add(5..7, 10);
        covered.add(1..2, 9);
        assert_eq!(covered.get(), Some((1..7, 10)));
    }
}
