//! The login service: tokens for an application's own permissions, by its secret or by assertions of its certificate.

mod assertion;
mod certificate;
mod refusal;
mod roles;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use self::refusal::Refusal;
use crate::answer::{self, Call};
use crate::world::World;

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The service's routes, below its prefix.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/{tenant}/oauth2/token", any(token)).route("/{tenant}/oauth2/v2.0/token", any(token))
}

/// The fields of a request for a token.
struct Form {
    fields: Vec<(String, String)>,
    /// The id and the secret of HTTP's basic authentication, which may carry them as well.
    basic: Option<(String, String)>,
}

impl Form {
    fn of(call: &Call) -> Form {
        let basic = call.header("authorization").and_then(|text| {
            let (scheme, text) = text.split_once(' ')?;
            let text = String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?;
            let (id, secret) = text.split_once(':')?;
            scheme.eq_ignore_ascii_case("basic").then(|| (answer::decoded(id), answer::decoded(secret)))
        });
        Form { fields: call.form(), basic }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
        let basic = self.basic.as_ref().and_then(|(id, secret)| match name {
            "client_id" => Some(id.as_str()),
            "client_secret" => Some(secret.as_str()),
            _ => None,
        });
        found.filter(|value| !value.is_empty()).or(basic)
    }

    fn need(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name)
            .ok_or_else(|| Refusal::new(900_144, format!("The request body must contain the following parameter: '{name}'.")))
    }
}

async fn token(call: Call) -> Response {
    match issue(&call) {
        Ok(response) => {
            call.world.served.note("login: tokens");
            response
        }
        Err(refusal) => {
            call.world.served.note(&format!("login: AADSTS{}", refusal.code));
            refusal.response(&call)
        }
    }
}

fn issue(call: &Call) -> Result<Response, Refusal> {
    let world = &call.world;
    if call.method != Method::POST {
        return Err(Refusal::new(900_561, "The endpoint only accepts POST requests. Received a GET request."));
    }
    if let Some(code) = world.settings.login_error {
        return Err(Refusal::new(code, "The tenant is set to answer so."));
    }
    let registration = &world.registration;
    let tenant = call.path.split('/').nth(1).unwrap_or_default();
    if ["common", "consumers", "organizations"].contains(&tenant) {
        let text = "The grant type is not supported over the /common or /consumers endpoints. Please use the /organizations or \
                    tenant-specific endpoint.";
        return Err(Refusal::new(9_001_023, text));
    }
    if !tenant.eq_ignore_ascii_case(&registration.tenant) && !tenant.eq_ignore_ascii_case(&registration.domain) {
        let text = format!(
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
        );
        return Err(Refusal::new(90_002, text));
    }
    let form = Form::of(call);
    if form.need("grant_type")? != "client_credentials" {
        return Err(Refusal::new(70_003, "The app requested an unsupported grant type."));
    }
    let is_v2 = call.path.ends_with("/v2.0/token");
    let assertion = form.get("client_assertion");
    // The assertion names the application as well.
    let client_id = match (form.get("client_id"), assertion.filter(|_| is_v2)) {
        (None, Some(assertion)) => {
            assertion::issuer(assertion).ok_or_else(|| Refusal::new(50_013, "The assertion is no JWT."))?
        }
        _ => form.need("client_id")?.to_owned(),
    };
    if !client_id.eq_ignore_ascii_case(&registration.client_id) {
        let text = format!("Application with identifier '{client_id}' was not found in the directory 'Contoso'.");
        return Err(Refusal::new(700_016, text));
    }
    match (assertion, form.get("client_secret")) {
        (Some(assertion), _) => {
            if form.need("client_assertion_type")? != ASSERTION {
                return Err(Refusal::new(90_023, "Invalid client_assertion_type."));
            }
            assertion::check(call, assertion)?;
        }
        (None, Some(secret)) if secret == registration.secret => {}
        (None, Some(_)) => {
            let text = "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client \
                        secret ID, for a secret added to app.";
            return Err(Refusal::new(7_000_215, text));
        }
        (None, None) => {
            let text = "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.";
            return Err(Refusal::new(7_000_216, text));
        }
    }
    let audience = if is_v2 { audience_of_scope(&form)? } else { form.need("resource")?.to_owned() };
    let roles = roles::of(&audience).ok_or_else(|| {
        Refusal::new(500_011, format!("The resource principal named {audience} was not found in the tenant named Contoso."))
    })?;
    let (token, text) = world.issue(&audience, roles);
    let life = token.expires - token.issued;
    let body = if is_v2 {
        json!({"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": text})
    } else {
        json!({
            "token_type": "Bearer",
            "expires_in": life.to_string(),
            "ext_expires_in": life.to_string(),
            "expires_on": token.expires.to_string(),
            "not_before": (token.issued - 300).to_string(),
            "resource": audience,
            "access_token": text,
        })
    };
    Ok(answer::json(StatusCode::OK, &body))
}

/// The one resource whose default scope is asked for.
fn audience_of_scope(form: &Form) -> Result<String, Refusal> {
    if form.get("resource").is_some() {
        return Err(Refusal::new(901_002, "The 'resource' request parameter is not supported."));
    }
    let scope = form.need("scope")?;
    match scope.strip_suffix("/.default").filter(|resource| !resource.contains(' ')) {
        Some(resource) => Ok(resource.to_owned()),
        None => {
            let text = format!(
                "The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid: client credential flows must have \
                 a scope value with /.default suffixed to the resource identifier (application ID URI)."
            );
            Err(Refusal::new(70_011, text))
        }
    }
}
