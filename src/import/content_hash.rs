//! The hash of a unit's content, by which it is known when it comes again.
//!
//! It is compared with that of a unit of the same name alone, so it need not withstand anybody: xxh3 of 128 bits takes a sixth of the
//! time of SHA-256, which earlier versions took. A unit that is in the ledger with a hash of one form is hashed in that form again.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};

use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh3::Xxh3;

use kqlake_value::format::hex;

/// What stands before the digits of a hash by xxh3. One by SHA-256 is its 64 digits alone.
const XXH3: &str = "xxh3:";
/// Bytes that are read at a time.
const READ_BYTES: usize = 256 * 1024;

/// How contents are hashed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum HashForm {
    /// By xxh3 of 128 bits.
    #[default]
    Xxh3,
    /// By SHA-256.
    Sha256,
}

impl HashForm {
    /// The form of a hash as the ledger has it; of no hash, that of new ones.
    pub(crate) fn of(hash: &str) -> Self {
        if hash.is_empty() || hash.starts_with(XXH3) { HashForm::Xxh3 } else { HashForm::Sha256 }
    }
}

/// Hashes a content as it comes.
pub(crate) enum ContentHasher {
    Xxh3(Box<Xxh3>),
    Sha256(Sha256),
}

impl ContentHasher {
    /// A hasher of nothing yet.
    pub(crate) fn new(form: HashForm) -> Self {
        match form {
            HashForm::Xxh3 => ContentHasher::Xxh3(Box::default()),
            HashForm::Sha256 => ContentHasher::Sha256(Sha256::new()),
        }
    }

    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            ContentHasher::Xxh3(hasher) => hasher.update(bytes),
            ContentHasher::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// The hash of all bytes, as the ledger has it.
    pub(crate) fn finish(self) -> String {
        match self {
            ContentHasher::Xxh3(hasher) => format!("{XXH3}{:032x}", hasher.digest128()),
            ContentHasher::Sha256(hasher) => hex(&hasher.finalize()),
        }
    }
}

/// The hash of a whole file, whose position is at its beginning afterwards.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn hash_of(file: &File, form: HashForm) -> io::Result<String> {
    let mut file = file;
    file.rewind()?;
    let mut hasher = ContentHasher::new(form);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    file.rewind()?;
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn hashes_are_those_that_ledgers_hold() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        let both = [HashForm::Xxh3, HashForm::Sha256].map(|form| hash_of(&file, form).unwrap());
        // Those of the descriptions of both.
        assert_eq!(
            both.each_ref().map(String::as_str),
            ["xxh3:06b05ab6733a618578af5f94892f3950", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]
        );
        assert_eq!(both.each_ref().map(|hash| HashForm::of(hash)), [HashForm::Xxh3, HashForm::Sha256]);
        assert_eq!(HashForm::of(""), HashForm::Xxh3);
        for form in [HashForm::Xxh3, HashForm::Sha256] {
            let mut hasher = ContentHasher::new(form);
            (0..1000_u32).for_each(|n| hasher.update(&n.to_le_bytes()[..(n % 5) as usize]));
            let mut whole = ContentHasher::new(form);
            whole.update(&(0..1000_u32).flat_map(|n| n.to_le_bytes()[..(n % 5) as usize].to_vec()).collect::<Vec<u8>>());
            assert_eq!(hasher.finish(), whole.finish());
        }
    }
}
