//! Instants as microseconds since 1970 UTC, and their texts.

use kqlake_value::calendar::{civil_from_days, day_number};

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// `2026-01-06`.
pub(crate) fn date(micros: i64) -> String {
    let (year, month, day) = civil_from_days(micros.div_euclid(DAY));
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2026-01-06T12:52:54`, with so many digits of the second behind a dot (0 to 7), and without a zone.
///
/// The seventh digit, which microseconds do not have, is a function of the others: services count in 100 ns.
pub(crate) fn text(micros: i64, digits: usize) -> String {
    let within = micros.rem_euclid(DAY);
    let (hour, minute, second) = (within / HOUR, within / MINUTE % 60, within / SECOND % 60);
    let mut text = format!("{}T{hour:02}:{minute:02}:{second:02}", date(micros));
    if digits > 0 {
        let part = within % SECOND;
        let ticks = part * 10 + if part == 0 { 0 } else { part / 7 % 10 };
        text.push('.');
        text.push_str(&format!("{ticks:07}")[..digits.min(7)]);
    }
    text
}

/// As [`text`] with seven digits and a `Z`, as Graph writes times; whole seconds have no digits.
pub(crate) fn zulu(micros: i64) -> String {
    let digits = if micros.rem_euclid(SECOND) == 0 { 0 } else { 7 };
    text(micros, digits) + "Z"
}

/// The instant of a text: a date, or a date and a time to the minute or finer, with or without a zone (then UTC).
pub(crate) fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let (day, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, ""));
    let mut parts = day.split('-').map(digits);
    let day = day_number(parts.next()??, parts.next()??, parts.next()??)?;
    if parts.next().is_some() {
        return None;
    }
    let (time, offset) = match time.find(['Z', 'z', '+', '-']) {
        None => (time, 0),
        Some(at) if time[at..].eq_ignore_ascii_case("z") => (&time[..at], 0),
        Some(at) => {
            let (hours, minutes) = time[at + 1..].split_once(':')?;
            let offset =
                digits(hours).filter(|hours| *hours < 24)? * HOUR + digits(minutes).filter(|minutes| *minutes < 60)? * MINUTE;
            (&time[..at], if time[at..].starts_with('-') { -offset } else { offset })
        }
    };
    let mut within = 0;
    if !time.is_empty() {
        let (clock, part) = time.split_once('.').unwrap_or((time, ""));
        let fields: Vec<i64> = clock.split(':').map(digits).collect::<Option<_>>()?;
        let limits = [24, 60, 60];
        if !(2..=3).contains(&fields.len()) || fields.iter().zip(limits).any(|(field, limit)| *field >= limit) {
            return None;
        }
        within = fields.iter().zip([HOUR, MINUTE, SECOND]).map(|(field, unit)| field * unit).sum();
        if !part.is_empty() {
            let padded = format!("{part:0<6}");
            within += digits(&padded)? / 10_i64.pow(padded.len().min(15) as u32 - 6);
        }
    }
    Some(day * DAY + within - offset)
}

fn digits(text: &str) -> Option<i64> {
    (!text.is_empty() && text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_and_read() {
        let at = parse("2026-01-06T12:52:54.1122334Z").unwrap();
        assert_eq!(text(at, 0), "2026-01-06T12:52:54");
        assert_eq!(&text(at, 7)[..26], "2026-01-06T12:52:54.112233");
        assert_eq!(parse(&zulu(at)), Some(at));
        assert_eq!(parse("2026-01-06T13:52:54+01:00"), parse("2026-01-06 12:52:54"));
        assert_eq!(parse("2026-01-06"), parse("2026-01-06T00:00Z"));
        assert_eq!(parse("2026-01-06T00:00:00.5").unwrap() - parse("2026-01-06").unwrap(), SECOND / 2);
        assert_eq!(parse("1969-12-31T23:59:59Z"), Some(-SECOND));
        for wrong in [
            "",
            "2026",
            "2026-02-30",
            "2026-01-06T25:00:00Z",
            "2026-01-06T12:00:00.x",
            "2026-01-06T12",
            "2026-01-06-01",
            "2026-01-06T12:00:00+99999999:00",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
