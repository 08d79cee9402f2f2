//! Whether a path can be a lake's, by its characters and by what lies around it.
//!
//! A mistyped path must not answer as an empty lake does, nor begin a second lake among the files of one. A few names are
//! looked at, never the content of a big folder.

use std::path::{Path, PathBuf};

use crate::error::LakeError;
use crate::log::files::LOG;
use crate::tables;
use kqlake_durable::resolved;

/// Entries of a folder that are looked at.
const ENTRIES: usize = 256;
/// The lake's own folders beside its tables.
const OWN: [&str; 2] = ["_intents", "_quarantine"];

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
    if let Some(lake) = real.ancestors().find_map(lake_of_part) {
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

/// The lake that a folder belongs to as one of its tables or of its own folders.
fn lake_of_part(folder: &Path) -> Option<&Path> {
    let above = folder.parent()?;
    let name = folder.file_name()?.to_str()?;
    (folder.join(LOG).is_dir() || (OWN.contains(&name) && is_lake(above))).then_some(above)
}

/// The lake right below a folder that is none itself.
fn lake_below(folder: &Path) -> Option<PathBuf> {
    let below = entries(folder);
    if below.iter().any(|(name, path)| OWN.contains(&name.as_str()) || is_table(name, path)) {
        return None;
    }
    below.into_iter().find(|(name, path)| !name.starts_with(['.', '_']) && is_lake(path)).map(|(_, path)| path)
}

fn is_lake(folder: &Path) -> bool {
    entries(folder).iter().any(|(name, path)| is_table(name, path))
}

fn is_table(name: &str, path: &Path) -> bool {
    tables::find(name).is_some() && path.join(LOG).is_dir()
}

/// Some entries of a folder that may be folders, none where it cannot be read.
fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let found = std::fs::read_dir(folder).into_iter().flatten().flatten().take(ENTRIES);
    let folders = found.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_file()));
    folders.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        // A lake beside another one's files stays what it is.
        fs::create_dir_all(at("up/users/_delta_log")).unwrap();
        assert!(check(&at("up")).is_err());
        fs::create_dir_all(at("up/traces/_delta_log")).unwrap();
        assert!(check(&at("up")).is_ok());
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
