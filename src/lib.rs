//! kqlake, the program: commands, sessions, output, exports and saved queries over the crates of the layers below.

mod allocator;
pub mod cli;
pub(crate) mod config;
pub(crate) mod doctor;
pub mod engine;
pub mod error;
pub mod export;
pub(crate) mod generate;
pub mod live;
pub mod output;
pub mod saved;
