//! Datetimes and timespans as numbers: ticks of 100 ns, a datetime's since 0001-01-01; at rest, microseconds since 1970.

/// Ticks of 100 ns between 0001-01-01 and 1970-01-01.
pub const UNIX_EPOCH_TICKS: i64 = 621_355_968_000_000_000;
/// Ticks of a second.
pub const TICKS_PER_SECOND: i64 = 10_000_000;
/// Ticks of a day.
pub const TICKS_PER_DAY: i64 = 864_000_000_000;
/// Ticks of a microsecond.
pub const TICKS_PER_US: i64 = 10;
/// Microseconds of a second.
pub const US_PER_SECOND: i64 = TICKS_PER_SECOND / TICKS_PER_US;
/// Microseconds of a minute.
pub const US_PER_MINUTE: i64 = 60 * US_PER_SECOND;
/// Microseconds of an hour.
pub const US_PER_HOUR: i64 = 60 * US_PER_MINUTE;
/// Microseconds of a day.
pub const US_PER_DAY: i64 = TICKS_PER_DAY / TICKS_PER_US;
/// Days between 0001-01-01 and 1970-01-01.
pub(crate) const UNIX_EPOCH_DAYS: i64 = UNIX_EPOCH_TICKS / TICKS_PER_DAY;
/// The greatest datetime, 9999-12-31T23:59:59.9999999Z; the least is tick 0.
pub const MAX_DATETIME: i64 = 3_155_378_975_999_999_999;

/// Ticks since 0001-01-01 as a datetime; `None` outside of the calendar.
pub fn datetime(ticks: i64) -> Option<i64> {
    (0..=MAX_DATETIME).contains(&ticks).then_some(ticks)
}

/// A real as whole ticks of a timespan, truncated toward zero; `None` beyond the range.
pub fn ticks_of_real(v: f64) -> Option<i64> {
    // The greatest long is no real; 2^63 is the least one that is too great.
    let bound = -(i64::MIN as f64);
    (-bound..bound).contains(&v).then_some(v as i64)
}

/// The datetime of an instant at rest: microseconds since 1970. A file may hold what is no datetime of the calendar; that
/// must not end the query.
pub const fn datetime_of_us(us: i64) -> i64 {
    us.wrapping_mul(TICKS_PER_US).wrapping_add(UNIX_EPOCH_TICKS)
}

/// Microseconds since 1970 of a datetime; the seventh digit of its second is dropped towards the past.
pub const fn us_of_datetime(ticks: i64) -> i64 {
    ticks.saturating_sub(UNIX_EPOCH_TICKS).div_euclid(TICKS_PER_US)
}
