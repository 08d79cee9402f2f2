//! Call records: list, one record, its sessions and participants.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::{Answer, allowed, context_of, error, odata, page, paged, position, seeded, size, within};
use crate::answer::{self, Call as Request};
use crate::manifest::Table;
use crate::tenant::calls::{self, Call, RETENTION};
use crate::tenant::instant;
use crate::world::World;

const ROLES: [&str; 1] = ["CallRecords.Read.All"];
/// Sessions of a page.
const SESSIONS: usize = 60;
/// Participants of a page.
const PARTICIPANTS: usize = 130;

/// What was asked for and served.
#[derive(Debug, Default)]
struct State {
    /// The list that was asked for last, which its pages are cut of.
    list: Mutex<Option<(Range<i64>, i64, Arc<Vec<Call>>)>>,
    /// When lists were asked for first and last.
    asked: Mutex<Option<(i64, i64)>>,
    /// The newest version of each record that was served.
    versions: Mutex<BTreeMap<String, usize>>,
}

pub(super) fn answer(request: &Request, path: &[&str]) -> Answer {
    allowed(request, &ROLES)?;
    within(request, "call records", 1500, 20)?;
    match *path {
        ["callRecords"] => list(request),
        ["callRecords", id] => record(request, &find(request, id)?),
        ["callRecords", id, "sessions"] => sessions(request, &find(request, id)?),
        ["callRecords", id, "participants_v2"] => participants(request, &find(request, id)?),
        ["callRecords", id, "organizer_v2"] => {
            let (call, _) = find(request, id)?;
            let organizer = calls::participants(seeded(&request.world), tenant(request), &call, &[0]);
            Ok(answer::json(StatusCode::OK, organizer.first().unwrap_or(&Value::Null)))
        }
        _ => Err(error(request, 400, "BadRequest", "Resource not found for the segment.")),
    }
}

fn tenant(request: &Request) -> &str {
    &request.world.registration.tenant
}

/// The call of an id, if its record is there and not too old, or the answer that says that there is none.
fn find(request: &Request, id: &str) -> Result<(Call, usize), Box<Response>> {
    let first = request.parameter("$skiptoken").is_none();
    match first {
        true => within(request, &format!("call {id}"), 10, 20)?,
        false => within(request, &format!("call {id} pages"), 50, 300)?,
    }
    let now = request.world.now();
    let call = calls::find(seeded(&request.world), id).filter(|call| call.start >= now - RETENTION);
    let version = call.as_ref().map_or(0, |call| call.version(now));
    match call.filter(|_| version > 0) {
        Some(call) => {
            let state = request.world.state::<State>();
            let mut versions = state.versions.lock().unwrap_or_else(PoisonError::into_inner);
            let served = versions.entry(call.id.clone()).or_default();
            *served = version.max(*served);
            Ok((call, version))
        }
        None => Err(error(request, 404, "NotFound", &format!("Call record '{id}' was not found."))),
    }
}

fn list(request: &Request) -> Answer {
    if request.parameter("$expand").is_some() {
        return Err(error(request, 400, "BadRequest", "Query option 'Expand' is not allowed."));
    }
    let (offset, now) = position(request)?;
    let mut time = now - RETENTION..now;
    let filter = request.parameter("$filter").unwrap_or_default();
    for condition in odata::conditions(filter).map_err(|why| error(request, 400, "BadRequest", &why))? {
        let instant = instant::parse(&condition.value).filter(|_| condition.property == "startDateTime");
        match (instant, condition.operator.as_str()) {
            (Some(at), "ge") => time.start = time.start.max(at),
            (Some(at), "gt") => time.start = time.start.max(at + 1),
            (Some(at), "lt") => time.end = time.end.min(at),
            (Some(at), "le") => time.end = time.end.min(at + 1),
            _ => return Err(error(request, 400, "BadRequest", &format!("Filter on '{}' is not supported.", condition.property))),
        }
    }
    let state = request.world.state::<State>();
    {
        let mut asked = state.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, last) = asked.unwrap_or((now, now));
        *asked = Some((first.min(now), last.max(now)));
    }
    let mut kept = state.list.lock().unwrap_or_else(PoisonError::into_inner);
    let list = match kept.as_ref() {
        Some((of, as_of, list)) if *of == time && *as_of == now => Arc::clone(list),
        _ => {
            let list = Arc::new(calls::visible(seeded(&request.world), time.clone(), now));
            *kept = Some((time, now, Arc::clone(&list)));
            list
        }
    };
    drop(kept);
    let (range, next) = paged(request, &list, (offset, now), size(request, SESSIONS, SESSIONS)?);
    let records = list[range].iter().map(|call| {
        let record = calls::record(seeded(&request.world), tenant(request), call, call.version(now));
        odata::selected(record, request.parameter("$select"))
    });
    Ok(page(request, "communications/callRecords", records.collect(), next))
}

fn record(request: &Request, (call, version): &(Call, usize)) -> Answer {
    let world = &request.world;
    let mut body = json!({"@odata.context": context_of(request, "communications/callRecords/$entity")});
    let record = calls::record(seeded(world), tenant(request), call, *version);
    let record = odata::selected(record, request.parameter("$select"));
    if let (Some(body), Value::Object(record)) = (body.as_object_mut(), record) {
        body.extend(record);
    }
    let expand = request.parameter("$expand").unwrap_or_default();
    let address = format!("{}/v1.0/communications/callRecords/{}", request.base, call.id);
    let numbers = call.sessions(*version);
    let count = numbers.len();
    if expand.contains("sessions") {
        let segments = expand.contains("segments");
        body["sessions@odata.context"] = json!(context_of(request, "communications/callRecords/sessions"));
        body["sessions"] =
            json!(calls::sessions(seeded(world), tenant(request), call, &numbers[..count.min(SESSIONS)], segments));
        if count > SESSIONS {
            let token = odata::token(&[SESSIONS as i64, world.now()]);
            let expand = if segments { "$expand=segments&" } else { "" };
            body["sessions@odata.nextLink"] = json!(format!("{address}/sessions?{expand}$skiptoken={token}"));
        }
    }
    if expand.contains("participants_v2") {
        body["participants_v2"] =
            json!(calls::participants(seeded(world), tenant(request), call, &numbers[..count.min(PARTICIPANTS)]));
        if count > PARTICIPANTS {
            let token = odata::token(&[PARTICIPANTS as i64, world.now()]);
            body["participants_v2@odata.nextLink"] = json!(format!("{address}/participants_v2?$skiptoken={token}"));
        }
    }
    Ok(answer::json(StatusCode::OK, &body))
}

fn sessions(request: &Request, (call, version): &(Call, usize)) -> Answer {
    let (offset, now) = position(request)?;
    let numbers = call.sessions(*version);
    let count = numbers.len();
    let range = offset.min(count)..(offset + size(request, SESSIONS, SESSIONS)?).min(count);
    let next = (range.end < count).then(|| odata::link(request, &[], &[("$skiptoken", &odata::token(&[range.end as i64, now]))]));
    let segments = request.parameter("$expand").is_some_and(|expand| expand.contains("segments"));
    let sessions = calls::sessions(seeded(&request.world), tenant(request), call, &numbers[range], segments);
    Ok(page(request, &format!("communications/callRecords('{}')/sessions", call.id), sessions, next))
}

fn participants(request: &Request, (call, version): &(Call, usize)) -> Answer {
    let (offset, now) = position(request)?;
    let numbers = call.sessions(*version);
    let count = numbers.len();
    let range = offset.min(count)..(offset + size(request, PARTICIPANTS, PARTICIPANTS)?).min(count);
    let next = (range.end < count).then(|| odata::link(request, &[], &[("$skiptoken", &odata::token(&[range.end as i64, now]))]));
    let participants = calls::participants(seeded(&request.world), tenant(request), call, &numbers[range]);
    Ok(page(request, &format!("communications/callRecords('{}')/participants_v2", call.id), participants, next))
}

/// The calls that could be seen when lists were asked for last, in their newest versions that were served or could be.
pub(super) fn truth(world: &World) -> Vec<Table> {
    let state = world.state::<State>();
    let asked = *state.asked.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((first, last)) = asked else { return Vec::new() };
    let served = state.versions.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let seeded = seeded(world);
    let now = world.now();
    let mut records = Table::new("CallRecords", &["id"]);
    let mut sessions = Table::new("CallSessions", &["callId", "id"]);
    let mut segments = Table::new("CallSegments", &["callId", "sessionId", "id"]);
    for call in calls::visible(seeded, first - RETENTION..now, now) {
        // What was deleted since, or came after the last list, may have been read or not.
        let optional = call.start < last - RETENTION || call.version(last) == 0;
        let version = if optional { call.version(now) } else { call.version(last) };
        let version = version.max(served.get(&call.id).copied().unwrap_or(0));
        let add = |table: &mut Table, key: String| match optional {
            true => table.optional.push(key),
            false => table.row(key, Some(version.to_string())),
        };
        add(&mut records, call.id.clone());
        // In which of its versions a call was read is not known where it may have been read or not.
        let versions = if optional { 1..=call.versions.len() } else { version..=version };
        let numbers: BTreeSet<usize> = versions.flat_map(|version| call.sessions(version)).collect();
        for number in numbers {
            let session = calls::session_id(seeded, &call, number);
            add(&mut sessions, format!("{}|{session}", call.id));
            for part in 0..calls::segments(seeded, &call, number) {
                let segment = calls::segment_id(seeded, &call, number, part);
                add(&mut segments, format!("{}|{session}|{segment}", call.id));
            }
        }
    }
    vec![records, sessions, segments]
}
