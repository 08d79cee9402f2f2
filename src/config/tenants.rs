//! `[tenants.NAME]`: whose telemetry is fetched, how, and where its secrets are.

use std::collections::BTreeSet;
use std::ffi::OsString;

use secrecy::SecretString;
use toml::de::DeTable;
use url::Url;

use super::secrets::SecretSource;
use super::table::{Reader, Table};
use super::{arc, jobs};
use crate::error::{Error, Result};
use kqlake_import::Section;
use kqlake_remote::cloud::{Cloud, Service, check_host};
use kqlake_remote::settings::{
    AppInsightsSettings, AuditSettings, CONTENT_TYPES, CallsSettings, Credential, HostOverrides, LogAnalyticsSettings,
    MessageTraceSettings, ServiceBus, TeamsMessagesSettings, Tenant, TraceApi, TraceDetails,
};
use kqlake_value::calendar::day_of_text;
use kqlake_value::parse::guids::{self, GuidForm};

/// Seconds of two days: the longest delay of message traces.
const TWO_DAYS: i64 = 172_800;

/// A tenant as it is configured; where its secrets are is known, they are not read.
#[derive(Debug, Clone)]
pub struct TenantConfig {
    /// Its name in the file.
    pub name: String,
    /// The tenant's id, a GUID in lower case.
    pub id: String,
    /// Its cloud.
    pub cloud: Cloud,
    /// Addresses that are not the cloud's own.
    pub hosts: HostOverrides,
    /// The application's id; empty for a managed identity that is the only one.
    pub client_id: String,
    /// How the application proves that it is itself.
    pub credential: CredentialSource,
    /// Sections that are switched on.
    pub jobs: BTreeSet<Section>,
    /// Audit records.
    pub audit: AuditSettings,
    /// Call records; without the state that notifications carry.
    pub calls: CallsSettings,
    /// Where that state is.
    pub client_state: Option<SecretSource>,
    /// The policy that may read the queue of notifications, and where its key is.
    pub queue_key: Option<(String, SecretSource)>,
    /// Message traces.
    pub message_trace: MessageTraceSettings,
    /// Messages of channels.
    pub teams_messages: TeamsMessagesSettings,
    /// Resources of Application Insights, without their keys, and where these are.
    pub app_insights: Vec<(AppInsightsSettings, Option<SecretSource>)>,
    /// Workspaces of Log Analytics.
    pub log_analytics: Vec<LogAnalyticsSettings>,
}

/// How an application proves that it is itself, and where what it needs for it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// A client secret.
    Secret(SecretSource),
    /// A certificate with its key, and the password of the key.
    Certificate(SecretSource, Option<SecretSource>),
    /// The identity of the machine.
    ManagedIdentity,
    /// A token in a file; the platform names the file when it is not given.
    WorkloadIdentity(Option<std::path::PathBuf>),
}

impl TenantConfig {
    /// The tenant with its secrets, read now.
    ///
    /// # Errors
    /// A secret that it needs cannot be read.
    pub fn with_secrets(&self, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Tenant> {
        let at = |key: &str| format!("tenants.{}.{key}: ", self.name);
        let credential = self.credential(env).map_err(|err| err.at(&at(self.credential.key())))?;
        let client_state = self.client_state.as_ref().map(|source| source.read(env)).transpose();
        let app_insights = self.app_insights.iter().map(|(settings, key)| {
            let api_key = key.as_ref().map(|source| source.read(env)).transpose();
            Ok(AppInsightsSettings { api_key: api_key.map_err(|err| err.at(&at("app_insights.api_key")))?, ..settings.clone() })
        });
        let mut calls =
            CallsSettings { client_state: client_state.map_err(|err| err.at(&at("calls.client_state")))?, ..self.calls.clone() };
        if let (Some(queue), Some((policy, source))) = (&mut calls.service_bus, &self.queue_key) {
            let key = source.read(env).map_err(|err| err.at(&at("calls.service_bus.key")))?;
            queue.key = Some((policy.clone(), key));
        }
        Ok(Tenant { credential, calls, app_insights: app_insights.collect::<Result<_>>()?, ..self.without_secrets() })
    }

    /// The tenant without any secret: enough to find its services, not to ask them.
    pub fn without_secrets(&self) -> Tenant {
        let nothing = Credential::ManagedIdentity { endpoint: None };
        Tenant {
            cloud: self.cloud,
            hosts: self.hosts.clone(),
            jobs: self.jobs.clone(),
            audit: self.audit.clone(),
            calls: self.calls.clone(),
            message_trace: self.message_trace.clone(),
            teams_messages: self.teams_messages,
            app_insights: self.app_insights.iter().map(|(settings, _)| settings.clone()).collect(),
            log_analytics: self.log_analytics.clone(),
            ..Tenant::new(&self.name, &self.id, &self.client_id, nothing)
        }
    }

    fn credential(&self, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Credential> {
        let text = |name: &str| env(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty());
        Ok(match &self.credential {
            CredentialSource::Secret(source) => Credential::Secret(source.read(env)?),
            CredentialSource::Certificate(source, password) => Credential::Certificate {
                file: source.file(env)?,
                password: password.as_ref().map(|source| source.read(env)).transpose()?,
            },
            CredentialSource::ManagedIdentity => {
                let parsed =
                    |text: &str| Url::parse(text).map_err(|_| Error::usage("IDENTITY_ENDPOINT in the environment is no address"));
                let given = text("IDENTITY_ENDPOINT").map(|text| parsed(&text)).transpose()?;
                match (given, text("IDENTITY_HEADER")) {
                    (Some(endpoint), Some(header)) => {
                        Credential::ManagedIdentity { endpoint: Some((endpoint, SecretString::from(header))) }
                    }
                    // The agent of Azure Arc says where it is, and has no header.
                    (Some(endpoint), None) if text("IMDS_ENDPOINT").is_some() => {
                        Credential::Arc { endpoint, keys: arc::keys(env) }
                    }
                    _ if arc::is_here() => Credential::Arc { endpoint: parsed(arc::ENDPOINT)?, keys: arc::keys(env) },
                    _ => Credential::ManagedIdentity { endpoint: None },
                }
            }
            CredentialSource::WorkloadIdentity(file) => {
                let named = || env("AZURE_FEDERATED_TOKEN_FILE").filter(|value| !value.is_empty()).map(Into::into);
                let token_file = file.clone().or_else(named).ok_or_else(|| {
                    Error::usage("there is no token of a workload identity: AZURE_FEDERATED_TOKEN_FILE is not set")
                        .hint("the platform sets it where the workload identity is set up; or name the file: { file = \"PATH\" }")
                })?;
                Credential::WorkloadIdentity { token_file }
            }
        })
    }

    /// Sections that are switched on and have something to ask.
    pub fn has(&self, section: Section) -> bool {
        self.jobs.contains(&section)
    }

    /// The services that the switched-on sections ask, tokens first.
    pub fn services(&self) -> Vec<Service> {
        let trace = |api| self.has(Section::MessageTrace) && self.message_trace.api == api;
        let graph = [Section::UserMetadata, Section::UserApps, Section::UsageReports, Section::Teams, Section::Calls];
        let graph = graph.into_iter().any(|section| self.has(section));
        let hits = self.has(Section::Hits);
        [
            (Service::Login, true),
            (Service::Management, self.has(Section::Audit)),
            (Service::Graph, graph || trace(TraceApi::Graph)),
            (Service::Reporting, trace(TraceApi::Reporting)),
            (Service::AppInsights, hits && !self.app_insights.is_empty()),
            (Service::LogAnalytics, hits && !self.log_analytics.is_empty()),
            (Service::ServiceBus, self.has(Section::Calls) && self.calls.service_bus.is_some()),
        ]
        .into_iter()
        .filter_map(|(service, needed)| needed.then_some(service))
        .collect()
    }
}

impl CredentialSource {
    /// The key that it stands under.
    pub fn key(&self) -> &'static str {
        match self {
            CredentialSource::Secret(_) => "client_secret",
            CredentialSource::Certificate(..) => "certificate",
            CredentialSource::ManagedIdentity => "managed_identity",
            CredentialSource::WorkloadIdentity(_) => "workload_identity",
        }
    }
}

/// Reads the tenants of a file. What is wrong is noted with the reader, and a tenant without what it needs is left out.
/// `jobs` are the sections that are switched on for tenants that do not say so themselves.
pub(super) fn read(reader: &Reader<'_>, file: &DeTable<'_>, jobs: Option<&BTreeSet<Section>>) -> Vec<TenantConfig> {
    let Some((_, value)) = file.iter().find(|(key, _)| key.get_ref().as_ref() == "tenants") else { return Vec::new() };
    let root = |at| Table::new(reader, "tenants".to_owned(), at, file);
    let Some(tenants) = value.get_ref().as_table() else {
        root(value.span().start).wrong("", "is no table", "begin each tenant with [tenants.NAME]");
        return Vec::new();
    };
    let mut found = Vec::new();
    for (name, value) in tenants {
        let text = name.get_ref().as_ref();
        let at = name.span().start;
        let path = format!("tenants.{text}");
        let Some(entries) = value.get_ref().as_table() else {
            Table::new(reader, path, at, tenants).no_table();
            continue;
        };
        let table = Table::new(reader, path, at, entries);
        // Names are part of units, streams and addresses.
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.is_empty() || text.len() > 64 || !text.chars().all(good) || text.starts_with('.') {
            let advice = "name the tenant in letters, digits, dashes and underscores, such as [tenants.contoso]";
            table.wrong("", "is no name of a tenant", advice);
        }
        found.extend(tenant(text, table, jobs));
    }
    found
}

fn tenant(name: &str, mut table: Table<'_, '_>, given: Option<&BTreeSet<Section>>) -> Option<TenantConfig> {
    let id = guid(&mut table, "id", "copy the Directory (tenant) ID from the app registration's overview page");
    let cloud = match table.text("cloud").map(str::parse::<Cloud>) {
        Some(Ok(cloud)) => cloud,
        Some(Err(message)) => {
            table.wrong("cloud", format_args!("names an {message}"), "leave it out for the commercial cloud");
            Cloud::Global
        }
        None => Cloud::Global,
    };
    let credential = credential(&mut table);
    // An identity that the platform gives may be the only one.
    let managed = matches!(credential, Some(CredentialSource::ManagedIdentity));
    let advice = "copy the Application (client) ID from the app registration's overview page";
    let client_id = if managed && !table.has("client_id") { Some(String::new()) } else { guid(&mut table, "client_id", advice) };
    let own = match table.text("import_job_settings").map(jobs::parse) {
        Some(Ok(jobs)) => Some(jobs),
        Some(Err((message, advice))) => {
            table.wrong("import_job_settings", message, advice);
            None
        }
        None => None,
    };
    let hosts = hosts(table.table("hosts"));
    let audit = audit(table.table("audit"));
    let (calls, client_state, queue_key) = calls(table.table("calls"));
    let message_trace = message_trace(table.table("message_trace"));
    let teams_messages = teams_messages(table.table("teams_messages"));
    let app_insights: Vec<_> = table.tables("app_insights").into_iter().filter_map(app_insights).collect();
    let log_analytics: Vec<_> = table.tables("log_analytics").into_iter().filter_map(log_analytics).collect();
    table.finish();
    // Without a word, a section that has nothing to ask is not expected.
    let hits = !app_insights.is_empty() || !log_analytics.is_empty();
    let all = || Section::ALL.into_iter().filter(|section| hits || *section != Section::Hits).collect();
    Some(TenantConfig {
        name: name.to_owned(),
        id: id?,
        cloud,
        hosts,
        client_id: client_id?,
        credential: credential?,
        jobs: own.or_else(|| given.cloned()).unwrap_or_else(all),
        audit,
        calls,
        client_state,
        queue_key,
        message_trace,
        teams_messages,
        app_insights,
        log_analytics,
    })
}

/// An id as Entra gives it, in lower case.
fn guid(table: &mut Table<'_, '_>, key: &'static str, advice: &str) -> Option<String> {
    if table.is_missing(key) {
        table.known(key);
        table.missing(key, advice);
        return None;
    }
    let text = table.text(key)?;
    if let Some(guid) = guids::read(text, GuidForm::Plain) {
        return Some(guid);
    }
    table.wrong(key, format_args!("is `{text}`, which is no GUID such as 11111111-2222-3333-4444-555555555555"), advice);
    None
}

fn credential(table: &mut Table<'_, '_>) -> Option<CredentialSource> {
    let secret = table.secret("client_secret");
    let mut password = None;
    let certificate = table.secret_with("certificate", |inner| password = inner.secret("password"));
    let managed = table.switch("managed_identity") == Some(true);
    let workload = workload_identity(table);
    let named: Vec<&str> = ["client_secret", "certificate", "managed_identity", "workload_identity"]
        .into_iter()
        .filter(|key| table.has(key))
        .collect();
    match named.as_slice() {
        [] => table.missing(
            "client_secret",
            "say how the application proves that it is itself: client_secret, certificate, managed_identity or workload_identity",
        ),
        [_] => {}
        _ => table.wrong("", format_args!("has {}", named.join(" and ")), "leave one of them"),
    }
    if let Some(SecretSource::Environment(_)) = certificate {
        table.wrong(
            "certificate",
            "is in a variable",
            "a certificate is in a file: { file = \"PATH\" } or { credential = \
            \"NAME\" }",
        );
        return None;
    }
    let secret = secret.map(CredentialSource::Secret);
    let certificate = certificate.map(|source| CredentialSource::Certificate(source, password));
    let managed = managed.then_some(CredentialSource::ManagedIdentity);
    secret.or(certificate).or(managed).or(workload).filter(|_| named.len() == 1)
}

fn workload_identity(table: &mut Table<'_, '_>) -> Option<CredentialSource> {
    if !table.has("workload_identity") {
        table.known("workload_identity");
        return None;
    }
    if table.is_switch("workload_identity") {
        return (table.switch("workload_identity") == Some(true)).then_some(CredentialSource::WorkloadIdentity(None));
    }
    let mut inner = table.table("workload_identity");
    let file = inner.text("file").map(|path| inner.based(path));
    inner.finish();
    Some(CredentialSource::WorkloadIdentity(file))
}

fn hosts(mut table: Table<'_, '_>) -> HostOverrides {
    let hosts = HostOverrides {
        login: address(&mut table, "login"),
        management: address(&mut table, "management"),
        graph: address(&mut table, "graph"),
        reporting: address(&mut table, "reporting"),
        app_insights: address(&mut table, "app_insights"),
        log_analytics: address(&mut table, "log_analytics"),
        service_bus: address(&mut table, "service_bus"),
    };
    table.finish();
    hosts
}

/// The address of a service.
fn address(table: &mut Table<'_, '_>, key: &'static str) -> Option<Url> {
    let text = table.text(key)?;
    let advice = "write it as https://host or https://host:port/path";
    match Url::parse(text) {
        Ok(url) => match check_host(&url) {
            Ok(()) => Some(url),
            // An address may hold a password.
            Err(message) => {
                table.wrong(key, format_args!("is an address that {message}"), advice);
                None
            }
        },
        Err(err) => {
            table.wrong(key, format_args!("is no address: {err}"), advice);
            None
        }
    }
}

fn audit(mut table: Table<'_, '_>) -> AuditSettings {
    let default = AuditSettings::default();
    let org_urls = table.texts("org_urls").unwrap_or_default();
    for url in org_urls.iter().filter(|url| *url != "*") {
        let parsed = Url::parse(url).ok().filter(|parsed| matches!(parsed.scheme(), "https" | "http") && parsed.has_host());
        if parsed.is_none() {
            let advice = "write it as https://contoso.sharepoint.com, or \"*\" for all";
            table.wrong("org_urls", format_args!("has `{url}`, which is no address of a site"), advice);
        }
    }
    let content_types = table.texts("content_types").unwrap_or(default.content_types);
    let known = || CONTENT_TYPES.into_iter().chain(["DLP.All"]);
    for wrong in content_types.iter().filter(|text| !known().any(|known| known == text.as_str())) {
        let advice = format!("known are {}", known().collect::<Vec<_>>().join(", "));
        table.wrong("content_types", format_args!("has `{wrong}`, which is no content type"), advice);
    }
    let publisher = table.has("publisher_identifier");
    let publisher_identifier =
        publisher.then(|| guid(&mut table, "publisher_identifier", "leave it out: it is the tenant's id")).flatten();
    table.known("publisher_identifier");
    let settings = AuditSettings {
        org_urls,
        content_types,
        publisher_identifier: publisher_identifier.unwrap_or_default(),
        requests_per_minute: table.number("requests_per_minute", 1..=1_000_000).unwrap_or(default.requests_per_minute),
    };
    table.finish();
    settings
}

/// Call records, with where the state of notifications and the key of their queue are.
fn calls(mut table: Table<'_, '_>) -> (CallsSettings, Option<SecretSource>, Option<(String, SecretSource)>) {
    let default = CallsSettings::default();
    let listen = table.text("listen").and_then(|text| match text.parse() {
        Ok(listen) => Some(listen),
        Err(_) => {
            table.wrong("listen", format_args!("is `{text}`, which is no address and port"), "write it as 127.0.0.1:8780");
            None
        }
    });
    let has_bus = table.has("service_bus");
    let (service_bus, queue_key) = service_bus(table.table("service_bus"), has_bus);
    let client_state = table.secret("client_state");
    let settings = CallsSettings {
        backfill_days: table.number("backfill_days", 0..=30).unwrap_or(default.backfill_days),
        notification_url: address(&mut table, "notification_url"),
        lifecycle_url: address(&mut table, "lifecycle_url"),
        client_state: None,
        listen,
        service_bus,
    };
    if settings.notification_url.is_some() && !table.has("client_state") {
        table.missing(
            "client_state",
            "it is the secret that notifications must carry: client_state = { file = \"…\" } with a \
            random text",
        );
    }
    table.finish();
    (settings, client_state, queue_key)
}

/// The queue that another receiver fills, and where the key of its policy is.
fn service_bus(mut table: Table<'_, '_>, is_there: bool) -> (Option<ServiceBus>, Option<(String, SecretSource)>) {
    let (namespace, queue) = (table.text("namespace").map(str::to_owned), table.text("queue").map(str::to_owned));
    let (policy, key) = (table.text("policy").map(str::to_owned), table.secret("key"));
    if is_there {
        for name in ["namespace", "queue"].into_iter().filter(|name| !table.has(name)) {
            table.missing(name, "write it as service_bus = { namespace = \"…\", queue = \"…\" }");
        }
        for (name, other) in [("policy", "key"), ("key", "policy")] {
            if table.has(other) && !table.has(name) {
                table.missing(
                    name,
                    "a shared access policy that may listen has a name and a key: policy = \"…\", key = { env = \"…\" }",
                );
            }
        }
    }
    // It becomes a part of the host's name.
    let good = |text: &str| text.len() <= 50 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if let Some(wrong) = namespace.as_deref().filter(|text| !good(text)) {
        let advice = "write the first part of its host's name, as contoso of contoso.servicebus.windows.net";
        table.wrong("namespace", format_args!("is `{wrong}`, which is no namespace"), advice);
    }
    table.finish();
    let bus = namespace.zip(queue).map(|(namespace, queue)| ServiceBus { namespace, queue, key: None });
    (bus, policy.zip(key))
}

fn message_trace(mut table: Table<'_, '_>) -> MessageTraceSettings {
    let default = MessageTraceSettings::default();
    let api = match table.text("api") {
        None | Some("graph") => TraceApi::Graph,
        Some("reporting") => TraceApi::Reporting,
        Some(other) => {
            let advice = "write graph, or reporting for the web service that is retired";
            table.wrong("api", format_args!("is `{other}`, graph or reporting was expected"), advice);
            TraceApi::Graph
        }
    };
    let reset = table.text("reset_persistence_auth").map(str::to_owned);
    if let Some(text) = reset.as_deref().filter(|text| text.len() != 10 || day_of_text(text).is_none()) {
        table.wrong(
            "reset_persistence_auth",
            format_args!("is `{text}`, a day as YYYY-MM-DD was expected"),
            "write the day on which you want the section to begin again, in quotes",
        );
    }
    let settings = MessageTraceSettings {
        api,
        request_period_in_seconds: table
            .number("request_period_in_seconds", 1..=i64::MAX)
            .unwrap_or(default.request_period_in_seconds),
        override_time_delay_in_seconds: table.number("override_time_delay_in_seconds", 1..=TWO_DAYS),
        max_historic_date_cutoff_days_back: table
            .number("max_historic_date_cutoff_days_back", 1..=1_000_000)
            .unwrap_or(default.max_historic_date_cutoff_days_back),
        max_historic_date_margin_seconds: table
            .number("max_historic_date_margin_seconds", 1..=86_400_000_000)
            .unwrap_or(default.max_historic_date_margin_seconds),
        requests_per_second: table.number("requests_per_second", 1..=i64::from(u32::MAX)).unwrap_or(default.requests_per_second),
        reset_persistence_auth: reset,
        details: trace_details(&mut table),
        details_per_run: table.number("details_per_run", 1..=1_000_000).unwrap_or(default.details_per_run),
    };
    table.finish();
    settings
}

/// The messages whose details are fetched: all or none, or those of some statuses.
fn trace_details(table: &mut Table<'_, '_>) -> TraceDetails {
    if !table.has("details") || table.is_switch("details") {
        return if table.switch("details") == Some(true) { TraceDetails::All } else { TraceDetails::None };
    }
    let statuses = table.texts("details").unwrap_or_default();
    let known = |text: &str| TraceDetails::STATUSES.iter().any(|known| known.eq_ignore_ascii_case(text));
    for wrong in statuses.iter().filter(|text| !known(text)) {
        let advice = format!("known are {}", TraceDetails::STATUSES.join(", "));
        table.wrong("details", format_args!("has `{wrong}`, which is no status that a message ends with"), advice);
    }
    TraceDetails::Of(statuses)
}

fn teams_messages(mut table: Table<'_, '_>) -> TeamsMessagesSettings {
    let settings = TeamsMessagesSettings {
        enabled: table.switch("enabled").unwrap_or_default(),
        keep_text: table.switch("keep_text").unwrap_or_default(),
    };
    table.finish();
    settings
}

/// Days that Application Insights and Log Analytics may keep: twelve years.
const KEPT_DAYS: i64 = 4_383;

fn app_insights(mut table: Table<'_, '_>) -> Option<(AppInsightsSettings, Option<SecretSource>)> {
    let advice = "copy the Application ID from the resource's page API Access";
    let app_id = guid(&mut table, "app_id", advice);
    let key = table.secret("api_key");
    let default = AppInsightsSettings::new(app_id.clone().unwrap_or_default());
    let settings = AppInsightsSettings {
        tables: tables(&mut table).unwrap_or(default.tables),
        lookback_days: table.number("lookback_days", 1..=KEPT_DAYS).unwrap_or(default.lookback_days),
        ..AppInsightsSettings::new(app_id.clone().unwrap_or_default())
    };
    table.finish();
    app_id.map(|_| (settings, key))
}

fn log_analytics(mut table: Table<'_, '_>) -> Option<LogAnalyticsSettings> {
    let advice = "copy the Workspace ID from the workspace's overview page";
    let workspace_id = guid(&mut table, "workspace_id", advice);
    let default = LogAnalyticsSettings::new(workspace_id.clone().unwrap_or_default());
    let settings = LogAnalyticsSettings {
        tables: tables(&mut table).unwrap_or(default.tables),
        lookback_days: table.number("lookback_days", 1..=KEPT_DAYS).unwrap_or(default.lookback_days),
        workspace_id: default.workspace_id,
    };
    table.finish();
    workspace_id.map(|_| settings)
}

/// Names of tables, which become part of queries.
fn tables(table: &mut Table<'_, '_>) -> Option<Vec<String>> {
    let names = table.texts("tables")?;
    let good = |name: &str| {
        name.len() <= 128
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    for wrong in names.iter().filter(|name| !good(name)) {
        table.wrong("tables", format_args!("has `{wrong}`, which is no name of a table"), "write it as traces or AppTraces");
    }
    if names.is_empty() {
        table.wrong("tables", "is an empty list", "name a table, or leave it out");
    }
    Some(names)
}
