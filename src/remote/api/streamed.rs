//! A body on its way to the import. Where a large one breaks off or is damaged it is asked for again; what was handed on already
//! is skipped if it is still the same.

use std::fmt;
use std::io::{self, Read};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{Api, ResponseStart};
use crate::budget::Permit;
use crate::http::{Backoff, BodyError, HeaderMap, Reading, Request};
use kqlake_import::{Body, Feed};
use kqlake_value::json::structure::{StructureCheck, first_byte};

/// Pieces of a body that wait between the network and its reader.
const PIECES: usize = 8;
/// How often a body is begun again.
const TRIES: u32 = 6;

/// A body that has come, or comes.
pub struct Streamed {
    api: Api,
    request: Request,
    begun: ResponseStart,
}

impl fmt::Debug for Streamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streamed").field("request", &self.request).finish_non_exhaustive()
    }
}

impl Streamed {
    pub(super) fn new(api: Api, request: Request, begun: ResponseStart) -> Self {
        Streamed { api, request, begun }
    }

    /// The headers that came with it.
    pub fn headers(&self) -> &HeaderMap {
        &self.begun.headers
    }

    /// The first byte that is no blank, of what has come.
    pub fn first(&self) -> Option<u8> {
        first_byte(&self.begun.held)
    }

    /// The whole body, when it has come already.
    pub fn whole(&self) -> Option<Bytes> {
        self.begun.rest.is_none().then(|| Bytes::from(self.begun.held.concat()))
    }

    /// The body for the import. What cannot be fetched of it in the end is an error of its reader.
    pub fn into_body(self) -> Body {
        let Streamed { api, request, begun } = self;
        let Some((reading, permits)) = begun.rest else {
            return Body::Stream(Box::new(Pieces(begun.held.into_iter().collect())));
        };
        let (feed, body) = Body::fed(PIECES);
        let flow = Flow { api, request, feed, given: 0, digest: Sha256::new(), check: Some(StructureCheck::new()) };
        tokio::spawn(flow.run(begun.held, reading, permits));
        body
    }
}

/// A body that has come.
struct Pieces(std::collections::VecDeque<Bytes>);

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(piece) = self.0.front_mut() {
            if piece.is_empty() {
                self.0.pop_front();
                continue;
            }
            let count = buffer.len().min(piece.len());
            buffer[..count].copy_from_slice(&piece.split_to(count));
            return Ok(count);
        }
        Ok(0)
    }
}

/// Why handing on ends.
enum End {
    /// All was handed on, or nobody takes any more.
    Done,
    /// It broke off, and may go on.
    Broken(String),
    /// The JSON is damaged at this place, or ends there too early, and may be better the next time.
    Odd(u64),
    /// It cannot go on.
    Failed(String),
}

/// Hands on what comes.
struct Flow {
    api: Api,
    request: Request,
    feed: Feed,
    /// Bytes that were handed on.
    given: u64,
    digest: Sha256,
    /// Follows what was handed on; `None` when the service has it damaged.
    check: Option<StructureCheck>,
}

impl Flow {
    async fn run(mut self, held: Vec<Bytes>, reading: Reading, permits: Vec<Permit>) {
        let mut backoff = Backoff::default();
        let mut odd = None;
        let mut end = self.begin(held, reading, permits).await;
        loop {
            let is_over = matches!(end, End::Failed(_)) || backoff.tries() >= TRIES;
            let why = match end {
                End::Done => return,
                End::Failed(why) | End::Broken(why) => why,
                End::Odd(place) => {
                    // The same again: it is what the service has, and its reader says what is wrong with it.
                    if odd == Some(place) {
                        self.check = None;
                    }
                    odd = Some(place);
                    format!("the JSON is damaged or breaks off at byte {place}")
                }
            };
            if is_over {
                self.feed.give(Err(io::Error::other(why))).await;
                return;
            }
            tracing::debug!(why, given = self.given, "a body is asked for again");
            self.api.pace().sleep(backoff.next()).await;
            end = self.again().await;
        }
    }

    /// Hands on what was held, and what comes behind it.
    async fn begin(&mut self, held: Vec<Bytes>, reading: Reading, permits: Vec<Permit>) -> End {
        for piece in held {
            if let Err(end) = self.give(piece).await {
                return end;
            }
        }
        self.flow(reading, permits).await
    }

    /// Hands on all that comes of a body.
    async fn flow(&mut self, mut reading: Reading, _permits: Vec<Permit>) -> End {
        loop {
            match reading.next().await {
                Ok(Some(piece)) => {
                    if let Err(end) = self.give(piece).await {
                        return end;
                    }
                }
                Ok(None) if self.check.as_ref().is_none_or(StructureCheck::is_whole) => return End::Done,
                Ok(None) => return End::Odd(self.given),
                Err(error) => return failed(error),
            }
        }
    }

    /// Asks again, skips what was handed on, and hands on the rest.
    async fn again(&mut self) -> End {
        let begun = match self.api.begin_again(&self.request).await {
            Ok(begun) => begun,
            Err(error) => return End::Failed(error.to_string()),
        };
        let Some((mut reading, permits)) = begun.rest else { return End::Broken("the body is empty".to_owned()) };
        let (mut left, mut digest) = (self.given, Sha256::new());
        while left > 0 {
            let mut piece = match reading.next().await {
                Ok(Some(piece)) => piece,
                Ok(None) => return End::Broken("the body is shorter than before".to_owned()),
                Err(error) => return failed(error),
            };
            let passed = piece.split_to(piece.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
            digest.update(&passed);
            left -= passed.len() as u64;
            if left > 0 {
                continue;
            }
            if digest.finalize_reset() != self.digest.clone().finalize() {
                return End::Failed("the body is another one than before it broke off".to_owned());
            }
            if !piece.is_empty()
                && let Err(end) = self.give(piece).await
            {
                return end;
            }
        }
        self.flow(reading, permits).await
    }

    /// Hands on a piece, if it is not damaged.
    async fn give(&mut self, piece: Bytes) -> Result<(), End> {
        if let Some(check) = &self.check {
            let mut ahead = check.clone();
            ahead.feed(&piece).map_err(|at| End::Odd(self.given + at as u64))?;
            self.check = Some(ahead);
        }
        self.given += piece.len() as u64;
        self.digest.update(&piece);
        if self.feed.give(Ok(piece)).await { Ok(()) } else { Err(End::Done) }
    }
}

fn failed(error: BodyError) -> End {
    match error {
        BodyError::Broken(why) => End::Broken(why),
        BodyError::TooLarge(why) => End::Failed(why),
    }
}
