//! What a service, or the way to it, answered instead of what was asked.

use std::time::Duration;

use kqlake_import::SourceError;
use url::Url;

use crate::cloud::Service;

/// Characters of a service's own words that are shown.
const SHOWN: usize = 400;

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or none that lasted; nothing came in time.
    Unreachable,
    /// The body ended too early, cannot be inflated, or is not what its beginning says.
    Broken,
    /// The service said that requests come too fast.
    Throttled,
    /// The service said that it failed, for now.
    Service,
    /// The service refused: asking again gives the same answer.
    Refused,
    /// The token was not taken, and a new one neither.
    Unauthorized,
    /// No token can be obtained: the application, its secret or certificate, or the tenant is wrong.
    Credential,
    /// The body is larger than was allowed.
    TooLarge,
    /// We do not send it: the address is not one that is allowed.
    Forbidden,
}

/// A request that failed, after all tries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{service}: {message}{}{}", code_text(code.as_deref(), message), id_text(request_id.as_deref()))]
pub struct ServiceError {
    /// The service.
    pub service: Service,
    /// What kind of failure it was.
    pub failure: Failure,
    /// The status that it answered with.
    pub status: Option<u16>,
    /// The code that it gave, such as `AF20022`, `invalid_client` or `Authorization_RequestDenied`.
    pub code: Option<String>,
    /// What happened, as a sentence without secrets and without what addresses have behind their paths.
    pub message: String,
    /// The id under which the service has the request in its own logs.
    pub request_id: Option<Box<str>>,
    /// When it wants to be asked again.
    pub retry_after: Option<Duration>,
    /// How it wants to be shown who asks, of an answer that says that nothing did.
    pub challenge: Option<Box<str>>,
    /// When it answered, in seconds since 1970 by its own clock.
    pub date: Option<i64>,
}

fn code_text(code: Option<&str>, message: &str) -> String {
    code.filter(|code| !message.contains(code)).map(|code| format!(" ({code})")).unwrap_or_default()
}

fn id_text(id: Option<&str>) -> String {
    id.map(|id| format!(" [request {id}]")).unwrap_or_default()
}

impl ServiceError {
    /// A failure that no answer of the service says.
    pub fn new(service: Service, failure: Failure, message: impl Into<String>) -> Self {
        let message = shown(&message.into());
        let (status, code, request_id, retry_after, challenge, date) = Default::default();
        ServiceError { service, failure, status, code, message, request_id, retry_after, challenge, date }
    }

    /// True when asking again, later, may go well.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.failure, Failure::Unreachable | Failure::Broken | Failure::Throttled | Failure::Service)
    }

    /// True when the service gave this code, whatever its case.
    pub(crate) fn is_code(&self, code: &str) -> bool {
        self.code.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(code))
    }

    /// The error of a source for what is gone for good.
    pub fn gone(self) -> SourceError {
        SourceError { gone: true, ..SourceError::from(self) }
    }
}

impl From<ServiceError> for SourceError {
    fn from(error: ServiceError) -> Self {
        SourceError { status: error.status, ..SourceError::for_now(error.to_string()) }
    }
}

/// An address as messages show it: what follows the path may hold a permission.
pub(crate) fn place(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    shown(&format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path()))
}

/// A text of a service as messages show it: in one line, and not too long.
pub(crate) fn shown(text: &str) -> String {
    let plain: String = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).fold(
        String::new(),
        |mut line, word| {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
            line
        },
    );
    match plain.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &plain[..at]),
        None => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_and_where_in_one_line() {
        let mut error = ServiceError::new(Service::Graph, Failure::Refused, "no\r\n  access\u{1b}[0m");
        error.code = Some("accessDenied".into());
        error.request_id = Some("id-1".into());
        error.status = Some(403);
        assert_eq!(error.to_string(), "Microsoft Graph: no access [0m (accessDenied) [request id-1]");
        assert_eq!(SourceError::from(error.clone()).status, Some(403));
        assert!(!SourceError::from(error.clone()).gone && error.clone().gone().gone);
        assert!(error.is_code("ACCESSDENIED") && !error.is_transient());
        assert_eq!(shown(&"a".repeat(1000)).chars().count(), SHOWN + 1);
    }
}
