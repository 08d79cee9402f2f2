//! One service of one tenant, as sections use it: requests that are tried again, within quotas, with tokens.

mod streamed;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use url::Url;

pub use self::streamed::Streamed;
use crate::budget::{Permit, Quota, Quotas, RequestLimits};
use crate::cloud::Service;
use crate::http::{
    Auth, Backoff, Failure, HeaderMap, Origins, Reading, Request, ServiceError, Transport, date_of, json_ends, of_body, place,
    said_error,
};
use crate::pace::Pace;
use crate::token::{Token, Tokens};
use kqlake_value::json::structure::first_byte;
use kqlake_value::parse::without_mark;
use kqlake_value::{US_PER_DAY, US_PER_MINUTE, US_PER_SECOND};

/// Tries of one request.
const TRIES: u32 = 6;
/// How often a token that a service did not take is followed by another try.
const RENEWALS: u32 = 2;
/// How long one request may be tried again and again, waits included (microseconds).
const LONGEST: i64 = 20 * US_PER_MINUTE;
/// How long a new token that was not taken is left alone at least.
const FRESH: Duration = Duration::from_secs(2);
/// Bytes of a body that are held back until it is known whether that was all of it.
const HELD: u64 = 2 << 20;

/// Clocks that move by more than this against each other were set (microseconds).
const SET: i64 = 30 * US_PER_SECOND;

/// Clocks that differ by more than this (microseconds) are not wrong, but of different times, as in trials.
const FOREIGN: i64 = 30 * US_PER_DAY;

/// An answer with its body.
#[derive(Debug, Clone)]
pub struct ServiceAnswer<T> {
    /// The body.
    pub body: T,
    /// The status; it says that all is well.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
}

impl<T> ServiceAnswer<T> {
    /// A header's value, where it is a text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What is looked at before a body is taken for what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// JSON; posts may also be answered by nothing.
    Json,
    /// JSON, or a status that says that there is none.
    Content,
    Anything,
}

/// A service of a tenant.
#[derive(Debug, Clone)]
pub struct Api {
    inner: Arc<Inner>,
    quotas: Arc<[Arc<Quota>]>,
}

#[derive(Debug)]
struct Inner {
    service: Service,
    /// `tenant id/service`: what quotas are kept under.
    name: String,
    base: Url,
    origins: Origins,
    tokens: Option<Tokens>,
    transport: Transport,
    known: Quotas,
    pace: Pace,
    /// Microseconds that the service's clock is at least ahead of ours; `i64::MIN` until an answer tells.
    skew: AtomicI64,
}

/// A body that has begun to come, and the permission to go on with it.
pub(crate) struct ResponseStart {
    /// The headers.
    pub headers: HeaderMap,
    status: u16,
    /// What has come.
    pub held: Vec<Bytes>,
    /// What is still to come; `None` when everything has.
    pub rest: Option<(Reading, Vec<Permit>)>,
}

impl ResponseStart {
    fn into_bytes(self) -> Bytes {
        match <[Bytes; 1]>::try_from(self.held) {
            Ok([one]) => one,
            Err(many) => Bytes::from(many.concat()),
        }
    }
}

impl Api {
    pub(crate) fn new(
        service: Service,
        tenant: &str,
        base: Url,
        tokens: Option<Tokens>,
        transport: Transport,
        known: Quotas,
        limits: RequestLimits,
        pace: Pace,
    ) -> Self {
        let name = format!("{tenant}/{}", service.key());
        let quota = known.of(&name, limits);
        let origins = Origins::of([&base]);
        let skew = AtomicI64::new(i64::MIN);
        let inner = Inner { service, name, base, origins, tokens, transport, known, pace, skew };
        Api { inner: Arc::new(inner), quotas: Arc::new([quota]) }
    }

    /// The same with a quota of its own besides; all who name it for this service share it.
    #[must_use]
    pub fn limited(&self, name: &str, limits: RequestLimits) -> Api {
        let quota = self.inner.known.of(&format!("{}/{name}", self.inner.name), limits);
        let mut quotas = self.quotas.to_vec();
        if !quotas.iter().any(|own| Arc::ptr_eq(own, &quota)) {
            quotas.push(quota);
        }
        Api { inner: Arc::clone(&self.inner), quotas: quotas.into() }
    }

    /// The service.
    pub fn service(&self) -> Service {
        self.inner.service
    }

    /// How time passes.
    pub fn pace(&self) -> &Pace {
        &self.inner.pace
    }

    /// The address of a path of the service; what stands behind a `?` in it is the query.
    pub fn url(&self, path: &str) -> Url {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let mut url = self.inner.base.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}/{}", path.trim_start_matches('/')));
        url.set_query(query);
        url
    }

    /// The instant by the service's clock, as far as its answers said it, in microseconds since 1970: windows must fit that one.
    /// It is never later than the service's own. A service whose time is another altogether is asked by ours.
    pub fn now(&self) -> i64 {
        let skew = Some(self.inner.skew.load(Ordering::Relaxed)).filter(|skew| (-FOREIGN..=FOREIGN).contains(skew));
        self.inner.pace.now().saturating_add(skew.unwrap_or(0))
    }

    /// Seconds that the service's clock is ahead of ours; `None` until an answer said so.
    pub fn skew(&self) -> Option<i64> {
        let skew = Some(self.inner.skew.load(Ordering::Relaxed)).filter(|skew| *skew != i64::MIN);
        // What its answers tell is cut to seconds.
        skew.map(|skew| (skew + 500_000).div_euclid(1_000_000))
    }

    /// Notes what an answer says of its time, in seconds since 1970. It was that second or a little later, by as much as is cut
    /// off and as the answer was under way: of several answers the one that says most is nearest, unless a clock was set.
    fn learn(&self, date: i64) {
        let said = date.saturating_mul(1_000_000).saturating_sub(self.inner.pace.now());
        let nearer = |known: i64| (said > known || said < known.saturating_sub(SET)).then_some(said);
        // Who came first has noted the same.
        let _ = self.inner.skew.fetch_update(Ordering::Relaxed, Ordering::Relaxed, nearer);
    }

    /// The permissions that the application's token for this service has.
    ///
    /// # Errors
    /// No token can be obtained.
    pub async fn roles(&self) -> Result<Vec<String>, ServiceError> {
        let Some(tokens) = &self.inner.tokens else { return Ok(Vec::new()) };
        let claims = tokens.get().await?.claims().unwrap_or_default();
        let roles = claims.get("roles").and_then(Value::as_array);
        Ok(roles.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// Asks for JSON. Bytes that are no UTF-8 are replaced.
    ///
    /// # Errors
    /// The service refuses, or does not answer whole and well after all tries.
    pub async fn json(&self, request: Request) -> Result<ServiceAnswer<Value>, ServiceError> {
        let begun = self.begin(&request, u64::MAX, Expected::Json).await?;
        let (status, headers) = (begun.status, begun.headers.clone());
        let bytes = begun.into_bytes();
        // Answers without content say so by their status.
        let body =
            if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&String::from_utf8_lossy(without_mark(&bytes))) };
        let broken = |_| ServiceError::new(self.inner.service, Failure::Broken, "the answer is no JSON");
        Ok(ServiceAnswer { body: body.map_err(broken)?, status, headers })
    }

    /// Asks for JSON, as the text that it is.
    ///
    /// # Errors
    /// As [`Api::json`].
    pub(crate) async fn json_bytes(&self, request: Request) -> Result<ServiceAnswer<Bytes>, ServiceError> {
        let begun = self.begin(&request, u64::MAX, Expected::Json).await?;
        let (status, headers) = (begun.status, begun.headers.clone());
        Ok(ServiceAnswer { body: begun.into_bytes(), status, headers })
    }

    /// Asks for a text or other bytes.
    ///
    /// # Errors
    /// The service refuses, or does not answer whole after all tries.
    pub async fn bytes(&self, request: Request) -> Result<ServiceAnswer<Bytes>, ServiceError> {
        let begun = self.begin(&request, u64::MAX, Expected::Anything).await?;
        let (status, headers) = (begun.status, begun.headers.clone());
        Ok(ServiceAnswer { body: begun.into_bytes(), status, headers })
    }

    /// Asks for a text; bytes that are no UTF-8 are replaced.
    ///
    /// # Errors
    /// As [`Api::bytes`].
    pub async fn text(&self, request: Request) -> Result<ServiceAnswer<String>, ServiceError> {
        let ServiceAnswer { body, status, headers } = self.bytes(request).await?;
        Ok(ServiceAnswer { body: String::from_utf8_lossy(&body).into_owned(), status, headers })
    }

    /// Asks for JSON that may be large. A small body has come whole when this returns; of a larger one the rest comes while it is
    /// read, and is asked for again where it breaks off.
    ///
    /// # Errors
    /// The service refuses, or does not begin to answer after all tries.
    pub async fn stream(&self, request: Request) -> Result<Streamed, ServiceError> {
        let begun = self.begin(&request, HELD, Expected::Content).await?;
        Ok(Streamed::new(self.clone(), request, begun))
    }

    /// The rest of a body that broke off: the same request, from its beginning.
    pub(crate) async fn begin_again(&self, request: &Request) -> Result<ResponseStart, ServiceError> {
        self.begin(request, 0, Expected::Anything).await
    }

    /// Asks until a body has begun to come, so many bytes of it, or all.
    async fn begin(&self, request: &Request, held: u64, expected: Expected) -> Result<ResponseStart, ServiceError> {
        let pace = &self.inner.pace;
        let began = pace.passed();
        let mut backoff = Backoff::default();
        let (mut throttled, mut renewed) = (Backoff::default(), 0);
        // What was no JSON, to see whether it is always the same.
        let mut odd: Option<Bytes> = None;
        loop {
            let mut permits = Vec::with_capacity(self.quotas.len());
            // The one that all share comes last: who waits for another holds nobody up.
            for quota in self.quotas.iter().rev() {
                permits.push(quota.admit().await);
            }
            let token = match (&request.auth, &self.inner.tokens) {
                (Auth::Bearer, Some(tokens)) => Some(tokens.get().await?),
                _ => None,
            };
            let error = match self.once(request, token.as_ref(), held, permits).await {
                Ok(begun) => match self.looked_at(request, begun, expected, &mut odd) {
                    Ok(begun) => {
                        self.quotas.iter().for_each(|quota| quota.succeed());
                        return Ok(begun);
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            tracing::debug!(%error, "a request failed");
            if error.failure == Failure::Unauthorized
                && renewed < RENEWALS
                && let (Some(tokens), Some(token)) = (&self.inner.tokens, &token)
            {
                renewed += 1;
                if renewed == 1 {
                    tokens.forget(token).await;
                } else if request.again {
                    // A new one may be too new: machines of a service do not have the very same time.
                    pace.sleep(FRESH + backoff.next()).await;
                } else {
                    return Err(error);
                }
                continue;
            }
            if !error.is_transient() {
                return Err(error);
            }
            let wait = if error.failure == Failure::Throttled {
                let wait = match error.retry_after {
                    Some(asked) => asked + throttled.next() / 4,
                    None => throttled.throttled(),
                };
                self.throttled(wait);
                wait
            } else {
                self.quotas.iter().for_each(|quota| quota.falter());
                let wait = backoff.next();
                error.retry_after.map_or(wait, |asked| asked + wait / 4)
            };
            let waited = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
            let is_over = (pace.passed() - began).saturating_add(waited) > LONGEST;
            if !request.again || backoff.tries() >= TRIES || is_over {
                return Err(ServiceError { retry_after: Some(wait), ..error });
            }
            pace.sleep(wait).await;
        }
    }

    /// The service said that requests come too fast: all who use the same quota leave it alone. Those who only share how many are
    /// under way, as the sections of one service do, go on more slowly.
    fn throttled(&self, wait: Duration) {
        for quota in self.quotas.iter() {
            if quota.is_counted() { quota.throttle(wait) } else { quota.falter() }
        }
    }

    /// One try, whose body is read as far as it is to be held.
    async fn once(
        &self,
        request: &Request,
        token: Option<&Token>,
        held: u64,
        permits: Vec<Permit>,
    ) -> Result<ResponseStart, ServiceError> {
        let (inner, service) = (&self.inner, self.inner.service);
        let sent = inner.transport.send(service, request, token.map(Token::header), &inner.origins, &inner.pace).await;
        let date = sent.as_ref().map_or_else(|error| error.date, |received| date_of(&received.headers));
        if let Some(date) = date {
            self.learn(date);
        }
        let received = sent?;
        let mut begun = ResponseStart { headers: received.headers, status: received.status, held: Vec::new(), rest: None };
        let (mut body, mut length) = (received.body, 0_u64);
        while length < held {
            let piece = body.next().await;
            match piece.map_err(|error| of_body(service, request.url(), Some(&begun.headers), error))? {
                Some(piece) => {
                    length += piece.len() as u64;
                    begun.held.push(piece);
                }
                None => return Ok(begun),
            }
        }
        begun.rest = Some((body, permits));
        Ok(begun)
    }

    /// Whether a body is what was asked for. A whole one that is no JSON is asked for once more: when it is the same again, it is
    /// what the service has, and what can be read of it is for others to tell.
    fn looked_at(
        &self,
        request: &Request,
        begun: ResponseStart,
        expected: Expected,
        odd: &mut Option<Bytes>,
    ) -> Result<ResponseStart, ServiceError> {
        if expected == Expected::Anything || begun.status == 204 || (begun.status == 202 && begun.held.is_empty()) {
            return Ok(begun);
        }
        let kind = begun.headers.get(reqwest::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("nothing");
        let broken = |why: String| {
            let message = format!("{}: {why}", place(request.url()));
            ServiceError::new(self.inner.service, Failure::Broken, message)
        };
        let first = first_byte(&begun.held);
        if !matches!(first, Some(b'[' | b'{')) {
            // Posts may be answered by nothing.
            if first.is_none() && expected == Expected::Json && request.method != reqwest::Method::GET {
                return Ok(begun);
            }
            let what = if first.is_none() { "an empty body" } else { "something else" };
            return Err(broken(format!("{what} (of type {kind}) where JSON was expected")));
        }
        if begun.rest.is_some() {
            return Ok(begun);
        }
        let ResponseStart { headers, status, held, .. } = begun;
        let bytes = ResponseStart { headers: HeaderMap::new(), status, held, rest: None }.into_bytes();
        if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(without_mark(&bytes)) {
            let last = bytes.iter().rev().find(|byte| !byte.is_ascii_whitespace()).copied();
            let is_same = odd.as_ref() == Some(&bytes);
            *odd = Some(bytes.clone());
            if !is_same {
                let what = if json_ends(first, last) { "the JSON is damaged" } else { "the JSON breaks off" };
                return Err(broken(format!("{what}: {error}")));
            }
        }
        // Some say an error with a status of success. Answers to queries say theirs beside what they have.
        if request.method == reqwest::Method::GET
            && let Some(error) = said_error(self.inner.service, request.url(), status, &headers, without_mark(&bytes))
        {
            return Err(error);
        }
        Ok(ResponseStart { headers, status, held: vec![bytes], rest: None })
    }
}
