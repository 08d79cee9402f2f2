//! Where the time comes from: injected, so that tests and queries have one known instant.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A source of the present instant.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present instant in microseconds since 1970-01-01 UTC.
    fn now_micros(&self) -> i64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "here the time comes in")]
    fn now_micros(&self) -> i64 {
        let micros = |span: std::time::Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => micros(since),
            Err(before) => -micros(before.duration()),
        }
    }
}

/// A clock that stands still.
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(i64);

impl FixedClock {
    /// A clock standing at an instant given in microseconds since 1970-01-01 UTC.
    pub fn at_micros(micros: i64) -> Self {
        Self(micros)
    }
}

impl Clock for FixedClock {
    fn now_micros(&self) -> i64 {
        self.0
    }
}
