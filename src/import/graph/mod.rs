//! Microsoft Graph: usage reports, and pages of the directory and of Teams.

pub mod directory;
pub mod reports;
