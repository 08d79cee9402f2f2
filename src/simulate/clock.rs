//! Simulated time: the machine's, an instant that stands still, or one from which time runs faster or slower.

use std::str::FromStr;
use std::sync::{PoisonError, RwLock};
use std::time::Instant;

use kqlake_value::clock::{Clock, SystemClock};
use kqlake_value::{calendar, parse, us_of_datetime};

/// What a simulated clock shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ClockSetting {
    /// The machine's time.
    Real,
    /// Runs from an instant, in microseconds since 1970-01-01 UTC, at `rate` simulated seconds a second; 0 stands still.
    From {
        /// Where it starts.
        micros: i64,
        /// Simulated seconds a second.
        rate: f64,
    },
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
        let micros = self::instant(instant).ok_or_else(wrong)?;
        Ok(ClockSetting::From { micros, rate: rate.ok_or_else(wrong)? })
    }
}

/// The clock of a simulated tenant.
#[derive(Debug)]
pub(crate) struct SimulatedClock {
    /// What it shows, and since when.
    set: RwLock<(ClockSetting, Instant)>,
}

impl SimulatedClock {
    pub(crate) fn new(setting: ClockSetting) -> Self {
        Self { set: RwLock::new((setting, Instant::now())) }
    }

    pub(crate) fn set(&self, setting: ClockSetting) {
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = (setting, Instant::now());
    }

    /// Seconds since 1970-01-01 UTC.
    pub(crate) fn now_seconds(&self) -> i64 {
        self.now_micros().div_euclid(1_000_000)
    }

    /// Simulated seconds a second; 0 where time stands still.
    pub(crate) fn rate(&self) -> f64 {
        match self.set.read().unwrap_or_else(PoisonError::into_inner).0 {
            ClockSetting::Real => 1.0,
            ClockSetting::From { rate, .. } => rate,
        }
    }
}

impl Clock for SimulatedClock {
    fn now_micros(&self) -> i64 {
        match *self.set.read().unwrap_or_else(PoisonError::into_inner) {
            (ClockSetting::Real, _) => SystemClock.now_micros(),
            (ClockSetting::From { micros, rate }, since) => {
                micros.saturating_add((since.elapsed().as_secs_f64() * rate * 1e6) as i64)
            }
        }
    }
}

/// `2026-01-09T08:15:30` and a fraction of `digits` digits (0 to 6), without a zone.
pub(crate) fn iso(micros: i64, digits: usize) -> String {
    let (days, of_day) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    let (year, month, day) = calendar::civil_from_days(days);
    let seconds = of_day / 1_000_000;
    let text = format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        of_day % 1_000_000
    );
    let end = if digits == 0 { 19 } else { 20 + digits.min(6) };
    text[..end].to_owned()
}

/// The form of HTTP's dates: `Fri, 09 Jan 2026 08:15:30 GMT`.
pub(crate) fn http_date(micros: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = micros.div_euclid(86_400_000_000);
    let (year, month, day) = calendar::civil_from_days(days);
    let time = iso(micros, 0);
    let weekday = DAYS[days.rem_euclid(7) as usize];
    format!("{weekday}, {day:02} {} {year:04} {} GMT", MONTHS[month as usize - 1], &time[11..])
}

/// Microseconds since 1970-01-01 of an instant that a request names, with or without a zone (UTC then); `None` for another text.
pub(crate) fn instant(text: &str) -> Option<i64> {
    parse::datetimes::literal(text).map(us_of_datetime)
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
    fn a_clock_stands_still_until_it_is_set() {
        let clock = SimulatedClock::new(ClockSetting::From { micros: 5_000_000, rate: 0.0 });
        assert_eq!((clock.now_micros(), clock.now_seconds()), (5_000_000, 5));
        clock.set(ClockSetting::From { micros: 7_000_000, rate: 0.0 });
        assert_eq!(clock.now_seconds(), 7);
    }

    #[test]
    fn instants_are_written_as_services_write_them() {
        let micros = 1_767_946_530_123_456;
        assert_eq!(iso(micros, 0), "2026-01-09T08:15:30");
        assert_eq!(iso(micros, 3), "2026-01-09T08:15:30.123");
        assert_eq!(http_date(micros), "Fri, 09 Jan 2026 08:15:30 GMT");
        assert_eq!(instant("2026-01-09T08:15:30"), Some(1_767_946_530_000_000));
    }
}
