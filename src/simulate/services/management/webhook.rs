//! Notifications of new content, and what became of them.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::hook::Webhook;
use super::{Refusal, State, content, descriptor, log};
use crate::answer::{self, Call};
use crate::clock::iso;
use crate::deliver;
use crate::random;
use crate::tenant::audit::{Blob, Kind};
use crate::world::World;
use kqlake_value::US_PER_DAY;

/// How often it is looked for new content, in real time.
const PERIOD: Duration = Duration::from_millis(500);

/// Failures in a row after which a webhook is disabled.
const PATIENCE: u32 = 5;

/// # Errors
/// When nobody answers with 200.
pub(super) async fn validate(world: &World, hook: &Webhook) -> Result<(), Refusal> {
    let code = random::guid(world.seed, &[random::word(&hook.address), world.now() as u64]);
    let headers = headers(hook, Some(&code));
    let body = json!({"validationCode": code}).to_string();
    match deliver::post(&hook.address, &headers, body).await {
        Ok(200) => Ok(()),
        Ok(status) => Err(failed(&hook.address, &format!("it answered with {status}"))),
        Err(why) => Err(failed(&hook.address, &why)),
    }
}

fn failed(address: &str, why: &str) -> Refusal {
    Refusal::bad("AF20021", format!("The webhook endpoint {address} could not be validated: {why}."))
}

fn headers(hook: &Webhook, code: Option<&str>) -> Vec<(String, String)> {
    let code = code.map(|code| ("Webhook-ValidationCode".to_owned(), code.to_owned()));
    let id = hook.auth_id.as_ref().map(|id| ("Webhook-AuthID".to_owned(), id.clone()));
    code.into_iter().chain(id).collect()
}

/// Tells a webhook of content that becomes available from now on, until it is another or none.
pub(super) fn keep_sending(world: &Arc<World>, state: &Arc<State>, kind: Kind, base: String) {
    let (world, state) = (Arc::downgrade(world), Arc::clone(state));
    tokio::spawn(async move {
        let mut since = None;
        let mut failures = 0;
        let mut first = None;
        loop {
            tokio::time::sleep(PERIOD).await;
            let Some(world) = world.upgrade() else { return };
            let Some(hook) = state.subscriptions(&world).webhook(kind) else { return };
            if *first.get_or_insert_with(|| hook.clone()) != hook {
                return;
            }
            let now = world.now();
            if hook.expiration.is_some_and(|at| at <= now) {
                return;
            }
            let from = *since.get_or_insert(now);
            let blobs = come_up(&world, kind, from, now);
            if blobs.is_empty() {
                continue;
            }
            let body: Vec<Value> = blobs.iter().map(|blob| notification(&base, &world, *blob)).collect();
            match deliver::post(&hook.address, &headers(&hook, None), Value::Array(body).to_string()).await {
                Ok(200) => (since, failures) = (Some(now), 0),
                _ => {
                    failures += 1;
                    world.served.note("management: notifications failed");
                    if failures >= PATIENCE {
                        state.subscriptions(&world).disable_webhook(kind);
                        return;
                    }
                    tokio::time::sleep(PERIOD * (1 << failures)).await;
                }
            }
        }
    });
}

/// Blobs that lists show since an instant.
fn come_up(world: &World, kind: Kind, from: i64, to: i64) -> Vec<Blob> {
    let log = log(world);
    // The latest come up within a day.
    log.blobs(kind, from - US_PER_DAY..to + 1).filter(|blob| (from + 1..=to).contains(&log.available(*blob))).collect()
}

fn notification(base: &str, world: &World, blob: Blob) -> Value {
    let mut object = descriptor(base, world, blob);
    object["tenantId"] = json!(world.registration.tenant);
    object["clientId"] = json!(world.registration.client_id);
    object
}

/// The list of notifications that were sent.
pub(super) fn sent(call: &Call, state: &State, kind: Kind) -> Result<Response, Refusal> {
    let world = &call.world;
    let now = world.now();
    state.subscriptions(world).check(kind)?;
    let window = content::window(call, now, true)?;
    let has_hook = state.subscriptions(world).webhook(kind).is_some();
    let log = log(world);
    let blobs = log.blobs(kind, window.start..window.end).filter(|blob| has_hook && state.is_there(world, *blob, now));
    let list = blobs.map(|blob| {
        let mut object = descriptor(&call.base, world, blob);
        object["notificationSent"] = json!(format!("{}Z", iso(log.available(blob), 3)));
        object["notificationStatus"] = json!("success");
        object
    });
    Ok(answer::json(StatusCode::OK, &Value::Array(list.collect())))
}
