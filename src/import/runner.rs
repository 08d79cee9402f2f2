//! The landing side of an import: takes what comes of the sources, lands it, and writes the ledger behind each checkpoint and the
//! import's own events at the end.

mod begin;
mod ledger_rows;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use self::begin::begin;
use super::batches::Message;
use super::budget::Budget;
use super::dispatch::{Coming, ComingUnit, Dispatch};
use super::events::EventLog;
use super::groups::{Group, Pending, units_of};
use super::landings::{Commit, Landings};
use super::ledger::{self, Entry, KnownUnits};
use super::positions::Reached;
use super::reader::report;
use super::shortfall::{self, Shortfall};
use super::source::{ListedUnit, Source};
use super::upkeep::keep_up;
use super::{ImportError, ImportOptions, ImportSummary, Progress, UnitReport, UnitState, summary};
use kqlake_lake::{Lake, Origin};

/// How long a pipe may give nothing until a message says that it is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs an import.
pub(crate) async fn run(
    lake: &Lake,
    sources: &[Arc<dyn Source>],
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<ImportSummary, ImportError> {
    let started = options.clock.now_micros();
    lake.check().await?;
    lake.leave_checkpoints_to_upkeep();
    let import_id = options.import_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let mut summary = ImportSummary { import_id: import_id.clone(), ..ImportSummary::default() };
    let mut failed = BTreeMap::new();
    let mut known = match ledger::read(lake, options.section).await {
        Ok(known) => known,
        // Without the ledger every unit is read, and what is there already lands no second time.
        Err(ImportError::Lake(error)) if error.is_of_one_table() => {
            failed.insert(ledger::TABLE, error);
            KnownUnits::default()
        }
        Err(error) => return Err(error),
    };
    if options.again {
        known.forget(None);
    } else {
        known.forget(Some(&options.retry));
    }
    known.forget_scope(&options.filter.org_urls.digest());
    known.forget_date_order(options.given.date_order);
    let known = Arc::new(known);
    let begun = begin(lake, sources, options, &import_id, &known, started).await?;
    summary.outdated = begun.outdated;
    let mut run = Run {
        lake,
        sources,
        options,
        landings: Landings::new(lake, &import_id, options.memory, options.threads, failed),
        known,
        summary,
        pending: Vec::new(),
        current: None,
        under_way: None,
        groups: 0,
        origins: 0,
        reached: sources.iter().map(|_| Reached::default()).collect(),
        times: sources.iter().map(|source| source.tiles().then(Vec::new)).collect(),
    };
    let mut dispatch = begun.dispatch;
    let received = run.receive(&mut dispatch, progress).await;
    let received = match received {
        // What is listed or read beyond what came is given up.
        Ok(()) if run.summary.stopped => {
            drop(dispatch);
            Ok(())
        }
        Ok(()) => dispatch.finish().await.map_err(ImportError::Reader),
        Err(error) => {
            drop(dispatch);
            Err(error)
        }
    };
    let landed = match received {
        Ok(()) => run.complete().await,
        Err(error) => Err(error),
    };
    if let Err(error) = landed {
        run.fail(&error).await;
        return Err(error);
    }
    run.finish(started).await
}

/// A checkpoint that is being committed.
struct Checkpoint {
    commit: Commit,
    /// What is in the lake, all of it, when it is done.
    pending: Vec<Pending>,
    /// Rows by table that it has of units, by their numbers.
    sent: Vec<(u64, BTreeMap<&'static str, u64>)>,
}

struct Run<'r> {
    lake: &'r Lake,
    sources: &'r [Arc<dyn Source>],
    options: &'r ImportOptions,
    landings: Landings<'r>,
    known: Arc<KnownUnits>,
    summary: ImportSummary,
    pending: Vec<Pending>,
    /// The unit that is being landed.
    current: Option<Group>,
    /// The checkpoint that is being committed.
    under_way: Option<Checkpoint>,
    /// Listed units that came so far.
    groups: u64,
    /// Units, each entry of an archive counted, that were begun so far: the origin of the newest one's rows.
    origins: Origin,
    /// How far each source has come.
    reached: Vec<Reached>,
    /// The windows that were read, of sources whose windows leave no time out between them.
    times: Vec<Option<Vec<(i64, i64)>>>,
}

impl Run<'_> {
    fn now(&self) -> i64 {
        self.options.clock.now_micros()
    }

    async fn receive(&mut self, dispatch: &mut Dispatch, progress: &dyn Progress) -> Result<(), ImportError> {
        let stop = self.options.stop.clone();
        let mut asked = std::pin::pin!(stop.asked());
        loop {
            let next = tokio::select! {
                biased;
                () = &mut asked => {
                    self.summary.stopped = true;
                    return Ok(());
                }
                next = tokio::time::timeout(self.options.idle, dispatch.coming.recv()) => next,
            };
            let next = match next {
                Ok(Some(next)) => next,
                Ok(None) => return Ok(()),
                Err(_) => {
                    self.commit_meanwhile().await?;
                    continue;
                }
            };
            progress.listed(dispatch.listed.load(Ordering::Relaxed));
            match next {
                Coming::Unit(unit) => {
                    let landed = tokio::select! {
                        biased;
                        () = &mut asked => None,
                        landed = self.unit(*unit, &dispatch.budget, progress) => Some(landed?),
                    };
                    if landed.is_none() {
                        // What came of its rows may land; it is not done, and is read again.
                        self.current = None;
                        self.summary.stopped = true;
                        return Ok(());
                    }
                }
                Coming::Lost(source, unit, reason) => {
                    let mut report = report(&unit.name, UnitState::Expired, self.now());
                    (report.reason, report.section) = (Some(reason), self.options.section);
                    let group = self.group(source, *unit);
                    self.pending.push(Pending::Unit(Group { reports: vec![report], ..group }));
                }
                Coming::Broken(error) => return Err(error),
                Coming::Page(source, cursor, failures) => {
                    if !failures.is_empty() {
                        self.pending.push(Pending::Block(source));
                    }
                    for (name, reason) in failures {
                        self.not_listed(source, name, reason, None);
                    }
                    self.pending.push(Pending::Page(source, cursor));
                }
                Coming::Unlisted(source, error) => {
                    self.pending.push(Pending::Block(source));
                    let name = self.sources[source].stream().to_owned();
                    self.not_listed(source, name, error.reason, error.status);
                }
            }
        }
    }

    fn group(&mut self, source: usize, listed: ListedUnit) -> Group {
        self.groups += 1;
        Group::new(self.groups, source, listed)
    }

    /// Notes something that could not be listed.
    fn not_listed(&mut self, source: usize, name: String, reason: String, status: Option<u16>) {
        let mut report = report(&name, UnitState::Failed, self.now());
        report.reason = Some(reason);
        report.section = self.options.section;
        report.status = status;
        let group = self.group(source, ListedUnit { name, ..ListedUnit::default() });
        self.pending.push(Pending::Unit(Group { reports: vec![report], ..group }));
    }

    async fn unit(&mut self, unit: ComingUnit, budget: &Budget, progress: &dyn Progress) -> Result<(), ImportError> {
        let ComingUnit { source, listed, number, mut messages } = unit;
        budget.begin(number);
        self.current = Some(self.group(source, listed));
        // The pipe that is read, until a message says that it is waited for.
        let mut pipe: Option<String> = None;
        loop {
            let received = match &pipe {
                None => match tokio::time::timeout(self.options.idle, messages.recv()).await {
                    Ok(received) => received,
                    Err(_) => {
                        self.commit_meanwhile().await?;
                        continue;
                    }
                },
                Some(name) => match tokio::time::timeout(PATIENCE, messages.recv()).await {
                    Ok(received) => received,
                    Err(_) => {
                        progress.waiting(name);
                        pipe = None;
                        continue;
                    }
                },
            };
            match received {
                None => return Err(ImportError::Reader("a thread ended before its unit did".to_owned())),
                Some(Message::Opening(name)) => pipe = Some(name),
                Some(Message::Started(name)) => {
                    self.origins += 1;
                    if let Some(group) = &mut self.current {
                        group.origin = Some(self.origins);
                    }
                    progress.unit_started(&name);
                }
                Some(Message::Advanced(bytes)) => {
                    self.summary.bytes += bytes;
                    progress.advanced(bytes);
                }
                Some(Message::Rows(table, batch, bytes)) => {
                    let mut origin = 0;
                    if let Some(group) = &mut self.current {
                        *group.sent.entry(table.name).or_default() += batch.num_rows() as u64;
                        origin = group.origin.unwrap_or_default();
                    }
                    if self.under_way.is_some() && self.landings.is_full_beside() {
                        self.settle(false).await?;
                    }
                    self.landings.write(table, batch, origin).await?;
                    budget.give_back(number, bytes);
                    if self.landings.is_due() {
                        self.settle(false).await?;
                        self.begin_checkpoint();
                    }
                }
                Some(Message::Finished(report)) => {
                    pipe = None;
                    progress.unit_finished(&report);
                    if let Some(group) = &mut self.current {
                        group.take(*report);
                    }
                }
                Some(Message::End) => {
                    self.landings.units += 1;
                    // Of a unit that its source leaves for a later run nothing is reported.
                    let ended = |group: Group| match group.reports.is_empty() {
                        true => Pending::Block(group.source),
                        false => Pending::Unit(group),
                    };
                    self.pending.extend(self.current.take().map(ended));
                    return Ok(());
                }
                Some(Message::Broken(error)) => return Err(error),
            }
        }
    }

    /// Begins to commit all rows that came. Those that come from now on belong to the next checkpoint.
    fn begin_checkpoint(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        let mut sent = Vec::new();
        for group in units_of(&mut pending).chain(self.current.as_mut()) {
            sent.push((group.number, std::mem::take(&mut group.sent)));
        }
        sent.retain(|(_, sent)| !sent.is_empty());
        self.under_way = Some(Checkpoint { commit: self.landings.begin_commit(), pending, sent });
    }

    /// Waits for the checkpoint that is in progress, and writes the ledger behind it: the units that were read to their ends
    /// before it are in the lake now.
    async fn settle(&mut self, last: bool) -> Result<(), ImportError> {
        let mut entries: Vec<(usize, Entry)> = Vec::new();
        if let Some(Checkpoint { commit, mut pending, sent }) = self.under_way.take() {
            let before = self.landings.landed.iter().map(|(table, landed)| (*table, landed.held.len())).collect();
            let committed = self.landings.end_commit(commit).await;
            if committed.is_err() {
                // They come before those that were read meanwhile.
                pending.append(&mut self.pending);
                self.pending = pending;
                return committed;
            }
            self.note_short(&before, &mut pending, &sent);
            let shortfalls = shortfall::of(&self.landings.landed, &self.landings.failed);
            for pending in pending {
                match pending {
                    Pending::Page(source, cursor) => self.reached[source].pass(cursor),
                    Pending::Block(source) => self.reached[source].block(),
                    Pending::Unit(mut group) => {
                        group.count(&mut self.landings.origins);
                        if !self.sources[group.source].quarantines_unknown() {
                            group.reports.iter_mut().for_each(UnitReport::ask_again);
                        }
                        shortfall::mark(&mut group.reports, &shortfalls, |table| group.short.contains(table));
                        let source = self.sources[group.source].as_ref();
                        self.reached[group.source].unit(source, &group.listed, &group.reports);
                        if let Some(times) = self.times[group.source].as_mut().filter(|_| group.is_there()) {
                            times.extend(group.listed.window);
                        }
                        let found = group.reports.iter().filter_map(|report| self.entry(report, group.source, &group.listed));
                        entries.extend(found.map(|entry| (group.source, entry)));
                        if let Some(first) = group.reports.first().filter(|first| first.name != group.listed.name) {
                            let (started, hash) = (first.started, first.content_hash.as_ref());
                            let whole =
                                self.outlived(group.source, &group.listed, started, hash, "its entries are units of their own");
                            entries.extend(whole.map(|entry| (group.source, entry)));
                        }
                        self.summary.units.append(&mut group.reports);
                    }
                }
            }
        }
        if last {
            let read: HashSet<String> = self.summary.units.iter().map(|unit| unit.name.clone()).collect();
            let gone = self.known.gone(&read, self.now(), &self.summary.import_id);
            entries.extend(gone.into_iter().map(|entry| (0, entry)));
            for at in 0..self.sources.len() {
                if self.reached[at].is_clear() && !self.summary.stopped {
                    let listed = ListedUnit { name: self.sources[at].stream().to_owned(), ..ListedUnit::default() };
                    let whole = self.outlived(at, &listed, self.now(), None, "its units are listed again");
                    entries.extend(whole.into_iter().chain(self.unlisted_units(at, &read)).map(|entry| (at, entry)));
                }
            }
        }
        self.write_ledger(entries).await
    }

    /// Commits what came while nothing more comes, so that whoever ends the program then loses none of it.
    async fn commit_meanwhile(&mut self) -> Result<(), ImportError> {
        self.settle(false).await?;
        if self.landings.is_empty() && self.pending.is_empty() {
            return Ok(());
        }
        self.begin_checkpoint();
        self.settle(false).await
    }

    /// The checkpoints that are left after everything was read.
    async fn complete(&mut self) -> Result<(), ImportError> {
        self.settle(false).await?;
        self.begin_checkpoint();
        self.settle(true).await
    }

    /// Notes, of the units of a checkpoint and those that continue behind it, which tables held rows of them back.
    fn note_short(
        &mut self,
        before: &BTreeMap<&'static str, usize>,
        pending: &mut [Pending],
        sent: &[(u64, BTreeMap<&'static str, u64>)],
    ) {
        let groups = units_of(pending).chain(units_of(&mut self.pending)).chain(self.current.as_mut());
        let mut groups: BTreeMap<u64, &mut Group> = groups.map(|group| (group.number, group)).collect();
        for (number, sent) in sent {
            let Some(group) = groups.get_mut(number) else { continue };
            for table in sent.keys() {
                let held = self.landings.landed.get(table).map_or(0, |landed| landed.held.len());
                if held > before.get(table).copied().unwrap_or(0) || self.landings.failed.contains_key(table) {
                    group.short.insert(table);
                }
            }
        }
    }

    /// Notes in the ledger that the rows of units that were read, or were being read, are not in the lake. What hindered them may
    /// hinder this as well; it is then only said.
    async fn fail(&mut self, error: &ImportError) {
        self.landings.abort().await;
        if let Err(error) = self.settle(false).await {
            tracing::warn!(%error, "the checkpoint that was under way");
        }
        let now = self.now();
        let groups = std::mem::take(&mut self.pending).into_iter().filter_map(|pending| match pending {
            Pending::Unit(group) => Some((group, true)),
            Pending::Page(..) | Pending::Block(_) => None,
        });
        let mut entries = Vec::new();
        for (mut group, is_whole) in groups.chain(self.current.take().map(|group| (group, false))) {
            if group.reports.is_empty() {
                group.reports.push(report(&group.listed.name, UnitState::Failed, now));
            }
            for report in &mut group.reports {
                let was_read = !matches!(report.state, UnitState::Unchanged | UnitState::Known);
                // Of an archive that was not read to its end no entry may count as settled: the others are not known yet.
                if was_read && (!is_whole || !report.counts.rows.is_empty() || report.reason.is_none()) {
                    report.state = UnitState::Failed;
                    report.held = true;
                    report.reason = Some(format!("its rows are not all in the lake: {}", shortfall::with_causes(error)));
                }
            }
            let found = group.reports.iter().filter_map(|report| self.entry(report, group.source, &group.listed));
            entries.extend(found.map(|entry| (group.source, entry)));
        }
        self.reached.iter_mut().for_each(|reached| reached.cursor = None);
        if let Err(error) = self.write_ledger(entries).await {
            tracing::warn!(%error, "the failure is not in the ledger");
        }
    }

    /// Lands the import's own events and log lines, each in one commit, and sums up.
    async fn finish(mut self, started: i64) -> Result<ImportSummary, ImportError> {
        let now = self.now();
        self.summary.micros = now - started;
        self.summary.tables = std::mem::take(&mut self.landings.landed);
        self.summary.shortfalls = shortfall::of(&self.summary.tables, &self.landings.failed);
        self.summary.sections = summary::sections(&self.summary, self.options.section);
        if self.options.dry_run {
            return Ok(self.summary);
        }
        let log = summary::tell(&self.summary, self.options, now);
        let landed = self.summary.tables.iter().filter(|(_, landed)| landed.version.is_some());
        let mut landed: BTreeMap<_, _> = landed.map(|(table, landed)| (*table, landed.new + landed.replaced)).collect();
        if !self.landings.failed.contains_key(ledger::TABLE) {
            landed.insert(ledger::TABLE, self.summary.units.len() as u64);
        }
        // Side by side: each waits for the disk several times.
        let [first, second] = EventLog::tables();
        let (of_first, of_second) = tokio::join!(log.land_table(self.lake, first), log.land_table(self.lake, second));
        for (table, landed_own) in [(first, of_first), (second, of_second)] {
            match landed_own {
                Err(ImportError::Lake(error)) if error.is_of_one_table() => {
                    if self.summary.shortfalls.iter().all(|short| short.table != table) {
                        self.summary.shortfalls.push(Shortfall::of_table(table, &error));
                    }
                }
                done => {
                    done?;
                    landed.entry(table).or_default();
                }
            }
        }
        keep_up(self.lake, &landed, self.options.memory, self.options.spill_dir.as_deref()).await;
        Ok(self.summary)
    }
}
