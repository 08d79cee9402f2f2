//! How the service says no.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::answer;

/// Why a request is not done.
#[derive(Debug)]
pub(super) enum Refusal {
    /// No token, or one that is wrong.
    Unauthenticated,
    /// Too many requests; the service says it as a 403 whose body is no valid JSON.
    Throttled { method: &'static str, publisher: String },
    /// A code and its text.
    Because { status: StatusCode, code: &'static str, text: String },
}

impl Refusal {
    pub(super) fn because(status: StatusCode, code: &'static str, text: impl Into<String>) -> Self {
        Refusal::Because { status, code, text: text.into() }
    }

    pub(super) fn bad(code: &'static str, text: impl Into<String>) -> Self {
        Refusal::because(StatusCode::BAD_REQUEST, code, text)
    }

    pub(super) fn response(self) -> Response {
        match self {
            Refusal::Unauthenticated => {
                answer::json(StatusCode::UNAUTHORIZED, &json!({"Message": "Authorization has been denied for this request."}))
            }
            Refusal::Throttled { method, publisher } => {
                let body = format!(
                    "{{'error':{{'code':'AF429','message':'Too many requests. Method={method}, PublisherId={publisher}'}}}}"
                );
                answer::text(StatusCode::FORBIDDEN, "application/json; charset=utf-8", body)
            }
            Refusal::Because { status, code, text } => answer::json(status, &json!({"error": {"code": code, "message": text}})),
        }
    }
}
