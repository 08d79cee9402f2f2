//! Faults as they are done to requests and answers.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::What;
use crate::answer;
use crate::body;
use crate::clock::http_date;
use crate::link::Cutter;

const JSON: &str = "application/json; charset=utf-8";
const PAGE: &str =
    "<!DOCTYPE html>\n<html><head><title>Sign in to your account</title></head><body>Please sign in.</body></html>\n";

/// Does what is done instead of an answer; `None` where the service answers.
pub(crate) async fn before(what: &What, service: &str, now: i64, cutter: Option<&Cutter>) -> Option<Response> {
    match what {
        What::Answer { status, headers, body } => {
            let mut response = refusal(service, *status);
            if !body.is_empty() {
                *response.body_mut() = Body::from(body.clone());
            }
            for (name, value) in headers {
                if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::from_str(value)) {
                    response.headers_mut().insert(name, value);
                }
            }
            Some(response)
        }
        What::RetryAt { status, seconds } => {
            let mut response = refusal(service, *status);
            // Dates have whole seconds: none must come out earlier.
            let at = now + ((seconds.ceil() * 1e6) as i64) + 999_999;
            if let Ok(at) = HeaderValue::from_str(&http_date(at)) {
                response.headers_mut().insert(RETRY_AFTER, at);
            }
            Some(response)
        }
        What::Gone => {
            let error = json!({"error": {"code": "AF20051", "message": "Content requested with the key has expired."}});
            Some(answer::json(StatusCode::BAD_REQUEST, &error))
        }
        What::Reset => Some(cut(cutter)),
        What::Silence { seconds } => {
            tokio::time::sleep(Duration::from_secs_f64(*seconds)).await;
            Some(cut(cutter))
        }
        What::Page => Some(answer::text(StatusCode::OK, "text/html; charset=utf-8", PAGE)),
        What::Nothing => Some(answer::text(StatusCode::OK, JSON, "")),
        What::EmptyList if service == "management" => Some(answer::text(StatusCode::OK, JSON, "[]")),
        What::EmptyList => Some(answer::text(StatusCode::OK, JSON, r#"{"value":[]}"#)),
        _ => None,
    }
}

/// Does what is done to a service's answer. `encoded`: it is sent compressed.
///
/// # Errors
/// When the answer's body cannot be read.
pub(crate) async fn after(
    what: &What,
    response: Response,
    encoded: bool,
    cutter: Option<&Cutter>,
) -> Result<Response, axum::Error> {
    let (mut head, body) = response.into_parts();
    if let What::Pad { bytes } = what {
        head.headers.remove(CONTENT_LENGTH);
        let padded = Response::from_parts(head, body::padded(*bytes, body));
        return Ok(if encoded { compressed(padded) } else { padded });
    }
    // In a text that is no JSON, nobody could see it.
    let is_json = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(|kind| kind.contains("json"));
    let mut bytes = axum::body::to_bytes(body, usize::MAX).await?;
    let half = bytes.len() / 2;
    match what {
        What::CutText | What::CorruptText if !is_json => {}
        What::CutText => bytes.truncate(half),
        What::CorruptText => {
            let mut text = bytes.to_vec();
            text.insert(half, 0x01);
            bytes = text.into();
        }
        What::Mislabel => drop(head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))),
        _ => {}
    }
    // Where the fault is in the compressed form, the answer has one, whatever the client asked for and the size is.
    if encoded || matches!(what, What::CutGzip | What::FlipGzip) {
        bytes = body::gzip(&bytes).map_err(axum::Error::new)?.into();
        head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let half = bytes.len() / 2;
    match what {
        What::CutGzip => bytes.truncate(half),
        What::FlipGzip => {
            let mut raw = bytes.to_vec();
            if let Some(byte) = raw.get_mut(half) {
                *byte ^= 0x55;
            }
            bytes = raw.into();
        }
        _ => {}
    }
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    let body = match what {
        What::Slow { seconds } => body::slowly(bytes, *seconds),
        What::CloseInBody => body::broken(bytes.slice(..half), || ()),
        What::ResetInBody => {
            let cutter = cutter.cloned();
            body::broken(bytes.slice(..half), move || cutter.iter().for_each(Cutter::cut))
        }
        _ => Body::from(bytes),
    };
    Ok(Response::from_parts(head, body))
}

/// The answer with its body compressed on its way.
pub(crate) fn compressed(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Response::from_parts(head, body::gzip_stream(body))
}

/// The end of a connection.
fn cut(cutter: Option<&Cutter>) -> Response {
    if let Some(cutter) = cutter {
        cutter.cut();
    }
    let none = futures::stream::iter([Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset))]);
    Response::new(Body::from_stream(none))
}

/// How a service says that it does not do what it is asked for.
fn refusal(service: &str, status: u16) -> Response {
    let (code, message) = match status {
        401 => ("InvalidAuthenticationToken", "Access token has expired or is not yet valid."),
        403 => ("Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
        404 => ("ResourceNotFound", "The resource could not be found."),
        408 => ("RequestTimeout", "The request timed out."),
        410 => ("resyncRequired", "The delta token is expired, and a full sync is required."),
        429 => ("TooManyRequests", "Please retry again later."),
        503 => ("serviceNotAvailable", "The service is temporarily unavailable."),
        504 => ("UnknownError", ""),
        _ => ("generalException", "An unexpected error has occurred."),
    };
    let body = match service {
        "management" if status == 401 => json!({"Message": "Authorization has been denied for this request."}),
        "management" if status == 429 => json!({"error": {"code": "AF429", "message": "Too many requests."}}),
        "management" => json!({"error": {"code": "AF50000", "message": "An internal error occurred. Retry the request."}}),
        "login" => {
            json!({"error": "temporarily_unavailable", "error_description": format!("AADSTS90012: {message}"), "error_codes": [90012]})
        }
        "reporting" => json!({"odata.error": {"code": code, "message": {"lang": "", "value": message}}}),
        _ => {
            json!({"error": {"code": code, "message": message, "innerError": {"request-id": "5f0c1c2a-7b1d-4e55-9a10-08de4d00aa01"}}})
        }
    };
    answer::json(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &body)
}
