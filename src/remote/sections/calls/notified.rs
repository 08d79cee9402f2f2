//! Calls that notifications told of: those of the spool, each with its version as the listing of calls gives it, so that one that
//! is in the lake is not fetched. A hint leaves the spool when its calls are in the lake.
//!
//! A queue that another receiver fills is emptied into the spool first: each of its messages is completed when what it tells of is on
//! the disk. One that cannot be read is a unit by itself, is quarantined like any record that nobody can read, and completed then.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::{StreamExt as _, stream};
use kqlake_import::{Body, ListedUnit, Opened, Reply, Source, SourceError, UnitPage};
use kqlake_value::format::hex;
use serde_json::{Value, json};

use super::{Calls, DAY, Head};
use crate::http::{Request, path_part};
use crate::sections::seen::Seen;
use crate::webhook::queue::{Locked, Queue};
use crate::webhook::{Hint, Spool, calls_of};

/// Calls that are asked for at once.
const AT_ONCE: usize = 4;
/// Messages of a queue that one run takes.
const MOST: usize = 100_000;
/// How long a call that cannot be found is waited for: its record may come a while after its notification.
const PATIENCE: i64 = 2 * DAY;

/// The notified calls of a tenant.
#[derive(Debug)]
pub(in super::super) struct Notified {
    calls: Calls,
    /// The tenant's id.
    tenant: String,
    stream: String,
    spool: Spool,
    queue: Option<Queue>,
    /// Messages of the queue that cannot be read, by their units.
    unread: Mutex<HashMap<String, Locked>>,
    /// The files whose hints a unit is of, or a call that is not there yet.
    files: Mutex<HashMap<String, Vec<PathBuf>>>,
}

impl Notified {
    /// The notified calls of a tenant, by its id.
    pub(in super::super) fn new(calls: Calls, tenant: &str, spool: Spool, queue: Option<Queue>) -> Self {
        let stream = format!("{}/notified", calls.stream);
        let (files, unread) = Default::default();
        Notified { calls, tenant: tenant.to_owned(), stream, spool, queue, unread, files }
    }

    fn unread(&self) -> MutexGuard<'_, HashMap<String, Locked>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings what the queue's messages tell of to the spool, and lists those that cannot be read.
    async fn drain(&self, queue: &Queue, listing: &mut UnitPage) -> Result<(), String> {
        for _ in 0..MOST {
            let Some(message) = queue.next().await.map_err(|error| error.to_string())? else { return Ok(()) };
            let Some(calls) = calls_of(&message.body, &self.tenant) else {
                let name = format!("{}/queue/{}", self.stream, message.number);
                if self.unread().insert(name.clone(), message).is_some() {
                    // It is back already: its lock is shorter than this run.
                    return Ok(());
                }
                listing.units.push(ListedUnit { name, stamp: Some("message".to_owned()), ..ListedUnit::default() });
                continue;
            };
            if !calls.is_empty() {
                let hint = Hint { tenant: self.tenant.clone(), received: self.calls.api.now(), calls };
                let spool = self.spool.clone();
                let put = tokio::task::spawn_blocking(move || spool.put(&hint)).await.map_err(std::io::Error::from).flatten();
                put.map_err(|error| format!("a message of the queue cannot be spooled: {error}"))?;
            }
            queue.complete(&message).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn files(&self) -> MutexGuard<'_, HashMap<String, Vec<PathBuf>>> {
        // The map is whole at every instant, whoever panicked.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn waiting(&self) -> Result<UnitPage, SourceError> {
        let mut listing = UnitPage::default();
        if let Some(queue) = &self.queue
            && let Err(reason) = self.drain(queue, &mut listing).await
        {
            // What is in the spool is fetched all the same.
            listing.failures.push((format!("{}/queue", self.stream), reason));
        }
        let (spool, tenant) = (self.spool.clone(), self.tenant.clone());
        let hints = tokio::task::spawn_blocking(move || spool.waiting(&tenant)).await.map_err(std::io::Error::from).flatten();
        let hints = hints.map_err(|error| SourceError::for_now(format!("the spool of notifications cannot be read: {error}")))?;
        let mut calls: HashMap<String, (i64, Vec<PathBuf>)> = HashMap::new();
        for (file, hint) in hints {
            for call in hint.calls {
                let (received, files) = calls.entry(call).or_insert_with(|| (hint.received, Vec::new()));
                *received = hint.received.max(*received);
                files.push(file.clone());
            }
        }
        let now = self.calls.api.now();
        let mut gone = Vec::new();
        let asked = calls.into_iter().map(async |(id, (received, files))| (self.head(&id).await, id, received, files));
        let mut asked = stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some((head, id, received, files)) = asked.next().await {
            match head {
                Ok(Some(unit)) => {
                    self.files().insert(unit.name.clone(), files);
                    listing.units.push(unit);
                }
                Ok(None) => {
                    self.files().insert(id.clone(), files);
                    gone.extend((now - received >= PATIENCE).then_some(id));
                }
                Err(error) => {
                    self.files().insert(id.clone(), files);
                    listing.failures.push((format!("{}/{id}", self.stream), error.reason));
                }
            }
        }
        drop(asked);
        for id in gone {
            tracing::info!(id, "a notified call is not there; what it was is found by listing");
            self.settle(&id);
        }
        listing.units.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listing)
    }

    /// What the service says of a call; none when it does not know it, or not yet.
    async fn head(&self, id: &str) -> Result<Option<ListedUnit>, SourceError> {
        let url = self.calls.api.url(&format!("v1.0/communications/callRecords/{}", path_part(id)));
        match self.calls.api.json_bytes(Request::get(url)).await {
            Ok(answer) => {
                let head: Head = Seen::of(&answer.body).parse().map_err(super::unreadable)?;
                if !head.id.eq_ignore_ascii_case(id) {
                    return Err(SourceError::for_now(format!("what came is no record of the call {id}")));
                }
                Ok(Some(self.calls.unit(&head)))
            }
            Err(error) if matches!(error.status, Some(404 | 410)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A unit needs its hints no more. Files whose other calls still need them stay.
    fn settle(&self, unit: &str) {
        let mut files = self.files();
        for file in files.remove(unit).unwrap_or_default() {
            if files.values().flatten().all(|other| *other != file)
                && let Err(error) = self.spool.done(&file)
            {
                tracing::warn!(%error, "{} stays in the spool", file.display());
            }
        }
    }
}

/// A message as a record that no table takes, which is quarantined with all of it: the queue is the only place that has it.
fn as_record(message: &[u8]) -> Vec<u8> {
    let record = match std::str::from_utf8(message) {
        Ok(text) => json!({ "queueMessage": text }),
        Err(_) => json!({ "queueMessageHex": hex(message) }),
    };
    record.to_string().into_bytes()
}

impl Source for Notified {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn list(&self, _after: Option<Value>) -> Reply<'_, UnitPage> {
        Box::pin(self.waiting())
    }

    /// A message that cannot be read stays so, and is taken out of its queue when it is quarantined.
    fn quarantines_unknown(&self) -> bool {
        true
    }

    fn open<'s>(&'s self, unit: &'s ListedUnit) -> Reply<'s, Opened> {
        if let Some(message) = self.unread().get(&unit.name) {
            let body = Body::Stream(Box::new(std::io::Cursor::new(as_record(&message.body))));
            return Box::pin(async { Ok(Opened { body, taken_at: None }) });
        }
        self.calls.open(unit)
    }

    fn stamp_after(&self, unit: &ListedUnit) -> Option<String> {
        self.calls.stamp_after(unit)
    }

    /// Is asked when the unit is in the lake.
    fn cursor_after(&self, unit: &ListedUnit) -> Option<Value> {
        if let (Some(message), Some(queue)) = (self.unread().remove(&unit.name), self.queue.clone()) {
            // When it is not completed, it comes again, and the ledger knows it.
            tokio::spawn(async move {
                if let Err(error) = queue.complete(&message).await {
                    tracing::warn!(%error, "a message that was quarantined stays in its queue");
                }
            });
        }
        self.settle(&unit.name);
        None
    }
}
