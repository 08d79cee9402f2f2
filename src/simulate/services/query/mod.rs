//! The query API that Application Insights and Log Analytics have in common: what a request asks for, and how it is answered.
//!
//! Of KQL, what extraction by time slices needs is understood (see [`kql`]); another query is an error, as a query against a
//! table that is not there.

mod kql;
mod run;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::answer::{self, Call};
use crate::services::covered_range::CoveredRange;
use crate::services::graph::seeded;
use crate::services::quota;
use crate::tenant::instant;
use crate::tenant::telemetry::{self, Column, Definition};
use crate::world::World;
use kqlake_value::TICKS_PER_US;
use kqlake_value::parse;

/// Which of the two services answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    Insights,
    LogAnalytics,
}

impl Service {
    /// What tells apart whose rows they are.
    pub(crate) fn source(self) -> &'static str {
        match self {
            Service::Insights => "contoso-bc",
            Service::LogAnalytics => "contoso-workspace",
        }
    }

    /// The column of a row's time.
    fn time_column(self) -> &'static str {
        match self {
            Service::Insights => "timestamp",
            Service::LogAnalytics => "TimeGenerated",
        }
    }

    /// A table by the name that the service knows it by, with its classic name.
    fn table(self, name: &str) -> Option<(&'static str, &'static Definition)> {
        let mut tables = telemetry::tables().iter();
        let found = tables.find(|(classic, definition)| match self {
            Service::Insights => classic.as_str() == name,
            Service::LogAnalytics => definition.workspace == name,
        });
        found.map(|(classic, definition)| (classic.as_str(), definition))
    }

    /// The columns of a table by the names and types that the service knows: name, type, classic name.
    fn columns(self, definition: &Definition) -> Vec<(String, String, Option<&str>)> {
        match self {
            Service::Insights => definition
                .columns
                .iter()
                .map(|Column(name, kind, ..)| (name.clone(), kind.clone(), Some(name.as_str())))
                .collect(),
            Service::LogAnalytics => {
                let known = definition.columns.iter().filter_map(|Column(classic, _, name, kind)| {
                    Some((name.clone()?, kind.clone().unwrap_or_else(|| "string".to_owned()), Some(classic.as_str())))
                });
                let extra = definition.extra.iter().flatten().map(|(name, kind)| (name.clone(), kind.clone(), None));
                known.chain(extra).collect()
            }
        }
    }
}

/// The times of tables that were asked for.
#[derive(Debug, Default)]
struct QueriedRanges(Mutex<BTreeMap<(Service, &'static str), CoveredRange>>);

/// Queries that run now, and those that wait for their turn.
#[derive(Debug)]
struct Turns {
    running: Semaphore,
    waiting: AtomicUsize,
}

impl Default for Turns {
    fn default() -> Self {
        Self { running: Semaphore::new(5), waiting: AtomicUsize::new(0) }
    }
}

/// How many queries may wait; more are refused.
const WAITING: usize = 200;

/// Answers a query of a resource that the caller may read.
pub(crate) async fn answer(call: Call, service: Service) -> Response {
    if let Err(wait) = quota::take(&call.world, &format!("query {service:?}"), 200, 30) {
        return throttled(wait);
    }
    let turns = call.world.state::<Turns>();
    if turns.waiting.fetch_add(1, Ordering::SeqCst) >= WAITING {
        turns.waiting.fetch_sub(1, Ordering::SeqCst);
        return throttled(10);
    }
    let turn = turns.running.acquire().await;
    turns.waiting.fetch_sub(1, Ordering::SeqCst);
    let answered = tokio::task::spawn_blocking(move || respond(&call, service)).await;
    drop(turn);
    let failed = |_| *error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", "Something went wrong.", None);
    answered.unwrap_or_else(failed)
}

fn throttled(wait: i64) -> Response {
    let mut response = *error(StatusCode::TOO_MANY_REQUESTS, "ThrottledError", "Too many requests. Please retry later.", None);
    response.headers_mut().insert(header::RETRY_AFTER, wait.into());
    response
}

/// An error of both services.
pub(crate) fn error(status: StatusCode, code: &str, message: &str, inner: Option<Value>) -> Box<Response> {
    let mut body = json!({"error": {"message": message, "code": code, "correlationId": "00000000-0000-4000-8000-000000000000"}});
    if let Some(inner) = inner {
        body["error"]["innererror"] = inner;
    }
    Box::new(answer::json(status, &body))
}

/// An error of the query's text.
fn query_error(code: &str, message: &str, token: &str) -> Box<Response> {
    let inner = json!({
        "code": code, "message": "A semantic error occurred.", "line": 1, "pos": 0, "token": token,
        "innererror": {"code": "SEM0100", "message": message},
    });
    error(StatusCode::BAD_REQUEST, "BadArgumentError", "The request had some invalid properties", Some(inner))
}

fn respond(call: &Call, service: Service) -> Response {
    let (query, timespans) = match call.method {
        Method::GET => {
            let Some(query) = call.parameter("query") else {
                return *error(StatusCode::BAD_REQUEST, "BadArgumentError", "The query parameter is missing.", None);
            };
            (query.to_owned(), vec![call.parameter("timespan").map(str::to_owned)])
        }
        Method::POST => {
            let is_json = call.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
            if !is_json || call.body.is_empty() {
                // The service's trap: no content type or no body is an answer without anything.
                return answer::text(StatusCode::OK, "text/plain", "");
            }
            let Some(body) = call.json() else {
                return *error(StatusCode::BAD_REQUEST, "BadArgumentError", "The body is not valid JSON.", None);
            };
            let Some(query) = body["query"].as_str() else {
                return *error(StatusCode::BAD_REQUEST, "BadArgumentError", "The property query is missing.", None);
            };
            let of_body = body.get("timespan").and_then(Value::as_str).map(str::to_owned);
            (query.to_owned(), vec![of_body, call.parameter("timespan").map(str::to_owned)])
        }
        _ => return *error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "Only GET and POST are allowed.", None),
    };
    let now = call.world.now();
    let mut time = i64::MIN..i64::MAX;
    for span in timespans.into_iter().flatten() {
        let Some(span) = timespan(&span, now) else {
            return *error(StatusCode::BAD_REQUEST, "BadArgumentError", &format!("The timespan '{span}' is invalid."), None);
        };
        time = time.start.max(span.start)..time.end.min(span.end);
    }
    let query = match kql::parse(&query, now) {
        Ok(query) => query,
        Err(why) => return *query_error(if why.syntax { "SyntaxError" } else { "SemanticError" }, &why.message, &why.token),
    };
    let Some((table, definition)) = service.table(&query.table) else {
        let message = format!("'take' operator: Failed to resolve table or column expression named '{}'", query.table);
        return *query_error("SemanticError", &message, &query.table);
    };
    let answered = run::run(call, service, (table, definition), &query, time);
    let (result, range, whole) = match answered {
        Ok(answered) => answered,
        Err(column) => {
            let message = format!("Failed to resolve scalar expression named '{column}'");
            return *query_error("SemanticError", &message, &column);
        }
    };
    if whole {
        let asked = call.world.state::<QueriedRanges>();
        asked.0.lock().unwrap_or_else(PoisonError::into_inner).entry((service, table)).or_default().add(range, now);
    }
    answer::text(StatusCode::OK, "application/json; charset=utf-8", result)
}

/// `start/end`, `start/duration`, `duration/end` or a duration up to now. The end counts in.
fn timespan(text: &str, now: i64) -> Option<Range<i64>> {
    let Some((start, end)) = text.split_once('/') else { return Some(now.saturating_sub(duration(text)?)..now + 1) };
    Some(match (instant::parse(start), instant::parse(end)) {
        (Some(start), Some(end)) => start..end + 1,
        (Some(start), None) => start..start.saturating_add(duration(end)?).saturating_add(1),
        (None, Some(end)) => end.saturating_sub(duration(start)?)..end + 1,
        (None, None) => return None,
    })
}

/// The microseconds of an ISO 8601 duration of weeks, days, hours, minutes and seconds.
fn duration(text: &str) -> Option<i64> {
    parse::timespans::iso(text).map(|ticks| ticks / TICKS_PER_US)
}

/// The rows of the times that were asked for, as of when some of them were told last.
pub(crate) fn truth(world: &World, service: Service) -> Vec<crate::manifest::Table> {
    let asked = world.state::<QueriedRanges>();
    let asked: Vec<_> = {
        let asked = asked.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked
            .iter()
            .filter(|((of, _), _)| *of == service)
            .filter_map(|((_, table), covered_range)| Some((*table, covered_range.get()?)))
            .collect()
    };
    // Rows of a workspace have no id: an operation has one row.
    let column = if service == Service::Insights { "itemId" } else { "operation_Id" };
    let seeded = seeded(world);
    let mut tables = Vec::new();
    for (name, (time, now)) in asked {
        let mut count: BTreeMap<String, usize> = BTreeMap::new();
        for row in telemetry::visible(seeded, (service.source(), name), time, now) {
            let values = row.values(seeded, (service.source(), name));
            *count.entry(values.get(column).and_then(Value::as_str).unwrap_or_default().to_owned()).or_default() += 1;
        }
        let mut table = crate::manifest::Table::new(name, &[column]);
        for (key, number) in count {
            // How often a row without an id is there; one with an id is there once.
            table.row(key, (service == Service::LogAnalytics && number > 1).then(|| number.to_string()));
        }
        tables.push(table);
    }
    tables
}

/// The list of tables and columns that `/metadata` and `/query/schema` tell.
pub(crate) fn metadata(service: Service) -> Value {
    let tables = telemetry::tables().iter().map(|(classic, definition)| {
        let columns: Vec<Value> =
            service.columns(definition).iter().map(|(name, kind, _)| json!({"name": name, "type": kind})).collect();
        let name = if service == Service::Insights { classic.as_str() } else { definition.workspace.as_str() };
        json!({"id": name, "name": name, "timespanColumn": service.time_column(), "columns": columns})
    });
    json!({"tables": tables.collect::<Vec<Value>>()})
}

/// What `/query/schema` tells: tables with their columns as rows, and the column of time of each.
pub(crate) fn schema(service: Service) -> Value {
    let dotnet = |kind: &str| match kind {
        "int" => "System.Int32",
        "real" => "System.Double",
        "datetime" => "System.DateTime",
        "dynamic" => "System.Object",
        "bool" => "System.SByte",
        _ => "System.String",
    };
    let (mut columns, mut tables) = (Vec::new(), Vec::new());
    for (classic, definition) in telemetry::tables() {
        let name = if service == Service::Insights { classic.as_str() } else { definition.workspace.as_str() };
        columns.extend(service.columns(definition).iter().map(|(column, kind, _)| json!([name, column, dotnet(kind)])));
        tables.push(json!(["Table", name, service.time_column()]));
    }
    let head = |names: &[&str]| names.iter().map(|name| json!({"name": name, "type": "string"})).collect::<Vec<Value>>();
    json!({"tables": [
        {"name": "Table_0", "columns": head(&["TableName", "ColumnName", "ColumnType"]), "rows": columns},
        {"name": "Table_1", "columns": head(&["TableType", "TableName", "PrimaryTimestampColumnName"]), "rows": tables},
    ]})
}

/// Whether the application may read: an API key where there is one, or a token.
///
/// # Errors
/// The answer that says why not.
pub(crate) fn allowed(call: &Call, audiences: &[&str], api_key: Option<&str>) -> Result<(), Box<Response>> {
    use crate::tokens::Denied;
    if let (Some(expected), Some(given)) = (api_key, call.header("x-api-key")) {
        return match given == expected {
            true => Ok(()),
            false => Err(error(StatusCode::FORBIDDEN, "InvalidApiKeyError", "The API key is invalid.", None)),
        };
    }
    let refused = |status, code: &str, message: &str| Err(error(status, code, message, None));
    match call.world.require(&call.headers, audiences, &["Data.Read"]) {
        Ok(_) => Ok(()),
        Err(Denied::Missing) => {
            refused(StatusCode::UNAUTHORIZED, "AuthorizationRequiredError", "Valid authentication was not provided")
        }
        Err(Denied::Expired) => refused(StatusCode::UNAUTHORIZED, "AuthenticationFailed", "The access token has expired"),
        Err(Denied::Invalid) => refused(StatusCode::FORBIDDEN, "InvalidAuthenticationToken", "The access token is invalid"),
        Err(Denied::Audience(_)) => refused(
            StatusCode::FORBIDDEN,
            "InvalidAuthenticationTokenAudience",
            "The access token has been obtained from wrong audience or resource",
        ),
        Err(Denied::Role(_)) => refused(
            StatusCode::FORBIDDEN,
            "InsufficientAccessError",
            "The provided credentials have insufficient access to perform the requested operation",
        ),
    }
}

/// The rows that fit in an answer, and its bytes.
fn limits(world: &World) -> (usize, usize) {
    (world.settings.query_rows, world.settings.query_bytes)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod timespans {
    use super::*;
    use crate::tenant::instant::{DAY, HOUR, MINUTE};

    #[test]
    fn timespans_have_all_their_forms() {
        let now = 100 * DAY;
        assert_eq!(timespan("PT1H30M", now), Some(now - 90 * MINUTE..now + 1));
        assert_eq!(timespan("P1DT12H", now), Some(now - 36 * HOUR..now + 1));
        assert_eq!(timespan("1970-01-02/P1D", now), Some(DAY..2 * DAY + 1));
        assert_eq!(timespan("1970-01-02T00:00:00Z/1970-01-03T00:00:00Z", now), Some(DAY..2 * DAY + 1));
        // The last is longer than any timespan.
        for wrong in ["", "P", "PT", "1D", "P1", "x/y", "P99999999999999D"] {
            assert_eq!(timespan(wrong, now), None, "{wrong}");
        }
    }
}
