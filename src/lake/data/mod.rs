//! The data files of a table: which columns they have and in which order, how they are written, and how they are opened.

pub(crate) mod checksum;
pub(crate) mod columns;
pub(crate) mod copies;
pub(crate) mod file;
pub(crate) mod layout;
pub(crate) mod measured;
pub(crate) mod nulls;
pub(crate) mod order;
pub(crate) mod promote;
pub(crate) mod rows;
pub(crate) mod runs;
pub(crate) mod writer;
