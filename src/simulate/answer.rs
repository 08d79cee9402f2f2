//! What every service needs to read requests and to write answers.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::world::World;

/// The longest body of a request that is read.
const LONGEST_REQUEST: usize = 4 << 20;

/// The address that was called, the service's prefix included.
#[derive(Debug, Clone)]
pub(crate) struct Called(pub(crate) Uri);

/// What a service wants to be told when its answer goes out as it is, without a fault: put among the answer's extensions.
#[derive(Clone)]
pub(crate) struct OnDelivery(pub(crate) Arc<dyn Fn(&World) + Send + Sync>);

/// A request, read whole.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) world: Arc<World>,
    /// The service's own address as this client called it, without a slash at its end: `http://127.0.0.1:8700/graph`.
    pub(crate) base: String,
    pub(crate) method: Method,
    /// Decoded, below the service's prefix: `/v1.0/users`.
    pub(crate) path: String,
    /// Decoded, in the order in which they stand.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    /// The value of a parameter of the query, whose name is told apart from no other by case alone.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body's JSON; `None` for a body that is none.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The fields of a form in the body.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }
}

impl FromRequest<Arc<World>> for Call {
    type Rejection = Response;

    async fn from_request(request: Request, world: &Arc<World>) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let uri = parts.extensions.get::<Called>().map_or_else(|| parts.uri.clone(), |called| called.0.clone());
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.map_or_else(|| world.address.to_string(), str::to_owned);
        let path = uri.path().trim_start_matches('/');
        let (prefix, below) = path.split_once('/').unwrap_or((path, ""));
        let body = axum::body::to_bytes(body, LONGEST_REQUEST)
            .await
            .map_err(|_| text(StatusCode::PAYLOAD_TOO_LARGE, "text/plain", "the request is too long"))?;
        Ok(Call {
            world: Arc::clone(world),
            base: format!("http://{host}/{prefix}"),
            method: parts.method,
            path: format!("/{}", decoded(below)),
            query: url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect(),
            headers: parts.headers,
            body,
        })
    }
}

/// A path without its escapes.
pub(crate) fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

/// An answer with a JSON body.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response {
    text(status, "application/json; charset=utf-8", body.to_string())
}

/// An answer with a body of any kind.
pub(crate) fn text(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}
