//! The integration tests: one binary.

mod cli;
mod export;
mod kqlt;
mod lake;
mod nightly;
mod saved;
mod support;
