//! Usage reports: a redirect to a file that is fetched without a token, or pages of JSON; and whether names are concealed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::{Answer, allowed, context_of, error, odata, page, position, seeded, size, within};
use crate::answer::{self, Call as Request};
use crate::manifest::Table;
use crate::tenant::instant::{self, DAY, MINUTE};
use crate::tenant::reports::{self, Report, Served, Span};
use crate::world::World;

/// How long a download's address is valid.
const ADDRESSES_LAST: i64 = 5 * MINUTE;
/// The oldest day that can be asked for.
const OLDEST: i64 = 28;

/// What was set and asked for.
#[derive(Debug, Default)]
struct State {
    concealed: Mutex<Option<bool>>,
    /// Functions that were asked for single days.
    by_day: Mutex<BTreeSet<String>>,
    /// Rows that were served for periods: by table and key, with the count that was served last.
    served: Mutex<BTreeMap<String, BTreeMap<String, Option<String>>>>,
}

fn concealed(world: &World) -> bool {
    world.state::<State>().concealed.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(world.settings.conceal_names)
}

/// `/reports/{function}(…)`.
pub(super) fn answer(request: &Request, call: &str) -> Answer {
    allowed(request, &["Reports.Read.All"])?;
    let (name, arguments) = call.split_once('(').map_or((call, ""), |(name, rest)| (name, rest.trim_end_matches(')')));
    let Some((name, report)) = reports::all().iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) else {
        return Err(error(request, 400, "BadRequest", &format!("Resource not found for the segment '{name}'.")));
    };
    let span = span(request, report, arguments)?;
    let is_json = request.parameter("$format").is_some_and(|format| format.contains("json"))
        || request
            .header("accept")
            .is_some_and(|accept| accept.contains("application/json") && request.path.starts_with("/beta"));
    if is_json {
        within(request, &format!("report {name} json"), 100, 600)?;
        if !report.has_json() {
            return Err(error(request, 400, "BadRequest", "The report is not available in this format."));
        }
        return json_page(request, name, report, span);
    }
    within(request, &format!("report {name}"), 14, 600)?;
    let (kind, value) = match span {
        Span::Period(days) => (0, days),
        Span::Date(day) => (1, day),
        Span::Whole => (2, 0),
    };
    let beta = i64::from(request.path.starts_with("/beta"));
    let token = odata::token(&[kind, value, beta, request.world.now() + ADDRESSES_LAST, request.world.now()]);
    let mut response = answer::text(StatusCode::FOUND, "text/plain", "");
    let location = format!("{}/data/download/{name}/{token}", request.base);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

fn span(request: &Request, report: &Report, arguments: &str) -> Result<Span, Box<Response>> {
    let invalid = |why: &str| error(request, 400, "InvalidArgument", why);
    let (name, value) = arguments.split_once('=').unwrap_or(("", ""));
    let value = value.trim_matches('\'');
    match name {
        "" if report.params.is_empty() => Ok(Span::Whole),
        "period" if report.params.contains(&'P') => match value.to_uppercase().as_str() {
            "D7" => Ok(Span::Period(7)),
            "D30" => Ok(Span::Period(30)),
            "D90" => Ok(Span::Period(90)),
            "D180" => Ok(Span::Period(180)),
            _ => Err(invalid("Invalid period value: the period is one of D7, D30, D90, D180.")),
        },
        "date" if report.params.contains(&'D') => {
            let day = instant::parse(value).filter(|_| value.len() == 10).ok_or_else(|| invalid("Invalid date value."))? / DAY;
            let today = request.world.now().div_euclid(DAY);
            if day < today - OLDEST || day > today {
                return Err(invalid("Only support data for the past 28 days."));
            }
            Ok(Span::Date(day))
        }
        _ => Err(invalid("Invalid parameter: give one of the function's parameters.")),
    }
}

/// `/data/download/{function}/{token}`, without a token of the login service.
pub(super) fn download(request: &Request, name: &str, token: &str) -> Answer {
    if request.headers.contains_key(header::AUTHORIZATION) {
        return Err(error(
            request,
            400,
            "InvalidAuthenticationInfo",
            "Authentication information is not given in the correct format.",
        ));
    }
    let (Some(report), Some(token)) = (reports::all().get(name), odata::read_token(token, 5)) else {
        return Err(error(request, 404, "NotFound", "The file was not found."));
    };
    if token[3] < request.world.now() {
        return Err(error(request, 403, "AuthenticationFailed", "The address has expired."));
    }
    let span = match token[0] {
        0 => Span::Period(token[1]),
        1 => Span::Date(token[1]),
        _ => Span::Whole,
    };
    let rows = report.rows(seeded(&request.world), name, span, token[4], concealed(&request.world));
    note(&request.world, name, span, &rows);
    let mut response = answer::text(StatusCode::OK, "application/octet-stream", report.to_csv(&rows, token[2] == 1));
    let disposition = format!("attachment; filename=\"{name}.csv\"");
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

fn json_page(request: &Request, name: &str, report: &Report, span: Span) -> Answer {
    let (offset, now) = position(request)?;
    let rows = report.rows(seeded(&request.world), name, span, now, concealed(&request.world));
    let values = report.to_json(&rows);
    let start = offset.min(values.len());
    let end = (start + size(request, report.page(), report.page())?).min(values.len());
    let next = (end < values.len()).then(|| odata::link(request, &[], &[("$skipToken", &odata::token(&[end as i64, now]))]));
    if next.is_none() {
        note(&request.world, name, span, &rows);
    }
    Ok(page(request, &format!("reports/{name}"), values[start..end].to_vec(), next))
}

/// `/admin/reportSettings`.
pub(super) fn settings(request: &Request) -> Answer {
    if request.method == axum::http::Method::PATCH {
        allowed(request, &["ReportSettings.ReadWrite.All"])?;
        let value = request.json().and_then(|body| body["displayConcealedNames"].as_bool());
        let value = value.ok_or_else(|| error(request, 400, "BadRequest", "displayConcealedNames is true or false."))?;
        *request.world.state::<State>().concealed.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    } else {
        allowed(request, &["ReportSettings.Read.All", "ReportSettings.ReadWrite.All"])?;
    }
    let body: Value = json!({
        "@odata.context": context_of(request, "admin/reportSettings/$entity"), "displayConcealedNames": concealed(&request.world),
    });
    Ok(answer::json(StatusCode::OK, &body))
}

fn note(world: &World, name: &str, span: Span, rows: &[Served]) {
    let state = world.state::<State>();
    if let Span::Date(_) = span {
        state.by_day.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }
    let mut served = state.served.lock().unwrap_or_else(PoisonError::into_inner);
    let table = served.entry(name.to_owned()).or_default();
    for row in rows {
        table.insert(key(row), row.count.clone());
    }
}

fn key(row: &Served) -> String {
    let values: Vec<&str> = row.key.iter().map(|(_, value)| value.as_str()).collect();
    values.join("|")
}

/// The rows of all days that could be asked for, of functions that were asked for days; the rows that were served, of the others.
pub(super) fn truth(world: &World) -> Vec<Table> {
    let state = world.state::<State>();
    let by_day = state.by_day.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let served = state.served.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let today = world.now().div_euclid(DAY);
    let mut tables = Vec::new();
    for (name, mut rows) in served {
        let Some(report) = reports::all().get(&name) else { continue };
        let mut columns: Vec<&str> = Vec::new();
        let days = if by_day.contains(&name) { OLDEST } else { 0 };
        for day in today - days + 1..=today {
            for row in report.rows(seeded(world), &name, Span::Date(day), world.now(), concealed(world)) {
                rows.insert(key(&row), row.count.clone());
            }
        }
        let sample_span = if report.params.is_empty() { Span::Whole } else { Span::Period(7) };
        if let Some(row) = report.rows(seeded(world), &name, sample_span, world.now(), false).first() {
            columns = row.key.iter().map(|(name, _)| *name).collect();
        }
        let mut table = Table::new(name.trim_start_matches("get"), &columns);
        for (key, count) in rows {
            table.row(key, count);
        }
        tables.push(table);
    }
    tables
}
