//! Notifications to subscribers: of call records as they become visible, and of subscriptions that are about to end.
//!
//! A notification is a hint: one in thirty never comes, one in twenty comes twice.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use super::seeded;
use super::subscriptions::{Subscription, Subscriptions, WARNING};
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
/// The longest answer that is read.
const LONGEST: u64 = 64 << 10;

/// What a receiver answered.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

/// A delivery that waits for its time.
struct Delivery {
    url: Url,
    body: Vec<u8>,
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
            let answered = post(&delivery.url, "application/json", &delivery.body, PATIENCE).await;
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
            let mut dice = seeded(world).dice(&format!("notification {}", call.id), &[version as i64]);
            let lost = dice.below(30) == 0;
            if lost || !subscription.change_type.contains(kind) {
                continue;
            }
            let mut note = envelope(world, subscription);
            note["id"] = json!(dice.hex(24));
            note["changeType"] = json!(kind);
            note["resource"] = json!(format!("communications/callRecords/{}", call.id));
            note["resourceData"] = json!({
                "@odata.type": "#microsoft.graph.callRecord", "@odata.id": format!("communications/callRecords/{}", call.id), "id": call.id,
            });
            if dice.below(20) == 0 {
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
    Delivery { url, body: json!({"value": notes}).to_string().into_bytes(), tries: 0, due: Instant::now() }
}

/// Posts to a receiver.
///
/// # Errors
/// Why it could not be reached or understood.
pub(super) async fn post(url: &Url, content_type: &str, body: &[u8], patience: Duration) -> Result<Answered, String> {
    if url.scheme() != "http" {
        return Err("a simulated tenant speaks http only".to_owned());
    }
    match tokio::time::timeout(patience, exchange(url, content_type, body)).await {
        Ok(answered) => answered,
        Err(_) => Err("it did not answer in time".to_owned()),
    }
}

async fn exchange(url: &Url, content_type: &str, body: &[u8]) -> Result<Answered, String> {
    let failed = |err: std::io::Error| err.to_string();
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(80);
    let mut stream = TcpStream::connect((host, port)).await.map_err(failed)?;
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}:{port}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\
         User-Agent: Microsoft Graph Subscription Notifications (simulated)\r\n\r\n",
        url.host_str().unwrap_or_default(),
        body.len()
    );
    stream.write_all(head.as_bytes()).await.map_err(failed)?;
    stream.write_all(body).await.map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await.map_err(failed)?;
    read(&answer).ok_or_else(|| "its answer is no HTTP".to_owned())
}

/// Reads an answer: of a known length, in chunks, or to the end of the connection.
fn read(answer: &[u8]) -> Option<Answered> {
    let head_end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..head_end]).ok()?;
    let mut body = &answer[head_end + 4..];
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let (mut type_of_content, mut chunked) = (String::new(), false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        match name.to_ascii_lowercase().as_str() {
            "content-type" => type_of_content = value.trim().to_ascii_lowercase(),
            "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
            "content-length" => body = &body[..value.trim().parse::<usize>().ok()?.min(body.len())],
            _ => {}
        }
    }
    let mut whole = Vec::new();
    while chunked {
        let line = body.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&body[..line]).ok()?.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            break;
        }
        whole.extend_from_slice(body.get(line + 2..line + 2 + size)?);
        body = body.get(line + 4 + size..)?;
    }
    let body = if chunked { whole } else { body.to_vec() };
    Some(Answered { status, content_type: type_of_content, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_in_all_their_forms() {
        let of = |text: &str| read(text.as_bytes()).map(|answer| (answer.status, answer.content_type, answer.body));
        let expected = Some((200, "text/plain".to_owned(), b"abc".to_vec()));
        assert_eq!(of("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nabcd"), expected);
        assert_eq!(of("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nabc"), expected);
        let chunked = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
        assert_eq!(of(chunked), expected);
        assert_eq!(of("nothing"), None);
    }
}
