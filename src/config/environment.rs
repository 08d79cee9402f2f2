//! The environment: the one place that reads it.

use std::ffi::{OsStr, OsString};

use crate::error::{Error, Result};
use kqlake_syntax::suggest::nearest;

/// Variables of the environment that are read.
pub(super) const VARIABLES: &[&str] = &[
    "KQLAKE_CONFIG",
    "KQLAKE_LAKE",
    "KQLAKE_EXPORT",
    "KQLAKE_MEMORY_LIMIT",
    "KQLAKE_TIMEOUT",
    "KQLAKE_THREADS",
    "KQLAKE_SPILL_DIR",
    "KQLAKE_IMPORT_JOB_SETTINGS",
    "KQLAKE_LOG",
    "KQLAKE_NOW",
];

/// A variable of the process's environment that is not ours; empty counts as not set, as others have it.
#[expect(clippy::disallowed_methods, reason = "here the environment comes in")]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// One of our variables of the process's environment, as it is.
#[expect(clippy::disallowed_methods, reason = "here the environment comes in")]
pub(crate) fn variable_as_it_is(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The text of one of our variables of the process's environment.
///
/// # Errors
/// It is set and empty, or no text.
pub(crate) fn variable(name: &str) -> Result<Option<String>> {
    filled(name, variable_as_it_is(name))?.map(|value| text_of(name, value)).transpose()
}

/// Refuses variables of the process's environment that are most likely meant to be one of ours.
///
/// # Errors
/// There is one whose name is nearly, but not quite, one that is read.
#[expect(clippy::disallowed_methods, reason = "here the environment comes in")]
pub(crate) fn check_names() -> Result<()> {
    std::env::vars_os().try_for_each(|(name, _)| check_name(&name))
}

pub(super) fn check_name(name: &OsStr) -> Result<()> {
    let Some(name) = name.to_str().filter(|name| name.starts_with("KQLAKE_") && !VARIABLES.contains(name)) else {
        return Ok(());
    };
    match nearest(name, VARIABLES.iter().copied()) {
        Some(known) => Err(Error::usage(format!("the environment has {name}, which is not read"))
            .hint(format!("did you mean {known}? If not, unset it"))),
        None => Ok(()),
    }
}

/// The value of one of our variables, which may not be empty.
pub(super) fn filled(name: &str, value: Option<OsString>) -> Result<Option<OsString>> {
    if value.as_ref().is_some_and(|value| value.is_empty()) {
        return Err(Error::usage(format!("{name} is set in the environment, but empty")).hint("give it a value, or unset it"));
    }
    Ok(value)
}

/// The same as a text.
pub(super) fn text_of(name: &str, value: OsString) -> Result<String> {
    value.into_string().map_err(|value| Error::usage(format!("{name} is `{}`, which is not UTF-8", value.display())))
}
