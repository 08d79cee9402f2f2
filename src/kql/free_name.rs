//! Names that no other column has.

/// The name itself where it is free, else the first that is with a number behind it.
pub(crate) fn free_name(name: &str, taken: impl Fn(&str) -> bool) -> String {
    if taken(name) { numbered_name(name, taken) } else { name.to_owned() }
}

/// The first name that is free with a number behind it: `name1`, `name2`, …
pub(crate) fn numbered_name(name: &str, taken: impl Fn(&str) -> bool) -> String {
    (1..).map(|n: u64| format!("{name}{n}")).find(|n| !taken(n)).unwrap_or_default()
}
