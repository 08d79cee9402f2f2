//! `import`: files of any known shape into the lake.

use std::path::PathBuf;
use std::sync::Arc;

use super::upkeep::outcome;
use super::{Context, files, sections};
use crate::config::parse_date_order;
use crate::error::{Error, Result};
use crate::live::plan::SectionFilter;
use kqlake_import::{DateOrder, Filter, ImportOptions, ImportOverrides, Section};
use kqlake_value::parse::datetimes;
use kqlake_value::us_of_datetime;

/// Import the configured tenants' sections, or files of any known shape: exports, API answers, blobs, portal CSV; plain, .gz, .zip
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake import                                     all sections that are switched on, of all tenants
  kqlake import ActivityLog Calls --tenant contoso
  kqlake import --from ~/Downloads/query_data.csv
  kqlake import --from exports/ --since 2026-01-01
  curl -s https://example.com/export.ndjson | kqlake import --from -
  kqlake import GraphUsageReports --from reports/ --dry-run
Files are recognised by their content, not their names. Importing a file again, or two that overlap, lands each
record once. Records that cannot be read are quarantined below the lake, with file, place and reason, and the exit
status is 5. Of a file with very many such records not all are kept: how many are only counted is said. While
such a file does not change it is known and skipped (`kqlake quarantine`). A file counts as unchanged when its
size, its times and its inode are the same, or its content is; --again reads it all the same, and what is refused then
counts as if it had not been before. Of a folder all files are read but hidden ones (a name with a dot in front), hidden
folders, notes (README, *.md) and what systems put there; name such a file or folder to have it read.
Sections without --from are read from the services of the tenants in the configuration, each by itself: one that fails
does not keep the others, and the same command goes on where it ended. Exit status: 0 when everything that is there is in
the lake, 4 when nothing could be read, 5 when some of it could.")]
pub(super) struct Args {
    /// Sections to import [default: all]: WebTraffic, GraphUsersMetadata, GraphUserApps, GraphUsageReports, GraphTeams, Calls, ActivityLog, MessageTrace
    #[arg(value_name = "SECTION")]
    sections: Vec<Section>,
    /// Only tenants of these names [default: all that are configured]
    #[arg(long = "tenant", value_name = "NAME", conflicts_with = "from")]
    tenants: Vec<String>,
    /// Files and folders to read; `-` is standard input
    #[arg(long, value_name = "PATH", num_args = 1..)]
    from: Vec<PathBuf>,
    /// Only records from this instant on
    #[arg(long, value_name = "DATETIME", value_parser = instant)]
    since: Option<i64>,
    /// Only records before this instant
    #[arg(long, value_name = "DATETIME", value_parser = instant)]
    until: Option<i64>,
    /// What stands first in dates such as 02/03/2026 of files that do not show it: month-first or day-first
    #[arg(long, value_name = "ORDER", value_parser = parse_date_order)]
    date_order: Option<DateOrder>,
    /// The day on which snapshots of users, teams and apps were taken, whatever the names of their files say
    #[arg(long, value_name = "DATE", value_parser = instant)]
    snapshot_date: Option<i64>,
    /// Files: recognise and count, and write nothing. Sections: list what would be fetched (-v: every unit)
    #[arg(long)]
    dry_run: bool,
    /// Read files again that an earlier import finished, or knows to have refused records; --date-order and --snapshot-date do, too
    #[arg(long)]
    again: bool,
}

/// Microseconds since 1970 of an instant as KQL writes it.
fn instant(text: &str) -> Result<i64, String> {
    let ticks = datetimes::literal(text).ok_or("an instant such as 2026-03-01 or 2026-03-01T08:00:00Z was expected")?;
    Ok(us_of_datetime(ticks))
}

/// # Errors
/// When nothing is to be imported, a path does not exist, or the lake cannot be written; [`Error::Incomplete`] when a file
/// or record could not be read.
pub(super) async fn run(args: &Args, context: &Context) -> Result<()> {
    if let (Some(since), Some(until)) = (args.since, args.until)
        && since >= until
    {
        return Err(Error::usage("--since is not before --until: no record lies between them")
            .hint("--since is the first instant that is taken, --until the first one that is not"));
    }
    let is_live = args.from.is_empty() && !context.config.tenants.is_empty();
    let lived = if is_live { live(args, context).await } else { Ok(()) };
    let paths = match (&args.from, &context.config.from) {
        (from, _) if !from.is_empty() => from.clone(),
        (_, Some(configured)) if args.sections.is_empty() && args.tenants.is_empty() => configured.clone(),
        _ if is_live => return lived,
        _ => {
            return Err(Error::usage("no tenant is configured whose sections could be imported")
                .hint("write a configuration with `kqlake init`, or name files or folders with --from PATH"));
        }
    };
    lived?;
    let given = match (args.date_order, args.snapshot_date) {
        (None, None) => None,
        (Some(_), None) => Some("--date-order"),
        (None, Some(_)) => Some("--snapshot-date"),
        (Some(_), Some(_)) => Some("--date-order and --snapshot-date"),
    };
    let options = ImportOptions {
        filter: Filter { sections: args.sections.clone(), since: args.since, until: args.until, ..Filter::default() },
        given: ImportOverrides {
            date_order: args.date_order.unwrap_or(context.config.date_order),
            snapshot_date: args.snapshot_date,
        },
        dry_run: args.dry_run,
        // What is given for the files may be just what was missing, or wrong, when they were read before.
        again: args.again || given.is_some(),
        ..files::settings(context)
    };
    let imported = if args.from.is_empty() {
        outcome(files::land_configured(&paths, &options, context).await?, |_| {
            "some of what `from` names was not imported; everything else is in the lake".to_owned()
        })
    } else {
        files::outcome(&files::land(&paths, &options, context).await?)
    };
    if let Some(given) = given.filter(|_| !args.again) {
        context.say(format_args!(
            "with {given} the files were read whether or not they have changed; records that are there already land no second time"
        ));
    }
    if args.dry_run {
        context.tell("nothing was written (--dry-run)");
    }
    imported
}

/// Imports the sections of the configured tenants.
async fn live(args: &Args, context: &Context) -> Result<()> {
    let wanted = SectionFilter { sections: args.sections.clone(), tenants: args.tenants.clone() };
    let mut world = sections::world(context)?;
    if args.dry_run {
        world = world.that_only_looks();
    }
    let tasks = sections::tasks(&wanted, &world, context)?;
    let mut runner = sections::runner(context, "import", Arc::new(()));
    runner.options.filter = Filter { since: args.since, until: args.until, ..Filter::default() };
    runner.options.again = args.again;
    if args.dry_run {
        sections::preview(tasks, &runner, context).await?;
        context.tell("nothing was fetched or written (--dry-run)");
        return Ok(());
    }
    let outcomes = sections::run(tasks, runner, world.pace().clone(), context).await;
    sections::outcome(&outcomes)
}
