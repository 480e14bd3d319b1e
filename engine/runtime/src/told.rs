//! What onlookers and metrics are told of a run, whether it is about a call or a thread.

use flow::{Activeflow, Event, Flows, Key, Outcome, Taken, Vars};
use serde_json::{Value, json};

/// An action was left: counted, and what onlookers are told.
pub(crate) fn taken(taken: &Taken) -> (&'static str, Value) {
    metrics::counter!("voxflow_steps_total", "type" => taken.kind.clone(), "exit" => taken.exit.clone())
        .increment(1);
    let Taken { action, kind, exit, why, .. } = taken;
    ("action", json!({ "action": action, "kind": kind, "exit": exit, "why": why }))
}

/// A run has ended: counted, and what onlookers are told.
pub(crate) fn ended(run: &Activeflow, outcome: Outcome) -> (&'static str, Value) {
    let outcome = json!(outcome);
    let label = outcome.as_str().unwrap_or_default().to_owned();
    metrics::counter!("voxflow_runs_total", "outcome" => label).increment(1);
    ("run_ended", json!({ "outcome": outcome, "why": run.why }))
}

/// What a run waits for, if it waits.
pub(crate) fn waiting(run: &Activeflow, flows: Flows<'_>) -> Option<(&'static str, Value)> {
    let waiting = run.waiting()?;
    let (action, kind) = run.action(flows)?;
    let data =
        json!({ "action": action, "kind": kind, "what": waiting.what, "until": waiting.until });
    Some(("waiting", data))
}

/// What a run is told of a deed that was done at once.
pub(crate) fn done(key: Key) -> Event {
    let (exit, why) = ("done".into(), String::new());
    Event::Done { key, exit, values: Vars::new(), why, then: None }
}

/// What a run is told of a deed that cannot be done.
pub(crate) fn failed(key: Key, why: String) -> Event {
    Event::Done { key, exit: "failed".into(), values: Vars::new(), why, then: None }
}
