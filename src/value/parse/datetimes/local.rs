//! Datetimes in the local forms that portals and spreadsheets write.

use super::parts::RECORD_CLOCK;
use super::parts::{hour_of_half_day, month_begun, time_of_day};
use crate::calendar::date;
use crate::parse::timespans::fraction_ticks;

/// Which of the first two numbers of a slashed date is the month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DateOrder {
    /// Not known: the value's own form decides.
    #[default]
    Unknown,
    /// Month, day, year, as in the United States.
    MonthFirst,
    /// Day, month, year.
    DayFirst,
}

impl DateOrder {
    /// What one value proves about its file: a first number above 12 is a day, a second one above 12 too.
    pub fn evidence(text: &str) -> Option<DateOrder> {
        let mut numbers = text.trim().split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
        let (Some(Ok(first)), Some(Ok(second))) = (numbers.next(), numbers.next()) else {
            return None;
        };
        match (first, second) {
            (13..=31, 1..=12) => Some(DateOrder::DayFirst),
            (1..=12, 13..=31) => Some(DateOrder::MonthFirst),
            _ => None,
        }
    }
}

/// A piece of a datetime text.
#[derive(Debug, PartialEq)]
enum Piece<'a> {
    /// Digits, their count and what stands before them.
    Number(i64, usize, char),
    Word(&'a str),
}

fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let bytes = text.as_bytes();
    let (mut out, mut at, mut before) = (Vec::with_capacity(8), 0, ' ');
    while at < bytes.len() {
        let start = at;
        if bytes[at].is_ascii_digit() {
            while at < bytes.len() && bytes[at].is_ascii_digit() {
                at += 1;
            }
            if at - start > 9 {
                return None;
            }
            out.push(Piece::Number(text[start..at].parse().ok()?, at - start, before));
            before = ' ';
        } else if bytes[at].is_ascii_alphabetic() {
            while at < bytes.len() && bytes[at].is_ascii_alphabetic() {
                at += 1;
            }
            out.push(Piece::Word(&text[start..at]));
            before = ' ';
        } else {
            let c = text[at..].chars().next()?;
            // Portals put a narrow no-break space before AM and PM, and marks of writing direction around dates.
            let blank = c.is_whitespace() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | ',' | '(' | ')');
            if !blank {
                if !matches!(c, '/' | '-' | '.' | ':' | '+') {
                    return None;
                }
                before = c;
            }
            at += c.len_utf8();
        }
    }
    Some(out)
}

/// Ticks of a local form, UTC where it names no zone.
///
/// With the order unknown, a number above 12 decides; else upper-case AM or PM means the month stands first (the form of
/// en-US), and a 24-hour time, lower-case am/pm or a dotted date means that the day does.
pub(super) fn loose_datetime(text: &str, order: DateOrder) -> Option<i64> {
    // "a.m." and "p.m." are single words.
    let joined;
    let text = if text.contains(".m.") || text.contains(".M.") {
        joined = text.replace(".m.", "m").replace(".M.", "M");
        joined.as_str()
    } else {
        text
    };
    let pieces = pieces(text)?;
    let mut at = 0;
    let (parts, month_named) = date_parts(&pieces, &mut at)?;
    let rest = &pieces[at..];

    let (mut time, mut fraction) = ([0_i64; 3], 0);
    let mut taken = 0;
    let mut to_utc = 0;
    let mut meridiem: Option<(bool, bool)> = None;
    let mut index = 0;
    while index < rest.len() {
        match rest[index] {
            Piece::Number(value, count, before) => {
                if matches!(before, '+' | '-') && taken > 0 {
                    let digits = match rest.get(index + 1) {
                        Some(Piece::Number(minutes, 2, ':')) => format!("{before}{value:0count$}{minutes:02}"),
                        _ => format!("{before}{value:0count$}"),
                    };
                    to_utc = RECORD_CLOCK.zone_ticks(digits.as_bytes())?;
                    index += 2;
                    continue;
                }
                if taken < 3 {
                    if count > 2 {
                        return None;
                    }
                    time[taken] = value;
                } else if taken == 3 && matches!(before, '.' | ':') {
                    fraction = fraction_ticks(format!("{value:0count$}").as_bytes());
                } else {
                    return None;
                }
                taken += 1;
            }
            Piece::Word(word) if word.eq_ignore_ascii_case("am") || word.eq_ignore_ascii_case("pm") => {
                if meridiem.is_some() || taken == 0 {
                    return None;
                }
                meridiem = Some((word.eq_ignore_ascii_case("pm"), word.starts_with(['A', 'P'])));
            }
            Piece::Word(word)
                if word.eq_ignore_ascii_case("z") || word.eq_ignore_ascii_case("utc") || word.eq_ignore_ascii_case("gmt") => {}
            Piece::Word(word) if word.eq_ignore_ascii_case("t") && taken == 0 => {}
            Piece::Word(_) => return None,
        }
        index += 1;
    }
    if taken == 1 && meridiem.is_none() {
        return None;
    }
    if let Some((pm, _)) = meridiem {
        time[0] = hour_of_half_day(time[0], pm)?;
    }

    let (a, b, year, dotted) = parts;
    let (month, day) = if month_named {
        (a, b)
    } else {
        let month_first = match (a > 12, b > 12, order) {
            (true, false, _) => false,
            (false, true, _) => true,
            (_, _, DateOrder::MonthFirst) => true,
            (_, _, DateOrder::DayFirst) => false,
            _ => !dotted && matches!(meridiem, Some((_, true))) || !dotted && taken == 0,
        };
        if month_first { (a, b) } else { (b, a) }
    };
    let [hour, minute, second] = time;
    Some(date(year, month, day)? + time_of_day(hour, minute, second, RECORD_CLOCK.leap_second)? + fraction + to_utc)
}

/// Two numbers and the year, and whether the numbers are month and day for certain; moves `at` behind the date.
#[allow(clippy::type_complexity, reason = "three numbers and two flags that only the caller above reads")]
fn date_parts(pieces: &[Piece<'_>], at: &mut usize) -> Option<((i64, i64, i64, bool), bool)> {
    // A weekday may stand in front ("Mon, 05 Jan 2026").
    if let Some(Piece::Word(word)) = pieces.first()
        && pieces.len() > 3
        && month_begun(word.as_bytes()).is_none()
    {
        *at = 1;
    }
    let parts = pieces.get(*at..*at + 3)?;
    *at += 3;
    Some(match *parts {
        [Piece::Number(y, 4, _), Piece::Number(m, 1..=2, _), Piece::Number(d, 1..=2, _)] => ((m, d, y, false), true),
        [Piece::Number(a, 1..=2, _), Piece::Number(b, 1..=2, sep), Piece::Number(y, 4, _)] => ((a, b, y, sep != '/'), false),
        [Piece::Number(d, 1..=2, _), Piece::Word(word), Piece::Number(y, 4, _)]
        | [Piece::Word(word), Piece::Number(d, 1..=2, _), Piece::Number(y, 4, _)] => {
            ((month_begun(word.as_bytes())?, d, y, false), true)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portal_forms() {
        let expected = Some(1_767_597_787_123_000);
        let local = |text, order| loose_datetime(text, order).map(crate::us_of_datetime);
        let read = |text| local(text, DateOrder::Unknown);
        assert_eq!(read("1/5/2026, 7:23:07.123 AM"), expected);
        assert_eq!(read("1/5/2026, 7:23:07.123\u{202f}AM"), expected);
        assert_eq!(read("05/01/2026, 07:23:07.123"), expected);
        assert_eq!(read("05/01/2026, 7:23:07.123 am"), expected);
        assert_eq!(read("5.1.2026, 07:23:07.123"), expected);
        assert_eq!(read("5 Jan 2026 07:23:07.123"), expected);
        assert_eq!(read("Jan 5, 2026 7:23:07.123 a.m."), expected);
        assert_eq!(read("2026/01/05 07:23:07.123 UTC"), expected);
        assert_eq!(read("1/5/2026 8:23:07.123 AM +01:00"), expected);
        assert_eq!(local("05/01/2026 7:23:07.123 AM", DateOrder::DayFirst), expected);
        assert_eq!(read("13/1/2026 12:00:00 AM"), Some(1_768_262_400_000_000));
        assert_eq!(read("1/13/2026 12:30 PM"), Some(1_768_307_400_000_000));
        for bad in ["", "1/5", "32/1/2026", "1/5/2026 25:00", "a/b/c", "1/5/2026 7", "9999999999/1/2026"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn evidence_of_an_order() {
        assert_eq!(DateOrder::evidence("13/01/2026, 07:00"), Some(DateOrder::DayFirst));
        assert_eq!(DateOrder::evidence("1/13/2026"), Some(DateOrder::MonthFirst));
        assert_eq!(DateOrder::evidence("1/5/2026"), None);
        assert_eq!(DateOrder::evidence("2026-01-05"), None);
    }
}
