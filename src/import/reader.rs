//! The reading side of an import: walks files and archives on a thread of its own, and sends batches of rows.

use std::cell::Cell as StdCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::Sender;

use super::files::archive::{self, Entry};
use super::files::documents::{ENDS_INSIDE, ENDS_OPEN, Place, Stop, Walked, walk};
use super::files::input::{Limits, Tap, TapState, Wrapping, hex, open_text, wrapping};
use super::ledger::{Known, KnownUnits};
use super::quarantine::{Quarantine, UnitQuarantine};
use super::row::Row;
use super::unit::{Counts, Filter, Mappings, Output, UnitMapper};
use super::{Extent, ImportError, Refusal, Section, UnitReport, UnitState};
use kqlake_lake::RowBuilder;
use kqlake_lake::tables::TableDef;
use kqlake_value::US_PER_DAY;
use kqlake_value::clock::Clock;

/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;
/// Bytes of a batch; a batch may be larger by one record.
const BATCH_BYTES: usize = 2 << 20;
/// Bytes between two messages of progress.
const PROGRESS_BYTES: u64 = 1 << 20;
/// Refused records of a unit whose reasons are in the summary.
const SHOWN_REFUSALS: usize = 3;

/// What the reader tells the landing side, in order.
pub(crate) enum Message {
    /// A pipe is opened, which may wait for whoever writes into it.
    Opening(String),
    /// A unit begins.
    Started(String),
    /// Bytes were read.
    Advanced(u64),
    /// Rows of a table.
    Rows(&'static TableDef, RecordBatch),
    /// A unit's rows were all sent.
    Finished(Box<UnitReport>),
    /// The import cannot go on.
    Broken(ImportError),
}

/// What the reader needs to know.
pub(crate) struct Reading {
    /// Files in the order in which they are read.
    pub files: Vec<PathBuf>,
    /// Units of earlier imports.
    pub known: KnownUnits,
    /// Which rows are taken.
    pub filter: Filter,
    /// Bounds.
    pub limits: Limits,
    /// The run's name.
    pub import_id: String,
    /// Where refused records go; nowhere in a dry run.
    pub quarantine: Option<PathBuf>,
    /// True when rows are only counted.
    pub dry_run: bool,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Reads all files and sends what they hold.
pub(crate) fn read_all(reading: Reading, sender: Sender<Message>) {
    let quarantine = Quarantine::new(reading.quarantine.clone(), reading.limits);
    let mut reader = Reader {
        batches: Batches { sender, builders: HashMap::new(), import_id: reading.import_id.clone(), dry_run: reading.dry_run },
        reading,
        quarantine,
        mappings: Mappings::default(),
    };
    let files = std::mem::take(&mut reader.reading.files);
    for path in &files {
        match reader.file(path) {
            Ok(()) => {}
            Err(Ended::Stopped) => return,
            Err(Ended::Broken(error)) => {
                let _ = reader.batches.sender.blocking_send(Message::Broken(error));
                return;
            }
        }
    }
    let _ = reader.batches.flush_all();
}

/// Why reading ends before its time.
enum Ended {
    /// Nobody listens any more.
    Stopped,
    /// Something that no unit can get over.
    Broken(ImportError),
}

impl From<Stop> for Ended {
    fn from(_: Stop) -> Self {
        Ended::Stopped
    }
}

struct Batches {
    sender: Sender<Message>,
    builders: HashMap<&'static str, RowBuilder>,
    import_id: String,
    dry_run: bool,
}

impl Batches {
    fn send(&self, message: Message) -> Result<(), Stop> {
        self.sender.blocking_send(message).map_err(|_| Stop)
    }

    fn add(&mut self, row: &Row<'_>) -> Result<(), Stop> {
        if self.dry_run {
            return Ok(());
        }
        let builder = self.builders.entry(row.table.name).or_insert_with(|| RowBuilder::new(row.table));
        row.append_to(builder, &self.import_id);
        if builder.rows() >= BATCH_ROWS || builder.bytes() >= BATCH_BYTES {
            let table = row.table.name;
            self.flush(table)?;
        }
        Ok(())
    }

    fn flush(&mut self, table: &'static str) -> Result<(), Stop> {
        let Some(builder) = self.builders.get_mut(table).filter(|b| b.rows() > 0) else { return Ok(()) };
        let def = builder.def();
        let message = match builder.finish() {
            Ok(batch) => Message::Rows(def, batch),
            Err(source) => Message::Broken(ImportError::Reader(format!("rows of {table} do not fit their table: {source}"))),
        };
        self.send(message)
    }

    fn flush_all(&mut self) -> Result<(), Stop> {
        let mut tables: Vec<&'static str> = self.builders.keys().copied().collect();
        tables.sort_unstable();
        tables.into_iter().try_for_each(|table| self.flush(table))
    }
}

/// Takes one unit's rows and refused records.
struct UnitOutput<'u> {
    batches: &'u mut Batches,
    quarantine: UnitQuarantine<'u>,
    refusals: Vec<Refusal>,
    /// True when the record that was refused last was cut off by the end of the text.
    cut: bool,
    /// True when the receiver is gone.
    stopped: bool,
}

impl Output for UnitOutput<'_> {
    fn row(&mut self, row: &Row<'_>) -> Result<(), Stop> {
        let added = self.batches.add(row);
        self.stopped |= added.is_err();
        added
    }

    fn refused(&mut self, place: Place, reason: &str, text: &[u8]) -> Result<(), Stop> {
        if self.refusals.len() < SHOWN_REFUSALS {
            self.refusals.push(Refusal { place: place.to_string(), reason: reason.to_owned() });
        }
        self.cut = is_cut(reason);
        tracing::debug!(%place, reason, "record refused");
        self.quarantine.refuse(place, reason, text);
        Ok(())
    }
}

struct Reader {
    reading: Reading,
    batches: Batches,
    quarantine: Quarantine,
    mappings: Mappings,
}

/// A unit before it is read.
struct Unit<'u> {
    name: String,
    reader: Box<dyn Read + 'u>,
    /// Compressed bytes read so far, for bounds on expansion.
    consumed: Rc<dyn Fn() -> u64 + 'u>,
    /// When it was written, in microseconds since 1970.
    written: i64,
}

impl Reader {
    fn now(&self) -> i64 {
        self.reading.clock.now_micros()
    }

    fn file(&mut self, path: &Path) -> Result<(), Ended> {
        let name = path.display().to_string();
        let started = self.now();
        let failed = |reader: &Reader, error: io::Error| {
            let mut report = report(&name, UnitState::Failed, started);
            report.reason = Some(format!("the file cannot be read: {error}"));
            report.finished = reader.now();
            report
        };
        // Pipes have no size, cannot be read twice, and may give nothing for a long time.
        let is_pipe = std::fs::metadata(path).is_ok_and(|meta| !meta.is_file());
        if is_pipe {
            self.batches.send(Message::Opening(name.clone()))?;
        }
        let opened = File::open(path).and_then(|file| file.metadata().map(|meta| (file, meta)));
        let (mut file, meta) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.done(failed(self, error)),
        };
        let (size, modified) = (meta.len(), meta.modified().ok());
        let written = written_day(&name).or_else(|| modified.and_then(micros_of)).unwrap_or_else(|| self.now());
        let mut head = Vec::with_capacity(4);
        if let Err(error) = file.by_ref().take(4).read_to_end(&mut head) {
            return self.done(failed(self, error));
        }
        if wrapping(&head) == Wrapping::Zip && is_pipe {
            let mut report = self.refused_unit(&name, "a zip archive must be a file, it cannot be read from a pipe", started)?;
            report.finished = self.now();
            return self.done(report);
        }
        if wrapping(&head) == Wrapping::Zip {
            return self.archive(file, name, size, written);
        }
        if let Some(known) = self.reading.known.complete(&name, size).filter(|_| !is_pipe).cloned() {
            match hash_of(path) {
                Ok(hash) if known.hash == hash => return self.unchanged(&name, &known, started),
                Ok(_) => {}
                Err(error) => return self.done(failed(self, error)),
            }
        }
        let sender = self.batches.sender.clone();
        let progress = progress_to(sender, if is_pipe { 1 } else { PROGRESS_BYTES });
        let tap = TapState::new(true, &progress);
        let counted = Rc::clone(&tap);
        // Pipes cannot be rewound: what was looked at goes in front again.
        let whole = io::Cursor::new(head).chain(file);
        let unit = Unit {
            name,
            reader: Box::new(Tap::new(whole, Rc::clone(&tap))),
            consumed: Rc::new(move || counted.count()),
            written,
        };
        let mut report = self.unit(unit)?;
        report.bytes = if is_pipe { tap.count() } else { size };
        // The hash is of what was read: a file that grew meanwhile is read again next time.
        report.content_hash = tap.digest();
        self.done(report)
    }

    /// The entries of an archive, each a unit; they share the archive's hash.
    fn archive(&mut self, file: File, name: String, size: u64, written: i64) -> Result<(), Ended> {
        let started = self.now();
        let mut bytes = Some(size);
        let hash = file.try_clone().and_then(|mut copy| {
            io::Seek::rewind(&mut copy)?;
            let hash = hash_reader(&mut copy);
            io::Seek::rewind(&mut copy)?;
            hash
        });
        let hash = match hash {
            Ok(hash) => hash,
            Err(error) => {
                let mut report = report(&name, UnitState::Failed, started);
                report.reason = Some(format!("the file cannot be read: {error}"));
                report.finished = self.now();
                return self.done(report);
            }
        };
        let before = self.reading.known.archive(&name, &hash);
        if !before.is_empty() {
            return before.iter().try_for_each(|(name, known)| self.unchanged(name, known, started));
        }
        let limits = self.reading.limits;
        let mut ended = Ok(());
        let mut entries = 0_u64;
        let outcome = archive::each_entry(file, limits, &mut |entry: Entry<'_>| {
            let entry_name = format!("{name}!{}", entry.name);
            // Leftovers of a Mac's archiver hold no data.
            if entry.name.starts_with("__MACOSX/") || entry.name.ends_with(".DS_Store") {
                return Ok(());
            }
            entries += 1;
            let result = match entry.content {
                Ok(content) => {
                    let compressed = content.compressed;
                    let progress = progress_to(self.batches.sender.clone(), PROGRESS_BYTES);
                    let written =
                        written_day(&entry_name).or_else(|| entry.modified.map(|m| m.timestamp_micros())).unwrap_or(written);
                    let unit = Unit { name: entry_name, reader: content.reader, consumed: Rc::new(move || compressed), written };
                    let result = self.unit(unit);
                    progress(compressed);
                    progress(0);
                    result
                }
                Err(reason) => {
                    let started = self.now();
                    self.refused_unit(&entry_name, &reason, started)
                }
            };
            let result = result.and_then(|mut report| {
                // The archive's size counts once.
                report.bytes = bytes.take().unwrap_or(0);
                report.content_hash = Some(hash.clone());
                self.done(report)
            });
            result.map_err(|error| {
                ended = Err(error);
                Stop
            })
        });
        ended?;
        match outcome {
            Ok(_) if entries == 0 => {
                let mut report = report(&name, UnitState::Empty, started);
                report.bytes = size;
                report.content_hash = Some(hash);
                report.reason = Some("the archive has no entries".into());
                report.finished = self.now();
                self.done(report)
            }
            Ok(_) => Ok(()),
            Err(error) => {
                let mut report = self.refused_unit(&name, &format!("the zip archive cannot be opened: {error}"), started)?;
                report.bytes = size;
                report.content_hash = Some(hash);
                self.done(report)
            }
        }
    }

    /// A unit that is refused as a whole, and says so in quarantine.
    fn refused_unit(&mut self, name: &str, reason: &str, started: i64) -> Result<UnitReport, Ended> {
        let mut quarantine = self.quarantine.unit(name);
        quarantine.refuse(Place::default(), reason, b"");
        let path = quarantine.finish().map_err(Ended::Broken)?;
        let mut report = report(name, UnitState::Failed, started);
        report.quarantine = path;
        report.reason = Some(reason.to_owned());
        report.counts.refused = 1;
        report.finished = self.now();
        self.send_started(name)?;
        Ok(report)
    }

    fn send_started(&self, name: &str) -> Result<(), Ended> {
        Ok(self.batches.send(Message::Started(name.to_owned()))?)
    }

    fn unchanged(&mut self, name: &str, known: &Known, started: i64) -> Result<(), Ended> {
        let mut report = report(name, UnitState::Unchanged, started);
        report.section = known.section;
        report.bytes = known.bytes;
        report.content_hash = Some(known.hash.clone());
        report.finished = self.now();
        self.done(report)
    }

    fn done(&mut self, report: UnitReport) -> Result<(), Ended> {
        Ok(self.batches.send(Message::Finished(Box::new(report)))?)
    }

    /// Reads one unit to its end.
    fn unit(&mut self, unit: Unit<'_>) -> Result<UnitReport, Ended> {
        self.send_started(&unit.name)?;
        let mut report = report(&unit.name, UnitState::Done, self.now());
        let mut output = UnitOutput {
            batches: &mut self.batches,
            quarantine: self.quarantine.unit(&unit.name),
            refusals: Vec::new(),
            cut: false,
            stopped: false,
        };
        let consumed = unit.consumed;
        let opened = open_text(unit.reader, move || consumed(), self.reading.limits);
        let (walked, counts, first_unknown) = match opened {
            Err(error) => {
                let reason = format!("the file cannot be decompressed: {error}");
                output.refused(Place::default(), &reason, b"")?;
                let counts = Counts { records: 1, refused: 1, ..Counts::default() };
                report.reason = Some(reason);
                (Ok(Walked::Done), counts, None)
            }
            Ok(mut text) => {
                let mut mapper = UnitMapper::new(&mut self.mappings, &mut output, &self.reading.filter, &unit.name, unit.written);
                let walked = walk(&mut text, &mut mapper, self.reading.limits);
                let (mut counts, first_unknown) = (mapper.counts.clone(), mapper.first_unknown.take());
                let unknown = mapper.is_unknown();
                drop(mapper);
                if let Some(error) = text.error() {
                    let reason = format!("reading stopped: {error}");
                    // Where it broke inside a record, that record says so already.
                    if !output.cut {
                        let place = Place { byte: text.offset(), record: counts.records, ..Place::default() };
                        counts.refused += 1;
                        output.refused(place, &reason, b"")?;
                    }
                    report.reason = Some(reason);
                    report.extent = Extent::Cut;
                }
                // What follows the last record still belongs to the file, and to its hash.
                while walked.is_ok() {
                    let length = text.chunk().len();
                    if length == 0 {
                        break;
                    }
                    text.consume(length);
                }
                (walked, counts, first_unknown.filter(|_| unknown))
            }
        };
        if output.stopped {
            return Err(Ended::Stopped);
        }
        let (state, reason) = match (walked, first_unknown) {
            (_, Some(reason)) => (UnitState::Unknown, Some(format!("no known shape: {reason}"))),
            (Ok(Walked::Unknown(tried)), _) => {
                let reason = format!("no known shape; tried {}", tried.join("; "));
                output.refused(Place::default(), &reason, b"")?;
                (UnitState::Unknown, Some(reason))
            }
            (Ok(Walked::Empty), _) if counts.refused == 0 => (UnitState::Empty, Some("the file is empty".to_owned())),
            _ if counts.refused > 0 => {
                if report.reason.is_none() && output.refusals.first().is_some_and(|first| is_cut(&first.reason)) {
                    report.extent = Extent::Cut;
                }
                let shown = output.refusals.first().map(|r| format!(": {} ({})", r.reason, r.place)).unwrap_or_default();
                (
                    UnitState::Incomplete,
                    Some(
                        report
                            .reason
                            .take()
                            .unwrap_or_else(|| format!("{} of {} records refused{shown}", counts.refused, counts.records)),
                    ),
                )
            }
            _ if counts.filtered > 0 => (UnitState::Filtered, None),
            _ if counts.records == 0 => (UnitState::Empty, Some("it holds no records".to_owned())),
            _ => (UnitState::Done, None),
        };
        let UnitOutput { quarantine, refusals, .. } = output;
        report.quarantine = quarantine.finish().map_err(Ended::Broken)?;
        report.refusals = refusals;
        report.section = main_section(&counts);
        report.state = state;
        report.reason = reason;
        report.counts = counts;
        report.finished = self.reading.clock.now_micros();
        Ok(report)
    }
}

/// True when a record was refused because the text ends inside of it, or of the document around it.
fn is_cut(reason: &str) -> bool {
    reason.starts_with(ENDS_INSIDE) || reason.starts_with(ENDS_OPEN)
}

pub(super) fn report(name: &str, state: UnitState, started: i64) -> UnitReport {
    UnitReport {
        name: name.to_owned(),
        section: None,
        state,
        reason: None,
        extent: Extent::Whole,
        counts: Counts::default(),
        refusals: Vec::new(),
        bytes: 0,
        content_hash: None,
        quarantine: None,
        started,
        finished: started,
    }
}

/// The section that most rows belong to.
fn main_section(counts: &Counts) -> Option<Section> {
    counts.rows.iter().max_by_key(|(_, rows)| **rows).map(|(table, _)| Section::of_table(table))
}

/// Sends progress in steps of so many bytes.
fn progress_to(sender: Sender<Message>, step: u64) -> impl Fn(u64) {
    let pending = StdCell::new(0_u64);
    move |bytes| {
        let sum = pending.get() + bytes;
        // The end of a stream reads nothing: what is pending goes out.
        if sum >= step || (bytes == 0 && sum > 0) {
            pending.set(0);
            let _ = sender.blocking_send(Message::Advanced(sum));
        } else {
            pending.set(sum);
        }
    }
}

fn micros_of(time: std::time::SystemTime) -> Option<i64> {
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_micros()).ok()
}

/// The last day that a path names (`2026-01-05`, `20260105`, or `y=2026/m=01/d=05`): when its snapshot was taken.
fn written_day(name: &str) -> Option<i64> {
    let bytes = name.as_bytes();
    let number = |from: usize, count: usize| -> Option<i64> {
        let digits = bytes.get(from..from + count)?;
        digits.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
    };
    let alone = |from: usize, to: usize| {
        let before = from.checked_sub(1).and_then(|i| bytes.get(i));
        !before.is_some_and(u8::is_ascii_digit) && !bytes.get(to).is_some_and(u8::is_ascii_digit)
    };
    let date = |at: usize| -> Option<i64> {
        let (year, month, day, end) = match bytes.get(at + 4) {
            Some(b'-' | b'_') if bytes.get(at + 7) == bytes.get(at + 4) => {
                (number(at, 4)?, number(at + 5, 2)?, number(at + 8, 2)?, at + 10)
            }
            Some(b'/') if bytes.get(at + 5..at + 7) == Some(b"m=") && bytes.get(at + 9..at + 12) == Some(b"/d=") => {
                (number(at, 4)?, number(at + 7, 2)?, number(at + 12, 2)?, at + 14)
            }
            Some(b'0'..=b'9') => (number(at, 4)?, number(at + 4, 2)?, number(at + 6, 2)?, at + 8),
            _ => return None,
        };
        let days = kqlake_value::calendar::day_number(year, month, day)?;
        ((1990..2200).contains(&year) && alone(at, end)).then_some(days * US_PER_DAY)
    };
    (0..bytes.len()).rev().find_map(date)
}

fn hash_of(path: &Path) -> io::Result<String> {
    hash_reader(&mut File::open(path)?)
}

fn hash_reader(reader: &mut dyn Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_in_names() {
        let day = Some(1_767_571_200_000_000);
        for name in [
            "users 2026-01-05.json",
            "x/y=2026/m=01/d=05/h=07/PT1H.json",
            "users_20260105.json",
            "2025-01-01/users-2026-01-05/page1.json",
            "a_2026_01_05_b",
        ] {
            assert_eq!(written_day(name), day, "{name}");
        }
        for name in ["users.json", "120260105", "99999999.json", "2026-13-45.json", ""] {
            assert_eq!(written_day(name), None, "{name}");
        }
    }
}
