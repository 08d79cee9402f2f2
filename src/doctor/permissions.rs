//! Which permissions each section needs of the application.

use kqlake_import::Section;
use kqlake_remote::cloud::Service;
use kqlake_remote::settings::TraceApi;

use crate::config::TenantConfig;

/// A permission that a part of a section needs: any of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    /// What needs it, as `ImportJobSettings` names sections.
    pub(super) part: &'static str,
    /// The service whose token must carry it.
    pub(super) service: Service,
    /// Any of them, the least one first.
    pub(super) any: &'static [&'static str],
    /// Who the service is in the app registration's page of permissions.
    pub(super) provider: &'static str,
}

const GRAPH: &str = "Microsoft Graph";
const MANAGEMENT: &str = "Office 365 Management APIs";

const fn graph(part: &'static str, any: &'static [&'static str]) -> Need {
    Need { part, service: Service::Graph, any, provider: GRAPH }
}

const USERS: &[&str] = &["User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"];

/// What the switched-on sections of a tenant need.
pub(super) fn needs(tenant: &TenantConfig) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut add = |section: Section, needed: &[Need]| {
        if tenant.jobs.contains(&section) {
            needs.extend_from_slice(needed);
        }
    };
    add(Section::Calls, &[graph("Calls", &["CallRecords.Read.All"])]);
    add(Section::UserMetadata, &[graph("GraphUsersMetadata", USERS)]);
    add(
        Section::UserApps,
        &[
            graph("GraphUserApps", USERS),
            graph("GraphUserApps", &["TeamsAppInstallation.ReadForUser.All", "TeamsAppInstallation.ReadWriteForUser.All"]),
        ],
    );
    add(Section::UsageReports, &[graph("GraphUsageReports", &["Reports.Read.All"])]);
    add(
        Section::Teams,
        &[
            graph("GraphTeams", &["Team.ReadBasic.All", "Group.Read.All", "Group.ReadWrite.All", "Directory.Read.All"]),
            graph("GraphTeams", &["Channel.ReadBasic.All", "ChannelSettings.Read.All", "Group.Read.All", "Directory.Read.All"]),
            graph("GraphTeams", &["TeamMember.Read.All", "TeamMember.ReadWrite.All"]),
            graph("GraphTeams", &["TeamsAppInstallation.ReadForTeam.All", "TeamsAppInstallation.ReadWriteForTeam.All"]),
        ],
    );
    let management = |any| Need { part: "ActivityLog", service: Service::Management, any, provider: MANAGEMENT };
    add(Section::Audit, &[management(&["ActivityFeed.Read"])]);
    if tenant.audit.content_types.iter().any(|kind| kind == "DLP.All") {
        add(Section::Audit, &[management(&["ActivityFeed.ReadDlp"])]);
    }
    let trace = match tenant.message_trace.api {
        TraceApi::Graph => graph("MessageTrace", &["ExchangeMessageTrace.Read.All"]),
        TraceApi::Reporting => Need {
            part: "MessageTrace",
            service: Service::Reporting,
            any: &["ReportingWebService.Read.All"],
            provider: "Office 365 Exchange Online",
        },
    };
    add(Section::MessageTrace, &[trace]);
    if tenant.app_insights.iter().any(|(_, key)| key.is_none()) {
        let any = &["Data.Read"];
        add(
            Section::Hits,
            &[Need { part: "WebTraffic", service: Service::AppInsights, any, provider: "Application Insights API" }],
        );
    }
    if !tenant.log_analytics.is_empty() {
        let any = &["Data.Read"];
        add(Section::Hits, &[Need { part: "WebTraffic", service: Service::LogAnalytics, any, provider: "Log Analytics API" }]);
    }
    if tenant.teams_messages.enabled {
        add(Section::Teams, &[graph("teams_messages", &["ChannelMessage.Read.All", "Group.Read.All", "Group.ReadWrite.All"])]);
    }
    needs
}
