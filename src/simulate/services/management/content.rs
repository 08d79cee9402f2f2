//! Lists of content: windows, and pages of them.

use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::{Refusal, State, descriptor, log};
use crate::answer::{self, Call};
use crate::tenant::audit::{Blob, Kind, LIFE};
use crate::tenant::instant::parse as instant;
use kqlake_value::US_PER_DAY as DAY;

/// The window of a list, and its texts as they were sent.
pub(super) struct Window {
    pub(super) start: i64,
    pub(super) end: i64,
}

const RULE: &str = "Start time and end time must both be specified (or both omitted) and must be less than or equal to 24 hours apart, \
                    with the start time prior to end time and start time no more than 7 days in the past.";

/// Reads the window of a request.
///
/// # Errors
/// When it breaks a rule. On following pages, the start may have come to be too old meanwhile.
pub(super) fn window(call: &Call, now: i64, is_first_page: bool) -> Result<Window, Refusal> {
    let (start, end) = match (call.parameter("startTime"), call.parameter("endTime")) {
        (None, None) => return Ok(Window { start: now - DAY, end: now }),
        (Some(start), Some(end)) => (time("startTime", start)?, time("endTime", end)?),
        _ => return Err(Refusal::bad("AF20030", RULE)),
    };
    if start >= end || end - start > DAY || (is_first_page && start < now - LIFE) {
        return Err(Refusal::bad("AF20055", RULE));
    }
    Ok(Window { start, end })
}

/// `YYYY-MM-DD`, `YYYY-MM-DDTHH:MM` or `YYYY-MM-DDTHH:MM:SS`, without a zone.
fn time(name: &str, text: &str) -> Result<i64, Refusal> {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let is_known = ["0000-00-00", "0000-00-00T00:00", "0000-00-00T00:00:00"].contains(&shape.as_str());
    let wrong = || Refusal::bad("AF20002", format!("Invalid parameter type: {name}. Expected valid type: datetime."));
    is_known.then(|| instant(text)).flatten().ok_or_else(wrong)
}

pub(super) fn list(call: &Call, state: &State, kind: Kind) -> Result<Response, Refusal> {
    let world = &call.world;
    let now = world.now();
    state.subscriptions(world).check(kind)?;
    let token = call.parameter("nextPage");
    let window = window(call, now, token.is_none())?;
    let after = token
        .map(|token| position(token, kind).ok_or_else(|| Refusal::bad("AF20031", format!("Invalid nextPage Input: {token}."))))
        .transpose()?;
    let log = log(world);
    let size = world.settings.audit_page_size.max(1);
    // From the blob after the last page's last one on: one that comes late is in the next list.
    let start = after.map_or(window.start, |index| window.start.max(log.created(Blob { kind, index })));
    let subscriptions = state.subscriptions(world);
    let mut blobs = log
        .blobs(kind, start..window.end)
        .filter(|blob| after.is_none_or(|index| blob.index > index))
        .filter(|blob| log.is_there(*blob, now) && subscriptions.covers(kind, log.created(*blob), now));
    let page: Vec<Blob> = blobs.by_ref().take(size).collect();
    let has_more = blobs.next().is_some();
    drop(blobs);
    drop(subscriptions);
    state.listed().extend(page.iter().copied());
    let body = Value::Array(page.iter().map(|blob| descriptor(&call.base, world, *blob)).collect());
    let mut response = answer::json(StatusCode::OK, &body);
    if let Some(last) = page.last().filter(|_| has_more) {
        let token = URL_SAFE_NO_PAD.encode(format!("{}|{}", kind.name(), last.index));
        let mut link = url::form_urlencoded::Serializer::new(String::new());
        link.append_pair("contentType", kind.name());
        for name in ["startTime", "endTime"] {
            if let Some(text) = call.parameter(name) {
                link.append_pair(name, text);
            }
        }
        link.append_pair("nextPage", &token);
        let link = format!("{}{}?{}", call.base, call.path, link.finish());
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert("nextpageuri", link);
        }
    }
    Ok(response)
}

/// The last blob of the page before.
fn position(token: &str, kind: Kind) -> Option<i64> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (name, index) = text.split_once('|')?;
    if name == kind.name() { index.parse().ok() } else { None }
}
