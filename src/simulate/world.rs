//! The state that all services of a simulated tenant share.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac;
use axum::http::HeaderMap;

use crate::clock::SimulatedClock;
use crate::faults::Faults;
use crate::manifest::{Served, Table};
use crate::random;
use crate::settings::Settings;
use crate::tokens::{Denied, Token, bearer};
use kqlake_value::clock::Clock as _;

/// The registered application and its tenant.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    /// The tenant's guid.
    pub(crate) tenant: String,
    /// Its domain, which login takes for its guid.
    pub(crate) domain: String,
    /// The application's guid.
    pub(crate) client_id: String,
    pub(crate) secret: String,
    /// The certificate in DER, where one is registered.
    pub(crate) certificate: Option<Vec<u8>>,
    /// The resource of Application Insights, and the key that its API takes.
    pub(crate) insights_app: String,
    pub(crate) insights_key: String,
    /// The workspace of Log Analytics.
    pub(crate) workspace: String,
    /// The key of the queue's policy.
    pub(crate) queue_key: String,
}

impl Registration {
    pub(crate) fn of(seed: u64, certificate: Option<Vec<u8>>) -> Self {
        let name = |what: &str| random::guid(seed, &[random::word(what)]);
        Self {
            tenant: name("tenant"),
            domain: "contoso.onmicrosoft.com".to_owned(),
            client_id: name("application"),
            secret: format!("sim~{}", name("secret").replace('-', "")),
            certificate,
            insights_app: name("application insights"),
            insights_key: name("key of application insights").replace('-', ""),
            workspace: name("workspace"),
            queue_key: name("key of the queue").replace('-', ""),
        }
    }
}

/// What a perfect client has of a service's data: for each table of the lake.
pub(crate) type Truth = fn(&World) -> Vec<Table>;

/// The state that all services share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    /// 1 is a small tenant with some thousand records of each kind.
    pub(crate) scale: f64,
    pub(crate) clock: SimulatedClock,
    pub(crate) registration: Registration,
    pub(crate) settings: Settings,
    pub(crate) faults: Faults,
    pub(crate) served: Served,
    /// Where the server listens.
    pub(crate) address: SocketAddr,
    /// Asked for the truth when a manifest is written.
    pub(crate) truths: Vec<Truth>,
    key: hmac::Key,
    states: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl World {
    pub(crate) fn new(
        (seed, scale): (u64, f64),
        clock: SimulatedClock,
        registration: Registration,
        (settings, faults): (Settings, Faults),
        address: SocketAddr,
        truths: Vec<Truth>,
    ) -> Self {
        let key = random::number(seed, &[random::word("signing key")]).to_be_bytes();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let (served, states) = Default::default();
        Self { seed, scale, clock, registration, settings, faults, served, address, truths, key, states }
    }

    /// The one value of a type that a service keeps its state in.
    pub(crate) fn state<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        // Under the key of a type is a value of this type.
        Arc::clone(state).downcast().unwrap_or_default()
    }

    /// The simulated instant in microseconds since 1970-01-01 UTC.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now_micros()
    }

    /// A token for an audience with these roles, but those that are set to be missing.
    pub(crate) fn issue(&self, audience: &str, roles: &[&str]) -> (Token, String) {
        let issued = self.clock.now_seconds();
        let is_given = |role: &&&str| !self.settings.missing_roles.iter().any(|missing| missing == **role);
        let token = Token {
            tenant: self.registration.tenant.clone(),
            application: self.registration.client_id.clone(),
            audience: audience.to_owned(),
            roles: roles.iter().filter(is_given).map(|role| (*role).to_owned()).collect(),
            issued,
            expires: issued + self.settings.token_lifetime_seconds,
        };
        let text = token.sign(&self.key);
        (token, text)
    }

    /// The token of a request, if it is for one of these audiences, has not expired, and has one of the roles (none named: any
    /// token will do).
    ///
    /// # Errors
    /// What is wrong with it; each service says it in its own words.
    pub(crate) fn require(&self, headers: &HeaderMap, audiences: &[&str], roles: &[&str]) -> Result<Token, Denied> {
        let token = Token::verify(bearer(headers).ok_or(Denied::Missing)?, &self.key).ok_or(Denied::Invalid)?;
        if token.expires <= self.clock.now_seconds() {
            return Err(Denied::Expired);
        }
        let is_same = |audience: &&str| audience.trim_end_matches('/') == token.audience.trim_end_matches('/');
        if !audiences.iter().any(is_same) {
            return Err(Denied::Audience(token.audience));
        }
        if roles.is_empty() || roles.iter().any(|role| token.roles.iter().any(|given| given == role)) {
            return Ok(token);
        }
        Err(Denied::Role(roles.iter().map(|role| (*role).to_owned()).collect()))
    }
}
