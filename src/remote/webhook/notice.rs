//! The body of a notification: what it tells of whom.

use serde::Deserialize;

/// A notification's body.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope {
    /// The single notifications.
    pub value: Vec<Notice>,
}

/// One notification.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Notice {
    /// The secret that the subscription was made with.
    #[serde(default)]
    pub client_state: Option<String>,
    /// Whose data it tells of.
    #[serde(default)]
    pub tenant_id: Option<String>,
    /// The subscription that made it.
    #[serde(default)]
    pub subscription_id: Option<String>,
    /// What changed, such as `communications/callRecords/{id}`.
    #[serde(default)]
    resource: Option<String>,
    #[serde(default)]
    resource_data: Option<Data>,
    /// What became of the subscription, in a notification about itself.
    #[serde(default)]
    pub lifecycle_event: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Data {
    #[serde(default)]
    id: Option<String>,
}

impl Notice {
    /// The id of the call that it tells of.
    pub(super) fn call(&self) -> Option<&str> {
        let named = self.resource_data.as_ref().and_then(|data| data.id.as_deref());
        let resource = self.resource.as_deref().map(|path| path.trim_matches('/'));
        let of_path = resource.and_then(|path| {
            let (kind, id) = path.rsplit_once('/')?;
            kind.to_ascii_lowercase().ends_with("callrecords").then_some(id)
        });
        named.or(of_path).filter(|id| is_id(id))
    }
}

/// The calls that a message of a queue tells a tenant of; `None` for one that cannot be read, or tells another tenant.
///
/// Receivers put different things into their queues: what Graph sent, a single notification of it, or the id of a call; some clients
/// write the text into an envelope of their own.
pub(crate) fn calls_of(body: &[u8], tenant: &str) -> Option<Vec<String>> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}' || c == '"');
    if is_id(text) {
        return Some(vec![text.to_owned()]);
    }
    let inside = &text[text.find('{')?..=text.rfind('}')?];
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    // A text that was written as JSON within a text has its quotes escaped.
    let value = read(inside).or_else(|| read(&inside.replace("\\\"", "\"")))?;
    let notices: Vec<Notice> = match value.get("value") {
        Some(_) => serde_json::from_value::<Envelope>(value).ok()?.value,
        None => {
            let named =
                ["callId", "CallId", "callRecordId", "CallRecordId", "id"].iter().find_map(|name| value.get(name)?.as_str());
            if let Some(id) =
                named.filter(|id| is_id(id) && value.get("resource").is_none() && value.get("resourceData").is_none())
            {
                return Some(vec![id.to_owned()]);
            }
            vec![serde_json::from_value(value).ok()?]
        }
    };
    let mut calls = Vec::new();
    for notice in &notices {
        if notice.tenant_id.as_deref().is_some_and(|own| !own.eq_ignore_ascii_case(tenant)) {
            return None;
        }
        match (notice.call(), &notice.lifecycle_event) {
            (Some(call), _) => calls.push(call.to_owned()),
            // What became of a subscription is no call.
            (None, Some(_)) => {}
            (None, None) => return None,
        }
    }
    Some(calls)
}

/// True for what may be the id of a call: it becomes a part of an address, and of a unit's name.
fn is_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(text: &str) -> Option<String> {
        serde_json::from_str::<Notice>(text).unwrap().call().map(str::to_owned)
    }

    #[test]
    fn messages_of_queues_are_read_in_each_form() {
        let calls = |text: &str| calls_of(text.as_bytes(), "T-1").map(|calls| calls.join(" "));
        let notice = r#"{"resourceData":{"id":"a-1"},"tenantId":"t-1","clientState":"x"}"#;
        let envelope =
            format!(r#"{{"value":[{notice},{{"resource":"communications/callRecords/b-2"}},{{"lifecycleEvent":"missed"}}]}}"#);
        assert_eq!(calls(&envelope).as_deref(), Some("a-1 b-2"));
        assert_eq!(calls(notice).as_deref(), Some("a-1"));
        assert_eq!(calls(&serde_json::Value::from(notice).to_string()).as_deref(), Some("a-1"));
        assert_eq!(
            calls(&format!("@\u{6}string\u{8}3http://schemas.microsoft.com/2003/10/Serialization/\u{1}{notice}")).as_deref(),
            Some("a-1")
        );
        for id in ["f88-1", "\"f88-1\"", r#"{"callId":"f88-1"}"#, r#"{"id":"f88-1"}"#, "\u{feff}f88-1\r\n"] {
            assert_eq!(calls(id).as_deref(), Some("f88-1"), "{id}");
        }
        for other in ["", "{", "not an id", "[]", "{}", r#"{"value":[{}]}"#, r#"{"value":5}"#, r#"{"id":"../x"}"#] {
            assert_eq!(calls(other), None, "{other}");
        }
        assert_eq!(calls(&notice.replace("t-1", "t-2")), None);
    }

    #[test]
    fn calls_are_named_by_their_data_or_their_path() {
        assert_eq!(
            call(r#"{"resourceData":{"id":"f88-1"},"resource":"communications/callRecords/other"}"#),
            Some("f88-1".into())
        );
        assert_eq!(call(r#"{"resource":"/Communications/CallRecords/f88-1"}"#), Some("f88-1".into()));
        for none in [
            r#"{"resource":"users/f88-1"}"#,
            r#"{"resource":"communications/callRecords"}"#,
            r#"{"resourceData":{"id":"../../users"}}"#,
            r#"{"resourceData":{"id":""}}"#,
            r#"{}"#,
        ] {
            assert_eq!(call(none), None, "{none}");
        }
    }
}
