//! Microsoft Graph call records with their sessions and segments.

pub(crate) mod mapping;
