//! Subscriptions: what the services send or keep for us, and whether they go on doing so.

use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use super::finding::{Area, Finding};
use super::services::PATIENCE;
use crate::config::TenantConfig;
use kqlake_import::Section;
use kqlake_remote::cloud::Service;
use kqlake_remote::settings::{Credential, HostOverrides, Tenant};
use kqlake_remote::{Request, ServiceError, World};
use kqlake_value::parse::datetimes::{DateOrder, record};

/// Asks once, and waits a while.
async fn ask(world: &World, tenant: &Tenant, service: Service, path: &str) -> Result<Value, String> {
    let api = world.api(tenant, service).map_err(|err| err.to_string())?;
    let request = Request::get(api.url(path)).once().patience(PATIENCE);
    let late = |_| "no answer in time".to_owned();
    let answer = timeout(PATIENCE * 2, api.json(request)).await.map_err(late)?;
    answer.map(|answer| answer.body).map_err(|err: ServiceError| err.to_string())
}

/// The subscriptions to audit records, one for each content type.
pub(super) async fn audit(config: &TenantConfig, tenant: &Tenant, world: &World) -> Vec<Finding> {
    if !config.jobs.contains(&Section::Audit) {
        return Vec::new();
    }
    let component = |what: &str| format!("{}/audit/{what}", config.name);
    let mut findings = Vec::new();
    if config.audit.org_urls.is_empty() {
        findings.push(Finding::failed(
            Area::Configuration,
            component("org_urls"),
            format!("FATAL ERROR: No org URLs found: tenants.{}.audit.org_urls is missing or empty", config.name),
            "name the SharePoint addresses whose records are taken, or \"*\" for all; or switch ActivityLog off",
        ));
    }
    let publisher = match config.audit.publisher_identifier.as_str() {
        "" => &config.id,
        own => own,
    };
    let path = format!("/api/v1.0/{}/activity/feed/subscriptions/list?PublisherIdentifier={publisher}", config.id);
    let listed = match ask(world, tenant, Service::Management, &path).await {
        Ok(listed) => listed,
        Err(why) => {
            let advice = "see the findings of management above; audit logging must be switched on in the tenant, which takes \
                an hour";
            findings.push(Finding::failed(Area::Service, component("subscriptions"), why, advice));
            return findings;
        }
    };
    let state = |kind: &str| {
        let of_kind = |entry: &&Value| entry["contentType"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(kind));
        listed
            .as_array()
            .into_iter()
            .flatten()
            .find(of_kind)
            .map(|entry| entry["status"].as_str().unwrap_or("enabled").to_owned())
    };
    for kind in &config.audit.content_types {
        let component = component(kind);
        findings.push(match state(kind).as_deref() {
            Some("enabled") => Finding::ok(Area::Service, component, "the subscription is enabled"),
            Some(other) => Finding::warning(
                Area::Service,
                component,
                format!("the subscription is {other}: no content can be listed"),
                "`kqlake import ActivityLog` starts it again; what came while it was stopped is lost",
            ),
            None => Finding::warning(
                Area::Service,
                component,
                "there is no subscription yet",
                "`kqlake import ActivityLog` starts it; the first content may take 12 hours",
            ),
        });
    }
    findings
}

/// The subscription to calls, where notifications are wanted.
pub(super) async fn calls(config: &TenantConfig, tenant: &Tenant, world: &World, now: i64) -> Vec<Finding> {
    let Some(wanted) = config.calls.notification_url.as_ref().filter(|_| config.jobs.contains(&Section::Calls)) else {
        return Vec::new();
    };
    let component = format!("{}/calls/subscription", config.name);
    let listed = match ask(world, tenant, Service::Graph, "/v1.0/subscriptions").await {
        Ok(listed) => listed,
        Err(why) => {
            return vec![Finding::failed(Area::Service, component, why, "see the findings of graph above")];
        }
    };
    let own = |entry: &&Value| {
        let resource = entry["resource"].as_str().unwrap_or_default().trim_start_matches('/');
        resource.eq_ignore_ascii_case("communications/callRecords") && entry["notificationUrl"].as_str() == Some(wanted.as_str())
    };
    let found = listed["value"].as_array().into_iter().flatten().find(own);
    let expires = found.and_then(|entry| record(entry["expirationDateTime"].as_str()?, DateOrder::default()));
    vec![match (found, expires) {
        (None, _) => Finding::warning(
            Area::Service,
            component,
            format!("no subscription sends notifications of calls to {wanted}"),
            "keep `kqlake webhook` or `kqlake watch` running: it creates the subscription and renews it; `kqlake import \
                Calls` polls meanwhile",
        ),
        (Some(_), None) => Finding::ok(Area::Service, component, "the subscription is there"),
        (Some(_), Some(at)) => {
            let hours = (at.div_euclid(1_000_000) - now / 1_000_000) / 3600;
            let detail = format!("the subscription is there and is valid for {hours} hours");
            match hours {
                4.. => Finding::ok(Area::Service, component, detail),
                _ => {
                    let advice = "keep `kqlake webhook` or `kqlake watch` running: it renews the subscription";
                    Finding::warning(Area::Service, component, detail, advice)
                }
            }
        }
    }]
}

/// Posts the validation request that Graph sends before it subscribes, and looks whether it is answered as it must be.
pub(super) async fn webhook(url: &Url, world: &World) -> Finding {
    let component = "webhook";
    let token = format!("Validation: kqlake doctor {}+%", std::process::id());
    // A receiver is no service of a tenant: it gets no token.
    let hosts = HostOverrides { graph: Some(url.clone()), ..HostOverrides::default() };
    let nobody = Tenant { hosts, ..Tenant::new("webhook", "", "", Credential::ManagedIdentity { endpoint: None }) };
    let failed = |why: String| {
        let advice = "the receiver must answer 200, text/plain and the token itself within 10 s, from the internet: start \
                      `kqlake webhook`, check the address, its certificate, and what stands before it (proxy, firewall)";
        Finding::failed(Area::Service, component, why, advice)
    };
    if !matches!(url.scheme(), "https") && !kqlake_remote::cloud::is_loopback(url) {
        return failed(format!("{url} does not begin with https://, which Graph asks for"));
    }
    let api = match world.api(&nobody, Service::Graph) {
        Ok(api) => api,
        Err(err) => return failed(err.to_string()),
    };
    let mut target = url.clone();
    target.query_pairs_mut().append_pair("validationToken", &token);
    let request = Request::post(target).anonymous().header("content-type", "text/plain; charset=utf-8").once().patience(PATIENCE);
    match timeout(PATIENCE * 2, api.text(request)).await {
        Err(_) => failed(format!("{url} did not answer in time")),
        Ok(Err(err)) => failed(format!("{url} did not answer the validation request: {}", err.message)),
        Ok(Ok(answer)) => {
            let kind = answer.header("content-type").unwrap_or_default().to_ascii_lowercase();
            if answer.status != 200 {
                failed(format!("{url} answered {} to the validation request, 200 was expected", answer.status))
            } else if answer.body != token {
                failed(format!("{url} answered 200 without the validation token"))
            } else if !kind.starts_with("text/plain") {
                failed(format!("{url} answered with the content type `{kind}`, text/plain was expected"))
            } else {
                Finding::ok(Area::Service, component, format!("{url} answers the validation request"))
            }
        }
    }
}
