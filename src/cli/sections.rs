//! Live sections on the command line: what runs, one line for each that has ended, and what all of it comes to.

use std::sync::Arc;
use std::time::Duration;

use super::files::{settings, tell_units};
use super::progress::Progress;
use super::{Context, report};
use crate::error::{Error, Result, status};
use crate::live::board::Board;
use crate::live::cycle::{Runner, Watcher, failed};
use crate::live::heartbeat::{EVERY, Heartbeat};
use crate::live::plan::{self, SectionFilter};
use crate::live::{SectionOutcome, Task};
use kqlake_import::{self as import, Filter, ImportOptions, Section, SectionReport};
use kqlake_remote::{Pace, World};

/// Time between two looks at the board.
const LOOK: Duration = Duration::from_millis(250);

/// Tells on the terminal how sections go on.
pub(super) struct Teller {
    context: Context,
    progress: Arc<Progress>,
    /// True where lines name the tenant.
    with_tenant: bool,
    /// True where sections are reported only when something came.
    only_news: bool,
}

impl Teller {
    /// A teller whose lines stand above a progress.
    pub(super) fn new(context: &Context, progress: &Arc<Progress>, only_news: bool) -> Teller {
        let with_tenant = context.config.tenants.len() > 1;
        Teller { context: context.clone(), progress: Arc::clone(progress), with_tenant, only_news }
    }

    fn name(&self, tenant: &str, section: Section) -> String {
        if self.with_tenant { format!("{tenant}: {section}") } else { section.name().to_owned() }
    }
}

impl Watcher for Teller {
    fn waiting(&self, tenant: &str, section: Section, who: &str) {
        let name = self.name(tenant, section);
        self.progress.suspend(|| self.context.say(format_args!("{name} waits: {who} is at work on it")));
    }

    fn ended(&self, outcome: &SectionOutcome) {
        let name = self.name(&outcome.tenant, outcome.section);
        self.progress.suspend(|| match &outcome.result {
            Ok(summary) if self.only_news && summary.is_quiet() && outcome.is_finished() => {}
            Ok(summary) => {
                tell_units(summary, &self.context);
                for section in &summary.sections {
                    self.context.tell(line(&name, section));
                }
            }
            Err(error) => {
                self.context.tell(format_args!("{name:<24} FAILED"));
                report::error(error);
            }
        });
    }
}

/// A world for the command's tenants.
///
/// # Errors
/// Connections cannot be made from this machine.
pub(super) fn world(context: &Context) -> Result<World> {
    plan::world(&context.config, Pace::real(Arc::clone(&context.clock)))
}

/// A runner that tells a watcher, and the board that it writes on.
pub(super) fn runner(context: &Context, command: &'static str, watcher: Arc<dyn Watcher>) -> Runner {
    let options = ImportOptions { stop: context.stop.clone(), ..settings(context) };
    Runner { lake: context.lake(), options, command, board: Board::default(), watcher }
}

/// Runs tasks with progress, and tells what came of each.
pub(super) async fn run(tasks: Vec<Task>, runner: Runner, pace: Pace, context: &Context) -> Vec<SectionOutcome> {
    let progress = Arc::new(Progress::new(context, "importing"));
    let runner = Runner { watcher: Arc::new(Teller::new(context, &progress, false)), ..runner };
    let heartbeat = (!runner.options.dry_run)
        .then(|| Heartbeat::start(runner.lake.clone(), pace, runner.board.clone(), runner.command, EVERY));
    let board = runner.board.clone();
    let mut cycle = std::pin::pin!(runner.cycle(tasks));
    loop {
        match tokio::time::timeout(LOOK, cycle.as_mut()).await {
            Ok(outcomes) => {
                if let Some(heartbeat) = heartbeat {
                    heartbeat.end().await;
                }
                return outcomes;
            }
            Err(_) => progress.say(board.text()),
        }
    }
}

/// The tasks that were asked for.
///
/// # Errors
/// A tenant that is asked for is not configured; nothing is switched on.
pub(super) fn tasks(wanted: &SectionFilter, world: &World, context: &Context) -> Result<Vec<Task>> {
    let tasks = plan::tasks(&context.config, wanted, world)?;
    if tasks.is_empty() {
        return Err(Error::usage("no section is switched on that has something to read")
            .hint("see `import_job_settings` in the configuration, and `kqlake doctor`"));
    }
    Ok(tasks)
}

/// Tells what sections would fetch: one line each, and with `-v` one for every unit.
///
/// # Errors
/// As [`outcome`], for what could not be listed.
pub(super) async fn preview(tasks: Vec<Task>, runner: &Runner, context: &Context) -> Result<()> {
    let count = tasks.len();
    let mut bad = Vec::new();
    for Task { tenant, section, work } in tasks {
        let name = if context.config.tenants.len() > 1 { format!("{tenant}: {section}") } else { section.name().to_owned() };
        let previews = match work {
            Ok(work) => {
                let filter = Filter { org_urls: work.org_urls, ..runner.options.filter.clone() };
                let options = ImportOptions { filter, section: Some(section), ..runner.options.clone() };
                import::preview(&runner.lake, &work.sources, &options).await.map_err(failed)
            }
            Err(error) => Err(error),
        };
        let previews = match previews {
            Ok(previews) => previews,
            Err(error) => {
                report::error(&error);
                bad.push(name);
                continue;
            }
        };
        let sum = |of: fn(&import::Preview) -> u64| previews.iter().map(of).sum::<u64>();
        let (listed, fetched) = (sum(|preview| preview.listed), sum(|preview| preview.to_fetch.len() as u64));
        let bytes: u64 = previews.iter().flat_map(|preview| &preview.to_fetch).map(|unit| unit.bytes).sum();
        let size = if bytes > 0 { format!(", {bytes} bytes as far as that is known") } else { String::new() };
        context.tell(format_args!("{name:<24} {fetched:>8} of {listed} listed units would be fetched{size}"));
        if context.verbose > 0 {
            previews.iter().flat_map(|preview| &preview.to_fetch).for_each(|unit| context.tell(format_args!("  {}", unit.name)));
        }
        for (what, why) in previews.iter().flat_map(|preview| &preview.failures) {
            report::line(format_args!("warning: {what} could not be listed: {why}"));
        }
        if previews.iter().any(|preview| !preview.failures.is_empty()) {
            bad.push(name);
        }
    }
    match bad.len() {
        0 => Ok(()),
        all if all == count => Err(Error::Source("no section could be listed".to_owned())),
        _ => Err(Error::Incomplete(format!("not everything could be listed: {}", bad.join(", ")))),
    }
}

/// The exit status's truth about sections.
///
/// # Errors
/// [`Error::Source`] when nothing of any section could be read, [`Error::Incomplete`] when some finished and some did not; what
/// is graver goes before.
pub(super) fn outcome(outcomes: &[SectionOutcome]) -> Result<()> {
    let bad: Vec<&SectionOutcome> = outcomes.iter().filter(|outcome| !outcome.is_well()).collect();
    if bad.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = bad.iter().map(|outcome| format!("{} of {}", outcome.section, outcome.tenant)).collect();
    let (count, all, names) = (bad.len(), outcomes.len(), names.join(", "));
    let message = if bad.iter().all(|outcome| outcome.has_all()) {
        format!(
            "{count} of {all} sections got records that cannot be read ({names}); they are quarantined, `kqlake quarantine` lists them"
        )
    } else {
        format!(
            "{count} of {all} sections did not get everything ({names}); what was committed stays, and the same command goes on \
             from there"
        )
    };
    let statuses: Vec<u8> = bad.iter().filter_map(|outcome| outcome.result.as_ref().err()).map(Error::status).collect();
    let has_shortfall = bad.iter().any(|outcome| outcome.result.as_ref().is_ok_and(|summary| !summary.shortfalls.is_empty()));
    Err(match statuses.as_slice() {
        some if some.contains(&status::DEFECT) => Error::Defect(message),
        some if some.contains(&status::STORAGE) || has_shortfall => Error::Storage { message, hint: None, source: None },
        all if all.len() == outcomes.len() && all.iter().all(|status| *status == status::USAGE) => Error::usage(message),
        _ if outcomes.iter().all(SectionOutcome::is_unread) => Error::Source(message),
        _ => Error::Incomplete(message),
    })
}

fn line(name: &str, section: &SectionReport) -> String {
    let mut parts = vec![format!("{} new", section.new)];
    let counts = [
        (section.replaced, "replaced"),
        (section.duplicates, "there already"),
        (section.out_of_scope, "of other sites"),
        (section.refused, "refused"),
        (section.expired, "units EXPIRED before they were fetched"),
        (section.failed, "units failed"),
        (section.unchanged, "units known"),
        (section.known, "units known to have refused records"),
        (section.gone, "units known to have expired"),
    ];
    let worded = |(count, what): (u64, &str)| match (count, what.strip_prefix("units")) {
        (1, Some(rest)) => format!("1 unit{rest}"),
        _ => format!("{count} {what}"),
    };
    parts.extend(counts.into_iter().filter(|(count, _)| *count > 0).map(worded));
    let state = if section.finished { "" } else { "  NOT FINISHED" };
    let fetched = section.units - (section.unchanged + section.known + section.gone).min(section.units);
    #[expect(clippy::cast_precision_loss, reason = "a duration for people")]
    let seconds = section.micros as f64 / 1e6;
    let units = if fetched == 1 { "1 unit".to_owned() } else { format!("{fetched} units") };
    format!("{name:<24} {units:>12}  {:>10} records: {}  ({seconds:.1} s){state}", section.records, parts.join(", "))
}

/// The failures of sections, as those of a night's parts.
pub(super) fn failures(outcomes: &[SectionOutcome]) -> Vec<Error> {
    outcome(outcomes).err().into_iter().collect()
}
