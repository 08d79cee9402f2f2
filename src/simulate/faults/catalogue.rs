//! Faults with names.

use super::rule::{Rule, When};
use super::what::What;

/// Prefixes of the services.
pub(super) const SERVICES: [&str; 7] = ["login", "management", "graph", "reporting", "insights", "loganalytics", "servicebus"];

/// Services of data, which have lists and bodies of size.
const DATA: &[&str] = &["management", "graph", "reporting", "insights", "loganalytics"];

/// Where a fault can be: services (none: all), a pattern for the path, a method.
type Place = (&'static [&'static str], Option<&'static str>, Option<&'static str>);

const ANYWHERE: Place = (&[], None, None);
const IN_DATA: Place = (DATA, None, Some("GET"));
const IN_AUDIT: Place = (&["management"], None, None);
const IN_BLOBS: Place = (&["management"], Some("*/audit/*"), Some("GET"));
const IN_LISTS: Place = (&["management"], Some("*/subscriptions/content*"), Some("GET"));

fn status(status: u16) -> What {
    What::Answer { status, headers: Vec::new(), body: String::new() }
}

fn answer(status: u16, header: Option<(&str, &str)>, body: &str) -> What {
    let headers = header.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    What::Answer { status, headers, body: body.to_owned() }
}

/// A page that a proxy answers with.
const PROXY_PAGE: &str =
    "<html><head><title>Bad gateway</title></head><body><h1>The upstream server is not there</h1></body></html>";
const HTML: Option<(&str, &str)> = Some(("content-type", "text/html; charset=utf-8"));

/// Name, place, and what happens.
type Named = (&'static str, Place, fn() -> What);

const ALL: [Named; 33] = [
    ("throttled-seconds", ANYWHERE, || answer(429, Some(("retry-after", "2")), "")),
    ("throttled-date", ANYWHERE, || What::RetryAt { status: 429, seconds: 2.0 }),
    ("throttled-bare", ANYWHERE, || status(429)),
    ("unavailable-seconds", ANYWHERE, || answer(503, Some(("retry-after", "3")), "")),
    ("unavailable-date", ANYWHERE, || What::RetryAt { status: 503, seconds: 3.0 }),
    ("unavailable-page", ANYWHERE, || answer(503, HTML, PROXY_PAGE)),
    ("request-timeout", ANYWHERE, || status(408)),
    ("internal-error", ANYWHERE, || status(500)),
    ("bad-gateway", ANYWHERE, || answer(502, HTML, PROXY_PAGE)),
    ("gateway-timeout", ANYWHERE, || answer(504, None, "")),
    ("unauthorized", IN_DATA, || status(401)),
    ("af429", IN_AUDIT, || answer(403, Some(("content-type", "application/json; charset=utf-8")), AF429)),
    ("af429-blob", IN_BLOBS, || answer(403, None, AF429)),
    ("af50000", IN_AUDIT, || answer(500, None, AF50000)),
    ("af20051", IN_BLOBS, || What::Gone),
    ("login-busy", (&["login"], None, None), || answer(503, None, LOGIN_BUSY)),
    ("login-throttled", (&["login"], None, None), || answer(429, Some(("retry-after", "1")), LOGIN_THROTTLED)),
    ("resync-required", (&["graph"], Some("*/delta*"), Some("GET")), || status(410)),
    ("timeout", ANYWHERE, || What::Silence { seconds: 600.0 }),
    ("reset", ANYWHERE, || What::Reset),
    ("reset-in-body", IN_DATA, || What::ResetInBody),
    ("closed-in-body", IN_DATA, || What::CloseInBody),
    ("slow-body", IN_DATA, || What::Slow { seconds: 30.0 }),
    ("truncated-gzip", IN_DATA, || What::CutGzip),
    ("corrupt-gzip", IN_DATA, || What::FlipGzip),
    ("truncated-json", IN_DATA, || What::CutText),
    ("corrupt-json", IN_DATA, || What::CorruptText),
    ("login-page", IN_DATA, || What::Page),
    ("mislabelled", IN_DATA, || What::Mislabel),
    ("oversize-blob", IN_BLOBS, || What::Pad { bytes: 256 << 20 }),
    ("empty-list", IN_LISTS, || What::EmptyList),
    ("empty-body", IN_DATA, || What::Nothing),
    ("empty-token", (&["login"], None, None), || What::Nothing),
];

const AF429: &str =
    "{'error':{'code':'AF429','message':'Too many requests. Method=GetBlob, PublisherId=00000000-0000-0000-0000-000000000000'}}";
const AF50000: &str = r#"{"error":{"code":"AF50000","message":"An internal error occurred. Retry the request."}}"#;
const LOGIN_BUSY: &str =
    r#"{"error":"temporarily_unavailable","error_description":"AADSTS90033: A transient error.","error_codes":[90033]}"#;
const LOGIN_THROTTLED: &str =
    r#"{"error":"temporarily_unavailable","error_description":"AADSTS90055: Too many requests.","error_codes":[90055]}"#;

/// The names, in order.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, ..)| *name)
}

/// The fault of a name, for each request that it fits.
pub(super) fn find(name: &str) -> Option<Rule> {
    let (name, (services, path, method), what) = ALL.iter().find(|(known, ..)| *known == name)?;
    Some(Rule {
        name: (*name).to_owned(),
        services: services.iter().map(|service| (*service).to_owned()).collect(),
        path: path.map(str::to_owned),
        method: method.map(str::to_owned),
        what: what(),
        ..anywhere()
    })
}

/// A rule for every request, which does nothing yet.
pub(super) fn anywhere() -> Rule {
    Rule {
        name: String::new(),
        services: Vec::new(),
        path: None,
        method: None,
        when: When::Every(1),
        times: u64::MAX,
        per_request: u64::MAX,
        what: What::Reset,
    }
}
