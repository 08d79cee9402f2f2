//! Downloads of files for queries: from addresses that are allowed, over connections that lead to no machine of this network.
//!
//! What is allowed is decided for each address by itself, those that redirects lead to included: its text, and what its name
//! resolves to. No credentials are sent but those that an address itself has.

mod allowed;
mod reach;

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ACCEPT_ENCODING, ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION};
use url::{Host, Url};

pub use self::allowed::{AllowedPrefix, shown_address};
use self::reach::is_public;
use crate::http::{AGENT, BodyError, Reading, is_redirect, place, root_cause};
use crate::pace::Pace;
use kqlake_value::clock::Clock;

/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a file may take, with all that leads to it.
const TIME: Duration = Duration::from_secs(120);
/// Bytes that a file may have.
const MAX_BYTES: u64 = 100 << 20;

/// What a server said of a version of a file, by which it can tell whether there is a newer one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`
    pub etag: Option<String>,
    /// `Last-Modified`
    pub last_modified: Option<String>,
}

/// What a download gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Download {
    /// The known version is the present one.
    NotModified,
    /// The file was written.
    New(Validators),
}

/// Why a file was not downloaded.
#[derive(Debug)]
pub enum DownloadError {
    /// The address, or one that it leads to, is not allowed. `entry` is what would allow it.
    NotAllowed {
        /// A sentence.
        message: String,
        /// An entry of the list of allowed addresses.
        entry: String,
    },
    /// Nobody answered, or the server cannot for now.
    Unreachable(String),
    /// There is an answer, and it is not the file.
    Refused(String),
    /// The file could not be written.
    Write(io::Error),
}

/// Fetches files from a list of allowed addresses.
#[derive(Debug, Clone)]
pub struct Downloads {
    allowed: Vec<AllowedPrefix>,
    pace: Pace,
}

impl Downloads {
    /// Downloads from these addresses alone, with waits by this clock.
    pub fn new(allowed: Vec<AllowedPrefix>, clock: Arc<dyn Clock>) -> Self {
        Downloads { allowed, pace: Pace::real(clock) }
    }

    /// Whether an address may be fetched, as far as its text says.
    ///
    /// # Errors
    /// [`DownloadError::NotAllowed`], with the entry that would allow it.
    pub fn permits(&self, url: &Url) -> Result<(), DownloadError> {
        self.grant(url).map(drop)
    }

    /// True where an entry is this very address, which may then be in a private network.
    fn grant(&self, url: &Url) -> Result<bool, DownloadError> {
        let is_private = match url.host() {
            Some(Host::Ipv4(address)) => !is_public(address.into()),
            Some(Host::Ipv6(address)) => !is_public(address.into()),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => true,
        };
        if self.allowed.iter().any(|allowed| allowed.is_whole(url)) {
            return Ok(true);
        }
        if is_private {
            return Err(private(url));
        }
        if self.allowed.iter().any(|allowed| allowed.covers(url)) {
            return Ok(false);
        }
        let message = format!("{} is not among the addresses that queries may read", place(url));
        Err(DownloadError::NotAllowed { message, entry: allowed::folder_of(url) })
    }

    /// Fetches a file and writes it to `out`, unless it is the version that is known.
    ///
    /// # Errors
    /// See [`DownloadError`]; something may then have been written.
    pub async fn get(&self, url: &Url, known: &Validators, out: &mut (dyn Write + Send)) -> Result<Download, DownloadError> {
        let late = || DownloadError::Unreachable(format!("{} did not give its file within {TIME:?}", place(url)));
        self.pace.within(TIME, self.followed(url, known, out)).await.unwrap_or_else(|| Err(late()))
    }

    async fn followed(&self, url: &Url, known: &Validators, out: &mut (dyn Write + Send)) -> Result<Download, DownloadError> {
        let mut at = url.clone();
        for _ in 0..=REDIRECTS {
            let whole = self.grant(&at)?;
            let response = self.once(&at, whole, known).await?;
            let status = response.status();
            if !is_redirect(status) {
                return self.answer(&at, response, out).await;
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let next = location.and_then(|text| at.join(text).ok());
            let next = next.filter(|next| matches!(next.scheme(), "http" | "https"));
            at = next
                .ok_or_else(|| DownloadError::Refused(format!("{} answers {status} and does not say where to go", place(&at))))?;
        }
        Err(DownloadError::Refused(format!("{} leads on and on", place(url))))
    }

    /// Asks once, over a connection whose end was looked at.
    async fn once(&self, url: &Url, whole: bool, known: &Validators) -> Result<reqwest::Response, DownloadError> {
        let unreachable = |why: String| DownloadError::Unreachable(format!("{}: {why}", place(url)));
        let builder = reqwest::Client::builder()
            .user_agent(AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT);
        let builder = match url.host() {
            // What is written out in full may be anywhere, and then no proxy knows it.
            Some(Host::Domain(name)) => {
                let (name, port) = (name.to_owned(), url.port_or_known_default().unwrap_or(443));
                let asked = name.clone();
                let looked_up = tokio::task::spawn_blocking(move || (asked.as_str(), port).to_socket_addrs());
                let found: Vec<SocketAddr> = match looked_up.await {
                    Ok(Ok(found)) => found.collect(),
                    // Where names are resolved by a proxy alone, the connection to it is all that there can be.
                    Ok(Err(_)) | Err(_) => Vec::new(),
                };
                let is_private = found.iter().any(|end| !is_public(end.ip()));
                if is_private && !whole {
                    return Err(private(url));
                }
                let builder = if is_private { builder.no_proxy() } else { builder };
                builder.resolve_to_addrs(&name, &found)
            }
            Some(Host::Ipv4(address)) if !is_public(address.into()) => builder.no_proxy(),
            Some(Host::Ipv6(address)) if !is_public(address.into()) => builder.no_proxy(),
            _ => builder,
        };
        let client = builder.build().map_err(|err| unreachable(root_cause(&err)))?;
        let mut request = client.get(url.clone()).header(ACCEPT_ENCODING, "gzip");
        if let Some(etag) = &known.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(date) = &known.last_modified {
            request = request.header(IF_MODIFIED_SINCE, date);
        }
        request.send().await.map_err(|err| unreachable(root_cause(&err)))
    }

    async fn answer(
        &self,
        url: &Url,
        response: reqwest::Response,
        out: &mut (dyn Write + Send),
    ) -> Result<Download, DownloadError> {
        let (status, headers) = (response.status(), response.headers().clone());
        if status == StatusCode::NOT_MODIFIED {
            return Ok(Download::NotModified);
        }
        let says = |what: &str| format!("{} answers {status}{what}", place(url));
        match status.as_u16() {
            200 => {}
            408 | 429 | 500..=599 => return Err(DownloadError::Unreachable(says(""))),
            401 | 403 => return Err(DownloadError::Refused(says(": the address is not for everyone, or its signature is over"))),
            _ => return Err(DownloadError::Refused(says(""))),
        }
        let of_body = |error: BodyError| match error {
            BodyError::Broken(why) => DownloadError::Unreachable(format!("{}: {why}", place(url))),
            BodyError::TooLarge(why) => DownloadError::Refused(format!("{}: {why}", place(url))),
        };
        let mut body = Reading::new(response, MAX_BYTES, self.pace.clone()).map_err(of_body)?;
        while let Some(piece) = body.next().await.map_err(of_body)? {
            out.write_all(&piece).map_err(DownloadError::Write)?;
        }
        let said = |name: &HeaderName| text(&headers, name);
        Ok(Download::New(Validators { etag: said(&ETAG), last_modified: said(&LAST_MODIFIED) }))
    }
}

/// Characters of a validator that are kept.
const MAX_VALIDATOR: usize = 1024;

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().filter(|text| text.len() <= MAX_VALIDATOR).map(str::to_owned)
}

fn private(url: &Url) -> DownloadError {
    let message =
        format!("{} is this machine or in a private network, which queries read only where it is written in full", place(url));
    DownloadError::NotAllowed { message, entry: allowed::whole_of(url) }
}

#[cfg(test)]
mod tests;
