//! Where the time comes from: injected, so that tests and queries have one known instant.

use std::fmt;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A source of the present instant.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present instant in microseconds since 1970-01-01 UTC.
    fn now_micros(&self) -> i64;

    /// Its seconds in one of the machine's: what waits for others may be shortened by. It is 1 also for a clock that stands still.
    fn rate(&self) -> f64 {
        1.0
    }
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

/// A clock that runs from an instant, faster or slower than the machine's.
#[derive(Debug, Clone, Copy)]
pub struct RunningClock {
    from: i64,
    rate: f64,
    since: Instant,
}

impl RunningClock {
    /// A clock that shows an instant now (microseconds since 1970-01-01 UTC), and runs at so many of its seconds in one of the
    /// machine's.
    pub fn from_micros(from: i64, rate: f64) -> Self {
        Self { from, rate, since: Instant::now() }
    }
}

impl Clock for RunningClock {
    fn now_micros(&self) -> i64 {
        self.from.saturating_add((self.since.elapsed().as_secs_f64() * self.rate * 1e6) as i64)
    }

    fn rate(&self) -> f64 {
        self.rate
    }
}
