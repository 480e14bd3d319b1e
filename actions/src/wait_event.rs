//! `wait_event`: wait for something from outside.

use std::time::Duration;

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step, Vars, Wait};
use schemars::JsonSchema;
use serde::Deserialize;

/// What this action is.
pub const SPEC: Spec = Spec::of::<WaitEvent>(Needs::Nothing).exits(&["timeout"]);

/// Waits until somebody outside, such as a client of the API, brings an event to this run. Its
/// name is then in `event.name`, what it brings in `event.*`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WaitEvent {
    /// The event that is waited for; others are not for us.
    #[schemars(length(min = 1, max = 128))]
    name: String,
    /// How long to wait, seconds. Needed, here or as the action's own `timeout_s`.
    #[schemars(range(min = 1, max = 31_536_000))]
    timeout_s: Option<u64>,
}

impl Action for WaitEvent {
    fn enter(&self, _: &mut Cx<'_>) -> Step {
        wait(self.timeout_s)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        match event {
            Event::Signal { name, .. } if *name != self.name => Step::Stay,
            Event::Signal { name, values } => take(name, values, cx),
            Event::TimedOut { .. } => Step::exit("timeout", "the event did not come"),
            _ => Step::Stay,
        }
    }

    fn pace(&self) -> Pace {
        pace(self.timeout_s)
    }
}

/// Waits for an event, at most so many seconds.
pub(crate) fn wait(at_most_s: Option<u64>) -> Step {
    Step::Wait(Wait { what: "event", at_most: at_most_s.map(Duration::from_secs) })
}

/// Keeps what an event brings.
pub(crate) fn take(name: &str, values: &Vars, cx: &mut Cx<'_>) -> Step {
    for (name, value) in values {
        cx.set(&format!("event.{name}"), value.clone());
    }
    cx.set("event.name", name);
    Step::Next
}

/// A wait without a deadline is told to the author.
pub(crate) fn pace(at_most_s: Option<u64>) -> Pace {
    if at_most_s.is_some() { Pace::Waits } else { Pace::WaitsForEver }
}
