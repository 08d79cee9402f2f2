//! Texts of spans of time.

use kqlake_value::{TICKS_PER_DAY, TICKS_PER_SECOND};

/// Reads a timespan: ticks of 100 ns.
///
/// The forms of the Kusto documentation, "The timespan data type": `[-][d.]hh:mm[:ss[.fffffff]]`; a number and a unit, with or
/// without space between (`1.5h`, `15 seconds`); a bare number, which counts days. Parts smaller than a tick are rounded.
pub fn parse_timespan(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let ticks = if unsigned.contains(':') { clock(unsigned)? } else { quantity(unsigned)? };
    let ticks = if negative { -ticks } else { ticks };
    i64::try_from(ticks).ok()
}

/// `[d.]hh:mm[:ss[.fffffff]]`.
fn clock(text: &str) -> Option<i128> {
    let mut parts = text.split(':');
    let first = parts.next()?;
    let minutes = small(parts.next()?, 59)?;
    let seconds = parts.next();
    if parts.next().is_some() {
        return None;
    }
    let (days, hours) = match first.split_once('.') {
        Some((days, hours)) => (digits(days)?, hours),
        None => (0, first),
    };
    let hours = small(hours, 23)?;
    let (seconds, fraction) = match seconds {
        None => (0, 0),
        Some(seconds) => match seconds.split_once('.') {
            None => (small(seconds, 59)?, 0),
            Some((whole, fraction)) if (1..=7).contains(&fraction.len()) => {
                (small(whole, 59)?, digits(fraction)? * 10_i128.pow(7 - fraction.len() as u32))
            }
            Some(_) => return None,
        },
    };
    Some(days * i128::from(TICKS_PER_DAY) + ((hours * 60 + minutes) * 60 + seconds) * i128::from(TICKS_PER_SECOND) + fraction)
}

fn digits(text: &str) -> Option<i128> {
    let valid = !text.is_empty() && text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| text.parse().ok())?
}

/// One or two digits up to a limit.
fn small(text: &str, limit: i128) -> Option<i128> {
    if text.len() > 2 {
        return None;
    }
    digits(text).filter(|n| *n <= limit)
}

/// A number and a unit; without unit, days.
fn quantity(text: &str) -> Option<i128> {
    let len = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, unit) = text.split_at(len);
    // Ticks of the unit as a fraction, because a nanosecond is a hundredth of a tick.
    let (numerator, denominator): (i128, i128) = match unit.trim_start() {
        "" | "d" | "day" | "days" => (TICKS_PER_DAY.into(), 1),
        "h" | "hr" | "hrs" | "hour" | "hours" => (36_000_000_000, 1),
        "m" | "min" | "minute" | "minutes" => (600_000_000, 1),
        "s" | "sec" | "second" | "seconds" => (TICKS_PER_SECOND.into(), 1),
        "ms" | "milli" | "millis" | "millisec" | "millisecond" | "milliseconds" => (10_000, 1),
        "micro" | "micros" | "microsec" | "microsecond" | "microseconds" => (10, 1),
        "nano" | "nanos" | "nanosec" | "nanosecond" | "nanoseconds" => (1, 100),
        "tick" | "ticks" => (1, 1),
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.get(..fraction.len().min(15))?;
    let scale = 10_i128.pow(fraction.len() as u32);
    let fraction = if fraction.is_empty() { 0 } else { digits(fraction)? };
    let value = digits(whole)?.checked_mul(scale)? + fraction;
    let divisor = denominator * scale;
    Some((value.checked_mul(numerator)? + divisor / 2) / divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_clocks() {
        const SECOND: i64 = TICKS_PER_SECOND;
        for (text, ticks) in [
            ("1d", TICKS_PER_DAY),
            ("1.5h", 5400 * SECOND),
            ("2m", 120 * SECOND),
            ("10ms", 100_000),
            ("3micros", 30),
            ("250nanos", 3),
            ("1tick", 1),
            ("0.0000001s", 1),
            ("15 seconds", 15 * SECOND),
            ("25min", 1500 * SECOND),
            ("7", 7 * TICKS_PER_DAY),
            ("-1d", -TICKS_PER_DAY),
            ("01:30", 5400 * SECOND),
            ("1.02:03:04.5", TICKS_PER_DAY + 7384 * SECOND + 5_000_000),
            ("-00:00:00.0000001", -1),
            ("10675199.02:48:05.4775807", i64::MAX),
        ] {
            assert_eq!(parse_timespan(text), Some(ticks), "{text}");
        }
        for bad in ["", "-", "1w", "1us", "24:00", "00:60", "1:2:3:4", "1.5.3d", "10675200d", "x", "1d2h", "00:00:00.12345678"] {
            assert_eq!(parse_timespan(bad), None, "{bad}");
        }
    }
}
