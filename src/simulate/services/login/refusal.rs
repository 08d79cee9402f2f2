//! How the service says no.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::answer::{self, Call};
use crate::clock::iso;
use crate::random;

/// A number of the service's errors, and its text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: u32,
    text: String,
}

impl Refusal {
    pub(super) fn new(code: u32, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// The kind of the error, by which clients tell what to do.
    fn error(&self) -> &'static str {
        match self.code {
            50_001 | 500_011 => "invalid_resource",
            50_012 | 50_013 | 70_002 | 500_133 | 700_021 | 700_023 | 700_024 | 700_027 | 900_384 | 7_000_215 | 7_000_216
            | 7_000_222 => "invalid_client",
            70_008 => "invalid_grant",
            70_003 => "unsupported_grant_type",
            70_011 => "invalid_scope",
            700_016 | 7_000_112 => "unauthorized_client",
            53_003 => "access_denied",
            90_006 | 90_012 | 90_024 | 90_033 | 90_055 | 90_090 => "temporarily_unavailable",
            50_003 => "server_error",
            _ => "invalid_request",
        }
    }

    fn status(&self) -> StatusCode {
        match self.error() {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "temporarily_unavailable" if self.code == 90_055 => StatusCode::TOO_MANY_REQUESTS,
            "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    pub(super) fn response(self, call: &Call) -> Response {
        let now = call.world.now();
        let timestamp = format!("{}Z", iso(now, 0).replace('T', " "));
        let word = [random::word(&self.text), now as u64];
        let trace = random::guid(call.world.seed, &word);
        let correlation = call.header("client-request-id").map_or_else(|| random::guid(!call.world.seed, &word), str::to_owned);
        let body = json!({
            "error": self.error(),
            "error_description": format!(
                "AADSTS{}: {}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {timestamp}",
                self.code, self.text
            ),
            "error_codes": [self.code],
            "timestamp": timestamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.code),
        });
        answer::json(self.status(), &body)
    }
}
