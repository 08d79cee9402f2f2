//! Where the time comes from: injected, so that tests and queries have one known instant.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::parse::datetimes::literal;
use crate::us_of_datetime;

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
        us_of_instant(SystemTime::now())
    }
}

/// Microseconds since 1970 of an instant of the system, such as a file's time.
pub fn us_of_instant(instant: SystemTime) -> i64 {
    let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    match instant.duration_since(UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(before) => -micros(before.duration()),
    }
}

/// The system's instant of so many microseconds since 1970; the start of 1970 where the system has no such instant.
pub fn instant_of_us(us: i64) -> SystemTime {
    let span = Duration::from_micros(us.unsigned_abs());
    let instant = if us < 0 { UNIX_EPOCH.checked_sub(span) } else { UNIX_EPOCH.checked_add(span) };
    instant.unwrap_or(UNIX_EPOCH)
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

/// How a clock is set, as a command line says it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ClockSetting {
    /// The machine's time.
    Real,
    /// Runs from an instant, in microseconds since 1970-01-01 UTC, at `rate` of its seconds in one of the machine's; 0 stands still.
    From {
        /// Where it starts.
        micros: i64,
        /// Its seconds in one of the machine's.
        rate: f64,
    },
}

impl ClockSetting {
    /// A clock that is set so now.
    pub fn clock(self) -> Arc<dyn Clock> {
        match self {
            ClockSetting::Real => Arc::new(SystemClock),
            ClockSetting::From { micros, rate: 0.0 } => Arc::new(FixedClock::at_micros(micros)),
            ClockSetting::From { micros, rate } => Arc::new(RunningClock::from_micros(micros, rate)),
        }
    }
}

/// `real`, an instant (`2026-01-12T00:00:00Z`, which stands still), or an instant and a rate (`2026-01-12T00:00:00Zx60`).
impl FromStr for ClockSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "real" {
            return Ok(ClockSetting::Real);
        }
        let wrong =
            || format!("'{text}' is neither 'real' nor an instant as 2026-01-12T00:00:00Z, with a rate as x60 if time runs");
        let (instant, rate) = match text.split_once('x') {
            Some((instant, rate)) => (instant, rate.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= 0.0)),
            None => (text, Some(0.0)),
        };
        let micros = literal(instant).map(us_of_datetime).ok_or_else(wrong)?;
        Ok(ClockSetting::From { micros, rate: rate.ok_or_else(wrong)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_from_their_texts() {
        let micros = 1_768_176_000_000_000;
        assert_eq!("2026-01-12T00:00:00Z".parse(), Ok(ClockSetting::From { micros, rate: 0.0 }));
        assert_eq!("2026-01-12T00:00:00Zx60".parse(), Ok(ClockSetting::From { micros, rate: 60.0 }));
        assert_eq!("real".parse(), Ok(ClockSetting::Real));
        for wrong in ["", "x5", "2026-01-12x", "2026-01-12x-1", "2026-13-12", "2026-01-12xinf"] {
            assert!(wrong.parse::<ClockSetting>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn instants_of_the_system_go_there_and_back() {
        for us in [0, 1, -1, 1_768_176_000_000_000, -1_768_176_000_000_000] {
            assert_eq!(us_of_instant(instant_of_us(us)), us);
        }
    }

    #[test]
    fn a_clock_with_a_rate_runs_and_one_without_stands_still() {
        let clock = |text: &str| text.parse::<ClockSetting>().unwrap().clock();
        assert_eq!((clock("2026-01-12").now_micros(), clock("2026-01-12").rate()), (1_768_176_000_000_000, 1.0));
        let fast = clock("2026-01-12x60");
        assert!(fast.now_micros() >= 1_768_176_000_000_000);
        assert_eq!(fast.rate(), 60.0);
    }
}
