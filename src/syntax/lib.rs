//! The text of the Kusto Query Language: tokens, a tree with places, and diagnostics that point into the text.
//!
//! [`parser::parse`] reads any text without panicking, keeps going behind an error, and says of each what was expected. Nothing here
//! knows tables, columns or functions: names are only names. `examples/` has a program that lists the tables that a query names
//! and one that prints diagnostics.
//!
//! May use: the types and text forms of `kqlake-value`. Must never know: Arrow, DataFusion, files, clocks.

pub mod ast;
pub mod diagnostics;
pub mod lexer;
pub mod literals;
pub mod parser;
pub mod suggest;
