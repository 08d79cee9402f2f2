//! The text of the Kusto Query Language: tokens, a tree with places, and diagnostics that point into the text.
//!
//! [`parser::parse`] reads any text without panicking, in linear time. It continues behind an error, so that one call reports the
//! errors of all operators, each with what was expected. Nothing here knows tables, columns, functions or types of
//! expressions: names are only names, and whether `let x = T` is a table is for a binder to say.
//!
//! ```
//! use kqlake_syntax::diagnostics::{RenderStyle, render};
//! use kqlake_syntax::{parser, tables};
//!
//! let text = "requests | where duration > 1s | join (exceptions | take 5) on operation_Id";
//! let parsed = parser::parse(text);
//! assert!(!parsed.has_errors());
//!
//! let names: Vec<String> = tables::find(&parsed.script).into_iter().map(|table| table.name).collect();
//! assert_eq!(names, ["requests", "exceptions"]);
//!
//! let text = "requests | wher duration > 1s";
//! let parsed = parser::parse(text);
//! assert_eq!(
//!     render(&parsed.diagnostics[0], text, RenderStyle::default()),
//!     "\
//! error[SYN0002]: unknown operator `wher`
//!   --> 1:12
//!    |
//!  1 | requests | wher duration > 1s
//!    |            ^^^^
//!    = help: did you mean `where`?
//! "
//! );
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`lexer`] | text → tokens |
//! | [`literals`] | the values of literals: numbers, datetimes, timespans, guids |
//! | [`parser`] | tokens → tree |
//! | [`ast`] | the tree |
//! | [`visit`] | walking a tree |
//! | [`tables`] | the tables that a text names |
//! | [`diagnostics`] | errors and warnings, and how they are shown |
//! | [`suggest`] | the nearest known name to one that is unknown |
//!
//! Two programs in `examples/` read a file or standard input: `tables` lists the tables that a text names, `diagnostics` prints
//! what is wrong with it.
//!
//! May use: the types and text forms of `kqlake-value`, without its feature `arrow`. Must never know: Arrow, DataFusion, an
//! asynchronous runtime, files, clocks, the environment.

pub mod ast;
pub mod diagnostics;
pub mod lexer;
pub mod literals;
pub mod parser;
pub mod suggest;
pub mod tables;
pub mod visit;
