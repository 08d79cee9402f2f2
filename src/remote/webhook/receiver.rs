//! The HTTP server that Graph posts notifications to.
//!
//! It answers the validation handshake, believes only what carries the state that its subscription was made with, and acknowledges
//! a notification when its hints are on the disk. What it does not believe is acknowledged as well, and left out: whoever sends it
//! learns nothing, and an old subscription does not make Graph slow the new one down.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::notice::{Envelope, Notice};
use super::subscription::Attention;
use super::{Hint, SharedJournal, Spool};
use crate::pace::Pace;
use kqlake_import::{EventLevel, StopSignal};

/// Bytes of a validation token.
const MAX_TOKEN: usize = 4_096;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// What the receiver takes.
#[derive(Debug, Clone, Copy)]
pub struct ReceiverLimits {
    /// Bytes of a body.
    pub body: usize,
    /// Requests a second, on average.
    pub rate: f64,
    /// Requests that may come at once beyond that.
    pub burst: f64,
    /// Requests that are answered at the same time.
    pub at_once: usize,
}

impl Default for ReceiverLimits {
    fn default() -> Self {
        ReceiverLimits { body: 1 << 20, rate: 50.0, burst: 200.0, at_once: 64 }
    }
}

/// A tenant whose notifications are taken.
#[derive(Debug, Clone)]
pub struct Party {
    /// Its name in the configuration.
    pub name: String,
    /// Its id.
    pub id: String,
    /// What its subscription was made with.
    pub client_state: SecretString,
    /// Is called when its subscription must be looked at.
    pub look: Arc<Attention>,
}

/// A receiver that listens.
#[derive(Debug)]
pub struct Receiver {
    listener: TcpListener,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    parties: Vec<Party>,
    spool: Spool,
    journal: SharedJournal,
    limits: ReceiverLimits,
    pace: Pace,
    bucket: Mutex<Bucket>,
    at_once: Semaphore,
}

/// Requests that may still come.
#[derive(Debug)]
struct Bucket {
    left: f64,
    at: i64,
}

impl Receiver {
    /// Listens on an address; nothing is answered before [`Receiver::serve`].
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(
        address: SocketAddr,
        parties: Vec<Party>,
        spool: Spool,
        journal: SharedJournal,
        limits: ReceiverLimits,
        pace: Pace,
    ) -> std::io::Result<Receiver> {
        let listener = TcpListener::bind(address).await?;
        let bucket = Mutex::new(Bucket { left: limits.burst, at: pace.passed() });
        let at_once = Semaphore::new(limits.at_once.max(1));
        Ok(Receiver { listener, shared: Arc::new(Shared { parties, spool, journal, limits, pace, bucket, at_once }) })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until somebody asks to stop; requests that are under way are answered.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(self, stop: StopSignal) -> std::io::Result<()> {
        let router = Router::new().fallback(answer).with_state(self.shared);
        axum::serve(self.listener, router).with_graceful_shutdown(async move { stop.asked().await }).await
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if !shared.admits() {
        let mut refused = plain(StatusCode::TOO_MANY_REQUESTS, "too many requests");
        refused.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return refused;
    }
    let Ok(_place) = shared.at_once.try_acquire() else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "busy");
    };
    if request.method() == Method::GET {
        return plain(StatusCode::OK, "kqlake receives notifications of calls here");
    }
    if request.method() != Method::POST {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "notifications are posted");
    }
    if let Some(token) = validation_token(request.uri().query().unwrap_or_default()) {
        if token.len() > MAX_TOKEN {
            return plain(StatusCode::BAD_REQUEST, "the validation token is too long");
        }
        shared.journal.line(true, EventLevel::Information, "Validation request answered");
        return plain(StatusCode::OK, token);
    }
    let body = match tokio::time::timeout(BODY_TIME, to_bytes(request.into_body(), shared.limits.body)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or broke off"),
        Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "the body takes too long"),
    };
    match serde_json::from_slice::<Envelope>(&body) {
        Ok(envelope) => shared.take(envelope).await,
        Err(_) => plain(StatusCode::BAD_REQUEST, "this is no notification"),
    }
}

/// The token of a validation request, decoded.
fn validation_token(query: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name.eq_ignore_ascii_case("validationToken")).map(|(_, token)| token.into_owned())
}

/// Texts are declared as such, so that no browser takes one for a page.
fn plain(status: StatusCode, text: impl Into<String>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, Body::from(text.into())).into_response()
}

impl Shared {
    /// True when a request may come now.
    fn admits(&self) -> bool {
        let now = self.pace.passed();
        // The numbers are whole at every instant, whoever panicked.
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = (now - bucket.at).max(0) as f64 / 1e6;
        bucket.left = (bucket.left + passed * self.limits.rate).min(self.limits.burst);
        bucket.at = now;
        if bucket.left < 1.0 {
            return false;
        }
        bucket.left -= 1.0;
        true
    }

    /// The party that a notification is for, if it is to be believed.
    fn party(&self, notice: &Notice) -> Option<&Party> {
        let state = notice.client_state.as_deref().unwrap_or_default();
        let mut found = None;
        for party in &self.parties {
            let is_tenant = notice.tenant_id.as_deref().is_none_or(|id| id.eq_ignore_ascii_case(&party.id));
            // All are compared, whatever the first ones gave.
            if is_same(state, party.client_state.expose_secret()) && is_tenant && found.is_none() {
                found = Some(party);
            }
        }
        found
    }

    async fn take(&self, envelope: Envelope) -> Response {
        let mut strangers = 0;
        let mut hints: Vec<(&Party, Vec<String>)> = Vec::new();
        for notice in &envelope.value {
            let Some(party) = self.party(notice) else {
                strangers += 1;
                continue;
            };
            if let Some(event) = &notice.lifecycle_event {
                self.lifecycle(party, event, notice);
            } else if let Some(call) = notice.call() {
                match hints.iter_mut().find(|(other, _)| other.id == party.id) {
                    Some((_, calls)) => calls.push(call.to_owned()),
                    None => hints.push((party, vec![call.to_owned()])),
                }
            }
        }
        if strangers > 0 {
            let message = format!("{strangers} notifications without the state of a subscription of ours were left out");
            self.journal.line(true, EventLevel::Warning, &message);
        }
        for (party, mut calls) in hints {
            calls.sort_unstable();
            calls.dedup();
            let count = calls.len();
            let hint = Hint { tenant: party.id.clone(), received: self.pace.now(), calls };
            let spool = self.spool.clone();
            let put = tokio::task::spawn_blocking(move || spool.put(&hint)).await.map_err(std::io::Error::from).flatten();
            if let Err(error) = put {
                let message = format!("Notifications of {} could not be spooled: {error}", party.name);
                self.journal.line(true, EventLevel::Error, &message);
                // The service sends it again for hours.
                return plain(StatusCode::SERVICE_UNAVAILABLE, "not now");
            }
            self.journal.line(
                true,
                EventLevel::Information,
                &format!("Notifications of {count} calls of {} were spooled", party.name),
            );
            self.journal.notified(&party.name, count);
        }
        plain(StatusCode::ACCEPTED, "")
    }

    fn lifecycle(&self, party: &Party, event: &str, notice: &Notice) {
        let known = ["reauthorizationRequired", "subscriptionRemoved", "missed"];
        let Some(event) = known.into_iter().find(|name| name.eq_ignore_ascii_case(event)) else { return };
        let id: String = notice.subscription_id.as_deref().unwrap_or_default().chars().take(64).collect();
        self.journal.line(
            true,
            EventLevel::Information,
            &format!("Lifecycle event {event} of subscription {id} of {}", party.name),
        );
        match event {
            // Listing finds what was missed.
            "missed" => self.journal.notified(&party.name, 0),
            "reauthorizationRequired" => party.look.renew(),
            _ => party.look.look(),
        }
    }
}

/// Compares in a time that does not tell how much is the same.
fn is_same(given: &str, expected: &str) -> bool {
    use sha2::{Digest as _, Sha256};
    // Of one length, whatever was given.
    let (given, expected) = (Sha256::digest(given.as_bytes()), Sha256::digest(expected.as_bytes()));
    aws_lc_rs::constant_time::verify_slices_are_equal(&given, &expected).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_decoded_and_states_compared() {
        assert_eq!(validation_token("a=b&validationToken=x%20%2B%3Cy%3E+z"), Some("x +<y> z".into()));
        assert_eq!(validation_token("validationtoken="), Some(String::new()));
        assert_eq!(validation_token("token=1"), None);
        assert!(
            is_same("secret", "secret")
                && !is_same("secreT", "secret")
                && !is_same("", "secret")
                && !is_same("secret1", "secret")
        );
    }
}
