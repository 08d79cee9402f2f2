//! The landing side of an import: finds the files, starts the reader, lands what it sends, and writes the ledger and the
//! import's own events.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use arrow::record_batch::RecordBatch;
use serde_json::json;
use tokio::sync::mpsc;

use super::files::documents::{ENDS_INSIDE, ENDS_OPEN};
use super::ledger::{self, KnownUnits};
use super::quarantine;
use super::reader::{Message, Reading, read_all, report};
use super::row::Row;
use super::twins::Twins;
use super::{ImportError, ImportOptions, ImportSummary, Importer, Progress, Section, SectionReport, UnitReport, UnitState};
use crate::events::{EventLog, Severity};
use crate::lake::tables::{TableDef, find};
use crate::lake::writer::RowBuilder;
use crate::lake::{Lake, Landed, Landing, Position};

/// Messages that wait for the landing side; with the batches' size they bound what is in flight.
const QUEUE: usize = 4;
/// Rows of a table after which it is committed, be it inside a unit: what a landing remembers of its rows grows with them.
const COMMIT_ROWS: u64 = 400_000;
/// Bytes that all open landings together may have buffered.
const BUFFERED: usize = 128 << 20;
/// Bytes that one landing buffers at most before it writes them out.
const BUFFERED_EACH: usize = 64 << 20;
/// Tables that are open at once.
const OPEN_TABLES: usize = 128;
/// Units that did not end well whose log lines are written.
const LOGGED_UNITS: usize = 1_000;

/// Runs an import of files.
pub async fn run(
    lake: &Lake,
    paths: &[PathBuf],
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<ImportSummary, ImportError> {
    let started = options.clock.now_micros();
    lake.check().await?;
    let found = find_files(lake, paths)?;
    let import_id = options.import_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let mut summary = ImportSummary { import_id: import_id.clone(), passed_over: found.passed_over, ..ImportSummary::default() };
    progress.total(found.files.len() as u64, found.bytes);
    for (path, error) in &found.closed {
        let mut report = report(&path.display().to_string(), UnitState::Failed, started);
        report.reason = Some(format!("the folder cannot be read: {error}"));
        summary.units.push(report);
    }

    let mut known = ledger::read(lake).await?;
    if options.again {
        known.forget_states();
    }
    let (sender, mut receiver) = mpsc::channel(QUEUE);
    let reading = Reading {
        files: found.files,
        known: known.clone(),
        filter: options.filter.clone(),
        limits: options.limits,
        import_id: import_id.clone(),
        quarantine: (!options.dry_run).then(|| quarantine::folder_of(lake.root(), &import_id)),
        dry_run: options.dry_run,
        clock: options.clock.clone(),
    };
    let reader = tokio::task::spawn_blocking(move || read_all(reading, sender));

    let mut landings = Landings { lake, import_id: &import_id, open: HashMap::new(), landed: BTreeMap::new(), units: 0 };
    let received = receive(&mut receiver, &mut landings, &mut summary, progress).await;
    // With the receiver gone the reader stops at its next message.
    drop(receiver);
    let joined = reader.await;
    let received = received.and(joined.map_err(|error| ImportError::Reader(error.to_string())));
    if let Err(error) = received {
        landings.abort().await;
        return Err(error);
    }
    landings.commit_all().await?;
    summary.tables = landings.landed;
    summary.micros = options.clock.now_micros() - started;
    summary.sections = sections(&summary);
    if !options.dry_run {
        write_own(lake, &summary, &known, options.clock.now_micros()).await?;
    }
    Ok(summary)
}

async fn receive(
    receiver: &mut mpsc::Receiver<Message>,
    landings: &mut Landings<'_>,
    summary: &mut ImportSummary,
    progress: &dyn Progress,
) -> Result<(), ImportError> {
    while let Some(message) = receiver.recv().await {
        match message {
            Message::Started(name) => progress.unit_started(&name),
            Message::Advanced(bytes) => {
                summary.bytes += bytes;
                progress.advanced(bytes);
            }
            Message::Rows(table, batch) => landings.write(table, batch).await?,
            Message::Finished(report) => {
                progress.unit_finished(&report);
                summary.units.push(*report);
                landings.units += 1;
            }
            Message::Broken(error) => return Err(error),
        }
    }
    Ok(())
}

/// The open landings of a run, one a table.
struct Landings<'l> {
    lake: &'l Lake,
    import_id: &'l str,
    open: HashMap<&'static str, Open>,
    landed: BTreeMap<&'static str, Landed>,
    units: u64,
}

struct Open {
    landing: Landing,
    twins: Option<Twins>,
    /// Rows that were left out because a row of the same content is there under another id.
    left_out: u64,
    rows: u64,
    bytes: usize,
}

impl Open {
    /// About what it has buffered.
    fn buffered(&self) -> usize {
        self.bytes % BUFFERED_EACH
    }
}

impl Landings<'_> {
    async fn write(&mut self, table: &'static TableDef, batch: RecordBatch) -> Result<(), ImportError> {
        if !self.open.contains_key(table.name) {
            if self.open.len() >= OPEN_TABLES {
                self.commit_all().await?;
            }
            let landing = self.lake.land(table).await?;
            self.open.insert(table.name, Open { landing, twins: Twins::new(table), left_out: 0, rows: 0, bytes: 0 });
        }
        let Some(open) = self.open.get_mut(table.name) else { return Ok(()) };
        let batch = match &mut open.twins {
            Some(twins) => {
                let before = batch.num_rows();
                let batch = twins.leave_out(self.lake, batch).await?;
                open.left_out += (before - batch.num_rows()) as u64;
                batch
            }
            None => batch,
        };
        open.rows += batch.num_rows() as u64;
        open.bytes += batch.get_array_memory_size();
        open.landing.write(batch).await?;
        if open.rows >= COMMIT_ROWS {
            self.commit(table.name).await?;
        }
        while self.open.values().map(Open::buffered).sum::<usize>() > BUFFERED {
            let largest = self.open.iter().max_by_key(|(_, open)| open.buffered()).map(|(name, _)| *name);
            match largest {
                Some(name) => self.commit(name).await?,
                None => break,
            }
        }
        Ok(())
    }

    async fn commit(&mut self, table: &'static str) -> Result<(), ImportError> {
        let Some(open) = self.open.remove(table) else { return Ok(()) };
        let position = Position {
            stream: format!("files/{table}"),
            cursor: json!({ "units": self.units }),
            import_id: self.import_id.to_owned(),
        };
        let mut landed = open.landing.commit(position).await?;
        landed.duplicates += open.left_out;
        tracing::debug!(table, new = landed.new, duplicates = landed.duplicates, replaced = landed.replaced, "committed");
        add(self.landed.entry(table).or_default(), landed);
        Ok(())
    }

    async fn commit_all(&mut self) -> Result<(), ImportError> {
        let mut tables: Vec<&'static str> = self.open.keys().copied().collect();
        tables.sort_unstable();
        for (done, table) in tables.iter().enumerate() {
            if let Err(error) = self.commit(table).await {
                for table in &tables[done + 1..] {
                    if let Some(open) = self.open.remove(table) {
                        open.landing.abort().await;
                    }
                }
                return Err(error);
            }
        }
        Ok(())
    }

    async fn abort(&mut self) {
        for (_, open) in self.open.drain() {
            open.landing.abort().await;
        }
    }
}

fn add(sum: &mut Landed, landed: Landed) {
    sum.version = landed.version.or(sum.version);
    sum.new += landed.new;
    sum.duplicates += landed.duplicates;
    sum.replaced += landed.replaced;
}

/// What came of each section that had a unit.
fn sections(summary: &ImportSummary) -> Vec<SectionReport> {
    Section::ALL
        .into_iter()
        .filter_map(|section| {
            let mine: Vec<&UnitReport> = summary.units.iter().filter(|unit| belongs(unit, section)).collect();
            if mine.is_empty() {
                return None;
            }
            let mut landed = Landed::default();
            for (_, table) in summary.tables.iter().filter(|(table, _)| Section::of_table(table) == section) {
                add(&mut landed, *table);
            }
            Some(SectionReport {
                section,
                units: mine.len() as u64,
                unchanged: mine.iter().filter(|u| u.state == UnitState::Unchanged).count() as u64,
                // A unit with records of several sections counts its records for the main one.
                records: mine.iter().filter(|u| u.section == Some(section)).map(|u| u.counts.records).sum(),
                new: landed.new,
                duplicates: landed.duplicates,
                replaced: landed.replaced,
                refused: mine.iter().filter(|u| u.section == Some(section)).map(|u| u.counts.refused).sum(),
                finished: mine.iter().all(|u| u.state.is_complete() || (u.state == UnitState::Incomplete && !was_cut(u))),
                micros: mine.iter().map(|u| u.finished - u.started).sum(),
            })
        })
        .collect()
}

fn belongs(unit: &UnitReport, section: Section) -> bool {
    unit.section == Some(section) || unit.counts.rows.keys().any(|table| Section::of_table(table) == section)
}

/// True when a unit was not read to its end: records may be missing that nobody has seen.
fn was_cut(unit: &UnitReport) -> bool {
    unit.reason
        .as_deref()
        .is_some_and(|reason| reason.starts_with("reading stopped") || reason.contains(ENDS_INSIDE) || reason.contains(ENDS_OPEN))
}

/// Lands the import's own rows: events and log lines, and the ledger, each in one commit. The ledger comes last: it says
/// what is in the lake.
async fn write_own(lake: &Lake, summary: &ImportSummary, known: &KnownUnits, now: i64) -> Result<(), ImportError> {
    let log = tell(summary, now);
    for table in ["traces", "customEvents"] {
        land_rows(lake, table, log.rows_of(table), &summary.import_id).await?;
    }
    let rows: Vec<Row<'static>> = summary.units.iter().filter_map(|unit| ledger::row_of(unit, known, summary)).collect();
    if let Some(table) = ledger::table() {
        land_rows(lake, table.name, rows.iter(), &summary.import_id).await?;
    }
    Ok(())
}

/// The events and log lines of a run.
fn tell(summary: &ImportSummary, now: i64) -> EventLog {
    let mut log = EventLog::new(&summary.import_id);
    let importer_of = |section: Option<Section>| section.map_or(Importer::Office365Activity, Section::importer);
    for unit in summary.units.iter().filter(|u| !u.state.is_complete()).take(LOGGED_UNITS) {
        let severity = if unit.state == UnitState::Incomplete { Severity::Warning } else { Severity::Error };
        let message = format!("{}: {} ({})", unit.name, unit.reason.as_deref().unwrap_or("not read"), unit.state.name());
        log.line(importer_of(unit.section), severity, now, &message);
    }
    for importer in [Importer::AppInsights, Importer::Office365Activity] {
        let mine: Vec<&SectionReport> = summary.sections.iter().filter(|s| s.section.importer() == importer).collect();
        for report in &mine {
            let name = report.section.name();
            let counts = format!(
                "{} records in {} units ({} unchanged): {} rows new, {} there already, {} replaced, {} records set aside",
                report.records, report.units, report.unchanged, report.new, report.duplicates, report.replaced, report.refused
            );
            if report.finished {
                log.line(importer, Severity::Information, now, &format!("{name}: {counts}"));
                log.section_finished(report, now);
            } else {
                log.line(importer, Severity::Warning, now, &format!("{name} did not finish: {counts}"));
            }
        }
        if !mine.is_empty() && mine.iter().all(|s| s.finished) {
            log.cycle_finished(importer, summary.micros, mine.len(), now);
        }
    }
    log
}

async fn land_rows<'r>(
    lake: &Lake,
    table: &str,
    rows: impl Iterator<Item = &'r Row<'static>>,
    import_id: &str,
) -> Result<(), ImportError> {
    let Some(def) = find(table) else { return Ok(()) };
    let mut builder = RowBuilder::new(def);
    for row in rows {
        row.append_to(&mut builder, import_id);
    }
    if builder.rows() == 0 {
        return Ok(());
    }
    let batch = builder
        .finish()
        .map_err(|source| ImportError::Reader(format!("own rows of {table} do not fit their table: {source}")))?;
    let mut landing = lake.land(def).await?;
    landing.write(batch).await?;
    let position = Position { stream: format!("import/{table}"), cursor: json!({}), import_id: import_id.to_owned() };
    landing.commit(position).await?;
    Ok(())
}

/// The files below the named paths.
#[derive(Default)]
struct Found {
    files: Vec<PathBuf>,
    passed_over: Vec<PathBuf>,
    /// Folders inside named ones that cannot be looked into, and why.
    closed: Vec<(PathBuf, std::io::Error)>,
    bytes: u64,
}

/// Finds files in a fixed order: the named paths as they were named, what is in folders by name. A file that is named
/// twice is read once.
fn find_files(lake: &Lake, paths: &[PathBuf]) -> Result<Found, ImportError> {
    let mut found = Found::default();
    let mut seen = HashSet::new();
    for path in paths {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let meta = match fs::metadata(&path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(ImportError::NotFound { path }),
            Err(source) => return Err(ImportError::Unreadable { path, source }),
        };
        if meta.is_dir() {
            if let Err(source) = folder(lake.root(), &path, &mut seen, &mut found) {
                return Err(ImportError::Unreadable { path, source });
            }
        } else if seen.insert(path.clone()) {
            found.bytes += meta.len();
            found.files.push(path);
        }
    }
    Ok(found)
}

fn folder(lake: &Path, path: &Path, seen: &mut HashSet<PathBuf>, found: &mut Found) -> std::io::Result<()> {
    let mut entries = fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type()?;
        // Links to folders could lead round in a circle; links to files are as good as files.
        let is_file = kind.is_file() || (kind.is_symlink() && path.is_file());
        if kind.is_dir() {
            // The lake's own files are no sources.
            if !name.starts_with('.')
                && path != lake
                && let Err(error) = folder(lake, &path, seen, found)
            {
                found.closed.push((path, error));
            }
        } else if is_file {
            if is_no_data(&name) {
                found.passed_over.push(path);
            } else if seen.insert(path.clone()) {
                found.bytes += entry.metadata().map_or(0, |meta| meta.len());
                found.files.push(path);
            }
        }
    }
    Ok(())
}

/// True for files that lie beside data and are none: hidden ones, and notes. A file that is named itself is always read.
fn is_no_data(name: &str) -> bool {
    let lower = name.to_lowercase();
    name.starts_with('.')
        || lower.ends_with(".md")
        || matches!(lower.as_str(), "thumbs.db" | "desktop.ini" | "license" | "readme" | "readme.txt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_order_and_once() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("b/.git")).unwrap();
        fs::create_dir_all(at("b/lake/traces")).unwrap();
        for name in ["b/2.json", "b/10.json", "b/README.md", "b/.hidden", "b/.git/x", "b/lake/traces/x", "a.csv"] {
            fs::write(at(name), "x").unwrap();
        }
        let lake = Lake::new(&at("b/lake"));
        let found = find_files(&lake, &[at("b"), at("a.csv"), at("b/2.json")]).unwrap();
        assert_eq!(found.files, [at("b/10.json"), at("b/2.json"), at("a.csv")]);
        assert_eq!(found.passed_over.len(), 2);
        assert!(matches!(find_files(&lake, &[at("none")]), Err(ImportError::NotFound { .. })));
    }
}
