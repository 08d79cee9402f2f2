//! Names of saved queries as names of files: of their own, and of the files that an export makes of them.

use std::collections::BTreeMap;

/// The file of an export that describes it, which no table's folder may be called.
pub(crate) const MANIFEST: &str = "datapackage.json";

/// Why nothing can be exported under a name: its files would lie elsewhere or be hidden.
pub(crate) fn refusal(name: &str) -> Option<&'static str> {
    if matches!(name, "" | "." | "..") {
        return Some("it names a folder and no file");
    }
    if name.starts_with('.') {
        return Some("files whose names begin with a dot are hidden");
    }
    if name.contains(std::path::is_separator) || name.contains('\0') {
        return Some("it names a file in another folder");
    }
    name.eq_ignore_ascii_case(MANIFEST).then_some("an export's description is called so")
}

/// What is to be said of names that exist here and clash on other systems, one sentence each.
pub(crate) fn warnings<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<String> {
    let mut found = Vec::new();
    let mut same: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in names {
        if let Some(why) = refused_by_windows(name) {
            found.push(format!("the name `{name}` {why}: its files cannot be copied to Windows"));
        }
        let alike = same.entry(name.to_lowercase()).or_default();
        if !alike.contains(&name) {
            alike.push(name);
        }
    }
    for alike in same.values().filter(|alike| alike.len() > 1) {
        let names: Vec<String> = alike.iter().map(|name| format!("`{name}`")).collect();
        found.push(format!("the names {} differ only by case: one replaces the other on Windows and macOS", names.join(" and ")));
    }
    found
}

/// What Windows does not allow in a name ("Naming Files, Paths, and Namespaces").
fn refused_by_windows(name: &str) -> Option<&'static str> {
    const DEVICES: &[&str] = &["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT")).map(|rest| rest.chars());
    let is_port =
        number.is_some_and(|mut rest| matches!(rest.next(), Some('0'..='9' | '¹' | '²' | '³')) && rest.next().is_none());
    if is_port || DEVICES.contains(&stem.as_str()) {
        return Some("is a device's");
    }
    if name.ends_with(['.', ' ']) {
        return Some("ends with a dot or a blank");
    }
    name.contains(|c: char| c.is_control() || r#"<>:"/\|?*"#.contains(c)).then_some("holds a character that names cannot have")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_folder_or_hide_are_refused() {
        for name in ["", ".", "..", ".hidden", "...", "../x", "a/b", "a\0b", "datapackage.json", "DataPackage.JSON"] {
            assert!(refusal(name).is_some(), "{name}");
        }
        for name in ["a", "a.b", "a..", "CON", "datapackage", "ö b", "-x"] {
            assert_eq!(refusal(name), None, "{name}");
        }
    }

    #[test]
    fn names_that_clash_elsewhere_are_warned_of() {
        for name in ["CON", "con", "nul.2026", "Com1", "LPT².x", "AUX ", "x.", "x ", "a:b", "a\nb", "a\\b", "conin$"] {
            assert_eq!(warnings([name]).len(), 1, "{name}");
        }
        assert!(warnings(["CONTOSO", "COM", "COM10", "nullable", "a", "b", "b", "call-overview"]).is_empty());
        let said = warnings(["Users", "a", "users", "USERS"]);
        assert_eq!(
            said,
            ["the names `Users` and `users` and `USERS` differ only by case: one replaces the other on Windows and macOS"]
        );
    }
}
