//! How much may wait between the threads that read units and the task that lands their rows.
//!
//! Units are read several at a time and landed one after the other. The unit that is being landed may always have a share of its
//! own waiting; the others have one together, so that none of them can keep the one that everybody waits for from going on.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that wait.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Bytes of the first unit that may wait, and of all others together.
    limit: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The unit that is being landed.
    first: u64,
    /// Bytes that wait, by unit.
    waiting: HashMap<u64, usize>,
    /// True when the receiver is gone.
    closed: bool,
}

impl Budget {
    /// A budget of so many bytes for the first unit, and as many for all others.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The numbers are consistent at every instant, whichever thread panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until bytes of a unit may wait as well; false when the receiver is gone. One piece is always granted, however
    /// large it is.
    pub(crate) fn take(&self, unit: u64, bytes: usize) -> bool {
        let mut state = self.state();
        while !state.closed {
            let first = state.first;
            let shares = |other: &u64| (*other == first) == (unit == first);
            let used: usize = state.waiting.iter().filter(|(other, _)| shares(other)).map(|(_, bytes)| bytes).sum();
            if used == 0 || used + bytes <= self.limit {
                *state.waiting.entry(unit).or_default() += bytes;
                return true;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        false
    }

    /// Bytes of a unit do not wait any more.
    pub(crate) fn give_back(&self, unit: u64, bytes: usize) {
        let mut state = self.state();
        if let Some(waiting) = state.waiting.get_mut(&unit) {
            *waiting = waiting.saturating_sub(bytes);
            if *waiting == 0 {
                state.waiting.remove(&unit);
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// A unit becomes the one that is being landed.
    pub(crate) fn begin(&self, unit: u64) {
        self.state().first = unit;
        self.changed.notify_all();
    }

    /// The receiver is gone.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_first_unit_has_a_share_of_its_own() {
        let budget = Arc::new(Budget::new(10));
        budget.begin(1);
        // Others fill theirs, whatever the order.
        assert!(budget.take(2, 6) && budget.take(3, 4));
        assert!(budget.take(1, 10));
        let waiting = {
            let budget = Arc::clone(&budget);
            std::thread::spawn(move || budget.take(2, 5))
        };
        budget.give_back(1, 10);
        assert!(budget.take(1, 25), "a piece larger than all is granted when nothing waits");
        budget.give_back(1, 25);
        budget.begin(2);
        budget.give_back(2, 6);
        assert!(waiting.join().unwrap());
        let closed = {
            let budget = Arc::clone(&budget);
            std::thread::spawn(move || budget.take(3, 7))
        };
        budget.close();
        assert!(!closed.join().unwrap());
    }
}
