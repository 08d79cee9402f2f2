//! `compact`: many small files of a month into few sorted ones.

use super::Context;
use super::progress::Progress;
use crate::error::{Error, Result};
use kqlake_lake::Lake;
use kqlake_lake::tables::{self, TableDef};
use kqlake_syntax::suggest::nearest;

/// Merge small files of each month into sorted ones, and remove files that no reader needs any more
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake compact
  kqlake compact traces customEvents
  kqlake compact --repair
A repair moves what cannot be read of a table's log to the lake's folder `_set_aside` and says so.
It deletes and merges nothing.")]
pub(super) struct Args {
    /// Tables to compact [default: all]
    names: Vec<String>,
    /// Make tables with a damaged log readable again instead, where that can be done
    #[arg(long)]
    repair: bool,
}

/// # Errors
/// For an unknown table, or when the lake cannot be read or written.
pub(super) async fn run(args: &Args, context: &Context) -> Result<()> {
    let mut defs: Vec<&'static TableDef> = Vec::new();
    for name in &args.names {
        defs.push(tables::find(name).ok_or_else(|| unknown(name))?);
    }
    if defs.is_empty() {
        defs.extend(tables::all());
    }
    let lake = context.existing_lake().await?;
    if args.repair {
        return repair(&lake, &defs, context).await;
    }
    let progress = Progress::new(context, "compacting");
    let (mut merged, mut unfinished, mut failures) = (0, 0, Vec::new());
    for def in defs {
        progress.say(format!("compacting {}", def.name));
        let (line, left) = super::upkeep::compact(&lake, def, context).await;
        if let Some(line) = line {
            merged += 1;
            progress.tell(context, &line);
        }
        unfinished += usize::from(!left.is_empty());
        failures.extend(left);
    }
    drop(progress);
    if merged == 0 && failures.is_empty() {
        context.tell("nothing to compact");
    }
    super::upkeep::outcome(failures, |count| {
        let tables = if unfinished == 1 { "1 table".to_owned() } else { format!("{unfinished} tables") };
        format!("{tables} could not be compacted in full, for {count} reasons; all else is done")
    })
}

async fn repair(lake: &Lake, defs: &[&'static TableDef], context: &Context) -> Result<()> {
    let (mut moved, mut failures) = (0, Vec::new());
    for def in defs {
        let (report, done) = lake.repair(def).await;
        moved += report.set_aside.len();
        for file in &report.set_aside {
            let (from, to) = (file.from.display(), file.to.display());
            context.tell(format_args!("{}: {}; {from} was moved to {to}", def.name, file.reason));
        }
        if report.lost_commits {
            context
                .tell(format_args!("{}: the rows of its last commits are missing; `kqlake import` lands them again", def.name));
        }
        failures.extend(done.err().map(|error| match Error::from(error) {
            Error::Storage { message, hint, source } => {
                Error::Storage { message: format!("cannot be repaired: {message}"), hint, source }
            }
            other => other,
        }));
    }
    if moved == 0 && failures.is_empty() {
        context.tell("nothing to repair");
    }
    super::upkeep::outcome(failures, |count| format!("{count} tables could not be repaired; the others are done"))
}

fn unknown(name: &str) -> Error {
    let error = Error::usage(format!("there is no table `{name}`"));
    match nearest(name, tables::names()) {
        Some(near) => error.hint(format!("did you mean `{near}`? Names are case-sensitive")),
        None => error.hint("`kqlake tables` lists them"),
    }
}
