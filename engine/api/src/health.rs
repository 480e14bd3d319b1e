//! For whoever watches the process: alive, ready, and what was counted.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::Api;
use crate::access::Holder;
use crate::error::Error;

/// The process answers.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// Whether it can take work, and if not, why.
pub(crate) async fn ready(State(api): State<Api>) -> (StatusCode, Json<Value>) {
    let parts = &api.runtime.parts;
    let doors = async {
        match &parts.doors {
            Some(doors) => doors.ready().await,
            None => Ok(()),
        }
    };
    let (store, queue, doors) = tokio::join!(parts.store.ready(), parts.queue.ready(), doors);
    let queue = queue.and(doors);
    let said = |result: Result<(), String>| result.err().unwrap_or_else(|| "ready".into());
    let stopping = api.stop.is_cancelled();
    let calls = match api.runtime.full() {
        Some(why) => Err(format!("no more calls: {why}")),
        None => Ok(()),
    };
    let ready = store.is_ok() && queue.is_ok() && calls.is_ok() && !stopping;
    let body = json!({
        "ready": ready,
        "store": said(store.map_err(|error| error.to_string())),
        "queue": said(queue.map_err(|error| error.to_string())),
        "calls": said(calls),
        "process": if stopping { "stopping" } else { "ready" },
    });
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body))
}

/// In the text format of Prometheus.
pub(crate) async fn metrics(
    State(api): State<Api>,
    holder: Holder,
) -> Result<impl IntoResponse, Error> {
    holder.sees_all()?;
    // Read here, so that it is as fresh as the question.
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    metrics::gauge!("voxflow_tasks_alive").set(tasks as f64);
    api.runtime.gauge().await;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], api.metrics.render()))
}
