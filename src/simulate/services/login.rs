//! The login service: tokens for an application's own permissions.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use serde_json::json;

use crate::answer::{self, Call};
use crate::world::World;

/// The service's routes, below its prefix.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/{tenant}/oauth2/token", post(token)).route("/{tenant}/oauth2/v2.0/token", post(token))
}

/// All roles for one audience.
const ROLES: [&str; 22] = [
    "ActivityFeed.Read",
    "ActivityFeed.ReadDlp",
    "ServiceHealth.Read",
    "CallRecords.Read.All",
    "CallRecord-PstnCalls.Read.All",
    "User.Read.All",
    "Directory.Read.All",
    "Reports.Read.All",
    "ReportSettings.Read.All",
    "Team.ReadBasic.All",
    "Channel.ReadBasic.All",
    "TeamMember.Read.All",
    "ChannelMember.Read.All",
    "ChannelMessage.Read.All",
    "TeamsAppInstallation.ReadForTeam.All",
    "TeamsAppInstallation.ReadForUser.All",
    "Group.Read.All",
    "ExchangeMessageTrace.Read.All",
    "AuditLogsQuery.Read.All",
    "ReportingWebService.Read.All",
    "Data.Read",
    "AppCatalog.Read.All",
];

async fn token(call: Call) -> Response {
    let form = call.form();
    let field = |name: &str| form.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value.as_str());
    let registration = &call.world.registration;
    if field("client_id") != registration.client_id || field("client_secret") != registration.secret {
        return answer::json(StatusCode::UNAUTHORIZED, &json!({"error": "invalid_client"}));
    }
    let is_v2 = call.path.contains("/v2.0/");
    let audience = if is_v2 { field("scope").trim_end_matches("/.default") } else { field("resource") };
    let (token, text) = call.world.issue(audience, &ROLES);
    let life = token.expires - token.issued;
    let life = if is_v2 { json!(life) } else { json!(life.to_string()) };
    answer::json(
        StatusCode::OK,
        &json!({"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": text}),
    )
}
