//! The text of a new configuration file.

use super::answers::{Keeping, Tenant};

const HEAD: &str = r##"# kqlake: configuration. `kqlake doctor` checks it. Paths are meant from this file's folder.
# A flag wins over the environment (KQLAKE_*), that over this file, that over the default. Secrets are never written here.

# lake = "data/lake"                  # where the tables are
# export = "data/export"              # where CSV for Power BI and Excel goes
# from = ["exports"]                  # files and folders that nightly imports besides the live sections
# date_order = "day-first"            # what 02/03/2026 means in files whose dates do not tell, or "month-first"; refused when not set
# memory_limit = "2GB"
# spill_dir = "/var/tmp"              # where what does not fit into memory goes; the system's temporary folder when not set
# threads = 4                         # one for each processor when not set
# timeout = "10m"                     # longest time a query may run
# quarantine_keep = "90d"             # how long records that could not be read are kept, 0 for ever
# quarantine_size = "1GB"             # and how many of them, compressed
# external_data = ["lookups", "https://example.org/lists/"]   # what externaldata may read: folders, addresses by their beginnings
# watchlists = "watchlists"           # _GetWatchlist('x') is x.csv in this folder
# ip_locations = "GeoLite2-City.mmdb" # what geo_info_from_ip_address knows, in MaxMind's format
# import_job_settings = "Calls=True;ActivityLog=True"   # which sections run, for tenants that do not say it themselves
#
# [params]                            # values of saved queries' parameters
# patience = "2h"
# [watchlist_keys]                    # the column of a watchlist that SearchKey repeats; its first column when not set
# HighValueAssets = "Hostname"
# [external_locations]                # addresses in published queries, and the folder with their files
# "https://example.com/lists/" = "lookups/lists"
# [same_lake]                         # cluster('…'), database('…'), workspace('…') that mean this lake; "*" is any
# database = ["telemetry"]

"##;

/// The text with a tenant, or with one in comments.
pub(super) fn text(tenant: Option<&Tenant>) -> String {
    let example = Tenant {
        name: "contoso".to_owned(),
        id: "11111111-2222-3333-4444-555555555555".to_owned(),
        client_id: Some("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee".to_owned()),
        cloud: kqlake_remote::cloud::Cloud::Global,
        keeping: Keeping::Environment("CONTOSO_SECRET".to_owned()),
        org_urls: vec!["https://contoso.sharepoint.com".to_owned()],
    };
    let Some(tenant) = tenant else {
        let shown: String = section(&example).lines().map(|line| commented(line) + "\n").collect();
        return format!(
            "{HEAD}# No tenant is configured yet. Take the first character of these lines away and fill them in.\n{shown}"
        );
    };
    format!("{HEAD}{}", section(tenant))
}

fn commented(line: &str) -> String {
    if line.is_empty() || line.starts_with('#') { line.to_owned() } else { format!("#{line}") }
}

fn section(tenant: &Tenant) -> String {
    let bare = tenant.name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) && !tenant.name.is_empty();
    let name = if bare { tenant.name.clone() } else { quoted(&tenant.name) };
    let credential = match &tenant.keeping {
        Keeping::Environment(name) => format!("client_secret = {{ env = {} }}", quoted(name)),
        Keeping::File(path) => format!("client_secret = {{ file = {} }}", quoted(path)),
        Keeping::Credential(name) => format!("client_secret = {{ credential = {} }}", quoted(name)),
        Keeping::Certificate(path) => format!("certificate = {{ file = {} }}", quoted(path)),
        Keeping::ManagedIdentity => "managed_identity = true".to_owned(),
    };
    let client_id = match &tenant.client_id {
        Some(id) => format!("client_id = {}", quoted(id)),
        None => "# client_id = \"…\"                   # of a managed identity that is not the only one".to_owned(),
    };
    let urls: Vec<String> = tenant.org_urls.iter().map(|url| quoted(url)).collect();
    let (id, cloud, urls) = (quoted(&tenant.id), quoted(tenant.cloud.name()), urls.join(", "));
    format!(
        r##"[tenants.{name}]
id = {id}
cloud = {cloud}                         # global, gcc, gcc-high, dod or china
{client_id}
# The secret: {{ env = "NAME" }}, {{ file = "PATH" }} of mode 0600, or {{ credential = "NAME" }} (systemd LoadCredential).
# Instead of it: certificate = {{ file = "contoso.pem" }}, managed_identity = true, workload_identity = true
{credential}
# What is imported; what is not named is off. Without this line everything that can be.
# import_job_settings = "Calls=True;GraphUsersMetadata=True;GraphUserApps=True;GraphUsageReports=True;GraphTeams=True;ActivityLog=True;WebTraffic=True;MessageTrace=True"

# Where services are not the cloud's own; plain http on this machine only.
# [tenants.{name}.hosts]
# login = "http://127.0.0.1:8700/login"   # and management, graph, reporting, app_insights, log_analytics, service_bus

[tenants.{name}.audit]
# SharePoint addresses whose records are taken; ["*"] takes all; empty is an error.
org_urls = [{urls}]
# content_types = ["Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General"]   # and DLP.All
# requests_per_minute = 2000
# publisher_identifier = {id}   # whose quota is used; the tenant's own id when not set

# [tenants.{name}.message_trace]
# api = "graph"                           # or "reporting", the web service that is retired
# request_period_in_seconds = 60          # how often `kqlake watch` looks
# override_time_delay_in_seconds = 1      # 1 to 172800; without it rows are fetched at once and again until they are final
# max_historic_date_cutoff_days_back = 10 # how far back the first time
# max_historic_date_margin_seconds = 60
# requests_per_second = 100000            # on top of the service's own 100 in 5 minutes
# reset_persistence_auth = "2026-01-01"   # another day makes the section begin again
# details = false                         # true, or statuses such as ["failed"]: one request a message and recipient
# details_per_run = 1000

# [tenants.{name}.calls]
# backfill_days = 30
# notification_url = "https://hooks.example.com/kqlake/calls"   # for `kqlake webhook`
# client_state = {{ file = "client-state" }}
# listen = "127.0.0.1:8780"
# service_bus = {{ namespace = "contoso", queue = "graphcalls", policy = "listen", key = {{ env = "QUEUE_KEY" }} }}

# [tenants.{name}.teams_messages]         # part of GraphTeams
# enabled = false                         # messages of channels: language, sentiment, keywords, and not their text
# keep_text = false

# [[tenants.{name}.app_insights]]        # as many as there are
# app_id = "11111111-2222-3333-4444-555555555555"
# api_key = {{ env = "INSIGHTS_KEY" }}    # or the tenant's own application
# tables = ["traces", "customEvents", "pageViews"]
# lookback_days = 30

# [[tenants.{name}.log_analytics]]
# workspace_id = "11111111-2222-3333-4444-555555555555"
# tables = ["AppTraces", "AppEvents", "AppPageViews"]
"##
    )
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::mistakes;

    #[test]
    fn the_examples_in_comments_are_true() {
        // Every line that is commented out is one that could be written.
        let shown = text(None);
        let settings = |line: &&str| {
            let bare = line.trim_start_matches(['#', ' ']);
            bare.starts_with('[')
                || bare.split_once(" = ").is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        };
        let all: Vec<&str> = shown.lines().filter(settings).map(|line| line.trim_start_matches(['#', ' '])).collect();
        assert!(all.len() > 25, "{all:#?}");
        let found = mistakes(Path::new("kqlake.toml"), &all.join("\n"));
        assert!(found.is_empty(), "{found:#?}");
        assert!(mistakes(Path::new("kqlake.toml"), &shown).is_empty());
    }
}
