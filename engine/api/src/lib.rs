//! The HTTP face and the console.
//!
//! Read in this order: [`access`] (who may come in) → [`error`] (the one shape of a refusal) →
//! [`runs`] (with their [`texts`]), [`calls`], [`conversations`], [`numbers`], [`flows`] (what can be asked) →
//! [`once`] (a request that is repeated) → [`events`] (what happens, as it happens) → [`openapi`] (all of it as a document) →
//! [`health`] (for whoever watches the process) →
//! [`console`] (the page).
//!
//! Invariant: nothing here decides; it reads the store, asks the runtime, and writes JSON.

pub mod access;
mod calls;
mod console;
mod conversations;
mod error;
mod events;
mod flows;
mod health;
mod numbers;
mod once;
pub mod openapi;
mod params;
mod recordings;
pub mod runs;
pub mod texts;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use flow::Catalog;
use metrics_exporter_prometheus::PrometheusHandle;
use runtime::Runtime;
use tokio_util::sync::CancellationToken;

pub use access::Access;

/// The largest body that is read: a flow of thousands of actions.
const LARGEST_BODY: usize = 1024 * 1024;

/// What the API shows, and to whom.
#[derive(Clone)]
pub struct Api {
    /// What runs.
    pub runtime: Arc<Runtime>,
    /// What a flow can do, for checking flows.
    pub catalog: Catalog,
    /// Who may come in.
    pub access: Access,
    /// What was counted.
    pub metrics: PrometheusHandle,
    /// Ends the streams of events, which would last for ever.
    pub stop: CancellationToken,
}

/// What whoever watches a process may ask of it, and nothing else: for one without doors.
pub fn health(api: &Api) -> Router {
    let nothing = || async { error::Error::not_found("NO_DOOR", "this process has no such door") };
    watched(api).fallback(nothing).layer(from_fn(error::answers))
}

fn watched(api: &Api) -> Router {
    let open = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .with_state(api.clone());
    let guarded = Router::new().route("/metrics", get(health::metrics)).with_state(api.clone());
    open.merge(api.access.admit(guarded))
}

/// The API's and the console's routes; carriers' doors are added by whoever wires. Serve it with
/// the peers' addresses ([`Router::into_make_service_with_connect_info`]): without them, nobody
/// but the bearer of a key comes in.
pub fn router(api: Api) -> Router {
    let access = api.access.clone();
    let watched = watched(&api);
    let guarded = Router::new()
        .route("/v1.0/activeflows", get(runs::list).post(runs::create))
        .route("/v1.0/activeflows/{id}", get(runs::show))
        .route("/v1.0/activeflows/{id}/stop", post(runs::stop))
        .route("/v1.0/activeflows/{id}/events", post(runs::signal))
        .route("/v1.0/activeflows/{id}/continue", post(runs::go_on))
        .route("/v1.0/calls", get(calls::list).post(calls::create))
        .route("/v1.0/calls/{id}", get(calls::show))
        .route("/v1.0/recordings", get(recordings::list))
        .route("/v1.0/recordings/{id}", get(recordings::fetch))
        .route("/v1.0/conversations", get(conversations::list))
        .route("/v1.0/conversations/{id}", get(conversations::show))
        .route(
            "/v1.0/conversations/{id}/messages",
            get(conversations::messages).post(conversations::write),
        )
        .route("/v1.0/conversations/{id}/assign", post(conversations::assign))
        .route("/v1.0/numbers", get(numbers::list))
        .route("/v1.0/flows/validate", post(flows::validate))
        .route("/v1.0/openapi.json", get(openapi::show))
        .route("/v1.0/ws", get(events::stream))
        .route("/ws/activity", get(events::stream))
        .route_layer(from_fn_with_state(api.clone(), once::once))
        .with_state(api);
    watched
        .merge(access.admit(guarded))
        .merge(access.guard_pages(console::pages()))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn(error::answers))
}
