//! Office 365 audit records: Management Activity content, audit searches, and the Graph audit query.

pub(crate) mod mapping;
pub(crate) mod scope;
