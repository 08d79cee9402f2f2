//! Faults: where, and what.

use std::collections::BTreeMap;

/// Which faults are injected where.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {}

/// The faults of a running tenant.
#[derive(Debug, Default)]
pub(crate) struct Faults {}

impl Faults {
    pub(crate) fn new(_plan: FaultPlan) -> Self {
        Self {}
    }

    /// How often each was injected.
    pub(crate) fn injected(&self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }
}
