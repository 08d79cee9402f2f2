//! What is asked of a service.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;

use super::error::place;

/// Bytes that the body of an answer may have when nothing else is said.
const CAP: u64 = 64 << 20;
/// How long the beginning of an answer is waited for when nothing else is said.
const PATIENCE: Duration = Duration::from_secs(100);

/// What goes with a request to show who asks.
#[derive(Debug, Clone, Default)]
pub(crate) enum Auth {
    /// A token of the tenant's application.
    #[default]
    Bearer,
    /// Nothing.
    Anonymous,
    /// A header with a key.
    Key(HeaderName, HeaderValue),
}

/// A request.
#[derive(Clone)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    pub(crate) auth: Auth,
    pub(crate) cap: u64,
    pub(crate) patience: Duration,
    /// Whether a failure that may pass is tried again.
    pub(crate) again: bool,
}

/// Neither headers nor bodies nor what follows the path are shown: they may hold secrets.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method, place(&self.url))
    }
}

impl Request {
    fn new(method: Method, url: Url) -> Self {
        Request {
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
            auth: Auth::Bearer,
            cap: CAP,
            patience: PATIENCE,
            again: true,
        }
    }

    /// Asks for what an address has.
    pub fn get(url: Url) -> Self {
        Request::new(Method::GET, url)
    }

    /// Posts nothing.
    pub fn post(url: Url) -> Self {
        // Services want to see that there is nothing.
        Request { body: Some(Bytes::new()), ..Request::new(Method::POST, url) }.header("content-length", "0")
    }

    /// Posts JSON.
    pub fn post_json(url: Url, value: &Value) -> Self {
        Request::new(Method::POST, url).json(value)
    }

    /// Changes something by JSON.
    pub(crate) fn patch_json(url: Url, value: &Value) -> Self {
        Request::new(Method::PATCH, url).json(value)
    }

    /// Deletes what an address has.
    pub fn delete(url: Url) -> Self {
        Request::new(Method::DELETE, url)
    }

    fn json(self, value: &Value) -> Self {
        Request { body: Some(Bytes::from(value.to_string())), ..self }.header("content-type", "application/json")
    }

    /// Posts a form that is encoded already; it may hold secrets.
    pub(crate) fn post_form(url: Url, form: &SecretString) -> Self {
        let mut request = Request::new(Method::POST, url);
        request.body = Some(Bytes::copy_from_slice(form.expose_secret().as_bytes()));
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        request
    }

    /// With a header; one whose name or value no header may have is left out.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Without a token: for addresses that hold their permission themselves.
    #[must_use]
    pub fn anonymous(self) -> Self {
        Request { auth: Auth::Anonymous, ..self }
    }

    /// With a key in a header instead of a token.
    #[must_use]
    pub fn key(self, name: &str, key: &SecretString) -> Self {
        match (HeaderName::try_from(name), HeaderValue::try_from(key.expose_secret())) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                Request { auth: Auth::Key(name, value), ..self }
            }
            // The service says then that it misses the key.
            _ => self.anonymous(),
        }
    }

    /// Bytes that the answer's body may have, inflated.
    #[must_use]
    pub fn cap(self, bytes: u64) -> Self {
        Request { cap: bytes, ..self }
    }

    /// How long the beginning of the answer is waited for.
    #[must_use]
    pub fn patience(self, time: Duration) -> Self {
        Request { patience: time, ..self }
    }

    /// Tried once only: for what must not be done twice.
    #[must_use]
    pub fn once(self) -> Self {
        Request { again: false, ..self }
    }

    /// The address.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

/// What stands for itself in a part of a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*');

/// A text as one part of a path.
pub(crate) fn path_part(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// Hosts that tokens and keys may be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origins(Vec<url::Origin>);

impl Origins {
    /// The hosts of addresses, each with its scheme and port.
    pub(crate) fn of<'u>(urls: impl IntoIterator<Item = &'u Url>) -> Self {
        Origins(urls.into_iter().map(Url::origin).filter(url::Origin::is_tuple).collect())
    }

    /// True when one of them is an address's.
    pub(crate) fn allow(&self, url: &Url) -> bool {
        url.username().is_empty() && url.password().is_none() && self.0.contains(&url.origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_to_the_very_host_only() {
        let url = |text: &str| Url::parse(text).unwrap();
        let origins = Origins::of([&url("https://graph.microsoft.com/v1.0")]);
        assert!(origins.allow(&url("https://graph.microsoft.com/beta?x=1")));
        for other in [
            "http://graph.microsoft.com/v1.0",
            "https://graph.microsoft.com:8443/",
            "https://graph.microsoft.com.evil.com/",
            "https://evil.com/graph.microsoft.com",
            "https://a:b@graph.microsoft.com/",
            "https://graph.microsoft.com@evil.com/",
            "data:text/plain,x",
        ] {
            assert!(!origins.allow(&url(other)), "{other}");
        }
    }

    #[test]
    fn a_text_is_one_part_of_a_path_whatever_is_in_it() {
        assert_eq!(path_part("19:a b/c?d+e@thread.tacv2"), "19%3Aa%20b%2Fc%3Fd%2Be%40thread.tacv2");
    }

    #[test]
    fn requests_show_no_secrets() {
        let form = SecretString::from("client_secret=canary");
        let request = Request::post_form(Url::parse("https://a/b?sig=canary").unwrap(), &form);
        let request = request.key("x-api-key", &form).header("authorization", "canary");
        let shown = format!("{request:?}");
        assert!(!shown.contains("canary") && shown.contains("POST https://a/b"), "{shown}");
    }
}
