//! Sends one request once, with a token or a key to allowed hosts only, and follows redirects without them.

use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::body::{BodyError, Reading, root_cause};
use super::error::{Failure, ServiceError, place, shown};
use super::request::{Auth, Origins, Request};
use super::retry::{date_of, retry_after};
use crate::cloud::{Service, check_host, is_loopback};
use crate::pace::Pace;

/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(20);
/// Bytes of the body of an answer that says an error.
const ERROR_CAP: u64 = 64 << 10;
/// What we say we are.
pub(crate) const AGENT: &str = concat!("kqlake/", env!("CARGO_PKG_VERSION"));

/// An answer whose body is still to be read.
pub(crate) struct Received {
    /// The status, which says that all is well.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Reading,
}

/// Connections to services.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    /// To the world, by way of the system's proxy where there is one.
    world: reqwest::Client,
    /// To this machine.
    here: reqwest::Client,
}

impl Transport {
    /// # Errors
    /// The machine's certificates cannot be read.
    pub(crate) fn new() -> Result<Self, String> {
        let builder = || {
            reqwest::Client::builder()
                .user_agent(AGENT)
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .connect_timeout(CONNECT)
                .pool_idle_timeout(Duration::from_secs(50))
        };
        let built = |builder: reqwest::ClientBuilder| builder.build().map_err(|error| root_cause(&error));
        Ok(Transport { world: built(builder())?, here: built(builder().no_proxy())? })
    }

    /// Sends a request once and gives the answer, if it says that all is well.
    pub(crate) async fn send(
        &self,
        service: Service,
        request: &Request,
        token: Option<&HeaderValue>,
        origins: &Origins,
        pace: &Pace,
    ) -> Result<Received, ServiceError> {
        let refused = |message: String| ServiceError::new(service, Failure::Forbidden, message);
        let secret: Option<(HeaderName, HeaderValue)> = match (&request.auth, token) {
            (Auth::Key(name, key), _) => Some((name.clone(), key.clone())),
            (Auth::Bearer, Some(token)) => Some((AUTHORIZATION, token.clone())),
            (Auth::Bearer | Auth::Anonymous, _) => None,
        };
        if secret.is_some() && !origins.allow(&request.url) {
            let message = format!(
                "an answer leads to {}, which is no host of this service: no credentials are sent there",
                place(&request.url)
            );
            return Err(refused(message));
        }
        let mut url = request.url.clone();
        let mut secret = secret;
        for _ in 0..=REDIRECTS {
            let mut bare = url.clone();
            bare.set_query(None);
            bare.set_fragment(None);
            // Answers of a service on this machine may lead to it; those of others must not.
            check_host(&bare).map_err(|why| refused(format!("{} {why}", place(&url))))?;
            if is_loopback(&url) && !is_loopback(&request.url) {
                return Err(refused(format!("an answer leads to {}, which is this machine", place(&url))));
            }
            let response = self.once(service, request, &url, secret.take(), pace).await?;
            let status = response.status();
            if !is_redirect(status) || request.method != Method::GET {
                return answer(service, request, response, pace).await;
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let next = location.and_then(|text| url.join(text).ok());
            url = next.ok_or_else(|| {
                let message = format!("{} answers {status} and does not say where to go", place(&url));
                ServiceError { status: Some(status.as_u16()), ..ServiceError::new(service, Failure::Service, message) }
            })?;
        }
        Err(refused(format!("{} leads on and on", place(&request.url))))
    }

    async fn once(
        &self,
        service: Service,
        request: &Request,
        url: &Url,
        secret: Option<(HeaderName, HeaderValue)>,
        pace: &Pace,
    ) -> Result<reqwest::Response, ServiceError> {
        let client = if is_loopback(url) || is_link_local(url) { &self.here } else { &self.world };
        let mut sent = client.request(request.method.clone(), url.clone()).headers(request.headers.clone());
        if !request.headers.contains_key(ACCEPT_ENCODING) {
            sent = sent.header(ACCEPT_ENCODING, "gzip");
        }
        if let Some((name, value)) = secret {
            sent = sent.header(name, value);
        }
        if let Some(body) = &request.body {
            sent = sent.body(body.clone());
        }
        let unreachable = |why: &str| ServiceError::new(service, Failure::Unreachable, format!("{}: {why}", place(url)));
        match pace.within(request.patience, sent.send()).await {
            Some(Ok(response)) => Ok(response),
            Some(Err(error)) => Err(unreachable(&root_cause(&error))),
            None => Err(unreachable("no answer in time")),
        }
    }
}

pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The address at which a platform gives tokens to its machines; no proxy knows it.
fn is_link_local(url: &Url) -> bool {
    matches!(url.host(), Some(url::Host::Ipv4(address)) if address.is_link_local())
}

/// The answer, or what it says is wrong.
async fn answer(service: Service, request: &Request, response: reqwest::Response, pace: &Pace) -> Result<Received, ServiceError> {
    let (status, headers) = (response.status(), response.headers().clone());
    if status.is_success() {
        let body = Reading::new(response, request.cap, pace.clone());
        let body = body.map_err(|error| of_body(service, &request.url, Some(&headers), error))?;
        return Ok(Received { status: status.as_u16(), headers, body });
    }
    let mut text = Vec::new();
    if let Ok(mut body) = Reading::new(response, ERROR_CAP, pace.clone()) {
        // What there is of it says more than that it broke off.
        while let Ok(Some(piece)) = body.next().await {
            text.extend_from_slice(&piece);
        }
    }
    Err(of_status(service, &request.url, status.as_u16(), &headers, &text, pace.now() / 1_000_000))
}

/// The error of a body that could not be read.
pub(crate) fn of_body(service: Service, url: &Url, headers: Option<&HeaderMap>, error: BodyError) -> ServiceError {
    let (failure, why) = match error {
        BodyError::Broken(why) => (Failure::Broken, why),
        BodyError::TooLarge(why) => (Failure::TooLarge, why),
    };
    let error = ServiceError::new(service, failure, format!("{}: {why}", place(url)));
    ServiceError { request_id: headers.and_then(request_id), ..error }
}

fn request_id(headers: &HeaderMap) -> Option<Box<str>> {
    let names = ["request-id", "x-ms-request-id", "x-ms-correlation-request-id"];
    let found = names.iter().find_map(|name| headers.get(*name)?.to_str().ok().map(str::to_owned));
    found.map(|id| shown(&id)).filter(|id| !id.is_empty()).map(Into::into)
}

/// The error that is all that the body of an answer says, whose status says that all is well.
pub(crate) fn said_error(service: Service, url: &Url, status: u16, headers: &HeaderMap, body: &[u8]) -> Option<ServiceError> {
    if body.len() as u64 > ERROR_CAP || !body.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let all: serde_json::Map<String, Value> = serde_json::from_slice(body).ok()?;
    let is_error = |(name, value): (&String, &Value)| value.is_object() && (name == "error" || name == "odata.error");
    (all.len() == 1 && all.iter().all(is_error))
        .then(|| of_status(service, url, status, headers, body, date_of(headers).unwrap_or_default()))
}

/// The error that an answer's status and body tell.
fn of_status(service: Service, url: &Url, status: u16, headers: &HeaderMap, body: &[u8], now: i64) -> ServiceError {
    let text = String::from_utf8_lossy(body);
    let (code, words) = words_of(&text);
    let is_throttled = status == 429
        || code.as_deref() == Some("AF429")
        // This error is written with single quotes, and with a status that means something else.
        || (status == 403 && text.contains("AF429"));
    let code = if is_throttled && text.contains("AF429") { Some("AF429".to_owned()) } else { code };
    let failure = match status {
        _ if is_throttled => Failure::Throttled,
        401 => Failure::Unauthorized,
        200..300 | 408 | 500 | 502 | 503 | 504 => Failure::Service,
        _ => Failure::Refused,
    };
    let words = words.filter(|words| !words.is_empty()).map(|words| format!(": {words}")).unwrap_or_default();
    let error = ServiceError::new(service, failure, format!("{} answers {status}{words}", place(url)));
    let retry_after = retry_after(headers, now);
    let challenge = headers.get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).map(Box::from);
    ServiceError {
        status: Some(status),
        code,
        request_id: request_id(headers),
        retry_after,
        challenge,
        date: date_of(headers),
        ..error
    }
}

/// The code and the words of an error's body in any of the forms that services have; the beginning of any other body.
fn words_of(text: &str) -> (Option<String>, Option<String>) {
    let text = text.trim_start_matches('\u{feff}').trim();
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        let is_page = text.starts_with('<');
        return (code_in(text), (!is_page && !text.is_empty()).then(|| text.to_owned()));
    };
    let string = |value: Option<&Value>| match value {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let error = ["error", "odata.error", "Error"].iter().find_map(|key| value.get(key)).unwrap_or(&value);
    if let Value::String(code) = error {
        return (Some(code.clone()), string(value.get("error_description")).or_else(|| string(value.get("message"))));
    }
    let code = string(error.get("code")).or_else(|| string(error.get("Code")));
    let message = error.get("message").or_else(|| error.get("Message"));
    // OData has the message in an object with its language.
    let words = string(message).or_else(|| string(message.and_then(|message| message.get("value"))));
    (code.filter(|code| !code.is_empty()), words)
}

/// A code of the Management Activity API in a text that only looks like JSON: some are written with single quotes.
fn code_in(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let is_code = |word: &&str| {
        word.strip_prefix("AF").is_some_and(|digits| digits.len() >= 3 && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    words.into_iter().find(is_code).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, body: &str) -> ServiceError {
        let url = Url::parse("https://manage.office.com/api?sig=canary").unwrap();
        of_status(Service::Management, &url, status, &HeaderMap::new(), body.as_bytes(), 0)
    }

    #[test]
    fn errors_are_told_by_status_and_body() {
        let told = |status: u16, body: &str| {
            let error = error(status, body);
            (error.failure, error.code.unwrap_or_default())
        };
        let single = "{'error':{'code':'AF429','message':'Too many requests. Method=GetBlob, PublisherId=1'}}";
        assert_eq!(told(403, single), (Failure::Throttled, "AF429".into()));
        let double = single.replace('\'', "\"");
        assert_eq!(told(403, &double), (Failure::Throttled, "AF429".into()));
        assert_eq!(told(429, ""), (Failure::Throttled, String::new()));
        let gone = "{'error':{'code':'AF20051','message':'Content requested with the key a$AF1 has expired.'}}";
        assert_eq!(told(400, gone), (Failure::Refused, "AF20051".into()));
        assert_eq!(told(400, "{'error':{'code':'AFRAID'}}"), (Failure::Refused, String::new()));
        assert_eq!(told(403, r#"{"error":{"code":"AF10001","message":"x"}}"#), (Failure::Refused, "AF10001".into()));
        assert_eq!(told(400, r#"{"error":"invalid_scope","error_description":"AADSTS70011"}"#).1, "invalid_scope");
        assert_eq!(told(503, "<html>"), (Failure::Service, String::new()));
        assert_eq!(told(404, "x").0, Failure::Refused);
        assert_eq!(told(401, r#"{"Message":"Authorization has been denied for this request."}"#).0, Failure::Unauthorized);
        let said = |body: &str| {
            let url = Url::parse("https://manage.office.com/api").unwrap();
            said_error(Service::Management, &url, 200, &HeaderMap::new(), body.as_bytes()).map(|error| error.failure)
        };
        assert_eq!(said(r#"{"error":{"code":"AF50000","message":"x"}}"#), Some(Failure::Service));
        assert_eq!(said(r#"{"error":{"code":"AF429","message":"x"}}"#), Some(Failure::Throttled));
        for body in
            [r#"{"error":{"code":"x"},"value":[]}"#, r#"{"error":null}"#, r#"{"error":"x"}"#, "[]", "{}", r#"[{"code":"x"}]"#]
        {
            assert_eq!(said(body), None, "{body}");
        }
        let odata = error(400, r#"{"odata.error":{"code":"E","message":{"lang":"en-US","value":"No permission"}}}"#);
        assert_eq!(
            odata.to_string(),
            "the Management Activity API: https://manage.office.com/api answers 400: No permission (E)"
        );
    }
}
