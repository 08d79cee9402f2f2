//! Bytes in hexadecimal digits, in lower case.

use uuid::Builder;

/// The two digits of a byte.
pub const fn hex_digits(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[(byte >> 4) as usize], DIGITS[(byte & 15) as usize]]
}

/// Appends bytes.
pub fn write_hex(out: &mut String, bytes: &[u8]) {
    out.reserve(2 * bytes.len());
    out.extend(bytes.iter().flat_map(|byte| hex_digits(*byte)).map(char::from));
}

/// The text of bytes.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::new();
    write_hex(&mut out, bytes);
    out
}

/// The text of the guid of version 4 that 128 random bits make, the higher half first: ASCII in lower case, with dashes.
pub fn random_guid(high: u64, low: u64) -> [u8; 36] {
    let mut text = [0; 36];
    let bits = u128::from(high) << 64 | u128::from(low);
    Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().hyphenated().encode_lower(&mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_two_digits_each() {
        assert_eq!(hex(&[0, 0x0a, 0xf0, 0xff]), "000af0ff");
        assert_eq!(hex(&[]), "");
    }

    #[test]
    fn guids_say_their_version() {
        assert_eq!(&random_guid(0x0123_4567_89ab_cdef, 0x0123_4567_89ab_cdef), b"01234567-89ab-4def-8123-456789abcdef");
        assert_eq!(&random_guid(u64::MAX, u64::MAX), b"ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
