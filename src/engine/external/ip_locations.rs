//! The places of IP addresses, from a file in MaxMind's format: that of GeoLite2, of GeoIP2, and of other publishers.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use maxminddb::{MaxMindDbError, PathElement, Reader, path as elements};

use crate::config::ExternalSettings as Settings;
use kqlake_kql::external::{ExternalRefusal, IpLocation, IpLocations, Unavailable};

/// The file that the configuration names.
///
/// # Errors
/// When it names none.
pub(super) fn path(settings: &Settings) -> Result<&Path, ExternalRefusal> {
    settings.ip_locations.as_deref().ok_or_else(|| ExternalRefusal {
        message: "geo_info_from_ip_address needs a file with the places of IP addresses".to_owned(),
        advice: format!(
            "have one in MaxMind's format (such as GeoLite2-City.mmdb), and write in {}: ip_locations = \
             \"FOLDER/GeoLite2-City.mmdb\"",
            settings.file_shown()
        ),
    })
}

/// Opens it.
///
/// # Errors
/// When none is named, or it is no such file.
pub(super) fn open(settings: &Settings) -> Result<Arc<dyn IpLocations>, Unavailable> {
    let path = path(settings)?;
    let reader = Reader::open_readfile(path).map_err(|err| {
        Unavailable::Misconfigured(ExternalRefusal {
            message: format!("`ip_locations` in {}: cannot read {}: {err}", settings.file_shown(), path.display()),
            advice: "name a file in MaxMind's format (.mmdb)".to_owned(),
        })
    })?;
    Ok(Arc::new(Places { path: path.to_owned(), reader }))
}

struct Places {
    path: PathBuf,
    reader: Reader<Vec<u8>>,
}

impl Places {
    /// What the file says. It is none that it has no such addresses, or other values in these places; that the file is damaged is an
    /// error.
    fn known<T>(&self, found: Result<T, MaxMindDbError>) -> Result<Option<T>, String> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(err @ (MaxMindDbError::InvalidDatabase { .. } | MaxMindDbError::Io(_))) => {
                Err(format!("cannot read {}: {err}", self.path.display()))
            }
            Err(_) => Ok(None),
        }
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Places").field(&self.path).finish()
    }
}

impl IpLocations for Places {
    fn find(&self, address: IpAddr) -> Result<Option<IpLocation>, String> {
        let Some(found) = self.known(self.reader.lookup(address))?.filter(|found| found.has_data()) else { return Ok(None) };
        let text = |path: &[PathElement<'_>]| self.known(found.decode_path::<String>(path)).map(Option::flatten);
        let number = |path: &[PathElement<'_>]| self.known(found.decode_path::<f64>(path)).map(Option::flatten);
        let place = IpLocation {
            country: text(&elements!["country", "names", "en"])?,
            state: text(&elements!["subdivisions", 0, "names", "en"])?,
            city: text(&elements!["city", "names", "en"])?,
            latitude: number(&elements!["location", "latitude"])?,
            longitude: number(&elements!["location", "longitude"])?,
        };
        Ok((place != IpLocation::default()).then_some(place))
    }

    fn identity(&self) -> String {
        format!("{} {}", self.path.display(), self.reader.metadata().build_epoch)
    }
}
