//! A queue of Azure Service Bus by its REST interface: send, lock, renew, unlock, complete.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::answer::{self, Call};
use crate::clock::http_date;
use crate::tokens::bearer;
use crate::world::World;
use kqlake_value::US_PER_MINUTE;

/// The audience of tokens.
const AUDIENCE: &str = "https://servicebus.azure.net";
/// The one queue that there is.
const QUEUE: &str = "graphcalls";
/// The policy that may listen and send, whose key is the registration's.
const POLICY: &str = "RootManageSharedAccessKey";
/// How long a lock lasts, in microseconds.
const LOCK: i64 = US_PER_MINUTE;

/// A message of the queue.
#[derive(Debug, Clone)]
struct Message {
    body: Bytes,
    number: u64,
    enqueued: i64,
    deliveries: u32,
    /// The token of its lock, and until when it lasts.
    lock: Option<(String, i64)>,
}

#[derive(Debug, Default)]
struct State {
    messages: Mutex<(u64, VecDeque<Message>)>,
}

/// Puts a message into the queue.
pub(crate) fn enqueue(world: &World, body: Bytes) {
    let state = world.state::<State>();
    let mut kept = state.messages.lock().unwrap_or_else(PoisonError::into_inner);
    kept.0 += 1;
    let message = Message { body, number: kept.0, enqueued: world.now(), deliveries: 0, lock: None };
    kept.1.push_back(message);
}

/// The service's routes, below its prefix.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().fallback(serve)
}

async fn serve(call: Call) -> Response {
    respond(&call).unwrap_or_else(|refused| *refused)
}

/// A request that is refused, by the answer that says so.
type Answer = Result<Response, Box<Response>>;

fn refused(status: u16, detail: &str) -> Box<Response> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    Box::new(answer::text(
        status,
        "application/xml",
        format!("<Error><Code>{}</Code><Detail>{detail}</Detail></Error>", status.as_u16()),
    ))
}

fn respond(call: &Call) -> Answer {
    let path: Vec<&str> = call.path.trim_matches('/').split('/').collect();
    let Some((queue, rest)) = path.split_first() else { return Err(refused(400, "no queue is named")) };
    allowed(call, queue)?;
    if !queue.eq_ignore_ascii_case(QUEUE) {
        return Err(refused(410, "The messaging entity could not be found."));
    }
    if (&call.method, rest) == (&Method::POST, ["messages"].as_slice()) {
        enqueue(&call.world, call.body.clone());
        return Ok(answer::text(StatusCode::CREATED, "text/plain", ""));
    }
    let now = call.world.now();
    let state = call.world.state::<State>();
    let mut kept = state.messages.lock().unwrap_or_else(PoisonError::into_inner);
    let messages = &mut kept.1;
    match (&call.method, rest) {
        (&Method::POST, ["messages", "head"]) => {
            let free = |message: &&mut Message| message.lock.as_ref().is_none_or(|(_, until)| *until <= now);
            match messages.iter_mut().find(free) {
                Some(message) => Ok(locked(call, message, now)),
                None => Ok(answer::text(StatusCode::NO_CONTENT, "text/plain", "")),
            }
        }
        (method, ["messages", number, token]) => {
            let holds = |message: &Message| {
                message.number.to_string() == *number
                    && message.lock.as_ref().is_some_and(|(own, until)| own == token && *until > now)
            };
            let place = messages.iter().position(holds);
            let place = place.ok_or_else(|| refused(404, "The message or its lock was not found."))?;
            match *method {
                Method::DELETE => {
                    messages.remove(place);
                    call.world.served.note("messages of the queue completed");
                }
                Method::PUT => messages[place].lock = None,
                _ => messages[place].lock = Some(((*token).to_owned(), now + LOCK)),
            }
            Ok(answer::text(StatusCode::OK, "text/plain", ""))
        }
        _ => Err(refused(400, "The request is none of this interface.")),
    }
}

/// A message with the lock that it gets.
fn locked(call: &Call, message: &mut Message, now: i64) -> Response {
    message.deliveries += 1;
    let seeded = super::graph::seeded(&call.world);
    let token = seeded.guid("lock", &[message.number.cast_signed(), i64::from(message.deliveries)]);
    message.lock = Some((token.clone(), now + LOCK));
    let properties = json!({
        "DeliveryCount": message.deliveries, "EnqueuedSequenceNumber": 0, "EnqueuedTimeUtc": http_date(message.enqueued),
        "LockToken": token, "LockedUntilUtc": http_date(now + LOCK), "MessageId": seeded.guid("message", &[message.number.cast_signed()]),
        "SequenceNumber": message.number, "State": "Active", "TimeToLive": 1_209_600,
    });
    let mut response = answer::text(StatusCode::CREATED, "application/json", message.body.clone());
    let location = format!("{}/{QUEUE}/messages/{}/{token}", call.base, message.number);
    let headers = response.headers_mut();
    for (name, value) in [(header::LOCATION.as_str(), location), ("brokerproperties", properties.to_string())] {
        if let (Ok(name), Ok(value)) = (header::HeaderName::try_from(name), HeaderValue::from_str(&value)) {
            headers.insert(name, value);
        }
    }
    response
}

/// Whether the request carries a signature of the policy's key, or a token of the login service.
fn allowed(call: &Call, queue: &str) -> Result<(), Box<Response>> {
    if bearer(&call.headers).is_some() {
        let token = call.world.require(&call.headers, &[AUDIENCE], &[]);
        return token.map(drop).map_err(|_| refused(401, "InvalidToken: the token is not valid"));
    }
    let header = call.header("authorization").and_then(|text| text.strip_prefix("SharedAccessSignature "));
    let header = header.ok_or_else(|| refused(401, "MissingToken: there is no authorization"))?;
    let field = |name: &str| header.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let good = || {
        let (resource, expires) = (field("sr")?, field("se")?);
        let key = hmac::Key::new(hmac::HMAC_SHA256, call.world.registration.queue_key.as_bytes());
        let signature = STANDARD.decode(decoded(field("sig")?)).ok()?;
        hmac::verify(&key, format!("{resource}\n{expires}").as_bytes(), &signature).ok()?;
        let alive = expires.parse::<i64>().ok()? > call.world.now().div_euclid(1_000_000);
        let covers = format!("{}/{queue}", call.base).to_lowercase().starts_with(&decoded(resource));
        (alive && covers && decoded(field("skn")?) == POLICY).then_some(())
    };
    good().ok_or_else(|| refused(401, "InvalidSignature: the token has an invalid signature"))
}
