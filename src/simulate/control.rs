//! What tests and people steer a running tenant with: `/_control`.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::json;

use crate::answer::{self, Call};
use crate::clock::iso;
use crate::faults::FaultPlan;
use crate::manifest::Manifest;
use crate::world::World;

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/manifest", get(manifest)).route("/clock", post(clock)).route("/faults", post(faults))
}

/// What was served until now, and what is true now.
pub(crate) fn written(world: &World) -> Manifest {
    Manifest {
        seed: world.seed,
        scale: world.scale,
        now: format!("{}Z", iso(world.now(), 6)),
        tenant: world.registration.tenant.clone(),
        tables: world.truths.iter().flat_map(|truth| truth(world)).collect(),
        requests: world.served.requests(),
        notes: world.served.notes(),
        faults: world.faults.injected(),
    }
}

async fn manifest(call: Call) -> Response {
    match serde_json::to_vec_pretty(&written(&call.world)) {
        Ok(body) => answer::text(StatusCode::OK, "application/json; charset=utf-8", body),
        Err(err) => answer::text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", err.to_string()),
    }
}

/// The body is a setting's text, as the command line takes it.
async fn clock(call: Call) -> Response {
    match String::from_utf8_lossy(&call.body).trim().parse() {
        Ok(setting) => {
            call.world.clock.set(setting);
            answer::json(StatusCode::OK, &json!({"now": format!("{}Z", iso(call.world.now(), 6))}))
        }
        Err(why) => answer::text(StatusCode::BAD_REQUEST, "text/plain", why),
    }
}

/// The body is a fault plan, the word `all`, or empty for none.
async fn faults(call: Call) -> Response {
    let text = String::from_utf8_lossy(&call.body);
    let plan = match text.trim() {
        "all" => Ok(FaultPlan::all()),
        text => FaultPlan::read(text),
    };
    match plan {
        Ok(plan) => {
            call.world.faults.set(&plan);
            answer::json(StatusCode::OK, &json!({"injected": call.world.faults.injected()}))
        }
        Err(why) => answer::text(StatusCode::BAD_REQUEST, "text/plain", why.to_string()),
    }
}
