//! Amounts and choices as texts: bytes, lengths of time, the order of dates.

use std::time::Duration;

use crate::error::{Error, Result};
use kqlake_import::DateOrder;

/// `month-first` or `day-first`: what stands first in dates.
pub(crate) fn parse_date_order(text: &str) -> Result<DateOrder> {
    match text.trim().to_ascii_lowercase().as_str() {
        "month-first" => Ok(DateOrder::MonthFirst),
        "day-first" => Ok(DateOrder::DayFirst),
        _ => Err(Error::usage(format!("`{text}` is no order of dates")).hint("write it as month-first or day-first")),
    }
}

/// `512MB`, `2GiB`, `1000000`: bytes. Units count in 1024.
pub(super) fn parse_bytes(text: &str) -> Result<usize> {
    let wrong = || Error::usage(format!("`{text}` is no amount of memory")).hint("write it as 512MB or 2GB");
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = number * f64::from(1u32 << 10).powi(shift / 10);
    if !(1.0..=9e15).contains(&bytes) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie in a range that fits")]
    Ok(bytes as usize)
}

/// `90s`, `10m`, `2h`, `90d`, `250ms`, plain seconds; `0` and `none` are no limit.
pub(super) fn parse_duration(text: &str) -> Result<Option<Duration>> {
    let wrong = || Error::usage(format!("`{text}` is no length of time")).hint("write it as 30s, 10m or 2h (0 for no limit)");
    let trimmed = text.trim();
    if trimmed.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit.trim() {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        "d" => number * 86_400.0,
        _ => return Err(wrong()),
    };
    if seconds == 0.0 {
        return Ok(None);
    }
    Duration::try_from_secs_f64(seconds).map(Some).map_err(|_| wrong())
}
