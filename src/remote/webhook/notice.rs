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
