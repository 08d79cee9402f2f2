//! The services that a tenant's sections ask, and the way to them: names, ports, TLS, clocks, tokens, permissions.

use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use url::Url;

use super::finding::{Area, Finding};
use super::permissions::needs;
use crate::config::{TenantConfig, environment};
use kqlake_remote::cloud::{Service, is_loopback};
use kqlake_remote::settings::Tenant;
use kqlake_remote::{Api, Failure, Request, ServiceError, World};

/// How long a name, a port or an answer is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a token is waited for, which may be tried again.
const TOKEN_PATIENCE: Duration = Duration::from_secs(30);
/// Seconds that clocks may differ before it is worth a word.
const SKEW: i64 = 60;

/// Looks at the way to the hosts of all services, without any secret.
pub(super) async fn network(tenant: &TenantConfig, world: &World) -> Vec<Finding> {
    let plain = tenant.without_secrets();
    let checks = tenant.services().into_iter().map(|service| reach(tenant, &plain, service, world));
    futures::future::join_all(checks).await.into_iter().flatten().collect()
}

async fn reach(config: &TenantConfig, tenant: &Tenant, service: Service, world: &World) -> Vec<Finding> {
    let component = |what: &str| format!("{}/{}/{what}", config.name, service.key());
    let api = match world.api(tenant, service) {
        Ok(api) => api,
        Err(err) => {
            let advice = format!("set hosts.{} in [tenants.{}.hosts], or switch off the sections that ask it", service.key(), config.name);
            return vec![Finding::failed(Area::Configuration, component("host"), err.to_string(), advice)];
        }
    };
    let mut findings = Vec::new();
    let base = api.url("/");
    // Through a proxy neither names nor ports are ours to reach.
    let proxy = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].into_iter().find(|name| environment(name).is_some());
    match proxy.filter(|_| !is_loopback(&base)) {
        Some(name) => {
            let detail = format!("{} is asked through the proxy that {name} names", host(&base));
            findings.push(Finding::skipped(Area::Service, component("name"), detail));
        }
        None => {
            let found = name_and_port(&base, &component).await;
            let is_reached = found.iter().all(|finding| finding.advice.is_empty());
            findings.extend(found);
            if !is_reached {
                return findings;
            }
        }
    }
    findings.extend(answer(&api, &base, &component).await);
    findings
}

/// Resolves the host's name and opens its port.
async fn name_and_port(base: &Url, component: &dyn Fn(&str) -> String) -> Vec<Finding> {
    let (name, port) = (host(base), base.port_or_known_default().unwrap_or(443));
    let bare = name.trim_matches(['[', ']']).to_owned();
    let dns = "check the DNS servers of this machine, and the host's name; behind a private endpoint its zone must be known here";
    let addresses = match tokio::time::timeout(PATIENCE, lookup_host((bare, port))).await {
        Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
        Ok(Err(err)) => {
            return vec![Finding::failed(Area::Service, component("name"), format!("{name} cannot be resolved: {err}"), dns)];
        }
        Err(_) => return vec![Finding::failed(Area::Service, component("name"), format!("{name} was not resolved in time"), dns)],
    };
    let count = addresses.len();
    let resolved = Finding::ok(Area::Service, component("name"), format!("{name} has {count} addresses").replace(" 1 addresses", " 1 address"));
    let opened = tokio::time::timeout(PATIENCE, TcpStream::connect(addresses.as_slice())).await;
    let closed = |why: String| {
        let advice = format!("let this machine reach {name} on port {port}: firewalls, routes, network rules; or set HTTPS_PROXY");
        Finding::failed(Area::Service, component("port"), format!("port {port} of {name} cannot be reached: {why}"), advice)
    };
    let port = match opened {
        Ok(Ok(_)) => Finding::ok(Area::Service, component("port"), format!("port {port} is open")),
        Ok(Err(err)) => closed(err.to_string()),
        Err(_) => closed("no answer in time".to_owned()),
    };
    vec![resolved, port]
}

/// Asks for anything: what matters is that the connection stands, and the clock in the answer.
async fn answer(api: &Api, base: &Url, component: &dyn Fn(&str) -> String) -> Vec<Finding> {
    let request = Request::get(base.clone()).anonymous().once().patience(PATIENCE).cap(1 << 20);
    let answered = api.bytes(request).await;
    let tls = if base.scheme() == "https" { "TLS" } else { "plain http on this machine" };
    let mut findings = vec![match answered {
        Err(err) if matches!(err.failure, Failure::Unreachable) => Finding::failed(
            Area::Service,
            component("tls"),
            err.to_string(),
            "the port is open and the connection does not stand: a proxy that inspects TLS needs its certificate among this machine's",
        ),
        _ => Finding::ok(Area::Service, component("tls"), format!("{} answers ({tls})", host(base))),
    }];
    if let Some(skew) = api.skew() {
        let (detail, is_near) = (format!("the service's clock is {} from this machine's", ahead(skew)), skew.abs() <= SKEW);
        findings.push(match is_near {
            true => Finding::ok(Area::Service, component("clock"), detail),
            false => Finding::warning(
                Area::Service,
                component("clock"),
                detail,
                "set this machine's clock (`timedatectl set-ntp true`); windows are told by the service's clock, certificates by this one",
            ),
        });
    }
    findings
}

fn ahead(seconds: i64) -> String {
    match seconds {
        0 => "no second away".to_owned(),
        1.. => format!("{seconds} s ahead, seen"),
        _ => format!("{} s behind, seen", -seconds),
    }
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

/// Gets a token for each service, and looks for the permissions that sections need in it.
pub(super) async fn tokens(config: &TenantConfig, tenant: &Tenant, world: &World) -> Vec<Finding> {
    let needed = needs(config);
    let asked: Vec<Service> =
        config.services().into_iter().filter(|service| needed.iter().any(|need| need.service == *service)).collect();
    let checks = asked.into_iter().map(|service| async move {
        let api = world.api(tenant, service).ok()?;
        let roles = tokio::time::timeout(TOKEN_PATIENCE, api.roles()).await;
        let late = |_| ServiceError::new(Service::Login, Failure::Unreachable, "no token came in time");
        Some((service, roles.map_err(late).and_then(|roles| roles)))
    });
    let mut findings = Vec::new();
    for (service, roles) in futures::future::join_all(checks).await.into_iter().flatten() {
        let component = format!("{}/{}/token", config.name, service.key());
        let roles = match roles {
            Ok(roles) => roles,
            Err(err) => {
                findings.push(no_token(component, &err, config));
                continue;
            }
        };
        let shown = if roles.is_empty() { "no permission".to_owned() } else { roles.join(", ") };
        findings.push(Finding::ok(Area::Service, component, format!("a token for {service} carries {shown}")));
        for need in needed.iter().filter(|need| need.service == service) {
            let component = format!("{}/permission/{}/{}", config.name, need.part, need.any[0]);
            let has = need.any.iter().find(|any| roles.iter().any(|role| role == *any));
            findings.push(match has {
                Some(role) => Finding::ok(Area::Service, component, format!("{} has {role}", need.part)),
                None => {
                    let or = if need.any.len() > 1 { format!(" (or {})", need.any[1..].join(", ")) } else { String::new() };
                    Finding::failed(
                        Area::Configuration,
                        component,
                        format!("{} needs {}{or}, which the token does not carry", need.part, need.any[0]),
                        format!(
                            "app registration, API permissions: add the application permission {} of {}, and grant admin consent; or \
                             switch {} off",
                            need.any[0], need.provider, need.part
                        ),
                    )
                }
            });
        }
    }
    findings
}

/// Why there is no token, under the number that the message-trace collector's operators know.
fn no_token(component: String, err: &ServiceError, config: &TenantConfig) -> Finding {
    let key = config.credential.key();
    match (err.failure, err.status) {
        (Failure::Unreachable | Failure::Throttled | Failure::Service | Failure::Broken, None) => {
            Finding::failed(Area::Service, component, err.to_string(), "see the findings of login above; run doctor again later")
        }
        (_, Some(401)) => Finding::failed(
            Area::Configuration,
            component,
            format!("SetupError 100: Authentication failed: {err}"),
            format!("check {key}, client_id and id of the tenant; make sure the app registration has the right permissions and role"),
        ),
        (_, Some(status)) => Finding::failed(
            Area::Configuration,
            component,
            format!("SetupError 101: Unexpected status code when fetching a token: {status}: {err}"),
            format!("check id, cloud, client_id and {key} of the tenant"),
        ),
        (_, None) => Finding::failed(
            Area::Configuration,
            component,
            format!("SetupError 102: Error occurred while accessing the access_token: {err}"),
            format!("check {key} of the tenant"),
        ),
    }
}
