//! Where units of import come from: a source lists them, says what each is, and opens them.
//!
//! The runner asks a source for the units that follow a cursor, leaves out those that the ledger knows, opens the others a few
//! at a time, and reads their bodies. Rows are committed first and the ledger after them; the commit of the ledger carries the
//! cursor of the last unit before which nothing is missing. A run that is cut off continues from there, and what it had landed
//! beyond lands no second time.
//!
//! Files are the first source. A source of pages or blobs fits the same way: its units may expire, their bodies may stream from
//! the network, opening one may fail for now or for good, and several sources may be read in one run.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::pin::Pin;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;

/// What a source answers, when it has it.
pub type Reply<'s, T> = Pin<Box<dyn Future<Output = Result<T, SourceError>> + Send + 's>>;

/// Lists units of import and opens them.
///
/// Units of one source are landed in the order in which they are listed. Methods are called from tasks of the async runtime:
/// what blocks belongs on a thread of its own.
pub trait Source: fmt::Debug + Send + Sync {
    /// The name under which its cursor is kept, such as `graph/users`; no two sources of a lake share one.
    fn stream(&self) -> &str;

    /// Lists units that follow a cursor; without one, those from the beginning. The answer may be one page of several.
    ///
    /// # Errors
    /// The listing cannot be fetched; the cursor stays where it is.
    fn list(&self, after: Option<Value>) -> Reply<'_, UnitPage>;

    /// Opens a unit.
    ///
    /// # Errors
    /// It cannot be opened for now, or is [gone](SourceError::gone) for good.
    fn open<'s>(&'s self, unit: &'s ListedUnit) -> Reply<'s, Opened>;

    /// True when units are fetched in the order in which they expire, after all were listed; for sources without cursors.
    fn expiring_first(&self) -> bool {
        false
    }

    /// True when the windows of its units leave no time out between them: a time that none covers is then a hole.
    fn tiles(&self) -> bool {
        false
    }

    /// How many of its units may be opened before they are landed.
    fn parallel(&self) -> usize {
        16
    }

    /// True when the ledger notes units as they are listed, so that what is never fetched is seen. What is there whenever one
    /// looks, as files are, need not be noted.
    fn keeps_listings(&self) -> bool {
        true
    }

    /// True when the last listing also has what is in the folder of this name: a folder that cannot be listed is a failure of its
    /// own.
    fn has_listed(&self, _folder: &str) -> bool {
        false
    }

    /// True when a unit with nothing but records of no known kind, or whose text is damaged, is done with once they are quarantined. A
    /// service that is not well answers with what it never means, so units of sources that keep listings are asked for again.
    fn quarantines_unknown(&self) -> bool {
        !self.keeps_listings()
    }

    /// The cursor of a unit whose body was read to its end: the one that it was listed with, unless the body said another.
    fn cursor_after(&self, unit: &ListedUnit) -> Option<Value> {
        unit.cursor.clone()
    }

    /// The stamp of what came when a unit was read: the one that it was listed with, unless what came is known to be another content.
    /// What counts as read is what came, so a unit that is listed with another stamp the next time is read again.
    fn stamp_after(&self, unit: &ListedUnit) -> Option<String> {
        unit.stamp.clone()
    }
}

/// The stream under which a source's cursor is kept in the ledger.
pub(crate) fn stream_of(source: &dyn Source) -> String {
    format!("source/{}", source.stream())
}

/// Units that a source has.
#[derive(Debug, Default)]
pub struct UnitPage {
    /// The units, in the order in which they are landed.
    pub units: Vec<ListedUnit>,
    /// What could not be listed: its name, and why. The cursor does not go past it.
    pub failures: Vec<(String, String)>,
    /// Where the listing continues; `None` at its end.
    pub next: Option<Value>,
    /// The cursor that is reached once the units of this page, and all before them, are in the lake. It is kept also when the
    /// page has no unit.
    pub cursor: Option<Value>,
    /// The cursor that names where this listing began, where none was kept. It is kept with what is listed, so that a run that
    /// is cut off and goes on later begins at the same instant, and not at a later one.
    pub begin: Option<Value>,
}

/// What a source says of a unit before it is opened.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListedUnit {
    /// Its name: what the ledger knows it by.
    pub name: String,
    /// A text that is another one whenever the content may be another one; `None` where only the content can show it.
    pub stamp: Option<String>,
    /// Bytes that will be read; 0 where that is not known.
    pub bytes: u64,
    /// The instants between which its records lie (microseconds since 1970).
    pub window: Option<(i64, i64)>,
    /// True when it is all of its kind that its source has of its window, as the report of a day is: a window that cannot be had is then
    /// a hole. Of sources that [tile](Source::tiles) their time it need not be said.
    pub is_stretch: bool,
    /// When it is no longer there (microseconds since 1970).
    pub expires: Option<i64>,
    /// When it was listed first; the import fills it in.
    pub listed: Option<i64>,
    /// The cursor that is reached once this unit, and all before it, are in the lake.
    pub cursor: Option<Value>,
    /// True when opening it may wait long for somebody else, as a pipe does for its writer.
    pub waits: bool,
}

/// A unit that can be read.
#[derive(Debug)]
pub struct Opened {
    /// Its content.
    pub body: Body,
    /// When the service gave it (microseconds since 1970), for snapshots and other states that change: of two states of one thing
    /// and day the later one stays. `None` where the unit's name may tell its day.
    pub taken_at: Option<i64>,
}

/// The content of a unit.
pub enum Body {
    /// A file, which may be an archive.
    File(File),
    /// Bytes that are read once.
    Stream(Box<dyn Read + Send>),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::File(file) => f.debug_tuple("File").field(file).finish(),
            Body::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl Body {
    /// A body that an async task feeds while it is read. At most `pieces` wait in between. The body ends when the feed is
    /// dropped, and breaks off where the feed says an error.
    pub fn fed(pieces: usize) -> (Feed, Body) {
        let (sender, receiver) = mpsc::channel(pieces.max(1));
        (Feed(sender), Body::Stream(Box::new(Fed { receiver, piece: Bytes::new() })))
    }
}

/// The writing end of a [`Body::fed`].
#[derive(Debug, Clone)]
pub struct Feed(mpsc::Sender<io::Result<Bytes>>);

impl Feed {
    /// Gives the next piece, or why there is none. False when the reader is gone.
    pub async fn give(&self, piece: io::Result<Bytes>) -> bool {
        self.0.send(piece).await.is_ok()
    }
}

struct Fed {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Fed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

/// Why a source could not list or open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct SourceError {
    /// Why, as a sentence. It must hold no secret.
    pub reason: String,
    /// The status that a service answered with.
    pub status: Option<u16>,
    /// True when it will never be there again: the cursor goes past it.
    pub gone: bool,
    /// True when nothing is wrong with it: the source leaves it for a later run. It stays listed, and is no failure.
    pub later: bool,
}

impl SourceError {
    /// Something that may go well the next time.
    pub fn for_now(reason: impl Into<String>) -> Self {
        SourceError { reason: reason.into(), status: None, gone: false, later: false }
    }

    /// A unit that its source leaves for a later run.
    pub fn later() -> Self {
        SourceError { later: true, ..SourceError::for_now("it is left for a later run") }
    }
}
