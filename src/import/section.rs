//! The parts of an import, and the importers that they belong to.

use std::fmt;
use std::str::FromStr;

use super::fields;

/// A part of the import that finishes on its own and says so with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// Application Insights: page views, events, traces and their kin.
    Hits,
    /// Office 365 audit records.
    Audit,
    /// Call records.
    Calls,
    /// Message traces.
    MessageTrace,
    /// Usage reports.
    UsageReports,
    /// Users of the directory.
    UserMetadata,
    /// Apps that users have installed.
    UserApps,
    /// Teams, their channels, members and apps, and messages of channels.
    Teams,
}

impl Section {
    /// All sections, in the order in which they are reported.
    pub const ALL: [Section; 8] = [
        Section::Hits,
        Section::UserMetadata,
        Section::UserApps,
        Section::UsageReports,
        Section::Teams,
        Section::Calls,
        Section::Audit,
        Section::MessageTrace,
    ];

    /// The name that its events and the ledger carry.
    pub fn name(self) -> &'static str {
        match self {
            Section::Hits => "Hits import",
            Section::Audit => "Audit events",
            Section::Calls => "Calls import",
            Section::MessageTrace => "Message trace",
            Section::UsageReports => "Usage reports",
            Section::UserMetadata => "User metadata refresh",
            Section::UserApps => "User Teams apps refresh",
            Section::Teams => "Teams import",
        }
    }

    /// The setting that switches it on, as `ImportJobSettings` names it; message traces have none there.
    pub fn setting(self) -> &'static str {
        match self {
            Section::Hits => "WebTraffic",
            Section::Audit => "ActivityLog",
            Section::Calls => "Calls",
            Section::MessageTrace => "MessageTrace",
            Section::UsageReports => "GraphUsageReports",
            Section::UserMetadata => "GraphUsersMetadata",
            Section::UserApps => "GraphUserApps",
            Section::Teams => "GraphTeams",
        }
    }

    /// The importer whose cycle it is part of.
    pub fn importer(self) -> Importer {
        if self == Section::Hits { Importer::AppInsights } else { Importer::Office365Activity }
    }

    /// The section that fills a table.
    pub fn of_table(table: &str) -> Section {
        match table {
            "AuditRecords" => Section::Audit,
            "CallRecords" | "CallSessions" | "CallSegments" => Section::Calls,
            "MessageTrace" | "MessageTraceDetail" => Section::MessageTrace,
            "Users" => Section::UserMetadata,
            "UserTeamsApps" => Section::UserApps,
            "Teams" | "TeamChannels" | "TeamMembers" | "TeamApps" | "ChannelMessages" => Section::Teams,
            // The classic Application Insights tables are the ones in lower case.
            other if other.starts_with(|c: char| c.is_ascii_lowercase()) => Section::Hits,
            _ => Section::UsageReports,
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Section {
    type Err = String;

    /// Reads a section's name or its setting, without regard to case, blanks and dashes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = fields::plain_name(text);
        let fits = |name: &str| fields::plain_name(name) == wanted;
        Section::ALL.into_iter().find(|s| fits(s.name()) || fits(s.setting())).ok_or_else(|| {
            let known: Vec<_> = Section::ALL.iter().map(|s| s.setting()).collect();
            format!("unknown section `{text}`; known are {}", known.join(", "))
        })
    }
}

/// The two importers whose cycles the events report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Importer {
    /// Application Insights.
    AppInsights,
    /// Everything of Microsoft 365.
    Office365Activity,
}

impl Importer {
    /// The `operation_Name` of its events and log lines.
    pub fn name(self) -> &'static str {
        match self {
            Importer::AppInsights => "AppInsightsImporter",
            Importer::Office365Activity => "Office365ActivityImporter",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_its_section() {
        assert_eq!(Section::of_table("traces"), Section::Hits);
        assert_eq!(Section::of_table("TeamsUserActivityUserDetail"), Section::UsageReports);
        assert_eq!(Section::of_table("TeamMembers"), Section::Teams);
        assert_eq!("graph-teams".parse(), Ok(Section::Teams));
        assert_eq!("usage reports".parse(), Ok(Section::UsageReports));
        assert!("weather".parse::<Section>().unwrap_err().contains("GraphTeams"));
    }
}
