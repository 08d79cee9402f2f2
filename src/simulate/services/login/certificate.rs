//! The public key of a certificate, out of its DER.

/// The RSA public key (PKCS #1, DER) of an X.509 certificate; `None` for another key, or what is no certificate.
pub(super) fn rsa_key(certificate: &[u8]) -> Option<&[u8]> {
    /// 1.2.840.113549.1.1.1
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    let (certificate, _) = value(certificate, 0x30)?;
    let (mut fields, _) = value(certificate, 0x30)?;
    // The version stands first where it is told.
    if let Some((_, rest)) = value(fields, 0xa0) {
        fields = rest;
    }
    // Serial number, algorithm, issuer, validity, subject.
    for tag in [0x02, 0x30, 0x30, 0x30, 0x30] {
        fields = value(fields, tag)?.1;
    }
    let (key, _) = value(fields, 0x30)?;
    let (algorithm, key) = value(key, 0x30)?;
    let (bits, _) = value(key, 0x03)?;
    let (unused, key) = bits.split_first()?;
    (value(algorithm, 0x06)?.0 == RSA && *unused == 0).then_some(key)
}

/// The value of an element with this tag, and what comes after it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    if *first == tag { rest.split_at_checked(length) } else { None }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn element(tag: u8, value: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        match value.len() {
            length @ 0..=0x7f => out.push(length as u8),
            length => out.extend([0x82, (length >> 8) as u8, length as u8]),
        }
        out.extend_from_slice(value);
        out
    }

    /// A certificate of a key, but for the names, the validity and the signature, which nobody looks at.
    pub(in super::super) fn certificate(key: &[u8], version: bool) -> Vec<u8> {
        let algorithm =
            element(0x30, &[&element(0x06, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01])[..], &[5, 0]].concat());
        let key = element(0x30, &[&algorithm[..], &element(0x03, &[&[0], key].concat())].concat());
        let none = element(0x30, &[]);
        let first = if version { element(0xa0, &element(0x02, &[2])) } else { Vec::new() };
        let fields = [first, element(0x02, &[7]), none.clone(), none.clone(), none.clone(), none.clone(), key].concat();
        element(0x30, &[element(0x30, &fields), none, element(0x03, &[0])].concat())
    }

    #[test]
    fn the_key_is_found_and_nothing_that_is_cut_is_taken() {
        let key: Vec<u8> = (0..=255).cycle().take(400).collect();
        for version in [false, true] {
            let der = certificate(&key, version);
            assert_eq!(rsa_key(&der), Some(&key[..]));
            for end in 0..der.len() {
                assert_eq!(rsa_key(&der[..end]), None, "{end}");
            }
        }
        assert_eq!(rsa_key(b"-----BEGIN CERTIFICATE-----"), None);
    }
}
