//! Datetimes as literals in queries.

use super::parts::{Clock, Digits, is_weekday, month_begun, year};
use crate::calendar::date;

const CLOCK: Clock = Clock {
    digits: Digits::new(1, 9),
    bare_hour: true,
    half_days: true,
    loose_fraction: false,
    rounded: true,
    leap_second: false,
    ut: true,
    named_offset: false,
    offset_minutes: Digits::new(1, 9),
    unsaid: 0,
    space: |text| std::str::from_utf8(text).map_or(text, |text| text.trim_start().as_bytes()),
};

/// Reads an instant: ticks of 100 ns since 0001-01-01T00:00:00Z. A text without an offset is UTC.
///
/// The forms of the Kusto documentation, "The datetime data type": ISO 8601 from the year alone (`2024`, `2024-01`, `2024-01-31`)
/// to `2024-01-31T12:34:56.1234567+02:00`, with `T` or a space before the time; `1/31/2024`, month first; `2024, 1, 31`; RFC 822
/// (`Sat, 8 Nov 2014 15:05:02 GMT`) and RFC 850 (`Saturday, 08-Nov-14 15:05:02 UTC`). Digits past the seventh are rounded.
pub fn literal(text: &str) -> Option<i64> {
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
    let time = reader.time_and_zone()?;
    crate::datetime(date.ticks()? + time)
}

struct Date {
    year: i64,
    month: i64,
    day: i64,
}

impl Date {
    fn ticks(&self) -> Option<i64> {
        date(self.year, self.month, self.day)
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

    /// True if a digit is behind the next byte.
    fn digit_follows(&self) -> bool {
        self.rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
    }

    /// A weekday's name and a comma; which day it names is not checked.
    fn weekday(&mut self) -> Option<()> {
        let known = is_weekday(self.word().as_bytes());
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
        let dashed = self.eat(b'-');
        self.space();
        let month = month_begun(self.word().as_bytes())?;
        if dashed && !self.eat(b'-') {
            return None;
        }
        self.space();
        let year = self.year()?;
        Some(Date { year, month, day })
    }

    /// A year; one of two digits is between 1930 and 2029, as .NET's invariant calendar reads it.
    fn year(&mut self) -> Option<i64> {
        let (value, digits) = self.number()?;
        year(value, digits, 30)
    }

    /// Ticks of `[T12:34[:56[.1234567]]][zone]` to the end.
    fn time_and_zone(&mut self) -> Option<i64> {
        let separated = self.eat(b'T') || self.eat(b't') || self.rest.starts_with(' ');
        self.space();
        if separated && self.peek().is_some_and(|b| b.is_ascii_digit()) {
            CLOCK.time_and_zone(self.rest.as_bytes())
        } else {
            CLOCK.zone_ticks(self.rest.as_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ValueRef, format};

    fn read(text: &str) -> Option<String> {
        literal(text).map(|ticks| format::to_string(ValueRef::DateTime(ticks)))
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
