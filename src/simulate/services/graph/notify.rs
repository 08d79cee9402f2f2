//! Notifications to subscribers: of call records as they become visible, and of subscriptions that are about to end.
//!
//! A notification is a hint: one in thirty never comes, one in twenty comes twice.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use url::Url;

use super::seeded;
use super::subscriptions::{Subscription, Subscriptions, WARNING};
use crate::deliver::{self, Answered};
use crate::tenant::calls;
use crate::tenant::instant;
use crate::world::World;

/// How often changes are looked for, by the machine's time.
const PERIOD: Duration = Duration::from_millis(100);
/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Deliveries are tried again so often, each time after twice the wait; the service's four hours of trying are as many.
const TRIES: u32 = 8;
/// Notifications of one delivery.
const MOST: usize = 10;
/// A delivery that waits for its time.
struct Delivery {
    url: Url,
    body: String,
    tries: u32,
    due: Instant,
}

/// Starts to notify, once a world. It ends with the world.
pub(super) fn start(world: &Arc<World>) {
    if !world.state::<Subscriptions>().running.swap(true, Ordering::SeqCst) {
        tokio::spawn(run(Arc::downgrade(world)));
    }
}

async fn run(world: Weak<World>) {
    let mut waiting: Vec<Delivery> = Vec::new();
    loop {
        tokio::time::sleep(PERIOD).await;
        let Some(world) = world.upgrade() else { return };
        waiting.extend(due(&world));
        drop(world);
        let mut later = Vec::new();
        for mut delivery in waiting {
            if delivery.due > Instant::now() {
                later.push(delivery);
                continue;
            }
            let answered = deliver::answered(delivery.url.as_str(), &[], delivery.body.clone(), PATIENCE).await;
            if !matches!(answered, Ok(Answered { status: 200..300, .. })) && delivery.tries < TRIES {
                delivery.tries += 1;
                delivery.due = Instant::now() + PERIOD * 2_u32.pow(delivery.tries);
                later.push(delivery);
            }
        }
        waiting = later;
    }
}

/// What is to be told since the last time.
fn due(world: &World) -> Vec<Delivery> {
    let now = world.now();
    let state = world.state::<Subscriptions>();
    let mut all = state.all.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|subscription| subscription.expires > now);
    let mut deliveries = Vec::new();
    for subscription in all.iter_mut() {
        if subscription.expires - now < WARNING && subscription.warned != Some(subscription.expires) {
            subscription.warned = Some(subscription.expires);
            let mut warning = envelope(world, subscription);
            warning["lifecycleEvent"] = json!("reauthorizationRequired");
            deliveries.extend(subscription.lifecycle.clone().map(|url| delivery(url, &[warning])));
        }
        let since = subscription.told;
        subscription.told = now.max(since);
        let mut notes = Vec::new();
        for (call, version) in calls::becoming_visible(seeded(world), since..now) {
            let kind = if version == 1 { "created" } else { "updated" };
            let mut rng = seeded(world).rng(&format!("notification {}", call.id), &[version as i64]);
            let lost = rng.below(30) == 0;
            if lost || !subscription.change_type.contains(kind) {
                continue;
            }
            let mut note = envelope(world, subscription);
            note["id"] = json!(rng.hex(24));
            note["changeType"] = json!(kind);
            note["resource"] = json!(format!("communications/callRecords/{}", call.id));
            note["resourceData"] = json!({
                "@odata.type": "#microsoft.graph.callRecord",
                "@odata.id": format!("communications/callRecords/{}", call.id),
                "id": call.id,
            });
            if rng.below(20) == 0 {
                notes.push(note.clone());
            }
            notes.push(note);
        }
        deliveries.extend(notes.chunks(MOST).map(|notes| delivery(subscription.url.clone(), notes)));
    }
    deliveries
}

fn envelope(world: &World, subscription: &Subscription) -> Value {
    json!({
        "subscriptionId": subscription.id,
        "subscriptionExpirationDateTime": instant::zulu(subscription.expires).replace('Z', "+00:00"),
        "clientState": subscription.client_state,
        "tenantId": world.registration.tenant,
    })
}

fn delivery(url: Url, notes: &[Value]) -> Delivery {
    Delivery { url, body: json!({"value": notes}).to_string(), tries: 0, due: Instant::now() }
}
