//! Files of any known shape: recognition by content, and readers that never hold more than one record.

pub(crate) mod archive;
pub(crate) mod bytes;
pub(crate) mod compressed;
pub(crate) mod csv;
mod csv_rows;
mod dates;
pub(crate) mod documents;
pub(crate) mod input;
pub(crate) mod json;
mod json_records;
mod record;
pub(crate) mod sniff;
mod zip_directory;
