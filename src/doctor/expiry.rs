//! How long the secret or certificate of an application is still valid.

use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::time::timeout;

use super::finding::{Area, Finding};
use super::services::PATIENCE;
use crate::config::TenantConfig;
use kqlake_remote::cloud::Service;
use kqlake_remote::settings::{Credential, Tenant};
use kqlake_remote::{Certificate, Request, World};
use kqlake_value::parse::datetimes::{DateOrder, record};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Days until the credential of a tenant is no longer valid, as far as it can be known. `now` in microseconds since 1970.
pub(super) async fn credential(config: &TenantConfig, tenant: &Tenant, world: &World, now: i64) -> Finding {
    let component = format!("{}/credential", config.name);
    let days = |until: i64| (until - now / 1_000_000).div_euclid(DAY);
    match &tenant.credential {
        Credential::Certificate { file, password } => match Certificate::read(file, password.as_ref()) {
            Ok(certificate) => {
                let left = days(certificate.valid.1);
                let detail = match left {
                    ..0 => format!("the certificate in {} is not valid since {} days", file.display(), -left),
                    _ => format!("the certificate in {} is valid for {left} days", file.display()),
                };
                let renew = "create a new certificate, add it to the app registration, and replace the file: it is read again \
                    when it changes";
                Finding::ok(Area::Configuration, component, detail).expiring(left, renew)
            }
            Err(err) => {
                let advice = "the file holds the certificate and its private key in PEM, and its owner alone may read it";
                Finding::failed(Area::Configuration, component, err.to_string(), advice)
            }
        },
        Credential::Secret(secret) => match secret_ends(config, tenant, world, secret.expose_secret()).await {
            Some(end) => {
                let left = days(end);
                let detail = match left {
                    ..0 => format!("the client secret is not valid since {} days", -left),
                    _ => format!("the client secret is valid for {left} days"),
                };
                let renew = "create a new client secret for the app registration and put it where the old one is";
                Finding::ok(Area::Configuration, component, detail).expiring(left, renew)
            }
            None => Finding::ok(
                Area::Configuration,
                component,
                "the client secret was read; how long it is valid is not known here (with the permission Application.Read.All \
                    it is)",
            ),
        },
        Credential::ManagedIdentity { .. } | Credential::Arc { .. } => {
            Finding::ok(Area::Configuration, component, "a managed identity, which does not expire")
        }
        Credential::WorkloadIdentity { token_file } => {
            let detail = format!("a workload identity, whose token in {} the platform renews", token_file.display());
            Finding::ok(Area::Configuration, component, detail)
        }
    }
}

/// When the application's secret ends, in seconds since 1970, where the application may know it.
async fn secret_ends(config: &TenantConfig, tenant: &Tenant, world: &World, secret: &str) -> Option<i64> {
    let api = world.api(tenant, Service::Graph).ok()?;
    let roles = timeout(PATIENCE, api.roles()).await.ok()?.ok()?;
    let may = ["Application.Read.All", "Application.ReadWrite.All", "Application.ReadWrite.OwnedBy", "Directory.Read.All"];
    if !roles.iter().any(|role| may.contains(&role.as_str())) {
        return None;
    }
    let path = format!("/v1.0/applications(appId='{}')?$select=passwordCredentials", config.client_id);
    let request = Request::get(api.url(&path)).once().patience(PATIENCE);
    let answer = timeout(PATIENCE, api.json(request)).await.ok()?.ok()?;
    ends(&answer.body, secret)
}

/// The end of the secret among those of an application, which it knows by their first characters; of several that begin the
/// same, the first to end.
fn ends(application: &Value, secret: &str) -> Option<i64> {
    let entries = application["passwordCredentials"].as_array()?;
    let is_ours = |entry: &&Value| {
        let hint = entry["hint"].as_str().unwrap_or_default();
        !hint.is_empty() && secret.starts_with(hint)
    };
    let end = |entry: &Value| Some(record(entry["endDateTime"].as_str()?, DateOrder::default())?.div_euclid(1_000_000));
    entries.iter().filter(is_ours).filter_map(end).min()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_secret_is_told_by_its_beginning() {
        let application = json!({ "passwordCredentials": [
            { "hint": "abc", "endDateTime": "2026-03-01T00:00:00Z" },
            { "hint": "xyz", "endDateTime": "2026-01-01T00:00:00Z" },
            { "hint": null, "endDateTime": "2025-01-01T00:00:00Z" },
        ] });
        assert_eq!(ends(&application, "abcdef"), Some(1_772_323_200));
        assert_eq!(ends(&application, "nothing"), None);
        assert_eq!(ends(&json!({}), "abc"), None);
    }
}
