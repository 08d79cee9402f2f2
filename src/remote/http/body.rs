//! The body of an answer: read piece by piece, inflated, bounded, and checked for its end.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;

use crate::pace::Pace;

/// How long the next piece of a body is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Compressed bytes that are inflated at once; they become a thousand times as many at most.
const STEP: usize = 4 << 10;
/// Bodies may be inflated to so many times their size, beyond [`FREE`].
const RATIO: u64 = 400;
/// Bytes that any body may be inflated to.
const FREE: u64 = 4 << 20;

/// Why a body cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It broke off, or is not what it says.
    Broken(String),
    /// It is larger than was allowed.
    TooLarge(String),
}

/// A body that is being read.
pub(crate) struct Reading {
    response: reqwest::Response,
    decoder: Option<MultiGzDecoder<Vec<u8>>>,
    /// What came and is not inflated yet.
    coming: Bytes,
    ended: bool,
    /// Bytes as they came, and as they were given.
    came: u64,
    given: u64,
    cap: u64,
    pace: Pace,
}

impl Reading {
    /// The body of a response, at most so many bytes of it.
    pub(crate) fn new(response: reqwest::Response, cap: u64, pace: Pace) -> Result<Self, BodyError> {
        let encoding = response.headers().get(reqwest::header::CONTENT_ENCODING);
        let encoding = encoding.map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
        let decoder = match encoding.as_deref() {
            None | Some("" | "identity") => None,
            Some("gzip" | "x-gzip") => Some(MultiGzDecoder::new(Vec::new())),
            Some(other) => return Err(BodyError::Broken(format!("the body is encoded as `{other}`, which was not asked for"))),
        };
        Ok(Reading { response, decoder, coming: Bytes::new(), ended: false, came: 0, given: 0, cap, pace })
    }

    /// The next piece; `None` at the end, which was then checked.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            if !self.coming.is_empty() {
                let piece = self.inflate()?;
                if !piece.is_empty() {
                    return self.give(piece).map(Some);
                }
                continue;
            }
            if self.ended {
                return Ok(None);
            }
            let got = self.pace.within(PATIENCE, self.response.chunk()).await;
            match got.ok_or_else(|| BodyError::Broken("the body stands still".to_owned()))? {
                Ok(Some(piece)) => {
                    self.came += piece.len() as u64;
                    self.coming = piece;
                }
                Ok(None) => {
                    self.ended = true;
                    let rest = self.finish()?;
                    if !rest.is_empty() {
                        return self.give(rest).map(Some);
                    }
                }
                Err(error) => return Err(BodyError::Broken(format!("the body broke off: {}", root_cause(&error)))),
            }
        }
    }

    fn inflate(&mut self) -> Result<Bytes, BodyError> {
        let Some(decoder) = &mut self.decoder else { return Ok(std::mem::take(&mut self.coming)) };
        let piece = self.coming.split_to(STEP.min(self.coming.len()));
        decoder.write_all(&piece).map_err(not_gzip)?;
        Ok(Bytes::from(std::mem::take(decoder.get_mut())))
    }

    /// The last bytes of a compressed body, whose length and checksum are looked at.
    fn finish(&mut self) -> Result<Bytes, BodyError> {
        let Some(mut decoder) = self.decoder.take() else { return Ok(Bytes::new()) };
        // Nothing at all is no compressed body, and none that was cut either.
        if self.came == 0 {
            return Ok(Bytes::new());
        }
        decoder.try_finish().map_err(not_gzip)?;
        Ok(Bytes::from(std::mem::take(decoder.get_mut())))
    }

    fn give(&mut self, piece: Bytes) -> Result<Bytes, BodyError> {
        self.given += piece.len() as u64;
        if self.given > self.cap {
            return Err(BodyError::TooLarge(format!("the body has more than {} bytes", self.cap)));
        }
        if self.given > FREE && self.given / RATIO > self.came {
            return Err(BodyError::TooLarge(format!("the body swells to more than {RATIO} times its size")));
        }
        Ok(piece)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given as a function")]
fn not_gzip(error: std::io::Error) -> BodyError {
    BodyError::Broken(format!("the compressed body is damaged or cut off: {error}"))
}

/// The innermost cause of an error: the outer ones say the address.
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Whether JSON whose first and last bytes (other than blanks) are these may have ended where it did.
pub(crate) fn json_ends(first: Option<u8>, last: Option<u8>) -> bool {
    matches!((first, last), (Some(b'['), Some(b']')) | (Some(b'{'), Some(b'}')))
}
