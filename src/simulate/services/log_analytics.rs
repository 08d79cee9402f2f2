//! Log Analytics: queries of one workspace, with a token.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;

use crate::answer::{self, Call};
use crate::manifest::Table;
use crate::services::query::{self, Service};
use crate::world::World;

const AUDIENCES: [&str; 4] = [
    "https://api.loganalytics.io",
    "https://api.loganalytics.azure.com",
    "https://api.loganalytics.us",
    "https://api.loganalytics.azure.cn",
];

/// The service's routes, below its prefix.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().fallback(serve)
}

/// What a perfect client has of its data.
pub(crate) fn truth(world: &World) -> Vec<Table> {
    query::truth(world, Service::LogAnalytics)
}

async fn serve(call: Call) -> Response {
    let path: Vec<&str> = call.path.trim_matches('/').split('/').collect();
    let ["v1", "workspaces", workspace, ref rest @ ..] = *path else {
        return *query::error(StatusCode::NOT_FOUND, "PathNotFoundError", "The requested path does not exist", None);
    };
    if let Err(refused) = query::allowed(&call, &AUDIENCES, None) {
        return *refused;
    }
    if !workspace.eq_ignore_ascii_case(&call.world.registration.workspace) {
        let message = format!("The workspace '{workspace}' could not be found");
        return *query::error(StatusCode::NOT_FOUND, "WorkspaceNotFoundError", &message, None);
    }
    match *rest {
        ["query"] => query::answer(call, Service::LogAnalytics).await,
        ["metadata"] => answer::json(StatusCode::OK, &query::metadata(Service::LogAnalytics)),
        _ => *query::error(StatusCode::NOT_FOUND, "PathNotFoundError", "The requested path does not exist", None),
    }
}
