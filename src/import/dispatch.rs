//! Lists the units of sources, has them opened and read a few at a time, and hands them on in the order in which they were
//! listed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError};

use serde_json::Value;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, UnboundedSender, channel, unbounded_channel};
use tokio::task::JoinHandle;

use super::batches::{Message, Outbox};
use super::budget::Budget;
use super::ledger::KnownUnits;
use super::source::{ListedUnit, Source, SourceError};
use super::units::{Job, Task, Units};

/// Units that are opened before they are landed.
const OPEN_AHEAD: usize = 16;

/// What comes of the sources, in order.
pub(crate) enum Coming {
    /// A unit.
    Unit(Box<ComingUnit>),
    /// The end of a page of units of a source: the cursor behind it, and what could not be listed, with the reason.
    Page(usize, Option<Value>, Vec<(String, String)>),
    /// A source could not list its units.
    Unlisted(usize, SourceError),
}

/// A unit whose rows come.
pub(crate) struct ComingUnit {
    /// The place of its source among those of the run.
    pub source: usize,
    /// What the source said of it.
    pub listed: ListedUnit,
    /// Its number for the budget.
    pub number: u64,
    /// What is told of it.
    pub messages: UnboundedReceiver<Message>,
}

/// The tasks that list and the threads that read.
pub(crate) struct Dispatch {
    /// What comes of them.
    pub coming: Receiver<Coming>,
    /// What may wait in between.
    pub budget: Arc<Budget>,
    tasks: Vec<JoinHandle<()>>,
}

/// The two ends that a unit is put into, always both at once: threads begin units in the order in which they are landed, so that
/// the first one is never behind those that wait for it.
struct Ends {
    order: Sender<Coming>,
    jobs: UnboundedSender<Job>,
}

impl Dispatch {
    /// Begins to list and to read, with a thread for each reader of units. Sources go on from their cursors.
    pub(crate) fn new(
        sources: &[(Arc<dyn Source>, Option<Value>)],
        known: &Arc<KnownUnits>,
        readers: Vec<Units>,
        queue: usize,
    ) -> Self {
        let (order, coming) = channel(OPEN_AHEAD);
        let (jobs, waiting) = unbounded_channel();
        let budget = Arc::new(Budget::new(queue));
        let ends = Arc::new(Mutex::new(Ends { order, jobs }));
        let numbers = Arc::new(AtomicU64::new(1));
        let list = |(at, (source, cursor)): (usize, &(Arc<dyn Source>, Option<Value>))| {
            let lister = Lister {
                at,
                source: Arc::clone(source),
                known: Arc::clone(known),
                ends: Arc::clone(&ends),
                budget: Arc::clone(&budget),
                numbers: Arc::clone(&numbers),
            };
            tokio::spawn(lister.list(cursor.clone()))
        };
        let mut tasks: Vec<JoinHandle<()>> = sources.iter().enumerate().map(list).collect();
        let waiting = Arc::new(Lock::new(waiting));
        tasks.extend(readers.into_iter().map(|mut units| {
            let waiting = Arc::clone(&waiting);
            tokio::task::spawn_blocking(move || while next(&waiting).is_some_and(|job| units.work(job)) {})
        }));
        Dispatch { coming, budget, tasks }
    }

    /// Waits for the end of all tasks and threads, after everything has come.
    ///
    /// # Errors
    /// One of them ended in a panic.
    pub(crate) async fn finish(mut self) -> Result<(), String> {
        for task in std::mem::take(&mut self.tasks) {
            task.await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// Nothing more is listed, and whoever reads ends at the next row. A thread that waits for a pipe is not waited for.
impl Drop for Dispatch {
    fn drop(&mut self) {
        self.budget.close();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn next(waiting: &Lock<UnboundedReceiver<Job>>) -> Option<Job> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv()
}

/// Lists the units of one source.
struct Lister {
    at: usize,
    source: Arc<dyn Source>,
    known: Arc<KnownUnits>,
    ends: Arc<Mutex<Ends>>,
    budget: Arc<Budget>,
    numbers: Arc<AtomicU64>,
}

impl Lister {
    async fn list(self, mut after: Option<Value>) {
        loop {
            let listing = match self.source.list(after).await {
                Ok(listing) => listing,
                Err(error) => {
                    self.tell(Coming::Unlisted(self.at, error)).await;
                    return;
                }
            };
            for unit in listing.units {
                if !self.unit(unit).await {
                    return;
                }
            }
            let page = Coming::Page(self.at, listing.cursor, listing.failures);
            if !self.tell(page).await {
                return;
            }
            match listing.next {
                Some(next) => after = Some(next),
                None => return,
            }
        }
    }

    async fn tell(&self, coming: Coming) -> bool {
        self.ends.lock().await.order.send(coming).await.is_ok()
    }

    /// Puts a unit into both queues. False when nobody takes any more.
    async fn unit(&self, unit: ListedUnit) -> bool {
        let known = unit.stamp.as_deref().map_or_else(Vec::new, |stamp| self.known.by_stamp(&unit.name, stamp));
        let (sender, messages) = unbounded_channel();
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let coming = ComingUnit { source: self.at, listed: unit.clone(), number, messages };
        let ends = self.ends.lock().await;
        if ends.order.send(Coming::Unit(Box::new(coming))).await.is_err() {
            return false;
        }
        let task = if known.is_empty() {
            let (source, unit) = (Arc::clone(&self.source), unit.clone());
            Task::Read(tokio::spawn(async move { source.open(&unit).await }))
        } else {
            Task::Recall(known)
        };
        let outbox = Outbox { sender, budget: Arc::clone(&self.budget), unit: number };
        ends.jobs.send(Job { unit, task, outbox }).is_ok()
    }
}
