//! Telemetry of any size with invented values, for benchmarks and load tests.
//!
//! The same options always give the same bytes. Records come in time order, spread evenly over the days asked for, in the
//! shapes that the services write: `traces` as NDJSON with classic Application Insights names and Business Central's custom
//! dimensions, `audit` as NDJSON of Office 365 Management Activity records, `message-trace` and `calls` as a page of
//! Microsoft Graph (one `value` array, however long). Rows are put together in one reused buffer, so that the generator
//! stays far faster than what it measures.

mod audit;
mod calls;
mod line;
mod message_trace;
mod traces;

use std::io::{self, Write};
use std::str::FromStr;

use flate2::{Compression, write::GzEncoder};

use line::{Calendar, Line, Random};

/// What to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// Business Central traces: NDJSON, classic names, about a kilobyte and twenty dimensions a row.
    Traces,
    /// Office 365 audit records: NDJSON.
    Audit,
    /// Message traces: a Graph page; a row is one message and recipient.
    MessageTrace,
    /// Call records with sessions and segments: a Graph page; a row is one call.
    Calls,
}

impl RecordKind {
    /// All kinds, in the order that help texts name them.
    pub(crate) const ALL: [RecordKind; 4] = [RecordKind::Traces, RecordKind::Audit, RecordKind::MessageTrace, RecordKind::Calls];

    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            RecordKind::Traces => "traces",
            RecordKind::Audit => "audit",
            RecordKind::MessageTrace => "message-trace",
            RecordKind::Calls => "calls",
        }
    }
}

impl FromStr for RecordKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        RecordKind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names: Vec<_> = RecordKind::ALL.iter().map(|kind| kind.name()).collect();
            format!("unknown kind `{text}`; known are {}", names.join(", "))
        })
    }
}

/// What to generate, how much of it, and from when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GenerateOptions {
    /// The kind of records.
    pub kind: RecordKind,
    /// How many records.
    pub rows: u64,
    /// Another seed gives other values; the same seed gives the same bytes.
    pub seed: u64,
    /// The first day, UTC, by its number since 1970-01-01.
    pub start: i64,
    /// Over how many days the records are spread; 0 counts as 1.
    pub days: u32,
    /// Whether the output is a gzip stream.
    pub gzip: bool,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        GenerateOptions { kind: RecordKind::Traces, rows: 1_000_000, seed: 1, start: DEFAULT_START, days: 30, gzip: false }
    }
}

/// The first day when none is asked for, 2026-01-01: fixed, so that figures can be compared.
const DEFAULT_START: i64 = 20_454;

/// Bytes gathered before they are handed to the writer.
const CHUNK: usize = 256 * 1024;

/// A state that appends one record a call to the line, without a line end.
trait Source {
    /// Text before the first record.
    fn head(&self) -> &'static str {
        ""
    }
    /// Text between two records.
    fn between(&self) -> &'static str {
        "\n"
    }
    /// Text after the last record.
    fn tail(&self) -> &'static str {
        "\n"
    }
    /// Appends the record of time `ticks` (100 ns since the first day's midnight).
    fn record(&mut self, line: &mut Line, random: &mut Random, calendar: &Calendar, ticks: u64);
}

/// Writes what the options ask for.
///
/// # Errors
/// Only those of `out`; a closed pipe is one of them, and left to the caller.
pub(crate) fn run(options: &GenerateOptions, out: &mut dyn Write) -> io::Result<()> {
    if options.gzip {
        let mut encoder = GzEncoder::new(out, Compression::fast());
        write_all(options, &mut encoder)?;
        encoder.finish()?.flush()
    } else {
        write_all(options, out)?;
        out.flush()
    }
}

fn write_all(options: &GenerateOptions, out: &mut dyn Write) -> io::Result<()> {
    let mut random = Random::new(options.seed);
    match options.kind {
        RecordKind::Traces => write_records(options, traces::Traces::new(&mut random), random, out),
        RecordKind::Audit => write_records(options, audit::Audit::new(&mut random), random, out),
        RecordKind::MessageTrace => write_records(options, message_trace::MessageTraces::new(&mut random), random, out),
        RecordKind::Calls => write_records(options, calls::Calls::new(&mut random), random, out),
    }
}

fn write_records(options: &GenerateOptions, mut source: impl Source, mut random: Random, out: &mut dyn Write) -> io::Result<()> {
    let days = options.days.max(1);
    let calendar = Calendar::new(options.start, days);
    let span = u64::from(days) * line::TICKS_OF_DAY;
    let step = (span / options.rows.max(1)).max(1);
    let mut line = Line::with_capacity(CHUNK + 16 * 1024);
    line.text(source.head());
    for row in 0..options.rows {
        if row > 0 {
            line.text(source.between());
        }
        // Whole spans would overflow for very many rows; a product of 128 bits does not.
        let begin = (u128::from(row) * u128::from(span) / u128::from(options.rows)) as u64;
        let ticks = (begin + random.below(step)).min(span - 1);
        source.record(&mut line, &mut random, &calendar, ticks);
        if line.len() >= CHUNK {
            out.write_all(line.bytes())?;
            line.clear();
        }
    }
    if options.rows > 0 || !source.head().is_empty() {
        line.text(source.tail());
    }
    out.write_all(line.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn text(options: &GenerateOptions) -> String {
        let mut out = Vec::new();
        run(options, &mut out).expect("a Vec takes all");
        String::from_utf8(out).expect("generated text is UTF-8")
    }

    fn small(kind: RecordKind, rows: u64) -> GenerateOptions {
        GenerateOptions { kind, rows, seed: 7, days: 3, ..GenerateOptions::default() }
    }

    /// The records of an output, whichever frame it has.
    fn records(kind: RecordKind, text: &str) -> Vec<Value> {
        match kind {
            RecordKind::Traces | RecordKind::Audit => {
                text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
            }
            RecordKind::MessageTrace | RecordKind::Calls => {
                let page: Value = serde_json::from_str(text).expect("the page is JSON");
                page["value"].as_array().expect("a page has a value array").clone()
            }
        }
    }

    #[test]
    fn every_kind_gives_as_many_json_records_as_asked_for() {
        for kind in RecordKind::ALL {
            for rows in [0, 1, 2, 333] {
                let out = text(&small(kind, rows));
                assert_eq!(records(kind, &out).len() as u64, rows, "{}", kind.name());
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        for kind in RecordKind::ALL {
            let options = small(kind, 50);
            assert_eq!(text(&options), text(&options));
            assert_ne!(text(&options), text(&GenerateOptions { seed: 8, ..options }));
        }
    }

    #[test]
    fn traces_are_in_time_order_within_the_days_and_have_unique_ids() {
        let rows = records(RecordKind::Traces, &text(&small(RecordKind::Traces, 2_000)));
        let times: Vec<_> = rows.iter().map(|row| row["timestamp"].as_str().expect("a time").to_owned()).collect();
        assert!(times.is_sorted());
        assert!(times[0].starts_with("2026-01-01T") && times[times.len() - 1].starts_with("2026-01-03T"));
        let ids: std::collections::HashSet<_> = rows.iter().map(|row| row["itemId"].to_string()).collect();
        assert_eq!(ids.len(), rows.len());
        let open = rows.iter().filter(|row| row["customDimensions"].to_string().contains("OnCompanyOpen")).count();
        assert!(open > 20, "company opens must be frequent enough to measure: {open}");
        let dimensions =
            rows.iter().map(|row| row["customDimensions"].as_object().map_or(0, serde_json::Map::len)).sum::<usize>();
        assert!(dimensions / rows.len() >= 14, "rows need dimensions as real ones have them");
    }

    #[test]
    fn gzip_holds_the_same_text() {
        use std::io::Read as _;
        let options = small(RecordKind::Audit, 40);
        let mut packed = Vec::new();
        run(&GenerateOptions { gzip: true, ..options.clone() }, &mut packed).expect("a Vec takes all");
        let mut plain = String::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut plain).expect("a gzip stream");
        assert_eq!(plain, text(&options));
    }

    #[test]
    fn an_unknown_kind_names_the_known_ones() {
        assert_eq!("calls".parse(), Ok(RecordKind::Calls));
        assert!("mail".parse::<RecordKind>().is_err_and(|error| error.contains("message-trace")));
    }
}
