//! `format_datetime` and `format_timespan`: the characters of a format mean parts, and a few others stand for themselves.
//!
//! A run of a letter is read from its start in pieces as long as the letter has a meaning for, so that `ddd` is `dd` and `d`.
//! Only the documented delimiters may appear between parts (Kusto documentation, "format_datetime()").

use crate::functions::kernels::{ValueArg, text_of};
use crate::functions::{ArgInfo, ArgType, ColumnFn, Naming, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::calendar::{civil_from_days, day_of};
use kqlake_value::text_column::TextBuilder;
use kqlake_value::{TICKS_PER_DAY, TICKS_PER_SECOND, Type, ValueRef};

/// The functions of this family.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "format_datetime",
        &[Param::req("date", ArgType::DateTime), Param::req("format", ArgType::String).constant()],
        Returns::Type(Type::String),
        ScalarImpl::Kernel(|args, _| format_kernel(args, false)),
        "A datetime in a given format.",
    )
    .naming(Naming::FirstArg),
    ScalarFn::new(
        "format_timespan",
        &[Param::req("timespan", ArgType::TimeSpan), Param::req("format", ArgType::String).constant()],
        Returns::Type(Type::String),
        ScalarImpl::Kernel(|args, _| format_kernel(args, true)),
        "A timespan in a given format.",
    )
    .naming(Naming::FirstArg),
];

/// A piece of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FormatPiece {
    /// A character that stands for itself.
    Literal(char),
    /// `d`: the day (of the month, or the whole days of a timespan), with so many digits at least.
    Day(usize),
    /// `f`: digits of the second's fraction.
    Fraction(usize),
    /// `F`: the same without trailing zeros.
    ShortFraction(usize),
    /// `h` of a datetime: the hour from 1 to 12.
    HalfDayHour(usize),
    /// `H`: the hour.
    Hour(usize),
    /// `m`
    Minute(usize),
    /// `M`
    Month(usize),
    /// `s`
    Second(usize),
    /// `tt`: AM or PM.
    Half,
    /// `y`, `yy`: the last two digits of the year.
    ShortYear(usize),
    /// `yyyy`
    Year,
}

/// Reads a format.
fn pieces(format: &str, timespan: bool) -> Result<Vec<FormatPiece>, String> {
    if format.is_empty() {
        return Err("the format is empty".into());
    }
    let mut out = Vec::new();
    let mut rest = format;
    while let Some(c) = rest.chars().next() {
        let run = rest.chars().take_while(|other| *other == c).count();
        let up_to = |longest: usize| run.min(longest);
        let (piece, length) = match c {
            'd' if timespan => (FormatPiece::Day(up_to(8)), up_to(8)),
            'd' => (FormatPiece::Day(up_to(2)), up_to(2)),
            'f' => (FormatPiece::Fraction(up_to(7)), up_to(7)),
            'F' => (FormatPiece::ShortFraction(up_to(7)), up_to(7)),
            'h' if !timespan => (FormatPiece::HalfDayHour(up_to(2)), up_to(2)),
            'h' | 'H' => (FormatPiece::Hour(up_to(2)), up_to(2)),
            'm' => (FormatPiece::Minute(up_to(2)), up_to(2)),
            's' => (FormatPiece::Second(up_to(2)), up_to(2)),
            'M' if !timespan => (FormatPiece::Month(up_to(2)), up_to(2)),
            't' if !timespan && run >= 2 => (FormatPiece::Half, 2),
            'y' if !timespan && run >= 4 => (FormatPiece::Year, 4),
            'y' if !timespan => (FormatPiece::ShortYear(up_to(2)), up_to(2)),
            ' ' | '/' | '-' | ':' | ',' | '.' | '_' | '[' | ']' => (FormatPiece::Literal(c), 1),
            _ => return Err(format!("'{c}' has no meaning in the format '{format}'; delimiters are space / - : , . _ [ ]")),
        };
        out.push(piece);
        // All characters of a run are the same, and those with a meaning are ASCII.
        rest = &rest[length..];
    }
    Ok(out)
}

/// What the pieces show.
struct CalendarFields {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    /// Ticks of the second.
    ticks: i64,
}

impl CalendarFields {
    fn of_datetime(ticks: i64) -> CalendarFields {
        let (year, month, day) = civil_from_days(day_of(ticks));
        let rest = ticks.rem_euclid(TICKS_PER_DAY);
        let seconds = rest / TICKS_PER_SECOND;
        CalendarFields {
            year,
            month: month.into(),
            day: day.into(),
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            ticks: rest % TICKS_PER_SECOND,
        }
    }

    fn of_timespan(ticks: i64) -> CalendarFields {
        let magnitude = ticks.unsigned_abs();
        let rest = (magnitude % TICKS_PER_DAY as u64) as i64;
        let seconds = rest / TICKS_PER_SECOND;
        CalendarFields {
            year: 0,
            month: 0,
            day: (magnitude / TICKS_PER_DAY as u64) as i64,
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            ticks: rest % TICKS_PER_SECOND,
        }
    }

    fn write(&self, out: &mut String, piece: FormatPiece) {
        match piece {
            FormatPiece::Literal(c) => out.push(c),
            FormatPiece::Day(width) => push_number(out, self.day, width),
            FormatPiece::Month(width) => push_number(out, self.month, width),
            FormatPiece::Hour(width) => push_number(out, self.hour, width),
            FormatPiece::HalfDayHour(width) => push_number(out, (self.hour + 11) % 12 + 1, width),
            FormatPiece::Minute(width) => push_number(out, self.minute, width),
            FormatPiece::Second(width) => push_number(out, self.second, width),
            FormatPiece::Year => push_number(out, self.year, 4),
            FormatPiece::ShortYear(width) => push_number(out, self.year % 100, width),
            FormatPiece::Half => out.push_str(if self.hour < 12 { "AM" } else { "PM" }),
            FormatPiece::Fraction(width) => push_number(out, self.ticks / 10i64.pow(7 - width as u32), width),
            FormatPiece::ShortFraction(width) => {
                let start = out.len();
                push_number(out, self.ticks / 10i64.pow(7 - width as u32), width);
                out.truncate(start + out[start..].trim_end_matches('0').len());
            }
        }
    }
}

/// A number with zeros in front up to a width.
fn push_number(out: &mut String, number: i64, width: usize) {
    let mut digits = [b'0'; 20];
    let (mut at, mut left) = (digits.len(), number.unsigned_abs());
    while left > 0 {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
    }
    let from = at.min(digits.len() - width);
    digits[from..].iter().for_each(|d| out.push(char::from(*d)));
}

fn format_kernel(args: &[ArgInfo], timespan: bool) -> Result<ColumnFn, String> {
    let pieces = pieces(&args[1].constant.as_ref().map(text_of).ok_or("the format must be a constant")?, timespan)?;
    let value = ValueArg::new(&args[0]);
    Ok(Box::new(move |arrays, rows| {
        let values = value.open(&arrays[0])?;
        let mut out = TextBuilder::new(rows);
        let mut buffer = String::new();
        for row in 0..rows {
            buffer.clear();
            let parts = match values.get(row) {
                ValueRef::DateTime(ticks) => Some(CalendarFields::of_datetime(ticks)),
                ValueRef::TimeSpan(ticks) => {
                    if ticks < 0 {
                        buffer.push('-');
                    }
                    Some(CalendarFields::of_timespan(ticks))
                }
                _ => None,
            };
            if let Some(parts) = parts {
                pieces.iter().for_each(|piece| parts.write(&mut buffer, *piece));
            }
            out.push(&buffer);
        }
        out.finish()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kqlake_value::parse;

    fn shown(value: &str, format: &str) -> String {
        let (parts, timespan, sign) = match parse::timespan(value) {
            Some(ticks) => (CalendarFields::of_timespan(ticks), true, if ticks < 0 { "-" } else { "" }),
            None => (CalendarFields::of_datetime(parse::datetime(value).unwrap()), false, ""),
        };
        let mut out = sign.to_owned();
        pieces(format, timespan).unwrap().into_iter().for_each(|p| parts.write(&mut out, p));
        out
    }

    #[test]
    fn datetimes() {
        for (value, format, want) in [
            ("2020-06-15T13:45:09.123", "yyyy-MM-dd HH:mm:ss.fff", "2020-06-15 13:45:09.123"),
            ("2020-06-15T13:45:09", "M/d/yyyy h:mm:ss tt", "6/15/2020 1:45:09 PM"),
            ("2007-03-09T05:04:03", "dddd, MMMM d, yyyy", "0909, 0303 9, 2007"),
            ("2007-03-09T05:04:03", "ddd MMM", "099 033"),
            ("2007-03-09T00:30", "hh:mm tt", "12:30 AM"),
            ("2020-06-15", "y [yy]", "20 [20]"),
            ("2020-06-15T00:00:00.12", "FFFFFFF_ffffff", "12_120000"),
            ("2020-06-15T00:00:00.0000001", "F_fffffff_FFFFFFF", "_0000001_0000001"),
            ("2020-06-15", "FFFFFFF", ""),
        ] {
            assert_eq!(shown(value, format), want, "{format}");
        }
        assert!(["K", "zzz", "t", "yyyy-MM-ddTHH", "", "\u{e9}"].iter().all(|f| pieces(f, false).is_err()));
    }

    #[test]
    fn timespans() {
        for (value, format, want) in [
            ("2.03:04:05", "d.hh:mm:ss", "2.03:04:05"),
            ("-02:30:00", "hh:mm", "-02:30"),
            ("1.02:01:00", "h:m", "2:1"),
            ("1.01:01:01.123", "dd:h:m:s.fff", "01:1:1:1.123"),
            ("00:00:00.0000001", "fffffff", "0000001"),
            ("10675199.02:48:05.4775807", "d.hh:mm:ss", "10675199.02:48:05"),
        ] {
            assert_eq!(shown(value, format), want, "{format}");
        }
        assert!(pieces("yyyy", true).is_err());
    }
}
