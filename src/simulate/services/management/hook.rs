//! Webhooks of subscriptions.

/// Where notifications go.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Webhook {
    pub(super) address: String,
    pub(super) auth_id: Option<String>,
    pub(super) expiration: Option<i64>,
    /// Set when nobody answers there.
    pub(super) is_disabled: bool,
}
