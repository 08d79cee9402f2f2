//! Datetimes in the local forms that portals and spreadsheets write.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::parts::{Clock, hour_of_half_day, is_weekday, month_begun, time_of_day};
use crate::parse::timespans::fraction_ticks;

/// Which of the first two numbers of a slashed date is the month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DateOrder {
    /// Not known: only a value whose own numbers or form decide is read.
    #[default]
    Unknown,
    /// Month, day, year, as in the United States.
    MonthFirst,
    /// Day, month, year.
    DayFirst,
}

/// What one date, in which day and month are numbers before the year, says about the order of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// One of its numbers is above 12: no other order gives a date.
    Numbers(DateOrder),
    /// Both orders give a date, and only writers of this order are known to write such a form.
    Form(DateOrder),
    /// Both orders give a date, and nothing in the value shows which is meant.
    Open,
}

impl DateOrder {
    /// What a value says about the order of the dates in its file; `None` for a value that means the same in every order, such as
    /// one of ISO 8601 or with the name of a month, and for what is no date.
    pub fn evidence(text: &str) -> Option<Evidence> {
        let text = text.trim();
        // Nearly all values begin with a year.
        if matches!(text.as_bytes(), [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', ..]) {
            return None;
        }
        let joined = joined(text);
        let pieces = pieces(&joined)?;
        let mut at = 0;
        let date = date_parts(&pieces, &mut at)?;
        let half_day = pieces[at..].iter().find_map(half_day_of).map(|(_, upper)| upper);
        match (date.first, date.second) {
            _ if date.month_named => None,
            (13..=31, 1..=12) => Some(Evidence::Numbers(DateOrder::DayFirst)),
            (1..=12, 13..=31) => Some(Evidence::Numbers(DateOrder::MonthFirst)),
            (1..=12, 1..=12) if date.first != date.second => Some(date.form(half_day).map_or(Evidence::Open, Evidence::Form)),
            _ => None,
        }
    }
}

/// A piece of a datetime text.
#[derive(Debug, PartialEq)]
enum DateToken<'a> {
    /// Digits, their count and what is before them.
    Number(i64, usize, char),
    Word(&'a str),
}

fn pieces(text: &str) -> Option<Vec<DateToken<'_>>> {
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
            out.push(DateToken::Number(text[start..at].parse().ok()?, at - start, before));
            before = ' ';
        } else if bytes[at].is_ascii_alphabetic() {
            while at < bytes.len() && bytes[at].is_ascii_alphabetic() {
                at += 1;
            }
            out.push(DateToken::Word(&text[start..at]));
            before = ' ';
        } else {
            let c = text[at..].chars().next()?;
            // Portals put a narrow no-break space before AM and PM, and marks of writing direction around dates.
            let blank = c.is_whitespace() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | ',' | '(' | ')');
            if !blank {
                // A sign that separates nothing may be that of a year, an hour or a text that only looks like a datetime.
                if !matches!(c, '/' | '-' | '.' | ':' | '+') || out.is_empty() || before != ' ' {
                    return None;
                }
                before = c;
            } else if c == ',' && at > 0 && bytes[at - 1].is_ascii_digit() && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
                // Behind seconds it begins a fraction, as in most languages of the continent; elsewhere it only separates.
                before = c;
            }
            at += c.len_utf8();
        }
    }
    Some(out)
}

/// The names of the half days that are no single word of ASCII letters, as browsers write them: `a.m.`, the Spanish `a. m.`, the
/// Korean, Chinese and Japanese ones.
const HALF_DAYS: [(&str, &str); 14] = [
    (".m.", "m"),
    (".M.", "M"),
    (". m.", "m"),
    (". M.", "M"),
    (".\u{a0}m.", "m"),
    (".\u{a0}M.", "M"),
    (".\u{202f}m.", "m"),
    (".\u{202f}M.", "M"),
    ("오전", " am "),
    ("오후", " pm "),
    ("上午", " am "),
    ("下午", " pm "),
    ("午前", " am "),
    ("午後", " pm "),
];

/// The text with each name of a half day as one word.
fn joined(text: &str) -> Cow<'_, str> {
    let is_name = |name: &str| if name.is_ascii() { text.contains(name) } else { !text.is_ascii() && text.contains(name) };
    match HALF_DAYS.iter().find(|(name, _)| is_name(name)) {
        Some((name, word)) => Cow::Owned(text.replace(name, word)),
        None => Cow::Borrowed(text),
    }
}

/// For AM and PM: whether it is the second half of the day, and whether it is in upper case.
fn half_day_of(piece: &DateToken<'_>) -> Option<(bool, bool)> {
    match piece {
        DateToken::Word(word) if word.eq_ignore_ascii_case("am") || word.eq_ignore_ascii_case("pm") => {
            Some((word.eq_ignore_ascii_case("pm"), word.starts_with(['A', 'P'])))
        }
        _ => None,
    }
}

/// Years of this century in calendars that writers of local forms use as well: the Persian and the Islamic one, and the Thai one. As
/// years of ours nothing is of them, and a record would land in the wrong century. What programs write for no date at all (1, 1601,
/// 9999) is none of them.
const OTHER_CALENDARS: [RangeInclusive<i64>; 2] = [1_370..=1_530, 2_520..=2_650];

/// Ticks of a local form, in the clock's zone where it names none. A date that the order and its own numbers and form leave open is none.
pub(super) fn loose_datetime(text: &str, order: DateOrder, clock: &Clock) -> Option<i64> {
    let joined = joined(text);
    let text = &*joined;
    let pieces = pieces(text)?;
    let mut at = 0;
    let date = date_parts(&pieces, &mut at)?;
    if OTHER_CALENDARS.iter().any(|years| years.contains(&date.year)) {
        return None;
    }
    let rest = &pieces[at..];

    let (mut time, mut fraction) = ([0_i64; 3], 0);
    let mut taken = 0;
    let mut to_utc: Option<i64> = None;
    let mut named_utc = false;
    let mut half_day: Option<(bool, bool)> = None;
    let mut index = 0;
    while index < rest.len() {
        match rest[index] {
            DateToken::Number(value, count, before) => {
                if matches!(before, '+' | '-') && taken > 0 {
                    let mut digits = format!("{before}{value:0count$}");
                    if let Some(DateToken::Number(minutes, 2, ':')) = rest.get(index + 1) {
                        digits.push_str(&format!("{minutes:02}"));
                        index += 1;
                    }
                    if to_utc.replace(clock.zone_ticks(digits.as_bytes())?).is_some() {
                        return None;
                    }
                    index += 1;
                    continue;
                }
                if taken < 3 {
                    // A sign in front of the hour is none of a time of day, and only a second has a fraction.
                    if count > 2 || matches!(before, '+' | '-') || (before == ',' && taken > 0) {
                        return None;
                    }
                    time[taken] = value;
                } else if taken == 3 && matches!(before, '.' | ':' | ',') {
                    fraction = fraction_ticks(format!("{value:0count$}").as_bytes());
                } else {
                    return None;
                }
                taken += 1;
            }
            DateToken::Word(_) if half_day_of(&rest[index]).is_some() => {
                // Korean and Chinese have it before the hour.
                if half_day.is_some() {
                    return None;
                }
                half_day = half_day_of(&rest[index]);
            }
            // The name may come before the offset, or behind one of zero.
            DateToken::Word(word)
                if (word.eq_ignore_ascii_case("z") || word.eq_ignore_ascii_case("utc") || word.eq_ignore_ascii_case("gmt"))
                    && to_utc.is_none_or(|ticks| ticks == 0) =>
            {
                named_utc = true;
            }
            DateToken::Word(word) if word.eq_ignore_ascii_case("t") && taken == 0 => {}
            DateToken::Word(_) => return None,
        }
        index += 1;
    }
    if taken == 1 && half_day.is_none() {
        return None;
    }
    if let Some((pm, _)) = half_day {
        time[0] = hour_of_half_day(time[0], pm)?;
    }

    let (a, b) = (date.first, date.second);
    let (month, day) = if date.month_named || a == b {
        (a, b)
    } else {
        let order = match (a > 12, b > 12, order) {
            (true, false, _) => DateOrder::DayFirst,
            (false, true, _) => DateOrder::MonthFirst,
            (_, _, DateOrder::Unknown) => date.form(half_day.map(|(_, upper)| upper))?,
            (_, _, said) => said,
        };
        if order == DateOrder::MonthFirst { (a, b) } else { (b, a) }
    };
    let [hour, minute, second] = time;
    let to_utc = match to_utc {
        Some(ticks) => ticks,
        None if named_utc => 0,
        None => clock.zone_ticks(b"")?,
    };
    Some(
        crate::calendar::date(date.year, month, day)? + time_of_day(hour, minute, second, clock.leap_second)? + fraction + to_utc,
    )
}

/// The date of a local form.
struct DateParts {
    /// The month where `month_named`, else the number that comes first.
    first: i64,
    /// The day where `month_named`, else the number that is second.
    second: i64,
    year: i64,
    /// True where the form says which number is the month: by its name, or since the year comes first.
    month_named: bool,
    /// What is between the numbers.
    separator: char,
    /// True for `5/01/2026`: the first number without a zero before it, the second one with it.
    second_padded: bool,
}

impl DateParts {
    /// The order of those who write such a form. `half_day` says whether AM or PM are in upper case.
    ///
    /// Dots, and `d/MM`, are of writers that put the day first. With AM and PM in upper case the month is first (en-US), in
    /// lower case the day. The 24-hour clock is written with both orders.
    fn form(&self, half_day: Option<bool>) -> Option<DateOrder> {
        if self.separator == '.' || self.second_padded {
            return Some(DateOrder::DayFirst);
        }
        half_day.map(|upper| if upper { DateOrder::MonthFirst } else { DateOrder::DayFirst })
    }
}

/// The date at the beginning; moves `at` behind it.
fn date_parts(pieces: &[DateToken<'_>], at: &mut usize) -> Option<DateParts> {
    // A weekday may appear in front ("Mon, 05 Jan 2026").
    if let Some(DateToken::Word(word)) = pieces.first()
        && pieces.len() > 3
        && month_begun(word.as_bytes()).is_none()
    {
        if !word.as_bytes().get(..3).is_some_and(is_weekday) {
            return None;
        }
        *at = 1;
    }
    let parts = pieces.get(*at..*at + 3)?;
    *at += 3;
    let known =
        |month, day, year| DateParts { first: month, second: day, year, month_named: true, separator: ' ', second_padded: false };
    Some(match *parts {
        [DateToken::Number(y, 4, _), DateToken::Number(m, 1..=2, _), DateToken::Number(d, 1..=2, _)] => known(m, d, y),
        [
            DateToken::Number(first, digits @ 1..=2, _),
            DateToken::Number(second, others @ 1..=2, separator),
            DateToken::Number(year, 4, _),
        ] => {
            let second_padded = digits == 1 && others == 2 && second < 10;
            DateParts { first, second, year, month_named: false, separator, second_padded }
        }
        [DateToken::Number(d, 1..=2, _), DateToken::Word(word), DateToken::Number(y, 4, _)]
        | [DateToken::Word(word), DateToken::Number(d, 1..=2, _), DateToken::Number(y, 4, _)] => {
            known(month_begun(word.as_bytes())?, d, y)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::datetimes::parts::RECORD_CLOCK;

    #[test]
    fn portal_forms() {
        let expected = Some(1_767_597_787_123_000);
        let local = |text, order| loose_datetime(text, order, &RECORD_CLOCK).map(crate::us_of_datetime);
        let read = |text| local(text, DateOrder::Unknown);
        assert_eq!(read("1/5/2026, 7:23:07.123 AM"), expected);
        assert_eq!(read("1/5/2026, 7:23:07.123\u{202f}AM"), expected);
        assert_eq!(read("5/01/2026 7:23:07.123 AM"), expected);
        assert_eq!(read("05/01/2026, 7:23:07.123 am"), expected);
        assert_eq!(read("5.1.2026, 07:23:07.123"), expected);
        assert_eq!(read("5 Jan 2026 07:23:07.123"), expected);
        assert_eq!(read("Jan 5, 2026 7:23:07.123 a.m."), expected);
        assert_eq!(read("2026/01/05 07:23:07.123 UTC"), expected);
        assert_eq!(read("1/5/2026 8:23:07.123 AM +01:00"), expected);
        assert_eq!(local("05/01/2026 7:23:07.123 AM", DateOrder::DayFirst), expected);
        assert_eq!(local("05/01/2026, 07:23:07.123", DateOrder::DayFirst), expected);
        assert_eq!(local("01/05/2026 07:23:07.123", DateOrder::MonthFirst), expected);
        // Milliseconds behind a comma; blanks behind dots; half days in other languages.
        for text in [
            "5.1.2026, 07:23:07,123",
            "05.01.2026, 07:23:07,123",
            "5.1.2026,07:23:07,123",
            "5. 1. 2026 7:23:07,123",
            "2026. 01. 05. 7:23:07.123",
            "5.1.2026 07.23.07,123",
            "2026. 1. 5. 오전 7:23:07.123",
            "2026/1/5 上午7:23:07.123",
            "5/01/2026, 7:23:07,123 a. m.",
            "5/1/2026, 7:23:07,123 a.\u{a0}m.",
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        for text in ["05/01/2026 07:23:07,123", "5/1/2026, 7:23:07,123", "05/01/2026, 07:23:07,123", "5-1-2026 07:23:07,123"] {
            assert_eq!(local(text, DateOrder::DayFirst), expected, "{text}");
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read("2026. 1. 5. 오후 7:23:07.123"), expected.map(|at| at + 43_200_000_000));
        assert_eq!(read("Jan 5,2026 7:23:07.123 AM"), expected);
        assert_eq!(read("01/01/2026 00:00"), Some(1_767_225_600_000_000));
        for open in ["05/01/2026, 07:23:07", "1/5/2026", "05-01-2026 07:23"] {
            assert_eq!(read(open), None, "{open}");
        }
        assert_eq!(read("13/1/2026 12:00:00 AM"), Some(1_768_262_400_000_000));
        assert_eq!(read("1/13/2026 12:30 PM"), Some(1_768_307_400_000_000));
        assert_eq!([read("1/1/0001 12:00:00 AM"), read("12/31/9999 11:59 PM")].map(|at| at.is_some()), [true; 2]);
        for other in ["1405/1/7 15:46:05", "17.7.1447 10:00", "25/1/2569 20:06", "2569. 1. 25. 20:06"] {
            assert_eq!(read(other), None, "{other}");
        }
        for bad in ["", "1/5", "32/1/2026", "1/5/2026 25:00", "a/b/c", "1/5/2026 7", "9999999999/1/2026", "2026/01/05 07:23,5"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn nothing_of_a_text_is_skipped() {
        let read = |text| loose_datetime(text, DateOrder::Unknown, &RECORD_CLOCK).map(crate::us_of_datetime);
        let eight = Some(1_767_600_000_000_000);
        for (text, expected) in [
            ("2026/01/05 08:00", eight),
            ("Monday, 5 Jan 2026 08:00 GMT", eight),
            ("Mon., Jan. 5, 2026 08:00", eight),
            ("5. 1. 2026 8.00.00", eight),
            ("2026-01-05 08:00:00 +0000 UTC", eight),
            ("2026/01/05 08:00 UTC-1", Some(1_767_603_600_000_000)),
            ("2026/01/05 8:00 +0100 PM", Some(1_767_639_600_000_000)),
            ("2026/01/05 8:00 -01:00 PM", Some(1_767_646_800_000_000)),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        for bad in [
            "-2026/01/05 08:00",
            "-2026-01-05T08:00:00Z",
            "+2026-01-05T08:00:00Z",
            "-0001-01-01T00:00:00Z",
            "- 5 Jan 2026 08:00",
            "/2026/01/05 08:00",
            ".5.1.2026 08:00",
            "(-5.1.2026 08:00)",
            "2026--01-05 08:00",
            "2026/01/05 -08:00",
            "before 5 Jan 2026 08:00",
            "yesterday 2026/01/05 08:00",
            "2026/01/05 08:00 +01:00 +02:00",
            "2026/01/05 08:00 +01:00 UTC",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn evidence_of_an_order() {
        use DateOrder::{DayFirst, MonthFirst};
        for (text, expected) in [
            ("13/01/2026, 07:00", Some(Evidence::Numbers(DayFirst))),
            ("1/13/2026", Some(Evidence::Numbers(MonthFirst))),
            ("1/5/2026 7:23 AM", Some(Evidence::Form(MonthFirst))),
            ("1/5/2026, 7:23\u{202f}am", Some(Evidence::Form(DayFirst))),
            ("1/5/2026 7:23 a.m.", Some(Evidence::Form(DayFirst))),
            ("5/01/2026 7:23:07 AM", Some(Evidence::Form(DayFirst))),
            ("5.1.2026, 07:23", Some(Evidence::Form(DayFirst))),
            ("1/5/2026", Some(Evidence::Open)),
            ("05-01-2026 07:23", Some(Evidence::Open)),
            ("02/03/2026 10:00:00", Some(Evidence::Open)),
            ("5/5/2026 10:00", None),
            ("2026-01-05", None),
            ("2026/01/05 07:23 AM", None),
            ("5 Jan 2026", None),
            ("32/1/2026", None),
            ("/Date(1767571813135)/", None),
            ("soon", None),
        ] {
            assert_eq!(DateOrder::evidence(text), expected, "{text}");
        }
    }
}
