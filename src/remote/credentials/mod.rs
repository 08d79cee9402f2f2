//! How an application proves that it is itself: the request for a token that each kind of credential makes.

mod advice;
mod assertion;
mod certificate;
mod der;
#[cfg(test)]
mod tests;

use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

pub(crate) use self::advice::advice;
pub use self::certificate::{Certificate, CertificateError};
use crate::http::Request;
use crate::settings::{Credential, Tenant};

/// Where a machine of Azure gets tokens.
const MACHINE: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
/// What a signed assertion is, in the words of the standard.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Bytes that a key of Azure Arc's agent may have.
const MAX_KEY: u64 = 4 << 10;
/// Bytes that a token of the platform may have.
const MAX_TOKEN: u64 = 1 << 20;

/// The request for a token.
///
/// `now` is the instant in seconds since 1970 by the service's clock, as far as it is known.
///
/// # Errors
/// The certificate or the platform's token cannot be read.
pub(crate) fn token_request(tenant: &Tenant, login: &Url, audience: &str, now: i64) -> Result<Request, String> {
    let endpoint = token_endpoint(login, &tenant.id);
    let scope = format!("{audience}/.default");
    let form = |extra: &[(&str, &str)]| {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        form.append_pair("client_id", &tenant.client_id);
        form.append_pair("scope", &scope);
        extra.iter().for_each(|(key, value)| {
            form.append_pair(key, value);
        });
        SecretString::from(form.finish())
    };
    let asserted = |assertion: &SecretString| {
        form(&[("client_assertion_type", JWT_BEARER), ("client_assertion", assertion.expose_secret())])
    };
    let form = match &tenant.credential {
        Credential::Secret(secret) => form(&[("client_secret", secret.expose_secret())]),
        Credential::Certificate { file, password } => {
            let certificate = Certificate::read(file, password.as_ref()).map_err(|error| error.to_string())?;
            asserted(&assertion::signed(&certificate, &endpoint, &tenant.client_id, now)?)
        }
        Credential::WorkloadIdentity { token_file } => asserted(&platform_token(token_file)?),
        Credential::ManagedIdentity { endpoint } => return managed(endpoint.as_ref(), audience, &tenant.client_id),
        Credential::Arc { endpoint, .. } => return of_agent(endpoint, audience, &tenant.client_id),
    };
    Ok(Request::post_form(endpoint, &form).anonymous())
}

/// Where tokens of a tenant are asked for.
pub(crate) fn token_endpoint(login: &Url, tenant: &str) -> Url {
    let mut endpoint = login.clone();
    if let Ok(mut path) = endpoint.path_segments_mut() {
        path.pop_if_empty().extend([tenant, "oauth2", "v2.0", "token"]);
    }
    endpoint
}

fn managed(endpoint: Option<&(Url, SecretString)>, audience: &str, client_id: &str) -> Result<Request, String> {
    let machine = || Url::parse(MACHINE).map_err(|error| error.to_string());
    let mut url = endpoint.map_or_else(machine, |(url, _)| Ok(url.clone()))?;
    let version = if endpoint.is_some() { "2019-08-01" } else { "2018-02-01" };
    let mut query = url.query_pairs_mut();
    query.append_pair("api-version", version).append_pair("resource", audience);
    if !client_id.is_empty() {
        query.append_pair("client_id", client_id);
    }
    drop(query);
    let request = Request::get(url);
    Ok(match endpoint {
        Some((_, header)) => request.key("x-identity-header", header),
        None => request.anonymous().header("metadata", "true"),
    })
}

/// The request to the agent of Azure Arc, which answers it by a challenge.
fn of_agent(endpoint: &Url, audience: &str, client_id: &str) -> Result<Request, String> {
    if !client_id.is_empty() {
        return Err("Azure Arc gives a machine its own identity only: leave client_id out".to_owned());
    }
    let mut url = endpoint.clone();
    url.query_pairs_mut().append_pair("api-version", "2020-06-01").append_pair("resource", audience);
    Ok(Request::get(url).anonymous().header("metadata", "true"))
}

/// The request that answers the challenge of Azure Arc's agent: it names a file that it has just written, and that only those may
/// read who may have tokens. Files in no other folder, and of no other kind, are read.
///
/// # Errors
/// The challenge names no such file, or it cannot be read.
pub(crate) fn answered(request: Request, challenge: &str, keys: &Path) -> Result<Request, String> {
    let named = challenge.split_once("realm=").map(|(_, file)| Path::new(file.trim().trim_matches('"')));
    let is_key = |file: &&Path| file.parent() == Some(keys) && file.extension().is_some_and(|kind| kind == "key");
    let file = named
        .filter(is_key)
        .ok_or_else(|| format!("the agent of Azure Arc names no key in {}: nothing else is read for it", keys.display()))?;
    let text = certificate::read_text(file, MAX_KEY).map_err(|error| {
        format!("the key of Azure Arc's agent cannot be read: {error}; kqlake's user must be in the group himds")
    })?;
    Ok(request.key("authorization", &SecretString::from(format!("Basic {}", text.expose_secret().trim()))))
}

/// The token that the platform wrote last.
fn platform_token(file: &Path) -> Result<SecretString, String> {
    let said = |why: String| format!("the token of the platform in {} cannot be read: {why}", file.display());
    let text = certificate::read_text(file, MAX_TOKEN).map_err(|error| said(error.to_string()))?;
    let token = text.expose_secret().trim();
    if token.is_empty() { Err(said("it is empty".to_owned())) } else { Ok(SecretString::from(token)) }
}

/// A token, and how many seconds it lives.
pub(crate) fn token_of(body: &serde_json::Value) -> Option<(SecretString, u64)> {
    let token = body.get("access_token")?.as_str().filter(|token| !token.is_empty())?;
    let life = body.get("expires_in")?;
    // Some services write numbers as texts.
    let seconds = life.as_f64().or_else(|| life.as_str()?.trim().parse().ok())?;
    (seconds.is_finite() && seconds > 0.0).then(|| (SecretString::from(token), seconds as u64))
}
