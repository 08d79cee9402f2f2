//! The way into a table: rows in the making, and landings that commit them once.

pub(crate) mod intake;
pub(crate) mod intent;
pub(crate) mod keys;
pub(crate) mod landing;
pub(crate) mod rows;
