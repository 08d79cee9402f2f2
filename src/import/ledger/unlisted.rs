//! Units that must still be read and that a whole listing of their source does not have any more.

use std::collections::HashSet;

use super::{Known, KnownUnits, LedgerState};
use crate::UnitState;

/// What became of a unit that is not listed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was no unit but a listing that failed, and that succeeded now.
    ListedAgain,
    /// Other units, which are in the lake, have all of its time.
    Covered,
    /// Its source has it no longer.
    Lost,
}

/// A unit with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unlisted {
    /// Its name.
    pub name: String,
    /// When it was listed first (microseconds since 1970).
    pub listed: Option<i64>,
    /// The instants between which its records lie.
    pub window: Option<(i64, i64)>,
    /// True when it is all of its kind that its source had of its window.
    pub is_stretch: bool,
    /// What became of it.
    pub outcome: Fate,
}

impl Unlisted {
    fn of(name: &str, known: &Known, outcome: Fate) -> Self {
        let Known { listed, window, is_stretch, .. } = *known;
        Unlisted { name: name.to_owned(), listed, window, is_stretch, outcome }
    }

    /// True when it was no unit but a listing that failed.
    pub(crate) fn is_listing(&self) -> bool {
        self.outcome == Fate::ListedAgain
    }

    /// The state that it has from now on.
    pub(crate) fn state(&self) -> UnitState {
        match self.outcome {
            Fate::ListedAgain | Fate::Covered => UnitState::Done,
            Fate::Lost => UnitState::Expired,
        }
    }

    /// What became of it, as a sentence.
    pub(crate) fn reason(&self) -> &'static str {
        match self.outcome {
            Fate::ListedAgain => "its units are listed again",
            Fate::Covered => "other units have its time, and are in the lake",
            Fate::Lost => "it could not be read before, and its source does not list it any more",
        }
    }
}

/// True for a unit that must still be read and was never read to its end, as its newest row says.
pub(super) fn is_missing(state: LedgerState, hash: &str) -> bool {
    match state {
        LedgerState::Listed | LedgerState::Tried(UnitState::Failed) => true,
        LedgerState::Tried(UnitState::Incomplete | UnitState::Unknown) => hash.is_empty(),
        LedgerState::Tried(_) | LedgerState::Gone => false,
    }
}

impl KnownUnits {
    /// Folders of a source that could not be listed before, and that it has listed now.
    pub(crate) fn listed_again(&self, source: &str, has_listed: impl Fn(&str) -> bool) -> Vec<Unlisted> {
        let is_mine =
            |(name, known): &(&String, &Known)| known.is_missing && known.source.as_deref() == Some(source) && has_listed(name);
        self.units.iter().filter(is_mine).map(|(name, known)| Unlisted::of(name, known, Fate::ListedAgain)).collect()
    }

    /// Units of a source that must still be read and that a run, which listed the source to its end and has all of it in the lake,
    /// did not come by; `times` are the windows that it read, where the source's windows leave no time out. Of units that say when
    /// they expire [`KnownUnits::overdue`] tells.
    pub(crate) fn unlisted(&self, source: &str, read: &HashSet<String>, times: Option<&[(i64, i64)]>) -> Vec<Unlisted> {
        let mine = |known: &&Known| known.source.as_deref() == Some(source);
        let missing: Vec<_> = self
            .units
            .iter()
            .filter(|(name, known)| mine(known) && known.is_missing && known.expires.is_none() && !read.contains(*name))
            // The row under the source's own name is that of its whole listing, see `Run::outlived`.
            .filter(|(name, _)| *name != source)
            .collect();
        if missing.is_empty() {
            return Vec::new();
        }
        let earlier = self.units.values().filter(mine).filter(|known| known.is_settled()).filter_map(|known| known.window);
        let covered = times.map(|times| union(times.iter().copied().chain(earlier).collect()));
        let is_covered = |window: (i64, i64)| covered.iter().flatten().any(|(from, to)| *from <= window.0 && window.1 <= *to);
        missing
            .into_iter()
            .map(|(name, known)| {
                let outcome = match known.window {
                    _ if known.is_listing => Fate::ListedAgain,
                    Some(window) if is_covered(window) => Fate::Covered,
                    _ => Fate::Lost,
                };
                Unlisted::of(name, known, outcome)
            })
            .collect()
    }
}

/// Windows that touch or overlap, joined, in order.
fn union(mut windows: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    windows.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for (from, to) in windows {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}
