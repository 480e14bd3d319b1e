//! `send_digits`: press keys.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service;

/// What this action is.
pub const SPEC: Spec = Spec::of::<SendDigits>(Needs::Call)
    .exits(&["failed"])
    .renamed(&[("interval", "interval_ms")])
    .older(&["duration"], |option| option.rename("duration", "duration_ms"));

/// Longer than a hundred keys take, seconds.
const AT_MOST_S: u64 = 900;

/// Sends key presses (DTMF) to the other side of the call.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SendDigits {
    /// The keys.
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[0-9A-D#*]+$"))]
    digits: String,
    /// How long each key is pressed, milliseconds.
    #[serde(default = "hundred")]
    #[schemars(range(min = 100, max = 1000))]
    duration_ms: u64,
    /// The pause between two keys, milliseconds.
    #[serde(default = "hundred")]
    #[schemars(range(min = 0, max = 5000))]
    interval_ms: u64,
}

fn hundred() -> u64 {
    100
}

impl Action for SendDigits {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "send_digits", self, AT_MOST_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "send_digits")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
