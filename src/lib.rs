//! kqlake: telemetry in, a Delta lake of Parquet files, KQL and SQL answers out.

pub mod cli;
pub mod clock;
pub mod config;
pub mod durable;
pub mod engine;
pub mod error;
pub mod events;
pub mod export;
pub mod generate;
pub mod import;
pub mod kql;
pub mod lake;
mod memory;
pub mod output;
mod pipe;
pub mod saved;
mod spill;
