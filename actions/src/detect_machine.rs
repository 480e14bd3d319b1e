//! `detect_machine`: find out whether a machine picked up.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service;

/// What this action is.
pub const SPEC: Spec = Spec::of::<DetectMachine>(Needs::Call)
    .exits(&["failed", "machine"])
    .renamed(&[("machine_handle", "on_machine")])
    .older(&["async"], |option| {
        // There a result that nobody waits for is not stored either.
        option.convert("async", "wait", |beside| (beside == true).then(|| false.into()));
    });

/// After this long nobody will tell any more how it ended, seconds.
const AT_MOST_S: u64 = 60;

/// Listens whether a person or an answering machine picked up.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DetectMachine {
    /// What to do with a machine: `hangup` ends the call, `continue` leaves by the exit `machine`.
    #[serde(default)]
    on_machine: OnMachine,
    /// Whether the flow waits until it is known. Otherwise it goes on at once, and all that follows
    /// of a machine is that `hangup` ends the call when it is recognized.
    #[serde(default = "yes")]
    wait: bool,
}

fn yes() -> bool {
    true
}

/// What to do with an answering machine.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OnMachine {
    /// End the call.
    Hangup,
    /// Leave by the exit `machine`.
    #[default]
    Continue,
}

impl Action for DetectMachine {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "detect_machine", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "detect_machine")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
