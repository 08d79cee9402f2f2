//! A signed assertion: what a certificate proves an application by.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::RSA_PSS_SHA256;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde_json::json;
use url::Url;

use super::certificate::Certificate;

/// Seconds before now and after it in which an assertion is valid: clocks differ a little.
const VALID: (i64, i64) = (120, 480);

/// An assertion that an application is itself, made out for the address that gives tokens, at an instant in seconds since 1970.
pub(super) fn signed(certificate: &Certificate, endpoint: &Url, client_id: &str, now: i64) -> Result<SecretString, String> {
    let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(certificate.thumbprint) });
    let claims = json!({
        "aud": endpoint.as_str(),
        "iss": client_id,
        "sub": client_id,
        "jti": uuid::Uuid::new_v4().to_string(),
        "nbf": now - VALID.0,
        "iat": now - VALID.0,
        "exp": now + VALID.1,
    });
    let encoded = |part: serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let text = format!("{}.{}", encoded(header), encoded(claims));
    let mut signature = vec![0; certificate.key.public_modulus_len()];
    let signed = certificate.key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature);
    signed.map_err(|_| "the assertion cannot be signed with the certificate's key".to_owned())?;
    Ok(SecretString::from(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))))
}
