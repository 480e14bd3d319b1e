//! `echo`: let the caller hear himself.

use flow::{Action, Cx, Event, Needs, Pace, Spec, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service;

/// What this action is.
pub const SPEC: Spec = Spec::of::<Echo>(Needs::Call)
    .exits(&["failed"])
    .older(&["duration"], |option| option.seconds("duration", "duration_s"));

/// A run whose echo was lost goes on this much later, seconds.
const GRACE_S: u64 = 30;

/// Plays what the caller says back to the caller, to test a line.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Echo {
    /// How long, seconds.
    #[serde(default = "three_minutes")]
    #[schemars(range(min = 0.0, max = 3600))]
    duration_s: f64,
}

fn three_minutes() -> f64 {
    180.0
}

impl Action for Echo {
    fn enter(&self, cx: &mut Cx<'_>) -> Step {
        service::enter(cx, "echo", self, self.duration_s as u64 + GRACE_S)
    }

    fn resume(&self, event: &Event, cx: &mut Cx<'_>) -> Step {
        service::resume(event, cx, "echo")
    }

    fn pace(&self) -> Pace {
        Pace::Effect
    }
}
