//! Whether a path can be a lake's, by its characters and by what is around it.
//!
//! A mistyped path must not answer as an empty lake does, nor begin a second lake among the files of one. A lake is known by its
//! tables, whose names are looked up; only the contents of a folder that is no lake are listed.

use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::error::LakeError;
use crate::folders::OWN;
use crate::log::files::LOG;
use crate::tables;
use kqlake_durable::resolved;

/// Folders that are searched for a lake, in the order of their names.
const FOLDERS: usize = 1024;

/// Names that are quicker listed than ninety others looked up.
const SHORT: usize = 256;

/// Where a lake is in a project's folder when no other place is named.
const USUAL: &str = "data/lake";

/// Checks the path of a lake; nothing need be there.
///
/// # Errors
/// [`LakeError::NoLake`] with the reason.
pub(crate) fn check(root: &Path) -> Result<(), LakeError> {
    let refused = |what: String, advice: &str| Err(LakeError::NoLake { path: root.to_owned(), what, advice: advice.to_owned() });
    let Some(text) = root.to_str() else {
        return refused("its path is no Unicode text".to_owned(), "rename the folder, or name another one with --lake");
    };
    if let Some(character) = text.chars().find(|c| c.is_control()) {
        let what = format!("its path holds the control character {}", name_of(character));
        return refused(what, "rename the folder, or name another one with --lake");
    }
    let real = resolved(root);
    if let Some(lake) = lake_of_part(&real) {
        let advice = format!("name the lake itself: --lake {}", lake.display());
        return refused(format!("it is a part of the lake {}", lake.display()), &advice);
    }
    if let Some(lake) = lake_below(&real) {
        let advice = format!("name the lake itself: --lake {}", lake.display());
        return refused(format!("the lake {} lies in it", lake.display()), &advice);
    }
    Ok(())
}

fn name_of(character: char) -> String {
    let code = u32::from(character);
    match character {
        '\t' => format!("tab (U+{code:04X})"),
        '\n' => format!("line feed (U+{code:04X})"),
        '\r' => format!("carriage return (U+{code:04X})"),
        '\u{1b}' => format!("escape (U+{code:04X})"),
        _ => format!("U+{code:04X}"),
    }
}

/// The lake that a folder, or one around it, belongs to: as one of its Delta tables or of its own folders, or as whatever else is
/// in it and is no lake itself.
fn lake_of_part(folder: &Path) -> Option<&Path> {
    // Each folder is looked at once: as the one around another, and then by itself.
    let mut itself = is_lake(folder);
    for (folder, above) in folder.ancestors().zip(folder.ancestors().skip(1)) {
        let around = is_lake(above);
        let name = folder.file_name().and_then(OsStr::to_str).filter(|_| around);
        if name.is_some_and(|name| !itself || OWN.contains(&name) || folder.join(LOG).is_dir()) {
            return Some(above);
        }
        itself = around;
    }
    None
}

/// The lake right below a folder that is none itself: the first one by name, or the one at the usual place.
fn lake_below(folder: &Path) -> Option<PathBuf> {
    let may_be_folder = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| !found.is_file());
    if is_lake(folder) || OWN.iter().any(|own| may_be_folder(&folder.join(own))) {
        return None;
    }
    let below = folders(folder).into_iter().map(|name| folder.join(name));
    below.chain([folder.join(USUAL)]).find(|path| is_lake(path))
}

/// True for a folder with one of the lake's tables, whatever else is in it.
pub(crate) fn is_lake(folder: &Path) -> bool {
    let is_table = |name: &str| folder.join(name).join(LOG).is_dir();
    // A command looks at all folders around its lake: of a short one the listing says which of ninety names are there.
    match short_listing(folder) {
        Some(names) => tables::names().filter(|name| names.contains(&name.to_lowercase())).any(is_table),
        None => folder.is_dir() && tables::names().any(is_table),
    }
}

/// The names in a folder that has few, in small letters, since the case may not count there; `None` for a long one, and for one that
/// cannot be listed, whose parts may be known by their names all the same.
fn short_listing(folder: &Path) -> Option<HashSet<String>> {
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().to_lowercase());
    let names = fs::read_dir(folder).ok()?.take(SHORT + 1).map(name).collect::<io::Result<Vec<String>>>().ok()?;
    (names.len() <= SHORT).then(|| names.into_iter().collect())
}

/// The first names, in order, of what may be visible folders in a folder, none where it cannot be read.
fn folders(folder: &Path) -> impl IntoIterator<Item = OsString> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (name, kind) = (entry.file_name(), entry.file_type());
        if kind.is_ok_and(|kind| !kind.is_file()) && !name.to_string_lossy().starts_with(['.', '_']) {
            names.insert(name);
            if names.len() > FOLDERS {
                names.pop_last();
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_lakes_and_folders_above_them_are_no_lakes() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for folder in ["up/lake/traces/_delta_log", "up/lake/_intents/traces", "up/more", "plain/traces", "_intents"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for part in ["lake/traces", "lake/traces/_delta_log", "lake/traces/new", "lake/_intents/traces", "lake/_quarantine"] {
            let error = check(&at("up").join(part)).unwrap_err().to_string();
            assert!(error.contains("a part of the lake") && error.ends_with("up/lake"), "{part}: {error}");
        }
        let error = check(&at("up")).unwrap_err().to_string();
        assert!(error.contains("up/lake lies in it"), "{error}");
        for lake in ["up/lake", "up/new", "up/more", "plain", "plain/traces", "_intents", ""] {
            assert!(check(&at(lake)).is_ok(), "{lake}: {:?}", check(&at(lake)));
        }
        fs::create_dir_all(at("project/data/lake/traces/_delta_log")).unwrap();
        assert!(check(&at("project")).unwrap_err().to_string().contains("project/data/lake lies in it"));
        assert!(check(&at("project/data/lake/new")).unwrap_err().to_string().contains("a part of the lake"));
        // A lake beside another one's files stays what it is.
        fs::create_dir_all(at("up/users/_delta_log")).unwrap();
        assert!(check(&at("up")).is_err());
        fs::create_dir_all(at("up/traces/_delta_log")).unwrap();
        assert!(check(&at("up")).is_ok());
    }

    #[test]
    fn a_folder_with_any_of_a_lakes_own_folders_is_one_that_has_no_table_yet() {
        let root = tempfile::tempdir().unwrap();
        for own in OWN {
            let lake = root.path().join(own.trim_start_matches('_'));
            fs::create_dir_all(lake.join("data/lake/traces/_delta_log")).unwrap();
            assert!(check(&lake).is_err());
            fs::create_dir(lake.join(own)).unwrap();
            assert!(check(&lake).is_ok(), "{own}: {:?}", check(&lake));
        }
    }

    #[test]
    fn tables_of_others_are_no_lakes() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for folder in ["data/sales/_delta_log", "data/sales/new", "lake/traces/_delta_log", "lake/sales/_delta_log"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for lake in ["data", "data/sales", "data/sales/new", "data/_intents", "data/_quarantine/new"] {
            assert!(check(&at(lake)).is_ok(), "{lake}: {:?}", check(&at(lake)));
        }
        // Beside the lake's own tables it is a part of the lake.
        assert!(check(&at("lake/sales")).unwrap_err().to_string().contains("a part of the lake"));
    }

    #[test]
    fn a_lake_among_many_folders_is_found_by_its_name() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for n in 0..FOLDERS + 100 {
            fs::create_dir(at(&format!("n{n:04}"))).unwrap();
            fs::write(at(&format!("a{n:04}.csv")), "").unwrap();
        }
        for lake in ["n0500-lake", "n0400-lake"] {
            fs::create_dir_all(at(lake).join("traces/_delta_log")).unwrap();
        }
        let error = check(root.path()).unwrap_err().to_string();
        assert!(error.contains("n0400-lake lies in it"), "{error}");
        for (lake, others) in [("n0400-lake", SHORT + 10), ("n0500-lake", 3)] {
            for n in 0..others {
                fs::write(at(lake).join(format!("{n}.csv")), "").unwrap();
            }
            assert!(check(&at(lake)).is_ok());
            assert!(check(&at(lake).join("new")).unwrap_err().to_string().contains("a part of the lake"), "{lake}");
        }
    }

    #[test]
    fn control_characters_are_named() {
        for (path, name) in
            [("a\tb", "tab (U+0009)"), ("x/\nb", "line feed"), ("\r", "carriage return"), ("\u{1b}[2J/l", "escape")]
        {
            let error = check(&Path::new("/none").join(path)).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        assert!(check(Path::new("/none/a b\u{e4}%\\c")).is_ok());
    }
}
