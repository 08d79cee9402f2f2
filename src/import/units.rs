//! Reading listed units on a thread: files, archives with their entries, and bodies that stream. What the ledger knows already is
//! only reported.

use std::cell::Cell as StdCell;
use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::batches::{Batches, Message, Outbox};
use super::content_hash::{HashForm, hash_of};
use super::files::archive::{self, ArchiveEntry};
use super::files::documents::{Place, Stop};
use super::files::input::{FileLimits, Tap, TapState, Wrapping, wrapping};
use super::ledger::{Known, KnownUnits};
use super::quarantine::Quarantine;
use super::reader::{Ended, Unit, UnitReader, named_day, report};
use super::source::{Body, ListedUnit, Opened, SourceError};
use super::stamp::stamp;
use super::{ImportError, UnitReport, UnitState};
use kqlake_value::clock::Clock;

/// Bytes between two messages of progress.
const PROGRESS_BYTES: u64 = 1 << 20;

/// A listed unit that is to be read.
pub(crate) struct Job {
    /// What the source said of it.
    pub unit: ListedUnit,
    /// What is to be done with it.
    pub task: Task,
    /// Where it is reported.
    pub outbox: Outbox,
}

/// What is to be done with a listed unit.
pub(crate) enum Task {
    /// Nothing: the ledger knows all of it.
    Recall(Vec<(String, Known)>),
    /// It is being opened.
    Read(JoinHandle<Result<Opened, SourceError>>),
}

/// What all reading threads of a run share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    /// Units of earlier imports.
    pub known: Arc<KnownUnits>,
    /// Bounds.
    pub limits: FileLimits,
    /// The run's name.
    pub import_id: String,
    /// True when rows are only counted.
    pub dry_run: bool,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Reads listed units one after the other.
pub(crate) struct Units {
    shared: Shared,
    reader: UnitReader,
    quarantine: Quarantine,
}

/// The unit that is being read.
struct Reading<'j> {
    listed: &'j ListedUnit,
    batches: Batches,
    started: i64,
}

impl Units {
    /// A reader of units.
    pub(crate) fn new(shared: Shared, reader: UnitReader, quarantine: Quarantine) -> Self {
        Self { shared, reader, quarantine }
    }

    fn now(&self) -> i64 {
        self.shared.clock.now_micros()
    }

    /// Does one job. False when the receiver is gone.
    pub(crate) fn work(&mut self, job: Job) -> bool {
        let Job { unit, task, outbox } = job;
        let batches = Batches::new(outbox.clone(), &self.shared.import_id, self.shared.dry_run);
        let mut reading = Reading { listed: &unit, batches, started: self.now() };
        let done = match task {
            Task::Recall(known) => known.iter().try_for_each(|(name, known)| self.recalled(&reading, name, known, None)),
            Task::Read(opening) => self.open(&mut reading, opening),
        };
        match done {
            Ok(()) => outbox.send(Message::End).is_ok(),
            Err(Ended::Stopped) => false,
            Err(Ended::Broken(error)) => {
                let _ = outbox.send(Message::Broken(error));
                false
            }
        }
    }

    fn open(&mut self, reading: &mut Reading<'_>, opening: JoinHandle<Result<Opened, SourceError>>) -> Result<(), Ended> {
        if reading.listed.waits {
            reading.batches.send(Message::Opening(reading.listed.name.clone()))?;
        }
        let opened = tokio::runtime::Handle::current().block_on(opening);
        match opened {
            Ok(Ok(Opened { body: Body::File(file), taken_at })) => self.file(reading, file, taken_at),
            Ok(Ok(Opened { body: Body::Stream(body), taken_at })) => self.stream(reading, body, taken_at),
            // It stays as it was listed.
            Ok(Err(error)) if error.later => Ok(()),
            Ok(Err(error)) => {
                // Asked again for what was gone before: nothing is new.
                let was_gone = self.shared.known.get(&reading.listed.name).is_some_and(Known::has_expired);
                let state = match error.gone {
                    true if was_gone => UnitState::Known,
                    true => UnitState::Expired,
                    false => UnitState::Failed,
                };
                let mut report = report(&reading.listed.name, state, reading.started);
                report.status = error.status;
                report.was_gone = error.gone && was_gone;
                report.reason = Some(error.reason);
                self.done(reading, report)
            }
            Err(error) => Err(Ended::Broken(ImportError::Reader(error.to_string()))),
        }
    }

    fn file(&mut self, reading: &mut Reading<'_>, mut file: File, taken: Option<i64>) -> Result<(), Ended> {
        let (listed, started) = (reading.listed, reading.started);
        let name = &listed.name;
        let failed = |error: io::Error| {
            let mut report = report(name, UnitState::Failed, started);
            report.reason = Some(format!("the file cannot be read: {error}"));
            report
        };
        let mut head = Vec::with_capacity(4);
        let looked = file.metadata().and_then(|meta| file.by_ref().take(4).read_to_end(&mut head).map(|_| meta));
        let meta = match looked {
            Ok(meta) => meta,
            Err(error) => return self.done(reading, failed(error)),
        };
        // Pipes have no size, cannot be read twice, and may give nothing for a long time.
        let is_pipe = !meta.is_file();
        if wrapping(&head) == Wrapping::Zip && is_pipe {
            let reason = "a zip archive must be a file, it cannot be read from a pipe";
            let report = self.refused_unit(reading, name, reason)?;
            return self.done(reading, report);
        }
        if wrapping(&head) == Wrapping::Zip {
            return self.archive(reading, file, meta.len());
        }
        if let Some(known) = self.shared.known.by_size(name, meta.len()).filter(|_| !is_pipe).cloned() {
            match hash_of(&file, HashForm::of(known.hash())) {
                Ok(hash) if known.hash() == hash => return self.recalled(reading, name, &known, self.still(reading, &file)),
                Ok(_) => {}
                Err(error) => return self.done(reading, failed(error)),
            }
            if let Err(error) = file.seek(io::SeekFrom::Start(head.len() as u64)) {
                return self.done(reading, failed(error));
            }
        }
        let same = file.try_clone().ok();
        // Pipes cannot be rewound: what was read goes in front again.
        let whole = io::Cursor::new(head).chain(file);
        let mut report = self.body(reading, Box::new(whole), taken, if is_pipe { 1 } else { PROGRESS_BYTES })?;
        if !is_pipe {
            report.bytes = meta.len();
            report.stamp = same.and_then(|file| self.still(reading, &file)).filter(|_| report.content_hash.is_some());
        }
        self.done(reading, report)
    }

    /// The stamp that a unit was listed with, if its file still has it.
    fn still(&self, reading: &Reading<'_>, file: &File) -> Option<String> {
        let listed = reading.listed.stamp.as_ref()?;
        let now = file.metadata().ok().and_then(|meta| stamp(&meta, i64::MAX))?;
        (now == *listed).then_some(now)
    }

    fn stream(&mut self, reading: &mut Reading<'_>, body: Box<dyn Read + Send>, taken: Option<i64>) -> Result<(), Ended> {
        let mut report = self.body(reading, body, taken, PROGRESS_BYTES)?;
        report.stamp = reading.listed.stamp.clone().filter(|_| report.content_hash.is_some());
        self.done(reading, report)
    }

    /// Reads a body to its end, as one unit.
    fn body(
        &mut self,
        reading: &mut Reading<'_>,
        mut body: Box<dyn Read + '_>,
        taken: Option<i64>,
        step: u64,
    ) -> Result<UnitReport, Ended> {
        let progress = progress_to(reading.batches.outbox(), step);
        let tap = TapState::new(Some(self.shared.known.hash_form(&reading.listed.name)), &progress);
        let counted = Rc::clone(&tap);
        let unit = Unit {
            name: reading.listed.name.clone(),
            reader: Box::new(Tap::new(&mut body, Rc::clone(&tap))),
            consumed: Rc::new(move || counted.count()),
            day: taken.or_else(|| named_day(&reading.listed.name)),
            taken,
        };
        let mut report = self.reader.read(unit, &mut reading.batches, &self.quarantine)?;
        // What was given up is read to its end, too: the hash is of all of it.
        let drained = io::copy(&mut Tap::new(body, Rc::clone(&tap)), &mut io::sink());
        report.bytes = tap.count();
        report.content_hash = tap.digest().filter(|_| drained.is_ok() && !tap.has_failed());
        Ok(report)
    }

    /// The entries of an archive, each a unit; they share the archive's hash.
    fn archive(&mut self, reading: &mut Reading<'_>, file: File, size: u64) -> Result<(), Ended> {
        let listed = reading.listed;
        let name = &listed.name;
        let mut bytes = Some(size);
        let hash = match hash_of(&file, self.shared.known.hash_form(name)) {
            Ok(hash) => hash,
            Err(error) => {
                let mut report = report(name, UnitState::Failed, reading.started);
                report.reason = Some(format!("the file cannot be read: {error}"));
                return self.done(reading, report);
            }
        };
        let stamp = self.still(reading, &file);
        let before = self.shared.known.archive(name, &hash);
        if !before.is_empty() {
            return before.iter().try_for_each(|(name, known)| self.recalled(reading, name, known, stamp.clone()));
        }
        let limits = self.shared.limits;
        let mut ended = Ok(());
        let mut entries = 0_u64;
        let outcome = archive::each_entry(file, limits, &mut |entry: ArchiveEntry<'_>| {
            let entry_name = format!("{name}!{}", entry.name);
            // Leftovers of a Mac's archiver hold no data.
            if entry.name.starts_with("__MACOSX/") || entry.name.ends_with(".DS_Store") {
                return Ok(());
            }
            entries += 1;
            let result = match entry.content {
                Ok(content) => {
                    let compressed = content.compressed;
                    let progress = progress_to(reading.batches.outbox(), PROGRESS_BYTES);
                    let day = named_day(&entry_name);
                    let consumed = Rc::new(move || compressed);
                    let unit = Unit { name: entry_name, reader: content.reader, consumed, day, taken: None };
                    let result = self.reader.read(unit, &mut reading.batches, &self.quarantine);
                    progress(compressed);
                    progress(0);
                    result
                }
                Err(reason) => self.refused_unit(reading, &entry_name, &reason),
            };
            let result = result.and_then(|mut report| {
                // The archive's size counts once.
                report.bytes = bytes.take().unwrap_or(0);
                report.content_hash = Some(hash.clone());
                report.stamp.clone_from(&stamp);
                self.done(reading, report)
            });
            result.map_err(|error| {
                ended = Err(error);
                Stop
            })
        });
        ended?;
        let mut report = match outcome {
            Ok(_) if entries > 0 => return Ok(()),
            Ok(_) => {
                let mut report = report(name, UnitState::Empty, reading.started);
                report.reason = Some("the archive has no entries".into());
                report
            }
            Err(error) => self.refused_unit(reading, name, &format!("the zip archive cannot be opened: {error}"))?,
        };
        report.bytes = size;
        report.content_hash = Some(hash);
        report.stamp = stamp;
        self.done(reading, report)
    }

    /// A unit that is refused as a whole, and says so in quarantine.
    fn refused_unit(&mut self, reading: &Reading<'_>, name: &str, reason: &str) -> Result<UnitReport, Ended> {
        let mut quarantine = self.quarantine.unit(name);
        quarantine.refuse(Place::default(), reason, b"");
        let kept = quarantine.finish().map_err(Ended::Broken)?;
        let mut report = report(name, UnitState::Failed, self.now());
        report.quarantine = kept.path;
        report.reason = Some(reason.to_owned());
        report.counts.refused = 1;
        reading.batches.send(Message::Started(name.to_owned()))?;
        Ok(report)
    }

    /// A unit that an earlier import settled, with the stamp that its file has now where it was recognised by its content.
    fn recalled(&self, reading: &Reading<'_>, name: &str, known: &Known, stamp: Option<String>) -> Result<(), Ended> {
        let mut report = report(name, known.state_now(), reading.started);
        report.section = known.section;
        report.bytes = known.bytes;
        report.reason.clone_from(&known.reason);
        report.extent = known.extent;
        report.content_hash = Some(known.hash().to_owned());
        report.stamp = stamp;
        self.done(reading, report)
    }

    fn done(&self, reading: &Reading<'_>, mut report: UnitReport) -> Result<(), Ended> {
        report.finished = self.now();
        Ok(reading.batches.send(Message::Finished(Box::new(report)))?)
    }
}

/// Sends progress in steps of so many bytes.
fn progress_to(outbox: Outbox, step: u64) -> impl Fn(u64) {
    let pending = StdCell::new(0_u64);
    move |bytes| {
        let sum = pending.get() + bytes;
        // The end of a stream reads nothing: what is pending goes out.
        if sum >= step || (bytes == 0 && sum > 0) {
            pending.set(0);
            let _ = outbox.send(Message::Advanced(sum));
        } else {
            pending.set(sum);
        }
    }
}
