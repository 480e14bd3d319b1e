//! Runs of flows, called activeflows as in the older system: what they did and where they stand.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use flow::{Medium, Taken};
use serde_json::{Value, json};
use store::{Line, RunRow};

use crate::Api;
use crate::error::Error;
use crate::params::{Page, Params, list as page_of};

/// The newest runs.
pub(crate) async fn list(
    State(api): State<Api>,
    Params(page): Params<Page>,
) -> Result<Json<Value>, Error> {
    let runs = api.runtime.parts.store.runs(page.before()?, page.size()).await?;
    let rows = runs.into_iter().map(|run| (run.created, summary(&run))).collect();
    Ok(Json(page_of(rows, &page)))
}

/// A run with its steps and what was said.
pub(crate) async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Error> {
    let store = &api.runtime.parts.store;
    let run = store.run(&id).await?.ok_or_else(|| unknown(&id))?;
    let taken = store.taken(&id).await?;
    let transcript = store.transcript(&id).await?;
    Ok(Json(full(&run, &taken, &transcript)))
}

/// Ends a run.
pub(crate) async fn stop(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Error> {
    let store = &api.runtime.parts.store;
    let run = store.run(&id).await?.ok_or_else(|| unknown(&id))?;
    if run.outcome.is_some() || !api.runtime.stop_run(&id, "stopped by the API").await? {
        let message = format!("the activeflow {id} is over already");
        return Err(Error::new(StatusCode::CONFLICT, "STATE_INVALID", message));
    }
    let run = store.run(&id).await?.ok_or_else(|| unknown(&id))?;
    Ok(Json(summary(&run)))
}

fn unknown(id: &str) -> Error {
    Error::not_found("ACTIVEFLOW_NOT_FOUND", format!("no activeflow has the id {id}"))
}

/// A run with its steps and what was said, as the API shows it.
pub fn full(run: &RunRow, taken: &[Taken], transcript: &[Line]) -> Value {
    let mut shown = summary(run);
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("variables".into(), json!(run.state.vars));
        shown.insert("executed_actions".into(), json!(taken));
        let lines = transcript.iter();
        let lines = lines.map(|line| json!({ "at": line.at, "who": line.who, "text": line.text }));
        shown.insert("transcript".into(), lines.collect());
    }
    shown
}

fn wait(wait: &flow::run::Waiting) -> Value {
    json!({ "what": wait.what, "until": wait.until })
}

/// A run as a row of a list.
pub fn summary(run: &RunRow) -> Value {
    let status = match (run.outcome, run.state.waiting()) {
        (Some(_), _) => "ended",
        (None, Some(_)) => "waiting",
        (None, None) => "running",
    };
    let reference = match run.medium {
        Medium::Call => "call",
        Medium::Text => "conversation",
        Medium::None => "api",
    };
    json!({
        "id": run.id,
        "customer_id": run.tenant,
        "flow_id": run.flow,
        "flow_name": run.flow_name,
        "status": status,
        "outcome": run.outcome,
        "waiting_for": run.state.waiting().map(wait),
        "waits": run.state.waits().map(wait).collect::<Value>(),
        "reference_type": reference,
        "reference_id": run.subject,
        "tm_create": run.created,
        "tm_update": run.updated,
    })
}
