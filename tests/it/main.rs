//! The integration tests: one binary.

mod cli;
mod export;
mod formats;
mod import;
mod kqlt;
mod lake;
mod layering;
mod nightly;
mod robust;
mod saved;
mod support;
mod ticks;
