//! Punycode (RFC 3492): Unicode text in the characters of host names.

const BASE: u32 = 36;
const TMIN: u32 = 1;
const TMAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 128;

/// The prefix of a domain label in punycode.
const PREFIX: &str = "xn--";

/// Section 6.1.
fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / DAMP } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > (BASE - TMIN) * TMAX / 2 {
        delta /= BASE - TMIN;
        k += BASE;
    }
    k + (BASE - TMIN + 1) * delta / (delta + SKEW)
}

fn threshold(k: u32, bias: u32) -> u32 {
    k.saturating_sub(bias).clamp(TMIN, TMAX)
}

fn digit(value: u32) -> char {
    // 0..=25 are a to z, 26..=35 are 0 to 9.
    char::from(if value < 26 { b'a' + value as u8 } else { b'0' + (value - 26) as u8 })
}

/// Encodes a text (section 6.3); `None` where a number overflows.
pub fn encode(text: &str) -> Option<String> {
    let mut out: String = text.chars().filter(char::is_ascii).collect();
    let basic = out.len() as u32;
    let total = text.chars().count() as u32;
    if basic > 0 && basic < total {
        out.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (INITIAL_N, 0u32, INITIAL_BIAS, basic);
    while handled < total {
        let next = text.chars().map(u32::from).filter(|c| *c >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(handled + 1)?)?;
        n = next;
        for c in text.chars().map(u32::from) {
            if c < n {
                delta = delta.checked_add(1)?;
            }
            if c == n {
                let mut q = delta;
                let mut k = BASE;
                loop {
                    let t = threshold(k, bias);
                    if q < t {
                        break;
                    }
                    out.push(digit(t + (q - t) % (BASE - t)));
                    q = (q - t) / (BASE - t);
                    k += BASE;
                }
                out.push(digit(q));
                bias = adapt(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.checked_add(1)?;
        n += 1;
    }
    Some(out)
}

/// Decodes a text (section 6.2); `None` where it is not punycode.
pub fn decode(text: &str) -> Option<String> {
    if !text.is_ascii() {
        return None;
    }
    let (basic, extended) = text.rsplit_once('-').unwrap_or(("", text));
    let mut out: Vec<char> = basic.chars().collect();
    let (mut n, mut i, mut bias) = (INITIAL_N, 0u32, INITIAL_BIAS);
    let mut digits = extended.bytes();
    while digits.len() > 0 {
        let old = i;
        let (mut weight, mut k) = (1u32, BASE);
        loop {
            let value = match digits.next()? {
                b @ b'a'..=b'z' => u32::from(b - b'a'),
                b @ b'A'..=b'Z' => u32::from(b - b'A'),
                b @ b'0'..=b'9' => u32::from(b - b'0') + 26,
                _ => return None,
            };
            i = i.checked_add(value.checked_mul(weight)?)?;
            let t = threshold(k, bias);
            if value < t {
                break;
            }
            weight = weight.checked_mul(BASE - t)?;
            k += BASE;
        }
        let length = u32::try_from(out.len()).ok()? + 1;
        bias = adapt(i - old, length, old == 0);
        n = n.checked_add(i / length)?;
        i %= length;
        out.insert(i as usize, char::from_u32(n)?);
        i += 1;
    }
    Some(out.into_iter().collect())
}

/// The separators of a domain name's labels (RFC 3490, section 3.1).
fn is_dot(c: char) -> bool {
    matches!(c, '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}')
}

/// Appends a domain name with each label that is not ASCII encoded.
pub fn encode_domain(domain: &str, out: &mut String) {
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
pub fn decode_domain(domain: &str, out: &mut String) {
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
