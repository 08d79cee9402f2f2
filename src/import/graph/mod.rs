//! Microsoft Graph: usage reports, and pages of the directory and of Teams, messages of channels.

pub(crate) mod directory;
pub(crate) mod messages;
mod report_keys;
pub(crate) mod reports;
