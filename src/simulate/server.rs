//! The server: every service below its prefix, and what every request passes through.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;

use crate::answer::Called;
use crate::clock::http_date;
use crate::world::World;
use crate::{control, services};

/// The whole tenant.
pub(crate) fn router(world: Arc<World>) -> Router {
    let mut router = Router::new().nest("/_control", control::routes());
    for (prefix, routes) in services::all() {
        router = router.nest(&format!("/{prefix}"), routes);
    }
    router.layer(middleware::from_fn_with_state(Arc::clone(&world), pass)).with_state(world)
}

/// What every request passes through: faults, counts, and the simulated date.
async fn pass(State(world): State<Arc<World>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let service = path.split('/').next().unwrap_or_default().to_owned();
    let called = Called(request.uri().clone());
    request.extensions_mut().insert(called);
    let mut response = next.run(request).await;
    world.served.count(&service, response.status().as_u16());
    let date = http_date(world.now() + world.settings.clock_skew_seconds * 1_000_000);
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}
