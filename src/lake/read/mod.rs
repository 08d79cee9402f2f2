//! The way out of a table: snapshots of one version, and scans over their files.

pub(crate) mod as_kql;
pub(crate) mod broken;
mod foreign;
mod named_readers;
pub(crate) mod provider;
pub(crate) mod snapshot;
