//! What can be set of a simulated tenant's habits and limits; the defaults are what the services document.

use serde::Deserialize;

/// Habits and limits, as the table `settings` of a fault plan gives them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Life of a token in seconds.
    pub token_lifetime_seconds: i64,
    /// The AADSTS number with which the login service answers every request: 7000222 for a secret that has expired, and so on.
    pub login_error: Option<u32>,
    /// Seconds by which the tenant's clock, as its answers tell it, is ahead of (or behind) the simulated one.
    pub clock_skew_seconds: i64,
    /// False: answers are not compressed, whatever a client accepts.
    pub gzip: bool,
    /// False: no service throttles.
    pub quotas: bool,
    /// Usage reports conceal the names of people and places, until a client sets it.
    pub conceal_names: bool,
    /// Message trace by Graph lacks its service principal, as before an administrator has provisioned it.
    pub trace_principal_missing: bool,
    /// The reporting web service tells only of messages of more than 25 hours ago.
    pub reporting_lag: bool,
    /// The application has the role for the reporting web service, but its principal no directory role.
    pub reporting_role_missing: bool,
    /// Every delta token has expired: Graph asks for a new synchronization.
    pub delta_resync: bool,
    /// Queries of Application Insights and Log Analytics: the most rows of an answer.
    pub query_rows: usize,
    /// Queries of Application Insights and Log Analytics: the most bytes of an answer.
    pub query_bytes: usize,
    /// Items of a batch, in a hundred, that are throttled though the batch is not.
    pub batch_throttled_percent: u64,
    /// Roles that no token carries, as when an administrator has not consented.
    pub missing_roles: Vec<String>,
    /// Management Activity: blobs in a page of a list.
    pub audit_page_size: usize,
    /// Management Activity: requests a simulated minute; 0 for no limit.
    pub audit_requests_per_minute: u32,
    /// Management Activity: seconds from the first start of a subscription until its first blobs. 0: the week before it is there.
    pub audit_first_start_delay_seconds: i64,
    /// Management Activity: content types whose subscriptions have been running for long.
    pub audit_subscribed: Vec<String>,
    /// Management Activity: the most records of a blob.
    pub audit_blob_records: u32,
    /// Management Activity: the fewest records of a blob.
    pub audit_blob_records_least: u32,
    /// The manifest names the rows of tables that have no more than so many.
    pub manifest_rows: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token_lifetime_seconds: 3599,
            login_error: None,
            clock_skew_seconds: 0,
            gzip: true,
            quotas: true,
            conceal_names: false,
            trace_principal_missing: false,
            reporting_lag: false,
            reporting_role_missing: false,
            delta_resync: false,
            query_rows: 500_000,
            query_bytes: 64_000_000,
            batch_throttled_percent: 0,
            missing_roles: Vec::new(),
            audit_page_size: 200,
            audit_requests_per_minute: 2000,
            audit_first_start_delay_seconds: 0,
            audit_subscribed: Vec::new(),
            audit_blob_records: 40,
            audit_blob_records_least: 1,
            manifest_rows: 500_000,
        }
    }
}
