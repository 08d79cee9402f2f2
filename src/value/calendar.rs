//! Days of the proleptic Gregorian calendar.
//!
//! A day's number counts from 1970-01-01. The arithmetic is H. Hinnant's, "chrono-Compatible Low-Level Date Algorithms".
//!
//! It is here and not a library's since the syntax crate builds without one, and since every cell of a datetime column goes through
//! it: plain numbers in, plain numbers out, over all ticks of a long.

use crate::{TICKS_PER_DAY, UNIX_EPOCH_DAYS};

/// Year, month (1 to 12) and day of a day's number.
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

/// The number of a day. A day past its month's end runs over into the next month; [`day_number`] takes none such.
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let mp = (i64::from(month) + 9) % 12;
    let doy = (153 * mp + 2) / 5 + i64::from(day) - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

/// Days of a month (1 to 12).
pub fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// The number of a day; `None` for one that the calendar of the years 1 to 9999 does not have.
pub fn day_number(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    Some(days_from_civil(year, month as u32, day as u32))
}

/// The number of the day that a text such as `2026-01-05` names, with zeros before its numbers or without; `None` for one that the
/// calendar of the years 1 to 9999 does not have.
pub fn day_of_text(text: &str) -> Option<i64> {
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?;
    let mut parts = text.splitn(3, '-').map(number);
    day_number(parts.next()??, parts.next()??, parts.next()??)
}

/// The day's number of a datetime in ticks.
pub fn day_of(ticks: i64) -> i64 {
    ticks.div_euclid(TICKS_PER_DAY) - UNIX_EPOCH_DAYS
}

/// The start of a day, by its number, in ticks; `None` where that is far outside of the calendar.
pub fn start_of_day(day: i64) -> Option<i64> {
    day.checked_add(UNIX_EPOCH_DAYS)?.checked_mul(TICKS_PER_DAY)
}

/// Days since the last Sunday, by a day's number: 0 is a Sunday, 6 a Saturday.
pub fn weekday(day: i64) -> i64 {
    // 1970-01-01 was a Thursday.
    (day + 4).rem_euclid(7)
}

/// The start of a day in ticks since 0001-01-01; `None` for one that the calendar does not have.
pub fn date(year: i64, month: i64, day: i64) -> Option<i64> {
    start_of_day(day_number(year, month, day)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_numbered_there_and_back() {
        for (days, date) in [(0, (1970, 1, 1)), (-719_162, (1, 1, 1)), (2_932_896, (9999, 12, 31)), (11_016, (2000, 2, 29))] {
            assert_eq!(civil_from_days(days), date);
            assert_eq!(days_from_civil(date.0, date.1, date.2), days);
            assert_eq!(day_number(date.0, date.1.into(), date.2.into()), Some(days));
        }
        for (year, month, day) in
            [(2023, 2, 29), (1900, 2, 29), (2024, 13, 1), (2024, 4, 31), (2024, 1, 0), (0, 1, 1), (10_000, 1, 1)]
        {
            assert_eq!(day_number(year, month, day), None);
        }
        assert_eq!(date(1, 1, 1), Some(0));
        assert_eq!((day_of(0), day_of(-1), start_of_day(-719_162), start_of_day(i64::MAX)), (-719_162, -719_163, Some(0), None));
        // 2026-01-11 was a Sunday.
        assert_eq!([20_464, 20_465, 20_470, -4].map(weekday), [0, 1, 6, 0]);
    }

    #[test]
    fn days_are_read_from_their_texts() {
        assert_eq!(["1970-01-01", "2024-02-29", "0001-01-01"].map(day_of_text), [Some(0), Some(19_782), Some(-719_162)]);
        assert_eq!(day_of_text("2026-1-5"), day_of_text("2026-01-05"));
        for wrong in
            ["", "2023-02-29", "2026-01", "2026-01-05 ", "+026-01-05", "2026/01/05", "0000-01-01", "2026-01-05-1", "2026-01-"]
        {
            assert_eq!(day_of_text(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn days_follow_each_other_through_whole_cycles_of_leap_years() {
        let (mut year, mut month, mut day) = (-400, 3, 1);
        let first = days_from_civil(year, month, day);
        for number in first..first + 2 * 146_097 + 1 {
            assert_eq!(civil_from_days(number), (year, month, day));
            assert_eq!(days_from_civil(year, month, day), number);
            day += 1;
            if i64::from(day) > days_in_month(year, i64::from(month)) {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }
}
