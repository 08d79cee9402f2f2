//! The time that a client has asked for, from its earliest begin to its latest end: what of it was never asked for is lost.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// The time, and the instant as of which some of it was told last.
#[derive(Debug, Default)]
pub(crate) struct Hull(Mutex<Option<(Range<i64>, i64)>>);

impl Hull {
    /// Notes that a time was told as of an instant.
    pub(crate) fn add(&self, time: Range<i64>, now: i64) {
        let mut hull = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, last) = hull.take().unwrap_or((time.clone(), now));
        *hull = Some((before.start.min(time.start)..before.end.max(time.end), last.max(now)));
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
        let hull = Hull::default();
        assert_eq!(hull.get(), None);
        hull.add(5..7, 10);
        hull.add(1..2, 9);
        assert_eq!(hull.get(), Some((1..7, 10)));
    }
}
