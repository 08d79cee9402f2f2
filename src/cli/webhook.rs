//! `webhook`: the receiver of call notifications.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{Context, sections};
use crate::error::{Error, Result};
use crate::live::lock::{Lock, Tried};
use crate::live::webhook::{LakeJournal, Webhook};
use kqlake_import::EventLevel;

/// Receive notifications of calls, and keep the subscription alive that makes them come
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kqlake webhook
  kqlake webhook --listen 127.0.0.1:8780
It answers plain HTTP: a proxy in front of it has the public address, `notification_url` in the tenant's table calls, with
its certificate. Notifications are on the disk before they are acknowledged; `kqlake import Calls` fetches the calls that
they tell of, and `kqlake watch` does both. The lake that is named must be there: the first import makes it. Without any of it calls are found by listing, some minutes later. It ends on
SIGTERM and Ctrl-C with status 0; the subscription stays, for the next one to renew.")]
pub(super) struct Args {
    /// Address to listen on [default: `listen` of the tenant's table calls, else 127.0.0.1:8780]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// # Errors
/// The lake is not there, no tenant takes notifications, the address cannot be bound, or another receiver is at work on the lake.
pub(super) async fn run(args: &Args, context: &Context) -> Result<()> {
    // Whoever mistypes its folder must not fill the spool of a lake that nobody empties.
    let lake = context.existing_lake().await?;
    let world = sections::world(context)?;
    // What is refused leaves nothing behind, such as a folder where there was no lake.
    Webhook::check(&context.config, args.listen)?;
    let _lock = match Lock::try_take(lake.root(), "webhook", "webhook", context.clock.now_micros())? {
        Tried::Taken(lock) => lock,
        Tried::Held(who) => return Err(Error::Source(format!("{who} receives for this lake already; this one leaves"))),
    };
    let webhook = Webhook::bind(&context.config, args.listen, &world, journal(context, BTreeMap::new())).await?;
    announce(&webhook, context);
    webhook.run(context.stop.clone()).await
}

/// A journal whose lines are said on standard error as well.
pub(super) fn journal(context: &Context, wakes: BTreeMap<String, Arc<tokio::sync::Notify>>) -> Arc<LakeJournal> {
    let teller = context.clone();
    let tell = move |severity, message: &str| match severity {
        EventLevel::Information => teller.say(message),
        EventLevel::Warning | EventLevel::Error => super::report::line(format_args!("warning: {message}")),
    };
    Arc::new(LakeJournal::new(context.lake(), Arc::clone(&context.clock), tell, wakes))
}

/// Tells where it listens.
pub(super) fn announce(webhook: &Webhook, context: &Context) {
    for address in webhook.addresses() {
        context.say(format_args!("receiving notifications of calls on http://{address}"));
    }
    if !webhook.keeps_subscriptions() {
        context.say("no tenant has a notification_url: no subscription is kept, whoever notifies must know this address");
    }
}
