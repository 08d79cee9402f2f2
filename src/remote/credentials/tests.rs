use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::*;
use crate::testing::{NOW, TENANT, tenant};

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    match content.len() {
        0..=0x7F => [&[tag, length[1]], content].concat(),
        _ => [&[tag, 0x82, length[0], length[1]], content].concat(),
    }
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// A certificate of a public key, with a signature that nobody checks.
fn certificate(public: &[u8], valid: [(u8, &str); 2]) -> Vec<u8> {
    let algorithm = || sequence(&[tlv(0x06, &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01]), tlv(0x05, &[])]);
    let name = || sequence(&[]);
    let validity = sequence(&valid.map(|(tag, text)| tlv(tag, text.as_bytes())));
    let bits = |content: &[u8]| tlv(0x03, &[&[0], content].concat());
    let version = tlv(0xA0, &tlv(0x02, &[2]));
    let key = sequence(&[algorithm(), bits(public)]);
    let body = sequence(&[version, tlv(0x02, &[1]), algorithm(), name(), validity, name(), key]);
    sequence(&[body, algorithm(), bits(&[1, 2, 3])])
}

fn pem(kind: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

const VALID: [(u8, &str); 2] = [(0x17, "250101000000Z"), (0x18, "20600102030405Z")];

struct Made {
    key: KeyPair,
    certificate: Vec<u8>,
    pem: String,
}

fn made() -> Made {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let certificate = certificate(key.public_key().as_ref(), VALID);
    let secret: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().unwrap();
    let pem = format!("Bag Attributes\n{}{}", pem("CERTIFICATE", &certificate), pem("PRIVATE KEY", secret.as_ref()));
    Made { key, certificate, pem }
}

fn form(request: &Request) -> std::collections::HashMap<String, String> {
    url::form_urlencoded::parse(request.body.as_ref().unwrap()).into_owned().collect()
}

fn request(credential: Credential) -> Result<Request, String> {
    let login = Url::parse("http://127.0.0.1:8700/login").unwrap();
    let tenant = Tenant { credential, ..tenant(&login) };
    token_request(&tenant, &login, "https://graph.microsoft.com", NOW / 1_000_000)
}

#[test]
fn a_secret_goes_into_the_form() {
    let request = request(Credential::Secret(SecretString::from("s&=+ %"))).unwrap();
    let endpoint = format!("http://127.0.0.1:8700/login/{TENANT}/oauth2/v2.0/token");
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", endpoint.as_str()));
    let form = form(&request);
    assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str()), ("app", "s&=+ %"));
    assert_eq!(form["scope"], "https://graph.microsoft.com/.default");
    assert_eq!(form["grant_type"], "client_credentials");
    assert_eq!(form.len(), 4);
}

#[test]
fn a_certificate_signs_an_assertion_that_its_public_key_proves() {
    let made = made();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.pem");
    // The chain may come first.
    let other = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let chain = pem("CERTIFICATE", &certificate(other.public_key().as_ref(), VALID));
    std::fs::write(&file, format!("{chain}{}", made.pem)).unwrap();
    let form = form(&request(Credential::Certificate { file: file.clone(), password: None }).unwrap());
    assert_eq!(form["client_assertion_type"], JWT_BEARER);
    assert!(!form.contains_key("client_secret"));
    let (signed, signature) = form["client_assertion"].rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, made.key.public_key().as_ref());
    public.verify(signed.as_bytes(), &signature).unwrap();
    let part =
        |at| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split('.').nth(at).unwrap()).unwrap()).unwrap() };
    let (header, claims) = (part(0), part(1));
    let thumbprint = <sha2::Sha256 as sha2::Digest>::digest(&made.certificate);
    assert_eq!(header["alg"], "PS256");
    assert_eq!(header["x5t#S256"], URL_SAFE_NO_PAD.encode(thumbprint));
    assert_eq!(claims["aud"], format!("http://127.0.0.1:8700/login/{TENANT}/oauth2/v2.0/token"));
    assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some("app"), Some("app")));
    let (now, life) = (NOW / 1_000_000, claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap());
    assert!(claims["nbf"].as_i64().unwrap() < now && claims["exp"].as_i64().unwrap() > now && life <= 600);
    let certificate = Certificate::read(&file, None).unwrap();
    assert_eq!(certificate.valid, (1_735_689_600, 2_840_238_245));
    assert!(!format!("{certificate:?}").contains("key"));
}

#[test]
fn files_that_are_no_certificate_with_its_key_say_what_to_do() {
    let made = made();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.pem");
    let other = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let foreign = pem("CERTIFICATE", &certificate(other.public_key().as_ref(), VALID));
    let key = made.pem[made.pem.find("-----BEGIN PRIVATE").unwrap()..].to_owned();
    let own = pem("CERTIFICATE", &made.certificate);
    for (text, said) in [
        (format!("{foreign}{key}"), "does not belong to the key"),
        (key.clone(), "holds a key only"),
        (own.clone(), "openssl pkcs12"),
        (format!("{own}{}", pem("ENCRYPTED PRIVATE KEY", b"x")), "openssl pkcs8"),
        (format!("{own}{}", pem("PRIVATE KEY", b"x")), "RSA key is needed"),
        (format!("{}{key}", pem("CERTIFICATE", b"x")), "does not belong"),
        ("hello".to_owned(), "without its private key"),
    ] {
        std::fs::write(&file, &text).unwrap();
        let error = Certificate::read(&file, None).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("app.pem"), "{error}");
    }
    std::fs::write(&file, vec![b'x'; 2 << 20]).unwrap();
    assert!(Certificate::read(&file, None).unwrap_err().to_string().contains("bytes"));
    let pfx = folder.path().join("app.pfx");
    std::fs::write(&pfx, [0x30, 0x82, 0x0A, 0x10, 0x02, 0x01, 0x03, 0xFF]).unwrap();
    assert!(Certificate::read(&pfx, None).unwrap_err().to_string().contains("openssl pkcs12 -in FILE.pfx"));
    assert!(Certificate::read(&folder.path().join("none"), None).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn no_cut_certificate_is_read_and_none_stops_the_program() {
    let whole = made().certificate;
    assert!(der::parse(&whole).is_some());
    for length in 0..whole.len() {
        let cut = &whole[..length];
        assert!(der::parse(cut).is_none(), "{length}");
        // Any byte may be any other.
        let mut odd = whole.clone();
        odd[length] ^= 0xFF;
        let _ = der::parse(&odd);
    }
    for der in [&[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF][..], &[0x30, 0x80], &[0x30, 0x85, 0, 0, 0, 0, 1], &[]] {
        assert!(der::parse(der).is_none());
    }
}

#[test]
fn platforms_are_asked_as_they_want_it() {
    let machine = request(Credential::ManagedIdentity { endpoint: None }).unwrap();
    assert!(machine.url.as_str().starts_with("http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&"));
    assert!(machine.url.as_str().contains("resource=https%3A%2F%2Fgraph.microsoft.com&client_id=app"));
    assert_eq!(machine.headers["metadata"], "true");
    let endpoint = (Url::parse("http://127.0.0.1:41000/msi/token").unwrap(), SecretString::from("canary"));
    let service = request(Credential::ManagedIdentity { endpoint: Some(endpoint) }).unwrap();
    assert!(service.url.as_str().contains("api-version=2019-08-01"));
    assert!(matches!(&service.auth, crate::http::Auth::Key(name, value) if name == "x-identity-header" && value == "canary"));
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    let workload = || request(Credential::WorkloadIdentity { token_file: token_file.clone() });
    assert!(workload().unwrap_err().contains("cannot be read"));
    std::fs::write(&token_file, " \n").unwrap();
    assert!(workload().unwrap_err().contains("empty"));
    for token in ["first", "second"] {
        std::fs::write(&token_file, format!("{token}\n")).unwrap();
        assert_eq!(form(&workload().unwrap())["client_assertion"], token);
    }
}

#[test]
fn lives_of_tokens_are_numbers_or_texts() {
    let life = |text: &str| token_of(&serde_json::from_str(text).unwrap()).map(|(_, life)| life);
    assert_eq!(life(r#"{"access_token":"t","expires_in":3599}"#), Some(3599));
    assert_eq!(life(r#"{"access_token":"t","expires_in":"3599"}"#), Some(3599));
    assert_eq!(life(r#"{"access_token":"","expires_in":"3599"}"#), None);
    assert_eq!(life(r#"{"access_token":"t","expires_in":-1}"#), None);
    assert_eq!(life(r#"{"access_token":"t"}"#), None);
}
