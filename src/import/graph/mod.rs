//! Microsoft Graph: usage reports, and pages of the directory and of Teams.

pub(crate) mod directory;
pub(crate) mod reports;
