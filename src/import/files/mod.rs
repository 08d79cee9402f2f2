//! Files of any known shape: recognition by content, and readers that never hold more than one record.

pub mod archive;
pub mod bytes;
pub mod csv;
mod csv_rows;
pub mod documents;
pub mod input;
pub mod json;
mod json_records;
mod record;
pub mod sniff;
mod zip_directory;
