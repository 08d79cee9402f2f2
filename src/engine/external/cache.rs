//! Copies of downloaded files below the lake, so that a file comes over the network only when it changed, and that queries run
//! where its server does not answer.
//!
//! A copy is one file: a header of fixed length with what the server said of the version, then the bytes as they came. Its name is
//! a hash of the whole address.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;

use kqlake_durable::{Draft, Staging, create_folders};
use kqlake_kql::external::{Content, ExternalFile};
use kqlake_lake::Lake;
use kqlake_remote::download::{Download, DownloadError, Downloads, Validators, shown_address};
use kqlake_value::clock::Clock;
use kqlake_value::format::{InstantText, hex};

/// The cache's folder in the lake.
const FOLDER: &str = kqlake_lake::folders::EXTERNAL;
/// Bytes of a copy's header.
const HEADER: usize = 4096;
/// The version of the copies' form. Copies of another one are fetched again.
const FORMAT: u32 = 1;
/// Bytes that all copies may have; the oldest go first.
const MAX_BYTES: u64 = 1 << 30;

/// Copies of downloaded files.
#[derive(Debug)]
pub(super) struct Cache {
    /// The lake that keeps them.
    lake: Lake,
    /// Where they are; `None` where there is no lake that could keep them. Asked for by the first download alone: a lake is known
    /// by the names of its many tables.
    folder: OnceLock<Option<PathBuf>>,
    /// Where files are that cannot be kept, for as long as a query reads them.
    temporary: PathBuf,
    clock: Arc<dyn Clock>,
}

/// What a server said of a copy's version.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    #[serde(default = "first_format")]
    format: u32,
    etag: Option<String>,
    last_modified: Option<String>,
    /// When it was fetched, in microseconds since 1970.
    fetched_us: i64,
}

/// Copies that name no version have the first one.
fn first_format() -> u32 {
    1
}

/// The bytes of a copy, which begin behind its header.
#[derive(Debug)]
struct Copied(PathBuf);

impl Content for Copied {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(&self.0)?;
        file.seek(SeekFrom::Start(HEADER as u64))?;
        Ok(Box::new(file))
    }
}

/// The bytes of a file that is not kept. Its folder goes with it.
struct Unkept(Staging);

/// A file's name in a temporary folder of its own.
const UNKEPT: &str = "file";

impl std::fmt::Debug for Unkept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Unkept").field(&self.0.path()).finish()
    }
}

impl Content for Unkept {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(self.0.path().join(UNKEPT))?))
    }
}

impl Cache {
    /// The cache of a lake. Touches nothing. A folder that is no lake gets no cache: the path may be mistyped.
    pub(super) fn of(lake: &Lake, temporary: Option<&Path>, clock: Arc<dyn Clock>) -> Cache {
        let temporary = temporary.map_or_else(std::env::temp_dir, Path::to_owned);
        Cache { lake: lake.clone(), folder: OnceLock::new(), temporary, clock }
    }

    fn folder(&self) -> Option<&Path> {
        let folder = || self.lake.is_there().then(|| self.lake.root().join(FOLDER));
        self.folder.get_or_init(folder).as_deref()
    }

    /// The file at an address: as it is now, or the copy where nobody answers.
    ///
    /// # Errors
    /// It may not be read, or cannot be fetched, and there is no copy.
    pub(super) async fn get(&self, url: &Url, downloads: &Downloads) -> Result<ExternalFile, DownloadError> {
        let kept = self.folder().map(|folder| folder.join(name_of(url)));
        let copy = kept.as_deref().and_then(|path| Some((path, header_of(path)?)));
        let name = shown_address(url.as_str());
        let file = |content: Arc<dyn Content>, warning: Option<String>| ExternalFile { content, name: name.clone(), warning };
        let copied = |path: &Path, warning| file(Arc::new(Copied(path.to_owned())), warning);
        let known = copy.as_ref().map(|(_, h)| Validators { etag: h.etag.clone(), last_modified: h.last_modified.clone() });
        let known = known.unwrap_or_default();
        // A lake that may only be read is no reason to fail.
        let (draft, warning) = match kept.as_deref().map(|path| (path, begin(path))) {
            Some((path, Ok(draft))) => (Some((path, draft)), None),
            Some((_, Err(err))) => (None, Some(format!("{name} cannot be kept in the lake for later: {err}"))),
            None => (None, None),
        };
        let got = if let Some((path, draft)) = draft {
            match downloads.get(url, &known, &mut draft.file()).await {
                Ok(Download::New(said)) => {
                    self.keep(draft, said).map_err(DownloadError::Write)?;
                    Ok(Some(copied(path, None)))
                }
                other => other.map(|_| None),
            }
        } else {
            let folder = Staging::create(&self.temporary).map_err(DownloadError::Write)?;
            let mut out = File::create(folder.path().join(UNKEPT)).map_err(DownloadError::Write)?;
            match downloads.get(url, &known, &mut out).await {
                Ok(Download::New(_)) => Ok(Some(file(Arc::new(Unkept(folder)), warning))),
                other => other.map(|_| None),
            }
        };
        match (got, copy) {
            (Ok(Some(file)), _) => Ok(file),
            (Ok(None), Some((path, _))) => Ok(copied(path, None)),
            // Nobody asked for a version.
            (Ok(None), None) => Err(DownloadError::Refused(format!("{name} answers that nothing has changed"))),
            (Err(DownloadError::Unreachable(why)), Some((path, header))) => {
                let then = InstantText::of_us(header.fetched_us);
                Ok(copied(path, Some(format!("{why}; the copy of {}Z is read instead", then.with_digits(0)))))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Completes a copy and makes room for it.
    fn keep(&self, draft: Draft, said: Validators) -> io::Result<()> {
        let Validators { etag, last_modified } = said;
        let header = Header { format: FORMAT, etag, last_modified, fetched_us: self.clock.now_micros() };
        let text = serde_json::to_vec(&header)?;
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
        let mut copies: Vec<(SystemTime, u64, PathBuf)> = self
            .folder()
            .into_iter()
            .filter_map(|folder| fs::read_dir(folder).ok())
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

/// Begins a copy, with room for its header.
fn begin(path: &Path) -> io::Result<Draft> {
    path.parent().map_or(Ok(()), create_folders)?;
    let draft = Draft::create(path)?;
    draft.file().write_all(&[b' '; HEADER])?;
    Ok(draft)
}

/// A copy's name, which shows nothing of the address.
fn name_of(url: &Url) -> String {
    let mut bare = url.clone();
    bare.set_fragment(None);
    hex(&Sha256::digest(bare.as_str()))
}

/// The header of a copy; `None` where there is none that can be read.
fn header_of(path: &Path) -> Option<Header> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(HEADER as u64).read_to_end(&mut bytes).ok()?;
    if bytes.len() < HEADER {
        return None;
    }
    serde_json::from_slice(&bytes).ok().filter(|header: &Header| header.format == FORMAT)
}
