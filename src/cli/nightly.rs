//! `nightly`: everything that a night has to do, in one command.

use std::path::Path;

use super::progress::Progress;
use super::upkeep::{compact, export_clock, export_line, export_query, summarized, warn_of_names, warn_of_strange};
use super::{Context, files, input, report, sections};
use crate::error::{Error, Result};
use crate::export::{self, Export};
use crate::live::health;
use crate::live::lock::{Lock, Tried};
use crate::live::plan::SectionFilter;
use crate::saved::{self, SavedQuery};
use kqlake_lake::tables;

/// Import everything, run the saved queries marked for export, write the exports, compact
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake nightly
  0 2 * * * kqlake --config /etc/kqlake.toml nightly        (crontab)
With tenants in the configuration their sections are imported first, and files where `from` names some; without tenants
the files of `from`, or everything under fixtures/. Running it again adds nothing that is there already. One night at a
time: a second one leaves. SIGTERM and Ctrl-C end it at the next commit, and the next night goes on from there.
Exit status: 0 when everything finished, 5 when some of it did not; each failure is said on standard error. Records that an
earlier night quarantined are no failure of this one: `kqlake quarantine` lists them.")]
pub(super) struct Args {}

/// # Errors
/// When there is nothing to import or the lake cannot be written; [`Error::Incomplete`] when some of it failed.
pub(super) async fn run(_args: &Args, context: &Context) -> Result<()> {
    let has_tenants = !context.config.tenants.is_empty();
    let paths = match &context.config.from {
        None if has_tenants => Vec::new(),
        _ => context.config.import_paths()?,
    };
    export::check_place(&context.config.export, &context.config.lake)?;
    let lake = context.lake();
    lake.check().await?;
    let _lock = match Lock::try_take(lake.root(), "nightly", "nightly", context.clock.now_micros())? {
        Tried::Taken(lock) => lock,
        Tried::Held(who) => {
            return Err(Error::Source(format!("{who} is at work on the lake {}; this one leaves", lake.root().display())));
        }
    };
    let mut failures = Vec::new();

    if has_tenants {
        failures.extend(live(context).await?);
        goes_on(context)?;
    }
    if !paths.is_empty() {
        let shown: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
        context.tell(format_args!("import from {}", shown.join(", ")));
        failures.extend(files::land_configured(&paths, &files::settings(context), context).await?);
        goes_on(context)?;
    }
    tokio::select! {
        biased;
        // Exports and compactions appear complete or not at all.
        () = context.stop.asked() => goes_on(context)?,
        done = upkeep(context) => failures.extend(done?),
    }
    context.tell("");
    context.tell("Look next: `kqlake tables` (what the lake holds), `kqlake queries` (what it can be asked),");
    context.tell(format_args!(
        "`kqlake run section-completion-gaps` (what did not arrive), `kqlake ledger --failed` (why), {} (CSV for Power BI)",
        context.config.export.display()
    ));
    finish(&failures)
}

/// Fails when somebody asked to end.
fn goes_on(context: &Context) -> Result<()> {
    if context.stop.is_asked() {
        return Err(Error::Incomplete("the night was asked to end; the next one goes on where it ended".to_owned()));
    }
    Ok(())
}

/// The sections of the configured tenants. Gives what failed.
async fn live(context: &Context) -> Result<Vec<Error>> {
    let names: Vec<&str> = context.config.tenants.iter().map(|tenant| tenant.name.as_str()).collect();
    context.tell(format_args!("import of {}", names.join(", ")));
    let world = sections::world(context)?;
    let tasks = sections::tasks(&SectionFilter::default(), &world, context)?;
    let runner = sections::runner(context, "nightly", std::sync::Arc::new(()));
    let outcomes = sections::run(tasks, runner, world.pace().clone(), context).await;
    for bad in health::check(&context.config, &context.lake(), &context.clock).await {
        report::line(format_args!("warning: {}: {}", bad.component, bad.detail));
    }
    context.tell("");
    Ok(sections::failures(&outcomes))
}

/// What a night does behind its imports. Gives what failed.
async fn upkeep(context: &Context) -> Result<Vec<Error>> {
    let mut failures = Vec::new();
    let export = &context.config.export;
    context.tell("");
    context.tell(format_args!("saved queries, exported to {}", export.display()));
    failures.extend(export_all(context).await?);

    context.tell("");
    context.tell("compaction");
    failures.extend(compact_all(context).await);
    Ok(failures)
}

/// Runs and exports the marked saved queries, each on its own: one that fails does not keep the others.
async fn export_all(context: &Context) -> Result<Vec<Error>> {
    let engine = context.engine().with_clock(export_clock(context));
    let mut export = Export::begin(&context.config.export, &context.config.lake)?;
    let saved = saved::all(Path::new(saved::FOLDER))?;
    input::warn_of_params(&saved, context);
    let queries: Vec<&SavedQuery> = saved.queries.iter().filter(|q| q.export).collect();
    warn_of_names(queries.iter().map(|query| query.name.as_str()), context);
    let progress = Progress::new(context, "running the saved queries");
    let mut failures: Vec<Error> = saved.broken.into_iter().map(|broken| broken.error).collect();
    for query in queries {
        progress.say(format!("running {}", query.name));
        match export_query(query, &engine, &mut export, context).await {
            Ok(done) => {
                progress.tell(context, &export_line(&query.name, &done));
                warn_of_strange(&done, context);
            }
            Err(err) => {
                progress.tell(context, &format!("{:<44} FAILED", query.name));
                failures.push(err);
            }
        }
    }
    Ok(failures)
}

async fn compact_all(context: &Context) -> Vec<Error> {
    let lake = context.lake();
    let progress = Progress::new(context, "compacting");
    let (mut failures, mut lines) = (Vec::new(), 0);
    for def in tables::all() {
        progress.say(format!("compacting {}", def.name));
        let (line, left) = compact(&lake, def, context).await;
        if let Some(line) = line {
            progress.tell(context, &line);
            lines += 1;
        }
        failures.extend(left);
    }
    if lines == 0 && failures.is_empty() {
        progress.tell(context, "nothing to do");
    }
    failures
}

/// Every failure on standard error; the exit status is that of the gravest, 5 when parts failed for reasons of their own.
fn finish(failures: &[Error]) -> Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    let count = if failures.len() == 1 { "1 part".to_owned() } else { format!("{} parts", failures.len()) };
    let message =
        format!("{count} of the night went wrong, as reported above; the same command goes on where something is missing");
    Err(summarized(failures, message))
}
