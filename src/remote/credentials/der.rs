//! What is needed of a certificate's encoding (X.509 in DER): when it is valid, and its key.

use kqlake_value::calendar::day_number;

/// What a certificate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parsed<'d> {
    /// The first second at which it is valid, since 1970.
    pub not_before: i64,
    /// The last one.
    pub not_after: i64,
    /// Its public key.
    key: &'d [u8],
}

impl Parsed<'_> {
    /// True when its public key has this modulus.
    pub(super) fn holds(&self, modulus: &[u8]) -> bool {
        first_integer(self.key).is_some_and(|own| own == modulus)
    }
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The certificate's version, which may be missing.
const VERSION: u8 = 0xA0;

/// One element: its tag, its content, and what follows it.
fn element(data: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = data.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            (bytes.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The content of an element that must have a tag, and what follows it.
fn expect(data: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    element(data).filter(|(own, ..)| *own == tag).map(|(_, content, rest)| (content, rest))
}

/// What a certificate says; `None` for what is none.
pub(super) fn parse(der: &[u8]) -> Option<Parsed<'_>> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (mut body, _) = expect(certificate, SEQUENCE)?;
    if let Some((VERSION, _, rest)) = element(body) {
        body = rest;
    }
    // Serial number, algorithm, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        body = expect(body, tag)?.1;
    }
    let (validity, body) = expect(body, SEQUENCE)?;
    let (from, after, rest) = element(validity)?;
    let (to, before, _) = element(rest)?;
    // Subject.
    let (_, body) = expect(body, SEQUENCE)?;
    let (key_info, _) = expect(body, SEQUENCE)?;
    let (_, bits) = expect(key_info, SEQUENCE)?;
    let (bits, _) = expect(bits, BIT_STRING)?;
    // The first byte tells how many bits of the last one are unused.
    let (_, key) = bits.split_first()?;
    Some(Parsed { not_before: time(from, after)?, not_after: time(to, before)?, key })
}

/// The first integer of a sequence, without the zero that keeps it positive.
pub(super) fn first_integer(sequence: &[u8]) -> Option<&[u8]> {
    let (integer, _) = expect(expect(sequence, SEQUENCE)?.0, INTEGER)?;
    Some(integer.strip_prefix(&[0]).unwrap_or(integer))
}

/// An instant in seconds since 1970: `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`.
fn time(tag: u8, text: &[u8]) -> Option<i64> {
    let text = text.strip_suffix(b"Z")?;
    let number = |at: usize, count: usize| -> Option<i64> {
        let digits = text.get(at..at + count)?;
        digits.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
    };
    let (year, at) = match (tag, text.len()) {
        (UTC_TIME, 12) => (number(0, 2).map(|year| if year < 50 { 2000 + year } else { 1900 + year })?, 2),
        (GENERALIZED_TIME, 14) => (number(0, 4)?, 4),
        _ => return None,
    };
    let day = day_number(year, number(at, 2)?, number(at + 2, 2)?)?;
    let (hour, minute, second) = (number(at + 4, 2)?, number(at + 6, 2)?, number(at + 8, 2)?);
    let exists = hour < 24 && minute < 60 && second < 60;
    exists.then(|| day * 86_400 + hour * 3_600 + minute * 60 + second)
}
