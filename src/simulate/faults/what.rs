//! What a fault does to a request.

use std::collections::BTreeMap;

/// What happens instead of the answer, or to it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    /// Another answer. An empty body is the one that the service gives with this status.
    Answer { status: u16, headers: Vec<(String, String)>, body: String },
    /// Another status with `Retry-After` so many simulated seconds from now, as an HTTP date.
    RetryAt { status: u16, seconds: f64 },
    /// Management Activity says for good that the content has expired.
    Gone,
    /// The connection is reset before anything is answered.
    Reset,
    /// Nothing is answered for so many seconds; then the connection is closed.
    Silence { seconds: f64 },
    /// A whole page of HTML with status 200.
    Page,
    /// Status 200 and no byte of a body.
    Nothing,
    /// Status 200 and a list with nothing in it, and no next page.
    EmptyList,
    /// The answer in small pieces, over so many seconds.
    Slow { seconds: f64 },
    /// Half of the body, then a reset.
    ResetInBody,
    /// Half of the body, then the connection is closed in the ordinary way.
    CloseInBody,
    /// Half of the compressed body, whole for HTTP.
    CutGzip,
    /// A byte in the middle of the compressed body is another.
    FlipGzip,
    /// Half of the body, whole for HTTP and gzip.
    CutText,
    /// A control character stands in the middle of the body.
    CorruptText,
    /// The right body called something else.
    Mislabel,
    /// So many bytes of white space before the body.
    Pad { bytes: u64 },
}

impl What {
    /// True when a client has the whole answer all the same, if it waits and looks at what came.
    pub(crate) fn leaves_it_whole(&self) -> bool {
        matches!(self, What::Slow { .. } | What::Mislabel | What::Pad { .. })
    }

    /// What an entry of a plan says; `None` when it says nothing.
    pub(super) fn custom(
        action: Option<&str>,
        status: Option<u16>,
        headers: &BTreeMap<String, String>,
        body: Option<String>,
        seconds: Option<f64>,
        bytes: Option<u64>,
    ) -> Result<Option<What>, String> {
        if let Some(seconds) = seconds.filter(|seconds| !(0.0..=86_400.0).contains(seconds)) {
            return Err(format!("seconds = {seconds} is not from 0 to 86400"));
        }
        if let Some(status) = status.filter(|status| !(200..=599).contains(status)) {
            return Err(format!("status = {status} is not from 200 to 599"));
        }
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        for (name, value) in &headers {
            let is_good =
                axum::http::HeaderName::try_from(name.as_str()).is_ok() && axum::http::HeaderValue::from_str(value).is_ok();
            if !is_good {
                return Err(format!("'{name}: {value}' is no header"));
            }
        }
        let seconds_or = |default: f64| seconds.unwrap_or(default);
        let what = match (action, status) {
            (None, None) => return Ok(None),
            (None | Some("answer"), Some(status)) => What::Answer { status, headers, body: body.unwrap_or_default() },
            (Some("retry-at"), status) => What::RetryAt { status: status.unwrap_or(429), seconds: seconds_or(2.0) },
            (Some("gone"), None) => What::Gone,
            (Some("reset"), None) => What::Reset,
            (Some("timeout"), None) => What::Silence { seconds: seconds_or(600.0) },
            (Some("page"), None) => What::Page,
            (Some("empty-body"), None) => What::Nothing,
            (Some("empty-list"), None) => What::EmptyList,
            (Some("slow"), None) => What::Slow { seconds: seconds_or(30.0) },
            (Some("reset-in-body"), None) => What::ResetInBody,
            (Some("close-in-body"), None) => What::CloseInBody,
            (Some("truncate-gzip"), None) => What::CutGzip,
            (Some("corrupt-gzip"), None) => What::FlipGzip,
            (Some("truncate"), None) => What::CutText,
            (Some("corrupt"), None) => What::CorruptText,
            (Some("content-type"), None) => What::Mislabel,
            (Some("oversize"), None) => What::Pad { bytes: bytes.unwrap_or(256 << 20) },
            (Some(action), status) => {
                let of = status.map(|status| format!(" with status {status}")).unwrap_or_default();
                return Err(format!(
                    "there is no action '{action}'{of}; there are answer (with a status), retry-at, gone, reset, timeout, page, empty-body, \
                     empty-list, slow, reset-in-body, close-in-body, truncate-gzip, corrupt-gzip, truncate, corrupt, content-type, oversize"
                ));
            }
        };
        Ok(Some(what))
    }

    /// The name of a fault that has none.
    pub(super) fn label(&self) -> String {
        match self {
            What::Answer { status, .. } => status.to_string(),
            What::RetryAt { status, .. } => format!("{status}-date"),
            What::Gone => "gone".to_owned(),
            What::Reset => "reset".to_owned(),
            What::Silence { .. } => "timeout".to_owned(),
            What::Page => "page".to_owned(),
            What::Nothing => "empty-body".to_owned(),
            What::EmptyList => "empty-list".to_owned(),
            What::Slow { .. } => "slow".to_owned(),
            What::ResetInBody => "reset-in-body".to_owned(),
            What::CloseInBody => "close-in-body".to_owned(),
            What::CutGzip => "truncate-gzip".to_owned(),
            What::FlipGzip => "corrupt-gzip".to_owned(),
            What::CutText => "truncate".to_owned(),
            What::CorruptText => "corrupt".to_owned(),
            What::Mislabel => "content-type".to_owned(),
            What::Pad { .. } => "oversize".to_owned(),
        }
    }

    /// The same where time and volume are dear.
    pub(super) fn brief(self) -> What {
        match self {
            What::Silence { seconds } => What::Silence { seconds: seconds.min(2.0) },
            What::Slow { seconds } => What::Slow { seconds: seconds.min(1.0) },
            What::Pad { bytes } => What::Pad { bytes: bytes.min(8 << 20) },
            other => other,
        }
    }
}
