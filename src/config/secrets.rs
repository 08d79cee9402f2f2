//! Where secrets are kept: never in the configuration file, which only says where.
//!
//! A secret is read when a service is about to be asked, so that commands that ask none need none.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::error::{Error, Result};
use kqlake_durable::pipe;
use kqlake_value::encoding::decoded;

/// Bytes that a secret may have.
const MAX_SECRET: u64 = 64 << 10;

/// A place that a secret is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A variable of the environment.
    Environment(String),
    /// A file that only its owner may read.
    File(PathBuf),
    /// A credential that the service manager hands over: a file in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

impl SecretSource {
    /// Reads the secret. A line end at the end of a file is no part of it.
    ///
    /// # Errors
    /// It is not there, empty, no text, too long, or others than the owner may read the file. The secret is in no message.
    pub fn read(&self, env: &dyn Fn(&str) -> Option<OsString>) -> Result<SecretString> {
        let bytes = match self {
            SecretSource::Environment(name) => {
                let value = env(name).ok_or_else(|| {
                    Error::usage(format!("the variable {name} is not set in the environment"))
                        .hint(format!("set it before kqlake runs, as with `export {name}`; a service needs it, too"))
                })?;
                value.into_encoded_bytes()
            }
            SecretSource::File(_) | SecretSource::Credential(_) => read_file(&self.file(env)?)?,
        };
        let refused = |what: &str| Error::usage(format!("the secret in {self} {what}")).hint("write it again, as it was given");
        let text = decoded(bytes).map_err(|err| refused(&format!("is no text: {err}")).hint("write it again in UTF-8"))?;
        let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
        if text.is_empty() {
            return Err(refused("is empty"));
        }
        if text.chars().any(char::is_control) {
            return Err(refused("has more than one line or holds control characters"));
        }
        Ok(SecretString::from(text))
    }

    /// The file that holds it, of one that is in a file, when nobody but its owner may read it.
    ///
    /// # Errors
    /// It is in no file, or there is no folder of credentials, or others may read the file.
    pub fn file(&self, env: &dyn Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
        match self {
            SecretSource::Environment(name) => Err(Error::usage(format!("{name} names a variable, a file was expected"))),
            SecretSource::File(path) => {
                let file = open(path)?;
                check_mode(path, &file)?;
                Ok(path.clone())
            }
            SecretSource::Credential(name) => match env("CREDENTIALS_DIRECTORY") {
                Some(folder) if !folder.is_empty() => {
                    let path = Path::new(&folder).join(name);
                    open(&path)?;
                    Ok(path)
                }
                _ => Err(Error::usage(format!("there is no credential {name}: CREDENTIALS_DIRECTORY is not set"))
                    .hint(format!("systemd sets it where the unit says `LoadCredential={name}:/path/to/the/secret`"))),
            },
        }
    }
}

impl std::fmt::Display for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SecretSource::Environment(name) => write!(f, "the variable {name}"),
            SecretSource::File(path) => write!(f, "the file {}", path.display()),
            SecretSource::Credential(name) => write!(f, "the credential {name}"),
        }
    }
}

fn open(path: &Path) -> Result<File> {
    let failed = |reason: String| {
        Error::usage(format!("cannot read the secret in the file {}: {reason}", path.display()))
            .hint("check that the file is there and that kqlake's user owns it")
    };
    if path.is_dir() {
        return Err(failed("it is a folder".to_owned()));
    }
    pipe::read(path).map_err(|err| failed(err.to_string()))
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let failed = |reason: String| Error::usage(format!("cannot read the secret in the file {}: {reason}", path.display()));
    open(path)?.take(MAX_SECRET + 1).read_to_end(&mut bytes).map_err(|err| failed(err.to_string()))?;
    if bytes.len() as u64 > MAX_SECRET {
        return Err(failed(format!("it has more than {MAX_SECRET} bytes")));
    }
    Ok(bytes)
}

/// Refuses a file that others than its owner may read, as it was opened.
#[cfg(unix)]
fn check_mode(path: &Path, file: &File) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = file.metadata().map_err(|err| Error::usage(format!("cannot look at {}: {err}", path.display())))?;
    let mode = metadata.permissions().mode() & 0o7777;
    // A pipe is read once, by whoever opened it.
    if metadata.is_file() && mode & 0o077 != 0 {
        return Err(Error::usage(format!("{} has the mode {mode:04o}: others than its owner may use it", path.display()))
            .hint(format!("a file with a secret has the mode 0600: chmod 600 {}", path.display())));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_path: &Path, _file: &File) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn none(_: &str) -> Option<OsString> {
        None
    }

    #[test]
    fn secrets_come_from_the_environment_or_a_file() {
        let env = |name: &str| (name == "A").then(|| OsString::from("canary"));
        assert_eq!(SecretSource::Environment("A".into()).read(&env).unwrap().expose_secret(), "canary");
        let err = SecretSource::Environment("B".into()).read(&env).unwrap_err();
        assert!(err.status() == 2 && err.to_string().contains("variable B"), "{err}");

        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("one"), "canary\r\n").unwrap();
        let folder = dir.path().as_os_str().to_owned();
        let env = move |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| folder.clone());
        assert_eq!(SecretSource::Credential("one".into()).read(&env).unwrap().expose_secret(), "canary");
        let err = SecretSource::Credential("one".into()).read(&none).unwrap_err();
        assert!(err.advice().is_some_and(|advice| advice.contains("LoadCredential=one:")), "{err}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "canary").unwrap();
        let source = SecretSource::File(path.clone());
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false), (0o666, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let read = source.read(&none);
            assert_eq!(read.is_ok(), good, "{mode:o}");
            assert_eq!(source.file(&none).is_ok(), good, "{mode:o}");
            if let Err(err) = read {
                let text = format!("{err}{:?}{err:?}", err.advice());
                assert!(text.contains("chmod 600") && !text.contains("canary"), "{text}");
            }
        }
    }

    #[test]
    fn a_secret_is_one_line_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        for wrong in [b"".as_slice(), b"\n", b"canary\ncanary\n", b"canary\xff", &[b'c'; (64 << 10) + 1]] {
            std::fs::write(dir.path().join("one"), wrong).unwrap();
            let folder = dir.path().as_os_str().to_owned();
            let err = SecretSource::Credential("one".into()).read(&move |_: &str| Some(folder.clone())).unwrap_err();
            assert!(err.status() == 2 && !format!("{err:?}").contains("canary"), "{err:?}");
        }
    }
}
