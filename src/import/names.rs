//! Names of units.

use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, percent_decode_str, percent_encode};

/// What the name of a file that is no text begins with. Paths of units are absolute, so none begins so.
const URI: &str = "file://";
/// Beside what is no ASCII.
const ENCODED: &AsciiSet = &AsciiSet::EMPTY.add(b'%');

/// The name of the unit that is the file at an absolute path: the path, and of a path that is no text the `file:` URI (RFC 8089),
/// so that every path has a name of its own. [`unit_path`] is its inverse.
pub fn unit_name(path: &Path) -> String {
    match path.to_str() {
        Some(text) => text.to_owned(),
        None => format!("{URI}{}", percent_encode(path.as_os_str().as_encoded_bytes(), ENCODED)),
    }
}

/// The path of the file that has this name.
pub fn unit_path(name: &str) -> PathBuf {
    match name.strip_prefix(URI) {
        Some(encoded) => path_of(percent_decode_str(encoded).collect()),
        None => PathBuf::from(name),
    }
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// The names that a unit may have been listed under, the longest first: its own and, since `!` is between an archive's name
/// and an entry's, what is before each. Files and folders may have the sign in their names, too, so which of them it was is
/// for the user of the files.
pub fn listed_names(unit: &str) -> impl Iterator<Item = &str> {
    std::iter::once(unit).chain(unit.rmatch_indices('!').map(|(at, _)| &unit[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn paths_that_are_no_text_have_names_that_lead_back_to_them() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = |bytes: &'static [u8]| Path::new(std::ffi::OsStr::from_bytes(bytes));
        for bytes in
            [&b"/in/a b%20.json"[..], "/in/f\u{fc}r.json".as_bytes(), b"/in/\xff.json", b"/in/\xfe.json", b"/in/%ff\xff!\n.zip"]
        {
            assert_eq!(unit_path(&unit_name(path(bytes))), path(bytes));
        }
        assert_eq!(unit_name(path("/in/f\u{fc}r%.json".as_bytes())), "/in/f\u{fc}r%.json");
        assert_eq!(unit_name(path(b"/in/x%\xff.json")), "file:///in/x%25%FF.json");
    }

    #[test]
    fn a_unit_is_an_entry_of_what_stands_before_any_of_the_signs() {
        let names = |unit| listed_names(unit).collect::<Vec<_>>();
        assert_eq!(names("in/a.json"), ["in/a.json"]);
        assert_eq!(names("Yes!/a.zip!b!.json"), ["Yes!/a.zip!b!.json", "Yes!/a.zip!b", "Yes!/a.zip", "Yes"]);
    }
}
