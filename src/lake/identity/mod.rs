//! Which rows are one record: the hashes that lakes hold for it, and what of a row they are made of.
//!
//! `docs/identity.md` states the rule; the table definitions carry it as data.

mod content;
mod hash;
mod pair;

pub(crate) use self::content::ordinal_of;
pub use self::content::{ContentValue, EXTRA, RowContent, content_id, derived_content, derived_id};
pub use self::hash::RecordHash;
