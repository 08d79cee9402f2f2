//! The subscription that makes notifications come: created, renewed at half of its life, created again when it is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::sync::Notify;
use url::Url;

use super::SharedJournal;
use crate::api::Api;
use crate::http::{Request, ServiceError, path_part};
use crate::instant;
use kqlake_import::{EventLevel, StopSignal};
use kqlake_value::US_PER_MINUTE;

/// What is subscribed to.
const RESOURCE: &str = "communications/callRecords";
/// The life that is asked for, in microseconds: less than the longest of call records (4,230 minutes), for clocks that differ.
const LIFE: i64 = 4_200 * US_PER_MINUTE;
/// Time between two looks.
const LOOK: Duration = Duration::from_secs(3_600);
/// The first and the longest wait after a failure.
const FIRST_RETRY: Duration = Duration::from_secs(60);
const LONGEST_RETRY: Duration = Duration::from_secs(1_800);
/// Pages of subscriptions that are looked through.
const PAGES: usize = 100;

/// What the receiver tells who keeps a subscription.
#[derive(Debug, Default)]
pub struct Attention {
    look: Notify,
    renewal: AtomicBool,
}

impl Attention {
    /// The subscription is to be looked at, at once.
    pub fn look(&self) {
        self.look.notify_one();
    }

    /// The subscription is to be renewed at once, however long it is valid: the service holds notifications back until it is
    /// (Microsoft Graph, "Lifecycle notifications", `reauthorizationRequired`).
    pub fn renew(&self) {
        self.renewal.store(true, Ordering::Release);
        self.look.notify_one();
    }

    /// Waits until there is something to do.
    pub async fn called(&self) {
        self.look.notified().await;
    }
}

/// Keeps the subscription of a tenant alive.
#[derive(Debug)]
pub struct Keeper {
    /// Graph.
    pub api: Api,
    /// The tenant's name in the configuration.
    pub tenant: String,
    /// Where notifications go.
    pub url: Url,
    /// Where those about the subscription go; the same address when not given.
    pub lifecycle: Option<Url>,
    /// What notifications carry.
    pub client_state: SecretString,
    /// True when the state is new with this process: a subscription that it finds has another.
    pub is_new_state: bool,
    /// Tells it to look at once.
    pub look: Arc<Attention>,
    /// Where it says what it does.
    pub journal: SharedJournal,
}

/// A subscription as the service tells it.
struct Found {
    id: String,
    expires: Option<i64>,
}

impl Keeper {
    /// Keeps it until somebody asks to stop. The subscription stays: the next process renews it.
    pub async fn keep(mut self, stop: StopSignal) {
        let mut failures = 0_u32;
        loop {
            let wait = match self.verify().await {
                Ok(()) => {
                    failures = 0;
                    LOOK
                }
                Err(error) => {
                    self.say(EventLevel::Error, &format!("Couldn't create webhook: {error}"));
                    failures += 1;
                    FIRST_RETRY.saturating_mul(1 << (failures - 1).min(8)).min(LONGEST_RETRY)
                }
            };
            tokio::select! {
                () = stop.asked() => return,
                () = self.look.called() => {}
                () = self.api.pace().sleep(wait) => {}
            }
        }
    }

    fn say(&self, severity: EventLevel, message: &str) {
        self.journal.line(false, severity, &format!("{message} [{}]", self.tenant));
    }

    /// Looks at the subscription once, and does what it needs.
    ///
    /// # Errors
    /// The service refuses.
    pub async fn verify(&mut self) -> Result<(), ServiceError> {
        let must_renew = self.look.renewal.swap(false, Ordering::AcqRel);
        let done = self.verified(must_renew).await;
        if must_renew && done.is_err() {
            self.look.renewal.store(true, Ordering::Release);
        }
        done
    }

    async fn verified(&mut self, must_renew: bool) -> Result<(), ServiceError> {
        self.say(EventLevel::Information, "Verifying call webhook subscription");
        let mut found = self.found().await?;
        found.sort_by_key(|subscription| std::cmp::Reverse(subscription.expires));
        let keep = if self.is_new_state { 0 } else { 1 };
        for other in found.iter().skip(keep) {
            self.remove(&other.id).await?;
        }
        let now = self.api.now();
        match found.first().filter(|_| keep == 1) {
            None => self.create(now).await?,
            Some(mine) if must_renew || mine.expires.is_none_or(|expires| expires < now + LIFE / 2) => {
                if !self.renew(&mine.id, now).await? {
                    self.create(now).await?;
                }
            }
            Some(_) => {}
        }
        self.is_new_state = false;
        Ok(())
    }

    /// The subscriptions to calls that send to our address.
    async fn found(&self) -> Result<Vec<Found>, ServiceError> {
        let mut found = Vec::new();
        let mut next = Some(self.api.url("v1.0/subscriptions"));
        for _ in 0..PAGES {
            let Some(url) = next.take() else { break };
            let page = self.api.json(Request::get(url.clone())).await?.body;
            for entry in page["value"].as_array().into_iter().flatten() {
                let text = |name: &str| entry[name].as_str().unwrap_or_default();
                let is_mine = text("resource").trim_matches('/').eq_ignore_ascii_case(RESOURCE)
                    && Url::parse(text("notificationUrl")).is_ok_and(|url| url == self.url);
                if is_mine {
                    found.push(Found { id: text("id").to_owned(), expires: instant::read(text("expirationDateTime")) });
                }
            }
            next = page["@odata.nextLink"].as_str().and_then(|link| url.join(link).ok());
        }
        Ok(found)
    }

    async fn create(&self, now: i64) -> Result<(), ServiceError> {
        let mut wanted = json!({
            "changeType": "created,updated",
            "notificationUrl": self.url.as_str(),
            "resource": RESOURCE,
            "expirationDateTime": instant::text(now + LIFE),
            "clientState": self.client_state.expose_secret(),
            "latestSupportedTlsVersion": "v1_2",
        });
        wanted["lifecycleNotificationUrl"] = self.lifecycle.as_ref().unwrap_or(&self.url).as_str().into();
        let made = self.api.json(Request::post_json(self.api.url("v1.0/subscriptions"), &wanted)).await?.body;
        self.say(EventLevel::Information, &format!("Created subscription {}", described(&made)));
        Ok(())
    }

    /// False when it is not there any more.
    async fn renew(&self, id: &str, now: i64) -> Result<bool, ServiceError> {
        let until = json!({ "expirationDateTime": instant::text(now + LIFE) });
        match self.api.json(Request::patch_json(self.one(id), &until)).await {
            Ok(renewed) => {
                self.say(EventLevel::Information, &format!("Updated subscription {}", described(&renewed.body)));
                Ok(true)
            }
            Err(error) if matches!(error.status, Some(404 | 410)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn remove(&self, id: &str) -> Result<(), ServiceError> {
        match self.api.bytes(Request::delete(self.one(id))).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.status, Some(404 | 410)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn one(&self, id: &str) -> Url {
        self.api.url(&format!("v1.0/subscriptions/{}", path_part(id)))
    }
}

fn described(subscription: &Value) -> String {
    let text = |name: &str| subscription[name].as_str().unwrap_or("?");
    format!("{} until {}", text("id"), text("expirationDateTime"))
}
