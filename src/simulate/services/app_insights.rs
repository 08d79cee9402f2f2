//! Application Insights: queries of one application's telemetry, with a token or an API key.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;

use crate::answer::{self, Call};
use crate::manifest::Table;
use crate::services::query::{self, Service};
use crate::world::World;

const AUDIENCES: [&str; 3] =
    ["https://api.applicationinsights.io", "https://api.applicationinsights.us", "https://api.applicationinsights.azure.cn"];

/// The service's routes, below its prefix.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().fallback(serve)
}

/// What a perfect client has of its data.
pub(crate) fn truth(world: &World) -> Vec<Table> {
    query::truth(world, Service::Insights)
}

async fn serve(call: Call) -> Response {
    let path: Vec<&str> = call.path.trim_matches('/').split('/').collect();
    let ["v1", "apps", app, ref rest @ ..] = *path else {
        return *query::error(StatusCode::NOT_FOUND, "PathNotFoundError", "The requested path does not exist", None);
    };
    if let Err(refused) = query::allowed(&call, &AUDIENCES, Some(&call.world.registration.insights_key)) {
        return *refused;
    }
    if !app.eq_ignore_ascii_case(&call.world.registration.insights_app) {
        let message = format!("The application '{app}' could not be found");
        return *query::error(StatusCode::NOT_FOUND, "ApplicationNotFoundError", &message, None);
    }
    match *rest {
        ["query"] => query::answer(call, Service::Insights).await,
        ["metadata"] => answer::json(StatusCode::OK, &query::metadata(Service::Insights)),
        ["query", "schema"] => answer::json(StatusCode::OK, &query::schema(Service::Insights)),
        _ => *query::error(StatusCode::NOT_FOUND, "PathNotFoundError", "The requested path does not exist", None),
    }
}
