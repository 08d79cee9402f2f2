//! The way out of a table: snapshots of one version, and scans over their files.

pub(crate) mod as_kql;
pub(crate) mod broken;
mod foreign;
pub(crate) mod parquet_format;
pub(crate) mod provider;
mod readers;
mod reals;
pub(crate) mod snapshot;
pub(crate) mod texts_once;
