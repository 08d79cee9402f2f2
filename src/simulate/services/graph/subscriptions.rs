//! Subscriptions to call records: create with the validation handshake, list, renew, delete.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use url::Url;

use super::{Answer, allowed, context_of, error, seeded, within};
use crate::answer::{self, Call};
use crate::deliver;
use crate::tenant::instant::{self, DAY, MINUTE};

/// The longest life of a subscription to call records.
const LONGEST: i64 = 4_230 * MINUTE;
const RESOURCE: &str = "communications/callRecords";

/// How long a receiver may take to answer the handshake.
const VALIDATION: Duration = Duration::from_secs(10);

/// A subscription.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    pub(super) id: String,
    pub(super) application: String,
    pub(super) resource: String,
    pub(super) change_type: String,
    pub(super) client_state: Option<String>,
    pub(super) url: Url,
    pub(super) lifecycle: Option<Url>,
    pub(super) expires: i64,
    /// Up to when it was told of changes.
    pub(super) told: i64,
    /// The expiry of which a lifecycle notification warned.
    pub(super) warned: Option<i64>,
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    pub(super) all: Mutex<Vec<Subscription>>,
    pub(super) running: std::sync::atomic::AtomicBool,
    created: std::sync::atomic::AtomicI64,
}

pub(super) async fn answer(call: &Call, path: &[&str]) -> Answer {
    let token = allowed(call, &["CallRecords.Read.All"])?;
    let state = call.world.state::<Subscriptions>();
    let now = call.world.now();
    let live = |state: &Subscriptions| {
        let mut all = state.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|subscription| subscription.expires > now);
        all.clone()
    };
    let found = |id: &str| {
        let missing = || error(call, 404, "ResourceNotFound", "The object was not found.");
        live(&state).into_iter().find(|subscription| subscription.id == id).ok_or_else(missing)
    };
    match (&call.method, path) {
        (&Method::POST, []) => {
            within(call, "subscriptions", 500, 20)?;
            create(call, &state, token.application).await
        }
        (&Method::GET, []) => {
            let values: Vec<Value> = live(&state).iter().map(|subscription| told(subscription, false)).collect();
            Ok(super::page(call, "subscriptions", values, None))
        }
        (&Method::GET, [id]) => Ok(entity(call, StatusCode::OK, told(&found(id)?, false))),
        (&Method::PATCH, [id]) => {
            within(call, "subscriptions", 500, 20)?;
            let mut subscription = found(id)?;
            let body = call.json().unwrap_or_default();
            subscription.expires = expiry(call, &body)?;
            if let Some(url) = body.get("notificationUrl").and_then(Value::as_str) {
                subscription.url = address(call, url)?;
                validate(call, &subscription.url).await?;
            }
            let mut all = state.all.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(kept) = all.iter_mut().find(|other| other.id == subscription.id) {
                (kept.expires, kept.url) = (subscription.expires, subscription.url.clone());
            }
            drop(all);
            Ok(entity(call, StatusCode::OK, told(&subscription, false)))
        }
        (&Method::POST, [id, "reauthorize"]) => {
            found(id)?;
            Ok(answer::text(StatusCode::NO_CONTENT, "text/plain", ""))
        }
        (&Method::DELETE, [id]) => {
            let id = found(id)?.id;
            state.all.lock().unwrap_or_else(PoisonError::into_inner).retain(|subscription| subscription.id != id);
            Ok(answer::text(StatusCode::NO_CONTENT, "text/plain", ""))
        }
        _ => Err(error(call, 405, "notAllowed", "The method is not allowed here.")),
    }
}

async fn create(call: &Call, state: &Arc<Subscriptions>, application: String) -> Answer {
    let refused = |why: &str| error(call, 400, "InvalidRequest", why);
    let body = call.json().ok_or_else(|| refused("The body is not valid JSON."))?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let resource = text("resource").unwrap_or_default();
    if resource.trim_matches('/') != RESOURCE {
        return Err(refused(&format!("Resource '{resource}' is not supported for subscriptions.")));
    }
    let change_type = text("changeType").unwrap_or_default();
    if change_type.is_empty() || !change_type.split(',').all(|kind| ["created", "updated"].contains(&kind.trim())) {
        return Err(refused("changeType is created, updated, or both."));
    }
    let client_state = text("clientState");
    if client_state.is_some_and(|state| state.chars().count() > 128) {
        return Err(refused("clientState must be at most 128 characters long."));
    }
    let expires = expiry(call, &body)?;
    let url = address(call, text("notificationUrl").unwrap_or_default())?;
    let lifecycle = text("lifecycleNotificationUrl").map(|url| address(call, url)).transpose()?;
    validate(call, &url).await?;
    if let Some(lifecycle) = &lifecycle {
        validate(call, lifecycle).await?;
    }
    let number = state.created.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let subscription = Subscription {
        id: seeded(&call.world).guid("subscription", &[number]),
        application,
        resource: resource.to_owned(),
        change_type: change_type.to_owned(),
        client_state: client_state.map(str::to_owned),
        url,
        lifecycle,
        expires,
        told: call.world.now(),
        warned: None,
    };
    state.all.lock().unwrap_or_else(PoisonError::into_inner).push(subscription.clone());
    Ok(entity(call, StatusCode::CREATED, told(&subscription, true)))
}

fn expiry(call: &Call, body: &Value) -> Result<i64, Box<Response>> {
    let refused = |why: &str| error(call, 400, "InvalidRequest", why);
    let text = body.get("expirationDateTime").and_then(Value::as_str).unwrap_or_default();
    let expires = instant::parse(text).ok_or_else(|| refused("expirationDateTime is missing or no date and time."))?;
    let now = call.world.now();
    match expires {
        _ if expires <= now => Err(refused("Subscription expiration must be in the future.")),
        _ if expires > now + LONGEST + MINUTE => Err(refused("Subscription expiration can only be 4230 minutes in the future.")),
        _ => Ok(expires),
    }
}

/// A notification address: `https`, or `http` on the loopback, which only a simulated tenant takes.
fn address(call: &Call, text: &str) -> Result<Url, Box<Response>> {
    let refused = |why: String| error(call, 400, "InvalidRequest", &why);
    let url = Url::parse(text).map_err(|err| refused(format!("notificationUrl is no address: {err}.")))?;
    let is_loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if url.scheme() == "https" || url.scheme() == "http" && is_loopback {
        return Ok(url);
    }
    Err(refused("The notification address is not an https address.".to_owned()))
}

/// The handshake: the address must answer a token with the same token, as plain text, within ten seconds.
async fn validate(call: &Call, url: &Url) -> Result<(), Box<Response>> {
    let token = format!(
        "Validation: Testing client application reachability for subscription Request-Id: {} +a&b=c",
        seeded(&call.world).guid("validation", &[call.world.now()])
    );
    let failed = |why: String| {
        let message = format!("Subscription validation request failed. {why}");
        Err(error(call, 400, "ValidationError", &message))
    };
    let mut address = url.clone();
    address.query_pairs_mut().append_pair("validationToken", &token);
    let headers = [("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())];
    match deliver::answered(address.as_str(), &headers, String::new(), VALIDATION).await {
        Err(why) => failed(format!("The notification endpoint could not be reached: {why}.")),
        Ok(answer) if answer.status != 200 => {
            failed(format!("Notification endpoint must respond with 200 OK, not {}.", answer.status))
        }
        Ok(answer) if !answer.content_type.starts_with("text/plain") => failed("The response must be text/plain.".to_owned()),
        Ok(answer) if answer.body != token => failed("The response must be the validation token.".to_owned()),
        Ok(_) => Ok(()),
    }
}

fn entity(call: &Call, status: StatusCode, mut subscription: Value) -> Response {
    subscription["@odata.context"] = json!(context_of(call, "subscriptions/$entity"));
    answer::json(status, &subscription)
}

/// A subscription as it is told: its secret only to the one who created it.
fn told(subscription: &Subscription, created: bool) -> Value {
    json!({
        "id": subscription.id, "resource": subscription.resource, "applicationId": subscription.application,
        "changeType": subscription.change_type,
        "clientState": if created { json!(subscription.client_state) } else { Value::Null },
        "notificationUrl": subscription.url.as_str(),
        "notificationQueryOptions": null,
        "lifecycleNotificationUrl": subscription.lifecycle.as_ref().map(Url::as_str),
        "expirationDateTime": instant::zulu(subscription.expires),
        "creatorId": subscription.application, "includeResourceData": null, "latestSupportedTlsVersion": "v1_2",
        "encryptionCertificate": null, "encryptionCertificateId": null, "notificationUrlAppId": null,
    })
}

/// How long before its end a subscription's lifecycle notification comes.
pub(super) const WARNING: i64 = DAY / 2;
