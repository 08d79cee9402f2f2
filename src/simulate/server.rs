//! The server: every service below its prefix, and what every request passes through.

use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;

use crate::answer::{self, Called, OnDelivery};
use crate::clock::http_date;
use crate::faults;
use crate::link::Cutter;
use crate::world::World;
use crate::{control, services};

/// Bodies below this size are not worth a compression.
const SMALL: u64 = 512;

/// The whole tenant.
pub(crate) fn router(world: Arc<World>) -> Router {
    let mut router = Router::new();
    for (prefix, routes) in services::all() {
        router = router.nest(&format!("/{prefix}"), routes);
    }
    let router = router.layer(middleware::from_fn_with_state(Arc::clone(&world), pass));
    router.nest("/_control", control::routes()).with_state(world)
}

/// What every request passes through: faults, compression, counts, and the simulated date.
async fn pass(State(world): State<Arc<World>>, mut request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let path = uri.path();
    let service = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let address = uri.path_and_query().map_or(path, |address| address.as_str());
    let cutter = request.extensions().get::<ConnectInfo<Cutter>>().map(|info| info.0.clone());
    let encoded = world.settings.gzip && accepts_gzip(request.headers());
    let fault = world.faults.decide(service, request.method().as_str(), &answer::decoded(path), address);
    request.extensions_mut().insert(Called(uri.clone()));
    let now = world.now() + world.settings.clock_skew_seconds * 1_000_000;
    let instead = match &fault {
        Some(what) => faults::before(what, service, now, cutter.as_ref()).await,
        None => None,
    };
    let mut response = match (instead, fault) {
        (Some(instead), _) => instead,
        (None, None) => {
            let response = next.run(request).await;
            if let Some(OnDelivery(tell)) = response.extensions().get() {
                tell(&world);
            }
            if encoded && is_worth_it(&response) { faults::compressed(response) } else { response }
        }
        (None, Some(what)) => {
            let response = next.run(request).await;
            if let Some(OnDelivery(tell)) = response.extensions().get().filter(|_| what.leaves_it_whole()) {
                tell(&world);
            }
            match faults::after(&what, response, encoded, cutter.as_ref()).await {
                Ok(response) => response,
                Err(err) => answer::text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", err.to_string()),
            }
        }
    };
    world.served.count(service, response.status().as_u16());
    if let Ok(date) = HeaderValue::from_str(&http_date(now)) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|coding| coding.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("gzip"))
}

fn is_worth_it(response: &Response) -> bool {
    response.status() == StatusCode::OK && response.body().size_hint().exact().is_none_or(|size| size >= SMALL)
}
