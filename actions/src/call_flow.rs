//! `call_flow`: run another flow as a part of this one.

use std::collections::BTreeMap;

use flow::step::LOAD;
use flow::{Action, Call, Cx, Deed, Event, FlowSource, Needs, Pace, Spec, Step, Vars};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<CallFlow>(Needs::Nothing)
    .exits(&["failed"])
    .renamed(&[("flow_id", "flow")])
    .ended_older_runs();

/// A flow that has not come by then never will, seconds.
pub(crate) const AT_MOST_S: u64 = 60;

/// Runs another flow as a part of this one, then goes on. The run keeps the version that it
/// found here, whatever is published meanwhile. The other flow works on the variables of this
/// one: it sees them all, and what it sets stays set; only the names in `arguments` have their
/// former values again afterwards. With `isolated` it sees nothing but `arguments`, its own
/// defaults and what comes from outside, such as `caller.*`, `message.*` or `call.*`, and nothing
/// of what it sets stays but `results`. `stop_service` in it ends it, `stop` and `hangup` end the
/// whole run. The exit `failed` is taken when there is no such flow, when it is faulty or needs
/// another medium, when 32 flows have called each other, and when nothing in it catches a failure.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CallFlow {
    /// The flow, by its name or id.
    #[schemars(length(min = 1))]
    flow: String,
    /// Variables that the flow is given: names and values.
    #[serde(default)]
    arguments: Vars,
    /// Variables that take something from the flow when it has ended, such as
    /// `{ "order": "found.id" }`: a name of this flow and a name of the other.
    #[serde(default)]
    results: BTreeMap<String, String>,
    /// Whether the flow has variables of its own.
    #[serde(default)]
    isolated: bool,
}

impl Action for CallFlow {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        let source = FlowSource::Known { flow: self.flow.clone() };
        cx.ask(Deed::LoadFlow { source });
        Step::wait(LOAD, AT_MOST_S)
    }

    fn resume(&self, event: &Event, _: &mut Cx<'_>) -> Step {
        let call = |version: &str| Call {
            version: version.into(),
            arguments: self.arguments.clone(),
            results: self.results.clone(),
            isolated: self.isolated,
        };
        loaded(event, call)
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }

    fn sets(&self) -> Vec<String> {
        match self.isolated {
            true => self.results.keys().cloned().collect(),
            false => vec!["*".into()],
        }
    }
}

/// What follows from the answer to [`Deed::LoadFlow`].
pub(crate) fn loaded(event: &Event, call: impl FnOnce(&str) -> Call) -> Step {
    match event {
        Event::Done { exit, values, why, .. } if exit == "done" => {
            match values.get("version").and_then(|version| version.as_str()) {
                Some(version) => Step::Call(Box::new(call(version))),
                None => Step::exit("failed", why),
            }
        }
        Event::Done { exit, why, .. } => Step::exit(exit, why),
        Event::TimedOut { .. } => Step::exit("failed", "the flow did not come in time"),
        _ => Step::Stay,
    }
}
