//! Message traces by Graph: list and detail, which share one quota.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use axum::response::Response;
use serde_json::{Value, json};

use super::{Answer, allowed, error, odata, page, paged, position, seeded, size, throttled};
use crate::answer::Call as Request;
use crate::manifest::Table;
use crate::services::covered_range::CoveredRange;
use crate::services::quota;
use crate::tenant::instant::{self, DAY};
use crate::tenant::mail::{self, RETENTION, Trace};
use crate::world::World;

const CONTEXT: &str = "admin/exchange/tracing/messageTraces";
/// The longest time of one query.
const LONGEST: i64 = 10 * DAY;

/// What was asked for.
#[derive(Debug, Default)]
struct State {
    /// The list that was asked for last, which its pages are cut of.
    list: Mutex<Option<(Range<i64>, i64, Arc<Vec<Trace>>)>>,
    asked: CoveredRange,
}

pub(super) fn answer(request: &Request, path: &[&str]) -> Answer {
    allowed(request, &["ExchangeMessageTrace.Read.All"])?;
    if request.world.settings.trace_principal_missing {
        let why = "Service principal-less Authentication failed: The service principal of application \
                   8bd644d1-64a1-4d4b-ae52-2e0cbf64e373 was not found in this tenant.";
        return Err(error(request, 401, "Unauthorized", why));
    }
    quota::take(&request.world, "message trace", 100, 300).map_err(|wait| throttled(request, wait))?;
    match *path {
        [] => list(request),
        [id, function] => {
            let recipient =
                function.strip_prefix("getDetailsByRecipient(recipientAddress='").and_then(|rest| rest.strip_suffix("')"));
            match recipient {
                Some(recipient) => detail(request, id, recipient),
                None => Err(error(request, 400, "BadRequest", &format!("Resource not found for the segment '{function}'."))),
            }
        }
        _ => Err(error(request, 400, "BadRequest", "Resource not found for the segment.")),
    }
}

fn list(request: &Request) -> Answer {
    let (offset, now) = position(request)?;
    let refused = |why: &str| error(request, 400, "BadRequest", why);
    let conditions = odata::conditions(request.parameter("$filter").unwrap_or_default()).map_err(|why| refused(&why))?;
    let (mut start, mut end) = (None, None);
    for condition in conditions.iter().filter(|condition| condition.property == "receivedDateTime") {
        let at = instant::parse(&condition.value).ok_or_else(|| refused("Invalid value of receivedDateTime."))?;
        match condition.operator.as_str() {
            "ge" => start = Some(at),
            "le" => end = Some(at),
            _ => return Err(refused("receivedDateTime supports only the operators ge and le.")),
        }
    }
    let (start, end) = match (start, end) {
        (None, None) => (now - 2 * DAY, now),
        (Some(start), Some(end)) => (start, end),
        _ => return Err(refused("Both a start and an end of receivedDateTime must be given, or none.")),
    };
    if start > end || end - start > LONGEST {
        return Err(refused("The time range between StartDate and EndDate must be positive and cannot exceed 10 days."));
    }
    if start < now - RETENTION {
        return Err(refused("The start of the time range is more than 90 days ago."));
    }
    if end > now {
        return Err(refused("The end of the time range cannot be in the future."));
    }
    let time = start..end + 1;
    let state = request.world.state::<State>();
    let others: Vec<_> = conditions.iter().filter(|condition| condition.property != "receivedDateTime").collect();
    if others.is_empty() {
        state.asked.add(time.clone(), now);
    }
    let mut kept = state.list.lock().unwrap_or_else(PoisonError::into_inner);
    let list = match kept.as_ref() {
        Some((of, as_of, list)) if *of == time && *as_of == now => Arc::clone(list),
        _ => {
            let list = Arc::new(mail::visible(seeded(&request.world), time.clone(), now));
            *kept = Some((time, now, Arc::clone(&list)));
            list
        }
    };
    drop(kept);
    let mut list = list;
    if !others.is_empty() {
        let mut kept = Vec::new();
        for trace in list.iter() {
            let mut fits = true;
            for condition in &others {
                fits &= matches(trace, condition, now)
                    .ok_or_else(|| refused(&format!("Filter on '{}' is not supported.", condition.property)))?;
            }
            if fits {
                kept.push(trace.clone());
            }
        }
        list = Arc::new(kept);
    }
    let (range, next) = paged(request, &list, (offset, now), size(request, 1000, 5000)?);
    Ok(page(request, CONTEXT, list[range].iter().filter_map(|trace| record(trace, now)).collect(), next))
}

/// Whether a row fits a condition; `None` for a condition that the service does not know.
fn matches(trace: &Trace, condition: &odata::Condition, now: i64) -> Option<bool> {
    let value = condition.value.as_str();
    let status = trace.status(now).map_or("", |(status, _)| status.camel());
    let text = match condition.property.as_str() {
        "id" => trace.id.as_str(),
        "messageId" => trace.message_id.as_str(),
        "recipientAddress" => trace.recipient.as_str(),
        "senderAddress" => trace.sender.as_str(),
        "fromIP" => trace.from_ip.as_deref().unwrap_or_default(),
        "toIP" => trace.to_ip.as_deref().unwrap_or_default(),
        "status" => status,
        "subject" => trace.subject.as_deref().unwrap_or_default(),
        _ => return None,
    };
    match condition.operator.as_str() {
        "eq" => Some(text.eq_ignore_ascii_case(value)),
        "contains" => Some(text.contains(value)),
        "startswith" => Some(text.starts_with(value)),
        "endswith" => Some(text.ends_with(value)),
        _ => None,
    }
}

fn record(trace: &Trace, now: i64) -> Option<Value> {
    Some(json!({
        "id": trace.id,
        "senderAddress": trace.sender,
        "recipientAddress": trace.recipient,
        "messageId": trace.message_id,
        "receivedDateTime": instant::zulu(trace.received),
        "subject": trace.subject,
        "status": trace.status(now)?.0.camel(),
        "size": trace.size,
        "fromIP": trace.from_ip,
        "toIP": trace.to_ip,
    }))
}

fn detail(request: &Request, id: &str, recipient: &str) -> Answer {
    let now = request.world.now();
    let trace = mail::find(seeded(&request.world), id).into_iter().find(|trace| {
        trace.recipient.eq_ignore_ascii_case(recipient) && trace.status(now).is_some() && trace.received >= now - RETENTION
    });
    let missing =
        || -> Box<Response> { error(request, 404, "ResourceNotFound", &format!("Message trace '{id}' was not found.")) };
    let trace = trace.ok_or_else(missing)?;
    let steps = mail::steps(&trace, now).into_iter().enumerate().map(|(number, step)| {
        json!({
            "id": seeded(&request.world).guid("step", &[trace.name[0], trace.name[1], trace.name[2], number as i64]),
            "messageId": trace.message_id,
            "dateTime": instant::zulu(step.at),
            "event": step.event,
            "action": if step.event == "Fail" { json!("Return NDR") } else { Value::Null },
            "description": step.detail,
            "data": step.data,
        })
    });
    Ok(page(request, &format!("{CONTEXT}('{id}')/getDetailsByRecipient"), steps.collect(), None))
}

/// The rows of the time that was asked for, with the statuses that were visible last.
pub(super) fn truth(world: &World) -> Vec<Table> {
    world
        .state::<State>()
        .asked
        .get()
        .map(|(time, now)| table(&mail::visible(seeded(world), time, now), now))
        .into_iter()
        .collect()
}

/// Rows of traces as the lake has them.
pub(crate) fn table(traces: &[Trace], now: i64) -> Table {
    let mut table = Table::new("MessageTrace", &["id", "recipientAddress"]);
    for trace in traces {
        let status = trace.status(now).map(|(status, _)| status.camel().to_owned());
        table.row(format!("{}|{}", trace.id, trace.recipient), status);
    }
    table
}
