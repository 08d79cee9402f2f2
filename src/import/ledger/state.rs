//! Where a unit is, as the ledger's rows say it.

use std::str::FromStr;

use crate::UnitState;

/// The state in a row of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LedgerState {
    /// Its source has the unit, and it is not in the lake yet.
    #[default]
    Listed,
    /// A try at it ended so.
    Tried(UnitState),
    /// It was settled, and its rows are not in the lake any more.
    Gone,
}

impl LedgerState {
    /// The word that the ledger has for it.
    pub fn name(self) -> &'static str {
        match self {
            LedgerState::Listed => "listed",
            LedgerState::Tried(state) => state.name(),
            LedgerState::Gone => "gone",
        }
    }
}

impl From<UnitState> for LedgerState {
    fn from(state: UnitState) -> Self {
        LedgerState::Tried(state)
    }
}

/// A word for a state that this version does not have: the row was written by a newer one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this version of kqlake does not know the state `{0}`")]
pub struct UnknownState(String);

impl FromStr for LedgerState {
    type Err = UnknownState;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let tried = UnitState::ALL.into_iter().map(LedgerState::Tried);
        let mut all = [LedgerState::Listed, LedgerState::Gone].into_iter().chain(tried);
        all.find(|state| state.name() == word).ok_or_else(|| UnknownState(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_as_it_is_written_and_no_other() {
        let tried = UnitState::ALL.map(LedgerState::Tried);
        for state in tried.into_iter().chain([LedgerState::Listed, LedgerState::Gone]) {
            assert_eq!(state.name().parse(), Ok(state));
        }
        assert_eq!("Done".parse::<LedgerState>(), Err(UnknownState("Done".into())));
        assert_eq!("".parse::<LedgerState>(), Err(UnknownState(String::new())));
    }
}
