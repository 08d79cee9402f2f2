//! Which addresses may be fetched: a list of beginnings, and of addresses in full.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::cloud::check_host;

/// An entry of the list: all that is below an address, or that address itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedPrefix(Url);

impl AllowedPrefix {
    /// Reads an entry.
    ///
    /// # Errors
    /// What is wrong with it, as the rest of a sentence that begins with the entry.
    pub fn parse(text: &str) -> Result<AllowedPrefix, String> {
        let url = Url::parse(text).map_err(|err| format!("is no address: {err}"))?;
        check_host(&url)?;
        Ok(AllowedPrefix(url))
    }

    /// True where the entry is this very address, whatever follows its path.
    pub(crate) fn is_whole(&self, url: &Url) -> bool {
        self.is_same_origin(url) && self.0.path() == url.path() && url.path() != "/"
    }

    /// True where an address is below the entry. A part of its path is a whole one: `/lists` covers `/lists/a`, not `/lists-b`.
    pub(crate) fn covers(&self, url: &Url) -> bool {
        let Some(rest) = url.path().strip_prefix(self.0.path()) else { return false };
        let ends = self.0.path().ends_with('/') || rest.is_empty() || rest.starts_with('/');
        ends && self.is_same_origin(url) && !climbs(url.path())
    }

    fn is_same_origin(&self, url: &Url) -> bool {
        let same = self.0.scheme() == url.scheme() && self.0.host() == url.host();
        same && self.0.port_or_known_default() == url.port_or_known_default()
            && url.username().is_empty()
            && url.password().is_none()
    }
}

/// True for a path that a server which decodes it may take for one that goes up.
fn climbs(path: &str) -> bool {
    let mut path = path.to_owned();
    // Some decode twice.
    for _ in 0..3 {
        if path.split(['/', '\\']).any(|part| part == "..") {
            return true;
        }
        path = percent_decode_str(&path).decode_utf8_lossy().into_owned();
    }
    false
}

/// The entry that allows an address and those beside it.
pub(super) fn folder_of(url: &Url) -> String {
    let whole = whole_of(url);
    match whole.rfind('/') {
        Some(end) if end > url.scheme().len() + 3 => whole[..=end].to_owned(),
        _ => whole,
    }
}

/// The entry that allows an address alone.
pub(super) fn whole_of(url: &Url) -> String {
    shown_address(url.as_str())
}

/// An address as it may be shown: without a user's name and password, and without what follows its path, where permissions are.
pub fn shown_address(address: &str) -> String {
    match Url::parse(address) {
        Ok(mut url) if url.has_host() => {
            // Only what has no host has no place for these.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.set_fragment(None);
            let text = url.as_str();
            text.split(';').next().unwrap_or(text).to_owned()
        }
        // What cannot be read may have them anywhere.
        _ => {
            let path = address.split(['?', ';', '#']).next().unwrap_or(address);
            match (path.split_once("://"), path.rsplit_once('@')) {
                (Some((scheme, _)), Some((_, behind))) => format!("{scheme}://{behind}"),
                _ => path.to_owned(),
            }
        }
    }
}
