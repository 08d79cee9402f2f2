//! The services, each with its routes below its prefix, and with the truth of its data.

pub(crate) mod app_insights;
mod covered_range;
pub(crate) mod graph;
pub(crate) mod log_analytics;
pub(crate) mod login;
pub(crate) mod management;
mod query;
mod quota;
pub(crate) mod reporting;
pub(crate) mod service_bus;

use std::sync::Arc;

use axum::Router;

use crate::world::{Truth, World};

/// The services by the first segment of their paths.
pub(crate) fn all() -> [(&'static str, Router<Arc<World>>); 7] {
    [
        ("login", login::routes()),
        ("management", management::routes()),
        ("graph", graph::routes()),
        ("reporting", reporting::routes()),
        ("insights", app_insights::routes()),
        ("loganalytics", log_analytics::routes()),
        ("servicebus", service_bus::routes()),
    ]
}

/// What is true of the data of each.
pub(crate) fn truths() -> Vec<Truth> {
    vec![management::truth, graph::truth, reporting::truth, app_insights::truth, log_analytics::truth]
}
