//! The generator's tools: a growing line, random numbers, and the text of times and ids.

use kqlake_value::format::{InstantText, hex_digits, random_guid};
use kqlake_value::splitmix64::SplitMix64;
use kqlake_value::{TICKS_PER_DAY, TICKS_PER_SECOND, US_PER_DAY};

/// Ticks of 100 ns in a second.
pub(super) const TICKS_OF_SECOND: u64 = TICKS_PER_SECOND as u64;
/// Ticks of 100 ns in a day.
pub(super) const TICKS_OF_DAY: u64 = TICKS_PER_DAY as u64;

/// Random numbers, and what is made of them.
pub(super) struct Random(SplitMix64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(SplitMix64::new(seed))
    }

    /// The next 64 bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0.bits()
    }

    /// A number from 0 up to, and without, `limit`; 0 when the limit is 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0.below(limit)
    }

    /// One of the choices; `choices` must not be empty.
    pub(super) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }

    /// One of the words; `words` must not be empty.
    pub(super) fn word<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }

    /// True once in `n` calls on average.
    pub(super) fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A duration in ticks: many short ones and a long tail, from `least` milliseconds on.
    pub(super) fn duration(&mut self, least: u64) -> u64 {
        let doublings = self.bits().trailing_zeros().min(9);
        let milliseconds = (least << doublings) + self.below((least << doublings).max(1));
        milliseconds * 10_000 + self.below(10_000)
    }

    /// A GUID as text.
    pub(super) fn guid(&mut self) -> String {
        let mut line = Line::with_capacity(36);
        line.guid(self);
        line.into_text()
    }
}

/// The days' texts, made once.
pub(super) struct Calendar {
    /// `2026-01-05T`, for each day.
    days: Vec<String>,
}

impl Calendar {
    /// The days from one on, by its number since 1970-01-01.
    pub(super) fn new(start: i64, days: u32) -> Self {
        let text = |day| format!("{}T", InstantText::of_us(day * US_PER_DAY).day());
        // Two more days than records begin on: some records end after they begin.
        Calendar { days: (start..start + i64::from(days) + 2).map(text).collect() }
    }

    fn day(&self, ticks: u64) -> &str {
        let day = (ticks / TICKS_OF_DAY) as usize;
        &self.days[day.min(self.days.len() - 1)]
    }
}

/// Text in the making.
pub(super) struct Line(Vec<u8>);

impl Line {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Line(Vec::with_capacity(bytes))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn into_text(self) -> String {
        // Only ASCII is put in by `guid`, the one caller's content.
        self.0.into_iter().map(char::from).collect()
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// A number in decimal digits.
    pub(super) fn number(&mut self, value: u64) -> &mut Self {
        let mut digits = [0_u8; 20];
        let mut at = digits.len();
        let mut rest = value;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.0.extend_from_slice(&digits[at..]);
        self
    }

    /// A number in `width` digits at least, with zeros before it.
    pub(super) fn padded(&mut self, value: u64, width: usize) -> &mut Self {
        let mut digits = [b'0'; 20];
        let mut at = digits.len();
        let mut rest = value;
        while rest > 0 {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        self.0.extend_from_slice(&digits[at.min(digits.len() - width)..]);
        self
    }

    /// A new GUID (version 4 by its form) in lower case.
    pub(super) fn guid(&mut self, random: &mut Random) -> &mut Self {
        let (high, low) = (random.bits(), random.bits());
        self.0.extend_from_slice(&random_guid(high, low));
        self
    }

    /// 32 hexadecimal digits.
    pub(super) fn hex(&mut self, random: &mut Random) -> &mut Self {
        for word in [random.bits(), random.bits()] {
            self.0.extend(word.to_be_bytes().iter().flat_map(|byte| hex_digits(*byte)));
        }
        self
    }

    fn clock(&mut self, seconds: u64) -> &mut Self {
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        self.padded(hours, 2).text(":").padded(minutes, 2).text(":").padded(seconds, 2)
    }

    /// A time with seven fraction digits, without a zone.
    pub(super) fn time(&mut self, calendar: &Calendar, ticks: u64) -> &mut Self {
        self.seconds(calendar, ticks).text(".").padded(ticks % TICKS_OF_SECOND, 7)
    }

    /// A time in whole seconds, without a zone.
    pub(super) fn seconds(&mut self, calendar: &Calendar, ticks: u64) -> &mut Self {
        self.text(calendar.day(ticks)).clock(ticks % TICKS_OF_DAY / TICKS_OF_SECOND)
    }

    /// A duration as .NET writes it: `hh:mm:ss.fffffff`, with days before it from one day on, and without a fraction where there is none
    /// (the format `c` of `TimeSpan`).
    pub(super) fn span(&mut self, ticks: u64) -> &mut Self {
        if ticks >= TICKS_OF_DAY {
            self.number(ticks / TICKS_OF_DAY).text(".");
        }
        self.clock(ticks % TICKS_OF_DAY / TICKS_OF_SECOND);
        match ticks % TICKS_OF_SECOND {
            0 => self,
            fraction => self.text(".").padded(fraction, 7),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_texts_of_dot_net() {
        let text = |ticks| {
            let mut line = Line::with_capacity(32);
            line.span(ticks);
            line.into_text()
        };
        assert_eq!(text(1), "00:00:00.0000001");
        assert_eq!(text(16 * TICKS_OF_SECOND), "00:00:16");
        assert_eq!(text(TICKS_OF_DAY + 3_600 * TICKS_OF_SECOND + 5_000_000), "1.01:00:00.5000000");
        assert_eq!(text(2 * TICKS_OF_DAY), "2.00:00:00");
    }
}
