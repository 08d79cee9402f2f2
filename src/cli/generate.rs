//! `generate`: telemetry with invented values, of any size, for benchmarks.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use chrono::{Datelike as _, NaiveDate};

use crate::error::{Error, Result};
use crate::generate::{GenerateOptions, RecordKind, run as write};
use kqlake_durable::Output;

/// Write invented telemetry of any size, for benchmarks; the same options give the same bytes
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake generate traces --rows 1000000 --gzip -o /tmp/traces.ndjson.gz
  kqlake generate audit --rows 1000 --seed 7")]
pub(super) struct Args {
    /// What to write: traces, audit, message-trace or calls
    kind: RecordKind,
    /// How many records
    #[arg(long, default_value_t = 1000)]
    rows: u64,
    /// Another seed gives other values
    #[arg(long, default_value_t = GenerateOptions::default().seed)]
    seed: u64,
    /// First day, UTC
    #[arg(long, value_name = "DATE", default_value_t = first_day())]
    start: NaiveDate,
    /// Days that the records are spread over
    #[arg(long, default_value_t = GenerateOptions::default().days)]
    days: u32,
    /// Compress with gzip
    #[arg(long)]
    gzip: bool,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The day that is the first when none is asked for.
fn first_day() -> NaiveDate {
    i32::try_from(GenerateOptions::default().start).ok().and_then(NaiveDate::from_epoch_days).unwrap_or_default()
}

/// # Errors
/// When the output cannot be written.
pub(super) fn run(args: &Args) -> Result<()> {
    let last = args.start.checked_add_days(chrono::Days::new(args.days.into()));
    if !(1..=9999).contains(&args.start.year()) || !last.is_some_and(|day| day.year() <= 9999) {
        return Err(Error::usage(format!("{} days from {} on are not all in the years 1 to 9999", args.days, args.start)));
    }
    let options = GenerateOptions {
        kind: args.kind,
        rows: args.rows,
        seed: args.seed,
        start: args.start.to_epoch_days().into(),
        days: args.days,
        gzip: args.gzip,
    };
    let path = args.output.as_deref().unwrap_or(Path::new("standard output"));
    let failed = |err| Error::io("write", path, err);
    let output = args.output.as_deref().map(Output::open).transpose().map_err(failed)?;
    let mut out: Box<dyn Write> = match &output {
        Some(output) => Box::new(BufWriter::new(output.writer().map_err(failed)?)),
        None => Box::new(io::stdout()),
    };
    write(&options, out.as_mut()).map_err(failed)?;
    out.flush().map_err(failed)?;
    output.map_or(Ok(()), Output::finish).map_err(failed)
}
