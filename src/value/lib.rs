//! Values of the Kusto Query Language, and what all other parts of kqlake say about them.
//!
//! Here are KQL's types and values, their text forms in both directions ([`parse`] and [`format`](mod@format)), the days of the
//! [`calendar`], access to JSON text without a tree ([`json`]), the [`encoding`] of texts that people write, text made harmless for a terminal ([`escape`]) or a spreadsheet
//! ([`formula`]), the [`clock`] that `now()` is read from, a hasher for keys that are hashes ([`hashed`]), numbers that follow from
//! a seed ([`splitmix64`]), and, with the feature `arrow`, columns of values as Arrow arrays (by their places or by their names), a
//! text column in any of Arrow's forms, and the budget for its text.
//!
//! This crate is the lowest layer. It may use nothing of the project, and must never know a query, a table or a file.

pub mod calendar;
pub mod clock;
#[cfg(feature = "arrow")]
pub mod columns;
pub mod encoding;
pub mod escape;
pub mod format;
pub mod formula;
pub mod hashed;
pub mod json;
mod json_form;
#[cfg(feature = "arrow")]
pub mod named;
pub mod parse;
pub mod splitmix64;
#[cfg(feature = "arrow")]
pub mod text_column;
#[cfg(feature = "arrow")]
pub mod texts;
mod ticks;
mod types;
mod value;

pub use self::json_form::json_of;
pub use self::parse::decimal_of_real;
pub use self::ticks::*;
pub use self::types::{Column, Type};
pub use self::value::*;
