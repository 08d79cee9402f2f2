//! `$batch`: up to twenty requests in one, answered each for itself and in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::{Answer, error, respond, seeded, throttled};
use crate::answer::{self, Call};

/// Requests of a batch.
const MOST: usize = 20;
/// The longest answer of an item.
const LONGEST: usize = 16 << 20;

pub(super) async fn answer(call: &Call, version: &str) -> Answer {
    let invalid = |why: &str| error(call, 400, "BadRequest", why);
    let body = call.json().ok_or_else(|| invalid("Invalid batch payload format."))?;
    let items = body["requests"].as_array().ok_or_else(|| invalid("Invalid batch payload format."))?;
    if items.len() > MOST {
        return Err(invalid("Number of batch request steps exceeds the maximum value of 20."));
    }
    let ids: BTreeSet<&str> = items.iter().filter_map(|item| item["id"].as_str()).collect();
    if ids.len() != items.len() {
        return Err(invalid("Every batch request step has an id of its own, which is a text."));
    }
    let mut statuses: BTreeMap<String, u16> = BTreeMap::new();
    let mut answers = Vec::new();
    for (number, item) in items.iter().enumerate() {
        let id = item["id"].as_str().unwrap_or_default().to_owned();
        let needed = item["dependsOn"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let failed = needed.into_iter().any(|needed| statuses.get(needed).is_none_or(|status| *status >= 400));
        let response = match nested(call, version, item) {
            _ if failed => *error(call, 424, "FailedDependency", "A request that this one depends on failed."),
            None => *error(call, 400, "BadRequest", "Invalid request step: it needs a method and a relative url."),
            Some(_) if chosen(call, number) => *throttled(call, 2),
            Some(nested) => Box::pin(respond(&nested)).await.unwrap_or_else(|refused| *refused),
        };
        statuses.insert(id.clone(), response.status().as_u16());
        answers.push(told(&id, response).await);
    }
    let mut rng = seeded(&call.world).rng("order of a batch", &[call.body.len() as i64, call.world.now()]);
    for end in (1..answers.len()).rev() {
        answers.swap(end, rng.below(end as u64 + 1) as usize);
    }
    Ok(answer::json(StatusCode::OK, &json!({"responses": answers})))
}

/// Whether an item is throttled though its batch is not.
fn chosen(call: &Call, number: usize) -> bool {
    let share = call.world.settings.batch_throttled_percent;
    let counted = call.world.state::<Counted>();
    let count = counted.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    share > 0 && seeded(&call.world).rng("throttled item", &[number as i64, count]).percent(share)
}

/// How many items there have been.
#[derive(Debug, Default)]
struct Counted(std::sync::atomic::AtomicI64);

/// The request of an item.
fn nested(call: &Call, version: &str, item: &Value) -> Option<Call> {
    let url = item["url"].as_str().filter(|url| !url.contains("://"))?;
    let absolute = url::Url::parse("http://batch").ok()?.join(&format!("/{version}/{}", url.trim_start_matches('/'))).ok()?;
    let method = Method::from_bytes(item["method"].as_str()?.to_uppercase().as_bytes()).ok()?;
    let mut headers = HeaderMap::new();
    for (name, value) in item["headers"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
    if let Some(token) = call.headers.get("authorization") {
        headers.insert("authorization", token.clone());
    }
    Some(Call {
        world: Arc::clone(&call.world),
        base: call.base.clone(),
        method,
        path: percent_decode_str(absolute.path()).decode_utf8_lossy().into_owned(),
        query: absolute.query_pairs().into_owned().collect(),
        headers,
        body: item.get("body").map_or_else(Bytes::new, |body| Bytes::from(body.to_string())),
    })
}

/// An item's answer as the batch's answer holds it.
async fn told(id: &str, response: Response) -> Value {
    let (parts, body) = response.into_parts();
    let mut headers = Map::new();
    for (name, value) in &parts.headers {
        let name: Vec<String> = name.as_str().split('-').map(capital).collect();
        headers.insert(name.join("-"), json!(String::from_utf8_lossy(value.as_bytes())));
    }
    let body = axum::body::to_bytes(body, LONGEST).await.unwrap_or_default();
    let body = serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)));
    let mut told = json!({"id": id, "status": parts.status.as_u16(), "headers": headers});
    if body != json!("") {
        told["body"] = body;
    }
    told
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + chars.as_str())
}
