//! Application Insights and Log Analytics records in all the shapes they are exported in.

mod continuous;
pub(crate) mod events_api;
pub(crate) mod mapping;
mod tables;
