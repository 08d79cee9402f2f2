//! Queries of the audit log, which reach back further than Management Activity: created, polled until they are done, then read.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, OnceLock, PoisonError};

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Answer, allowed, context_of, error, page, paged, position, seeded, size};
use crate::answer::{self, Call};
use crate::services::management;
use crate::tenant::audit::Kind;
use crate::tenant::instant::{self, DAY};
use crate::world::World;

const ROLES: [&str; 7] = [
    "AuditLogsQuery.Read.All",
    "AuditLogsQuery-Exchange.Read.All",
    "AuditLogsQuery-SharePoint.Read.All",
    "AuditLogsQuery-OneDrive.Read.All",
    "AuditLogsQuery-Entra.Read.All",
    "AuditLogsQuery-CRM.Read.All",
    "AuditLogsQuery-Endpoint.Read.All",
];
/// How far back records are kept.
const RETENTION: i64 = 180 * DAY;
/// Queries that may be under way.
const CONCURRENT: usize = 10;
/// Records of a query: the most.
const MOST: usize = 1_000_000;
/// A record may stand in a blob of so much later.
const LATEST: i64 = 8 * DAY;

/// A query.
#[derive(Debug, Clone)]
struct Query {
    id: String,
    asked: Value,
    start: i64,
    end: i64,
    created: i64,
    /// How often its status was asked for: it is not started, then runs, then is done.
    polls: u32,
}

impl Query {
    fn status(&self) -> &'static str {
        match self.polls {
            0 => "notStarted",
            1 => "running",
            _ => "succeeded",
        }
    }

    /// Whether a record fits a list of the query; one that is empty fits all.
    fn fits(&self, list: &str, value: &str) -> bool {
        let wanted = self.asked.get(list).and_then(Value::as_array).filter(|wanted| !wanted.is_empty());
        wanted.is_none_or(|wanted| wanted.iter().filter_map(Value::as_str).any(|wanted| wanted.eq_ignore_ascii_case(value)))
    }
}

#[derive(Debug, Default)]
struct Queries(Mutex<Vec<Query>>);

/// The names of record types by their numbers.
fn record_types() -> &'static BTreeMap<String, String> {
    static TYPES: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    TYPES.get_or_init(|| serde_json::from_str(include_str!("../../data/record_types.json")).unwrap_or_default())
}

pub(super) fn answer(call: &Call, path: &[&str]) -> Answer {
    allowed(call, &ROLES)?;
    let state = call.world.state::<Queries>();
    let mut queries = state.0.lock().unwrap_or_else(PoisonError::into_inner);
    let missing = || error(call, 404, "ResourceNotFound", "The query was not found.");
    match (&call.method, path) {
        (&Method::POST, []) => {
            if queries.iter().filter(|query| query.status() != "succeeded").count() >= CONCURRENT {
                return Err(error(call, 429, "TooManyRequests", "Too many audit log queries are under way."));
            }
            let number = queries.len() as i64;
            let query = created(call, number)?;
            queries.push(query.clone());
            Ok(answer::json(StatusCode::CREATED, &told(call, &query)))
        }
        (&Method::GET, []) => {
            Ok(page(call, "security/auditLog/queries", queries.iter().map(|query| told(call, query)).collect(), None))
        }
        (&Method::GET, [id]) => {
            let query = queries.iter_mut().find(|query| query.id == *id).ok_or_else(missing)?;
            let body = told(call, query);
            query.polls += 1;
            Ok(answer::json(StatusCode::OK, &body))
        }
        (&Method::GET, [id, "records"]) => {
            let query = queries.iter().find(|query| query.id == *id).cloned().ok_or_else(missing)?;
            drop(queries);
            if query.status() != "succeeded" {
                return Err(error(call, 400, "BadRequest", "The query has not succeeded yet."));
            }
            let records = records(&call.world, &query);
            let (offset, now) = position(call)?;
            let (range, next) = paged(call, &records, (offset, now), size(call, 150, 1000)?);
            Ok(page(call, &format!("security/auditLog/queries('{id}')/records"), records[range].to_vec(), next))
        }
        _ => Err(error(call, 405, "notAllowed", "The method is not allowed here.")),
    }
}

fn created(call: &Call, number: i64) -> Result<Query, Box<axum::response::Response>> {
    let refused = |why: &str| error(call, 400, "BadRequest", why);
    let asked = call.json().ok_or_else(|| refused("The body is not valid JSON."))?;
    let time = |name: &str| asked.get(name).and_then(Value::as_str).and_then(instant::parse);
    let (Some(start), Some(end)) = (time("filterStartDateTime"), time("filterEndDateTime")) else {
        return Err(refused("filterStartDateTime and filterEndDateTime are required."));
    };
    if start >= end {
        return Err(refused("filterEndDateTime must be after filterStartDateTime."));
    }
    let created = call.world.now();
    Ok(Query { id: seeded(&call.world).guid("audit query", &[number]), asked, start, end, created, polls: 0 })
}

fn told(call: &Call, query: &Query) -> Value {
    let asked = |name: &str| query.asked.get(name).cloned();
    let list = |name: &str| asked(name).unwrap_or_else(|| json!([]));
    json!({
        "@odata.context": context_of(call, "security/auditLog/queries/$entity"),
        "id": query.id,
        "displayName": asked("displayName"),
        "filterStartDateTime": instant::zulu(query.start),
        "filterEndDateTime": instant::zulu(query.end),
        "recordTypeFilters": list("recordTypeFilters"),
        "keywordFilter": asked("keywordFilter"),
        "serviceFilter": asked("serviceFilter"),
        "operationFilters": list("operationFilters"),
        "userPrincipalNameFilters": list("userPrincipalNameFilters"),
        "ipAddressFilters": list("ipAddressFilters"),
        "objectIdFilters": list("objectIdFilters"),
        "administrativeUnitIdFilters": list("administrativeUnitIdFilters"),
        "status": query.status(),
    })
}

/// The records that a query finds: each once, whatever blobs it stands in.
fn records(world: &World, query: &Query) -> Vec<Value> {
    let (log, writer) = (management::log(world), management::writer(world));
    let start = query.start.max(query.created - RETENTION);
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    for kind in Kind::ALL {
        for blob in log.blobs(kind, start..query.end.min(query.created).saturating_add(LATEST)) {
            for place in 0..log.size(blob) {
                let Some(record) = log.record(blob, place).filter(|record| seen.insert(*record)) else { continue };
                let happened = log.happened(record);
                if log.available(blob) > query.created || happened < start || happened >= query.end {
                    continue;
                }
                let mut text = Vec::new();
                writer.write(&mut text, blob, place);
                let Ok(data) = serde_json::from_slice::<Value>(&text) else { continue };
                found.extend(listed(query, data).map(|listed| (happened, listed)));
            }
        }
    }
    found.sort_by_key(|(happened, _)| *happened);
    found.truncate(MOST);
    found.into_iter().map(|(_, listed)| listed).collect()
}

/// A record as a query tells it, if it fits.
fn listed(query: &Query, data: Value) -> Option<Value> {
    let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = data.get("RecordType").map(Value::to_string).unwrap_or_default();
    let name = record_types().get(&number).cloned().unwrap_or(number);
    let mut chars = name.chars();
    let name: String = chars.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(chars).collect();
    let keyword = query.asked.get("keywordFilter").and_then(Value::as_str).unwrap_or_default();
    let fits = query.fits("recordTypeFilters", &name)
        && query.fits("operationFilters", &text("Operation"))
        && query.fits("userPrincipalNameFilters", &text("UserId"))
        && query.fits("ipAddressFilters", &text("ClientIP"))
        && query.fits("objectIdFilters", &text("ObjectId"))
        && (keyword.is_empty() || data.to_string().to_lowercase().contains(&keyword.to_lowercase()));
    fits.then(|| {
        json!({
            "id": text("Id"), "createdDateTime": text("CreationTime") + "Z", "auditLogRecordType": name,
            "operation": text("Operation"), "organizationId": text("OrganizationId"), "userType": data.get("UserType"),
            "userId": text("UserKey"), "service": text("Workload"), "objectId": text("ObjectId"),
            "userPrincipalName": text("UserId"), "clientIp": text("ClientIP"), "administrativeUnits": [""], "auditData": data,
        })
    })
}
