//! Calls.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use store::CallRow;

use crate::Api;
use crate::error::Error;
use crate::params::{Page, Params, list as page_of};

/// The newest calls.
pub(crate) async fn list(
    State(api): State<Api>,
    Params(page): Params<Page>,
) -> Result<Json<Value>, Error> {
    let calls = api.runtime.parts.store.calls(page.before()?, page.size()).await?;
    let rows = calls.iter().map(|call| (call.started, shown(call))).collect();
    Ok(Json(page_of(rows, &page)))
}

/// One call.
pub(crate) async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Error> {
    match api.runtime.parts.store.call(&id).await? {
        Some(call) => Ok(Json(shown(&call))),
        None => Err(Error::not_found("CALL_NOT_FOUND", format!("no call has the id {id}"))),
    }
}

fn shown(call: &CallRow) -> Value {
    json!({
        "id": call.id,
        "customer_id": call.tenant,
        "carrier": call.carrier,
        "carrier_id": call.carrier_id,
        "source": { "type": "tel", "target": call.from },
        "destination": { "type": "tel", "target": call.to },
        "activeflow_id": call.run,
        "status": call.status,
        "tm_create": call.started,
        "tm_hangup": call.ended,
    })
}
