//! What a simulated tenant served, and what is true of its data.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// What a perfect client has of one table of the lake.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Table {
    /// The table's name in the lake.
    pub table: String,
    /// The columns that `rows` are told apart by; their values are joined by `|`.
    pub key: Vec<String>,
    /// How many rows there are.
    pub count: usize,
    /// Keys of all rows, in order, each with the value that wins where rows change (a version, a status), else null. Empty where there
    /// are more than the settings let be written.
    pub rows: BTreeMap<String, Option<String>>,
    /// Keys that a client may have and need not: of what was about to expire or has just come, and was not asked for.
    pub optional: Vec<String>,
    /// Records as they were sent that no table can take.
    pub refused: Vec<String>,
}

impl Table {
    /// A table without rows.
    pub fn new(table: &str, key: &[&str]) -> Self {
        Self { table: table.to_owned(), key: key.iter().map(|column| (*column).to_owned()).collect(), ..Self::default() }
    }

    /// Adds a row, or lets another value win.
    pub fn row(&mut self, key: impl Into<String>, last: Option<String>) {
        self.rows.insert(key.into(), last);
        self.count = self.rows.len();
    }
}

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub struct Manifest {
    /// What the tenant is a function of, with the scale and the time.
    pub seed: u64,
    /// How much there is.
    pub scale: f64,
    /// The simulated instant at which this was written.
    pub now: String,
    /// The tenant's guid.
    pub tenant: String,
    /// What the lake of a perfect client has.
    pub tables: Vec<Table>,
    /// Requests by service and status.
    pub requests: BTreeMap<String, BTreeMap<u16, u64>>,
    /// What else was counted.
    pub notes: BTreeMap<String, u64>,
    /// Faults that were injected, by name.
    pub faults: BTreeMap<String, u64>,
}

/// Counts what goes out.
#[derive(Debug, Default)]
pub(crate) struct Served {
    requests: Mutex<BTreeMap<String, BTreeMap<u16, u64>>>,
    notes: Mutex<BTreeMap<String, u64>>,
}

impl Served {
    /// One answer of a service.
    pub(crate) fn count(&self, service: &str, status: u16) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        match requests.get_mut(service) {
            Some(statuses) => *statuses.entry(status).or_default() += 1,
            None => {
                requests.insert(service.to_owned(), BTreeMap::from([(status, 1)]));
            }
        }
    }

    /// One more of something.
    pub(crate) fn note(&self, what: &str) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        match notes.get_mut(what) {
            Some(count) => *count += 1,
            None => drop(notes.insert(what.to_owned(), 1)),
        }
    }

    pub(crate) fn notes(&self) -> BTreeMap<String, u64> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn requests(&self) -> BTreeMap<String, BTreeMap<u16, u64>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
