//! The receiver of call notifications beside the lake: who takes part, and what it says as log lines of the lake.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::plan::spool;
use crate::config::Config;
use crate::error::{Error, Result};
use kqlake_import::{EventLevel, EventLog, Importer, StopSignal, WEBHOOK};
use kqlake_lake::Lake;
use kqlake_remote::cloud::Service;
use kqlake_remote::settings::Tenant;
use kqlake_remote::webhook::{Attention, Journal, Keeper, Party, Receiver, ReceiverLimits, SharedJournal, Spool, fresh_state};
use kqlake_remote::{Pace, World};
use kqlake_value::clock::Clock;

/// Where the receiver listens when nothing else is said: behind a proxy on the same machine, which has the certificate.
pub(crate) const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8780);
/// Time between two commits of log lines.
const FLUSH: Duration = Duration::from_secs(30);
/// Log lines that wait for a commit; more are only counted.
const MOST_LINES: usize = 1_000;

/// Log lines on their way to the lake.
pub(crate) struct LakeJournal {
    lake: Lake,
    clock: Arc<dyn Clock>,
    waiting: Mutex<Waiting>,
    /// Receives each line.
    tell: Box<dyn Fn(EventLevel, &str) + Send + Sync>,
    /// Are woken by notifications, by the names of their tenants.
    wakes: BTreeMap<String, Arc<Notify>>,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<(bool, EventLevel, i64, String)>,
    left_out: u64,
}

impl fmt::Debug for LakeJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LakeJournal").finish_non_exhaustive()
    }
}

impl LakeJournal {
    /// A journal of a lake. `tell` gets each line at once; `wakes` are woken by notifications.
    pub(crate) fn new(
        lake: Lake,
        clock: Arc<dyn Clock>,
        tell: impl Fn(EventLevel, &str) + Send + Sync + 'static,
        wakes: BTreeMap<String, Arc<Notify>>,
    ) -> Self {
        LakeJournal { lake, clock, waiting: Mutex::default(), tell: Box::new(tell), wakes }
    }

    /// Writes the lines that wait, in one commit.
    pub(crate) async fn flush(&self) {
        let Waiting { lines, left_out } = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let mut log = EventLog::of_its_own();
        let operation = |is_receiver| if is_receiver { WEBHOOK } else { Importer::Office365Activity.name() };
        for (is_receiver, severity, at, message) in &lines {
            log.line(operation(*is_receiver), *severity, *at, message);
        }
        if left_out > 0 {
            log.line(WEBHOOK, EventLevel::Warning, self.clock.now_micros(), &format!("{left_out} more lines were left out"));
        }
        if let Err(error) = log.land(&self.lake).await {
            tracing::warn!(%error, "log lines of the receiver are not in the lake");
        }
    }
}

impl Journal for LakeJournal {
    fn line(&self, is_receiver: bool, severity: EventLevel, message: &str) {
        (self.tell)(severity, message);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.lines.len() < MOST_LINES {
            waiting.lines.push((is_receiver, severity, self.clock.now_micros(), message.to_owned()));
        } else {
            waiting.left_out += 1;
        }
    }

    fn notified(&self, tenant: &str, _calls: usize) {
        if let Some(wake) = self.wakes.get(tenant) {
            wake.notify_one();
        }
    }
}

/// True when a tenant's configuration asks for notifications.
pub(crate) fn is_wanted(config: &Config) -> bool {
    config.tenants.iter().any(|tenant| tenant.calls.listen.is_some() || tenant.calls.notification_url.is_some())
}

/// Receivers that listen, and the subscriptions that they keep alive.
#[derive(Debug)]
pub(crate) struct Webhook {
    receivers: Vec<Receiver>,
    keepers: Vec<Keeper>,
    journal: Arc<LakeJournal>,
    pace: Pace,
}

impl Webhook {
    /// Looks whether there is anybody to listen for.
    ///
    /// # Errors
    /// No tenant takes notifications; a secret cannot be read.
    pub(crate) fn check(config: &Config, listen: Option<SocketAddr>) -> Result<()> {
        for (_, tenant) in config.live() {
            if takes_notifications(&tenant?, listen) {
                return Ok(());
            }
        }
        Err(nobody())
    }

    /// Listens for the notifications of all tenants that are configured; on one address for all where one is given.
    ///
    /// # Errors
    /// An address cannot be bound; no tenant takes notifications; a secret cannot be read.
    pub(crate) async fn bind(
        config: &Config,
        listen: Option<SocketAddr>,
        world: &World,
        journal: Arc<LakeJournal>,
    ) -> Result<Webhook> {
        let mut addresses: BTreeMap<SocketAddr, Vec<Party>> = BTreeMap::new();
        let mut keepers = Vec::new();
        for (_, tenant) in config.live() {
            let tenant = tenant?;
            if !takes_notifications(&tenant, listen) {
                continue;
            }
            let shared: SharedJournal = journal.clone();
            let (party, keeper) = party(&tenant, world, shared)?;
            keepers.extend(keeper);
            addresses.entry(listen.or(tenant.calls.listen).unwrap_or(DEFAULT_LISTEN)).or_default().push(party);
        }
        if addresses.is_empty() {
            return Err(nobody());
        }
        let spool = Spool::new(&spool(&config.lake));
        let mut receivers = Vec::new();
        for (address, parties) in addresses {
            let shared: SharedJournal = journal.clone();
            let bound =
                Receiver::bind(address, parties, spool.clone(), shared, ReceiverLimits::default(), world.pace().clone()).await;
            receivers.push(bound.map_err(|error| Error::Source(format!("the receiver cannot listen on {address}: {error}")))?);
        }
        Ok(Webhook { receivers, keepers, journal, pace: world.pace().clone() })
    }

    /// The addresses that are listened on.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.receivers.iter().filter_map(|receiver| receiver.address().ok()).collect()
    }

    /// True when a subscription is kept alive.
    pub(crate) fn keeps_subscriptions(&self) -> bool {
        !self.keepers.is_empty()
    }

    /// Receives until somebody asks to stop.
    ///
    /// # Errors
    /// A listener fails.
    pub(crate) async fn run(self, stop: StopSignal) -> Result<()> {
        let mut receiving = JoinSet::new();
        let mut keeping = JoinSet::new();
        for receiver in self.receivers {
            receiving.spawn(receiver.serve(stop.clone()));
        }
        // The service validates the address when it subscribes: somebody must answer by then.
        for keeper in self.keepers {
            keeping.spawn(keeper.keep(stop.clone()));
        }
        let ended = loop {
            tokio::select! {
                ended = receiving.join_next() => match ended {
                    None => break Ok(()),
                    Some(Ok(Ok(()))) => {}
                    Some(Ok(Err(error))) => break Err(Error::Source(format!("the receiver of notifications ended: {error}"))),
                    Some(Err(error)) => break Err(Error::Defect(error.to_string())),
                },
                () = self.pace.sleep(FLUSH) => self.journal.flush().await,
            }
        };
        keeping.shutdown().await;
        self.journal.flush().await;
        ended
    }
}

/// Whether notifications of a tenant are received: one has said where.
fn takes_notifications(tenant: &Tenant, listen: Option<SocketAddr>) -> bool {
    listen.is_some() || tenant.calls.listen.is_some() || tenant.calls.notification_url.is_some()
}

fn nobody() -> Error {
    Error::usage("no tenant takes notifications of calls")
        .hint("set notification_url in the tenant's table calls: the public address that leads to this receiver")
}

/// A tenant that takes part, and who keeps its subscription where it has an address.
fn party(tenant: &Tenant, world: &World, journal: SharedJournal) -> Result<(Party, Option<Keeper>)> {
    let look = Arc::new(Attention::default());
    let is_new_state = tenant.calls.client_state.is_none();
    let client_state = tenant.calls.client_state.clone().unwrap_or_else(fresh_state);
    let party =
        Party { name: tenant.name.clone(), id: tenant.id.clone(), client_state: client_state.clone(), look: Arc::clone(&look) };
    let Some(url) = tenant.calls.notification_url.clone() else { return Ok((party, None)) };
    let api = world.api(tenant, Service::Graph).map_err(|error| Error::usage(format!("tenant {}: {error}", tenant.name)))?;
    let lifecycle = tenant.calls.lifecycle_url.clone();
    let keeper = Keeper { api, tenant: tenant.name.clone(), url, lifecycle, client_state, is_new_state, look, journal };
    Ok((party, Some(keeper)))
}
