//! The integration tests: one binary.

mod cli;
mod damaged_lake;
mod export;
mod foreign_columns;
mod formats;
mod formulas;
mod generated;
mod hostile_input;
mod import;
mod kqlt;
mod lake;
mod lake_paths;
mod layering;
mod limits;
mod log_actions;
mod newest;
mod nightly;
mod output_safety;
mod robust;
mod saved;
mod statistics;
mod support;
mod ticks;
