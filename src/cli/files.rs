//! Files into the lake, and what is reported of units that were imported.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::progress::ByteProgress;
use super::{Context, report};
use crate::allocator::KeptMemory;
use crate::error::{Error, Result};
use kqlake_durable::obstacle;
use kqlake_import::{
    ALTERED, ImportError, ImportOptions, ImportOverrides, ImportSummary, Retention, SectionReport, Shortfall, UnitReport,
    UnitState, import_paths,
};

/// The least memory limit with which an import keeps memory that it does not use at the moment.
const LEAST_KEPT: usize = 512 << 20;

/// What the configuration says of imports.
pub(super) fn settings(context: &Context) -> ImportOptions {
    let config = &context.config;
    let age = config.quarantine_keep.map_or(i64::MAX, |keep| i64::try_from(keep.as_micros()).unwrap_or(i64::MAX));
    let threads = config.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from));
    ImportOptions {
        given: ImportOverrides { date_order: config.date_order, snapshot_date: None },
        retention: Retention { age, bytes: config.quarantine_size as u64 },
        memory: config.memory_limit,
        spill_dir: config.spill_dir.clone(),
        threads,
        clock: Arc::clone(&context.clock),
        stop: context.stop.clone(),
        ..ImportOptions::default()
    }
}

/// Keeps memory while files are imported, but where memory goes back at once for the sake of sections, or little may be used.
fn kept_memory(context: &Context) -> Option<KeptMemory> {
    let config = &context.config;
    (config.tenants.is_empty() && config.memory_limit >= LEAST_KEPT).then(KeptMemory::begin)
}

/// Imports paths with progress, and tells what came of them: one line a section, one for each file with something wrong.
///
/// # Errors
/// When a path does not exist or the lake cannot be written.
pub(super) async fn land(paths: &[PathBuf], options: &ImportOptions, context: &Context) -> Result<ImportSummary> {
    let lake = context.lake();
    lake.check().await?;
    let _kept = kept_memory(context);
    let progress = ByteProgress::new(context);
    let summary = import_paths(&lake, paths, options, &progress).await.map_err(failed)?;
    drop(progress);
    tell(&summary, options, context);
    Ok(summary)
}

/// The same for the paths that the configuration names: one that cannot be a source does not keep the others. Gives what failed.
///
/// # Errors
/// When the lake cannot be written.
pub(super) async fn land_configured(paths: &[PathBuf], options: &ImportOptions, context: &Context) -> Result<Vec<Error>> {
    let lake = context.lake();
    lake.check().await?;
    let _kept = kept_memory(context);
    let (mut paths, mut failures) = (paths.to_vec(), Vec::new());
    while !paths.is_empty() {
        let progress = ByteProgress::new(context);
        let imported = import_paths(&lake, &paths, options, &progress).await;
        drop(progress);
        match imported {
            Ok(summary) => {
                tell(&summary, options, context);
                failures.extend(outcome(&summary).err());
                break;
            }
            // Paths are looked at before anything of them is read.
            Err(err) => {
                let before = paths.len();
                let is_other = |other: &Path, path: &Path| std::path::absolute(other).map_or(true, |other| other != path);
                let place = place(&err).map(Path::to_owned);
                paths.retain(|other| place.as_deref().is_none_or(|path| is_other(other, path)));
                if paths.len() == before {
                    return Err(failed(err));
                }
                failures.push(Error::usage(format!("`from` in {}: {err}", context.config.file_shown())));
            }
        }
    }
    Ok(failures)
}

/// The path that cannot be a source.
fn place(err: &ImportError) -> Option<&Path> {
    match err {
        ImportError::NotFound { path } | ImportError::Unsuitable { path, .. } | ImportError::Unreadable { path, .. } => {
            Some(path)
        }
        _ => None,
    }
}

/// Tells what came of an import of files.
fn tell(summary: &ImportSummary, options: &ImportOptions, context: &Context) {
    for unit in &summary.units {
        tell_unit(unit, summary, context);
    }
    tell_shortfalls(summary);
    for passed in &summary.skipped {
        let line = format!("{} was skipped: {}", passed.path.display(), passed.reason);
        if passed.reported { context.say(line) } else { tracing::info!("{line}") }
    }
    for section in &summary.sections {
        context.tell(section_line(section, options.dry_run));
    }
    let known = summary.units.iter().filter(|unit| unit.is_known_failure()).count();
    if known > 0 {
        let of = report::files(known as u64);
        let where_to = "kqlake quarantine, kqlake ledger --failed";
        context.say(format_args!("{of} with refused records as an earlier import left them ({where_to})"));
    }
    if summary.outdated > 0 {
        let of = report::files(summary.outdated);
        context.say(format_args!("{of} of refused records removed, being older or more than the quarantine keeps"));
    }
    if summary.units.is_empty() {
        context.say("nothing to import: the folders hold no files that are read");
    }
}

/// Tells what went wrong with units of a section; of very many the first.
pub(super) fn tell_units(summary: &ImportSummary, context: &Context) {
    let bad = |unit: &&UnitReport| unit.is_new_failure();
    for unit in summary.units.iter().filter(bad).take(SHOWN_UNITS) {
        tell_unit(unit, summary, context);
    }
    let more = summary.units.iter().filter(bad).count().saturating_sub(SHOWN_UNITS);
    if more > 0 {
        report::line(format_args!("warning: and {more} more units (kqlake ledger --failed)"));
    }
    tell_shortfalls(summary);
}

/// Units of a section that are reported one by one.
const SHOWN_UNITS: usize = 10;

fn tell_shortfalls(summary: &ImportSummary) {
    for short in &summary.shortfalls {
        let waiting = summary.units.iter().filter(|unit| waits_for(unit, short)).count();
        let files = if waiting == 0 { String::new() } else { format!(" ({} to be read again)", report::files(waiting as u64)) };
        report::line(format_args!("warning: {}{files}", short.message()));
    }
}

/// The exit status's truth about an import.
///
/// # Errors
/// [`Error::Incomplete`] when a file or record could not be read; [`Error::Storage`] when a table did not take its rows.
pub(super) fn outcome(summary: &ImportSummary) -> Result<()> {
    if summary.stopped {
        return Err(Error::Incomplete("the import was asked to end; what was committed stays, and it goes on from there".into()));
    }
    if summary.has_no_new_failure() {
        return Ok(());
    }
    if let Some(short) = summary.shortfalls.first() {
        let tables = summary.shortfalls.iter().map(|short| short.table).collect::<Vec<_>>().join(", ");
        let message = format!("not every row of {tables} is in the lake: {}; everything else is", short.reason);
        return Err(Error::Storage { message, hint: short.advice.clone(), source: None });
    }
    let files = summary.units.iter().filter(|u| u.is_new_failure()).count();
    Err(Error::Incomplete(format!(
        "{} of {} files could not be read completely; everything else is in the lake",
        files,
        summary.units.len()
    )))
}

pub(super) fn failed(err: ImportError) -> Error {
    match err {
        ImportError::NotFound { path } => {
            Error::usage(format!("{} does not exist", path.display())).hint("--from takes files and folders; check the spelling")
        }
        ImportError::Unsuitable { .. } => Error::usage(err.to_string())
            .hint("--from takes files, folders and pipes outside of the lake (`-` is standard input)"),
        ImportError::Unreadable { .. } => Error::Source(err.to_string()),
        ImportError::Lake(err) => err.into(),
        ImportError::Quarantine { path, source } => match path.parent().and_then(obstacle) {
            Some(found) => Error::storage(
                format!("cannot quarantine refused records in {}", path.display()),
                format!("{} is not a folder", found.display()),
            )
            .hint(format!("a folder belongs there: move {} away", found.display())),
            None => Error::io("quarantine refused records in", &path, source),
        },
        ImportError::Scratch { .. } | ImportError::Reader(_) => crate::live::cycle::failed(err),
    }
}

/// True for a unit with rows that a table did not take.
fn waits_for(unit: &UnitReport, short: &Shortfall) -> bool {
    unit.held && unit.counts.rows.contains_key(short.table)
}

fn tell_unit(unit: &UnitReport, summary: &ImportSummary, context: &Context) {
    // What a table did not take is said once for all units.
    if unit.counts.refused == 0 && summary.shortfalls.iter().any(|short| waits_for(unit, short)) {
        return;
    }
    if unit.is_known_failure() {
        return;
    }
    match unit.state {
        UnitState::Done | UnitState::Unchanged | UnitState::Known | UnitState::Filtered => return,
        UnitState::Empty => {
            context.say(format_args!("warning: {}: {}", unit.name, unit.reason.as_deref().unwrap_or("it is empty")));
            return;
        }
        UnitState::Incomplete | UnitState::Unknown | UnitState::Failed | UnitState::Expired => {}
    }
    // What is missing from the lake is said even with -q.
    report::line(format_args!("warning: {}: {}", unit.name, unit.reason.as_deref().unwrap_or(unit.state.name())));
    for refusal in unit.refusals.iter().take(SHOWN_REFUSALS) {
        report::line(format_args!("  {}: {}", refusal.place, refusal.reason));
    }
    if unit.state == UnitState::Incomplete
        && let Some(landed) = landed_before_the_end(unit)
    {
        report::line(landed);
    }
    // A single refusal is the unit's reason itself.
    let said = SHOWN_REFUSALS.min(unit.refusals.len()).max(1) as u64;
    let new = unit.counts.refused.saturating_sub(unit.known);
    let more = new.saturating_sub(said);
    let aside = unit.quarantine.as_deref().map(|path| match (relative(path).display(), unit.not_kept) {
        (path, 0) => format!("quarantined in {path}"),
        (path, more) => {
            let kept = new.saturating_sub(more);
            let of = if unit.known > 0 { "of the new ones" } else { "of all" };
            format!("{of}, {kept} are quarantined in {path}, and {more} are only counted: their texts are not kept")
        }
    });
    match (more, aside) {
        (0, None) => {}
        (0, Some(aside)) => report::line(format_args!("  {aside}")),
        (more, aside) => report::line(format_args!("  and {more} more{}", aside.map(|a| format!(", {a}")).unwrap_or_default())),
    }
    if unit.known > 0 {
        report::line(format_args!("  {} more were refused by an earlier import, and are in quarantine since then", unit.known));
    }
}

/// What is in the lake of a unit that could not be read to its end.
fn landed_before_the_end(unit: &UnitReport) -> Option<String> {
    let why = unit.reason.as_deref().filter(|why| why.starts_with("reading stopped"))?;
    let rows: u64 = unit.counts.rows.values().sum();
    let doubt = if why.contains(ALTERED) { ", and any of them may be altered: nobody knows which" } else { "" };
    (rows > 0).then(|| format!("  what was read before that is in the lake ({rows} rows){doubt}"))
}

/// Refused records of a file that are shown.
const SHOWN_REFUSALS: usize = 3;

/// A path below the working folder without it.
fn relative(path: &Path) -> &Path {
    std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path)
}

fn section_line(section: &SectionReport, dry_run: bool) -> String {
    // Which of them the lake has already is known only when they land.
    let recognised = section.records.saturating_sub(section.refused);
    let mut parts = vec![if dry_run { format!("{recognised} recognised") } else { format!("{} new", section.new) }];
    if section.replaced > 0 {
        parts.push(format!("{} replaced", section.replaced));
    }
    if section.duplicates > 0 {
        parts.push(format!("{} there already", section.duplicates));
    }
    if section.refused > 0 {
        parts.push(format!("{} refused", section.refused));
    }
    if section.unchanged > 0 {
        parts.push(format!("{} unchanged since", report::files(section.unchanged)));
    }
    if section.known > 0 {
        parts.push(format!("{} known to have refused records", report::files(section.known)));
    }
    let state = if section.finished { "" } else { "  NOT FINISHED" };
    #[expect(clippy::cast_precision_loss, reason = "a duration for people")]
    let seconds = section.micros as f64 / 1e6;
    format!(
        "{:<24} {:>9}  {:>10} records: {}  ({seconds:.1} s){state}",
        section.section.name(),
        report::files(section.units),
        section.records,
        parts.join(", ")
    )
}
