//! The landing side of an import: finds the files, starts the reader, lands what it sends, and writes the ledger and the
//! import's own events.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use serde_json::json;
use tokio::sync::mpsc;

use super::ledger::{self, KnownUnits};
use super::quarantine;
use super::reader::{Message, Reading, read_all, report};
use super::row::Row;
use super::shortfall::Shortfall;
use super::twins::Twins;
use super::{
    Extent, ImportError, ImportOptions, ImportSummary, Importer, Progress, Section, SectionReport, UnitReport, UnitState,
    shortfall, sources,
};
use crate::events::{EventLog, Severity};
use kqlake_lake::tables::{TableDef, find};
use kqlake_lake::{Lake, LakeError, Landed, Landing, Position, RowBuilder};

/// Messages that wait for the landing side; with the batches' size they bound what is in flight.
const QUEUE: usize = 4;
/// Rows of a table after which it is committed, be it inside a unit: what a landing remembers of its rows grows with them.
const COMMIT_ROWS: u64 = 400_000;
/// Bytes that all open landings together may have buffered.
const BUFFERED: usize = 128 << 20;
/// Tables that are open at once.
const OPEN_TABLES: usize = 128;
/// How long a pipe may give nothing until it is told that it is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Units that did not end well whose log lines are written.
const LOGGED_UNITS: usize = 1_000;

/// Runs an import of files.
pub(crate) async fn run(
    lake: &Lake,
    paths: &[PathBuf],
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<ImportSummary, ImportError> {
    let started = options.clock.now_micros();
    lake.check().await?;
    let found = sources::find(lake.root(), paths)?;
    let import_id = options.import_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let mut summary = ImportSummary { import_id: import_id.clone(), passed_over: found.passed_over, ..ImportSummary::default() };
    progress.total(found.files.len() as u64, found.bytes);
    for (path, error) in &found.closed {
        let mut report = report(&path.display().to_string(), UnitState::Failed, started);
        report.reason = Some(format!("the folder cannot be read: {error}"));
        summary.units.push(report);
    }

    let mut failed = BTreeMap::new();
    let mut known = match ledger::read(lake).await {
        Ok(known) => known,
        // Without the ledger every unit is read, and what is there already lands no second time.
        Err(ImportError::Lake(error)) if error.is_of_one_table() => {
            failed.insert(ledger::TABLE, error);
            KnownUnits::default()
        }
        Err(error) => return Err(error),
    };
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

    let mut landings = Landings::new(lake, &import_id, failed);
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
    shortfall::note(&mut summary, &landings.failed);
    summary.micros = options.clock.now_micros() - started;
    summary.sections = sections(&summary);
    if !options.dry_run {
        write_own(lake, &mut summary, &known, options.clock.now_micros()).await?;
    }
    Ok(summary)
}

async fn receive(
    receiver: &mut mpsc::Receiver<Message>,
    landings: &mut Landings<'_>,
    summary: &mut ImportSummary,
    progress: &dyn Progress,
) -> Result<(), ImportError> {
    // The pipe that is read, until it is told that it is waited for.
    let mut pipe: Option<String> = None;
    loop {
        let received = match &pipe {
            None => receiver.recv().await,
            Some(name) => match tokio::time::timeout(PATIENCE, receiver.recv()).await {
                Ok(received) => received,
                Err(_) => {
                    progress.waiting(name);
                    pipe = None;
                    continue;
                }
            },
        };
        let Some(message) = received else { return Ok(()) };
        match message {
            Message::Opening(name) => pipe = Some(name),
            Message::Started(name) => progress.unit_started(&name),
            Message::Advanced(bytes) => {
                summary.bytes += bytes;
                progress.advanced(bytes);
            }
            Message::Rows(table, batch) => landings.write(table, batch).await?,
            Message::Finished(report) => {
                pipe = None;
                progress.unit_finished(&report);
                summary.units.push(*report);
                landings.units += 1;
            }
            Message::Broken(error) => return Err(error),
        }
    }
}

/// The open landings of a run, one a table.
struct Landings<'l> {
    lake: &'l Lake,
    import_id: &'l str,
    open: HashMap<&'static str, Open>,
    landed: BTreeMap<&'static str, Landed>,
    /// Tables that take no rows, and why not.
    failed: BTreeMap<&'static str, LakeError>,
    units: u64,
}

struct Open {
    landing: Landing,
    twins: Option<Twins>,
    /// Rows that were left out because a row of the same content is there under another id.
    left_out: u64,
    rows: u64,
}

impl<'l> Landings<'l> {
    fn new(lake: &'l Lake, import_id: &'l str, failed: BTreeMap<&'static str, LakeError>) -> Self {
        Landings { lake, import_id, open: HashMap::new(), landed: BTreeMap::new(), failed, units: 0 }
    }

    async fn write(&mut self, table: &'static TableDef, batch: RecordBatch) -> Result<(), ImportError> {
        if self.failed.contains_key(table.name) {
            return Ok(());
        }
        let written = self.write_open(table, batch).await;
        self.go_on_without(table.name, written).await
    }

    /// Gives a table up whose files are not as they should be; the others go on.
    async fn go_on_without(&mut self, table: &'static str, done: Result<(), ImportError>) -> Result<(), ImportError> {
        match done {
            Err(ImportError::Lake(error)) if error.is_of_one_table() => {
                if let Some(open) = self.open.remove(table) {
                    open.landing.abort().await;
                }
                self.failed.insert(table, error);
                Ok(())
            }
            done => done,
        }
    }

    async fn write_open(&mut self, table: &'static TableDef, batch: RecordBatch) -> Result<(), ImportError> {
        if !self.open.contains_key(table.name) {
            if self.open.len() >= OPEN_TABLES {
                self.commit_all().await?;
            }
            let landing = self.lake.land(table).await?;
            self.open.insert(table.name, Open { landing, twins: Twins::new(table), left_out: 0, rows: 0 });
        }
        let Some(open) = self.open.get_mut(table.name) else { return Ok(()) };
        let batch = match &mut open.twins {
            Some(twins) => {
                let mut batch = open.landing.admit(batch).await?;
                loop {
                    match twins.leave_out(self.lake, batch.clone()).await {
                        Ok(kept) => {
                            open.left_out += (batch.num_rows() - kept.num_rows()) as u64;
                            break kept;
                        }
                        // Closes a day each time, so it ends.
                        Err(ImportError::Lake(error)) => open.landing.hold_back(error)?,
                        Err(error) => return Err(error),
                    }
                    batch = open.landing.admit(batch).await?;
                }
            }
            None => batch,
        };
        open.rows += batch.num_rows() as u64;
        open.landing.write(batch).await?;
        if open.rows >= COMMIT_ROWS {
            self.commit(table.name).await?;
        }
        while self.open.values().map(|open| open.landing.buffered_bytes()).sum::<usize>() > BUFFERED {
            let largest = self.open.iter().max_by_key(|(_, open)| open.landing.buffered_bytes()).map(|(name, _)| *name);
            match largest {
                Some(name) => self.commit(name).await?,
                None => break,
            }
        }
        Ok(())
    }

    async fn commit(&mut self, table: &'static str) -> Result<(), ImportError> {
        let committed = self.commit_open(table).await;
        self.go_on_without(table, committed).await
    }

    async fn commit_open(&mut self, table: &'static str) -> Result<(), ImportError> {
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
    sum.held.extend(landed.held);
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
                add(&mut landed, table.clone());
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
                finished: mine
                    .iter()
                    .all(|u| u.state.is_complete() || (u.state == UnitState::Incomplete && u.extent == Extent::Whole)),
                micros: mine.iter().map(|u| u.finished - u.started).sum(),
            })
        })
        .collect()
}

fn belongs(unit: &UnitReport, section: Section) -> bool {
    unit.section == Some(section) || unit.counts.rows.keys().any(|table| Section::of_table(table) == section)
}

/// Lands the import's own rows: events and log lines, and the ledger, each in one commit. The ledger comes last: it says
/// what is in the lake.
async fn write_own(lake: &Lake, summary: &mut ImportSummary, known: &KnownUnits, now: i64) -> Result<(), ImportError> {
    let log = tell(summary, now);
    for table in ["traces", "customEvents"] {
        let landed = land_rows(lake, table, log.rows_of(table), &summary.import_id).await;
        or_note(summary, table, landed)?;
    }
    let rows = ledger::rows_of(lake, summary, known, now).await;
    let landed = land_rows(lake, ledger::TABLE, rows.iter(), &summary.import_id).await;
    or_note(summary, ledger::TABLE, landed)
}

/// Notes that a table did not take our own rows, unless it is known already that it takes none.
fn or_note(summary: &mut ImportSummary, table: &'static str, done: Result<(), ImportError>) -> Result<(), ImportError> {
    match done {
        Err(ImportError::Lake(error)) if error.is_of_one_table() => {
            if summary.shortfalls.iter().all(|short| short.table != table) {
                summary.shortfalls.push(Shortfall::of_table(table, &error));
            }
            Ok(())
        }
        done => done,
    }
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
