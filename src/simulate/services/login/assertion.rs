//! Assertions that an application signs with the key of its certificate.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::{Refusal, certificate};
use crate::answer::Call;

/// By how much clocks may differ, in seconds.
const SKEW: i64 = 300;

/// A JWT, taken apart and not checked.
struct Jwt<'a> {
    head: Value,
    claims: Value,
    signed: &'a str,
    signature: Vec<u8>,
}

fn read(text: &str) -> Option<Jwt<'_>> {
    let (signed, signature) = text.rsplit_once('.')?;
    let (head, claims) = signed.split_once('.')?;
    let part = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    Some(Jwt { head: part(head)?, claims: part(claims)?, signed, signature: URL_SAFE_NO_PAD.decode(signature).ok()? })
}

/// Who an assertion says that it comes from.
pub(super) fn issuer(text: &str) -> Option<String> {
    read(text)?.claims.get("iss")?.as_str().map(str::to_owned)
}

/// Checks an assertion against the registered certificate and the address that was called.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(call: &Call, text: &str) -> Result<(), Refusal> {
    let registration = &call.world.registration;
    let endpoints = [format!("{}{}", call.base, call.path), format!("https://login.microsoftonline.com{}", call.path)];
    check_against(text, registration.certificate.as_deref(), &registration.client_id, &endpoints, call.world.clock.now_seconds())
}

fn check_against(text: &str, certificate: Option<&[u8]>, client_id: &str, endpoints: &[String], now: i64) -> Result<(), Refusal> {
    let jwt = read(text).ok_or_else(|| Refusal::new(50_013, "Assertion is malformed and cannot be read."))?;
    let key_error = |why: &str| {
        Refusal::new(
            700_027,
            format!(
                "The certificate with identifier used to sign the client assertion is not registered on application, or the \
                 signature is wrong: {why}."
            ),
        )
    };
    let certificate = certificate.ok_or_else(|| key_error("no certificate is registered"))?;
    let key = certificate::rsa_key(certificate).ok_or_else(|| key_error("the registered certificate has no RSA key"))?;
    let field = |name: &str| jwt.head.get(name).and_then(Value::as_str);
    let sha256 = URL_SAFE_NO_PAD.encode(Sha256::digest(certificate));
    let sha1 = URL_SAFE_NO_PAD.encode(Sha1::digest(certificate));
    let (algorithm, is_known) = match field("alg") {
        Some("PS256") => (&RSA_PSS_2048_8192_SHA256, field("x5t#S256") == Some(&sha256)),
        Some("RS256") => (&RSA_PKCS1_2048_8192_SHA256, field("x5t") == Some(&sha1) || field("x5t#S256") == Some(&sha256)),
        other => return Err(key_error(&format!("algorithm {}", other.unwrap_or("none")))),
    };
    if !is_known {
        return Err(key_error("the thumbprint is of another certificate"));
    }
    if UnparsedPublicKey::new(algorithm, key).verify(jwt.signed.as_bytes(), &jwt.signature).is_err() {
        return Err(key_error("the signature does not fit"));
    }
    let claim = |name: &str| jwt.claims.get(name).and_then(Value::as_str);
    if [claim("iss"), claim("sub")].iter().any(|who| !who.is_some_and(|who| who.eq_ignore_ascii_case(client_id))) {
        return Err(Refusal::new(700_021, "Client assertion application identifier doesn't match 'client_id' parameter."));
    }
    if !claim("aud").is_some_and(|audience| endpoints.iter().any(|endpoint| endpoint == audience)) {
        let text =
            format!("Client assertion audience claim does not match Realm issuer. Expected '{}'.", endpoints.join("' or '"));
        return Err(Refusal::new(700_023, text));
    }
    let time = |name: &str| jwt.claims.get(name).and_then(Value::as_i64);
    let is_valid = time("exp").is_some_and(|end| now < end + SKEW) && time("nbf").is_none_or(|start| start - SKEW <= now);
    if !is_valid {
        return Err(Refusal::new(700_024, "Client assertion is not within its valid time range."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{self, KeyPair as _, RsaEncoding};
    use serde_json::json;

    const NOW: i64 = 1_768_176_000;
    const ENDPOINT: &str = "http://127.0.0.1:1/login/t/oauth2/v2.0/token";

    struct Client {
        key: KeyPair,
        certificate: Vec<u8>,
    }

    impl Client {
        fn new() -> Client {
            let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
            let certificate = certificate::tests::certificate(key.public_key().as_ref(), true);
            Client { key, certificate }
        }

        fn sign(&self, algorithm: &str, head: &Value, claims: &Value) -> String {
            let encoding: &'static dyn RsaEncoding =
                if algorithm == "PS256" { &signature::RSA_PSS_SHA256 } else { &signature::RSA_PKCS1_SHA256 };
            let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(head.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
            let mut out = vec![0; self.key.public_modulus_len()];
            self.key.sign(encoding, &SystemRandom::new(), signed.as_bytes(), &mut out).unwrap();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(out))
        }

        fn head(&self, algorithm: &str) -> Value {
            match algorithm {
                "PS256" => {
                    json!({"alg": "PS256", "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(Sha256::digest(&self.certificate))})
                }
                _ => json!({"alg": "RS256", "typ": "JWT", "x5t": URL_SAFE_NO_PAD.encode(Sha1::digest(&self.certificate))}),
            }
        }

        fn check(&self, assertion: &str) -> Result<(), u32> {
            check_against(assertion, Some(&self.certificate), "me", &[ENDPOINT.to_owned()], NOW).map_err(|refusal| refusal.code)
        }
    }

    fn claims() -> Value {
        json!({"aud": ENDPOINT, "iss": "me", "sub": "me", "jti": "1", "nbf": NOW, "iat": NOW, "exp": NOW + 600})
    }

    #[test]
    fn assertions_are_taken_when_all_of_them_is_right() {
        let client = Client::new();
        for algorithm in ["PS256", "RS256"] {
            let head = client.head(algorithm);
            assert_eq!(client.check(&client.sign(algorithm, &head, &claims())), Ok(()), "{algorithm}");
            for (name, value, code) in [
                ("aud", json!("https://elsewhere/"), 700_023),
                ("iss", json!("you"), 700_021),
                ("sub", json!(null), 700_021),
                ("exp", json!(NOW - SKEW), 700_024),
                ("exp", json!(null), 700_024),
                ("nbf", json!(NOW + SKEW + 1), 700_024),
            ] {
                let mut claims = claims();
                claims[name] = value;
                assert_eq!(client.check(&client.sign(algorithm, &head, &claims)), Err(code), "{name}");
            }
            let other = Client::new();
            assert_eq!(client.check(&other.sign(algorithm, &head, &claims())), Err(700_027), "another key");
            assert_eq!(
                client.check(&other.sign(algorithm, &other.head(algorithm), &claims())),
                Err(700_027),
                "another thumbprint"
            );
        }
        let mixed = client.sign("RS256", &client.head("PS256"), &claims());
        assert_eq!(client.check(&mixed), Err(700_027), "another algorithm than the head says");
        assert_eq!(client.check("a.b.c"), Err(50_013));
        assert_eq!(client.check(&client.sign("RS256", &json!({"alg": "none"}), &claims())), Err(700_027));
        assert!(client.key.as_der().is_ok());
    }
}
