//! KQL: from text to a DataFusion plan.

pub mod ast;
pub mod binder;
pub mod bound;
pub mod catalog;
pub mod diagnostics;
pub mod format;
pub mod functions;
pub mod lexer;
pub mod literals;
pub mod lower;
pub mod parser;
mod plan;
pub mod suggest;
pub mod support;
pub mod types;
pub mod value;

pub use plan::{Bound, PlanEnv, PlanError, Planned, PlannedTable, Render, bind_only, check, plan};

#[cfg(test)]
mod service_tests;
#[cfg(test)]
mod soup_tests;
