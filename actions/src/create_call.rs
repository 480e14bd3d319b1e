//! `create_call`: call somebody.

use flow::{Action, Cx, Destination, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::service;

/// What this action is.
pub const SPEC: Spec = Spec::of::<CreateCall>(Needs::Nothing)
    .exits(&["failed"])
    .renamed(&[("flow_id", "flow"), ("early_execution", "early")])
    .older(&[], |option| {
        option.addresses(&["source", "destinations"]);
        crate::service::anonymous(option);
    })
    .ended_older_runs();

/// After this long nobody will tell any more how it ended, seconds.
const AT_MOST_S: u64 = 60;

/// Calls somebody beside this run, with a flow of its own; this run goes on at once. The ids of the
/// calls are in `create_call.call_ids`.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateCall {
    /// Whom to call.
    #[schemars(length(min = 1, max = 16))]
    destinations: Vec<Destination>,
    /// Whom they see calling; without it, our number.
    source: Option<Destination>,
    /// The flow that the new calls run, by name or id.
    flow: Option<String>,
    /// The flow that the new calls run, written out: a list of actions.
    #[serde(default)]
    actions: Vec<Value>,
    /// Whether the new calls end with this one.
    #[serde(default)]
    chained: bool,
    /// Whether the flow runs while it rings.
    #[serde(default)]
    early: bool,
    /// Whether nobody may see who calls.
    #[serde(default)]
    anonymous: bool,
}

impl Action for CreateCall {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "create_call", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "create_call")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
