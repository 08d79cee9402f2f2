//! The lake's own folders, beside those of its tables. Their names are on disk: they stay.

/// What is known of the tables' positions beside their logs. The first form noted there what was about to be committed, hence the name.
pub(crate) const POSITIONS: &str = "_intents";
/// What repairs moved out of tables.
pub(crate) const SET_ASIDE: &str = "_set_aside";
/// Records that could not be read.
pub const QUARANTINE: &str = "_quarantine";
/// Notifications that wait to be read.
pub const SPOOL: &str = "_spool";
/// Locks, and small state of live imports.
pub const STATE: &str = "_state";
/// Copies of files that queries fetched.
pub const EXTERNAL: &str = "_external";

/// All of them.
pub(crate) const OWN: [&str; 6] = [POSITIONS, SET_ASIDE, QUARANTINE, SPOOL, STATE, EXTERNAL];
