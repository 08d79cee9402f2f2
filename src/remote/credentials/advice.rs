//! What to do about the errors of Microsoft Entra ID, by their numbers.

/// Numbers, and what is wrong with what.
const ADVICE: [(&[u32], &str); 12] = [
    (&[7_000_215], "the client secret is wrong: it is the secret's value that is needed, not its id"),
    (&[7_000_222], "the client secret has expired: create a new one for the application"),
    (&[700_016], "the application is not known in this tenant: check client_id and id, and that an administrator gave consent"),
    (&[7_000_112], "the application is disabled in the tenant"),
    (&[90_002, 900_023], "the tenant is not known here: check id and cloud"),
    (&[90_038, 900_382, 900_432], "the tenant lives in another cloud: check cloud"),
    (&[50_012, 50_013, 900_384, 700_027], "the certificate is not the one that the application has: upload it there"),
    (&[500_133, 700_024], "the clocks differ too much: set this machine's clock"),
    (&[700_023], "the assertion is made out for another address: check cloud and hosts.login"),
    (&[50_001, 500_011], "the tenant does not have this service: it has to be enabled or provisioned there"),
    (&[53_003], "a Conditional Access policy blocks the application"),
    (&[90_094], "an administrator has to give consent to the application"),
];

/// What to do about an error whose words these are.
pub(crate) fn advice(words: &str) -> Option<&'static str> {
    let digits = words.split("AADSTS").nth(1)?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let number: u32 = digits[..end].parse().ok()?;
    ADVICE.iter().find(|(numbers, _)| numbers.contains(&number)).map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_errors_have_advice() {
        assert!(advice("x AADSTS7000222: The provided client secret keys are expired.").unwrap().contains("expired"));
        assert!(advice("AADSTS90002: Tenant 'x' not found").unwrap().contains("cloud"));
        assert_eq!(advice("AADSTS1: x"), None);
        assert_eq!(advice("AADSTS"), None);
        assert_eq!(advice("AADSTS99999999999999"), None);
    }
}
