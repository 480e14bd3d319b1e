//! Runs of flows, called activeflows as in the older system: what they did and where they stand.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use flow::{Event, Medium, Taken, Vars};
use runtime::{Begin, Told, Wanted};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Line, RunRow, TurnRow};

use crate::Api;
use crate::access::Holder;
use crate::error::Error;
use crate::params::{Body, Page, Params, list as page_of};
use crate::texts;

/// The newest runs.
pub(crate) async fn list(
    State(api): State<Api>,
    holder: Holder,
    Params(page): Params<Page>,
) -> Result<Json<Value>, Error> {
    let store = &api.runtime.parts.store;
    let runs = store.runs(holder.tenant(), page.before()?, page.size()).await?;
    let rows = runs.into_iter().map(|run| (run.created, summary(&run))).collect();
    Ok(Json(page_of(rows, &page)))
}

/// A run with its steps and what was said.
pub(crate) async fn show(
    State(api): State<Api>,
    holder: Holder,
    Path(id): Path<String>,
) -> Result<Json<Value>, Error> {
    let store = &api.runtime.parts.store;
    let run = store.run(&id).await?.filter(|run| holder.sees(&run.tenant.0));
    let run = run.ok_or_else(|| unknown(&id))?;
    let taken = store.taken(&id).await?;
    let transcript = store.transcript(&id).await?;
    let texts = texts::of(&**store, &run, &taken).await?;
    let turns = store.turns(&id).await?;
    Ok(Json(full(&run, &taken, &transcript, &texts, &turns)))
}

/// Ends a run.
pub(crate) async fn stop(
    State(api): State<Api>,
    holder: Holder,
    Path(id): Path<String>,
) -> Result<Json<Value>, Error> {
    let why = "stopped by the API".to_owned();
    tell(&api, &holder, &id, &Whose::default(), Event::Stopped { why }).await
}

/// What to do when a request says neither which flow it means nor what it does.
pub(crate) const NO_FLOW: &str = "name a flow by `flow_id`, or bring its `actions`";

/// A run to begin.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct New {
    /// The flow, by its name or version.
    flow_id: Option<String>,
    /// The actions themselves, instead.
    actions: Option<Vec<Value>>,
    /// The run's variables.
    #[serde(default)]
    variables: Vars,
    /// The thread that it is about.
    conversation_id: Option<String>,
    /// Whose it is; `default` when absent.
    customer_id: Option<String>,
}

/// Begins a run.
pub(crate) async fn create(
    State(api): State<Api>,
    holder: Holder,
    Body(new): Body<New>,
) -> Result<Json<Value>, Error> {
    let flow = match (new.flow_id, new.actions) {
        (Some(name), None) => Wanted::Named(name),
        (None, Some(actions)) => Wanted::Text(json!(actions).to_string()),
        _ => return Err(Error::missing(NO_FLOW)),
    };
    let mut begin = Begin {
        tenant: Default::default(),
        flow,
        thread: new.conversation_id,
        vars: new.variables,
    };
    if let Some(customer) = holder.owner(new.customer_id)? {
        begin.tenant.0 = customer;
    }
    Ok(Json(summary(&api.runtime.begin_run(begin).await?)))
}

/// Whose run a client means, when it says so.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Whose {
    customer_id: Option<String>,
}

/// Something that a run may wait for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signal {
    /// What it is called.
    name: String,
    /// What it brings.
    #[serde(default)]
    values: Vars,
}

/// Gives an event to a run that waits for it.
pub(crate) async fn signal(
    State(api): State<Api>,
    holder: Holder,
    Path(id): Path<String>,
    Params(whose): Params<Whose>,
    Body(Signal { name, values }): Body<Signal>,
) -> Result<Json<Value>, Error> {
    tell(&api, &holder, &id, &whose, Event::Signal { name, values }).await
}

/// Lets a run go on that waits for nothing but this: the older way, without a name.
pub(crate) async fn go_on(
    State(api): State<Api>,
    holder: Holder,
    Path(id): Path<String>,
    Params(whose): Params<Whose>,
) -> Result<Json<Value>, Error> {
    let event = Event::Signal { name: "continue".into(), values: Vars::new() };
    tell(&api, &holder, &id, &whose, event).await
}

async fn tell(
    api: &Api,
    holder: &Holder,
    id: &str,
    whose: &Whose,
    event: Event,
) -> Result<Json<Value>, Error> {
    let store = &api.runtime.parts.store;
    let run = store.run(id).await?.ok_or_else(|| unknown(id))?;
    let other = whose.customer_id.as_ref().is_some_and(|customer| *customer != run.tenant.0);
    if other || !holder.sees(&run.tenant.0) {
        return Err(unknown(id));
    }
    let conflict = |reason, message| Err(Error::new(StatusCode::CONFLICT, reason, message));
    match api.runtime.tell_run(id, event).await? {
        Told::Taken => {
            let run = store.run(id).await?.ok_or_else(|| unknown(id))?;
            Ok(Json(summary(&run)))
        }
        Told::Unknown => Err(unknown(id)),
        Told::Over => conflict("STATE_INVALID", format!("the activeflow {id} is over already")),
        Told::Unwanted => {
            let message = format!("the activeflow {id} does not wait for this event");
            conflict("ACTIVEFLOW_NOT_WAITING", message)
        }
        Told::Silent => {
            let message = format!("the process that hosts the call of {id} does not answer");
            Err(Error::new(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", message))
        }
    }
}

fn unknown(id: &str) -> Error {
    Error::not_found("ACTIVEFLOW_NOT_FOUND", format!("no activeflow has the id {id}"))
}

/// A run with its steps, what was said, its texts, and what its turns took, as the API shows it.
pub fn full(
    run: &RunRow,
    taken: &[Taken],
    transcript: &[Line],
    texts: &[texts::Told],
    turns: &[TurnRow],
) -> Value {
    let mut shown = summary(run);
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("variables".into(), json!(run.state.vars));
        shown.insert("executed_actions".into(), json!(taken));
        let lines = transcript.iter();
        let lines = lines.map(|line| json!({ "at": line.at, "who": line.who, "text": line.text }));
        shown.insert("transcript".into(), lines.collect());
        shown.insert("texts".into(), json!(texts));
        shown.insert("turns".into(), took(turns));
    }
    shown
}

/// What turns took.
pub(crate) fn took(turns: &[TurnRow]) -> Value {
    let took = |turn: &TurnRow| {
        let mut shown = json!(turn.ledger);
        shown["at"] = json!(turn.at);
        shown
    };
    turns.iter().map(took).collect()
}

fn wait(wait: &flow::run::Waiting) -> Value {
    json!({ "action": wait.action(), "what": wait.what, "until": wait.until })
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
        "reference_activeflow_id": run.state.vars.get("run.parent"),
        "tm_create": run.created,
        "tm_update": run.updated,
    })
}
