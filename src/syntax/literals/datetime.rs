//! Texts of instants.

use kqlake_value::format::{self, civil_from_days, days_from_civil};
use kqlake_value::{self as value, TICKS_PER_DAY, TICKS_PER_SECOND, UNIX_EPOCH_DAYS};

/// Reads an instant: ticks of 100 ns since 0001-01-01T00:00:00Z. A text without an offset is UTC.
///
/// The forms of the Kusto documentation, "The datetime data type": ISO 8601 from the year alone (`2024`, `2024-01`, `2024-01-31`)
/// to `2024-01-31T12:34:56.1234567+02:00`, with `T` or a space before the time; `1/31/2024`, month first; `2024, 1, 31`; RFC 822
/// (`Sat, 8 Nov 2014 15:05:02 GMT`) and RFC 850 (`Saturday, 08-Nov-14 15:05:02 UTC`). Digits past the seventh are rounded.
pub fn parse_datetime(text: &str) -> Option<i64> {
    let mut reader = Reader { rest: text.trim() };
    let date = if reader.rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
        reader.weekday()?;
        reader.day_first()?
    } else {
        let (number, digits) = reader.number()?;
        match reader.peek() {
            _ if digits == 4 => reader.year_first(number)?,
            Some(separator @ (b'/' | b'-')) if reader.digit_follows() => reader.month_first(number, separator)?,
            _ => reader.day_first_from(number)?,
        }
    };
    let ticks = reader.time_of_day()?;
    let offset = reader.offset()?;
    if !reader.rest.is_empty() {
        return None;
    }
    let days = date.days()? + UNIX_EPOCH_DAYS;
    value::datetime(days * TICKS_PER_DAY + ticks - offset * 60 * TICKS_PER_SECOND)
}

/// `2020-01-02T03:04:05.6000000Z` of ticks since 0001-01-01.
pub fn write_ticks(ticks: i64) -> String {
    let mut text = String::new();
    format::write_datetime(&mut text, ticks);
    text
}

struct Date {
    year: i64,
    month: i64,
    day: i64,
}

impl Date {
    /// Day number since 1970-01-01, when there is such a day.
    fn days(&self) -> Option<i64> {
        let (month, day) = (u32::try_from(self.month).ok()?, u32::try_from(self.day).ok()?);
        if !(1..=9999).contains(&self.year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let days = days_from_civil(self.year, month, day);
        // A day past the month's end would come back as another date.
        (civil_from_days(days) == (self.year, month, day)).then_some(days)
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.bytes().next()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// A run of at most nine digits, with their count.
    fn number(&mut self) -> Option<(i64, usize)> {
        let len = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if len == 0 || len > 9 {
            return None;
        }
        let (digits, rest) = self.rest.split_at(len);
        self.rest = rest;
        Some((digits.parse().ok()?, len))
    }

    fn word(&mut self) -> &str {
        let len = self.rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (word, rest) = self.rest.split_at(len);
        self.rest = rest;
        word
    }

    /// `-MM`, `-MM-DD` or nothing, after a year; `/` and `,` separate as well.
    fn year_first(&mut self, year: i64) -> Option<Date> {
        let mut date = Date { year, month: 1, day: 1 };
        if let Some(separator @ (b'-' | b'/' | b',')) = self.peek() {
            self.eat(separator);
            self.space();
            date.month = self.number()?.0;
            if self.eat(separator) {
                self.space();
                date.day = self.number()?.0;
            }
        }
        Some(date)
    }

    /// `/DD/YYYY` or `-DD-YYYY` after a month.
    fn month_first(&mut self, month: i64, separator: u8) -> Option<Date> {
        let day = self.eat(separator).then(|| self.number())??.0;
        let year = self.eat(separator).then(|| self.year())??;
        Some(Date { year, month, day })
    }

    /// True if a digit stands behind the next byte.
    fn digit_follows(&self) -> bool {
        self.rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
    }

    /// A weekday's name and a comma; which day it names is not checked.
    fn weekday(&mut self) -> Option<()> {
        const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        let word = self.word().to_ascii_lowercase();
        let known = word.len() >= 3 && DAYS.iter().any(|day| *day == word || &day[..3] == word.as_str());
        self.eat(b',');
        self.space();
        known.then_some(())
    }

    fn day_first(&mut self) -> Option<Date> {
        let day = self.number()?.0;
        self.day_first_from(day)
    }

    /// `Nov 2014` or `-Nov-14` after a day.
    fn day_first_from(&mut self, day: i64) -> Option<Date> {
        const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
        let dashed = self.eat(b'-');
        self.space();
        let word = self.word().to_ascii_lowercase();
        let month = MONTHS.iter().position(|m| word.get(..3) == Some(*m))? as i64 + 1;
        if dashed && !self.eat(b'-') {
            return None;
        }
        self.space();
        let year = self.year()?;
        Some(Date { year, month, day })
    }

    /// A year; one of two digits is between 1930 and 2029, as .NET's invariant calendar reads it.
    fn year(&mut self) -> Option<i64> {
        match self.number()? {
            (year, 2) => Some(if year < 30 { 2000 + year } else { 1900 + year }),
            (year, 4) => Some(year),
            _ => None,
        }
    }

    /// Ticks since midnight of `T12:34[:56[.1234567]]` with an optional `AM` or `PM`; 0 when nothing stands there.
    fn time_of_day(&mut self) -> Option<i64> {
        let separated = self.eat(b'T') || self.eat(b't') || self.rest.starts_with(' ');
        self.space();
        if !separated || !self.peek().is_some_and(|b| b.is_ascii_digit()) {
            return Some(0);
        }
        let mut hour = self.number()?.0;
        let (mut minute, mut second, mut fraction) = (0, 0, 0);
        let mut exact = false;
        if self.eat(b':') {
            exact = true;
            minute = self.number()?.0;
            if self.eat(b':') {
                second = self.number()?.0;
                if self.eat(b'.') {
                    fraction = self.fraction()?;
                }
            }
        }
        let trimmed = self.rest.trim_start();
        let half = trimmed.get(..2).map(str::to_ascii_lowercase);
        if let Some(half @ ("am" | "pm")) = half.as_deref() {
            if !(1..=12).contains(&hour) {
                return None;
            }
            hour = hour % 12 + if half == "pm" { 12 } else { 0 };
            self.rest = &trimmed[2..];
            exact = true;
        }
        let valid = exact && (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
        valid.then(|| ((hour * 60 + minute) * 60 + second) * TICKS_PER_SECOND + fraction)
    }

    /// Ticks of the digits behind a point.
    fn fraction(&mut self) -> Option<i64> {
        let len = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(len);
        self.rest = rest;
        if len == 0 {
            return None;
        }
        let kept = &digits[..len.min(7)];
        let ticks = kept.parse::<i64>().ok()? * 10_i64.pow(7 - kept.len() as u32);
        let round_up = digits.as_bytes().get(7).is_some_and(|b| *b >= b'5');
        Some(ticks + i64::from(round_up))
    }

    /// Minutes east of UTC of `Z`, `GMT`, `UTC`, `+02:00`, `-0500`, `+2`; 0 when nothing stands there.
    fn offset(&mut self) -> Option<i64> {
        self.space();
        let sign = match self.peek() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => {
                let zone = self.word().to_ascii_uppercase();
                return matches!(zone.as_str(), "Z" | "GMT" | "UTC" | "UT").then_some(0);
            }
            None => return Some(0),
        };
        self.rest = &self.rest[1..];
        let (number, digits) = self.number()?;
        let (hours, minutes) = match digits {
            1 | 2 if self.eat(b':') => (number, self.number()?.0),
            1 | 2 => (number, 0),
            4 => (number / 100, number % 100),
            _ => return None,
        };
        (hours <= 14 && minutes < 60).then_some(sign * (hours * 60 + minutes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        parse_datetime(text).map(write_ticks)
    }

    #[test]
    fn documented_forms() {
        for (text, expected) in [
            ("2024-01-31", "2024-01-31T00:00:00.0000000Z"),
            ("2024-1-5", "2024-01-05T00:00:00.0000000Z"),
            ("2024-02", "2024-02-01T00:00:00.0000000Z"),
            ("2024", "2024-01-01T00:00:00.0000000Z"),
            ("2024-01-31 12:34", "2024-01-31T12:34:00.0000000Z"),
            ("2024-01-31 12:34:56.1234567", "2024-01-31T12:34:56.1234567Z"),
            ("2024-01-31T12:34:56.7Z", "2024-01-31T12:34:56.7000000Z"),
            ("2024-01-31T00:30:00+02:00", "2024-01-30T22:30:00.0000000Z"),
            ("2024-01-31T12:00:00-0530", "2024-01-31T17:30:00.0000000Z"),
            ("2024-01-31 12:34:56.99999995", "2024-01-31T12:34:57.0000000Z"),
            ("2024, 1, 31", "2024-01-31T00:00:00.0000000Z"),
            ("2024/01/31", "2024-01-31T00:00:00.0000000Z"),
            ("1/31/2024", "2024-01-31T00:00:00.0000000Z"),
            ("01-31-2024", "2024-01-31T00:00:00.0000000Z"),
            ("12/31/2024 11:59:30 PM", "2024-12-31T23:59:30.0000000Z"),
            ("12/31/2024 12:00 AM", "2024-12-31T00:00:00.0000000Z"),
            ("Sat, 8 Nov 2014 15:05:02 GMT", "2014-11-08T15:05:02.0000000Z"),
            ("Sat, 8 Nov 14 15:05 GMT", "2014-11-08T15:05:00.0000000Z"),
            ("8 Nov 14 15:05:02", "2014-11-08T15:05:02.0000000Z"),
            ("Saturday, 08-Nov-14 15:05:02 UTC", "2014-11-08T15:05:02.0000000Z"),
            ("0001-01-01", "0001-01-01T00:00:00.0000000Z"),
            ("9999-12-31 23:59:59.9999999", "9999-12-31T23:59:59.9999999Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "x",
            "2024-13-01",
            "2023-02-29",
            "2024-01-31T25:00",
            "2024-01-31T12:60",
            "2024-01-31x",
            "2024-01-31T12",
            "0000-01-01",
            "10000-01-01",
            "0001-01-01T00:00:00+01:00",
            "20240131",
            "2024-01-31T12:00:00+99",
            "Foo, 8 Nov 2014",
            "31/12/2024",
            "2024-01-31é",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
