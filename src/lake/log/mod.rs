//! The Delta log of a table: its files as they are on the disk, what its commits say, and the versions that are read from it.

pub(crate) mod actions;
pub(crate) mod checkpoint;
pub(crate) mod commit;
pub(crate) mod delta;
pub(crate) mod entry;
pub(crate) mod files;
#[cfg(test)]
pub(crate) mod listings;
mod old_commits;
mod replay;
mod schema;
mod store;
