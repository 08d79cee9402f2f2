//! The parts that all datetime texts are made of: dates of the calendar, digits, fractions and zones.

/// The days from 1970-01-01 to a date of the proleptic Gregorian calendar; `None` when there is no such date.
pub fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    const LENGTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = LENGTHS[(month - 1) as usize] + i64::from(leap && month == 2);
    if day > length {
        return None;
    }
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years start in March, eras have 400 years.
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Microseconds of a civil date and time of day; `None` when a part is out of range.
pub(super) fn micros(date: (i64, i64, i64), time: (i64, i64, i64), micro: i64, offset_minutes: i64) -> Option<i64> {
    let (hour, minute, second) = time;
    // Second 60 is a leap second; it is read as the last second before it would roll over.
    if !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0..=60).contains(&second) {
        return None;
    }
    let days = days_from_civil(date.0, date.1, date.2)?;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second.min(59) - offset_minutes * 60;
    Some(seconds * 1_000_000 + micro)
}

/// The value of `count` digits at the front, and the rest.
pub(super) fn digits(text: &[u8], count: usize) -> Option<(i64, &[u8])> {
    if text.len() < count {
        return None;
    }
    let (front, rest) = text.split_at(count);
    let mut value = 0_i64;
    for byte in front {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(byte - b'0');
    }
    Some((value, rest))
}

/// Microseconds of the digits of a fraction, cut after the sixth, and what follows them.
pub(super) fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let count = text.iter().take_while(|b| b.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let mut micro = 0_i64;
    for place in 0..6 {
        micro = micro * 10 + if place < count { i64::from(text[place] - b'0') } else { 0 };
    }
    Some((micro, &text[count..]))
}

/// Minutes east of UTC that a zone text says; no text is UTC.
pub(super) fn zone_minutes(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    if text.is_empty()
        || text.eq_ignore_ascii_case(b"z")
        || text.eq_ignore_ascii_case(b"utc")
        || text.eq_ignore_ascii_case(b"gmt")
    {
        return Some(0);
    }
    let text = match text.get(..3) {
        Some(word) if word.eq_ignore_ascii_case(b"utc") || word.eq_ignore_ascii_case(b"gmt") => text[3..].trim_ascii(),
        _ => text,
    };
    let (sign, rest) = match text.first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, rest) = digits(rest, 2).or_else(|| digits(rest, 1))?;
    let minutes = match rest {
        [] => 0,
        [b':', rest @ ..] | rest => match digits(rest, 2)? {
            (minutes, []) => minutes,
            _ => return None,
        },
    };
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}
