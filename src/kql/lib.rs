//! The meaning of the Kusto Query Language: from text to DataFusion plans.
//!
//! [`plan`] parses, binds names and types against a [`catalog::Catalog`], and lowers the typed tree to logical plans over the
//! tables of a [`scans::ScanCatalog`]. The functions of the language are tables in [`functions`].
//!
//! May use: `kqlake-syntax`, `kqlake-value`, Arrow and DataFusion. Must never know: Delta, the lake's folder, where queries come
//! from and where answers go.

mod binder;
mod bound;
pub mod catalog;
mod check;
mod computation;
pub mod external;
mod free_name;
pub mod functions;
mod language_service;
mod lower;
mod plan;
mod room;
mod scalar_call;
pub mod scans;
pub mod support;

pub use check::{bind_only, check};
pub use functions::aggregate::udaf::has_large_states;
pub use language_service::Bound;
pub use lower::compute::makes_wide_rows;
pub use plan::{PlanEnv, PlanError, Planned, PlannedTable, Render, plan};
pub use scalar_call::{Argument, ScalarCall, bind_scalar, parameter};

#[cfg(test)]
mod service_tests;
#[cfg(test)]
mod soup_tests;
