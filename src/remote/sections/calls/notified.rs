//! Calls that notifications told of: those of the spool, each with its version as the listing of calls gives it, so that one that
//! is in the lake is not fetched. A hint leaves the spool when its calls are in the lake.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::{StreamExt as _, stream};
use kqlake_import::{ListedUnit, Listing, Opened, Reply, Source, SourceError};
use serde_json::Value;

use super::{Calls, DAY, Head};
use crate::http::{Request, path_part};
use crate::webhook::Spool;

/// Calls that are asked for at once.
const AT_ONCE: usize = 4;
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
    /// The files whose hints a unit is of, or a call that is not there yet.
    files: Mutex<HashMap<String, Vec<PathBuf>>>,
}

impl Notified {
    /// The notified calls of a tenant, by its id.
    pub(in super::super) fn new(calls: Calls, tenant: &str, spool: Spool) -> Self {
        let stream = format!("{}/notified", calls.stream);
        Notified { calls, tenant: tenant.to_owned(), stream, spool, files: Mutex::default() }
    }

    fn files(&self) -> MutexGuard<'_, HashMap<String, Vec<PathBuf>>> {
        // The map is whole at every instant, whoever panicked.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn waiting(&self) -> Result<Listing, SourceError> {
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
        let mut listing = Listing::default();
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
                let head: Head = serde_json::from_slice(&answer.body).map_err(super::unreadable)?;
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

impl Source for Notified {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn list(&self, _after: Option<Value>) -> Reply<'_, Listing> {
        Box::pin(self.waiting())
    }

    fn open<'s>(&'s self, unit: &'s ListedUnit) -> Reply<'s, Opened> {
        self.calls.open(unit)
    }

    /// Is asked when the unit is in the lake.
    fn cursor_after(&self, unit: &ListedUnit) -> Option<Value> {
        self.settle(&unit.name);
        None
    }
}
