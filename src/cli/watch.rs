//! `watch`: stays, and runs each section at its own period.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::progress::Progress;
use super::sections::{self, Teller};
use super::{Context, report, webhook};
use crate::doctor::freshness::last_finished;
use crate::error::{Error, Result};
use crate::live::health;
use crate::live::heartbeat::{EVERY, Heartbeat};
use crate::live::lock::{Lock, Tried};
use crate::live::plan::{self, SectionFilter};
use crate::live::watch::{Round, period, rounds};
use crate::live::webhook::{Webhook, is_wanted};
use kqlake_import::Section;
use kqlake_remote::{Pace, World};

/// Time between two looks at everything that imports need.
const HEALTH: Duration = Duration::from_secs(3_600);

/// Stay, and import each section at its own period: what a container or a service runs
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake watch
  kqlake watch ActivityLog MessageTrace --tenant contoso
Message traces come every `request_period_in_seconds`; audit records, calls and hits every 15 minutes; usage reports every
6 hours; users, apps and teams once a day. Notifications of calls are received where they are configured (`kqlake webhook`).
Heartbeats and health are events in the lake. SIGTERM and Ctrl-C end it at the next commit, with status 0. The ledger is
that of `import` and `nightly`, which may run beside it: they wait for a section that is under way.")]
pub(super) struct Args {
    /// Sections to import [default: all that are switched on]
    #[arg(value_name = "SECTION")]
    sections: Vec<Section>,
    /// Only tenants of these names [default: all that are configured]
    #[arg(long = "tenant", value_name = "NAME")]
    tenants: Vec<String>,
}

/// # Errors
/// No tenant is configured, or another one watches for the lake.
pub(super) async fn run(args: &Args, context: &Context) -> Result<()> {
    if context.config.tenants.is_empty() {
        return Err(
            Error::usage("no tenant is configured that could be watched").hint("write a configuration with `kqlake init`")
        );
    }
    let lake = context.lake();
    lake.check().await?;
    let world = sections::world(context)?;
    let wanted = SectionFilter { sections: args.sections.clone(), tenants: args.tenants.clone() };
    let tasks = sections::tasks(&wanted, &world, context)?;
    let _lock = match Lock::try_take(lake.root(), "watch", "watch", context.clock.now_micros())? {
        Tried::Taken(lock) => lock,
        Tried::Held(who) => return Err(Error::Source(format!("{who} watches for this lake already; this one leaves"))),
    };
    let progress = Arc::new(Progress::new(context, "watching"));
    let runner = sections::runner(context, "watch", Arc::new(Teller::new(context, &progress, true)));
    let finished = last_finished(&context.engine()).await?;
    let all: Vec<Round> = tasks
        .iter()
        .map(|task| Round {
            tenant: task.tenant.clone(),
            section: task.section,
            period: configured_period(&task.tenant, task.section, context),
            last: finished.get(&(task.tenant.clone(), task.section.name().to_owned())).copied(),
            wake: Arc::default(),
        })
        .collect();
    for round in &all {
        context.say(format_args!("{}: {} every {}", round.tenant, round.section, length(round.period)));
    }
    let pace = world.pace().clone();
    let heartbeat = Heartbeat::start(lake, pace.clone(), runner.board.clone(), "watch", EVERY);
    let health = check_health(context, pace.clone());
    let receiving = receive(&all, &world, context).await?;
    let task = {
        let (config, world) = (context.config.clone(), world.clone());
        move |round: &Round| plan::one(&config, &round.tenant, round.section, &world)
    };
    let watching = rounds(&runner, all, &pace, task);
    let watching = async {
        watching.await;
        Ok(())
    };
    let ended = tokio::try_join!(watching, receiving);
    heartbeat.end().await;
    // It looks at the stop, too; what it waits for on the network is not waited for.
    drop(tokio::time::timeout(Duration::from_secs(5), health).await);
    ended?;
    context.say("ended");
    Ok(())
}

/// The receiver of notifications beside the sections, where one is configured.
async fn receive(all: &[Round], world: &World, context: &Context) -> Result<impl Future<Output = Result<()>> + use<>> {
    let wakes: BTreeMap<String, Arc<Notify>> = all
        .iter()
        .filter(|round| round.section == Section::Calls)
        .map(|round| (round.tenant.clone(), Arc::clone(&round.wake)))
        .collect();
    let lock = match is_wanted(&context.config) {
        true => Lock::try_take(&context.config.lake, "webhook", "watch", context.clock.now_micros())?,
        false => return Ok(futures::future::Either::Left(std::future::ready(Ok(())))),
    };
    let lock = match lock {
        Tried::Taken(lock) => lock,
        Tried::Held(who) => {
            context.say(format_args!("{who} receives the notifications of calls"));
            return Ok(futures::future::Either::Left(std::future::ready(Ok(()))));
        }
    };
    let webhook = Webhook::bind(&context.config, None, world, webhook::journal(context, wakes)).await?;
    webhook::announce(&webhook, context);
    let stop = context.stop.clone();
    Ok(futures::future::Either::Right(async move {
        let _lock = lock;
        webhook.run(stop).await
    }))
}

/// Looks at everything now and then, until somebody asks to stop.
fn check_health(context: &Context, pace: Pace) -> JoinHandle<()> {
    let context = context.clone();
    tokio::spawn(async move {
        while !context.stop.is_asked() {
            for bad in health::check(&context.config, &context.lake(), &context.clock).await {
                report::line(format_args!("warning: {}: {}", bad.component, bad.detail));
            }
            tokio::select! {
                () = context.stop.asked() => {}
                () = pace.sleep(HEALTH) => {}
            }
        }
    })
}

fn configured_period(tenant: &str, section: Section, context: &Context) -> Duration {
    let settings = context.config.tenants.iter().find(|settings| settings.name == tenant);
    match (section, settings) {
        (Section::MessageTrace, Some(settings)) => Duration::from_secs(settings.message_trace.request_period_in_seconds.max(1)),
        _ => period(section),
    }
}

fn length(period: Duration) -> String {
    match period.as_secs() {
        seconds if seconds % 3_600 == 0 => format!("{} h", seconds / 3_600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
