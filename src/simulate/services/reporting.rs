//! The Exchange reporting web service: message traces of before Graph had them, as JSON and as Atom.

use std::ops::Range;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::answer::{self, Call};
use crate::manifest::Table;
use crate::services::covered_range::CoveredRange;
use crate::services::graph::odata::{self, Condition};
use crate::services::graph::{seeded, traces};
use crate::services::quota;
use crate::tenant::instant::{self, DAY, HOUR};
use crate::tenant::mail::{self, Trace};
use crate::tokens::Denied;
use crate::world::World;

const AUDIENCES: [&str; 3] = ["https://outlook.office365.com", "https://outlook.office.com", "https://reports.office365.com"];
/// Rows of a page.
const PAGE: usize = 2000;
/// How far back can be asked.
const RETENTION: i64 = 10 * DAY;
const NAMESPACES: &str = "xmlns:d=\"http://schemas.microsoft.com/ado/2007/08/dataservices\" \
     xmlns:m=\"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata\" xmlns=\"http://www.w3.org/2005/Atom\"";

/// The time that was asked for.
#[derive(Debug, Default)]
struct QueriedRanges(CoveredRange);

/// The service's routes, below its prefix.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().fallback(serve)
}

async fn serve(call: Call) -> Response {
    respond(&call).unwrap_or_else(|refused| *refused)
}

fn respond(call: &Call) -> Result<Response, Box<Response>> {
    match call.world.require(&call.headers, &AUDIENCES, &["ReportingWebService.Read.All"]) {
        Ok(_) if call.world.settings.reporting_role_missing => return Err(without_role()),
        Ok(_) => {}
        Err(Denied::Role(_)) => return Err(without_role()),
        Err(_) => return Err(Box::new(answer::text(StatusCode::UNAUTHORIZED, "text/html", ""))),
    }
    quota::take(&call.world, "reporting", 2000, 300).map_err(|wait| {
        let mut response = error(StatusCode::TOO_MANY_REQUESTS, "Too many requests.");
        response.headers_mut().insert("retry-after", wait.into());
        response
    })?;
    let path = call.path.to_ascii_lowercase();
    let Some(name) = path.rsplit_once("reporting.svc/").map(|(_, name)| name.trim_matches('/')) else {
        return Err(error(StatusCode::NOT_FOUND, "Resource not found for the segment."));
    };
    match name {
        "messagetrace" => summary(call),
        "messagetracedetail" => detail(call),
        _ => Err(error(StatusCode::NOT_FOUND, &format!("Resource not found for the segment '{name}'."))),
    }
}

fn without_role() -> Box<Response> {
    Box::new(answer::text(StatusCode::FORBIDDEN, "text/plain", "No permission to access the report for the organization."))
}

fn error(status: StatusCode, why: &str) -> Box<Response> {
    Box::new(answer::json(status, &json!({"odata.error": {"code": "", "message": {"lang": "en-US", "value": why}}})))
}

/// The time that a filter asks for, and its other conditions.
fn asked(call: &Call) -> Result<(Range<i64>, Vec<Condition>), Box<Response>> {
    let refused = |why: &str| error(StatusCode::BAD_REQUEST, why);
    let conditions = odata::conditions(call.parameter("$filter").unwrap_or_default()).map_err(|why| refused(&why))?;
    if conditions.iter().any(|condition| condition.operator != "eq") {
        return Err(refused("Only the operator eq is supported."));
    }
    let time = |name: &str| {
        conditions.iter().find(|condition| condition.property == name).map(|condition| instant::parse(&condition.value))
    };
    let now = call.world.now();
    let (start, end) = match (time("StartDate"), time("EndDate")) {
        (None, None) => (now - 2 * DAY, now),
        (Some(Some(start)), Some(Some(end))) => (start, end),
        _ => return Err(refused("StartDate and EndDate are dates, and are given together.")),
    };
    if start > end || start < now - RETENTION {
        return Err(refused(
            "Invalid StartDate value. The StartDate can't be older than 10 days from today, nor after the EndDate.",
        ));
    }
    Ok((
        start..end + 1,
        conditions.into_iter().filter(|condition| !["StartDate", "EndDate"].contains(&condition.property.as_str())).collect(),
    ))
}

/// The rows of a time that are told at an instant: where the service lags, those of more than 25 hours ago.
fn told(world: &World, time: Range<i64>, now: i64) -> Vec<Trace> {
    let until = if world.settings.reporting_lag { now - 25 * HOUR } else { now };
    mail::visible(seeded(world), time.start..time.end.min(until), now)
}

fn summary(call: &Call) -> Result<Response, Box<Response>> {
    let (time, conditions) = asked(call)?;
    let now = call.world.now();
    let mut rows = told(&call.world, time.clone(), now);
    for condition in &conditions {
        rows.retain(|trace| fits(trace, condition, now));
    }
    if conditions.is_empty() {
        call.world.state::<QueriedRanges>().0.add(time.clone(), now);
    }
    let values: Vec<Value> = rows.iter().enumerate().filter_map(|(index, trace)| row(trace, (&time, index), now)).collect();
    listed(call, "MessageTrace", &values)
}

fn fits(trace: &Trace, condition: &Condition, now: i64) -> bool {
    let status = trace.status(now).map_or("", |(status, _)| status.pascal());
    let text = match condition.property.as_str() {
        "RecipientAddress" => trace.recipient.as_str(),
        "SenderAddress" => trace.sender.as_str(),
        "Status" => status,
        "MessageId" => trace.message_id.as_str(),
        "MessageTraceId" => trace.id.as_str(),
        "FromIP" => trace.from_ip.as_deref().unwrap_or_default(),
        "ToIP" => trace.to_ip.as_deref().unwrap_or_default(),
        _ => return true,
    };
    text.eq_ignore_ascii_case(&condition.value)
}

fn row(trace: &Trace, (time, index): (&Range<i64>, usize), now: i64) -> Option<Value> {
    Some(json!({
        "Organization": "contoso.onmicrosoft.com",
        "MessageId": trace.message_id,
        "Received": instant::text(trace.received, 7),
        "SenderAddress": trace.sender,
        "RecipientAddress": trace.recipient,
        "Subject": trace.subject,
        "Status": trace.status(now)?.0.pascal(),
        "ToIP": trace.to_ip,
        "FromIP": trace.from_ip,
        "Size": trace.size,
        "MessageTraceId": trace.id,
        "StartDate": instant::text(time.start, 0) + "Z",
        "EndDate": instant::text(time.end - 1, 0) + "Z",
        "Index": index,
    }))
}

fn detail(call: &Call) -> Result<Response, Box<Response>> {
    let (time, conditions) = asked(call)?;
    let value =
        |name: &str| conditions.iter().find(|condition| condition.property == name).map(|condition| condition.value.as_str());
    let (Some(id), Some(recipient)) = (value("MessageTraceId"), value("RecipientAddress")) else {
        return Err(error(StatusCode::BAD_REQUEST, "MessageTraceId and RecipientAddress are required."));
    };
    let now = call.world.now();
    let trace = mail::find(seeded(&call.world), id).into_iter().find(|trace| {
        trace.recipient.eq_ignore_ascii_case(recipient) && time.contains(&trace.received) && trace.status(now).is_some()
    });
    let values: Vec<Value> = trace
        .iter()
        .flat_map(|trace| mail::steps(trace, now))
        .enumerate()
        .map(|(index, step)| {
            json!({
                "Organization": "contoso.onmicrosoft.com",
                "MessageId": trace.as_ref().map(|trace| trace.message_id.as_str()),
                "MessageTraceId": id,
                "Date": instant::text(step.at, 7),
                "Event": step.event,
                "Action": if step.event == "Fail" { "Return NDR" } else { "" },
                "Detail": step.detail,
                "Data": step.data,
                "SenderAddress": trace.as_ref().map(|trace| trace.sender.as_str()),
                "RecipientAddress": recipient,
                "StartDate": instant::text(time.start, 0) + "Z",
                "EndDate": instant::text(time.end - 1, 0) + "Z",
                "Index": index,
            })
        })
        .collect();
    listed(call, "MessageTraceDetail", &values)
}

/// A page of rows in the form that the request asks for. `$skiptoken` is the number of the last row that was told.
fn listed(call: &Call, name: &str, rows: &[Value]) -> Result<Response, Box<Response>> {
    let refused = || error(StatusCode::BAD_REQUEST, "Invalid $skiptoken or $top.");
    let number = |name: &str| call.parameter(name).map(|text| text.parse::<usize>()).transpose().map_err(|_| refused());
    let start = number("$skiptoken")?.map_or(0, |last| last + 1).min(rows.len());
    let size = number("$top")?.unwrap_or(PAGE).clamp(1, PAGE);
    let end = (start + size).min(rows.len());
    let next = (end < rows.len() && call.parameter("$top").is_none()).then(|| {
        let mut query: Vec<String> = call
            .query
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("$skiptoken"))
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        query.push(format!("$skiptoken={}", end - 1));
        // The service leaves it to the client to encode what it does not encode, but for the blank.
        format!("../../reportingwebservice/reporting.svc/{name}?{}", query.join("&").replace(' ', "%20"))
    });
    let rows: Vec<Value> = rows[start..end].iter().map(|row| chosen(row, call.parameter("$select"))).collect();
    let accepts = call.header("accept").unwrap_or_default().to_ascii_lowercase();
    let format = call.parameter("$format").unwrap_or_default().to_ascii_lowercase();
    let metadata = format!("{}/ecp/ReportingWebService/Reporting.svc/$metadata#{name}", call.base);
    if accepts.contains("odata=verbose") {
        let results: Vec<Value> = rows.into_iter().map(|row| verbose(call, name, row)).collect();
        let mut body = json!({"d": {"results": results}});
        if let Some(next) = next {
            body["d"]["__next"] = json!(next);
        }
        return Ok(answer::text(StatusCode::OK, "application/json;odata=verbose;charset=utf-8", body.to_string()));
    }
    if format == "json" || (format.is_empty() && accepts.contains("application/json")) {
        let mut body = json!({"odata.metadata": metadata, "value": rows});
        if let Some(next) = next {
            body["odata.nextLink"] = json!(next);
        }
        return Ok(answer::json(StatusCode::OK, &body));
    }
    if !(format.is_empty() || format == "atom") {
        return Err(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type requested."));
    }
    Ok(answer::text(StatusCode::OK, "application/atom+xml;type=feed;charset=utf-8", atom(call, name, &rows, next)))
}

fn chosen(row: &Value, select: Option<&str>) -> Value {
    let (Some(select), Value::Object(row)) = (select, row) else { return row.clone() };
    let names: Vec<&str> = select.split(',').map(str::trim).collect();
    let kept: Map<String, Value> = row
        .iter()
        .filter(|(name, _)| names.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Value::Object(kept)
}

fn verbose(call: &Call, name: &str, row: Value) -> Value {
    let mut whole = Map::new();
    let uri = format!("{}/ecp/ReportingWebService/Reporting.svc/{name}({})", call.base, row["Index"]);
    whole.insert("__metadata".to_owned(), json!({"id": uri, "uri": uri, "type": format!("TenantReporting.{name}")}));
    if let Value::Object(row) = row {
        whole.extend(row);
    }
    Value::Object(whole)
}

/// An Atom feed.
fn atom(call: &Call, name: &str, rows: &[Value], next: Option<String>) -> String {
    let base = format!("{}/ecp/ReportingWebService/Reporting.svc", call.base);
    let updated = instant::text(call.world.now(), 0) + "Z";
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><feed xml:base=\"{base}/\" {NAMESPACES}><title type=\"text\">{name}</title>\
         <id>{base}/{name}</id><updated>{updated}</updated>"
    );
    for row in rows {
        text.push_str(&format!(
            "<entry><id>{base}/{name}({})</id><updated>{updated}</updated><content type=\"application/xml\"><m:properties>",
            row["Index"]
        ));
        for (name, value) in row.as_object().into_iter().flatten() {
            let kind = match name.as_str() {
                "Received" | "Date" | "StartDate" | "EndDate" => " m:type=\"Edm.DateTime\"",
                "Size" | "Index" => " m:type=\"Edm.Int32\"",
                "MessageTraceId" => " m:type=\"Edm.Guid\"",
                _ => "",
            };
            match value {
                Value::Null => text.push_str(&format!("<d:{name}{kind} m:null=\"true\" />")),
                Value::String(value) => text.push_str(&format!("<d:{name}{kind}>{}</d:{name}>", escaped(value))),
                value => text.push_str(&format!("<d:{name}{kind}>{value}</d:{name}>")),
            }
        }
        text.push_str("</m:properties></content></entry>");
    }
    if let Some(next) = next {
        text.push_str(&format!("<link rel=\"next\" href=\"{}\" />", escaped(&next)));
    }
    text.push_str("</feed>");
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The rows of the time that was asked for, with the statuses that were visible last.
pub(crate) fn truth(world: &World) -> Vec<Table> {
    let asked = world.state::<QueriedRanges>().0.get();
    asked.map(|(time, now)| traces::table(&told(world, time, now), now)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::{Client, send, tenant};

    const AUDIENCE: &str = "https://outlook.office365.com";
    const TRACES: &str = "/reporting/ecp/reportingwebservice/reporting.svc/MessageTrace";
    const WEEK: &str = "$filter=StartDate eq datetime'2026-01-05T00:00:00Z' and EndDate eq datetime'2026-01-12T12:00:00Z'";

    #[tokio::test]
    async fn relative_links_lead_to_all_rows() {
        let of = tenant(51, |_| {}).await;
        let client = Client::new(&of, AUDIENCE).await;
        let (mut address, mut rows, mut pages) = (format!("{TRACES}?{WEEK}&$format=Json"), BTreeSet::new(), 0);
        let mut again = 0;
        loop {
            let page = client.get(&address).await.json();
            pages += 1;
            for row in page["value"].as_array().unwrap() {
                let received = row["Received"].as_str().unwrap();
                assert!(!received.ends_with('Z') && received.len() == 27, "{received}");
                again += usize::from(!rows.insert(format!(
                    "{}|{}",
                    row["MessageTraceId"].as_str().unwrap(),
                    row["RecipientAddress"].as_str().unwrap()
                )));
            }
            match page["odata.nextLink"].as_str() {
                Some(next) => address = format!("/reporting/ecp/{}", next.strip_prefix("../../").unwrap()),
                None => break,
            }
        }
        let truth = of.manifest().tables.into_iter().find(|table| table.table == "MessageTrace").unwrap();
        assert_eq!(rows, truth.rows.into_keys().collect());
        assert!(again == 0 && pages == rows.len().div_ceil(PAGE), "{pages} pages");
    }

    #[tokio::test]
    async fn all_forms_tell_the_same_rows() {
        let of = tenant(52, |_| {}).await;
        let client = Client::new(&of, AUDIENCE).await;
        let light = client.get(&format!("{TRACES}?{WEEK}&$top=3&$format=Json")).await.json();
        let atom = client.get(&format!("{TRACES}?{WEEK}&$top=3")).await;
        assert_eq!(atom.headers["content-type"], "application/atom+xml;type=feed;charset=utf-8");
        assert_eq!(atom.text().matches("<entry>").count(), 3);
        let token = crate::testing::token(&of, AUDIENCE).await;
        let headers = [("authorization", format!("Bearer {token}")), ("accept", "application/json;odata=verbose".to_owned())];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let verbose = send(&of, "GET", &format!("{TRACES}?{WEEK}&$top=3"), &headers, "").await.json();
        for number in 0..3 {
            let id = &light["value"][number]["MessageTraceId"];
            assert_eq!(*id, verbose["d"]["results"][number]["MessageTraceId"]);
            assert!(atom.text().contains(id.as_str().unwrap()));
        }
        let detail = format!(
            "{TRACES}Detail?$filter=MessageTraceId eq guid'{}' and RecipientAddress eq '{}' and StartDate eq datetime'2026-01-05T00:00:00Z' and EndDate eq datetime'2026-01-12T12:00:00Z'&$format=Json",
            light["value"][0]["MessageTraceId"].as_str().unwrap(),
            light["value"][0]["RecipientAddress"].as_str().unwrap()
        );
        assert!(!client.get(&detail).await.json()["value"].as_array().unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_service_lags_and_refuses_as_it_is_told_to() {
        let of = tenant(53, |settings| settings.reporting_lag = true).await;
        let client = Client::new(&of, AUDIENCE).await;
        let last = client.get(&format!("{TRACES}?{WEEK}&$format=Json&$top=1")).await.json();
        assert!(last["value"][0]["Received"].as_str().unwrap() < "2026-01-11T11:00:00");
        let old = "$filter=StartDate eq datetime'2025-12-30T00:00:00Z' and EndDate eq datetime'2025-12-31T00:00:00Z'";
        for wrong in [old, "$filter=StartDate eq datetime'2026-01-05T00:00:00Z'", "$filter=Size gt 5"] {
            assert_eq!(client.get(&format!("{TRACES}?{wrong}")).await.status, 400, "{wrong}");
        }
        assert_eq!(send(&of, "GET", TRACES, &[], "").await.status, 401);
        let of = tenant(54, |settings| settings.reporting_role_missing = true).await;
        let got = Client::new(&of, AUDIENCE).await.get(TRACES).await;
        assert_eq!((got.status, got.text().as_str()), (403, "No permission to access the report for the organization."));
    }
}
