//! Tokens as the simulated tenant issues and checks them: JWTs that say tenant, application, audience and roles, signed with a key
//! of the seed. Clients take them as opaque.

use aws_lc_rs::hmac;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) tenant: String,
    pub(crate) application: String,
    pub(crate) audience: String,
    pub(crate) roles: Vec<String>,
    /// Seconds since 1970-01-01 UTC.
    pub(crate) issued: i64,
    pub(crate) expires: i64,
}

/// Why a request may not do what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    /// No `Authorization: Bearer` at all.
    Missing,
    /// Not a token of this tenant's login service.
    Invalid,
    Expired,
    /// For another service.
    Audience(String),
    /// None of the roles that the operation needs.
    Role(Vec<String>),
}

impl Token {
    /// The token's text.
    pub(crate) fn sign(&self, key: &hmac::Key) -> String {
        let head = URL_SAFE_NO_PAD.encode(json!({"typ": "JWT", "alg": "HS256", "kid": "simulated"}).to_string());
        let claims = json!({
            "aud": self.audience,
            "iss": format!("https://sts.windows.net/{}/", self.tenant),
            "iat": self.issued, "nbf": self.issued, "exp": self.expires,
            "appid": self.application, "azp": self.application, "oid": self.application,
            "tid": self.tenant,
            "roles": self.roles,
        });
        let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(key, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// Reads a token's text; `None` for one that this key did not sign.
    pub(crate) fn verify(text: &str, key: &hmac::Key) -> Option<Token> {
        let (signed, signature) = text.rsplit_once('.')?;
        hmac::verify(key, signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split_once('.')?.1).ok()?).ok()?;
        let string = |name: &str| claims.get(name)?.as_str().map(str::to_owned);
        Some(Token {
            tenant: string("tid")?,
            application: string("appid")?,
            audience: string("aud")?,
            roles: claims.get("roles")?.as_array()?.iter().filter_map(|role| role.as_str().map(str::to_owned)).collect(),
            issued: claims.get("iat")?.as_i64()?,
            expires: claims.get("exp")?.as_i64()?,
        })
    }
}

/// The text after `Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
