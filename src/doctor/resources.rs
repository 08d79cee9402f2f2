//! Resources of Application Insights, workspaces of Log Analytics, queues of Service Bus and message traces: whether they may be read,
//! which no token tells.

use serde_json::{Value, json};
use tokio::time::timeout;

use super::finding::{Area, Finding};
use super::services::PATIENCE;
use crate::config::TenantConfig;
use kqlake_import::Section;
use kqlake_remote::cloud::Service;
use kqlake_remote::settings::{Tenant, TraceApi};
use kqlake_remote::webhook::check_queue;
use kqlake_remote::{Failure, Request, ServiceError, World, check_message_trace};
use kqlake_value::US_PER_MINUTE;
use kqlake_value::format::datetime_text;

/// The time that a table is asked for, in microseconds: little, so that the answer costs the service nothing, however much it has.
const RECENT: i64 = 5 * US_PER_MINUTE;

/// Asks each table of each resource for one row of the last minutes.
pub(super) async fn check(config: &TenantConfig, tenant: &Tenant, world: &World) -> Vec<Finding> {
    if !config.jobs.contains(&Section::Hits) {
        return Vec::new();
    }
    let insights = tenant.app_insights.iter().map(|resource| {
        let path = format!("/v1/apps/{}/query", resource.app_id);
        (Service::AppInsights, resource.app_id.as_str(), path, resource.api_key.as_ref(), "timestamp", &resource.tables)
    });
    let workspaces = tenant.log_analytics.iter().map(|workspace| {
        let path = format!("/v1/workspaces/{}/query", workspace.workspace_id);
        (Service::LogAnalytics, workspace.workspace_id.as_str(), path, None, "TimeGenerated", &workspace.tables)
    });
    let mut findings = Vec::new();
    for (service, id, path, key, time, tables) in insights.chain(workspaces) {
        let component = format!("{}/{}/{id}", config.name, service.key());
        // Said already, where the way to the service was looked at.
        let Ok(api) = world.api(tenant, service) else { continue };
        let mut refused = None;
        for table in tables {
            let body = question(table, time, api.now());
            let request = Request::post_json(api.url(&path), &body).once().patience(PATIENCE);
            let request = match key {
                Some(key) => request.key("x-api-key", key),
                None => request,
            };
            match timeout(PATIENCE * 2, api.json(request)).await {
                Ok(Ok(_)) => {}
                Ok(Err(err)) => refused = Some((table, area(&err), advice(err.status, key.is_some()), err.to_string())),
                Err(_) => refused = Some((table, Area::Service, SLOW, "no answer in time".to_owned())),
            }
            if refused.is_some() {
                break;
            }
        }
        findings.push(match refused {
            None => Finding::ok(Area::Service, component, format!("{} can be read", tables.join(", "))),
            Some((table, area, advice, why)) => {
                Finding::failed(area, component, format!("the table {table} cannot be read: {why}"), advice)
            }
        });
    }
    findings
}

/// What to do where a service does not answer.
const SLOW: &str = "try again later; the service's own status page tells whether it is well";

/// Whose failure it is: a service that refuses is well, and something that is configured, or a permission, is wrong.
fn area(error: &ServiceError) -> Area {
    match error.failure {
        Failure::Refused | Failure::Unauthorized | Failure::Credential | Failure::Forbidden => Area::Configuration,
        Failure::Unreachable | Failure::Broken | Failure::Throttled | Failure::Service | Failure::TooLarge => Area::Service,
    }
}

/// What to do when a resource refuses with a status, to a key of its own or to the application.
fn advice(status: Option<u16>, has_key: bool) -> &'static str {
    match status {
        Some(400) => "check the names of its tables",
        Some(404) => "check the id of the resource",
        Some(401 | 403) if has_key => "check the resource's api_key, and its id",
        Some(401 | 403) => {
            "give the application the Azure role Log Analytics Reader or Monitoring Reader on the resource (which takes up to an \
             hour), or check its id"
        }
        _ => SLOW,
    }
}

/// Looks whether message traces may be read.
pub(super) async fn message_trace(config: &TenantConfig, tenant: &Tenant, world: &World) -> Option<Finding> {
    if !config.jobs.contains(&Section::MessageTrace) {
        return None;
    }
    let component = format!("{}/message_trace", config.name);
    let error = match timeout(PATIENCE * 2, check_message_trace(tenant, world, PATIENCE)).await {
        Ok(None) => return None,
        Ok(Some(Ok(()))) => return Some(Finding::ok(Area::Service, component, "message traces can be read")),
        Ok(Some(Err(error))) => error,
        Err(_) => {
            let detail = "message traces cannot be read: no answer in time";
            return Some(Finding::failed(Area::Service, component, detail, SLOW));
        }
    };
    if error.failure == Failure::Throttled {
        return Some(Finding::skipped(Area::Service, component, "the quota of message traces is used up for some minutes"));
    }
    let advice = match (area(&error), tenant.message_trace.api) {
        (Area::Configuration, TraceApi::Graph) => {
            "see the findings of graph above; where the token carries ExchangeMessageTrace.Read.All, the tenant needs the service \
             principal of 8bd644d1-64a1-4d4b-ae52-2e0cbf64e373: POST /v1.0/servicePrincipals \
             {\"appId\":\"8bd644d1-64a1-4d4b-ae52-2e0cbf64e373\"}, and wait some hours"
        }
        (Area::Configuration, TraceApi::Reporting) => {
            "give the application the role Global Reader or Security Reader (Entra admin centre, Roles and administrators)"
        }
        _ => SLOW,
    };
    Some(Finding::failed(area(&error), component, format!("message traces cannot be read: {error}"), advice))
}

/// Asks a table with a column of times for one row of the last minutes before an instant (microseconds since 1970).
fn question(table: &str, time: &str, now: i64) -> Value {
    let (from, to) = (datetime_text(now - RECENT), datetime_text(now));
    let query = format!("{table} | where {time} >= datetime({from}) and {time} < datetime({to}) | take 1");
    json!({ "query": query, "timespan": format!("{from}/{to}") })
}

/// Looks whether the queue of notifications may be read.
pub(super) async fn queue(config: &TenantConfig, tenant: &Tenant, world: &World) -> Option<Finding> {
    let set = tenant.calls.service_bus.as_ref().filter(|_| config.jobs.contains(&Section::Calls))?;
    let component = format!("{}/service_bus/{}", config.name, set.queue);
    let (area, why) = match timeout(PATIENCE * 2, check_queue(tenant, world)).await {
        Ok(None) => return None,
        Ok(Some(Ok(()))) => return Some(Finding::ok(Area::Service, component, "the queue may be read".to_owned())),
        Ok(Some(Err(err))) => (area(&err), err.to_string()),
        Err(_) => (Area::Service, "no answer in time".to_owned()),
    };
    let advice = match &set.key {
        Some((policy, _)) => format!("check namespace and queue, and that the policy {policy} may listen and this is its key"),
        None => "check namespace and queue, and give the application the Azure role Azure Service Bus Data Receiver".to_owned(),
    };
    Some(Finding::failed(area, component, format!("the queue cannot be read: {why}"), advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_asked_for_little() {
        let asked = question("traces", "timestamp", 1_767_225_600_000_000);
        let (from, to) = ("2025-12-31T23:55:00.0000000Z", "2026-01-01T00:00:00.0000000Z");
        assert_eq!(asked["timespan"], format!("{from}/{to}"));
        let query = format!("traces | where timestamp >= datetime({from}) and timestamp < datetime({to}) | take 1");
        assert_eq!(asked["query"], query);
    }
}
