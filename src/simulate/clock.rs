//! Simulated time: the machine's, an instant that stands still, or one from which time runs faster or slower.

use std::sync::{Arc, PoisonError, RwLock};

use kqlake_value::US_PER_DAY;
use kqlake_value::calendar;
use kqlake_value::clock::{Clock, ClockSetting};
use kqlake_value::format::InstantText;

/// The clock of a simulated tenant.
#[derive(Debug)]
pub(crate) struct SimulatedClock {
    /// How it is set, and what it shows since then.
    set: RwLock<(ClockSetting, Arc<dyn Clock>)>,
}

impl SimulatedClock {
    pub(crate) fn new(setting: ClockSetting) -> Self {
        Self { set: RwLock::new((setting, setting.clock())) }
    }

    pub(crate) fn set(&self, setting: ClockSetting) {
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = (setting, setting.clock());
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
        self.set.read().unwrap_or_else(PoisonError::into_inner).1.now_micros()
    }
}

/// `2026-01-09T08:15:30` and a fraction of `digits` digits (0 to 6), without a zone.
pub(crate) fn iso(micros: i64, digits: usize) -> String {
    InstantText::of_us(micros).with_digits(digits.min(6)).to_owned()
}

/// The form of HTTP's dates: `Fri, 09 Jan 2026 08:15:30 GMT`.
pub(crate) fn http_date(micros: i64) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = micros.div_euclid(US_PER_DAY);
    let (year, month, day) = calendar::civil_from_days(days);
    let text = InstantText::of_us(micros);
    let weekday = DAYS[calendar::weekday(days) as usize];
    format!("{weekday}, {day:02} {} {year:04} {} GMT", MONTHS[month as usize - 1], text.time())
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
