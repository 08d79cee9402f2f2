//! What queries may read beside tables: folders, addresses, watchlists, and a file of the places of IP addresses.

use std::collections::BTreeMap;
use std::path::{Display, Path, PathBuf};

use super::FILE;
use super::file::Document;
use crate::error::Error;
use kqlake_remote::download::AllowedPrefix;

/// A folder whose files `externaldata` may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRoot {
    /// The folder.
    pub folder: PathBuf,
    /// The beginning of the addresses whose files are in it, for queries that were written for the network.
    pub address: Option<String>,
}

/// What queries may read beside tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExternalSettings {
    /// Folders whose files `externaldata` may read, and addresses that stand for one.
    pub roots: Vec<FileRoot>,
    /// Addresses that it may fetch.
    pub addresses: Vec<AllowedPrefix>,
    /// The entries of `external_data` as they are written.
    pub entries: Vec<String>,
    /// The folder with a CSV file for each watchlist.
    pub watchlists: Option<PathBuf>,
    /// The columns that are the search keys of watchlists, by the watchlists' names.
    pub watchlist_keys: BTreeMap<String, String>,
    /// A file in MaxMind's format with the places of IP addresses.
    pub ip_locations: Option<PathBuf>,
    /// The file that says all this, where there is one.
    pub file: Option<PathBuf>,
}

impl ExternalSettings {
    /// What messages call the file that says all this, or would.
    pub fn file_shown(&self) -> Display<'_> {
        self.file.as_deref().unwrap_or(Path::new(FILE)).display()
    }

    /// What a file says, with paths that are meant from its folder. Addresses that may not be ones are added to `wrong`.
    pub(super) fn of(
        document: &mut Document,
        file: Option<&Path>,
        based: &dyn Fn(PathBuf) -> PathBuf,
        wrong: &mut Vec<Error>,
    ) -> ExternalSettings {
        let mut external = ExternalSettings {
            file: file.map(Path::to_owned),
            watchlists: document.watchlists.take().map(based),
            watchlist_keys: document.watchlist_keys.take().unwrap_or_default(),
            ip_locations: document.ip_locations.take().map(based),
            ..ExternalSettings::default()
        };
        for entry in document.external_data.take().into_iter().flatten() {
            if entry.contains("://") {
                match AllowedPrefix::parse(&entry) {
                    Ok(allowed) => external.addresses.push(allowed),
                    Err(why) => {
                        // It may hold a password.
                        let shown = kqlake_remote::download::shown_address(&entry);
                        let error = Error::usage(format!("`external_data` in {}: {shown} {why}", external.file_shown()));
                        wrong
                            .push(error.hint("name folders, and the beginnings of addresses such as https://example.org/lists/"));
                    }
                }
            } else {
                external.roots.push(FileRoot { folder: based(PathBuf::from(&entry)), address: None });
            }
            external.entries.push(entry);
        }
        let locations = document.external_locations.take().into_iter().flatten();
        external.roots.extend(locations.map(|(address, folder)| FileRoot { folder: based(folder), address: Some(address) }));
        external
    }

    /// What is named and not there: a query that needs it would fail.
    pub(super) fn missing(&self) -> Vec<Error> {
        let named = |key: &str, path: &Path, what: &str| {
            let advice = format!("make it, or correct `{key}`");
            Error::usage(format!("`{key}` in {}: {} is no {what} that is there", self.file_shown(), path.display())).hint(advice)
        };
        let mut missing = Vec::new();
        missing.extend(self.watchlists.iter().filter(|path| !path.is_dir()).map(|path| named("watchlists", path, "folder")));
        missing.extend(self.ip_locations.iter().filter(|path| !path.is_file()).map(|path| named("ip_locations", path, "file")));
        for root in self.roots.iter().filter(|root| !root.folder.is_dir()) {
            let key = if root.address.is_some() { "external_locations" } else { "external_data" };
            missing.push(named(key, &root.folder, "folder"));
        }
        missing
    }
}
