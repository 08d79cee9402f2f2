//! Exchange Online message traces: Graph pages, the retiring reporting web service, and the admin centre's CSV files.

pub(crate) mod mapping;
