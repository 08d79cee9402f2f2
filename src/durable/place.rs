//! Where a path is: in a folder or above it, whichever way leads there, and what blocks it.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use super::target::resolved;

/// Entries of a folder that are examined.
const ENTRIES: usize = 1_000;

/// What distinguishes a folder from every other, whatever its path: the file system and the number of the folder there.
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(found: &Metadata) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    Some((found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn identity(_found: &Metadata) -> Option<Identity> {
    None
}

fn identity_of(folder: &Path) -> Option<Identity> {
    fs::metadata(folder).ok().as_ref().and_then(identity)
}

/// The path without links and `..`, by the system where it exists.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| resolved(path))
}

/// A folder that nothing else may be read from or written to. A path into it is known by its name, and by the
/// identities of the folder and of those right below it: a mount can give each of them a second path.
#[derive(Debug)]
pub struct ReservedFolder {
    real: PathBuf,
    own: Option<Identity>,
    below: HashSet<Identity>,
}

impl ReservedFolder {
    /// The folder at a path, which need not exist.
    pub fn new(folder: &Path) -> ReservedFolder {
        let real = real(folder);
        let entries = fs::read_dir(&real).into_iter().flatten().flatten().take(ENTRIES).map(|entry| entry.path());
        let below = entries.filter(|path| path.is_dir()).filter_map(|path| identity_of(&path)).collect();
        ReservedFolder { own: identity_of(&real), real, below }
    }

    /// True for a path to the folder itself.
    pub fn is(&self, path: &Path) -> bool {
        let real = real(path);
        real == self.real || (self.own.is_some() && identity_of(&real) == self.own)
    }

    /// True for a path to the folder or to something in it, existing or not.
    pub fn contains(&self, path: &Path) -> bool {
        let real = real(path);
        let ours = |id: Identity| Some(id) == self.own || self.below.contains(&id);
        real.starts_with(&self.real) || real.ancestors().filter_map(identity_of).any(ours)
    }

    /// True for a path to a folder that the folder is in.
    pub fn lies_in(&self, path: &Path) -> bool {
        let real = real(path);
        let id = identity_of(&real);
        self.real.starts_with(&real) || (id.is_some() && self.real.ancestors().any(|above| identity_of(above) == id))
    }
}

/// What keeps a folder from being made: a file, a pipe or a dangling link that has its name, or the name of a folder above it.
pub fn obstacle(folder: &Path) -> Option<&Path> {
    let nearest = folder.ancestors().find(|path| fs::symlink_metadata(path).is_ok())?;
    (!nearest.is_dir()).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_known_by_name_and_by_identity() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for folder in ["a/lake/traces/day", "a/other", "b"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        let lake = ReservedFolder::new(&at("a/lake"));
        for (path, is, contains, above) in [
            ("a/lake", true, true, true),
            ("a/other/../lake", true, true, true),
            ("a/lake/traces/day/none", false, true, false),
            ("a/lake/none", false, true, false),
            ("a", false, false, true),
            ("a/other", false, false, false),
            ("a/lake2", false, false, false),
        ] {
            let path = at(path);
            assert_eq!((lake.is(&path), lake.contains(&path), lake.lies_in(&path)), (is, contains, above), "{path:?}");
        }
        // What a mount does: another path to the same folders.
        let mounted = ReservedFolder { real: at("nowhere"), ..ReservedFolder::new(&at("a/lake")) };
        assert_eq!(mounted.is(&at("a/lake")), cfg!(unix));
        assert_eq!(mounted.contains(&at("a/lake/none/deeper")), cfg!(unix));
        let of_table = ReservedFolder { real: at("nowhere"), own: None, ..ReservedFolder::new(&at("a/lake")) };
        assert_eq!(of_table.contains(&at("a/lake/traces/day")), cfg!(unix));
        assert!(!mounted.contains(&at("a/other")) && !of_table.contains(&at("a/lake/none")));
        let above = ReservedFolder { real: at("a/lake"), ..ReservedFolder::new(&at("none")) };
        assert!(above.lies_in(&at("a")) && !above.lies_in(&at("b")));
    }

    #[test]
    fn what_stands_in_the_way_of_a_folder_is_named() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::write(at("file"), "").unwrap();
        assert_eq!(obstacle(&at("file/x/y")), Some(at("file").as_path()));
        assert_eq!(obstacle(&at("file")), Some(at("file").as_path()));
        assert_eq!(obstacle(&at("none/x")), None);
        assert_eq!(obstacle(root.path()), None);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("gone"), at("link")).unwrap();
            assert_eq!(obstacle(&at("link/x")), Some(at("link").as_path()));
        }
    }
}
