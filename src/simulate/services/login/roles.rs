//! What an application may do, by the service that the token is for.

const MANAGEMENT: &[&str] = &["ActivityFeed.Read", "ActivityFeed.ReadDlp", "ServiceHealth.Read"];

const GRAPH: &[&str] = &[
    "AppCatalog.Read.All",
    "AuditLogsQuery.Read.All",
    "CallRecord-PstnCalls.Read.All",
    "CallRecords.Read.All",
    "Channel.ReadBasic.All",
    "ChannelMember.Read.All",
    "ChannelMessage.Read.All",
    "Directory.Read.All",
    "ExchangeMessageTrace.Read.All",
    "Group.Read.All",
    "ReportSettings.Read.All",
    "ReportSettings.ReadWrite.All",
    "Reports.Read.All",
    "Team.ReadBasic.All",
    "TeamMember.Read.All",
    "TeamsAppInstallation.ReadForTeam.All",
    "TeamsAppInstallation.ReadForUser.All",
    "User.Read.All",
];

/// The roles for a resource; `None` for one that is none.
pub(super) fn of(resource: &str) -> Option<&'static [&'static str]> {
    let host = resource.trim_end_matches('/').strip_prefix("https://")?;
    match host {
        "manage.office.com" | "manage-gcc.office.com" | "manage.office365.us" | "manage.protection.apps.mil" => Some(MANAGEMENT),
        "graph.microsoft.com" | "graph.microsoft.us" | "dod-graph.microsoft.us" | "microsoftgraph.chinacloudapi.cn" => {
            Some(GRAPH)
        }
        "outlook.office365.com"
        | "outlook.office.com"
        | "reports.office365.com"
        | "outlook.office365.us"
        | "outlook-dod.office365.us"
        | "partner.outlook.cn" => Some(&["ReportingWebService.Read.All"]),
        "api.loganalytics.io" | "api.loganalytics.azure.com" | "api.loganalytics.us" | "api.loganalytics.azure.cn" => {
            Some(&["Data.Read"])
        }
        // What may be done with a queue is a role of Azure, which no token tells.
        "servicebus.azure.net" => Some(&[]),
        "api.applicationinsights.io" | "api.applicationinsights.us" | "api.applicationinsights.azure.cn" => Some(&["Data.Read"]),
        _ => None,
    }
}
