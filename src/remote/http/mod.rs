//! One try at a request: what is asked, what is sent with it and to whom, and what comes back, inflated and checked for its end.

mod body;
mod error;
mod refusals;
mod request;
mod retry;
mod transport;

pub(crate) use self::body::{BodyError, Reading, json_ends, root_cause};
pub(crate) use self::error::place;
pub use self::error::{Failure, ServiceError};
pub(crate) use self::refusals::KnownRefusal;
pub use self::request::Request;
pub(crate) use self::request::{Auth, Origins, path_part};
pub(crate) use self::retry::{Backoff, date_of, wait_of};
pub(crate) use self::transport::{AGENT, Transport, is_redirect, of_body, said_error};
pub use reqwest::header::HeaderMap;
