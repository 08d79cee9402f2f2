//! The services that a tenant's sections ask, and the way to them: names, ports, TLS, clocks, tokens, permissions.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use url::Url;

use super::finding::{Area, Finding};
use super::permissions::{Need, needs};
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
    let component = format!("{}/{}/network", config.name, service.key());
    let api = match world.api(tenant, service) {
        Ok(api) => api,
        Err(err) => {
            let advice =
                format!("set {} in [tenants.{}.hosts], or switch off the sections that ask it", service.key(), config.name);
            return vec![Finding::failed(Area::Configuration, component, err.to_string(), advice)];
        }
    };
    let base = api.url("/");
    // Through a proxy neither names nor ports are ours to reach.
    let proxy = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].into_iter().find(|name| environment(name).is_some());
    let way = match proxy.filter(|_| !is_loopback(&base)) {
        Some(name) => Ok(format!("asked through the proxy of {name}")),
        None => open(&base).await,
    };
    let answered = match way {
        Ok(way) => answer(&api, &base).await.map(|answered| format!("{}: {way}, {answered}", host(&base))),
        Err(broken) => Err(broken),
    };
    let mut findings = vec![match answered {
        Ok(detail) => Finding::ok(Area::Service, component, detail),
        Err((why, advice)) => Finding::failed(Area::Service, component, why, advice),
    }];
    findings.extend(api.skew().map(|skew| clock(format!("{}/{}/clock", config.name, service.key()), skew)));
    findings
}

/// What was found, or what is wrong and what to do.
type Found = Result<String, (String, String)>;

/// Resolves the host's name and opens its port.
async fn open(base: &Url) -> Found {
    let (name, port) = (host(base), base.port_or_known_default().unwrap_or(443));
    let bare = name.trim_matches(['[', ']']).to_owned();
    let unknown = |why: String| {
        let advice = "check the DNS servers of this machine and the host's name; behind a private endpoint its zone must be \
            known here";
        Err((format!("the name {name} cannot be resolved: {why}"), advice.to_owned()))
    };
    let addresses = match timeout(PATIENCE, lookup_host((bare, port))).await {
        Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
        Ok(Err(err)) => return unknown(err.to_string()),
        Err(_) => return unknown("no answer in time".to_owned()),
    };
    let closed = |why: String| {
        let advice = format!(
            "let this machine reach {name} on port {port} (firewalls, routes, network rules), or set \
            HTTPS_PROXY"
        );
        Err((format!("port {port} of {name} cannot be reached: {why}"), advice))
    };
    match timeout(PATIENCE, TcpStream::connect(addresses.as_slice())).await {
        Ok(Ok(_)) => {
            let count = if addresses.len() == 1 { "1 address".to_owned() } else { format!("{} addresses", addresses.len()) };
            Ok(format!("the name has {count}, port {port} is open"))
        }
        Ok(Err(err)) => closed(err.to_string()),
        Err(_) => closed("no answer in time".to_owned()),
    }
}

/// Asks for anything: what matters is that the connection stands.
async fn answer(api: &Api, base: &Url) -> Found {
    let request = Request::get(base.clone()).anonymous().once().patience(PATIENCE).cap(1 << 20);
    match timeout(PATIENCE * 2, api.bytes(request)).await {
        Ok(Err(err)) if err.failure == Failure::Unreachable => Err((
            err.to_string(),
            "no connection stands: a proxy or firewall that inspects TLS needs its certificate among this machine's, and must \
             let the host pass"
                .to_owned(),
        )),
        Err(_) => Err((format!("{} does not answer in time", host(base)), "try again later".to_owned())),
        Ok(_) if base.scheme() == "https" => Ok("TLS stands".to_owned()),
        Ok(_) => Ok("it answers plain http, as this machine may".to_owned()),
    }
}

fn clock(component: String, skew: i64) -> Finding {
    let detail = match skew {
        0 => "the service's clock and this machine's are the same".to_owned(),
        1.. => format!("the service's clock is {skew} s ahead of this machine's"),
        _ => format!("the service's clock is {} s behind this machine's", -skew),
    };
    if skew.abs() <= SKEW {
        return Finding::ok(Area::Service, component, detail);
    }
    let advice = "set this machine's clock (`timedatectl set-ntp true`): how long certificates and tokens are valid is told \
        by it";
    Finding::warning(Area::Service, component, detail, advice)
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
        let roles = timeout(TOKEN_PATIENCE, api.roles()).await;
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
        let count = if roles.len() == 1 { "1 permission".to_owned() } else { format!("{} permissions", roles.len()) };
        findings.push(Finding::ok(Area::Service, component, format!("a token for {service} carries {count}")));
        findings.extend(permissions(&config.name, &needed, service, &roles));
    }
    findings
}

/// For each section that asks a service, whether the token carries what it needs.
fn permissions(tenant: &str, needed: &[Need], service: Service, roles: &[String]) -> Vec<Finding> {
    let needed: Vec<&Need> = needed.iter().filter(|need| need.service == service).collect();
    let parts: BTreeSet<&str> = needed.iter().map(|need| need.part).collect();
    let has = |need: &Need| need.any.iter().find(|any| roles.iter().any(|role| role == *any));
    let finding = |part: &str| {
        let component = format!("{tenant}/permission/{part}/{}", service.key());
        let own: Vec<&&Need> = needed.iter().filter(|need| need.part == part).collect();
        let missing: Vec<&&&Need> = own.iter().filter(|need| has(need).is_none()).collect();
        if missing.is_empty() {
            let held: Vec<&str> = own.iter().filter_map(|need| has(need).copied()).collect();
            return Finding::ok(Area::Configuration, component, format!("{part} has {}", held.join(", ")));
        }
        let named = |need: &Need| match need.any {
            [one] => (*one).to_owned(),
            [first, others @ ..] => format!("{first} (or {})", others.join(", ")),
            [] => String::new(),
        };
        let lacks = missing.iter().map(|need| named(need)).collect::<Vec<_>>().join(", ");
        let add = missing.iter().filter_map(|need| need.any.first().copied()).collect::<Vec<_>>().join(", ");
        let provider = own.first().map_or("", |need| need.provider);
        Finding::failed(
            Area::Configuration,
            component,
            format!("the token lacks what {part} needs: {lacks}"),
            format!(
                "app registration, API permissions: add the application permission {add} of {provider} and grant admin consent, \
                 or switch {part} off"
            ),
        )
    };
    parts.into_iter().map(finding).collect()
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
            format!(
                "check {key}, client_id and id of the tenant; make sure the app registration has the right permissions \
                and role"
            ),
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

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    #[test]
    fn what_a_token_lacks_is_named() {
        let need = |part, any| Need { part, service: Service::Graph, any, provider: "Microsoft Graph" };
        let needed = [
            need("Calls", &["CallRecords.Read.All"]),
            need("GraphTeams", &["A.Read", "B.Read"]),
            need("GraphTeams", &["C.Read"]),
        ];
        let found = permissions("contoso", &needed, Service::Graph, &["B.Read".to_owned()]);
        let shown: Vec<(&str, Status)> = found.iter().map(|finding| (finding.component.as_str(), finding.status)).collect();
        assert_eq!(
            shown,
            [("contoso/permission/Calls/graph", Status::Failed), ("contoso/permission/GraphTeams/graph", Status::Failed)]
        );
        assert!(found[0].detail.ends_with("needs: CallRecords.Read.All"), "{}", found[0].detail);
        assert!(found[1].detail.ends_with("needs: C.Read") && found[1].advice.contains("C.Read of Microsoft Graph"), "{found:?}");
        let all = ["A.Read", "C.Read", "CallRecords.Read.All"].map(str::to_owned);
        assert!(permissions("contoso", &needed, Service::Graph, &all).iter().all(|finding| finding.status == Status::Ok));
        assert!(permissions("contoso", &needed, Service::Management, &all).is_empty());
    }

    #[test]
    fn clocks_that_differ_are_worth_a_word() {
        assert_eq!(clock(String::new(), -60).status, Status::Ok);
        let found = clock(String::new(), 61);
        assert!(found.status == Status::Warning && found.detail.contains("61 s ahead"), "{found:?}");
    }
}
