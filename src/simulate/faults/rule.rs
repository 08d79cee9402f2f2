//! One fault of a plan.

use super::what::What;

/// One fault, and where.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rule {
    pub(super) name: String,
    /// Prefixes of services; none for all of them.
    pub(super) services: Vec<String>,
    /// A pattern for path and query, with `*` for anything; none for all.
    pub(super) path: Option<String>,
    pub(super) method: Option<String>,
    pub(super) when: When,
    /// The most injections.
    pub(super) times: u64,
    /// The most injections into requests with the same method, path and query.
    pub(super) per_request: u64,
    pub(super) what: What,
}

/// Which of the requests that match.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum When {
    /// These, counted from 1.
    Nth(Vec<u64>),
    /// Each nth.
    Every(u64),
    /// A share of them, told by the seed.
    Share(f64),
}
