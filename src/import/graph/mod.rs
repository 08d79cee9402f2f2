//! Microsoft Graph: usage reports, and pages of the directory and of Teams.

pub(crate) mod directory;
mod report_keys;
pub(crate) mod reports;
