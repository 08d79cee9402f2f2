//! The Office 365 Management Activity API.

mod blobs;
mod content;
mod hook;
mod refusal;
mod subscriptions;
#[cfg(test)]
mod tests;
mod truth;
mod webhook;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::any;
use serde_json::{Value, json};

use self::refusal::Refusal;
use self::subscriptions::Subscriptions;
pub(crate) use self::truth::truth;
use super::quota;
use crate::answer::{self, Call};
use crate::tenant::audit::{Blob, Kind, Log, Writer};
use crate::tenant::people;
use crate::tenant::rng::Seeded;
use crate::world::World;

/// The API's roots in all clouds.
const AUDIENCES: [&str; 4] = [
    "https://manage.office.com",
    "https://manage-gcc.office.com",
    "https://manage.office365.us",
    "https://manage.protection.apps.mil",
];

/// The most users that records name.
const USERS: i64 = 500;

/// The service's routes, below its prefix.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/api/v1.0/{tenant}/activity/feed/{*operation}", any(handle))
}

/// What the service remembers.
#[derive(Debug, Default)]
struct State {
    subscriptions: OnceLock<Mutex<Subscriptions>>,
    writer: OnceLock<Writer>,
    /// Blobs that went out whole.
    served: Mutex<HashSet<Blob>>,
    /// Blobs that a list named.
    listed: Mutex<HashSet<Blob>>,
}

impl State {
    fn subscriptions(&self, world: &World) -> MutexGuard<'_, Subscriptions> {
        let first = || Mutex::new(Subscriptions::running(&world.settings.audit_subscribed));
        self.subscriptions.get_or_init(first).lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self, world: &World) -> &Writer {
        self.writer.get_or_init(|| writer(world))
    }

    fn served(&self) -> MutexGuard<'_, HashSet<Blob>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listed(&self) -> MutexGuard<'_, HashSet<Blob>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True for a blob that lists show and that can be fetched at an instant.
    fn is_there(&self, world: &World, blob: Blob, now: i64) -> bool {
        let log = log(world);
        log.is_there(blob, now) && self.subscriptions(world).covers(blob.kind, log.created(blob), now)
    }
}

/// The writer of the tenant's records.
pub(crate) fn writer(world: &World) -> Writer {
    let seeded = Seeded { seed: world.seed, scale: world.scale };
    let users = (0..people::places(seeded).min(USERS)).map(|place| people::person(seeded, place, 0));
    Writer::new(log(world), &world.registration.tenant, users.map(|user| (user.principal, user.id)))
}

/// The tenant's audit log.
pub(crate) fn log(world: &World) -> Log {
    let settings = &world.settings;
    let most = settings.audit_blob_records.max(1);
    Log { seed: world.seed, scale: world.scale, records: (settings.audit_blob_records_least.clamp(1, most), most) }
}

/// The path of a blob's content, the service's prefix included.
fn blob_path(world: &World, id: &str) -> String {
    format!("/management/api/v1.0/{}/activity/feed/audit/{id}", world.registration.tenant)
}

async fn handle(call: Call) -> Response {
    let mut response = answer(&call).await.unwrap_or_else(Refusal::response);
    for (name, value) in [("cache-control", "no-cache"), ("pragma", "no-cache"), ("expires", "-1")] {
        response.headers_mut().insert(name, axum::http::HeaderValue::from_static(value));
    }
    response
}

async fn answer(call: &Call) -> Result<Response, Refusal> {
    let world = &call.world;
    let token = world.require(&call.headers, &AUDIENCES, &[]).map_err(|_| Refusal::Unauthenticated)?;
    let (tenant, operation) = call
        .path
        .strip_prefix("/api/v1.0/")
        .and_then(|rest| rest.split_once("/activity/feed/"))
        .ok_or_else(|| Refusal::because(StatusCode::NOT_FOUND, "AF20001", "The operation is not known."))?;
    if uuid::Uuid::parse_str(tenant).is_err() {
        let text = format!("The tenant ID passed in the URL ({tenant}) is not a valid GUID.");
        return Err(Refusal::because(StatusCode::BAD_REQUEST, "AF20013", text));
    }
    if !token.tenant.eq_ignore_ascii_case(tenant) {
        let of_token = &token.tenant;
        let text = format!(
            "The tenant ID passed in the URL ({tenant}) does not match the tenant ID passed in the access token ({of_token})."
        );
        return Err(Refusal::because(StatusCode::FORBIDDEN, "AF20010", text));
    }
    let has = |role: &str| token.roles.iter().any(|given| given == role);
    let forbidden = |role| {
        let roles = token.roles.join(" ");
        let text = format!("The permission set ({roles}) sent in the request did not include the expected permission {role}.");
        Refusal::because(StatusCode::FORBIDDEN, "AF10001", text)
    };
    if !has("ActivityFeed.Read") {
        return Err(forbidden("ActivityFeed.Read"));
    }
    allow(call, operation)?;
    let kind = call.parameter("contentType").map(|name| {
        let wrong = || Refusal::bad("AF20020", format!("The specified content type ({name}) is not valid."));
        Kind::of(name).ok_or_else(wrong)
    });
    let kind = kind.transpose()?;
    if kind == Some(Kind::Dlp) && !has("ActivityFeed.ReadDlp") {
        return Err(forbidden("ActivityFeed.ReadDlp"));
    }
    let needed = || kind.ok_or_else(|| Refusal::because(StatusCode::BAD_REQUEST, "AF20001", "Missing parameter: contentType."));
    let state = world.state::<State>();
    match (&call.method, operation) {
        (&Method::POST, "subscriptions/start") => subscriptions::start(call, &state, needed()?).await,
        (&Method::POST, "subscriptions/stop") => subscriptions::stop(call, &state, needed()?),
        (&Method::GET, "subscriptions/list") => Ok(answer::json(StatusCode::OK, &state.subscriptions(world).list())),
        (&Method::GET, "subscriptions/content") => content::list(call, &state, needed()?),
        (&Method::GET, "subscriptions/notifications") => webhook::sent(call, &state, needed()?),
        (&Method::GET, "resources/dlpSensitiveTypes") => sensitive_types(call),
        (&Method::GET, operation) if operation.starts_with("audit/") => blobs::get(call, &state, &operation["audit/".len()..]),
        _ => Err(Refusal::because(StatusCode::NOT_FOUND, "AF20001", "The operation is not known.")),
    }
}

/// Checks who asks, and that it does not ask too often.
fn allow(call: &Call, operation: &str) -> Result<(), Refusal> {
    let world = &call.world;
    let publisher = match call.parameter("PublisherIdentifier") {
        Some(text) => match uuid::Uuid::parse_str(text) {
            Ok(publisher) => Some(publisher.to_string()),
            Err(_) => {
                let text = "Invalid parameter type: PublisherIdentifier. Expected valid type: guid.";
                return Err(Refusal::because(StatusCode::BAD_REQUEST, "AF20002", text));
            }
        },
        None => {
            world.served.note("management: requests without PublisherIdentifier");
            None
        }
    };
    let limit = world.settings.audit_requests_per_minute as usize;
    if limit == 0 {
        return Ok(());
    }
    // Those who do not say who they are share what is left.
    let (pool, limit) = match &publisher {
        Some(publisher) => (publisher.as_str(), limit),
        None => ("", limit / 10),
    };
    quota::take(world, &format!("management {pool}"), limit, 60).map_err(|_| {
        world.served.note("management: throttled");
        Refusal::Throttled { method: method(operation), publisher: publisher.clone().unwrap_or_default() }
    })
}

/// What the service calls an operation.
fn method(operation: &str) -> &'static str {
    match operation {
        "subscriptions/start" => "StartSubscription",
        "subscriptions/stop" => "StopSubscription",
        "subscriptions/list" => "ListSubscriptions",
        "subscriptions/content" => "ListAvailableContent",
        "subscriptions/notifications" => "ListNotifications",
        "resources/dlpSensitiveTypes" => "GetDlpSensitiveTypes",
        _ => "GetBlob",
    }
}

/// The descriptor of a blob.
fn descriptor(base: &str, world: &World, blob: Blob) -> Value {
    let log = log(world);
    let time = |micros| format!("{}Z", crate::clock::iso(micros, 3));
    let id = log.id(blob);
    json!({
        "contentType": blob.kind.name(),
        "contentUri": format!("{base}/api/v1.0/{}/activity/feed/audit/{id}", world.registration.tenant),
        "contentId": id,
        "contentCreated": time(log.created(blob)),
        "contentExpiration": time(log.expires(blob)),
    })
}

fn sensitive_types(call: &Call) -> Result<Response, Refusal> {
    match call.header("accept-language") {
        Some(language) if language.contains(',') => {
            Err(Refusal::bad("AF20053", "Multiple languages are present in the Accept-Language header."))
        }
        Some(language) if !language.starts_with("en") => {
            Err(Refusal::because(StatusCode::BAD_REQUEST, "AF20054", "Invalid syntax in Accept-Language header."))
        }
        _ => {
            let types = json!([{"id": "50842eb7-edc8-4019-85dd-5a5c1f2bb085", "name": "Credit Card Number"}]);
            Ok(answer::json(StatusCode::OK, &types))
        }
    }
}
