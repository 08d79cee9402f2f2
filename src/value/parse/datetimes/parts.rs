//! The parts that all texts of datetimes are made of: names, times of day, zones.

use crate::TICKS_PER_SECOND;
use crate::parse::timespans::fraction_ticks;

/// How a time of day and a zone are written.
#[derive(Debug)]
pub(super) struct Clock {
    /// Digits of an hour, a minute and a second.
    pub digits: Digits,
    /// An hour may appear alone before AM or PM.
    pub bare_hour: bool,
    /// AM or PM may follow.
    pub half_days: bool,
    /// A fraction may appear behind a comma, and behind a minute.
    pub loose_fraction: bool,
    /// The eighth digit of a fraction is rounded; else it is dropped.
    pub rounded: bool,
    /// Second 60 is read as 59, the last one before it would roll over.
    pub leap_second: bool,
    /// `UT` is a zone.
    pub ut: bool,
    /// `UTC` or `GMT` may appear before an offset.
    pub named_offset: bool,
    /// Digits of an offset's minutes behind a colon.
    pub offset_minutes: Digits,
    /// Minutes east of UTC of a time without a zone.
    pub unsaid: i64,
    /// Takes off white space in front.
    pub space: fn(&[u8]) -> &[u8],
}

/// How many digits a number has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Digits {
    pub least: usize,
    pub most: usize,
}

impl Digits {
    /// From so many to so many.
    pub(super) const fn new(least: usize, most: usize) -> Digits {
        Digits { least, most }
    }
}

/// The value of the digits in front, as many as there are up to a greatest count, and what follows them.
#[inline]
pub(super) fn digits(text: &[u8], count: Digits) -> Option<(i64, &[u8])> {
    let (mut value, mut length) = (0, 0);
    while let Some(digit @ b'0'..=b'9') = text.get(length)
        && length < count.most
    {
        value = value * 10 + i64::from(digit - b'0');
        length += 1;
    }
    (length >= count.least).then(|| (value, &text[length..]))
}

/// What follows a byte that must be there.
pub(super) fn behind(text: &[u8], byte: u8) -> Option<&[u8]> {
    text.split_first().filter(|(first, _)| **first == byte).map(|(_, rest)| rest)
}

impl Clock {
    /// Ticks of `HH:mm[:ss[.f]][ AM|PM][zone]`, to add to the date in UTC. Nothing may follow.
    pub(super) fn time_and_zone(&self, text: &[u8]) -> Option<i64> {
        let (mut hour, mut rest) = digits(text, self.digits)?;
        let (mut minute, mut second, mut fraction) = (0, 0, 0);
        let mut exact = false;
        if let Some(tail) = behind(rest, b':') {
            exact = true;
            (minute, rest) = digits(tail, self.digits)?;
            let mut fractional = self.loose_fraction;
            if let Some(tail) = behind(rest, b':') {
                (second, rest) = digits(tail, self.digits)?;
                fractional = true;
            }
            if let [point @ (b'.' | b','), tail @ ..] = rest
                && fractional
                && (*point == b'.' || self.loose_fraction)
            {
                (fraction, rest) = self.fraction(tail)?;
            }
        }
        if self.half_days
            && let [half @ (b'A' | b'a' | b'P' | b'p'), b'M' | b'm', tail @ ..] = (self.space)(rest)
        {
            hour = hour_of_half_day(hour, matches!(half, b'P' | b'p'))?;
            exact |= self.bare_hour;
            rest = tail;
        }
        if !exact {
            return None;
        }
        let time = time_of_day(hour, minute, second, self.leap_second)?;
        Some(time + fraction + self.zone_ticks(rest)?)
    }

    /// Ticks of a fraction's digits, and what follows them.
    fn fraction<'a>(&self, text: &'a [u8]) -> Option<(i64, &'a [u8])> {
        let (digits, rest) = text.split_at(text.iter().take_while(|b| b.is_ascii_digit()).count());
        let round_up = self.rounded && digits.get(7).is_some_and(|digit| *digit >= b'5');
        (!digits.is_empty()).then(|| (fraction_ticks(digits) + i64::from(round_up), rest))
    }

    /// Ticks from the time of a zone to that of UTC. Nothing may follow the zone.
    pub(super) fn zone_ticks(&self, text: &[u8]) -> Option<i64> {
        Some(-self.zone_minutes(text)? * 60 * TICKS_PER_SECOND)
    }

    /// Minutes east of UTC of a zone: nothing, `Z`, `GMT`, `UTC`, or `±h[h][[:]mm]`.
    pub(super) fn zone_minutes(&self, text: &[u8]) -> Option<i64> {
        let mut text = (self.space)(text);
        if text.is_empty() {
            return Some(self.unsaid);
        }
        let is = |text: &[u8], zone: &[u8]| text.eq_ignore_ascii_case(zone);
        if is(text, b"Z") || is(text, b"GMT") || is(text, b"UTC") || (self.ut && is(text, b"UT")) {
            return Some(0);
        }
        if let Some((word, offset)) = text.split_at_checked(3)
            && self.named_offset
            && (is(word, b"GMT") || is(word, b"UTC"))
        {
            text = (self.space)(offset);
        }
        let (sign, rest) = match text {
            [b'+', rest @ ..] => (1, rest),
            [b'-', rest @ ..] => (-1, rest),
            _ => return None,
        };
        let (hours, rest) = digits(rest, Digits::new(1, 2))?;
        let minutes = match rest {
            [] => 0,
            [b':', rest @ ..] => whole(digits(rest, self.offset_minutes)?)?,
            rest => whole(digits(rest, Digits::new(2, 2))?)?,
        };
        (hours <= 14 && minutes < 60).then_some(sign * (hours * 60 + minutes))
    }
}

/// A number that nothing follows.
fn whole((value, rest): (i64, &[u8])) -> Option<i64> {
    rest.is_empty().then_some(value)
}

/// The hour from midnight of one with AM or PM; `None` when there is no such hour.
pub(super) fn hour_of_half_day(hour: i64, pm: bool) -> Option<i64> {
    (1..=12).contains(&hour).then_some(hour % 12 + if pm { 12 } else { 0 })
}

/// Ticks since midnight; `None` when a part is out of range.
pub(super) fn time_of_day(hour: i64, minute: i64, second: i64, leap_second: bool) -> Option<i64> {
    let second = if leap_second && second == 60 { 59 } else { second };
    let valid = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
    valid.then_some(((hour * 60 + minute) * 60 + second) * TICKS_PER_SECOND)
}

/// A year of four digits, or of two, which is the one within the hundred years that begin at `1900 + first`.
pub(super) fn year(value: i64, digits: usize, first: i64) -> Option<i64> {
    match digits {
        4 => Some(value),
        2 => Some(if value < first { 2000 + value } else { 1900 + value }),
        _ => None,
    }
}

const MONTHS: [&[u8]; 12] = [
    b"january",
    b"february",
    b"march",
    b"april",
    b"may",
    b"june",
    b"july",
    b"august",
    b"september",
    b"october",
    b"november",
    b"december",
];
const DAYS: [&[u8]; 7] = [b"sunday", b"monday", b"tuesday", b"wednesday", b"thursday", b"friday", b"saturday"];

/// A name's place in a list, whole or by its first three letters.
fn named(list: &[&[u8]], word: &[u8]) -> Option<usize> {
    list.iter().position(|name| word.eq_ignore_ascii_case(name) || (word.len() == 3 && word.eq_ignore_ascii_case(&name[..3])))
}

/// The month (1 to 12) of its English name, whole or by its first three letters.
pub(super) fn month(word: &[u8]) -> Option<i64> {
    named(&MONTHS, word).map(|place| place as i64 + 1)
}

/// The month (1 to 12) of any word that begins as its English name does (`Sept`).
pub(super) fn month_begun(word: &[u8]) -> Option<i64> {
    month(word.get(..3)?)
}

/// True for the English name of a day of the week, whole or by its first three letters.
pub(super) fn is_weekday(word: &[u8]) -> bool {
    named(&DAYS, word).is_some()
}

/// Times of day in records of services.
pub(super) const RECORD_CLOCK: Clock = Clock {
    digits: Digits::new(2, 2),
    bare_hour: false,
    half_days: false,
    loose_fraction: true,
    rounded: false,
    leap_second: true,
    ut: false,
    named_offset: true,
    offset_minutes: Digits::new(2, 2),
    unsaid: 0,
    space: <[u8]>::trim_ascii_start,
};
