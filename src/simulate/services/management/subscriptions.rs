//! Subscriptions: none, enabled, disabled; what is made while there is none is lost.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::hook::Webhook;
use super::{Refusal, State, webhook};
use crate::answer::{self, Call};
use crate::clock::iso;
use crate::tenant::audit::Kind;

/// All subscriptions of a tenant.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    of: BTreeMap<Kind, Subscription>,
}

/// One subscription.
#[derive(Debug)]
struct Subscription {
    /// Times of blobs that it gives, and the instant from which it gives them.
    periods: Vec<Period>,
    webhook: Option<Webhook>,
}

#[derive(Debug)]
struct Period {
    from: i64,
    /// Exclusive; open while the subscription is enabled.
    to: Option<i64>,
    shown_from: i64,
}

impl Subscription {
    fn is_enabled(&self) -> bool {
        self.periods.last().is_some_and(|period| period.to.is_none())
    }

    fn object(&self, kind: Kind) -> Value {
        let webhook = self.webhook.as_ref().map(|hook| {
            json!({
                "status": if hook.is_disabled { "disabled" } else { "enabled" },
                "address": hook.address,
                "authId": hook.auth_id,
                "expiration": hook.expiration.map(|at| format!("{}Z", iso(at, 0))),
            })
        });
        json!({
            "contentType": kind.name(),
            "status": if self.is_enabled() { "enabled" } else { "disabled" },
            "webhook": webhook,
        })
    }
}

impl Subscriptions {
    /// Subscriptions that have been running for long.
    pub(super) fn running(names: &[String]) -> Self {
        let forever = || Subscription { periods: vec![Period { from: i64::MIN, to: None, shown_from: i64::MIN }], webhook: None };
        Self { of: names.iter().filter_map(|name| Kind::of(name)).map(|kind| (kind, forever())).collect() }
    }

    /// True for the time of a blob that a subscription gives at an instant.
    pub(super) fn covers(&self, kind: Kind, created: i64, now: i64) -> bool {
        self.of.get(&kind).is_some_and(|subscription| {
            let gives =
                |period: &Period| period.from <= created && period.to.is_none_or(|to| created < to) && period.shown_from <= now;
            subscription.periods.iter().any(gives)
        })
    }

    /// # Errors
    /// When there is no subscription, or it is disabled.
    pub(super) fn check(&self, kind: Kind) -> Result<(), Refusal> {
        match self.of.get(&kind) {
            None => {
                Err(Refusal::bad("AF20022", format!("No subscription found for the specified content type ({}).", kind.name())))
            }
            Some(subscription) if !subscription.is_enabled() => {
                Err(Refusal::bad("AF20023", "The subscription was disabled by a tenant admin."))
            }
            Some(_) => Ok(()),
        }
    }

    pub(super) fn list(&self) -> Value {
        Value::Array(self.of.iter().map(|(kind, subscription)| subscription.object(*kind)).collect())
    }

    pub(super) fn webhook(&self, kind: Kind) -> Option<Webhook> {
        let subscription = self.of.get(&kind).filter(|subscription| subscription.is_enabled())?;
        subscription.webhook.clone().filter(|hook| !hook.is_disabled)
    }

    pub(super) fn disable_webhook(&mut self, kind: Kind) {
        if let Some(hook) = self.of.get_mut(&kind).and_then(|subscription| subscription.webhook.as_mut()) {
            hook.is_disabled = true;
        }
    }

    /// Enables, updates or enables again. `delay`: from the first start until there is something, in microseconds.
    ///
    /// # Errors
    /// When nothing changes.
    pub(super) fn start(&mut self, kind: Kind, webhook: Option<Webhook>, now: i64, delay: i64) -> Result<Value, Refusal> {
        let is_first = !self.of.contains_key(&kind);
        let subscription = self.of.entry(kind).or_insert_with(|| Subscription { periods: Vec::new(), webhook: None });
        if subscription.is_enabled() && subscription.webhook == webhook {
            return Err(Refusal::bad("AF20024", "The subscription is already enabled. No property change."));
        }
        if !subscription.is_enabled() {
            // Without a delay, what was made before the first start is there.
            let from = if is_first && delay == 0 { i64::MIN } else { now };
            let shown_from = if is_first { now.saturating_add(delay) } else { now };
            subscription.periods.push(Period { from, to: None, shown_from });
        }
        subscription.webhook = webhook;
        Ok(subscription.object(kind))
    }

    fn stop(&mut self, kind: Kind, now: i64) -> Result<(), Refusal> {
        self.check(kind)?;
        if let Some(period) = self.of.get_mut(&kind).and_then(|subscription| subscription.periods.last_mut()) {
            period.to = Some(now);
        }
        Ok(())
    }
}

pub(super) async fn start(call: &Call, state: &std::sync::Arc<State>, kind: Kind) -> Result<Response, Refusal> {
    let world = &call.world;
    let webhook = match call.json().and_then(|body| body.get("webhook").cloned()) {
        None | Some(Value::Null) => None,
        Some(hook) => Some(read_webhook(&hook, world.now())?),
    };
    if let Some(hook) = &webhook {
        webhook::validate(world, hook).await?;
    }
    let delay = world.settings.audit_first_start_delay_seconds.saturating_mul(1_000_000);
    let object = state.subscriptions(world).start(kind, webhook.clone(), world.now(), delay)?;
    if webhook.is_some() {
        webhook::keep_sending(world, state, kind, call.base.clone());
    }
    Ok(answer::json(StatusCode::OK, &object))
}

fn read_webhook(hook: &Value, now: i64) -> Result<Webhook, Refusal> {
    let text = |name: &str| hook.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let address = text("address").ok_or_else(|| Refusal::bad("AF20001", "Missing parameter: webhook.address."))?;
    let expiration = match text("expiration") {
        Some(text) => Some(
            crate::tenant::instant::parse(&text)
                .ok_or_else(|| Refusal::bad("AF20002", "Invalid parameter type: expiration. Expected valid type: datetime."))?,
        ),
        None => None,
    };
    if expiration.is_some_and(|at| at <= now) {
        return Err(Refusal::bad("AF20003", "Expiration provided is set to past date and time."));
    }
    Ok(Webhook { address, auth_id: text("authId"), expiration, is_disabled: false })
}

pub(super) fn stop(call: &Call, state: &State, kind: Kind) -> Result<Response, Refusal> {
    state.subscriptions(&call.world).stop(kind, call.world.now())?;
    Ok(answer::text(StatusCode::OK, "application/json; charset=utf-8", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<impl Sized, Refusal>) -> &'static str {
        match result {
            Err(Refusal::Because { code, .. }) => code,
            Err(_) => "other",
            Ok(_) => "",
        }
    }

    #[test]
    fn a_subscription_goes_from_none_over_enabled_to_disabled_and_back() {
        let kind = Kind::Exchange;
        let mut all = Subscriptions::default();
        assert_eq!(code(all.check(kind)), "AF20022");
        assert_eq!(code(all.start(kind, None, 100, 0)), "");
        assert_eq!(code(all.start(kind, None, 110, 0)), "AF20024");
        assert_eq!(code(all.check(kind)), "");
        assert!(all.covers(kind, 5, 100) && !all.covers(Kind::Entra, 5, 100));
        assert_eq!(code(all.stop(kind, 200)), "");
        assert_eq!(code(all.check(kind)), "AF20023");
        assert_eq!(code(all.stop(kind, 210)), "AF20023");
        assert_eq!(all.list()[0]["status"], "disabled");
        assert_eq!(code(all.start(kind, None, 300, 0)), "");
        // What was made in between is lost.
        assert_eq!([199, 200, 299, 300].map(|created| all.covers(kind, created, 400)), [true, false, false, true]);
    }

    #[test]
    fn the_first_start_may_take_its_time() {
        let mut all = Subscriptions::default();
        assert!(all.start(Kind::Entra, None, 100, 50).is_ok());
        assert_eq!(
            [(99, 160), (100, 149), (100, 150)].map(|(created, now)| all.covers(Kind::Entra, created, now)),
            [false, false, true]
        );
        let running = Subscriptions::running(&["audit.general".to_owned(), "unknown".to_owned()]);
        assert!(running.covers(Kind::General, -5, 0));
        assert_eq!(running.list().as_array().map(Vec::len), Some(1));
    }
}
