//! Microsoft Graph: what all of it has in common, and where which request goes.

mod audit_queries;
mod batch;
mod calls;
mod notify;
pub(crate) mod odata;
mod reports;
mod subscriptions;
mod teams;
pub(crate) mod traces;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use crate::answer::{self, Call};
use crate::manifest::Table;
use crate::services::quota;
use crate::tenant::instant;
use crate::tenant::rng::Seeded;
use crate::tokens::{Denied, Token};
use crate::world::World;

/// Audiences of Graph's tokens, by cloud.
const AUDIENCES: [&str; 4] = [
    "https://graph.microsoft.com",
    "https://graph.microsoft.us",
    "https://dod-graph.microsoft.us",
    "https://microsoftgraph.chinacloudapi.cn",
];

/// The service's routes, below its prefix.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().fallback(serve)
}

/// What a perfect client has of its data.
pub(crate) fn truth(world: &World) -> Vec<Table> {
    [calls::truth(world), users::truth(world), teams::truth(world), reports::truth(world), traces::truth(world)].concat()
}

async fn serve(call: Call) -> Response {
    let mut response = respond(&call).await.unwrap_or_else(|refused| *refused);
    let request = instant::text(call.world.now(), 6);
    let id = seeded(&call.world).guid(&format!("request {request} {}", call.path), &[]);
    let headers = response.headers_mut();
    for (name, value) in [("request-id", id.as_str()), ("x-ms-ags-diagnostic", r#"{"ServerInfo":{"DataCenter":"Simulated"}}"#)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    if let Some(given) = call.headers.get("client-request-id") {
        headers.insert("client-request-id", given.clone());
    }
    response
}

/// A request that is refused, by the answer that says so. Boxed: it is larger than what else is returned.
type Answer = Result<Response, Box<Response>>;

/// Answers one request, also one of a batch.
async fn respond(call: &Call) -> Answer {
    let segments: Vec<&str> = call.path.trim_matches('/').split('/').collect();
    if let ["data", "download", name, token] = *segments {
        return reports::download(call, name, token);
    }
    let Some((version, segments)) = segments.split_first().filter(|(version, _)| ["v1.0", "beta"].contains(version)) else {
        return Err(error(call, 400, "BadRequest", "Invalid version: the first segment of the path is v1.0 or beta."));
    };
    match *segments {
        ["communications", ref rest @ ..] => calls::answer(call, rest),
        ["users", ref rest @ ..] => users::answer(call, rest),
        ["teams", ref rest @ ..] => teams::answer(call, rest),
        ["groups"] => teams::groups(call),
        ["reports", function] => reports::answer(call, function),
        ["copilot", "reports", function] if function.contains("Copilot") => reports::answer(call, function),
        ["admin", "reportSettings"] => reports::settings(call),
        ["admin", "exchange", "tracing", "messageTraces", ref rest @ ..] => traces::answer(call, rest),
        ["subscriptions", ref rest @ ..] => {
            let answer = subscriptions::answer(call, rest).await;
            notify::start(&call.world);
            answer
        }
        ["security", "auditLog", "queries", ref rest @ ..] => audit_queries::answer(call, rest),
        ["$batch"] => batch::answer(call, version).await,
        _ => Err(error(call, 400, "BadRequest", &format!("Resource not found for the segment '{}'.", segments.join("/")))),
    }
}

/// The tenant that this world's data is of.
pub(crate) fn seeded(world: &World) -> Seeded {
    Seeded { seed: world.seed, scale: world.scale }
}

/// The token of a request, if it has one of these roles.
fn allowed(call: &Call, roles: &[&str]) -> Result<Token, Box<Response>> {
    call.world.require(&call.headers, &AUDIENCES, roles).map_err(|denied| {
        let token = "InvalidAuthenticationToken";
        match denied {
            Denied::Missing => error(call, 401, token, "Access token is empty."),
            Denied::Invalid => error(call, 401, token, "IDX14100: JWT is not well formed."),
            Denied::Expired => error(call, 401, token, "Lifetime validation failed, the token is expired."),
            Denied::Audience(_) => error(call, 401, token, "Access token validation failure. Invalid audience."),
            Denied::Role(_) => {
                error(call, 403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
            }
        }
    })
}

/// An error as Graph words it.
fn error(call: &Call, status: u16, code: &str, message: &str) -> Box<Response> {
    let id = seeded(&call.world).guid(&format!("error {code} {}", call.path), &[]);
    let body = json!({"error": {
        "code": code, "message": message,
        "innerError": {"date": instant::text(call.world.now(), 0), "request-id": id, "client-request-id": id},
    }});
    Box::new(answer::json(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), &body))
}

/// Counts a request against a quota.
///
/// # Errors
/// The answer of a throttled request.
fn within(call: &Call, what: &str, limit: usize, seconds: i64) -> Result<(), Box<Response>> {
    quota::take(&call.world, &format!("graph {what}"), limit, seconds).map_err(|wait| throttled(call, wait))
}

fn throttled(call: &Call, wait: i64) -> Box<Response> {
    let id = seeded(&call.world).guid(&format!("throttled {}", call.path), &[]);
    let body = json!({"error": {
        "code": "TooManyRequests", "message": "Please retry again later.",
        "innerError": {
            "code": "429", "date": instant::text(call.world.now(), 0), "message": "Please retry after",
            "request-id": id, "status": "429",
        },
    }});
    let mut response = answer::json(StatusCode::TOO_MANY_REQUESTS, &body);
    if let Ok(wait) = HeaderValue::from_str(&wait.to_string()) {
        response.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    Box::new(response)
}

/// A page of a collection.
fn page(call: &Call, context: &str, values: Vec<Value>, next: Option<String>) -> Response {
    let mut body = json!({"@odata.context": context_of(call, context)});
    if let Some(next) = next {
        body["@odata.nextLink"] = json!(next);
    }
    body["value"] = Value::Array(values);
    answer::json(StatusCode::OK, &body)
}

fn context_of(call: &Call, context: &str) -> String {
    let version = if call.path.starts_with("/beta") { "beta" } else { "v1.0" };
    format!("{}/{version}/$metadata#{context}", call.base)
}

/// The size of a page: of `$top` or of a preference, within what the service allows.
///
/// # Errors
/// For a `$top` that is none.
fn size(call: &Call, usual: usize, most: usize) -> Result<usize, Box<Response>> {
    if let Some(top) = call.parameter("$top") {
        let wrong = || {
            error(
                call,
                400,
                "BadRequest",
                &format!("Invalid page size specified: '{top}'. Must be between 1 and {most} inclusive."),
            )
        };
        return top.parse().ok().filter(|top| (1..=most).contains(top)).ok_or_else(wrong);
    }
    let preferred = call
        .header("prefer")
        .and_then(|prefer| prefer.split("maxpagesize=").nth(1)?.split([',', ';']).next()?.trim().parse().ok());
    Ok(preferred.unwrap_or(usual).clamp(1, most))
}

/// Where a page begins, and the instant as of which the list is told, from its `$skiptoken`.
///
/// # Errors
/// For a token that nobody gave out.
fn position(call: &Call) -> Result<(usize, i64), Box<Response>> {
    let Some(token) = call.parameter("$skiptoken") else { return Ok((0, call.world.now())) };
    match odata::read_token(token, 2).as_deref() {
        Some([offset, now]) => Ok((usize::try_from(*offset).unwrap_or(0), *now)),
        _ => Err(error(call, 400, "BadRequest", "Skip token is invalid.")),
    }
}

/// A page of a list, and its link to the rest. Now and then a page begins with what the one before ended with.
fn paged<T>(call: &Call, list: &[T], (offset, now): (usize, i64), size: usize) -> (std::ops::Range<usize>, Option<String>) {
    let start = offset.min(list.len());
    let end = (start + size).min(list.len());
    let next = (end < list.len()).then(|| {
        let again = size > 1 && seeded(&call.world).rng("page", &[end as i64]).percent(30);
        let offset = end as i64 - i64::from(again);
        odata::link(call, &[], &[("$skiptoken", &odata::token(&[offset, now]))])
    });
    (start..end, next)
}

#[cfg(test)]
mod tests;
