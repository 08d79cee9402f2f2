//! What is wrong in the configuration file: all of it, not only what is met first.

use crate::error::Error;

/// One mistake in the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file and line: `kqlake.toml:12`.
    pub place: String,
    /// The key with the tables that it is in: `tenants.contoso.client_id`; empty where it is about the file.
    pub key: String,
    /// What was found and expected. A secret is never part of it.
    pub message: String,
    /// What to do.
    pub solution: String,
    /// The same mistake under the number and in the words that the message-trace collector's operators know.
    pub known_as: Option<String>,
}

impl Problem {
    /// The mistake as one sentence with its place.
    pub fn line(&self) -> String {
        let known = self.known_as.as_deref().map(|text| format!(" ({text})")).unwrap_or_default();
        format!("{}: {}{known}", self.place, self.message)
    }

    /// The error that ends a command; `more` others were found.
    pub(super) fn error(&self, more: usize) -> Error {
        let hint = match more {
            0 => self.solution.clone(),
            1 => format!("{}; there is 1 more mistake, `kqlake doctor` names all", self.solution),
            _ => format!("{}; there are {more} more mistakes, `kqlake doctor` names all", self.solution),
        };
        Error::usage(self.line()).hint(hint)
    }
}

/// In which way a value is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mistake {
    /// It is not there, or empty.
    Missing,
    /// It is of another type.
    Type,
    /// It lies outside of its range.
    Range,
}

/// The number and message that the Office 365 message tracing collector has for a mistake in the setting of the same meaning.
/// `key` is the key with its table, without the tenant: `message_trace.override_time_delay_in_seconds`.
pub(super) fn known_as(key: &str, mistake: Mistake, range: Option<(i64, i64)>) -> Option<String> {
    let (missing, wrong, name) = match key {
        "" => (0, 1, "credentials section"),
        "id" => (2, 3, "tenant_id"),
        "hosts.login" => (2, 3, "base_auth_url"),
        "hosts.reporting" => (8, 9, "base_url"),
        "client_id" => (4, 5, "client_id"),
        "client_secret" => (4, 5, "client_secret"),
        "message_trace.reset_persistence_auth" => (18, 18, "reset_persistence_auth"),
        "message_trace.override_time_delay_in_seconds" => (19, 19, "override_time_delay_in_seconds"),
        _ => return None,
    };
    let text = match (mistake, wrong, range) {
        (Mistake::Type, 18, _) => format!("18: Optional setting: <{name}> not of expected type: str"),
        (Mistake::Type, 19, _) => format!("19: Optional setting: <{name}> not of expected type: int"),
        (Mistake::Range, 19, Some((least, most))) => format!(
            "20: Optional setting: <{name}> is out of range ({least} to \
            {most})"
        ),
        (Mistake::Missing, 0..=9, _) => {
            let verb = if key.is_empty() { "does not exist" } else { "doesn't exist" };
            format!("{missing}: {name} {verb} on the configuration file or is empty")
        }
        (Mistake::Type, 1, _) => format!("1: {name} is not a valid <dict> object"),
        (Mistake::Type, 3..=9, _) => format!("{wrong}: {name} must be an string"),
        _ => return None,
    };
    Some(format!("InitVariablesError {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_have_the_numbers_of_the_collector() {
        let known = |key, mistake| known_as(key, mistake, Some((1, 90_000))).unwrap_or_default();
        assert_eq!(
            known("id", Mistake::Missing),
            "InitVariablesError 2: tenant_id doesn't exist on the configuration file or is empty"
        );
        assert_eq!(known("client_secret", Mistake::Type), "InitVariablesError 5: client_secret must be an string");
        assert_eq!(
            known("message_trace.override_time_delay_in_seconds", Mistake::Range),
            "InitVariablesError 20: Optional setting: <override_time_delay_in_seconds> is out of range (1 to 90000)"
        );
        assert_eq!(
            known("message_trace.reset_persistence_auth", Mistake::Type),
            "InitVariablesError 18: Optional setting: <reset_persistence_auth> not of expected type: str"
        );
        assert_eq!(known("", Mistake::Type), "InitVariablesError 1: credentials section is not a valid <dict> object");
        assert_eq!(known("audit.org_urls", Mistake::Missing), "");
    }
}
