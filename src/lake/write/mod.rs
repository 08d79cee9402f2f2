//! The way into a table: rows in the making, and landings that commit them once.

mod fullness;
pub(crate) mod held;
pub(crate) mod intake;
pub(crate) mod keys;
pub(crate) mod landing;
pub(crate) mod origin;
mod pairs;
pub(crate) mod position;
mod probe;
pub(crate) mod rewrite;
pub(crate) mod rows;
mod standing;
