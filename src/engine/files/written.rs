//! Whether a type keeps the texts of a column: no digit may be lost, and no two texts may become one value.
//!
//! A value cannot tell how it was written, so that 1.1 and 1.10 would be one number. A type keeps them where all of the column are written
//! in one way: then a value has one text. Nothing of the rows is held for that but the ways that were met.

use std::collections::BTreeMap;

use arrow::compute::kernels::cast_utils::string_to_datetime;
use chrono::Utc;

use kqlake_value::{TICKS_PER_SECOND, UNIX_EPOCH_TICKS, datetime};

/// Significant digits that a real keeps of any number in its range.
const SURE_DIGITS: usize = 15;
/// Digits that tell all reals apart.
const MOST_DIGITS: usize = 17;

/// A number as it is written: `-?(digits)?(.digits)?([eE][-+]?digits)?`.
struct Number<'t> {
    negative: bool,
    whole: &'t str,
    /// The digits behind the point; `None` without a point.
    fraction: Option<&'t str>,
    /// The exponent with its letter; empty without one.
    exponent: &'t str,
}

impl<'t> Number<'t> {
    fn read(text: &'t str) -> Option<Number<'t>> {
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = rest.split_at(rest.find(['e', 'E']).unwrap_or(rest.len()));
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let is_one = digits(whole) && digits(fraction.unwrap_or_default()) && mantissa.len() > usize::from(fraction.is_some());
        is_one.then_some(Number { negative, whole, fraction, exponent })
    }

    /// The significant digits, without zeros before and behind them, and the power of ten of the first; `None` for zero.
    ///
    /// # Errors
    /// No real has such an exponent.
    fn significant(&self) -> Result<Option<(String, i32)>, ()> {
        let shift: i32 = match self.exponent.get(1..) {
            Some(exponent) => exponent.parse().map_err(drop)?,
            None => 0,
        };
        let digits = [self.whole, self.fraction.unwrap_or_default()].concat();
        let Some(first) = digits.bytes().position(|digit| digit != b'0') else { return Ok(None) };
        let place = i32::try_from(self.whole.len()).map_err(drop)? - 1 - i32::try_from(first).map_err(drop)?;
        let power = shift.checked_add(place).ok_or(())?;
        Ok(Some((digits.trim_matches('0').to_owned(), power)))
    }
}

/// Digits of the fraction that a number needs, and how many it has.
fn places(fraction: Option<&str>) -> (usize, Option<usize>) {
    (fraction.map_or(0, |digits| digits.trim_end_matches('0').len()), fraction.map(str::len))
}

/// The ways in which the numbers of a column are written.
#[derive(Debug, Default)]
pub(super) struct Reals {
    /// How many digits are written behind the point, by how many are needed; apart for numbers with an exponent.
    places: BTreeMap<(bool, usize), Option<usize>>,
    /// How the exponent is written, by the power of ten of the first digit; of zero there is none.
    exponents: BTreeMap<Option<i32>, String>,
    /// Whether zero, and numbers below one, have a zero before the point.
    with_zero: [Option<bool>; 2],
    /// How what is no number is written.
    nan: Option<String>,
    any: bool,
}

impl Reals {
    /// Takes in a text; false where a real does not keep it beside those before.
    pub(super) fn keep(&mut self, text: &str) -> bool {
        if text.eq_ignore_ascii_case("nan") {
            return self.nan.get_or_insert_with(|| text.to_owned()) == text;
        }
        if matches!(text, "inf" | "-inf") {
            return true;
        }
        let Some(number) = Number::read(text) else { return false };
        let Ok(significant) = number.significant() else { return false };
        if significant.as_ref().map_or(number.negative, |(digits, power)| !is_shortest(text, digits, *power)) {
            return false;
        }
        self.any = true;
        let power = significant.map(|(_, power)| power);
        if self.exponents.entry(power).or_insert_with(|| number.exponent.to_owned()) != number.exponent {
            return false;
        }
        // 1e5 is 10e4, too.
        let has_exponent = !number.exponent.is_empty();
        let with_zero = &mut self.with_zero[usize::from(power.is_some())];
        let is_below_one = number.whole.is_empty() || number.whole == "0";
        if (has_exponent && (number.whole.len() != 1 || (is_below_one && power.is_some())))
            || (number.whole.len() > 1 && number.whole.starts_with('0'))
            || (is_below_one && *with_zero.get_or_insert(!number.whole.is_empty()) == number.whole.is_empty())
        {
            return false;
        }
        let (needed, written) = places(number.fraction);
        *self.places.entry((has_exponent, needed)).or_insert(written) == written
    }

    /// Whether there was a number at all.
    pub(super) fn any(&self) -> bool {
        self.any
    }
}

/// Whether the real that a number is read as is written with its digits.
fn is_shortest(text: &str, digits: &str, power: i32) -> bool {
    if digits.len() <= SURE_DIGITS && power.unsigned_abs() < 290 {
        return true;
    }
    if digits.len() > MOST_DIGITS {
        return false;
    }
    let Some(real) = text.parse::<f64>().ok().filter(|real| real.is_finite()) else { return false };
    let shortest = format!("{:e}", real.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    exponent.parse() == Ok(power) && mantissa.bytes().filter(|b| *b != b'.').eq(digits.bytes())
}

/// Whether a real has room for a number of JSON, which is a number however it is written: its digits, if not how it writes them.
pub(super) fn has_room(text: &str) -> bool {
    match Number::read(text).map(|number| number.significant()) {
        Some(Ok(Some((digits, _)))) => {
            digits.len() <= MOST_DIGITS && text.parse::<f64>().is_ok_and(|real| real.is_finite() && real != 0.0)
        }
        Some(Ok(None)) => true,
        _ => false,
    }
}

/// True for a whole number that a long keeps. Leading zeros are no part of its value but of what it stands for: a postal code, an account.
pub(super) fn is_long(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    text.parse::<i64>().is_ok() && text != "-0" && (digits == "0" || !digits.starts_with(['0', '+']))
}

/// The ways in which true and false are written in a column.
#[derive(Debug, Default)]
pub(super) struct Bools([Option<String>; 2]);

impl Bools {
    /// Takes in a text; false where a bool does not keep it beside those before.
    pub(super) fn keep(&mut self, text: &str) -> bool {
        self.0[usize::from(text.eq_ignore_ascii_case("true"))].get_or_insert_with(|| text.to_owned()) == text
    }
}

/// The ways in which the instants of a column are written.
#[derive(Debug, Default)]
pub(super) struct Instants {
    /// What is between date and time.
    separator: Option<u8>,
    /// What is behind the time.
    zone: Option<String>,
    /// How many digits of a second are written, by how many are needed.
    places: [Option<Option<usize>>; TICK_DIGITS + 1],
    /// Whether midnight is a date alone.
    date_alone: Option<bool>,
    /// Whether one needs the digit behind the microseconds.
    finest: bool,
}

/// Digits of a second that a tick has.
const TICK_DIGITS: usize = 7;
/// Bytes of `yyyy-MM-dd` and of `yyyy-MM-ddTHH:mm:ss`.
const DATE: usize = 10;
const SECONDS: usize = 19;

impl Instants {
    /// Takes in a text; false where a datetime does not keep it beside those before.
    pub(super) fn keep(&mut self, text: &str) -> bool {
        if ticks(text).is_none() || !text.is_ascii() {
            return false;
        }
        if text.len() == DATE {
            return *self.date_alone.get_or_insert(true) && self.zone.get_or_insert_default().is_empty();
        }
        let (Some(seconds), Some(rest)) = (text.get(..SECONDS), text.get(SECONDS..)) else { return false };
        let length = rest.strip_prefix('.').map(|rest| rest.bytes().take_while(u8::is_ascii_digit).count());
        let (fraction, zone) = rest.split_at(length.map_or(0, |length| length + 1));
        let (needed, written) = places(fraction.strip_prefix('.'));
        let is_midnight = needed == 0 && seconds.ends_with("00:00:00");
        // The sixtieth second is the next minute's first.
        let is_kept = needed <= TICK_DIGITS
            && !seconds.ends_with(":60")
            && *self.separator.get_or_insert(seconds.as_bytes()[DATE]) == seconds.as_bytes()[DATE]
            && self.zone.get_or_insert_with(|| zone.to_owned()).as_str() == zone
            && !(is_midnight && *self.date_alone.get_or_insert(false))
            && *self.places[needed].get_or_insert(written) == written;
        self.finest |= needed == TICK_DIGITS;
        is_kept
    }

    /// Whether one needs all digits of a tick: microseconds have no room for it.
    pub(super) fn need_ticks(&self) -> bool {
        self.finest
    }
}

/// The instant of a text in ticks of 100 ns since 0001-01-01, where KQL's calendar has it; further digits are dropped.
pub(super) fn ticks(text: &str) -> Option<i64> {
    let instant = string_to_datetime(&Utc, text).ok()?;
    let seconds = instant.timestamp().checked_mul(TICKS_PER_SECOND)?;
    datetime(seconds.checked_add(i64::from(instant.timestamp_subsec_nanos() / 100))?.checked_add(UNIX_EPOCH_TICKS)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reals(texts: &[&str]) -> bool {
        let mut reals = Reals::default();
        texts.iter().all(|text| reals.keep(text))
    }

    fn instants(texts: &[&str]) -> Option<bool> {
        let mut instants = Instants::default();
        texts.iter().all(|text| instants.keep(text)).then(|| instants.need_ticks())
    }

    #[test]
    fn numbers_are_kept_where_each_has_one_text() {
        for texts in [
            &["1", "2.5", "-7", "100", "0"][..],
            &["12.50", "3.00", "0.25", "-0.10"],
            &["1.0", "2.25", "1e-07", "1.5e+16", "nan", "inf"],
            &[".5", "-.25", "7", "0"],
            &["0.1", "0.3333333333333333", "1.7976931348623157e308", "5e-324", "123456789012345.6"],
            &["0.000e+00", "1.500e+00", "2.125e-03"],
            &["0.5", "-1e5"],
        ] {
            assert!(reals(texts), "{texts:?}");
        }
    }

    #[test]
    fn numbers_are_not_kept_where_two_texts_are_one_or_a_digit_is_lost() {
        for texts in [
            &["1.1", "1.10"][..],
            &["12.50", "12.5"],
            &["1", "1.0"],
            &["1.", "1"],
            &["-0"],
            &["-0.00"],
            &["007.5"],
            &["0.5", ".5"],
            &["1e5", "100000"],
            &["1e5", "1E5"],
            &["1e5", "1e+5"],
            &["10e4"],
            &["0.1e6"],
            &["nan", "NaN"],
            &["0.12345678901234567890123"],
            &["0.10000000000000001"],
            &["100000000000000000000000.5"],
            &["9007199254740993", "0.5"],
            &["1e400"],
            &["1e-400"],
            &["1e99999999999"],
            &["x"],
            &["."],
            &[""],
        ] {
            assert!(!reals(texts), "{texts:?}");
        }
    }

    #[test]
    fn numbers_of_json_have_room_in_a_real_or_not() {
        for text in ["1.10", "0.0", "-0.0", "1e5", "0.10000000000000001", "5e-324"] {
            assert!(has_room(text), "{text}");
        }
        for text in ["0.12345678901234567890123", "1e400", "1e-400", "1e99999999999"] {
            assert!(!has_room(text), "{text}");
        }
        assert!(is_long("0") && is_long("-7") && is_long("9223372036854775807"));
        assert!(!["-0", "00", "007", "-07", "+1", "9223372036854775808", ""].iter().any(|text| is_long(text)));
    }

    #[test]
    fn instants_are_kept_where_each_has_one_text() {
        for (texts, ticks) in [
            (&["2026-01-05", "2026-01-05 10:00:00"][..], false),
            (&["2026-01-05T10:00:00Z", "2026-01-05T10:00:00.5Z", "0001-01-01T00:00:00Z"], false),
            (&["2026-01-05T10:00:00.1234560Z", "9999-12-31T23:59:59.0000000Z"], false),
            (&["2026-01-05T10:00:00.1234567Z", "9999-12-31T23:59:59.9999999Z"], true),
            (&["2026-01-05T10:00:00.123456700+01:00"], true),
            (&["2026-01-05T10:00:00", "2026-01-05T10:00:00.123456"], false),
        ] {
            assert_eq!(instants(texts), Some(ticks), "{texts:?}");
        }
        for texts in [
            &["2026-01-05T10:00:00.12345678Z"][..],
            &["2026-01-05", "2026-01-05 00:00:00"],
            &["2026-01-05T10:00:00Z", "2026-01-05 10:00:00Z"],
            &["2026-01-05T10:00:00Z", "2026-01-05T11:00:00+01:00"],
            &["2026-01-05T10:00:00.5Z", "2026-01-05T10:00:00.50Z"],
            &["2026-01-05", "2026-01-05T10:00:00Z"],
            &["2026-01-05T23:59:60Z"],
            &["2026-02-30T10:00:00Z"],
            &["0000-01-01T00:00:00Z"],
            &["0001-01-01T00:00:00+01:00"],
        ] {
            assert_eq!(instants(texts), None, "{texts:?}");
        }
        let mut bools = Bools::default();
        assert!(bools.keep("True") && bools.keep("false") && bools.keep("True") && !bools.keep("true"));
    }
}
