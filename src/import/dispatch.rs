//! Lists the units of sources, has them opened and read a few at a time, and hands them on in the order in which they were
//! listed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError};

use serde_json::Value;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, UnboundedSender, channel, unbounded_channel};
use tokio::task::JoinHandle;

use super::ImportError;
use super::batches::{Message, Outbox};
use super::budget::Budget;
use super::ledger::{Overdue, Registrar};
use super::source::{ListedUnit, Source, SourceError, UnitPage};
use super::units::{Job, Task, Units};

/// Pages that are listed before their units are opened.
const PAGES_AHEAD: usize = 1_000;

/// What comes of the sources, in order.
pub(crate) enum Coming {
    /// A unit.
    Unit(Box<ComingUnit>),
    /// The end of a page of units of a source: the cursor behind it, and what could not be listed, with the reason.
    Page(usize, Option<Value>, Vec<(String, String)>),
    /// A source could not list its units.
    Unlisted(usize, SourceError),
    /// A unit that a source had for a while and has no longer, with what became of it.
    Lost(usize, Box<ListedUnit>, String),
    /// The import cannot continue.
    Broken(ImportError),
}

/// A unit whose rows come.
pub(crate) struct ComingUnit {
    /// The place of its source among those of the run.
    pub source: usize,
    /// What the source said of it.
    pub listed: ListedUnit,
    /// Its number for the budget.
    pub number: u64,
    /// What is reported of it.
    pub messages: UnboundedReceiver<Message>,
}

/// The tasks that list and the threads that read.
pub(crate) struct Dispatch {
    /// What comes of them.
    pub coming: Receiver<Coming>,
    /// What may wait in between.
    pub budget: Arc<Budget>,
    /// Units that were listed so far.
    pub listed: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

/// The two ends that a unit is put into, always both at once: threads begin units in the order in which they are landed, so that
/// the first one is never behind those that wait for it.
struct Ends {
    order: Sender<Coming>,
    jobs: UnboundedSender<Job>,
}

impl Dispatch {
    /// Begins to list and to read, with a thread for each reader of units. Sources continue from their cursors.
    pub(crate) fn new(
        sources: &[(Arc<dyn Source>, Option<Value>)],
        registrar: &Registrar,
        readers: Vec<Units>,
        queue: usize,
    ) -> Self {
        let open_ahead = sources.iter().map(|(source, _)| source.parallel()).max();
        let (order, coming) = channel(open_ahead.unwrap_or(1).max(1));
        let (jobs, waiting) = unbounded_channel();
        let budget = Arc::new(Budget::new(queue));
        let ends = Arc::new(Mutex::new(Ends { order, jobs }));
        let numbers = Arc::new(AtomicU64::new(1));
        let counted = Arc::new(AtomicU64::new(0));
        let list = |(at, (source, cursor)): (usize, &(Arc<dyn Source>, Option<Value>))| {
            let lister = Lister {
                at,
                source: Arc::clone(source),
                registrar: registrar.clone(),
                listed: Arc::clone(&counted),
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
        Dispatch { coming, budget, listed: counted, tasks }
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

/// Nothing more is listed, and readers end at the next row. A thread that waits for a pipe is not waited for.
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
    registrar: Registrar,
    listed: Arc<AtomicU64>,
    ends: Arc<Mutex<Ends>>,
    budget: Arc<Budget>,
    numbers: Arc<AtomicU64>,
}

/// What a lister has for its units' way into the queues.
enum Page {
    Listed(UnitPage),
    Lost(ListedUnit, String),
    Unlisted(SourceError),
    Broken(ImportError),
}

/// Where pages go that are listed ahead.
enum Ahead {
    /// To who feeds them into the queues.
    Sent(Sender<Page>),
    /// Together, until all are listed.
    Kept(Vec<Page>),
}

impl Ahead {
    /// False when the receivers are gone.
    async fn take(&mut self, page: Page) -> bool {
        match self {
            Ahead::Sent(pages) => pages.send(page).await.is_ok(),
            Ahead::Kept(pages) => {
                pages.push(page);
                true
            }
        }
    }
}

impl Lister {
    /// Lists ahead of what is opened, so that the ledger soon says of all units that they are there.
    async fn list(self, after: Option<Value>) {
        if self.source.expiring_first() {
            // The order is known only when all are.
            if let Ahead::Kept(pages) = self.pages(after, Ahead::Kept(Vec::new())).await {
                self.feed_expiring_first(pages).await;
            }
        } else {
            let (pages, listed) = channel(PAGES_AHEAD);
            // The sender goes with the listing, which ends the feeding.
            let list = async { drop(self.pages(after, Ahead::Sent(pages)).await) };
            tokio::join!(list, self.feed(listed));
        }
    }

    /// Lists all pages, and notes their units in the ledger.
    async fn pages(&self, mut after: Option<Value>, mut ahead: Ahead) -> Ahead {
        let mut overdue = self.registrar.overdue(self.source.as_ref());
        loop {
            let mut listing = match self.source.list(after).await {
                Ok(listing) => listing,
                Err(error) => {
                    ahead.take(Page::Unlisted(error)).await;
                    return ahead;
                }
            };
            if let Err(error) = self.registrar.note(self.source.as_ref(), &mut listing).await {
                ahead.take(Page::Broken(error)).await;
                return ahead;
            }
            for unit in &listing.units {
                overdue.remove(&unit.name);
            }
            self.listed.fetch_add(listing.units.len() as u64, Ordering::Relaxed);
            let next = listing.next.take();
            let is_whole = listing.failures.is_empty();
            if !ahead.take(Page::Listed(listing)).await || !is_whole && next.is_none() {
                return ahead;
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        for (name, lost) in overdue {
            let Overdue { listed, window, is_stretch, expires, .. } = lost;
            let unit = ListedUnit { name, listed, window, is_stretch, expires: Some(expires), ..ListedUnit::default() };
            if !ahead.take(Page::Lost(unit, lost.reason())).await {
                break;
            }
        }
        ahead
    }

    async fn feed(&self, mut pages: Receiver<Page>) {
        while let Some(page) = pages.recv().await {
            if !self.page(page).await {
                return;
            }
        }
    }

    async fn feed_expiring_first(&self, pages: Vec<Page>) {
        let mut units = Vec::new();
        let mut rest = Vec::new();
        for mut page in pages {
            if let Page::Listed(listing) = &mut page {
                units.append(&mut listing.units);
            }
            rest.push(page);
        }
        units.sort_by_key(|unit: &ListedUnit| unit.expires.unwrap_or(i64::MAX));
        for unit in units {
            if !self.unit(unit).await {
                return;
            }
        }
        for page in rest {
            if !self.page(page).await {
                return;
            }
        }
    }

    /// Puts a page into the queues. False when the receivers are gone.
    async fn page(&self, page: Page) -> bool {
        let coming = match page {
            Page::Listed(listing) => {
                for unit in listing.units {
                    if !self.unit(unit).await {
                        return false;
                    }
                }
                Coming::Page(self.at, listing.cursor, listing.failures)
            }
            Page::Lost(unit, reason) => Coming::Lost(self.at, Box::new(unit), reason),
            Page::Unlisted(error) => Coming::Unlisted(self.at, error),
            Page::Broken(error) => Coming::Broken(error),
        };
        self.tell(coming).await
    }

    async fn tell(&self, coming: Coming) -> bool {
        self.ends.lock().await.order.send(coming).await.is_ok()
    }

    /// Puts a unit into both queues. False when the receivers are gone.
    async fn unit(&self, unit: ListedUnit) -> bool {
        let known = unit.stamp.as_deref().map_or_else(Vec::new, |stamp| self.registrar.known.by_stamp(&unit.name, stamp));
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
