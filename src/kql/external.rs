//! What queries read that is no table of the lake: files by their addresses, watchlists, and where IP addresses are.
//!
//! The binder names what it needs. Where that is, whether a query may read it, and how it comes here is no matter of this crate:
//! whoever plans a query answers as [`External`].

use std::fmt::Debug;
use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;

/// Something that a query reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ExternalRequest {
    /// The file at an address of `externaldata`: a path, or an address on the network.
    File(String),
    /// The watchlist of a name.
    Watchlist(String),
    /// The names of all watchlists.
    WatchlistNames,
    /// Where IP addresses are.
    IpLocations,
}

/// What a request gives.
#[derive(Debug, Clone)]
pub enum ExternalAnswer {
    /// A file.
    File(ExternalFile),
    /// A watchlist.
    Watchlist(Arc<Watchlist>),
    /// Names of watchlists, in order.
    WatchlistNames(Vec<String>),
    /// Where IP addresses are.
    IpLocations(Arc<dyn IpLocations>),
}

/// A file that a query may read.
#[derive(Debug, Clone)]
pub struct ExternalFile {
    /// Its bytes.
    pub content: Arc<dyn Content>,
    /// What messages call it: an address without credentials, or a path.
    pub name: String,
    /// What its reader should know, such as that it is an old copy.
    pub warning: Option<String>,
}

/// The bytes of a file.
pub trait Content: Debug + Send + Sync {
    /// A reader from the first byte.
    ///
    /// # Errors
    /// The file cannot be opened.
    fn open(&self) -> io::Result<Box<dyn Read + Send>>;
}

/// A watchlist: rows of texts.
#[derive(Debug, Clone)]
pub struct Watchlist {
    /// Names of its columns, in order.
    pub columns: Vec<String>,
    /// Its rows, each with a text for each column.
    pub rows: Vec<Vec<String>>,
    /// The column that `SearchKey` repeats.
    pub search_key: usize,
    /// When it was last changed, in microseconds since 1970.
    pub updated_us: i64,
    /// What its reader should know.
    pub warning: Option<String>,
}

/// Knows where IP addresses are.
pub trait IpLocations: Debug + Send + Sync {
    /// Where an address is; `None` where that is not known.
    ///
    /// # Errors
    /// Nobody can be asked.
    fn find(&self, address: IpAddr) -> Result<Option<IpLocation>, String>;
    /// What distinguishes this source from others.
    fn identity(&self) -> String;
}

/// Where an IP address is, as far as that is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IpLocation {
    /// The country's name.
    pub country: Option<String>,
    /// The name of the state or province.
    pub state: Option<String>,
    /// The city's name.
    pub city: Option<String>,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
}

/// Why a query may not read something, and what would change that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalRefusal {
    /// A sentence.
    pub message: String,
    /// What to do.
    pub advice: String,
}

/// Why something is not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unavailable {
    /// A query may not read it.
    Refused(ExternalRefusal),
    /// It may, but it could not be fetched.
    Failed(String),
    /// It may, but what the configuration says of it is wrong.
    Misconfigured(ExternalRefusal),
}

impl From<ExternalRefusal> for Unavailable {
    fn from(refusal: ExternalRefusal) -> Self {
        Unavailable::Refused(refusal)
    }
}

/// Gives what queries read beside tables.
#[async_trait]
pub trait External: Debug + Send + Sync {
    /// Whether a query may ask for something, as far as its name and the settings say; nothing is opened and nobody asked.
    ///
    /// # Errors
    /// When it may not.
    fn permits(&self, request: &ExternalRequest) -> Result<(), ExternalRefusal>;

    /// Gives it. The variant is that of the request.
    ///
    /// # Errors
    /// When the query may not read it, or it cannot be fetched.
    async fn give(&self, request: &ExternalRequest) -> Result<ExternalAnswer, Unavailable>;
}

/// Nothing beside tables may be read.
#[derive(Debug, Clone, Copy)]
pub struct Nothing;

#[async_trait]
impl External for Nothing {
    fn permits(&self, _: &ExternalRequest) -> Result<(), ExternalRefusal> {
        Err(ExternalRefusal {
            message: "nothing but tables can be read here".to_owned(),
            advice: "run the query with a configuration that allows it".to_owned(),
        })
    }

    async fn give(&self, request: &ExternalRequest) -> Result<ExternalAnswer, Unavailable> {
        match self.permits(request) {
            Err(refusal) => Err(refusal.into()),
            Ok(()) => Err(Unavailable::Failed("nothing is given here".to_owned())),
        }
    }
}
