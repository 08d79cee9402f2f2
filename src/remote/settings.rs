//! What a tenant is set to: plain data with its defaults. Who reads it from a file is not known here.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use crate::cloud::{Cloud, Service};
use kqlake_import::Section;

/// A tenant whose telemetry is fetched.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// The name that streams and units begin with.
    pub name: String,
    /// The tenant's id, a GUID in lower case.
    pub id: String,
    /// Its cloud.
    pub cloud: Cloud,
    /// Where services are that are not where the cloud has them.
    pub hosts: HostOverrides,
    /// The id of the application that fetches; that of a managed identity of several, and empty for the only one.
    pub client_id: String,
    /// How the application proves that it is itself.
    pub credential: Credential,
    /// The sections that are switched on.
    pub jobs: BTreeSet<Section>,
    /// Audit records.
    pub audit: AuditSettings,
    /// Call records.
    pub calls: CallsSettings,
    /// Message traces.
    pub message_trace: MessageTraceSettings,
    /// Messages of channels.
    pub teams_messages: TeamsMessagesSettings,
    /// Resources of Application Insights.
    pub app_insights: Vec<AppInsightsSettings>,
    /// Workspaces of Log Analytics.
    pub log_analytics: Vec<LogAnalyticsSettings>,
}

impl Tenant {
    /// A tenant of the commercial cloud with every section switched on and everything else as it is when nothing is said.
    pub fn new(name: impl Into<String>, id: &str, client_id: impl Into<String>, credential: Credential) -> Self {
        Tenant {
            name: name.into(),
            id: id.to_ascii_lowercase(),
            cloud: Cloud::Global,
            hosts: HostOverrides::default(),
            client_id: client_id.into(),
            credential,
            jobs: Section::ALL.into_iter().collect(),
            audit: AuditSettings::default(),
            calls: CallsSettings::default(),
            message_trace: MessageTraceSettings::default(),
            teams_messages: TeamsMessagesSettings::default(),
            app_insights: Vec::new(),
            log_analytics: Vec::new(),
        }
    }

    /// Where a service is for this tenant; `None` where its cloud has none and nothing else is set.
    pub fn base(&self, service: Service) -> Option<Url> {
        let own = self.hosts.of(service).cloned();
        if let (Service::ServiceBus, Some(queue), None) = (service, &self.calls.service_bus, &own) {
            return Url::parse(&format!("https://{}.{}", queue.namespace, self.cloud.service_bus())).ok();
        }
        own.or_else(|| self.cloud.base(service).and_then(|base| Url::parse(base).ok()))
    }
}

/// Addresses of services in place of the cloud's own; [`check_host`](crate::cloud::check_host) says which may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostOverrides {
    /// Tokens.
    pub login: Option<Url>,
    /// Audit records.
    pub management: Option<Url>,
    /// Graph.
    pub graph: Option<Url>,
    /// The reporting web service.
    pub reporting: Option<Url>,
    /// Application Insights.
    pub app_insights: Option<Url>,
    /// Log Analytics.
    pub log_analytics: Option<Url>,
    /// Service Bus.
    pub service_bus: Option<Url>,
}

impl HostOverrides {
    /// The address of a service.
    pub fn of(&self, service: Service) -> Option<&Url> {
        match service {
            Service::Login => self.login.as_ref(),
            Service::Management => self.management.as_ref(),
            Service::Graph => self.graph.as_ref(),
            Service::Reporting => self.reporting.as_ref(),
            Service::AppInsights => self.app_insights.as_ref(),
            Service::LogAnalytics => self.log_analytics.as_ref(),
            Service::ServiceBus => self.service_bus.as_ref(),
        }
    }
}

/// How an application proves that it is itself.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A client secret.
    Secret(SecretString),
    /// A certificate with its private key; the file is read again when it changes.
    Certificate {
        /// A PEM file.
        file: PathBuf,
        /// The password that its key is encrypted with.
        password: Option<SecretString>,
    },
    /// The identity that the platform gives to the machine or the service.
    ManagedIdentity {
        /// The platform's address and the header that it wants, as it tells them to services (`IDENTITY_ENDPOINT`,
        /// `IDENTITY_HEADER`); the machine's own endpoint when not given.
        endpoint: Option<(Url, SecretString)>,
    },
    /// The identity that Azure Arc gives to a machine elsewhere.
    Arc {
        /// The address of its agent on this machine.
        endpoint: Url,
        /// The folder in which the agent proves to privileged users that it is itself: a key a request.
        keys: PathBuf,
    },
    /// A token that the platform writes to a file; the file is read each time.
    WorkloadIdentity {
        /// The file.
        token_file: PathBuf,
    },
}

/// Content types of audit records that are fetched when nothing is said. `DLP.All` needs a permission of its own.
pub const CONTENT_TYPES: [&str; 4] = ["Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General"];

/// Audit records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSettings {
    /// The SharePoint addresses whose records are taken; `*` takes all. The section fails when there is none.
    pub org_urls: Vec<String>,
    /// Content types.
    pub content_types: Vec<String>,
    /// Whose quota requests count for; the tenant's id when empty.
    pub publisher_identifier: String,
    /// Requests a minute that the tenant may make.
    pub requests_per_minute: u32,
}

impl Default for AuditSettings {
    fn default() -> Self {
        AuditSettings {
            org_urls: Vec::new(),
            content_types: CONTENT_TYPES.map(str::to_owned).to_vec(),
            publisher_identifier: String::new(),
            requests_per_minute: 2_000,
        }
    }
}

/// Call records.
#[derive(Debug, Clone)]
pub struct CallsSettings {
    /// Days back that are looked through the first time: as many as the service keeps.
    pub backfill_days: u32,
    /// The public address that notifications are sent to.
    pub notification_url: Option<Url>,
    /// The same for those about the subscription itself.
    pub lifecycle_url: Option<Url>,
    /// What notifications must carry to be believed.
    pub client_state: Option<SecretString>,
    /// Where the receiver of notifications listens.
    pub listen: Option<SocketAddr>,
    /// A queue that another receiver fills.
    pub service_bus: Option<ServiceBus>,
}

impl Default for CallsSettings {
    fn default() -> Self {
        CallsSettings {
            backfill_days: 30,
            notification_url: None,
            lifecycle_url: None,
            client_state: None,
            listen: None,
            service_bus: None,
        }
    }
}

/// A queue of Azure Service Bus.
#[derive(Debug, Clone)]
pub struct ServiceBus {
    /// The namespace: the first part of its host's name.
    pub namespace: String,
    /// The queue.
    pub queue: String,
    /// A shared access policy that may listen, and its key; the tenant's application when not given.
    pub key: Option<(String, SecretString)>,
}

/// Which service message traces come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TraceApi {
    /// Microsoft Graph.
    #[default]
    Graph,
    /// The reporting web service of Exchange, which new tenants do not have.
    Reporting,
}

/// Messages whose details are fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TraceDetails {
    /// None.
    #[default]
    None,
    /// All.
    All,
    /// Those with one of these statuses.
    Of(Vec<String>),
}

impl TraceDetails {
    /// Statuses that a message can end with, as Graph writes them.
    pub const STATUSES: [&str; 6] = ["delivered", "expanded", "failed", "filteredAsSpam", "quarantined", "recalled"];

    /// True for messages of a status whose details are fetched.
    pub fn takes(&self, status: &str) -> bool {
        match self {
            TraceDetails::None => false,
            TraceDetails::All => true,
            TraceDetails::Of(statuses) => statuses.iter().any(|wanted| wanted.eq_ignore_ascii_case(status)),
        }
    }
}

/// Message traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageTraceSettings {
    /// The service.
    pub api: TraceApi,
    /// Seconds between two looks when the program stays.
    pub request_period_in_seconds: u64,
    /// Seconds that rows are left to settle before they are asked for; `None` asks for them at once and again until they are
    /// final.
    pub override_time_delay_in_seconds: Option<u64>,
    /// Days back that are looked through the first time, at most as many as the service keeps.
    pub max_historic_date_cutoff_days_back: u32,
    /// Seconds that the first look stays clear of what the service no longer keeps.
    pub max_historic_date_margin_seconds: u64,
    /// Requests a second at most, besides the service's own quota.
    pub requests_per_second: u32,
    /// A text whose change makes the section forget how far it was.
    pub reset_persistence_auth: Option<String>,
    /// The messages of which is fetched what happened to them.
    pub details: TraceDetails,
    /// Messages and recipients whose details one run asks for at most.
    pub details_per_run: u32,
}

impl Default for MessageTraceSettings {
    fn default() -> Self {
        MessageTraceSettings {
            api: TraceApi::Graph,
            request_period_in_seconds: 60,
            override_time_delay_in_seconds: None,
            max_historic_date_cutoff_days_back: 10,
            max_historic_date_margin_seconds: 60,
            requests_per_second: 100_000,
            reset_persistence_auth: None,
            details: TraceDetails::None,
            details_per_run: 1_000,
        }
    }
}

/// Messages of channels; off unless it is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TeamsMessagesSettings {
    /// Whether they are fetched.
    pub enabled: bool,
    /// Whether their text is kept.
    pub keep_text: bool,
}

/// A resource of Application Insights.
#[derive(Debug, Clone)]
pub struct AppInsightsSettings {
    /// The resource's application id.
    pub app_id: String,
    /// A key of the resource; the tenant's application when not given.
    pub api_key: Option<SecretString>,
    /// Tables that are fetched.
    pub tables: Vec<String>,
    /// Days back that are looked through the first time.
    pub lookback_days: u32,
}

impl AppInsightsSettings {
    /// A resource with everything else as it is when nothing is said.
    pub fn new(app_id: impl Into<String>) -> Self {
        let tables = ["traces", "customEvents", "pageViews"].map(str::to_owned).to_vec();
        AppInsightsSettings { app_id: app_id.into(), api_key: None, tables, lookback_days: 30 }
    }
}

/// A workspace of Log Analytics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogAnalyticsSettings {
    /// The workspace's id.
    pub workspace_id: String,
    /// Tables that are fetched.
    pub tables: Vec<String>,
    /// Days back that are looked through the first time.
    pub lookback_days: u32,
}

impl LogAnalyticsSettings {
    /// A workspace with everything else as it is when nothing is said.
    pub fn new(workspace_id: impl Into<String>) -> Self {
        let tables = ["AppTraces", "AppEvents", "AppPageViews"].map(str::to_owned).to_vec();
        LogAnalyticsSettings { workspace_id: workspace_id.into(), tables, lookback_days: 30 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let secret = || SecretString::from("canary-1234");
        let mut tenant = Tenant::new("contoso", "ABC", "app", Credential::Secret(secret()));
        tenant.calls.client_state = Some(secret());
        let key = Some(("listen".to_owned(), secret()));
        tenant.calls.service_bus = Some(ServiceBus { namespace: "n".to_owned(), queue: "q".to_owned(), key });
        tenant.app_insights.push(AppInsightsSettings { api_key: Some(secret()), ..AppInsightsSettings::new("a") });
        let shown = format!("{tenant:?}{tenant:#?}");
        assert!(shown.contains("contoso") && !shown.contains("canary"), "{shown}");
        assert_eq!(tenant.base(Service::ServiceBus).unwrap().as_str(), "https://n.servicebus.windows.net/");
        assert_eq!(tenant.base(Service::Graph).unwrap().as_str(), "https://graph.microsoft.com/");
    }
}
