//! A certificate with its private key, from a PEM file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::rsa::KeyPair;
use rustls_pki_types::pem::{PemObject as _, SectionKind};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::der;

/// Bytes that the file may have.
const MAX_FILE: u64 = 1 << 20;
/// How a file of the other format becomes one.
const AS_PEM: &str =
    "a .pfx file is written as PEM by openssl pkcs12 -in FILE.pfx -nodes -out FILE.pem (with -legacy for older ones)";
/// Bits that the service wants a key to have.
const LEAST_BITS: usize = 2048;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the certificate in {} {reason}", file.display())]
pub struct CertificateError {
    /// Its file.
    pub file: PathBuf,
    /// Why, as the rest of a sentence that begins with it, and what to do.
    pub reason: String,
}

/// A certificate with its private key.
pub struct Certificate {
    pub(crate) key: KeyPair,
    /// SHA-256 of the certificate.
    pub(crate) thumbprint: [u8; 32],
    /// The first and the last second at which it is valid, since 1970.
    pub valid: (i64, i64),
}

/// Neither the key nor anything of it is shown.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("valid", &self.valid).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads a file that holds a certificate and its key.
    ///
    /// # Errors
    /// The file cannot be read, holds no certificate or no key that is supported, or the two do not belong together.
    pub fn read(file: &Path, password: Option<&SecretString>) -> Result<Certificate, CertificateError> {
        let wrong = |reason: String| CertificateError { file: file.to_owned(), reason };
        let text = read_text(file, MAX_FILE).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => wrong(format!("is no PEM file ({error}); {AS_PEM}")),
            _ => wrong(format!("cannot be read: {error}")),
        })?;
        Certificate::parse(text.expose_secret().as_bytes(), password.is_some()).map_err(wrong)
    }

    fn parse(pem: &[u8], has_password: bool) -> Result<Certificate, String> {
        let mut certificates = Vec::new();
        let mut key = None;
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
            let (kind, content) = section.map_err(|_| "is no PEM file that can be read".to_owned())?;
            let content = Zeroizing::new(content);
            match kind {
                SectionKind::Certificate => certificates.push(content),
                SectionKind::PrivateKey => key = Some(KeyPair::from_pkcs8(&content)),
                SectionKind::RsaPrivateKey => key = Some(KeyPair::from_der(&content)),
                _ => {}
            }
        }
        let is_encrypted = has_password || pem.windows(9).any(|word| word == b"ENCRYPTED");
        let key = match key {
            Some(Ok(key)) => key,
            Some(Err(error)) => return Err(format!("has a key that cannot be used ({error}); an RSA key is needed")),
            None if is_encrypted => {
                return Err("has an encrypted key; write it without a password, in a file that nobody else may read: \
                            openssl pkcs8 -in FILE -out KEY, and put KEY and the certificate into one file"
                    .to_owned());
            }
            None => {
                return Err(format!("comes without its private key (a section `PRIVATE KEY`); {AS_PEM}"));
            }
        };
        if key.public_modulus_len() * 8 < LEAST_BITS {
            return Err(format!("has a key of {} bits; {LEAST_BITS} are needed", key.public_modulus_len() * 8));
        }
        let modulus = key_modulus(&key);
        let mut parsed = certificates.iter().filter_map(|der| Some((der, der::parse(der)?)));
        // The file may hold the chain, too, in any order.
        let own = parsed.find(|(_, parsed)| modulus.as_deref().is_some_and(|modulus| parsed.holds(modulus)));
        let Some((der, parsed)) = own else {
            return Err(if certificates.is_empty() {
                "is missing: the file holds a key only".to_owned()
            } else {
                "does not belong to the key in the same file".to_owned()
            });
        };
        Ok(Certificate { key, thumbprint: Sha256::digest(der.as_slice()).into(), valid: (parsed.not_before, parsed.not_after) })
    }
}

/// The modulus of a key, as certificates have it.
fn key_modulus(key: &KeyPair) -> Option<Vec<u8>> {
    use aws_lc_rs::signature::KeyPair as _;
    let public: &[u8] = key.public_key().as_ref();
    der::first_integer(public).map(<[u8]>::to_vec)
}

/// A file of secrets as text.
pub(super) fn read_text(file: &Path, most: u64) -> io::Result<SecretString> {
    let mut text = Zeroizing::new(Vec::with_capacity(8 << 10));
    let read = File::open(file)?.take(most + 1).read_to_end(&mut text)?;
    if read as u64 > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {most} bytes")));
    }
    match std::str::from_utf8(&text) {
        Ok(text) => Ok(SecretString::from(text)),
        Err(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "it is no text")),
    }
}
