//! /health, /readiness, and the answer to paths that do not exist.

use crate::engine::Published;
use crate::status;
use hive_router::ntex::web::{HttpResponse, types};
use std::sync::Arc;

/// The gateway's name, for /health.
#[derive(Clone)]
pub(crate) struct GatewayName(pub(crate) Arc<str>);

/// 200 as long as the process serves; the body says how well.
pub(crate) async fn health(published: types::State<Arc<Published>>, name: types::State<GatewayName>) -> HttpResponse {
    let state = published.state.borrow().clone();
    HttpResponse::Ok().json(&status::to_json(&name.0, &state))
}

/// 200 once there is a graph, else 503.
pub(crate) async fn readiness(published: types::State<Arc<Published>>) -> HttpResponse {
    match published.slot.current() {
        Some(_) => HttpResponse::Ok().body("ready\n"),
        None => HttpResponse::ServiceUnavailable().body("no subgraph yet\n"),
    }
}

/// 404 that says where to look.
pub(crate) async fn not_found() -> HttpResponse {
    HttpResponse::NotFound().body("not found; there are /graphql, /health, /readiness and /metrics\n")
}
