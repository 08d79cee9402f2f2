//! Punycode (RFC 3492): Unicode text in the characters of host names.

use idna::punycode::{decode_to_string, encode_str};

/// The prefix of a domain label in punycode.
const PREFIX: &str = "xn--";

/// Encodes a text (section 6.3); `None` where a number overflows.
pub(super) fn encode(text: &str) -> Option<String> {
    // The crate puts a dash behind a text that is ASCII alone, as the section has it.
    if text.is_ascii() { Some(text.to_owned()) } else { encode_str(text) }
}

/// Decodes a text (section 6.2); `None` where it is not punycode.
pub(super) fn decode(text: &str) -> Option<String> {
    if !text.is_ascii() {
        return None;
    }
    // To the crate, a dash in front that is the only one is a wrong digit.
    match text.rsplit_once('-') {
        Some(("", extended)) => decode_to_string(extended),
        _ => decode_to_string(text),
    }
}

/// The separators of a domain name's labels (RFC 3490, section 3.1).
fn is_dot(c: char) -> bool {
    matches!(c, '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}')
}

/// Appends a domain name with each label that is not ASCII encoded.
pub(super) fn encode_domain(domain: &str, out: &mut String) {
    for (i, label) in domain.split(is_dot).enumerate() {
        if i > 0 {
            out.push('.');
        }
        match encode(label) {
            Some(encoded) if !label.is_ascii() => {
                out.push_str(PREFIX);
                out.push_str(&encoded);
            }
            _ => out.push_str(label),
        }
    }
}

/// Appends a domain name with each label in punycode decoded.
pub(super) fn decode_domain(domain: &str, out: &mut String) {
    for (i, label) in domain.split(is_dot).enumerate() {
        if i > 0 {
            out.push('.');
        }
        match label.strip_prefix(PREFIX).and_then(decode) {
            Some(decoded) => out.push_str(&decoded),
            None => out.push_str(label),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (text, code) in [
            ("acad\u{e9}mie-fran\u{e7}aise", "acadmie-franaise-npb1a"),
            ("\u{827a}\u{672f}", "cqv902d"),
            ("L\u{ea} L\u{1ee3}i", "L Li-gpa4517b"),
            ("\u{1f600}", "e28h"),
        ] {
            assert_eq!(encode(text).as_deref(), Some(code));
            assert_eq!(decode(code).as_deref(), Some(text));
        }
        assert_eq!([decode("99999999"), decode("a-\u{e9}"), decode("-!")], [None, None, None]);
        assert_eq!([encode("abc"), encode("")], [Some("abc".to_owned()), Some(String::new())]);
        assert_eq!([decode("abc-"), decode("-e28h"), decode("-")].map(Option::unwrap), ["abc", "\u{1f600}", ""]);
    }

    #[test]
    fn domains_label_by_label() {
        let mut out = String::new();
        encode_domain("Ri\u{f0}ill\u{ff61}Sk\u{e1}ldskaparm\u{e1}l\u{ff61}org", &mut out);
        assert_eq!(out, "xn--Riill-jta.xn--Skldskaparml-dbbj.org");
        let mut back = String::new();
        decode_domain(&out, &mut back);
        assert_eq!(back, "Ri\u{f0}ill.Sk\u{e1}ldskaparm\u{e1}l.org");
    }
}
