//! Tokens: one for each application and service, kept until shortly before its end, and asked for by one request at a time.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;

use crate::cloud::Service;
use crate::credentials::{advice, answered, token_of, token_request};
use crate::http::{Auth, Backoff, Failure, HeaderMap, Origins, Request, ServiceError, Transport, date_of, of_body};
use crate::pace::Pace;
use crate::settings::{Credential, Tenant};
use kqlake_value::US_PER_MINUTE;

/// A token that lives shorter than this is replaced (microseconds), or one that has less than half of its life left.
const MARGIN: i64 = 5 * US_PER_MINUTE;
/// A refusal is repeated for so long without asking (microseconds): who asks and asks is throttled.
const REMEMBERED: i64 = US_PER_MINUTE;
/// Tries at a token.
const TRIES: u32 = 6;
/// Bytes that the answer may have.
const CAP: u64 = 1 << 20;
/// Seconds that clocks may differ before an assertion is made out by the service's.
const SKEW: i64 = 60;

/// A token, ready for the header.
#[derive(Clone)]
pub(crate) struct Token {
    header: HeaderValue,
    number: u64,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.number)
    }
}

impl Token {
    /// The header's value.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// What the token says of itself, without its signature; nothing that it says is relied on.
    pub(crate) fn claims(&self) -> Option<Value> {
        let text = self.header.to_str().ok()?;
        let payload = URL_SAFE_NO_PAD.decode(text.split('.').nth(1)?.trim_end_matches('=')).ok()?;
        serde_json::from_slice(&payload).ok()
    }
}

/// What the last request for a token gave, and until when it holds.
#[derive(Debug)]
struct CachedToken {
    outcome: Result<Token, ServiceError>,
    until: i64,
}

type Slot = Arc<tokio::sync::Mutex<Option<CachedToken>>>;

/// Tokens of all tenants.
#[derive(Debug, Clone)]
pub(crate) struct TokenCache {
    slots: Arc<Mutex<HashMap<[String; 4], Slot>>>,
    numbers: Arc<AtomicU64>,
    transport: Transport,
    pace: Pace,
}

impl TokenCache {
    /// No tokens yet.
    pub(crate) fn new(transport: Transport, pace: Pace) -> Self {
        TokenCache { slots: Arc::default(), numbers: Arc::new(AtomicU64::new(1)), transport, pace }
    }

    /// Tokens of a tenant's application for an audience.
    pub(crate) fn of(&self, tenant: &Arc<Tenant>, login: Url, audience: &str) -> Tokens {
        let key = [login.to_string(), tenant.id.clone(), tenant.client_id.clone(), audience.to_owned()];
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = Arc::clone(slots.entry(key).or_default());
        Tokens {
            slot,
            tenant: Arc::clone(tenant),
            login,
            audience: audience.to_owned(),
            skew: AtomicI64::new(0),
            cache: self.clone(),
        }
    }
}

/// Tokens of one application for one service.
#[derive(Debug)]
pub(crate) struct Tokens {
    slot: Slot,
    tenant: Arc<Tenant>,
    login: Url,
    audience: String,
    /// Seconds that the service's clock is ahead of ours.
    skew: AtomicI64,
    cache: TokenCache,
}

impl Tokens {
    /// A token that lives for a while. Who comes while one is asked for waits for it.
    pub(crate) async fn get(&self) -> Result<Token, ServiceError> {
        let mut slot = self.slot.lock().await;
        if let Some(held) = slot.as_ref().filter(|held| held.until > self.cache.pace.passed()) {
            return held.outcome.clone();
        }
        let (outcome, life) = match self.ask().await {
            Ok((token, seconds)) => {
                let life = i64::try_from(seconds.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
                (Ok(token), life - MARGIN.min(life / 2))
            }
            // What may pass is asked for again by the next who needs it.
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => (Err(error), REMEMBERED),
        };
        let until = self.cache.pace.passed().saturating_add(life);
        *slot = Some(CachedToken { outcome: outcome.clone(), until });
        outcome
    }

    /// A service did not take a token: the next who asks gets a new one.
    pub(crate) async fn forget(&self, token: &Token) {
        let mut slot = self.slot.lock().await;
        // Others may have had it replaced already.
        let is_held = |held: &CachedToken| held.outcome.as_ref().is_ok_and(|own| own.number == token.number);
        if slot.as_ref().is_some_and(is_held) {
            *slot = None;
        }
    }

    async fn ask(&self) -> Result<(Token, u64), ServiceError> {
        let pace = &self.cache.pace;
        let credential = |message: String| ServiceError::new(Service::Login, Failure::Credential, message);
        let mut backoff = Backoff::default();
        let mut is_adjusted = false;
        loop {
            let now = pace.now() / 1_000_000 + self.skew.load(Ordering::Relaxed);
            let request = self.request(now).await.map_err(credential)?.cap(CAP);
            let mut sent = self.once(&request).await;
            if let Credential::Arc { keys, .. } = &self.tenant.credential
                && let Some(challenge) = sent.as_ref().err().and_then(|error| error.challenge.clone())
            {
                let keys = keys.clone();
                let answered = tokio::task::spawn_blocking(move || answered(request, &challenge, &keys)).await;
                let answered = answered.map_err(|error| error.to_string()).flatten();
                sent = self.once(&answered.map_err(credential)?.cap(CAP)).await;
            }
            let error = match sent {
                Ok((value, headers)) => match token_of(&value) {
                    Some((token, seconds)) => return Ok((self.token(&token).map_err(credential)?, seconds)),
                    None => {
                        let error = ServiceError::new(Service::Login, Failure::Broken, "the answer holds no token");
                        ServiceError { date: date_of(&headers), ..error }
                    }
                },
                Err(error) => self.judged(error),
            };
            let skew = error.date.map_or(0, |date| date - pace.now() / 1_000_000);
            let is_late = matches!(self.tenant.credential, Credential::Certificate { .. }) && skew.abs() > SKEW;
            if error.failure == Failure::Credential && is_late && !is_adjusted {
                // The assertion may have been one of another time; it is made out once more by the service's clock.
                is_adjusted = true;
                self.skew.store(skew, Ordering::Relaxed);
                continue;
            }
            if !error.is_transient() || backoff.tries() + 1 >= TRIES {
                return Err(error);
            }
            let wait = backoff.next();
            pace.sleep(error.retry_after.map_or(wait, |asked| asked + wait)).await;
        }
    }

    /// Files are read and assertions are signed beside the tasks that wait for the network.
    async fn request(&self, now: i64) -> Result<Request, String> {
        let (tenant, login, audience) = (Arc::clone(&self.tenant), self.login.clone(), self.audience.clone());
        let made = tokio::task::spawn_blocking(move || token_request(&tenant, &login, &audience, now));
        made.await.map_err(|error| error.to_string())?
    }

    async fn once(&self, request: &Request) -> Result<(Value, HeaderMap), ServiceError> {
        let (pace, service) = (&self.cache.pace, Service::Login);
        let origins = match request.auth {
            Auth::Key(..) => Origins::of([request.url()]),
            Auth::Bearer | Auth::Anonymous => Origins::of([]),
        };
        let received = self.cache.transport.send(service, request, None, &origins, pace).await?;
        let (mut body, mut text) = (received.body, Vec::new());
        while let Some(piece) =
            body.next().await.map_err(|error| of_body(service, request.url(), Some(&received.headers), error))?
        {
            text.extend_from_slice(&piece);
        }
        let value = serde_json::from_slice(&text);
        let broken = |_| ServiceError::new(service, Failure::Broken, "the answer to a request for a token is no JSON");
        Ok((value.map_err(broken)?, received.headers))
    }

    fn token(&self, token: &SecretString) -> Result<Token, String> {
        let header = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
        let mut header = header.map_err(|_| "the token has characters that no header may have".to_owned())?;
        header.set_sensitive(true);
        Ok(Token { header, number: self.cache.numbers.fetch_add(1, Ordering::Relaxed) })
    }

    /// The error of a request for a token, with what to do about it.
    fn judged(&self, mut error: ServiceError) -> ServiceError {
        if error.is_code("temporarily_unavailable") || error.is_code("server_error") {
            error.failure = Failure::Service;
        }
        if matches!(error.failure, Failure::Refused | Failure::Unauthorized) {
            error.failure = Failure::Credential;
        }
        if let Credential::Secret(secret) = &self.tenant.credential
            && error.message.contains(secret.expose_secret())
        {
            error.message = error.message.replace(secret.expose_secret(), "…");
        }
        if let Some(advice) = advice(&error.message) {
            error.message = format!("{}; {advice}", error.message);
        }
        error
    }
}
