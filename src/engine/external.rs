//! What queries read beside tables, as the configuration allows it: files of folders, files at addresses by way of a cache, the
//! places of IP addresses, watchlists.

mod cache;
mod ip_locations;
mod watchlists;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

use crate::config::{ExternalSettings as Settings, FileRoot};
use cache::Cache;
use kqlake_kql::external::{Content, External, ExternalAnswer, ExternalFile, ExternalRefusal, ExternalRequest, Unavailable};
use kqlake_lake::Lake;
use kqlake_remote::download::{DownloadError, Downloads, shown_address};
use kqlake_value::clock::Clock;

/// Gives queries what the configuration allows.
#[derive(Debug)]
pub(super) struct AllowedSources {
    settings: Settings,
    downloads: Downloads,
    cache: Cache,
}

impl AllowedSources {
    /// What these settings allow, with a cache in the lake. Files that cannot be kept are in the folder `temporary` meanwhile, the
    /// system's where there is none.
    pub(super) fn new(settings: &Settings, lake: &Lake, temporary: Option<&Path>, clock: Arc<dyn Clock>) -> AllowedSources {
        let downloads = Downloads::new(settings.addresses.clone(), Arc::clone(&clock));
        AllowedSources { settings: settings.clone(), downloads, cache: Cache::of(lake, temporary, clock) }
    }

    /// Where the file of an address is, as far as its text says.
    fn place(&self, address: &str) -> Result<Place, ExternalRefusal> {
        let refused = |message: String, advice: &str| ExternalRefusal { message, advice: advice.to_owned() };
        let Some((scheme, _)) = address.split_once("://") else { return Ok(Place::Path(PathBuf::from(address))) };
        if scheme.eq_ignore_ascii_case("file") {
            let path = Url::parse(address).ok().and_then(|url| url.to_file_path().ok());
            let unreadable = || refused(format!("'{}' names no file", shown_address(address)), "write file:///FOLDER/FILE");
            return path.map(Place::Path).ok_or_else(unreadable);
        }
        if let Some(path) = mirrored(address, &self.settings.roots) {
            return Ok(Place::Mirror(path));
        }
        let shown = shown_address(address);
        let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(url) = url else {
            let advice = format!(
                "https addresses are fetched; for others say in {} below [external_locations] which folder stands for them",
                self.settings.file_shown()
            );
            return Err(refused(format!("externaldata cannot read '{shown}'"), &advice));
        };
        if !url.username().is_empty() || url.password().is_some() || url.path().contains(';') {
            let advice = "use an address that needs none, or one with a shared access signature (?…)";
            return Err(refused(format!("externaldata sends no name, password or key: '{shown}' has one"), advice));
        }
        self.downloads.permits(&url).map_err(|error| self.not_allowed(error))?;
        Ok(Place::Network(url))
    }

    /// What a download that is not allowed lacks.
    fn not_allowed(&self, error: DownloadError) -> ExternalRefusal {
        let (message, entry) = match error {
            DownloadError::NotAllowed { message, entry } => (message, entry),
            other => return ExternalRefusal { message: described(other), advice: String::new() },
        };
        let entries: Vec<String> = self.settings.entries.iter().chain([&entry]).map(|entry| format!("{entry:?}")).collect();
        let advice = format!(
            "to allow it, write in {}: external_data = [{}]; or say below [external_locations] which folder stands for it",
            self.settings.file_shown(),
            entries.join(", ")
        );
        ExternalRefusal { message: format!("externaldata: {message}"), advice }
    }

    async fn file(&self, address: &str) -> Result<ExternalFile, Unavailable> {
        let local = |path: PathBuf| {
            let name = path.display().to_string();
            ExternalFile { content: Arc::new(LocalFile(path)), name, warning: None }
        };
        match self.place(address)? {
            Place::Path(path) => match allowed(&path, &self.settings.roots) {
                Some(path) => Ok(local(path)),
                None => Err(self.no_such_file(&path).into()),
            },
            Place::Mirror(path) => Ok(local(path)),
            Place::Network(url) => match self.cache.get(&url, &self.downloads).await {
                Ok(file) => Ok(file),
                Err(error @ DownloadError::NotAllowed { .. }) => Err(self.not_allowed(error).into()),
                Err(other) => Err(Unavailable::Failed(format!("externaldata: {}", described(other)))),
            },
        }
    }

    fn no_such_file(&self, path: &Path) -> ExternalRefusal {
        let mut folders: Vec<String> = self.settings.roots.iter().map(|root| root.folder.display().to_string()).collect();
        folders.sort();
        folders.dedup();
        let advice = if folders.is_empty() {
            format!("no folder is allowed: name them in {}, external_data = [\"FOLDER\"]", self.settings.file_shown())
        } else {
            format!(
                "allowed are files below {}; a name that does not begin with / is looked for in {}",
                folders.join(", "),
                if folders.len() == 1 { "that folder" } else { "each of these folders" }
            )
        };
        ExternalRefusal { message: format!("externaldata may not read '{}', or there is no such file", path.display()), advice }
    }
}

#[async_trait]
impl External for AllowedSources {
    fn permits(&self, request: &ExternalRequest) -> Result<(), ExternalRefusal> {
        match request {
            ExternalRequest::File(address) => self.place(address).map(drop),
            ExternalRequest::Watchlist(_) | ExternalRequest::WatchlistNames => watchlists::folder(&self.settings).map(drop),
            ExternalRequest::IpLocations => ip_locations::path(&self.settings).map(drop),
        }
    }

    async fn give(&self, request: &ExternalRequest) -> Result<ExternalAnswer, Unavailable> {
        match request {
            ExternalRequest::File(address) => self.file(address).await.map(ExternalAnswer::File),
            ExternalRequest::Watchlist(name) => {
                watchlists::read(&self.settings, name).map(|list| ExternalAnswer::Watchlist(Arc::new(list)))
            }
            ExternalRequest::WatchlistNames => watchlists::names(&self.settings).map(ExternalAnswer::WatchlistNames),
            ExternalRequest::IpLocations => ip_locations::open(&self.settings).map(ExternalAnswer::IpLocations),
        }
    }
}

/// Where a file is.
enum Place {
    /// At a path, which is still to be looked up in the folders.
    Path(PathBuf),
    /// In a folder that stands for an address.
    Mirror(PathBuf),
    /// On the network.
    Network(Url),
}

/// A file of a folder.
#[derive(Debug)]
struct LocalFile(PathBuf);

impl Content for LocalFile {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(&self.0)?))
    }
}

fn described(error: DownloadError) -> String {
    match error {
        DownloadError::NotAllowed { message, .. } | DownloadError::Unreachable(message) | DownloadError::Refused(message) => {
            message
        }
        DownloadError::Write(err) => format!("a file cannot be written: {err}"),
    }
}

/// The file's true place, if it is below one of the folders. A relative path is looked up in each of them.
fn allowed(path: &Path, roots: &[FileRoot]) -> Option<PathBuf> {
    roots.iter().find_map(|root| below(path, &root.folder))
}

fn below(path: &Path, folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    let path = folder.join(path).canonicalize().ok()?;
    (path.starts_with(&folder) && path.is_file()).then_some(path)
}

/// The local file that stands for one on the network: the longest configured beginning of its address says where it is. What
/// follows the path in the address (keys and parameters of a storage account) is left out.
fn mirrored(address: &str, roots: &[FileRoot]) -> Option<PathBuf> {
    let address = address.split(['?', ';']).next().unwrap_or(address);
    let of = |root: &FileRoot| Some((address.strip_prefix(root.address.as_deref()?)?.to_owned(), root.folder.clone()));
    let (rest, folder) = roots.iter().filter_map(of).min_by_key(|(rest, _)| rest.len())?;
    below(Path::new(rest.trim_start_matches('/')), &folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_below_an_allowed_folder_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("in");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(inside.join("a.csv"), "x").unwrap();
        std::fs::write(dir.path().join("secret.csv"), "x").unwrap();
        let roots = [FileRoot { folder: inside.clone(), address: Some("https://example.com/lists/".into()) }];
        assert!(allowed(Path::new("a.csv"), &roots).is_some());
        assert!(allowed(&inside.join("a.csv"), &roots).is_some());
        assert!(allowed(Path::new("../secret.csv"), &roots).is_none());
        assert!(allowed(&dir.path().join("secret.csv"), &roots).is_none());
        assert!(allowed(Path::new("a.csv"), &[]).is_none());
        assert!(allowed(Path::new("none.csv"), &roots).is_none());
        assert!(mirrored("https://example.com/lists/a.csv?sv=1&sig=x", &roots).is_some());
        assert!(mirrored("https://example.com/lists/../secret.csv", &roots).is_none());
        assert!(mirrored("https://example.com/lists//etc/passwd", &roots).is_none());
        assert!(mirrored("https://example.org/lists/a.csv", &roots).is_none());
    }

    #[test]
    fn what_is_refused_says_the_line_that_allows_it_and_no_secret() {
        let settings = Settings { entries: vec!["lists".to_owned()], ..Settings::default() };
        let gives =
            AllowedSources::new(&settings, &Lake::new(Path::new("nowhere")), None, Arc::new(kqlake_value::clock::SystemClock));
        let refused = |address: &str| gives.permits(&ExternalRequest::File(address.to_owned())).unwrap_err();
        let refusal = refused("https://example.org/a/b.csv?sig=canary");
        assert!(refusal.advice.contains("external_data = [\"lists\", \"https://example.org/a/\"]"), "{refusal:?}");
        for address in [
            "https://example.org/a/b.csv?sig=canary",
            "https://user:canary@example.org/b.csv",
            "https://example.org/b.csv;canary",
            "abfss://canary@store.example/b.csv?canary",
            "http://127.0.0.1/b.csv?canary",
        ] {
            let refusal = refused(address);
            assert!(!format!("{refusal:?}").contains("canary"), "{refusal:?}");
        }
    }
}
