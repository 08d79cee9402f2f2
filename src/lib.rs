//! kqlake, the program: commands, sessions, output, exports and saved queries over the crates of the layers below.

pub mod cli;
pub mod config;
pub mod doctor;
pub mod engine;
pub mod error;
pub mod export;
pub mod generate;
pub mod live;
pub mod output;
pub mod saved;
