//! Import: from files of any known shape to committed rows.
//!
//! A *unit* is one file, or one entry of an archive. Its records are recognised by content and mapped to rows; a record that
//! cannot be read goes to quarantine with its place and the reason, and the rest continues. A landing takes rows of one table, of
//! one or many units, and commits them once; a large unit may take several. The ledger follows each commit. Units are read on
//! threads, several at a time, and landed beside that in the order in which their source listed them, with a bounded queue
//! between the two. A `source` of units may be anything that lists and opens them; `sources` are files.
//!
//! May use: `kqlake-value`, `kqlake-durable` (for quarantine) and `kqlake-lake`; Arrow, and DataFusion to read landed rows.
//! Must never know: Delta, the language's queries, who asked for the import and how it is reported.

mod app_insights;
mod audit;
mod batches;
mod blocks;
mod budget;
mod calls;
mod convert;
mod dispatch;
mod events;
mod fields;
mod files;
mod graph;
mod groups;
mod json_text;
mod landable;
mod landings;
mod ledger;
mod merge_small;
mod message_trace;
mod names;
mod ordinals;
mod own_rows;
mod positions;
mod preview;
mod quarantine;
mod reader;
mod row;
mod runner;
mod shape;
mod shortfall;
mod source;
mod sources;
mod stamp;
mod stop;
mod summary;
mod unit;
mod units;
mod zones;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

pub use self::audit::scope::OrgUrls;
pub use self::events::{EventLevel, EventLog, Health, HealthStatus, WEBHOOK};
pub use self::files::input::FileLimits;
pub use self::ledger::{LedgerState, NO_SECTION, UnknownState};
pub use self::names::listed_names;
pub use self::preview::{Preview, preview};
pub use self::quarantine::seen::seen_again;
pub use self::quarantine::store::{
    QuarantineFile, RefusedRecord, Retention, drop_files, list as quarantined, records as refused_records,
};
pub(crate) use self::row::{Cell, Row};
pub use self::shortfall::Shortfall;
pub use self::source::{Body, Feed, ListedUnit, Opened, Reply, Source, SourceError, UnitPage};
pub use self::stop::Stop;
pub use self::unit::{Counts, Filter, ImportOverrides};
use kqlake_lake::{Lake, LakeError, Landed};
use kqlake_value::clock::{Clock, SystemClock};
pub use kqlake_value::parse::datetimes::DateOrder;

/// What stops an import as a whole. Everything else is a state of a unit, and in the summary.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A path that was named does not exist.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// A path that was named cannot be a source.
    #[error("{} {reason}", path.display())]
    Unsuitable {
        /// The path.
        path: PathBuf,
        /// What it is, as the rest of a sentence that begins with the path.
        reason: String,
    },
    /// A path that was named cannot be examined.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The lake could not be read or written. What was committed before stays; the same import can be run again.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Refused records could not be written.
    #[error("records that cannot be read could not be set aside in {}: {source}", path.display())]
    Quarantine {
        /// The file that was to be written.
        path: PathBuf,
        /// Why it could not.
        source: io::Error,
    },
    /// A temporary file could not be written or read.
    #[error("a temporary file that the import needs cannot be used: {reason}")]
    Scratch {
        /// Why not, with the folder where it could not be made.
        reason: String,
    },
    /// The thread that reads files ended without an answer.
    #[error("the reader of files failed: {0}")]
    Reader(String),
}

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

/// What an import is to do.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The name of this run, which its rows carry; made up when not given.
    pub import_id: Option<String>,
    /// Which rows are taken.
    pub filter: Filter,
    /// What the caller knows and files may not say.
    pub given: ImportOverrides,
    /// Recognises and counts, and writes nothing.
    pub dry_run: bool,
    /// Reads units again that an earlier import finished and that have not changed, and lists sources from their beginning.
    pub again: bool,
    /// Units to read again whatever an earlier import said of them; an archive's name stands for its entries.
    pub retry: BTreeSet<String>,
    /// The section that all units are of, where that is known before they are read; it is reported also without any unit. The
    /// end of the whole cycle is then reported by the caller that runs the sections.
    pub section: Option<Section>,
    /// The tenant whose section it is, by its name in the configuration.
    pub tenant: Option<String>,
    /// Events and log lines are written only where something came, or went wrong.
    pub only_news: bool,
    /// Asks the import to end at its next commit.
    pub stop: Stop,
    /// Bounds on what is read.
    pub limits: FileLimits,
    /// How long refused records are kept.
    pub retention: Retention,
    /// Bytes that rows may take on their way.
    pub memory: usize,
    /// Where temporary files go; the system's folder for them when not set.
    pub spill_dir: Option<PathBuf>,
    /// Threads that read.
    pub threads: usize,
    /// After so long without anything new what came is committed: it may be minutes until a service takes the next request.
    pub idle: Duration,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            import_id: None,
            filter: Filter::default(),
            given: ImportOverrides::default(),
            dry_run: false,
            again: false,
            retry: BTreeSet::new(),
            section: None,
            tenant: None,
            only_news: false,
            stop: Stop::default(),
            limits: FileLimits::default(),
            retention: Retention::default(),
            memory: 2 << 30,
            spill_dir: None,
            threads: 2,
            idle: Duration::from_secs(10),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Receives the progress of an import.
pub trait Progress: Send + Sync {
    /// The bytes that all units have together, as far as it is known beforehand.
    fn total(&self, _units: u64, _bytes: u64) {}
    /// So many units were listed so far.
    fn listed(&self, _units: u64) {}
    /// A unit is begun.
    fn unit_started(&self, _name: &str) {}
    /// A pipe has given nothing for a while; it is still waited for.
    fn waiting(&self, _name: &str) {}
    /// Bytes of the sources were read, as they are on disk.
    fn advanced(&self, _bytes: u64) {}
    /// A unit was read to its end.
    fn unit_finished(&self, _report: &UnitReport) {}
}

/// Progress that is dropped.
impl Progress for () {}

/// How a unit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnitState {
    /// All its records are in the lake.
    Done,
    /// An earlier import finished it, and it has not changed since.
    Unchanged,
    /// An earlier import set some of its records aside, and it has not changed since.
    Known,
    /// There is nothing in it.
    Empty,
    /// Its records were read, but only some were taken because of a filter.
    Filtered,
    /// Some of its records could not be read.
    Incomplete,
    /// It is of no known shape.
    Unknown,
    /// It could not be opened.
    Failed,
    /// Its source has it no longer.
    Expired,
}

impl UnitState {
    /// All states.
    pub(crate) const ALL: [UnitState; 9] = [
        UnitState::Done,
        UnitState::Unchanged,
        UnitState::Known,
        UnitState::Empty,
        UnitState::Filtered,
        UnitState::Incomplete,
        UnitState::Unknown,
        UnitState::Failed,
        UnitState::Expired,
    ];

    /// The word that the ledger has for it.
    pub fn name(self) -> &'static str {
        match self {
            UnitState::Done => "done",
            UnitState::Unchanged => "unchanged",
            UnitState::Known => "known",
            UnitState::Empty => "empty",
            UnitState::Filtered => "filtered",
            UnitState::Incomplete => "incomplete",
            UnitState::Unknown => "unknown",
            UnitState::Failed => "failed",
            UnitState::Expired => "expired",
        }
    }

    /// True when something is missing, and not known from an earlier import without reading the unit.
    pub(crate) fn is_new_failure(self) -> bool {
        !self.is_complete() && self != UnitState::Known
    }

    /// True when nothing of the unit is missing from the lake that was asked for.
    pub fn is_complete(self) -> bool {
        matches!(self, UnitState::Done | UnitState::Unchanged | UnitState::Empty | UnitState::Filtered)
    }
}

/// How far a unit was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadExtent {
    /// To its end.
    Whole,
    /// To where it breaks off: records may be missing without a trace.
    Cut,
}

/// A record that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRefusal {
    /// Where it is, such as `line 12, byte 3456`.
    pub place: String,
    /// Why it could not be read.
    pub reason: String,
}

/// What came of one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitReport {
    /// Its name: a path, with `!` before the name of an archive's entry.
    pub name: String,
    /// The section that its records belong to (the greater part, when there are several).
    pub section: Option<Section>,
    /// How it ended.
    pub state: UnitState,
    /// Why it did not end well.
    pub reason: Option<String>,
    /// How far it was read.
    pub extent: ReadExtent,
    /// Records and rows.
    pub counts: Counts,
    /// The first refused records.
    pub refusals: Vec<RecordRefusal>,
    /// Bytes on disk.
    pub bytes: u64,
    /// SHA-256 of the content as it is at the source, in hexadecimal; `None` when it was not read to its end.
    pub content_hash: Option<String>,
    /// Where those of its refused records were set aside that no earlier import did.
    pub quarantine: Option<PathBuf>,
    /// Refused records that an earlier import told of: they are in quarantine since then.
    pub known: u64,
    /// Refused records that are in no quarantine, but only counted, being too many.
    pub not_kept: u64,
    /// What shows that it has not changed without reading it.
    pub stamp: Option<String>,
    /// The status that a service answered with.
    pub status: Option<u16>,
    /// True when not all rows that were read of it are in the lake: it is read again.
    pub held: bool,
    /// Rows that were left out, since their records were in the lake already or came in greater rows; `None` when it was not read.
    pub duplicates: Option<u64>,
    /// Rows that took the place of lesser ones; `None` when it was not read.
    pub replaced: Option<u64>,
    /// When reading began and ended, in microseconds since 1970.
    pub started: i64,
    /// See `started`.
    pub finished: i64,
}

impl UnitReport {
    /// Has a unit of no known kind be read again.
    pub(crate) fn fail_unknown(&mut self) {
        if self.state == UnitState::Unknown {
            (self.state, self.held) = (UnitState::Failed, true);
        }
    }

    /// True when something of it is missing that no earlier import reported.
    pub fn is_new_failure(&self) -> bool {
        let was_read = matches!(self.state, UnitState::Incomplete | UnitState::Unknown) && !self.held;
        let is_known = was_read && self.counts.refused > 0 && self.known >= self.counts.refused;
        self.state.is_new_failure() && !is_known
    }

    /// True when something of it is missing, all of which an earlier import reported.
    pub fn is_known_failure(&self) -> bool {
        !self.state.is_complete() && !self.is_new_failure()
    }
}

/// What came of one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionReport {
    /// The section.
    pub section: Section,
    /// Units that belong to it.
    pub units: u64,
    /// Those among them that had not changed.
    pub unchanged: u64,
    /// Those with refused records all of which an earlier import set aside.
    pub known: u64,
    /// Records that were found.
    pub records: u64,
    /// Rows that were not in the lake before.
    pub new: u64,
    /// Rows that were there already.
    pub duplicates: u64,
    /// Rows that took the place of older ones.
    pub replaced: u64,
    /// Records that could not be read.
    pub refused: u64,
    /// Rows of sites that are not wanted.
    pub out_of_scope: u64,
    /// Units that could not be had, or not be read to their ends.
    pub failed: u64,
    /// Units that their source has no longer.
    pub expired: u64,
    /// True when all its units were read to their ends, or are gone for good.
    pub finished: bool,
    /// Time taken, in microseconds.
    pub micros: i64,
}

/// Something in a named folder that was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Where it is.
    pub path: PathBuf,
    /// Why it was not read, as a sentence's rest.
    pub reason: &'static str,
    /// False for what is not expected to be read, such as hidden files and notes.
    pub told: bool,
}

/// What came of an import.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportSummary {
    /// The run's name.
    pub import_id: String,
    /// Every unit, in the order in which they were read.
    pub units: Vec<UnitReport>,
    /// Every section that had a unit.
    pub sections: Vec<SectionReport>,
    /// What was committed, by table. Our own events and the ledger are not counted.
    pub tables: BTreeMap<&'static str, Landed>,
    /// Tables that did not take all rows because something is wrong with their files.
    pub shortfalls: Vec<Shortfall>,
    /// What is in the named folders and was not read.
    pub passed_over: Vec<PassedOver>,
    /// Files of the quarantine that were removed, since they were older or more than it keeps.
    pub outdated: u64,
    /// Bytes on disk that were read.
    pub bytes: u64,
    /// True when it ended early because it was asked to.
    pub stopped: bool,
    /// Time taken, in microseconds.
    pub micros: i64,
}

impl ImportSummary {
    /// True when nothing came that was not there, and nothing went wrong that no earlier import told of.
    pub fn is_quiet(&self) -> bool {
        let came: u64 = self.tables.values().map(|table| table.new + table.replaced).sum();
        came == 0 && !self.stopped && self.has_no_new_failure()
    }

    /// True when every record of every unit is in the lake.
    pub fn is_complete(&self) -> bool {
        self.shortfalls.is_empty() && self.units.iter().all(|u| u.state.is_complete())
    }

    /// True when nothing went wrong that no earlier import reported.
    pub fn has_no_new_failure(&self) -> bool {
        self.shortfalls.is_empty() && !self.units.iter().any(UnitReport::is_new_failure)
    }

    /// Rows that were there already.
    pub fn duplicates(&self) -> u64 {
        self.tables.values().map(|t| t.duplicates).sum()
    }

    /// Records that could not be read.
    pub fn refused(&self) -> u64 {
        self.units.iter().map(|u| u.counts.refused).sum()
    }
}

/// Imports files and folders into a lake.
///
/// # Errors
/// A named path does not exist or cannot be read, or the lake cannot be read or written. A file that cannot be read
/// is no error of the import but a state of its unit.
pub async fn import_paths(
    lake: &Lake,
    paths: &[PathBuf],
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<ImportSummary, ImportError> {
    let mut found = sources::find(lake.root(), paths, options.clock.now_micros())?;
    progress.total(found.files.len() as u64, found.bytes);
    let passed_over = std::mem::take(&mut found.passed_over);
    let files: Arc<dyn Source> = Arc::new(sources::Files::new(found));
    let summary = runner::run(lake, &[files], options, progress).await?;
    if !options.dry_run
        && let Err(error) = quarantine::seen::drop_read(lake, &summary).await
    {
        tracing::warn!(%error, "what was set aside of files that are read now could not be removed");
    }
    Ok(ImportSummary { passed_over, ..summary })
}

/// Imports what sources list, each from the cursor that it had reached. Units that the ledger knows are not opened.
///
/// # Errors
/// The lake cannot be read or written. What a source cannot list or open is no error of the import but a state of a unit.
pub async fn import_from(
    lake: &Lake,
    sources: &[Arc<dyn Source>],
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<ImportSummary, ImportError> {
    runner::run(lake, sources, options, progress).await
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
