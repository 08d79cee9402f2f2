//! Reads one unit to its end: its rows go into batches, its refused records into quarantine, and a report says what came of it.

use std::io::{ErrorKind, Read};
use std::rc::Rc;
use std::sync::Arc;

use super::batches::{Batches, Message};
use super::blocks::{Blocks, Helpers, Refused, Rows, Taker};
use super::files::bytes::ByteStream;
use super::files::documents::{Place, Reason, Stop, Walked, walk};
use super::files::input::{FileLimits, open_text};
use super::ordinals::Ordinals;
use super::quarantine::{Quarantine, UnitQuarantine};
use super::row::Row;
use super::unit::{Counts, Facts, Filter, ImportOverrides, Mappings, Output, SAMPLE};
use super::{ImportError, ReadExtent, RecordRefusal, Section, UnitReport, UnitState};
use kqlake_durable::ScratchFolder;
use kqlake_value::US_PER_DAY;
use kqlake_value::clock::Clock;

/// Refused records of a unit whose reasons are in the summary.
const SHOWN_REFUSALS: usize = 3;

/// Why reading ends before its time.
pub(crate) enum Ended {
    /// The receiver is gone.
    Stopped,
    /// Something that no unit can get over.
    Broken(ImportError),
}

impl From<Stop> for Ended {
    fn from(_: Stop) -> Self {
        Ended::Stopped
    }
}

/// What was found in a unit's text.
struct Content {
    walked: Result<Walked, Stop>,
    counts: Counts,
    /// Why its first record is of no known kind, where none of them is.
    unknown: Option<String>,
    /// Why reading stopped before the end.
    broke_off: Option<String>,
    extent: ReadExtent,
}

/// Takes one unit's rows and refused records.
struct UnitOutput<'u> {
    batches: &'u mut Batches,
    quarantine: UnitQuarantine,
    ordinals: Ordinals,
    refusals: Vec<RecordRefusal>,
    /// The first refused record, be it known from earlier imports.
    first: Option<RecordRefusal>,
    /// Refused records of the kinds of which only a sample is quarantined.
    sampled: u64,
    /// True when the first record that was refused was cut off by the end of the text.
    first_cut: bool,
    /// True when the last one was.
    last_cut: bool,
    /// True when the text itself is damaged, or ends too early.
    is_damaged: bool,
    /// True when the receiver is gone.
    stopped: bool,
    /// What no unit can get over.
    broken: Option<ImportError>,
}

impl UnitOutput<'_> {
    /// What was numbered, or why that failed.
    fn numbered<T>(&mut self, numbered: std::io::Result<T>) -> Result<T, Stop> {
        numbered.map_err(|error| {
            self.broken(ImportError::Scratch { reason: error.to_string() });
            Stop
        })
    }

    fn passed(&mut self) {
        self.last_cut = false;
        self.quarantine.pass();
    }

    /// Refuses the unit as a whole, since its text cannot be opened.
    fn not_opened(&mut self, error: &std::io::Error) -> Result<Content, Stop> {
        let is_inside = matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof);
        let what = if is_inside { "it cannot be decompressed" } else { "reading stopped" };
        let reason = format!("{what}: {error}");
        self.is_damaged = true;
        self.refused(Place::default(), &Reason::Other(reason.clone()), b"")?;
        let counts = Counts { records: 1, refused: 1, ..Counts::default() };
        Ok(Content { walked: Ok(Walked::Done), counts, unknown: None, broke_off: Some(reason), extent: ReadExtent::Whole })
    }

    /// The state of the unit, and why it is no better one. What was refused as a whole is counted and goes into quarantine.
    fn judge(&mut self, content: &mut Content) -> Result<(UnitState, Option<String>), Stop> {
        let counts = &mut content.counts;
        Ok(match (&content.walked, content.unknown.take()) {
            (_, Some(reason)) => (UnitState::Unknown, Some(format!("no known shape: {reason}"))),
            (Ok(Walked::Unknown(tried)), _) => {
                let reason = format!("no known shape; tried {}", tried.join("; "));
                self.refused(Place::default(), &Reason::Other(reason.clone()), b"")?;
                (UnitState::Unknown, Some(reason))
            }
            (Ok(Walked::Refused(reason)), _) => {
                counts.refused += 1;
                self.refused(Place::default(), &Reason::Other(reason.clone()), b"")?;
                (UnitState::Failed, Some(reason.clone()))
            }
            (Ok(Walked::Empty), _) if counts.refused == 0 => (UnitState::Empty, Some("the file is empty".to_owned())),
            _ if counts.refused > 0 => {
                let reason = content.broke_off.take().unwrap_or_else(|| {
                    if self.first_cut || self.last_cut {
                        content.extent = ReadExtent::Cut;
                    }
                    let shown = self.refusals.first().or(self.first.as_ref());
                    let shown = shown.map(|r| format!(": {} ({})", r.reason, r.place)).unwrap_or_default();
                    format!("{} of {} records refused{shown}", counts.refused, counts.records)
                });
                (UnitState::Incomplete, Some(reason))
            }
            _ if counts.filtered > 0 => (UnitState::Filtered, None),
            _ if counts.out_of_scope > 0 && counts.rows.is_empty() => {
                let reason = format!("all of its {} records are of sites outside of the org URLs", counts.out_of_scope);
                (UnitState::Filtered, Some(reason))
            }
            _ if counts.records == 0 => (UnitState::Empty, Some("it holds no records".to_owned())),
            _ => (UnitState::Done, None),
        })
    }
}

impl Output for UnitOutput<'_> {
    fn row(&mut self, row: &mut Row<'_>) -> Result<(), Stop> {
        let numbered = self.ordinals.number(row);
        self.numbered(numbered)?;
        let added = self.batches.add(row);
        self.stopped |= added.is_err();
        added
    }

    fn refused(&mut self, place: Place, reason: &Reason, text: &[u8]) -> Result<(), Stop> {
        self.last_cut = reason.is_cut();
        self.is_damaged |= reason.is_damage();
        let reason = reason.to_string();
        let refusal = || RecordRefusal { place: place.to_string(), reason: reason.clone() };
        if self.first.is_none() {
            self.first_cut = self.last_cut;
            self.first = Some(refusal());
        }
        let is_new = self.quarantine.refuse(place, &reason, text);
        if is_new && self.refusals.len() < SHOWN_REFUSALS {
            self.refusals.push(refusal());
        }
        tracing::debug!(%place, reason, is_new, "record refused");
        Ok(())
    }

    fn sampled(&mut self, place: Place, reason: &Reason, text: &[u8]) -> Result<(), Stop> {
        self.sampled += 1;
        if self.sampled <= SAMPLE {
            return self.refused(place, reason, text);
        }
        self.passed();
        Ok(())
    }
}

impl Taker for UnitOutput<'_> {
    fn outcome(&mut self, rows: Vec<Result<Rows, ImportError>>, refused: Vec<Refused>) -> Result<(), Stop> {
        for rows in rows {
            let Rows { table, batch, unnumbered } = match rows {
                Ok(rows) => rows,
                Err(error) => {
                    self.broken(error);
                    return Err(Stop);
                }
            };
            let numbered = self.ordinals.number_batch(batch, &unnumbered);
            let batch = self.numbered(numbered)?;
            let sent = self.batches.send_rows(table, batch);
            self.stopped |= sent.is_err();
            sent?;
        }
        for Refused { place, reason, text, is_sampled } in refused {
            match text {
                Some(text) if is_sampled => self.sampled(place, &reason, &text)?,
                Some(text) => self.refused(place, &reason, &text)?,
                None => self.passed(),
            }
        }
        Ok(())
    }

    fn broken(&mut self, error: ImportError) {
        self.broken.get_or_insert(error);
    }
}

/// Reads units one after the other.
pub(crate) struct UnitReader {
    /// Which rows are taken.
    filter: Arc<Filter>,
    /// The id of the tenant whose records are read, where it is not the lake's own.
    tenant: Option<Arc<str>>,
    /// What units may not say.
    given: ImportOverrides,
    limits: FileLimits,
    /// Where temporary files go.
    scratch: ScratchFolder,
    clock: Arc<dyn Clock>,
    mappings: Mappings,
    /// Other threads that map records; none where there is one thread.
    helpers: Option<Helpers>,
}

/// A unit before it is read.
pub(crate) struct Unit<'u> {
    /// Its name.
    pub name: String,
    /// Its content.
    pub reader: Box<dyn Read + 'u>,
    /// Compressed bytes read so far, for bounds on expansion.
    pub consumed: Rc<dyn Fn() -> u64 + 'u>,
    /// The day in its name, in microseconds since 1970.
    pub day: Option<i64>,
    /// When its service gave it, in microseconds since 1970.
    pub taken: Option<i64>,
}

impl UnitReader {
    /// A reader of units.
    pub(crate) fn new(
        filter: Filter,
        given: ImportOverrides,
        tenant: Option<Arc<str>>,
        limits: FileLimits,
        scratch: ScratchFolder,
        clock: Arc<dyn Clock>,
        helpers: Option<Helpers>,
    ) -> Self {
        Self { filter: Arc::new(filter), given, tenant, limits, scratch, clock, mappings: Mappings::default(), helpers }
    }

    /// Reads one unit to its end. All of its rows are sent then.
    pub(crate) fn read(&mut self, unit: Unit<'_>, batches: &mut Batches, quarantine: &Quarantine) -> Result<UnitReport, Ended> {
        batches.send(Message::Started(unit.name.clone()))?;
        let mut report = report(&unit.name, UnitState::Done, self.clock.now_micros());
        let mut output = UnitOutput {
            batches,
            quarantine: quarantine.unit(&unit.name),
            ordinals: Ordinals::new(self.scratch.clone()),
            refusals: Vec::new(),
            first: None,
            sampled: 0,
            first_cut: false,
            last_cut: false,
            is_damaged: false,
            stopped: false,
            broken: None,
        };
        let consumed = unit.consumed;
        let opened = open_text(unit.reader, move || consumed(), self.limits, self.scratch.clone());
        let mut content = match opened {
            Err(error) => output.not_opened(&error)?,
            Ok(mut text) => {
                let day = self.given.snapshot_date.or(unit.day);
                let (filter, order) = (Arc::clone(&self.filter), self.given.date_order);
                let facts = Facts { filter, name: unit.name, day, taken: unit.taken, order, tenant: self.tenant.clone() };
                self.read_text(&mut text, facts, &mut output)?
            }
        };
        if let Some(error) = output.broken.take() {
            return Err(Ended::Broken(error));
        }
        if let Ok(Walked::NoScratch(reason)) = &content.walked {
            return Err(Ended::Broken(ImportError::Scratch { reason: reason.clone() }));
        }
        if output.stopped {
            return Err(Ended::Stopped);
        }
        (report.state, report.reason) = output.judge(&mut content)?;
        report.is_damaged = output.is_damaged || content.extent == ReadExtent::Cut;
        output.batches.flush_all()?;
        let UnitOutput { quarantine, refusals, .. } = output;
        let kept = quarantine.finish().map_err(Ended::Broken)?;
        (report.quarantine, report.known, report.not_kept) = (kept.path, kept.known, kept.not_kept);
        report.refusals = refusals;
        report.section = main_section(&content.counts);
        report.extent = content.extent;
        report.counts = content.counts;
        report.finished = self.clock.now_micros();
        Ok(report)
    }

    /// Reads a unit's text, to its end or to where it breaks off.
    fn read_text(&mut self, text: &mut ByteStream<'_>, facts: Facts, output: &mut UnitOutput<'_>) -> Result<Content, Stop> {
        let mut blocks = Blocks::new(facts, &mut self.mappings, output, self.helpers.as_ref());
        let walked = walk(text, &mut blocks, self.limits).and_then(|walked| blocks.finish().map(|()| walked));
        let (counts, unknown) = (blocks.counts.clone(), blocks.first_unknown.take());
        drop(blocks);
        let unknown = unknown.filter(|_| counts.is_unknown());
        let mut content = Content { walked, counts, unknown, broke_off: None, extent: ReadExtent::Whole };
        if let Some(error) = text.error() {
            let reason = format!("reading stopped: {error}");
            // Where it broke inside a record, that record says so already.
            if !output.last_cut {
                let place = Place { byte: text.offset(), record: content.counts.records, ..Place::default() };
                content.counts.refused += 1;
                output.refused(place, &Reason::Other(reason.clone()), b"")?;
            }
            content.broke_off = Some(reason);
            content.extent = ReadExtent::Cut;
        }
        // What follows the last record still belongs to the file, and to its hash.
        while content.walked.is_ok() {
            let length = text.chunk().len();
            if length == 0 {
                break;
            }
            text.consume(length);
        }
        Ok(content)
    }
}

/// A report of a unit that says nothing yet but its name and how it ended.
pub(crate) fn report(name: &str, state: UnitState, started: i64) -> UnitReport {
    UnitReport {
        name: name.to_owned(),
        section: None,
        state,
        reason: None,
        extent: ReadExtent::Whole,
        counts: Counts::default(),
        refusals: Vec::new(),
        bytes: 0,
        content_hash: None,
        quarantine: None,
        known: 0,
        not_kept: 0,
        stamp: None,
        status: None,
        is_damaged: false,
        was_gone: false,
        held: false,
        duplicates: None,
        replaced: None,
        started,
        finished: started,
    }
}

/// The section that most rows belong to.
fn main_section(counts: &Counts) -> Option<Section> {
    counts.rows.iter().max_by_key(|(_, rows)| **rows).map(|(table, _)| Section::of_table(table))
}

/// The last day that a path names (`2026-01-05`, `20260105`, or `y=2026/m=01/d=05`): when its snapshot was taken.
pub(crate) fn named_day(name: &str) -> Option<i64> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OrgUrls;
    use crate::batches::Outbox;
    use crate::budget::Budget;
    use crate::quarantine::earlier::Earlier;
    use kqlake_value::clock::FixedClock;

    /// What comes of a text that is read as a unit.
    fn read(text: &str, filter: &Filter) -> UnitReport {
        let (sender, _messages) = tokio::sync::mpsc::unbounded_channel();
        let outbox = Outbox { sender, budget: Arc::new(Budget::new(1 << 20)), unit: 1 };
        let (limits, scratch) = (FileLimits::default(), ScratchFolder::default());
        let clock = Arc::new(FixedClock::at_micros(0));
        let mut reader = UnitReader::new(filter.clone(), ImportOverrides::default(), None, limits, scratch, clock, None);
        let quarantine = Quarantine::new(None, "run", 0, limits, Earlier::default());
        let reader_of_text = Box::new(text.as_bytes());
        let unit = Unit { name: "u".to_owned(), reader: reader_of_text, consumed: Rc::new(|| 0_u64), day: None, taken: None };
        let Ok(report) = reader.read(unit, &mut Batches::new(outbox, "run", true), &quarantine) else {
            panic!("{text} cannot be read");
        };
        report
    }

    #[test]
    fn a_unit_is_judged_by_what_was_taken_left_out_and_refused() {
        let record = |site: &str| {
            format!(
                "{{\"CreationTime\":\"2026-01-08T16:44:07\",\"Id\":\"7b1d4e55-{site}\",\"Operation\":\"FileModified\",\
                 \"RecordType\":6,\"UserType\":0,\"Workload\":\"OneDrive\",\"SiteUrl\":\"https://{site}.example/x\"}}\n"
            )
        };
        let (ours, theirs, broken) = (record("ours"), record("theirs"), "{\"CreationTime\":x}\n".to_owned());
        let all = Filter::default();
        let later = Filter { since: Some(1_767_890_648_000_000), ..Filter::default() };
        let at_once = Filter { since: Some(1_767_890_647_000_000), ..Filter::default() };
        let before = Filter { until: Some(1_767_890_647_000_000), ..Filter::default() };
        let calls = Filter { sections: vec![Section::Calls], ..Filter::default() };
        let sites = Filter { org_urls: OrgUrls::new(["https://ours.example"]), ..Filter::default() };
        let twice = format!("{ours}{theirs}");
        for (text, filter, state, reason) in [
            (&twice, &all, UnitState::Done, None),
            (&twice, &at_once, UnitState::Done, None),
            (&twice, &later, UnitState::Filtered, None),
            (&twice, &before, UnitState::Filtered, None),
            (&twice, &calls, UnitState::Filtered, None),
            // Where some of it is of wanted sites, all of it is in the lake that should be.
            (&twice, &sites, UnitState::Done, None),
            (&theirs, &sites, UnitState::Filtered, Some("all of its 1 records are of sites outside of the org URLs")),
            (&format!("{ours}{broken}{theirs}"), &sites, UnitState::Incomplete, Some("1 of 3 records refused: ")),
            (&format!("{ours}{broken}{theirs}"), &calls, UnitState::Incomplete, Some("1 of 3 records refused: ")),
            (&"{\"some\":1}\n{\"some\":2}\n".to_owned(), &all, UnitState::Unknown, Some("no known shape: ")),
            (&"\u{1}".to_owned(), &all, UnitState::Unknown, Some("no known shape; tried ")),
            (&" \n".to_owned(), &all, UnitState::Empty, Some("the file is empty")),
            (&"[]".to_owned(), &all, UnitState::Empty, Some("it holds no records")),
        ] {
            let report = read(text, filter);
            assert_eq!(report.state, state, "{text} {report:?}");
            match (reason, &report.reason) {
                (Some(reason), Some(found)) => assert!(found.starts_with(reason), "{found}"),
                (None, None) => {}
                other => panic!("{text} {other:?}"),
            }
        }
        let report = read(&twice, &sites);
        assert_eq!((report.counts.records, report.counts.out_of_scope, report.counts.filtered), (2, 1, 0));
        assert_eq!((report.section, report.counts.rows["AuditRecords"]), (Some(Section::Audit), 1));
        let cut = read(ours.trim_end().trim_end_matches('}'), &all);
        assert_eq!((cut.state, cut.extent, cut.is_damaged), (UnitState::Incomplete, ReadExtent::Cut, true));
        let whole = read(&format!("{ours}{broken}{ours}"), &all);
        assert_eq!((whole.state, whole.extent), (UnitState::Incomplete, ReadExtent::Whole));
    }

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
            assert_eq!(named_day(name), day, "{name}");
        }
        for name in ["users.json", "120260105", "99999999.json", "2026-13-45.json", ""] {
            assert_eq!(named_day(name), None, "{name}");
        }
    }
}
