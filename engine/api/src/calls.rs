//! Calls: those that were, and those that a client makes.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use flow::{Destination, Vars};
use runtime::{CallOut, Wanted};
use serde::Deserialize;
use serde_json::{Value, json};
use store::CallRow;

use crate::Api;
use crate::access::Holder;
use crate::error::Error;
use crate::params::{Body, Page, Params, list as page_of};
use crate::runs::{NO_FLOW, took};

/// Calls that one request may make.
const MOST: usize = 16;

/// The newest calls.
pub(crate) async fn list(
    State(api): State<Api>,
    holder: Holder,
    Params(page): Params<Page>,
) -> Result<Json<Value>, Error> {
    let store = &api.runtime.parts.store;
    let calls = store.calls(holder.tenant(), page.before()?, page.size()).await?;
    let rows = calls.iter().map(|call| (call.started, shown(call))).collect();
    Ok(Json(page_of(rows, &page)))
}

/// One call, with what the turns of its conversations took.
pub(crate) async fn show(
    State(api): State<Api>,
    holder: Holder,
    Path(id): Path<String>,
) -> Result<Json<Value>, Error> {
    let store = &api.runtime.parts.store;
    let call = store.call(&id).await?.filter(|call| holder.sees(&call.tenant.0));
    let unknown = || Error::not_found("CALL_NOT_FOUND", format!("no call has the id {id}"));
    let call = call.ok_or_else(unknown)?;
    let mut shown = shown(&call);
    shown["turns"] = took(&store.turns(&call.run).await?);
    Ok(Json(shown))
}

/// Calls to make.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct New {
    /// The flow that each call runs, by its name or version.
    flow_id: Option<String>,
    /// The actions themselves, instead.
    actions: Option<Vec<Value>>,
    /// Our number that they see calling; the only one when absent.
    source: Option<Party>,
    /// Whom to call.
    destinations: Vec<Party>,
    /// `true` or `yes` hides who calls.
    #[serde(default)]
    anonymous: Value,
    /// Whether the flow begins as soon as there is sound, before anybody has picked up.
    #[serde(default)]
    early_execution: bool,
    /// The variables of the new runs.
    #[serde(default)]
    variables: Vars,
    /// Whose they are; `default` when absent.
    customer_id: Option<String>,
}

/// An address as clients of the older system write it, with more fields than we need.
#[derive(Deserialize)]
struct Party {
    #[serde(rename = "type", default)]
    kind: String,
    target: String,
    #[serde(default)]
    name: Option<String>,
}

/// Calls somebody.
pub(crate) async fn create(
    State(api): State<Api>,
    holder: Holder,
    Body(new): Body<New>,
) -> Result<Json<Value>, Error> {
    let flow = match (new.flow_id, new.actions) {
        (Some(name), _) => Wanted::Named(name),
        (None, Some(actions)) => Wanted::Text(json!(actions).to_string()),
        (None, None) => return Err(Error::missing(NO_FLOW)),
    };
    if new.destinations.is_empty() || new.destinations.len() > MOST {
        return Err(Error::missing(format!("name 1 to {MOST} `destinations`")));
    }
    let to = new.destinations.into_iter().map(|Party { kind, target, name }| {
        let kind = if kind.is_empty() { "tel".to_owned() } else { kind };
        Destination { kind, target, name }
    });
    let mut out = CallOut {
        tenant: Default::default(),
        flow,
        from: new.source.map(|source| source.target),
        to: to.collect(),
        anonymous: new.anonymous == true || new.anonymous == "yes",
        early: new.early_execution,
        vars: new.variables,
        chained: None,
        key: None,
    };
    if let Some(customer) = holder.owner(new.customer_id)? {
        out.tenant.0 = customer;
    }
    if let Some(why) = api.runtime.full() {
        let message = format!("no more calls: {why}; call again in a few seconds");
        return Err(Error::new(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", message));
    }
    let calls = api.runtime.call_out(out).await?;
    let calls: Vec<Value> = calls.iter().map(shown).collect();
    Ok(Json(json!({ "calls": calls, "groupcalls": [] })))
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
