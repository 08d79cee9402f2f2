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
mod content_hash;
mod convert;
mod dispatch;
mod error;
mod events;
mod exported;
mod fields;
mod files;
mod graph;
mod groups;
mod json_text;
mod landable;
mod landings;
mod ledger;
mod message_trace;
mod names;
mod options;
mod ordinals;
mod own_rows;
mod positions;
mod preview;
mod quarantine;
mod reader;
mod report;
mod row;
mod runner;
mod section;
mod shape;
mod shortfall;
mod source;
mod sources;
mod stamp;
mod stop;
mod summary;
mod unit;
mod units;
mod upkeep;
mod zones;

use std::path::PathBuf;
use std::sync::Arc;

pub use self::audit::scope::OrgUrls;
pub use self::error::ImportError;
pub use self::events::{EventLevel, EventLog, Health, HealthStatus, WEBHOOK};
pub use self::files::compressed::ALTERED;
pub use self::files::input::FileLimits;
pub use self::ledger::{LedgerState, NO_SECTION, UnknownState};
pub use self::names::{listed_names, unit_name, unit_path};
pub use self::options::ImportOptions;
pub use self::preview::{Preview, preview};
pub use self::quarantine::seen::seen_again;
pub use self::quarantine::store::{
    QuarantineFile, RefusedRecord, Retention, drop_files, list as quarantined, records as refused_records,
};
pub use self::report::{Progress, ReadExtent, RecordRefusal, SectionReport, UnitReport, UnitState};
pub(crate) use self::row::{Cell, Row};
pub use self::section::{Importer, Section};
pub use self::shortfall::Shortfall;
pub use self::source::{Body, Feed, ListedUnit, Opened, Reply, Source, SourceError, UnitPage};
pub use self::stop::StopSignal;
pub use self::summary::{ImportSummary, SkippedPath};
pub use self::unit::{Counts, Filter, ImportOverrides};
use kqlake_lake::Lake;
pub use kqlake_value::parse::datetimes::DateOrder;

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
    let skipped = std::mem::take(&mut found.skipped);
    let files: Arc<dyn Source> = Arc::new(sources::Files::new(found));
    let summary = runner::run(lake, &[files], options, progress).await?;
    if !options.dry_run
        && let Err(error) = quarantine::seen::drop_read(lake, &summary).await
    {
        tracing::warn!(%error, "what was quarantined of files that are read now could not be removed");
    }
    Ok(ImportSummary { skipped, ..summary })
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
    let summary = runner::run(lake, sources, options, progress).await?;
    if !options.dry_run
        && let Err(error) = quarantine::seen::drop_torn(lake, &summary).await
    {
        tracing::warn!(%error, "what was quarantined of damaged units that are read now could not be removed");
    }
    Ok(summary)
}
