//! Fetches telemetry from its services: tokens, HTTP with retries and quotas, and the sources of units that an import reads.
//!
//! May use: `kqlake-value`, `kqlake-durable`, and `kqlake-import` for its [`Source`](kqlake_import::Source) and sections.
//! Must never know: Delta, Parquet and tables, queries, the configuration file, the command line and the environment.

mod api;
mod budget;
pub mod cloud;
mod credentials;
pub mod download;
mod http;
mod instant;
mod pace;
mod sections;
pub mod settings;
mod state;
#[cfg(test)]
mod testing;
mod token;
pub mod webhook;
mod world;

pub use self::api::{Api, ServiceAnswer, Streamed};
pub use self::budget::{RequestLimits, kept_requests};
pub use self::credentials::{Certificate, CertificateError};
pub use self::http::{Failure, HeaderMap, Request, ServiceError};
pub use self::pace::Pace;
pub use self::sections::{check_message_trace, sources};
pub use self::world::{SetupError, World};
