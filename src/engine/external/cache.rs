//! Copies of downloaded files below the lake, so that a file comes over the network only when it changed, and that queries run
//! where its server does not answer.
//!
//! A copy is one file: a header of fixed length with what the server said of the version, then the bytes as they came. Its name is
//! a hash of the whole address.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;

use kqlake_durable::{Draft, create_folders};
use kqlake_kql::external::{Content, ExternalFile};
use kqlake_remote::download::{Download, DownloadError, Downloads, Validators, shown_address};
use kqlake_value::clock::{Clock as _, SystemClock};

/// The cache's folder in the lake.
const FOLDER: &str = kqlake_lake::folders::EXTERNAL;
/// Bytes of a copy's header.
const HEADER: usize = 4096;
/// Bytes that all copies may have; the oldest go first.
const MAX_BYTES: u64 = 1 << 30;

/// Copies of downloaded files.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

/// What a server said of a copy's version.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    etag: Option<String>,
    last_modified: Option<String>,
    /// When it was fetched, in microseconds since 1970.
    fetched_us: i64,
}

/// The bytes of a copy.
#[derive(Debug)]
struct Copied(PathBuf);

impl Content for Copied {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(&self.0)?;
        file.seek(SeekFrom::Start(HEADER as u64))?;
        Ok(Box::new(file))
    }
}

impl Cache {
    /// The cache of a lake. Touches nothing.
    pub(super) fn below(lake: &Path) -> Cache {
        Cache { folder: lake.join(FOLDER) }
    }

    /// The file at an address: as it is now, or the copy where nobody answers.
    ///
    /// # Errors
    /// It may not be read, or cannot be had, and there is no copy.
    pub(super) async fn get(&self, url: &Url, downloads: &Downloads) -> Result<ExternalFile, DownloadError> {
        let path = self.folder.join(name_of(url));
        let copy = header_of(&path);
        let name = shown_address(url.as_str());
        let file =
            |warning: Option<String>| ExternalFile { content: Arc::new(Copied(path.clone())), name: name.clone(), warning };
        let known =
            copy.as_ref().map(|header| Validators { etag: header.etag.clone(), last_modified: header.last_modified.clone() });
        create_folders(&self.folder).map_err(DownloadError::Write)?;
        let draft = Draft::create(&path).map_err(DownloadError::Write)?;
        let mut out = draft.file();
        out.write_all(&[b' '; HEADER]).map_err(DownloadError::Write)?;
        match downloads.get(url, &known.unwrap_or_default(), &mut out).await {
            Ok(Download::NotModified) if copy.is_some() => Ok(file(None)),
            // Nobody asked for a version.
            Ok(Download::NotModified) => Err(DownloadError::Refused(format!("{name} answers that nothing has changed"))),
            Ok(Download::New(said)) => {
                let header = Header { etag: said.etag, last_modified: said.last_modified, fetched_us: SystemClock.now_micros() };
                self.keep(draft, &header).map_err(DownloadError::Write)?;
                Ok(file(None))
            }
            Err(DownloadError::Unreachable(why)) => match copy {
                Some(header) => {
                    let then = chrono::DateTime::from_timestamp_micros(header.fetched_us).unwrap_or_default();
                    let then = then.format("%Y-%m-%dT%H:%M:%SZ");
                    Ok(file(Some(format!("{why}; the copy of {then} is read instead"))))
                }
                None => Err(DownloadError::Unreachable(why)),
            },
            Err(other) => Err(other),
        }
    }

    /// Completes a copy and makes room for it.
    fn keep(&self, draft: Draft, header: &Header) -> io::Result<()> {
        let text = serde_json::to_vec(header)?;
        let mut file = draft.file();
        if text.len() <= HEADER {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&text)?;
        }
        draft.publish()?;
        self.make_room();
        Ok(())
    }

    /// Removes the oldest copies where all together are too large. A copy that cannot be removed is no reason to fail.
    fn make_room(&self) {
        let mut copies: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.len() == 64))
            .filter_map(|entry| {
                let found = entry.metadata().ok()?;
                Some((found.modified().ok()?, found.len(), entry.path()))
            })
            .collect();
        copies.sort();
        let mut all: u64 = copies.iter().map(|(_, bytes, _)| bytes).sum();
        // The newest stays in any case.
        copies.pop();
        for (_, bytes, path) in copies {
            if all <= MAX_BYTES {
                break;
            }
            drop(fs::remove_file(path));
            all -= bytes;
        }
    }
}

/// A copy's name, which shows nothing of the address.
fn name_of(url: &Url) -> String {
    let mut bare = url.clone();
    bare.set_fragment(None);
    Sha256::digest(bare.as_str()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The header of a copy; `None` where there is none that can be read.
fn header_of(path: &Path) -> Option<Header> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(HEADER as u64).read_to_end(&mut bytes).ok()?;
    if bytes.len() < HEADER {
        return None;
    }
    serde_json::from_slice(&bytes).ok()
}
